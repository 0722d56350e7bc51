/* bench/tasks/workload.c - see workload.h.
 * SPDX-License-Identifier: MIT */
#include "workload.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* ---- the tasks ---- */

/* One counter a thread, each on its own cache lines: a common one would cost as much as the fastest pools.  Atomic,
 * because threads beyond the last slot share. */
enum { SLOTS = 64 };
static struct {
    _Alignas(128) atomic_long count;
} counters[SLOTS];
static atomic_uint slots_given;

long
empty_task(long value)
{
    return value;
}

void
counted_task(void)
{
    static _Thread_local unsigned slot; /* + 1; 0: none yet */
    if (slot == 0)
        slot = atomic_fetch_add(&slots_given, 1) % SLOTS + 1;
    /* relaxed: it's read when the pool says that all tasks are done. */
    atomic_fetch_add_explicit(&counters[slot - 1].count, 1, memory_order_relaxed);
}

static long
counted(void)
{
    long sum = 0;
    for (int i = 0; i < SLOTS; i++)
        sum += atomic_load(&counters[i].count);
    return sum;
}

void
gated_task(gate *g)
{
    pthread_mutex_lock(&g->mutex);
    g->inside++;
    pthread_cond_broadcast(&g->changed);
    while (!g->open)
        pthread_cond_wait(&g->changed, &g->mutex);
    g->inside--;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

static void
open_gate(gate *g)
{
    pthread_mutex_lock(&g->mutex);
    g->open = true;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->mutex);
}

static void
wait_until_inside(gate *g, unsigned count)
{
    pthread_mutex_lock(&g->mutex);
    while (g->inside != count)
        pthread_cond_wait(&g->changed, &g->mutex);
    pthread_mutex_unlock(&g->mutex);
}

/* ---- what is measured ---- */

/* Submit and collect, with the sum checked. */
static bool
run_tasks(const task_pool *kind, void *pool, long tasks, void **futures, void (*between)(void *), void *context)
{
    long sum = kind->submit_and_collect(pool, tasks, futures, between, context);
    return sum == tasks * (tasks - 1) / 2 || complain("wrong sum %ld of %ld empty tasks", sum, tasks);
}

/* A pool whose workers are there and have run. */
static void *
open_warm(const task_pool *kind, const struct workload *w)
{
    enum { WARM_UP = 1000 };
    void *futures[WARM_UP];
    void *pool = kind->open(w->workers);
    if (pool != NULL && !run_tasks(kind, pool, WARM_UP, futures, NULL, NULL)) {
        kind->close(pool);
        return NULL;
    }
    return pool;
}

/* Has the system have memory at hand for that many tasks of any contender, in large pages and in small ones.  A virtual
 * machine that gives unused memory to its host gets it back at up to 5 ms for 2 MiB: half a microsecond a task, more than
 * any of the pools takes, and only where the last round was some seconds ago. */
static void
warm_memory(long tasks)
{
    const int pages[] = {MADV_HUGEPAGE, MADV_NOHUGEPAGE};
    size_t size = (size_t)tasks * 256;
    for (int i = 0; i < 2; i++) {
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED)
            return; /* then it's measured as it is */
        madvise(memory, size, pages[i]);
        memset(memory, 1, size);
        munmap(memory, size);
    }
}

bool
measure_futures(const task_pool *kind, const struct workload *w, double *value)
{
    void **futures = checked_calloc((size_t)w->tasks, sizeof *futures);
    void *pool = open_warm(kind, w);
    bool ok = pool != NULL;
    if (ok) {
        warm_memory(w->tasks);
        int64_t start = now_ns();
        ok = run_tasks(kind, pool, w->tasks, futures, NULL, NULL);
        *value = seconds_since(start) * 1e9 / (double)w->tasks;
        kind->close(pool);
    }
    free(futures);
    return ok;
}

bool
measure_spawn(const task_pool *kind, const struct workload *w, double *value)
{
    void *pool = open_warm(kind, w);
    if (pool == NULL)
        return false;
    long before = counted();
    warm_memory(w->tasks);
    int64_t start = now_ns();
    bool ok = kind->spawn_and_wait(pool, w->tasks);
    *value = seconds_since(start) * 1e9 / (double)w->tasks;
    long ran = counted() - before;
    kind->close(pool);
    return ok && (ran == w->tasks || complain("%ld of %ld tasks had run", ran, w->tasks));
}

/* Bytes of this process that are in memory. */
static double
resident_bytes(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*s %ld", &pages) != 1)
        complain("can't read /proc/self/statm");
    if (file != NULL)
        fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

struct memory_watch {
    gate *gate;
    double before, after;
};

static void
look_and_open(void *context)
{
    struct memory_watch *watch = context;
    watch->after = resident_bytes();
    open_gate(watch->gate);
}

/* While all workers are held at a gate, so that every task is outstanding. */
bool
measure_memory(const task_pool *kind, const struct workload *w, double *value)
{
    gate g = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
    struct memory_watch watch = {.gate = &g};
    void **futures = checked_calloc((size_t)w->tasks, sizeof *futures);
    void *pool = open_warm(kind, w);
    bool ok = pool != NULL;

    for (long i = 0; i < w->tasks; i++)
        futures[i] = &g; /* so that its pages are there */
    for (unsigned i = 0; ok && i < w->workers; i++)
        ok = kind->occupy(pool, &g);
    if (ok) {
        wait_until_inside(&g, w->workers);
#ifdef __GLIBC__
        malloc_trim(0); /* what earlier rounds have freed would be taken again, unseen */
#endif
        watch.before = resident_bytes();
        ok = run_tasks(kind, pool, w->tasks, futures, look_and_open, &watch);
        wait_until_inside(&g, 0); /* it is on our stack */
    }
    if (pool != NULL)
        kind->close(pool);
    free(futures);
    *value = (watch.after - watch.before) / (double)w->tasks;
    return ok;
}

/* The quantile of `trips` round trips, in us, with `pause_ns` of sleep before each. */
static bool
measure_trips(const task_pool *kind, const struct workload *w, long trips, long pause_ns, double quantile,
              double *value)
{
    double *times = checked_calloc((size_t)trips, sizeof *times);
    void *pool = open_warm(kind, w);
    bool ok = pool != NULL;

    for (long i = 0; ok && i < trips; i++) {
        const struct timespec pause = {0, pause_ns};
        void *future;
        if (pause_ns > 0)
            nanosleep(&pause, NULL);
        int64_t start = now_ns();
        ok = run_tasks(kind, pool, 1, &future, NULL, NULL);
        times[i] = seconds_since(start) * 1e6;
    }
    if (pool != NULL)
        kind->close(pool);
    *value = quantile_of(times, (size_t)trips, quantile);
    free(times);
    return ok;
}

bool
measure_hot(const task_pool *kind, const struct workload *w, double quantile, double *value)
{
    return measure_trips(kind, w, w->round_trips, 0, quantile, value);
}

bool
measure_idle(const task_pool *kind, const struct workload *w, double *value)
{
    return measure_trips(kind, w, w->idle_trips, 100000, 0.5, value);
}

static double
cpu_seconds(void)
{
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
           (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1e-6;
}

/* From the last result on: who spins a while before sleeping pays for it here. */
bool
measure_idle_cpu(const task_pool *kind, const struct workload *w, double *value)
{
    const struct timespec pause = {w->idle_ms / 1000, w->idle_ms % 1000 * 1000000};
    void *pool = open_warm(kind, w);
    if (pool == NULL)
        return false;
    double used = cpu_seconds();
    int64_t start = now_ns();
    nanosleep(&pause, NULL);
    *value = (cpu_seconds() - used) / seconds_since(start);
    kind->close(pool);
    return true;
}
