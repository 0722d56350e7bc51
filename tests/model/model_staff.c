/* tests/model/model_staff.c - how many workers a process pool has, and what becomes of tasks, under every schedule: growth,
 * idle workers that leave, resizes, retries, tasks that mustn't start late.
 * SPDX-License-Identifier: MIT
 * Three kinds of scenarios: small ones in weak memory; arenas with the real template and workers and a parent that is a few
 * lines; and whole pools.  Should a task be left pending beside workers that are busy for ever, nobody can go on: a deadlock. */
#define MODEL_CPUS 1u /* nobody spins */
#include "model_template.h"

#include "cfutures/process_pool.h"
#include "cfutures/task.h"

#define IDLE_MS 1u

static cf__arena_view view;
static cf__process_setup setup_of_pool;
static uint32_t told; /* by the task of slot 1, to that of slot 0 */
static uint32_t runs; /* how often a task has been run */

/* ---- tasks ---- */

static void
tell(uint32_t *word)
{
    cf__store_release(word, 1u);
    (void)cf__os_futex_wake(word, INT_MAX, CF__SCOPE_SHARED);
}
static void
wait_for(uint32_t *word)
{
    while (cf__load_acquire(word) == 0)
        (void)cf__os_futex_wait(word, 0, INT64_MAX, CF__SCOPE_SHARED);
}
static void
run_quick(const void *args, void *result, void *context)
{
    (void)args;
    (void)result;
    (void)context;
    (void)cf__fetch_add_relaxed(&runs, 1u);
}
static void
run_wait(const void *args, void *result, void *context)
{
    (void)args;
    (void)result;
    (void)context;
    wait_for(&told);
}
static void
run_tell(const void *args, void *result, void *context)
{
    (void)args;
    (void)result;
    (void)context;
    tell(&told);
}

/* ---- an arena, and its parent ---- */

static void
setup_arena(uint32_t workers, uint32_t least, uint32_t records)
{
    void *memory = cf__os_map_shared(cf__arena_layout(&view, NULL, records, 2));
    (void)cf__arena_layout(&view, memory, records, 2);
    cf__arena_want(&view, workers, least, workers);
    model_thread_local(&cf__current, sizeof cf__current);
    memset(&setup_of_pool, 0, sizeof setup_of_pool);
    setup_of_pool.view = view;
    setup_of_pool.parent_pidfd = MODEL__PID;
    setup_of_pool.life_line[0] = setup_of_pool.life_line[1] = -1;
    setup_of_pool.idle_timeout = least < workers ? cf__milliseconds(IDLE_MS) : CF__NEVER;
    cf__store_relaxed(&view.arena->high, 0u);
    told = runs = 0;
    view.template_pidfd = MODEL__PID + 1;
}
static void
push(uint32_t index, void (*run)(const void *, void *, void *))
{
    view.slots[index].run = run;
    view.slots[index].args = view.slots[index].result = view.slots[index].payload;
    cf__slot_publish_task(&view.slots[index], 0);
    cf__arena_push_hint(&view, &view.arena->parent_ring, view.parent_hints, index);
}
static void
submit(uint32_t index, void (*run)(const void *, void *, void *))
{
    push(index, run);
    cf__arena_wake_one(&view);
}
static void
await_done(uint32_t index)
{
    cf__slot *slot = &view.slots[index];
    uint64_t word = cf__load_acquire(&slot->word);
    while (!cf__slot_settled(word)) {
        if (cf__slot_set_flag(slot, &word, CF__SLOT_WAIT)) {
            (void)cf__park(cf__slot_futex(slot), cf__slot_futex_value(word), CF_FOREVER, CF__SCOPE_SHARED);
            word = cf__load_acquire(&slot->word);
        }
    }
    model_check(cf__slot_state(word) == CF__SLOT_DONE);
}
static void
resize(uint32_t workers)
{
    cf__arena_want(&view, workers, workers, workers);
    cf__arena_wake_all(&view);
    cf__arena_poke(&view);
}
static void
stop(void)
{
    cf__store_seq_cst(&view.arena->stop, CF__ARENA_DRAINS);
    cf__arena_wake_all(&view);
    cf__arena_poke(&view);
}
static void
check_arena(void)
{
    cf__os_unmap(view.arena, 0);
}
#define TEMPLATE .processes = {{"template", cf__template_main, &setup_of_pool}}

/* ---- small: a worker that leaves for idleness, and a task that comes meanwhile ---- */

static void
setup_retire(void)
{
    setup_arena(2, 1, 2);
    view.template_pidfd = -1;
    cf__store_relaxed(&view.arena->high, 2u);
}
static void
work_until_retired(void *arg)
{
    uint32_t index;
    (void)arg;
    while (cf__arena_is_wanted(&view, 2) && !cf__arena_claim(&view, 2, &index)) {
        if (!cf__arena_park(&view, 2, cf_after_ms(IDLE_MS)))
            cf__arena_retire(&view, 2);
    }
}
static void
submit_one(void *arg)
{
    (void)arg;
    submit(0, run_quick);
}
static void
check_retired(void)
{
    /* Worker 1 is busy for ever: 2 has the task, or another is to be started. */
    model_check(cf__slot_state(cf__load_relaxed(&view.slots[0].word)) == CF__SLOT_RUNNING ||
                cf__load_relaxed(&view.arena->wanted) == 2);
    check_arena();
}

/* ---- with the real template and workers ---- */

/* The first task waits for the second, which comes at any time: also while the other worker leaves. */
static void
setup_elastic(void)
{
    setup_arena(2, 1, 2);
}
static void
submit_two_that_meet(void *arg)
{
    (void)arg;
    submit(0, run_wait);
    submit(1, run_tell);
    await_done(0);
    await_done(1);
    stop();
}
/* One worker, which may have another when it's busy. */
static void
setup_growing(void)
{
    setup_arena(2, 1, 2);
    cf__store_relaxed(&view.arena->wanted, 1u);
}
/* Down to one worker, and up again, with tasks at hand. */
static void
setup_two(void)
{
    setup_arena(2, 2, 2);
}
static void
shrink(void *arg)
{
    (void)arg;
    submit(0, run_quick);
    submit(1, run_quick);
    resize(1);
    await_done(0);
    await_done(1);
    stop();
}
static void
setup_one_of_two(void)
{
    setup_arena(1, 1, 2);
}
static void
enlarge(void *arg)
{
    (void)arg;
    submit(0, run_wait);
    resize(2);
    submit(1, run_tell);
    await_done(0);
    await_done(1);
    stop();
}
/* One that isn't wanted any more when it is ready takes its time to leave; what it may owe doesn't wait for it. */
static uint32_t starts, resized, leaving;
static void
start_slowly(void *context)
{
    (void)context;
    if (cf__fetch_add_relaxed(&starts, 1u) == 1)
        wait_for(&resized);
}
static void
leave_slowly(void *context)
{
    (void)context;
    tell(&leaving);
    wait_for(&told);
}
static void
setup_slow_to_leave(void)
{
    setup_arena(2, 2, 2);
    setup_of_pool.on_start = start_slowly;
    setup_of_pool.on_stop = leave_slowly;
    starts = resized = leaving = 0;
}
static void
shrink_and_tell(void *arg)
{
    (void)arg;
    submit(1, run_quick);
    await_done(1);
    resize(1);
    tell(&resized);
    wait_for(&leaving);
    submit(0, run_tell);
    await_done(0);
    stop();
}
/* Those who are started while the pool ends are told of that. */
static void
enlarge_and_stop(void *arg)
{
    (void)arg;
    resize(2);
    stop();
}
/* Everybody is told to leave while the first ones are started. */
static void
only_stop(void *arg)
{
    (void)arg;
    stop();
}
/* Workers that leave after each task. */
static void
setup_spent(void)
{
    setup_arena(1, 1, 1);
    setup_of_pool.max_tasks = 1;
}
static void
submit_two(void *arg)
{
    (void)arg;
    submit(0, run_quick);
    submit(1, run_quick);
    await_done(0);
    await_done(1);
    model_check(cf__load_relaxed(&runs) == 2);
    stop();
}

/* ---- whole pools: a task that is tried again, or mustn't start late ---- */

static cf_executor *pool;
static cf_future *future;

/* Ends its worker the first time. */
static int
dies_once(int number)
{
    if (cf__fetch_add_relaxed(&runs, 1u) == 0)
        cf__os_exit(3);
    return number;
}
CF_TASK(int, dies_once, int);

/* Writes its message over its arguments: the next try has them all the same. */
static int
fails(int number)
{
    model_check(number == 5);
    (void)cf_fail(7, "a message as long as the arguments");
    return number;
}
CF_TASK(int, fails, int);

static int
counts(int number)
{
    (void)cf__fetch_add_relaxed(&runs, 1u);
    return number;
}
CF_TASK(int, counts, int);

static int
dies(int number)
{
    (void)cf__fetch_add_relaxed(&runs, 1u);
    cf__os_exit(3);
    return number;
}
CF_TASK(int, dies, int);

static int
waits(int number)
{
    run_wait(NULL, NULL, NULL);
    return number;
}
CF_TASK(int, waits, int);

static void
setup_pool(void)
{
    model_thread_local(&cf__current, sizeof cf__current);
    runs = told = 0;
    pool = cf_process_pool(.max_workers = 1, .max_pending = 2, .memory = 4096);
    model_check(cf_executor_error(pool) == CF_OK);
    CF__POINTER_CAST(cf__process_pool *, pool)->audits = false; /* they'd hide a lost wake */
    model_spare(1);                                             /* the template */
    future = NULL;
}
static void
setup_dies_once(void)
{
    setup_pool();
    future = cf_submit_with(pool, cf_options(.retries = 1), dies_once, 5);
}
static void
await_retried(void *arg)
{
    int value;
    (void)arg;
    cf_err error = cf_result(future, dies_once, &value, CF_FOREVER);
    model_check(error == CF_ERR_CANCELLED || (error == CF_OK && value == 5 && cf__load_relaxed(&runs) == 2));
}
static void
cancel(void *arg)
{
    (void)arg;
    bool cancelled = cf_future_cancel(future);
    model_check(!cancelled || cf_future_wait(future, CF_NOW) == CF_ERR_CANCELLED);
}
static void
await_failed(void *arg)
{
    int value;
    (void)arg;
    future = cf_submit_with(pool, cf_options(.retries = 1), fails, 5);
    cf_err error = cf_result(future, fails, &value, CF_FOREVER);
    /* Lost, if its worker dies when it has failed, and its arguments are gone. */
    model_check(error == CF_ERR_WORKER_LOST || (error == CF_ERR_FAILED && cf_future_code(future) == 7));
}
static void
await_start_by(void *arg)
{
    int value;
    (void)arg;
    future = cf_submit_with(pool, cf_options(.start_by = model_deadline(1)), counts, 5);
    cf_err error = cf_result(future, counts, &value, CF_FOREVER);
    model_check(cf__load_relaxed(&runs) == (error == CF_OK ? 1 : 0));
    model_check((error == CF_OK && value == 5) || (error == CF_ERR_TIME_LIMIT && cf_passed(model_deadline(1))));
}
static void
await_dying(void *arg)
{
    (void)arg;
    future = cf_submit_with(pool, cf_options(.retries = 1), dies, 5);
    model_check(cf_future_wait(future, CF_FOREVER) == CF_ERR_WORKER_LOST && cf__load_relaxed(&runs) == 2);
    model_check(cf_future_account(future)->tries == 2);
}
/* The worker is busy until the time to start has passed; its waiter doesn't wait for it. */
static void
await_behind_busy_worker(void *arg)
{
    (void)arg;
    cf_future *first = cf_submit(pool, waits, 1);
    future = cf_submit_with(pool, cf_options(.start_by = model_deadline(1)), counts, 5);
    model_check(cf_future_wait(future, CF_FOREVER) == CF_ERR_TIME_LIMIT && cf__load_relaxed(&runs) == 0);
    run_tell(NULL, NULL, NULL);
    model_check(cf_future_wait(first, CF_FOREVER) == CF_OK);
    cf_future_release(first);
}
/* Nobody waits: the worker sees that it's too late. */
static void
come_too_late(void *arg)
{
    (void)arg;
    cf_future *first = cf_submit(pool, waits, 1);
    int64_t start_by = model_deadline(1);
    future = cf_submit_with(pool, cf_options(.start_by = start_by), counts, 5);
    model.clock = CF__MAX(model.clock, start_by);
    run_tell(NULL, NULL, NULL);
    model_check(cf_future_wait(first, CF_FOREVER) == CF_OK);
    model_check(cf_future_wait(future, CF_FOREVER) == CF_ERR_TIME_LIMIT && cf__load_relaxed(&runs) == 0);
    cf_future_release(first);
}
static void
check_pool(void)
{
    cf_future_release(future);
    cf_executor_close(pool);
}

static const model_scenario scenarios[] = {
    {.name = "staff_retry",
     .setup = setup_dies_once,
     .threads = {{"parent", await_retried, NULL}},
     .check = check_pool,
     .calm = true,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .timeouts = MODEL_NONE,
     .seconds = 5},
    {.name = "staff_retry_and_cancel",
     .setup = setup_dies_once,
     .threads = {{"parent", await_retried, NULL}, {"cancel", cancel, NULL}},
     .check = check_pool,
     .calm = true,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .timeouts = MODEL_NONE,
     .seconds = 5},
    {.name = "staff_retry_of_failed",
     .setup = setup_pool,
     .threads = {{"parent", await_failed, NULL}},
     .check = check_pool,
     .calm = true,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .kills = 1,
     .seconds = 5},
    {.name = "staff_start_by",
     .setup = setup_pool,
     .threads = {{"parent", await_start_by, NULL}},
     .check = check_pool,
     .calm = true,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .timeouts = 1,
     .seconds = 5},

    {.name = "staff_start_by_busy",
     .setup = setup_pool,
     .threads = {{"parent", await_behind_busy_worker, NULL}},
     .check = check_pool,
     .calm = true,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .seconds = 5},

    {.name = "staff_start_by_late",
     .setup = setup_pool,
     .threads = {{"parent", come_too_late, NULL}},
     .check = check_pool,
     .calm = true,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .seconds = 5},

    {.name = "staff_retry_too_often",
     .setup = setup_pool,
     .threads = {{"parent", await_dying, NULL}},
     .check = check_pool,
     .calm = true,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .seconds = 5},

    {.name = "staff_retire_small",
     .setup = setup_retire,
     .threads = {{"submit", submit_one, NULL}},
     .processes = {{"worker2", work_until_retired, NULL}},
     .check = check_retired,
     .spurious = MODEL_NONE,
     .timeouts = 1,
     .seconds = 5},
    {.name = "staff_retire",
     .setup = setup_elastic,
     .threads = {{"parent", submit_two_that_meet, NULL}},
     TEMPLATE,
     .check = check_arena,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .timeouts = 1,
     .seconds = 5},
    {.name = "staff_grow",
     .setup = setup_growing,
     .threads = {{"parent", submit_two_that_meet, NULL}},
     TEMPLATE,
     .check = check_arena,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .timeouts = MODEL_NONE,
     .seconds = 5},
    {.name = "staff_shrink",
     .setup = setup_two,
     .threads = {{"parent", shrink, NULL}},
     TEMPLATE,
     .check = check_arena,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .seconds = 5},
    {.name = "staff_slow_to_leave",
     .setup = setup_slow_to_leave,
     .threads = {{"parent", shrink_and_tell, NULL}},
     TEMPLATE,
     .check = check_arena,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .timeouts = 1, /* the template looks again and again while one starts */
     .seconds = 5},
    {.name = "staff_enlarge",
     .setup = setup_one_of_two,
     .threads = {{"parent", enlarge, NULL}},
     TEMPLATE,
     .check = check_arena,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .seconds = 5},
    {.name = "staff_enlarge_and_stop",
     .setup = setup_one_of_two,
     .threads = {{"parent", enlarge_and_stop, NULL}},
     TEMPLATE,
     .check = check_arena,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .seconds = 5},
    {.name = "staff_stop_at_start",
     .setup = setup_one_of_two,
     .threads = {{"parent", only_stop, NULL}},
     TEMPLATE,
     .check = check_arena,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .seconds = 5},
    {.name = "staff_spent",
     .setup = setup_spent,
     .threads = {{"parent", submit_two, NULL}},
     TEMPLATE,
     .check = check_arena,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .seconds = 5},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
