/* tests/unit/test_deque.c - detail/deque.h
 * SPDX-License-Identifier: MIT */
#include "unit.h"

#include <cfutures/detail/deque.h>

enum { size = CF__DEQUE_SIZE };

static char entries[4 * size]; /* only their addresses count */

static void *
entry(int i)
{
    return &entries[i % (int)sizeof entries];
}

static void
assert_empty(cf__deque *deque)
{
    assert_false(cf__deque_has_entries(deque));
    assert_null(cf__deque_peek(deque));
    assert_null(cf__deque_steal(deque));
    assert_null(cf__deque_pop(deque));
    assert_null(cf__deque_pop(deque)); /* twice: it leaves nothing behind */
    assert_false(cf__deque_has_entries(deque));
}

/* A new one is empty, and stays so when it is asked. */
static void
test_deque_new_is_empty(void **state)
{
    (void)state;
    cf__deque deque;
    cf__deque_init(&deque);
    assert_empty(&deque);
    assert_true(cf__deque_push(&deque, entry(0)));
    assert_true(cf__deque_has_entries(&deque));
    assert_ptr_equal(cf__deque_pop(&deque), entry(0));
    assert_empty(&deque);
}

/* The owner gets the newest first. */
static void
test_deque_pop_is_newest_first(void **state)
{
    (void)state;
    cf__deque deque;
    cf__deque_init(&deque);
    for (int i = 0; i < 5; i++)
        assert_true(cf__deque_push(&deque, entry(i)));
    for (int i = 4; i >= 0; i--)
        assert_ptr_equal(cf__deque_pop(&deque), entry(i));
    assert_empty(&deque);
}

/* A thief gets the oldest first. */
static void
test_deque_steal_is_oldest_first(void **state)
{
    (void)state;
    cf__deque deque;
    cf__deque_init(&deque);
    for (int i = 0; i < 5; i++)
        assert_true(cf__deque_push(&deque, entry(i)));
    for (int i = 0; i < 5; i++) {
        assert_true(cf__deque_has_entries(&deque));
        assert_ptr_equal(cf__deque_steal(&deque), entry(i));
    }
    assert_empty(&deque);
}

/* A look leaves the newest where it is. */
static void
test_deque_peek_takes_nothing(void **state)
{
    (void)state;
    cf__deque deque;
    cf__deque_init(&deque);
    for (int i = 0; i < 3; i++) {
        assert_true(cf__deque_push(&deque, entry(i)));
        assert_ptr_equal(cf__deque_peek(&deque), entry(i));
        assert_ptr_equal(cf__deque_peek(&deque), entry(i));
    }
    assert_ptr_equal(cf__deque_steal(&deque), entry(0));
    assert_ptr_equal(cf__deque_pop(&deque), entry(2));
    assert_ptr_equal(cf__deque_peek(&deque), entry(1));
    assert_ptr_equal(cf__deque_pop(&deque), entry(1));
    assert_empty(&deque);
}

/* It holds CF__DEQUE_SIZE entries exactly; a push into a full one changes nothing; each that leaves makes room for one. */
static void
test_deque_full_refuses_push(void **state)
{
    (void)state;
    cf__deque deque;
    cf__deque_init(&deque);
    for (int i = 0; i < size; i++)
        assert_true(cf__deque_push(&deque, entry(i)));
    assert_false(cf__deque_push(&deque, entry(size)));
    assert_false(cf__deque_push(&deque, entry(size)));
    assert_ptr_equal(cf__deque_peek(&deque), entry(size - 1));

    assert_ptr_equal(cf__deque_steal(&deque), entry(0));
    assert_true(cf__deque_push(&deque, entry(size)));
    assert_false(cf__deque_push(&deque, entry(size + 1)));
    assert_ptr_equal(cf__deque_pop(&deque), entry(size));
    assert_true(cf__deque_push(&deque, entry(size + 1)));
    assert_false(cf__deque_push(&deque, entry(size + 2)));

    for (int i = 1; i < size; i++)
        assert_ptr_equal(cf__deque_steal(&deque), entry(i));
    assert_ptr_equal(cf__deque_steal(&deque), entry(size + 1));
    assert_empty(&deque);
}

/* Round and round the ring, at every distance between top and bottom. */
static void
test_deque_wraps(void **state)
{
    (void)state;
    cf__deque deque;
    cf__deque_init(&deque);
    int pushed = 0, stolen = 0;
    for (int held = 1; held <= size; held++) {
        while (pushed - stolen < held)
            assert_true(cf__deque_push(&deque, entry(pushed++)));
        for (int i = 0; i < size + 1; i++) { /* more than one lap at this distance */
            assert_ptr_equal(cf__deque_steal(&deque), entry(stolen++));
            assert_true(cf__deque_push(&deque, entry(pushed++)));
            assert_ptr_equal(cf__deque_peek(&deque), entry(pushed - 1));
        }
    }
    while (stolen < pushed)
        assert_ptr_equal(cf__deque_steal(&deque), entry(stolen++));
    assert_empty(&deque);
}

/* A random run does what an array with two ends does. */
static void
test_deque_random_run_fits_oracle(void **state)
{
    (void)state;
    cf__deque deque;
    cf__deque_init(&deque);
    static int oracle[300000];
    int first = 0, behind = 0, number = 0;
    uint32_t random = 12345;
    for (int step = 0; step < 300000; step++) {
        random = random * 1664525u + 1013904223u;
        /* Pushes win for some time, then takes, so that it is full and empty many times. */
        uint32_t kind = (random >> 24) % 8, filling = (uint32_t)(step / 2000) % 2;
        if (kind < (filling ? 5u : 2u)) {
            bool room = behind - first < size;
            assert_int_equal(cf__deque_push(&deque, entry(number)), room);
            if (room)
                oracle[behind++] = number;
            number++;
        } else if (kind < 7) {
            void *expected = behind > first ? entry(oracle[--behind]) : NULL;
            assert_ptr_equal(cf__deque_pop(&deque), expected);
        } else {
            void *expected = behind > first ? entry(oracle[first++]) : NULL;
            assert_ptr_equal(cf__deque_steal(&deque), expected);
        }
        assert_int_equal(cf__deque_has_entries(&deque), behind > first);
        assert_ptr_equal(cf__deque_peek(&deque), behind > first ? entry(oracle[behind - 1]) : NULL);
    }
}

/* ---- threads ---- */

enum { works = 200000, thieves = 3 };

typedef struct work { /* fields: A atomic */
    unsigned value;   /* written before the push, changed by whoever gets it: no two may */
    unsigned taken;   /* A */
} work;

typedef struct crowd {
    cf__deque deque;
    work *all;
    unsigned over;           /* A: the owner has pushed all */
    unsigned taken;          /* A */
    unsigned wrong[thieves]; /* each thief's */
} crowd;

static unsigned
take_work(crowd *c, work *taken)
{
    unsigned wrong = taken->value != 7;
    taken->value = 8;
    (void)__atomic_add_fetch(&taken->taken, 1, __ATOMIC_RELAXED);
    count_one(&c->taken);
    return wrong;
}

typedef struct thief {
    crowd *of;
    unsigned number;
} thief;

static void *
steals(void *argument)
{
    const thief *self = argument;
    crowd *c = self->of;
    while (counted(&c->over) == 0 || cf__deque_has_entries(&c->deque)) {
        work *taken = cf__deque_steal(&c->deque);
        if (taken != NULL)
            c->wrong[self->number] += take_work(c, taken);
        else
            (void)sched_yield();
    }
    return NULL;
}

/* `pops` of ten turns are pops, the others pushes; what finds no room is the owner's own. */
static void
run_crowd(unsigned pops)
{
    static crowd c;
    thief all[thieves];
    pthread_t threads[thieves];
    memset(&c, 0, sizeof c);
    cf__deque_init(&c.deque);
    c.all = calloc(works, sizeof *c.all);
    assert_non_null(c.all);
    for (unsigned i = 0; i < thieves; i++) {
        all[i] = (thief){&c, i};
        threads[i] = start_thread(steals, &all[i]);
    }
    unsigned pushed = 0, wrong = 0, random = 99;
    while (pushed < works) {
        random = random * 1664525u + 1013904223u;
        if ((random >> 16) % 10 < pops) {
            work *taken = cf__deque_pop(&c.deque);
            if (taken != NULL)
                wrong += take_work(&c, taken);
        } else {
            work *next = &c.all[pushed++];
            next->value = 7;
            if (!cf__deque_push(&c.deque, next))
                wrong += take_work(&c, next);
        }
    }
    count_one(&c.over);
    for (work *taken; (taken = cf__deque_pop(&c.deque)) != NULL;)
        wrong += take_work(&c, taken);
    wait_until(counted(&c.taken) >= works); /* what is lost hangs here */
    for (unsigned i = 0; i < thieves; i++) {
        join_thread(threads[i]);
        wrong += c.wrong[i];
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(c.taken, works);
    for (unsigned i = 0; i < works; i++)
        assert_int_equal(c.all[i].taken, 1);
    assert_empty(&c.deque);
    free(c.all);
}

/* Owner and thieves over a few entries: mostly the last one. */
static void
test_deque_threads_at_the_last_entry(void **state)
{
    (void)state;
    run_crowd(5);
}

/* Owner and thieves over a full ring: cells are used again at once. */
static void
test_deque_threads_at_a_full_ring(void **state)
{
    (void)state;
    run_crowd(0);
    run_crowd(2);
}

typedef struct duel { /* fields: A atomic */
    cf__deque deque;
    unsigned stolen, over; /* A */
} duel;

static void *
duels(void *argument)
{
    duel *d = argument;
    while (counted(&d->over) == 0)
        if (cf__deque_steal(&d->deque) != NULL)
            count_one(&d->stolen);
    return NULL;
}

/* One entry at a time, for which owner and thieves race: it goes to exactly one of them, and none is left. */
static void
test_deque_single_entry_has_one_taker(void **state)
{
    (void)state;
    static duel d;
    pthread_t threads[2];
    unsigned rounds = 400000, popped = 0;
    memset(&d, 0, sizeof d);
    cf__deque_init(&d.deque);
    for (unsigned i = 0; i < 2; i++)
        threads[i] = start_thread(duels, &d);
    for (unsigned i = 0; i < rounds; i++) {
        assert_true(cf__deque_push(&d.deque, entry((int)i)));
        const void *mine = cf__deque_pop(&d.deque);
        if (mine != NULL) {
            assert_ptr_equal(mine, entry((int)i));
            popped++;
        }
        assert_false(cf__deque_has_entries(&d.deque));
    }
    count_one(&d.over);
    for (unsigned i = 0; i < 2; i++)
        join_thread(threads[i]);
    assert_int_equal(popped + d.stolen, rounds);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_deque_new_is_empty),           cmocka_unit_test(test_deque_pop_is_newest_first),
        cmocka_unit_test(test_deque_steal_is_oldest_first),  cmocka_unit_test(test_deque_peek_takes_nothing),
        cmocka_unit_test(test_deque_full_refuses_push),      cmocka_unit_test(test_deque_wraps),
        cmocka_unit_test(test_deque_random_run_fits_oracle), cmocka_unit_test(test_deque_threads_at_the_last_entry),
        cmocka_unit_test(test_deque_threads_at_a_full_ring), cmocka_unit_test(test_deque_single_entry_has_one_taker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
