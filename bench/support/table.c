/* bench/support/table.c - see table.h.
 * SPDX-License-Identifier: MIT */
#include "table.h"

#include <string.h>

void
table_print(const table *t, FILE *out)
{
    for (size_t row = 0; row < t->rows; row++) {
        for (size_t column = 0; column < t->columns; column++) {
            int width = 0;
            for (size_t i = 0; i < t->rows; i++) {
                int length = (int)strlen(t->cells[i][column]);
                width = length > width ? length : width;
            }
            fprintf(out, column < t->names ? "  %-*s" : "  %*s", width, t->cells[row][column]);
        }
        fputc('\n', out);
    }
}

const char *
figure(char out[TABLE_CELL], double value)
{
    int digits = value >= 100 || value == 0 ? 0 : value >= 10 ? 1 : value >= 0.01 ? 3 : value >= 0.001 ? 4 : 6;
    snprintf(out, TABLE_CELL, "%.*f", digits, value);
    return out;
}

void
figure_with_unit(char *out, size_t size, double value, const char *unit)
{
    static const char *const units[] = {"s", "ms", "us", "ns"}, *const symbols[] = {"s", "ms", "µs", "ns"};
    const size_t count = sizeof units / sizeof *units;
    char number[TABLE_CELL];
    size_t i = 0;

    while (i < count && strcmp(unit, units[i]) != 0)
        i++;
    for (; i + 1 < count && value < 0.01; i++)
        value *= 1000;
    snprintf(out, size, "%.12s %.8s", figure(number, value), i < count ? symbols[i] : unit);
}

const char *
figure_range(char out[TABLE_CELL], summary s)
{
    char low[TABLE_CELL], high[TABLE_CELL];
    snprintf(out, TABLE_CELL, "%.12s - %.12s", figure(low, s.min), figure(high, s.max));
    return out;
}

/* ---- JSON ---- */

static void
json_string(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text != '\0'; text++)
        if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(out, "\\u%04x", (unsigned)*text);
        else
            fputc(*text, out);
    fputc('"', out);
}

void
json_row(FILE *out, const char *workload, const char *contender, unsigned workers, const machine *m,
         const char *metric_name, const char *unit, summary s)
{
    fputs("{\"workload\":", out);
    json_string(out, workload);
    fputs(",\"contender\":", out);
    json_string(out, contender);
    fprintf(out, ",\"workers\":%u,\"cpus\":%u,\"metric\":", workers, m->cpus);
    json_string(out, metric_name);
    fputs(",\"unit\":", out);
    json_string(out, unit);
    fprintf(out, ",\"median\":%.6g,\"min\":%.6g,\"max\":%.6g,\"runs\":%zu,\"commit\":", s.median, s.min, s.max, s.runs);
    json_string(out, m->commit);
    fputs("}\n", out);
}
