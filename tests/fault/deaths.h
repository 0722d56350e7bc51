/* tests/fault/deaths.h - what the tests of death share: ways to die, points to die at, tasks, and what a pool must be after it.
 * SPDX-License-Identifier: MIT
 * Include it first.
 *
 * KILL POINTS  The macros of detail/atomic.h are wrapped below: a worker that carries a ticket counts its operations on shared
 *   words, and ends itself right before, or right after, the one it was told.  So every state that it can leave behind is one
 *   that some run has left behind.  Relaxed loads aren't counted: nobody can tell whether they happened.
 * STOPPED, THEN KILLED  needs somebody else: the undertaker, a thread of the test's, is told by a pipe who has stopped.
 * AUDITS  (waiters that push a hint again) and the slices in which the parent sleeps may repair what the reaper forgot.  So
 *   each test runs with both as in real life, and with neither: then the watchdog comes before the first slice ends. */
#ifndef CFUTURES_TESTS_DEATHS_H
#define CFUTURES_TESTS_DEATHS_H

#include "support.h"

#include <poll.h>
#include <pthread.h>
#include <sys/ioctl.h>

#include <cfutures/detail/atomic.h>

/* ---- ways to die ---- */

enum {
    DIES_KILLED,
    DIES_SEGV,
    DIES_ABORTED,
    DIES_EXIT_0,
    DIES_EXIT_3,
    DIES_QUICK_EXIT,
    DIES_EXEC,
    DIES_STOPPED,
    WAYS_TO_DIE
};

#ifdef __GLIBC__
#define STATUS_OF_EXIT(status) (status)
#else /* lost, see os_process.h */
#define STATUS_OF_EXIT(status) EXIT_FAILURE
#endif

static const struct way_to_die {
    const char *name;
    int signal, status; /* what the future of the task says */
} ways_to_die[WAYS_TO_DIE] = {
    {"SIGKILL", SIGKILL, 0},
    {"SIGSEGV", SIGSEGV, 0},
    {"SIGABRT", SIGABRT, 0},
    {"exit(0)", 0, STATUS_OF_EXIT(0)},
    {"exit(3)", 0, STATUS_OF_EXIT(3)},
    {"quick_exit(0)", 0, EXIT_FAILURE}, /* its status is lost everywhere */
    {"execve", 0, 0},                   /* /bin/true's */
    {"SIGSTOP, SIGKILL", SIGKILL, 0},
};

static int undertaker_pipe[2]; /* who has stopped, process ids; the undertaker reads */
static int undertaker_looks;   /* A: it does, from before it takes one out until it has done with it */

static void
end_as(unsigned way)
{
    switch (way) {
    case DIES_EXIT_0:
        exit(0);
    case DIES_EXIT_3:
        exit(3);
    case DIES_QUICK_EXIT:
        quick_exit(0);
    case DIES_EXEC: {
        char *const arguments[] = {(char[]){"true"}, NULL};
        (void)execve("/bin/true", arguments, arguments + 1);
        _exit(99);
    }
    case DIES_STOPPED: {
        int32_t self = getpid();
        if (write(undertaker_pipe[1], &self, sizeof self) != sizeof self)
            _exit(98);
        (void)kill(self, SIGSTOP);
        for (;;)
            (void)pause();
    }
    case DIES_ABORTED:
        abort();
    default:
        (void)kill(getpid(), ways_to_die[way].signal);
    }
}

static void *
undertaker_main(void *unused)
{
    struct pollfd reader = {undertaker_pipe[0], POLLIN, 0};
    int32_t process;
    long parent;
    (void)unused;
    while (poll(&reader, 1, -1) == 1) {
        char state;
        __atomic_store_n(&undertaker_looks, 1, __ATOMIC_SEQ_CST);
        if (read(undertaker_pipe[0], &process, sizeof process) != sizeof process)
            return NULL;
        /* It may have been killed meanwhile, with its pool; what is stopped can't have ended, so the number is its own. */
        wait_until((state = process_state(process, &parent)) == 'T' || state == '?' || state == 'Z');
        if (state == 'T')
            (void)kill(process, SIGKILL);
        __atomic_store_n(&undertaker_looks, 0, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

static bool
undertaker_rests(void)
{
    int bytes; /* first this: what isn't there any more has been taken by one that looks */
    return ioctl(undertaker_pipe[0], FIONREAD, &bytes) == 0 && bytes == 0 &&
           __atomic_load_n(&undertaker_looks, __ATOMIC_SEQ_CST) == 0;
}

/* ---- kill points ---- */

enum { MOST_TICKETS = 2 };

typedef struct kill_points {       /* in memory that all our processes share; fields: A atomic */
    uint32_t round;                /* A: heirs of the round before take tickets once it has grown */
    uint32_t tickets;              /* A: given to workers as they start */
    uint32_t dying;                /* how many tickets there are */
    uint32_t workers;              /* of the first round; who gets no ticket then survives all rounds */
    uint32_t way[MOST_TICKETS];    /* how the holder of the ticket ends */
    uint32_t target[MOST_TICKETS]; /* the point at which it does */
    int32_t process[MOST_TICKETS]; /* A: its process */
    uint32_t fired;                /* A: how many have */
    uint32_t disarmed;             /* A: none ends any more */
    uint32_t heirs_wait; /* A: those who replace the dead don't get ready, lest they repair what others weren't told */
    uint32_t program_handlers; /* A: how often what the program had registered for exits was run in a worker */
} kill_points;

static kill_points *points;
static uint32_t point, point_target, point_ticket; /* of this process; a worker without a ticket counts nothing */

static void
pass_point(void)
{
    if (point_target == 0 || ++point != point_target)
        return;
    point_target = 0;
    if (__atomic_load_n(&points->disarmed, __ATOMIC_ACQUIRE) != 0)
        return;
    __atomic_store_n(&points->process[point_ticket], getpid(), __ATOMIC_RELEASE);
    (void)__atomic_fetch_add(&points->fired, 1, __ATOMIC_SEQ_CST);
    if (points->way[point_ticket] < WAYS_TO_DIE)
        end_as(points->way[point_ticket]);
    (void)kill(getpid(), SIGSTOP); /* and goes on some time */
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

/* With atomic.h wrapped, the rest of the library; unit.h checks each test for descriptors, memory and threads that are left. */
#include "../unit/unit.h"

#include "process_pool.h"

static unsigned seconds; /* of --seconds, for the whole program; 0: by counts */

/* A pool with what repairs by and by switched on, or off. */
SUPPORT cf_executor *
with_audits(cf_executor *pool, bool audits)
{
    assert_int_equal(cf_executor_error(pool), CF_OK);
    if (audits)
        sleep_as_usual(pool);
    else
        leave_it_to_the_reaper(pool);
    return pool;
}

SUPPORT const char *
on_or_off(bool audits)
{
    return audits ? "on" : "off";
}

/* A worker's on_start: gives it a ticket, as long as there are some. */
SUPPORT void
take_ticket(void *context)
{
    (void)context;
    for (;;) {
        uint32_t round = __atomic_load_n(&points->round, __ATOMIC_ACQUIRE);
        uint32_t ticket = __atomic_fetch_add(&points->tickets, 1, __ATOMIC_SEQ_CST);
        if (ticket < points->dying) {
            point_ticket = ticket;
            point_target = points->target[ticket];
            return;
        }
        if ((round == 0 && ticket < points->workers) || __atomic_load_n(&points->heirs_wait, __ATOMIC_ACQUIRE) == 0)
            return;
        while (__atomic_load_n(&points->round, __ATOMIC_ACQUIRE) == round)
            (void)cf__park(&points->round, round, CF_FOREVER, CF__SCOPE_SHARED);
    }
}

/* The next round begins: those who start from here on, or wait since the last one, get its tickets. */
SUPPORT void
deal_tickets(void)
{
    __atomic_store_n(&points->fired, 0, __ATOMIC_SEQ_CST);
    memset(points->process, 0, sizeof points->process);
    __atomic_store_n(&points->tickets, 0, __ATOMIC_SEQ_CST);
    (void)__atomic_fetch_add(&points->round, 1, __ATOMIC_SEQ_CST);
    (void)cf__unpark_all(&points->round, CF__SCOPE_SHARED);
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

/* As `work`, with arguments and a result that need blocks of the pool's memory. */
typedef struct big {
    uint64_t words[100];
} big;

static big
work_big(uint32_t task, big with)
{
    execution_begins(task);
    for (size_t i = 0; i < 100; i++)
        with.words[i] += answer(task);
    return with;
}
CF_TASK(big, work_big, uint32_t, big);

SUPPORT cf_future *
submit_big(cf_executor *pool, uint32_t task)
{
    big with;
    for (size_t i = 0; i < 100; i++)
        with.words[i] = i;
    return cf_submit(pool, work_big, task, with);
}

/* What came of a series of tasks. */
typedef struct tally {
    unsigned good, lost, broken;
    unsigned bad;           /* a wrong value, another error, run twice, or another way to die than those expected */
    unsigned expected_ways; /* a bit each */
} tally;

SUPPORT bool
is_way(unsigned ways, int signal, int status)
{
    for (unsigned way = 0; way < WAYS_TO_DIE; way++)
        if ((ways & (1u << way)) != 0 && ways_to_die[way].signal == signal && ways_to_die[way].status == status)
            return true;
    return false;
}

/* Adds what became of task `task` to *sum, and releases its future. */
SUPPORT void
count_settled(tally *sum, cf_future *future, uint32_t task, cf_err error, bool right)
{
    uint32_t runs = take_executions(task);
    if (error == CF_OK && right && runs == 1)
        sum->good++;
    else if (error == CF_ERR_WORKER_LOST && runs <= 1 &&
             is_way(sum->expected_ways, cf_future_signal(future), cf_future_status(future)))
        sum->lost++;
    else if (error == CF_ERR_BROKEN && runs <= 1 && cf_future_message(future)[0] != 0)
        sum->broken++;
    else {
        sum->bad++;
        print_error("task %u: error %d, signal %d, status %d, run %u times, %s\n", (unsigned)task, (int)error,
                    cf_future_signal(future), cf_future_status(future), (unsigned)runs, right ? "right" : "wrong");
    }
    cf_future_release(future);
}

/* Waits for task `task`, and counts what became of it. */
SUPPORT void
count_outcome(tally *sum, cf_future *future, uint32_t task)
{
    uint64_t value = 0;
    cf_err error = cf_result(future, work, &value, CF_FOREVER);
    count_settled(sum, future, task, error, value == answer(task));
}

SUPPORT void
count_big_outcome(tally *sum, cf_future *future, uint32_t task)
{
    big value;
    memset(&value, 0, sizeof value);
    cf_err error = cf_result(future, work_big, &value, CF_FOREVER);
    count_settled(sum, future, task, error, value.words[0] == answer(task) && value.words[99] == answer(task) + 99);
}

/* A few tasks by every path: alone, several at once, with callbacks, big ones, and more of them than there is room for. */
SUPPORT void
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
        futures[i] = i == 1 ? submit_big(pool, first + i) : cf_submit(pool, work, first + i, 0);
    for (uint32_t i = tasks; i-- > 0;)
        (i == 1 ? count_big_outcome : count_outcome)(sum, futures[i], first + i);
}

/* ---- what a pool must be afterwards ---- */

/* Each worker is there and ready, and isn't one of those that ended. */
SUPPORT bool
has_all_workers(cf_executor *pool)
{
    const cf__arena_view *view = &inside(pool)->setup.view;
    uint32_t wanted = __atomic_load_n(&view->arena->wanted, __ATOMIC_ACQUIRE);
    for (uint32_t i = 0; i < wanted; i++) {
        int32_t process = __atomic_load_n(&view->workers[i].process, __ATOMIC_ACQUIRE);
        if (__atomic_load_n(&view->workers[i].started, __ATOMIC_ACQUIRE) == 0 || kill(process, 0) != 0 ||
            process == points->process[0] || process == points->process[1])
            return false;
    }
    return true;
}

/* No slot and no memory is lost: nothing is in use, all is free. */
SUPPORT void
check_all_free(cf_executor *pool)
{
    cf__process_pool *self = inside(pool);
    uint32_t free_slots = 0;
    cf__mutex_lock(&self->mutex);
    uint32_t in_use = self->in_use;
    for (uint32_t i = self->first_free; i != CF__NO_SLOT; i = self->shadows[i].newer)
        free_slots++;
    cf__mutex_unlock(&self->mutex);
    assert_int_equal(in_use, 0);
    assert_int_equal(free_slots, self->setup.view.slot_count);
    void *everything; /* a collector may be about to give back the last block */
    wait_until((everything = cf_executor_alloc(pool, cf__heap_limit(&self->heap))) != NULL);
    cf_executor_free(pool, everything);
}

/* ---- chance ---- */

static uint32_t random_state = 12345;

SUPPORT uint32_t
random_below(uint32_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

/* ---- around the tests ---- */

/* A descriptor that the undertaker has open, for it looks into /proc, is no leak. */
static int
leaks_none_buried(void **state)
{
    cf_time end = cf_after_ms(10000); /* not for ever: what a failed test has left may never stop */
    while (!undertaker_rests() && !cf_passed(end))
        (void)sched_yield();
    return leaks_none(state);
}

#undef cmocka_unit_test
#define cmocka_unit_test(test) cmocka_unit_test_setup_teardown(test, leaks_start, leaks_none_buried)

static void
note_program_handler(void)
{
    if (points != NULL && getpid() != support_pid)
        (void)__atomic_fetch_add(&points->program_handlers, 1, __ATOMIC_RELAXED);
}

/* main() begins with this; returns false if the tests can't run. */
SUPPORT bool
deaths_start(int argc, char **argv)
{
    struct rlimit none = {0, 0};
    pthread_t undertaker;
    seconds = soak_seconds(argc, argv, 0);
    points = shared_memory(sizeof *points);
    (void)setrlimit(RLIMIT_CORE, &none);
    return points != NULL && count_executions() && atexit(note_program_handler) == 0 &&
           at_quick_exit(note_program_handler) == 0 && pipe(undertaker_pipe) == 0 &&
           pthread_create(&undertaker, NULL, undertaker_main, NULL) == 0 && pthread_detach(undertaker) == 0;
}

#endif
