/* tests/model/model_queue.c - the queue of queue.h, with its sleepers of detail/event.h, under every schedule.
 * SPDX-License-Identifier: MIT */
#include "model.h"

#include "cfutures/detail/park.h"

/* A put or get may be held up in the middle, having claimed its position, until those who can finish have finished. */
static int puts_until_hold, gets_until_hold; /* plain: of the only thread that puts, or gets; 0: none is held up */
static uint32_t unfinished;                  /* A: how many are waited for */

static void
hold(int *until)
{
    if (*until == 0 || --*until != 0)
        return;
    for (uint32_t n; (n = cf__load_acquire(&unfinished)) != 0;)
        (void)cf__park(&unfinished, n, CF_FOREVER, CF__SCOPE_PRIVATE); /* finish() owes the wake */
}
static void
finish(void)
{
    (void)cf__fetch_sub_acq_rel(&unfinished, 1u);
    (void)cf__unpark_all(&unfinished, CF__SCOPE_PRIVATE);
}
#undef cf__data_write
#undef cf__data_read
#define cf__data_write(p, size) (hold(&puts_until_hold), model__data(MODEL__SITE("data_write", #p), (p), (size), true))
#define cf__data_read(p, size) (hold(&gets_until_hold), model__data(MODEL__SITE("data_read", #p), (p), (size), false))

#define CF__QUEUE_YIELDS 0 /* they are further tries, and nothing else */
#include "cfutures/queue.h"

static cf_queue queue;
static int got[4], got_count, closed_count,
    timeout_count; /* written after the queue's mutex, by one thread at a time: see count() */
static int reports;
static int said, work; /* plain: written before a close or a report, read after its CF_ERR_CLOSED or the join */
static cf__mutex counting;

static void
setup_nothing(void)
{
    cf__mutex_init(&counting);
    got_count = closed_count = timeout_count = reports = said = work = 0;
    puts_until_hold = gets_until_hold = 0;
}
static void
setup_capacity(size_t capacity)
{
    setup_nothing();
    model_check(cf_queue_init(&queue, sizeof(int), capacity) == CF_OK);
}
static void
setup_1(void)
{
    setup_capacity(1);
}
static void
setup_2(void)
{
    setup_capacity(2);
}
static int
compare_ints(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}
static void
setup_order(size_t capacity, cf_queue_order order)
{
    setup_nothing();
    model_check(cf_queue_init_with(&queue, sizeof(int),
                                   cf_queue_options(.capacity = capacity, .order = order, .compare = compare_ints)) ==
                CF_OK);
}
static void
setup_lifo(void)
{
    setup_order(1, CF_LIFO);
}
static void
setup_priority(void)
{
    setup_order(2, CF_PRIORITY);
}
static void
setup_full(void)
{
    int item = 1;
    setup_capacity(1);
    model_check(cf_queue_put(&queue, &item) == CF_OK);
}
static void
setup_2_one_put(void)
{
    int item = 1;
    setup_capacity(2);
    model_check(cf_queue_put(&queue, &item) == CF_OK);
}
static void
setup_full_2(void)
{
    setup_capacity(2);
    for (int i = 1; i <= 2; i++)
        model_check(cf_queue_put(&queue, &i) == CF_OK);
}
static void
setup_third_put_held(void)
{
    setup_capacity(3);
    puts_until_hold = 3;
    unfinished = 1;
}
static void
setup_third_get_held(void)
{
    setup_capacity(3);
    for (int i = 1; i <= 3; i++)
        model_check(cf_queue_put(&queue, &i) == CF_OK);
    gets_until_hold = 3;
    unfinished = 2;
}
static void
setup_unbounded(void) /* one put from growing, and wrapped round */
{
    setup_capacity(0);
    for (int i = 0; i < CF__ITEMS_FIRST; i++)
        model_check(cf_queue_put(&queue, &i) == CF_OK);
    for (int item, i = 0; i < 1; i++)
        model_check(cf_queue_get(&queue, &item) == CF_OK && item == i);
}

static void
count(cf_err error, int item)
{
    cf__mutex_lock(&counting);
    if (error == CF_OK)
        got[got_count++] = item;
    closed_count += error == CF_ERR_CLOSED;
    timeout_count += error == CF_ERR_TIMEOUT;
    cf__mutex_unlock(&counting);
}

/* ---- callers; a putter's argument points to its item ---- */

static int items[] = {1, 2, 3, 4};

static void
put(void *arg)
{
    model_check(cf_queue_put(&queue, arg) == CF_OK);
}
static void
put_two(void *arg)
{
    put(arg);
    put((int *)arg + 1);
}
static void
put_any(void *arg)
{
    cf_err error = cf_queue_put(&queue, arg);
    model_check(error == CF_OK || error == CF_ERR_CLOSED);
}
static void
put_many(void *arg)
{
    size_t moved;
    model_check(cf_queue_put_many(&queue, arg, 2, &moved, CF_FOREVER) == CF_OK && moved == 2);
}
static void
put_three(void *arg)
{
    size_t moved;
    model_check(cf_queue_put_many(&queue, arg, 3, &moved, CF_FOREVER) == CF_OK && moved == 3);
}
static void
put_and_finish(void *arg)
{
    put(arg);
    finish();
}
static void
try_put_closed(void *arg)
{
    if (cf_queue_try_put(&queue, arg) == CF_ERR_CLOSED)
        model_check(said == 1);
}
static void
try_get_closed(void *arg)
{
    int item;
    (void)arg;
    if (cf_queue_try_get(&queue, &item) == CF_ERR_CLOSED)
        model_check(said == 1);
}
static void
close_said(void *arg)
{
    (void)arg;
    said = 1;
    cf_queue_close(&queue);
}
static void
close_now_said(void *arg)
{
    (void)arg;
    said = 1;
    cf_queue_close_now(&queue);
}
static void
sizes(void *arg)
{
    (void)arg;
    size_t size = cf_queue_size(&queue);
    model_check(size <= 1);
}
static void
get_any(void *arg)
{
    int item = 0;
    (void)arg;
    cf_err error = cf_queue_get(&queue, &item);
    model_check(error == CF_OK || error == CF_ERR_CLOSED);
    count(error, item);
}
static void
get(void *arg)
{
    int item = 0;
    (void)arg;
    model_check(cf_queue_get(&queue, &item) == CF_OK);
    count(CF_OK, item);
}
static void
get_two(void *arg)
{
    get(arg);
    get(arg);
}
static void
get_many(void *arg)
{
    int out[2];
    size_t moved;
    (void)arg;
    model_check(cf_queue_get_many(&queue, out, 2, &moved, CF_FOREVER) == CF_OK && moved >= 1);
    for (size_t i = 0; i < moved; i++)
        count(CF_OK, out[i]);
}
static void
get_three(void *arg)
{
    int out[3];
    size_t moved;
    (void)arg;
    model_check(cf_queue_get_many(&queue, out, 3, &moved, CF_FOREVER) == CF_OK && moved == 3);
    model_check(out[0] == 1 && out[1] == 2 && out[2] == 3);
}
static void
get_and_finish(void *arg)
{
    get(arg);
    finish();
}
static void
get_until(void *arg)
{
    int item = 0;
    (void)arg;
    cf_err error = cf_queue_get_until(&queue, &item, model_deadline(1));
    model_check(error == CF_OK || (error == CF_ERR_TIMEOUT && cf_passed(model_deadline(1))));
    count(error, item);
}
static void
put_until(void *arg)
{
    cf_err error = cf_queue_put_until(&queue, arg, model_deadline(1));
    model_check(error == CF_OK || (error == CF_ERR_TIMEOUT && cf_passed(model_deadline(1))));
    count(error == CF_OK ? CF_ERR_FULL : error, 0);
}
static void
close_queue(void *arg)
{
    (void)arg;
    cf_queue_close(&queue);
}
static void
report(void *arg)
{
    (void)arg;
    cf_err error = cf_queue_task_done(&queue);
    model_check(error == CF_OK || error == CF_ERR_INVALID);
    cf__mutex_lock(&counting);
    reports += error == CF_OK;
    cf__mutex_unlock(&counting);
}
static void
setup_two_one_got(void) /* one that is being worked on, one that is still there */
{
    int item;
    setup_full_2();
    model_check(cf_queue_get(&queue, &item) == CF_OK);
}
static void
work_and_report(void *arg)
{
    (void)arg;
    work = 1;
    model_check(cf_queue_task_done(&queue) == CF_OK);
}
static void
put_report_work(void *arg) /* there is always something unfinished until the second report */
{
    put(arg);
    model_check(cf_queue_task_done(&queue) == CF_OK);
    work_and_report(arg);
}
static void
join_work(void *arg)
{
    (void)arg;
    cf_queue_join(&queue);
    model_check(work == 1);
}
static void
put_and_join(void *arg) /* what was put before a join isn't missed by it */
{
    put(arg);
    cf_queue_join(&queue);
    cf__mutex_lock(&counting);
    model_check(got_count == 1);
    cf__mutex_unlock(&counting);
}
static void
close_now(void *arg)
{
    (void)arg;
    cf_queue_close_now(&queue);
}
static void
get_any_and_report(void *arg)
{
    get_any(arg);
    if (got_count == 1)
        model_check(cf_queue_task_done(&queue) == CF_OK);
}
static void
just_join(void *arg)
{
    (void)arg;
    cf_queue_join(&queue);
}
static void
get_and_report(void *arg)
{
    get(arg);
    model_check(cf_queue_task_done(&queue) == CF_OK);
}
static void
join(void *arg)
{
    (void)arg;
    cf_queue_join(&queue);
    cf__mutex_lock(&counting);
    model_check(got_count == 1);
    cf__mutex_unlock(&counting);
}
static void
join_until(void *arg)
{
    (void)arg;
    cf_err error = cf_queue_join_until(&queue, model_deadline(1));
    model_check(error == CF_OK || cf_passed(model_deadline(1)));
}

/* ---- ends ---- */

static void
check_got(int expected)
{
    int sum = 0;
    for (int i = 0; i < got_count; i++)
        sum += got[i];
    model_check(got_count == expected && sum == expected * (expected + 1) / 2); /* items 1..expected, each once */
    cf_queue_destroy(&queue);
}
static void
check_1(void)
{
    check_got(1);
}
static void
check_2(void)
{
    check_got(2);
}
static void
check_two_of_three(void)
{
    int item;
    model_check(got_count == 2 && cf_queue_try_get(&queue, &item) == CF_OK && got[0] + got[1] + item == 6);
    cf_queue_destroy(&queue);
}
static void
check_got_many(void) /* one or two were got, the putters' items are there */
{
    model_check(got[0] == 1 && (got_count == 1 || got[1] == 2));
    model_check((size_t)got_count + cf_queue_size(&queue) == 4);
    cf_queue_destroy(&queue);
}
static void
check_2_left(void)
{
    model_check(cf_queue_size(&queue) == 2);
    cf_queue_destroy(&queue);
}
static void
check_order(void)
{
    model_check(got[0] == 1 && got[1] == 2);
    check_got(2);
}
static void
check_closed(void) /* every getter has left; nothing is lost */
{
    model_check(got_count + closed_count == 2 && cf_queue_size(&queue) == 0);
    cf_queue_destroy(&queue);
}
static void
check_closed_full(void)
{
    int item = 0;
    model_check(cf_queue_try_put(&queue, &item) == CF_ERR_CLOSED);
    model_check(cf_queue_try_get(&queue, &item) == CF_OK && item == 1);
    model_check(cf_queue_try_get(&queue, &item) == CF_ERR_CLOSED);
    cf_queue_destroy(&queue);
}
static void
check_reports(void)
{
    model_check(reports == 1 && cf_queue_task_done(&queue) == CF_ERR_INVALID);
    cf_queue_destroy(&queue);
}
static void
check_closed_now(void) /* nothing is left, and nothing unfinished */
{
    int item = 0;
    model_check(cf_queue_try_put(&queue, &item) == CF_ERR_CLOSED);
    model_check(cf_queue_try_get(&queue, &item) == CF_ERR_CLOSED);
    model_check(cf_queue_size(&queue) == 0 && cf_queue_join_until(&queue, CF_NOW) == CF_OK);
    cf_queue_destroy(&queue);
}
static void
check_timed(void) /* the item was got, or it is there */
{
    model_check(cf_queue_size(&queue) == (size_t)(1 - got_count));
    cf_queue_destroy(&queue);
}
static void
check_timed_two(void) /* one of two getters had a deadline; the other must not be left without the item */
{
    model_check(got_count + timeout_count == 2 && (size_t)got_count + cf_queue_size(&queue) == 2);
    cf_queue_destroy(&queue);
}
static void
check_timed_put(void)
{
    model_check(cf_queue_size(&queue) == (size_t)(1 - timeout_count));
    cf_queue_destroy(&queue);
}
static void
check_growth(void)
{
    int sum = 0, item;
    while (cf_queue_try_get(&queue, &item) == CF_OK)
        sum += item;
    for (int i = 0; i < got_count; i++)
        sum += got[i];
    model_check(sum == CF__ITEMS_FIRST * (CF__ITEMS_FIRST - 1) / 2 + 3);
    cf_queue_destroy(&queue);
}
static void
destroy(void)
{
    cf_queue_destroy(&queue);
}

#define PUT(i)                                                                                                         \
    {                                                                                                                  \
        "put", put, &items[i]                                                                                          \
    }
static const model_scenario scenarios[] = {
    {.name = "queue_1p1c",
     .setup = setup_1,
     .threads = {PUT(0), {"get", get, NULL}},
     .check = check_1,
     .preemptions = 4},
    {.name = "queue_1p1c_two_items_in_order",
     .setup = setup_1,
     .threads = {{"put", put_two, items}, {"get", get_two, NULL}},
     .check = check_order},
    {.name = "queue_2p1c", .setup = setup_1, .threads = {PUT(0), PUT(1), {"get", get_two, NULL}}, .check = check_2},
    {.name = "queue_1p2c",
     .setup = setup_1,
     .threads = {{"put", put_two, items}, {"get", get, NULL}, {"get2", get, NULL}},
     .check = check_2,
     .spurious = MODEL_NONE},
    {.name = "queue_2p2c",
     .setup = setup_1,
     .threads = {PUT(0), PUT(1), {"get", get, NULL}, {"get2", get, NULL}},
     .check = check_2,
     .spurious = MODEL_NONE,
     .stale_reads = MODEL_NONE},
    {.name = "queue_2p2c_spurious",
     .setup = setup_1,
     .threads = {PUT(0), PUT(1), {"get", get, NULL}, {"get2", get, NULL}},
     .check = check_2,
     .preemptions = 1},
    {.name = "queue_full_two_putters",
     .setup = setup_full,
     .threads = {PUT(1), PUT(2), {"get", get_two, NULL}},
     .check = check_two_of_three,
     .spurious = MODEL_NONE},
    {.name = "queue_capacity_2",
     .setup = setup_2,
     .threads = {PUT(0), PUT(1), {"get", get_two, NULL}},
     .check = check_2},
    {.name = "queue_close_wakes_getters",
     .setup = setup_1,
     .threads = {{"get", get_any, NULL}, {"get2", get_any, NULL}, {"close", close_queue, NULL}},
     .check = check_closed},
    {.name = "queue_close_and_put",
     .setup = setup_1,
     .threads =
         {{"get", get_any, NULL}, {"get2", get_any, NULL}, {"put", put_any, &items[0]}, {"close", close_queue, NULL}},
     .check = check_closed,
     .spurious = MODEL_NONE,
     .stale_reads = MODEL_NONE},
    {.name = "queue_close_wakes_putters",
     .setup = setup_full,
     .threads = {{"put", put_any, &items[1]}, {"put2", put_any, &items[2]}, {"close", close_queue, NULL}},
     .check = check_closed_full},
    {.name = "queue_close_now_wakes_putters",
     .setup = setup_full,
     .threads = {{"put", put_any, &items[1]}, {"put2", put_any, &items[2]}, {"close", close_now, NULL}},
     .check = check_closed_now},
    {.name = "queue_close_now_and_join",
     .setup = setup_full,
     .threads = {{"get", get_any_and_report, NULL}, {"join", just_join, NULL}, {"close", close_now, NULL}},
     .check = check_closed_now},
    {.name = "queue_close_now_and_put",
     .setup = setup_1,
     .threads = {{"put", put_any, &items[0]}, {"join", just_join, NULL}, {"close", close_now, NULL}},
     .check = check_closed_now},
    {.name = "queue_get_deadline_and_put",
     .setup = setup_1,
     .threads = {PUT(0), {"get_until", get_until, NULL}},
     .check = check_timed,
     .preemptions = 3},
    {.name = "queue_two_getters_one_deadline",
     .setup = setup_2,
     .threads = {{"put", put_two, items}, {"get_until", get_until, NULL}, {"get", get, NULL}},
     .check = check_timed_two,
     .spurious = MODEL_NONE},
    {.name = "queue_put_deadline_and_get",
     .setup = setup_full,
     .threads = {{"put_until", put_until, &items[1]}, {"get", get, NULL}},
     .check = check_timed_put,
     .preemptions = 3},
    {.name = "queue_join",
     .setup = setup_full,
     .threads = {{"get", get_and_report, NULL}, {"join", join, NULL}, {"join2", join, NULL}},
     .check = check_1},
    {.name = "queue_join_deadline",
     .setup = setup_full,
     .threads = {{"get", get_and_report, NULL}, {"join_until", join_until, NULL}},
     .check = destroy,
     .preemptions = 3},
    {.name = "queue_put_many_passes_the_wake_on",
     .setup = setup_2,
     .threads = {{"put_many", put_many, items}, {"get", get, NULL}, {"get2", get, NULL}},
     .check = check_2},
    {.name = "queue_put_many_waits",
     .setup = setup_1,
     .threads = {{"put_many", put_many, items}, {"get", get_two, NULL}},
     .check = check_order},
    {.name = "queue_get_many_passes_the_wake_on",
     .setup = setup_full_2,
     .threads = {{"get_many", get_many, NULL}, PUT(2), PUT(3)},
     .check = check_got_many},
    {.name = "queue_put_many_wakes_at_once", /* who waits has its item before the last is put */
     .setup = setup_third_put_held,
     .threads = {{"put_many", put_three, items}, {"get", get_and_finish, NULL}},
     .check = check_2_left},
    {.name = "queue_get_many_wakes_at_once",
     .setup = setup_third_get_held,
     .threads = {{"get_many", get_three, NULL}, {"put", put_and_finish, items}, {"put2", put_and_finish, items}},
     .check = check_2_left,
     .spurious = MODEL_NONE},
    {.name = "queue_close_publishes",
     .setup = setup_full,
     .threads = {{"put", try_put_closed, items}, {"close", close_said, NULL}},
     .check = destroy},
    {.name = "queue_close_publishes_to_getters",
     .setup = setup_1,
     .threads = {{"get", try_get_closed, NULL}, {"close", close_said, NULL}},
     .check = destroy},
    {.name = "queue_close_now_publishes",
     .setup = setup_full,
     .threads = {{"get", try_get_closed, NULL}, {"close", close_now_said, NULL}},
     .check = destroy},
    {.name = "queue_task_done_too_often",
     .setup = setup_full,
     .threads = {{"report", report, NULL}, {"report2", report, NULL}},
     .check = check_reports,
     .preemptions = 4},
    {.name = "queue_task_done_publishes",
     .setup = setup_full,
     .threads = {{"work", work_and_report, NULL}, {"join", join_work, NULL}},
     .check = destroy},
    {.name = "queue_put_and_join",
     .setup = setup_1,
     .threads = {{"put", put_and_join, items}, {"get", get_and_report, NULL}},
     .check = check_1},
    {.name = "queue_join_while_putting",
     .setup = setup_2_one_put,
     .threads = {{"put", put_report_work, items}, {"join", join_work, NULL}},
     .check = destroy},
    {.name = "queue_close_now_while_reporting",
     .setup = setup_two_one_got,
     .threads = {{"report", work_and_report, NULL}, {"join", join_work, NULL}, {"close", close_now, NULL}},
     .check = check_closed_now},
    {.name = "queue_size",
     .setup = setup_1,
     .threads = {{"put", put_two, items}, {"get", get_two, NULL}, {"size", sizes, NULL}},
     .check = check_2,
     .preemptions = 1},
    {.name = "queue_lifo",
     .setup = setup_lifo,
     .threads = {PUT(0), PUT(1), {"get", get_two, NULL}},
     .check = check_2,
     .preemptions = 1},
    {.name = "queue_lifo_close_and_put",
     .setup = setup_lifo,
     .threads =
         {{"get", get_any, NULL}, {"get2", get_any, NULL}, {"put", put_any, items}, {"close", close_queue, NULL}},
     .check = check_closed,
     .preemptions = 1},
    {.name = "queue_priority_deadline",
     .setup = setup_priority,
     .threads = {{"put", put_many, items}, {"get_until", get_until, NULL}, {"get", get, NULL}},
     .check = check_timed_two,
     .preemptions = 1},
    {.name = "queue_grows",
     .setup = setup_unbounded,
     .threads = {{"put", put_two, items}, {"get", get, NULL}},
     .check = check_growth},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
