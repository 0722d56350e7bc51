/* tests/unit/test_deadline.c - deadline.h
 * SPDX-License-Identifier: MIT */
#include "unit.h"

#include <cfutures/deadline.h>

/* A span is counted from now, in its unit. */
static void
test_deadline_is_span_from_now(void **state)
{
    (void)state;
    int64_t before = cf__os_now();
    cf_time ns = cf_after_ns(1000);
    cf_time ms = cf_after_ms(3600000);
    int64_t after = cf__os_now();
    assert_true(ns >= before + 1000 && ns <= after + 1000);
    assert_true(ms >= before + INT64_C(3600000000000) && ms <= after + INT64_C(3600000000000));
    cf_time zero = cf_after_ns(0);
    assert_true(zero >= after && zero <= cf__os_now());
}

/* A negative span is a deadline in the past, however large. */
static void
test_deadline_negative_is_past(void **state)
{
    (void)state;
    assert_true(cf_passed(cf_after_ns(-1)));
    assert_true(cf_passed(cf_after_ns(INT64_MIN)));
    assert_true(cf_passed(cf_after_ms(-1)));
    assert_true(cf_passed(cf_after_ms(INT64_MIN)));
}

/* A span too long to add is for ever, and the longest that isn't stays below it. */
static void
test_deadline_overflow_is_forever(void **state)
{
    (void)state;
    assert_true(cf_after_ns(INT64_MAX) == CF_FOREVER);
    assert_true(cf_after_ns(INT64_MAX - 1) == CF_FOREVER);
    assert_true(cf_after_ms(INT64_MAX) == CF_FOREVER);
    assert_true(cf_after_ms(INT64_MAX / 1000000) == CF_FOREVER);
    assert_true(cf_after_ms(INT64_MAX / 1000000 + 1) == CF_FOREVER);
    assert_true(cf_after_ms(INT64_MAX / 2000000) < CF_FOREVER);
    assert_true(cf_after_ns(INT64_MAX / 2) > cf__os_now());
}

/* What has passed, and what hasn't. */
static void
test_deadline_passes(void **state)
{
    (void)state;
    assert_true(cf_passed(CF_NOW));
    assert_true(cf_passed(-1));
    assert_true(cf_passed(1));
    assert_true(cf_passed(cf__os_now()));
    assert_false(cf_passed(CF_FOREVER));
    assert_false(cf_passed(CF_FOREVER - 1));
    assert_false(cf_passed(cf_after_ms(3600000)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deadline_is_span_from_now),
        cmocka_unit_test(test_deadline_negative_is_past),
        cmocka_unit_test(test_deadline_overflow_is_forever),
        cmocka_unit_test(test_deadline_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
