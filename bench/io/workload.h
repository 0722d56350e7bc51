/* bench/io/workload.h - tasks that wait, as tasks do that talk to a disk or a server.
 * SPDX-License-Identifier: MIT
 *
 * Sleeping is the workload here: 20 answers that take 50 ms each cost one thread a second, twenty threads 50 ms. */
#ifndef BENCH_IO_WORKLOAD_H
#define BENCH_IO_WORKLOAD_H

#include "../support/rounds.h"

struct workload {
    long tasks;
    int milliseconds; /* that each task waits */
    unsigned workers; /* threads */
};

enum { MEASURE_TIME, MEASURE_COUNT };

/** Wait `milliseconds`, then return that number.  Never returns early. */
long wait_for_answer(int milliseconds);

/** Whether `sum` is what all tasks together return.  If not, says what `who` got. */
bool check_sum(const char *who, const struct workload *w, long sum);

extern const contender io_serial, io_pthreads, io_executor, io_threads;
extern const char io_script[]; /* Python's */

#endif
