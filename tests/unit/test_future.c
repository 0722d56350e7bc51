/* tests/unit/test_future.c - future.h
 * SPDX-License-Identifier: MIT */
#include "unit.h"

#include <cfutures/promise.h>

/* ---- helpers ---- */

/* A task by hand, as CF_TASK would describe it: doubles an int, fails below 0. */
typedef struct doubled_args {
    int n;
} doubled_args;

static unsigned doubled_calls;

static void
doubled_run(const void *args, void *result, void *context)
{
    const doubled_args *a = args;
    cf__task_context *c = context;
    doubled_calls++;
    *(int *)result = 2 * a->n;
    if (a->n < 0) {
        c->failed = true;
        c->code = -a->n;
        (void)snprintf(c->message, sizeof c->message, "below 0");
    }
}

static const cf_task_type doubled = {.name = "doubled",
                                     .result_name = "int",
                                     .run = doubled_run,
                                     .args_size = sizeof(doubled_args),
                                     .args_align = _Alignof(doubled_args),
                                     .result_size = sizeof(int),
                                     .result_align = _Alignof(int),
                                     .arity = 1};

static cf_future *
new_doubled(int n)
{
    doubled_args args = {n};
    cf_future *f = cf__future_new_task(&doubled, &args, NULL, cf__os_pid(), NULL);
    assert_non_null(f);
    return f;
}

typedef struct waiter { /* err is read after the join */
    cf_future *future;
    cf_time deadline;
    cf_err err;
} waiter;

static void *
waits(void *argument)
{
    waiter *w = argument;
    w->err = cf_future_wait(w->future, w->deadline);
    return NULL;
}

/* As cf_future_wait(), and frees the caller's reference at once. */
static void *
waits_and_releases(void *argument)
{
    waiter *w = argument;
    w->err = cf_future_wait(w->future, w->deadline);
    cf_future_release(w->future);
    return NULL;
}

static bool
somebody_waits(cf_future *f)
{
    return (cf__load_acquire(&f->state) & CF__WAITED) != 0;
}

static cf_err
set_int(cf_future *f, int value)
{
    return cf_future_set_result(f, &value, sizeof value);
}

/* What callbacks write down, in order. */
typedef struct diary {
    int entries[8];
    int count;
} diary;

typedef struct note {
    diary *in;
    int what;
} note;

static void
writes_note(cf_future *future, void *context)
{
    note *n = context;
    assert_true(cf_future_done(future)); /* in the test's own thread */
    n->in->entries[n->in->count++] = n->what;
}

static void
counts(cf_future *future, void *context)
{
    (void)future;
    count_one(context);
}

/* ---- a promise's life ---- */

/* A promise that isn't settled says so in every way it can be asked. */
static void
test_future_pending_says_so(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(sizeof(int));
    int value = 42;
    assert_false(cf_future_done(f));
    assert_false(cf_future_cancelled(f));
    assert_int_equal(cf_future_error(f), CF_ERR_TIMEOUT);
    assert_int_equal(cf_future_wait(f, CF_NOW), CF_ERR_TIMEOUT);
    assert_int_equal(cf_future_wait(f, 1), CF_ERR_TIMEOUT);
    assert_int_equal(cf_future_wait(f, cf_after_ms(1)), CF_ERR_TIMEOUT); /* nobody settles it, soon or late */
    assert_int_equal(cf_future_get(f, &value, sizeof value, 1), CF_ERR_TIMEOUT);
    assert_int_equal(value, 42);
    assert_null(cf_future_peek(f));
    assert_int_equal(cf_future_code(f), 0);
    assert_int_equal(cf_future_signal(f), 0);
    assert_int_equal(cf_future_status(f), 0);
    assert_string_equal(cf_future_message(f), "the task isn't done");
    assert_int_equal(set_int(f, 1), CF_OK); /* after a wait that gave up */
    assert_int_equal(cf_future_wait(f, CF_NOW), CF_OK);
    cf_future_release(f);
}

/* A result arrives once, and stays. */
static void
test_future_result_arrives_once(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(sizeof(int));
    int value = 0;
    assert_int_equal(set_int(f, 7), CF_OK);
    assert_int_equal(set_int(f, 8), CF_ERR_INVALID);
    assert_int_equal(cf_future_set_error(f, CF_ERR_FAILED, 1, "no"), CF_ERR_INVALID);
    assert_false(cf_future_cancel(f));
    assert_true(cf_future_done(f));
    assert_false(cf_future_cancelled(f));
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
    assert_int_equal(cf_future_error(f), CF_OK);
    assert_int_equal(cf_future_get(f, &value, sizeof value, CF_FOREVER), CF_OK);
    assert_int_equal(value, 7);
    assert_int_equal(*(const int *)cf_future_peek(f), 7);
    assert_int_equal(cf_future_code(f), 0);
    assert_string_equal(cf_future_message(f), "ok");
    cf_future_release(f);
}

/* A result of another size is refused on both sides, and waited for by neither. */
static void
test_future_other_size_is_type_error(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(sizeof(int));
    char small = 1;
    long large = 1;
    assert_int_equal(cf_future_set_result(f, &small, sizeof small), CF_ERR_TYPE);
    assert_int_equal(cf_future_set_result(f, &large, sizeof large), CF_ERR_TYPE);
    assert_int_equal(cf_future_set_result(f, NULL, 0), CF_ERR_TYPE);
    assert_false(cf_future_done(f));
    assert_int_equal(cf_future_get(f, &large, sizeof large, CF_FOREVER), CF_ERR_TYPE); /* would hang */
    assert_int_equal(set_int(f, 3), CF_OK);
    assert_int_equal(cf_future_get(f, &large, sizeof large, CF_FOREVER), CF_ERR_TYPE);
    assert_int_equal(large, 1);
    cf_future_release(f);
}

/* A promise without a result is an event. */
static void
test_future_without_result(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(0);
    assert_int_equal(cf_future_set_result(f, NULL, 0), CF_OK);
    assert_int_equal(cf_future_get(f, NULL, 0, CF_FOREVER), CF_OK);
    assert_non_null(cf_future_peek(f)); /* nothing to read there, but it's done and went well */
    cf_future_release(f);
}

/* A result's room is aligned for any type, and all of it is kept. */
static void
test_future_result_is_aligned(void **state)
{
    (void)state;
    for (size_t size = 1; size < 300; size += 13) {
        unsigned char in[300], out[300];
        cf_future *f = cf_future_new(size);
        memset(in, (int)size, sizeof in);
        assert_int_equal(cf_future_set_result(f, in, size), CF_OK);
        assert_int_equal((uintptr_t)cf_future_peek(f) % _Alignof(max_align_t), 0);
        assert_int_equal(cf_future_get(f, out, size, CF_NOW), CF_OK);
        assert_memory_equal(in, out, size);
        cf_future_release(f);
    }
}

/* An error arrives with its code and message. */
static void
test_future_error_arrives(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(sizeof(int));
    int value = 42;
    assert_int_equal(cf_future_set_error(f, CF_OK, 0, "x"), CF_ERR_INVALID);
    assert_false(cf_future_done(f));
    assert_int_equal(cf_future_set_error(f, CF_ERR_FAILED, -5, "%s %d", "number", 5), CF_OK);
    assert_int_equal(cf_future_set_error(f, CF_ERR_BROKEN, 1, "x"), CF_ERR_INVALID);
    assert_int_equal(set_int(f, 1), CF_ERR_INVALID);
    assert_false(cf_future_cancel(f));
    assert_true(cf_future_done(f));
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_FAILED);
    assert_int_equal(cf_future_get(f, &value, sizeof value, CF_FOREVER), CF_ERR_FAILED);
    assert_int_equal(value, 42);
    assert_null(cf_future_peek(f));
    assert_int_equal(cf_future_code(f), -5);
    assert_string_equal(cf_future_message(f), "number 5");
    cf_future_release(f);
}

/* A message is cut to 159 bytes; an empty one is replaced by what the error means. */
static void
test_future_message_is_cut(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(0);
    assert_int_equal(cf_future_set_error(f, CF_ERR_FAILED, 0, "%0200d", 1), CF_OK);
    assert_int_equal(strlen(cf_future_message(f)), 159);
    cf_future_release(f);
    f = cf_future_new(0);
    assert_int_equal(cf_future_set_error(f, CF_ERR_BROKEN, 0, "%s", ""), CF_OK);
    assert_string_equal(cf_future_message(f), cf_strerror(CF_ERR_BROKEN));
    cf_future_release(f);
}

/* Without memory for its message an error still arrives, and says what it means. */
static void
test_future_message_without_memory(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(0);
    fault_fail_nth("alloc", 1, ENOMEM);
    assert_int_equal(cf_future_set_error(f, CF_ERR_FAILED, 3, "lost"), CF_OK);
    assert_int_equal(cf_future_wait(f, CF_NOW), CF_ERR_FAILED);
    assert_int_equal(cf_future_code(f), 3);
    assert_string_equal(cf_future_message(f), cf_strerror(CF_ERR_FAILED));
    cf_future_release(f);
}

/* ---- cancel ---- */

/* What is pending is cancelled for everybody and for good. */
static void
test_future_cancel_pending(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(sizeof(int));
    assert_true(cf_future_cancel(f));
    assert_true(cf_future_cancel(f)); /* "the task won't run" is still so */
    assert_true(cf_future_done(f));
    assert_true(cf_future_cancelled(f));
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_CANCELLED);
    assert_int_equal(cf_future_error(f), CF_ERR_CANCELLED);
    assert_null(cf_future_peek(f));
    assert_int_equal(cf_future_code(f), 0);
    assert_string_equal(cf_future_message(f), cf_strerror(CF_ERR_CANCELLED));
    assert_false(cf_future_start(f));
    assert_int_equal(set_int(f, 1), CF_ERR_INVALID);
    assert_int_equal(cf_future_set_error(f, CF_ERR_FAILED, 1, "x"), CF_ERR_INVALID);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_CANCELLED);
    cf_future_release(f);
}

/* What runs can't be cancelled: it's asked to stop, and its result counts. */
static void
test_future_cancel_running_asks(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(sizeof(int));
    assert_true(cf_future_start(f));
    assert_false(cf_future_start(f));
    assert_false((cf__load_acquire(&f->state) & CF__STOP) != 0);
    assert_false(cf_future_cancel(f));
    assert_true((cf__load_acquire(&f->state) & CF__STOP) != 0);
    assert_false(cf_future_cancel(f));
    assert_false(cf_future_done(f));
    assert_false(cf_future_cancelled(f));
    assert_int_equal(cf_future_error(f), CF_ERR_TIMEOUT);
    assert_int_equal(set_int(f, 9), CF_OK);
    assert_int_equal(cf_future_wait(f, CF_NOW), CF_OK);
    assert_false(cf_future_cancel(f));
    cf_future_release(f);
}

/* The only one who waits for it wakes for nothing, and will sleep again. */
static void
wake_waiter_in_vain(cf_future *f)
{
#if CF__FUTEX
    wait_until(cf__unpark_all(&f->state, CF__SCOPE_PRIVATE) == 1);
#else
    wait_until(sleepers(&f->place.mutex, &f->place.sleepers) == 1);
    wake_in_vain(&f->place.mutex, &f->place.sleepers);
#endif
}

/* Asking a running task to stop doesn't make its settling forget who waits. */
static void
test_future_stop_keeps_waiters(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(sizeof(int));
    assert_true(cf_future_start(f));
    waiter w = {f, CF_FOREVER, CF__ERR_COUNT};
    pthread_t thread = start_thread(waits, &w);
    wait_until(somebody_waits(f));
    wake_waiter_in_vain(f); /* it slept, and will again */
    assert_false(cf_future_cancel(f));
    assert_int_equal(set_int(f, 1), CF_OK);
    join_thread(thread);
    assert_int_equal(w.err, CF_OK);
    cf_future_release(f);
}

/* What is being settled at this moment can't be cancelled any more. */
static void
test_future_cancel_while_settling(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(0);
    assert_true(cf__future_claim_outcome(f));
    assert_false(cf__future_claim_outcome(f));
    assert_false(cf_future_cancel(f));
    assert_false(cf_future_start(f));
    assert_int_equal(cf_future_set_result(f, NULL, 0), CF_ERR_INVALID);
    cf__future_settle(f, CF__DONE);
    assert_int_equal(cf_future_wait(f, CF_NOW), CF_OK);
    cf_future_release(f);
}

/* ---- running a task's future ---- */

/* A task runs once, and its result is the future's. */
static void
test_future_runs_task_once(void **state)
{
    (void)state;
    cf_future *f = new_doubled(21);
    int value = 0;
    doubled_calls = 0;
    assert_true(cf_future_run(f));
    assert_false(cf_future_run(f));
    assert_int_equal(doubled_calls, 1);
    assert_int_equal(cf_future_result(f, &doubled, &value, CF_NOW), CF_OK);
    assert_int_equal(value, 42);
    cf_future_release(f);
}

/* A task that fails has no result. */
static void
test_future_run_failed_task(void **state)
{
    (void)state;
    cf_future *f = new_doubled(-3);
    int value = 5;
    assert_true(cf_future_run(f));
    assert_int_equal(cf_future_result(f, &doubled, &value, CF_NOW), CF_ERR_FAILED);
    assert_int_equal(value, 5);
    assert_int_equal(cf_future_code(f), 3);
    assert_string_equal(cf_future_message(f), "below 0");
    cf_future_release(f);
}

/* A cancelled task doesn't run. */
static void
test_future_cancelled_task_doesnt_run(void **state)
{
    (void)state;
    cf_future *f = new_doubled(1);
    doubled_calls = 0;
    assert_true(cf_future_cancel(f));
    assert_false(cf_future_run(f));
    assert_int_equal(doubled_calls, 0);
    cf_future_release(f);
}

static cf_future *settled_inside;
static cf_err settled_over;

static void
settles_itself(const void *args, void *result, void *context)
{
    (void)args;
    (void)context;
    int other = 5;
    settled_over = cf_future_set_error(settled_inside, CF_ERR_BROKEN, 4, "over its head");
    if (settled_over == CF_ERR_INVALID)
        settled_over = cf_future_set_result(settled_inside, &other, sizeof other);
    memcpy(result, &(int){7}, sizeof(int));
}

/* While cf_future_run() runs a task nobody else can settle its future. */
static void
test_future_running_task_owns_outcome(void **state)
{
    (void)state;
    static const cf_task_type type = {.name = "settles_itself",
                                      .result_name = "int",
                                      .run = settles_itself,
                                      .args_size = 1,
                                      .args_align = 1,
                                      .result_size = sizeof(int),
                                      .result_align = _Alignof(int)};
    cf_future *f = cf__future_new_task(&type, "", NULL, cf__os_pid(), NULL);
    assert_non_null(f);
    settled_inside = f;
    assert_true(cf_future_run(f));
    int value = 0;
    assert_int_equal(settled_over, CF_ERR_INVALID);
    assert_int_equal(cf_future_get(f, &value, sizeof value, CF_NOW), CF_OK);
    assert_int_equal(value, 7);
    cf_future_release(f);
}

/* A result's type is checked by name and size, and nothing is waited for when it differs. */
static void
test_future_result_checks_type(void **state)
{
    (void)state;
    cf_task_type same = doubled, other_name = doubled, other_size = doubled;
    other_name.result_name = "unsigned";
    other_size.result_size = sizeof(long);
    cf_future *f = new_doubled(4);
    long value = 0;
    int result = 0;
    assert_int_equal(cf_future_result(f, &other_name, &value, CF_FOREVER), CF_ERR_TYPE); /* would hang */
    assert_int_equal(cf_future_result(f, &other_size, &value, CF_FOREVER), CF_ERR_TYPE);
    assert_true(cf_future_run(f));
    assert_int_equal(cf_future_result(f, &other_name, &value, CF_FOREVER), CF_ERR_TYPE);
    assert_int_equal(cf_future_result(f, &other_size, &value, CF_FOREVER), CF_ERR_TYPE);
    assert_int_equal(value, 0);
    assert_int_equal(cf_future_result(f, &same, &result, CF_FOREVER), CF_OK); /* another file's copy */
    assert_int_equal(result, 8);
    cf_future_release(f);

    cf_future *promise = cf_future_new(sizeof(int)); /* knows its size only */
    assert_int_equal(set_int(promise, 6), CF_OK);
    assert_int_equal(cf_future_result(promise, &other_size, &value, CF_FOREVER), CF_ERR_TYPE);
    assert_int_equal(cf_future_result(promise, &doubled, &result, CF_FOREVER), CF_OK);
    assert_int_equal(result, 6);
    cf_future_release(promise);
}

/* ---- waiting ---- */

typedef cf_err settle_by(cf_future *);

static cf_err
by_result(cf_future *f)
{
    return set_int(f, 1);
}

static cf_err
by_error(cf_future *f)
{
    return cf_future_set_error(f, CF_ERR_FAILED, 1, "x");
}

static cf_err
by_cancel(cf_future *f)
{
    return cf_future_cancel(f) ? CF_OK : CF_ERR_INVALID;
}

static cf_err
by_running(cf_future *f)
{
    return cf_future_run(f) ? CF_OK : CF_ERR_INVALID;
}

/* However a future is settled, all who sleep on it wake. */
static void
test_future_settling_wakes_all_waiters(void **state)
{
    (void)state;
    static const struct {
        settle_by *settle;
        cf_err expected;
    } rows[] = {{by_result, CF_OK}, {by_error, CF_ERR_FAILED}, {by_cancel, CF_ERR_CANCELLED}, {by_running, CF_OK}};
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        cf_future *f = new_doubled(1);
        waiter waiters[3];
        pthread_t threads[3];
        for (int i = 0; i < 3; i++) {
            waiters[i] = (waiter){f, i == 1 ? cf_after_ms(3600000) : CF_FOREVER, CF__ERR_COUNT};
            threads[i] = start_thread(waits, &waiters[i]);
        }
        wait_until(somebody_waits(f));
        assert_int_equal(rows[r].settle(f), CF_OK);
        for (int i = 0; i < 3; i++) {
            join_thread(threads[i]);
            assert_int_equal(waiters[i].err, rows[r].expected);
        }
        cf_future_release(f);
    }
}

/* A stray wake ends no wait. */
static void
test_future_stray_wake_changes_nothing(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(sizeof(int));
    waiter w = {f, CF_FOREVER, CF__ERR_COUNT};
    pthread_t thread = start_thread(waits, &w);
    for (int i = 0; i < 3; i++)
        wake_waiter_in_vain(f);
    assert_int_equal(set_int(f, 1), CF_OK);
    join_thread(thread);
    assert_int_equal(w.err, CF_OK);
    cf_future_release(f);
}

/* A waiter that is woken may free the future at once, while the settler still has its own reference. */
static void
test_future_woken_waiter_may_release(void **state)
{
    (void)state;
    for (int round = 0; round < 200; round++) {
        cf_future *f = cf_future_new(sizeof(int));
        waiter w = {cf_future_retain(f), CF_FOREVER, CF__ERR_COUNT};
        pthread_t thread = start_thread(waits_and_releases, &w);
        if (round % 2)
            wait_until(somebody_waits(f));
        assert_int_equal(set_int(f, 1), CF_OK);
        cf_future_release(f);
        join_thread(thread);
        assert_int_equal(w.err, CF_OK);
    }
}

/* ---- callbacks ---- */

/* Callbacks run once each, in the order they were added, in the thread that settles. */
static void
test_future_callbacks_in_order(void **state)
{
    (void)state;
    static settle_by *const ways[] = {by_result, by_error, by_cancel, by_running};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        cf_future *f = new_doubled(1);
        diary d = {{0}, 0};
        note notes[4];
        for (int i = 0; i < 4; i++) {
            notes[i] = (note){&d, i};
            assert_int_equal(cf_future_add_done_callback(f, writes_note, &notes[i]), CF_OK);
        }
        assert_int_equal(d.count, 0);
        assert_int_equal(ways[w](f), CF_OK);
        assert_int_equal(d.count, 4);
        for (int i = 0; i < 4; i++)
            assert_int_equal(d.entries[i], i);
        (void)cf_future_cancel(f);
        assert_int_equal(set_int(f, 1), CF_ERR_INVALID);
        cf_future_release(f);
        assert_int_equal(d.count, 4);
    }
}

/* A callback that comes late runs at once, in the caller. */
static void
test_future_late_callback_runs_at_once(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(0);
    diary d = {{0}, 0};
    note n = {&d, 5};
    assert_int_equal(cf_future_set_result(f, NULL, 0), CF_OK);
    fault_fail_from("alloc", 1, ENOMEM); /* needs no memory */
    assert_int_equal(cf_future_add_done_callback(f, writes_note, &n), CF_OK);
    assert_int_equal(d.count, 1);
    assert_int_equal(cf_future_add_done_callback(f, writes_note, &n), CF_OK);
    assert_int_equal(d.count, 2);
    cf_future_release(f);
}

static void
adds_another(cf_future *future, void *context)
{
    note *n = context;
    n->in->entries[n->in->count++] = 1;
    cf_err error = cf_future_add_done_callback(future, writes_note, context);
    CF_ASSERT(error == CF_OK);
    (void)error;
    (void)cf_future_cancel(future);
    n->in->entries[n->in->count++] = 3;
}

/* A callback may add callbacks, which run at once, and may cancel, which does nothing. */
static void
test_future_callback_may_act_on_future(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(0);
    diary d = {{0}, 0};
    note inner = {&d, 2}, last = {&d, 4};
    assert_int_equal(cf_future_add_done_callback(f, adds_another, &inner), CF_OK);
    assert_int_equal(cf_future_add_done_callback(f, writes_note, &last), CF_OK);
    assert_int_equal(cf_future_set_result(f, NULL, 0), CF_OK);
    assert_int_equal(d.count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(d.entries[i], i + 1);
    cf_future_release(f);
}

static void
releases(cf_future *future, void *context)
{
    (void)context;
    cf_future_release(future);
}

/* A callback may give back a reference that was left to it. */
static void
test_future_callback_may_release(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(0);
    assert_int_equal(cf_future_add_done_callback(cf_future_retain(f), releases, NULL), CF_OK);
    assert_int_equal(cf_future_set_result(f, NULL, 0), CF_OK);
    assert_int_equal(f->references, 1);
    cf_future_release(f);
}

/* A callback that can't be added isn't called later. */
static void
test_future_callback_without_memory(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(0);
    diary d = {{0}, 0};
    note n = {&d, 1};
    fault_fail_nth("alloc", 1, ENOMEM);
    assert_int_equal(cf_future_add_done_callback(f, writes_note, &n), CF_ERR_NOMEM);
    assert_int_equal(cf_future_set_result(f, NULL, 0), CF_OK);
    assert_int_equal(d.count, 0);
    cf_future_release(f);
}

/* Callbacks of a promise that is never settled don't run, and their memory goes with it. */
static void
test_future_unsettled_promise_frees_callbacks(void **state)
{
    (void)state;
    cf_future *f = cf_future_new(0);
    unsigned calls = 0;
    for (int i = 0; i < 3; i++)
        assert_int_equal(cf_future_add_done_callback(f, counts, &calls), CF_OK);
    cf_future_release(f);
    assert_int_equal(counted(&calls), 0);
}

/* ---- two at once ---- */

enum { rounds = 300 };

typedef struct race { /* two threads in step: each round between two barriers */
    pthread_barrier_t barrier;
    cf_future *future; /* written between the rounds */
    unsigned won;      /* A */
    unsigned calls;    /* A: of callbacks */
    settle_by *settle;
} race;

static void *
settles_in_step(void *argument)
{
    race *r = argument;
    for (int i = 0; i < rounds; i++) {
        (void)pthread_barrier_wait(&r->barrier);
        if (r->settle(r->future) == CF_OK)
            count_one(&r->won);
        (void)pthread_barrier_wait(&r->barrier);
    }
    return NULL;
}

/* Of two that settle at once, exactly one succeeds, and each callback runs once, added before, meanwhile or after. */
static void
test_future_race_has_one_winner(void **state)
{
    (void)state;
    static settle_by *const ways[] = {by_result, by_error, by_cancel, by_running};
    for (size_t w = 0; w < sizeof ways / sizeof *ways; w++) {
        race r = {.won = 0, .settle = ways[w]};
        assert_int_equal(pthread_barrier_init(&r.barrier, NULL, 2), 0);
        pthread_t thread = start_thread(settles_in_step, &r);
        unsigned bad = 0, callbacks = 0;
        for (int i = 0; i < rounds; i++) {
            r.future = new_doubled(1);
            callbacks += cf_future_add_done_callback(r.future, counts, &r.calls) == CF_OK;
            (void)pthread_barrier_wait(&r.barrier);
            callbacks += cf_future_add_done_callback(r.future, counts, &r.calls) == CF_OK;
            if (by_result(r.future) == CF_OK)
                count_one(&r.won);
            callbacks += cf_future_add_done_callback(r.future, counts, &r.calls) == CF_OK;
            (void)cf_future_wait(r.future, CF_FOREVER);
            (void)pthread_barrier_wait(&r.barrier);
            bad += !cf_future_done(r.future);
            cf_future_release(r.future);
        }
        join_thread(thread);
        assert_int_equal(bad, 0);
        if (ways[w] ==
            by_cancel) /* cancelling what the other has cancelled doesn't happen, but result then "cancel: false" */
            assert_int_equal(counted(&r.won), rounds);
        else if (ways[w] != by_running) /* a run that starts, and is settled over its head, counts as a run */
            assert_int_equal(counted(&r.won), rounds);
        else
            assert_true(counted(&r.won) >= rounds);
        assert_int_equal(callbacks, 3 * rounds);
        assert_int_equal(counted(&r.calls), 3 * rounds);
        (void)pthread_barrier_destroy(&r.barrier);
    }
}

/* ---- references ---- */

/* A future lives until its last reference; NULL has none. */
static void
test_future_lives_until_last_release(void **state)
{
    (void)state;
    long before = live_allocations();
    cf_future *f = cf_future_new(8);
    assert_ptr_equal(cf_future_retain(f), f);
    assert_ptr_equal(cf_future_retain(f), f);
    cf_future_release(f);
    cf_future_release(f);
    assert_int_equal(live_allocations(), before + 1);
    assert_false(cf_future_done(f));
    cf_future_release(f);
    assert_int_equal(live_allocations(), before);
    cf_future_release(NULL);
}

/* ---- failed futures ---- */

/* A failed future has its error and message from the start, whatever result is asked of it. */
static void
test_future_new_failed_says_why(void **state)
{
    (void)state;
    cf_future *f = cf_future_new_failed(CF_ERR_SYSTEM, "errno %d", 11);
    assert_true(cf_future_done(f));
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_SYSTEM);
    assert_string_equal(cf_future_message(f), "errno 11");
    assert_int_equal(cf_future_code(f), 0);
    assert_null(cf_future_peek(f));
    assert_false(cf_future_cancel(f));
    assert_int_equal(cf_future_set_result(f, NULL, 0), CF_ERR_INVALID);
    cf_future_release(f);
}

/* The result of a failed future is its error, not a complaint about its type: a submit that failed never had one. */
static void
test_future_failed_result_is_its_error(void **state)
{
    (void)state;
    int value = 42;
    cf_future *f = cf_future_new_failed(CF_ERR_SYSTEM, "errno %d", 11);
    assert_int_equal(cf_future_get(f, &value, sizeof value, CF_FOREVER), CF_ERR_SYSTEM);
    assert_int_equal(cf_future_result(f, &doubled, &value, CF_FOREVER), CF_ERR_SYSTEM);
    assert_int_equal(value, 42);
    cf_future_release(f);
}

/* Without memory a failed future still has its error, if not its message. */
static void
test_future_new_failed_without_memory(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 2; n++) { /* the record, the message */
        fault_fail_nth("alloc", n, ENOMEM);
        cf_future *f = cf_future_new_failed(CF_ERR_SYSTEM, "errno %d", 11);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_SYSTEM);
        assert_string_equal(cf_future_message(f), cf_strerror(CF_ERR_SYSTEM));
        assert_int_equal(fault_fired("alloc"), 1);
        cf_future_release(f);
    }
}

/* Without memory a promise is one that has failed with NOMEM, and stands every call. */
static void
test_future_new_without_memory(void **state)
{
    (void)state;
    fault_fail_nth("alloc", 1, ENOMEM);
    cf_future *f = cf_future_new(sizeof(int));
    assert_non_null(f);
    assert_ptr_equal(cf_future_new(SIZE_MAX / 2), f); /* larger than any memory */
    int value = 42;
    diary d = {{0}, 0};
    note n = {&d, 1};
    assert_true(cf_future_done(f));
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_NOMEM);
    assert_int_equal(cf_future_get(f, &value, sizeof value, CF_FOREVER), CF_ERR_NOMEM);
    assert_int_equal(cf_future_result(f, &doubled, &value, CF_FOREVER), CF_ERR_NOMEM);
    assert_int_equal(value, 42);
    assert_null(cf_future_peek(f));
    assert_string_equal(cf_future_message(f), cf_strerror(CF_ERR_NOMEM));
    assert_int_equal(set_int(f, 1), CF_ERR_INVALID);
    assert_int_equal(cf_future_set_error(f, CF_ERR_FAILED, 1, "x"), CF_ERR_INVALID);
    assert_false(cf_future_start(f));
    assert_false(cf_future_cancel(f));
    assert_false(cf_future_cancelled(f));
    assert_int_equal(cf_future_add_done_callback(f, writes_note, &n), CF_OK);
    assert_int_equal(d.count, 1);
    assert_ptr_equal(cf_future_retain(f), f);
    cf_future_release(f);
    cf_future_release(f);
    cf_future_release(f);
    assert_int_equal(cf_future_wait(f, CF_NOW), CF_ERR_NOMEM); /* it lives for ever */
}

/* There is a future of that kind for each error. */
static void
test_future_static_for_each_error(void **state)
{
    (void)state;
    for (int i = CF_OK + 1; i < CF__ERR_COUNT; i++) {
        cf_future *f = cf__future_static((cf_err)i);
        assert_int_equal(cf_future_wait(f, CF_NOW), i);
        assert_string_equal(cf_future_message(f), cf_strerror((cf_err)i));
        cf_future_release(f);
    }
}

/* ---- where the truth is elsewhere ---- */

static unsigned origin_forgot, origin_cancels, origin_watches;
static cf_err origin_watch_error;

static cf_err
origin_await(cf_future *future, cf_time deadline)
{
    if (deadline == CF_NOW)
        return CF_ERR_TIMEOUT;
    if (cf__future_claim_outcome(future))
        cf__future_settle(future, CF__DONE);
    return CF_OK;
}

static bool
origin_cancel(cf_future *future)
{
    (void)future;
    origin_cancels++;
    return true;
}

static cf_err
origin_watch(cf_future *future)
{
    (void)future;
    origin_watches++;
    return origin_watch_error;
}

static void
origin_forget(cf_future *future)
{
    (void)future;
    origin_forgot++;
}

/* A future whose truth is elsewhere asks there, and gives back there what it held. */
static void
test_future_asks_its_origin(void **state)
{
    (void)state;
    static const cf__future_origin origin = {origin_await, origin_cancel, origin_watch, NULL, origin_forget};
    diary d = {{0}, 0};
    note n = {&d, 1};
    cf_future *f = cf_future_new(0);
    f->origin = &origin;
    origin_forgot = origin_cancels = origin_watches = 0;
    assert_false(cf_future_done(f));
    assert_true(cf_future_cancel(f));
    assert_int_equal(origin_cancels, 1);
    origin_watch_error = CF_ERR_SYSTEM;
    assert_int_equal(cf_future_add_done_callback(f, writes_note, &n), CF_ERR_SYSTEM);
    origin_watch_error = CF_OK;
    assert_int_equal(cf_future_add_done_callback(f, writes_note, &n), CF_OK);
    assert_int_equal(origin_watches, 2);
    assert_int_equal(d.count, 0);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
    assert_int_equal(d.count, 1);
    assert_int_equal(cf_future_retain(f)->references, 2);
    cf_future_release(f);
    assert_int_equal(origin_forgot, 0);
    cf_future_release(f);
    assert_int_equal(origin_forgot, 1);
}

/* ---- fork ---- */

typedef struct pair {
    cf_future *pending, *done;
} pair;

static int
child_of_futures(void *argument)
{
    const pair *p = argument;
    int value = 0;
    unsigned calls = 0;
    child_check(cf_future_wait(p->pending, CF_FOREVER) == CF_ERR_FORKED);
    child_check(cf_future_get(p->pending, &value, sizeof value, CF_FOREVER) == CF_ERR_FORKED);
    child_check(cf_future_wait(p->pending, CF_NOW + 1) == CF_ERR_FORKED);
    child_check(cf_future_wait(p->pending, CF_NOW) == CF_ERR_FORKED);
    child_check(cf_future_error(p->pending) == CF_ERR_FORKED);
    child_check(!cf_future_cancel(p->pending) && !cf_future_cancelled(p->pending) && !cf_future_cancel(p->done));
    child_check(!cf_future_done(p->pending));
    child_check(cf_future_add_done_callback(p->pending, counts, &calls) == CF_ERR_FORKED);
    child_check(calls == 0);
    child_check(cf_future_get(p->done, &value, sizeof value, CF_FOREVER) == CF_OK && value == 5);
    child_check(cf_future_add_done_callback(p->done, counts, &calls) == CF_OK && calls == 1);
    cf_future *own = cf_future_new(sizeof(int));
    child_check(set_int(own, 1) == CF_OK && cf_future_wait(own, CF_FOREVER) == CF_OK);
    cf_future_release(own);
    cf_future_release(p->pending);
    cf_future_release(p->done);
    return 0;
}

/* A forked child gets FORKED where it would wait for its parent, what is settled is its own, and it can free both. */
static void
test_future_forked_child_doesnt_wait(void **state)
{
    (void)state;
    pair p = {cf_future_new(sizeof(int)), cf_future_new(sizeof(int))};
    assert_int_equal(set_int(p.done, 5), CF_OK);
    assert_int_equal(run_in_child_with(child_of_futures, &p), 0);
    assert_int_equal(set_int(p.pending, 1), CF_OK); /* the child's is a copy */
    cf_future_release(p.pending);
    cf_future_release(p.done);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_future_pending_says_so),
        cmocka_unit_test(test_future_result_arrives_once),
        cmocka_unit_test(test_future_other_size_is_type_error),
        cmocka_unit_test(test_future_without_result),
        cmocka_unit_test(test_future_result_is_aligned),
        cmocka_unit_test(test_future_error_arrives),
        cmocka_unit_test(test_future_message_is_cut),
        cmocka_unit_test(test_future_message_without_memory),
        cmocka_unit_test(test_future_cancel_pending),
        cmocka_unit_test(test_future_cancel_running_asks),
        cmocka_unit_test(test_future_stop_keeps_waiters),
        cmocka_unit_test(test_future_cancel_while_settling),
        cmocka_unit_test(test_future_runs_task_once),
        cmocka_unit_test(test_future_run_failed_task),
        cmocka_unit_test(test_future_cancelled_task_doesnt_run),
        cmocka_unit_test(test_future_running_task_owns_outcome),
        cmocka_unit_test(test_future_result_checks_type),
        cmocka_unit_test(test_future_settling_wakes_all_waiters),
        cmocka_unit_test(test_future_stray_wake_changes_nothing),
        cmocka_unit_test(test_future_woken_waiter_may_release),
        cmocka_unit_test(test_future_callbacks_in_order),
        cmocka_unit_test(test_future_late_callback_runs_at_once),
        cmocka_unit_test(test_future_callback_may_act_on_future),
        cmocka_unit_test(test_future_callback_may_release),
        cmocka_unit_test(test_future_callback_without_memory),
        cmocka_unit_test(test_future_unsettled_promise_frees_callbacks),
        cmocka_unit_test(test_future_race_has_one_winner),
        cmocka_unit_test(test_future_lives_until_last_release),
        cmocka_unit_test(test_future_new_failed_says_why),
        cmocka_unit_test(test_future_failed_result_is_its_error),
        cmocka_unit_test(test_future_new_failed_without_memory),
        cmocka_unit_test(test_future_new_without_memory),
        cmocka_unit_test(test_future_static_for_each_error),
        cmocka_unit_test(test_future_asks_its_origin),
        cmocka_unit_test(test_future_forked_child_doesnt_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
