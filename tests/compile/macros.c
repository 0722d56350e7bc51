/* tests/compile/macros.c - every macro that programs use, expanded in a program that is compiled with all warnings as errors.
 * SPDX-License-Identifier: MIT
 * By run.sh, as C and as C++, from -O0 to -O3: what a macro writes is in the program's own file, so a warning there can't be
 * turned off for our headers only. */
#include <cfutures.h>

#include <stdio.h>

typedef struct point {
    short x;
    float y;
} point;
typedef int (*operation)(int, int);
typedef const char *text;
enum color { red, green };

static int
add(int a, int b)
{
    return a + b;
}

static void
none(void)
{
}
static unsigned char
one(signed char a)
{
    return CF__STATIC_CAST(unsigned char, a + 1);
}
static float
two(short a, float b)
{
    return CF__STATIC_CAST(float, a) + b;
}
static point
three(point p, bool swap, enum color c)
{
    point q = {CF__STATIC_CAST(short, c), p.y};
    return swap ? q : p;
}
static const char *
four(const char *a, text b, const point *c, long long d)
{
    return c == NULL && d < 0 ? a : b;
}
static int
five(operation f, int a, int b, size_t c, const volatile int *d)
{
    (void)c;
    return f(a, b) + (d != NULL ? *d : 0);
}
static double
six(int a, unsigned b, long c, unsigned long d, float e, double f)
{
    return a + CF__STATIC_CAST(double, b) + CF__STATIC_CAST(double, c) + CF__STATIC_CAST(double, d) +
           CF__STATIC_CAST(double, e) + f;
}
static uint64_t
seven(uint8_t a, uint16_t b, uint32_t c, uint64_t d, int8_t e, int16_t f, int64_t g)
{
    return a + b + c + d + CF__STATIC_CAST(uint64_t, e + f + g);
}
static void
eight(int *a, int b, int c, int d, int e, int f, int g, int h)
{
    *a = b + c + d + e + f + g + h;
}
CF_TASK_VOID(none);
CF_TASK(unsigned char, one, signed char);
CF_TASK(float, two, short, float);
CF_TASK(point, three, point, bool, enum color);
CF_TASK(const char *, four, const char *, text, const point *, long long);
CF_TASK(int, five, operation, int, int, size_t, const volatile int *);
CF_TASK(double, six, int, unsigned, long, unsigned long, float, double);
CF_TASK(uint64_t, seven, uint8_t, uint16_t, uint32_t, uint64_t, int8_t, int16_t, int64_t);
CF_TASK_VOID(eight, int *, int, int, int, int, int, int, int);

/* A task whose name is a macro. */
#define renamed_too the_real_name
static int
renamed_too(int a)
{
    return a + 1;
}
CF_TASK(int, renamed_too, int);

static int
renamed_child(void)
{
    cf_child(renamed_too) c;
    cf_child_start(&c, renamed_too, 1);
    return cf_child_join(&c, renamed_too) != 2;
}

CF_QUEUE(point_queue, point);
CF_QUEUE(text_queue, const char *);
CF_QUEUE(operation_queue, int (*)(int, int));

static int
queues(void)
{
    point_queue points;
    text_queue texts;
    operation_queue operations;
    point p = {1, 2.0f};
    const char *t = "text";
    operation o = add;
    if (point_queue_init(&points, 4) != CF_OK || text_queue_init(&texts, 4) != CF_OK ||
        operation_queue_init(&operations, 0) != CF_OK)
        return 1;
    int bad = point_queue_put(&points, &p) != CF_OK || point_queue_try_put(&points, &p) != CF_OK ||
              point_queue_put_until(&points, &p, CF_NOW) != CF_OK || point_queue_get(&points, &p) != CF_OK ||
              point_queue_try_get(&points, &p) != CF_OK || point_queue_get_until(&points, &p, CF_NOW) != CF_OK;
    bad += text_queue_put(&texts, &t) != CF_OK || text_queue_get(&texts, &t) != CF_OK;
    bad +=
        operation_queue_put(&operations, &o) != CF_OK || operation_queue_get(&operations, &o) != CF_OK || o(1, 2) != 3;
    for (int i = 0; i < 3; i++)
        bad += point_queue_task_done(&points) != CF_OK;
    point_queue_join(&points);
    bad += point_queue_join_until(&points, CF_NOW) != CF_OK || point_queue_size(&points) != 0;
    point_queue_close(&points);
    point_queue_destroy(&points);
    text_queue_destroy(&texts);
    operation_queue_destroy(&operations);

    const char *first = "first", *second = "second";
#if defined(__cplusplus) && __cplusplus < 202002L
    cf_queue_opts options;
    options.capacity = 2;
    options.order = CF_LIFO;
    if (text_queue_init_with(&texts, &options) != CF_OK)
#else
    if (text_queue_init_with(&texts, cf_queue_options(.capacity = 2, .order = CF_LIFO)) != CF_OK)
#endif
        return 1;
    bad += text_queue_put(&texts, &first) != CF_OK || text_queue_put(&texts, &second) != CF_OK;
    bad += text_queue_get(&texts, &t) != CF_OK || t != second;
    text_queue_destroy(&texts);
    return bad;
}

static int
tasks(cf_executor *pool)
{
    unsigned char b = 0;
    float f = 0.0f;
    point p = {3, 4.0f};
    const char *s = NULL;
    int i = 0, sum = 0;
    double d = 0.0;
    uint64_t u = 0;
    cf_auto(cf_future) f0 = cf_submit(pool, none);
    cf_auto(cf_future) f1 = cf_submit(pool, one, CF__STATIC_CAST(signed char, 4));
    cf_auto(cf_future) f2 = cf_submit(pool, two, CF__STATIC_CAST(short, 4), 0.5f);
    cf_auto(cf_future) f3 = cf_submit(pool, three, p, true, green);
    cf_auto(cf_future) f4 = cf_submit(pool, four, "a", "b", &p, 4);
    cf_auto(cf_future) f5 = cf_submit(pool, five, add, 4, 5, sizeof p, NULL);
    cf_auto(cf_future) f6 = cf_submit(pool, six, 1, 2u, 3, 4ul, 5.0f, 6.0);
    cf_auto(cf_future) f7 = cf_submit(pool, seven, CF__STATIC_CAST(uint8_t, 1), CF__STATIC_CAST(uint16_t, 2), 3u, 4u,
                                      CF__STATIC_CAST(int8_t, 5), CF__STATIC_CAST(int16_t, 6), 7);
    cf_auto(cf_future) f8 = cf_submit(pool, eight, &sum, 1, 2, 3, 4, 5, 6, 7);
    int bad = cf_future_wait(f0, CF_FOREVER) != CF_OK || cf_result(f1, one, &b, CF_FOREVER) != CF_OK || b != 5;
    bad += cf_result(f2, two, &f, CF_FOREVER) != CF_OK || f < 4.0f;
    bad += cf_result(f3, three, &p, CF_FOREVER) != CF_OK || p.x != green;
    bad += cf_result(f4, four, &s, CF_FOREVER) != CF_OK || *s != 'b';
    bad += cf_result(f5, five, &i, CF_FOREVER) != CF_OK || i != 9;
    bad += cf_result(f6, six, &d, CF_FOREVER) != CF_OK || d < 20.5 || d > 21.5;
    bad += cf_result(f7, seven, &u, CF_FOREVER) != CF_OK || u != 28;
    bad += cf_future_wait(f8, CF_FOREVER) != CF_OK || sum != 28;
    bad += cf_spawn(pool, none) != CF_OK || cf_spawn(pool, one, CF__STATIC_CAST(signed char, 1)) != CF_OK;
    return bad;
}

/* A function whose name is a macro. */
#define renamed renamed_1
static int
renamed(size_t i)
{
    return CF__STATIC_CAST(int, i);
}
CF_TASK(int, renamed, size_t);

static bool
next_index(void *context, size_t *i)
{
    size_t *next = CF__STATIC_CAST(size_t *, context);
    *i = *next;
    return (*next)++ < 3;
}

static bool
take_index(void *context, size_t index, cf_future *future)
{
    int value = -1;
    (void)context;
    return cf_result(future, renamed, &value, CF_NOW) == CF_OK && CF__STATIC_CAST(size_t, value) == index;
}

static int
renamed_tasks(cf_executor *pool)
{
    const size_t is[3] = {0, 1, 2};
    int values[3] = {0, 0, 0};
    size_t next = 0;
    cf_future *futures[3];
    int bad = cf_map(pool, renamed, 3, values, is) != CF_OK || values[2] != 2;
    bad += cf_for(pool, renamed, 0, 3) != CF_OK || cf_spawn(pool, renamed, is[0]) != CF_OK;
    bad += cf_submit_all(pool, renamed, 3, futures, is) != CF_OK;
    for (size_t k = 0; k < 3; k++)
        cf_future_release(futures[k]);
    bad += cf_map_lazy(pool, renamed, 2, next_index, take_index, &next) != CF_OK || next != 4;
    return bad;
}

static int
loops_and_maps(cf_executor *pool)
{
    int bad = 0, pairs = 0;
    const short as[3] = {1, 2, 3};
    const float bs[3] = {0.5f, 0.5f, 0.5f};
    const size_t is[3] = {0, 1, 2};
    float sums[3] = {0.0f, 0.0f, 0.0f};
    cf_err status[3];
    cf_future *futures[3];
    for (size_t k = 0; k < 3; k++)
        futures[k] = cf_submit(pool, two, as[k], bs[k]);
    CF_AS_COMPLETED (i, futures, 3, CF_FOREVER) {
        CF_AS_COMPLETED (j, futures, 3, CF_FOREVER) {
            if (j > i)
                break;
            pairs++;
        }
    }
    bad += pairs < 3;
    for (size_t k = 0; k < 3; k++)
        cf_future_release(futures[k]);

    bad += cf_map(pool, two, 3, sums, as, bs) != CF_OK || sums[2] < 3.0f;
    bad += cf_map(pool, none, 3) != CF_OK;
#if defined(__cplusplus) && __cplusplus < 202002L
    cf_submit_opts submit_options;
    cf_map_opts map_options;
    submit_options.deadline = CF_FOREVER;
    map_options.status = status;
#else
#define submit_options cf_options(.deadline = CF_FOREVER)
#define map_options cf_map_options(.status = status)
#endif
    cf_auto(cf_future) later = cf_submit_with(pool, submit_options, two, as[0], bs[0]);
    bad += cf_future_wait(later, CF_FOREVER) != CF_OK;
    bad += cf_spawn_with(pool, submit_options, none) != CF_OK;
    bad += cf_map_with(pool, map_options, two, 3, sums, as, bs) != CF_OK || status[2] != CF_OK;
    size_t next = 0;
    bad += cf_map_lazy_with(pool, map_options, renamed, 2, next_index, take_index, &next) != CF_OK || next != 4;
    bad += cf_for_with(pool, map_options, renamed, 0, 3) != CF_OK || status[2] != CF_OK;
    bad += cf_submit_all_with(pool, submit_options, renamed, 3, futures, is) != CF_OK;
    for (size_t k = 0; k < 3; k++)
        cf_future_release(futures[k]);
    return bad;
}

/* Made by one way or the other, a pool of processes runs a task. */
static int
processes(void)
{
    int bad = 0;
#ifndef CF_USE_CONDVAR /* else there are none */
#if defined(__cplusplus) && __cplusplus < 202002L
    cf_pool_opts options;
    options.max_workers = 1;
    options.name = "macros";
    cf_auto(cf_executor) pool = cf_process_pool(options);
#elif defined(__cplusplus)
    cf_auto(cf_executor) pool = cf_process_pool({.max_workers = 1, .name = "macros"});
#else
    cf_auto(cf_executor) pool = cf_process_pool(.max_workers = 1, .name = "macros");
#endif
    cf_auto(cf_executor) defaults = cf_process_pool();
    unsigned char b = 0;
    cf_auto(cf_future) f = cf_submit(pool, one, CF__STATIC_CAST(signed char, 4));
    cf_auto(cf_future) g = cf_submit(defaults, one, CF__STATIC_CAST(signed char, 5));
    bad += cf_result(f, one, &b, CF_FOREVER) != CF_OK || b != 5;
    bad += cf_result(g, one, &b, CF_FOREVER) != CF_OK || b != 6;
#endif
    return bad;
}

int
main(void)
{
#if defined(__cplusplus) && __cplusplus < 202002L
    cf_pool_opts options;
    options.max_workers = 2;
    options.name = "macros";
    cf_auto(cf_executor) pool = cf_thread_pool(options);
#elif defined(__cplusplus)
    cf_auto(cf_executor) pool = cf_thread_pool({.max_workers = 2, .name = "macros"});
#else
    cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = 2, .name = "macros");
#endif
    cf_auto(cf_executor) defaults = cf_thread_pool();
    if (tasks(defaults) != 0)
        return 2;
    int bad = queues() + tasks(pool) + renamed_tasks(pool) + loops_and_maps(pool) + renamed_child() + processes();
    if (bad != 0)
        printf("macros: %d checks failed\n", bad);
    return bad != 0;
}
