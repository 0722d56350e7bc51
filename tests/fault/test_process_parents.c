/* tests/fault/test_process_parents.c - whoever made a pool may be killed at any time: none of its processes outlives it.
 * SPDX-License-Identifier: MIT
 *   --seconds N   for parents killed at random times; without it PARENTS of them
 *
 * WHO IS WHO  The test forks *parents*, each makes a pool and is killed.  Its tasks fork *grandchildren*, which stay in the
 *   process group of their worker.
 * WHO IS LEFT  A parent and all that comes from it hold the write end of a pipe: when the read end says so, nobody does.
 * NEWBORN  fork() is wrapped below: a template, or a worker, can be stopped at the very first instant of its life, before it
 *   has done anything to die with its parent. */
#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <sched.h>

enum { NEWBORN_TEMPLATE = 1, NEWBORN_WORKER }; /* generations after the parent */
enum { AT_ONCE = 4 };

typedef struct shared_words { /* fields: A atomic */
    uint32_t stop_newborn;    /* A: of which generation one is to stop at birth; cleared by the first who does */
    uint32_t held;            /* A: it stops again whoever continues it */
    int32_t newborn;          /* A: who has */
    uint32_t busy[AT_ONCE];   /* A: processes of that parent's that are busy: a worker, and grandchildren */
    uint32_t made[AT_ONCE];   /* A: that parent has its pool in the state wanted */
} shared_words;

static shared_words *shared;
static uint32_t forks_deep; /* of this process: 0 the test, and what it forks itself */

static pid_t
fork_and_stop(void)
{
    pid_t process = fork();
    if (process == 0) {
        uint32_t self = ++forks_deep;
        if (__atomic_compare_exchange_n(&shared->stop_newborn, &self, 0, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
            __atomic_store_n(&shared->newborn, getpid(), __ATOMIC_SEQ_CST);
            do
                (void)kill(getpid(), SIGSTOP);
            while (__atomic_load_n(&shared->held, __ATOMIC_SEQ_CST) != 0);
        }
    }
    return process;
}
#define fork() fork_and_stop()

#include <cfutures.h>

static unsigned seconds; /* 0: by counts */

/* ---- a parent ---- */

/* Keeps its worker busy until that is killed, with a child, which has one as well. */
static void
work_for_ever(unsigned parent, unsigned children)
{
    while (children > 0 && (fork)() == 0)
        children--;
    (void)__atomic_add_fetch(&shared->busy[parent], 1, __ATOMIC_RELEASE);
    for (;;)
        (void)pause();
}
CF_TASK_VOID(work_for_ever, unsigned, unsigned);

static int
work_shortly(unsigned turns)
{
    volatile unsigned turn = 0;
    while (turn < turns)
        turn = turn + 1;
    return 0;
}
CF_TASK(int, work_shortly, unsigned);

enum { WITH_BUSY = 1, WITH_GRANDCHILDREN = 2, WITH_STOPPED_WORKER = 4, WITH_STOPPED_TEMPLATE = 8, ALL_KINDS = 16 };

typedef struct parent {
    unsigned index, kind, workers;
    bool kill_template; /* before itself */
    pid_t process;
    int left; /* hangs up when nobody is left */
} parent;

static cf__process_pool *
inside(cf_executor *pool)
{
    return (cf__process_pool *)pool;
}

/* Makes a pool and uses it, until it's killed. */
__attribute__((noreturn)) static void
live(const parent *self)
{
    cf_executor *pool = cf_process_pool(.max_workers = self->workers, .memory = 1 << 20);
    if (cf_executor_error(pool) != CF_OK)
        _exit(1);
    const cf__worker_record *workers = inside(pool)->setup.view.workers;
    if (self->kind & WITH_BUSY) {
        unsigned children = self->kind & WITH_GRANDCHILDREN ? 2 : 0;
        (void)cf_spawn(pool, work_for_ever, self->index, children);
        wait_until(__atomic_load_n(&shared->busy[self->index], __ATOMIC_ACQUIRE) == 1 + children);
    }
    if (self->kind & WITH_STOPPED_WORKER)
        (void)kill(workers[0].process, SIGSTOP);
    if (self->kind & WITH_STOPPED_TEMPLATE)
        (void)kill(inside(pool)->setup.view.arena->template_process, SIGSTOP);
    if (self->kill_template)
        (void)kill(inside(pool)->setup.view.arena->template_process, SIGKILL);
    __atomic_store_n(&shared->made[self->index], 1, __ATOMIC_RELEASE);
    for (;;)
        (void)cf_spawn(pool, work_shortly, 1000);
}

/* Forks a parent as *self says. */
static void
start_parent(parent *self)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    shared->busy[self->index] = shared->made[self->index] = 0;
    self->left = ends[0];
    self->process = (fork)();
    if (self->process == 0)
        live(self);
    (void)close(ends[1]);
    assert_true(self->process > 0);
}

static void
kill_parent(const parent *self)
{
    int status;
    assert_int_equal(kill(self->process, SIGKILL), 0);
    assert_int_equal(waitpid(self->process, &status, 0), self->process);
    assert_true(WIFSIGNALED(status));
}

/* Waits until nobody of a dead parent's is left. */
static void
await_nobody(parent *self)
{
    struct pollfd left = {self->left, POLLIN, 0};
    while (poll(&left, 1, -1) < 0)
        assert_int_equal(errno, EINTR); /* the watchdog doesn't return */
    assert_true(left.revents & POLLHUP);
    (void)close(self->left);
}

/* ---- at any time ---- */

static uint32_t random_state = 12345;

static void
spin_for_some_time(uint32_t most)
{
    random_state = random_state * 1664525u + 1013904223u;
    for (volatile uint32_t left = (random_state >> 8) % most; left > 0; left = left - 1)
        ;
}

/* Parents of all kinds, several at once, killed as they make their pools or use them: nobody outlives them. */
static void
test_parents_killed_leave_nobody(void **state)
{
    enum { PARENTS = 1000 };
    (void)state;
    unsigned killed = 0, made = 0, busy = 0;
    cf_time end = cf_after_ms((int64_t)seconds * 900);
    memset(shared, 0, sizeof *shared);
    while (seconds == 0 ? killed < PARENTS : !cf_passed(end)) {
        parent parents[AT_ONCE];
        for (unsigned i = 0; i < AT_ONCE; i++) {
            unsigned number = killed + i;
            parents[i] = (parent){.index = i, .kind = number % ALL_KINDS, .workers = 1 + number / ALL_KINDS % 3};
            start_parent(&parents[i]);
        }
        for (unsigned i = 0; i < AT_ONCE; i++) {
            /* Half of them as soon as they are forked, so mostly while they make their pools. */
            if ((killed / AT_ONCE + i) % 2 == 0)
                wait_until(__atomic_load_n(&shared->made[i], __ATOMIC_ACQUIRE) != 0);
            spin_for_some_time(500000);
            kill_parent(&parents[i]);
        }
        for (unsigned i = 0; i < AT_ONCE; i++) {
            await_nobody(&parents[i]);
            made += shared->made[i];
            busy += shared->busy[i];
        }
        killed += AT_ONCE;
        (void)alarm(watchdog_seconds());
    }
    wait_until(living_processes() == 0);
    print_message("  %u parents killed, %u with their pool made; %u busy workers and grandchildren; nobody is left\n",
                  killed, made, busy);
    assert_in_range(made, killed / 2, killed - 1);
    assert_true(busy > 0);
}

/* ---- at birth ---- */

/* Clears *shared; then one of that generation stops at birth. */
static void
hold_newborn(uint32_t who)
{
    memset(shared, 0, sizeof *shared);
    shared->held = 1;
    shared->stop_newborn = who;
}

/* Waits until one has stopped.  It is still stopped afterwards, but the next who continues it really does. */
static void
await_newborn(void)
{
    long unused;
    wait_until(__atomic_load_n(&shared->newborn, __ATOMIC_SEQ_CST) != 0 &&
               process_state(shared->newborn, &unused) == 'T');
    __atomic_store_n(&shared->held, 0, __ATOMIC_SEQ_CST);
}

/* A template, or a worker, that was stopped before it could do anything doesn't outlive the parent either. */
static void
test_parents_killed_leave_no_stopped_newborn(void **state)
{
    (void)state;
    for (uint32_t who = NEWBORN_TEMPLATE; who <= NEWBORN_WORKER; who++) {
        for (int kill_template = 0; kill_template < (who == NEWBORN_WORKER ? 2 : 1); kill_template++) {
            parent self = {.workers = 2, .kill_template = kill_template != 0};
            hold_newborn(who);
            start_parent(&self);
            if (who == NEWBORN_WORKER)
                wait_until(__atomic_load_n(&shared->made[0], __ATOMIC_ACQUIRE) != 0);
            await_newborn();
            kill_parent(&self);
            await_nobody(&self);
        }
    }
}

/* Nor, if the template alone is killed, does such a worker outlive the pool. */
static void
test_parents_closed_pool_leaves_no_stopped_newborn(void **state)
{
    (void)state;
    hold_newborn(NEWBORN_WORKER);
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    await_newborn();
    assert_int_equal(kill(inside(pool)->setup.view.arena->template_process, SIGKILL), 0);
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parents_killed_leave_no_stopped_newborn),
        cmocka_unit_test(test_parents_closed_pool_leaves_no_stopped_newborn),
        cmocka_unit_test(test_parents_killed_leave_nobody),
    };
    seconds = soak_seconds(argc, argv, 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return shared == MAP_FAILED ? 99 : cmocka_run_group_tests(tests, NULL, NULL);
}
