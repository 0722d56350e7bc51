/* bench/fib/workload.c - see workload.h.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

long
fib(int n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

bool
check_sum(const char *who, int n, long calls, long sum)
{
    long a = 0, b = 1;
    for (int i = 0; i < n; i++) {
        long next = a + b;
        a = b;
        b = next;
    }
    return sum == calls * a ||
           complain("%s: wrong sum %ld of %ld x fib(%d), expected %ld", who, sum, calls, n, calls * a);
}
