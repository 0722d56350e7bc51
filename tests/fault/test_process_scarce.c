/* tests/fault/test_process_scarce.c - a process pool where descriptors, processes, memory or files are scarce: it works, or
 * says at its creation why it can't, and leaves nothing behind.
 * SPDX-License-Identifier: MIT
 * What needs root (namespaces, control groups, another user) is left out with a word where we aren't. */
#define _GNU_SOURCE /* for unshare() */
#include "citizen.h"

#include <grp.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

enum { NO_ROOT = 77 }; /* a program's exit code: it couldn't get what it needs for the test */

/* ---- what a pool has ---- */

/* The descriptors that a task finds open. */
static uint64_t
find_descriptors(int unused)
{
    (void)unused;
    return open_descriptors();
}
CF_TASK(uint64_t, find_descriptors, int);

/* How many descriptors a pool of so many workers takes here; its workers have none but the program's own. */
static int
descriptors_of_pool(unsigned workers)
{
    uint64_t before = open_descriptors(), in_worker = 0;
    cf_executor *pool = cf_process_pool(.max_workers = workers);
    for (int i = 0; i < 2; i++) {
        cf_auto(cf_future) future = cf_submit(pool, find_descriptors, 0);
        child_check(cf_result(future, find_descriptors, &in_worker, CF_FOREVER) == CF_OK);
        child_check((in_worker & ~before) == 0);
        check_heals(pool, SIGKILL, 1);
    }
    uint64_t ours = open_descriptors() & ~before;
    int count = 0;
    for (int i = 0; i < 64; i++) {
        if ((ours >> i & 1) == 0)
            continue;
        count++;
        child_check(fcntl(i, F_GETFD) == FD_CLOEXEC); /* what the program executes has none of ours, either */
    }
    cf_executor_close(pool);
    child_check(open_descriptors() == before);
    return count;
}

static int
compare_descriptors(void)
{
    int few = descriptors_of_pool(1), many = descriptors_of_pool(64);
    child_check(few == many && few > 0 && few <= 4);
    return 0;
}

/* A pool of 64 workers has as few descriptors as one of 1; neither workers nor what the program executes have them. */
static void
test_citizen_descriptors_are_few(void **state)
{
    (void)state;
    assert_int_equal(run_program(compare_descriptors), 0);
}

/* ---- limits ---- */

/* Makes a pool where something may be lacking: true if it works, also when workers die; false if it said why not.
 * Nothing is left of it in either case. */
static bool
try_pool(unsigned workers)
{
    uint64_t before = open_descriptors();
    cf_executor *pool = cf_process_pool(.max_workers = workers);
    cf_err error = cf_executor_error(pool);
    if (error == CF_OK) {
        check_heals(pool, SIGKILL, 3);
    } else {
        child_check(error == CF_ERR_NOMEM || error == CF_ERR_SYSTEM);
        child_check(strncmp(cf_executor_message(pool), "process pool: ", 14) == 0);
        child_check(cf_spawn(pool, twice, 1) == error);
    }
    cf_executor_close(pool);
    child_check(open_descriptors() == before);
    check_childless();
    return error == CF_OK;
}

/* Sets the soft limit of `resource` to `value`. */
static void
set_limit(int resource, rlim_t value)
{
    struct rlimit limit;
    child_check(getrlimit((__rlimit_resource_t)resource, &limit) == 0);
    limit.rlim_cur = value < limit.rlim_max ? value : limit.rlim_max;
    child_check(setrlimit((__rlimit_resource_t)resource, &limit) == 0);
}

static int
sweep_descriptors(void)
{
    int highest = 0, failed = 0, worked = 0;
    uint64_t before = open_descriptors();
    while (before >> highest > 1)
        highest++;
    /* No gaps: what is free lies above. */
    for (int i = 0; i < highest; i++)
        child_check((before >> i & 1) != 0 || dup2(STDERR_FILENO, i) == i);
    for (int more = 0; more < 10; more++) {
        set_limit(RLIMIT_NOFILE, (rlim_t)(highest + 1 + more));
        bool works = try_pool(2);
        child_check(works || worked == 0); /* more are never worse */
        failed += !works;
        worked += works;
    }
    child_check(failed > 0 && worked > 0);
    return 0;
}

/* However few descriptors are left, from none: no pool and the reason, or one that works. */
static void
test_citizen_few_descriptors(void **state)
{
    (void)state;
    assert_int_equal(run_program(sweep_descriptors), 0);
}

/* A number of /proc/self/status, in bytes; 0: there is none. */
static rlim_t
memory_in_use(const char *what)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *status = fopen("/proc/self/status", "re");
    child_check(status != NULL);
    while (kib == 0 && fgets(line, sizeof line, status) != NULL) {
        if (strncmp(line, what, strlen(what)) == 0)
            (void)sscanf(line + strlen(what), ": %llu", &kib);
    }
    (void)fclose(status);
    return (rlim_t)kib * 1024;
}

/* As much as there is in use, and 0 to 4 GiB more. */
static int
sweep_memory(int resource, const char *what)
{
    int failed = 0, worked = 0;
    try_pool(1); /* what malloc and the loader take once */
    for (unsigned shift = 0; shift <= 32; shift++) {
        set_limit(resource, memory_in_use(what) + ((rlim_t)1 << shift));
        bool works = try_pool(2);
        set_limit(resource, RLIM_INFINITY);
        failed += !works;
        worked += works;
    }
    child_check(failed > 0 && worked > 0);
    return 0;
}

static int
sweep_address_space(void)
{
    return sweep_memory(RLIMIT_AS, "VmSize");
}

static int
sweep_data(void)
{
    return sweep_memory(RLIMIT_DATA, "VmData");
}

/* However little memory is allowed beyond what is in use: no pool and the reason, or one that works. */
static void
test_citizen_little_memory(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    skip(); /* it has reserved terabytes */
#endif
    if (CF__THREAD_SANITIZER)
        skip();
    assert_int_equal(run_program(sweep_address_space), 0);
    assert_int_equal(run_program(sweep_data), 0);
}

static int
live_without_the_rest(void)
{
    static const int none[] = {RLIMIT_MEMLOCK, RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_CORE};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        set_limit(none[i], 0);
    set_limit(RLIMIT_FSIZE, (rlim_t)16 << 20); /* less than a pool's memory, and enough for what is printed */
    child_check(try_pool(2));
    return 0;
}

/* What a pool doesn't need may be forbidden: large files, locked memory, queued signals. */
static void
test_citizen_without_the_rest(void **state)
{
    (void)state;
    assert_int_equal(run_program(live_without_the_rest), 0);
}

/* Whether a program that needs root couldn't get what it needs; says so. */
static bool
skips_without_root(int status, const char *needs)
{
    bool skips = WIFEXITED(status) && WEXITSTATUS(status) == NO_ROOT;
    if (skips)
        print_message("  skipped: needs %s\n", needs);
    return skips;
}

/* Becomes a user whom nobody else is. */
static bool
become_somebody(void)
{
    uid_t user = (uid_t)(1000000000 + getpid());
    return geteuid() == 0 && setgroups(0, NULL) == 0 && setgid((gid_t)user) == 0 && setuid(user) == 0;
}

static rlim_t processes_allowed;

static int
live_with_few_processes(void)
{
    /* A new user each time: zombies of the one before may still count. */
    if (!become_somebody())
        return NO_ROOT;
    set_limit(RLIMIT_NPROC, processes_allowed);
    return try_pool(4) ? 20 : 21;
}

/* With fewer processes allowed than workers wanted the pool has those it got. */
static void
test_citizen_few_processes(void **state)
{
    (void)state;
    if (CF__THREAD_SANITIZER)
        skip(); /* its thread in the background counts, too */
    for (processes_allowed = 1; processes_allowed <= 8; processes_allowed++) {
        int status = run_program(live_with_few_processes);
        if (skips_without_root(status, "root, to be another user"))
            skip();
        assert_true(WIFEXITED(status));
        /* The program, the template, one of four workers; and for a moment the helper that forked the template. */
        if (processes_allowed != 3)
            assert_int_equal(WEXITSTATUS(status), processes_allowed > 3 ? 20 : 21);
        wait_until(living_processes() == 0);
    }
}

/* ---- files ---- */

/* Memory that doesn't fit into a small /dev/shm. */
static void
check_large_memory(void)
{
    enum { size = 64 << 20 };
    cf_executor *pool = cf_process_pool(.max_workers = 2, .memory = size);
    char *memory = cf_executor_alloc(pool, size);
    child_check(memory != NULL);
    memset(memory, 1, size);
    check_heals(pool, SIGKILL, 2);
    cf_executor_free(pool, memory);
    cf_executor_close(pool);
}

static int
live_without_devices(void)
{
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return NO_ROOT;
    if (mount("none", "/dev/shm", "tmpfs", 0, "size=4096") == 0)
        check_large_memory();
    if (mount("none", "/dev", "tmpfs", 0, "size=4096") != 0)
        return NO_ROOT;
    check_large_memory(); /* no /dev/shm, and no /dev/null, either */
    if (mount("none", "/proc", "tmpfs", 0, "size=4096") != 0)
        return NO_ROOT;
    check_large_memory();
    return 0;
}

/* /dev/shm may be too small or missing, and all of /dev and /proc as well. */
static void
test_citizen_without_dev_and_proc(void **state)
{
    (void)state;
    if (CF__THREAD_SANITIZER)
        skip(); /* its run-time library reads /proc */
    int status = run_program(live_without_devices);
    if (skips_without_root(status, "root, for a mount namespace"))
        skip();
    assert_int_equal(status, 0);
}

/* ---- containers ---- */

/* Leaves a grandchild behind, and waits until somebody has reaped it. */
static int
leave_an_orphan(int unused)
{
    int ends[2] = {-1, -1}, status;
    pid_t orphan = -1;
    if (pipe(ends) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        orphan = fork();
        if (orphan != 0)
            (void)!write(ends[1], &orphan, sizeof orphan);
        _exit(9);
    }
    if (child < 0 || read(ends[0], &orphan, sizeof orphan) != (ssize_t)sizeof orphan || orphan < 0)
        return -1;
    (void)close(ends[0]);
    (void)close(ends[1]);
    (void)waitpid(child, &status, 0);
    wait_until(kill(orphan, 0) != 0);
    return unused;
}
CF_TASK(int, leave_an_orphan, int);

static int
live_as_reaper(void)
{
    for (int i = 0; i < 5; i++) {
        cf_executor *pool = cf_process_pool(.max_workers = 2);
        check_heals(pool, SIGKILL, 5);
        for (int orphan = 0; orphan < 5; orphan++) {
            int value = 0;
            cf_auto(cf_future) future = cf_submit(pool, leave_an_orphan, 1);
            child_check(cf_result(future, leave_an_orphan, &value, CF_FOREVER) == CF_OK && value == 1);
            check_heals(pool, SIGKILL, 1);
        }
        /* The template is our child now; what has died in it isn't. */
        child_check(waitpid(-1, NULL, WNOHANG) <= 0);
        pid_t own = fork();
        if (own == 0)
            _exit(4);
        check_exits(own, 4);
        cf_executor_close(pool);
        check_childless();
    }
    return 0;
}

static int
live_as_subreaper(void)
{
    child_check(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0);
    return live_as_reaper();
}

static int
live_as_first_process(void)
{
    if (unshare(CLONE_NEWPID) != 0)
        return NO_ROOT;
    pid_t first = fork();
    if (first == 0) {
        program = getpid();
        child_check(program == 1);
        _exit(live_as_reaper());
    }
    check_exits(first, 0);
    return 0;
}

/* Process 1 of a container, and a subreaper, have no zombies of ours once a pool is closed, nor see workers' deaths. */
static void
test_citizen_as_reaper(void **state)
{
    (void)state;
    if (CF__THREAD_SANITIZER)
        skip(); /* the double fork, see os_process.h */
    assert_int_equal(run_program(live_as_subreaper), 0);
}

static void
test_citizen_as_first_process(void **state)
{
    (void)state;
    if (CF__THREAD_SANITIZER)
        skip(); /* the double fork, see os_process.h */
    int status = run_program(live_as_first_process);
    if (skips_without_root(status, "root, for a namespace of processes"))
        skip();
    assert_int_equal(status, 0);
}

/* Writes `text` to file `name` in `directory`; false if that can't be done. */
static bool
write_file(const char *directory, const char *name, const char *text)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", directory, name);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    bool written = file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text);
    (void)close(file);
    return written;
}

static char group[128]; /* a control group of the test's own */

/* Makes a control group that may have 64 MiB. */
static bool
make_group(void)
{
    static const char *const places[][2] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"},
                                            {"/sys/fs/cgroup", "memory.max"}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        (void)snprintf(group, sizeof group, "%s/cf-test-%ld", places[i][0], (long)getpid());
        if (mkdir(group, 0700) != 0)
            continue;
        (void)write_file(group, "memory.swap.max", "0");
        (void)write_file(group, "memory.swappiness", "0");
        if (write_file(group, places[i][1], "67108864"))
            return true;
        (void)rmdir(group);
    }
    return false;
}

static int
fill_memory(size_t size)
{
    unsigned char *memory = malloc(size);
    if (memory == NULL)
        return -1;
    for (size_t i = 0; i < size; i += 4096)
        ((volatile unsigned char *)memory)[i] = 1;
    free(memory);
    return 0;
}
CF_TASK(int, fill_memory, size_t);

static int
live_in_group(void)
{
    if (!write_file(group, "cgroup.procs", "0"))
        return NO_ROOT;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    cf_future *held = cf_submit(pool, hold, 3);
    int value = -1;
    for (int i = 0; i < 3; i++) {
        cf_auto(cf_future) fits = cf_submit(pool, fill_memory, (size_t)8 << 20);
        child_check(cf_result(fits, fill_memory, &value, CF_FOREVER) == CF_OK && value == 0);
        cf_auto(cf_future) greedy = cf_submit(pool, fill_memory, (size_t)256 << 20);
        child_check(cf_future_wait(greedy, CF_FOREVER) == CF_ERR_WORKER_LOST && cf_future_signal(greedy) == SIGKILL);
    }
    note(&notes->open);
    child_check(cf_result(held, hold, &value, CF_FOREVER) == CF_OK && value == 3);
    cf_future_release(held);
    cf_executor_close(pool);
    return 0;
}

/* A task that fills the container's memory is what the kernel kills; its neighbour and the program go on. */
static void
test_citizen_container_runs_out_of_memory(void **state)
{
    (void)state;
    if (!make_group()) {
        print_message("  skipped: needs a control group of memory\n");
        skip();
    }
    int status = run_program(live_in_group);
    wait_until(living_processes() == 0);
    (void)rmdir(group);
    assert_int_equal(status, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        citizen_test(test_citizen_descriptors_are_few),
        citizen_test(test_citizen_few_descriptors),
        citizen_test(test_citizen_little_memory),
        citizen_test(test_citizen_without_the_rest),
        citizen_test(test_citizen_few_processes),
        citizen_test(test_citizen_without_dev_and_proc),
        citizen_test(test_citizen_as_reaper),
        citizen_test(test_citizen_as_first_process),
        citizen_test(test_citizen_container_runs_out_of_memory),
    };
    if (!citizen_notes_start())
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
