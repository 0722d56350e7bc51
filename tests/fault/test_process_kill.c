/* tests/fault/test_process_kill.c - a worker that dies or stops at any point costs the task it ran and nothing else.
 * SPDX-License-Identifier: MIT
 *   --seconds N   for the pairs of points; without it every STRIDEth point of both
 * Points, ways to die and audits: deaths.h.  Deaths at random times: test_process_kill_random.c. */
#include "deaths.h"

#include <sys/socket.h>

enum { PATH = 160 }; /* points of a worker's life that are tried: on_start, and more than one whole task */
enum { STRIDE = 8 };
#ifdef __SANITIZE_ADDRESS__ /* a fork takes several times as long there, and what it looks for is the same at each point */
enum { EVERY = 3 };         /* of the points, for one way to die; other ways have the others */
#else
enum { EVERY = 1 };
#endif

static bool
is_running(cf_executor *pool, uint32_t slot)
{
    return cf__slot_state(__atomic_load_n(&inside(pool)->setup.view.slots[slot].word, __ATOMIC_ACQUIRE)) ==
           CF__SLOT_RUNNING;
}

/* ---- one pool, through many deaths ---- */

typedef struct patient { /* a pool whose workers are told where to end, round after round */
    cf_executor *pool;
    uint32_t workers, dying;
    bool audits;
    uint32_t next; /* number of the next task */
    unsigned rounds, deaths;
    tally sum;
} patient;

static void
open_patient(patient *p)
{
    points->round = 0;
    points->workers = p->workers;
    points->dying = p->dying;
    points->heirs_wait = p->dying < p->workers;
    points->disarmed = 0;
}

/* Kills worker `index` from outside once it is ready: those that die before that may break the pool, as they should. */
static void
kill_ready_worker(cf_executor *pool, uint32_t index)
{
    const cf__worker_record *worker = &inside(pool)->setup.view.workers[index];
    int32_t process;
    /* Nobody but us kills now, so the number is its own, or still that of the one before it, which is gone. */
    wait_until(__atomic_load_n(&worker->started, __ATOMIC_ACQUIRE) != 0 &&
               (process = __atomic_load_n(&worker->process, __ATOMIC_ACQUIRE)) > 0 && kill(process, SIGKILL) == 0);
}

static void
close_patient(patient *p)
{
    if (p->pool == NULL)
        return;
    points->dying = points->heirs_wait = 0;
    deal_tickets(); /* none: who waited goes on */
    wait_until(has_all_workers(p->pool));
    run_round(p->pool, &p->sum, &p->next);
    assert_int_equal(p->sum.bad, 0);
    check_all_free(p->pool);
    cf_executor_close(p->pool);
    p->pool = NULL;
}

/* One round: the first worker that gets a ticket ends at point `n` in way `way`, the second at `m` in `other`. */
static void
run_points(patient *p, uint32_t n, unsigned way, uint32_t m, unsigned other)
{
    uint32_t lost = p->sum.lost;
    points->target[0] = n;
    points->target[1] = m;
    points->way[0] = way;
    points->way[1] = other;
    p->sum.expected_ways = 1u << way | 1u << other;
    if (p->pool == NULL) {
        open_patient(p);
        points->fired = points->tickets = 0;
        memset(points->process, 0, sizeof points->process);
        p->pool = with_audits(
            cf_process_pool(.max_workers = p->workers, .max_pending = 3, .memory = 1 << 16, .on_start = take_ticket),
            p->audits);
    } else {
        deal_tickets();
        /* Where nobody survives a round, those who came after the dead are at work, without a ticket. */
        for (uint32_t i = 0; p->dying == p->workers && i < p->workers; i++)
            kill_ready_worker(p->pool, i);
    }
    wait_until(__atomic_load_n(&points->tickets, __ATOMIC_SEQ_CST) >= p->dying);
    unsigned attempts = 0;
    while (attempts++ < 100 && __atomic_load_n(&points->fired, __ATOMIC_SEQ_CST) < p->dying)
        run_round(p->pool, &p->sum, &p->next);
    run_round(p->pool, &p->sum, &p->next);
    uint32_t fired = __atomic_load_n(&points->fired, __ATOMIC_SEQ_CST);
    assert_int_equal(p->sum.bad, 0);
    assert_in_range(p->sum.lost - lost, 0, fired);
    p->rounds++;
    p->deaths += fired;
    if (fired < p->dying) { /* somebody goes about with a ticket */
        __atomic_store_n(&points->disarmed, 1, __ATOMIC_RELEASE);
        close_patient(p);
    }
    (void)alarm(watchdog_seconds());
}

/* ---- death at every point ---- */

/* A worker that ends at any point of its way, in any way, loses at most the task it ran; nobody hangs, the pool heals. */
static void
sweep(uint32_t workers)
{
    for (int audits = 0; audits < 2; audits++) {
        patient p = {.workers = workers, .dying = 1, .audits = audits != 0};
        for (unsigned way = 0; way < WAYS_TO_DIE; way++)
            for (uint32_t n = 1 + way % EVERY; n <= PATH; n += EVERY)
                run_points(&p, n, way, 0, way);
        close_patient(&p);
        assert_true(p.deaths > p.rounds / 2);
        assert_true(p.sum.lost > 0);
        print_message(
            "  %u worker%s, audits %s: %u points (every %u) x %u ways to die: %u deaths, %u tasks lost, %u done\n",
            workers, workers == 1 ? "" : "s", on_or_off(p.audits), (unsigned)PATH, (unsigned)EVERY,
            (unsigned)WAYS_TO_DIE, p.deaths, p.sum.lost, p.sum.good);
    }
    wait_until(living_processes() == 0);
}

static void
test_points_of_only_worker(void **state)
{
    (void)state;
    sweep(1);
}

static void
test_points_of_one_of_two(void **state)
{
    (void)state;
    sweep(2);
}

/* Two workers that end at any two points lose at most two tasks, with a third to go on and without. */
static void
pairs(uint32_t workers, bool audits)
{
    uint32_t stride = seconds == 0 ? STRIDE : 1, across = PATH / stride, cells = across * across, done = 0;
    patient p = {.workers = workers, .dying = 2, .audits = audits};
    cf_time end = cf_after_ms((int64_t)seconds * 200); /* each of four gets a fifth */
    while (done < cells && (seconds == 0 || !cf_passed(end))) {
        /* In an order that goes all over the square; the step has no divisor in common with `cells`. */
        uint32_t cell = (uint32_t)((uint64_t)done * 10007 % cells), way = done / 3 % (WAYS_TO_DIE * WAYS_TO_DIE);
        run_points(&p, 1 + cell % across * stride + workers + audits, way % WAYS_TO_DIE,
                   1 + cell / across * stride + workers + audits, way / WAYS_TO_DIE);
        done++;
    }
    close_patient(&p);
    wait_until(living_processes() == 0);
    assert_true(p.deaths > p.rounds);
    print_message(
        "  2 of %u workers, audits %s: %u of %u pairs of points (every %u), all ways to die: %u deaths, %u tasks "
        "lost, %u done\n",
        workers, on_or_off(audits), done, (unsigned)PATH * PATH, stride, p.deaths, p.sum.lost, p.sum.good);
}

static void
test_points_of_two_of_two(void **state)
{
    (void)state;
    pairs(2, false);
    pairs(2, true);
}

static void
test_points_of_two_of_three(void **state)
{
    (void)state;
    pairs(3, false);
    pairs(3, true);
}

/* An on_start: the first of `dying` workers ends at one point, the others at another. */
static void
take_one_of_two_tickets(void *context)
{
    (void)context;
    uint32_t ticket = __atomic_fetch_add(&points->tickets, 1, __ATOMIC_SEQ_CST);
    if (ticket < __atomic_load_n(&points->dying, __ATOMIC_SEQ_CST))
        point_target = points->target[ticket != 0];
}

static void
linger(void)
{
    for (;;)
        (void)pause();
}
CF_TASK_VOID(linger);

/* A task isn't given up for those who died before they had claimed it, as many as there may be of them. */
static void
test_points_of_many_in_a_row(void **state)
{
    enum { dying = 30, path = 24 };
    uint32_t spared = 0;
    (void)state;
    for (uint32_t n = 1; n <= path; n++) {
        tally sum = {.expected_ways = 1u << DIES_KILLED};
        uint32_t handlers = points->program_handlers;
        memset(points, 0, sizeof *points);
        points->program_handlers = handlers; /* those of all tests */
        points->target[0] = n + 4;           /* it finds the hint in the parent's ring */
        points->target[1] = n;               /* they look at the template's first, and there it is */
        cf_executor *pool = cf_process_pool(.max_workers = 1, .on_start = take_one_of_two_tickets);
        cf_future *first = cf_submit(pool, linger);
        wait_until(is_running(pool, ((const cf__process_future *)first)->index));
        cf_future *task = cf_submit(pool, work, n, 0);
        __atomic_store_n(&points->tickets, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&points->dying, dying, __ATOMIC_SEQ_CST);
        kill_ready_worker(pool, 0);
        count_outcome(&sum, task, n);
        assert_int_equal(sum.bad, 0);
        spared += sum.good == 1 && points->fired == dying;
        cf_future_release(first);
        cf_executor_close(pool);
        (void)alarm(watchdog_seconds());
    }
    wait_until(living_processes() == 0);
    print_message("  %u points at which the task outlived %u workers\n", spared, (unsigned)dying);
    assert_true(spared > 2);
}

/* Where the program has handlers for exit() and quick_exit(), none of the workers that ended by these has run them. */
static void
test_points_ran_no_handler_of_the_program(void **state)
{
    (void)state;
    assert_int_equal(points->program_handlers, 0);
}

/* ---- exec ---- */

static int exec_input[2]; /* a socket pair: unlike a pipe it can be ended while others have it open, too */

/* Becomes another program, which ends when its input does. */
static int
become_cat(void)
{
    char *const arguments[] = {(char[]){"cat"}, NULL};
    (void)dup2(exec_input[0], STDIN_FILENO);
    (void)execve("/bin/cat", arguments, arguments + 1);
    return errno;
}
CF_TASK(int, become_cat);

static bool
runs_cat(int32_t process)
{
    char path[64], name[64] = "";
    (void)snprintf(path, sizeof path, "/proc/%ld/comm", (long)process);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool cat = fgets(name, sizeof name, file) != NULL && strcmp(name, "cat\n") == 0;
    (void)fclose(file);
    return cat;
}

/* A task that has become another program runs until that ends; then it's lost, with that program's exit status. */
static void
test_exec_keeps_task_running(void **state)
{
    (void)state;
    for (int audits = 0; audits < 2; audits++) {
        uint32_t next = 0;
        tally sum = {0, 0, 0, 0, 0};
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, exec_input), 0);
        cf_executor *pool = with_audits(cf_process_pool(.max_workers = 2), audits != 0);
        const cf__worker_record *workers = inside(pool)->setup.view.workers;
        cf_future *future = cf_submit(pool, become_cat);
        wait_until(runs_cat(workers[0].process) || runs_cat(workers[1].process));
        assert_int_equal(cf_future_wait(future, CF_NOW), CF_ERR_TIMEOUT);
        assert_true(is_running(pool, ((const cf__process_future *)future)->index));
        run_round(pool, &sum, &next); /* the other worker goes on */
        assert_int_equal(sum.good, next);
        assert_int_equal(shutdown(exec_input[1], SHUT_RDWR), 0);
        assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_WORKER_LOST);
        assert_int_equal(cf_future_signal(future), 0);
        assert_int_equal(cf_future_status(future), 0);
        cf_future_release(future);
        wait_until(has_all_workers(pool));
        check_all_free(pool);
        cf_executor_close(pool);
        (void)close(exec_input[0]);
        (void)close(exec_input[1]);
    }
    wait_until(living_processes() == 0);
}

/* ---- stopped is not dead ---- */

/* A pool of two workers, whose first to start stops at point `n`. */
static cf_executor *
pool_that_stops_at(uint32_t n)
{
    memset(points, 0, sizeof *points);
    points->workers = 2;
    points->dying = 1;
    points->way[0] = WAYS_TO_DIE; /* none */
    points->target[0] = n;
    return with_audits(cf_process_pool(.max_workers = 2, .on_start = take_ticket), true);
}

/* Has the worker that has stopped go on, if one has; returns how many that is.  No other stops. */
static unsigned
let_go_on(void)
{
    long parent;
    __atomic_store_n(&points->disarmed, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&points->fired, __ATOMIC_SEQ_CST) == 0)
        return 0;
    char state;
    wait_until((state = process_state(points->process[0], &parent)) == 'T' || state == '?' || state == 'Z');
    if (state == 'T') /* else a shutdown has killed it */
        (void)kill(points->process[0], SIGCONT);
    return 1;
}

/* A worker stopped at any point keeps at most the task it runs from finishing; that one finishes when it's continued. */
static void
test_stop_points_hold_up_nobody_else(void **state)
{
    enum { tasks = 8 };
    (void)state;
    unsigned stops = 0, held = 0;
    for (uint32_t n = 1; n <= 120; n++) {
        cf_future *futures[tasks];
        tally sum = {0, 0, 0, 0, 0};
        uint32_t next = 0, left = 0;
        cf_executor *pool = pool_that_stops_at(n);
        for (unsigned rounds = 0; rounds < 20 && __atomic_load_n(&points->fired, __ATOMIC_SEQ_CST) == 0; rounds++) {
            for (uint32_t i = 0; i < tasks; i++)
                futures[i] = cf_submit(pool, work, next + i, 0);
            /* All but the one that the stopped worker runs. */
            for (;;) {
                uint32_t held_now = 0;
                left = 0;
                for (uint32_t i = 0; i < tasks; i++) {
                    if (cf_future_wait(futures[i], cf_after_ms(30)) != CF_ERR_TIMEOUT)
                        continue;
                    left++;
                    held_now += __atomic_load_n(&points->fired, __ATOMIC_SEQ_CST) != 0 &&
                                is_running(pool, ((const cf__process_future *)futures[i])->index);
                }
                if (left == 0 || (left == 1 && held_now == 1))
                    break;
            }
            held += left;
            if (points->fired != 0)
                stops += let_go_on();
            for (uint32_t i = 0; i < tasks; i++)
                count_outcome(&sum, futures[i], next + i);
            next += tasks;
        }
        if (points->disarmed == 0)
            stops += let_go_on();
        assert_int_equal(sum.bad + sum.lost, 0);
        cf_executor_close(pool);
        (void)alarm(watchdog_seconds());
    }
    wait_until(living_processes() == 0);
    print_message("  %u stops, %u of them with a task\n", stops, held);
    assert_true(stops > 60);
}

static bool
all_done(cf_future *const *futures, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!cf_future_done(futures[i]))
            return false;
    return true;
}

/* Nor does it hold up a shutdown, in which nobody waits for a single task: all others are done beside it. */
static void
test_stop_points_hold_up_no_shutdown(void **state)
{
    enum { tasks = 8 };
    (void)state;
    unsigned stops = 0, held = 0;
    for (uint32_t n = 1; n <= 120; n += n < 60 ? 12 : 4) {
        cf_future *futures[tasks];
        tally sum = {0, 0, 0, 0, 0};
        cf_shutdown_report report = {0, 0, 0, 0};
        cf_executor *pool = pool_that_stops_at(n);
        uint32_t next = 0;
        for (unsigned rounds = 1;; rounds++) { /* the other worker may be the quicker one */
            for (uint32_t i = 0; i < tasks; i++)
                futures[i] = cf_submit(pool, work, next + i, 0);
            wait_until(__atomic_load_n(&points->fired, __ATOMIC_SEQ_CST) != 0 || all_done(futures, tasks));
            if (rounds == 20 || __atomic_load_n(&points->fired, __ATOMIC_SEQ_CST) != 0)
                break;
            for (uint32_t i = 0; i < tasks; i++)
                count_outcome(&sum, futures[i], next + i);
            next += tasks;
        }
        if (points->fired == 0)
            __atomic_store_n(&points->disarmed, 1,
                             __ATOMIC_SEQ_CST); /* or it stops in the shutdown, which then kills it */
        /* Until only the one is left that the stopped worker runs. */
        while (cf_executor_shutdown(pool, CF_DRAIN, cf_after_ms(30), &report) == CF_ERR_TIMEOUT) {
            if (report.left == 1 && points->fired != 0 && inside(pool)->oldest != CF__NO_SLOT &&
                is_running(pool, inside(pool)->oldest))
                break;
        }
        held += report.left != 0;
        stops += let_go_on();
        for (uint32_t i = 0; i < tasks; i++)
            count_outcome(&sum, futures[i], next + i);
        assert_int_equal(sum.bad + sum.lost, 0);
        cf_executor_close(pool);
        (void)alarm(watchdog_seconds());
    }
    wait_until(living_processes() == 0);
    print_message("  %u stops before a shutdown, %u of them with a task\n", stops, held);
    assert_true(held > 0);
    assert_true(stops > 8);
}

/* An idle worker that is stopped isn't counted on: the others get the work, also without audits. */
static void
test_stop_idle_worker_is_passed_over(void **state)
{
    (void)state;
    for (uint32_t stopped = 0; stopped < 2; stopped++) {
        tally sum = {0, 0, 0, 0, 0};
        long parent;
        cf_executor *pool = with_audits(cf_process_pool(.max_workers = 2), false);
        const cf__arena *arena = inside(pool)->setup.view.arena;
        wait_until(__atomic_load_n(&arena->idle[0], __ATOMIC_SEQ_CST) == 3);
        int32_t process = inside(pool)->setup.view.workers[stopped].process;
        /* Asleep: while it lies down it may still count as one that is on its way. */
        wait_until(__atomic_load_n(&arena->waking, __ATOMIC_SEQ_CST) == 0 && process_state(process, &parent) == 'S');
        assert_int_equal(kill(process, SIGSTOP), 0);
        wait_until(process_state(process, &parent) == 'T');
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

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_points_of_only_worker),
        cmocka_unit_test(test_points_of_one_of_two),
        cmocka_unit_test(test_points_of_two_of_two),
        cmocka_unit_test(test_points_of_two_of_three),
        cmocka_unit_test(test_points_of_many_in_a_row),
        cmocka_unit_test(test_points_ran_no_handler_of_the_program),
        cmocka_unit_test(test_exec_keeps_task_running),
        cmocka_unit_test(test_stop_points_hold_up_nobody_else),
        cmocka_unit_test(test_stop_points_hold_up_no_shutdown),
        cmocka_unit_test(test_stop_idle_worker_is_passed_over),
    };
    return deaths_start(argc, argv) ? cmocka_run_group_tests(tests, NULL, NULL) : 99;
}
