/* tests/fault/test_process_prepare.c - prepare.h: pools by way of a process that was forked early, and without it where it
 * has gone.
 * SPDX-License-Identifier: MIT */
#include "citizen.h"

/* How long a program waits for a nursery that was stopped. */
#undef CF__NURSERY_PATIENCE
#define CF__NURSERY_PATIENCE patience
static int64_t patience = INT64_C(3600000000000);

#include <cfutures/prepare.h>

static int setting = 1; /* a global of the program's */

static int
find_setting(int unused)
{
    (void)unused;
    return setting;
}
CF_TASK(int, find_setting, int);

static int
setting_in(cf_executor *pool)
{
    int value = 0;
    cf_auto(cf_future) future = cf_submit(pool, find_setting, 0);
    child_check(cf_result(future, find_setting, &value, CF_FOREVER) == CF_OK);
    return value;
}

/* Prepares a program that says 1, and lets it say 2 from then on. */
static void
prepare(void)
{
    setting = 1;
    child_check(cf_process_pool_prepare() == CF_OK);
    setting = 2;
}

/* A pool, which was made by way of the nursery, or not. */
static cf_executor *
make_pool(bool prepared)
{
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    check_works(pool);
    child_check(setting_in(pool) == (prepared ? 1 : 2));
    return pool;
}

typedef struct block {
    unsigned char bytes[300000];
} block;

static block
increase(block in)
{
    for (size_t i = 0; i < sizeof in.bytes; i++)
        in.bytes[i]++;
    return in;
}
CF_TASK(block, increase, block);

static void *
make_pools(void *unused)
{
    for (int i = 0; i < 10; i++)
        cf_executor_close(make_pool(true));
    return unused;
}

static int
use_prepared_pools(void)
{
    enum { threads = 4, pools = 5 };
    static block in, out;
    pthread_t thread[threads];
    cf_executor *pool[pools];
    int numbers[100], doubled[100];
    struct sigaction action = {.sa_handler = note_signal};
    child_check(sigaction(SIGCHLD, &action, NULL) == 0);
    uint64_t before = open_descriptors();
    /* Where the kernel would put the next memory when it has gone again: the nursery still has it. */
    void *later_free = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    child_check(later_free != MAP_FAILED);
    prepare();
    child_check(cf_process_pool_prepare() == CF_OK); /* once more does nothing */
    (void)munmap(later_free, 4096);
    uint64_t prepared = open_descriptors();
    child_check(__builtin_popcountll(prepared & ~before) == 2);

    for (int i = 0; i < pools; i++) {
        pool[i] = make_pool(true);
        check_heals(pool[i], SIGKILL, 3);
        child_check(setting_in(pool[i]) == 1);
        for (int k = 0; k < 100; k++)
            numbers[k] = k;
        child_check(cf_map(pool[i], twice, 100, doubled, numbers) == CF_OK && doubled[99] == 198);
        cf_auto(cf_future) future = cf_submit(pool[i], increase, in);
        child_check(cf_result(future, increase, &out, CF_FOREVER) == CF_OK &&
                    out.bytes[299999] == in.bytes[299999] + 1);
    }
    for (int i = 0; i < threads; i++)
        child_check(pthread_create(&thread[i], NULL, make_pools, NULL) == 0);
    for (int i = 0; i < threads; i++)
        child_check(pthread_join(thread[i], NULL) == 0);
    for (int i = 0; i < pools; i++) {
        check_works(pool[i]);
        cf_executor_close(pool[i]);
    }
    child_check(open_descriptors() == prepared);
    check_childless();
    child_check(noted(&notes->signals) == 0);
    return 0;
}

/* Pools of a prepared program have its globals as they were, and are otherwise as good as any; it sees no more of their
 * processes than else. */
static void
test_prepare_gives_early_workers(void **state)
{
    (void)state;
    if (CF__THREAD_SANITIZER)
        skip(); /* the double fork, see os_process.h */
    assert_int_equal(run_program(use_prepared_pools), 0);
}

static uint64_t
find_descriptors(int unused)
{
    (void)unused;
    return open_descriptors();
}
CF_TASK(uint64_t, find_descriptors, int);

static int
compare_descriptors(void)
{
    uint64_t before = open_descriptors(), in_worker = 0;
    prepare();
    cf_executor *pool = make_pool(true);
    cf_auto(cf_future) future = cf_submit(pool, find_descriptors, 0);
    child_check(cf_result(future, find_descriptors, &in_worker, CF_FOREVER) == CF_OK);
    child_check((in_worker & ~before) == 0);
    cf_executor_close(pool);
    return 0;
}

/* Nor do its workers have descriptors of ours. */
static void
test_prepare_workers_have_no_descriptors(void **state)
{
    (void)state;
    assert_int_equal(run_program(compare_descriptors), 0);
}

static int
live_without_nursery(void)
{
    prepare();
    cf_executor *pool = make_pool(true);
    child_check(kill(cf__prepared->self, SIGKILL) == 0);
    check_heals(pool, SIGKILL, 3);
    child_check(setting_in(pool) == 1);
    for (int i = 0; i < 3; i++) {
        cf_executor *other = make_pool(false);
        check_heals(other, SIGKILL, 3);
        cf_executor_close(other);
    }
    cf_executor_close(pool);
    return 0;
}

static int
live_with_stopped_nursery(void)
{
    prepare();
    patience = INT64_C(20000000);
    child_check(kill(cf__prepared->self, SIGSTOP) == 0);
    cf_executor *pool = make_pool(false);
    child_check(kill(cf__prepared->self, SIGCONT) == 0);
    cf_executor *other = make_pool(false); /* who hasn't answered isn't asked again */
    cf_executor_close(pool);
    cf_executor_close(other);
    return 0;
}

static int
live_with_file_limit(void)
{
    struct rlimit limit = {16 << 20, 16 << 20}; /* less than a pool's memory, and enough for what is printed */
    prepare();
    child_check(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    cf_executor_close(make_pool(false));
    return 0;
}

/* When the nursery is dead, or stopped, or can't be used, its pools live on, and new ones are made without it. */
static void
test_prepare_can_be_done_without(void **state)
{
    (void)state;
    assert_int_equal(run_program(live_without_nursery), 0);
    assert_int_equal(run_program(live_with_stopped_nursery), 0);
    assert_int_equal(run_program(live_with_file_limit), 0);
}

static unsigned lost_message;

static int
lose_a_message(void)
{
    prepare();
    fault_fail_nth("send", lost_message, EPIPE);
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    cf_err error = cf_executor_error(pool);
    child_check(error == CF_OK || fault_fired("send") == 1);
    bool early = error == CF_OK && setting_in(pool) == 1, lost = fault_fired("send") != 0;
    fault_clear();
    cf_executor_close(pool);
    wait_until(living_processes() <= 2); /* the test, and perhaps the nursery; no template */
    cf_executor_close(make_pool(!lost));
    return error != CF_OK ? 20 : early ? 21 : 22;
}

/* Whichever message between program and nursery gets lost, one pool is made without it, or fails if a template may be
 * there, which doesn't live then. */
static void
test_prepare_lost_message(void **state)
{
    (void)state;
    unsigned failed = 0, without = 0, early = 0;
    for (lost_message = 1; early == 0; lost_message++) {
        fault_clear();
        int status = run_program(lose_a_message);
        assert_true(WIFEXITED(status));
        assert_in_range(WEXITSTATUS(status), 20, 22);
        failed += WEXITSTATUS(status) == 20;
        without += WEXITSTATUS(status) == 22;
        early += WEXITSTATUS(status) == 21; /* no message was lost: there are no more */
        wait_until(living_processes() == 0);
    }
    assert_int_equal(failed, 1); /* the answer to the last question */
    assert_in_range(without, 3, 100);
}

static bool stops;

static int
end_while_prepared(void)
{
    prepare();
    cf_executor *pool = make_pool(true);
    if (stops)
        child_check(kill(cf__prepared->self, SIGSTOP) == 0);
    pid_t child = fork(); /* with copies of all descriptors */
    if (child == 0) {
        wait_until(noted(&notes->ready) == 1);
        _exit(0);
    }
    child_check(cf_executor_error(pool) == CF_OK);
    if (stops) {
        note(&notes->ready); /* such a copy keeps a stopped nursery */
        check_exits(child, 0);
    }
    (void)raise(SIGKILL);
    return 1;
}

/* The nursery ends with the program. */
static void
test_prepare_ends_with_the_program(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        memset(notes, 0, sizeof *notes);
        stops = i == 1;
        assert_true(WIFSIGNALED(run_program(end_while_prepared)));
        wait_until(living_processes() == (stops ? 0 : 1));
        note(&notes->ready);
        wait_until(living_processes() == 0);
    }
}

static int
fork_while_prepared(void)
{
    prepare();
    cf_executor *pool = make_pool(true);
    pid_t child = fork();
    if (child == 0) {
        cf_executor_close(make_pool(false)); /* the nursery is the program's */
        setting = 1;
        child_check(cf_process_pool_prepare() == CF_OK);
        setting = 2;
        cf_executor_close(make_pool(true));
        _exit(3);
    }
    check_exits(child, 3);
    cf_executor_close(make_pool(true));
    cf_executor_close(pool);
    return 0;
}

/* A forked child isn't prepared, unless it does so itself. */
static void
test_prepare_is_not_for_children(void **state)
{
    (void)state;
    assert_int_equal(run_program(fork_while_prepared), 0);
}

static const char *fault_site_now;
static int fault_error_now;

/* Every call at one site fails once: while preparing, and while a prepared program makes a pool. */
static int
prepare_with_faults(void)
{
    unsigned fired = 1;
    for (unsigned n = 1; fired != 0; n++) {
        fault_clear();
        fault_fail_nth(fault_site_now, n, fault_error_now);
        uint64_t before = open_descriptors();
        pid_t child = fork();
        if (child == 0) {
            cf_err error = cf_process_pool_prepare();
            child_check(error == CF_OK || fault_fired(fault_site_now) == 1);
            child_check(error == CF_OK || open_descriptors() == before);
            cf_executor *pool = cf_process_pool(.max_workers = 1);
            child_check(cf_executor_error(pool) == CF_OK || fault_fired(fault_site_now) == 1);
            fired = fault_fired(fault_site_now);
            fault_clear();
            if (cf_executor_error(pool) == CF_OK)
                check_heals(pool, SIGKILL, 1);
            cf_executor_close(pool);
            cf_executor *next = cf_process_pool(.max_workers = 1);
            check_works(next);
            cf_executor_close(next);
            _exit(fired != 0 ? 20 : 21);
        }
        int status = -1;
        child_check(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) >= 20);
        fired = WEXITSTATUS(status) == 20; /* else there is no n-th call, so we're through */
    }
    return 0;
}

static int
use_short_of_descriptors(void)
{
    child_check(cf_process_pool_prepare() == CF_OK);
    uint64_t usual[2];
    child_check(syscall(SYS_prlimit64, cf__prepared->self, RLIMIT_NOFILE, NULL, usual) == 0);
    for (uint64_t most = 3; most < 16; most++) {
        uint64_t few[2] = {most, usual[1]};
        child_check(syscall(SYS_prlimit64, cf__prepared->self, RLIMIT_NOFILE, few, NULL) == 0);
        cf_executor *pool = cf_process_pool(.max_workers = 1);
        child_check(cf_executor_error(pool) == CF_OK);
        check_works(pool);
        cf_executor_close(pool);
        child_check(kill(cf__prepared->self, 0) == 0);
    }
    return 0;
}

/* Where it may have none, or only one, of the descriptors that it's sent, the program does it by itself. */
static void
test_prepare_short_of_descriptors(void **state)
{
    (void)state;
    assert_int_equal(run_program(use_short_of_descriptors), 0);
    wait_until(living_processes() == 0);
}

/* Whatever fails: it says so, or does without; and nothing is left. */
static void
test_prepare_survives_faults(void **state)
{
    static const struct {
        const char *site;
        int error;
    } faults[] = {{"alloc", ENOMEM}, {"map_shared", ENOMEM}, {"memory_file", EMFILE}, {"socket_pair", EMFILE},
                  {"send", ENOBUFS}, {"pipe", EMFILE},       {"pidfd_open", EMFILE},  {"clone", EPERM},
                  {"fork", EAGAIN},  {"fork_guard", ENOMEM}};
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        fault_site_now = faults[i].site;
        fault_error_now = faults[i].error;
        assert_int_equal(run_program(prepare_with_faults), 0);
        wait_until(living_processes() == 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        citizen_test(test_prepare_gives_early_workers),   citizen_test(test_prepare_workers_have_no_descriptors),
        citizen_test(test_prepare_can_be_done_without),   citizen_test(test_prepare_lost_message),
        citizen_test(test_prepare_ends_with_the_program), citizen_test(test_prepare_is_not_for_children),
        citizen_test(test_prepare_short_of_descriptors),  citizen_test(test_prepare_survives_faults),
    };
    if (!citizen_notes_start())
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
