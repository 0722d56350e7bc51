/* examples/first_come.c - first come, first served: work for the CPU and work that waits, in one loop.
 * SPDX-License-Identifier: MIT
 *
 *     cc -std=gnu11 -O2 -pthread -Iinclude examples/first_come.c -o first_come
 *     ./first_come 10000000 /etc/hostname 1000 /no/such/file
 *
 * Each argument is a question.  A number asks how many primes are below it: that keeps a CPU busy, so a process answers.
 * Anything else is the name of a file, or of a pipe, and asks for its first line: that waits, so a thread does.  Each answer
 * is printed as soon as it's there, whoever gives it; one that fails stops none of the others.  The exit status is then 1. */
#include <cfutures.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static long
primes_below(long n)
{
    long count = 0;
    for (long i = 2; i < n; i++) {
        long divisor = 2;
        while (divisor * divisor <= i && i % divisor != 0)
            divisor++;
        count += divisor * divisor > i;
    }
    return count;
}
CF_TASK(long, primes_below, long);

typedef struct line {
    char text[160];
} line;

static line
first_line(const char *name)
{
    line l = {""};
    FILE *file = fopen(name, "r");
    if (file == NULL)
        cf_fail(errno, "%s", strerror(errno)); /* the future's message and code; we return by ourselves */
    else if (fgets(l.text, sizeof l.text, file) == NULL)
        cf_fail(0, "there is no line in it");
    if (file != NULL)
        fclose(file);
    l.text[strcspn(l.text, "\n")] = '\0';
    return l;
}
CF_TASK(line, first_line, const char *);

/* Whether `text` is a number, and which. */
static bool
is_number(const char *text, long *number)
{
    char *end;
    *number = strtol(text, &end, 10);
    return end != text && *end == '\0';
}

int
main(int argc, char **argv)
{
    size_t questions = argc > 1 ? (size_t)argc - 1 : 0;
    cf_future **answers = calloc(questions + 1, sizeof *answers);
    int status = 0;
    long n;

    if (questions == 0 || answers == NULL) {
        fprintf(stderr, "usage: %s NUMBER|FILE...\n", argv[0]);
        return 2;
    }
    /* The processes first: they are copies of the program as it is when they are made, best without threads. */
    cf_auto(cf_executor) processes = cf_process_pool();
    cf_auto(cf_executor) threads = cf_thread_pool(.max_workers = 32);

    for (size_t i = 0; i < questions; i++)
        answers[i] = is_number(argv[i + 1], &n) ? cf_submit(processes, primes_below, n)
                                                : cf_submit(threads, first_line, argv[i + 1]);

    CF_AS_COMPLETED (i, answers, questions, CF_FOREVER) {
        const char *question = argv[i + 1];
        long primes;
        line l;
        if (cf_future_error(answers[i]) != CF_OK) {
            fprintf(stderr, "%s: %s\n", question, cf_future_message(answers[i]));
            status = 1;
        } else if (is_number(question, &n) && cf_result(answers[i], primes_below, &primes, CF_NOW) == CF_OK) {
            printf("%s: %ld primes\n", question, primes);
        } else if (cf_result(answers[i], first_line, &l, CF_NOW) == CF_OK) {
            printf("%s: %s\n", question, l.text);
        }
        fflush(stdout); /* as it comes, also into a pipe */
    }
    for (size_t i = 0; i < questions; i++)
        cf_future_release(answers[i]);
    free(answers);
    return status;
}
