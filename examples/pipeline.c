/* examples/pipeline.c - stages joined by bounded queues; the end of the work travels down the line, "enough" travels up.
 * SPDX-License-Identifier: MIT
 *
 *     cc -std=gnu11 -O2 -pthread -Iinclude examples/pipeline.c -o pipeline
 *     ./pipeline <README.md         all of it
 *     yes | ./pipeline 3            the first three lines of what never ends
 *
 * Each line of the input has its blanks squeezed, is turned into capitals and printed with its number, and while one is
 * printed, others are in the stages before:
 *
 *     read -> squeeze -> capitals -> main prints
 *
 * A queue holds 16 lines, so a slow stage holds up those before it instead of filling the memory.  One thread a stage
 * keeps the order.  A line belongs to the stage that has got it, and passes on with the pointer in the queue. */
#include <cfutures.h>

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

CF_QUEUE(line_queue, char *);
typedef void change(char *line);

/* A stage in the middle.  Nobody needs to tell it when to end. */
static void
run_stage(line_queue *in, change *each, line_queue *out)
{
    char *line;
    while (line_queue_get(in, &line) == CF_OK) {
        each(line);
        if (line_queue_put(out, &line) != CF_OK) { /* the next stage takes no more */
            free(line);
            line_queue_close(in); /* so neither do we; what is left in it we still get, and free */
        }
    }
    line_queue_close(out); /* nothing more comes; the next stage gets what is left in it */
}
CF_TASK_VOID(run_stage, line_queue *, change *, line_queue *);

static void
read_lines(FILE *file, line_queue *out)
{
    char *line = NULL;
    size_t size = 0;
    while (getline(&line, &size, file) >= 0 && line_queue_put(out, &line) == CF_OK)
        line = NULL, size = 0; /* it isn't ours any more: getline allocates another */
    free(line);
    line_queue_close(out);
}
CF_TASK_VOID(read_lines, FILE *, line_queue *);

static void
squeeze(char *line)
{
    char *to = line;
    for (char *from = line; *from != '\0'; from++)
        if (*from != ' ' || from == line || from[-1] != ' ')
            *to++ = *from;
    *to = '\0';
}

static void
capitals(char *line)
{
    for (; *line != '\0'; line++)
        *line = (char)toupper((unsigned char)*line);
}

int
main(int argc, char **argv)
{
    long most = argc > 1 ? strtol(argv[1], NULL, 10) : -1, number = 0; /* -1: all */
    line_queue lines, squeezed, done;

    if (line_queue_init(&lines, 16) != CF_OK || line_queue_init(&squeezed, 16) != CF_OK ||
        line_queue_init(&done, 16) != CF_OK) {
        fprintf(stderr, "%s: out of memory\n", argv[0]);
        return 1;
    }
    cf_executor *pool = cf_thread_pool(.max_workers = 3); /* a thread for each stage: each waits for the others */
    cf_spawn(pool, read_lines, stdin, &lines);
    cf_spawn(pool, run_stage, &lines, squeeze, &squeezed);
    cf_spawn(pool, run_stage, &squeezed, capitals, &done);

    for (char *line; line_queue_get(&done, &line) == CF_OK; free(line)) {
        if (number != most)
            printf("%ld %s", ++number, line);
        if (number == most)
            line_queue_close(&done); /* enough: the stage before sees it at its next put, and tells the one before it */
    }

    cf_executor_close(pool); /* first the pool: its threads use the queues */
    line_queue_destroy(&lines);
    line_queue_destroy(&squeezed);
    line_queue_destroy(&done);
    return 0;
}
