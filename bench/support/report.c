/* bench/support/report.c - see report.h.
 * SPDX-License-Identifier: MIT */
#include "report.h"

#include "chart.h"

#include <string.h>

enum { TIME = 0, COLUMNS = 12, CELL = 28 };

/* ---- derived figures ---- */

static const contender *
who(const report *r, size_t i)
{
    return r->rounds->contenders[i];
}

static unsigned
workers_of(const report *r, size_t i)
{
    return who(r, i)->one_worker ? 1 : r->workers;
}

static summary
measured(const report *r, size_t i, size_t metric_index)
{
    return summarize(rounds_samples(r->rounds, i, metric_index), r->rounds->repeats);
}

static summary
speed_up(const report *r, size_t i)
{
    return summarize_ratio(rounds_samples(r->rounds, 0, TIME), rounds_samples(r->rounds, i, TIME), r->rounds->repeats);
}

static summary
efficiency(const report *r, size_t i)
{
    summary s = speed_up(r, i);
    double workers = workers_of(r, i);
    return (summary){s.median / workers, s.min / workers, s.max / workers, s.runs};
}

/* False if there is no raw counterpart, or it didn't take part. */
static bool
against_raw(const report *r, size_t i, summary *out)
{
    size_t raw = who(r, i)->against != NULL ? rounds_find(r->rounds, who(r, i)->against) : r->rounds->contender_count;
    if (raw == r->rounds->contender_count)
        return false;
    *out =
        summarize_ratio(rounds_samples(r->rounds, raw, TIME), rounds_samples(r->rounds, i, TIME), r->rounds->repeats);
    return true;
}

/* Three figures or three decimals, whichever is shorter, but never only zeros; no exponent. */
static const char *
figure(char out[CELL], double value)
{
    int digits = value >= 100 ? 0 : value >= 10 ? 1 : value >= 0.01 ? 3 : value >= 0.001 ? 4 : 6;
    snprintf(out, CELL, "%.*f", digits, value);
    return out;
}

const char *
plural(unsigned n)
{
    return n == 1 ? "" : "s";
}

/* ---- the table ---- */

typedef struct table {
    char cells[CHART_MAX_BARS + 1][COLUMNS][CELL];
    size_t rows, columns;
} table;

static void
table_print(const table *t, FILE *out)
{
    for (size_t row = 0; row < t->rows; row++) {
        for (size_t column = 0; column < t->columns; column++) {
            int width = 0;
            for (size_t i = 0; i < t->rows; i++) {
                int length = (int)strlen(t->cells[i][column]);
                width = length > width ? length : width;
            }
            /* The names to the left, the figures to the right. */
            fprintf(out, column == 0 ? "  %-*s" : "  %*s", width, t->cells[row][column]);
        }
        fputc('\n', out);
    }
}

static void
fill_row(const report *r, size_t i, char cells[COLUMNS][CELL])
{
    char low[CELL], high[CELL];
    summary time = measured(r, i, TIME), raw;
    size_t at = 0;

    snprintf(cells[at++], CELL, "%s", who(r, i)->name);
    figure(cells[at++], time.median);
    snprintf(cells[at++], CELL, "%.8s - %.8s", figure(low, time.min), figure(high, time.max));
    snprintf(cells[at++], CELL, "%.2f", speed_up(r, i).median);
    if (against_raw(r, i, &raw))
        snprintf(cells[at++], CELL, "%.3f", raw.median);
    else
        snprintf(cells[at++], CELL, "-");
    snprintf(cells[at++], CELL, "%.0f%%", efficiency(r, i).median * 100);
    for (size_t m = TIME + 1; m < r->rounds->metric_count; m++, at++)
        if (rounds_samples(r->rounds, i, m) != NULL)
            figure(cells[at], measured(r, i, m).median);
        else
            snprintf(cells[at], CELL, "-");
}

static void
print_table(const report *r, FILE *out)
{
    static const char *const derived[] = {"min - max", "speed-up", "vs raw", "efficiency"};
    table t = {.rows = r->rounds->contender_count + 1};
    size_t at = 1;

    snprintf(t.cells[0][at++], CELL, "%s", r->rounds->metrics[TIME].heading);
    for (size_t i = 0; i < sizeof derived / sizeof *derived; i++)
        snprintf(t.cells[0][at++], CELL, "%s", derived[i]);
    for (size_t m = TIME + 1; m < r->rounds->metric_count; m++)
        snprintf(t.cells[0][at++], CELL, "%s", r->rounds->metrics[m].heading);
    t.columns = at;
    for (size_t i = 0; i < r->rounds->contender_count; i++)
        fill_row(r, i, t.cells[i + 1]);
    table_print(&t, out);
}

/* Where even the raw contenders fall far short, the figures say more about the day than about anybody's pool. */
static void
print_warnings(const report *r, FILE *out)
{
    for (size_t i = 1; i < r->rounds->contender_count; i++) {
        double reached = speed_up(r, i).median;
        if (!who(r, i)->ours && reached < 0.75 * r->ideal)
            fprintf(out, "careful: %s reached only %.2f of %.3g: the machine was busy, or the work is too small\n",
                    who(r, i)->name, reached, r->ideal);
    }
}

/* ---- the chart ---- */

/* "0.39 s"; what is tiny in its unit is shown in a smaller one. */
static void
figure_with_unit(char out[CHART_CELL], double value, const char *unit)
{
    static const char *const units[] = {"s", "ms", "us", "ns"}, *const symbols[] = {"s", "ms", "µs", "ns"};
    const size_t count = sizeof units / sizeof *units;
    char number[CELL];
    size_t i = 0;

    while (i < count && strcmp(unit, units[i]) != 0)
        i++;
    for (; i + 1 < count && value < 0.01; i++)
        value *= 1000;
    snprintf(out, CHART_CELL, "%.12s %.8s", figure(number, value), i < count ? symbols[i] : unit);
}

static void
make_chart(const report *r, chart *c, char buffers[3][256])
{
    const rounds *rs = r->rounds;

    snprintf(buffers[0], sizeof buffers[0], "ideal: %.3g (%s)", r->ideal, r->ideal_why);
    snprintf(buffers[1], sizeof buffers[1], "%s, %u CPU%s, %s", r->machine->processor, r->machine->cpus,
             plural(r->machine->cpus), r->machine->system);
    snprintf(buffers[2], sizeof buffers[2], "%s, cfutures %s, %s", r->machine->compiler, r->machine->commit,
             r->machine->date);
    *c = (chart){
        .title = r->title,
        .subtitle = r->subtitle,
        .axis =
            r->axis != NULL ? r->axis : "speed-up over serial (longer is better; whiskers: slowest and fastest round)",
        .symbol = "×",
        .ideal = r->ideal,
        .ideal_label = buffers[0],
        .footer = {buffers[1], buffers[2]},
        .bar_count = rs->contender_count,
    };
    c->columns[c->column_count++] = "speed-up";
    for (size_t m = TIME; m < rs->metric_count && c->column_count < CHART_MAX_COLUMNS; m++)
        c->columns[c->column_count++] = rs->metrics[m].caption;
    for (size_t i = 0; i < rs->contender_count; i++) {
        chart_bar *b = &c->bars[i];
        b->label = who(r, i)->name;
        b->value = speed_up(r, i);
        b->ours = who(r, i)->ours;
        /* Each raw contender and those measured against it form a group. */
        b->gap_above = i > 0 && who(r, i)->against == NULL;
        snprintf(b->cells[0], CHART_CELL, "%.2f×", b->value.median);
        for (size_t m = TIME; m + 1 < c->column_count; m++)
            if (rounds_samples(rs, i, m) != NULL)
                figure_with_unit(b->cells[m + 1], measured(r, i, m).median, rs->metrics[m].unit);
    }
}

void
report_print(const report *r, FILE *out, bool utf8)
{
    chart c;
    char buffers[3][256];

    fprintf(out, "\n%s\n%s\n%s\n%s\n\n", r->title, r->subtitle, r->machine->processor, r->machine->compiler);
    print_table(r, out);
    if (r->note != NULL)
        fprintf(out, "\n%s\n", r->note);
    print_warnings(r, out);
    make_chart(r, &c, buffers);
    fputc('\n', out);
    chart_print(&c, out, utf8);
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

static void
json_row(const report *r, FILE *out, size_t i, const char *name, const char *unit, summary s)
{
    fputs("{\"workload\":", out);
    json_string(out, r->workload);
    fputs(",\"contender\":", out);
    json_string(out, who(r, i)->name);
    fprintf(out, ",\"workers\":%u,\"cpus\":%u,\"metric\":", workers_of(r, i), r->machine->cpus);
    json_string(out, name);
    fputs(",\"unit\":", out);
    json_string(out, unit);
    fprintf(out, ",\"median\":%.6g,\"min\":%.6g,\"max\":%.6g,\"runs\":%zu,\"commit\":", s.median, s.min, s.max, s.runs);
    json_string(out, r->machine->commit);
    fputs("}\n", out);
}

void
report_json(const report *r, FILE *out)
{
    for (size_t i = 0; i < r->rounds->contender_count; i++) {
        summary raw;
        for (size_t m = 0; m < r->rounds->metric_count; m++)
            if (rounds_samples(r->rounds, i, m) != NULL)
                json_row(r, out, i, r->rounds->metrics[m].name, r->rounds->metrics[m].unit, measured(r, i, m));
        json_row(r, out, i, "speedup", "x", speed_up(r, i));
        if (against_raw(r, i, &raw))
            json_row(r, out, i, "speedup_vs_raw", "x", raw);
        json_row(r, out, i, "efficiency", "ratio", efficiency(r, i));
    }
}

void
report_write(const report *r, FILE *json, FILE *svg)
{
    bool stdout_is_taken = json == stdout || svg == stdout;

    report_print(r, stdout_is_taken ? stderr : stdout, terminal_has_utf8());
    if (json != NULL)
        report_json(r, json);
    if (svg != NULL) {
        chart c;
        char buffers[3][256];
        make_chart(r, &c, buffers);
        chart_svg(&c, svg);
    }
}
