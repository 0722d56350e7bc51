/* bench/tasks/cfutures.c - the same through a thread pool of cfutures.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <cfutures.h>

CF_TASK(long, empty_task, long);
CF_TASK_VOID(counted_task);
CF_TASK_VOID(gated_task, gate *);

static void *
pool_open(unsigned workers)
{
    return cf_thread_pool(.max_workers = workers);
}

static void
pool_close(void *pool)
{
    cf_executor_close(pool);
}

static long
submit_and_collect(void *pool, long tasks, void **futures, void (*between)(void *), void *context)
{
    long sum = 0;
    for (long i = 0; i < tasks; i++)
        futures[i] = cf_submit(pool, empty_task, i);
    if (between != NULL)
        between(context);
    for (long i = 0; i < tasks; i++) {
        cf_future *future = futures[i];
        long value = 0;
        cf_err error = cf_result(future, empty_task, &value, CF_FOREVER);
        if (error != CF_OK)
            complain("cfutures: task %ld: %s", i, cf_future_message(future));
        sum += value;
        cf_future_release(future);
    }
    return sum;
}

static bool
spawn_and_wait(void *pool, long tasks)
{
    for (long i = 0; i < tasks; i++) {
        cf_err error = cf_spawn(pool, counted_task);
        if (error != CF_OK)
            return complain("cfutures: task %ld: %s", i, cf_strerror(error));
    }
    cf_err error = cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL);
    return error == CF_OK || complain("cfutures: shutdown: %s", cf_strerror(error));
}

static bool
occupy(void *pool, gate *g)
{
    cf_err error = cf_spawn(pool, gated_task, g);
    return error == CF_OK || complain("cfutures: %s", cf_strerror(error));
}

static const task_pool cfutures_kind = {
    .open = pool_open,
    .close = pool_close,
    .submit_and_collect = submit_and_collect,
    .spawn_and_wait = spawn_and_wait,
    .occupy = occupy,
};

TASKS_CONTENDER(tasks_cfutures, "cfutures threads", true, cfutures_kind);
