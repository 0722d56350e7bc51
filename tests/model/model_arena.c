/* tests/model/model_arena.c - a process pool's arena and slots under every schedule, with workers that die anywhere.
 * SPDX-License-Identifier: MIT
 * Parent and template are threads here, the workers are processes that the model may kill.  The worker's loop is that of
 * detail/worker.h, without what asks the system for things. */
#include "model.h"

#include "cfutures/detail/arena.h"

static cf__arena_view view;
static void *memory;
static uint32_t settled;  /* how many tasks one_of_two() has collected */
static cf__mutex pushing; /* the parent's, around its ring */
static int heirs;         /* replacements still allowed, so that every execution ends */
static uint32_t met;      /* A: tasks that came to meet another, see work_meeting(), or the auditor */
static uint32_t closed;   /* A: 1: the pool takes nothing more, see submit_until_closed() */
static uint32_t audited;  /* A: 1: the auditor has looked, see work_audited() */

static void
setup_pool(uint32_t workers, uint32_t slots)
{
    memory = cf__os_map_shared(cf__arena_layout(&view, NULL, workers, slots));
    (void)cf__arena_layout(&view, memory, workers, slots);
    cf__mutex_init(&pushing);
    settled = met = closed = audited = 0;
    heirs = 3;
}
static void
setup_1(void)
{
    setup_pool(1, 2);
}
static void
setup_2(void)
{
    setup_pool(2, 2);
}
static void
setup_2_without_heirs(void)
{
    setup_pool(2, 2);
    heirs = 0;
}
static void
check(void)
{
    cf__mutex_destroy(&pushing);
    cf__os_unmap(memory, 0);
}

/* ---- a worker ---- */

static void
work(void *arg)
{
    uint32_t number = *(uint32_t *)arg, index;
    for (;;) {
        if (cf__arena_claim(&view, number, &index)) {
            model_check(view.slots[index].payload[0] == 1 + index);
            view.slots[index].payload[1] = (unsigned char)(101 + index);
            (void)cf__arena_publish(&view, number, index, CF__SLOT_DONE);
        } else if (cf__load_acquire(&view.arena->stop) != CF__ARENA_RUNS) {
            return;
        } else {
            (void)cf__arena_park(&view, number, CF_FOREVER);
        }
    }
}
static uint32_t numbers[] = {1, 2};

/* The same, with a look for work before it sleeps, in place of a spin. */
static void
work_searching(void *arg)
{
    uint32_t number = *(uint32_t *)arg, index;
    for (;;) {
        if (cf__arena_claim(&view, number, &index)) {
            view.slots[index].payload[1] = (unsigned char)(101 + index);
            (void)cf__arena_publish(&view, number, index, CF__SLOT_DONE);
            continue;
        }
        if (cf__load_acquire(&view.arena->stop) != CF__ARENA_RUNS)
            return;
        if (cf__arena_search(&view, number) &&
            cf__load_relaxed(&view.arena->parent_ring.tail) != cf__load_relaxed(&view.arena->parent_ring.head))
            continue;
        (void)cf__arena_park(&view, number, CF_FOREVER);
    }
}

/* Two tasks that wait for each other: they must run at the same time, whoever is awake. */
static void
work_meeting(void *arg)
{
    uint32_t number = *(uint32_t *)arg, index, seen;
    for (;;) {
        if (cf__arena_claim(&view, number, &index)) {
            (void)cf__fetch_add_seq_cst(&met, 1u);
            (void)cf__unpark_all(&met, CF__SCOPE_SHARED);
            while ((seen = cf__load_seq_cst(&met)) < 2)
                (void)cf__park(&met, seen, CF_FOREVER, CF__SCOPE_SHARED);
            view.slots[index].payload[1] = (unsigned char)(101 + index);
            (void)cf__arena_publish(&view, number, index, CF__SLOT_DONE);
            continue;
        }
        if (cf__load_acquire(&view.arena->stop) != CF__ARENA_RUNS)
            return;
        if (cf__arena_search(&view, number) &&
            cf__load_relaxed(&view.arena->parent_ring.tail) != cf__load_relaxed(&view.arena->parent_ring.head))
            continue;
        (void)cf__arena_park(&view, number, CF_FOREVER);
    }
}

/* A task that runs until the auditor has looked, however often its worker dies. */
static void
work_audited(void *arg)
{
    uint32_t number = *(uint32_t *)arg, index;
    if (!cf__arena_claim(&view, number, &index))
        return;
    cf__store_seq_cst(&met, 1u);
    while (cf__load_acquire(&audited) == 0)
        cf__os_yield();
    view.slots[index].payload[1] = (unsigned char)(101 + index);
    (void)cf__arena_publish(&view, number, index, CF__SLOT_DONE);
}

/* ---- the template: reaps, and starts another worker under the same number ---- */

static void
reap_and(bool retry, void (*heir)(void *))
{
    uint32_t number_of[16] = {0, 1, 2}; /* of each process */
    cf__tries tries[2];
    model_death death;
    memset(tries, 0, sizeof tries);
    while (model_wait_death(&death)) {
        uint32_t number = number_of[death.process];
        cf_account account;
        memset(&account, 0, sizeof account);
        account.signal = death.killed ? 9 : 0;
        cf__arena_reap(&view, tries, number, &account, retry);
        if (death.killed && heirs-- > 0)
            number_of[model_process_start("heir", heir, &numbers[number - 1])] = number;
    }
}
static void
reap(void *arg)
{
    (void)arg;
    reap_and(false, work);
}
static void
reap_and_retry(void *arg)
{
    (void)arg;
    reap_and(true, work);
}
static void
reap_and_retry_audited(void *arg)
{
    (void)arg;
    reap_and(true, work_audited);
}

/* ---- the parent: submits, waits, collects, and stops the pool ---- */

static void
submit(uint32_t index, uint64_t generation)
{
    cf__slot *slot = &view.slots[index];
    slot->payload[0] = (unsigned char)(1 + index);
    slot->payload[1] = 0;
    cf__slot_publish_task(slot, generation);
    cf__mutex_lock(&pushing);
    cf__arena_push_hint(&view, &view.arena->parent_ring, view.parent_hints, index);
    cf__mutex_unlock(&pushing);
    cf__arena_wake_one(&view);
}
static void
setup_audited(void)
{
    setup_pool(1, 1);
    submit(0, 0);
}
/* Waits for the slot as a waiter does, takes its outcome, and frees it. */
static void
collect(uint32_t index, uint64_t generation)
{
    cf__slot *slot = &view.slots[index];
    uint64_t word = cf__load_acquire(&slot->word);
    while (!cf__slot_settled(word)) {
        if (cf__slot_set_flag(slot, &word, CF__SLOT_WAIT)) {
            (void)cf__park(cf__slot_futex(slot), cf__slot_futex_value(word), CF_FOREVER, CF__SCOPE_SHARED);
            word = cf__load_acquire(&slot->word);
        }
    }
    model_check(cf__slot_generation(word) == generation);
    if (cf__slot_state(word) == CF__SLOT_DONE)
        model_check(slot->payload[1] == 101 + index);
    else
        model_check(cf__slot_state(word) == CF__SLOT_LOST &&
                    ((const cf_account *)(const void *)slot->payload)->signal == 9);
    cf__store_release(&slot->word, cf__slot_word(generation + 1, 0, CF__SLOT_FREE));
}
static void
stop(void)
{
    cf__store_seq_cst(&view.arena->stop, CF__ARENA_DRAINS);
    cf__arena_wake_all(&view);
}
static void
one_task(void *arg)
{
    (void)arg;
    submit(0, 0);
    collect(0, 0);
    stop();
}
static void
one_task_after_another(void *arg)
{
    (void)arg;
    submit(0, 0);
    collect(0, 0);
    submit(0, 1);
    collect(0, 1);
    stop();
}
static void
one_task_hinted_twice(void *arg) /* as waiters push the hint of a stopped worker's task again */
{
    (void)arg;
    submit(0, 0);
    cf__arena_push_hint(&view, &view.arena->parent_ring, view.parent_hints, 0);
    cf__arena_wake_one(&view);
    collect(0, 0);
    submit(0, 1);
    collect(0, 1);
    stop();
}
static void
two_tasks(void *arg)
{
    (void)arg;
    submit(0, 0);
    submit(1, 0);
    collect(0, 0);
    collect(1, 0);
    stop();
}

/* Two threads of the parent; the later one stops the pool. */
static void
one_of_two(void *arg)
{
    uint32_t index = *(uint32_t *)arg - 1;
    submit(index, 0);
    collect(index, 0);
    if (cf__fetch_add_seq_cst(&settled, 1u) == 1)
        stop();
}

/* A submitter without a free slot, which sleeps until any slot settles [A3]; the pool has one task in it. */
static void
submit_under_pressure(void *arg)
{
    cf__slot *slot = &view.slots[0];
    (void)arg;
    submit(0, 0);
    for (;;) {
        uint32_t pressed = cf__arena_press(view.arena);
        if (cf__slot_settled(cf__load_seq_cst(&slot->word)))
            break;
        (void)cf__park(&view.arena->pressure, pressed, CF_FOREVER, CF__SCOPE_SHARED);
    }
    stop();
}

/* Two who sleep on that word: a submitter, and who closes the pool, wakes him, and then waits for the pool's end himself. */
static void
submit_until_closed(void *arg)
{
    (void)arg;
    for (;;) {
        uint32_t pressed = cf__arena_press(view.arena);
        if (cf__load_seq_cst(&closed) != 0)
            break;
        (void)cf__park(&view.arena->pressure, pressed, CF_FOREVER, CF__SCOPE_SHARED);
    }
}
static void
close_and_wait(void *arg)
{
    (void)arg;
    cf__store_seq_cst(&closed, 1u);
    cf__arena_ease(view.arena, true);
    (void)cf__arena_press(view.arena); /* nothing comes that would wake anybody */
}

/* The collector, told by a mark [A4]. */
static void
collector(void *arg)
{
    cf__slot *slot = &view.slots[0];
    (void)arg;
    submit(0, 0);
    uint64_t word = cf__load_acquire(&slot->word);
    while (!cf__slot_settled(word) && !cf__slot_set_flag(slot, &word, CF__SLOT_CARE))
        ;
    while (!cf__slot_settled(word) && cf__exchange_seq_cst(&view.completed[0], 0u) == 0) {
        (void)cf__exchange_seq_cst(&view.arena->collector, 1u);
        if (cf__load_seq_cst(&view.completed[0]) == 0)
            (void)cf__park(&view.arena->collector, 1, CF_FOREVER, CF__SCOPE_SHARED);
    }
    model_check(cf__slot_settled(cf__load_acquire(&slot->word)));
    stop();
}

/* More hints than the ring has cells: the producer makes room and loses none that is needed. */
static void
two_tasks_hinted_often(void *arg)
{
    (void)arg;
    submit(0, 0);
    for (int i = 0; i < 4; i++)
        cf__arena_push_hint(&view, &view.arena->parent_ring, view.parent_hints, 0);
    submit(1, 0);
    collect(0, 0);
    collect(1, 0);
    stop();
}

/* A task has written over the ring's head or tail: after the next push all is well, and before it nobody goes round in
 * circles. */
static void
two_tasks_ring_written_over(void *arg)
{
    submit(0, 0);
    cf__store_seq_cst(arg == NULL ? &view.arena->parent_ring.tail : &view.arena->parent_ring.head, UINT64_C(1) << 63);
    submit(1, 0);
    collect(0, 0);
    collect(1, 0);
    stop();
}

/* Another thread of the parent, which looks whether words and records agree: they do, unless a task writes over them [A7]. */
static void
auditor(void *arg)
{
    (void)arg;
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t word = cf__load_acquire(&view.slots[i].word);
        if (cf__slot_state(word) == CF__SLOT_RUNNING) {
            model_check(!cf__arena_disowned(&view, i, word));
            cf__arena_wake_worker(&view, cf__slot_owner(word)); /* as an audit does */
        }
    }
}
/* The same, while a task runs. */
static void
auditor_of_running(void *arg)
{
    (void)arg;
    while (cf__load_seq_cst(&met) == 0)
        cf__os_yield();
    uint64_t word = cf__load_acquire(&view.slots[0].word);
    cf__store_relaxed(&met, 2u); /* so that who has yielded may go on, and die */
    if (cf__slot_state(word) == CF__SLOT_RUNNING)
        model_check(!cf__arena_disowned(&view, 0, word));
    cf__store_seq_cst(&audited, 1u);
}
static void
check_audited(void)
{
    model_check(cf__slot_state(cf__load_relaxed(&view.slots[0].word)) == CF__SLOT_DONE);
    check();
}

#define WORKER(i)                                                                                                      \
    {                                                                                                                  \
        "worker" #i, work, &numbers[i - 1]                                                                             \
    }
static const model_scenario scenarios[] = {
    {.name = "arena_one_task",
     .setup = setup_1,
     .threads = {{"parent", one_task, NULL}},
     .processes = {WORKER(1)},
     .check = check,
     .preemptions = 3,
     .spurious = MODEL_NONE},
    {.name = "arena_one_task_after_another",
     .setup = setup_1,
     .threads = {{"parent", one_task_after_another, NULL}},
     .processes = {WORKER(1)},
     .check = check},
    {.name = "arena_two_tasks_one_worker",
     .setup = setup_1,
     .threads = {{"parent", two_tasks, NULL}},
     .processes = {WORKER(1)},
     .check = check},
    {.name = "arena_two_tasks_two_workers",
     .setup = setup_2,
     .threads = {{"parent", two_tasks, NULL}},
     .processes = {WORKER(1), WORKER(2)},
     .check = check,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .seconds = 8},
    {.name = "arena_two_submitters",
     .setup = setup_2,
     .threads = {{"parent", one_of_two, &numbers[0]}, {"parent2", one_of_two, &numbers[1]}},
     .processes = {WORKER(1), WORKER(2)},
     .check = check,
     .preemptions = 1,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .seconds = 6},
    {.name = "arena_searching",
     .setup = setup_1,
     .threads = {{"parent", one_task_after_another, NULL}},
     .processes = {{"worker1", work_searching, &numbers[0]}},
     .check = check,
     .spurious = MODEL_NONE,
     .seconds = 2},
    {.name = "arena_two_searching",
     .setup = setup_2,
     .threads = {{"parent", two_tasks, NULL}},
     .processes = {{"worker1", work_searching, &numbers[0]}, {"worker2", work_searching, &numbers[1]}},
     .check = check,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .seconds = 2},
    {.name = "arena_two_meet",
     .setup = setup_2,
     .threads = {{"parent", two_tasks, NULL}},
     .processes = {{"worker1", work_meeting, &numbers[0]}, {"worker2", work_meeting, &numbers[1]}},
     .check = check,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .seconds = 2},
    {.name = "arena_hint_twice",
     .setup = setup_2,
     .threads = {{"parent", one_task_hinted_twice, NULL}},
     .processes = {WORKER(1), WORKER(2)},
     .check = check,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .seconds = 2},
    {.name = "arena_pressure",
     .setup = setup_1,
     .threads = {{"parent", submit_under_pressure, NULL}},
     .processes = {WORKER(1)},
     .check = check},
    {.name = "arena_pressed_twice",
     .setup = setup_1,
     .threads = {{"submitter", submit_until_closed, NULL}, {"closer", close_and_wait, NULL}},
     .check = check},
    {.name = "arena_collector",
     .setup = setup_1,
     .threads = {{"parent", collector, NULL}},
     .processes = {WORKER(1)},
     .check = check},
    {.name = "arena_ring_overflow",
     .setup = setup_1,
     .threads = {{"parent", two_tasks_hinted_often, NULL}},
     .processes = {WORKER(1)},
     .check = check,
     .spurious = MODEL_NONE},
    {.name = "arena_tail_written_over",
     .setup = setup_1,
     .threads = {{"parent", two_tasks_ring_written_over, NULL}},
     .processes = {WORKER(1)},
     .check = check,
     .spurious = MODEL_NONE},
    {.name = "arena_head_written_over",
     .setup = setup_1,
     .threads = {{"parent", two_tasks_ring_written_over, &numbers[0]}},
     .processes = {WORKER(1)},
     .check = check,
     .spurious = MODEL_NONE},
    {.name = "arena_audit",
     .setup = setup_1,
     .threads = {{"parent", two_tasks, NULL}, {"auditor", auditor, NULL}},
     .processes = {WORKER(1)},
     .check = check,
     .spurious = MODEL_NONE,
     .seconds = 6},

    {.name = "arena_death_and_audit",
     .setup = setup_1,
     .threads = {{"parent", two_tasks, NULL}, {"auditor", auditor, NULL}, {"reaper", reap, NULL}},
     .processes = {WORKER(1)},
     .check = check,
     .kills = 1,
     .spurious = MODEL_NONE,
     .preemptions = 1,
     .seconds = 6},
    /* Who waits is told of the second try's end, whoever runs that. */
    {.name = "arena_retry",
     .setup = setup_2,
     .threads = {{"parent", one_task, NULL}, {"reaper", reap_and_retry, NULL}},
     .processes = {WORKER(1), WORKER(2)},
     .check = check,
     .kills = 1,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = MODEL_NONE,
     .seconds = 6},
    {.name = "arena_retry_and_audit",
     .setup = setup_audited,
     .threads = {{"auditor", auditor_of_running, NULL}, {"reaper", reap_and_retry_audited, NULL}},
     .processes = {{"worker1", work_audited, &numbers[0]}},
     .check = check_audited,
     .calm = true,
     .kills = 1,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .seconds = 6},

    {.name = "arena_death",
     .setup = setup_1,
     .threads = {{"parent", one_task, NULL}, {"reaper", reap, NULL}},
     .processes = {WORKER(1)},
     .check = check,
     .kills = 1,
     .spurious = MODEL_NONE,
     .preemptions = 1},
    {.name = "arena_death_sc_memory",
     .setup = setup_1,
     .threads = {{"parent", one_task, NULL}, {"reaper", reap, NULL}},
     .processes = {WORKER(1)},
     .check = check,
     .kills = 1,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .seconds = 2},
    {.name = "arena_two_deaths",
     .setup = setup_1,
     .threads = {{"parent", one_task, NULL}, {"reaper", reap, NULL}},
     .processes = {WORKER(1)},
     .check = check,
     .kills = 2,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = MODEL_NONE,
     .seconds = 6},
    {.name = "arena_death_two_tasks",
     .setup = setup_1,
     .threads = {{"parent", two_tasks, NULL}, {"reaper", reap, NULL}},
     .processes = {WORKER(1)},
     .check = check,
     .kills = 1,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = 1},
    {.name = "arena_death_two_workers",
     .setup = setup_2,
     .threads = {{"parent", two_tasks, NULL}, {"reaper", reap, NULL}},
     .processes = {WORKER(1), WORKER(2)},
     .check = check,
     .kills = 1,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = MODEL_NONE,
     .seconds = 6},
    {.name = "arena_death_without_heir",
     .setup = setup_2_without_heirs,
     .threads = {{"parent", one_task, NULL}, {"reaper", reap, NULL}},
     .processes = {WORKER(1), WORKER(2)},
     .check = check,
     .kills = 1,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .preemptions = MODEL_NONE},
    {.name = "arena_death_two_workers_random",
     .setup = setup_2,
     .threads = {{"parent", two_tasks, NULL}, {"reaper", reap, NULL}},
     .processes = {WORKER(1), WORKER(2)},
     .check = check,
     .kills = 2,
     .preemptions = 8,
     .stale_reads = 4,
     .random = 50000,
     .seconds = 2},
    {.name = "arena_death_under_pressure",
     .setup = setup_1,
     .threads = {{"parent", submit_under_pressure, NULL}, {"reaper", reap, NULL}},
     .processes = {WORKER(1)},
     .check = check,
     .kills = 1,
     .spurious = MODEL_NONE,
     .preemptions = 1},
    {.name = "arena_death_and_collector",
     .setup = setup_1,
     .threads = {{"parent", collector, NULL}, {"reaper", reap, NULL}},
     .processes = {WORKER(1)},
     .check = check,
     .kills = 1,
     .spurious = MODEL_NONE,
     .preemptions = 1},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
