/* bench/io/serial.c - one wait after the other.  What every speed-up refers to.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

static bool
measure_time(const struct workload *w, double *value)
{
    long sum = 0;
    int64_t start = now_ns();
    for (long i = 0; i < w->tasks; i++)
        sum += wait_for_answer(w->milliseconds);
    *value = seconds_since(start);
    return check_sum("serial", w, sum);
}

const contender io_serial = {
    .name = "serial",
    .one_worker = true,
    .measure = {[MEASURE_TIME] = measure_time},
};
