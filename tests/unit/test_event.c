/* tests/unit/test_event.c - detail/event.h and detail/park.h
 * SPDX-License-Identifier: MIT */
#include "unit.h"

#include <cfutures/detail/event.h>

/* ---- a place where threads wait for data under a mutex ---- */

enum { most = 4 };

typedef struct place { /* fields: M under mutex */
    cf__mutex mutex;
    cf__event event;
    unsigned tokens;      /* M: what is waited for */
    unsigned order[most]; /* M: who got one, in order */
    unsigned got;         /* M */
    unsigned wakes;       /* M: how often a wait returned true */
    unsigned returns;     /* M: how often one returned */
} place;

typedef struct waiter {
    place *at;
    unsigned number;
} waiter;

static void
place_make(place *p)
{
    memset(p, 0, sizeof *p);
    cf__mutex_init(&p->mutex);
    cf__event_init(&p->event);
}

static void *
waits_for_token(void *argument)
{
    const waiter *w = argument;
    place *p = w->at;
    cf__mutex_lock(&p->mutex);
    while (p->tokens == 0) {
        p->wakes += cf__event_wait(&p->event, &p->mutex, CF_FOREVER);
        p->returns++;
    }
    p->tokens--;
    p->order[p->got++] = w->number;
    cf__mutex_unlock(&p->mutex);
    return NULL;
}

static unsigned
got(place *p)
{
    cf__mutex_lock(&p->mutex);
    unsigned n = p->got;
    cf__mutex_unlock(&p->mutex);
    return n;
}

/* First come, first woken; and each take wakes the one it took. */
static void
test_event_wakes_in_order(void **state)
{
    (void)state;
    place p;
    waiter waiters[most];
    pthread_t threads[most];
    place_make(&p);
    for (unsigned i = 0; i < most; i++) {
        waiters[i] = (waiter){&p, i};
        threads[i] = start_thread(waits_for_token, &waiters[i]);
        wait_until(sleepers(&p.mutex, &p.event) == i + 1);
    }
    for (unsigned i = 0; i < most; i++) {
        cf__mutex_lock(&p.mutex);
        p.tokens++;
        cf__sleeper *first = cf__event_take(&p.event);
        cf__mutex_unlock(&p.mutex);
        assert_non_null(first);
        cf__sleeper_wake(first);
        wait_until(got(&p) == i + 1);
        assert_int_equal(sleepers(&p.mutex, &p.event), most - i - 1);
    }
    for (unsigned i = 0; i < most; i++) {
        join_thread(threads[i]);
        assert_int_equal(p.order[i], i);
    }
    assert_int_equal(p.wakes, most);
    cf__mutex_destroy(&p.mutex);
}

/* Whoever is taken is off the line at once, before it runs: the next take gets the next one. */
static void
test_event_take_is_off_the_line(void **state)
{
    (void)state;
    place p;
    waiter waiters[2];
    pthread_t threads[2];
    place_make(&p);
    for (unsigned i = 0; i < 2; i++) {
        waiters[i] = (waiter){&p, i};
        threads[i] = start_thread(waits_for_token, &waiters[i]);
        wait_until(sleepers(&p.mutex, &p.event) == i + 1);
    }
    cf__mutex_lock(&p.mutex);
    cf__sleeper *first = cf__event_take(&p.event), *second = cf__event_take(&p.event);
    cf__sleeper *third = cf__event_take(&p.event);
    p.tokens = 2;
    cf__mutex_unlock(&p.mutex);
    assert_non_null(first);
    assert_non_null(second);
    assert_ptr_not_equal(first, second);
    assert_null(third);
    cf__sleeper_wake(first);
    cf__sleeper_wake(second);
    cf__sleeper_wake(NULL);
    for (unsigned i = 0; i < 2; i++)
        join_thread(threads[i]);
    assert_int_equal(p.wakes, 2);
    cf__mutex_destroy(&p.mutex);
}

/* Waking all leaves nobody asleep, and does nothing where nobody is. */
static void
test_event_wake_all_wakes_all(void **state)
{
    (void)state;
    place p;
    waiter waiters[most];
    pthread_t threads[most];
    place_make(&p);
    cf__event_wake_all(&p.event);
    for (unsigned i = 0; i < most; i++) {
        waiters[i] = (waiter){&p, i};
        threads[i] = start_thread(waits_for_token, &waiters[i]);
    }
    wait_until(sleepers(&p.mutex, &p.event) == most);
    cf__mutex_lock(&p.mutex);
    p.tokens = most;
    cf__event_wake_all(&p.event);
    cf__mutex_unlock(&p.mutex);
    for (unsigned i = 0; i < most; i++)
        join_thread(threads[i]);
    assert_null(p.event.first);
    assert_null(p.event.last);
    assert_int_equal(p.wakes, most);
    cf__mutex_destroy(&p.mutex);
}

/* A wait until now or until a past time isn't one, and leaves nothing on the line. */
static void
test_event_past_deadline_returns_false(void **state)
{
    (void)state;
    place p;
    place_make(&p);
    cf__mutex_lock(&p.mutex);
    assert_false(cf__event_wait(&p.event, &p.mutex, CF_NOW));
    assert_false(cf__event_wait(&p.event, &p.mutex, CF_NOW + 1));
    assert_false(cf__event_wait(&p.event, &p.mutex, -1));
    assert_null(p.event.first);
    assert_null(p.event.last);
    cf__mutex_unlock(&p.mutex);
    cf__mutex_destroy(&p.mutex);
}

static void *
waits_in_vain(void *argument)
{
    place *p = argument;
    cf__mutex_lock(&p->mutex);
    while (p->tokens == 0 && !cf__event_wait(&p->event, &p->mutex, CF_NOW + 1))
        continue;
    p->got++;
    cf__mutex_unlock(&p->mutex);
    return NULL;
}

/* A sleeper that is taken when its deadline has passed already counts as woken, so no wake is lost. */
static void
test_event_take_beats_deadline(void **state)
{
    (void)state;
    place p;
    place_make(&p);
    pthread_t thread = start_thread(waits_in_vain, &p);
    cf__sleeper *taken = NULL;
    /* It is on the line only between two locks, again and again; sooner or later we come in between. */
    while (taken == NULL) {
        cf__mutex_lock(&p.mutex);
        taken = cf__event_take(&p.event);
        cf__mutex_unlock(&p.mutex);
    }
    cf__sleeper_wake(taken); /* maybe of one that is gone */
    join_thread(thread);     /* ends only because its wait returned true */
    assert_int_equal(p.got, 1);
    cf__mutex_destroy(&p.mutex);
}

/* A wait in time for nothing ends at a deadline that is still to come. */
static void
test_event_future_deadline_ends_wait(void **state)
{
    (void)state;
    place p;
    place_make(&p);
    cf__mutex_lock(&p.mutex);
    int64_t deadline = cf_after_ms(1); /* nobody wakes it, so how soon it ends doesn't matter */
    assert_false(cf__event_wait(&p.event, &p.mutex, deadline));
    assert_true(cf__os_now() >= deadline);
    cf__mutex_unlock(&p.mutex);
    assert_null(p.event.first);
    cf__mutex_destroy(&p.mutex);
}

/* A wake that wasn't meant for it doesn't end a sleep. */
static void
test_event_stray_wake_changes_nothing(void **state)
{
    (void)state;
    place p;
    waiter w = {&p, 0};
    place_make(&p);
    pthread_t thread = start_thread(waits_for_token, &w);
    wait_until(sleepers(&p.mutex, &p.event) == 1);
    cf__mutex_lock(&p.mutex);
    cf__bell *bell = &p.event.first->bell;
    cf__mutex_unlock(&p.mutex);
#if CF__FUTEX
    wait_until(cf__unpark_one(&bell->marked, CF__SCOPE_PRIVATE) == 1);
    wait_until(cf__unpark_one(&bell->marked, CF__SCOPE_PRIVATE) == 1); /* so it slept again */
#else
    cf__mutex_lock(&bell->mutex); /* so it sleeps */
    cf__cond_signal(&bell->cond);
    cf__mutex_unlock(&bell->mutex);
#endif
    cf__mutex_lock(&p.mutex);
    p.tokens = 1;
    cf__sleeper *taken = cf__event_take(&p.event);
    cf__mutex_unlock(&p.mutex);
    cf__sleeper_wake(taken);
    join_thread(thread);
    assert_int_equal(p.wakes, 1);
    assert_int_equal(p.returns, 1);
    cf__mutex_destroy(&p.mutex);
}

/* Whoever leaves, from the start, the middle or the end, the others stay on the line in order. */
static void
test_event_line_survives_leaving(void **state)
{
    (void)state;
    for (unsigned gone = 0; gone < 3; gone++) {
        cf__event event;
        cf__sleeper line[3];
        cf__event_init(&event);
        memset(line, 0, sizeof line);
        for (unsigned i = 0; i < 3; i++) {
            line[i].previous = i > 0 ? &line[i - 1] : NULL;
            line[i].next = i < 2 ? &line[i + 1] : NULL;
        }
        event.first = &line[0];
        event.last = &line[2];
        cf__event_unlink(&event, &line[gone]);
        cf__sleeper *a = &line[gone == 0 ? 1 : 0], *b = &line[gone == 2 ? 1 : 2];
        assert_ptr_equal(event.last, b);
        assert_null(a->previous);
        assert_null(b->next);
        assert_ptr_equal(b->previous, a);
        assert_ptr_equal(cf__event_take(&event), a);
        assert_int_equal(a->bell.marked, 1);
        assert_int_equal(b->bell.marked, 0);
        assert_ptr_equal(cf__event_take(&event), b);
        assert_null(cf__event_take(&event));
        assert_null(event.last);
    }
}

#if CF__FUTEX

/* ---- park.h ---- */

/* Parking ends at once when the word has changed, and at the deadline when it hasn't. */
static void
test_park_ends(void **state)
{
    (void)state;
    uint32_t word = 5;
    assert_true(cf__park(&word, 4, CF_FOREVER, CF__SCOPE_PRIVATE));
    assert_false(cf__park(&word, 5, CF_NOW, CF__SCOPE_PRIVATE));
    assert_false(cf__park(&word, 5, 1, CF__SCOPE_SHARED));
    assert_false(cf__park(&word, 5, cf_after_ms(1), CF__SCOPE_PRIVATE));
}

static void *
parks(void *argument)
{
    uint32_t *word = argument;
    while (cf__load_acquire(word) == 0)
        (void)cf__park(word, 0, CF_FOREVER, CF__SCOPE_PRIVATE);
    return NULL;
}

/* Unparking says how many it woke: one at most, or all. */
static void
test_park_unpark_counts(void **state)
{
    (void)state;
    uint32_t word = 0;
    pthread_t threads[3];
    assert_int_equal(cf__unpark_one(&word, CF__SCOPE_PRIVATE), 0);
    assert_int_equal(cf__unpark_all(&word, CF__SCOPE_PRIVATE), 0);
    for (int i = 0; i < 3; i++)
        threads[i] = start_thread(parks, &word);
    int woken = 0;
    wait_until((woken = cf__unpark_one(&word, CF__SCOPE_PRIVATE)) != 0);
    assert_int_equal(woken, 1);
    wait_until(cf__unpark_all(&word, CF__SCOPE_PRIVATE) == 3); /* they go to sleep again meanwhile */
    cf__store_release(&word, 1u);
    (void)cf__unpark_all(&word, CF__SCOPE_PRIVATE);
    for (int i = 0; i < 3; i++)
        join_thread(threads[i]);
}

#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event_wakes_in_order),
        cmocka_unit_test(test_event_take_is_off_the_line),
        cmocka_unit_test(test_event_wake_all_wakes_all),
        cmocka_unit_test(test_event_past_deadline_returns_false),
        cmocka_unit_test(test_event_take_beats_deadline),
        cmocka_unit_test(test_event_future_deadline_ends_wait),
        cmocka_unit_test(test_event_stray_wake_changes_nothing),
        cmocka_unit_test(test_event_line_survives_leaving),
#if CF__FUTEX
        cmocka_unit_test(test_park_ends),
        cmocka_unit_test(test_park_unpark_counts),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
