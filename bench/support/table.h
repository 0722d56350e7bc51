/* bench/support/table.h - columns of text, and figures that fit into them.
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_TABLE_H
#define BENCH_TABLE_H

#include "machine.h"
#include "stats.h"

#include <stddef.h>
#include <stdio.h>

enum { TABLE_ROWS = 64, TABLE_COLUMNS = 12, TABLE_CELL = 48 };

typedef struct table {
    char cells[TABLE_ROWS][TABLE_COLUMNS][TABLE_CELL];
    size_t rows, columns;
    size_t names; /* columns of names, at the left, flush left; the others hold figures, flush right */
} table;

/** Print the table, each column as wide as its widest cell. */
void table_print(const table *t, FILE *out);

/** Three figures or three decimals, whichever is shorter, but never only zeros; no exponent.  Returns `out`. */
const char *figure(char out[TABLE_CELL], double value);

/** The same with its unit: "0.39 s"; what is tiny in its unit is shown in a smaller one. */
void figure_with_unit(char *out, size_t size, double value, const char *unit);

/** "fastest - slowest" of a series.  Returns `out`. */
const char *figure_range(char out[TABLE_CELL], summary s);

/** One row as a JSON object on a line of its own. */
void json_row(FILE *out, const char *workload, const char *contender, unsigned workers, const machine *m,
              const char *metric_name, const char *unit, summary s);

#endif
