/* examples/sandbox.c - functions that aren't trusted may compute, and nothing else.
 * SPDX-License-Identifier: MIT
 *
 *     cc -std=gnu11 -O2 -pthread -Iinclude examples/sandbox.c -o sandbox && ./sandbox
 *
 * Filters for a text, as plugins from anybody might bring them.  Some do what they say; others read a file, call home, or start
 * a process.  Each runs in a worker that has locked itself in as it started: it has no descriptors, and the kernel kills it at
 * the first system call that isn't needed to compute.  It costs the one filter; the program says which, and goes on. */
#include <cfutures.h>
#include <cfutures/sandbox.h>

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct text {
    char letters[64];
} text;

static void
shout(text *t)
{
    for (char *c = t->letters; *c != 0; c++)
        *c = (char)toupper((unsigned char)*c);
}

static void
turn_round(text *t)
{
    for (size_t i = 0, j = strlen(t->letters); i + 1 < j; i++) {
        char c = t->letters[i];
        t->letters[i] = t->letters[--j];
        t->letters[j] = c;
    }
}

static void
read_a_file(text *t)
{
    int file = open("/etc/passwd", O_RDONLY);
    (void)!read(file, t->letters, sizeof t->letters - 1);
}

static void
call_home(text *t)
{
    int home = socket(AF_INET, SOCK_STREAM, 0);
    (void)!write(home, t->letters, sizeof t->letters);
}

static void
start_a_process(text *t)
{
    (void)t;
    (void)fork();
}

static const struct filter {
    const char *name;
    void (*run)(text *);
} filters[] = {{"shout", shout},
               {"turn_round", turn_round},
               {"read_a_file", read_a_file},
               {"call_home", call_home},
               {"start_a_process", start_a_process}};
enum { FILTERS = sizeof filters / sizeof *filters };

static text
apply(int filter, text t)
{
    filters[filter].run(&t);
    return t;
}
CF_TASK(text, apply, int, text);

int
main(void)
{
    cf_sandbox_opts options = {.cpu_seconds = 10}; /* a filter that never ends is killed, too */
    text hello = {"hello, world"};

    cf_auto(cf_executor) pool = cf_process_pool(.on_start = cf_sandbox_on_start, .on_start_context = &options);
    for (int i = 0; i < FILTERS; i++) {
        text filtered;
        cf_auto(cf_future) future = cf_submit(pool, apply, i, hello);
        if (cf_result(future, apply, &filtered, CF_FOREVER) == CF_OK) {
            filtered.letters[sizeof filtered.letters - 1] = 0; /* it came from a stranger */
            printf("%s: %s\n", filters[i].name, filtered.letters);
        } else if (cf_future_signal(future) != 0) {
            printf("%s: %s\n", filters[i].name, strsignal(cf_future_signal(future)));
        } else {
            fprintf(stderr, "%s: %s\n", filters[i].name, cf_future_message(future));
            return 1; /* a kernel without seccomp, for one */
        }
    }
    return 0;
}
