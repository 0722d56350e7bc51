/* tests/model/model_park.c - detail/park.h, event.h and place.h, the only code that sleeps, under every schedule.
 * SPDX-License-Identifier: MIT
 * model_condvar.c has them on condition variables. */
#include "model.h"

#include "cfutures/detail/place.h"

#if CF__FUTEX

/* ---- park.h: a word with a bit for "somebody may sleep", as the words of the library have ---- */

enum { SET = 1, WAITED = 2 };
static uint32_t word;
static int data;

static void
setup_word(void)
{
    word = 0;
    data = 0;
}

static void
set(void *arg)
{
    (void)arg;
    cf__data_write(&data, sizeof data);
    data = 1;
    if (cf__exchange_acq_rel(&word, (uint32_t)SET) & WAITED)
        (void)cf__unpark_all(&word, CF__SCOPE_PRIVATE);
}
static bool
wait_until(cf_time deadline)
{
    uint32_t value = cf__load_acquire(&word);
    while (!(value & SET)) {
        if (!(value & WAITED) && !cf__cas_acquire(&word, &value, value | WAITED))
            continue;
        bool in_time = cf__park(&word, value | WAITED, deadline, CF__SCOPE_PRIVATE);
        value = cf__load_acquire(&word);
        if (!in_time && !(value & SET))
            return false;
    }
    cf__data_read(&data, sizeof data);
    model_check(data == 1);
    return true;
}
static void
wait_set(void *arg)
{
    (void)arg;
    model_check(wait_until(CF_FOREVER));
}
static void
wait_deadline(void *arg)
{
    (void)arg;
    model_check(wait_until(model_deadline(1)) || cf_passed(model_deadline(1)));
}
static void
wait_past(void *arg)
{
    (void)arg;
    (void)wait_until(CF_NOW);
}

/* Two processes, shared scope: one dies asleep or awake, the other is woken all the same. */
static void
wait_shared(void *arg)
{
    (void)arg;
    while (cf__load_acquire(&word) == 0)
        (void)cf__park(&word, 0, CF_FOREVER, CF__SCOPE_SHARED);
}
static void
set_shared(void *arg)
{
    (void)arg;
    cf__store_release(&word, 1u);
    (void)cf__unpark_all(&word, CF__SCOPE_SHARED);
}

#endif

/* ---- place.h: the same on a word of an object; who sets it holds a reference meanwhile, as it must ---- */

enum { OPEN = 1, AWAITED = 2 };
typedef struct door {
    uint32_t state;
    uint32_t references;
    int behind; /* published with OPEN */
    CF__PLACE
} door;
static door *shared_door;

static void
setup_door(uint32_t references)
{
    shared_door = cf__os_alloc(sizeof *shared_door);
    shared_door->state = 0;
    shared_door->references = references;
    shared_door->behind = 0;
    cf__place_init(shared_door);
}
static void
setup_door_1(void)
{
    setup_door(1);
}
static void
setup_door_2(void)
{
    setup_door(2);
}
static void
setup_door_3(void)
{
    setup_door(3);
}
static void
door_release(door *d)
{
    if (cf__fetch_sub_acq_rel(&d->references, 1u) != 1)
        return;
    cf__place_destroy(d);
    cf__os_free(d);
}
static void
door_open(void *arg)
{
    (void)arg;
    door *d = shared_door;
    d->behind = 1;
    if (cf__exchange_acq_rel(&d->state, (uint32_t)OPEN) & AWAITED)
        cf__place_unpark_all(d, &d->state);
    door_release(d);
}
static void
door_wait(cf_time deadline)
{
    door *d = shared_door;
    bool in_time = true;
    uint32_t state = cf__load_acquire(&d->state);
    while (!(state & OPEN) && in_time) {
        if (!(state & AWAITED) && !cf__cas_acq_rel(&d->state, &state, state | AWAITED))
            continue;
        in_time = cf__place_park(d, &d->state, state | AWAITED, deadline);
        state = cf__load_acquire(&d->state);
    }
    model_check((state & OPEN) ? d->behind == 1 : cf_passed(deadline));
    door_release(d);
}
static void
door_wait_forever(void *arg)
{
    (void)arg;
    door_wait(CF_FOREVER);
}
static void
door_wait_deadline(void *arg)
{
    (void)arg;
    door_wait(model_deadline(1));
}

/* ---- event.h: `tickets` to be taken, one wake for each ---- */

static cf__mutex mutex;
static cf__event event;
static int tickets, taken, gone;

static void
setup_event(void)
{
    cf__mutex_init(&mutex);
    cf__event_init(&event);
    tickets = taken = gone = 0;
}
static void
give(void *arg)
{
    (void)arg;
    cf__mutex_lock(&mutex);
    tickets++;
    cf__sleeper *sleeper = cf__event_take(&event);
    cf__mutex_unlock(&mutex);
    cf__sleeper_wake(sleeper);
}
static void
give_to_all(void *arg) /* arg: how many tickets */
{
    cf__mutex_lock(&mutex);
    tickets += *(int *)arg;
    cf__event_wake_all(&event);
    cf__mutex_unlock(&mutex);
}
static void
take_until(cf_time deadline)
{
    bool in_time = true;
    cf__mutex_lock(&mutex);
    while (tickets == 0 && in_time)
        in_time = cf__event_wait(&event, &mutex, deadline);
    if (tickets > 0) {
        tickets--;
        taken++;
    } else {
        model_check(cf_passed(deadline));
        gone++;
    }
    cf__mutex_unlock(&mutex);
}
static int two = 2, three = 3;
static void
take(void *arg)
{
    (void)arg;
    take_until(CF_FOREVER);
}
static void
take_deadline(void *arg)
{
    (void)arg;
    take_until(model_deadline(1));
}
static void
check_event(void)
{
    model_check(event.first == NULL && event.last == NULL);
    model_check(tickets == gone);
    cf__mutex_destroy(&mutex);
}

static const model_scenario scenarios[] = {
#if CF__FUTEX
    {.name = "park_set_and_wait",
     .setup = setup_word,
     .threads = {{"set", set, NULL}, {"wait", wait_set, NULL}},
     .preemptions = 5,
     .stale_reads = 3},
    {.name = "park_two_waiters",
     .setup = setup_word,
     .threads = {{"set", set, NULL}, {"wait", wait_set, NULL}, {"wait2", wait_set, NULL}}},
    {.name = "park_deadline",
     .setup = setup_word,
     .threads = {{"set", set, NULL}, {"wait", wait_deadline, NULL}},
     .preemptions = 4},
    {.name = "park_deadline_alone", .setup = setup_word, .threads = {{"wait", wait_deadline, NULL}}},
    {.name = "park_deadline_beside_waiter",
     .setup = setup_word,
     .threads = {{"set", set, NULL}, {"until", wait_deadline, NULL}, {"wait", wait_set, NULL}}},
    {.name = "park_deadline_in_the_past",
     .setup = setup_word,
     .threads = {{"set", set, NULL}, {"wait", wait_past, NULL}},
     .preemptions = 4},
    {.name = "park_beside_a_death",
     .setup = setup_word,
     .threads = {{"set", set_shared, NULL}},
     .processes = {{"waits", wait_shared, NULL}, {"waits2", wait_shared, NULL}},
     .kills = 1},
#endif
    {.name = "place_open_and_wait",
     .setup = setup_door_2,
     .threads = {{"open", door_open, NULL}, {"wait", door_wait_forever, NULL}},
     .preemptions = 3},
    {.name = "place_two_waiters",
     .setup = setup_door_3,
     .threads = {{"open", door_open, NULL}, {"wait", door_wait_forever, NULL}, {"wait2", door_wait_forever, NULL}},
     .spurious = MODEL_NONE},
    {.name = "place_deadline",
     .setup = setup_door_2,
     .threads = {{"open", door_open, NULL}, {"wait", door_wait_deadline, NULL}},
     .preemptions = 3},
    {.name = "place_deadline_alone", .setup = setup_door_1, .threads = {{"wait", door_wait_deadline, NULL}}},
    {.name = "place_deadline_beside_waiter",
     .setup = setup_door_3,
     .threads = {{"open", door_open, NULL}, {"until", door_wait_deadline, NULL}, {"wait", door_wait_forever, NULL}},
     .spurious = MODEL_NONE},
    {.name = "event_give_and_take",
     .setup = setup_event,
     .threads = {{"give", give, NULL}, {"take", take, NULL}},
     .check = check_event,
     .preemptions = 5,
     .stale_reads = 3},
    {.name = "event_two_takers",
     .setup = setup_event,
     .threads = {{"give", give, NULL}, {"give2", give, NULL}, {"take", take, NULL}, {"take2", take, NULL}},
     .check = check_event,
     .spurious = MODEL_NONE},
    {.name = "event_wake_all",
     .setup = setup_event,
     .threads = {{"give", give_to_all, &two}, {"take", take, NULL}, {"take2", take, NULL}},
     .check = check_event},
    {.name = "event_deadline",
     .setup = setup_event,
     .threads = {{"give", give, NULL}, {"take", take_deadline, NULL}},
     .check = check_event,
     .preemptions = 4,
     .stale_reads = 2},
    {.name = "event_deadline_beside_taker",
     .setup = setup_event,
     .threads = {{"give", give, NULL}, {"give2", give, NULL}, {"until", take_deadline, NULL}, {"take", take, NULL}},
     .check = check_event,
     .spurious = MODEL_NONE},
    {.name = "event_deadline_in_the_middle",
     .setup = setup_event,
     .threads =
         {{"take", take, NULL}, {"until", take_deadline, NULL}, {"take2", take, NULL}, {"give", give_to_all, &three}},
     .check = check_event,
     .spurious = MODEL_NONE,
     .preemptions = 1},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
