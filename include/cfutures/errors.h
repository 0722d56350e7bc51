/* cfutures/errors.h - one table of error codes and what they say.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: config.h.  Included by: everything that can fail.
 *
 * TWO CHANNELS, never mixed: a call returns what became of the *call* (a timeout of a wait, a closed
 *   queue); what became of the *task* is kept in its future.  Only waits return both, and there no code
 *   means two things: a task that fails by cf_fail() is CF_ERR_FAILED, whatever code it gave; a submit that
 *   found no room until its deadline is CF_ERR_FULL, so that CF_ERR_TIMEOUT is the wait's.  But for one,
 *   CF_ERR_FORKED, which in a forked child is said of all, by submits and waits: cf_future_done() tells.
 * The library never prints, never aborts for what the world can cause, and leaves errno alone. */
#ifndef CFUTURES_ERRORS_H
#define CFUTURES_ERRORS_H

#include "detail/config.h"

/* One row a code, so that the enum and the sentences can't drift apart. */
#define CF__ERRORS(X)                                                                                                  \
    X(CF_OK, "ok")                                                                                                     \
    /* of the call */                                                                                                  \
    X(CF_ERR_TIMEOUT, "the deadline passed")                                                                           \
    X(CF_ERR_FULL, "no room: the queue, or the executor, is full")                                                     \
    X(CF_ERR_EMPTY, "the queue is empty")                                                                              \
    X(CF_ERR_CLOSED, "the queue is closed")                                                                            \
    X(CF_ERR_SHUTDOWN, "the executor takes no more tasks: it is shut down")                                            \
    X(CF_ERR_BROKEN, "the executor is broken")                                                                         \
    X(CF_ERR_FORKED, "this handle belongs to the process that made it, and this is a child of it")                     \
    X(CF_ERR_NOMEM, "out of memory")                                                                                   \
    X(CF_ERR_SYSTEM, "the operating system refused a thread, a process or a resource")                                 \
    X(CF_ERR_TYPE, "the result has another type")                                                                      \
    X(CF_ERR_TOO_BIG, "arguments and result are larger than the pool's shared memory")                                 \
    X(CF_ERR_DEADLOCK, "tasks wait for each other in a circle")                                                        \
    X(CF_ERR_INVALID, "an argument is out of range, or the call makes no sense in this state")                         \
    X(CF_ERR_UNSUPPORTED, "not supported on this system, or by this executor")                                         \
    /* of the task */                                                                                                  \
    X(CF_ERR_CANCELLED, "the task was cancelled before it ran")                                                        \
    X(CF_ERR_FAILED, "the task failed")                                                                                \
    X(CF_ERR_TASK_EXITED, "the task ended its thread")                                                                 \
    X(CF_ERR_WORKER_LOST, "the worker process died while it ran the task")                                             \
    X(CF_ERR_TIME_LIMIT, "the task passed a limit of its time")                                                        \
    X(CF_ERR_CORRUPT, "the task's place in shared memory was overwritten by a worker")

typedef enum cf_err {
#define CF__X(name, text) name,
    CF__ERRORS(CF__X)
#undef CF__X
        CF__ERR_COUNT /* how many there are; never returned */
} cf_err;

/** What `error` says, in a sentence without a full stop.  Never NULL; the text lives for ever. */
CF_API const char *cf_strerror(cf_err error);

#if CF__BODIES

CF_API const char *
cf_strerror(cf_err error)
{
    static const char *const text[] = {
#define CF__X(name, text) text,
        CF__ERRORS(CF__X)
#undef CF__X
    };
    size_t index = CF__STATIC_CAST(size_t, error);
    return index < sizeof text / sizeof *text ? text[index] : "not a code of cfutures";
}

#endif /* CF__BODIES */

#endif
