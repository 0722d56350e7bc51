/* tests/model/test_litmus.c - the kernel's futex, asked what the model says of it.
 * SPDX-License-Identifier: MIT
 * A program with real threads and the real detail/os.h.  Each test states a rule that model__futex_wait() and
 * model__futex_wake() of model_system.h follow, and that the proofs made with them rest on. */
#include "cfutures/deadline.h"
#include "cfutures/detail/atomic.h"
#include "cfutures/detail/park.h"

#include <stdio.h>

static unsigned passed, failed;

static void
expect(bool holds, const char *rule)
{
    printf("%s %s\n", holds ? "ok  " : "FAIL", rule);
    *(holds ? &passed : &failed) += 1;
}

typedef struct sleeper {
    cf__thread thread;
    uint32_t *word;
    cf__scope scope;
    cf_time deadline;
    bool in_time;
    uint32_t left; /* A */
} sleeper;

static void *
sleep_once(void *argument)
{
    sleeper *self = argument;
    self->in_time = cf__os_futex_wait(self->word, 0, self->deadline, self->scope);
    cf__store_release(&self->left, 1u);
    return NULL;
}

static void
start(sleeper *s, uint32_t *word, cf__scope scope, cf_time deadline)
{
    s->word = word;
    s->scope = scope;
    s->deadline = deadline;
    s->left = 0;
    if (cf__os_thread_start(&s->thread, sleep_once, s, 0) != 0)
        exit(2);
}

/* Wakes `count`, again and again until as many as `want` were there to be woken; they may not sleep yet. */
static int
wake(uint32_t *word, int count, cf__scope scope, int want)
{
    int woken = 0;
    for (int i = 0; woken < want && i < 5000; i++) {
        woken += cf__os_futex_wake(word, CF__MIN(count, want - woken), scope);
        if (woken < want)
            (void)cf__os_futex_wait(&(uint32_t){0}, 0, cf_after_ms(1), CF__SCOPE_PRIVATE);
    }
    return woken;
}

static void
pause_ms(int milliseconds)
{
    const uint32_t zero = 0;
    cf_time end = cf_after_ms(milliseconds);
    while (cf__os_futex_wait(&zero, 0, end, CF__SCOPE_PRIVATE))
        ;
}

int
main(void)
{
    uint32_t word = 1, other = 0;
    sleeper a, b, c;

    expect(cf__os_futex_wait(&word, 0, CF_FOREVER, CF__SCOPE_PRIVATE),
           "a word that differs: no sleep, and not a time-out");
    word = 0;
    expect(cf__os_futex_wake(&word, 1, CF__SCOPE_PRIVATE) == 0, "a wake without sleepers wakes 0, and isn't kept");
    cf_time deadline = cf_after_ms(20);
    bool in_time = cf__os_futex_wait(&word, 0, deadline, CF__SCOPE_PRIVATE);
    expect(!in_time && cf_passed(deadline), "a deadline ends the sleep, not before its time");
    expect(!cf__os_futex_wait(&word, 0, cf_after_ms(-20), CF__SCOPE_PRIVATE),
           "a deadline in the past is a time-out at once");

    start(&a, &word, CF__SCOPE_PRIVATE, CF_FOREVER);
    expect(wake(&word, 1, CF__SCOPE_PRIVATE, 1) == 1, "a wake counts the one it woke");
    cf__os_thread_join(&a.thread);
    expect(a.in_time, "who was woken wasn't late");

    start(&a, &word, CF__SCOPE_PRIVATE, CF_FOREVER);
    start(&b, &word, CF__SCOPE_PRIVATE, CF_FOREVER);
    pause_ms(50);
    expect(wake(&word, 1, CF__SCOPE_PRIVATE, 1) == 1, "a wake of one wakes one of two");
    pause_ms(50);
    expect(cf__load_acquire(&a.left) + cf__load_acquire(&b.left) == 1, "the other sleeps on");
    expect(wake(&word, INT_MAX, CF__SCOPE_PRIVATE, 1) == 1, "a wake of all wakes who is left");
    cf__os_thread_join(&a.thread);
    cf__os_thread_join(&b.thread);

    start(&a, &word, CF__SCOPE_SHARED, CF_FOREVER);
    start(&b, &word, CF__SCOPE_PRIVATE, CF_FOREVER);
    start(&c, &other, CF__SCOPE_PRIVATE, CF_FOREVER);
    pause_ms(50);
    expect(wake(&word, INT_MAX, CF__SCOPE_SHARED, 1) == 1, "a shared wake wakes the shared sleeper");
    pause_ms(50);
    expect(cf__load_acquire(&a.left) && !cf__load_acquire(&b.left), "and not the private one");
    expect(cf__os_futex_wake(&word, INT_MAX, CF__SCOPE_SHARED) == 0, "a shared wake doesn't see private sleepers");
    expect(wake(&word, INT_MAX, CF__SCOPE_PRIVATE, 1) == 1, "a private one does");
    expect(!cf__load_acquire(&c.left), "a sleeper on another word sleeps on");
    expect(wake(&other, INT_MAX, CF__SCOPE_PRIVATE, 1) == 1, "until its own is woken");
    cf__os_thread_join(&a.thread);
    cf__os_thread_join(&b.thread);
    cf__os_thread_join(&c.thread);

    bool supported = true;
    in_time = cf__os_futex_wait_two(&word, 0, &other, 1, CF_FOREVER, &supported);
    expect(!supported || in_time, "two words, one differs: no sleep");
    deadline = cf_after_ms(20);
    in_time = cf__os_futex_wait_two(&word, 0, &other, 0, deadline, &supported);
    expect(!supported || (!in_time && cf_passed(deadline)), "two words: the deadline ends the sleep");

    printf("%u passed, %u failed\n", passed, failed);
    return failed != 0;
}
