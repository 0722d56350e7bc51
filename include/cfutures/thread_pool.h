/* cfutures/thread_pool.h - tasks on threads of this process: for work that waits, and for work that shares memory.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: executor.h, detail/event.h, detail/os_cpus.h.  Included by: cfutures.h.
 *
 * Python's ThreadPoolExecutor.
 *
 * HOW IT WORKS  Futures queue in one list under one mutex, first come, first served.  Idle workers sleep in a line
 *   (detail/event.h); a submit takes one of them off and wakes it, or starts one more thread while there are fewer
 *   than max_workers.
 *
 *       submit: lock; append; take an idle worker (or start one); unlock; wake it
 *       worker: lock; take the first future (none: sleep in `work`); unlock; run it; lock; ...
 *
 * INVARIANTS (M: all under the mutex)
 *   T1  pending = futures in the list + futures that a worker runs.
 *   T2  While a future is in the list, a worker is awake or has been woken and not yet looked: each append wakes
 *       one, if any sleeps, and a worker sleeps only when it has seen an empty list.
 *   T3  Nothing is appended once `closed` is set; workers end when `quit` is set, and that is when pending is 0.
 * WHO OWES THE WAKE  submit: a worker (work); a worker that ends a task: one submitter (room), and at pending == 0
 *   those that shut down (quiet); shutdown: all submitters, then all workers.
 * A cancelled future stays in the list until a worker comes by, and counts as pending until then.
 * A task that waits for a queued task of its own pool runs it (cf_future_wait), so that pools can't fill up with
 *   waiters for tasks that nobody is left to run.
 * REJECTED  pthread condition variables: see detail/event.h.  Starting all threads at creation: a pool of 32 that
 *   runs two tasks would pay for 32. */
#ifndef CFUTURES_THREAD_POOL_H
#define CFUTURES_THREAD_POOL_H

#include "detail/event.h"
#include "detail/os_cpus.h"
#include "executor.h"

/** Make a thread pool; threads start as tasks come.
 *
 * options: NULL: defaults.  See cf_pool_opts.
 * Returns: owned, never NULL; end it by cf_executor_close().  What could fail is in cf_executor_error():
 *          CF_ERR_NOMEM. */
CF_API CF_NODISCARD cf_executor *cf_thread_pool_with(const cf_pool_opts *options);

/** The same with options by name: cf_thread_pool(.max_workers = 20), cf_thread_pool(). */
#ifdef __cplusplus
inline cf_executor *
cf_thread_pool(const cf_pool_opts &options = cf_pool_opts())
{
    return cf_thread_pool_with(&options);
}
#else
#define cf_thread_pool(...) cf_thread_pool_with(&(cf_pool_opts){.struct_size = sizeof(cf_pool_opts), __VA_ARGS__})
#endif

/* ---- implementation ---- */

struct cf__thread_pool;

typedef struct cf__thread_worker { /* one a thread; in the pool's array */
    cf__thread thread;
    struct cf__thread_pool *pool;
    cf_future *runs; /* M: the future it runs, with the pool's reference; or NULL */
    unsigned number;
} cf__thread_worker;

typedef struct cf__thread_pool { /* fields: I immutable, M under mutex */
    cf_executor base;
    cf_pool_opts options; /* I: resolved */
    char name[11];        /* I: prefix of the threads' names */
    cf__mutex mutex;
    cf__event work;             /* M: idle workers */
    cf__event room;             /* M: submitters, while pending == max_pending */
    cf__event quiet;            /* M: those that shut down */
    cf_future *first, *last;    /* M: the list; each entry holds one reference */
    size_t queued, pending;     /* M: (T1) */
    size_t finished;            /* M: tasks run, ever */
    cf__thread_worker *workers; /* I: max_workers of them; `started` are in use */
    unsigned started, living;   /* M: threads started ever, and not yet at their end */
    bool closed, quit;          /* M: (T3) */
    bool joining, joined;       /* M: somebody joins the threads; has joined them */
} cf__thread_pool;

/* Takes the whole list, *count futures; the mutex is held.  They stay pending until cf__thread_pool_settled() is
 * told. */
CF_API cf_future *
cf__thread_pool_take_all(cf__thread_pool *pool, size_t *count)
{
    cf_future *list = pool->first;
    *count = pool->queued;
    pool->first = pool->last = NULL;
    pool->queued = 0;
    return list;
}

/* `count` pending futures are settled; the mutex is held. */
CF_API void
cf__thread_pool_settled(cf__thread_pool *pool, size_t count)
{
    pool->pending -= count;
    for (size_t i = 0; i < count && pool->room.first != NULL; i++)
        cf__sleeper_wake(cf__event_take(&pool->room));
    if (pool->pending == 0)
        cf__event_wake_all(&pool->quiet);
}

/* Runs the callbacks of a list of futures that have been settled, all of them before the first callback, and
 * releases them. */
CF_API void
cf__thread_pool_call_back(cf_future *list)
{
    while (list != NULL) {
        cf_future *future = list;
        list = future->next;
        cf__future_run_callbacks(future);
        cf_future_release(future);
    }
}

/* A worker's on_start has failed, and it was the last: nothing will ever run.  The mutex is held, and let go for
 * the callbacks. */
CF_API void
cf__thread_pool_break(cf__thread_pool *pool, const char *message)
{
    size_t count;
    cf__executor_break(&pool->base, CF_ERR_BROKEN, message);
    pool->closed = true;
    cf__event_wake_all(&pool->room);
    cf_future *list = cf__thread_pool_take_all(pool, &count), *settled = NULL;
    cf__mutex_unlock(&pool->mutex);
    while (list != NULL) {
        cf_future *future = list;
        list = future->next;
        future->next = settled;
        if (!cf__future_claim_outcome(future)) {
            cf_future_release(future); /* it was cancelled before */
            continue;
        }
        future->error = CF_ERR_BROKEN;
        cf__future_set_message(future, message);
        cf__future_publish(future, CF__FAILED);
        settled = future;
    }
    cf__thread_pool_call_back(settled);
    cf__mutex_lock(&pool->mutex);
    cf__thread_pool_settled(pool, count);
}

CF_API void *
cf__thread_worker_main(void *argument)
{
    cf__thread_worker *self = CF__STATIC_CAST(cf__thread_worker *, argument);
    cf__thread_pool *pool = self->pool;
    cf_future *ran = NULL; /* its reference is given back once the mutex is let go anyway */
    cf__task_context context;
    char name[32];

    (void)snprintf(name, sizeof name, "%s-%u", pool->name, self->number);
    cf__os_thread_name(name);
    cf__task_context_init(&context, &pool->base, NULL, 0);
    if (pool->options.on_start != NULL) {
        cf__current = &context;
        pool->options.on_start(pool->options.on_start_context);
    }
    /* From here on callbacks run with it, between the tasks: they belong to this pool's worker, too. */
    cf__current = &context;
    context.can_fail = false;

    cf__mutex_lock(&pool->mutex);
    while (!context.failed) {
        cf_future *future = pool->first;
        if (future != NULL) {
            pool->first = future->next;
            if (pool->first == NULL)
                pool->last = NULL;
            pool->queued--;
            self->runs = future;
            cf__mutex_unlock(&pool->mutex);

            if (ran != NULL)
                cf_future_release(ran);
            (void)cf_future_run(future); /* unless it was cancelled, or a waiting task has run it */
            ran = future;

            cf__mutex_lock(&pool->mutex);
            self->runs = NULL;
            pool->finished += !cf_future_cancelled(future);
            cf__thread_pool_settled(pool, 1);
        } else if (ran != NULL) {
            cf__mutex_unlock(&pool->mutex);
            cf_future_release(ran);
            ran = NULL;
            cf__mutex_lock(&pool->mutex);
        } else if (pool->quit) {
            break;
        } else {
            (void)cf__event_wait(&pool->work, &pool->mutex, CF_FOREVER);
        }
    }
    if (--pool->living == 0 && context.failed)
        cf__thread_pool_break(pool, context.message);
    if (pool->pending == 0)
        cf__event_wake_all(&pool->quiet);
    cf__mutex_unlock(&pool->mutex);
    return NULL;
}

/* Starts one more worker if there may be one more; the mutex is held.  Returns 0 or an errno. */
CF_API int
cf__thread_pool_start_worker(cf__thread_pool *pool)
{
    if (pool->started == pool->options.max_workers)
        return 0;
    cf__thread_worker *worker = &pool->workers[pool->started];
    worker->pool = pool;
    worker->runs = NULL;
    worker->number = pool->started;
    int error = cf__os_thread_start(&worker->thread, cf__thread_worker_main, worker, pool->options.stack_size);
    if (error == 0) {
        pool->started++;
        pool->living++;
    }
    return error;
}

CF_API cf_future *
cf__thread_pool_submit(cf_executor *base, const cf_task_type *type, const void *args, const cf_submit_opts *options)
{
    cf__thread_pool *pool = CF__POINTER_CAST(cf__thread_pool *, base);
    cf__task_context *current = cf__task_current();
    bool own_worker = current != NULL && current->executor == base;
    cf__sleeper *worker = NULL;
    cf_err refused = CF_OK;
    int start_error = 0;
    bool in_time = true;
    cf_future *future = cf_executor_new_task(base, type, args);
    if (future == NULL)
        return cf__future_static(CF_ERR_NOMEM);

    cf__mutex_lock(&pool->mutex);
    /* A worker never waits for room: it would wait for itself. */
    while (!pool->closed && !own_worker && pool->pending >= pool->options.max_pending && in_time)
        in_time = cf__event_wait(&pool->room, &pool->mutex, options->deadline);
    if (pool->closed) {
        refused = cf__load_relaxed(&base->error) != CF_OK ? CF_ERR_BROKEN : CF_ERR_SHUTDOWN;
    } else if (!own_worker && pool->pending >= pool->options.max_pending) {
        refused = CF_ERR_TIMEOUT;
    } else {
        worker = cf__event_take(&pool->work);
        if (worker == NULL)
            start_error = cf__thread_pool_start_worker(pool);
        if (pool->living == 0) {
            refused = CF_ERR_SYSTEM; /* not one thread to run it; the next submit tries again */
        } else {
            if (pool->last != NULL)
                pool->last->next = future;
            else
                pool->first = future;
            pool->last = future;
            pool->queued++;
            pool->pending++;
        }
    }
    cf__mutex_unlock(&pool->mutex);
    cf__sleeper_wake(worker);

    if (refused == CF_OK)
        return future;
    cf_future_release(future);
    cf_future_release(future);
    if (refused == CF_ERR_SYSTEM)
        return cf_future_new_failed(refused, "can't start a worker thread: errno %d", start_error);
    return cf__failed_submit(base, refused);
}

CF_API cf_err
cf__thread_pool_shutdown(cf_executor *base, cf_shutdown_mode mode, cf_time deadline, cf_shutdown_report *report)
{
    cf__thread_pool *pool = CF__POINTER_CAST(cf__thread_pool *, base);
    cf__task_context *current = cf__task_current();
    if (current != NULL && current->executor == base)
        return CF_ERR_INVALID; /* a worker would wait for itself */

    cf__mutex_lock(&pool->mutex);
    size_t finished_before = pool->finished;
    pool->closed = true;
    cf__event_wake_all(&pool->room);
    if (mode != CF_DRAIN) {
        size_t count;
        cf_future *list = cf__thread_pool_take_all(pool, &count);
        cf__mutex_unlock(&pool->mutex); /* callbacks run without it */
        cf_future *cancelled = NULL;
        while (list != NULL) {
            cf_future *future = list;
            list = future->next;
            future->next = cancelled;
            if (cf__future_withdraw(future)) {
                cancelled = future;
                report->cancelled++;
            } else {
                cf_future_release(future); /* the program has cancelled it, or a waiting task runs it */
            }
        }
        cf__thread_pool_call_back(cancelled);
        cf__mutex_lock(&pool->mutex);
        cf__thread_pool_settled(pool, count);
    }
    for (unsigned i = 0; mode == CF_KILL && i < pool->started; i++) {
        cf_future *future = pool->workers[i].runs;
        if (future == NULL)
            continue;
        (void)cf_future_retain(future);
        cf__mutex_unlock(&pool->mutex);
        /* Mostly it runs, and this raises its flag; one that its worker hasn't started yet is cancelled. */
        if (cf__future_withdraw(future)) {
            report->cancelled++;
            cf__future_run_callbacks(future);
        }
        cf_future_release(future);
        cf__mutex_lock(&pool->mutex);
    }

    bool in_time = true;
    while (pool->pending != 0 && in_time)
        in_time = cf__event_wait(&pool->quiet, &pool->mutex, deadline);
    report->finished = pool->finished - finished_before;
    report->left = pool->pending;
    cf_err error = pool->pending != 0 ? CF_ERR_TIMEOUT : CF_OK;
    if (error == CF_OK && !pool->joining) {
        pool->joining = pool->quit = true;
        cf__event_wake_all(&pool->work);
        cf__mutex_unlock(&pool->mutex);
        /* Nobody starts threads any more, and those there are have nothing to do but end. */
        for (unsigned i = 0; i < pool->started; i++)
            cf__os_thread_join(&pool->workers[i].thread);
        cf__mutex_lock(&pool->mutex);
        pool->joined = true;
        cf__event_wake_all(&pool->quiet);
    }
    while (error == CF_OK && !pool->joined)
        (void)cf__event_wait(&pool->quiet, &pool->mutex, CF_FOREVER); /* another call joins them right now */
    cf__mutex_unlock(&pool->mutex);
    return error;
}

CF_API void
cf__thread_pool_free(cf_executor *base, bool forked)
{
    cf__thread_pool *pool = CF__POINTER_CAST(cf__thread_pool *, base);
    /* In a forked child the mutex may be locked by a thread that isn't there, and the list half-written: leave
     * both. */
    if (!forked)
        cf__mutex_destroy(&pool->mutex);
    cf_executor_destroy(base);
    cf__os_free(pool->workers);
    cf__os_free(pool);
}

CF_API unsigned
cf__thread_pool_concurrency(cf_executor *base)
{
    return CF__POINTER_CAST(cf__thread_pool *, base)->options.max_workers;
}

/* A copy of the options with the defaults filled in. */
CF_API void
cf__thread_pool_resolve(cf_pool_opts *ours, const cf_pool_opts *theirs)
{
    cf__options_copy(ours, sizeof *ours, theirs);
    if (ours->max_workers == 0)
        ours->max_workers = CF__MIN(32u, cf_usable_cpus() + 4);
    if (ours->max_pending == 0)
        ours->max_pending = SIZE_MAX;
    if (ours->name == NULL)
        ours->name = "cf-thread";
}

CF_API cf_executor *
cf_thread_pool_with(const cf_pool_opts *options)
{
    static const cf_executor_ops ops = {sizeof(cf_executor_ops),
                                        "thread pool",
                                        cf__thread_pool_submit,
                                        cf__thread_pool_shutdown,
                                        cf__thread_pool_free,
                                        NULL,
                                        NULL,
                                        cf__thread_pool_concurrency,
                                        true};
    cf__thread_pool *pool = CF__STATIC_CAST(cf__thread_pool *, cf__os_alloc(sizeof *pool));
    if (pool == NULL)
        return cf_executor_new_failed(CF_ERR_NOMEM, "thread pool: out of memory");
    memset(CF__STATIC_CAST(void *, pool), 0, sizeof *pool);
    cf__thread_pool_resolve(&pool->options, options);
    pool->workers =
        CF__STATIC_CAST(cf__thread_worker *, cf__os_alloc(pool->options.max_workers * sizeof *pool->workers));
    if (pool->workers == NULL) {
        cf__os_free(pool);
        return cf_executor_new_failed(CF_ERR_NOMEM, "thread pool: out of memory");
    }
    cf_executor_init(&pool->base, &ops);
    (void)snprintf(pool->name, sizeof pool->name, "%s", pool->options.name);
    cf__mutex_init(&pool->mutex);
    cf__event_init(&pool->work);
    cf__event_init(&pool->room);
    cf__event_init(&pool->quiet);
    return &pool->base;
}

#endif
