/* tests/unit/test_map.c - map.h, and the parts of task.h that use it
 * SPDX-License-Identifier: MIT
 * The same behaviour on all executors that run maps as ranges; an executor that others write is in test_executor.c.
 * After each test no process of ours lives, and no memory, descriptor or thread is left. */
#include "unit.h"

#include <cfutures.h>

#include <stdalign.h>

/* What tasks and test tell each other, in memory that all our processes share. */
enum { ITEMS = 100000, GATES = 4 };
typedef struct notes {                   /* fields: A atomic */
    unsigned ran[ITEMS];                 /* A: how often item i was begun */
    unsigned inside[GATES], open[GATES]; /* A: a task that holds: came in; may go on */
    unsigned now, most;                  /* A: tasks that run right now; the most there were */
    unsigned forked, in_child;           /* A: children of an item that came back; items that ran in one */
} notes;
static notes *shared;

static int
notes_start(void **state)
{
    memset(shared, 0, sizeof *shared);
    return leaks_start_processes(state);
}

#define map_test(test) cmocka_unit_test_setup_teardown(test, notes_start, leaks_none_processes)

typedef cf_executor *make_executor(void);

static cf_executor *
one_thread(void)
{
    return cf_thread_pool(.max_workers = 1);
}

static cf_executor *
three_threads(void)
{
    return cf_thread_pool(.max_workers = 3);
}

static cf_executor *
one_process(void)
{
    return cf_process_pool(.max_workers = 1);
}

static cf_executor *
three_processes(void)
{
    return cf_process_pool(.max_workers = 3);
}

static make_executor *const executors[] = {cf_inline_executor, one_thread, three_threads, one_process, three_processes};

#define FOR_EACH(pool, makers)                                                                                         \
    for (size_t cf_test_i = 0; cf_test_i < sizeof(makers) / sizeof *(makers); cf_test_i++)                             \
        for (cf_executor *pool = (makers)[cf_test_i](); pool != NULL; cf_executor_close(pool), pool = NULL)
#define FOR_EACH_EXECUTOR(pool) FOR_EACH(pool, executors)
static make_executor *const processes[] = {one_process, three_processes};
#define FOR_EACH_PROCESS_POOL(pool) FOR_EACH(pool, processes)

/* A map that reads the caller's arrays in place, if it may; and one that is tracked. */
static const cf_time deadlines[] = {0, INT64_MAX - 1};

/* ---- tasks ---- */

static int
twice(int n)
{
    if (n < 0)
        (void)cf_fail(-n, "below 0: %d", n);
    return 2 * n;
}
CF_TASK(int, twice, int);

/* The same function without what CF_TASK makes for maps, as somebody writes it by hand. */
static void
run_by_hand(const void *args, void *result, void *context)
{
    void *before = cf__current;
    cf__current = context;
    int half = *(const int *)args;
    *(int *)result = half;
    (void)sched_yield(); /* what another writes there meanwhile would show */
    (void)twice(half);
    *(int *)result += *(const int *)args;
    cf__current = before;
}
static void
pack_by_hand(void *args, const void *const *arrays, size_t index)
{
    memcpy(args, (const int *)arrays[0] + index, sizeof(int));
}
static const cf_task_type by_hand = {
    "by_hand", "int", run_by_hand, pack_by_hand, sizeof(int), alignof(int), sizeof(int), alignof(int), 1, 0, NULL};

/* Notes that it ran; `how` says what else. */
enum { WELL, FAILS, ABORTS, EXITS, HOLDS, FORKS, LINGERS, PRINTS, DIES_LAST, HOLDS_ON, LEAVES };

static bool is_forked_child; /* of an item */

static unsigned
notes_run(unsigned item, int how)
{
    if (is_forked_child)
        count_one(&shared->in_child);
    unsigned now = __atomic_add_fetch(&shared->now, 1, __ATOMIC_SEQ_CST), most = counted(&shared->most);
    while (now > most &&
           !__atomic_compare_exchange_n(&shared->most, &most, now, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
    }
    count_one(&shared->ran[item]);
    if (how == PRINTS)
        (void)fputs("kept", stdout);
    while (how == DIES_LAST && counted(&shared->ran[item + 5]) == 0)
        (void)sched_yield();
    if (how == FAILS)
        (void)cf_fail((int)item, "item %u", item);
    if (how == ABORTS || how == DIES_LAST)
        (void)kill(getpid(), SIGKILL);
    if (how == EXITS)
        exit(3);
    if (how == LEAVES)
        pthread_exit(NULL);
    if (how == HOLDS || how == HOLDS_ON) {
        count_one(&shared->inside[0]);
        while (counted(&shared->open[0]) == 0 && (how == HOLDS_ON || !cf_cancelled()))
            (void)sched_yield();
    }
    for (int i = 0; how == LINGERS && i < 20; i++)
        (void)sched_yield();
    if (how == FORKS) {
        pid_t child = fork();
        is_forked_child = child == 0;
        if (is_forked_child)
            count_one(&shared->forked);
        else
            (void)waitpid(child, NULL, 0);
    }
    (void)__atomic_sub_fetch(&shared->now, 1, __ATOMIC_SEQ_CST);
    return item + 1000;
}
CF_TASK(unsigned, notes_run, unsigned, int);

static unsigned numbers[ITEMS], answers[ITEMS];
static int ways[ITEMS];
static cf_err status[ITEMS];

/* Items 0 to n - 1, all WELL. */
static void
prepare(unsigned n)
{
    memset(shared, 0, sizeof *shared);
    for (unsigned i = 0; i < n; i++) {
        numbers[i] = i;
        answers[i] = 42;
        ways[i] = WELL;
        status[i] = CF_ERR_EMPTY;
    }
}

/* Item i ended as `expected`, its result is there only if it went well, and it was begun so often. */
static void
check_item(unsigned i, cf_err expected, unsigned least, unsigned most)
{
    assert_int_equal(status[i], expected);
    assert_int_equal(answers[i], expected == CF_OK ? i + 1000 : 42);
    assert_in_range(counted(&shared->ran[i]), least, most);
}

/* ---- items ---- */

/* Any number of items in chunks of any size: each runs once, and its result goes to its place. */
static void
test_map_any_number_of_items(void **state)
{
    (void)state;
    static const unsigned counts[] = {0, 1, 2, 3, 7, 255, 256, 257, 1000, 70000, ITEMS - 1};
    static const size_t chunks[] = {0, 1, 3, 1000, SIZE_MAX};
    FOR_EACH_EXECUTOR(pool)
    {
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
            for (size_t k = 0; k < sizeof chunks / sizeof *chunks; k++) {
                unsigned n = counts[c];
                if (n > 1000 && k != 0 && k != 3)
                    continue;
                prepare(n);
                answers[n] = 43;
                cf_err error = cf_map_with(
                    pool, cf_map_options(.chunk = chunks[k], .status = status, .deadline = deadlines[k == 3]),
                    notes_run, n, answers, numbers, ways);
                assert_int_equal(error, CF_OK);
                for (unsigned i = 0; i < n; i++)
                    check_item(i, CF_OK, 1, 1);
                assert_int_equal(answers[n], 43);
            }
        }
    }
}

/* Chunks cover all items, one after the other, and those at the end are small. */
static void
test_map_chunks_cover_items(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 2, 256, 257, 300, 65536, 1000000, 100000000, UINT32_MAX / 2};
    static const uint32_t sizes[] = {0, 1, 7, 70000000};
    static const unsigned workers[] = {2, 300, 65536}; /* the last: as many as a map uses */
    for (size_t w = 0; w < sizeof workers / sizeof *workers; w++) {
        for (size_t row = 0; row < sizeof counts / sizeof *counts * (sizeof sizes / sizeof *sizes); row++) {
            size_t c = row / (sizeof sizes / sizeof *sizes), s = row % (sizeof sizes / sizeof *sizes);
            cf__map_round round;
            memset(&round, 0, sizeof round);
            if (sizes[s] != 0 && counts[c] / sizes[s] > 100000)
                continue;
            cf__map_cut(&round, counts[c], sizes[s], workers[w]);
            assert_int_equal(cf__map_begin(&round, 0), 0);
            assert_int_equal(cf__map_begin(&round, round.chunk_count), counts[c]);
            for (uint32_t i = 0; i < round.chunk_count; i++) {
                assert_true(cf__map_begin(&round, i) <= cf__map_begin(&round, i + 1));
                assert_true(sizes[s] == 0 || cf__map_begin(&round, i + 1) - cf__map_begin(&round, i) <= sizes[s]);
            }
            if (sizes[s] == 0)
                assert_true(counts[c] - cf__map_begin(&round, round.chunk_count - 1) <= 1 + counts[c] / 10000);
        }
    }
}

/* An item that fails doesn't stop the others; the map returns the first failure in input order, with code and message. */
static void
test_map_failures_are_kept_apart(void **state)
{
    (void)state;
    enum { n = 5000 };
    FOR_EACH_EXECUTOR(pool)
    {
        for (size_t d = 0; d < 2; d++) {
            cf_map_failure failure;
            prepare(n);
            ways[17] = ways[18] = ways[4000] = ways[n - 1] = FAILS;
            cf_err error =
                cf_map_with(pool, cf_map_options(.status = status, .deadline = deadlines[d], .failure = &failure),
                            notes_run, n, answers, numbers, ways);
            assert_int_equal(error, CF_ERR_FAILED);
            for (unsigned i = 0; i < n; i++)
                check_item(i, ways[i] == FAILS ? CF_ERR_FAILED : CF_OK, 1, 1);
            assert_int_equal(failure.index, 17);
            assert_int_equal(failure.error, CF_ERR_FAILED);
            assert_int_equal(failure.code, 17);
            assert_string_equal(failure.message, "item 17");
            prepare(n);
            ways[n - 1] = FAILS; /* with nothing wanted but the return value */
            error = cf_map_with(pool, cf_map_options(.deadline = deadlines[d]), notes_run, n, NULL, numbers, ways);
            assert_int_equal(error, CF_ERR_FAILED);
            prepare(n);
            error = cf_map_with(pool, cf_map_options(.failure = &failure), notes_run, n, answers, numbers, ways);
            assert_int_equal(error, CF_OK);
            assert_int_equal(failure.error, CF_OK);
        }
    }
}

/* A task type made by hand, without the loop that CF_TASK writes, is mapped as well; failures stay apart. */
static void
test_map_type_made_by_hand(void **state)
{
    (void)state;
    enum { n = 1000 };
    static int in[n], out[n];
    for (int i = 0; i < n; i++)
        in[i] = i % 10 == 9 ? -i : i;
    const void *arrays[] = {in};
    FOR_EACH_EXECUTOR(pool)
    {
        for (size_t d = 0; d < 2; d++) {
            for (int i = 0; i < n; i++)
                out[i] = 42;
            cf_map_opts options = {.deadline = deadlines[d], .status = status};
            assert_int_equal(cf_map_bytes(pool, &by_hand, n, out, arrays, &options), CF_ERR_FAILED);
            for (int i = 0; i < n; i++) {
                assert_int_equal(status[i], in[i] < 0 ? CF_ERR_FAILED : CF_OK);
                assert_int_equal(out[i], in[i] < 0 ? 42 : 2 * i);
            }
            assert_int_equal(cf_map_bytes(pool, &by_hand, n, NULL, arrays, &options), CF_ERR_FAILED);
        }
    }
}

/* ---- odd types ---- */

typedef struct big {
    char text[5000];
    long last;
} big;

static big
grow(big b, long by)
{
    b.last += by;
    b.text[4999] = 'z';
    return b;
}
CF_TASK(big, grow, big, long);

typedef struct wide {
    alignas(128) int value;
} wide;

static wide
widen(char c, wide w, char d)
{
    w.value += (uintptr_t)&w % 128 == 0 ? c + d : 0;
    return w;
}
CF_TASK(wide, widen, char, wide, char);

static long
sum8(char a, long b, char c, int d, short e, long f, char g, double h)
{
    return a + 10L * b + 100L * c + 1000L * d + 10000L * e + 100000L * f + 1000000L * g + 10000000L * (long)h;
}
CF_TASK(long, sum8, char, long, char, int, short, long, char, double);

static const char *
behind(const char *text, size_t n)
{
    return text + n;
}
CF_TASK(const char *, behind, const char *, size_t);

/* Structs, wide alignment, pointers and eight arguments, in place and packed. */
static void
test_map_odd_types(void **state)
{
    (void)state;
    enum { n = 40 };
    static big bigs[n], grown[n];
    static wide wides[n], widened[n];
    static long by[n], sums[n];
    static char cs[n];
    static double ds[n];
    static const char *texts[n], *skipped[n];
    static size_t skips[n];
    static int is[n];
    static short ss[n];
    FOR_EACH_EXECUTOR(pool)
    {
        for (size_t d = 0; d < 2; d++) {
            for (int i = 0; i < n; i++) {
                bigs[i].last = by[i] = i;
                bigs[i].text[4998] = 'y';
                wides[i].value = 100 * i;
                cs[i] = (char)i;
                ds[i] = is[i] = i;
                ss[i] = (short)i;
                texts[i] = "0123456789";
                skips[i] = (size_t)i % 10;
            }
            memset(widened, 0, sizeof widened);
            assert_int_equal(cf_map_with(pool, cf_map_options(.deadline = deadlines[d]), grow, n, grown, bigs, by),
                             CF_OK);
            assert_int_equal(
                cf_map_with(pool, cf_map_options(.deadline = deadlines[d]), widen, n, widened, cs, wides, cs), CF_OK);
            assert_int_equal(cf_map_with(pool, cf_map_options(.deadline = deadlines[d]), sum8, n, sums, cs, by, cs, is,
                                         ss, by, cs, ds),
                             CF_OK);
            assert_int_equal(
                cf_map_with(pool, cf_map_options(.deadline = deadlines[d]), behind, n, skipped, texts, skips), CF_OK);
            for (int i = 0; i < n; i++) {
                assert_int_equal(grown[i].last, 2 * i);
                assert_true(grown[i].text[4998] == 'y' && grown[i].text[4999] == 'z');
                assert_int_equal(widened[i].value, 102 * i);
                assert_int_equal(sums[i], 11111111L * i);
                assert_ptr_equal(skipped[i], texts[i] + i % 10);
            }
        }
    }
}

/* ---- who runs them ---- */

/* No more items run at once than the executor has workers, and the caller isn't one of them. */
static void
test_map_keeps_to_workers(void **state)
{
    (void)state;
    static const unsigned workers[] = {1, 1, 3, 1, 3};
    FOR_EACH_EXECUTOR(pool)
    {
        prepare(2000);
        assert_int_equal(cf_map(pool, notes_run, 2000, answers, numbers, ways), CF_OK);
        assert_in_range(counted(&shared->most), 1, workers[cf_test_i]);
        prepare(2000);
        cf_map_opts one_chunk = {.chunk = SIZE_MAX};
        for (unsigned i = 0; i < 200; i++)
            ways[i] = LINGERS;
        assert_int_equal(cf_map_with(pool, &one_chunk, notes_run, 200, answers, numbers, ways), CF_OK);
        assert_int_equal(counted(&shared->most), 1);
    }
}

/* Several items do run at once: each of two waits for the other. */
static unsigned
meets(unsigned item)
{
    count_one(&shared->inside[item]);
    while (counted(&shared->inside[1 - item]) == 0)
        (void)sched_yield();
    return item;
}
CF_TASK(unsigned, meets, unsigned);

static void
test_map_runs_items_at_once(void **state)
{
    (void)state;
    static make_executor *const wide_ones[] = {three_threads, three_processes};
    FOR_EACH(pool, wide_ones)
    {
        prepare(2);
        assert_int_equal(cf_map(pool, meets, 2, answers, numbers), CF_OK);
    }
}

static int maps_itself(cf_executor *pool, int depth);
CF_TASK(int, maps_itself, cf_executor *, int);

static int
maps_itself(cf_executor *pool, int depth) // NOLINT(misc-no-recursion): maps inside maps
{
    cf_executor *pools[3] = {pool, pool, pool};
    int depths[3] = {depth - 1, depth - 1, depth - 1}, sums[3] = {0};
    if (depth == 0)
        return 1;
    cf_err error = cf_map(pool, maps_itself, 3, sums, pools, depths);
    return error == CF_OK ? sums[0] + sums[1] + sums[2] : -1000;
}

/* A map inside an item of a map on the same pool works, and doesn't hang, however few workers there are. */
static void
test_map_inside_map(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        cf_executor *pools[] = {pool};
        int depths[] = {4}, sum = 0;
        assert_int_equal(cf_map(pool, maps_itself, 1, &sum, pools, depths), CF_OK);
        assert_int_equal(sum, 81);
    }
}

static void *
maps_in_thread(void *argument)
{
    cf_executor *pool = argument;
    static const int in[] = {1, 2, 3, 4, 5, 6, 7, 8};
    for (int i = 0; i < 50; i++) {
        int out[8] = {0};
        if (cf_map(pool, twice, 8, out, in) != CF_OK || out[0] != 2 || out[7] != 16)
            return pool;
    }
    return NULL;
}

/* Maps of several threads over one pool don't disturb each other. */
static void
test_map_beside_map(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        pthread_t threads[3];
        for (int i = 0; i < 3; i++)
            threads[i] = start_thread(maps_in_thread, pool);
        for (int i = 0; i < 3; i++) {
            void *wrong = pool;
            assert_int_equal(pthread_join(threads[i], &wrong), 0);
            assert_null(wrong);
        }
    }
}

/* ---- deadlines ---- */

/* With every worker busy until after the deadline nothing of the map runs, then or later. */
static void
test_map_deadline_before_start(void **state)
{
    (void)state;
    static make_executor *const single[] = {one_thread, one_process};
    FOR_EACH(pool, single)
    {
        prepare(1000);
        cf_future *holder = cf_submit(pool, notes_run, 1000, HOLDS);
        wait_until(counted(&shared->inside[0]) == 1);
        cf_err error = cf_map_with(pool, cf_map_options(.status = status, .deadline = CF_NOW), notes_run, 1000, answers,
                                   numbers, ways);
        assert_int_equal(error, CF_ERR_TIMEOUT);
        count_one(&shared->open[0]);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        for (unsigned i = 0; i < 1000; i++)
            check_item(i, CF_ERR_TIMEOUT, 0, 0);
        cf_future_release(holder);
    }
}

/* At the deadline: items that are done count, the one that runs goes on and writes nothing of the caller's any more,
 * later ones never start. */
static void
test_map_deadline_in_the_middle(void **state)
{
    (void)state;
    static make_executor *const single[] = {one_thread, one_process};
    FOR_EACH(pool, single)
    {
        enum { n = 20, held = 7 };
        static unsigned own_numbers[n];
        static int own_ways[n];
        prepare(n);
        memcpy(own_numbers, numbers, sizeof own_numbers);
        memcpy(own_ways, ways, sizeof own_ways);
        own_ways[3] = FAILS;
        own_ways[held] = HOLDS_ON;
        cf_map_failure failure;
        cf_err error = cf_map_with(
            pool, cf_map_options(.status = status, .deadline = cf_after_ms(50), .chunk = n, .failure = &failure),
            notes_run, n, answers, own_numbers, own_ways);
        if (counted(&shared->inside[0]) == 0) /* a slow machine: nothing to see */
            print_message("not begun before the deadline\n");
        memset(own_numbers, 0xff, sizeof own_numbers); /* the arrays are ours again */
        count_one(&shared->open[0]);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        assert_true(error == CF_ERR_FAILED || error == CF_ERR_TIMEOUT);
        assert_int_equal(failure.index, error == CF_ERR_FAILED ? 3 : failure.index);
        /* While its worker is in another item nobody knows what was given to cf_fail(). */
        bool known = failure.code == 3 && strcmp(failure.message, "item 3") == 0;
        assert_true(known || (failure.code == 0 && strcmp(failure.message, cf_strerror(error)) == 0));
        for (unsigned i = 0; i < n; i++) {
            if (status[i] == CF_ERR_TIMEOUT)
                check_item(i, CF_ERR_TIMEOUT, 0, i <= held);
            else
                check_item(i, i == 3 ? CF_ERR_FAILED : CF_OK, 1, 1);
            if (i >= held)
                assert_int_equal(status[i], CF_ERR_TIMEOUT);
        }
    }
}

/* A worker that is still in an item after the deadline keeps the map's memory until it's through; where no thread can
 * be started that would learn when, as long as the pool lives. */
static void
test_map_deadline_keeps_memory(void **state)
{
    (void)state;
    for (int fails = 0; fails < 2; fails++) {
        enum { all = 1 << 14 };
        cf_executor *pool = cf_process_pool(.max_workers = 1, .memory = all);
        prepare(3);
        ways[0] = HOLDS_ON;
        if (fails)
            fault_fail_from("thread_start", 1, EAGAIN);
        cf_err error = cf_map_with(pool, cf_map_options(.status = status, .deadline = cf_after_ms(20)), notes_run, 3,
                                   answers, numbers, ways);
        fault_clear();
        assert_int_equal(error, CF_ERR_TIMEOUT);
        wait_until(counted(&shared->inside[0]) == 1 || counted(&shared->ran[0]) == 0);
        void *memory = cf_executor_alloc(pool, all);
        bool begun = counted(&shared->inside[0]) == 1; /* else the machine was so slow that nothing ever will */
        if (begun)
            assert_null(memory);
        cf_executor_free(pool, memory);
        count_one(&shared->open[0]);
        ways[0] = WELL;
        assert_int_equal(cf_map(pool, notes_run, 3, answers, numbers, ways), CF_OK);
        do {
            memory = cf_executor_alloc(pool, all);
            cf_executor_free(pool, memory);
        } while (!fails && memory == NULL);
        assert_true(!begun || (memory == NULL) == fails);
        cf_executor_close(pool);
    }
}

typedef struct late_map {
    cf_executor *pool;
    unsigned in[3], results[3];
    int how[3];
    cf_err status[3], err;
} late_map;

static void
maps_late(late_map *m)
{
    m->err = cf_map_with(m->pool, cf_map_options(.status = m->status, .deadline = CF_NOW), notes_run, 3, m->results,
                         m->in, m->how);
}
CF_TASK_VOID(maps_late, late_map *);

/* A map inside a task of the same pool, and one on an inline executor, gives up at its deadline too. */
static void
test_map_deadline_in_own_thread(void **state)
{
    (void)state;
    static make_executor *const threads[] = {cf_inline_executor, one_thread};
    FOR_EACH(pool, threads)
    {
        late_map m = {.pool = pool, .in = {1, 2, 3}, .results = {42, 42, 42}};
        cf_auto(cf_future) f = cf_submit(pool, maps_late, &m);
        assert_int_equal(cf_future_wait(f, CF_FOREVER), CF_OK);
        assert_int_equal(m.err, CF_ERR_TIMEOUT);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(m.status[i], CF_ERR_TIMEOUT);
            assert_int_equal(m.results[i], 42);
            assert_int_equal(counted(&shared->ran[i + 1]), 0);
        }
    }
}

/* ---- in a task that was asked to stop ---- */

typedef struct stopped_map {
    cf_executor *pool;
    cf_time deadline;
    unsigned begun; /* A */
    cf_err err;
} stopped_map;

static void
maps_when_stopped(stopped_map *m)
{
    count_one(&m->begun);
    while (!cf_cancelled())
        (void)sched_yield();
    m->err = cf_map_with(m->pool, cf_map_options(.status = status, .deadline = m->deadline), notes_run, 40, answers,
                         numbers, ways);
}
CF_TASK_VOID(maps_when_stopped, stopped_map *);

/* A task that is cancelled, or is past its time, has its map cancelled, too, where its own thread runs the items: after
 * the one that notices. */
static void
test_map_in_stopped_task(void **state)
{
    (void)state;
    cf_auto(cf_executor) own = one_thread();
    cf_auto(cf_executor) other = cf_inline_executor();
    for (unsigned row = 0; row < 8; row++) {
        stopped_map m = {.pool = row & 1 ? own : other, .deadline = deadlines[row >> 1 & 1]};
        cf_future *f;
        prepare(40);
        if (row & 4) {
            f = cf_submit_with(own, cf_options(.time_limit_ms = 1), maps_when_stopped, &m);
        } else {
            f = cf_submit(own, maps_when_stopped, &m);
            wait_until(counted(&m.begun) == 1);
            assert_false(cf_future_cancel(f));
        }
        (void)cf_future_wait(f, CF_FOREVER);
        cf_future_release(f);
        assert_int_equal(m.err, CF_ERR_CANCELLED);
        check_item(0, CF_OK, 1, 1);
        for (unsigned i = 1; i < 40; i++)
            check_item(i, CF_ERR_CANCELLED, 0, 0);
    }
}

/* ---- waits that are refused ---- */

static unsigned
blocked(cf_executor *pool)
{
    cf__thread_pool *inside = (cf__thread_pool *)pool;
    cf__mutex_lock(&inside->mutex);
    unsigned n = inside->blocked;
    cf__mutex_unlock(&inside->mutex);
    return n;
}

/* Forks, and comes back twice; returns how the child ended. */
static int
fork_here(void)
{
    int how = -1;
    pid_t child = fork();
    is_forked_child = child == 0;
    if (is_forked_child) {
        sigset_t alarm_only; /* blocked in the pool's threads */
        (void)sigemptyset(&alarm_only);
        (void)sigaddset(&alarm_only, SIGALRM);
        (void)pthread_sigmask(SIG_UNBLOCK, &alarm_only, NULL);
        watchdog_start();
    } else {
        (void)waitpid(child, &how, 0);
    }
    return how;
}

static bool
twice_stream(void *context, unsigned *item)
{
    unsigned *next = context;
    *item = *next;
    return (*next)++ < 2;
}

static bool
drop(void *context, size_t index, cf_future *future)
{
    (void)context;
    (void)index;
    (void)future;
    return true;
}

/* A task and its map of few items, on two threads: the first chunk is run in the task's own wait, the second one
 * elsewhere. */
enum { FAST, TRACKED, SINGLY, LAZY };
static struct scene { /* fields: A atomic */
    cf_executor *pool;
    cf_future *self;     /* the task */
    cf_future *promise;  /* what the second chunk's first item waits for */
    cf_future *more;     /* one that nobody runs meanwhile */
    int way, forked;     /* FAST, ...; how the child of the first item ended */
    bool forks, is_full; /* the first item forks; no more threads may be started */
    unsigned ready;      /* A: self and the rest are written */
    cf_err err, waited, status[4];
    unsigned results[4];
} scene;

static unsigned
acts(unsigned item)
{
    if (item == 0) {
        count_one(&shared->open[0]); /* the second thread is free */
        wait_until(blocked(scene.pool) == 1);
        if (scene.is_full)
            scene.more = cf_submit(scene.pool, notes_run, 1001, WELL);
        if (scene.forks)
            scene.forked = fork_here();
    } else if (item == (scene.is_full ? 2 : 1)) {
        scene.waited = cf_future_wait(scene.promise, CF_FOREVER);
    }
    return item + 1000;
}
CF_TASK(unsigned, acts, unsigned);

static void
plays(void)
{
    static const unsigned in[4] = {0, 1, 2, 3};
    const void *arrays[] = {in};
    unsigned next = 0;
    cf_task_type type = *acts_CF_TASK_type();
    cf_map_opts options = {.status = scene.status, .chunk = scene.is_full ? 2 : 1};
    wait_until(counted(&scene.ready) == 1);
    if (scene.way == TRACKED)
        type.run_range = NULL; /* as of one made by hand */
    if (scene.way == SINGLY)
        fault_fail_nth("alloc", 1, ENOMEM); /* then it's a task for each item */
    scene.err = scene.way == LAZY
                    ? cf_map_lazy(scene.pool, acts, 2, twice_stream, drop, &next)
                    : cf_map_bytes(scene.pool, &type, scene.is_full ? 4 : 2, scene.results, arrays, &options);
    if (is_forked_child)
        _exit(scene.err == CF_ERR_FORKED && scene.status[0] == CF_OK && scene.status[1] == CF_ERR_FORKED ? 0 : 1);
}
CF_TASK_VOID(plays);

/* Has the task run; it waits for itself by its second chunk, or for a promise. */
static void
set_scene(int way, bool circular)
{
    scene.pool = cf_thread_pool(.max_workers = 2);
    if (scene.is_full)
        ((cf__thread_pool *)scene.pool)->capacity = 2;
    scene.way = way;
    cf_future *holder = cf_submit(scene.pool, notes_run, 1000, HOLDS_ON);
    wait_until(counted(&shared->inside[0]) == 1);
    scene.self = cf_submit(scene.pool, plays);
    scene.promise = circular ? cf_future_retain(scene.self) : cf_future_new(0);
    count_one(&scene.ready);
    cf_future_release(holder);
}

static void
end_scene(void)
{
    assert_int_equal(cf_future_wait(scene.self, CF_FOREVER), CF_OK);
    cf_executor_close(scene.pool);
    cf_future_release(scene.self);
    cf_future_release(scene.promise);
    cf_future_release(scene.more);
    assert_int_equal(scene.waited, CF_OK);
}

/* A map by which a task would wait for itself is told, where the map can be left. */
static void
test_map_circle_is_told(void **state)
{
    (void)state;
    for (int way = TRACKED; way <= LAZY; way++) {
        memset(shared, 0, sizeof *shared);
        scene = (struct scene){.results = {42, 42}};
        set_scene(way, true);
        end_scene();
        assert_int_equal(scene.err, CF_ERR_DEADLOCK);
        if (way == LAZY)
            continue;
        assert_int_equal(scene.status[0], CF_OK);
        assert_int_equal(scene.results[0], 1000);
        assert_int_equal(scene.status[1], CF_ERR_DEADLOCK);
        assert_int_equal(scene.results[1], 42); /* although that item has run to its end by now */
    }
}

static int
circle_without_end(void)
{
    set_scene(FAST, true);
    wait_until(blocked(scene.pool) == 2);
    return 0; /* nobody can end it */
}

/* Where it can't, the circle hangs; but asleep. */
static void
test_map_circle_sleeps(void **state)
{
    (void)state;
    scene = (struct scene){.way = FAST};
    assert_int_equal(run_in_child(circle_without_end), 0);
}

/* A map whose wait is refused, for all threads that there may be wait and tasks are queued, begins no more items, and
 * returns when the last one is through. */
static void
test_map_all_threads_wait(void **state)
{
    (void)state;
    scene = (struct scene){.is_full = true, .results = {42, 42, 42, 42}};
    set_scene(FAST, false);
    wait_until(blocked(scene.pool) == 2);
    assert_int_equal(cf_future_set_result(scene.promise, NULL, 0), CF_OK);
    end_scene();
    assert_int_equal(scene.err, CF_ERR_DEADLOCK);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(scene.status[i], i < 3 ? CF_OK : CF_ERR_DEADLOCK);
        assert_int_equal(scene.results[i], i < 3 ? i + 1000 : 42);
    }
}

/* An item of a thread pool that forks, and comes back in the child as well: there the map ends. */
static void
test_map_item_forks_on_threads(void **state)
{
    (void)state;
    scene = (struct scene){.forks = true, .forked = -1};
    set_scene(FAST, false);
    wait_until(blocked(scene.pool) == 2);
    assert_int_equal(cf_future_set_result(scene.promise, NULL, 0), CF_OK);
    end_scene();
    assert_int_equal(scene.forked, 0);
    assert_int_equal(scene.err, CF_OK);
}

typedef struct forking_stream {
    unsigned next;
    int forked; /* how the child ended */
} forking_stream;

static bool
forking_next(void *context, unsigned *item, int *how)
{
    forking_stream *s = context;
    *item = s->next++;
    *how = HOLDS_ON;
    if (*item == 1) {
        wait_until(counted(&shared->inside[0]) == 1);
        s->forked = fork_here();
        count_one(&shared->open[0]);
    }
    return *item == 0;
}

static bool
take_here(void *context, size_t index, cf_future *future)
{
    (void)context;
    (void)index;
    (void)future;
    return !is_forked_child;
}

/* In the child of a lazy map's caller it ends, too. */
static void
test_lazy_map_in_forked_child(void **state)
{
    (void)state;
    static make_executor *const single[] = {one_thread, one_process};
    FOR_EACH(pool, single)
    {
        forking_stream s = {0, -1};
        memset(shared, 0, sizeof *shared);
        cf_err error = cf_map_lazy(pool, notes_run, 2, forking_next, take_here, &s);
        if (is_forked_child)
            _exit(error == CF_ERR_FORKED ? 0 : 1);
        assert_int_equal(error, CF_OK);
        assert_int_equal(s.forked, 0);
    }
}

/* ---- deaths ---- */

/* An item that ends its worker process is lost, and no other: wherever in a chunk it is, and several of them. */
static void
test_map_item_ends_worker(void **state)
{
    (void)state;
    static const struct {
        unsigned count, chunk, first, step;
    } rows[] = {{1, 0, 0, 1},  {5, 5, 0, 5},  {5, 5, 4, 5},    {5, 5, 2, 5},
                {10, 1, 3, 3}, {24, 0, 0, 1}, {300, 0, 0, 40}, {70000, 0, 65535, 9}};
    FOR_EACH_PROCESS_POOL(pool)
    {
        for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
            unsigned n = rows[r].count, dead = 0;
            cf_map_failure failure;
            prepare(n);
            for (unsigned i = rows[r].first; i < n && dead < 25; i += rows[r].step)
                ways[i] = dead++ % 2 ? EXITS : ABORTS;
            cf_err error =
                cf_map_with(pool, cf_map_options(.status = status, .chunk = rows[r].chunk, .failure = &failure),
                            notes_run, n, answers, numbers, ways);
            assert_int_equal(error, CF_ERR_WORKER_LOST);
            assert_int_equal(failure.index, rows[r].first);
            assert_non_null(strstr(failure.message, "signal 9"));
            for (unsigned i = 0; i < n; i++)
                check_item(i, ways[i] != WELL ? CF_ERR_WORKER_LOST : CF_OK, 1, 1);
        }
    }
}

/* An item that ends its thread takes its chunk along, on threads without a deadline: nobody knows how far that was. */
static void
test_map_item_ends_thread(void **state)
{
    (void)state;
    static make_executor *const threads[] = {one_thread, three_threads};
    FOR_EACH(pool, threads)
    {
        for (size_t d = 0; d < 2; d++) {
            cf_map_failure failure;
            prepare(15);
            ways[7] = LEAVES;
            cf_err error = cf_map_with(
                pool, cf_map_options(.status = status, .chunk = 5, .deadline = deadlines[d], .failure = &failure),
                notes_run, 15, answers, numbers, ways);
            assert_int_equal(error, CF_ERR_TASK_EXITED);
            assert_int_equal(failure.index, d == 0 ? 5 : 7);
            for (unsigned i = 0; i < 15; i++) {
                bool lost = d == 0 ? i / 5 == 1 : i == 7;
                assert_int_equal(status[i], lost ? CF_ERR_TASK_EXITED : CF_OK);
                assert_int_equal(counted(&shared->ran[i]), d != 0 || i < 8 || i > 9);
                if (!lost)
                    check_item(i, CF_OK, 1, 1);
            }
        }
    }
}

static unsigned
scribbles(unsigned item, cf__process_pool *pool)
{
    const cf__arena_view *view = &pool->setup.view;
    cf__slot *slot = &view->slots[__atomic_load_n(&view->workers[0].intent, __ATOMIC_SEQ_CST) - 1];
    count_one(&shared->ran[item]);
    while (item == 2) { /* its generation can't be; until we're killed for it */
        uint64_t word = __atomic_load_n(&slot->word, __ATOMIC_SEQ_CST);
        __atomic_store_n(&slot->word, word ^ cf__slot_word(1, 0, 0), __ATOMIC_SEQ_CST);
        for (;;)
            (void)sched_yield();
    }
    return item + 1000;
}
CF_TASK(unsigned, scribbles, unsigned, cf__process_pool *);

/* An item that writes over its worker's place is lost, and no other. */
static void
test_map_item_scribbles(void **state)
{
    (void)state;
    FOR_EACH_PROCESS_POOL(pool)
    {
        cf__process_pool *pools[10];
        if (cf_test_i != 0) /* more workers */
            continue;
        prepare(10);
        for (unsigned i = 0; i < 10; i++)
            pools[i] = (cf__process_pool *)pool;
        assert_int_equal(
            cf_map_with(pool, cf_map_options(.status = status, .chunk = 5), scribbles, 10, answers, numbers, pools),
            CF_ERR_CORRUPT);
        for (unsigned i = 0; i < 10; i++)
            check_item(i, i == 2 ? CF_ERR_CORRUPT : CF_OK, 1, 1);
    }
}

/* The first item that went wrong is so by its place, although another was lost earlier. */
static void
test_map_first_loss_by_place(void **state)
{
    (void)state;
    cf_map_failure failure;
    cf_executor *pool = three_processes();
    prepare(10);
    ways[0] = DIES_LAST; /* when item 5 has begun */
    ways[1] = ABORTS;
    ways[2] = EXITS;
    cf_err error = cf_map_with(pool, cf_map_options(.status = status, .chunk = 1, .failure = &failure), notes_run, 10,
                               answers, numbers, ways);
    assert_int_equal(error, CF_ERR_WORKER_LOST);
    assert_int_equal(failure.index, 0);
    cf_executor_close(pool);
}

/* What items have printed is there, although a later one ended the worker. */
static void
test_map_output_is_kept(void **state)
{
    (void)state;
    char text[16] = {0};
    FILE *file = tmpfile();
    assert_non_null(file);
    (void)fflush(stdout);
    int before = dup(STDOUT_FILENO);
    (void)dup2(fileno(file), STDOUT_FILENO);
    cf_executor *pool = one_process();
    (void)dup2(before, STDOUT_FILENO);
    (void)close(before);
    prepare(2);
    ways[0] = PRINTS;
    ways[1] = ABORTS;
    cf_err error = cf_map_with(pool, cf_map_options(.chunk = 2), notes_run, 2, answers, numbers, ways);
    cf_executor_close(pool);
    rewind(file);
    size_t size = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    assert_int_equal(error, CF_ERR_WORKER_LOST);
    assert_int_equal(size, 4);
    assert_string_equal(text, "kept");
}

typedef struct killed_map {
    cf_executor *pool;
    unsigned n;
    size_t chunk;
    cf_err err;
    unsigned over; /* A */
} killed_map;

static void *
maps_under_fire(void *argument)
{
    killed_map *m = argument;
    m->err = cf_map_with(m->pool, cf_map_options(.status = status, .chunk = m->chunk), notes_run, m->n, answers,
                         numbers, ways);
    count_one(&m->over);
    return NULL;
}

/* Workers are killed from outside, at any moment: an item is lost or runs exactly once, and at most one is lost a kill. */
static void
test_map_killed_at_random(void **state)
{
    (void)state;
    unsigned seed = (unsigned)getpid(), kills_in_all = 0, lost_in_all = 0;
    cf_executor *pool = three_processes();
    const cf__arena_view *view = &((cf__process_pool *)pool)->setup.view;
    while (kills_in_all < 60 || lost_in_all == 0) {
        killed_map m = {pool, ITEMS, 0, CF_OK, 0};
        unsigned kills = 0, lost = 0;
        prepare(ITEMS);
        for (unsigned i = 0; i < ITEMS; i++)
            ways[i] = i % 8 == 0 ? LINGERS : WELL;
        pthread_t thread = start_thread(maps_under_fire, &m);
        while (counted(&m.over) == 0) {
            for (int spin = rand_r(&seed) % 1000; spin != 0; spin--)
                (void)sched_yield();
            /* Only one that was ready: 8 in a row that weren't break the pool. */
            const cf__worker_record *worker = &view->workers[rand_r(&seed) % 3];
            int32_t process = counted(&worker->started) != 0 ? __atomic_load_n(&worker->process, __ATOMIC_ACQUIRE) : 0;
            kills += process > 0 && counted(&m.over) == 0 && kill(process, SIGKILL) == 0;
        }
        join_thread(thread);
        for (unsigned i = 0; i < ITEMS; i++) {
            lost += status[i] != CF_OK;
            check_item(i, status[i] == CF_OK ? CF_OK : CF_ERR_WORKER_LOST, status[i] == CF_OK, 1);
        }
        assert_int_equal(m.err, lost != 0 ? CF_ERR_WORKER_LOST : CF_OK);
        assert_in_range(lost, 0, kills);
        kills_in_all += kills;
        lost_in_all += lost;
    }
    assert_in_range(lost_in_all, 1, kills_in_all);
    cf_executor_close(pool);
}

/* Dead workers are made up for while others are busy: the rest of the items doesn't wait for the longest. */
static void
test_map_goes_on_beside_long_item(void **state)
{
    (void)state;
    cf_executor *pool = three_processes();
    for (unsigned held = 0; held < 3; held++) { /* whichever runner is looked at first */
        killed_map m = {pool, 500, 1, CF_OK, 0};
        prepare(m.n);
        ways[held] = HOLDS;
        for (unsigned i = 3; i < 9; i++)
            ways[i] = ABORTS;
        pthread_t thread = start_thread(maps_under_fire, &m);
        wait_until(counted(&shared->ran[m.n - 1]) == 1);
        count_one(&shared->open[0]);
        join_thread(thread);
        assert_int_equal(m.err, CF_ERR_WORKER_LOST);
        for (unsigned i = 0; i < m.n; i++)
            check_item(i, ways[i] == ABORTS ? CF_ERR_WORKER_LOST : CF_OK, 1, 1);
    }
    cf_executor_close(pool);
}

/* An executor whose workers die before they have begun anything. */
typedef struct deadly {
    cf_executor base;
    unsigned deaths, workers; /* still to come; there seem to be */
} deadly;

static cf_future *
deadly_submit(cf_executor *base, const cf_task_type *type, const void *args, const cf_submit_opts *options)
{
    deadly *self = (deadly *)base;
    cf_future *future = cf_executor_new_task(base, type, args, options);
    (void)options;
    assert_non_null(future);
    if (self->deaths != 0) {
        self->deaths--;
        assert_int_equal(cf_future_set_error(future, CF_ERR_WORKER_LOST, 0, "died"), CF_OK);
    } else {
        (void)cf_future_run(future);
    }
    cf_future_release(future);
    return future;
}

static unsigned
deadly_concurrency(cf_executor *base)
{
    return ((deadly *)base)->workers;
}

/* A worker that dies between two items costs none; but a map whose runners only ever die ends all the same. */
static void
test_map_runners_die_idle(void **state)
{
    (void)state;
    static const cf_executor_ops ops = {.struct_size = sizeof ops,
                                        .kind = "deadly",
                                        .submit = deadly_submit,
                                        .concurrency = deadly_concurrency,
                                        .shares_memory = true};
    for (unsigned d = 0; d < 8; d++) {
        unsigned workers = d < 4 ? 1 : 3, most = workers + CF__MAP_PATIENCE - 1;
        unsigned deaths[] = {1, most, most + 1, 1000000000};
        deadly executor = {.deaths = deaths[d % 4], .workers = workers};
        cf_executor_init(&executor.base, &ops);
        prepare(10);
        cf_err expected = deaths[d % 4] <= most ? CF_OK : CF_ERR_WORKER_LOST;
        assert_int_equal(
            cf_map_with(&executor.base, cf_map_options(.status = status), notes_run, 10, answers, numbers, ways),
            expected);
        for (unsigned i = 0; i < 10; i++)
            check_item(i, expected, expected == CF_OK, expected == CF_OK);
        cf_executor_destroy(&executor.base);
    }
}

/* The child of an item that forks, and comes back in it as well, runs no items. */
static void
test_map_item_forks(void **state)
{
    (void)state;
    FOR_EACH_PROCESS_POOL(pool)
    {
        prepare(300);
        ways[0] = ways[150] = ways[299] = FORKS;
        assert_int_equal(cf_map_with(pool, cf_map_options(.status = status), notes_run, 300, answers, numbers, ways),
                         CF_OK);
        for (unsigned i = 0; i < 300; i++)
            check_item(i, CF_OK, 1, 1);
        assert_int_equal(counted(&shared->forked), 3);
        assert_int_equal(counted(&shared->in_child), 0);
    }
}

/* The template dies in the middle: what hasn't run says so, and the map returns. */
static void
test_map_pool_breaks(void **state)
{
    (void)state;
    cf_executor *pool = three_processes();
    killed_map m = {pool, ITEMS, 0, CF_OK, 0};
    prepare(ITEMS);
    ways[ITEMS / 2] = HOLDS;
    pthread_t thread = start_thread(maps_under_fire, &m);
    wait_until(counted(&shared->inside[0]) == 1);
    assert_int_equal(kill(((cf__process_pool *)pool)->setup.view.arena->template_process, SIGKILL), 0);
    join_thread(thread);
    assert_int_equal(m.err, CF_ERR_BROKEN);
    assert_int_equal(status[ITEMS / 2], CF_ERR_BROKEN);
    for (unsigned i = 0; i < ITEMS; i++)
        check_item(i, status[i] == CF_OK ? CF_OK : CF_ERR_BROKEN, status[i] == CF_OK, 1);
    cf_executor_close(pool);
}

/* Words that a faulty task has written over lead nobody out of the arrays. */
static void
test_map_scribbled_words(void **state)
{
    (void)state;
    static const uint32_t nexts[] = {0, 9, 10, 11, 20, 21, UINT32_MAX};
    for (size_t i = 0; i < sizeof nexts / sizeof *nexts; i++) {
        cf__map_chunk chunks[3];
        cf__map_round round;
        uint32_t lost = 99, end = 99;
        memset(&round, 0, sizeof round);
        round.chunks = chunks;
        round.tracked = true;
        cf__map_cut(&round, 30, 10, 2);
        chunks[0].word = cf__map_word(CF__MAP_DONE, 5, UINT32_MAX);
        chunks[1].word = cf__map_word(CF__MAP_RUNNING, 5, nexts[i]);
        chunks[2].word = cf__map_word(CF__MAP_RUNNING, 6, 21);
        assert_false(cf__map_recover(&round, 7, &lost, &end));
        assert_true(cf__map_recover(&round, 5, &lost, &end));
        bool sound = nexts[i] > 10 && nexts[i] <= 20;
        assert_int_equal(lost, sound ? nexts[i] - 1 : 10);
        assert_int_equal(end, sound ? nexts[i] : 20);
        assert_int_equal(cf__map_state(chunks[1].word), end == 20 ? CF__MAP_DONE : CF__MAP_FREE);
        assert_int_equal(cf__map_runner_of(chunks[2].word), 6);
    }
}

/* ---- shutdown ---- */

/* A shutdown that cancels what is pending cancels a map of which nothing has begun. */
static void
test_map_cancelled_by_shutdown(void **state)
{
    (void)state;
    static make_executor *const single[] = {one_thread, one_process};
    FOR_EACH(pool, single)
    {
        killed_map m = {pool, 500, 0, CF_OK, 0};
        prepare(m.n);
        cf_future *holder = cf_submit(pool, notes_run, 1000, HOLDS);
        wait_until(counted(&shared->inside[0]) == 1);
        pthread_t thread = start_thread(maps_under_fire, &m);
        cf_shutdown_report report = {0, 0, 0, 0};
        /* Until the runner was there to be cancelled; after a shutdown the map fails to submit. */
        cf_err error = CF_OK;
        if (pool->ops->shares_memory) {
            cf__thread_pool *inside = (cf__thread_pool *)pool;
            for (size_t pending = 0, ran; pending < 2;) {
                cf__mutex_lock(&inside->mutex);
                pending = cf__thread_pool_left(inside, &ran);
                cf__mutex_unlock(&inside->mutex);
            }
        } else {
            cf__process_pool *inside = (cf__process_pool *)pool;
            for (size_t pending = 0; pending < 2;) {
                cf__mutex_lock(&inside->mutex);
                pending = inside->in_use;
                cf__mutex_unlock(&inside->mutex);
            }
        }
        error = cf_executor_shutdown(pool, CF_CANCEL_PENDING, CF_NOW, &report);
        assert_int_equal(error, CF_ERR_TIMEOUT);
        assert_int_equal(report.cancelled, 1);
        join_thread(thread);
        count_one(&shared->open[0]);
        assert_int_equal(m.err, CF_ERR_CANCELLED);
        for (unsigned i = 0; i < m.n; i++)
            check_item(i, CF_ERR_CANCELLED, 0, 0);
        cf_future_release(holder);
    }
}

/* A shutdown that kills ends a map that runs: threads end with the item that they're in, processes lose it. */
static void
test_map_killed_by_shutdown(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        killed_map m = {pool, 5000, 0, CF_OK, 0};
        if (strcmp(pool->ops->kind, "inline executor") == 0)
            continue;
        prepare(m.n);
        for (unsigned i = 1000; i < m.n; i++)
            ways[i] = HOLDS;
        pthread_t thread = start_thread(maps_under_fire, &m);
        wait_until(counted(&shared->inside[0]) >= 1);
        assert_int_equal(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, NULL), CF_OK);
        join_thread(thread);
        assert_true(m.err == CF_ERR_CANCELLED || m.err == CF_ERR_WORKER_LOST);
        unsigned cancelled = 0, ran = 0;
        for (unsigned i = 0; i < m.n; i++) {
            cancelled += status[i] == CF_ERR_CANCELLED;
            ran += counted(&shared->ran[i]);
            if (status[i] != CF_ERR_WORKER_LOST)
                check_item(i, status[i] == CF_OK ? CF_OK : CF_ERR_CANCELLED, status[i] == CF_OK, status[i] == CF_OK);
        }
        assert_true(cancelled >= m.n - 1000 - 3 && ran <= 1003 + 3);
    }
}

/* After a shutdown every item says so. */
static void
test_map_after_shutdown(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        prepare(10);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        cf_map_failure failure;
        assert_int_equal(cf_map_with(pool, cf_map_options(.status = status, .failure = &failure), notes_run, 10,
                                     answers, numbers, ways),
                         CF_ERR_SHUTDOWN);
        for (unsigned i = 0; i < 10; i++)
            check_item(i, CF_ERR_SHUTDOWN, 0, 0);
        assert_int_equal(failure.error, CF_ERR_SHUTDOWN);
        assert_string_equal(failure.message, cf_strerror(CF_ERR_SHUTDOWN));
    }
}

/* ---- memory ---- */

/* Whichever allocation fails, every item either went well or says NOMEM, and nothing leaks. */
static void
test_map_any_allocation_may_fail(void **state)
{
    (void)state;
    static const char *const sites[] = {"alloc", "fork_guard"};
    FOR_EACH_EXECUTOR(pool)
    {
        for (size_t d = 0; d < 4; d++) {
            unsigned nth = 0;
            do {
                cf_future *futures[3];
                prepare(400);
                fault_fail_nth(sites[d / 2], ++nth, ENOMEM);
                cf_err error =
                    cf_map_with(pool, cf_map_options(.status = status, .deadline = deadlines[d % 2], .chunk = 50),
                                notes_run, 400, answers, numbers, ways);
                assert_true(error == CF_OK || error == CF_ERR_NOMEM);
                for (unsigned i = 0; i < 400; i++)
                    check_item(i, error == CF_OK ? CF_OK : status[i], status[i] == CF_OK, status[i] == CF_OK);
                error = cf_submit_all(pool, notes_run, 3, futures, numbers, ways);
                assert_true(error == CF_OK || error == CF_ERR_NOMEM);
                for (int i = 0; i < 3; i++) {
                    assert_non_null(futures[i]);
                    cf_err waited = cf_future_wait(futures[i], CF_FOREVER);
                    assert_true(waited == CF_OK || (error == CF_ERR_NOMEM && waited == CF_ERR_NOMEM));
                    cf_future_release(futures[i]);
                }
            } while (fault_fired(sites[d / 2]) != 0);
            if (d < 2)
                assert_true(nth > 3);
        }
        fault_clear();
    }
}

static big
make_big(long value)
{
    big b;
    memset(&b, 0, sizeof b);
    b.last = value;
    return b;
}
CF_TASK(big, make_big, long);

/* Items that together are larger than the pool's memory go in rounds; one that is larger by itself is refused. */
static void
test_map_in_small_memory(void **state)
{
    (void)state;
    enum { n = 500 };
    static big out[n];
    long in[n];
    for (int i = 0; i < n; i++)
        in[i] = i;
    static const size_t memories[] = {1 << 20, 1 << 16, 1 << 14, 1 << 13, 1 << 12};
    for (size_t m = 0; m < sizeof memories / sizeof *memories; m++) {
        cf_auto(cf_executor) pool = cf_process_pool(.max_workers = 2, .memory = memories[m]);
        memset(out, 0, sizeof out);
        fault_clear();
        cf_err expected = memories[m] < sizeof(big) ? CF_ERR_TOO_BIG : CF_OK;
        assert_int_equal(cf_map_with(pool, cf_map_options(.status = status), make_big, n, out, in), expected);
        assert_true(m != 0 || fault_count("alloc") < n / 4); /* not a task for each */
        for (int i = 0; i < n; i++) {
            assert_int_equal(status[i], expected);
            assert_int_equal(out[i].last, expected == CF_OK ? i : 0);
        }
    }
}

/* ---- for ---- */

static void
notes_index(size_t index, notes *all, size_t base)
{
    count_one(&all->ran[index - base]);
    if (index - base == 123)
        (void)cf_fail(7, "index %zu", index);
}
CF_TASK_VOID(notes_index, size_t, notes *, size_t);

static big
returns_much(const size_t index, big by)
{
    count_one(&shared->ran[index]);
    by.last += (long)index;
    return by;
}
CF_TASK(big, returns_much, const size_t, big);

static void
only_index(size_t index)
{
    count_one(&shared->ran[index]);
}
CF_TASK_VOID(only_index, size_t);

/* Each index of a range runs once, with the same further arguments. */
static void
test_for_each_index(void **state)
{
    (void)state;
    static const size_t ranges[][2] = {{0, 0}, {5, 5}, {9, 3}, {0, 1}, {7, 107}, {1000000, 1070000}};
    FOR_EACH_EXECUTOR(pool)
    {
        for (size_t r = 0; r < sizeof ranges / sizeof *ranges; r++) {
            size_t first = ranges[r][0], n = ranges[r][1] > first ? ranges[r][1] - first : 0;
            for (size_t d = 0; d < 2; d++) {
                cf_map_failure failure;
                prepare((unsigned)n);
                cf_err error =
                    cf_for_with(pool, cf_map_options(.status = status, .deadline = deadlines[d], .failure = &failure),
                                notes_index, first, ranges[r][1], shared, first);
                assert_int_equal(error, n > 123 ? CF_ERR_FAILED : CF_OK);
                for (unsigned i = 0; i < n; i++) {
                    assert_int_equal(counted(&shared->ran[i]), 1);
                    assert_int_equal(status[i], i == 123 ? CF_ERR_FAILED : CF_OK);
                }
                assert_int_equal(counted(&shared->ran[n]), 0);
                if (error != CF_OK) {
                    assert_int_equal(failure.index, first + 123);
                    assert_int_equal(failure.code, 7);
                }
            }
        }
        big much;
        memset(&much, 0, sizeof much);
        prepare(40);
        assert_int_equal(cf_for(pool, returns_much, 3, 40, much), CF_OK);
        assert_int_equal(cf_for(pool, only_index, 0, 3), CF_OK);
        for (unsigned i = 0; i < 40; i++)
            assert_int_equal(counted(&shared->ran[i]), 1);
    }
}

/* ---- submit_all ---- */

/* As many futures as items, each with its own outcome; never NULL, also when the executor takes nothing. */
static void
test_submit_all_gives_futures(void **state)
{
    (void)state;
    enum { n = 100 };
    FOR_EACH_EXECUTOR(pool)
    {
        cf_future *futures[n];
        prepare(n);
        ways[9] = FAILS;
        assert_int_equal(cf_submit_all(pool, notes_run, n, futures, numbers, ways), CF_OK);
        for (unsigned i = 0; i < n; i++) {
            unsigned value = 0;
            assert_int_equal(cf_result(futures[i], notes_run, &value, CF_FOREVER), i == 9 ? CF_ERR_FAILED : CF_OK);
            assert_int_equal(value, i == 9 ? 0 : i + 1000);
            cf_future_release(futures[i]);
        }
        assert_int_equal(cf_submit_all(pool, notes_run, 0, NULL, NULL, NULL), CF_OK);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        assert_int_equal(cf_submit_all_with(pool, cf_options(.deadline = CF_NOW), notes_run, n, futures, numbers, ways),
                         CF_ERR_SHUTDOWN);
        for (unsigned i = 0; i < n; i++) {
            assert_int_equal(cf_future_error(futures[i]), CF_ERR_SHUTDOWN);
            cf_future_release(futures[i]);
        }
    }
}

/* ---- lazy ---- */

typedef struct stream {
    unsigned next, end, taken, stop_at; /* items: brought, there are, taken; where `done` says no */
    unsigned most;                      /* in flight */
    unsigned open_at;                   /* so many were brought: those that hold may go on; 0: somebody else says so */
    int hold_at, fail_every;
    pthread_t thread;
    cf_err last;
} stream;

static bool
stream_next(void *context, unsigned *item, int *how)
{
    stream *s = context;
    assert_true(pthread_equal(s->thread, pthread_self()));
    if (s->next == s->end)
        return false;
    *item = s->next++;
    *how = s->fail_every != 0 && *item % (unsigned)s->fail_every == 0 ? FAILS : (int)*item == s->hold_at ? HOLDS : WELL;
    s->most = s->next - s->taken > s->most ? s->next - s->taken : s->most;
    if (s->next == s->open_at)
        count_one(&shared->open[0]);
    return true;
}

static bool
stream_done(void *context, size_t index, cf_future *future)
{
    stream *s = context;
    unsigned value = 0;
    assert_true(pthread_equal(s->thread, pthread_self()));
    assert_int_equal(index, s->taken);
    s->taken++;
    s->last = cf_result(future, notes_run, &value, CF_NOW);
    assert_int_equal(value, s->last == CF_OK ? index + 1000 : 0);
    return s->taken != s->stop_at;
}

/* Items come and go in order, one at a time or several in flight, and never more than asked for. */
static void
test_lazy_map_keeps_order(void **state)
{
    (void)state;
    static const size_t in_flight[] = {1, 2, 7, 0, 5000};
    static const unsigned lengths[] = {0, 1, 2, 3000};
    FOR_EACH_EXECUTOR(pool)
    {
        for (size_t f = 0; f < sizeof in_flight / sizeof *in_flight; f++) {
            for (size_t l = 0; l < sizeof lengths / sizeof *lengths; l++) {
                stream s = {.end = lengths[l], .hold_at = -1, .thread = pthread_self()};
                prepare(lengths[l]);
                assert_int_equal(cf_map_lazy(pool, notes_run, in_flight[f], stream_next, stream_done, &s), CF_OK);
                assert_int_equal(s.taken, lengths[l]);
                assert_true(in_flight[f] == 0 || s.most <= in_flight[f]);
                for (unsigned i = 0; i < lengths[l]; i++)
                    assert_int_equal(counted(&shared->ran[i]), 1);
            }
        }
    }
}

/* Without a number it's two for each worker, and 16 at least: while the first item holds, so many are brought. */
static void
test_lazy_map_usual_number(void **state)
{
    (void)state;
    static const unsigned workers[] = {1, 3, 8, 9};
    for (size_t w = 0; w < sizeof workers / sizeof *workers; w++) {
        cf_auto(cf_executor) pool = cf_thread_pool(.max_workers = workers[w]);
        unsigned usual = workers[w] > 8 ? 2 * workers[w] : 16;
        stream s = {.end = 100, .hold_at = 0, .open_at = usual, .thread = pthread_self()};
        prepare(100);
        assert_int_equal(cf_map_lazy(pool, notes_run, 0, stream_next, stream_done, &s), CF_OK);
        assert_int_equal(s.most, usual);
    }
}

/* It ends when `done` says so, however much input there is; failures are the caller's to judge, and the first is returned. */
static void
test_lazy_map_ends_early(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        stream s = {.end = UINT32_MAX, .stop_at = 50, .fail_every = 20, .hold_at = -1, .thread = pthread_self()};
        prepare(1000);
        assert_int_equal(cf_map_lazy(pool, notes_run, 4, stream_next, stream_done, &s), CF_ERR_FAILED);
        assert_int_equal(s.taken, 50);
        assert_in_range(s.next, 50, 54);
    }
}

/* Endless input ends at the deadline, and with the executor. */
static void
test_lazy_map_ends_with_executor(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        stream s = {.end = UINT32_MAX, .hold_at = 3, .thread = pthread_self()};
        prepare(1000);
        if (strcmp(pool->ops->kind, "inline executor") != 0) {
            cf_err error = cf_map_lazy_with(pool, cf_map_options(.deadline = cf_after_ms(30)), notes_run, 8,
                                            stream_next, stream_done, &s);
            assert_int_equal(error, CF_ERR_TIMEOUT);
            assert_true(s.taken <= 3);
            count_one(&shared->open[0]);
        }
        stream never = {.end = UINT32_MAX, .hold_at = -1, .thread = pthread_self()};
        assert_int_equal(
            cf_map_lazy_with(pool, cf_map_options(.deadline = CF_NOW), notes_run, 8, stream_next, stream_done, &never),
            CF_ERR_TIMEOUT);
        assert_int_equal(never.next, 0);
        assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
        assert_int_equal(cf_map_lazy(pool, notes_run, 8, stream_next, stream_done, &never), CF_ERR_SHUTDOWN);
        assert_in_range(never.next, 1, 8);
        assert_int_equal(never.taken, 1);
    }
}

/* Without memory for one more in flight it goes on with those there are. */
static void
test_lazy_map_any_allocation_may_fail(void **state)
{
    (void)state;
    FOR_EACH_EXECUTOR(pool)
    {
        unsigned nth = 0;
        do {
            stream s = {.end = 30, .hold_at = -1, .thread = pthread_self()};
            prepare(30);
            fault_fail_nth("alloc", ++nth, ENOMEM);
            cf_err error = cf_map_lazy(pool, notes_run, 4, stream_next, stream_done, &s);
            assert_true(error == CF_OK || error == CF_ERR_NOMEM);
            assert_int_equal(s.taken, error == CF_OK || nth > 1 ? 30 : 0);
        } while (fault_fired("alloc") != 0);
        fault_clear();
    }
}

/* A gate for item 0 that opens once the other seven are there; item 1's is the test's to open. */
static int
waits_for_others(unsigned item)
{
    count_one(&shared->ran[item]);
    while (item < 2 && counted(&shared->open[item]) == 0)
        (void)sched_yield();
    return 0;
}
CF_TASK(int, waits_for_others, unsigned);

typedef struct eight { /* items, then no more in flight */
    unsigned brought;
    bool opens; /* item 0 may go on when all are there */
} eight;

static bool
eight_next(void *context, unsigned *item)
{
    eight *e = context;
    *item = e->brought++;
    if (e->brought == 8 && e->opens)
        count_one(&shared->open[0]);
    return true;
}

static bool
eight_done(void *context, size_t index, cf_future *future)
{
    (void)context;
    return index != 0 && cf_future_done(future);
}

/* When it ends early, because `done` says so or at its deadline, what hasn't started never does. */
static void
test_lazy_map_cancels_what_waits(void **state)
{
    (void)state;
    static make_executor *const single[] = {one_thread, one_process};
    for (int at_deadline = 0; at_deadline < 2; at_deadline++) {
        FOR_EACH(pool, single)
        {
            eight e = {0, !at_deadline};
            prepare(8);
            cf_err error = cf_map_lazy_with(pool, cf_map_options(.deadline = at_deadline ? cf_after_ms(30) : 0),
                                            waits_for_others, 8, eight_next, eight_done, &e);
            assert_int_equal(error, at_deadline ? CF_ERR_TIMEOUT : CF_OK);
            assert_in_range(e.brought, at_deadline ? 0 : 8, 8);
            count_one(&shared->open[0]);
            count_one(&shared->open[1]);
            assert_int_equal(cf_executor_shutdown(pool, CF_DRAIN, CF_FOREVER, NULL), CF_OK);
            for (unsigned i = 2 - (unsigned)at_deadline; i < 8; i++)
                assert_int_equal(counted(&shared->ran[i]), 0);
        }
    }
}

/* A full pool that refuses refuses a map; one that waits for room does so until the map's deadline; one that runs tasks in the
 * caller runs the items there. */
static void
test_map_full(void **state)
{
    (void)state;
    static const struct {
        cf_full_policy policy;
        cf_err expected;
        unsigned runs;
    } rows[] = {{CF_FULL_FAIL, CF_ERR_FULL, 0}, {CF_FULL_WAIT, CF_ERR_TIMEOUT, 0}, {CF_FULL_RUN, CF_OK, 1}};
    for (size_t row = 0; row < 2 * sizeof rows / sizeof *rows; row++) {
        cf_full_policy policy = rows[row / 2].policy;
        cf_err expected = rows[row / 2].expected;
        cf_auto(cf_executor) pool = row % 2 == 0
                                        ? cf_thread_pool(.max_workers = 1, .max_pending = 1, .when_full = policy)
                                        : cf_process_pool(.max_workers = 1, .max_pending = 1, .when_full = policy);
        cf_map_failure failure;
        prepare(10);
        cf_auto(cf_future) holder = cf_submit(pool, notes_run, 1000, HOLDS_ON);
        wait_until(counted(&shared->inside[0]) == 1);
        cf_time deadline = policy == CF_FULL_WAIT ? cf_after_ms(5) : CF_FOREVER;
        cf_err error = cf_map_with(pool, cf_map_options(.status = status, .failure = &failure, .deadline = deadline),
                                   notes_run, 10, answers, numbers, ways);
        assert_int_equal(error, expected);
        assert_int_equal(failure.error, expected);
        if (expected != CF_OK)
            assert_string_equal(failure.message, cf_strerror(expected));
        for (unsigned i = 0; i < 10; i++)
            check_item(i, expected, rows[row / 2].runs, rows[row / 2].runs);

        stream s = {.end = 2, .hold_at = -1, .thread = pthread_self()};
        error = cf_map_lazy_with(pool, cf_map_options(.deadline = policy == CF_FULL_WAIT ? cf_after_ms(5) : 0),
                                 notes_run, 2, stream_next, stream_done, &s);
        assert_int_equal(error, expected);
        assert_int_equal(s.taken, expected == CF_ERR_TIMEOUT ? 0 : 2); /* what didn't get in has no outcome */
        assert_int_equal(counted(&shared->ran[0]), 2 * rows[row / 2].runs);
        count_one(&shared->open[0]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        map_test(test_map_any_number_of_items),
        map_test(test_map_chunks_cover_items),
        map_test(test_map_failures_are_kept_apart),
        map_test(test_map_type_made_by_hand),
        map_test(test_map_odd_types),
        map_test(test_map_keeps_to_workers),
        map_test(test_map_runs_items_at_once),
        map_test(test_map_inside_map),
        map_test(test_map_beside_map),
        map_test(test_map_deadline_before_start),
        map_test(test_map_deadline_in_the_middle),
        map_test(test_map_deadline_keeps_memory),
        map_test(test_map_deadline_in_own_thread),
        map_test(test_map_in_stopped_task),
        map_test(test_map_circle_is_told),
        map_test(test_map_circle_sleeps),
        map_test(test_map_all_threads_wait),
        map_test(test_map_item_forks_on_threads),
        map_test(test_lazy_map_in_forked_child),
        map_test(test_map_item_ends_worker),
        map_test(test_map_item_ends_thread),
        map_test(test_map_item_scribbles),
        map_test(test_map_first_loss_by_place),
        map_test(test_map_output_is_kept),
        map_test(test_map_killed_at_random),
        map_test(test_map_goes_on_beside_long_item),
        map_test(test_map_runners_die_idle),
        map_test(test_map_item_forks),
        map_test(test_map_pool_breaks),
        map_test(test_map_scribbled_words),
        map_test(test_map_cancelled_by_shutdown),
        map_test(test_map_killed_by_shutdown),
        map_test(test_map_after_shutdown),
        map_test(test_map_any_allocation_may_fail),
        map_test(test_map_in_small_memory),
        map_test(test_for_each_index),
        map_test(test_submit_all_gives_futures),
        map_test(test_lazy_map_keeps_order),
        map_test(test_lazy_map_usual_number),
        map_test(test_lazy_map_ends_early),
        map_test(test_lazy_map_ends_with_executor),
        map_test(test_lazy_map_any_allocation_may_fail),
        map_test(test_lazy_map_cancels_what_waits),
        map_test(test_map_full),
    };
    shared = cf__os_map_shared(sizeof *shared);
    return shared != NULL ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
