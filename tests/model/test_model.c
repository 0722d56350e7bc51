/* tests/model/test_model.c - the scheduler's own tests: small protocols, right ones and wrong ones.
 * SPDX-License-Identifier: MIT
 * A right one must pass with its search exhausted; in a wrong one the model must find the failure that `expect`
 * names.  A model that finds nothing proves nothing. */
#include "model.h"

#define SC .stale_reads = MODEL_NONE

static uint32_t x, y, z, futex_word;
static int data;
static uint32_t seen[8]; /* results of a thread, read by check; each written by one thread */
static cf__mutex mutex_a, mutex_b;
static uint32_t *object;

static void
setup(void)
{
    x = y = z = futex_word = 0;
    data = 0;
    memset(seen, 0, sizeof seen);
    cf__mutex_init(&mutex_a);
    cf__mutex_init(&mutex_b);
}

static bool
sleep_while(const uint32_t *word, uint32_t value)
{
    return cf__os_futex_wait(word, value, INT64_MAX, CF__SCOPE_PRIVATE);
}

/* ---- litmus: what the memory model allows, and what it doesn't.  "check" is expected where the outcome is allowed. ---- */

/* Store buffering: both loads may miss both stores, unless all four are seq_cst. */
static void
sb_x(void *arg)
{
    (void)arg;
    cf__store_release(&x, 1u);
    seen[0] = cf__load_acquire(&y);
}
static void
sb_y(void *arg)
{
    (void)arg;
    cf__store_release(&y, 1u);
    seen[1] = cf__load_acquire(&x);
}
static void
sb_x_half(void *arg)
{
    (void)arg;
    cf__store_release(&x, 1u);
    seen[0] = cf__load_seq_cst(&y);
}
static void
sb_x_sc(void *arg)
{
    (void)arg;
    cf__store_seq_cst(&x, 1u);
    seen[0] = cf__load_seq_cst(&y);
}
static void
sb_y_sc(void *arg)
{
    (void)arg;
    cf__store_seq_cst(&y, 1u);
    seen[1] = cf__load_seq_cst(&x);
}
static void
sb_y_rmw(void *arg)
{
    (void)arg;
    (void)cf__fetch_add_seq_cst(&y, 1u);
    seen[1] = cf__load_seq_cst(&x);
}
static void
sb_check(void)
{
    model_check(seen[0] || seen[1]);
}

/* Message passing: who sees the flag sees the data, with release and acquire only. */
static void
mp_put(void *arg)
{
    (void)arg;
    cf__store_relaxed(&x, 1u);
    cf__store_release(&y, 1u);
}
static void
mp_put_relaxed(void *arg)
{
    (void)arg;
    cf__store_relaxed(&x, 1u);
    cf__store_relaxed(&y, 1u);
}
static void
mp_get(void *arg)
{
    (void)arg;
    if (cf__load_acquire(&y))
        model_check(cf__load_relaxed(&x) == 1);
}
static void
mp_get_relaxed(void *arg)
{
    (void)arg;
    if (cf__load_relaxed(&y))
        model_check(cf__load_relaxed(&x) == 1);
}

/* One location is coherent, for relaxed loads, too. */
static void
co_put(void *arg)
{
    (void)arg;
    cf__store_relaxed(&x, 1u);
    cf__store_relaxed(&x, 2u);
}
static void
co_get(void *arg)
{
    (void)arg;
    uint32_t first = cf__load_relaxed(&x), second = cf__load_relaxed(&x);
    model_check(second >= first);
}

/* A read-modify-write by another thread continues a release sequence; a store doesn't. */
static void
rs_bump(void *arg)
{
    (void)arg;
    (void)cf__fetch_add_relaxed(&y, 2u);
}
static void
rs_store(void *arg)
{
    (void)arg;
    if (cf__load_relaxed(&y) == 1)
        cf__store_relaxed(&y, 3u);
}
static void
rs_get(void *arg)
{
    (void)arg;
    if (cf__load_acquire(&y) == 3)
        model_check(cf__load_relaxed(&x) == 1);
}

/* Independent reads of independent writes: readers agree on the order, if all are seq_cst. */
static void
iriw_x(void *arg)
{
    (void)arg;
    cf__store_seq_cst(&x, 1u);
}
static void
iriw_y(void *arg)
{
    (void)arg;
    cf__store_seq_cst(&y, 1u);
}
static void
iriw_xy(void *arg)
{
    (void)arg;
    seen[0] = cf__load_seq_cst(&x);
    seen[1] = cf__load_seq_cst(&y);
}
static void
iriw_yx(void *arg)
{
    (void)arg;
    seen[2] = cf__load_seq_cst(&y);
    seen[3] = cf__load_seq_cst(&x);
}
static void
iriw_xy_acquire(void *arg)
{
    (void)arg;
    seen[0] = cf__load_acquire(&x);
    seen[1] = cf__load_acquire(&y);
}
static void
iriw_yx_acquire(void *arg)
{
    (void)arg;
    seen[2] = cf__load_acquire(&y);
    seen[3] = cf__load_acquire(&x);
}
static void
iriw_check(void)
{
    model_check(!(seen[0] == 1 && seen[1] == 0 && seen[2] == 1 && seen[3] == 0));
}

/* ---- publishing plain data ---- */

static void
publish(void *arg)
{
    (void)arg;
    cf__data_write(&data, sizeof data);
    data = 1;
    cf__store_release(&x, 1u);
}
static void
publish_relaxed(void *arg)
{
    (void)arg;
    cf__data_write(&data, sizeof data);
    data = 1;
    cf__store_relaxed(&x, 1u);
}
static void
consume(void *arg)
{
    (void)arg;
    if (cf__load_acquire(&x)) {
        cf__data_read(&data, sizeof data);
        model_check(data == 1);
    }
}
static void
consume_relaxed(void *arg)
{
    (void)arg;
    if (cf__load_relaxed(&x))
        cf__data_read(&data, sizeof data);
}
static void
count_locked(void *arg)
{
    (void)arg;
    cf__mutex_lock(&mutex_a);
    cf__data_write(&data, sizeof data);
    data++;
    cf__mutex_unlock(&mutex_a);
}
static void
count_unlocked(void *arg)
{
    (void)arg;
    cf__data_write(&data, sizeof data);
    data++;
}
static void
count_check(void)
{
    model_check(data == 2);
}

/* ---- sleeping: x is what is waited for, y counts sleepers ---- */

static void
sleeper(void *arg)
{
    (void)arg;
    (void)cf__fetch_add_seq_cst(&y, 1u);
    while (cf__load_seq_cst(&x) == 0)
        (void)sleep_while(&x, 0);
}
static void
sleeper_without_loop(void *arg)
{
    (void)arg;
    (void)cf__fetch_add_seq_cst(&y, 1u);
    if (cf__load_seq_cst(&x) == 0)
        (void)sleep_while(&x, 0);
    model_check(cf__load_acquire(&x) == 1);
}
static void
waker(void *arg)
{
    (void)arg;
    cf__store_seq_cst(&x, 1u);
    if (cf__load_seq_cst(&y) != 0)
        (void)cf__os_futex_wake(&x, 1, CF__SCOPE_PRIVATE);
}
static void
waker_looks_first(void *arg)
{
    (void)arg;
    bool sleepers = cf__load_seq_cst(&y) != 0;
    cf__store_seq_cst(&x, 1u);
    if (sleepers)
        (void)cf__os_futex_wake(&x, 1, CF__SCOPE_PRIVATE);
}
static void
waker_release(void *arg)
{
    (void)arg;
    cf__store_release(&x, 1u);
    if (cf__load_seq_cst(&y) != 0)
        (void)cf__os_futex_wake(&x, 1, CF__SCOPE_PRIVATE);
}
static void
waker_relaxed(void *arg)
{
    (void)arg;
    cf__store_release(&x, 1u);
    if (cf__load_relaxed(&y) != 0)
        (void)cf__os_futex_wake(&x, 1, CF__SCOPE_PRIVATE);
}
static void
waker_wrong_scope(void *arg)
{
    (void)arg;
    cf__store_seq_cst(&x, 1u);
    (void)cf__os_futex_wake(&x, 1, CF__SCOPE_SHARED);
}
static void
waker_forgets(void *arg)
{
    (void)arg;
    cf__store_seq_cst(&x, 1u);
}
static void
waker_of_one(void *arg) /* where two sleep */
{
    (void)arg;
    cf__store_seq_cst(&x, 1u);
    (void)cf__os_futex_wake(&x, 1, CF__SCOPE_PRIVATE);
}
static void
waker_of_all(void *arg)
{
    (void)arg;
    cf__store_seq_cst(&x, 1u);
    model_check(cf__os_futex_wake(&x, INT_MAX, CF__SCOPE_PRIVATE) <= 2);
}

/* Two words at once. */
static void
sleeper_on_two(void *arg)
{
    bool supported;
    (void)arg;
    while (cf__load_acquire(&x) == 0 && cf__load_acquire(&y) == 0)
        (void)cf__os_futex_wait_two(&x, 0, &y, 0, INT64_MAX, &supported);
}
static void
waker_of_second(void *arg)
{
    (void)arg;
    cf__store_release(&y, 1u);
    (void)cf__os_futex_wake(&y, 1, CF__SCOPE_SHARED);
}

/* A deadline that comes with the wake, or never finds one. */
static void
sleeper_until(void *arg)
{
    (void)arg;
    int64_t deadline = model_deadline(1);
    bool in_time = true;
    while (cf__load_acquire(&x) == 0 && in_time)
        in_time = cf__os_futex_wait(&x, 0, deadline, CF__SCOPE_PRIVATE);
    model_check(in_time || cf__os_now() >= deadline);
    model_check(!in_time || cf__load_acquire(&x) == 1);
}
static void
sleeper_ignores_deadline(void *arg)
{
    (void)arg;
    while (cf__load_acquire(&x) == 0)
        (void)cf__os_futex_wait(&x, 0, model_deadline(1), CF__SCOPE_PRIVATE);
}
static void
sleeper_drops_deadline(void *arg)
{
    (void)arg;
    while (cf__load_acquire(&x) == 0)
        (void)sleep_while(&x, 0);
}

/* ---- the baton: two items published out of order, each wakes one of two getters ---- */

static uint32_t ready[2], head, events;
static bool baton;

static void
setup_baton(void)
{
    setup();
    ready[0] = ready[1] = head = events = 0;
    baton = true;
}
static void
setup_no_baton(void)
{
    setup_baton();
    baton = false;
}
static void
signal_event(void)
{
    (void)cf__fetch_add_seq_cst(&events, 1u);
    (void)cf__os_futex_wake(&events, 1, CF__SCOPE_PRIVATE);
}
static void
baton_put(void *arg) /* slot 1, if there is an arg, else slot 0 */
{
    cf__store_seq_cst(&ready[arg != NULL], 1u);
    signal_event();
}
static void
baton_get(void *arg)
{
    (void)arg;
    for (;;) {
        uint32_t event = cf__load_seq_cst(&events), at = cf__load_seq_cst(&head);
        if (cf__load_seq_cst(&ready[at])) {
            if (!cf__cas_seq_cst(&head, &at, at + 1))
                continue;
            if (baton && at + 1 < 2 && cf__load_seq_cst(&ready[at + 1]))
                signal_event();
            return;
        }
        (void)sleep_while(&events, event);
    }
}

/* ---- life and death of memory ---- */

static void
setup_object(void)
{
    setup();
    object = cf__os_alloc(2 * sizeof *object);
    object[0] = 0;
    object[1] = 2;
}
static void
object_wait_and_free(void *arg)
{
    (void)arg;
    while (cf__load_acquire(&object[0]) == 0)
        (void)sleep_while(&object[0], 0);
    cf__os_free(object);
}
static void
object_settle(void *arg) /* the wake uses the address only */
{
    uint32_t *word = object;
    (void)arg;
    cf__store_release(&word[0], 1u);
    (void)cf__os_futex_wake(&word[0], 1, CF__SCOPE_PRIVATE);
}
static void
object_settle_and_look(void *arg)
{
    uint32_t *word = object;
    (void)arg;
    cf__store_release(&word[0], 1u);
    if (cf__load_relaxed(&word[1]))
        (void)cf__os_futex_wake(&word[0], 1, CF__SCOPE_PRIVATE);
}
static void
object_free_locked(void *arg)
{
    (void)arg;
    cf__mutex_lock(&mutex_a);
    cf__os_free(object);
    cf__mutex_unlock(&mutex_a);
}
static void
object_look_locked(void *arg) /* ordered by the mutex, so no race; yet it may come too late */
{
    (void)arg;
    cf__mutex_lock(&mutex_a);
    (void)cf__load_relaxed(&object[0]);
    cf__mutex_unlock(&mutex_a);
}
static void
object_release(void *arg)
{
    uint32_t *word = object;
    (void)arg;
    (void)cf__load_relaxed(&word[0]);
    if (cf__fetch_sub_acq_rel(&word[1], 1u) == 1)
        cf__os_free(word);
}
static void
object_release_weakly(void *arg)
{
    uint32_t *word = object;
    (void)arg;
    (void)cf__load_relaxed(&word[0]);
    if (cf__fetch_sub_relaxed(&word[1], 1u) == 1)
        cf__os_free(word);
}
static void
setup_freed_twice(void)
{
    setup_object();
    cf__os_free(object);
    cf__os_free(object);
}

/* A record on a sleeper's stack, as of detail/event.h. */
static uint32_t *record;
static bool looks_after_wake, has_left;
static __attribute__((noinline)) void
stack_sleep(void)
{
    uint32_t woken;
    cf__mutex_lock(&mutex_a);
    cf__store_relaxed(&woken, 0u);
    record = &woken;
    cf__mutex_unlock(&mutex_a);
    while (cf__load_acquire(&woken) == 0)
        (void)sleep_while(&woken, 0);
}
static void
stack_sleeper(void *arg)
{
    (void)arg;
    stack_sleep();
    cf__mutex_lock(&mutex_a);
    has_left = true;
    cf__mutex_unlock(&mutex_a);
}
static void
stack_waker(void *arg)
{
    (void)arg;
    uint32_t *found = NULL;
    while (found == NULL) {
        cf__mutex_lock(&mutex_a);
        found = record;
        cf__mutex_unlock(&mutex_a);
        if (found == NULL)
            model_yield();
    }
    cf__store_release(found, 1u);
    if (looks_after_wake)
        (void)cf__load_relaxed(found); /* planted: it may be gone */
    (void)cf__os_futex_wake(found, 1, CF__SCOPE_PRIVATE);
}
static void
stack_late_waker(void *arg)
{
    stack_waker(arg);
    cf__mutex_lock(&mutex_a);
    if (has_left)
        (void)cf__load_relaxed(record); /* planted: its frame has returned */
    cf__mutex_unlock(&mutex_a);
}
static void
setup_stack(void)
{
    setup();
    record = NULL;
    looks_after_wake = has_left = false;
}
static void
setup_stack_wrong(void)
{
    setup_stack();
    looks_after_wake = true;
}

static void
may_fail(void *arg)
{
    void *p = cf__os_alloc(8);
    (void)arg;
    seen[0] = p == NULL;
    cf__os_free(p);
}
static void
may_fail_check(void)
{
    model_check(!seen[0]);
}

/* ---- mutexes, spinning ---- */

static void
lock_both(cf__mutex *first, cf__mutex *second)
{
    cf__mutex_lock(first);
    cf__mutex_lock(second);
    cf__mutex_unlock(second);
    cf__mutex_unlock(first);
}
static void
lock_ab(void *arg)
{
    (void)arg;
    lock_both(&mutex_a, &mutex_b);
}
static void
lock_ba(void *arg)
{
    (void)arg;
    lock_both(&mutex_b, &mutex_a);
}
static void
spin(void *arg)
{
    (void)arg;
    while (cf__load_acquire(&x) == 0)
        cf__cpu_relax();
}
static void
set_x(void *arg)
{
    (void)arg;
    cf__store_release(&x, 1u);
}
static void
nothing(void *arg)
{
    (void)arg;
}

static void *
child(void *arg)
{
    cf__data_write(arg, sizeof(int));
    *(int *)arg = 7;
    return NULL;
}
static void
start_and_join(void *arg)
{
    cf__thread thread;
    (void)arg;
    if (cf__os_thread_start(&thread, child, &data, 0) != 0)
        return;
    cf__os_thread_join(&thread);
    cf__data_read(&data, sizeof data);
    model_check(data == 7);
}
static void
start_without_join(void *arg)
{
    cf__thread thread;
    (void)arg;
    if (cf__os_thread_start(&thread, child, &data, 0) == 0)
        cf__data_read(&data, sizeof data);
}

/* ---- processes: slots that a worker claims, settles, and wakes the parent for; a reaper looks after its death ---- */

enum { SLOTS = 2, PENDING = 0, SETTLED = 1, LOST = 2, OWNED = 16 /* + process */ };
static uint32_t slot[SLOTS], owner[SLOTS], next_slot;
static unsigned result[SLOTS];
static bool claim_by_counter, reaper_wakes;
static int starts;

static void
setup_slots(void)
{
    setup();
    memset(slot, 0, sizeof slot);
    memset(owner, 0, sizeof owner);
    next_slot = 0;
    claim_by_counter = false;
    reaper_wakes = true;
    starts = 0;
}
static void
setup_counter(void)
{
    setup_slots();
    claim_by_counter = true;
}
static void
setup_quiet_reaper(void)
{
    setup_slots();
    reaper_wakes = false;
}
static void
wake_slot(unsigned i)
{
    (void)cf__os_futex_wake(&slot[i], INT_MAX, CF__SCOPE_SHARED);
}
static void
worker(void *arg)
{
    uint32_t me = (uint32_t)cf__os_pid() - 1000;
    (void)arg;
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint32_t pending = PENDING;
        if (claim_by_counter) {
            i = cf__fetch_add_seq_cst(&next_slot, 1u);
            if (i >= SLOTS)
                return;
            cf__store_release(&slot[i], OWNED + me); /* planted: a death in between leaves a claim without an owner */
        } else if (!cf__cas_acq_rel(&slot[i], &pending, OWNED + me)) {
            continue;
        }
        cf__data_write(&result[i], sizeof result[i]);
        result[i] = 40 + i;
        cf__store_release(&slot[i], SETTLED);
        wake_slot(i);
    }
}
static void
reap(void *arg)
{
    model_death death;
    (void)arg;
    while (model_wait_death(&death)) {
        if (!death.killed)
            continue;
        for (unsigned i = 0; i < SLOTS; i++) {
            uint32_t owned = OWNED + death.process;
            bool lost = cf__cas_acq_rel(&slot[i], &owned, LOST);
            if (lost || reaper_wakes) /* it may have died owing the wake for one it had settled */
                wake_slot(i);
        }
        if (starts++ < 2)
            (void)model_process_start("heir", worker, NULL);
    }
}
static void
parent(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < SLOTS; i++) {
        uint32_t state;
        while ((state = cf__load_acquire(&slot[i])) != SETTLED && state != LOST)
            (void)cf__os_futex_wait(&slot[i], state, INT64_MAX, CF__SCOPE_SHARED);
        if (state == SETTLED) {
            cf__data_read(&result[i], sizeof result[i]);
            model_check(result[i] == 40 + i);
        }
    }
}
/* A worker that uses what only the parent has. */
static void
writes_private(void *arg)
{
    (void)arg;
    cf__store_relaxed(&object[0], 1u);
}
static void
free_object(void)
{
    cf__os_free(object);
}
/* One dies asleep: the wake must go to the other. */
static void
worker_sleeps(void *arg)
{
    (void)arg;
    while (cf__load_acquire(&x) == 0)
        (void)cf__os_futex_wait(&x, 0, INT64_MAX, CF__SCOPE_SHARED);
}
static void
wake_one_shared(void *arg)
{
    (void)arg;
    cf__store_release(&x, 1u);
    (void)cf__os_futex_wake(&x, 1, CF__SCOPE_SHARED);
}

/* ---- signals: sent to process 1 ---- */

#define FIRST_PROCESS 1001

/* The signal is for what process 1 does before y is 1. */
static void
on_signal(int number)
{
    model_check(number == SIGUSR1 && cf__load_relaxed(&y) == 0);
    seen[0]++;
}
static void
wait_for_signal(void *arg)
{
    model_on_signal(on_signal);
    cf__store_release(&z, 1u);
    while (cf__load_acquire(&x) == 0)
        model_yield();
    if (arg != NULL)
        cf__os_yield(); /* a system call: what was sent before x was 1 arrives */
    cf__store_release(&y, 1u);
    (void)cf__load_relaxed(&x);
    if (arg != NULL)
        model_check(seen[0] == 1);
}
static void
send_signal(void *arg)
{
    (void)arg;
    while (cf__load_acquire(&z) == 0)
        model_yield();
    cf__os_signal(FIRST_PROCESS, SIGUSR1);
    cf__store_release(&x, 1u);
}
static void
send_signal_late(void *arg)
{
    (void)arg;
    while (cf__load_acquire(&z) == 0)
        model_yield();
    cf__store_release(&x, 1u);
    cf__os_signal(FIRST_PROCESS, SIGUSR1);
}
/* A sleep ends with the signal. */
static void
on_signal_asleep(int number)
{
    (void)number;
    cf__store_relaxed(&futex_word, 1u);
}
static void
sleep_until_signal(void *arg)
{
    (void)arg;
    model_on_signal(on_signal_asleep);
    cf__store_release(&z, 1u);
    while (cf__load_relaxed(&futex_word) == 0)
        (void)cf__os_futex_wait(&futex_word, 0, INT64_MAX, CF__SCOPE_SHARED);
}
/* Who is killed may go on for a while, but not once its end has been told. */
static void
count_up(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        (void)cf__fetch_add_seq_cst(&x, 1u);
    cf__os_pause_for_good();
}
static void
kill_and_look(void *arg)
{
    model_death death;
    cf__os_signal_group(FIRST_PROCESS, SIGKILL);
    if (arg != NULL)
        model_check(model_wait_death(&death) && death.killed && death.signal == SIGKILL);
    uint32_t first = cf__load_seq_cst(&x);
    model_check(cf__load_seq_cst(&x) == first);
}
/* A signal that is blocked but in its sleep isn't missed; one that isn't blocked may come before that. */
static void
await_poke(void *arg)
{
    model_on_signal(on_signal);
    if (arg != NULL)
        cf__os_await_signals(SIGCHLD, SIGUSR1);
    cf__store_release(&z, 1u);
    while (cf__load_acquire(&x) == 0)
        model_check(cf__os_await_signal_or_end(-1, -1, -1) == CF__AWAITED_SIGNAL);
}
static void
poke(void *arg)
{
    (void)arg;
    while (cf__load_acquire(&z) == 0)
        model_yield();
    cf__store_relaxed(&x, 1u); /* relaxed: the signal orders it */
    (void)cf__os_pidfd_signal(FIRST_PROCESS, SIGUSR1);
}
static void
await_time_or_end(void *arg)
{
    (void)arg;
    cf__awaited awaited;
    while ((awaited = cf__os_await_signal_or_end(cf__os_pidfd_open(FIRST_PROCESS), -1, 1000)) == CF__AWAITED_TIME)
        ;
    model_check(awaited == CF__AWAITED_END && cf__os_pidfd_ended(FIRST_PROCESS, 0));
    model_check(cf__load_relaxed(&x) == 1); /* the end is ordered as well */
}
static void
await_time(void *arg)
{
    int64_t before = cf__os_now();
    (void)arg;
    model_check(cf__os_await_signal_or_end(-1, -1, 5000) == CF__AWAITED_TIME && cf__os_now() - before >= 5000);
}

/* ---- forks ---- */

static void
forked(void *argument)
{
    uint32_t number;
    memcpy(&number, argument, sizeof number);
    cf__os_die_with(FIRST_PROCESS);
    if (number == 3)
        cf__os_pause_for_good();
    cf__store_relaxed(&seen[number], number);
    cf__os_exit((int)number);
}
static int32_t
start_forked(uint32_t number)
{
    int32_t process = cf__os_fork();
    if (process == 0)
        model_fork_child("child", forked, &number, sizeof number);
    return process;
}
/* Two children, by whose ends it is woken; each has its own copy of the number. */
static void
fork_two(void *arg)
{
    cf__process_death death;
    (void)arg;
    cf__os_await_signals(SIGCHLD, SIGUSR1);
    int32_t first = start_forked(1), second = start_forked(2);
    for (int left = (first > 0) + (second > 0); left > 0;) {
        int32_t process = cf__os_dead_child();
        if (process == 0) {
            (void)cf__os_await_signal_or_end(-1, -1, -1);
            continue;
        }
        cf__os_reap(process, &death);
        left--;
        model_check(death.signal == 0 && death.status == (process == first ? 1 : 2));
    }
    if (first > 0)
        model_check(cf__load_relaxed(&seen[1]) == 1);
    else
        model_check(first == -1 && errno == EAGAIN);
}
/* Its death is marked in z, and its child dies with it. */
static void
fork_and_die(void *arg)
{
    cf__robust_list list;
    (void)arg;
    cf__store_release(&z, 0x80000001u);
    cf__os_mark_at_death(&list, &z);
    (void)start_forked(3);
}
static void
wait_for_mark(void *arg)
{
    uint32_t life;
    (void)arg;
    while (((life = cf__load_acquire(&z)) & 0x40000000u) == 0)
        (void)cf__os_futex_wait(&z, life, INT64_MAX, CF__SCOPE_SHARED);
}
static void
run_forked(void *arg)
{
    memcpy(seen, arg, sizeof(uint32_t));
}
static void
fork_hidden(void *arg)
{
    int32_t process, error, argument = 5;
    (void)arg;
    bool made = cf__os_fork_hidden(run_forked, &argument, 0, NULL, &process, &error) == 0;
    argument = 6; /* the child has a copy */
    model_check(made ? error == 0 && cf__os_pidfd_ended(process, INT64_MAX) && seen[0] == 5
                     : error == EAGAIN && process == -1);
}

#define VICTIM(run, argument) .processes = {{"victim", run, argument}}
#define TWO(a, b) .threads = {{#a, a, NULL}, {#b, b, NULL}}
#define THREE(a, b, c) .threads = {{#a, a, NULL}, {#b, b, NULL}, {#c, c, NULL}}
#define FOUR(a, b, c, d) .threads = {{#a, a, NULL}, {#b, b, NULL}, {#c, c, NULL}, {#d, d, NULL}}

static const model_scenario scenarios[] = {
    {.name = "litmus_sb_acq_rel_allowed", .setup = setup, TWO(sb_x, sb_y), .check = sb_check, .expect = "check"},
    {.name = "litmus_sb_half_seq_cst_allowed",
     .setup = setup,
     TWO(sb_x_half, sb_y_rmw),
     .check = sb_check,
     .expect = "check"},
    {.name = "litmus_sb_seq_cst", .setup = setup, TWO(sb_x_sc, sb_y_sc), .check = sb_check, .stale_reads = 3},
    {.name = "litmus_sb_seq_cst_rmw", .setup = setup, TWO(sb_x_sc, sb_y_rmw), .check = sb_check, .stale_reads = 3},
    {.name = "litmus_sb_in_sc_memory", .setup = setup, TWO(sb_x, sb_y), .check = sb_check, SC},
    {.name = "litmus_mp", .setup = setup, TWO(mp_put, mp_get), .stale_reads = 3},
    {.name = "litmus_mp_relaxed_store_allowed", .setup = setup, TWO(mp_put_relaxed, mp_get), .expect = "check"},
    {.name = "litmus_mp_relaxed_load_allowed", .setup = setup, TWO(mp_put, mp_get_relaxed), .expect = "check"},
    {.name = "litmus_coherence", .setup = setup, TWO(co_put, co_get), .stale_reads = 3},
    {.name = "litmus_release_sequence", .setup = setup, THREE(mp_put, rs_bump, rs_get), .stale_reads = 3},
    {.name = "litmus_broken_sequence_allowed", .setup = setup, THREE(mp_put, rs_store, rs_get), .expect = "check"},
    {.name = "litmus_iriw_seq_cst",
     .setup = setup,
     FOUR(iriw_x, iriw_y, iriw_xy, iriw_yx),
     .check = iriw_check,
     .stale_reads = 3},
    {.name = "litmus_iriw_acquire_allowed",
     .setup = setup,
     FOUR(iriw_x, iriw_y, iriw_xy_acquire, iriw_yx_acquire),
     .check = iriw_check,
     .expect = "check"},

    {.name = "publish", .setup = setup, TWO(publish, consume), .stale_reads = 3},
    {.name = "publish_relaxed_store", .setup = setup, TWO(publish_relaxed, consume), .expect = "race"},
    {.name = "publish_relaxed_load", .setup = setup, TWO(publish, consume_relaxed), .expect = "race"},
    {.name = "mutex_count", .setup = setup, TWO(count_locked, count_locked), .check = count_check},
    {.name = "mutex_forgotten",
     .setup = setup,
     TWO(count_locked, count_unlocked),
     .check = count_check,
     .expect = "race"},
    {.name = "mutex_order", .setup = setup, TWO(lock_ab, lock_ab)},
    {.name = "mutex_order_crossed", .setup = setup, TWO(lock_ab, lock_ba), .expect = "deadlock"},
    {.name = "spin", .setup = setup, THREE(spin, spin, set_x)},
    {.name = "spin_for_ever", .setup = setup, TWO(spin, nothing), .expect = "livelock"},
    {.name = "join", .setup = setup, TWO(start_and_join, nothing), .faults = 1},
    {.name = "join_forgotten", .setup = setup, TWO(start_without_join, nothing), .expect = "race"},

    {.name = "park", .setup = setup, TWO(sleeper, waker), .stale_reads = 3},
    {.name = "park_looks_before_publish", .setup = setup, TWO(sleeper, waker_looks_first), SC, .expect = "deadlock"},
    {.name = "park_no_dekker_in_sc_memory", .setup = setup, TWO(sleeper, waker_relaxed), SC},
    {.name = "park_no_dekker", .setup = setup, TWO(sleeper, waker_relaxed), .expect = "deadlock"},
    {.name = "park_half_dekker", .setup = setup, TWO(sleeper, waker_release), .expect = "deadlock"},
    {.name = "park_wrong_scope", .setup = setup, TWO(sleeper, waker_wrong_scope), .expect = "deadlock"},
    {.name = "park_wake_forgotten", .setup = setup, TWO(sleeper, waker_forgets), .expect = "deadlock"},
    {.name = "park_spurious", .setup = setup, TWO(sleeper_without_loop, waker), .expect = "check"},
    {.name = "park_no_spurious", .setup = setup, TWO(sleeper_without_loop, waker), .spurious = MODEL_NONE, SC},
    {.name = "park_futex_carries_no_knowledge",
     .setup = setup,
     TWO(sleeper_without_loop, waker),
     .spurious = MODEL_NONE,
     .expect = "check"},
    {.name = "park_two", .setup = setup, THREE(sleeper, sleeper, waker_of_all)},
    {.name = "park_two_wake_one", .setup = setup, THREE(sleeper, sleeper, waker_of_one), .expect = "deadlock"},
    {.name = "park_on_two_words", .setup = setup, TWO(sleeper_on_two, waker_of_second)},
    {.name = "deadline", .setup = setup, TWO(sleeper_until, waker)},
    {.name = "deadline_without_wake", .setup = setup, TWO(sleeper_until, nothing)},
    {.name = "deadline_ignored", .setup = setup, TWO(sleeper_ignores_deadline, nothing), .expect = "livelock"},
    {.name = "deadline_dropped", .setup = setup, TWO(sleeper_drops_deadline, nothing), .expect = "deadlock"},
    {.name = "baton",
     .setup = setup_baton,
     .threads =
         {{"get", baton_get, NULL}, {"get2", baton_get, NULL}, {"put", baton_put, NULL}, {"put2", baton_put, ready}},
     SC},
    {.name = "baton_missed",
     .setup = setup_no_baton,
     .threads =
         {{"get", baton_get, NULL}, {"get2", baton_get, NULL}, {"put", baton_put, NULL}, {"put2", baton_put, ready}},
     SC,
     .expect = "deadlock"},

    {.name = "free_after_wake", .setup = setup_object, TWO(object_wait_and_free, object_settle), .stale_reads = 3},
    {.name = "free_before_look",
     .setup = setup_object,
     TWO(object_wait_and_free, object_settle_and_look),
     .expect = "race"},
    {.name = "free_under_lock_before_look",
     .setup = setup_object,
     TWO(object_free_locked, object_look_locked),
     .expect = "use after free"},
    {.name = "references", .setup = setup_object, TWO(object_release, object_release)},
    {.name = "references_relaxed", .setup = setup_object, TWO(object_release_weakly, object_release), .expect = "race"},
    {.name = "freed_twice", .setup = setup_freed_twice, .expect = "use after free"},
    {.name = "leaked", .setup = setup_object, .expect = "leak"},
    {.name = "alloc_fails",
     .setup = setup,
     TWO(may_fail, nothing),
     .check = may_fail_check,
     .faults = 1,
     .expect = "check"},
    {.name = "alloc_never_fails", .setup = setup, TWO(may_fail, nothing), .check = may_fail_check},
    {.name = "record_on_stack", .setup = setup_stack, TWO(stack_sleeper, stack_waker)},
    {.name = "record_on_popped_stack", .setup = setup_stack_wrong, TWO(stack_sleeper, stack_waker), .expect = "race"},
    {.name = "record_on_popped_stack_locked",
     .setup = setup_stack,
     TWO(stack_sleeper, stack_late_waker),
     .expect = "use after free"},

    {.name = "death_one_kill",
     .setup = setup_slots,
     TWO(parent, reap),
     .processes = {{"worker", worker, NULL}},
     .kills = 1},
    {.name = "death_two_kills",
     .setup = setup_slots,
     TWO(parent, reap),
     .processes = {{"worker", worker, NULL}},
     .kills = 2,
     .preemptions = 1,
     SC},
    {.name = "death_two_workers",
     .setup = setup_slots,
     TWO(parent, reap),
     .processes = {{"worker", worker, NULL}, {"worker2", worker, NULL}},
     .kills = 1,
     .preemptions = 1,
     SC},
    {.name = "death_between_claim_and_owner",
     .setup = setup_counter,
     TWO(parent, reap),
     .processes = {{"worker", worker, NULL}},
     .kills = 1,
     .expect = "deadlock"},
    {.name = "death_before_wake",
     .setup = setup_quiet_reaper,
     TWO(parent, reap),
     .processes = {{"worker", worker, NULL}},
     .kills = 1,
     .expect = "deadlock"},
    {.name = "death_none_planted_is_harmless",
     .setup = setup_counter,
     TWO(parent, reap),
     .processes = {{"worker", worker, NULL}}},
    {.name = "death_asleep",
     .setup = setup,
     TWO(wake_one_shared, nothing),
     .processes = {{"sleeps", worker_sleeps, NULL}, {"dies", worker_sleeps, NULL}},
     .kills = 1,
     .expect = "deadlock"},

    {.name = "signal_arrives_by_next_call",
     .setup = setup,
     .threads = {{"send", send_signal, NULL}},
     VICTIM(wait_for_signal, seen)},
    {.name = "signal_arrives_late_without_call",
     .setup = setup,
     .threads = {{"send", send_signal, NULL}},
     VICTIM(wait_for_signal, NULL),
     .expect = "check"},
    {.name = "signal_sent_late",
     .setup = setup,
     .threads = {{"send", send_signal_late, NULL}},
     VICTIM(wait_for_signal, seen),
     .expect = "check"},
    {.name = "signal_wakes",
     .setup = setup,
     .threads = {{"send", send_signal, NULL}},
     VICTIM(sleep_until_signal, NULL)},
    {.name = "kill_takes_time",
     .setup = setup,
     .threads = {{"kill", kill_and_look, NULL}},
     VICTIM(count_up, NULL),
     .expect = "check"},
    {.name = "kill_and_wait",
     .setup = setup,
     .threads = {{"kill", kill_and_look, seen}},
     VICTIM(count_up, NULL),
     .preemptions = 3},
    {.name = "kill_asleep", .setup = setup, .threads = {{"kill", kill_and_look, seen}}, VICTIM(worker_sleeps, NULL)},
    {.name = "poke", .setup = setup, .threads = {{"poke", poke, NULL}}, VICTIM(await_poke, seen)},
    {.name = "poke_not_blocked",
     .setup = setup,
     .threads = {{"poke", poke, NULL}},
     VICTIM(await_poke, NULL),
     .expect = "deadlock"},
    {.name = "await_end",
     .setup = setup,
     .threads = {{"await", await_time_or_end, NULL}},
     VICTIM(set_x, NULL),
     .timeouts = 2},
    {.name = "await_time", .setup = setup, .threads = {{"await", await_time, NULL}}},
    {.name = "fork", .setup = setup, .processes = {{"template", fork_two, NULL}}, SC, .faults = 1},
    {.name = "fork_weak_memory", .setup = setup, .processes = {{"template", fork_two, NULL}}, .preemptions = 1},
    {.name = "fork_dies_with_parent",
     .setup = setup,
     .threads = {{"wait", wait_for_mark, NULL}},
     .processes = {{"template", fork_and_die, NULL}}},
    {.name = "fork_hidden", .setup = setup, .threads = {{"fork", fork_hidden, NULL}}, .faults = 1},
    {.name = "private_memory",
     .setup = setup_object,
     .processes = {{"writes", writes_private, NULL}},
     .check = free_object,
     .expect = "private memory"},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
