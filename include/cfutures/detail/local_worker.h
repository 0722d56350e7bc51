/* cfutures/detail/local_worker.h - what a thread pool's worker offers to the code that runs on it.
 * SPDX-License-Identifier: MIT
 * LAYER 2.  Includes: deque.h, slab.h, errors.h, deadline.h.  Included by: future.h, child.h, scheduler.h.
 *
 * A task's context (task_type.h) leads to its worker; from there a child goes on the worker's deque, a wait tells the
 *   pool before it blocks, and a future's memory comes back without a lock.  The pool's engine is behind a table, so
 *   that a file that submits and waits doesn't contain it.  In a process pool's worker, and outside of workers, there
 *   is none: children then run at their join, waits just wait. */
#ifndef CFUTURES_DETAIL_LOCAL_WORKER_H
#define CFUTURES_DETAIL_LOCAL_WORKER_H

#include "../deadline.h"
#include "../errors.h"
#include "deque.h"
#include "slab.h"

struct cf_future;
struct cf__child;

typedef struct cf__local_worker {
    const struct cf__local_worker_ops *ops; /* I */
    const uint32_t *demand;                 /* A: scheduler.h: whether a push must wake somebody */
    cf__slab *slab;                         /* I: of the pool's futures */
    cf__slab_cache cache;                   /* the worker's own */
    cf__deque children;                     /* started and not joined; oldest at the top */
    struct cf__child *stolen;               /* the worker's own: others' children that it runs, innermost first */
    struct cf_future *running;              /* the worker's own: tasks that it runs, innermost first, by `within` */
} cf__local_worker;

typedef struct cf__local_worker_ops {
    /* Something was pushed, and `demand` says that somebody should come and look. */
    void (*wake)(cf__local_worker *);
    /* A wait for `future` (NULL: for something else), which isn't settled, is about to block until `deadline`.  May
     * run it here instead.  CF_OK: wait until *until, call end_wait, and begin again if that came before the deadline; *until
     * CF_NOW: it's settled.  Or why it mustn't wait: CF_ERR_DEADLOCK, CF_ERR_FORKED. */
    cf_err (*begin_wait)(cf__local_worker *, struct cf_future *future, cf_time deadline, cf_time *until);
    void (*end_wait)(cf__local_worker *);
    /* Returns when a child that was stolen is done. */
    void (*join)(cf__local_worker *, struct cf__child *);
    /* A child for which this worker sleeps in `join` is done.  Any thread. */
    void (*joined)(cf__local_worker *);
} cf__local_worker_ops;

#define CF__SEARCHING 0x10000u /* in *demand: somebody looks for work */

#if CF__BODIES

/* Something was pushed: wakes somebody, if there is an idle worker, or room for one more, and nobody looks for work. */
CF__PRIVATE void
cf__local_worker_pushed(cf__local_worker *worker)
{
    /* seq_cst: after the push, scheduler.h [K1]. */
    uint32_t demand = cf__load_seq_cst(worker->demand);
    if (demand != 0 && demand < CF__SEARCHING)
        worker->ops->wake(worker);
}

#endif /* CF__BODIES */
#endif
