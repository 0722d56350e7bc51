/* examples/sort.c - fork and join: a merge sort whose halves are sorted side by side.
 * SPDX-License-Identifier: MIT
 *
 *     cc -std=gnu11 -O2 -pthread -Iinclude examples/sort.c -o sort && ./sort
 *     ./sort 20000000                 that many numbers
 *
 * Sorts random numbers twice by the same function, called in the main thread and on a thread pool, and prints both times.
 * A child costs about as much as a few calls, so each half may be one, down to 32 numbers: an idle worker takes the
 * largest that nobody has begun, and most are never taken.  Outside a pool a child just runs when it's joined. */
#include <cfutures.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void sort(uint32_t *numbers, uint32_t *same, size_t count);
CF_TASK_VOID(sort, uint32_t *, uint32_t *, size_t);

static void
insertion_sort(uint32_t *numbers, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        uint32_t number = numbers[i];
        size_t j = i;
        for (; j > 0 && numbers[j - 1] > number; j--)
            numbers[j] = numbers[j - 1];
        numbers[j] = number;
    }
}

/* Sorts `numbers`.  `same` holds the same numbers: its halves are sorted, and then merged into `numbers`. */
static void
sort(uint32_t *numbers, uint32_t *same, size_t count)
{
    size_t half = count / 2, left = 0, right = half;
    if (count <= 32) {
        insertion_sort(numbers, count);
        return;
    }
    cf_child(sort) child;
    cf_child_start(&child, sort, same + half, numbers + half,
                   count - half); /* another worker may take it from now on */
    sort(same, numbers, half);
    cf_child_join(&child, sort); /* runs it here, if nobody has */
    for (size_t i = 0; i < count; i++)
        numbers[i] = right == count || (left < half && same[left] <= same[right]) ? same[left++] : same[right++];
}

int
main(int argc, char **argv)
{
    size_t count = argc > 1 ? strtoul(argv[1], NULL, 10) : 4000000, size = count * sizeof(uint32_t);
    uint32_t *serial = malloc(size + 1), *parallel = malloc(size + 1), *same = malloc(size + 1), random = 1;
    if (serial == NULL || parallel == NULL || same == NULL) {
        fprintf(stderr, "%s: no memory for %zu numbers\n", argv[0], count);
        return 1;
    }
    for (size_t i = 0; i < count; i++)
        serial[i] = parallel[i] = same[i] = random = random * 1664525 + 1013904223;

    cf_time start = cf_after_ns(0);
    sort(serial, same, count);
    cf_time serial_time = cf_after_ns(0) - start;

    memcpy(same, parallel, size);
    cf_auto(cf_executor) pool = cf_thread_pool();
    start = cf_after_ns(0);
    cf_auto(cf_future) sorted = cf_submit(pool, sort, parallel, same, count);
    cf_err error = cf_future_wait(sorted, CF_FOREVER);
    cf_time parallel_time = cf_after_ns(0) - start;

    size_t in_order = 1; /* so many, from the first on */
    while (in_order < count && parallel[in_order - 1] <= parallel[in_order])
        in_order++;
    bool good = error == CF_OK && in_order >= count && memcmp(parallel, serial, size) == 0;
    printf("%zu numbers: serial %.1f ms, parallel %.1f ms, %.2f x as fast; %s\n", count, (double)serial_time / 1e6,
           (double)parallel_time / 1e6, (double)serial_time / (double)parallel_time, good ? "sorted" : "NOT SORTED");
    free(serial);
    free(parallel);
    free(same);
    return good ? 0 : 1;
}
