/* bench/process/workload.c - see workload.h.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <time.h>

double
median_of(double *times, long n)
{
    return summarize(times, (size_t)n).median;
}

void
pause_100us(void)
{
    const struct timespec pause = {0, 100000};
    nanosleep(&pause, NULL);
}
