/* cfutures/detail/slot.h - one task's place in shared memory: its state word is the only truth about the task.
 * SPDX-License-Identifier: MIT
 * LAYER 2.  Includes: limits.h, park.h, task_type.h.  Included by: arena.h.
 *
 * HOW IT WORKS  The parent fills a slot, a worker claims it by one compare-and-swap that writes the worker's
 *   number, runs the task, and publishes by another.  A process may die between any two instructions; whatever it
 *   had done, the word says who is to go on:
 *
 *       FREE --fill--> PENDING --claim(worker)--> RUNNING --publish(worker)--> DONE|FAILED|LATE -collect-> FREE'
 *       parent           |                           +----lose(reaper)-------> LOST ------------collect--> FREE'
 *                        ^                           +----retry(reaper)--+
 *                        +-----------------------------------------------+
 *                        +--------withdraw(parent: cancel, broken pool)------> GONE ------------collect--> FREE'
 *                                 (a broken pool withdraws RUNNING ones too)
 *     A task whose hint goes down with worker after worker is lost, too (reaper; the word then has no owner).
 *     LATE: it wasn't run, for its time to start had passed.  FREE' is FREE in the next generation.  No other transition exists.
 *
 *   The word, 64 bits, moved as a whole:
 *       63       52 51   44 43      32 31       9  8     7       6         5        4     3   2   0
 *       generation  tries   owner      generation  STOP  SHIELD  SIGNALED  KILLING  CARE  WAIT  state
 *       (high 12)           (worker)   (low 23)
 *   Sleepers sleep on its low half, which has generation bits, so that they notice that the slot was used again.
 *       tries     how often the task was to run again.  So a word that is RUNNING by a worker, once moved on, never comes
 *                 back in its generation: who sees the same word twice has seen the same run (arena.h, [A7])
 *       WAIT      somebody may sleep on the low half: whoever settles the word owes all of them a wake
 *       CARE      the parent wants a mark in the completion map: whoever settles it owes the mark
 *       KILLING   the template is about to kill the owner: it doesn't publish any more
 *       SIGNALED  the template sends the owner a signal that is meant for this task: the owner clears it once that has
 *                 arrived, and publishes only then, so that the next task doesn't get it
 *       SHIELD    the task doesn't want to be killed now: the template waits, for a while
 *       STOP      somebody wants the task to stop: what cf_cancelled() tells it
 *
 * INVARIANTS
 *   S1  Payload, arguments and the rest of the slot are written by the parent before PENDING, by the owner while
 *       RUNNING, and read by the parent once it's settled; by nobody else.
 *   S2  A publish moves only a word that is RUNNING with the publisher as owner.  One that fails at that must never
 *       touch the slot again: it has been declared lost.
 *   S3  A worker that published has succeeded, dead or not: the reaper looks at the word before it declares
 *       anything lost.
 *   S4  KILLING and SIGNALED are set by a CAS of a word that is RUNNING, by the template; a signal or a kill follows
 *       only after a CAS that succeeded.  A publish moves only a word without them.  So a kill never hits the next task,
 *       and never takes a result that was published.  (Look, then kill: 1,890 of 2,000 kills missed their task.)
 * ORDERING
 *   [S1] task -> worker          fill's store-release of PENDING / claim's CAS (acquire half).  The hint that leads
 *        to a claim comes through a ring, which orders the two as well; the slot doesn't rely on it.
 *   [S2] outcome -> parent       publish's and lose's CAS (release half) / load-acquire of the word
 *   A slot goes from one task to the next under the parent's mutex; its generation keeps old readers off. */
#ifndef CFUTURES_DETAIL_SLOT_H
#define CFUTURES_DETAIL_SLOT_H

#include "limits.h"
#include "park.h"
#include "task_type.h"

#if CF__BODIES && CF__FUTEX

#define CF__SLOT_FREE 0u
#define CF__SLOT_PENDING 1u
#define CF__SLOT_RUNNING 2u
#define CF__SLOT_DONE 3u /* from here on: settled */
#define CF__SLOT_FAILED 4u
#define CF__SLOT_LOST 5u
#define CF__SLOT_GONE 6u
#define CF__SLOT_LATE 7u
#define CF__SLOT_CORRUPT 8u /* not in any word: it stands for one that makes no sense (process_slots.h) */
#define CF__SLOT_STATE UINT64_C(7)
#define CF__SLOT_GENERATIONS UINT64_C(0x7ffffffff) /* the 35 bits of one */
#define CF__SLOT_TRIES UINT64_C(255)               /* as many retries as a task may have, at most */
#define CF__SLOT_WAIT UINT64_C(8)
#define CF__SLOT_CARE UINT64_C(16)
#define CF__SLOT_KILLING UINT64_C(32)
#define CF__SLOT_SIGNALED UINT64_C(64)
#define CF__SLOT_SHIELD UINT64_C(128)
#define CF__SLOT_STOP UINT64_C(256)

#define CF__SLOT_PAYLOAD 256 /* bytes for small arguments and result, or for what became of them */
CF__STATIC_ASSERT(CF__SLOT_PAYLOAD >= CF__MESSAGE_SIZE, "a message fits where the arguments were");
CF__STATIC_ASSERT(CF__SLOT_PAYLOAD >= sizeof(cf_account), "so does an account");

/* Fields: A atomic; P written by the parent before PENDING, O by the owner while RUNNING, or by the reaper in its place
 * (S1) */
typedef struct cf__slot {
    uint64_t word;                             /* A */
    void (*run)(const void *, void *, void *); /* P: the task's thunk; valid in every process, they are forks of one */
    void *args, *result;                       /* P: in the payload, or in a block of the arena */
    uint32_t limited;                          /* P: whether there are limits */
    int32_t code;                              /* O: as given to cf_fail() */
    unsigned char unused[64 - 8 - 3 * sizeof(void *) - 8];
    cf__limits limits; /* P: valid if `limited` */
    unsigned char unused2[64 - sizeof(cf__limits)];
    unsigned char payload[CF__SLOT_PAYLOAD]; /* P, O: arguments and result; a message; or a cf_account */
} cf__slot;
CF__STATIC_ASSERT(sizeof(cf__slot) == 128 + CF__SLOT_PAYLOAD && CF__SLOT_PAYLOAD % 64 == 0, "whole cache lines");

/* Where a task's arguments and result go: in the slot if they fit, else in blocks of the arena. */
typedef struct cf__placement {
    bool args_in_block, result_in_block;
    size_t result_offset; /* in the payload */
} cf__placement;

CF__PRIVATE cf__placement
cf__slot_place(const cf_task_type *type)
{
    cf__placement place;
    size_t args = type->args_size, result = type->result_size;
    place.args_in_block = args > CF__SLOT_PAYLOAD || type->args_align > CF__CACHE_LINE;
    place.result_offset = CF__ROUND_UP(place.args_in_block ? 0 : args, type->result_align);
    place.result_in_block = result > CF__SLOT_PAYLOAD || type->result_align > CF__CACHE_LINE ||
                            place.result_offset + result > CF__SLOT_PAYLOAD;
    return place;
}

/* Puts a task into a slot that isn't published; with blocks for what doesn't fit, else NULL. */
CF__PRIVATE void
cf__slot_fill(cf__slot *slot, const cf_task_type *type, const void *args, void *args_block, void *result_block,
              const cf__limits *limits)
{
    void *place = args_block != NULL ? args_block : slot->payload;
    slot->run = type->run;
    slot->args = place;
    slot->result = result_block != NULL ? result_block : slot->payload + cf__slot_place(type).result_offset;
    slot->code = 0;
    slot->limited = cf__limits_any(limits);
    if (cf__limits_any(limits))
        slot->limits = *limits;
    if (type->args_size != 0)
        memcpy(place, args, type->args_size);
}

/* Of one slot, private to the template: what its worker's deaths have cost the task that is in it. */
typedef struct cf__tries {
    uint64_t generation; /* of the task */
    uint32_t count;      /* of workers that died as they ran it */
    uint32_t hints;      /* of those that died as they were about to */
} cf__tries;

/* ---- the word ---- */

CF__PRIVATE uint32_t
cf__slot_state(uint64_t word)
{
    return CF__STATIC_CAST(uint32_t, word & CF__SLOT_STATE);
}

CF__PRIVATE bool
cf__slot_settled(uint64_t word)
{
    return cf__slot_state(word) >= CF__SLOT_DONE;
}

CF__PRIVATE uint32_t
cf__slot_owner(uint64_t word)
{
    return CF__STATIC_CAST(uint32_t, (word >> 32) & 0xfff);
}

CF__PRIVATE uint64_t
cf__slot_generation(uint64_t word)
{
    return ((word >> 9) & 0x7fffff) | ((word >> 52) << 23);
}

CF__PRIVATE uint64_t
cf__slot_tries(uint64_t word)
{
    return (word >> 44) & CF__SLOT_TRIES;
}

/* A word without flags and tries. */
CF__PRIVATE uint64_t
cf__slot_word(uint64_t generation, uint32_t owner, uint32_t state)
{
    return ((generation & 0x7fffff) << 9) | ((generation >> 23) << 52) | (CF__STATIC_CAST(uint64_t, owner) << 32) |
           state;
}

/* The same word, flags and all, in another state. */
CF__PRIVATE uint64_t
cf__slot_with_state(uint64_t word, uint32_t state)
{
    return (word & ~CF__SLOT_STATE) | state;
}

/* Where sleepers sleep, and what they expect there. */
CF__PRIVATE const uint32_t *
cf__slot_futex(const cf__slot *slot)
{
    const void *word = &slot->word;
    const uint32_t *half = CF__STATIC_CAST(const uint32_t *, word);
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    half++;
#endif
    return half;
}

CF__PRIVATE uint32_t
cf__slot_futex_value(uint64_t word)
{
    return CF__STATIC_CAST(uint32_t, word);
}

/* ---- transitions ---- */

/* A hint says: this slot may be pending, in this generation. */
#define CF__HINT_SLOTS UINT64_C(0xffffff)

CF__PRIVATE uint64_t
cf__slot_hint(uint32_t index, uint64_t word)
{
    return (cf__slot_generation(word) << 24) | index;
}

/* Parent: everything in the slot is written; let workers have it.  The slot is FREE in `generation`. */
CF__PRIVATE void
cf__slot_publish_task(cf__slot *slot, uint64_t generation)
{
    cf__data_write(slot->payload, sizeof slot->payload);
    /* release [S1]: the claimer reads the task.  A plain store is enough, nobody else moves a FREE word. */
    cf__store_release(&slot->word, cf__slot_word(generation, 0, CF__SLOT_PENDING));
}

/* Worker `owner`: claims the slot if it is pending in the generation that the hint is of; true if it's ours now. */
CF__PRIVATE bool
cf__slot_claim(cf__slot *slot, uint32_t owner, uint64_t generation)
{
    uint64_t word = cf__load_relaxed(&slot->word); /* relaxed: a guess, the CAS checks it */
    while (cf__slot_state(word) == CF__SLOT_PENDING && cf__slot_generation(word) == generation) {
        uint64_t mine = cf__slot_with_state(word, CF__SLOT_RUNNING) | (CF__STATIC_CAST(uint64_t, owner) << 32);
        /* acquire [S1]: we read what the parent wrote.  The flags stay: a sleeper set them. */
        if (cf__cas_acq_rel(&slot->word, &word, mine)) {
            cf__data_read(slot->payload, sizeof slot->payload);
            return true;
        }
    }
    return false;
}

CF__PRIVATE bool
cf__slot_runs(uint64_t word, uint32_t owner)
{
    return cf__slot_state(word) == CF__SLOT_RUNNING && cf__slot_owner(word) == owner;
}

/* Moves a word that is RUNNING by `owner` on to `to`, unless it has one of the flags in `unless`, which are then in
 * *found; WAIT and CARE stay.  Returns the word before; 0: it wasn't moved, and *found says whether it was such a word. */
CF__PRIVATE uint64_t
cf__slot_settle(cf__slot *slot, uint32_t owner, uint32_t to, uint64_t unless, uint64_t *found)
{
    uint64_t word = cf__load_relaxed(&slot->word);
    *found = 0;
    while (cf__slot_runs(word, owner)) {
        *found = word & unless;
        if (*found != 0)
            return 0;
        /* release [S2]: whoever reads the new state also reads the outcome.  seq_cst, because what follows looks at
         * other words (the pressure word, arena.h [A3]) that a waiter writes before it looks at this one. */
        if (cf__cas_seq_cst(&slot->word, &word, cf__slot_with_state(word, to)))
            return word;
    }
    return 0;
}

/* Reaper: the task is to run again, in the same generation; false: it isn't RUNNING by `owner` any more. */
CF__PRIVATE bool
cf__slot_retry(cf__slot *slot, uint32_t owner)
{
    uint64_t word = cf__load_relaxed(&slot->word);
    while (cf__slot_runs(word, owner)) {
        uint64_t tries = (cf__slot_tries(word) + 1) & CF__SLOT_TRIES;
        uint64_t pending = cf__slot_word(cf__slot_generation(word), 0, CF__SLOT_PENDING) | (tries << 44) |
                           (word & (CF__SLOT_WAIT | CF__SLOT_CARE | CF__SLOT_STOP));
        /* release: what the dead one did to the slot happens before the next one's claim [S1]; the kernel's word for its
         * end has ordered it before us. */
        if (cf__cas_acq_rel(&slot->word, &word, pending))
            return true;
    }
    return false;
}

/* Reaper: no more workers for a slot that was PENDING, in *word: LOST, without owner.  False: it isn't pending any more;
 * else *word is as it was before. */
CF__PRIVATE bool
cf__slot_give_up(cf__slot *slot, uint64_t *word)
{
    uint64_t generation = cf__slot_generation(*word);
    while (cf__slot_state(*word) == CF__SLOT_PENDING && cf__slot_generation(*word) == generation) {
        /* seq_cst: as cf__slot_settle(). */
        if (cf__cas_seq_cst(&slot->word, word, cf__slot_with_state(*word, CF__SLOT_LOST)))
            return true;
    }
    return false;
}

/* Sets `flag` in a word that is RUNNING by `owner` in `generation`; false if it isn't, or has one of the flags in
 * `unless`, which are then in *found. */
CF__PRIVATE bool
cf__slot_set(cf__slot *slot, uint32_t owner, uint64_t generation, uint64_t flag, uint64_t unless, uint64_t *found)
{
    uint64_t word = cf__load_acquire(&slot->word); /* acquire: with a SHIELD that is found, its end (arena.h) */
    *found = 0;
    while (cf__slot_runs(word, owner) && cf__slot_generation(word) == generation) {
        *found = word & unless;
        if (*found != 0)
            return false;
        /* acq_rel: nothing is published by it; but the signal that follows isn't sent before (S4). */
        if (cf__cas_acq_rel(&slot->word, &word, word | flag))
            return true;
    }
    return false;
}

/* Owner: clears a flag of the task that it runs.  (A broken pool may have withdrawn that; then nobody reads the word.) */
CF__PRIVATE void
cf__slot_clear(cf__slot *slot, uint64_t flag)
{
    (void)cf__fetch_and_seq_cst(&slot->word, ~flag);
}

/* Sets `flag` (WAIT or CARE) in *word, the slot's word as the caller last saw it; false if the word has changed
 * since: *word is then as found. */
CF__PRIVATE bool
cf__slot_set_flag(cf__slot *slot, uint64_t *word, uint64_t flag)
{
    if (*word & flag)
        return true;
    /* acquire [S2]: on failure the caller may find it settled, and read the outcome. */
    if (!cf__cas_acq_rel(&slot->word, word, *word | flag))
        return false;
    *word |= flag;
    return true;
}

/* Wakes who sleeps on the slot, if `word`, from before it was settled, says that somebody may. */
CF__PRIVATE void
cf__slot_wake(const cf__slot *slot, uint64_t word)
{
    if (word & CF__SLOT_WAIT)
        (void)cf__unpark_all(cf__slot_futex(slot), CF__SCOPE_SHARED);
}

#endif /* CF__BODIES && CF__FUTEX */

#endif
