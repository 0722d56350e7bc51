/* bench/tasks/workload.h - tasks that do nothing: what a thread pool itself costs.
 * SPDX-License-Identifier: MIT
 *
 * A contender is a pool: the few operations of task_pool, each a whole loop, so that none pays for an indirect call
 * per task.  What is measured with them is the same code for all. */
#ifndef BENCH_TASKS_WORKLOAD_H
#define BENCH_TASKS_WORKLOAD_H

#include "../support/rounds.h"

#include <pthread.h>

struct workload {
    unsigned workers;
    long tasks;       /* at once, for throughput and memory */
    long round_trips; /* one after the other, without a pause */
    long idle_trips;  /* one after the other, with 100 us between */
    long idle_ms;     /* how long an idle pool is watched */
};

enum {
    MEASURE_FUTURES,
    MEASURE_SPAWN,
    MEASURE_MEMORY,
    MEASURE_HOT_P50,
    MEASURE_HOT_P99,
    MEASURE_IDLE_P50,
    MEASURE_IDLE_CPU,
    MEASURE_COUNT
};

/* ---- the tasks ---- */

/* A gate that keeps workers busy until it is opened. */
typedef struct gate {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool open;
    unsigned inside;
} gate;

/** Returns its argument. */
long empty_task(long value);

/** Counts that it ran, in a counter of the thread that runs it. */
void counted_task(void);

/** Waits until the gate is open. */
void gated_task(gate *g);

/* ---- a contender ---- */

typedef struct task_pool {
    void *(*open)(unsigned workers); /* NULL after a message */
    void (*close)(void *pool);       /* nothing is pending */
    /* Submit empty_task(0), ..., empty_task(tasks - 1), call `between` if it isn't NULL, then collect all results in
     * that order; their sum, or -1 after a message.  `futures` has room for `tasks` pointers. */
    long (*submit_and_collect)(void *pool, long tasks, void **futures, void (*between)(void *), void *context);
    /* Have counted_task() run `tasks` times, without futures, and return when all have.  The pool may be unusable
     * afterwards, except for close. */
    bool (*spawn_and_wait)(void *pool, long tasks);
    /* Have one worker in gated_task(). */
    bool (*occupy)(void *pool, gate *g);
} task_pool;

bool measure_futures(const task_pool *kind, const struct workload *w, double *value);
bool measure_spawn(const task_pool *kind, const struct workload *w, double *value);
bool measure_memory(const task_pool *kind, const struct workload *w, double *value);
bool measure_hot(const task_pool *kind, const struct workload *w, double quantile, double *value);
bool measure_idle(const task_pool *kind, const struct workload *w, double *value);
bool measure_idle_cpu(const task_pool *kind, const struct workload *w, double *value);

/* A contender called `shown`, all of whose measures use the task_pool `kind`. */
#define TASKS_CONTENDER(identifier, shown, is_ours, kind)                                                              \
    static bool identifier##_futures(const struct workload *w, double *value)                                          \
    {                                                                                                                  \
        return measure_futures(&(kind), w, value);                                                                     \
    }                                                                                                                  \
    static bool identifier##_spawn(const struct workload *w, double *value)                                            \
    {                                                                                                                  \
        return measure_spawn(&(kind), w, value);                                                                       \
    }                                                                                                                  \
    static bool identifier##_memory(const struct workload *w, double *value)                                           \
    {                                                                                                                  \
        return measure_memory(&(kind), w, value);                                                                      \
    }                                                                                                                  \
    static bool identifier##_hot_p50(const struct workload *w, double *value)                                          \
    {                                                                                                                  \
        return measure_hot(&(kind), w, 0.5, value);                                                                    \
    }                                                                                                                  \
    static bool identifier##_hot_p99(const struct workload *w, double *value)                                          \
    {                                                                                                                  \
        return measure_hot(&(kind), w, 0.99, value);                                                                   \
    }                                                                                                                  \
    static bool identifier##_idle_p50(const struct workload *w, double *value)                                         \
    {                                                                                                                  \
        return measure_idle(&(kind), w, value);                                                                        \
    }                                                                                                                  \
    static bool identifier##_idle_cpu(const struct workload *w, double *value)                                         \
    {                                                                                                                  \
        return measure_idle_cpu(&(kind), w, value);                                                                    \
    }                                                                                                                  \
    const contender identifier = {                                                                                     \
        .name = shown,                                                                                                 \
        .ours = is_ours,                                                                                               \
        .measure =                                                                                                     \
            {                                                                                                          \
                [MEASURE_FUTURES] = identifier##_futures,                                                              \
                [MEASURE_SPAWN] = identifier##_spawn,                                                                  \
                [MEASURE_MEMORY] = identifier##_memory,                                                                \
                [MEASURE_HOT_P50] = identifier##_hot_p50,                                                              \
                [MEASURE_HOT_P99] = identifier##_hot_p99,                                                              \
                [MEASURE_IDLE_P50] = identifier##_idle_p50,                                                            \
                [MEASURE_IDLE_CPU] = identifier##_idle_cpu,                                                            \
            },                                                                                                         \
    }

extern const contender tasks_mutex, tasks_cfutures;

#endif
