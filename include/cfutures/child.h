/* cfutures/child.h - fork and join inside a task: the record is on the caller's stack.
 * SPDX-License-Identifier: MIT
 * LAYER 4.  Includes: future.h.  Included by: task.h, detail/scheduler.h.
 *
 *     cf_child(fib) child;
 *     cf_child_start(&child, fib, n - 1);         may be stolen by an idle worker from now on
 *     long b = fib(n - 2);
 *     return cf_child_join(&child, fib) + b;      runs it here, if nobody has
 *
 * HOW IT WORKS  Starting writes the arguments into the record and pushes its address on the worker's deque (deque.h).
 *   Joining pops it again and calls the function, as if nothing had been: no allocation, no queue, no lock.  Only if
 *   another worker was idle it finds the deque empty: then it helps the thief until the child is done.  Outside a
 *   thread pool's task, and where the deque is full, the child just runs at its join.
 * RULES  A child is joined by the function that started it, before it returns.  In any order, best the newest first:
 *   an older one's join runs the newer ones on the way.
 *   Nor is the thread ended (pthread_exit) by a task that has started some, by one of them, or by what runs in their waits:
 *   the records of those that thieves run would be gone with the stack, and no list says which these are.
 * ONE TASK  A child belongs to the task that started it, whoever runs it: cf_fail() in it fails that task, cf_cancelled()
 *   asks it, cf_note() speaks for it, and both have one cf_current_executor().  But a thief's CPU time isn't that task's.
 *   The starter's context lives until the join, so a thief may look at it.
 * INVARIANTS
 *   C1  Whoever takes the record off a deque, owner or thief, runs it; once (deque.h D2).
 *   C2  A thief doesn't touch the record after it has set CF__CHILD_DONE: the joiner may return.
 * ORDERING
 *   [J1] result -> joiner    the thief's exchange of state (release) / the joiner's load-acquire
 *   Arguments go with the deque's edge.
 * WHO OWES THE WAKE  the thief, if the word it replaced had CF__CHILD_WAITED; the joiner sleeps in the pool
 *   (scheduler.h), not on the record, which may be gone. */
#ifndef CFUTURES_CHILD_H
#define CFUTURES_CHILD_H

#include "future.h"

/** A child of `fn`, to be declared in the function that starts and joins it. */
#define cf_child(fn) CF__CHILD(fn)

/** Let fn(arguments...) run beside the caller, on a worker of the same thread pool that is idle, until it is joined:
 *  cf_child_start(&child, fn, arguments...).  Copies the arguments.  Never fails, never blocks.  Until it's joined nothing
 *  that runs in the caller may end its thread. */
#define cf_child_start(child, ...) CF__CHILD_START(child, __VA_ARGS__, CF__END)

/** Wait for the child and return what fn returned: cf_child_join(&child, fn).
 *
 * Runs it in the caller if nobody has begun to.  What the child did happens before this returns. */
#define cf_child_join(child, fn) CF__CHILD_JOIN(child, fn)

/* ---- implementation ---- */

#define CF__CHILD(fn) struct fn##_CF_TASK_child /* once more, for an fn that is a macro */

#define CF__CHILD_DONE 1u
#define CF__CHILD_WAITED 2u
#define CF__CHILD_FAILED 4u
#define CF__CHILD_THIEF_SHIFT 8

typedef struct cf__child_type { /* of one task; static */
    void (*run)(const void *args, void *result, void *context);
    size_t args_offset, result_offset; /* in the record */
} cf__child_type;

typedef struct cf__child {      /* fields: W by the starter, A atomic, T by the thief before DONE */
    const cf__child_type *type; /* W */
    cf__task_context *starter;  /* W: the task it belongs to; NULL: it was never pushed */
    struct cf__child *next;     /* belongs to who took it off its deque */
    uint32_t state;             /* A: DONE, WAITED, FAILED; from bit 8 on: the thief */
    int code;                   /* T: as given to cf_fail() */
    char *message;              /* T: as given to cf_fail(), owned; or NULL */
} cf__child;

/* What CF_TASK's functions call.  take: true: the child is to be run by the caller; false: it's done, its result is in
 * the record. */
CF_API void cf__child_start(cf__child *child, const cf__child_type *type);
CF_API bool cf__child_take(cf__child *child);

#if CF__BODIES

CF_API void
cf__child_start(cf__child *child, const cf__child_type *type)
{
    cf__task_context *current = cf__task_current();
    cf__local_worker *worker = current != NULL ? current->worker : NULL;
    child->type = type;
    child->starter = current;
    child->state = 0;
    if (worker == NULL || !cf__deque_push(&worker->children, child))
        child->starter = NULL;
    else
        cf__local_worker_pushed(worker);
}

/* The child is done; message: of its failure, NULL: none. */
CF__PRIVATE void
cf__child_finish(cf__child *child, const char *message, int code)
{
    cf__local_worker *joiner = child->starter->worker;
    if (message != NULL) {
        size_t size = strlen(message) + 1;
        child->code = code;
        child->message = CF__STATIC_CAST(char *, cf__os_alloc(size));
        if (child->message != NULL)
            memcpy(child->message, message, size);
    }
    /* release [J1] (C2) */
    if (cf__exchange_acq_rel(&child->state, CF__CHILD_DONE | (message != NULL ? CF__CHILD_FAILED : 0u)) &
        CF__CHILD_WAITED)
        joiner->ops->joined(joiner);
}

/* Runs a child that was taken off a deque, with its outcome in the record; the caller says who it is. */
CF__PRIVATE void
cf__child_run_stolen(cf__child *child, cf__local_worker *worker, uint32_t number)
{
    unsigned char *record = CF__POINTER_CAST(unsigned char *, child);
    const cf__child_type *type = child->type;
    cf__task_context context;
    /* relaxed: a helper that reads it looks at our deque, nothing else.  A joiner may have set WAITED. */
    (void)cf__fetch_or_seq_cst(&child->state, number << CF__CHILD_THIEF_SHIFT);
    child->next = worker->stolen;
    worker->stolen = child;
    cf__task_context_init(&context, NULL, 0);
    context.can_fail = child->starter->can_fail;
    context.outer = child->starter; /* cf_cancelled() asks the task that waits for it */
    context.is_child = true;
    context.executor = child->starter->executor;
    context.worker = worker;
    context.local = cf__task_current()->local;
    type->run(record + type->args_offset, record + type->result_offset, &context);
    worker->stolen = child->next;
    cf__child_finish(child, context.failed ? context.message : NULL, context.code);
}

/* The worker's thread was ended by one of the stolen children that it ran: none of them will be done. */
CF__SLOW void
cf__child_abandon(cf__local_worker *worker)
{
    cf__child *child;
    while ((child = worker->stolen) != NULL) {
        worker->stolen = child->next;
        cf__child_finish(child, "a child ended its thread", 0);
    }
}

/* It was run by another worker, or on the way to an older one: takes its failure over. */
CF__SLOW void
cf__child_take_failure(cf__child *child)
{
    cf__task_context *current = cf__task_current();
    if (current != NULL && current->can_fail) {
        current->failed = true;
        current->code = child->code;
        current->message[0] = 0;
        if (child->message != NULL)
            memcpy(current->message, child->message, strlen(child->message) + 1); /* it was cut before */
    }
    cf__os_free(child->message);
}

CF_API bool
cf__child_take(cf__child *child)
{
    if (child->starter == NULL)
        return true;
    cf__local_worker *worker = cf__task_current()->worker;
    uint32_t state = cf__load_acquire(&child->state); /* acquire [J1] */
    while (!(state & CF__CHILD_DONE)) {
        cf__child *newest = CF__STATIC_CAST(cf__child *, cf__deque_pop(&worker->children));
        if (newest == child)
            return true;
        if (newest != NULL)
            cf__child_run_stolen(newest, worker, 0); /* a newer one, whose join comes later */
        else
            worker->ops->join(worker, child);
        state = cf__load_acquire(&child->state); /* acquire [J1] */
    }
    if (state & CF__CHILD_FAILED)
        cf__child_take_failure(child);
    return false;
}

#endif /* CF__BODIES */
#endif
