/* tests/unit/test_os.c - detail/os.h
 * SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* pthread_getattr_np */
#include "unit.h"

#include <cfutures/detail/atomic.h>
#include <cfutures/detail/os.h>

enum { odd_errno = 123, page = 4096 };

/* A time that goes on, and a word that others write: what is compared is what is taken.  (Twice read, the time left was 1 ns, and
 * then none, which to the template means: sleep for ever.) */
static void
test_os_least_and_most_read_once(void **state)
{
    (void)state;
    int left = 2;
    assert_int_equal(CF__MAX(--left, 0), 1);
    assert_int_equal(CF__MAX(0, --left), 0);
    assert_int_equal(CF__MIN(left++, 5), 0);
    assert_int_equal(CF__MIN(5, left++), 1);
    assert_int_equal(left, 2);
}

/* Memory calls leave the caller's errno alone, also when they fail. */
static void
test_os_memory_keeps_errno(void **state)
{
    (void)state;
    errno = odd_errno;
    void *p = cf__os_alloc(10);
    cf__os_free(p);
    cf__os_free(NULL);
    void *shared = cf__os_map_shared(page), *own = cf__os_map_private(page);
    void *too_big = cf__os_map_shared(SIZE_MAX / 2), *too_big_own = cf__os_map_private(SIZE_MAX / 2);
    cf__os_unmap(shared, page);
    cf__os_unmap(own, page);
    cf__os_unmap(own, 0); /* refused by the kernel */
    uint32_t *guard = cf__os_fork_guard_new();
    cf__os_fork_guard_free(guard);
    cf__os_fork_guard_free(NULL);
    assert_int_equal(errno, odd_errno);
    assert_non_null(p);
    assert_non_null(shared);
    assert_non_null(own);
    assert_null(too_big);
    assert_null(too_big_own);
    assert_non_null(guard);
}

/* Each call that can fail does so where a test wants it. */
static void
test_os_calls_fail_on_demand(void **state)
{
    (void)state;
    fault_fail_nth("alloc", 1, ENOMEM);
    assert_null(cf__os_alloc(1));
    fault_fail_nth("map_shared", 1, ENOMEM);
    assert_null(cf__os_map_shared(page));
    fault_fail_nth("map_private", 1, ENOMEM);
    assert_null(cf__os_map_private(page));
    fault_fail_nth("fork_guard", 1, ENOMEM);
    assert_null(cf__os_fork_guard_new());
}

typedef struct maps {
    unsigned char *shared, *own;
    uint32_t *guard;
} maps;

static int
child_of_guard(void *argument)
{
    const uint32_t *guard = argument;
    return *guard == 0 ? 0 : 1;
}

static int
child_writes(void *argument)
{
    maps *m = argument;
    m->shared[page - 1] = 7;
    m->own[0] = 7;
    child_check(*m->guard == 0);
    child_check(run_in_child_with(child_of_guard, m->guard) == 0);
    return 0;
}

/* Shared memory is the children's too, private isn't; a fork guard reads 0 in children and theirs. */
static void
test_os_memory_across_fork(void **state)
{
    (void)state;
    maps m = {cf__os_map_shared(page), cf__os_map_private(page), cf__os_fork_guard_new()};
    assert_non_null(m.shared);
    assert_non_null(m.own);
    assert_non_null(m.guard);
    for (int i = 0; i < page; i++)
        assert_int_equal(m.shared[i] | m.own[i], 0);
    assert_int_equal(*m.guard, 1);
    assert_int_equal(run_in_child_with(child_writes, &m), 0);
    assert_int_equal(m.shared[page - 1], 7);
    assert_int_equal(m.own[0], 0);
    assert_int_equal(*m.guard, 1);
    cf__os_unmap(m.shared, page);
    cf__os_unmap(m.own, page);
    cf__os_fork_guard_free(m.guard);
}

/* Time goes on, in nanoseconds of the monotonic clock. */
static void
test_os_time_is_monotonic(void **state)
{
    (void)state;
    struct timespec t;
    int64_t a = cf__os_now();
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    int64_t b = cf__os_now();
    int64_t between = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    assert_true(a <= between && between <= b);
    wait_until(cf__os_now() > b);
}

/* Nanoseconds are split for the kernel; negative ones would be refused, so they are 0. */
static void
test_os_timespec_splits(void **state)
{
    (void)state;
    struct timespec t = cf__os_timespec(INT64_C(2500000001));
    assert_int_equal(t.tv_sec, 2);
    assert_int_equal(t.tv_nsec, 500000001);
    t = cf__os_timespec(-1);
    assert_int_equal(t.tv_sec, 0);
    assert_int_equal(t.tv_nsec, 0);
    t = cf__os_timespec(INT64_MAX);
    assert_int_equal(t.tv_sec, INT64_MAX / 1000000000);
    assert_true(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
}

#if CF__FUTEX

/* A wait returns at once if the word has changed, at the deadline if it hasn't, and leaves errno alone. */
static void
test_os_futex_wait_ends(void **state)
{
    (void)state;
    uint32_t word = 1;
    errno = odd_errno;
    assert_true(cf__os_futex_wait(&word, 0, CF_FOREVER, CF__SCOPE_PRIVATE));
    assert_true(cf__os_futex_wait(&word, 0, CF_FOREVER, CF__SCOPE_SHARED));
    assert_false(cf__os_futex_wait(&word, 1, -1, CF__SCOPE_PRIVATE));
    assert_false(cf__os_futex_wait(&word, 1, 1, CF__SCOPE_SHARED));
    /* Nobody wakes it, so how soon it ends doesn't matter; a deadline taken for a span would last as long as the machine is up. */
    assert_false(cf__os_futex_wait(&word, 1, cf_after_ms(1), CF__SCOPE_PRIVATE));
    assert_int_equal(cf__os_futex_wake(&word, 1, CF__SCOPE_PRIVATE), 0);
    assert_int_equal(errno, odd_errno);
}

typedef struct sleep_on {
    const uint32_t *word;
    cf__scope scope;
} sleep_on;

static void *
sleeps(void *argument)
{
    const sleep_on *s = argument;
    while (cf__load_acquire(s->word) == 0)
        (void)cf__os_futex_wait(s->word, 0, CF_FOREVER, s->scope);
    return NULL;
}

static int
sleeps_in_child(void *argument)
{
    (void)sleeps(argument);
    return 0;
}

/* A wake wakes as many sleepers as it was told to, and says how many. */
static void
test_os_futex_wake_counts(void **state)
{
    (void)state;
    uint32_t word = 0;
    sleep_on s = {&word, CF__SCOPE_PRIVATE};
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        threads[i] = start_thread(sleeps, &s);
    int woken = 0;
    wait_until((woken = cf__os_futex_wake(&word, 1, CF__SCOPE_PRIVATE)) != 0); /* that one goes to sleep again */
    assert_int_equal(woken, 1);
    wait_until((woken = cf__os_futex_wake(&word, 2, CF__SCOPE_PRIVATE)) >= 2);
    assert_int_equal(woken, 2);
    cf__store_release(&word, 1u);
    (void)cf__os_futex_wake(&word, INT_MAX, CF__SCOPE_PRIVATE);
    for (int i = 0; i < 3; i++)
        join_thread(threads[i]);
}

/* A sleeper in another process is woken through shared memory. */
static void
test_os_futex_wakes_across_processes(void **state)
{
    (void)state;
    uint32_t *word = cf__os_map_shared(page);
    assert_non_null(word);
    sleep_on s = {word, CF__SCOPE_SHARED};
    pid_t pid = fork_child(sleeps_in_child, &s);
    assert_true(pid > 0);
    wait_until(cf__os_futex_wake(word, 1, CF__SCOPE_SHARED) == 1);
    cf__store_release(word, 1u);
    (void)cf__os_futex_wake(word, 1, CF__SCOPE_SHARED);
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    cf__os_unmap(word, page);
}

static void *
sleeps_on_two(void *argument)
{
    const uint32_t *words = argument;
    bool supported = true;
    while (supported && cf__load_acquire(&words[0]) == 0 && cf__load_acquire(&words[1]) == 0)
        (void)cf__os_futex_wait_two(&words[0], 0, &words[1], 0, CF_FOREVER, &supported);
    return NULL;
}

/* A wait for two words ends at a change of either, at a wake of either, and at the deadline. */
static void
test_os_futex_waits_for_two_words(void **state)
{
    (void)state;
    uint32_t *words = cf__os_map_shared(page);
    assert_non_null(words);
    bool supported = false;
    errno = odd_errno;
    bool in_time = cf__os_futex_wait_two(&words[0], 0, &words[1], 0, 1, &supported);
    if (!supported) { /* Linux before 5.16 */
        cf__os_unmap(words, page);
        skip();
    }
    assert_false(in_time);
    assert_true(cf__os_futex_wait_two(&words[0], 1, &words[1], 0, CF_FOREVER, &supported));
    assert_true(supported);
    assert_true(cf__os_futex_wait_two(&words[0], 0, &words[1], 1, CF_FOREVER, &supported));
    assert_true(supported);
    assert_int_equal(errno, odd_errno);
    for (int i = 0; i < 2; i++) {
        words[0] = words[1] = 0;
        pthread_t thread = start_thread(sleeps_on_two, words);
        wait_until(cf__os_futex_wake(&words[i], 1, CF__SCOPE_SHARED) == 1);
        cf__store_release(&words[i], 1u);
        (void)cf__os_futex_wake(&words[i], 1, CF__SCOPE_SHARED);
        join_thread(thread);
    }
    cf__os_unmap(words, page);
}

/* A kernel without a wait for two words is told from one that has it. */
static void
test_os_futex_two_words_unsupported(void **state)
{
    (void)state;
    uint32_t words[2] = {0, 0};
    static const int refusals[] = {ENOSYS, EPERM, EINVAL};
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        bool supported = true;
        fault_fail_nth("futex_waitv", 1, refusals[i]);
        assert_true(cf__os_futex_wait_two(&words[0], 0, &words[1], 0, CF_FOREVER, &supported));
        assert_false(supported);
    }
    bool supported = false;
    fault_fail_nth("futex_waitv", 1, ETIMEDOUT);
    assert_false(cf__os_futex_wait_two(&words[0], 0, &words[1], 0, CF_FOREVER, &supported));
    assert_true(supported);
    fault_fail_nth("futex_waitv", 1, EAGAIN);
    assert_true(cf__os_futex_wait_two(&words[0], 0, &words[1], 0, CF_FOREVER, &supported));
    assert_true(supported);
}

#endif

typedef struct tally {
    cf__mutex mutex;
    unsigned n; /* M */
} tally;

static void *
adds_up(void *argument)
{
    tally *t = argument;
    for (int i = 0; i < 10000; i++) {
        cf__mutex_lock(&t->mutex);
        t->n++;
        cf__mutex_unlock(&t->mutex);
        if (i % 1000 == 0)
            (void)sched_yield();
    }
    return NULL;
}

/* A mutex lets one in at a time. */
static void
test_os_mutex_excludes(void **state)
{
    (void)state;
    tally t = {.n = 0};
    cf__mutex_init(&t.mutex);
    pthread_t a = start_thread(adds_up, &t), b = start_thread(adds_up, &t);
    join_thread(a);
    join_thread(b);
    assert_int_equal(t.n, 20000);
    cf__mutex_destroy(&t.mutex);
}

typedef struct entry {
    cf__mutex mutex;
    int64_t spin;
    uint32_t started, entered; /* A */
} entry;

static void *
enters(void *argument)
{
    entry *e = argument;
    cf__store_release(&e->started, 1u);
    cf__mutex_lock_within(&e->mutex, e->spin);
    cf__store_release(&e->entered, 1u);
    cf__mutex_unlock(&e->mutex);
    return NULL;
}

/* Who spins for a mutex comes in when its holder has left, and not before: when it has slept, too. */
static void
test_os_mutex_spin_excludes(void **state)
{
    (void)state;
    const int64_t spins[] = {0, 1, 1000, INT64_C(60000000000)};
    for (size_t i = 0; i < sizeof spins / sizeof *spins; i++) {
        entry e = {.spin = spins[i]};
        cf__mutex_init(&e.mutex);
        cf__mutex_lock(&e.mutex);
        pthread_t thread = start_thread(enters, &e);
        wait_until(cf__load_acquire(&e.started));
        /* Time for a mistake; without one it doesn't matter how far the thread comes. */
        for (int64_t end = cf__os_now() + 2000000; cf__os_now() < end; (void)sched_yield())
            assert_int_equal(cf__load_acquire(&e.entered), 0);
        cf__mutex_unlock(&e.mutex);
        join_thread(thread);
        assert_int_equal(cf__load_acquire(&e.entered), 1);
        cf__mutex_destroy(&e.mutex);
    }
}

typedef struct seen { /* what a thread finds; read after the join */
    cf__thread thread;
    uint32_t started; /* A: the starter has written `thread` */
    sigset_t blocked;
    size_t stack;
    bool is_self;
    char name[17];
    int errno_after;
} seen;

static void *
looks_around(void *argument)
{
    seen *s = argument;
    pthread_attr_t attributes;
    wait_until(cf__load_acquire(&s->started));
    s->is_self = cf__os_thread_is_self(&s->thread);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &s->blocked);
    errno = odd_errno;
    cf__os_thread_name("a name of twenty-two c");
    s->errno_after = errno;
    (void)prctl(PR_GET_NAME, s->name, 0, 0, 0);
    if (pthread_getattr_np(pthread_self(), &attributes) == 0) {
        (void)pthread_attr_getstacksize(&attributes, &s->stack);
        (void)pthread_attr_destroy(&attributes);
    }
    return NULL;
}

/* A thread blocks all signals but those of its own making, has the stack and the name it's given; its starter's mask stays. */
static void
test_os_thread_is_as_asked(void **state)
{
    (void)state;
    seen s;
    sigset_t before, after;
    memset(&s, 0, sizeof s);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(cf__os_thread_start(&s.thread, looks_around, &s, 1 << 20), 0);
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_false(cf__os_thread_is_self(&s.thread));
    cf__store_release(&s.started, 1u);
    cf__os_thread_join(&s.thread);
    assert_true(s.is_self);
    assert_string_equal(s.name, "a name of twent");
    assert_int_equal(s.errno_after, odd_errno);
    assert_true(s.stack >= 1 << 20 && s.stack < 4 << 20);
    static const int own[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    static const int others[] = {SIGINT, SIGTERM, SIGHUP, SIGALRM, SIGCHLD, SIGUSR1, SIGUSR2, SIGPIPE, SIGPROF};
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        assert_int_equal(sigismember(&s.blocked, own[i]), 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(sigismember(&s.blocked, others[i]), 1);
    for (int i = 1; i < 32; i++)
        assert_int_equal(sigismember(&before, i), sigismember(&after, i));
}

/* A thread that can't be started is an errno, and the caller's signals are as before. */
static void
test_os_thread_start_fails(void **state)
{
    (void)state;
    seen s;
    sigset_t after;
    memset(&s, 0, sizeof s);
    fault_fail_nth("thread_start", 1, EAGAIN);
    assert_int_equal(cf__os_thread_start(&s.thread, looks_around, &s, 0), EAGAIN);
    assert_int_equal(cf__os_thread_start(&s.thread, looks_around, &s, 1), EINVAL); /* a stack of one byte */
    (void)pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGTERM), 0);
}

/* A thread's name of just the right length isn't cut. */
static void
test_os_thread_name_fits(void **state)
{
    (void)state;
    char before[17], name[17];
    (void)prctl(PR_GET_NAME, before, 0, 0, 0);
    cf__os_thread_name("exactly fifteen");
    (void)prctl(PR_GET_NAME, name, 0, 0, 0);
    cf__os_thread_name(before);
    assert_string_equal(name, "exactly fifteen");
    assert_int_equal(cf__os_pid(), getpid());
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_os_least_and_most_read_once),
        cmocka_unit_test(test_os_memory_keeps_errno),
        cmocka_unit_test(test_os_calls_fail_on_demand),
        cmocka_unit_test(test_os_memory_across_fork),
        cmocka_unit_test(test_os_time_is_monotonic),
        cmocka_unit_test(test_os_timespec_splits),
#if CF__FUTEX
        cmocka_unit_test(test_os_futex_wait_ends),
        cmocka_unit_test(test_os_futex_wake_counts),
        cmocka_unit_test(test_os_futex_wakes_across_processes),
        cmocka_unit_test(test_os_futex_waits_for_two_words),
        cmocka_unit_test(test_os_futex_two_words_unsupported),
#endif
        cmocka_unit_test(test_os_mutex_excludes),
        cmocka_unit_test(test_os_mutex_spin_excludes),
        cmocka_unit_test(test_os_thread_is_as_asked),
        cmocka_unit_test(test_os_thread_start_fails),
        cmocka_unit_test(test_os_thread_name_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
