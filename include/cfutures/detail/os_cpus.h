/* cfutures/detail/os_cpus.h - how many CPUs this process may really use.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: os.h.  Included by: the pools.
 *
 * HOW IT WORKS  The smallest of
 *   - the affinity mask (taskset, cpuset; it can be smaller than the machine),
 *   - the CPU quotas of our control group and of each of its ancestors, version 1 and 2: a container with a quota
 *     of two CPUs on a machine of 64 runs two threads at a time, and is throttled for the rest of the period if it
 *     tries more.  A quota of 1.5 counts as 2.
 *   CF_WORKERS in the environment stands for the result, for tests and for machines that lie.
 * Paths are taken below a root, "" in earnest, so that tests can bring a tree of their own. */
#ifndef CFUTURES_DETAIL_OS_CPUS_H
#define CFUTURES_DETAIL_OS_CPUS_H

#include "os.h"

#include <fcntl.h>
#include <stdio.h>

/** How many CPUs this process may use: affinity mask, cpuset, and the quotas of its control groups.  At least 1.
 *
 * CF_WORKERS in the environment, a number from 1, is returned instead.  Reads files: keep the result. */
CF_API unsigned cf_usable_cpus(void);

#if CF__BODIES

#define CF__PATH_SIZE 4352

/* The start of a file as a string; false if it can't be read. */
CF__PRIVATE bool
cf__os_read_file(const char *path, char *text, size_t size)
{
    size_t length = 0;
    ssize_t got = 1;
    int file = CF__CALL("open_file", open(path, O_RDONLY | O_CLOEXEC));
    if (file < 0)
        return false;
    while (got > 0 && length < size - 1) {
        got = CF__CALL("read_file", read(file, text + length, size - 1 - length));
        if (got > 0)
            length += CF__STATIC_CAST(size_t, got);
    }
    (void)close(file);
    text[length] = 0;
    return length > 0;
}

CF__PRIVATE int64_t
cf__os_read_number(const char *path)
{
    char text[64];
    return cf__os_read_file(path, text, sizeof text) ? strtoll(text, NULL, 10) : -1;
}

/* CPUs that a quota of `quota` microseconds in each `period` is worth, rounded up; 0: no limit. */
CF__PRIVATE unsigned
cf__os_quota_cpus(int64_t quota, int64_t period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    int64_t cpus = (quota - 1) / period + 1;
    return CF__STATIC_CAST(unsigned, CF__MIN(cpus, INT64_C(1000000)));
}

/* The quota of one control group's directory; 0: none. */
CF__PRIVATE unsigned
cf__os_group_cpus(const char *directory, bool version2)
{
    char path[CF__PATH_SIZE + 32], text[64];
    if (version2) {
        char *end = text;
        (void)snprintf(path, sizeof path, "%s/cpu.max", directory);
        if (!cf__os_read_file(path, text, sizeof text) || strncmp(text, "max", 3) == 0)
            return 0;
        int64_t quota = strtoll(text, &end, 10);
        return cf__os_quota_cpus(quota, strtoll(end, NULL, 10));
    }
    (void)snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", directory);
    int64_t quota = cf__os_read_number(path);
    (void)snprintf(path, sizeof path, "%s/cpu.cfs_period_us", directory);
    return cf__os_quota_cpus(quota, cf__os_read_number(path));
}

/* The smallest quota of the group at `mount` + `group` and of its ancestors up to the mount; 0: none. */
CF__PRIVATE unsigned
cf__os_ancestor_cpus(const char *root, const char *mount, const char *group, bool version2)
{
    char directory[CF__PATH_SIZE];
    unsigned smallest = 0;
    int base = snprintf(directory, sizeof directory, "%s%s", root, mount);
    int length = snprintf(directory, sizeof directory, "%s%s%s", root, mount, group);
    if (base < 0 || length < 0 || CF__STATIC_CAST(size_t, length) >= sizeof directory)
        return 0;
    for (;;) {
        unsigned cpus = cf__os_group_cpus(directory, version2);
        if (cpus != 0 && (smallest == 0 || cpus < smallest))
            smallest = cpus;
        char *slash = strrchr(directory + base, '/');
        if (slash == NULL)
            return smallest;
        *slash = 0;
    }
}

/* Whether the comma-separated `list` has `word`; the list ends at a space, a colon or the end. */
CF__PRIVATE bool
cf__os_list_has(const char *list, const char *word)
{
    size_t length = strlen(word);
    for (const char *item = list;; item++) {
        if (strncmp(item, word, length) == 0 && strchr(", :\n", item[length]) != NULL)
            return true; /* strchr finds the final 0 too */
        item += strcspn(item, ", :\n");
        if (*item != ',')
            return false;
    }
}

/* The smallest CPU quota that holds for this process; 0: none.  Reads /proc/self/cgroup for our groups and
 * /proc/self/mountinfo for where their files are. */
CF__PRIVATE unsigned
cf__os_quota(const char *root)
{
    const size_t size = 65536;
    char path[CF__PATH_SIZE];
    unsigned smallest = 0;
    char *text = CF__STATIC_CAST(char *, cf__os_alloc(2 * size));
    if (text == NULL)
        return 0;
    char *groups = text, *mounts = text + size;
    (void)snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
    bool ok = cf__os_read_file(path, groups, size);
    (void)snprintf(path, sizeof path, "%s/proc/self/mountinfo", root);
    ok = ok && cf__os_read_file(path, mounts, size);

    char *mount_end = NULL;
    for (char *line = ok ? strtok_r(mounts, "\n", &mount_end) : NULL; line != NULL;
         line = strtok_r(NULL, "\n", &mount_end)) {
        /* id parent device ROOT MOUNT options [tags] - TYPE source SUPER-OPTIONS */
        char mount_root[1024], mount[1024], type[64], options[1024];
        const char *dash = strstr(line, " - ");
        if (dash == NULL || sscanf(line, "%*s %*s %*s %1023s %1023s", mount_root, mount) != 2 ||
            sscanf(dash, " - %63s %*s %1023s", type, options) != 2)
            continue;
        bool version2 = strcmp(type, "cgroup2") == 0;
        if (!version2 && (strcmp(type, "cgroup") != 0 || !cf__os_list_has(options, "cpu")))
            continue;
        /* number:controllers:/group, the controllers empty for version 2 */
        for (char *entry = groups; entry != NULL && *entry != 0; entry = strchr(entry, '\n'), entry += entry != NULL) {
            char group[1024];
            char *controllers = strchr(entry, ':');
            if (controllers == NULL)
                break;
            controllers++;
            bool matches = version2 ? *controllers == ':' : cf__os_list_has(controllers, "cpu");
            char *slash = strchr(controllers, ':');
            if (!matches || slash == NULL || sscanf(slash, ":%1023[^\n]", group) != 1)
                continue;
            /* The mount may show a subtree only, as in a container: take its root off the group's path.  A group
             * outside it can't be seen; the mount's own directory is the best we know. */
            size_t skip = strcmp(mount_root, "/") == 0 ? 0 : strlen(mount_root);
            bool inside = strncmp(group, mount_root, skip) == 0 && (group[skip] == '/' || group[skip] == 0);
            const char *below = inside ? group + skip : "";
            if (strcmp(below, "/") == 0)
                below = "";
            unsigned cpus = cf__os_ancestor_cpus(root, mount, below, version2);
            if (cpus != 0 && (smallest == 0 || cpus < smallest))
                smallest = cpus;
        }
    }
    cf__os_free(text);
    return smallest;
}

/* CPUs in the affinity mask; 1 if the kernel won't say. */
CF__PRIVATE unsigned
cf__os_affinity(void)
{
    unsigned long mask[128]; /* 8192 CPUs */
    unsigned count = 0;
    long bytes = CF__CALL("affinity", syscall(SYS_sched_getaffinity, 0, sizeof mask, mask));
    for (long i = 0; i < bytes / CF__STATIC_CAST(long, sizeof *mask); i++)
        count += CF__STATIC_CAST(unsigned, __builtin_popcountl(mask[i]));
    return count != 0 ? count : 1;
}

CF__PRIVATE unsigned
cf__os_cpus(const char *root)
{
    const char *asked = getenv("CF_WORKERS"); // NOLINT(concurrency-mt-unsafe): as safe as the program's own getenv()
    char *end = NULL;
    if (asked != NULL) {
        long count = strtol(asked, &end, 10);
        if (*asked != 0 && *end == 0 && count >= 1 && count <= 100000)
            return CF__STATIC_CAST(unsigned, count);
    }
    unsigned cpus = cf__os_affinity(), quota = cf__os_quota(root);
    return quota != 0 && quota < cpus ? quota : cpus;
}

CF_API unsigned
cf_usable_cpus(void)
{
    int keep = errno;
    unsigned cpus = cf__os_cpus("");
    errno = keep;
    return cpus;
}

#endif /* CF__BODIES */

#endif
