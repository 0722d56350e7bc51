/* bench/support/rounds.c - see rounds.h.
 * SPDX-License-Identifier: MIT */
#include "rounds.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* On a terminal one line that changes, elsewhere (a log) one line for each round. */
static void
show_progress(const rounds *r, size_t round, const char *name, bool first_of_round)
{
    bool live = isatty(STDERR_FILENO);
    char at[48] = "warm-up";

    if (round > 0)
        snprintf(at, sizeof at, "round %zu of %zu", round, r->repeats);
    if (live)
        fprintf(stderr, "\r\033[K%s: %s", at, name);
    else if (first_of_round)
        fprintf(stderr, "%s\n", at);
}

static void
end_progress(void)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
}

bool
complain(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    end_progress();
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    return false;
}

static double *
sample(const rounds *r, size_t contender_index, size_t metric_index, size_t repeat)
{
    return &r->samples[(contender_index * r->metric_count + metric_index) * r->repeats + repeat];
}

bool
rounds_run(rounds *r, const struct workload *w)
{
    r->samples = checked_calloc(r->contender_count * r->metric_count * r->repeats, sizeof *r->samples);
    for (size_t round = 0; round <= r->repeats; round++) { /* round 0 warms up */
        for (size_t what = 0; what < r->metric_count; what++) {
            for (size_t turn = 0; turn < r->contender_count; turn++) {
                size_t who = (round + turn) % r->contender_count;
                const contender *c = r->contenders[who];
                double value;
                show_progress(r, round, c->name, what == 0 && turn == 0);
                if (c->measure[what] == NULL)
                    continue;
                if (!c->measure[what](w, &value))
                    return complain("%s failed: %s", c->name, r->metrics[what].name);
                if (round > 0)
                    *sample(r, who, what, round - 1) = value;
            }
        }
    }
    end_progress();
    return true;
}

void
rounds_free(rounds *r)
{
    free(r->samples);
    r->samples = NULL;
}

const double *
rounds_samples(const rounds *r, size_t contender_index, size_t metric_index)
{
    if (r->contenders[contender_index]->measure[metric_index] == NULL)
        return NULL;
    return sample(r, contender_index, metric_index, 0);
}

size_t
rounds_find(const rounds *r, const char *name)
{
    size_t i = 0;
    while (i < r->contender_count && strcmp(r->contenders[i]->name, name) != 0)
        i++;
    return i;
}
