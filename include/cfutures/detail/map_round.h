/* cfutures/detail/map_round.h - a range of items that runners cut from, and any of them may die.
 * SPDX-License-Identifier: MIT
 * LAYER 4.  Includes: os_process.h, ../executor.h.  Included by: map.h.
 *
 * HOW IT WORKS  A round's items are cut into *chunks*, large ones first, small ones at the end, so that all workers
 *   end at about the same time.  A *runner*, an ordinary task, claims one chunk after another and runs its items.
 *   The truth is a chunk's word (state, runner, next item); everything else is plain data that the word publishes:
 *
 *       FREE(n) --claim--> RUNNING(r, n+1) --step--> RUNNING(r, n+2) ... --> DONE
 *          ^                  |      \__stop, or r has died and item n is lost__> FREE(n+1)
 *          |__________________|                 close: FREE, RUNNING --> CLOSED, for ever
 *
 * FAST OR TRACKED  A fast round is on threads that may read the caller's arrays and write its results in place, by
 *   a loop that CF_TASK has compiled for the function (run_range); its words move once a chunk.  In a tracked one
 *   arguments and results are packed, and the word moves with each item.
 * INVARIANTS
 *   M1  An item of a tracked round is begun by exactly one successful CAS of its chunk's word.  So none runs twice,
 *       and none is begun after its chunk is closed.
 *   M2  The caller moves a RUNNING word that it doesn't close only once its runner is dead.
 *   M3  A runner number is used once a round.
 * ORDERING
 *   [M1] item's result and status -> the caller   step's CAS, release / load-acquire of the word by whoever collects
 *   The rest of the round is written before the runners are submitted.  Claim and close need no order: they are
 *   read-modify-writes, which continue the release sequence of the runner that had the chunk before.
 * REJECTED  A shared cursor moved by fetch_add: a runner killed after it took with it what it had taken (615 items
 *   lost in 227 deaths; with words none).  Equal chunks: the last one decides. */
#ifndef CFUTURES_DETAIL_MAP_ROUND_H
#define CFUTURES_DETAIL_MAP_ROUND_H

#include "../executor.h"
#include "os_process.h"

#if CF__BODIES

/* A chunk's word: state, 24 bits of runner number, 32 bits of next item. */
#define CF__MAP_FREE 0u    /* items before `next` are done, the others not begun */
#define CF__MAP_RUNNING 1u /* tracked: item next - 1 runs, those before it are done; fast: unknown */
#define CF__MAP_DONE 2u
#define CF__MAP_CLOSED 3u /* items before `next` are done, no other will be begun */

#define CF__MAP_ITEMS (UINT32_MAX / 2) /* in a round at most */
#define CF__MAP_CHUNKS 256u            /* in a round at least, if it has so many items */
#define CF__MAP_CHUNKS_GUIDED 65536u   /* at most, unless the caller chooses their size */
CF__STATIC_ASSERT(UINT64_MAX / CF__MAP_CHUNKS_GUIDED / CF__MAP_CHUNKS_GUIDED >= CF__MAP_ITEMS, "for cf__map_begin()");

typedef struct cf__map_chunk {
    uint64_t word; /* A */
    unsigned char pad[CF__CACHE_LINE - 8];
} cf__map_chunk;

/* What a runner has for itself, and its successor after it; read when it has ended. */
typedef struct cf__map_seat {
    uint32_t failed; /* the first of its items that failed, in input order; UINT32_MAX: none */
    int code;
    char message[CF__MESSAGE_SIZE];
    unsigned char pad[CF__CACHE_LINE - (8 + CF__MESSAGE_SIZE) % CF__CACHE_LINE];
} cf__map_seat;

/* A round; the caller has its own copy, the runners one in the executor's memory.  All immutable. */
typedef struct cf__map_round {
    const cf_task_type *type;
    const void *const *arrays; /* fast: the caller's */
    unsigned char *args;       /* packed, of each item; cf_for: one for each seat; NULL: fast */
    unsigned char *results;    /* of each item; cf_for: of each seat; fast: the caller's, NULL: not wanted */
    size_t args_stride;        /* bytes */
    cf_err *status;            /* of item 0: CF_ERR_FAILED is written there; or NULL */
    cf__map_chunk *chunks;
    cf__map_seat *seats;
    uint32_t *hint; /* A: chunks before it are taken, probably */
    size_t first;   /* item 0's place in the arrays, or cf_for's index */
    cf_time deadline;
    uint32_t count, chunk_count, chunk_size; /* items; chunks; items in one, 0: guided */
    bool tracked, in_processes, counts;      /* counts: cf_for, the index is the first argument */
} cf__map_round;

typedef struct cf__map_ticket { /* a runner's arguments */
    const cf__map_round *round;
    uint32_t seat, number;
} cf__map_ticket;

CF__PRIVATE uint64_t
cf__map_word(uint32_t state, uint32_t runner, uint32_t next)
{
    return (CF__STATIC_CAST(uint64_t, next) << 32) | (runner << 8) | state;
}

CF__PRIVATE uint32_t
cf__map_state(uint64_t word)
{
    return CF__STATIC_CAST(uint32_t, word & 0xff);
}

CF__PRIVATE uint32_t
cf__map_runner_of(uint64_t word)
{
    return CF__STATIC_CAST(uint32_t, (word >> 8) & 0xffffff);
}

CF__PRIVATE uint32_t
cf__map_next_of(uint64_t word)
{
    return CF__STATIC_CAST(uint32_t, word >> 32);
}

/* How a round of `count` items is cut. */
CF__PRIVATE void
cf__map_cut(cf__map_round *round, size_t count, uint32_t chunk, unsigned workers)
{
    uint32_t most = CF__MIN(CF__MAX(CF__MAP_CHUNKS, 8 * workers), CF__MAP_CHUNKS_GUIDED);
    round->count = CF__STATIC_CAST(uint32_t, count);
    round->chunk_size = chunk != 0 ? chunk : round->count <= most;
    round->chunk_count = chunk != 0 ? (round->count - 1) / chunk + 1 : CF__MIN(round->count, most);
}

/* The first item of a chunk.  Guided: what is left after it falls with the square of the chunks that are left, so
 * that their sizes fall evenly, from twice the average to almost nothing. */
CF__PRIVATE uint32_t
cf__map_begin(const cf__map_round *round, uint32_t chunk)
{
    uint64_t all = round->chunk_count, left = all - chunk, count = round->count;
    if (round->chunk_size != 0)
        return CF__STATIC_CAST(uint32_t, CF__MIN(count, CF__STATIC_CAST(uint64_t, chunk) * round->chunk_size));
    return CF__STATIC_CAST(uint32_t, count - count * left * left / (all * all));
}

/* ---- runners ---- */

/* Claims a free chunk, and with it its next item, for runner `number`; false when there is none. */
CF__PRIVATE bool
cf__map_claim(const cf__map_round *round, uint32_t number, uint32_t *chunk, uint64_t *word)
{
    uint32_t start = cf__load_relaxed(round->hint); /* relaxed: where to look first; we look everywhere */
    for (uint32_t i = 0; i < round->chunk_count; i++) {
        uint32_t index = (start + i) % round->chunk_count;
        uint64_t found = cf__load_relaxed(&round->chunks[index].word); /* relaxed: the CAS checks it */
        /* A next item outside of the chunk was written there by a faulty task. */
        while (cf__map_state(found) == CF__MAP_FREE && cf__map_next_of(found) >= cf__map_begin(round, index) &&
               cf__map_next_of(found) < cf__map_begin(round, index + 1)) {
            *word = cf__map_word(CF__MAP_RUNNING, number, cf__map_next_of(found) + 1);
            /* relaxed: only claims; nothing that an earlier runner wrote is read here. */
            if (cf__cas_relaxed(&round->chunks[index].word, &found, *word)) {
                cf__store_relaxed(round->hint, index + 1);
                *chunk = index;
                return true;
            }
        }
    }
    return false;
}

/* Runner: the items of the chunk before `next` are done.  True: item `next` is begun, go on.  False: the chunk is
 * done, was closed, or given back (`stop`). */
CF__PRIVATE bool
cf__map_step(const cf__map_round *round, uint32_t chunk, uint64_t *word, uint32_t next, bool stop)
{
    uint32_t runner = cf__map_runner_of(*word);
    uint64_t before = *word;
    bool done = next == cf__map_begin(round, chunk + 1);
    if (!done && !stop && !round->tracked)
        return true;
    *word = done   ? cf__map_word(CF__MAP_DONE, runner, next)
            : stop ? cf__map_word(CF__MAP_FREE, 0, next)
                   : cf__map_word(CF__MAP_RUNNING, runner, next + 1);
    /* release [M1]: the items' results; acquire isn't needed. */
    return cf__cas_acq_rel(&round->chunks[chunk].word, &before, *word) && !done && !stop;
}

/* Runs item `item`, or fast: items until `end`; returns the one after the last that ran, which may have failed. */
CF__PRIVATE uint32_t
cf__map_run_items(const cf__map_round *round, uint32_t seat, uint32_t item, uint32_t end, cf__task_context *context)
{
    const cf_task_type *type = round->type;
    size_t index = round->first + item, place = round->counts ? seat : item;
    unsigned char *args = round->args + place * round->args_stride;
    unsigned char *result = round->results != NULL ? round->results + place * type->result_size : NULL;
    if (round->args == NULL)
        return CF__STATIC_CAST(uint32_t, type->run_range(round->arrays, result, index, round->first + end, context) -
                                             round->first);
    if (round->counts)
        memcpy(args, &index, sizeof index);
    type->run(args, result, context);
    return item + 1;
}

CF__PRIVATE void
cf__map_note_failure(const cf__map_round *round, cf__map_seat *seat, uint32_t item, cf__task_context *context)
{
    if (round->status != NULL)
        round->status[item] = CF_ERR_FAILED;
    if (item < seat->failed) {
        seat->failed = item;
        seat->code = context->code;
        memcpy(seat->message, context->message, sizeof seat->message);
    }
    context->failed = false;
    context->message[0] = 0;
}

/* A runner. */
CF__PRIVATE void
cf__map_run(const void *args, void *unused, void *context)
{
    cf__map_ticket ticket;
    cf__task_context item, *outer = CF__STATIC_CAST(cf__task_context *, context);
    uint32_t chunk, *guard = NULL;
    uint64_t word;
    void *before = cf__current;
    (void)unused;
    memcpy(&ticket, args, sizeof ticket);
    const cf__map_round *round = ticket.round;
    bool timed = round->deadline != CF_FOREVER, stop = timed && cf_passed(round->deadline);

    if (round->in_processes)
        guard = cf__os_fork_guard_new();
    cf__current = context;
    cf__task_context_init(&item, outer->cancel_word, outer->cancel_bit);
    item.executor = outer->executor;
    while (!stop && cf__map_claim(round, ticket.number, &chunk, &word)) {
        uint32_t next = cf__map_next_of(word) - 1;
        do {
            next = cf__map_run_items(round, ticket.seat, next,
                                     round->tracked ? next + 1 : cf__map_begin(round, chunk + 1), &item);
            if (guard != NULL && cf__load_relaxed(guard) == 0) /* relaxed: only a fork changes it */
                return; /* the item has forked, and this is the child: the worker sees it as well, and ends */
            if (round->in_processes)
                cf__os_flush_streams();
            if (item.failed)
                cf__map_note_failure(round, &round->seats[ticket.seat], next - 1, &item);
            stop = cf__task_asked_to_stop(&item) || (timed && cf_passed(round->deadline));
        } while (cf__map_step(round, chunk, &word, next, stop));
        stop = stop || cf__map_state(cf__load_relaxed(&round->chunks[chunk].word)) == CF__MAP_CLOSED;
    }
    cf__current = before;
    cf__os_fork_guard_free(guard);
}

CF__PRIVATE const cf_task_type *
cf__map_runner_type(void)
{
    static const cf_task_type type = {
        "cf_map", "void", cf__map_run, NULL, sizeof(cf__map_ticket), CF__ALIGNOF(cf__map_ticket), 0, 1, 1, 0, NULL};
    return &type;
}

/* ---- the caller ---- */

/* Runner `number` is dead: takes back its chunk, if it had one, less the item that it ran, which is lost (M2). */
CF__PRIVATE bool
cf__map_recover(const cf__map_round *round, uint32_t number, uint32_t *lost, uint32_t *lost_end)
{
    for (uint32_t i = 0; i < round->chunk_count; i++) {
        uint64_t word = cf__load_relaxed(&round->chunks[i].word); /* relaxed: its death happens before its future's */
        uint32_t begin = cf__map_begin(round, i), end = cf__map_begin(round, i + 1), next = cf__map_next_of(word);
        if (cf__map_state(word) != CF__MAP_RUNNING || cf__map_runner_of(word) != number)
            continue;
        if (next <= begin || next > end || !round->tracked) { /* scribbled over, or unknown: nothing of it counts */
            *lost = begin;
            next = end;
        } else {
            *lost = next - 1;
        }
        *lost_end = next;
        /* relaxed: it breaks the release sequence, but we are who collects, and have just read what was in it. */
        cf__store_relaxed(&round->chunks[i].word, cf__map_word(next < end ? CF__MAP_FREE : CF__MAP_DONE, 0, next));
        return true;
    }
    return false;
}

/* No more items are begun. */
CF__PRIVATE void
cf__map_close(const cf__map_round *round)
{
    for (uint32_t i = 0; i < round->chunk_count; i++) {
        uint64_t word = cf__load_relaxed(&round->chunks[i].word); /* relaxed, as the CAS: who collects reads it again */
        while (cf__map_state(word) == CF__MAP_FREE || cf__map_state(word) == CF__MAP_RUNNING) {
            uint32_t next = cf__map_next_of(word) - (cf__map_state(word) == CF__MAP_RUNNING);
            if (cf__cas_relaxed(&round->chunks[i].word, &word, cf__map_word(CF__MAP_CLOSED, 0, next)))
                break;
        }
    }
}

CF__PRIVATE bool
cf__map_has_free_chunk(const cf__map_round *round)
{
    for (uint32_t i = 0; i < round->chunk_count; i++) {
        if (cf__map_state(cf__load_relaxed(&round->chunks[i].word)) == CF__MAP_FREE)
            return true;
    }
    return false;
}

#endif /* CF__BODIES */

#endif
