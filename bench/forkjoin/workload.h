/* bench/forkjoin/workload.h - fib(n) as a tree of tasks, one for each call that calls: nothing but spawns and joins.
 * SPDX-License-Identifier: MIT
 *
 * Each contender has its own fib(), without a cutoff below which it would call plainly, so that the cost of a spawn
 * and its join is all there is to see. */
#ifndef BENCH_FORKJOIN_WORKLOAD_H
#define BENCH_FORKJOIN_WORKLOAD_H

#include "../support/rounds.h"

struct workload {
    int n;
    unsigned workers;
};

enum { MEASURE_SPAWN, MEASURE_COUNT };

/** Nanoseconds a spawn since `start_ns`, in `*value`; false, with a message, if `result` isn't fib(w->n). */
bool spawn_cost(const char *who, const struct workload *w, int64_t start_ns, long result, double *value);

/** Whether the compiler has OpenMP; if not, says so. */
bool openmp_available(void);

/* One file each: serial.c, openmp.c, futures.c, children.c. */
extern const contender forkjoin_serial, forkjoin_openmp, forkjoin_futures, forkjoin_children;

#endif
