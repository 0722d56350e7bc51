/* tests/unit/test_executor.c - executor.h and inline_executor.h, and an executor as others may write it
 * SPDX-License-Identifier: MIT */
#include "unit.h"

#define CF__PROCESS_GRACE INT64_C(60000000000) /* a worker that starts when the pool closes has time for its on_stop */
#include <cfutures.h>

/* What tasks and test tell each other, in memory that forked processes share, made before the first pool. */
typedef struct notes {                  /* fields: A atomic */
    unsigned inside, open;              /* A: tasks that have come to the gate; it's open */
    unsigned ran;                       /* A */
    unsigned starts, stops;             /* A */
    unsigned right_starts, right_stops; /* A: with the context, and the worker's pointer as it ought to be */
    unsigned tasks_at_stop;             /* A: how many a worker's tasks had counted with its pointer */
    int order[16];                      /* what tasks wrote, one after the other */
    bool start_fails;
} notes;
static notes *shared;

/* ---- tasks ---- */

static int
twice(int n)
{
    if (n < 0)
        (void)cf_fail(-n, "below 0: %d", n);
    return 2 * n;
}
CF_TASK(int, twice, int);

static int
add(int a, int b)
{
    return a + b;
}
CF_TASK(int, add, int, int);

static void
counts_up(unsigned *counter)
{
    count_one(counter);
}
CF_TASK_VOID(counts_up, unsigned *);

static void
counts_index(size_t index, notes *n)
{
    (void)__atomic_add_fetch(&n->ran, (unsigned)index, __ATOMIC_RELAXED);
}
CF_TASK_VOID(counts_index, size_t, notes *);

static int
waits_in_gate(gate *g, int n)
{
    gate_pass(g);
    return n;
}
CF_TASK(int, waits_in_gate, gate *, int);

static int
holds(notes *n)
{
    count_one(&n->inside);
    wait_until(counted(&n->open) != 0);
    return 1;
}
CF_TASK(int, holds, notes *);

/* ---- an executor of our own: a thread that is fed by a queue, and settles the futures itself ---- */

typedef struct foreign_job {
    cf_future *future; /* with the executor's reference; NULL: end */
} foreign_job;

CF_QUEUE(foreign_queue, foreign_job);

typedef struct foreign {
    cf_executor base;
    foreign_queue jobs;
    pthread_t thread;
    bool ended;         /* joined already */
    unsigned allocated; /* A: blocks that live */
} foreign;

static void *
foreign_main(void *argument)
{
    foreign *self = argument;
    foreign_job job;
    while (foreign_queue_get(&self->jobs, &job) == CF_OK) {
        const cf_task_type *type = job.future->type;
        cf_err error = CF_OK;
        if (strcmp(type->name, "twice") == 0) { /* by its own means, as if the answer came from elsewhere */
            int n, answer;
            memcpy(&n, job.future->args, sizeof n);
            answer = 2 * n;
            if (cf_future_start(job.future))
                error = n < 0 ? cf_future_set_error(job.future, CF_ERR_FAILED, -n, "below 0: %d", n)
                              : cf_future_set_result(job.future, &answer, sizeof answer);
        } else {
            (void)cf_future_run(job.future);
        }
        CF_ASSERT(error == CF_OK);
        cf_future_release(job.future);
    }
    return NULL;
}

static cf_future *
foreign_submit(cf_executor *base, const cf_task_type *type, const void *args, const cf_submit_opts *options)
{
    foreign *self = (foreign *)base;
    cf_future *future = cf_executor_new_task(base, type, args, options);
    if (future == NULL)
        return cf_future_new_failed(CF_ERR_NOMEM, "foreign: no memory");
    foreign_job job = {future};
    cf_err error = foreign_queue_put_until(&self->jobs, &job, options->deadline);
    if (error == CF_OK)
        return future;
    cf_future_release(future);
    cf_future_release(future);
    error = error == CF_ERR_CLOSED ? CF_ERR_SHUTDOWN : error == CF_ERR_TIMEOUT ? CF_ERR_FULL : error;
    return cf_future_new_failed(error, "foreign: %s", cf_strerror(error));
}

static cf_err
foreign_shutdown(cf_executor *base, cf_shutdown_mode mode, cf_time deadline, cf_shutdown_report *report)
{
    foreign *self = (foreign *)base;
    (void)mode;
    (void)deadline;
    foreign_queue_close(&self->jobs);
    if (!self->ended)
        (void)pthread_join(self->thread, NULL);
    self->ended = true;
    report->finished = 77;
    return CF_OK;
}

static void
foreign_free(cf_executor *base, bool forked)
{
    foreign *self = (foreign *)base;
    if (!forked)
        foreign_queue_destroy(&self->jobs);
    cf_executor_destroy(base);
    free(self);
}

static void *
foreign_alloc(cf_executor *base, size_t size)
{
    count_one(&((foreign *)base)->allocated);
    return malloc(size);
}

static void
foreign_dealloc(cf_executor *base, void *memory)
{
    (void)__atomic_sub_fetch(&((foreign *)base)->allocated, 1, __ATOMIC_ACQ_REL);
    free(memory);
}

static const cf_executor_ops foreign_ops = {sizeof(cf_executor_ops), "foreign",    foreign_submit,
                                            foreign_shutdown,        foreign_free, foreign_alloc,
                                            foreign_dealloc,         NULL,         false};

static cf_executor *
foreign_new(size_t capacity)
{
    foreign *self = calloc(1, sizeof *self);
    assert_non_null(self);
    cf_executor_init(&self->base, &foreign_ops);
    assert_int_equal(foreign_queue_init(&self->jobs, capacity), CF_OK);
    self->thread = start_thread(foreign_main, self);
    return &self->base;
}

static cf_executor *
foreign_make(void)
{
    return foreign_new(0);
}

static cf_executor *
pool_make(void)
{
    return cf_thread_pool(.max_workers = 2);
}

static cf_executor *
processes_make(void)
{
    return cf_process_pool(.max_workers = 2);
}

static bool
on_processes(const cf_executor *pool)
{
    return strcmp(pool->ops->kind, "process pool") == 0;
}

/* What holds for every executor is tried on four. */
typedef cf_executor *make_executor(void);
static make_executor *const executors[] = {cf_inline_executor, pool_make, foreign_make, processes_make};

/* Whether there are process pools.  Written once, before the first test. */
static bool has_processes;

static cf_executor *
make_if_possible(make_executor *make)
{
    return make != processes_make || has_processes ? make() : NULL;
}

#define FOR_EACH_EXECUTOR(pool)                                                                                        \
    for (size_t cf_test_i = 0; cf_test_i < sizeof executors / sizeof *executors; cf_test_i++)                          \
        for (cf_executor *pool = make_if_possible(executors[cf_test_i]); pool != NULL;                                 \
             cf_executor_close(pool), pool = NULL)

/* ---- submit ---- */

/* What is submitted is done, and its future has the result. */
static void
test_executor_submit_brings_result(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        assert_int_equal(cf_executor_error(pool), CF_OK);
        assert_string_equal(cf_executor_message(pool), "ok");
        cf_future *futures[20];
        for (int i = 0; i < 20; i++)
            futures[i] = cf_submit(pool, twice, i);
        for (int i = 0; i < 20; i++) {
            int value = -1;
            assert_int_equal(cf_result(futures[i], twice, &value, CF_FOREVER), CF_OK);
            assert_int_equal(value, 2 * i);
            cf_future_release(futures[i]);
        }
    }
}

/* A task that fails brings its code and message. */
static void
test_executor_submit_brings_failure(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        cf_auto(cf_future) f = cf_submit(pool, twice, -4);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_FAILED);
        assert_int_equal(cf_future_code(f), 4);
        assert_string_equal(cf_future_message(f), "below 0: -4");
    }
}

/* The long form, in bytes, is what the macros use. */
static void
test_executor_submit_bytes(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        int n = 21, value = 0;
        cf_future *f = cf_submit_bytes(pool, twice_CF_TASK_type(), &n, NULL);
        n = 0; /* copied */
        assert_int_equal(cf_future_get(f, &value, sizeof value, CF_FOREVER), CF_OK);
        assert_int_equal(value, 42);
        cf_future_release(f);
        n = -1;
        assert_int_equal(cf_spawn_bytes(pool, twice_CF_TASK_type(), &n, NULL),
                         CF_OK); /* the task's error isn't the call's */
    }
}

static bool
brings_numbers(void *context, void *args)
{
    int *next = context;
    memcpy(args, next, sizeof *next);
    return (*next)++ < 3;
}

static bool
adds_up(void *context, size_t index, cf_future *future)
{
    int value = 0;
    assert_int_equal(cf_future_get(future, &value, sizeof value, CF_NOW), CF_OK);
    assert_int_equal(value, 2 * (int)index);
    *(int *)context += value;
    return true;
}

/* So are those for many items. */
static void
test_executor_long_forms(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        const int numbers[] = {1, 2, 3};
        const void *arrays[] = {numbers};
        int values[3] = {0}, next = 0, sum = 0;
        assert_int_equal(cf_map_bytes(pool, twice_CF_TASK_type(), 3, values, arrays, NULL), CF_OK);
        assert_int_equal(values[0] + 10 * values[1] + 100 * values[2], 642);
        cf_future *futures[3];
        assert_int_equal(cf_submit_all_bytes(pool, twice_CF_TASK_type(), 3, futures, arrays, NULL), CF_OK);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(cf_future_get(futures[i], &values[i], sizeof values[i], CF_FOREVER), CF_OK);
            assert_int_equal(values[i], 2 * numbers[i]);
            cf_future_release(futures[i]);
        }
        assert_int_equal(cf_map_lazy_bytes(pool, twice_CF_TASK_type(), 2, brings_numbers, &next, adds_up, &sum, NULL),
                         CF_OK);
        assert_int_equal(sum, 0 + 2 + 4);
        memset(shared, 0, sizeof *shared);
        const struct {
            size_t index;
            notes *n;
        } args = {0, shared};
        assert_int_equal(cf_for_bytes(pool, counts_index_CF_TASK_type(), 5, 9, &args, NULL), CF_OK);
        assert_int_equal(counted(&shared->ran), 5 + 6 + 7 + 8);
    }
}

/* What a submit can't ask for is refused by each of them, and the task doesn't run. */
static void
test_executor_refuses_options(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        memset(shared, 0, sizeof *shared);
        const cf_submit_opts bad[] = {
            {.struct_size = sizeof bad[0], .priority = 8},
            {.struct_size = sizeof bad[0], .priority = -9},
            {.struct_size = sizeof bad[0], .retries = 256},
        };
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            const unsigned *counter = &shared->ran;
            cf_auto(cf_future) f = cf_submit_bytes(pool, counts_up_CF_TASK_type(), &counter, &bad[i]);
            assert_int_equal(cf_future_wait(f, CF_NOW), CF_ERR_INVALID);
            assert_int_equal(cf_spawn_bytes(pool, counts_up_CF_TASK_type(), &counter, &bad[i]), CF_ERR_INVALID);
        }
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        assert_int_equal(counted(&shared->ran), 0);
    }
}

/* A future may be released before its task is done; the task goes on. */
static void
test_executor_released_task_goes_on(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        memset(shared, 0, sizeof *shared);
        for (int i = 0; i < 10; i++)
            cf_future_release(cf_submit(pool, counts_up, &shared->ran));
        for (int i = 0; i < 10; i++)
            assert_int_equal(cf_spawn(pool, counts_up, &shared->ran), CF_OK);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        assert_int_equal(counted(&shared->ran), 20);
    }
}

/* A wait that gives up leaves the task alone: it goes on, and can be awaited again. */
static void
test_executor_wait_gives_up(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        static const cf_wait_mode modes[] = {CF_ALL_COMPLETED, CF_FIRST_COMPLETED, CF_FIRST_FAILED};
        int value = 42;
        if (pool->ops->submit == cf__inline_submit)
            continue; /* there, a task is done when its submit returns */
        memset(shared, 0, sizeof *shared);
        cf_future *f = cf_submit(pool, holds, shared);
        wait_until(counted(&shared->inside) == 1);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(cf_result(f, holds, &value, i == 0 ? CF_NOW : cf_after_ms(1)), CF_ERR_TIMEOUT);
            assert_int_equal(cf_future_wait(f, i == 0 ? CF_NOW : cf_after_ms(1)), CF_ERR_TIMEOUT);
            for (size_t m = 0; m < sizeof modes / sizeof *modes; m++)
                assert_int_equal(cf_wait(&f, 1, modes[m], i == 0 ? CF_NOW : cf_after_ms(1)), CF_ERR_TIMEOUT);
        }
        assert_int_equal(cf_future_error(f), CF_ERR_TIMEOUT);
        assert_false(cf_future_done(f));
        assert_null(cf_future_peek(f));
        assert_int_equal(value, 42);
        count_one(&shared->open);
        assert_int_equal(cf_result(f, holds, &value, CF_FOREVER), CF_OK);
        assert_int_equal(value, 1);
        cf_future_release(f);
    }
}

/* A future outlives its executor. */
static void
test_executor_future_outlives_it(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof executors / sizeof *executors; i++) {
        cf_executor *pool = make_if_possible(executors[i]);
        if (pool == NULL)
            continue;
        cf_future *f = cf_submit(pool, twice, 4), *failed = cf_submit(pool, twice, -4);
        cf_executor_close(pool);
        int value = 0;
        assert_int_equal(cf_result(f, twice, &value, CF_NOW), CF_OK); /* closing drains */
        assert_int_equal(value, 8);
        assert_string_equal(cf_future_message(failed), "below 0: -4");
        cf_future_release(f);
        cf_future_release(failed);
    }
}

/* ---- no executor ---- */

/* Without an executor every call says INVALID, and none crashes. */
static void
test_executor_null_is_invalid(void **state)
{
    (void)state;
    cf_executor *volatile nobody = NULL; /* unknown to the optimizer, which otherwise warns of what can't happen */
    cf_executor *none = nobody;
    int n = 1, value = 0;
    cf_err status = CF_OK;
    cf_auto(cf_future) f = cf_submit(none, twice, 1);
    assert_non_null(f);
    assert_int_equal(cf_result(f, twice, &value, CF_FOREVER), CF_ERR_INVALID);
    assert_int_equal(cf_spawn(none, twice, 1), CF_ERR_INVALID);
    assert_int_equal(cf_map_with(none, cf_map_options(.status = &status), twice, 1, &value, &n), CF_ERR_INVALID);
    assert_int_equal(status, CF_ERR_INVALID);
    assert_int_equal(cf_map(none, twice, 0, &value, &n), CF_ERR_INVALID);
    assert_int_equal(cf_executor_error(none), CF_ERR_INVALID);
    assert_string_equal(cf_executor_message(none), cf_strerror(CF_ERR_INVALID));
    assert_int_equal(cf_executor_shutdown(none, CF_DRAIN, CF_FOREVER, NULL), CF_ERR_INVALID);
    assert_null(cf_executor_alloc(none, 8));
    cf_executor_free(none, NULL);
    cf_executor_close(none);
}

/* ---- executors that failed ---- */

/* An executor that failed has the cause in every answer, and can be shut down and closed. */
static void
test_executor_failed_says_why(void **state)
{
    (void)state;
    cf_executor *failed = cf_executor_new_failed(CF_ERR_SYSTEM, "no %s today", "workers");
    int n = 1, value = 42;
    cf_err status = CF_OK;
    cf_shutdown_report report;
    memset(&report, 0xff, sizeof report);
    assert_int_equal(cf_executor_error(failed), CF_ERR_SYSTEM);
    assert_string_equal(cf_executor_message(failed), "no workers today");
    cf_auto(cf_future) f = cf_submit(failed, twice, 1);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_SYSTEM);
    assert_string_equal(cf_future_message(f), "no workers today");
    assert_int_equal(cf_result(f, twice, &value, CF_FOREVER), CF_ERR_SYSTEM);
    assert_int_equal(value, 42);
    assert_int_equal(cf_spawn(failed, twice, 1), CF_ERR_SYSTEM);
    assert_int_equal(cf_map_with(failed, cf_map_options(.status = &status), twice, 1, &value, &n), CF_ERR_SYSTEM);
    assert_int_equal(status, CF_ERR_SYSTEM);
    assert_int_equal(cf_map(failed, twice, 0, &value, &n), CF_ERR_SYSTEM);
    assert_null(cf_executor_alloc(failed, 8));
    assert_int_equal(cf_executor_shutdown(failed, CF_DRAIN, CF_FOREVER, &report), CF_OK);
    assert_int_equal(report.finished + report.cancelled + report.killed + report.left, 0);
    cf_executor_close(failed);
}

/* Its submit can be asked directly too, by an executor that wraps others. */
static void
test_executor_failed_ops_work(void **state)
{
    (void)state;
    cf_executor *failed = cf_executor_new_failed(CF_ERR_SYSTEM, "x");
    int n = 1;
    cf_auto(cf_future) f = failed->ops->submit(failed, twice_CF_TASK_type(), &n, NULL);
    assert_int_equal(cf_future_wait(f, CF_NOW), CF_ERR_SYSTEM);
    assert_int_equal(failed->ops->struct_size, sizeof(cf_executor_ops));
    assert_non_null(failed->ops->kind);
    cf_executor_close(failed);
}

/* A message that doesn't fit is cut; an empty one is replaced by what the error means. */
static void
test_executor_failed_message_is_cut(void **state)
{
    (void)state;
    cf_executor *failed = cf_executor_new_failed(CF_ERR_SYSTEM, "%0300d", 1);
    assert_int_equal(strlen(cf_executor_message(failed)), 159);
    cf_executor_close(failed);
    failed = cf_executor_new_failed(CF_ERR_SYSTEM, "%s", "");
    assert_string_equal(cf_executor_message(failed), cf_strerror(CF_ERR_SYSTEM));
    cf_executor_close(failed);
}

/* Without memory even for a failed executor there is one for all, which stands every call. */
static void
test_executor_failed_without_memory(void **state)
{
    (void)state;
    fault_fail_from("alloc", 1, ENOMEM);
    cf_executor *failed = cf_executor_new_failed(CF_ERR_SYSTEM, "x");
    assert_non_null(failed);
    assert_ptr_equal(cf_executor_new_failed(CF_ERR_SYSTEM, "y"), failed);
    assert_int_equal(cf_executor_error(failed), CF_ERR_NOMEM);
    assert_string_equal(cf_executor_message(failed), "out of memory");
    cf_auto(cf_future) f = cf_submit(failed, twice, 1);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_NOMEM);
    assert_int_equal(cf_executor_shutdown(failed, CF_KILL, CF_FOREVER, NULL), CF_OK);
    cf_executor_close(failed);
    cf_executor_close(failed);
    assert_int_equal(cf_executor_error(failed), CF_ERR_NOMEM);
}

/* ---- map ---- */

/* Results are in the order of the items, whatever the order in which they were done. */
static void
test_map_results_are_in_order(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        enum { n = 50 };
        int as[n], bs[n], results[n + 1];
        for (int i = 0; i < n; i++) {
            as[i] = i;
            bs[i] = 100 * i;
        }
        results[n] = 42;
        assert_int_equal(cf_map(pool, add, n, results, as, bs), CF_OK);
        for (int i = 0; i < n; i++)
            assert_int_equal(results[i], 101 * i);
        assert_int_equal(results[n], 42);
    }
}

/* More items than a map has chunks, or has in flight at once on an executor it knows nothing of, by one and by far. */
static void
test_map_of_many_items(void **state)
{
    (void)state;
    enum { window = 1024 };
    static const size_t counts[] = {1, CF__MAP_CHUNKS, CF__MAP_CHUNKS + 1, window, window + 1, 3 * window + 7};
    static int in[4 * window], results[4 * window];
    static cf_err status[4 * window];
    for (int i = 0; i < 4 * window; i++)
        in[i] = i % 100 == 99 ? -i : i;
    FOR_EACH_EXECUTOR(pool)
    {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            memset(results, 0xff, sizeof results);
            memset(status, 0xff, sizeof status);
            cf_err error = cf_map_with(pool, cf_map_options(.status = status), twice, counts[c], results, in);
            assert_int_equal(error, counts[c] > 99 ? CF_ERR_FAILED : CF_OK);
            for (size_t i = 0; i < counts[c]; i++) {
                assert_int_equal(status[i], i % 100 == 99 ? CF_ERR_FAILED : CF_OK);
                assert_int_equal(results[i], i % 100 == 99 ? -1 : 2 * (int)i);
            }
            assert_int_equal(results[counts[c]], -1);
        }
    }
}

/* An item that fails doesn't stop the others, its result isn't written, and the first failure in input order is the map's. */
static void
test_map_failed_items_stay_apart(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        int in[5] = {1, -2, 3, -4, 5}, results[5] = {42, 42, 42, 42, 42};
        cf_err status[5];
        assert_int_equal(cf_map_with(pool, cf_map_options(.status = status), twice, 5, results, in), CF_ERR_FAILED);
        static const int expected[5] = {2, 42, 6, 42, 10};
        for (int i = 0; i < 5; i++) {
            assert_int_equal(results[i], expected[i]);
            assert_int_equal(status[i], in[i] < 0 ? CF_ERR_FAILED : CF_OK);
        }
        assert_int_equal(cf_map(pool, twice, 5, NULL, in), CF_ERR_FAILED); /* results not wanted */
    }
}

/* Nothing to do is done at once, whatever the arrays. */
static void
test_map_of_zero_items(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        assert_int_equal(cf_map(pool, twice, 0, NULL, NULL), CF_OK);
        assert_int_equal(cf_map_with(pool, cf_map_options(.deadline = 1), twice, 0, NULL, NULL), CF_OK);
    }
}

/* ---- options ---- */

static cf_submit_opts options_seen;

static cf_future *
spying_submit(cf_executor *executor, const cf_task_type *type, const void *args, const cf_submit_opts *options)
{
    (void)executor;
    (void)type;
    (void)args;
    options_seen = *options;
    return cf_future_new(0);
}

static cf_err
spying_shutdown(cf_executor *executor, cf_shutdown_mode mode, cf_time deadline, cf_shutdown_report *report)
{
    static int calls;
    (void)executor;
    (void)mode;
    (void)deadline;
    (void)report;
    return calls++ % 2 == 0 ? CF_ERR_TIMEOUT : CF_OK; /* closing asks again */
}

static void
spying_free(cf_executor *executor, bool forked)
{
    (void)forked;
    cf_executor_destroy(executor);
}

/* Options by name reach the executor, 0 means "no limit", and a struct that was shorter in its time is taken as it is. */
static void
test_executor_options_by_name(void **state)
{
    (void)state;
    static const cf_executor_ops ops = {.struct_size = sizeof ops,
                                        .kind = "spy",
                                        .submit = spying_submit,
                                        .shutdown = spying_shutdown,
                                        .free = spying_free};
    cf_executor spy;
    int n = 1;
    cf_executor_init(&spy, &ops);
    cf_future_release(cf_submit(&spy, twice, 1));
    assert_true(options_seen.deadline == CF_FOREVER);
    cf_future_release(cf_submit_with(&spy, cf_options(.deadline = 123), twice, 1));
    assert_true(options_seen.deadline == 123);
    cf_future_release(cf_submit_with(&spy, cf_options(.deadline = 0), twice, 1));
    assert_true(options_seen.deadline == CF_FOREVER);

    cf_submit_opts old = {.struct_size = offsetof(cf_submit_opts, deadline), .deadline = 123}; /* ends before it */
    cf_future_release(cf_submit_bytes(&spy, twice_CF_TASK_type(), &n, &old));
    assert_true(options_seen.deadline == CF_FOREVER);

    struct {
        cf_submit_opts known;
        char later[64];
    } newer = {{.struct_size = sizeof newer, .deadline = 123}, {1}};
    cf_future_release(cf_submit_bytes(&spy, twice_CF_TASK_type(), &n, &newer.known));
    assert_true(options_seen.deadline == 123);
    cf_executor_close(&spy);
}

/* ---- shutdown ---- */

/* After a shutdown submits fail with SHUTDOWN; shutting down again, and closing, are fine. */
static void
test_executor_shutdown_ends_submits(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        int n = 1, value = 42;
        cf_auto(cf_future) before = cf_submit(pool, twice, 1);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        assert_int_equal(cf_future_wait(before, CF_NOW), CF_OK);
        cf_auto(cf_future) f = cf_submit(pool, twice, 1);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_SHUTDOWN);
        assert_int_equal(cf_result(f, twice, &value, CF_FOREVER), CF_ERR_SHUTDOWN);
        assert_int_equal(value, 42);
        assert_int_equal(cf_spawn(pool, twice, 1), CF_ERR_SHUTDOWN);
        assert_int_equal(cf_map(pool, twice, 1, &value, &n), CF_ERR_SHUTDOWN);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        assert_int_equal(cf_executor_error(pool), CF_OK); /* not an error of the executor */
    }
}

/* The report is the executor's own, from zero. */
static void
test_executor_shutdown_reports(void **state)
{
    (void)state;
    cf_shutdown_report report;
    cf_auto(cf_executor) pool = foreign_make();
    memset(&report, 0xff, sizeof report);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, &report), CF_OK);
    assert_int_equal(report.finished, 77);
    assert_int_equal(report.cancelled + report.killed + report.left, 0);
    memset(&report, 0xff, sizeof report);
    assert_int_equal(cf_executor_shutdown(NULL, CF_DRAIN, CF_FOREVER, &report), CF_ERR_INVALID);
    assert_int_equal(report.finished + report.cancelled + report.killed + report.left, 0);
}

/* A full executor makes submits wait until their deadline. */
static void
test_executor_full_times_out(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = foreign_new(1);
    gate g = GATE;
    assert_int_equal(cf_spawn(pool, waits_in_gate, &g, 1), CF_OK);
    wait_until(gate_inside(&g) == 1);
    cf_auto(cf_future) queued = cf_submit(pool, twice, 1);
    cf_auto(cf_future) refused = cf_submit_with(pool, cf_options(.deadline = 1), twice, 1);
    assert_int_equal(cf_future_wait(refused, CF_NOW), CF_ERR_FULL);
    assert_int_equal(cf_spawn_with(pool, cf_options(.deadline = 1), twice, 1), CF_ERR_FULL);
    gate_open(&g);
    assert_int_equal(cf_future_wait(queued, CF_FOREVER), CF_OK);
}

/* ---- memory for tasks ---- */

/* Memory comes from the executor, or is plain; asking for none is asking for one byte. */
static void
test_executor_alloc(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        long *a = cf_executor_alloc(pool, 100 * sizeof *a);
        char *b = cf_executor_alloc(pool, 0);
        assert_non_null(a);
        assert_non_null(b);
        assert_int_equal((uintptr_t)a % _Alignof(max_align_t), 0);
        for (int i = 0; i < 100; i++)
            a[i] = i;
        b[0] = 1;
        if (pool->ops == &foreign_ops)
            assert_int_equal(((foreign *)pool)->allocated, 2);
        cf_executor_free(pool, a);
        cf_executor_free(pool, b);
        cf_executor_free(pool, NULL);
        if (pool->ops == &foreign_ops)
            assert_int_equal(((foreign *)pool)->allocated, 0);
    }
    cf_auto(cf_executor) pool = cf_inline_executor();
    fault_fail_nth("alloc", 1, ENOMEM);
    assert_null(cf_executor_alloc(pool, 8));
}

/* ---- fork ---- */

static int
child_of_executor(void *argument)
{
    cf_executor *pool = argument;
    int n = 1, value = 42;
    cf_err status = CF_OK;
    cf_shutdown_report report;
    child_check(cf_executor_error(pool) == CF_ERR_FORKED);
    child_check(strcmp(cf_executor_message(pool), cf_strerror(CF_ERR_FORKED)) == 0);
    cf_future *f = cf_submit(pool, twice, 1);
    child_check(cf_result(f, twice, &value, CF_FOREVER) == CF_ERR_FORKED && value == 42);
    cf_future_release(f);
    child_check(cf_spawn(pool, twice, 1) == CF_ERR_FORKED);
    child_check(cf_map_with(pool, cf_map_options(.status = &status), twice, 1, &value, &n) == CF_ERR_FORKED);
    child_check(status == CF_ERR_FORKED);
    child_check(cf_map(pool, twice, 0, &value, &n) == CF_ERR_FORKED);
    child_check(cf_executor_alloc(pool, 8) == NULL);
    child_check(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, &report) == CF_ERR_FORKED);
    child_check(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, NULL) == CF_ERR_FORKED);
    return 0;
}

static int
child_closes(void *argument)
{
    long before = live_allocations();
    cf_executor_close(argument);
    return (int)(before - live_allocations()); /* how many allocations that freed */
}

/* In a forked child every call says FORKED, and closing frees the memory. */
static void
test_executor_forked_child(void **state)
{
    (void)state;
    for (int guard = 0; guard < 2; guard++) {
        if (guard == 0)
            fault_fail_from("fork_guard", 1, ENOMEM); /* then the process id is asked for */
        FOR_EACH_EXECUTOR(pool)
        {
            assert_int_equal(pool->fork_guard != NULL, guard);
            assert_int_equal(run_in_child_with(child_of_executor, pool), 0);
            int status = run_in_child_with(child_closes, pool);
            assert_true(WIFEXITED(status));
            /* inline: itself; thread pool: and its workers; foreign: its queue can't be trusted, and is left; processes: and
             * what the parent notes of its slots, and of the code that tasks are in. */
            static const int freed[] = {1, 2, 0, 3};
            assert_int_equal(WEXITSTATUS(status), freed[cf_test_i]);
            int value = 0;
            cf_auto(cf_future) f = cf_submit(pool, twice, 4); /* the parent's is as before */
            assert_int_equal(cf_result(f, twice, &value, CF_FOREVER), CF_OK);
        }
        fault_clear();
    }
}

static int
child_of_failed(void *argument)
{
    child_check(cf_executor_error(argument) == CF_ERR_FORKED);
    child_check(cf_executor_shutdown(argument, CF_DRAIN, CF_FOREVER, NULL) == CF_ERR_FORKED);
    return child_closes(argument) == 1 ? 0 : 1;
}

/* An executor that failed can be closed in a child as well. */
static void
test_executor_failed_in_child(void **state)
{
    (void)state;
    cf_executor *failed = cf_executor_new_failed(CF_ERR_SYSTEM, "x");
    assert_int_equal(run_in_child_with(child_of_failed, failed), 0);
    cf_executor_close(failed);
}

/* ---- without memory ---- */

/* A whole life, from making the executor to closing it; what fails must say NOMEM, and what doesn't must be right. */
static void
lives(make_executor *make)
{
    int in[3] = {1, 2, 3}, results[3], value = 0;
    unsigned calls = 0;
    cf_executor *pool = make();
    assert_non_null(pool);
    cf_err made = cf_executor_error(pool);
    assert_true(made == CF_OK || made == CF_ERR_NOMEM);
    cf_future *f = cf_submit(pool, twice, 4);
    assert_non_null(f);
    cf_err error = cf_result(f, twice, &value, CF_FOREVER);
    assert_true(error == CF_ERR_NOMEM || (error == CF_OK && value == 8));
    cf_future_release(f);
    f = cf_submit(pool, twice, -4);
    error = cf_future_wait(f, CF_FOREVER);
    assert_true(error == CF_ERR_NOMEM || (error == CF_ERR_FAILED && cf_future_code(f) == 4));
    assert_non_null(cf_future_message(f));
    cf_future_release(f);
    error = cf_spawn(pool, counts_up, &calls);
    assert_true(error == CF_OK || error == CF_ERR_NOMEM);
    cf_err mapped = cf_map(pool, twice, 3, results, in);
    assert_true(mapped == CF_ERR_NOMEM || (mapped == CF_OK && results[2] == 6));
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
    assert_int_equal(counted(&calls), error == CF_OK);
    cf_executor_close(pool);
}

/* Whichever allocation fails, the calls say so, nothing leaks and nothing crashes. */
static void
test_executor_any_allocation_may_fail(void **state)
{
    (void)state;
    static make_executor *const ours[] = {cf_inline_executor, pool_make};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) {
        long before = live_allocations();
        unsigned n = 0;
        do {
            fault_fail_nth("alloc", ++n, ENOMEM);
            lives(ours[i]);
            assert_int_equal(live_allocations(), before);
        } while (fault_fired("alloc") != 0);
        assert_true(n > 7);
        fault_fail_from("alloc", 1, ENOMEM); /* and all of them */
        lives(ours[i]);
        assert_int_equal(live_allocations(), before);
    }
}

/* ---- the inline executor ---- */

static pthread_t ran_in;

static int
notes_thread(void)
{
    ran_in = pthread_self();
    return 5;
}
CF_TASK(int, notes_thread);

static int factorial(cf_executor *pool, int n);
CF_TASK(int, factorial, cf_executor *, int);

static int
factorial(cf_executor *pool, int n)
{
    int below = 1;
    if (n > 1) {
        cf_future *f = cf_submit(pool, factorial, pool, n - 1);
        if (cf_result(f, factorial, &below, CF_FOREVER) != CF_OK)
            (void)cf_fail(1, "%s", cf_future_message(f));
        cf_future_release(f);
    }
    return n * below;
}

/* A task may submit to the executor it runs in, and wait for that, to any depth. */
static void
test_executor_tasks_submit_tasks(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        int value = 0;
        cf_auto(cf_future) f = cf_submit(pool, factorial, pool, 10);
        assert_int_equal(cf_result(f, factorial, &value, CF_FOREVER), CF_OK);
        assert_int_equal(value, 3628800);
    }
}

typedef struct inline_scene { /* fields: A atomic */
    cf_executor *pool;
    gate gate;
    unsigned begun, ended; /* A */
    cf_shutdown_mode mode;
    cf_err now, later;
    size_t left;
    bool exits;
} inline_scene;

static void
holds_inline(inline_scene *s)
{
    count_one(&s->begun);
    if (s->exits)
        pthread_exit(NULL);
    if (s->mode == CF_KILL)
        wait_until(cf_cancelled());
    else
        gate_pass(&s->gate);
    count_one(&s->ended);
}
CF_TASK_VOID(holds_inline, inline_scene *);

static void *
submits_inline(void *argument)
{
    inline_scene *s = argument;
    s->later = cf_spawn(s->pool, holds_inline, s);
    return NULL;
}

static void *
shuts_inline_down(void *argument)
{
    inline_scene *s = argument;
    cf_shutdown_report report;
    s->now = cf_executor_shutdown(s->pool, s->mode, CF_FOREVER, &report);
    s->left = s->now == CF_OK && counted(&s->ended) == 1 && report.finished == 1 ? report.left : 99;
    return NULL;
}

/* A shutdown of the inline executor waits for what other threads run in it, and asks that to stop if it's to be killed. */
static void
test_executor_inline_shutdown_waits(void **state)
{
    (void)state;
    for (int kill = 0; kill < 2; kill++) {
        inline_scene s = {.gate = GATE, .mode = kill ? CF_KILL : CF_DRAIN};
        cf_shutdown_report report;
        s.pool = cf_inline_executor();
        pthread_t runs = start_thread(submits_inline, &s);
        wait_until(counted(&s.begun) == 1);
        assert_int_equal(cf_executor_shutdown(s.pool, CF_DRAIN, CF_NOW, &report), CF_ERR_TIMEOUT);
        assert_int_equal(report.left, 1);
        assert_int_equal(cf_executor_shutdown(s.pool, CF_CANCEL_PENDING, cf_after_ms(1), &report), CF_ERR_TIMEOUT);
        assert_int_equal(report.left, 1);
        assert_int_equal(cf_spawn(s.pool, twice, 1), CF_ERR_SHUTDOWN);
        pthread_t shuts = start_thread(shuts_inline_down, &s);
        cf__inline_executor *self = CF__POINTER_CAST(cf__inline_executor *, s.pool);
        if (!kill)
            wait_until(sleepers(&self->mutex, &self->idle) == 1);
        gate_open(&s.gate);
        join_thread(shuts);
        assert_int_equal(s.now, CF_OK);
        assert_int_equal(s.left, 0);
        join_thread(runs); /* its submit has the executor until it returns */
        assert_int_equal(s.later, CF_OK);
        cf_executor_close(s.pool);
    }
}

static void
shuts_its_own(inline_scene *s)
{
    cf_shutdown_report report;
    s->now = cf_executor_shutdown(s->pool, CF_DRAIN, CF_NOW, &report);
    s->later = cf_executor_shutdown(s->pool, CF_DRAIN, CF_FOREVER, &report);
    s->left = report.left;
}
CF_TASK_VOID(shuts_its_own, inline_scene *);

/* From its own task it would wait for itself, and says so; and a task that ends its thread isn't waited for. */
static void
test_executor_inline_shutdown_inside(void **state)
{
    (void)state;
    inline_scene s = {.exits = true};
    s.pool = cf_inline_executor();
    join_thread(start_thread(submits_inline, &s));
    assert_int_equal(counted(&s.begun), 1);
    assert_int_equal(cf_spawn(s.pool, shuts_its_own, &s), CF_OK);
    assert_int_equal(s.now, CF_ERR_TIMEOUT);
    assert_int_equal(s.later, CF_ERR_DEADLOCK);
    assert_int_equal(s.left, 1);
    assert_int_equal(cf_spawn(s.pool, twice, 1), CF_ERR_SHUTDOWN);
    assert_int_equal(cf_executor_shutdown(s.pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
    cf_executor_close(s.pool);
}

/* The inline executor runs the task in the caller, before submit returns. */
static void
test_executor_inline_runs_at_once(void **state)
{
    (void)state;
    cf_auto(cf_executor) pool = cf_inline_executor();
    cf_auto(cf_future) f = cf_submit(pool, notes_thread);
    assert_true(cf_future_done(f));
    assert_true(pthread_equal(ran_in, pthread_self()));
    assert_int_equal(*(const int *)cf_future_peek(f), 5);
    assert_string_equal(pool->ops->kind, "inline executor");
}

/* ---- what threads and processes have in common ---- */

typedef cf_executor *make_pool(const cf_pool_opts *options);
static make_pool *const pools[] = {cf_thread_pool_with, cf_process_pool_with};

#define FOR_EACH_POOL(make)                                                                                            \
    for (size_t cf_test_i = 0; cf_test_i < (has_processes ? 2 : 1); cf_test_i++)                                       \
        for (make_pool *make = (memset(shared, 0, sizeof *shared), pools[cf_test_i]); make != NULL; make = NULL)

typedef struct whereabouts {
    pid_t process;
    pthread_t thread;
} whereabouts;

static whereabouts
tells_where(notes *n, int code)
{
    whereabouts here = {getpid(), pthread_self()};
    count_one(&n->ran);
    if (code != 0)
        (void)cf_fail(code, "as told");
    return here;
}
CF_TASK(whereabouts, tells_where, notes *, int);

/* A pool with one worker, which is held, and one task more, which is all it takes. */
static cf_executor *
make_full(make_pool *make, cf_full_policy policy, cf_future *futures[2])
{
    cf_pool_opts options = {.struct_size = sizeof options, .max_workers = 1, .max_pending = 2, .when_full = policy};
    cf_executor *pool = make(&options);
    assert_int_equal(cf_executor_error(pool), CF_OK);
    futures[0] = cf_submit(pool, holds, shared);
    wait_until(counted(&shared->inside) == 1);
    futures[1] = cf_submit(pool, holds, shared);
    return pool;
}

static void
end_full(cf_executor *pool, cf_future *futures[2])
{
    count_one(&shared->open);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cf_future_wait(futures[i], CF_FOREVER), CF_OK);
        cf_future_release(futures[i]);
    }
    cf_executor_close(pool);
}

/* CF_FULL_WAIT: one that found no room until its deadline is done, and says FULL, not TIMEOUT: a loop that waits again as long
 * as a wait's own time was up ends. */
static void
test_full_isnt_a_timeout(void **state)
{
    (void)state;
    FOR_EACH_POOL(make)
    {
        cf_future *held[2];
        cf_executor *pool = make_full(make, CF_FULL_WAIT, held);
        const cf_time deadlines[] = {CF_NOW, cf_after_ms(1)};
        for (size_t i = 0; i < sizeof deadlines / sizeof *deadlines; i++) {
            cf_auto(cf_future) f = cf_submit_with(pool, cf_options(.deadline = deadlines[i]), tells_where, shared, 0);
            cf_err error;
            while ((error = cf_future_wait(f, cf_after_ms(1000))) == CF_ERR_TIMEOUT) {
            }
            assert_int_equal(error, CF_ERR_FULL);
            assert_true(cf_future_done(f));
            assert_string_equal(cf_future_message(f), cf_strerror(CF_ERR_FULL));
            assert_int_equal(cf_spawn_with(pool, cf_options(.deadline = deadlines[i]), tells_where, shared, 0),
                             CF_ERR_FULL);
        }
        end_full(pool, held);
        assert_int_equal(counted(&shared->ran), 0);
    }
}

/* CF_FULL_FAIL: a submit to a full pool fails at once, whatever its deadline, and the task doesn't run; with room again it
 * goes well. */
static void
test_full_fails(void **state)
{
    (void)state;
    FOR_EACH_POOL(make)
    {
        cf_future *held[2];
        cf_executor *pool = make_full(make, CF_FULL_FAIL, held);
        for (int i = 0; i < 3; i++) {
            cf_auto(cf_future) f = cf_submit_with(pool,
                                                  cf_options(.deadline = i == 0   ? 0
                                                                         : i == 1 ? CF_NOW
                                                                                  : CF_FOREVER),
                                                  tells_where, shared, 0);
            assert_int_equal(cf_future_wait(f, CF_NOW), CF_ERR_FULL);
            assert_string_equal(cf_future_message(f), cf_strerror(CF_ERR_FULL));
        }
        assert_int_equal(cf_spawn(pool, tells_where, shared, 0), CF_ERR_FULL);
        assert_int_equal(counted(&shared->ran), 0);
        count_one(&shared->open);
        cf_err error;
        while ((error = cf_spawn(pool, tells_where, shared, 0)) == CF_ERR_FULL)
            (void)sched_yield(); /* until one of the two has made room */
        assert_int_equal(error, CF_OK);
        end_full(pool, held);
        assert_int_equal(counted(&shared->ran), 1);
    }
}

/* CF_FULL_RUN: the task runs in the caller, and is done, well or not, when the submit returns. */
static void
test_full_runs_in_caller(void **state)
{
    (void)state;
    FOR_EACH_POOL(make)
    {
        cf_future *held[2];
        whereabouts where = {0};
        cf_executor *pool = make_full(make, CF_FULL_RUN, held);
        cf_auto(cf_future) f = cf_submit(pool, tells_where, shared, 0);
        assert_int_equal(cf_result(f, tells_where, &where, CF_NOW), CF_OK);
        assert_int_equal(where.process, getpid());
        assert_true(pthread_equal(where.thread, pthread_self()));
        cf_auto(cf_future) failed = cf_submit(pool, tells_where, shared, 7);
        assert_int_equal(cf_future_wait(failed, CF_NOW), CF_ERR_FAILED);
        assert_int_equal(cf_future_code(failed), 7);
        assert_int_equal(cf_spawn(pool, tells_where, shared, 7), CF_OK); /* the task's failure isn't the call's */
        assert_int_equal(counted(&shared->ran), 3);
        end_full(pool, held);
    }
}

static int
submits_to_full(cf_executor *pool, notes *n)
{
    cf_future *more[3];
    int codes = 0;
    for (int i = 0; i < 3; i++)
        more[i] = cf_submit(pool, tells_where, n, 0);
    for (int i = 0; i < 3; i++) {
        codes = 100 * codes + (int)cf_future_wait(more[i], CF_FOREVER);
        cf_future_release(more[i]);
    }
    return codes;
}
CF_TASK(int, submits_to_full, cf_executor *, notes *);

/* A thread pool's own task finds it full, too: the first of three has room; with CF_FULL_WAIT, which would wait for itself, all
 * have. */
static void
test_full_in_own_task(void **state)
{
    (void)state;
    for (cf_full_policy policy = CF_FULL_WAIT; policy <= CF_FULL_RUN; policy++) {
        memset(shared, 0, sizeof *shared);
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 1, .max_pending = 2, .when_full = policy);
        int codes = -1;
        cf_auto(cf_future) f = cf_submit(pool, submits_to_full, pool, shared);
        assert_int_equal(cf_result(f, submits_to_full, &codes, CF_FOREVER), CF_OK);
        assert_int_equal(codes, policy == CF_FULL_FAIL ? 100 * CF_ERR_FULL + CF_ERR_FULL : 0);
        assert_int_equal(counted(&shared->ran), policy == CF_FULL_FAIL ? 1 : 3);
    }
}

/* Priorities are from -8 to 7; others are refused, and the task doesn't run. */
static void
test_priorities_out_of_range(void **state)
{
    (void)state;
    static const int bad[] = {-9, 8, 9, 16, 24, -24, 255, 256, INT32_MIN, INT32_MAX};
    FOR_EACH_POOL(make)
    {
        cf_pool_opts options = {.struct_size = sizeof options, .max_workers = 1};
        cf_executor *pool = make(&options);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            char message[64];
            (void)snprintf(message, sizeof message, "priority %d: from -8 to 7", bad[i]);
            cf_auto(cf_future) f = cf_submit_with(pool, cf_options(.priority = bad[i]), tells_where, shared, 0);
            assert_int_equal(cf_future_wait(f, CF_NOW), CF_ERR_INVALID);
            assert_string_equal(cf_future_message(f), message);
            assert_int_equal(cf_spawn_with(pool, cf_options(.priority = bad[i]), tells_where, shared, 0),
                             CF_ERR_INVALID);
        }
        for (int priority = -8; priority <= 7; priority++)
            assert_int_equal(cf_spawn_with(pool, cf_options(.priority = priority), tells_where, shared, 0), CF_OK);
        cf_executor_close(pool);
        assert_int_equal(counted(&shared->ran), 16);
    }
}

/* What each of these two learns is read after the join. */
typedef struct onlooker {
    cf_future **futures; /* the first is held, the second pending */
    cf_err err;
} onlooker;

static void *
waits_for_pending(void *argument)
{
    onlooker *o = argument;
    o->err = cf_future_wait(o->futures[1], CF_FOREVER);
    return NULL;
}

static void *
waits_for_first(void *argument)
{
    onlooker *o = argument;
    cf_err error = cf_wait(o->futures, 2, CF_FIRST_COMPLETED, CF_FOREVER);
    o->err = error != CF_OK ? error : cf_future_error(o->futures[1]);
    return NULL;
}

static void *
waits_for_failure(void *argument)
{
    onlooker *o = argument;
    cf_err error = cf_wait(o->futures, 2, CF_FIRST_FAILED, CF_FOREVER);
    o->err = error != CF_OK ? error : cf_future_error(o->futures[1]);
    return NULL;
}

static void *
loops_as_completed(void *argument)
{
    onlooker *o = argument;
    CF_AS_COMPLETED (i, o->futures, 2, CF_FOREVER) {
        o->err = cf_future_error(o->futures[i]);
        break;
    }
    return NULL;
}

typedef struct called { /* fields: A atomic */
    unsigned count;     /* A */
    cf_err err;
    pthread_t thread;
} called;

static void
notes_call(cf_future *future, void *context)
{
    called *c = context;
    c->err = cf_future_error(future);
    c->thread = pthread_self();
    count_one(&c->count);
}

/* A callback that is added when the task is done runs at once, in the caller. */
static void
test_callback_added_late(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        called c = {0};
        cf_auto(cf_future) f = cf_submit(pool, twice, -1);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_FAILED);
        assert_int_equal(cf_future_add_done_callback(f, notes_call, &c), CF_OK);
        assert_int_equal(counted(&c.count), 1);
        assert_int_equal(c.err, CF_ERR_FAILED);
        assert_true(pthread_equal(c.thread, pthread_self()));
    }
}

/* Of a pending future that somebody waits for by a set, or for one of several. */
static unsigned
callbacks_of(const cf_future *future)
{
    unsigned n = 0;
    cf__callback_line *line = cf__callbacks_line(cf__load_acquire(&future->callbacks));
    cf__mutex_lock(&line->mutex);
    for (const cf__callback *c = line->first; c != NULL; c = c->next)
        n++;
    cf__mutex_unlock(&line->mutex);
    return n;
}

/* A pending task that is cancelled is so for everybody, while the only worker is still busy with another: who waits for it, for
 * the first of several, in a loop, by a set, by a callback, which runs in the thread that cancels. */
static void
test_cancelled_for_everybody(void **state)
{
    static void *(*const onlookers[])(void *) = {waits_for_pending, waits_for_first, waits_for_failure,
                                                 loops_as_completed};
    enum { count = sizeof onlookers / sizeof *onlookers };
    (void)state;
    FOR_EACH_POOL(make)
    {
        cf_pool_opts options = {.struct_size = sizeof options, .max_workers = 1};
        cf_executor *pool = make(&options);
        cf_future *futures[2], *next = NULL;
        futures[0] = cf_submit(pool, holds, shared);
        wait_until(counted(&shared->inside) == 1);
        futures[1] = cf_submit(pool, tells_where, shared, 0);
        called c = {0};
        cf_wait_set *set = cf_wait_set_new();
        assert_int_equal(cf_future_add_done_callback(futures[1], notes_call, &c), CF_OK);
        for (int i = 0; i < 2; i++)
            assert_int_equal(cf_wait_set_add(set, futures[i], NULL), CF_OK);
        onlooker o[count];
        pthread_t threads[count];
        for (int i = 0; i < count; i++) {
            o[i] = (onlooker){futures, CF_OK};
            threads[i] = start_thread(onlookers[i], &o[i]);
        }
        wait_until(callbacks_of(futures[1]) == 1 + 1 + count - 1); /* the first waits without one */

        assert_true(cf_future_cancel(futures[1]));

        assert_int_equal(counted(&c.count), 1);
        assert_int_equal(c.err, CF_ERR_CANCELLED);
        assert_true(pthread_equal(c.thread, pthread_self()));
        assert_true(cf_future_cancelled(futures[1]));
        assert_int_equal(cf_wait_set_next(set, &next, NULL, CF_NOW), CF_OK);
        assert_ptr_equal(next, futures[1]);
        for (int i = 0; i < count; i++) {
            join_thread(threads[i]);
            assert_int_equal(o[i].err, CF_ERR_CANCELLED);
        }
        assert_false(cf_future_done(futures[0]));
        count_one(&shared->open);
        assert_int_equal(cf_wait_set_next(set, &next, NULL, CF_FOREVER), CF_OK);
        assert_ptr_equal(next, futures[0]);
        cf_wait_set_free(set);
        cf_future_release(futures[0]);
        cf_future_release(futures[1]);
        cf_executor_close(pool);
        assert_int_equal(counted(&shared->ran), 0);
    }
}

typedef struct own_end { /* a shutdown by a callback; read once `done` */
    cf_executor *pool;
    cf_err now, later, never;
    unsigned done; /* A */
} own_end;

static void
shuts_down_own(cf_future *future, void *context)
{
    own_end *e = context;
    (void)future;
    e->now = cf_executor_shutdown(e->pool, CF_DRAIN, CF_NOW, NULL);
    e->later = cf_executor_shutdown(e->pool, CF_DRAIN, cf_after_ms(3600000), NULL);
    e->never = cf_executor_shutdown(e->pool, CF_CANCEL_PENDING, CF_FOREVER, NULL);
    count_one(&e->done);
}

/* A callback in a pool's own thread can close the pool, but not wait for the end of itself. */
static void
test_callback_shuts_down(void **state)
{
    (void)state;
    FOR_EACH_POOL(make)
    {
        cf_pool_opts options = {.struct_size = sizeof options, .max_workers = 1};
        cf_executor *pool = make(&options);
        own_end e = {.pool = pool};
        cf_auto(cf_future) f = cf_submit(pool, holds, shared);
        assert_int_equal(cf_future_add_done_callback(f, shuts_down_own, &e), CF_OK);
        count_one(&shared->open);
        wait_until(counted(&e.done) == 1);
        assert_int_equal(e.now, CF_ERR_TIMEOUT);
        assert_int_equal(e.later, CF_ERR_DEADLOCK);
        assert_int_equal(e.never, CF_ERR_DEADLOCK);
        assert_int_equal(cf_spawn(pool, tells_where, shared, 0), CF_ERR_SHUTDOWN);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        cf_executor_close(pool);
        assert_int_equal(counted(&shared->ran), 0);
    }
}

/* Without max_workers there are as many threads as usable CPUs and four, and as many processes as CPUs; CF_WORKERS stands for
 * that number, and never for max_workers. */
static void
test_pool_sizes(void **state)
{
    (void)state;
    static const struct {
        const char *cpus;
        unsigned threads, processes;
    } rows[] = {{"1", 5, 1}, {"6", 10, 6}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(setenv("CF_WORKERS", rows[i].cpus, 1), 0);
        FOR_EACH_POOL(make)
        {
            cf_executor *pool = make(NULL);
            assert_int_equal(pool->ops->concurrency(pool), on_processes(pool) ? rows[i].processes : rows[i].threads);
            cf_executor_close(pool);
            cf_pool_opts options = {.struct_size = sizeof options, .max_workers = 2};
            pool = make(&options);
            assert_int_equal(pool->ops->concurrency(pool), 2);
            cf_executor_close(pool);
        }
    }
    assert_int_equal(unsetenv("CF_WORKERS"), 0);
}

/* A pool does without the processes that can't be forked, unless there is none at all, and gets them when they can. */
static void
test_processes_that_cant_be_forked(void **state)
{
    enum { workers = 3 };
    (void)state;
    if (!has_processes)
        skip();
    for (unsigned n = 1; n <= 1 + workers; n++) { /* the first fork is of the process that forks the workers */
        memset(shared, 0, sizeof *shared);
        fault_clear();
        fault_fail_from("fork", n, EAGAIN);
        cf_auto(cf_executor) pool = cf_process_pool(.max_workers = workers);
        assert_int_equal(cf_executor_error(pool), n <= 2 ? CF_ERR_SYSTEM : CF_OK);
        if (n <= 2)
            continue;
        cf_future *futures[workers];
        wait_until(fault_fired("fork") != 0);
        cf_auto(cf_future) f = cf_submit(pool, twice, 4);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
        fault_clear();
        for (int i = 0; i < workers; i++)
            futures[i] = cf_submit(pool, holds, shared);
        wait_until(counted(&shared->inside) == workers);
        count_one(&shared->open);
        for (int i = 0; i < workers; i++) {
            assert_int_equal(cf_future_wait(futures[i], CF_FOREVER), CF_OK);
            cf_future_release(futures[i]);
        }
    }
}

/* ---- what workers have of their own ---- */

typedef struct worker_name {
    char text[17];
} worker_name;

static worker_name
asks_name(notes *n)
{
    worker_name name = {""};
    (void)prctl(PR_GET_NAME, name.text, 0, 0, 0);
    count_one(&n->inside);
    wait_until(counted(&n->open) != 0);
    return name;
}
CF_TASK(worker_name, asks_name, notes *);

/* Workers are named: what was given, cut to 10 bytes, and their number. */
static void
test_worker_names(void **state)
{
    (void)state;
    static const struct {
        const char *given, *threads, *processes;
    } rows[] = {{NULL, "cf-thread", "cf-process"},
                {"io", "io", "io"},
                {"0123456789", "0123456789", "0123456789"},
                {"0123456789abc", "0123456789", "0123456789"}};
    FOR_EACH_POOL(make)
    {
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            cf_pool_opts options = {.struct_size = sizeof options, .max_workers = 2, .name = rows[r].given};
            memset(shared, 0, sizeof *shared);
            cf_executor *pool = make(&options);
            cf_future *futures[2];
            unsigned seen = 0;
            for (unsigned i = 0; i < 2; i++) {
                futures[i] = cf_submit(pool, asks_name, shared);
                wait_until(counted(&shared->inside) == i + 1);
            }
            count_one(&shared->open);
            for (int i = 0; i < 2; i++) {
                worker_name name;
                const char *prefix = on_processes(pool) ? rows[r].processes : rows[r].threads;
                assert_int_equal(cf_result(futures[i], asks_name, &name, CF_FOREVER), CF_OK);
                for (unsigned number = 0; number < 2; number++) {
                    char expected[32];
                    (void)snprintf(expected, sizeof expected, "%s-%u", prefix, number);
                    seen |= strcmp(name.text, expected) == 0 ? 1u << number : 0;
                }
                cf_future_release(futures[i]);
            }
            assert_int_equal(seen, 3);
            cf_executor_close(pool);
        }
    }
}

static void
prepares(void *context)
{
    notes *n = context;
    count_one(&n->starts);
    unsigned *mine = n == shared && !n->start_fails && cf_worker_local() != NULL && *cf_worker_local() == NULL
                         ? calloc(1, sizeof *mine)
                         : NULL;
    if (mine != NULL) {
        count_one(&n->right_starts);
        *cf_worker_local() = mine;
    }
    if (n->start_fails)
        (void)cf_fail(3, "told to");
}

static void
uses_local(void)
{
    unsigned *mine = *cf_worker_local();
    ++*mine;
}
CF_TASK_VOID(uses_local);

static void
ends_local(void *context)
{
    notes *n = context;
    count_one(&n->stops);
    unsigned *mine = n == shared && cf_worker_local() != NULL ? *cf_worker_local() : NULL;
    if (mine != NULL) {
        (void)__atomic_add_fetch(&n->tasks_at_stop, *mine, __ATOMIC_ACQ_REL);
        count_one(&n->right_stops);
    }
    free(mine);
}

/* on_start prepares something for each worker, its tasks find it, and on_stop, which is called as often, ends it after them. */
static void
test_worker_local_from_start_to_stop(void **state)
{
    (void)state;
    enum { count = 500 };
    FOR_EACH_POOL(make)
    {
        for (unsigned workers = 1; workers <= 3; workers++) {
            memset(shared, 0, sizeof *shared);
            cf_pool_opts options = {.struct_size = sizeof options,
                                    .max_workers = workers,
                                    .on_start = prepares,
                                    .on_stop = ends_local,
                                    .on_start_context = shared};
            cf_executor *pool = make(&options);
            for (int i = 0; i < count; i++)
                assert_int_equal(cf_spawn(pool, uses_local), CF_OK);
            assert_int_equal(counted(&shared->stops), 0);
            cf_executor_close(pool);
            assert_true(counted(&shared->starts) >= 1 && counted(&shared->starts) <= workers);
            assert_int_equal(counted(&shared->right_starts), counted(&shared->starts));
            assert_int_equal(counted(&shared->stops), counted(&shared->starts));
            assert_int_equal(counted(&shared->right_stops), counted(&shared->starts));
            assert_int_equal(counted(&shared->tasks_at_stop), count);
        }
    }
}

/* A worker whose on_start has failed isn't stopped by on_stop. */
static void
test_no_stop_after_failed_start(void **state)
{
    (void)state;
    FOR_EACH_POOL(make)
    {
        shared->start_fails = true;
        cf_pool_opts options = {.struct_size = sizeof options,
                                .max_workers = 1,
                                .on_start = prepares,
                                .on_stop = ends_local,
                                .on_start_context = shared};
        cf_executor *pool = make(&options);
        cf_auto(cf_future) f = cf_submit(pool, tells_where, shared, 0);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_BROKEN);
        assert_non_null(strstr(cf_future_message(f), "told to"));
        cf_executor_close(pool);
        assert_true(counted(&shared->starts) >= 1);
        assert_int_equal(counted(&shared->stops) + counted(&shared->ran), 0);
    }
}

static void
dies(void)
{
    (void)kill(getpid(), SIGKILL);
}
CF_TASK_VOID(dies);

/* Nor is one that has died, or that is killed. */
static void
test_no_stop_after_death(void **state)
{
    (void)state;
    if (!has_processes)
        skip();
    memset(shared, 0, sizeof *shared);
    cf_executor *pool =
        cf_process_pool(.max_workers = 1, .on_start = prepares, .on_stop = ends_local, .on_start_context = shared);
    cf_auto(cf_future) lost = cf_submit(pool, dies);
    assert_int_equal(cf_future_wait(lost, CF_FOREVER), CF_ERR_WORKER_LOST);
    cf_auto(cf_future) held = cf_submit(pool, holds, shared);
    wait_until(counted(&shared->inside) == 1);
    assert_int_equal(counted(&shared->starts), 2);
    assert_int_equal(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, NULL), CF_OK);
    assert_int_equal(cf_future_wait(held, CF_NOW), CF_ERR_WORKER_LOST);
    cf_executor_close(pool);
    assert_int_equal(counted(&shared->stops), 0);
}

/* Options that mean nothing to threads change nothing: one thread runs all that comes, and stays. */
static void
test_threads_ignore_options_of_processes(void **state)
{
    (void)state;
    memset(shared, 0, sizeof *shared);
    cf_executor *pool = cf_thread_pool(.max_workers = 1, .memory = 1, .max_tasks_per_worker = 1,
                                       .max_memory_per_worker = 1, .idle_timeout_ms = 1, .min_workers = 7,
                                       .on_start = prepares, .on_stop = ends_local, .on_start_context = shared);
    assert_int_equal(cf_executor_error(pool), CF_OK);
    for (int i = 0; i < 100; i++)
        assert_int_equal(cf_spawn(pool, tells_where, shared, 0), CF_OK);
    cf_executor_close(pool);
    assert_int_equal(counted(&shared->ran), 100);
    assert_int_equal(counted(&shared->starts), 1);
}

static void
writes(notes *n, int what)
{
    n->order[n->ran] = what; /* the only worker's only task */
    count_one(&n->ran);
}
CF_TASK_VOID(writes, notes *, int);

/* Processes take tasks in the order of their submits, whatever their priorities. */
static void
test_priorities_on_processes(void **state)
{
    (void)state;
    if (!has_processes)
        skip();
    memset(shared, 0, sizeof *shared);
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_auto(cf_future) held = cf_submit(pool, holds, shared);
    wait_until(counted(&shared->inside) == 1);
    for (int i = 0; i < 16; i++)
        assert_int_equal(cf_spawn_with(pool, cf_options(.priority = i % 2 ? 7 - i / 2 : i / 2 - 8), writes, shared, i),
                         CF_OK);
    count_one(&shared->open);
    cf_executor_close(pool);
    for (int i = 0; i < 16; i++)
        assert_int_equal(shared->order[i], i);
}

static bool
has_no_local(void)
{
    return cf_worker_local() == NULL;
}
CF_TASK(bool, has_no_local);

/* Outside of workers there is none, in a task that the caller runs neither. */
static void
test_worker_local_outside(void **state)
{
    (void)state;
    bool none = false;
    assert_null(cf_worker_local());
    cf_auto(cf_executor) at_once = cf_inline_executor();
    cf_auto(cf_future) f = cf_submit(at_once, has_no_local);
    assert_int_equal(cf_result(f, has_no_local, &none, CF_NOW), CF_OK);
    assert_true(none);
    FOR_EACH_POOL(make)
    {
        cf_future *held[2];
        cf_executor *pool = make_full(make, CF_FULL_RUN, held);
        cf_auto(cf_future) g = cf_submit(pool, has_no_local);
        none = false;
        assert_int_equal(cf_result(g, has_no_local, &none, CF_NOW), CF_OK);
        assert_true(none);
        end_full(pool, held);
    }
}

int
main(void)
{
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 99;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    has_processes = tries_processes(cf_executor_error(pool));
    cf_executor_close(pool);
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, leaks_start_processes, leaks_none_processes)
        TEST(test_executor_submit_brings_result),
        TEST(test_executor_submit_brings_failure),
        TEST(test_executor_submit_bytes),
        TEST(test_executor_long_forms),
        TEST(test_executor_refuses_options),
        TEST(test_executor_released_task_goes_on),
        TEST(test_executor_wait_gives_up),
        TEST(test_executor_future_outlives_it),
        TEST(test_executor_null_is_invalid),
        TEST(test_executor_failed_says_why),
        TEST(test_executor_failed_ops_work),
        TEST(test_executor_failed_message_is_cut),
        TEST(test_executor_failed_without_memory),
        TEST(test_map_results_are_in_order),
        TEST(test_map_of_many_items),
        TEST(test_map_failed_items_stay_apart),
        TEST(test_map_of_zero_items),
        TEST(test_executor_options_by_name),
        TEST(test_executor_shutdown_ends_submits),
        TEST(test_executor_shutdown_reports),
        TEST(test_executor_full_times_out),
        TEST(test_executor_alloc),
        TEST(test_executor_forked_child),
        TEST(test_executor_failed_in_child),
        TEST(test_executor_any_allocation_may_fail),
        TEST(test_executor_tasks_submit_tasks),
        TEST(test_executor_inline_runs_at_once),
        TEST(test_executor_inline_shutdown_waits),
        TEST(test_executor_inline_shutdown_inside),
        TEST(test_full_isnt_a_timeout),
        TEST(test_full_fails),
        TEST(test_full_runs_in_caller),
        TEST(test_full_in_own_task),
        TEST(test_priorities_out_of_range),
        TEST(test_callback_added_late),
        TEST(test_cancelled_for_everybody),
        TEST(test_callback_shuts_down),
        TEST(test_pool_sizes),
        TEST(test_threads_ignore_options_of_processes),
        TEST(test_processes_that_cant_be_forked),
        TEST(test_worker_names),
        TEST(test_worker_local_from_start_to_stop),
        TEST(test_no_stop_after_failed_start),
        TEST(test_no_stop_after_death),
        TEST(test_priorities_on_processes),
        TEST(test_worker_local_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
