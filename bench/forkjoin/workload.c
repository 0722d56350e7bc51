/* bench/forkjoin/workload.c - see workload.h.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

bool
spawn_cost(const char *who, const struct workload *w, int64_t start_ns, long result, double *value)
{
    double seconds = seconds_since(start_ns);
    long a = 0, b = 1, spawns = 0, spawns_before = 0; /* fib(i), fib(i + 1), and the spawns of fib(i), fib(i - 1) */
    for (int i = 0; i < w->n; i++) {
        long next = a + b, next_spawns = i >= 1 ? spawns + spawns_before + 1 : 0;
        a = b;
        b = next;
        spawns_before = spawns;
        spawns = next_spawns;
    }
    *value = seconds * 1e9 / (double)spawns;
    return result == a || complain("%s: fib(%d) is %ld, not %ld", who, w->n, a, result);
}
