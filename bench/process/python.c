/* bench/process/python.c - Python's process pools, by python.py.
 * SPDX-License-Identifier: MIT */
#include "../support/python.h"

#include "workload.h"

const char process_script[] = "bench/process/python.py";

static bool
ask(const char *kind, const char *what, unsigned workers, long count, double *value)
{
    return python_ask(value, process_script, "%s %s %u %ld", kind, what, workers, count);
}

#define PYTHON_CONTENDER(identifier, shown, kind)                                                                      \
    static bool identifier##_start(const struct workload *w, double *value)                                            \
    {                                                                                                                  \
        return ask(kind, "start", w->workers, 0, value);                                                               \
    }                                                                                                                  \
    static bool identifier##_hot(const struct workload *w, double *value)                                              \
    {                                                                                                                  \
        return ask(kind, "hot", w->workers, w->slow_tasks / 4, value);                                                 \
    }                                                                                                                  \
    static bool identifier##_idle(const struct workload *w, double *value)                                             \
    {                                                                                                                  \
        return ask(kind, "idle", w->workers, w->slow_tasks / 4, value);                                                \
    }                                                                                                                  \
    static bool identifier##_tasks(const struct workload *w, double *value)                                            \
    {                                                                                                                  \
        return ask(kind, "tasks", w->workers, w->slow_tasks, value);                                                   \
    }                                                                                                                  \
    static bool identifier##_tasks_many(const struct workload *w, double *value)                                       \
    {                                                                                                                  \
        return ask(kind, "tasks", w->many_workers, w->slow_tasks, value);                                              \
    }                                                                                                                  \
    static bool identifier##_copy(const struct workload *w, double *value)                                             \
    {                                                                                                                  \
        return ask(kind, "copy", w->workers, w->blocks, value);                                                        \
    }                                                                                                                  \
    static bool identifier##_killed(const struct workload *w, double *value)                                           \
    {                                                                                                                  \
        return ask(kind, "killed", w->workers, 0, value);                                                              \
    }                                                                                                                  \
    static bool identifier##_lost(const struct workload *w, double *value)                                             \
    {                                                                                                                  \
        return ask(kind, "lost", w->workers, w->behind, value);                                                        \
    }                                                                                                                  \
    const contender identifier = {                                                                                     \
        .name = shown,                                                                                                 \
        .measure =                                                                                                     \
            {                                                                                                          \
                [MEASURE_START] = identifier##_start,                                                                  \
                [MEASURE_HOT] = identifier##_hot,                                                                      \
                [MEASURE_IDLE] = identifier##_idle,                                                                    \
                [MEASURE_TASKS] = identifier##_tasks,                                                                  \
                [MEASURE_TASKS_MANY] = identifier##_tasks_many,                                                        \
                [MEASURE_COPY] = identifier##_copy,                                                                    \
                [MEASURE_KILLED] = identifier##_killed,                                                                \
                [MEASURE_LOST] = identifier##_lost,                                                                    \
            },                                                                                                         \
    }

PYTHON_CONTENDER(process_executor, "ProcessPoolExecutor", "executor");
PYTHON_CONTENDER(process_mp_pool, "multiprocessing.Pool", "pool");
