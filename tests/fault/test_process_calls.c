/* tests/fault/test_process_calls.c - every call that can fail does, in turn: an error, or a pool that works.
 * SPDX-License-Identifier: MIT
 *   --seconds N   how long; without it each call of each site
 *
 * HOW  One pool's life, from its creation over all that can be done with it to its end, is lived again and again.  Of one site
 *   (a CF__FAULT or CF__CALL of detail/os*.h) the first call fails, in the next life the second, and so on, until there are
 *   fewer calls than that; then, from the first on, all of them.  The table of faults is shared (support.h), so the calls of
 *   the helper, the template and the workers are among them; the figures at the end say whose they were.
 * PROMISED  The pool isn't made, and says why; or every future settles, with the right value or an error that is allowed here,
 *   and the pool works afterwards.  Either way nothing is left: no process, thread, descriptor, allocation or mapping.  The
 *   watchdog sees to it that nothing hangs; slices and audits, which repair lost wakes, are off.
 * FROM OUTSIDE  the same by means of strace, which needs no hooks, in strace.sh. */
#include "support.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>

/* ---- what the library calls, counted ---- */

enum role { PARENT, HELPER, TEMPLATE, WORKER, ROLES };
static const char *const role_names[ROLES] = {"parent", "helper", "template", "worker"};

typedef struct tally {      /* in memory that all our processes share; fields: A atomic */
    unsigned failed[ROLES]; /* A: calls, by whose they were */
    int template_process;   /* A: of the pool that lives now; 0: it hasn't a name yet */
    int running;            /* A: a task that hangs does */
} tally;
static tally *shared;

/* Who we are; a process hasn't got its name yet when it starts, but its parent's. */
static enum role
who_am_i(const char *site)
{
    char name[16];
    if (getpid() == support_pid)
        return PARENT;
    (void)prctl(PR_GET_NAME, name, 0, 0, 0);
    if (strncmp(name, "cf-process", 10) == 0)
        return WORKER;
    int template_process = __atomic_load_n(&shared->template_process, __ATOMIC_RELAXED);
    if (template_process != 0)
        return template_process == getpid() ? TEMPLATE : WORKER;
    return strcmp(site, "fork") == 0 ? HELPER : TEMPLATE;
}

static int
fail_and_count(const char *site)
{
    int error = fault_hit(site);
    /* The template's alone, and before it forks. */
    if (strcmp(site, "robust_list") == 0)
        __atomic_store_n(&shared->template_process, getpid(), __ATOMIC_RELAXED);
    if (error != 0)
        (void)__atomic_fetch_add(&shared->failed[who_am_i(site)], 1, __ATOMIC_RELAXED);
    return error;
}
#undef CF__FAULT
#define CF__FAULT(site) fail_and_count(site)

static long mappings; /* A: of this process's library */

static void *
counted_mmap(void *address, size_t size, int protection, int flags, int descriptor, off_t offset)
{
    void *p = mmap(address, size, protection, flags, descriptor, offset);
    if (p != MAP_FAILED)
        (void)__atomic_fetch_add(&mappings, 1, __ATOMIC_RELAXED);
    return p;
}

static int
counted_munmap(void *address, size_t size)
{
    int result = munmap(address, size);
    if (result == 0)
        (void)__atomic_fetch_sub(&mappings, 1, __ATOMIC_RELAXED);
    return result;
}
#define mmap(...) counted_mmap(__VA_ARGS__)
#define munmap(...) counted_munmap(__VA_ARGS__)

#include "../unit/unit.h"

#include <cfutures/detail/process_slots.h>
#undef CF__SLICE_FIRST
#define CF__SLICE_FIRST parent_slice
static int64_t parent_slice;
static const int64_t usual_slice = INT64_C(20000000), no_slice = INT64_C(3600000000000);

#include <cfutures.h>

#undef mmap
#undef munmap

static unsigned seconds; /* of a soak; 0: each sweep once */

/* ---- tasks ---- */

static long
twice(long n)
{
    return 2 * n;
}
CF_TASK(long, twice, long);

static long
refuse(int code)
{
    cf_fail(code, "refused");
    return 0;
}
CF_TASK(long, refuse, int);

static long
die(int signal_number)
{
    (void)kill(getpid(), signal_number);
    return 0;
}
CF_TASK(long, die, int);

typedef struct large { /* too large for a slot */
    long first;
    char between[1000];
    long last;
} large;

static large
turn_round(large value)
{
    large turned = value;
    turned.first = value.last;
    turned.last = value.first;
    return turned;
}
CF_TASK(large, turn_round, large);

static void
hang(void)
{
    __atomic_store_n(&shared->running, 1, __ATOMIC_RELEASE);
    for (;;)
        (void)pause();
}
CF_TASK_VOID(hang);

static void
use_cpu(void)
{
    for (;;)
        __atomic_store_n(&shared->running, 1, __ATOMIC_RELAXED);
}
CF_TASK_VOID(use_cpu);

/* ---- one pool's life ---- */

typedef struct life {
    bool processes;
    bool may_fail;  /* a fault is armed */
    bool may_break; /* and no worker may get as far as its first task */
    unsigned told;  /* errors that it met with */
} life;

/* `error` is what's wanted, or says that something couldn't be had. */
static bool
went_well(life *l, cf_err error, cf_err wanted)
{
    if (error == wanted)
        return true;
    assert_true(l->may_fail);
    assert_true(error == CF_ERR_NOMEM || error == CF_ERR_SYSTEM || (error == CF_ERR_BROKEN && l->may_break));
    l->told++;
    return false;
}

static void
check_result(life *l, cf_future *future, long expected)
{
    long value = 0;
    if (went_well(l, cf_result(future, twice, &value, CF_FOREVER), CF_OK))
        assert_int_equal(value, expected);
    cf_future_release(future);
}

static void
count_call(cf_future *future, void *context)
{
    (void)future;
    count_one(context);
}

enum { ITEMS = 12, SOME = 3, FEW = 4 };

typedef struct stream {
    life *l;
    long next, done;
} stream;

static bool
stream_next(void *context, long *n)
{
    stream *s = context;
    *n = s->next;
    return s->next++ < ITEMS;
}

static bool
stream_done(void *context, size_t index, cf_future *future)
{
    stream *s = context;
    long value = 0;
    if (went_well(s->l, cf_result(future, twice, &value, CF_NOW), CF_OK))
        assert_int_equal(value, 2 * (long)index);
    s->done++;
    return true;
}

static void
live_with_futures(life *l, cf_executor *pool)
{
    cf_future *some[SOME], *futures[FEW], *crash = NULL;
    long numbers[SOME] = {1, 2, 3};
    unsigned called = 0, expected = 0;
    large value = {.first = 1, .last = 2};

    cf_future *big = cf_submit(pool, turn_round, value);
    cf_future *refused = cf_submit(pool, refuse, 7);
    if (l->processes)
        crash = cf_submit(pool, die, SIGKILL);
    expected += went_well(l, cf_future_add_done_callback(big, count_call, &called), CF_OK);
    expected += went_well(l, cf_future_add_done_callback(refused, count_call, &called), CF_OK);
    if (l->processes)
        expected += went_well(l, cf_future_add_done_callback(crash, count_call, &called), CF_OK);
    (void)went_well(l, cf_submit_all(pool, twice, SOME, some, numbers), CF_OK);
    for (long i = 0; i < FEW; i++)
        futures[i] = cf_submit(pool, twice, 10 + i);
    bool cancelled = cf_future_cancel(futures[FEW - 1]);

    unsigned seen = 0;
    CF_AS_COMPLETED (i, some, SOME, CF_FOREVER) {
        assert_true(cf_future_done(some[i]));
        seen++;
    }
    assert_true(seen == SOME || l->may_fail);
    (void)went_well(l, cf_wait(futures, FEW, CF_ALL_COMPLETED, CF_FOREVER), CF_OK);
    for (long i = 0; i < SOME; i++)
        check_result(l, some[i], 2 * numbers[i]);
    for (long i = 0; i < FEW - 1; i++)
        check_result(l, futures[i], 2 * (10 + i));
    if (cancelled) {
        assert_int_equal(cf_future_wait(futures[FEW - 1], CF_FOREVER), CF_ERR_CANCELLED);
        cf_future_release(futures[FEW - 1]);
    } else {
        check_result(l, futures[FEW - 1], 2 * (10 + FEW - 1));
    }
    if (went_well(l, cf_result(big, turn_round, &value, CF_FOREVER), CF_OK))
        assert_true(value.first == 2 && value.last == 1);
    if (went_well(l, cf_future_wait(refused, CF_FOREVER), CF_ERR_FAILED))
        assert_int_equal(cf_future_code(refused), 7);
    if (l->processes && went_well(l, cf_future_wait(crash, CF_FOREVER), CF_ERR_WORKER_LOST))
        assert_int_equal(cf_future_signal(crash), SIGKILL);
    wait_until(counted(&called) == expected);
    cf_future_release(big);
    cf_future_release(refused);
    cf_future_release(crash);
}

static void
live_with_maps(life *l, cf_executor *pool)
{
    /* With a deadline threads copy, too; it's one that doesn't come. */
    const cf_time deadlines[] = {0, cf_after_ms(3600000)};
    for (size_t d = 0; d < 2; d++) {
        long in[ITEMS], out[ITEMS] = {0};
        cf_err status[ITEMS];
        for (long i = 0; i < ITEMS; i++)
            in[i] = i;
        cf_err error = cf_map_with(pool, cf_map_options(.status = status, .deadline = deadlines[d], .chunk = 2), twice,
                                   ITEMS, out, in);
        bool all = true;
        for (long i = 0; i < ITEMS; i++) {
            bool well = went_well(l, status[i], CF_OK);
            assert_int_equal(out[i], well ? 2 * i : 0);
            all = all && well;
        }
        assert_int_equal(error == CF_OK, all);
    }
    stream s = {.l = l};
    if (went_well(l, cf_map_lazy(pool, twice, FEW, stream_next, stream_done, &s), CF_OK))
        assert_int_equal(s.done, ITEMS);
}

/* A limit ends the task that passes it, and a retry comes to an end, whatever fails. */
static void
live_with_limits(life *l, cf_executor *pool)
{
    cf_future *in_memory = cf_submit_with(pool, cf_options(.memory_limit = 1 << 30), twice, 5);
    const struct {
        cf_future *future;
        cf_err error;
        cf_limit limit;
    } ends[] = {
        {cf_submit_with(pool, cf_options(.start_by = CF_NOW), twice, 4), CF_ERR_TIME_LIMIT, CF_LIMIT_NONE},
        {cf_submit_with(pool, cf_options(.time_limit_ms = 1), hang), CF_ERR_TIME_LIMIT, CF_LIMIT_TIME},
        {cf_submit_with(pool, cf_options(.stall_limit_ms = 1, .stop_grace_ms = 1), hang), CF_ERR_TIME_LIMIT,
         CF_LIMIT_STALL},
        {cf_submit_with(pool, cf_options(.cpu_limit_ms = 1, .term_grace_ms = 1), use_cpu), CF_ERR_TIME_LIMIT,
         CF_LIMIT_CPU},
        {cf_submit_with(pool, cf_options(.retries = 1), die, SIGKILL), CF_ERR_WORKER_LOST, CF_LIMIT_NONE},
    };
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        if (went_well(l, cf_future_wait(ends[i].future, CF_FOREVER), ends[i].error)) {
            const cf_account *account = cf_future_account(ends[i].future);
            bool none = i == 0; /* it never started */
            assert_true((account == NULL) == none || l->may_fail);
            l->told += account == NULL && !none; /* no memory for it */
            assert_true(account == NULL || account->limit == ends[i].limit);
            assert_true(account == NULL || ends[i].limit != CF_LIMIT_NONE || account->tries == 2);
        }
        cf_future_release(ends[i].future);
    }
    if (cf_future_wait(in_memory, CF_FOREVER) == CF_ERR_FAILED) {
        assert_true(l->may_fail);
        assert_non_null(strstr(cf_future_message(in_memory), "memory_limit can't be set"));
        l->told++;
        cf_future_release(in_memory);
    } else {
        check_result(l, in_memory, 10);
    }
}

/* Lives it; false: the pool couldn't be made. */
static bool
live_through(life *l, const char *site, bool once)
{
    cf_shutdown_report report = {0, 0, 0, 0};
    cf_executor *pool = l->processes ? cf_process_pool(.max_workers = 2, .max_pending = 4, .memory = 1 << 20)
                                     : cf_thread_pool(.max_workers = 2, .max_pending = 4);
    cf_err error = cf_executor_error(pool);
    if (error != CF_OK) {
        assert_true(l->may_fail);
        assert_true(error == CF_ERR_NOMEM || error == CF_ERR_SYSTEM || error == CF_ERR_UNSUPPORTED);
        assert_true(strlen(cf_executor_message(pool)) > 0);
        cf_future *future = cf_submit(pool, twice, 1);
        assert_int_equal(cf_future_wait(future, CF_FOREVER), error);
        cf_future_release(future);
        cf_executor_close(pool);
        return false;
    }
    void *memory = cf_executor_alloc(pool, 5000);
    assert_true(memory != NULL || l->may_fail);
    if (memory != NULL)
        memset(memory, 1, 5000);
    cf_executor_free(pool, memory);
    live_with_futures(l, pool);
    live_with_maps(l, pool);
    if (l->processes)
        live_with_limits(l, pool);

    bool over = once && fault_fired(site) != 0; /* what was to fail has */
    cf_future *after = cf_submit(pool, twice, 21);
    assert_true(!over || cf_future_wait(after, CF_FOREVER) == CF_OK);
    check_result(l, after, 42);
    assert_true(cf_executor_error(pool) == CF_OK || (l->may_break && strlen(cf_executor_message(pool)) > 0));
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, &report), CF_OK);
    assert_int_equal(report.left, 0);
    cf_executor_close(pool);
    return true;
}

/* ---- nothing is left ---- */

typedef struct before {
    long allocations, mappings;
    int fds, threads;
    int leash[2]; /* a pipe: each process made from now on holds its writing end */
} before;

static void
look_before(before *b)
{
    b->allocations = live_allocations();
    b->mappings = __atomic_load_n(&mappings, __ATOMIC_RELAXED);
    b->fds = open_fds();
    b->threads = threads_here();
    __atomic_store_n(&shared->template_process, 0, __ATOMIC_RELAXED);
    assert_int_equal(pipe(b->leash), 0);
    (void)alarm(watchdog_seconds());
}

static void
check_nothing_left(before *b)
{
    struct pollfd reader = {b->leash[0], POLLIN, 0};
    (void)close(b->leash[1]);
    while (poll(&reader, 1, -1) < 0) /* readable when nobody can write any more */
        assert_int_equal(errno, EINTR);
    (void)close(b->leash[0]);
    wait_until(threads_here() <= b->threads);
    assert_int_equal(live_allocations(), b->allocations);
    assert_int_equal(__atomic_load_n(&mappings, __ATOMIC_RELAXED), b->mappings);
    assert_int_equal(open_fds(), b->fds);
    /* Nor a child, dead or alive: the program hasn't forked. */
    assert_int_equal(waitpid(-1, NULL, WNOHANG | 0x40000000 /* __WALL */), -1);
    assert_int_equal(errno, ECHILD);
}

/* ---- each call in turn ---- */

/* NO_MORE: only one, not all from the n-th on, for it's tried again until it works.  MAY_BREAK: all together may break a
 * pool that was made. */
enum { NO_MORE = 1, ONLY_PROCESSES = 2, MAY_BREAK = 4 };

static const struct fault {
    const char *site;
    int error;
    unsigned flags;
} faults[] = {
    {"alloc", ENOMEM, 0},
    {"map_private", ENOMEM, 0},
    {"fork_guard", ENOMEM, 0},
    {"madvise", EINVAL, 0},
    {"thread_start", EAGAIN, 0},
    {"futex_wait", EINTR, 0},
    {"futex_wait", EAGAIN, 0},
    {"getcpu", ENOSYS, 0},
    {"affinity", EINVAL, 0},
    {"open_file", EMFILE, 0},
    {"read_file", EINTR, 0},
    {"map_shared", ENOMEM, ONLY_PROCESSES},
    {"futex_waitv", ENOSYS, ONLY_PROCESSES},
    {"futex_waitv", EINTR, ONLY_PROCESSES},
    {"fork", EAGAIN, ONLY_PROCESSES | NO_MORE},
    {"stack", ENOMEM, ONLY_PROCESSES},
    {"mprotect", ENOMEM, ONLY_PROCESSES},
    {"clone", EPERM, ONLY_PROCESSES},
    {"waitpid", EINTR, ONLY_PROCESSES | NO_MORE},
    {"pidfd_open", EMFILE, ONLY_PROCESSES},
    {"pidfd_open", ENOSYS, ONLY_PROCESSES},
    {"pidfd_signal", EPERM, ONLY_PROCESSES},
    {"poll", EINTR, ONLY_PROCESSES | NO_MORE},
    {"poll", ENOMEM, ONLY_PROCESSES},
    {"ppoll", EINTR, ONLY_PROCESSES},
    {"ppoll", ENOMEM, ONLY_PROCESSES},
    {"pipe", EMFILE, ONLY_PROCESSES},
    {"fcntl", ENOMEM, ONLY_PROCESSES},
    {"at_exit", ENOMEM, ONLY_PROCESSES | MAY_BREAK},
    {"thread_key", EAGAIN, ONLY_PROCESSES | MAY_BREAK},
    {"setpgid", EACCES, ONLY_PROCESSES},
    {"open_null", ENOENT, ONLY_PROCESSES},
    {"dup", EBUSY, ONLY_PROCESSES},
    {"open", EMFILE, ONLY_PROCESSES},
    {"robust_list", ENOSYS, ONLY_PROCESSES},
    {"rlimit", EPERM, ONLY_PROCESSES},
};

typedef struct figures {
    unsigned lives, failed, refused, told;
} figures;

/* One life in which `calls` calls from the n-th on fail (0: all); whether any did. */
static bool
live_once(const struct fault *fault, bool processes, unsigned n, unsigned calls, figures *sum)
{
    life l = {.processes = processes, .may_fail = true, .may_break = calls == 0 && (fault->flags & MAY_BREAK) != 0};
    before b;
    look_before(&b);
    fault_clear();
    fault_arm(fault->site, n, calls, fault->error);
    bool made = live_through(&l, fault->site, calls == 1);
    unsigned fired = fault_fired(fault->site);
    fault_clear();
    check_nothing_left(&b);
    if (fired == 0)
        assert_true(made && l.told == 0);
    sum->lives++;
    sum->failed += fired;
    sum->refused += !made;
    sum->told += made && l.told != 0;
    return fired != 0;
}

/* All sites, or as many as there is time for in a soak, which begins at another one each time. */
static void
sweep(bool processes, cf_time end)
{
    enum { sites = sizeof faults / sizeof *faults };
    figures all = {0, 0, 0, 0};
    size_t first = seconds == 0 ? 0 : (size_t)(cf_after_ns(0) / 1000 % sites);
    memset(shared->failed, 0, sizeof shared->failed);
    for (size_t done = 0; done < sites && (seconds == 0 || !cf_passed(end)); done++) {
        size_t i = (first + done) % sites;
        figures sum = {0, 0, 0, 0};
        if (!processes && faults[i].flags & ONLY_PROCESSES)
            continue;
        for (unsigned n = 1; live_once(&faults[i], processes, n, 1, &sum); n += 1 + n / 16)
            continue;
        for (unsigned n = 1; !(faults[i].flags & NO_MORE) && live_once(&faults[i], processes, n, 0, &sum); n *= 2)
            continue;
        print_message("  %-12s %3d: %4u lives, %5u calls failed; refused %3u, met with an error %3u\n", faults[i].site,
                      faults[i].error, sum.lives, sum.failed, sum.refused, sum.told);
        all.lives += sum.lives;
        all.failed += sum.failed;
        all.refused += sum.refused;
        all.told += sum.told;
    }
    print_message("  %s: %u lives, %u calls failed (", processes ? "processes" : "threads", all.lives, all.failed);
    for (int role = 0; role < ROLES; role++)
        print_message("%s%s %u", role == 0 ? "" : ", ", role_names[role], shared->failed[role]);
    print_message("); refused %u, met with an error %u, untouched %u\n", all.refused, all.told,
                  all.lives - all.refused - all.told);
}

static void
test_calls_processes(void **state)
{
    (void)state;
    cf_time end = cf_after_ms((int64_t)seconds * 750);
    do
        sweep(true, end);
    while (!cf_passed(end));
}

static void
test_calls_threads(void **state)
{
    (void)state;
    cf_time end = cf_after_ms((int64_t)seconds * 250);
    do
        sweep(false, end);
    while (!cf_passed(end));
}

/* ---- what a failing call must not do ---- */

static int
template_process(cf_executor *pool)
{
    return ((cf__process_pool *)pool)->setup.view.arena->template_process;
}

/* A task that runs for ever, and does so by now. */
static cf_future *
submit_hanging(cf_executor *pool)
{
    __atomic_store_n(&shared->running, 0, __ATOMIC_RELAXED);
    cf_future *future = cf_submit(pool, hang);
    wait_until(__atomic_load_n(&shared->running, __ATOMIC_ACQUIRE) != 0);
    return future;
}

/* As long as nothing can be forked tasks wait, and the pool may be ended all the same; then it heals. */
static void
test_calls_no_replacement(void **state)
{
    (void)state;
    for (int heals = 0; heals < 2; heals++) {
        cf_executor *pool = cf_process_pool(.max_workers = 1);
        fault_fail_from("fork", 1, EAGAIN);
        cf_future *crash = cf_submit(pool, die, SIGKILL), *next = cf_submit(pool, twice, 4);
        assert_int_equal(cf_future_wait(crash, CF_FOREVER), CF_ERR_WORKER_LOST);
        wait_until(fault_fired("fork") >= 2);
        assert_int_equal(cf_future_wait(next, CF_NOW), CF_ERR_TIMEOUT);
        if (heals) {
            fault_clear();
            assert_int_equal(cf_future_wait(next, CF_FOREVER), CF_OK);
        } else {
            assert_int_equal(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, NULL), CF_OK);
            assert_int_equal(cf_future_wait(next, CF_NOW), CF_ERR_CANCELLED);
        }
        cf_executor_close(pool);
        fault_clear();
        cf_future_release(crash);
        cf_future_release(next);
    }
}

/* A template that fails before it has a worker says why, however quick it is. */
static void
test_calls_template_tells_reason(void **state)
{
    (void)state;
    static const char *const sites[] = {"fcntl", "map_private"};
    cf_executor_close(cf_process_pool(.max_workers = 1));
    unsigned last_mapping = fault_count("map_private"); /* is the template's */
    for (unsigned i = 0; i < 60; i++) {
        fault_clear();
        fault_fail_nth(sites[i % 2], i % 2 == 0 ? 1 + i % 3 : last_mapping, ENOMEM);
        cf_executor *pool = cf_process_pool(.max_workers = 1);
        assert_int_equal(fault_fired(sites[i % 2]), 1);
        assert_int_equal(cf_executor_error(pool), CF_ERR_NOMEM);
        cf_executor_close(pool);
    }
}

static long
read_stdin(void)
{
    char byte;
    return (long)read(STDIN_FILENO, &byte, 1);
}
CF_TASK(long, read_stdin);

/* A task never reads the program's input. */
static void
test_calls_no_other_stdin(void **state)
{
    (void)state;
    static const char *const sites[] = {"getcpu", "open_null", "dup"}; /* the first means: all is well */
    int ends[2], own = dup(STDIN_FILENO);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "input", 5), 5);
    assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        long got = 99;
        fault_clear();
        fault_fail_from(sites[i], 1, EACCES);
        cf_executor *pool = cf_process_pool(.max_workers = 1);
        cf_future *future = cf_submit(pool, read_stdin);
        assert_int_equal(cf_result(future, read_stdin, &got, CF_FOREVER), CF_OK);
        assert_int_equal(got, i == 0 ? 0 : -1);
        cf_future_release(future);
        cf_executor_close(pool);
    }
    assert_int_equal(dup2(own, STDIN_FILENO), STDIN_FILENO);
    (void)close(own);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* No task runs where its exit() would run the program's handlers. */
static void
test_calls_worker_not_at_home(void **state)
{
    (void)state;
    static const char *const sites[] = {"at_exit", "thread_key"};
    for (size_t i = 0; i < sizeof sites / sizeof *sites; i++) {
        fault_clear();
        fault_fail_from(sites[i], 1, ENOMEM);
        cf_executor *pool = cf_process_pool(.max_workers = 2);
        cf_future *future = cf_submit(pool, twice, 1);
        assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_BROKEN);
        assert_non_null(strstr(cf_future_message(future), "exit()"));
        cf_future_release(future);
        cf_executor_close(pool);
    }
}

/* A program that has changed its user, or forbidden itself some calls, can still end its pool. */
static void
test_calls_kill_without_permission(void **state)
{
    (void)state;
    for (int stopped = 0; stopped < 2; stopped++) {
        cf_executor *pool = cf_process_pool(.max_workers = 2);
        cf_future *future = submit_hanging(pool);
        fault_fail_from("pidfd_signal", 1, EPERM);
        if (stopped)
            assert_int_equal(kill(template_process(pool), SIGSTOP), 0);
        cf_shutdown_report report;
        assert_int_equal(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, &report), CF_OK);
        assert_int_equal(report.killed, 1);
        assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_WORKER_LOST);
        cf_future_release(future);
        cf_executor_close(pool);
        fault_clear();
    }
    /* An idle one, whose template doesn't hear that it's to end. */
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    fault_fail_from("pidfd_signal", 1, EPERM);
    assert_int_equal(kill(template_process(pool), SIGSTOP), 0);
    cf_executor_close(pool);
}

/* Where the kernel marks no word at the template's death, slices find it dead. */
static void
test_calls_no_mark_at_death(void **state)
{
    (void)state;
    parent_slice = usual_slice;
    fault_fail_from("robust_list", 1, ENOSYS);
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *future = submit_hanging(pool);
    assert_int_equal(kill(template_process(pool), SIGKILL), 0);
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_BROKEN);
    cf_future_release(future);
    cf_executor_close(pool);
    parent_slice = no_slice;
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_calls_threads),
        cmocka_unit_test(test_calls_processes),
        cmocka_unit_test(test_calls_no_replacement),
        cmocka_unit_test(test_calls_template_tells_reason),
        cmocka_unit_test(test_calls_no_other_stdin),
        cmocka_unit_test(test_calls_worker_not_at_home),
        cmocka_unit_test(test_calls_kill_without_permission),
        cmocka_unit_test(test_calls_no_mark_at_death),
    };
    seconds = soak_seconds(argc, argv, 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 99;
    parent_slice = no_slice;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
