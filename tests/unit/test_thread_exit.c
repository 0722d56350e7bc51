/* tests/unit/test_thread_exit.c - thread_pool.h, where a task or a callback ends its thread with pthread_exit()
 * SPDX-License-Identifier: MIT
 * The tests look at private fields, under the pool's mutex, to know when somebody sleeps. */
#include "unit.h"

#include "thread_pool.h"

/* Shuts down, and sees that nothing is left of the pool's work. */
static void
close_clean(cf_executor *pool)
{
    cf_shutdown_report report;
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, &report), CF_OK);
    assert_int_equal(report.left, 0);
    cf_executor_close(pool);
}

static int
twice(int n)
{
    return 2 * n;
}
CF_TASK(int, twice, int);

static void
assert_works(cf_executor *pool)
{
    int value = 0;
    cf_auto(cf_future) f = cf_submit(pool, twice, 21);
    assert_int_equal(cf_result(f, twice, &value, CF_FOREVER), CF_OK);
    assert_int_equal(value, 42);
}

static void
passes(gate *g)
{
    gate_pass(g);
}
CF_TASK_VOID(passes, gate *);

static void
leaves(void)
{
    pthread_exit(NULL);
}
CF_TASK_VOID(leaves);

static void
cancels_thread(void)
{
    (void)pthread_cancel(pthread_self());
    for (;;)
        pthread_testcancel();
}
CF_TASK_VOID(cancels_thread);

static void
leaves_after_gate(gate *g)
{
    gate_pass(g);
    pthread_exit(NULL);
}
CF_TASK_VOID(leaves_after_gate, gate *);

/* ---- in a task ---- */

/* The task fails, another thread takes the place of its own, as often as it happens. */
static void
test_exit_in_task(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 3; workers++) {
        cf_executor *pool = cf_thread_pool(.max_workers = workers);
        for (int i = 0; i < 40; i++) {
            cf_auto(cf_future) f = i % 2 == 0 ? cf_submit(pool, leaves) : cf_submit(pool, cancels_thread);
            assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_TASK_EXITED);
            assert_works(pool);
        }
        assert_true(living(pool) <= workers);
        close_clean(pool);
    }
}

static pthread_key_t kept_to_the_end;

static void
pass_at_the_end(void *g)
{
    gate_pass((gate *)g);
}

static void
leaves_slowly(gate *g)
{
    assert_int_equal(pthread_setspecific(kept_to_the_end, g), 0);
    pthread_exit(NULL);
}
CF_TASK_VOID(leaves_slowly, gate *);

/* A thread that is in a destructor of the program's for thread-local data has its record for so long; no submit waits for it,
 * though all other records have been used. */
static void
test_exit_slowly(void **state)
{
    (void)state;
    gate g = GATE;
    assert_int_equal(pthread_key_create(&kept_to_the_end, pass_at_the_end), 0);
    cf_executor *pool = cf_thread_pool(.max_workers = 1);
    for (unsigned i = 0; i <= 2 * CF__WORKERS_MOST; i++) {
        cf_auto(cf_future) f = i == 0 ? cf_submit(pool, leaves_slowly, &g) : cf_submit(pool, leaves);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_TASK_EXITED);
        wait_until(living(pool) == 0);
        if (i == 0)
            wait_until(gate_inside(&g) == 1); /* in the destructor */
    }
    assert_works(pool);
    assert_int_equal(gate_inside(&g), 1);
    gate_open(&g);
    close_clean(pool);
    assert_int_equal(pthread_key_delete(kept_to_the_end), 0);
}

/* So it does with a limit of pending tasks, whose room comes back: else the third submit would wait for ever. */
static void
test_exit_makes_room(void **state)
{
    (void)state;
    cf_executor *pool = cf_thread_pool(.max_workers = 1, .max_pending = 2);
    cf_future *futures[10];
    for (int i = 0; i < 10; i++)
        futures[i] = cf_submit(pool, leaves);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(cf_future_wait(futures[i], CF_FOREVER), CF_ERR_TASK_EXITED);
        cf_future_release(futures[i]);
    }
    close_clean(pool);
}

/* What the thread's tasks had submitted isn't lost with it. */
static void
submits_and_leaves(cf_executor *pool, cf_future **futures)
{
    for (int i = 0; i < 20; i++)
        futures[i] = cf_submit(pool, twice, i);
    pthread_exit(NULL);
}
CF_TASK_VOID(submits_and_leaves, cf_executor *, cf_future **);

static void
test_exit_leaves_its_submits(void **state)
{
    (void)state;
    cf_executor *pool = cf_thread_pool(.max_workers = 1);
    cf_future *futures[20] = {NULL};
    cf_auto(cf_future) f = cf_submit(pool, submits_and_leaves, pool, futures);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_TASK_EXITED);
    for (int i = 0; i < 20; i++) {
        int value = -1;
        assert_int_equal(cf_result(futures[i], twice, &value, CF_FOREVER), CF_OK);
        assert_int_equal(value, 2 * i);
        cf_future_release(futures[i]);
    }
    close_clean(pool);
}

/* ---- in a task that runs in another's wait ---- */

enum { depth = 5 };

typedef struct nest { /* futures: one for each depth, owned by the test */
    cf_executor *pool;
    cf_future *futures[depth];
} nest;

static void waits_below(nest *n, int level);
CF_TASK_VOID(waits_below, nest *, int);

static void
waits_below(nest *n, int level)
{
    if (level == depth)
        pthread_exit(NULL);
    n->futures[level] = cf_submit(n->pool, waits_below, n, level + 1);
    (void)cf_future_wait(n->futures[level], CF_FOREVER);
}

/* All that were on the thread's stack fail alike: the one worker runs what its tasks wait for. */
static void
test_exit_nested(void **state)
{
    (void)state;
    nest n = {cf_thread_pool(.max_workers = 1), {NULL}};
    cf_future *f = cf_submit(n.pool, waits_below, &n, 0);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_TASK_EXITED);
    cf_future_release(f);
    for (int i = 0; i < depth; i++) {
        assert_int_equal(cf_future_wait(n.futures[i], CF_FOREVER), CF_ERR_TASK_EXITED);
        cf_future_release(n.futures[i]);
    }
    assert_works(n.pool);
    close_clean(n.pool);
}

enum { PARTS = 8 };

typedef struct mapping { /* fields: A atomic */
    gate hold, inside;   /* the other worker, before the map and in an item */
    int results[PARTS];
    pthread_t mapper; /* by the mapping task, before the map */
    unsigned leaving; /* A: the mapper's kernel thread id, as soon as it is about to end */
    unsigned written; /* A: items that the other worker has finished */
    unsigned settled; /* A: what `written` was when the mapping task had settled, + 1 */
} mapping;

static int
leaves_in_mapper(int index, mapping *m)
{
    if (pthread_equal(m->mapper, pthread_self())) {
        gate_open(&m->hold);
        wait_until(gate_inside(&m->inside) == 1);
        __atomic_store_n(&m->leaving, (unsigned)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
        pthread_exit(NULL);
    }
    gate_pass(&m->inside);
    wait_until(cf_cancelled()); /* the map is being cancelled: after this item there is no other */
    count_one(&m->written);
    return index + 1;
}
CF_TASK(int, leaves_in_mapper, int, mapping *);

static void
maps(mapping *m)
{
    int indexes[PARTS], *results = m->results;
    mapping *ms[PARTS];
    for (int i = 0; i < PARTS; i++) {
        indexes[i] = i;
        ms[i] = m;
    }
    m->mapper = pthread_self();
    (void)cf_map(cf_current_executor(), leaves_in_mapper, PARTS, results, indexes, ms);
}
CF_TASK_VOID(maps, mapping *);

static void
note_settled(cf_future *future, void *context)
{
    mapping *m = context;
    (void)future;
    __atomic_store_n(&m->settled, counted(&m->written) + 1, __ATOMIC_SEQ_CST);
}

/* The arrays of a map are its caller's; its task isn't over, nor is its stack gone, before nobody uses them any more. */
static void
test_exit_in_own_map(void **state)
{
    (void)state;
    long parent;
    cf_executor *pool = cf_thread_pool(.max_workers = 2);
    mapping m = {.hold = GATE, .inside = GATE};
    assert_int_equal(cf_spawn(pool, passes, &m.hold), CF_OK);
    wait_until(gate_inside(&m.hold) == 1);
    cf_auto(cf_future) f = cf_submit(pool, maps, &m);
    assert_int_equal(cf_future_add_done_callback(f, note_settled, &m), CF_OK);
    wait_until(counted(&m.leaving) != 0);
    wait_until(counted(&m.settled) != 0 || process_state((long)counted(&m.leaving), &parent) == 'S');
    gate_open(&m.inside);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_TASK_EXITED);
    wait_until(counted(&m.settled) != 0);
    assert_int_equal(m.settled, 2); /* the one item that the other had begun */
    assert_int_equal(counted(&m.written), 1);
    assert_works(pool);
    close_clean(pool);
}

/* A stolen child that ends its thief's thread fails the task that started it, whose own thread stays. */
typedef struct theft { /* fields: A atomic */
    unsigned stolen;   /* A */
    bool same_thread;  /* by the starter */
    pthread_t starter; /* by the starter, before the child */
} theft;

static void
leaves_when_stolen(theft *t)
{
    if (pthread_equal(t->starter, pthread_self()))
        return;
    count_one(&t->stolen);
    pthread_exit(NULL);
}
CF_TASK_VOID(leaves_when_stolen, theft *);

static int
has_leaving_child(theft *t)
{
    cf_child(leaves_when_stolen) child;
    t->starter = pthread_self();
    cf_child_start(&child, leaves_when_stolen, t);
    wait_until(counted(&t->stolen) != 0);
    cf_child_join(&child, leaves_when_stolen);
    t->same_thread = pthread_equal(t->starter, pthread_self());
    return 1;
}
CF_TASK(int, has_leaving_child, theft *);

static void
test_exit_in_stolen_child(void **state)
{
    (void)state;
    cf_executor *pool = cf_thread_pool(.max_workers = 2);
    theft t = {0, false, pthread_self()};
    cf_auto(cf_future) f = cf_submit(pool, has_leaving_child, &t);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_FAILED);
    assert_string_equal(cf_future_message(f), "a child ended its thread");
    assert_true(t.same_thread);
    assert_works(pool);
    close_clean(pool);
}

/* ---- in a callback ---- */

static void
callback_leaves(cf_future *future, void *context)
{
    (void)future;
    (void)context;
    pthread_exit(NULL);
}

static void
callback_counts(cf_future *future, void *context)
{
    (void)future;
    count_one(context);
}

/* The outcome stays what it was, and the callbacks after it are called all the same. */
static void
test_exit_in_callback(void **state)
{
    (void)state;
    cf_executor *pool = cf_thread_pool(.max_workers = 1);
    gate g = GATE;
    unsigned calls = 0;
    cf_auto(cf_future) f = cf_submit(pool, passes, &g);
    assert_int_equal(cf_future_add_done_callback(f, callback_leaves, NULL), CF_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(cf_future_add_done_callback(f, callback_counts, &calls), CF_OK);
    gate_open(&g);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
    assert_works(pool);
    close_clean(pool);
    assert_int_equal(cf_future_wait(f, CF_NOW), CF_OK);
    assert_int_equal(counted(&calls), 3);
}

/* ---- in on_start and on_stop ---- */

static void
leave_second_time(void *times)
{
    if (__atomic_fetch_add((unsigned *)times, 1, __ATOMIC_SEQ_CST) == 1)
        pthread_exit(NULL);
}

static void
leave_always(void *times)
{
    count_one(times);
    pthread_exit(NULL);
}

/* Threads that on_start ends aren't started again and again; that breaks the pool when there's no other worker. */
static void
test_exit_in_on_start(void **state)
{
    (void)state;
    unsigned starts = 0;
    cf_executor *pool = cf_thread_pool(.max_workers = 1, .on_start = leave_always, .on_start_context = &starts);
    cf_future *f = cf_submit(pool, twice, 1);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_BROKEN);
    assert_non_null(strstr(cf_future_message(f), "on_start has ended its thread"));
    cf_future_release(f);
    close_clean(pool);
    assert_int_equal(counted(&starts), 1);

    gate g = GATE;
    starts = 0;
    pool = cf_thread_pool(.max_workers = 2, .on_start = leave_second_time, .on_start_context = &starts);
    cf_future *first = cf_submit(pool, passes, &g), *second = cf_submit(pool, twice, 1);
    wait_until(counted(&starts) == 2 && living(pool) == 1);
    gate_open(&g);
    assert_int_equal(cf_future_wait(first, CF_FOREVER), CF_OK);
    assert_int_equal(cf_future_wait(second, CF_FOREVER), CF_OK);
    cf_future_release(first);
    cf_future_release(second);
    close_clean(pool);
    assert_int_equal(counted(&starts), 2);
}

static void
awaits(cf_future *promise)
{
    (void)cf_future_wait(promise, CF_FOREVER);
}
CF_TASK_VOID(awaits, cf_future *);

/* A worker that on_stop ends was counted out before; here the one too many, once it doesn't wait any more. */
static void
test_exit_in_on_stop(void **state)
{
    (void)state;
    unsigned stops = 0;
    cf_future *promise = cf_future_new(0);
    cf_executor *pool = cf_thread_pool(.max_workers = 1, .on_stop = leave_always, .on_start_context = &stops);
    cf_future *f = cf_submit(pool, awaits, promise);
    wait_until(blocked(pool) == 1);
    assert_works(pool); /* in a stand-in */
    assert_int_equal(cf_future_set_result(promise, NULL, 0), CF_OK);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
    wait_until(counted(&stops) == 1);
    cf__mutex_lock(&inside(pool)->mutex);
    assert_int_equal(inside(pool)->living, 1);
    cf__mutex_unlock(&inside(pool)->mutex);
    assert_works(pool);
    close_clean(pool);
    assert_int_equal(counted(&stops), 2);
    cf_future_release(f);
    cf_future_release(promise);
}

/* ---- where no other thread is to be had ---- */

/* The last worker ends with work queued: that fails rather than wait for ever, and the pool is broken. */
static void
test_exit_of_last_worker_breaks_pool(void **state)
{
    (void)state;
    cf_executor *pool = cf_thread_pool(.max_workers = 1);
    gate g = GATE;
    cf_future *last = cf_submit(pool, leaves_after_gate, &g), *queued[3];
    wait_until(gate_inside(&g) == 1);
    for (int i = 0; i < 3; i++)
        queued[i] = cf_submit(pool, twice, i);
    fault_fail_from("thread_start", 1, EAGAIN);
    gate_open(&g);
    assert_int_equal(cf_future_wait(last, CF_FOREVER), CF_ERR_TASK_EXITED);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cf_future_wait(queued[i], CF_FOREVER), CF_ERR_BROKEN);
        cf_future_release(queued[i]);
    }
    assert_int_equal(cf_executor_error(pool), CF_ERR_BROKEN);
    cf_auto(cf_future) late = cf_submit(pool, twice, 1);
    assert_int_equal(cf_future_wait(late, CF_FOREVER), CF_ERR_BROKEN);
    cf_future_release(last);
    close_clean(pool);
}

/* With nothing queued it isn't: the next submit starts a thread, or says why not. */
static void
test_exit_of_last_idle_worker(void **state)
{
    (void)state;
    cf_executor *pool = cf_thread_pool(.max_workers = 1);
    fault_fail_from("thread_start", 2, EAGAIN);
    cf_future *f = cf_submit(pool, leaves);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_TASK_EXITED);
    cf_future_release(f);
    wait_until(living(pool) == 0);
    f = cf_submit(pool, twice, 1);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_SYSTEM);
    cf_future_release(f);
    assert_int_equal(cf_executor_error(pool), CF_OK);
    fault_clear();
    assert_works(pool);
    close_clean(pool);
}

static void
waits_and_leaves(cf_future *promise)
{
    (void)cf_future_wait(promise, CF_FOREVER);
    pthread_exit(NULL);
}
CF_TASK_VOID(waits_and_leaves, cf_future *);

/* A stand-in couldn't be started; when the only worker then ends, that is tried again, for the task that is queued. */
static void
test_exit_after_failed_stand_in(void **state)
{
    (void)state;
    cf_executor *pool = cf_thread_pool(.max_workers = 1);
    cf_future *promise = cf_future_new(0);
    fault_fail_nth("thread_start", 2, EAGAIN);
    cf_future *waiter = cf_submit(pool, waits_and_leaves, promise);
    wait_until(blocked(pool) == 1); /* with nothing queued yet: it will not try again by itself to start one */
    cf_future *queued = cf_submit(pool, twice, 4);
    assert_int_equal(fault_fired("thread_start"), 1);
    assert_int_equal(living(pool), 1);
    assert_false(cf_future_done(queued));
    assert_int_equal(cf_future_set_result(promise, NULL, 0), CF_OK);
    int value = 0;
    assert_int_equal(cf_future_wait(waiter, CF_FOREVER), CF_ERR_TASK_EXITED);
    assert_int_equal(cf_result(queued, twice, &value, CF_FOREVER), CF_OK);
    assert_int_equal(value, 8);
    cf_future_release(waiter);
    cf_future_release(queued);
    cf_future_release(promise);
    close_clean(pool);
}

/* ---- what belongs to the thread ---- */

static void *
changes_local(void *to)
{
    void *before = *cf_worker_local();
    *cf_worker_local() = to;
    return before;
}
CF_TASK(void *, changes_local, void *);

/* cf_worker_local() is the thread's, not its place's in the pool: NULL in the one that comes after. */
static void
test_exit_local_is_fresh(void **state)
{
    (void)state;
    cf_executor *pool = cf_thread_pool(.max_workers = 1);
    int mine = 0;
    for (unsigned i = 0; i < CF__WORKERS_MOST + 10; i++) { /* until the records of threads that ended are used again */
        void *before = &mine;
        cf_future *f = cf_submit(pool, changes_local, &mine);
        assert_int_equal(cf_result(f, changes_local, &before, CF_FOREVER), CF_OK);
        assert_null(before);
        cf_future_release(f);
        f = cf_submit(pool, changes_local, NULL);
        assert_int_equal(cf_result(f, changes_local, &before, CF_FOREVER), CF_OK);
        assert_ptr_equal(before, &mine);
        cf_future_release(f);
        f = cf_submit(pool, changes_local, &mine);
        cf_future_release(f);
        f = cf_submit(pool, leaves);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_TASK_EXITED);
        cf_future_release(f);
    }
    close_clean(pool);
}

static pthread_key_t specific;
static unsigned destroyed;

static void
destroy_specific(void *future)
{
    if (cf_worker_local() == NULL && !cf_cancelled())
        count_one(&destroyed);
    cf_future_release(future);
}

static void
keeps_future(cf_executor *pool, int n)
{
    (void)pthread_setspecific(specific, cf_submit(pool, twice, n));
}
CF_TASK_VOID(keeps_future, cf_executor *, int);

/* A destructor of thread-specific data runs after the worker has let go of the pool: it is in no worker, and what it
 * releases goes back by the way for outsiders. */
static void
test_exit_runs_destructors_outside(void **state)
{
    (void)state;
    assert_int_equal(pthread_key_create(&specific, destroy_specific), 0);
    destroyed = 0;
    for (int i = 0; i < 10; i++) {
        cf_executor *pool = cf_thread_pool(.max_workers = 1);
        cf_future *f = cf_submit(pool, keeps_future, pool, i);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
        cf_future_release(f);
        if (i % 2 == 0)
            assert_int_equal(cf_spawn(pool, leaves), CF_OK);
        close_clean(pool);
    }
    assert_int_equal(counted(&destroyed), 10);
    assert_int_equal(pthread_key_delete(specific), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_exit_in_task),
        cmocka_unit_test(test_exit_slowly),
        cmocka_unit_test(test_exit_makes_room),
        cmocka_unit_test(test_exit_leaves_its_submits),
        cmocka_unit_test(test_exit_nested),
        cmocka_unit_test(test_exit_in_own_map),
        cmocka_unit_test(test_exit_in_stolen_child),
        /* the record of the callback that ends the thread is lost with it: not checked for leaks */
        cmocka_unit_test_setup_teardown(test_exit_in_callback, leaks_start, NULL),
        cmocka_unit_test(test_exit_in_on_start),
        cmocka_unit_test(test_exit_in_on_stop),
        cmocka_unit_test(test_exit_of_last_worker_breaks_pool),
        cmocka_unit_test(test_exit_of_last_idle_worker),
        cmocka_unit_test(test_exit_after_failed_stand_in),
        cmocka_unit_test(test_exit_local_is_fresh),
        cmocka_unit_test(test_exit_runs_destructors_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
