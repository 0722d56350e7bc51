/* tests/model/model_pool.c - the thread pool of thread_pool.h under every schedule.
 * SPDX-License-Identifier: MIT */
#include "model.h"

#include "cfutures/thread_pool.h"

static cf_executor *pool;
static uint32_t ran;      /* tasks run */
static uint32_t outcomes; /* tasks that the callers saw end, one way or another */

static void
run_task(const void *args, void *result, void *context)
{
    int value;
    void *before = cf__current;
    cf__current = context;
    memcpy(&value, args, sizeof value);
    (void)cf__fetch_add_relaxed(&ran, 1u);
    value++;
    memcpy(result, &value, sizeof value);
    cf__current = before;
}
static const cf_task_type task = {"task",        "int",       run_task,      NULL, sizeof(int),
                                  _Alignof(int), sizeof(int), _Alignof(int), 1,    0};

/* A task that submits another to its own pool, and waits for it. */
static void
run_nested(const void *args, void *result, void *context)
{
    int value;
    void *before = cf__current;
    cf__current = context;
    cf_future *inner = cf_submit_bytes(pool, &task, args, NULL);
    model_check(cf_future_get(inner, &value, sizeof value, CF_FOREVER) == CF_OK);
    cf_future_release(inner);
    memcpy(result, &value, sizeof value);
    cf__current = before;
}
static const cf_task_type nested = {"nested",      "int",       run_nested,    NULL, sizeof(int),
                                    _Alignof(int), sizeof(int), _Alignof(int), 1,    0};

static void
fail_on_start(void *context)
{
    (void)context;
    ((cf__task_context *)cf__current)->failed = true;
}

static void
setup_options(cf_pool_opts options)
{
    model_thread_local(&cf__current, sizeof cf__current);
    ran = outcomes = 0;
    options.struct_size = sizeof options;
    pool = cf_thread_pool_with(&options);
    model_check(cf_executor_error(pool) == CF_OK);
    ((cf__thread_pool *)pool)->spin = false;
}
static void
setup_1(void)
{
    setup_options((cf_pool_opts){.max_workers = 1});
}
static void
setup_2(void)
{
    setup_options((cf_pool_opts){.max_workers = 2});
}
static void
setup_bounded(void)
{
    setup_options((cf_pool_opts){.max_workers = 1, .max_pending = 1});
}
static void
setup_broken(void)
{
    setup_options((cf_pool_opts){.max_workers = 1, .on_start = fail_on_start});
}

static void
submit_type(const cf_task_type *type)
{
    int six = 6, value = 0;
    cf_future *future = cf_submit_bytes(pool, type, &six, NULL);
    cf_err error = cf_future_get(future, &value, sizeof value, CF_FOREVER);
    model_check((error == CF_OK && value == 7) || error == CF_ERR_SHUTDOWN || error == CF_ERR_CANCELLED ||
                error == CF_ERR_SYSTEM || error == CF_ERR_NOMEM || error == CF_ERR_BROKEN);
    (void)cf__fetch_add_relaxed(&outcomes, 1u);
    cf_future_release(future);
}
static void
submit(void *arg)
{
    (void)arg;
    submit_type(&task);
}
static void
submit_nested(void *arg)
{
    (void)arg;
    submit_type(&nested);
}
static void
submit_two(void *arg)
{
    int six = 6, value;
    (void)arg;
    cf_future *first = cf_submit_bytes(pool, &task, &six, NULL), *second = cf_submit_bytes(pool, &task, &six, NULL);
    model_check(cf_future_get(second, &value, sizeof value, CF_FOREVER) == CF_OK && value == 7);
    model_check(cf_future_get(first, &value, sizeof value, CF_FOREVER) == CF_OK && value == 7);
    cf_future_release(first);
    cf_future_release(second);
}
static void
submit_and_cancel(void *arg)
{
    int six = 6;
    (void)arg;
    cf_future *future = cf_submit_bytes(pool, &task, &six, NULL);
    bool cancelled = cf_future_cancel(future);
    cf_err error = cf_future_wait(future, CF_FOREVER);
    model_check(cancelled ? error == CF_ERR_CANCELLED : error == CF_OK);
    cf_future_release(future);
}
static void
submit_and_forget(void *arg)
{
    int six = 6;
    (void)arg;
    cf_future_release(cf_submit_bytes(pool, &task, &six, NULL));
}
/* The callback comes with the only reference that is left, the pool's. */
static void
count_outcome(cf_future *future, void *context)
{
    (void)context;
    model_check(cf_future_error(future) == CF_OK);
    (void)cf__fetch_add_relaxed(&outcomes, 1u);
}
static void
submit_call_back_and_forget(void *arg)
{
    int six = 6;
    (void)arg;
    cf_future *future = cf_submit_bytes(pool, &task, &six, NULL);
    model_check(cf_future_add_done_callback(future, count_outcome, NULL) == CF_OK);
    cf_future_release(future);
}
static void
submit_cancel_and_forget(void *arg)
{
    int six = 6;
    (void)arg;
    cf_future *future = cf_submit_bytes(pool, &task, &six, NULL);
    if (cf_future_cancel(future))
        (void)cf__fetch_add_relaxed(&outcomes, 1u);
    cf_future_release(future);
}
static void
submit_until(void *arg)
{
    int six = 6;
    (void)arg;
    cf_submit_opts options = {.struct_size = sizeof options, .deadline = model_deadline(1)};
    cf_future *future = cf_submit_bytes(pool, &task, &six, &options);
    cf_err error = cf_future_wait(future, CF_FOREVER);
    model_check(error == CF_OK || (error == CF_ERR_FULL && cf_passed(options.deadline)));
    cf_future_release(future);
}
static void
shut_down(void *arg) /* arg: the mode */
{
    cf_shutdown_report report;
    model_check(cf_executor_shutdown(pool, *(cf_shutdown_mode *)arg, CF_FOREVER, &report) == CF_OK && report.left == 0);
}
static void
shut_down_until(void *arg)
{
    cf_shutdown_report report;
    cf_err error = cf_executor_shutdown(pool, *(cf_shutdown_mode *)arg, model_deadline(1), &report);
    model_check(error == CF_OK || (error == CF_ERR_TIMEOUT && report.left > 0 && cf_passed(model_deadline(1))));
}

static void
close_pool(void)
{
    cf_executor_close(pool);
}
static void
close_ran_1(void)
{
    close_pool();
    model_check(ran == 1);
}
static void
close_ran_2(void)
{
    close_pool();
    model_check(ran == 2);
}
static void
close_called_1(void)
{
    close_ran_1();
    model_check(outcomes == 1);
}
static void
close_ran_or_cancelled_1(void)
{
    close_pool();
    model_check(ran + outcomes == 1);
}
static void
close_outcomes_2(void)
{
    close_pool();
    model_check(outcomes == 2);
}

static void
close_outcomes_3(void)
{
    close_pool();
    model_check(outcomes == 3);
}

static cf_shutdown_mode drain = CF_DRAIN, cancel_pending = CF_CANCEL_PENDING, kill_all = CF_KILL;

static const model_scenario scenarios[] = {
    {.name = "pool_one_task",
     .setup = setup_1,
     .threads = {{"submit", submit, NULL}},
     .check = close_ran_1,
     .preemptions = 3},
    {.name = "pool_two_tasks", .setup = setup_1, .threads = {{"submit", submit_two, NULL}}, .check = close_ran_2},
    {.name = "pool_two_tasks_two_workers",
     .setup = setup_2,
     .threads = {{"submit", submit_two, NULL}},
     .check = close_ran_2,
     .spurious = MODEL_NONE,
     .preemptions = 1},
    {.name = "pool_two_submitters",
     .setup = setup_1,
     .threads = {{"submit", submit, NULL}, {"submit2", submit, NULL}},
     .check = close_ran_2,
     .spurious = MODEL_NONE,
     .preemptions = 1},
    {.name = "pool_forgotten_task",
     .setup = setup_1,
     .threads = {{"submit", submit_and_forget, NULL}},
     .check = close_ran_1,
     .preemptions = 3},
    {.name = "pool_callback_of_a_forgotten_task",
     .setup = setup_1,
     .threads = {{"submit", submit_call_back_and_forget, NULL}},
     .check = close_called_1,
     .preemptions = 1},
    {.name = "pool_cancelled_and_forgotten",
     .setup = setup_1,
     .threads = {{"submit", submit_cancel_and_forget, NULL}},
     .check = close_ran_or_cancelled_1,
     .preemptions = 3},
    {.name = "pool_cancel",
     .setup = setup_1,
     .threads = {{"submit", submit_and_cancel, NULL}},
     .check = close_pool,
     .preemptions = 3},
    {.name = "pool_nested", .setup = setup_1, .threads = {{"submit", submit_nested, NULL}}, .check = close_ran_1},
    {.name = "pool_nested_two_workers",
     .setup = setup_2,
     .threads = {{"submit", submit_nested, NULL}},
     .check = close_ran_1,
     .spurious = MODEL_NONE},
    {.name = "pool_nested_full",
     .setup = setup_bounded,
     .threads = {{"submit", submit_nested, NULL}},
     .check = close_ran_1},
    {.name = "pool_full",
     .setup = setup_bounded,
     .threads = {{"submit", submit, NULL}, {"submit2", submit, NULL}},
     .check = close_ran_2,
     .spurious = MODEL_NONE,
     .preemptions = 1},
    {.name = "pool_full_deadline",
     .setup = setup_bounded,
     .threads = {{"submit", submit_and_forget, NULL}, {"until", submit_until, NULL}},
     .check = close_pool,
     .spurious = MODEL_NONE,
     .preemptions = 1},
    {.name = "pool_drain_and_submit",
     .setup = setup_1,
     .threads = {{"submit", submit, NULL}, {"shutdown", shut_down, &drain}},
     .check = close_pool,
     .spurious = MODEL_NONE},
    {.name = "pool_cancel_pending_and_submit",
     .setup = setup_1,
     .threads = {{"submit", submit, NULL}, {"shutdown", shut_down, &cancel_pending}},
     .check = close_pool},
    {.name = "pool_kill_and_submit",
     .setup = setup_1,
     .threads = {{"submit", submit, NULL}, {"shutdown", shut_down, &kill_all}},
     .check = close_pool,
     .spurious = MODEL_NONE},
    {.name = "pool_shutdown_deadline",
     .setup = setup_1,
     .threads = {{"submit", submit, NULL}, {"shutdown", shut_down_until, &drain}},
     .check = close_pool,
     .spurious = MODEL_NONE},
    {.name = "pool_two_shutdowns",
     .setup = setup_1,
     .threads = {{"submit", submit_and_forget, NULL},
                 {"drain", shut_down, &drain},
                 {"cancel", shut_down, &cancel_pending}},
     .check = close_pool,
     .spurious = MODEL_NONE,
     .preemptions = 1},
    {.name = "pool_full_and_shutdown",
     .setup = setup_bounded,
     .threads = {{"submit", submit, NULL}, {"submit2", submit, NULL}, {"shutdown", shut_down, &cancel_pending}},
     .check = close_outcomes_2,
     .spurious = MODEL_NONE,
     .stale_reads = MODEL_NONE,
     .preemptions = 1},
    {.name = "pool_full_and_drain", /* two wait for room: the one task that ends makes room for one of them */
     .setup = setup_bounded,
     .threads = {{"submit", submit, NULL},
                 {"submit2", submit, NULL},
                 {"submit3", submit, NULL},
                 {"shutdown", shut_down, &drain}},
     .check = close_outcomes_3,
     .spurious = MODEL_NONE,
     .stale_reads = MODEL_NONE,
     .preemptions = MODEL_NONE},
    {.name = "pool_nothing_works",
     .setup = setup_1,
     .threads = {{"submit", submit, NULL}, {"submit2", submit, NULL}},
     .check = close_outcomes_2,
     .faults = 2,
     .spurious = MODEL_NONE,
     .preemptions = 1},
    {.name = "pool_start_fails",
     .setup = setup_broken,
     .threads = {{"submit", submit, NULL}, {"submit2", submit, NULL}},
     .check = close_outcomes_2,
     .spurious = MODEL_NONE},
    {.name = "pool_random",
     .setup = setup_2,
     .threads = {{"submit", submit_two, NULL}, {"nested", submit_nested, NULL}, {"cancel", submit_and_cancel, NULL}},
     .check = close_pool,
     .preemptions = 10,
     .stale_reads = 4,
     .random = 50000,
     .seconds = 8},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
