/* bench/fib/cfutures.c - the same calls through cfutures: a pool of threads, and a pool of processes.
 * SPDX-License-Identifier: MIT
 *
 * A call is a task of its own, submitted and collected singly: what a program does that knows nothing better. */
#include "workload.h"

#include <cfutures.h>

#include <stdlib.h>

CF_TASK(long, fib, int);

/* Open the pool of the contender.  Never NULL: a pool that could not start fails its tasks. */
typedef cf_executor *(*open_pool)(unsigned workers);

static cf_executor *
open_threads(unsigned workers)
{
    return cf_thread_pool(.max_workers = workers);
}

static cf_executor *
open_processes(unsigned workers)
{
    return cf_process_pool(.max_workers = workers);
}

/* Submit `calls` times fib(n), collect the results in the order of submission, check their sum. */
static bool
run_calls(cf_executor *pool, int n, long calls)
{
    cf_future **futures = checked_calloc((size_t)calls, sizeof(cf_future *));
    bool ok = true;
    long sum = 0;

    for (long i = 0; i < calls; i++)
        futures[i] = cf_submit(pool, fib, n);
    for (long i = 0; i < calls; i++) {
        long value = 0;
        cf_err error = cf_result(futures[i], fib, &value, CF_FOREVER);
        if (error != CF_OK && ok)
            ok = complain("cfutures: call %ld: %s", i, cf_future_message(futures[i]));
        sum += value;
        cf_future_release(futures[i]);
    }
    free(futures);
    return ok && check_sum("cfutures", n, calls, sum);
}

/* As for the raw contenders, creating and closing the pool is part of the job. */
static bool
time_job(open_pool open, const struct workload *w, double *value)
{
    int64_t start = now_ns();
    cf_executor *pool = open(w->workers);
    bool ok = run_calls(pool, w->n, w->calls);
    cf_executor_close(pool);
    *value = seconds_since(start);
    return ok;
}

static bool
time_startup(open_pool open, const struct workload *w, double *value)
{
    int64_t start = now_ns();
    cf_executor *pool = open(w->workers);
    bool ok = run_calls(pool, 1, 1);
    *value = seconds_since(start) * 1e3;
    cf_executor_close(pool);
    return ok;
}

static bool
time_empty_tasks(open_pool open, const struct workload *w, double *value)
{
    cf_executor *pool = open(w->workers);
    bool ok = run_calls(pool, 1, (long)w->workers); /* the workers are there and have run */
    int64_t start = now_ns();
    ok = ok && run_calls(pool, 1, w->empty_tasks);
    *value = seconds_since(start) * 1e6 / (double)w->empty_tasks;
    cf_executor_close(pool);
    return ok;
}

#define CONTENDER(identifier, shown, raw, open)                                                                        \
    static bool identifier##_time(const struct workload *w, double *value)                                             \
    {                                                                                                                  \
        return time_job(open, w, value);                                                                               \
    }                                                                                                                  \
    static bool identifier##_startup(const struct workload *w, double *value)                                          \
    {                                                                                                                  \
        return time_startup(open, w, value);                                                                           \
    }                                                                                                                  \
    static bool identifier##_task_cost(const struct workload *w, double *value)                                        \
    {                                                                                                                  \
        return time_empty_tasks(open, w, value);                                                                       \
    }                                                                                                                  \
    const contender identifier = {                                                                                     \
        .name = shown,                                                                                                 \
        .against = raw,                                                                                                \
        .ours = true,                                                                                                  \
        .measure = {identifier##_time, identifier##_startup, identifier##_task_cost},                                  \
    }

CONTENDER(fib_threads, "cfutures threads", "raw pthreads", open_threads);
CONTENDER(fib_processes, "cfutures processes", "raw fork", open_processes);
