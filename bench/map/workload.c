/* bench/map/workload.c - see workload.h.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <inttypes.h>
#include <string.h>

bool
check_results(const char *who, const struct workload *w)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < w->count; i++)
        sum += w->out[i] * (i + 1); /* the order counts */
    memset(w->out, 0, w->count * sizeof *w->out);
    return sum == w->expected || complain("%s: wrong sum %" PRIu64 ", expected %" PRIu64, who, sum, w->expected);
}
