/* bench/tasks/mutex.c - the thread pool of the textbooks: one mutex, one condition variable, a list of malloc'd tasks.
 * SPDX-License-Identifier: MIT
 *
 * What a C programmer writes in an afternoon, and what most packaged C thread pools are; a future is a result with a
 * mutex and a condition variable of its own. */
#include "workload.h"

#include <stdlib.h>
#include <string.h>

typedef struct mutex_future {
    pthread_mutex_t mutex;
    pthread_cond_t settled;
    bool done;
    long value;
} mutex_future;

typedef struct mutex_task {
    long (*function)(void *argument);
    void *argument;
    mutex_future *future; /* NULL: nobody wants the result */
    struct mutex_task *next;
} mutex_task;

typedef struct mutex_pool {
    pthread_mutex_t mutex;
    pthread_cond_t work;
    pthread_cond_t all_done;
    mutex_task *first, *last;
    long pending; /* queued or running */
    bool quit;
    unsigned workers;
    pthread_t threads[];
} mutex_pool;

static void *
worker_main(void *context)
{
    mutex_pool *pool = context;
    pthread_mutex_lock(&pool->mutex);
    for (;;) {
        while (pool->first == NULL && !pool->quit)
            pthread_cond_wait(&pool->work, &pool->mutex);
        mutex_task *task = pool->first;
        if (task == NULL)
            break;
        pool->first = task->next;
        pthread_mutex_unlock(&pool->mutex);

        long value = task->function(task->argument);
        mutex_future *future = task->future;
        if (future != NULL) {
            pthread_mutex_lock(&future->mutex);
            future->value = value;
            future->done = true;
            pthread_cond_signal(&future->settled);
            pthread_mutex_unlock(&future->mutex);
        }
        free(task);

        pthread_mutex_lock(&pool->mutex);
        if (--pool->pending == 0)
            pthread_cond_broadcast(&pool->all_done);
    }
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}

static void
pool_close(void *context)
{
    mutex_pool *pool = context;
    pthread_mutex_lock(&pool->mutex);
    pool->quit = true;
    pthread_cond_broadcast(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
    for (unsigned i = 0; i < pool->workers; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->all_done);
    pthread_cond_destroy(&pool->work);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

static void *
pool_open(unsigned workers)
{
    mutex_pool *pool = checked_calloc(1, sizeof *pool + workers * sizeof *pool->threads);
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->work, NULL);
    pthread_cond_init(&pool->all_done, NULL);
    for (; pool->workers < workers; pool->workers++) {
        int error = pthread_create(&pool->threads[pool->workers], NULL, worker_main, pool);
        if (error != 0) {
            complain("pthread_create: %s", strerror(error));
            pool_close(pool);
            return NULL;
        }
    }
    return pool;
}

static void
pool_submit(mutex_pool *pool, long (*function)(void *), void *argument, mutex_future *future)
{
    mutex_task *task = malloc(sizeof *task);
    if (task == NULL)
        abort();
    task->function = function;
    task->argument = argument;
    task->future = future;
    task->next = NULL;
    pthread_mutex_lock(&pool->mutex);
    if (pool->first == NULL)
        pool->first = task;
    else
        pool->last->next = task;
    pool->last = task;
    pool->pending++;
    pthread_cond_signal(&pool->work);
    pthread_mutex_unlock(&pool->mutex);
}

static mutex_future *
future_new(void)
{
    mutex_future *future = malloc(sizeof *future);
    if (future == NULL)
        abort();
    pthread_mutex_init(&future->mutex, NULL);
    pthread_cond_init(&future->settled, NULL);
    future->done = false;
    return future;
}

/* Waits, and frees the future. */
static long
future_result(mutex_future *future)
{
    pthread_mutex_lock(&future->mutex);
    while (!future->done)
        pthread_cond_wait(&future->settled, &future->mutex);
    long value = future->value;
    pthread_mutex_unlock(&future->mutex);
    pthread_cond_destroy(&future->settled);
    pthread_mutex_destroy(&future->mutex);
    free(future);
    return value;
}

/* ---- the contender ---- */

/* Arguments are void *, as usual; a number needs no memory. */
static long
run_empty(void *argument)
{
    return empty_task((long)argument);
}

static long
run_counted(void *argument)
{
    (void)argument;
    counted_task();
    return 0;
}

static long
run_gated(void *argument)
{
    gated_task(argument);
    return 0;
}

static long
submit_and_collect(void *pool, long tasks, void **futures, void (*between)(void *), void *context)
{
    long sum = 0;
    for (long i = 0; i < tasks; i++) {
        mutex_future *future = future_new();
        futures[i] = future;
        pool_submit(pool, run_empty, (void *)i, future);
    }
    if (between != NULL)
        between(context);
    for (long i = 0; i < tasks; i++)
        sum += future_result(futures[i]);
    return sum;
}

static bool
spawn_and_wait(void *context, long tasks)
{
    mutex_pool *pool = context;
    for (long i = 0; i < tasks; i++)
        pool_submit(pool, run_counted, NULL, NULL);
    pthread_mutex_lock(&pool->mutex);
    while (pool->pending != 0)
        pthread_cond_wait(&pool->all_done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    return true;
}

static bool
occupy(void *pool, gate *g)
{
    pool_submit(pool, run_gated, g, NULL);
    return true;
}

static const task_pool mutex_kind = {
    .open = pool_open,
    .close = pool_close,
    .submit_and_collect = submit_and_collect,
    .spawn_and_wait = spawn_and_wait,
    .occupy = occupy,
};

TASKS_CONTENDER(tasks_mutex, "mutex pool", false, mutex_kind);
