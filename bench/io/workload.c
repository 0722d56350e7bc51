/* bench/io/workload.c - see workload.h.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <errno.h>
#include <time.h>

long
wait_for_answer(int milliseconds)
{
    struct timespec left = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue; /* a signal: wait for the rest */
    return milliseconds;
}

bool
check_sum(const char *who, const struct workload *w, long sum)
{
    long expected = w->tasks * w->milliseconds;
    return sum == expected || complain("%s: wrong sum %ld, expected %ld", who, sum, expected);
}
