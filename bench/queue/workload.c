/* bench/queue/workload.c - see workload.h.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <pthread.h>
#include <stdlib.h>

enum { MAX_PRODUCERS = 16 };

typedef struct party { /* one producer or consumer; read after the join */
    const queue_kind *kind;
    void *queue;
    uint64_t first, count, sum;
    bool produces, ok;
} party;

static void *
party_main(void *argument)
{
    party *p = argument;
    p->ok =
        p->produces ? p->kind->produce(p->queue, p->first, p->count) : p->kind->consume(p->queue, p->count, &p->sum);
    return NULL;
}

bool
measure_flow(const queue_kind *kind, const struct workload *w, unsigned producers, double *ns_per_item)
{
    party parties[2 * MAX_PRODUCERS];
    pthread_t threads[2 * MAX_PRODUCERS];
    uint64_t each = w->items / producers, sum = 0;
    bool ok = true;
    void *queue = kind->start(w->capacity);
    if (queue == NULL)
        return complain("%s: no queue", kind->name);

    int64_t start = now_ns();
    for (unsigned i = 0; i < 2 * producers; i++) {
        parties[i] = (party){kind, queue, i / 2 * each + 1, each, 0, i % 2 == 0, false};
        if (pthread_create(&threads[i], NULL, party_main, &parties[i]) != 0) {
            complain("%s: no thread", kind->name);
            exit(1); /* the others would wait for its items */
        }
    }
    for (unsigned i = 0; i < 2 * producers; i++) {
        pthread_join(threads[i], NULL);
        sum += parties[i].sum;
        ok = ok && parties[i].ok;
    }
    *ns_per_item = seconds_since(start) * 1e9 / (double)w->items;
    kind->stop(queue);
    return ok && sum == w->items * (w->items + 1) / 2 ? true : complain("%s: wrong sum", kind->name);
}
