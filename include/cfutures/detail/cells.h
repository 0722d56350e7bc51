/* cfutures/detail/cells.h - a bounded ring of items that any number of threads put to and get from without a lock.
 * SPDX-License-Identifier: MIT
 * LAYER 1.  Includes: atomic.h, os.h, ../errors.h.  Included by: queue.h.
 *
 * HOW IT WORKS  Vyukov's bounded queue.  A position counts items: the cell's number in its low bits, above them the
 *   lap around the ring; so a capacity needn't be a power of two.  Each cell has a stamp that says whose turn it is:
 *
 *       stamp == p          empty, waits for the put at position p
 *       stamp == p + 1      full, waits for the get at position p
 *       stamp == p + lap    empty again, for the put one lap later
 *
 *       put: tail at p, stamp == p?      CAS tail to the next position; copy in;  stamp = p + 1
 *       get: head at p, stamp == p + 1?  CAS head to the next position; copy out; stamp = p + lap
 *
 *   A lap is a power of two greater than the capacity, so p + 1 is never a position of the same cell.
 * INVARIANTS
 *   R1  A cell's item is touched only by the thread whose CAS claimed the position that the stamp speaks of.
 *   R2  head <= tail <= head + capacity, in items; each only goes up.
 *   R3  A flag in tail (closed: no put any more) or head (no get any more) stays, and so does then the position.
 *   R4  A thread that has claimed a position and doesn't run holds up those behind it, who see an empty, or full, ring
 *       until it goes on; its stamp is what a sleeper must be woken for.  cf_queue_try_put() tells the program.
 * ORDERING
 *   [C1] put's item -> get's read             exchange of the stamp / load of the stamp
 *   [C2] get's read -> next lap's put         exchange of the stamp / load of the stamp
 *   [C3] close -> the call that it refuses    fetch_or of the flag / load of the flag
 *   The stamps are seq_cst for the sake of queue.h, [Q1]; release and acquire would do here.
 * WHO LOSES A POSITION to another thread stays away for a moment.  Two putters at a time, on two CPUs, had each item cost
 *   five transfers of cache lines, 300 to 400 ns; of those that take turns, 35 to 50 ns.
 * REJECTED  fetch_add tickets: a timed put could not hand its ticket back, and they collapse by a factor of 100 once
 *   threads outnumber CPUs.  Comparing tail with head for room: each put would then read the word that all gets write. */
#ifndef CFUTURES_DETAIL_CELLS_H
#define CFUTURES_DETAIL_CELLS_H

#include "../errors.h"
#include "atomic.h"
#include "os.h"

#define CF__CELLS_BACK_OFF INT64_C(1000) /* nanoseconds: some thirty items of the one who goes on */
#define CF__CELLS_CLOSED (CF__STATIC_CAST(size_t, 1) << 63)

typedef struct cf__cells { /* fields: I immutable after init, A atomic, C by stamp */
    unsigned char *memory; /* I: owned; a stamp (A) and an item (C) each */
    size_t item_size, stride, capacity;
    size_t lap; /* I */
    char apart[CF__CACHE_LINE];
    size_t tail; /* A: position of the next put, | CF__CELLS_CLOSED */
    char apart2[CF__CACHE_LINE - sizeof(size_t)];
    size_t head; /* A: position of the next get, | CF__CELLS_CLOSED */
    char apart3[CF__CACHE_LINE - sizeof(size_t)];
} cf__cells;

#if CF__BODIES

/* One without cells, capacity 0, only counts. */
CF__PRIVATE bool
cf__cells_init(cf__cells *cells, size_t item_size, size_t capacity)
{
    cells->memory = NULL;
    cells->item_size = item_size;
    cells->stride = CF__ROUND_UP(sizeof(size_t) + item_size, sizeof(size_t));
    cells->capacity = CF__MAX(capacity, CF__STATIC_CAST(size_t, 1));
    cells->lap = 1;
    cells->tail = cells->head = 0;
    if (capacity == 0)
        return true;
    if (capacity > SIZE_MAX / 4 / cells->stride)
        return false;
    while (cells->lap <= capacity)
        cells->lap *= 2;
    cells->memory = CF__STATIC_CAST(unsigned char *, cf__os_alloc(capacity * cells->stride));
    for (size_t i = 0; cells->memory != NULL && i < capacity; i++)
        *CF__POINTER_CAST(size_t *, CF__STATIC_CAST(void *, cells->memory + i * cells->stride)) = i;
    return cells->memory != NULL;
}

CF__PRIVATE size_t *
cf__cells_stamp(const cf__cells *cells, size_t position)
{
    return CF__POINTER_CAST(size_t *,
                            CF__STATIC_CAST(void *, cells->memory + (position & (cells->lap - 1)) * cells->stride));
}

CF__PRIVATE size_t
cf__cells_next(const cf__cells *cells, size_t position)
{
    size_t index = position & (cells->lap - 1);
    return index + 1 < cells->capacity ? position + 1 : position - index + cells->lap;
}

/* How many positions there are before this one. */
CF__PRIVATE size_t
cf__cells_count(const cf__cells *cells, size_t position)
{
    position &= ~CF__CELLS_CLOSED;
    return position / cells->lap * cells->capacity + (position & (cells->lap - 1));
}

CF__PRIVATE void
cf__cells_copy(void *to, const void *from, size_t size)
{
    if (size == sizeof(uint64_t)) /* one move and no call, for the size that pointers have */
        memcpy(to, from, sizeof(uint64_t));
    else
        memcpy(to, from, size);
}

/* Another thread was quicker, and will be again while it has the lines that both need: it may have them for a while. */
CF__PRIVATE void
cf__cells_back_off(void)
{
    for (int64_t end = cf__os_now() + CF__CELLS_BACK_OFF; cf__os_now() < end;)
        cf__cpu_relax();
}

/* Returns CF_OK, CF_ERR_FULL or CF_ERR_CLOSED.  With `item` NULL it puts nothing, and CF_OK means that there's room. */
CF__PRIVATE cf_err
cf__cells_put(cf__cells *cells, const void *item)
{
    for (;; cf__cells_back_off()) {
        size_t tail = cf__load_relaxed(&cells->tail); /* relaxed: a guess, which stamp and CAS check */
        if (tail & CF__CELLS_CLOSED) {
            (void)cf__load_acquire(&cells->tail); /* acquire [C3] */
            return CF_ERR_CLOSED;
        }
        size_t *stamp = cf__cells_stamp(cells, tail);
        /* seq_cst [C2]: last lap's get has finished reading.  Relaxed would let us write what it still reads. */
        if (cf__load_seq_cst(stamp) == tail) {
            if (item == NULL)
                return CF_OK;
            /* relaxed: the CAS only claims the position (R1); the stamp below publishes. */
            size_t next = cf__cells_next(cells, tail);
            if (cf__cas_relaxed(&cells->tail, &tail, next)) {
                cf__data_write(stamp + 1, cells->item_size);
                cf__cells_copy(stamp + 1, item, cells->item_size);
                /* seq_cst [C1]: who reads this stamp reads the item. */
                (void)cf__exchange_seq_cst(stamp, tail + 1);
                return CF_OK;
            }
        } else if (cf__load_relaxed(&cells->tail) == tail) {
            /* relaxed: if the stamp belonged to a later position, its load would have brought a later tail too. */
            return CF_ERR_FULL;
        }
    }
}

/* Returns CF_OK, CF_ERR_EMPTY or CF_ERR_CLOSED (and nothing will come any more).  With `item` NULL it gets nothing,
 * and CF_OK means that there is one. */
CF__PRIVATE cf_err
cf__cells_get(cf__cells *cells, void *item)
{
    for (;; cf__cells_back_off()) {
        size_t head = cf__load_relaxed(&cells->head); /* relaxed: as above */
        if (head & CF__CELLS_CLOSED) {
            (void)cf__load_acquire(&cells->head); /* acquire [C3] */
            return CF_ERR_CLOSED;
        }
        size_t *stamp = cf__cells_stamp(cells, head);
        /* seq_cst [C1]: the item is there.  Relaxed would let us read what was there before. */
        if (cf__load_seq_cst(stamp) == head + 1) {
            if (item == NULL)
                return CF_OK;
            size_t next = cf__cells_next(cells, head);
            if (cf__cas_relaxed(&cells->head, &head, next)) { /* relaxed: as above */
                cf__data_read(stamp + 1, cells->item_size);
                cf__cells_copy(item, stamp + 1, cells->item_size);
                /* seq_cst [C2]: we have read the item. */
                (void)cf__exchange_seq_cst(stamp, head + cells->lap);
                return CF_OK;
            }
        } else if (cf__load_relaxed(&cells->head) == head) { /* relaxed: as above */
            /* acquire [C3]; a put that has claimed its position comes before the close (R3) */
            return cf__load_acquire(&cells->tail) == (head | CF__CELLS_CLOSED) ? CF_ERR_CLOSED : CF_ERR_EMPTY;
        }
    }
}

/* No put any more; with `now` no get either. */
CF__PRIVATE void
cf__cells_close(cf__cells *cells, bool now)
{
    (void)cf__fetch_or_seq_cst(&cells->tail, CF__CELLS_CLOSED); /* seq_cst [C3]; release would do here */
    if (now)
        (void)cf__fetch_or_seq_cst(&cells->head, CF__CELLS_CLOSED); /* as above; also [Q2] of queue.h */
}

#endif /* CF__BODIES */

#endif
