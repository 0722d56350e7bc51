/* bench/process/workload.h - what a process pool costs: to start, per task, per byte, and when a worker dies.
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_PROCESS_WORKLOAD_H
#define BENCH_PROCESS_WORKLOAD_H

#include "../support/rounds.h"

struct workload {
    unsigned workers;
    unsigned many_workers; /* of the row with more of them than CPUs */
    long tasks;            /* submitted one by one, then collected */
    long slow_tasks;       /* the same, for contenders that take a hundred times as long */
    long round_trips;      /* one after the other, without a pause */
    long idle_trips;       /* one after the other, with 100 us between */
    long blocks;           /* of 1 MiB, there and back */
    long kills;            /* of a worker, one after the other */
    long behind;           /* tasks submitted behind one that kills its worker */
};

enum {
    MEASURE_START,
    MEASURE_HOT,
    MEASURE_IDLE,
    MEASURE_TASKS,
    MEASURE_TASKS_MANY,
    MEASURE_COPY,
    MEASURE_IN_PLACE,
    MEASURE_KILLED,
    MEASURE_LOST,
    MEASURE_SETTLED_P50,
    MEASURE_SETTLED_P99,
    MEASURE_NEXT_P50,
    MEASURE_NEXT_P99,
    MEASURE_FULL_P50,
    MEASURE_FULL_P99,
    MEASURE_COUNT
};

/** The median of `times[0 .. n)`. */
double median_of(double *times, long n);

/** Sleep for 100 us. */
void pause_100us(void);

/** Python's contenders. */
extern const char process_script[];

extern const contender process_fork, process_executor, process_mp_pool, process_cfutures;

#endif
