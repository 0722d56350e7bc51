/* cfutures/detail/map_lazy.h - a map whose input comes bit by bit: a task for each item, a few of them in flight.
 * SPDX-License-Identifier: MIT
 * LAYER 4.  Includes: ../executor.h.  Included by: ../map.h.
 *
 * HOW IT WORKS  A ring of the futures in flight, in input order.  As long as there is room in it and the oldest isn't
 *   done, another item is submitted; else the oldest is waited for and taken.  All in the calling thread: there is
 *   nothing to protect, and the arguments of only one item are there at a time.
 * WITHOUT MEMORY  in the executor: an item that was fetched isn't given back to the input; it's held until what is in
 *   flight has been taken, and tried again. */
#ifndef CFUTURES_DETAIL_MAP_LAZY_H
#define CFUTURES_DETAIL_MAP_LAZY_H

#include "../executor.h"

/** Fills in the arguments of a lazy map's next item; false: there are no more. */
typedef bool cf_map_next(void *context, void *args);

/** Takes what became of item `index`; `future` is settled, and borrowed for the call.  False: no more, please. */
typedef bool cf_map_done(void *context, size_t index, cf_future *future);

#if CF__BODIES

/* As cf_map_lazy_bytes(); *reason: why it ended before its input did. */
CF__PRIVATE cf_err
cf__map_lazily(cf_executor *executor, const cf_task_type *type, size_t in_flight, cf_map_next *next, void *next_context,
               cf_map_done *done, void *done_context, cf_time deadline, cf_err *reason)
{
    cf_submit_opts submit;
    cf_err first = CF_OK;
    cf__options_copy(&submit, sizeof submit, NULL);
    submit.deadline = deadline;
    if (in_flight == 0)
        in_flight = 2 * CF__STATIC_CAST(size_t, CF__MAX(cf__executor_concurrency(executor), 8u));
    size_t futures_size = in_flight * sizeof(cf_future *);
    unsigned char *memory =
        in_flight < SIZE_MAX / 16
            ? CF__STATIC_CAST(unsigned char *, cf__os_alloc(futures_size + type->args_size + type->args_align))
            : NULL;
    *reason = memory == NULL ? CF_ERR_NOMEM : CF_OK;
    if (memory == NULL)
        return CF_ERR_NOMEM;
    cf_future **futures = CF__POINTER_CAST(cf_future **, memory);
    void *args =
        CF__POINTER_CAST(void *, CF__ROUND_UP(CF__POINTER_CAST(uintptr_t, memory + futures_size), type->args_align));

    size_t submitted = 0, taken = 0;
    bool more = true, held = false; /* held: `args` are those of an item that found no memory, or no room in time */
    while (more || submitted != taken) {
        cf_future *oldest = submitted != taken ? futures[taken % in_flight] : NULL;
        if (more && submitted - taken < in_flight && !(held && oldest != NULL) &&
            (oldest == NULL || !cf_future_done(oldest))) {
            if (cf_passed(deadline)) {
                *reason = CF_ERR_TIMEOUT;
                break;
            }
            more = held || next(next_context, args);
            if (!more)
                continue;
            cf_future *future = cf_submit_bytes(executor, type, args, &submit);
            held = future->type == NULL && ((future->error == CF_ERR_NOMEM && oldest != NULL) ||
                                            (future->error == CF_ERR_FULL && cf_passed(deadline)));
            if (held)
                cf_future_release(future); /* what's in flight may have the memory: take some, then try again */
            else
                futures[submitted++ % in_flight] = future;
            continue;
        }
        cf_err error = cf_future_wait(oldest, deadline);
        if (!cf_future_done(oldest)) {
            *reason = error;
            break;
        }
        error = cf_future_wait(oldest, CF_NOW); /* it may have become so just now */
        first = first != CF_OK ? first : error;
        bool over = oldest->type == NULL && (error == CF_ERR_SHUTDOWN || cf__executor_check(executor) != CF_OK);
        over = !done(done_context, taken++, oldest) || over;
        cf_future_release(oldest);
        if (over) {
            *reason = error;
            break;
        }
    }
    /* The latest first, as Python does: the other way around a worker may begin one whose turn has come by that. */
    while (submitted-- != taken) {
        (void)cf_future_cancel(futures[submitted % in_flight]);
        cf_future_release(futures[submitted % in_flight]);
    }
    cf__os_free(memory);
    return first != CF_OK ? first : *reason;
}

#endif /* CF__BODIES */

#endif
