/* bench/tasks/main.c - what it costs to hand a task to a thread, and to get its result.
 * SPDX-License-Identifier: MIT
 *
 *     build/bench/tasks                  a million tasks on 2 workers, about 40 s
 *     build/bench/tasks -k 100000 -w 4 --json tasks.json
 *
 * The tasks do nothing, so that only the pool is seen.  Every result, or that every task has run, is checked. */
#include "../support/comparison.h"
#include "../support/options.h"
#include "workload.h"

static const metric metrics[] = {
    [MEASURE_FUTURES] = {"futures", "ns", "submit, then collect, ns/task", .caption = "submit, collect"},
    [MEASURE_SPAWN] = {"spawn", "ns", "spawn, wait for all, ns/task", .caption = "spawn"},
    [MEASURE_MEMORY] = {"memory", "bytes", "pending task with future, bytes", .caption = "memory"},
    [MEASURE_HOT_P50] = {"hot_p50", "us", "round trip, median, us", .caption = "round trip"},
    [MEASURE_HOT_P99] = {"hot_p99", "us", "round trip, 99 of 100, us", .caption = "99 of 100"},
    [MEASURE_IDLE_P50] = {"idle_p50", "us", "after 100 us idle, median, us", .caption = "after idle"},
    [MEASURE_IDLE_CPU] = {"idle_cpu", "CPUs", "CPUs in use while idle", .caption = "idle", .no_ratio = true},
};

static const contender *const contenders[] = {&tasks_mutex, &tasks_cfutures};

int
main(int argc, char **argv)
{
    long tasks = 0, workers = 2;
    bench_options common = {0};
    const option_spec own[] = {
        {.letter = 'k',
         .name = "tasks",
         .number = &tasks,
         .min = 1,
         .max = 100000000,
         .argument = "K",
         .help = "tasks at once (default: 1000000, quick: 20000)"},
        {.letter = 'w',
         .name = "workers",
         .number = &workers,
         .min = 1,
         .max = 256,
         .argument = "W",
         .help = "threads (default: 2)"},
    };
    options_parse(argc, argv, "Times empty tasks on a textbook thread pool and on cfutures, in turns.", own,
                  sizeof own / sizeof *own, &common);
    FILE *json = output_open(common.json), *svg = output_open(common.svg);

    machine here = machine_describe();
    struct workload w = {
        .workers = (unsigned)workers,
        .tasks = tasks > 0      ? tasks
                 : common.quick ? 20000
                                : 1000000,
        .round_trips = common.quick ? 500 : 5000,
        .idle_trips = common.quick ? 100 : 1000,
        .idle_ms = common.quick ? 20 : 250,
    };
    rounds r = {
        .contenders = contenders,
        .contender_count = sizeof contenders / sizeof *contenders,
        .metrics = metrics,
        .metric_count = MEASURE_COUNT,
        .repeats = common.repeats > 0 ? (size_t)common.repeats
                   : common.quick     ? 3
                                      : 5,
    };
    if (!rounds_run(&r, &w)) {
        rounds_free(&r);
        return 1;
    }

    char title[64], subtitle[160];
    snprintf(title, sizeof title, "Empty tasks on %u thread%s", w.workers, plural(w.workers));
    snprintf(subtitle, sizeof subtitle, "%ld tasks at once, %u CPU%s, median of %zu rounds; all results checked",
             w.tasks, here.cpus, plural(here.cpus), r.repeats);
    comparison result = {
        .workload = "tasks",
        .title = title,
        .subtitle = subtitle,
        .note = "mutex pool: one pthread mutex, a condition variable, a malloc'd task, a future with a mutex and a\n"
                "condition variable of its own.  submit, then collect: one thread submits all, then collects all.\n"
                "Both in memory that the system had at hand.  bytes: resident memory, while the workers are held.\n"
                "ratio: to the mutex pool, round by round.",
        .workers = w.workers,
        .rounds = &r,
        .machine = &here,
    };
    comparison_write(&result, json, svg);
    rounds_free(&r);
    bool written = output_close(json, common.json);
    return output_close(svg, common.svg) && written ? 0 : 1;
}
