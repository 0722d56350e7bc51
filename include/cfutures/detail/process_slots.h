/* cfutures/detail/process_slots.h - the parent's side of the slots: what is in them, and how it gets out.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: template.h, outcome.h, heap.h, event.h, ../executor.h.  Included by: process_future.h.
 *
 * HOW IT WORKS  For each slot in use the pool has a shadow in private memory: which future it belongs to, which
 *   blocks it uses.  Whoever finds a slot settled (a waiter, a submit that needs room, the collector thread,
 *   shutdown) collects it:
 *
 *       under the mutex   copy the outcome into the future's record, give back the blocks, free the slot: `detach`
 *       after it          settle the record, which wakes and calls back; drop the pool's reference: `settle_list`
 *
 *   From then on the future needs nothing of the pool, but a result that is too large for the slot stays where the
 *   worker wrote it, in a block of the arena that now belongs to the future.
 * INVARIANTS (M: under the mutex)
 *   P1  A slot is in use from submit to detach; its shadow then names its future, which holds it in `index` and
 *       `generation` for ever.
 *   P2  A slot's generation, which the shadow keeps, grows when it's freed.  So whoever sees another generation than
 *       the future's, and under the mutex that the shadow names another future, knows: it has been collected, and the
 *       record is settled, or about to be by the thread that detached it.
 *   P3  The pool holds one reference of each future from submit to settle_list, each future one of the pool for
 *       life.
 *   P4  Once the pool is broken, or being killed, no slot is used again: a worker that is about to die may still
 *       write into one.
 *   P5  While a slot is in use its word has the shadow's generation, and is PENDING without owner, or RUNNING, DONE,
 *       FAILED, LATE or LOST with one; and was tried again no more often than was asked for.  (What the parent withdraws
 *       is written and detached under one lock.)  While it is RUNNING, its owner's record names it, see arena.h.
 * WHAT IS READ FROM THE ARENA is the word, and after it is settled the outcome and the payload: copied once,
 *   bounded, never followed.
 * A TASK THAT WRITES WHERE IT SHOULDN'T, on purpose or not, may change any word of the arena at any time.  It spoils
 *   the result of this task or that one.  But every future settles: a word that P5 excludes is settled as
 *   CF_ERR_CORRUPT, and who runs the task is killed; and a wake that never comes, a hint that is gone or a worker that
 *   wrongly seems busy, or a template that sleeps beyond a limit, are made good by whoever sleeps in the parent: he wakes
 *   now and then, and audits (cf__slots_audit).  Whether the template lives, the kernel says; and once its word `life` was
 *   put right it's asked each time (`doubted`), for the word may have told the truth: a large process is long in dying.
 * WHO OWES THE WAKE of a waiter asleep on a slot: the worker, or the template after it; and if another thread has
 *   collected the slot first, that thread, for the worker may have died before it did (`sleepers`).  Of the template's death
 *   the kernel tells one of all that sleep; he looks for it whatever else has woken him, settles everything, and by that wakes
 *   the others, each by what he waits for (cf__slots_break). */
#ifndef CFUTURES_DETAIL_PROCESS_SLOTS_H
#define CFUTURES_DETAIL_PROCESS_SLOTS_H

#include "../executor.h"
#include "event.h"
#include "heap.h"
#include "outcome.h"
#include "template.h"

#if CF__BODIES && CF__FUTEX

struct cf__process_pool;

typedef struct cf__process_future { /* fields: I immutable, A atomic, M under the pool's mutex */
    cf_future base;
    struct cf__process_pool *pool; /* I: holds a reference (P3) */
    uint64_t generation;           /* I: (P2) */
    uint32_t index;                /* I: the slot */
    uint32_t sleepers;             /* A: threads that sleep on the slot */
    uint32_t settle_as;            /* M: the state that detach found */
    cf_time start_by;              /* I: 0: whenever */
    cf_account *account;           /* M: owned: how the task was lost; or NULL */
    void *block;                   /* M: the arena's block with the result; or NULL */
} cf__process_future;

typedef struct cf__shadow {     /* of a slot, private to the parent; M */
    cf__process_future *future; /* NULL: the slot is free */
    void *args_block, *result_block;
    uint64_t generation;   /* of the task in it, or the next one (P2) */
    uint32_t retries;      /* that its task may have; the arena's figure is anybody's (P5) */
    bool killed;           /* its task is lost since we killed all, and its payload says nothing of that */
    uint32_t older, newer; /* neighbours among the slots in use, by age; free: newer is the next free one */
} cf__shadow;

#define CF__NO_SLOT UINT32_MAX

typedef struct cf__process_pool { /* fields: I immutable, A atomic, M under mutex */
    cf_executor base;
    cf__process_setup setup;  /* I: `view` is ours as well */
    cf__code code;            /* I but for its hint: what the workers can run */
    void *memory;             /* I: the arena, and the heap behind it */
    size_t memory_size;       /* I */
    int template_pidfd;       /* I */
    int32_t template_process; /* I */
    bool waits_for_two;       /* A, relaxed: the kernel has futex_waitv; cleared when it says no */
    bool doubted;       /* A, relaxed: arena->life was put right, so it may not tell of the template's death any more */
    bool audits;        /* I: who sleeps pushes the hints of pending slots again now and then; tests clear it */
    cf_time next_audit; /* M: of all slots: not before */
    uint32_t references; /* A: the executor, and each future */
    cf__mutex mutex;
    cf__event quiet;         /* M: those that wait for another's shutdown */
    cf__heap heap;           /* M */
    cf__shadow *shadows;     /* M */
    uint32_t first_free;     /* M */
    uint32_t oldest, newest; /* M: of the slots in use */
    uint32_t in_use;         /* M */
    uint32_t short_of_room;  /* M: threads that sleep on arena->pressure: for room, or for the end */
    uint32_t minimum;        /* I: min_workers */
    uint32_t least, most;    /* M: between which the number of workers moves by itself */
    size_t finished, killed; /* M: tasks that have ended, ever; lost ones during a killing shutdown */
    bool closed;             /* M: no more submits */
    bool killing;            /* M: a shutdown has told the template to kill */
    cf_time killing_since;   /* M: since then, whoever asks again (cf__process_out_of_patience) */
    bool stopping, stopped;  /* M: somebody ends the processes; has ended them */
    cf__thread collector;    /* M: runs from the first callback */
    bool collects;           /* M: it has been started */
    uint32_t collector_quit; /* A: it is to end */
} cf__process_pool;

/* ---- life ---- */

CF__PRIVATE void
cf__process_pool_release(cf__process_pool *pool)
{
    /* acq_rel: what others did with the pool happens before it is freed. */
    if (cf__fetch_sub_acq_rel(&pool->references, 1u) != 1)
        return;
    if (!cf__executor_forked(&pool->base))
        cf__mutex_destroy(&pool->mutex);
    cf__os_close(pool->template_pidfd);
    cf__os_close(pool->setup.life_line[1]);
    cf__os_unmap(pool->memory, pool->memory_size);
    cf__heap_destroy(&pool->heap);
    cf_executor_destroy(&pool->base);
    cf__os_free(pool->code.ranges);
    cf__os_free(pool->shadows);
    cf__os_free(pool);
}

/* ---- slots in use ---- */

/* Takes a free slot into use for `future`; there is one.  The mutex is held. */
CF__PRIVATE uint32_t
cf__slots_take(cf__process_pool *pool, cf__process_future *future)
{
    uint32_t index = pool->first_free;
    cf__shadow *shadow = &pool->shadows[index];
    pool->first_free = shadow->newer;
    shadow->future = future;
    shadow->older = pool->newest;
    shadow->newer = CF__NO_SLOT;
    if (pool->newest != CF__NO_SLOT)
        pool->shadows[pool->newest].newer = index;
    else
        pool->oldest = index;
    pool->newest = index;
    pool->in_use++;
    return index;
}

CF__PRIVATE void
cf__slots_free(cf__process_pool *pool, uint32_t index)
{
    cf__shadow *shadow = &pool->shadows[index];
    if (shadow->older != CF__NO_SLOT)
        pool->shadows[shadow->older].newer = shadow->newer;
    else
        pool->oldest = shadow->newer;
    if (shadow->newer != CF__NO_SLOT)
        pool->shadows[shadow->newer].older = shadow->older;
    else
        pool->newest = shadow->older;
    if (shadow->args_block != NULL)
        cf__heap_give(&pool->heap, shadow->args_block);
    if (shadow->result_block != NULL)
        cf__heap_give(&pool->heap, shadow->result_block);
    shadow->future = NULL;
    shadow->args_block = shadow->result_block = NULL;
    shadow->generation = (shadow->generation + 1) & CF__SLOT_GENERATIONS;
    shadow->newer = pool->first_free;
    pool->first_free = index;
    pool->in_use--;
}

/* A slot or a block has come free, or the pool is closed: whoever sleeps for that looks again.  The mutex is held. */
CF__PRIVATE void
cf__slots_made_room(cf__process_pool *pool)
{
    if (pool->short_of_room != 0)
        cf__arena_ease(pool->setup.view.arena, true);
}

/* How slot `index`, which is in use, stands: its word's state; CF__SLOT_CORRUPT for a word that can't be (P5).  The mutex
 * is held. */
CF__PRIVATE uint32_t
cf__slots_state(const cf__process_pool *pool, uint32_t index, uint64_t *word)
{
    /* seq_cst [A3]: after pressing; acquire half [S2]: the outcome. */
    *word = cf__load_seq_cst(&pool->setup.view.slots[index].word);
    uint32_t state = cf__slot_state(*word), owner = cf__slot_owner(*word);
    bool can_be = state == CF__SLOT_PENDING ? owner == 0
                                            : state != CF__SLOT_FREE && state != CF__SLOT_GONE && owner != 0 &&
                                                  owner <= pool->setup.view.worker_count;
    const cf__shadow *shadow = &pool->shadows[index];
    can_be = can_be && cf__slot_generation(*word) == shadow->generation && cf__slot_tries(*word) <= shadow->retries;
    return can_be ? state : CF__SLOT_CORRUPT;
}

/* Copies the outcome of slot `index`, which has come to its end in `state`, to its future, frees the slot, and puts
 * the future in front of `list`, whose new front it returns.  The mutex is held; nobody else has collected the slot. */
CF__PRIVATE cf_future *
cf__slots_detach(cf__process_pool *pool, uint32_t index, uint32_t state, cf_future *list)
{
    cf__slot *slot = &pool->setup.view.slots[index];
    cf__shadow *shadow = &pool->shadows[index];
    cf__process_future *future = shadow->future;

    pool->finished += state != CF__SLOT_GONE;
    if (state == CF__SLOT_GONE && cf__load_relaxed(&pool->base.error) == CF_OK) { /* relaxed: under the mutex */
        future->settle_as = CF__CANCELLED;
    } else if (state == CF__SLOT_GONE) {
        future->settle_as = CF__FAILED;
        future->base.error = CF_ERR_BROKEN;
        cf__future_set_message(&future->base, pool->base.message);
    } else if (state == CF__SLOT_DONE && shadow->result_block != NULL) {
        future->settle_as = CF__DONE;
        future->base.result = future->block = shadow->result_block;
        shadow->result_block = NULL;
    } else {
        future->settle_as = cf__outcome_take(&future->base, slot, state, shadow->killed, &future->account);
    }
    if (state == CF__SLOT_LOST) {
        pool->killed += pool->killing;
        pool->finished -= pool->killing;
    }
    if (state == CF__SLOT_CORRUPT && cf__arena_condemn(&pool->setup.view, index))
        (void)cf__arena_poke(&pool->setup.view);
    cf__slots_free(pool, index);
    /* seq_cst: the word, then the look at the sleepers; a sleeper counts itself, then the kernel compares the word. */
    (void)cf__exchange_seq_cst(&slot->word, cf__slot_word(shadow->generation, 0, CF__SLOT_FREE));
    if (cf__load_seq_cst(&future->sleepers) != 0)
        (void)cf__unpark_all(cf__slot_futex(slot), CF__SCOPE_SHARED);
    cf__slots_made_room(pool);
    future->base.next = list;
    return &future->base;
}

/* Detaches slot `index`, which is in use, if it has come to its end: settled, or corrupt.  The mutex is held. */
CF__PRIVATE cf_future *
cf__slots_take_outcome(cf__process_pool *pool, uint32_t index, cf_future *list)
{
    uint64_t word;
    uint32_t state = cf__slots_state(pool, index, &word);
    return state >= CF__SLOT_DONE ? cf__slots_detach(pool, index, state, list) : list;
}

/* Settles what cf__slots_detach() has collected; without the mutex, for callbacks run here. */
CF__PRIVATE void
cf__slots_settle_list(cf_future *list)
{
    for (cf_future *future = list; future != NULL; future = future->next)
        cf__future_publish(future, CF__POINTER_CAST(cf__process_future *, future)->settle_as);
    while (list != NULL) {
        cf_future *future = list;
        list = future->next;
        cf__future_run_callbacks(future);
        cf_future_release(future);
    }
}

/* Collects `future`'s slot, if it's settled.  False if it isn't: look again.  True: it is, or another thread has
 * collected it and settles the record, perhaps right now (P2).  Takes the mutex. */
CF__PRIVATE bool
cf__slots_collect(cf__process_future *future)
{
    cf__process_pool *pool = future->pool;
    cf_future *list = NULL;
    cf__mutex_lock(&pool->mutex);
    bool in_use = pool->shadows[future->index].future == future;
    if (in_use)
        list = cf__slots_take_outcome(pool, future->index, NULL);
    cf__mutex_unlock(&pool->mutex);
    cf__slots_settle_list(list);
    return !in_use || list != NULL;
}

/* Collects slots that are settled, oldest first, until it has passed by `patience` that aren't, and puts their futures
 * in front of `list`.  The mutex is held. */
CF__PRIVATE cf_future *
cf__slots_harvest(cf__process_pool *pool, uint32_t patience, cf_future *list)
{
    uint32_t next;
    for (uint32_t index = pool->oldest; index != CF__NO_SLOT && patience != 0; index = next) {
        cf_future *before = list;
        next = pool->shadows[index].newer;
        list = cf__slots_take_outcome(pool, index, list);
        patience -= list == before;
    }
    return list;
}

/* Settles the task in slot `index` as `to`, GONE or LATE, if it's still pending; asks one that runs to stop, if `stop`.
 * The mutex is held. */
CF__PRIVATE cf_future *
cf__slots_withdraw(cf__process_pool *pool, uint32_t index, uint32_t to, bool stop, cf_future *list)
{
    cf__slot *slot = &pool->setup.view.slots[index];
    uint64_t word = cf__load_relaxed(&slot->word); /* relaxed: the CAS checks it */
    for (;;) {
        uint32_t state = cf__slot_state(word);
        if (state == CF__SLOT_PENDING) {
            if (cf__cas_seq_cst(&slot->word, &word, cf__slot_with_state(word, to)))
                return cf__slots_detach(pool, index, to, list);
        } else if (state != CF__SLOT_RUNNING || !stop || cf__cas_seq_cst(&slot->word, &word, word | CF__SLOT_STOP)) {
            return list;
        }
    }
}

/* Cancels every pending task.  The mutex is held. */
CF__PRIVATE cf_future *
cf__slots_withdraw_all(cf__process_pool *pool, cf_future *list)
{
    uint32_t next;
    for (uint32_t index = pool->oldest; index != CF__NO_SLOT; index = next) {
        next = pool->shadows[index].newer;
        list = cf__slots_withdraw(pool, index, CF__SLOT_GONE, false, list);
    }
    return list;
}

/* ---- the template's death ---- */

/* The template has died, or given up: settles everything, wakes everybody.  Takes the mutex; does nothing the
 * second time, or after a shutdown. */
CF__SLOW void
cf__slots_break(cf__process_pool *pool)
{
    cf__arena *arena = pool->setup.view.arena;
    char message[CF__MESSAGE_SIZE];
    cf_future *list = NULL;

    cf__mutex_lock(&pool->mutex);
    bool breaks = !pool->killing && cf__load_relaxed(&pool->base.error) == CF_OK && !pool->stopped &&
                  !(pool->closed && pool->in_use == 0);
    if (breaks) {
        memcpy(message, arena->broken, sizeof message);
        message[sizeof message - 1] = 0;
        cf__executor_break(&pool->base, CF_ERR_BROKEN,
                           message[0] != 0 ? message : "the process that makes this pool's workers has died");
        pool->closed = true;
    }
    /* What has an outcome keeps it.  Of the others, whatever their words say, those that ran are lost if it has ended
     * because we said so: it has buried its workers, or had to be killed itself, and they die with it (P4). */
    list = cf__slots_harvest(pool, UINT32_MAX, NULL);
    while (pool->oldest != CF__NO_SLOT) {
        uint32_t index = pool->oldest;
        bool lost =
            !breaks && cf__slot_state(cf__load_relaxed(&pool->setup.view.slots[index].word)) == CF__SLOT_RUNNING;
        pool->shadows[index].killed = lost;
        list = cf__slots_detach(pool, index, lost ? CF__SLOT_LOST : CF__SLOT_GONE, list);
    }
    cf__slots_made_room(pool);
    cf__mutex_unlock(&pool->mutex);
    cf__slots_settle_list(list);
}

/* Whether the template has died; then everything is settled when this returns. */
CF__PRIVATE bool
cf__slots_template_ended(cf__process_pool *pool)
{
    /* The word is quick to look at, but a task may have written over it. */
    bool ended = cf__life_ended(cf__load_acquire(&pool->setup.view.arena->life)) || cf__load_relaxed(&pool->doubted);
    if (!ended || !cf__os_pidfd_ended(pool->template_pidfd, 0))
        return false;
    cf__slots_break(pool);
    return true;
}

/* ---- sleeping in the parent ---- */

#ifndef CF__SLICE_FIRST /* nanoseconds; tests that cause much trouble have less patience */
#define CF__SLICE_FIRST INT64_C(20000000)
#define CF__SLICE_LAST INT64_C(1000000000)
#endif

/* A sleeper's time between two audits.  It runs on though he is woken, for a task may write over the word that he sleeps
 * on again and again. */
typedef struct cf__slice {
    int64_t length; /* nanoseconds; it doubles, until an audit finds something */
    cf_time end;    /* 0: the next sleep begins one */
} cf__slice;
#define CF__SLICE_NEW                                                                                                  \
    {                                                                                                                  \
        CF__SLICE_FIRST, 0                                                                                             \
    }

/* From now on there are to be `wanted` workers, and by themselves between `least` and `most`.  The mutex is held. */
CF__PRIVATE void
cf__slots_want(cf__process_pool *pool, uint32_t wanted, uint32_t least, uint32_t most)
{
    pool->least = least;
    pool->most = most;
    cf__arena_want(&pool->setup.view, wanted, least, most);
}

/* Whether the arena wanted another number of workers than can be, and now wants one that can.  The mutex is held. */
CF__PRIVATE bool
cf__slots_put_right_wanted(cf__process_pool *pool)
{
    cf__arena *arena = pool->setup.view.arena;
    uint32_t wanted = cf__load_relaxed(&arena->wanted); /* relaxed, all: whoever moves it goes by least and most */
    if (wanted >= pool->least && wanted <= pool->most && cf__load_relaxed(&arena->least) == pool->least &&
        cf__load_relaxed(&arena->most) == pool->most)
        return false;
    cf__slots_want(pool, CF__MIN(CF__MAX(wanted, pool->least), pool->most), pool->least, pool->most);
    return true;
}

/* Audits slot `index`, which is in use: collects it if it has come to its end, or will never (P5); *pending becomes
 * true if its hint was pushed again.  The mutex is held. */
CF__PRIVATE cf_future *
cf__slots_audit_one(cf__process_pool *pool, uint32_t index, bool *pending, cf_future *list)
{
    const cf__arena_view *view = &pool->setup.view;
    uint64_t word;
    uint32_t state = cf__slots_state(pool, index, &word);
    if (state == CF__SLOT_PENDING) {
        cf__arena_push_hint(view, &view->arena->parent_ring, view->parent_hints, index);
        *pending = true;
    } else if (state != CF__SLOT_RUNNING) {
        list = cf__slots_take_outcome(pool, index, list);
    } else if (cf__arena_disowned(view, index, word)) {
        list = cf__slots_detach(pool, index, CF__SLOT_CORRUPT, list);
    } else {
        /* Its record may be wrong, too: if the owner sleeps, it puts it right, and the next audit sees that; if there is
         * none, the template does.  That may sleep beyond the task's limits, too: next_look is anybody's. */
        cf__arena_wake_worker(view, cf__slot_owner(word));
        (void)cf__arena_poke(view);
    }
    return list;
}

/* A slice of sleep has passed: whoever had the hint of a slot, or a wake to pass on, may have been stopped with it, or
 * a task may have written over the one or the other.  So audit the slot of `future`, or, NULL, all; and if tasks are
 * pending wake every worker, for the stopped one may have taken an idle bit.  All, not more often than once in a first slice. */
CF__SLOW void
cf__slots_audit(cf__process_pool *pool, cf__process_future *future, cf__slice *slice)
{
    cf__ring *ring = &pool->setup.view.arena->parent_ring;
    bool pending = false;
    cf_future *list = NULL;
    uint32_t next;
    if (!pool->audits)
        return;
    cf__mutex_lock(&pool->mutex);
    if (future == NULL && cf_passed(pool->next_audit)) {
        pool->next_audit = cf_after_ns(CF__SLICE_FIRST); /* many may wait, or try again and again */
        /* All hints anew, in the order of the submits; added to those there are, they would overflow. */
        (void)cf__exchange_acq_rel(&ring->head, cf__load_relaxed(&ring->tail)); /* as cf__arena_rebuild() */
        for (uint32_t index = pool->oldest; index != CF__NO_SLOT; index = next) {
            next = pool->shadows[index].newer;
            list = cf__slots_audit_one(pool, index, &pending, list);
        }
    } else if (future != NULL && pool->shadows[future->index].future == future) {
        list = cf__slots_audit_one(pool, future->index, &pending, list);
    }
    bool repaired = pending && cf__slots_put_right_wanted(pool);
    cf__mutex_unlock(&pool->mutex);
    if (list != NULL)
        slice->length = CF__SLICE_FIRST; /* for it nobody was woken, and there may be more of that kind */
    if (pending)                         /* not up to arena->high, where a task may have written, too */
        cf__arena_wake_first(&pool->setup.view, pool->setup.view.worker_count);
    if (repaired)
        (void)cf__arena_poke(&pool->setup.view);
    cf__slots_settle_list(list);
}

/* Sleeps while *word == value, on a word in the arena, until `deadline`, or the end of the slice, or the template's
 * death.  Returns false when a slice has ended, or the deadline passed. */
CF__PRIVATE bool
cf__slots_sleep(cf__process_pool *pool, const uint32_t *word, uint32_t value, cf_time deadline, cf__slice *slice)
{
    uint32_t *life = &pool->setup.view.arena->life;
    uint32_t alive = cf__load_acquire(life);
    bool supported = cf__load_relaxed(&pool->waits_for_two), in_time = true;

    if (slice->end == 0)
        slice->end = cf_after_ns(slice->length);
    if (cf__life_ended(alive)) {
        /* It's dying, which the kernel confirms soon; or the word was written over, and we put it right. */
        if (cf__os_pidfd_ended(pool->template_pidfd, CF__MIN(slice->end, deadline)))
            return true;
        cf__store_relaxed(&pool->doubted, true); /* it may be dying for longer than a slice */
        if (cf_passed(slice->end))
            (void)cf__cas_seq_cst(life, &alive, CF__STATIC_CAST(uint32_t, pool->template_process) | CF__LIFE_WAITERS);
    } else if (supported) {
        in_time = cf__os_futex_wait_two(word, value, life, alive, CF__MIN(slice->end, deadline), &supported);
        if (!supported)
            cf__store_relaxed(&pool->waits_for_two, false);
    }
    if (!supported) {
        /* An old kernel: short slices, and a look at the process itself. */
        slice->end = CF__MIN(slice->end, cf_after_ns(CF__SLICE_FIRST));
        in_time = cf__os_futex_wait(word, value, CF__MIN(slice->end, deadline), CF__SCOPE_SHARED);
    }
    if (in_time && !cf_passed(slice->end))
        return true;
    slice->length = 2 * CF__MIN(slice->length, CF__SLICE_LAST / 2);
    slice->end = 0;
    /* Also where the word should say so: a task may have written over it. */
    if (cf__os_pidfd_ended(pool->template_pidfd, 0))
        cf__slots_break(pool);
    return false;
}

#endif /* CF__BODIES && CF__FUTEX */

#endif
