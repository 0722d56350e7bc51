/* cfutures/detail/os_process.h - processes, as we ask the system for them.  Part of THE SEAM.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: os.h.  Included by: worker.h, template.h, process_pool.h.
 *
 * A PROCESS THAT THE PROGRAM DOESN'T SEE  cf__os_fork_hidden() makes one that no wait() of the program's returns
 *   and that sends it no SIGCHLD, from a program with any number of threads:
 *
 *       caller --clone(VM|VFORK, no exit signal)--> helper --fork()--> child
 *
 *   The helper shares our memory and stops us until it's gone; a child without exit signal isn't reported to
 *   wait(-1).  It calls libc's fork(), which takes malloc's and stdio's locks as it should, and exits; the child is
 *   then nobody's child but init's.
 *   REJECTED  clone3 straight from the caller: the child finds malloc locked by a thread that isn't there (20 of 20
 *   hung).  A plain double fork: the program's wait(-1) may get the one in the middle; it serves where clone is
 *   refused, and is what valgrind makes of ours. */
#ifndef CFUTURES_DETAIL_OS_PROCESS_H
#define CFUTURES_DETAIL_OS_PROCESS_H

#include "os.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <sys/resource.h>
#include <sys/wait.h>

#if CF__BODIES

#ifndef _GNU_SOURCE /* else <sched.h> and <fcntl.h> have them */
#ifdef __cplusplus
extern "C"
#endif
    int
    clone(int (*run)(void *), void *stack, int flags, void *argument, ...);
#define CF__CLONE_VM 0x100
#define CF__CLONE_VFORK 0x4000
#else
#define CF__CLONE_VM CLONE_VM
#define CF__CLONE_VFORK CLONE_VFORK
#endif
#ifndef F_SETSIG
#define F_SETSIG 10
#endif
#ifndef O_ASYNC
#define O_ASYNC 020000
#endif

/* ---- making one ---- */

/* libc's fork(): 0 in the child, its id in the parent, -1 and errno. */
CF__PRIVATE int32_t
cf__os_fork(void)
{
    int fault = CF__FAULT("fork");
    if (fault) {
        errno = fault;
        return -1;
    }
    return CF__STATIC_CAST(int32_t, fork());
}

typedef struct cf__hidden_fork {
    void (*run)(void *);
    void *argument;
    int32_t *process; /* in shared memory, because a helper that doesn't share ours (valgrind) must reach it too */
    int32_t *error;   /* likewise */
} cf__hidden_fork;

CF__PRIVATE int
cf__os_hidden_fork_helper(void *argument)
{
    const cf__hidden_fork *request = CF__STATIC_CAST(const cf__hidden_fork *, argument);
    int32_t process = cf__os_fork();
    if (process == 0) {
        request->run(request->argument);
        _exit(0);
    }
    *request->process = process;
    *request->error = process < 0 ? errno : 0;
    return 0;
}

#define CF__STACK_GUARD (CF__STATIC_CAST(size_t, 64) * 1024)

/* A stack of `size` bytes (0: as much as the system gives a program's main thread) above a guard that can't be
 * touched; *mapped is how much there is in all.  NULL and errno. */
CF__PRIVATE unsigned char *
cf__os_stack_new(size_t size, size_t *mapped)
{
    struct rlimit limit;
    if (size == 0) {
        size = CF__STATIC_CAST(size_t, 8) << 20;
        if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < (CF__STATIC_CAST(rlim_t, 1) << 40))
            size = CF__MAX(size, CF__STATIC_CAST(size_t, limit.rlim_cur));
    }
    *mapped = CF__ROUND_UP(size, CF__STACK_GUARD) + CF__STACK_GUARD;
    void *stack =
        mmap(NULL, *mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return NULL;
    (void)mprotect(stack, CF__STACK_GUARD, PROT_NONE);
    return CF__STATIC_CAST(unsigned char *, stack);
}

/* Runs run(argument) in a new process that the program's wait() and SIGCHLD don't show, on a stack of `stack_size`
 * bytes (0: the system's default), which it and its children keep.  *process gets its id; `process` and `error` are
 * in memory that fork shares.  Returns 0 or an errno. */
CF__PRIVATE int
cf__os_fork_hidden(void (*run)(void *), void *argument, size_t stack_size, int32_t *process, int32_t *error)
{
    cf__hidden_fork request = {run, argument, process, error};
    sigset_t all, before;
    int keep = errno, status;
    size_t mapped;

    unsigned char *stack = cf__os_stack_new(stack_size, &mapped);
    if (stack == NULL) {
        int failed = errno;
        errno = keep;
        return failed;
    }
    *process = -1;
    *error = EAGAIN;
    /* A handler of the program's must not run in the helper, which shares its memory. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    /* ThreadSanitizer takes the helper for our thread, and reports false races ever after. */
    pid_t helper = -1;
    int fault = CF__FAULT("clone");
    if (!CF__THREAD_SANITIZER && fault == 0)
        helper = clone(cf__os_hidden_fork_helper, stack + mapped, CF__CLONE_VM | CF__CLONE_VFORK, &request);
    if (helper < 0) {
        /* The double fork.  Its middle may be seen by wait(-1) for a moment, and the stack is the caller's. */
        helper = fork();
        if (helper == 0)
            _exit(cf__os_hidden_fork_helper(&request));
    }
    if (helper < 0)
        *error = errno;
    else
        while (waitpid(helper, &status, 0x40000000 /* __WALL: also one without exit signal */) < 0 && errno == EINTR) {
        }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)munmap(stack, mapped);
    errno = keep;
    return *error;
}

/* ---- watching one ---- */

/* A descriptor that stands for a process, closed on exec; -1 and errno. */
CF__PRIVATE int
cf__os_pidfd_open(int32_t process)
{
    int fault = CF__FAULT("pidfd_open");
    if (fault) {
        errno = fault;
        return -1;
    }
    return CF__STATIC_CAST(int, syscall(434 /* SYS_pidfd_open */, process, 0));
}

CF__PRIVATE void
cf__os_pidfd_signal(int pidfd, int signal_number)
{
    int keep = errno;
    (void)syscall(424 /* SYS_pidfd_send_signal */, pidfd, signal_number, NULL, 0);
    errno = keep;
}

/* Whether the process behind `pidfd` has ended; waits for it until `deadline`. */
CF__PRIVATE bool
cf__os_pidfd_ended(int pidfd, int64_t deadline)
{
    int keep = errno, ready;
    struct pollfd descriptor = {pidfd, POLLIN, 0};
    do {
        int64_t left = deadline == INT64_MAX ? INT64_MAX : deadline - cf__os_now();
        int64_t milliseconds = left <= 0 ? 0 : CF__MIN(left / 1000000 + 1, INT64_C(1000000));
        ready = poll(&descriptor, 1, CF__STATIC_CAST(int, milliseconds));
    } while ((ready < 0 && errno == EINTR) ||
             (ready == 0 && deadline != 0 && (deadline == INT64_MAX || cf__os_now() < deadline)));
    errno = keep;
    return ready > 0;
}

/* Kills a process and its group. */
CF__PRIVATE void
cf__os_kill_group(int32_t process)
{
    (void)kill(-process, SIGKILL);
    (void)kill(process, SIGKILL);
}

/* Reaps any child that has ended; 0 or less: none. */
CF__PRIVATE int32_t
cf__os_reap_any(int *status)
{
    return CF__STATIC_CAST(int32_t, waitpid(-1, status, WNOHANG));
}

/* Reaps `process` if it's a child of ours that has ended. */
CF__PRIVATE void
cf__os_bury(int32_t process, int *status)
{
    int keep = errno;
    if (process > 0)
        (void)waitpid(process, status, WNOHANG | 0x40000000 /* __WALL */);
    errno = keep;
}

/* Sleeps with no signal blocked until one has been handled, or for `nanoseconds` (-1: without limit), or until the
 * process behind `pidfd` has ended: only then it returns true. */
CF__PRIVATE bool
cf__os_await_signal_or_end(int pidfd, int64_t nanoseconds)
{
    struct pollfd descriptor = {pidfd, POLLIN, 0};
    struct timespec t = cf__os_timespec(nanoseconds);
    uint64_t no_signals = 0;
    /* By number: <poll.h> declares ppoll for _GNU_SOURCE only. */
    return syscall(SYS_ppoll, &descriptor, 1, nanoseconds < 0 ? NULL : &t, &no_signals, sizeof no_signals) > 0;
}

CF__PRIVATE void
cf__os_close(int descriptor)
{
    int keep = errno;
    if (descriptor >= 0)
        (void)close(descriptor);
    errno = keep;
}

/* A pipe whose reader is killed when the last writer is gone; see cf__os_dead_man(). */
CF__PRIVATE int
cf__os_pipe(int ends[2])
{
    int fault = CF__FAULT("pipe"), keep = errno;
    /* By number: <unistd.h> declares pipe2() for _GNU_SOURCE only. */
    int error = fault ? fault : syscall(SYS_pipe2, ends, O_CLOEXEC) != 0 ? errno : 0;
    errno = keep;
    return error;
}

/* Has the kernel kill this process, stopped or not, as soon as nobody can write into `reader` any more. */
CF__PRIVATE void
cf__os_dead_man(int reader)
{
    (void)fcntl(reader, F_SETOWN, getpid());
    (void)fcntl(reader, F_SETSIG, SIGKILL);
    (void)fcntl(reader, F_SETFL, O_ASYNC | O_NONBLOCK);
    struct pollfd descriptor = {reader, POLLIN, 0};
    if (poll(&descriptor, 1, 0) > 0)
        _exit(0); /* the last writer had gone before that */
}

/* ---- being one ---- */

/* What the program wrote and has not flushed would else be written again here. */
CF__PRIVATE void
cf__os_purge_streams(void)
{
    __fpurge(stdin);
    __fpurge(stdout);
    __fpurge(stderr);
}

CF__PRIVATE void
cf__os_flush_streams(void)
{
    if (__fpending(stdout) != 0)
        (void)fflush(stdout);
    if (__fpending(stderr) != 0)
        (void)fflush(stderr);
}

/* Ends this process without running anything of the program's. */
CF__PRIVATE void
cf__os_exit(int status)
{
    _exit(status);
}

/* exit() in a task comes here first, before the program's own handlers.  glibc tells the status; elsewhere it's
 * lost. */
#ifdef __GLIBC__
CF__PRIVATE void
cf__os_at_exit(int status, void *unused)
{
    (void)unused;
    cf__os_flush_streams();
    _exit(status);
}
#else
CF__PRIVATE void
cf__os_at_exit(void)
{
    cf__os_flush_streams();
    _exit(EXIT_FAILURE);
}
#endif

/* From now on exit() ends this process without running what the program has registered before. */
CF__PRIVATE void
cf__os_exit_at_once(void)
{
#ifdef __GLIBC__
    (void)on_exit(cf__os_at_exit, NULL);
#else
    (void)atexit(cf__os_at_exit);
#endif
}

CF__PRIVATE void
cf__os_on_thread_end(void *unused)
{
    (void)unused;
    cf__os_flush_streams();
    _exit(0);
}

/* From now on the process ends with this thread, by pthread_exit() too: threads that a task has left would else keep it alive. */
CF__PRIVATE void
cf__os_end_with_thread(void)
{
    pthread_key_t key;
    if (pthread_key_create(&key, cf__os_on_thread_end) == 0)
        (void)pthread_setspecific(key, CF__POINTER_CAST(void *, CF__STATIC_CAST(uintptr_t, 1)));
}

/* Has this process killed when `parent`, which forked it, dies; ends it if that has happened already. */
CF__PRIVATE void
cf__os_die_with(int32_t parent)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(0);
}

/* Moves `process` (0: this one) into a group of its own. */
CF__PRIVATE void
cf__os_own_group(int32_t process)
{
    (void)setpgid(process, process);
}

/* What descendants leave behind becomes ours to reap. */
CF__PRIVATE void
cf__os_adopt_orphans(void)
{
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

CF__PRIVATE void
cf__os_empty_stdin(void)
{
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0)
        return;
    (void)dup2(nothing, STDIN_FILENO);
    if (nothing != STDIN_FILENO)
        (void)close(nothing);
}

CF__PRIVATE void
cf__os_on_signal(int signal_number)
{
    (void)signal_number; /* it ends cf__os_await_signal_or_end() */
}

/* Blocks two signals but in cf__os_await_signal_or_end(), so that none is missed between a look and the sleep. */
CF__PRIVATE void
cf__os_await_signals(int one, int another)
{
    struct sigaction action;
    sigset_t ours;
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, one);
    (void)sigaddset(&ours, another);
    (void)pthread_sigmask(SIG_BLOCK, &ours, NULL);
    memset(&action, 0, sizeof action);
    action.sa_handler = cf__os_on_signal;
    (void)sigaction(one, &action, NULL);
    (void)sigaction(another, &action, NULL);
}

typedef struct cf__robust_list { /* struct robust_list_head of <linux/futex.h>, and its only entry */
    void *first;                 /* the entry */
    long offset;                 /* from an entry to its word */
    void *pending;               /* none */
    void *entry;                 /* the next entry: the head again */
} cf__robust_list;

/* Has the kernel mark `word`, which holds this thread's id, and wake one who sleeps on it, when this thread dies.
 * `list` is private memory, which lives as long: nobody who shares the word can spoil it. */
CF__PRIVATE void
cf__os_mark_at_death(cf__robust_list *list, uint32_t *word)
{
    list->first = &list->entry;
    list->entry = &list->first;
    list->pending = NULL;
    list->offset = CF__STATIC_CAST(long, CF__POINTER_CAST(uintptr_t, word) - CF__POINTER_CAST(uintptr_t, &list->entry));
    (void)syscall(SYS_set_robust_list, list, 3 * sizeof(void *));
}

/* As if killed by somebody else. */
CF__PRIVATE void
cf__os_kill_self(void)
{
    (void)kill(getpid(), SIGKILL);
}

/* Every signal back to its default, none blocked: the program's handlers have no business in our processes. */
CF__PRIVATE void
cf__os_reset_signals(void)
{
    struct sigaction action;
    sigset_t none;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    for (int i = 1; i < 65; i++)
        (void)sigaction(i, &action, NULL); /* fails for KILL, STOP and libc's own, as it should */
    (void)sigemptyset(&none);
    (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

CF__PRIVATE void
cf__os_ignore_signal(int signal_number)
{
    (void)signal(signal_number, SIG_IGN);
}

#endif /* CF__BODIES */

#endif
