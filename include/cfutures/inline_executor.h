/* cfutures/inline_executor.h - runs each task in the submit that brings it.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: executor.h.  Included by: cfutures.h.
 *
 * For tests, for debugging with one thread, and as the smallest example of an executor: submit makes the future,
 * runs the task in the caller, and has a settled future to return.  Nothing is pending; a task that crashes takes the
 * program along.
 *
 * HOW IT WORKS  Each submit enters itself, by a record on its own stack, in a list under a mutex, and leaves it when its
 *   task is done: so a shutdown knows for whom to wait, and whether it would be for itself.  The list is as short as there are
 *   submits under way, so leaving it may look through it.
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

/* One submit, on its stack.  Fields: I immutable, M under the executor's mutex. */
typedef struct cf__inline_run {
    struct cf__inline_run *next;          /* M */
    struct cf__inline_executor *executor; /* I */
    cf_future *future;                    /* I: both of its references */
    cf__thread thread;                    /* I: that it runs in */
} cf__inline_run;

typedef struct cf__inline_executor { /* fields: M under mutex */
    cf_executor base;
    cf__mutex mutex;
    bool shut_down;       /* M: submits fail from then on */
    cf__event idle;       /* M: shutdowns that wait until nothing runs */
    cf__inline_run *runs; /* M */
    size_t ended;         /* M: how many have left that weren't cancelled, for reports */
} cf__inline_executor;

CF__PRIVATE void
cf__inline_leave(cf__inline_run *run)
{
    cf__inline_executor *executor = run->executor;
    if (cf__executor_forked(&executor->base))
        return; /* the task has forked, and this is the child: a thread that isn't there may have the mutex */
    cf__mutex_lock(&executor->mutex);
    cf__inline_run **link = &executor->runs;
    while (*link != run) /* a thread's newest stands before its others, so only other threads' are passed */
        link = &(*link)->next;
    *link = run->next;
    executor->ended += !cf_future_cancelled(run->future);
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
    run.executor = executor;
    run.thread = cf__os_thread_self();
    run.future = cf_executor_new_task(base, type, args, options);
    if (run.future == NULL)
        return cf__future_static(CF_ERR_NOMEM);
    cf__mutex_lock(&executor->mutex);
    bool open = !executor->shut_down;
    run.next = executor->runs;
    if (open)
        executor->runs = &run;
    cf__mutex_unlock(&executor->mutex);
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
    bool inside = false;
    cf__mutex_lock(&executor->mutex);
    executor->shut_down = true;
    size_t before = executor->ended;
    for (cf__inline_run *run = executor->runs; run != NULL; run = run->next) {
        inside = inside || cf__os_thread_is_self(&run->thread);
        /* Its future lives until it has left.  One that is just about to start is cancelled. */
        if (mode == CF_KILL && cf__future_withdraw(run->future)) {
            cf__future_run_callbacks(run->future); /* closes the list: nobody can have added any yet */
            report->cancelled++;
        }
    }
    while (executor->runs != NULL && !inside && cf__event_wait(&executor->idle, &executor->mutex, deadline)) {
    }
    /* A cancelled one that hasn't left yet is waited for, but has been reported. */
    for (cf__inline_run *run = executor->runs; run != NULL; run = run->next)
        report->left += !cf_future_cancelled(run->future);
    report->finished = executor->ended - before;
    bool idle = executor->runs == NULL;
    cf__mutex_unlock(&executor->mutex);
    if (inside) /* it would wait for itself */
        return deadline == CF_NOW ? CF_ERR_TIMEOUT : CF_ERR_DEADLOCK;
    return idle ? CF_OK : CF_ERR_TIMEOUT;
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
    memset(CF__STATIC_CAST(void *, executor), 0, sizeof *executor);
    cf_executor_init(&executor->base, &ops);
    cf__mutex_init(&executor->mutex);
    cf__event_init(&executor->idle);
    return &executor->base;
}

#endif /* CF__BODIES */

#endif
