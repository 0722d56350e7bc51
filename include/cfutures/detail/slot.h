/* cfutures/detail/slot.h - one task's place in shared memory: its state word is the only truth about the task.
 * SPDX-License-Identifier: MIT
 * LAYER 2.  Includes: park.h, task_type.h.  Included by: arena.h.
 *
 * HOW IT WORKS  The parent fills a slot, a worker claims it by one compare-and-swap that writes the worker's
 *   number, runs the task, and publishes by another.  A process may die between any two instructions; whatever it
 *   had done, the word says who is to go on:
 *
 *       FREE --fill--> PENDING --claim(worker)--> RUNNING --publish(worker)--> DONE | FAILED --collect--> FREE'
 *       parent           |                           +----lose(reaper)-------> LOST ------------collect--> FREE'
 *                        +--------withdraw(parent: cancel, broken pool)------> GONE ------------collect--> FREE'
 *                                 (a broken pool withdraws RUNNING ones too)
 *     FREE' is FREE in the next generation.  No other transition exists.
 *
 *   The word, 64 bits, moved as a whole:
 *       63       44 43       32 31       8 7   5   4     3   2     0
 *       generation  owner       generation      CARE  WAIT  state
 *       (high 20)   (worker)    (low 24)
 *   Sleepers sleep on its low half, which has generation bits, so that they notice that the slot was used again.
 *       WAIT  somebody may sleep on the low half: whoever settles the word owes all of them a wake
 *       CARE  the parent wants a mark in the completion map: whoever settles it owes the mark
 *
 * INVARIANTS
 *   S1  Payload, arguments and the rest of the slot are written by the parent before PENDING, by the owner while
 *       RUNNING, and read by the parent after DONE, FAILED or LOST; by nobody else.
 *   S2  A publish moves only a word that is RUNNING with the publisher as owner.  One that fails at that must never
 *       touch the slot again: it has been declared lost.
 *   S3  A worker that published has succeeded, dead or not: the reaper looks at the word before it declares
 *       anything lost.
 * ORDERING
 *   [S1] task -> worker          fill's store-release of PENDING / claim's CAS (acquire half).  The hint that leads
 *        to a claim comes through a ring, which orders the two as well; the slot doesn't rely on it.
 *   [S2] outcome -> parent       publish's and lose's CAS (release half) / load-acquire of the word
 *   A slot goes from one task to the next under the parent's mutex; its generation keeps old readers off. */
#ifndef CFUTURES_DETAIL_SLOT_H
#define CFUTURES_DETAIL_SLOT_H

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
#define CF__SLOT_CORRUPT 7u /* nobody writes it: it stands for a word that makes no sense (process_slots.h) */
#define CF__SLOT_STATE UINT64_C(7)
#define CF__SLOT_GENERATIONS UINT64_C(0xfffffffffff) /* the 44 bits of one */
#define CF__SLOT_WAIT UINT64_C(8)
#define CF__SLOT_CARE UINT64_C(16)

#define CF__SLOT_PAYLOAD 192 /* bytes for small arguments and result, or for a failure's message */
CF__STATIC_ASSERT(CF__SLOT_PAYLOAD >= CF__MESSAGE_SIZE, "a message fits where the arguments were");

/* Fields: A atomic; P written by the parent before PENDING, O by the owner while RUNNING (S1) */
typedef struct cf__slot {
    uint64_t word;                             /* A */
    void (*run)(const void *, void *, void *); /* P: the task's thunk; valid in every process, they are forks of one */
    void *args, *result;                       /* P: in the payload, or in a block of the arena */
    uint32_t stop;                             /* A: cf_cancelled() in the task */
    int32_t code;                              /* O: as given to cf_fail() */
    int32_t signal, status;                    /* O: by the reaper: how the owner ended */
    unsigned char unused[64 - 8 - 3 * sizeof(void *) - 16];
    unsigned char payload[CF__SLOT_PAYLOAD]; /* P, O */
} cf__slot;
CF__STATIC_ASSERT(sizeof(cf__slot) == 256, "four cache lines");

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
    return ((word >> 8) & 0xffffff) | ((word >> 44) << 24);
}

/* A word without flags. */
CF__PRIVATE uint64_t
cf__slot_word(uint64_t generation, uint32_t owner, uint32_t state)
{
    return ((generation & 0xffffff) << 8) | ((generation >> 24) << 44) | (CF__STATIC_CAST(uint64_t, owner) << 32) |
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

/* A hint says: this slot may be pending, in this generation (its low 40 bits). */
#define CF__HINT_SLOTS UINT64_C(0xffffff)
#define CF__HINT_GENERATION UINT64_C(0xffffffffff)

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
    while (cf__slot_state(word) == CF__SLOT_PENDING &&
           (cf__slot_generation(word) & CF__HINT_GENERATION) == generation) {
        uint64_t mine = cf__slot_with_state(word, CF__SLOT_RUNNING) | (CF__STATIC_CAST(uint64_t, owner) << 32);
        /* acquire [S1]: we read what the parent wrote.  The flags stay: a sleeper set them. */
        if (cf__cas_acq_rel(&slot->word, &word, mine)) {
            cf__data_read(slot->payload, sizeof slot->payload);
            return true;
        }
    }
    return false;
}

/* Moves a word that `from` describes (its state, its owner) to `to`, keeping the flags; returns the word before, or
 * 0 if it was no such word any more. */
CF__PRIVATE uint64_t
cf__slot_move(cf__slot *slot, uint32_t from, uint32_t owner, uint32_t to)
{
    uint64_t word = cf__load_relaxed(&slot->word);
    while (cf__slot_state(word) == from && cf__slot_owner(word) == owner) {
        /* release [S2]: whoever reads the new state also reads the outcome.  seq_cst, because what follows looks at
         * other words (the pressure word, arena.h [A3]) that a waiter writes before it looks at this one. */
        if (cf__cas_seq_cst(&slot->word, &word, cf__slot_with_state(word, to)))
            return word;
    }
    return 0;
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
