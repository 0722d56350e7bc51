/* bench/map/openmp.c - the compiler's own parallel loop: the limit for threads.
 * SPDX-License-Identifier: MIT
 *
 * Compiled with -fopenmp where the compiler has it; the rest of the bench isn't. */
#include "../support/raw.h"
#include "workload.h"

#ifdef _OPENMP
#include <omp.h>

bool
openmp_available(void)
{
    return true;
}

/* The threads have been started before, as those of a pool have. */
static bool
measure_time(const struct workload *w, double *value)
{
    int workers = (int)w->workers;
    uint64_t *out = w->out;
    const uint64_t *in = w->in;
    size_t count = w->count;
#pragma omp parallel num_threads(workers)
    out[omp_get_thread_num() % (int)count] = 0;

    int64_t start = now_ns();
    if (w->medium) {
#pragma omp parallel for schedule(guided, 16) num_threads(workers)
        for (size_t i = 0; i < count; i++)
            out[i] = mix_medium(in[i]);
    } else {
#pragma omp parallel for schedule(guided, 1024) num_threads(workers)
        for (size_t i = 0; i < count; i++)
            out[i] = mix_tiny(in[i]);
    }
    *value = seconds_since(start);
    return check_results("OpenMP", w);
}

const contender map_openmp = {.name = "OpenMP guided", .measure = {[MEASURE_TIME] = measure_time}};

#else

bool
openmp_available(void)
{
    return complain("left out: OpenMP; the compiler has no -fopenmp that works");
}

const contender map_openmp = {.name = "OpenMP guided"};

#endif
