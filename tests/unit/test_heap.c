/* tests/unit/test_heap.c - detail/heap.h
 * SPDX-License-Identifier: MIT */
#include "unit.h"

#include <cfutures/detail/heap.h>

enum { unit = CF__HEAP_UNIT, units = 256 };

typedef struct arena {
    cf__heap heap;
    void *region;
} arena;

static void
arena_make(arena *a, size_t size)
{
    a->region = cf__os_map_private(size);
    assert_non_null(a->region);
    assert_true(cf__heap_init(&a->heap, a->region, size));
}

static void
arena_end(arena *a, size_t size)
{
    cf__heap_destroy(&a->heap);
    cf__os_unmap(a->region, size);
}

/* A region's use is the largest power of two units that fits, none for less than one unit. */
static void
test_heap_usable_is_power_of_two(void **state)
{
    (void)state;
    assert_int_equal(cf__heap_usable(0), 0);
    assert_int_equal(cf__heap_usable(unit - 1), 0);
    assert_int_equal(cf__heap_usable(unit), unit);
    assert_int_equal(cf__heap_usable(2 * unit - 1), unit);
    assert_int_equal(cf__heap_usable(2 * unit), 2 * unit);
    assert_int_equal(cf__heap_usable(7 * unit), 4 * unit);
    assert_int_equal(cf__heap_usable((size_t)1 << 30), (size_t)1 << 30);
    assert_int_equal(cf__heap_usable(SIZE_MAX), ((size_t)1 << 31) * unit);
}

/* An empty region has no block. */
static void
test_heap_empty_region(void **state)
{
    (void)state;
    cf__heap heap;
    assert_true(cf__heap_init(&heap, NULL, 0));
    assert_int_equal(cf__heap_limit(&heap), 0);
    assert_null(cf__heap_take(&heap, 1));
    assert_null(cf__heap_take(&heap, 0));
    cf__heap_destroy(&heap);
}

/* A region of one unit is one block, again and again. */
static void
test_heap_single_unit(void **state)
{
    (void)state;
    arena a;
    arena_make(&a, unit);
    assert_int_equal(cf__heap_limit(&a.heap), unit);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(cf__heap_take(&a.heap, 1), a.region);
        assert_null(cf__heap_take(&a.heap, 1));
        cf__heap_give(&a.heap, a.region);
    }
    assert_null(cf__heap_take(&a.heap, unit + 1));
    arena_end(&a, unit);
}

/* Blocks are exact to the byte: what a block of n units can't hold gets the next larger one. */
static void
test_heap_sizes_round_up(void **state)
{
    (void)state;
    static const struct {
        size_t size, block;
    } rows[] = {{0, unit},
                {1, unit},
                {unit, unit},
                {unit + 1, 2 * unit},
                {2 * unit, 2 * unit},
                {2 * unit + 1, 4 * unit},
                {5 * unit, 8 * unit},
                {units * unit, units * unit}};
    arena a;
    arena_make(&a, units * unit);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = 0;
        unsigned char *blocks[units];
        while ((blocks[n] = cf__heap_take(&a.heap, rows[i].size)) != NULL)
            if (++n == units)
                break;
        assert_int_equal(n, units * unit / rows[i].block);
        assert_null(cf__heap_take(&a.heap, 1));
        while (n > 0)
            cf__heap_give(&a.heap, blocks[--n]);
    }
    assert_null(cf__heap_take(&a.heap, units * unit + 1));
    assert_null(cf__heap_take(&a.heap, SIZE_MAX));
    arena_end(&a, units * unit);
}

/* Given back in any order, the blocks join to the one they came from. */
static void
test_heap_coalesces_to_one_block(void **state)
{
    (void)state;
    arena a;
    arena_make(&a, units * unit);
    for (unsigned step = 1; step < 64; step += 2) { /* odd, so it visits all units */
        void *blocks[units];
        for (size_t i = 0; i < units; i++)
            assert_non_null(blocks[i] = cf__heap_take(&a.heap, unit));
        assert_null(cf__heap_take(&a.heap, unit));
        for (size_t i = 0; i < units; i++) {
            assert_null(cf__heap_take(&a.heap, units * unit));
            cf__heap_give(&a.heap, blocks[i * step % units]);
        }
        assert_ptr_equal(cf__heap_take(&a.heap, units * unit), a.region);
        assert_null(cf__heap_take(&a.heap, 1));
        cf__heap_give(&a.heap, a.region);
    }
    arena_end(&a, units * unit);
}

/* The block given back last is taken first, for it's still warm. */
static void
test_heap_reuses_last_given(void **state)
{
    (void)state;
    arena a;
    void *blocks[8];
    arena_make(&a, 8 * unit);
    for (int i = 0; i < 8; i++)
        blocks[i] = cf__heap_take(&a.heap, 1);
    cf__heap_give(&a.heap, blocks[0]); /* no two of them buddies */
    cf__heap_give(&a.heap, blocks[4]);
    cf__heap_give(&a.heap, blocks[2]);
    assert_ptr_equal(cf__heap_take(&a.heap, 1), blocks[2]);
    assert_ptr_equal(cf__heap_take(&a.heap, 1), blocks[4]);
    assert_ptr_equal(cf__heap_take(&a.heap, 1), blocks[0]);
    arena_end(&a, 8 * unit);
}

/* The smallest free block that is large enough is split, and no larger one. */
static void
test_heap_splits_smallest(void **state)
{
    (void)state;
    arena a;
    arena_make(&a, 8 * unit);
    void *low = cf__heap_take(&a.heap, 4 * unit), *two = cf__heap_take(&a.heap, 2 * unit);
    cf__heap_give(&a.heap, low); /* free: four units at the start, two at the end */
    void *one = cf__heap_take(&a.heap, 1);
    assert_ptr_equal(one, (unsigned char *)a.region + 6 * unit);
    assert_ptr_equal(cf__heap_take(&a.heap, 4 * unit), low);
    cf__heap_give(&a.heap, two);
    arena_end(&a, 8 * unit);
}

/* ---- against an oracle ---- */

typedef struct taken {
    unsigned char *at;
    size_t units;
} taken;

static uint64_t
random_next(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

/* Whether there is a free block: a multiple of its size, of units that nobody has. */
static bool
oracle_has(const bool *used, size_t n)
{
    for (size_t first = 0; n <= units && first < units; first += n) {
        size_t i = 0;
        while (i < n && !used[first + i])
            i++;
        if (i == n)
            return true;
    }
    return false;
}

/* Over a long random run, a block is there exactly if one could be, aligned to its size, and no two overlap. */
static void
test_heap_random_run_fits_oracle(void **state)
{
    (void)state;
    arena a;
    bool used[units] = {false};
    taken blocks[units];
    size_t n = 0, refused = 0;
    uint64_t seed = 20240607;
    arena_make(&a, units * unit);
    for (int step = 0; step < 60000; step++) {
        bool fill = step / 500 % 2 == 0;
        if (random_next(&seed) % 10 < (fill ? 7u : 3u)) {
            size_t size = random_next(&seed) % ((size_t)1 << (random_next(&seed) % 17));
            size_t want = 1;
            while (want * unit < size)
                want *= 2;
            bool expected = oracle_has(used, want);
            unsigned char *at = cf__heap_take(&a.heap, size);
            assert_int_equal(at != NULL, expected);
            if (at == NULL) {
                refused++;
                continue;
            }
            size_t offset = (size_t)(at - (unsigned char *)a.region);
            assert_int_equal(offset % (want * unit), 0);
            for (size_t i = offset / unit; i < offset / unit + want; i++) {
                assert_true(i < units && !used[i]);
                used[i] = true;
            }
            blocks[n].at = at;
            blocks[n++].units = want;
            memset(at, 0xee, want * unit); /* nothing of the heap is kept here */
        } else if (n > 0) {
            size_t which = random_next(&seed) % n;
            size_t first = (size_t)(blocks[which].at - (unsigned char *)a.region) / unit;
            for (size_t i = first; i < first + blocks[which].units; i++)
                used[i] = false;
            cf__heap_give(&a.heap, blocks[which].at);
            blocks[which] = blocks[--n];
        }
    }
    assert_true(refused > 1000); /* it was full often enough */
    while (n > 0)
        cf__heap_give(&a.heap, blocks[--n].at);
    assert_ptr_equal(cf__heap_take(&a.heap, units * unit), a.region);
    arena_end(&a, units * unit);
}

/* ---- without memory, and misuse ---- */

/* Bytes of address space that the program has. */
static size_t
address_space(void)
{
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%zu", &pages), 1);
    (void)fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* A heap that couldn't be made, and one that was destroyed, have given back what they had. */
static void
test_heap_gives_back_bookkeeping(void **state)
{
    (void)state;
    cf__heap heap;
    size_t size = (size_t)1 << 30, bookkeeping = 9 * (size / unit);
    for (unsigned n = 1; n <= 3; n++) { /* the region itself isn't touched, so there needn't be one */
        size_t before = address_space();
        for (int i = 0; i < 20; i++) {
            fault_fail_nth("map_private", n, ENOMEM);
            bool made = cf__heap_init(&heap, NULL, size);
            assert_int_equal(made, n == 3);
            if (made)
                cf__heap_destroy(&heap);
        }
        assert_true(address_space() < before + 2 * (bookkeeping / 9));
    }
}

/* Without memory for the bookkeeping there is no heap, and nothing to destroy. */
static void
test_heap_init_without_memory(void **state)
{
    (void)state;
    cf__heap heap;
    for (unsigned n = 1; n <= 2; n++) {
        fault_fail_nth("map_private", n, ENOMEM);
        assert_false(cf__heap_init(&heap, NULL, 4 * unit));
    }
    fault_fail_nth("map_private", 3, ENOMEM);
    assert_true(cf__heap_init(&heap, NULL, 4 * unit));
    cf__heap_destroy(&heap);
    assert_int_equal(fault_fired("map_private"), 0);
}

static int
gives_twice(void)
{
    arena a;
    a.region = cf__os_map_private(4 * unit);
    child_check(cf__heap_init(&a.heap, a.region, 4 * unit));
    void *block = cf__heap_take(&a.heap, 1);
    cf__heap_give(&a.heap, block);
    cf__heap_give(&a.heap, block);
    return 0;
}

static int
gives_joined_twice(void)
{
    arena a;
    a.region = cf__os_map_private(4 * unit);
    child_check(cf__heap_init(&a.heap, a.region, 4 * unit));
    void *low = cf__heap_take(&a.heap, 1), *high = cf__heap_take(&a.heap, 1);
    cf__heap_give(&a.heap, low);
    cf__heap_give(&a.heap, high); /* which is no block any more, but the middle of one */
    cf__heap_give(&a.heap, high);
    return 0;
}

/* Giving a block twice is an assertion, not a heap in disorder, also when it has joined others meanwhile. */
static void
test_heap_double_give_asserts(void **state)
{
    (void)state;
    int status = run_in_child(gives_twice);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    status = run_in_child(gives_joined_twice);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heap_usable_is_power_of_two),
        cmocka_unit_test(test_heap_empty_region),
        cmocka_unit_test(test_heap_single_unit),
        cmocka_unit_test(test_heap_sizes_round_up),
        cmocka_unit_test(test_heap_coalesces_to_one_block),
        cmocka_unit_test(test_heap_reuses_last_given),
        cmocka_unit_test(test_heap_splits_smallest),
        cmocka_unit_test(test_heap_random_run_fits_oracle),
        cmocka_unit_test(test_heap_gives_back_bookkeeping),
        cmocka_unit_test(test_heap_init_without_memory),
        cmocka_unit_test(test_heap_double_give_asserts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
