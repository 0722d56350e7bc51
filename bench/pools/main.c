/* bench/pools/main.c - which pool?  The same work serially, on threads and on processes.
 * SPDX-License-Identifier: MIT
 *
 *     build/bench/pools                  about 20 s
 *     build/bench/pools -w 4 --svg pools.svg --json pools.json
 *
 * WHAT IS TIMED  the tasks, on a pool whose workers are there. */
#include "../support/comparison.h"
#include "../support/options.h"
#include "workload.h"

#include <sys/resource.h>

static const metric metrics[] = {
    [MEASURE_CPU] = {"cpu", "ms", "CPU-bound: fib, ms", .caption = "CPU-bound"},
    [MEASURE_IO] = {"io", "ms", "I/O-bound: waits, on 8 workers, ms", .caption = "I/O-bound"},
    [MEASURE_LOCK] = {"lock", "ms", "one lock around each call, ms", .caption = "one lock"},
    [MEASURE_ALLOCATION] = {"allocation", "ms", "malloc and free, ms", .caption = "malloc"},
    [MEASURE_ARRAY] = {"array", "ms", "one array for all tasks, ms", .caption = "one array"},
    [MEASURE_CRASH] = {"crash", "tasks", "every 20th task crashes: of 100 finish", .caption = "crash",
                       .no_ratio = true},
};

static const contender *const contenders[] = {&pools_serial, &pools_threads, &pools_processes};

int
main(int argc, char **argv)
{
    long workers = 0;
    bench_options common = {0};
    const option_spec own[] = {
        {.letter = 'w',
         .name = "workers",
         .number = &workers,
         .min = 1,
         .max = 256,
         .argument = "W",
         .help = "threads or processes (default: usable CPUs)"},
    };
    options_parse(argc, argv, "Times six kinds of work: serially, on a thread pool, on a process pool, in turns.", own,
                  sizeof own / sizeof *own, &common);
    FILE *json = output_open(common.json), *svg = output_open(common.svg);

    /* Some tasks crash on purpose. */
    const struct rlimit no_core = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &no_core);

    machine here = machine_describe();
    unsigned crew = workers > 0 ? (unsigned)workers : here.cpus;
    int n = common.quick ? 28 : 34, allocations = common.quick ? 10000 : 200000, wait_ms = common.quick ? 5 : 20;
    struct workload w = {
        .workers = crew,
        .io_workers = 8,
        .cpu = {fib, n, 8 * (long)crew, fib(n)},
        .io = {wait_for_answer, wait_ms, 8, wait_ms},
        .lock = {locked_fib, n, 8 * (long)crew, fib(n)},
        .allocation = {allocate_blocks, allocations, 8 * (long)crew, allocate_blocks(allocations)},
        .array_length = common.quick ? 100000 : 2000000,
        .slices = 8 * (long)crew,
        .crash_tasks = 100,
    };
    rounds r = {
        .contenders = contenders,
        .contender_count = sizeof contenders / sizeof *contenders,
        .metrics = metrics,
        .metric_count = MEASURE_COUNT,
        .repeats = common.repeats > 0 ? (size_t)common.repeats
                   : common.quick     ? 3
                                      : 7,
    };
    if (!rounds_run(&r, &w)) {
        rounds_free(&r);
        return 1;
    }

    char subtitle[160];
    snprintf(subtitle, sizeof subtitle, "%u worker%s on %u CPU%s, median of %zu rounds; every result checked",
             w.workers, plural(w.workers), here.cpus, plural(here.cpus), r.repeats);
    comparison result = {
        .workload = "pools",
        .title = "Which pool? The same work serially, on threads, on processes",
        .subtitle = subtitle,
        .note = "one lock: a library that isn't thread-safe, each call of it under one lock.  one array: read and\n"
                "written in place, in memory from cf_executor_alloc().  crash: what was finished when the program\n"
                "died of it, in a child made for that; processes lose the tasks that crash and no others.",
        .speed_up = true,
        .workers = w.workers,
        .rounds = &r,
        .machine = &here,
    };
    comparison_write(&result, json, svg);
    /* Two CPUs that others use as well show nobody's speed-up. */
    summary reached =
        summarize_ratio(rounds_samples(&r, 0, MEASURE_CPU), rounds_samples(&r, 2, MEASURE_CPU), r.repeats);
    if (reached.median < 0.75 * (crew < here.cpus ? crew : here.cpus))
        complain("careful: fib on processes reached only %.2f: the machine was busy, or the work is too small",
                 reached.median);
    rounds_free(&r);
    bool written = output_close(json, common.json);
    return output_close(svg, common.svg) && written ? 0 : 1;
}
