/* tests/fault/test_process_nested.c - a worker that dies at any point, while tasks wait for children of theirs, costs the task it
 * ran and nothing else.
 * SPDX-License-Identifier: MIT
 *   --seconds N   every point, as long as that lasts, all over the path from the start; without it every STRIDEth
 * Points, ways to die and audits: deaths.h.  A worker that dies may be one that waits, one that runs a child, a stand-in, or what
 * comes after a dead one.  Audits, in the parent and in workers that wait, are on in one half of the runs. */
#include <stdint.h>

static int64_t nested_slice; /* how long a worker sleeps until it audits */
#define CF__NESTED_SLICE nested_slice
#define CF__NESTED_SLICE_LAST (64 * nested_slice)
#include "deaths.h"

enum {
    PATH = 420
}; /* points of a worker's life that are tried: more than it takes to have two children, and await them */
enum { STRIDE = 28 };
enum { CHILDREN = 2 };

/* What came of a task with children; itself it may be lost. */
enum { WELL = 1, CHILD_LOST = 2, WRONG = 3 };

static int
have_children(uint32_t task, unsigned expected_ways)
{
    cf_future *futures[CHILDREN];
    int outcome = WELL;
    (void)work(task, 0);
    for (uint32_t i = 0; i < CHILDREN; i++)
        futures[i] = cf_submit(cf_current_executor(), work, task + 1 + i, 0);
    (void)cf_spawn(cf_current_executor(), work, task + 1 + CHILDREN, 0);
    for (uint32_t i = 0; i < CHILDREN; i++) {
        uint64_t value = 0;
        cf_err error = cf_result(futures[i], work, &value, CF_FOREVER);
        bool lost = error == CF_ERR_WORKER_LOST &&
                    is_way(expected_ways, cf_future_signal(futures[i]), cf_future_status(futures[i]));
        if (lost && outcome == WELL)
            outcome = CHILD_LOST;
        else if (!lost && (error != CF_OK || value != answer(task + 1 + i)))
            outcome = WRONG;
        cf_future_release(futures[i]);
    }
    return outcome;
}
CF_TASK(int, have_children, uint32_t, unsigned);

static uint32_t *starts; /* A: how many workers have started; shared, as what follows */
static uint32_t
    *dies; /* which of them gets the ticket: the first one, or the second, a stand-in if there is one worker */

static void
take_ticket_in_turn(void *context)
{
    if (__atomic_fetch_add(starts, 1, __ATOMIC_SEQ_CST) == *dies)
        take_ticket(context);
}

typedef struct sums {
    tally parents;
    unsigned pools, deaths, children_lost;
} sums;

enum { IDS = CHILDREN + 2 }; /* of a parent and its children */

/* Two of them side by side. */
static void
run_parents(cf_executor *pool, sums *sum, uint32_t *next)
{
    enum { parents = 2 };
    cf_future *futures[parents];
    for (uint32_t i = 0; i < parents; i++)
        futures[i] = cf_submit(pool, have_children, *next + i * IDS, sum->parents.expected_ways);
    for (uint32_t i = 0; i < parents; i++) {
        int outcome = 0;
        cf_err error = cf_result(futures[i], have_children, &outcome, CF_FOREVER);
        sum->children_lost += error == CF_OK && outcome == CHILD_LOST;
        count_settled(&sum->parents, futures[i], *next + i * IDS, error, outcome == WELL || outcome == CHILD_LOST);
    }
    *next += parents * IDS;
}

/* A pool one of whose workers ends at point `n` in way `way`, through what it takes until that has happened, and after it. */
static void
run_point(uint32_t workers, bool audits, uint32_t n, unsigned way, sums *sum)
{
    uint32_t next = 0;
    memset(points, 0, sizeof *points);
    points->workers = workers;
    points->dying = 1;
    points->target[0] = n;
    points->way[0] = way;
    *starts = 0;
    *dies = n % 2;
    sum->parents.expected_ways = 1u << way;
    nested_slice = audits ? usual_slice : no_slice;
    cf_executor *pool = with_audits(
        cf_process_pool(.max_workers = workers, .max_pending = 3, .memory = 1 << 16, .on_start = take_ticket_in_turn),
        audits);
    for (unsigned attempts = 0; attempts < 20 && __atomic_load_n(&points->fired, __ATOMIC_SEQ_CST) == 0; attempts++)
        run_parents(pool, sum, &next);
    __atomic_store_n(&points->disarmed, 1, __ATOMIC_SEQ_CST);
    run_parents(pool, sum, &next);
    wait_until(has_all_workers(pool) && no_child_is_left(pool));
    assert_int_equal(sum->parents.bad, 0);
    for (uint32_t task = 0; task < next; task++) /* the children; those of a lost task may have run on for a while */
        assert_in_range(__atomic_exchange_n(&executions[task], 0, __ATOMIC_RELAXED), 0, 1);
    check_all_free(pool);
    cf_executor_close(pool);
    sum->pools++;
    sum->deaths += __atomic_load_n(&points->fired, __ATOMIC_SEQ_CST);
    (void)alarm(watchdog_seconds());
}

static void
sweep(uint32_t workers)
{
    static const unsigned ways[] = {DIES_KILLED, DIES_SEGV, DIES_EXIT_3, DIES_STOPPED};
    uint32_t stride = seconds == 0 ? STRIDE : 1, count = PATH / stride;
    cf_time end = cf_after_ms((int64_t)seconds * 500);
    sums sum;
    memset(&sum, 0, sizeof sum);
    uint32_t done = 0;
    for (; done < count && (seconds == 0 || !cf_passed(end)); done++) {
        /* In an order that goes all over the path; the step has no divisor in common with `count`. */
        uint32_t n = 1 + done * 257 % count * stride;
        for (uint32_t way = 0; way < sizeof ways / sizeof *ways; way++)
            for (uint32_t audits = 0; audits < 2; audits++) { /* each its own points */
                uint32_t offset = (4 * way + 2 * audits + workers - 1) * stride / 16;
                run_point(workers, audits != 0, n + offset, ways[way], &sum);
            }
    }
    wait_until(living_processes() == 0);
    print_message("  %u worker%s: %u pools, %u deaths: %u tasks with children lost, %u with a child lost, %u well\n",
                  workers, workers == 1 ? "" : "s", sum.pools, sum.deaths, sum.parents.lost, sum.children_lost,
                  sum.parents.good - sum.children_lost);
    assert_true(sum.deaths > sum.pools / 2);
    if (done == count) { /* or the soak was too short for all */
        assert_true(sum.parents.lost > 0);
        /* With one worker the second to start is a stand-in, and points 27 to 49 are of the child that it runs. */
        assert_true(sum.children_lost > 0 || workers > 1);
    }
}

/* With one worker each child needs a stand-in. */
static void
test_nested_points_of_only_worker(void **state)
{
    (void)state;
    sweep(1);
}

static void
test_nested_points_of_one_of_two(void **state)
{
    (void)state;
    sweep(2);
}

static bool
stops_when_asked(int parent)
{
    while (!cf_cancelled() && getpid() == parent)
        (void)sched_yield();
    return true;
}
CF_TASK(bool, stops_when_asked, int);

static cf_err
leaves_a_child(void)
{
    return cf_spawn(cf_current_executor(), stops_when_asked, getpid());
}
CF_TASK(cf_err, leaves_a_child);

/* A child that its parent's worker runs, once the parent has returned, hears that the parent is to stop. */
static void
test_nested_child_hears_of_its_parents_end(void **state)
{
    (void)state;
    cf_err error = CF_ERR_INVALID;
    nested_slice = 1; /* nobody else begins it so soon; should one, it ends by itself */
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *parent =
        cf_submit_with(pool, cf_options(.time_limit_ms = 50, .stop_grace_ms = 3600 * 1000), leaves_a_child);
    assert_int_equal(cf_result(parent, leaves_a_child, &error, CF_FOREVER), CF_OK);
    assert_int_equal(error, CF_OK);
    cf_future_release(parent);
    cf_executor_close(pool);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nested_points_of_only_worker),
        cmocka_unit_test(test_nested_points_of_one_of_two),
        cmocka_unit_test(test_nested_child_hears_of_its_parents_end),
    };
    starts = mmap(NULL, 2 * sizeof *starts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (starts == MAP_FAILED)
        return 99;
    dies = starts + 1;
    return deaths_start(argc, argv) ? cmocka_run_group_tests(tests, NULL, NULL) : 99;
}
