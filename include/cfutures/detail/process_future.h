/* cfutures/detail/process_future.h - what a process pool's futures do: wait, cancel, call back.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: process_slots.h.  Included by: process_pool.h.
 *
 * HOW IT WORKS  The truth about a task is its slot's word (slot.h).  A waiter spins on that for a moment, then sleeps on it,
 *   and collects the slot as soon as it's settled (process_slots.h); from then on the future's own record is the truth,
 *   and all that follows is as for any other future.  Callbacks need somebody who collects without being asked: a thread of
 *   the parent's, the collector, which is started with the first of them.
 * WHO OWES THE WAKE  of a waiter: the worker that settles the slot, the template in place of a dead one, or the thread that
 *   collects it first; of the collector: whoever sets a mark (arena.h [A4]). */
#ifndef CFUTURES_DETAIL_PROCESS_FUTURE_H
#define CFUTURES_DETAIL_PROCESS_FUTURE_H

#include "process_slots.h"

#if CF__BODIES && CF__FUTEX

/* Spins while the slot's word is `word`, for some microseconds: a wake-up costs more.  Not on the CPU that the
 * worker needs. */
CF__PRIVATE void
cf__process_spin(const cf__arena_view *view, const cf__slot *slot, uint64_t word)
{
    uint32_t cpu = cf__os_cpu(), worker = cf__slot_owner(word);
    /* relaxed, all: a guess at where to find each other. */
    if (worker == 0)
        worker = cf__load_relaxed(&view->arena->waking);
    cf__store_relaxed(&view->arena->parent_cpu, cpu);
    if (worker == 0 || worker > view->worker_count || cf__load_relaxed(&view->workers[worker - 1].cpu) == cpu)
        return;
    int64_t end = cf__os_now() + CF__SPIN_MOST;
    while (cf__load_relaxed(&slot->word) == word && cf__os_now() < end) /* relaxed: the caller looks again */
        cf__cpu_relax();
}

/* Settles a pending task as GONE or LATE; one that runs is asked to stop, if that's GONE.  Whether it has been cancelled, now or
 * before. */
CF__PRIVATE bool
cf__process_withdraw(cf__process_future *future, uint32_t to)
{
    cf__process_pool *pool = future->pool;
    cf_future *list = NULL;

    cf__mutex_lock(&pool->mutex);
    if (pool->shadows[future->index].future == future)
        list = cf__slots_withdraw(pool, future->index, to, to == CF__SLOT_GONE, NULL);
    bool cancelled = future->settle_as == CF__CANCELLED;
    cf__mutex_unlock(&pool->mutex);
    cf__slots_settle_list(list);
    return cancelled;
}

CF__PRIVATE cf_err
cf__process_await(cf_future *base, cf_time deadline)
{
    cf__process_future *future = CF__POINTER_CAST(cf__process_future *, base);
    cf__process_pool *pool = future->pool;
    cf__slot *slot = &pool->setup.view.slots[future->index];
    cf__slice slice = CF__SLICE_NEW;
    bool spun = !pool->setup.spin;

    if (cf__executor_forked(&pool->base))
        return CF_ERR_FORKED;
    for (;;) {
        uint64_t word = cf__load_acquire(&slot->word);   /* acquire [S2] */
        if (cf__settled(cf__load_acquire(&base->state))) /* acquire, future.h [F1] */
            return CF_OK;
        if (cf__slot_generation(word) != future->generation || cf__slot_state(word) == CF__SLOT_FREE ||
            cf__slot_settled(word)) {
            if (cf__slots_collect(future))
                return cf__future_await_slow(base, deadline);
            continue;
        }
        if (cf__slots_template_ended(pool))
            continue;
        bool may_expire =
            future->start_by != 0 && cf__slot_state(word) == CF__SLOT_PENDING && cf__slot_tries(word) == 0;
        if (deadline == CF_NOW)
            return CF_ERR_TIMEOUT;
        if (may_expire && cf_passed(future->start_by)) {
            (void)cf__process_withdraw(future, CF__SLOT_LATE);
            continue;
        }
        if (cf_passed(deadline))
            return CF_ERR_TIMEOUT;
        if (!spun) {
            cf__process_spin(&pool->setup.view, slot, word);
            spun = true;
            continue;
        }
        if (!cf__slot_set_flag(slot, &word, CF__SLOT_WAIT))
            continue;
        /* The worker that settles the slot owes the wake, or who buries it, or who collects the slot before us. */
        (void)cf__fetch_add_seq_cst(&future->sleepers, 1u); /* seq_cst: pairs with cf__slots_detach() */
        bool woken = cf__slots_sleep(pool, cf__slot_futex(slot), cf__slot_futex_value(word),
                                     may_expire ? CF__MIN(deadline, future->start_by) : deadline, &slice);
        (void)cf__fetch_sub_acq_rel(&future->sleepers, 1u);
        if (!woken)
            cf__slots_audit(pool, future, &slice);
        /* Also if we have a result now: of those that sleep the kernel has woken only one. */
        (void)cf__slots_template_ended(pool);
    }
}

CF__PRIVATE bool
cf__process_cancel(cf_future *base)
{
    cf__process_future *future = CF__POINTER_CAST(cf__process_future *, base);
    return !cf__executor_forked(&future->pool->base) && cf__process_withdraw(future, CF__SLOT_GONE);
}

/* Looks for marked slots and collects them; whether there was one to collect. */
CF__PRIVATE bool
cf__process_collect_marked(cf__process_pool *pool)
{
    const cf__arena_view *view = &pool->setup.view;
    bool found = false;
    for (uint32_t i = 0; i < (view->slot_count + 63) / 64; i++) {
        /* seq_cst [A4]: after the store of collector. */
        if (cf__load_seq_cst(&view->completed[i]) == 0)
            continue;
        uint64_t marks = cf__exchange_seq_cst(&view->completed[i], UINT64_C(0));
        cf_future *list = NULL;
        cf__mutex_lock(&pool->mutex);
        for (; marks != 0; marks &= marks - 1) {
            uint32_t index = i * 64 + CF__STATIC_CAST(uint32_t, __builtin_ctzll(marks));
            if (index < view->slot_count && pool->shadows[index].future != NULL)
                list = cf__slots_take_outcome(pool, index, list);
        }
        cf__mutex_unlock(&pool->mutex);
        found = found || list != NULL;
        cf__slots_settle_list(list);
    }
    return found;
}

/* The thread that settles futures with callbacks; runs from the first of them to the end of the pool. */
CF__PRIVATE void *
cf__process_collector_main(void *argument)
{
    cf__process_pool *pool = CF__STATIC_CAST(cf__process_pool *, argument);
    cf__arena *arena = pool->setup.view.arena;
    cf__slice slice = CF__SLICE_NEW;

    cf__os_thread_name("cf-collector");
    while (cf__load_acquire(&pool->collector_quit) == 0) {
        if (cf__process_collect_marked(pool))
            continue;
        cf__store_seq_cst(&arena->collector, 1u);
        /* Who marks, or ends us, from here on finds collector == 1 and owes the wake [A4]. */
        if (cf__process_collect_marked(pool) || cf__load_seq_cst(&pool->collector_quit) != 0)
            continue;
        if (cf__slots_template_ended(pool)) {
            /* Nothing more will come but the end of the pool. */
            (void)cf__park(&pool->collector_quit, 0, CF_FOREVER, CF__SCOPE_SHARED);
            continue;
        }
        if (!cf__slots_sleep(pool, &arena->collector, 1, CF_FOREVER, &slice))
            cf__slots_audit(pool, NULL, &slice);
    }
    return NULL;
}

CF__PRIVATE cf_err
cf__process_watch(cf_future *base)
{
    cf__process_future *future = CF__POINTER_CAST(cf__process_future *, base);
    cf__process_pool *pool = future->pool;
    cf__slot *slot = &pool->setup.view.slots[future->index];
    cf_err error = CF_OK;

    if (cf__executor_forked(&pool->base))
        return CF_ERR_FORKED;
    cf__mutex_lock(&pool->mutex);
    if (!pool->collects && !pool->stopping) {
        if (cf__os_thread_start(&pool->collector, cf__process_collector_main, pool, 0) != 0)
            error = CF_ERR_SYSTEM;
        else
            pool->collects = true;
    }
    uint64_t word = cf__load_acquire(&slot->word);
    bool settled = false;
    while (error == CF_OK && pool->shadows[future->index].future == future && !settled) {
        settled = cf__slot_settled(word);
        if (!settled && cf__slot_set_flag(slot, &word, CF__SLOT_CARE))
            break;
    }
    cf__mutex_unlock(&pool->mutex);
    if (settled)
        (void)cf__slots_collect(future);
    return error;
}

CF__PRIVATE const cf_account *
cf__process_account(cf_future *base)
{
    return CF__POINTER_CAST(cf__process_future *, base)->account;
}

CF__PRIVATE void
cf__process_forget(cf_future *base)
{
    cf__process_future *future = CF__POINTER_CAST(cf__process_future *, base);
    cf__process_pool *pool = future->pool;
    cf__os_free(future->account);
    if (future->block != NULL && !cf__executor_forked(&pool->base)) {
        cf__mutex_lock(&pool->mutex);
        cf__heap_give(&pool->heap, future->block);
        cf__slots_made_room(pool);
        cf__mutex_unlock(&pool->mutex);
    }
    cf__process_pool_release(pool);
}

CF__PRIVATE const cf__future_origin *
cf__process_origin(void)
{
    static const cf__future_origin origin = {cf__process_await, cf__process_cancel, cf__process_watch,
                                             cf__process_account, cf__process_forget};
    return &origin;
}

#endif /* CF__BODIES && CF__FUTEX */

#endif
