/* bench/map/cfutures.c - cf_map over a thread pool, and over a process pool.
 * SPDX-License-Identifier: MIT */
#include "../support/raw.h"
#include "workload.h"

#include <cfutures.h>

CF_TASK(uint64_t, mix_tiny, uint64_t);
CF_TASK(uint64_t, mix_medium, uint64_t);

static cf_err
map(cf_executor *pool, const struct workload *w, size_t count)
{
    return w->medium ? cf_map(pool, mix_medium, count, w->out, w->in) : cf_map(pool, mix_tiny, count, w->out, w->in);
}

/* The pool is there before, and has run something: a map is timed, not a start. */
static bool
measure_pool(const char *name, cf_executor *pool, const struct workload *w, double *value)
{
    cf_err error = map(pool, w, w->count / 100 + 1);
    int64_t start = now_ns();
    if (error == CF_OK)
        error = map(pool, w, w->count);
    *value = seconds_since(start);
    cf_executor_close(pool);
    return error != CF_OK ? complain("%s: map: %s", name, cf_strerror(error)) : check_results(name, w);
}

static bool
measure_threads(const struct workload *w, double *value)
{
    return measure_pool("cfutures threads", cf_thread_pool(.max_workers = w->workers), w, value);
}

static bool
measure_processes(const struct workload *w, double *value)
{
    return measure_pool("cfutures processes", cf_process_pool(.max_workers = w->workers), w, value);
}

const contender map_threads = {
    .name = "cfutures threads",
    .against = "OpenMP guided",
    .ours = true,
    .measure = {[MEASURE_TIME] = measure_threads},
};
const contender map_processes = {
    .name = "cfutures processes",
    .against = "OpenMP guided",
    .ours = true,
    .measure = {[MEASURE_TIME] = measure_processes},
};
