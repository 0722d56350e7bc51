/* bench/queue/mutex_ring.c - the textbook's: a ring, one mutex, two condition variables.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <pthread.h>
#include <stdlib.h>

typedef struct ring {
    pthread_mutex_t mutex;
    pthread_cond_t not_empty, not_full;
    uint64_t *items;
    size_t capacity, head, count;
} ring;

static void *
start(size_t capacity)
{
    ring *r = checked_calloc(1, sizeof *r);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->not_empty, NULL);
    pthread_cond_init(&r->not_full, NULL);
    r->items = checked_calloc(capacity, sizeof *r->items);
    r->capacity = capacity;
    return r;
}

static void
put(ring *r, uint64_t item)
{
    pthread_mutex_lock(&r->mutex);
    while (r->count == r->capacity)
        pthread_cond_wait(&r->not_full, &r->mutex);
    r->items[(r->head + r->count++) % r->capacity] = item;
    pthread_cond_signal(&r->not_empty);
    pthread_mutex_unlock(&r->mutex);
}

static uint64_t
get(ring *r)
{
    pthread_mutex_lock(&r->mutex);
    while (r->count == 0)
        pthread_cond_wait(&r->not_empty, &r->mutex);
    uint64_t item = r->items[r->head];
    r->head = (r->head + 1) % r->capacity;
    r->count--;
    pthread_cond_signal(&r->not_full);
    pthread_mutex_unlock(&r->mutex);
    return item;
}

static bool
produce(void *queue, uint64_t first, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++)
        put(queue, first + i);
    return true;
}

static bool
consume(void *queue, uint64_t count, uint64_t *sum)
{
    for (uint64_t i = 0; i < count; i++)
        *sum += get(queue);
    return true;
}

static void
stop(void *queue)
{
    ring *r = queue;
    pthread_mutex_destroy(&r->mutex);
    pthread_cond_destroy(&r->not_empty);
    pthread_cond_destroy(&r->not_full);
    free(r->items);
    free(r);
}

const queue_kind queue_mutex_ring = {"mutex ring", start, produce, consume, stop};
