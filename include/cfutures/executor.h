/* cfutures/executor.h - submit and shutdown, over whatever runs the tasks.
 * SPDX-License-Identifier: MIT
 * LAYER 4.  Includes: promise.h, detail/os_code.h.  Included by: detail/map_lazy.h, detail/map_round.h, the executors.
 *
 * HOW IT WORKS  An executor starts with a cf_executor: a table of operations, and the error it has died of.  The
 *   functions here check what every executor has to check (it never started, it is broken, this is a forked child),
 *   then ask the table. This is the long form, in bytes, for other languages and for executors that others write; C
 *   programs use the typed macros of task.h.
 *
 *       cf_submit(pool, fib, 30)  ->  cf_submit_bytes(pool, fib's description, arguments, options)  ->  table
 *
 * AN EXECUTOR OF YOUR OWN  puts a cf_executor first in its struct, fills a cf_executor_ops, and calls
 *   cf_executor_init(). Its submit gets the task's description and the argument bytes; cf_executor_new_task() makes
 *   the future, whose second reference is the executor's.  Run it where you like with cf_future_run(), or settle it
 *   from any thread with cf_future_set_result() or cf_future_set_error(); then release that reference.
 * NEVER NULL  A constructor that fails returns an executor that holds the cause; a submit that fails, a failed
 *   future.  So a program may check once, at the result.
 * FORK  Handles know their process: in a forked child every call returns CF_ERR_FORKED, and closing frees memory
 *   only. */
#ifndef CFUTURES_EXECUTOR_H
#define CFUTURES_EXECUTOR_H

#include "detail/os_code.h"
#include "promise.h"

typedef struct cf_executor cf_executor;

/** Options of one submit.  Zero in any field means its default. */
typedef struct cf_submit_opts {
    size_t struct_size CF__DEFAULT(sizeof(cf_submit_opts)); /* set by cf_options() */
    /* Until when to wait for room in an executor that has max_pending tasks, then CF_ERR_FULL; 0: as long as it takes. */
    cf_time deadline CF__DEFAULT(0);
    /* -8 to 7: pending tasks of a higher one start first; those of one priority in the order of their submits.  Processes:
     * all tasks in that order, whatever their priority. */
    int priority CF__DEFAULT(0);

    /* LIMITS  0: none.  A task that passes one gets its steps, in this order: it is asked to stop (cf_cancelled());
     * then it gets the signal that it has named by cf_stop_signal(); then its worker process and its group get SIGTERM,
     * then SIGKILL, and another worker takes its place.  Its future fails with CF_ERR_TIME_LIMIT, unless it ended by
     * itself before SIGTERM.  A step takes as long as its grace; without one, the next follows at once, and SIGTERM is
     * left out.  Tasks on threads can only be asked. */
    unsigned time_limit_ms CF__DEFAULT(0);  /* since it started */
    unsigned cpu_limit_ms CF__DEFAULT(0);   /* of CPU time, of all its threads (on threads: of its own only) */
    unsigned stall_limit_ms CF__DEFAULT(0); /* since it started, or its last cf_note() */
    unsigned stop_grace_ms CF__DEFAULT(0), signal_grace_ms CF__DEFAULT(0), term_grace_ms CF__DEFAULT(0);
    /* A deadline: a task that hasn't started by then never does, and fails with CF_ERR_TIME_LIMIT, at the latest when a
     * worker comes to it. */
    cf_time start_by CF__DEFAULT(0);
    /* Processes: bytes that the task may allocate on top of what its worker has; malloc() then fails.  Where that can't be
     * set the task isn't run: CF_ERR_FAILED, its code is the errno. */
    size_t memory_limit CF__DEFAULT(0);
    /* Processes: how often to run it again after it has ended its worker, or its worker has died in it: for tasks that
     * may be run twice.  Not after a limit.  At most 255. */
    unsigned retries CF__DEFAULT(0);
} cf_submit_opts;

/** What a submit does while max_pending tasks are pending. */
typedef enum cf_full_policy {
    CF_FULL_WAIT, /* waits for room until its deadline; a task's submit to the pool that runs it doesn't */
    CF_FULL_FAIL, /* returns at once a future that has failed with CF_ERR_FULL */
    CF_FULL_RUN   /* runs the task in the caller; a map on processes is then a task per item */
} cf_full_policy;

/** Options of a thread pool or a process pool; both take all, and ignore what means nothing to them.  Zero in any
 *  field means its default.  Copied; the caller may discard it on return. */
typedef struct cf_pool_opts {
    size_t struct_size CF__DEFAULT(sizeof(cf_pool_opts)); /* set by cf_thread_pool() and cf_process_pool() */
    /* Workers at most; 0: threads min(32, usable CPUs + 4), processes as many as usable CPUs.  More than 65535 threads are
     * taken for that many; more than 1024 processes are refused (CF_ERR_INVALID). */
    unsigned max_workers CF__DEFAULT(0);
    /* Name of the workers in ps and debuggers, cut to 10 bytes and followed by a number; NULL: "cf-thread",
     * "cf-process". */
    const char *name CF__DEFAULT(NULL);
    /* How many tasks may be pending or running; 0: no limit for threads, 4096 for processes. */
    size_t max_pending CF__DEFAULT(0);
    cf_full_policy when_full CF__DEFAULT(CF_FULL_WAIT); /* what a submit does then */
    /* Called once in each worker before its first task; NULL: nothing.  It may cf_fail(), or end its thread: that worker
     * then ends, and a pool that can get no worker is broken, with that message.  In a process it may change the user. */
    void (*on_start)(void *context) CF__DEFAULT(NULL);
    /* Called in each worker that on_start went well in, when it ends; NULL: nothing.  Not when it dies or is killed, nor
     * when a task ends its thread.  At the end of a pool of processes it has two seconds. */
    void (*on_stop)(void *context) CF__DEFAULT(NULL);
    void *on_start_context CF__DEFAULT(NULL); /* given to both; borrowed as long as the pool lives */
    size_t stack_size CF__DEFAULT(0);         /* bytes of a worker's stack; 0: the system's default */
    /* Processes: bytes of shared memory at most; 0: 1 GiB.  Unused memory costs nothing. */
    size_t memory CF__DEFAULT(0);

    /* Processes: a worker leaves, and another takes its place, after so many tasks; */
    unsigned max_tasks_per_worker CF__DEFAULT(0); /* 0: never */
    /* or after the task with which it has come to own so many bytes, looked at every 10 ms. */
    size_t max_memory_per_worker CF__DEFAULT(0); /* 0: no matter */
    /* Processes: a worker that had nothing to do for so long leaves, down to min_workers of them; when all are busy, a
     * submit calls another, up to max_workers. */
    unsigned idle_timeout_ms CF__DEFAULT(0); /* 0: they stay */
    unsigned min_workers CF__DEFAULT(0);     /* 0: 1 */
} cf_pool_opts;

/** What shutdown does with the tasks there are.  What a thread takes at that moment, up to 32 tasks, counts as started. */
typedef enum cf_shutdown_mode {
    CF_DRAIN,          /* run them all, pending ones too */
    CF_CANCEL_PENDING, /* cancel those that haven't started, let the others finish */
    CF_KILL            /* cancel those, and end the others: processes are killed, threads are asked by cf_cancelled() */
} cf_shutdown_mode;

/** What a shutdown did. */
typedef struct cf_shutdown_report {
    size_t finished;  /* tasks that ended by themselves during the call, well or not */
    size_t cancelled; /* tasks that were cancelled before they ran */
    size_t killed;    /* tasks that were ended with their worker process */
    size_t left;      /* tasks that still ran, or waited, at the deadline */
} cf_shutdown_report;

/** What an executor does; see the top of this file. */
typedef struct cf_executor_ops {
    size_t struct_size; /* sizeof(cf_executor_ops) */
    const char *kind;   /* "thread pool", for messages */
    /* Returns owned, never NULL; without room until the deadline one that has failed with CF_ERR_FULL.  `type` outlives
     * the task, `args` are borrowed for the call. */
    cf_future *(*submit)(cf_executor *, const cf_task_type *type, const void *args, const cf_submit_opts *);
    /* As cf_executor_shutdown(); may be called again, after a timeout too. */
    cf_err (*shutdown)(cf_executor *, cf_shutdown_mode, cf_time deadline, cf_shutdown_report *);
    /* Frees the executor, `base` included (cf_executor_destroy()).  After a shutdown that left nothing, or in a
     * forked child (`forked`), where only memory may be freed. */
    void (*free)(cf_executor *, bool forked);
    /* Memory that the tasks see at the same address; NULL in the table: plain memory. */
    void *(*alloc)(cf_executor *, size_t size);
    void (*dealloc)(cf_executor *, void *);
    /* How many tasks it can run at once, for maps; NULL: a map submits each item as a task of its own. */
    unsigned (*concurrency)(cf_executor *);
    bool shares_memory; /* tasks run in the process that submits them */
} cf_executor_ops;

struct cf_executor {                /* fields: I immutable, A atomic */
    const cf_executor_ops *ops;     /* I */
    uint32_t *fork_guard;           /* I: reads 0 in a forked child; NULL where the kernel can't do that */
    int32_t process;                /* I: who made it */
    cf_full_policy when_full;       /* I: what cf_submit_bytes() makes of CF_ERR_FULL */
    uint32_t error;                 /* A: cf_err: CF_OK, or what it has died of; set once */
    char message[CF__MESSAGE_SIZE]; /* written before error is */
    cf__code *code;                 /* I: what its workers can run; NULL: whatever the program has */
};

/* ---- using an executor ---- */

/** Submit a task: `type`'s function with the arguments at `args`, which are copied.
 *
 * Threads:  any number at once, also from tasks.
 * Blocks:   only while the executor has max_pending tasks, until options->deadline.  NULL: no options.
 * Ordering: what precedes this call happens before the task runs.
 * Returns:  owned, never NULL; end it by cf_future_release().  A submit that fails returns a future that has failed
 *           with CF_ERR_SHUTDOWN, CF_ERR_BROKEN, CF_ERR_FORKED, CF_ERR_NOMEM, CF_ERR_SYSTEM, CF_ERR_TOO_BIG,
 *           CF_ERR_UNSUPPORTED (on processes: aligned beyond 4096 bytes, or a function that was loaded after the
 *           pool was made), CF_ERR_FULL (no room until the deadline, or at all by policy),
 *           CF_ERR_INVALID (no executor, no such priority, so many retries), or what the executor's constructor
 *           failed with. */
CF_API CF_NODISCARD cf_future *cf_submit_bytes(cf_executor *executor, const cf_task_type *type, const void *args,
                                               const cf_submit_opts *options);

/** Submit a task that nobody waits for.  As cf_submit_bytes(), with the error as return value. */
CF_API cf_err cf_spawn_bytes(cf_executor *executor, const cf_task_type *type, const void *args,
                             const cf_submit_opts *options);

/** CF_OK, or why the executor couldn't start, or is broken. */
CF_API cf_err cf_executor_error(const cf_executor *executor);

/** What that was, as a sentence.  Never NULL; borrowed, valid as long as the executor. */
CF_API const char *cf_executor_message(const cf_executor *executor);

/** Take no more tasks, and deal with those there are.
 *
 * Blocks:   until none is left, or `deadline`; once none is left, until the workers are gone.
 * `report`: gets what was done, also after a timeout; NULL: not wanted.
 * Returns:  CF_OK: all tasks are settled, all workers gone; CF_ERR_TIMEOUT: report->left are left, call it again;
 *           CF_ERR_DEADLOCK: called with a deadline other than CF_NOW by a task or callback that the executor's own
 *           thread runs, which can't wait for itself; the rest has been done; CF_ERR_FORKED; CF_ERR_INVALID: no
 *           executor.  An executor that failed has nothing to shut down: CF_OK. */
CF_API CF_NODISCARD cf_err cf_executor_shutdown(cf_executor *executor, cf_shutdown_mode mode, cf_time deadline,
                                                cf_shutdown_report *report);

/** Shut down (draining, as long as it takes, unless it was shut down before) and free the executor.  Futures of it
 *  stay valid.  Not from a task or callback that the executor's own thread runs.  In a forked child: free the
 *  memory.
 *  NULL: nothing. */
CF_API void cf_executor_close(cf_executor *executor);

/** `size` bytes that the executor's tasks see at the same address: shared memory of a process pool, plain memory
 *  else.
 *
 * Returns: owned, aligned for any type, uninitialized; end it by cf_executor_free() before the executor is closed.
 *          NULL when there is no memory, or `executor` has failed. */
CF_API CF_NODISCARD void *cf_executor_alloc(cf_executor *executor, size_t size);

/** Free what cf_executor_alloc() returned.  NULL: nothing. */
CF_API void cf_executor_free(cf_executor *executor, void *memory);

/** The executor that runs the current task: for a task that submits to it.
 *
 * Returns: borrowed as long as the task runs, and neither to be shut down nor closed by it; NULL outside of a task.  On a
 *          process pool it's the worker's part in the pool, with limits of its own: see process_pool.h. */
CF_API cf_executor *cf_current_executor(void);

/* ---- writing an executor ---- */

/** Prepare the part that all executors share. */
CF_API void cf_executor_init(cf_executor *executor, const cf_executor_ops *ops);

/** End that part; for the table's `free`. */
CF_API void cf_executor_destroy(cf_executor *executor);

/** A future for a task of `type`, with a copy of the arguments at `args`, and the limits in `options` (NULL: none).  It
 *  has two references: the submitter's, to be returned from the table's submit, and the executor's.  NULL without
 *  memory. */
CF_API cf_future *cf_executor_new_task(const cf_executor *executor, const cf_task_type *type, const void *args,
                                       const cf_submit_opts *options);

/** An executor that couldn't start, with the cause.  Never NULL. */
CF_API cf_executor *cf_executor_new_failed(cf_err error, const char *format, ...) CF_PRINTF(2, 3);

/** Release at the end of the scope: cf_auto(cf_executor) pool = cf_thread_pool(); cf_auto(cf_future) f = ...
 *
 * Blocks:  an executor, until its tasks have run.  What they use in the same scope is declared before it: variables end in
 *          reverse order, so one that is declared after it is gone before its tasks are. */
CF_API void cf__auto_cf_executor(cf_executor **executor);
CF_API void cf__auto_cf_future(cf_future **future);
#define cf_auto(T) __attribute__((cleanup(cf__auto_##T), unused)) T *

/* ---- implementation ---- */

#if CF__BODIES

CF_API void
cf__auto_cf_executor(cf_executor **executor)
{
    cf_executor_close(*executor);
}

CF_API void
cf__auto_cf_future(cf_future **future)
{
    cf_future_release(*future);
}

/* What `executor` stands for here: itself, but in a task on a process pool that pool's own handle is the worker's part in it. */
CF__PRIVATE cf_executor *
cf__executor_here(cf_executor *executor)
{
    cf__task_context *current = cf__task_current();
    return current != NULL && current->host != NULL && executor != NULL
               ? CF__STATIC_CAST(cf_executor *, current->host->executor(current, executor))
               : executor;
}

CF_API cf_executor *
cf_current_executor(void)
{
    cf__task_context *current = cf__task_current();
    if (current == NULL)
        return NULL;
    /* A task's executor outlives it. */
    void *executor = cf__opaque(current->executor);
    return CF__STATIC_CAST(
        cf_executor *, executor == NULL && current->host != NULL ? current->host->executor(current, NULL) : executor);
}

CF__PRIVATE bool
cf__executor_forked(const cf_executor *executor)
{
    if (executor->fork_guard != NULL)
        return cf__load_relaxed(executor->fork_guard) == 0; /* relaxed: only a fork changes it */
    return executor->process != cf__os_pid();
}

/* What stands in the way of using `executor`. */
CF__PRIVATE cf_err
cf__executor_check(const cf_executor *executor)
{
    if (executor == NULL)
        return CF_ERR_INVALID;
    if (executor->process != 0 && cf__executor_forked(executor)) /* 0: the static one */
        return CF_ERR_FORKED;
    /* acquire: the message was written before the error. */
    return CF__STATIC_CAST(cf_err, cf__load_acquire(&executor->error));
}

/* Declares `executor` dead, unless it is.  The caller excludes a second call at the same time. */
CF__PRIVATE void
cf__executor_break(cf_executor *executor, cf_err error, const char *message)
{
    if (cf__load_relaxed(&executor->error) != CF_OK)
        return;
    (void)snprintf(executor->message, sizeof executor->message, "%s", message);
    /* release: cf__executor_check() and the message. */
    cf__store_release(&executor->error, CF__STATIC_CAST(uint32_t, error));
}

CF_API void
cf_executor_init(cf_executor *executor, const cf_executor_ops *ops)
{
    memset(executor, 0, sizeof *executor);
    executor->ops = ops;
    executor->process = cf__os_pid();
    executor->fork_guard = cf__os_fork_guard_new(); /* NULL: asked from the system each time */
    cf__task_context *current = cf__task_current();
    if (current != NULL && current->host != NULL)
        current->host->made(current, executor);
}

CF_API void
cf_executor_destroy(cf_executor *executor)
{
    cf__os_fork_guard_free(executor->fork_guard);
}

CF__PRIVATE cf__limits
cf__limits_of(const cf_submit_opts *options)
{
    cf__limits limits = {options->start_by,        options->memory_limit,   options->time_limit_ms,
                         options->cpu_limit_ms,    options->stall_limit_ms, options->stop_grace_ms,
                         options->signal_grace_ms, options->term_grace_ms,  options->retries};
    return limits;
}

CF_API cf_future *
cf_executor_new_task(const cf_executor *executor, const cf_task_type *type, const void *args,
                     const cf_submit_opts *options)
{
    cf_submit_opts ours;
    cf__options_copy(&ours, sizeof ours, options);
    cf__limits limits = cf__limits_of(&ours);
    cf_future *future = cf__future_new_task(type, args, executor, executor->process, &limits);
    if (future != NULL)
        future->references = 2;
    return future;
}

CF__PRIVATE cf_future *
cf__failed_submit(const cf_executor *executor, cf_err error)
{
    if (executor != NULL && cf_executor_error(executor) == error)
        return cf_future_new_failed(error, "%s", cf_executor_message(executor));
    return cf__future_static(error);
}

/* Whether its workers have the code of such a task; see detail/os_code.h. */
CF__PRIVATE bool
cf__executor_has_code(const cf_executor *executor, const cf_task_type *type)
{
    return executor->code == NULL || cf__code_has(executor->code, CF__POINTER_CAST(uintptr_t, type->run));
}

/* How many tasks it can run at once; 0: it doesn't say. */
CF__PRIVATE unsigned
cf__executor_concurrency(cf_executor *executor)
{
    const cf_executor_ops *ops = executor->ops; /* a table of an older program may be shorter */
    bool says = ops->struct_size >= sizeof *ops && ops->concurrency != NULL;
    return says ? CF__MAX(ops->concurrency(executor), 1u) : 0;
}

/* ---- an executor that has failed ---- */

CF__PRIVATE cf_future *
cf__failed_executor_submit(cf_executor *executor, const cf_task_type *type, const void *args,
                           const cf_submit_opts *options)
{
    (void)type;
    (void)args;
    (void)options;
    return cf__failed_submit(executor, cf_executor_error(executor));
}

CF__PRIVATE cf_err
cf__failed_executor_shutdown(cf_executor *executor, cf_shutdown_mode mode, cf_time deadline, cf_shutdown_report *report)
{
    (void)executor;
    (void)mode;
    (void)deadline;
    (void)report;
    return CF_OK;
}

CF__PRIVATE void
cf__failed_executor_free(cf_executor *executor, bool forked)
{
    (void)forked;
    if (executor->process != 0) /* else a static one */
        cf__os_free(executor);
}

/* For when there is no memory for a real one; never written, as it has an error from the start. */
CF__PRIVATE const cf_executor *
cf__failed_executor_static(void)
{
    static const cf_executor_ops ops = {sizeof(cf_executor_ops),
                                        "failed executor",
                                        cf__failed_executor_submit,
                                        cf__failed_executor_shutdown,
                                        cf__failed_executor_free,
                                        NULL,
                                        NULL,
                                        NULL,
                                        false};
    static const cf_executor executor = {&ops, NULL, 0, CF_FULL_WAIT, CF_ERR_NOMEM, "out of memory", NULL};
    return &executor;
}

CF_API cf_executor *
cf_executor_new_failed(cf_err error, const char *format, ...)
{
    va_list arguments;
    const cf_executor *no_memory = cf__failed_executor_static();
    cf_executor *executor = CF__STATIC_CAST(cf_executor *, cf__os_alloc(sizeof *executor));
    if (executor == NULL)
        return CF__STATIC_CAST(cf_executor *, cf__opaque(no_memory));
    *executor = *no_memory;
    executor->process = cf__os_pid();
    executor->error = CF__STATIC_CAST(uint32_t, error);
    va_start(arguments, format);
    (void)vsnprintf(executor->message, sizeof executor->message, format, arguments);
    va_end(arguments);
    return executor;
}

/* ---- the calls ---- */

CF_API cf_future *
cf_submit_bytes(cf_executor *executor, const cf_task_type *type, const void *args, const cf_submit_opts *options)
{
    cf_submit_opts ours;
    executor = cf__executor_here(executor);
    cf_err error = cf__executor_check(executor);
    if (error != CF_OK)
        return cf__failed_submit(executor, error);
    cf__options_copy(&ours, sizeof ours, options);
    if (ours.deadline == 0)
        ours.deadline = CF_FOREVER;
    if (ours.priority < -8 || ours.priority > 7)
        return cf_future_new_failed(CF_ERR_INVALID, "priority %d: from -8 to 7", ours.priority);
    if (ours.retries > 255)
        return cf_future_new_failed(CF_ERR_INVALID, "retries %u: at most 255", ours.retries);
    if (!cf__executor_has_code(executor, type))
        return cf_future_new_failed(CF_ERR_UNSUPPORTED,
                                    "%.60s: was loaded (dlopen) after the pool was made, so its workers don't have it",
                                    type->name);
    if (executor->when_full != CF_FULL_WAIT)
        ours.deadline = CF_NOW;
    cf_future *future = executor->ops->submit(executor, type, args, &ours);
    /* A future without a task is one that submit has failed with. */
    if (executor->when_full != CF_FULL_RUN || future->type != NULL || future->error != CF_ERR_FULL)
        return future;
    cf_future_release(future);
    cf__limits limits = cf__limits_of(&ours);
    future = cf__future_new_task(type, args, executor, executor->process, &limits);
    if (future == NULL)
        return cf__future_static(CF_ERR_NOMEM);
    (void)cf_future_run(future);
    return future;
}

CF_API cf_err
cf_spawn_bytes(cf_executor *executor, const cf_task_type *type, const void *args, const cf_submit_opts *options)
{
    cf_future *future = cf_submit_bytes(executor, type, args, options);
    /* A future without a task is one that submit has failed with. */
    cf_err error = future->type == NULL ? CF__STATIC_CAST(cf_err, future->error) : CF_OK;
    cf_future_release(future);
    return error;
}

CF_API cf_err
cf_executor_error(const cf_executor *executor)
{
    return cf__executor_check(cf__executor_here(CF__STATIC_CAST(cf_executor *, cf__opaque(executor))));
}

CF_API const char *
cf_executor_message(const cf_executor *executor)
{
    executor = cf__executor_here(CF__STATIC_CAST(cf_executor *, cf__opaque(executor)));
    cf_err error = cf__executor_check(executor);
    return executor != NULL && error != CF_OK && executor->message[0] != 0 ? executor->message : cf_strerror(error);
}

CF_API cf_err
cf_executor_shutdown(cf_executor *executor, cf_shutdown_mode mode, cf_time deadline, cf_shutdown_report *report)
{
    cf_shutdown_report unwanted;
    if (report == NULL)
        report = &unwanted;
    memset(report, 0, sizeof *report);
    executor = cf__executor_here(executor);
    if (executor == NULL)
        return CF_ERR_INVALID;
    if (cf__executor_check(executor) == CF_ERR_FORKED)
        return CF_ERR_FORKED;
    return executor->ops->shutdown(executor, mode, deadline, report);
}

CF_API void
cf_executor_close(cf_executor *executor)
{
    if (executor == NULL || cf__executor_here(executor) != executor)
        return;
    bool forked = cf__executor_check(executor) == CF_ERR_FORKED;
    if (!forked) {
        cf_shutdown_report report;
        cf_err error;
        do {
            memset(&report, 0, sizeof report);
            error = executor->ops->shutdown(executor, CF_DRAIN, CF_FOREVER, &report);
        } while (error == CF_ERR_TIMEOUT);
        CF_ASSERT(error == CF_OK);
    }
    executor->ops->free(executor, forked);
}

CF_API void *
cf_executor_alloc(cf_executor *executor, size_t size)
{
    executor = cf__executor_here(executor);
    if (cf__executor_check(executor) != CF_OK)
        return NULL;
    if (executor->ops->alloc == NULL)
        return cf__os_alloc(size != 0 ? size : 1);
    return executor->ops->alloc(executor, size != 0 ? size : 1);
}

CF_API void
cf_executor_free(cf_executor *executor, void *memory)
{
    if (memory == NULL)
        return;
    CF_ASSERT(executor != NULL);
    executor = cf__executor_here(executor);
    if (executor->ops->dealloc == NULL)
        cf__os_free(memory);
    else if (!cf__executor_forked(executor))
        executor->ops->dealloc(executor, memory);
}

#endif /* CF__BODIES */

#endif
