/* bench/fib/pthreads.c - pthreads by hand and a shared counter: the limit for threads.
 * SPDX-License-Identifier: MIT */
#include "../support/raw.h"
#include "workload.h"

static const char name[] = "raw pthreads";

static bool
measure_time(const struct workload *w, double *value)
{
    long sum;
    return raw_run(&raw_pthreads, fib, w->n, w->calls, w->workers, value, &sum) && check_sum(name, w->n, w->calls, sum);
}

static bool
measure_startup(const struct workload *w, double *value)
{
    if (!raw_first_result(&raw_pthreads, fib, 1, w->workers, value))
        return false;
    *value *= 1e3;
    return true;
}

static bool
measure_task_cost(const struct workload *w, double *value)
{
    long sum;
    if (!raw_run_started(&raw_pthreads, fib, 1, w->empty_tasks, w->workers, value, &sum))
        return false;
    *value *= 1e6 / (double)w->empty_tasks;
    return check_sum(name, 1, w->empty_tasks, sum);
}

const contender fib_pthreads = {
    .name = name,
    .measure =
        {[MEASURE_TIME] = measure_time, [MEASURE_STARTUP] = measure_startup, [MEASURE_TASK_COST] = measure_task_cost},
};
