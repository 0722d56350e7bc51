/* bench/queue/cfutures.c - the queue of queue.h, bounded, first in first out.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <cfutures.h>

CF_QUEUE(item_queue, uint64_t);

static void *
start(size_t capacity)
{
    item_queue *queue = checked_calloc(1, sizeof *queue);
    if (item_queue_init(queue, capacity) == CF_OK)
        return queue;
    free(queue);
    return NULL;
}

static bool
produce(void *queue, uint64_t first, uint64_t count)
{
    for (uint64_t item = first; item < first + count; item++)
        if (item_queue_put(queue, &item) != CF_OK)
            return false;
    return true;
}

static bool
consume(void *queue, uint64_t count, uint64_t *sum)
{
    for (uint64_t item, i = 0; i < count; i++) {
        if (item_queue_get(queue, &item) != CF_OK)
            return false;
        *sum += item;
    }
    return true;
}

static void
stop(void *queue)
{
    item_queue_destroy(queue);
    free(queue);
}

const queue_kind queue_cfutures = {"cfutures", start, produce, consume, stop};
