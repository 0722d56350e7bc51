/* tests/model/model_scheduler.c - scheduler.h, thread_pool.h and child.h under every schedule: who wakes whom, who waits
 * for whom, and where stolen work goes.
 * SPDX-License-Identifier: MIT
 *
 * Tasks that must run at once meet at gates: words that the pool knows nothing of.  Should a worker sleep beside work,
 * somebody waits at a gate for ever, and the model sees a deadlock. */
#include "model.h"

#include "cfutures/task.h"
#include "cfutures/thread_pool.h"

static cf_executor *executor;
static cf__thread_pool *pool;
static cf_future *futures[4];
static uint32_t gates[4];
static uint32_t ran;       /* tasks and children run */
static uint32_t deadlocks; /* waits that got CF_ERR_DEADLOCK */
static uint32_t ended;     /* 1: shutdown has returned, nothing may run any more */

static void
open_gate(int i)
{
    cf__store_release(&gates[i], 1u);
    (void)cf__unpark_all(&gates[i], CF__SCOPE_PRIVATE);
}
static void
pass_gate(int i)
{
    while (cf__load_acquire(&gates[i]) == 0)
        (void)cf__park(&gates[i], 0, CF_FOREVER, CF__SCOPE_PRIVATE);
}
static void
count_run(void)
{
    model_check(cf__load_relaxed(&ended) == 0);
    (void)cf__fetch_add_relaxed(&ran, 1u);
}

/* ---- tasks; a gate's number is an argument where there are several ---- */

static int
plus_one(int n)
{
    count_run();
    return n + 1;
}
CF_TASK(int, plus_one, int);

/* Opens `mine`, and goes through `other`. */
static int
meet(int mine, int other)
{
    count_run();
    open_gate(mine);
    pass_gate(other);
    return 1;
}
CF_TASK(int, meet, int, int);

/* Stays until three have come. */
static int
meet_two(int mine)
{
    count_run();
    open_gate(mine);
    for (int i = 0; i < 3; i++)
        pass_gate(i);
    return 1;
}
CF_TASK(int, meet_two, int);

/* Submits to its own pool, and stays until the other worker has run it. */
static int
push_and_stay(int n)
{
    count_run();
    cf_future *inner = cf_submit(executor, meet, 0, 0);
    pass_gate(0);
    cf_future_release(inner);
    return n + 1;
}
CF_TASK(int, push_and_stay, int);

/* Submits two that meet each other, and stays until they have. */
static int
push_two_and_stay(int n)
{
    count_run();
    cf_future_release(cf_submit(executor, meet, 0, 1));
    cf_future_release(cf_submit(executor, meet, 1, 0));
    pass_gate(0);
    pass_gate(1);
    return n + 1;
}
CF_TASK(int, push_two_and_stay, int);

/* Submits two and forgets them. */
static int
push_two(int n)
{
    count_run();
    for (int i = 0; i < n; i++) {
        cf_err error = cf_spawn(executor, plus_one, 1);
        if (error == CF_ERR_SHUTDOWN)
            (void)cf__fetch_add_relaxed(&ran, 1u); /* as if, for the check */
        else
            model_check(error == CF_OK);
    }
    return n;
}
CF_TASK(int, push_two, int);

/* Submits two that the program asks for later. */
static int
push_and_keep(int n)
{
    count_run();
    futures[1] = cf_submit(executor, plus_one, n);
    futures[2] = cf_submit(executor, plus_one, n);
    return n + 1;
}
CF_TASK(int, push_and_keep, int);

/* Submits two, which the other worker takes, and stays until the program has been told so. */
static int
push_then_gate(int n)
{
    count_run();
    cf_future_release(cf_submit(executor, plus_one, n));
    open_gate(2);
    cf_future_release(cf_submit(executor, plus_one, n));
    pass_gate(3);
    return n + 1;
}
CF_TASK(int, push_then_gate, int);

/* Waits for futures[i], once it's there. */
static int
wait_for(int i)
{
    count_run();
    pass_gate(3);
    cf_err error = cf_future_wait(futures[i], CF_FOREVER);
    if (error == CF_ERR_DEADLOCK)
        (void)cf__fetch_add_relaxed(&deadlocks, 1u);
    else
        model_check(error == CF_OK || error == CF_ERR_CANCELLED);
    return 1;
}
CF_TASK(int, wait_for, int);

/* Settles the promise futures[i]. */
static int
settle(int i)
{
    int one = 1;
    count_run();
    model_check(cf_future_set_result(futures[i], &one, sizeof one) == CF_OK);
    return 1;
}
CF_TASK(int, settle, int);

/* ---- children ---- */

static int
with_child(int n)
{
    cf_child(plus_one) child;
    cf_child_start(&child, plus_one, n);
    count_run();
    return cf_child_join(&child, plus_one);
}
CF_TASK(int, with_child, int);

/* The other worker must take the child. */
static int
with_stolen_child(int n)
{
    cf_child(meet) child;
    count_run();
    cf_child_start(&child, meet, 0, 0);
    pass_gate(0);
    return cf_child_join(&child, meet) + n;
}
CF_TASK(int, with_stolen_child, int);

/* In either order: the first join runs or awaits the other, too. */
static int
with_two_children(int oldest_first)
{
    cf_child(plus_one) first, second;
    count_run();
    cf_child_start(&first, plus_one, 10);
    cf_child_start(&second, plus_one, 20);
    int a, b;
    if (oldest_first) {
        a = cf_child_join(&first, plus_one);
        b = cf_child_join(&second, plus_one);
    } else {
        b = cf_child_join(&second, plus_one);
        a = cf_child_join(&first, plus_one);
    }
    model_check(a == 11 && b == 21);
    return 7;
}
CF_TASK(int, with_two_children, int);

/* A child that stays until its own child has run: on the joiner's worker, for there's no other. */
static int
stays_for_grandchild(int n)
{
    cf_child(meet) grandchild;
    count_run();
    open_gate(0);
    cf_child_start(&grandchild, meet, 1, 1);
    pass_gate(1);
    return cf_child_join(&grandchild, meet) + n;
}
CF_TASK(int, stays_for_grandchild, int);
static int
leapfrogs(int n)
{
    cf_child(stays_for_grandchild) child;
    count_run();
    cf_child_start(&child, stays_for_grandchild, n);
    pass_gate(0);
    return cf_child_join(&child, stays_for_grandchild);
}
CF_TASK(int, leapfrogs, int);

/* The child's thief goes on to another task, and stays in it until its child has run: what the joiner steals may be
 * that one's. */
static int
stays_for_child(int n)
{
    cf_child(meet) child;
    count_run();
    cf_child_start(&child, meet, 2, 2);
    pass_gate(2);
    return cf_child_join(&child, meet) + n;
}
CF_TASK(int, stays_for_child, int);
static int
leads_to_stray(int n)
{
    cf_child(meet) child;
    count_run();
    cf_child_start(&child, meet, 0, 1);
    pass_gate(0);
    futures[1] = cf_submit(executor, stays_for_child, n);
    open_gate(1);
    return cf_child_join(&child, meet) + n;
}
CF_TASK(int, leads_to_stray, int);

static int
fails(int n)
{
    count_run();
    (void)cf_fail(n, "because");
    return 0;
}
CF_TASK(int, fails, int);
static int
with_failing_child(int n)
{
    cf_child(fails) child;
    count_run();
    cf_child_start(&child, fails, n);
    return cf_child_join(&child, fails);
}
CF_TASK(int, with_failing_child, int);

/* ---- setups; calm ---- */

static void
setup_pool(cf_pool_opts options, bool spin)
{
    model_thread_local(&cf__current, sizeof cf__current);
    ran = deadlocks = ended = 0;
    memset(futures, 0, sizeof futures);
    memset(gates, 0, sizeof gates);
    options.struct_size = sizeof options;
    executor = cf_thread_pool_with(&options);
    model_check(cf_executor_error(executor) == CF_OK);
    pool = (cf__thread_pool *)executor;
    pool->spin = spin;
}
/* Workers that have run something, and sleep. */
static void
warm(unsigned workers)
{
    cf_future *first = workers == 1 ? cf_submit(executor, meet, 0, 0) : cf_submit(executor, meet, 0, 1);
    cf_future *second = workers == 1 ? NULL : cf_submit(executor, meet, 1, 0);
    model_check(cf_future_wait(first, CF_FOREVER) == CF_OK);
    model_check(second == NULL || cf_future_wait(second, CF_FOREVER) == CF_OK);
    cf_future_release(first);
    cf_future_release(second);
    for (bool quiet = false; !quiet;) {
        cf__mutex_lock(&pool->mutex);
        quiet = pool->idle == pool->living;
        cf__mutex_unlock(&pool->mutex);
        if (!quiet)
            model_yield();
    }
    ran = 0;
    memset(gates, 0, sizeof gates);
}
static void
cold_1(void)
{
    setup_pool((cf_pool_opts){.max_workers = 1}, false);
}
static void
cold_2(void)
{
    setup_pool((cf_pool_opts){.max_workers = 2}, false);
}
static void
warm_1(void)
{
    cold_1();
    warm(1);
}
static void
warm_2(void)
{
    cold_2();
    warm(2);
}
static void
warm_2_spin(void)
{
    warm_2();
    pool->spin = true;
}
static void
warm_2_of_3(void)
{
    setup_pool((cf_pool_opts){.max_workers = 3}, false);
    warm(2);
}
static void
warm_2_of_3_spin(void)
{
    warm_2_of_3();
    pool->spin = true;
}
static void
warm_1_of_3(void)
{
    setup_pool((cf_pool_opts){.max_workers = 3}, false);
    warm(1);
}
/* A promise at futures[0]. */
static void
promise_1(void)
{
    warm_1();
    futures[0] = cf_future_new(sizeof(int));
}
static void
promise_2(void)
{
    warm_2();
    futures[0] = cf_future_new(sizeof(int));
}
/* A future that is done, or waits for a worker, when the threads begin. */
static void
future_and_pool(void)
{
    cold_1();
    futures[0] = cf_submit(executor, plus_one, 6);
}

/* ---- threads ---- */

static void
finish(cf_future *future, int expected)
{
    int value = 0;
    model_check(cf_future_get(future, &value, sizeof value, CF_FOREVER) == CF_OK && value == expected);
    cf_future_release(future);
}
static void
submit_one(void *arg)
{
    (void)arg;
    finish(cf_submit(executor, plus_one, 6), 7);
}
static void
submit_twice(void *arg)
{
    submit_one(arg);
    submit_one(arg);
}
static void
submit_meeting(void *arg)
{
    (void)arg;
    cf_future *first = cf_submit(executor, meet, 0, 1), *second = cf_submit(executor, meet, 1, 0);
    finish(first, 1);
    finish(second, 1);
}
static void
submit_meeting_after_one(void *arg)
{
    cf_future *zeroth = cf_submit(executor, plus_one, 6);
    submit_meeting(arg);
    finish(zeroth, 7);
}
static void
submit_meeting_0(void *arg)
{
    (void)arg;
    finish(cf_submit(executor, meet, 0, 1), 1);
}
static void
submit_meeting_1(void *arg)
{
    (void)arg;
    finish(cf_submit(executor, meet, 1, 0), 1);
}
/* All three must run at once. */
static void
submit_three(void *arg)
{
    (void)arg;
    cf_future *first = cf_submit(executor, meet_two, 0), *second = cf_submit(executor, meet_two, 1);
    cf_future *third = cf_submit(executor, meet_two, 2);
    finish(first, 1);
    finish(second, 1);
    finish(third, 1);
}
static void
submit_push(void *arg)
{
    (void)arg;
    cf_future *other = cf_submit(executor, plus_one, 6);
    finish(cf_submit(executor, push_and_stay, 6), 7);
    finish(other, 7);
}
static void
submit_push_two(void *arg)
{
    (void)arg;
    finish(cf_submit(executor, push_two_and_stay, 6), 7);
}
/* The other worker looks for more work when both are pushed, and lies down. */
static void
submit_one_and_push_two(void *arg)
{
    cf_future *other = cf_submit(executor, plus_one, 6);
    submit_push_two(arg);
    finish(other, 7);
}
static void
submit_may_fail(void *arg)
{
    int value;
    (void)arg;
    cf_future *first = cf_submit(executor, plus_one, 6), *second = cf_submit(executor, plus_one, 6);
    cf_err error = cf_future_get(first, &value, sizeof value, CF_FOREVER);
    model_check(error == CF_OK || error == CF_ERR_SYSTEM || error == CF_ERR_NOMEM);
    error = cf_future_get(second, &value, sizeof value, CF_FOREVER);
    model_check(error == CF_OK || error == CF_ERR_SYSTEM || error == CF_ERR_NOMEM);
    cf_future_release(first);
    cf_future_release(second);
}
static void
spawn_push_two(void *arg)
{
    (void)arg;
    cf_err error = cf_spawn(executor, push_two, 2);
    model_check(error == CF_OK || error == CF_ERR_SHUTDOWN);
    if (error == CF_ERR_SHUTDOWN)
        ran += 3; /* as if, for the check */
}
static void
drain(void *arg)
{
    cf_shutdown_report report;
    (void)arg;
    model_check(cf_executor_shutdown(executor, CF_DRAIN, CF_FOREVER, &report) == CF_OK && report.left == 0);
    cf__store_relaxed(&ended, 1u);
}
static void
cancel_pending(void *arg)
{
    cf_shutdown_report report;
    (void)arg;
    model_check(cf_executor_shutdown(executor, CF_CANCEL_PENDING, CF_FOREVER, &report) == CF_OK && report.left == 0);
    cf__store_relaxed(&ended, 1u);
}
static void
spawn_push_and_keep(void *arg)
{
    (void)arg;
    futures[0] = cf_submit(executor, push_and_keep, 6);
}
/* A task stays until this has returned: the shutdown can't be done. */
static void
drain_now(void *arg)
{
    cf_shutdown_report report;
    (void)arg;
    cf_future *future = cf_submit(executor, push_then_gate, 6);
    pass_gate(2);
    model_check(cf_executor_shutdown(executor, CF_DRAIN, CF_NOW, &report) == CF_ERR_TIMEOUT && report.left != 0);
    open_gate(3);
    cf_err error = cf_future_wait(future, CF_FOREVER);
    model_check(error == CF_OK);
    cf_future_release(future);
}
static void
wait_for_queued(void *arg)
{
    (void)arg;
    cf_future *waiter = cf_submit(executor, wait_for, 0);
    futures[0] = cf_submit(executor, plus_one, 6);
    open_gate(3);
    finish(waiter, 1);
}
static void
cancel_queued(void *arg)
{
    (void)arg;
    pass_gate(3);
    (void)cf_future_cancel(futures[0]);
}
/* One waits for what another task settles: the pool must run that one, though its only worker waits. */
static void
wait_for_settler(void *arg)
{
    (void)arg;
    open_gate(3);
    cf_future *waiter = cf_submit(executor, wait_for, 0), *settler = cf_submit(executor, settle, 0);
    finish(waiter, 1);
    finish(settler, 1);
}
static void
wait_for_settler_then_submit(void *arg)
{
    wait_for_settler(arg);
    submit_one(arg);
}
/* The shutdown goes on until the thread that is one too many has ended. */
static void
wait_for_settler_and_drain(void *arg)
{
    open_gate(3);
    cf_future *waiter = cf_submit(executor, wait_for, 0), *settler = cf_submit(executor, settle, 0);
    drain(arg);
    finish(waiter, 1);
    finish(settler, 1);
}
/* Both workers wait: one for the other, that one for a promise. */
static void
wait_for_waiter(void *arg)
{
    (void)arg;
    cf_future *waiter = cf_submit(executor, wait_for, 1);
    futures[1] = cf_submit(executor, wait_for, 0);
    cf_future *settler = cf_submit(executor, settle, 0);
    open_gate(3);
    finish(waiter, 1);
    finish(settler, 1);
}
static void
wait_for_each_other(void *arg)
{
    (void)arg;
    futures[0] = cf_submit(executor, wait_for, 1);
    futures[1] = cf_submit(executor, wait_for, 0);
    open_gate(3);
    model_check(cf_future_wait(futures[0], CF_FOREVER) == CF_OK && cf_future_wait(futures[1], CF_FOREVER) == CF_OK);
    model_check(cf__load_relaxed(&deadlocks) == 1);
}
static void
wait_for_oneself(void *arg)
{
    (void)arg;
    futures[0] = cf_submit(executor, wait_for, 0);
    open_gate(3);
    model_check(cf_future_wait(futures[0], CF_FOREVER) == CF_OK);
    model_check(cf__load_relaxed(&deadlocks) == 1);
}
static void
run_with_child(void *arg)
{
    (void)arg;
    finish(cf_submit(executor, with_child, 6), 7);
}
static void
run_with_stolen_child(void *arg)
{
    (void)arg;
    finish(cf_submit(executor, with_stolen_child, 6), 7);
}
static void
run_with_two_children(void *arg) /* arg: oldest first */
{
    finish(cf_submit(executor, with_two_children, arg != NULL), 7);
}
static void
run_leapfrog(void *arg)
{
    (void)arg;
    finish(cf_submit(executor, leapfrogs, 6), 7);
}
static void
run_stray(void *arg)
{
    (void)arg;
    finish(cf_submit(executor, leads_to_stray, 6), 7);
    finish(futures[1], 7);
    futures[1] = NULL;
}
static void
run_with_failing_child(void *arg)
{
    (void)arg;
    cf_future *future = cf_submit(executor, with_failing_child, 3);
    model_check(cf_future_wait(future, CF_FOREVER) == CF_ERR_FAILED && cf_future_code(future) == 3);
    model_check(strcmp(cf_future_message(future), "because") == 0);
    cf_future_release(future);
}
static void
close_pool(void *arg)
{
    (void)arg;
    cf_executor_close(executor);
    executor = NULL;
}
static void
release_future(void *arg)
{
    (void)arg;
    cf_future_release(futures[0]);
    futures[0] = NULL;
}

/* ---- ends; calm ---- */

/* No more threads are left than may be, once all is quiet. */
static void
check_quiet(void)
{
    for (bool quiet = false; !quiet;) {
        cf__mutex_lock(&pool->mutex);
        quiet = pool->idle == pool->living;
        model_check(!quiet || (pool->living <= pool->limit && pool->blocked == 0));
        model_check(!quiet || (cf__load_relaxed(&pool->demand) & CF__SEARCHING) == 0);
        model_check(!quiet || cf__load_relaxed(&pool->demand) == pool->options.max_workers);
        cf__mutex_unlock(&pool->mutex);
        if (!quiet)
            model_yield();
    }
}
/* The futures outlive their pool. */
static void
close_all(void)
{
    if (executor != NULL)
        cf_executor_close(executor);
    for (int i = 0; i < 4; i++)
        cf_future_release(futures[i]);
}
static void
check_all(void)
{
    check_quiet();
    close_all();
}
static void
check_ran_3(void)
{
    model_check(ran == 3);
    close_all();
}
/* After a start that failed the next submit tries again. */
static void
check_meeting(void)
{
    submit_meeting(NULL);
    check_all();
}
static void
check_settled(void)
{
    unsigned cancelled = 0, refused = 0;
    for (int i = 0; i < 3; i++) {
        if (futures[i] == NULL) /* the one that submits it didn't run */
            continue;
        cf_err error = cf_future_wait(futures[i], CF_NOW);
        cancelled += error == CF_ERR_CANCELLED;
        refused += error == CF_ERR_SHUTDOWN;
        model_check(error == CF_OK || error == CF_ERR_CANCELLED || error == CF_ERR_SHUTDOWN);
    }
    model_check(ran + cancelled + refused == (futures[1] != NULL ? 3 : 1));
    close_all();
}

static const model_scenario scenarios[] = {
    {.name = "sched_submit_again", .setup = warm_1, .threads = {{"submit", submit_twice, NULL}}, .check = check_all},
    {.name = "sched_two_submitters",
     .setup = warm_1,
     .threads = {{"submit", submit_one, NULL}, {"submit2", submit_one, NULL}},
     .check = check_all},
    {.name = "sched_burst", .setup = warm_2, .threads = {{"submit", submit_meeting, NULL}}, .check = check_all},
    {.name = "sched_burst_of_two",
     .setup = warm_2,
     .threads = {{"submit", submit_meeting_0, NULL}, {"submit2", submit_meeting_1, NULL}},
     .check = check_all},
    {.name = "sched_burst_spin",
     .setup = warm_2_spin,
     .threads = {{"submit", submit_meeting, NULL}},
     .check = check_all},
    {.name = "sched_burst_cold",
     .setup = cold_2,
     .threads = {{"submit", submit_meeting_after_one, NULL}},
     .check = check_all},
    {.name = "sched_burst_of_three",
     .setup = warm_1_of_3,
     .threads = {{"submit", submit_three, NULL}},
     .check = check_all},
    {.name = "sched_push", .setup = warm_2, .threads = {{"submit", submit_push, NULL}}, .check = check_all},
    {.name = "sched_push_burst",
     .setup = warm_2_of_3,
     .threads = {{"submit", submit_push_two, NULL}},
     .check = check_all},
    {.name = "sched_push_burst_spin",
     .setup = warm_2_of_3_spin,
     .threads = {{"submit", submit_one_and_push_two, NULL}},
     .check = check_all},
    {.name = "sched_start_fails",
     .setup = cold_2,
     .threads = {{"submit", submit_may_fail, NULL}},
     .check = check_meeting,
     .faults = 1},
    {.name = "sched_drain_and_push",
     .setup = warm_2,
     .threads = {{"submit", spawn_push_two, NULL}, {"drain", drain, NULL}},
     .check = check_ran_3},
    {.name = "sched_drain_now",
     .setup = warm_2,
     .threads = {{"drain", drain_now, NULL}},
     .check = close_all,
     .preemptions = 3},
    {.name = "sched_cancel_and_steal",
     .setup = warm_2,
     .threads = {{"submit", spawn_push_and_keep, NULL}, {"cancel", cancel_pending, NULL}},
     .check = check_settled},
    {.name = "sched_wait_for_queued",
     .setup = warm_1,
     .threads = {{"submit", wait_for_queued, NULL}, {"cancel", cancel_queued, NULL}},
     .check = check_all},
    {.name = "sched_stand_in", .setup = promise_1, .threads = {{"submit", wait_for_settler, NULL}}, .check = check_all},
    {.name = "sched_stand_in_retires",
     .setup = promise_1,
     .threads = {{"submit", wait_for_settler_then_submit, NULL}},
     .check = check_all,
     .preemptions = 3,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE},
    {.name = "sched_drain_and_retire",
     .setup = promise_1,
     .threads = {{"drain", wait_for_settler_and_drain, NULL}},
     .check = close_all},
    {.name = "sched_stand_in_of_two",
     .setup = promise_2,
     .threads = {{"submit", wait_for_waiter, NULL}},
     .check = check_all},
    {.name = "sched_deadlock", .setup = warm_2, .threads = {{"submit", wait_for_each_other, NULL}}, .check = check_all},
    {.name = "sched_deadlock_alone",
     .setup = warm_1,
     .threads = {{"submit", wait_for_oneself, NULL}},
     .check = check_all},
    {.name = "sched_child", .setup = warm_2, .threads = {{"submit", run_with_child, NULL}}, .check = check_all},
    {.name = "sched_child_stolen",
     .setup = warm_2,
     .threads = {{"submit", run_with_stolen_child, NULL}},
     .check = check_all},
    {.name = "sched_children",
     .setup = warm_2,
     .threads = {{"submit", run_with_two_children, NULL}},
     .check = check_all},
    {.name = "sched_children_oldest_first",
     .setup = warm_2,
     .threads = {{"submit", run_with_two_children, &ran}},
     .check = check_all},
    {.name = "sched_leapfrog", .setup = warm_2, .threads = {{"submit", run_leapfrog, NULL}}, .check = check_all},
    {.name = "sched_stray", .setup = warm_2, .threads = {{"submit", run_stray, NULL}}, .check = check_all},
    {.name = "sched_child_fails",
     .setup = warm_2,
     .threads = {{"submit", run_with_failing_child, NULL}},
     .check = check_all},
    {.name = "sched_future_outlives_pool",
     .setup = future_and_pool,
     .threads = {{"close", close_pool, NULL}, {"release", release_future, NULL}},
     .check = close_all},
};

/* All of them calm, and at random: a search from the end of such long executions never gets to their middle. */
int
main(int argc, char **argv)
{
    static model_scenario calm[sizeof scenarios / sizeof scenarios[0]];
    for (size_t i = 0; i < sizeof scenarios / sizeof scenarios[0]; i++) {
        calm[i] = scenarios[i];
        calm[i].calm = true;
        calm[i].random = scenarios[i].random != 0 ? scenarios[i].random : 20000;
    }
    return model_main(argc, argv, calm, sizeof scenarios / sizeof scenarios[0]);
}
