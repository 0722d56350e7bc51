/* bench/map/workload.h - one small function for each element of an array.
 * SPDX-License-Identifier: MIT
 *
 * Tiny elements (about 18 ns) show what a map costs for each, medium ones (about 1 us) how evenly it shares them. */
#ifndef BENCH_MAP_WORKLOAD_H
#define BENCH_MAP_WORKLOAD_H

#include "../support/rounds.h"

#include <stdint.h>

struct workload {
    size_t count;      /* elements */
    bool medium;       /* else tiny */
    unsigned workers;  /* threads or processes */
    uint64_t *in;      /* `count` of them */
    uint64_t *out;     /* likewise; overwritten by each contender */
    uint64_t expected; /* sum of all results */
};

enum { MEASURE_TIME, MEASURE_COUNT };
enum { TINY_STEPS = 6, MEDIUM_STEPS = 340 };

/* In this header so that every contender's compiler may inline it.  A division can't be vectorized, nor overlap with
 * that of the next element, so an element takes as long in any loop. */
static inline uint64_t
mix(uint64_t x, int steps)
{
    for (int i = 0; i < steps; i++) {
        x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        x = x / ((x & 15) + 3) ^ x << 31;
    }
    return x;
}

static inline uint64_t
mix_tiny(uint64_t x)
{
    return mix(x, TINY_STEPS);
}

static inline uint64_t
mix_medium(uint64_t x)
{
    return mix(x, MEDIUM_STEPS);
}

/** Whether the results are right.  If not, says what `who` got.  Clears them for the next one. */
bool check_results(const char *who, const struct workload *w);

/** Whether there is an OpenMP; if not, says so. */
bool openmp_available(void);

extern const contender map_serial, map_openmp, map_threads, map_processes;

#endif
