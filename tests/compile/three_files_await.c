/* tests/compile/three_files_await.c - waits for what three_files_submit.c has submitted; see three_files_make.c.
 * SPDX-License-Identifier: MIT */
#include <cfutures.h>

#include "three_files.h"

/* In C++ a task of the same name in another file is another one; in C it is static anyway. */
static long
sum(three_files_point point)
{
    return point.x;
}
CF_TASK(long, sum, three_files_point);

int
three_files_fail(int code)
{
    return cf_fail(code, "as %s says", "another file") && !cf_cancelled() ? code : -1;
}

int
three_files_await_sums(cf_future *const *futures, size_t count, long total)
{
    long found = 0;
    CF_AS_COMPLETED (i, futures, count, CF_FOREVER) {
        long value = 0;
        if (cf_result(futures[i], sum, &value, CF_FOREVER) != CF_OK)
            return 10;
        found += value;
    }
    if (cf_wait(futures, count, CF_ALL_COMPLETED, cf_after_ms(60000)) != CF_OK)
        return 11;
    return found == total ? 0 : 12;
}

int
three_files_await_failure(cf_future *future, int code)
{
    if (cf_future_wait(future, CF_FOREVER) != CF_ERR_FAILED)
        return 13;
    if (cf_future_code(future) != code)
        return 14;
    return strcmp(cf_future_message(future), "as another file says") == 0 ? 0 : 15;
}

int
three_files_await_queue(three_files_queue *queue, long total)
{
    three_files_point point = {0, 0};
    if (three_files_queue_get(queue, &point) != CF_OK)
        return 16;
    return point.x + point.y == total ? 0 : 17;
}
