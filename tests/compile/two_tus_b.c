/* tests/compile/two_tus_b.c - the second of two files that both include the library; see two_tus_a.c.
 * SPDX-License-Identifier: MIT */
#include <cfutures.h>

#include "two_tus.h"

const char *
two_tus_b_text(cf_err error)
{
    return cf_strerror(error);
}

int
two_tus_b_version(void)
{
    return CF_VERSION_MAJOR * 10000 + CF_VERSION_MINOR * 100 + CF_VERSION_PATCH;
}

long
two_tus_b_fail(int code)
{
    return cf_fail(code, "as the other file said") ? code : -1;
}

static long
both_have_one(int n)
{
    return 2 * n;
}
CF_TASK(long, both_have_one, int);

cf_future *
two_tus_b_submit(cf_executor *executor, int n)
{
    return cf_submit(executor, both_have_one, n);
}
