/* cfutures/detail/os_file.h - files that are read, and what this process is mapped from.  Part of THE SEAM.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: os.h.  Included by: symbols.h.
 *
 * READ, NOT MAPPED: should somebody cut a file short meanwhile, a read ends early, where a touch of a mapping would end us. */
#ifndef CFUTURES_DETAIL_OS_FILE_H
#define CFUTURES_DETAIL_OS_FILE_H

#include "os.h"

#include <fcntl.h>
#include <stdio.h>

#if CF__BODIES

/* A descriptor to read from; -1: none.  Doesn't wait, whatever has come to lie at `path`. */
CF__PRIVATE int
cf__os_open(const char *path)
{
    int keep = errno;
    int descriptor = CF__FAULT("open") ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    errno = keep;
    return descriptor;
}

CF__PRIVATE void
cf__os_close_file(int descriptor)
{
    int keep = errno;
    (void)close(descriptor);
    errno = keep;
}

/* Reads up to `size` bytes at `offset`; how many there are, 0 after an error, too. */
CF__PRIVATE size_t
cf__os_read_at(int descriptor, void *to, size_t size, uint64_t offset)
{
    size_t got = 0;
    int keep = errno;
    while (got < size && offset <= CF__STATIC_CAST(uint64_t, INT64_MAX) - size) {
        ssize_t n = CF__FAULT("read") ? -1
                                      : pread(descriptor, CF__STATIC_CAST(char *, to) + got, size - got,
                                              CF__STATIC_CAST(off_t, offset + got));
        if (n == 0 || (n < 0 && errno != EINTR))
            break;
        got += n > 0 ? CF__STATIC_CAST(size_t, n) : 0;
    }
    errno = keep;
    return got;
}

/* One line of /proc/self/maps. */
typedef struct cf__mapping {
    uint64_t start, offset; /* the address where it starts, and the place in the file that lies there */
    char path[4096];        /* as the kernel writes it: the file's, or a name in brackets; empty: it has none */
} cf__mapping;

/* What this process has mapped at `address`; false: nothing, or the system doesn't say. */
CF__PRIVATE bool
cf__os_mapping_at(uint64_t address, cf__mapping *mapping)
{
    char line[sizeof mapping->path + 128];
    bool found = false;
    int keep = errno;
    FILE *maps = CF__FAULT("open") ? NULL : fopen("/proc/self/maps", "re");
    while (maps != NULL && !found && fgets(line, sizeof line, maps) != NULL) {
        unsigned long start, end, offset;
        int path = 0;
        if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %n", &start, &end, &offset, &path) < 3 || path == 0)
            continue;
        found = start <= address && address < end;
        mapping->start = start;
        mapping->offset = offset;
        line[strcspn(line, "\n")] = 0;
        (void)snprintf(mapping->path, sizeof mapping->path, "%.*s", CF__STATIC_CAST(int, sizeof mapping->path - 1),
                       line + path);
    }
    if (maps != NULL)
        (void)fclose(maps);
    errno = keep;
    return found;
}

#endif /* CF__BODIES */

#endif
