/* tests/fault/test_process_kill.c - a worker that dies, anywhere, costs the task it ran and nothing else.
 * SPDX-License-Identifier: MIT
 *   --seconds N   for the random kills and the sampled pairs; without it 300 kills and 60 pairs
 *
 * KILL POINTS  The macros of detail/atomic.h are wrapped below: a worker that carries a ticket counts its operations on shared
 *   words, and ends itself right before, or right after, the one it was told.  So every state that it can leave behind is one
 *   that some run has left behind.  Relaxed loads aren't counted: nobody can tell whether they happened.
 * AUDITS  are off but where a test says otherwise, see process_pool.h. */
#include "support.h"

#include <cfutures/detail/atomic.h>

/* ---- kill points ---- */

enum { KILLED, EXITED, STOPPED };

typedef struct kill_points { /* in memory that all our processes share; fields: A atomic */
    uint32_t tickets;        /* A: given to workers as they start: the first gets target[0] */
    uint32_t how;            /* KILLED ... */
    uint32_t target[2];      /* the point at which the holder of the ticket ends; 0: never */
    uint32_t workers;        /* those that start after so many are heirs */
    uint32_t heirs_wait;     /* A: an heir doesn't get ready, lest it repairs what the others weren't told */
    uint32_t fired;          /* A: how many have */
    uint32_t number[2];      /* A: of the worker that did */
    int32_t process[2];      /* A: its process */
} kill_points;

static kill_points *points;
static uint32_t point, point_target, point_ticket; /* of this process; a worker without a ticket counts nothing */

static void
pass_point(void)
{
    if (point_target == 0 || ++point != point_target)
        return;
    point_target = 0;
    __atomic_store_n(&points->process[point_ticket], getpid(), __ATOMIC_RELEASE);
    (void)__atomic_fetch_add(&points->fired, 1, __ATOMIC_SEQ_CST);
    if (points->how == EXITED)
        _exit(0);
    (void)kill(getpid(), points->how == STOPPED ? SIGSTOP : SIGKILL);
}

#define POINTS_AROUND(value)                                                                                           \
    __extension__({                                                                                                    \
        pass_point();                                                                                                  \
        __typeof__(value) value_ = (value);                                                                            \
        pass_point();                                                                                                  \
        value_;                                                                                                        \
    })
#define POINTS_AROUND_STORE(store)                                                                                     \
    __extension__({                                                                                                    \
        pass_point();                                                                                                  \
        store;                                                                                                         \
        pass_point();                                                                                                  \
    })

#undef cf__load_acquire
#undef cf__load_seq_cst
#undef cf__store_relaxed
#undef cf__store_release
#undef cf__store_seq_cst
#undef cf__exchange_acq_rel
#undef cf__exchange_seq_cst
#undef cf__cas_acq_rel
#undef cf__cas_seq_cst
#undef cf__fetch_or_seq_cst
#undef cf__fetch_and_seq_cst
#define cf__load_acquire(p) POINTS_AROUND(__atomic_load_n((p), __ATOMIC_ACQUIRE))
#define cf__load_seq_cst(p) POINTS_AROUND(__atomic_load_n((p), __ATOMIC_SEQ_CST))
#define cf__store_relaxed(p, v) POINTS_AROUND_STORE(__atomic_store_n((p), (v), __ATOMIC_RELAXED))
#define cf__store_release(p, v) POINTS_AROUND_STORE(__atomic_store_n((p), (v), __ATOMIC_RELEASE))
#define cf__store_seq_cst(p, v) POINTS_AROUND_STORE(__atomic_store_n((p), (v), __ATOMIC_SEQ_CST))
#define cf__exchange_acq_rel(p, v) POINTS_AROUND(__atomic_exchange_n((p), (v), __ATOMIC_ACQ_REL))
#define cf__exchange_seq_cst(p, v) POINTS_AROUND(__atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST))
#define cf__cas_acq_rel(p, e, v)                                                                                       \
    POINTS_AROUND(__atomic_compare_exchange_n((p), (e), (v), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
#define cf__cas_seq_cst(p, e, v)                                                                                       \
    POINTS_AROUND(__atomic_compare_exchange_n((p), (e), (v), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
#define cf__fetch_or_seq_cst(p, v) POINTS_AROUND(__atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST))
#define cf__fetch_and_seq_cst(p, v) POINTS_AROUND(__atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST))

#include "process_pool.h"

static unsigned seconds; /* 0: by counts */

/* Gives the worker that starts a ticket, as long as there are some. */
static void
take_ticket(void *context)
{
    (void)context;
    uint32_t ticket = __atomic_fetch_add(&points->tickets, 1, __ATOMIC_SEQ_CST);
    if (ticket < 2) {
        point_ticket = ticket;
        point_target = points->target[ticket];
    }
    while (ticket >= points->workers && __atomic_load_n(&points->heirs_wait, __ATOMIC_ACQUIRE) != 0)
        (void)sched_yield();
}

/* ---- tasks ---- */

/* Counts itself, works for about `turns` turns, and answers. */
static uint64_t
work(uint32_t task, uint32_t turns)
{
    execution_begins(task);
    volatile uint32_t spin = 0;
    while (spin < turns)
        spin = spin + 1;
    return answer(task);
}
CF_TASK(uint64_t, work, uint32_t, uint32_t);

/* As `work`, and kills itself if `task` is a multiple of 5. */
static uint64_t
work_or_die(uint32_t task)
{
    execution_begins(task);
    if (task % 5 == 0)
        (void)kill(getpid(), SIGKILL);
    return answer(task);
}
CF_TASK(uint64_t, work_or_die, uint32_t);

/* What came of a series of tasks. */
typedef struct tally {
    unsigned good, lost, bad; /* bad: a wrong value, another error, or run twice */
} tally;

/* Waits for task `task`, and counts what became of it. */
static void
count_outcome(tally *sum, cf_future *future, uint32_t task)
{
    uint64_t value = 0;
    cf_err error = cf_result(future, work, &value, CF_FOREVER);
    uint32_t runs = take_executions(task);
    if (error == CF_OK && value == answer(task) && runs == 1)
        sum->good++;
    else if (error == CF_ERR_WORKER_LOST && runs <= 1)
        sum->lost++;
    else
        sum->bad++;
    cf_future_release(future);
}

/* A few tasks by every path: alone, several at once, with callbacks, and more of them than there is room for. */
static void
run_round(cf_executor *pool, tally *sum, uint32_t *next)
{
    enum { tasks = 5 };
    cf_future *futures[tasks];
    uint32_t called = 0, expected = 0, first = *next;

    *next += 1 + tasks;
    count_outcome(sum, cf_submit(pool, work, first, 0), first);
    first++;
    for (uint32_t i = 0; i < tasks; i++) {
        futures[i] = cf_submit(pool, work, first + i, 0);
        if (i % 2 == 0 && cf_future_add_done_callback(futures[i], count_callback, &called) == CF_OK)
            expected++;
    }
    wait_until(__atomic_load_n(&called, __ATOMIC_ACQUIRE) == expected);
    for (uint32_t i = tasks; i-- > 0;)
        count_outcome(sum, futures[i], first + i);
    /* Once more, with nobody but the submits to make room. */
    first = *next;
    *next += tasks;
    for (uint32_t i = 0; i < tasks; i++)
        futures[i] = cf_submit(pool, work, first + i, 0);
    for (uint32_t i = tasks; i-- > 0;)
        count_outcome(sum, futures[i], first + i);
}

/* ---- (3) death at every point ---- */

/* One pool, whose first worker ends at point `n`, the second at `m`.  Adds to *sum; returns how many did end. */
static unsigned
run_points(uint32_t workers, uint32_t how, uint32_t n, uint32_t m, tally *sum)
{
    uint32_t next = 0, dying = n != 0 && m != 0 ? 2 : 1;
    memset(points, 0, sizeof *points);
    points->how = how;
    points->workers = workers;
    points->heirs_wait = dying < workers;
    points->target[0] = n;
    points->target[1] = m;
    cf_executor *pool = cf_process_pool(.max_workers = workers, .max_pending = 3, .on_start = take_ticket);
    leave_it_to_the_reaper(pool);
    for (unsigned rounds = 0; rounds < 20 && __atomic_load_n(&points->fired, __ATOMIC_SEQ_CST) < dying; rounds++)
        run_round(pool, sum, &next);
    run_round(pool, sum, &next);
    __atomic_store_n(&points->heirs_wait, 0, __ATOMIC_RELEASE);
    cf_executor_close(pool);
    return points->fired;
}

/* A worker that ends at any point of its way, by SIGKILL or by exit, loses at most the task it ran; nobody hangs. */
static void
sweep(uint32_t workers, uint32_t how)
{
    enum { most = 400 };
    unsigned runs = 0, deaths = 0, silent = 0, lost = 0;
    for (uint32_t n = 1; n <= most && silent < 12; n++) { /* not reached any more: through */
        tally sum = {0, 0, 0};
        unsigned fired = run_points(workers, how, n, 0, &sum);
        assert_int_equal(sum.bad, 0);
        assert_in_range(sum.lost, 0, fired);
        silent = fired != 0 ? 0 : silent + 1;
        runs++;
        deaths += fired;
        lost += sum.lost;
        if (n > 160 && seconds == 0)
            break; /* more than one whole task */
        (void)alarm(watchdog_seconds());
    }
    assert_true(deaths > 100);
    assert_true(lost > 0);
    wait_until(living_processes() == 0);
    print_message("  %u workers, %s: %u deaths at as many points, %u tasks lost\n", workers,
                  how == KILLED ? "SIGKILL" : "exit(0)", deaths, lost);
}

static void
test_kill_points_only_worker_killed(void **state)
{
    (void)state;
    sweep(1, KILLED);
}

static void
test_kill_points_only_worker_exits(void **state)
{
    (void)state;
    sweep(1, EXITED);
}

static void
test_kill_points_one_of_two_killed(void **state)
{
    (void)state;
    sweep(2, KILLED);
}

static void
test_kill_points_one_of_two_exits(void **state)
{
    (void)state;
    sweep(2, EXITED);
}

static uint32_t random_state = 12345;

static uint32_t
random_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

/* Two workers that end at any two points lose at most two tasks; a third goes on. */
static void
test_kill_points_two_of_three(void **state)
{
    (void)state;
    unsigned runs = 0, deaths = 0, lost = 0;
    cf_time end = cf_after_ms((int64_t)seconds * 500);
    while (seconds != 0 ? !cf_passed(end) : runs < 60) {
        tally sum = {0, 0, 0};
        uint32_t workers = 2 + random_below(2);
        unsigned fired = run_points(workers, random_below(2), 1 + random_below(140), 1 + random_below(140), &sum);
        assert_int_equal(sum.bad, 0);
        assert_in_range(sum.lost, 0, fired);
        runs++;
        deaths += fired;
        lost += sum.lost;
        (void)alarm(watchdog_seconds());
    }
    wait_until(living_processes() == 0);
    print_message("  %u pairs: %u deaths, %u tasks lost\n", runs, deaths, lost);
}

/* ---- (4) stopped is not dead ---- */

/* A worker stopped at any point keeps at most the task it runs from finishing; that one finishes when it's continued. */
static void
test_stop_points_hold_up_nobody_else(void **state)
{
    enum { tasks = 8 };
    (void)state;
    unsigned stops = 0, held = 0;
    for (uint32_t n = 1; n <= 120; n++) {
        cf_future *futures[tasks];
        tally sum = {0, 0, 0};
        uint32_t next = 0, left = 0;
        memset(points, 0, sizeof *points);
        points->how = STOPPED;
        points->target[0] = n;
        cf_executor *pool = cf_process_pool(.max_workers = 2, .on_start = take_ticket);
        sleep_as_usual(pool);
        for (unsigned rounds = 0; rounds < 20 && __atomic_load_n(&points->fired, __ATOMIC_SEQ_CST) == 0; rounds++) {
            for (uint32_t i = 0; i < tasks; i++)
                futures[i] = cf_submit(pool, work, next + i, 0);
            /* All but the one that the stopped worker runs. */
            left = tasks;
            for (;;) {
                uint32_t held_now = 0;
                left = 0;
                for (uint32_t i = 0; i < tasks; i++) {
                    const cf__process_future *future = (const cf__process_future *)futures[i];
                    if (cf_future_wait(futures[i], cf_after_ms(30)) != CF_ERR_TIMEOUT)
                        continue;
                    left++;
                    held_now += __atomic_load_n(&points->fired, __ATOMIC_SEQ_CST) != 0 &&
                                cf__slot_state(__atomic_load_n(&inside(pool)->setup.view.slots[future->index].word,
                                                               __ATOMIC_ACQUIRE)) == CF__SLOT_RUNNING;
                }
                if (left == 0 || (left == 1 && held_now == 1))
                    break;
            }
            held += left;
            if (points->fired != 0)
                (void)kill(points->process[0], SIGCONT);
            for (uint32_t i = 0; i < tasks; i++)
                count_outcome(&sum, futures[i], next + i);
            next += tasks;
        }
        stops += points->fired;
        if (points->fired != 0)
            (void)kill(points->process[0], SIGCONT);
        assert_int_equal(sum.bad + sum.lost, 0);
        cf_executor_close(pool);
        (void)alarm(watchdog_seconds());
    }
    wait_until(living_processes() == 0);
    print_message("  %u stops, %u of them with a task\n", stops, held);
    assert_true(stops > 60);
}

/* An idle worker that is stopped isn't counted on: the others get the work, also without audits. */
static void
test_stop_idle_worker_is_passed_over(void **state)
{
    (void)state;
    for (uint32_t stopped = 0; stopped < 2; stopped++) {
        tally sum = {0, 0, 0};
        cf_executor *pool = cf_process_pool(.max_workers = 2);
        const cf__arena *arena = inside(pool)->setup.view.arena;
        leave_it_to_the_reaper(pool);
        wait_until(__atomic_load_n(&arena->idle[0], __ATOMIC_SEQ_CST) == 3);
        int32_t process = inside(pool)->setup.view.workers[stopped].process;
        assert_int_equal(kill(process, SIGSTOP), 0);
        wait_until(process_state(process) == 'T');
        for (uint32_t i = 0; i < 50; i++) {
            cf_future *one = cf_submit(pool, work, 2 * i, 0), *two = cf_submit(pool, work, 2 * i + 1, 0);
            count_outcome(&sum, one, 2 * i);
            count_outcome(&sum, two, 2 * i + 1);
        }
        assert_int_equal(sum.good, 100);
        assert_int_equal(kill(process, SIGCONT), 0);
        cf_executor_close(pool);
    }
    wait_until(living_processes() == 0);
}

/* ---- (1) kill -9 at any time ---- */

typedef struct killer { /* fields: A atomic */
    cf_executor *pool;
    unsigned wanted; /* kills; 0: until `until` */
    cf_time until;
    unsigned two_at_once; /* every how many kills */
    unsigned kills;       /* A */
    uint32_t ended;       /* A */
} killer;

/* Kills worker `index`, for sure that one: its process is the template's child while we hold a descriptor for it. */
static bool
kill_worker(cf_executor *pool, uint32_t index)
{
    const cf__worker_record *worker = &inside(pool)->setup.view.workers[index];
    char path[64], text[512];
    if (__atomic_load_n(&worker->started, __ATOMIC_ACQUIRE) == 0)
        return false; /* eight that die before they have started break the pool, as they should */
    int32_t process = __atomic_load_n(&worker->process, __ATOMIC_ACQUIRE);
    int descriptor = (int)syscall(SYS_pidfd_open, process, 0);
    if (descriptor < 0)
        return false;
    long parent = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/stat", (long)process);
    FILE *stat = fopen(path, "re");
    if (stat != NULL) {
        size_t size = fread(text, 1, sizeof text - 1, stat);
        text[size] = 0;
        const char *name_end = strrchr(text, ')');
        if (name_end == NULL || sscanf(name_end + 1, " %*c %ld", &parent) != 1)
            parent = 0;
        (void)fclose(stat);
    }
    bool killed = parent == inside(pool)->setup.view.arena->template_process &&
                  __atomic_load_n(&worker->started, __ATOMIC_ACQUIRE) != 0 &&
                  syscall(SYS_pidfd_send_signal, descriptor, SIGKILL, NULL, 0) == 0;
    (void)close(descriptor);
    return killed;
}

static void *
killer_main(void *argument)
{
    killer *self = argument;
    uint32_t workers = inside(self->pool)->setup.view.worker_count;
    const cf__worker_record *records = inside(self->pool)->setup.view.workers;
    while (self->wanted != 0 ? self->kills < self->wanted : !cf_passed(self->until)) {
        uint32_t first = random_below(workers), second = (first + 1) % workers;
        bool both = self->two_at_once != 0 && self->kills % self->two_at_once == 0;
        int32_t process = __atomic_load_n(&records[first].process, __ATOMIC_ACQUIRE);
        if (!kill_worker(self->pool, first)) {
            (void)sched_yield();
            continue;
        }
        unsigned kills = both && kill_worker(self->pool, second) ? 2 : 1;
        (void)__atomic_fetch_add(&self->kills, kills, __ATOMIC_RELEASE);
        wait_until(__atomic_load_n(&records[first].process, __ATOMIC_ACQUIRE) != process);
        (void)alarm(watchdog_seconds());
    }
    __atomic_store_n(&self->ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void
run_kills(uint32_t workers, bool audits, uint32_t turns)
{
    enum { window = 64 };
    cf_future *futures[window];
    tally sum = {0, 0, 0};
    uint32_t submitted = 0, done = 0;
    pthread_t thread;
    cf_executor *pool = cf_process_pool(.max_workers = workers);
    (audits ? sleep_as_usual : leave_it_to_the_reaper)(pool);
    killer self = {pool, seconds == 0 ? 100 : 0, cf_after_ms((int64_t)seconds * 250), 4, 0, 0};

    assert_int_equal(pthread_create(&thread, NULL, killer_main, &self), 0);
    while (!__atomic_load_n(&self.ended, __ATOMIC_ACQUIRE) || done < submitted) {
        while (submitted - done < window && !__atomic_load_n(&self.ended, __ATOMIC_ACQUIRE)) {
            futures[submitted % window] = cf_submit(pool, work, submitted, submitted % 7 == 0 ? 0 : turns);
            submitted++;
        }
        if (done < submitted) {
            count_outcome(&sum, futures[done % window], done);
            done++;
        }
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sum.bad, 0);
    assert_in_range(sum.lost, 0, self.kills);
    wait_until(is_whole(pool));
    uint32_t after = 0;
    run_round(pool, &sum, &after);
    assert_int_equal(sum.bad, 0);
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
    print_message("  %u workers, audits %s: %u kills, %u tasks lost, %u done\n", workers, audits ? "on" : "off",
                  self.kills, sum.lost, sum.good);
}

/* Kills at random times, some of two at once: as many tasks are lost as workers died, at most. */
static void
test_kill_random_without_audits(void **state)
{
    (void)state;
    run_kills(2, false, 20000);
    run_kills(4, false, 0);
}

static void
test_kill_random_with_audits(void **state)
{
    (void)state;
    run_kills(3, true, 5000);
}

/* ---- (2) tasks that kill themselves ---- */

/* Each task that kills its worker is lost, each other one isn't. */
static void
test_kill_poison_tasks_among_good_ones(void **state)
{
    enum { tasks = 500, window = 50 };
    cf_future *futures[window];
    unsigned lost = 0;
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 3);
    leave_it_to_the_reaper(pool);
    for (uint32_t i = 0; i < tasks + window; i++) {
        if (i >= window) {
            uint32_t task = i - window;
            uint64_t value = 0;
            cf_err error = cf_result(futures[task % window], work_or_die, &value, CF_FOREVER);
            assert_int_equal(error, task % 5 == 0 ? CF_ERR_WORKER_LOST : CF_OK);
            assert_int_equal(cf_future_signal(futures[task % window]), task % 5 == 0 ? SIGKILL : 0);
            assert_true(error != CF_OK || value == answer(task));
            assert_int_equal(take_executions(task), 1);
            lost += error != CF_OK;
            cf_future_release(futures[task % window]);
        }
        if (i < tasks)
            futures[i % window] = cf_submit(pool, work_or_die, i);
    }
    wait_until(is_whole(pool));
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
    print_message("  %u of %u tasks killed their workers\n", lost, (unsigned)tasks);
}

/* Nor does it hold up a shutdown, in which nobody waits for a single task: all others are done beside it. */
static void
test_stop_points_hold_up_no_shutdown(void **state)
{
    enum { tasks = 8 };
    (void)state;
    unsigned stops = 0, held = 0;
    for (uint32_t n = 1; n <= 120; n += 9) {
        cf_future *futures[tasks];
        tally sum = {0, 0, 0};
        cf_shutdown_report report = {0, 0, 0, 0};
        memset(points, 0, sizeof *points);
        points->how = STOPPED;
        points->target[0] = n;
        cf_executor *pool = cf_process_pool(.max_workers = 2, .on_start = take_ticket);
        sleep_as_usual(pool);
        for (uint32_t i = 0; i < tasks; i++)
            futures[i] = cf_submit(pool, work, i, 0);
        /* Until only the one is left that the stopped worker runs. */
        while (cf_executor_shutdown(pool, CF_DRAIN, cf_after_ms(30), &report) == CF_ERR_TIMEOUT) {
            if (report.left == 1 && points->fired != 0 && inside(pool)->oldest != CF__NO_SLOT &&
                cf__slot_state(__atomic_load_n(&inside(pool)->setup.view.slots[inside(pool)->oldest].word,
                                               __ATOMIC_ACQUIRE)) == CF__SLOT_RUNNING)
                break;
        }
        held += report.left != 0;
        stops += points->fired;
        if (points->fired != 0)
            (void)kill(points->process[0], SIGCONT);
        for (uint32_t i = 0; i < tasks; i++)
            count_outcome(&sum, futures[i], i);
        assert_int_equal(sum.bad + sum.lost, 0);
        cf_executor_close(pool);
        (void)alarm(watchdog_seconds());
    }
    wait_until(living_processes() == 0);
    print_message("  %u stops before a shutdown, %u of them with a task\n", stops, held);
    assert_true(stops > 8);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_points_only_worker_killed),
        cmocka_unit_test(test_kill_points_only_worker_exits),
        cmocka_unit_test(test_kill_points_one_of_two_killed),
        cmocka_unit_test(test_kill_points_one_of_two_exits),
        cmocka_unit_test(test_kill_points_two_of_three),
        cmocka_unit_test(test_stop_points_hold_up_nobody_else),
        cmocka_unit_test(test_stop_points_hold_up_no_shutdown),
        cmocka_unit_test(test_stop_idle_worker_is_passed_over),
        cmocka_unit_test(test_kill_random_without_audits),
        cmocka_unit_test(test_kill_random_with_audits),
        cmocka_unit_test(test_kill_poison_tasks_among_good_ones),
    };
    seconds = soak_seconds(argc, argv, 0);
    points = shared_memory(sizeof *points);
    if (points == NULL || !count_executions())
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
