/* cfutures/detail/arena_nested.h - what a process pool's workers submit themselves: the hints for it, and workers that are lent.
 * SPDX-License-Identifier: MIT
 * LAYER 3.  Includes: arena_layout.h.  Included by: arena.h.
 *
 * A CHILD  is what a worker's task submits to its own pool: a slot in the worker's own range (arena_layout.h), which it alone
 *   fills, waits for and frees (nested.h).  Any worker runs it, as it runs the parent's tasks: claim, publish, retry and loss
 *   are those of any slot (slot.h).
 * HINTS  for children are bits, for there are as many producers as workers, and each may die anywhere: a bit may be set twice,
 *   and by anybody.  One word per worker says which of its slots may be pending (`children`); one for all says which workers'
 *   words to look at (`nested`).  So a worker without children about looks at one word, in a cache line that it reads anyhow.
 *   Who finds nothing under a bit of `nested` clears it, then looks again.
 * LENT  A worker that waits for a child runs nothing else meanwhile: the other's crash would take the waiter along.  It sets
 *   its bit in `lent`, and as long as that is there the pool may have one worker more, a *stand-in*: numbers 1 to
 *   cf__arena_staff() have a worker, up to CF__LENT_MOST times as many as there may be.  A stand-in that isn't wanted any more
 *   stays for a while before it leaves, for the next wait comes soon (cf__arena_linger).
 *   Who comes when there can be no more takes its child back and runs it; unless the child runs already.  Then it waits as
 *   well, though somebody may have relied on it to begin another: so it wakes all whose children are pending
 *   (cf__arena_wake_lent), and they take these back.
 * AFTER A DEATH of a worker its bit in `lent` goes (cf__template_put_right).  Those of its children that are pending are
 *   withdrawn, those that run are asked to stop, aren't tried again, and end for nobody (cf__nested_reap).  A slot of the
 *   range is used again, by the worker's heir, once its word is settled.  And every bit of `nested` that may be missing is
 *   set, for the dead one may have cleared it and not looked again.
 *
 * INVARIANTS
 *   N1  A child that is PENDING has its bits in `children` and `nested`, or is the intent of a worker that hasn't claimed it
 *       yet, or somebody is between two steps here, who goes on, or dies and is reaped.
 * ORDERING
 *   [N1] hint -> who clears `nested`: Dekker.  All seq_cst.
 *          push:  set the bit in children,    then in nested
 *          clear: clear the bit in nested,    then look at children
 *   [N2] work -> stand-in, the same.  Whoever comes second calls the stand-ins (cf__arena_call_stand_ins).
 *          lend:  set the bit in lent,        then look for hints
 *          push:  push a hint (arena.h [A2]), then look at lent
 *   [N3] a stand-in that is missing -> the template, the same
 *          call:  set the bit in lent,        then look at staffed; poke if it's 0
 *          bury:  clear staffed,              then look at lent
 *   [N4] the last one that waits -> those that count on it, the same
 *          wait:  set WAIT in the word, set the bit in lent, then count; sleep if there is one more to come
 *          last:  set the bit in lent, count, then look at the others' bits and words
 *        A resize to fewer tells nobody: should it come just between a push and the claim, the waiter's audit takes the
 *        child back.
 * REJECTED  A ring of hints per worker, as the parent has one: a worker that looks for work would have up to 1024 to poll, or
 *   an index of them, which is this one.  One ring for all workers: a producer that dies between taking a cell and filling it
 *   holds up the others.  A count of the lent ones: who dies while it waits leaves it wrong for ever. */
#ifndef CFUTURES_DETAIL_ARENA_NESTED_H
#define CFUTURES_DETAIL_ARENA_NESTED_H

#include "arena_layout.h"

#if CF__BODIES && CF__FUTEX

#define CF__LENT_MOST 4u
CF__STATIC_ASSERT(CF__NESTED_SLOTS <= 64, "a bit for each");

/* The first slot of worker `number`'s own. */
CF__PRIVATE uint32_t
cf__nested_first(const cf__arena_view *view, uint32_t number)
{
    return view->slot_count + (number - 1) * CF__NESTED_SLOTS;
}

/* ---- hints ---- */

/* A child is pending in `slot`: sees to it that a worker that looks for work finds it.  Any process; may be done twice. */
CF__PRIVATE void
cf__nested_push_hint(const cf__arena_view *view, uint32_t slot)
{
    uint32_t owner = (slot - view->slot_count) / CF__NESTED_SLOTS, place = (slot - view->slot_count) % CF__NESTED_SLOTS;
    /* seq_cst, both [N1]; the second also before the pusher's look at waking and idle, arena.h [A2]. */
    (void)cf__fetch_or_seq_cst(&view->workers[owner].children, UINT64_C(1) << place);
    (void)cf__fetch_or_seq_cst(&view->arena->nested, UINT64_C(1) << (owner % 64));
}

/* Takes a hint of worker `owner`'s children, for worker `number`, whose intent then names its slot. */
CF__PRIVATE bool
cf__nested_take_from(const cf__arena_view *view, uint32_t owner, uint32_t number, uint32_t *slot)
{
    /* seq_cst [N1]: after the clearing of `nested`.  One look is enough: who sets a bit later sets that one, too. */
    uint64_t *hints = &view->workers[owner - 1].children, children = cf__load_seq_cst(hints);
    for (; children != 0; children &= children - 1) {
        uint32_t place = CF__STATIC_CAST(uint32_t, __builtin_ctzll(children)) % CF__NESTED_SLOTS;
        *slot = cf__nested_first(view, owner) + place;
        /* Before the bit goes (N1).  release, arena.h [A7]. */
        cf__store_release(&view->workers[number - 1].intent, *slot + 1);
        if (cf__fetch_and_seq_cst(hints, ~(children & -children)) & children & -children)
            return true;
    }
    return false;
}

/* Takes a hint of the workers column + 1, column + 65 and so on, as the one before it. */
CF__PRIVATE bool
cf__nested_take_column(const cf__arena_view *view, uint32_t column, uint32_t number, uint32_t *slot)
{
    for (uint32_t owner = column + 1; owner <= view->worker_count; owner += 64) {
        if (cf__nested_take_from(view, owner, number, slot))
            return true;
    }
    return false;
}

/* Takes a hint of any worker's children.  Those of the next numbers come first, lest everybody look at the same ones. */
CF__SLOW bool
cf__nested_take_any(const cf__arena_view *view, uint32_t number, uint32_t *slot)
{
    uint64_t *nested = &view->arena->nested, found = cf__load_acquire(nested);
    uint32_t turn = number % 64;
    /* One look is enough: who sets a bit later wakes somebody. */
    for (uint64_t left = found >> turn | found << (64 - turn) % 64; left != 0; left &= left - 1) {
        uint32_t column = (CF__STATIC_CAST(uint32_t, __builtin_ctzll(left)) + turn) % 64;
        uint64_t bit = UINT64_C(1) << column;
        if (cf__nested_take_column(view, column, number, slot))
            return true;
        (void)cf__fetch_and_seq_cst(nested, ~bit); /* seq_cst [N1]: then the second look */
        if (cf__nested_take_column(view, column, number, slot)) {
            (void)cf__fetch_or_seq_cst(nested, bit); /* there may be more */
            return true;
        }
    }
    return false;
}

/* Takes a hint of a child, for worker `number`, whose intent then names its slot; *generation is that of the task. */
CF__PRIVATE bool
cf__nested_take_hint(const cf__arena_view *view, uint32_t number, uint32_t *slot, uint64_t *generation)
{
    /* acquire: a guess; who sleeps has looked with seq_cst (cf__arena_has_hints). */
    if (cf__load_acquire(&view->arena->nested) == 0 || !cf__nested_take_any(view, number, slot))
        return false;
    /* relaxed: whatever is pending there may be claimed. */
    *generation = cf__slot_generation(cf__load_relaxed(&view->slots[*slot].word));
    return true;
}

/* ---- workers that are lent ---- */

/* How many workers there may be at most, stand-ins and all: never fewer than are wanted anyhow. */
CF__PRIVATE uint64_t
cf__arena_staff_most(const cf__arena_view *view, uint64_t wanted)
{
    uint64_t most = CF__LENT_MOST * CF__STATIC_CAST(uint64_t, cf__load_relaxed(&view->arena->most));
    return CF__MIN(CF__MAX(wanted, most), CF__STATIC_CAST(uint64_t, view->worker_count));
}

/* How many there would be if all that wait had a stand-in. */
CF__PRIVATE uint64_t
cf__arena_staff_wished(const cf__arena_view *view, uint64_t wanted)
{
    for (uint32_t i = 0; i < (view->worker_count + 63) / 64; i++) /* seq_cst [N2][N3]: after the push, or the burial */
        wanted += CF__STATIC_CAST(uint64_t, __builtin_popcountll(cf__load_seq_cst(&view->arena->lent[i])));
    return wanted;
}

/* How many there should be. */
CF__PRIVATE uint32_t
cf__arena_staff(const cf__arena_view *view)
{
    uint64_t wanted = cf__load_seq_cst(&view->arena->wanted);
    uint64_t wished = cf__arena_staff_wished(view, wanted), most = cf__arena_staff_most(view, wanted);
    return CF__STATIC_CAST(uint32_t, CF__MIN(wished, most));
}

/* Worker `number` waits for a child from now on.  True: the pool may have one worker more for it, and the caller looks whether
 * there is work for that.  False: all that there may be might wait [N4]. */
CF__PRIVATE bool
cf__arena_lend(const cf__arena_view *view, uint32_t number)
{
    /* seq_cst, both [N2][N3][N4]: the bit, then the look. */
    (void)cf__fetch_or_seq_cst(&view->arena->lent[(number - 1) / 64], UINT64_C(1) << ((number - 1) % 64));
    uint64_t wanted = cf__load_seq_cst(&view->arena->wanted);
    return cf__arena_staff_wished(view, wanted) <= cf__arena_staff_most(view, wanted);
}

/* There may be nobody left who could begin what lent workers wait for: wakes those whose children are pending, to take them
 * back. */
CF__SLOW void
cf__arena_wake_lent(const cf__arena_view *view)
{
    for (uint32_t number = 1; number <= view->worker_count; number++) {
        /* seq_cst [N4]; who sees the bit also sees the child's, and that its word says WAIT: both came before. */
        if ((cf__load_seq_cst(&view->arena->lent[(number - 1) / 64]) >> ((number - 1) % 64) & 1) == 0)
            continue;
        uint64_t children = cf__load_acquire(&view->workers[number - 1].children);
        for (; children != 0; children &= children - 1) {
            cf__slot *slot = &view->slots[cf__nested_first(view, number) +
                                          CF__STATIC_CAST(uint32_t, __builtin_ctzll(children)) % CF__NESTED_SLOTS];
            uint64_t word = cf__load_acquire(&slot->word);
            /* The flag goes, for the waiter may be just about to sleep.  A word that changes now is somebody's who begins the
             * child, or the waiter's own. */
            if (cf__slot_state(word) == CF__SLOT_PENDING && (word & CF__SLOT_WAIT) != 0 &&
                cf__cas_acq_rel(&slot->word, &word, word & ~CF__SLOT_WAIT))
                cf__slot_wake(slot, CF__SLOT_WAIT);
        }
    }
}

/* The wait is over, or its worker. */
CF__PRIVATE void
cf__arena_unlend(const cf__arena_view *view, uint32_t number)
{
    uint64_t *lent = &view->arena->lent[(number - 1) / 64], bit = UINT64_C(1) << ((number - 1) % 64);
    if (cf__load_relaxed(lent) & bit) /* relaxed: only it sets that, and it's waited long, or dead */
        (void)cf__fetch_and_seq_cst(lent, ~bit);
}

/* ---- after a death ---- */

/* Template: worker `number` is dead; see above. */
CF__PRIVATE void
cf__nested_reap(const cf__arena_view *view, uint32_t number)
{
    uint32_t first = cf__nested_first(view, number);
    bool used = cf__load_relaxed(&view->workers[number - 1].has_nested) != 0; /* relaxed: it's dead */
    /* Twice: who is asked to stop might go on with one of the others, so first all that are pending. */
    for (uint32_t i = 0; used && i < 2 * CF__NESTED_SLOTS; i++) {
        uint64_t *at = &view->slots[first + i % CF__NESTED_SLOTS].word, word = cf__load_acquire(at);
        uint32_t state = cf__slot_state(word);
        while (state == CF__SLOT_PENDING || (state == CF__SLOT_RUNNING && i >= CF__NESTED_SLOTS)) {
            uint64_t to = state == CF__SLOT_PENDING ? cf__slot_with_state(word, CF__SLOT_GONE) : word | CF__SLOT_STOP;
            if (cf__cas_acq_rel(at, &word, to)) /* acquire on failure */
                break;
            state = cf__slot_state(word);
        }
    }
    for (uint32_t i = 0; i < view->worker_count; i++) {
        if (cf__load_seq_cst(&view->workers[i].children) != 0) /* by who cleared `nested`, and died */
            (void)cf__fetch_or_seq_cst(&view->arena->nested, UINT64_C(1) << (i % 64));
    }
}

#endif /* CF__BODIES && CF__FUTEX */

#endif
