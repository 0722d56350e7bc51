/* tests/fault/test_process_limits.c - a kill for a limit hits the task that has passed it, and never the next one.
 * SPDX-License-Identifier: MIT
 *   --seconds N   for as long; without it some hundred rounds
 *
 * Tasks that end about when their limit passes, by every step of the ladder, each followed in the same worker by tasks without
 * limits: these must all go well, and the limited ones must end as one of the two outcomes that they may have. */
#include "support.h"

#include <cfutures.h>

static unsigned seconds; /* 0: by counts */

static volatile sig_atomic_t got_signal;

static void
on_signal(int signal_number)
{
    got_signal = signal_number;
}

/* Works for `us` microseconds, whatever comes. */
static int
work(int us, int result)
{
    cf_time end = cf_after_ns((int64_t)us * 1000);
    while (!cf_passed(end))
        ;
    return result;
}
CF_TASK(int, work, int, int);

/* The same, and wants SIGUSR1, which would end another task. */
static int
work_with_signal(int us, int result)
{
    (void)signal(SIGUSR1, on_signal);
    if (!cf_stop_signal(SIGUSR1))
        return -1;
    int value = work(us, result);
    return value;
}
CF_TASK(int, work_with_signal, int, int);

/* The same, in sections that mustn't be interrupted: *inside is odd while in one. */
static unsigned *inside; /* A; shared */

static int
work_shielded(int us, int result)
{
    cf_time end = cf_after_ns((int64_t)us * 1000);
    while (!cf_passed(end)) {
        cf_shield_begin(10000);
        (void)__atomic_fetch_add(inside, 1, __ATOMIC_SEQ_CST);
        (void)__atomic_fetch_add(inside, 1, __ATOMIC_SEQ_CST);
        cf_shield_end();
    }
    return result;
}
CF_TASK(int, work_shielded, int, int);

/* A task without a handler of its own, and without limits: a stray signal of any kind would end it. */
static int
bystander(int n)
{
    (void)signal(SIGUSR1, SIG_DFL);
    return n + 1;
}
CF_TASK(int, bystander, int);

static uint32_t random_state = 4711;

static int
random_below(int n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (int)((random_state >> 8) % (uint32_t)n);
}

typedef struct tally {
    unsigned in_time, passed, bystanders;
} tally;

/* One of each kind of limited task, and bystanders right behind it in line for the same worker. */
static void
run_round(cf_executor *pool, tally *sum)
{
    enum { kinds = 5, followers = 3 };
    for (int kind = 0; kind < kinds; kind++) {
        int us = 500 + random_below(1000), value = 0;
        cf_future *after[followers], *f = NULL;
        switch (kind) {
        case 0:
            f = cf_submit_with(pool, cf_options(.time_limit_ms = 1), work, us, kind);
            break;
        case 1:
            f = cf_submit_with(pool, cf_options(.time_limit_ms = 1, .term_grace_ms = 1), work, us, kind);
            break;
        case 2:
            f = cf_submit_with(pool, cf_options(.time_limit_ms = 1, .signal_grace_ms = 1000), work_with_signal, us,
                               kind);
            break;
        case 3:
            f = cf_submit_with(pool, cf_options(.time_limit_ms = 1, .stop_grace_ms = 1, .signal_grace_ms = 1),
                               work_with_signal, 2 * us, kind);
            break;
        default:
            f = cf_submit_with(pool, cf_options(.time_limit_ms = 1), work_shielded, us, kind);
        }
        for (int i = 0; i < followers; i++)
            after[i] = cf_submit(pool, bystander, i);
        cf_err error = cf_result(f, work, &value, CF_FOREVER);
        assert_true(error == CF_ERR_TIME_LIMIT || (error == CF_OK && value == kind));
        sum->passed += error != CF_OK;
        sum->in_time += error == CF_OK;
        cf_future_release(f);
        for (int i = 0; i < followers; i++) {
            error = cf_result(after[i], bystander, &value, CF_FOREVER);
            if (error != CF_OK)
                print_error("a bystander of kind %d: %s\n", kind, cf_future_message(after[i]));
            assert_int_equal(error, CF_OK);
            assert_int_equal(value, i + 1);
            sum->bystanders++;
            cf_future_release(after[i]);
        }
    }
}

static void
test_limits_hit_nobody_else(void **state)
{
    (void)state;
    tally sum = {0, 0, 0};
    cf_time end = cf_after_ms((int64_t)seconds * 1000);
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    for (unsigned i = 0; seconds != 0 ? !cf_passed(end) : i < 150; i++) {
        run_round(pool, &sum);
        (void)alarm(watchdog_seconds());
    }
    assert_int_equal(__atomic_load_n(inside, __ATOMIC_SEQ_CST) % 2, 0); /* nobody was killed inside a shield */
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
    print_message("  %u limited tasks passed their limit, %u ended in time; %u others, all well\n", sum.passed,
                  sum.in_time, sum.bystanders);
    assert_true(sum.passed > 0);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_hit_nobody_else),
    };
    seconds = soak_seconds(argc, argv, 0);
    inside = mmap(NULL, sizeof *inside, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (inside == MAP_FAILED)
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
