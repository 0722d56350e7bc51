/* tests/model/model_nested.c - tasks that submit to the process pool that runs them, under every schedule, with deaths.
 * SPDX-License-Identifier: MIT
 * Two kinds of scenarios: small ones, of a few workers' own functions, in weak memory; and the real template and workers, whose
 * tasks have children and wait for them, with a parent that is a few lines.  Nobody audits: should a hint or a wake get lost,
 * or a stand-in not be started, nobody can go on: a deadlock. */
#define MODEL_CPUS 1u /* nobody spins */
#define CF__NESTED_SLICE INT64_MAX
#define CF__NESTED_SLICE_LAST INT64_MAX
#define CF__LINGER linger
#include <stdint.h>
static int64_t linger; /* how long a stand-in stays; for ever, lest its look repair what it wasn't told */
#include "model_template.h"

#include "cfutures/task.h"

static cf__arena_view view;
static cf__process_setup setup_of_pool;
static uint32_t runs;      /* A: how often children were begun */
static uint32_t withdrawn; /* A: 1: the only child was cancelled */
static uint32_t begun;     /* A: 1: the child that stays runs */
static uint32_t stopped;   /* A: 1: it was asked to stop */
static uint32_t numbers[] = {1, 2, 3};

/* ---- an arena ---- */

static void
setup_arena(uint32_t workers, uint32_t records)
{
    void *memory = cf__os_map_shared(cf__arena_layout(&view, NULL, records, 2));
    (void)cf__arena_layout(&view, memory, records, 2);
    cf__arena_want(&view, workers, workers, workers);
    model_thread_local(&cf__current, sizeof cf__current);
    memset(&setup_of_pool, 0, sizeof setup_of_pool);
    runs = withdrawn = begun = stopped = 0;
    linger = INT64_MAX;
}
static void
check_arena(void)
{
    cf__os_unmap(view.arena, 0);
}

/* ---- small: worker 1 has children, 2 and 3 run them ---- */

static void
setup_small(void)
{
    setup_arena(3, 3);
}
/* As after a child of worker 1's that has been taken. */
static void
setup_stale(void)
{
    setup_small();
    cf__store_relaxed(&view.arena->nested, UINT64_C(1));
}
static void
push_child(uint32_t place, uint64_t generation)
{
    uint32_t index = cf__nested_first(&view, 1) + place;
    cf__slot_publish_task(&view.slots[index], generation);
    cf__nested_push_hint(&view, index);
    cf__arena_wake_one(&view);
}
static void
await_child(uint32_t place)
{
    cf__slot *slot = &view.slots[cf__nested_first(&view, 1) + place];
    uint64_t word = cf__load_acquire(&slot->word);
    while (!cf__slot_settled(word)) {
        if (cf__slot_set_flag(slot, &word, CF__SLOT_WAIT)) {
            (void)cf__park(cf__slot_futex(slot), cf__slot_futex_value(word), CF_FOREVER, CF__SCOPE_SHARED);
            word = cf__load_acquire(&slot->word);
        }
    }
}
static void
stop(void)
{
    cf__store_seq_cst(&view.arena->stop, CF__ARENA_DRAINS);
    cf__arena_wake_all(&view);
}
static void
two_children(void *arg)
{
    (void)arg;
    push_child(0, 0);
    push_child(1, 0);
    await_child(0);
    await_child(1);
    stop();
}
static void
one_child_after_another(void *arg)
{
    (void)arg;
    push_child(0, 0);
    await_child(0);
    push_child(1, 0);
    await_child(1);
    stop();
}
/* Either worker 2 takes the child, or it dies: then whoever comes next finds it. */
static void
one_child_at_the_end(void *arg)
{
    (void)arg;
    push_child(0, 0);
    stop();
}
static void
check_hint(void)
{
    uint64_t word = cf__load_relaxed(&view.slots[cf__nested_first(&view, 1)].word);
    model_check(cf__slot_state(word) != CF__SLOT_PENDING || cf__load_relaxed(&view.arena->nested) != 0);
    check_arena();
}
static void
one_child_then_two(void *arg)
{
    (void)arg;
    push_child(0, 0);
    await_child(0);
    push_child(0, 1);
    push_child(1, 0);
    await_child(0);
    await_child(1);
    stop();
}
static void
work(void *arg)
{
    uint32_t number = *(uint32_t *)arg, index;
    for (;;) {
        if (cf__arena_claim(&view, number, &index))
            (void)cf__arena_publish(&view, number, index, CF__SLOT_DONE);
        else if (cf__load_acquire(&view.arena->stop) != CF__ARENA_RUNS)
            return;
        else
            (void)cf__arena_park(&view, number, CF_FOREVER);
    }
}
/* Buries; nobody comes after the dead. */
static void
reap(void *arg)
{
    cf__tries tries[2 + 3 * CF__NESTED_SLOTS];
    cf_account account;
    model_death death;
    (void)arg;
    memset(tries, 0, sizeof tries);
    memset(&account, 0, sizeof account);
    while (model_wait_death(&death))
        cf__arena_reap(&view, tries, death.process + 1, &account, false);
}

/* Worker 1 waits, without a child; the parent pushes a task: a stand-in is called. */
static void
setup_lend(void)
{
    setup_arena(1, 3);
    view.template_pidfd = -1;
    cf__store_relaxed(&view.workers[1].staffed, 1u);
}
static void
lend_and_look(void *arg)
{
    (void)arg;
    model_check(cf__arena_lend(&view, 1));
    if (cf__arena_has_hints(&view))
        cf__arena_wake_one(&view);
}
static void
push_for_stand_in(void *arg)
{
    (void)arg;
    cf__slot_publish_task(&view.slots[0], 0);
    cf__arena_push_hint(&view, &view.arena->parent_ring, view.parent_hints, 0);
    cf__arena_wake_one(&view);
}
/* Worker 1 is busy for ever; the pool may have another, whose number a stand-in has that isn't wanted any more. */
static void
setup_room_to_grow(void)
{
    setup_lend();
    cf__arena_want(&view, 1, 1, 2);
}
/* Worker 2 stands in: lingers until it's wanted, and takes the task. */
static void
stand_in(void *arg)
{
    uint32_t index;
    (void)arg;
    while (!cf__arena_is_wanted(&view, 2))
        (void)cf__arena_linger(&view, 2);
    while (!cf__arena_claim(&view, 2, &index))
        (void)cf__arena_park(&view, 2, CF_FOREVER);
}
/* Worker 2 runs worker 1's child, and has one itself, for which there are no more than these two: whoever comes last sees
 * that, or tells the other. */
static void
setup_all_wait(void)
{
    setup_arena(1, 2);
    cf__store_relaxed(&view.workers[0].staffed, 1u);
    cf__store_relaxed(&view.workers[1].staffed, 1u);
    cf__slot_publish_task(&view.slots[cf__nested_first(&view, 1)], 0);
    model_check(cf__slot_claim(&view.slots[cf__nested_first(&view, 1)], 2, 0));
    cf__store_relaxed(&view.workers[1].intent, cf__nested_first(&view, 1) + 1);
}
static void
wait_for_child(uint32_t number)
{
    cf__nested nested;
    cf__nested_future future;
    memset(CF__STATIC_CAST(void *, &nested), 0, sizeof nested);
    memset(CF__STATIC_CAST(void *, &future), 0, sizeof future);
    nested.view = &view;
    nested.number = number;
    nested.futures[0] = &future;
    future.nested = &nested;
    for (;;) {
        uint64_t word = cf__load_acquire(&cf__nested_slot(&nested, 0)->word);
        if (cf__slot_settled(word) ||
            (!cf__nested_sleep(&future, &word, CF_FOREVER) && cf__nested_take_back(&future, word)))
            return;
    }
}
static void
wait_for_running(void *arg)
{
    (void)arg;
    wait_for_child(1);
}
static void
wait_for_pending(void *arg)
{
    (void)arg;
    cf__slot_publish_task(&view.slots[cf__nested_first(&view, 2)], 0);
    cf__nested_push_hint(&view, cf__nested_first(&view, 2));
    wait_for_child(2);
    model_check(cf__arena_publish(&view, 2, cf__nested_first(&view, 1), CF__SLOT_DONE));
}

/* ---- with the real template and workers ---- */

static int child(int number);
CF_TASK(int, child, int);
static int
child(int number)
{
    (void)cf__fetch_add_relaxed(&runs, 1u);
    return number + 1;
}
static int
parent_of_one(int number)
{
    int value = -1;
    cf_future *future = cf_submit(cf_current_executor(), child, number);
    cf_err error = cf_result(future, child, &value, CF_FOREVER);
    model_check((error == CF_OK && value == number + 1) || error == CF_ERR_WORKER_LOST);
    cf_future_release(future);
    return number;
}
CF_TASK(int, parent_of_one, int);

static int
parent_of_two(int number)
{
    (void)parent_of_one(number);
    return parent_of_one(number);
}
CF_TASK(int, parent_of_two, int);

static int
spawns_one(int number)
{
    (void)cf_spawn(cf_current_executor(), child, number);
    return number;
}
CF_TASK(int, spawns_one, int);

static int
grandparent(int number)
{
    int value = -1;
    cf_future *future = cf_submit(cf_current_executor(), parent_of_one, number);
    cf_err error = cf_result(future, parent_of_one, &value, CF_FOREVER);
    model_check((error == CF_OK && value == number) || error == CF_ERR_WORKER_LOST);
    cf_future_release(future);
    return number;
}
CF_TASK(int, grandparent, int);

/* Runs until it's asked to stop. */
static int
stays(int number)
{
    cf__store_release(&begun, 1u);
    while (!cf_cancelled())
        model_yield();
    cf__store_relaxed(&stopped, 1u);
    return number;
}
CF_TASK(int, stays, int);

static int
never_after_that(int number)
{
    model_check(cf__load_relaxed(&stopped) == 0);
    return number;
}
CF_TASK(int, never_after_that, int);

static int
dies_with_two(int number)
{
    (void)cf_spawn(cf_current_executor(), stays, number);
    while (cf__load_acquire(&begun) == 0)
        model_yield();
    (void)cf_spawn(cf_current_executor(), never_after_that, number);
    cf__os_exit(3);
    return number;
}
CF_TASK(int, dies_with_two, int);

static int
cancels(int number)
{
    cf_future *future = cf_submit(cf_current_executor(), child, number);
    cf_err error = cf_future_cancel(future) ? CF_ERR_CANCELLED : CF_OK;
    cf__store_relaxed(&withdrawn, error != CF_OK ? 1u : 0u);
    model_check(cf_future_wait(future, CF_FOREVER) == error);
    cf_future_release(future);
    return number;
}
CF_TASK(int, cancels, int);

static void
setup_real(uint32_t workers, uint32_t records)
{
    setup_arena(workers, records);
    setup_of_pool.view = view;
    setup_of_pool.parent_pidfd = MODEL__PID;
    setup_of_pool.life_line[0] = setup_of_pool.life_line[1] = -1;
    setup_of_pool.idle_timeout = CF__NEVER;
    cf__store_relaxed(&view.arena->high, 0u);
    view.template_pidfd = MODEL__PID + 1;
    model_spare(model_process_start("template", cf__template_main, &setup_of_pool));
}
static void
setup_one(void)
{
    setup_real(1, 2);
}
static void
setup_one_that_leaves(void)
{
    setup_real(1, 2);
    linger = 1;
}
static void
setup_one_of_three(void)
{
    setup_real(1, 3);
}
static void
setup_two(void)
{
    setup_real(2, 3);
}
static void
setup_alone(void)
{
    setup_real(1, 1);
}
static void
submit(uint32_t index, const cf_task_type *type)
{
    const int number = 5;
    cf__slot *slot = &view.slots[index];
    slot->run = type->run;
    slot->args = slot->payload;
    slot->result = slot->payload + 64;
    memcpy(slot->payload, &number, sizeof number);
    cf__slot_publish_task(slot, 0);
    cf__arena_push_hint(&view, &view.arena->parent_ring, view.parent_hints, index);
    cf__arena_wake_one(&view);
}
/* Returns whether the task is done, and well; else it's lost. */
static bool
await(uint32_t index)
{
    cf__slot *slot = &view.slots[index];
    uint64_t word = cf__load_acquire(&slot->word);
    while (!cf__slot_settled(word)) {
        if (cf__slot_set_flag(slot, &word, CF__SLOT_WAIT)) {
            (void)cf__park(cf__slot_futex(slot), cf__slot_futex_value(word), CF_FOREVER, CF__SCOPE_SHARED);
            word = cf__load_acquire(&slot->word);
        }
    }
    model_check(cf__slot_state(word) == CF__SLOT_DONE || cf__slot_state(word) == CF__SLOT_LOST);
    return cf__slot_state(word) == CF__SLOT_DONE;
}
static void
end_pool(void)
{
    cf__store_seq_cst(&view.arena->stop, CF__ARENA_DRAINS);
    cf__arena_wake_all(&view);
    cf__arena_poke(&view);
}
static void
run_parent_of_one(void *arg)
{
    (void)arg;
    submit(0, parent_of_one_CF_TASK_type());
    model_check(await(0) && cf__load_relaxed(&runs) == 1);
    end_pool();
}
static void
run_parent_of_two(void *arg)
{
    (void)arg;
    submit(0, parent_of_two_CF_TASK_type());
    (void)await(0);
    end_pool();
}
static void
run_two_parents(void *arg)
{
    (void)arg;
    submit(0, parent_of_one_CF_TASK_type());
    submit(1, parent_of_one_CF_TASK_type());
    (void)await(0);
    (void)await(1);
    end_pool();
}
static void
run_spawner(void *arg)
{
    (void)arg;
    submit(0, spawns_one_CF_TASK_type());
    model_check(await(0));
    model_check(cf__load_relaxed(&runs) == 1); /* no task ends before its children */
    end_pool();
}
static void
run_grandparent(void *arg)
{
    (void)arg;
    submit(0, grandparent_CF_TASK_type());
    (void)await(0);
    end_pool();
}
static void
run_canceller(void *arg)
{
    (void)arg;
    submit(0, cancels_CF_TASK_type());
    model_check(await(0));
    end_pool();
}
/* Of the children of a task whose worker dies, one runs and is asked to stop; who ran it mustn't go on with the other. */
static void
run_parent_that_dies(void *arg)
{
    (void)arg;
    submit(0, dies_with_two_CF_TASK_type());
    model_check(!await(0));
    end_pool();
}
/* A worker may die: then children that were pending have been withdrawn, and the next with its number can have children. */
static void
run_parent_that_may_die(void *arg)
{
    (void)arg;
    submit(0, parent_of_one_CF_TASK_type());
    (void)await(0);
    submit(1, parent_of_one_CF_TASK_type());
    (void)await(1);
    end_pool();
}
static void
check_real(void)
{
    for (uint32_t i = view.slot_count; i < view.slot_total; i++) {
        uint32_t state = cf__slot_state(cf__load_relaxed(&view.slots[i].word));
        model_check(state != CF__SLOT_PENDING && state != CF__SLOT_RUNNING);
    }
    model_check(cf__load_relaxed(&view.arena->lent[0]) == 0);
    model_check(cf__load_relaxed(&withdrawn) == 0 || cf__load_relaxed(&runs) == 0);
    check_arena();
}

#define REAL(name_, setup_, run_)                                                                                      \
    .name = name_, .setup = setup_, .threads = {{"parent", run_, NULL}}, .check = check_real,                          \
    .stale_reads = MODEL_NONE, .spurious = MODEL_NONE

static const model_scenario scenarios[] = {
    {.name = "nested_two_children",
     .setup = setup_small,
     .processes = {{"owner", two_children, NULL}, {"worker2", work, &numbers[1]}},
     .check = check_arena,
     .spurious = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .seconds = 6},
    {.name = "nested_one_after_another",
     .setup = setup_small,
     .processes = {{"owner", one_child_after_another, NULL}, {"worker2", work, &numbers[1]}},
     .check = check_arena,
     .spurious = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .seconds = 6},
    {.name = "nested_one_then_two",
     .setup = setup_small,
     .processes = {{"owner", one_child_then_two, NULL}, {"worker2", work, &numbers[1]}},
     .check = check_arena,
     .spurious = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .stale_reads = MODEL_NONE,
     .seconds = 6},
    {.name = "nested_two_workers",
     .setup = setup_small,
     .processes = {{"owner", two_children, NULL}, {"worker2", work, &numbers[1]}, {"worker3", work, &numbers[2]}},
     .check = check_arena,
     .spurious = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .preemptions = 1,
     .seconds = 6},
    {.name = "nested_hint_and_death",
     .setup = setup_small,
     .threads = {{"owner", two_children, NULL}, {"reaper", reap, NULL}},
     .processes = {{"worker2", work, &numbers[1]}, {"worker3", work, &numbers[2]}},
     .check = check_arena,
     .kills = 1,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .preemptions = MODEL_NONE,
     .seconds = 8},
    {.name = "nested_hidden_by_death",
     .setup = setup_stale,
     .threads = {{"owner", one_child_at_the_end, NULL}, {"reaper", reap, NULL}},
     .processes = {{"worker2", work, &numbers[1]}},
     .check = check_hint,
     .kills = 1,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .preemptions = 1,
     .seconds = 6},
    {.name = "nested_lend",
     .setup = setup_lend,
     .threads = {{"parent", push_for_stand_in, NULL}},
     .processes = {{"worker1", lend_and_look, NULL}, {"stand-in", stand_in, NULL}},
     .check = check_arena,
     .spurious = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .seconds = 6},
    {.name = "nested_wanted_again",
     .setup = setup_room_to_grow,
     .threads = {{"parent", push_for_stand_in, NULL}},
     .processes = {{"stand-in", stand_in, NULL}},
     .check = check_arena,
     .spurious = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .seconds = 6},
    {.name = "nested_last_waits",
     .setup = setup_all_wait,
     .processes = {{"worker1", wait_for_running, NULL}, {"worker2", wait_for_pending, NULL}},
     .check = check_arena,
     .spurious = MODEL_NONE,
     .timeouts = MODEL_NONE,
     .seconds = 6},
    {REAL("nested_child", setup_one, run_parent_of_one), .timeouts = MODEL_NONE, .preemptions = 1, .seconds = 6},
    {REAL("nested_child_run_by_waiter", setup_alone, run_parent_of_one), .timeouts = MODEL_NONE, .preemptions = 1,
     .seconds = 3},
    {REAL("nested_spawned", setup_one, run_spawner), .timeouts = MODEL_NONE, .preemptions = 1, .seconds = 6},
    {REAL("nested_cancel", setup_two, run_canceller), .timeouts = MODEL_NONE, .preemptions = 1, .seconds = 6},
    {REAL("nested_one_then_another", setup_one_that_leaves, run_parent_of_two), .preemptions = 1, .timeouts = 1,
     .seconds = 6},
    {REAL("nested_two_parents", setup_one_of_three, run_two_parents), .timeouts = MODEL_NONE, .preemptions = 1,
     .seconds = 6},
    {REAL("nested_two_parents_two_workers", setup_two, run_two_parents), .timeouts = MODEL_NONE, .preemptions = 1,
     .seconds = 6},
    {REAL("nested_grandchild", setup_one_of_three, run_grandparent), .timeouts = MODEL_NONE, .preemptions = 1,
     .seconds = 6},
    /* All that there may be wait: the one before had one to rely on, the last one's child runs already. */
    {REAL("nested_all_wait", setup_one, run_grandparent), .timeouts = MODEL_NONE, .preemptions = 2, .seconds = 6},
    {REAL("nested_death", setup_one, run_parent_that_may_die), .timeouts = MODEL_NONE, .preemptions = MODEL_NONE,
     .kills = 1, .seconds = 8},
    {REAL("nested_dies_with_two", setup_two, run_parent_that_dies), .timeouts = MODEL_NONE, .preemptions = 1,
     .random = 20000, .seconds = 8},
    {REAL("nested_death_two_workers", setup_two, run_parent_that_may_die), .timeouts = MODEL_NONE,
     .preemptions = MODEL_NONE, .kills = 1, .seconds = 8},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
