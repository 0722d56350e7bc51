/* tests/unit/test_process_pool.c - process_pool.h, with what it includes.
 * SPDX-License-Identifier: MIT
 * Death at every instruction is in tests/fault/test_process_kill.c, how it gets along with all that a program may do in
 * test_process_citizen.c, test_process_ends.c and test_process_scarce.c there; here is what a program sees.
 * After each test no process of ours lives, and no memory, descriptor or thread is left. */
#include "unit.h"

#include <cfutures/detail/process_slots.h>
/* The parent sleeps in slices.  Here the first of them is an hour, lest it hides a wake that was forgotten. */
#undef CF__SLICE_FIRST
#define CF__SLICE_FIRST parent_slice
static int64_t parent_slice;
static const int64_t usual_slice = INT64_C(20000000), no_slice = INT64_C(3600000000000);

#include <cfutures.h>

/* What tasks and test tell each other: in memory that all our processes share, made before the first pool. */
enum { GATES = 8 };
typedef struct notes {                   /* fields: A atomic */
    unsigned inside[GATES], open[GATES]; /* A: a task that holds: came in; may go on */
    unsigned runs;                       /* A */
    unsigned order[64];                  /* in which tasks ran, order[0] of them */
    int process[GATES];                  /* A */
    unsigned starts;                     /* A */
} notes;
static notes *shared;

static cf__process_pool *
inside_of(cf_executor *pool)
{
    return (cf__process_pool *)pool;
}

static int
worker_process(cf_executor *pool, uint32_t index)
{
    return __atomic_load_n(&inside_of(pool)->setup.view.workers[index].process, __ATOMIC_ACQUIRE);
}

static int
template_process(cf_executor *pool)
{
    return inside_of(pool)->setup.view.arena->template_process;
}

/* The state of a future's slot, while nobody has collected it. */
static uint32_t
slot_state(cf_executor *pool, const cf_future *future)
{
    uint32_t index = ((const cf__process_future *)future)->index;
    return cf__slot_state(__atomic_load_n(&inside_of(pool)->setup.view.slots[index].word, __ATOMIC_ACQUIRE));
}

static bool
has_started(cf_executor *pool, uint32_t index)
{
    return __atomic_load_n(&inside_of(pool)->setup.view.workers[index].started, __ATOMIC_ACQUIRE) != 0;
}

static int
notes_start(void **state)
{
    parent_slice = no_slice;
    memset(shared, 0, sizeof *shared);
    return leaks_start_processes(state);
}

#define pool_test(test) cmocka_unit_test_setup_teardown(test, notes_start, leaks_none_processes)

/* ---- tasks ---- */

static int
twice(int x)
{
    return 2 * x;
}
CF_TASK(int, twice, int);

/* Comes in at a gate and waits until it's open. */
static int
hold(int number)
{
    count_one(&shared->inside[number]);
    while (counted(&shared->open[number]) == 0 && !cf_cancelled())
        (void)sched_yield();
    return cf_cancelled() ? -1 : number;
}
CF_TASK(int, hold, int);

static void
open_gate(int number)
{
    count_one(&shared->open[number]);
}

static void
note_run(int x)
{
    (void)x;
    count_one(&shared->runs);
}
CF_TASK_VOID(note_run, int);

static int
note_order(int x)
{
    unsigned n = __atomic_add_fetch(&shared->order[0], 1, __ATOMIC_SEQ_CST);
    if (n < 64)
        shared->order[n] = (unsigned)x;
    return x;
}
CF_TASK(int, note_order, int);

static int
own_process(int unused)
{
    (void)unused;
    return (int)getpid();
}
CF_TASK(int, own_process, int);

static int
add_up(const int *numbers, size_t count)
{
    int sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += numbers[i];
    return sum;
}
CF_TASK(int, add_up, const int *, size_t);

typedef struct block100k {
    unsigned char bytes[100 * 1024];
} block100k;
typedef struct block1m {
    unsigned char bytes[1 << 20];
} block1m;

static block100k
grow(block100k in)
{
    for (size_t i = 0; i < sizeof in.bytes; i++)
        in.bytes[i] = (unsigned char)(in.bytes[i] + 1);
    return in;
}
CF_TASK(block100k, grow, block100k);

static block1m
fill(int value)
{
    block1m block;
    memset(&block, value, sizeof block);
    return block;
}
CF_TASK(block1m, fill, int);

/* Whether the first and last byte, and one in between, are `value`. */
static bool
is_filled(const unsigned char *bytes, size_t size, int value)
{
    return bytes[0] == value && bytes[size / 2] == value && bytes[size - 1] == value;
}

#define ALIGNED_TASK(n)                                                                                                \
    typedef struct aligned##n {                                                                                        \
        _Alignas(n) unsigned char bytes[n];                                                                            \
    } aligned##n;                                                                                                      \
    static aligned##n keep##n(aligned##n in)                                                                           \
    {                                                                                                                  \
        in.bytes[0] = (unsigned char)(in.bytes[0] + ((uintptr_t)&in % n == 0));                                        \
        return in;                                                                                                     \
    }                                                                                                                  \
    CF_TASK(aligned##n, keep##n, aligned##n)
ALIGNED_TASK(64);
ALIGNED_TASK(128);
ALIGNED_TASK(4096);

/* ---- results ---- */

static int
run_twice(cf_executor *pool, int x)
{
    int value = -1;
    cf_auto(cf_future) future = cf_submit(pool, twice, x);
    assert_int_equal(cf_result(future, twice, &value, CF_FOREVER), CF_OK);
    return value;
}

/* Submit, map, spawn and shared memory, over processes. */
static void
test_pool_runs_tasks(void **state)
{
    enum { count = 3000 };
    static int in[count], out[count];
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 3);
    assert_int_equal(cf_executor_error(pool), CF_OK);
    assert_int_equal(run_twice(pool, 21), 42);

    for (int i = 0; i < count; i++)
        in[i] = i;
    assert_int_equal(cf_map(pool, twice, count, out, in), CF_OK);
    for (int i = 0; i < count; i++)
        assert_int_equal(out[i], 2 * i);

    for (int i = 0; i < 100; i++)
        assert_int_equal(cf_spawn(pool, note_run, i), CF_OK);

    int *numbers = cf_executor_alloc(pool, 1000 * sizeof *numbers), sum = 0;
    assert_non_null(numbers);
    for (int i = 0; i < 1000; i++)
        numbers[i] = i;
    cf_future *future = cf_submit(pool, add_up, numbers, 1000);
    assert_int_equal(cf_result(future, add_up, &sum, CF_FOREVER), CF_OK);
    assert_int_equal(sum, 499500);
    cf_future_release(future);
    cf_executor_free(pool, numbers);

    future = cf_submit(pool, own_process, 0);
    int process = 0;
    assert_int_equal(cf_result(future, own_process, &process, CF_FOREVER), CF_OK);
    assert_true(process != (int)getpid());
    cf_future_release(future);
    cf_executor_close(pool);
    assert_int_equal(shared->runs, 100);
}

/* 100 KB in and out, 1 MiB out: right, and still there after the pool is closed. */
static void
test_pool_big_values_outlive_it(void **state)
{
    enum { count = 20 };
    static block100k in, out;
    static block1m huge;
    cf_future *grown[count], *filled[count];
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    for (int i = 0; i < count; i++) {
        memset(&in, i, sizeof in);
        grown[i] = cf_submit(pool, grow, in);
        filled[i] = cf_submit(pool, fill, 100 + i);
    }
    cf_future *small = cf_submit(pool, twice, 4);
    cf_executor_close(pool);
    for (int i = 0; i < count; i++) {
        assert_int_equal(cf_result(grown[i], grow, &out, CF_NOW), CF_OK);
        assert_true(is_filled(out.bytes, sizeof out.bytes, i + 1));
        assert_int_equal(cf_result(filled[i], fill, &huge, CF_NOW), CF_OK);
        assert_true(is_filled(huge.bytes, sizeof huge.bytes, 100 + i));
        assert_ptr_equal(cf_future_peek(filled[i]), filled[i]->result);
        cf_future_release(grown[i]);
        cf_future_release(filled[i]);
    }
    int value = 0;
    assert_int_equal(cf_result(small, twice, &value, CF_NOW), CF_OK);
    assert_int_equal(value, 8);
    cf_future_release(small);
}

/* Arguments and results lie where their types want it. */
static void
test_pool_aligns_values(void **state)
{
    (void)state;
    static aligned64 a;
    static aligned128 b;
    static aligned4096 c;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
#define CHECK_ALIGNED(n, v)                                                                                            \
    do {                                                                                                               \
        cf_future *future = cf_submit(pool, keep##n, v);                                                               \
        assert_int_equal(cf_result(future, keep##n, &v, CF_FOREVER), CF_OK);                                           \
        assert_int_equal(v.bytes[0], 1);                                                                               \
        assert_int_equal((uintptr_t)cf_future_peek(future) % n, 0);                                                    \
        cf_future_release(future);                                                                                     \
    } while (0)
    CHECK_ALIGNED(64, a);
    CHECK_ALIGNED(128, b);
    CHECK_ALIGNED(4096, c);
    cf_executor_close(pool);
}

/* More futures at once than there are slots, down to one slot: submits make room by themselves. */
static void
test_pool_more_futures_than_slots(void **state)
{
    enum { count = 200 };
    static const size_t slots[] = {1, 2, 3, 4};
    cf_future *futures[count];
    (void)state;
    for (size_t s = 0; s < sizeof slots / sizeof *slots; s++) {
        cf_executor *pool = cf_process_pool(.max_workers = 2, .max_pending = slots[s]);
        inside_of(pool)->audits = false;
        for (int i = 0; i < count; i++)
            futures[i] = cf_submit(pool, twice, i);
        for (int i = count; i-- > 0;) {
            int value = -1;
            assert_int_equal(cf_result(futures[i], twice, &value, CF_FOREVER), CF_OK);
            assert_int_equal(value, 2 * i);
            cf_future_release(futures[i]);
        }
        cf_executor_close(pool);
    }
}

/* 20,000 futures before the first is collected. */
static void
test_pool_twenty_thousand_futures(void **state)
{
    enum { count = 20000 };
    static cf_future *futures[count];
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    for (int i = 0; i < count; i++)
        futures[i] = cf_submit(pool, twice, i);
    for (int i = 0; i < count; i++) {
        int value = -1;
        assert_int_equal(cf_result(futures[i], twice, &value, CF_FOREVER), CF_OK);
        assert_int_equal(value, 2 * i);
        cf_future_release(futures[i]);
    }
    cf_executor_close(pool);
}

/* A submit without room gives up at its deadline, and succeeds once there is room. */
static void
test_pool_full_submit_times_out(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1, .max_pending = 2);
    cf_future *running = cf_submit(pool, hold, 0), *pending = cf_submit(pool, twice, 1);
    cf_future *late = cf_submit_with(pool, cf_options(.deadline = cf_after_ms(5)), twice, 2);
    assert_int_equal(cf_future_error(late), CF_ERR_FULL);
    assert_int_equal(cf_spawn_with(pool, cf_options(.deadline = 1), twice, 2), CF_ERR_FULL);
    cf_future_release(late);
    open_gate(0);
    assert_int_equal(run_twice(pool, 3), 6);
    assert_int_equal(cf_future_wait(running, CF_FOREVER), CF_OK);
    assert_int_equal(cf_future_wait(pending, CF_FOREVER), CF_OK);
    cf_future_release(running);
    cf_future_release(pending);
    cf_executor_close(pool);
}

/* ---- memory ---- */

static void
run_bytes(const void *args, void *result, void *context)
{
    (void)context;
    *(unsigned char *)result = *(const unsigned char *)args;
}

/* Arguments or results may be as large as the pool's memory, and not one byte more. */
static void
test_pool_limit_of_memory(void **state)
{
    enum { memory = 1 << 20 };
    static const cf_task_type fits = {"fits", "x", run_bytes, NULL, memory, 1, 1, 1, 1, 0, NULL};
    static const cf_task_type args_too_big = {"args", "x", run_bytes, NULL, memory + 1, 1, 1, 1, 1, 0, NULL};
    static const cf_task_type result_too_big = {"result", "x", run_bytes, NULL, 1, 1, memory + 1, 1, 1, 0, NULL};
    static unsigned char args[memory + 1] = {7};
    unsigned char value = 0;
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1, .memory = memory);
    cf_future *future = cf_submit_bytes(pool, &args_too_big, args, NULL);
    assert_int_equal(cf_future_error(future), CF_ERR_TOO_BIG);
    cf_future_release(future);
    future = cf_submit_bytes(pool, &result_too_big, args, NULL);
    assert_int_equal(cf_future_error(future), CF_ERR_TOO_BIG);
    cf_future_release(future);
    future = cf_submit_bytes(pool, &fits, args, NULL);
    assert_int_equal(cf_future_get(future, &value, 1, CF_FOREVER), CF_OK);
    assert_int_equal(value, 7);
    cf_future_release(future);
    assert_null(cf_executor_alloc(pool, memory + 1));
    void *all = cf_executor_alloc(pool, memory);
    assert_non_null(all);
    cf_executor_free(pool, all);
    cf_executor_close(pool);
}

/* Results that the program keeps use memory up; when it lets go of some, there is room again. */
static void
test_pool_kept_results_use_memory_up(void **state)
{
    enum { kept = 4 };
    cf_future *futures[kept];
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2, .memory = kept * sizeof(block1m));
    for (int i = 0; i < kept; i++) {
        futures[i] = cf_submit(pool, fill, i);
        assert_int_equal(cf_future_wait(futures[i], CF_FOREVER), CF_OK);
    }
    cf_future *failed = cf_submit(pool, fill, 9);
    assert_int_equal(cf_future_error(failed), CF_ERR_NOMEM);
    cf_future_release(failed);
    cf_future_release(futures[0]);
    futures[0] = cf_submit(pool, fill, 9);
    assert_int_equal(cf_future_wait(futures[0], CF_FOREVER), CF_OK);
    for (int i = 0; i < kept; i++)
        cf_future_release(futures[i]);
    cf_executor_close(pool);
}

/* ---- cancelling, failing ---- */

/* A pending task is cancelled at once, a running one is asked, a finished one stays as it is. */
static void
test_pool_cancel(void **state)
{
    (void)state;
    int value = 0;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *done = cf_submit(pool, twice, 1);
    assert_int_equal(cf_future_wait(done, CF_FOREVER), CF_OK);
    cf_future *running = cf_submit(pool, hold, 0), *pending = cf_submit(pool, note_run, 0);
    wait_until(counted(&shared->inside[0]) == 1);
    assert_true(cf_future_cancel(pending));
    assert_true(cf_future_cancel(pending));
    assert_true(cf_future_cancelled(pending));
    assert_int_equal(cf_future_error(pending), CF_ERR_CANCELLED);
    assert_false(cf_future_done(running));
    assert_false(cf_future_cancel(running));
    assert_int_equal(cf_result(running, hold, &value, CF_FOREVER), CF_OK);
    assert_int_equal(value, -1); /* it has seen it */
    assert_false(cf_future_cancel(done));
    assert_int_equal(cf_future_error(done), CF_OK);
    cf_future_release(done);
    cf_future_release(running);
    cf_future_release(pending);
    /* The next task in that slot hasn't been asked. */
    running = cf_submit(pool, hold, 1);
    wait_until(counted(&shared->inside[1]) == 1);
    open_gate(1);
    assert_int_equal(cf_result(running, hold, &value, CF_FOREVER), CF_OK);
    assert_int_equal(value, 1);
    cf_future_release(running);
    cf_executor_close(pool);
    assert_int_equal(shared->runs, 0);
}

static int
fail_with(int code)
{
    return cf_fail(
        code, "no %d today, %s", code,
        "and a sentence that goes on for longer than a message may be, so that it's cut somewhere, and nobody "
        "minds that, as long as what is left of it ends with a zero byte where it has to");
}
CF_TASK(int, fail_with, int);

/* A task that fails tells code and message. */
static void
test_pool_task_fails(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *future = cf_submit(pool, fail_with, 7);
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_FAILED);
    assert_int_equal(cf_future_code(future), 7);
    assert_memory_equal(cf_future_message(future), "no 7 today", 10);
    assert_int_equal(strlen(cf_future_message(future)), CF__MESSAGE_SIZE - 1);
    cf_future_release(future);
    assert_int_equal(run_twice(pool, 2), 4);
    cf_executor_close(pool);
}

/* ---- callbacks ---- */

typedef struct called { /* fields: A atomic */
    unsigned count;     /* A */
    cf_err error;
    pthread_t thread;
    cf_executor *pool;
    cf_future *other, *made;
} called;

static void
note_call(cf_future *future, void *context)
{
    called *c = context;
    c->error = cf_future_error(future);
    c->thread = pthread_self();
    count_one(&c->count);
}

/* For callbacks that may run in two threads at once: the collector's, and the adder's own when it comes late. */
static void
count_call(cf_future *future, void *context)
{
    (void)future;
    count_one(&((called *)context)->count);
}

/* Submits, cancels another one, and lets go of a reference. */
static void
call_everything(cf_future *future, void *context)
{
    called *c = context;
    c->made = cf_submit(c->pool, twice, 50);
    (void)cf_future_cancel(c->other);
    cf_future_release(cf_future_retain(future));
    cf_future_release(future); /* the submitter's */
    count_one(&c->count);
}

/* Callbacks run in the pool's own thread; of a finished future at once; each once, however many there are. */
static void
test_pool_callbacks(void **state)
{
    enum { many = 500 };
    called one = {.count = 0}, late = {.count = 0}, all = {.count = 0}, busy = {.count = 0};
    cf_future *futures[many];
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    inside_of(pool)->audits = false;
    cf_future *held = cf_submit(pool, hold, 0);
    assert_int_equal(cf_future_add_done_callback(held, note_call, &one), CF_OK);
    assert_int_equal(cf_future_add_done_callback(held, note_call, &one), CF_OK);
    open_gate(0);
    wait_until(counted(&one.count) == 2);
    assert_int_equal(one.error, CF_OK);
    assert_false(pthread_equal(one.thread, pthread_self()));
    assert_int_equal(cf_future_add_done_callback(held, note_call, &late), CF_OK);
    assert_int_equal(late.count, 1);
    assert_true(pthread_equal(late.thread, pthread_self()));
    cf_future_release(held);

    for (int i = 0; i < many; i++) {
        futures[i] = cf_submit(pool, twice, i);
        assert_int_equal(cf_future_add_done_callback(futures[i], count_call, &all), CF_OK);
        cf_future_release(futures[i]);
    }
    wait_until(counted(&all.count) == many);

    busy.pool = pool;
    held = cf_submit(pool, hold, 1);
    cf_future *second = cf_submit(pool, hold, 2);
    wait_until(counted(&shared->inside[1]) + counted(&shared->inside[2]) == 2);
    busy.other = cf_submit(pool, note_run, 0);
    assert_int_equal(cf_future_add_done_callback(held, call_everything, &busy), CF_OK);
    open_gate(1);
    wait_until(counted(&busy.count) == 1);
    open_gate(2);
    assert_int_equal(cf_future_wait(busy.made, CF_FOREVER), CF_OK);
    assert_int_not_equal(cf_future_wait(busy.other, CF_FOREVER), CF_ERR_TIMEOUT);
    cf_future_release(busy.made);
    cf_future_release(busy.other);
    cf_future_release(second);
    cf_executor_close(pool);
}

/* ---- ways to die ---- */

static int
die(int how)
{
    switch (how) {
    case -1:
        exit(0);
    case -2:
        exit(3);
    case -3:
        _exit(7);
    case -4: {
        char *const arguments[] = {(char[]){"true"}, NULL};
        (void)execve("/bin/true", arguments, arguments + 1);
        _exit(99);
    }
    case -5:
        quick_exit(4);
    case -6:
        pthread_exit(NULL);
    case SIGABRT:
        abort();
    default:
        (void)kill(getpid(), how);
    }
    return 0;
}
CF_TASK(int, die, int);

/* However a task ends its worker, its future says so, and nobody else notices. */
static void
test_pool_every_way_to_die(void **state)
{
    static const struct {
        int how, signal, status;
    } ways[] = {{SIGSEGV, SIGSEGV, 0},
                {SIGBUS, SIGBUS, 0},
                {SIGFPE, SIGFPE, 0},
                {SIGABRT, SIGABRT, 0},
                {SIGKILL, SIGKILL, 0},
                {SIGTERM, SIGTERM, 0},
#ifdef __GLIBC__
                {-1, 0, 0},
                {-2, 0, 3},
#else /* what exit() was given is lost, see os_process.h */
                {-1, 0, EXIT_FAILURE},
                {-2, 0, EXIT_FAILURE},
#endif
                {-3, 0, 7},
                {-4, 0, 0},
                {-5, 0, EXIT_FAILURE}, /* what quick_exit() was given is lost everywhere */
                {-6, 0, 0}};
    char expected[64];
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    inside_of(pool)->audits = false;
    cf_future *bystander = cf_submit(pool, hold, 0);
    wait_until(counted(&shared->inside[0]) == 1);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        called c = {.count = 0};
        cf_future *future = cf_submit(pool, die, ways[i].how), *next = cf_submit(pool, twice, 5);
        int value = 0;
        assert_int_equal(cf_future_add_done_callback(future, note_call, &c), CF_OK);
        assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_WORKER_LOST);
        assert_int_equal(cf_future_signal(future), ways[i].signal);
        assert_int_equal(cf_future_status(future), ways[i].status);
        (void)snprintf(expected, sizeof expected, ways[i].signal != 0 ? "killed by signal %d" : "exit status %d",
                       ways[i].signal != 0 ? ways[i].signal : ways[i].status);
        assert_non_null(strstr(cf_future_message(future), expected));
        assert_non_null(strstr(cf_future_message(future), "die"));
        assert_int_equal(cf_result(next, twice, &value, CF_FOREVER), CF_OK);
        assert_int_equal(value, 10);
        wait_until(counted(&c.count) == 1);
        assert_int_equal(c.error, CF_ERR_WORKER_LOST);
        cf_future_release(future);
        cf_future_release(next);
    }
    assert_false(cf_future_done(bystander));
    open_gate(0);
    assert_int_equal(cf_future_wait(bystander, CF_FOREVER), CF_OK);
    cf_future_release(bystander);
    wait_until(living_processes() <= leaks_before.processes + 3);
    cf_executor_close(pool);
}

/* A worker that dies between two tasks is replaced, and nobody notices: the result that it has published counts. */
static void
test_pool_idle_worker_dies(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    inside_of(pool)->audits = false;
    int first = worker_process(pool, 0), value = 0;
    cf_future *future = cf_submit(pool, own_process, 0);
    wait_until(slot_state(pool, future) == CF__SLOT_DONE);
    assert_int_equal(kill(first, SIGKILL), 0);
    wait_until(worker_process(pool, 0) > 0 && worker_process(pool, 0) != first && has_started(pool, 0));
    assert_int_equal(cf_result(future, own_process, &value, CF_NOW), CF_OK);
    assert_int_equal(value, first);
    cf_future_release(future);
    future = cf_submit(pool, own_process, 0);
    assert_int_equal(cf_result(future, own_process, &value, CF_FOREVER), CF_OK);
    assert_int_equal(value, worker_process(pool, 0));
    cf_future_release(future);
    cf_executor_close(pool);
}

/* ---- threads ---- */

static void *
wait_main(void *argument)
{
    cf_err error = cf_future_wait(argument, CF_FOREVER);
    return (void *)(uintptr_t)error;
}

/* Threads that wait for one future all get its outcome, whoever of them collects it. */
static void
test_pool_many_waiters(void **state)
{
    enum { threads = 6, turns = 50 };
    pthread_t thread[threads];
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    inside_of(pool)->audits = false;
    for (int turn = 0; turn < turns; turn++) {
        bool dies = turn % 5 == 4;
        shared->open[0] = shared->inside[0] = 0;
        cf_future *future = dies ? cf_submit(pool, die, SIGKILL) : cf_submit(pool, hold, 0);
        for (int i = 0; i < threads; i++)
            thread[i] = start_thread(wait_main, future);
        open_gate(0);
        for (int i = 0; i < threads; i++) {
            void *error;
            assert_int_equal(pthread_join(thread[i], &error), 0);
            assert_int_equal((uintptr_t)error, dies ? CF_ERR_WORKER_LOST : CF_OK);
        }
        cf_future_release(future);
    }
    cf_executor_close(pool);
}

typedef struct submitter {
    cf_executor *pool;
    unsigned wrong;
} submitter;

static void *
submit_main(void *argument)
{
    enum { count = 400 };
    submitter *self = argument;
    for (int i = 0; i < count; i++) {
        int value = -1;
        cf_future *future = cf_submit(self->pool, twice, i), *other = cf_submit(self->pool, twice, -i);
        if (i % 3 == 0)
            (void)cf_future_cancel(other);
        self->wrong += cf_result(future, twice, &value, CF_FOREVER) != CF_OK || value != 2 * i;
        cf_future_release(future);
        cf_future_release(other);
    }
    return NULL;
}

/* Threads that submit at once, with plenty of room and with hardly any. */
static void
test_pool_many_submitters(void **state)
{
    enum { threads = 4 };
    static const size_t slots[] = {1, 2, 3, 0};
    (void)state;
    for (size_t s = 0; s < sizeof slots / sizeof *slots; s++) {
        cf_executor *pool = cf_process_pool(.max_workers = 2, .max_pending = slots[s]);
        submitter self[threads];
        pthread_t thread[threads];
        inside_of(pool)->audits = false;
        for (int i = 0; i < threads; i++) {
            self[i] = (submitter){pool, 0};
            thread[i] = start_thread(submit_main, &self[i]);
        }
        for (int i = 0; i < threads; i++) {
            join_thread(thread[i]);
            assert_int_equal(self[i].wrong, 0);
        }
        cf_executor_close(pool);
    }
}

/* Who sleeps for a future is woken by its cancellation, too. */
static void
test_pool_cancel_wakes_waiter(void **state)
{
    void *error;
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *running = cf_submit(pool, hold, 0), *pending = cf_submit(pool, twice, 1);
    pthread_t thread = start_thread(wait_main, pending);
    wait_until(__atomic_load_n(&((cf__process_future *)pending)->sleepers, __ATOMIC_SEQ_CST) == 1);
    wait_until(cf_future_cancel(pending));
    assert_int_equal(pthread_join(thread, &error), 0);
    assert_int_equal((uintptr_t)error, CF_ERR_CANCELLED);
    open_gate(0);
    cf_future_release(running);
    cf_future_release(pending);
    cf_executor_close(pool);
}

/* ---- citizenship ---- */

static volatile sig_atomic_t child_signals;

static void
note_child(int signal_number)
{
    (void)signal_number;
    child_signals = 1;
}

static int
close_everything(int unused)
{
    (void)unused;
    return (int)syscall(436 /* close_range */, 3, ~0u, 0);
}
CF_TASK(int, close_everything, int);

/* A task may close every descriptor there is. */
static void
test_pool_task_closes_descriptors(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    for (int i = 0; i < 3; i++) {
        cf_future *future = cf_submit(pool, close_everything, 0);
        assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_OK);
        cf_future_release(future);
        assert_int_equal(run_twice(pool, i), 2 * i);
    }
    cf_future *future = cf_submit(pool, die, SIGKILL);
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_WORKER_LOST);
    cf_future_release(future);
    assert_int_equal(run_twice(pool, 5), 10);
    cf_executor_close(pool);
}

/* What a worker finds itself to be; 0, or the number of the first thing that isn't as promised. */
static int
look_around(int parents_group)
{
    sigset_t blocked;
    struct sigaction action;
    char byte;
    if (sigprocmask(SIG_BLOCK, NULL, &blocked) != 0)
        return 1;
    for (int i = 1; i < 32; i++) {
        if (sigismember(&blocked, i) != 0)
            return 100 + i;
        bool ignored = i == SIGINT || i == SIGTTOU;
        if (sigaction(i, NULL, &action) == 0 && action.sa_handler != (ignored ? SIG_IGN : SIG_DFL))
            return 200 + i;
    }
    if ((int)getpgrp() == parents_group || getpgrp() != getpid())
        return 2;
    if (read(STDIN_FILENO, &byte, 1) != 0)
        return 3;
    return 0;
}
CF_TASK(int, look_around, int);

static int
live_with_odd_signals(void)
{
    sigset_t all;
    (void)signal(SIGUSR1, note_child);
    (void)signal(SIGUSR2, SIG_IGN);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGALRM);
    (void)sigprocmask(SIG_SETMASK, &all, NULL);
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *future = cf_submit(pool, look_around, (int)getpgrp());
    int wrong = -1;
    child_check(cf_result(future, look_around, &wrong, CF_FOREVER) == CF_OK);
    cf_future_release(future);
    /* Ctrl-C concerns the program alone. */
    int process = worker_process(pool, 0), same = 0;
    (void)kill(process, SIGINT);
    (void)kill(template_process(pool), SIGINT);
    future = cf_submit(pool, own_process, 0);
    child_check(cf_result(future, own_process, &same, CF_FOREVER) == CF_OK && same == process);
    cf_future_release(future);
    /* Nor do the program's ways with signals concern the template. */
    (void)kill(template_process(pool), SIGTERM);
    wait_until(cf_spawn(pool, twice, 1) == CF_ERR_BROKEN);
    cf_executor_close(pool);
    return wrong == 0 ? 0 : wrong;
}

/* Workers have default signals, none blocked, a process group of their own and an empty standard input. */
static void
test_pool_workers_at_home(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(live_with_odd_signals), 0);
}

/* ---- on_start ---- */

static void
start_counting(void *context)
{
    __atomic_add_fetch((unsigned *)context, 1, __ATOMIC_RELAXED);
}

static void
start_failing(void *context)
{
    (void)context;
    count_one(&shared->starts);
    (void)cf_fail(3, "no licence for this machine");
}

static void
start_crashing(void *context)
{
    (void)context;
    count_one(&shared->starts);
    (void)kill(getpid(), SIGKILL);
}

/* on_start runs once in each worker; a pool in which it never succeeds is broken and says why, after few attempts. */
static void
test_pool_on_start(void **state)
{
    static void (*const bad[])(void *) = {start_failing, start_crashing};
    static const char *const says[] = {"no licence for this machine", "killed by signal 9"};
    (void)state;
    cf_executor *pool =
        cf_process_pool(.max_workers = 3, .on_start = start_counting, .on_start_context = &shared->starts);
    assert_int_equal(run_twice(pool, 1), 2);
    wait_until(has_started(pool, 0) && has_started(pool, 1) && has_started(pool, 2));
    assert_int_equal(counted(&shared->starts), 3);
    cf_executor_close(pool);

    for (int i = 0; i < 2; i++) {
        __atomic_store_n(&shared->starts, 0, __ATOMIC_RELEASE);
        pool = cf_process_pool(.max_workers = 2, .on_start = bad[i]);
        cf_future *future = cf_submit(pool, twice, 1);
        assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_BROKEN);
        assert_non_null(strstr(cf_future_message(future), says[i]));
        cf_future_release(future);
        future = cf_submit(pool, twice, 1);
        assert_int_equal(cf_future_error(future), CF_ERR_BROKEN);
        cf_future_release(future);
        assert_int_equal(cf_executor_error(pool), CF_ERR_BROKEN);
        assert_non_null(strstr(cf_executor_message(pool), says[i]));
        assert_in_range(counted(&shared->starts), 8, 10);
        cf_executor_close(pool);
    }
}

/* ---- sleepers, and the template's death ---- */

static void *
submit_blocked(void *argument)
{
    cf_future *future = cf_submit((cf_executor *)argument, twice, 1);
    cf_err error = cf_future_wait(future, CF_FOREVER);
    cf_future_release(future);
    return (void *)(uintptr_t)error;
}

/* How many threads sleep until there is room. */
static unsigned
short_of_room(cf_executor *pool)
{
    cf__mutex_lock(&inside_of(pool)->mutex);
    unsigned n = inside_of(pool)->short_of_room;
    cf__mutex_unlock(&inside_of(pool)->mutex);
    return n;
}

static void
break_a_pool(void)
{
    enum { waiters = 4 };
    called c = {.count = 0};
    pthread_t thread[waiters], blocked;
    void *error;
    cf_executor *pool = cf_process_pool(.max_workers = 1, .max_pending = 2);
    inside_of(pool)->audits = false;
    cf_future *running = cf_submit(pool, hold, 0), *pending = cf_submit(pool, twice, 1);
    wait_until(counted(&shared->inside[0]) == 1);
    assert_int_equal(cf_future_add_done_callback(pending, note_call, &c), CF_OK);
    for (int i = 0; i < waiters; i++)
        thread[i] = start_thread(wait_main, i % 2 ? running : pending);
    blocked = start_thread(submit_blocked, pool);
    wait_until(__atomic_load_n(&((cf__process_future *)running)->sleepers, __ATOMIC_SEQ_CST) == 2 &&
               __atomic_load_n(&((cf__process_future *)pending)->sleepers, __ATOMIC_SEQ_CST) == 2 &&
               __atomic_load_n(&inside_of(pool)->setup.view.arena->pressure, __ATOMIC_SEQ_CST) % 2 == 1);

    assert_int_equal(kill(template_process(pool), SIGKILL), 0);

    for (int i = 0; i < waiters; i++) {
        assert_int_equal(pthread_join(thread[i], &error), 0);
        assert_int_equal((uintptr_t)error, CF_ERR_BROKEN);
    }
    assert_int_equal(pthread_join(blocked, &error), 0);
    assert_int_equal((uintptr_t)error, CF_ERR_BROKEN);
    wait_until(counted(&c.count) == 1);
    assert_int_equal(c.error, CF_ERR_BROKEN);
    assert_int_equal(cf_executor_error(pool), CF_ERR_BROKEN);
    assert_int_equal(cf_spawn(pool, twice, 1), CF_ERR_BROKEN);
    assert_null(cf_executor_alloc(pool, 1));
    assert_int_equal(cf_future_wait(running, CF_FOREVER), CF_ERR_BROKEN);
    cf_future_release(running);
    cf_future_release(pending);
    cf_executor_close(pool);
}

/* Shutting down wakes those who wait for room: SHUTDOWN; what had room is done. */
static void
test_pool_shutdown_wakes_submitters(void **state)
{
    enum { submitters = 2 };
    pthread_t blocked[submitters];
    void *error;
    cf_shutdown_report report;
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1, .max_pending = 1);
    inside_of(pool)->audits = false;
    cf_future *running = cf_submit(pool, hold, 0);
    for (int i = 0; i < submitters; i++)
        blocked[i] = start_thread(submit_blocked, pool);
    wait_until(short_of_room(pool) == submitters);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, 1, &report), CF_ERR_TIMEOUT);
    assert_int_equal(report.left, 1);
    for (int i = 0; i < submitters; i++) {
        assert_int_equal(pthread_join(blocked[i], &error), 0);
        assert_int_equal((uintptr_t)error, CF_ERR_SHUTDOWN);
    }
    open_gate(0);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, &report), CF_OK);
    assert_int_equal(report.finished, 1);
    assert_int_equal(cf_future_wait(running, CF_NOW), CF_OK);
    cf_future_release(running);
    cf_executor_close(pool);
}

/* When the template dies, whoever sleeps anywhere in the pool leaves with CF_ERR_BROKEN, and it closes as ever. */
static void
test_pool_template_killed(void **state)
{
    (void)state;
    break_a_pool();
    wait_until(living_processes() <= leaks_before.processes);
    /* With nobody in it: the next call tells. */
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    assert_int_equal(kill(template_process(pool), SIGKILL), 0);
    wait_until(cf_spawn(pool, twice, 1) == CF_ERR_BROKEN);
    cf_executor_close(pool);
}

/* A worker that writes over the word that tells of the template's death delays that news, but can't suppress it. */
static void
test_pool_template_killed_in_silence(void **state)
{
    (void)state;
    parent_slice = usual_slice;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *running = cf_submit(pool, hold, 0);
    wait_until(counted(&shared->inside[0]) == 1);
    __atomic_store_n(&inside_of(pool)->setup.view.arena->life, CF__LIFE_WAITERS | 1u, __ATOMIC_SEQ_CST);
    assert_int_equal(kill(template_process(pool), SIGKILL), 0);
    assert_int_equal(cf_future_wait(running, CF_FOREVER), CF_ERR_BROKEN);
    cf_future_release(running);
    cf_executor_close(pool);
}

/* The same, and a pool's ordinary life, where the kernel can't wait for two words. */
static void
test_pool_without_futex_waitv(void **state)
{
    (void)state;
    parent_slice = usual_slice;
    fault_fail_from("futex_waitv", 1, ENOSYS);
    break_a_pool();
    cf_executor *pool = cf_process_pool(.max_workers = 1, .max_pending = 1);
    for (int i = 0; i < 20; i++)
        assert_int_equal(run_twice(pool, i), 2 * i);
    assert_true(fault_fired("futex_waitv") > 0);
    cf_executor_close(pool);
}

/* ---- the parent's death ---- */

enum { BUSY, STOPPED_WORKER, STOPPED_TEMPLATE, ENDS_WITHOUT_CLOSE, WAYS_TO_LEAVE };

static int
live_until_killed(void *argument)
{
    int way = *(int *)argument;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    cf_future *future = cf_submit(pool, hold, 0);
    child_check(cf_executor_error(pool) == CF_OK);
    wait_until(counted(&shared->inside[0]) == 1 && has_started(pool, 0) && has_started(pool, 1));
    if (way == STOPPED_WORKER)
        (void)kill(worker_process(pool, 0), SIGSTOP);
    if (way == STOPPED_TEMPLATE)
        (void)kill(template_process(pool), SIGSTOP);
    if (way == ENDS_WITHOUT_CLOSE)
        return 0;
    count_one(&shared->inside[1]);
    (void)cf_future_wait(future, CF_FOREVER);
    return 1;
}

/* A program that is killed, or ends without closing its pool, leaves no process behind, busy, stopped or neither. */
static void
test_pool_dies_with_the_program(void **state)
{
    (void)state;
    for (int way = 0; way < WAYS_TO_LEAVE; way++) {
        int status = 0;
        memset(shared, 0, sizeof *shared);
        pid_t program = fork_child(live_until_killed, &way);
        assert_true(program > 0);
        if (way != ENDS_WITHOUT_CLOSE) {
            wait_until(counted(&shared->inside[1]) == 1);
            assert_int_equal(kill(program, SIGKILL), 0);
        }
        assert_int_equal(waitpid(program, &status, 0), program);
        wait_until(living_processes() <= leaks_before.processes);
    }
}

/* ---- fork ---- */

typedef struct forked {
    cf_executor *pool;
    cf_future *pending, *done;
} forked;

static int
use_parents_pool(void *argument)
{
    forked *f = argument;
    cf_future *future = cf_submit(f->pool, twice, 1);
    child_check(cf_future_error(future) == CF_ERR_FORKED);
    cf_future_release(future);
    child_check(cf_spawn(f->pool, twice, 1) == CF_ERR_FORKED);
    child_check(cf_future_wait(f->pending, CF_FOREVER) == CF_ERR_FORKED);
    child_check(!cf_future_cancel(f->pending));
    child_check(cf_future_add_done_callback(f->pending, note_call, NULL) == CF_ERR_FORKED);
    child_check(cf_executor_alloc(f->pool, 10) == NULL);
    child_check(cf_process_pool_resize(f->pool, 1) == CF_ERR_FORKED);
    child_check(cf_executor_shutdown(f->pool, CF_KILL, CF_FOREVER, NULL) == CF_ERR_FORKED);
    child_check(cf_future_wait(f->done, CF_FOREVER) == CF_OK);
    cf_future_release(f->pending);
    cf_future_release(f->done);
    cf_executor_close(f->pool);
    return 0;
}

/* In a child of the program every call says CF_ERR_FORKED, and closing there does the program's pool no harm. */
static void
test_pool_in_forked_child(void **state)
{
    (void)state;
    forked f = {cf_process_pool(.max_workers = 1), NULL, NULL};
    f.done = cf_submit(f.pool, fill, 1);
    assert_int_equal(cf_future_wait(f.done, CF_FOREVER), CF_OK);
    f.pending = cf_submit(f.pool, hold, 0);
    wait_until(counted(&shared->inside[0]) == 1);
    assert_int_equal(run_in_child_with(use_parents_pool, &f), 0);
    open_gate(0);
    assert_int_equal(cf_future_wait(f.pending, CF_FOREVER), CF_OK);
    assert_int_equal(run_twice(f.pool, 4), 8);
    cf_future_release(f.pending);
    cf_future_release(f.done);
    cf_executor_close(f.pool);
}

static int
fork_and_return(int unused)
{
    (void)unused;
    pid_t child = fork();
    return child < 0 || (child > 0 && waitpid(child, NULL, 0) != child) ? -1 : 1; /* the child comes back first */
}
CF_TASK(int, fork_and_return, int);

/* A task that comes back twice from fork() has one result, also where the kernel marks no page in the child. */
static void
test_pool_forked_in_worker(void **state)
{
    (void)state;
    for (int guarded = 0; guarded < 2; guarded++) {
        int value = -1;
        if (!guarded)
            fault_fail_from("fork_guard", 1, ENOMEM);
        cf_executor *pool = cf_process_pool(.max_workers = 2);
        for (int i = 0; i < 10; i++) {
            cf_future *future = cf_submit(pool, fork_and_return, 0);
            assert_int_equal(cf_result(future, fork_and_return, &value, CF_FOREVER), CF_OK);
            assert_int_equal(value, 1);
            cf_future_release(future);
        }
        wait_until(living_processes() <= leaks_before.processes + 3); /* the second ones have ended */
        assert_int_equal(run_twice(pool, 3), 6);
        cf_executor_close(pool);
        fault_clear();
    }
}

/* ---- shutdown ---- */

/* Each way to shut down, what it reports, and that a second call goes on where the first gave up. */
static void
test_pool_shutdown(void **state)
{
    enum { pending = 3 };
    static const cf_shutdown_mode modes[] = {CF_DRAIN, CF_CANCEL_PENDING, CF_KILL};
    (void)state;
    for (int m = 0; m < 3; m++) {
        cf_shutdown_report report;
        cf_future *waiting[pending];
        memset(shared, 0, sizeof *shared);
        cf_executor *pool = cf_process_pool(.max_workers = 1);
        cf_future *running = cf_submit(pool, hold, 0);
        for (int i = 0; i < pending; i++)
            waiting[i] = cf_submit(pool, twice, i);
        wait_until(counted(&shared->inside[0]) == 1);
        if (modes[m] != CF_KILL) {
            assert_int_equal(cf_executor_shutdown(pool, modes[m], cf_after_ms(5), &report), CF_ERR_TIMEOUT);
            assert_int_equal(report.left, modes[m] == CF_DRAIN ? 1 + pending : 1);
            assert_int_equal(report.cancelled, modes[m] == CF_DRAIN ? 0 : pending);
            assert_int_equal(report.finished, 0);
            assert_int_equal(cf_spawn(pool, twice, 1), CF_ERR_SHUTDOWN);
            open_gate(0);
        }
        assert_int_equal(cf_executor_shutdown(pool, modes[m], CF_FOREVER, &report), CF_OK);
        assert_int_equal(report.left, 0);
        assert_int_equal(report.finished, modes[m] == CF_DRAIN ? 1 + pending : modes[m] == CF_KILL ? 0 : 1);
        assert_int_equal(report.killed, modes[m] == CF_KILL);
        assert_int_equal(report.cancelled, modes[m] == CF_KILL ? pending : 0);
        assert_int_equal(cf_future_error(running), modes[m] == CF_KILL ? CF_ERR_WORKER_LOST : CF_OK);
        for (int i = 0; i < pending; i++) {
            assert_int_equal(cf_future_error(waiting[i]), modes[m] == CF_DRAIN ? CF_OK : CF_ERR_CANCELLED);
            cf_future_release(waiting[i]);
        }
        cf_future_release(running);
        wait_until(living_processes() <= leaks_before.processes);
        assert_int_equal(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, &report), CF_OK);
        cf_executor_close(pool);
    }
}

/* A stopped worker, or a stopped template, doesn't keep a pool from being closed. */
static void
test_pool_shutdown_of_stopped_processes(void **state)
{
    (void)state;
    parent_slice = usual_slice;
    for (int who = 0; who < 2; who++) {
        memset(shared, 0, sizeof *shared);
        cf_executor *pool = cf_process_pool(.max_workers = 1);
        cf_future *running = cf_submit(pool, hold, 0);
        wait_until(counted(&shared->inside[0]) == 1);
        assert_int_equal(kill(who == 0 ? worker_process(pool, 0) : template_process(pool), SIGSTOP), 0);
        assert_int_equal(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, NULL), CF_OK);
        assert_true(cf_future_done(running));
        cf_future_release(running);
        cf_executor_close(pool);
        wait_until(living_processes() <= leaks_before.processes);
    }
}

/* ---- creation ---- */

static unsigned churn_stops; /* A */

static void *
churn_memory(void *unused)
{
    void *kept[64] = {NULL};
    for (size_t i = 0; counted(&churn_stops) == 0; i++) {
        free(kept[i % 64]);
        kept[i % 64] = malloc(16 + i * 37 % 5000);
    }
    for (size_t i = 0; i < 64; i++)
        free(kept[i]);
    return unused;
}

static int
use_memory(int size)
{
    unsigned char *p = malloc((size_t)size);
    int good = p != NULL;
    free(p);
    return good;
}
CF_TASK(int, use_memory, int);

/* Pools are made while other threads hold malloc's locks. */
static void
test_pool_made_among_busy_threads(void **state)
{
    enum { threads = 3, pools = 50 };
    pthread_t thread[threads];
    (void)state;
    churn_stops = 0;
    for (int i = 0; i < threads; i++)
        thread[i] = start_thread(churn_memory, NULL);
    for (int i = 0; i < pools; i++) {
        int good = 0;
        cf_executor *pool = cf_process_pool(.max_workers = 1);
        cf_future *future = cf_submit(pool, use_memory, 1000 + i);
        assert_int_equal(cf_result(future, use_memory, &good, CF_FOREVER), CF_OK);
        assert_int_equal(good, 1);
        cf_future_release(future);
        cf_executor_close(pool);
    }
    count_one(&churn_stops);
    for (int i = 0; i < threads; i++)
        join_thread(thread[i]);
}

/* More than there can be is refused. */
static void
test_pool_options_out_of_range(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = CF__MAX_WORKERS + 1);
    assert_int_equal(cf_executor_error(pool), CF_ERR_INVALID);
    cf_executor_close(pool);
    pool = cf_process_pool(.max_pending = (1u << 24) + 1);
    assert_int_equal(cf_executor_error(pool), CF_ERR_INVALID);
    cf_executor_close(pool);
}

/* Whatever call of creation fails, and whichever time: an error and nothing left behind, or a pool that works. */
static void
test_pool_creation_survives_faults(void **state)
{
    static const struct {
        const char *site;
        int error;
        bool fatal; /* the first failure must be told */
        cf_err code;
    } faults[] = {
        {"alloc", ENOMEM, false, CF_ERR_NOMEM}, /* the count of CPUs does without */
        {"map_shared", ENOMEM, false, CF_OK},
        {"map_private", ENOMEM, true, CF_ERR_NOMEM},
        {"pipe", EMFILE, true, CF_ERR_SYSTEM},
        {"pidfd_open", EMFILE, true, CF_ERR_SYSTEM},
        {"pidfd_open", ENOSYS, true, CF_ERR_UNSUPPORTED},
        {"clone", EPERM, false, CF_OK},
        {"fork", EAGAIN, true, CF_ERR_SYSTEM},
        {"fork_guard", ENOMEM, false, CF_OK},
    };
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        unsigned fired = 1;
        for (unsigned n = 1; fired != 0; n++) {
            fault_clear();
            fault_fail_nth(faults[i].site, n, faults[i].error);
            cf_executor *pool = cf_process_pool(.max_workers = 1);
            cf_err error = cf_executor_error(pool);
            fired = fault_fired(faults[i].site);
            fault_clear();
            if (fired == 0 || (error == CF_OK && !faults[i].fatal))
                assert_int_equal(error, CF_OK);
            else
                assert_int_equal(error, faults[i].code);
            if (error == CF_OK)
                assert_int_equal(run_twice(pool, 3), 6);
            else
                assert_true(strlen(cf_executor_message(pool)) > 0);
            cf_executor_close(pool);
            wait_until(living_processes() <= leaks_before.processes);
        }
    }
    fault_fail_from("map_shared", 1, ENOMEM);
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    assert_int_equal(cf_executor_error(pool), CF_ERR_NOMEM);
    cf_executor_close(pool);
}

/* However far the template has got when creation gives up, it ends. */
static void
test_pool_failed_creation_leaves_no_process(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        fault_fail_nth("pidfd_open", 2, EMFILE);
        cf_executor *pool = cf_process_pool(.max_workers = 1);
        assert_int_equal(cf_executor_error(pool), CF_ERR_SYSTEM);
        cf_executor_close(pool);
    }
    wait_until(living_processes() == leaks_before.processes);
}

/* Later failures: of memory for a future, of a thread for callbacks, of forks for replacements. */
static void
test_pool_use_survives_faults(void **state)
{
    called c = {.count = 0};
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    fault_fail_nth("alloc", 1, ENOMEM);
    cf_future *future = cf_submit(pool, twice, 1);
    assert_int_equal(cf_future_error(future), CF_ERR_NOMEM);
    cf_future_release(future);

    future = cf_submit(pool, hold, 0);
    fault_fail_nth("thread_start", 1, EAGAIN);
    assert_int_equal(cf_future_add_done_callback(future, note_call, &c), CF_ERR_SYSTEM);
    fault_clear();
    fault_fail_nth("alloc", 1, ENOMEM);
    assert_int_equal(cf_future_add_done_callback(future, note_call, &c), CF_ERR_NOMEM);
    fault_clear();
    assert_int_equal(cf_future_add_done_callback(future, note_call, &c), CF_OK);
    open_gate(0);
    wait_until(counted(&c.count) == 1);
    cf_future_release(future);

    fault_fail_nth("fork", 1, EAGAIN); /* of the replacement: it's tried again */
    future = cf_submit(pool, die, SIGKILL);
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_WORKER_LOST);
    cf_future_release(future);
    assert_int_equal(run_twice(pool, 8), 16);
    cf_executor_close(pool);
}

/* ---- found by trying to break it ---- */

static void
wait_for_both(cf_future *future, void *context)
{
    called *c = context;
    (void)future;
    open_gate(1);
    wait_until(slot_state(c->pool, c->other) >= CF__SLOT_DONE && slot_state(c->pool, c->made) >= CF__SLOT_DONE);
    count_one(&c->count);
}

static void
wait_for_other(cf_future *future, void *context)
{
    called *c = context;
    (void)future;
    c->error = cf_future_wait(c->other, cf_after_ms(10000));
    count_one(&c->count);
}

/* A callback may wait for any future whose task is done, also one that is collected with its own. */
static void
test_pool_callback_waits_for_its_batch(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 3);
    cf_future *first = cf_submit(pool, hold, 0), *a = cf_submit(pool, hold, 1), *b = cf_submit(pool, hold, 1);
    called busy = {.pool = pool, .other = a, .made = b}, of_a = {.other = b}, of_b = {.other = a};
    assert_int_equal(cf_future_add_done_callback(first, wait_for_both, &busy), CF_OK);
    assert_int_equal(cf_future_add_done_callback(a, wait_for_other, &of_a), CF_OK);
    assert_int_equal(cf_future_add_done_callback(b, wait_for_other, &of_b), CF_OK);
    open_gate(0);
    wait_until(counted(&of_a.count) == 1 && counted(&of_b.count) == 1);
    assert_int_equal(of_a.error, CF_OK);
    assert_int_equal(of_b.error, CF_OK);
    cf_future_release(first);
    cf_future_release(a);
    cf_future_release(b);
    cf_executor_close(pool);
}

/* Tasks start in the order of their submits, also after the ring of hints was full of cancelled ones. */
static void
test_pool_order_survives_cancelling(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1, .max_pending = 4);
    cf_future *held = cf_submit(pool, hold, 0);
    wait_until(counted(&shared->inside[0]) == 1);
    cf_future *gone = cf_submit(pool, twice, 0), *one = cf_submit(pool, note_order, 1);
    assert_true(cf_future_cancel(gone));
    cf_future_release(gone);
    cf_future *two = cf_submit(pool, note_order, 2);
    for (int i = 0; i < 30; i++) {
        gone = cf_submit(pool, twice, i);
        assert_true(cf_future_cancel(gone));
        cf_future_release(gone);
    }
    open_gate(0);
    assert_int_equal(cf_future_wait(one, CF_FOREVER), CF_OK);
    assert_int_equal(cf_future_wait(two, CF_FOREVER), CF_OK);
    assert_int_equal(shared->order[1], 1);
    assert_int_equal(shared->order[2], 2);
    cf_future_release(held);
    cf_future_release(one);
    cf_future_release(two);
    cf_executor_close(pool);
}

/* Nor after the audits of those that wait for room, which push all hints again, however often; slots are used again in an
 * order of their own. */
static void
test_pool_order_survives_audits(void **state)
{
    enum { tasks = 7 };
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1, .max_pending = tasks + 1);
    cf_future *held, *futures[tasks];
    for (int round = 0; round < 2; round++) { /* the first one turns the line of free slots round */
        write_note(&shared->order[0], 0);
        held = cf_submit(pool, hold, round);
        wait_until(counted(&shared->inside[round]) == 1);
        for (int i = 0; i < tasks; i++)
            futures[i] = cf_submit(pool, note_order, 1 + i);
        for (int i = 0; i < 20; i++) {
            cf__slice slice = CF__SLICE_NEW;
            inside_of(pool)->next_audit = 0;
            cf__slots_audit(inside_of(pool), NULL, &slice);
        }
        open_gate(round);
        for (int i = 0; i < tasks; i++) {
            assert_int_equal(cf_future_wait(futures[i], CF_FOREVER), CF_OK);
            cf_future_release(futures[i]);
        }
        assert_int_equal(cf_future_wait(held, CF_FOREVER), CF_OK);
        cf_future_release(held);
        for (unsigned i = 1; i <= tasks; i++)
            assert_int_equal(shared->order[i], i);
    }
    cf_executor_close(pool);
}

static void
start_sometimes(void *context)
{
    if (__atomic_add_fetch((unsigned *)context, 1, __ATOMIC_SEQ_CST) % 2 == 1)
        (void)cf_fail(1, "not this time");
}

/* Workers that fail to start between others that don't aren't eight in a row. */
static void
test_pool_on_start_fails_now_and_then(void **state)
{
    enum { workers = 12 };
    (void)state;
    cf_executor *pool =
        cf_process_pool(.max_workers = workers, .on_start = start_sometimes, .on_start_context = &shared->starts);
    wait_until(counted(&shared->starts) >= 2 * workers || cf_executor_error(pool) != CF_OK ||
               cf_spawn(pool, twice, 0) != CF_OK);
    cf_err error = cf_executor_error(pool);
    cf_executor_close(pool);
    assert_int_equal(error, CF_OK);
}

/* A pool that was shut down by CF_KILL isn't broken. */
static void
test_pool_killed_is_not_broken(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    cf_future *running = cf_submit(pool, hold, 0);
    wait_until(counted(&shared->inside[0]) == 1);
    assert_int_equal(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, NULL), CF_OK);
    cf_err error = cf_executor_error(pool), late = cf_spawn(pool, twice, 1);
    cf_future_release(running);
    cf_executor_close(pool);
    assert_int_equal(error, CF_OK);
    assert_int_equal(late, CF_ERR_SHUTDOWN);
}

/* A submit after the end fails, and says so. */
static void
test_pool_submit_after_shutdown(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
    assert_int_equal(cf_spawn(pool, twice, 1), CF_ERR_SHUTDOWN);
    cf_future *future = cf_submit(pool, twice, 1);
    assert_int_equal(cf_future_error(future), CF_ERR_SHUTDOWN);
    cf_future_release(future);
    cf_executor_close(pool);
}

/* A map whose results together are larger than the pool's memory goes through. */
static void
test_pool_map_larger_than_memory(void **state)
{
    enum { count = 12 };
    static block1m out[count];
    int values[count];
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2, .memory = 4 * sizeof(block1m));
    for (int i = 0; i < count; i++)
        values[i] = i;
    cf_err mapped = cf_map(pool, fill, count, out, values);
    cf_executor_close(pool);
    assert_int_equal(mapped, CF_OK);
    for (int i = 0; i < count; i++)
        assert_true(is_filled(out[i].bytes, sizeof out[i].bytes, i));
}

/* Finished tasks whose futures are gone take no memory from cf_executor_alloc(). */
static void
test_pool_alloc_after_forgotten_tasks(void **state)
{
    static block100k in;
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1, .memory = 4 * sizeof(block1m));
    for (int i = 0; i < 16; i++) /* 128 KiB each for arguments and result: all there is */
        assert_int_equal(cf_spawn(pool, grow, in), CF_OK);
    const cf__arena_view *view = &inside_of(pool)->setup.view;
    for (uint32_t i = 0; i < 16; i++)
        wait_until(cf__slot_state(__atomic_load_n(&view->slots[i].word, __ATOMIC_ACQUIRE)) != CF__SLOT_PENDING &&
                   cf__slot_state(__atomic_load_n(&view->slots[i].word, __ATOMIC_ACQUIRE)) != CF__SLOT_RUNNING);
    void *memory = cf_executor_alloc(pool, 1000);
    cf_executor_free(pool, memory);
    cf_executor_close(pool);
    assert_non_null(memory);
}

/* CF_KILL ends a pool with a stopped template also where the kernel can't wait for two words. */
static void
test_pool_kill_stopped_template_without_futex_waitv(void **state)
{
    (void)state;
    parent_slice = usual_slice;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *running = cf_submit(pool, hold, 0);
    wait_until(counted(&shared->inside[0]) == 1);
    fault_fail_from("futex_waitv", 1, ENOSYS);
    assert_int_equal(kill(template_process(pool), SIGSTOP), 0);
    cf_err error = cf_executor_shutdown(pool, CF_KILL, cf_after_ms(10000), NULL);
    (void)kill(template_process(pool), SIGCONT);
    cf_future_release(running);
    cf_executor_close(pool);
    assert_int_equal(error, CF_OK);
}

/* Goes down `kib` frames of 1 KiB, each of which is needed after the deeper ones: no compiler may make a loop of it. */
static int
deep(int kib)
{
    char frame[1024];
    memset(frame, kib & 1, sizeof frame);
    int below = kib > 1 ? deep(kib - 1) : 0;
    __asm__ volatile("" : : "r"(frame) : "memory");
    return below + (frame[kib & 1023] == (kib & 1));
}
CF_TASK(int, deep, int);

/* A task has as much stack as the system gives a program, or as stack_size says; one that needs more is lost, and nothing else. */
static void
test_pool_stack_of_tasks(void **state)
{
    (void)state;
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_STACK, &limit), 0);
    for (int i = 0; i < 2; i++) {
        /* Frames are a bit larger than 1 KiB, and a sanitizer's a good deal. */
        int fits = i == 0 ? 2000 : 60, beyond = i == 0 ? 1 << 20 : 4096;
        cf_executor *pool = cf_process_pool(.max_workers = 1, .stack_size = i == 0 ? 0 : 1 << 20);
        cf_future *good = cf_submit(pool, deep, fits), *bad = cf_submit(pool, deep, beyond);
        int frames = 0;
        assert_int_equal(cf_result(good, deep, &frames, CF_FOREVER), CF_OK);
        assert_int_equal(frames, fits);
        /* Under ThreadSanitizer it's the caller's stack, see os_process.h. */
        if (i == 1 ? !CF__THREAD_SANITIZER : limit.rlim_cur < ((rlim_t)1 << 29)) {
            assert_int_equal(cf_future_wait(bad, CF_FOREVER), CF_ERR_WORKER_LOST);
            assert_int_equal(cf_future_signal(bad), SIGSEGV);
        }
        cf_future_release(good);
        cf_future_release(bad);
        cf_executor_close(pool);
    }
}

/* Alignment that the shared memory can't give is refused at submit. */
static void
test_pool_refuses_huge_alignment(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    for (int i = 0; i < 2; i++) {
        cf_task_type type = *twice_CF_TASK_type();
        int two = 2;
        *(i == 0 ? &type.args_align : &type.result_align) = 8192;
        cf_future *future = cf_submit_bytes(pool, &type, &two, NULL);
        assert_int_equal(cf_future_error(future), CF_ERR_UNSUPPORTED);
        cf_future_release(future);
    }
    cf_executor_close(pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        pool_test(test_pool_runs_tasks),
        pool_test(test_pool_big_values_outlive_it),
        pool_test(test_pool_aligns_values),
        pool_test(test_pool_more_futures_than_slots),
        pool_test(test_pool_twenty_thousand_futures),
        pool_test(test_pool_full_submit_times_out),
        pool_test(test_pool_limit_of_memory),
        pool_test(test_pool_kept_results_use_memory_up),
        pool_test(test_pool_cancel),
        pool_test(test_pool_task_fails),
        pool_test(test_pool_callbacks),
        pool_test(test_pool_every_way_to_die),
        pool_test(test_pool_idle_worker_dies),
        pool_test(test_pool_many_waiters),
        pool_test(test_pool_cancel_wakes_waiter),
        pool_test(test_pool_many_submitters),
        pool_test(test_pool_task_closes_descriptors),
        pool_test(test_pool_workers_at_home),
        pool_test(test_pool_on_start),
        pool_test(test_pool_shutdown_wakes_submitters),
        pool_test(test_pool_template_killed),
        pool_test(test_pool_template_killed_in_silence),
        pool_test(test_pool_without_futex_waitv),
        pool_test(test_pool_dies_with_the_program),
        pool_test(test_pool_in_forked_child),
        pool_test(test_pool_forked_in_worker),
        pool_test(test_pool_shutdown),
        pool_test(test_pool_shutdown_of_stopped_processes),
        pool_test(test_pool_made_among_busy_threads),
        pool_test(test_pool_options_out_of_range),
        pool_test(test_pool_creation_survives_faults),
        pool_test(test_pool_use_survives_faults),
        pool_test(test_pool_failed_creation_leaves_no_process),
        pool_test(test_pool_callback_waits_for_its_batch),
        pool_test(test_pool_order_survives_cancelling),
        pool_test(test_pool_order_survives_audits),
        pool_test(test_pool_on_start_fails_now_and_then),
        pool_test(test_pool_map_larger_than_memory),
        pool_test(test_pool_alloc_after_forgotten_tasks),
        pool_test(test_pool_kill_stopped_template_without_futex_waitv),
        pool_test(test_pool_killed_is_not_broken),
        pool_test(test_pool_submit_after_shutdown),
        pool_test(test_pool_stack_of_tasks),
        pool_test(test_pool_refuses_huge_alignment),
    };
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
