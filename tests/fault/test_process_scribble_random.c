/* tests/fault/test_process_scribble_random.c - tasks that write all over the shared memory; the parent neither crashes nor hangs.
 * SPDX-License-Identifier: MIT
 *   --seconds N   without it 500 rounds, with AddressSanitizer 2,500.  They mostly wait: meson runs four of these beside each
 *                 other, each from its own CF_TEST_SEED
 *
 * HOW  Tasks write random bytes, and words that look right but aren't, all over the arena and the heap, while others run, by
 *   tasks and by threads that they leave behind; the parent meanwhile uses everything that a pool has.  Whatever comes of it,
 *   each future settles and each pool closes.
 * BYSTANDERS  A child of the test's that sleeps and one that has died: their process ids are what is written where the arena
 *   has process ids.  At the end the one still sleeps, and the other is still the test's to reap.
 * A TASK THAT NEVER ENDS is none of the parent's business, but could come of it: a spoilt function pointer may lead into a
 *   loop.  So an alarm ends workers whose task takes more than five seconds, and is counted: few may have to.  It's the second
 *   one that does, for a machine that stands still for some seconds brings the first to every worker at once. */
#include "scribble.h"

static unsigned seconds;    /* 0: by counts */
#ifdef __SANITIZE_ADDRESS__ /* where reading beyond one's bounds shows, too */
enum { usual_rounds = 2500 };
#else
enum { usual_rounds = 500 };
#endif

static pid_t bystander, zombie;

typedef struct dice {
    uint64_t state;
} dice;

static uint64_t
throw_dice(dice *d)
{
    d->state ^= d->state << 13;
    d->state ^= d->state >> 7;
    d->state ^= d->state << 17;
    return d->state * UINT64_C(0x2545f4914f6cdd1d);
}

static uint32_t
below(dice *d, uint32_t n)
{
    return (uint32_t)((throw_dice(d) >> 32) % n);
}

/* A number that might stand there: small, near `now`, or at an end. */
static uint64_t
plausible(dice *d, uint64_t now)
{
    switch (below(d, 6)) {
    case 0:
        return below(d, 8);
    case 1:
        return now + below(d, 5) - 2;
    case 2:
        return UINT64_C(1) << below(d, 64);
    case 3:
        return UINT64_MAX - below(d, 3);
    case 4:
        return throw_dice(d);
    default:
        return 0;
    }
}

/* The index of a worker's record, mostly of one that there is. */
static uint32_t
plausible_number(dice *d, const cf__arena_view *view)
{
    return below(d, below(d, 8) ? 4 : view->worker_count);
}

static int32_t
plausible_process(dice *d, const cf__arena_view *view)
{
    switch (below(d, 5)) {
    case 0:
        return bystander;
    case 1:
        return zombie;
    case 2:
        return view->workers[plausible_number(d, view)].process;
    case 3:
        return view->arena->template_process;
    default:
        return (int32_t)throw_dice(d);
    }
}

static uint64_t
plausible_word(dice *d, const cf__arena_view *view, uint64_t now)
{
    uint64_t generation = below(d, 3) ? cf__slot_generation(now) : cf__slot_generation(now) + below(d, 5) - 2;
    uint64_t flags = (UINT64_C(1) << below(d, 9)) & ~CF__SLOT_STATE;
    return cf__slot_word(generation & CF__SLOT_GENERATIONS, plausible_number(d, view) + below(d, 2), below(d, 8)) |
           (below(d, 2) ? CF__SLOT_WAIT : 0) | (below(d, 2) ? CF__SLOT_CARE : 0) | flags;
}

/* One stroke over one of the words that the protocol is made of. */
static void
scribble_word(dice *d, const cf__arena_view *view)
{
    cf__arena *arena = view->arena;
    cf__worker_record *worker = &view->workers[plausible_number(d, view)];
    uint32_t index = below(d, view->slot_count);
    cf__slot *slot = &view->slots[index];
    uint64_t value = plausible(d, index + 1);
    switch (below(d, 36)) {
    case 0:
        arena->idle[below(d, CF__IDLE_WORDS)] = value;
        break;
    case 1:
        arena->waking = (uint32_t)value;
        break;
    case 2:
        arena->pressure = (uint32_t)value;
        break;
    case 3:
        arena->collector = (uint32_t)value;
        break;
    case 4:
        arena->parent_cpu = (uint32_t)value;
        break;
    case 5:
        arena->life = below(d, 2) ? (uint32_t)value : CF__LIFE_DIED | CF__LIFE_WAITERS;
        break;
    case 6:
        arena->ready = (uint32_t)value;
        break;
    case 7:
        arena->template_process = plausible_process(d, view);
        break;
    case 8:
        arena->template_error = (int32_t)value;
        break;
    case 9:
        memset(arena->broken, (int)value, sizeof arena->broken);
        break;
    case 10:
        worker->intent = (uint32_t)value;
        break;
    case 11:
        worker->intent = 1 + below(d, view->slot_count);
        break;
    case 12:
        worker->park = (uint32_t)value;
        break;
    case 13:
        worker->started = (uint32_t)value;
        break;
    case 14:
        worker->process = plausible_process(d, view);
        break;
    case 15:
        worker->condemned = plausible_process(d, view);
        break;
    case 16:
        worker->cpu = (uint32_t)value;
        break;
    case 17:
        arena->parent_ring.head = plausible(d, arena->parent_ring.head);
        break;
    case 18:
        arena->parent_ring.tail = plausible(d, arena->parent_ring.tail);
        break;
    case 19:
        arena->template_ring.head = plausible(d, arena->template_ring.head);
        break;
    case 20:
        arena->template_ring.tail = plausible(d, arena->template_ring.tail);
        break;
    case 21:
        view->parent_hints[below(d, (uint32_t)view->ring_mask + 1)] = cf__slot_hint(index, slot->word);
        break;
    case 22:
        view->template_hints[below(d, (uint32_t)view->ring_mask + 1)] = value;
        break;
    case 23:
        view->completed[0] = value;
        break;
    case 24:
        memset(&slot->run, below(d, 2) ? 0 : 0x99, sizeof slot->run); /* no address at all */
        break;
    case 25:
        slot->args = below(d, 2) ? NULL : (void *)view->slots;
        break;
    case 26:
        slot->code = (int32_t)value;
        break;
    case 27: /* seldom, for it ends the pool: one in 200 of these */
        if (below(d, 200) == 0)
            arena->stop = (uint32_t)value;
        break;
    case 28:
        arena->wanted = (uint32_t)value;
        break;
    case 29:
        arena->least = (uint32_t)value;
        arena->most = (uint32_t)plausible(d, 4);
        break;
    case 30:
        arena->high = (uint32_t)value;
        break;
    case 31:
        worker->signaled = worker->stop_signal = (uint32_t)value;
        break;
    case 32:
        worker->due = arena->next_look = worker->shield_end = (int64_t)value;
        break;
    case 33:
        slot->limited = below(d, 2);
        break;
    default:
        store_word(slot, plausible_word(d, view, slot->word));
        break;
    }
}

/* One stroke over bytes, anywhere from `memory` on; but a slot's function pointer is left alone, see scribble_word(): half
 * spoilt it would lead into this very test. */
static void
scribble_bytes(dice *d, const cf__arena_view *view, unsigned char *memory, size_t size)
{
    size_t length = below(d, 4) ? 1 + below(d, 16) : 1 + below(d, 512), at = (size_t)(throw_dice(d) % size);
    uint32_t how = below(d, 4);
    unsigned char *slots = (unsigned char *)view->slots, *slots_end = (unsigned char *)(view->slots + view->slot_count);
    for (size_t i = at; i < size && i < at + (how == 0 ? 1 : length); i++) {
        unsigned char *byte = memory + i, thrown = (unsigned char)throw_dice(d);
        unsigned char with = (unsigned char)(how == 1 ? 0 : how == 2 ? 0xff : thrown);
        size_t in_slot = (size_t)(byte - slots) % sizeof(cf__slot);
        if (byte >= slots && byte < slots_end && in_slot >= offsetof(cf__slot, run) &&
            in_slot < offsetof(cf__slot, args))
            continue;
        *byte = (unsigned char)(how == 0 ? *byte ^ (1u << with % 8) : with);
    }
}

static void
scribble_some(const cf__process_pool *pool, dice *d, uint32_t strokes)
{
    const cf__arena_view *view = &pool->setup.view;
    unsigned char *memory = pool->memory, *slots = (unsigned char *)view->slots;
    while (strokes-- > 0) {
        switch (below(d, 8)) {
        case 0:
            scribble_bytes(d, view, memory, pool->memory_size);
            break; /* mostly the heap */
        case 1:
            scribble_bytes(d, view, memory, (size_t)(slots - memory));
            break;
        case 2:
            scribble_bytes(d, view, slots, view->slot_count * sizeof(cf__slot));
            break;
        default:
            scribble_word(d, view);
        }
        if (strokes < 100 && below(d, 4) == 0) /* more would take long beside a busy program */
            (void)sched_yield();
    }
}

typedef struct left_behind {
    const cf__process_pool *pool;
    dice d;
    uint32_t strokes;
} left_behind;

static void *
left_behind_main(void *argument)
{
    left_behind *self = argument;
    scribble_some(self->pool, &self->d, self->strokes);
    free(self);
    return NULL;
}

/* The pool's record lies at the same address in every worker.  Not the same strokes when it's run again: a task that always
 * makes its own word PENDING and then dies is one that doesn't end. */
static uint64_t
scribble(const cf__process_pool *pool, uint64_t seed, uint32_t strokes)
{
    dice d = {(seed ^ (uint64_t)getpid()) | 1};
    pthread_t thread;
    set_alarm();
    left_behind *later = below(&d, 8) == 0 ? malloc(sizeof *later) : NULL;
    if (later != NULL) {
        *later = (left_behind){pool, {throw_dice(&d) | 1}, strokes};
        if (pthread_create(&thread, NULL, left_behind_main, later) == 0)
            (void)pthread_detach(thread);
    }
    scribble_some(pool, &d, strokes);
    if (below(&d, 16) == 0)
        abort();
    return seed;
}
CF_TASK(uint64_t, scribble, const cf__process_pool *, uint64_t, uint32_t);

/* For cf_for(): however many items it is told. */
static void
item(size_t index, const cf__process_pool *pool, uint64_t seed)
{
    dice d = {(seed ^ (uint64_t)getpid()) + index};
    set_alarm();
    if (index > 64)
        _exit(5); /* somebody has spoilt the range: don't count to infinity */
    if (index % 16 == 3)
        scribble_some(pool, &d, 2);
}
CF_TASK_VOID(item, size_t, const cf__process_pool *, uint64_t);

static void
on_alarm(int signal_number)
{
    const cf__task_context *current = cf__task_current();
    bool busy = current != NULL && current->outer != NULL; /* neither idle, nor a thread that a task has left behind */
    (void)signal_number;
    if (!busy || alarms++ == 0) {
        (void)alarm(5);
        return;
    }
    (void)__atomic_fetch_add(&shared->stuck, 1, __ATOMIC_SEQ_CST);
    _exit(4);
}

static void
start_with_alarm(void *context)
{
    (void)context;
    (void)signal(SIGALRM, on_alarm);
    alarms = 0;
    set_alarm();
}

typedef struct tally {
    unsigned outcomes[CF__ERR_COUNT], pools, broken;
} tally;

/* Whatever became of it, it's an outcome. */
static void
count_outcome(tally *sum, cf_future *future, cf_err error)
{
    assert_in_range(error, CF_OK, CF__ERR_COUNT - 1);
    assert_true(cf_future_done(future));
    assert_true(error != CF_ERR_TIMEOUT && error != CF_ERR_INVALID);
    assert_true(strlen(cf_future_message(future)) < 3 * CF__MESSAGE_SIZE);
    sum->outcomes[error]++;
}

/* A few tasks by every path, with some among them that write where they shouldn't. */
static void
run_round(cf_executor *pool, tally *sum, dice *d)
{
    enum { most = 10 };
    cf_future *futures[most];
    uint32_t tasks = 2 + below(d, most - 1), called = 0, expected = 0, way = below(d, 8), strokes = 1 + below(d, 12);
    page in;

    memset(&in, 0x55, sizeof in);
    for (uint32_t i = 0; i < tasks; i++) {
        switch (below(d, 6)) {
        case 0:
        case 1:
            futures[i] = cf_submit(pool, scribble, inside(pool), throw_dice(d), strokes);
            break;
        case 2:
            futures[i] = cf_submit(pool, work_on_page, in);
            break;
        case 3:
            futures[i] = cf_submit(pool, give_up, i);
            break;
        default:
            futures[i] = cf_submit(pool, work, i);
        }
        if (way == 1 && cf_future_add_done_callback(futures[i], count_callback, &called) == CF_OK)
            expected++;
        if (way == 2 && i == tasks / 2)
            (void)cf_future_cancel(futures[below(d, i + 1)]);
    }
    if (way == 1) /* the collector's business alone */
        wait_until(__atomic_load_n(&called, __ATOMIC_ACQUIRE) == expected);
    if (way == 3)
        assert_int_equal(cf_wait(futures, tasks, CF_ALL_COMPLETED, CF_FOREVER), CF_OK);
    if (way == 4) {
        unsigned seen = 0;
        CF_AS_COMPLETED (i, futures, tasks, CF_FOREVER)
            seen += i < tasks;
        assert_int_equal(seen, tasks);
    }
    if (way == 5) {
        size_t size = 1000 + below(d, 5000);
        void *memory = cf_executor_alloc(pool, size);
        (void)cf_for(pool, item, 0, 40, inside(pool), throw_dice(d));
        if (memory != NULL)
            memset(memory, 1, size);
        cf_executor_free(pool, memory);
    }
    for (uint32_t i = 0; i < tasks; i++) {
        cf_err error = cf_future_wait(futures[i], CF_FOREVER);
        count_outcome(sum, futures[i], error);
        cf_future_release(futures[i]);
    }
}

/* The same from another thread, at the same time. */
typedef struct other_thread {
    cf_executor *pool;
    tally sum;
    dice d;
    unsigned rounds;
} other_thread;

static void *
other_main(void *argument)
{
    other_thread *self = argument;
    for (unsigned i = 0; i < self->rounds; i++)
        run_round(self->pool, &self->sum, &self->d);
    return NULL;
}

static void
test_scribble_at_random(void **state)
{
    (void)state;
    uint64_t seed = seconds != 0 ? (uint64_t)cf__os_now() | 1 : UINT64_C(88172645463325252);
    const char *given = getenv("CF_TEST_SEED");
    dice d = {given != NULL ? strtoull(given, NULL, 0) : seed};
    print_message("  CF_TEST_SEED=%#llx\n", (unsigned long long)d.state);
    cf_time end = cf_after_ms((int64_t)seconds * 1000);
    unsigned rounds = 0;
    tally sum;
    memset(&sum, 0, sizeof sum);

    bystander = fork_bystander();
    zombie = fork();
    if (zombie == 0)
        _exit(3);
    wait_until(zombie_children() == 1);

    while (seconds != 0 ? !cf_passed(end) : rounds < usual_rounds) {
        cf_shutdown_report report;
        other_thread other;
        pthread_t thread;
        uint32_t workers = 1 + below(&d, 4), pending = 3 + below(&d, 20), lasts = 1 + below(&d, 100),
                 mode = below(&d, 3);
        cf_executor *pool = cf_process_pool(.max_workers = workers, .max_pending = pending, .memory = 1 << 20,
                                            .on_start = start_with_alarm);
        assert_int_equal(cf_executor_error(pool), CF_OK);
        memset(&other, 0, sizeof other);
        other.pool = pool;
        other.d.state = throw_dice(&d) | 1;
        other.rounds = below(&d, 4) == 0 ? lasts : 0;
        if (other.rounds != 0)
            assert_int_equal(pthread_create(&thread, NULL, other_main, &other), 0);
        for (unsigned i = 0; i < lasts; i++) {
            run_round(pool, &sum, &d);
            rounds++;
            if (cf_executor_error(pool) != CF_OK) {
                assert_int_equal(cf_executor_error(pool), CF_ERR_BROKEN);
                sum.broken++;
                break;
            }
            (void)alarm(watchdog_seconds());
        }
        cf_future *last = cf_submit(pool, scribble, inside(pool), throw_dice(&d), 10000u);
        cf_err error = cf_executor_shutdown(pool,
                                            mode == 0   ? CF_DRAIN
                                            : mode == 1 ? CF_CANCEL_PENDING
                                                        : CF_KILL,
                                            CF_FOREVER, &report);
        assert_int_equal(error, CF_OK);
        assert_int_equal(report.left, 0);
        count_outcome(&sum, last, cf_future_wait(last, CF_FOREVER));
        cf_future_release(last);
        if (other.rounds != 0) {
            assert_int_equal(pthread_join(thread, NULL), 0);
            rounds += other.rounds;
            for (int i = 0; i < CF__ERR_COUNT; i++)
                sum.outcomes[i] += other.sum.outcomes[i];
        }
        cf_executor_close(pool);
        sum.pools++;
        wait_until(living_processes() == 1); /* the bystander */
        if (seconds != 0 && sum.pools % 500 == 0)
            print_message("  %u rounds so far\n", rounds);
    }
    print_message("  %u rounds, %u pools: %u broken; tasks: %u well, %u corrupt, %u lost, %u failed, "
                  "%u cancelled, %u broken; %u workers stuck\n",
                  rounds, sum.pools, sum.broken, sum.outcomes[CF_OK], sum.outcomes[CF_ERR_CORRUPT],
                  sum.outcomes[CF_ERR_WORKER_LOST], sum.outcomes[CF_ERR_FAILED], sum.outcomes[CF_ERR_CANCELLED],
                  sum.outcomes[CF_ERR_BROKEN], shared->stuck);
    assert_true(sum.outcomes[CF_ERR_CORRUPT] > rounds / 100);
    assert_true(sum.outcomes[CF_OK] > rounds);
    assert_true(shared->stuck <= 1 + rounds / 500);

    int status;
    assert_int_equal(waitpid(zombie, &status, WNOHANG), zombie);
    assert_int_equal(waitpid(bystander, &status, WNOHANG), 0);
    assert_int_equal(kill(bystander, SIGKILL), 0);
    assert_int_equal(waitpid(bystander, &status, 0), bystander);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_scribble_at_random)};
    seconds = soak_seconds(argc, argv, 0);
    return scribble_start() ? cmocka_run_group_tests(tests, NULL, NULL) : 99;
}
