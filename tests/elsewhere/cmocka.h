/* tests/elsewhere/cmocka.h - as much of cmocka as our unit tests use, for where the library itself can't be had.
 * SPDX-License-Identifier: MIT
 * Another C library and another architecture would need a cmocka of their own.  The unit tests find this file in place of
 * it (run.sh has this folder first in the path).  Groups run in one process; no mocks, no handlers for signals.  Tests
 * named in MINI_SKIP, between blanks, are skipped. */
#ifndef CFUTURES_TESTS_ELSEWHERE_CMOCKA_H
#define CFUTURES_TESTS_ELSEWHERE_CMOCKA_H

#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*CMFixtureFunction)(void **state);

struct CMUnitTest {
    const char *name;
    void (*test_func)(void **state);
    CMFixtureFunction setup_func, teardown_func;
    void *initial_state;
};

static jmp_buf mini_end; /* of the test that runs */

__attribute__((unused, noreturn)) static void
mini_leave(int how, const char *what, const char *file, int line)
{
    printf("%s:%d: %s\n", file, line, what);
    longjmp(mini_end, how);
}
#define mini_assert(condition, text)                                                                                   \
    do {                                                                                                               \
        if (!(condition))                                                                                              \
            mini_leave(1, text, __FILE__, __LINE__);                                                                   \
    } while (0)

__attribute__((unused)) static void
mini_same(uintmax_t a, uintmax_t b, int same, const char *text, const char *file, int line)
{
    if ((a == b) == same)
        return;
    printf("%#jx, %#jx\n", a, b);
    mini_leave(1, text, file, line);
}

#define assert_true(c) mini_assert((c), #c)
#define assert_false(c) mini_assert(!(c), "not " #c)
#define assert_null(p) mini_assert((p) == NULL, #p " is NULL")
#define assert_non_null(p) mini_assert((p) != NULL, #p " isn't NULL")
#define assert_int_equal(a, b) mini_same((uintmax_t)(a), (uintmax_t)(b), 1, #a " == " #b, __FILE__, __LINE__)
#define assert_int_not_equal(a, b) mini_same((uintmax_t)(a), (uintmax_t)(b), 0, #a " != " #b, __FILE__, __LINE__)
#define assert_ptr_equal(a, b) mini_same((uintptr_t)(a), (uintptr_t)(b), 1, #a " == " #b, __FILE__, __LINE__)
#define assert_ptr_not_equal(a, b) mini_same((uintptr_t)(a), (uintptr_t)(b), 0, #a " != " #b, __FILE__, __LINE__)
#define assert_in_range(v, low, high) mini_assert((v) >= (low) && (v) <= (high), #v " in " #low " to " #high)
#define assert_string_equal(a, b) mini_assert(strcmp(a, b) == 0, #a " is " #b)
#define assert_string_not_equal(a, b) mini_assert(strcmp(a, b) != 0, #a " isn't " #b)
#define assert_memory_equal(a, b, size) mini_assert(memcmp(a, b, size) == 0, #a " is " #b)
#define fail() mini_leave(1, "fail()", __FILE__, __LINE__)
#define skip() mini_leave(2, "skipped", __FILE__, __LINE__)
#define print_error(...) ((void)printf(__VA_ARGS__))
#define print_message(...) ((void)printf(__VA_ARGS__))
#define fail_msg(...) (print_error(__VA_ARGS__), mini_leave(1, "fail", __FILE__, __LINE__))

#define cmocka_unit_test(f)                                                                                            \
    {                                                                                                                  \
#f, f, NULL, NULL, NULL                                                                                        \
    }
#define cmocka_unit_test_setup_teardown(f, setup, teardown)                                                            \
    {                                                                                                                  \
#f, f, setup, teardown, NULL                                                                                   \
    }
#define cmocka_run_group_tests(tests, setup, teardown)                                                                 \
    _cmocka_run_group_tests(#tests, tests, sizeof(tests) / sizeof *(tests), setup, teardown)

__attribute__((unused)) static int
_cmocka_run_group_tests(const char *group, const struct CMUnitTest *tests, size_t count, CMFixtureFunction setup,
                        CMFixtureFunction teardown)
{
    static void *group_state; /* static, all: longjmp keeps them */
    static size_t i;
    static int passed, failed, skipped;
    (void)group;
    if (setup != NULL && setup(&group_state) != 0)
        return 1;
    for (i = 0; i < count; i++) {
        static void *state;
        static int how;
        state = group_state;
        how = setjmp(mini_end);
        if (how == 0) {
            if (tests[i].setup_func != NULL && tests[i].setup_func(&state) != 0)
                mini_leave(1, "its setup failed", tests[i].name, 0);
            const char *list = getenv("MINI_SKIP");
            char name[256];
            (void)snprintf(name, sizeof name, " %s ", tests[i].name);
            if (list != NULL && strstr(list, name) != NULL)
                mini_leave(2, "skipped", tests[i].name, 0);
            tests[i].test_func(&state);
        }
        /* With a jump of its own, for a teardown asserts as well. */
        static int how_after;
        how_after = setjmp(mini_end);
        if (how_after == 0 && tests[i].teardown_func != NULL && tests[i].teardown_func(&state) != 0)
            how_after = 1;
        if (how == 1 || how_after == 1) {
            failed++;
            printf("FAILED %s\n", tests[i].name);
        } else if (how == 2) {
            skipped++;
        } else {
            passed++;
        }
        (void)fflush(stdout);
    }
    if (teardown != NULL && teardown(&group_state) != 0)
        failed++;
    printf("%d passed, %d failed, %d skipped inside\n", passed, failed, skipped);
    return failed;
}

#endif
