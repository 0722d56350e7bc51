/* tests/unit/test_cpus.c - detail/os_cpus.h
 * SPDX-License-Identifier: MIT
 * Each test gets a folder of its own, with files as the kernel has them below /proc and /sys. */
#define _GNU_SOURCE /* nftw, sched_setaffinity */
#include "unit.h"

#include <cfutures/detail/os_cpus.h>

#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

/* ---- a tree of files ---- */

static int
tree_remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat;
    (void)type;
    (void)walk;
    return remove(path);
}

static int
tree_make(void **state)
{
    const char *place = getenv("TMPDIR");
    char *root = malloc(256);
    if (root == NULL)
        return -1;
    (void)snprintf(root, 256, "%s/cf-cpus-XXXXXX", place != NULL ? place : "/tmp");
    if (mkdtemp(root) == NULL)
        return -1;
    (void)unsetenv("CF_WORKERS");
    *state = root;
    return leaks_start(NULL);
}

static int
tree_remove(void **state)
{
    char *root = *state;
    (void)unsetenv("CF_WORKERS");
    int result = nftw(root, tree_remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(root);
    return result != 0 ? -1 : leaks_none(NULL);
}

/* Writes `text` to the file `path` below `root`, and makes the folders that it needs. */
static void
put(const char *root, const char *path, const char *text)
{
    char whole[512];
    (void)snprintf(whole, sizeof whole, "%s%s", root, path);
    for (char *slash = whole + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = 0;
        assert_true(mkdir(whole, 0700) == 0 || errno == EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(whole, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void
put_v2(const char *root, const char *group)
{
    put(root, "/proc/self/cgroup", group);
    put(root, "/proc/self/mountinfo",
        "22 1 0:20 / /proc rw,nosuid - proc proc rw\n"
        "30 23 0:26 / /sys/fs/cgroup rw,nosuid,nodev shared:4 master:2 - cgroup2 cgroup2 rw,nsdelegate\n");
}

/* ---- version 2 ---- */

/* Without files there is no quota, and the affinity mask decides. */
static void
test_cpus_without_files(void **state)
{
    const char *root = *state;
    assert_int_equal(cf__os_quota(root), 0);
    assert_int_equal(cf__os_cpus(root), cf__os_affinity());
    put(root, "/proc/self/cgroup", "0::/a\n"); /* and no mountinfo */
    assert_int_equal(cf__os_quota(root), 0);
}

/* "max" is no quota, and a missing cpu.max, as in the root group, neither. */
static void
test_cpus_v2_max_is_no_quota(void **state)
{
    const char *root = *state;
    put_v2(root, "0::/a\n");
    assert_int_equal(cf__os_quota(root), 0);
    put(root, "/sys/fs/cgroup/a/cpu.max", "max 100000\n");
    assert_int_equal(cf__os_quota(root), 0);
    assert_int_equal(cf__os_cpus(root), cf__os_affinity());
}

/* A part of a CPU counts as one: a quota of 1.5 is 2, one of 0.1 is 1. */
static void
test_cpus_v2_quota_rounds_up(void **state)
{
    static const struct {
        const char *text;
        unsigned cpus;
    } rows[] = {{"150000 100000\n", 2}, {"200000 100000\n", 2}, {"200001 100000\n", 3}, {"10000 100000\n", 1},
                {"50000 50000\n", 1},   {"1 1\n", 1},           {"3000 1000", 3}};
    const char *root = *state;
    put_v2(root, "0::/a\n");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put(root, "/sys/fs/cgroup/a/cpu.max", rows[i].text);
        assert_int_equal(cf__os_quota(root), rows[i].cpus);
    }
}

/* The smallest quota counts, of the group, of each ancestor, and of the mount's own folder. */
static void
test_cpus_v2_smallest_ancestor_counts(void **state)
{
    const char *root = *state;
    put_v2(root, "0::/a/b/c\n");
    put(root, "/sys/fs/cgroup/a/b/c/cpu.max", "800000 100000\n");
    assert_int_equal(cf__os_quota(root), 8);
    put(root, "/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(cf__os_quota(root), 8);
    put(root, "/sys/fs/cgroup/a/cpu.max", "500000 100000\n");
    assert_int_equal(cf__os_quota(root), 5);
    put(root, "/sys/fs/cgroup/a/b/cpu.max", "700000 100000\n");
    assert_int_equal(cf__os_quota(root), 5);
    put(root, "/sys/fs/cgroup/cpu.max", "400000 100000\n");
    assert_int_equal(cf__os_quota(root), 4);
    put(root, "/sys/fs/cgroup/a/b/c/cpu.max", "300000 100000\n");
    assert_int_equal(cf__os_quota(root), 3);
    put(root, "/sys/fs/cpu.max", "100000 100000\n"); /* above the mount: not a group */
    assert_int_equal(cf__os_quota(root), 3);
}

/* In the root group, as in a container of its own, the mount's folder is our group. */
static void
test_cpus_v2_root_group(void **state)
{
    const char *root = *state;
    put_v2(root, "0::/\n");
    put(root, "/sys/fs/cgroup/cpu.max", "250000 100000\n");
    assert_int_equal(cf__os_quota(root), 3);
}

/* A mount that shows a subtree only: its root is taken off the group's path. */
static void
test_cpus_v2_mount_with_root(void **state)
{
    const char *root = *state;
    put(root, "/proc/self/mountinfo", "30 23 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
    put(root, "/sys/fs/cgroup/cpu.max", "900000 100000\n");
    put(root, "/sys/fs/cgroup/y/cpu.max", "300000 100000\n");
    put(root, "/proc/self/cgroup", "0::/docker/x/y\n");
    assert_int_equal(cf__os_quota(root), 3);
    put(root, "/proc/self/cgroup", "0::/docker/x\n");
    assert_int_equal(cf__os_quota(root), 9);
}

/* A group outside of the mount can't be seen; the mount's own folder is the best there is. */
static void
test_cpus_v2_group_outside_mount(void **state)
{
    const char *root = *state;
    put(root, "/proc/self/mountinfo", "30 23 0:26 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
    put(root, "/sys/fs/cgroup/cpu.max", "900000 100000\n");
    put(root, "/proc/self/cgroup", "0::/other\n");
    assert_int_equal(cf__os_quota(root), 9);
    put(root, "/proc/self/cgroup", "0::/docker/xy\n"); /* not below /docker/x, though it starts alike */
    assert_int_equal(cf__os_quota(root), 9);
}

/* What can't be understood is no quota. */
static void
test_cpus_v2_garbage_is_no_quota(void **state)
{
    static const char *const texts[] = {"", "\n", "nonsense\n", "200000\n", "-5 100000\n", "0 100000\n", "200000 0\n"};
    const char *root = *state;
    put_v2(root, "0::/a\n");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        put(root, "/sys/fs/cgroup/a/cpu.max", texts[i]);
        assert_int_equal(cf__os_quota(root), 0);
    }
    put(root, "/sys/fs/cgroup/a/cpu.max", "9000000000000000000 1\n");
    assert_int_equal(cf__os_quota(root), 1000000);
}

/* Lines of the two tables that aren't as expected are passed over. */
static void
test_cpus_odd_lines_are_skipped(void **state)
{
    const char *root = *state;
    put(root, "/proc/self/mountinfo",
        "\nno dash here\n1 2 3\n - \nx - cgroup2\n"
        "1 2 0:3 / /elsewhere rw - tmpfs cgroup2 rw\n"
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 none rw\n");
    put(root, "/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
    put(root, "/elsewhere/a/cpu.max", "100000 100000\n");
    put(root, "/proc/self/cgroup", "1:name=systemd:/b\n12:cpuset:/c\n0::/a\n");
    assert_int_equal(cf__os_quota(root), 2);
    put(root, "/proc/self/cgroup", "0::/a"); /* no end of line */
    assert_int_equal(cf__os_quota(root), 2);
    put(root, "/proc/self/cgroup", "0:\n");
    assert_int_equal(cf__os_quota(root), 0);
    put(root, "/proc/self/cgroup", "nonsense\n");
    assert_int_equal(cf__os_quota(root), 0);
}

/* ---- version 1 ---- */

static void
put_v1(const char *root, const char *groups)
{
    put(root, "/proc/self/cgroup", groups);
    put(root, "/proc/self/mountinfo",
        "31 25 0:27 / /sys/fs/cgroup/cpuset rw shared:9 - cgroup cgroup rw,cpuset\n"
        "32 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct\n");
}

/* Quota and period are in two files, and the smallest of the ancestors counts here too. */
static void
test_cpus_v1_smallest_ancestor_counts(void **state)
{
    const char *root = *state;
    put_v1(root, "4:cpuset:/set\n3:cpu,cpuacct:/a/b\n");
    assert_int_equal(cf__os_quota(root), 0);
    put(root, "/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "350000\n");
    assert_int_equal(cf__os_quota(root), 0); /* no period */
    put(root, "/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cf__os_quota(root), 4);
    put(root, "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    put(root, "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(cf__os_quota(root), 4);
    put(root, "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n");
    assert_int_equal(cf__os_quota(root), 2);
    put(root, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    put(root, "/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "90000\n");
    assert_int_equal(cf__os_quota(root), 1);
}

/* A mount of version 1 that shows a subtree only, as in a container. */
static void
test_cpus_v1_mount_with_root(void **state)
{
    const char *root = *state;
    put(root, "/proc/self/mountinfo", "32 25 0:28 /docker/x /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpuacct,cpu\n");
    put(root, "/proc/self/cgroup", "3:cpuacct,cpu:/docker/x\n");
    put(root, "/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "200000\n");
    put(root, "/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cf__os_quota(root), 2);
}

/* Controllers whose names only start with "cpu" have no quota. */
static void
test_cpus_v1_other_controllers_dont_count(void **state)
{
    const char *root = *state;
    put_v1(root, "4:cpuset:/a\n5:cpuacct:/a\n");
    put(root, "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "100000\n");
    put(root, "/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cf__os_quota(root), 0);
    put(root, "/proc/self/cgroup", "3:cpu,cpuacct:/b\n");
    put(root, "/sys/fs/cgroup/cpuset/b/cpu.cfs_quota_us", "100000\n");
    put(root, "/sys/fs/cgroup/cpuset/b/cpu.cfs_period_us", "100000\n");
    assert_int_equal(cf__os_quota(root), 0);
}

/* Where both versions are mounted, the smaller quota holds. */
static void
test_cpus_both_versions_smaller_counts(void **state)
{
    const char *root = *state;
    put(root, "/proc/self/mountinfo",
        "32 25 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "33 25 0:29 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    put(root, "/proc/self/cgroup", "3:cpu:/one\n0::/two\n");
    put(root, "/sys/fs/cgroup/cpu/one/cpu.cfs_quota_us", "500000\n");
    put(root, "/sys/fs/cgroup/cpu/one/cpu.cfs_period_us", "100000\n");
    put(root, "/sys/fs/cgroup/unified/two/cpu.max", "300000 100000\n");
    assert_int_equal(cf__os_quota(root), 3);
    put(root, "/sys/fs/cgroup/unified/two/cpu.max", "900000 100000\n");
    assert_int_equal(cf__os_quota(root), 5);
}

/* ---- the result ---- */

/* The smaller of quota and affinity counts. */
static void
test_cpus_quota_limits_affinity(void **state)
{
    const char *root = *state;
    put_v2(root, "0::/a\n");
    put(root, "/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    assert_int_equal(cf__os_cpus(root), 1);
    put(root, "/sys/fs/cgroup/a/cpu.max", "90000000000 100000\n");
    assert_int_equal(cf__os_cpus(root), cf__os_affinity());
}

/* CF_WORKERS stands for the result if it's a number from 1 to 100000, and is passed over otherwise. */
static void
test_cpus_environment_wins(void **state)
{
    static const char *const bad[] = {"", "0", "-1", "3x", "x", " ", "100001", "99999999999999999999", "1.5", "3 "};
    const char *root = *state;
    put_v2(root, "0::/a\n");
    put(root, "/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    assert_int_equal(setenv("CF_WORKERS", "7", 1), 0);
    assert_int_equal(cf__os_cpus(root), 7);
    assert_int_equal(cf_usable_cpus(), 7);
    assert_int_equal(setenv("CF_WORKERS", "1", 1), 0);
    assert_int_equal(cf__os_cpus(root), 1);
    assert_int_equal(setenv("CF_WORKERS", "100000", 1), 0);
    assert_int_equal(cf__os_cpus(root), 100000);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(setenv("CF_WORKERS", bad[i], 1), 0);
        assert_int_equal(cf__os_cpus(root), 1); /* the quota */
    }
}

static int
on_one_cpu(void)
{
    cpu_set_t set, one;
    child_check(sched_getaffinity(0, sizeof set, &set) == 0);
    size_t cpu = 0;
    while (!CPU_ISSET(cpu, &set))
        cpu++;
    child_check((int)cf__os_affinity() == CPU_COUNT(&set));
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    child_check(sched_setaffinity(0, sizeof one, &one) == 0);
    child_check(cf__os_affinity() == 1);
    child_check(cf_usable_cpus() == 1);
    return 0;
}

/* The affinity mask is counted as it is now. */
static void
test_cpus_affinity_is_counted(void **state)
{
    (void)state;
    assert_int_equal(run_in_child(on_one_cpu), 0);
}

/* There is at least one CPU, and errno stays. */
static void
test_cpus_at_least_one(void **state)
{
    (void)state;
    errno = 123;
    assert_true(cf_usable_cpus() >= 1);
    assert_int_equal(errno, 123);
}

/* Without memory to read the tables there is no quota. */
static void
test_cpus_without_memory(void **state)
{
    const char *root = *state;
    put_v2(root, "0::/a\n");
    put(root, "/sys/fs/cgroup/a/cpu.max", "100000 100000\n");
    fault_fail_nth("alloc", 1, ENOMEM);
    assert_int_equal(cf__os_quota(root), 0);
    assert_int_equal(cf__os_quota(root), 1);
}

/* ---- its parts ---- */

/* A word is found between commas only as a whole, up to the end of the list. */
static void
test_cpus_list_has_whole_words(void **state)
{
    (void)state;
    assert_true(cf__os_list_has("cpu", "cpu"));
    assert_true(cf__os_list_has("cpu,cpuacct:/x", "cpu"));
    assert_true(cf__os_list_has("rw,cpuacct,cpu", "cpu"));
    assert_true(cf__os_list_has("rw,cpu\nmore", "cpu"));
    assert_false(cf__os_list_has("cpuacct", "cpu"));
    assert_false(cf__os_list_has("xcpu", "cpu"));
    assert_false(cf__os_list_has("cpuset:cpu", "cpu"));
    assert_false(cf__os_list_has("rw cpu", "cpu"));
    assert_false(cf__os_list_has("", "cpu"));
    assert_false(cf__os_list_has("rw,", "cpu"));
}

/* A file is read up to the buffer's end; one that is missing or empty isn't. */
static void
test_cpus_read_file_cuts(void **state)
{
    const char *root = *state;
    char path[512], text[4];
    put(root, "/long", "abcdef");
    put(root, "/short", "ab");
    put(root, "/empty", "");
    (void)snprintf(path, sizeof path, "%s/long", root);
    assert_true(cf__os_read_file(path, text, sizeof text));
    assert_string_equal(text, "abc");
    (void)snprintf(path, sizeof path, "%s/short", root);
    assert_true(cf__os_read_file(path, text, sizeof text));
    assert_string_equal(text, "ab");
    (void)snprintf(path, sizeof path, "%s/empty", root);
    assert_false(cf__os_read_file(path, text, sizeof text));
    (void)snprintf(path, sizeof path, "%s/missing", root);
    assert_false(cf__os_read_file(path, text, sizeof text));
    assert_true(cf__os_read_number(path) == -1);
    put(root, "/number", "42\n");
    (void)snprintf(path, sizeof path, "%s/number", root);
    assert_true(cf__os_read_number(path) == 42);
}

/* A path too long for the buffer is no quota, and nothing is cut silently into another path. */
static void
test_cpus_long_paths_are_no_quota(void **state)
{
    const char *root = *state;
    char mount[CF__PATH_SIZE];
    memset(mount, 'm', sizeof mount - 1);
    mount[0] = '/';
    mount[sizeof mount - 1] = 0;
    assert_int_equal(cf__os_ancestor_cpus(root, mount, "/a", true), 0);
}

#undef cmocka_unit_test
#define cmocka_unit_test(test_in_tree) cmocka_unit_test_setup_teardown(test_in_tree, tree_make, tree_remove)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cpus_without_files),
        cmocka_unit_test(test_cpus_v2_max_is_no_quota),
        cmocka_unit_test(test_cpus_v2_quota_rounds_up),
        cmocka_unit_test(test_cpus_v2_smallest_ancestor_counts),
        cmocka_unit_test(test_cpus_v2_root_group),
        cmocka_unit_test(test_cpus_v2_mount_with_root),
        cmocka_unit_test(test_cpus_v2_group_outside_mount),
        cmocka_unit_test(test_cpus_v2_garbage_is_no_quota),
        cmocka_unit_test(test_cpus_odd_lines_are_skipped),
        cmocka_unit_test(test_cpus_v1_smallest_ancestor_counts),
        cmocka_unit_test(test_cpus_v1_mount_with_root),
        cmocka_unit_test(test_cpus_v1_other_controllers_dont_count),
        cmocka_unit_test(test_cpus_both_versions_smaller_counts),
        cmocka_unit_test(test_cpus_quota_limits_affinity),
        cmocka_unit_test(test_cpus_environment_wins),
        cmocka_unit_test(test_cpus_affinity_is_counted),
        cmocka_unit_test(test_cpus_at_least_one),
        cmocka_unit_test(test_cpus_without_memory),
        cmocka_unit_test(test_cpus_list_has_whole_words),
        cmocka_unit_test(test_cpus_read_file_cuts),
        cmocka_unit_test(test_cpus_long_paths_are_no_quota),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
