/* bench/support/machine.h - where and with what a figure was measured; a figure without that is worth little.
 * SPDX-License-Identifier: MIT */
#ifndef BENCH_MACHINE_H
#define BENCH_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

/* Both come from the build: -DBENCH_COMMIT='"1a2b3c4"' -DBENCH_FLAGS='"-O2"'. */
#ifndef BENCH_COMMIT
#define BENCH_COMMIT "unknown"
#endif
#ifndef BENCH_FLAGS
#define BENCH_FLAGS ""
#endif

typedef struct machine {
    char processor[96]; /* "Intel(R) Xeon(R) ..." */
    char system[96];    /* "Linux 6.1.0 x86_64" */
    char compiler[96];  /* "gcc 12.2.0 -O2" */
    const char *commit; /* of cfutures */
    char date[16];      /* today, "2026-01-31" */
    unsigned cpus;      /* that this process may use */
} machine;

machine machine_describe(void);

/** The same as two lines below a plot: what it ran on, and what was run. */
void machine_lines(const machine *m, char *ran_on, char *built_with, size_t size);

/** "s" after a number that isn't 1. */
const char *plural(unsigned n);

/** Whether text on the terminal may hold more than ASCII.  Sets the locale of characters from the environment. */
bool terminal_has_utf8(void);

#endif
