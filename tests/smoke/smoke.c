/* tests/smoke/smoke.c [--no-processes] - a little of everything, without a test library: does it work here at all?
 * SPDX-License-Identifier: MIT
 * For other C libraries, other machines under an emulator, valgrind, and each way of delivering the headers; C and C++.
 * It prints each check that fails, and at the end how many there were; it exits with 1 if one failed.  What waits has
 * no limit of its own: who starts it sets one.
 * With CF_USE_CONDVAR a process pool has to say that it can't be had. */
#include <cfutures.h>

#include <stdio.h>
#include <stdlib.h>

typedef struct tally {
    int checks, failed;
} tally;

static void
check_at(tally *t, bool holds, const char *what, int line)
{
    t->checks++;
    if (holds)
        return;
    t->failed++;
    printf("smoke.c:%d: %s\n", line, what);
}
#define CHECK(condition) check_at(t, condition, #condition, __LINE__)

/* ---- tasks ---- */

typedef struct pair {
    long a;
    double b;
} pair;

static long
square(long n)
{
    return n * n;
}
CF_TASK(long, square, long);

static pair
swap(pair p, int times)
{
    pair q = {CF__STATIC_CAST(long, p.b), CF__STATIC_CAST(double, p.a)};
    return times % 2 ? q : p;
}
CF_TASK(pair, swap, pair, int);

static int
fails(int code)
{
    (void)cf_fail(code, "code %d", code);
    return 0;
}
CF_TASK(int, fails, int);

static void
store(long *where, long value)
{
    *where = value;
}
CF_TASK_VOID(store, long *, long);

static bool
until_stopped(unsigned *started)
{
    (void)cf__fetch_add_seq_cst(started, 1u);
    while (!cf_cancelled())
        cf__cpu_relax();
    return true;
}
CF_TASK(bool, until_stopped, unsigned *);

static void
crash(void)
{
    abort();
}
CF_TASK_VOID(crash);

CF_QUEUE(smoke_queue, pair);

static long
sum_until_closed(smoke_queue *queue)
{
    long sum = 0;
    pair p;
    while (smoke_queue_get(queue, &p) == CF_OK) {
        sum += p.a;
        (void)smoke_queue_task_done(queue);
    }
    return sum;
}
CF_TASK(long, sum_until_closed, smoke_queue *);

static void
count_one(cf_future *future, void *context)
{
    (void)future;
    ++*CF__STATIC_CAST(int *, context);
}

static cf_pool_opts
options(unsigned workers)
{
#ifdef __cplusplus
    cf_pool_opts o;
#else
    cf_pool_opts o = {0};
#endif
    o.struct_size = sizeof o;
    o.max_workers = workers;
    return o;
}

/* ---- what every executor does ---- */

static void
any_executor(tally *t, cf_executor *executor)
{
    enum { COUNT = 40 };
    cf_future *futures[COUNT];
    long values[COUNT], arguments[COUNT], seen = 0;

    for (int i = 0; i < COUNT; i++)
        futures[i] = cf_submit(executor, square, CF__STATIC_CAST(long, i));
    CHECK(cf_wait(futures, COUNT, CF_FIRST_COMPLETED, CF_FOREVER) == CF_OK);
    CHECK(cf_wait_for(futures, COUNT, COUNT / 2, CF_FOREVER) == CF_OK);
    CF_AS_COMPLETED (i, futures, COUNT, CF_FOREVER) {
        long value = -1;
        CHECK(cf_result(futures[i], square, &value, CF_NOW) == CF_OK && value == square(CF__STATIC_CAST(long, i)));
        seen++;
    }
    CHECK(seen == COUNT);
    CHECK(cf_wait(futures, COUNT, CF_ALL_COMPLETED, CF_NOW) == CF_OK);
    for (int i = 0; i < COUNT; i++) {
        cf_future_release(futures[i]);
        arguments[i] = i;
    }

    CHECK(cf_map(executor, square, COUNT, values, arguments) == CF_OK);
    for (int i = 0; i < COUNT; i++)
        CHECK(values[i] == square(i));

    pair p = {3, 4.0}, q = {0, 0.0};
    cf_auto(cf_future) swapped = cf_submit(executor, swap, p, 1);
    CHECK(cf_result(swapped, swap, &q, CF_FOREVER) == CF_OK && q.a == 4 && q.b < 3.5);
    CHECK(cf_future_peek(swapped) != NULL);
    long wrong;
    CHECK(cf_future_get(swapped, &wrong, sizeof wrong, CF_FOREVER) == CF_ERR_TYPE);

    cf_auto(cf_future) failed = cf_submit(executor, fails, 5);
    CHECK(cf_future_wait(failed, CF_FOREVER) == CF_ERR_FAILED && cf_future_code(failed) == 5);
    CHECK(strcmp(cf_future_message(failed), "code 5") == 0);

    cf_wait_set *set = cf_wait_set_new();
    cf_auto(cf_future) later = cf_submit(executor, square, 7L);
    cf_future *next = NULL;
    void *tag = NULL;
    CHECK(set != NULL && cf_wait_set_add(set, later, &seen) == CF_OK);
    CHECK(cf_wait_set_next(set, &next, &tag, CF_FOREVER) == CF_OK && next == later && tag == &seen);
    CHECK(cf_wait_set_size(set) == 0);
    cf_wait_set_free(set);

    /* A word for each: the two tasks may run at once.  The spawned one has ended for sure only after the shutdown. */
    long *shared = CF__STATIC_CAST(long *, cf_executor_alloc(executor, 2 * sizeof *shared));
    CHECK(shared != NULL);
    if (shared != NULL) {
        shared[0] = shared[1] = 0;
        CHECK(cf_spawn(executor, store, shared, 8L) == CF_OK);
        cf_auto(cf_future) last = cf_submit(executor, store, shared + 1, 9L);
        CHECK(cf_future_wait(last, CF_FOREVER) == CF_OK && shared[1] == 9);
    }

    cf_shutdown_report report;
    CHECK(cf_executor_shutdown(executor, CF_DRAIN, CF_FOREVER, &report) == CF_OK && report.left == 0);
    CHECK(shared == NULL || shared[0] == 8);
    cf_executor_free(executor, shared);
    cf_auto(cf_future) refused = cf_submit(executor, square, 1L);
    CHECK(cf_future_error(refused) == CF_ERR_SHUTDOWN);
}

/* ---- what only one of them does ---- */

static void
threads_and_queue(tally *t)
{
    cf_pool_opts two = options(2);
    cf_auto(cf_executor) executor = cf_thread_pool_with(&two);
    smoke_queue queue;
    if (smoke_queue_init(&queue, 2) != CF_OK) {
        CHECK(false && "a queue");
        return;
    }
    pair p = {0, 0.5};
    cf_future *getters[2] = {cf_submit(executor, sum_until_closed, &queue),
                             cf_submit(executor, sum_until_closed, &queue)};
    for (long i = 1; i <= 100; i++) {
        p.a = i;
        CHECK(smoke_queue_put_until(&queue, &p, CF_FOREVER) == CF_OK);
    }
    smoke_queue_join(&queue);
    CHECK(smoke_queue_size(&queue) == 0 && smoke_queue_try_get(&queue, &p) == CF_ERR_EMPTY);
    smoke_queue_close(&queue);
    CHECK(smoke_queue_put(&queue, &p) == CF_ERR_CLOSED);
    long sums = 0;
    for (int i = 0; i < 2; i++) {
        long sum = 0;
        CHECK(cf_result(getters[i], sum_until_closed, &sum, CF_FOREVER) == CF_OK);
        sums += sum;
        cf_future_release(getters[i]);
    }
    CHECK(sums == 5050);
    smoke_queue_destroy(&queue);

    /* Both workers are busy, and one task waits behind them. */
    unsigned started = 0;
    cf_future *running[2] = {cf_submit(executor, until_stopped, &started),
                             cf_submit(executor, until_stopped, &started)};
    while (cf__load_acquire(&started) != 2)
        cf__cpu_relax();
    cf_auto(cf_future) pending = cf_submit(executor, square, 2L);
    CHECK(cf_future_wait(pending, cf_after_ms(1)) == CF_ERR_TIMEOUT);
    CHECK(cf_future_cancel(pending) && cf_future_cancelled(pending));
    for (int i = 0; i < 2; i++) {
        bool stopped = false;
        (void)cf_future_cancel(running[i]);
        cf_err ended = cf_result(running[i], until_stopped, &stopped, CF_FOREVER);
        CHECK(ended == CF_OK && stopped);
        cf_future_release(running[i]);
    }
}

static void
promises(tally *t)
{
    cf_auto(cf_future) promise = cf_future_new(sizeof(int));
    int called = 0, value = 4, got = 0;
    CHECK(cf_future_add_done_callback(promise, count_one, &called) == CF_OK);
    CHECK(!cf_future_done(promise) && cf_future_wait(promise, cf_after_ms(1)) == CF_ERR_TIMEOUT);
    CHECK(cf_future_set_result(promise, &value, sizeof value) == CF_OK && called == 1);
    CHECK(cf_future_get(promise, &got, sizeof got, CF_NOW) == CF_OK && got == 4);
    CHECK(cf_future_set_error(promise, CF_ERR_FAILED, 1, "late") == CF_ERR_INVALID);
    CHECK(strcmp(cf_strerror(CF_OK), "ok") == 0 && cf_usable_cpus() >= 1);
    CHECK(!cf_fail(1, "no task") && !cf_cancelled());
}

static void
processes(tally *t)
{
    cf_pool_opts two = options(2);
    cf_auto(cf_executor) executor = cf_process_pool_with(&two);
#ifdef CF_USE_CONDVAR
    CHECK(cf_executor_error(executor) == CF_ERR_UNSUPPORTED);
    cf_auto(cf_future) refused = cf_submit(executor, square, 1L);
    CHECK(cf_future_error(refused) == CF_ERR_UNSUPPORTED);
    return;
#endif
    CHECK(cf_executor_error(executor) == CF_OK);
    if (cf_executor_error(executor) != CF_OK) {
        printf("smoke: %s\n", cf_executor_message(executor));
        return;
    }
    cf_auto(cf_future) lost = cf_submit(executor, crash);
    CHECK(cf_future_wait(lost, CF_FOREVER) == CF_ERR_WORKER_LOST && cf_future_signal(lost) == SIGABRT);
    any_executor(t, executor);
}

int
main(int argc, char **argv)
{
    tally counted = {0, 0}, *t = &counted;
    cf_pool_opts three = options(3);
    promises(t);
    cf_auto(cf_executor) self = cf_inline_executor();
    any_executor(t, self);
    cf_auto(cf_executor) threads = cf_thread_pool_with(&three);
    any_executor(t, threads);
    threads_and_queue(t);
    if (argc < 2 || strcmp(argv[1], "--no-processes") != 0)
        processes(t);
    printf("smoke: %d checks, %d failed\n", counted.checks, counted.failed);
    return counted.failed != 0;
}
