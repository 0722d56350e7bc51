/* tests/stress/thread_pool.c - everything that a thread pool does, at once, and each task counted exactly once.
 * SPDX-License-Identifier: MIT
 *   --seconds N   how long; without it 5
 *
 * Rounds with a pool each.  Threads outside submit trees of tasks, which submit, fork children, cancel, wait for futures, for
 * sets and for promises that a later task settles.  A tree is drawn from its seed.  At the end of a round every item has
 * run once, if it was accepted and nobody has cancelled it; else never. */
#include "../unit/unit.h"

#include <cfutures.h>

enum { ITEMS = 1 << 16, OUTSIDERS = 3, WINDOW = 16, SUBMITS = 400 };

typedef struct round {        /* fields: A atomic */
    cf_executor *pool;        /* immutable */
    bool drains;              /* immutable: else the shutdown cancels, at some time */
    unsigned ran[ITEMS];      /* A */
    unsigned expected[ITEMS]; /* A: it was accepted, or is a child, and hasn't been cancelled by us */
    unsigned items;           /* A: drawn so far */
    unsigned submits, children, cancels, waits, refused, told; /* A */
} stress;

static unsigned soak;

static uint32_t
draw(uint32_t *seed, uint32_t below)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (*seed >> 16) % below;
}

static bool
new_item(stress *s, unsigned *item)
{
    *item = __atomic_fetch_add(&s->items, 1, __ATOMIC_RELAXED);
    return *item < ITEMS;
}

static unsigned node(stress *s, unsigned item, uint32_t seed, int depth);
CF_TASK(unsigned, node, stress *, unsigned, uint32_t, int);

static void
settles(stress *s, unsigned item, cf_future *promise)
{
    count_one(&s->ran[item]);
    CF_ASSERT(cf_future_set_result(promise, NULL, 0) == CF_OK);
    cf_future_release(promise);
}
CF_TASK_VOID(settles, stress *, unsigned, cf_future *);

/* Submits a tree; NULL when the pool has refused it. */
static cf_future *
submit_node(stress *s, unsigned item, uint32_t *seed, int depth)
{
    count_one(&s->expected[item]);
    int priority = draw(seed, 8) == 0 ? (int)draw(seed, 16) - 8 : 0;
    cf_future *f = cf_submit_with(s->pool, cf_options(.priority = priority), node, s, item, *seed, depth);
    if (f->type != NULL) {
        count_one(&s->submits);
        return f;
    }
    CF_ASSERT(!s->drains && cf_future_wait(f, CF_NOW) == CF_ERR_SHUTDOWN);
    cf_future_release(f);
    count_one(&s->refused);
    s->expected[item] = 0;
    return NULL;
}

/* Ends a future in one of several ways. */
static void
end_node(stress *s, cf_future *f, unsigned item, uint32_t *seed)
{
    unsigned value = UINT32_MAX;
    uint32_t way = draw(seed, 8);
    bool won = way < 2 && s->drains && cf_future_cancel(f); /* true also for what the shutdown has cancelled */
    if (won) {
        count_one(&s->cancels);
        (void)__atomic_sub_fetch(&s->expected[item], 1, __ATOMIC_RELAXED);
    }
    if (way != 7) {
        cf_err error = cf_result(f, node, &value, CF_FOREVER);
        count_one(&s->waits);
        if (error == CF_ERR_DEADLOCK)
            count_one(&s->told);
        else if (error == CF_OK)
            CF_ASSERT(value == item && !won);
        else
            CF_ASSERT(error == CF_ERR_CANCELLED && (won || !s->drains));
    }
    cf_future_release(f);
}

static unsigned
node(stress *s, unsigned item, uint32_t seed, int depth)
{
    unsigned items[3], count = 0, wanted = 1 + draw(&seed, 3);
    cf_future *futures[3];
    cf_child(node) children[3];
    uint32_t what = draw(&seed, 8);
    count_one(&s->ran[item]);
    if (depth == 0)
        return item;
    while (count < wanted && new_item(s, &items[count])) {
        if (what < 4) { /* futures */
            futures[count] = submit_node(s, items[count], &seed, depth - 1);
            if (futures[count] == NULL)
                break;
        } else if (what < 7) {
            count_one(&s->children);
            count_one(&s->expected[items[count]]);
            cf_child_start(&children[count], node, s, items[count], seed + count, depth - 1);
        } else { /* a promise */
            futures[count] = cf_future_new(0);
            count_one(&s->expected[items[count]]);
            count_one(&s->submits);
            if (!s->drains || cf_spawn(s->pool, settles, s, items[count], cf_future_retain(futures[count])) != CF_OK) {
                (void)__atomic_sub_fetch(&s->submits, 1, __ATOMIC_ACQ_REL);
                s->expected[items[count]] = 0;
                cf_future_release(futures[count]);
                CF_ASSERT(!s->drains);
                break;
            }
        }
        count++;
    }
    if (what == 0 && count > 0) {
        cf_err error = cf_wait(futures, count, draw(&seed, 2) ? CF_ALL_COMPLETED : CF_FIRST_COMPLETED, CF_FOREVER);
        CF_ASSERT(error == CF_OK || error == CF_ERR_DEADLOCK);
        if (error == CF_ERR_DEADLOCK) /* all threads that there may be wait */
            count_one(&s->told);
    }
    uint32_t first = draw(&seed, 3);
    for (unsigned i = 0; i < count; i++) {
        unsigned which = (i + first) % count;
        if (what < 4) {
            end_node(s, futures[which], items[which], &seed);
        } else if (what < 7) {
            CF_ASSERT(cf_child_join(&children[which], node) == items[which]);
        } else {
            if (cf_future_wait(futures[which], CF_FOREVER) == CF_ERR_DEADLOCK)
                count_one(&s->told);
            cf_future_release(futures[which]);
        }
    }
    return item;
}

static size_t
left(cf_executor *pool)
{
    cf__thread_pool *inside = CF__POINTER_CAST(cf__thread_pool *, pool);
    cf__mutex_lock(&inside->mutex);
    size_t ran, n = cf__thread_pool_left(inside, &ran);
    cf__mutex_unlock(&inside->mutex);
    return n;
}

typedef struct outsider {
    stress *round;
    uint32_t seed;
} outsider;

static void *
submits(void *argument)
{
    outsider *o = argument;
    stress *s = o->round;
    cf_future *window[WINDOW] = {NULL};
    unsigned items[WINDOW];
    for (int i = 0; i < SUBMITS; i++) {
        uint32_t place = draw(&o->seed, WINDOW);
        if (window[place] != NULL)
            end_node(s, window[place], items[place], &o->seed);
        window[place] = NULL;
        if (new_item(s, &items[place]))
            window[place] = submit_node(s, items[place], &o->seed, (int)draw(&o->seed, 5));
    }
    for (int place = 0; place < WINDOW; place++)
        if (window[place] != NULL)
            end_node(s, window[place], items[place], &o->seed);
    return NULL;
}

/* Whatever happens at once, nothing is lost, and nothing happens twice. */
static void
test_stress_exactly_once(void **state)
{
    (void)state;
    uint32_t seed = (uint32_t)cf__os_now();
    uint64_t rounds = 0, total = 0, submitted = 0, children = 0, cancelled = 0, waited = 0, refused = 0, told = 0;
    cf_time end = cf_after_ms(1000 * (int64_t)soak);
    stress *s = malloc(sizeof *s);
    assert_non_null(s);
    print_message("seed %u\n", (unsigned)seed);
    do {
        memset(s, 0, sizeof *s);
        outsider outsiders[OUTSIDERS];
        pthread_t threads[OUTSIDERS];
        cf_shutdown_report report;
        unsigned workers = 1 + draw(&seed, 8);
        s->drains = draw(&seed, 4) != 0;
        s->pool = cf_thread_pool(.max_workers = workers, .max_pending = draw(&seed, 4) == 0 ? 1 + draw(&seed, 40) : 0);
        for (int i = 0; i < OUTSIDERS; i++) {
            outsiders[i] = (outsider){s, draw(&seed, 65536)};
            threads[i] = start_thread(submits, &outsiders[i]);
        }
        if (!s->drains) {
            unsigned until = draw(&seed, 1000);
            wait_until(counted(&s->submits) >= until || counted(&s->items) >= ITEMS);
            assert_int_equal(cf_executor_shutdown(s->pool, CF_CANCEL_PENDING, CF_FOREVER, &report), CF_OK);
        }
        for (int i = 0; i < OUTSIDERS; i++)
            join_thread(threads[i]);
        if (s->drains)
            wait_until(left(s->pool) == 0); /* tasks of which nobody has the future submit still */
        if (s->drains)
            assert_int_equal(cf_executor_shutdown(s->pool, CF_DRAIN, CF_FOREVER, &report), CF_OK);
        assert_int_equal(report.left, 0);
        if (s->told != 0) /* only where there can be no more threads */
            assert_int_equal(CF__POINTER_CAST(cf__thread_pool *, s->pool)->high, CF__WORKERS_MOST);
        cf_executor_close(s->pool);
        unsigned ran = 0;
        for (unsigned i = 0; i < ITEMS; i++) {
            ran += s->ran[i];
            assert_true(s->ran[i] <= s->expected[i] && s->expected[i] <= 1);
            if (s->drains)
                assert_int_equal(s->ran[i], s->expected[i]);
        }
        assert_int_equal(ran, s->submits + s->children - s->cancels - report.cancelled);
        rounds++, total += ran, submitted += s->submits, children += s->children, waited += s->waits;
        cancelled += s->cancels + report.cancelled, refused += s->refused, told += s->told;
    } while (cf__os_now() < end);
    free(s);
    print_message("%llu rounds: %llu tasks ran; %llu submits, %llu children, %llu cancelled, %llu waits, %llu refused, "
                  "%llu told\n",
                  (unsigned long long)rounds, (unsigned long long)total, (unsigned long long)submitted,
                  (unsigned long long)children, (unsigned long long)cancelled, (unsigned long long)waited,
                  (unsigned long long)refused, (unsigned long long)told);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stress_exactly_once),
    };
    soak = soak_seconds(argc, argv, 5);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
