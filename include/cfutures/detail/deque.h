/* cfutures/detail/deque.h - a worker's own pile of work, from which others may steal.
 * SPDX-License-Identifier: MIT
 * LAYER 2.  Includes: atomic.h.  Included by: task_type.h, scheduler.h.
 *
 * HOW IT WORKS  The deque of Chase and Lev ("Dynamic circular work-stealing deque", 2005) with the orders of Le,
 *   Pop, Cohen and Zappa Nardelli (2013), on a ring of fixed size.  The owner pushes and pops at the bottom, newest
 *   first; thieves take the oldest from the top.  Owner and thief only meet over the last entry; then top's
 *   compare-and-swap decides.
 *
 *       owner   push: cell = entry; bottom + 1          pop: bottom - 1; look at top; last one? CAS top
 *       thief   look at top, bottom, cell; CAS top + 1
 *
 * INVARIANTS
 *   D1  top <= bottom + 1; top only grows.  Entries are at [top, bottom), at most CF__DEQUE_SIZE of them.
 *   D2  Each entry is returned once: by the pop or the steal that moves bottom or top past it.
 * ORDERING
 *   [D1] entry -> thief          push's exchange of bottom / steal's load of bottom.  seq_cst, because pushing also
 *        comes before the look for sleeping workers (scheduler.h [K1]).
 *   [D2] pop against steal, Dekker: pop writes bottom, then reads top; steal reads top, then bottom; all seq_cst.
 *        With less, both take the last entry.
 *   [D3] thief's read of a cell -> owner's next use of it   the CAS of top (release) / push's load-acquire of top
 * FULL is no error: what doesn't fit goes elsewhere (a child runs at its join, a future to the pool's queue), so that
 *   no ring is ever replaced under a thief's eyes.
 * REJECTED  Growing rings: they must be kept until no thief can look at them any more. */
#ifndef CFUTURES_DETAIL_DEQUE_H
#define CFUTURES_DETAIL_DEQUE_H

#include "atomic.h"

#define CF__DEQUE_SIZE INT64_C(256)

typedef struct cf__deque { /* fields: A atomic */
    int64_t top;           /* A: the oldest entry; thieves, and the owner for the last one */
    unsigned char pad1[CF__CACHE_LINE - 8];
    int64_t bottom; /* A: behind the newest; the owner */
    unsigned char pad2[CF__CACHE_LINE - 8];
    void *cells[CF__DEQUE_SIZE]; /* A: entry i is at i % CF__DEQUE_SIZE */
} cf__deque;

#if CF__BODIES

CF__PRIVATE void
cf__deque_init(cf__deque *deque)
{
    /* 1, so that a pop of an empty one doesn't go below 0. */
    deque->top = deque->bottom = 1;
}

/* Owner: pushes `count` entries in one go, the first of them first.  There is room, which it has found by an acquiring look
 * at top [D3]. */
CF__PRIVATE void
cf__deque_push_many(cf__deque *deque, void *const *entries, unsigned count)
{
    int64_t bottom = cf__load_relaxed(&deque->bottom); /* relaxed: ours */
    for (unsigned i = 0; i < count; i++)               /* relaxed: bottom publishes them */
        cf__store_relaxed(&deque->cells[(bottom + i) % CF__DEQUE_SIZE], entries[i]);
    (void)cf__exchange_seq_cst(&deque->bottom, bottom + count); /* [D1] */
}

/* Owner: false when it is full. */
CF__PRIVATE bool
cf__deque_push(cf__deque *deque, void *entry)
{
    int64_t bottom = cf__load_relaxed(&deque->bottom);            /* relaxed: ours */
    if (bottom - cf__load_acquire(&deque->top) >= CF__DEQUE_SIZE) /* acquire [D3] */
        return false;
    cf__deque_push_many(deque, &entry, 1);
    return true;
}

/* Owner: the newest entry; NULL when there is none. */
CF__PRIVATE void *
cf__deque_pop(cf__deque *deque)
{
    int64_t bottom = cf__load_relaxed(&deque->bottom) - 1; /* relaxed: ours */
    (void)cf__exchange_seq_cst(&deque->bottom, bottom);    /* [D2]: before the look at top */
    int64_t top = cf__load_seq_cst(&deque->top);           /* [D2] */
    void *entry = NULL;
    if (top <= bottom) {
        entry = cf__load_relaxed(&deque->cells[bottom % CF__DEQUE_SIZE]); /* relaxed: we wrote it */
        if (top < bottom)
            return entry;
        if (!cf__cas_seq_cst(&deque->top, &top, top + 1)) /* [D2] */
            entry = NULL;                                 /* a thief was quicker */
    }
    cf__store_relaxed(&deque->bottom, bottom + 1); /* relaxed: no entry comes with it; empty either way */
    return entry;
}

/* Owner: the newest entry, left where it is; it may be stolen at any time.  NULL when there is none. */
CF__PRIVATE void *
cf__deque_peek(const cf__deque *deque)
{
    int64_t bottom = cf__load_relaxed(&deque->bottom); /* relaxed: ours */
    if (bottom <= cf__load_relaxed(&deque->top))       /* relaxed: a guess */
        return NULL;
    return cf__load_relaxed(&deque->cells[(bottom - 1) % CF__DEQUE_SIZE]);
}

/* Any thread: whether there is something to steal. */
CF__PRIVATE bool
cf__deque_has_entries(const cf__deque *deque)
{
    /* seq_cst: after the looker's store of its own word, scheduler.h [K1]. */
    return cf__load_seq_cst(&deque->top) < cf__load_seq_cst(&deque->bottom);
}

/* Any thread: the oldest entry; NULL when there is none. */
CF__PRIVATE void *
cf__deque_steal(cf__deque *deque)
{
    int64_t top = cf__load_seq_cst(&deque->top);     /* [D2]: before bottom */
    while (top < cf__load_seq_cst(&deque->bottom)) { /* [D1] [D2] */
        /* relaxed: if the owner writes this cell anew, top has moved and the CAS fails. */
        void *entry = cf__load_relaxed(&deque->cells[top % CF__DEQUE_SIZE]);
        if (cf__cas_seq_cst(&deque->top, &top, top + 1)) /* [D2] [D3] */
            return entry;
    }
    return NULL;
}

#endif /* CF__BODIES */
#endif
