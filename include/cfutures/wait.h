/* cfutures/wait.h - waiting for many futures: for all, for the first, for the first that fails, for k of n, one
 * after the other. SPDX-License-Identifier: MIT
 * LAYER 3.  Includes: future.h, detail/event.h.  Included by: cfutures.h.
 *
 * Python's concurrent.futures.wait() and as_completed(); and a set that stays, as asyncio's or an event loop's.
 * Futures of different executors mix.
 *
 * HOW IT WORKS  A wait set is a list of what has completed, under a mutex, and a line of sleepers.  Adding a future
 *   puts an entry on its list of callbacks; when it settles, the entry moves to the set's list and wakes one
 *   sleeper.  So a completion costs the same whatever number of futures is waited for, and nobody looks at those
 *   that aren't done.  A set that is freed takes its entries off the futures that are still pending: waiting for them
 *   a thousand times leaves nothing behind.
 *
 *       add:     entry -> the future's callbacks                outstanding + 1
 *       settle:  lock; entry -> ready list; take a sleeper; unlock; wake it
 *       next:    lock; ready list empty? sleep; take the oldest; unlock           outstanding - 1
 *
 * INVARIANTS (all under the set's mutex)
 *   W1  outstanding = entries on callback lists (the pending list) + entries on the ready list.
 *   W2  Each entry holds a reference of the set, until it is taken from the ready list, or off its future when the set
 *       is freed.  One that a settler has by then can't be taken: it finds the set freed, and ends itself.
 *   A set's mutex may be held while a future's line (future.h F3) is locked; never the other way round.
 * WHO OWES THE WAKE  the thread that settles a future: one sleeper, for its one entry; the one that takes the last
 *   outstanding entry: all, for they would wait for nothing.
 * THE FUTURES are borrowed: the caller keeps its references until the set has returned them, or is freed.
 * REJECTED  Setting a bit in every future and scanning them at each wake: n looks for each of n completions. */
#ifndef CFUTURES_WAIT_H
#define CFUTURES_WAIT_H

#include "detail/event.h"
#include "future.h"

/** What cf_wait() waits for. */
typedef enum cf_wait_mode {
    CF_ALL_COMPLETED,   /* all of them */
    CF_FIRST_COMPLETED, /* any one */
    CF_FIRST_FAILED     /* any one that failed or was cancelled; or all of them */
} cf_wait_mode;

/** Wait for several futures.
 *
 * Ownership: borrows `futures`.  One may stand there twice, and counts twice.
 * Threads:   any number, at once with anything else that is done to the futures.
 * Blocks:    until what `mode` says holds, or `deadline`.  Like cf_future_wait() it runs queued tasks of the own
 *            pool when called in a worker, but only for CF_ALL_COMPLETED; else the pool may start one more thread.
 * Returns:   CF_OK (also for no futures at all); CF_ERR_TIMEOUT; CF_ERR_FORKED.  For CF_ALL_COMPLETED also
 *            CF_ERR_DEADLOCK and CF_ERR_UNSUPPORTED, as cf_future_wait().  For the others, if they can't return at once:
 *            CF_ERR_NOMEM, CF_ERR_SYSTEM (a process pool can't start its collector thread), CF_ERR_UNSUPPORTED (a task
 *            on a process pool has submitted one of them), CF_ERR_DEADLOCK (as cf_wait_set_next()).  How each future
 *            ended is asked of itself. */
CF_API CF_NODISCARD cf_err cf_wait(cf_future *const *futures, size_t count, cf_wait_mode mode, cf_time deadline);

/** Wait until `enough` of the futures have completed, well or not.  As cf_wait() for CF_FIRST_COMPLETED; CF_ERR_INVALID when
 *  enough > count. */
CF_API CF_NODISCARD cf_err cf_wait_for(cf_future *const *futures, size_t count, size_t enough, cf_time deadline);

/** For each future in the order in which they complete: CF_AS_COMPLETED (i, futures, count, deadline) { ...
 *  futures[i] ... }
 *
 * `i` is declared by the loop, a size_t: the index of one that is done.  Ends when all have been seen, or at
 * `deadline`, or where cf_wait() for the first would return another error; break, return and goto out of it are safe.
 * Those it didn't see may be asked with cf_future_done().  Borrows the futures until the loop ends. */
#define CF_AS_COMPLETED(i, futures, count, deadline)                                                                   \
    for (cf_completion cf_completion_##i                                                                               \
         __attribute__((cleanup(cf__completion_end))) = cf__completion_begin(futures, count, deadline);                \
         !cf_completion_##i.leave && cf__completion_next(&cf_completion_##i);)                                         \
        for (CF__UNUSED size_t i = (cf_completion_##i.leave = true, cf_completion_##i.index); cf_completion_##i.leave; \
             cf_completion_##i.leave = false)

typedef struct cf_completion { /* private to the loop */
    struct cf_wait_set *set;   /* NULL: it couldn't be made */
    cf_time deadline;
    size_t index;
    bool leave; /* the body was left by break: the loop's step, which clears it, didn't run */
} cf_completion;

CF_API cf_completion cf__completion_begin(cf_future *const *futures, size_t count, cf_time deadline);
CF_API bool cf__completion_next(cf_completion *completion);
CF_API void cf__completion_end(cf_completion *completion);

/** A set of futures to which completions are pushed; futures may be added at any time, from any thread. */
typedef struct cf_wait_set cf_wait_set;

/** Make an empty set.  Returns owned, ended by cf_wait_set_free(); NULL without memory. */
CF_API CF_NODISCARD cf_wait_set *cf_wait_set_new(void);

/** Free a set; futures in it stay as they are.  No other call on it may be running.  NULL: nothing. */
CF_API void cf_wait_set_free(cf_wait_set *set);

/** Add a future; `tag` comes back with it.  One that is done already completes at once.
 *
 * Ownership: borrows `future` until the set has returned it, or is freed.
 * Returns:   CF_OK; CF_ERR_NOMEM, CF_ERR_SYSTEM, CF_ERR_UNSUPPORTED, CF_ERR_FORKED (as cf_future_add_done_callback(); nothing was
 *            added). */
CF_API CF_NODISCARD cf_err cf_wait_set_add(cf_wait_set *set, cf_future *future, void *tag);

/** Wait for the next future of the set to complete, and take it out; oldest completion first.
 *
 * Threads: any number at once; each future is returned once.
 * Returns: CF_OK, *future and *tag (either may be NULL: not wanted) are set; CF_ERR_TIMEOUT; CF_ERR_EMPTY (no
 *          future is in the set, or other threads have taken the last); CF_ERR_FORKED (none has completed, and the set is
 *          of the process that this one was forked from); in a thread pool's task also CF_ERR_DEADLOCK (all threads that
 *          the pool may have wait). */
CF_API CF_NODISCARD cf_err cf_wait_set_next(cf_wait_set *set, cf_future **future, void **tag, cf_time deadline);

/** How many futures are in the set, done or not. */
CF_API size_t cf_wait_set_size(cf_wait_set *set);

/* ---- implementation ---- */

#if CF__BODIES

typedef struct cf__wait_entry { /* fields: I immutable, M under the set's mutex */
    cf__callback node;
    cf_wait_set *set;                       /* I: holds a reference (W2) */
    cf_future *future;                      /* I: borrowed */
    void *tag;                              /* I */
    struct cf__wait_entry *next, *previous; /* M: on the pending list; or, next, on the ready list */
} cf__wait_entry;

struct cf_wait_set { /* fields: A atomic, M under mutex */
    cf__mutex mutex;
    cf__event ready;              /* M: those in cf_wait_set_next() */
    cf__wait_entry *first, *last; /* M: completed, oldest first */
    cf__wait_entry *pending;      /* M: the others */
    size_t outstanding;           /* M: (W1) */
    bool freed;                   /* M: entries that come now free themselves */
    int32_t process;              /* I: who made it */
    uint32_t references;          /* A: the caller's, and each entry's (W2) */
};

CF__PRIVATE void
cf__wait_set_release(cf_wait_set *set)
{
    /* acq_rel: what others did with the set happens before it is freed. */
    if (cf__fetch_sub_acq_rel(&set->references, 1u) != 1)
        return;
    cf__mutex_destroy(&set->mutex);
    cf__os_free(set);
}

/* Takes `entry` off the pending list. */
CF__PRIVATE void
cf__wait_set_unlink(cf_wait_set *set, cf__wait_entry *entry)
{
    if (entry->previous != NULL)
        entry->previous->next = entry->next;
    else
        set->pending = entry->next;
    if (entry->next != NULL)
        entry->next->previous = entry->previous;
}

/* The future has settled (or, NULL, is gone without that). */
CF__PRIVATE void
cf__wait_entry_run(cf__callback *node, cf_future *future)
{
    cf__wait_entry *entry = CF__POINTER_CAST(cf__wait_entry *, node);
    cf_wait_set *set = entry->set;
    cf__sleeper *sleeper = NULL;
    cf__mutex_lock(&set->mutex);
    bool keep = future != NULL && !set->freed;
    if (!set->freed)
        cf__wait_set_unlink(set, entry);
    if (keep) {
        entry->next = NULL;
        if (set->last != NULL)
            set->last->next = entry;
        else
            set->first = entry;
        set->last = entry;
        sleeper = cf__event_take(&set->ready);
    } else if (--set->outstanding == 0) {
        cf__event_wake_all(&set->ready);
    }
    cf__mutex_unlock(&set->mutex);
    /* From here on the entry, if kept, may be gone; and the set, unless it's ours to release. */
    cf__sleeper_wake(sleeper);
    if (!keep) {
        cf__os_free(entry);
        cf__wait_set_release(set);
    }
}

CF_API cf_wait_set *
cf_wait_set_new(void)
{
    cf_wait_set *set = CF__STATIC_CAST(cf_wait_set *, cf__os_alloc(sizeof *set));
    if (set == NULL)
        return NULL;
    cf__mutex_init(&set->mutex);
    cf__event_init(&set->ready);
    set->first = set->last = set->pending = NULL;
    set->outstanding = 0;
    set->freed = false;
    set->process = cf__os_pid();
    set->references = 1;
    return set;
}

CF_API void
cf_wait_set_free(cf_wait_set *set)
{
    if (set == NULL)
        return;
    cf__mutex_lock(&set->mutex);
    set->freed = true;
    cf__wait_entry *list = set->first, *entry = set->pending, *next;
    /* In a forked child nothing settles them, and a thread that isn't there may have the mutex of a line. */
    if (entry != NULL && set->process != cf__os_pid())
        entry = NULL;
    /* Under the mutex: an entry's future lives until that entry has run, which waits for the mutex. */
    for (; entry != NULL; entry = next) {
        next = entry->next;
        if (cf__future_remove_callback(entry->future, &entry->node)) {
            entry->next = list;
            list = entry;
        }
    }
    cf__mutex_unlock(&set->mutex);
    while (list != NULL) {
        entry = list;
        list = entry->next;
        cf__os_free(entry);
        cf__wait_set_release(set);
    }
    cf__wait_set_release(set);
}

CF_API cf_err
cf_wait_set_add(cf_wait_set *set, cf_future *future, void *tag)
{
    cf__wait_entry *entry = CF__STATIC_CAST(cf__wait_entry *, cf__os_alloc(sizeof *entry));
    if (entry == NULL)
        return CF_ERR_NOMEM;
    entry->node.run = cf__wait_entry_run;
    entry->set = set;
    entry->future = future;
    entry->tag = tag;
    (void)cf__fetch_add_relaxed(&set->references, 1u); /* relaxed: the caller's own keeps it alive */
    cf__mutex_lock(&set->mutex);
    set->outstanding++;
    entry->previous = NULL;
    entry->next = set->pending;
    if (entry->next != NULL)
        entry->next->previous = entry;
    set->pending = entry;
    cf__mutex_unlock(&set->mutex);
    cf_err error = cf__future_add_entry(future, &entry->node, true);
    if (error != CF_OK)
        cf__wait_entry_run(&entry->node, NULL); /* as if it had gone */
    return error;
}

CF_API cf_err
cf_wait_set_next(cf_wait_set *set, cf_future **future, void **tag, cf_time deadline)
{
    cf__task_context *current = cf__task_current();
    cf__local_worker *worker = current != NULL && !cf_passed(deadline) ? current->worker : NULL;
    cf_time until = deadline;
    bool in_time = true;
    cf__mutex_lock(&set->mutex);
    bool waits = set->first == NULL && set->outstanding != 0;
    cf_err error = waits && set->process != cf__os_pid() ? CF_ERR_FORKED : CF_OK;
    while (error == CF_OK && set->first == NULL && set->outstanding != 0 && in_time) {
        /* In a thread pool's worker the pool may put another in its place meanwhile. */
        if (worker != NULL)
            error = worker->ops->begin_wait(worker, NULL, deadline, &until);
        if (error == CF_OK) {
            in_time = cf__event_wait(&set->ready, &set->mutex, until) || until != deadline;
            if (worker != NULL)
                worker->ops->end_wait(worker);
        }
    }
    cf__wait_entry *entry = set->first;
    if (entry != NULL) {
        error = CF_OK;
        set->first = entry->next;
        if (set->first == NULL)
            set->last = NULL;
        if (--set->outstanding == 0)
            cf__event_wake_all(&set->ready);
    } else if (error == CF_OK) {
        error = set->outstanding != 0 ? CF_ERR_TIMEOUT : CF_ERR_EMPTY;
    }
    cf__mutex_unlock(&set->mutex);
    if (entry != NULL) {
        if (future != NULL)
            *future = entry->future;
        if (tag != NULL)
            *tag = entry->tag;
        cf__os_free(entry);
        cf__wait_set_release(set);
    }
    return error;
}

CF_API size_t
cf_wait_set_size(cf_wait_set *set)
{
    cf__mutex_lock(&set->mutex);
    size_t size = set->outstanding;
    cf__mutex_unlock(&set->mutex);
    return size;
}

/* ---- over a set ---- */

/* A set of all of `futures`, each with its index as tag; NULL and *error. */
CF__PRIVATE cf_wait_set *
cf__wait_set_of(cf_future *const *futures, size_t count, cf_err *error)
{
    cf_wait_set *set = cf_wait_set_new();
    *error = set != NULL ? CF_OK : CF_ERR_NOMEM;
    for (size_t i = 0; i < count && *error == CF_OK; i++)
        *error = cf_wait_set_add(set, futures[i], CF__POINTER_CAST(void *, CF__STATIC_CAST(uintptr_t, i)));
    if (*error != CF_OK) {
        cf_wait_set_free(set);
        set = NULL;
    }
    return set;
}

/* What a wait may return at once, without a set: CF_OK: `enough` of them are done, or, if `one_failed` will do, one has
 * failed; CF_ERR_TIMEOUT: not yet, and it's not over; CF_ERR_FORKED. */
CF__PRIVATE cf_err
cf__wait_look(cf_future *const *futures, size_t count, size_t enough, bool one_failed)
{
    cf_err pending = CF_OK;
    const cf_future *last = NULL;
    for (size_t i = 0; i < count && enough != 0; i++) {
        cf_err error = cf__future_await(futures[i], CF_NOW);
        if (error != CF_OK) {
            pending = error;
            last = futures[i];
        } else if (one_failed && cf_future_error(futures[i]) != CF_OK) {
            return CF_OK;
        } else {
            enough--;
        }
    }
    return enough == 0 ? CF_OK : pending == CF_ERR_TIMEOUT ? cf__future_unsettled(last) : pending;
}

CF_API cf_err
cf_wait_for(cf_future *const *futures, size_t count, size_t enough, cf_time deadline)
{
    if (enough > count)
        return CF_ERR_INVALID;
    cf_err error = cf__wait_look(futures, count, enough, false);
    if (error != CF_ERR_TIMEOUT || cf_passed(deadline))
        return error;
    cf_wait_set *set = cf__wait_set_of(futures, count, &error);
    while (set != NULL && error == CF_OK && enough-- != 0)
        error = cf_wait_set_next(set, NULL, NULL, deadline);
    cf_wait_set_free(set);
    return error;
}

CF_API cf_err
cf_wait(cf_future *const *futures, size_t count, cf_wait_mode mode, cf_time deadline)
{
    cf_err error = CF_OK;
    if (mode == CF_FIRST_COMPLETED)
        return cf_wait_for(futures, count, CF__MIN(count, CF__STATIC_CAST(size_t, 1)), deadline);
    if (mode == CF_ALL_COMPLETED) {
        /* One after the other: no entries, and workers help. */
        for (size_t i = 0; i < count && error == CF_OK; i++) {
            error = cf__future_await(futures[i], deadline);
            if (error == CF_ERR_TIMEOUT && deadline == CF_NOW)
                error = cf__future_unsettled(futures[i]);
        }
        return error;
    }
    error = cf__wait_look(futures, count, count, true);
    if (error != CF_ERR_TIMEOUT || cf_passed(deadline))
        return error;
    cf_wait_set *set = cf__wait_set_of(futures, count, &error);
    cf_future *future = NULL;
    while (set != NULL && error == CF_OK && (future == NULL || cf_future_error(future) == CF_OK))
        error = cf_wait_set_next(set, &future, NULL, deadline);
    cf_wait_set_free(set);
    return error == CF_ERR_EMPTY ? CF_OK : error; /* all have completed, none has failed */
}

/* ---- CF_AS_COMPLETED ---- */

CF_API cf_completion
cf__completion_begin(cf_future *const *futures, size_t count, cf_time deadline)
{
    cf_completion completion;
    cf_err ignored;
    completion.set = cf__wait_set_of(futures, count, &ignored);
    completion.deadline = deadline;
    completion.index = 0;
    completion.leave = false;
    return completion;
}

CF_API bool
cf__completion_next(cf_completion *completion)
{
    void *tag = NULL;
    if (completion->set == NULL || cf_wait_set_next(completion->set, NULL, &tag, completion->deadline) != CF_OK)
        return false;
    completion->index = CF__POINTER_CAST(uintptr_t, tag);
    return true;
}

CF_API void
cf__completion_end(cf_completion *completion)
{
    cf_wait_set_free(completion->set);
}

#endif /* CF__BODIES */

#endif
