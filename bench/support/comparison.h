/* bench/support/comparison.h - many quantities of a few contenders: a group of rows for each metric.
 * SPDX-License-Identifier: MIT
 *
 * For benches whose metrics stand side by side; report.h is for those with one job, its time and its speed-up.
 * RATIO  value / value of the metric's reference (metric.against), round by round, then the median. */
#ifndef BENCH_COMPARISON_H
#define BENCH_COMPARISON_H

#include "machine.h"
#include "rounds.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct comparison {
    const char *workload; /* in JSON: "tasks" */
    const char *title;    /* above table and plot; ASCII */
    const char *subtitle; /* one line: the sizes of this run; ASCII */
    const char *note;     /* below the table; NULL: none */
    bool speed_up;        /* the table shows how many times better, as the plot does */
    unsigned workers;
    const rounds *rounds;
    const machine *machine;
} comparison;

/** Table to stdout (stderr if JSON or the plot goes there), JSON lines and plot to where they were asked for (NULL:
 * not).  The plot shows how many times better each is than its reference.  Doesn't close the files. */
void comparison_write(const comparison *c, FILE *json, FILE *svg);

#endif
