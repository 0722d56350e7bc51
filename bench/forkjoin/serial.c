/* bench/forkjoin/serial.c - plain calls: a spawn that costs nothing more than a call.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

/* Otherwise gcc unrolls the recursion, and most calls are gone. */
#if defined(__clang__)
#define PLAIN_CALLS __attribute__((noinline))
#else
#define PLAIN_CALLS __attribute__((noipa))
#endif

static PLAIN_CALLS long
fib(int n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

static bool
measure_spawn(const struct workload *w, double *value)
{
    int64_t start = now_ns();
    return spawn_cost("serial", w, start, fib(w->n), value);
}

const contender forkjoin_serial = {
    .name = "serial call", .one_worker = true, .measure = {[MEASURE_SPAWN] = measure_spawn}};
