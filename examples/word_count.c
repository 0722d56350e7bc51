/* examples/word_count.c - lines, words and bytes of many files, as wc counts them: one map over the files.
 * SPDX-License-Identifier: MIT
 *
 *     cc -std=gnu11 -O2 -pthread -Iinclude examples/word_count.c -o word_count
 *     ./word_count include/cfutures/[a-z]*.h
 *
 * prints a line for each file, in the order of the arguments, and their total.  A file that can't be read stops none of
 * the others; the exit status is then 1.  Processes take the names as plain pointers, for the
 * command line was there before they were forked; with cf_thread_pool in place of cf_process_pool nothing else changes. */
#include <cfutures.h>

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct counts {
    long lines, words, bytes;
    int error; /* why the file couldn't be read, an errno; or 0 */
} counts;

static counts
count_file(const char *name)
{
    counts c = {0, 0, 0, 0};
    FILE *file = fopen(name, "r");
    if (file == NULL) {
        c.error = errno;
        return c;
    }
    bool in_word = false;
    for (int byte; (byte = getc(file)) != EOF; c.bytes++) {
        c.lines += byte == '\n';
        c.words += !in_word && !isspace(byte);
        in_word = !isspace(byte);
    }
    if (ferror(file))
        c.error = errno;
    fclose(file);
    return c;
}
CF_TASK(counts, count_file, const char *);

int
main(int argc, char **argv)
{
    size_t n = argc > 1 ? (size_t)argc - 1 : 0;
    const char *const *names = (const char *const *)argv + 1;
    counts *counted = calloc(n + 1, sizeof *counted), total = {0, 0, 0, 0};
    cf_err *status = calloc(n + 1, sizeof *status);
    bool failed = false;

    if (n == 0 || counted == NULL || status == NULL) {
        fprintf(stderr, "usage: %s FILE...\n", argv[0]);
        return 2;
    }
    cf_auto(cf_executor) pool = cf_process_pool();
    cf_map_with(pool, cf_map_options(.status = status), count_file, n, counted, names);

    for (size_t i = 0; i < n; i++) {
        /* status: what became of the task, such as CF_ERR_WORKER_LOST; error: what the task found. */
        if (status[i] != CF_OK || counted[i].error != 0) {
            fprintf(stderr, "%s: %s\n", names[i],
                    status[i] != CF_OK ? cf_strerror(status[i]) : strerror(counted[i].error));
            failed = true;
            continue;
        }
        printf("%7ld %7ld %7ld %s\n", counted[i].lines, counted[i].words, counted[i].bytes, names[i]);
        total.lines += counted[i].lines;
        total.words += counted[i].words;
        total.bytes += counted[i].bytes;
    }
    printf("%7ld %7ld %7ld total\n", total.lines, total.words, total.bytes);
    free(status);
    free(counted);
    return failed ? 1 : 0;
}
