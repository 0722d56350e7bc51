/* bench/support/rounds.h - run contenders side by side and keep every sample.
 * SPDX-License-Identifier: MIT
 *
 * HOW  One round takes each metric once, and for it every contender, one after the other; the next round begins
 *   with the next contender.  Whatever drifts (clock frequency, neighbours on the machine) so hits all alike.
 *   The first round warms up and isn't counted.
 * A bench defines `struct workload` (what is to be done) and its contenders; nothing here looks into it. */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H

#include "stats.h"

#include <stdbool.h>
#include <stddef.h>

struct workload;

/* A quantity that is measured.  The first of a bench is the time of the whole job; speed-ups are made of it. */
typedef struct metric {
    const char *name;    /* in JSON: "startup" */
    const char *unit;    /* in JSON: "ms" */
    const char *heading; /* in tables: "start-up, ms" */
    const char *caption; /* in plots: "start-up" */
    /* For comparison.h only. */
    const char *against; /* name of the contender that the others are compared with; NULL: the first */
    bool more_is_better; /* a throughput, say; otherwise it's a time, or another cost */
    bool no_ratio;       /* next to nothing, for which a ratio says nothing */
} metric;

enum { MAX_METRICS = 16 };

typedef struct contender {
    const char *name;    /* "cfutures threads" */
    const char *against; /* name of the contender that is its limit; NULL: none */
    bool ours;           /* drawn in colour */
    bool one_worker;     /* it doesn't use workers, as the serial one */
    /* Do the work, check the answer, write what was measured, in the metric's unit.  False, after a message
     * on stderr, if the answer is wrong or something failed.  NULL: has no such metric. */
    bool (*measure[MAX_METRICS])(const struct workload *w, double *value);
    const char *remark[MAX_METRICS]; /* for comparison.h: said in place of a ratio; NULL: nothing */
} contender;

typedef struct rounds {
    const contender *const *contenders; /* [0] is what speed-ups refer to */
    size_t contender_count;
    const metric *metrics;
    size_t metric_count;
    size_t repeats;
    double *samples; /* [contender][metric][repeat]; owned */
} rounds;

/** Measure everything.  Returns false, after a message, as soon as a contender fails. */
bool rounds_run(rounds *r, const struct workload *w);

void rounds_free(rounds *r);

/** Print why a contender failed, on a line of its own.  Returns false, so that `return complain(...)` reads well. */
bool complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

/** The samples of one contender and metric, r->repeats of them; NULL if it has no such metric. */
const double *rounds_samples(const rounds *r, size_t contender_index, size_t metric_index);

/** The index of the contender called `name`; r->contender_count if there is none. */
size_t rounds_find(const rounds *r, const char *name);

#endif
