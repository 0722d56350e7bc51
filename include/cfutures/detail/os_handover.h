/* cfutures/detail/os_handover.h - memory and descriptors for a process that was forked before there were any.  Part of THE
 * SEAM.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: os_process.h.  Included by: ../prepare.h.
 *
 * A file without a name is memory that can be mapped by whoever gets its descriptor; sealed, so that nobody can cut it
 * off under another's feet.  Messages go over a pair of sockets that keeps their bounds, with up to two descriptors each. */
#ifndef CFUTURES_DETAIL_OS_HANDOVER_H
#define CFUTURES_DETAIL_OS_HANDOVER_H

#include "os_process.h"

#include <sys/socket.h>

#if CF__BODIES

#define CF__HANDED 2 /* descriptors with a message at most */

/* A file of `size` zero bytes in memory, closed on exec; -1 and errno. */
CF__PRIVATE int
cf__os_memory_file(size_t size)
{
    int fault = CF__FAULT("memory_file"), file = -1;
    struct rlimit limit;
    /* A file that is larger than the program may write is a SIGXFSZ. */
    if (fault == 0 && getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < size)
        fault = EFBIG;
    if (fault == 0)
        file = CF__STATIC_CAST(int, syscall(SYS_memfd_create, "cfutures", 3 /* close on exec, may be sealed */));
    if (file >= 0 && (ftruncate(file, CF__STATIC_CAST(off_t, size)) != 0 ||
                      fcntl(file, 1033 /* F_ADD_SEALS */, 7 /* neither seals nor size change any more */) != 0)) {
        fault = errno;
        (void)close(file);
        file = -1;
    }
    if (fault != 0)
        errno = fault;
    return file;
}

/* Maps `size` bytes of `file` (-1: of nothing, which can't be touched) at `place`, where nothing may be; NULL: anywhere.
 * MAP_FAILED and errno: EEXIST if there is something. */
CF__PRIVATE void *
cf__os_map_file(int file, void *place, size_t size)
{
    int how = file < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *memory = mmap(place, size, file < 0 ? PROT_NONE : PROT_READ | PROT_WRITE,
                        how | MAP_NORESERVE | (place != NULL ? 0x100000 /* MAP_FIXED_NOREPLACE */ : 0), file, 0);
    if (memory != MAP_FAILED && place != NULL && memory != place) { /* Linux before 4.17 takes it for a wish */
        (void)munmap(memory, size);
        errno = EEXIST;
        return MAP_FAILED;
    }
    if (memory != MAP_FAILED)
        (void)madvise(memory, size, MADV_DONTDUMP);
    return memory;
}

/* Two sockets, closed on exec.  0 or an errno. */
CF__PRIVATE int
cf__os_socket_pair(int ends[2])
{
    int fault = CF__FAULT("socket_pair"), keep = errno;
    int error = fault ? fault : socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0 ? errno : 0;
    errno = keep;
    return error;
}

typedef union cf__handed { /* aligned as its header wants it */
    struct cmsghdr header;
    unsigned char bytes[CMSG_SPACE(CF__HANDED * sizeof(int))];
} cf__handed;

/* Sends a message, with CF__HANDED descriptors or, NULL, none.  0 or an errno. */
CF__PRIVATE int
cf__os_send(int socket, const void *message, size_t size, const int *descriptors)
{
    int keep = errno, error = CF__FAULT("send");
    struct iovec part;
    struct msghdr parcel;
    cf__handed handed;
    memset(&parcel, 0, sizeof parcel);
    memset(&handed, 0, sizeof handed);
    part.iov_base = cf__opaque(message);
    part.iov_len = size;
    parcel.msg_iov = &part;
    parcel.msg_iovlen = 1;
    if (descriptors != NULL) {
        handed.header.cmsg_level = SOL_SOCKET;
        handed.header.cmsg_type = SCM_RIGHTS;
        handed.header.cmsg_len = CMSG_LEN(CF__HANDED * sizeof(int));
        memcpy(CMSG_DATA(&handed.header), descriptors, CF__HANDED * sizeof(int));
        parcel.msg_control = handed.bytes;
        parcel.msg_controllen = sizeof handed.bytes;
    }
    while (error == 0 && sendmsg(socket, &parcel, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
        if (errno != EINTR)
            error = errno;
    }
    errno = keep;
    return error;
}

/* Takes a message of `size` bytes that has come; descriptors are -1 where there were none.  False: the other end is gone,
 * or sent something else. */
CF__PRIVATE bool
cf__os_receive(int socket, void *message, size_t size, int descriptors[CF__HANDED])
{
    int keep = errno;
    struct iovec part;
    struct msghdr parcel;
    cf__handed handed;
    ssize_t got;
    memset(&parcel, 0, sizeof parcel);
    part.iov_base = message;
    part.iov_len = size;
    parcel.msg_iov = &part;
    parcel.msg_iovlen = 1;
    parcel.msg_control = handed.bytes;
    parcel.msg_controllen = sizeof handed.bytes;
    do {
        got = recvmsg(socket, &parcel, 0x40000000 /* MSG_CMSG_CLOEXEC */);
    } while (got < 0 && errno == EINTR);
    for (int i = 0; i < CF__HANDED; i++)
        descriptors[i] = -1;
    /* Fewer where we may have no more. */
    if (got >= 0 && parcel.msg_controllen >= CMSG_LEN(sizeof(int)) && handed.header.cmsg_type == SCM_RIGHTS)
        memcpy(descriptors, CMSG_DATA(&handed.header),
               CF__MIN(handed.header.cmsg_len - CMSG_LEN(0), CF__HANDED * sizeof(int)));
    errno = keep;
    return got == CF__STATIC_CAST(ssize_t, size);
}

/* Waits until there is something to take from `socket`; false: not before `deadline`, or the process behind `pidfd` (-1:
 * nobody) has ended. */
CF__PRIVATE bool
cf__os_await_message(int socket, int pidfd, int64_t deadline)
{
    int keep = errno, ready;
    struct pollfd descriptors[2] = {{socket, POLLIN, 0}, {pidfd, POLLIN, 0}};
    do {
        int64_t left = deadline == INT64_MAX ? -1 : CF__MAX(deadline - cf__os_now(), INT64_C(0)) / 1000000 + 1;
        ready = poll(descriptors, 2, CF__STATIC_CAST(int, left));
    } while (ready < 0 && errno == EINTR);
    errno = keep;
    return ready > 0 && descriptors[1].revents == 0;
}

#endif /* CF__BODIES */

#endif
