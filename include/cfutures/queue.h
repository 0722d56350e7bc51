/* cfutures/queue.h - queues that block: first in first out, last in first out, by priority.
 * SPDX-License-Identifier: MIT
 * LAYER 2.  Includes: errors.h, deadline.h, detail/event.h, detail/items.h.  Included by: cfutures.h.
 *
 * Python's queue.Queue, LifoQueue and PriorityQueue: put, get, task_done, join; and close, which is its shutdown().
 *
 * HOW IT WORKS  Items (detail/items.h), copied in and out by size, under one mutex.  Capacity is exact, any number
 *   from 1; 0 means no bound: the array then grows.  Who must wait joins one of three lines (detail/event.h): getters
 *   of an empty queue, putters of a full one, joiners of unfinished work.
 *
 *       put: lock; full? sleep in not_full;   copy in;  take a sleeping getter; unlock; wake it
 *       get: lock; empty? sleep in not_empty; copy out; take a sleeping putter; unlock; wake it
 *
 * INVARIANTS
 *   Q1  items.count <= capacity (where capacity isn't 0).
 *   Q2  Each item put wakes one getter, each item got wakes one putter, if one sleeps.  A woken getter may find
 *       that another was quicker: then that one took the item, and our getter sleeps again; no wake was lost. One
 *       that leaves at its deadline has looked once more under the mutex (event.h, E3).
 *   Q3  unfinished counts items put and neither reported by task_done nor dropped by close_now.
 *   Q4  A closed queue never opens again; one that is closed now is empty.
 * ORDERING  All fields are under the mutex: what precedes a put happens before the matching get returns, what
 *   precedes a task_done happens before the join that it ends returns, what precedes a close before its
 *   CF_ERR_CLOSED. Items of one putter are got in the order of its puts.
 * TWO CALLS AT ONCE  put, get, task_done, join, close, sizes: all safe; init and destroy: the caller excludes
 *   everything.
 * WAITING costs no CPU time.
 * REJECTED  fetch_add tickets: a timed put could not hand its ticket back, and they collapse by a factor of 100
 *   once threads outnumber CPUs.  pthread condition variables: see event.h. */
#ifndef CFUTURES_QUEUE_H
#define CFUTURES_QUEUE_H

#include "deadline.h"
#include "detail/event.h"
#include "detail/items.h"
#include "errors.h"

typedef struct cf_queue { /* private.  Fields: I immutable after init, M under mutex */
    cf__mutex mutex;
    cf__event not_empty; /* M: getters sleep here; each put owes a wake */
    cf__event not_full;  /* M: putters sleep here; each get owes a wake */
    cf__event finished;  /* M: joiners sleep here; what brings unfinished to 0 owes all of them a wake */
    cf__items items;     /* M */
    size_t capacity;     /* I: as asked for; 0: no bound */
    size_t unfinished;   /* M: (Q3) */
    bool closed;         /* M */
} cf_queue;

/** What a queue is like; all zero means the default. */
typedef struct cf_queue_opts {
    size_t struct_size CF__DEFAULT(sizeof(cf_queue_opts)); /* set by cf_queue_options() */
    size_t capacity CF__DEFAULT(0);                        /* items it holds at most; 0: no bound */
    cf_queue_order order CF__DEFAULT(CF_FIFO);             /* CF_FIFO, CF_LIFO, CF_PRIORITY */
    /* Of CF_PRIORITY, as qsort() has it: below 0 if item *a is to be got before item *b.  Called while the queue is
     * locked: it mustn't call the queue.  NULL: none. */
    int (*compare)(const void *a, const void *b) CF__DEFAULT(NULL);
} cf_queue_opts;

/** Options by name, for cf_queue_init_with(): cf_queue_options(.capacity = 8, .order = CF_LIFO).  In C++ from C++20
 *  on; before it, fill a struct and pass its address. */
#ifdef __cplusplus
CF_API const cf_queue_opts *
cf__queue_options(const cf_queue_opts &options)
{
    return &options;
}
#define cf_queue_options(...) cf__queue_options(cf_queue_opts{__VA_ARGS__})
#else
#define cf_queue_options(...) (&(cf_queue_opts){.struct_size = sizeof(cf_queue_opts), __VA_ARGS__})
#endif

/** Make an empty queue, first in first out, in the caller's memory.
 *
 * item_size: bytes of one item, at least 1.  capacity: how many items it holds at most; 0: no bound.
 * Returns:   CF_OK; CF_ERR_INVALID (item_size 0, or the product overflows); CF_ERR_NOMEM.  After an error there is
 *            nothing to destroy. */
CF_API CF_NODISCARD cf_err cf_queue_init(cf_queue *queue, size_t item_size, size_t capacity);

/** Make an empty queue of any kind: cf_queue_init_with(&queue, sizeof(int), cf_queue_options(.order = CF_LIFO)).
 *
 * Ownership: copies the options.
 * Returns:   as cf_queue_init(); also CF_ERR_INVALID: CF_PRIORITY without compare, or no such order. */
CF_API CF_NODISCARD cf_err cf_queue_init_with(cf_queue *queue, size_t item_size, const cf_queue_opts *options);

/** End a queue; items in it are dropped as bytes.  No other call may be running or follow. */
CF_API void cf_queue_destroy(cf_queue *queue);

/** Put a copy of `*item`, waiting for room until `deadline`.
 *
 * Ownership: copies item_size bytes on CF_OK; on any error nothing was put.
 * Threads:   any number, at once with any call but destroy.
 * Blocks:    while full, until `deadline` (CF_NOW: try once).
 * Ordering:  what precedes this call happens before the matching get returns.
 * Returns:   CF_OK; CF_ERR_TIMEOUT (still full); CF_ERR_CLOSED (closed before or during the wait);
 *            CF_ERR_NOMEM (a queue without bound can't grow). */
CF_API CF_NODISCARD cf_err cf_queue_put_until(cf_queue *queue, const void *item, cf_time deadline);

/** Put a copy of `*item`, waiting for room as long as it takes.  As cf_queue_put_until(), without CF_ERR_TIMEOUT.
 *  */
CF_API cf_err cf_queue_put(cf_queue *queue, const void *item);

/** Put a copy of `*item` if there is room now.  As cf_queue_put_until(), with CF_ERR_FULL in place of
 *  CF_ERR_TIMEOUT. */
CF_API CF_NODISCARD cf_err cf_queue_try_put(cf_queue *queue, const void *item);

/** Put copies of the first `count` items of an array, in their order, waiting for room until `deadline`.
 *
 * moved:   how many were put, in any case: after an error those before items[*moved] are in the queue.
 * Blocks:  as cf_queue_put_until(), before each item.  Items of other putters may come between.
 * Returns: CF_OK (all); otherwise as cf_queue_put_until() for the item at which it stopped. */
CF_API CF_NODISCARD cf_err cf_queue_put_many(cf_queue *queue, const void *items, size_t count, size_t *moved,
                                             cf_time deadline);

/** Get the next item into `*item`, waiting for one until `deadline`.
 *
 * Threads:   any number, at once with any call but destroy.
 * Blocks:    while empty and open, until `deadline` (CF_NOW: try once).
 * Returns:   CF_OK; CF_ERR_TIMEOUT (still empty); CF_ERR_CLOSED (closed, and every item has been got or dropped).
 *            *item is written only on CF_OK. */
CF_API CF_NODISCARD cf_err cf_queue_get_until(cf_queue *queue, void *item, cf_time deadline);

/** Get the next item, waiting for one as long as it takes.  As cf_queue_get_until(), without CF_ERR_TIMEOUT. */
CF_API CF_NODISCARD cf_err cf_queue_get(cf_queue *queue, void *item);

/** Get the next item if there is one now.  As cf_queue_get_until(), with CF_ERR_EMPTY in place of CF_ERR_TIMEOUT.
 *  */
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

/** Make a queue type for items of type T: CF_QUEUE(rate_queue, rate) defines the type rate_queue and, with checked
 *  item types, all of the above under its name: rate_queue_init(q, capacity), rate_queue_init_with(q, options),
 *  rate_queue_put(q, &item) and so on.  At file scope, followed by a semicolon. */
#define CF_QUEUE(Q, ...)                                                                                               \
    typedef struct Q {                                                                                                 \
        cf_queue cf_untyped;                                                                                           \
    } Q;                                                                                                               \
    CF__UNUSED CF_NODISCARD static inline cf_err Q##_init(Q *cf_q, size_t cf_capacity)                                 \
    {                                                                                                                  \
        return cf_queue_init(&cf_q->cf_untyped, sizeof(__typeof__(__VA_ARGS__)), cf_capacity);                         \
    }                                                                                                                  \
    CF__UNUSED CF_NODISCARD static inline cf_err Q##_init_with(Q *cf_q, const cf_queue_opts *cf_opts)                  \
    {                                                                                                                  \
        return cf_queue_init_with(&cf_q->cf_untyped, sizeof(__typeof__(__VA_ARGS__)), cf_opts);                        \
    }                                                                                                                  \
    CF__UNUSED static inline cf_err Q##_put(Q *cf_q, const __typeof__(__VA_ARGS__) *cf_item)                           \
    {                                                                                                                  \
        return cf_queue_put(&cf_q->cf_untyped, cf_item);                                                               \
    }                                                                                                                  \
    CF__UNUSED CF_NODISCARD static inline cf_err Q##_put_until(Q *cf_q, const __typeof__(__VA_ARGS__) *cf_item,        \
                                                               cf_time cf_deadline)                                    \
    {                                                                                                                  \
        return cf_queue_put_until(&cf_q->cf_untyped, cf_item, cf_deadline);                                            \
    }                                                                                                                  \
    CF__UNUSED CF_NODISCARD static inline cf_err Q##_try_put(Q *cf_q, const __typeof__(__VA_ARGS__) *cf_item)          \
    {                                                                                                                  \
        return cf_queue_try_put(&cf_q->cf_untyped, cf_item);                                                           \
    }                                                                                                                  \
    CF__UNUSED CF_NODISCARD static inline cf_err Q##_put_many(Q *cf_q, const __typeof__(__VA_ARGS__) *cf_items,        \
                                                              size_t cf_count, size_t *cf_moved, cf_time cf_deadline)  \
    {                                                                                                                  \
        return cf_queue_put_many(&cf_q->cf_untyped, cf_items, cf_count, cf_moved, cf_deadline);                        \
    }                                                                                                                  \
    CF__UNUSED CF_NODISCARD static inline cf_err Q##_get(Q *cf_q, __typeof__(__VA_ARGS__) *cf_item)                    \
    {                                                                                                                  \
        return cf_queue_get(&cf_q->cf_untyped, cf_item);                                                               \
    }                                                                                                                  \
    CF__UNUSED CF_NODISCARD static inline cf_err Q##_get_until(Q *cf_q, __typeof__(__VA_ARGS__) *cf_item,              \
                                                               cf_time cf_deadline)                                    \
    {                                                                                                                  \
        return cf_queue_get_until(&cf_q->cf_untyped, cf_item, cf_deadline);                                            \
    }                                                                                                                  \
    CF__UNUSED CF_NODISCARD static inline cf_err Q##_try_get(Q *cf_q, __typeof__(__VA_ARGS__) *cf_item)                \
    {                                                                                                                  \
        return cf_queue_try_get(&cf_q->cf_untyped, cf_item);                                                           \
    }                                                                                                                  \
    CF__UNUSED CF_NODISCARD static inline cf_err Q##_get_many(Q *cf_q, __typeof__(__VA_ARGS__) *cf_items,              \
                                                              size_t cf_count, size_t *cf_moved, cf_time cf_deadline)  \
    {                                                                                                                  \
        return cf_queue_get_many(&cf_q->cf_untyped, cf_items, cf_count, cf_moved, cf_deadline);                        \
    }                                                                                                                  \
    CF__UNUSED static inline cf_err Q##_task_done(Q *cf_q)                                                             \
    {                                                                                                                  \
        return cf_queue_task_done(&cf_q->cf_untyped);                                                                  \
    }                                                                                                                  \
    CF__UNUSED CF_NODISCARD static inline cf_err Q##_join_until(Q *cf_q, cf_time cf_deadline)                          \
    {                                                                                                                  \
        return cf_queue_join_until(&cf_q->cf_untyped, cf_deadline);                                                    \
    }                                                                                                                  \
    CF__UNUSED static inline size_t Q##_size(Q *cf_q)                                                                  \
    {                                                                                                                  \
        return cf_queue_size(&cf_q->cf_untyped);                                                                       \
    }                                                                                                                  \
    CF__UNUSED static inline bool Q##_empty(Q *cf_q)                                                                   \
    {                                                                                                                  \
        return cf_queue_empty(&cf_q->cf_untyped);                                                                      \
    }                                                                                                                  \
    CF__UNUSED static inline bool Q##_full(Q *cf_q)                                                                    \
    {                                                                                                                  \
        return cf_queue_full(&cf_q->cf_untyped);                                                                       \
    }                                                                                                                  \
    CF__UNUSED static inline size_t Q##_capacity(const Q *cf_q)                                                        \
    {                                                                                                                  \
        return cf_queue_capacity(&cf_q->cf_untyped);                                                                   \
    }                                                                                                                  \
    CF__UNUSED static inline void Q##_destroy(Q *cf_q)                                                                 \
    {                                                                                                                  \
        cf_queue_destroy(&cf_q->cf_untyped);                                                                           \
    }                                                                                                                  \
    CF__UNUSED static inline void Q##_join(Q *cf_q)                                                                    \
    {                                                                                                                  \
        cf_queue_join(&cf_q->cf_untyped);                                                                              \
    }                                                                                                                  \
    CF__UNUSED static inline void Q##_close(Q *cf_q)                                                                   \
    {                                                                                                                  \
        cf_queue_close(&cf_q->cf_untyped);                                                                             \
    }                                                                                                                  \
    CF__UNUSED static inline void Q##_close_now(Q *cf_q)                                                               \
    {                                                                                                                  \
        cf_queue_close_now(&cf_q->cf_untyped);                                                                         \
    }                                                                                                                  \
    struct Q

/* ---- implementation ---- */

CF_API cf_err
cf_queue_init_with(cf_queue *queue, size_t item_size, const cf_queue_opts *options)
{
    size_t allocated = options->capacity != 0 ? options->capacity : CF__ITEMS_FIRST;
    cf_queue_order order = options->order;
    if (item_size == 0 || allocated > SIZE_MAX / 2 / item_size || order > CF_PRIORITY ||
        (order == CF_PRIORITY && options->compare == NULL))
        return CF_ERR_INVALID;
    if (!cf__items_init(&queue->items, item_size, allocated, order, options->compare))
        return CF_ERR_NOMEM;
    cf__mutex_init(&queue->mutex);
    cf__event_init(&queue->not_empty);
    cf__event_init(&queue->not_full);
    cf__event_init(&queue->finished);
    queue->capacity = options->capacity;
    queue->unfinished = 0;
    queue->closed = false;
    return CF_OK;
}

CF_API cf_err
cf_queue_init(cf_queue *queue, size_t item_size, size_t capacity)
{
    cf_queue_opts options;
    options.struct_size = sizeof options;
    options.capacity = capacity;
    options.order = CF_FIFO;
    options.compare = NULL;
    return cf_queue_init_with(queue, item_size, &options);
}

CF_API void
cf_queue_destroy(cf_queue *queue)
{
    CF_ASSERT(queue->not_empty.first == NULL && queue->not_full.first == NULL && queue->finished.first == NULL);
    cf__os_free(queue->items.entries);
    cf__mutex_destroy(&queue->mutex);
}

CF_API cf_err
cf_queue_put_until(cf_queue *queue, const void *item, cf_time deadline)
{
    cf__sleeper *getter = NULL;
    cf_err error = CF_OK;
    bool in_time = true;

    cf__mutex_lock(&queue->mutex);
    while (!queue->closed && queue->capacity != 0 && queue->items.count == queue->capacity && in_time)
        in_time = cf__event_wait(&queue->not_full, &queue->mutex, deadline);
    /* Room, or the close, beats a deadline that ties. */
    if (queue->closed) {
        error = CF_ERR_CLOSED;
    } else if (queue->capacity != 0 && queue->items.count == queue->capacity) {
        error = CF_ERR_TIMEOUT;
    } else if (!cf__items_put(&queue->items, item)) {
        error = CF_ERR_NOMEM;
    } else {
        queue->unfinished++;
        getter = cf__event_take(&queue->not_empty);
    }
    cf__mutex_unlock(&queue->mutex);
    cf__sleeper_wake(getter);
    return error;
}

CF_API cf_err
cf_queue_put(cf_queue *queue, const void *item)
{
    return cf_queue_put_until(queue, item, CF_FOREVER);
}

CF_API cf_err
cf_queue_try_put(cf_queue *queue, const void *item)
{
    cf_err error = cf_queue_put_until(queue, item, CF_NOW);
    return error == CF_ERR_TIMEOUT ? CF_ERR_FULL : error;
}

CF_API cf_err
cf_queue_put_many(cf_queue *queue, const void *items, size_t count, size_t *moved, cf_time deadline)
{
    const unsigned char *item = CF__STATIC_CAST(const unsigned char *, items);
    cf_err error = CF_OK;
    for (*moved = 0; *moved < count; ++*moved, item += queue->items.item_size)
        if ((error = cf_queue_put_until(queue, item, deadline)) != CF_OK)
            break;
    return error;
}

CF_API cf_err
cf_queue_get_until(cf_queue *queue, void *item, cf_time deadline)
{
    cf__sleeper *putter = NULL;
    cf_err error = CF_OK;
    bool in_time = true;

    cf__mutex_lock(&queue->mutex);
    while (!queue->closed && queue->items.count == 0 && in_time)
        in_time = cf__event_wait(&queue->not_empty, &queue->mutex, deadline);
    /* An item, or the close, beats a deadline that ties. */
    if (queue->items.count != 0) {
        cf__items_get(&queue->items, item);
        putter = cf__event_take(&queue->not_full);
    } else {
        error = queue->closed ? CF_ERR_CLOSED : CF_ERR_TIMEOUT;
    }
    cf__mutex_unlock(&queue->mutex);
    cf__sleeper_wake(putter);
    return error;
}

CF_API cf_err
cf_queue_get(cf_queue *queue, void *item)
{
    return cf_queue_get_until(queue, item, CF_FOREVER);
}

CF_API cf_err
cf_queue_try_get(cf_queue *queue, void *item)
{
    cf_err error = cf_queue_get_until(queue, item, CF_NOW);
    return error == CF_ERR_TIMEOUT ? CF_ERR_EMPTY : error;
}

CF_API cf_err
cf_queue_get_many(cf_queue *queue, void *items, size_t count, size_t *moved, cf_time deadline)
{
    unsigned char *item = CF__STATIC_CAST(unsigned char *, items);
    cf_err error = CF_OK;
    for (*moved = 0; *moved < count; ++*moved, item += queue->items.item_size)
        if ((error = cf_queue_get_until(queue, item, *moved == 0 ? deadline : CF_NOW)) != CF_OK)
            break;
    return *moved == 0 ? error : CF_OK;
}

CF_API cf_err
cf_queue_task_done(cf_queue *queue)
{
    cf_err error = CF_OK;
    cf__mutex_lock(&queue->mutex);
    if (queue->unfinished == 0)
        error = CF_ERR_INVALID;
    else if (--queue->unfinished == 0)
        cf__event_wake_all(&queue->finished);
    cf__mutex_unlock(&queue->mutex);
    return error;
}

CF_API cf_err
cf_queue_join_until(cf_queue *queue, cf_time deadline)
{
    bool in_time = true;
    cf__mutex_lock(&queue->mutex);
    while (queue->unfinished != 0 && in_time)
        in_time = cf__event_wait(&queue->finished, &queue->mutex, deadline);
    cf_err error = queue->unfinished != 0 ? CF_ERR_TIMEOUT : CF_OK;
    cf__mutex_unlock(&queue->mutex);
    return error;
}

CF_API void
cf_queue_join(cf_queue *queue)
{
    cf_err error = cf_queue_join_until(queue, CF_FOREVER);
    CF_ASSERT(error == CF_OK);
    (void)error;
}

CF_API void
cf__queue_close(cf_queue *queue, bool now)
{
    cf__mutex_lock(&queue->mutex);
    queue->closed = true;
    if (now) {
        /* An item may have been reported before it was got. */
        queue->unfinished -= CF__MIN(queue->unfinished, queue->items.count);
        queue->items.count = 0;
        if (queue->unfinished == 0)
            cf__event_wake_all(&queue->finished);
    }
    cf__event_wake_all(&queue->not_empty);
    cf__event_wake_all(&queue->not_full);
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
    cf__mutex_lock(&queue->mutex);
    size_t size = queue->items.count;
    cf__mutex_unlock(&queue->mutex);
    return size;
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

#endif
