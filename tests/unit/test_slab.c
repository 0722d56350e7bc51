/* tests/unit/test_slab.c - detail/slab.h
 * SPDX-License-Identifier: MIT */
#include "unit.h"

#include <cfutures/detail/slab.h>

enum { many = CF__SLAB_CHUNK_FIRST * 7 }; /* cells of the first three chunks */

/* Takes `count` cells; each is aligned, whole and nobody else's: written in full, and all checked after. */
static void
take_all(cf__slab *slab, unsigned char **cells, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        cells[i] = cf__slab_take(slab);
        assert_non_null(cells[i]);
        assert_int_equal((uintptr_t)cells[i] % CF__SLAB_ALIGN, 0);
        memset(cells[i], (int)(i % 251), CF__SLAB_CELL);
    }
    for (unsigned i = 0; i < count; i++)
        for (unsigned byte = 0; byte < CF__SLAB_CELL; byte++)
            assert_int_equal(cells[i][byte], i % 251);
}

static void
give_all(cf__slab *slab, unsigned char **cells, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        cf__slab_give(slab, cells[i]);
}

/* Cells are aligned, whole, and don't overlap; chunks are freed with the slab. */
static void
test_slab_cells_are_apart(void **state)
{
    (void)state;
    unsigned char *cells[many + 1];
    cf__slab *slab = cf__slab_new();
    take_all(slab, cells, many + 1);
    give_all(slab, cells, many + 1);
    cf__slab_close(slab);
}

/* A slab that nobody took from is freed by its close. */
static void
test_slab_closes_unused(void **state)
{
    (void)state;
    cf__slab_close(cf__slab_new());
}

/* Each chunk has twice as many cells as the one before, up to the last size. */
static void
test_slab_chunks_double(void **state)
{
    (void)state;
    cf__slab *slab = cf__slab_new();
    static unsigned char *cells[CF__SLAB_CHUNK_FIRST << 8];
    unsigned before = fault_count("alloc"), taken = 0, chunk = CF__SLAB_CHUNK_FIRST;
    for (unsigned chunks = 1; chunks <= 8; chunks++) {
        for (unsigned i = 0; i < chunk; i++) {
            cells[taken++] = cf__slab_take(slab);
            assert_int_equal(fault_count("alloc") - before, chunks);
        }
        chunk = CF__MIN(2 * chunk, (unsigned)CF__SLAB_CHUNK_LAST);
    }
    give_all(slab, cells, taken);
    cf__slab_close(slab);
}

/* What was given back is taken again before new cells are, and no memory is asked for. */
static void
test_slab_takes_again_what_was_given(void **state)
{
    (void)state;
    unsigned char *cells[many], *again[many];
    cf__slab *slab = cf__slab_new();
    take_all(slab, cells, many);
    unsigned before = fault_count("alloc");
    for (int round = 0; round < 3; round++) {
        give_all(slab, cells, many);
        take_all(slab, again, many);
        memcpy(cells, again, sizeof cells);
    }
    assert_int_equal(fault_count("alloc"), before);
    assert_int_equal(slab->used, many);
    give_all(slab, cells, many / 2);
    take_all(slab, cells, many / 2 - 1); /* one stays on the free list, one half is out */
    give_all(slab, cells, many / 2 - 1);
    give_all(slab, cells + many / 2, many - many / 2);
    cf__slab_close(slab);
}

/* The slab lives until the last cell is given back after the close; each one is usable until then. */
static void
test_slab_outlives_its_owner(void **state)
{
    (void)state;
    unsigned char *cells[many];
    long before = live_allocations();
    cf__slab *slab = cf__slab_new();
    take_all(slab, cells, many);
    give_all(slab, cells, 10);
    cells[0] = cf__slab_take(slab); /* nine of them are on the free list now... */
    cf__slab_give(slab, cells[0]);  /* ...and one on the stack */
    cf__slab_close(slab);
    for (unsigned i = 10; i < many; i++) {
        assert_true(live_allocations() > before);
        memset(cells[i], 0xEE, CF__SLAB_CELL);
        cf__slab_give(slab, cells[i]);
    }
    assert_int_equal(live_allocations(), before);
}

/* A chain given back after the close counts each of its cells. */
static void
test_slab_chain_after_close(void **state)
{
    (void)state;
    unsigned char *cells[5];
    cf__slab_cache cache = {NULL, 0};
    long before = live_allocations();
    cf__slab *slab = cf__slab_new();
    take_all(slab, cells, 5);
    for (unsigned i = 0; i < 4; i++)
        cf__slab_cache_give(&cache, slab, cells[i]);
    cf__slab_close(slab);
    cf__slab_cache_empty(&cache, slab);
    assert_true(live_allocations() > before);
    cf__slab_give(slab, cells[4]);
    assert_int_equal(live_allocations(), before);
}

/* A cache returns what it was given, newest first; when it is full, all go back to the slab first. */
static void
test_slab_cache_keeps_and_spills(void **state)
{
    (void)state;
    unsigned char *cells[CF__SLAB_CACHE + 1], *again[CF__SLAB_CACHE];
    cf__slab_cache cache = {NULL, 0};
    cf__slab *slab = cf__slab_new();
    assert_null(cf__slab_cache_take(&cache));
    cf__slab_cache_empty(&cache, slab); /* of nothing */
    take_all(slab, cells, CF__SLAB_CACHE + 1);
    for (unsigned i = 0; i < CF__SLAB_CACHE; i++)
        cf__slab_cache_give(&cache, slab, cells[i]);
    assert_int_equal(cache.count, CF__SLAB_CACHE);
    assert_null(slab->returned);
    assert_ptr_equal(cf__slab_cache_take(&cache), cells[CF__SLAB_CACHE - 1]);
    assert_ptr_equal(cf__slab_cache_take(&cache), cells[CF__SLAB_CACHE - 2]);
    cf__slab_cache_give(&cache, slab, cells[CF__SLAB_CACHE - 2]);
    cf__slab_cache_give(&cache, slab, cells[CF__SLAB_CACHE - 1]);
    assert_null(slab->returned);

    cf__slab_cache_give(&cache, slab, cells[CF__SLAB_CACHE]);
    assert_int_equal(cache.count, 1);
    int64_t used = slab->used;
    take_all(slab, again, CF__SLAB_CACHE); /* the chain, whole */
    assert_int_equal(slab->used, used);
    give_all(slab, again, CF__SLAB_CACHE);
    assert_ptr_equal(cf__slab_cache_take(&cache), cells[CF__SLAB_CACHE]);
    assert_null(cf__slab_cache_take(&cache));
    cf__slab_give(slab, cells[CF__SLAB_CACHE]);
    cf__slab_close(slab);
}

/* ---- without memory ---- */

/* Without memory there is no slab. */
static void
test_slab_new_without_memory(void **state)
{
    (void)state;
    fault_fail_nth("alloc", 1, ENOMEM);
    assert_null(cf__slab_new());
    assert_int_equal(fault_fired("alloc"), 1);
}

/* A chunk that can't be had fails that take alone: what is at home is still taken, and the next try may work. */
static void
test_slab_take_without_memory(void **state)
{
    (void)state;
    unsigned char *cells[many];
    for (unsigned n = 1; n <= 3; n++) { /* the n-th chunk */
        unsigned room = CF__SLAB_CHUNK_FIRST * ((1u << (n - 1)) - 1);
        cf__slab *slab = cf__slab_new();
        take_all(slab, cells, room);
        fault_fail_from("alloc", 1, ENOMEM);
        assert_null(cf__slab_take(slab));
        assert_null(cf__slab_take(slab));
        assert_int_equal(slab->used, room);
        give_all(slab, cells, room);
        take_all(slab, cells, room);
        assert_null(cf__slab_take(slab));
        fault_clear();
        take_all(slab, cells + room, CF__SLAB_CHUNK_FIRST);
        give_all(slab, cells, room + CF__SLAB_CHUNK_FIRST);
        cf__slab_close(slab);
    }
}

/* ---- threads ---- */

enum { turns = 300000, exchange = 64, givers = 3 };

/* Givers take cells from mailboxes that the taker fills, so that cells go round between threads. */
typedef struct market { /* fields: A atomic */
    cf__slab *slab;
    cf__mutex mutex;
    void *mailbox[exchange]; /* A: a cell for whoever is first, or NULL */
    unsigned over;           /* A */
    unsigned given;          /* A */
    unsigned wrong;          /* A: cells that two held at once */
} market;

typedef struct held { /* in a cell, behind its link */
    void *link;
    unsigned holders; /* A */
} held;

static void
hold(market *m, held *cell, bool fresh)
{
    if (!fresh && __atomic_add_fetch(&cell->holders, 1, __ATOMIC_RELAXED) != 1)
        count_one(&m->wrong);
    cell->link = m;
}

static void
let_go(market *m, held *cell)
{
    if (__atomic_sub_fetch(&cell->holders, 1, __ATOMIC_RELAXED) != 0)
        count_one(&m->wrong);
}

static void *
takes_cells(void *argument)
{
    market *m = argument;
    for (unsigned i = 0; i < turns; i++) {
        cf__mutex_lock(&m->mutex);
        int64_t used = m->slab->used;
        held *cell = cf__slab_take(m->slab);
        bool fresh = m->slab->used != used;
        if (fresh)
            cell->holders = 1;
        cf__mutex_unlock(&m->mutex);
        hold(m, cell, fresh);
        held *other = __atomic_exchange_n(&m->mailbox[i % exchange], cell, __ATOMIC_ACQ_REL);
        if (other != NULL) {
            let_go(m, other);
            cf__slab_give(m->slab, other);
            count_one(&m->given);
        }
    }
    count_one(&m->over);
    return NULL;
}

static void *
gives_cells(void *argument) /* every other one through a cache */
{
    market *m = argument;
    cf__slab_cache cache = {NULL, 0};
    for (unsigned i = 0; counted(&m->over) < 2; i++) {
        held *cell = __atomic_exchange_n(&m->mailbox[i % exchange], NULL, __ATOMIC_ACQ_REL);
        if (cell != NULL) {
            let_go(m, cell);
            if (i % 2 == 0)
                cf__slab_give(m->slab, cell);
            else
                cf__slab_cache_give(&cache, m->slab, cell);
            count_one(&m->given);
        }
    }
    cf__slab_cache_empty(&cache, m->slab);
    return NULL;
}

/* Two takers and three givers: no cell is ever held twice, none is lost, and all come home. */
static void
test_slab_threads_hold_each_cell_once(void **state)
{
    (void)state;
    static market m;
    pthread_t takers[2], threads[givers];
    memset(&m, 0, sizeof m);
    cf__mutex_init(&m.mutex);
    m.slab = cf__slab_new();
    for (unsigned i = 0; i < givers; i++)
        threads[i] = start_thread(gives_cells, &m);
    for (unsigned i = 0; i < 2; i++)
        takers[i] = start_thread(takes_cells, &m);
    for (unsigned i = 0; i < 2; i++)
        join_thread(takers[i]);
    for (unsigned i = 0; i < givers; i++)
        join_thread(threads[i]);
    for (unsigned i = 0; i < exchange; i++)
        if (m.mailbox[i] != NULL) {
            let_go(&m, m.mailbox[i]);
            cf__slab_give(m.slab, m.mailbox[i]);
            m.given++;
        }
    assert_int_equal(m.wrong, 0);
    assert_int_equal(m.given, 2 * turns);
    /* All are at home: as many as were ever used, each once. */
    int64_t used = m.slab->used;
    for (int64_t i = 0; i < used; i++) {
        held *cell = cf__slab_take(m.slab);
        assert_int_equal(__atomic_add_fetch(&cell->holders, 1, __ATOMIC_RELAXED), 1);
    }
    assert_int_equal(m.slab->used, used);
    cf__slab_free(m.slab);
    cf__mutex_destroy(&m.mutex);
}

enum { rounds = 3000, parcel = 6 };

typedef struct closing { /* fields: A atomic */
    cf__slab *slab;
    void *cells[2][parcel]; /* of each giver */
    unsigned round, done;   /* A */
} closing;

typedef struct closer {
    closing *of;
    unsigned number;
} closer;

static void *
gives_while_closed(void *argument)
{
    const closer *self = argument;
    closing *c = self->of;
    for (unsigned round = 1; round <= rounds; round++) {
        wait_until(counted(&c->round) == round);
        for (unsigned i = 0; i < parcel; i++)
            cf__slab_give(c->slab, c->cells[self->number][i]);
        count_one(&c->done);
    }
    return NULL;
}

/* A close among the last gives: somebody frees the slab, once. */
static void
test_slab_close_races_with_gives(void **state)
{
    (void)state;
    static closing c;
    closer all[2];
    pthread_t threads[2];
    memset(&c, 0, sizeof c);
    long before = live_allocations();
    for (unsigned i = 0; i < 2; i++) {
        all[i] = (closer){&c, i};
        threads[i] = start_thread(gives_while_closed, &all[i]);
    }
    for (unsigned round = 1; round <= rounds; round++) {
        cf__slab *slab = c.slab = cf__slab_new();
        for (unsigned i = 0; i < 2 * parcel; i++)
            c.cells[i % 2][i / 2] = cf__slab_take(slab);
        void *own = cf__slab_take(slab);
        count_one(&c.round);
        cf__slab_give(slab, own);
        cf__slab_close(slab);
        wait_until(counted(&c.done) == 2 * round);
        if (round % 300 == 0)
            (void)alarm(watchdog_seconds());
        assert_int_equal(live_allocations(), before);
    }
    for (unsigned i = 0; i < 2; i++)
        join_thread(threads[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slab_cells_are_apart),        cmocka_unit_test(test_slab_closes_unused),
        cmocka_unit_test(test_slab_chunks_double),          cmocka_unit_test(test_slab_takes_again_what_was_given),
        cmocka_unit_test(test_slab_outlives_its_owner),     cmocka_unit_test(test_slab_chain_after_close),
        cmocka_unit_test(test_slab_cache_keeps_and_spills), cmocka_unit_test(test_slab_new_without_memory),
        cmocka_unit_test(test_slab_take_without_memory),    cmocka_unit_test(test_slab_threads_hold_each_cell_once),
        cmocka_unit_test(test_slab_close_races_with_gives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
