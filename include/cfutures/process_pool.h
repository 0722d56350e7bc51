/* cfutures/process_pool.h - tasks on forked processes: for work that takes CPU time, or that may crash.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: executor.h, detail/process_future.h, detail/os_cpus.h.  Included by: cfutures.h.
 *
 * Python's ProcessPoolExecutor; but a worker that dies costs the task that it ran, and nothing else.
 *
 * HOW IT WORKS  Creation makes one template process, which forks the workers (detail/template.h, worker.h); tasks,
 *   arguments and results are in memory that all of them share (detail/arena.h, slot.h).  The parent has no thread
 *   of its own until the first callback: a waiter sleeps on its slot, and the worker that ends the task wakes it
 *   directly.
 * TASKS see the program as it was when the pool was made: its globals, its descriptors; what the program changes
 *   afterwards they don't see, nor it what they change.  Pointers among the arguments must point into memory from
 *   cf_executor_alloc(), or to something that was there before, and is only read.  A task whose function was loaded
 *   (dlopen) after the pool was made is refused.
 * TASKS THAT SUBMIT to the pool that runs them, by cf_current_executor() or by the pool's own handle (detail/nested.h): another
 *   worker runs that, and waiting for it never deadlocks, for up to 4 times max_workers processes stand in for those that
 *   wait; beyond that the wait runs the very task it waits for, in its own process, as a submit does with a task whose
 *   arguments and result don't fit into about 250 bytes, or that would be the 65th under way.  A limit of a task that is run so
 *   can only be asked for, as on threads.  A task isn't done before what it has submitted is.  Only the task's own thread may
 *   do so, and a future of that kind is this task's: CF_ERR_UNSUPPORTED elsewhere, and for callbacks and wait sets, for which
 *   a worker has no thread.  There, the pool can't be shut down or resized, and has no memory to give.
 * FUTURES outlive the pool.  A result larger than about 190 bytes stays in the shared memory until its future is
 *   released.
 * ORDER  Tasks start in the order of their submits, except that one whose worker died before it started goes to the
 *   front.
 * WHEN THINGS DIE
 *   a worker        its task's future gets CF_ERR_WORKER_LOST with signal or exit status; a result it had published
 *                   counts
 *   the template    every future settles with CF_ERR_BROKEN, the pool takes no more tasks
 *   the parent      template and workers are killed; see detail/template.h
 * LIMITS  A stopped template (SIGSTOP) replaces no workers.  A template that has ended is init's to reap: in a
 *   container whose process 1 doesn't, each pool leaves a zombie.  A program that is process 1 of a container, or a
 *   subreaper, adopts the template and may see its end in wait(-1) (detail/os_process.h).  At most 1024 workers. */
#ifndef CFUTURES_PROCESS_POOL_H
#define CFUTURES_PROCESS_POOL_H

#include "detail/os_cpus.h"
#include "detail/process_future.h"
#include "executor.h"

/** Make a process pool, with all its workers.
 *
 * options: NULL: defaults.  See cf_pool_opts.
 * Blocks:  until the first worker has been forked: below a millisecond for a small program; a fork takes longer the
 *          more memory the program uses (about 20 ms for a GiB).
 * Returns: owned, never NULL; end it by cf_executor_close().  What could fail is in cf_executor_error():
 *          CF_ERR_NOMEM, CF_ERR_SYSTEM (processes, descriptors), CF_ERR_UNSUPPORTED (Linux before 5.3; CF_USE_CONDVAR),
 *          CF_ERR_BROKEN (no worker gets through on_start; mostly it shows a little later),
 *          CF_ERR_INVALID (more than 1024 workers, or than 2^24 pending, or min_workers above max_workers). */
CF_API CF_NODISCARD cf_executor *cf_process_pool_with(const cf_pool_opts *options);

/** The same with options by name: cf_process_pool(.max_workers = 4), cf_process_pool().  In C++ from C++20 on
 *  cf_process_pool({.max_workers = 4}); before it, fill a struct and pass that: cf_process_pool(options). */
#ifdef __cplusplus
inline cf_executor *
cf_process_pool(const cf_pool_opts &options = cf_pool_opts())
{
    return cf_process_pool_with(&options);
}
#else
#define cf_process_pool(...) cf_process_pool_with(&(cf_pool_opts){.struct_size = sizeof(cf_pool_opts), __VA_ARGS__})
#endif

/** Have `workers` of them from now on: as many as are missing are started, the others leave when they have no task in
 *  hand.  No task is lost.
 *
 * Threads: any, also while tasks are submitted and run.  With an idle timeout, `workers` is the new max_workers.
 * Blocks:  no; the pool is of the new size some time later.
 * Returns: CF_OK; CF_ERR_INVALID (0, or more than 4 times max_workers, but 64 always will do; or not a process pool);
 *          what the executor has failed with; CF_ERR_FORKED. */
CF_API CF_NODISCARD cf_err cf_process_pool_resize(cf_executor *executor, unsigned workers);

/* ---- implementation ---- */

#if CF__BODIES && !CF__FUTEX

CF_API cf_err
cf_process_pool_resize(cf_executor *executor, unsigned workers)
{
    (void)workers;
    cf_err error = cf_executor_error(executor);
    return error != CF_OK ? error : CF_ERR_INVALID;
}

CF_API cf_executor *
cf_process_pool_with(const cf_pool_opts *options)
{
    (void)options;
    return cf_executor_new_failed(CF_ERR_UNSUPPORTED, "process pool: compiled without futexes");
}

#elif CF__BODIES

#define CF__PROCESS_SLOTS 4096u
#define CF__PROCESS_MEMORY (CF__STATIC_CAST(size_t, 1) << 30)
#ifndef CF__PROCESS_GRACE                     /* tests that cause much trouble have less patience */
#define CF__PROCESS_GRACE INT64_C(2000000000) /* for the template to end by itself, before it is killed */
#endif

/* ---- submit ---- */

CF__PRIVATE unsigned
cf__process_concurrency(cf_executor *base)
{
    const cf__arena_view *view = &CF__POINTER_CAST(cf__process_pool *, base)->setup.view;
    return CF__MIN(cf__load_relaxed(&view->arena->wanted), view->worker_count); /* relaxed: a guess */
}

/* A slot, and the blocks the task needs, for `future`; false if there is no room now.  The mutex is held. */
CF__PRIVATE bool
cf__process_take_room(cf__process_pool *pool, const cf_task_type *type, cf__placement place, cf__process_future *future)
{
    void *args = NULL, *result = NULL;
    if (pool->first_free == CF__NO_SLOT)
        return false;
    if (place.args_in_block)
        args = cf__heap_take(&pool->heap, type->args_size);
    if (place.result_in_block)
        result = cf__heap_take(&pool->heap, type->result_size);
    if ((place.args_in_block && args == NULL) || (place.result_in_block && result == NULL)) {
        if (args != NULL)
            cf__heap_give(&pool->heap, args);
        if (result != NULL)
            cf__heap_give(&pool->heap, result);
        return false;
    }
    future->index = cf__slots_take(pool, future);
    pool->shadows[future->index].args_block = args;
    pool->shadows[future->index].result_block = result;
    return true;
}

/* Waits until cf__process_take_room() succeeds.  The mutex is held, and let go meanwhile. */
CF__PRIVATE cf_err
cf__process_await_room(cf__process_pool *pool, const cf_task_type *type, cf__placement place,
                       cf__process_future *future, cf_time deadline)
{
    cf__arena *arena = pool->setup.view.arena;
    uint32_t patience = cf__process_concurrency(&pool->base) + 8, pressed = 0;
    cf__slice slice = CF__SLICE_NEW;
    bool in_time = true;

    while (!pool->closed && !cf__process_take_room(pool, type, place, future)) {
        if (pool->in_use == 0)
            return CF_ERR_NOMEM; /* results that the program keeps fill the memory: nothing to wait for */
        cf_future *list = cf__slots_harvest(pool, patience, NULL);
        bool sleep = list == NULL;
        if (sleep) {
            pressed = cf__arena_press(arena); /* who settles a slot from here on owes the wake [A3] */
            list = cf__slots_harvest(pool, UINT32_MAX, NULL);
            sleep = list == NULL;
        }
        if (sleep && !in_time)
            return CF_ERR_FULL;
        pool->short_of_room += sleep;
        cf__mutex_unlock(&pool->mutex);
        cf__slots_settle_list(list);
        if (sleep) {
            if (!cf__slots_sleep(pool, &arena->pressure, pressed, deadline, &slice))
                cf__slots_audit(pool, NULL, &slice);
            (void)cf__slots_template_ended(pool);
            in_time = !cf_passed(deadline);
        }
        cf__mutex_lock(&pool->mutex);
        pool->short_of_room -= sleep;
    }
    return pool->closed ? CF_ERR_SHUTDOWN : CF_OK;
}

CF__PRIVATE cf_future *
cf__process_submit(cf_executor *base, const cf_task_type *type, const void *args, const cf_submit_opts *options)
{
    cf__process_pool *pool = CF__POINTER_CAST(cf__process_pool *, base);
    const cf__arena_view *view = &pool->setup.view;
    cf__placement place = cf__slot_place(type);
    cf__limits limits = cf__limits_of(options);
    size_t limit = cf__heap_limit(&pool->heap);

    if ((place.args_in_block && type->args_size > limit) || (place.result_in_block && type->result_size > limit))
        return cf_future_new_failed(CF_ERR_TOO_BIG,
                                    "%.60s: %zu bytes of arguments and %zu of result: the pool's memory has %zu",
                                    type->name, type->args_size, type->result_size, limit);
    if (type->args_align > CF__HEAP_ALIGN || type->result_align > CF__HEAP_ALIGN)
        return cf_future_new_failed(CF_ERR_UNSUPPORTED, "%.60s: arguments or result are aligned to more than %d bytes",
                                    type->name, CF__HEAP_ALIGN);
    if (cf__slots_template_ended(pool)) {
        cf_err broken = cf_executor_error(base);
        return cf__failed_submit(base, broken != CF_OK ? broken : CF_ERR_SHUTDOWN);
    }
    cf__process_future *future =
        CF__POINTER_CAST(cf__process_future *, cf__future_alloc(sizeof(cf__process_future), 0, 1,
                                                                place.result_in_block ? 0 : type->result_size,
                                                                type->result_align, base->process));
    if (future == NULL)
        return cf__future_static(CF_ERR_NOMEM);
    memset(CF__POINTER_CAST(unsigned char *, future) + sizeof future->base, 0, sizeof *future - sizeof future->base);
    future->base.references = 2; /* the caller's and the pool's */
    future->base.type = type;
    future->base.executor = base;
    future->base.result_size = type->result_size;
    future->pool = pool;
    future->start_by = limits.start_by;

    cf__mutex_lock(&pool->mutex);
    cf_err error = cf__process_await_room(pool, type, place, future, options->deadline);
    if (error != CF_OK) {
        cf__mutex_unlock(&pool->mutex);
        cf__os_free(future); /* nobody has seen it */
        cf_err broken = cf_executor_error(base);
        return cf__failed_submit(base, broken != CF_OK ? broken : error);
    }
    cf__slot *slot = &view->slots[future->index];
    cf__shadow *shadow = &pool->shadows[future->index];
    future->generation = shadow->generation;
    shadow->retries = limits.retries;
    future->base.origin = cf__process_origin();
    (void)cf__fetch_add_relaxed(&pool->references, 1u); /* relaxed: the executor's own keeps it alive */
    cf__slot_fill(slot, type, args, shadow->args_block, shadow->result_block, &limits);
    cf__slot_publish_task(slot, future->generation);
    cf__arena_push_hint(view, &view->arena->parent_ring, view->parent_hints, future->index);
    cf__mutex_unlock(&pool->mutex);
    cf__arena_wake_one(view);
    return &future->base;
}

/* ---- shared memory for the program ---- */

CF__PRIVATE void *
cf__process_alloc(cf_executor *base, size_t size)
{
    cf__process_pool *pool = CF__POINTER_CAST(cf__process_pool *, base);
    cf__mutex_lock(&pool->mutex);
    void *memory = cf__heap_take(&pool->heap, size);
    if (memory == NULL) {
        cf_future *list = cf__slots_harvest(pool, UINT32_MAX, NULL); /* tasks that nobody waits for may hold some */
        cf__mutex_unlock(&pool->mutex);
        cf__slots_settle_list(list);
        cf__mutex_lock(&pool->mutex);
        memory = cf__heap_take(&pool->heap, size);
    }
    cf__mutex_unlock(&pool->mutex);
    return memory;
}

CF__PRIVATE void
cf__process_dealloc(cf_executor *base, void *memory)
{
    cf__process_pool *pool = CF__POINTER_CAST(cf__process_pool *, base);
    cf__mutex_lock(&pool->mutex);
    cf__heap_give(&pool->heap, memory);
    cf__slots_made_room(pool);
    cf__mutex_unlock(&pool->mutex);
}

/* ---- shutdown ---- */

/* Kills the template, which takes its workers with it. */
CF__PRIVATE void
cf__process_kill_template(cf__process_pool *pool)
{
    /* We may not if the program has changed its user since, or forbids itself such calls; but it ends by itself when
     * nobody can write into that pipe any more: not while a pool lives that was made later, for its template has a copy.  (A
     * pair of sockets could be shut down, but programs that forbid themselves sockets are more frequent.) */
    if (!cf__os_pidfd_signal(pool->template_pidfd, SIGKILL))
        cf__os_close(cf__exchange_acq_rel(&pool->setup.life_line[1], -1));
}

/* Tells the template to stop, in mode CF__ARENA_DRAINS or CF__ARENA_KILLS. */
CF__PRIVATE void
cf__process_stop(cf__process_pool *pool, uint32_t how)
{
    cf__store_seq_cst(&pool->setup.view.arena->stop, how); /* seq_cst: before the wakes, see cf__arena_wake_all() */
    cf__arena_wake_all(&pool->setup.view);
    /* Untold, it learns of it when a worker ends; of those that are busy none would. */
    if (!cf__arena_poke(&pool->setup.view) && how == CF__ARENA_KILLS)
        cf__process_kill_template(pool);
}

/* Ends the processes: nothing is in use any more.  Without the mutex, once. */
CF__PRIVATE void
cf__process_end(cf__process_pool *pool)
{
    int status;
    if (!pool->killing) /* not changed any more once `stopping` is set */
        cf__process_stop(pool, CF__ARENA_DRAINS);
    /* In pieces, of which a machine that stands still for a while takes one. */
    for (int i = 0; i < 20 && !cf__os_pidfd_ended(pool->template_pidfd, cf_after_ns(CF__PROCESS_GRACE / 20)); i++) {
    }
    if (!cf__os_pidfd_ended(pool->template_pidfd, 0)) {
        cf__process_kill_template(pool); /* stopped, or scribbled over */
        (void)cf__os_pidfd_ended(pool->template_pidfd, CF_FOREVER);
    }
    cf__os_bury(pool->template_process, &status); /* ours only if we are a subreaper */
    if (pool->collects) {
        cf__store_seq_cst(&pool->collector_quit, 1u);
        cf__store_seq_cst(&pool->setup.view.arena->collector, 0u);
        (void)cf__unpark_all(&pool->setup.view.arena->collector, CF__SCOPE_SHARED);
        (void)cf__unpark_all(&pool->collector_quit, CF__SCOPE_SHARED);
        cf__os_thread_join(&pool->collector);
    }
}

/* Whether a killing shutdown, whoever began it, has waited long enough for the template to kill: as long as that has a shield
 * to heed.  The mutex is held. */
CF__PRIVATE bool
cf__process_out_of_patience(const cf__process_pool *pool)
{
    int64_t patience = CF__PROCESS_GRACE;
    for (uint32_t index = pool->oldest; index != CF__NO_SLOT; index = pool->shadows[index].newer) {
        uint64_t word = cf__load_relaxed(&pool->setup.view.slots[index].word); /* relaxed: a guess; looked at again */
        if (cf__slot_state(word) == CF__SLOT_RUNNING && (word & CF__SLOT_SHIELD) != 0)
            patience = CF__SHIELD_MOST + CF__PROCESS_GRACE;
    }
    return pool->killing && cf_passed(pool->killing_since + patience);
}

/* Waits until no slot is in use, or `deadline`.  The mutex is held, and let go meanwhile. */
CF__PRIVATE void
cf__process_drain(cf__process_pool *pool, cf_time deadline)
{
    cf__arena *arena = pool->setup.view.arena;
    cf__slice slice = CF__SLICE_NEW;
    for (bool in_time = true; in_time || pool->in_use == 0;) {
        uint32_t pressed = cf__arena_press(arena); /* as above */
        cf_future *list = cf__slots_harvest(pool, UINT32_MAX, NULL);
        if (list == NULL && pool->in_use == 0)
            return;
        bool late = cf__process_out_of_patience(pool), sleep = list == NULL;
        pool->short_of_room += sleep; /* who collects a slot in our place wakes us, too */
        cf__mutex_unlock(&pool->mutex);
        if (sleep) {
            if (!cf__slots_sleep(pool, &arena->pressure, pressed, deadline, &slice))
                cf__slots_audit(pool, NULL, &slice);
            (void)cf__slots_template_ended(pool);
            in_time = !cf_passed(deadline);
        }
        cf__slots_settle_list(list);
        cf__mutex_lock(&pool->mutex);
        pool->short_of_room -= sleep;
        /* It doesn't kill: then its own death does.  After one more sleep, for the machine may have stood still. */
        if (sleep && late && cf__process_out_of_patience(pool))
            cf__process_kill_template(pool);
    }
}

CF__PRIVATE cf_err
cf__process_shutdown(cf_executor *base, cf_shutdown_mode mode, cf_time deadline, cf_shutdown_report *report)
{
    cf__process_pool *pool = CF__POINTER_CAST(cf__process_pool *, base);
    cf_future *cancelled = NULL;

    cf__mutex_lock(&pool->mutex);
    bool inside = pool->collects && cf__os_thread_is_self(&pool->collector); /* a callback */
    size_t finished = pool->finished, killed = pool->killed;
    pool->closed = true;
    cf__slots_made_room(pool); /* submitters that wait for it look again */
    if (mode != CF_DRAIN) {
        cancelled = cf__slots_harvest(pool, UINT32_MAX, cf__slots_withdraw_all(pool, NULL));
        for (cf_future *future = cancelled; future != NULL; future = future->next)
            report->cancelled += CF__POINTER_CAST(cf__process_future *, future)->settle_as == CF__CANCELLED;
    }
    if (mode == CF_KILL && !pool->killing && !pool->stopping) {
        pool->killing = true;
        pool->killing_since = cf__os_now();
        cf__process_stop(pool, CF__ARENA_KILLS);
    }
    cf__mutex_unlock(&pool->mutex);
    cf__slots_settle_list(cancelled);

    cf__mutex_lock(&pool->mutex);
    cf__process_drain(pool, inside ? CF_NOW : deadline);
    report->finished = pool->finished - finished;
    report->killed = pool->killed - killed;
    report->left = pool->in_use;
    cf_err error = pool->in_use != 0 ? CF_ERR_TIMEOUT : CF_OK;
    if (inside)
        error = deadline == CF_NOW ? CF_ERR_TIMEOUT : CF_ERR_DEADLOCK; /* the collector would wait for itself */
    if (error == CF_OK && !pool->stopping) {
        pool->stopping = true;
        cf__mutex_unlock(&pool->mutex);
        cf__process_end(pool);
        cf__mutex_lock(&pool->mutex);
        pool->stopped = true;
        cf__event_wake_all(&pool->quiet);
    }
    while (error == CF_OK && !pool->stopped)
        (void)cf__event_wait(&pool->quiet, &pool->mutex, CF_FOREVER); /* another call ends them right now */
    cf__mutex_unlock(&pool->mutex);
    return error;
}

CF__PRIVATE void
cf__process_free(cf_executor *base, bool forked)
{
    (void)forked; /* cf__process_pool_release() sees it */
    cf__process_pool_release(CF__POINTER_CAST(cf__process_pool *, base));
}

/* ---- creation ---- */

/* The shared memory: arena, then heap.  Less of it where the system won't give as much as asked for.  *file gets the
 * file it is of, if it's to be handed to `nursery`. */
CF__PRIVATE bool
cf__process_map(cf__process_pool *pool, cf__nursery *nursery, int *file, uint32_t workers, uint32_t least,
                uint32_t slots, size_t memory)
{
    cf__arena_view view;
    uint32_t records =
        CF__MIN(CF__MAX(workers * 4, 64u), CF__STATIC_CAST(uint32_t, CF__MAX_WORKERS)); /* to grow into */
    size_t arena = CF__ROUND_UP(cf__arena_layout(&view, NULL, records, slots), CF__STATIC_CAST(size_t, 4096));
    size_t heap = cf__heap_usable(memory);
    do {
        pool->memory_size = arena + heap;
        pool->memory = nursery != NULL ? nursery->place(nursery, pool->memory_size, file) : NULL;
        if (pool->memory == NULL)
            pool->memory = cf__os_map_shared(pool->memory_size);
        heap = pool->memory == NULL ? cf__heap_usable(heap / 2) : heap;
    } while (pool->memory == NULL && heap >= (CF__STATIC_CAST(size_t, 1) << 20));
    if (pool->memory == NULL)
        return false;
    (void)cf__arena_layout(&pool->setup.view, pool->memory, records, slots);
    pool->minimum = least;
    cf__slots_want(pool, workers, least, workers);
    cf__store_relaxed(&pool->setup.view.arena->high, 0u); /* relaxed: nobody is there yet */
    if (cf__heap_init(&pool->heap, CF__STATIC_CAST(unsigned char *, pool->memory) + arena, heap))
        return true;
    cf__os_unmap(pool->memory, pool->memory_size);
    return false;
}

/* Starts the template and waits until it has a worker.  Returns 0 or an errno; then the pipe is closed, and a template that
 * was started nevertheless ends by itself, and its workers with it. */
CF__PRIVATE int
cf__process_start_template(cf__process_pool *pool, cf__nursery *nursery, int file, size_t stack_size)
{
    cf__arena *arena = pool->setup.view.arena;
    int error = cf__os_pipe(pool->setup.life_line);
    if (error != 0)
        return error;
    pool->setup.parent_pidfd = cf__os_pidfd_open(cf__os_pid());
    error = pool->setup.parent_pidfd < 0 ? errno : 0;
    int asked = file < 0 || error != 0
                    ? ENOSYS
                    : nursery->start(nursery, &pool->setup, pool->memory, pool->memory_size, file, stack_size);
    if (asked == 0)
        pool->base.code = &nursery->code;
    else if (asked == ECONNRESET)
        error = ECONNRESET; /* there may be a template: another one must not use this memory */
    else if (error == 0)
        error = cf__os_fork_hidden(cf__template_main, &pool->setup, stack_size, pool->setup.life_line,
                                   &arena->template_process, &arena->template_error);
    cf__os_close(pool->setup.life_line[0]);
    cf__os_close(pool->setup.parent_pidfd);
    if (error == 0) {
        pool->template_process = arena->template_process; /* no task has run yet that could have written there */
        pool->template_pidfd = cf__os_pidfd_open(pool->template_process);
        /* If it's gone already, it has left its reason; else we can't watch it, and closing the pipe below ends
         * it. */
        if (pool->template_pidfd < 0)
            error = arena->template_error != 0 ? arena->template_error : errno;
        pool->setup.view.template_pidfd = pool->template_pidfd;
    }
    while (error == 0 && cf__load_acquire(&arena->ready) == 0) {
        /* The template owes the wake when it has a worker; if it ends before, we look at its process. */
        (void)cf__park(&arena->ready, 0, cf_after_ms(20), CF__SCOPE_SHARED);
        if (cf__load_acquire(&arena->ready) == 0 && cf__os_pidfd_ended(pool->template_pidfd, 0))
            error = arena->template_error != 0 ? arena->template_error : ECHILD;
    }
    if (error != 0) {
        cf__os_close(pool->template_pidfd);
        cf__os_close(pool->setup.life_line[1]);
    }
    return error;
}

CF__PRIVATE cf_err
cf__process_error(int error)
{
    return error == ENOSYS ? CF_ERR_UNSUPPORTED : error == ENOMEM ? CF_ERR_NOMEM : CF_ERR_SYSTEM;
}

/* The program's nursery, if it has all that a pool with such options needs. */
CF__PRIVATE cf__nursery *
cf__process_nursery(const cf_pool_opts *options)
{
    cf__nursery *nursery = cf__nursery_of_program();
    if (nursery != NULL && cf__code_has(&nursery->code, CF__POINTER_CAST(uintptr_t, options->on_start)) &&
        cf__code_has(&nursery->code, CF__POINTER_CAST(uintptr_t, options->on_stop)))
        return nursery;
    return NULL;
}

CF_API cf_executor *
cf_process_pool_with(const cf_pool_opts *options)
{
    static const cf_executor_ops ops = {sizeof(cf_executor_ops), "process pool",          cf__process_submit,
                                        cf__process_shutdown,    cf__process_free,        cf__process_alloc,
                                        cf__process_dealloc,     cf__process_concurrency, false};
    cf_pool_opts ours;
    cf__options_copy(&ours, sizeof ours, options);
    unsigned cpus = cf_usable_cpus();
    unsigned workers =
        ours.max_workers != 0 ? ours.max_workers : CF__MIN(cpus, CF__STATIC_CAST(unsigned, CF__MAX_WORKERS));
    size_t slots = ours.max_pending != 0 ? ours.max_pending : CF__PROCESS_SLOTS;
    int keep = errno, file = -1;
    cf__nursery *nursery = cf__process_nursery(&ours);

    if (workers > CF__MAX_WORKERS || slots > (1u << 24) || ours.min_workers > workers)
        return cf_executor_new_failed(
            CF_ERR_INVALID, "process pool: at most %d workers and %u tasks pending, and min_workers of max_workers",
            CF__MAX_WORKERS, 1u << 24);
    cf__process_pool *pool = CF__STATIC_CAST(cf__process_pool *, cf__os_alloc(sizeof *pool));
    cf__shadow *shadows = CF__STATIC_CAST(cf__shadow *, cf__os_alloc(slots * sizeof *shadows));
    if (pool != NULL)
        memset(CF__STATIC_CAST(void *, pool), 0, sizeof *pool);
    if (pool == NULL || shadows == NULL || !cf__code_record(&pool->code) ||
        !cf__process_map(pool, nursery, &file, workers,
                         ours.idle_timeout_ms == 0 ? workers : CF__MAX(ours.min_workers, 1u),
                         CF__STATIC_CAST(uint32_t, slots), ours.memory != 0 ? ours.memory : CF__PROCESS_MEMORY)) {
        if (pool != NULL)
            cf__os_free(pool->code.ranges);
        cf__os_close(file);
        cf__os_free(shadows);
        cf__os_free(pool);
        return cf_executor_new_failed(CF_ERR_NOMEM, "process pool: out of memory");
    }
    memset(CF__STATIC_CAST(void *, shadows), 0, slots * sizeof *shadows);
    for (size_t i = 0; i < slots; i++)
        shadows[i].newer = i + 1 < slots ? CF__STATIC_CAST(uint32_t, i + 1) : CF__NO_SLOT;
    pool->shadows = shadows;
    pool->oldest = pool->newest = CF__NO_SLOT;
    pool->references = 1;
    pool->audits = pool->waits_for_two = true;
    pool->template_pidfd = -1;
    pool->setup.life_line[0] = pool->setup.life_line[1] = -1;
    pool->setup.on_start = ours.on_start;
    pool->setup.on_stop = ours.on_stop;
    pool->setup.on_start_context = ours.on_start_context;
    pool->setup.spin = cpus > 1;
    pool->setup.pool = &pool->base;
    pool->setup.code = &pool->code;
    pool->setup.max_tasks = ours.max_tasks_per_worker;
    pool->setup.max_memory = ours.max_memory_per_worker;
    pool->setup.idle_timeout = ours.idle_timeout_ms != 0 ? cf__milliseconds(ours.idle_timeout_ms) : CF__NEVER;
    (void)snprintf(pool->setup.name, sizeof pool->setup.name, "%s", ours.name != NULL ? ours.name : "cf-process");
    cf__mutex_init(&pool->mutex);
    cf__event_init(&pool->quiet);
    cf_executor_init(&pool->base, &ops);
    pool->base.code = &pool->code;
    pool->base.when_full = ours.when_full;

    int error = cf__process_start_template(pool, nursery, file, ours.stack_size);
    cf__os_close(file);
    errno = keep;
    if (error == 0)
        return &pool->base;
    pool->template_pidfd = pool->setup.life_line[1] = -1;
    const char *why = pool->setup.view.arena->broken; /* it has ended so soon that we couldn't watch it */
    cf_executor *failed = why[0] != 0
                              ? cf_executor_new_failed(CF_ERR_BROKEN, "%.*s", CF__MESSAGE_SIZE - 1, why)
                              : cf_executor_new_failed(cf__process_error(error),
                                                       "process pool: can't start a worker process: errno %d", error);
    cf__process_pool_release(pool);
    return failed;
}

CF_API cf_err
cf_process_pool_resize(cf_executor *executor, unsigned workers)
{
    executor = cf__executor_here(executor); /* a task's own pool isn't its own to resize */
    cf_err error = cf_executor_error(executor);
    if (error != CF_OK)
        return error;
    if (strcmp(executor->ops->kind, "process pool") != 0) /* not by the table's address: each file has its own */
        return CF_ERR_INVALID;
    cf__process_pool *pool = CF__POINTER_CAST(cf__process_pool *, executor);
    const cf__arena_view *view = &pool->setup.view;
    if (workers == 0 || workers > view->worker_count)
        return CF_ERR_INVALID;
    bool elastic = pool->setup.idle_timeout != CF__NEVER;
    cf__mutex_lock(&pool->mutex);
    cf__slots_want(pool, workers, elastic ? CF__MIN(pool->minimum, workers) : workers, workers);
    cf__mutex_unlock(&pool->mutex);
    cf__arena_wake_all(view);   /* who isn't wanted any more leaves */
    (void)cf__arena_poke(view); /* and who is missing is started */
    return CF_OK;
}

#endif /* CF__BODIES */

#endif
