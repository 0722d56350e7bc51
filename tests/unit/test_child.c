/* tests/unit/test_child.c - child.h: children that are run by their parent, on the way to another, and by a thief
 * SPDX-License-Identifier: MIT
 * A parent makes sure that a child is stolen by waiting until it has begun, and that it isn't by having the only worker. */
#include "unit.h"

#include <cfutures.h>

/* ---- children of each shape ---- */

typedef struct pair {
    int a;
    double b;
} pair;

typedef struct large {
    long values[100];
} large;

static int none(void);
CF_TASK(int, none);
static int
none(void)
{
    return 100;
}

static unsigned nothings;
static void
nothing(void)
{
    count_one(&nothings);
}
CF_TASK_VOID(nothing);

static void
one(int *a)
{
    *a += 1;
}
CF_TASK_VOID(one, int *);

static pair
two(int a, double b)
{
    pair p = {a, b};
    return p;
}
CF_TASK(pair, two, int, double);

static char
three(const char *s, char c, const pair p)
{
    return (char)(s[0] + c + p.a);
}
CF_TASK(char, three, const char *, char, const pair);

static const char *
four(const char *const *strings, size_t index, const int plus, unsigned char less)
{
    return strings[index + (size_t)plus - less];
}
CF_TASK(const char *, four, const char *const *, size_t, const int, unsigned char);

static large
five(large in, int a, int b, int c, int d)
{
    for (int i = 0; i < 100; i++)
        in.values[i] = in.values[i] * a + b * c - d;
    return in;
}
CF_TASK(large, five, large, int, int, int, int);

static long
six(char a, short b, int c, long d, float e, double f)
{
    return a + b + c + d + (long)e + (long)f;
}
CF_TASK(long, six, char, short, int, long, float, double);

static void
seven(int *out, int a, int b, int c, int d, int e, int f)
{
    *out = a + 2 * b + 3 * c + 4 * d + 5 * e + 6 * f;
}
CF_TASK_VOID(seven, int *, int, int, int, int, int, int);

static long
eight(int a, int b, int c, int d, int e, int f, int g, int h)
{
    return ((((((a * 10L + b) * 10 + c) * 10 + d) * 10 + e) * 10 + f) * 10 + g) * 10 + h;
}
CF_TASK(long, eight, int, int, int, int, int, int, int, int);

typedef struct aligned {
    _Alignas(64) int value;
} aligned;

static aligned
keeps_alignment(aligned in)
{
    in.value += (uintptr_t)&in % 64 == 0;
    return in;
}
CF_TASK(aligned, keeps_alignment, aligned);

/* All of them, in flight at once, joined in an order that starts with number `first`; returns how many were right. */
static int
shapes(unsigned first)
{
    static const char *const strings[] = {"zero", "one", "two", "three"};
    int right = 0, plus = 41, sum = 0;
    unsigned before = counted(&nothings);
    pair p = {1, 2};
    large in;
    aligned al = {6};
    for (int i = 0; i < 100; i++)
        in.values[i] = i;
    cf_child(none) c0;
    cf_child(nothing) cn;
    cf_child(one) c1;
    cf_child(two) c2;
    cf_child(three) c3;
    cf_child(four) c4;
    cf_child(five) c5;
    cf_child(six) c6;
    cf_child(seven) c7;
    cf_child(eight) c8;
    cf_child(keeps_alignment) ca;
    cf_child_start(&c0, none);
    cf_child_start(&cn, nothing);
    cf_child_start(&c1, one, &plus);
    cf_child_start(&c2, two, 7, 0.5);
    cf_child_start(&c3, three, "A", 2, p);
    cf_child_start(&c4, four, strings, 1, 3, 2);
    cf_child_start(&c5, five, in, 2, 3, 4, 5);
    cf_child_start(&c6, six, 1, 2, 3, 4, 5, 6);
    cf_child_start(&c7, seven, &sum, 1, 2, 3, 4, 5, 6);
    cf_child_start(&c8, eight, 1, 2, 3, 4, 5, 6, 7, 8);
    cf_child_start(&ca, keeps_alignment, al);
    p.a = 1000; /* copied */
    in.values[3] = 1000;
    for (unsigned i = 0; i < 11; i++) {
        unsigned which = (i * 3 + first) % 11;
        if (which == 0) {
            right += cf_child_join(&c0, none) == 100;
        } else if (which == 1) {
            cf_child_join(&cn, nothing);
            right += counted(&nothings) == before + 1;
        } else if (which == 2) {
            cf_child_join(&c1, one);
            right += plus == 42;
        } else if (which == 3) {
            pair got = cf_child_join(&c2, two);
            right += got.a == 7 && got.b > 0.4 && got.b < 0.6;
        } else if (which == 4) {
            right += cf_child_join(&c3, three) == 'A' + 2 + 1;
        } else if (which == 5) {
            right += cf_child_join(&c4, four) == strings[2];
        } else if (which == 6) {
            large got = cf_child_join(&c5, five);
            right += got.values[3] == 13 && got.values[99] == 99 * 2 + 7;
        } else if (which == 7) {
            right += cf_child_join(&c6, six) == 21;
        } else if (which == 8) {
            cf_child_join(&c7, seven);
            right += sum == 91;
        } else if (which == 9) {
            right += cf_child_join(&c8, eight) == 12345678;
        } else {
            aligned got = cf_child_join(&ca, keeps_alignment);
            right += got.value == 7;
        }
    }
    return right;
}
CF_TASK(int, shapes, unsigned);

static void
assert_shapes(cf_executor *pool, unsigned first)
{
    int right = 0;
    cf_auto(cf_future) f = cf_submit(pool, shapes, first);
    assert_int_equal(cf_result(f, shapes, &right, CF_FOREVER), CF_OK);
    assert_int_equal(right, 11);
}

/* Arguments and results of every shape and number come through, whichever is joined first. */
static void
test_child_shapes(void **state)
{
    (void)state;
    for (unsigned workers = 1; workers <= 3; workers++) {
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = workers);
        for (unsigned first = 0; first < 300; first++)
            assert_shapes(pool, first);
    }
}

/* In no pool, in the inline executor, and in a process pool's task they do, too. */
static void
test_child_shapes_elsewhere(void **state)
{
    (void)state;
    cf_auto(cf_executor) at_once = cf_inline_executor();
    for (unsigned first = 0; first < 11; first++) {
        assert_int_equal(shapes(first), 11);
        assert_shapes(at_once, first);
    }
#if CF__FUTEX
    cf_auto(cf_executor) processes = cf_process_pool(.max_workers = 1);
    for (unsigned first = 0; first < 11; first++)
        assert_shapes(processes, first);
#endif
}

/* There they run at their joins, and not before. */
static void
test_child_outside_runs_at_join(void **state)
{
    (void)state;
    unsigned before = counted(&nothings);
    cf_child(nothing) a, b;
    cf_child_start(&a, nothing);
    cf_child_start(&b, nothing);
    assert_int_equal(counted(&nothings), before);
    cf_child_join(&a, nothing);
    assert_int_equal(counted(&nothings), before + 1);
    cf_child_join(&b, nothing);
    assert_int_equal(counted(&nothings), before + 2);
}

/* ---- deep and wide ---- */

static long deep(int n);
CF_TASK(long, deep, int);

static long
deep(int n)
{
    if (n == 0)
        return 0;
    cf_child(deep) c;
    cf_child_start(&c, deep, n - 1);
    return 1 + cf_child_join(&c, deep);
}

static long mixed(int n, unsigned order);
CF_TASK(long, mixed, int, unsigned);

/* Fibonacci: F(n) = 2 F(n - 2) + F(n - 3), with children that are joined in an order that differs from call to call. */
static long
mixed(int n, unsigned order)
{
    if (n < 3)
        return n != 0;
    long sum = 0;
    cf_child(mixed) children[3];
    cf_child_start(&children[0], mixed, n - 2, order / 3);
    cf_child_start(&children[1], mixed, n - 2, order / 5);
    cf_child_start(&children[2], mixed, n - 3, order / 7);
    for (unsigned i = 0; i < 3; i++) /* any first, then up or down from there */
        sum += cf_child_join(&children[(order + (order % 2 + 1) * i) % 3], mixed);
    return sum;
}

static void
test_child_deep_and_wide(void **state)
{
    (void)state;
    static const unsigned workers[] = {1, 2, 3, 8};
    for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
        cf_auto(cf_executor) pool =
            cf_thread_pool(.max_workers = workers[i], .stack_size = 8u << 20); /* musl: 128 KiB */
        for (unsigned round = 0; round < 10; round++) {
            long value = -1;
            cf_auto(cf_future) f = cf_submit(pool, deep, 2000);
            cf_auto(cf_future) g = cf_submit(pool, mixed, 18, 1234567u * (round + 1));
            assert_int_equal(cf_result(f, deep, &value, CF_FOREVER), CF_OK);
            assert_int_equal(value, 2000);
            assert_int_equal(cf_result(g, mixed, &value, CF_FOREVER), CF_OK);
            assert_int_equal(value, 2584);
        }
    }
}

/* More than a deque has room for: the others run at their joins. */
static bool
more_than_fit(bool newest_first)
{
    enum { count = 3 * CF__DEQUE_SIZE };
    cf_child(one) children[count];
    int numbers[count], right = 0;
    for (int i = 0; i < count; i++) {
        numbers[i] = i;
        cf_child_start(&children[i], one, &numbers[i]);
    }
    for (int i = 0; i < count; i++) {
        int next = newest_first ? count - 1 - i : i;
        cf_child_join(&children[next], one);
        right += numbers[next] == next + 1;
    }
    return right == count;
}
CF_TASK(bool, more_than_fit, bool);

static void
test_child_more_than_fit(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = i < 2 ? 1 : 3);
        bool fine = false;
        cf_auto(cf_future) f = cf_submit(pool, more_than_fit, i % 2 != 0);
        assert_int_equal(cf_result(f, more_than_fit, &fine, CF_FOREVER), CF_OK);
        assert_true(fine);
    }
}

/* ---- failures and requests to stop ---- */

typedef struct scene { /* fields: A atomic */
    bool stolen;       /* the parent waits until the child has begun, elsewhere */
    bool child_fails, parent_fails, without_memory;
    unsigned begun, stopped; /* A: children that have begun; were asked to stop */
    unsigned elsewhere;      /* A: children that ran in another thread than the parent's */
    unsigned after;          /* A: parents that have gone on after their joins */
    pthread_t parent;        /* written before the child starts */
} scene;

static int
may_fail(scene *s, int code)
{
    if (!pthread_equal(s->parent, pthread_self()))
        count_one(&s->elsewhere);
    if (s->without_memory)
        fault_fail_from("alloc", 1, ENOMEM);
    if (s->child_fails)
        (void)cf_fail(code, "child %d: %0200d", code, 7);
    count_one(&s->begun);
    return code;
}
CF_TASK(int, may_fail, scene *, int);

static int
has_failing_child(scene *s)
{
    s->parent = pthread_self();
    cf_child(may_fail) c;
    cf_child_start(&c, may_fail, s, 17);
    if (s->stolen)
        wait_until(counted(&s->begun) == 1);
    if (cf_child_join(&c, may_fail) == 17)
        count_one(&s->after);
    if (s->parent_fails)
        (void)cf_fail(99, "the parent");
    return 5;
}
CF_TASK(int, has_failing_child, scene *);

/* A child's cf_fail() is its parent's, which goes on all the same; the last one counts. */
static void
test_child_fails_its_parent(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        scene s = {.stolen = i & 1, .child_fails = (i & 2) != 0, .parent_fails = (i & 4) != 0};
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = s.stolen ? 2 : 1);
        int value = 42;
        cf_auto(cf_future) f = cf_submit(pool, has_failing_child, &s);
        cf_err error = cf_result(f, has_failing_child, &value, CF_FOREVER);
        assert_int_equal(counted(&s.after), 1);
        assert_int_equal(counted(&s.elsewhere), s.stolen);
        assert_int_equal(error, i < 2 ? CF_OK : CF_ERR_FAILED);
        assert_int_equal(value, i < 2 ? 5 : 42);
        assert_int_equal(cf_future_code(f), s.parent_fails ? 99 : s.child_fails ? 17 : 0);
        if (s.parent_fails) {
            assert_string_equal(cf_future_message(f), "the parent");
        } else if (s.child_fails) {
            assert_memory_equal(cf_future_message(f), "child 17: 000", 13);
            assert_int_equal(strlen(cf_future_message(f)), 159);
        }
    }
}

/* A stolen child's failure without memory for its message is a failure all the same. */
static void
test_child_fails_without_memory(void **state)
{
    (void)state;
    scene s = {.stolen = true, .child_fails = true, .without_memory = true};
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2);
    cf_auto(cf_future) f = cf_submit(pool, has_failing_child, &s);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_FAILED);
    assert_true(fault_fired("alloc") != 0);
    assert_int_equal(cf_future_code(f), 17);
    assert_non_null(cf_future_message(f));
    fault_clear();
}

static void
until_asked(scene *s)
{
    count_one(&s->begun);
    wait_until(cf_cancelled());
    count_one(&s->stopped);
}
CF_TASK_VOID(until_asked, scene *);

static void
has_endless_child(scene *s)
{
    cf_child(until_asked) c;
    cf_child_start(&c, until_asked, s);
    if (s->stolen)
        wait_until(counted(&s->begun) == 1);
    cf_child_join(&c, until_asked);
}
CF_TASK_VOID(has_endless_child, scene *);

static void
has_endless_grandchild(scene *s)
{
    cf_child(has_endless_child) c;
    cf_child_start(&c, has_endless_child, s);
    if (s->stolen)
        wait_until(counted(&s->begun) == 1);
    cf_child_join(&c, has_endless_child);
}
CF_TASK_VOID(has_endless_grandchild, scene *);

/* cf_cancelled() in a child asks its parent's future, or the parent's parent's, or the pool, from whichever thread it runs in. */
static void
test_child_is_asked_to_stop(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        scene s = {.stolen = i & 1};
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = s.stolen ? 3 : 1);
        cf_auto(cf_future) f =
            i & 2 ? cf_submit(pool, has_endless_grandchild, &s) : cf_submit(pool, has_endless_child, &s);
        wait_until(counted(&s.begun) == 1);
        assert_int_equal(counted(&s.stopped), 0);
        if (i & 4)
            assert_int_equal(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, NULL), CF_OK);
        else
            assert_false(cf_future_cancel(f)); /* it runs: asked */
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
        assert_int_equal(counted(&s.stopped), 1);
    }
}

static void
until_gate(gate *g)
{
    gate_pass(g);
}
CF_TASK_VOID(until_gate, gate *);

static void
has_child_in_gate(gate *g)
{
    cf_child(until_gate) c;
    cf_child_start(&c, until_gate, g);
    cf_child_join(&c, until_gate);
}
CF_TASK_VOID(has_child_in_gate, gate *);

static int
looks(scene *s)
{
    count_one(&s->begun);
    return cf_cancelled();
}
CF_TASK(int, looks, scene *);

static int
has_looking_child(scene *s)
{
    cf_child(looks) c;
    cf_child_start(&c, looks, s);
    if (s->stolen)
        wait_until(counted(&s->begun) == 1);
    return cf_child_join(&c, looks);
}
CF_TASK(int, has_looking_child, scene *);

/* A request to one task, which goes on, isn't seen by another one's child. */
static void
test_child_of_another_isnt_asked(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 4);
        scene s = {.stolen = i != 0};
        gate g = GATE;
        int seen = -1;
        cf_auto(cf_future) f = cf_submit(pool, has_child_in_gate, &g);
        wait_until(gate_inside(&g) == 1);
        assert_false(cf_future_cancel(f));
        cf_auto(cf_future) other = cf_submit(pool, has_looking_child, &s);
        assert_int_equal(cf_result(other, has_looking_child, &seen, CF_FOREVER), CF_OK);
        assert_int_equal(seen, 0);
        gate_open(&g);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
    }
}

static int
answer(int n)
{
    return n + 1;
}
CF_TASK(int, answer, int);

/* As a recursive function does that submits what it doesn't wait for by a child. */
static bool
submits_here(scene *s, const cf_executor *pool)
{
    int value = 0;
    cf_executor *current = cf_current_executor();
    cf_future *f = cf_submit(current, answer, 41);
    count_one(&s->begun);
    bool fine = cf_result(f, answer, &value, CF_FOREVER) == CF_OK && value == 42 && current == pool;
    cf_future_release(f);
    return fine;
}
CF_TASK(bool, submits_here, scene *, const cf_executor *);

static bool
has_submitting_child(scene *s, const cf_executor *pool)
{
    cf_child(submits_here) c;
    cf_child_start(&c, submits_here, s, pool);
    if (s->stolen)
        wait_until(counted(&s->begun) == 1);
    return cf_child_join(&c, submits_here);
}
CF_TASK(bool, has_submitting_child, scene *, const cf_executor *);

/* A child knows the executor, whoever runs it, and may submit there. */
static void
test_child_knows_its_executor(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        scene s = {.stolen = i != 0};
        bool fine = false;
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = s.stolen ? 2 : 1);
        cf_auto(cf_future) f = cf_submit(pool, has_submitting_child, &s, pool);
        assert_int_equal(cf_result(f, has_submitting_child, &fine, CF_FOREVER), CF_OK);
        assert_true(fine);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_child_shapes),
        cmocka_unit_test(test_child_shapes_elsewhere),
        cmocka_unit_test(test_child_outside_runs_at_join),
        cmocka_unit_test(test_child_deep_and_wide),
        cmocka_unit_test(test_child_more_than_fit),
        cmocka_unit_test(test_child_fails_its_parent),
        cmocka_unit_test(test_child_fails_without_memory),
        cmocka_unit_test(test_child_is_asked_to_stop),
        cmocka_unit_test(test_child_of_another_isnt_asked),
        cmocka_unit_test(test_child_knows_its_executor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
