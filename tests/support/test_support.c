/* tests/support/test_support.c - that the other tests may trust support.h.
 * SPDX-License-Identifier: MIT */
#include "support.h"

#include <cfutures/detail/os.h>

/* The n-th call of a site fails, and no other; what was let fail is counted. */
static void
test_support_fails_nth_call(void **state)
{
    (void)state;
    fault_fail_nth("alloc", 2, ENOMEM);
    void *first = cf__os_alloc(1);
    void *second = cf__os_alloc(1);
    void *third = cf__os_alloc(1);
    cf__os_free(first);
    cf__os_free(third);
    assert_non_null(first);
    assert_null(second);
    assert_non_null(third);
    assert_int_equal(fault_count("alloc"), 3);
    assert_int_equal(fault_fired("alloc"), 1);
    assert_int_equal(fault_fired("map_shared"), 0);

    fault_fail_from("alloc", 1, ENOMEM);
    assert_null(cf__os_alloc(1));
    assert_null(cf__os_alloc(1));
    fault_clear();
    void *later = cf__os_alloc(1);
    assert_non_null(later);
    cf__os_free(later);
    assert_int_equal(fault_count("alloc"), 1);
}

static int
allocates(void)
{
    return cf__os_alloc(1) == NULL ? 5 : 6; /* the process ends: nothing to free */
}

/* A fault that the parent arms meets the child's call, and the parent sees it counted. */
static void
test_support_faults_reach_children(void **state)
{
    (void)state;
    fault_fail_nth("alloc", 1, ENOMEM);
    int status = run_in_child(allocates);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 5);
    assert_int_equal(fault_fired("alloc"), 1);
}

static int
crashes(void)
{
    (void)raise(SIGSEGV);
    return 0;
}

static int
checks(void)
{
    child_check(sizeof(int) == 1);
    return 0;
}

/* Wrong on purpose. */
static int
asserts(void)
{
    assert_int_equal(1, 2);
    return 0;
}

static int
hangs(void)
{
    (void)alarm(1);      /* the watchdog, early */
    while (pause() != 0) /* always -1 */
        continue;
    return 0;
}

/* A child's crash, failed check, stray assertion and hang all show in its wait status. */
static void
test_support_child_status_tells(void **state)
{
    (void)state;
    int status = run_in_child(crashes);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
    status = run_in_child(checks);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    status = run_in_child(asserts);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 112);
    status = run_in_child(hangs);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* Leaves a grandchild behind, which ends when the pipe's writing end is closed everywhere else. */
static int
leaves_orphan(void *argument)
{
    const int *pipe_ends = argument;
    char c;
    pid_t pid = fork();
    child_check(pid >= 0);
    (void)close(pipe_ends[1]);
    if (pid == 0)
        _exit((int)read(pipe_ends[0], &c, 1));
    return 0;
}

/* Processes are counted until they end, also when they have lost their parent. */
static void
test_support_counts_orphans(void **state)
{
    (void)state;
    int pipe_ends[2];
    int fds = open_fds();
    assert_int_equal(pipe(pipe_ends), 0);
    assert_int_equal(open_fds(), fds + 2);
    assert_int_equal(living_processes(), 0);

    int status = run_in_child_with(leaves_orphan, pipe_ends);
    assert_int_equal(status, 0);
    assert_int_equal(living_processes(), 1);
    (void)close(pipe_ends[1]);
    wait_until(living_processes() == 0);

    (void)close(pipe_ends[0]);
    assert_int_equal(open_fds(), fds);
}

static int
returns_nothing(void *argument)
{
    return argument != NULL;
}

/* A dead child is a zombie until it is reaped. */
static void
test_support_counts_zombies(void **state)
{
    (void)state;
    pid_t pid = fork_child(returns_nothing, NULL);
    assert_true(pid > 0);
    wait_until(zombie_children() == 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(zombie_children(), 0);
}

/* What a name chooses and what it leaves out make the whole. */
static void
test_support_chooses_parts(void **state)
{
    (void)state;
    assert_true(support_chooses(NULL, "test_stop"));
    assert_true(support_chooses("stop", "test_stop_idle"));
    assert_false(support_chooses("stop", "test_exec"));
    assert_false(support_chooses("-stop", "test_stop_idle"));
    assert_true(support_chooses("-stop", "test_exec"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_support_fails_nth_call),     cmocka_unit_test(test_support_faults_reach_children),
        cmocka_unit_test(test_support_child_status_tells), cmocka_unit_test(test_support_counts_orphans),
        cmocka_unit_test(test_support_counts_zombies),     cmocka_unit_test(test_support_chooses_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
