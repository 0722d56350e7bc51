/* tests/fault/test_process_scribble.c - a worker that writes over one word of the shared memory spoils results, or breaks the
 * pool with a reason; the parent neither crashes nor hangs.
 * SPDX-License-Identifier: MIT
 * A task stands in a gate, the test itself writes over the word as a worker might, and whoever sleeps in the parent has to find
 * it.  Whole rounds at random: test_process_scribble_random.c. */
#include "scribble.h"

static bool
is_alive(int32_t process)
{
    return kill(process, 0) == 0;
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

/* A task that runs, and stands in the gate. */
static cf_future *
submit_standing(cf_executor *pool)
{
    close_gate();
    cf_future *future = cf_submit(pool, stand);
    wait_inside(1);
    return future;
}

/* Nobody is left. */
static void
end_pool(cf_executor *pool)
{
    cf_executor_close(pool);
    wait_until(living_processes() == 0);
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
    cf_future *future = submit_standing(pool);
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
    cf_future *future = submit_standing(pool);
    uint64_t word = __atomic_load_n(&slot_of(future)->word, __ATOMIC_SEQ_CST);
    assert_int_equal(cf__slot_owner(word), 1);
    __atomic_store_n(&second->intent, 1 + ((const cf__process_future *)future)->index, __ATOMIC_SEQ_CST);
    store_word(slot_of(future), cf__slot_word(cf__slot_generation(word), 2, CF__SLOT_RUNNING));
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_CORRUPT);
    cf_future_release(future);
    open_gate();
    end_pool(pool);
}

/* Nor is a record believed of a worker that there isn't. */
static void
test_scribbled_record_of_nobody(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 2);
    const cf__arena_view *view = &inside(pool)->setup.view;
    cf_future *future = submit_standing(pool);
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
    end_pool(pool);
}

/* A worker whose task was taken from it, because its word said "done" too early, ends and is replaced. */
static void
test_scribbled_done_costs_no_worker(void **state)
{
    (void)state;
    cf_executor *pool = cf_process_pool(.max_workers = 1);
    for (unsigned i = 0; i < 3; i++) {
        cf_future *future = submit_standing(pool);
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
    end_pool(pool);
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
    end_pool(pool);
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
        cf_future *future = submit_standing(pool);
        __atomic_store_n(&inside(pool)->setup.view.arena->life, lives[i], __ATOMIC_SEQ_CST);
        assert_int_equal(cf_future_wait(future, cf_after_ms(50)), CF_ERR_TIMEOUT);
        open_gate();
        assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_OK);
        cf_future_release(future);
        assert_int_equal(cf_executor_error(pool), CF_OK);
    }
    /* And then it does die. */
    cf_future *future = submit_standing(pool);
    assert_int_equal(kill(inside(pool)->template_process, SIGKILL), 0);
    assert_int_equal(cf_future_wait(future, CF_FOREVER), CF_ERR_BROKEN);
    cf_future_release(future);
    end_pool(pool);
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
    end_pool(pool);
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
    end_pool(pool);
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
    cf_future *future = submit_standing(pool);
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

int
main(void)
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
    };
    return scribble_start() ? cmocka_run_group_tests(tests, NULL, NULL) : 99;
}
