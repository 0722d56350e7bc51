/* tests/model/model_inline.c - the inline executor's shutdown (inline_executor.h) against submits, under every schedule.
 * SPDX-License-Identifier: MIT */
#include "model.h"

#include "cfutures/inline_executor.h"

static cf_executor *pool;
static uint32_t inside;                   /* tasks that run now */
static uint32_t over;                     /* a shutdown has returned CF_OK: nothing runs any more, nor will */
static uint32_t ran;                      /* tasks run */
static uint32_t good, cancelled, refused; /* submits, as their callers saw them end */
static uint32_t finished, withdrawn;      /* of all shutdowns' reports together */

static void
run_task(const void *args, void *result, void *context)
{
    void *before = cf__current;
    (void)args;
    (void)result;
    cf__current = context;
    model_check(cf__load_relaxed(&over) == 0);
    (void)cf__fetch_add_relaxed(&inside, 1u);
    (void)cf__fetch_add_relaxed(&ran, 1u);
    (void)cf__fetch_sub_relaxed(&inside, 1u);
    cf__current = before;
}
static const cf_task_type task = {"task", "void", run_task, NULL, 0, 1, 0, 1, 0, 0, NULL};

static void
setup(void)
{
    model_thread_local(&cf__current, sizeof cf__current);
    inside = over = ran = good = cancelled = refused = finished = withdrawn = 0;
    pool = cf_inline_executor();
    model_check(cf_executor_error(pool) == CF_OK);
}

static void
submit(void *arg)
{
    (void)arg;
    cf_future *future = cf_submit_bytes(pool, &task, NULL, NULL);
    cf_err error = cf_future_wait(future, CF_NOW);
    model_check(error == CF_OK || error == CF_ERR_CANCELLED || error == CF_ERR_SHUTDOWN);
    (void)cf__fetch_add_relaxed(error == CF_OK ? &good : error == CF_ERR_CANCELLED ? &cancelled : &refused, 1u);
    cf_future_release(future);
}

static void
add_report(const cf_shutdown_report *report)
{
    model_check(report->killed == 0);
    (void)cf__fetch_add_relaxed(&finished, (uint32_t)report->finished);
    (void)cf__fetch_add_relaxed(&withdrawn, (uint32_t)report->cancelled);
}
static cf_shutdown_mode drain = CF_DRAIN, kill_all = CF_KILL;
static void
note_end(void)
{
    model_check(cf__load_relaxed(&inside) == 0 && ((cf__inline_executor *)pool)->runs == NULL);
    cf__store_relaxed(&over, 1u);
}
static void
shut_down(void *arg) /* arg: the mode */
{
    cf_shutdown_report report;
    model_check(cf_executor_shutdown(pool, *(cf_shutdown_mode *)arg, CF_FOREVER, &report) == CF_OK && report.left == 0);
    note_end();
    add_report(&report);
}
/* May give up at its deadline, with one left, or one that was cancelled and hasn't yet returned; then it's called again. */
static void
shut_down_until(void *arg)
{
    cf_shutdown_report report;
    cf_err error = cf_executor_shutdown(pool, *(cf_shutdown_mode *)arg, model_deadline(1), &report);
    model_check(error == CF_OK ? report.left == 0
                               : error == CF_ERR_TIMEOUT && report.left <= 1 && cf_passed(model_deadline(1)));
    add_report(&report);
    if (error != CF_OK)
        shut_down(arg);
    else
        note_end();
}

/* Each submit ended one way, and the reports of so many shutdowns, which may have waited for the same, say so too, but for what
 * had ended before. */
static void
check(uint32_t submits, uint32_t shutdowns)
{
    model_check(good + cancelled + refused == submits && ran == good);
    model_check(withdrawn == cancelled && finished <= shutdowns * good);
    cf_executor_close(pool);
}
static void
check_1(void)
{
    check(1, 1);
}
static void
check_2(void)
{
    check(2, 1);
}
static void
check_both(void)
{
    check(1, 2);
}
static void
check_drained(void)
{
    model_check(cancelled == 0);
    check_2();
}

static const model_scenario scenarios[] = {
    {.name = "inline_kill",
     .setup = setup,
     .threads = {{"submit", submit, NULL}, {"shutdown", shut_down, &kill_all}},
     .check = check_1},
    {.name = "inline_kill_two",
     .setup = setup,
     .threads = {{"submit", submit, NULL}, {"submit2", submit, NULL}, {"shutdown", shut_down, &kill_all}},
     .check = check_2,
     .spurious = MODEL_NONE},
    {.name = "inline_drain",
     .setup = setup,
     .threads = {{"submit", submit, NULL}, {"submit2", submit, NULL}, {"shutdown", shut_down, &drain}},
     .check = check_drained,
     .spurious = MODEL_NONE},
    {.name = "inline_deadline",
     .setup = setup,
     .threads = {{"submit", submit, NULL}, {"shutdown", shut_down_until, &kill_all}},
     .check = check_1},
    {.name = "inline_two_shutdowns",
     .setup = setup,
     .threads = {{"submit", submit, NULL}, {"kill", shut_down, &kill_all}, {"drain", shut_down, &drain}},
     .check = check_both,
     .spurious = MODEL_NONE},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
