/* tests/model/model_slab.c - detail/slab.h under every schedule: takers under a mutex, givers without, a close among them.
 * SPDX-License-Identifier: MIT
 * Each cell carries plain data that its holder writes, so that two holders of one cell are a race; a slab that isn't freed
 * is a leak, one that is freed twice or too early a use after free. */
#include "model.h"

#include "cfutures/detail/slab.h"

#define CELLS 4

typedef struct record { /* what a holder keeps in a cell; over the link of the free list, too */
    uint64_t first;
    uint32_t holder, held;
} record;

static cf__slab *slab;
static cf__mutex owner;
static record *cells[CELLS]; /* the setup's, for the givers */
static cf__slab_cache cache; /* of one thread */

static void
setup_cells(unsigned count)
{
    memset(cells, 0, sizeof cells);
    memset(&cache, 0, sizeof cache);
    cf__mutex_init(&owner);
    slab = cf__slab_new();
    for (unsigned i = 0; i < count; i++) {
        cells[i] = cf__slab_take(slab);
        model_check(cells[i] != NULL);
        *cells[i] = (record){i, i, 1};
    }
}
static void
setup_0(void)
{
    setup_cells(0);
}
static void
setup_1(void)
{
    setup_cells(1);
}
static void
setup_2(void)
{
    setup_cells(2);
}
static void
setup_3(void)
{
    setup_cells(3);
}
static void
setup_4(void)
{
    setup_cells(4);
}
/* Two more at home: on the free list, and on the stack of those given back. */
static void
setup_2_others_at_home(void)
{
    setup_cells(4);
    cf__slab_give(slab, cells[2]);
    cf__slab_give(slab, cells[3]);
    cells[2] = cf__slab_take(slab); /* and the other goes to the free list */
    cf__slab_give(slab, cells[2]);
    cells[2] = cells[3] = NULL;
}

/* ---- threads ---- */

static record *
take(void)
{
    cf__mutex_lock(&owner);
    record *cell = cf__slab_take(slab);
    cf__mutex_unlock(&owner);
    if (cell != NULL)
        *cell = (record){77, 0, 1};
    return cell;
}
static void
drop(record *cell)
{
    model_check(cell->held == 1);
    cell->held = 0;
    cf__slab_give(slab, cell);
}
static void
give(void *arg) /* arg: which of the setup's */
{
    record **cell = arg;
    drop(*cell);
}
static void
take_and_give(void *arg)
{
    (void)arg;
    drop(take());
}
static void
take_two(void *arg)
{
    (void)arg;
    record *first = take(), *second = take();
    model_check(first != second);
    first->first = 1;
    second->first = 2;
    drop(first);
    model_check(second->first == 2);
    drop(second);
}
static void
take_give_take(void *arg)
{
    (void)arg;
    drop(take());
    record *again = take();
    again->first = 1;
    drop(again);
}
static void
take_may_fail(void *arg)
{
    (void)arg;
    record *first = take();
    record *second = take(); /* one of them failed at most */
    model_check(first != NULL || second != NULL);
    if (first != NULL)
        drop(first);
    if (second != NULL)
        drop(second);
}
static void
start_may_fail(void *arg)
{
    (void)arg;
    cf__slab *own = cf__slab_new();
    if (own == NULL)
        return;
    record *cell = cf__slab_take(own);
    if (cell != NULL)
        cf__slab_give(own, cell);
    cf__slab_close(own);
}
static void
close_slab(void *arg)
{
    (void)arg;
    cf__slab_close(slab);
}
static void
take_give_and_close(void *arg) /* the owner: nobody else takes */
{
    take_give_take(arg);
    close_slab(arg);
}
static void
give_chain(void *arg) /* a worker's cache, emptied */
{
    (void)arg;
    for (unsigned i = 0; i < 2; i++) {
        cells[i]->held = 0;
        cf__slab_cache_give(&cache, slab, cells[i]);
    }
    record *again = cf__slab_cache_take(&cache);
    model_check(again == cells[1]);
    cf__slab_cache_give(&cache, slab, again);
    cf__slab_cache_empty(&cache, slab);
    cf__slab_cache_empty(&cache, slab); /* is nothing */
    model_check(cf__slab_cache_take(&cache) == NULL);
}
static void
fill_a_chunk_and_close(void *arg) /* and one cell of the next */
{
    (void)arg;
    record *all[CF__SLAB_CHUNK_FIRST + 1];
    for (unsigned i = 0; i <= CF__SLAB_CHUNK_FIRST; i++)
        all[i] = take();
    for (unsigned i = 0; i <= CF__SLAB_CHUNK_FIRST; i++)
        drop(all[i]);
    cf__slab_close(slab);
}
static void
give_others(void *arg)
{
    (void)arg;
    drop(cells[2]);
    drop(cells[3]);
}
static void
give_and_close(void *arg)
{
    drop(cells[0]);
    close_slab(arg);
}

/* ---- ends ---- */

/* Every cell comes home, and the next ones out are different. */
static void
check(void)
{
    record *all[8];
    unsigned count = (unsigned)slab->used;
    model_check(count <= 8);
    for (unsigned i = 0; i < count; i++) {
        all[i] = cf__slab_take(slab);
        all[i]->holder = i;
        all[i]->held = 1;
    }
    model_check((unsigned)slab->used == count);
    for (unsigned i = 0; i < count; i++) {
        model_check(all[i]->holder == i);
        cf__slab_give(slab, all[i]);
    }
    cf__slab_close(slab);
    cf__mutex_destroy(&owner);
}
static void
check_one_out(void)
{
    drop(cells[2]);
    check();
}
static void
check_closed(void)
{
    cf__mutex_destroy(&owner);
}

static const model_scenario scenarios[] = {
    {.name = "slab_two_takers",
     .setup = setup_0,
     .threads = {{"take", take_and_give, NULL}, {"take2", take_give_take, NULL}},
     .check = check,
     .preemptions = 4,
     .stale_reads = 2},
    {.name = "slab_taker_and_givers",
     .setup = setup_2,
     .threads = {{"take", take_two, NULL}, {"give", give, &cells[0]}, {"give2", give, &cells[1]}},
     .check = check,
     .preemptions = 3},
    {.name = "slab_taken_and_given_again", /* no ABA: a cell is the top again, above another one */
     .setup = setup_3,
     .threads = {{"take", take_give_take, NULL}, {"give", give, &cells[0]}, {"give2", give, &cells[1]}},
     .check = check_one_out,
     .preemptions = 3},
    {.name = "slab_two_takers_and_giver",
     .setup = setup_1,
     .threads = {{"take", take_give_take, NULL}, {"take2", take_two, NULL}, {"give", give, &cells[0]}},
     .check = check},
    {.name = "slab_chain_and_taker",
     .setup = setup_3,
     .threads = {{"cache", give_chain, NULL}, {"take", take_two, NULL}, {"give", give, &cells[2]}},
     .check = check,
     .preemptions = 3},
    {.name = "slab_take_without_memory",
     .setup = setup_0,
     .threads = {{"take", take_may_fail, NULL}, {"take2", take_may_fail, NULL}},
     .check = check,
     .faults = 1},
    {.name = "slab_new_without_memory", .threads = {{"owner", start_may_fail, NULL}}, .faults = 2},
    {.name = "slab_close_and_give",
     .setup = setup_1,
     .threads = {{"close", close_slab, NULL}, {"give", give, &cells[0]}},
     .check = check_closed,
     .preemptions = 5,
     .stale_reads = 3},
    {.name = "slab_close_and_two_gives",
     .setup = setup_2_others_at_home,
     .threads = {{"close", close_slab, NULL}, {"give", give, &cells[0]}, {"give2", give, &cells[1]}},
     .check = check_closed,
     .preemptions = 4,
     .stale_reads = 2},
    {.name = "slab_take_close_and_two_gives",
     .setup = setup_2,
     .threads = {{"owner", take_give_and_close, NULL}, {"give", give, &cells[0]}, {"give2", give, &cells[1]}},
     .check = check_closed,
     .preemptions = 3},
    {.name = "slab_close_and_chain",
     .setup = setup_4,
     .threads = {{"close", close_slab, NULL}, {"cache", give_chain, NULL}, {"give", give_others, NULL}},
     .check = check_closed,
     .preemptions = 3,
     .stale_reads = 2},
    {.name = "slab_close_with_all_at_home",
     .setup = setup_1,
     .threads = {{"owner", give_and_close, NULL}},
     .check = check_closed},
    {.name = "slab_chunks",
     .setup = setup_0,
     .threads = {{"owner", fill_a_chunk_and_close, NULL}},
     .check = check_closed},
};

int
main(int argc, char **argv)
{
    return model_main(argc, argv, scenarios, sizeof scenarios / sizeof scenarios[0]);
}
