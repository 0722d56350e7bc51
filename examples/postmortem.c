/* examples/postmortem.c - where a task crashed: the address it touched, and the calls that led there, by name.
 * SPDX-License-Identifier: MIT
 *
 *     cc -std=gnu11 -O2 -pthread -Iinclude examples/postmortem.c -o postmortem && ./postmortem
 *
 * A table is looked up by names that come from elsewhere, one of which isn't in it.  The header postmortem.h, included by name,
 * and one word in the pool's options have each worker leave an account of its crash.  What stands in brackets is for
 * addr2line, which names the line if the program was compiled with -g. */
#include <cfutures.h>
#include <cfutures/postmortem.h>

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#define SEEN __attribute__((noinline)) /* inlined, or left by a jump, a function has no frame to be seen */

typedef struct {
    char name[8];
    double value;
    int used;
} rate;

static rate rates[] = {{"EURUSD", 1.08, 0}, {"EURGBP", 0.85, 0}};

SEEN static rate *
find(const char *name)
{
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        if (strcmp(rates[i].name, name) == 0)
            return &rates[i];
    return NULL; /* which its caller has forgotten */
}

SEEN static double
use(rate *r)
{
    r->used++;
    return r->value;
}

static double
convert(double amount, const char *name)
{
    return amount * use(find(name));
}
CF_TASK(double, convert, double, const char *);

int
main(void)
{
    static const char *const names[] = {"EURUSD", "EURNON", "EURGBP"};
    const struct rlimit no_core_files = {0, 0};
    char calls[4096];
    double value;

    setrlimit(RLIMIT_CORE, &no_core_files); /* the crash is meant here; the workers inherit it */
    cf_auto(cf_executor) pool = cf_process_pool(.max_workers = 2, .on_start = cf_postmortem);
    for (size_t i = 0; i < 3; i++) {
        cf_auto(cf_future) f = cf_submit(pool, convert, 100.0, names[i]);
        if (cf_result(f, convert, &value, CF_FOREVER) == CF_OK) {
            printf("%s %.2f\n", names[i], value);
            continue;
        }
        (void)cf_postmortem_describe(cf_future_account(f), calls, sizeof calls);
        printf("%s: %s\n%s", names[i], cf_future_message(f), calls);
    }
    return 0;
}
