/* bench/pools/serial.c - one task after the other in the thread that asks.  What every speed-up refers to.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <stdlib.h>

static bool
run(const job *j, double *value)
{
    long sum = 0;
    int64_t start = now_ns();
    for (long i = 0; i < j->tasks; i++)
        sum += j->function(j->argument);
    *value = seconds_since(start) * 1e3;
    return check_job("serial", j, sum);
}

static bool
measure_cpu(const struct workload *w, double *value)
{
    return run(&w->cpu, value);
}

static bool
measure_io(const struct workload *w, double *value)
{
    return run(&w->io, value);
}

static bool
measure_lock(const struct workload *w, double *value)
{
    return run(&w->lock, value);
}

static bool
measure_allocation(const struct workload *w, double *value)
{
    return run(&w->allocation, value);
}

static bool
measure_array(const struct workload *w, double *value)
{
    double *array = checked_calloc(w->array_length, sizeof *array), sum = 0;
    array_fill(array, w->array_length);
    int64_t start = now_ns();
    for (size_t i = 0; i < (size_t)w->slices; i++)
        sum +=
            add_to_slice(array, w->array_length * i / (size_t)w->slices, w->array_length * (i + 1) / (size_t)w->slices);
    *value = seconds_since(start) * 1e3;
    bool ok = array_check(array, w, sum);
    free(array);
    return ok;
}

static void
crashing_tasks(const struct workload *w, long *finished)
{
    for (long i = 0; i < w->crash_tasks; i++)
        crash_sometimes(i, finished);
}

static bool
measure_crash(const struct workload *w, double *value)
{
    return measure_in_child(w, crashing_tasks, value);
}

const contender pools_serial = {
    .name = "serial",
    .one_worker = true,
    .measure =
        {
            [MEASURE_CPU] = measure_cpu,
            [MEASURE_IO] = measure_io,
            [MEASURE_LOCK] = measure_lock,
            [MEASURE_ALLOCATION] = measure_allocation,
            [MEASURE_ARRAY] = measure_array,
            [MEASURE_CRASH] = measure_crash,
        },
    .remark = {[MEASURE_CRASH] = "program lost"},
};
