/* tests/model/model_future.c - the future of future.h under every schedule: who settles, who waits, who calls back, who frees.
 * SPDX-License-Identifier: MIT */
#include "model.h"

#include "cfutures/promise.h"

static cf_future *future;  /* the setup's reference; each thread that takes one gives it back */
static uint32_t called[2]; /* callbacks: how often each */
static uint32_t won;       /* calls that say that they decided the outcome */
static uint32_t ran;       /* how often the task ran */

static void
run_task(const void *args, void *result, void *context)
{
    int value;
    cf__task_context *before = cf__task_current();
    cf__current = context;
    memcpy(&value, args, sizeof value);
    (void)cf__fetch_add_relaxed(&ran, 1u);
    value++;
    memcpy(result, &value, sizeof value);
    cf__current = before;
}
static const cf_task_type task = {"task",        "int",       run_task,      NULL, sizeof(int),
                                  _Alignof(int), sizeof(int), _Alignof(int), 1,    0};

static void
setup(void)
{
    model_thread_local(&cf__current, sizeof cf__current);
    called[0] = called[1] = won = ran = 0;
}
/* `references` in all, for the threads. */
static void
setup_promise(uint32_t references)
{
    setup();
    future = cf_future_new(sizeof(int));
    while (--references > 0)
        (void)cf_future_retain(future);
}
static void
setup_promise_1(void)
{
    setup_promise(1);
}
static void
setup_promise_2(void)
{
    setup_promise(2);
}
static void
setup_promise_3(void)
{
    setup_promise(3);
}
static const char *const executor = "executor";
static void
setup_task(uint32_t references, const void *runner)
{
    int six = 6;
    setup();
    future = cf__future_new_task(&task, &six, runner, cf__os_pid(), NULL);
    while (--references > 0)
        (void)cf_future_retain(future);
}
static void
setup_task_2(void)
{
    setup_task(2, NULL);
}
static void
setup_task_3(void)
{
    setup_task(3, NULL);
}
static void
setup_own_task_3(void)
{
    setup_task(3, executor);
}

/* ---- callers; each gives its reference back ---- */

static void
set_result(void *arg)
{
    int value = 7;
    (void)arg;
    cf_err error = cf_future_set_result(future, &value, sizeof value);
    model_check(error == CF_OK || error == CF_ERR_INVALID);
    if (error == CF_OK)
        (void)cf__fetch_add_relaxed(&won, 1u);
    cf_future_release(future);
}
static void
set_error(void *arg)
{
    (void)arg;
    cf_err error = cf_future_set_error(future, CF_ERR_FAILED, 3, "because");
    model_check(error == CF_OK || error == CF_ERR_INVALID);
    if (error == CF_OK)
        (void)cf__fetch_add_relaxed(&won, 1u);
    cf_future_release(future);
}
static void
cancel(void *arg)
{
    (void)arg;
    if (cf_future_cancel(future)) {
        model_check(cf_future_cancelled(future) && cf_future_wait(future, CF_NOW) == CF_ERR_CANCELLED);
        (void)cf__fetch_add_relaxed(&won, 1u);
    }
    cf_future_release(future);
}
static void
run(void *arg)
{
    (void)arg;
    (void)cf_future_run(future);
    model_check(cf_future_done(future));
    cf_future_release(future);
}
static void
run_beside_settler(void *arg)
{
    (void)arg;
    (void)cf_future_run(future);
    cf_future_release(future);
}
static void
look(void)
{
    int value = 0;
    cf_err error = cf_future_get(future, &value, sizeof value, CF_FOREVER);
    model_check(error == CF_OK || error == CF_ERR_FAILED || error == CF_ERR_CANCELLED);
    if (error == CF_OK) {
        const int *inside = cf_future_peek(future);
        model_check(value == 7 && inside != NULL && *inside == 7 && cf_future_code(future) == 0);
    }
    if (error == CF_ERR_FAILED) { /* without memory for the message there is the error's own text */
        const char *message = cf_future_message(future);
        model_check(cf_future_code(future) == 3);
        model_check(strcmp(message, "because") == 0 || message == cf_strerror(CF_ERR_FAILED));
    }
    model_check(cf_future_done(future) && cf_future_error(future) == error);
}
static void
wait_future(void *arg) /* as wait() is taken */
{
    (void)arg;
    look();
    cf_future_release(future);
}
static void
wait_until(void *arg)
{
    (void)arg;
    cf_err error = cf_future_wait(future, model_deadline(1));
    model_check(error == CF_OK || (error == CF_ERR_TIMEOUT && cf_passed(model_deadline(1))));
    cf_future_release(future);
}
static void
wait_until_then_for_ever(void *arg)
{
    (void)arg;
    cf_err error = cf_future_wait(future, model_deadline(1));
    model_check(error == CF_OK || error == CF_ERR_TIMEOUT);
    look();
    cf_future_release(future);
}
static void
wait_in_worker(void *arg) /* of the executor that has the task queued: runs it */
{
    cf__task_context context;
    (void)arg;
    cf__task_context_init(&context, NULL, 0);
    context.executor = executor;
    cf__current = &context;
    look();
    model_check(cf__current == &context);
    cf_future_release(future);
}
static void
callback(cf_future *settled, void *context)
{
    uint32_t i = context != NULL;
    model_check(settled == future && cf_future_done(settled));
    cf_err error = cf_future_wait(settled, CF_NOW);
    model_check(error == CF_OK || error == CF_ERR_FAILED || error == CF_ERR_CANCELLED);
    (void)cf__fetch_add_relaxed(&called[i], 1u);
}
static void
add_callback(void *arg) /* arg: the second one */
{
    cf_err error = cf_future_add_done_callback(future, callback, arg);
    model_check(error == CF_OK);
    cf_future_release(future);
}
static void
add_both(void *arg)
{
    (void)arg;
    model_check(cf_future_add_done_callback(future, callback, NULL) == CF_OK);
    model_check(cf_future_add_done_callback(future, callback, called) == CF_OK);
    cf_future_release(future);
}
static void
add_callback_may_fail(void *arg)
{
    cf_err error = cf_future_add_done_callback(future, callback, NULL);
    (void)arg;
    model_check(error == CF_OK || error == CF_ERR_NOMEM);
    if (error == CF_ERR_NOMEM)
        (void)cf__fetch_add_relaxed(&called[0], 1u); /* as if, for the check */
    cf_future_release(future);
}
static void
release(void *arg)
{
    (void)arg;
    cf_future_release(future);
}
static void
retain_and_release(void *arg)
{
    (void)arg;
    cf_future *mine = cf_future_retain(future);
    cf_future_release(future);
    (void)cf_future_done(mine);
    cf_future_release(mine);
}

/* ---- ends ---- */

static void
check_won_once(void)
{
    model_check(won == 1);
}
static void
check_ran_once(void)
{
    model_check(ran == 1);
}
static void
check_ran_or_won(void)
{
    model_check(ran + won == 1);
}
static void
check_called(void)
{
    model_check(called[0] == 1 && called[1] == 0);
}
static void
check_called_both(void)
{
    model_check(called[0] == 1 && called[1] == 1);
}

static const model_scenario scenarios[] = {
    {.name = "future_settle_and_wait",
     .setup = setup_promise_2,
     .threads = {{"settle", set_result, NULL}, {"wait", wait_future, NULL}},
     .preemptions = 4,
     .stale_reads = 2},
    {.name = "future_fail_and_wait",
     .setup = setup_promise_2,
     .threads = {{"fail", set_error, NULL}, {"wait", wait_future, NULL}},
     .preemptions = 3,
     .faults = 1,
     .check = check_won_once},
    {.name = "future_two_waiters",
     .setup = setup_promise_3,
     .threads = {{"settle", set_result, NULL}, {"wait", wait_future, NULL}, {"wait2", wait_future, NULL}}},
    {.name = "future_wait_deadline",
     .setup = setup_promise_2,
     .threads = {{"settle", set_result, NULL}, {"wait", wait_until, NULL}},
     .preemptions = 3},
    {.name = "future_wait_again",
     .setup = setup_promise_2,
     .threads = {{"settle", set_result, NULL}, {"wait", wait_until_then_for_ever, NULL}},
     .preemptions = 3},
    {.name = "future_deadline_beside_waiter",
     .setup = setup_promise_3,
     .threads = {{"settle", set_result, NULL}, {"until", wait_until, NULL}, {"wait", wait_future, NULL}},
     .spurious = MODEL_NONE},
    {.name = "future_settle_and_settle",
     .setup = setup_promise_3,
     .threads = {{"settle", set_result, NULL}, {"fail", set_error, NULL}, {"wait", wait_future, NULL}},
     .check = check_won_once},
    {.name = "future_settle_and_cancel",
     .setup = setup_promise_3,
     .threads = {{"settle", set_result, NULL}, {"cancel", cancel, NULL}, {"wait", wait_future, NULL}},
     .check = check_won_once},
    {.name = "future_cancel_and_cancel",
     .setup = setup_promise_2,
     .threads = {{"cancel", cancel, NULL}, {"cancel2", cancel, NULL}},
     .preemptions = 3},
    {.name = "future_run_and_cancel",
     .setup = setup_task_3,
     .threads = {{"run", run, NULL}, {"cancel", cancel, NULL}, {"wait", wait_future, NULL}},
     .check = check_ran_or_won},
    {.name = "future_run_and_fail",
     .setup = setup_task_3,
     .threads = {{"run", run_beside_settler, NULL}, {"fail", set_error, NULL}, {"wait", wait_future, NULL}}},
    {.name = "future_run_and_run",
     .setup = setup_own_task_3,
     .threads = {{"wait_in_worker", wait_in_worker, NULL}, {"run", wait_in_worker, NULL}, {"wait", wait_future, NULL}},
     .check = check_ran_once,
     .preemptions = 1},
    {.name = "future_wait_runs_and_fail",
     .setup = setup_own_task_3,
     .threads = {{"wait_in_worker", wait_in_worker, NULL}, {"fail", set_error, NULL}, {"wait", wait_future, NULL}},
     .check = check_ran_or_won},
    {.name = "future_callback_and_settle",
     .setup = setup_promise_2,
     .threads = {{"settle", set_result, NULL}, {"add", add_callback, NULL}},
     .check = check_called,
     .preemptions = 4,
     .stale_reads = 2},
    {.name = "future_callbacks_and_settle",
     .setup = setup_promise_3,
     .threads = {{"settle", set_result, NULL}, {"add", add_callback, NULL}, {"add2", add_callback, called}},
     .check = check_called_both},
    {.name = "future_callbacks_of_one",
     .setup = setup_promise_2,
     .threads = {{"settle", set_result, NULL}, {"add", add_both, NULL}},
     .check = check_called_both,
     .preemptions = 3},
    {.name = "future_callback_and_cancel",
     .setup = setup_promise_2,
     .threads = {{"cancel", cancel, NULL}, {"add", add_callback, NULL}},
     .check = check_called,
     .preemptions = 3},
    {.name = "future_callback_without_memory",
     .setup = setup_promise_2,
     .threads = {{"settle", set_result, NULL}, {"add", add_callback_may_fail, NULL}},
     .check = check_called,
     .faults = 1,
     .preemptions = 3},
    {.name = "future_callback_never_called",
     .setup = setup_promise_2,
     .threads = {{"add", add_callback, NULL}, {"release", release, NULL}},
     .preemptions = 3},
    {.name = "future_last_release_and_settle",
     .setup = setup_promise_2,
     .threads = {{"settle", set_error, NULL}, {"release", release, NULL}},
     .preemptions = 4,
     .stale_reads = 2},
    {.name = "future_retain_and_release",
     .setup = setup_promise_3,
     .threads = {{"settle", set_result, NULL}, {"retain", retain_and_release, NULL}, {"release", release, NULL}}},
    {.name = "future_task_and_last_release",
     .setup = setup_task_2,
     .threads = {{"run", run, NULL}, {"release", release, NULL}},
     .preemptions = 3,
     .stale_reads = 2},
    {.name = "future_never_settled", .setup = setup_promise_1, .threads = {{"release", release, NULL}}},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
