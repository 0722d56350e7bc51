/* tests/unit/test_limits.c - limits of tasks in this process: on threads and inline they ask, and start_by holds.
 * SPDX-License-Identifier: MIT
 * On processes, where they also kill: test_process_limits.c. */
#include "unit.h"

#include <cfutures.h>

enum { HOUR = 3600 * 1000 };

static cf_executor *
make(int kind)
{
    return kind == 0 ? cf_thread_pool(.max_workers = 1) : cf_inline_executor();
}

static int
loop_until_asked(int n)
{
    while (!cf_cancelled())
        (void)sched_yield();
    return n;
}
CF_TASK(int, loop_until_asked, int);

/* Notes its progress for longer than its stall limit, then stops doing so. */
static bool
note_then_stall(unsigned limit_ms)
{
    cf_time end = cf_after_ms(3 * (int64_t)limit_ms);
    while (!cf_passed(end)) {
        if (!cf_note("still %s", "there") || cf_cancelled())
            return false;
    }
    while (!cf_cancelled())
        (void)sched_yield();
    return true;
}
CF_TASK(bool, note_then_stall, unsigned);

static bool
asked_to_stop(int unused)
{
    (void)unused;
    return cf_cancelled();
}
CF_TASK(bool, asked_to_stop, int);

static int
answer(int n)
{
    return n + 1;
}
CF_TASK(int, answer, int);

/* A task that passes its time limit is asked to stop, and what it then returns counts. */
static void
test_time_limit_asks(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        int value = 0;
        bool asked = true;
        cf_executor *pool = make(kind);
        cf_future *f = cf_submit_with(pool, cf_options(.time_limit_ms = 10), loop_until_asked, 5);
        assert_int_equal(cf_result(f, loop_until_asked, &value, CF_FOREVER), CF_OK);
        assert_int_equal(value, 5);
        cf_future_release(f);
        f = cf_submit_with(pool, cf_options(.time_limit_ms = HOUR), asked_to_stop, 0);
        assert_int_equal(cf_result(f, asked_to_stop, &asked, CF_FOREVER), CF_OK);
        assert_false(asked);
        cf_future_release(f);
        cf_executor_close(pool);
    }
}

static void
test_cpu_limit_asks(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        int value = 0;
        cf_executor *pool = make(kind);
        cf_future *f = cf_submit_with(pool, cf_options(.cpu_limit_ms = 10), loop_until_asked, 5);
        assert_int_equal(cf_result(f, loop_until_asked, &value, CF_FOREVER), CF_OK);
        cf_future_release(f);
        cf_executor_close(pool);
    }
}

/* Notes set back the clock of the stall limit. */
static void
test_stall_limit_asks(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        bool stalled = false;
        cf_executor *pool = make(kind);
        cf_future *f = NULL;
        /* The scheduler may keep the task from noting for a while: then its limit is longer. */
        for (unsigned limit = 20; !stalled && limit < 10000; limit *= 2) {
            cf_future_release(f);
            f = cf_submit_with(pool, cf_options(.stall_limit_ms = limit), note_then_stall, limit);
            assert_int_equal(cf_result(f, note_then_stall, &stalled, CF_FOREVER), CF_OK);
        }
        assert_true(stalled);
        cf_future_release(f);
        cf_executor_close(pool);
    }
    assert_false(cf_note("outside"));
}

/* ---- children that another thread runs ---- */

typedef struct scene { /* fields: A atomic */
    gate burnt;        /* the thief waits there, its CPU clock ahead */
    unsigned begun;    /* A: children that have begun: their parents wait for that, so that they are stolen */
    unsigned limit;
} scene;

static void
burn_then_wait(scene *s, unsigned milliseconds)
{
    while (cf__os_thread_cpu_time() < (int64_t)milliseconds * 1000000) {
    }
    gate_pass(&s->burnt);
}
CF_TASK_VOID(burn_then_wait, scene *, unsigned);

static bool
looks_whether_asked(scene *s)
{
    bool asked = cf_cancelled();
    count_one(&s->begun);
    return asked;
}
CF_TASK(bool, looks_whether_asked, scene *);

static bool
has_looking_child(scene *s)
{
    cf_child(looks_whether_asked) c;
    cf_child_start(&c, looks_whether_asked, s);
    gate_open(&s->burnt);
    wait_until(counted(&s->begun) == 1);
    return cf_child_join(&c, looks_whether_asked);
}
CF_TASK(bool, has_looking_child, scene *);

/* A thief doesn't take the CPU time that it has used before for that of the task whose child it runs. */
static void
test_cpu_limit_isnt_the_thiefs(void **state)
{
    (void)state;
    scene s = {.burnt = GATE};
    bool asked = true;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2);
    cf_auto(cf_future) burner = cf_submit(pool, burn_then_wait, &s, 300u);
    wait_until(gate_inside(&s.burnt) == 1);
    cf_auto(cf_future) f = cf_submit_with(pool, cf_options(.cpu_limit_ms = 200), has_looking_child, &s);
    assert_int_equal(cf_result(f, has_looking_child, &asked, CF_FOREVER), CF_OK);
    assert_false(asked);
}

static bool
notes_then_stalls(scene *s)
{
    bool asked = cf_cancelled(); /* while the parent notes: a look at its clock */
    count_one(&s->begun);
    return !asked && note_then_stall(s->limit);
}
CF_TASK(bool, notes_then_stalls, scene *);

static bool
has_noting_child(scene *s)
{
    cf_child(notes_then_stalls) c;
    cf_child_start(&c, notes_then_stalls, s);
    wait_until(cf_note("waits") && counted(&s->begun) == 1);
    return cf_child_join(&c, notes_then_stalls);
}
CF_TASK(bool, has_noting_child, scene *);

static bool
has_noting_grandchild(scene *s)
{
    cf_child(has_noting_child) c;
    cf_child_start(&c, has_noting_child, s);
    wait_until(cf_note("waits") && counted(&s->begun) == 1);
    return cf_child_join(&c, has_noting_child);
}
CF_TASK(bool, has_noting_grandchild, scene *);

/* Notes of a stolen child, and of one's child that is stolen as well, set back the clock of the task that they belong to. */
static void
test_stall_limit_hears_children(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 3);
    for (int grandchild = 0; grandchild < 2; grandchild++) {
        bool stalled = false;
        /* As above: the scheduler may keep it from noting. */
        for (unsigned limit = 40; !stalled && limit < 10000; limit *= 2) {
            scene s = {.limit = limit};
            cf_auto(cf_future) f =
                grandchild ? cf_submit_with(pool, cf_options(.stall_limit_ms = limit), has_noting_grandchild, &s)
                           : cf_submit_with(pool, cf_options(.stall_limit_ms = limit), has_noting_child, &s);
            assert_int_equal(cf_future_get(f, &stalled, sizeof stalled, CF_FOREVER), CF_OK);
        }
        assert_true(stalled);
    }
}

/* A task that hasn't started in time fails: at once for who waits for it, else when its turn comes. */
static void
test_start_by(void **state)
{
    (void)state;
    int value = 0;
    cf_executor *pool = make(0);
    cf_future *busy = cf_submit(pool, loop_until_asked, 0);
    cf_time soon = cf_after_ms(10); /* one for both: when it has passed for the one it has for the other */
    cf_future *awaited = cf_submit_with(pool, cf_options(.start_by = soon), answer, 1);
    cf_future *left = cf_submit_with(pool, cf_options(.start_by = soon), answer, 1);
    cf_future *patient = cf_submit_with(pool, cf_options(.start_by = cf_after_ms(HOUR)), answer, 1);
    assert_int_equal(cf_future_wait(patient, cf_after_ms(1)), CF_ERR_TIMEOUT);
    assert_int_equal(cf_future_wait(awaited, CF_FOREVER), CF_ERR_TIME_LIMIT);
    assert_false(cf_future_done(busy));
    assert_false(cf_future_done(left));
    (void)cf_future_cancel(busy);
    assert_int_equal(cf_future_wait(left, CF_FOREVER), CF_ERR_TIME_LIMIT);
    assert_string_equal(cf_future_message(left), "the task wasn't started in time");
    assert_null(cf_future_account(left));
    assert_int_equal(cf_result(patient, answer, &value, CF_FOREVER), CF_OK);
    assert_int_equal(value, 2);
    cf_future_release(busy);
    cf_future_release(awaited);
    cf_future_release(left);
    cf_future_release(patient);
    cf_executor_close(pool);

    pool = make(1);
    left = cf_submit_with(pool, cf_options(.start_by = CF_NOW), answer, 1);
    assert_int_equal(cf_future_wait(left, CF_NOW), CF_ERR_TIME_LIMIT);
    cf_future_release(left);

    cf_submit_opts late = {.struct_size = sizeof late, .start_by = CF_NOW};
    int six = 6;
    left = cf_executor_new_task(pool, answer_CF_TASK_type(), &six, &late); /* as an executor that others wrote does */
    assert_true(cf_future_run(left)); /* it has settled it, though the task didn't run */
    assert_int_equal(cf_future_wait(left, CF_NOW), CF_ERR_TIME_LIMIT);
    assert_false(cf_future_run(left));
    cf_future_release(left);
    cf_future_release(left);
    cf_executor_close(pool);
}

/* Where a full pool runs the task in the caller, its limits hold as well. */
static void
test_limits_run_in_caller(void **state)
{
    (void)state;
    int value = 0;
    cf_executor *pool = cf_thread_pool(.max_workers = 1, .max_pending = 1, .when_full = CF_FULL_RUN);
    cf_future *busy = cf_submit(pool, loop_until_asked, 0);
    cf_future *f = cf_submit_with(pool, cf_options(.time_limit_ms = 10), loop_until_asked, 3);
    assert_int_equal(cf_result(f, loop_until_asked, &value, CF_NOW), CF_OK);
    assert_int_equal(value, 3);
    (void)cf_future_cancel(busy);
    cf_future_release(f);
    cf_future_release(busy);
    cf_executor_close(pool);
}

/* What only processes can do does no harm here. */
static void
test_process_matters_outside(void **state)
{
    (void)state;
    cf_shield_begin(10);
    cf_shield_end();
    assert_true(cf_stop_signal(SIGUSR1));
    assert_false(cf_stop_signal(65));
    assert_false(cf_stop_signal(-1));
    for (int kind = 0; kind < 2; kind++) {
        cf_executor *pool = make(kind);
        int value = 0;
        cf_future *f = cf_submit_with(pool, cf_options(.memory_limit = 1, .retries = 2, .term_grace_ms = 1), answer, 1);
        assert_int_equal(cf_result(f, answer, &value, CF_FOREVER), CF_OK);
        assert_int_equal(value, 2);
        cf_future_release(f);
        cf_executor_close(pool);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_time_limit_asks),
        cmocka_unit_test(test_cpu_limit_asks),
        cmocka_unit_test(test_stall_limit_asks),
        cmocka_unit_test(test_cpu_limit_isnt_the_thiefs),
        cmocka_unit_test(test_stall_limit_hears_children),
        cmocka_unit_test(test_start_by),
        cmocka_unit_test(test_limits_run_in_caller),
        cmocka_unit_test(test_process_matters_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
