/* tests/unit/test_queue.c - queue.h
 * SPDX-License-Identifier: MIT */
#include "unit.h"

static unsigned yields; /* A: of the queues, since the test's start */

static void
counting_yield(void)
{
    count_one(&yields);
    cf__os_yield();
}

#define cf__os_yield counting_yield
#include <cfutures/queue.h>
#undef cf__os_yield

static void
make(cf_queue *q, size_t capacity)
{
    assert_int_equal(cf_queue_init(q, sizeof(int), capacity), CF_OK);
}

static int
compare_ints(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

static int
compare_first(const void *a, const void *b)
{
    return *(const unsigned char *)a - *(const unsigned char *)b;
}

typedef struct ranked {
    int rank, arrival;
} ranked;

static int
compare_ranks(const void *a, const void *b)
{
    return compare_ints(&((const ranked *)a)->rank, &((const ranked *)b)->rank);
}

static void
make_ordered(cf_queue *q, size_t capacity, cf_queue_order order)
{
    assert_int_equal(
        cf_queue_init_with(q, sizeof(int),
                           cf_queue_options(.capacity = capacity, .order = order, .compare = compare_ints)),
        CF_OK);
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
    size_t moved;
} caller;

/* The first three can be cancelled after the call; nobody does but one test. */

static void *
putter_main(void *argument)
{
    caller *c = argument;
    c->err = cf_queue_put_until(c->q, &c->item, c->deadline);
    pthread_testcancel();
    return NULL;
}

static void *
getter_main(void *argument)
{
    caller *c = argument;
    c->err = cf_queue_get_until(c->q, &c->item, c->deadline);
    pthread_testcancel();
    return NULL;
}

static void *
joiner_main(void *argument)
{
    caller *c = argument;
    c->err = cf_queue_join_until(c->q, c->deadline);
    pthread_testcancel();
    return NULL;
}

static void *
many_putter_main(void *argument) /* items: item, item + 1, item + 2; err and moved are read after the join */
{
    caller *c = argument;
    int three[3] = {c->item, c->item + 1, c->item + 2};
    c->err = cf_queue_put_many(c->q, three, 3, &c->moved, c->deadline);
    return NULL;
}

static void *
many_getter_main(void *argument)
{
    caller *c = argument;
    int three[3] = {-1, -1, -1};
    c->err = cf_queue_get_many(c->q, three, 3, &c->moved, c->deadline);
    c->item = three[0];
    return NULL;
}

#define CALLER(q, item)                                                                                                \
    {                                                                                                                  \
        q, item, CF__ERR_COUNT, CF_FOREVER, 99                                                                         \
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

/* No options are the default ones; of shorter ones, as a program has that was compiled against an older header, nothing is read
 * beyond their end. */
static void
test_queue_init_without_options(void **state)
{
    (void)state;
    cf_queue q;
    cf_queue_opts shorter = {.struct_size = offsetof(cf_queue_opts, order), .capacity = 3, .order = CF_PRIORITY};
    assert_int_equal(cf_queue_init_with(&q, sizeof(int), &shorter), CF_OK);
    put_range(&q, 0, 3);
    assert_true(cf_queue_full(&q));
    cf_queue_destroy(&q);
    assert_int_equal(cf_queue_init_with(&q, sizeof(int), NULL), CF_OK);
    assert_int_equal(cf_queue_capacity(&q), 0);
    put_range(&q, 0, 100);
    get_range(&q, 0, 100);
    cf_queue_destroy(&q);
}

/* Without memory there is no queue, and nothing to destroy. */
static void
test_queue_init_without_memory(void **state)
{
    (void)state;
    cf_queue q;
    fault_fail_nth("alloc", 1, ENOMEM);
    assert_int_equal(cf_queue_init(&q, sizeof(int), 4), CF_ERR_NOMEM);
    fault_clear();
    assert_int_equal(cf_queue_init(&q, 1, (size_t)1 << 60),
                     CF_ERR_NOMEM); /* with its stamps it would wrap round to 0 */
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

/* Claims the position at *end for a put or get that doesn't go on, as a thread does that loses its CPU there. */
static size_t
claim(cf_queue *q, size_t *end)
{
    size_t position = *end;
    *end = cf__cells_next(&q->cells, position);
    return position;
}

/* What cf_queue_try_put() and cf_queue_try_get() say of themselves: a call that has begun and not returned hides what is
 * behind it, until it goes on; the sizes count it. */
static void
test_queue_unfinished_call_hides_what_is_behind(void **state)
{
    (void)state;
    cf_queue q;
    int item = 1, none = -1;
    make(&q, 2);
    size_t put = claim(&q, &q.cells.tail);
    assert_int_equal(cf_queue_put(&q, &item), CF_OK);
    assert_int_equal(cf_queue_size(&q), 2);
    assert_int_equal(cf_queue_try_get(&q, &none), CF_ERR_EMPTY);
    assert_int_equal(cf_queue_get_until(&q, &none, CF_NOW + 1), CF_ERR_TIMEOUT);
    item = 0;
    size_t *stamp = cf__cells_stamp(&q.cells, put);
    memcpy(stamp + 1, &item, sizeof item);
    *stamp = put + 1; /* it goes on */
    get_range(&q, 0, 2);

    put_range(&q, 2, 2);
    size_t get = claim(&q, &q.cells.head);
    get_range(&q, 3, 1);
    assert_true(cf_queue_empty(&q));
    assert_int_equal(cf_queue_try_put(&q, &item), CF_ERR_FULL);
    assert_int_equal(cf_queue_put_until(&q, &item, CF_NOW + 1), CF_ERR_TIMEOUT);
    *cf__cells_stamp(&q.cells, get) = get + q.cells.lap;
    put_range(&q, 4, 2);
    get_range(&q, 4, 2);
    cf_queue_destroy(&q);
}

/* A queue without bound takes what comes, and keeps the order when it grows, wherever the ring's start is. */
static void
test_queue_without_bound_grows(void **state)
{
    (void)state;
    for (int head = 0; head <= CF__ITEMS_FIRST; head++) {
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
    int item = 1000, three[3] = {CF__ITEMS_FIRST - 1, 1000, 1000};
    size_t moved = 99;
    make(&q, 0);
    put_range(&q, 0, CF__ITEMS_FIRST - 1);
    fault_fail_from("alloc", 1, ENOMEM);
    assert_int_equal(cf_queue_put_many(&q, three, 3, &moved, CF_FOREVER), CF_ERR_NOMEM);
    assert_int_equal(moved, 1); /* where there was room */
    assert_int_equal(cf_queue_put(&q, &item), CF_ERR_NOMEM);
    assert_int_equal(cf_queue_try_put(&q, &item), CF_ERR_NOMEM);
    assert_int_equal(cf_queue_size(&q), CF__ITEMS_FIRST);
    get_range(&q, 0, 1);
    put_range(&q, CF__ITEMS_FIRST, 1); /* the place that's free again */
    fault_clear();
    put_range(&q, CF__ITEMS_FIRST + 1, 10);
    get_range(&q, 1, CF__ITEMS_FIRST + 10);
    for (int i = 0; i < CF__ITEMS_FIRST + 11; i++) /* what failed isn't unfinished work */
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
    wait_until(sleepers(&q.mutex, &q.not_full.event) == 1);
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
    wait_until(sleepers(&q.mutex, &q.not_empty.event) == 1);
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
        wait_until(sleepers(&q.mutex, &q.not_empty.event) == i + 1);
    }
    for (int i = 0; i < 3; i++) {
        put_range(&q, i, 1);
        wait_until(sleepers(&q.mutex, &q.not_empty.event) <= 2 - (unsigned)i);
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
        wait_until(sleepers(&q.mutex, &q.not_full.event) == i + 1);
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
    wait_until(sleepers(&q.mutex, &q.not_empty.event) == 1);
    wake_in_vain(&q.mutex, &q.not_empty.event);
    put_range(&q, 4, 1);
    join_thread(thread);
    assert_int_equal(get.err, CF_OK);
    assert_int_equal(get.item, 4);

    caller put = CALLER(&q, 6);
    put_range(&q, 5, 1);
    thread = start_thread(putter_main, &put);
    wait_until(sleepers(&q.mutex, &q.not_full.event) == 1);
    wake_in_vain(&q.mutex, &q.not_full.event);
    get_range(&q, 5, 1);
    join_thread(thread);
    assert_int_equal(put.err, CF_OK);
    get_range(&q, 6, 1);

    caller join = CALLER(&q, 0);
    thread = start_thread(joiner_main, &join);
    wait_until(sleepers(&q.mutex, &q.finished.event) == 1);
    wake_in_vain(&q.mutex, &q.finished.event);
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
    wait_until(sleepers(&q.mutex, &q.not_empty.event) == 1);
    put_range(&q, 3, 1);
    join_thread(thread);
    assert_int_equal(c.err, CF_OK);
    assert_int_equal(c.item, 3);
    cf_queue_destroy(&q);
}

/* Whose deadline is near gives the CPU to nobody before it looks at it: that may take longer than the deadline allows.  Who has
 * time yields before it sleeps. */
static void
test_queue_yields_only_with_time(void **state)
{
    (void)state;
    static const cf_time past = CF_NOW + 1;
    for (size_t order = CF_FIFO; order <= CF_PRIORITY; order++) {
        cf_queue q;
        int item = 0;
        size_t moved;
        caller c = CALLER(&q, -1);
        make_ordered(&q, 1, (cf_queue_order)order);
        __atomic_store_n(&yields, 0, __ATOMIC_RELAXED);
        assert_int_equal(cf_queue_get_until(&q, &item, past), CF_ERR_TIMEOUT);
        assert_int_equal(cf_queue_get_until(&q, &item, cf_after_ms(1)), CF_ERR_TIMEOUT);
        assert_int_equal(cf_queue_get_many(&q, &item, 1, &moved, past), CF_ERR_TIMEOUT);
        put_range(&q, 0, 1);
        assert_int_equal(cf_queue_put_until(&q, &item, past), CF_ERR_TIMEOUT);
        assert_int_equal(cf_queue_put_until(&q, &item, cf_after_ms(1)), CF_ERR_TIMEOUT);
        assert_int_equal(cf_queue_put_many(&q, &item, 1, &moved, past), CF_ERR_TIMEOUT);
        assert_int_equal(cf_queue_join_until(&q, past), CF_ERR_TIMEOUT);
        assert_int_equal(counted(&yields), 0);
        get_range(&q, 0, 1);

        for (int far = 0; far < 2; far++) { /* without a deadline, and with one */
            c.deadline = far ? cf_after_ms(3600000) : CF_FOREVER;
            __atomic_store_n(&yields, 0, __ATOMIC_RELAXED);
            pthread_t thread = start_thread(getter_main, &c);
            wait_until(sleepers(&q.mutex, &q.not_empty.event) == 1);
            assert_int_equal(counted(&yields), CF__QUEUE_YIELDS);
            put_range(&q, 1, 1);
            join_thread(thread);
            assert_int_equal(c.err, CF_OK);
        }
        cf_queue_destroy(&q);
    }
}

/* A wait isn't a cancellation point: who is cancelled in it stays in line, has what it waited for, and ends after the call. */
static void
test_queue_cancelled_waiter_stays(void **state)
{
    (void)state;
    cf_queue q;
    make(&q, 1);
    for (int far = 0; far < 2; far++) { /* without a deadline, and with one */
        caller get = CALLER(&q, -1), put = CALLER(&q, 6), join = CALLER(&q, 0);
        void *ended = NULL;
        get.deadline = put.deadline = join.deadline = far ? cf_after_ms(3600000) : CF_FOREVER;
        pthread_t thread = start_thread(getter_main, &get);
        wait_until(sleepers(&q.mutex, &q.not_empty.event) == 1);
        assert_int_equal(pthread_cancel(thread), 0);
        put_range(&q, 4, 1);
        assert_int_equal(pthread_join(thread, &ended), 0);
        assert_true(ended == PTHREAD_CANCELED);
        assert_int_equal(get.err, CF_OK);
        assert_int_equal(get.item, 4);

        put_range(&q, 5, 1);
        thread = start_thread(putter_main, &put);
        wait_until(sleepers(&q.mutex, &q.not_full.event) == 1);
        assert_int_equal(pthread_cancel(thread), 0);
        get_range(&q, 5, 1);
        assert_int_equal(pthread_join(thread, &ended), 0);
        assert_true(ended == PTHREAD_CANCELED);
        assert_int_equal(put.err, CF_OK);
        get_range(&q, 6, 1);

        thread = start_thread(joiner_main, &join);
        wait_until(sleepers(&q.mutex, &q.finished.event) == 1);
        assert_int_equal(pthread_cancel(thread), 0);
        for (int i = 0; i < 3; i++)
            assert_int_equal(cf_queue_task_done(&q), CF_OK);
        assert_int_equal(pthread_join(thread, &ended), 0);
        assert_true(ended == PTHREAD_CANCELED);
        assert_int_equal(join.err, CF_OK);
    }
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
    for (size_t capacity = 0; capacity <= 3; capacity++) {
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

typedef void close_queue(cf_queue *q);
static close_queue *const closes[] = {cf_queue_close, cf_queue_close_now};

/* Getters asleep in an empty queue leave with CLOSED, all of them, when it is closed in either way. */
static void
test_queue_close_wakes_blocked_getters(void **state)
{
    (void)state;
    for (int now = 0; now < 2; now++) {
        cf_queue q;
        caller callers[2] = {CALLER(&q, -1), CALLER(&q, -1)};
        pthread_t threads[2];
        make(&q, 1);
        for (int i = 0; i < 2; i++)
            threads[i] = start_thread(getter_main, &callers[i]);
        wait_until(sleepers(&q.mutex, &q.not_empty.event) == 2);
        closes[now](&q);
        for (int i = 0; i < 2; i++) {
            join_thread(threads[i]);
            assert_int_equal(callers[i].err, CF_ERR_CLOSED);
            assert_int_equal(callers[i].item, -1);
        }
        cf_queue_destroy(&q);
    }
}

/* Putters asleep before a full queue leave with CLOSED when it is closed in either way; their items aren't put. */
static void
test_queue_close_wakes_blocked_putters(void **state)
{
    (void)state;
    for (int now = 0; now < 2; now++) {
        cf_queue q;
        caller callers[2] = {CALLER(&q, 1), CALLER(&q, 2)};
        pthread_t threads[2];
        make(&q, 1);
        put_range(&q, 0, 1);
        for (int i = 0; i < 2; i++)
            threads[i] = start_thread(putter_main, &callers[i]);
        wait_until(sleepers(&q.mutex, &q.not_full.event) == 2);
        closes[now](&q);
        for (int i = 0; i < 2; i++) {
            join_thread(threads[i]);
            assert_int_equal(callers[i].err, CF_ERR_CLOSED);
        }
        assert_int_equal(cf_queue_size(&q), now ? 0 : 1);
        cf_queue_destroy(&q);
    }
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
    wait_until(sleepers(&q.mutex, &q.finished.event) == 2);
    assert_int_equal(cf_queue_task_done(&q), CF_OK);
    assert_int_equal(sleepers(&q.mutex, &q.finished.event), 2);
    cf_queue_close(&q);
    assert_int_equal(sleepers(&q.mutex, &q.finished.event), 2);
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

/* ---- close now ---- */

/* Closing now drops the items; puts and gets fail from then on, and nothing is left to wait for. */
static void
test_queue_close_now_drops_items(void **state)
{
    (void)state;
    for (int closed_before = 0; closed_before <= 1; closed_before++)
        for (size_t order = CF_FIFO; order <= CF_PRIORITY; order++)
            for (int items = 0; items <= 2; items++) {
                cf_queue q;
                int item = 9;
                make_ordered(&q, 2, (cf_queue_order)order);
                put_range(&q, 0, items);
                if (closed_before)
                    cf_queue_close(&q);
                cf_queue_close_now(&q);
                assert_int_equal(cf_queue_size(&q), 0);
                assert_int_equal(cf_queue_get(&q, &item), CF_ERR_CLOSED);
                assert_int_equal(cf_queue_try_get(&q, &item), CF_ERR_CLOSED);
                assert_int_equal(item, 9);
                assert_int_equal(cf_queue_put(&q, &item), CF_ERR_CLOSED);
                assert_int_equal(cf_queue_join_until(&q, CF_NOW), CF_OK);
                assert_int_equal(cf_queue_task_done(&q), CF_ERR_INVALID);
                cf_queue_close_now(&q);
                cf_queue_close(&q);
                assert_int_equal(cf_queue_get(&q, &item), CF_ERR_CLOSED);
                assert_int_equal(cf_queue_size(&q), 0);
                cf_queue_destroy(&q);
            }
}

/* As in Python 3.13: dropped items count as reported, so joiners go on at once if all others were reported, and
 * otherwise with the last report of an item that was got. */
static void
test_queue_close_now_releases_joiners(void **state)
{
    (void)state;
    for (int got = 0; got <= 1; got++) {
        cf_queue q;
        caller callers[2] = {CALLER(&q, 0), CALLER(&q, 0)};
        pthread_t threads[2];
        make(&q, 3);
        put_range(&q, 0, 3);
        get_range(&q, 0, got);
        for (int i = 0; i < 2; i++)
            threads[i] = start_thread(joiner_main, &callers[i]);
        wait_until(sleepers(&q.mutex, &q.finished.event) == 2);
        cf_queue_close_now(&q);
        if (got) {
            wait_until(sleepers(&q.mutex, &q.finished.event) == 2); /* again, if close_now woke them */
            assert_int_equal(cf_queue_task_done(&q), CF_OK);
        }
        for (int i = 0; i < 2; i++) {
            join_thread(threads[i]);
            assert_int_equal(callers[i].err, CF_OK);
        }
        assert_int_equal(cf_queue_task_done(&q), CF_ERR_INVALID);
        cf_queue_destroy(&q);
    }
}

/* Reports may come before the gets; dropping never counts an item twice. */
static void
test_queue_close_now_after_early_reports(void **state)
{
    (void)state;
    for (int early = 0; early <= 3; early++) {
        cf_queue q;
        make(&q, 3);
        put_range(&q, 0, 3);
        get_range(&q, 0, 1);
        for (int i = 0; i < early; i++)
            assert_int_equal(cf_queue_task_done(&q), CF_OK);
        cf_queue_close_now(&q); /* 3 - early are unfinished, 2 are dropped */
        assert_int_equal(cf_queue_join_until(&q, CF_NOW), early == 0 ? CF_ERR_TIMEOUT : CF_OK);
        assert_int_equal(cf_queue_task_done(&q), early == 0 ? CF_OK : CF_ERR_INVALID);
        assert_int_equal(cf_queue_join_until(&q, CF_NOW), CF_OK);
        cf_queue_destroy(&q);
    }
}

/* ---- many at once ---- */

/* All that fits is put, and all there is, up to what was asked for, is got; the order stays. */
static void
test_queue_many_move_in_order(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity <= 5; capacity++) {
        cf_queue q;
        int in[5] = {0, 1, 2, 3, 4}, out[6];
        size_t moved = 99, fits = capacity == 0 ? 5 : capacity;
        make(&q, capacity);
        for (int turn = 0; turn < 7; turn++) {
            assert_int_equal(cf_queue_put_many(&q, in, 5, &moved, CF_NOW), fits == 5 ? CF_OK : CF_ERR_TIMEOUT);
            assert_int_equal(moved, fits);
            assert_int_equal(cf_queue_put_many(&q, in, 0, &moved, CF_NOW), CF_OK);
            assert_int_equal(moved, 0);
            for (size_t i = 0; i < fits; i += moved) {
                for (int k = 0; k < 6; k++)
                    out[k] = -1;
                assert_int_equal(cf_queue_get_many(&q, out, 2, &moved, CF_NOW), CF_OK);
                assert_int_equal(moved, fits - i < 2 ? fits - i : 2);
                for (size_t k = 0; k < moved; k++)
                    assert_int_equal(out[k], i + k);
                assert_int_equal(out[moved], -1);
            }
            assert_int_equal(cf_queue_get_many(&q, out, 6, &moved, CF_NOW), CF_ERR_TIMEOUT);
            assert_int_equal(moved, 0);
            assert_int_equal(cf_queue_get_many(&q, out, 0, &moved, CF_NOW), CF_OK);
            assert_int_equal(moved, 0);
            for (size_t i = 0; i < fits; i++)
                assert_int_equal(cf_queue_task_done(&q), CF_OK);
            put_range(&q, 7, 1); /* so that the ring's start moves */
            get_range(&q, 7, 1);
            assert_int_equal(cf_queue_task_done(&q), CF_OK);
        }
        assert_int_equal(cf_queue_task_done(&q), CF_ERR_INVALID);
        cf_queue_destroy(&q);
    }
}

/* A close or a deadline in the middle keeps what was put before it, and says so; what is there can still be got, unless the
 * close has dropped it. */
static void
test_queue_end_keeps_part_of_many(void **state)
{
    static close_queue *const ends[] = {cf_queue_close, cf_queue_close_now, NULL /* the deadline */};
    (void)state;
    for (size_t e = 0; e < sizeof ends / sizeof *ends; e++) {
        cf_queue q;
        caller c = CALLER(&q, 0);
        int out[3];
        size_t moved = 99;
        make(&q, 2);
        if (ends[e] != NULL) {
            pthread_t thread = start_thread(many_putter_main, &c);
            wait_until(sleepers(&q.mutex, &q.not_full.event) == 1);
            ends[e](&q);
            join_thread(thread);
        } else {
            c.deadline = cf_after_ms(1);
            (void)many_putter_main(&c);
            cf_queue_close(&q);
        }
        assert_int_equal(c.err, ends[e] != NULL ? CF_ERR_CLOSED : CF_ERR_TIMEOUT);
        assert_int_equal(c.moved, 2);
        if (ends[e] != cf_queue_close_now) {
            assert_int_equal(cf_queue_get_many(&q, out, 3, &moved, CF_FOREVER), CF_OK);
            assert_int_equal(moved, 2);
            assert_int_equal(out[0] * 10 + out[1], 1);
        }
        assert_int_equal(cf_queue_get_many(&q, out, 3, &moved, CF_FOREVER), CF_ERR_CLOSED);
        assert_int_equal(moved, 0);
        cf_queue_destroy(&q);
    }
}

/* One that puts many sleeps until there is room for all; one that gets many, until there is one. */
static void
test_queue_many_wait(void **state)
{
    (void)state;
    cf_queue q;
    caller c = CALLER(&q, 0);
    make(&q, 1);
    pthread_t thread = start_thread(many_putter_main, &c);
    for (int i = 0; i < 3; i++) {
        int item = -1;
        assert_int_equal(cf_queue_get(&q, &item), CF_OK);
        assert_int_equal(item, i);
    }
    join_thread(thread);
    assert_int_equal(c.err, CF_OK);
    assert_int_equal(c.moved, 3);

    thread = start_thread(many_getter_main, &c);
    wait_until(sleepers(&q.mutex, &q.not_empty.event) == 1);
    put_range(&q, 8, 1);
    join_thread(thread);
    assert_int_equal(c.err, CF_OK);
    assert_int_equal(c.moved, 1);
    assert_int_equal(c.item, 8);

    thread = start_thread(many_getter_main, &c);
    wait_until(sleepers(&q.mutex, &q.not_empty.event) == 1);
    cf_queue_close(&q);
    join_thread(thread);
    assert_int_equal(c.err, CF_ERR_CLOSED);
    assert_int_equal(c.moved, 0);
    cf_queue_destroy(&q);
}

/* Several at once wake several: three getters asleep, three items put in one call, and the other way round. */
static void
test_queue_many_wake_many(void **state)
{
    (void)state;
    cf_queue q;
    caller callers[3] = {CALLER(&q, -1), CALLER(&q, -1), CALLER(&q, -1)};
    pthread_t threads[3];
    int in[3] = {1, 2, 4}, out[3], sum = 0;
    size_t moved;
    make(&q, 3);
    for (int i = 0; i < 3; i++)
        threads[i] = start_thread(getter_main, &callers[i]);
    wait_until(sleepers(&q.mutex, &q.not_empty.event) == 3);
    assert_int_equal(cf_queue_put_many(&q, in, 3, &moved, CF_NOW), CF_OK);
    for (int i = 0; i < 3; i++) {
        join_thread(threads[i]);
        sum += callers[i].item;
    }
    assert_int_equal(sum, 7);

    put_range(&q, 0, 3);
    for (int i = 0; i < 3; i++)
        threads[i] = start_thread(putter_main, &callers[i]);
    wait_until(sleepers(&q.mutex, &q.not_full.event) == 3);
    assert_int_equal(cf_queue_get_many(&q, out, 3, &moved, CF_NOW), CF_OK);
    assert_int_equal(moved, 3);
    for (int i = 0; i < 3; i++)
        join_thread(threads[i]);
    assert_int_equal(cf_queue_size(&q), 3);
    cf_queue_destroy(&q);
}

/* ---- other orders ---- */

/* Orders are checked: a priority queue needs a comparison, and there are three orders. */
static void
test_queue_init_refuses_bad_orders(void **state)
{
    (void)state;
    cf_queue q;
    cf_queue_opts none = {.order = (cf_queue_order)(CF_PRIORITY + 1)};
    assert_int_equal(cf_queue_init_with(&q, sizeof(int), cf_queue_options(.order = CF_PRIORITY)), CF_ERR_INVALID);
    assert_int_equal(cf_queue_init_with(&q, sizeof(int), &none), CF_ERR_INVALID);
    assert_int_equal(cf_queue_init_with(&q, 0, cf_queue_options(.order = CF_LIFO)), CF_ERR_INVALID);
    /* the number beside each item makes it overflow */
    assert_int_equal(
        cf_queue_init_with(&q, 1,
                           cf_queue_options(.capacity = SIZE_MAX / 4, .order = CF_PRIORITY, .compare = compare_ints)),
        CF_ERR_NOMEM);
    fault_fail_nth("alloc", 1, ENOMEM);
    assert_int_equal(cf_queue_init_with(&q, sizeof(int), cf_queue_options(.order = CF_LIFO)), CF_ERR_NOMEM);
}

/* Last in, first out, bounded or not, also after growing. */
static void
test_queue_lifo_order(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity <= 40; capacity += 20) {
        cf_queue q;
        int item;
        make_ordered(&q, capacity, CF_LIFO);
        put_range(&q, 0, 20);
        for (int i = 19; i >= 10; i--)
            get_range(&q, i, 1);
        put_range(&q, 10, 10);
        for (int i = 19; i >= 0; i--)
            get_range(&q, i, 1);
        assert_int_equal(cf_queue_try_get(&q, &item), CF_ERR_EMPTY);
        cf_queue_destroy(&q);
    }
}

/* The smallest first; every order of arrival of up to 7 items, some equal, comes out sorted, equals in their order of
 * arrival. */
static void
test_queue_priority_order(void **state)
{
    (void)state;
    for (int n = 1; n <= 7; n++) {
        int arrangements = 1;
        for (int i = 0; i < n; i++)
            arrangements *= 4;
        for (int a = 0; a < arrangements; a++) {
            cf_queue q;
            ranked last = {-1, -1}, next;
            assert_int_equal(cf_queue_init_with(&q, sizeof(ranked),
                                                cf_queue_options(.capacity = a % 2 ? 7 : 0, .order = CF_PRIORITY,
                                                                 .compare = compare_ranks)),
                             CF_OK);
            for (int i = 0, digits = a; i < n; i++, digits /= 4) {
                next = (ranked){digits % 4, i};
                assert_int_equal(cf_queue_try_put(&q, &next), CF_OK);
            }
            for (int i = 0; i < n; i++) {
                assert_int_equal(cf_queue_try_get(&q, &next), CF_OK);
                if (next.rank < last.rank || (next.rank == last.rank && next.arrival < last.arrival))
                    fail_msg("arrangement %d of %d: %d.%d after %d.%d", a, n, next.rank, next.arrival, last.rank,
                             last.arrival);
                last = next;
            }
            assert_int_equal(cf_queue_size(&q), 0);
            cf_queue_destroy(&q);
        }
    }
}

/* Puts and gets in turns, over growth, give what a sorted list would, for items of odd and of aligned sizes. */
static void
test_queue_priority_against_sorting(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 2, 3, 8, 16, 24, 32};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        cf_queue q;
        unsigned char item[32], there[256] = {0};
        unsigned random = 1, left = 0;
        assert_int_equal(
            cf_queue_init_with(&q, sizes[s], cf_queue_options(.order = CF_PRIORITY, .compare = compare_first)), CF_OK);
        for (int turn = 0; turn < 2000 || left > 0; turn++) {
            random = random * 1103515245u + 12345u;
            if (turn < 2000 && random >> 30 != 0 && there[random >> 16 & 0xff] < 255) {
                memset(item, (int)(random >> 16 & 0xff), sizeof item);
                assert_int_equal(cf_queue_put(&q, item), CF_OK);
                there[item[0]]++;
                left++;
            } else if (left > 0) {
                unsigned smallest = 0;
                while (there[smallest] == 0)
                    smallest++;
                memset(item, 0xee, sizeof item);
                assert_int_equal(cf_queue_try_get(&q, item), CF_OK);
                assert_int_equal(item[0], smallest);
                assert_int_equal(item[sizes[s] - 1], smallest);
                assert_true(sizes[s] == 32 || item[sizes[s]] == 0xee);
                there[smallest]--;
                left--;
            }
        }
        cf_queue_destroy(&q);
    }
}

/* Every call works alike in each order: capacity, waiting, close, task_done. */
static void
test_queue_orders_work_alike(void **state)
{
    (void)state;
    for (size_t order = CF_FIFO; order <= CF_PRIORITY; order++) {
        cf_queue q;
        int item = 3, many[3] = {5, 5, 5};
        size_t moved;
        caller c = CALLER(&q, 1);
        make_ordered(&q, 1, (cf_queue_order)order);
        put_range(&q, 0, 1);
        assert_int_equal(cf_queue_try_put(&q, &item), CF_ERR_FULL);
        pthread_t thread = start_thread(putter_main, &c);
        wait_until(sleepers(&q.mutex, &q.not_full.event) == 1);
        get_range(&q, 0, 1);
        join_thread(thread);
        assert_int_equal(c.err, CF_OK);
        get_range(&q, 1, 1);
        thread = start_thread(getter_main, &c);
        wait_until(sleepers(&q.mutex, &q.not_empty.event) == 1);
        put_range(&q, 2, 1);
        join_thread(thread);
        assert_int_equal(c.err, CF_OK);
        assert_int_equal(c.item, 2);
        assert_int_equal(cf_queue_put_many(&q, many, 3, &moved, CF_NOW), CF_ERR_TIMEOUT);
        assert_int_equal(moved, 1);
        cf_queue_close(&q);
        assert_int_equal(cf_queue_put(&q, &item), CF_ERR_CLOSED);
        get_range(&q, 5, 1);
        assert_int_equal(cf_queue_get(&q, &item), CF_ERR_CLOSED);
        for (int i = 0; i < 4; i++)
            assert_int_equal(cf_queue_task_done(&q), CF_OK);
        assert_int_equal(cf_queue_task_done(&q), CF_ERR_INVALID);
        cf_queue_join(&q);
        cf_queue_destroy(&q);
    }
}

/* ---- sizes ---- */

/* Size, empty, full and capacity agree; a queue without bound is never full. */
static void
test_queue_sizes(void **state)
{
    (void)state;
    for (size_t capacity = 0; capacity <= 3; capacity++)
        for (size_t order = CF_FIFO; order <= CF_PRIORITY; order++) {
            cf_queue q;
            make_ordered(&q, capacity, (cf_queue_order)order);
            assert_int_equal(cf_queue_capacity(&q), capacity);
            for (int turn = 0; turn < 5; turn++)
                for (int fill = 0; fill <= 3 && (capacity == 0 || fill <= (int)capacity); fill++) {
                    int out[3];
                    size_t moved;
                    put_range(&q, 0, fill);
                    assert_int_equal(cf_queue_size(&q), fill);
                    assert_int_equal(cf_queue_empty(&q), fill == 0);
                    assert_int_equal(cf_queue_full(&q), capacity != 0 && fill == (int)capacity);
                    if (fill != 0)
                        assert_int_equal(cf_queue_get_many(&q, out, 3, &moved, CF_NOW), CF_OK);
                }
            cf_queue_destroy(&q);
        }
}

/* ---- typed queues ---- */

typedef struct rate {
    char currency[4];
    double value;
} rate;

static int
compare_rates(const void *a, const void *b)
{
    double x = ((const rate *)a)->value, y = ((const rate *)b)->value;
    return (x > y) - (x < y);
}

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

    rate three[3] = {{"CHF", 3}, {"EUR", 1}, {"USD", 2}};
    size_t moved;
    assert_int_equal(
        rate_queue_init_with(&q, cf_queue_options(.capacity = 3, .order = CF_PRIORITY, .compare = compare_rates)),
        CF_OK);
    assert_int_equal(rate_queue_put_many(&q, three, 3, &moved, CF_NOW), CF_OK);
    assert_int_equal(rate_queue_capacity(&q), 3);
    assert_true(rate_queue_full(&q) && !rate_queue_empty(&q));
    assert_int_equal(rate_queue_get_many(&q, three, 2, &moved, CF_NOW), CF_OK);
    assert_int_equal(moved, 2);
    assert_string_equal(three[0].currency, "EUR");
    assert_string_equal(three[1].currency, "USD");
    rate_queue_close_now(&q);
    assert_int_equal(rate_queue_get(&q, &out), CF_ERR_CLOSED);
    rate_queue_destroy(&q);

    name_queue names;
    const char *name = "a", *back = NULL;
    assert_int_equal(name_queue_init(&names, 0), CF_OK);
    assert_int_equal(name_queue_put(&names, &name), CF_OK);
    assert_int_equal(name_queue_get(&names, &back), CF_OK);
    assert_ptr_equal(back, name);
    name_queue_destroy(&names);
}

static int
uses_its_copy(void *queue)
{
    int item = 0;
    child_check(cf_queue_get_until(queue, &item, CF_NOW) == CF_OK && item == 1);
    child_check(cf_queue_get_until(queue, &item, CF_NOW) == CF_ERR_TIMEOUT);
    item = 7;
    child_check(cf_queue_put_until(queue, &item, CF_NOW) == CF_OK);
    return 0;
}

/* A queue belongs to one process: a forked child has a copy, and neither sees what the other does to its own. */
static void
test_queue_forked_child_has_a_copy(void **state)
{
    (void)state;
    static const cf_queue_order orders[] = {CF_FIFO, CF_LIFO, CF_PRIORITY};
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        cf_queue q;
        int item = 1;
        make_ordered(&q, i == 0 ? 4 : 0, orders[i]);
        assert_int_equal(cf_queue_put(&q, &item), CF_OK);
        assert_int_equal(run_in_child_with(uses_its_copy, &q), 0);
        assert_int_equal(cf_queue_size(&q), 1);
        assert_int_equal(cf_queue_get(&q, &item), CF_OK);
        assert_int_equal(item, 1);
        assert_true(cf_queue_empty(&q));
        cf_queue_destroy(&q);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_queue_init_refuses_bad_sizes),
        cmocka_unit_test(test_queue_init_without_options),
        cmocka_unit_test(test_queue_init_without_memory),
        cmocka_unit_test(test_queue_is_first_in_first_out),
        cmocka_unit_test(test_queue_capacity_is_exact),
        cmocka_unit_test(test_queue_empty_get_writes_nothing),
        cmocka_unit_test(test_queue_past_deadline_tries_once),
        cmocka_unit_test(test_queue_unfinished_call_hides_what_is_behind),
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
        cmocka_unit_test(test_queue_yields_only_with_time),
        cmocka_unit_test(test_queue_cancelled_waiter_stays),
        cmocka_unit_test(test_queue_many_callers_keep_order),
        cmocka_unit_test(test_queue_close_wakes_blocked_getters),
        cmocka_unit_test(test_queue_close_wakes_blocked_putters),
        cmocka_unit_test(test_queue_closed_drains),
        cmocka_unit_test(test_queue_join_returns_when_finished),
        cmocka_unit_test(test_queue_task_done_too_often),
        cmocka_unit_test(test_queue_last_task_done_wakes_joiners),
        cmocka_unit_test(test_queue_join_ignores_failed_puts),
        cmocka_unit_test(test_queue_close_now_drops_items),
        cmocka_unit_test(test_queue_close_now_releases_joiners),
        cmocka_unit_test(test_queue_close_now_after_early_reports),
        cmocka_unit_test(test_queue_many_move_in_order),
        cmocka_unit_test(test_queue_end_keeps_part_of_many),
        cmocka_unit_test(test_queue_many_wait),
        cmocka_unit_test(test_queue_many_wake_many),
        cmocka_unit_test(test_queue_init_refuses_bad_orders),
        cmocka_unit_test(test_queue_lifo_order),
        cmocka_unit_test(test_queue_priority_order),
        cmocka_unit_test(test_queue_priority_against_sorting),
        cmocka_unit_test(test_queue_orders_work_alike),
        cmocka_unit_test(test_queue_sizes),
        cmocka_unit_test(test_queue_typed_calls),
        cmocka_unit_test(test_queue_forked_child_has_a_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
