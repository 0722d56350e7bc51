/* tests/fault/scribble.h - what the tests share whose tasks write over the shared memory: tasks, a gate, a bystander.
 * SPDX-License-Identifier: MIT
 * Include it first.
 *
 * BYSTANDERS  are children of the test's: process ids that stand for those of processes that are none of a pool's. */
#ifndef CFUTURES_TESTS_SCRIBBLE_H
#define CFUTURES_TESTS_SCRIBBLE_H

#include "support.h"

#include <pthread.h>
#include <sys/prctl.h>

/* Nobody has much patience here: a random round is to take milliseconds. */
#define CF__SLICE_FIRST INT64_C(200000)
#define CF__SLICE_LAST INT64_C(5000000)
#define CF__PROCESS_GRACE INT64_C(100000000)
#define CF__LINGER linger
static int64_t linger = INT64_C(100000000);
#include <cfutures.h>

typedef struct shared { /* what all our processes share, outside of any arena; fields: A atomic */
    uint32_t inside;    /* A: tasks that stand in the gate, ever */
    uint32_t open;      /* A */
    int32_t standing;   /* A: the process of the last one */
    uint32_t stuck;     /* A: workers that the alarm ended */
} shared_words;
static shared_words *shared;

SUPPORT cf__process_pool *
inside(cf_executor *pool)
{
    return (cf__process_pool *)pool;
}

SUPPORT cf__slot *
slot_of(cf_future *future)
{
    const cf__process_future *ours = (const cf__process_future *)future;
    return &ours->pool->setup.view.slots[ours->index];
}

/* ---- tasks ---- */

SUPPORT uint64_t
answer(uint32_t task)
{
    return (uint64_t)task * UINT64_C(0x9e3779b97f4a7c15) ^ task;
}

static volatile sig_atomic_t alarms = -1; /* that this task has had; -1: there are none */

/* A task begins. */
SUPPORT void
set_alarm(void)
{
    if (alarms == -1)
        return;
    alarms = 0;
    (void)alarm(5);
}

SUPPORT uint64_t
work(uint32_t task)
{
    set_alarm();
    return answer(task);
}
CF_TASK(uint64_t, work, uint32_t);

/* Arguments and result that don't fit into a slot. */
typedef struct page {
    uint64_t number[100];
} page;

SUPPORT page
work_on_page(page in)
{
    set_alarm();
    for (size_t i = 0; i < 100; i++)
        in.number[i] ^= UINT64_MAX;
    return in;
}
CF_TASK(page, work_on_page, page);

SUPPORT void
give_up(uint32_t task)
{
    cf_fail((int)task, "task %u", task);
}
CF_TASK_VOID(give_up, uint32_t);

/* Stands in the gate until it's opened; its process id. */
SUPPORT int32_t
stand(void)
{
    __atomic_store_n(&shared->standing, getpid(), __ATOMIC_RELAXED);
    (void)__atomic_fetch_add(&shared->inside, 1, __ATOMIC_SEQ_CST);
    wait_until(__atomic_load_n(&shared->open, __ATOMIC_ACQUIRE) != 0);
    return getpid();
}
CF_TASK(int32_t, stand);

SUPPORT void
close_gate(void)
{
    __atomic_store_n(&shared->inside, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&shared->open, 0, __ATOMIC_SEQ_CST);
}

SUPPORT void
open_gate(void)
{
    __atomic_store_n(&shared->open, 1, __ATOMIC_SEQ_CST);
}

SUPPORT void
wait_inside(uint32_t n)
{
    wait_until(__atomic_load_n(&shared->inside, __ATOMIC_ACQUIRE) == n);
}

/* Sleeps for as long as the test lives. */
SUPPORT pid_t
fork_bystander(void)
{
    pid_t process = fork();
    if (process != 0)
        return process;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        (void)pause();
}

SUPPORT void
store_word(cf__slot *slot, uint64_t word)
{
    __atomic_store_n(&slot->word, word, __ATOMIC_SEQ_CST);
}

SUPPORT void
count_callback(cf_future *future, void *context)
{
    (void)future;
    (void)__atomic_fetch_add((uint32_t *)context, 1, __ATOMIC_RELEASE);
}

/* main() begins with this; returns false if the tests can't run. */
SUPPORT bool
scribble_start(void)
{
    /* With a moat around it: a spoilt pointer is often a near miss. */
    enum { moat = 1 << 26 };
    unsigned char *all = mmap(NULL, 2 * moat, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED || mprotect(all + moat, 4096, PROT_READ | PROT_WRITE) != 0)
        return false;
    shared = (shared_words *)(all + moat);
    return true;
}

#endif
