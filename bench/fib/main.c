/* bench/fib/main.c - the main job people give to a pool: the same CPU-bound call K times, on W workers.
 * SPDX-License-Identifier: MIT
 *
 *     build/bench/fib                    sizes that fit this machine, about 20 s
 *     build/bench/fib -n 38 -w 4 --svg fib.svg --json fib.json
 *
 * WHAT IS TIMED  the whole job as a program pays for it: start the workers or the pool, all calls, all results, stop
 *   and free.  Contenders take turns within each round (support/rounds.h). */
#include "../support/options.h"
#include "../support/report.h"
#include "workload.h"

static const metric metrics[] = {
    [MEASURE_TIME] = {"time", "s", "time, s", .caption = "time"},
    [MEASURE_STARTUP] = {"startup", "ms", "start-up, ms", .caption = "start-up"},
    [MEASURE_TASK_COST] = {"task_cost", "us", "us per task", .caption = "per task"},
};

static const contender *const contenders[] = {&fib_serial, &fib_pthreads, &fib_threads, &fib_fork, &fib_processes};

/* The largest n with which `calls` calls in a row take at most `seconds`. */
static int
calibrate(long calls, double seconds, int largest)
{
    const double golden = 1.6180339887; /* each n takes this much longer than the one before */
    int n = 24;
    double one_call;

    /* Until a call takes long enough to be timed well; the processor reaches its full speed meanwhile. */
    do {
        int64_t start = now_ns();
        long sum = fib(++n);
        one_call = seconds_since(start);
        if (!check_sum("calibration", n, 1, sum))
            return -1;
    } while (one_call < 0.04 && n < largest);

    while (n < largest && one_call * golden * (double)calls <= seconds) {
        one_call *= golden;
        n++;
    }
    while (n > 1 && one_call * (double)calls > seconds) {
        one_call /= golden;
        n--;
    }
    return n;
}

/* Seconds that one serial round may take, so that a whole run with 7 rounds ends within 20-25 s: each of the
 * other contenders takes a part of it, 1 / CPUs. */
static double
serial_seconds(bool quick, unsigned parallel)
{
    double others = sizeof contenders / sizeof *contenders - 1;
    double fits = 2.7 / (1 + others / parallel);
    if (quick)
        return 0.1;
    return fits < 1 ? fits : 1;
}

/* The speed-up nobody can beat, and what sets it. */
static double
ideal_speed_up(const struct workload *w, unsigned cpus, char *why, size_t size)
{
    long laps = (w->calls + (long)w->workers - 1) / (long)w->workers;
    if (w->workers > cpus) {
        snprintf(why, size, "%u CPU%s", cpus, plural(cpus));
        return w->calls < (long)cpus ? (double)w->calls : cpus;
    }
    if (w->calls % (long)w->workers == 0)
        snprintf(why, size, "%u %s%s", w->workers, w->workers < cpus ? "worker" : "CPU", plural(w->workers));
    else /* some workers have nothing to do in the last lap */
        snprintf(why, size, "%ld calls on %u workers", w->calls, w->workers);
    return (double)w->calls / (double)laps;
}

int
main(int argc, char **argv)
{
    enum { LARGEST_N = 60 }; /* hours; and calls * fib(60) still fits a long */
    long n = -1, calls = 0, workers = 0;
    bench_options common = {0};
    const option_spec own[] = {
        {.letter = 'n',
         .number = &n,
         .min = 0,
         .max = LARGEST_N,
         .argument = "N",
         .help = "argument of fib (default: as fits this machine, about 1 s of serial work)"},
        {.letter = 'k',
         .name = "calls",
         .number = &calls,
         .min = 1,
         .max = 100000,
         .argument = "K",
         .help = "calls of fib(N) in a round (default: 8, rounded up to a multiple of the workers)"},
        {.letter = 'w',
         .name = "workers",
         .number = &workers,
         .min = 1,
         .max = 1024,
         .argument = "W",
         .help = "threads or processes (default: usable CPUs)"},
    };
    options_parse(argc, argv,
                  "Times K calls of fib(N): serial, raw pthreads, raw fork, and cfutures with threads and with\n"
                  "processes, in turns.  The raw ones are what the hardware can do.",
                  own, sizeof own / sizeof *own, &common);
    FILE *json = output_open(common.json), *svg = output_open(common.svg);

    machine here = machine_describe();
    struct workload w = {.workers = workers > 0 ? (unsigned)workers : here.cpus};
    /* A multiple of the workers: else the last ones idle at the end, and the bench would show that. */
    w.calls = calls > 0 ? calls : (8 + (long)w.workers - 1) / (long)w.workers * (long)w.workers;
    w.empty_tasks = common.quick ? 1000 : 10000;
    unsigned parallel = w.workers < here.cpus ? w.workers : here.cpus;
    w.n = n >= 0 ? (int)n : calibrate(w.calls, serial_seconds(common.quick, parallel), LARGEST_N);
    if (w.n < 0)
        return 1;

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

    char title[64], subtitle[160], why[64];
    snprintf(title, sizeof title, "fib(%d), %ld times, on threads and processes", w.n, w.calls);
    snprintf(subtitle, sizeof subtitle, "%u worker%s on %u CPU%s, median of %zu rounds; every sum checked", w.workers,
             plural(w.workers), here.cpus, plural(here.cpus), r.repeats);
    report result = {
        .workload = "fib",
        .title = title,
        .subtitle = subtitle,
        .note = "time: the whole job, start and stop of the workers included.  vs raw: pthreads for threads, fork\n"
                "for processes, round by round.  start-up: from nothing to the first result.  us per task: an empty\n"
                "task on running workers; raw ones only count up, cfutures submits a future and collects it.",
        .workers = w.workers,
        .ideal = ideal_speed_up(&w, here.cpus, why, sizeof why),
        .ideal_why = why,
        .rounds = &r,
        .machine = &here,
    };
    report_write(&result, json, svg);
    rounds_free(&r);
    bool written = output_close(json, common.json);
    return output_close(svg, common.svg) && written ? 0 : 1;
}
