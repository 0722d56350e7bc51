/* cfutures/detail/task_type.h - what a task is to the library: a description, and a context while it runs.
 * SPDX-License-Identifier: MIT
 * LAYER 2.  Includes: atomic.h, limits.h.  Included by: future.h, task.h, the pools.
 *
 * HOW IT WORKS  CF_TASK (task.h) writes a static cf_task_type for a function: its name, sizes, and two thunks that
 *   know its types.  From there on a task is bytes: a pool copies the arguments, calls run() in whatever thread or
 *   process, and hands the result's bytes back. While a task runs, cf__current points to its context, so that
 *   cf_fail() and cf_cancelled() find it.
 * THE ONE GLOBAL  cf__current is thread-local, weak, of default visibility: every file of a program sees the same
 *   one. A `static` one per file would make a worker a stranger to the other files.  The thunk sets and restores
 *   it, because the thunk is compiled into the module whose code then asks for it.  Where a plugin has a copy of
 *   its own all the same, cf_fail() says so by returning false. */
#ifndef CFUTURES_DETAIL_TASK_TYPE_H
#define CFUTURES_DETAIL_TASK_TYPE_H

#include "atomic.h"
#include "limits.h"

#define CF__MESSAGE_SIZE 160 /* bytes of a failure's message, with its final 0; longer ones are cut */

struct cf__local_worker;
struct cf__task_context;

/* What a worker process does for the task that it runs; threads have none of it. */
typedef struct cf__task_host {
    void (*note)(struct cf__task_context *context, const char *text); /* `text` has CF_NOTE_SIZE bytes */
    void (*shield)(struct cf__task_context *context, int64_t end);    /* no kill before `end`; 0: any time again */
    void (*stop_signal)(struct cf__task_context *context, int signal_number);
    /* The executor that `handle` stands for in this worker: itself, or, of the worker's own pool, the worker's part in it.  NULL:
     * that one, if the context is a task's. */
    void *(*executor)(struct cf__task_context *context, void *handle);
    void (*made)(struct cf__task_context *context, const void *executor); /* an executor, by the task */
} cf__task_host;

/** A task's context while it runs; private. */
typedef struct cf__task_context {
    struct cf__task_context
        *outer; /* I: of a task that waits for this one and runs it meanwhile; or its worker's; or NULL */
    struct cf__local_worker *worker; /* I: the thread pool's worker that we are on; NULL: none (local_worker.h) */
    const void *executor;            /* I: who runs the task: identity only, never dereferenced; NULL: whoever */
    void **local;                    /* W: the worker's own pointer, cf_worker_local(); NULL: no worker */
    const uint32_t *cancel_word;    /* A: where cf_cancelled() looks, NULL: nobody can ask; in the future or the slot */
    uint32_t cancel_bit;            /* I: the bit of it that says "please stop" */
    const cf__limits *limits;       /* I: what cf_cancelled() is to look at by itself; NULL: nothing */
    bool is_child;                  /* I: a stolen child's: one task with `outer`, which started it (child.h) */
    int64_t started;                /* I: since when it runs; where there are limits */
    int64_t noted;                  /* A: when it has noted progress, 0: never; where there are limits */
    int64_t cpu_started;            /* I: what the thread's CPU clock said then */
    const cf__task_host *host;      /* I: of a task in a worker process; NULL: in none */
    bool can_fail;                  /* W: a task or an on_start runs, not a callback between two tasks */
    int code;                       /* W: as given to cf_fail() */
    bool failed;                    /* W: cf_fail() was called */
    char message[CF__MESSAGE_SIZE]; /* W: as given to cf_fail() */
} cf__task_context;

/** What the library knows of a function that can be submitted; CF_TASK makes one, by hand it works as well.
 *  It must outlive every task made from it: a static object. */
typedef struct cf_task_type {
    const char *name;        /* the function's name, for messages */
    const char *result_name; /* the result's type as written; "void" when there is none */
    /* Calls the function with the arguments at `args`, stores its result at `result`.  Both are aligned as said
     * below; `context` goes into cf__current meanwhile. */
    void (*run)(const void *args, void *result, void *context);
    /* Writes at `args` the arguments of item `index` of a map: element `index` of each array. */
    void (*pack)(void *args, const void *const *arrays, size_t index);
    size_t args_size, args_align;     /* bytes; at least 1 */
    size_t result_size, result_align; /* bytes; size 0 when there is no result, align at least 1 */
    uint32_t arity;                   /* how many arguments */
    uint32_t pointers;                /* bit i: argument i (from 1) is a pointer; bit 0: the result is */
    /* Calls the function for items [index, end) of a map with `context` in cf__current, and stores the results (NULL:
     * not wanted) one after another.  Returns the one after the last that ran: it ends with one that fails, whose
     * result isn't stored, or when it's asked to stop.  NULL: pack() and run() for each item. */
    size_t (*run_range)(const void *const *arrays, void *results, size_t index, size_t end, void *context);
} cf_task_type;

extern __thread void *cf__current;

/* Whether somebody wants the task to stop, or one that waits for it and runs it meanwhile, or its pool is killed. */
CF_API bool cf__task_asked_to_stop(const cf__task_context *context);

#if CF__BODIES

/* `own_thread`: it runs in this thread; a thief's clock knows nothing of the CPU time of whom it has the child from. */
CF__SLOW bool
cf__task_passed_a_limit(const cf__task_context *context, bool own_thread)
{
    cf_limit passed = CF_LIMIT_NONE;
    int64_t now = cf__os_now();
    int64_t cpu = own_thread && context->limits->cpu_ms != 0 ? cf__os_thread_cpu_time() - context->cpu_started : 0;
    /* relaxed: a clock, nothing is published with it. */
    return cf__limits_due(context->limits, context->started, cf__load_relaxed(&context->noted), cpu, now, &passed) <=
           now;
}

CF_API bool
cf__task_asked_to_stop(const cf__task_context *context)
{
    /* Only a thread pool's worker has contexts of other threads further out. */
    const struct cf__local_worker *here = context != NULL ? context->worker : NULL;
    for (; context != NULL; context = context->outer) {
        /* relaxed: a request; nothing is published with it. */
        if (context->cancel_word != NULL && (cf__load_relaxed(context->cancel_word) & context->cancel_bit) != 0)
            return true;
        if (context->limits != NULL && cf__task_passed_a_limit(context, context->worker == here))
            return true;
    }
    return false;
}

__attribute__((weak, visibility("default"))) __thread void *cf__current;

CF__PRIVATE cf__task_context *
cf__task_current(void)
{
    return CF__STATIC_CAST(cf__task_context *, cf__current);
}

CF__PRIVATE void
cf__task_context_init(cf__task_context *context, const uint32_t *cancel_word, uint32_t cancel_bit)
{
    context->outer = cf__task_current();
    context->worker = context->outer != NULL ? context->outer->worker : NULL;
    context->executor = NULL;
    context->local = context->outer != NULL ? context->outer->local : NULL;
    context->cancel_word = cancel_word;
    context->cancel_bit = cancel_bit;
    context->limits = NULL;
    context->host = context->outer != NULL ? context->outer->host : NULL;
    context->is_child = false;
    context->can_fail = true;
    context->code = 0;
    context->failed = false;
    context->message[0] = 0;
}

#endif /* CF__BODIES */

#endif
