/* bench/support/stats.c - see stats.h.
 * SPDX-License-Identifier: MIT */
#include "stats.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int64_t
now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

double
seconds_since(int64_t start_ns)
{
    return (double)(now_ns() - start_ns) * 1e-9;
}

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double
quantile_of(double *values, size_t n, double quantile)
{
    qsort(values, n, sizeof *values, compare_doubles);
    return values[(size_t)((double)(n - 1) * quantile + 0.5)];
}

summary
summarize(const double *values, size_t n)
{
    double *sorted = checked_calloc(n, sizeof *sorted);
    for (size_t i = 0; i < n; i++)
        sorted[i] = values[i];
    qsort(sorted, n, sizeof *sorted, compare_doubles);

    summary s = {
        .median = (sorted[(n - 1) / 2] + sorted[n / 2]) / 2,
        .min = sorted[0],
        .max = sorted[n - 1],
        .runs = n,
    };
    free(sorted);
    return s;
}

summary
summarize_ratio(const double *over, const double *under, size_t n)
{
    double *ratios = checked_calloc(n, sizeof *ratios);
    for (size_t i = 0; i < n; i++)
        ratios[i] = over[i] / under[i];
    summary s = summarize(ratios, n);
    free(ratios);
    return s;
}

void *
checked_calloc(size_t count, size_t size)
{
    void *p = calloc(count, size);
    if (p == NULL) {
        fprintf(stderr, "out of memory (%zu x %zu bytes)\n", count, size);
        exit(1);
    }
    return p;
}
