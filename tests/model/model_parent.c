/* tests/model/model_parent.c - the parent's side of a process pool under every schedule: threads that submit, wait for room,
 * wait for results, cancel, call back, shut down; and the death of the template.
 * SPDX-License-Identifier: MIT
 * Whole pools of one worker, made by the program's own calls, with the real template.  Workers don't die here (see model_arena.c,
 * model_staff.c) but with the template, and nobody looks again now and then, which would hide a lost wake: a thread that isn't
 * woken stays asleep, a deadlock. */
#define MODEL_CPUS 1u                   /* nobody spins */
#define CF__SLICE_FIRST (INT64_MAX - 1) /* nor looks again without being woken */
#define CF__SLICE_LAST (INT64_MAX - 1)
#include "model_template.h"

#include "cfutures/process_pool.h"
#include "cfutures/task.h"

static cf_executor *pool;
static cf_future *future; /* of the first task; NULL: given back */
static cf_future *second; /* of the next one, or NULL */
static uint32_t told;     /* A: 1: the first task may end */
static uint32_t called;   /* A: callbacks that have run */

/* ---- tasks ---- */

static int
twice(int number)
{
    return 2 * number;
}
CF_TASK(int, twice, int);

static int
stays(int number)
{
    while (cf__load_acquire(&told) == 0)
        (void)cf__os_futex_wait(&told, 0, INT64_MAX, CF__SCOPE_SHARED);
    return 2 * number;
}
CF_TASK(int, stays, int);

static void
tell(void)
{
    cf__store_release(&told, 1u);
    (void)cf__os_futex_wake(&told, INT_MAX, CF__SCOPE_SHARED);
}

static void
note_call(cf_future *of, void *context)
{
    (void)context;
    model_check(cf_future_done(of));
    (void)cf__fetch_add_relaxed(&called, 1u);
    (void)cf__os_futex_wake(&called, INT_MAX, CF__SCOPE_SHARED);
}
static void
add_callback(void *arg)
{
    (void)arg;
    model_check(cf_future_add_done_callback(future, note_call, NULL) == CF_OK);
}
/* ---- pools ---- */

static void
make_pool(size_t slots)
{
    model_thread_local(&cf__current, sizeof cf__current);
    told = called = 0;
    future = second = NULL;
    pool = cf_process_pool(.max_workers = 1, .max_pending = slots, .memory = 4096);
    model_check(cf_executor_error(pool) == CF_OK);
    CF__POINTER_CAST(cf__process_pool *, pool)->audits = false;
    model_spare(1); /* the template */
}
static void
setup_one(void)
{
    make_pool(1);
    future = cf_submit(pool, twice, 1);
}
static void
setup_two_slots(void)
{
    make_pool(2);
    future = cf_submit(pool, twice, 1);
}
static void
setup_called(void)
{
    setup_one();
    add_callback(NULL);
}
static void
setup_second_stays(void)
{
    setup_two_slots();
    second = cf_submit(pool, stays, 1);
}
static void
setup_busy(void) /* full, until somebody tells its task */
{
    make_pool(1);
    future = cf_submit(pool, stays, 1);
}
static void
close_pool(void)
{
    cf_future_release(future);
    cf_future_release(second);
    cf_executor_close(pool);
}
static void
close_called(void)
{
    cf_executor_close(pool); /* which waits for the callbacks */
    model_check(cf__load_relaxed(&called) == 1);
    cf_future_release(future);
}

/* ---- what threads do ---- */

/* Waits for the first task, which is done well, or has failed with the error that is allowed. */
static void
wait_for_first(void *allowed)
{
    int value = 0;
    cf_err error = cf_future_get(future, &value, sizeof value, CF_FOREVER);
    model_check(error == CF_OK ? value == 2 : allowed != NULL && error == *(cf_err *)allowed);
}
static void
wait_until_broken(void *arg)
{
    (void)arg;
    model_check(cf_future_wait(second, CF_FOREVER) == CF_ERR_BROKEN);
}
static void
cancel_first(void *arg)
{
    (void)arg;
    bool cancelled = cf_future_cancel(future);
    model_check(!cancelled || cf_future_wait(future, CF_NOW) == CF_ERR_CANCELLED);
}
/* Nobody but the collector is there to call; the pool's reference is the last one. */
static void
await_callback(void *arg)
{
    add_callback(arg);
    cf_future_release(future);
    future = NULL;
    while (cf__load_relaxed(&called) == 0)
        (void)cf__os_futex_wait(&called, 0, INT64_MAX, CF__SCOPE_SHARED);
}
static void
finish(cf_future *own, int expected)
{
    int value = 0;
    model_check(cf_future_get(own, &value, sizeof value, CF_FOREVER) == CF_OK && value == expected);
    cf_future_release(own);
}
static void
submit_one(void *arg)
{
    (void)arg;
    finish(cf_submit(pool, twice, 3), 6);
}
/* The task is in the first one's slot, and stays until who waits for that has been told. */
static void
submit_into_its_slot(void *arg)
{
    (void)arg;
    finish(cf_submit(pool, stays, 3), 6);
}
static void
wait_and_tell(void *arg)
{
    wait_for_first(arg);
    tell();
}
static void
cancel_and_submit(void *arg) /* the next task may be in that slot */
{
    cancel_first(arg);
    submit_one(arg);
}
static void
submit_in_vain(void *arg)
{
    (void)arg;
    cf_err error = cf_spawn_with(pool, cf_options(.deadline = model_deadline(1)), twice, 3);
    model_check(error == CF_ERR_FULL && cf_passed(model_deadline(1)));
    tell();
}
static void
submit_until_closed(void *arg)
{
    (void)arg;
    cf_err error = cf_spawn(pool, twice, 3);
    model_check(error == CF_OK || error == CF_ERR_SHUTDOWN);
}
/* Too late for the task that stays: so this one has no room, ever. */
static void
submit_and_tell(void *arg)
{
    submit_until_closed(arg);
    tell();
}
static void
shutdown_by_mode(void *arg)
{
    cf_shutdown_report report;
    model_check(cf_executor_shutdown(pool, *(cf_shutdown_mode *)arg, CF_FOREVER, &report) == CF_OK && report.left == 0);
}
/* Closes, and waits in vain, as long as nobody tells the task. */
static void
shutdown_in_time(void *arg)
{
    cf_shutdown_report report;
    cf_err error = cf_executor_shutdown(pool, *(cf_shutdown_mode *)arg, model_deadline(1), &report);
    model_check(error == CF_OK ? report.left == 0 : error == CF_ERR_TIMEOUT && report.left == 1);
}
static void
kill_template(void *arg)
{
    (void)arg;
    cf__process_kill_template(CF__POINTER_CAST(cf__process_pool *, pool));
}
static void
kill_when_first_is_done(void *arg)
{
    const cf__slot *slot = &CF__POINTER_CAST(cf__process_pool *, pool)->setup.view.slots[0];
    uint32_t state;
    while ((state = cf__slot_state(cf__load_relaxed(&slot->word))) == CF__SLOT_PENDING || state == CF__SLOT_RUNNING)
        model_yield();
    kill_template(arg);
}

/* Memory: all there is. */
static void *block;
static void
setup_no_memory(void)
{
    make_pool(2);
    size_t size = 4096;
    for (block = NULL; block == NULL; size /= 2)
        block = cf_executor_alloc(pool, size);
    future = cf_submit(pool, stays, 1);
}

typedef struct many {
    int numbers[100]; /* more than a slot holds */
} many;
static int
first_of(many all)
{
    return all.numbers[0];
}
CF_TASK(int, first_of, many);
static void
submit_many(void *arg)
{
    (void)arg;
    many all = {{5}};
    cf_future *own = cf_submit(pool, first_of, all);
    tell();
    finish(own, 5);
}
static void
free_block(void *arg)
{
    (void)arg;
    cf_executor_free(pool, block);
}

static cf_shutdown_mode modes[] = {CF_DRAIN, CF_CANCEL_PENDING};
#define DRAIN &modes[0]
#define CANCEL &modes[1]
static cf_err allowed[] = {CF_ERR_CANCELLED, CF_ERR_BROKEN};
#define CANCELLED &allowed[0]
#define BROKEN &allowed[1]

/* Name, setup, check, threads. */
#define POOL(name_, setup_, check_, ...)                                                                               \
    .name = name_, .setup = setup_, .threads = {__VA_ARGS__}, .check = check_, .calm = true,                           \
    .stale_reads = MODEL_NONE, .spurious = MODEL_NONE, .preemptions = 1, .timeouts = MODEL_NONE, .seconds = 10
/* At random: a search from the end of such long executions never gets to their middle. */
#define LARGE(...) POOL(__VA_ARGS__), .random = 20000
static const model_scenario scenarios[] = {
    {POOL("parent_two_wait", setup_one, close_pool, {"wait", wait_for_first, NULL},
          {"wait too", wait_for_first, NULL})},
    {POOL("parent_cancel", setup_one, close_pool, {"wait", wait_for_first, CANCELLED}, {"cancel", cancel_first, NULL})},
    {POOL("parent_cancel_and_submit", setup_one, close_pool, {"cancel", cancel_and_submit, NULL})},
    {LARGE("parent_callback", setup_one, close_called, {"add", add_callback, NULL}, {"wait", wait_for_first, NULL})},
    {POOL("parent_callback_alone", setup_one, close_called, {"add", await_callback, NULL})},
    /* Who submits collects the first task, for which another may sleep. */
    {POOL("parent_room", setup_one, close_pool, {"submit", submit_into_its_slot, NULL}, {"wait", wait_and_tell, NULL})},
    {POOL("parent_room_alone", setup_one, close_pool, {"submit", submit_one, NULL})},
    {LARGE("parent_room_for_one_of_two", setup_one, close_pool, {"submit", submit_one, NULL},
           {"submit too", submit_one, NULL})},
    {POOL("parent_room_in_time", setup_busy, close_pool, {"submit", submit_in_vain, NULL})},
    {POOL("parent_room_in_memory", setup_no_memory, close_pool, {"submit", submit_many, NULL},
          {"free", free_block, NULL})},
    {LARGE("parent_room_and_shutdown", setup_busy, close_pool, {"submit", submit_and_tell, NULL},
           {"shutdown", shutdown_in_time, DRAIN})},
    {POOL("parent_submit_and_drain", setup_two_slots, close_pool, {"submit", submit_until_closed, NULL},
          {"shutdown", shutdown_by_mode, DRAIN})},
    {POOL("parent_wait_and_drain", setup_one, close_pool, {"wait", wait_for_first, NULL},
          {"shutdown", shutdown_by_mode, DRAIN})},
    {POOL("parent_cancel_and_drain", setup_one, close_pool, {"cancel", cancel_first, NULL},
          {"shutdown", shutdown_by_mode, DRAIN})},
    {POOL("parent_wait_and_cancel_pending", setup_one, close_pool, {"wait", wait_for_first, CANCELLED},
          {"shutdown", shutdown_by_mode, CANCEL})},
    {LARGE("parent_callback_and_drain", setup_one, close_called, {"add", add_callback, NULL},
           {"shutdown", shutdown_by_mode, DRAIN})},
    {LARGE("parent_two_shutdowns", setup_called, close_called, {"drain", shutdown_by_mode, DRAIN},
           {"drain too", shutdown_by_mode, DRAIN})},
    {LARGE("parent_template_dies", setup_busy, close_pool, {"kill", kill_template, NULL},
           {"wait", wait_for_first, BROKEN}, {"wait too", wait_for_first, BROKEN})},
    /* The kernel wakes one of those that sleep; he may have a result by then, and need no news of the template. */
    {LARGE("parent_template_dies_beside_result", setup_second_stays, close_pool,
           {"kill", kill_when_first_is_done, NULL}, {"wait", wait_for_first, BROKEN},
           {"wait too", wait_until_broken, NULL})},
    {LARGE("parent_template_dies_before_callback", setup_called, close_called, {"kill", kill_template, NULL})},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
