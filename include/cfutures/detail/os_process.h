/* cfutures/detail/os_process.h - processes, as we ask the system for them.  Part of THE SEAM.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: os.h.  Included by: worker.h, template.h, process_pool.h, sandbox.h.
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
    return CF__STATIC_CAST(int32_t, CF__CALL("fork", fork()));
}

/* A pipe whose only writer is to be the process on which others depend, see cf__os_attach(). */
CF__PRIVATE int
cf__os_pipe(int ends[2])
{
    int keep = errno;
    /* By number: <unistd.h> declares pipe2() for _GNU_SOURCE only. */
    int error = CF__CALL("pipe", syscall(SYS_pipe2, ends, O_CLOEXEC)) != 0 ? errno : 0;
    errno = keep;
    return error;
}

/* From now on the kernel continues whoever in this process group is stopped when the last writer of `life_line` is gone, so
 * that it can see to its end.  This process isn't a writer any more.  Returns 0 or an errno. */
CF__PRIVATE int
cf__os_attach(const int life_line[2])
{
    (void)close(life_line[1]);
    if (CF__CALL("fcntl", fcntl(life_line[0], F_SETOWN, -getpgrp())) != 0 ||
        CF__CALL("fcntl", fcntl(life_line[0], F_SETSIG, SIGCONT)) != 0 ||
        CF__CALL("fcntl", fcntl(life_line[0], F_SETFL, O_ASYNC | O_NONBLOCK)) != 0)
        return errno;
    return 0;
}

typedef struct cf__hidden_fork {
    void (*run)(void *);
    void *argument;
    int32_t *process; /* in shared memory, because a helper that doesn't share ours (valgrind) must reach it too */
    int32_t *error;   /* likewise */
    const int *life_line;
} cf__hidden_fork;

CF__PRIVATE int
cf__os_hidden_fork_helper(void *argument)
{
    const cf__hidden_fork *request = CF__STATIC_CAST(const cf__hidden_fork *, argument);
    (void)CF__CALL("setpgid", setpgid(0, 0));
    *request->error = cf__os_attach(request->life_line);
    if (*request->error != 0)
        return 0; /* what nothing would end with the program isn't made */
    int32_t process = cf__os_fork();
    if (process == 0) {
        request->run(request->argument);
        _exit(0);
    }
    if (process < 0)
        *request->error = errno; /* else it's the child's, who may be quicker */
    *request->process = process;
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
    if (cf__os_fault(CF__FAULT("stack")))
        return NULL;
    void *stack =
        mmap(NULL, *mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return NULL;
    (void)CF__CALL("mprotect", mprotect(stack, CF__STACK_GUARD, PROT_NONE));
    return CF__STATIC_CAST(unsigned char *, stack);
}

/* Runs run(argument) in a new process that the program's wait() and SIGCHLD don't show, on a stack of `stack_size`
 * bytes (0: the system's default), which it and its children keep; in a process group of its own, from its first instant on
 * attached to the pipe `life_line`.  *process gets its id; `process` and `error` are in memory that fork shares.  Returns 0
 * or an errno. */
CF__PRIVATE int
cf__os_fork_hidden(void (*run)(void *), void *argument, size_t stack_size, const int life_line[2], int32_t *process,
                   int32_t *error)
{
    cf__hidden_fork request = {run, argument, process, error, life_line};
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
    *error = 0;
    /* A handler of the program's must not run in the helper, which shares its memory. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    /* ThreadSanitizer takes the helper for our thread, and reports false races ever after. */
    pid_t helper = -1;
    if (!CF__THREAD_SANITIZER)
        helper = CF__CALL("clone",
                          clone(cf__os_hidden_fork_helper, stack + mapped, CF__CLONE_VM | CF__CLONE_VFORK, &request));
    if (helper < 0) {
        /* The double fork.  Its middle may be seen by wait(-1) for a moment, and the stack is the caller's. */
        helper = CF__CALL("double_fork", fork());
        if (helper == 0)
            _exit(cf__os_hidden_fork_helper(&request));
    }
    int failed = helper < 0 ? errno : EAGAIN;
    if (helper >= 0)
        while (CF__CALL("waitpid", waitpid(helper, &status, 0x40000000 /* __WALL: also one without exit signal */)) <
                   0 &&
               errno == EINTR) {
        }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)munmap(stack, mapped);
    errno = keep;
    return *process > 0 ? 0 : *error != 0 ? *error : failed;
}

/* ---- watching one ---- */

/* A descriptor that stands for a process, closed on exec; -1 and errno. */
CF__PRIVATE int
cf__os_pidfd_open(int32_t process)
{
    return CF__STATIC_CAST(int, CF__CALL("pidfd_open", syscall(434 /* SYS_pidfd_open */, process, 0)));
}

/* False: it's gone, or we may not. */
CF__PRIVATE bool
cf__os_pidfd_signal(int pidfd, int signal_number)
{
    int keep = errno;
    long failed = CF__CALL("pidfd_signal", syscall(424 /* SYS_pidfd_send_signal */, pidfd, signal_number, NULL, 0));
    errno = keep;
    return failed == 0;
}

/* Whether the process behind `pidfd` has ended; waits for it until `deadline`. */
CF__PRIVATE bool
cf__os_pidfd_ended(int pidfd, int64_t deadline)
{
    int keep = errno, ready;
    struct pollfd descriptor = {pidfd, POLLIN, 0};
    do {
        int64_t left = deadline == INT64_MAX ? INT64_MAX : CF__MAX(deadline, INT64_C(0)) - cf__os_now();
        int64_t milliseconds = left <= 0 ? 0 : CF__MIN(left / 1000000 + 1, INT64_C(1000000));
        ready = CF__CALL("poll", poll(&descriptor, 1, CF__STATIC_CAST(int, milliseconds)));
    } while ((ready < 0 && errno == EINTR) ||
             (ready == 0 && deadline != 0 && (deadline == INT64_MAX || cf__os_now() < deadline)));
    errno = keep;
    return ready > 0;
}

/* Sends a signal to a process of ours and to its group. */
CF__PRIVATE void
cf__os_signal_group(int32_t process, int signal_number)
{
    (void)kill(-process, signal_number);
    if (signal_number == SIGKILL)
        (void)kill(process, SIGKILL); /* it may have left the group */
}

/* How a process ended, and what it took. */
typedef struct cf__process_death {
    int32_t signal, status;
    int64_t cpu;          /* nanoseconds, of all its life */
    uint64_t peak_memory; /* bytes */
} cf__process_death;

/* A child that has ended and isn't reaped yet, so that its number is still its own; 0: none. */
CF__PRIVATE int32_t
cf__os_dead_child(void)
{
    siginfo_t info;
    memset(&info, 0, sizeof info);
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? info.si_pid : 0;
}

/* Reaps a child that has ended. */
CF__PRIVATE void
cf__os_reap(int32_t process, cf__process_death *death)
{
    int status = 0;
    struct rusage usage;
    memset(&usage, 0, sizeof usage);
    /* By number: <sys/wait.h> declares wait4() for _DEFAULT_SOURCE only. */
    (void)syscall(SYS_wait4, process, &status, WNOHANG, &usage);
    death->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    death->status = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    death->cpu = (CF__STATIC_CAST(int64_t, usage.ru_utime.tv_sec) + usage.ru_stime.tv_sec) * 1000000000 +
                 (CF__STATIC_CAST(int64_t, usage.ru_utime.tv_usec) + usage.ru_stime.tv_usec) * 1000;
    death->peak_memory = CF__STATIC_CAST(uint64_t, usage.ru_maxrss) * 1024;
}

/* CPU time of all threads of `process`, 0: this one; INT64_MAX if it's gone. */
CF__PRIVATE int64_t
cf__os_process_cpu_time(int32_t process)
{
    struct timespec t;
    /* The kernel's name for that clock, as clock_getcpuclockid() makes it. */
    int32_t clock = CF__STATIC_CAST(int32_t, (~CF__STATIC_CAST(uint32_t, process) << 3) | 2u);
    if (clock_gettime(process != 0 ? clock : CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
        return INT64_MAX;
    return CF__STATIC_CAST(int64_t, t.tv_sec) * 1000000000 + t.tv_nsec;
}

/* The first numbers in a small file of /proc; how many there are, 0 if it can't be read. */
CF__PRIVATE unsigned
cf__os_read_numbers(const char *path, uint64_t *numbers, unsigned most)
{
    char text[256];
    unsigned count = 0;
    int descriptor = CF__CALL("open", open(path, O_RDONLY | O_CLOEXEC));
    ssize_t size = descriptor < 0 ? -1 : read(descriptor, text, sizeof text - 1);
    if (descriptor >= 0)
        (void)close(descriptor);
    if (size <= 0)
        return 0;
    text[size] = 0;
    for (char *at = text, *end; count < most; at = end) {
        numbers[count] = strtoull(at, &end, 10);
        if (end == at)
            break;
        count++;
    }
    return count;
}

/* Bytes of memory that this process has: private writable mappings, and what is in memory of its own; 0: unknown. */
CF__PRIVATE void
cf__os_memory(uint64_t *mapped, uint64_t *resident)
{
    uint64_t pages[6]; /* size, resident, shared, text, 0, data */
    uint64_t page = CF__STATIC_CAST(uint64_t, sysconf(_SC_PAGESIZE));
    bool known = cf__os_read_numbers("/proc/self/statm", pages, 6) == 6;
    *mapped = known ? pages[5] * page : 0;
    *resident = known ? (pages[1] - CF__MIN(pages[1], pages[2])) * page : 0;
}

/* Lets this process have `more` bytes of memory on top of what it has; *before is for cf__os_unlimit_memory().  Returns 0
 * or an errno. */
CF__PRIVATE int
cf__os_limit_memory(uint64_t more, uint64_t *before)
{
    struct rlimit limit;
    uint64_t mapped, resident;
    cf__os_memory(&mapped, &resident);
    if (mapped == 0)
        return ENOSYS;
    if (CF__FAULT("rlimit") || getrlimit(RLIMIT_DATA, &limit) != 0)
        return EPERM;
    *before = CF__STATIC_CAST(uint64_t, limit.rlim_cur);
    if (more < CF__STATIC_CAST(uint64_t, limit.rlim_cur) - CF__MIN(mapped, *before))
        limit.rlim_cur = CF__STATIC_CAST(rlim_t, mapped + more);
    return setrlimit(RLIMIT_DATA, &limit) != 0 ? errno : 0;
}

CF__PRIVATE void
cf__os_unlimit_memory(uint64_t before)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_DATA, &limit) != 0)
        return;
    limit.rlim_cur = CF__STATIC_CAST(rlim_t, before);
    (void)setrlimit(RLIMIT_DATA, &limit);
}

/* How many processes the kernel has killed for lack of memory since it started; 0: unknown. */
CF__PRIVATE uint64_t
cf__os_memory_kills(void)
{
    char text[16384];
    uint64_t kills = 0;
    int descriptor = CF__CALL("open", open("/proc/vmstat", O_RDONLY | O_CLOEXEC));
    ssize_t size = descriptor < 0 ? -1 : read(descriptor, text, sizeof text - 1);
    if (descriptor >= 0)
        (void)close(descriptor);
    if (size > 0) {
        text[size] = 0;
        const char *line = strstr(text, "\noom_kill ");
        if (line != NULL)
            kills = strtoull(line + 10, NULL, 10);
    }
    return kills;
}

/* When the kernel must kill a process for memory, this one rather than its parent. */
CF__PRIVATE void
cf__os_prefer_as_victim(void)
{
    int descriptor = CF__CALL("open", open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC));
    if (descriptor < 0)
        return;
    (void)!write(descriptor, "300", 3);
    (void)close(descriptor);
}

/* Sends a signal to a process of ours that is surely still there; false: we may not. */
CF__PRIVATE bool
cf__os_signal(int32_t process, int signal_number)
{
    return kill(process, signal_number) == 0;
}

/* Whose rights we have; a change of them makes the kernel forget what cf__os_die_with() has told it. */
CF__PRIVATE uint64_t
cf__os_user(void)
{
    return CF__STATIC_CAST(uint64_t, geteuid()) << 32 | getegid();
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

typedef enum cf__awaited { CF__AWAITED_TIME, CF__AWAITED_SIGNAL, CF__AWAITED_END } cf__awaited;

/* Sleeps with no signal blocked until one has been handled, or for `nanoseconds` (-1: without limit), or until the
 * process behind `pidfd` has ended or the last writer of `reader` is gone. */
CF__PRIVATE cf__awaited
cf__os_await_signal_or_end(int pidfd, int reader, int64_t nanoseconds)
{
    struct pollfd descriptors[2] = {{pidfd, POLLIN, 0}, {reader, POLLIN, 0}};
    struct timespec t = cf__os_timespec(nanoseconds);
    uint64_t no_signals = 0;
    /* By number: <poll.h> declares ppoll for _GNU_SOURCE only. */
    long ready = CF__CALL(
        "ppoll", syscall(SYS_ppoll, descriptors, 2, nanoseconds < 0 ? NULL : &t, &no_signals, sizeof no_signals));
    return ready > 0 ? CF__AWAITED_END : ready < 0 ? CF__AWAITED_SIGNAL : CF__AWAITED_TIME;
}

CF__PRIVATE void
cf__os_close(int descriptor)
{
    int keep = errno;
    if (descriptor >= 0)
        (void)close(descriptor);
    errno = keep;
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

/* As exit() does, quick_exit() runs what was registered last first.  It tells nobody the status. */
CF__PRIVATE void
cf__os_at_quick_exit(void)
{
    cf__os_flush_streams();
    _exit(EXIT_FAILURE);
}

/* From now on exit() and quick_exit() end this process without running what the program has registered before.  False:
 * they don't, for want of memory. */
CF__PRIVATE bool
cf__os_exit_at_once(void)
{
    if (CF__CALL("at_exit", at_quick_exit(cf__os_at_quick_exit)) != 0)
        return false;
#ifdef __GLIBC__
    return CF__CALL("at_exit", on_exit(cf__os_at_exit, NULL)) == 0;
#else
    return CF__CALL("at_exit", atexit(cf__os_at_exit)) == 0;
#endif
}

CF__PRIVATE void
cf__os_on_thread_end(void *unused)
{
    (void)unused;
    cf__os_flush_streams();
    _exit(0);
}

/* From now on the process ends with this thread, by pthread_exit() too: threads that a task has left would else keep it alive.
 * False: it doesn't, for the program has all the keys there are. */
CF__PRIVATE bool
cf__os_end_with_thread(void)
{
    pthread_key_t key;
    return !CF__FAULT("thread_key") && pthread_key_create(&key, cf__os_on_thread_end) == 0 &&
           pthread_setspecific(key, CF__POINTER_CAST(void *, CF__STATIC_CAST(uintptr_t, 1))) == 0;
}

/* Has this process killed when `parent`, which forked it, dies; ends it if that has happened already. */
CF__PRIVATE void
cf__os_die_with(int32_t parent)
{
    int signal_number = 0; /* the question is allowed in a sandbox, the order isn't */
    if (prctl(PR_GET_PDEATHSIG, &signal_number, 0, 0, 0) != 0 || signal_number != SIGKILL)
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != parent)
        _exit(0);
}

CF__PRIVATE void
cf__os_own_group(void)
{
    (void)CF__CALL("setpgid", setpgid(0, 0));
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
    int nothing = CF__CALL("open_null", open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (nothing < 0 || CF__CALL("dup", dup2(nothing, STDIN_FILENO)) < 0)
        (void)close(STDIN_FILENO); /* better none than the program's */
    if (nothing > STDIN_FILENO)
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
    (void)CF__CALL("robust_list", syscall(SYS_set_robust_list, list, 3 * sizeof(void *)));
}

/* Waits to be killed. */
CF__PRIVATE void
cf__os_pause_for_good(void)
{
    for (;;)
        (void)pause();
}

/* Every signal back to its default, but for `count` that are ignored, and none blocked: the program's handlers have no
 * business in our processes.  What was pending of those that are ignored is gone. */
CF__PRIVATE void
cf__os_reset_signals(const int *ignored, size_t count)
{
    struct sigaction action;
    sigset_t none;
    memset(&action, 0, sizeof action);
    for (int i = 1; i < 65; i++) {
        action.sa_handler = SIG_DFL;
        for (size_t j = 0; j < count; j++) {
            if (ignored[j] == i)
                action.sa_handler = SIG_IGN;
        }
        (void)sigaction(i, &action, NULL); /* fails for KILL, STOP and libc's own, as it should */
    }
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
