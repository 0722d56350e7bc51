/* cfutures/queue.h - queues that block: first in first out, last in first out, by priority.
 * SPDX-License-Identifier: MIT
 * LAYER 2.  Includes: errors.h, deadline.h, detail/event.h, detail/items.h, detail/cells.h.  Included by: cfutures.h.
 *
 * Python's queue.Queue, LifoQueue and PriorityQueue: put, get, task_done, join; and close, which is its shutdown().
 *
 * HOW IT WORKS  Items are copied in and out by size.  First in first out with a bound, they lie in a ring without
 *   locks (detail/cells.h); otherwise under a mutex (detail/items.h), and the ring only counts.  Either is tried first,
 *   and answers without sleep.  Who must wait then joins one of three lines (detail/event.h): getters of an empty
 *   queue, putters of a full one, joiners of unfinished work.  Beside each line is a word, `call`: whether there is
 *   somebody to be woken.  So as long as nobody sleeps, a put is a try and a look at that word.
 *
 *       put:     try; done?  look at not_empty.call; 1? -> lock; take the first getter; call = 0; unlock; wake it
 *       sleeper: lock; [call = 1; try; done? leave : sleep] ...; more for others? -> take the next; unlock; wake it
 *
 * INVARIANTS
 *   Q1  Capacity is exact, any number from 1; 0 means no bound: the items' array then grows.
 *   Q2  While somebody is in a line and there may be what they wait for, call is 1 or somebody who was taken from
 *       that line is on the way.  Who is on the way sets call to 1 and only then tries, whatever the result; and who
 *       leaves passes the wake on if there is more.  So at most one wake per sleeper, not one per item.
 *   Q3  reported counts task_done.  All is finished when it equals the number of puts: of positions before tail, or
 *       before head once closed now, which so drops all items in one step, those too that are being put.
 *   Q4  A closed queue never opens again.
 * WHO OWES THE WAKE  A put to getters; a get to putters; the task_done that reaches the number of puts to joiners;
 *   close to getters and putters, close_now to joiners too.  A getter asleep in a closed queue while an item is still
 *   being put is woken by that put, and passes it on until all have left.
 * ORDERING  Items of one putter are got in the order of its puts (first in first out).  What precedes a put happens
 *   before the matching get returns ([C1] in cells.h, or the mutex), what precedes a close before its CF_ERR_CLOSED [C3].
 *   [Q1] put, get (exchange of the stamp; load of call) <-> sleeper (exchange of call; load of the stamp): each changes its
 *        own word first, all seq_cst.  Either the put's load follows the sleeper's exchange in their one order, and sees 1; or
 *        the sleeper's load follows the put's exchange, and sees the item.  Under the items' mutex that does it.
 *   [Q2] task_done (CAS of reported; load of call, and of head) -> join: what precedes a task_done happens before the join
 *        that it ends returns; and the same two cases against the joiner's exchange of call.
 * ONE PROCESS'S  A queue has neither items nor wakes for another process: a fork's child, and so a task on a process pool,
 *   has a copy, of which nobody else ever sees a change.
 * TWO CALLS AT ONCE  put, get, task_done, join, close, sizes: all safe; init and destroy: the caller excludes
 *   everything.
 * WAITING costs no CPU time, but for a few yields before a sleep without deadline, and 1 us for each position lost to
 *   another thread.  No call is a cancellation point: a thread that pthread_cancel() hits while it waits goes on waiting.
 * REJECTED  Everything under the one mutex: 1.4 to 1.8 times the time an item takes (bench/queue).  pthread condition
 *   variables: see event.h.  A wake for each item: who is on the way needs no second.  Sleepers that look at positions, which
 *   would save the exchange of the stamp: they'd have to spin while one who claimed a position doesn't run. */
#ifndef CFUTURES_QUEUE_H
#define CFUTURES_QUEUE_H

#include "deadline.h"
#include "detail/event.h"
#include "detail/items.h"
#include "detail/cells.h"
#include "errors.h"

/* Sleepers, and whether a wake is wanted. */
typedef struct cf__line {
    cf__event event; /* M */
    uint32_t call;   /* A: 1: somebody may sleep and nobody is on the way (Q2); written under M */
} cf__line;

typedef struct cf_queue { /* private.  Fields: I immutable after init, A atomic, M under mutex, S under items_mutex */
    size_t capacity;      /* I: as asked for; 0: no bound */
    cf__line not_empty;   /* getters sleep here; each put owes a wake */
    cf__line not_full;    /* putters sleep here; each get owes a wake */
    cf__line finished;    /* joiners sleep here; what brings `reported` to the number of puts owes all of them a wake */
    cf__cells cells;      /* the items; or, without cells, how many were put and got (S) */
    size_t reported;      /* A: (Q3) */
    cf__items items;      /* S: where the ring has no cells */
    cf__mutex mutex;      /* of the lines; taken before items_mutex */
    cf__mutex items_mutex;
} cf_queue;

/** What a queue is like; all zero means the default. */
typedef struct cf_queue_opts {
    size_t struct_size CF__DEFAULT(sizeof(cf_queue_opts)); /* set by cf_queue_options() */
    size_t capacity CF__DEFAULT(0);                        /* items it holds at most; 0: no bound */
    cf_queue_order order CF__DEFAULT(CF_FIFO);             /* CF_FIFO, CF_LIFO, CF_PRIORITY */
    /* Of CF_PRIORITY, as qsort() has it: below 0 if item *a is to be got before item *b.  Called while the queue is
     * locked: it mustn't call the queue, nor leave but by return (throw, longjmp, pthread_exit, a cancellation point).
     * Items stand at multiples of 16 at most: of a type aligned to more, compare copies.  NULL: none. */
    int (*compare)(const void *a, const void *b) CF__DEFAULT(NULL);
} cf_queue_opts;

/** Options by name, for cf_queue_init_with(): cf_queue_options(.capacity = 8, .order = CF_LIFO).  In C++ from C++20
 *  on; before it, fill a struct and pass its address. */
#ifdef __cplusplus
CF__PRIVATE const cf_queue_opts *
cf__queue_options(const cf_queue_opts &options)
{
    return &options;
}
#define cf_queue_options(...) cf__queue_options(cf_queue_opts{__VA_ARGS__})
#else
#define cf_queue_options(...) (&(cf_queue_opts){.struct_size = sizeof(cf_queue_opts), __VA_ARGS__})
#endif

/** Make an empty queue, first in first out, in the caller's memory, for threads of this process (ONE PROCESS'S, above).
 *
 * item_size: bytes of one item, at least 1.  capacity: how many items it holds at most; 0: no bound.
 * Memory:    with a bound, that of `capacity` items is taken here, so that no put fails for want of it; first in first out
 *            it is also written, with 8 bytes more for each (20 million of 8 bytes: 300 MB, a second).  Without a bound
 *            it doubles with the items.
 * Returns:   CF_OK; CF_ERR_INVALID (item_size 0, or the product overflows); CF_ERR_NOMEM.  After an error there is
 *            nothing to destroy. */
CF_API CF_NODISCARD cf_err cf_queue_init(cf_queue *queue, size_t item_size, size_t capacity);

/** Make an empty queue of any kind: cf_queue_init_with(&queue, sizeof(int), cf_queue_options(.order = CF_LIFO)).
 *
 * options:   NULL: defaults, first in first out without a bound.  Copied.
 * Returns:   as cf_queue_init(); also CF_ERR_INVALID: CF_PRIORITY without compare, or no such order. */
CF_API CF_NODISCARD cf_err cf_queue_init_with(cf_queue *queue, size_t item_size, const cf_queue_opts *options);

/** End a queue; items in it are dropped as bytes.  No other call may be running or follow: a put whose item has been
 *  got may still be running, so first wait for who calls it (join the thread, close the pool). */
CF_API void cf_queue_destroy(cf_queue *queue);

/** Put a copy of `*item`, waiting for room until `deadline`.
 *
 * Ownership: copies item_size bytes on CF_OK; on any error nothing was put.
 * Threads:   any number, at once with any call but destroy.
 * Blocks:    while full, until `deadline` (CF_NOW: try once); see cf_queue_try_put() for what is full.
 * Ordering:  what precedes this call happens before the matching get returns.
 * Returns:   CF_OK; CF_ERR_TIMEOUT (still full); CF_ERR_CLOSED (closed before or during the wait);
 *            CF_ERR_NOMEM (a queue without bound can't grow). */
CF_API CF_NODISCARD cf_err cf_queue_put_until(cf_queue *queue, const void *item, cf_time deadline);

/** Put a copy of `*item`, waiting for room as long as it takes.  As cf_queue_put_until(), without CF_ERR_TIMEOUT. */
CF_API cf_err cf_queue_put(cf_queue *queue, const void *item);

/** Put a copy of `*item` if there is room now.  As cf_queue_put_until(), with CF_ERR_FULL in place of
 *  CF_ERR_TIMEOUT.
 *
 * A bounded queue, first in first out, has no lock: a get of another thread that has begun and not returned hides the room
 * that later gets have made behind its own.  So this may say CF_ERR_FULL, and cf_queue_put_until() CF_ERR_TIMEOUT, though
 * cf_queue_size() is lower and the caller has just got an item itself.  Where a put must find the room that a get has made
 * (tokens that are given back), call cf_queue_put(), or use a queue without bound. */
CF_API CF_NODISCARD cf_err cf_queue_try_put(cf_queue *queue, const void *item);

/** Put copies of the first `count` items of an array, in their order, waiting for room until `deadline`.
 *
 * moved:   how many were put, in any case: after an error those before items[*moved] are in the queue.
 * Blocks:  as cf_queue_put_until(), before each item; each can be got at once.  Items of other putters may come between.
 * Returns: CF_OK (all); otherwise as cf_queue_put_until() for the item at which it stopped. */
CF_API CF_NODISCARD cf_err cf_queue_put_many(cf_queue *queue, const void *items, size_t count, size_t *moved,
                                             cf_time deadline);

/** Get the next item into `*item`, waiting for one until `deadline`.
 *
 * Threads:   any number, at once with any call but destroy.
 * Blocks:    while empty and open, until `deadline` (CF_NOW: try once); see cf_queue_try_get() for what is empty.
 * Returns:   CF_OK; CF_ERR_TIMEOUT (still empty); CF_ERR_CLOSED (closed, and every item has been got or dropped).
 *            *item is written only on CF_OK. */
CF_API CF_NODISCARD cf_err cf_queue_get_until(cf_queue *queue, void *item, cf_time deadline);

/** Get the next item, waiting for one as long as it takes.  As cf_queue_get_until(), without CF_ERR_TIMEOUT. */
CF_API CF_NODISCARD cf_err cf_queue_get(cf_queue *queue, void *item);

/** Get the next item if there is one now.  As cf_queue_get_until(), with CF_ERR_EMPTY in place of CF_ERR_TIMEOUT.
 *
 * As with cf_queue_try_put(): in a bounded queue, first in first out, a put of another thread that has begun and not
 * returned hides what was put behind it, the caller's own items too, though cf_queue_size() counts them. */
CF_API CF_NODISCARD cf_err cf_queue_try_get(cf_queue *queue, void *item);

/** Get up to `count` items into an array: wait for the first until `deadline`, then take as many as there are.
 *
 * moved:   how many were got, in any case.  Those of one putter stand in the order of its puts.
 * Blocks:  while empty and open, until `deadline`; not for more once there is one.
 * Returns: CF_OK (at least one, or `count` is 0); otherwise as cf_queue_get_until(), with *moved 0. */
CF_API CF_NODISCARD cf_err cf_queue_get_many(cf_queue *queue, void *items, size_t count, size_t *moved,
                                             cf_time deadline);

/** Report that one item that was got has been dealt with; cf_queue_join() waits for as many reports as there were
 *  puts.
 *
 * Ordering: what precedes this call happens before the join that it ends returns.
 * Returns:  CF_OK; CF_ERR_INVALID (more reports than items put and not dropped; nothing changes). */
CF_API cf_err cf_queue_task_done(cf_queue *queue);

/** Wait until every item put has been reported by cf_queue_task_done(), or dropped by cf_queue_close_now().
 *
 * Returns: CF_OK; CF_ERR_TIMEOUT (`deadline` passed, some are unfinished).  Closing the queue doesn't end the wait.
 *          */
CF_API CF_NODISCARD cf_err cf_queue_join_until(cf_queue *queue, cf_time deadline);

/** Wait until every item put has been reported or dropped, as long as it takes. */
CF_API void cf_queue_join(cf_queue *queue);

/** Take no more items: puts fail with CF_ERR_CLOSED from now on, also those that wait; gets go on until the queue
 *  is empty and then return CF_ERR_CLOSED.  Closing twice does nothing.  Complexity: linear in sleeping callers. */
CF_API void cf_queue_close(cf_queue *queue);

/** Close the queue and drop the items that are in it: puts and gets fail with CF_ERR_CLOSED from now on, also those
 *  that wait.
 *
 * Dropped items (as bytes: what they point to is still the program's) count as reported, so joiners wait only for
 * items that were got before and not reported yet.  May follow cf_queue_close(); twice does nothing. */
CF_API void cf_queue_close_now(cf_queue *queue);

/** How many items there are; another thread may have changed it by the time the caller reads it. */
CF_API size_t cf_queue_size(cf_queue *queue);

/** Whether there is no item; the same holds. */
CF_API bool cf_queue_empty(cf_queue *queue);

/** Whether there are as many items as fit; never of a queue without bound; the same holds. */
CF_API bool cf_queue_full(cf_queue *queue);

/** How many items fit, as given to init; 0: no bound. */
CF_API size_t cf_queue_capacity(const cf_queue *queue);

/* One function of a typed queue: what it returns, its name, the untyped one, their parameters and arguments. */
#define CF__QUEUE_CALL(result, typed, untyped, parameters, arguments)                                                  \
    CF__UNUSED static inline result typed parameters                                                                   \
    {                                                                                                                  \
        return untyped arguments;                                                                                      \
    }
#define CF__QUEUE_VOID(typed, untyped, Q)                                                                              \
    CF__UNUSED static inline void typed(Q *cf_q)                                                                       \
    {                                                                                                                  \
        untyped(&cf_q->cf_untyped);                                                                                    \
    }

/** Make a queue type for items of type T: CF_QUEUE(rate_queue, rate) defines the type rate_queue and, with checked
 *  item types, all of the above under its name: rate_queue_init(q, capacity), rate_queue_init_with(q, options),
 *  rate_queue_put(q, &item) and so on.  At file scope, followed by a semicolon. */
#define CF_QUEUE(Q, ...)                                                                                               \
    typedef struct Q {                                                                                                 \
        cf_queue cf_untyped;                                                                                           \
    } Q;                                                                                                               \
    CF__QUEUE_CALL(CF_NODISCARD cf_err, Q##_init, cf_queue_init, (Q * cf_q, size_t cf_capacity),                       \
                   (&cf_q->cf_untyped, sizeof(__typeof__(__VA_ARGS__)), cf_capacity))                                  \
    CF__QUEUE_CALL(CF_NODISCARD cf_err, Q##_init_with, cf_queue_init_with, (Q * cf_q, const cf_queue_opts *cf_opts),   \
                   (&cf_q->cf_untyped, sizeof(__typeof__(__VA_ARGS__)), cf_opts))                                      \
    CF__QUEUE_CALL(cf_err, Q##_put, cf_queue_put, (Q * cf_q, const __typeof__(__VA_ARGS__) *cf_item),                  \
                   (&cf_q->cf_untyped, cf_item))                                                                       \
    CF__QUEUE_CALL(CF_NODISCARD cf_err, Q##_put_until, cf_queue_put_until,                                             \
                   (Q * cf_q, const __typeof__(__VA_ARGS__) *cf_item, cf_time cf_deadline),                            \
                   (&cf_q->cf_untyped, cf_item, cf_deadline))                                                          \
    CF__QUEUE_CALL(CF_NODISCARD cf_err, Q##_try_put, cf_queue_try_put,                                                 \
                   (Q * cf_q, const __typeof__(__VA_ARGS__) *cf_item), (&cf_q->cf_untyped, cf_item))                   \
    CF__QUEUE_CALL(                                                                                                    \
        CF_NODISCARD cf_err, Q##_put_many, cf_queue_put_many,                                                          \
        (Q * cf_q, const __typeof__(__VA_ARGS__) *cf_items, size_t cf_count, size_t *cf_moved, cf_time cf_deadline),   \
        (&cf_q->cf_untyped, cf_items, cf_count, cf_moved, cf_deadline))                                                \
    CF__QUEUE_CALL(CF_NODISCARD cf_err, Q##_get, cf_queue_get, (Q * cf_q, __typeof__(__VA_ARGS__) *cf_item),           \
                   (&cf_q->cf_untyped, cf_item))                                                                       \
    CF__QUEUE_CALL(CF_NODISCARD cf_err, Q##_get_until, cf_queue_get_until,                                             \
                   (Q * cf_q, __typeof__(__VA_ARGS__) *cf_item, cf_time cf_deadline),                                  \
                   (&cf_q->cf_untyped, cf_item, cf_deadline))                                                          \
    CF__QUEUE_CALL(CF_NODISCARD cf_err, Q##_try_get, cf_queue_try_get, (Q * cf_q, __typeof__(__VA_ARGS__) *cf_item),   \
                   (&cf_q->cf_untyped, cf_item))                                                                       \
    CF__QUEUE_CALL(                                                                                                    \
        CF_NODISCARD cf_err, Q##_get_many, cf_queue_get_many,                                                          \
        (Q * cf_q, __typeof__(__VA_ARGS__) *cf_items, size_t cf_count, size_t * cf_moved, cf_time cf_deadline),        \
        (&cf_q->cf_untyped, cf_items, cf_count, cf_moved, cf_deadline))                                                \
    CF__QUEUE_CALL(cf_err, Q##_task_done, cf_queue_task_done, (Q * cf_q), (&cf_q->cf_untyped))                         \
    CF__QUEUE_CALL(CF_NODISCARD cf_err, Q##_join_until, cf_queue_join_until, (Q * cf_q, cf_time cf_deadline),          \
                   (&cf_q->cf_untyped, cf_deadline))                                                                   \
    CF__QUEUE_CALL(size_t, Q##_size, cf_queue_size, (Q * cf_q), (&cf_q->cf_untyped))                                   \
    CF__QUEUE_CALL(bool, Q##_empty, cf_queue_empty, (Q * cf_q), (&cf_q->cf_untyped))                                   \
    CF__QUEUE_CALL(bool, Q##_full, cf_queue_full, (Q * cf_q), (&cf_q->cf_untyped))                                     \
    CF__QUEUE_CALL(size_t, Q##_capacity, cf_queue_capacity, (const Q *cf_q), (&cf_q->cf_untyped))                      \
    CF__QUEUE_VOID(Q##_destroy, cf_queue_destroy, Q)                                                                   \
    CF__QUEUE_VOID(Q##_join, cf_queue_join, Q)                                                                         \
    CF__QUEUE_VOID(Q##_close, cf_queue_close, Q)                                                                       \
    CF__QUEUE_VOID(Q##_close_now, cf_queue_close_now, Q)                                                               \
    struct Q

/* ---- implementation ---- */

#if CF__BODIES

/* How often one who must wait looks again before it sleeps: a wake costs far more.  Yielding, not spinning, so that it
 * helps on one CPU too.  Not with a deadline that is near: where threads outnumber CPUs, each yield may take some
 * milliseconds. */
#ifndef CF__QUEUE_YIELDS
#define CF__QUEUE_YIELDS 4
#endif
#define CF__QUEUE_NEAR INT64_C(50000000) /* nanoseconds */

CF__PRIVATE void
cf__line_init(cf__line *line)
{
    cf__event_init(&line->event);
    line->call = 0;
}

CF_API cf_err
cf_queue_init_with(cf_queue *queue, size_t item_size, const cf_queue_opts *options)
{
    cf_queue_opts ours;
    cf__options_copy(&ours, sizeof ours, options);
    size_t capacity = ours.capacity, allocated = capacity != 0 ? capacity : CF__ITEMS_FIRST;
    bool locked = capacity == 0 || ours.order != CF_FIFO;
    if (item_size == 0 || allocated > SIZE_MAX / 2 / item_size || ours.order > CF_PRIORITY ||
        (ours.order == CF_PRIORITY && ours.compare == NULL))
        return CF_ERR_INVALID;
    queue->items.entries = NULL;
    if (!cf__cells_init(&queue->cells, item_size, locked ? 0 : capacity) ||
        (locked && !cf__items_init(&queue->items, item_size, allocated, ours.order, ours.compare)))
        return CF_ERR_NOMEM;
    cf__mutex_init(&queue->mutex);
    cf__mutex_init(&queue->items_mutex);
    cf__line_init(&queue->not_empty);
    cf__line_init(&queue->not_full);
    cf__line_init(&queue->finished);
    queue->capacity = capacity;
    queue->reported = 0;
    return CF_OK;
}

CF_API cf_err
cf_queue_init(cf_queue *queue, size_t item_size, size_t capacity)
{
    cf_queue_opts options;
    cf__options_copy(&options, sizeof options, NULL);
    options.capacity = capacity;
    return cf_queue_init_with(queue, item_size, &options);
}

CF_API void
cf_queue_destroy(cf_queue *queue)
{
    CF_ASSERT(queue->not_empty.event.first == NULL && queue->not_full.event.first == NULL &&
              queue->finished.event.first == NULL);
    cf__os_free(queue->cells.memory);
    cf__os_free(queue->items.entries);
    cf__mutex_destroy(&queue->mutex);
    cf__mutex_destroy(&queue->items_mutex);
}

/* ---- trying ---- */

CF__PRIVATE cf_err
cf__queue_try_locked(cf_queue *queue, bool putting, const void *in, void *out)
{
    cf__cells *cells = &queue->cells;
    cf_err error = CF_OK;
    cf__mutex_lock(&queue->items_mutex);
    /* relaxed, all: written under the mutex, which we hold; read without it only as counts. */
    size_t tail = cf__load_relaxed(&cells->tail), head = cf__load_relaxed(&cells->head);
    if (putting) {
        if (tail & CF__CELLS_CLOSED)
            error = CF_ERR_CLOSED;
        else if (queue->capacity != 0 && queue->items.count == queue->capacity)
            error = CF_ERR_FULL;
        else if (in != NULL && !cf__items_put(&queue->items, in))
            error = CF_ERR_NOMEM;
        else if (in != NULL)
            cf__store_relaxed(&cells->tail, tail + 1);
    } else if (head & CF__CELLS_CLOSED) {
        error = CF_ERR_CLOSED;
    } else if (queue->items.count == 0) {
        error = tail & CF__CELLS_CLOSED ? CF_ERR_CLOSED : CF_ERR_EMPTY;
    } else if (out != NULL) {
        cf__items_get(&queue->items, out);
        cf__store_relaxed(&cells->head, head + 1);
    }
    cf__mutex_unlock(&queue->items_mutex);
    return error;
}

/* Puts *in or gets *out without waiting, and wakes nobody; NULL: only says whether that would go. */
CF__PRIVATE cf_err
cf__queue_try(cf_queue *queue, bool putting, const void *in, void *out)
{
    if (queue->cells.memory == NULL)
        return cf__queue_try_locked(queue, putting, in, out);
    return putting ? cf__cells_put(&queue->cells, in) : cf__cells_get(&queue->cells, out);
}

CF__PRIVATE bool
cf__queue_must_wait(cf_err error)
{
    return error == CF_ERR_FULL || error == CF_ERR_EMPTY;
}

/* ---- waiting ---- */

CF__SLOW void
cf__queue_wake_next(cf_queue *queue, cf__line *line)
{
    cf__mutex_lock(&queue->mutex);
    cf__sleeper *next = cf__event_take(&line->event);
    cf__store_relaxed(&line->call, 0u); /* relaxed: the next sleeper's exchange is ordered by the mutex */
    cf__mutex_unlock(&queue->mutex);
    cf__sleeper_wake(next);
}

/* Owed to `line` after each successful try at the other end. */
CF__PRIVATE void
cf__queue_call(cf_queue *queue, cf__line *line)
{
    /* seq_cst [Q1]: any weaker, and it may be read before our stamp is written. */
    if (cf__load_seq_cst(&line->call) != 0)
        cf__queue_wake_next(queue, line);
}

/* Tries until it succeeds or `deadline`, asleep in between. */
CF__SLOW cf_err
cf__queue_wait(cf_queue *queue, bool putting, const void *in, void *out, cf_time deadline)
{
    cf__line *line = putting ? &queue->not_full : &queue->not_empty;
    cf__sleeper *next = NULL;
    bool in_time = true;
    cf_err error;

    for (int i = 0; i < CF__QUEUE_YIELDS; i++) {
        if (deadline != CF_FOREVER && cf__os_now() + CF__QUEUE_NEAR >= deadline)
            break;
        cf__os_yield();
        error = cf__queue_try(queue, putting, in, out);
        if (!cf__queue_must_wait(error))
            return error;
    }
    cf__mutex_lock(&queue->mutex);
    for (;;) {
        (void)cf__exchange_seq_cst(&line->call, 1u); /* seq_cst [Q1], and before we try */
        error = cf__queue_try(queue, putting, in, out);
        if (!cf__queue_must_wait(error) || !in_time)
            break;
        in_time = cf__event_wait(&line->event, &queue->mutex, deadline);
    }
    /* Pass the wake on; the order of these looks is that of the loop, so call stays 1 where there is nothing yet. */
    if (line->event.first == NULL || !cf__queue_must_wait(cf__queue_try(queue, putting, NULL, NULL))) {
        next = cf__event_take(&line->event);
        cf__store_relaxed(&line->call, 0u); /* relaxed: see cf__queue_wake_next() */
    }
    cf__mutex_unlock(&queue->mutex);
    cf__sleeper_wake(next);
    return cf__queue_must_wait(error) ? CF_ERR_TIMEOUT : error;
}

/* ---- put and get ---- */

CF_API cf_err
cf_queue_try_put(cf_queue *queue, const void *item)
{
    cf_err error = cf__queue_try(queue, true, item, NULL);
    if (error == CF_OK)
        cf__queue_call(queue, &queue->not_empty);
    return error;
}

CF_API cf_err
cf_queue_put_until(cf_queue *queue, const void *item, cf_time deadline)
{
    cf_err error = cf__queue_try(queue, true, item, NULL);
    if (error == CF_ERR_FULL)
        error = deadline == CF_NOW ? CF_ERR_TIMEOUT : cf__queue_wait(queue, true, item, NULL, deadline);
    if (error == CF_OK)
        cf__queue_call(queue, &queue->not_empty);
    return error;
}

CF_API cf_err
cf_queue_put(cf_queue *queue, const void *item)
{
    return cf_queue_put_until(queue, item, CF_FOREVER);
}

CF_API cf_err
cf_queue_put_many(cf_queue *queue, const void *items, size_t count, size_t *moved, cf_time deadline)
{
    const unsigned char *item = CF__STATIC_CAST(const unsigned char *, items);
    cf_err error = CF_OK;
    /* Each wakes who waits for it: whoever puts millions may take a second for them. */
    for (*moved = 0; *moved < count; ++*moved, item += queue->cells.item_size) {
        error = cf_queue_put_until(queue, item, deadline);
        if (error != CF_OK)
            break;
    }
    return error;
}

CF_API cf_err
cf_queue_try_get(cf_queue *queue, void *item)
{
    cf_err error = cf__queue_try(queue, false, NULL, item);
    if (error == CF_OK)
        cf__queue_call(queue, &queue->not_full);
    return error;
}

CF_API cf_err
cf_queue_get_until(cf_queue *queue, void *item, cf_time deadline)
{
    cf_err error = cf__queue_try(queue, false, NULL, item);
    if (error == CF_ERR_EMPTY)
        error = deadline == CF_NOW ? CF_ERR_TIMEOUT : cf__queue_wait(queue, false, NULL, item, deadline);
    if (error == CF_OK)
        cf__queue_call(queue, &queue->not_full);
    return error;
}

CF_API cf_err
cf_queue_get(cf_queue *queue, void *item)
{
    return cf_queue_get_until(queue, item, CF_FOREVER);
}

CF_API cf_err
cf_queue_get_many(cf_queue *queue, void *items, size_t count, size_t *moved, cf_time deadline)
{
    unsigned char *item = CF__STATIC_CAST(unsigned char *, items);
    cf_err error = CF_OK;
    *moved = 0;
    if (count == 0)
        return CF_OK;
    error = cf_queue_get_until(queue, item, deadline);
    if (error != CF_OK)
        return error;
    while (++*moved < count && cf_queue_try_get(queue, item += queue->cells.item_size) == CF_OK) {
    }
    return CF_OK;
}

/* ---- task_done and join ---- */

/* How many reports end a join (Q3). */
CF__PRIVATE size_t
cf__queue_owed(cf_queue *queue)
{
    size_t head = cf__load_seq_cst(&queue->cells.head); /* seq_cst [Q2] */
    return cf__cells_count(&queue->cells, head & CF__CELLS_CLOSED ? head : cf__load_seq_cst(&queue->cells.tail));
}

CF__SLOW void
cf__queue_wake_joiners(cf_queue *queue)
{
    cf__mutex_lock(&queue->mutex);
    cf__event_wake_all(&queue->finished.event);
    cf__store_relaxed(&queue->finished.call, 0u); /* relaxed: see cf__queue_wake_next() */
    cf__mutex_unlock(&queue->mutex);
}

CF_API cf_err
cf_queue_task_done(cf_queue *queue)
{
    size_t reported = cf__load_acquire(&queue->reported); /* acquire: its puts are then seen too */
    do {
        if (reported >= cf__queue_owed(queue))
            return CF_ERR_INVALID;
    } while (!cf__cas_seq_cst(&queue->reported, &reported, reported + 1)); /* seq_cst [Q2] */
    /* seq_cst [Q2]; and owed is looked at again, for a close_now may have lowered it meanwhile. */
    if (cf__load_seq_cst(&queue->finished.call) != 0 && reported + 1 >= cf__queue_owed(queue))
        cf__queue_wake_joiners(queue);
    return CF_OK;
}

CF_API cf_err
cf_queue_join_until(cf_queue *queue, cf_time deadline)
{
    bool in_time = true, finished;
    cf__mutex_lock(&queue->mutex);
    for (;;) {
        (void)cf__exchange_seq_cst(&queue->finished.call, 1u); /* seq_cst [Q2], and before we look */
        /* seq_cst [Q2].  Reports first: what is equal then was so when owed was read, for reports never exceed it. */
        size_t reported = cf__load_seq_cst(&queue->reported);
        finished = reported >= cf__queue_owed(queue);
        if (finished || !in_time)
            break;
        in_time = cf__event_wait(&queue->finished.event, &queue->mutex, deadline);
    }
    cf__mutex_unlock(&queue->mutex);
    return finished ? CF_OK : CF_ERR_TIMEOUT;
}

CF_API void
cf_queue_join(cf_queue *queue)
{
    cf_err error = cf_queue_join_until(queue, CF_FOREVER);
    CF_ASSERT(error == CF_OK);
    (void)error;
}

/* ---- close and sizes ---- */

CF__PRIVATE void
cf__queue_close(cf_queue *queue, bool now)
{
    cf__mutex_lock(&queue->items_mutex); /* not in the middle of a put or get there */
    cf__cells_close(&queue->cells, now);
    cf__mutex_unlock(&queue->items_mutex);

    cf__mutex_lock(&queue->mutex); /* who tried before is in line now, who tries later sees the flags */
    cf__event_wake_all(&queue->not_empty.event);
    cf__event_wake_all(&queue->not_full.event);
    if (now)
        cf__event_wake_all(&queue->finished.event);
    cf__mutex_unlock(&queue->mutex);
}

CF_API void
cf_queue_close(cf_queue *queue)
{
    cf__queue_close(queue, false);
}

CF_API void
cf_queue_close_now(cf_queue *queue)
{
    cf__queue_close(queue, true);
}

CF_API size_t
cf_queue_size(cf_queue *queue)
{
    const cf__cells *cells = &queue->cells;
    /* acquire, both, so that head is read first; still they are of different moments, hence the bounds. */
    size_t head = cf__load_acquire(&cells->head), tail = cf__load_acquire(&cells->tail);
    size_t got = cf__cells_count(cells, head), put = cf__cells_count(cells, tail);
    if (head & CF__CELLS_CLOSED || put <= got)
        return 0;
    return queue->capacity != 0 ? CF__MIN(put - got, queue->capacity) : put - got;
}

CF_API bool
cf_queue_empty(cf_queue *queue)
{
    return cf_queue_size(queue) == 0;
}

CF_API bool
cf_queue_full(cf_queue *queue)
{
    return queue->capacity != 0 && cf_queue_size(queue) == queue->capacity;
}

CF_API size_t
cf_queue_capacity(const cf_queue *queue)
{
    return queue->capacity;
}

#endif /* CF__BODIES */

#endif
