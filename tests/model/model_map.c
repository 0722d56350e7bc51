/* tests/model/model_map.c - map.h under every schedule: runners that die anywhere, a caller that leaves, whole maps.
 * SPDX-License-Identifier: MIT */
#include "model.h"

#include "cfutures/task.h"
#include "cfutures/thread_pool.h"

/* ---- the item ---- */

enum { ITEMS = 4 };

typedef struct shared_map { /* in memory that all processes share */
    cf__map_round round;
    cf__map_chunk chunks[ITEMS];
    cf__map_seat seats[2];
    uint32_t hint;
    uint32_t ran[ITEMS]; /* A */
    cf_err status[ITEMS];
    uint32_t args[ITEMS], results[ITEMS];
} shared_map;

static shared_map *map;
static uint32_t *ran; /* A: of map, or of the whole maps below */

static void
run_item(const void *args, void *result, void *context)
{
    uint32_t value;
    void *before = cf__current;
    cf__current = context;
    memcpy(&value, args, sizeof value);
    (void)cf__fetch_add_relaxed(&ran[value], 1u);
    if (value == 1)
        (void)cf_fail(7, "item");
    value += 100;
    if (result != NULL)
        memcpy(result, &value, sizeof value);
    cf__current = before;
}
static void
pack_item(void *args, const void *const *arrays, size_t index)
{
    memcpy(args, (const uint32_t *)arrays[0] + index, sizeof(uint32_t));
}
static const cf_task_type item_type = {
    "item", "uint32_t", run_item, pack_item, sizeof(uint32_t), _Alignof(uint32_t), sizeof(uint32_t), _Alignof(uint32_t),
    1,      0,          NULL};

/* ---- runners and the words ---- */

static void
setup_round(uint32_t count, uint32_t chunk, bool tracked)
{
    model_thread_local(&cf__current, sizeof cf__current);
    map = cf__os_map_shared(sizeof *map);
    ran = map->ran;
    cf__map_round *round = &map->round;
    round->type = &item_type;
    round->args = (unsigned char *)map->args;
    round->args_stride = sizeof map->args[0];
    round->results = (unsigned char *)map->results;
    round->status = map->status;
    round->chunks = map->chunks;
    round->seats = map->seats;
    round->hint = &map->hint;
    round->deadline = CF_FOREVER;
    round->tracked = tracked;
    cf__map_cut(round, count, chunk, 2);
    for (uint32_t i = 0; i < round->chunk_count; i++)
        cf__store_relaxed(&map->chunks[i].word, cf__map_word(CF__MAP_FREE, 0, cf__map_begin(round, i)));
    for (uint32_t i = 0; i < ITEMS; i++)
        map->args[i] = i;
    map->seats[0].failed = map->seats[1].failed = UINT32_MAX;
}
static void
setup_one_chunk(void)
{
    setup_round(2, 2, true);
}
static void
setup_two_chunks(void)
{
    setup_round(3, 2, true);
}
static void
setup_single_items(void)
{
    setup_round(3, 1, true);
}

static uint32_t numbers[] = {0, 1, 2, 3, 4, 5, 6, 7};

/* A runner as an executor runs it; two may have a seat each. */
static void
run(void *arg)
{
    uint32_t number = *(uint32_t *)arg;
    cf__map_ticket ticket = {&map->round, number % 2, number};
    cf__task_context context;
    cf__task_context_init(&context, NULL, 0);
    cf__map_run(&ticket, NULL, &context);
}

/* Item i ran once and has its result, or is lost; `lost` of them in all. */
static void
check_items(uint32_t lost)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < map->round.count; i++) {
        uint32_t times = cf__load_relaxed(&map->ran[i]);
        if (map->status[i] == CF_ERR_WORKER_LOST) {
            found++;
            model_check(times <= 1);
        } else {
            model_check(times == 1 && map->results[i] == 100 + i);
            model_check(map->status[i] == (i == 1 ? CF_ERR_FAILED : CF_OK));
        }
    }
    model_check(found == lost);
}
static void
check(void)
{
    cf__os_unmap(map, sizeof *map);
}

/* The caller: takes each runner's end, and sends another where a chunk is left. */
static void
call(void *arg)
{
    uint32_t next = *(uint32_t *)arg, number_of[16] = {0, 0, 1}, live = next, lost = 0; /* processes: from 1 */
    model_death death;
    while (live != 0 && model_wait_death(&death)) {
        uint32_t item = 0, end = 0;
        live--;
        if (death.killed && cf__map_recover(&map->round, number_of[death.process], &item, &end)) {
            model_check(end == item + 1);
            map->status[item] = CF_ERR_WORKER_LOST;
            lost++;
        }
        if (cf__map_has_free_chunk(&map->round) && (death.killed || live == 0)) {
            model_check(next < sizeof numbers / sizeof *numbers);
            number_of[model_process_start("heir", run, &numbers[next])] = next;
            next++;
            live++;
        }
    }
    for (uint32_t i = 0; i < map->round.chunk_count; i++)
        model_check(cf__map_state(cf__load_acquire(&map->chunks[i].word)) == CF__MAP_DONE);
    check_items(lost);
}

/* A caller that leaves: what it may read is complete, and nothing is begun any more. */
static void
leave(void *arg)
{
    (void)arg;
    cf__map_close(&map->round);
    for (uint32_t i = 0; i < map->round.chunk_count; i++) {
        uint64_t word = cf__load_acquire(&map->chunks[i].word);
        uint32_t begin = cf__map_begin(&map->round, i), end = cf__map_begin(&map->round, i + 1);
        uint32_t done = cf__map_state(word) == CF__MAP_DONE ? end : cf__map_next_of(word);
        model_check(done >= begin && done <= end);
        for (uint32_t item = begin; item < done; item++) {
            model_check(map->results[item] == 100 + item);
            model_check(map->status[item] == (item == 1 ? CF_ERR_FAILED : CF_OK));
        }
    }
}
static void
check_left(void)
{
    for (uint32_t i = 0; i < map->round.chunk_count; i++) {
        uint64_t word = cf__load_relaxed(&map->chunks[i].word);
        uint32_t begin = cf__map_begin(&map->round, i), end = cf__map_begin(&map->round, i + 1);
        uint32_t done = cf__map_state(word) == CF__MAP_DONE ? end : cf__map_next_of(word);
        for (uint32_t item = begin; item < end; item++) {
            uint32_t times = cf__load_relaxed(&map->ran[item]);
            model_check(item < done ? times == 1 : times <= (item == done));
        }
    }
    check();
}

/* Two runners of one process, and nobody leaves: all is done. */
static void
check_all(void)
{
    check_items(0);
    check();
}

/* ---- whole maps, over a thread pool ---- */

static cf_executor *pool;
static uint32_t runs[3];

static void
setup_pool(unsigned workers)
{
    cf_pool_opts options = {.struct_size = sizeof options, .max_workers = workers};
    model_thread_local(&cf__current, sizeof cf__current);
    memset(runs, 0, sizeof runs);
    ran = runs;
    pool = cf_thread_pool_with(&options);
    model_check(cf_executor_error(pool) == CF_OK);
}
static void
setup_pool_1(void)
{
    setup_pool(1);
}
static void
setup_pool_2(void)
{
    setup_pool(2);
}
static void
map_with(cf_time deadline, uint32_t count)
{
    uint32_t in[3] = {1, 0, 2}, out[3] = {42, 42, 42};
    cf_err status[3];
    const void *arrays[] = {in};
    cf_map_opts options = {.struct_size = sizeof options, .status = status, .deadline = deadline};
    cf_err error = cf_map_bytes(pool, &item_type, count, out, arrays, &options), first = CF_OK;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t times = cf__load_relaxed(&runs[in[i]]);
        model_check(out[i] == (status[i] == CF_OK ? in[i] + 100 : 42));
        model_check(status[i] == CF_OK || status[i] == CF_ERR_FAILED ? times == 1 : times <= 1);
        model_check(status[i] != CF_ERR_FAILED || in[i] == 1);
        first = first != CF_OK ? first : status[i];
    }
    model_check(error == first);
}
static void
map_three(void *arg)
{
    (void)arg;
    map_with(0, 3);
    for (uint32_t i = 0; i < 3; i++)
        model_check(cf__load_relaxed(&runs[i]) == 1);
}
static void
map_two(void *arg)
{
    (void)arg;
    map_with(0, 2);
}
static void
map_until(void *arg)
{
    (void)arg;
    map_with(model_deadline(1), 2);
}
static void
shut_down(void *arg)
{
    cf_shutdown_report report;
    (void)arg;
    model_check(cf_executor_shutdown(pool, CF_KILL, CF_FOREVER, &report) == CF_OK && report.left == 0);
}
static void
check_pool(void)
{
    cf_executor_close(pool);
}

#define RUNNER(i)                                                                                                      \
    {                                                                                                                  \
        "runner" #i, run, &numbers[i]                                                                                  \
    }
static const model_scenario scenarios[] = {
    {.name = "map_two_runners",
     .setup = setup_two_chunks,
     .threads = {RUNNER(0), RUNNER(1)},
     .check = check_all,
     .preemptions = 3},
    {.name = "map_single_items", .setup = setup_single_items, .threads = {RUNNER(0), RUNNER(1)}, .check = check_all},
    {.name = "map_leave",
     .setup = setup_one_chunk,
     .threads = {RUNNER(0), {"caller", leave, NULL}},
     .check = check_left},
    {.name = "map_leave_two",
     .setup = setup_two_chunks,
     .threads = {RUNNER(0), RUNNER(1), {"caller", leave, NULL}},
     .check = check_left,
     .seconds = 5},
    {.name = "map_death",
     .setup = setup_one_chunk,
     .threads = {{"caller", call, &numbers[1]}},
     .processes = {RUNNER(0)},
     .check = check,
     .kills = 2},
    {.name = "map_death_two_runners",
     .setup = setup_two_chunks,
     .threads = {{"caller", call, &numbers[2]}},
     .processes = {RUNNER(0), RUNNER(1)},
     .check = check,
     .kills = 1,
     .seconds = 5},
    {.name = "map_two_deaths_two_runners",
     .setup = setup_single_items,
     .threads = {{"caller", call, &numbers[2]}},
     .processes = {RUNNER(0), RUNNER(1)},
     .check = check,
     .kills = 2,
     .stale_reads = MODEL_NONE,
     .preemptions = 1,
     .seconds = 5},
    {.name = "map_pool_1",
     .setup = setup_pool_1,
     .threads = {{"map", map_three, NULL}},
     .check = check_pool,
     .preemptions = 1},
    {.name = "map_pool_2",
     .setup = setup_pool_2,
     .threads = {{"map", map_two, NULL}},
     .check = check_pool,
     .preemptions = 1,
     .spurious = MODEL_NONE,
     .seconds = 5},
    {.name = "map_pool_deadline",
     .setup = setup_pool_1,
     .threads = {{"map", map_until, NULL}},
     .check = check_pool,
     .preemptions = 1,
     .spurious = MODEL_NONE,
     .seconds = 5},
    {.name = "map_pool_shutdown",
     .setup = setup_pool_1,
     .threads = {{"map", map_two, NULL}, {"shutdown", shut_down, NULL}},
     .check = check_pool,
     .preemptions = 1,
     .stale_reads = MODEL_NONE,
     .spurious = MODEL_NONE,
     .seconds = 5},
    {.name = "map_pool_faults",
     .setup = setup_pool_1,
     .threads = {{"map", map_two, NULL}},
     .check = check_pool,
     .preemptions = MODEL_NONE,
     .spurious = MODEL_NONE,
     .faults = 2,
     .seconds = 5},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
