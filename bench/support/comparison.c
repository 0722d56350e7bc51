/* bench/support/comparison.c - see comparison.h.
 * SPDX-License-Identifier: MIT */
#include "comparison.h"

#include "chart.h"
#include "table.h"

/* The contender that metric `m` is compared with. */
static size_t
reference(const rounds *rs, size_t m)
{
    return rs->metrics[m].against != NULL ? rounds_find(rs, rs->metrics[m].against) : 0;
}

/* value / reference's value, round by round; with `better`, how many times better.  False where that says nothing. */
static bool
ratio(const rounds *rs, size_t i, size_t m, bool better, summary *out)
{
    size_t ref = reference(rs, m);
    if (ref == i || ref == rs->contender_count || rs->metrics[m].no_ratio)
        return false;
    const double *mine = rounds_samples(rs, i, m), *theirs = rounds_samples(rs, ref, m);
    if (mine == NULL || theirs == NULL)
        return false;
    *out = better && !rs->metrics[m].more_is_better ? summarize_ratio(theirs, mine, rs->repeats)
                                                    : summarize_ratio(mine, theirs, rs->repeats);
    return true;
}

static void
fill_row(const comparison *c, size_t i, size_t m, bool first, char cells[TABLE_COLUMNS][TABLE_CELL])
{
    const rounds *rs = c->rounds;
    summary measured = summarize(rounds_samples(rs, i, m), rs->repeats), r;

    snprintf(cells[0], TABLE_CELL, "%s", first ? rs->metrics[m].heading : "");
    snprintf(cells[1], TABLE_CELL, "%s", rs->contenders[i]->name);
    figure(cells[2], measured.median);
    figure_range(cells[3], measured);
    if (rs->contenders[i]->remark[m] != NULL)
        snprintf(cells[4], TABLE_CELL, "%s", rs->contenders[i]->remark[m]);
    else if (ratio(rs, i, m, c->speed_up, &r))
        snprintf(cells[4], TABLE_CELL, "%.*f x", r.median < 0.1 ? 3 : 2, r.median);
    else if (reference(rs, m) == i && !rs->metrics[m].no_ratio)
        snprintf(cells[4], TABLE_CELL, "1");
}

static void
print(const comparison *c, FILE *out)
{
    const char *const headings[] = {"", "", "median", "min - max", c->speed_up ? "speed-up" : "ratio"};
    const rounds *rs = c->rounds;
    table t = {.rows = 1, .columns = sizeof headings / sizeof *headings, .names = 2};

    for (size_t i = 0; i < t.columns; i++)
        snprintf(t.cells[0][i], TABLE_CELL, "%s", headings[i]);
    for (size_t m = 0; m < rs->metric_count; m++) {
        bool first = true;
        for (size_t i = 0; i < rs->contender_count && t.rows < TABLE_ROWS; i++)
            if (rounds_samples(rs, i, m) != NULL) {
                fill_row(c, i, m, first, t.cells[t.rows++]);
                first = false;
            }
    }
    fprintf(out, "\n%s\n%s\n%s\n%s\n\n", c->title, c->subtitle, c->machine->processor, c->machine->compiler);
    table_print(&t, out);
    if (c->note != NULL)
        fprintf(out, "\n%s\n", c->note);
}

static void
write_json(const comparison *c, FILE *out)
{
    const rounds *rs = c->rounds;
    for (size_t m = 0; m < rs->metric_count; m++)
        for (size_t i = 0; i < rs->contender_count; i++) {
            const contender *who = rs->contenders[i];
            unsigned workers = who->one_worker ? 1 : c->workers;
            char name[64];
            summary r;
            if (rounds_samples(rs, i, m) == NULL)
                continue;
            json_row(out, c->workload, who->name, workers, c->machine, rs->metrics[m].name, rs->metrics[m].unit,
                     summarize(rounds_samples(rs, i, m), rs->repeats));
            snprintf(name, sizeof name, "%s_ratio", rs->metrics[m].name);
            if (ratio(rs, i, m, false, &r))
                json_row(out, c->workload, who->name, workers, c->machine, name, "x", r);
        }
}

static void
write_svg(const comparison *c, FILE *out)
{
    const rounds *rs = c->rounds;
    char machine_line[256], build_line[256], labels[CHART_MAX_BARS][96], axis[128];
    const char *name = rs->contenders[0]->name; /* of what all are compared with, if it's one */
    for (size_t m = 0; m < rs->metric_count; m++)
        if (reference(rs, m) != 0)
            name = "the reference";
    snprintf(axis, sizeof axis, "times as good as %s (longer is better; whiskers: worst and best round)", name);
    chart plot = {
        .title = c->title,
        .subtitle = c->subtitle,
        .axis = axis,
        .symbol = "×",
        .ideal = 1,
        .ideal_label = name,
        .columns = {"ratio", "measured", name},
        .column_count = 3,
        .footer = {machine_line, build_line},
    };
    machine_lines(c->machine, machine_line, build_line, sizeof machine_line);
    for (size_t m = 0; m < rs->metric_count; m++) {
        bool first = true;
        for (size_t i = 0; i < rs->contender_count && plot.bar_count < CHART_MAX_BARS; i++) {
            chart_bar *b = &plot.bars[plot.bar_count];
            if (!ratio(rs, i, m, true, &b->value))
                continue;
            snprintf(labels[plot.bar_count], sizeof *labels, "%s: %s", rs->metrics[m].caption, rs->contenders[i]->name);
            b->label = labels[plot.bar_count++];
            b->ours = rs->contenders[i]->ours;
            b->gap_above = first;
            first = false;
            snprintf(b->cells[0], CHART_CELL, "%.2f×", b->value.median);
            figure_with_unit(b->cells[1], CHART_CELL, summarize(rounds_samples(rs, i, m), rs->repeats).median,
                             rs->metrics[m].unit);
            figure_with_unit(b->cells[2], CHART_CELL,
                             summarize(rounds_samples(rs, reference(rs, m), m), rs->repeats).median,
                             rs->metrics[m].unit);
        }
    }
    chart_svg(&plot, out);
}

void
comparison_write(const comparison *c, FILE *json, FILE *svg)
{
    print(c, json == stdout || svg == stdout ? stderr : stdout);
    if (json != NULL)
        write_json(c, json);
    if (svg != NULL)
        write_svg(c, svg);
}
