/* bench/process/main.c - what it costs to hand a task to a process, against Python's pools and fork().
 * SPDX-License-Identifier: MIT
 *
 *     build/bench/process                2 workers, about 40 s
 *     build/bench/process -r 7 --json process.json
 *
 * Python's rows are left out, with a word, where there is no python3. */
#include "../support/comparison.h"
#include "../support/options.h"
#include "../support/python.h"
#include "workload.h"

static const char executor[] = "ProcessPoolExecutor", mp_pool[] = "multiprocessing.Pool";

static const metric metrics[] = {
    [MEASURE_START] = {"start", "ms", "start to first results, ms", "start", .against = executor},
    [MEASURE_HOT] = {"hot_p50", "us", "round trip, median, us", "round trip", .against = executor},
    [MEASURE_IDLE] = {"idle_p50", "us", "after 100 us idle, median, us", "after idle", .against = executor},
    [MEASURE_TASKS] = {"tasks", "us", "empty tasks one by one, us/task", "tasks", .against = mp_pool},
    [MEASURE_TASKS_MANY] = {"tasks_64", "us", "the same on 64 workers, us/task", "64 workers", .against = mp_pool},
    [MEASURE_COPY] = {"copy", "GB/s", "1 MiB there and back, GB/s", "1 MiB copied", .against = executor,
                      .more_is_better = true},
    [MEASURE_IN_PLACE] = {"in_place", "GB/s", "1 MiB in place, GB/s", "in place", .against = executor,
                          .more_is_better = true},
    [MEASURE_KILLED] = {"killed", "ms", "worker killed: next task done, ms", "killed", .against = executor},
    [MEASURE_LOST] = {"lost", "tasks", "worker killed: others' tasks lost, of 100", .caption = "lost",
                      .no_ratio = true},
    [MEASURE_SETTLED_P50] = {"settled_p50", "ms", "from a worker's death: its task settled, median, ms", "settled"},
    [MEASURE_SETTLED_P99] = {"settled_p99", "ms", "    99 of 100, ms", "99 of 100"},
    [MEASURE_NEXT_P50] = {"next_p50", "ms", "    next task done, median, ms", "next"},
    [MEASURE_NEXT_P99] = {"next_p99", "ms", "    99 of 100, ms", "99 of 100"},
    [MEASURE_FULL_P50] = {"full_p50", "ms", "    all workers there again, median, ms", "full"},
    [MEASURE_FULL_P99] = {"full_p99", "ms", "    99 of 100, ms", "99 of 100"},
};

int
main(int argc, char **argv)
{
    long workers = 2;
    bench_options common = {0};
    const option_spec own[] = {
        {.letter = 'w',
         .name = "workers",
         .number = &workers,
         .min = 1,
         .max = 256,
         .argument = "W",
         .help = "processes (default: 2)"},
    };
    options_parse(argc, argv,
                  "Times the process pool of cfutures, Python's two and a fork for each task, in turns.\n"
                  "Start it from the root of the tree, where bench/process/python.py is.",
                  own, sizeof own / sizeof *own, &common);
    FILE *json = output_open(common.json), *svg = output_open(common.svg);

    machine here = machine_describe();
    struct workload w = {
        .workers = (unsigned)workers,
        .many_workers = 64,
        .tasks = common.quick ? 5000 : 50000,
        .slow_tasks = common.quick ? 200 : 2000,
        .round_trips = common.quick ? 500 : 10000,
        .idle_trips = common.quick ? 100 : 1000,
        .blocks = common.quick ? 8 : 32,
        .kills = common.quick ? 10 : 100,
        .behind = 100,
    };
    const contender *contenders[4];
    size_t count = 0;
    contenders[count++] = &process_fork;
    if (python_available(process_script)) {
        contenders[count++] = &process_executor;
        contenders[count++] = &process_mp_pool;
    }
    contenders[count++] = &process_cfutures;
    rounds r = {
        .contenders = contenders,
        .contender_count = count,
        .metrics = metrics,
        .metric_count = MEASURE_COUNT,
        .repeats = common.repeats > 0 ? (size_t)common.repeats
                   : common.quick     ? 1
                                      : 5,
    };
    if (!rounds_run(&r, &w)) {
        rounds_free(&r);
        return 1;
    }

    char title[64], subtitle[160];
    snprintf(title, sizeof title, "Tasks on %u process%s", w.workers, w.workers == 1 ? "" : "es");
    snprintf(subtitle, sizeof subtitle, "%u CPU%s, median of %zu round%s; all results checked", here.cpus,
             plural(here.cpus), r.repeats, plural((unsigned)r.repeats));
    comparison result = {
        .workload = "process",
        .title = title,
        .subtitle = subtitle,
        .note =
            "one by one: each a future, all submitted before the first is collected.  GB/s: bytes one way, once\n"
            "all workers have used the memory; in place: read and written by tasks that get pointers into it.\n"
            "killed: on one worker, from the submit of a task that kills its process to the next task's result;\n"
            "ProcessPoolExecutor must be made anew for that, multiprocessing.Pool never says what became of the\n"
            "task.  from a worker's death: it notes the time and kills itself; the next task on one worker, all\n"
            "workers on two.  ratio: to ProcessPoolExecutor, for tasks one by one to multiprocessing.Pool, round by\n"
            "round.",
        .workers = w.workers,
        .rounds = &r,
        .machine = &here,
    };
    comparison_write(&result, json, svg);
    rounds_free(&r);
    bool written = output_close(json, common.json);
    return output_close(svg, common.svg) && written ? 0 : 1;
}
