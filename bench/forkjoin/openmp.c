/* bench/forkjoin/openmp.c - OpenMP's tasks, as the compiler brings them.
 * SPDX-License-Identifier: MIT
 *
 * Compiled with -fopenmp where the compiler has it; the rest of the bench isn't. */
#include "workload.h"

static const char name[] = "OpenMP tasks";

#ifdef _OPENMP
#include <time.h>

bool
openmp_available(void)
{
    return true;
}

static long
fib(int n)
{
    if (n < 2)
        return n;
    long a, b;
#pragma omp task shared(a) firstprivate(n)
    a = fib(n - 1);
    b = fib(n - 2);
#pragma omp taskwait
    return a + b;
}

/* The threads are there from the first, uncounted round on, as those of a pool that stays. */
static bool
measure_spawn(const struct workload *w, double *value)
{
    long result = 0;
    int64_t start = now_ns();
#pragma omp parallel num_threads(w->workers)
#pragma omp single
    result = fib(w->n);
    bool ok = spawn_cost(name, w, start, result, value);
    /* Its threads spin for some milliseconds before they sleep; that isn't to hit the next contender. */
    const struct timespec pause = {0, 50000000};
    nanosleep(&pause, NULL);
    return ok;
}

const contender forkjoin_openmp = {.name = name, .measure = {[MEASURE_SPAWN] = measure_spawn}};

#else

bool
openmp_available(void)
{
    return complain("left out: OpenMP; the compiler has no -fopenmp that works");
}

const contender forkjoin_openmp = {.name = name};

#endif
