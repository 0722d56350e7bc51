/* bench/map/main.c - a map over an array: what it costs for each element.
 * SPDX-License-Identifier: MIT
 *
 *     build/bench/map                    a million elements of about 18 ns
 *     build/bench/map --medium           50,000 elements of about 1 us; bench/run.sh runs both
 *
 * WHAT IS TIMED  the map; threads and processes are there before.  `efficiency` is (serial / workers) / time. */
#include "../support/options.h"
#include "../support/raw.h"
#include "../support/report.h"
#include "workload.h"

#include <stdlib.h>

static const metric metrics[] = {[MEASURE_TIME] = {"time", "s", "time, s", "time"}};

int
main(int argc, char **argv)
{
    long count = 0, workers = 0;
    bool medium = false;
    bench_options common = {0};
    machine here = machine_describe();
    const option_spec own[] = {
        {.letter = 'k',
         .name = "elements",
         .number = &count,
         .min = 1,
         .max = 1000000000,
         .argument = "K",
         .help = "elements of the array (default: 1000000, medium: 50000; quick: a tenth)"},
        {.name = "medium", .flag = &medium, .help = "elements of about 1 us (default: about 18 ns)"},
        {.letter = 'w',
         .name = "workers",
         .number = &workers,
         .min = 1,
         .max = 256,
         .argument = "W",
         .help = "threads or processes (default: CPUs)"},
    };
    options_parse(argc, argv, "Times a map over an array: serial, OpenMP, cfutures threads and processes, in turns.",
                  own, sizeof own / sizeof *own, &common);
    FILE *json = output_open(common.json), *svg = output_open(common.svg);

    struct workload w = {.medium = medium, .workers = workers > 0 ? (unsigned)workers : here.cpus};
    w.count = count > 0 ? (size_t)count : (medium ? 50000u : 1000000u) / (common.quick ? 10 : 1);
    w.in = checked_calloc(w.count, sizeof *w.in);
    w.out = checked_calloc(w.count, sizeof *w.out);
    for (size_t i = 0; i < w.count; i++) {
        w.in[i] = i;
        w.expected += (medium ? mix_medium(i) : mix_tiny(i)) * (i + 1);
    }
    const contender *contenders[4];
    size_t contender_count = 0;
    contenders[contender_count++] = &map_serial;
    if (openmp_available())
        contenders[contender_count++] = &map_openmp;
    contenders[contender_count++] = &map_threads;
    contenders[contender_count++] = &map_processes;
    rounds r = {
        .contenders = contenders,
        .contender_count = contender_count,
        .metrics = metrics,
        .metric_count = MEASURE_COUNT,
        .repeats = common.repeats > 0 ? (size_t)common.repeats
                   : common.quick     ? 3
                                      : 11,
    };
    bool measured = rounds_run(&r, &w);
    if (measured) {
        char title[64], subtitle[160], why[48];
        snprintf(title, sizeof title, "map over %zu elements of about %s", w.count, medium ? "1 us" : "18 ns");
        snprintf(subtitle, sizeof subtitle, "%u worker%s on %u CPU%s, median of %zu rounds; every answer checked",
                 w.workers, plural(w.workers), here.cpus, plural(here.cpus), r.repeats);
        snprintf(why, sizeof why, "%u worker%s", w.workers, plural(w.workers));
        report result = {
            .workload = medium ? "map-medium" : "map-tiny",
            .title = title,
            .subtitle = subtitle,
            .note = "time: the map alone; threads and processes are there before.",
            .workers = w.workers,
            .ideal = w.workers < here.cpus ? w.workers : here.cpus,
            .ideal_why = why,
            .rounds = &r,
            .machine = &here,
        };
        report_write(&result, json, svg);
    }
    rounds_free(&r);
    free(w.in);
    free(w.out);
    bool written = output_close(json, common.json);
    return output_close(svg, common.svg) && written && measured ? 0 : 1;
}
