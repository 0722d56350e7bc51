/* cfutures/detail/park.h - sleep until a word changes: the only way to sleep in this library.
 * SPDX-License-Identifier: MIT
 * LAYER 1.  Includes: atomic.h, os.h, deadline.h.  Included by: event.h, future.h, the pools.
 *
 * HOW IT WORKS  The sleeper has seen `value` in the word and found that it must wait.  The waker first changes the
 *   word, then calls unpark.  The kernel compares the word with `value` under its own lock before it puts the
 *   sleeper to bed, so a change before that isn't slept through and a change after it is followed by the wake.
 *
 *       sleeper   load w; must wait?   -> park(w, value): kernel compares, sleeps
 *       waker     store w = new        -> unpark(w): kernel wakes who sleeps on w
 *
 * WHO OWES THE WAKE  whoever changes the word, after each change that a sleeper may wait for.  It may skip the
 *   system call if it knows that nobody sleeps: the words of this library keep a bit for "somebody may sleep here",
 *   set by the sleeper in the same word, in one atomic step with the look at the rest.
 * A RETURN PROMISES NOTHING  signals and stray wakes end a park; callers loop, and look at the word.
 * SPINNING before a park is the business of who parks: it pays where the other side is at work on another CPU, for a wake
 *   across CPUs costs 20 to 60 us, and costs dearly where it needs ours (worker.h, process_pool.h). */
#ifndef CFUTURES_DETAIL_PARK_H
#define CFUTURES_DETAIL_PARK_H

#include "../deadline.h"
#include "atomic.h"

#if CF__BODIES

/* Sleeps while *word == value; returns false when `deadline` has passed, true when it is worth looking
 * again (which may be at once). */
CF__PRIVATE bool
cf__park(const uint32_t *word, uint32_t value, cf_time deadline, cf__scope scope)
{
    if (deadline != CF_FOREVER && cf_passed(deadline))
        return false;
    return cf__os_futex_wait(word, value, deadline, scope);
}

/* Wakes one, or all, who sleep on `word`.  The object that the word was part of may be gone by now: only the
 * address is used.  Returns how many were woken. */
CF__PRIVATE int
cf__unpark_one(const uint32_t *word, cf__scope scope)
{
    return cf__os_futex_wake(word, 1, scope);
}

CF__PRIVATE int
cf__unpark_all(const uint32_t *word, cf__scope scope)
{
    return cf__os_futex_wake(word, INT_MAX, scope);
}

#endif /* CF__BODIES */

#endif
