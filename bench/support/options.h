/* bench/support/options.h - the command line of a bench: one table, from which --help is printed too.
 * SPDX-License-Identifier: MIT
 *
 * Every bench has the options of bench_options below; what is its own it adds as a table.
 * A wrong command line gets one sentence on stderr and exit status 2. */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* One option.  Exactly one of `number`, `flag` and `file` is set; it says what the option takes. */
typedef struct option_spec {
    char letter;           /* 'n' for -n; 0: none */
    const char *name;      /* "json" for --json; NULL: none */
    long *number;          /* takes a whole number within [min, max] */
    long min, max;         /* only with `number` */
    bool *flag;            /* takes nothing */
    const char **file;     /* takes a file name; "-" is stdout */
    bool file_is_optional; /* without a name: "-" */
    const char *argument;  /* its name in --help */
    const char *help;      /* one line, no full stop */
} option_spec;

/* What all benches understand.  0, NULL and false: not given. */
typedef struct bench_options {
    long repeats;     /* counted rounds */
    bool quick;       /* a smoke test: small and inexact */
    const char *json; /* file for JSON lines; "-": stdout */
    const char *svg;  /* file for the plot; "-": stdout */
} bench_options;

/** Parse the command line into the variables that `own[0 .. count)` and `common` point at.
 * Doesn't return for --help (exit status 0) nor for a mistake (exit status 2). */
void options_parse(int argc, char **argv, const char *about, const option_spec *own, size_t count,
                   bench_options *common);

/** Open `name` for writing, "-" being stdout, NULL giving NULL; ends the program if it can't.  Called
 * before anything is measured: nobody wants to learn of a typing error after half a minute. */
FILE *output_open(const char *name);

/** Close what output_open() gave (NULL and stdout: fine).  False, with a message, if not all was written. */
bool output_close(FILE *file, const char *name);

#endif
