/* cfutures/inline_executor.h - runs each task in the submit that brings it.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: executor.h.  Included by: cfutures.h.
 *
 * For tests, for debugging with one thread, and as the smallest example of an executor: submit makes the future,
 * runs the task in the caller, and has a settled future to return.  Nothing waits, nothing is pending; a task that
 * crashes takes the program along. */
#ifndef CFUTURES_INLINE_EXECUTOR_H
#define CFUTURES_INLINE_EXECUTOR_H

#include "executor.h"

/** An executor that runs each task in the calling thread, inside submit.
 *
 * Returns owned, never NULL (cf_executor_error() says what failed); end it by cf_executor_close(). */
CF_API CF_NODISCARD cf_executor *cf_inline_executor(void);

/* ---- implementation ---- */

#if CF__BODIES

typedef struct cf__inline_executor {
    cf_executor base;
    uint32_t shut_down; /* A: submits fail from then on */
} cf__inline_executor;

CF__PRIVATE cf_future *
cf__inline_submit(cf_executor *base, const cf_task_type *type, const void *args, const cf_submit_opts *options)
{
    cf__inline_executor *executor = CF__POINTER_CAST(cf__inline_executor *, base);
    /* relaxed: a submit at the same time as the shutdown may come before or after it. */
    if (cf__load_relaxed(&executor->shut_down))
        return cf__future_static(CF_ERR_SHUTDOWN);
    cf_future *future = cf_executor_new_task(base, type, args, options);
    if (future == NULL)
        return cf__future_static(CF_ERR_NOMEM);
    (void)cf_future_run(future);
    cf_future_release(future);
    return future;
}

CF__PRIVATE cf_err
cf__inline_shutdown(cf_executor *base, cf_shutdown_mode mode, cf_time deadline, cf_shutdown_report *report)
{
    (void)mode;
    (void)deadline;
    (void)report;
    cf__store_relaxed(&CF__POINTER_CAST(cf__inline_executor *, base)->shut_down, 1u);
    return CF_OK;
}

CF__PRIVATE void
cf__inline_free(cf_executor *base, bool forked)
{
    (void)forked;
    cf_executor_destroy(base);
    cf__os_free(base);
}

CF__PRIVATE unsigned
cf__inline_concurrency(cf_executor *base)
{
    (void)base;
    return 1;
}

CF_API cf_executor *
cf_inline_executor(void)
{
    static const cf_executor_ops ops = {sizeof(cf_executor_ops),
                                        "inline executor",
                                        cf__inline_submit,
                                        cf__inline_shutdown,
                                        cf__inline_free,
                                        NULL,
                                        NULL,
                                        cf__inline_concurrency,
                                        true};
    cf__inline_executor *executor = CF__STATIC_CAST(cf__inline_executor *, cf__os_alloc(sizeof *executor));
    if (executor == NULL)
        return cf_executor_new_failed(CF_ERR_NOMEM, "inline executor: out of memory");
    cf_executor_init(&executor->base, &ops);
    executor->shut_down = 0;
    return &executor->base;
}

#endif /* CF__BODIES */

#endif
