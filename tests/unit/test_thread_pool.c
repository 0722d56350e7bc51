/* tests/unit/test_thread_pool.c - thread_pool.h
 * SPDX-License-Identifier: MIT
 * The tests look at private fields, under the pool's mutex, to know when somebody sleeps. */
#include "unit.h"

#include "thread_pool.h"

/* ---- helpers ---- */

static size_t
pending(cf_executor *pool)
{
    cf__mutex_lock(&inside(pool)->mutex);
    size_t ran, n = cf__thread_pool_left(inside(pool), &ran);
    cf__mutex_unlock(&inside(pool)->mutex);
    return n;
}

/* Of max_pending places, those that are taken: a moment longer than pending() counts the task. */
static size_t
places(cf_executor *pool)
{
    cf__mutex_lock(&inside(pool)->mutex);
    size_t n = inside(pool)->pending;
    cf__mutex_unlock(&inside(pool)->mutex);
    return n;
}

static size_t
queued(cf_executor *pool)
{
    cf__mutex_lock(&inside(pool)->mutex);
    size_t n = 0;
    for (int i = 0; i < CF__PRIORITIES; i++)
        for (cf_future *f = inside(pool)->injection[i].first; f != NULL; f = f->next)
            n++;
    for (uint32_t i = 0; i < inside(pool)->high; i++) {
        cf__deque *deque = &inside(pool)->workers[i]->futures;
        n += (size_t)(cf__load_seq_cst(&deque->bottom) - cf__load_seq_cst(&deque->top));
    }
    cf__mutex_unlock(&inside(pool)->mutex);
    return n;
}

static unsigned
idle(cf_executor *pool)
{
    return sleepers(&inside(pool)->mutex, &inside(pool)->work);
}

static unsigned
waiting_for_room(cf_executor *pool)
{
    return sleepers(&inside(pool)->mutex, &inside(pool)->room);
}

static unsigned
shutting_down(cf_executor *pool)
{
    return sleepers(&inside(pool)->mutex, &inside(pool)->quiet);
}

/* ---- tasks ---- */

static int
twice(int n)
{
    return 2 * n;
}
CF_TASK(int, twice, int);

static int
pass(gate *g, int n)
{
    gate_pass(g);
    return n;
}
CF_TASK(int, pass, gate *, int);

static void
count_up(unsigned *counter)
{
    count_one(counter);
}
CF_TASK_VOID(count_up, unsigned *);

static void
until_asked(unsigned *asked)
{
    count_one(asked);
    wait_until(cf_cancelled());
}
CF_TASK_VOID(until_asked, unsigned *);

#define EXPECT(future, fn, expected)                                                                                   \
    do {                                                                                                               \
        int cf_test_value = -12345;                                                                                    \
        assert_int_equal(cf_result(future, fn, &cf_test_value, CF_FOREVER), CF_OK);                                    \
        assert_int_equal(cf_test_value, expected);                                                                     \
    } while (0)

/* ---- records ---- */

#define BLOCK_TASK(size, alignment)                                                                                    \
    typedef struct block##size##_##alignment {                                                                         \
        _Alignas(alignment) unsigned char bytes[size];                                                                 \
    } block##size##_##alignment;                                                                                       \
    static block##size##_##alignment keep##size##_##alignment(block##size##_##alignment in)                            \
    {                                                                                                                  \
        return in;                                                                                                     \
    }                                                                                                                  \
    CF_TASK(block##size##_##alignment, keep##size##_##alignment, block##size##_##alignment)
BLOCK_TASK(1, 1);
BLOCK_TASK(24, 8);
BLOCK_TASK(28, 4);
BLOCK_TASK(29, 1);
BLOCK_TASK(16, 16);
BLOCK_TASK(32, 16);
BLOCK_TASK(64, 8);

/* Records lie side by side: arguments and result of each are kept, and aligned, whether or not they find room in a cell. */
static void
test_pool_records_are_apart(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2);
#define CHECK_BLOCKS(size, alignment)                                                                                  \
    do {                                                                                                               \
        cf_future *futures[COUNT];                                                                                     \
        for (int i = 0; i < COUNT; i++) {                                                                              \
            block##size##_##alignment in;                                                                              \
            memset(&in, i + 1, sizeof in);                                                                             \
            futures[i] = cf_submit(pool, keep##size##_##alignment, in);                                                \
        }                                                                                                              \
        assert_int_equal(cf_wait(futures, COUNT, CF_ALL_COMPLETED, CF_FOREVER), CF_OK);                                \
        for (int i = 0; i < COUNT; i++) {                                                                              \
            const unsigned char *out = cf_future_peek(futures[i]);                                                     \
            assert_non_null(out);                                                                                      \
            assert_int_equal((uintptr_t)out % alignment, 0);                                                           \
            for (size_t byte = 0; byte < size; byte++)                                                                 \
                assert_int_equal(out[byte], i + 1);                                                                    \
        }                                                                                                              \
        for (int i = 0; i < COUNT; i++)                                                                                \
            cf_future_release(futures[i]);                                                                             \
    } while (0)
    CHECK_BLOCKS(1, 1);
    CHECK_BLOCKS(24, 8);
    CHECK_BLOCKS(28, 4);
    CHECK_BLOCKS(29, 1);
    CHECK_BLOCKS(16, 16);
    CHECK_BLOCKS(32, 16);
    CHECK_BLOCKS(64, 8);
#undef CHECK_BLOCKS
}

/* ---- threads ---- */

/* A thread is started only when there is a task and no worker waits for one, and never more than max_workers. */
static void
test_pool_starts_threads_on_demand(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 3);
    assert_int_equal(cf_executor_error(pool), CF_OK);
    assert_int_equal(living(pool), 0);
    for (int i = 0; i < 5; i++) { /* one after the other: one thread does */
        cf_auto(cf_future) f = cf_submit(pool, twice, i);
        EXPECT(f, twice, 2 * i);
        wait_until(idle(pool) == 1);
        assert_int_equal(living(pool), 1);
    }
    gate g = GATE;
    cf_future *futures[6];
    for (int i = 0; i < 6; i++) {
        futures[i] = cf_submit(pool, pass, &g, i);
        /* The one that was idle calls the next; it may call one more, while that hasn't come for its task yet. */
        wait_until(living(pool) >= (i < 3 ? (unsigned)i + 1 : 3));
        assert_true(living(pool) <= 3);
    }
    wait_until(gate_inside(&g) == 3);
    assert_int_equal(queued(pool), 3);
    assert_int_equal(pending(pool), 6);
    gate_open(&g);
    for (int i = 0; i < 6; i++) {
        EXPECT(futures[i], pass, i);
        cf_future_release(futures[i]);
    }
    assert_int_equal(gate_inside(&g), 6);
}

/* Without options there are as many threads as usable CPUs and four, at most 32. */
static void
test_pool_default_size(void **state)
{
    (void)state;
    static const struct {
        const char *cpus;
        unsigned workers;
    } rows[] = {{"1", 5}, {"7", 11}, {"28", 32}, {"29", 32}, {"100000", 32}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(setenv("CF_WORKERS", rows[i].cpus, 1), 0);
        cf_auto(cf_executor) pool = cf_thread_pool();
        assert_int_equal(inside(pool)->options.max_workers, rows[i].workers);
        cf_auto(cf_executor) other = cf_thread_pool_with(NULL);
        assert_int_equal(inside(other)->options.max_workers, rows[i].workers);
        assert_true(inside(pool)->options.max_pending == SIZE_MAX);
    }
    assert_int_equal(unsetenv("CF_WORKERS"), 0);
}

/* Options of a program compiled against an older, shorter struct are taken as far as they go. */
static void
test_pool_options_may_be_shorter(void **state)
{
    (void)state;
    cf_pool_opts old = {.struct_size = offsetof(cf_pool_opts, max_pending),
                        .max_workers = 1,
                        .name = "old",
                        .max_pending = 1,
                        .stack_size = 1};
    cf_auto(cf_executor) pool = cf_thread_pool_with(&old);
    memset(&old, 0xff, sizeof old); /* copied */
    assert_int_equal(inside(pool)->options.max_workers, 1);
    assert_true(inside(pool)->options.max_pending == SIZE_MAX);
    assert_int_equal(inside(pool)->options.stack_size, 0);
    cf_auto(cf_future) f = cf_submit(pool, twice, 2);
    EXPECT(f, twice, 4);
}

static int
asks_mask(sigset_t *blocked)
{
    return pthread_sigmask(SIG_SETMASK, NULL, blocked);
}
CF_TASK(int, asks_mask, sigset_t *);

/* Workers block signals, so that handlers run on the program's own threads; those of a crash stay open. */
static void
test_pool_workers_block_signals(void **state)
{
    (void)state;
    sigset_t blocked;
    (void)sigemptyset(&blocked);
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    cf_auto(cf_future) f = cf_submit(pool, asks_mask, &blocked);
    EXPECT(f, asks_mask, 0);
    assert_int_equal(sigismember(&blocked, SIGINT), 1);
    assert_int_equal(sigismember(&blocked, SIGALRM), 1);
    assert_int_equal(sigismember(&blocked, SIGCHLD), 1);
    assert_int_equal(sigismember(&blocked, SIGSEGV), 0);
    assert_int_equal(sigismember(&blocked, SIGABRT), 0);
}

static int
deep(int size)
{
    volatile char room[512 * 1024];
    room[0] = 1;
    room[sizeof room - 1] = 2;
    return room[0] + room[sizeof room - 1] + size;
}
CF_TASK(int, deep, int);

/* A stack of the size asked for has room for that much. */
static void
test_pool_stack_size(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1, .stack_size = 2 << 20);
    assert_int_equal(inside(pool)->options.stack_size, 2 << 20);
    cf_auto(cf_future) f = cf_submit(pool, deep, 1);
    EXPECT(f, deep, 4);
    cf_auto(cf_executor) tiny = cf_thread_pool(.max_workers = 1, .stack_size = 1); /* the system refuses it */
    cf_auto(cf_future) g = cf_submit(tiny, deep, 1);
    assert_int_equal(cf_future_wait(g, CF_FOREVER), CF_ERR_SYSTEM);
}

/* However many workers are asked for, those that are needed come: a blocked task doesn't hold up the next. */
static void
test_pool_of_very_many(void **state)
{
    static const unsigned counts[] = {65535, 65536, 65537, 70000, 1000000, UINT_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = counts[i]);
        gate g = GATE;
        assert_int_equal(cf_executor_error(pool), CF_OK);
        cf_auto(cf_future) first = cf_submit(pool, pass, &g, 1);
        wait_until(gate_inside(&g) == 1);
        cf_auto(cf_future) second = cf_submit(pool, twice, 2);
        EXPECT(second, twice, 4);
        gate_open(&g);
        assert_int_equal(cf_future_wait(first, CF_FOREVER), CF_OK);
    }
}

/* ---- threads that don't start ---- */

/* Without a single thread a submit fails with the system's error; the next one tries again. */
static void
test_pool_first_thread_fails(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2);
    int value = 42;
    fault_fail_nth("thread_start", 1, EAGAIN);
    cf_auto(cf_future) f = cf_submit(pool, twice, 1);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_SYSTEM);
    assert_int_equal(cf_result(f, twice, &value, CF_FOREVER), CF_ERR_SYSTEM);
    assert_int_equal(value, 42);
    char expected[100];
    (void)snprintf(expected, sizeof expected, "errno %d", EAGAIN);
    assert_non_null(strstr(cf_future_message(f), expected));
    assert_int_equal(pending(pool), 0);
    assert_int_equal(cf_executor_error(pool), CF_OK);
    fault_fail_nth("thread_start", 1, EAGAIN);
    assert_int_equal(cf_spawn(pool, twice, 1), CF_ERR_SYSTEM);
    cf_auto(cf_future) next = cf_submit(pool, twice, 2);
    EXPECT(next, twice, 4);
}

static int
waits_for_either(cf_executor *pool)
{
    cf_future *futures[2];
    for (int i = 0; i < 2; i++)
        futures[i] = cf_submit(pool, twice, i);
    cf_err error = cf_wait(futures, 2, CF_FIRST_COMPLETED, CF_FOREVER);
    for (int i = 0; i < 2; i++)
        cf_future_release(futures[i]);
    return error == CF_OK ? 0 : -1;
}
CF_TASK(int, waits_for_either, cf_executor *);

/* A task that waits for what no thread can be had for tries again, for perhaps nobody else does. */
static void
test_pool_waiter_starts_threads_later(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 4);
    fault_fail_from("thread_start", 2, EAGAIN);
    cf_auto(cf_future) f = cf_submit(pool, waits_for_either, pool);
    wait_until(blocked(pool) == 1);
    fault_clear();
    EXPECT(f, waits_for_either, 0);
}

/* A pool that can get no more threads goes on with those it has. */
static void
test_pool_later_thread_fails(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 3);
    gate g = GATE;
    cf_future *futures[4];
    fault_fail_from("thread_start", 2, EAGAIN);
    for (int i = 0; i < 4; i++) {
        futures[i] = cf_submit(pool, pass, &g, i);
        wait_until(gate_inside(&g) == 1); /* nobody looks for work any more, so the next submit wants one more thread */
    }
    assert_int_equal(living(pool), 1);
    assert_int_equal(fault_fired("thread_start"), 3);
    gate_open(&g);
    for (int i = 0; i < 4; i++) {
        EXPECT(futures[i], pass, i);
        cf_future_release(futures[i]);
    }
    assert_int_equal(living(pool), 1);
}

/* ---- order and room ---- */

typedef struct diary { /* written by one worker, read when it's done */
    int entries[100];  /* some segments of the injection, see scheduler.h */
    int count;
} diary;

static void
writes(diary *d, int what)
{
    d->entries[d->count++] = what;
}
CF_TASK_VOID(writes, diary *, int);

/* Tasks start in the order of their submits, whether workers take one or many at a time; and none is left out when all are
 * cancelled. */
static void
test_pool_is_first_come_first_served(void **state)
{
    (void)state;
    static const size_t limits[] = {0, 200, 0}; /* a pool with a limit takes one at a time */
    for (size_t round = 0; round < 3; round++) {
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1, .max_pending = limits[round]);
        gate g = GATE;
        diary d = {{0}, 0};
        cf_shutdown_report report;
        assert_int_equal(cf_spawn(pool, pass, &g, 0), CF_OK);
        wait_until(gate_inside(&g) == 1);
        for (int i = 0; i < 100; i++)
            assert_int_equal(cf_spawn(pool, writes, &d, i), CF_OK);
        if (round == 2)
            assert_int_equal(cf_executor_shutdown(pool, CF_CANCEL_PENDING, CF_NOW, &report), CF_ERR_TIMEOUT);
        gate_open(&g);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        if (round == 2)
            assert_int_equal(report.cancelled, 100);
        assert_int_equal(d.count, round == 2 ? 0 : 100);
        for (int i = 0; i < d.count; i++)
            assert_int_equal(d.entries[i], i);
    }
}

typedef struct spreader {
    gate start, end;
} spreader;

static void
nothing(void)
{
}
CF_TASK_VOID(nothing);

/* Its own tasks run newest first, so the one that waits comes last; and every 61st time one from outside comes between. */
static void
spreads(spreader *s)
{
    cf_executor *pool = cf_current_executor();
    cf_err error = cf_spawn(pool, pass, &s->end, 0);
    for (int i = 0; i < 125 && error == CF_OK; i++)
        error = cf_spawn(pool, nothing);
    if (error != CF_OK)
        cf_fail((int)error, "%s", cf_strerror(error));
    gate_pass(&s->start);
}
CF_TASK_VOID(spreads, spreader *);

/* The same where a worker takes some one by one, more come, and then it takes many at a time. */
static void
test_pool_keeps_order_when_it_takes_one_and_then_many(void **state)
{
    (void)state;
    for (int before = 20; before <= 40; before += 20) { /* one segment, which grows later, or two */
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
        spreader s = {GATE, GATE};
        diary d = {{0}, 0};
        cf_auto(cf_future) first = cf_submit(pool, spreads, &s);
        wait_until(gate_inside(&s.start) == 1);
        for (int i = 0; i < before; i++)
            assert_int_equal(cf_spawn(pool, writes, &d, i), CF_OK);
        gate_open(&s.start);
        wait_until(gate_inside(&s.end) == 1);
        assert_in_range(d.count, 1, 10);
        for (int i = before; i < 100; i++)
            assert_int_equal(cf_spawn(pool, writes, &d, i), CF_OK);
        gate_open(&s.end);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        assert_int_equal(cf_future_wait(first, CF_NOW), CF_OK);
        assert_int_equal(d.count, 100);
        for (int i = 0; i < 100; i++)
            assert_int_equal(d.entries[i], i);
    }
}

typedef struct submitter { /* future is read after the join */
    cf_executor *pool;
    cf_future *future;
    cf_time deadline;
    int n;
} submitter;

static void *
submits(void *argument)
{
    submitter *s = argument;
    s->future = cf_submit_with(s->pool, cf_options(.deadline = s->deadline), twice, s->n);
    return NULL;
}

typedef struct ender { /* a shutdown in a thread; read after the join */
    cf_executor *pool;
    cf_shutdown_mode mode;
    cf_shutdown_report report;
    cf_err error;
} ender;

static void *
ends(void *argument)
{
    ender *e = argument;
    e->error = cf_executor_shutdown(e->pool, e->mode, CF_FOREVER, &e->report);
    return NULL;
}

/* A submit to a pool with max_pending tasks, running ones included, waits; each task that ends lets one go on. */
static void
test_pool_max_pending_waits(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1, .max_pending = 2);
    gate first = GATE, second = GATE;
    assert_int_equal(cf_spawn(pool, pass, &first, 1), CF_OK);
    assert_int_equal(cf_spawn(pool, pass, &second, 2), CF_OK);
    assert_int_equal(pending(pool), 2);
    submitter s[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        s[i] = (submitter){pool, NULL, i == 0 ? 0 : cf_after_ms(3600000), i};
        threads[i] = start_thread(submits, &s[i]);
        wait_until(waiting_for_room(pool) == (unsigned)i + 1);
    }
    gate_open(&first);
    wait_until(gate_inside(&second) == 1);
    wait_until(waiting_for_room(pool) == 1); /* one task has ended, so one submitter went on */
    join_thread(threads[0]);
    assert_int_equal(pending(pool), 2);
    gate_open(&second);
    join_thread(threads[1]);
    for (int i = 0; i < 2; i++) {
        EXPECT(s[i].future, twice, 2 * i);
        cf_future_release(s[i].future);
    }
}

/* How many futures the pool has memory for without asking for more. */
static unsigned
fresh_cells(cf_executor *pool)
{
    cf__mutex_lock(&inside(pool)->mutex);
    unsigned n = inside(pool)->slab->fresh_count;
    cf__mutex_unlock(&inside(pool)->mutex);
    return n;
}

/* A submitter that was woken for room and then finds no memory passes the room on. */
static void
test_pool_max_pending_without_memory(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1, .max_pending = 1);
    gate g = GATE;
    cf_future *kept[100];
    int count = 0;
    do {
        assert_in_range(count, 0, 98);
        kept[count] = cf_submit(pool, twice, count);
        EXPECT(kept[count], twice, 2 * count);
        count++;
    } while (fresh_cells(pool) != 1);
    kept[count++] = cf_submit(pool, pass, &g, 1); /* the last of the memory there is */
    submitter s[2];
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) {
        s[i] = (submitter){pool, NULL, 0, i};
        threads[i] = start_thread(submits, &s[i]);
        wait_until(waiting_for_room(pool) == (unsigned)i + 1);
    }
    fault_fail_nth("alloc", 1, ENOMEM);
    gate_open(&g);
    join_thread(threads[0]);
    join_thread(threads[1]);
    assert_int_equal(cf_future_wait(s[0].future, CF_FOREVER), CF_ERR_NOMEM);
    EXPECT(s[1].future, twice, 2);
    cf_future_release(s[0].future);
    cf_future_release(s[1].future);
    while (count > 0)
        cf_future_release(kept[--count]);
}

/* Submitters, workers and shutdowns that are woken without cause sleep again. */
static void
test_pool_stray_wakes_are_harmless(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2, .max_pending = 2);
    gate g = GATE;
    cf_auto(cf_future) first = cf_submit(pool, twice, 1);
    EXPECT(first, twice, 2);
    wait_until(idle(pool) == 1);
    cf__thread_pool_wake(&inside(pool)->workers[0]->local); /* there is no work */
    wait_until(idle(pool) == 1);
    assert_int_equal(cf_spawn(pool, pass, &g, 1), CF_OK);
    assert_int_equal(cf_spawn(pool, pass, &g, 2), CF_OK);
    submitter s = {pool, NULL, 0, 5};
    pthread_t thread = start_thread(submits, &s);
    wait_until(waiting_for_room(pool) == 1);
    wake_in_vain(&inside(pool)->mutex, &inside(pool)->room);
    assert_int_equal(pending(pool), 2);
    gate_open(&g);
    join_thread(thread);
    EXPECT(s.future, twice, 10);
    cf_future_release(s.future);

    gate h = GATE;
    cf_auto(cf_future) c = cf_submit(pool, pass, &h, 3);
    ender e = {.pool = pool, .mode = CF_DRAIN};
    thread = start_thread(ends, &e);
    wait_until(shutting_down(pool) == 1);
    wake_in_vain(&inside(pool)->mutex, &inside(pool)->quiet);
    gate_open(&h);
    join_thread(thread);
    assert_int_equal(e.error, CF_OK);
    EXPECT(c, pass, 3);
}

/* A submit that finds no room until its deadline fails with FULL and leaves nothing behind. */
static void
test_pool_max_pending_times_out(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2, .max_pending = 1);
    gate g = GATE;
    cf_auto(cf_future) held = cf_submit(pool, pass, &g, 1);
    cf_auto(cf_future) refused = cf_submit_with(pool, cf_options(.deadline = 1), twice, 1);
    assert_int_equal(cf_future_wait(refused, CF_FOREVER), CF_ERR_FULL);
    assert_true(cf_future_done(refused));
    assert_int_equal(cf_spawn_with(pool, cf_options(.deadline = -1), twice, 1), CF_ERR_FULL);
    assert_int_equal(pending(pool), 1);
    assert_int_equal(waiting_for_room(pool), 0);
    gate_open(&g);
    EXPECT(held, pass, 1);
    wait_until(places(pool) == 0);
    cf_auto(cf_future) next = cf_submit_with(pool, cf_options(.deadline = 1), twice, 3); /* nothing to wait for */
    EXPECT(next, twice, 6);
}

/* Shutting down wakes those who wait for room: SHUTDOWN. */
static void
test_pool_shutdown_wakes_submitters(void **state)
{
    (void)state;
    gate g = GATE; /* before the pool, whose close still awaits a task in it */
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1, .max_pending = 1);
    assert_int_equal(cf_spawn(pool, pass, &g, 1), CF_OK);
    submitter s[2] = {{pool, NULL, 0, 1}, {pool, NULL, 0, 2}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        threads[i] = start_thread(submits, &s[i]);
    wait_until(waiting_for_room(pool) == 2);
    cf_shutdown_report report;
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, 1, &report), CF_ERR_TIMEOUT);
    for (int i = 0; i < 2; i++) {
        join_thread(threads[i]);
        assert_int_equal(cf_future_wait(s[i].future, CF_FOREVER), CF_ERR_SHUTDOWN);
        cf_future_release(s[i].future);
    }
    gate_open(&g);
}

/* ---- tasks that use their own pool ---- */

static int sum_below(cf_executor *pool, int n);
CF_TASK(int, sum_below, cf_executor *, int);

static int
sum_below(cf_executor *pool, int n)
{
    int left = 0, right = 0;
    if (n < 2)
        return n;
    cf_future *f = cf_submit(pool, sum_below, pool, n / 2), *g = cf_submit(pool, sum_below, pool, n - n / 2);
    if (cf_result(f, sum_below, &left, CF_FOREVER) != CF_OK || cf_result(g, sum_below, &right, CF_FOREVER) != CF_OK)
        (void)cf_fail(1, "%s", cf_future_message(f));
    cf_future_release(f);
    cf_future_release(g);
    return left + right;
}

/* A task that waits for tasks of its own pool doesn't wait for a worker: it runs them.  So one worker is enough,
 * and a pool that is full takes a worker's own tasks all the same. */
static void
test_pool_task_awaits_own_pool(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 2; workers++) {
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = workers, .max_pending = 1);
        for (int n = 1; n < 40; n += 13) {
            cf_auto(cf_future) f = cf_submit(pool, sum_below, pool, n);
            EXPECT(f, sum_below, n);
        }
    }
}

typedef struct own_submit {
    cf_executor *pool;
    cf_future *future; /* written by the task or callback, read when that is done */
    cf_err error;
    bool failed_outside;
    unsigned done; /* A */
} own_submit;

static void
submits_to_own(own_submit *s)
{
    s->future = cf_submit_with(s->pool, cf_options(.deadline = 1), twice, 21);
}
CF_TASK_VOID(submits_to_own, own_submit *);

/* A worker's own submits never wait for room. */
static void
test_pool_worker_submits_without_waiting(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1, .max_pending = 1);
    own_submit s = {.pool = pool};
    cf_auto(cf_future) f = cf_submit(pool, submits_to_own, &s);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
    EXPECT(s.future, twice, 42);
    cf_future_release(s.future);
}

static void
callback_submits(cf_future *future, void *context)
{
    own_submit *s = context;
    (void)future;
    s->failed_outside = cf_fail(1, "not a task");
    s->future = cf_submit_with(s->pool, cf_options(.deadline = 1), twice, 21);
    count_one(&s->done);
}

/* Nor do submits from a callback that runs in a worker; and what fails there is no task. */
static void
test_pool_callback_submits_without_waiting(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1, .max_pending = 1);
    own_submit s = {.pool = pool};
    gate g = GATE;
    cf_auto(cf_future) f = cf_submit(pool, pass, &g, 1);
    assert_int_equal(cf_future_add_done_callback(f, callback_submits, &s), CF_OK);
    gate_open(&g);
    wait_until(counted(&s.done) == 1);
    EXPECT(s.future, twice, 42);
    assert_false(s.failed_outside);
    cf_future_release(s.future);
    cf_auto(cf_future) later = cf_submit(pool, twice, 1); /* the worker is well */
    EXPECT(later, twice, 2);
}

static void
callback_awaits(cf_future *future, void *context)
{
    own_submit *s = context;
    (void)future;
    s->error = cf_future_wait(s->future, cf_after_ms(20000)); /* the only worker is in this callback */
    count_one(&s->done);
}

/* A callback in a worker that waits for a task still queued in its pool runs it. */
static void
test_pool_callback_awaits_own_pool(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    own_submit s = {.pool = pool};
    gate g = GATE;
    cf_auto(cf_future) f = cf_submit(pool, pass, &g, 1);
    cf_auto(cf_future) behind = cf_submit(pool, twice, 4);
    s.future = behind;
    assert_int_equal(cf_future_add_done_callback(f, callback_awaits, &s), CF_OK);
    gate_open(&g);
    wait_until(counted(&s.done) == 1);
    assert_int_equal(s.error, CF_OK);
    EXPECT(behind, twice, 8);
}

static int
shuts_down(cf_executor *pool)
{
    cf_shutdown_report report;
    memset(&report, 0xff, sizeof report);
    cf_err error = cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, &report);
    return (int)error + 1000 * (int)(report.finished + report.cancelled + report.killed + report.left);
}
CF_TASK(int, shuts_down, cf_executor *);

static int
closes_own(cf_executor *pool, cf_shutdown_report *report)
{
    return (int)cf_executor_shutdown(pool, CF_CANCEL_PENDING, CF_NOW, report);
}
CF_TASK(int, closes_own, cf_executor *, cf_shutdown_report *);

/* A task can close its own pool, and cancel what is pending, but not wait for the end; another pool's it can. */
static void
test_pool_own_task_cant_await_shutdown(void **state)
{
    (void)state;
    cf_shutdown_report report;
    cf_auto(cf_executor) closed = cf_thread_pool(.max_workers = 1);
    gate h = GATE;
    cf_auto(cf_future) held = cf_submit(closed, pass, &h, 1);
    cf_auto(cf_future) closing = cf_submit(closed, closes_own, closed, &report);
    cf_auto(cf_future) waiting = cf_submit(closed, twice, 1);
    gate_open(&h);
    EXPECT(closing, closes_own, CF_ERR_TIMEOUT);
    assert_int_equal(report.cancelled, 1);
    assert_int_equal(report.left, 1);
    assert_int_equal(cf_future_wait(waiting, CF_FOREVER), CF_ERR_CANCELLED);
    assert_int_equal(cf_spawn(closed, twice, 1), CF_ERR_SHUTDOWN);

    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    cf_auto(cf_executor) other = cf_thread_pool(.max_workers = 1);
    cf_auto(cf_future) f = cf_submit(pool, shuts_down, pool);
    EXPECT(f, shuts_down, CF_ERR_DEADLOCK + 1000); /* one is left: itself */
    assert_int_equal(cf_spawn(pool, twice, 1), CF_ERR_SHUTDOWN);
    cf_auto(cf_executor) third = cf_thread_pool(.max_workers = 1);
    cf_auto(cf_future) g = cf_submit(third, shuts_down, other);
    EXPECT(g, shuts_down, CF_OK);
    assert_int_equal(cf_spawn(other, twice, 1), CF_ERR_SHUTDOWN);
}

static int
awaits_other(cf_future *future)
{
    return (int)cf_future_wait(future, CF_FOREVER);
}
CF_TASK(int, awaits_other, cf_future *);

static int
worker_thread_differs(pthread_t *out)
{
    *out = pthread_self();
    return 1;
}
CF_TASK(int, worker_thread_differs, pthread_t *);

/* A task that waits for another pool's task sleeps, and doesn't run it itself. */
static void
test_pool_task_awaits_other_pool(void **state)
{
    (void)state;
    cf_auto(cf_executor) one = cf_thread_pool(.max_workers = 1);
    cf_auto(cf_executor) two = cf_thread_pool(.max_workers = 1);
    gate g = GATE;
    assert_int_equal(cf_spawn(two, pass, &g, 1), CF_OK);
    pthread_t ran, worker;
    cf_auto(cf_future) behind = cf_submit(two, worker_thread_differs, &ran);
    cf_auto(cf_future) which = cf_submit(one, worker_thread_differs, &worker);
    EXPECT(which, worker_thread_differs, 1);
    cf_auto(cf_future) f = cf_submit(one, awaits_other, behind);
    wait_until((cf__load_acquire(&behind->state) & CF__WAITED) != 0);
    gate_open(&g);
    EXPECT(f, awaits_other, 0);
    assert_false(pthread_equal(ran, worker));
}

/* ---- cancel ---- */

/* A pending task that is cancelled doesn't run, and its waiters and callbacks learn it at once. */
static void
test_pool_cancel_pending(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    gate g = GATE;
    unsigned counter = 0;
    cf_auto(cf_future) held = cf_submit(pool, pass, &g, 1);
    wait_until(gate_inside(&g) == 1);
    cf_auto(cf_future) f = cf_submit(pool, count_up, &counter);
    assert_true(cf_future_cancel(f));
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_CANCELLED); /* the worker is still held */
    assert_int_equal(pending(pool), 2);                                /* the place is free when a worker comes by */
    gate_open(&g);
    cf_shutdown_report report;
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, &report), CF_OK);
    assert_int_equal(counted(&counter), 0);
    assert_int_equal(cf_future_wait(held, CF_NOW), CF_OK);
}

/* A running task isn't cancelled but asked, one that is done not even that. */
static void
test_pool_cancel_running_and_done(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    unsigned asked = 0;
    cf_auto(cf_future) f = cf_submit(pool, until_asked, &asked);
    wait_until(counted(&asked) == 1);
    assert_false(cf_future_cancel(f)); /* else it never ends */
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
    assert_false(cf_future_cancelled(f));
    assert_false(cf_future_cancel(f));
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
}

/* ---- callbacks ---- */

typedef struct called {
    pthread_t by;
    diary *in;
    int what;
} called;

static void
notes_call(cf_future *future, void *context)
{
    called *c = context;
    c->by = pthread_self();
    writes(c->in, cf_future_error(future) == CF_OK ? c->what : -1);
}

/* Callbacks run in the worker, in order, once each; one that comes late runs in the caller. */
static void
test_pool_callbacks_in_worker(void **state)
{
    (void)state;
    cf_executor *pool = cf_thread_pool(.max_workers = 1);
    gate g = GATE;
    diary d = {{0}, 0};
    called calls[4];
    pthread_t worker;
    assert_int_equal(cf_spawn(pool, worker_thread_differs, &worker), CF_OK);
    cf_auto(cf_future) f = cf_submit(pool, pass, &g, 1);
    for (int i = 0; i < 3; i++) {
        calls[i] = (called){pthread_self(), &d, i};
        assert_int_equal(cf_future_add_done_callback(f, notes_call, &calls[i]), CF_OK);
    }
    gate_open(&g);
    cf_executor_close(pool); /* afterwards all have run */
    assert_int_equal(d.count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(d.entries[i], i);
        assert_true(pthread_equal(calls[i].by, worker));
    }
    calls[3] = (called){worker, &d, 3};
    assert_int_equal(cf_future_add_done_callback(f, notes_call, &calls[3]), CF_OK);
    assert_int_equal(d.count, 4);
    assert_true(pthread_equal(calls[3].by, pthread_self()));
}

/* Nobody holds the future any more when its task starts: what was asked for before, still holds. */
static void
test_pool_forgotten_futures(void **state)
{
    (void)state;
    cf_executor *pool = cf_thread_pool(.max_workers = 1);
    gate g = GATE;
    diary d = {{0}, 0};
    called call = {pthread_self(), &d, 7};
    assert_int_equal(cf_spawn(pool, pass, &g, 0), CF_OK);
    cf_future *called_back = cf_submit(pool, twice, 1), *cancelled = cf_submit(pool, writes, &d, 8);
    assert_int_equal(cf_future_add_done_callback(called_back, notes_call, &call), CF_OK);
    assert_true(cf_future_cancel(cancelled));
    cf_future_release(called_back);
    cf_future_release(cancelled);
    gate_open(&g);
    cf_executor_close(pool); /* afterwards all has run */
    assert_int_equal(d.count, 1);
    assert_int_equal(d.entries[0], 7);
    assert_false(pthread_equal(call.by, pthread_self()));
}

/* ---- shutdown ---- */

/* Draining runs what there is, pending tasks too, and says how many. */
static void
test_pool_shutdown_drains(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2);
    gate g = GATE;
    unsigned counter = 0;
    cf_shutdown_report report;
    for (int i = 0; i < 3; i++) /* before the shutdown: not in its report */
        cf_future_release(cf_submit(pool, count_up, &counter));
    wait_until(pending(pool) == 0);
    for (int i = 0; i < 2; i++)
        assert_int_equal(cf_spawn(pool, pass, &g, i), CF_OK);
    wait_until(gate_inside(&g) == 2);
    for (int i = 0; i < 5; i++)
        assert_int_equal(cf_spawn(pool, count_up, &counter), CF_OK);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, 1, &report), CF_ERR_TIMEOUT);
    assert_int_equal(report.left, 7);
    assert_int_equal(report.finished + report.cancelled + report.killed, 0);
    assert_int_equal(cf_spawn(pool, count_up, &counter), CF_ERR_SHUTDOWN);
    gate_open(&g);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, &report), CF_OK);
    assert_int_equal(counted(&counter), 8);
    assert_int_equal(report.left + report.cancelled + report.killed, 0);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_NOW, &report), CF_OK); /* nothing is left to do */
    assert_int_equal(report.finished + report.left, 0);
}

/* Each mode reports what it did: draining finishes all, cancelling all but the running, killing asks those to stop. */
static void
test_pool_shutdown_reports_counts(void **state)
{
    (void)state;
    static const struct {
        cf_shutdown_mode mode;
        size_t finished, cancelled;
    } rows[] = {{CF_DRAIN, 6, 0}, {CF_CANCEL_PENDING, 2, 4}, {CF_KILL, 2, 4}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2);
        gate g = GATE;
        unsigned counter = 0;
        cf_future *running[2], *waiting[4];
        for (int i = 0; i < 2; i++)
            running[i] = cf_submit(pool, pass, &g, i);
        wait_until(gate_inside(&g) == 2);
        for (int i = 0; i < 4; i++)
            waiting[i] = cf_submit(pool, count_up, &counter);
        ender e = {.pool = pool, .mode = rows[r].mode};
        pthread_t thread = start_thread(ends, &e);
        wait_until(shutting_down(pool) == 1);
        for (int i = 0; i < 2; i++) { /* only killing asks what runs */
            assert_false(cf_future_done(running[i]));
            bool asked = cf__load_acquire(&inside(pool)->kill) != 0;
            assert_int_equal(asked, rows[r].mode == CF_KILL);
        }
        gate_open(&g);
        join_thread(thread);
        assert_int_equal(e.error, CF_OK);
        assert_int_equal(e.report.finished, rows[r].finished);
        assert_int_equal(e.report.cancelled, rows[r].cancelled);
        assert_int_equal(e.report.killed, 0);
        assert_int_equal(e.report.left, 0);
        assert_int_equal(counted(&counter), 4 - rows[r].cancelled);
        for (int i = 0; i < 2; i++) {
            EXPECT(running[i], pass, i);
            cf_future_release(running[i]);
        }
        for (int i = 0; i < 4; i++) {
            assert_int_equal(cf_future_wait(waiting[i], CF_NOW), rows[r].cancelled ? CF_ERR_CANCELLED : CF_OK);
            cf_future_release(waiting[i]);
        }
    }
}

/* A shutdown that gave up at its deadline can be followed by a harder one. */
static void
test_pool_shutdown_again_after_timeout(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    unsigned asked = 0, counter = 0;
    cf_shutdown_report report;
    cf_auto(cf_future) running = cf_submit(pool, until_asked, &asked);
    wait_until(counted(&asked) == 1);
    cf_auto(cf_future) waiting = cf_submit(pool, count_up, &counter);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, 1, &report), CF_ERR_TIMEOUT);
    assert_int_equal(report.left, 2);
    assert_int_equal(cf_executor_shutdown(pool, CF_CANCEL_PENDING, CF_NOW, &report), CF_ERR_TIMEOUT);
    assert_int_equal(report.left, 1);
    assert_int_equal(report.cancelled, 1);
    assert_int_equal(cf_future_wait(waiting, CF_NOW), CF_ERR_CANCELLED);
    assert_int_equal(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, &report), CF_OK);
    assert_int_equal(report.finished, 1);
    assert_int_equal(report.cancelled + report.killed + report.left, 0);
    assert_int_equal(cf_future_wait(running, CF_NOW), CF_OK);
    assert_int_equal(counted(&counter), 0);
}

/* Two shutdowns at once both end, when all is done. */
static void
test_pool_two_shutdowns_at_once(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2);
        gate g = GATE;
        cf_future *f = cf_submit(pool, pass, &g, 3);
        ender e[2] = {{.pool = pool, .mode = CF_DRAIN}, {.pool = pool, .mode = CF_CANCEL_PENDING}};
        wait_until(gate_inside(&g) == 1);
        pthread_t threads[2];
        for (int i = 0; i < 2; i++)
            threads[i] = start_thread(ends, &e[i]);
        if (round % 2)
            wait_until(shutting_down(pool) == 2);
        gate_open(&g);
        for (int i = 0; i < 2; i++) {
            join_thread(threads[i]);
            assert_int_equal(e[i].error, CF_OK);
            assert_int_equal(e[i].report.left, 0);
        }
        EXPECT(f, pass, 3);
        cf_future_release(f);
    }
}

/* A shutdown of a pool that never had a task has nothing to do. */
static void
test_pool_shutdown_of_unused(void **state)
{
    (void)state;
    static const cf_shutdown_mode modes[] = {CF_DRAIN, CF_CANCEL_PENDING, CF_KILL};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
        cf_auto(cf_executor) pool = cf_thread_pool();
        assert_int_equal(cf_executor_shutdown(pool, modes[i], CF_NOW, NULL), CF_OK);
        cf_auto(cf_future) f = cf_submit(pool, twice, 1);
        assert_int_equal(cf_future_wait(f, CF_NOW), CF_ERR_SHUTDOWN);
        assert_int_equal(living(pool), 0);
    }
}

/* Tasks of a pool that drains can't submit to it any more. */
static void
test_pool_drain_refuses_own_submits(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    own_submit s = {.pool = pool};
    gate g = GATE;
    assert_int_equal(cf_spawn(pool, pass, &g, 1), CF_OK);
    assert_int_equal(cf_spawn(pool, submits_to_own, &s), CF_OK);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, 1, NULL), CF_ERR_TIMEOUT);
    gate_open(&g);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
    assert_int_equal(cf_future_wait(s.future, CF_NOW), CF_ERR_SHUTDOWN);
    cf_future_release(s.future);
}

typedef struct inline_run {
    cf_executor *pool;
    unsigned inner_runs, stopped;
    cf_future *inner;
} inline_run;

static void
inner_task(inline_run *r)
{
    count_one(&r->inner_runs);
    wait_until(cf_cancelled());
    count_one(&r->stopped);
}
CF_TASK_VOID(inner_task, inline_run *);

static void
outer_task(inline_run *r)
{
    r->inner = cf_submit(r->pool, inner_task, r);
    (void)cf_future_wait(r->inner, CF_FOREVER);
}
CF_TASK_VOID(outer_task, inline_run *);

/* Killing also asks a task that a waiting worker has taken on, after it has left the list. */
static void
test_pool_kill_asks_inline_tasks(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2);
    inline_run r = {.pool = pool};
    gate g = GATE;
    assert_int_equal(cf_spawn(pool, pass, &g, 1), CF_OK); /* the other worker */
    wait_until(gate_inside(&g) == 1);
    assert_int_equal(cf_spawn(pool, outer_task, &r), CF_OK);
    wait_until(counted(&r.inner_runs) == 1);
    gate_open(&g);
    wait_until(queued(pool) == 0 && pending(pool) == 2); /* the outer task and, inside it, the inner one */
    cf_shutdown_report report;
    cf_err error = cf_executor_shutdown(pool, CF_KILL, cf_after_ms(20000), &report);
    bool asked = counted(&r.stopped) == 1;
    if (error != CF_OK) { /* so that the pool can be closed */
        (void)cf_future_cancel(r.inner);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
    }
    cf_future_release(r.inner);
    assert_int_equal(error, CF_OK);
    assert_true(asked);
}

static int
submits_and_awaits(cf_executor *pool, gate *g)
{
    cf_future *f = cf_submit(pool, twice, 4);
    gate_pass(g);
    int value = 0;
    cf_err error = cf_result(f, twice, &value, CF_FOREVER);
    cf_future_release(f);
    return error == CF_OK ? value : -(int)error;
}
CF_TASK(int, submits_and_awaits, cf_executor *, gate *);

/* Tasks that a waiting task ran count as finished, too. */
static void
test_pool_report_counts_inline_tasks(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    gate g = GATE;
    cf_auto(cf_future) f = cf_submit(pool, submits_and_awaits, pool, &g);
    wait_until(gate_inside(&g) == 1);
    ender e = {.pool = pool, .mode = CF_DRAIN};
    pthread_t thread = start_thread(ends, &e);
    wait_until(shutting_down(pool) == 1);
    gate_open(&g);
    join_thread(thread);
    EXPECT(f, submits_and_awaits, 8);
    assert_int_equal(e.report.finished, 2);
}

/* What the program had cancelled before isn't the shutdown's doing. */
static void
test_pool_report_counts_own_cancels(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    gate g = GATE;
    cf_shutdown_report report;
    assert_int_equal(cf_spawn(pool, pass, &g, 1), CF_OK);
    wait_until(gate_inside(&g) == 1);
    cf_auto(cf_future) mine = cf_submit(pool, twice, 1);
    cf_auto(cf_future) theirs = cf_submit(pool, twice, 2);
    assert_true(cf_future_cancel(mine));
    assert_int_equal(cf_executor_shutdown(pool, CF_CANCEL_PENDING, CF_NOW, &report), CF_ERR_TIMEOUT);
    gate_open(&g);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
    assert_int_equal(cf_future_wait(theirs, CF_NOW), CF_ERR_CANCELLED);
    assert_int_equal(report.cancelled, 1);
    assert_int_equal(report.left, 1);
}

/* ---- on_start ---- */

typedef struct start_test {
    cf_executor *pool;
    unsigned runs;      /* A */
    unsigned fail_from; /* runs after which it fails; UINT_MAX: never */
    gate *wait;         /* NULL: not */
    bool saw_cancel;    /* written by the first */
    char name[17];      /* of the first's thread */
} start_test;

static void
on_start(void *context)
{
    start_test *t = context;
    unsigned run = __atomic_fetch_add(&t->runs, 1, __ATOMIC_ACQ_REL);
    if (run == 0) {
        t->saw_cancel = cf_cancelled();
        (void)prctl(PR_GET_NAME, t->name, 0, 0, 0);
    }
    if (t->wait != NULL)
        gate_pass(t->wait);
    if (run >= t->fail_from)
        (void)cf_fail(5, "worker %u has no luck", run);
}

/* on_start runs once in each worker, before its first task, under the worker's name. */
static void
test_pool_on_start_once_per_worker(void **state)
{
    (void)state;
    start_test t = {.fail_from = UINT_MAX};
    cf_auto(cf_executor) pool =
        cf_thread_pool(.max_workers = 2, .name = "s", .on_start = on_start, .on_start_context = &t);
    assert_int_equal(counted(&t.runs), 0);
    for (unsigned i = 0; i < 3; i++) {
        cf_auto(cf_future) f = cf_submit(pool, twice, 1);
        EXPECT(f, twice, 2);
        wait_until(idle(pool) == 1);
        assert_int_equal(counted(&t.runs), 1);
    }
    gate g = GATE;
    for (int i = 0; i < 4; i++)
        assert_int_equal(cf_spawn(pool, pass, &g, i), CF_OK);
    wait_until(gate_inside(&g) == 2);
    assert_int_equal(counted(&t.runs), 2);
    gate_open(&g);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
    assert_int_equal(counted(&t.runs), 2);
    assert_false(t.saw_cancel);
    assert_string_equal(t.name, "s-0");
}

/* A pool that gets no worker through on_start is broken: the futures there are and all later submits say why. */
static void
test_pool_failing_on_start_breaks_pool(void **state)
{
    (void)state;
    gate g = GATE;
    start_test t = {.fail_from = 0, .wait = &g};
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1, .on_start = on_start, .on_start_context = &t);
    cf_future *futures[4];
    unsigned counter = 0;
    int value = 42;
    for (int i = 0; i < 4; i++)
        futures[i] = i == 3 ? cf_submit(pool, twice, 1) : cf_submit(pool, count_up, &counter);
    assert_true(cf_future_cancel(futures[1]));
    assert_int_equal(cf_executor_error(pool), CF_OK);
    gate_open(&g);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(cf_future_wait(futures[i], CF_FOREVER), i == 1 ? CF_ERR_CANCELLED : CF_ERR_BROKEN);
        if (i != 1)
            assert_string_equal(cf_future_message(futures[i]), "worker 0 has no luck");
    }
    assert_int_equal(cf_result(futures[3], twice, &value, CF_FOREVER), CF_ERR_BROKEN);
    for (int i = 0; i < 4; i++)
        cf_future_release(futures[i]);
    assert_int_equal(cf_executor_error(pool), CF_ERR_BROKEN);
    assert_string_equal(cf_executor_message(pool), "worker 0 has no luck");
    cf_auto(cf_future) later = cf_submit(pool, twice, 1);
    assert_int_equal(cf_future_wait(later, CF_FOREVER), CF_ERR_BROKEN);
    assert_string_equal(cf_future_message(later), "worker 0 has no luck");
    assert_int_equal(cf_result(later, twice, &value, CF_FOREVER), CF_ERR_BROKEN);
    assert_int_equal(value, 42);
    assert_int_equal(cf_spawn(pool, twice, 1), CF_ERR_BROKEN);
    assert_null(cf_executor_alloc(pool, 1));
    assert_int_equal(counted(&counter), 0);
    assert_int_equal(counted(&t.runs), 1);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
}

/* Breaking wakes those who wait for room, too. */
static void
test_pool_breaking_wakes_submitters(void **state)
{
    (void)state;
    gate g = GATE;
    start_test t = {.fail_from = 0, .wait = &g};
    cf_auto(cf_executor) pool =
        cf_thread_pool(.max_workers = 1, .max_pending = 1, .on_start = on_start, .on_start_context = &t);
    cf_auto(cf_future) f = cf_submit(pool, twice, 1);
    submitter s = {pool, NULL, 0, 1};
    pthread_t thread = start_thread(submits, &s);
    wait_until(waiting_for_room(pool) == 1);
    gate_open(&g);
    join_thread(thread);
    assert_int_equal(cf_future_wait(s.future, CF_FOREVER), CF_ERR_BROKEN);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_BROKEN);
    cf_future_release(s.future);
}

/* One that shuts down while the only worker fails to start isn't left asleep. */
static void
test_pool_breaking_ends_shutdown(void **state)
{
    (void)state;
    gate g = GATE;
    start_test t = {.fail_from = 0, .wait = &g};
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1, .on_start = on_start, .on_start_context = &t);
    cf_auto(cf_future) f = cf_submit(pool, twice, 1);
    ender e = {.pool = pool, .mode = CF_DRAIN};
    pthread_t thread = start_thread(ends, &e);
    wait_until(shutting_down(pool) == 1);
    gate_open(&g);
    join_thread(thread);
    assert_int_equal(e.error, CF_OK);
    assert_int_equal(e.report.left, 0);
    assert_int_equal(cf_future_wait(f, CF_NOW), CF_ERR_BROKEN);
}

/* A worker that fails to start leaves the pool to the others. */
static void
test_pool_failing_on_start_leaves_others(void **state)
{
    (void)state;
    start_test t = {.fail_from = 1};
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2, .on_start = on_start, .on_start_context = &t);
    gate g = GATE;
    cf_future *futures[4];
    for (int i = 0; i < 4; i++)
        futures[i] = cf_submit(pool, pass, &g, i);
    wait_until(counted(&t.runs) == 2);
    gate_open(&g);
    for (int i = 0; i < 4; i++) {
        EXPECT(futures[i], pass, i);
        cf_future_release(futures[i]);
    }
    assert_int_equal(cf_executor_error(pool), CF_OK);
}

/* ---- making one ---- */

/* A pool without memory is one that has failed. */
static void
test_pool_without_memory(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 2; n++) {
        fault_fail_nth("alloc", n, ENOMEM);
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2);
        assert_int_equal(fault_fired("alloc"), 1);
        assert_int_equal(cf_executor_error(pool), CF_ERR_NOMEM);
        assert_string_equal(cf_executor_message(pool), "thread pool: out of memory");
        cf_auto(cf_future) f = cf_submit(pool, twice, 1);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_NOMEM);
    }
}

/* Kilobytes that the kernel wipes on fork: the guards of executors. */
static long
guarded(void)
{
    FILE *maps = fopen("/proc/self/smaps", "re");
    assert_non_null(maps);
    char line[512];
    long size = 0, sum = 0;
    while (fgets(line, sizeof line, maps) != NULL) {
        (void)sscanf(line, "Size: %ld", &size);
        if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " wf") != NULL)
            sum += size;
    }
    (void)fclose(maps);
    return sum;
}

/* Pools come and go without a trace: no guard; and no thread, descriptor or memory, which is checked after each test. */
static void
test_pool_leaves_nothing(void **state)
{
    (void)state;
    long before = guarded();
    for (int i = 0; i < 100; i++) {
        cf_executor *pool = cf_thread_pool(.max_workers = 2);
        cf_future_release(cf_submit(pool, twice, i));
        assert_int_equal(cf_spawn(pool, twice, i), CF_OK);
        if (i == 0)
            assert_true(guarded() > before);
        cf_executor_close(pool);
    }
    assert_int_equal(guarded(), before);
}

/* ---- fork ---- */

typedef struct family {
    cf_executor *pool;
    cf_future *running, *waiting, *done;
} family;

static int
child_of_pool(void *argument)
{
    const family *p = argument;
    int value = 0;
    child_check(cf_executor_error(p->pool) == CF_ERR_FORKED);
    child_check(cf_spawn(p->pool, twice, 1) == CF_ERR_FORKED);
    cf_future *f = cf_submit(p->pool, twice, 1);
    child_check(cf_future_wait(f, CF_FOREVER) == CF_ERR_FORKED);
    cf_future_release(f);
    child_check(cf_executor_shutdown(p->pool, CF_DRAIN, CF_FOREVER, NULL) == CF_ERR_FORKED);
    child_check(cf_future_wait(p->running, CF_FOREVER) == CF_ERR_FORKED);
    child_check(cf_future_wait(p->waiting, CF_FOREVER) == CF_ERR_FORKED);
    child_check(cf_result(p->done, twice, &value, CF_FOREVER) == CF_OK && value == 42);
    cf_future_release(p->running);
    cf_future_release(p->waiting);
    cf_future_release(p->done);
    long before = live_allocations();
    cf_executor_close(p->pool);
    child_check(live_allocations() == before - 3); /* the pool, its worker, their table; not the futures' memory */
    cf_executor *own = cf_inline_executor();
    f = cf_submit(own, twice, 4);
    child_check(cf_result(f, twice, &value, CF_FOREVER) == CF_OK && value == 8);
    cf_future_release(f);
    cf_executor_close(own);
    return 0;
}

/* In a child forked while the pool works, every call says FORKED and none hangs; closing frees. */
static void
test_pool_forked_child(void **state)
{
    (void)state;
    gate g = GATE;
    family p = {.pool = cf_thread_pool(.max_workers = 1)};
    p.done = cf_submit(p.pool, twice, 21);
    EXPECT(p.done, twice, 42);
    p.running = cf_submit(p.pool, pass, &g, 1);
    p.waiting = cf_submit(p.pool, pass, &g, 2);
    wait_until(gate_inside(&g) == 1);
    assert_int_equal(run_in_child_with(child_of_pool, &p), 0);
    gate_open(&g);
    EXPECT(p.running, pass, 1);
    EXPECT(p.waiting, pass, 2);
    cf_future_release(p.running);
    cf_future_release(p.waiting);
    cf_future_release(p.done);
    cf_executor_close(p.pool);
}

static int
child_with_locked_pool(void *argument)
{
    cf_executor *pool = argument;
    child_check(cf_spawn(pool, twice, 1) == CF_ERR_FORKED); /* would wait for the mutex for ever */
    child_check(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, NULL) == CF_ERR_FORKED);
    cf_executor_close(pool);
    return 0;
}

/* Even a child forked while the pool's mutex was held by another thread doesn't hang. */
static void
test_pool_forked_while_locked(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    cf_auto(cf_future) f = cf_submit(pool, twice, 1);
    EXPECT(f, twice, 2);
    cf__mutex_lock(&inside(pool)->mutex);
    int status = run_in_child_with(child_with_locked_pool, pool);
    cf__mutex_unlock(&inside(pool)->mutex);
    assert_int_equal(status, 0);
}

static int
exits_with_live_pool(void)
{
    static gate g = GATE;
    cf_executor *pool = cf_thread_pool(.max_workers = 3);
    for (int i = 0; i < 6; i++)
        child_check(cf_spawn(pool, pass, &g, i) == CF_OK);
    wait_until(gate_inside(&g) == 3);
    exit(7); /* with the handlers that a return from main runs */
}

static int
exits_with_idle_pool(void)
{
    cf_executor *pool = cf_thread_pool(.max_workers = 1);
    cf_future_release(cf_submit(pool, twice, 1));
    wait_until(idle(pool) == 1);
    exit(8);
}

/* A program that ends with a live pool ends, busy or idle. */
static void
test_pool_program_ends_with_live_pool(void **state)
{
    (void)state;
    int status = run_in_child(exits_with_live_pool);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
    status = run_in_child(exits_with_idle_pool);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 8);
}

static void
closes(cf_executor *pool)
{
    cf_executor_close(pool);
}
CF_TASK_VOID(closes, cf_executor *);

static int
closes_own_pool(void)
{
    cf_executor *pool = cf_thread_pool(.max_workers = 1);
    cf_future *f = cf_submit(pool, closes, pool);
    (void)cf_future_wait(f, CF_FOREVER);
    return 0;
}

/* Closing a pool from its own task is misuse, and asserts rather than free what runs. */
static void
test_pool_close_in_own_task_asserts(void **state)
{
    (void)state;
    int status = run_in_child(closes_own_pool);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* ---- all at once ---- */

enum { storm_tasks = 400 };

typedef struct storm {
    cf_executor *pool;
    unsigned *ran;
    unsigned won, bad; /* read after the join */
} storm;

static void *
storms(void *argument)
{
    storm *s = argument;
    for (int i = 0; i < storm_tasks; i++) {
        cf_future *f = cf_submit(s->pool, count_up, s->ran);
        bool won = i % 3 == 0 && cf_future_cancel(f);
        s->won += won;
        cf_err error = cf_future_wait(f, CF_FOREVER);
        s->bad += error != (won ? CF_ERR_CANCELLED : CF_OK);
        cf_future_release(f);
    }
    return NULL;
}

/* Threads that submit, cancel and wait at once: every task runs, or was cancelled, exactly once. */
static void
test_pool_many_submitters(void **state)
{
    (void)state;
    unsigned ran = 0;
    cf_executor *pool = cf_thread_pool(.max_workers = 3, .max_pending = 2);
    storm s[3] = {{pool, &ran, 0, 0}, {pool, &ran, 0, 0}, {pool, &ran, 0, 0}};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = start_thread(storms, &s[i]);
    for (int i = 0; i < 3; i++)
        join_thread(threads[i]);
    cf_executor_close(pool);
    assert_int_equal(s[0].bad + s[1].bad + s[2].bad, 0);
    assert_int_equal(counted(&ran) + s[0].won + s[1].won + s[2].won, 3 * storm_tasks);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pool_records_are_apart),
        cmocka_unit_test(test_pool_starts_threads_on_demand),
        cmocka_unit_test(test_pool_default_size),
        cmocka_unit_test(test_pool_options_may_be_shorter),
        cmocka_unit_test(test_pool_workers_block_signals),
        cmocka_unit_test(test_pool_stack_size),
        cmocka_unit_test(test_pool_of_very_many),
        cmocka_unit_test(test_pool_first_thread_fails),
        cmocka_unit_test(test_pool_waiter_starts_threads_later),
        cmocka_unit_test(test_pool_later_thread_fails),
        cmocka_unit_test(test_pool_is_first_come_first_served),
        cmocka_unit_test(test_pool_keeps_order_when_it_takes_one_and_then_many),
        cmocka_unit_test(test_pool_max_pending_waits),
        cmocka_unit_test(test_pool_max_pending_without_memory),
        cmocka_unit_test(test_pool_stray_wakes_are_harmless),
        cmocka_unit_test(test_pool_max_pending_times_out),
        cmocka_unit_test(test_pool_shutdown_wakes_submitters),
        cmocka_unit_test(test_pool_task_awaits_own_pool),
        cmocka_unit_test(test_pool_worker_submits_without_waiting),
        cmocka_unit_test(test_pool_callback_submits_without_waiting),
        cmocka_unit_test(test_pool_callback_awaits_own_pool),
        cmocka_unit_test(test_pool_own_task_cant_await_shutdown),
        cmocka_unit_test(test_pool_task_awaits_other_pool),
        cmocka_unit_test(test_pool_cancel_pending),
        cmocka_unit_test(test_pool_cancel_running_and_done),
        cmocka_unit_test(test_pool_callbacks_in_worker),
        cmocka_unit_test(test_pool_forgotten_futures),
        cmocka_unit_test(test_pool_shutdown_drains),
        cmocka_unit_test(test_pool_shutdown_reports_counts),
        cmocka_unit_test(test_pool_shutdown_again_after_timeout),
        cmocka_unit_test(test_pool_two_shutdowns_at_once),
        cmocka_unit_test(test_pool_shutdown_of_unused),
        cmocka_unit_test(test_pool_drain_refuses_own_submits),
        cmocka_unit_test(test_pool_kill_asks_inline_tasks),
        cmocka_unit_test(test_pool_report_counts_inline_tasks),
        cmocka_unit_test(test_pool_report_counts_own_cancels),
        cmocka_unit_test(test_pool_on_start_once_per_worker),
        cmocka_unit_test(test_pool_failing_on_start_breaks_pool),
        cmocka_unit_test(test_pool_breaking_wakes_submitters),
        cmocka_unit_test(test_pool_breaking_ends_shutdown),
        cmocka_unit_test(test_pool_failing_on_start_leaves_others),
        cmocka_unit_test(test_pool_without_memory),
        cmocka_unit_test(test_pool_leaves_nothing),
        cmocka_unit_test(test_pool_forked_child),
        cmocka_unit_test(test_pool_forked_while_locked),
        cmocka_unit_test(test_pool_program_ends_with_live_pool),
        cmocka_unit_test(test_pool_close_in_own_task_asserts),
        cmocka_unit_test(test_pool_many_submitters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
