/* cfutures/promise.h - a future from the side of who makes it and settles it.
 * SPDX-License-Identifier: MIT
 * LAYER 3.  Includes: future.h.  Included by: executor.h.
 *
 * Python's Future.set_result and its kin, for programs that settle a future themselves, and for executors, which claim
 *   a task, run it and settle its future in one call.  The rules are those of future.h: exactly one caller owns the
 *   outcome (F1), and writes it before the word is settled (F2). */
#ifndef CFUTURES_PROMISE_H
#define CFUTURES_PROMISE_H

#include "future.h"

#include <stdarg.h>
#include <stdio.h>

/* ---- promises, and executors that others write ---- */

/** A future that no task belongs to: somebody settles it by cf_future_set_result() or cf_future_set_error().
 *
 * result_size: bytes.  Returns owned; never NULL: without memory, one that has failed with CF_ERR_NOMEM. */
CF_API cf_future *cf_future_new(size_t result_size);

/** A future that has failed with `error`, and says `format`; without memory one that says what `error` means. */
CF_API cf_future *cf_future_new_failed(cf_err error, const char *format, ...) CF_PRINTF(2, 3);

/** Claim a pending task, to run it.  Returns false when it was cancelled, or somebody else has claimed it. */
CF_API bool cf_future_start(cf_future *future);

/** Run a future's task in this thread and settle it, unless it was cancelled or claimed before.  For executors; the
 *  caller keeps its reference.  Returns whether it settled it: by running it, or, when it came too late for start_by, by
 *  failing it with CF_ERR_TIME_LIMIT. */
CF_API bool cf_future_run(cf_future *future);

/** Settle with success.  Copies `size` bytes of `result`.
 *
 * Returns: CF_OK; CF_ERR_TYPE (the result has another size); CF_ERR_INVALID (settled already, or cancelled, or
 *          cf_future_run() runs its task right now). */
CF_API CF_NODISCARD cf_err cf_future_set_result(cf_future *future, const void *result, size_t size);

/** Settle with failure: `error` (not CF_OK), the caller's own `code`, and a message.
 *
 * Returns: CF_OK; CF_ERR_INVALID (as cf_future_set_result(), or `error` is CF_OK). */
CF_API CF_NODISCARD cf_err cf_future_set_error(cf_future *future, cf_err error, int code, const char *format, ...)
    CF_PRINTF(4, 5);

/* ---- implementation ---- */

#if CF__BODIES

CF_API cf_err
cf_future_set_result(cf_future *future, const void *result, size_t size)
{
    if (size != future->result_size && future->result_size != CF__ANY_SIZE)
        return CF_ERR_TYPE;
    if (!cf__future_claim_outcome(future))
        return CF_ERR_INVALID;
    if (size != 0)
        memcpy(future->result, result, size);
    cf__future_settle(future, CF__DONE);
    return CF_OK;
}

CF_API cf_err
cf_future_set_error(cf_future *future, cf_err error, int code, const char *format, ...)
{
    char message[CF__MESSAGE_SIZE];
    va_list arguments;
    if (error == CF_OK || !cf__future_claim_outcome(future))
        return CF_ERR_INVALID;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    cf__future_settle_failed(future, error, code, message);
    return CF_OK;
}

CF_API bool
cf_future_start(cf_future *future)
{
    return cf__future_start_as(future, CF__RUNNING);
}

CF_API bool
cf_future_run(cf_future *future)
{
    /* The outcome is ours from the start: the task writes its result while it runs, and nobody else may (F1). */
    if (!cf__future_start_as(future, CF__RUNNING | CF__SETTLING))
        return false;
    cf__future_execute(future, false);
    return true;
}

CF_API cf_future *
cf_future_new(size_t result_size)
{
    cf_future *future = cf__future_alloc(sizeof(cf_future), 0, 1, result_size, 16, cf__os_pid());
    return future != NULL ? future : cf__future_static(CF_ERR_NOMEM);
}

/* A future for a task of `type` with a copy of the arguments, to be run by `executor` under `limits` (NULL: none); NULL
 * without memory. */
CF__PRIVATE cf_future *
cf__future_new_task(const cf_task_type *type, const void *args, const void *executor, int32_t process,
                    const cf__limits *limits)
{
    bool limited = limits != NULL && cf__limits_any(limits);
    cf_future *future = cf__future_alloc(limited ? sizeof(cf__limited_future) : sizeof(cf_future), type->args_size,
                                         type->args_align, type->result_size, type->result_align, process);
    if (future == NULL)
        return NULL;
    future->type = type;
    future->executor = executor;
    future->limited = limited;
    if (limited)
        CF__POINTER_CAST(cf__limited_future *, future)->limits = *limits;
    if (type->args_size != 0)
        memcpy(future->args, args, type->args_size);
    return future;
}

CF_API cf_future *
cf_future_new_failed(cf_err error, const char *format, ...)
{
    char message[CF__MESSAGE_SIZE];
    va_list arguments;
    CF_ASSERT(error != CF_OK);
    cf_future *future = cf__future_alloc(sizeof(cf_future), 0, 1, 0, 1, cf__os_pid());
    if (future == NULL)
        return cf__future_static(error);
    future->result_size = CF__ANY_SIZE;
    va_start(arguments, format);
    (void)vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    cf__future_settle_failed(future, error, 0, message);
    return future;
}

#endif /* CF__BODIES */
#endif
