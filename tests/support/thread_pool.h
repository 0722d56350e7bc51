/* tests/support/thread_pool.h - what tests of thread pools share: a look inside, under the pool's mutex.
 * SPDX-License-Identifier: MIT */
#ifndef CFUTURES_TESTS_THREAD_POOL_H
#define CFUTURES_TESTS_THREAD_POOL_H

#include "support.h"

#include <cfutures.h>

SUPPORT cf__thread_pool *
inside(cf_executor *pool)
{
    return CF__POINTER_CAST(cf__thread_pool *, pool);
}

/* How many threads it has. */
SUPPORT unsigned
living(cf_executor *pool)
{
    cf__mutex_lock(&inside(pool)->mutex);
    unsigned n = inside(pool)->living;
    cf__mutex_unlock(&inside(pool)->mutex);
    return n;
}

/* And how many of these are in a wait. */
SUPPORT unsigned
blocked(cf_executor *pool)
{
    cf__mutex_lock(&inside(pool)->mutex);
    unsigned n = inside(pool)->blocked;
    cf__mutex_unlock(&inside(pool)->mutex);
    return n;
}

#endif
