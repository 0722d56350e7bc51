/* tests/model/model_limits.c - limits of tasks in a process pool under every schedule: KILLING, signals, shields, looks.
 * SPDX-License-Identifier: MIT
 * Two kinds of scenarios: small ones, of a worker's and a ladder's own functions side by side, in weak memory; and whole pools
 * with the real template and workers.  In both the search decides when time passes. */
#define MODEL_CPUS 1u /* nobody spins */
#include "model_template.h"

#include "cfutures/process_pool.h"
#include "cfutures/task.h"

#define LIMIT_MS 1u
#define LIMIT INT64_C(1000000)

static uint32_t running;   /* in the worker: number of the task; 0: none */
static uint32_t shielded;  /* in the worker: 1: in a section that mustn't be interrupted */
static cf_submit_opts how; /* the limits of all tasks but those without */

static void
setup_tasks(void)
{
    model_thread_local(&cf__current, sizeof cf__current);
    running = shielded = 0;
    how = (cf_submit_opts){.struct_size = sizeof how, .time_limit_ms = LIMIT_MS};
}

/* ---- small: process 1 runs the tasks of all slots, the thread looks at them ---- */

#define WORKER (MODEL__PID + 1)

static cf__arena_view view;
static cf__process_setup setup_of_worker;
static cf__ladder ladder;
static int64_t killed_at;
static cf__tries tries[2]; /* of the tasks in the slots */
static bool lost;          /* the worker has been reaped */
static uint32_t tasks;     /* that it is to run */

/* Task 1 wants one signal, task 2 another; each arrives while its own task runs. */
static void
on_stop_signal(int number)
{
    uint32_t task = number == SIGUSR1 ? 1 : 2;
    uint64_t word = cf__load_relaxed(&view.slots[task - 1].word);
    model_check(cf__load_relaxed(&running) == task);
    model_check(cf__slot_runs(word, 1) && (word & CF__SLOT_SIGNALED));
}
static void
run_small(const void *args, void *result, void *context)
{
    void *before = cf__current;
    uint32_t number;
    (void)result;
    cf__current = context;
    memcpy(&number, args, sizeof number);
    cf__store_relaxed(&running, number);
    if (how.signal_grace_ms != 0)
        (void)cf_stop_signal(number == 1 ? SIGUSR1 : SIGUSR2);
    model_take_time();
    cf__current = before;
}
static void
run_shielded(const void *args, void *result, void *context)
{
    void *before = cf__current;
    (void)args;
    (void)result;
    cf__current = context;
    cf_shield_begin(60000);
    cf__store_relaxed(&shielded, 1u);
    cf__store_relaxed(&shielded, 0u);
    cf_shield_end();
    cf__current = before;
}

static void
setup_small(uint32_t slots, void (*run)(const void *, void *, void *))
{
    setup_tasks();
    void *memory = cf__os_map_shared(cf__arena_layout(&view, NULL, 1, slots));
    (void)cf__arena_layout(&view, memory, 1, slots);
    memset(&setup_of_worker, 0, sizeof setup_of_worker);
    memset(&ladder, 0, sizeof ladder);
    killed_at = 0;
    lost = false;
    tasks = slots;
    for (uint32_t i = 0; i < slots; i++) {
        cf__slot *slot = &view.slots[i];
        uint32_t number = i + 1;
        memcpy(slot->payload, &number, sizeof number);
        slot->run = run;
        slot->args = slot->payload;
        slot->limited = 1;
        slot->limits = cf__limits_of(&how);
        cf__slot_publish_task(slot, 0);
        cf__arena_push_hint(&view, &view.arena->parent_ring, view.parent_hints, i);
    }
    (void)model_deadline(1); /* by which all limits have passed; the clock gets there at any look */
}
static void
setup_one(void)
{
    setup_small(1, run_small);
}
static void
setup_again(void)
{
    setup_one();
    tasks = 2;
}
static void
setup_two(void)
{
    setup_small(2, run_small);
}
static void
setup_signal(void)
{
    setup_two();
    for (uint32_t i = 0; i < 2; i++)
        view.slots[i].limits.signal_grace_ms = how.signal_grace_ms = 50000;
}
/* The worker before this one has died in a task that had been sent a signal. */
static void
setup_signal_of_dead_one(void)
{
    cf_account account;
    setup_signal();
    cf__store_relaxed(&view.workers[0].signaled, 1u);
    memset(&account, 0, sizeof account);
    cf__arena_reap(&view, tries, 1, &account, false);
}
static void
setup_shield(void)
{
    setup_small(1, run_shielded);
}

static void
work(void *arg)
{
    cf__worker self;
    (void)arg;
    model_on_signal(on_stop_signal);
    memset(&self, 0, sizeof self);
    self.setup = &setup_of_worker;
    self.view = view;
    self.record = &view.workers[0];
    self.number = 1;
    self.process = cf__os_pid();
    cf__store_relaxed(&self.record->due, CF__NEVER);
    model_check(cf__worker_start(&self));
    while (self.ran < tasks) {
        if (cf__arena_claim(&view, 1, &self.index))
            cf__worker_run(&self);
        else
            model_yield();
    }
    model_take_time(); /* a signal that is late finds it */
}
/* The parent: the task has ended, and there comes another in its slot. */
static void
submit_again(void *arg)
{
    cf__slot *slot = &view.slots[0];
    uint64_t word;
    (void)arg;
    while (!cf__slot_settled(word = cf__load_acquire(&slot->word)))
        model_yield();
    if (cf__slot_state(word) != CF__SLOT_DONE)
        return;
    cf__store_release(&slot->word, cf__slot_word(1, 0, CF__SLOT_FREE));
    cf__slot_publish_task(slot, 1);
    cf__arena_push_hint(&view, &view.arena->parent_ring, view.parent_hints, 0);
}
/* Looks a few times, as the template does when it's woken, and buries the worker. */
static void
look_after(void *arg)
{
    cf__process_death death;
    (void)arg;
    for (int looks = 0; looks < 2 && ladder.rung != CF__KILLED; looks++) {
        int64_t now = cf__os_now();
        (void)cf__ladder_look(&view, &ladder, 1, WORKER, now, true);
        killed_at = ladder.rung == CF__KILLED ? now : 0;
    }
    model_check(cf__os_pidfd_ended(WORKER, INT64_MAX));
    cf__os_reap(WORKER, &death);
    if (death.signal != 0 || death.status != 0 || killed_at != 0) {
        cf_account account;
        memset(&account, 0, sizeof account);
        cf__arena_reap(&view, tries, 1, &account, false);
        lost = true;
    }
}
static void
check_small(void)
{
    for (uint32_t i = 0; i < view.slot_count; i++) {
        uint64_t word = cf__load_acquire(&view.slots[i].word);
        uint32_t state = cf__slot_state(word);
        if (state == CF__SLOT_LOST) {
            model_check(killed_at != 0); /* by the ladder, and not too early */
            model_check(killed_at - cf__load_relaxed(&view.workers[0].started_at) >= LIMIT);
            model_check(cf__load_relaxed(&shielded) == 0);
        } else {
            model_check(state == CF__SLOT_DONE || (lost && state == CF__SLOT_PENDING));
            model_check((word & (CF__SLOT_KILLING | CF__SLOT_SIGNALED)) ==
                        0); /* a kill takes no result, hits no other */
        }
    }
    cf__os_unmap(view.arena, 0);
}

/* ---- with the real template, process 1, and the real worker that it forks; no parent but who stops them ---- */

#define SHIELD_MS 60000u
#define SHIELD INT64_C(60000000000)

static void
run_endless(const void *args, void *result, void *context)
{
    (void)args;
    (void)result;
    (void)context;
    cf__os_pause_for_good();
}
/* Notes its progress, half a limit later. */
static void
run_noting(const void *args, void *result, void *context)
{
    (void)args;
    (void)result;
    cf__current = context;
    model.clock += LIMIT / 2;
    (void)cf_note("half");
    cf__os_pause_for_good();
}
static void
run_shield(void *context, unsigned milliseconds, bool ends)
{
    void *before = cf__current;
    cf__current = context;
    cf_shield_begin(milliseconds);
    cf__store_relaxed(&shielded, 1u);
    model_take_time();
    if (!ends)
        cf__os_pause_for_good();
    cf__store_relaxed(&shielded, 0u);
    cf_shield_end();
    cf__current = before;
}
static void
run_shielded_and_endless(const void *args, void *result, void *context)
{
    (void)args;
    (void)result;
    run_shield(context, SHIELD_MS, true);
    cf__os_pause_for_good();
}
static void
run_shielded_for_good(const void *args, void *result, void *context)
{
    (void)args;
    (void)result;
    run_shield(context, 2 * LIMIT_MS, false);
}
static void
run_shielded_and_end(const void *args, void *result, void *context)
{
    (void)args;
    (void)result;
    run_shield(context, SHIELD_MS, true);
}

static void
setup_template(void (*run)(const void *, void *, void *), uint32_t stop)
{
    setup_small(1, run);
    setup_of_worker.view = view;
    setup_of_worker.parent_pidfd = MODEL__PID;
    setup_of_worker.life_line[0] = setup_of_worker.life_line[1] = -1;
    setup_of_worker.idle_timeout = CF__NEVER;
    cf__store_relaxed(&view.arena->high, 0u);
    cf__store_relaxed(&view.arena->stop, stop);
    view.template_pidfd = MODEL__PID + 1;
    model.deadline_count = 0; /* time passes in sleeps */
}
static void
setup_endless(void)
{
    setup_template(run_endless, CF__ARENA_DRAINS);
}
static void
setup_cpu_limit(void)
{
    setup_template(run_endless, CF__ARENA_DRAINS);
    view.slots[0].limits.time_ms = 0;
    view.slots[0].limits.cpu_ms = LIMIT_MS;
}
static void
setup_stall(void)
{
    setup_template(run_noting, CF__ARENA_DRAINS);
    view.slots[0].limits.time_ms = 0;
    view.slots[0].limits.stall_ms = LIMIT_MS;
}
static void
setup_shielded_and_endless(void)
{
    setup_template(run_shielded_and_endless, CF__ARENA_DRAINS);
}
static void
setup_shielded_for_good(void)
{
    setup_template(run_shielded_for_good, CF__ARENA_DRAINS);
}
static void
setup_shield_and_stop(void)
{
    setup_template(run_shielded_and_end, CF__ARENA_RUNS);
    view.slots[0].limited = 0;
}
static void
setup_shield_and_stop_endless(void)
{
    setup_template(run_shielded_and_endless, CF__ARENA_RUNS);
    view.slots[0].limited = 0;
}
static void
stop_kills(void *arg)
{
    (void)arg;
    while (cf__slot_state(cf__load_acquire(&view.slots[0].word)) == CF__SLOT_PENDING)
        model_yield(); /* the parent would withdraw it */
    cf__store_seq_cst(&view.arena->stop, CF__ARENA_KILLS);
    cf__arena_wake_all(&view);
    cf__arena_poke(&view);
}
static cf_account
account_of_lost(void)
{
    cf_account account;
    model_check(cf__slot_state(cf__load_acquire(&view.slots[0].word)) == CF__SLOT_LOST);
    memcpy(&account, view.slots[0].payload, sizeof account);
    cf__os_unmap(view.arena, 0);
    return account;
}
static void
check_limit_passed(void)
{
    cf_account account = account_of_lost();
    model_check(account.limit != CF_LIMIT_NONE && account.signal == SIGKILL && account.run_ns >= LIMIT);
}
static void
check_stalled(void)
{
    cf_account account = account_of_lost();
    model_check(account.limit == CF_LIMIT_STALL && account.run_ns >= LIMIT + LIMIT / 2);
    model_check(strcmp(account.note, "half") == 0);
}
static void
check_killed_after_shield(void)
{
    cf_account account = account_of_lost();
    model_check(account.limit == CF_LIMIT_TIME && account.run_ns >= LIMIT);
    model_check(cf__load_relaxed(&shielded) == 0 && account.run_ns < SHIELD); /* as soon as it ended */
}
static void
check_stopped_after_shield(void)
{
    cf_account account = account_of_lost();
    model_check(cf__load_relaxed(&shielded) == 0 && account.run_ns < SHIELD);
}
static void
check_killed_in_late_shield(void)
{
    cf_account account = account_of_lost();
    model_check(account.limit == CF_LIMIT_TIME && account.run_ns >= LIMIT);
    model_check(cf__load_relaxed(&shielded) == 0 || account.run_ns >= 2 * LIMIT);
}
static void
check_not_killed_in_shield(void)
{
    uint32_t state = cf__slot_state(cf__load_acquire(&view.slots[0].word));
    model_check((state == CF__SLOT_DONE || state == CF__SLOT_LOST) && cf__load_relaxed(&shielded) == 0);
    cf__os_unmap(view.arena, 0);
}

#define TEMPLATE .processes = {{"template", cf__template_main, &setup_of_worker}}
static const model_scenario scenarios[] = {
    {.name = "limits_look",
     .setup = setup_endless,
     TEMPLATE,
     .check = check_limit_passed,
     .spurious = MODEL_NONE,
     .seconds = 5},
    {.name = "limits_look_cpu",
     .setup = setup_cpu_limit,
     TEMPLATE,
     .check = check_limit_passed,
     .spurious = MODEL_NONE,
     .stale_reads = MODEL_NONE},
    {.name = "limits_stall",
     .setup = setup_stall,
     TEMPLATE,
     .check = check_stalled,
     .spurious = MODEL_NONE,
     .stale_reads = MODEL_NONE,
     .timeouts = MODEL_NONE},
    {.name = "limits_shield_put_off",
     .setup = setup_shielded_and_endless,
     TEMPLATE,
     .check = check_killed_after_shield,
     .spurious = MODEL_NONE,
     .stale_reads = MODEL_NONE,
     .timeouts = 1,
     .seconds = 5},
    {.name = "limits_shield_late",
     .setup = setup_shielded_for_good,
     TEMPLATE,
     .check = check_killed_in_late_shield,
     .spurious = MODEL_NONE,
     .stale_reads = MODEL_NONE,
     .seconds = 5},
    {.name = "limits_shield_and_stop",
     .setup = setup_shield_and_stop,
     .threads = {{"stop", stop_kills, NULL}},
     TEMPLATE,
     .check = check_not_killed_in_shield,
     .preemptions = 1,
     .spurious = MODEL_NONE,
     .stale_reads = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .seconds = 5},
    {.name = "limits_shield_and_stop_endless",
     .setup = setup_shield_and_stop_endless,
     .threads = {{"stop", stop_kills, NULL}},
     TEMPLATE,
     .check = check_stopped_after_shield,
     .preemptions = 1,
     .spurious = MODEL_NONE,
     .stale_reads = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .seconds = 5},
    {.name = "limits_kill",
     .setup = setup_one,
     .threads = {{"look", look_after, NULL}},
     .processes = {{"worker", work, NULL}},
     .check = check_small},
    {.name = "limits_kill_or_next",
     .setup = setup_two,
     .threads = {{"look", look_after, NULL}},
     .processes = {{"worker", work, NULL}},
     .check = check_small,
     .stale_reads = MODEL_NONE,
     .seconds = 5},
    {.name = "limits_kill_or_next_weak",
     .setup = setup_two,
     .threads = {{"look", look_after, NULL}},
     .processes = {{"worker", work, NULL}},
     .check = check_small,
     .seconds = 5},
    {.name = "limits_again",
     .setup = setup_again,
     .threads = {{"look", look_after, NULL}, {"parent", submit_again, NULL}},
     .processes = {{"worker", work, NULL}},
     .check = check_small,
     .stale_reads = MODEL_NONE,
     .seconds = 5},
    {.name = "limits_signal_of_dead_one",
     .setup = setup_signal_of_dead_one,
     .threads = {{"look", look_after, NULL}},
     .processes = {{"worker", work, NULL}},
     .check = check_small,
     .stale_reads = MODEL_NONE,
     .seconds = 5},
    {.name = "limits_signal",
     .setup = setup_signal,
     .threads = {{"look", look_after, NULL}},
     .processes = {{"worker", work, NULL}},
     .check = check_small,
     .stale_reads = MODEL_NONE,
     .seconds = 5},
    {.name = "limits_shield",
     .setup = setup_shield,
     .threads = {{"look", look_after, NULL}},
     .processes = {{"worker", work, NULL}},
     .check = check_small},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
