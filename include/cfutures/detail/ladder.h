/* cfutures/detail/ladder.h - the template's way with tasks that pass a limit: ask, signal, kill.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: worker.h.  Included by: template.h.
 *
 * HOW IT WORKS  A worker whose task has limits says in its record when somebody should look (arena.h [A6]).  The template
 *   then finds out whether one has passed, and if so climbs, each step with its own grace:
 *
 *       ASKED      STOP in the slot's word: cf_cancelled() turns true in the task     for stop_grace_ms
 *       SIGNALED   the signal that the task wanted, by cf_stop_signal()              for signal_grace_ms
 *       TERMINATED SIGTERM to the worker's process group                             for term_grace_ms
 *       KILLED     SIGKILL to the group
 *
 *   A step without a grace is left out, but for the first, which is taken, and the last.  From TERMINATED on the task's
 *   outcome is that the limit ended it, whatever it still does: KILLING in the slot's word (slot.h S4).  Before that it
 *   may end by itself, and well.
 * WHICH TASK  A ladder names the slot and the generation it was climbed for; another one starts from the ground.
 * SHIELD  A task in a section that mustn't be interrupted isn't killed before the end it has named, but at the latest
 *   CF__SHIELD_MOST after its first kill was due.
 * TIME  The template sleeps until the first look that is due, without limits for ever.  CPU time can't be waited for; it's
 *   looked at again when the rest could have been taken.
 * WHAT IS READ FROM THE ARENA  is bounded: times and numbers of the worker's own record and slot, which spoil nothing but
 *   that worker's own limits; who is killed is known from private memory. */
#ifndef CFUTURES_DETAIL_LADDER_H
#define CFUTURES_DETAIL_LADDER_H

#include "worker.h"

#if CF__BODIES && CF__FUTEX

#define CF__SHIELD_MOST INT64_C(60000000000)
#define CF__LOOK_LEAST INT64_C(1000000) /* nanoseconds between two looks at a CPU clock */

typedef enum cf__rung { CF__GROUND, CF__ASKED, CF__SIGNALED, CF__TERMINATED, CF__KILLED } cf__rung;

typedef struct cf__ladder { /* of one worker; private to the template */
    cf__rung rung;
    cf_limit limit;      /* what it's climbed for */
    uint32_t slot;       /* the task: the slot it's in, + 1; 0: none */
    uint64_t generation; /* and its generation */
    int64_t next;        /* when to look again */
    int64_t kill_due;    /* since when a shield holds up the kill; 0: none does */
} cf__ladder;

/* The limits of a task, from where workers can write: as they are, for what they say is used for that worker alone. */
CF__PRIVATE cf__limits
cf__ladder_limits(const cf__slot *slot)
{
    cf__limits limits;
    memcpy(&limits, &slot->limits, sizeof limits);
    return limits;
}

/* Has the ladder stand at the task in slot `intent` - 1, on the ground if it stood at another; whether it did. */
CF__PRIVATE bool
cf__ladder_move(cf__ladder *ladder, uint32_t intent, uint64_t word)
{
    if (ladder->slot == intent && ladder->generation == cf__slot_generation(word))
        return false;
    memset(ladder, 0, sizeof *ladder);
    ladder->slot = intent;
    ladder->generation = cf__slot_generation(word);
    return true;
}

/* Sets KILLING, after which the worker may be sent what ends it.  False: not now; ladder->next says when to look again. */
CF__PRIVATE bool
cf__ladder_claim_kill(const cf__arena_view *view, cf__ladder *ladder, uint32_t number, int64_t now)
{
    uint64_t found;
    if (ladder->kill_due == 0)
        ladder->kill_due = now;
    uint64_t unless = CF__SLOT_SHIELD;
    while (
        !cf__slot_set(&view->slots[ladder->slot - 1], number, ladder->generation, CF__SLOT_KILLING, unless, &found)) {
        if (found == 0) { /* the task has ended in time */
            memset(ladder, 0, sizeof *ladder);
            return false;
        }
        int64_t end =
            CF__MIN(cf__load_relaxed(&view->workers[number - 1].shield_end), ladder->kill_due + CF__SHIELD_MOST);
        if (now < end) {
            ladder->next = end;
            return false;
        }
        unless = 0;
    }
    return true;
}

/* Takes the steps that are due for worker `number`, which is `process`. */
CF__PRIVATE void
cf__ladder_climb(const cf__arena_view *view, cf__ladder *ladder, uint32_t number, int32_t process, int64_t now)
{
    cf__slot *slot = &view->slots[ladder->slot - 1];
    cf__worker_record *worker = &view->workers[number - 1];
    cf__limits limits = cf__ladder_limits(slot);
    uint64_t found;

    if (ladder->rung < CF__ASKED) {
        ladder->rung = CF__ASKED;
        if (!cf__slot_set(slot, number, ladder->generation, CF__SLOT_STOP, 0, &found)) {
            memset(ladder, 0, sizeof *ladder); /* the task has ended in time */
            return;
        }
        ladder->next = now + cf__milliseconds(limits.stop_grace_ms);
        if (now < ladder->next)
            return;
    }
    if (ladder->rung < CF__SIGNALED) {
        uint32_t wish = cf__load_relaxed(&worker->stop_signal);
        ladder->rung = CF__SIGNALED;
        ladder->next = now + cf__milliseconds(limits.signal_grace_ms);
        if (now < ladder->next && wish != 0 && wish < 65 &&
            cf__slot_set(slot, number, ladder->generation, CF__SLOT_SIGNALED, CF__SLOT_SIGNALED, &found)) {
            cf__os_signal(process, CF__STATIC_CAST(int, wish));
            cf__store_release(&worker->signaled, 1u); /* release: the signal is pending before the worker reads that */
            return;
        }
    }
    if (ladder->rung < CF__TERMINATED && limits.term_grace_ms != 0) {
        if (!cf__ladder_claim_kill(view, ladder, number, now))
            return;
        ladder->rung = CF__TERMINATED;
        cf__os_signal_group(process, SIGTERM);
        ladder->next = now + cf__milliseconds(limits.term_grace_ms);
        return;
    }
    if (ladder->rung < CF__KILLED) {
        if (ladder->rung < CF__TERMINATED && !cf__ladder_claim_kill(view, ladder, number, now))
            return;
        ladder->rung = CF__KILLED;
        ladder->next = CF__NEVER;
        cf__os_signal_group(process, SIGKILL);
    }
}

/* Takes away what only a faulty task can have set for worker `number`'s task: a signal is on its way only while
 * cf__ladder_climb() runs. */
CF__PRIVATE void
cf__ladder_put_right(const cf__arena_view *view, uint32_t number)
{
    cf__worker_record *worker = &view->workers[number - 1];
    uint32_t intent = cf__load_acquire(&worker->intent);
    if (intent == 0 || intent > view->slot_total)
        return;
    uint64_t word = cf__load_acquire(&view->slots[intent - 1].word);
    if (cf__slot_runs(word, number) && (word & CF__SLOT_SIGNALED) != 0 && cf__load_relaxed(&worker->signaled) == 0)
        cf__slot_clear(&view->slots[intent - 1], CF__SLOT_SIGNALED); /* or the worker is about to do so itself */
}

/* Looks at worker `number`, which is `process`; `poked`: also at what waits for a shield to end.  Returns when to look
 * again. */
CF__PRIVATE int64_t
cf__ladder_look(const cf__arena_view *view, cf__ladder *ladder, uint32_t number, int32_t process, int64_t now,
                bool poked)
{
    cf__worker_record *worker = &view->workers[number - 1];
    int64_t due = cf__load_seq_cst(&worker->due); /* seq_cst [A6]: after the exchange of next_look */
    if (due == 0 || due == CF__NEVER)
        return CF__NEVER;
    uint32_t intent = cf__load_acquire(&worker->intent);
    if (intent == 0 || intent > view->slot_total)
        return CF__NEVER; /* that task has ended; the next one says anew when it's due */
    const cf__slot *slot = &view->slots[intent - 1];
    uint64_t word = cf__load_acquire(&slot->word);
    if (!cf__slot_runs(word, number))
        return CF__NEVER;
    /* Again, for what we read may have been the task's before this one.  acquire: whoever says when it's due has said
     * when it started.  (Without, the next task was judged by the start of the last, and killed as it began.) */
    due = cf__load_acquire(&worker->due);
    if (due == 0 || due == CF__NEVER)
        return CF__NEVER; /* it will say so, and poke us */
    if (cf__ladder_move(ladder, intent, word))
        ladder->next = due;
    if (now < ladder->next && !(poked && ladder->kill_due != 0 && ladder->rung < CF__TERMINATED))
        return ladder->next;
    if (ladder->rung == CF__GROUND) {
        cf__limits limits = cf__ladder_limits(slot);
        /* Bounded, all: times that a task can have written over mustn't overflow. */
        int64_t started = CF__MIN(cf__load_relaxed(&worker->started_at), now), cpu = 0;
        int64_t noted = CF__MIN(cf__load_relaxed(&worker->noted), now);
        if (limits.cpu_ms != 0)
            cpu = cf__os_process_cpu_time(process) - CF__MAX(cf__load_relaxed(&worker->cpu_before), INT64_C(0));
        ladder->next = cf__limits_due(&limits, started, noted, CF__MAX(cpu, INT64_C(0)), now, &ladder->limit);
        if (now < ladder->next) {
            ladder->next = CF__MAX(ladder->next, now + CF__LOOK_LEAST);
            return ladder->next;
        }
    }
    cf__ladder_climb(view, ladder, number, process, now);
    return ladder->slot != 0 ? ladder->next : CF__NEVER;
}

#endif /* CF__BODIES && CF__FUTEX */

#endif
