/* bench/support/stats.h - the clock, and what we say about a series of measurements.
 * SPDX-License-Identifier: MIT
 *
 * A row is a median with the smallest and the largest value beside it.  No mean and no standard deviation: a
 * machine that others use too has a long tail on one side only.
 * Two contenders are compared round by round (the ratio of two neighbours in time, then the median of
 * the ratios), so that a machine that slows down for ten seconds slows both down. */
#ifndef BENCH_STATS_H
#define BENCH_STATS_H

#include <stddef.h>
#include <stdint.h>

typedef struct summary {
    double median, min, max;
    size_t runs;
} summary;

/** Nanoseconds on the monotonic clock. */
int64_t now_ns(void);

/** Seconds since `start_ns`, a value of now_ns(). */
double seconds_since(int64_t start_ns);

/** Median, minimum and maximum of `values[0 .. n)`; n > 0. */
summary summarize(const double *values, size_t n);

/** That one of `values[0 .. n)`, which are sorted in place, below which a share of `quantile` lies; n > 0. */
double quantile_of(double *values, size_t n, double quantile);

/** summarize() of the n ratios `over[i] / under[i]`. */
summary summarize_ratio(const double *over, const double *under, size_t n);

/** calloc() that ends the program, with a message, when there is no memory. */
void *checked_calloc(size_t count, size_t size);

#endif
