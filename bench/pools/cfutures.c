/* bench/pools/cfutures.c - the same tasks on a pool of threads and on a pool of processes: all but the crash differ in
 * nothing but the constructor.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <cfutures.h>

#include <stdlib.h>

/* A function's address is the same in a worker process, which is a fork of this one. */
static long
call(work *function, int argument)
{
    return function(argument);
}
CF_TASK(long, call, work *, int);
CF_TASK(double, add_to_slice, double *, size_t, size_t);
CF_TASK_VOID(crash_sometimes, long, long *);

typedef cf_executor *open_pool(unsigned workers);

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

/* One task in each worker, more or less, so that they are there before the clock starts. */
static void
warm_up(cf_executor *pool, unsigned workers)
{
    for (unsigned i = 0; i < workers; i++)
        cf_future_release(cf_submit(pool, call, wait_for_answer, 1));
    cf_future *last = cf_submit(pool, call, wait_for_answer, 1);
    cf_future_wait(last, CF_FOREVER);
    cf_future_release(last);
}

static bool
run(open_pool *open, unsigned workers, const job *j, double *value)
{
    size_t n = (size_t)j->tasks;
    work **functions = checked_calloc(n, sizeof(work *));
    int *arguments = checked_calloc(n, sizeof *arguments);
    long *results = checked_calloc(n, sizeof *results), sum = 0;
    for (size_t i = 0; i < n; i++) {
        functions[i] = j->function;
        arguments[i] = j->argument;
    }

    cf_executor *pool = open(workers);
    warm_up(pool, workers);
    int64_t start = now_ns();
    cf_err error = cf_map(pool, call, n, results, functions, arguments);
    *value = seconds_since(start) * 1e3;
    cf_executor_close(pool);

    for (size_t i = 0; i < n; i++)
        sum += results[i];
    free(results);
    free(arguments);
    free(functions);
    if (error != CF_OK)
        return complain("cfutures: map: %s", cf_strerror(error));
    return check_job("cfutures", j, sum);
}

static bool
run_array(open_pool *open, const struct workload *w, double *value)
{
    size_t n = (size_t)w->slices;
    cf_executor *pool = open(w->workers);
    warm_up(pool, w->workers);
    double *array = cf_executor_alloc(pool, w->array_length * sizeof *array); /* the same address in every worker */
    double **arrays = checked_calloc(n, sizeof(double *)), *sums = checked_calloc(n, sizeof *sums), sum = 0;
    size_t *firsts = checked_calloc(n, sizeof *firsts), *lasts = checked_calloc(n, sizeof *lasts);
    cf_err error = CF_ERR_NOMEM;

    for (size_t i = 0; i < n; i++) {
        arrays[i] = array;
        firsts[i] = w->array_length * i / n;
        lasts[i] = w->array_length * (i + 1) / n;
    }
    if (array != NULL) {
        array_fill(array, w->array_length);
        int64_t start = now_ns();
        error = cf_map(pool, add_to_slice, n, sums, arrays, firsts, lasts);
        *value = seconds_since(start) * 1e3;
    }
    for (size_t i = 0; i < n; i++)
        sum += sums[i];
    bool ok = error == CF_OK ? array_check(array, w, sum) : complain("cfutures: map: %s", cf_strerror(error));
    cf_executor_free(pool, array);
    cf_executor_close(pool);
    free(lasts);
    free(firsts);
    free(sums);
    free(arrays);
    return ok;
}

static void
crashing_tasks(cf_executor *pool, const struct workload *w, long *finished)
{
    for (long i = 0; i < w->crash_tasks; i++)
        cf_spawn(pool, crash_sometimes, i, finished);
    cf_executor_close(pool);
}

static void
crashing_tasks_on_threads(const struct workload *w, long *finished)
{
    crashing_tasks(cf_thread_pool(.max_workers = w->workers), w, finished);
}

static bool
pools_threads_crash(const struct workload *w, double *value)
{
    return measure_in_child(w, crashing_tasks_on_threads, value);
}

static bool
pools_processes_crash(const struct workload *w, double *value)
{
    cf_auto(cf_executor) pool = cf_process_pool(.max_workers = w->workers);
    long *finished = cf_executor_alloc(pool, sizeof *finished), good = w->crash_tasks - w->crash_tasks / CRASH_EVERY;
    if (finished == NULL)
        return complain("cfutures: %s", cf_executor_message(pool));
    *finished = 0;
    for (long i = 0; i < w->crash_tasks; i++)
        cf_spawn(pool, crash_sometimes, i, finished);
    cf_err error = cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL);
    *value = (double)*finished;
    cf_executor_free(pool, finished);
    return (error == CF_OK && *value == (double)good) || complain("cfutures: %g of %ld tasks finished", *value, good);
}

#define POOLS_CONTENDER(identifier, shown, open, if_it_crashes)                                                        \
    static bool identifier##_cpu(const struct workload *w, double *value)                                              \
    {                                                                                                                  \
        return run(open, w->workers, &w->cpu, value);                                                                  \
    }                                                                                                                  \
    static bool identifier##_io(const struct workload *w, double *value)                                               \
    {                                                                                                                  \
        return run(open, w->io_workers, &w->io, value);                                                                \
    }                                                                                                                  \
    static bool identifier##_lock(const struct workload *w, double *value)                                             \
    {                                                                                                                  \
        return run(open, w->workers, &w->lock, value);                                                                 \
    }                                                                                                                  \
    static bool identifier##_allocation(const struct workload *w, double *value)                                       \
    {                                                                                                                  \
        return run(open, w->workers, &w->allocation, value);                                                           \
    }                                                                                                                  \
    static bool identifier##_array(const struct workload *w, double *value)                                            \
    {                                                                                                                  \
        return run_array(open, w, value);                                                                              \
    }                                                                                                                  \
    const contender identifier = {                                                                                     \
        .name = shown,                                                                                                 \
        .ours = true,                                                                                                  \
        .measure =                                                                                                     \
            {                                                                                                          \
                [MEASURE_CPU] = identifier##_cpu,                                                                      \
                [MEASURE_IO] = identifier##_io,                                                                        \
                [MEASURE_LOCK] = identifier##_lock,                                                                    \
                [MEASURE_ALLOCATION] = identifier##_allocation,                                                        \
                [MEASURE_ARRAY] = identifier##_array,                                                                  \
                [MEASURE_CRASH] = identifier##_crash,                                                                  \
            },                                                                                                         \
        .remark = {[MEASURE_CRASH] = if_it_crashes},                                                                   \
    }

POOLS_CONTENDER(pools_threads, "threads", open_threads, "program lost");
POOLS_CONTENDER(pools_processes, "processes", open_processes, "all others done");
