/* tests/unit/unit.h - what the tests of threads share: gates, counted memory, a check for leaks after each test.
 * SPDX-License-Identifier: MIT
 * Include it first, in place of support.h: it defines CF_MALLOC, which detail/os.h looks at when it is included.
 *
 * LEAKS  After each test of a group as many allocations of the library live as before it, as many descriptors are open and as
 *   many threads there.  cmocka_unit_test() is redefined below to check it.  leaks_start_processes() and its counterpart, for
 *   cmocka_unit_test_setup_teardown(), look for processes, too.
 * GATES  A task that has to be running while the test looks waits in a gate; the test sees how many are inside. */
#ifndef CFUTURES_TESTS_UNIT_H
#define CFUTURES_TESTS_UNIT_H

#include "support.h"

#include <pthread.h>

static long counted_live; /* A: allocations of the library that are not freed yet */

SUPPORT void *
counted_malloc(size_t size)
{
    void *p = malloc(size);
    if (p != NULL)
        (void)__atomic_add_fetch(&counted_live, 1, __ATOMIC_RELAXED);
    return p;
}

SUPPORT void
counted_free(void *p)
{
    if (p != NULL)
        (void)__atomic_sub_fetch(&counted_live, 1, __ATOMIC_RELAXED);
    free(p);
}

#define CF_MALLOC(size) counted_malloc(size)
#define CF_FREE(p) counted_free(p)

#include <cfutures/detail/event.h>
#include <cfutures/errors.h>

SUPPORT long
live_allocations(void)
{
    return __atomic_load_n(&counted_live, __ATOMIC_RELAXED);
}

/* ---- what a test may not leave behind ---- */

SUPPORT int
threads_here(void)
{
    return count_entries("/proc/self/task");
}

static struct leaks_before {
    long allocations;
    int fds, threads, processes;
} leaks_before;

SUPPORT void *
leaks_no_thread(void *argument)
{
    return argument;
}

SUPPORT int
leaks_start(void **state)
{
    (void)state;
    /* ThreadSanitizer starts a thread of its own with the first of the program's. */
    pthread_t first;
    if (pthread_create(&first, NULL, leaks_no_thread, NULL) != 0 || pthread_join(first, NULL) != 0)
        return -1;
    leaks_before.allocations = live_allocations();
    leaks_before.fds = open_fds();
    leaks_before.threads = threads_here();
    return 0;
}

SUPPORT int
leaks_none(void **state)
{
    (void)state;
    /* A thread that was joined may still be listed; one that a failed test left behind stays, so don't wait for ever. */
    cf_time end = cf_after_ms(10000);
    while (threads_here() > leaks_before.threads && !cf_passed(end))
        (void)sched_yield();
    bool clean = true;
    if (live_allocations() != leaks_before.allocations) {
        print_error("%ld allocations before the test, %ld after it\n", leaks_before.allocations, live_allocations());
        clean = false;
    }
    if (open_fds() != leaks_before.fds) {
        print_error("%d descriptors before the test, %d after it\n", leaks_before.fds, open_fds());
        clean = false;
    }
    if (threads_here() > leaks_before.threads) {
        print_error("%d threads before the test, %d after it\n", leaks_before.threads, threads_here());
        clean = false;
    }
    return clean ? 0 : -1;
}

/* For tests of process pools: nor a process of ours. */
SUPPORT int
leaks_start_processes(void **state)
{
    leaks_before.processes = living_processes();
    return leaks_start(state);
}

SUPPORT int
leaks_none_processes(void **state)
{
    /* Not for ever: a test that failed hasn't closed its pool. */
    cf_time end = cf_after_ms(10000);
    int living;
    while ((living = living_processes()) > leaks_before.processes && !cf_passed(end))
        (void)sched_yield();
    if (living > leaks_before.processes) {
        print_error("%d processes before the test, %d after it\n", leaks_before.processes, living);
        return -1;
    }
    return leaks_none(state);
}

/* Whether to try process pools, of which making the first ended with `error`: there are none with condition variables, nor
 * under valgrind; and where they work badly, the environment says so. */
SUPPORT bool
tries_processes(cf_err error)
{
    return error != CF_ERR_UNSUPPORTED && getenv("CF_TEST_NO_PROCESSES") == NULL;
}

/* What tasks and tests tell each other, in memory that their processes share. */
SUPPORT unsigned
read_note(const unsigned *note)
{
    return __atomic_load_n(note, __ATOMIC_ACQUIRE);
}

SUPPORT void
write_note(unsigned *note, unsigned value)
{
    __atomic_store_n(note, value, __ATOMIC_RELEASE);
}

#undef cmocka_unit_test
#define cmocka_unit_test(test) cmocka_unit_test_setup_teardown(test, leaks_start, leaks_none)

/* ---- threads ---- */

SUPPORT pthread_t
start_thread(void *(*run)(void *), void *argument)
{
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run, argument), 0);
    return thread;
}

SUPPORT void
join_thread(pthread_t thread)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* How many sleep in `event`, whose owner has `mutex`. */
SUPPORT unsigned
sleepers(cf__mutex *mutex, const cf__event *event)
{
    unsigned n = 0;
    cf__mutex_lock(mutex);
    for (const cf__sleeper *sleeper = event->first; sleeper != NULL; sleeper = sleeper->next)
        n++;
    cf__mutex_unlock(mutex);
    return n;
}

/* Wakes the first who sleeps in `event` for nothing, as if somebody else had been quicker, and sees it go to sleep again. */
SUPPORT void
wake_in_vain(cf__mutex *mutex, cf__event *event)
{
    unsigned n = sleepers(mutex, event);
    cf__mutex_lock(mutex);
    cf__sleeper *taken = cf__event_take(event);
    cf__mutex_unlock(mutex);
    assert_non_null(taken);
    cf__sleeper_wake(taken);
    wait_until(sleepers(mutex, event) == n);
}

/* Numbers that several threads add to, and the test looks at. */
SUPPORT void
count_one(unsigned *counter)
{
    (void)__atomic_add_fetch(counter, 1, __ATOMIC_ACQ_REL);
}

SUPPORT unsigned
counted(const unsigned *counter)
{
    return __atomic_load_n(counter, __ATOMIC_ACQUIRE);
}

/* ---- gates ---- */

typedef struct gate { /* fields: M under mutex */
    pthread_mutex_t mutex;
    pthread_cond_t opened;
    bool open;       /* M */
    unsigned inside; /* M: came so far */
} gate;

#define GATE                                                                                                           \
    {                                                                                                                  \
        .mutex = PTHREAD_MUTEX_INITIALIZER, .opened = PTHREAD_COND_INITIALIZER, .open = false, .inside = 0             \
    }

SUPPORT void
gate_pass(gate *g)
{
    (void)pthread_mutex_lock(&g->mutex);
    g->inside++;
    while (!g->open)
        (void)pthread_cond_wait(&g->opened, &g->mutex);
    (void)pthread_mutex_unlock(&g->mutex);
}

SUPPORT void
gate_open(gate *g)
{
    (void)pthread_mutex_lock(&g->mutex);
    g->open = true;
    (void)pthread_cond_broadcast(&g->opened);
    (void)pthread_mutex_unlock(&g->mutex);
}

SUPPORT unsigned
gate_inside(gate *g)
{
    (void)pthread_mutex_lock(&g->mutex);
    unsigned inside = g->inside;
    (void)pthread_mutex_unlock(&g->mutex);
    return inside;
}

#endif
