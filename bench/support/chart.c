/* bench/support/chart.c - see chart.h.
 * SPDX-License-Identifier: MIT */
#include "chart.h"

#include <string.h>

/* What the longest thing on the axis is: a whisker or the ideal line. */
static double
chart_extent(const chart *c)
{
    double extent = c->ideal;
    for (size_t i = 0; i < c->bar_count; i++)
        extent = c->bars[i].value.max > extent ? c->bars[i].value.max : extent;
    return extent > 0 ? extent : 1;
}

/* ---- characters ---- */

enum { BAR_CELLS = 48 };

static void
print_bar(const chart *c, const chart_bar *b, FILE *out, bool utf8, double extent)
{
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    int units = (int)(b->value.median / extent * BAR_CELLS * 8 + 0.5);
    int full = utf8 ? units / 8 : (units + 4) / 8;
    int ideal_at = c->ideal > 0 ? (int)(c->ideal / extent * BAR_CELLS) : -1;
    int at = full;

    for (int i = 0; i < full; i++)
        fputs(utf8 ? "█" : "#", out);
    if (utf8 && units % 8 != 0) {
        fputs(eighths[units % 8], out);
        at++;
    }
    for (; at <= BAR_CELLS; at++)
        fputs(at != ideal_at ? " " : utf8 ? "┊" : "|", out);
    fprintf(out, "  %.2f\n", b->value.median);
}

void
chart_print(const chart *c, FILE *out, bool utf8)
{
    double extent = chart_extent(c);
    int label_width = 0;

    for (size_t i = 0; i < c->bar_count; i++) {
        int length = (int)strlen(c->bars[i].label);
        label_width = length > label_width ? length : label_width;
    }
    for (size_t i = 0; i < c->bar_count; i++) {
        fprintf(out, "  %-*s  ", label_width, c->bars[i].label);
        print_bar(c, &c->bars[i], out, utf8, extent);
    }
    if (c->ideal > 0)
        fprintf(out, "  %*s  %*s%s %s\n", label_width, "", (int)(c->ideal / extent * BAR_CELLS), "", utf8 ? "┊" : "|",
                c->ideal_label);
}

/* ---- SVG ---- */

enum {
    WIDTH = 880,
    MARGIN = 32,
    PLOT_LEFT = 196, /* or more, for long labels */
    LETTER = 8,
    PLOT_TOP = 118,
    ROW = 38,
    BAR = 22,
    GROUP_GAP = 14,
    COLUMNS_RIGHT = WIDTH - MARGIN,
    COLUMN = 80,
};

/* The colours stand in a style sheet, twice: a viewer with a dark page takes the second set.  The card has its own
 * background, so a viewer that knows nothing of this shows the light one legibly on any page. */
static const char svg_style[] =
    "  <style>\n"
    "    text { font-family: system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu "
    "Sans', sans-serif; font-size: 13px; fill: #1f2933 }\n"
    "    .card { fill: #ffffff; stroke: #dfe4ea }\n"
    "    .title { font-size: 21px; font-weight: 650 }\n"
    "    .muted { fill: #66727f }\n"
    "    .small { font-size: 11.5px }\n"
    "    .figure { text-anchor: end; font-variant-numeric: tabular-nums }\n"
    "    .strong { font-weight: 650 }\n"
    "    .grid { stroke: #e9edf1; stroke-width: 1 }\n"
    "    .axis { stroke: #9aa5b1; stroke-width: 1 }\n"
    "    .peer { fill: #b9c3cd }\n"
    "    .ours { fill: #1f7a8c }\n"
    "    .ours-text { fill: #176271 }\n"
    "    .whisker { stroke: #1f2933; stroke-width: 1.5; fill: none }\n"
    "    .ideal { stroke: #d9730d; stroke-width: 1.5; stroke-dasharray: 5 4 }\n"
    "    .ideal-text { fill: #b45b06 }\n"
    "    @media (prefers-color-scheme: dark) {\n"
    "      text { fill: #e6ebf0 }\n"
    "      .card { fill: #12171d; stroke: #2a323b }\n"
    "      .muted { fill: #94a1ae }\n"
    "      .grid { stroke: #222a32 }\n"
    "      .axis { stroke: #5b6773 }\n"
    "      .peer { fill: #4a5662 }\n"
    "      .ours { fill: #2fa4b9 }\n"
    "      .ours-text { fill: #5cc4d6 }\n"
    "      .whisker { stroke: #e6ebf0 }\n"
    "      .ideal { stroke: #f0953f }\n"
    "      .ideal-text { fill: #f0a35c }\n"
    "    }\n"
    "  </style>\n";

static void
svg_escaped(FILE *out, const char *text)
{
    for (; *text != '\0'; text++)
        switch (*text) {
        case '&':
            fputs("&amp;", out);
            break;
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
}

static void
svg_text(FILE *out, double x, double y, const char *class_names, const char *anchor, const char *text)
{
    fprintf(out, "  <text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">", x, y, class_names, anchor);
    svg_escaped(out, text);
    fputs("</text>\n", out);
}

static void
svg_line(FILE *out, const char *class_names, double x1, double y1, double x2, double y2)
{
    fprintf(out, "  <line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", class_names, x1, y1, x2,
            y2);
}

/* The distance of ticks that gives four to eight of them: 1, 2 or 5 times a power of ten. */
static double
tick_distance(double extent)
{
    double step = 1;
    while (extent / step > 8)
        step *= 10;
    while (extent / step < 0.8)
        step /= 10;
    if (extent / step < 1.6)
        return step / 5;
    return extent / step < 4 ? step / 2 : step;
}

/* Where the plot begins, to the right of the labels. */
static double
plot_left(const chart *c)
{
    size_t longest = 0;
    for (size_t i = 0; i < c->bar_count; i++)
        longest = strlen(c->bars[i].label) > longest ? strlen(c->bars[i].label) : longest;
    double needed = MARGIN + (double)longest * LETTER + 12;
    return needed > PLOT_LEFT ? needed : PLOT_LEFT;
}

/* Where `value` lies on the axis; the plot takes what the columns of figures leave. */
static double
svg_x(const chart *c, double value, double axis_end)
{
    double right = COLUMNS_RIGHT - (double)c->column_count * COLUMN - 8;
    return plot_left(c) + value / axis_end * (right - plot_left(c));
}

static void
svg_bar(const chart *c, const chart_bar *b, FILE *out, double y, double axis_end)
{
    double middle = y + BAR / 2.0;
    double low = svg_x(c, b->value.min, axis_end), high = svg_x(c, b->value.max, axis_end);

    svg_text(out, plot_left(c) - 12, middle + 4.5, b->ours ? "ours-text strong" : "", "end", b->label);
    fprintf(out, "  <rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%d\" rx=\"2\"><title>",
            b->ours ? "ours" : "peer", plot_left(c), y, svg_x(c, b->value.median, axis_end) - plot_left(c), BAR);
    svg_escaped(out, b->label);
    fprintf(out, ": %.2f%s (%.2f to %.2f, %zu rounds)</title></rect>\n", b->value.median, c->symbol, b->value.min,
            b->value.max, b->value.runs);
    if (high - low > 1) /* contender 0 against itself has none */
        fprintf(out, "  <path class=\"whisker\" d=\"M%.1f %.1fv8m0 -4H%.1fm0 -4v8\"/>\n", low, middle - 4, high);
    for (size_t i = 0; i < c->column_count; i++)
        svg_text(out, COLUMNS_RIGHT - (double)(c->column_count - 1 - i) * COLUMN, middle + 4.5,
                 i > 0     ? "figure muted"
                 : b->ours ? "figure strong ours-text"
                           : "figure strong",
                 "end", b->cells[i][0] != '\0' ? b->cells[i] : "–");
}

static void
svg_axis(const chart *c, FILE *out, double bottom, double step, double axis_end)
{
    for (int i = 0; i * step <= axis_end * 1.0001; i++) {
        char label[32];
        double x = svg_x(c, i * step, axis_end);
        svg_line(out, i == 0 ? "axis" : "grid", x, PLOT_TOP - 8, x, bottom);
        snprintf(label, sizeof label, "%g%s", i * step, i == 0 ? "" : c->symbol);
        svg_text(out, x, bottom + 18, "muted small", "middle", label);
    }
    svg_text(out, plot_left(c), bottom + 40, "muted", "start", c->axis);
}

void
chart_svg(const chart *c, FILE *out)
{
    double extent = chart_extent(c), step = tick_distance(extent);
    double axis_end = extent * 1.04, y = PLOT_TOP, bottom, height;

    bottom = PLOT_TOP;
    for (size_t i = 0; i < c->bar_count; i++)
        bottom += ROW + (c->bars[i].gap_above ? GROUP_GAP : 0);
    height = bottom + 112;

    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" height=\"%.0f\" "
            "role=\"img\">\n  <title>",
            WIDTH, height, WIDTH, height);
    svg_escaped(out, c->title);
    fprintf(out, "</title>\n%s", svg_style);
    fprintf(out, "  <rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"%d\" height=\"%.0f\" rx=\"10\"/>\n", WIDTH - 1,
            height - 1);
    svg_text(out, MARGIN, 42, "title", "start", c->title);
    svg_text(out, MARGIN, 65, "muted", "start", c->subtitle);

    for (size_t i = 0; i < c->column_count; i++)
        svg_text(out, COLUMNS_RIGHT - (double)(c->column_count - 1 - i) * COLUMN, PLOT_TOP - 14, "muted small", "end",
                 c->columns[i]);
    svg_axis(c, out, bottom, step, axis_end);
    for (size_t i = 0; i < c->bar_count; i++) {
        y += c->bars[i].gap_above ? GROUP_GAP : 0;
        svg_bar(c, &c->bars[i], out, y + (ROW - BAR) / 2.0, axis_end);
        y += ROW;
    }
    if (c->ideal > 0) {
        double x = svg_x(c, c->ideal, axis_end);
        svg_line(out, "ideal", x, PLOT_TOP - 8, x, bottom);
        svg_text(out, x, PLOT_TOP - 14, "ideal-text small", "end", c->ideal_label);
    }
    svg_line(out, "grid", MARGIN, height - 50, WIDTH - MARGIN, height - 50);
    svg_text(out, MARGIN, height - 31, "muted small", "start", c->footer[0]);
    svg_text(out, MARGIN, height - 14, "muted small", "start", c->footer[1]);
    fputs("</svg>\n", out);
}
