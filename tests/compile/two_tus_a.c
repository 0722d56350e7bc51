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

    cf_future_release(ours);
    cf_future_release(theirs);
    cf_future_release(failure);
    cf_executor_close(executor);
    return failed != 0;
}
