/* tests/model/model_deque.c - detail/deque.h under every schedule: one owner, thieves, each entry returned once.
 * SPDX-License-Identifier: MIT
 * The ring's size is fixed; for the cells to be used again, setup starts with a ring that is full but for its newest
 * cells, and places only those entries that may be looked at.
 * NOT SEEN  (LIMITS in model.h) Loads that the CPU delays beyond later stores: so nothing here needs the release half of
 *   steal's CAS for D3, nor push's acquire of top.  Stores that pass others: so not even pop's CAS of top need be more than
 *   relaxed, to come after pop's exchange of bottom.
 * EQUIVALENT  has_entries may read an old top: top only grows, so it then sees too much, not too little.  steal's first load
 *   of top needs only acquire: the CAS it reads is seq_cst, and so the load of bottom comes after that. */
#include "model.h"

#include "cfutures/detail/deque.h"

#define ENTRIES 6
#define FIRST (CF__DEQUE_SIZE - 1) /* where a ring that is to wrap starts */

typedef struct work {
    uint32_t value; /* plain: written before the push, read by who gets it */
    uint32_t taken; /* A */
} work;

static cf__deque deque;
static work entries[ENTRIES];
static unsigned pushed;   /* entries that the deque had so far */
static uint32_t sleeping; /* A: a looker's own word */
static bool seen, told;   /* what the looker and the pusher saw */

static void
start(int64_t first)
{
    memset(&deque, 0, sizeof deque);
    memset(entries, 0, sizeof entries);
    cf__deque_init(&deque);
    deque.top = deque.bottom = first;
    pushed = 0;
    sleeping = 0;
    seen = told = false;
}
static bool
push(void)
{
    work *entry = &entries[pushed];
    model_check(pushed < ENTRIES);
    entry->value = 100;
    if (!cf__deque_push(&deque, entry))
        return false;
    pushed++;
    return true;
}
static void
setup_entries(unsigned count)
{
    start(FIRST);
    while (count-- > 0)
        model_check(push());
}
static void
setup_0(void)
{
    setup_entries(0);
}
static void
setup_1(void)
{
    setup_entries(1);
}
static void
setup_2(void)
{
    setup_entries(2);
}
static void
setup_3(void)
{
    setup_entries(3);
}
/* As initialized, not in the middle. */
static void
setup_fresh(void)
{
    start(FIRST);
    cf__deque_init(&deque);
}
/* All cells in use: the oldest by entries 0 to 2, the rest aren't looked at. */
static void
setup_full(void)
{
    setup_entries(3);
    deque.bottom = FIRST + CF__DEQUE_SIZE;
}

/* Counts what was taken, if anything: once, and with all that was written before its push. */
static bool
take(void *taken)
{
    work *entry = taken;
    if (entry == NULL)
        return false;
    model_check(entry >= entries && entry < entries + ENTRIES && entry->value == 100);
    entry->value = 101;
    model_check(cf__fetch_add_relaxed(&entry->taken, 1u) == 0);
    return true;
}

/* ---- threads ---- */

static void
steal(void *arg)
{
    (void)arg;
    (void)take(cf__deque_steal(&deque));
}
static void
steal_twice(void *arg)
{
    (void)arg;
    (void)take(cf__deque_steal(&deque));
    (void)take(cf__deque_steal(&deque));
}
static void
steal_if_any(void *arg)
{
    (void)arg;
    if (cf__deque_has_entries(&deque))
        (void)take(cf__deque_steal(&deque));
}
static void
pop(void *arg)
{
    (void)arg;
    (void)take(cf__deque_pop(&deque));
}
static void
pop_twice(void *arg)
{
    (void)arg;
    (void)take(cf__deque_pop(&deque));
    (void)take(cf__deque_pop(&deque));
}
/* Once empty, empty: only the owner pushes. */
static void
pop_all(void *arg)
{
    (void)arg;
    while (take(cf__deque_pop(&deque)))
        ;
    model_check(cf__deque_pop(&deque) == NULL && cf__deque_peek(&deque) == NULL && !cf__deque_has_entries(&deque));
}
static void
push_two(void *arg)
{
    (void)arg;
    model_check(push() && push());
}
static void
push_two_in_one_go(void *arg)
{
    void *both[2];
    (void)arg;
    for (int i = 0; i < 2; i++) {
        entries[pushed].value = 100;
        both[i] = &entries[pushed++];
    }
    cf__deque_push_many(&deque, both, 2);
}
static void
push_and_pop(void *arg) /* what comes back is the newest, if it wasn't stolen */
{
    (void)arg;
    model_check(push());
    const void *newest = &entries[pushed - 1], *seen_there = cf__deque_peek(&deque);
    model_check(seen_there == newest || seen_there == NULL);
    void *popped = cf__deque_pop(&deque);
    model_check(popped == newest || popped == NULL);
    model_check(popped == NULL || seen_there != NULL);
    (void)take(popped);
}
static void
push_and_pop_twice(void *arg)
{
    push_and_pop(arg);
    push_and_pop(arg);
}
static void
pop_and_push(void *arg)
{
    pop(arg);
    model_check(push());
    pop(arg);
}
static void
push_two_pop_two_push(void *arg)
{
    push_two(arg);
    pop_twice(arg);
    model_check(push());
}
static void
push_if_room(void *arg)
{
    (void)arg;
    (void)push();
    (void)push();
}
static void
look_before_sleep(void *arg) /* scheduler.h [K1] */
{
    (void)arg;
    (void)cf__exchange_seq_cst(&sleeping, 1u);
    seen = cf__deque_has_entries(&deque);
}
static void
push_and_look(void *arg)
{
    (void)arg;
    model_check(push());
    told = cf__load_seq_cst(&sleeping) != 0;
}
static void
pop_and_push_and_look(void *arg)
{
    pop(arg);
    push_and_look(arg);
}

/* ---- ends ---- */

/* The rest comes out, each entry once, and nothing after it. */
static void
check(void)
{
    while (take(cf__deque_steal(&deque)))
        ;
    for (unsigned i = 0; i < pushed; i++)
        model_check(entries[i].taken == 1);
    model_check(cf__deque_pop(&deque) == NULL && cf__deque_steal(&deque) == NULL);
    model_check(!cf__deque_has_entries(&deque) && cf__deque_peek(&deque) == NULL);
    model_check(deque.top == deque.bottom);
}
/* As many pushes as steals before them; the newest come out first, then the oldest. */
static void
check_full(void)
{
    unsigned oldest = 0, newer = pushed;
    for (unsigned i = 0; i < 3; i++)
        oldest += entries[i].taken;
    model_check(pushed - 3 <= oldest);
    model_check(deque.top == FIRST + oldest && deque.bottom == FIRST + CF__DEQUE_SIZE + pushed - 3);
    for (; newer > 3; newer--) {
        const void *popped = cf__deque_pop(&deque);
        model_check(popped == &entries[newer - 1]);
    }
    for (; oldest < 3; oldest++)
        model_check(take(cf__deque_steal(&deque)));
    for (unsigned i = 0; i < 3; i++)
        model_check(entries[i].taken == 1);
}
/* What was pushed is stolen, seen by the looker, or the pusher knows of the looker. */
static void
check_wake(void)
{
    model_check(seen || told || entries[pushed - 1].taken == 1);
}

static const model_scenario scenarios[] = {
    {.name = "deque_last_entry",
     .setup = setup_1,
     .threads = {{"owner", pop, NULL}, {"thief", steal, NULL}, {"thief2", steal, NULL}},
     .check = check,
     .preemptions = 3,
     .stale_reads = 2},
    {.name = "deque_last_entry_deep",
     .setup = setup_1,
     .threads = {{"owner", pop, NULL}, {"thief", steal, NULL}},
     .check = check,
     .preemptions = 5,
     .stale_reads = 3},
    {.name = "deque_two_entries",
     .setup = setup_2,
     .threads = {{"owner", pop_all, NULL}, {"thief", steal, NULL}, {"thief2", steal, NULL}},
     .check = check},
    {.name = "deque_two_entries_deep",
     .setup = setup_2,
     .threads = {{"owner", pop_all, NULL}, {"thief", steal, NULL}, {"thief2", steal, NULL}},
     .check = check,
     .preemptions = 3,
     .stale_reads = 2},
    {.name = "deque_two_entries_one_thief",
     .setup = setup_2,
     .threads = {{"owner", pop_twice, NULL}, {"thief", steal_twice, NULL}},
     .check = check,
     .preemptions = 4,
     .stale_reads = 2},
    {.name = "deque_three_entries",
     .setup = setup_3,
     .threads = {{"owner", pop_twice, NULL}, {"thief", steal_twice, NULL}, {"thief2", steal, NULL}},
     .check = check,
     .preemptions = 3},
    {.name = "deque_pop_and_push", /* the last cell's index is used again */
     .setup = setup_2,
     .threads = {{"owner", pop_and_push, NULL}, {"thief", steal_twice, NULL}, {"thief2", steal, NULL}},
     .check = check,
     .preemptions = 3},
    {.name = "deque_push_and_steal",
     .setup = setup_0,
     .threads = {{"owner", push_two, NULL}, {"thief", steal, NULL}, {"thief2", steal, NULL}},
     .check = check,
     .preemptions = 3,
     .stale_reads = 2},
    {.name = "deque_push_many_and_steal",
     .setup = setup_0,
     .threads = {{"owner", push_two_in_one_go, NULL}, {"thief", steal, NULL}, {"thief2", steal, NULL}},
     .check = check,
     .preemptions = 3,
     .stale_reads = 2},
    {.name = "deque_push_and_pop",
     .setup = setup_0,
     .threads = {{"owner", push_and_pop_twice, NULL}, {"thief", steal, NULL}, {"thief2", steal_if_any, NULL}},
     .check = check,
     .preemptions = 3},
    {.name = "deque_from_its_start",
     .setup = setup_fresh,
     .threads = {{"owner", pop_and_push, NULL}, {"thief", steal, NULL}},
     .check = check,
     .preemptions = 3,
     .stale_reads = 2},
    {.name = "deque_push_two_pop_two_push",
     .setup = setup_0,
     .threads = {{"owner", push_two_pop_two_push, NULL}, {"thief", steal, NULL}, {"thief2", steal, NULL}},
     .check = check,
     .preemptions = 3},
    {.name = "deque_full",
     .setup = setup_full,
     .threads = {{"owner", push_if_room, NULL}, {"thief", steal, NULL}, {"thief2", steal_twice, NULL}},
     .check = check_full,
     .preemptions = 3,
     .stale_reads = 2},
    {.name = "deque_full_one_thief",
     .setup = setup_full,
     .threads = {{"owner", push_if_room, NULL}, {"thief", steal_twice, NULL}},
     .check = check_full,
     .preemptions = 4,
     .stale_reads = 2},
    {.name = "deque_push_and_sleeper",
     .setup = setup_0,
     .threads = {{"owner", push_and_look, NULL}, {"looker", look_before_sleep, NULL}},
     .check = check_wake,
     .preemptions = 4,
     .stale_reads = 2},
    {.name = "deque_pop_push_and_sleeper",
     .setup = setup_1,
     .threads = {{"owner", pop_and_push_and_look, NULL}, {"looker", look_before_sleep, NULL}, {"thief", steal, NULL}},
     .check = check_wake,
     .preemptions = 3,
     .stale_reads = 2},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
