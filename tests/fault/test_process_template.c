/* tests/fault/test_process_template.c - the template process killed at any time; workers that don't get as far as a task.
 * SPDX-License-Identifier: MIT
 *   --seconds N   for templates killed at random times; without it TEMPLATES of them
 * Audits, tasks and tallies: deaths.h. */
#include "support.h"

#include <time.h>

/* Each fork says when it was, right before it is. */
static int note_fork(const char *site);
#undef CF__FAULT
#define CF__FAULT(site) note_fork(site)

#include "deaths.h"

/* ---- the template killed ---- */

enum { WAITERS = 2, SUBMITTERS = 2, WINDOW = 6, TASKS_EACH = 8 * 1024 };

typedef struct user { /* a thread that uses a pool until it breaks; fields: A atomic */
    cf_executor *pool;
    bool waits;      /* for each task at once; else the pool is full most of the time */
    uint32_t first;  /* number of its first task */
    tally sum;       /* own, until the thread has been joined */
    uint32_t called; /* A: callbacks that ran */
    uint32_t added;  /* callbacks that are to run */
    bool refused;    /* a submit failed with CF_ERR_BROKEN */
} user;

static void *
user_main(void *argument)
{
    user *self = argument;
    cf_future *futures[WINDOW];
    uint32_t tasks[WINDOW], count = 0, next = 0;
    while (!self->refused) {
        uint32_t task = self->first + next++ % TASKS_EACH;
        cf_future *future =
            task % 8 == 1 ? submit_big(self->pool, task) : cf_submit(self->pool, work, task, task % 3 * 500);
        self->refused = cf_future_wait(future, CF_NOW) == CF_ERR_BROKEN;
        if (task % 4 == 0 && cf_future_add_done_callback(future, count_callback, &self->called) == CF_OK)
            self->added++;
        tasks[count] = task;
        futures[count++] = future;
        if (!self->waits && !self->refused && count < WINDOW)
            continue;
        for (uint32_t i = 0; i < count; i++)
            (tasks[i] % 8 == 1 ? count_big_outcome : count_outcome)(&self->sum, futures[i], tasks[i]);
        count = 0;
    }
    return NULL;
}

static const struct template_death {
    const char *name;
    int first, then;
} template_deaths[] = {{"SIGKILL", SIGKILL, 0}, {"SIGSEGV", SIGSEGV, 0}, {"SIGSTOP, SIGKILL", SIGSTOP, SIGKILL}};

/* However the template dies, and whenever: each future settles, by its own outcome or with CF_ERR_BROKEN and the reason, each
 * callback runs once, who waits for room leaves, the pool says that it's broken, and closes; nobody is left. */
static void
test_template_killed_at_any_time(void **state)
{
    enum { TEMPLATES = 300 };
    (void)state;
    unsigned killed = 0, good = 0, broken = 0;
    cf_time end = cf_after_ms((int64_t)seconds * 900);
    while (seconds == 0 ? killed < TEMPLATES : !cf_passed(end)) {
        const struct template_death *death = &template_deaths[killed % 3];
        user users[WAITERS + SUBMITTERS];
        pthread_t threads[WAITERS + SUBMITTERS];
        uint64_t value = 0;
        cf_executor *pool = with_audits(
            cf_process_pool(.max_workers = 1 + killed % 3, .max_pending = 4, .memory = 1 << 16), killed / 3 % 2 != 0);
        int32_t process = inside(pool)->setup.view.arena->template_process;
        cf_future *done = cf_submit(pool, work, 0, 0);
        assert_int_equal(cf_future_wait(done, CF_FOREVER), CF_OK);
        for (uint32_t i = 0; i < WAITERS + SUBMITTERS; i++) {
            users[i] = (user){.pool = pool, .waits = i < WAITERS, .first = (i + 1) * TASKS_EACH};
            threads[i] = start_thread(user_main, &users[i]);
        }
        /* After some tasks or none, and some instants. */
        const uint64_t *submitted = &inside(pool)->setup.view.arena->parent_ring.tail;
        uint64_t most = random_below(64);
        wait_until(__atomic_load_n(submitted, __ATOMIC_RELAXED) >= most);
        for (volatile uint32_t turns = random_below(100000); turns > 0; turns = turns - 1)
            ;

        assert_int_equal(kill(process, death->first), 0);
        if (death->then != 0)
            assert_int_equal(kill(process, death->then), 0);

        for (uint32_t i = 0; i < WAITERS + SUBMITTERS; i++) {
            join_thread(threads[i]);
            assert_int_equal(users[i].sum.bad + users[i].sum.lost, 0);
            assert_true(users[i].refused);
            wait_until(__atomic_load_n(&users[i].called, __ATOMIC_ACQUIRE) == users[i].added);
            good += users[i].sum.good;
            broken += users[i].sum.broken;
        }
        assert_int_equal(cf_executor_error(pool), CF_ERR_BROKEN);
        assert_non_null(strstr(cf_executor_message(pool), "has died"));
        assert_int_equal(cf_spawn(pool, work, 1, 1), CF_ERR_BROKEN);
        assert_int_equal(inside(pool)->in_use, 0);
        cf_executor_close(pool);
        assert_int_equal(cf_result(done, work, &value, CF_NOW), CF_OK);
        assert_true(value == answer(0));
        cf_future_release(done);
        wait_until(living_processes() == 0);
        memset(executions, 0, COUNTERS * sizeof *executions); /* a task that was given up may still have begun */
        killed++;
        (void)alarm(watchdog_seconds());
    }
    wait_until(living_processes() == 0);
    print_message(
        "  %u templates killed, audits on and off: %u futures with their own outcome, %u with CF_ERR_BROKEN\n", killed,
        good, broken);
    assert_true(broken >= killed);
}

/* ---- initializers that fail ---- */

enum { FAILURES = 8, MOST_STARTS = 64 };
enum { START_FAILS, START_CRASHES, START_EXITS, START_HANGS, START_IS_LOST, WAYS_TO_FAIL };

typedef struct start_log { /* in shared memory; fields: A atomic */
    uint32_t way;
    uint32_t starts;            /* A */
    cf_time times[MOST_STARTS]; /* A: of each; a little after it is counted */
    uint32_t good;              /* so many of the first are ready, and no other */
    uint32_t released;          /* A: so many that hang may go on, and die */
    uint32_t forks;             /* A: the template's own, and its workers' */
    cf_time forked[MOST_STARTS];
} start_log;

static start_log *starts;

static int
note_fork(const char *site)
{
    if (starts != NULL && strcmp(site, "fork") == 0) {
        uint32_t number = __atomic_fetch_add(&starts->forks, 1, __ATOMIC_SEQ_CST);
        struct timespec now;
        (void)clock_gettime(CLOCK_MONOTONIC, &now);
        if (number < MOST_STARTS)
            starts->forked[number] = (cf_time)now.tv_sec * 1000000000 + now.tv_nsec;
    }
    return fault_hit(site);
}

static void
start_badly(void *context)
{
    (void)context;
    uint32_t number = __atomic_fetch_add(&starts->starts, 1, __ATOMIC_SEQ_CST);
    if (number < MOST_STARTS)
        __atomic_store_n(&starts->times[number], cf_after_ms(0), __ATOMIC_RELEASE);
    if (number < starts->good)
        return;
    switch (starts->way) {
    case START_FAILS:
        cf_fail(1, "no licence for worker %u", (unsigned)number);
        return;
    case START_CRASHES:
        end_as(DIES_SEGV);
        return;
    case START_EXITS:
        end_as(DIES_EXIT_3);
        return;
    case START_HANGS:
        wait_until(__atomic_load_n(&starts->released, __ATOMIC_ACQUIRE) > number);
        end_as(DIES_ABORTED);
        return;
    default:
        end_as(DIES_STOPPED);
    }
}

static const char *const says[WAYS_TO_FAIL] = {"no licence for worker ", "killed by signal 11",
#ifdef __GLIBC__
                                               "exited with status 3",
#else
                                               "exited with status 1",
#endif
                                               "killed by signal 6", "killed by signal 9"};

/* Between two starts there is a pause, which doubles until it's a quarter of a second. */
static void
check_back_off(uint32_t first, uint32_t count)
{
    for (uint32_t i = first + 1; i < count && i < MOST_STARTS; i++) {
        wait_until(__atomic_load_n(&starts->times[i], __ATOMIC_ACQUIRE) != 0);
        int64_t pause = starts->times[i] - starts->times[i - 1];
        uint32_t failures = i - first - 1 < FAILURES ? i - first - 1 : FAILURES; /* before the last one */
        assert_true(pause >= INT64_C(1000000) << failures);
    }
}

/* A pool whose workers never get ready forks a few, each after a longer pause, and is then broken, with their own reason. */
static void
test_initializer_never_succeeds(void **state)
{
    (void)state;
    for (uint32_t workers = 1; workers <= 4; workers += 3) {
        for (uint32_t way = 0; way < WAYS_TO_FAIL; way++) {
            tally sum = {0, 0, 0, 0, 0};
            memset(starts, 0, sizeof *starts);
            starts->way = way;
            cf_executor *pool = with_audits(
                cf_process_pool(.max_workers = workers, .max_pending = 2, .on_start = start_badly), way % 2 != 0);
            cf_future *pending[2] = {cf_submit(pool, work, 0, 0), cf_submit(pool, work, 1, 0)};
            uint32_t at_first = way == START_HANGS ? workers : 0;
            wait_until(__atomic_load_n(&starts->starts, __ATOMIC_ACQUIRE) >= at_first);
            __atomic_store_n(&starts->released, UINT32_MAX, __ATOMIC_RELEASE);
            cf_future *blocked = cf_submit(pool, work, 2, 0); /* no room, until the pool is broken */
            assert_non_null(strstr(cf_future_message(blocked), says[way]));
            count_outcome(&sum, pending[0], 0);
            count_outcome(&sum, pending[1], 1);
            count_outcome(&sum, blocked, 2);
            assert_int_equal(sum.broken, 3);
            assert_int_equal(cf_executor_error(pool), CF_ERR_BROKEN);
            assert_non_null(strstr(cf_executor_message(pool), says[way]));
            assert_in_range(starts->starts, FAILURES, FAILURES + workers - 1);
            if (workers == 1)
                check_back_off(0, starts->starts);
            /* All at once only before the first has failed; the template itself is the first fork. */
            for (uint32_t i = 1 + workers; i + 1 < starts->forks && i + 1 < MOST_STARTS; i++)
                assert_true(starts->forked[i + 1] - starts->forked[i] >= 2000000);
            print_message("  %u worker%s, initializer %u: broken after %u starts: %s\n", workers,
                          workers == 1 ? "" : "s", way, starts->starts, cf_executor_message(pool));
            cf_executor_close(pool);
            wait_until(living_processes() == 0);
        }
    }
}

/* With one worker that is ready the pool works on, and the others are tried again without haste; when that one dies as well, and
 * no other gets ready, it's broken. */
static void
test_initializer_succeeds_once(void **state)
{
    (void)state;
    for (int audits = 0; audits < 2; audits++) {
        tally sum = {.expected_ways = 1u << DIES_KILLED};
        uint32_t next = 0;
        memset(starts, 0, sizeof *starts);
        starts->way = audits != 0 ? START_FAILS : START_CRASHES;
        starts->good = 1;
        cf_executor *pool = with_audits(cf_process_pool(.max_workers = 2, .on_start = start_badly), audits != 0);
        const cf__worker_record *workers = inside(pool)->setup.view.workers;
        while (__atomic_load_n(&starts->starts, __ATOMIC_ACQUIRE) < FAILURES + 3)
            run_round(pool, &sum, &next);
        assert_int_equal(sum.good, next);
        /* The first of these may start at any time: it's forked together with the good one. */
        check_back_off(1, FAILURES + 3);
        assert_int_equal(cf_executor_error(pool), CF_OK);
        check_all_free(pool);

        uint32_t before = __atomic_load_n(&starts->starts, __ATOMIC_ACQUIRE);
        uint32_t good = __atomic_load_n(&workers[0].started, __ATOMIC_ACQUIRE) != 0 ? 0 : 1;
        int32_t process = workers[good].process;
        uint32_t most = __atomic_load_n(&starts->starts, __ATOMIC_ACQUIRE) + FAILURES + 3;
        long parent;
        assert_int_equal(kill(process, SIGKILL), 0);
        wait_until(strchr("?Z", process_state(process, &parent)) != NULL); /* until then it might do one task more */
        cf_future *future = cf_submit(pool, work, next, 0);
        count_outcome(&sum, future, next);
        assert_int_equal(sum.broken + sum.lost, 1);
        wait_until(cf_spawn(pool, work, next, 0) == CF_ERR_BROKEN);
        assert_non_null(strstr(cf_executor_message(pool), says[starts->way]));
        /* One that had started before, or as it died, or goes down with the pool, may count or not. */
        assert_in_range(starts->starts, before + FAILURES - 1, most);
        print_message(
            "  one ready worker of two, audits %s: %u starts in %.1f s, %u tasks done; broken %u starts after its "
            "death\n",
            on_or_off(audits != 0), before, (double)(starts->times[before - 1] - starts->times[0]) / 1e9, sum.good,
            starts->starts - before);
        cf_executor_close(pool);
        memset(executions, 0, COUNTERS * sizeof *executions);
    }
    wait_until(living_processes() == 0);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template_killed_at_any_time),
        cmocka_unit_test(test_initializer_never_succeeds),
        cmocka_unit_test(test_initializer_succeeds_once),
    };
    starts = mmap(NULL, sizeof *starts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return starts != MAP_FAILED && deaths_start(argc, argv) ? cmocka_run_group_tests(tests, NULL, NULL) : 99;
}
