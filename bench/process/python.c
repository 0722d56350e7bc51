/* bench/process/python.c - Python's process pools, by python.py.
 * SPDX-License-Identifier: MIT
 *
 * The script times itself: the interpreter's own start isn't part of any figure. */
#include "workload.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define SCRIPT "bench/process/python.py" /* from the root of the tree, where bench/run.sh starts us */

bool
python_available(void)
{
    if (access(SCRIPT, R_OK) != 0)
        return complain("left out: Python's pools; " SCRIPT " isn't to be found from here");
    if (system("python3 -c 'import concurrent.futures, multiprocessing' >/dev/null 2>&1") != 0)
        return complain("left out: Python's pools; there is no python3 that has them");
    return true;
}

/* What the script prints for the figure `what` of the pool `kind`. */
static bool
ask(const char *kind, const char *what, unsigned workers, long count, double *value)
{
    char command[160], answer[64] = "", *end = answer;
    snprintf(command, sizeof command, "exec python3 " SCRIPT " %s %s %u %ld", kind, what, workers, count);
    FILE *script = popen(command, "r");
    if (script == NULL)
        return complain("can't start: %s", command);
    if (fgets(answer, sizeof answer, script) != NULL)
        *value = strtod(answer, &end);
    return (pclose(script) == 0 && end != answer) || complain("failed: %s", command);
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
