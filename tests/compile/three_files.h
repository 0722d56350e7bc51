/* tests/compile/three_files.h - what the three files of one program offer each other.
 * SPDX-License-Identifier: MIT */
#ifndef THREE_FILES_H
#define THREE_FILES_H

typedef struct three_files_point {
    long x, y;
} three_files_point;

CF_QUEUE(three_files_queue, three_files_point);

/* submit: each returns owned. */
cf_future *three_files_submit_sum(cf_executor *executor, three_files_point point);
cf_future *three_files_submit_failing(cf_executor *executor, int code);
cf_err three_files_spawn_put(cf_executor *executor, three_files_queue *queue, three_files_point point);

/* await: 0, or which check failed. */
int three_files_await_sums(cf_future *const *futures, size_t count, long total);
int three_files_await_failure(cf_future *future, int code);
int three_files_await_queue(three_files_queue *queue, long total);
int three_files_fail(int code);

#endif
