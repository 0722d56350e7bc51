/* bench/io/pthreads.c - pthreads by hand and a shared counter: the limit for threads.
 * SPDX-License-Identifier: MIT */
#include "../support/raw.h"
#include "workload.h"

static const char name[] = "raw pthreads";

static bool
measure_time(const struct workload *w, double *value)
{
    long sum;
    return raw_run(&raw_pthreads, wait_for_answer, w->milliseconds, w->tasks, w->workers, value, &sum) &&
           check_sum(name, w, sum);
}

const contender io_pthreads = {.name = name, .measure = {[MEASURE_TIME] = measure_time}};
