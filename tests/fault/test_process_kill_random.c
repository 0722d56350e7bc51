/* tests/fault/test_process_kill_random.c - workers that are killed at any time, by others or by their own tasks.
 * SPDX-License-Identifier: MIT
 *   --seconds N   for the kills; without it KILLS in each of five pools
 * Ways to die and audits: deaths.h.  Deaths at each point: test_process_kill.c. */
#include "deaths.h"

enum { KILLS = 400 };

/* ---- from outside ---- */

static const int signals[] = {SIGKILL, SIGSEGV, SIGABRT, SIGSTOP}; /* SIGKILL follows the last */
static const unsigned signals_ways = 1u << DIES_KILLED | 1u << DIES_SEGV | 1u << DIES_ABORTED;

typedef struct killer { /* fields: A atomic */
    cf_executor *pool;
    cf_time until;
    unsigned kills; /* A: how many workers we have ended */
    uint32_t ended; /* A */
} killer;

/* Ends worker `index` by `signal`, for sure that one: its process is the template's child while we hold a descriptor for it. */
static bool
kill_worker(cf_executor *pool, uint32_t index, int signal)
{
    const cf__worker_record *worker = &inside(pool)->setup.view.workers[index];
    if (__atomic_load_n(&worker->started, __ATOMIC_ACQUIRE) == 0)
        return false; /* eight that die before they have started break the pool, as they should */
    int32_t process = __atomic_load_n(&worker->process, __ATOMIC_ACQUIRE);
    int descriptor = (int)syscall(SYS_pidfd_open, process, 0);
    if (descriptor < 0)
        return false;
    long parent = 0;
    bool killed = process_state(process, &parent) != '?' &&
                  parent == inside(pool)->setup.view.arena->template_process &&
                  __atomic_load_n(&worker->started, __ATOMIC_ACQUIRE) != 0 &&
                  syscall(SYS_pidfd_send_signal, descriptor, signal, NULL, 0) == 0;
    if (killed && signal == SIGSTOP) {
        char state;
        wait_until((state = process_state(process, &parent)) == 'T' || state == 'Z' || state == '?');
        (void)syscall(SYS_pidfd_send_signal, descriptor, SIGKILL, NULL, 0);
    }
    (void)close(descriptor);
    return killed;
}

/* Kills at random, every fourth time two at once, and waits each time until the dead is replaced. */
static void *
killer_main(void *argument)
{
    killer *self = argument;
    uint32_t workers = __atomic_load_n(&inside(self->pool)->setup.view.arena->wanted, __ATOMIC_ACQUIRE);
    const cf__worker_record *records = inside(self->pool)->setup.view.workers;
    while (seconds == 0 ? self->kills < KILLS : !cf_passed(self->until)) {
        uint32_t first = random_below(workers), second = (first + 1) % workers;
        int32_t process = __atomic_load_n(&records[first].process, __ATOMIC_ACQUIRE);
        if (!kill_worker(self->pool, first, signals[random_below(4)])) {
            (void)sched_yield();
            continue;
        }
        bool both = first != second && self->kills % 4 == 0;
        unsigned kills = both && kill_worker(self->pool, second, signals[random_below(4)]) ? 2 : 1;
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
    tally sum = {.expected_ways = signals_ways};
    uint32_t submitted = 0, done = 0;
    cf_executor *pool = with_audits(cf_process_pool(.max_workers = workers), audits);
    killer self = {pool, cf_after_ms((int64_t)seconds * 190), 0, 0};

    pthread_t thread = start_thread(killer_main, &self);
    while (!__atomic_load_n(&self.ended, __ATOMIC_ACQUIRE) || done < submitted) {
        while (submitted - done < window && !__atomic_load_n(&self.ended, __ATOMIC_ACQUIRE)) {
            futures[submitted % window] = submitted % 16 == 5
                                              ? submit_big(pool, submitted)
                                              : cf_submit(pool, work, submitted, submitted % 7 == 0 ? 0 : turns);
            submitted++;
        }
        if (done < submitted) {
            (done % 16 == 5 ? count_big_outcome : count_outcome)(&sum, futures[done % window], done);
            done++;
        }
    }
    join_thread(thread);
    assert_int_equal(sum.bad + sum.broken, 0);
    assert_in_range(sum.lost, 0, self.kills);
    wait_until(has_all_workers(pool) && living_processes() == (int)workers + 1);
    uint32_t after = 0;
    run_round(pool, &sum, &after);
    assert_int_equal(sum.bad + sum.broken, 0);
    check_all_free(pool);
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
    print_message("  %u worker%s, audits %s: %u kills, %u tasks lost, %u done\n", workers, workers == 1 ? "" : "s",
                  on_or_off(audits), self.kills, sum.lost, sum.good);
}

/* Kills at random times, some of two at once: as many tasks are lost as workers died, at most. */
static void
test_kill_random_without_audits(void **state)
{
    (void)state;
    run_kills(1, false, 1000);
    run_kills(2, false, 20000);
    run_kills(4, false, 0);
}

static void
test_kill_random_with_audits(void **state)
{
    (void)state;
    run_kills(2, true, 0);
    run_kills(3, true, 5000);
}

/* ---- by its own task ---- */

/* As `work`, and every fifth task ends its worker, each in another way than the one before. */
static uint64_t
work_or_die(uint32_t task)
{
    execution_begins(task);
    if (task % 5 == 0)
        end_as(task / 5 % WAYS_TO_DIE);
    return answer(task);
}
CF_TASK(uint64_t, work_or_die, uint32_t);

/* Each task that ends its worker is lost, and says how; each other one isn't. */
static void
test_kill_poison_tasks_among_good_ones(void **state)
{
    enum { tasks = 800, window = 50 };
    cf_future *futures[window];
    (void)state;
    for (int audits = 0; audits < 2; audits++) {
        unsigned lost = 0;
        cf_executor *pool = with_audits(cf_process_pool(.max_workers = 3), audits != 0);
        for (uint32_t i = 0; i < tasks + window; i++) {
            if (i >= window) {
                uint32_t task = i - window;
                uint64_t value = 0;
                cf_future *future = futures[task % window];
                cf_err error = cf_result(future, work_or_die, &value, CF_FOREVER);
                if (task % 5 == 0) {
                    const struct way_to_die *way = &ways_to_die[task / 5 % WAYS_TO_DIE];
                    assert_int_equal(error, CF_ERR_WORKER_LOST);
                    assert_int_equal(cf_future_signal(future), way->signal);
                    assert_int_equal(cf_future_status(future), way->status);
                    lost++;
                } else {
                    assert_int_equal(error, CF_OK);
                    assert_true(value == answer(task));
                }
                assert_int_equal(executions[task], 1);
                executions[task] = 0;
                cf_future_release(future);
            }
            if (i < tasks)
                futures[i % window] = cf_submit(pool, work_or_die, i);
        }
        wait_until(has_all_workers(pool) && living_processes() == 4);
        assert_int_equal(points->program_handlers, 0);
        check_all_free(pool);
        cf_executor_close(pool);
        wait_until(living_processes() == 0);
        print_message("  audits %s: %u of %u tasks ended their workers\n", on_or_off(audits != 0), lost,
                      (unsigned)tasks);
    }
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kill_random_without_audits),
        cmocka_unit_test(test_kill_random_with_audits),
        cmocka_unit_test(test_kill_poison_tasks_among_good_ones),
    };
    return deaths_start(argc, argv) ? cmocka_run_group_tests(tests, NULL, NULL) : 99;
}
