/* cfutures/detail/limits.h - what a task may take, as its executor sees it.
 * SPDX-License-Identifier: MIT
 * LAYER 2.  Includes: os.h, ../account.h.  Included by: task_type.h, slot.h.
 *
 * On processes the template looks after them, and kills (ladder.h).  On threads nobody can; there a task's own
 *   cf_cancelled() compares with the clock, which needs no thread of ours and no timer. */
#ifndef CFUTURES_DETAIL_LIMITS_H
#define CFUTURES_DETAIL_LIMITS_H

#include "../account.h"
#include "os.h"

/* 0 in any field: no such limit, or no such step.  What each means is said in cf_submit_opts. */
typedef struct cf__limits {
    int64_t start_by; /* a deadline */
    uint64_t memory;  /* bytes */
    uint32_t time_ms, cpu_ms, stall_ms;
    uint32_t stop_grace_ms, signal_grace_ms, term_grace_ms;
    uint32_t retries;
} cf__limits;

#if CF__BODIES

#define CF__NEVER INT64_MAX

CF__PRIVATE int64_t
cf__milliseconds(uint32_t milliseconds)
{
    return CF__STATIC_CAST(int64_t, milliseconds) * 1000000;
}

CF__PRIVATE bool
cf__limits_any(const cf__limits *limits)
{
    return limits->start_by != 0 || limits->memory != 0 || limits->time_ms != 0 || limits->cpu_ms != 0 ||
           limits->stall_ms != 0 || limits->retries != 0;
}

/* When a look at a task is due that has run since `started`, noted its progress at `noted` (0: never), and has taken
 * `cpu` nanoseconds of CPU time until `now`; if that isn't later than `now`, *passed is the limit it has passed. */
CF__PRIVATE int64_t
cf__limits_due(const cf__limits *limits, int64_t started, int64_t noted, int64_t cpu, int64_t now, cf_limit *passed)
{
    int64_t due = CF__NEVER;
    if (limits->time_ms != 0 && started + cf__milliseconds(limits->time_ms) < due) {
        due = started + cf__milliseconds(limits->time_ms);
        *passed = CF_LIMIT_TIME;
    }
    /* One thread can't have taken the rest before that; several are seen a little late. */
    if (limits->cpu_ms != 0 && now + cf__milliseconds(limits->cpu_ms) - cpu < due) {
        due = now + cf__milliseconds(limits->cpu_ms) - cpu;
        *passed = CF_LIMIT_CPU;
    }
    if (limits->stall_ms != 0 && CF__MAX(started, noted) + cf__milliseconds(limits->stall_ms) < due) {
        due = CF__MAX(started, noted) + cf__milliseconds(limits->stall_ms);
        *passed = CF_LIMIT_STALL;
    }
    return due;
}

#endif /* CF__BODIES */

#endif
