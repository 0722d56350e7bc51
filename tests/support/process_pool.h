/* tests/support/process_pool.h - what the tests that kill process pools' workers share: a look inside, no help from audits.
 * SPDX-License-Identifier: MIT
 * Include it after support.h, and after what changes detail/atomic.h, in place of cfutures.h.
 *
 * NOTHING IS REPAIRED IN PASSING  A waiter that wakes up by itself, and pushes a hint again, would hide a wake or a hint that
 *   the reaper forgot.  So leave_it_to_the_reaper() makes the parent sleep until it's woken: the watchdog comes first.
 * TASKS COUNT THEMSELVES  in memory that all processes share, so that a task which ran twice is found out. */
#ifndef CFUTURES_TESTS_PROCESS_POOL_H
#define CFUTURES_TESTS_PROCESS_POOL_H

#include "support.h"

#include <cfutures/detail/process_slots.h>
#undef CF__SLICE_FIRST
#define CF__SLICE_FIRST parent_slice
static const int64_t usual_slice = INT64_C(20000000), no_slice = INT64_C(3600000000000);
static int64_t parent_slice = INT64_C(20000000); /* how long the parent sleeps at first; 0 would be a spin */

#include <cfutures.h>

SUPPORT cf__process_pool *
inside(cf_executor *pool)
{
    return (cf__process_pool *)pool;
}

/* The parent sleeps and audits as it does for everybody. */
SUPPORT void
sleep_as_usual(cf_executor *pool)
{
    parent_slice = usual_slice;
    inside(pool)->audits = true;
}

/* The parent sleeps until somebody wakes it, and audits nothing. */
SUPPORT void
leave_it_to_the_reaper(cf_executor *pool)
{
    parent_slice = no_slice;
    inside(pool)->audits = false;
}

/* Worker `index` lives and is ready for tasks. */
SUPPORT bool
worker_is_ready(cf_executor *pool, uint32_t index)
{
    const cf__worker_record *worker = &inside(pool)->setup.view.workers[index];
    return __atomic_load_n(&worker->started, __ATOMIC_ACQUIRE) != 0 &&
           kill(__atomic_load_n(&worker->process, __ATOMIC_ACQUIRE), 0) == 0;
}

/* The pool with its workers is whole again, and nothing else of it is left. */
SUPPORT bool
is_whole(cf_executor *pool)
{
    uint32_t workers = inside(pool)->setup.view.arena->wanted;
    for (uint32_t i = 0; i < workers; i++) {
        if (!worker_is_ready(pool, i))
            return false;
    }
    return living_processes() == (int)workers + 1;
}

/* No child is in any slot: all have ended, and none waits for a worker. */
SUPPORT bool
no_child_is_left(cf_executor *pool)
{
    const cf__arena_view *view = &inside(pool)->setup.view;
    for (uint32_t i = view->slot_count; i < view->slot_total; i++) {
        uint32_t state = cf__slot_state(__atomic_load_n(&view->slots[i].word, __ATOMIC_ACQUIRE));
        if (state == CF__SLOT_PENDING || state == CF__SLOT_RUNNING)
            return false;
    }
    return true;
}

/* ---- tasks ---- */

enum { COUNTERS = 1 << 16 };
static uint32_t *executions; /* A: how often task i was begun; shared */

/* Zeroed memory that this process shares with those it will fork; NULL: there is none. */
SUPPORT void *
shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return memory != MAP_FAILED ? memory : NULL;
}

/* Before the first pool; false: no memory. */
SUPPORT bool
count_executions(void)
{
    executions = shared_memory(COUNTERS * sizeof *executions);
    return executions != NULL;
}

/* Task `task` begins. */
SUPPORT void
execution_begins(uint32_t task)
{
    (void)__atomic_fetch_add(&executions[task % COUNTERS], 1, __ATOMIC_RELAXED);
}

/* How often task `task` has begun; once it's settled. */
SUPPORT uint32_t
take_executions(uint32_t task)
{
    return __atomic_exchange_n(&executions[task % COUNTERS], 0, __ATOMIC_RELAXED);
}

/* What task `task` is to return. */
SUPPORT uint64_t
answer(uint32_t task)
{
    return (uint64_t)task * UINT64_C(0x9e3779b97f4a7c15) ^ task;
}

SUPPORT void
count_callback(cf_future *future, void *context)
{
    (void)future;
    (void)__atomic_fetch_add((uint32_t *)context, 1, __ATOMIC_RELEASE);
}

#endif
