/* cfutures/detail/future_record.h - a future's record: what is in it, how it's made.
 * SPDX-License-Identifier: MIT
 * LAYER 3.  Includes: local_worker.h, place.h, task_type.h, ../deadline.h.  Included by: ../future.h.
 *
 * One allocation, or a cell of a slab, holds the record, limits if there are any, the arguments, and the room for the result.
 *   What may be done with it, and in which order, is said in ../future.h, to whose invariants (F2) and labels the letters
 *   here belong.
 * WITHOUT MEMORY  there is a static record for each error: settled, its reference count 0, never written. */
#ifndef CFUTURES_DETAIL_FUTURE_RECORD_H
#define CFUTURES_DETAIL_FUTURE_RECORD_H

#include "../deadline.h"
#include "local_worker.h"
#include "place.h"
#include "task_type.h"

typedef struct cf_future cf_future;

/* What a future asks of the place that holds its truth; private to the pools. */
typedef struct cf__future_origin {
    /* Settles the record as soon as the outcome is known; returns CF_OK when it is settled, CF_ERR_TIMEOUT,
     * CF_ERR_FORKED. */
    cf_err (*await)(cf_future *future, cf_time deadline);
    /* As cf_future_cancel(). */
    bool (*cancel)(cf_future *future);
    /* A callback waits: see to it that the record gets settled without anybody calling await.  CF_OK, or why it
     * can't. */
    cf_err (*watch)(cf_future *future);
    /* As cf_future_account(). */
    const cf_account *(*account)(cf_future *future);
    /* The last reference is gone: give back what the origin holds for it.  The record itself is freed by the
     * caller. */
    void (*forget)(cf_future *future);
} cf__future_origin;

/* Private.  Fields: I immutable once shared, A atomic, S written by the settler before it settles (F2). */
struct cf_future {
    uint32_t state;                  /* A: state and flags, see above; from bit 8 on: who runs it, if a pool cares */
    uint32_t references;             /* A: 0 marks a static one, never counted nor freed */
    const cf_task_type *type;        /* I: NULL for a promise */
    const cf__future_origin *origin; /* I: NULL: this record is the truth */
    const void *executor;            /* I: who runs it: identity, never dereferenced; or NULL */
    void *args;         /* I: the arguments, in this allocation; S, once settled: the callbacks still to be run */
    void *result;       /* S: room for the result; in this allocation, or the origin's */
    size_t result_size; /* I: bytes */
    void *callbacks;    /* A: stack of cf__callback, or a cf__callback_line, or closed: see there */
    cf_future *next;    /* belongs to the executor while it queues the future; as does `segment` */
    char *message;      /* S: owned, or NULL */
    int code;           /* S: the code given to cf_fail(), else 0 */
    int32_t process;    /* I: who made it */
    int16_t error;      /* S: a cf_err: CF_OK or why the task failed; a cancelled one says so in the state */
    int16_t signal;     /* S: how a lost worker ended: its signal... */
    int16_t status;     /* S: ...or its exit status; else 0 */
    bool spins;         /* I: it pays to spin before sleeping: a worker is awake, on another CPU */
    bool limited;       /* I: it's the start of a cf__limited_future */
    cf__slab *slab;     /* I: whose cell this is; NULL: allocated */
    cf_future *within;  /* belongs to who runs it: the task whose wait it is run in, or NULL */
    cf_future *segment;
    CF__PLACE /* where its waiters sleep */
};

/* One whose task has limits that its own executor's threads see to, see detail/limits.h. */
typedef struct cf__limited_future {
    cf_future base;
    cf__limits limits; /* I */
} cf__limited_future;

#if CF__BODIES

#define CF__PENDING 0u
#define CF__RUNNING 1u
#define CF__DONE 2u /* from here on: settled */
#define CF__FAILED 3u
#define CF__CANCELLED 4u
#define CF__STATE_MASK 7u
#define CF__SETTLING 8u
#define CF__WAITED 16u
#define CF__STOP 32u
#define CF__OWNER_SHIFT 8

/* One entry of a future's list of callbacks.  Whoever takes it off the list calls run(), once, and doesn't touch it
 * again: with the future when it has settled, with NULL when its last reference went without that. */
typedef struct cf__callback {
    struct cf__callback *next, *previous; /* previous: on a line only */
    void (*run)(struct cf__callback *self, cf_future *future);
} cf__callback;

/* What a future has in place of the stack as soon as it has an entry that may be taken off again: a wait's.  A stack can't
 * give one back, for who settles takes it away at any moment; a line has a mutex, which the settler takes as well.  It
 * lives as long as the future, so that whoever has a reference may lock it. */
typedef struct cf__callback_line { /* fields: M under mutex */
    cf__mutex mutex;
    cf__callback *first, *last; /* M: oldest first */
    bool closed; /* M: the settler has taken them: nothing is taken off, and who comes now runs its own */
} cf__callback_line;

/* Bits of cf_future.callbacks beside an address. */
#define CF__CALLBACKS_CLOSED 1u /* no more callbacks; the address is a line's, or 0 */
#define CF__CALLBACKS_LINE 2u   /* the address is a line's */

/* result_size of a future that has failed before anybody knew its task: its error is to be had with any type. */
#define CF__ANY_SIZE SIZE_MAX

CF__PRIVATE void *
cf__callbacks_word(cf__callback_line *line, uintptr_t bits)
{
    return CF__POINTER_CAST(void *, CF__POINTER_CAST(uintptr_t, line) | bits);
}

/* The line, closed or not; NULL: there is none, or it is just being closed. */
CF__PRIVATE cf__callback_line *
cf__callbacks_line(void *word)
{
    uintptr_t address = CF__POINTER_CAST(uintptr_t, word), bits = CF__CALLBACKS_CLOSED | CF__CALLBACKS_LINE;
    return address & CF__CALLBACKS_LINE ? CF__POINTER_CAST(cf__callback_line *, address & ~bits) : NULL;
}

CF__PRIVATE void
cf__line_append(cf__callback_line *line, cf__callback *node)
{
    node->next = NULL;
    node->previous = line->last;
    if (line->last != NULL)
        line->last->next = node;
    else
        line->first = node;
    line->last = node;
}

CF__PRIVATE void
cf__line_unlink(cf__callback_line *line, cf__callback *node)
{
    if (node->previous != NULL)
        node->previous->next = node->next;
    else
        line->first = node->next;
    if (node->next != NULL)
        node->next->previous = node->previous;
    else
        line->last = node->previous;
}

CF__PRIVATE cf__callback_line *
cf__line_new(void)
{
    cf__callback_line *line = CF__STATIC_CAST(cf__callback_line *, cf__os_alloc(sizeof *line));
    if (line == NULL)
        return NULL;
    cf__mutex_init(&line->mutex);
    line->first = line->last = NULL;
    line->closed = false;
    return line;
}

CF__PRIVATE void
cf__line_free(cf__callback_line *line)
{
    if (line == NULL)
        return;
    cf__mutex_destroy(&line->mutex);
    cf__os_free(line);
}

/* What a stack holds, oldest first. */
CF__PRIVATE cf__callback *
cf__callbacks_reverse(void *word)
{
    cf__callback *stack = CF__STATIC_CAST(cf__callback *, word), *oldest = NULL;
    while (stack != NULL) {
        cf__callback *next = stack->next;
        stack->next = oldest;
        oldest = stack;
        stack = next;
    }
    return oldest;
}

CF__PRIVATE bool
cf__settled(uint32_t state)
{
    return (state & CF__STATE_MASK) >= CF__DONE;
}

/* Whether the calling thread runs it, which is `worker`'s (NULL: nobody's). */
CF__PRIVATE bool
cf__future_runs_on(const cf_future *future, const cf__local_worker *worker)
{
    const cf_future *running = worker != NULL ? worker->running : NULL;
    while (running != NULL && running != future)
        running = running->within;
    return running != NULL;
}

/* A failed future for each error, without memory.  Never written: it is settled, and its reference count is 0. */
CF__PRIVATE cf_future *
cf__future_static(cf_err error)
{
#define CF__X(name, text)                                                                                              \
    {CF__FAILED, 0, NULL, NULL,  NULL,  NULL, NULL, CF__ANY_SIZE,         NULL, NULL, NULL, 0, 0,                      \
     name,       0, 0,    false, false, NULL, NULL, NULL CF__PLACE_STATIC},
    static const cf_future failed[] = {CF__ERRORS(CF__X)};
#undef CF__X
    return CF__STATIC_CAST(cf_future *, cf__opaque(&failed[error]));
}

/* `alignment` is a power of two, which CF__ROUND_UP wouldn't know: four divisions, an eighth of what a submit costs. */
CF__PRIVATE uintptr_t
cf__align_up(uintptr_t address, size_t alignment)
{
    return (address + alignment - 1) & ~(alignment - 1);
}

/* Makes the record of `process` at `memory`, with the places for arguments and result behind it, aligned as said.
 * Returns how many bytes that takes; memory NULL: only that, for memory that starts at a cache line. */
CF__PRIVATE size_t
cf__future_init(void *memory, size_t record_size, size_t args_size, size_t args_align, size_t result_size,
                size_t result_align, int32_t process)
{
    uintptr_t start = CF__POINTER_CAST(uintptr_t, memory);
    uintptr_t args = cf__align_up(start + record_size, args_align);
    uintptr_t result = cf__align_up(args + args_size, result_align);
    if (memory == NULL)
        return result + result_size;
    cf_future *future = CF__STATIC_CAST(cf_future *, memory);
    /* Field by field: at -O2 memset is a `rep stos`, a fifth of what a submit costs. */
    future->state = CF__PENDING;
    future->references = 1;
    future->type = NULL;
    future->origin = NULL;
    future->executor = NULL;
    future->callbacks = NULL;
    future->next = future->segment = future->within = NULL;
    future->message = NULL;
    future->error = CF_OK;
    future->code = future->signal = future->status = 0;
    future->spins = future->limited = false;
    future->slab = NULL;
    cf__place_init(future);
    future->args = args_size != 0 ? CF__POINTER_CAST(void *, args) : NULL;
    future->result = CF__POINTER_CAST(void *, result);
    future->result_size = result_size;
    future->process = process;
    return result + result_size - start;
}

/* The same in memory of its own; NULL when there is none. */
CF__PRIVATE cf_future *
cf__future_alloc(size_t record_size, size_t args_size, size_t args_align, size_t result_size, size_t result_align,
                 int32_t process)
{
    if (args_size > SIZE_MAX / 4 || result_size > SIZE_MAX / 4)
        return NULL;
    void *memory = cf__os_alloc(record_size + args_size + args_align + result_size + result_align);
    if (memory != NULL)
        (void)cf__future_init(memory, record_size, args_size, args_align, result_size, result_align, process);
    return CF__STATIC_CAST(cf_future *, memory);
}

#endif /* CF__BODIES */

#endif
