/* tests/fault/test_process_citizen.c - a process pool is a good guest: the program's children, signals, threads and
 * terminal don't disturb it, nor it them.
 * SPDX-License-Identifier: MIT
 *   --seconds N   for the reaper and the storm of signals together
 * How programs end, and fork, is in test_process_ends.c; scarce resources are in test_process_scarce.c. */
#define _GNU_SOURCE /* for posix_openpt() */
#include "citizen.h"

#include <sys/ioctl.h>
#include <termios.h>
#include <time.h>

/* ---- children ---- */

static unsigned reaper_stops; /* A */
static bool reaper_polls;

/* A program's own children, one after another: wait() returns each of them, and nothing else. */
static void *
reap_own_children(void *unused)
{
    for (int turn = 0; noted(&reaper_stops) == 0; turn++) {
        int status = -1, code = turn % 100;
        pid_t child = fork(), reaped = 0;
        if (child == 0)
            _exit(code);
        child_check(child > 0);
        while (reaped == 0 || (reaped < 0 && errno == EINTR))
            reaped = waitpid(-1, &status, reaper_polls ? WNOHANG : 0);
        child_check(reaped == child && WIFEXITED(status) && WEXITSTATUS(status) == code);
        check_childless();
        note(&notes->ready);
    }
    return unused;
}

static int
reap_beside_pools(void)
{
    struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART};
    child_check(sigaction(SIGCHLD, &action, NULL) == 0);
    for (int way = 0; way < 2; way++) {
        pthread_t thread;
        unsigned before = noted(&notes->ready);
        reaper_polls = way == 1;
        __atomic_store_n(&reaper_stops, 0, __ATOMIC_SEQ_CST);
        child_check(pthread_create(&thread, NULL, reap_own_children, NULL) == 0);
        for (int i = 0; i < 10 || noted(&notes->ready) - before < 20; i++) {
            cf_executor *pool = cf_process_pool(.max_workers = 2);
            check_works(pool);
            check_heals(pool, i % 2 ? SIGKILL : SIGSEGV, 5);
            cf_executor_close(pool);
        }
        note(&reaper_stops);
        child_check(pthread_join(thread, NULL) == 0);
        check_childless();
    }
    /* A signal that comes while another is pending is lost, so perhaps not one for each. */
    child_check(noted(&notes->signals) <= noted(&notes->ready) && noted(&notes->foreign) == 0);
    return 0;
}

/* A thread that reaps whatever there is finds each child of the program's, and never one of ours, while pools come and go
 * and lose workers. */
static void
test_citizen_reaper_sees_own_children(void **state)
{
    (void)state;
    if (CF__THREAD_SANITIZER)
        skip(); /* the double fork, see os_process.h */
    soak_program(reap_beside_pools);
}

enum { DEFAULT, IGNORED, NOT_KEPT, HANDLED, WAYS };

static void
set_child_signal(int way)
{
    struct sigaction action = {.sa_handler = way == DEFAULT   ? SIG_DFL
                                             : way == IGNORED ? SIG_IGN
                                                              : note_signal,
                               .sa_flags = way == NOT_KEPT ? SA_NOCLDWAIT : 0};
    child_check(sigaction(SIGCHLD, &action, NULL) == 0);
}

static int
use_child_signals(void)
{
    for (int i = 0; i < WAYS * WAYS; i++) {
        int made_with = i / WAYS, used_with = i % WAYS, status = -1;
        set_child_signal(made_with);
        cf_executor *pool = cf_process_pool(.max_workers = 2);
        check_heals(pool, SIGKILL, 2);
        set_child_signal(used_with);
        check_heals(pool, SIGKILL, 3);
        child_check(noted(&notes->signals) == 0);
        /* The program's own child is reported as the program has asked for. */
        bool kept = used_with == DEFAULT || used_with == HANDLED;
        pid_t child = fork();
        if (child == 0)
            _exit(7);
        pid_t reaped = waitpid(child, &status, 0);
        if (reaped < 0 && errno == EINTR) /* the handler of its end */
            reaped = waitpid(child, &status, 0);
        child_check(kept ? reaped == child && WEXITSTATUS(status) == 7 : reaped < 0 && errno == ECHILD);
        child_check(noted(&notes->signals) == (used_with == NOT_KEPT || used_with == HANDLED));
        cf_executor_close(pool);
        child_check(noted(&notes->signals) == (used_with == NOT_KEPT || used_with == HANDLED));
        check_childless();
        __atomic_store_n(&notes->signals, 0, __ATOMIC_SEQ_CST);
    }
    return 0;
}

/* Whatever SIGCHLD is to the program, when the pool is made and later: the pool learns of its workers' deaths, and the
 * program of its own children's only. */
static void
test_citizen_any_child_signal(void **state)
{
    (void)state;
    if (CF__THREAD_SANITIZER)
        skip(); /* the double fork, see os_process.h */
    assert_int_equal(run_program(use_child_signals), 0);
}

/* ---- signals ---- */

enum { SIGNALS = 65 };

static void
look_at_signals(struct sigaction actions[SIGNALS], sigset_t *blocked)
{
    child_check(pthread_sigmask(SIG_BLOCK, NULL, blocked) == 0);
    for (int i = 1; i < SIGNALS; i++) {
        memset(&actions[i], 0, sizeof actions[i]);
        (void)sigaction(i, NULL, &actions[i]);
    }
}

static void
check_same_signals(const struct sigaction before[SIGNALS], const sigset_t *blocked_before)
{
    static struct sigaction actions[SIGNALS];
    sigset_t blocked;
    look_at_signals(actions, &blocked);
    for (int i = 1; i < SIGNALS; i++) {
        child_check(actions[i].sa_handler == before[i].sa_handler && actions[i].sa_flags == before[i].sa_flags);
        child_check(sigismember(&blocked, i) == sigismember(blocked_before, i));
    }
}

/* How many signals this process has blocked, as a task finds it. */
static int
count_blocked(int unused)
{
    sigset_t blocked;
    (void)unused;
    int count = pthread_sigmask(SIG_BLOCK, NULL, &blocked) != 0;
    for (int i = 1; i < SIGNALS; i++)
        count += sigismember(&blocked, i) == 1;
    return count;
}
CF_TASK(int, count_blocked, int);

static int
crash_under_handlers(void)
{
    static const int crashes[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS, SIGTERM};
    static struct sigaction before[SIGNALS];
    sigset_t all, blocked;
    int count = -1;
    for (int i = 1; i < SIGNALS; i++) {
        struct sigaction action = {.sa_handler = note_signal, .sa_flags = SA_RESTART | SA_ONSTACK};
        if (i != SIGALRM)
            (void)sigaction(i, &action, NULL);
    }
    (void)sigfillset(&all);
    (void)sigdelset(&all, SIGALRM);
    child_check(sigprocmask(SIG_SETMASK, &all, NULL) == 0);
    look_at_signals(before, &blocked);

    cf_executor *pool = cf_process_pool(.max_workers = 2);
    check_same_signals(before, &blocked);
    cf_future *future = cf_submit(pool, count_blocked, 0);
    child_check(cf_result(future, count_blocked, &count, CF_FOREVER) == CF_OK && count == 0);
    cf_future_release(future);
    for (size_t i = 0; i < sizeof crashes / sizeof *crashes; i++)
        check_heals(pool, crashes[i], 2); /* the one that replaces the first is no different */
    cf_executor_close(pool);
    check_same_signals(before, &blocked);
    child_check(noted(&notes->signals) == 0 && noted(&notes->foreign) == 0);
    return 0;
}

/* A program that handles and blocks every signal finds them so afterwards; its handlers don't live on in workers, where
 * nothing is blocked: what would kill a process does. */
static void
test_citizen_signals_stay_apart(void **state)
{
    (void)state;
    assert_int_equal(run_program(crash_under_handlers), 0);
}

enum { STORMED = 3 };

/* A thousand signals a second for the calling thread, none of which restarts a system call. */
static timer_t
start_storm(void)
{
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    struct itimerspec often = {{0, 1000000}, {0, 1000000}};
    timer_t timer;
    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    child_check(timer_create(CLOCK_MONOTONIC, &event, &timer) == 0 && timer_settime(timer, 0, &often, NULL) == 0);
    return timer;
}

static void
wait_for_a_result(cf_future *future, void *context)
{
    (void)context;
    child_check(cf_future_done(future));
    note(&notes->ready);
}

static void *
work_in_a_storm(void *argument)
{
    cf_executor *pool = argument;
    int in[50], out[50], item;
    cf_queue empty;
    child_check(cf_queue_init(&empty, sizeof item, 1) == CF_OK);
    timer_t timer = start_storm();
    unsigned start = noted(&notes->signals);
    for (int i = 0; i < 50; i++)
        in[i] = i;
    for (int turn = 0; turn < 20 || noted(&notes->signals) - start < 300; turn++) {
        check_works(pool);
        child_check(cf_map(pool, twice, 50, out, in) == CF_OK && out[49] == 98);
        cf_future *held = cf_submit(pool, hold, turn), *called = cf_submit(pool, twice, turn);
        child_check(cf_future_add_done_callback(called, wait_for_a_result, NULL) == CF_OK);
        cf_time deadline = cf_after_ms(10);
        child_check(cf_future_wait(held, deadline) == CF_ERR_TIMEOUT && cf_passed(deadline));
        deadline = cf_after_ms(10);
        child_check(cf_wait(&held, 1, CF_ALL_COMPLETED, deadline) == CF_ERR_TIMEOUT && cf_passed(deadline));
        deadline = cf_after_ms(10);
        child_check(cf_queue_get_until(&empty, &item, deadline) == CF_ERR_TIMEOUT && cf_passed(deadline));
        (void)cf_future_cancel(held);
        cf_future_release(held);
        cf_future_release(called);
        cf_executor *other = cf_process_pool(.max_workers = 1);
        check_heals(other, SIGKILL, 1);
        child_check(cf_executor_shutdown(other, CF_DRAIN, CF_FOREVER, NULL) == CF_OK);
        cf_executor_close(other);
    }
    (void)timer_delete(timer);
    cf_queue_destroy(&empty);
    return NULL;
}

static int
live_in_a_storm(void)
{
    pthread_t thread[STORMED];
    struct sigaction action = {.sa_handler = note_signal};
    child_check(sigaction(SIGUSR1, &action, NULL) == 0);
    cf_executor *pool = cf_process_pool(.max_workers = 1 + STORMED);
    for (int i = 0; i < STORMED; i++)
        child_check(pthread_create(&thread[i], NULL, work_in_a_storm, pool) == 0);
    for (int i = 0; i < STORMED; i++)
        child_check(pthread_join(thread[i], NULL) == 0);
    note(&notes->open);
    cf_executor_close(pool);
    child_check(noted(&notes->foreign) == 0);
    return 0;
}

/* Threads that are interrupted all the time get their results, no error of the system's, and no deadline too early. */
static void
test_citizen_waits_are_not_interrupted(void **state)
{
    (void)state;
    soak_program(live_in_a_storm);
}

/* ---- threads ---- */

static void *
make_a_pool(void *unused)
{
    (void)unused;
    return cf_process_pool(.max_workers = 2);
}

static int
use_a_dead_threads_pool(void)
{
    pthread_t thread;
    void *made = NULL;
    for (int i = 0; i < 5; i++) {
        child_check(pthread_create(&thread, NULL, make_a_pool, NULL) == 0 && pthread_join(thread, &made) == 0);
        cf_executor *pool = made;
        int worker = idle_worker(pool);
        check_works(pool);
        cf_future *held = cf_submit(pool, hold, i);
        wait_until(noted(&notes->inside) == (unsigned)i + 1);
        child_check(kill(worker, 0) == 0);
        check_heals(pool, SIGKILL, 5);
        child_check(cf_future_error(held) == CF_ERR_TIMEOUT || !cf_future_done(held));
        (void)cf_future_cancel(held);
        child_check(cf_future_wait(held, CF_FOREVER) == CF_OK); /* it hasn't died with the thread */
        cf_future_release(held);
        cf_executor_close(pool);
    }
    return 0;
}

/* A pool outlives the thread that made it: "die with the parent" means the process, not the thread. */
static void
test_citizen_pool_of_an_ended_thread(void **state)
{
    (void)state;
    assert_int_equal(run_program(use_a_dead_threads_pool), 0);
}

/* ---- the terminal ---- */

static int terminal = -1; /* the side that a person types at */
static char terminal_name[64];

static int
print_on_terminal(int number)
{
    char byte;
    int length = printf("<task %d>\n", number);
    return length > 0 && fflush(stdout) == 0 && read(STDIN_FILENO, &byte, 1) == 0 ? number : -1;
}
CF_TASK(int, print_on_terminal, int);

static int
live_on_a_terminal(void)
{
    static const int keys[] = {SIGINT, SIGQUIT, SIGTSTP};
    struct termios settings;
    int value = 0;
    child_check(setsid() == getpid());
    int fd = open(terminal_name, O_RDWR);
    child_check(fd >= 0 && ioctl(fd, TIOCSCTTY, 0) == 0 && dup2(fd, STDIN_FILENO) == 0 && dup2(fd, STDOUT_FILENO) == 1);
    child_check(tcgetattr(fd, &settings) == 0);
    settings.c_lflag |= TOSTOP; /* who writes from the background is stopped, if he lets himself */
    child_check(tcsetattr(fd, TCSANOW, &settings) == 0);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        child_check(signal(keys[i], note_signal) != SIG_ERR);

    cf_executor *pool = cf_process_pool(.max_workers = 2);
    cf_future *held = cf_submit(pool, hold, 7);
    wait_until(noted(&notes->inside) == 1);
    int worker = idle_worker(pool);
    note(&notes->ready);
    wait_until(noted(&notes->signals) == 3);
    child_check(idle_worker(pool) == worker);
    cf_future *printed = cf_submit(pool, print_on_terminal, 8);
    child_check(cf_result(printed, print_on_terminal, &value, CF_FOREVER) == CF_OK && value == 8);
    note(&notes->open);
    child_check(cf_result(held, hold, &value, CF_FOREVER) == CF_OK && value == 7);
    cf_future_release(held);
    cf_future_release(printed);
    cf_executor_close(pool);
    child_check(noted(&notes->foreign) == 0);
    return 0;
}

/* Ctrl-C, Ctrl-\ and Ctrl-Z reach only the program; tasks run on, may print, and read nothing. */
static void
test_citizen_keys_reach_only_the_program(void **state)
{
    (void)state;
    char shown[256] = "";
    size_t length = 0;
    int (*main_of_it)(void) = live_on_a_terminal;
    int status = -1;
    terminal = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (terminal < 0)
        skip(); /* no pseudo-terminals here */
    assert_int_equal(grantpt(terminal) | unlockpt(terminal), 0);
    (void)snprintf(terminal_name, sizeof terminal_name, "%s", ptsname(terminal));
    pid_t child = fork_child(start_program, &main_of_it);
    assert_true(child > 0);
    wait_until(noted(&notes->ready) == 1);
    assert_int_equal(write(terminal, "\003\034\032", 3), 3);
    while (strstr(shown, "<task 8>") == NULL && length < sizeof shown - 1) {
        ssize_t size = read(terminal, shown + length, sizeof shown - 1 - length);
        assert_true(size > 0);
        length += (size_t)size;
        shown[length] = 0;
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    (void)close(terminal);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        citizen_test(test_citizen_reaper_sees_own_children), citizen_test(test_citizen_any_child_signal),
        citizen_test(test_citizen_signals_stay_apart),       citizen_test(test_citizen_waits_are_not_interrupted),
        citizen_test(test_citizen_pool_of_an_ended_thread),  citizen_test(test_citizen_keys_reach_only_the_program),
    };
    citizen_seconds = soak_seconds(argc, argv, 0) / 2;
    if (!citizen_notes_start())
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
