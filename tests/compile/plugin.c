/* tests/compile/plugin.c - a shared object with cfutures of its own inside; see plugin_host.c.
 * SPDX-License-Identifier: MIT */
#include <cfutures.h>

#include "plugin.h"

static long
twice(long n)
{
    return 2 * n;
}
CF_TASK(long, twice, long);

static int
failing(int code)
{
    return cf_fail(code, "the plugin says %d", code) ? 1 : 0;
}
CF_TASK(int, failing, int);

static bool
until_stopped(unsigned *started)
{
    bool before = cf_cancelled();
    (void)cf__fetch_add_seq_cst(started, 1u);
    while (!cf_cancelled())
        cf__cpu_relax();
    return !before;
}
CF_TASK(bool, until_stopped, unsigned *);

/* Waits for a task that its own pool may have no other worker for. */
static long
nested(cf_executor *executor, long n)
{
    long value = -1;
    cf_auto(cf_future) inner = cf_submit(executor, twice, n);
    return cf_result(inner, twice, &value, CF_FOREVER) == CF_OK ? value + 1 : -1;
}
CF_TASK(long, nested, cf_executor *, long);

static cf_future *
submit_twice(cf_executor *executor, long n)
{
    return cf_submit(executor, twice, n);
}

static cf_future *
submit_failing(cf_executor *executor, int code)
{
    return cf_submit(executor, failing, code);
}

static cf_future *
submit_until_stopped(cf_executor *executor, unsigned *started)
{
    return cf_submit(executor, until_stopped, started);
}

static cf_future *
submit_nested(cf_executor *executor, long n)
{
    return cf_submit(executor, nested, executor, n);
}

static const cf_task_type *
type_of_twice(void)
{
    return twice_CF_TASK_type();
}

static cf_err
map_twice(cf_executor *executor, size_t count, long *results, const long *numbers)
{
    return cf_map(executor, twice, count, results, numbers);
}

static bool
plain_fail(int code)
{
    return cf_fail(code, "a function of the plugin");
}

static cf_err
plain_wait(cf_future *future)
{
    return cf_future_wait(future, CF_FOREVER);
}

static long
sum_as_completed(cf_future *const *futures, size_t count)
{
    long sum = 0;
    CF_AS_COMPLETED (i, futures, count, CF_FOREVER) {
        const long *value = CF__STATIC_CAST(const long *, cf_future_peek(futures[i]));
        if (value != NULL)
            sum += *value;
    }
    return sum;
}

static void
put_numbers(cf_queue *queue, int count)
{
    for (int i = 1; i <= count; i++)
        (void)cf_queue_put(queue, &i);
    cf_queue_close(queue);
}

static cf_executor *
make_pool(void)
{
    return cf_thread_pool();
}

const plugin_api *
plugin_get_api(void)
{
    static const plugin_api api = {submit_twice, submit_failing, submit_until_stopped, submit_nested,    type_of_twice,
                                   map_twice,    plain_fail,     plain_wait,           sum_as_completed, put_numbers,
                                   make_pool};
    return &api;
}
