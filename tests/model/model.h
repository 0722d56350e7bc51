/* tests/model/model.h - the seam, played by a deterministic scheduler: the library's real headers run under every schedule.
 * SPDX-License-Identifier: MIT
 * Includes: model_engine.h.  Included by: the model_*.c here, before any header of the library.
 *
 * HOW IT WORKS  This file takes the place of detail/atomic.h, os.h, os_process.h and os_cpus.h (it defines their guards) and
 *   brings macros and functions of the same names.  Each of them is a scheduling point of model_engine.h: threads and processes are
 *   coroutines on one OS thread, and a depth-first search tries, within bounds, every choice that reality could make there:
 *
 *       who runs next              a switch away from somebody who could go on costs one of `preemptions`
 *       which store a load reads   an older one than the newest costs one of `stale_reads` (weak memory)
 *       whom a futex wake frees    any of the sleepers
 *       a wake that nobody sent    costs one of `spurious`
 *       that a deadline passes     while its sleeper sleeps (`timeouts` of them, if that isn't 0); for model_deadline(),
 *                                  at any look at the clock
 *       when a signal arrives      from its sending to the end of the receiver's next system call
 *       that a call fails          costs one of `faults`: no memory, no thread
 *       that a process dies here   costs one of `kills`: before each operation, and asleep
 *
 *   A search that ends has tried them all: "exhausted".  Otherwise it says "bounded".
 *
 * WHAT COUNTS AS A FAILURE  model_check() or CF_ASSERT() that doesn't hold; a deadlock, a livelock (too many steps); two
 *   unordered accesses to plain data, one of them a write (race); a touch of freed memory, of a popped stack frame or of another
 *   process's private memory; freeing what another thread's last use isn't ordered before; a leak; a mutex misused.
 * PLAIN DATA  is known from cf__data_read() and cf__data_write(); compiled with -fsanitize=thread (and linked without), the
 *   compiler reports each plain access by itself, and all of them are checked.  run.sh does that.
 *
 * MEMORY MODEL  Each location keeps its stores; a thread keeps, per location, the oldest one it may still read.  A release
 *   store carries what its thread knows, an acquire load that reads it learns it; relaxed does neither.  A read-modify-write
 *   reads the newest store and continues its release sequence.  seq_cst operations have one order: of their execution, but a
 *   load that reads a stale store comes earlier, after those that happen before it.  So a release store followed by a
 *   seq_cst load of another word doesn't pass for Dekker's, as it doesn't on x86.  Mutexes, thread start and join carry
 *   knowledge; futexes carry none, and compare with the newest store.
 * LIMITS  The order of stores is the order of execution, and loads aren't delayed beyond later stores (no load buffering, no
 *   2+2W).  The initial value of a location, and one written plainly, is visible to all (-fsanitize=thread checks that it's
 *   ordered).  Compiler reordering isn't seen.  Bounded threads, preemptions and stale reads.  The futex is the
 *   model's; test_litmus.c compares it with the kernel's.
 *
 * A SCENARIO
 *       static cf_queue queue;
 *       static void setup(void)    { model_check(cf_queue_init(&queue, sizeof(int), 1) == CF_OK); }
 *       static void put(void *arg) { (void)arg; int item = 1; model_check(cf_queue_put(&queue, &item) == CF_OK); }
 *       static void get(void *arg) { (void)arg; int item; model_check(cf_queue_get(&queue, &item) == CF_OK && item == 1); }
 *       static void check(void)    { cf_queue_destroy(&queue); }
 *       static const model_scenario scenarios[] = {
 *           {.name = "queue_1p1c", .setup = setup, .threads = {{"put", put, NULL}, {"get", get, NULL}}, .check = check},
 *       };
 *       int main(int argc, char **argv) { return model_main(argc, argv, scenarios, 1); }
 *   setup and check run alone, before and after the threads; both are part of each execution, so leave nothing behind in
 *   static variables that setup doesn't set again. */
#ifndef CFUTURES_TESTS_MODEL_H
#define CFUTURES_TESTS_MODEL_H

#define CF__NESTED_SLOTS 2u /* of each worker: less to look at */

#define CFUTURES_DETAIL_ATOMIC_H
#define CFUTURES_DETAIL_OS_H
#define CFUTURES_DETAIL_OS_PROCESS_H
#define CFUTURES_DETAIL_OS_CPUS_H

#undef _FORTIFY_SOURCE /* its longjmp refuses to change stacks */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#undef CF_ASSERT
#define CF_ASSERT(condition)                                                                                           \
    ((condition) ? (void)0                                                                                             \
                 : model__fail("check", "assertion failed: %s (%s:%d)", #condition, model__base(__FILE__), __LINE__))
#include "cfutures/detail/config.h"

#if defined(__SANITIZE_THREAD__)
#define MODEL__INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MODEL__INSTRUMENTED 1
#endif
#endif
#ifndef MODEL__INSTRUMENTED
#define MODEL__INSTRUMENTED 0
#endif

/* ---- what a scenario is made of ---- */

#define MODEL_NONE (-1) /* for a bound that is not to be the default */
#define MODEL_THREADS 6

typedef struct model_thread {
    const char *name;
    void (*run)(void *argument);
    void *argument;
} model_thread;

typedef struct model_scenario {
    const char *name;
    void (*setup)(void);
    model_thread threads[MODEL_THREADS];   /* run at once, in the first process */
    model_thread processes[MODEL_THREADS]; /* as well, each a process of its own that `kills` may hit */
    void (*check)(void);
    int preemptions;    /* 0: 2 */
    int stale_reads;    /* 0: 1; MODEL_NONE: sequentially consistent memory */
    int spurious;       /* 0: 1 */
    int kills;          /* 0: none */
    int faults;         /* 0: none; setup's own calls never fail */
    int timeouts;       /* deadlines that pass while others could go on; 0: any number, in any order; or MODEL_NONE */
    int steps;          /* 0: 2,000; more are a livelock */
    long random;        /* executions at random, for what is too large to exhaust; 0: exhaustive */
    double seconds;     /* 0: 20; then the search stops as "bounded" */
    bool leaks;         /* blocks may be left at the end */
    bool calm;          /* setup and check run without preemptions, stale reads, faults: they prepare and clear up */
    const char *expect; /* the kind of failure that must be found: "deadlock", "race", ...; NULL: none may */
} model_scenario;

/* Runs the scenarios as the command line says; returns main's status.
 *   --list               their names
 *   --only NAME          one of them; --replay STRING: one schedule of it, as a failure printed it, with a trace
 *   --stop               after the first failure
 *   --preemptions N, --stale N, --seconds N    in place of the scenarios' own bounds
 *   --seed N             at random, until --seconds, in place of a search */
static int model_main(int argc, char **argv, const model_scenario *scenarios, size_t count);

/* A statement that must hold, in setup, threads, check. */
#define model_check(condition)                                                                                         \
    ((condition) ? (void)0 : model__fail("check", "not true: %s (%s:%d)", #condition, model__base(__FILE__), __LINE__))

/* A point in time that the search lets pass at any moment; a larger `number` is later. */
static int64_t model_deadline(int number);

/* Makes *object local to each coroutine, zero at its start.  Call in setup, for the thread-local variables of the library. */
static void model_thread_local(void *object, size_t size);

/* Starts a process, from any coroutine; returns its number, from 1. */
static unsigned model_process_start(const char *name, void (*run)(void *argument), void *argument);

typedef struct model_death {
    unsigned process;
    bool killed;        /* else it returned */
    int signal, status; /* by which signal, or with which status */
} model_death;

/* Waits until a process has ended; false when none is left that could. */
static bool model_wait_death(model_death *death);

/* `process` isn't one that `kills` may hit. */
static void model_spare(unsigned process);

/* Signals that arrive at the calling process run `handler`; at first they kill it. */
static void model_on_signal(void (*handler)(int signal_number));

/* In a child, after cf__os_fork() has returned 0: what it does from here on, with `size` bytes at `argument`. */
static void model_fork_child(const char *name, void (*run)(void *argument), const void *argument, size_t size)
    __attribute__((noreturn));

/* Adds a line to the trace of a replay. */
static void model_note(const char *format, ...) CF_PRINTF(1, 2);

/* ---- the engine ---- */

typedef enum model__order { /* bits */
                            MODEL__RELAXED = 0,
                            MODEL__ACQUIRE = 1,
                            MODEL__RELEASE = 2,
                            MODEL__ACQ_REL = 3,
                            MODEL__SEQ_CST = 7
} model__order;

/* Where in the code an operation stands. */
typedef struct model__site {
    const char *operation, *expression, *file;
    int line;
} model__site;

typedef enum cf__scope { CF__SCOPE_SHARED = 0, CF__SCOPE_PRIVATE = 128 } cf__scope;
typedef struct cf__mutex {
    uint32_t number;
} cf__mutex;
#define CF__MUTEX_STATIC                                                                                               \
    {                                                                                                                  \
        0                                                                                                              \
    }
typedef struct cf__cond {
    uint32_t signals;
} cf__cond;
typedef struct cf__thread {
    uint32_t number;
} cf__thread;

typedef enum cf__awaited { CF__AWAITED_TIME, CF__AWAITED_SIGNAL, CF__AWAITED_END } cf__awaited;
typedef struct cf__process_death {
    int32_t signal, status;
    int64_t cpu;
    uint64_t peak_memory;
} cf__process_death;
typedef struct cf__robust_list {
    void *none;
} cf__robust_list;

#include "model_engine.h"

/* ---- atomic.h ---- */

#define MODEL__SITE(operation, expression)                                                                             \
    (__extension__({                                                                                                   \
        static const model__site model__here = {operation, expression, __FILE__, __LINE__};                            \
        &model__here;                                                                                                  \
    }))
#define MODEL__TYPED(p, bits) ((__typeof__(*(p)))(uintptr_t)(bits))
#define MODEL__BITS(p, value) ((uint64_t)(uintptr_t)(__typeof__(*(p)))(value))

#define MODEL__LOAD(order, p)                                                                                          \
    MODEL__TYPED(p, model__load(MODEL__SITE("load_" #order, #p), (p), sizeof *(p), MODEL__##order))
#define MODEL__STORE(order, p, value)                                                                                  \
    model__store(MODEL__SITE("store_" #order, #p), (p), sizeof *(p), MODEL__BITS(p, value), MODEL__##order)
#define MODEL__CHANGE(what, order, p, value)                                                                           \
    MODEL__TYPED(p, model__change(MODEL__SITE(#what "_" #order, #p), (p), sizeof *(p), MODEL__CHANGE_##what,           \
                                  MODEL__BITS(p, value), MODEL__##order))
#define MODEL__CAS(order, failed, p, expected, value)                                                                  \
    model__cas(MODEL__SITE("cas_" #order, #p), (p), sizeof *(p), (expected), MODEL__BITS(p, value), MODEL__##order,    \
               MODEL__##failed)

#define cf__load_relaxed(p) MODEL__LOAD(RELAXED, p)
#define cf__load_acquire(p) MODEL__LOAD(ACQUIRE, p)
#define cf__load_seq_cst(p) MODEL__LOAD(SEQ_CST, p)
#define cf__store_relaxed(p, value) MODEL__STORE(RELAXED, p, value)
#define cf__store_release(p, value) MODEL__STORE(RELEASE, p, value)
#define cf__store_seq_cst(p, value) MODEL__STORE(SEQ_CST, p, value)

/* All orders of the rest, also those that atomic.h doesn't have: the mutants need them. */
#define cf__cas_relaxed(p, expected, value) MODEL__CAS(RELAXED, RELAXED, p, expected, value)
#define cf__cas_acquire(p, expected, value) MODEL__CAS(ACQUIRE, ACQUIRE, p, expected, value)
#define cf__cas_release(p, expected, value) MODEL__CAS(RELEASE, RELAXED, p, expected, value)
#define cf__cas_acq_rel(p, expected, value) MODEL__CAS(ACQ_REL, ACQUIRE, p, expected, value)
#define cf__cas_seq_cst(p, expected, value) MODEL__CAS(SEQ_CST, SEQ_CST, p, expected, value)
#define cf__exchange_relaxed(p, value) MODEL__CHANGE(exchange, RELAXED, p, value)
#define cf__exchange_acquire(p, value) MODEL__CHANGE(exchange, ACQUIRE, p, value)
#define cf__exchange_release(p, value) MODEL__CHANGE(exchange, RELEASE, p, value)
#define cf__exchange_acq_rel(p, value) MODEL__CHANGE(exchange, ACQ_REL, p, value)
#define cf__exchange_seq_cst(p, value) MODEL__CHANGE(exchange, SEQ_CST, p, value)
#define cf__fetch_add_relaxed(p, value) MODEL__CHANGE(fetch_add, RELAXED, p, value)
#define cf__fetch_add_acquire(p, value) MODEL__CHANGE(fetch_add, ACQUIRE, p, value)
#define cf__fetch_add_release(p, value) MODEL__CHANGE(fetch_add, RELEASE, p, value)
#define cf__fetch_add_acq_rel(p, value) MODEL__CHANGE(fetch_add, ACQ_REL, p, value)
#define cf__fetch_add_seq_cst(p, value) MODEL__CHANGE(fetch_add, SEQ_CST, p, value)
#define cf__fetch_sub_relaxed(p, value) MODEL__CHANGE(fetch_sub, RELAXED, p, value)
#define cf__fetch_sub_acquire(p, value) MODEL__CHANGE(fetch_sub, ACQUIRE, p, value)
#define cf__fetch_sub_release(p, value) MODEL__CHANGE(fetch_sub, RELEASE, p, value)
#define cf__fetch_sub_acq_rel(p, value) MODEL__CHANGE(fetch_sub, ACQ_REL, p, value)
#define cf__fetch_sub_seq_cst(p, value) MODEL__CHANGE(fetch_sub, SEQ_CST, p, value)
#define cf__fetch_or_relaxed(p, value) MODEL__CHANGE(fetch_or, RELAXED, p, value)
#define cf__fetch_or_acquire(p, value) MODEL__CHANGE(fetch_or, ACQUIRE, p, value)
#define cf__fetch_or_release(p, value) MODEL__CHANGE(fetch_or, RELEASE, p, value)
#define cf__fetch_or_acq_rel(p, value) MODEL__CHANGE(fetch_or, ACQ_REL, p, value)
#define cf__fetch_or_seq_cst(p, value) MODEL__CHANGE(fetch_or, SEQ_CST, p, value)
#define cf__fetch_and_relaxed(p, value) MODEL__CHANGE(fetch_and, RELAXED, p, value)
#define cf__fetch_and_acquire(p, value) MODEL__CHANGE(fetch_and, ACQUIRE, p, value)
#define cf__fetch_and_release(p, value) MODEL__CHANGE(fetch_and, RELEASE, p, value)
#define cf__fetch_and_acq_rel(p, value) MODEL__CHANGE(fetch_and, ACQ_REL, p, value)
#define cf__fetch_and_seq_cst(p, value) MODEL__CHANGE(fetch_and, SEQ_CST, p, value)

#define cf__data_write(p, size) model__data(MODEL__SITE("data_write", #p), (p), (size), true)
#define cf__data_read(p, size) model__data(MODEL__SITE("data_read", #p), (p), (size), false)
#define cf__cpu_relax() model__yield(MODEL__SITE("cpu_relax", ""), 1000)

#if MODEL__INSTRUMENTED /* the compiler reports plain accesses, but these only to its own runtime */
#define memcpy(to, from, size) model__memcpy(MODEL__SITE("memcpy", #to ", " #from), (to), (from), (size))
#define memset(to, byte, size) model__memset(MODEL__SITE("memset", #to), (to), (byte), (size))
#endif

/* ---- os.h ---- */

#define cf__os_alloc(size) model__alloc(MODEL__SITE("alloc", #size), (size), false)
#define cf__os_free(p) model__free(MODEL__SITE("free", #p), (p))
#define cf__os_map_shared(size) model__alloc(MODEL__SITE("map_shared", #size), (size), true)
#define cf__os_map_private(size) model__map_private(MODEL__SITE("map_private", #size), (size))
#define cf__os_prefer_huge_pages(p, size) ((void)(size))
#define cf__os_unmap(p, size) ((void)(size), model__free(MODEL__SITE("unmap", #p), (p)))
#define cf__os_discard_shared(p, size) model__discard(MODEL__SITE("discard_shared", #p), (p), (size))
#define cf__os_fork_guard_new() model__fork_guard_new(MODEL__SITE("fork_guard_new", ""))
#define cf__os_fork_guard_free(guard) model__free(MODEL__SITE("fork_guard_free", #guard), (guard))
#define cf__os_now() model__now(MODEL__SITE("now", ""))
#define cf__os_futex_wait(word, expected, deadline, scope)                                                             \
    model__futex_wait(MODEL__SITE("futex_wait", #word), (word), (expected), NULL, 0, (deadline), (scope))
#define cf__os_futex_wait_two(word, expected, word2, expected2, deadline, supported)                                   \
    (*(supported) = true, model__futex_wait(MODEL__SITE("futex_wait_two", #word ", " #word2), (word), (expected),      \
                                            (word2), (expected2), (deadline), CF__SCOPE_SHARED))
#define cf__os_futex_wake(word, count, scope)                                                                          \
    model__futex_wake(MODEL__SITE("futex_wake", #word), (word), (count), (scope))
#define cf__os_yield() model__os_yield(MODEL__SITE("os_yield", ""))
/* The caller takes a while: the others may go on first, which costs nothing. */
#define model_take_time() model__take_time(MODEL__SITE("take_time", ""))
#define model_yield() model__yield(MODEL__SITE("yield", ""), 1000)
#define cf__mutex_init(mutex) model__mutex_init(MODEL__SITE("mutex_init", #mutex), (mutex))
#define cf__mutex_destroy(mutex) model__mutex_destroy(MODEL__SITE("mutex_destroy", #mutex), (mutex))
#define cf__mutex_lock(mutex) model__mutex_lock(MODEL__SITE("mutex_lock", #mutex), (mutex))
#define cf__mutex_lock_within(mutex, spin) ((void)(spin), cf__mutex_lock(mutex)) /* the same, but for the time */
#define cf__mutex_unlock(mutex) model__mutex_unlock(MODEL__SITE("mutex_unlock", #mutex), (mutex))
#define cf__os_thread_start(thread, run, argument, stack_size)                                                         \
    ((void)(stack_size), model__thread_start(MODEL__SITE("thread_start", #run), (thread), (run), (argument)))
#define cf__os_thread_join(thread) model__thread_join(MODEL__SITE("thread_join", #thread), (thread))
#define cf__os_thread_try_join(thread) model__thread_try_join(MODEL__SITE("thread_try_join", #thread), (thread))
#define cf__os_stack_size(asked) ((void)(asked), (size_t)1 << 23)
#define cf__os_flush_streams() ((void)0)                                          /* no model writes */
#define cf__os_run_guarded(run, argument, ended) ((void)(ended), (run)(argument)) /* no model ends a thread by itself */
#define cf__os_thread_self() ((cf__thread){.number = model.current->number})
#define cf__os_thread_is_self(thread) ((thread)->number == model.current->number)
#define cf__os_thread_name(name) ((void)(name))
#define cf__os_pid() model__pid()
#define cf__os_thread_cpu_time() INT64_C(0)
#define cf__os_cpu() (model.current->process) /* each process on its own */

/* ---- os_cpus.h ---- */

#ifndef MODEL_CPUS
#define MODEL_CPUS 2u
#endif
#define cf_usable_cpus() MODEL_CPUS

/* ---- os_process.h: a descriptor that stands for a process is its id ---- */

#define cf__os_fork()                                                                                                  \
    (!model__may_fork(MODEL__SITE("fork", "")) ? -1                                                                    \
     : _setjmp(model.forked) == 0              ? 0 /* then the child calls model_fork_child() */                       \
                                               : model.forked_process)
#define cf__os_fork_hidden(run, argument, stack_size, life_line, process, error)                                       \
    ((void)(stack_size), (void)(life_line),                                                                            \
     model__fork_hidden(MODEL__SITE("fork_hidden", #run), (run), (argument), sizeof *(argument), (process), (error)))
#define cf__os_exit(status) model__exit(MODEL__SITE("exit", ""), (status))
#define cf__os_pause_for_good() model__pause_for_good(MODEL__SITE("pause_for_good", ""))
#define cf__os_signal(process, number) (model__signal(MODEL__SITE("signal", #process), (process), (number)), true)
#define cf__os_user() UINT64_C(0)
#define cf__os_signal_group(process, number) model__signal(MODEL__SITE("signal_group", #process), (process), (number))
#define cf__os_pidfd_signal(pidfd, number) (model__signal(MODEL__SITE("pidfd_signal", #pidfd), (pidfd), (number)), true)
#define cf__os_reset_signals(ignored, count)                                                                           \
    (model__set_signals(0, 0), model__set_signals(0, model__signal_bits((ignored), (count))))
#define cf__os_ignore_signal(number) model__set_signals(0, UINT64_C(1) << (number))
#define cf__os_await_signals(one, another) model__set_signals((UINT64_C(1) << (one)) | (UINT64_C(1) << (another)), 0)
#define cf__os_await_signal_or_end(pidfd, reader, nanoseconds)                                                         \
    ((void)(reader), model__await_signal(MODEL__SITE("await_signal_or_end", #pidfd), (pidfd), (nanoseconds)))
#define cf__os_dead_child() model__dead_child(MODEL__SITE("dead_child", ""))
#define cf__os_reap(process, death) model__reap(MODEL__SITE("reap", #process), (process), (death))
#define cf__os_pidfd_open(process) (process)
#define cf__os_pidfd_ended(pidfd, deadline) model__await_end(MODEL__SITE("pidfd_ended", #pidfd), (pidfd), (deadline))
#define cf__os_mark_at_death(list, word) ((void)(list), model.processes[model.current->process].life = (word))
#define cf__os_die_with(parent) model__die_with(MODEL__SITE("die_with", #parent), (parent))
#define cf__os_process_cpu_time(process) ((void)(process), model.clock) /* each has always been running */
#define cf__os_limit_memory(more, before) (*(before) = UINT64_MAX, 0)
#define cf__os_unlimit_memory(before) ((void)(before))
#define cf__os_memory(mapped, resident) (*(mapped) = *(resident) = 1)
#define cf__os_memory_kills() UINT64_C(0)
#define cf__os_pipe(ends) ((ends)[0] = (ends)[1] = -1, 0)
/* What the system does for a process without another's noticing. */
#define cf__os_bury(process, status) ((void)(status))
#define cf__os_close(descriptor) ((void)(descriptor))
#define cf__os_own_group() ((void)0)
#define cf__os_adopt_orphans() ((void)0)
#define cf__os_empty_stdin() ((void)0)
#define cf__os_exit_at_once() true
#define cf__os_end_with_thread() true
#define cf__os_prefer_as_victim() ((void)0)
#define cf__os_purge_streams() ((void)0)

CF__UNUSED static uint64_t
model__signal_bits(const int *signals, size_t count)
{
    uint64_t bits = 0;
    for (size_t i = 0; i < count; i++)
        bits |= UINT64_C(1) << signals[i];
    return bits;
}

CF_API struct timespec
cf__os_timespec(int64_t nanoseconds)
{
    struct timespec t = {(time_t)(nanoseconds / 1000000000), (long)(nanoseconds % 1000000000)};
    return t;
}

/* A condition variable is a count of signals to sleep on: as a real one, it may wake for nothing. */
CF__PRIVATE void
cf__cond_init(cf__cond *cond)
{
    cf__store_relaxed(&cond->signals, 0u);
}

CF__PRIVATE void
cf__cond_destroy(cf__cond *cond)
{
    cf__store_relaxed(&cond->signals, UINT32_MAX);
}

CF__PRIVATE bool
cf__cond_wait(cf__cond *cond, cf__mutex *mutex, int64_t deadline)
{
    uint32_t seen = cf__load_relaxed(&cond->signals);
    cf__mutex_unlock(mutex);
    bool in_time = cf__os_futex_wait(&cond->signals, seen, deadline, CF__SCOPE_PRIVATE);
    cf__mutex_lock(mutex);
    return in_time;
}

CF__PRIVATE void
cf__cond_signal(cf__cond *cond)
{
    (void)cf__fetch_add_relaxed(&cond->signals, 1u);
    (void)cf__os_futex_wake(&cond->signals, 1, CF__SCOPE_PRIVATE);
}

#endif
