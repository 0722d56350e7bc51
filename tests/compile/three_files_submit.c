/* tests/compile/three_files_submit.c - tasks and submits; see three_files_make.c.
 * SPDX-License-Identifier: MIT */
#include <cfutures.h>

#include "three_files.h"

static long
sum(three_files_point point)
{
    return point.x + point.y;
}
CF_TASK(long, sum, three_files_point);

static int
failing(int code)
{
    return three_files_fail(code);
}
CF_TASK(int, failing, int);

static void
put(three_files_queue *queue, three_files_point point)
{
    (void)three_files_queue_put(queue, &point);
}
CF_TASK_VOID(put, three_files_queue *, three_files_point);

cf_future *
three_files_submit_sum(cf_executor *executor, three_files_point point)
{
    return cf_submit(executor, sum, point);
}

cf_future *
three_files_submit_failing(cf_executor *executor, int code)
{
    return cf_submit(executor, failing, code);
}

cf_err
three_files_spawn_put(cf_executor *executor, three_files_queue *queue, three_files_point point)
{
    return cf_spawn(executor, put, queue, point);
}
