/* bench/process/fork.c - a forked child for each task, its result in shared memory, and wait: what one does without a
 * pool.
 * SPDX-License-Identifier: MIT */
#include "../support/raw.h"
#include "workload.h"

#include <stdlib.h>

static const char name[] = "fork and wait";

static long
empty(int value)
{
    return value;
}

/* One call in each of `children`, all at once. */
static bool
run_children(unsigned children, double *seconds)
{
    long sum;
    return raw_run(&raw_fork, empty, 1, (long)children, children, seconds, &sum) &&
           (sum == (long)children || complain("%s: wrong sum %ld", name, sum));
}

static bool
measure_start(const struct workload *w, double *value)
{
    bool ok = run_children(w->workers, value);
    *value *= 1e3;
    return ok;
}

static bool
measure_trips(long trips, bool pause, double *value)
{
    double *times = checked_calloc((size_t)trips, sizeof *times);
    bool ok = true;
    for (long i = 0; ok && i < trips; i++) {
        if (pause)
            pause_100us();
        ok = run_children(1, &times[i]);
    }
    *value = median_of(times, trips) * 1e6;
    free(times);
    return ok;
}

static bool
measure_hot(const struct workload *w, double *value)
{
    return measure_trips(w->slow_tasks / 10, false, value);
}

static bool
measure_idle(const struct workload *w, double *value)
{
    return measure_trips(w->slow_tasks / 10, true, value);
}

/* As many children at a time as there are workers. */
static bool
measure_tasks(const struct workload *w, double *value)
{
    int64_t start = now_ns();
    double ignored;
    long tasks = 0;
    for (; tasks < w->slow_tasks / 10; tasks += (long)w->workers)
        if (!run_children(w->workers, &ignored))
            return false;
    *value = seconds_since(start) * 1e6 / (double)tasks;
    return true;
}

const contender process_fork = {
    .name = name,
    .measure =
        {
            [MEASURE_START] = measure_start,
            [MEASURE_HOT] = measure_hot,
            [MEASURE_IDLE] = measure_idle,
            [MEASURE_TASKS] = measure_tasks,
        },
};
