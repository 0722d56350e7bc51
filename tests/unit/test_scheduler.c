/* tests/unit/test_scheduler.c - detail/scheduler.h: order, waits inside tasks, threads that stand in, circles of waits
 * SPDX-License-Identifier: MIT
 * The tests look at private fields, under the pool's mutex, to know when somebody sleeps. */
#include "unit.h"

#include "thread_pool.h"

/* How many workers sleep for a child that was stolen. */
static unsigned
joining(cf_executor *pool)
{
    unsigned n = 0;
    cf__mutex_lock(&inside(pool)->mutex);
    for (uint32_t i = 0; i < inside(pool)->high; i++)
        n += inside(pool)->workers[i]->joins != NULL;
    cf__mutex_unlock(&inside(pool)->mutex);
    return n;
}

/* ---- order ---- */

typedef struct diary { /* read after the shutdown, written by one worker */
    int entries[400], count;
} diary;

static void
writes(diary *d, int what)
{
    d->entries[d->count++] = what;
}
CF_TASK_VOID(writes, diary *, int);

static void
passes(gate *g)
{
    gate_pass(g);
}
CF_TASK_VOID(passes, gate *);

/* Of one priority, in the order of their submits: more than a worker takes in one go, and more than it takes before it
 * looks elsewhere. */
static void
test_order_within_priority(void **state)
{
    (void)state;
    enum { count = 300 };
    for (int priority = -8; priority <= 7; priority++) {
        cf_executor *pool = cf_thread_pool(.max_workers = 1);
        gate g = GATE;
        diary d = {{0}, 0};
        assert_int_equal(cf_spawn(pool, passes, &g), CF_OK);
        wait_until(gate_inside(&g) == 1);
        for (int i = 0; i < count; i++)
            assert_int_equal(cf_spawn_with(pool, cf_options(.priority = priority), writes, &d, i), CF_OK);
        gate_open(&g);
        cf_executor_close(pool);
        assert_int_equal(d.count, count);
        for (int i = 0; i < count; i++)
            assert_int_equal(d.entries[i], i);
    }
}

/* Nine of one priority are pending, the first of them runs; then comes one of another: it's the next if it is higher, else the
 * last. */
static void
test_order_across_priorities(void **state)
{
    (void)state;
    enum { many = 40, other = 1000 };
    for (int first = -8; first <= 7; first++) {
        for (int second = -8; second <= 7; second++) {
            cf_executor *pool = cf_thread_pool(.max_workers = 1);
            gate before = GATE, g = GATE;
            diary d = {{0}, 0};
            assert_int_equal(cf_spawn(pool, passes, &before), CF_OK);
            wait_until(gate_inside(&before) == 1);
            assert_int_equal(cf_spawn_with(pool, cf_options(.priority = first), passes, &g), CF_OK);
            for (int i = 0; i < many; i++)
                assert_int_equal(cf_spawn_with(pool, cf_options(.priority = first), writes, &d, i), CF_OK);
            gate_open(&before);
            wait_until(gate_inside(&g) == 1);
            assert_int_equal(cf_spawn_with(pool, cf_options(.priority = second), writes, &d, other), CF_OK);
            gate_open(&g);
            cf_executor_close(pool);
            assert_int_equal(d.count, many + 1);
            for (int i = 0, next = 0; i <= many; i++) {
                bool its_turn = i == (second > first ? 0 : many);
                assert_int_equal(d.entries[i], its_turn ? other : next);
                next += !its_turn;
            }
        }
    }
}

/* ---- threads that stand in ---- */

static cf_err
waits(cf_future *future)
{
    return cf_future_wait(future, CF_FOREVER);
}
CF_TASK(cf_err, waits, cf_future *);

/* Ends a reference of its own: who waits may release the last other one before cf_future_set_result() returns. */
static void
settles(cf_future *promise)
{
    CF_ASSERT(cf_future_set_result(promise, NULL, 0) == CF_OK);
    cf_future_release(promise);
}
CF_TASK_VOID(settles, cf_future *);

/* What a task returned, which has gone well. */
static cf_err
answer_of(cf_future *future)
{
    cf_err answer = CF_ERR_INVALID;
    assert_int_equal(cf_result(future, waits, &answer, CF_FOREVER), CF_OK);
    cf_future_release(future);
    return answer;
}

/* The one worker waits for what a later task brings: another thread runs that, and ends when it isn't needed. */
static void
test_stand_in_runs_later_task(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    for (int i = 0; i < 20; i++) {
        cf_auto(cf_future) promise = cf_future_new(0);
        cf_future *waiter = cf_submit(pool, waits, promise);
        wait_until(blocked(pool) == 1); /* now the submit finds that a thread may be started */
        assert_int_equal(cf_spawn(pool, settles, cf_future_retain(promise)), CF_OK);
        assert_int_equal(answer_of(waiter), CF_OK);
        wait_until(living(pool) == 1);
    }
}

/* The same where the task is there before the wait. */
static void
test_stand_in_for_queued_task(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    for (int i = 0; i < 20; i++) {
        cf_auto(cf_future) promise = cf_future_new(0);
        gate g = GATE;
        cf_auto(cf_future) first = cf_submit(pool, passes, &g);
        wait_until(gate_inside(&g) == 1);
        cf_future *waiter = cf_submit(pool, waits, promise);
        assert_int_equal(cf_spawn(pool, settles, cf_future_retain(promise)), CF_OK);
        gate_open(&g);
        assert_int_equal(answer_of(waiter), CF_OK);
        assert_int_equal(cf_future_wait(first, CF_FOREVER), CF_OK);
        wait_until(living(pool) == 1);
    }
}

/* One stands in for each that waits; when they go on, all but max_workers end. */
static void
test_stand_ins_retire(void **state)
{
    (void)state;
    enum { count = 40 };
    for (unsigned workers = 1; workers <= 3; workers++) {
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = workers);
        cf_auto(cf_future) promise = cf_future_new(0);
        cf_future *waiters[count];
        for (int i = 0; i < count; i++)
            waiters[i] = cf_submit(pool, waits, promise);
        wait_until(blocked(pool) == count);
        assert_true(living(pool) <= count + workers);
        assert_int_equal(cf_spawn(pool, settles, cf_future_retain(promise)), CF_OK);
        for (int i = 0; i < count; i++)
            assert_int_equal(answer_of(waiters[i]), CF_OK);
        wait_until(living(pool) <= workers);
    }
}

static void
slow_stop(void *stops)
{
    for (int i = 0; i < 20; i++)
        (void)sched_yield(); /* so that the pool runs on while a thread has left its line, and still lives */
    count_one(stops);
}

/* Work that comes while a thread retires isn't overlooked. */
static void
test_work_comes_while_stand_in_retires(void **state)
{
    (void)state;
    enum { rounds = 2000 };
    unsigned stops = 0;
    cf_executor *pool = cf_thread_pool(.max_workers = 1, .on_stop = slow_stop, .on_start_context = &stops);
    for (int i = 0; i < rounds; i++) {
        cf_auto(cf_future) promise = cf_future_new(0);
        cf_auto(cf_future) next = cf_future_new(0);
        cf_future *waiter = cf_submit(pool, waits, promise);
        assert_int_equal(cf_spawn(pool, settles, cf_future_retain(promise)), CF_OK);
        if (i % 2 == 0)
            assert_int_equal(answer_of(waiter), CF_OK);
        assert_int_equal(cf_spawn(pool, settles, cf_future_retain(next)), CF_OK);
        assert_int_equal(cf_future_wait(next, CF_FOREVER), CF_OK);
        if (i % 2 != 0)
            assert_int_equal(answer_of(waiter), CF_OK);
    }
    cf_executor_close(pool);
    assert_true(counted(&stops) > 1);
}

static cf_err
waits_for_first(cf_executor *pool, diary *d)
{
    cf_future *futures[2] = {cf_submit(pool, writes, d, 1), cf_submit(pool, writes, d, 2)};
    cf_err error = cf_wait(futures, 2, CF_FIRST_COMPLETED, CF_FOREVER);
    cf_future_release(futures[0]);
    cf_future_release(futures[1]);
    return error;
}
CF_TASK(cf_err, waits_for_first, cf_executor *, diary *);

/* A task of the only worker waits for any of several: one that stands in runs them. */
static void
test_stand_in_for_set(void **state)
{
    (void)state;
    cf_executor *pool = cf_thread_pool(.max_workers = 1);
    diary d = {{0}, 0};
    cf_err answer = CF_ERR_INVALID;
    cf_auto(cf_future) f = cf_submit(pool, waits_for_first, pool, &d);
    assert_int_equal(cf_result(f, waits_for_first, &answer, CF_FOREVER), CF_OK);
    assert_int_equal(answer, CF_OK);
    cf_executor_close(pool);
    assert_int_equal(d.count, 2);
}

static cf_err
waits_in_set(cf_future *future)
{
    cf_wait_set *set = cf_wait_set_new();
    CF_ASSERT(cf_wait_set_add(set, future, NULL) == CF_OK);
    cf_err error = cf_wait_set_next(set, NULL, NULL, CF_FOREVER);
    cf_wait_set_free(set);
    return error;
}
CF_TASK(cf_err, waits_in_set, cf_future *);

static cf_err
waits_for_first_of_one(cf_future *future)
{
    return cf_wait(&future, 1, CF_FIRST_COMPLETED, CF_FOREVER);
}
CF_TASK(cf_err, waits_for_first_of_one, cf_future *);

/* The loop just ends, where another way to wait says why. */
static cf_err
waits_in_loop(cf_future *future)
{
    CF_AS_COMPLETED (i, &future, 1, CF_FOREVER)
        return CF_OK;
    return cf_future_done(future) ? CF_OK : CF_ERR_DEADLOCK;
}
CF_TASK(cf_err, waits_in_loop, cf_future *);

/* As many wait as a pool has threads at most, with what they wait for still queued: the last of them is told, and goes on to run
 * it, in whatever way it waits. */
static void
test_last_thread_mustnt_wait(void **state)
{
    (void)state;
    for (int way = 0; way < 4; way++) {
        unsigned count = way == 0 ? CF__WORKERS_MOST : 8;
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
        inside(pool)->capacity = count; /* no thread has been started yet */
        cf_auto(cf_future) promise = cf_future_new(0);
        gate g = GATE;
        cf_future *waiters[CF__WORKERS_MOST];
        assert_int_equal(cf_spawn(pool, passes, &g), CF_OK);
        for (unsigned i = 0; i < count; i++)
            waiters[i] = way == 0   ? cf_submit(pool, waits, promise)
                         : way == 1 ? cf_submit(pool, waits_in_set, promise)
                         : way == 2 ? cf_submit(pool, waits_for_first_of_one, promise)
                                    : cf_submit(pool, waits_in_loop, promise);
        assert_int_equal(cf_spawn_with(pool, cf_options(.priority = -1), settles, cf_future_retain(promise)), CF_OK);
        gate_open(&g);
        unsigned told = 0;
        for (unsigned i = 0; i < count; i++) {
            cf_err answer = answer_of(waiters[i]);
            assert_true(answer == CF_OK || answer == CF_ERR_DEADLOCK);
            told += answer == CF_ERR_DEADLOCK;
        }
        assert_int_equal(told, 1);
        wait_until(living(pool) == 1);
    }
}

/* ---- circles ---- */

typedef struct circle {
    cf_future *futures[4];
    gate ready; /* futures are written */
    cf_time deadlines[4];
    cf_executor *pool;
} circle;

/* Waits for number `whom`, once `after` others do; or when one of those before it is over, which had a deadline. */
static cf_err
waits_in_circle(circle *c, int self, int whom, unsigned after)
{
    bool over = false;
    gate_pass(&c->ready);
    while (!over && blocked(c->pool) < after) {
        for (unsigned i = 0; i < after; i++)
            over = over || cf_future_done(c->futures[i]);
        (void)sched_yield();
    }
    return cf_future_wait(c->futures[whom], c->deadlines[self]);
}
CF_TASK(cf_err, waits_in_circle, circle *, int, int, unsigned);

static void
make_circle(circle *c, unsigned workers, int count, bool in_order)
{
    *c = (circle){.ready = GATE, .pool = cf_thread_pool(.max_workers = workers)};
    for (int i = 0; i < count; i++) {
        c->deadlines[i] = CF_FOREVER;
        c->futures[i] = cf_submit(c->pool, waits_in_circle, c, i, (i + 1) % count, in_order ? (unsigned)i : 0u);
    }
}

static cf_err
circle_answer(circle *c, int i)
{
    cf_err answer = CF_ERR_INVALID;
    assert_int_equal(cf_result(c->futures[i], waits_in_circle, &answer, CF_FOREVER), CF_OK);
    return answer;
}

static void
end_circle(circle *c, int count)
{
    cf_executor_close(c->pool);
    for (int i = 0; i < count; i++)
        cf_future_release(c->futures[i]);
}

/* One to four tasks wait for each other, each without a deadline: exactly one is told, at whatever time it came, and so all
 * end.  With one worker they run in each other's waits. */
static void
test_circle_is_told(void **state)
{
    (void)state;
    for (int count = 1; count <= 4; count++) {
        for (unsigned workers = 1; workers <= 5; workers++) {
            circle c;
            int told = 0;
            make_circle(&c, workers, count, false);
            gate_open(&c.ready);
            for (int i = 0; i < count; i++) {
                cf_err answer = circle_answer(&c, i);
                assert_true(answer == CF_OK || answer == CF_ERR_DEADLOCK);
                told += answer == CF_ERR_DEADLOCK;
            }
            assert_int_equal(told, 1);
            assert_int_equal(blocked(c.pool), 0);
            end_circle(&c, count);
        }
    }
}

/* It's the one that closes the circle who is told. */
static void
test_circle_tells_the_last(void **state)
{
    (void)state;
    for (int count = 2; count <= 4; count++) {
        circle c;
        make_circle(&c, 4, count, true);
        wait_until(gate_inside(&c.ready) == (unsigned)count); /* or one would run another in its wait */
        gate_open(&c.ready);
        for (int i = 0; i < count; i++)
            assert_int_equal(circle_answer(&c, i), i == count - 1 ? CF_ERR_DEADLOCK : CF_OK);
        end_circle(&c, count);
    }
}

/* One that has a deadline will go on by itself, so there is no alarm, whether it waits first or closes the circle. */
static void
test_circle_with_deadline(void **state)
{
    (void)state;
    for (int count = 1; count <= 3; count++) {
        for (int i = 0; i < count; i++) {
            circle c;
            make_circle(&c, 4, count, true);
            wait_until(gate_inside(&c.ready) == (unsigned)count);
            c.deadlines[i] = cf_after_ms(count == 1 || i == count - 1 ? 5 : 100);
            gate_open(&c.ready);
            /* Those before it in the circle wait for it, or have come too late to wait. */
            for (int j = 0; j < count; j++)
                assert_int_equal(circle_answer(&c, j), j == i ? CF_ERR_TIMEOUT : CF_OK);
            end_circle(&c, count);
        }
    }
}

/* A row of waits that ends outside is none. */
static void
test_row_of_waits_is_no_circle(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2);
    cf_auto(cf_future) promise = cf_future_new(0);
    cf_future *row[6];
    for (unsigned i = 0; i < 6; i++) {
        row[i] = cf_submit(pool, waits, i == 0 ? promise : row[i - 1]);
        wait_until(blocked(pool) == i + 1);
    }
    assert_int_equal(cf_future_set_result(promise, NULL, 0), CF_OK);
    for (int i = 5; i >= 0; i--)
        assert_int_equal(answer_of(row[i]), CF_OK);
}

typedef struct family { /* fields: A atomic */
    cf_executor *pool;
    cf_future *root; /* written before `ready` opens */
    gate ready;
    unsigned stolen; /* A */
} family;

static cf_err
awaits_parent(family *f)
{
    count_one(&f->stolen);
    wait_until(joining(f->pool) == 1);
    return cf_future_wait(f->root, CF_FOREVER);
}
CF_TASK(cf_err, awaits_parent, family *);

static cf_err
joins_child(family *f)
{
    cf_child(awaits_parent) child;
    gate_pass(&f->ready);
    cf_child_start(&child, awaits_parent, f);
    wait_until(counted(&f->stolen) == 1);
    return cf_child_join(&child, awaits_parent);
}
CF_TASK(cf_err, joins_child, family *);

/* A stolen child waits for the task that joins it: it's told. */
static void
test_circle_through_child(void **state)
{
    (void)state;
    family f = {cf_thread_pool(.max_workers = 2), NULL, GATE, 0};
    cf_err answer = CF_OK;
    f.root = cf_submit(f.pool, joins_child, &f);
    gate_open(&f.ready);
    assert_int_equal(cf_result(f.root, joins_child, &answer, CF_FOREVER), CF_OK);
    assert_int_equal(answer, CF_ERR_DEADLOCK);
    cf_executor_close(f.pool);
    cf_future_release(f.root);
}

/* ---- fork and join by futures ---- */

static long fibonacci(cf_executor *pool, int n);
CF_TASK(long, fibonacci, cf_executor *, int);

static long
fibonacci(cf_executor *pool, int n)
{
    if (n < 2)
        return n;
    long a = 0;
    cf_auto(cf_future) f = cf_submit(pool, fibonacci, pool, n - 1);
    long b = fibonacci(pool, n - 2);
    if (cf_result(f, fibonacci, &a, CF_FOREVER) != CF_OK)
        (void)cf_fail(1, "%s", cf_future_message(f));
    return a + b;
}

static long depth(cf_executor *pool, int n);
CF_TASK(long, depth, cf_executor *, int);

static long
depth(cf_executor *pool, int n)
{
    long below = 0;
    if (n == 0)
        return 0;
    cf_auto(cf_future) f = cf_submit(pool, depth, pool, n - 1);
    if (cf_result(f, depth, &below, CF_FOREVER) != CF_OK)
        (void)cf_fail(1, "%s", cf_future_message(f));
    return below + 1;
}

/* Tasks that wait for their own, wide and deep, whatever the number of workers. */
static void
test_futures_fork_and_join(void **state)
{
    (void)state;
    static const unsigned workers[] = {1, 2, 3, 8};
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = workers[i]);
        for (int round = 0; round < 3; round++) {
            long value = -1;
            cf_auto(cf_future) wide = cf_submit(pool, fibonacci, pool, 15);
            cf_auto(cf_future) deep = cf_submit(pool, depth, pool, 1000);
            assert_int_equal(cf_result(wide, fibonacci, &value, CF_FOREVER), CF_OK);
            assert_int_equal(value, 610);
            assert_int_equal(cf_result(deep, depth, &value, CF_FOREVER), CF_OK);
            assert_int_equal(value, 1000);
        }
        wait_until(living(pool) <= workers[i]);
    }
}

/* ---- shutdown while tasks push ---- */

typedef struct pushing { /* fields: A atomic */
    cf_executor *pool;
    unsigned pushed, stop; /* A */
} pushing;

static void
does_nothing(void)
{
}
CF_TASK_VOID(does_nothing);

static void
pushes(pushing *p)
{
    while (counted(&p->stop) == 0)
        if (cf_spawn(p->pool, does_nothing) == CF_OK)
            count_one(&p->pushed);
}
CF_TASK_VOID(pushes, pushing *);

/* A shutdown that mustn't wait doesn't, however the deques move meanwhile, and counts what still runs. */
static void
test_shutdown_now_while_tasks_push(void **state)
{
    (void)state;
    for (int round = 0; round < 30; round++) {
        pushing p = {cf_thread_pool(.max_workers = 4), 0, 0};
        cf_shutdown_report report;
        assert_int_equal(cf_spawn(p.pool, pushes, &p), CF_OK);
        wait_until(counted(&p.pushed) > 100);
        for (int i = 0; i < 50; i++) {
            assert_int_equal(cf_executor_shutdown(p.pool, CF_DRAIN, CF_NOW, &report), CF_ERR_TIMEOUT);
            assert_true(report.left >= 1);
        }
        count_one(&p.stop);
        assert_int_equal(cf_executor_shutdown(p.pool, CF_DRAIN, CF_FOREVER, &report), CF_OK);
        assert_int_equal(report.left, 0);
        cf_executor_close(p.pool);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_within_priority),
        cmocka_unit_test(test_order_across_priorities),
        cmocka_unit_test(test_stand_in_runs_later_task),
        cmocka_unit_test(test_stand_in_for_queued_task),
        cmocka_unit_test(test_stand_ins_retire),
        cmocka_unit_test(test_work_comes_while_stand_in_retires),
        cmocka_unit_test(test_stand_in_for_set),
        cmocka_unit_test(test_last_thread_mustnt_wait),
        cmocka_unit_test(test_circle_is_told),
        cmocka_unit_test(test_circle_tells_the_last),
        cmocka_unit_test(test_circle_with_deadline),
        cmocka_unit_test(test_row_of_waits_is_no_circle),
        cmocka_unit_test(test_circle_through_child),
        cmocka_unit_test(test_futures_fork_and_join),
        cmocka_unit_test(test_shutdown_now_while_tasks_push),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
