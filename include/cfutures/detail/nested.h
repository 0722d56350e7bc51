/* cfutures/detail/nested.h - a process pool's worker as an executor: what its task submits to its own pool.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: arena.h, outcome.h, ../executor.h.  Included by: worker.h.
 *
 * HOW IT WORKS  A worker is a fork of the template, so in it the program's pool is but a copy, without use.  In a task its
 *   handle stands for this executor (cf__executor_here), which is the worker's own: it fills slots of the worker's range,
 *   and whoever finds their hints runs them (arena_nested.h).  Everything here is the task's thread's; nothing is locked.
 *
 *       submit  a slot, its hint, a wake               -> in another worker
 *               no slot free, or too large for one     -> runs here, in the submit
 *       wait    the slot's word, as the parent waits   -> the other's outcome, its death too
 *               nobody could stand in for us           -> taken back and run here, if it's still pending
 *       end     of the outermost task: waits for the children that are left, before its own outcome is published
 *
 * NO DEADLOCK  A waiter is lent (arena_nested.h), so there is a worker more; when there can't be, it takes its own child back.
 *   So in a chain of waiters the last one waits for a task that runs.  A child that nobody has begun for more than a second is
 *   taken back as well, whatever the reason: workers that were stopped, forks that fail.
 * WHO RUNS WHAT  A waiter runs no task but the one it waits for: a stranger's crash would take it along.
 * THE END  A task isn't over before its children are: so its limits are theirs, a drain needs to know nothing of them, and the
 *   range is free again for the next task.
 * A FAULTY TASK may write over the slots.  It spoils results, or the word: a word that can't be settles the future as
 *   CF_ERR_CORRUPT, and a waiter looks every now and then, as the parent does (process_slots.h).
 * REJECTED  Large arguments in blocks of the parent's heap: its lists are the parent's, private for a reason.  Callbacks from a
 *   thread of the worker's: a worker that has threads can't be forked from, nor can a task rely on having none. */
#ifndef CFUTURES_DETAIL_NESTED_H
#define CFUTURES_DETAIL_NESTED_H

#include "../executor.h"
#include "arena.h"
#include "outcome.h"

#if CF__BODIES && CF__FUTEX

#ifndef CF__NESTED_SLICE                   /* nanoseconds; tests that want no help from it have more patience */
#define CF__NESTED_SLICE INT64_C(20000000) /* the first; each is twice as long as the one before, up to the last */
#define CF__NESTED_SLICE_LAST INT64_C(1280000000)
#endif

struct cf__nested;

typedef struct cf__nested_future { /* of a child; the task's thread's */
    cf__limited_future task;       /* limits are for when it runs here */
    struct cf__nested *nested;
    uint32_t place;      /* of its slot in the range; CF__NESTED_SLOTS: it has none any more */
    uint64_t generation; /* of that slot */
    cf_account *account; /* owned: how it was lost; or NULL */
} cf__nested_future;

typedef struct cf__nested { /* private to the worker, which makes it with its first use */
    cf_executor base;
    const cf__arena_view *view;
    const cf__task_context *home; /* the worker's own context, outermost of its tasks */
    uint32_t number;
    cf__nested_future *futures[CF__NESTED_SLOTS]; /* in the slots; one reference of each is ours */
} cf__nested;

CF__PRIVATE cf__slot *
cf__nested_slot(const cf__nested *nested, uint32_t place)
{
    return &nested->view->slots[cf__nested_first(nested->view, nested->number) + place];
}

/* Whether the caller is the thread of a task that this worker runs. */
CF__PRIVATE bool
cf__nested_is_here(const cf__nested *nested)
{
    const cf__task_context *context = cf__task_current();
    if (context == NULL || context == nested->home) /* on_start, on_stop */
        return false;
    while (context->outer != NULL)
        context = context->outer;
    return context == nested->home;
}

/* ---- slots ---- */

/* The word of a child's slot once that is free. */
CF__PRIVATE uint64_t
cf__nested_free_word(const cf__nested_future *future)
{
    return cf__slot_word((future->generation + 1) & CF__SLOT_GENERATIONS, 0, CF__SLOT_FREE);
}

/* The child has no slot any more, which is free; the slot's reference is the caller's. */
CF__PRIVATE void
cf__nested_leave_slot(cf__nested_future *future)
{
    future->nested->futures[future->place] = NULL;
    future->place = CF__NESTED_SLOTS;
}

/* How the child stands: its slot's state; CF__SLOT_CORRUPT for a word that can't be. */
CF__PRIVATE uint32_t
cf__nested_state(const cf__nested_future *future, uint64_t *word)
{
    const cf__nested *nested = future->nested;
    *word = cf__load_acquire(&cf__nested_slot(nested, future->place)->word); /* acquire [S2]: the outcome */
    uint32_t state = cf__slot_state(*word), owner = cf__slot_owner(*word);
    bool can_be = state == CF__SLOT_PENDING ? owner == 0
                                            : state != CF__SLOT_FREE && state != CF__SLOT_GONE && owner != 0 &&
                                                  owner <= nested->view->worker_count;
    return can_be && cf__slot_generation(*word) == future->generation ? state : CF__SLOT_CORRUPT;
}

/* Settles a child whose slot is in `state`, one of the end. */
CF__PRIVATE void
cf__nested_settle(cf__nested_future *future, uint32_t state)
{
    cf_future *base = &future->task.base;
    const cf__nested *nested = future->nested;
    cf__slot *slot = cf__nested_slot(nested, future->place);
    uint32_t settle_as = cf__outcome_take(base, slot, state, false, &future->account);
    if (state == CF__SLOT_CORRUPT &&
        cf__arena_condemn(nested->view, cf__nested_first(nested->view, nested->number) + future->place))
        (void)cf__arena_poke(nested->view);
    cf__store_relaxed(&slot->word, cf__nested_free_word(future)); /* relaxed: only we fill it, and publish that */
    cf__nested_leave_slot(future);
    cf__future_settle(base, settle_as);
    cf_future_release(base);
}

/* Takes a child back that nobody has begun, as cf__nested_leave_slot(). */
CF__PRIVATE bool
cf__nested_take_back(cf__nested_future *future, uint64_t word)
{
    /* acq_rel: only takes; whoever had its hint finds another word. */
    if (cf__slot_state(word) != CF__SLOT_PENDING ||
        !cf__cas_acq_rel(&cf__nested_slot(future->nested, future->place)->word, &word, cf__nested_free_word(future)))
        return false;
    cf__nested_leave_slot(future);
    return true;
}

/* Settles what has come to an end. */
CF__PRIVATE void
cf__nested_harvest(cf__nested *nested)
{
    for (uint32_t place = 0; place < CF__NESTED_SLOTS; place++) {
        uint64_t word;
        uint32_t state = nested->futures[place] != NULL ? cf__nested_state(nested->futures[place], &word) : 0;
        if (state >= CF__SLOT_DONE)
            cf__nested_settle(nested->futures[place], state);
    }
}

/* A free slot, whose generation is *generation; CF__NESTED_SLOTS: there is none. */
CF__PRIVATE uint32_t
cf__nested_find_slot(cf__nested *nested, uint64_t *generation)
{
    for (uint32_t place = 0; place < CF__NESTED_SLOTS; place++) {
        /* acquire: one that is settled, though it's none of our children's, is a predecessor's, who died before it had ended;
         * what its worker wrote comes before what we write.  If such a child still runs, its slot isn't free. */
        uint64_t word = cf__load_acquire(&cf__nested_slot(nested, place)->word);
        if (nested->futures[place] != NULL || (cf__slot_state(word) != CF__SLOT_FREE && !cf__slot_settled(word)))
            continue;
        *generation = (cf__slot_generation(word) + cf__slot_settled(word)) & CF__SLOT_GENERATIONS;
        return place;
    }
    return CF__NESTED_SLOTS;
}

/* ---- the futures ---- */

/* Runs a child here that was taken back. */
CF__PRIVATE void
cf__nested_run(cf_future *base)
{
    (void)cf__future_start_as(base, CF__RUNNING | CF__SETTLING); /* it's pending, and nobody else's */
    cf__future_execute(base, false);
}

/* Sleeps until the child's word, which was `word`, has changed, or `deadline`; false: that, or there is nobody to begin it. */
CF__PRIVATE bool
cf__nested_sleep(cf__nested_future *future, uint64_t *word, cf_time deadline)
{
    const cf__nested *nested = future->nested;
    const cf__arena_view *view = nested->view;
    cf__slot *slot = cf__nested_slot(nested, future->place);
    bool pending = cf__slot_state(*word) == CF__SLOT_PENDING, sleeps = true;
    if (!cf__slot_set_flag(slot, word, CF__SLOT_WAIT)) /* first [N4] */
        return true;
    if (!cf__arena_lend(view, nested->number)) {
        sleeps = !pending;
        if (sleeps)
            cf__arena_wake_lent(view);
    } else if (cf__arena_has_hints(view)) { /* [N2] */
        cf__arena_wake_one(view);
    }
    /* Who settles the slot owes the wake, or who buries that worker; and who is the last to wait, if the child is pending.  One
     * who claims it doesn't: we sleep on. */
    bool in_time = sleeps && cf__park(cf__slot_futex(slot), cf__slot_futex_value(*word), deadline, CF__SCOPE_SHARED);
    cf__arena_unlend(view, nested->number);
    return in_time;
}

/* The child hasn't been begun in time, or not for a slice: it's ours again, and late, or run here. */
CF__SLOW void
cf__nested_begin(cf__nested_future *future, uint64_t word, bool late)
{
    cf_future *base = &future->task.base;
    if (!cf__nested_take_back(future, word))
        return;
    if (late)
        cf__future_settle_late(base);
    else
        cf__nested_run(base);
    cf_future_release(base);
}

/* A slice of sleep has passed: whoever had the child's hint, or a wake to pass on, may have been stopped with it; or the word,
 * or its worker's record, was written over.  As the parent's audit. */
CF__SLOW void
cf__nested_audit(cf__nested_future *future, uint64_t word)
{
    const cf__arena_view *view = future->nested->view;
    uint32_t index = cf__nested_first(view, future->nested->number) + future->place;
    if (cf__slot_state(word) == CF__SLOT_PENDING) {
        cf__nested_push_hint(view, index);
        cf__arena_wake_first(view, view->worker_count);
    } else if (cf__arena_disowned(view, index, word)) {
        cf__nested_settle(future, CF__SLOT_CORRUPT);
    } else {
        cf__arena_wake_worker(view, cf__slot_owner(word)); /* if it sleeps, it puts its record right */
    }
}

/* Waits for a child, of which the caller holds a reference. */
CF__PRIVATE cf_err
cf__nested_wait(cf__nested_future *future, cf_time deadline)
{
    cf_future *base = &future->task.base;
    cf_time start_by = base->limited && future->task.limits.start_by != 0 ? future->task.limits.start_by : CF_FOREVER;
    int64_t slice = CF__NESTED_SLICE;
    cf_time end = cf_after_ns(slice);

    while (!cf__settled(cf__load_relaxed(&base->state))) { /* relaxed: it's this thread that settles it */
        uint64_t word;
        if (future->place == CF__NESTED_SLOTS) /* it's running here, and waits for itself */
            return deadline == CF_NOW ? CF_ERR_TIMEOUT : CF_ERR_DEADLOCK;
        uint32_t state = cf__nested_state(future, &word);
        bool pending = state == CF__SLOT_PENDING;
        cf_time until = CF__MIN(deadline, end);
        if (cf__slot_tries(word) != 0)
            start_by = CF_FOREVER; /* it has been started */
        if (state >= CF__SLOT_DONE) {
            cf__nested_settle(future, state);
        } else if (deadline == CF_NOW || cf_passed(deadline)) {
            return CF_ERR_TIMEOUT;
        } else if (pending && cf_passed(start_by)) {
            cf__nested_begin(future, word, true);
        } else if (cf_passed(end)) {
            if (pending && slice == CF__NESTED_SLICE_LAST)
                cf__nested_begin(future, word, false);
            else
                cf__nested_audit(future, word);
            slice = CF__MIN(2 * slice, CF__NESTED_SLICE_LAST);
            end = cf_after_ns(slice);
        } else if (!cf__nested_sleep(future, &word, pending ? CF__MIN(until, start_by) : until) && pending &&
                   !cf_passed(until) && !cf_passed(start_by)) {
            cf__nested_begin(future, word, false);
        }
    }
    return CF_OK;
}

CF__PRIVATE cf_err
cf__nested_await(cf_future *base, cf_time deadline)
{
    cf__nested_future *future = CF__POINTER_CAST(cf__nested_future *, base);
    if (cf__executor_forked(&future->nested->base))
        return CF_ERR_FORKED;
    return cf__nested_is_here(future->nested) ? cf__nested_wait(future, deadline) : CF_ERR_UNSUPPORTED;
}

CF__PRIVATE bool
cf__nested_cancel(cf_future *base)
{
    cf__nested_future *future = CF__POINTER_CAST(cf__nested_future *, base);
    if (cf__executor_forked(&future->nested->base) || !cf__nested_is_here(future->nested))
        return false;
    while (future->place != CF__NESTED_SLOTS) {
        uint64_t word;
        uint32_t state = cf__nested_state(future, &word);
        if (state >= CF__SLOT_DONE) {
            cf__nested_settle(future, state);
        } else if (cf__nested_take_back(future, word)) {
            cf__future_settle(base, CF__CANCELLED);
            cf_future_release(base);
        } else if (state == CF__SLOT_RUNNING && cf__cas_acq_rel(&cf__nested_slot(future->nested, future->place)->word,
                                                                &word, word | CF__SLOT_STOP)) {
            return false;
        }
    }
    return cf_future_cancelled(base);
}

/* There is nobody to call it: a worker has one thread, and that runs the task. */
CF__PRIVATE cf_err
cf__nested_watch(cf_future *base)
{
    (void)base;
    return CF_ERR_UNSUPPORTED;
}

CF__PRIVATE const cf_account *
cf__nested_account(cf_future *base)
{
    return CF__POINTER_CAST(cf__nested_future *, base)->account;
}

CF__PRIVATE void
cf__nested_forget(cf_future *base)
{
    cf__os_free(CF__POINTER_CAST(cf__nested_future *, base)->account);
}

CF__PRIVATE const cf__future_origin *
cf__nested_origin(void)
{
    static const cf__future_origin origin = {cf__nested_await, cf__nested_cancel, cf__nested_watch, cf__nested_account,
                                             cf__nested_forget};
    return &origin;
}

/* ---- the executor ---- */

CF__PRIVATE cf_future *
cf__nested_submit(cf_executor *executor, const cf_task_type *type, const void *args, const cf_submit_opts *options)
{
    cf__nested *nested = CF__POINTER_CAST(cf__nested *, executor);
    cf__limits limits = cf__limits_of(options);
    cf__placement placement = cf__slot_place(type);
    bool fits = !placement.args_in_block && !placement.result_in_block;
    if (!cf__nested_is_here(nested))
        return cf_future_new_failed(
            CF_ERR_UNSUPPORTED, "%.60s: only a task can submit to the pool that runs it, and only in its own thread",
            type->name);
    cf__nested_future *future = CF__POINTER_CAST(
        cf__nested_future *, cf__future_alloc(sizeof(cf__nested_future), type->args_size, type->args_align,
                                              type->result_size, type->result_align, nested->base.process));
    if (future == NULL)
        return cf__future_static(CF_ERR_NOMEM);
    cf_future *base = &future->task.base;
    base->type = type;
    base->executor = executor;
    base->origin = cf__nested_origin();
    base->limited = cf__limits_any(&limits);
    future->task.limits = limits;
    future->nested = nested;
    future->place = CF__NESTED_SLOTS;
    future->account = NULL;
    if (type->args_size != 0)
        memcpy(base->args, args, type->args_size); /* for when it's run here */

    uint32_t place = fits ? cf__nested_find_slot(nested, &future->generation) : CF__NESTED_SLOTS;
    if (fits && place == CF__NESTED_SLOTS) {
        cf__nested_harvest(nested);
        place = cf__nested_find_slot(nested, &future->generation);
    }
    if (place == CF__NESTED_SLOTS) {
        cf__nested_run(base);
        return base;
    }
    cf__slot *slot = cf__nested_slot(nested, place);
    nested->futures[place] = future;
    future->place = place;
    base->references = 2; /* the caller's and the slot's */
    cf__slot_fill(slot, type, args, NULL, NULL, &limits);
    cf__store_relaxed(&nested->view->workers[nested->number - 1].has_nested, 1u); /* relaxed: for after our death */
    cf__slot_publish_task(slot, future->generation);
    cf__nested_push_hint(nested->view, cf__nested_first(nested->view, nested->number) + place);
    cf__arena_wake_one(nested->view);
    return base;
}

CF__PRIVATE cf_err
cf__nested_shutdown(cf_executor *executor, cf_shutdown_mode mode, cf_time deadline, cf_shutdown_report *report)
{
    (void)executor;
    (void)mode;
    (void)deadline;
    (void)report;
    return CF_ERR_FORKED; /* the pool is the program's */
}

/* It's a part of the worker. */
CF__PRIVATE void
cf__nested_executor_free(cf_executor *executor, bool forked)
{
    (void)executor;
    (void)forked;
}

/* The shared memory is the program's to give. */
CF__PRIVATE void *
cf__nested_alloc(cf_executor *executor, size_t size)
{
    (void)executor;
    (void)size;
    return NULL;
}

CF__PRIVATE void
cf__nested_dealloc(cf_executor *executor, void *memory)
{
    (void)executor;
    (void)memory;
}

CF__PRIVATE void
cf__nested_init(cf__nested *nested, const cf__arena_view *view, uint32_t number, const cf__task_context *home,
                cf__code *code, uint32_t *fork_guard)
{
    /* No `concurrency`: a map has a child for each item, for there is no memory that it could share with runners. */
    static const cf_executor_ops ops = {sizeof(cf_executor_ops),
                                        "process pool's worker",
                                        cf__nested_submit,
                                        cf__nested_shutdown,
                                        cf__nested_executor_free,
                                        cf__nested_alloc,
                                        cf__nested_dealloc,
                                        NULL,
                                        false};
    memset(CF__STATIC_CAST(void *, nested), 0, sizeof *nested);
    nested->base.ops = &ops;
    nested->base.process = cf__os_pid();
    nested->base.fork_guard = fork_guard; /* the worker's own */
    nested->base.code = code;
    nested->view = view;
    nested->number = number;
    nested->home = home;
}

/* The outermost task has returned: waits for the children that are left. */
CF__PRIVATE void
cf__nested_finish(cf__nested *nested)
{
    for (uint32_t place = 0; place < CF__NESTED_SLOTS;) {
        if (nested->futures[place] == NULL) {
            place++;
            continue;
        }
        cf_future *child = cf_future_retain(&nested->futures[place]->task.base);
        (void)cf__nested_wait(nested->futures[place], CF_FOREVER);
        cf_future_release(child);
        place = 0; /* if it was run here, it may have had children */
    }
}

#endif /* CF__BODIES && CF__FUTEX */

#endif
