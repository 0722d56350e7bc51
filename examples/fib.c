/* examples/fib.c - a CPU-bound function on all CPUs, the results in the order of the arguments.
 * SPDX-License-Identifier: MIT
 *
 *     cc -std=gnu11 -O2 -pthread -Iinclude examples/fib.c -o fib && ./fib
 *
 * prints  fib(30) = 832040  and so on up to  fib(37) = 24157817.
 * Threads instead of processes: write cf_thread_pool for cf_process_pool; nothing else changes. */
#include <cfutures.h>

#include <stdio.h>

static long
fib(int n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}
CF_TASK(long, fib, int); /* fib may now be submitted, with checked types */

int
main(void)
{
    int n[8] = {30, 31, 32, 33, 34, 35, 36, 37};
    long value[8];

    cf_auto(cf_executor) pool = cf_process_pool(); /* a worker for each CPU; closed at the end of the scope */
    cf_err error = cf_map(pool, fib, 8, value, n);
    if (error != CF_OK) {
        fprintf(stderr, "fib: %s\n", cf_strerror(error));
        return 1;
    }
    for (int i = 0; i < 8; i++)
        printf("fib(%d) = %ld\n", n[i], value[i]);
    return 0;
}
