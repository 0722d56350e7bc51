/* cfutures/detail/park.h - sleep until a word changes: the only way to sleep in this library.
 * SPDX-License-Identifier: MIT
 * LAYER 1.  Includes: atomic.h, os.h, deadline.h.  Included by: event.h, the process pool.
 *
 * TWO BACK ENDS  Futexes; or, with CF_USE_CONDVAR, a condition variable for each sleeper.  What is common to both is
 *   the bell: of one sleeper, rung once by one waker; lines of sleepers (event.h) and words with any number of them
 *   (place.h) are made of bells.
 *
 * HOW A WORD WORKS (futexes)  The sleeper has seen `value` in the word and found that it must wait.  The waker first
 *   changes the word, then calls unpark.  The kernel compares the word with `value` under its own lock before it puts
 *   the sleeper to bed, so a change before that isn't slept through and a change after it is followed by the wake.
 *
 *       sleeper   load w; must wait?   -> park(w, value): kernel compares, sleeps
 *       waker     store w = new        -> unpark(w): kernel wakes who sleeps on w
 *
 * HOW A BELL WORKS  The waker marks it while it holds the mutex under which it found the sleeper, and rings it later,
 *   without: a woken sleeper shall not run into that mutex.
 *
 *       futex     one word: mark stores 1, ring wakes.  The sleeper may leave as soon as it's marked, so ring uses only
 *                 the address of a bell that may be gone.
 *       condvar   ring: lock; rung = true; signal; unlock.  Who was marked stays until it was rung, for ring uses the
 *                 bell itself: so between mark and ring the waker must not wait for anything that the sleeper holds.
 *                 One sleeper and one signal in a condition variable's whole life: there is nobody to take its wake.
 *
 * ORDERING
 *   [P1] mark -> the sleeper's look at `marked`   release / acquire; both hold the owner's mutex at some time, so this
 *        edge only lets the sleeper stop parking.
 * WHO OWES THE WAKE  whoever changes the word, after each change that a sleeper may wait for.  It may skip the
 *   system call if it knows that nobody sleeps: the words of this library keep a bit for "somebody may sleep here",
 *   set by the sleeper in the same word, in one atomic step with the look at the rest.
 * A RETURN PROMISES NOTHING  signals and stray wakes end a park; callers loop, and look at the word.
 * CANCELLATION  No sleep here is a cancellation point: pthread_cancel() of a sleeper takes effect after its return.
 * SPINNING before a park is the business of who parks: it pays where the other side is at work on another CPU, for a wake
 *   across CPUs costs 20 to 60 us, and costs dearly where it needs ours (worker.h, process_pool.h).
 * REJECTED  For condition variables a global table of sleepers by address ("parking lot"): no caller would change, but a
 *   plugin with a table of its own would sleep where nobody rings. */
#ifndef CFUTURES_DETAIL_PARK_H
#define CFUTURES_DETAIL_PARK_H

#include "../deadline.h"
#include "atomic.h"

/* One sleeper's; on its own stack. */
typedef struct cf__bell {
    uint32_t marked; /* A: 1 when its ring is on the way */
#if !CF__FUTEX
    bool rung; /* M under mutex */
    cf__mutex mutex;
    cf__cond cond;
#endif
} cf__bell;

#if CF__BODIES

#if CF__FUTEX

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

#endif /* CF__FUTEX */

CF__PRIVATE void
cf__bell_init(cf__bell *bell)
{
    cf__store_relaxed(&bell->marked, 0u); /* relaxed: who hands the bell out publishes it */
#if !CF__FUTEX
    bell->rung = false;
    cf__mutex_init(&bell->mutex);
    cf__cond_init(&bell->cond);
#endif
}

/* For the waker, once, with the mutex held under which it found the sleeper: cf__bell_ring() is to follow. */
CF__PRIVATE void
cf__bell_mark(cf__bell *bell)
{
    cf__store_release(&bell->marked, 1u); /* release [P1] */
}

/* Sleeps until the bell is rung, or (futex) at least marked, or `deadline`. */
CF__PRIVATE void
cf__bell_wait(cf__bell *bell, cf_time deadline)
{
    bool in_time = true;
#if CF__FUTEX
    /* acquire [P1]; relaxed would do, for the mutex follows, but costs the same. */
    while (in_time && cf__load_acquire(&bell->marked) == 0)
        in_time = cf__park(&bell->marked, 0, deadline, CF__SCOPE_PRIVATE);
#else
    cf__mutex_lock(&bell->mutex);
    while (in_time && !bell->rung)
        in_time = cf__cond_wait(&bell->cond, &bell->mutex, deadline);
    cf__mutex_unlock(&bell->mutex);
#endif
}

/* For who has marked it.  With futexes the bell may be gone by now. */
CF__PRIVATE void
cf__bell_ring(cf__bell *bell)
{
#if CF__FUTEX
    (void)cf__unpark_one(&bell->marked, CF__SCOPE_PRIVATE);
#else
    cf__mutex_lock(&bell->mutex);
    bell->rung = true;
    cf__cond_signal(&bell->cond); /* before the unlock, after which the sleeper may leave with the bell */
    cf__mutex_unlock(&bell->mutex);
#endif
}

/* The sleeper leaves; the mutex is held under which wakers find it, and none finds it any more.  Returns whether one has
 * marked it. */
CF__PRIVATE bool
cf__bell_leave(cf__bell *bell)
{
    bool marked = cf__load_relaxed(&bell->marked) != 0; /* relaxed: written under the mutex, which we hold */
#if !CF__FUTEX
    if (marked)
        cf__bell_wait(bell, CF_FOREVER); /* mostly it was rung, which is why we're here */
    cf__cond_destroy(&bell->cond);
    cf__mutex_destroy(&bell->mutex);
#endif
    return marked;
}

#endif /* CF__BODIES */

#endif
