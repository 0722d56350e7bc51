/* tests/unit/test_process_nested.c - tasks on processes that submit to their own pool, and wait for that.
 * SPDX-License-Identifier: MIT
 * What a task finds out it tells by its result, or by counters in shared memory; only the test's own process asserts.  A task
 * that is to stay pending is one that nobody is there for: its parent's worker is the only one, and isn't lent before it waits.
 * After each test no process of ours lives, and no memory, descriptor or thread is left. */
#include "unit.h"

/* Nobody takes his children back to run them himself, however slow the others are: some are to end their worker. */
#define CF__NESTED_SLICE INT64_C(3600000000000)
#define CF__NESTED_SLICE_LAST INT64_C(7200000000000)
#include "../support/process_pool.h"

#include <cfutures/prepare.h>

enum { HOUR = 3600 * 1000 };

typedef struct notes { /* in memory that all our processes share; fields: A atomic */
    unsigned inside;   /* A: how many tasks wait for the test, or their parent */
    unsigned go_on;    /* A: 1: they needn't any more */
    unsigned runs;     /* A: how often tasks were begun */
    unsigned stopped;  /* A: how many were asked to stop */
} notes;
static notes *shared;

static int
notes_start(void **state)
{
    memset(shared, 0, sizeof *shared);
    return leaks_start_processes(state);
}

/* The pool has its workers, and no stand-in any more. */
static bool
is_back_at_size(cf_executor *pool, int workers)
{
    return is_whole(pool) && living_processes() == leaks_before.processes + workers + 1;
}

/* ---- tasks ---- */

static int
twice(int n)
{
    (void)__atomic_fetch_add(&shared->runs, 1, __ATOMIC_RELAXED);
    return 2 * n;
}
CF_TASK(int, twice, int);

static void
count_run(void)
{
    (void)__atomic_fetch_add(&shared->runs, 1, __ATOMIC_RELAXED);
}
CF_TASK_VOID(count_run);

static long fib(int n, cf_executor *pool);
CF_TASK(long, fib, int, cf_executor *);
static long
fib(int n, cf_executor *pool)
{
    long one = -1;
    if (n < 2)
        return n;
    cf_auto(cf_future) future = cf_submit(pool != NULL ? pool : cf_current_executor(), fib, n - 1, pool);
    long other = fib(n - 2, pool);
    if (cf_result(future, fib, &one, CF_FOREVER) != CF_OK)
        (void)cf_fail(n, "%s", cf_future_message(future));
    return one + other;
}

static void
wait_for_test(void)
{
    (void)__atomic_fetch_add(&shared->inside, 1, __ATOMIC_ACQ_REL);
    while (read_note(&shared->go_on) == 0 && !cf_cancelled())
        (void)sched_yield();
    (void)__atomic_fetch_add(&shared->stopped, cf_cancelled(), __ATOMIC_ACQ_REL);
}
CF_TASK_VOID(wait_for_test);

static int
die(int signal_number)
{
    if (signal_number == 0)
        exit(3);
    (void)raise(signal_number);
    return 0;
}
CF_TASK(int, die, int);

static int
die_once(int n)
{
    if (__atomic_fetch_add(&shared->runs, 1, __ATOMIC_RELAXED) == 0)
        (void)raise(SIGKILL);
    return n + 1;
}
CF_TASK(int, die_once, int);

/* Runs a task without arguments, whose result says which of its checks has failed; 0: none. */
#define assert_task_passes(pool, task)                                                                                 \
    do {                                                                                                               \
        int line_ = -1;                                                                                                \
        cf_future *future_ = cf_submit(pool, task);                                                                    \
        assert_int_equal(cf_result(future_, task, &line_, CF_FOREVER), CF_OK);                                         \
        assert_int_equal(line_, 0);                                                                                    \
        cf_future_release(future_);                                                                                    \
    } while (0)
#define task_check(condition)                                                                                          \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            return __LINE__;                                                                                           \
    } while (0)

/* ---- depth and width ---- */

/* Recursion whose tasks all wait ends, on fewer workers than it is deep: by the pool's handle, and by the current executor. */
static void
test_nested_recursion(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        for (int by_handle = 0; by_handle < 2; by_handle++) {
            long value = -1;
            cf_executor *pool = cf_process_pool(.max_workers = workers);
            cf_future *future = cf_submit(pool, fib, 11, by_handle ? pool : NULL);
            assert_int_equal(cf_result(future, fib, &value, CF_FOREVER), CF_OK);
            assert_int_equal(value, 89);
            cf_future_release(future);
            wait_until(is_back_at_size(pool, (int)workers));
            assert_true(no_child_is_left(pool));
            cf_executor_close(pool);
        }
    }
}

typedef struct levels {
    int all, same_process; /* how many there are; how many were run by who waited for them */
} levels;

static levels descend(int depth, int parent);
CF_TASK(levels, descend, int, int);
static cf_future *awaited; /* by the innermost level in this process */

static levels
descend(int depth, int parent)
{
    levels below = {0, 0};
    if (parent == getpid() && cf_future_wait(awaited, CF_FOREVER) != CF_ERR_DEADLOCK) /* for itself */
        (void)cf_fail(1, "no deadlock");
    if (depth > 1) {
        cf_future *future = cf_submit(cf_current_executor(), descend, depth - 1, getpid());
        awaited = future;
        if (cf_result(future, descend, &below, CF_FOREVER) != CF_OK)
            (void)cf_fail(depth, "%s", cf_future_message(future));
        cf_future_release(future);
    }
    return (levels){below.all + 1, below.same_process + (parent == getpid())};
}

/* There are stand-ins for up to four times as many workers; deeper down a waiter runs the task that it waits for. */
static void
test_nested_depth(void **state)
{
    enum { depth = 40 };
    (void)state;
    levels value = {0, 0};
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *future = cf_submit(pool, descend, depth, 0);
    assert_int_equal(cf_result(future, descend, &value, CF_FOREVER), CF_OK);
    assert_int_equal(value.all, depth);
    assert_in_range(value.same_process, depth - (int)CF__LENT_MOST, depth - 1);
    cf_future_release(future);
    wait_until(is_back_at_size(pool, 1));
    cf_executor_close(pool);
}

enum { MANY = 300 };
static int
have_many(void)
{
    cf_future *futures[MANY];
    for (int i = 0; i < MANY; i++)
        futures[i] = cf_submit(cf_current_executor(), twice, i);
    task_check(cf_wait(futures, MANY, CF_ALL_COMPLETED, CF_FOREVER) == CF_OK);
    for (int i = 0; i < MANY; i++) {
        int value = -1;
        task_check(cf_result(futures[i], twice, &value, CF_NOW) == CF_OK && value == 2 * i);
        cf_future_release(futures[i]);
    }
    return 0;
}
CF_TASK(int, have_many);

/* More children than a worker has slots are all run, once each. */
static void
test_nested_many(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    for (unsigned round = 1; round <= 5; round++) {
        assert_task_passes(pool, have_many);
        assert_int_equal(shared->runs, round * MANY);
    }
    cf_executor_close(pool);
}

static void
spawn_many(void)
{
    for (int i = 0; i < MANY; i++)
        (void)cf_spawn(cf_current_executor(), count_run);
}
CF_TASK_VOID(spawn_many);

/* Takes longer than it takes the test to learn that the parent is done, should it be so too early.  (To wait until the parent's
 * worker sleeps showed that in half of the runs only, this in all.) */
static void
count_slowly(void)
{
    const struct timespec nap = {0, 5000000};
    (void)nanosleep(&nap, NULL); /* NAP: to be slow is its purpose; however slow, the test passes */
    count_run();
}
CF_TASK_VOID(count_slowly);

static void
spawn_slow_ones(void)
{
    for (int i = 0; i < 8; i++)
        (void)cf_spawn(cf_current_executor(), count_slowly);
}
CF_TASK_VOID(spawn_slow_ones);

/* A task isn't done before the children are that it doesn't wait for: also in a shutdown that lets them finish. */
static void
test_nested_spawned(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        cf_executor *pool = cf_process_pool(.max_workers = workers);
        write_note(&shared->runs, 0);
        cf_future *future = cf_submit(pool, spawn_slow_ones);
        assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_OK);
        assert_int_equal(read_note(&shared->runs), 8);
        cf_future_release(future);
        write_note(&shared->runs, MANY);
        for (int i = 0; i < 5; i++)
            assert_int_equal(cf_spawn(pool, spawn_many), CF_OK);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        assert_int_equal(read_note(&shared->runs), 6 * MANY);
        assert_true(no_child_is_left(pool));
        cf_executor_close(pool);
    }
}

/* A drain while tasks wait for each other lets all of them end. */
static void
test_nested_drain(void **state)
{
    enum { tasks = 6 };
    (void)state;
    cf_future *futures[tasks];
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    for (int i = 0; i < tasks; i++)
        futures[i] = cf_submit(pool, fib, 9, pool);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
    for (int i = 0; i < tasks; i++) {
        long value = -1;
        assert_int_equal(cf_result(futures[i], fib, &value, CF_NOW), CF_OK);
        assert_int_equal(value, 34);
        cf_future_release(futures[i]);
    }
    cf_executor_close(pool);
}

/* ---- cancelled, failed, lost ---- */

static int
cancel_pending(void)
{
    int value = -1;
    cf_future *future = cf_submit(cf_current_executor(), twice, 1);
    task_check(cf_future_wait(future, CF_NOW) == CF_ERR_TIMEOUT && !cf_future_done(future));
    task_check(cf_future_cancel(future) && cf_future_cancelled(future));
    task_check(cf_result(future, twice, &value, CF_FOREVER) == CF_ERR_CANCELLED);
    cf_future_release(future);
    return 0;
}
CF_TASK(int, cancel_pending);

static int
cancel_running(void)
{
    cf_future *future = cf_submit(cf_current_executor(), wait_for_test);
    while (read_note(&shared->inside) == 0)
        (void)sched_yield();
    task_check(!cf_future_cancel(future) && !cf_future_cancelled(future));
    task_check(cf_future_wait(future, CF_FOREVER) == CF_OK && read_note(&shared->stopped) == 1);
    task_check(!cf_future_cancel(future));
    cf_future_release(future);
    return 0;
}
CF_TASK(int, cancel_running);

/* A child that is pending is cancelled for good, one that runs is asked to stop. */
static void
test_nested_cancel(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    assert_task_passes(pool, cancel_pending);
    assert_int_equal(shared->runs, 0);
    cf_executor_close(pool);
    pool = cf_process_pool(.max_workers = 2);
    assert_task_passes(pool, cancel_running);
    cf_executor_close(pool);
}

static int
lose_children(void)
{
    int value = -1;
    for (int i = 0; i < 3; i++) {
        cf_future *killed = cf_submit(cf_current_executor(), die, SIGKILL);
        cf_future *ended = cf_submit(cf_current_executor(), die, 0), *well = cf_submit(cf_current_executor(), twice, 4);
        task_check(cf_future_wait(killed, CF_FOREVER) == CF_ERR_WORKER_LOST && cf_future_signal(killed) == SIGKILL);
        task_check(cf_future_account(killed) != NULL && cf_future_account(killed)->signal == SIGKILL);
        task_check(cf_future_wait(ended, CF_FOREVER) == CF_ERR_WORKER_LOST && cf_future_signal(ended) == 0);
        task_check(cf_result(well, twice, &value, CF_FOREVER) == CF_OK && value == 8);
        cf_future_release(killed);
        cf_future_release(ended);
        cf_future_release(well);
    }
    return 0;
}
CF_TASK(int, lose_children);

/* A child that ends its worker is lost; its parent, which waits for it, lives on. */
static void
test_nested_child_dies(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    assert_task_passes(pool, lose_children);
    wait_until(is_back_at_size(pool, 2));
    cf_executor_close(pool);
}

static void
die_with_children(void)
{
    (void)cf_spawn(cf_current_executor(), wait_for_test);
    while (read_note(&shared->inside) == 0)
        (void)sched_yield();
    (void)cf_spawn(cf_current_executor(), count_run); /* nobody is free for it */
    (void)raise(SIGKILL);
}
CF_TASK_VOID(die_with_children);

/* When a task's worker dies, its children that are pending never run, and those that run are asked to stop; the place they
 * had is used again. */
static void
test_nested_parent_dies(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    for (unsigned round = 1; round <= 3; round++) {
        cf_future *future = cf_submit(pool, die_with_children);
        assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_WORKER_LOST);
        cf_future_release(future);
        wait_until(read_note(&shared->stopped) == round && no_child_is_left(pool));
        assert_int_equal(read_note(&shared->runs), 0);
        write_note(&shared->inside, 0);
        wait_until(is_back_at_size(pool, 2));
    }
    assert_task_passes(pool, have_many);
    assert_int_equal(shared->runs, MANY);
    cf_executor_close(pool);
}

/* A shutdown that kills ends parents and children; nobody waits for ever. */
static void
test_nested_kill(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    cf_future *future = cf_submit(pool, cancel_running), *parent = cf_submit(pool, fib, 25, pool);
    assert_int_equal(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, NULL), CF_OK);
    assert_true(cf_future_done(future) && cf_future_done(parent));
    cf_future_release(future);
    cf_future_release(parent);
    cf_executor_close(pool);
}

/* ---- options ---- */

static int
use_options(void)
{
    int value = -1;
    cf_executor *pool = cf_current_executor();
    cf_future *future = cf_submit_with(pool, cf_options(.time_limit_ms = 1), wait_for_test);
    task_check(cf_future_wait(future, CF_FOREVER) == CF_ERR_TIME_LIMIT || read_note(&shared->stopped) == 1);
    cf_future_release(future);
    future = cf_submit_with(pool, cf_options(.retries = 1, .time_limit_ms = HOUR), die_once, 6);
    task_check(cf_result(future, die_once, &value, CF_FOREVER) == CF_OK && value == 7);
    task_check(read_note(&shared->runs) == 2);
    cf_future_release(future);
    future = cf_submit_with(pool, cf_options(.start_by = cf_after_ms(-1)), twice, 1);
    task_check(cf_future_wait(future, CF_FOREVER) == CF_ERR_TIME_LIMIT && read_note(&shared->runs) == 2);
    cf_future_release(future);
    return 0;
}
CF_TASK(int, use_options);

/* Limits and retries of children are those of any task. */
static void
test_nested_options(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    assert_task_passes(pool, use_options);
    cf_executor_close(pool);
}

static int
wait_in_vain(void)
{
    cf_future *future = cf_submit(cf_current_executor(), wait_for_test);
    while (read_note(&shared->inside) == 0)
        (void)sched_yield();
    task_check(cf_future_wait(future, cf_after_ms(1)) == CF_ERR_TIMEOUT);
    write_note(&shared->go_on, 1);
    task_check(cf_future_wait(future, CF_FOREVER) == CF_OK);
    cf_future_release(future);
    return 0;
}
CF_TASK(int, wait_in_vain);

/* A wait ends at its deadline, and may be taken up again. */
static void
test_nested_timeout(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    assert_task_passes(pool, wait_in_vain);
    cf_executor_close(pool);
}

/* ---- what doesn't fit, and what isn't there ---- */

typedef struct large {
    int n[200], process;
} large;

static large
add_one(large with)
{
    for (int i = 0; i < 200; i++)
        with.n[i]++;
    with.process = getpid();
    return with;
}
CF_TASK(large, add_one, large);

static int
pass_large(void)
{
    large value = {{0}, 0};
    value.n[199] = 5;
    cf_future *future = cf_submit(cf_current_executor(), add_one, value);
    task_check(cf_result(future, add_one, &value, CF_FOREVER) == CF_OK);
    task_check(value.n[0] == 1 && value.n[199] == 6 && value.process == getpid());
    cf_future_release(future);
    return 0;
}
CF_TASK(int, pass_large);

/* Arguments and results too large for a slot: the child runs in its parent's process. */
static void
test_nested_large(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    assert_task_passes(pool, pass_large);
    cf_executor_close(pool);
}

static int
map_in_task(void)
{
    int in[MANY], out[MANY];
    for (int i = 0; i < MANY; i++)
        in[i] = i;
    task_check(cf_map(cf_current_executor(), twice, MANY, out, in) == CF_OK);
    for (int i = 0; i < MANY; i++)
        task_check(out[i] == 2 * i);
    return 0;
}
CF_TASK(int, map_in_task);

/* A map in a task runs each item once. */
static void
test_nested_map(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    assert_task_passes(pool, map_in_task);
    assert_int_equal(shared->runs, MANY);
    cf_executor_close(pool);
}

typedef struct elsewhere { /* what a thread of a task's worker does */
    cf_executor *pool;
    cf_future *future;
    cf_err submitted, waited, waited_for_all;
} elsewhere;

static void *
use_in_thread(void *argument)
{
    elsewhere *self = argument;
    self->submitted = cf_spawn(self->pool, twice, 1);
    self->waited = cf_future_wait(self->future, CF_FOREVER);
    self->waited_for_all = cf_wait(&self->future, 1, CF_ALL_COMPLETED, CF_FOREVER);
    return NULL;
}

static int
use_what_is_not_there(void)
{
    pthread_t thread;
    int status = -1;
    cf_executor *pool = cf_current_executor();
    cf_future *future = cf_submit(pool, twice, 1);
    cf_wait_set *set = cf_wait_set_new();
    task_check(cf_future_add_done_callback(future, count_callback, NULL) == CF_ERR_UNSUPPORTED);
    task_check(cf_wait_set_add(set, future, NULL) == CF_ERR_UNSUPPORTED && cf_wait_set_size(set) == 0);
    cf_wait_set_free(set);
    task_check(cf_wait(&future, 1, CF_FIRST_COMPLETED, CF_FOREVER) == CF_ERR_UNSUPPORTED);
    task_check(cf_wait(&future, 1, CF_FIRST_FAILED, CF_FOREVER) == CF_ERR_UNSUPPORTED);
    task_check(cf_wait_for(&future, 1, 1, CF_FOREVER) == CF_ERR_UNSUPPORTED);
    task_check(cf_executor_alloc(pool, 1) == NULL);
    task_check(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL) == CF_ERR_FORKED);
    elsewhere other = {pool, future, CF_OK, CF_OK, CF_OK};
    task_check(pthread_create(&thread, NULL, use_in_thread, &other) == 0 && pthread_join(thread, NULL) == 0);
    task_check(other.submitted == CF_ERR_UNSUPPORTED && other.waited == CF_ERR_UNSUPPORTED);
    task_check(other.waited_for_all == CF_ERR_UNSUPPORTED);
    pid_t child = fork();
    if (child == 0)
        _exit(cf_spawn(pool, twice, 1) == CF_ERR_FORKED && cf_future_wait(future, CF_FOREVER) == CF_ERR_FORKED ? 0 : 1);
    task_check(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    task_check(cf_future_wait(future, CF_FOREVER) == CF_OK); /* and all of it has done no harm */
    task_check(cf_future_add_done_callback(future, count_callback, &shared->stopped) == CF_OK);
    cf_future_release(future);
    return read_note(&shared->stopped) == 1 ? 0 : __LINE__;
}
CF_TASK(int, use_what_is_not_there);

static void
submit_at_start(void *pool)
{
    if (cf_current_executor() != NULL || cf_spawn(*(cf_executor **)pool, count_run) == CF_OK)
        (void)cf_fail(1, "a worker that starts isn't a task");
}

/* Callbacks, wait sets, memory, other threads, forks, workers that start: a clear error each, and no harm done. */
static void
test_nested_refuses(void **state)
{
    static cf_executor *pool; /* not known yet to the workers */
    (void)state;
    pool = cf_process_pool(.max_workers = 1, .on_start = submit_at_start, .on_start_context = &pool);
    assert_int_equal(cf_executor_error(pool), CF_OK);
    assert_task_passes(pool, use_what_is_not_there);
    cf_executor_close(pool);
}

/* ---- which executor ---- */

static int
compare_handles(cf_executor *pool)
{
    int value = -1;
    cf_executor *current = cf_current_executor();
    task_check(current != NULL && cf_executor_error(pool) == CF_OK && cf_executor_error(current) == CF_OK);
    cf_future *future = cf_submit(pool, twice, 21);
    task_check(cf_result(future, twice, &value, CF_FOREVER) == CF_OK && value == 42);
    cf_future_release(future);
    task_check(strcmp(cf_executor_message(pool), cf_strerror(CF_OK)) == 0);
    task_check(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, NULL) == CF_ERR_FORKED);
    task_check(cf_executor_alloc(pool, 1) == NULL && cf_process_pool_resize(pool, 1) == CF_ERR_INVALID);
    task_check(cf_map(pool, twice, 1, &value, &value) == CF_OK && value == 84);
    cf_executor_close(pool); /* isn't the task's to close: nothing */
    task_check(cf_spawn(pool, twice, 1) == CF_OK);
    return 0;
}
CF_TASK(int, compare_handles, cf_executor *);

static int
is_current(cf_executor *pool)
{
    return cf_current_executor() == pool;
}
CF_TASK(int, is_current, cf_executor *);

/* In a task the pool's own handle and the current executor are one; other handles of the program's are none. */
static void
test_nested_handle(void **state)
{
    int value = -1;
    (void)state;
    assert_null(cf_current_executor());
    cf_executor *other = cf_process_pool(.max_workers = 1), *pool = cf_process_pool(.max_workers = 1);
    cf_future *future = cf_submit(pool, compare_handles, pool);
    assert_int_equal(cf_result(future, compare_handles, &value, CF_FOREVER), CF_OK);
    assert_int_equal(value, 0);
    cf_future_release(future);
    future = cf_submit(pool, compare_handles, other);
    assert_int_equal(cf_result(future, compare_handles, &value, CF_FOREVER), CF_OK);
    assert_int_not_equal(value, 0); /* it's a copy of the program's */
    cf_future_release(future);
    cf_executor_close(pool);
    cf_executor_close(other);
    cf_executor *threads = cf_thread_pool(.max_workers = 1), *here = cf_inline_executor();
    assert_int_equal(cf_map(threads, is_current, 1, &value, &threads), CF_OK);
    assert_int_equal(value, 1);
    assert_int_equal(cf_map(here, is_current, 1, &value, &here), CF_OK);
    assert_int_equal(value, 1);
    assert_null(cf_current_executor());
    cf_executor_close(threads);
    cf_executor_close(here);
}

static int
use_threads(void)
{
    int in[8] = {0, 1, 2, 3, 4, 5, 6, 7}, out[8];
    for (int round = 0; round < 3; round++) {
        cf_executor *threads = cf_thread_pool(.max_workers = 2);
        task_check(cf_executor_error(threads) == CF_OK);
        task_check(cf_map(threads, twice, 8, out, in) == CF_OK && out[7] == 14);
        cf_future *future = cf_submit(threads, is_current, threads);
        int value = -1;
        task_check(cf_result(future, is_current, &value, CF_FOREVER) == CF_OK && value == 1);
        cf_future_release(future);
        cf_executor_close(threads);
    }
    task_check(cf_spawn(cf_current_executor(), twice, 1) == CF_OK);
    return 0;
}
CF_TASK(int, use_threads);

/* A task may have a thread pool of its own. */
static void
test_nested_thread_pool(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    for (int i = 0; i < 3; i++)
        assert_task_passes(pool, use_threads);
    cf_executor_close(pool);
}

/* In a prepared program the workers have nothing where the pool's handle points to: it's known by its address. */
static int
use_prepared(void)
{
    int value = -1;
    long number = -1;
    child_check(cf_process_pool_prepare() == CF_OK);
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    child_check(cf_executor_error(pool) == CF_OK);
    cf_future *future = cf_submit(pool, compare_handles, pool);
    child_check(cf_result(future, compare_handles, &value, CF_FOREVER) == CF_OK && value == 0);
    cf_future_release(future);
    future = cf_submit(pool, fib, 9, pool);
    child_check(cf_result(future, fib, &number, CF_FOREVER) == CF_OK && number == 34);
    cf_future_release(future);
    future = cf_submit(pool, use_threads); /* an executor of the task's own may well lie there */
    child_check(cf_result(future, use_threads, &value, CF_FOREVER) == CF_OK && value == 0);
    cf_future_release(future);
    cf_executor_close(pool);
    return 0;
}

static void
test_nested_prepared(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(use_prepared), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, notes_start, leaks_none_processes)
        TEST(test_nested_recursion),   TEST(test_nested_depth),       TEST(test_nested_many),
        TEST(test_nested_spawned),     TEST(test_nested_drain),       TEST(test_nested_cancel),
        TEST(test_nested_child_dies),  TEST(test_nested_parent_dies), TEST(test_nested_kill),
        TEST(test_nested_options),     TEST(test_nested_timeout),     TEST(test_nested_large),
        TEST(test_nested_map),         TEST(test_nested_refuses),     TEST(test_nested_handle),
        TEST(test_nested_thread_pool), TEST(test_nested_prepared),
    };
    shared = shared_memory(sizeof *shared);
    return shared != NULL ? cmocka_run_group_tests(tests, NULL, NULL) : 99;
}
