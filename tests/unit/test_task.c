/* tests/unit/test_task.c - task.h and detail/task_type.h
 * SPDX-License-Identifier: MIT
 * Each test runs its tasks inline, on a thread pool and on a process pool; those that write to the test's memory do so on the
 * first two. */
#include "unit.h"

#include <cfutures.h>

#include <stdalign.h>

typedef cf_executor *make_executor(void);

static cf_executor *
one_thread(void)
{
    return cf_thread_pool(.max_workers = 1);
}

static cf_executor *
one_process(void)
{
    return cf_process_pool(.max_workers = 1);
}

static make_executor *const executors[] = {cf_inline_executor, one_thread, one_process};
static bool has_processes; /* written once, before the first test */

#define FOR_FIRST_EXECUTORS(pool, count)                                                                               \
    for (size_t cf_test_i = 0; cf_test_i < (count); cf_test_i++)                                                       \
        for (cf_executor *pool = executors[cf_test_i](); pool != NULL; cf_executor_close(pool), pool = NULL)
#define FOR_EACH_EXECUTOR(pool) FOR_FIRST_EXECUTORS(pool, has_processes ? 3 : 2)
#define FOR_EACH_IN_OUR_MEMORY(pool) FOR_FIRST_EXECUTORS(pool, 2)

/* ---- every number of arguments ---- */

static int
sum0(void)
{
    return 1;
}
CF_TASK(int, sum0);

static int
sum1(int a)
{
    return a;
}
CF_TASK(int, sum1, int);

static long
sum2(int a, long b)
{
    return a + 10 * b;
}
CF_TASK(long, sum2, int, long);

static long
sum3(char a, long b, short c)
{
    return a + 10 * b + 100 * c;
}
CF_TASK(long, sum3, char, long, short);

static double
sum4(double a, char b, double c, unsigned char d)
{
    return a + 10 * b + 100 * c + 1000 * d;
}
CF_TASK(double, sum4, double, char, double, unsigned char);

static long
sum5(int a, int b, int c, int d, int e)
{
    return a + 10L * b + 100L * c + 1000L * d + 10000L * e;
}
CF_TASK(long, sum5, int, int, int, int, int);

static long
sum6(int a, int b, int c, int d, int e, int f)
{
    return a + 10L * b + 100L * c + 1000L * d + 10000L * e + 100000L * f;
}
CF_TASK(long, sum6, int, int, int, int, int, int);

static long
sum7(int a, int b, int c, int d, int e, int f, int g)
{
    return a + 10L * b + 100L * c + 1000L * d + 10000L * e + 100000L * f + 1000000L * g;
}
CF_TASK(long, sum7, int, int, int, int, int, int, int);

static long
sum8(char a, long b, char c, int d, short e, long f, char g, double h)
{
    return a + 10L * b + 100L * c + 1000L * d + 10000L * e + 100000L * f + 1000000L * g + 10000000L * (long)h;
}
CF_TASK(long, sum8, char, long, char, int, short, long, char, double);

#define EXPECT(future, fn, type, expected)                                                                             \
    do {                                                                                                               \
        cf_future *cf_test_f = (future);                                                                               \
        type cf_test_value;                                                                                            \
        memset(&cf_test_value, 0, sizeof cf_test_value);                                                               \
        assert_int_equal(cf_result(cf_test_f, fn, &cf_test_value, CF_FOREVER), CF_OK);                                 \
        assert_true(cf_test_value >= (expected) && cf_test_value <= (expected));                                       \
        cf_future_release(cf_test_f);                                                                                  \
    } while (0)

/* A task may have 0 to 8 arguments; each arrives in its place. */
static void
test_task_takes_up_to_8_arguments(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        EXPECT(cf_submit(pool, sum0), sum0, int, 1);
        EXPECT(cf_submit(pool, sum1, 1), sum1, int, 1);
        EXPECT(cf_submit(pool, sum2, 1, 2), sum2, long, 21);
        EXPECT(cf_submit(pool, sum3, 1, 2, 3), sum3, long, 321);
        EXPECT(cf_submit(pool, sum4, 1, 2, 3, 4), sum4, double, 4321);
        EXPECT(cf_submit(pool, sum5, 1, 2, 3, 4, 5), sum5, long, 54321);
        EXPECT(cf_submit(pool, sum6, 1, 2, 3, 4, 5, 6), sum6, long, 654321);
        EXPECT(cf_submit(pool, sum7, 1, 2, 3, 4, 5, 6, 7), sum7, long, 7654321);
        EXPECT(cf_submit(pool, sum8, 1, 2, 3, 4, 5, 6, 7, 8), sum8, long, 87654321);
        EXPECT(cf_submit_with(pool, cf_options(.deadline = CF_FOREVER), sum0), sum0, int, 1);
        EXPECT(cf_submit_with(pool, cf_options(0), sum8, 1, 2, 3, 4, 5, 6, 7, 8), sum8, long, 87654321);
    }
}

/* A map takes an array for each argument, up to 8. */
static void
test_task_maps_up_to_8_arrays(void **state)
{
    (void)state;
    static const char a[] = {1, 2}, c[] = {3, 4}, g[] = {7, 8};
    static const long b[] = {2, 3}, f[] = {6, 7};
    static const int d[] = {4, 5};
    static const short e[] = {5, 6};
    static const double h[] = {8, 9};
    FOR_EACH_EXECUTOR(pool)
    {
        int ones[2] = {0, 0};
        long sums[2] = {0, 0};
        assert_int_equal(cf_map(pool, sum0, 2, ones), CF_OK);
        assert_int_equal(ones[0] + 2 * ones[1], 3);
        assert_int_equal(cf_map(pool, sum1, 2, ones, d), CF_OK);
        assert_int_equal(ones[0] + 10 * ones[1], 54);
        assert_int_equal(cf_map(pool, sum5, 2, sums, d, d, d, d, d), CF_OK);
        assert_int_equal(sums[1], 55555);
        assert_int_equal(cf_map(pool, sum8, 2, sums, a, b, c, d, e, f, g, h), CF_OK);
        assert_int_equal(sums[0], 87654321);
        assert_int_equal(sums[1], 98765432);
    }
}

/* ---- without result ---- */

static void
count_void0(void)
{
    (void)cf_fail(7, "void can fail");
}
CF_TASK_VOID(count_void0);

static void
add_to(unsigned *counter, unsigned n)
{
    (void)__atomic_add_fetch(counter, n, __ATOMIC_ACQ_REL);
}
CF_TASK_VOID(add_to, unsigned *, unsigned);

/* A function without result can be submitted, awaited, spawned and mapped, and may fail. */
static void
test_task_without_result(void **state)
{
    (void)state;
    FOR_EACH_IN_OUR_MEMORY(pool)
    {
        unsigned counter = 0;
        cf_auto(cf_future) f = cf_submit(pool, add_to, &counter, 5);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
        assert_int_equal(cf_future_get(f, NULL, 0, CF_NOW), CF_OK);
        assert_int_equal(counted(&counter), 5);
        assert_int_equal(cf_spawn(pool, add_to, &counter, 6), CF_OK);
        assert_int_equal(cf_spawn_with(pool, cf_options(.deadline = CF_FOREVER), add_to, &counter, 7), CF_OK);
        unsigned *counters[] = {&counter, &counter};
        unsigned ns[] = {10, 20};
        assert_int_equal(cf_map(pool, add_to, 2, counters, ns), CF_OK);
        assert_int_equal(cf_map_with(pool, cf_map_options(.deadline = CF_FOREVER), add_to, 2, counters, ns), CF_OK);
        assert_int_equal(counted(&counter), 5 + 6 + 7 + 30 + 30); /* one worker: all before the map are done */
        cf_auto(cf_future) failed = cf_submit(pool, count_void0);
        assert_int_equal(cf_future_wait(failed, CF_FOREVER), CF_ERR_FAILED);
        assert_int_equal(cf_future_code(failed), 7);
    }
}

/* ---- odd types ---- */

typedef struct big {
    char text[5000];
    long last;
} big;

typedef struct wide64 {
    alignas(64) char text[64];
} wide64;

typedef struct wide128 {
    alignas(128) int value;
} wide128;

typedef int operation(int, int);

static int
minus(int a, int b)
{
    return a - b;
}

static int
apply(int (*operate)(int, int), const int a, const int b)
{
    return operate(a, b);
}
CF_TASK(int, apply, int (*)(int, int), const int, const int);

static operation *
choose(const char *name)
{
    return strcmp(name, "minus") == 0 ? minus : NULL;
}
CF_TASK(operation *, choose, const char *);

static big
grow(big b, long by)
{
    b.last += by;
    b.text[4999] = 'z';
    return b;
}
CF_TASK(big, grow, big, long);

static wide64
widen(char c, wide64 w, char d)
{
    w.text[0] = (char)((uintptr_t)&w % 64 == 0 ? c : 0);
    w.text[63] = d;
    return w;
}
CF_TASK(wide64, widen, char, wide64, char);

static wide128
widen_more(wide128 w, const wide128 *p)
{
    w.value += p->value + ((uintptr_t)&w % 128 == 0 ? 1 : 0);
    return w;
}
CF_TASK(wide128, widen_more, wide128, const wide128 *);

/* Functions, constants and pointers are arguments and results like any other. */
static void
test_task_takes_pointers_and_constants(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        EXPECT(cf_submit(pool, apply, minus, 7, 2), apply, int, 5);
        operation *chosen = NULL;
        cf_auto(cf_future) f = cf_submit(pool, choose, "minus");
        assert_int_equal(cf_result(f, choose, &chosen, CF_FOREVER), CF_OK);
        assert_true(chosen == minus);
        operation *functions[] = {minus, minus};
        const int as[] = {5, 6}, bs[] = {1, 1};
        int results[2];
        assert_int_equal(cf_map(pool, apply, 2, results, functions, as, bs), CF_OK);
        assert_int_equal(results[0], 4);
        assert_int_equal(results[1], 5);
    }
}

/* Large structs are copied whole, in and out, when they're submitted. */
static void
test_task_copies_big_structs(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        static big in, out;
        memset(&in, 0, sizeof in);
        memset(in.text, 'a', 4999);
        in.last = 40;
        cf_auto(cf_future) f = cf_submit(pool, grow, in, 2);
        memset(&in, 0, sizeof in);
        assert_int_equal(cf_result(f, grow, &out, CF_FOREVER), CF_OK);
        assert_int_equal(out.last, 42);
        assert_int_equal(out.text[0], 'a');
        assert_int_equal(out.text[4998], 'a');
        assert_int_equal(out.text[4999], 'z');
    }
}

/* Arguments and results keep an alignment beyond that of malloc, in a submit and in a map. */
static void
test_task_keeps_alignment(void **state)
{
    (void)state;
    FOR_EACH_IN_OUR_MEMORY(pool)
    {
        for (int i = 0; i < 20; i++) { /* various places in the heap */
            wide64 w, w_out;
            wide128 v = {i}, v_out;
            memset(&w, 'w', sizeof w);
            cf_auto(cf_future) f = cf_submit(pool, widen, 'c', w, 'd');
            cf_auto(cf_future) g = cf_submit(pool, widen_more, v, &v);
            assert_int_equal(cf_result(f, widen, &w_out, CF_FOREVER), CF_OK);
            assert_int_equal((uintptr_t)cf_future_peek(f) % 64, 0);
            assert_int_equal(w_out.text[0], 'c');
            assert_int_equal(w_out.text[1], 'w');
            assert_int_equal(w_out.text[63], 'd');
            assert_int_equal(cf_result(g, widen_more, &v_out, CF_FOREVER), CF_OK);
            assert_int_equal((uintptr_t)cf_future_peek(g) % 128, 0);
            assert_int_equal(v_out.value, 2 * i + 1);
        }
        wide128 in[3] = {{1}, {2}, {3}}, out[3];
        const wide128 *pointers[3] = {&in[0], &in[1], &in[2]};
        assert_int_equal(cf_map(pool, widen_more, 3, out, in, pointers), CF_OK);
        for (int i = 0; i < 3; i++)
            assert_int_equal(out[i].value, 2 * in[i].value + 1);
    }
}

/* The description has what a pool needs to know: names, sizes, and which arguments are pointers. */
static void
test_task_type_describes_function(void **state)
{
    (void)state;
    const cf_task_type *t = apply_CF_TASK_type();
    assert_string_equal(t->name, "apply");
    assert_string_equal(t->result_name, "int");
    assert_int_equal(t->arity, 3);
    assert_int_equal(t->pointers, 1u << 1);
    assert_int_equal(t->result_size, sizeof(int));
    assert_true(t->args_size >= sizeof(void *) + 2 * sizeof(int));
    t = choose_CF_TASK_type();
    assert_int_equal(t->pointers, 1u << 0 | 1u << 1);
    t = widen_more_CF_TASK_type();
    assert_int_equal(t->pointers, 1u << 2);
    assert_int_equal(t->args_align, 128);
    assert_int_equal(t->result_align, 128);
    t = count_void0_CF_TASK_type();
    assert_string_equal(t->result_name, "void");
    assert_int_equal(t->arity, 0);
    assert_int_equal(t->pointers, 0);
    assert_int_equal(t->result_size, 0);
    assert_int_equal(t->result_align, 1);
    assert_true(t->args_size >= 1);
    assert_int_equal(sum8_CF_TASK_type()->arity, 8);
    assert_int_equal(sum8_CF_TASK_type()->pointers, 0);
}

/* ---- types of results ---- */

static unsigned
sum1_unsigned(int a)
{
    return (unsigned)a;
}
CF_TASK(unsigned, sum1_unsigned, int);

/* Asking for a result by another task's type is refused, done or not; by one of the same type it is not. */
static void
test_task_result_of_other_type(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        cf_auto(cf_future) f = cf_submit(pool, sum1, 5);
        unsigned wrong = 42;
        long wrong_size = 42;
        int right = 0;
        assert_int_equal(cf_result(f, sum1_unsigned, &wrong, CF_FOREVER), CF_ERR_TYPE);
        assert_int_equal(cf_result(f, sum2, &wrong_size, CF_FOREVER), CF_ERR_TYPE);
        assert_int_equal(wrong, 42);
        assert_int_equal(wrong_size, 42);
        assert_int_equal(cf_result(f, sum0, &right, CF_FOREVER), CF_OK); /* int, too */
        assert_int_equal(right, 5);
    }
}

/* ---- inside a task ---- */

static int
fails(int code, size_t length)
{
    char text[400];
    memset(text, 'm', sizeof text);
    text[length] = 0;
    bool inside = cf_fail(code, "%s", text);
    return inside ? 1 : 2;
}
CF_TASK(int, fails, int, size_t);

/* A task that fails has its code and message in its future; the message is cut to 159 bytes, the result dropped. */
static void
test_task_fail_is_in_future(void **state)
{
    (void)state;
    static const struct {
        size_t given, kept;
    } rows[] = {{1, 1}, {158, 158}, {159, 159}, {160, 159}, {399, 159}};
    FOR_EACH_EXECUTOR(pool)
    {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
            int value = 42;
            cf_auto(cf_future) f = cf_submit(pool, fails, -7, rows[i].given);
            assert_int_equal(cf_result(f, fails, &value, CF_FOREVER), CF_ERR_FAILED);
            assert_int_equal(value, 42);
            assert_null(cf_future_peek(f));
            assert_int_equal(cf_future_code(f), -7);
            assert_int_equal(strlen(cf_future_message(f)), rows[i].kept);
            assert_int_equal(cf_future_message(f)[0], 'm');
        }
        cf_auto(cf_future) empty = cf_submit(pool, fails, 0, 0);
        assert_int_equal(cf_future_wait(empty, CF_FOREVER), CF_ERR_FAILED);
        assert_int_equal(cf_future_code(empty), 0);
        assert_string_equal(cf_future_message(empty), cf_strerror(CF_ERR_FAILED));
    }
}

static int
fails_twice(void)
{
    return cf_fail(1, "first") && cf_fail(2, "%s", "second") ? 1 : 0;
}
CF_TASK(int, fails_twice);

/* The last failure counts. */
static void
test_task_last_fail_counts(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        cf_auto(cf_future) f = cf_submit(pool, fails_twice);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_FAILED);
        assert_int_equal(cf_future_code(f), 2);
        assert_string_equal(cf_future_message(f), "second");
    }
}

/* A failure stays with its task: the next one on the same worker is well. */
static void
test_task_fail_ends_with_task(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        cf_auto(cf_future) failed = cf_submit(pool, fails, 1, 5);
        assert_int_equal(cf_future_wait(failed, CF_FOREVER), CF_ERR_FAILED);
        EXPECT(cf_submit(pool, sum1, 3), sum1, int, 3);
    }
}

/* Outside a task there is nothing to fail and nobody asks to stop; also after tasks ran in this very thread. */
static void
test_task_outside_nothing_fails(void **state)
{
    (void)state;
    assert_false(cf_fail(1, "nobody"));
    assert_false(cf_cancelled());
    FOR_EACH_EXECUTOR(pool)
    {
        EXPECT(cf_submit(pool, sum0), sum0, int, 1);
        assert_false(cf_fail(1, "nobody"));
        assert_false(cf_cancelled());
        assert_null(cf__task_current());
    }
}

static int
nests(cf_executor *inner, int code)
{
    cf_future *f = cf_submit(inner, fails, code + 1, 3);
    cf_err error = cf_future_wait(f, CF_FOREVER);
    int inner_code = cf_future_code(f);
    cf_future_release(f);
    if (code != 0)
        (void)cf_fail(code, "outer %d", inner_code);
    return error == CF_ERR_FAILED ? inner_code : -1;
}
CF_TASK(int, nests, cf_executor *, int);

/* A task that runs another inline keeps its own failure apart from the other's. */
static void
test_task_nested_fails_stay_apart(void **state)
{
    (void)state;
    cf_auto(cf_executor) inner = cf_inline_executor();
    FOR_EACH_IN_OUR_MEMORY(pool)
    {
        EXPECT(cf_submit(pool, nests, inner, 0), nests, int, 1);
        cf_auto(cf_future) f = cf_submit(pool, nests, inner, 8);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_FAILED);
        assert_int_equal(cf_future_code(f), 8);
        assert_string_equal(cf_future_message(f), "outer 9");
    }
}

typedef struct stop_test {
    gate inside;
    bool before, after; /* what the task saw */
} stop_test;

static void
looks_for_stop(stop_test *t)
{
    t->before = cf_cancelled();
    gate_pass(&t->inside);
    t->after = cf_cancelled();
}
CF_TASK_VOID(looks_for_stop, stop_test *);

/* A running task sees that it has been asked to stop, and no other task does. */
static void
test_task_sees_cancel(void **state)
{
    (void)state;
    for (int cancel = 0; cancel < 2; cancel++) {
        stop_test t = {GATE, true, true};
        cf_auto(cf_executor) pool = one_thread();
        cf_auto(cf_future) f = cf_submit(pool, looks_for_stop, &t);
        wait_until(gate_inside(&t.inside) == 1);
        if (cancel)
            assert_false(cf_future_cancel(f));
        gate_open(&t.inside);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK); /* it ended well all the same */
        assert_false(t.before);
        assert_int_equal(t.after, cancel);
        stop_test next = {GATE, true, true};
        gate_open(&next.inside);
        cf_auto(cf_future) g = cf_submit(pool, looks_for_stop, &next);
        assert_int_equal(cf_future_wait(g, CF_FOREVER), CF_OK);
        assert_false(next.before || next.after);
    }
}

static int
own_errno(void)
{
    errno = 99;
    return cf__task_current() != NULL ? 1 : 0;
}
CF_TASK(int, own_errno);

/* A task knows that it is one. */
static void
test_task_has_context(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    EXPECT(cf_submit(pool, own_errno), own_errno, int, 1);
}

int
main(void)
{
    cf_executor *pool = one_process();
    has_processes = tries_processes(cf_executor_error(pool));
    cf_executor_close(pool);
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, leaks_start_processes, leaks_none_processes)
        TEST(test_task_takes_up_to_8_arguments),
        TEST(test_task_maps_up_to_8_arrays),
        TEST(test_task_without_result),
        TEST(test_task_takes_pointers_and_constants),
        TEST(test_task_copies_big_structs),
        TEST(test_task_keeps_alignment),
        TEST(test_task_type_describes_function),
        TEST(test_task_result_of_other_type),
        TEST(test_task_fail_is_in_future),
        TEST(test_task_last_fail_counts),
        TEST(test_task_fail_ends_with_task),
        TEST(test_task_outside_nothing_fails),
        TEST(test_task_nested_fails_stay_apart),
        TEST(test_task_sees_cancel),
        TEST(test_task_has_context),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
