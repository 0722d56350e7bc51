/* tests/support/support.h - what every cmocka test of ours starts with.
 * SPDX-License-Identifier: MIT
 * Include it first, before any header of cfutures: it brings cmocka with the headers cmocka needs before it,
 * and it defines CF__FAULT, which detail/os.h looks at when it is included.
 *
 * WATCHDOG  Every test runs under an alarm of 60 s; CF_TEST_WATCHDOG in the environment is another number of
 *   seconds, 0 none.  When it rings, the program prints the test's name and aborts.  So a test waits for a
 *   condition with wait_until() and never for time.
 * RUNNING  main() is cmocka's usual `return cmocka_run_group_tests(tests, setup, teardown);`, one group a program.  The name is
 *   redefined below to run ours around each test, and to return 0 or 1: cmocka returns the number of failures,
 *   and meson reads 77 as "skipped".  CF_TEST_ONLY=text runs only the tests with `text` in their name,
 *   CF_TEST_ONLY=-text all others.
 * CHILDREN  Assertions belong to the test's own thread and process: a failed one inside a forked child would run the
 *   rest of the suite there.  run_in_child() returns a wait status to assert on; inside, use child_check().
 *   A child that all the same comes back into the suite is ended with status 112 and a sentence.
 * SHARED MEMORY  The table of faults lies in memory that forked processes share: a call of a worker can be made to
 *   fail, and is counted, like one of ours.  Its name in /proc/PID/maps is also how living_processes() knows
 *   whom we have forked, however far down and whoever became their parent since. */
#ifndef CFUTURES_TESTS_SUPPORT_H
#define CFUTURES_TESTS_SUPPORT_H

#ifdef CFUTURES_DETAIL_CONFIG_H
#error "include support.h before any header of cfutures: it defines CF__FAULT"
#endif

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#define SUPPORT __attribute__((unused)) static

/* ---- faults ---- */

#ifndef CF__FAULT /* a test may want the code as it is compiled for users, and defines it as 0 */
#define CF__FAULT(site) fault_hit(site)
#endif

enum { FAULT_SITES = 64 };

typedef struct fault_site { /* fields: A atomic */
    const char *name;       /* A: NULL while free, then for ever; a literal, so at one address in all our forks */
    uint64_t count;         /* A: calls since the last fault_clear() */
    uint64_t fired;         /* A: how many of them we let fail */
    uint64_t from, to;      /* A: the calls to fail, by count; from is UINT64_MAX while there are none */
    int error;              /* A: the errno they fail with */
} fault_site;

/* Written once, before main. */
static fault_site *support_faults;
static char support_mapping[32];
static pid_t support_pid;

/* The row of `name`, made when it is new. */
SUPPORT fault_site *
fault_find(const char *name)
{
    for (int i = 0; i < FAULT_SITES; i++) {
        fault_site *site = &support_faults[i];
        const char *found = __atomic_load_n(&site->name, __ATOMIC_ACQUIRE);
        if (found == NULL &&
            __atomic_compare_exchange_n(&site->name, &found, name, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
            return site;
        if (strcmp(found, name) == 0)
            return site;
    }
    fputs("support.h: more than FAULT_SITES sites\n", stderr);
    abort();
}

/* What CF__FAULT(site) says: 0, or the errno that this call is to fail with. */
SUPPORT int
fault_hit(const char *name)
{
    fault_site *site = fault_find(name);
    uint64_t call = __atomic_add_fetch(&site->count, 1, __ATOMIC_RELAXED);
    /* acquire: pairs with the release in fault_arm(), so that `to` and `error` are the ones of this `from`. */
    if (call < __atomic_load_n(&site->from, __ATOMIC_ACQUIRE) || call > __atomic_load_n(&site->to, __ATOMIC_RELAXED))
        return 0;
    __atomic_add_fetch(&site->fired, 1, __ATOMIC_RELAXED);
    return __atomic_load_n(&site->error, __ATOMIC_RELAXED);
}

SUPPORT void
fault_arm(const char *name, uint64_t first, uint64_t calls, int error)
{
    fault_site *site = fault_find(name);
    __atomic_store_n(&site->from, UINT64_MAX, __ATOMIC_RELEASE); /* off, while the rest is written */
    __atomic_store_n(&site->fired, 0, __ATOMIC_RELAXED);
    uint64_t from = __atomic_load_n(&site->count, __ATOMIC_RELAXED) + first;
    __atomic_store_n(&site->to, calls == 0 ? UINT64_MAX : from + calls - 1, __ATOMIC_RELAXED);
    __atomic_store_n(&site->error, error, __ATOMIC_RELAXED);
    __atomic_store_n(&site->from, from, __ATOMIC_RELEASE);
}

/* Lets the n-th call of `site` from now on (1: the next) fail with `error`; the others work. */
SUPPORT void
fault_fail_nth(const char *site, unsigned n, int error)
{
    fault_arm(site, n, 1, error);
}

/* Lets the n-th call of `site` from now on, and all after it, fail with `error`. */
SUPPORT void
fault_fail_from(const char *site, unsigned n, int error)
{
    fault_arm(site, n, 0, error);
}

/* How often `site` was passed since fault_clear(), in this process and in those forked from it. */
SUPPORT unsigned
fault_count(const char *site)
{
    return (unsigned)__atomic_load_n(&fault_find(site)->count, __ATOMIC_RELAXED);
}

/* How many calls of `site` were let fail since it was last armed.  0 after a run with fault_fail_nth(n): the run
 * makes fewer than n calls, so a loop over n is through. */
SUPPORT unsigned
fault_fired(const char *site)
{
    return (unsigned)__atomic_load_n(&fault_find(site)->fired, __ATOMIC_RELAXED);
}

/* No call fails any more; all counts are 0.  Runs by itself before each test. */
SUPPORT void
fault_clear(void)
{
    for (int i = 0; i < FAULT_SITES; i++) {
        fault_site *site = &support_faults[i];
        __atomic_store_n(&site->from, UINT64_MAX, __ATOMIC_RELEASE);
        __atomic_store_n(&site->count, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&site->fired, 0, __ATOMIC_RELAXED);
    }
}

/* ---- before main ---- */

__attribute__((constructor)) static void
support_start(void)
{
    size_t size = FAULT_SITES * sizeof(fault_site);
    support_pid = getpid();
    (void)snprintf(support_mapping, sizeof support_mapping, "cf-test-%ld-", (long)support_pid);
    int fd = (int)syscall(SYS_memfd_create, support_mapping, 1 /* close on exec */);
    void *p = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)size) == 0)
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED) {
        perror("support.h: memfd");
        _exit(99); /* meson's code for "the test couldn't be set up" */
    }
    (void)close(fd);
    support_faults = p;
    fault_clear();
}

/* ---- watchdog ---- */

static const char *volatile support_test; /* the test that runs; read by the signal handler */

SUPPORT unsigned
watchdog_seconds(void)
{
    const char *text = getenv("CF_TEST_WATCHDOG");
    return text != NULL && *text != 0 ? (unsigned)strtoul(text, NULL, 10) : 60u;
}

/* Async-signal-safe. */
SUPPORT void
support_say(const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t n = write(STDERR_FILENO, text, left);
        if (n <= 0)
            return;
        text += n;
        left -= (size_t)n;
    }
}

SUPPORT void
watchdog_bite(int signal_number)
{
    (void)signal_number;
    support_say("\nwatchdog: ");
    support_say(support_test != NULL ? support_test : "(no test)");
    support_say(getpid() == support_pid ? "" : " (in a child)");
    support_say(" still runs when its time is up (CF_TEST_WATCHDOG, in seconds)\n");
    abort();
}

/* Starts the watchdog of the calling process; a forked child has none until it calls this. */
SUPPORT void
watchdog_start(void)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = watchdog_bite;
    /* No SA_RESTART: a thread asleep in a raw system call must come out, for ThreadSanitizer runs handlers later. */
    (void)sigaction(SIGALRM, &action, NULL);
    (void)alarm(watchdog_seconds());
}

/* A long test enters a part of itself: the watchdog starts anew, and names `part`, whose text the caller keeps. */
SUPPORT void
watchdog_part(const char *part)
{
    support_test = part;
    (void)alarm(watchdog_seconds());
}

/* Waits, giving way to other threads, until `condition` holds; the watchdog ends it when it never does. */
#define wait_until(condition)                                                                                          \
    do {                                                                                                               \
        while (!(condition))                                                                                           \
            (void)sched_yield();                                                                                       \
    } while (0)

/* The N of `--seconds N` on the command line of a stress or fault program; `usual` without it. */
SUPPORT unsigned
soak_seconds(int argc, char **argv, unsigned usual)
{
    for (int i = 1; i + 1 < argc; i++)
        if (strcmp(argv[i], "--seconds") == 0)
            return (unsigned)strtoul(argv[i + 1], NULL, 10);
    return usual;
}

/* ---- around each test ---- */

/* The group that runs; one at a time. */
static const struct CMUnitTest *support_tests;
static size_t support_next;

/* Ends a forked child into which a failed assertion brought the suite. */
SUPPORT void
support_only_parent(void)
{
    if (getpid() == support_pid)
        return;
    support_say("support.h: an assertion failed inside a forked child, in ");
    support_say(support_test);
    support_say("; use child_check() there\n");
    _exit(112);
}

SUPPORT int
support_before(void **state)
{
    support_only_parent();
    const struct CMUnitTest *test = &support_tests[support_next++];
    support_test = test->name;
    fault_clear();
    watchdog_start();
    return test->setup_func != NULL ? test->setup_func(state) : 0;
}

SUPPORT int
support_after(void **state)
{
    support_only_parent();
    const struct CMUnitTest *test = &support_tests[support_next - 1];
    fault_clear(); /* so that a teardown can clean up */
    int result = test->teardown_func != NULL ? test->teardown_func(state) : 0;
    (void)alarm(0);
    return result;
}

/* Whether CF_TEST_ONLY chooses a test; NULL: it isn't set. */
SUPPORT bool
support_chooses(const char *only, const char *name)
{
    if (only == NULL)
        return true;
    bool others = only[0] == '-';
    return (strstr(name, only + others) != NULL) != others;
}

SUPPORT int
support_run(const char *group, const struct CMUnitTest *tests, size_t n, CMFixtureFunction setup,
            CMFixtureFunction teardown)
{
    const char *only = getenv("CF_TEST_ONLY");
    struct CMUnitTest *chosen = calloc(n, sizeof *chosen), *wrapped = calloc(n, sizeof *wrapped);
    if (chosen == NULL || wrapped == NULL)
        abort();
    size_t count = 0;
    for (size_t i = 0; i < n; i++) {
        if (!support_chooses(only, tests[i].name))
            continue;
        chosen[count] = wrapped[count] = tests[i];
        wrapped[count].setup_func = support_before;
        wrapped[count].teardown_func = support_after;
        count++;
    }
    if (count == 0) { /* so that a part whose tests have other names now isn't green */
        (void)fprintf(stderr, "%s: CF_TEST_ONLY=%s chooses no test\n", group, only);
        abort();
    }
    support_tests = chosen;
    support_next = 0;
    int failed = (_cmocka_run_group_tests)(group, wrapped, count, setup, teardown);
    support_test = NULL;
    free(chosen);
    free(wrapped);
    return failed ? 1 : 0;
}

#undef cmocka_run_group_tests
#define cmocka_run_group_tests(tests, setup, teardown)                                                                 \
    support_run(#tests, tests, sizeof(tests) / sizeof((tests)[0]), setup, teardown)

/* ---- files and processes ---- */

/* How many entries a directory has; -1: there is none. */
SUPPORT int
count_entries(const char *path)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return -1;
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;)
        n += entry->d_name[0] != '.';
    (void)closedir(dir);
    return n;
}

/* How many file descriptors this process has open. */
SUPPORT int
open_fds(void)
{
    return count_entries("/proc/self/fd") - 1; /* the directory's own */
}

SUPPORT bool
support_is_ours(long pid)
{
    char path[64], line[512];
    (void)snprintf(path, sizeof path, "/proc/%ld/maps", pid);
    FILE *maps = fopen(path, "re");
    if (maps == NULL)
        return false;
    bool ours = false;
    while (!ours && fgets(line, sizeof line, maps) != NULL)
        ours = strstr(line, support_mapping) != NULL;
    (void)fclose(maps);
    return ours;
}

/* What /proc says of a process: its state as ps shows it, and its parent; '?' where there is no such process. */
SUPPORT char
process_state(long process, long *parent)
{
    char path[64], text[512], state = '?';
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", process);
    FILE *stat = fopen(path, "re");
    if (stat == NULL)
        return '?';
    size_t size = fread(text, 1, sizeof text - 1, stat);
    (void)fclose(stat);
    text[size] = 0;
    const char *name_end = strrchr(text, ')'); /* the name may hold blanks and brackets */
    return name_end != NULL && sscanf(name_end + 1, " %c %ld", &state, parent) == 2 ? state : '?';
}

SUPPORT bool
support_is_zombie_child(long pid)
{
    long parent;
    return process_state(pid, &parent) == 'Z' && parent == (long)getpid();
}

SUPPORT int
support_count_processes(bool (*wanted)(long pid))
{
    DIR *dir = opendir("/proc");
    if (dir == NULL)
        return -1;
    int n = 0;
    for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid > 0 && pid != (long)getpid())
            n += wanted(pid);
    }
    (void)closedir(dir);
    return n;
}

/* How many processes live, the caller not counted, that were forked from this test program or from one of its
 * forks, also when their parent has died; zombies don't live.
 * One look can miss a process that is forked behind it by one that ends before it; so two looks have to agree. */
SUPPORT int
living_processes(void)
{
    int before, now = support_count_processes(support_is_ours);
    do {
        before = now;
        now = support_count_processes(support_is_ours);
    } while (now != before);
    return now;
}

/* How many children of the caller have died and wait to be reaped. */
SUPPORT int
zombie_children(void)
{
    return support_count_processes(support_is_zombie_child);
}

/* Ends the calling child with status 1 and a sentence unless `condition` holds. */
#define child_check(condition) ((condition) ? (void)0 : support_child_failed(__FILE__, __LINE__, #condition))

__attribute__((unused, noreturn)) static void
support_child_failed(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: in a child: %s\n", file, line, condition);
    _exit(1);
}

/* Runs `run` in a forked child, under a watchdog and with the default action for the signals that cmocka
 * catches, so that a crash is a crash.  Returns the child's process id; the test waits for it. */
SUPPORT pid_t
fork_child(int (*run)(void *), void *argument)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGSYS};
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        (void)signal(crashes[i], SIG_DFL);
    watchdog_start();
    int code = run(argument);
    (void)fflush(NULL);
    _exit(code);
}

/* Runs `run(argument)` in a forked child and returns its wait status: WIFEXITED with what `run` returned, or
 * WIFSIGNALED.  -1 when there was no child. */
SUPPORT int
run_in_child_with(int (*run)(void *), void *argument)
{
    int status = -1;
    pid_t pid = fork_child(run, argument);
    if (pid < 0)
        return -1;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return status;
}

typedef int support_plain(void);

SUPPORT int
support_call_plain(void *run)
{
    return (*(support_plain **)run)();
}

/* The same for a function without an argument. */
SUPPORT int
run_in_child(int (*run)(void))
{
    return run_in_child_with(support_call_plain, &run);
}

#endif
