/* tests/compile/two_tus_a.c - two files include the library, are linked into one program, and agree.
 * SPDX-License-Identifier: MIT
 * Compiled as C and as C++ by run.sh; tests/lint/globals.sh looks at the object files.  Texts are compared, and not
 * addresses: each file has its own copy of every function and table, and of a task's description. */
#include <cfutures.h>

#include <stdio.h>

#include "two_tus.h"

/* 1 if not, to be added up; a static counter would be found by tests/lint/globals.sh. */
static int
check(bool holds, const char *what)
{
    if (!holds)
        printf("two_tus: %s\n", what);
    return !holds;
}

/* The other file has a task of that name, too. */
static long
both_have_one(int n)
{
    return 3 * n;
}
CF_TASK(long, both_have_one, int);

static long
fails_over_there(int code)
{
    return two_tus_b_fail(code);
}
CF_TASK(long, fails_over_there, int);

static void
doubles(size_t index, long *values)
{
    values[index] *= 2;
}
CF_TASK_VOID(doubles, size_t, long *);

static bool
next_number(void *context, int *n)
{
    *n = (*CF__STATIC_CAST(int *, context))++;
    return *n < 4;
}

static bool
add_up(void *context, size_t index, cf_future *future)
{
    int *sum = CF__STATIC_CAST(int *, context) + 1;
    long value = 0;
    (void)index;
    if (cf_result(future, both_have_one, &value, CF_NOW) == CF_OK)
        *sum += CF__STATIC_CAST(int, value);
    return true;
}

/* All kinds of map, with options and without. */
static int
check_maps(cf_executor *executor)
{
    const int ns[] = {1, 2, 3};
    long values[] = {0, 0, 0}, value = 0;
    cf_future *futures[3];
    int failed = 0, next_and_sum[2] = {0, 0};
    failed += check(cf_map(executor, both_have_one, 3, values, ns) == CF_OK && values[2] == 9, "cf_map");
    failed += check(cf_map_with(executor, cf_map_options(), both_have_one, 3, values, ns) == CF_OK, "cf_map_with");
    failed += check(cf_for(executor, doubles, 1, 3, values) == CF_OK && values[0] == 3 && values[2] == 18, "cf_for");
    failed += check(cf_for_with(executor, cf_map_options(), doubles, 0, 0, values) == CF_OK, "cf_for_with");
    failed += check(cf_submit_all(executor, both_have_one, 3, futures, ns) == CF_OK, "cf_submit_all");
    for (int i = 0; i < 3; i++) {
        failed += check(cf_result(futures[i], both_have_one, &value, CF_FOREVER) == CF_OK && value == 3 * ns[i], "one");
        cf_future_release(futures[i]);
    }
    failed += check(cf_map_lazy(executor, both_have_one, 2, next_number, add_up, next_and_sum) == CF_OK, "cf_map_lazy");
    failed += check(next_and_sum[1] == 3 * (0 + 1 + 2 + 3), "the sum of a lazy map");
    return failed;
}

int
main(void)
{
    int failed = 0;
    for (int i = 0; i < CF__ERR_COUNT; i++) {
        cf_err error = CF__STATIC_CAST(cf_err, i);
        failed += check(strcmp(cf_strerror(error), two_tus_b_text(error)) == 0, "an error says two things");
    }
    int version = CF_VERSION_MAJOR * 10000 + CF_VERSION_MINOR * 100 + CF_VERSION_PATCH;
    failed += check(two_tus_b_version() == version, "two versions");

    cf_executor *executor = cf_inline_executor();
    long value = 0;
    cf_future *ours = cf_submit(executor, both_have_one, 5);
    failed += check(cf_result(ours, both_have_one, &value, CF_FOREVER) == CF_OK && value == 15, "our task");
    cf_future *theirs = two_tus_b_submit(executor, 5);
    failed += check(cf_result(theirs, both_have_one, &value, CF_FOREVER) == CF_OK && value == 10,
                    "their task, its result read by its type's name");

    /* cf__current is one variable: a task of this file fails in a function of the other. */
    cf_future *failure = cf_submit(executor, fails_over_there, 7);
    failed += check(cf_future_error(failure) == CF_ERR_FAILED, "cf_fail() in the other file");
    failed += check(cf_future_code(failure) == 7, "the code given there");

    failed += check_maps(executor);
    cf_future_release(ours);
    cf_future_release(theirs);
    cf_future_release(failure);
    cf_executor_close(executor);
    return failed != 0;
}
