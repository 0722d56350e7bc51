/* bench/forkjoin/children.c - each call's first branch is a child, whose record is on the caller's stack.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <cfutures.h>

static long fib(int n);
CF_TASK(long, fib, int);

static long
fib(int n)
{
    if (n < 2)
        return n;
    cf_child(fib) child;
    cf_child_start(&child, fib, n - 1);
    long second = fib(n - 2);
    return cf_child_join(&child, fib) + second;
}

static bool
measure_spawn(const struct workload *w, double *value)
{
    long result = 0;
    cf_executor *pool = cf_thread_pool(.max_workers = w->workers);
    cf_future *warm = cf_submit(pool, fib, 10);
    bool ok = cf_future_wait(warm, CF_FOREVER) == CF_OK;
    int64_t start = now_ns();
    cf_future *root = cf_submit(pool, fib, w->n);
    ok = cf_result(root, fib, &result, CF_FOREVER) == CF_OK && ok;
    ok = spawn_cost("children", w, start, result, value) && ok;
    cf_future_release(root);
    cf_future_release(warm);
    cf_executor_close(pool);
    return ok;
}

const contender forkjoin_children = {
    .name = "cfutures children", .ours = true, .measure = {[MEASURE_SPAWN] = measure_spawn}};
