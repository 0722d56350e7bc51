/* tests/fault/test_process_ends.c - programs with a process pool that end, in every way, and their children that do.
 * SPDX-License-Identifier: MIT */
#include "citizen.h"

/* ---- streams, handlers, the end ---- */

__attribute__((destructor)) static void
note_unloading(void)
{
    if (program != 0)
        note(&notes->unloaded);
}

static void
note_exit(void)
{
    note(&notes->exits);
}

static void
note_quick_exit(void)
{
    note(&notes->quick);
}

enum { RETURNS, EXITS, QUICKLY, AT_ONCE, ENDS };

static int
print_and_end(int number, int how)
{
    (void)printf("<task %d>", number);
    if (how == EXITS)
        exit(3);
    if (how == QUICKLY)
        quick_exit(3);
    if (how == AT_ONCE)
        _Exit(3);
    return how;
}
CF_TASK(int, print_and_end, int, int);

static int ending;      /* of the program */
static int output = -1; /* where its standard output goes */

/* How often `text` has been written to `output`. */
static unsigned
times_written(const char *text)
{
    static char all[1 << 16];
    ssize_t size = pread(output, all, sizeof all - 1, 0);
    unsigned n = 0;
    all[size > 0 ? size : 0] = 0;
    for (const char *at = all; (at = strstr(at, text)) != NULL; at++)
        n++;
    return n;
}

static int
print_and_leave_a_pool(void)
{
    enum { tasks = 12 };
    char text[32];
    child_check(dup2(output, STDOUT_FILENO) >= 0 && setvbuf(stdout, NULL, _IOFBF, 4096) == 0);
    child_check(atexit(note_exit) == 0 && at_quick_exit(note_quick_exit) == 0);
    (void)printf("<before>");
    cf_executor *pool = cf_process_pool(.max_workers = 4);
    (void)printf("<after>");
    for (int i = 0; i < tasks; i++) {
        int how = i % ENDS;
        cf_auto(cf_future) future = cf_submit(pool, print_and_end, i, how);
        child_check(cf_future_wait(future, CF_FOREVER) == (how == RETURNS ? CF_OK : CF_ERR_WORKER_LOST));
        child_check(how == RETURNS || cf_future_status(future) != 0);
        (void)snprintf(text, sizeof text, "<task %d>", i);
        child_check(times_written(text) == (how != AT_ONCE));
    }
    child_check(noted(&notes->exits) + noted(&notes->quick) + noted(&notes->unloaded) == 0);
    for (int i = 0; i < 8; i++) /* some run, some don't: the program doesn't wait for them */
        child_check(cf_spawn(pool, hold, i) == CF_OK);
    wait_until(noted(&notes->inside) == 4);
    if (ending == EXITS)
        exit(5);
    if (ending == QUICKLY)
        quick_exit(5);
    if (ending == AT_ONCE)
        _exit(5);
    child_check(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, NULL) == CF_OK);
    cf_executor_close(pool);
    exit(5);
}

/* What a program has printed and not written appears once, and so does what a task has; handlers and destructors run in
 * the program only, when it exits, which it does at once, whatever its pool is doing; and no process stays. */
static void
test_citizen_program_ends_once(void **state)
{
    (void)state;
    if (CF__THREAD_SANITIZER)
        skip(); /* its run-time library writes the streams of processes that it ends */
    for (ending = RETURNS; ending < ENDS; ending++) {
        bool exits = ending == RETURNS || ending == EXITS;
        char text[32];
        memset(notes, 0, sizeof *notes);
        output = (int)syscall(SYS_memfd_create, "output", 1);
        assert_true(output >= 0);
        int status = run_program(print_and_leave_a_pool);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), 5);
        wait_until(living_processes() == 0);
        assert_int_equal(times_written("<before>"), exits);
        assert_int_equal(times_written("<after>"), exits);
        for (int i = 0; i < 12; i++) {
            (void)snprintf(text, sizeof text, "<task %d>", i);
            assert_int_equal(times_written(text), i % ENDS != AT_ONCE);
        }
        assert_int_equal(noted(&notes->exits), exits);
        assert_int_equal(noted(&notes->unloaded), exits);
        assert_int_equal(noted(&notes->quick), ending == QUICKLY);
        (void)close(output);
    }
}

/* ---- forks of the program's ---- */

enum { EXITS_NORMALLY, CRASHES, IS_KILLED, EXECS, HAS_A_POOL, CLOSES_OURS, USES_OURS, KINDS };

static void
be_a_child(int kind, cf_executor *pool, cf_future *held)
{
    switch (kind) {
    case EXITS_NORMALLY:
        exit(1);
    case CRASHES:
        (void)raise(SIGSEGV);
        break;
    case IS_KILLED:
        (void)raise(SIGKILL);
        break;
    case EXECS:
        (void)execl("/proc/self/exe", "citizen", "--exit", (char *)NULL);
        break;
    case HAS_A_POOL: {
        cf_executor *own = cf_process_pool(.max_workers = 2);
        check_heals(own, SIGKILL, 3);
        cf_executor_close(own);
        break;
    }
    case CLOSES_OURS:
        cf_future_release(held);
        cf_executor_close(pool);
        break;
    default:
        for (int i = 0; i < 100; i++)
            child_check(cf_spawn(pool, die, SIGKILL) == CF_ERR_FORKED && !cf_future_cancel(held));
        child_check(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, NULL) == CF_ERR_FORKED);
        break;
    }
    _exit(1);
}

static int
fork_beside_a_pool(void)
{
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    cf_future *held = cf_submit(pool, hold, 5);
    wait_until(noted(&notes->inside) == 1);
    int worker = idle_worker(pool), value = 0;
    for (int i = 0; i < 3 * KINDS; i++) {
        int status = -1;
        pid_t child = fork();
        if (child == 0)
            be_a_child(i % KINDS, pool, held);
        child_check(child > 0 && waitpid(child, &status, 0) == child);
        int kills = i % KINDS == CRASHES ? SIGSEGV : i % KINDS == IS_KILLED ? SIGKILL : 0;
        child_check(kills != 0 ? WIFSIGNALED(status) && WTERMSIG(status) == kills
                               : WIFEXITED(status) && WEXITSTATUS(status) == 1);
        child_check(idle_worker(pool) == worker);
        check_works(pool);
    }
    note(&notes->open);
    child_check(cf_result(held, hold, &value, CF_FOREVER) == CF_OK && value == 5);
    cf_future_release(held);
    check_heals(pool, SIGKILL, 3);
    cf_executor_close(pool);
    return 0;
}

/* Children that the program forks while it has a pool end in every way there is, or have a pool of their own: not even a
 * worker changes. */
static void
test_citizen_forks_of_the_program(void **state)
{
    (void)state;
    assert_int_equal(run_program(fork_beside_a_pool), 0);
}

static int
leave_a_child(void)
{
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    child_check(cf_spawn(pool, hold, 1) == CF_OK);
    wait_until(noted(&notes->inside) == 1);
    pid_t child = fork();
    if (child == 0) {
        wait_until(noted(&notes->ready) == 1);
        _exit(0);
    }
    child_check(child > 0);
    (void)raise(SIGKILL);
    return 1;
}

/* A child that lives on after the program was killed, with copies of its descriptors, doesn't keep the pool alive. */
static void
test_citizen_child_outlives_program(void **state)
{
    (void)state;
    int status = run_program(leave_a_child);
    assert_true(WIFSIGNALED(status));
    wait_until(living_processes() == 1);
    note(&notes->ready);
}

/* Starts a process of its own, which lives until it is let go on, and then returns, or dies. */
static void
start_another(int how)
{
    pid_t child = fork();
    if (child == 0) {
        note(&notes->inside);
        wait_until(noted(&notes->ready) == 1);
        _exit(0);
    }
    wait_until(noted(&notes->inside) == 1);
    if (how == EXITS)
        exit(0);
    if (how == AT_ONCE)
        (void)raise(SIGSEGV);
}
CF_TASK_VOID(start_another, int);

/* A task that is lost takes what it has started with it; one that returns doesn't. */
static void
test_citizen_lost_task_leaves_nothing(void **state)
{
    static const int ways[] = {RETURNS, EXITS, AT_ONCE};
    (void)state;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        memset(notes, 0, sizeof *notes);
        cf_executor *pool = cf_process_pool(.max_workers = 1);
        cf_future *future = cf_submit(pool, start_another, ways[i]);
        assert_int_equal(cf_future_wait(future, CF_FOREVER), ways[i] == RETURNS ? CF_OK : CF_ERR_WORKER_LOST);
        cf_future_release(future);
        check_works(pool); /* the worker's heir, if it has one, is there */
        wait_until(living_processes() == 2 + (ways[i] == RETURNS));
        note(&notes->ready);
        cf_executor_close(pool);
        wait_until(living_processes() == 0);
    }
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        citizen_test(test_citizen_program_ends_once),
        citizen_test(test_citizen_forks_of_the_program),
        citizen_test(test_citizen_child_outlives_program),
        citizen_test(test_citizen_lost_task_leaves_nothing),
    };
    if (argc > 1 && strcmp(argv[1], "--exit") == 0)
        return 1; /* what a child has exec'ed */
    if (!citizen_notes_start())
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
