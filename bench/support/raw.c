/* bench/support/raw.c - see raw.h.
 * SPDX-License-Identifier: MIT */
#include "raw.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the work, the same for both kinds ---- */

void
raw_work(raw_job *job)
{
    if (job->start_line) {
        if (atomic_fetch_add(&job->ready, 1) + 1 == job->workers)
            job->began_ns = now_ns();
        while (atomic_load(&job->ready) < job->workers)
            sched_yield();
    }
    for (;;) {
        /* relaxed: the counter hands out numbers, nothing else; results are read after the join. */
        long i = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
        if (i >= job->calls)
            break;
        job->results[i] = job->function(job->argument);
        if (i == 0 && job->announce_fd >= 0 && write(job->announce_fd, "", 1) != 1)
            break; /* the starter sees that a byte is missing when the crew is gone */
    }
    if (job->start_line && atomic_fetch_add(&job->ended, 1) + 1 == job->workers)
        job->ended_ns = now_ns();
}

/* A job with its memory, ready to be started. */
static raw_job *
job_prepare(const raw_crew_kind *kind, raw_function function, int argument, long calls, unsigned workers)
{
    raw_job *job = kind->job_new(calls);
    if (job != NULL) {
        job->function = function;
        job->argument = argument;
        job->calls = calls;
        job->workers = workers;
        job->announce_fd = -1;
    }
    return job;
}

static long
sum_of_results(const raw_job *job)
{
    long sum = 0;
    for (long i = 0; i < job->calls; i++)
        sum += job->results[i];
    return sum;
}

bool
raw_run(const raw_crew_kind *kind, raw_function function, int argument, long calls, unsigned workers, double *seconds,
        long *sum)
{
    int64_t start = now_ns();
    raw_job *job = job_prepare(kind, function, argument, calls, workers);
    if (job == NULL)
        return false;
    void *crew = kind->start(job);
    bool ok = crew != NULL && kind->join(crew);
    *sum = sum_of_results(job);
    kind->job_free(job, calls);
    *seconds = seconds_since(start);
    return ok;
}

bool
raw_first_result(const raw_crew_kind *kind, raw_function function, int argument, unsigned workers, double *seconds)
{
    int ends[2];
    char byte;
    if (pipe(ends) != 0)
        return complain("pipe: %s", strerror(errno));

    bool ok = false;
    int64_t start = now_ns();
    raw_job *job = job_prepare(kind, function, argument, 1, workers);
    if (job != NULL) {
        job->announce_fd = ends[1];
        void *crew = kind->start(job);
        if (crew != NULL) {
            bool heard = read(ends[0], &byte, 1) == 1;
            *seconds = seconds_since(start);
            ok = kind->join(crew) && heard;
        }
        kind->job_free(job, 1);
    }
    close(ends[0]);
    close(ends[1]);
    return ok;
}

bool
raw_run_started(const raw_crew_kind *kind, raw_function function, int argument, long calls, unsigned workers,
                double *seconds, long *sum)
{
    raw_job *job = job_prepare(kind, function, argument, calls, workers);
    if (job == NULL)
        return false;
    job->start_line = true;
    void *crew = kind->start(job);
    bool ok = crew != NULL && kind->join(crew);
    *seconds = (double)(job->ended_ns - job->began_ns) * 1e-9;
    *sum = sum_of_results(job);
    kind->job_free(job, calls);
    return ok;
}

static size_t
job_size(long calls)
{
    return sizeof(raw_job) + (size_t)calls * sizeof(long);
}

/* ---- pthreads ---- */

typedef struct thread_crew {
    unsigned count;
    pthread_t threads[];
} thread_crew;

static raw_job *
heap_job_new(long calls)
{
    return checked_calloc(1, job_size(calls));
}

static void
heap_job_free(raw_job *job, long calls)
{
    (void)calls;
    free(job);
}

static void *
thread_main(void *job)
{
    raw_work(job);
    return NULL;
}

static bool
threads_join(void *crew)
{
    thread_crew *c = crew;
    bool ok = true;
    for (unsigned i = 0; i < c->count; i++)
        ok = pthread_join(c->threads[i], NULL) == 0 && ok;
    free(c);
    return ok;
}

static void *
threads_start(raw_job *job)
{
    thread_crew *c = checked_calloc(1, sizeof *c + job->workers * sizeof *c->threads);
    for (; c->count < job->workers; c->count++) {
        int error = pthread_create(&c->threads[c->count], NULL, thread_main, job);
        if (error != 0) {
            complain("pthread_create: %s", strerror(error));
            /* Let those that wait at the start line go, and find nothing to do. */
            atomic_store(&job->next, job->calls);
            atomic_store(&job->ready, job->workers);
            threads_join(c);
            return NULL;
        }
    }
    return c;
}

const raw_crew_kind raw_pthreads = {
    .job_new = heap_job_new, .job_free = heap_job_free, .start = threads_start, .join = threads_join};

/* ---- fork ---- */

typedef struct process_crew {
    unsigned count;
    pid_t processes[];
} process_crew;

static raw_job *
mapped_job_new(long calls)
{
    void *p = mmap(NULL, job_size(calls), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) {
        complain("mmap: %s", strerror(errno));
        return NULL;
    }
    return p; /* zeroed by the kernel */
}

static void
mapped_job_free(raw_job *job, long calls)
{
    munmap(job, job_size(calls));
}

static bool
processes_join(void *crew)
{
    process_crew *c = crew;
    bool ok = true;
    for (unsigned i = 0; i < c->count; i++) {
        int status = 0;
        pid_t gone;
        do
            gone = waitpid(c->processes[i], &status, 0);
        while (gone < 0 && errno == EINTR);
        if (gone != c->processes[i] || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
            ok = complain("a forked worker ended with wait status %d", status);
    }
    free(c);
    return ok;
}

static void *
processes_start(raw_job *job)
{
    process_crew *c = checked_calloc(1, sizeof *c + job->workers * sizeof *c->processes);
    for (; c->count < job->workers; c->count++) {
        pid_t pid = fork();
        if (pid == 0) {
            raw_work(job);
            _exit(0); /* and not exit(): what stdio holds is the parent's to write */
        }
        if (pid < 0) {
            complain("fork: %s", strerror(errno));
            atomic_store(&job->next, job->calls);
            atomic_store(&job->ready, job->workers);
            processes_join(c);
            return NULL;
        }
        c->processes[c->count] = pid;
    }
    return c;
}

const raw_crew_kind raw_fork = {
    .job_new = mapped_job_new, .job_free = mapped_job_free, .start = processes_start, .join = processes_join};
