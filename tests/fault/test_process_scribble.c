/* tests/fault/test_process_scribble.c - a worker that writes over the shared memory spoils results, or breaks the pool with
 * a reason; the parent neither crashes nor hangs.
 * SPDX-License-Identifier: MIT
 *   --seconds N   for the random rounds; without it 500 of them, with AddressSanitizer 2,500.  They mostly wait: meson runs
 *                 four of these beside each other, each from its own CF_TEST_SEED
 *
 * ONE WORD AT A TIME  The first tests are sure: a task stands in a gate, the test itself writes over one word as a worker
 *   might, and whoever sleeps in the parent has to find it.
 * AT RANDOM  Then tasks write random bytes, and words that look right but aren't, all over the arena and the heap, while
 *   others run, by tasks and by threads that they leave behind; the parent meanwhile uses everything that a pool has.
 *   Whatever comes of it, each future settles and each pool closes.
 * BYSTANDERS  A child of the test's that sleeps and one that has died: their process ids are what is written where the arena
 *   has process ids.  At the end the one still sleeps, and the other is still the test's to reap.
 * A TASK THAT NEVER ENDS is none of the parent's business, but could come of it: a spoilt function pointer may lead into a
 *   loop.  So an alarm ends workers whose task takes more than five seconds, and is counted: few may have to.  It's the second
 *   one that does, for a machine that stands still for some seconds brings the first to every worker at once. */
#include "support.h"

#include <pthread.h>
#include <sys/prctl.h>

/* Nobody has much patience here: a random round is to take milliseconds. */
#define CF__SLICE_FIRST INT64_C(200000)
#define CF__SLICE_LAST INT64_C(5000000)
#define CF__PROCESS_GRACE INT64_C(100000000)
#define CF__LINGER linger
static int64_t linger = INT64_C(100000000);
#include <cfutures.h>

static unsigned seconds;    /* 0: by counts */
#ifdef __SANITIZE_ADDRESS__ /* where reading beyond one's bounds shows, too */
enum { usual_rounds = 2500 };
#else
enum { usual_rounds = 500 };
#endif

typedef struct shared { /* what all our processes share, outside of any arena; fields: A atomic */
    uint32_t inside;    /* A: tasks that stand in the gate, ever */
    uint32_t open;      /* A */
    int32_t standing;   /* A: the process of the last one */
    uint32_t stuck;     /* A: workers that the alarm ended */
} shared_words;
static shared_words *shared;
static pid_t bystander, zombie;

static cf__process_pool *
inside(cf_executor *pool)
{
    return (cf__process_pool *)pool;
}

static cf__slot *
slot_of(cf_future *future)
{
    const cf__process_future *ours = (const cf__process_future *)future;
    return &ours->pool->setup.view.slots[ours->index];
}

/* ---- tasks ---- */

static uint64_t
answer(uint32_t task)
{
    return (uint64_t)task * UINT64_C(0x9e3779b97f4a7c15) ^ task;
}

static volatile sig_atomic_t alarms = -1; /* that this task has had; -1: there are none */

static void
on_alarm(int signal_number)
{
    const cf__task_context *current = cf__task_current();
    bool busy = current != NULL && current->outer != NULL; /* neither idle, nor a thread that a task has left behind */
    (void)signal_number;
    if (!busy || alarms++ == 0) {
        (void)alarm(5);
        return;
    }
    (void)__atomic_fetch_add(&shared->stuck, 1, __ATOMIC_SEQ_CST);
    _exit(4);
}

/* A task begins. */
static void
set_alarm(void)
{
    if (alarms == -1)
        return;
    alarms = 0;
    (void)alarm(5);
}

static void
start_with_alarm(void *context)
{
    (void)context;
    (void)signal(SIGALRM, on_alarm);
    alarms = 0;
    set_alarm();
}

static uint64_t
work(uint32_t task)
{
    set_alarm();
    return answer(task);
}
CF_TASK(uint64_t, work, uint32_t);

/* Arguments and result that don't fit into a slot. */
typedef struct page {
    uint64_t number[100];
} page;

static page
work_on_page(page in)
{
    set_alarm();
    for (size_t i = 0; i < 100; i++)
        in.number[i] ^= UINT64_MAX;
    return in;
}
CF_TASK(page, work_on_page, page);

static void
give_up(uint32_t task)
{
    cf_fail((int)task, "task %u", task);
}
CF_TASK_VOID(give_up, uint32_t);

/* Stands in the gate until it's opened; its process id. */
static int32_t
stand(void)
{
    __atomic_store_n(&shared->standing, getpid(), __ATOMIC_RELAXED);
    (void)__atomic_fetch_add(&shared->inside, 1, __ATOMIC_SEQ_CST);
    wait_until(__atomic_load_n(&shared->open, __ATOMIC_ACQUIRE) != 0);
    return getpid();
}
CF_TASK(int32_t, stand);

static void
close_gate(void)
{
    __atomic_store_n(&shared->inside, 0, __ATOMIC_SEQ_CST);
    __atomic_store_n(&shared->open, 0, __ATOMIC_SEQ_CST);
}

static void
open_gate(void)
{
    __atomic_store_n(&shared->open, 1, __ATOMIC_SEQ_CST);
}

static void
wait_inside(uint32_t n)
{
    wait_until(__atomic_load_n(&shared->inside, __ATOMIC_ACQUIRE) == n);
}

static bool
is_alive(int32_t process)
{
    return kill(process, 0) == 0;
}

/* Sleeps for as long as the test lives. */
static pid_t
fork_bystander(void)
{
    pid_t process = fork();
    if (process != 0)
        return process;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (;;)
        (void)pause();
}

/* The pool does tasks as ever, with all its workers. */
static void
check_works(cf_executor *pool, uint32_t workers)
{
    cf_future *futures[8];
    close_gate();
    for (uint32_t i = 0; i < workers; i++)
        futures[i] = cf_submit(pool, stand);
    wait_inside(workers); /* all at once */
    open_gate();
    for (uint32_t i = 0; i < workers; i++) {
        assert_int_equal(cf_future_wait(futures[i], CF_FOREVER), CF_OK);
        cf_future_release(futures[i]);
    }
}

/* ---- one word at a time ---- */

static void
store_word(cf__slot *slot, uint64_t word)
{
    __atomic_store_n(&slot->word, word, __ATOMIC_SEQ_CST);
}

/* Words that a slot in use can't have, in place of `word`, which is RUNNING by worker 1. */
static uint64_t
wrong_word(uint64_t word, unsigned which, bool *wrong)
{
    uint64_t generation = cf__slot_generation(word);
    *wrong = true;
    switch (which) {
    case 0:
        return cf__slot_word(generation, 0, CF__SLOT_FREE);
    case 1:
        return cf__slot_word(generation + 1, 0, CF__SLOT_FREE); /* as if collected */
    case 2:
        return cf__slot_word(generation, 0, CF__SLOT_LATE);
    case 3:
        return cf__slot_word(generation, 0, CF__SLOT_GONE);
    case 4:
        return cf__slot_word(generation, 1, CF__SLOT_PENDING);
    case 5:
        return cf__slot_word(generation, 0, CF__SLOT_RUNNING);
    case 6:
        return cf__slot_word(generation, 4000, CF__SLOT_RUNNING);
    case 7:
        return cf__slot_word(generation, 2, CF__SLOT_RUNNING); /* there is one, but it has other things to do */
    case 8:
        return cf__slot_word(generation + 77, 1, CF__SLOT_RUNNING);
    case 9:
        return cf__slot_word(generation + 77, 1, CF__SLOT_DONE);
    case 10:
        return cf__slot_word(generation, 0, CF__SLOT_DONE);
    case 11:
        return UINT64_MAX;
    case 12:
        return word | UINT64_C(1) << 44; /* tried again, though nobody has asked for that */
    default:
        *wrong = false;
        return 0;
    }
}

typedef enum sleeper { WAITER, CALLBACK, SUBMITTER, SHUTDOWN, SLEEPERS } sleeper;

static void
count_callback(cf_future *future, void *context)
{
    (void)future;
    (void)__atomic_fetch_add((uint32_t *)context, 1, __ATOMIC_RELEASE);
}

/* Whoever sleeps for a task whose word was written over finds it; the worker that ran it is replaced. */
static void
test_scribbled_word_is_corrupt(void **state)
{
    bool wrong = true;
    (void)state;
    for (unsigned which = 0; wrong; which++) {
        for (sleeper who = WAITER; who < SLEEPERS; who++) {
            uint32_t called = 0;
            cf_future *more = NULL;
            cf_executor *pool = cf_process_pool(.max_workers = 2, .max_pending = 2, .memory = 1 << 20);
            close_gate();
            cf_future *future = cf_submit(pool, stand), *other = cf_submit(pool, stand);
            wait_inside(2);
            cf__slot *slot = slot_of(future);
            uint64_t word = __atomic_load_n(&slot->word, __ATOMIC_SEQ_CST);
            uint32_t owner = cf__slot_owner(word);
            if (owner == 2) { /* the words above are for the first worker's */
                cf_future *swap = future;
                future = other;
                other = swap;
                slot = slot_of(future);
                word = __atomic_load_n(&slot->word, __ATOMIC_SEQ_CST);
            }
            const cf__worker_record *records = inside(pool)->setup.view.workers;
            int32_t process = records[0].process, other_process = records[1].process;
            if (who == CALLBACK)
                assert_int_equal(cf_future_add_done_callback(future, count_callback, &called), CF_OK);
            uint64_t other_word = wrong_word(word, which, &wrong);
            store_word(slot, wrong ? other_word : word);
            if (!wrong)
                open_gate();
            switch (who) {
            case WAITER:
                break;
            case CALLBACK:
                wait_until(__atomic_load_n(&called, __ATOMIC_ACQUIRE) == 1);
                break;
            case SUBMITTER:
                more = cf_submit(pool, work, 1u); /* there is no room but that one */
                break;
            default:
                open_gate(); /* for the other task */
                assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
            }
            assert_int_equal(cf_future_wait(future, CF_FOREVER), wrong ? CF_ERR_CORRUPT : CF_OK);
            if (wrong) {
                assert_non_null(strstr(cf_future_message(future), "stand: "));
                assert_non_null(strstr(cf_future_message(future), cf_strerror(CF_ERR_CORRUPT)));
            }
            if (wrong && who != SHUTDOWN)
                wait_until(!is_alive(process)); /* though it stands in a closed gate */
            /* Where the word says that the second worker runs it, that one is killed as well. */
            if (which == 7 && who != SHUTDOWN)
                wait_until(!is_alive(other_process));
            open_gate();
            cf_err error = cf_future_wait(other, CF_FOREVER);
            assert_true(error == CF_OK || (which == 7 && error == CF_ERR_WORKER_LOST));
            if (who != SHUTDOWN)
                check_works(pool, 2);
            cf_future_release(future);
            cf_future_release(other);
            if (more != NULL) {
                assert_int_equal(cf_future_wait(more, CF_FOREVER), CF_OK);
                cf_future_release(more);
            }
            cf_executor_close(pool);
            (void)alarm(watchdog_seconds());
        }
    }
    wait_until(living_processes() == 0);
}

/* A worker that sleeps while word and record say that it runs a task is asked, and puts its record right. */
static void
test_scribbled_record_of_idle_worker(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    const cf__arena_view *view = &inside(pool)->setup.view;
    close_gate();
    cf_future *future = cf_submit(pool, stand);
    wait_inside(1);
    uint64_t word = __atomic_load_n(&slot_of(future)->word, __ATOMIC_SEQ_CST);
    uint32_t idle = 3 - cf__slot_owner(word);
    int32_t processes[2] = {view->workers[0].process, view->workers[1].process};
    wait_until(__atomic_load_n(&view->arena->idle[0], __ATOMIC_SEQ_CST) == UINT64_C(1) << (idle - 1));
    __atomic_store_n(&view->workers[idle - 1].intent, 1 + ((const cf__process_future *)future)->index,
                     __ATOMIC_SEQ_CST);
    store_word(slot_of(future), cf__slot_word(cf__slot_generation(word), idle, CF__SLOT_RUNNING));
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_CORRUPT);
    cf_future_release(future);
    wait_until(!is_alive(processes[0]) && !is_alive(processes[1])); /* one runs it, the other is said to */
    check_works(pool, 2);
    cf_executor_close(pool);
}

/* Submits to its own pool, and waits for that. */
static void
have_a_child(uint32_t task)
{
    cf_future *child = cf_submit(cf_current_executor(), work, task);
    (void)cf_future_wait(child, CF_FOREVER);
    cf_future_release(child);
}
CF_TASK_VOID(have_a_child, uint32_t);

/* Nor one that lingers, which looks for no work. */
static void
test_scribbled_record_of_stand_in(void **state)
{
    (void)state;
    linger = INT64_C(3600000000000);
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    linger = INT64_C(100000000);
    const cf__arena_view *view = &inside(pool)->setup.view;
    cf__worker_record *second = &view->workers[1];
    while (__atomic_load_n(&second->started, __ATOMIC_ACQUIRE) ==
           0) { /* where it took too long to come, it isn't needed */
        cf_future *parent = cf_submit(pool, have_a_child, 1);
        assert_int_equal(cf_future_wait(parent, CF_FOREVER), CF_OK);
        cf_future_release(parent);
    }
    /* It lingers when it sleeps without saying that it's idle. */
    for (long parent; __atomic_load_n(&view->arena->idle[0], __ATOMIC_SEQ_CST) >> 1 & 1 ||
                      process_state(second->process, &parent) != 'S';) {
        cf__arena_wake_worker(view, 2);
        (void)sched_yield();
    }
    close_gate();
    cf_future *future = cf_submit(pool, stand);
    wait_inside(1);
    uint64_t word = __atomic_load_n(&slot_of(future)->word, __ATOMIC_SEQ_CST);
    assert_int_equal(cf__slot_owner(word), 1);
    __atomic_store_n(&second->intent, 1 + ((const cf__process_future *)future)->index, __ATOMIC_SEQ_CST);
    store_word(slot_of(future), cf__slot_word(cf__slot_generation(word), 2, CF__SLOT_RUNNING));
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_CORRUPT);
    cf_future_release(future);
    open_gate();
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
}

/* Nor is a record believed of a worker that there isn't. */
static void
test_scribbled_record_of_nobody(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    const cf__arena_view *view = &inside(pool)->setup.view;
    close_gate();
    cf_future *future = cf_submit(pool, stand);
    wait_inside(1);
    uint64_t word = __atomic_load_n(&slot_of(future)->word, __ATOMIC_SEQ_CST);
    int32_t process = view->workers[cf__slot_owner(word) - 1].process;
    __atomic_store_n(&view->workers[view->worker_count - 1].intent, 1 + ((const cf__process_future *)future)->index,
                     __ATOMIC_SEQ_CST);
    store_word(slot_of(future), cf__slot_word(cf__slot_generation(word), view->worker_count, CF__SLOT_RUNNING));
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_CORRUPT);
    cf_future_release(future);
    wait_until(!is_alive(process));
    check_works(pool, 2);
    cf_executor_close(pool);
}

/* Makes its own slot pending again, and ends.  The only worker runs it. */
static int32_t
ask_for_more(const cf__process_pool *pool)
{
    const cf__arena_view *view = &pool->setup.view;
    cf__slot *slot = &view->slots[view->workers[0].intent - 1];
    store_word(slot, cf__slot_word(cf__slot_generation(slot->word), 0, CF__SLOT_PENDING));
    _exit(0);
}
CF_TASK(int32_t, ask_for_more, const cf__process_pool *);

/* `future` is settled as corrupt, and its pool, whose end this is, goes on with its one worker.  Takes both. */
static void
check_corrupt(cf_executor *pool, cf_future *future)
{
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_CORRUPT);
    cf_future_release(future);
    check_works(pool, 1);
    cf_executor_close(pool);
}

/* A task that would be run again for ever isn't. */
static void
test_scribbled_pending_ends(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    check_corrupt(pool, cf_submit(pool, ask_for_more, inside(pool)));
}

/* Allows itself as many tries as there can be, and ends.  The only worker runs it. */
static int32_t
ask_for_retries(const cf__process_pool *pool)
{
    const cf__arena_view *view = &pool->setup.view;
    cf__slot *slot = &view->slots[view->workers[0].intent - 1];
    slot->limited = 1;
    slot->limits.retries = UINT32_MAX;
    _exit(0);
}
CF_TASK(int32_t, ask_for_retries, const cf__process_pool *);

/* Nor is one that was to be run once. */
static void
test_scribbled_retries(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    check_corrupt(pool, cf_submit(pool, ask_for_retries, inside(pool)));
}

/* A worker doesn't wait for ever for a signal that nobody sends, whatever the parent waits for. */
static void
test_scribbled_signal(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    close_gate();
    cf_future *future = cf_submit(pool, stand), *next = cf_submit(pool, work, 1u);
    wait_inside(1);
    (void)__atomic_fetch_or(&slot_of(future)->word, CF__SLOT_SIGNALED, __ATOMIC_SEQ_CST);
    open_gate();
    assert_int_equal(cf_future_wait(next, CF_FOREVER), CF_OK); /* looks after that one's slot alone */
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_OK);
    cf_future_release(next);
    cf_future_release(future);
    check_works(pool, 1);
    cf_executor_close(pool);
}

/* A pool gets its workers back, however many the arena says that it wants, or has; as soon as somebody sleeps for them. */
static void
test_scribbled_numbers_of_workers(void **state)
{
    static const uint32_t numbers[] = {0, 1, 3, UINT32_MAX};
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    cf__arena *arena = inside(pool)->setup.view.arena;
    uint32_t *words[] = {&arena->wanted, &arena->least, &arena->most, &arena->high};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        for (unsigned which = 0; which < 16; which++) {
            for (unsigned bit = 0; bit < 4; bit++) {
                if (which & (1u << bit))
                    __atomic_store_n(words[bit], numbers[i], __ATOMIC_SEQ_CST);
            }
            uint32_t called = 0;
            cf_future *futures[2];
            close_gate();
            for (unsigned task = 0; task < 2; task++) {
                futures[task] = cf_submit(pool, stand);
                assert_int_equal(cf_future_add_done_callback(futures[task], count_callback, &called), CF_OK);
            }
            wait_inside(2); /* both at once */
            open_gate();
            wait_until(__atomic_load_n(&called, __ATOMIC_ACQUIRE) == 2);
            for (unsigned task = 0; task < 2; task++) {
                assert_int_equal(cf_future_wait(futures[task], CF_FOREVER), CF_OK);
                cf_future_release(futures[task]);
            }
        }
    }
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
}

/* A worker whose task was taken from it, because its word said "done" too early, ends and is replaced. */
static void
test_scribbled_done_costs_no_worker(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    for (unsigned i = 0; i < 3; i++) {
        close_gate();
        cf_future *future = cf_submit(pool, stand);
        wait_inside(1);
        int32_t process = __atomic_load_n(&shared->standing, __ATOMIC_RELAXED); /* its record may not say so yet */
        uint64_t word = __atomic_load_n(&slot_of(future)->word, __ATOMIC_SEQ_CST);
        store_word(slot_of(future), cf__slot_with_state(word, CF__SLOT_DONE));
        assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_OK); /* nobody can know better */
        cf_future_release(future);
        open_gate();
        wait_until(!is_alive(process));
        check_works(pool, 1);
    }
    cf_executor_close(pool);
}

/* Writes `position` to the `which`th end of a ring, before or after a submit, and then takes away again and again whatever
 * leads to the worker and back: the task is run, and its callback comes. */
static void
scribble_over_the_way(uint64_t position, unsigned which, bool before)
{
    uint32_t called = 0;
    uint64_t value = 0;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    const cf__arena_view *view = &inside(pool)->setup.view;
    cf__arena *arena = view->arena;
    uint64_t *ends[] = {&arena->parent_ring.head, &arena->parent_ring.tail, &arena->template_ring.head,
                        &arena->template_ring.tail};
    if (before)
        __atomic_store_n(ends[which], position, __ATOMIC_SEQ_CST);
    cf_future *future = cf_submit(pool, work, 7u);
    if (!before)
        __atomic_store_n(ends[which], position, __ATOMIC_SEQ_CST);
    assert_int_equal(cf_future_add_done_callback(future, count_callback, &called), CF_OK);
    while (__atomic_load_n(&called, __ATOMIC_ACQUIRE) == 0) {
        (void)__atomic_fetch_and(&slot_of(future)->word, ~(CF__SLOT_CARE | CF__SLOT_WAIT), __ATOMIC_SEQ_CST);
        __atomic_store_n(&view->completed[0], 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&arena->collector, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&arena->pressure, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&arena->waking, 77, __ATOMIC_SEQ_CST);
        __atomic_store_n(&arena->idle[0], before ? 0 : UINT64_MAX, __ATOMIC_SEQ_CST);
    }
    assert_int_equal(cf_result(future, work, &value, CF_FOREVER), CF_OK);
    assert_int_equal(value, answer(7));
    cf_future_release(future);
    check_works(pool, 2);
    cf_executor_close(pool);
}

typedef struct flicker { /* a thread that writes over numbers again and again; fields: A atomic */
    cf__arena *arena;
    bool quit; /* A */
} flicker;

static void *
flicker_main(void *argument)
{
    flicker *self = argument;
    for (uint32_t value = 1; !__atomic_load_n(&self->quit, __ATOMIC_ACQUIRE); value = value == 1 ? UINT32_MAX : 1) {
        __atomic_store_n(&self->arena->high, value, __ATOMIC_SEQ_CST);
        __atomic_store_n(&self->arena->wanted, value, __ATOMIC_SEQ_CST);
    }
    return NULL;
}

/* A number that is good when it's compared, and bad when it's used right after that, is never used. */
static void
test_scribbled_numbers_are_read_once(void **state)
{
    enum { looks = 100000 };
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    const cf__arena_view *view = &inside(pool)->setup.view;
    flicker other = {view->arena, false};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, flicker_main, &other), 0);
    for (int i = 0; i < looks; i++) {
        cf__arena_wake_all(view); /* behind the last record it would go on to the end of the memory, and crash there */
        assert_true(cf__executor_concurrency(pool) <= view->worker_count);
    }
    __atomic_store_n(&other.quit, true, __ATOMIC_RELEASE);
    assert_int_equal(pthread_join(thread, NULL), 0);
    cf_future *future = cf_submit(pool, work, 7u);
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_OK);
    cf_future_release(future);
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
}

/* Until when the template sleeps is a hint like others: who passes a limit is found though that says, it needn't be told. */
static void
test_scribbled_sleep_of_template(void **state)
{
    static const int64_t times[] = {0, INT64_MIN, 1};
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        cf_executor *pool = cf_process_pool(.max_workers = 2);
        int64_t *next_look = &inside(pool)->setup.view.arena->next_look;
        wait_until(__atomic_load_n(next_look, __ATOMIC_SEQ_CST) == INT64_MAX);
        __atomic_store_n(next_look, times[i], __ATOMIC_SEQ_CST);
        close_gate();
        cf_future *future = cf_submit_with(pool, cf_options(.time_limit_ms = 1), stand);
        assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_TIME_LIMIT);
        cf_future_release(future);
        cf_executor_close(pool);
    }
    wait_until(living_processes() == 0);
}

/* Writes over the whole heap, wherever it runs. */
static void
spoil_heap(size_t index, const cf__process_pool *pool)
{
    memset(pool->heap.region, (int)index, cf__heap_limit(&pool->heap));
}
CF_TASK_VOID(spoil_heap, size_t, const cf__process_pool *);

/* Where a full pool has the caller run a map's items, these don't go by what lies in the pool's memory. */
static void
test_scribbled_map_of_full_pool(void **state)
{
    (void)state;
    close_gate();
    cf_executor *pool =
        cf_process_pool(.max_workers = 1, .max_pending = 1, .when_full = CF_FULL_RUN, .memory = 1 << 16);
    cf_future *future = cf_submit(pool, stand);
    wait_inside(1);
    assert_int_equal(cf_for(pool, spoil_heap, 0, 8, inside(pool)), CF_OK);
    open_gate();
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_OK);
    cf_future_release(future);
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
}

/* Hints, wakes and marks that were written over are made good. */
static void
test_scribbled_hints_and_marks(void **state)
{
    static const uint64_t positions[] = {0, 1, 8191, 12345, UINT64_C(1) << 63, UINT64_MAX - 1, UINT64_MAX};
    (void)state;
    for (size_t i = 0; i < sizeof positions / sizeof *positions; i++) {
        for (unsigned which = 0; which < 4; which++) {
            scribble_over_the_way(positions[i], which, false);
            scribble_over_the_way(positions[i], which, true);
        }
    }
}

/* Whether the template lives is the kernel's to say. */
static void
test_scribbled_life_breaks_nothing(void **state)
{
    (void)state;
    static const uint32_t lives[] = {0, CF__LIFE_DIED, CF__LIFE_DIED | CF__LIFE_WAITERS, CF__LIFE_WAITERS,
                                     1, UINT32_MAX};
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
        close_gate();
        cf_future *future = cf_submit(pool, stand);
        wait_inside(1);
        __atomic_store_n(&inside(pool)->setup.view.arena->life, lives[i], __ATOMIC_SEQ_CST);
        assert_int_equal(cf_future_wait(future, cf_after_ms(50)), CF_ERR_TIMEOUT);
        open_gate();
        assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_OK);
        cf_future_release(future);
        assert_int_equal(cf_executor_error(pool), CF_OK);
    }
    /* And then it does die. */
    close_gate();
    cf_future *future = cf_submit(pool, stand);
    wait_inside(1);
    assert_int_equal(kill(inside(pool)->template_process, SIGKILL), 0);
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_BROKEN);
    cf_future_release(future);
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
}

/* Where the word that tells of its death was put right once, who only looks asks the kernel, too: the template may have been
 * dying for so long that it was taken for a scribble, and nobody marks the word a second time. */
static void
test_scribbled_life_hides_no_death(void **state)
{
    (void)state;
    close_gate();
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    uint32_t *life = &inside(pool)->setup.view.arena->life;
    cf_future *future = cf_submit(pool, stand);
    wait_inside(1);
    __atomic_store_n(life, CF__LIFE_DIED, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(life, __ATOMIC_SEQ_CST) == CF__LIFE_DIED)
        assert_int_equal(cf_future_wait(future, cf_after_ms(1)), CF_ERR_TIMEOUT);
    __atomic_store_n(life, 1, __ATOMIC_SEQ_CST); /* not its number: the kernel leaves that alone */
    assert_int_equal(kill(inside(pool)->template_process, SIGKILL), 0);
    wait_until(cf_future_done(future));
    assert_int_equal(cf_future_wait(future, CF_NOW), CF_ERR_BROKEN);
    assert_int_equal(cf_spawn(pool, stand), CF_ERR_BROKEN);
    cf_future_release(future);
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
}

/* A template that doesn't do its part is killed in its turn, though no call waits that long. */
static void
test_stopped_template_by_short_calls(void **state)
{
    (void)state;
    close_gate();
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    cf_future *future = cf_submit(pool, stand);
    wait_inside(1);
    assert_int_equal(kill(inside(pool)->template_process, SIGSTOP), 0);
    cf_err error;
    while ((error = cf_executor_shutdown(pool, CF_KILL, cf_after_ms(2), NULL)) == CF_ERR_TIMEOUT)
        continue;
    assert_int_equal(error, CF_OK);
    assert_int_equal(cf_future_wait(future, CF_NOW), CF_ERR_WORKER_LOST);
    cf_future_release(future);
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
}

/* Process ids in the arena lead to nobody: neither is a stranger killed, nor a child of the program's reaped. */
static void
test_scribbled_process_ids_hurt_nobody(void **state)
{
    (void)state;
    int status;
    pid_t alive = fork_bystander();
    pid_t dead = fork();
    if (dead == 0)
        _exit(3);
    wait_until(zombie_children() == 1);
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    const cf__arena_view *view = &inside(pool)->setup.view;
    close_gate();
    cf_future *future = cf_submit(pool, stand);
    wait_inside(1);
    uint64_t word = __atomic_load_n(&slot_of(future)->word, __ATOMIC_SEQ_CST);
    int32_t process = view->workers[cf__slot_owner(word) - 1].process;
    for (uint32_t i = 0; i < 2; i++) {
        view->workers[i].process = alive;
        view->workers[i].condemned = alive;
    }
    view->arena->template_process = dead;
    store_word(slot_of(future), 0);
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_CORRUPT);
    cf_future_release(future);
    open_gate();
    wait_until(!is_alive(process)); /* by its own hand: the template doesn't know it by the name that it was given */
    check_works(pool, 2);
    cf_executor_close(pool);
    assert_int_equal(waitpid(dead, &status, WNOHANG), dead);
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_int_equal(waitpid(alive, &status, WNOHANG), 0);
    assert_int_equal(kill(alive, SIGKILL), 0);
    assert_int_equal(waitpid(alive, &status, 0), alive);
    wait_until(living_processes() == 0);
}

/* ---- at random ---- */

typedef struct dice {
    uint64_t state;
} dice;

static uint64_t
throw_dice(dice *d)
{
    d->state ^= d->state << 13;
    d->state ^= d->state >> 7;
    d->state ^= d->state << 17;
    return d->state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint32_t
below(dice *d, uint32_t n)
{
    return (uint32_t)((throw_dice(d) >> 32) % n);
}

/* A number that might stand there: small, near `now`, or at an end. */
static uint64_t
plausible(dice *d, uint64_t now)
{
    switch (below(d, 6)) {
    case 0:
        return below(d, 8);
    case 1:
        return now + below(d, 5) - 2;
    case 2:
        return UINT64_C(1) << below(d, 64);
    case 3:
        return UINT64_MAX - below(d, 3);
    case 4:
        return throw_dice(d);
    default:
        return 0;
    }
}

/* The index of a worker's record, mostly of one that there is. */
static uint32_t
plausible_number(dice *d, const cf__arena_view *view)
{
    return below(d, below(d, 8) ? 4 : view->worker_count);
}

static int32_t
plausible_process(dice *d, const cf__arena_view *view)
{
    switch (below(d, 5)) {
    case 0:
        return bystander;
    case 1:
        return zombie;
    case 2:
        return view->workers[plausible_number(d, view)].process;
    case 3:
        return view->arena->template_process;
    default:
        return (int32_t)throw_dice(d);
    }
}

static uint64_t
plausible_word(dice *d, const cf__arena_view *view, uint64_t now)
{
    uint64_t generation = below(d, 3) ? cf__slot_generation(now) : cf__slot_generation(now) + below(d, 5) - 2;
    uint64_t flags = (UINT64_C(1) << below(d, 9)) & ~CF__SLOT_STATE;
    return cf__slot_word(generation & CF__SLOT_GENERATIONS, plausible_number(d, view) + below(d, 2), below(d, 8)) |
           (below(d, 2) ? CF__SLOT_WAIT : 0) | (below(d, 2) ? CF__SLOT_CARE : 0) | flags;
}

/* One stroke over one of the words that the protocol is made of. */
static void
scribble_word(dice *d, const cf__arena_view *view)
{
    cf__arena *arena = view->arena;
    cf__worker_record *worker = &view->workers[plausible_number(d, view)];
    uint32_t index = below(d, view->slot_count);
    cf__slot *slot = &view->slots[index];
    uint64_t value = plausible(d, index + 1);
    switch (below(d, 36)) {
    case 0:
        arena->idle[below(d, CF__IDLE_WORDS)] = value;
        break;
    case 1:
        arena->waking = (uint32_t)value;
        break;
    case 2:
        arena->pressure = (uint32_t)value;
        break;
    case 3:
        arena->collector = (uint32_t)value;
        break;
    case 4:
        arena->parent_cpu = (uint32_t)value;
        break;
    case 5:
        arena->life = below(d, 2) ? (uint32_t)value : CF__LIFE_DIED | CF__LIFE_WAITERS;
        break;
    case 6:
        arena->ready = (uint32_t)value;
        break;
    case 7:
        arena->template_process = plausible_process(d, view);
        break;
    case 8:
        arena->template_error = (int32_t)value;
        break;
    case 9:
        memset(arena->broken, (int)value, sizeof arena->broken);
        break;
    case 10:
        worker->intent = (uint32_t)value;
        break;
    case 11:
        worker->intent = 1 + below(d, view->slot_count);
        break;
    case 12:
        worker->park = (uint32_t)value;
        break;
    case 13:
        worker->started = (uint32_t)value;
        break;
    case 14:
        worker->process = plausible_process(d, view);
        break;
    case 15:
        worker->condemned = plausible_process(d, view);
        break;
    case 16:
        worker->cpu = (uint32_t)value;
        break;
    case 17:
        arena->parent_ring.head = plausible(d, arena->parent_ring.head);
        break;
    case 18:
        arena->parent_ring.tail = plausible(d, arena->parent_ring.tail);
        break;
    case 19:
        arena->template_ring.head = plausible(d, arena->template_ring.head);
        break;
    case 20:
        arena->template_ring.tail = plausible(d, arena->template_ring.tail);
        break;
    case 21:
        view->parent_hints[below(d, (uint32_t)view->ring_mask + 1)] = cf__slot_hint(index, slot->word);
        break;
    case 22:
        view->template_hints[below(d, (uint32_t)view->ring_mask + 1)] = value;
        break;
    case 23:
        view->completed[0] = value;
        break;
    case 24:
        memset(&slot->run, below(d, 2) ? 0 : 0x99, sizeof slot->run); /* no address at all */
        break;
    case 25:
        slot->args = below(d, 2) ? NULL : (void *)view->slots;
        break;
    case 26:
        slot->code = (int32_t)value;
        break;
    case 27: /* seldom, for it ends the pool: one in 200 of these */
        if (below(d, 200) == 0)
            arena->stop = (uint32_t)value;
        break;
    case 28:
        arena->wanted = (uint32_t)value;
        break;
    case 29:
        arena->least = (uint32_t)value;
        arena->most = (uint32_t)plausible(d, 4);
        break;
    case 30:
        arena->high = (uint32_t)value;
        break;
    case 31:
        worker->signaled = worker->stop_signal = (uint32_t)value;
        break;
    case 32:
        worker->due = arena->next_look = worker->shield_end = (int64_t)value;
        break;
    case 33:
        slot->limited = below(d, 2);
        break;
    default:
        store_word(slot, plausible_word(d, view, slot->word));
        break;
    }
}

/* One stroke over bytes, anywhere from `memory` on; but a slot's function pointer is left alone, see scribble_word(): half
 * spoilt it would lead into this very test. */
static void
scribble_bytes(dice *d, const cf__arena_view *view, unsigned char *memory, size_t size)
{
    size_t length = below(d, 4) ? 1 + below(d, 16) : 1 + below(d, 512), at = (size_t)(throw_dice(d) % size);
    uint32_t how = below(d, 4);
    unsigned char *slots = (unsigned char *)view->slots, *slots_end = (unsigned char *)(view->slots + view->slot_count);
    for (size_t i = at; i < size && i < at + (how == 0 ? 1 : length); i++) {
        unsigned char *byte = memory + i, thrown = (unsigned char)throw_dice(d);
        unsigned char with = (unsigned char)(how == 1 ? 0 : how == 2 ? 0xff : thrown);
        size_t in_slot = (size_t)(byte - slots) % sizeof(cf__slot);
        if (byte >= slots && byte < slots_end && in_slot >= offsetof(cf__slot, run) &&
            in_slot < offsetof(cf__slot, args))
            continue;
        *byte = (unsigned char)(how == 0 ? *byte ^ (1u << with % 8) : with);
    }
}

static void
scribble_some(const cf__process_pool *pool, dice *d, uint32_t strokes)
{
    const cf__arena_view *view = &pool->setup.view;
    unsigned char *memory = pool->memory, *slots = (unsigned char *)view->slots;
    while (strokes-- > 0) {
        switch (below(d, 8)) {
        case 0:
            scribble_bytes(d, view, memory, pool->memory_size);
            break; /* mostly the heap */
        case 1:
            scribble_bytes(d, view, memory, (size_t)(slots - memory));
            break;
        case 2:
            scribble_bytes(d, view, slots, view->slot_count * sizeof(cf__slot));
            break;
        default:
            scribble_word(d, view);
        }
        if (strokes < 100 && below(d, 4) == 0) /* more would take long beside a busy program */
            (void)sched_yield();
    }
}

typedef struct left_behind {
    const cf__process_pool *pool;
    dice d;
    uint32_t strokes;
} left_behind;

static void *
left_behind_main(void *argument)
{
    left_behind *self = argument;
    scribble_some(self->pool, &self->d, self->strokes);
    free(self);
    return NULL;
}

/* The pool's record lies at the same address in every worker.  Not the same strokes when it's run again: a task that always
 * makes its own word PENDING and then dies is one that doesn't end. */
static uint64_t
scribble(const cf__process_pool *pool, uint64_t seed, uint32_t strokes)
{
    dice d = {(seed ^ (uint64_t)getpid()) | 1};
    pthread_t thread;
    set_alarm();
    left_behind *later = below(&d, 8) == 0 ? malloc(sizeof *later) : NULL;
    if (later != NULL) {
        *later = (left_behind){pool, {throw_dice(&d) | 1}, strokes};
        if (pthread_create(&thread, NULL, left_behind_main, later) == 0)
            (void)pthread_detach(thread);
    }
    scribble_some(pool, &d, strokes);
    if (below(&d, 16) == 0)
        abort();
    return seed;
}
CF_TASK(uint64_t, scribble, const cf__process_pool *, uint64_t, uint32_t);

/* For cf_for(): however many items it is told. */
static void
item(size_t index, const cf__process_pool *pool, uint64_t seed)
{
    dice d = {(seed ^ (uint64_t)getpid()) + index};
    set_alarm();
    if (index > 64)
        _exit(5); /* somebody has spoilt the range: don't count to infinity */
    if (index % 16 == 3)
        scribble_some(pool, &d, 2);
}
CF_TASK_VOID(item, size_t, const cf__process_pool *, uint64_t);

typedef struct tally {
    unsigned outcomes[CF__ERR_COUNT], pools, broken;
} tally;

/* Whatever became of it, it's an outcome. */
static void
count_outcome(tally *sum, cf_future *future, cf_err error)
{
    assert_in_range(error, CF_OK, CF__ERR_COUNT - 1);
    assert_true(cf_future_done(future));
    assert_true(error != CF_ERR_TIMEOUT && error != CF_ERR_INVALID);
    assert_true(strlen(cf_future_message(future)) < 3 * CF__MESSAGE_SIZE);
    sum->outcomes[error]++;
}

/* A few tasks by every path, with some among them that write where they shouldn't. */
static void
run_round(cf_executor *pool, tally *sum, dice *d)
{
    enum { most = 10 };
    cf_future *futures[most];
    uint32_t tasks = 2 + below(d, most - 1), called = 0, expected = 0, way = below(d, 8), strokes = 1 + below(d, 12);
    page in;

    memset(&in, 0x55, sizeof in);
    for (uint32_t i = 0; i < tasks; i++) {
        switch (below(d, 6)) {
        case 0:
        case 1:
            futures[i] = cf_submit(pool, scribble, inside(pool), throw_dice(d), strokes);
            break;
        case 2:
            futures[i] = cf_submit(pool, work_on_page, in);
            break;
        case 3:
            futures[i] = cf_submit(pool, give_up, i);
            break;
        default:
            futures[i] = cf_submit(pool, work, i);
        }
        if (way == 1 && cf_future_add_done_callback(futures[i], count_callback, &called) == CF_OK)
            expected++;
        if (way == 2 && i == tasks / 2)
            (void)cf_future_cancel(futures[below(d, i + 1)]);
    }
    if (way == 1) /* the collector's business alone */
        wait_until(__atomic_load_n(&called, __ATOMIC_ACQUIRE) == expected);
    if (way == 3)
        assert_int_equal(cf_wait(futures, tasks, CF_ALL_COMPLETED, CF_FOREVER), CF_OK);
    if (way == 4) {
        unsigned seen = 0;
        CF_AS_COMPLETED (i, futures, tasks, CF_FOREVER)
            seen += i < tasks;
        assert_int_equal(seen, tasks);
    }
    if (way == 5) {
        size_t size = 1000 + below(d, 5000);
        void *memory = cf_executor_alloc(pool, size);
        (void)cf_for(pool, item, 0, 40, inside(pool), throw_dice(d));
        if (memory != NULL)
            memset(memory, 1, size);
        cf_executor_free(pool, memory);
    }
    for (uint32_t i = 0; i < tasks; i++) {
        cf_err error = cf_future_wait(futures[i], CF_FOREVER);
        count_outcome(sum, futures[i], error);
        cf_future_release(futures[i]);
    }
}

/* The same from another thread, at the same time. */
typedef struct other_thread {
    cf_executor *pool;
    tally sum;
    dice d;
    unsigned rounds;
} other_thread;

static void *
other_main(void *argument)
{
    other_thread *self = argument;
    for (unsigned i = 0; i < self->rounds; i++)
        run_round(self->pool, &self->sum, &self->d);
    return NULL;
}

static void
test_scribble_at_random(void **state)
{
    (void)state;
    uint64_t seed = seconds != 0 ? (uint64_t)cf__os_now() | 1 : UINT64_C(88172645463325252);
    const char *given = getenv("CF_TEST_SEED");
    dice d = {given != NULL ? strtoull(given, NULL, 0) : seed};
    print_message("  CF_TEST_SEED=%#llx\n", (unsigned long long)d.state);
    cf_time end = cf_after_ms((int64_t)seconds * 1000);
    unsigned rounds = 0;
    tally sum;
    memset(&sum, 0, sizeof sum);

    bystander = fork_bystander();
    zombie = fork();
    if (zombie == 0)
        _exit(3);
    wait_until(zombie_children() == 1);

    while (seconds != 0 ? !cf_passed(end) : rounds < usual_rounds) {
        cf_shutdown_report report;
        other_thread other;
        pthread_t thread;
        uint32_t workers = 1 + below(&d, 4), pending = 3 + below(&d, 20), lasts = 1 + below(&d, 100),
                 mode = below(&d, 3);
        cf_executor *pool = cf_process_pool(.max_workers = workers, .max_pending = pending, .memory = 1 << 20,
                                            .on_start = start_with_alarm);
        assert_int_equal(cf_executor_error(pool), CF_OK);
        memset(&other, 0, sizeof other);
        other.pool = pool;
        other.d.state = throw_dice(&d) | 1;
        other.rounds = below(&d, 4) == 0 ? lasts : 0;
        if (other.rounds != 0)
            assert_int_equal(pthread_create(&thread, NULL, other_main, &other), 0);
        for (unsigned i = 0; i < lasts; i++) {
            run_round(pool, &sum, &d);
            rounds++;
            if (cf_executor_error(pool) != CF_OK) {
                assert_int_equal(cf_executor_error(pool), CF_ERR_BROKEN);
                sum.broken++;
                break;
            }
            (void)alarm(watchdog_seconds());
        }
        cf_future *last = cf_submit(pool, scribble, inside(pool), throw_dice(&d), 10000u);
        cf_err error = cf_executor_shutdown(pool,
                                            mode == 0   ? CF_DRAIN
                                            : mode == 1 ? CF_CANCEL_PENDING
                                                        : CF_KILL,
                                            CF_FOREVER, &report);
        assert_int_equal(error, CF_OK);
        assert_int_equal(report.left, 0);
        count_outcome(&sum, last, cf_future_wait(last, CF_FOREVER));
        cf_future_release(last);
        if (other.rounds != 0) {
            assert_int_equal(pthread_join(thread, NULL), 0);
            rounds += other.rounds;
            for (int i = 0; i < CF__ERR_COUNT; i++)
                sum.outcomes[i] += other.sum.outcomes[i];
        }
        cf_executor_close(pool);
        sum.pools++;
        wait_until(living_processes() == 1); /* the bystander */
        if (seconds != 0 && sum.pools % 500 == 0)
            print_message("  %u rounds so far\n", rounds);
    }
    print_message("  %u rounds, %u pools: %u broken; tasks: %u well, %u corrupt, %u lost, %u failed, "
                  "%u cancelled, %u broken; %u workers stuck\n",
                  rounds, sum.pools, sum.broken, sum.outcomes[CF_OK], sum.outcomes[CF_ERR_CORRUPT],
                  sum.outcomes[CF_ERR_WORKER_LOST], sum.outcomes[CF_ERR_FAILED], sum.outcomes[CF_ERR_CANCELLED],
                  sum.outcomes[CF_ERR_BROKEN], shared->stuck);
    assert_true(sum.outcomes[CF_ERR_CORRUPT] > rounds / 100);
    assert_true(sum.outcomes[CF_OK] > rounds);
    assert_true(shared->stuck <= 1 + rounds / 500);

    int status;
    assert_int_equal(waitpid(zombie, &status, WNOHANG), zombie);
    assert_int_equal(waitpid(bystander, &status, WNOHANG), 0);
    assert_int_equal(kill(bystander, SIGKILL), 0);
    assert_int_equal(waitpid(bystander, &status, 0), bystander);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scribbled_word_is_corrupt),
        cmocka_unit_test(test_scribbled_record_of_idle_worker),
        cmocka_unit_test(test_scribbled_record_of_stand_in),
        cmocka_unit_test(test_scribbled_record_of_nobody),
        cmocka_unit_test(test_scribbled_pending_ends),
        cmocka_unit_test(test_scribbled_retries),
        cmocka_unit_test(test_scribbled_signal),
        cmocka_unit_test(test_scribbled_numbers_of_workers),
        cmocka_unit_test(test_scribbled_done_costs_no_worker),
        cmocka_unit_test(test_scribbled_numbers_are_read_once),
        cmocka_unit_test(test_scribbled_sleep_of_template),
        cmocka_unit_test(test_scribbled_map_of_full_pool),
        cmocka_unit_test(test_scribbled_hints_and_marks),
        cmocka_unit_test(test_scribbled_life_breaks_nothing),
        cmocka_unit_test(test_scribbled_life_hides_no_death),
        cmocka_unit_test(test_stopped_template_by_short_calls),
        cmocka_unit_test(test_scribbled_process_ids_hurt_nobody),
        cmocka_unit_test(test_scribble_at_random),
    };
    seconds = soak_seconds(argc, argv, 0);
    /* With a moat around it: a spoilt pointer is often a near miss. */
    enum { moat = 1 << 26 };
    unsigned char *all = mmap(NULL, 2 * moat, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED || mprotect(all + moat, 4096, PROT_READ | PROT_WRITE) != 0)
        return 99;
    shared = (shared_words *)(all + moat);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
