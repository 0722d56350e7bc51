/* bench/pools/workload.h - the kinds of work that tell threads from processes.
 * SPDX-License-Identifier: MIT
 *
 * Each is cut into tasks, which do the same whoever runs them; a task is a function and a number. */
#ifndef BENCH_POOLS_WORKLOAD_H
#define BENCH_POOLS_WORKLOAD_H

#include "../support/rounds.h"

enum { MEASURE_CPU, MEASURE_IO, MEASURE_LOCK, MEASURE_ALLOCATION, MEASURE_ARRAY, MEASURE_CRASH, MEASURE_COUNT };

typedef long work(int argument);

/* Some equal tasks, and what each must return. */
typedef struct job {
    work *function;
    int argument;
    long tasks;
    long expected;
} job;

struct workload {
    unsigned workers;    /* as many as CPUs */
    unsigned io_workers; /* one for each wait */
    job cpu, io, lock, allocation;
    size_t array_length;
    long slices;      /* the array is worked on by so many tasks */
    long crash_tasks; /* every CRASH_EVERY-th crashes */
};

enum { CRASH_EVERY = 20 };

/** All CPU. */
long fib(int n);

/** All waiting; returns `milliseconds`. */
long wait_for_answer(int milliseconds);

/** fib() as a library has it that isn't thread-safe: whoever calls it holds a lock, one for the whole program. */
long locked_fib(int n);

/** Many small blocks, allocated and freed in a mixed order; returns a sum over them. */
long allocate_blocks(int count);

/** Add 1 to elements first to last - 1 of `array`, some times; returns the sum of what was there. */
double add_to_slice(double *array, size_t first, size_t last);

/** Fill the array for a round, and check it afterwards. */
void array_fill(double *array, size_t length);
bool array_check(const double *array, const struct workload *w, double sum);

/** A task among which every CRASH_EVERY-th raises SIGSEGV; counts itself at `finished` if it comes so far. */
void crash_sometimes(long number, long *finished);

/** Run `tasks_finish` in a child, as it ends the process; in `*value` how many tasks had finished then.  False, with
 * a message, if the child doesn't end by SIGSEGV. */
bool measure_in_child(const struct workload *w, void (*tasks_finish)(const struct workload *w, long *finished),
                      double *value);

/** Whether `sum` is what all tasks of the job return together. */
bool check_job(const char *who, const job *j, long sum);

extern const contender pools_serial, pools_threads, pools_processes;

#endif
