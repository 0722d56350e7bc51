/* tests/compile/three_files_make.c - the pools are made here, three_files_submit.c submits to them, three_files_await.c
 * waits for what comes.
 * SPDX-License-Identifier: MIT
 * Compiled by run.sh as C and C++, each of the three with functions of its own (the default), or with declarations
 * only and one compiled copy in three_files_copy.c, or some one way and some the other. */
#include <cfutures.h>

#include <stdio.h>

#include "three_files.h"

static long
twice(long n)
{
    return 2 * n;
}
CF_TASK(long, twice, long);

static int
use(cf_executor *executor, bool threads)
{
    if (cf_executor_error(executor) != CF_OK) {
        printf("%s\n", cf_executor_message(executor));
        return 1;
    }
    cf_future *sums[8];
    long total = 0;
    for (long i = 0; i < 8; i++) {
        three_files_point point = {i, 10 * i};
        sums[i] = three_files_submit_sum(executor, point);
        total += 11 * i;
    }
    int failed = three_files_await_sums(sums, 8, total);
    for (size_t i = 0; i < 8; i++)
        cf_future_release(sums[i]);

    cf_auto(cf_future) failing = three_files_submit_failing(executor, 7);
    if (failed == 0)
        failed = three_files_await_failure(failing, 7);

    long in[3] = {1, 2, 3}, out[3] = {0, 0, 0};
    if (failed == 0 && (cf_map(executor, twice, 3, out, in) != CF_OK || out[2] != 6))
        failed = 30;

    if (failed == 0 && threads) {
        three_files_queue queue;
        three_files_point point = {3, 4};
        if (three_files_queue_init(&queue, 2) != CF_OK)
            return 31;
        if (three_files_spawn_put(executor, &queue, point) != CF_OK)
            failed = 32;
        else
            failed = three_files_await_queue(&queue, 7);
        three_files_queue_destroy(&queue);
    }
    return failed;
}

int
main(void)
{
    cf_auto(cf_executor) threads = cf_thread_pool();
    cf_auto(cf_executor) processes = cf_process_pool();
    cf_auto(cf_executor) self = cf_inline_executor();
    int failed = use(threads, true);
    if (failed == 0)
        failed = use(processes, false);
    if (failed == 0)
        failed = use(self, true);
    if (failed != 0)
        printf("three_files: check %d\n", failed);
    return failed;
}
