/* bench/map/serial.c - a loop.  What every speed-up refers to.
 * SPDX-License-Identifier: MIT */
#include "../support/raw.h"
#include "workload.h"

static bool
measure_time(const struct workload *w, double *value)
{
    int64_t start = now_ns();
    if (w->medium) {
        for (size_t i = 0; i < w->count; i++)
            w->out[i] = mix_medium(w->in[i]);
    } else {
        for (size_t i = 0; i < w->count; i++)
            w->out[i] = mix_tiny(w->in[i]);
    }
    *value = seconds_since(start);
    return check_results("serial", w);
}

const contender map_serial = {.name = "serial", .one_worker = true, .measure = {[MEASURE_TIME] = measure_time}};
