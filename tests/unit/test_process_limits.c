/* tests/unit/test_process_limits.c - limits of tasks on processes, what a lost task's future knows, and retries.
 * SPDX-License-Identifier: MIT
 * No limit here is a race with the clock: a task that is to be ended never ends by itself, one that is to end in time has
 * an hour, and one that has to do something first is tried again with a longer limit, see READY_IN_TIME.  After each test no
 * process of ours lives, and no memory, descriptor or thread is left. */
#include "unit.h"

static int64_t grace = INT64_C(2000000000); /* how long a killing shutdown waits until it kills the template */
#define CF__PROCESS_GRACE grace
#include <cfutures.h>

#include <poll.h>
#include <sys/resource.h>

enum { HOUR = 3600 * 1000 };

typedef struct notes { /* in memory that all our processes share; fields: A atomic */
    unsigned inside;   /* A: how far a task has come */
    unsigned go_on;    /* A: what the test lets it do */
    unsigned runs;     /* A: how often tasks were begun */
    unsigned saved;    /* A: what a shielded section has finished */
} notes;
static notes *shared;

static int
notes_start(void **state)
{
    memset(shared, 0, sizeof *shared);
    return leaks_start_processes(state);
}

/* ---- tasks ---- */

static int
answer(int n)
{
    return n + 1;
}
CF_TASK(int, answer, int);

static void
loop_for_ever(void)
{
    write_note(&shared->inside, 1);
    for (;;)
        (void)__atomic_fetch_add(&shared->runs, 1, __ATOMIC_RELAXED);
}
CF_TASK_VOID(loop_for_ever);

static void
wait_for_ever(void)
{
    write_note(&shared->inside, 1);
    for (;;)
        (void)pause();
}
CF_TASK_VOID(wait_for_ever);

static int
loop_until_asked(int n)
{
    write_note(&shared->inside, 1);
    while (!cf_cancelled())
        (void)sched_yield();
    return n;
}
CF_TASK(int, loop_until_asked, int);

static volatile sig_atomic_t got_signal;

static void
on_signal(int signal_number)
{
    got_signal = signal_number;
}

static void
on_term_leave(int signal_number)
{
    (void)signal_number;
    _exit(7);
}

static int
loop_until_signal(int wanted)
{
    got_signal = 0;
    (void)signal(wanted, on_signal);
    if (!cf_stop_signal(wanted))
        return -1;
    while (got_signal == 0)
        (void)sched_yield();
    (void)signal(wanted, SIG_DFL); /* a second one would end the worker */
    return got_signal;
}
CF_TASK(int, loop_until_signal, int);

static void
leave_on_term(void)
{
    (void)signal(SIGTERM, on_term_leave);
    write_note(&shared->inside, 1);
    for (;;)
        (void)pause();
}
CF_TASK_VOID(leave_on_term);

static void
ignore_term(void)
{
    (void)signal(SIGTERM, SIG_IGN);
    write_note(&shared->inside, 1);
    for (;;)
        (void)pause();
}
CF_TASK_VOID(ignore_term);

/* Sleeps until the test lets it go on. */
static int
wait_without_cpu(int descriptor)
{
    char byte;
    return read(descriptor, &byte, 1) == 1 ? byte : -1;
}
CF_TASK(int, wait_without_cpu, int);

static int
note_until_told(int n)
{
    for (unsigned i = 0; read_note(&shared->go_on) == 0; i++) {
        if (!cf_note("step %u", i))
            return -1;
        write_note(&shared->inside, 1);
        (void)sched_yield();
    }
    return n;
}
CF_TASK(int, note_until_told, int);

static void
note_and_stall(void)
{
    (void)cf_note("page %d", 7);
    write_note(&shared->inside, 1);
    for (;;)
        (void)pause();
}
CF_TASK_VOID(note_and_stall);

static bool
allocate(size_t size)
{
    unsigned char *p = malloc(size);
    volatile unsigned char *pages = p; /* or the compiler leaves it all out */
    if (p == NULL)
        return false;
    for (size_t i = 0; i < size; i += 4096)
        pages[i] = 1;
    free(p);
    return true;
}
CF_TASK(bool, allocate, size_t);

/* Crashes in its first `crashes` runs. */
static unsigned
crash_at_first(unsigned crashes)
{
    unsigned run = __atomic_add_fetch(&shared->runs, 1, __ATOMIC_ACQ_REL);
    if (run <= crashes) {
        (void)cf_note("run %u", run);
        (void)raise(SIGKILL);
    }
    return run;
}
CF_TASK(unsigned, crash_at_first, unsigned);

static void
leave_with(int status)
{
    _exit(status);
}
CF_TASK_VOID(leave_with, int);

static void
segfault(void)
{
    (void)cf_note("about to touch %s", "nothing");
    __builtin_trap();
}
CF_TASK_VOID(segfault);

/* Saves something that must not be half saved, longer than its limit, and then never ends. */
static void
save_and_loop(void)
{
    cf_shield_begin(50 * 1000);
    write_note(&shared->inside, 1);
    while (!cf_cancelled()) /* its limit has passed */
        (void)sched_yield();
    cf_time later = cf_after_ms(30);
    while (!cf_passed(later))
        (void)sched_yield();
    write_note(&shared->saved, 1);
    cf_shield_end();
    for (;;)
        (void)sched_yield();
}
CF_TASK_VOID(save_and_loop);

/* A shield that it has forgotten to end. */
static void
shield_and_loop(void)
{
    cf_shield_begin(20);
    write_note(&shared->inside, 1);
    for (;;)
        (void)sched_yield();
}
CF_TASK_VOID(shield_and_loop);

static void
save_until_told(void)
{
    cf_shield_begin(50 * 1000);
    write_note(&shared->inside, 1);
    while (read_note(&shared->go_on) == 0)
        (void)sched_yield();
    write_note(&shared->saved, 1);
    cf_shield_end();
    for (;;)
        (void)pause();
}
CF_TASK_VOID(save_until_told);

/* ---- limits ---- */

/* The pool still works, with each of its workers. */
static void
assert_works(cf_executor *pool)
{
    for (int i = 0; i < 4; i++) {
        int value = 0;
        cf_auto(cf_future) f = cf_submit(pool, answer, i);
        assert_int_equal(cf_result(f, answer, &value, CF_FOREVER), CF_OK);
        assert_int_equal(value, i + 1);
    }
}

/* Waits for a future that has passed `limit`, and checks what it says of that. */
static void
assert_passed(cf_future *f, cf_limit limit, const char *words)
{
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_TIME_LIMIT);
    const cf_account *account = cf_future_account(f);
    assert_non_null(account);
    assert_int_equal(account->limit, limit);
    assert_non_null(strstr(cf_future_message(f), words));
}

/* Sets `f` to the future of a task that has passed `limit` milliseconds, and was ready before: it had written `inside`. */
#define READY_IN_TIME(f, limit, submit)                                                                                \
    do {                                                                                                               \
        (limit) = 10;                                                                                                  \
        for (;;) {                                                                                                     \
            write_note(&shared->inside, 0);                                                                            \
            (f) = (submit);                                                                                            \
            assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_TIME_LIMIT);                                        \
            if (read_note(&shared->inside) != 0)                                                                       \
                break;                                                                                                 \
            cf_future_release(f);                                                                                      \
            (limit) *= 2;                                                                                              \
        }                                                                                                              \
    } while (0)

/* A task that passes its time limit is killed, and its worker replaced; other tasks don't notice. */
static void
test_time_limit_kills(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    cf_future *f = cf_submit_with(pool, cf_options(.time_limit_ms = 20), loop_for_ever);
    cf_future *g = cf_submit_with(pool, cf_options(.time_limit_ms = 20), wait_for_ever);
    assert_passed(f, CF_LIMIT_TIME, "its time limit, 20 ms");
    assert_passed(g, CF_LIMIT_TIME, "its time limit, 20 ms");
    assert_int_equal(cf_future_signal(f), SIGKILL);
    assert_true(cf_future_account(f)->run_ns >= 20000000);
    assert_works(pool);
    cf_future_release(f);
    cf_future_release(g);
    cf_executor_close(pool);
}

/* One that ends in time isn't touched, whatever limits it has. */
static void
test_limits_not_reached(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    for (int i = 0; i < 100; i++) {
        int value = 0;
        cf_future *f = cf_submit_with(pool,
                                      cf_options(.time_limit_ms = HOUR, .cpu_limit_ms = HOUR, .stall_limit_ms = HOUR,
                                                 .memory_limit = 1 << 28, .start_by = cf_after_ms(HOUR), .retries = 3),
                                      answer, i);
        assert_int_equal(cf_result(f, answer, &value, CF_FOREVER), CF_OK);
        assert_int_equal(value, i + 1);
        assert_null(cf_future_account(f));
        cf_future_release(f);
    }
    cf_executor_close(pool);
}

/* It is asked first, and if it ends within the grace its result counts. */
static void
test_time_limit_asks_first(void **state)
{
    (void)state;
    int value = 0;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *f = cf_submit_with(pool, cf_options(.time_limit_ms = 10, .stop_grace_ms = HOUR), loop_until_asked, 5);
    assert_int_equal(cf_result(f, loop_until_asked, &value, CF_FOREVER), CF_OK);
    assert_int_equal(value, 5);
    cf_future_release(f);
    /* The next task in that worker isn't asked. */
    write_note(&shared->inside, 0);
    f = cf_submit_with(pool, cf_options(.time_limit_ms = HOUR), loop_until_asked, 6);
    wait_until(read_note(&shared->inside) == 1);
    assert_int_equal(cf_future_wait(f, cf_after_ms(50)), CF_ERR_TIMEOUT);
    assert_false(cf_future_cancel(f));
    assert_int_equal(cf_result(f, loop_until_asked, &value, CF_FOREVER), CF_OK);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* Then it gets the signal that it has asked for; its result counts. */
static void
test_time_limit_sends_the_wanted_signal(void **state)
{
    (void)state;
    if (CF__THREAD_SANITIZER)
        skip(); /* it keeps signals back until the next call that may block */
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    unsigned limit = 1;
    for (int sent = 0; sent < 20;) {
        int value = 0;
        cf_future *f = cf_submit_with(pool, cf_options(.time_limit_ms = limit, .signal_grace_ms = HOUR),
                                      loop_until_signal, SIGUSR1);
        cf_err error = cf_result(f, loop_until_signal, &value, CF_FOREVER);
        cf_future_release(f);
        if (error == CF_ERR_TIME_LIMIT) { /* it came before the task had asked for the signal */
            limit *= 2;
            continue;
        }
        assert_int_equal(error, CF_OK);
        assert_int_equal(value, SIGUSR1);
        sent++;
    }
    /* The next task hasn't asked for it. */
    cf_future *f = cf_submit_with(pool, cf_options(.time_limit_ms = 1, .signal_grace_ms = 1), wait_for_ever);
    assert_passed(f, CF_LIMIT_TIME, "1 ms");
    assert_int_equal(cf_future_signal(f), SIGKILL);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* Then SIGTERM, in which it may clear up; its result doesn't count any more. */
static void
test_time_limit_terminates(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *f;
    unsigned limit;
    READY_IN_TIME(f, limit,
                  cf_submit_with(pool, cf_options(.time_limit_ms = limit, .term_grace_ms = HOUR), leave_on_term));
    assert_passed(f, CF_LIMIT_TIME, "its time limit, ");
    assert_int_equal(cf_future_status(f), 7);
    cf_future_release(f);
    READY_IN_TIME(f, limit,
                  cf_submit_with(
                      pool,
                      cf_options(.time_limit_ms = limit, .stop_grace_ms = 1, .signal_grace_ms = 1, .term_grace_ms = 10),
                      ignore_term));
    assert_passed(f, CF_LIMIT_TIME, "its time limit, ");
    assert_int_equal(cf_future_signal(f), SIGKILL);
    cf_future_release(f);
    assert_works(pool);
    cf_executor_close(pool);
}

static void
leave_on_term_when_told(int signal_number)
{
    (void)signal_number;
    write_note(&shared->saved, 1);
    while (read_note(&shared->go_on) == 0)
        (void)sched_yield();
    _exit(7);
}

static void
clear_up_on_term(void)
{
    (void)signal(SIGTERM, leave_on_term_when_told);
    write_note(&shared->inside, 1);
    for (;;)
        (void)pause();
}
CF_TASK_VOID(clear_up_on_term);

/* It has all of its grace, though the template wakes meanwhile: a worker dies, and is replaced. */
static void
test_time_limit_keeps_its_grace(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    cf_future *f;
    unsigned limit = 10;
    for (;; limit *= 2) { /* as READY_IN_TIME; but here it's to be met while it ends */
        write_note(&shared->inside, 0);
        f = cf_submit_with(pool, cf_options(.time_limit_ms = limit, .term_grace_ms = HOUR), clear_up_on_term);
        wait_until(read_note(&shared->saved) != 0 || cf_future_done(f));
        if (read_note(&shared->saved) != 0)
            break;
        cf_future_release(f);
    }
    for (int i = 0; i < 3; i++) {
        cf_future *crash = cf_submit(pool, leave_with, 1);
        assert_int_equal(cf_future_wait(crash, CF_FOREVER), CF_ERR_WORKER_LOST);
        cf_future_release(crash);
        assert_works(pool); /* in the next one, which was started after the template had looked */
    }
    assert_false(cf_future_done(f));
    write_note(&shared->go_on, 1);
    assert_passed(f, CF_LIMIT_TIME, "its time limit, ");
    assert_int_equal(cf_future_status(f), 7);
    cf_future_release(f);
    cf_executor_close(pool);
}

static void
become_nobody(void *context)
{
    long parent;
    (void)context;
    while (process_state(getppid(), &parent) != 'S') /* the template sleeps, and doesn't know yet */
        (void)sched_yield();
    if (syscall(SYS_setgid, 65534) != 0 || syscall(SYS_setuid, 65534) != 0) /* of the one thread there is */
        (void)cf_fail(1, "can't");
}

/* Workers that are another user can't tell the template anything; limits hold for them, and they die with it. */
static void
test_limits_of_another_user(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    cf_executor *pool = cf_process_pool(.max_workers = 2, .on_start = become_nobody);
    assert_works(pool);
    cf_future *f = cf_submit_with(pool, cf_options(.time_limit_ms = 20), loop_for_ever);
    assert_passed(f, CF_LIMIT_TIME, "its time limit, 20 ms");
    cf_future_release(f);
    write_note(&shared->inside, 0);
    f = cf_submit(pool, wait_for_ever);
    wait_until(read_note(&shared->inside) == 1);
    assert_int_equal(kill(((cf__process_pool *)pool)->template_process, SIGKILL), 0);
    wait_until(living_processes() == 0);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_BROKEN);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* CPU time counts, and time in which a task sleeps doesn't. */
static void
test_cpu_limit(void **state)
{
    int ends[2], value = 0;
    (void)state;
    assert_int_equal(pipe(ends), 0);
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *f = cf_submit_with(pool, cf_options(.cpu_limit_ms = 20), loop_for_ever);
    assert_passed(f, CF_LIMIT_CPU, "its limit of CPU time, 20 ms");
    assert_true(cf_future_account(f)->cpu_ns >= 19000000);
    cf_future_release(f);
    f = cf_submit_with(pool, cf_options(.cpu_limit_ms = 20), wait_without_cpu, ends[0]);
    assert_int_equal(cf_future_wait(f, cf_after_ms(60)), CF_ERR_TIMEOUT);
    assert_int_equal(write(ends[1], "x", 1), 1);
    assert_int_equal(cf_result(f, wait_without_cpu, &value, CF_FOREVER), CF_OK);
    assert_int_equal(value, 'x');
    cf_future_release(f);
    cf_executor_close(pool);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

/* A task that notes its progress isn't stalled; one that doesn't is, and its future has the last note. */
static void
test_stall_limit(void **state)
{
    (void)state;
    int value = 0;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    /* An hour: that the notes set the clock back is seen below, where they are seconds apart from a stall. */
    cf_future *f = cf_submit_with(pool, cf_options(.stall_limit_ms = HOUR), note_until_told, 3);
    wait_until(read_note(&shared->inside) == 1);
    write_note(&shared->go_on, 1);
    assert_int_equal(cf_result(f, note_until_told, &value, CF_FOREVER), CF_OK);
    cf_future_release(f);
    unsigned limit;
    READY_IN_TIME(f, limit, cf_submit_with(pool, cf_options(.stall_limit_ms = limit), note_and_stall));
    assert_passed(f, CF_LIMIT_STALL, "its last note: page 7");
    assert_string_equal(cf_future_account(f)->note, "page 7");
    cf_future_release(f);
    f = cf_submit_with(pool, cf_options(.time_limit_ms = 20), wait_for_ever); /* the note isn't its */
    assert_passed(f, CF_LIMIT_TIME, "20 ms");
    assert_string_equal(cf_future_account(f)->note, "");
    cf_future_release(f);
    cf_executor_close(pool);
}

/* A task that can't start in time fails then, for who waits for it; else when a worker comes to it. */
static void
test_start_by(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *busy = cf_submit(pool, loop_until_asked, 0);
    cf_time soon = cf_after_ms(20); /* one for both: when it has passed for the one it has for the other */
    cf_future *awaited = cf_submit_with(pool, cf_options(.start_by = soon), answer, 1);
    cf_future *left = cf_submit_with(pool, cf_options(.start_by = soon), answer, 1);
    cf_future *patient = cf_submit_with(pool, cf_options(.start_by = cf_after_ms(HOUR)), answer, 1);
    assert_int_equal(cf_future_wait(awaited, CF_FOREVER), CF_ERR_TIME_LIMIT); /* while the worker is busy */
    assert_false(cf_future_done(busy));
    assert_false(cf_future_done(left));
    (void)cf_future_cancel(busy);
    assert_int_equal(cf_future_wait(left, CF_FOREVER), CF_ERR_TIME_LIMIT);
    assert_int_equal(cf_future_wait(patient, CF_FOREVER), CF_OK);
    assert_string_equal(cf_future_message(left), cf_future_message(awaited));
    assert_works(pool);
    cf_future_release(busy);
    cf_future_release(awaited);
    cf_future_release(left);
    cf_future_release(patient);
    cf_executor_close(pool);
}

/* Memory beyond the limit isn't to be had, by that task and no other. */
static void
test_memory_limit(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    for (int i = 0; i < 2; i++) {
        bool got = true;
        cf_future *f = cf_submit_with(pool, cf_options(.memory_limit = (size_t)16 << 20), allocate, (size_t)64 << 20);
        assert_int_equal(cf_result(f, allocate, &got, CF_FOREVER), CF_OK);
        assert_false(got);
        cf_future_release(f);
        f = cf_submit_with(pool, cf_options(.memory_limit = (size_t)128 << 20), allocate, (size_t)64 << 20);
        assert_int_equal(cf_result(f, allocate, &got, CF_FOREVER), CF_OK);
        assert_true(got);
        cf_future_release(f);
        f = cf_submit(pool, allocate, (size_t)64 << 20);
        assert_int_equal(cf_result(f, allocate, &got, CF_FOREVER), CF_OK);
        assert_true(got);
        cf_future_release(f);
    }
    cf_executor_close(pool);
}

/* ... or the task fails, where it can't be set. */
static void
test_memory_limit_refused(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    fault_fail_from("rlimit", 1, EPERM);
    cf_future *f = cf_submit_with(pool, cf_options(.memory_limit = 1 << 20), answer, 1);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_FAILED);
    assert_int_equal(cf_future_code(f), EPERM);
    assert_non_null(strstr(cf_future_message(f), "memory_limit"));
    fault_clear();
    assert_works(pool);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* ---- shields ---- */

/* What a task shields is finished before it's killed. */
static void
test_shield_puts_the_kill_off(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *f;
    unsigned limit;
    READY_IN_TIME(f, limit,
                  cf_submit_with(pool, cf_options(.time_limit_ms = limit, .term_grace_ms = 5), save_and_loop));
    assert_passed(f, CF_LIMIT_TIME, "its time limit, ");
    assert_int_equal(read_note(&shared->saved), 1);
    cf_future_release(f);
    assert_works(pool);
    cf_executor_close(pool);
}

/* Not for ever. */
static void
test_shield_ends(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *f = cf_submit_with(pool, cf_options(.time_limit_ms = 1), shield_and_loop);
    assert_passed(f, CF_LIMIT_TIME, "1 ms");
    cf_future_release(f);
    cf_executor_close(pool);
}

/* Nor longer than a minute, whatever end it has named. */
static void
test_shield_lasts_a_minute_at_most(void **state)
{
    (void)state;
    const int64_t due = INT64_C(5000000000), minute = INT64_C(60000000000);
    cf__arena_view view;
    cf__ladder ladder;
    uint64_t found;
    size_t size = cf__arena_layout(&view, NULL, 1, 1);
    void *memory = cf__os_map_shared(size);
    assert_non_null(memory);
    (void)cf__arena_layout(&view, memory, 1, 1);
    cf__slot_publish_task(&view.slots[0], 0);
    assert_true(cf__slot_claim(&view.slots[0], 1, 0));
    assert_true(cf__slot_set(&view.slots[0], 1, 0, CF__SLOT_SHIELD, 0, &found));
    cf__store_relaxed(&view.workers[0].shield_end, INT64_MAX);
    memset(&ladder, 0, sizeof ladder);
    ladder.slot = 1;

    for (int64_t now = due; now < due + minute; now += minute / 4) {
        assert_false(cf__ladder_claim_kill(&view, &ladder, 1, now));
        assert_true(ladder.next == due + minute);
    }
    assert_false(cf__ladder_claim_kill(&view, &ladder, 1, due + minute - 1));
    assert_true(cf__ladder_claim_kill(&view, &ladder, 1, due + minute));
    assert_true(cf__load_relaxed(&view.slots[0].word) & CF__SLOT_KILLING);
    cf__os_unmap(memory, size);
}

/* Nor does a shutdown that kills break in. */
static void
test_shield_and_shutdown(void **state)
{
    (void)state;
    cf_shutdown_report report;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    cf_future *f = cf_submit(pool, save_until_told);
    wait_until(read_note(&shared->inside) == 1);
    assert_int_equal(cf_executor_shutdown(pool, CF_KILL, cf_after_ms(50), &report), CF_ERR_TIMEOUT);
    assert_int_equal(report.left, 1);
    assert_int_equal(read_note(&shared->saved), 0);
    int64_t usual_grace = grace;
    grace = 1; /* it waits for a shield all the same */
    assert_int_equal(cf_executor_shutdown(pool, CF_KILL, cf_after_ms(50), &report), CF_ERR_TIMEOUT);
    grace = usual_grace;
    write_note(&shared->go_on, 1);
    assert_int_equal(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, &report), CF_OK);
    assert_int_equal(report.killed, 1);
    assert_int_equal(read_note(&shared->saved), 1);
    assert_int_equal(cf_future_wait(f, CF_NOW), CF_ERR_WORKER_LOST);
    cf_future_release(f);
    cf_executor_close(pool);
}

static void
never_returns(void *unused)
{
    (void)unused;
    for (;;)
        (void)sched_yield();
}

/* An on_stop that never ends has its grace, no more: the pool ends all the same, and what was done stays done. */
static void
test_stop_that_never_ends(void **state)
{
    (void)state;
    int64_t usual_grace = grace;
    grace = INT64_C(20000000);
    cf_shutdown_report report;
    cf_executor *pool = cf_process_pool(.max_workers = 2, .on_stop = never_returns);
    cf_future *f = cf_submit(pool, answer, 41);
    assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, &report), CF_OK);
    grace = usual_grace;
    assert_int_equal(report.finished, 1);
    int value = 0;
    assert_int_equal(cf_result(f, answer, &value, CF_NOW), CF_OK);
    assert_int_equal(value, 42);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* ---- accounts ---- */

/* The future of a lost task knows how it ended, what it took and what it last said. */
static void
test_account_of_a_crash(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *f = cf_submit(pool, segfault);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_WORKER_LOST);
    const cf_account *account = cf_future_account(f);
    assert_non_null(account);
    assert_int_equal(account->limit, CF_LIMIT_NONE);
    assert_int_equal(account->tries, 1);
    assert_int_equal(account->signal, cf_future_signal(f));
    assert_true(account->signal == SIGILL || account->signal == SIGTRAP);
    assert_true(account->run_ns > 0 && account->peak_memory > 0);
    assert_false(account->out_of_memory);
    assert_string_equal(account->note, "about to touch nothing");
    assert_non_null(strstr(cf_future_message(f), "about to touch nothing"));
    cf_future_release(f);
    f = cf_submit(pool, leave_with, 3);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_WORKER_LOST);
    assert_int_equal(cf_future_account(f)->status, 3);
    assert_string_equal(cf_future_account(f)->note, "");
    assert_non_null(strstr(cf_future_message(f), "exit status 3"));
    cf_future_release(f);
    f = cf_submit(pool, answer, 1);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
    assert_null(cf_future_account(f));
    cf_future_release(f);
    cf_executor_close(pool);
}

/* ---- retries ---- */

static void
run_crashes(unsigned crashes, unsigned retries, cf_err expected, unsigned runs)
{
    unsigned value = 0;
    write_note(&shared->runs, 0);
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    cf_future *f = cf_submit_with(pool, cf_options(.retries = retries), crash_at_first, crashes);
    assert_int_equal(cf_result(f, crash_at_first, &value, CF_FOREVER), expected);
    assert_int_equal(read_note(&shared->runs), runs);
    if (expected == CF_OK)
        assert_int_equal(value, runs);
    else
        assert_int_equal(cf_future_account(f)->tries, runs);
    assert_works(pool);
    cf_future_release(f);
    cf_executor_close(pool);
}

/* A task that may be run again is, as often as it says, and not more. */
static void
test_retries(void **state)
{
    (void)state;
    run_crashes(1, 1, CF_OK, 2);
    run_crashes(3, 5, CF_OK, 4);
    run_crashes(100, 2, CF_ERR_WORKER_LOST, 3);
    run_crashes(1, 0, CF_ERR_WORKER_LOST, 1);
}

/* Crashes in its first run, once `start_by` has passed. */
static unsigned
crash_late(int64_t start_by)
{
    unsigned run = __atomic_add_fetch(&shared->runs, 1, __ATOMIC_ACQ_REL);
    while (run == 1 && !cf_passed(start_by))
        (void)sched_yield();
    if (run == 1)
        (void)raise(SIGKILL);
    return run;
}
CF_TASK(unsigned, crash_late, int64_t);

/* A task that has been started in time isn't late when it's tried again. */
static void
test_retries_start_in_time(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    for (int64_t limit = 10;; limit *= 2) {
        unsigned run = 0;
        write_note(&shared->runs, 0);
        cf_time start_by = cf_after_ms(limit);
        cf_future *f = cf_submit_with(pool, cf_options(.start_by = start_by, .retries = 1), crash_late, start_by);
        cf_err error = cf_result(f, crash_late, &run, CF_FOREVER);
        cf_future_release(f);
        if (read_note(&shared->runs) == 0)
            continue; /* it wasn't */
        assert_int_equal(error, CF_OK);
        assert_int_equal(run, 2);
        break;
    }
    cf_executor_close(pool);
}

/* Each task has its own count, though they use the same slot. */
static void
test_retries_of_the_next_task(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1, .max_pending = 1);
    for (int i = 0; i < 3; i++) {
        write_note(&shared->runs, 0);
        cf_future *f = cf_submit_with(pool, cf_options(.retries = 1), crash_at_first, 2u);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_WORKER_LOST);
        assert_int_equal(read_note(&shared->runs), 2);
        cf_future_release(f);
    }
    cf_executor_close(pool);
}

/* A limit isn't tried again. */
static void
test_no_retry_after_a_limit(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *f = cf_submit_with(pool, cf_options(.retries = 5, .time_limit_ms = 10), wait_for_ever);
    assert_passed(f, CF_LIMIT_TIME, "10 ms");
    assert_int_equal(cf_future_account(f)->tries, 1);
    cf_future_release(f);
    f = cf_submit_with(pool, cf_options(.retries = 256), answer, 1);
    assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_ERR_INVALID);
    cf_future_release(f);
    cf_executor_close(pool);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, notes_start, leaks_none_processes)
        TEST(test_time_limit_kills),
        TEST(test_limits_not_reached),
        TEST(test_time_limit_asks_first),
        TEST(test_time_limit_sends_the_wanted_signal),
        TEST(test_time_limit_terminates),
        TEST(test_time_limit_keeps_its_grace),
        TEST(test_limits_of_another_user),
        TEST(test_cpu_limit),
        TEST(test_stall_limit),
        TEST(test_start_by),
        TEST(test_memory_limit),
        TEST(test_memory_limit_refused),
        TEST(test_shield_puts_the_kill_off),
        TEST(test_shield_ends),
        TEST(test_shield_lasts_a_minute_at_most),
        TEST(test_shield_and_shutdown),
        TEST(test_stop_that_never_ends),
        TEST(test_account_of_a_crash),
        TEST(test_retries),
        TEST(test_retries_start_in_time),
        TEST(test_retries_of_the_next_task),
        TEST(test_no_retry_after_a_limit),
    };
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 99;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
