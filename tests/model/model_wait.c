/* tests/model/model_wait.c - the wait sets of wait.h under every schedule: completions that meet adding, waiting, freeing.
 * SPDX-License-Identifier: MIT */
#include "model.h"

#include "cfutures/promise.h"
#include "cfutures/wait.h"

static cf_future *futures[2];          /* the setup's references; check gives them back */
static cf_wait_set *set;               /* freed by check, unless a thread has */
static uint32_t taken[2], empty, late; /* what cf_wait_set_next() returned, how often */

static void
setup_futures(void)
{
    model_thread_local(&cf__current, sizeof cf__current);
    taken[0] = taken[1] = empty = late = 0;
    set = NULL;
    futures[0] = cf_future_new(sizeof(int));
    futures[1] = cf_future_new(sizeof(int));
}
static void
setup_set(void)
{
    setup_futures();
    set = cf_wait_set_new();
    for (size_t i = 0; i < 2; i++)
        model_check(cf_wait_set_add(set, futures[i], &taken[i]) == CF_OK);
}
static void
setup_set_of_one(void)
{
    setup_futures();
    set = cf_wait_set_new();
    model_check(cf_wait_set_add(set, futures[0], &taken[0]) == CF_OK);
}
static void
setup_empty_set(void)
{
    setup_futures();
    set = cf_wait_set_new();
}

static cf_wait_set *other_set;
static uint32_t called[2], calls; /* the callbacks: which call it was, from 1; 0: none yet */
static void
setup_two_sets(void) /* of the first future */
{
    setup_set_of_one();
    other_set = cf_wait_set_new();
    model_check(cf_wait_set_add(other_set, futures[0], NULL) == CF_OK);
}
static void
note_call(cf_future *future, void *context)
{
    uint32_t *which = context;
    model_check(future == futures[0] && cf_future_error(future) == CF_OK && *which == 0);
    *which = cf__fetch_add_relaxed(&calls, 1u) + 1;
}
static void
setup_between_callbacks(void) /* the set's entry is between two callbacks */
{
    called[0] = called[1] = calls = 0;
    setup_futures();
    set = cf_wait_set_new();
    model_check(cf_future_add_done_callback(futures[0], note_call, &called[0]) == CF_OK);
    model_check(cf_wait_set_add(set, futures[0], &taken[0]) == CF_OK);
    model_check(cf_future_add_done_callback(futures[0], note_call, &called[1]) == CF_OK);
}
static void
setup_callback_and_set(void)
{
    called[0] = called[1] = calls = 0;
    setup_set_of_one();
    model_check(cf_future_add_done_callback(futures[0], note_call, &called[0]) == CF_OK);
}
static void
setup_callback(void)
{
    called[0] = called[1] = calls = 0;
    setup_futures();
    set = cf_wait_set_new();
    model_check(cf_future_add_done_callback(futures[0], note_call, &called[0]) == CF_OK);
}

static size_t zero = 0, one = 1;

/* ---- callers; the argument of some is the index of a future ---- */

static void
settle(void *arg)
{
    int value = 7;
    cf_err error = cf_future_set_result(futures[*(size_t *)arg], &value, sizeof value);
    model_check(error == CF_OK);
}
static void
fail(void *arg)
{
    cf_err error = cf_future_set_error(futures[*(size_t *)arg], CF_ERR_FAILED, 1, "because");
    model_check(error == CF_OK);
}
static void
next_until(cf_time deadline)
{
    cf_future *future = NULL;
    void *tag = NULL;
    cf_err error = cf_wait_set_next(set, &future, &tag, deadline);
    if (error == CF_OK) {
        size_t i = tag == &taken[1];
        model_check(future == futures[i] && cf_future_error(future) == CF_OK);
        (void)cf__fetch_add_relaxed(&taken[i], 1u);
    } else if (error == CF_ERR_EMPTY) {
        (void)cf__fetch_add_relaxed(&empty, 1u);
    } else {
        model_check(error == CF_ERR_TIMEOUT && cf_passed(deadline));
        (void)cf__fetch_add_relaxed(&late, 1u);
    }
}
static void
next(void *arg)
{
    (void)arg;
    next_until(CF_FOREVER);
}
static void
next_deadline(void *arg)
{
    (void)arg;
    next_until(model_deadline(1));
}
static void
next_twice_then_free(void *arg)
{
    (void)arg;
    next_until(CF_FOREVER);
    next_until(CF_FOREVER);
    cf_wait_set_free(set);
    set = NULL;
}
static void
next_then_free(void *arg)
{
    (void)arg;
    next_until(CF_FOREVER);
    cf_wait_set_free(set);
    set = NULL;
}
static void
add_then_next(void *arg)
{
    size_t i = *(size_t *)arg;
    cf_err error = cf_wait_set_add(set, futures[i], &taken[i]);
    model_check(error == CF_OK || error == CF_ERR_NOMEM);
    if (error == CF_OK)
        next_until(CF_FOREVER);
    else
        model_check(cf_wait_set_size(set) == 0);
}
static void
free_set(void *arg)
{
    (void)arg;
    cf_wait_set_free(set);
    set = NULL;
}
static void
free_other_set(void *arg)
{
    (void)arg;
    cf_wait_set_free(other_set);
}
static void
add_then_free(void *arg)
{
    cf_err error = cf_wait_set_add(set, futures[0], &taken[0]);
    model_check(error == CF_OK || error == CF_ERR_NOMEM);
    free_set(arg);
}
static void
add_to_other_then_free(void *arg)
{
    other_set = cf_wait_set_new();
    cf_err error = cf_wait_set_add(other_set, futures[0], NULL);
    model_check(error == CF_OK);
    free_other_set(arg);
}
static void
add_callback(void *arg)
{
    (void)arg;
    model_check(cf_future_add_done_callback(futures[0], note_call, &called[1]) == CF_OK);
}
static void
wait_all(void *arg)
{
    (void)arg;
    model_check(cf_wait(futures, 2, CF_ALL_COMPLETED, CF_FOREVER) == CF_OK);
    model_check(cf_future_done(futures[0]) && cf_future_done(futures[1]));
}
static int written; /* by a task, beside its result */
static void
write_and_settle(void *arg)
{
    cf__data_write(&written, sizeof written);
    written = 1;
    settle(arg);
}
static void
wait_all_then_read(void *arg) /* what the tasks did happens before the return */
{
    (void)arg;
    model_check(cf_wait(futures, 1, CF_ALL_COMPLETED, CF_FOREVER) == CF_OK);
    cf__data_read(&written, sizeof written);
    model_check(written == 1);
}
static void
wait_first(void *arg)
{
    (void)arg;
    cf_err error = cf_wait(futures, 2, CF_FIRST_COMPLETED, CF_FOREVER);
    model_check(error == CF_ERR_NOMEM ||
                (error == CF_OK && (cf_future_done(futures[0]) || cf_future_done(futures[1]))));
}
static void
wait_first_failed(void *arg)
{
    (void)arg;
    model_check(cf_wait(futures, 2, CF_FIRST_FAILED, CF_FOREVER) == CF_OK);
    model_check(cf_future_error(futures[0]) == CF_ERR_FAILED ||
                (cf_future_done(futures[0]) && cf_future_done(futures[1])));
}
static void
wait_first_deadline(void *arg)
{
    (void)arg;
    cf_err error = cf_wait(futures, 2, CF_FIRST_COMPLETED, model_deadline(1));
    model_check(error == CF_OK || (error == CF_ERR_TIMEOUT && cf_passed(model_deadline(1))));
}
static void
as_completed(void *arg)
{
    size_t seen = 0;
    (void)arg;
    CF_AS_COMPLETED (i, futures, 2, CF_FOREVER) {
        model_check(cf_future_error(futures[i]) == CF_OK);
        seen += 1 + i;
    }
    model_check(seen == 3);
}
static void
as_completed_break(void *arg)
{
    (void)arg;
    CF_AS_COMPLETED (i, futures, 2, CF_FOREVER) {
        model_check(cf_future_error(futures[i]) == CF_OK);
        break;
    }
}

/* ---- ends ---- */

static void
release(void)
{
    cf_wait_set_free(set);
    set = NULL;
    cf_future_release(futures[0]);
    cf_future_release(futures[1]);
}
static void
check_both(void)
{
    model_check(taken[0] == 1 && taken[1] == 1 && empty == 0);
    release();
}
static void
check_one_of_two(void) /* one future, two who wait: one gets it, the other learns that there is none */
{
    model_check(taken[0] == 1 && empty == 1);
    release();
}
static void
check_late(void)
{
    model_check(taken[0] + late + empty == 2 && taken[0] <= 1);
    release();
}

static void
check_nothing_left(void) /* on futures that nobody has settled */
{
    for (size_t i = 0; i < 2; i++) {
        cf__callback_line *line = cf__callbacks_line(cf__load_relaxed(&futures[i]->callbacks));
        model_check(line == NULL || (line->first == NULL && line->last == NULL));
    }
    release();
}
static void
check_called_in_order(void)
{
    model_check(called[0] == 1 && called[1] == 2);
    release();
}
static void
check_called(void)
{
    model_check(called[0] != 0 && called[1] != 0 && calls == 2);
    release();
}
static void
check_called_first(void)
{
    model_check(called[0] == 1 && calls == 1);
    release();
}

#define SETTLERS                                                                                                       \
    {"settle", settle, &zero},                                                                                         \
    {                                                                                                                  \
        "settle2", settle, &one                                                                                        \
    }
static const model_scenario scenarios[] = {
    {.name = "wait_set",
     .setup = setup_set,
     .threads = {SETTLERS, {"next", next_twice_then_free, NULL}},
     .check = check_both,
     .spurious = MODEL_NONE},
    {.name = "wait_set_two_getters",
     .setup = setup_set,
     .threads = {SETTLERS, {"next", next, NULL}, {"next2", next, NULL}},
     .check = check_both,
     .spurious = MODEL_NONE},
    {.name = "wait_set_one_for_two",
     .setup = setup_set_of_one,
     .threads = {{"settle", settle, &zero}, {"next", next, NULL}, {"next2", next, NULL}},
     .check = check_one_of_two,
     .spurious = MODEL_NONE},
    {.name = "wait_set_deadline",
     .setup = setup_set_of_one,
     .threads = {{"settle", settle, &zero}, {"next", next, NULL}, {"until", next_deadline, NULL}},
     .check = check_late,
     .spurious = MODEL_NONE},
    {.name = "wait_set_free_after_next",
     .setup = setup_set_of_one,
     .threads = {{"settle", settle, &zero}, {"next", next_then_free, NULL}},
     .check = release,
     .preemptions = 3},
    {.name = "wait_set_free_and_settle",
     .setup = setup_set,
     .threads = {SETTLERS, {"free", free_set, NULL}},
     .check = release,
     .stale_reads = MODEL_NONE},
    {.name = "wait_set_add_and_settle",
     .setup = setup_empty_set,
     .threads = {{"settle", settle, &zero}, {"add", add_then_next, &zero}},
     .check = release,
     .preemptions = 3,
     .faults = 1},
    {.name = "wait_set_never_settled",
     .setup = setup_set,
     .threads = {{"free", free_set, NULL}},
     .check = check_nothing_left},
    {.name = "wait_two_sets_freed",
     .setup = setup_two_sets,
     .threads = {{"free", free_set, NULL}, {"free2", free_other_set, NULL}},
     .check = check_nothing_left,
     .preemptions = 3},
    {.name = "wait_two_sets_freed_and_settle",
     .setup = setup_two_sets,
     .threads = {{"settle", settle, &zero}, {"free", free_set, NULL}, {"free2", free_other_set, NULL}},
     .check = release,
     .spurious = MODEL_NONE},
    {.name = "wait_two_sets_added",
     .setup = setup_empty_set,
     .threads = {{"add", add_then_free, NULL}, {"add2", add_to_other_then_free, NULL}},
     .check = check_nothing_left,
     .preemptions = 3},
    {.name = "wait_set_free_between_callbacks",
     .setup = setup_between_callbacks,
     .threads = {{"settle", settle, &zero}, {"free", free_set, NULL}},
     .check = check_called_in_order,
     .preemptions = 3},
    {.name = "wait_set_callback_and_settle",
     .setup = setup_callback_and_set,
     .threads = {{"settle", settle, &zero}, {"callback", add_callback, NULL}},
     .check = check_called,
     .preemptions = 3,
     .stale_reads = 2},
    {.name = "wait_set_add_after_callback",
     .setup = setup_callback,
     .threads = {{"settle", settle, &zero}, {"add", add_then_free, NULL}},
     .check = check_called_first,
     .preemptions = 3,
     .faults = 1},
    {.name = "wait_set_add_beside_callback",
     .setup = setup_callback,
     .threads = {{"settle", settle, &zero}, {"add", add_then_free, NULL}, {"callback", add_callback, NULL}},
     .check = check_called,
     .spurious = MODEL_NONE},
    {.name = "wait_all",
     .setup = setup_futures,
     .threads = {SETTLERS, {"wait", wait_all, NULL}},
     .check = release,
     .spurious = MODEL_NONE},
    {.name = "wait_all_publishes",
     .setup = setup_futures,
     .threads = {{"settle", write_and_settle, &zero}, {"wait", wait_all_then_read, NULL}},
     .check = release,
     .preemptions = 3},
    {.name = "wait_first",
     .setup = setup_futures,
     .threads = {SETTLERS, {"wait", wait_first, NULL}},
     .check = release,
     .spurious = MODEL_NONE,
     .faults = 1},
    {.name = "wait_first_failed",
     .setup = setup_futures,
     .threads = {{"fail", fail, &zero}, {"settle", settle, &one}, {"wait", wait_first_failed, NULL}},
     .check = release,
     .spurious = MODEL_NONE},
    {.name = "wait_first_deadline",
     .setup = setup_futures,
     .threads = {{"settle", settle, &zero}, {"wait", wait_first_deadline, NULL}},
     .check = release,
     .spurious = MODEL_NONE},
    {.name = "wait_as_completed",
     .setup = setup_futures,
     .threads = {SETTLERS, {"wait", as_completed, NULL}},
     .check = release,
     .spurious = MODEL_NONE},
    {.name = "wait_as_completed_break",
     .setup = setup_futures,
     .threads = {SETTLERS, {"wait", as_completed_break, NULL}},
     .check = release,
     .spurious = MODEL_NONE},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
