/* bench/fib/serial.c - one call after the other in the thread that asks.  What every speed-up refers to.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

static bool
measure_time(const struct workload *w, double *value)
{
    long sum = 0;
    int64_t start = now_ns();
    for (long i = 0; i < w->calls; i++)
        sum += fib(w->n);
    *value = seconds_since(start);
    return check_sum("serial", w->n, w->calls, sum);
}

const contender fib_serial = {
    .name = "serial",
    .one_worker = true,
    .measure = {[MEASURE_TIME] = measure_time},
};
