/* bench/pools/workload.c - see workload.h.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

long
fib(int n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

long
wait_for_answer(int milliseconds)
{
    struct timespec left = {milliseconds / 1000, (long)(milliseconds % 1000) * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        continue; /* a signal: wait for the rest */
    return milliseconds;
}

static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

long
locked_fib(int n)
{
    pthread_mutex_lock(&library);
    long value = fib(n);
    pthread_mutex_unlock(&library);
    return value;
}

long
allocate_blocks(int count)
{
    enum { LIVE = 512 };
    unsigned char *blocks[LIVE] = {NULL};
    unsigned random = 1;
    long sum = 0;
    for (int i = 0; i < count; i++) {
        random = random * 1664525u + 1013904223u;
        unsigned char **block = &blocks[random >> 8 & (LIVE - 1)];
        size_t size = 16 + (random >> 20 & 255);
        if (*block != NULL)
            sum += **block;
        free(*block);
        *block = malloc(size);
        if (*block == NULL)
            abort();
        memset(*block, i & 127, size);
    }
    for (int i = 0; i < LIVE; i++)
        free(blocks[i]);
    return sum;
}

enum { PASSES = 8 };

double
add_to_slice(double *array, size_t first, size_t last)
{
    double sum = 0;
    for (int pass = 0; pass < PASSES; pass++)
        for (size_t i = first; i < last; i++) {
            sum += array[i];
            array[i] += 1;
        }
    return sum;
}

void
array_fill(double *array, size_t length)
{
    for (size_t i = 0; i < length; i++)
        array[i] = 1;
}

bool
array_check(const double *array, const struct workload *w, double sum)
{
    for (size_t i = 0; i < w->array_length; i++)
        if (array[i] != 1 + PASSES)
            return complain("element %zu of the array is %g, not %d", i, array[i], 1 + PASSES);
    /* 1 + 2 + ... + PASSES of each; all exact. */
    double expected = (double)w->array_length * PASSES * (PASSES + 1) / 2;
    return sum == expected || complain("the array's sum is %g, not %g", sum, expected);
}

void
crash_sometimes(long number, long *finished)
{
    if (number % CRASH_EVERY == CRASH_EVERY - 1)
        raise(SIGSEGV);
    __atomic_fetch_add(finished, 1, __ATOMIC_RELAXED);
}

bool
measure_in_child(const struct workload *w, void (*tasks_finish)(const struct workload *w, long *finished),
                 double *value)
{
    int status = 0;
    long *finished = mmap(NULL, sizeof *finished, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (finished == MAP_FAILED)
        return complain("mmap: %s", strerror(errno));
    pid_t child = fork();
    if (child == 0) {
        tasks_finish(w, finished);
        _exit(0);
    }
    bool ok = child > 0 && waitpid(child, &status, 0) == child;
    *value = (double)*finished;
    munmap(finished, sizeof *finished);
    return ok && ((WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) ||
                  complain("the process with crashing tasks ended with wait status %d", status));
}

bool
check_job(const char *who, const job *j, long sum)
{
    return sum == j->tasks * j->expected ||
           complain("%s: wrong sum %ld, expected %ld", who, sum, j->tasks * j->expected);
}
