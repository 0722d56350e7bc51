/* cfutures/detail/items.h - items of one size, got back in order of arrival, the newest first, or by priority.
 * SPDX-License-Identifier: MIT
 * LAYER 1.  Includes: os.h.  Included by: queue.h.
 *
 * HOW IT WORKS  One array of entries.  First in, first out: a ring.  Last in, first out: a stack.  By priority: a
 *   binary heap (Williams 1964), in which each entry has a number behind its item, counted up with every put; among
 *   equals the lower number is got first, which a heap alone doesn't promise.
 *
 *       entry: | item, item_size bytes | number, 8 bytes, in a heap only | padding |
 *
 *   Items keep the alignment that malloc gives, for the program's compare function looks at them in place.
 * INVARIANTS
 *   I1  head < allocated, count <= allocated; entries are at (head + i) % allocated; head is 0 but in a ring.
 *   I2  In a heap no entry comes before its parent, entry (i - 1) / 2.
 * TWO CALLS AT ONCE  the caller excludes everything. */
#ifndef CFUTURES_DETAIL_ITEMS_H
#define CFUTURES_DETAIL_ITEMS_H

#include "os.h"

#define CF__ITEMS_FIRST 16 /* entries that one without bound starts with */

/** In which order items are got. */
typedef enum cf_queue_order {
    CF_FIFO,    /* first in, first out */
    CF_LIFO,    /* last in, first out */
    CF_PRIORITY /* the smallest; among equals the oldest */
} cf_queue_order;

typedef struct cf__items {
    unsigned char *entries; /* owned; allocated * stride bytes */
    size_t item_size, stride;
    size_t allocated, head, count; /* (I1) */
    uint64_t puts;                 /* of a heap: the next entry's number */
    int (*compare)(const void *, const void *);
    cf_queue_order order;
} cf__items;

#if CF__BODIES

/* False without memory, or if the product overflows. */
CF__PRIVATE bool
cf__items_init(cf__items *items, size_t item_size, size_t allocated, cf_queue_order order,
               int (*compare)(const void *, const void *))
{
    memset(items, 0, sizeof *items);
    items->item_size = items->stride = item_size;
    if (order == CF_PRIORITY) /* no alignment is above 16, and an item's size is a multiple of its own */
        items->stride += item_size % 16 == 0 ? 16 : sizeof items->puts;
    if (items->stride < item_size || allocated > SIZE_MAX / items->stride)
        return false;
    items->allocated = allocated;
    items->order = order;
    items->compare = compare;
    items->entries = CF__STATIC_CAST(unsigned char *, cf__os_alloc(allocated * items->stride));
    return items->entries != NULL;
}

CF__PRIVATE unsigned char *
cf__items_at(const cf__items *items, size_t index)
{
    return items->entries + index * items->stride;
}

/* Whether `a` is got before `b`; both are entries. */
CF__PRIVATE bool
cf__items_before(const cf__items *items, const unsigned char *a, const unsigned char *b)
{
    uint64_t number_a, number_b;
    int sign = items->compare(a, b);
    if (sign != 0)
        return sign < 0;
    memcpy(&number_a, a + items->item_size, sizeof number_a);
    memcpy(&number_b, b + items->item_size, sizeof number_b);
    return number_a < number_b;
}

/* Doubles the room. */
CF__PRIVATE bool
cf__items_grow(cf__items *items)
{
    size_t size = items->stride, until_wrap = CF__MIN(items->count, items->allocated - items->head);
    if (items->allocated > SIZE_MAX / 2 / size)
        return false;
    unsigned char *entries = CF__STATIC_CAST(unsigned char *, cf__os_alloc(2 * items->allocated * size));
    if (entries == NULL)
        return false;
    memcpy(entries, cf__items_at(items, items->head), until_wrap * size);
    memcpy(entries + until_wrap * size, items->entries, (items->count - until_wrap) * size);
    cf__os_free(items->entries);
    items->entries = entries;
    items->head = 0;
    items->allocated *= 2;
    return true;
}

/* False if it would have to grow and can't.  Complexity: constant, but for growing; heap: logarithmic. */
CF__PRIVATE bool
cf__items_put(cf__items *items, const void *item)
{
    if (items->count == items->allocated && !cf__items_grow(items))
        return false;
    size_t at = items->head + items->count++;
    if (at >= items->allocated)
        at -= items->allocated;
    if (items->order == CF_PRIORITY) {
        /* Up: parents that come after the item move into the hole.  Those that are equal are older, and stay. */
        for (size_t parent; at != 0 && items->compare(item, cf__items_at(items, parent = (at - 1) / 2)) < 0;
             at = parent)
            memcpy(cf__items_at(items, at), cf__items_at(items, parent), items->stride);
        memcpy(cf__items_at(items, at) + items->item_size, &items->puts, sizeof items->puts);
        items->puts++;
    }
    memcpy(cf__items_at(items, at), item, items->item_size);
    return true;
}

/* Gets the next item; there is one.  Complexity: as cf__items_put(). */
CF__PRIVATE void
cf__items_get(cf__items *items, void *item)
{
    size_t last = --items->count, at = items->order == CF_LIFO ? last : items->head;
    memcpy(item, cf__items_at(items, at), items->item_size);
    if (items->order == CF_FIFO && ++items->head == items->allocated)
        items->head = 0;
    if (items->order == CF_PRIORITY) {
        /* Down: the smaller child moves into the hole, until the last entry fits there. */
        for (size_t child; (child = 2 * at + 1) < last; at = child) {
            if (child + 1 < last && cf__items_before(items, cf__items_at(items, child + 1), cf__items_at(items, child)))
                child++;
            if (cf__items_before(items, cf__items_at(items, last), cf__items_at(items, child)))
                break;
            memcpy(cf__items_at(items, at), cf__items_at(items, child), items->stride);
        }
        if (at != last)
            memcpy(cf__items_at(items, at), cf__items_at(items, last), items->stride);
    }
}

#endif /* CF__BODIES */

#endif
