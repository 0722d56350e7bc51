/* tests/unit/test_errors.c - errors.h
 * SPDX-License-Identifier: MIT */
#include "unit.h"

#include <cfutures/errors.h>

/* Success is 0, so that `if (error)` works. */
static void
test_error_ok_is_zero(void **state)
{
    (void)state;
    assert_int_equal(CF_OK, 0);
    assert_string_equal(cf_strerror(CF_OK), "ok");
}

/* Each code has a sentence of its own, without a full stop. */
static void
test_error_texts_differ(void **state)
{
    (void)state;
    for (int i = 0; i < CF__ERR_COUNT; i++) {
        const char *text = cf_strerror((cf_err)i);
        assert_non_null(text);
        assert_true(strlen(text) > 1);
        assert_int_not_equal(text[strlen(text) - 1], '.');
        assert_ptr_equal(text, cf_strerror((cf_err)i));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(text, cf_strerror((cf_err)k));
    }
}

/* A code's sentence is its own and not its neighbour's. */
static void
test_error_text_fits_code(void **state)
{
    (void)state;
    assert_non_null(strstr(cf_strerror(CF_ERR_TIMEOUT), "deadline"));
    assert_non_null(strstr(cf_strerror(CF_ERR_NOMEM), "memory"));
    assert_non_null(strstr(cf_strerror(CF_ERR_INVALID), "argument"));
    assert_non_null(strstr(cf_strerror(CF_ERR_WORKER_LOST), "died"));
    assert_ptr_not_equal(strstr(cf_strerror((cf_err)(CF__ERR_COUNT - 1)), "not a code"),
                         cf_strerror((cf_err)(CF__ERR_COUNT - 1)));
}

/* A number that is no code has a sentence too. */
static void
test_error_unknown_code_has_text(void **state)
{
    (void)state;
    assert_string_equal(cf_strerror(CF__ERR_COUNT), "not a code of cfutures");
    assert_string_equal(cf_strerror((cf_err)-1), "not a code of cfutures");
    assert_string_equal(cf_strerror((cf_err)100000), "not a code of cfutures");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error_ok_is_zero),
        cmocka_unit_test(test_error_texts_differ),
        cmocka_unit_test(test_error_text_fits_code),
        cmocka_unit_test(test_error_unknown_code_has_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
