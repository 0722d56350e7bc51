/* cfutures/thread_pool.h - tasks on threads of this process: for work that waits, and for work that shares memory.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: executor.h, detail/scheduler.h, detail/os_cpus.h.  Included by: cfutures.h.
 *
 * Python's ThreadPoolExecutor.
 *
 * HOW IT WORKS  What is submitted from outside goes into lists under one mutex, first come, first served within a
 *   priority; what a task submits goes on its worker's own deque, newest first, and idle workers steal it.  Threads
 *   start as tasks come, while there are fewer than max_workers.  detail/scheduler.h has the search for work, sleep
 *   and wake, and waits inside tasks; this file has the pool's life: submit, the workers' main loop, shutdown.
 *
 * INVARIANTS (M: under the mutex)
 *   T1  A future that was submitted is in the injection, on a deque, or in a worker's hands, run or about to be put on
 *       its deque, with one reference of the pool's; injected + all pushed - all taken is how many.
 *   T2  With max_pending everything goes through the injection, and pending is that number.
 *   T3  Nothing is injected once `closed` is set; workers end when `quit` is set, and that is when nothing is left.
 * WHO OWES THE WAKE  scheduler.h for workers; a worker that ends a task: one submitter that waits for room; one that
 *   goes to sleep or ends as the last: those that shut down (quiet); shutdown: all submitters, then all workers.
 * A cancelled future stays where it is until a worker comes by, and counts as pending until then.
 * A TASK THAT ENDS ITS THREAD (pthread_exit, pthread_cancel) fails with CF_ERR_TASK_EXITED, and so do the tasks in
 *   whose waits it ran; another thread takes the worker's place.  It must have joined its children.
 * REJECTED  pthread condition variables: see detail/event.h.  Starting all threads at creation: a pool of 32 that
 *   runs two tasks would pay for 32.  malloc for each future: freed on another thread it costs 200 ns (slab.h). */
#ifndef CFUTURES_THREAD_POOL_H
#define CFUTURES_THREAD_POOL_H

#include "detail/os_cpus.h"
#include "detail/scheduler.h"
#include "executor.h"

/** Make a thread pool; threads start as tasks come.
 *
 * options: NULL: defaults.  See cf_pool_opts.
 * Returns: owned, never NULL; end it by cf_executor_close().  What could fail is in cf_executor_error():
 *          CF_ERR_NOMEM. */
CF_API CF_NODISCARD cf_executor *cf_thread_pool_with(const cf_pool_opts *options);

/** The same with options by name: cf_thread_pool(.max_workers = 20), cf_thread_pool().  In C++ from C++20 on
 *  cf_thread_pool({.max_workers = 20}); before it, fill a struct and pass that: cf_thread_pool(options). */
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

#if CF__BODIES

/* Runs the callbacks of a list of futures that have been settled, all of them before the first callback, and
 * releases them. */
CF__PRIVATE void
cf__thread_pool_call_back(cf_future *list)
{
    while (list != NULL) {
        cf_future *future = list;
        list = future->next;
        cf__future_run_callbacks(future);
        cf_future_release(future);
    }
}

/* Takes every future that is queued anywhere; the mutex is held.  They count as taken. */
CF__PRIVATE cf_future *
cf__thread_pool_take_all(cf__thread_pool *pool)
{
    cf_future *list = NULL, *future, *end;
    uint32_t high = cf__load_relaxed(&pool->high); /* relaxed: written under the mutex */
    size_t count = 0;
    for (uint32_t i = 0; i <= high; i++) { /* each worker's deque, then the injection */
        while ((future = i < high ? CF__STATIC_CAST(cf_future *, cf__deque_steal(&pool->workers[i]->futures))
                                  : cf__thread_pool_uninject(pool, false, &end)) != NULL) {
            future->next = list;
            list = future;
            count++;
        }
    }
    pool->injected -= count; /* modulo, as the sum of T1 */
    pool->pending -= pool->bounded ? count : 0;
    return list;
}

/* How many futures are queued or run (T1), not less than there are.  The mutex is held. */
CF__PRIVATE size_t
cf__thread_pool_left(const cf__thread_pool *pool, size_t *ran)
{
    size_t left = pool->injected;
    uint32_t high = cf__load_relaxed(&pool->high);
    *ran = 0;
    /* acquire: first all that were taken, then all that were pushed.  So none that was taken isn't counted as pushed, and
     * 0 means that for a moment there was none. */
    for (uint32_t i = 0; i < high; i++) {
        left -= cf__load_acquire(&pool->workers[i]->taken);
        *ran += cf__load_relaxed(&pool->workers[i]->ran);
    }
    for (uint32_t i = 0; i < high; i++)
        left += cf__load_relaxed(&pool->workers[i]->pushed);
    return left;
}

/* No thread will ever run what is queued: fails all of it, and the pool.  The mutex is held, and let go for the
 * callbacks. */
CF__SLOW void
cf__thread_pool_break(cf__thread_pool *pool, const char *message)
{
    cf__executor_break(&pool->base, CF_ERR_BROKEN, message);
    cf__store_relaxed(&pool->closed, 1u);
    cf__event_wake_all(&pool->room);
    cf_future *list = cf__thread_pool_take_all(pool), *settled = NULL;
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
    cf__event_wake_all(&pool->quiet);
}

/* ---- workers ---- */

/* A thread ends, its last act; it isn't counted as living any more.  `unfit`: why it never ran a task, nor would another in
 * its place; or NULL.  The mutex is held, and let go. */
CF__PRIVATE void
cf__thread_worker_leave(cf__thread_worker *self, const char *unfit)
{
    cf__thread_pool *pool = self->pool;
    cf__sleeper *sleeper = NULL;
    int error = 0;
    pool->limit -= unfit != NULL;
    if (unfit != NULL && pool->living == 0)
        cf__thread_pool_break(pool, unfit);
    cf__current = NULL; /* a destructor of the program's that runs after this is in no worker */
    cf__slab_cache_empty(&self->local.cache, pool->slab);
    pool->start_failed = false;
    (void)cf__thread_pool_account(pool, 0);
    if (!pool->quit && (pool->levels != 0 || cf__thread_pool_has_pushed(pool)))
        sleeper = cf__thread_pool_call_one(pool, false, &error);
    if (pool->living == 0 && error != 0)
        cf__thread_pool_break(pool, "the last worker thread has ended, and no other could be started");
    if (pool->idle == pool->living)
        cf__event_wake_all(&pool->quiet);
    self->ended = true; /* only now, or we might start our own successor, and join ourselves */
    cf__mutex_unlock(&pool->mutex);
    cf__sleeper_wake(sleeper);
}

/* A task has ended the thread that ran it. */
CF__SLOW void
cf__thread_worker_exited(void *argument)
{
    cf__thread_worker *self = CF__STATIC_CAST(cf__thread_worker *, argument);
    cf__thread_pool *pool = self->pool;
    cf_future *future;
    size_t popped = self->popped;
    cf__current = &self->context;
    while (cf__deque_pop(&self->local.children) != NULL) {
    }
    cf__child_abandon(&self->local);
    while ((future = self->local.running) != NULL) {
        self->local.running = future->within;
        if (cf__settled(cf__load_relaxed(&future->state))) /* a callback has ended the thread; relaxed: by ourselves */
            cf__future_run_rest(future);
        else
            cf__future_settle_failed(future, CF_ERR_TASK_EXITED, 0, "");
        cf_future_release(future); /* each was run with a reference of ours */
    }
    cf__mutex_lock(&pool->mutex);
    pool->living -= !self->leaving;
    self->popped = 0;
    cf__store_relaxed(&self->ran, self->ran + popped);
    cf__store_release(&self->taken, self->taken + popped); /* release: cf__thread_pool_left() */
    if (self->waits)
        pool->blocked--;
    self->waits = false;
    self->blocked_on = NULL;
    if (pool->bounded && popped != 0) {
        pool->pending--;
        cf__sleeper_wake(cf__event_take(&pool->room));
    }
    cf__thread_worker_leave(self, self->context.can_fail ? "on_start has ended its thread" : NULL);
}

CF__PRIVATE void
cf__thread_worker_loop(void *argument)
{
    cf__thread_worker *self = CF__STATIC_CAST(cf__thread_worker *, argument);
    cf__thread_pool *pool = self->pool;
    const cf_pool_opts *options = &pool->options;
    cf__work work;
    cf__task_context_init(&self->context, &pool->kill, 1);
    self->context.worker = &self->local;
    self->user = NULL;
    self->context.local = &self->user;
    self->stack = __builtin_frame_address(0);
    cf__current = &self->context;
    if (options->on_start != NULL)
        options->on_start(options->on_start_context);
    /* From here on callbacks run with it, between the tasks: they belong to this pool's worker, too. */
    self->context.can_fail = false;
    if (self->context.failed) {
        cf__mutex_lock(&pool->mutex);
        pool->living--;
        cf__thread_worker_leave(self, self->context.message);
        return;
    }
    cf__thread_worker_search(self); /* it was started because there is work; there may be more (K1) */
    while (cf__thread_worker_next(self, &work)) {
        if (work.child != NULL) {
            cf__child_run_stolen(work.child, &self->local, self->number);
            continue;
        }
        cf__thread_worker_run_queued(self, work.future);
        if (pool->bounded) {
            cf__mutex_lock(&pool->mutex);
            pool->pending--;
            /* Under the mutex, without which the submitter can't leave: to wake at where its record was does no harm, but
             * valgrind reports it. */
            cf__sleeper_wake(cf__event_take(&pool->room));
            cf__mutex_unlock(&pool->mutex);
        }
    }
    self->leaving = true;
    cf__mutex_unlock(&pool->mutex);
    if (options->on_stop != NULL)
        options->on_stop(options->on_start_context);
    cf__mutex_lock(&pool->mutex);
    cf__thread_worker_leave(self, NULL);
}

CF__PRIVATE void *
cf__thread_worker_main(void *argument)
{
    static const cf__local_worker_ops ops = {cf__thread_pool_wake, cf__thread_pool_begin_wait, cf__thread_pool_end_wait,
                                             cf__thread_pool_join, cf__thread_pool_joined};
    cf__thread_worker *self = CF__STATIC_CAST(cf__thread_worker *, argument);
    char name[32];
    self->local.ops = &ops;
    (void)snprintf(name, sizeof name, "%s-%u", self->pool->name, self->number - 1);
    cf__os_thread_name(name);
    cf__os_run_guarded(cf__thread_worker_loop, self, cf__thread_worker_exited);
    return NULL;
}

/* ---- submit ---- */

CF__PRIVATE cf_future *
cf__thread_pool_place(cf__thread_pool *pool, void *memory, const cf_task_type *type, const void *args)
{
    (void)cf__future_init(memory, sizeof(cf_future), type->args_size, type->args_align, type->result_size,
                          type->result_align, pool->base.process);
    cf_future *future = CF__STATIC_CAST(cf_future *, memory);
    future->references = 2; /* the caller's and the pool's */
    future->type = type;
    future->executor = &pool->base;
    future->spins = pool->spin;
    if (type->args_size != 0)
        memcpy(future->args, args, type->args_size);
    return future;
}

/* A task submits to the pool that runs it: on its worker's deque, without a lock.  NULL: the long way. */
CF__PRIVATE cf_future *
cf__thread_pool_push(cf__thread_pool *pool, cf__thread_worker *self, const cf_task_type *type, const void *args)
{
    if (cf__load_relaxed(&pool->closed) != 0) /* relaxed: a shutdown at the same time comes before or after */
        return NULL;
    void *cell = cf__slab_cache_take(&self->local.cache);
    if (cell == NULL) {
        cf__mutex_lock(&pool->mutex);
        for (int i = 0; i < CF__BATCH && (cell = cf__slab_take(pool->slab)) != NULL; i++)
            cf__slab_cache_give(&self->local.cache, pool->slab, cell);
        cf__mutex_unlock(&pool->mutex);
        cell = cf__slab_cache_take(&self->local.cache);
    }
    if (cell == NULL)
        return NULL;
    cf_future *future = cf__thread_pool_place(pool, cell, type, args);
    future->slab = pool->slab;
    /* relaxed: shutdown looks once this worker sleeps.  Before the push, after which a thief counts it as taken. */
    cf__store_relaxed(&self->pushed, self->pushed + 1);
    if (!cf__deque_push(&self->futures, future)) {
        cf__store_relaxed(&self->pushed, self->pushed - 1);
        cf__slab_cache_give(&self->local.cache, pool->slab, cell);
        return NULL;
    }
    cf__local_worker_pushed(&self->local);
    return future;
}

CF__PRIVATE cf_future *
cf__thread_pool_submit(cf_executor *base, const cf_task_type *type, const void *args, const cf_submit_opts *options)
{
    cf__thread_pool *pool = CF__POINTER_CAST(cf__thread_pool *, base);
    cf__task_context *current = cf__task_current();
    cf__thread_worker *self = NULL;
    if (current != NULL && current->worker != NULL && current->worker->slab == pool->slab)
        self = CF__POINTER_CAST(cf__thread_worker *, current->worker);
    size_t size = cf__future_init(NULL, sizeof(cf_future), type->args_size, type->args_align, type->result_size,
                                  type->result_align, 0);
    cf__limits limits = cf__limits_of(options);
    bool fits = size <= CF__SLAB_CELL && type->args_align <= CF__SLAB_ALIGN && type->result_align <= CF__SLAB_ALIGN &&
                !cf__limits_any(&limits);
    cf_future *future = NULL;
    if (self != NULL && fits && options->priority == 0 && !pool->bounded)
        future = cf__thread_pool_push(pool, self, type, args);
    if (future != NULL)
        return future;
    if (!fits) {
        future = cf_executor_new_task(base, type, args, options);
        if (future == NULL)
            return cf__future_static(CF_ERR_NOMEM);
    }

    cf__sleeper *next = NULL; /* whom to wake */
    cf_err refused = CF_OK;
    int start_error = 0;
    bool in_time = true, waits = self == NULL || base->when_full != CF_FULL_WAIT; /* or it would wait for itself */
    /* Workers hold it for a moment, but to be woken on an idle CPU takes 50 us, in which they eat up what is pending and
     * lie down (half of all time went there when a million tasks were submitted). */
    cf__mutex_lock_within(&pool->mutex, pool->spin ? CF__LOCK_SPIN : 0);
    while (!pool->closed && waits && pool->pending >= pool->options.max_pending && in_time)
        in_time = cf__event_wait(&pool->room, &pool->mutex, options->deadline);
    if (pool->closed) {
        refused = cf__load_relaxed(&base->error) != CF_OK ? CF_ERR_BROKEN : CF_ERR_SHUTDOWN;
    } else if (waits && pool->pending >= pool->options.max_pending) {
        refused = CF_ERR_FULL;
    } else {
        if (pool->start_failed) {
            pool->start_failed = false; /* try again */
            (void)cf__thread_pool_account(pool, 0);
        }
        bool first = pool->living == 0;
        if (first)
            start_error = cf__thread_pool_start_worker(pool);
        void *cell = NULL;
        if (pool->living == 0) {
            /* Not one thread to run it; the next submit tries again. */
            refused = start_error == ENOMEM ? CF_ERR_NOMEM : CF_ERR_SYSTEM;
        } else if (fits && (cell = cf__slab_take(pool->slab)) == NULL) {
            refused = CF_ERR_NOMEM;
        } else {
            if (fits) {
                future = cf__thread_pool_place(pool, cell, type, args);
                future->slab = pool->slab;
            }
            unsigned level = CF__DEFAULT_LEVEL + CF__STATIC_CAST(unsigned, options->priority); /* modulo */
            bool crowded = pool->levels != 0;
            cf__future_list_append(&pool->injection[level], future);
            /* seq_cst [K1]: a searcher that has just let go of the search looks here.  Where the bit is set already, that
             * happened under this mutex, before our look at demand: whoever is searching then, sees it. */
            if ((pool->levels & 1u << level) == 0)
                (void)cf__exchange_seq_cst(&pool->levels, pool->levels | 1u << level);
            pool->injected++;
            pool->pending += pool->bounded;
            if (!first)
                next = cf__thread_pool_call_one(pool, crowded, &start_error);
            future->spins = pool->spin && !first && next == NULL;
        }
    }
    /* Whoever woke us for room that we don't use after all relied on us to use it. */
    if (refused != CF_OK && pool->pending < pool->options.max_pending)
        next = cf__event_take(&pool->room);
    cf__mutex_unlock(&pool->mutex);
    cf__sleeper_wake(next);

    if (refused == CF_OK)
        return future;
    if (!fits) {
        cf_future_release(future);
        cf_future_release(future);
    }
    if (refused == CF_ERR_SYSTEM)
        return cf_future_new_failed(refused, "can't start a worker thread: errno %d", start_error);
    return cf__failed_submit(base, refused);
}

/* ---- shutdown ---- */

/* Cancels all that is queued.  The mutex is held, and let go meanwhile. */
CF__PRIVATE void
cf__thread_pool_cancel_all(cf__thread_pool *pool, cf_shutdown_report *report)
{
    cf_future *list = cf__thread_pool_take_all(pool), *cancelled = NULL;
    cf__mutex_unlock(&pool->mutex); /* callbacks run without it */
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
}

CF__PRIVATE cf_err
cf__thread_pool_shutdown(cf_executor *base, cf_shutdown_mode mode, cf_time deadline, cf_shutdown_report *report)
{
    cf__thread_pool *pool = CF__POINTER_CAST(cf__thread_pool *, base);
    cf__task_context *current = cf__task_current();
    bool inside = current != NULL && current->worker != NULL && current->worker->slab == pool->slab;
    size_t before, ran;

    cf__mutex_lock(&pool->mutex);
    (void)cf__thread_pool_left(pool, &before);
    cf__store_relaxed(&pool->closed, 1u); /* relaxed: read under the mutex, or by workers, as a hint */
    cf__event_wake_all(&pool->room);
    if (mode != CF_DRAIN)
        cf__thread_pool_cancel_all(pool, report);
    if (mode == CF_KILL)
        cf__store_relaxed(&pool->kill, 1u); /* relaxed: a request */

    /* A worker that sleeps has passed through the mutex, so its counts are true. */
    bool in_time = !inside;
    while ((report->left = cf__thread_pool_left(pool, &ran)) != 0 && in_time)
        in_time = cf__event_wait(&pool->quiet, &pool->mutex, deadline);
    report->finished = ran - before;
    cf_err error = report->left != 0 ? CF_ERR_TIMEOUT : CF_OK;
    if (inside)
        error = deadline == CF_NOW ? CF_ERR_TIMEOUT : CF_ERR_DEADLOCK; /* it would wait for itself */
    if (error == CF_OK && !pool->joining) {
        pool->joining = pool->quit = true;
        pool->idle = 0;
        (void)cf__thread_pool_account(pool, 0);
        cf__event_wake_all(&pool->work);
        uint32_t high = cf__load_relaxed(&pool->high);
        cf__mutex_unlock(&pool->mutex);
        /* Nobody starts threads any more, and those there are have nothing to do but end. */
        for (uint32_t i = 0; i < high; i++)
            if (pool->workers[i]->started)
                cf__os_thread_join(&pool->workers[i]->thread);
        cf__mutex_lock(&pool->mutex);
        pool->joined = true;
        cf__event_wake_all(&pool->quiet);
    }
    while (error == CF_OK && !pool->joined)
        (void)cf__event_wait(&pool->quiet, &pool->mutex, CF_FOREVER); /* another call joins them right now */
    cf__mutex_unlock(&pool->mutex);
    return error;
}

CF__PRIVATE void
cf__thread_pool_free(cf_executor *base, bool forked)
{
    cf__thread_pool *pool = CF__POINTER_CAST(cf__thread_pool *, base);
    uint32_t high = cf__load_relaxed(&pool->high);
    /* In a forked child the mutex may be locked by a thread that isn't there, and lists half-written: leave them. */
    if (!forked) {
        cf__mutex_destroy(&pool->mutex);
        cf__slab_close(pool->slab);
    }
    cf_executor_destroy(base);
    for (uint32_t i = 0; i < high; i++)
        cf__os_free(pool->workers[i]);
    cf__os_free(pool->workers);
    cf__os_free(pool);
}

CF__PRIVATE unsigned
cf__thread_pool_concurrency(cf_executor *base)
{
    return CF__POINTER_CAST(cf__thread_pool *, base)->options.max_workers;
}

/* A copy of the options with the defaults filled in. */
CF__PRIVATE void
cf__thread_pool_resolve(cf_pool_opts *ours, const cf_pool_opts *theirs)
{
    cf__options_copy(ours, sizeof *ours, theirs);
    if (ours->max_workers == 0)
        ours->max_workers = CF__MIN(32u, cf_usable_cpus() + 4);
    ours->max_workers = CF__MIN(ours->max_workers, CF__LIMIT_MOST);
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
    cf_pool_opts ours;
    cf__thread_pool_resolve(&ours, options);
    unsigned capacity = CF__MAX(ours.max_workers, CF__WORKERS_MOST);
    cf__thread_pool *pool = CF__STATIC_CAST(cf__thread_pool *, cf__os_alloc(sizeof *pool));
    cf__slab *slab = cf__slab_new();
    cf__thread_worker **workers =
        CF__STATIC_CAST(cf__thread_worker **, cf__os_alloc(capacity * sizeof(cf__thread_worker *)));
    if (pool == NULL || slab == NULL || workers == NULL) {
        cf__os_free(pool);
        cf__os_free(slab);
        cf__os_free(CF__STATIC_CAST(void *, workers));
        return cf_executor_new_failed(CF_ERR_NOMEM, "thread pool: out of memory");
    }
    memset(CF__STATIC_CAST(void *, pool), 0, sizeof *pool);
    pool->options = ours;
    pool->slab = slab;
    pool->workers = workers;
    pool->capacity = capacity;
    pool->worker_main = cf__thread_worker_main;
    pool->stack_size = cf__os_stack_size(ours.stack_size);
    pool->limit = ours.max_workers;
    pool->bounded = ours.max_pending != SIZE_MAX;
    pool->spin = cf_usable_cpus() > 1;
    cf_executor_init(&pool->base, &ops);
    pool->base.when_full = ours.when_full;
    (void)snprintf(pool->name, sizeof pool->name, "%s", ours.name);
    cf__mutex_init(&pool->mutex);
    cf__event_init(&pool->work);
    cf__event_init(&pool->room);
    cf__event_init(&pool->quiet);
    (void)cf__thread_pool_account(pool, 0);
    return &pool->base;
}

#endif /* CF__BODIES */

#endif
