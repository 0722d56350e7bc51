/* bench/support/report.h - turn the samples of a bench into a table, JSON lines, bars and a plot.
 * SPDX-License-Identifier: MIT
 *
 * DERIVED  from the first metric (a time) of each round, never from medians of different rounds:
 *     speed-up     time of contender 0 / time
 *     against raw  time of the raw counterpart / time; 1 means: as fast as the hardware lets it
 *     efficiency   speed-up / workers */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "machine.h"
#include "rounds.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct report {
    const char *workload; /* in JSON: "fib" */
    const char *title;    /* above table and plot; ASCII */
    const char *subtitle; /* one line: the sizes of this run; ASCII */
    const char *note;     /* below the table: what the last columns mean; NULL: none */
    const char *axis;     /* of the plot; NULL: speed-up over serial */
    unsigned workers;
    double ideal;          /* the speed-up that the hardware or the workload allows at most; 0: nobody knows */
    const char *ideal_why; /* "2 CPUs" */
    const rounds *rounds;
    const machine *machine;
} report;

/** The table and a bar chart in characters. */
void report_print(const report *r, FILE *out, bool utf8);

/** One JSON object on a line for each figure. */
void report_json(const report *r, FILE *out);

/** All that a bench does when its rounds are over: table to stdout (stderr if JSON goes to stdout), JSON and
 * plot to where they were asked for (NULL: not).  Doesn't close the files. */
void report_write(const report *r, FILE *json, FILE *svg);

#endif
