/* bench/forkjoin/main.c - fork and join inside a task: what a spawn costs where there are very many.
 * SPDX-License-Identifier: MIT
 *
 *     build/bench/forkjoin               fib(27), a task for each call, on 2 workers
 *     build/bench/forkjoin -n 30 -w 4 --json forkjoin.json */
#include "../support/comparison.h"
#include "../support/options.h"
#include "workload.h"

static const metric metrics[] = {
    [MEASURE_SPAWN] = {"spawn", "ns", "spawn and join, ns", "spawn", .against = "OpenMP tasks"},
};

int
main(int argc, char **argv)
{
    long n = 0, workers = 2;
    bench_options common = {0};
    const option_spec own[] = {
        {.letter = 'n',
         .number = &n,
         .min = 2,
         .max = 50,
         .argument = "N",
         .help = "argument of fib (default: 27, quick: 18)"},
        {.letter = 'w',
         .name = "workers",
         .number = &workers,
         .min = 1,
         .max = 256,
         .argument = "W",
         .help = "threads (default: 2)"},
    };
    options_parse(argc, argv, "Times fib(N) with a task for each call: serial, OpenMP, cfutures, in turns.", own,
                  sizeof own / sizeof *own, &common);
    FILE *json = output_open(common.json), *svg = output_open(common.svg);

    machine here = machine_describe();
    struct workload w = {
        .n = n > 0          ? (int)n
             : common.quick ? 18
                            : 27,
        .workers = (unsigned)workers,
    };
    const contender *contenders[8];
    size_t count = 0;
    contenders[count++] = &forkjoin_serial;
    if (openmp_available())
        contenders[count++] = &forkjoin_openmp;
    contenders[count++] = &forkjoin_futures;
    contenders[count++] = &forkjoin_children;
    rounds r = {
        .contenders = contenders,
        .contender_count = count,
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

    char title[64], subtitle[160];
    snprintf(title, sizeof title, "fib(%d), a task for each call", w.n);
    snprintf(subtitle, sizeof subtitle, "%u thread%s on %u CPU%s, median of %zu rounds; every result checked",
             w.workers, plural(w.workers), here.cpus, plural(here.cpus), r.repeats);
    comparison result = {
        .workload = "forkjoin",
        .title = title,
        .subtitle = subtitle,
        .note = "Time over the number of spawns; no cutoff.  ratio: to OpenMP's tasks, round by round.",
        .workers = w.workers,
        .rounds = &r,
        .machine = &here,
    };
    comparison_write(&result, json, svg);
    rounds_free(&r);
    bool written = output_close(json, common.json);
    return output_close(svg, common.svg) && written ? 0 : 1;
}
