/* tests/fault/citizen.h - what the tests of a process pool's behaviour as a guest share: programs with a pool, and some
 * tasks.
 * SPDX-License-Identifier: MIT
 * Each test runs one or more *programs* in forked children, which are free to change signals, limits and descriptors, and
 * to end as they like; the test asserts on how they ended, and that nothing of them lives on. */
#ifndef CFUTURES_TESTS_CITIZEN_H
#define CFUTURES_TESTS_CITIZEN_H

#include "support.h"

#include <cfutures.h>

#include <fcntl.h>
#include <pthread.h>
#include <sys/resource.h>

/* What programs, tasks and test tell each other: in memory that all of them share. */
typedef struct citizen_notes {       /* fields: A atomic */
    unsigned inside, open;           /* A: tasks that hold: came in; may go on */
    unsigned signals, foreign;       /* A: handlers that ran in the program; in another process */
    unsigned exits, quick, unloaded; /* A: atexit() and at_quick_exit() handlers, and the destructor, that ran */
    unsigned ready;                  /* A: a program has come where the test wants it */
} citizen_notes;
static citizen_notes *notes;
static unsigned citizen_seconds; /* for tests that may go on as long as one likes */
static pid_t program;            /* the process that a program runs in; a task inherits it */

SUPPORT void
note(unsigned *counter)
{
    (void)__atomic_add_fetch(counter, 1, __ATOMIC_SEQ_CST);
}

SUPPORT unsigned
noted(const unsigned *counter)
{
    return __atomic_load_n(counter, __ATOMIC_SEQ_CST);
}

/* A signal handler. */
SUPPORT void
note_signal(int signal_number)
{
    (void)signal_number;
    note(getpid() == program ? &notes->signals : &notes->foreign);
}

/* ---- tasks ---- */

SUPPORT int
twice(int x)
{
    return 2 * x;
}
CF_TASK(int, twice, int);

SUPPORT int
die(int signal_number)
{
    (void)raise(signal_number);
    return 0;
}
CF_TASK(int, die, int);

SUPPORT int
hold(int x)
{
    note(&notes->inside);
    wait_until(noted(&notes->open) != 0 || cf_cancelled());
    return x;
}
CF_TASK(int, hold, int);

SUPPORT int
own_process(int unused)
{
    (void)unused;
    return (int)getpid();
}
CF_TASK(int, own_process, int);

/* ---- in a program ---- */

/* `pool` has been made and runs tasks. */
SUPPORT void
check_works(cf_executor *pool)
{
    child_check(cf_executor_error(pool) == CF_OK);
    for (int i = 0; i < 4; i++) {
        int value = 0;
        cf_auto(cf_future) future = cf_submit(pool, twice, i);
        child_check(cf_result(future, twice, &value, CF_FOREVER) == CF_OK && value == 2 * i);
    }
}

/* `pool` loses `count` workers, which die of `signal_number`, and goes on. */
SUPPORT void
check_heals(cf_executor *pool, int signal_number, int count)
{
    for (int i = 0; i < count; i++) {
        cf_auto(cf_future) future = cf_submit(pool, die, signal_number);
        child_check(cf_future_wait(future, CF_FOREVER) == CF_ERR_WORKER_LOST);
        child_check(cf_future_signal(future) == signal_number);
    }
    check_works(pool);
}

/* The process of the worker that is idle, if one is. */
SUPPORT int
idle_worker(cf_executor *pool)
{
    int process = 0;
    cf_auto(cf_future) future = cf_submit(pool, own_process, 0);
    child_check(cf_result(future, own_process, &process, CF_FOREVER) == CF_OK);
    return process;
}

/* Reaps `child`, and checks that it has exited with `code`. */
SUPPORT void
check_exits(pid_t child, int code)
{
    int status = -1;
    child_check(child > 0);
    while (waitpid(child, &status, 0) < 0)
        child_check(errno == EINTR);
    child_check(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

/* No child is there to be reaped. */
SUPPORT void
check_childless(void)
{
    child_check(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
}

/* Descriptors 0 to 63 that are open, one bit each. */
SUPPORT uint64_t
open_descriptors(void)
{
    uint64_t open = 0;
    for (int i = 0; i < 64; i++) {
        if (fcntl(i, F_GETFD) >= 0)
            open |= UINT64_C(1) << i;
    }
    return open;
}

/* ---- tests ---- */

SUPPORT int
citizen_before(void **state)
{
    (void)state;
    memset(notes, 0, sizeof *notes);
    return 0;
}

SUPPORT int
citizen_after(void **state)
{
    (void)state;
    wait_until(living_processes() == 0);
    return 0;
}

#define citizen_test(test) cmocka_unit_test_setup_teardown(test, citizen_before, citizen_after)

SUPPORT int
start_program(void *main_of_it)
{
    program = getpid();
    return (*(support_plain **)main_of_it)();
}

/* Runs a program; its wait status. */
SUPPORT int
run_program(int (*main_of_it)(void))
{
    return run_in_child_with(start_program, &main_of_it);
}

/* Runs a program that is to return 0, again and again for --seconds N, at least once. */
SUPPORT void
soak_program(int (*main_of_it)(void))
{
    cf_time end = cf_after_ms((int64_t)citizen_seconds * 1000);
    do {
        memset(notes, 0, sizeof *notes);
        assert_int_equal(run_program(main_of_it), 0);
        (void)alarm(watchdog_seconds());
    } while (!cf_passed(end));
}

SUPPORT bool
citizen_notes_start(void)
{
    notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return notes != MAP_FAILED;
}

#endif
