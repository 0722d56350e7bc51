/* tests/unit/test_queue.c - queue.h
 * SPDX-License-Identifier: MIT */
#include "unit.h"

#include <cfutures/queue.h>

static void
make(cf_queue *q, size_t capacity)
{
    assert_int_equal(cf_queue_init(q, sizeof(int), capacity), CF_OK);
}

/* Puts first, first + 1, ... without waiting. */
static void
put_range(cf_queue *q, int first, int count)
{
    for (int i = first; i < first + count; i++)
        assert_int_equal(cf_queue_try_put(q, &i), CF_OK);
}

static void
get_range(cf_queue *q, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        int item = -1;
        assert_int_equal(cf_queue_try_get(q, &item), CF_OK);
        assert_int_equal(item, i);
    }
}

/* ---- a thread in one call ---- */

typedef struct caller { /* err and item are read after the join */
    cf_queue *q;
    int item;
    cf_err err;
    cf_time deadline;
} caller;

static void *
putter_main(void *argument)
{
    caller *c = argument;
    c->err = cf_queue_put_until(c->q, &c->item, c->deadline);
    return NULL;
}

static void *
getter_main(void *argument)
{
    caller *c = argument;
    c->err = cf_queue_get_until(c->q, &c->item, c->deadline);
    return NULL;
}

static void *
joiner_main(void *argument)
{
    caller *c = argument;
    c->err = cf_queue_join_until(c->q, c->deadline);
    return NULL;
}

#define CALLER(q, item)                                                                                                \
    {                                                                                                                  \
        q, item, CF__ERR_COUNT, CF_FOREVER                                                                             \
    }

/* ---- init ---- */

/* An item of no bytes, and a size that overflows, are refused. */
static void
test_queue_init_refuses_bad_sizes(void **state)
{
    (void)state;
    cf_queue q;
    assert_int_equal(cf_queue_init(&q, 0, 4), CF_ERR_INVALID);
    assert_int_equal(cf_queue_init(&q, SIZE_MAX / 2, 3), CF_ERR_INVALID);
    assert_int_equal(cf_queue_init(&q, 2, SIZE_MAX / 2 + 1), CF_ERR_INVALID);
    assert_int_equal(cf_queue_init(&q, SIZE_MAX / 2, 0), CF_ERR_INVALID);
}

/* Without memory there is no queue, and nothing to destroy. */
static void
test_queue_init_without_memory(void **state)
{
    (void)state;
    cf_queue q;
    fault_fail_nth("alloc", 1, ENOMEM);
    assert_int_equal(cf_queue_init(&q, sizeof(int), 4), CF_ERR_NOMEM);
}

/* ---- without waiting ---- */

/* Items come out in the order they went in, over many turns of the ring, for every small capacity. */
static void
test_queue_is_first_in_first_out(void **state)
{
    (void)state;
    for (int capacity = 1; capacity <= 5; capacity++) {
        cf_queue q;
        make(&q, (size_t)capacity);
        int next = 0;
        for (int turn = 0; turn < 20; turn++)
            for (int batch = 1; batch <= capacity; batch++) {
                put_range(&q, next, batch);
                assert_int_equal(cf_queue_size(&q), batch);
                get_range(&q, next, batch);
                next += batch;
            }
        assert_int_equal(cf_queue_size(&q), 0);
        cf_queue_destroy(&q);
    }
}

/* The capacity is exact, also while the ring has turned. */
static void
test_queue_capacity_is_exact(void **state)
{
    (void)state;
    for (int capacity = 1; capacity <= 5; capacity++) {
        cf_queue q;
        int item = 99;
        make(&q, (size_t)capacity);
        for (int turn = 0; turn < 7; turn++) {
            put_range(&q, turn, capacity);
            assert_int_equal(cf_queue_try_put(&q, &item), CF_ERR_FULL);
            assert_int_equal(cf_queue_put_until(&q, &item, CF_NOW), CF_ERR_TIMEOUT);
            assert_int_equal(cf_queue_put_until(&q, &item, CF_NOW + 1), CF_ERR_TIMEOUT);
            assert_int_equal(cf_queue_size(&q), capacity);
            get_range(&q, turn, capacity);
            item = turn + capacity; /* so that the ring's start moves by one each turn */
            assert_int_equal(cf_queue_put(&q, &item), CF_OK);
            assert_int_equal(cf_queue_get(&q, &item), CF_OK);
            assert_int_equal(item, turn + capacity);
        }
        cf_queue_destroy(&q);
    }
}

/* Getting from an empty queue without waiting says so, and doesn't touch the caller's item. */
static void
test_queue_empty_get_writes_nothing(void **state)
{
    (void)state;
    cf_queue q;
    int item = 42;
    make(&q, 1);
    assert_int_equal(cf_queue_try_get(&q, &item), CF_ERR_EMPTY);
    assert_int_equal(cf_queue_get_until(&q, &item, CF_NOW), CF_ERR_TIMEOUT);
    assert_int_equal(cf_queue_get_until(&q, &item, CF_NOW + 1), CF_ERR_TIMEOUT);
    cf_queue_close(&q);
    assert_int_equal(cf_queue_get(&q, &item), CF_ERR_CLOSED);
    assert_int_equal(item, 42);
    cf_queue_destroy(&q);
}

/* A past deadline is no obstacle where there is nothing to wait for. */
static void
test_queue_past_deadline_tries_once(void **state)
{
    (void)state;
    cf_queue q;
    int item = 5;
    make(&q, 1);
    assert_int_equal(cf_queue_put_until(&q, &item, CF_NOW), CF_OK);
    item = 0;
    assert_int_equal(cf_queue_get_until(&q, &item, CF_NOW + 1), CF_OK);
    assert_int_equal(item, 5);
    cf_queue_destroy(&q);
}

/* A queue without bound takes what comes, and keeps the order when it grows, wherever the ring's start is. */
static void
test_queue_without_bound_grows(void **state)
{
    (void)state;
    for (int head = 0; head <= CF__QUEUE_FIRST_RING; head++) {
        cf_queue q;
        make(&q, 0);
        put_range(&q, 0, head);
        get_range(&q, 0, head);
        put_range(&q, head, 300); /* 16 places grow to 512 */
        assert_int_equal(cf_queue_size(&q), 300);
        get_range(&q, head, 150);
        put_range(&q, head + 300, 700);
        get_range(&q, head + 150, 850);
        int none = 0;
        assert_int_equal(cf_queue_try_get(&q, &none), CF_ERR_EMPTY);
        cf_queue_destroy(&q);
    }
}

/* A queue that can't grow says so, and is as before. */
static void
test_queue_growth_without_memory(void **state)
{
    (void)state;
    cf_queue q;
    int item = 1000;
    make(&q, 0);
    put_range(&q, 0, CF__QUEUE_FIRST_RING);
    fault_fail_from("alloc", 1, ENOMEM);
    assert_int_equal(cf_queue_put(&q, &item), CF_ERR_NOMEM);
    assert_int_equal(cf_queue_try_put(&q, &item), CF_ERR_NOMEM);
    assert_int_equal(cf_queue_size(&q), CF__QUEUE_FIRST_RING);
    get_range(&q, 0, 1);
    put_range(&q, CF__QUEUE_FIRST_RING, 1); /* the place that's free again */
    fault_clear();
    put_range(&q, CF__QUEUE_FIRST_RING + 1, 10);
    get_range(&q, 1, CF__QUEUE_FIRST_RING + 10);
    for (int i = 0; i < CF__QUEUE_FIRST_RING + 11; i++) /* what failed isn't unfinished work */
        assert_int_equal(cf_queue_task_done(&q), CF_OK);
    assert_int_equal(cf_queue_task_done(&q), CF_ERR_INVALID);
    cf_queue_destroy(&q);
}

/* Items may have any size; they are copied whole, and what the caller does with its own afterwards is its own. */
static void
test_queue_copies_items_of_any_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 3, 7, 24, 1000};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        cf_queue q;
        unsigned char item[1001], expected[1001];
        assert_int_equal(cf_queue_init(&q, sizes[s], 3), CF_OK);
        for (unsigned turn = 0; turn < 5; turn++) {
            for (unsigned i = 0; i < 2; i++) {
                memset(item, (int)(turn * 2 + i), sizeof item);
                assert_int_equal(cf_queue_put(&q, item), CF_OK);
            }
            for (unsigned i = 0; i < 2; i++) {
                memset(item, 0xff, sizeof item);
                memset(expected, 0xff, sizeof expected);
                memset(expected, (int)(turn * 2 + i), sizes[s]);
                assert_int_equal(cf_queue_get(&q, item), CF_OK);
                assert_memory_equal(item, expected, sizeof item);
            }
        }
        cf_queue_destroy(&q);
    }
}

/* Items left in a queue go with it. */
static void
test_queue_destroy_drops_items(void **state)
{
    (void)state;
    cf_queue q;
    make(&q, 0);
    put_range(&q, 0, 100);
    cf_queue_destroy(&q); /* the check for leaks follows */
}

/* ---- waiting ---- */

/* A putter asleep before a full queue goes on when an item is got. */
static void
test_queue_get_wakes_putter(void **state)
{
    (void)state;
    cf_queue q;
    caller c = CALLER(&q, 1);
    make(&q, 1);
    put_range(&q, 0, 1);
    pthread_t thread = start_thread(putter_main, &c);
    wait_until(sleepers(&q.mutex, &q.not_full) == 1);
    get_range(&q, 0, 1);
    join_thread(thread);
    assert_int_equal(c.err, CF_OK);
    get_range(&q, 1, 1);
    cf_queue_destroy(&q);
}

/* A getter asleep before an empty queue goes on when an item is put. */
static void
test_queue_put_wakes_getter(void **state)
{
    (void)state;
    cf_queue q;
    caller c = CALLER(&q, -1);
    make(&q, 1);
    pthread_t thread = start_thread(getter_main, &c);
    wait_until(sleepers(&q.mutex, &q.not_empty) == 1);
    put_range(&q, 7, 1);
    join_thread(thread);
    assert_int_equal(c.err, CF_OK);
    assert_int_equal(c.item, 7);
    assert_int_equal(cf_queue_size(&q), 0);
    cf_queue_destroy(&q);
}

/* Each item put wakes one of the sleeping getters: as many puts, as many go on. */
static void
test_queue_each_put_wakes_one_getter(void **state)
{
    (void)state;
    cf_queue q;
    caller callers[3] = {CALLER(&q, -1), CALLER(&q, -1), CALLER(&q, -1)};
    pthread_t threads[3];
    make(&q, 3);
    for (unsigned i = 0; i < 3; i++) {
        threads[i] = start_thread(getter_main, &callers[i]);
        wait_until(sleepers(&q.mutex, &q.not_empty) == i + 1);
    }
    for (int i = 0; i < 3; i++) {
        put_range(&q, i, 1);
        assert_int_equal(sleepers(&q.mutex, &q.not_empty), 2 - i);
    }
    int sum = 0;
    for (int i = 0; i < 3; i++) {
        join_thread(threads[i]);
        assert_int_equal(callers[i].err, CF_OK);
        sum += callers[i].item;
    }
    assert_int_equal(sum, 0 + 1 + 2);
    cf_queue_destroy(&q);
}

/* Each item got wakes one of the sleeping putters. */
static void
test_queue_each_get_wakes_one_putter(void **state)
{
    (void)state;
    cf_queue q;
    caller callers[3] = {CALLER(&q, 1), CALLER(&q, 2), CALLER(&q, 3)};
    pthread_t threads[3];
    make(&q, 1);
    put_range(&q, 0, 1);
    for (unsigned i = 0; i < 3; i++) {
        threads[i] = start_thread(putter_main, &callers[i]);
        wait_until(sleepers(&q.mutex, &q.not_full) == i + 1);
    }
    int sum = 0;
    for (int i = 0; i < 4; i++) {
        int item = -1;
        assert_int_equal(cf_queue_get(&q, &item), CF_OK);
        sum += item;
    }
    for (int i = 0; i < 3; i++) {
        join_thread(threads[i]);
        assert_int_equal(callers[i].err, CF_OK);
    }
    assert_int_equal(sum, 0 + 1 + 2 + 3);
    cf_queue_destroy(&q);
}

/* Whoever is woken and finds that another was quicker sleeps again, and doesn't come back without cause. */
static void
test_queue_quicker_callers_are_harmless(void **state)
{
    (void)state;
    cf_queue q;
    make(&q, 1);
    caller get = CALLER(&q, -1);
    pthread_t thread = start_thread(getter_main, &get);
    wait_until(sleepers(&q.mutex, &q.not_empty) == 1);
    wake_in_vain(&q.mutex, &q.not_empty);
    put_range(&q, 4, 1);
    join_thread(thread);
    assert_int_equal(get.err, CF_OK);
    assert_int_equal(get.item, 4);

    caller put = CALLER(&q, 6);
    put_range(&q, 5, 1);
    thread = start_thread(putter_main, &put);
    wait_until(sleepers(&q.mutex, &q.not_full) == 1);
    wake_in_vain(&q.mutex, &q.not_full);
    get_range(&q, 5, 1);
    join_thread(thread);
    assert_int_equal(put.err, CF_OK);
    get_range(&q, 6, 1);

    caller join = CALLER(&q, 0);
    thread = start_thread(joiner_main, &join);
    wait_until(sleepers(&q.mutex, &q.finished) == 1);
    wake_in_vain(&q.mutex, &q.finished);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cf_queue_task_done(&q), CF_OK);
    join_thread(thread);
    assert_int_equal(join.err, CF_OK);
    cf_queue_destroy(&q);
}

/* Waiters with a deadline that is far off are woken as those without. */
static void
test_queue_far_deadline_is_woken(void **state)
{
    (void)state;
    cf_queue q;
    caller c = CALLER(&q, -1);
    c.deadline = cf_after_ms(3600000);
    make(&q, 1);
    pthread_t thread = start_thread(getter_main, &c);
    wait_until(sleepers(&q.mutex, &q.not_empty) == 1);
    put_range(&q, 3, 1);
    join_thread(thread);
    assert_int_equal(c.err, CF_OK);
    assert_int_equal(c.item, 3);
    cf_queue_destroy(&q);
}

typedef struct flow { /* a producer or consumer; read after the join */
    cf_queue *q;
    unsigned number;
    unsigned last[2]; /* of each producer, what came last */
    unsigned got;
    bool in_order;
} flow;

enum { flow_items = 3000 };

static void *
produces(void *argument)
{
    flow *f = argument;
    for (unsigned i = 1; i <= flow_items; i++) {
        unsigned item = f->number << 16 | i;
        f->got += cf_queue_put(f->q, &item) == CF_OK;
    }
    return NULL;
}

static void *
consumes(void *argument)
{
    flow *f = argument;
    unsigned item;
    while (cf_queue_get(f->q, &item) == CF_OK) {
        unsigned producer = item >> 16, i = item & 0xffff;
        f->in_order = f->in_order && i > f->last[producer];
        f->last[producer] = i;
        f->got++;
    }
    return NULL;
}

/* Two that put and two that get lose nothing, double nothing, and see each putter's items in its order. */
static void
test_queue_many_callers_keep_order(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity <= 2; capacity++) {
        cf_queue q;
        flow producers[2] = {{&q, 0, {0}, 0, true}, {&q, 1, {0}, 0, true}}, consumers[2] = {producers[0], producers[1]};
        pthread_t in[2], out[2];
        assert_int_equal(cf_queue_init(&q, sizeof(unsigned), capacity), CF_OK);
        for (int i = 0; i < 2; i++) {
            in[i] = start_thread(produces, &producers[i]);
            out[i] = start_thread(consumes, &consumers[i]);
        }
        for (int i = 0; i < 2; i++)
            join_thread(in[i]);
        cf_queue_close(&q);
        for (int i = 0; i < 2; i++) {
            join_thread(out[i]);
            assert_true(consumers[i].in_order);
            assert_int_equal(producers[i].got, flow_items);
        }
        assert_int_equal(consumers[0].got + consumers[1].got, 2 * flow_items);
        cf_queue_destroy(&q);
    }
}

/* ---- close ---- */

/* A getter asleep in an empty queue leaves with CLOSED when it is closed; all of them do. */
static void
test_queue_close_wakes_blocked_getters(void **state)
{
    (void)state;
    cf_queue q;
    caller callers[2] = {CALLER(&q, -1), CALLER(&q, -1)};
    pthread_t threads[2];
    make(&q, 1);
    for (int i = 0; i < 2; i++)
        threads[i] = start_thread(getter_main, &callers[i]);
    wait_until(sleepers(&q.mutex, &q.not_empty) == 2);
    cf_queue_close(&q);
    for (int i = 0; i < 2; i++) {
        join_thread(threads[i]);
        assert_int_equal(callers[i].err, CF_ERR_CLOSED);
        assert_int_equal(callers[i].item, -1);
    }
    cf_queue_destroy(&q);
}

/* A putter asleep before a full queue leaves with CLOSED when it is closed; its item isn't put. */
static void
test_queue_close_wakes_blocked_putters(void **state)
{
    (void)state;
    cf_queue q;
    caller callers[2] = {CALLER(&q, 1), CALLER(&q, 2)};
    pthread_t threads[2];
    make(&q, 1);
    put_range(&q, 0, 1);
    for (int i = 0; i < 2; i++)
        threads[i] = start_thread(putter_main, &callers[i]);
    wait_until(sleepers(&q.mutex, &q.not_full) == 2);
    cf_queue_close(&q);
    for (int i = 0; i < 2; i++) {
        join_thread(threads[i]);
        assert_int_equal(callers[i].err, CF_ERR_CLOSED);
    }
    assert_int_equal(cf_queue_size(&q), 1);
    cf_queue_destroy(&q);
}

/* A closed queue takes nothing, full or not, and gives what it has; then every get says CLOSED. */
static void
test_queue_closed_drains(void **state)
{
    (void)state;
    for (int items = 1; items <= 2; items++) {
        cf_queue q;
        int item = 9;
        make(&q, 2);
        put_range(&q, 0, items);
        cf_queue_close(&q);
        cf_queue_close(&q);
        assert_int_equal(cf_queue_put(&q, &item), CF_ERR_CLOSED);
        assert_int_equal(cf_queue_try_put(&q, &item), CF_ERR_CLOSED);
        assert_int_equal(cf_queue_put_until(&q, &item, CF_NOW), CF_ERR_CLOSED);
        assert_int_equal(cf_queue_size(&q), items);
        get_range(&q, 0, items);
        assert_int_equal(cf_queue_get(&q, &item), CF_ERR_CLOSED);
        assert_int_equal(cf_queue_try_get(&q, &item), CF_ERR_CLOSED);
        assert_int_equal(cf_queue_get_until(&q, &item, CF_NOW), CF_ERR_CLOSED);
        assert_int_equal(item, 9);
        assert_int_equal(cf_queue_put(&q, &item), CF_ERR_CLOSED);
        cf_queue_destroy(&q);
    }
}

/* ---- task_done and join ---- */

/* A queue that never had work is finished; so is one whose items were all reported, got or not. */
static void
test_queue_join_returns_when_finished(void **state)
{
    (void)state;
    cf_queue q;
    make(&q, 0);
    cf_queue_join(&q);
    assert_int_equal(cf_queue_join_until(&q, CF_NOW), CF_OK);
    put_range(&q, 0, 2);
    get_range(&q, 0, 2);
    assert_int_equal(cf_queue_join_until(&q, CF_NOW), CF_ERR_TIMEOUT);
    assert_int_equal(cf_queue_task_done(&q), CF_OK);
    assert_int_equal(cf_queue_join_until(&q, CF_NOW + 1), CF_ERR_TIMEOUT);
    assert_int_equal(cf_queue_task_done(&q), CF_OK);
    assert_int_equal(cf_queue_join_until(&q, CF_NOW), CF_OK);
    cf_queue_join(&q);
    cf_queue_destroy(&q);
}

/* One report too many is refused and changes nothing. */
static void
test_queue_task_done_too_often(void **state)
{
    (void)state;
    cf_queue q;
    make(&q, 2);
    assert_int_equal(cf_queue_task_done(&q), CF_ERR_INVALID);
    put_range(&q, 0, 1);
    assert_int_equal(cf_queue_join_until(&q, CF_NOW), CF_ERR_TIMEOUT);
    assert_int_equal(cf_queue_task_done(&q), CF_OK);
    assert_int_equal(cf_queue_task_done(&q), CF_ERR_INVALID);
    assert_int_equal(cf_queue_join_until(&q, CF_NOW), CF_OK);
    cf_queue_destroy(&q);
}

/* The last report, and no earlier one, wakes all who join; closing doesn't. */
static void
test_queue_last_task_done_wakes_joiners(void **state)
{
    (void)state;
    cf_queue q;
    caller callers[2] = {CALLER(&q, 0), CALLER(&q, 0)};
    pthread_t threads[2];
    make(&q, 2);
    put_range(&q, 0, 2);
    for (int i = 0; i < 2; i++)
        threads[i] = start_thread(joiner_main, &callers[i]);
    wait_until(sleepers(&q.mutex, &q.finished) == 2);
    assert_int_equal(cf_queue_task_done(&q), CF_OK);
    assert_int_equal(sleepers(&q.mutex, &q.finished), 2);
    cf_queue_close(&q);
    assert_int_equal(sleepers(&q.mutex, &q.finished), 2);
    assert_int_equal(cf_queue_task_done(&q), CF_OK);
    for (int i = 0; i < 2; i++) {
        join_thread(threads[i]);
        assert_int_equal(callers[i].err, CF_OK);
    }
    cf_queue_destroy(&q);
}

/* Items that weren't put, because the queue was full or closed, aren't waited for. */
static void
test_queue_join_ignores_failed_puts(void **state)
{
    (void)state;
    cf_queue q;
    int item = 1;
    make(&q, 1);
    put_range(&q, 0, 1);
    assert_int_equal(cf_queue_try_put(&q, &item), CF_ERR_FULL);
    cf_queue_close(&q);
    assert_int_equal(cf_queue_put(&q, &item), CF_ERR_CLOSED);
    assert_int_equal(cf_queue_task_done(&q), CF_OK);
    assert_int_equal(cf_queue_join_until(&q, CF_NOW), CF_OK);
    cf_queue_destroy(&q);
}

/* ---- typed queues ---- */

typedef struct rate {
    char currency[4];
    double value;
} rate;

CF_QUEUE(rate_queue, rate);
CF_QUEUE(name_queue, const char *);

/* A typed queue has every call of the untyped one, with its item's type. */
static void
test_queue_typed_calls(void **state)
{
    (void)state;
    rate_queue q;
    rate in = {"EUR", 1.5}, out = {"", 0};
    assert_int_equal(rate_queue_init(&q, 1), CF_OK);
    assert_int_equal(rate_queue_put(&q, &in), CF_OK);
    assert_int_equal(rate_queue_try_put(&q, &in), CF_ERR_FULL);
    assert_int_equal(rate_queue_put_until(&q, &in, CF_NOW), CF_ERR_TIMEOUT);
    assert_int_equal(rate_queue_size(&q), 1);
    assert_int_equal(rate_queue_get(&q, &out), CF_OK);
    assert_string_equal(out.currency, "EUR");
    assert_true(out.value >= 1.5 && out.value <= 1.5);
    assert_int_equal(rate_queue_try_get(&q, &out), CF_ERR_EMPTY);
    assert_int_equal(rate_queue_get_until(&q, &out, CF_NOW), CF_ERR_TIMEOUT);
    assert_int_equal(rate_queue_join_until(&q, CF_NOW), CF_ERR_TIMEOUT);
    assert_int_equal(rate_queue_task_done(&q), CF_OK);
    rate_queue_join(&q);
    rate_queue_close(&q);
    assert_int_equal(rate_queue_put(&q, &in), CF_ERR_CLOSED);
    rate_queue_destroy(&q);

    name_queue names;
    const char *name = "a", *back = NULL;
    assert_int_equal(name_queue_init(&names, 0), CF_OK);
    assert_int_equal(name_queue_put(&names, &name), CF_OK);
    assert_int_equal(name_queue_get(&names, &back), CF_OK);
    assert_ptr_equal(back, name);
    name_queue_destroy(&names);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue_init_refuses_bad_sizes),
        cmocka_unit_test(test_queue_init_without_memory),
        cmocka_unit_test(test_queue_is_first_in_first_out),
        cmocka_unit_test(test_queue_capacity_is_exact),
        cmocka_unit_test(test_queue_empty_get_writes_nothing),
        cmocka_unit_test(test_queue_past_deadline_tries_once),
        cmocka_unit_test(test_queue_without_bound_grows),
        cmocka_unit_test(test_queue_growth_without_memory),
        cmocka_unit_test(test_queue_copies_items_of_any_size),
        cmocka_unit_test(test_queue_destroy_drops_items),
        cmocka_unit_test(test_queue_get_wakes_putter),
        cmocka_unit_test(test_queue_put_wakes_getter),
        cmocka_unit_test(test_queue_each_put_wakes_one_getter),
        cmocka_unit_test(test_queue_each_get_wakes_one_putter),
        cmocka_unit_test(test_queue_quicker_callers_are_harmless),
        cmocka_unit_test(test_queue_far_deadline_is_woken),
        cmocka_unit_test(test_queue_many_callers_keep_order),
        cmocka_unit_test(test_queue_close_wakes_blocked_getters),
        cmocka_unit_test(test_queue_close_wakes_blocked_putters),
        cmocka_unit_test(test_queue_closed_drains),
        cmocka_unit_test(test_queue_join_returns_when_finished),
        cmocka_unit_test(test_queue_task_done_too_often),
        cmocka_unit_test(test_queue_last_task_done_wakes_joiners),
        cmocka_unit_test(test_queue_join_ignores_failed_puts),
        cmocka_unit_test(test_queue_typed_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
