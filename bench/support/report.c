/* bench/support/report.c - see report.h.
 * SPDX-License-Identifier: MIT */
#include "report.h"

#include "chart.h"
#include "table.h"

#include <string.h>

enum { TIME = 0 };

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

/* ---- the table ---- */

static void
fill_row(const report *r, size_t i, char cells[TABLE_COLUMNS][TABLE_CELL])
{
    summary time = measured(r, i, TIME), raw;
    size_t at = 0;

    snprintf(cells[at++], TABLE_CELL, "%s", who(r, i)->name);
    figure(cells[at++], time.median);
    figure_range(cells[at++], time);
    snprintf(cells[at++], TABLE_CELL, "%.2f", speed_up(r, i).median);
    if (against_raw(r, i, &raw))
        snprintf(cells[at++], TABLE_CELL, "%.3f", raw.median);
    else
        snprintf(cells[at++], TABLE_CELL, "-");
    snprintf(cells[at++], TABLE_CELL, "%.0f%%", efficiency(r, i).median * 100);
    for (size_t m = TIME + 1; m < r->rounds->metric_count; m++, at++)
        if (rounds_samples(r->rounds, i, m) != NULL)
            figure(cells[at], measured(r, i, m).median);
        else
            snprintf(cells[at], TABLE_CELL, "-");
}

static void
print_table(const report *r, FILE *out)
{
    static const char *const derived[] = {"min - max", "speed-up", "vs raw", "efficiency"};
    table t = {.rows = r->rounds->contender_count + 1, .names = 1};
    size_t at = 1;

    snprintf(t.cells[0][at++], TABLE_CELL, "%s", r->rounds->metrics[TIME].heading);
    for (size_t i = 0; i < sizeof derived / sizeof *derived; i++)
        snprintf(t.cells[0][at++], TABLE_CELL, "%s", derived[i]);
    for (size_t m = TIME + 1; m < r->rounds->metric_count; m++)
        snprintf(t.cells[0][at++], TABLE_CELL, "%s", r->rounds->metrics[m].heading);
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

static void
make_chart(const report *r, chart *c, char buffers[3][256])
{
    const rounds *rs = r->rounds;

    snprintf(buffers[0], sizeof buffers[0], "ideal: %.3g (%s)", r->ideal, r->ideal_why);
    machine_lines(r->machine, buffers[1], buffers[2], sizeof buffers[1]);
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
                figure_with_unit(b->cells[m + 1], CHART_CELL, measured(r, i, m).median, rs->metrics[m].unit);
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
row(const report *r, FILE *out, size_t i, const char *name, const char *unit, summary s)
{
    json_row(out, r->workload, who(r, i)->name, workers_of(r, i), r->machine, name, unit, s);
}

void
report_json(const report *r, FILE *out)
{
    for (size_t i = 0; i < r->rounds->contender_count; i++) {
        summary raw;
        for (size_t m = 0; m < r->rounds->metric_count; m++)
            if (rounds_samples(r->rounds, i, m) != NULL)
                row(r, out, i, r->rounds->metrics[m].name, r->rounds->metrics[m].unit, measured(r, i, m));
        row(r, out, i, "speedup", "x", speed_up(r, i));
        if (against_raw(r, i, &raw))
            row(r, out, i, "speedup_vs_raw", "x", raw);
        row(r, out, i, "efficiency", "ratio", efficiency(r, i));
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
