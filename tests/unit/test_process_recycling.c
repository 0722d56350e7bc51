/* tests/unit/test_process_recycling.c - workers that leave and come: after so many tasks or bytes, when idle, by resize.
 * SPDX-License-Identifier: MIT
 * After each test no process of ours lives, and no memory, descriptor or thread is left. */
#include "unit.h"

#define CF__PROCESS_GRACE INT64_C(60000000000) /* a worker that starts when the pool closes has time for its on_stop */
#include <cfutures.h>

enum { MOST = 64 };

typedef struct notes {      /* in memory that all our processes share; fields: A atomic */
    unsigned inside;        /* A: tasks that wait now */
    unsigned open;          /* A: they may go on */
    unsigned starts, stops; /* A: of workers */
} notes;
static notes *shared;

static int
notes_start(void **state)
{
    memset(shared, 0, sizeof *shared);
    return leaks_start_processes(state);
}

static void
count_start(void *context)
{
    (void)__atomic_fetch_add(&((notes *)context)->starts, 1, __ATOMIC_ACQ_REL);
}

static void
count_stop(void *context)
{
    (void)__atomic_fetch_add(&((notes *)context)->stops, 1, __ATOMIC_ACQ_REL);
}

static int
own_process(int unused)
{
    (void)unused;
    return (int)getpid();
}
CF_TASK(int, own_process, int);

/* Keeps so many bytes for ever. */
static int
leak(size_t size)
{
    volatile unsigned char *p = malloc(size);
    for (size_t i = 0; p != NULL && i < size; i += 4096)
        p[i] = 1;
    return (int)getpid();
}
CF_TASK(int, leak, size_t);

/* Waits inside until the test opens. */
static int
wait_inside(int n)
{
    (void)__atomic_fetch_add(&shared->inside, 1, __ATOMIC_ACQ_REL);
    while (read_note(&shared->open) == 0)
        (void)sched_yield();
    (void)__atomic_fetch_sub(&shared->inside, 1, __ATOMIC_ACQ_REL);
    return n;
}
CF_TASK(int, wait_inside, int);

static int
run_one(cf_executor *pool)
{
    int process = 0;
    cf_future *f = cf_submit(pool, own_process, 0);
    assert_int_equal(cf_result(f, own_process, &process, CF_FOREVER), CF_OK);
    cf_future_release(f);
    return process;
}

/* How many workers there are: all processes but the template. */
static int
workers_here(void)
{
    return living_processes() - 1;
}

/* As many as that, each of which has begun by count_start(), and those that have left did so by count_stop(). */
static bool
have_left_but(unsigned count)
{
    return workers_here() == (int)count && read_note(&shared->starts) - read_note(&shared->stops) == count;
}

/* `count` tasks are inside at once, so as many workers must be there. */
static void
assert_runs_at_once(cf_executor *pool, unsigned count)
{
    cf_future *futures[MOST];
    __atomic_store_n(&shared->open, 0, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < count; i++)
        futures[i] = cf_submit(pool, wait_inside, (int)i);
    wait_until(read_note(&shared->inside) == count);
    __atomic_store_n(&shared->open, 1, __ATOMIC_RELEASE);
    for (unsigned i = 0; i < count; i++) {
        int value = -1;
        assert_int_equal(cf_result(futures[i], wait_inside, &value, CF_FOREVER), CF_OK);
        assert_int_equal(value, i);
        cf_future_release(futures[i]);
    }
}

/* ---- after so many tasks, so much memory ---- */

/* A worker leaves after its tasks; each task runs once, in time, and on_stop is called. */
static void
test_max_tasks_per_worker(void **state)
{
    enum { tasks = 12 };
    int process[tasks];
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1, .max_tasks_per_worker = 3, .on_start = count_start,
                                        .on_stop = count_stop, .on_start_context = shared);
    for (int i = 0; i < tasks; i++)
        process[i] = run_one(pool);
    for (int i = 1; i < tasks; i++)
        assert_int_equal(process[i] == process[i - 1], i % 3 != 0);
    cf_executor_close(pool);
    assert_int_equal(read_note(&shared->starts), read_note(&shared->stops));
    assert_in_range(read_note(&shared->starts), tasks / 3, tasks / 3 + 1);
}

/* Many tasks that are submitted at once: none is lost in all the leaving. */
static void
test_max_tasks_loses_none(void **state)
{
    enum { tasks = 500 };
    cf_future *futures[tasks];
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 3, .max_tasks_per_worker = 1);
    for (int i = 0; i < tasks; i++)
        futures[i] = cf_submit(pool, own_process, i);
    for (int i = 0; i < tasks; i++) {
        assert_int_equal(cf_future_wait(futures[i], CF_FOREVER), CF_OK);
        cf_future_release(futures[i]);
    }
    cf_executor_close(pool);
}

/* A worker that owns too much leaves, and one that doesn't stays. */
static void
test_max_memory_per_worker(void **state)
{
    int before = 0, process = 0;
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1, .max_memory_per_worker = (size_t)64 << 20,
                                        .on_start = count_start, .on_stop = count_stop, .on_start_context = shared);
    before = run_one(pool);
    for (int i = 0; i < 20; i++)
        assert_int_equal(run_one(pool), before);
    cf_future *f = cf_submit(pool, leak, (size_t)160 << 20);
    assert_int_equal(cf_result(f, leak, &process, CF_FOREVER), CF_OK);
    assert_int_equal(process, before);
    cf_future_release(f);
    wait_until(run_one(pool) != before); /* it looks now and then */
    wait_until(have_left_but(1));
    assert_int_equal(read_note(&shared->stops), 1);
    cf_executor_close(pool);
}

/* ---- idle workers ---- */

/* Those that have nothing to do leave, but for the least; when there is work for more, they come back. */
static void
test_idle_workers_leave_and_come_back(void **state)
{
    (void)state;
    for (unsigned least = 0; least < 3; least++) {
        memset(shared, 0, sizeof *shared);
        cf_executor *pool = cf_process_pool(.max_workers = 4, .min_workers = least, .idle_timeout_ms = 5,
                                            .on_start = count_start, .on_stop = count_stop, .on_start_context = shared);
        for (int i = 0; i < 3; i++) {
            wait_until(have_left_but(least == 0 ? 1 : least));
            assert_runs_at_once(pool, 4);
        }
        assert_true(workers_here() <= 4);
        cf_executor_close(pool);
    }
}

/* With tasks one after another the last one stays, and takes each. */
static void
test_idle_timeout_loses_no_task(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 3, .idle_timeout_ms = 1);
    cf_time end = cf_after_ms(300);
    while (!cf_passed(end)) {
        cf_time pause =
            cf_after_ns(700000 + (end % 7) * 100000); /* about as long as the timeout: leaving meets submitting */
        (void)run_one(pool);
        while (!cf_passed(pause))
            (void)sched_yield();
        end += 1;
    }
    cf_executor_close(pool);
}

static int
wait_for_child(int n)
{
    int value = -1;
    cf_future *child = cf_submit(cf_current_executor(), wait_inside, n);
    cf_err error = cf_result(child, wait_inside, &value, CF_FOREVER);
    cf_future_release(child);
    return error == CF_OK ? value : -1;
}
CF_TASK(int, wait_for_child, int);

/* A worker that has stood in for one that waits, and is then wanted for its own sake, leaves as any other. */
static void
test_idle_stand_in_leaves(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1, .idle_timeout_ms = 150);
    cf_future *parent = cf_submit(pool, wait_for_child, 1);
    wait_until(read_note(&shared->inside) == 1); /* in a stand-in */
    assert_int_equal(cf_process_pool_resize(pool, 2), CF_OK);
    cf_future *other = cf_submit(pool, wait_inside, 2);
    wait_until(read_note(&shared->inside) == 2);
    __atomic_store_n(&shared->open, 1, __ATOMIC_RELEASE);
    assert_int_equal(cf_future_wait(parent, CF_FOREVER), CF_OK);
    assert_int_equal(cf_future_wait(other, CF_FOREVER), CF_OK);
    wait_until(workers_here() == 1);
    cf_future_release(parent);
    cf_future_release(other);
    cf_executor_close(pool);
}

/* ---- resize ---- */

static void
test_resize(void **state)
{
    (void)state;
    cf_executor *pool =
        cf_process_pool(.max_workers = 2, .on_start = count_start, .on_stop = count_stop, .on_start_context = shared);
    assert_runs_at_once(pool, 2);
    assert_int_equal(cf_process_pool_resize(pool, 5), CF_OK);
    assert_runs_at_once(pool, 5);
    wait_until(workers_here() == 5);
    assert_int_equal(cf_process_pool_resize(pool, 1), CF_OK);
    wait_until(have_left_but(1));
    assert_runs_at_once(pool, 1);
    assert_int_equal(workers_here(), 1);
    assert_int_equal(cf_process_pool_resize(pool, 3), CF_OK);
    assert_runs_at_once(pool, 3);
    cf_executor_close(pool);

    /* The least there are to be comes back with the most. */
    pool = cf_process_pool(.max_workers = 4, .min_workers = 3, .idle_timeout_ms = 5);
    assert_int_equal(cf_process_pool_resize(pool, 1), CF_OK);
    wait_until(workers_here() == 1);
    assert_int_equal(cf_process_pool_resize(pool, 4), CF_OK);
    assert_int_equal(((cf__process_pool *)pool)->least, 3);
    assert_runs_at_once(pool, 4);
    wait_until(workers_here() == 3);
    cf_executor_close(pool);
}

/* A worker that has a task in hand finishes it before it leaves; what is queued is left to the others. */
static void
test_resize_while_busy(void **state)
{
    enum { tasks = 40 };
    cf_future *futures[tasks];
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 4);
    for (int i = 0; i < tasks; i++)
        futures[i] = cf_submit(pool, wait_inside, i);
    wait_until(read_note(&shared->inside) == 4);
    assert_int_equal(cf_process_pool_resize(pool, 1), CF_OK);
    __atomic_store_n(&shared->open, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < tasks; i++) {
        int value = -1;
        assert_int_equal(cf_result(futures[i], wait_inside, &value, CF_FOREVER), CF_OK);
        assert_int_equal(value, i);
        cf_future_release(futures[i]);
    }
    wait_until(workers_here() == 1);
    cf_executor_close(pool);
}

/* From several threads, while others submit. */
typedef struct resizer {
    cf_executor *pool;
    unsigned *quit; /* A */
} resizer;

static void *
resizer_main(void *argument)
{
    const resizer *self = argument;
    for (unsigned i = 0; __atomic_load_n(self->quit, __ATOMIC_ACQUIRE) == 0; i++) {
        if (cf_process_pool_resize(self->pool, 1 + i % 6) != CF_OK)
            return argument;
        (void)sched_yield();
    }
    return NULL;
}

static void
test_resize_among_submits(void **state)
{
    enum { threads = 2 };
    pthread_t thread[threads];
    unsigned quit = 0;
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 3, .max_tasks_per_worker = 50);
    resizer self = {pool, &quit};
    for (int i = 0; i < threads; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, resizer_main, &self), 0);
    for (int i = 0; i < 2000; i++)
        (void)run_one(pool);
    __atomic_store_n(&quit, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < threads; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(thread[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(cf_process_pool_resize(pool, 2), CF_OK);
    assert_runs_at_once(pool, 2);
    wait_until(workers_here() == 2);
    cf_executor_close(pool);
}

/* What can't be: no workers, more than there is room for, an executor of another kind, one that has failed. */
static void
test_resize_refused(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    assert_int_equal(cf_process_pool_resize(pool, 0), CF_ERR_INVALID);
    assert_int_equal(cf_process_pool_resize(pool, 65), CF_ERR_INVALID);
    assert_int_equal(cf_process_pool_resize(pool, 64), CF_OK);
    cf_executor_close(pool);
    pool = cf_thread_pool(.max_workers = 2);
    assert_int_equal(cf_process_pool_resize(pool, 2), CF_ERR_INVALID);
    cf_executor_close(pool);
    pool = cf_process_pool(.max_workers = 2, .min_workers = 3);
    assert_int_equal(cf_executor_error(pool), CF_ERR_INVALID);
    assert_int_equal(cf_process_pool_resize(pool, 2), CF_ERR_INVALID);
    cf_executor_close(pool);
    pool = cf_executor_new_failed(CF_ERR_SYSTEM, "no");
    assert_int_equal(cf_process_pool_resize(pool, 2), CF_ERR_SYSTEM);
    cf_executor_close(pool);
    assert_int_equal(cf_process_pool_resize(NULL, 2), CF_ERR_INVALID);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, notes_start, leaks_none_processes)
        TEST(test_max_tasks_per_worker),
        TEST(test_max_tasks_loses_none),
        TEST(test_max_memory_per_worker),
        TEST(test_idle_workers_leave_and_come_back),
        TEST(test_idle_timeout_loses_no_task),
        TEST(test_idle_stand_in_leaves),
        TEST(test_resize),
        TEST(test_resize_while_busy),
        TEST(test_resize_among_submits),
        TEST(test_resize_refused),
    };
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
