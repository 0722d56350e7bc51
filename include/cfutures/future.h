/* cfutures/future.h - one result that arrives once.
 * SPDX-License-Identifier: MIT
 * LAYER 3.  Includes: deadline.h, detail/future_record.h.  Included by: promise.h, wait.h, executor.h.
 *
 * Python's concurrent.futures.Future: result, done, cancel, add_done_callback; set_result and its kin make it a
 * promise.
 *
 * HOW IT WORKS  One allocation holds the record, the arguments and the room for the result.  The state is one word;
 *   who moves it on by a compare-and-swap owns the next step:
 *
 *       PENDING --start--> RUNNING --settle--> DONE | FAILED        no other transition exists
 *          |  \____________settle (promise)__________^
 *          +-----cancel----> CANCELLED
 *
 *     flags in the same word:  SETTLING  somebody runs the task or writes the outcome, and will settle it
 *                              WAITED    somebody may sleep on the word: settling owes a wake
 *                              STOP      cancel() came while it ran; cf_cancelled() shows it to the task
 *   There is one cancelled state, and it's final at once: a waiter never depends on a worker to notice it.
 *   A future whose truth is elsewhere (a process pool's slot) has an `origin`: it fetches the outcome and then
 *   settles this record, so that all that follows is the same for both.
 *
 * INVARIANTS
 *   F1  Exactly one caller settles: the one that moved PENDING or RUNNING to CANCELLED, or set SETTLING.
 *   F2  error, code, signal, status, message and *result are written before the word is settled, and never after.
 *   F3  Each callback runs exactly once: settling closes the list in one exchange and runs what was on it; who
 *       finds the list closed runs its own.  The list is a stack without a lock; from the first wait for several on it's
 *       a line with a mutex, off which a wait that ends early takes its entry, unless the settler has it already.
 *   F4  The word is settled, and waiters woken, with a reference held: a woken waiter may free its own at once.
 * ORDERING
 *   [F1] outcome -> reader          settle's release / load-acquire of state
 *   [F2] outcome -> late callback   closing's exchange (release) / the adder's load-acquire that finds it closed;
 *                                   or the line's mutex
 *   The last release's decrement is acquire-release, so that every use happens before the free.  The arguments are
 *   published with the future, by the executor's queue or whatever else hands it over.
 * WHO OWES THE WAKE  the settler, if WAITED is set in the word that its exchange returns; the sleeper sets WAITED
 *   and looks at the state in one CAS, so it is either seen or sees.  A completion that nobody waits for makes no
 *   system call.
 * TWO CALLS AT ONCE  everything, as long as the caller holds a reference.  add_done_callback and cancel may be
 *   called from callbacks.
 * FORK  A child that waits for a future of its parent's, or in a set of its (wait.h), gets CF_ERR_FORKED, for nobody there
 *   settles it; with CF_NOW as well.  Nor can it cancel one.
 * REJECTED  CPython's second cancelled state (cancelled and notified): root of several of its open hangs.  A mutex
 *   and a condition variable per future: 88 bytes and a lost wake-up. */
#ifndef CFUTURES_FUTURE_H
#define CFUTURES_FUTURE_H

#include "deadline.h"
#include "detail/future_record.h"

/** Called once, when a future has settled.  `future` is borrowed for the call. */
typedef void cf_done_callback(cf_future *future, void *context);

/* ---- reading a future ---- */

/** Wait until the task is done, and say how it went.
 *
 * Threads:  any number at once.
 * Blocks:   until the task is done or `deadline`; CF_NOW looks without blocking.  In a task on a thread pool, a
 *           task of the same pool that hasn't started is run by the call itself; while it blocks for another, the
 *           pool may start one more thread.
 * Ordering: what the task did happens before this returns.
 * Returns:  CF_OK (done), or what became of the task: CF_ERR_FAILED (see cf_future_code, cf_future_message),
 *           CF_ERR_CANCELLED, CF_ERR_TASK_EXITED (it ended its thread), CF_ERR_WORKER_LOST (see cf_future_signal),
 *           CF_ERR_TIME_LIMIT (see cf_future_account), CF_ERR_CORRUPT (a worker wrote over the task's place in shared
 *           memory), CF_ERR_BROKEN, or what submit failed with (no room until its deadline is CF_ERR_FULL);
 *           or what became of the wait: CF_ERR_TIMEOUT (the task goes on and can be awaited again), CF_ERR_FORKED (not
 *           done, and never will be here; if cf_future_done(), a submit in a forked child has failed with it),
 *           CF_ERR_DEADLOCK (tasks of one thread pool wait for each other in a circle, and no deadline ends it),
 *           CF_ERR_UNSUPPORTED (a task on a process pool has submitted it, and this is another thread than the task's). */
CF_API cf_err cf_future_wait(cf_future *future, cf_time deadline);

/** As cf_future_wait(), and copy the result to `*result`, which has `size` bytes; it is written only on CF_OK.
 *
 * Also returns: CF_ERR_TYPE (the result has another size; nothing is waited for).  cf_result() checks the type as
 *               well. */
CF_API CF_NODISCARD cf_err cf_future_get(cf_future *future, void *result, size_t size, cf_time deadline);

/** As cf_future_get() for a task of `type`: CF_ERR_TYPE unless the future's task has a result of the same type: of its
 *  size, and spelled as it, see CF_TASK(). */
CF_API CF_NODISCARD cf_err cf_future_result(cf_future *future, const cf_task_type *type, void *result,
                                            cf_time deadline);

/** The result in place: borrowed, valid as long as the caller's reference.  NULL unless it's done and well. */
CF_API const void *cf_future_peek(cf_future *future);

/** cf_future_wait(future, CF_NOW): CF_OK when done and well, CF_ERR_TIMEOUT while it isn't done (in a forked child
 *  CF_ERR_FORKED). */
CF_API cf_err cf_future_error(cf_future *future);

/** The code that the task gave to cf_fail(); 0 if it didn't, or isn't done. */
CF_API int cf_future_code(cf_future *future);

/** The signal that ended the worker process in the task; 0 if none did. */
CF_API int cf_future_signal(cf_future *future);

/** The exit status with which the task ended its worker process; 0 if it didn't. */
CF_API int cf_future_status(cf_future *future);

/** What happened, as a sentence: cf_fail()'s, or the library's.  Never NULL; borrowed, as long as the caller's reference. */
CF_API const char *cf_future_message(cf_future *future);

/** What is known of a task that was lost with its worker process, or ended for a limit (CF_ERR_WORKER_LOST,
 *  CF_ERR_TIME_LIMIT): signal, time, memory, its last note.
 *
 * Returns: borrowed, as long as the caller's reference; NULL when the task isn't done, never started (start_by), ended
 *          otherwise, or there was no memory for it. */
CF_API const cf_account *cf_future_account(cf_future *future);

/** Whether the task is done, failed or cancelled. */
CF_API bool cf_future_done(cf_future *future);

/** Whether the task was cancelled before it ran. */
CF_API bool cf_future_cancelled(cf_future *future);

/* ---- acting on a future ---- */

/** Cancel the task if it hasn't started; else ask it to stop, which cf_cancelled() tells the task.
 *
 * Returns: true when the task won't run: the future is cancelled for everybody, now and for good.
 *          false when it runs (it has been asked to stop) or is done (nothing changes); and in a forked child, for a
 *          future of its parent's that wasn't cancelled before the fork. */
CF_API bool cf_future_cancel(cf_future *future);

/** Have `callback(future, context)` called once, when the future settles.
 *
 * Runs in the thread that settles it: the worker thread that ran the task, the caller of cf_future_cancel(), a
 * process pool's collector thread; or at once in the caller, if the future has settled already.  Callbacks that
 * are there when it settles run in the order they were added; one that is added meanwhile may run beside them.
 * `context` is borrowed until the callback has returned.
 * Returns: CF_OK; CF_ERR_NOMEM, CF_ERR_SYSTEM (no thread to call it from), CF_ERR_UNSUPPORTED (likewise: a task on a process
 *          pool has submitted it), CF_ERR_FORKED: it won't be called. */
CF_API CF_NODISCARD cf_err cf_future_add_done_callback(cf_future *future, cf_done_callback *callback, void *context);

/** One more reference.  Returns `future`. */
CF_API cf_future *cf_future_retain(cf_future *future);

/** Give one reference back; the last one frees it.  The task goes on.  NULL: nothing. */
CF_API void cf_future_release(cf_future *future);

/* ---- implementation ---- */
#if CF__BODIES

typedef struct cf__done_callback { /* what the program has added */
    cf__callback node;
    cf_done_callback *call;
    void *context;
} cf__done_callback;

/* ---- settling ---- */

/* Sets SETTLING, if nobody has and the future isn't settled: the caller then owns the outcome (F1). */
CF__PRIVATE bool
cf__future_claim_outcome(cf_future *future)
{
    uint32_t state = cf__load_relaxed(&future->state);
    while (!cf__settled(state) && !(state & CF__SETTLING)) {
        /* relaxed: claims only; settling publishes [F1]. */
        if (cf__cas_relaxed(&future->state, &state, state | CF__SETTLING))
            return true;
    }
    return false;
}

/* Runs the callbacks that are left in `args`: should one end its thread, the others aren't lost with its stack. */
CF__PRIVATE void
cf__future_run_rest(cf_future *future)
{
    cf__callback *node;
    while ((node = CF__STATIC_CAST(cf__callback *, future->args)) != NULL) {
        future->args = node->next;
        node->run(node, future);
    }
}

CF__SLOW cf__callback *
cf__future_close_line(cf_future *future, cf__callback_line *line)
{
    cf__mutex_lock(&line->mutex);
    cf__callback *oldest = line->first;
    line->first = line->last = NULL;
    line->closed = true;
    cf__mutex_unlock(&line->mutex);
    /* Back again, for the last release frees it: ours, or a later one.  release [F2]: as the exchange that took it. */
    cf__store_release(&future->callbacks, cf__callbacks_word(line, CF__CALLBACKS_LINE | CF__CALLBACKS_CLOSED));
    return oldest;
}

/* Closes the list of callbacks and runs what was on it, oldest first (F3). */
CF__PRIVATE void
cf__future_run_callbacks(cf_future *future)
{
    /* release [F2]: a late adder that finds it closed sees the outcome; acquire: we see the nodes, or the line. */
    void *word = cf__exchange_acq_rel(&future->callbacks, cf__callbacks_word(NULL, CF__CALLBACKS_CLOSED));
    cf__callback_line *line = cf__callbacks_line(word);
    future->args = line != NULL ? cf__future_close_line(future, line) : cf__callbacks_reverse(word);
    cf__future_run_rest(future);
}

/* Moves the word to `state` and wakes who waits.  The caller owns the outcome, has written it, and holds a
 * reference until cf__future_run_callbacks() has returned, which it owes (F4).  Whoever settles several publishes
 * them all first: a callback of one may wait for another. */
CF__PRIVATE void
cf__future_publish(cf_future *future, uint32_t state)
{
    cf__data_write(&future->error, sizeof future->error);
    /* release [F1]: whoever reads a settled state also reads the outcome. */
    uint32_t before = cf__exchange_acq_rel(&future->state, state);
    if (before & CF__WAITED)
        cf__place_unpark_all(future, &future->state);
}

CF__PRIVATE void
cf__future_settle(cf_future *future, uint32_t state)
{
    cf__future_publish(future, state);
    cf__future_run_callbacks(future);
}

CF__PRIVATE void
cf__future_set_message(cf_future *future, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = size > 1 ? CF__STATIC_CAST(char *, cf__os_alloc(size)) : NULL;
    if (copy != NULL)
        memcpy(copy, text, size);
    future->message = copy; /* without memory cf_future_message() falls back on the error's own text */
}

/* Settles as failed; as cf__future_settle(). */
CF__PRIVATE void
cf__future_settle_failed(cf_future *future, cf_err error, int code, const char *message)
{
    future->error = CF__STATIC_CAST(int16_t, error);
    future->code = code;
    cf__future_set_message(future, message);
    cf__future_settle(future, CF__FAILED);
}

/* Cancels a pending future, or raises the flag of one that runs.  True when this call has cancelled it: then the
 * caller owes cf__future_run_callbacks(), as after cf__future_publish(). */
CF__PRIVATE bool
cf__future_withdraw(cf_future *future)
{
    uint32_t state = cf__load_acquire(&future->state);
    while (!cf__settled(state)) {
        bool runs = (state & CF__STATE_MASK) == CF__RUNNING || (state & CF__SETTLING);
        if (runs && (state & CF__STOP))
            return false;
        /* STOP keeps WAITED, so that settling still owes its wake.  CANCELLED is a settling of its own: release
         * [F1]. */
        if (!cf__cas_acq_rel(&future->state, &state, runs ? state | CF__STOP : CF__CANCELLED))
            continue;
        if (runs)
            return false;
        if (state & CF__WAITED)
            cf__place_unpark_all(future, &future->state);
        return true;
    }
    return false;
}

CF_API bool
cf_future_cancel(cf_future *future)
{
    if (future->origin != NULL)
        return future->origin->cancel(future);
    /* In a forked child it would only be the copy; relaxed: a guess that spares what's settled the look. */
    bool ours = cf__settled(cf__load_relaxed(&future->state)) || future->process == cf__os_pid();
    if (!ours || !cf__future_withdraw(future))
        return cf_future_cancelled(future);
    cf__future_run_callbacks(future);
    return true;
}

/* ---- running ---- */

/* Moves a pending future to `running`, which is RUNNING, with SETTLING or without. */
CF__PRIVATE bool
cf__future_start_as(cf_future *future, uint32_t running)
{
    uint32_t state = cf__load_relaxed(&future->state);
    while ((state & CF__STATE_MASK) == CF__PENDING && !(state & CF__SETTLING)) {
        /* relaxed: only claims.  The arguments came with the future, by whatever handed it to us. */
        if (cf__cas_relaxed(&future->state, &state, (state & ~CF__STATE_MASK) | running))
            return true;
    }
    return false;
}

CF__PRIVATE const cf__limits *
cf__future_limits(cf_future *future)
{
    return &CF__POINTER_CAST(cf__limited_future *, future)->limits;
}

CF__SLOW void
cf__future_settle_late(cf_future *future)
{
    cf__future_settle_failed(future, CF_ERR_TIME_LIMIT, 0, "the task wasn't started in time");
}

/* The task is about to run in this thread, under its limits; false: it's too late for that. */
CF__SLOW bool
cf__future_limit(cf_future *future, cf__task_context *context)
{
    const cf__limits *limits = cf__future_limits(future);
    context->started = cf__os_now();
    if (limits->start_by != 0 && context->started >= limits->start_by)
        return false;
    context->noted = 0;
    context->cpu_started = limits->cpu_ms != 0 ? cf__os_thread_cpu_time() : 0;
    context->limits = limits;
    return true;
}

/* Runs the task of a future that the caller has started with SETTLING, and settles it; not so if it is `alone`, its
 * caller's reference the only one: then nobody is left to be told. */
CF__PRIVATE void
cf__future_execute(cf_future *future, bool alone)
{
    cf__task_context context;
    cf__task_context_init(&context, &future->state, CF__STOP);
    context.executor = future->executor;
    if (future->limited && !cf__future_limit(future, &context)) {
        cf__future_settle_late(future);
        return;
    }
    future->type->run(future->args, future->result, &context);
    if (context.failed)
        cf__future_settle_failed(future, CF_ERR_FAILED, context.code, context.message);
    else if (!alone || cf__load_relaxed(&future->callbacks) != NULL) /* relaxed: nobody adds one any more */
        cf__future_settle(future, CF__DONE);
}

/* ---- waiting ---- */

#define CF__FUTURE_SPIN INT64_C(4000) /* nanoseconds: what a sleep and a wake cost at least */

/* Spins for up to some microseconds, if a worker that is awake may settle it: a sleep and a wake cost more.  Not on the
 * CPU that the worker needs, nor is it told to spin on ours.  (Neither knowing of the other, round trips took 12 us.) */
CF__PRIVATE void
cf__future_spin(const cf_future *future)
{
    uint32_t cpu = cf__os_cpu();
    cf__store_relaxed(&future->slab->waiter_cpu, cpu); /* relaxed, all: guesses at where to find each other */
    if (!future->spins || cf__load_relaxed(&future->slab->worker_cpu) == cpu)
        return;
    int64_t end = cf__os_now() + CF__FUTURE_SPIN;
    while (!cf__settled(cf__load_relaxed(&future->state)) && cf__os_now() < end) /* relaxed: the caller looks again */
        cf__cpu_relax();
}

/* Waits for the word itself; the record is the truth. */
CF__SLOW cf_err
cf__future_await_slow(cf_future *future, cf_time deadline)
{
    uint32_t state = cf__load_acquire(&future->state); /* acquire [F1] */
    if (deadline == CF_NOW)
        return cf__settled(state) ? CF_OK : CF_ERR_TIMEOUT;
    if (future->process != cf__os_pid())
        return CF_ERR_FORKED;
    if (future->slab != NULL && !cf__settled(state))
        cf__future_spin(future);
    while (!cf__settled(state)) {
        /* The settler owes the wake from here on.  acquire [F1] on failure: it may find the future settled. */
        if (!(state & CF__WAITED) && !cf__cas_acq_rel(&future->state, &state, state | CF__WAITED))
            continue;
        cf_time start_by = future->limited ? cf__future_limits(future)->start_by : 0;
        bool may_expire = start_by != 0 && start_by < deadline && (state & CF__STATE_MASK) == CF__PENDING;
        bool in_time = cf__place_park(future, &future->state, state | CF__WAITED, may_expire ? start_by : deadline);
        if (!in_time && may_expire && cf__future_start_as(future, CF__RUNNING | CF__SETTLING))
            cf__future_settle_late(future);       /* whoever comes to run it finds it settled */
        state = cf__load_acquire(&future->state); /* acquire [F1] */
        if (!in_time && !may_expire && !cf__settled(state))
            return CF_ERR_TIMEOUT;
    }
    return CF_OK;
}

/* CF_OK when the future is settled. */
CF__PRIVATE cf_err
cf__future_await(cf_future *future, cf_time deadline)
{
    if (cf__settled(cf__load_acquire(&future->state))) { /* acquire [F1] */
        cf__data_read(&future->error, sizeof future->error);
        return CF_OK;
    }
    cf__task_context *current = cf__task_current();
    cf__local_worker *worker = current != NULL && !cf_passed(deadline) ? current->worker : NULL;
    cf_time until = deadline;
    cf_err error;
    do {
        /* In a worker the pool has a say: every other worker may be waiting just as we are. */
        error = worker != NULL ? worker->ops->begin_wait(worker, future, deadline, &until) : CF_OK;
        if (error != CF_OK || (worker != NULL && until == CF_NOW))
            return error;
        /* A task on an executor that others wrote, which may have this one thread only: runs what is queued there. */
        if (worker == NULL && current != NULL && current->executor != NULL && current->executor == future->executor &&
            future->origin == NULL && !cf_passed(deadline) && cf__future_start_as(future, CF__RUNNING | CF__SETTLING)) {
            cf__future_execute(future, false);
            return CF_OK;
        }
        error = future->origin != NULL ? future->origin->await(future, until) : cf__future_await_slow(future, until);
        if (worker != NULL)
            worker->ops->end_wait(worker);
    } while (error == CF_ERR_TIMEOUT && until != deadline);
    return error;
}

/* What a look at a future that isn't settled is to say: CF_ERR_FORKED where it never will be.  Waits know that before they
 * sleep. */
CF__PRIVATE cf_err
cf__future_unsettled(const cf_future *future)
{
    return future->process == cf__os_pid() ? CF_ERR_TIMEOUT : CF_ERR_FORKED;
}

CF_API cf_err
cf_future_wait(cf_future *future, cf_time deadline)
{
    cf_err error = cf__future_await(future, deadline);
    if (error == CF_ERR_TIMEOUT && deadline == CF_NOW)
        return cf__future_unsettled(future);
    if (error != CF_OK)
        return error;
    return cf_future_cancelled(future) ? CF_ERR_CANCELLED : CF__STATIC_CAST(cf_err, future->error);
}

CF_API cf_err
cf_future_get(cf_future *future, void *result, size_t size, cf_time deadline)
{
    if (size != future->result_size && future->result_size != CF__ANY_SIZE)
        return CF_ERR_TYPE;
    cf_err error = cf_future_wait(future, deadline);
    if (error == CF_OK && size != 0)
        memcpy(result, future->result, size);
    return error;
}

CF_API cf_err
cf_future_result(cf_future *future, const cf_task_type *type, void *result, cf_time deadline)
{
    const cf_task_type *own = future->type;
    /* By name and size: each file that names a task has its own copy of the description. */
    if (own != NULL && own != type &&
        (own->result_size != type->result_size || strcmp(own->result_name, type->result_name) != 0))
        return CF_ERR_TYPE;
    return cf_future_get(future, result, type->result_size, deadline);
}

CF_API const void *
cf_future_peek(cf_future *future)
{
    return cf_future_wait(future, CF_NOW) == CF_OK ? future->result : NULL;
}

CF_API cf_err
cf_future_error(cf_future *future)
{
    return cf_future_wait(future, CF_NOW);
}

CF_API int
cf_future_code(cf_future *future)
{
    return cf_future_done(future) ? future->code : 0;
}

CF_API int
cf_future_signal(cf_future *future)
{
    return cf_future_done(future) ? future->signal : 0;
}

CF_API int
cf_future_status(cf_future *future)
{
    return cf_future_done(future) ? future->status : 0;
}

CF_API const char *
cf_future_message(cf_future *future)
{
    if (cf__future_await(future, CF_NOW) != CF_OK)
        return "the task isn't done";
    return future->message != NULL ? future->message : cf_strerror(cf_future_wait(future, CF_NOW));
}

CF_API const cf_account *
cf_future_account(cf_future *future)
{
    return cf_future_done(future) && future->origin != NULL ? future->origin->account(future) : NULL;
}

CF_API bool
cf_future_done(cf_future *future)
{
    return cf__future_await(future, CF_NOW) == CF_OK;
}

CF_API bool
cf_future_cancelled(cf_future *future)
{
    return (cf__load_acquire(&future->state) & CF__STATE_MASK) == CF__CANCELLED;
}

/* ---- callbacks ---- */

/* Adds `node` to the line, unless that is closed. */
CF__SLOW bool
cf__line_add(cf__callback_line *line, cf__callback *node)
{
    cf__mutex_lock(&line->mutex);
    bool closed = line->closed;
    if (!closed)
        cf__line_append(line, node);
    cf__mutex_unlock(&line->mutex);
    return !closed;
}

/* Puts `line` in place of the stack *top, and on it what was there, and then `node`.  False: *top is another one by now. */
CF__SLOW bool
cf__future_install_line(cf_future *future, cf__callback_line *line, void **top, cf__callback *node)
{
    cf__mutex_lock(&line->mutex); /* whoever finds the line waits until all are on it */
    /* release: the line; acquire: the nodes of the stack, and [F2], in case it's closed. */
    bool installed = cf__cas_acq_rel(&future->callbacks, top, cf__callbacks_word(line, CF__CALLBACKS_LINE));
    if (installed) {
        for (cf__callback *next, *older = cf__callbacks_reverse(*top); older != NULL; older = next) {
            next = older->next;
            cf__line_append(line, older);
        }
        cf__line_append(line, node);
    }
    cf__mutex_unlock(&line->mutex);
    return installed;
}

/* Has `node` on the list of a future that wasn't settled.  CF_OK and *late: it's closed. */
CF__PRIVATE cf_err
cf__future_enlist(cf_future *future, cf__callback *node, bool removable, bool *late)
{
    cf__callback_line *fresh = NULL, *line;
    bool added = false;
    void *top = cf__load_acquire(&future->callbacks); /* acquire [F2], in case it's closed; and the line */
    while (!added && (CF__POINTER_CAST(uintptr_t, top) & CF__CALLBACKS_CLOSED) == 0) {
        if ((line = cf__callbacks_line(top)) != NULL) {
            added = cf__line_add(line, node);
            break;
        }
        if (!removable) {
            node->next = CF__STATIC_CAST(cf__callback *, top);
            /* release: the settler reads the node; acquire [F2]. */
            added = cf__cas_acq_rel(&future->callbacks, &top, CF__STATIC_CAST(void *, node));
        } else if (fresh == NULL && (fresh = cf__line_new()) == NULL) {
            return CF_ERR_NOMEM;
        } else if (cf__future_install_line(future, fresh, &top, node)) {
            return CF_OK;
        }
    }
    cf__line_free(fresh);
    *late = !added;
    return CF_OK;
}

/* Has `node` run when the future settles; at once, in the caller, if it has.  After an error the node is the
 * caller's again.  Only a `removable` one may be taken off again. */
CF__PRIVATE cf_err
cf__future_add_entry(cf_future *future, cf__callback *node, bool removable)
{
    bool late = true;
    if (cf__future_await(future, CF_NOW) != CF_OK) {
        if (future->process != cf__os_pid())
            return CF_ERR_FORKED;
        cf_err error = future->origin != NULL ? future->origin->watch(future) : CF_OK;
        late = false;
        if (error == CF_OK)
            error = cf__future_enlist(future, node, removable, &late);
        if (error != CF_OK)
            return error;
    }
    if (late)
        node->run(node, future);
    return CF_OK;
}

CF__PRIVATE cf_err
cf__future_add_callback(cf_future *future, cf__callback *node)
{
    return cf__future_add_entry(future, node, false);
}

/* Takes a removable node off again, that hasn't run: it's the caller's then.  False: the settler has it, and runs it. */
CF__PRIVATE bool
cf__future_remove_callback(cf_future *future, cf__callback *node)
{
    /* acquire: the line.  While it's being closed there is none to be seen. */
    cf__callback_line *line = cf__callbacks_line(cf__load_acquire(&future->callbacks));
    if (line == NULL)
        return false;
    cf__mutex_lock(&line->mutex);
    bool there = !line->closed;
    if (there)
        cf__line_unlink(line, node);
    cf__mutex_unlock(&line->mutex);
    return there;
}

CF__PRIVATE void
cf__done_callback_run(cf__callback *node, cf_future *future)
{
    cf__done_callback *self = CF__POINTER_CAST(cf__done_callback *, node);
    cf__done_callback copy = *self;
    cf__os_free(self); /* first, for the call may end the thread */
    if (future != NULL)
        copy.call(future, copy.context);
}

CF_API cf_err
cf_future_add_done_callback(cf_future *future, cf_done_callback *callback, void *context)
{
    if (cf__future_await(future, CF_NOW) == CF_OK) {
        callback(future, context);
        return CF_OK;
    }
    cf__done_callback *self = CF__STATIC_CAST(cf__done_callback *, cf__os_alloc(sizeof *self));
    if (self == NULL)
        return CF_ERR_NOMEM;
    self->node.run = cf__done_callback_run;
    self->call = callback;
    self->context = context;
    cf_err error = cf__future_add_callback(future, &self->node);
    if (error != CF_OK)
        cf__os_free(self);
    return error;
}

/* ---- life ---- */

CF_API cf_future *
cf_future_retain(cf_future *future)
{
    /* relaxed: 0 only in the static ones, which never change; the caller's reference keeps others above 0. */
    if (cf__load_relaxed(&future->references) != 0)
        (void)cf__fetch_add_relaxed(&future->references, 1u); /* relaxed: the caller's own reference keeps it alive */
    return future;
}

/* Of a promise that was never settled; and the line, of whichever. */
CF__SLOW void
cf__future_drop_callbacks(void *word)
{
    cf__callback_line *line = cf__callbacks_line(word);
    cf__callback *node = line != NULL ? line->first : CF__STATIC_CAST(cf__callback *, word);
    while (node != NULL) {
        cf__callback *next = node->next;
        node->run(node, NULL);
        node = next;
    }
    cf__line_free(line);
}

CF_API void
cf_future_release(cf_future *future)
{
    if (future == NULL)
        return;
    /* acquire, acq_rel: what others did with the future happens before the free.  Who holds the only reference needn't
     * count it down, for nobody is left to take another: an atomic step less for each future. */
    uint32_t references = cf__load_acquire(&future->references);
    if (references == 0 || (references != 1 && cf__fetch_sub_acq_rel(&future->references, 1u) != 1))
        return; /* 0: a static one */
    if (future->origin != NULL)
        future->origin->forget(future);
    void *word = cf__load_relaxed(&future->callbacks); /* relaxed: nobody else is left */
    if (word != NULL && word != cf__callbacks_word(NULL, CF__CALLBACKS_CLOSED))
        cf__future_drop_callbacks(word);
    cf__place_destroy(future);
    cf__os_free(future->message);
    cf__slab *slab = future->slab;
    if (slab == NULL) {
        cf__os_free(future);
        return;
    }
    cf__task_context *current = cf__task_current();
    cf__local_worker *worker = current != NULL ? current->worker : NULL;
    if (worker != NULL && worker->slab == slab)
        cf__slab_cache_give(&worker->cache, slab, future);
    else
        cf__slab_give(slab, future);
}

#endif /* CF__BODIES */
#endif
