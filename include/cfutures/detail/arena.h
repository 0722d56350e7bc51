/* cfutures/detail/arena.h - what parent, template and workers of a process pool share, and the rules by which any
 * of them may die.
 * SPDX-License-Identifier: MIT
 * LAYER 3.  Includes: arena_nested.h.  Included by: nested.h, worker.h, ladder.h, template.h, process_pool.h.
 *
 * WHO IS WHO  The *parent* is the user's process.  It makes one single-threaded *template*, which forks the
 *   *workers*, reaps and replaces them.  All map the arena at one address.
 *
 * HOW A TASK TRAVELS
 *   1 parent    fills a slot (slot.h), pushes a hint into its ring, wakes an idle worker if none is on its way
 *   2 worker    takes a hint, claims the slot by one CAS, runs the task, publishes by one CAS
 *   3 worker    wakes who waits for that slot, directly; marks it for the parent's collector if asked to
 *   4 parent    collects: copies the outcome out, and frees the slot
 *   Slots are the truth; everything else here is a hint that may be stale, missing for a while, or there twice.
 *
 * RINGS  One producer each: the parent (behind a private mutex) and the template (to push again what a dead worker
 *   had taken).  A consumer takes a hint by one CAS of the head and writes nothing after it, so it can die
 *   anywhere.  What lies between head and tail is hints only if it's no more than the ring has cells: else a faulty
 *   task has written over one of the two.  Then consumers find it empty, and the next push makes it anew.
 * INTENT  Before that CAS a worker writes the slot's number into its own record and leaves it there until the wakes
 *   it owes are done. So after a death the template looks at one slot, in constant time (cf__arena_reap):
 *       PENDING           the hint went down with it -> push the hint again; but not for ever: a task that writes
 *                         PENDING into its own word and dies would do so again and again -> in the end LOST, which
 *                         the parent takes for overwritten, as it has no owner
 *       RUNNING, and his  the task is lost           -> LOST, wake, mark; or PENDING once more, and its hint pushed
 *       settled, and his  published, perhaps not told -> wake again, mark again
 *   So while a word says RUNNING by a worker, that worker's intent names the slot: written before the claim, and
 *   changed only after the word has been moved on, by the worker or its reaper.  Whoever finds it otherwise, and the
 *   word still the same afterwards, knows that a faulty task has written over one of them, and that nobody will move
 *   that word (cf__arena_disowned, [A7]).
 * IDLE WORKERS  Each has a bit in `idle` and a word of its own to sleep on.  A waker takes the bit, then wakes.
 *   `waking` holds the number of a worker that is about to look: one that has been woken and hasn't looked yet, or
 *   the one that spins for work (at most one does).  Until it has looked nobody wakes another; it passes the wake
 *   on when it finds more work than its own (64 workers on 2 CPUs: 3 to 9 us per task without, 0.03 to 0.2 us
 *   with).  Only a wake that the kernel confirms counts.  After any death `waking` is cleared and everybody idle is
 *   woken, for the dead one may have owed a wake.
 *
 * HOW MANY WORKERS  `wanted` says it: numbers 1 to wanted have a worker, or get one; a worker with a higher number
 *   leaves when it has nothing in hand, as it does at the end.  The parent moves `wanted` as it likes, an idle worker
 *   takes itself off it (cf__arena_retire), and whoever finds work but nobody idle adds one (cf__arena_grow).  On top of
 *   it come stand-ins for those that wait for what their own tasks have submitted (arena_nested.h).
 * LIMITS  A worker says in its record when somebody should look at its task (`due`), and pokes the template if that sleeps
 *   longer than that (`next_look`).  Without limits no worker pokes, and the template sleeps.
 *   That word is anybody's, so whoever sleeps in the parent for a task that runs pokes, too, once a slice.
 *
 * INVARIANTS
 *   A1  A slot of the parent's that is PENDING has a hint in a ring, or is the intent of a worker that hasn't claimed
 *       it yet, or of a dead one not yet reaped.  Not while the producer begins its ring anew, after which it wakes all.
 *   A2  Nobody holds a lock, or anything else that must be given back, when it dies; except the hint, the claim and
 *       the owed wakes that its intent names.
 *   A3  A worker number is used again only after its predecessor has been reaped.
 * ORDERING
 *   [A1] hint -> consumer          push's exchange of tail / load-acquire of tail
 *   [A2] new work -> sleeping worker: Dekker.  Each writes one word, then reads the other's; all seq_cst.
 *          push: exchange tail,               then load waking and idle
 *          park: set idle bit, clear waking,  then load the tails
 *        The bit first: the pusher sees it and wakes us.  The tail first: we see the work.  With less than seq_cst
 *        both may miss, and the work sleeps beside an idle worker.
 *   [A3] room -> sleeping submitter, the same
 *          settle: CAS the word,              then load pressure
 *          wait: press (set its lowest bit),  then look at the slots
 *        Pressure counts how often it was eased.  As a mere flag it might be set again by the next waiter before the
 *        first one sleeps, who would then sleep through the news.
 *   [A4] mark -> sleeping collector, the same
 *          mark: set the bit,                 then load collector
 *          sleep: set collector,              then look at the bits
 *   [A5] wake -> woken worker      store-release of park / load-acquire of park
 *   [A6] a task with a limit -> sleeping template, as [A2]
 *          worker:   exchange due,            then load next_look; poke if it's later
 *          template: exchange next_look,      then look at each due, and at signals that are pending
 *   [A7] intent and word -> who looks whether they agree.  A worker writes intent, word (claim), word (publish),
 *        intent; each store of intent and CAS of the word has release.  Who looks reads word, intent, word; the first
 *        two have acquire.  It sees RUNNING: then it also sees the intent from before the claim.  It sees an intent
 *        from after the publish: then its second look sees a word from after the publish, too.
 * STOPPED IS NOT DEAD  A worker that was stopped (SIGSTOP) with a hint, or with a wake to pass on, is nobody's to
 *   reap.  So whoever sleeps in the parent does so in slices, and then pushes the hints of slots that are still
 *   PENDING again, and wakes all (cf__slots_audit).
 * REJECTED  A shared ring whose consumers write a cell after the CAS: a consumer killed in between blocks it for
 *   ever.  Locks, robust ones too: two C libraries got those wrong for years.  Waking per item: ten times slower.
 *   No spinning: round trips of 60 us in place of 1.5 where the kernel has put parent and worker on two CPUs. */
#ifndef CFUTURES_DETAIL_ARENA_H
#define CFUTURES_DETAIL_ARENA_H

#include "arena_nested.h"

#if CF__BODIES && CF__FUTEX

/* ---- hint rings ---- */

/* Whether there are hints between `head`, and `tail` as it was then; not if either makes no sense. */
CF__PRIVATE bool
cf__arena_hints_between(const cf__arena_view *view, uint64_t head, uint64_t tail)
{
    return tail - head - 1 <= view->ring_mask; /* from one to as many as there are cells; modulo 2^64 */
}

/* Takes a hint, for worker `number`, whose intent then names its slot; false when the ring is empty.  *slot is
 * bounded here, whatever stands in the cell. */
CF__PRIVATE bool
cf__arena_take_hint(const cf__arena_view *view, cf__ring *ring, const uint64_t *hints, uint32_t number, uint32_t *slot,
                    uint64_t *generation)
{
    cf__worker_record *self = &view->workers[number - 1];
    for (;;) {
        uint64_t head = cf__load_acquire(&ring->head);
        uint64_t tail = cf__load_acquire(&ring->tail); /* acquire [A1]: the cell was filled before */
        if (!cf__arena_hints_between(view, head, tail)) {
            /* Empty, or written over.  Or the producer has gone round since we read head, as others took hints: then
             * it knew of a head that we see now (acquire [A1] of tail). */
            if (tail == head || cf__load_acquire(&ring->head) == head)
                return false;
            continue;
        }
        /* relaxed: if the producer goes round and fills this cell anew, head has moved and the CAS fails. */
        uint64_t hint = cf__load_relaxed(&hints[head & view->ring_mask]);
        *slot = CF__STATIC_CAST(uint32_t, hint & CF__HINT_SLOTS) % view->slot_count;
        *generation = hint >> 24;
        /* Before the CAS: from there on, the hint is gone from the ring (A1).  release [A7]: who reads it sees that
         * we have published what the intent named before. */
        cf__store_release(&self->intent, *slot + 1);
        if (cf__cas_acq_rel(&ring->head, &head, head + 1))
            return true;
    }
}

/* The producer's room-making: drops the hints of tasks that aren't pending any more and keeps the others, in their
 * order.  A ring has twice as many cells as there are slots; should repeated hints fill it all the same, or have head
 * or tail been written over, one for each pending slot is left, in any order.  Until it is done a worker may miss
 * one; the caller wakes workers afterwards.  Complexity: linear in slots. */
CF__SLOW void
cf__arena_rebuild(const cf__arena_view *view, cf__ring *ring, uint64_t *hints)
{
    uint64_t tail = cf__load_relaxed(&ring->tail); /* relaxed: ours */
    uint64_t head = cf__exchange_acq_rel(&ring->head, tail), kept = 0;
    bool scan = head != tail && !cf__arena_hints_between(view, head, tail);
    /* The cells from head to tail are ours alone now.  What is kept is written behind tail: round the ring, never
     * in front of what is still to be read. */
    for (uint64_t at = head; at != tail && !scan; at++) {
        uint64_t hint = cf__load_relaxed(&hints[at & view->ring_mask]);
        uint32_t index = CF__STATIC_CAST(uint32_t, hint & CF__HINT_SLOTS) % view->slot_count;
        uint64_t word = cf__load_relaxed(&view->slots[index].word);
        if (cf__slot_state(word) == CF__SLOT_PENDING && cf__slot_hint(index, word) == hint)
            cf__store_relaxed(&hints[(tail + kept++) & view->ring_mask], hint);
    }
    if (scan || kept > view->ring_mask) {
        kept = 0;
        for (uint32_t i = 0; i < view->slot_count; i++) {
            /* relaxed: what becomes pending later has a hint of its own. */
            uint64_t word = cf__load_relaxed(&view->slots[i].word);
            if (cf__slot_state(word) == CF__SLOT_PENDING)
                cf__store_relaxed(&hints[(tail + kept++) & view->ring_mask], cf__slot_hint(i, word));
        }
    }
    (void)cf__exchange_seq_cst(&ring->tail, tail + kept); /* seq_cst [A1][A2], as in cf__arena_push_hint() */
}

/* Pushes a hint for a slot that is pending; only the ring's producer calls it. */
CF__PRIVATE void
cf__arena_push_hint(const cf__arena_view *view, cf__ring *ring, uint64_t *hints, uint32_t slot)
{
    uint64_t tail = cf__load_relaxed(&ring->tail); /* relaxed: ours */
    if (tail - cf__load_acquire(&ring->head) > view->ring_mask) {
        cf__arena_rebuild(view, ring, hints);
        tail = cf__load_relaxed(&ring->tail);
    }
    /* relaxed, both: the word is as the caller saw it, or the hint is stale; tail publishes the cell. */
    cf__store_relaxed(&hints[tail & view->ring_mask], cf__slot_hint(slot, cf__load_relaxed(&view->slots[slot].word)));
    /* seq_cst [A1][A2]: release for the cell; and before the pusher's look at waking and idle. */
    (void)cf__exchange_seq_cst(&ring->tail, tail + 1);
}

CF__PRIVATE bool
cf__arena_has_hints(const cf__arena_view *view)
{
    cf__arena *arena = view->arena;
    /* seq_cst, all [A2][N2]: after the idle bit, or the one in lent. */
    if (cf__load_seq_cst(&arena->nested) != 0)
        return true;
    /* tail first: the other way round, a head from before others took hints and a tail from after more were pushed might
     * look written over. */
    uint64_t template_tail = cf__load_seq_cst(&arena->template_ring.tail);
    uint64_t template_head = cf__load_seq_cst(&arena->template_ring.head);
    if (cf__arena_hints_between(view, template_head, template_tail))
        return true;
    uint64_t parent_tail = cf__load_seq_cst(&arena->parent_ring.tail);
    return cf__arena_hints_between(view, cf__load_seq_cst(&arena->parent_ring.head), parent_tail);
}

/* ---- waking workers ---- */

CF__PRIVATE bool
cf__arena_clear_idle(const cf__arena_view *view, uint32_t number)
{
    uint64_t bit = UINT64_C(1) << ((number - 1) % 64);
    return (cf__fetch_and_seq_cst(&view->arena->idle[(number - 1) / 64], ~bit) & bit) != 0;
}

/* Wakes one idle worker, whether or not another is on its way; false: there was none. */
CF__PRIVATE bool
cf__arena_wake_another(const cf__arena_view *view)
{
    cf__arena *arena = view->arena;
    for (uint32_t i = 0; i < (view->worker_count + 63) / 64; i++) {
        /* seq_cst [A2]: after the push.  One look is enough: who sets its bit later sees the push.  Nor could a faulty
         * task that sets bits all the time keep us here. */
        for (uint64_t idle = cf__load_seq_cst(&arena->idle[i]); idle != 0; idle &= idle - 1) {
            uint32_t number = i * 64 + CF__STATIC_CAST(uint32_t, __builtin_ctzll(idle)) + 1;
            if (number > view->worker_count)
                break; /* bits that were written over */
            if (!cf__arena_clear_idle(view, number))
                continue; /* another waker has it */
            cf__worker_record *worker = &view->workers[number - 1];
            cf__store_seq_cst(&arena->waking, number);
            cf__store_release(&worker->park, 1u); /* release [A5] */
            if (cf__unpark_one(&worker->park, CF__SCOPE_SHARED) == 1)
                return true;
            /* It didn't sleep: awake already, about to see park == 1, or dead.  Don't count on it, wake the next as
             * well. */
            uint32_t expected = number;
            (void)cf__cas_seq_cst(&arena->waking, &expected, 0u);
        }
    }
    return false;
}

/* Has the template look at how things are, soon.  Not for the template itself.  False: it's gone, or the program may not
 * send it signals any more. */
CF__PRIVATE bool
cf__arena_poke(const cf__arena_view *view)
{
    if (view->template_pidfd >= 0)
        return cf__os_pidfd_signal(view->template_pidfd, SIGUSR1);
    if (view->template_process != 0)
        (void)cf__os_signal(view->template_process, SIGUSR1); /* if we may: `mute` */
    return true;
}

/* Wakes worker `number`, if it sleeps. */
CF__PRIVATE void
cf__arena_wake_worker(const cf__arena_view *view, uint32_t number)
{
    cf__worker_record *worker = &view->workers[number - 1];
    /* seq_cst: after the caller's store of arena->stop or wanted, or its bit in lent, which a worker reads after it has set
     * park to 0; release [A5]. */
    cf__store_seq_cst(&worker->park, 1u);
    (void)cf__unpark_one(&worker->park, CF__SCOPE_SHARED);
}

/* All workers are busy, but some of them wait: sees to it that they have stand-ins, and that these are awake. */
CF__PRIVATE void
cf__arena_call_stand_ins(const cf__arena_view *view)
{
    bool missing = false;
    uint32_t staff = cf__arena_staff(view);
    for (uint32_t number = cf__load_relaxed(&view->arena->wanted); number++ < staff;) {
        if (cf__load_seq_cst(&view->workers[number - 1].staffed) == 0) /* [N3] */
            missing = true;
        else if (cf__load_seq_cst(&view->workers[number - 1].park) == 0)
            cf__arena_wake_worker(view, number);
    }
    if (missing)
        (void)cf__arena_poke(view); /* should we die before it: the template looks after each death */
}

/* All workers are busy: has one more started, up to `most`, or stand-ins for those that wait. */
CF__PRIVATE void
cf__arena_grow(const cf__arena_view *view)
{
    /* seq_cst, both: after the push, see cf__arena_retire(); and the template reads it after the poke. */
    uint32_t wanted = cf__load_seq_cst(&view->arena->wanted);
    if (wanted >= CF__MIN(cf__load_relaxed(&view->arena->most), view->worker_count))
        cf__arena_call_stand_ins(view);
    else if (cf__cas_seq_cst(&view->arena->wanted, &wanted, wanted + 1)) {
        cf__arena_wake_worker(view, wanted + 1); /* a stand-in may be there, and sleep */
        (void)cf__arena_poke(view);              /* should we die before it: the template looks after each death */
    }
}

/* Wakes one idle worker, or asks for one more. */
CF__PRIVATE void
cf__arena_call_another(const cf__arena_view *view)
{
    if (!cf__arena_wake_another(view))
        cf__arena_grow(view);
}

/* There is new work: sees to it that a worker looks at it.  The caller has pushed a hint, or seen that there is
 * one. */
CF__PRIVATE void
cf__arena_wake_one(const cf__arena_view *view)
{
    /* seq_cst [A2]: if one is on its way, it looks at the rings after it has cleared this, and wakes the next if
     * need be. */
    if (cf__load_seq_cst(&view->arena->waking) == 0)
        cf__arena_call_another(view);
}

/* Wakes the workers with the numbers 1 to `last`, if they sleep, and whoever thinks that another is on its way. */
CF__PRIVATE void
cf__arena_wake_first(const cf__arena_view *view, uint32_t last)
{
    cf__store_seq_cst(&view->arena->waking, 0u);
    for (uint32_t number = 1; number <= last; number++)
        cf__arena_wake_worker(view, number);
}

/* Wakes every worker that sleeps: after a death, for what the dead one may have owed, and to stop. */
CF__PRIVATE void
cf__arena_wake_all(const cf__arena_view *view)
{
    /* seq_cst: after the caller's store of arena->stop or wanted.  A worker that is started later reads that. */
    cf__arena_wake_first(view, CF__MIN(cf__load_seq_cst(&view->arena->high), view->worker_count));
}

/* ---- telling the parent ---- */

/* For a thread of the parent that is about to look whether there is room, and may sleep then: on arena->pressure, while it
 * has the value returned. */
CF__PRIVATE uint32_t
cf__arena_press(cf__arena *arena)
{
    return cf__fetch_or_seq_cst(&arena->pressure, 1u) | 1u; /* seq_cst [A3]: before the look */
}

/* There may be room: who has pressed looks again, and is woken.  With `always` also if nobody seems to sleep: another may have
 * eased, and be dead before it wakes. */
CF__PRIVATE void
cf__arena_ease(cf__arena *arena, bool always)
{
    uint32_t pressed = cf__load_seq_cst(&arena->pressure); /* seq_cst [A3]: after the CAS that settled the word */
    /* If the CAS fails, another has eased, and wakes; who has pressed after that sees what we did before. */
    if (((pressed & 1) != 0 && cf__cas_seq_cst(&arena->pressure, &pressed, pressed + 1)) || always)
        (void)cf__unpark_all(&arena->pressure, CF__SCOPE_SHARED);
}

/* The slot has settled, and its word was `word` before that: wakes who waits for it, marks it for who asked.  May
 * be done twice. */
CF__PRIVATE void
cf__arena_tell(const cf__arena_view *view, uint32_t slot, uint64_t word)
{
    cf__arena *arena = view->arena;
    cf__slot_wake(&view->slots[slot], word);
    if ((word & CF__SLOT_CARE) != 0 && slot < view->slot_count) {
        /* seq_cst [A4]: the mark, then the look. */
        (void)cf__fetch_or_seq_cst(&view->completed[slot / 64], UINT64_C(1) << (slot % 64));
        if (cf__load_seq_cst(&arena->collector) != 0 && cf__exchange_seq_cst(&arena->collector, 0u) != 0)
            (void)cf__unpark_all(&arena->collector, CF__SCOPE_SHARED);
    }
    cf__arena_ease(arena, false);
}

/* Worker `number`: the task in `slot` has ended as `state` (DONE or FAILED), its outcome is written.  False if it
 * isn't ours any more, or we're about to be killed for it: then touch nothing (S2). */
CF__PRIVATE bool
cf__arena_publish(const cf__arena_view *view, uint32_t number, uint32_t slot, uint32_t state)
{
    cf__worker_record *self = &view->workers[number - 1];
    uint64_t before, found;
    cf__data_write(view->slots[slot].payload, sizeof view->slots[slot].payload);
    while ((before = cf__slot_settle(&view->slots[slot], number, state, CF__SLOT_KILLING | CF__SLOT_SIGNALED,
                                     &found)) == 0) {
        if (found != CF__SLOT_SIGNALED)
            return false;
        /* The template is about to send the signal, and then says so; should it die, so do we.  Or a faulty task has set
         * the flag: then the template, if asked, takes it away. */
        while (cf__load_acquire(&self->signaled) == 0 &&
               (cf__load_relaxed(&view->slots[slot].word) & CF__SLOT_SIGNALED) != 0) {
            (void)cf__arena_poke(view);
            cf__os_yield();
        }
        cf__os_yield();                         /* a signal that is pending arrives at the end of any system call */
        cf__store_relaxed(&self->signaled, 0u); /* relaxed: the template sends none to this task any more */
        cf__slot_clear(&view->slots[slot], CF__SLOT_SIGNALED);
    }
    cf__arena_tell(view, slot, before);
    /* release [A7], and the wakes are done before the intent is gone.  Earlier, and a death between the two would
     * leave a waiter asleep. */
    cf__store_release(&self->intent, 0u);
    return true;
}

/* ---- a worker's limits ---- */

/* Worker `number`: somebody should look at its task at `due`. */
CF__PRIVATE void
cf__arena_expect_look(const cf__arena_view *view, uint32_t number, int64_t due)
{
    /* seq_cst [A6]: before our look at next_look. */
    (void)cf__exchange_seq_cst(&view->workers[number - 1].due, due);
    if (due < cf__load_seq_cst(&view->arena->next_look))
        (void)cf__arena_poke(view);
}

/* Worker `number`: its task mustn't be killed before `end`; 0: the kill may go on.  False: it's too late, it is being
 * killed. */
CF__PRIVATE bool
cf__arena_shield(const cf__arena_view *view, uint32_t number, uint32_t slot, int64_t end)
{
    cf__worker_record *self = &view->workers[number - 1];
    uint64_t found, word = cf__load_relaxed(&view->slots[slot].word);
    if (end != 0) {
        cf__store_release(&self->shield_end, end); /* release: who sees the flag sees the end, by the CAS after it */
        return cf__slot_set(&view->slots[slot], number, cf__slot_generation(word), CF__SLOT_SHIELD, CF__SLOT_KILLING,
                            &found);
    }
    cf__slot_clear(&view->slots[slot], CF__SLOT_SHIELD);
    /* The template may have put a kill off until `shield_end`: a limit's, or (seq_cst: after the clear) the pool's. */
    if (cf__load_relaxed(&self->due) <= cf__os_now() || cf__load_seq_cst(&view->arena->stop) == CF__ARENA_KILLS)
        (void)cf__arena_poke(view);
    return true;
}

/* ---- a worker's search for work ---- */

/* Worker `number`: claims a pending slot, a child or of either ring.  False when there is none. */
CF__PRIVATE bool
cf__arena_claim(const cf__arena_view *view, uint32_t number, uint32_t *slot)
{
    cf__arena *arena = view->arena;
    uint64_t generation;
    /* Children first: their parents hold a worker each. */
    while (cf__nested_take_hint(view, number, slot, &generation) ||
           cf__arena_take_hint(view, &arena->template_ring, view->template_hints, number, slot, &generation) ||
           cf__arena_take_hint(view, &arena->parent_ring, view->parent_hints, number, slot, &generation)) {
        if (!cf__slot_claim(&view->slots[*slot], number, generation))
            continue; /* a stale hint */
        /* If we were woken, we have looked now; whoever pushed meanwhile relied on us to wake the next [A2]. */
        uint32_t waking = number;
        bool relied = cf__load_relaxed(&arena->waking) == number && cf__cas_seq_cst(&arena->waking, &waking, 0u);
        /* A death clears it as well, and wakes who is idle; but then nobody is left to let the pool grow, if it may:
         * relaxed, both, for who has just taken itself off `wanted` looks for work after that (cf__arena_retire).  seq_cst:
         * after the reaper's store of 0, so that we see what was pushed before that. */
        if (!relied && cf__load_relaxed(&arena->wanted) < CF__MIN(cf__load_relaxed(&arena->most), view->worker_count))
            relied = cf__load_seq_cst(&arena->waking) == 0;
        if (relied && cf__arena_has_hints(view))
            cf__arena_call_another(view);
        return true;
    }
    /* The intent named a hint that we took and found stale, or that another took; or whatever a faulty task wrote
     * there while we slept.  release [A7]. */
    cf__store_release(&view->workers[number - 1].intent, 0u);
    return false;
}

/* Worker `number`: announces that it's going to look for work; false if another is about to anyhow. */
CF__PRIVATE bool
cf__arena_search(const cf__arena_view *view, uint32_t number)
{
    uint32_t nobody = 0;
    /* seq_cst: as a waker's store of it.  Claiming or parking clears it. */
    return cf__cas_seq_cst(&view->arena->waking, &nobody, number);
}

/* Whether worker `number` is to go on: the pool runs, and wants as many. */
CF__PRIVATE bool
cf__arena_is_wanted(const cf__arena_view *view, uint32_t number)
{
    /* seq_cst, both: after the worker has set park to 0, see cf__arena_wake_all(). */
    return cf__load_seq_cst(&view->arena->stop) == CF__ARENA_RUNS &&
           (number <= CF__MIN(cf__load_seq_cst(&view->arena->wanted), view->worker_count) ||
            number <= cf__arena_staff(view));
}

/* Worker `number` isn't wanted: somebody may have relied on it [A2]. */
CF__PRIVATE void
cf__arena_pass_on(const cf__arena_view *view, uint32_t number)
{
    uint32_t waking = number;
    if (cf__cas_seq_cst(&view->arena->waking, &waking, 0u) && cf__arena_has_hints(view))
        cf__arena_call_another(view);
}

#ifndef CF__LINGER /* nanoseconds that a stand-in stays when it isn't wanted; tests have more patience */
#define CF__LINGER INT64_C(100000000)
#endif

/* Worker `number`, a stand-in, isn't wanted: sleeps, as one whom nobody counts on, until it is again, or the pool ends.  False:
 * for too long, it leaves.  Should it be called just then, the template sees its end and starts another. */
CF__PRIVATE bool
cf__arena_linger(const cf__arena_view *view, uint32_t number)
{
    cf__worker_record *self = &view->workers[number - 1];
    bool in_time = true;
    /* Whatever a faulty task wrote there while we slept: whoever wakes us to have it put right (cf__slots_audit_one) may do
     * so again and again, and would wait for ever.  release [A7]. */
    cf__store_release(&self->intent, 0u);
    cf__store_seq_cst(&self->park, 0u);
    if (cf__arena_is_wanted(view, number) || cf__load_seq_cst(&view->arena->stop) != CF__ARENA_RUNS)
        return true;
    cf_time deadline = cf_after_ns(CF__LINGER);
    while (cf__load_acquire(&self->park) == 0 && in_time) /* acquire [A5] */
        in_time = cf__park(&self->park, 0, deadline, CF__SCOPE_SHARED);
    return in_time || cf__arena_is_wanted(view, number);
}

/* Worker `number`: sleeps until there may be work, or it isn't wanted any more, or `deadline`: then false.  Wakers and the
 * reaper owe the wake. */
CF__PRIVATE bool
cf__arena_park(const cf__arena_view *view, uint32_t number, int64_t deadline)
{
    cf__arena *arena = view->arena;
    cf__worker_record *self = &view->workers[number - 1];
    uint32_t waking = number;
    bool in_time = true;

    cf__store_seq_cst(&self->park, 0u);
    /* seq_cst [A2]: before our look at the tails. */
    (void)cf__fetch_or_seq_cst(&arena->idle[(number - 1) / 64], UINT64_C(1) << ((number - 1) % 64));
    /* We have looked and found nothing; who pushes from here on sees waking clear, or we see the push [A2]. */
    (void)cf__cas_seq_cst(&arena->waking, &waking, 0u);
    if (cf__arena_has_hints(view)) {
        /* Whoever pushed them before waking was clear relied on us to wake the next: the claim will see to it.  If
         * another is about to look by now, it will. */
        (void)cf__arena_search(view, number);
    } else if (cf__arena_is_wanted(view, number)) {
        while (cf__load_acquire(&self->park) == 0 && in_time) /* acquire [A5] */
            in_time = cf__park(&self->park, 0, deadline, CF__SCOPE_SHARED);
    }
    /* Awake by ourselves, or by the reaper, our bit may still be set: a waker that took it now would count on a
     * worker that is awake. If one has taken it already, it counts on us. */
    return !cf__arena_clear_idle(view, number) || in_time;
}

/* Worker `number` has slept for as long as an idle one is kept: it isn't wanted any more, if it's the last one in line and
 * there are more than the least. */
CF__PRIVATE void
cf__arena_retire(const cf__arena_view *view, uint32_t number)
{
    uint32_t wanted = number;
    /* seq_cst [A2]: our bit is gone, this next, then the look.  Who pushes looks at the bits, then here: it sees that the
     * pool may grow, or we see its push, and let the pool grow. */
    if (number > cf__load_relaxed(&view->arena->least) && cf__cas_seq_cst(&view->arena->wanted, &wanted, number - 1) &&
        cf__arena_has_hints(view))
        cf__arena_grow(view);
}

/* ---- when a task has written over the arena ---- */

/* Parent: the word of `slot` was `word`, read with acquire, RUNNING by worker number 1 to worker_count.  Whether that
 * worker's record says otherwise. */
CF__PRIVATE bool
cf__arena_disowned(const cf__arena_view *view, uint32_t slot, uint64_t word)
{
    /* acquire, both [A7]: what the next look sees is as new as this one. */
    return cf__load_acquire(&view->workers[cf__slot_owner(word) - 1].intent) != slot + 1 &&
           cf__load_acquire(&view->slots[slot].word) == word;
}

/* Parent: `slot` isn't what it should be: the template is to kill whom its word names, and whose record names it.
 * Returns whether there is one; then poke the template. */
CF__SLOW bool
cf__arena_condemn(const cf__arena_view *view, uint32_t slot)
{
    uint32_t owner = cf__slot_owner(cf__load_relaxed(&view->slots[slot].word)); /* relaxed, all: a guess */
    bool found = false;
    for (uint32_t number = 1; number <= view->worker_count; number++) {
        cf__worker_record *worker = &view->workers[number - 1];
        if (number != owner && cf__load_relaxed(&worker->intent) != slot + 1)
            continue;
        /* Who is no child of the template's isn't killed, nor who has died meanwhile. */
        cf__store_relaxed(&worker->condemned, cf__load_relaxed(&worker->process));
        found = true;
    }
    return found;
}

/* ---- after a death ---- */

/* Pushes the hint of a slot that is pending again; the template. */
CF__PRIVATE void
cf__arena_push_again(const cf__arena_view *view, uint32_t index)
{
    cf__arena *arena = view->arena;
    if (index >= view->slot_count)
        cf__nested_push_hint(view, index);
    else
        cf__arena_push_hint(view, &arena->template_ring, view->template_hints, index);
}

/* Each takes a worker that dies within a few instructions; but a newborn, to which every page is new, takes ten
 * microseconds for them.  With 8, killers at random times made innocent tasks corrupt. */
#define CF__HINTS_MOST 100

/* The tries of the task that is in the slot now. */
CF__PRIVATE cf__tries *
cf__tries_of(cf__tries *tries, uint64_t word)
{
    if (tries->generation != cf__slot_generation(word)) {
        memset(tries, 0, sizeof *tries);
        tries->generation = cf__slot_generation(word);
    }
    return tries;
}

/* Template: worker `number` is dead; `account` says how it came, but for what the dead one has left in its record.
 * Settles what it left; its task is lost, or, if `retry`, is pending again.  `tries`: of each slot. */
CF__PRIVATE void
cf__arena_reap(const cf__arena_view *view, cf__tries *tries, uint32_t number, const cf_account *account, bool retry)
{
    cf__arena *arena = view->arena;
    cf__worker_record *dead = &view->workers[number - 1];
    uint32_t intent = cf__load_acquire(&dead->intent);

    if (intent != 0 && intent <= view->slot_total) {
        uint32_t index = intent - 1;
        cf__slot *slot = &view->slots[index];
        uint64_t word = cf__load_acquire(&slot->word), found;
        if (cf__slot_runs(word, number) && retry) {
            if (cf__slot_retry(slot, number)) /* else the parent has withdrawn it */
                cf__arena_push_again(view, index);
        } else if (cf__slot_runs(word, number)) {
            cf_account whole = *account;
            memcpy(whole.note, dead->note, sizeof whole.note);
            whole.note[sizeof whole.note - 1] = 0;
            whole.fault_known = dead->fault_known != 0;
            whole.fault_address = dead->fault_address;
            whole.frame_count = CF__MIN(dead->frame_count, CF__STATIC_CAST(uint32_t, CF_FRAMES_MOST));
            memcpy(whole.frames, dead->frames, sizeof whole.frames);
            memcpy(slot->payload, &whole, sizeof whole);
            cf__data_write(slot->payload, sizeof slot->payload);
            uint64_t before = cf__slot_settle(slot, number, CF__SLOT_LOST, 0, &found);
            if (before != 0) /* else the parent has withdrawn it */
                cf__arena_tell(view, index, before);
        } else if (cf__slot_settled(word) && cf__slot_owner(word) == number) {
            cf__arena_tell(view, index, word); /* it may have died before it did */
        } else if (cf__slot_state(word) == CF__SLOT_PENDING &&
                   cf__tries_of(&tries[index], word)->hints++ == CF__HINTS_MOST) {
            if (cf__slot_give_up(slot, &word))
                cf__arena_tell(view, index, word);
        } else if (cf__slot_state(word) == CF__SLOT_PENDING) {
            cf__arena_push_again(view, index);
        }
    }
    cf__nested_reap(view, number);
    cf__store_release(&dead->intent, 0u);   /* release [A7] */
    cf__store_relaxed(&dead->signaled, 0u); /* relaxed: the fork of the next one carries it */
    (void)cf__arena_clear_idle(view, number);
    /* It may have died between taking one of these words and waking who sleeps on it. */
    cf__store_seq_cst(&arena->collector, 0u);
    (void)cf__unpark_all(&arena->collector, CF__SCOPE_SHARED);
    cf__arena_ease(arena, true);
    cf__arena_wake_all(view);
}

#endif /* CF__BODIES && CF__FUTEX */

#endif
