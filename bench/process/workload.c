/* bench/process/workload.c - see workload.h.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <stdlib.h>
#include <time.h>

double
median_of(double *times, long n)
{
    return summarize(times, (size_t)n).median;
}

static int
compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double
quantile_of(double *times, long n, double quantile)
{
    qsort(times, (size_t)n, sizeof *times, compare_doubles);
    return times[(size_t)((double)(n - 1) * quantile + 0.5)];
}

void
pause_100us(void)
{
    const struct timespec pause = {0, 100000};
    nanosleep(&pause, NULL);
}
