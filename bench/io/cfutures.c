/* bench/io/cfutures.c - the same waits as one map over a thread pool.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <cfutures.h>

#include <stdlib.h>

CF_TASK(long, wait_for_answer, int);

/* As for the raw contender, creating and closing the pool is part of the job. */
static bool
measure_time(const struct workload *w, double *value)
{
    size_t n = (size_t)w->tasks;
    int *waits = checked_calloc(n, sizeof *waits);
    long *answers = checked_calloc(n, sizeof *answers);
    long sum = 0;

    for (size_t i = 0; i < n; i++)
        waits[i] = w->milliseconds;

    int64_t start = now_ns();
    cf_executor *pool = cf_thread_pool(.max_workers = w->workers);
    cf_err error = cf_map(pool, wait_for_answer, n, answers, waits);
    cf_executor_close(pool);
    *value = seconds_since(start);

    for (size_t i = 0; i < n; i++)
        sum += answers[i];
    free(answers);
    free(waits);
    if (error != CF_OK)
        return complain("cfutures: map: %s", cf_strerror(error));
    return check_sum("cfutures", w, sum);
}

const contender io_threads = {
    .name = "cfutures threads",
    .against = "raw pthreads",
    .ours = true,
    .measure = {[MEASURE_TIME] = measure_time},
};
