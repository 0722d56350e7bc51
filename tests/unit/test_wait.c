/* tests/unit/test_wait.c - wait.h
 * SPDX-License-Identifier: MIT */
#include "unit.h"

#include <cfutures.h>

enum { many = 6 };

static void
make_promises(cf_future **futures, size_t count)
{
    for (size_t i = 0; i < count; i++)
        futures[i] = cf_future_new(0);
}

static void
settle(cf_future *future)
{
    assert_int_equal(cf_future_set_result(future, NULL, 0), CF_OK);
}

static void
release_all(cf_future **futures, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cf_future_release(futures[i]);
}

/* ---- a wait in a thread; err is read after the join ---- */

typedef struct waiter {
    cf_future **futures;
    cf_wait_mode mode;
    size_t enough;
    unsigned returned; /* A */
    cf_err err;
} waiter;

static void *
wait_main(void *argument)
{
    waiter *w = argument;
    w->err = w->enough != 0 ? cf_wait_for(w->futures, many, w->enough, CF_FOREVER)
                            : cf_wait(w->futures, many, w->mode, CF_FOREVER);
    count_one(&w->returned);
    return NULL;
}

/* Settles the futures one by one, each only when somebody waits for it: the wait returns after `enough`, and not before. */
static void
settle_and_see(waiter w, size_t enough)
{
    cf_future *futures[many];
    make_promises(futures, many);
    w.futures = futures;
    pthread_t thread = start_thread(wait_main, &w);
    for (size_t i = 0; i < many; i++) {
        /* It waits by entries on the callback lists, or asleep on the future itself. */
        wait_until(__atomic_load_n(&futures[i]->callbacks, __ATOMIC_ACQUIRE) != NULL ||
                   (__atomic_load_n(&futures[i]->state, __ATOMIC_ACQUIRE) & CF__WAITED) != 0 ||
                   counted(&w.returned) != 0);
        if (i < enough)
            assert_int_equal(counted(&w.returned), 0);
        else
            wait_until(counted(&w.returned) == 1); /* while the others are pending */
        settle(futures[i]);
    }
    join_thread(thread);
    assert_int_equal(w.err, CF_OK);
    release_all(futures, many);
}

/* CF_ALL_COMPLETED returns after the last, not before. */
static void
test_wait_all(void **state)
{
    (void)state;
    settle_and_see((waiter){.mode = CF_ALL_COMPLETED}, many);
}

/* CF_FIRST_COMPLETED returns after the first. */
static void
test_wait_first_completed(void **state)
{
    (void)state;
    settle_and_see((waiter){.mode = CF_FIRST_COMPLETED}, 1);
}

/* cf_wait_for returns after k of n. */
static void
test_wait_for_some(void **state)
{
    (void)state;
    for (size_t k = 1; k <= many; k++)
        settle_and_see((waiter){.enough = k}, k);
}

/* CF_FIRST_FAILED goes on past successes, to the end if there is no failure. */
static void
test_wait_first_failed_without_failure(void **state)
{
    (void)state;
    settle_and_see((waiter){.mode = CF_FIRST_FAILED}, many);
}

/* CF_FIRST_FAILED returns at the failure, and at a cancelled one, while others are pending. */
static void
test_wait_first_failed(void **state)
{
    (void)state;
    cf_future *futures[many];
    for (int cancel = 0; cancel < 2; cancel++) {
        make_promises(futures, many);
        settle(futures[1]);
        assert_int_equal(cf_wait(futures, many, CF_FIRST_FAILED, CF_NOW), CF_ERR_TIMEOUT);
        if (cancel)
            assert_true(cf_future_cancel(futures[3]));
        else
            assert_int_equal(cf_future_set_error(futures[3], CF_ERR_FAILED, 1, "no"), CF_OK);
        assert_int_equal(cf_wait(futures, many, CF_FIRST_FAILED, CF_FOREVER), CF_OK);
        assert_false(cf_future_done(futures[0]));
        release_all(futures, many);
    }
}

/* A wait that isn't fulfilled ends at its deadline. */
static void
test_wait_deadline(void **state)
{
    (void)state;
    static const cf_wait_mode modes[] = {CF_ALL_COMPLETED, CF_FIRST_COMPLETED, CF_FIRST_FAILED};
    cf_future *futures[many];
    make_promises(futures, many);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(cf_wait(futures, many, modes[i], CF_NOW), CF_ERR_TIMEOUT);
        assert_int_equal(cf_wait(futures, many, modes[i], cf_after_ms(1)), CF_ERR_TIMEOUT);
    }
    assert_int_equal(cf_wait_for(futures, many, 2, CF_NOW), CF_ERR_TIMEOUT);
    for (size_t i = 0; i < many; i++)
        settle(futures[i]); /* finds nothing of those waits */
    release_all(futures, many);
}

/* However often it's waited for futures that stay pending, nothing is left on them, whichever way the wait ended early; and to
 * look at them, or at enough that are done, takes no memory at all. */
static void
test_wait_leaves_nothing_behind(void **state)
{
    (void)state;
    cf_future *futures[many];
    long before = 0;
    make_promises(futures, many);
    settle(futures[2]);
    for (int round = 0; round < 1000; round++) {
        cf_wait_set *set = cf_wait_set_new();
        for (size_t i = 0; i < many; i++)
            assert_int_equal(cf_wait_set_add(set, futures[i], NULL), CF_OK);
        CF_AS_COMPLETED (i, futures, many, CF_FOREVER) {
            assert_int_equal(i, 2);
            break;
        }
        if (round % 100 == 0) {
            assert_int_equal(cf_wait_for(futures, many, 2, cf_after_ms(1)), CF_ERR_TIMEOUT);
            assert_int_equal(cf_wait(futures, many, CF_FIRST_FAILED, cf_after_ms(1)), CF_ERR_TIMEOUT);
        }
        cf_wait_set_free(set);
        if (round == 0)
            before = live_allocations();
        assert_int_equal(live_allocations(), before);
    }
    fault_fail_from("alloc", 1, ENOMEM);
    assert_int_equal(cf_wait(futures, many, CF_FIRST_COMPLETED, CF_FOREVER), CF_OK);
    assert_int_equal(cf_wait_for(futures, many, 2, CF_NOW), CF_ERR_TIMEOUT);
    assert_int_equal(cf_wait(futures, many, CF_FIRST_FAILED, CF_NOW), CF_ERR_TIMEOUT);
    assert_int_equal(fault_fired("alloc"), 0);
    fault_clear();
    release_all(futures, many);
}

typedef struct calls {
    char order[8];
    size_t count;
} calls;

static calls noted_calls;

static void
note_call(cf_future *future, void *context)
{
    (void)future;
    noted_calls.order[noted_calls.count++] = *(const char *)context;
}

/* Callbacks run in the order in which they were added, before, between and after sets that come and go. */
static void
test_wait_keeps_callbacks_in_order(void **state)
{
    (void)state;
    static char names[] = "abcde";
    for (int freed = 0; freed < 3; freed++) { /* none, the first, both, before it settles */
        cf_wait_set *sets[2] = {cf_wait_set_new(), cf_wait_set_new()};
        cf_future *future = cf_future_new(0);
        memset(&noted_calls, 0, sizeof noted_calls);
        for (size_t i = 0; i < 5; i++) {
            assert_int_equal(cf_future_add_done_callback(future, note_call, &names[i]), CF_OK);
            if (i == 2 || i == 3)
                assert_int_equal(cf_wait_set_add(sets[i - 2], future, NULL), CF_OK);
        }
        for (int i = 0; i < freed; i++)
            cf_wait_set_free(sets[i]);
        settle(future);
        assert_string_equal(noted_calls.order, names);
        for (int i = freed; i < 2; i++) {
            assert_int_equal(cf_wait_set_next(sets[i], NULL, NULL, CF_NOW), CF_OK);
            cf_wait_set_free(sets[i]);
        }
        cf_future_release(future);
    }
}

typedef struct racer {
    cf_future **futures;
    unsigned *settled; /* A: how many are, one after the other */
} racer;

static void *
waits_in_vain(void *argument)
{
    const racer *r = argument;
    while (counted(r->settled) < many) {
        cf_wait_set *set = cf_wait_set_new();
        for (size_t i = 0; i < many; i++)
            if (cf_wait_set_add(set, r->futures[i], NULL) != CF_OK)
                abort();
        cf_wait_set_free(set);
    }
    return NULL;
}

/* Waits come and go while the futures settle: nothing is lost, or freed twice. */
static void
test_wait_leaves_while_settled(void **state)
{
    static char x = 'x';
    (void)state;
    for (int round = 0; round < 100; round++) {
        cf_future *futures[many];
        unsigned settled = 0;
        racer r = {futures, &settled};
        pthread_t threads[2];
        make_promises(futures, many);
        memset(&noted_calls, 0, sizeof noted_calls);
        for (size_t i = 0; i < many; i++)
            assert_int_equal(cf_future_add_done_callback(futures[i], note_call, &x), CF_OK);
        for (int i = 0; i < 2; i++)
            threads[i] = start_thread(waits_in_vain, &r);
        for (size_t i = 0; i < many; i++) {
            settle(futures[i]);
            count_one(&settled);
        }
        for (int i = 0; i < 2; i++)
            join_thread(threads[i]);
        assert_string_equal(noted_calls.order, "xxxxxx");
        release_all(futures, many);
    }
}

/* No futures: nothing to wait for; more than there are: refused. */
static void
test_wait_bounds(void **state)
{
    (void)state;
    cf_future *future = cf_future_new(0);
    assert_int_equal(cf_wait(NULL, 0, CF_ALL_COMPLETED, CF_NOW), CF_OK);
    assert_int_equal(cf_wait(NULL, 0, CF_FIRST_COMPLETED, CF_NOW), CF_OK);
    assert_int_equal(cf_wait(NULL, 0, CF_FIRST_FAILED, CF_NOW), CF_OK);
    assert_int_equal(cf_wait_for(&future, 1, 0, CF_NOW), CF_OK);
    assert_int_equal(cf_wait_for(&future, 1, 2, CF_NOW), CF_ERR_INVALID);
    cf_future_release(future);
}

/* Each allocation of a wait, or of a set, may fail: then it says so, and nothing leaks. */
static void
test_wait_without_memory(void **state)
{
    enum { all = 1 + 2 * many + 1 }; /* the set, for each future an entry and its line; and one that isn't there */
    (void)state;
    for (int kind = 0; kind < 5; kind++) {
        unsigned fired = 1;
        for (unsigned n = 1; fired != 0; n++) {
            cf_err error = CF_ERR_TIMEOUT;
            size_t seen = 0;
            cf_future *futures[many]; /* new ones: what one needs for its first wait, it keeps */
            make_promises(futures, many);
            fault_fail_nth("alloc", n, ENOMEM);
            /* Not one that passes before it waits, for which no memory is needed. */
            cf_time soon = n < all ? CF_FOREVER : cf_after_ms(1);
            if (kind == 0) {
                error = cf_wait(futures, many, CF_FIRST_COMPLETED, soon);
            } else if (kind == 1) {
                error = cf_wait(futures, many, CF_FIRST_FAILED, soon);
            } else if (kind == 2) {
                error = cf_wait_for(futures, many, 2, soon);
            } else if (kind == 3) {
                CF_AS_COMPLETED (i, futures, many, soon)
                    seen += i + 1;
            } else {
                cf_wait_set *set = cf_wait_set_new();
                error = set == NULL ? CF_ERR_NOMEM : CF_OK;
                size_t added = 0;
                while (error == CF_OK && added < many)
                    error = cf_wait_set_add(set, futures[added++], NULL);
                if (set != NULL)
                    assert_int_equal(cf_wait_set_size(set), error == CF_OK ? many : added - 1);
                cf_wait_set_free(set);
                error = error == CF_OK ? CF_ERR_TIMEOUT : error;
            }
            fired = fault_fired("alloc");
            fault_clear();
            assert_int_equal(error, fired && kind != 3 ? CF_ERR_NOMEM : CF_ERR_TIMEOUT);
            assert_int_equal(seen, 0);
            release_all(futures, many);
            if (fired == 0)
                assert_int_equal(n, all);
        }
    }
}

typedef struct family {
    cf_future *futures[2]; /* pending, done */
    cf_wait_set *set;      /* with both */
} family;

static int
wait_in_child(void *argument)
{
    static const cf_wait_mode modes[] = {CF_ALL_COMPLETED, CF_FIRST_COMPLETED, CF_FIRST_FAILED};
    const family *f = argument;
    const cf_time deadlines[] = {CF_NOW, cf_after_ms(1), CF_FOREVER};
    cf_future *future = NULL;
    size_t seen = 0;
    child_check(cf_wait_set_next(f->set, &future, NULL, CF_FOREVER) == CF_OK && future == f->futures[1]);
    for (size_t d = 0; d < 3; d++) {
        for (size_t m = 0; m < 3; m++)
            child_check(cf_wait(f->futures, m == 1 ? 1 : 2, modes[m], deadlines[d]) == CF_ERR_FORKED);
        child_check(cf_wait_for(f->futures, 2, 2, deadlines[d]) == CF_ERR_FORKED);
        child_check(cf_wait_for(f->futures, 2, 1, deadlines[d]) == CF_OK);
        child_check(cf_wait_set_next(f->set, NULL, NULL, deadlines[d]) == CF_ERR_FORKED);
        CF_AS_COMPLETED (i, f->futures, 2, deadlines[d])
            seen += i + 1;
    }
    child_check(seen == 0); /* a set can't be made of those */
    child_check(cf_wait_set_add(f->set, f->futures[0], NULL) == CF_ERR_FORKED);
    child_check(cf_wait_set_size(f->set) == 1);
    child_check(cf_wait_set_add(f->set, f->futures[1], NULL) == CF_OK);
    child_check(cf_wait_set_next(f->set, NULL, NULL, CF_FOREVER) == CF_OK);
    cf_wait_set_free(f->set);
    return 0;
}
static void
test_wait_forked_child(void **state)
{
    (void)state;
    family f = {{cf_future_new(0), cf_future_new(0)}, cf_wait_set_new()};
    settle(f.futures[1]);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(cf_wait_set_add(f.set, f.futures[i], NULL), CF_OK);
    assert_int_equal(run_in_child_with(wait_in_child, &f), 0);
    cf_wait_set_free(f.set);
    release_all(f.futures, 2);
}

/* CF_AS_COMPLETED sees each future once, in the order in which they completed. */
static void
test_as_completed_order(void **state)
{
    (void)state;
    static const size_t order[many] = {3, 0, 5, 1, 4, 2};
    cf_future *futures[many];
    size_t seen = 0;
    make_promises(futures, many);
    settle(futures[order[0]]);
    CF_AS_COMPLETED (i, futures, many, CF_FOREVER) {
        assert_int_equal(i, order[seen++]);
        if (seen < many)
            settle(futures[order[seen]]);
    }
    assert_int_equal(seen, many);
    release_all(futures, many);
}

static size_t
leave_by_return(cf_future **futures)
{
    CF_AS_COMPLETED (i, futures, many, CF_FOREVER)
        return i;
    return many;
}

/* break, continue, return and goto work in the loop as in any other; nested ones don't meet. */
static void
test_as_completed_control_flow(void **state)
{
    (void)state;
    cf_future *futures[many];
    size_t seen = 0, inner = 0;
    make_promises(futures, many);
    for (size_t i = 0; i < many; i++)
        settle(futures[i]);
    CF_AS_COMPLETED (i, futures, many, CF_FOREVER) {
        if (i == 1)
            continue;
        CF_AS_COMPLETED (j, futures, many, CF_FOREVER) {
            inner++;
            if (j == 1)
                break;
        }
        if (i == 3)
            break;
        seen++;
    }
    assert_int_equal(seen, 2);  /* 0 and 2 */
    assert_int_equal(inner, 6); /* twice for 0, 2 and 3 */
    assert_int_equal(leave_by_return(futures), 0);
    CF_AS_COMPLETED (i, futures, many, CF_FOREVER) {
        if (i == 2)
            goto out;
    }
    fail();
out:
    release_all(futures, many);
}

/* The loop ends at its deadline; what it didn't see is asked directly. */
static void
test_as_completed_deadline(void **state)
{
    (void)state;
    cf_future *futures[many];
    size_t seen = 0;
    make_promises(futures, many);
    settle(futures[2]);
    CF_AS_COMPLETED (i, futures, many, CF_NOW) {
        assert_int_equal(i, 2);
        seen++;
    }
    assert_int_equal(seen, 1);
    assert_false(cf_future_done(futures[0]));
    release_all(futures, many);
}

/* ---- sets ---- */

/* Futures come out in the order of their completion, with their tags; added while others are pending, or done before. */
static void
test_wait_set_returns_each_once(void **state)
{
    (void)state;
    cf_future *futures[many], *future = NULL;
    int tags[many];
    void *tag = NULL;
    make_promises(futures, many);
    cf_wait_set *set = cf_wait_set_new();
    assert_int_equal(cf_wait_set_next(set, &future, &tag, CF_FOREVER), CF_ERR_EMPTY);
    settle(futures[0]);
    assert_int_equal(cf_wait_set_add(set, futures[0], &tags[0]), CF_OK);
    assert_int_equal(cf_wait_set_add(set, futures[1], &tags[1]), CF_OK);
    assert_int_equal(cf_wait_set_size(set), 2);
    assert_int_equal(cf_wait_set_next(set, &future, &tag, CF_FOREVER), CF_OK);
    assert_ptr_equal(future, futures[0]);
    assert_ptr_equal(tag, &tags[0]);
    assert_int_equal(cf_wait_set_next(set, &future, &tag, CF_NOW), CF_ERR_TIMEOUT);
    assert_int_equal(cf_wait_set_add(set, futures[2], &tags[2]), CF_OK);
    settle(futures[2]);
    settle(futures[1]);
    assert_int_equal(cf_wait_set_next(set, &future, NULL, CF_NOW), CF_OK);
    assert_ptr_equal(future, futures[2]);
    assert_int_equal(cf_wait_set_next(set, NULL, &tag, CF_NOW), CF_OK);
    assert_ptr_equal(tag, &tags[1]);
    assert_int_equal(cf_wait_set_size(set), 0);
    assert_int_equal(cf_wait_set_next(set, NULL, NULL, CF_FOREVER), CF_ERR_EMPTY);
    cf_wait_set_free(set);
    cf_wait_set_free(NULL);
    release_all(futures, many);
}

typedef struct getter {
    cf_wait_set *set;
    unsigned got, *empty;
} getter;

static void *
next_main(void *argument)
{
    getter *g = argument;
    while (cf_wait_set_next(g->set, NULL, NULL, CF_FOREVER) == CF_OK)
        g->got++;
    count_one(g->empty);
    return NULL;
}

typedef struct adder {
    cf_wait_set *set;
    cf_future *added;
    cf_err err;
} adder;

static void *
add_main(void *argument)
{
    adder *a = argument;
    a->err = cf_wait_set_add(a->set, a->added, NULL);
    return NULL;
}

/* A set may grow while it is gone through, by who goes through it and, while that one sleeps in it, by others. */
static void
test_wait_set_grows(void **state)
{
    (void)state;
    cf_future *futures[many], *future = NULL;
    make_promises(futures, many);
    cf_wait_set *set = cf_wait_set_new();
    assert_int_equal(cf_wait_set_add(set, futures[0], NULL), CF_OK);
    settle(futures[0]);
    for (size_t i = 0; i + 1 < many; i++) {
        assert_int_equal(cf_wait_set_next(set, &future, NULL, CF_FOREVER), CF_OK);
        assert_ptr_equal(future, futures[i]);
        assert_int_equal(cf_wait_set_size(set), 0);
        assert_int_equal(cf_wait_set_add(set, futures[i + 1], NULL), CF_OK);
        settle(futures[i + 1]);
    }
    assert_int_equal(cf_wait_set_next(set, NULL, NULL, CF_FOREVER), CF_OK);

    unsigned empty = 0;
    cf_future *first = cf_future_new(0), *second = cf_future_new(0);
    getter g = {set, 0, &empty};
    adder a = {set, second, CF_ERR_EMPTY};
    assert_int_equal(cf_wait_set_add(set, first, NULL), CF_OK);
    pthread_t getting = start_thread(next_main, &g);
    wait_until(sleepers(&set->mutex, &set->ready) == 1);
    pthread_t adding = start_thread(add_main, &a);
    join_thread(adding);
    assert_int_equal(a.err, CF_OK);
    settle(second); /* the one that was added wakes it, too */
    wait_until(cf_wait_set_size(set) == 1);
    settle(first);
    join_thread(getting);
    assert_int_equal(g.got, 2);
    cf_future_release(first);
    cf_future_release(second);
    cf_wait_set_free(set);
    release_all(futures, many);
}

/* Several threads share a set: each future goes to one of them, and when the last is taken all learn that nothing will come. */
static void
test_wait_set_several_getters(void **state)
{
    (void)state;
    cf_future *futures[many];
    unsigned empty = 0;
    make_promises(futures, many);
    cf_wait_set *set = cf_wait_set_new();
    for (size_t i = 0; i < many; i++)
        assert_int_equal(cf_wait_set_add(set, futures[i], NULL), CF_OK);
    getter getters[3] = {{set, 0, &empty}, {set, 0, &empty}, {set, 0, &empty}};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = start_thread(next_main, &getters[i]);
    for (size_t i = 0; i < many; i++) {
        wait_until(sleepers(&set->mutex, &set->ready) == 3);
        settle(futures[i]);
    }
    for (int i = 0; i < 3; i++)
        join_thread(threads[i]);
    assert_int_equal(getters[0].got + getters[1].got + getters[2].got, many);
    assert_int_equal(empty, 3);
    cf_wait_set_free(set);
    release_all(futures, many);
}

/* A set may be freed with futures in it, done and pending; those that settle later, or never, know nothing of it. */
static void
test_wait_set_freed_early(void **state)
{
    (void)state;
    cf_future *futures[many];
    make_promises(futures, many);
    cf_wait_set *set = cf_wait_set_new();
    for (size_t i = 0; i < many; i++)
        assert_int_equal(cf_wait_set_add(set, futures[i], NULL), CF_OK);
    settle(futures[0]);
    cf_wait_set_free(set);
    settle(futures[1]);
    release_all(futures, many); /* the others are never settled */
}

/* A promise that is dropped unsettled leaves the set, which tells who waits for it. */
static void
test_wait_set_dropped_promise(void **state)
{
    (void)state;
    unsigned empty = 0;
    getter g = {cf_wait_set_new(), 0, &empty};
    cf_future *future = cf_future_new(0);
    assert_int_equal(cf_wait_set_add(g.set, future, NULL), CF_OK);
    pthread_t thread = start_thread(next_main, &g);
    wait_until(sleepers(&g.set->mutex, &g.set->ready) == 1);
    cf_future_release(future);
    join_thread(thread);
    assert_int_equal(g.got, 0);
    cf_wait_set_free(g.set);
}

static int
twice(int x)
{
    return 2 * x;
}
CF_TASK(int, twice, int);

#if CF__FUTEX

/* Futures of threads, of processes, and promises wait side by side. */
static void
test_wait_mixes_executors(void **state)
{
    (void)state;
    cf_executor *threads = cf_thread_pool(.max_workers = 2), *processes = cf_process_pool(.max_workers = 2);
    cf_future *futures[many];
    unsigned seen = 0;
    for (int i = 0; i < many; i++)
        futures[i] = i == 5 ? cf_future_new(sizeof(int)) : cf_submit(i % 2 ? threads : processes, twice, i);
    CF_AS_COMPLETED (i, futures, many, CF_FOREVER) {
        int value = 0;
        assert_int_equal(cf_future_get(futures[i], &value, sizeof value, CF_NOW), CF_OK);
        assert_int_equal(value, 2 * (int)i);
        if (++seen == many - 1) {
            value = 10;
            assert_int_equal(cf_future_set_result(futures[5], &value, sizeof value), CF_OK);
        }
    }
    assert_int_equal(seen, many);
    assert_int_equal(cf_wait(futures, many, CF_ALL_COMPLETED, CF_NOW), CF_OK);
    release_all(futures, many);
    cf_executor_close(threads);
    cf_executor_close(processes);
}

/* A process pool that can't start its collector thread says so, and the wait leaves nothing behind. */
static void
test_wait_without_collector(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *future = cf_submit(pool, twice, 4);
    while (!cf_future_done(future)) {
    }
    cf_future_release(future);
    int32_t worker =
        __atomic_load_n(&CF__POINTER_CAST(cf__process_pool *, pool)->setup.view.workers[0].process, __ATOMIC_ACQUIRE);
    long parent;
    assert_int_equal(kill(worker, SIGSTOP), 0); /* so that the next task stays pending */
    wait_until(process_state(worker, &parent) == 'T');
    future = cf_submit(pool, twice, 5);
    fault_fail_from("thread_start", 1, EAGAIN);
    assert_int_equal(cf_wait(&future, 1, CF_FIRST_COMPLETED, CF_FOREVER), CF_ERR_SYSTEM);
    assert_int_equal(cf_wait(&future, 1, CF_FIRST_FAILED, CF_FOREVER), CF_ERR_SYSTEM);
    assert_int_equal(cf_wait_for(&future, 1, 1, CF_FOREVER), CF_ERR_SYSTEM);
    cf_wait_set *set = cf_wait_set_new();
    assert_int_equal(cf_wait_set_add(set, future, NULL), CF_ERR_SYSTEM);
    assert_int_equal(cf_wait_set_size(set), 0);
    cf_wait_set_free(set);
    fault_clear();
    assert_int_equal(kill(worker, SIGCONT), 0);
    assert_int_equal(cf_wait(&future, 1, CF_FIRST_COMPLETED, CF_FOREVER), CF_OK);
    cf_future_release(future);
    cf_executor_close(pool);
}

#endif

static int
identity(int n)
{
    return n;
}
CF_TASK(int, identity, int);

static int
adds_as_completed(cf_executor *pool)
{
    cf_future *futures[3];
    int sum = 0;
    for (int i = 0; i < 3; i++)
        futures[i] = cf_submit(pool, identity, i + 1);
    CF_AS_COMPLETED (i, futures, 3, CF_FOREVER) {
        int value = 0;
        sum += cf_result(futures[i], identity, &value, CF_NOW) == CF_OK ? value : 100;
    }
    for (int i = 0; i < 3; i++)
        cf_future_release(futures[i]);
    return sum;
}
CF_TASK(int, adds_as_completed, cf_executor *);

/* The only worker waits for whichever of its own pool's tasks comes first: another thread runs them meanwhile. */
static void
test_wait_in_the_only_worker(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    cf_auto(cf_future) f = cf_submit(pool, adds_as_completed, pool);
    int sum = 0;
    assert_int_equal(cf_result(f, adds_as_completed, &sum, CF_FOREVER), CF_OK);
    assert_int_equal(sum, 6);
}

static cf_err
waits_for_itself(cf_future *const *own)
{
    wait_until(__atomic_load_n(own, __ATOMIC_ACQUIRE) != NULL);
    return cf_wait(own, 1, CF_ALL_COMPLETED, CF_FOREVER);
}
CF_TASK(cf_err, waits_for_itself, cf_future *const *);

/* A wait for all that would wait for its own task says so. */
static void
test_wait_for_oneself(void **state)
{
    (void)state;
    cf_future *own = NULL;
    cf_err error = CF_OK;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1);
    cf_auto(cf_future) f = cf_submit(pool, waits_for_itself, &own);
    __atomic_store_n(&own, f, __ATOMIC_RELEASE);
    assert_int_equal(cf_result(f, waits_for_itself, &error, CF_FOREVER), CF_OK);
    assert_int_equal(error, CF_ERR_DEADLOCK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait_all),
        cmocka_unit_test(test_wait_first_completed),
        cmocka_unit_test(test_wait_for_some),
        cmocka_unit_test(test_wait_first_failed),
        cmocka_unit_test(test_wait_first_failed_without_failure),
        cmocka_unit_test(test_wait_deadline),
        cmocka_unit_test(test_wait_leaves_nothing_behind),
        cmocka_unit_test(test_wait_keeps_callbacks_in_order),
        cmocka_unit_test(test_wait_leaves_while_settled),
        cmocka_unit_test(test_wait_bounds),
        cmocka_unit_test(test_wait_without_memory),
        cmocka_unit_test(test_wait_forked_child),
        cmocka_unit_test(test_as_completed_order),
        cmocka_unit_test(test_as_completed_control_flow),
        cmocka_unit_test(test_as_completed_deadline),
        cmocka_unit_test(test_wait_set_returns_each_once),
        cmocka_unit_test(test_wait_set_grows),
        cmocka_unit_test(test_wait_set_several_getters),
        cmocka_unit_test(test_wait_set_freed_early),
        cmocka_unit_test(test_wait_set_dropped_promise),
#if CF__FUTEX
        cmocka_unit_test(test_wait_mixes_executors),
        cmocka_unit_test(test_wait_without_collector),
#endif
        cmocka_unit_test(test_wait_in_the_only_worker),
        cmocka_unit_test(test_wait_for_oneself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
