/* cfutures/inline_executor.h - runs each task in the submit that brings it.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: executor.h.  Included by: cfutures.h.
 *
 * For tests, for debugging with one thread, and as the smallest example of an executor: submit makes the future,
 * runs the task in the caller, and has a settled future to return.  Nothing is pending; a task that crashes takes the
 * program along.
 *
 * HOW IT WORKS  Each submit enters itself, by a record on its own stack, in a list under a mutex, and leaves it when its
 *   task is done: so a shutdown knows for whom to wait, and whether it would be for itself.
 * WHO OWES THE WAKE  the submit that leaves the list empty: all who wait in a shutdown.  Under the mutex, for one of them may
 *   free the executor as soon as it has it. */
#ifndef CFUTURES_INLINE_EXECUTOR_H
#define CFUTURES_INLINE_EXECUTOR_H

#include "executor.h"

/** An executor that runs each task in the calling thread, inside submit.
 *
 * Returns owned, never NULL (cf_executor_error() says what failed); end it by cf_executor_close(). */
CF_API CF_NODISCARD cf_executor *cf_inline_executor(void);

/* ---- implementation ---- */

#if CF__BODIES

struct cf__inline_executor;

typedef struct cf__inline_run { /* one submit, on its stack.  Fields: I immutable, M under the executor's mutex */
    struct cf__inline_run *next, *previous; /* M */
    struct cf__inline_executor *executor;   /* I */
    cf_future *future;                      /* I: both of its references */
    const void *thread;                     /* I: an address that only this thread has */
} cf__inline_run;

typedef struct cf__inline_executor { /* fields: A atomic, M under mutex */
    cf_executor base;
    uint32_t shut_down; /* A, written under the mutex: submits fail from then on */
    cf__mutex mutex;
    cf__event idle;       /* M: shutdowns that wait until nothing runs */
    cf__inline_run *runs; /* M */
    size_t ended;         /* M: how many have left, for reports */
} cf__inline_executor;

/* False: it's shut down. */
CF__PRIVATE bool
cf__inline_enter(cf__inline_executor *executor, cf__inline_run *run)
{
    cf__mutex_lock(&executor->mutex);
    bool open = cf__load_relaxed(&executor->shut_down) == 0; /* relaxed: the mutex orders it */
    if (open) {
        run->previous = NULL;
        run->next = executor->runs;
        if (run->next != NULL)
            run->next->previous = run;
        executor->runs = run;
    }
    cf__mutex_unlock(&executor->mutex);
    return open;
}

CF__PRIVATE void
cf__inline_leave(cf__inline_run *run)
{
    cf__inline_executor *executor = run->executor;
    if (cf__executor_forked(&executor->base))
        return; /* the task has forked, and this is the child: a thread that isn't there may have the mutex */
    cf__mutex_lock(&executor->mutex);
    if (run->previous != NULL)
        run->previous->next = run->next;
    else
        executor->runs = run->next;
    if (run->next != NULL)
        run->next->previous = run->previous;
    executor->ended++;
    if (executor->runs == NULL)
        cf__event_wake_all(&executor->idle);
    cf__mutex_unlock(&executor->mutex);
}

CF__PRIVATE void
cf__inline_run_task(void *argument)
{
    (void)cf_future_run(CF__STATIC_CAST(cf__inline_run *, argument)->future);
}

/* The task has ended its thread: nobody has got its future. */
CF__SLOW void
cf__inline_exited(void *argument)
{
    cf__inline_run *run = CF__STATIC_CAST(cf__inline_run *, argument);
    cf__inline_leave(run);
    cf_future_release(run->future);
    cf_future_release(run->future);
}

CF__PRIVATE cf_future *
cf__inline_submit(cf_executor *base, const cf_task_type *type, const void *args, const cf_submit_opts *options)
{
    cf__inline_executor *executor = CF__POINTER_CAST(cf__inline_executor *, base);
    cf__inline_run run;
    /* relaxed: a submit at the same time as the shutdown may come before or after it. */
    if (cf__load_relaxed(&executor->shut_down))
        return cf__future_static(CF_ERR_SHUTDOWN);
    run.executor = executor;
    run.thread = &cf__current;
    run.future = cf_executor_new_task(base, type, args, options);
    if (run.future == NULL)
        return cf__future_static(CF_ERR_NOMEM);
    bool open = cf__inline_enter(executor, &run);
    if (open) {
        cf__os_run_guarded(cf__inline_run_task, &run, cf__inline_exited);
        cf__inline_leave(&run);
    } else {
        cf_future_release(run.future);
    }
    cf_future_release(run.future);
    return open ? run.future : cf__future_static(CF_ERR_SHUTDOWN);
}

CF__PRIVATE cf_err
cf__inline_shutdown(cf_executor *base, cf_shutdown_mode mode, cf_time deadline, cf_shutdown_report *report)
{
    cf__inline_executor *executor = CF__POINTER_CAST(cf__inline_executor *, base);
    bool inside = false, in_time = true;
    cf__mutex_lock(&executor->mutex);
    cf__store_relaxed(&executor->shut_down, 1u); /* relaxed: the mutex orders it, or it may come a little later */
    size_t before = executor->ended;
    for (cf__inline_run *run = executor->runs; run != NULL; run = run->next) {
        inside = inside || run->thread == &cf__current;
        /* Its future lives until it has left.  One that is just about to start is cancelled. */
        if (mode == CF_KILL && cf__future_withdraw(run->future))
            cf__future_run_callbacks(run->future); /* closes the list: nobody can have added any yet */
    }
    while (executor->runs != NULL && in_time && !inside)
        in_time = cf__event_wait(&executor->idle, &executor->mutex, deadline);
    for (cf__inline_run *run = executor->runs; run != NULL; run = run->next)
        report->left++;
    report->finished = executor->ended - before;
    cf__mutex_unlock(&executor->mutex);
    if (inside) /* it would wait for itself */
        return deadline == CF_NOW ? CF_ERR_TIMEOUT : CF_ERR_DEADLOCK;
    return report->left != 0 ? CF_ERR_TIMEOUT : CF_OK;
}

CF__PRIVATE void
cf__inline_free(cf_executor *base, bool forked)
{
    /* In a forked child the mutex may be held by a thread that isn't there: leave it. */
    if (!forked)
        cf__mutex_destroy(&CF__POINTER_CAST(cf__inline_executor *, base)->mutex);
    cf_executor_destroy(base);
    cf__os_free(base);
}

CF__PRIVATE unsigned
cf__inline_concurrency(cf_executor *base)
{
    (void)base;
    return 1;
}

CF_API cf_executor *
cf_inline_executor(void)
{
    static const cf_executor_ops ops = {sizeof(cf_executor_ops),
                                        "inline executor",
                                        cf__inline_submit,
                                        cf__inline_shutdown,
                                        cf__inline_free,
                                        NULL,
                                        NULL,
                                        cf__inline_concurrency,
                                        true};
    cf__inline_executor *executor = CF__STATIC_CAST(cf__inline_executor *, cf__os_alloc(sizeof *executor));
    if (executor == NULL)
        return cf_executor_new_failed(CF_ERR_NOMEM, "inline executor: out of memory");
    cf_executor_init(&executor->base, &ops);
    executor->shut_down = 0;
    cf__mutex_init(&executor->mutex);
    cf__event_init(&executor->idle);
    executor->runs = NULL;
    executor->ended = 0;
    return &executor->base;
}

#endif /* CF__BODIES */

#endif
