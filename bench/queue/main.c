/* bench/queue/main.c - what an item costs on its way through a bounded queue, with 1, 2 and 4 threads at each end.
 * SPDX-License-Identifier: MIT
 *
 *     build/bench/queue
 *     build/bench/queue -n 10000000 -c 16 --json queue.json
 *
 * Each row of the textbook's queue is followed by ours in the same setting; they take turns within each round
 * (support/rounds.h), so their ratio is worth more than either figure. */
#include "../support/options.h"
#include "../support/report.h"
#include "workload.h"

static const metric metrics[] = {{"item", "ns", "ns/item", "per item"}};

#define ROWS(X) X(1) X(2) X(4)
#define ROW(n)                                                                                                         \
    static bool measure_mutex_ring_##n(const struct workload *w, double *value)                                        \
    {                                                                                                                  \
        return measure_flow(&queue_mutex_ring, w, n, value);                                                           \
    }                                                                                                                  \
    static bool measure_cfutures_##n(const struct workload *w, double *value)                                          \
    {                                                                                                                  \
        return measure_flow(&queue_cfutures, w, n, value);                                                             \
    }                                                                                                                  \
    static const contender mutex_ring_##n = {.name = "mutex ring " #n ":" #n, .measure = {measure_mutex_ring_##n}};    \
    static const contender cfutures_##n = {.name = "cfutures " #n ":" #n,                                              \
                                           .against = "mutex ring " #n ":" #n,                                         \
                                           .ours = true,                                                               \
                                           .measure = {measure_cfutures_##n}};
ROWS(ROW)

#define CONTENDERS(n) &mutex_ring_##n, &cfutures_##n,
static const contender *const contenders[] = {ROWS(CONTENDERS)};

int
main(int argc, char **argv)
{
    enum { LAPS = 4 }; /* the number of items is a multiple of all rows' producers */
    long items = 0, capacity = 1024;
    bench_options common = {0};
    const option_spec own[] = {
        {.letter = 'n',
         .name = "items",
         .number = &items,
         .min = LAPS,
         .max = 1000000000,
         .argument = "N",
         .help = "items in a round (default: 1000000, quick: 50000)"},
        {.letter = 'c',
         .name = "capacity",
         .number = &capacity,
         .min = 1,
         .max = 1 << 24,
         .argument = "C",
         .help = "items that the queue holds (default: 1024)"},
    };
    options_parse(
        argc, argv,
        "Times N items of 8 bytes through a bounded queue that blocks, with 1, 2 and 4 producers and as many\n"
        "consumers: a ring under a mutex with two condition variables, and cfutures, in turns.",
        own, sizeof own / sizeof *own, &common);
    FILE *json = output_open(common.json), *svg = output_open(common.svg);

    machine here = machine_describe();
    struct workload w = {
        .items = (uint64_t)(items > 0      ? items
                            : common.quick ? 50000
                                           : 1000000) /
                 LAPS * LAPS,
        .capacity = (size_t)capacity,
    };
    rounds r = {
        .contenders = contenders,
        .contender_count = sizeof contenders / sizeof *contenders,
        .metrics = metrics,
        .metric_count = 1,
        .repeats = common.repeats > 0 ? (size_t)common.repeats
                   : common.quick     ? 3
                                      : 9,
    };
    if (!rounds_run(&r, &w)) {
        rounds_free(&r);
        return 1;
    }

    char subtitle[160];
    snprintf(subtitle, sizeof subtitle,
             "%llu items of 8 bytes, capacity %zu, %u CPU%s, median of %zu rounds; sums checked",
             (unsigned long long)w.items, w.capacity, here.cpus, plural(here.cpus), r.repeats);
    report result = {
        .workload = "queue",
        .title = "Items through a bounded queue that blocks, producers:consumers",
        .subtitle = subtitle,
        .note = "vs raw: against the mutex ring with as many threads, round by round; 2 means: takes half the time.\n"
                "speed-up: against the first row.",
        .axis = "speed-up over a mutex ring, 1:1 (longer is better; whiskers: slowest and fastest round)",
        .workers = 1,
        .ideal_why = "",
        .rounds = &r,
        .machine = &here,
    };
    report_write(&result, json, svg);
    rounds_free(&r);
    bool written = output_close(json, common.json);
    return output_close(svg, common.svg) && written ? 0 : 1;
}
