/* cfutures/detail/heap.h - blocks of a region of memory, with all bookkeeping outside of it.
 * SPDX-License-Identifier: MIT
 * LAYER 2.  Includes: os.h.  Included by: process_pool.h.
 *
 * HOW IT WORKS  A binary buddy system (Knowlton 1965; Knuth 2.5C).  The region is 2^k units; a block is 2^order
 *   units, at a multiple of its size.  Taking one splits the smallest free block that is large enough; giving one
 *   back joins it with its buddy, the neighbour it was split from, as long as that is free.  Both take at most k
 *   steps.  Free blocks are used again last in, first out: those are warm.
 * WHY OUTSIDE  The region is shared memory that a faulty task may overwrite anywhere.  Only the parent takes and
 *   gives back, under its own mutex, and trusts nothing that it reads there, because it reads nothing there.
 * LIMITS  Rounds up to a power of two units: at worst half is wasted, as address space; pages nobody touches cost
 *   nothing.
 * TWO CALLS AT ONCE  the caller excludes everything. */
#ifndef CFUTURES_DETAIL_HEAP_H
#define CFUTURES_DETAIL_HEAP_H

#include "os.h"

#if CF__BODIES

#define CF__HEAP_UNIT 256u
#define CF__HEAP_ALIGN 4096 /* of a block of that size or more, if the region is aligned to it */
#define CF__HEAP_NONE UINT32_MAX
#define CF__HEAP_ORDERS 32

typedef struct cf__heap_links {
    uint32_t next, previous; /* of a free block's list; units */
} cf__heap_links;

typedef struct cf__heap {
    unsigned char *region; /* borrowed */
    uint32_t units;        /* a power of two; 0: an empty region */
    unsigned orders;       /* the largest order is orders - 1 */
    unsigned char *
        block; /* of each unit: 0: not the first of a block; order + 1: of a free one; 128 + order + 1: of one in use */
    cf__heap_links *links;          /* of each unit; read only where a free block starts */
    uint32_t free[CF__HEAP_ORDERS]; /* first of each order's list */
} cf__heap;

CF__PRIVATE void
cf__heap_push(cf__heap *heap, uint32_t unit, unsigned order)
{
    uint32_t next = heap->free[order];
    heap->links[unit].next = next;
    heap->links[unit].previous = CF__HEAP_NONE;
    if (next != CF__HEAP_NONE)
        heap->links[next].previous = unit;
    heap->free[order] = unit;
    heap->block[unit] = CF__STATIC_CAST(unsigned char, order + 1);
}

CF__PRIVATE void
cf__heap_unlink(cf__heap *heap, uint32_t unit, unsigned order)
{
    cf__heap_links links = heap->links[unit];
    if (links.previous != CF__HEAP_NONE)
        heap->links[links.previous].next = links.next;
    else
        heap->free[order] = links.next;
    if (links.next != CF__HEAP_NONE)
        heap->links[links.next].previous = links.previous;
    heap->block[unit] = 0;
}

/* Bytes of the largest region that a heap makes use of, out of `size`. */
CF__PRIVATE size_t
cf__heap_usable(size_t size)
{
    size_t units = 1;
    if (size < CF__HEAP_UNIT)
        return 0;
    while (2 * units <= size / CF__HEAP_UNIT && units < (CF__STATIC_CAST(size_t, 1) << (CF__HEAP_ORDERS - 1)))
        units *= 2;
    return units * CF__HEAP_UNIT;
}

/* `size` as returned by cf__heap_usable().  False without memory for the bookkeeping (9 bytes a unit, touched as
 * units are used). */
CF__PRIVATE bool
cf__heap_init(cf__heap *heap, void *region, size_t size)
{
    memset(heap, 0, sizeof *heap);
    heap->region = CF__STATIC_CAST(unsigned char *, region);
    heap->units = CF__STATIC_CAST(uint32_t, size / CF__HEAP_UNIT);
    for (unsigned i = 0; i < CF__HEAP_ORDERS; i++)
        heap->free[i] = CF__HEAP_NONE;
    if (heap->units == 0)
        return true;
    while ((CF__STATIC_CAST(size_t, 1) << heap->orders) <= heap->units)
        heap->orders++;
    heap->block = CF__STATIC_CAST(unsigned char *, cf__os_map_private(heap->units));
    heap->links = CF__STATIC_CAST(cf__heap_links *, cf__os_map_private(heap->units * sizeof *heap->links));
    if (heap->block == NULL || heap->links == NULL) {
        if (heap->block != NULL)
            cf__os_unmap(heap->block, heap->units);
        if (heap->links != NULL)
            cf__os_unmap(heap->links, heap->units * sizeof *heap->links);
        return false;
    }
    cf__heap_push(heap, 0, heap->orders - 1);
    return true;
}

CF__PRIVATE void
cf__heap_destroy(cf__heap *heap)
{
    if (heap->units == 0)
        return;
    cf__os_unmap(heap->block, heap->units);
    cf__os_unmap(heap->links, heap->units * sizeof *heap->links);
}

/* The largest block there could ever be, in bytes. */
CF__PRIVATE size_t
cf__heap_limit(const cf__heap *heap)
{
    return CF__STATIC_CAST(size_t, heap->units) * CF__HEAP_UNIT;
}

/* A block of at least `size` bytes, aligned to the power of two it's rounded up to, 256 at least, 4096 at most
 * worth relying on; NULL if there is none now. */
CF__PRIVATE void *
cf__heap_take(cf__heap *heap, size_t size)
{
    unsigned order = 0, found;
    while (order < heap->orders && (CF__STATIC_CAST(size_t, CF__HEAP_UNIT) << order) < size)
        order++;
    for (found = order; found < heap->orders && heap->free[found] == CF__HEAP_NONE; found++) {
    }
    if (found >= heap->orders)
        return NULL;
    uint32_t unit = heap->free[found];
    cf__heap_unlink(heap, unit, found);
    while (found > order) {
        found--;
        cf__heap_push(heap, unit + (UINT32_C(1) << found), found); /* the upper half stays free */
    }
    heap->block[unit] = CF__STATIC_CAST(unsigned char, 128 + order + 1);
    return heap->region + CF__STATIC_CAST(size_t, unit) * CF__HEAP_UNIT;
}

CF__PRIVATE void
cf__heap_give(cf__heap *heap, void *memory)
{
    size_t offset = CF__STATIC_CAST(size_t, CF__STATIC_CAST(unsigned char *, memory) - heap->region);
    uint32_t unit = CF__STATIC_CAST(uint32_t, offset / CF__HEAP_UNIT);
    CF_ASSERT(offset % CF__HEAP_UNIT == 0 && unit < heap->units && heap->block[unit] > 128);
    unsigned order = heap->block[unit] - 129u;
    heap->block[unit] = 0;
    while (order + 1 < heap->orders) {
        uint32_t buddy = unit ^ (UINT32_C(1) << order);
        if (heap->block[buddy] != order + 1)
            break;
        cf__heap_unlink(heap, buddy, order);
        unit = CF__MIN(unit, buddy);
        order++;
    }
    cf__heap_push(heap, unit, order);
}

#endif /* CF__BODIES */

#endif
