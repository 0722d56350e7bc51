/* bench/io/python.c - Python's ThreadPoolExecutor, by python.py.
 * SPDX-License-Identifier: MIT */
#include "../support/python.h"

#include "workload.h"

const char io_script[] = "bench/io/python.py";

static bool
measure_time(const struct workload *w, double *value)
{
    return python_ask(value, io_script, "%ld %d %u", w->tasks, w->milliseconds, w->workers);
}

const contender io_executor = {.name = "ThreadPoolExecutor", .measure = {[MEASURE_TIME] = measure_time}};
