/* cfutures/detail/slab.h - records of one size that one thread takes and another gives back.
 * SPDX-License-Identifier: MIT
 * LAYER 2.  Includes: atomic.h, os.h.  Included by: task_type.h, future.h, the pools.
 *
 * WHY  A future is made by the submitter and ends wherever its last reference goes; malloc and free of one block on
 *   two threads cost 200 ns here.
 * HOW IT WORKS  Cells are cut from chunks.  Who takes cells excludes the others (the pool's mutex).  Whoever gives
 *   one back pushes it on a stack, without a lock; the taker empties the stack in one exchange when it has run out,
 *   so that no two pops ever compete (no ABA).  A worker has a cache of its own: what it gives, it takes again; too
 *   many go back as one chain.
 *
 *       take:  free list -> all of `returned` -> a fresh cell -> a new chunk         under the owner's mutex
 *       give:  push on `returned`                                                    any thread
 *
 * AFTER THE OWNER  futures outlive their pool.  Closing the slab closes the stack, counts the cells that are out and
 *   adds them to `outstanding`, from which whoever gives one back then subtracts: the step that reaches 0 frees all.
 * INVARIANTS
 *   L1  A cell is out (taken, not given back), on the free list, on `returned`, in a cache, or still fresh.
 *   L2  `returned` is closed for good once, by close; after that each cell given back counts 1 down.
 * ORDERING
 *   [L1] use of a cell -> its next use    give's CAS (release) / take's exchange (acquire)
 *   [L2] use of a cell -> free            fetch_sub and fetch_add of outstanding, acquire-release
 * MEMORY  isn't given back to the system before the last cell is: a pool keeps what its most futures at a time took. */
#ifndef CFUTURES_DETAIL_SLAB_H
#define CFUTURES_DETAIL_SLAB_H

#include "atomic.h"
#include "os.h"

/* Bytes of a cell: a future with 56 bytes of arguments and result.  Cells share cache lines: apart, at 192 bytes, neither
 * tasks nor fork-join through futures were faster. */
#define CF__SLAB_CELL (CF__FUTEX ? 176 : 256)
#define CF__SLAB_ALIGN 16
#define CF__SLAB_CHUNK_FIRST 32
/* Cells of a chunk, 44 MiB; each has twice as many as the one before.  Its ends are on small pages, each touched for the
 * first time at 2 us: with a quarter of that, a million futures took an eighth longer. */
#define CF__SLAB_CHUNK_LAST 262144
#define CF__SLAB_CACHE 64 /* cells that a worker keeps at most */

typedef struct cf__cell { /* while it's free */
    struct cf__cell *next;
} cf__cell;

typedef struct cf__slab { /* fields: M under the owner's mutex, A atomic */
    cf__cell *free;       /* M */
    unsigned char *fresh; /* M: the newest chunk's cells that were never used... */
    unsigned fresh_count; /* M: ...and how many there are */
    unsigned chunk_cells; /* M: of the next chunk */
    void *chunks;         /* M: all of them; each starts with the address of the one before */
    int64_t used;         /* M: cells that were ever taken */
    unsigned char pad[CF__CACHE_LINE];
    uint32_t waiter_cpu, worker_cpu; /* A: where who waits for a cell's future, and who runs it, last spun, + 1 */
    void *returned;                  /* A: stack of cells, or cf__slab_closed() */
    int64_t outstanding;             /* A: (L2) */
} cf__slab;

typedef struct cf__slab_cache { /* of one thread */
    cf__cell *first;
    unsigned count;
} cf__slab_cache;

#if CF__BODIES

/* Stands for "closed": an address that no cell has. */
CF__PRIVATE void *
cf__slab_closed(void)
{
    return CF__POINTER_CAST(void *, CF__STATIC_CAST(uintptr_t, 1));
}

CF__PRIVATE cf__slab *
cf__slab_new(void)
{
    cf__slab *slab = CF__STATIC_CAST(cf__slab *, cf__os_alloc(sizeof *slab));
    if (slab != NULL) {
        memset(CF__STATIC_CAST(void *, slab), 0, sizeof *slab);
        slab->chunk_cells = CF__SLAB_CHUNK_FIRST;
    }
    return slab;
}

CF__PRIVATE void
cf__slab_free(cf__slab *slab)
{
    while (slab->chunks != NULL) {
        void *chunk = slab->chunks;
        memcpy(&slab->chunks, chunk, sizeof slab->chunks);
        cf__os_free(chunk);
    }
    cf__os_free(slab);
}

/* A cell; NULL when there is no memory.  The owner's mutex is held. */
CF__PRIVATE void *
cf__slab_take(cf__slab *slab)
{
    if (slab->free == NULL && cf__load_relaxed(&slab->returned) != NULL) {
        /* acquire [L1] */
        slab->free = CF__STATIC_CAST(cf__cell *, cf__exchange_acq_rel(&slab->returned, CF__STATIC_CAST(void *, NULL)));
    }
    cf__cell *cell = slab->free;
    if (cell != NULL) {
        slab->free = cell->next;
        return cell;
    }
    if (slab->fresh_count == 0) {
        size_t size =
            CF__STATIC_CAST(size_t, slab->chunk_cells) * CF__SLAB_CELL + CF__STATIC_CAST(size_t, 2 * CF__CACHE_LINE);
        unsigned char *chunk = CF__STATIC_CAST(unsigned char *, cf__os_alloc(size));
        if (chunk == NULL)
            return NULL;
        cf__os_prefer_huge_pages(chunk, size);
        memcpy(chunk, &slab->chunks, sizeof slab->chunks);
        slab->chunks = chunk;
        uintptr_t first = CF__POINTER_CAST(uintptr_t, chunk) + sizeof slab->chunks;
        slab->fresh =
            CF__POINTER_CAST(unsigned char *, CF__ROUND_UP(first, CF__STATIC_CAST(uintptr_t, CF__CACHE_LINE)));
        slab->fresh_count = slab->chunk_cells;
        slab->chunk_cells = CF__MIN(2 * slab->chunk_cells, CF__STATIC_CAST(unsigned, CF__SLAB_CHUNK_LAST));
    }
    void *fresh = slab->fresh;
    slab->fresh += CF__SLAB_CELL;
    slab->fresh_count--;
    slab->used++;
    return fresh;
}

/* Gives back the chain of `count` cells from `first` to `last`.  Any thread, without a lock. */
CF__PRIVATE void
cf__slab_give_chain(cf__slab *slab, cf__cell *first, cf__cell *last, unsigned count)
{
    void *top = cf__load_relaxed(&slab->returned); /* relaxed: a guess, the CAS checks it */
    while (top != cf__slab_closed()) {
        last->next = CF__STATIC_CAST(cf__cell *, top);
        if (cf__cas_acq_rel(&slab->returned, &top, CF__STATIC_CAST(void *, first))) /* release [L1] */
            return;
    }
    int64_t given = CF__STATIC_CAST(int64_t, count);
    if (cf__fetch_sub_acq_rel(&slab->outstanding, given) == given) /* [L2] */
        cf__slab_free(slab);
}

CF__PRIVATE void
cf__slab_give(cf__slab *slab, void *memory)
{
    cf__cell *cell = CF__STATIC_CAST(cf__cell *, memory);
    cf__slab_give_chain(slab, cell, cell, 1);
}

/* The owner is gone: frees the slab now, or as soon as the last cell is given back.  Caches were emptied before. */
CF__PRIVATE void
cf__slab_close(cf__slab *slab)
{
    int64_t at_home = 0;
    /* acquire [L1] */
    cf__cell *list = CF__STATIC_CAST(cf__cell *, cf__exchange_acq_rel(&slab->returned, cf__slab_closed()));
    for (; list != NULL; list = list->next)
        at_home++;
    for (list = slab->free; list != NULL; list = list->next)
        at_home++;
    int64_t out = slab->used - at_home;
    if (cf__fetch_sub_acq_rel(&slab->outstanding, -out) == -out) /* [L2] */
        cf__slab_free(slab);
}

/* ---- a worker's cache ---- */

CF__PRIVATE void
cf__slab_cache_empty(cf__slab_cache *cache, cf__slab *slab)
{
    cf__cell *last = cache->first;
    if (last == NULL)
        return;
    while (last->next != NULL)
        last = last->next;
    cf__slab_give_chain(slab, cache->first, last, cache->count);
    cache->first = NULL;
    cache->count = 0;
}

CF__PRIVATE void
cf__slab_cache_give(cf__slab_cache *cache, cf__slab *slab, void *memory)
{
    cf__cell *cell = CF__STATIC_CAST(cf__cell *, memory);
    if (cache->count == CF__SLAB_CACHE)
        cf__slab_cache_empty(cache, slab);
    cell->next = cache->first;
    cache->first = cell;
    cache->count++;
}

CF__PRIVATE void *
cf__slab_cache_take(cf__slab_cache *cache)
{
    cf__cell *cell = cache->first;
    if (cell != NULL) {
        cache->first = cell->next;
        cache->count--;
    }
    return cell;
}

#endif /* CF__BODIES */
#endif
