/* cfutures/deadline.h - points in time at which a wait gives up.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: detail/os.h.  Included by: everything that waits.
 *
 * A deadline is absolute (nanoseconds of CLOCK_MONOTONIC), not a span: a wait that loops, or calls another
 * wait, passes it on as it is and can't add up to more than was asked for. */
#ifndef CFUTURES_DEADLINE_H
#define CFUTURES_DEADLINE_H

#include "detail/os.h"

/** A point in time, for deadlines: nanoseconds of CLOCK_MONOTONIC. */
typedef int64_t cf_time;

#define CF_FOREVER INT64_MAX               /* wait without a limit */
#define CF_NOW CF__STATIC_CAST(cf_time, 1) /* don't wait: look once.  In the past, yet not 0, an option's default */

/** The deadline `nanoseconds` from now; in the past for a negative one, CF_FOREVER when it would overflow. */
CF_API cf_time cf_after_ns(int64_t nanoseconds);

/** The deadline `milliseconds` from now; in the past for a negative one, CF_FOREVER when it would overflow. */
CF_API cf_time cf_after_ms(int64_t milliseconds);

/** Whether `deadline` has passed. */
CF_API bool cf_passed(cf_time deadline);

#if CF__BODIES

CF_API cf_time
cf_after_ns(int64_t nanoseconds)
{
    int64_t now = cf__os_now();
    if (nanoseconds > INT64_MAX - now)
        return CF_FOREVER;
    return CF__MAX(now + nanoseconds, CF_NOW);
}

CF_API cf_time
cf_after_ms(int64_t milliseconds)
{
    if (milliseconds > INT64_MAX / 1000000)
        return CF_FOREVER;
    if (milliseconds < 0)
        return CF_NOW;
    return cf_after_ns(milliseconds * 1000000);
}

CF_API bool
cf_passed(cf_time deadline)
{
    return deadline != CF_FOREVER && (deadline <= CF_NOW || cf__os_now() >= deadline);
}

#endif /* CF__BODIES */

#endif
