/* bench/support/raw.h - what the hardware can do: a hand-written crew of pthreads, or of forked processes.
 * SPDX-License-Identifier: MIT
 *
 * The raw contenders are the limit that cfutures is measured against, so they get every advantage: no
 * queue, no future, no wake-up.  A worker takes the next call by one fetch-and-add on a shared counter
 * (dynamic, hence no unlucky split) until none is left, then ends.
 * What a raw crew can't do is take another task: whoever has a second job starts a second crew. */
#ifndef BENCH_RAW_H
#define BENCH_RAW_H

#include "rounds.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef long (*raw_function)(int argument);

/* One job: `calls` times function(argument).  Lies in memory that all workers of the crew share. */
typedef struct raw_job {
    /* set before the crew starts, then only read */
    raw_function function;
    int argument;
    long calls;
    unsigned workers;
    int announce_fd; /* gets one byte after the first call has returned; -1: none */
    bool start_line; /* begin only when all workers are there; fills began_ns and ended_ns */
    /* shared, atomic */
    atomic_long next;  /* the next call that nobody has taken */
    atomic_uint ready; /* workers at the start line */
    atomic_uint ended; /* workers that found nothing more to do */
    /* each written by one worker, read after the crew has been joined */
    int64_t began_ns, ended_ns;
    long results[]; /* one for each call */
} raw_job;

/* How a crew comes into being.  An instance is also the pool of memory its workers share. */
typedef struct raw_crew_kind {
    raw_job *(*job_new)(long calls); /* zeroed; NULL after a message */
    void (*job_free)(raw_job *job, long calls);
    /* Start job->workers workers, each of them in raw_work(job).  The crew, or NULL after a message. */
    void *(*start)(raw_job *job);
    bool (*join)(void *crew); /* wait for all of them, free the crew */
} raw_crew_kind;

extern const raw_crew_kind raw_pthreads, raw_fork;

/** The life of a worker. */
void raw_work(raw_job *job);

/** Seconds for the whole job, from before the first worker is started until the last one is gone.  Writes the sum of
 * the results too. */
bool raw_run(const raw_crew_kind *kind, raw_function function, int argument, long calls, unsigned workers,
             double *seconds, long *sum);

/** Seconds from before the first worker is started until the starter has heard of the first result. */
bool raw_first_result(const raw_crew_kind *kind, raw_function function, int argument, unsigned workers,
                      double *seconds);

/** Seconds for `calls` calls with all workers running already. */
bool raw_run_started(const raw_crew_kind *kind, raw_function function, int argument, long calls, unsigned workers,
                     double *seconds, long *sum);

#endif
