/* bench/io/main.c - tasks that wait, on more threads than there are CPUs.
 * SPDX-License-Identifier: MIT
 *
 *     build/bench/io                     20 waits of 50 ms on 20 threads
 *     build/bench/io -k 100 --ms 20 -w 10 --json io.json
 *
 * WHAT IS TIMED  the whole job: start the threads or the pool, all waits, stop and free. */
#include "../support/options.h"
#include "../support/python.h"
#include "../support/report.h"
#include "workload.h"

static const metric metrics[] = {[MEASURE_TIME] = {"time", "s", "time, s", .caption = "time"}};

int
main(int argc, char **argv)
{
    long tasks = 20, milliseconds = 0, workers = 0;
    bench_options common = {0};
    const option_spec own[] = {
        {.letter = 'k',
         .name = "tasks",
         .number = &tasks,
         .min = 1,
         .max = 100000,
         .argument = "K",
         .help = "waits in a round (default: 20)"},
        {.name = "ms",
         .number = &milliseconds,
         .min = 1,
         .max = 60000,
         .argument = "MS",
         .help = "length of a wait in milliseconds (default: 50, quick: 10)"},
        {.letter = 'w',
         .name = "workers",
         .number = &workers,
         .min = 1,
         .max = 256,
         .argument = "W",
         .help = "threads (default: one for each wait, at most 256)"},
    };
    options_parse(argc, argv,
                  "Times K tasks that wait MS milliseconds each: serial, raw pthreads, Python's threads, cfutures "
                  "threads, in turns.\n"
                  "Start it from the root of the tree, where bench/io/python.py is.",
                  own, sizeof own / sizeof *own, &common);
    FILE *json = output_open(common.json), *svg = output_open(common.svg);

    machine here = machine_describe();
    struct workload w = {
        .tasks = tasks,
        .milliseconds = milliseconds > 0 ? (int)milliseconds
                        : common.quick   ? 10
                                         : 50,
    };
    w.workers = (unsigned)(workers > 0 ? workers : tasks < 256 ? tasks : 256);
    const contender *contenders[4];
    size_t count = 0;
    contenders[count++] = &io_serial;
    contenders[count++] = &io_pthreads;
    if (python_available(io_script))
        contenders[count++] = &io_executor;
    contenders[count++] = &io_threads;
    rounds r = {
        .contenders = contenders,
        .contender_count = count,
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

    /* The last lap of the threads may be a short one, and takes as long as the others. */
    long laps = (w.tasks + (long)w.workers - 1) / (long)w.workers;
    char title[64], subtitle[160], why[48];
    snprintf(title, sizeof title, "%ld tasks that wait %d ms", w.tasks, w.milliseconds);
    snprintf(subtitle, sizeof subtitle, "%u thread%s on %u CPU%s, median of %zu rounds; every answer checked",
             w.workers, plural(w.workers), here.cpus, plural(here.cpus), r.repeats);
    snprintf(why, sizeof why, "%u thread%s", w.workers, plural(w.workers));
    report result = {
        .workload = "io",
        .title = title,
        .subtitle = subtitle,
        .note = "time: the whole job, start and stop of the threads included.",
        .workers = w.workers,
        .ideal = (double)w.tasks / (double)laps,
        .ideal_why = why,
        .rounds = &r,
        .machine = &here,
    };
    report_write(&result, json, svg);
    rounds_free(&r);
    bool written = output_close(json, common.json);
    return output_close(svg, common.svg) && written ? 0 : 1;
}
