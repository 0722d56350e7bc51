/* bench/process/cfutures.c - the process pool of cfutures.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <cfutures.h>

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { WORDS = (1 << 20) / sizeof(uint64_t), WARM_UP_PASSES = 6 };

typedef struct block { /* 1 MiB, passed by value */
    uint64_t words[WORDS];
} block;

static long
empty(long value)
{
    return value;
}
CF_TASK(long, empty, long);

static block
echo(block b)
{
    return b;
}
CF_TASK(block, echo, block);

static void
increment(block *b)
{
    for (size_t i = 0; i < WORDS; i++)
        b->words[i]++;
}
CF_TASK_VOID(increment, block *);

static void
die(void)
{
    kill(getpid(), SIGKILL);
}
CF_TASK_VOID(die);

static void
die_at(int64_t *when)
{
    *when = now_ns();
    kill(getpid(), SIGKILL);
}
CF_TASK_VOID(die_at, int64_t *);

/* Where tasks of all workers meet. */
typedef struct meeting {
    atomic_uint arrived;
    unsigned expected;
    atomic_llong complete; /* when the last one came */
} meeting;

static void
meet(meeting *m)
{
    if (atomic_fetch_add(&m->arrived, 1) + 1 == m->expected)
        atomic_store(&m->complete, now_ns());
    while (atomic_load(&m->complete) == 0) /* the CPU is needed for the worker that is still to come */
        pause_100us();
}
CF_TASK_VOID(meet, meeting *);

/* One by one, all of them outstanding before the first is collected; how many failed.  -1: a wrong result. */
static long
run_tasks(cf_executor *pool, long tasks)
{
    cf_future **futures = checked_calloc((size_t)tasks, sizeof(cf_future *));
    long failed = 0, sum = 0;
    for (long i = 0; i < tasks; i++)
        futures[i] = cf_submit(pool, empty, i);
    for (long i = 0; i < tasks; i++) {
        long value = i;
        failed += cf_result(futures[i], empty, &value, CF_FOREVER) != CF_OK;
        sum += value;
        cf_future_release(futures[i]);
    }
    free(futures);
    if (sum != tasks * (tasks - 1) / 2)
        failed = -1;
    return failed;
}

static bool
run_all(cf_executor *pool, long tasks)
{
    long failed = run_tasks(pool, tasks);
    return failed == 0 || complain("cfutures: %ld of %ld tasks failed (-1: wrong sum)", failed, tasks);
}

static bool
measure_start(const struct workload *w, double *value)
{
    int64_t start = now_ns();
    cf_auto(cf_executor) pool = cf_process_pool(.max_workers = w->workers);
    bool ok = run_all(pool, (long)w->workers);
    *value = seconds_since(start) * 1e3;
    return ok;
}

static bool
measure_trips(const struct workload *w, long trips, bool pause, double *value)
{
    cf_auto(cf_executor) pool = cf_process_pool(.max_workers = w->workers);
    double *times = checked_calloc((size_t)trips, sizeof *times);
    bool ok = run_all(pool, 100);
    for (long i = 0; ok && i < trips; i++) {
        long result = 0;
        if (pause)
            pause_100us();
        int64_t start = now_ns();
        cf_future *future = cf_submit(pool, empty, i);
        ok = cf_result(future, empty, &result, CF_FOREVER) == CF_OK && result == i;
        cf_future_release(future);
        times[i] = seconds_since(start);
    }
    *value = median_of(times, trips) * 1e6;
    free(times);
    return ok;
}

static bool
measure_hot(const struct workload *w, double *value)
{
    return measure_trips(w, w->round_trips, false, value);
}

static bool
measure_idle(const struct workload *w, double *value)
{
    return measure_trips(w, w->idle_trips, true, value);
}

static bool
measure_tasks_on(unsigned workers, long tasks, double *value)
{
    cf_auto(cf_executor) pool = cf_process_pool(.max_workers = workers);
    bool ok = run_all(pool, 4 * (long)workers);
    int64_t start = now_ns();
    ok = ok && run_all(pool, tasks);
    *value = seconds_since(start) * 1e6 / (double)tasks;
    return ok;
}

static bool
measure_tasks(const struct workload *w, double *value)
{
    return measure_tasks_on(w->workers, w->tasks, value);
}

static bool
measure_tasks_many(const struct workload *w, double *value)
{
    return measure_tasks_on(w->many_workers, w->tasks, value);
}

/* `count` blocks through echo(). */
static bool
run_echo(cf_executor *pool, const block *sent, block *received, long count, cf_future **futures)
{
    bool ok = true;
    for (long i = 0; i < count; i++)
        futures[i] = cf_submit(pool, echo, *sent);
    for (long i = 0; i < count; i++) {
        received->words[WORDS - 1] = 0;
        cf_err error = cf_result(futures[i], echo, received, CF_FOREVER);
        if (ok && error != CF_OK)
            ok = complain("cfutures: block %ld: %s", i, cf_future_message(futures[i]));
        ok = ok && (received->words[WORDS - 1] == sent->words[WORDS - 1] || complain("cfutures: a block got lost"));
        cf_future_release(futures[i]);
    }
    return ok;
}

/* The last of some passes: each worker must first have had each block of the shared memory in hand once, or what is timed
 * is page faults (2 us each in some virtual machines, and 512 of them a block). */
static bool
measure_copy(const struct workload *w, double *value)
{
    cf_auto(cf_executor) pool = cf_process_pool(.max_workers = w->workers);
    block *sent = checked_calloc(1, sizeof *sent), *received = checked_calloc(1, sizeof *received);
    cf_future **futures = checked_calloc((size_t)w->blocks, sizeof(cf_future *));
    sent->words[WORDS - 1] = 42;
    bool ok = true;
    for (int pass = 0; pass < WARM_UP_PASSES; pass++)
        ok = ok && run_echo(pool, sent, received, w->blocks, futures);
    int64_t start = now_ns();
    ok = ok && run_echo(pool, sent, received, w->blocks, futures);
    *value = (double)w->blocks * sizeof(block) / seconds_since(start) * 1e-9;
    free(futures);
    free(received);
    free(sent);
    return ok;
}

static bool
measure_in_place(const struct workload *w, double *value)
{
    size_t count = (size_t)w->blocks;
    cf_auto(cf_executor) pool = cf_process_pool(.max_workers = w->workers);
    block *blocks = cf_executor_alloc(pool, count * sizeof *blocks);
    block **pointers = checked_calloc(count, sizeof(block *));
    bool ok = blocks != NULL;

    for (size_t i = 0; ok && i < count; i++) {
        pointers[i] = &blocks[i];
        for (size_t j = 0; j < WORDS; j++)
            blocks[i].words[j] = i;
    }
    for (int pass = 0; pass < WARM_UP_PASSES; pass++) /* as above */
        ok = ok && cf_map(pool, increment, count, pointers) == CF_OK;
    int64_t start = now_ns();
    ok = ok && cf_map(pool, increment, count, pointers) == CF_OK;
    *value = (double)w->blocks * sizeof(block) / seconds_since(start) * 1e-9;
    for (size_t i = 0; ok && i < count; i++)
        for (size_t j = 0; ok && j < WORDS; j++)
            ok = blocks[i].words[j] == i + WARM_UP_PASSES + 1;
    cf_executor_free(pool, blocks);
    free(pointers);
    return ok || complain("cfutures: blocks in place came out wrong");
}

static bool
measure_killed(const struct workload *w, double *value)
{
    (void)w;
    cf_auto(cf_executor) pool = cf_process_pool(.max_workers = 1);
    bool ok = run_all(pool, 10);
    int64_t start = now_ns();
    cf_future *dies = cf_submit(pool, die);
    ok = ok && run_all(pool, 1);
    *value = seconds_since(start) * 1e3;
    ok = ok && (cf_future_wait(dies, CF_FOREVER) == CF_ERR_WORKER_LOST || complain("cfutures: the worker lives"));
    cf_future_release(dies);
    return ok;
}

static bool
measure_lost(const struct workload *w, double *value)
{
    cf_auto(cf_executor) pool = cf_process_pool(.max_workers = w->workers);
    bool ok = run_all(pool, 10) && cf_spawn(pool, die) == CF_OK;
    *value = (double)run_tasks(pool, w->behind);
    return ok;
}

/* ---- from a worker's death ---- */

/* What is timed, from `death` on; nanoseconds, or -1. */
typedef int64_t after_death(cf_executor *pool, cf_future *victim, int64_t *death, meeting *all, unsigned workers);

static int64_t
until_settled(cf_executor *pool, cf_future *victim, int64_t *death, meeting *all, unsigned workers)
{
    (void)pool;
    (void)all;
    (void)workers;
    cf_err error = cf_future_wait(victim, CF_FOREVER);
    int64_t end = now_ns();
    return error == CF_ERR_WORKER_LOST ? end - *death : -1;
}

static int64_t
until_next(cf_executor *pool, cf_future *victim, int64_t *death, meeting *all, unsigned workers)
{
    (void)all;
    (void)workers;
    bool ok = run_all(pool, 1);
    int64_t end = now_ns();
    return ok && cf_future_wait(victim, CF_FOREVER) == CF_ERR_WORKER_LOST ? end - *death : -1;
}

/* All workers, the new one among them, are at work. */
static int64_t
until_full(cf_executor *pool, cf_future *victim, int64_t *death, meeting *all, unsigned workers)
{
    atomic_store(&all->arrived, 0);
    atomic_store(&all->complete, 0);
    all->expected = workers;
    cf_future **futures = checked_calloc(workers, sizeof(cf_future *));
    for (unsigned i = 0; i < workers; i++)
        futures[i] = cf_submit(pool, meet, all);
    bool ok = cf_future_wait(victim, CF_FOREVER) == CF_ERR_WORKER_LOST;
    for (unsigned i = 0; i < workers; i++) { /* all of them, for they still look at `all` */
        ok = cf_future_wait(futures[i], CF_FOREVER) == CF_OK && ok;
        cf_future_release(futures[i]);
    }
    free(futures);
    return ok ? atomic_load(&all->complete) - *death : -1;
}

/* The quantile of that over w->kills deaths, in ms. */
static bool
measure_deaths(const struct workload *w, unsigned workers, after_death *until, double quantile, double *value)
{
    cf_auto(cf_executor) pool = cf_process_pool(.max_workers = workers);
    int64_t *death = cf_executor_alloc(pool, sizeof *death);
    meeting *all = cf_executor_alloc(pool, sizeof *all);
    double *times = checked_calloc((size_t)w->kills, sizeof *times);
    bool ok = death != NULL && all != NULL && run_all(pool, 10);
    for (long i = 0; ok && i < w->kills; i++) {
        cf_future *victim = cf_submit(pool, die_at, death);
        int64_t time = until(pool, victim, death, all, workers);
        cf_future_release(victim);
        ok = time >= 0 || complain("cfutures: after death %ld: a task went wrong", i);
        times[i] = (double)time * 1e-6;
    }
    *value = quantile_of(times, (size_t)w->kills, quantile);
    free(times);
    cf_executor_free(pool, all);
    cf_executor_free(pool, death);
    return ok;
}

static bool
measure_settled_p50(const struct workload *w, double *value)
{
    return measure_deaths(w, w->workers, until_settled, 0.5, value);
}

static bool
measure_settled_p99(const struct workload *w, double *value)
{
    return measure_deaths(w, w->workers, until_settled, 0.99, value);
}

static bool
measure_next_p50(const struct workload *w, double *value)
{
    return measure_deaths(w, 1, until_next, 0.5, value);
}

static bool
measure_next_p99(const struct workload *w, double *value)
{
    return measure_deaths(w, 1, until_next, 0.99, value);
}

static bool
measure_full_p50(const struct workload *w, double *value)
{
    return measure_deaths(w, w->workers, until_full, 0.5, value);
}

static bool
measure_full_p99(const struct workload *w, double *value)
{
    return measure_deaths(w, w->workers, until_full, 0.99, value);
}

const contender process_cfutures = {
    .name = "cfutures processes",
    .ours = true,
    .measure =
        {
            [MEASURE_START] = measure_start,
            [MEASURE_HOT] = measure_hot,
            [MEASURE_IDLE] = measure_idle,
            [MEASURE_TASKS] = measure_tasks,
            [MEASURE_TASKS_MANY] = measure_tasks_many,
            [MEASURE_COPY] = measure_copy,
            [MEASURE_IN_PLACE] = measure_in_place,
            [MEASURE_KILLED] = measure_killed,
            [MEASURE_LOST] = measure_lost,
            [MEASURE_SETTLED_P50] = measure_settled_p50,
            [MEASURE_SETTLED_P99] = measure_settled_p99,
            [MEASURE_NEXT_P50] = measure_next_p50,
            [MEASURE_NEXT_P99] = measure_next_p99,
            [MEASURE_FULL_P50] = measure_full_p50,
            [MEASURE_FULL_P99] = measure_full_p99,
        },
};
