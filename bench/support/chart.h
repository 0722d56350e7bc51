/* bench/support/chart.h - horizontal bars, in characters for a terminal and as an SVG picture.
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_CHART_H
#define BENCH_CHART_H

#include "stats.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { CHART_MAX_BARS = 32, CHART_MAX_COLUMNS = 4, CHART_CELL = 24 };

typedef struct chart_bar {
    const char *label;
    summary value;                             /* the median is the bar, min and max its whisker */
    bool ours;                                 /* drawn in colour */
    bool gap_above;                            /* begins a new group */
    char cells[CHART_MAX_COLUMNS][CHART_CELL]; /* figures to the right of the bar; the first one is bold */
} chart_bar;

typedef struct chart {
    const char *title, *subtitle;
    const char *axis;   /* what the bars mean, and which end is good */
    const char *symbol; /* after each number of the axis: "x" */
    double ideal;       /* a line across all bars; 0: none */
    const char *ideal_label;
    const char *columns[CHART_MAX_COLUMNS]; /* headings of the cells */
    size_t column_count;
    const char *footer[2];
    chart_bar bars[CHART_MAX_BARS];
    size_t bar_count;
} chart;

/** Bars of block characters, or of '#' without UTF-8. */
void chart_print(const chart *c, FILE *out, bool utf8);

/** A complete SVG document that is legible on a light and on a dark page. */
void chart_svg(const chart *c, FILE *out);

#endif
