/* bench/fib/workload.h - fib(n), naive and recursive, K times: work that is all CPU, as people compare pools with it.
 * SPDX-License-Identifier: MIT
 *
 * All contenders call the one compiled fib() of workload.c, so none has a luckier alignment or inlining. */
#ifndef BENCH_FIB_WORKLOAD_H
#define BENCH_FIB_WORKLOAD_H

#include "../support/rounds.h"

struct workload {
    int n;            /* argument of each call */
    long calls;       /* K */
    unsigned workers; /* of each parallel contender */
    long empty_tasks; /* calls of fib(1), to see what a task costs that does nothing */
};

/* In this order contenders fill contender.measure. */
enum { MEASURE_TIME, MEASURE_STARTUP, MEASURE_TASK_COST, MEASURE_COUNT };

long fib(int n);

/** Whether `sum` is calls * fib(n), computed another way.  If not, says what `who` got. */
bool check_sum(const char *who, int n, long calls, long sum);

extern const contender fib_serial, fib_pthreads, fib_fork, fib_threads, fib_processes;

#endif
