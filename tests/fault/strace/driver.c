/* tests/fault/strace/driver.c - what tests/fault/strace.sh runs: one pool's life.
 * SPDX-License-Identifier: MIT
 *     driver processes|threads
 * Says "worked", or "error: " and the first error it met with, and exits with 0; with 1, and says what broke which promise.
 * Its own calls to the system are few, for they may be made to fail as well; so a task crashes by an instruction. */
#include <cfutures.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static cf_err met = CF_OK; /* the first error */

#define promised(condition) ((condition) ? (void)0 : broken(__LINE__, #condition))

__attribute__((noreturn)) static void
broken(int line, const char *condition)
{
    fprintf(stderr, "driver.c:%d: %s\n", line, condition);
    exit(1);
}

/* `error` is what's wanted, or says that something couldn't be had. */
static bool
went_well(cf_executor *pool, cf_err error, cf_err wanted)
{
    if (error == wanted)
        return true;
    promised(error == CF_ERR_NOMEM || error == CF_ERR_SYSTEM ||
             (error == CF_ERR_BROKEN && cf_executor_error(pool) == error));
    if (met == CF_OK)
        met = error;
    return false;
}

static long
twice(long n)
{
    return 2 * n;
}
CF_TASK(long, twice, long);

static long
crash(long n)
{
    __builtin_trap();
    return n;
}
CF_TASK(long, crash, long);

typedef struct large { /* too large for a slot */
    char bytes[5000];
} large;

static large
turn_round(large value)
{
    large turned;
    for (size_t i = 0; i < sizeof turned.bytes; i++)
        turned.bytes[i] = value.bytes[sizeof value.bytes - 1 - i];
    return turned;
}
CF_TASK(large, turn_round, large);

static void
count(cf_future *future, void *context)
{
    (void)future;
    (void)__atomic_fetch_add((unsigned *)context, 1, __ATOMIC_RELEASE);
}

/* Real signals interrupt calls only where there is a handler. */
static void
on_signal(int signal_number)
{
    (void)signal_number;
}

enum { TASKS = 8, ITEMS = 40 };

static void
live_with_futures(cf_executor *pool, bool processes)
{
    cf_future *futures[TASKS];
    unsigned called = 0, expected = 0, seen = 0;
    for (long i = 0; i < TASKS; i++) {
        futures[i] = cf_submit(pool, twice, i);
        if (i % 4 == 0)
            expected += went_well(pool, cf_future_add_done_callback(futures[i], count, &called), CF_OK);
    }
    cf_future *lost = processes ? cf_submit(pool, crash, 1) : NULL;
    CF_AS_COMPLETED (i, futures, TASKS, CF_FOREVER)
        seen += cf_future_done(futures[i]);
    promised(seen == TASKS || seen == 0); /* without memory for it */
    for (long i = 0; i < TASKS; i++) {
        long value = 0;
        if (went_well(pool, cf_result(futures[i], twice, &value, CF_FOREVER), CF_OK))
            promised(value == 2 * i);
        cf_future_release(futures[i]);
    }
    if (processes && went_well(pool, cf_future_wait(lost, CF_FOREVER), CF_ERR_WORKER_LOST))
        promised(cf_future_signal(lost) == SIGILL || cf_future_signal(lost) == SIGTRAP);
    cf_future_release(lost);
    while (__atomic_load_n(&called, __ATOMIC_ACQUIRE) != expected)
        continue;
}

static void
live_with_data(cf_executor *pool)
{
    large value, turned;
    long in[ITEMS], out[ITEMS] = {0};
    cf_err status[ITEMS];

    memset(&value, 1, sizeof value);
    memset(&turned, 0, sizeof turned);
    value.bytes[0] = 2;
    cf_future *big = cf_submit(pool, turn_round, value);
    if (went_well(pool, cf_result(big, turn_round, &turned, CF_FOREVER), CF_OK))
        promised(turned.bytes[sizeof turned.bytes - 1] == 2);
    cf_future_release(big);

    for (long i = 0; i < ITEMS; i++)
        in[i] = i;
    (void)cf_map_with(pool, cf_map_options(.status = status, .deadline = cf_after_ms(3600000)), twice, ITEMS, out, in);
    for (long i = 0; i < ITEMS; i++)
        promised(out[i] == (went_well(pool, status[i], CF_OK) ? 2 * i : 0));
}

int
main(int argc, char **argv)
{
    bool processes = argc > 1 && strcmp(argv[1], "processes") == 0;
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = on_signal; /* without SA_RESTART */
    (void)sigaction(SIGCHLD, &action, NULL);

    cf_executor *pool = processes ? cf_process_pool(.max_workers = 2, .max_pending = 4, .memory = 1 << 20)
                                  : cf_thread_pool(.max_workers = 2, .max_pending = 4);
    cf_err error = cf_executor_error(pool);
    if (error != CF_OK) {
        promised(error == CF_ERR_NOMEM || error == CF_ERR_SYSTEM || error == CF_ERR_UNSUPPORTED);
        promised(cf_executor_message(pool)[0] != 0);
        met = error;
    } else {
        cf_shutdown_report report = {0, 0, 0, 0};
        live_with_futures(pool, processes);
        live_with_data(pool);
        promised(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, &report) == CF_OK && report.left == 0);
    }
    cf_executor_close(pool);
    if (met == CF_OK)
        puts("worked");
    else
        printf("error: %s\n", cf_strerror(met));
    return 0;
}
