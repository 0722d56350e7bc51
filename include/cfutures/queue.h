/* cfutures/queue.h - first-in first-out queue that blocks; any number of putters and getters.
 * SPDX-License-Identifier: MIT
 * LAYER 2.  Includes: errors.h, deadline.h, detail/event.h.  Included by: cfutures.h.
 *
 * Python's queue.Queue: put, get, task_done, join; and close, which is its shutdown().
 *
 * HOW IT WORKS  A ring of items, copied in and out by size, under one mutex.  Capacity is exact, any number from 1;
 *   0 means no bound: the ring then grows.  Who must wait joins one of three lines (detail/event.h): getters of an
 *   empty queue, putters of a full one, joiners of unfinished work.
 *
 *       put: lock; full? sleep in not_full;   copy in;  take a sleeping getter; unlock; wake it
 *       get: lock; empty? sleep in not_empty; copy out; take a sleeping putter; unlock; wake it
 *
 * INVARIANTS
 *   Q1  head < allocated, count <= capacity (where capacity isn't 0); items are at (head + i) % allocated.
 *   Q2  Each item put wakes one getter, each item got wakes one putter, if one sleeps.  A woken getter may find
 *       that another was quicker: then that one took the item, and our getter sleeps again; no wake was lost. One
 *       that leaves at its deadline has looked once more under the mutex (event.h, E3).
 *   Q3  unfinished counts items put and not yet reported by task_done.
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
#include "errors.h"

typedef struct cf_queue { /* private.  Fields: I immutable after init, M under mutex */
    cf__mutex mutex;
    cf__event not_empty;  /* M: getters sleep here; each put owes a wake */
    cf__event not_full;   /* M: putters sleep here; each get owes a wake */
    cf__event finished;   /* M: joiners sleep here; the task_done that reaches 0 owes all of them a wake */
    unsigned char *items; /* M: owned; allocated * item_size bytes */
    size_t item_size;     /* I: bytes */
    size_t capacity;      /* I: as asked for; 0: no bound */
    size_t allocated;     /* M: places in the ring */
    size_t head, count;   /* M: the oldest item, how many there are (Q1) */
    size_t unfinished;    /* M: (Q3) */
    bool closed;          /* M */
} cf_queue;

/** Make an empty queue in the caller's memory.
 *
 * item_size: bytes of one item, at least 1.  capacity: how many items it holds at most; 0: no bound.
 * Returns:   CF_OK; CF_ERR_INVALID (item_size 0, or the product overflows); CF_ERR_NOMEM.  After an error there is
 *            nothing to destroy. */
CF_API CF_NODISCARD cf_err cf_queue_init(cf_queue *queue, size_t item_size, size_t capacity);

/** End a queue; items in it are dropped as bytes.  No other call may be running or follow.  Complexity: constant.
 *  */
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

/** Get the oldest item into `*item`, waiting for one until `deadline`.
 *
 * Threads:   any number, at once with any call but destroy.
 * Blocks:    while empty and open, until `deadline` (CF_NOW: try once).
 * Returns:   CF_OK; CF_ERR_TIMEOUT (still empty); CF_ERR_CLOSED (closed, and every item has been got).
 *            *item is written only on CF_OK. */
CF_API CF_NODISCARD cf_err cf_queue_get_until(cf_queue *queue, void *item, cf_time deadline);

/** Get the oldest item, waiting for one as long as it takes.  As cf_queue_get_until(), without CF_ERR_TIMEOUT. */
CF_API CF_NODISCARD cf_err cf_queue_get(cf_queue *queue, void *item);

/** Get the oldest item if there is one now.  As cf_queue_get_until(), with CF_ERR_EMPTY in place of CF_ERR_TIMEOUT.
 *  */
CF_API CF_NODISCARD cf_err cf_queue_try_get(cf_queue *queue, void *item);

/** Report that one item that was got has been dealt with; cf_queue_join() waits for as many reports as there were
 *  puts.
 *
 * Ordering: what precedes this call happens before the join that it ends returns.
 * Returns:  CF_OK; CF_ERR_INVALID (called more often than items were put; nothing changes). */
CF_API cf_err cf_queue_task_done(cf_queue *queue);

/** Wait until every item put has been reported by cf_queue_task_done().
 *
 * Returns: CF_OK; CF_ERR_TIMEOUT (`deadline` passed, some are unfinished).  Closing the queue doesn't end the wait.
 *          */
CF_API CF_NODISCARD cf_err cf_queue_join_until(cf_queue *queue, cf_time deadline);

/** Wait until every item put has been reported, as long as it takes. */
CF_API void cf_queue_join(cf_queue *queue);

/** Take no more items: puts fail with CF_ERR_CLOSED from now on, also those that wait; gets go on until the queue
 *  is empty and then return CF_ERR_CLOSED.  Closing twice does nothing.  Complexity: linear in sleeping callers. */
CF_API void cf_queue_close(cf_queue *queue);

/** How many items there are; another thread may have changed it by the time the caller reads it. */
CF_API size_t cf_queue_size(cf_queue *queue);

/** Make a queue type for items of type T: CF_QUEUE(rate_queue, rate) defines the type rate_queue and, with checked
 *  item types, rate_queue_init(q, capacity), _destroy, _put, _put_until, _try_put, _get, _get_until, _try_get,
 *  _task_done, _join, _join_until, _close and _size.  At file scope, followed by a semicolon. */
#define CF_QUEUE(Q, ...)                                                                                               \
    typedef struct Q {                                                                                                 \
        cf_queue cf_untyped;                                                                                           \
    } Q;                                                                                                               \
    CF__UNUSED CF_NODISCARD static inline cf_err Q##_init(Q *cf_q, size_t cf_capacity)                                 \
    {                                                                                                                  \
        return cf_queue_init(&cf_q->cf_untyped, sizeof(__typeof__(__VA_ARGS__)), cf_capacity);                         \
    }                                                                                                                  \
    CF__UNUSED static inline void Q##_destroy(Q *cf_q)                                                                 \
    {                                                                                                                  \
        cf_queue_destroy(&cf_q->cf_untyped);                                                                           \
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
    CF__UNUSED static inline cf_err Q##_task_done(Q *cf_q)                                                             \
    {                                                                                                                  \
        return cf_queue_task_done(&cf_q->cf_untyped);                                                                  \
    }                                                                                                                  \
    CF__UNUSED static inline void Q##_join(Q *cf_q)                                                                    \
    {                                                                                                                  \
        cf_queue_join(&cf_q->cf_untyped);                                                                              \
    }                                                                                                                  \
    CF__UNUSED CF_NODISCARD static inline cf_err Q##_join_until(Q *cf_q, cf_time cf_deadline)                          \
    {                                                                                                                  \
        return cf_queue_join_until(&cf_q->cf_untyped, cf_deadline);                                                    \
    }                                                                                                                  \
    CF__UNUSED static inline void Q##_close(Q *cf_q)                                                                   \
    {                                                                                                                  \
        cf_queue_close(&cf_q->cf_untyped);                                                                             \
    }                                                                                                                  \
    CF__UNUSED static inline size_t Q##_size(Q *cf_q)                                                                  \
    {                                                                                                                  \
        return cf_queue_size(&cf_q->cf_untyped);                                                                       \
    }                                                                                                                  \
    struct Q

/* ---- implementation ---- */

#if CF__BODIES

#define CF__QUEUE_FIRST_RING 16 /* places that a queue without bound starts with */

CF_API cf_err
cf_queue_init(cf_queue *queue, size_t item_size, size_t capacity)
{
    size_t allocated = capacity != 0 ? capacity : CF__QUEUE_FIRST_RING;
    if (item_size == 0 || allocated > SIZE_MAX / item_size)
        return CF_ERR_INVALID;
    unsigned char *items = CF__STATIC_CAST(unsigned char *, cf__os_alloc(allocated * item_size));
    if (items == NULL)
        return CF_ERR_NOMEM;
    cf__mutex_init(&queue->mutex);
    cf__event_init(&queue->not_empty);
    cf__event_init(&queue->not_full);
    cf__event_init(&queue->finished);
    queue->items = items;
    queue->item_size = item_size;
    queue->capacity = capacity;
    queue->allocated = allocated;
    queue->head = queue->count = queue->unfinished = 0;
    queue->closed = false;
    return CF_OK;
}

CF_API void
cf_queue_destroy(cf_queue *queue)
{
    CF_ASSERT(queue->not_empty.first == NULL && queue->not_full.first == NULL && queue->finished.first == NULL);
    cf__os_free(queue->items);
    cf__mutex_destroy(&queue->mutex);
}

/* Doubles the ring of a queue without bound; the mutex is held. */
CF__PRIVATE bool
cf__queue_grow(cf_queue *queue)
{
    if (queue->allocated > SIZE_MAX / 2 / queue->item_size)
        return false;
    size_t size = queue->item_size;
    unsigned char *items = CF__STATIC_CAST(unsigned char *, cf__os_alloc(2 * queue->allocated * size));
    if (items == NULL)
        return false;
    size_t until_wrap = CF__MIN(queue->count, queue->allocated - queue->head);
    memcpy(items, queue->items + queue->head * size, until_wrap * size);
    memcpy(items + until_wrap * size, queue->items, (queue->count - until_wrap) * size);
    cf__os_free(queue->items);
    queue->items = items;
    queue->head = 0;
    queue->allocated *= 2;
    return true;
}

CF_API cf_err
cf_queue_put_until(cf_queue *queue, const void *item, cf_time deadline)
{
    cf__sleeper *getter = NULL;
    cf_err error = CF_OK;
    bool in_time = true;

    cf__mutex_lock(&queue->mutex);
    while (!queue->closed && queue->capacity != 0 && queue->count == queue->capacity && in_time)
        in_time = cf__event_wait(&queue->not_full, &queue->mutex, deadline);
    /* Room, or the close, beats a deadline that ties. */
    if (queue->closed) {
        error = CF_ERR_CLOSED;
    } else if (queue->capacity != 0 && queue->count == queue->capacity) {
        error = CF_ERR_TIMEOUT;
    } else if (queue->count == queue->allocated && !cf__queue_grow(queue)) {
        error = CF_ERR_NOMEM;
    } else {
        size_t tail = queue->head + queue->count;
        if (tail >= queue->allocated)
            tail -= queue->allocated;
        memcpy(queue->items + tail * queue->item_size, item, queue->item_size);
        queue->count++;
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
cf_queue_get_until(cf_queue *queue, void *item, cf_time deadline)
{
    cf__sleeper *putter = NULL;
    cf_err error = CF_OK;
    bool in_time = true;

    cf__mutex_lock(&queue->mutex);
    while (!queue->closed && queue->count == 0 && in_time)
        in_time = cf__event_wait(&queue->not_empty, &queue->mutex, deadline);
    /* An item, or the close, beats a deadline that ties. */
    if (queue->count != 0) {
        memcpy(item, queue->items + queue->head * queue->item_size, queue->item_size);
        queue->count--;
        if (++queue->head == queue->allocated)
            queue->head = 0;
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
cf_queue_close(cf_queue *queue)
{
    cf__mutex_lock(&queue->mutex);
    queue->closed = true;
    cf__event_wake_all(&queue->not_empty);
    cf__event_wake_all(&queue->not_full);
    cf__mutex_unlock(&queue->mutex);
}

CF_API size_t
cf_queue_size(cf_queue *queue)
{
    cf__mutex_lock(&queue->mutex);
    size_t size = queue->count;
    cf__mutex_unlock(&queue->mutex);
    return size;
}

#endif /* CF__BODIES */

#endif
