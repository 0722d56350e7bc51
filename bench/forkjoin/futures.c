/* bench/forkjoin/futures.c - cfutures with ordinary futures: each call submits a task and waits for it.
 * SPDX-License-Identifier: MIT
 *
 * Not what they are for: a task that waits for one that is still queued runs it, so it works, on any number of
 * workers, and that is what this shows. */
#include "workload.h"

#include <cfutures.h>

static long fib(cf_executor *pool, int n);
CF_TASK(long, fib, cf_executor *, int);

static long
fib(cf_executor *pool, int n)
{
    if (n < 2)
        return n;
    long a = 0;
    cf_future *child = cf_submit(pool, fib, pool, n - 1);
    long b = fib(pool, n - 2);
    cf_err error = cf_result(child, fib, &a, CF_FOREVER);
    if (error != CF_OK)
        complain("cfutures: fib(%d): %s", n - 1, cf_future_message(child));
    cf_future_release(child);
    return a + b;
}

static bool
measure_spawn(const struct workload *w, double *value)
{
    long result = 0;
    cf_executor *pool = cf_thread_pool(.max_workers = w->workers);
    cf_future *warm = cf_submit(pool, fib, pool, 10);
    bool ok = cf_future_wait(warm, CF_FOREVER) == CF_OK;
    int64_t start = now_ns();
    cf_future *root = cf_submit(pool, fib, pool, w->n);
    ok = cf_result(root, fib, &result, CF_FOREVER) == CF_OK && ok;
    ok = spawn_cost("cfutures", w, start, result, value) && ok;
    cf_future_release(root);
    cf_future_release(warm);
    cf_executor_close(pool);
    return ok;
}

const contender forkjoin_futures = {
    .name = "cfutures futures", .ours = true, .measure = {[MEASURE_SPAWN] = measure_spawn}};
