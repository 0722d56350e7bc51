/* cfutures/detail/event.h - a line of sleepers beside a mutex; the waker takes one off before it wakes it.
 * SPDX-License-Identifier: MIT
 * LAYER 1.  Includes: park.h.  Included by: queue.h, the pools.
 *
 * HOW IT WORKS  What is waited for is data under the owner's mutex.  A sleeper finds, under the mutex, that it must
 *   wait, joins the line with a record on its own stack, lets go of the mutex and waits for the record's bell
 *   (park.h).  A waker changes the data under the mutex, takes the first record off the line there and then, and rings
 *   its bell after it has let go of the mutex.
 *
 *       sleeper: lock; [must wait; join the line; unlock; wait for the bell; lock] ...; unlock
 *       waker:   lock; change; take first, mark its bell; unlock; ring it
 *
 * INVARIANTS (all fields under the owner's mutex)
 *   E1  A record is on the line from joining until a waker takes it or its sleeper leaves at its deadline.
 *   E2  Its bell is marked exactly when a waker has taken it; so each sleeper is woken once, whatever number of wakers.
 *   E3  A sleeper always looks at the data again, under the mutex, after it has left the line: a wake that meets
 *       its deadline isn't lost, for the sleeper then takes what it was woken for.
 * ORDERING  All is under the mutex, but for the bell, see [P1] there.
 * BETWEEN TAKE AND WAKE  a waker waits for nothing that a sleeper holds while it calls cf__event_wait(), the owner's mutex
 *   among it: a bell on a condition variable keeps its sleeper until it's rung.
 * WHY NOT A CONDITION VARIABLE  glibc's can lose a wake-up (bug 25847); and signalling one that already has a
 *   thread on its way wakes a second, at 20 us each.  Here a thread on its way isn't on the line any more.
 * REJECTED  Waking under the mutex: the woken thread runs into it at once. */
#ifndef CFUTURES_DETAIL_EVENT_H
#define CFUTURES_DETAIL_EVENT_H

#include "park.h"

/* One who sleeps; on its own stack. */
typedef struct cf__sleeper {
    struct cf__sleeper *next, *previous; /* M: the line */
    cf__bell bell;                       /* marked under M, when taken off the line */
} cf__sleeper;

typedef struct cf__event {     /* fields: M under the owner's mutex */
    cf__sleeper *first, *last; /* M: first come, first woken */
} cf__event;

#if CF__BODIES

CF__PRIVATE void
cf__event_init(cf__event *event)
{
    event->first = event->last = NULL;
}

CF__PRIVATE void
cf__event_unlink(cf__event *event, cf__sleeper *sleeper)
{
    if (sleeper->previous != NULL)
        sleeper->previous->next = sleeper->next;
    else
        event->first = sleeper->next;
    if (sleeper->next != NULL)
        sleeper->next->previous = sleeper->previous;
    else
        event->last = sleeper->previous;
}

/* Sleep until woken or `deadline`.  Called with `mutex` held, which is let go while asleep and held again on
 * return.  Returns false when the deadline passed without a wake; for CF_NOW that is at once, with the mutex held
 * throughout.  The caller looks at its data again in either case. */
CF__PRIVATE bool
cf__event_wait(cf__event *event, cf__mutex *mutex, cf_time deadline)
{
    if (deadline == CF_NOW)
        return false;
    cf__sleeper self;
    self.next = NULL;
    self.previous = event->last;
    cf__bell_init(&self.bell);
    if (event->last != NULL)
        event->last->next = &self;
    else
        event->first = &self;
    event->last = &self;
    cf__mutex_unlock(mutex);

    cf__bell_wait(&self.bell, deadline); /* whoever takes us off the line owes the wake */

    cf__mutex_lock(mutex);
    bool woken = cf__bell_leave(&self.bell); /* taken in the last moment before the deadline counts as woken (E3) */
    if (!woken)
        cf__event_unlink(event, &self);
    return woken;
}

/* Takes the first sleeper off the line, if there is one; `mutex` of the owner is held.  Pass the result to
 * cf__sleeper_wake() once the mutex is let go. */
CF__PRIVATE cf__sleeper *
cf__event_take(cf__event *event)
{
    cf__sleeper *first = event->first;
    if (first != NULL) {
        cf__event_unlink(event, first);
        cf__bell_mark(&first->bell);
    }
    return first;
}

/* Wakes what cf__event_take() returned; NULL: nothing.  With futexes the record may be gone already, see cf__bell_ring(). */
CF__PRIVATE void
cf__sleeper_wake(cf__sleeper *sleeper)
{
    if (sleeper != NULL)
        cf__bell_ring(&sleeper->bell);
}

/* Takes every sleeper off the line and wakes it, with `mutex` of the owner held.  For rare events: close, shutdown. */
CF__PRIVATE void
cf__event_wake_all(cf__event *event)
{
    cf__sleeper *sleeper;
    while ((sleeper = cf__event_take(event)) != NULL)
        cf__sleeper_wake(sleeper);
}

#endif /* CF__BODIES */

#endif
