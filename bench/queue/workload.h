/* bench/queue/workload.h - items of 8 bytes through a bounded queue that blocks, from P producers to as many consumers.
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_QUEUE_WORKLOAD_H
#define BENCH_QUEUE_WORKLOAD_H

#include "../support/rounds.h"

struct workload {
    uint64_t items; /* in all; a multiple of what any row has of producers */
    size_t capacity;
};

/* A queue under test.  The loops are its own, so that each call in them is direct. */
typedef struct queue_kind {
    const char *name;
    void *(*start)(size_t capacity); /* NULL: failed */
    /* Puts first, first + 1, ...; waits where the queue is full. */
    bool (*produce)(void *queue, uint64_t first, uint64_t count);
    /* Gets `count` items and adds them up; waits where the queue is empty. */
    bool (*consume)(void *queue, uint64_t count, uint64_t *sum);
    void (*stop)(void *queue);
} queue_kind;

extern const queue_kind queue_mutex_ring, queue_cfutures;

/** Nanoseconds an item takes on its way through, from the start of the threads to the last one's end; every sum is
 *  checked. */
bool measure_flow(const queue_kind *kind, const struct workload *w, unsigned producers, double *ns_per_item);

#endif
