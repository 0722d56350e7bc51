/* cfutures/detail/os.h - memory, time, sleeping and threads, as we ask the system for them.  The other half of THE
 * SEAM.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: config.h.  Included by: everything that allocates, sleeps, or starts a thread.
 * Processes are in os_process.h, the count of usable CPUs in os_cpus.h.
 *
 * RULES OF THE SEAM
 *   - Every call that can fail passes CF__FAULT or CF__CALL, so that a test can make the n-th one fail.
 *   - No function here sets errno for the caller of the library: each keeps what it found.
 *   - Deadlines are absolute nanoseconds of CLOCK_MONOTONIC; INT64_MAX means never.
 *   - tests/model/ replaces this file as a whole; see detail/atomic.h.
 *
 * WHY FUTEXES  glibc's condition variable can lose a wake-up (bug 25847, glibc 2.27 to 2.40), and a word in memory
 *   that processes share needs a futex anyway.  With CF_USE_CONDVAR each sleeper has a condition variable of its own,
 *   which is signalled once: what is lost there is a wake that another sleeper took. */
#ifndef CFUTURES_DETAIL_OS_H
#define CFUTURES_DETAIL_OS_H

#include "config.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* Define these before the first #include to bring your own allocator.  A process pool's shared memory
 * doesn't come from it. */
#ifndef CF_MALLOC
#define CF_MALLOC(size) malloc(size)
#define CF_FREE(p) free(p)
#endif

/* CF__FAULT(site) is 0, or the errno that the call at `site` is to fail with.  Tests define it. */
#ifndef CF__FAULT
#define CF__FAULT(site) 0
#endif

/* What `call` returns; or -1 and errno, as a test wants it: then nothing is called. */
#define CF__CALL(site, call) (cf__os_fault(CF__FAULT(site)) ? -1 : (call))

/* For short sections that never sleep inside. */
typedef struct cf__mutex {
    pthread_mutex_t handle;
} cf__mutex;
#define CF__MUTEX_STATIC                                                                                               \
    {                                                                                                                  \
        PTHREAD_MUTEX_INITIALIZER                                                                                      \
    }

typedef struct cf__cond {
    pthread_cond_t handle;
} cf__cond;

#if CF__BODIES

CF__PRIVATE bool
cf__os_fault(int error)
{
    if (error != 0)
        errno = error;
    return error != 0;
}

/* ---- memory ---- */

CF__PRIVATE void *
cf__os_alloc(size_t size)
{
    if (CF__FAULT("alloc"))
        return NULL;
    int keep = errno;
    void *p = CF_MALLOC(size);
    errno = keep;
    return p;
}

CF__PRIVATE void
cf__os_free(void *p)
{
    int keep = errno;
    CF_FREE(p);
    errno = keep;
}

/* Asks for large pages in a large block of cf__os_alloc()'s: each first touch of a page is a fault, which costs 0.5 us on
 * bare metal and 10 us in some virtual machines. */
CF__PRIVATE void
cf__os_prefer_huge_pages(void *p, size_t size)
{
    uintptr_t page = CF__STATIC_CAST(uintptr_t, 1) << 21;
    uintptr_t first = CF__ROUND_UP(CF__POINTER_CAST(uintptr_t, p), page);
    uintptr_t end = (CF__POINTER_CAST(uintptr_t, p) + size) / page * page;
    int keep = errno;
    if (first < end)
        (void)madvise(CF__POINTER_CAST(void *, first), end - first, 14 /* MADV_HUGEPAGE */);
    errno = keep;
}

/* Zeroed memory whose pages cost nothing until they're touched; NULL when there is none.  Shared, it stays so across fork,
 * at the same address, and out of core dumps. */
CF__PRIVATE void *
cf__os_map(const char *site, size_t size, int whose)
{
    (void)site;
    int keep = errno;
    void *p = MAP_FAILED;
    if (!CF__FAULT(site))
        p = mmap(NULL, size, PROT_READ | PROT_WRITE, whose | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p != MAP_FAILED && whose == MAP_SHARED)
        (void)madvise(p, size, MADV_DONTDUMP);
    errno = keep;
    return p != MAP_FAILED ? p : NULL;
}
#define cf__os_map_shared(size) cf__os_map("map_shared", (size), MAP_SHARED)
#define cf__os_map_private(size) cf__os_map("map_private", (size), MAP_PRIVATE)

CF__PRIVATE void
cf__os_unmap(void *p, size_t size)
{
    int keep = errno;
    (void)munmap(p, size);
    errno = keep;
}

/* A word that reads 1 in the process that made it and 0 in each child forked from it, without a system
 * call to ask: the kernel wipes its page on fork.  NULL when there is no memory. */
CF__PRIVATE uint32_t *
cf__os_fork_guard_new(void)
{
    if (CF__FAULT("fork_guard"))
        return NULL;
    int keep = errno;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    errno = keep;
    if (p == MAP_FAILED)
        return NULL;
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif
    bool wiped = CF__CALL("madvise", madvise(p, 4096, MADV_WIPEONFORK)) == 0; /* since Linux 4.14 */
    errno = keep;
    if (!wiped) {
        (void)munmap(p, 4096);
        errno = keep;
        return NULL;
    }
    uint32_t *guard = CF__STATIC_CAST(uint32_t *, p);
    *guard = 1;
    return guard;
}

CF__PRIVATE void
cf__os_fork_guard_free(uint32_t *guard)
{
    if (guard != NULL)
        cf__os_unmap(guard, 4096);
}

/* ---- time ---- */

CF__PRIVATE int64_t
cf__os_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return CF__STATIC_CAST(int64_t, t.tv_sec) * INT64_C(1000000000) + t.tv_nsec;
}

/* CPU time that this thread has taken. */
CF__PRIVATE int64_t
cf__os_thread_cpu_time(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return CF__STATIC_CAST(int64_t, t.tv_sec) * 1000000000 + t.tv_nsec;
}

CF__PRIVATE struct timespec
cf__os_timespec(int64_t nanoseconds)
{
    struct timespec t;
    if (nanoseconds < 0)
        nanoseconds = 0;
    t.tv_sec = CF__STATIC_CAST(time_t, nanoseconds / INT64_C(1000000000));
    t.tv_nsec = CF__STATIC_CAST(long, nanoseconds % INT64_C(1000000000));
    return t;
}

/* ---- sleeping ---- */

#if CF__FUTEX

/* Whether the word lies in memory of one process or in memory that processes share.  The kernel keeps
 * the two apart: a wake with the wrong one wakes nobody. */
typedef enum cf__scope { CF__SCOPE_SHARED = 0, CF__SCOPE_PRIVATE = 128 } cf__scope;

/* Sleep while *word == expected, until woken or `deadline`.  Returns false only when the deadline passed;
 * true promises nothing (woken, the word differed, a signal): look again. */
CF__PRIVATE bool
cf__os_futex_wait(const uint32_t *word, uint32_t expected, int64_t deadline, cf__scope scope)
{
    int keep = errno;
    struct timespec t = cf__os_timespec(deadline);
    long r =
        CF__CALL("futex_wait", syscall(SYS_futex, word, 9 /* FUTEX_WAIT_BITSET: its time-out is absolute */ | scope,
                                       expected, deadline == INT64_MAX ? NULL : &t, NULL, 0xffffffffu));
    bool in_time = r == 0 || errno != ETIMEDOUT;
    errno = keep;
    return in_time;
}

/* Sleep while both words hold what is expected; both must be shared words.  Returns false when the deadline
 * passed.  *supported becomes false where the kernel can't (before 5.16); then nothing was waited for. */
CF__PRIVATE bool
cf__os_futex_wait_two(const uint32_t *word, uint32_t expected, const uint32_t *word2, uint32_t expected2,
                      int64_t deadline, bool *supported)
{
    struct cf__futex_waitv { /* struct futex_waitv of <linux/futex.h>, which older headers lack */
        uint64_t value, address;
        uint32_t flags, reserved;
    } words[2];
    int keep = errno;
    struct timespec t = cf__os_timespec(deadline);
    memset(words, 0, sizeof words);
    words[0].value = expected;
    words[0].address = CF__POINTER_CAST(uintptr_t, word);
    words[0].flags = 2; /* FUTEX_32, shared */
    words[1].value = expected2;
    words[1].address = CF__POINTER_CAST(uintptr_t, word2);
    words[1].flags = 2;
    long r = CF__CALL("futex_waitv", syscall(449 /* SYS_futex_waitv */, words, 2, 0, deadline == INT64_MAX ? NULL : &t,
                                             CLOCK_MONOTONIC));
    int error = errno;
    errno = keep;
    *supported = !(r < 0 && (error == ENOSYS || error == EPERM || error == EINVAL));
    return !(r < 0 && error == ETIMEDOUT);
}

/* Wake up to `count` sleepers; returns how many were woken.  The word may be gone already: the kernel uses
 * only its address, and a stray wake is one that every sleeper of ours survives. */
CF__PRIVATE int
cf__os_futex_wake(const uint32_t *word, int count, cf__scope scope)
{
    int keep = errno;
    long r = syscall(SYS_futex, word, 1 /* FUTEX_WAKE */ | scope, count, NULL, NULL, 0);
    errno = keep;
    return r > 0 ? CF__STATIC_CAST(int, r) : 0;
}

#endif /* CF__FUTEX */

/* The CPU that we run on just now, + 1; 0 if the system won't say.  Not sched_getcpu(): that reads what the kernel
 * keeps in the thread's rseq area, which isn't kept for processes made by cf__os_fork_hidden(). */
CF__PRIVATE uint32_t
cf__os_cpu(void)
{
    int keep = errno;
    unsigned cpu = 0;
    long failed = CF__CALL("getcpu", syscall(SYS_getcpu, &cpu, NULL, NULL));
    errno = keep;
    return failed ? 0 : CF__STATIC_CAST(uint32_t, cpu) + 1;
}

/* ---- mutual exclusion ---- */

CF__PRIVATE void
cf__mutex_init(cf__mutex *mutex)
{
    (void)pthread_mutex_init(&mutex->handle, NULL); /* can't fail with default attributes on Linux */
}

CF__PRIVATE void
cf__mutex_destroy(cf__mutex *mutex)
{
    (void)pthread_mutex_destroy(&mutex->handle);
}

CF__PRIVATE void
cf__mutex_lock(cf__mutex *mutex)
{
    int error = pthread_mutex_lock(&mutex->handle);
    CF_ASSERT(error == 0);
    (void)error;
}

/* The same, for who would rather spin for some nanoseconds than sleep; the look at the clock is the pause. */
CF__PRIVATE void
cf__mutex_lock_within(cf__mutex *mutex, int64_t spin)
{
    int64_t end = 0;
    while (pthread_mutex_trylock(&mutex->handle) != 0) {
        int64_t now = cf__os_now();
        end = end == 0 ? now + spin : end;
        if (now >= end) {
            cf__mutex_lock(mutex);
            break;
        }
    }
}

CF__PRIVATE void
cf__mutex_unlock(cf__mutex *mutex)
{
    int error = pthread_mutex_unlock(&mutex->handle);
    CF_ASSERT(error == 0);
    (void)error;
}

#if !CF__FUTEX

CF__PRIVATE void
cf__cond_init(cf__cond *cond)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes); /* none of these can fail on Linux */
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&cond->handle, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

CF__PRIVATE void
cf__cond_destroy(cf__cond *cond)
{
    (void)pthread_cond_destroy(&cond->handle);
}

/* Sleeps with `mutex` let go, and holds it again on return.  False only when the deadline passed; true promises nothing.
 * No cancellation point, as the futex isn't one: a thread that ended in here would leave its record in a line of sleepers,
 * on a stack that is gone. */
CF__PRIVATE bool
cf__cond_wait(cf__cond *cond, cf__mutex *mutex, int64_t deadline)
{
    struct timespec t = cf__os_timespec(deadline);
    int cancels, error;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancels);
    if (deadline == INT64_MAX)
        error = pthread_cond_wait(&cond->handle, &mutex->handle);
    else
        error = pthread_cond_timedwait(&cond->handle, &mutex->handle, &t);
    (void)pthread_setcancelstate(cancels, NULL);
    return error != ETIMEDOUT;
}

/* Wakes the one who sleeps; the mutex is held. */
CF__PRIVATE void
cf__cond_signal(cf__cond *cond)
{
    (void)pthread_cond_signal(&cond->handle);
}

#endif

/* ---- threads ---- */

/* Lets another thread run that waits for a CPU, if there is one. */
CF__PRIVATE void
cf__os_yield(void)
{
    int keep = errno;
    (void)sched_yield();
    errno = keep;
}

typedef struct cf__thread {
    pthread_t handle;
} cf__thread;

/* Starts a thread.  It blocks every signal but those that its own instructions raise, so that the program's
 * handlers run on the program's threads.  stack_size 0: the system's default.  Returns 0 or an errno. */
CF__PRIVATE int
cf__os_thread_start(cf__thread *thread, void *(*run)(void *), void *argument, size_t stack_size)
{
    int fault = CF__FAULT("thread_start");
    if (fault)
        return fault;
    pthread_attr_t attributes;
    sigset_t blocked, before;
    int error = pthread_attr_init(&attributes);
    if (error)
        return error;
    if (stack_size)
        error = pthread_attr_setstacksize(&attributes, stack_size);
    if (!error) {
        (void)sigfillset(&blocked);
        (void)sigdelset(&blocked, SIGSEGV);
        (void)sigdelset(&blocked, SIGBUS);
        (void)sigdelset(&blocked, SIGFPE);
        (void)sigdelset(&blocked, SIGILL);
        (void)sigdelset(&blocked, SIGTRAP);
        (void)sigdelset(&blocked, SIGSYS);
        (void)sigdelset(&blocked, SIGABRT);
        (void)pthread_sigmask(SIG_SETMASK, &blocked, &before);
        error = pthread_create(&thread->handle, &attributes, run, argument);
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    }
    (void)pthread_attr_destroy(&attributes);
    return error;
}

/* The size in bytes of a new thread's stack, of which `asked` was asked for; 0: nothing in particular. */
CF__PRIVATE size_t
cf__os_stack_size(size_t asked)
{
    pthread_attr_t attributes;
    size_t size = asked;
    if (size == 0 && pthread_attr_init(&attributes) == 0) {
        (void)pthread_attr_getstacksize(&attributes, &size);
        (void)pthread_attr_destroy(&attributes);
    }
    return size;
}

/* Calls run(argument); should the thread be ended in it, by pthread_exit or pthread_cancel, ended(argument). */
CF__PRIVATE void
cf__os_run_guarded(void (*run)(void *), void *argument, void (*ended)(void *))
{
    pthread_cleanup_push(ended, argument);
    run(argument);
    pthread_cleanup_pop(0);
}

CF__PRIVATE void
cf__os_thread_join(cf__thread *thread)
{
    int error = pthread_join(thread->handle, NULL);
    CF_ASSERT(error == 0);
    (void)error;
}

#ifndef _GNU_SOURCE /* else <pthread.h> has it */
#ifdef __cplusplus
extern "C"
#endif
    int
    pthread_tryjoin_np(pthread_t thread, void **result);
#endif

/* The same, if the thread is gone; false: it isn't quite. */
CF__PRIVATE bool
cf__os_thread_try_join(cf__thread *thread)
{
    return pthread_tryjoin_np(thread->handle, NULL) == 0;
}

CF__PRIVATE cf__thread
cf__os_thread_self(void)
{
    cf__thread self;
    self.handle = pthread_self();
    return self;
}

CF__PRIVATE bool
cf__os_thread_is_self(const cf__thread *thread)
{
    return pthread_equal(thread->handle, pthread_self()) != 0;
}

/* Names the calling thread, in debuggers and in ps; longer names are cut to 15 bytes. */
CF__PRIVATE void
cf__os_thread_name(const char *name)
{
    int keep = errno;
    char text[16];
    size_t length = strlen(name);
    if (length > sizeof text - 1)
        length = sizeof text - 1;
    memcpy(text, name, length);
    text[length] = 0;
    (void)prctl(PR_SET_NAME, text, 0, 0, 0);
    errno = keep;
}

CF__PRIVATE int32_t
cf__os_pid(void)
{
    return CF__STATIC_CAST(int32_t, getpid());
}

#endif /* CF__BODIES */

#endif
