/* cfutures/postmortem.h - where a task was when it crashed: the address it touched, and the calls that led there.
 * SPDX-License-Identifier: MIT
 * LAYER 6.  Includes: detail/{worker,os_fault,symbols}.h.  An extra: cfutures.h doesn't bring it.
 *
 *     cf_auto(cf_executor) pool = cf_process_pool(.on_start = cf_postmortem);
 *     ...
 *     if (cf_future_error(f) == CF_ERR_WORKER_LOST) {
 *         char text[2048];
 *         (void)cf_postmortem_describe(cf_future_account(f), text, sizeof text);
 *         fprintf(stderr, "%s\n%s", cf_future_message(f), text);
 *     }
 *
 * HOW IT WORKS  cf_postmortem() runs in each worker process and sets a handler for the signals by which a mistake ends a
 *   process.  The handler writes what the kernel says, and the addresses on the stack, into the worker's record in shared
 *   memory, and lets the process die of the same signal, core dump and all.  The template finds them there when it buries the
 *   worker, and puts them into the future's account (detail/arena.h).  Names are for the living: the parent has the same
 *   files mapped at the same addresses, for workers are forks of it (detail/symbols.h).
 * HOW THE HANDLER FINDS THE RECORD, without an object in file scope: by the worker's *will*, which lies at the low end of the
 *   stack that the handler runs on, and the kernel says where that is.  The stack is the main thread's, where tasks run.  A
 *   thread that a task has started asks the main thread: it sends it the same signal, with a question in it.
 * INVARIANTS
 *   M1  Nothing here keeps a process alive that was about to die: no lock, no allocation, no loop without bound, and each
 *       wait ends after CF__WILL_PATIENCE.
 *   M2  A fault in the handler ends the process by the first signal: the kernel does that by itself if it's the same one
 *       again, for that is blocked; else the handler sees by `dying` that it is at it already.  What was written by then counts.
 *   M3  Of two threads that crash at once the first to set `dying` writes, and the process dies of its signal.
 *   M4  A process that a task has forked has a copy of the will, but not its process id: it dies without a word.
 * ORDERING  One process: the kernel's delivery of a signal, and a futex, order question and answer.  The template reads the
 *   record after it has reaped the worker. */
#ifndef CFUTURES_POSTMORTEM_H
#define CFUTURES_POSTMORTEM_H

#include "detail/os_fault.h"
#include "detail/symbols.h"
#include "detail/worker.h"

/** Have each worker of a process pool leave an account of its crash: `.on_start = cf_postmortem`, or a call in your own
 *  on_start, `cf_postmortem(NULL)`.
 *
 * It catches SIGSEGV (stack overflow, too), SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS and SIGTRAP, but for those that the program
 * handles or ignores by then.  If there is no memory for it, crashes are as without it.  Elsewhere, as on a thread pool, it
 * does nothing.  The argument isn't used. */
CF_API void cf_postmortem(void *unused);

/** Write where the task was, as text: one line for each of account->frames, innermost first, such as
 *
 *     #0 0x000055d0c0ffe1a3 parse_number+0x13 (/usr/bin/prog+0x11a3)
 *
 * In brackets is what `addr2line -f -e /usr/bin/prog 0x11a3` wants.  A function is named if the file has its symbols: static
 * ones unless it was stripped.  Code that was loaded in the worker only has no name.
 *
 * Blocks:  for as long as it takes to read the files' symbol tables.
 * Returns: bytes of the whole text; if that's `size` or more, it was cut at size - 1 bytes.  0 if there are no frames, or
 *          `account` is NULL. */
CF_API size_t cf_postmortem_describe(const cf_account *account, char *text, size_t size);

#if CF__BODIES

#if CF__FUTEX

#define CF__WILL_PATIENCE INT64_C(1000000000) /* nanoseconds */

typedef struct cf__will {        /* fields: I immutable, A atomic */
    const struct cf__will *self; /* I: where it lies; else it's none */
    cf__worker_record *record;   /* I */
    int32_t process;             /* I: whose it is */
    uint32_t dying;              /* A: the thread that writes in the record | its signal << 24; 0: none */
} cf__will;

typedef struct cf__will_question { /* of a thread to the main one; fields: A atomic */
    cf__will *will;                /* A: NULL: there is none */
    uint32_t answered;             /* A: 1: `will` says it */
} cf__will_question;

/* That of the calling thread; or, in a handler, of the one that was interrupted in `context`.  NULL: it has none; nor has a
 * copy of our process. */
CF__PRIVATE cf__will *
cf__will_of(const void *context)
{
    cf__will *will = CF__STATIC_CAST(cf__will *, cf__os_fault_stack(context));
    return will != NULL && will->self == will && will->process == cf__os_pid() ? will : NULL;
}

/* The main thread's. */
CF__PRIVATE cf__will *
cf__will_ask_for(int signal_number)
{
    cf__will_question question;
    int64_t end = cf__os_now() + CF__WILL_PATIENCE;
    /* relaxed, both: the signal carries them. */
    cf__store_relaxed(&question.will, CF__STATIC_CAST(cf__will *, NULL));
    cf__store_relaxed(&question.answered, 0u);
    if (cf__os_thread_id() == cf__os_pid() || !cf__os_ask_main_thread(signal_number, &question))
        return NULL;
    /* The main thread owes the wake.  It may have blocked the signal, or hang in the kernel. */
    while (cf__load_acquire(&question.answered) == 0 && cf__os_now() < end)
        (void)cf__os_futex_wait(&question.answered, 0, end, CF__SCOPE_PRIVATE);
    return cf__load_acquire(&question.will);
}

CF__PRIVATE void
cf__will_answer(cf__will_question *question, const void *context)
{
    cf__store_release(&question->will, cf__will_of(context));
    cf__store_release(&question->answered,
                      1u); /* the thread may have lost patience, but it stays there until we have died */
    (void)cf__os_futex_wake(&question->answered, 1, CF__SCOPE_PRIVATE);
}

CF__PRIVATE void
cf__will_fulfil(cf__worker_record *record, int signal_number, const siginfo_t *info, void *context)
{
    record->fault_known = cf__os_fault_address(signal_number, info, &record->fault_address);
    cf__os_unwind(info, context, record->frames, &record->frame_count, CF_FRAMES_MOST);
}

CF__PRIVATE void
cf__postmortem_handler(int signal_number, siginfo_t *info, void *context)
{
    int keep = errno;
    cf__will_question *question = CF__STATIC_CAST(cf__will_question *, cf__os_question(info));
    if (question != NULL) {
        cf__will_answer(question, context);
        errno = keep;
        return;
    }
    cf__will *will = cf__will_of(context);
    if (will == NULL)
        will = cf__will_ask_for(signal_number);
    if (will != NULL) {
        uint32_t self = CF__STATIC_CAST(uint32_t, cf__os_thread_id()) & 0xffffff, dying = 0;
        uint32_t ours = self | CF__STATIC_CAST(uint32_t, signal_number) << 24;
        if (cf__cas_seq_cst(&will->dying, &dying, ours)) {
            cf__will_fulfil(will->record, signal_number, info, context);
        } else {
            if ((dying & 0xffffff) != self) /* another thread is at it; the process ends with it (M3) */
                (void)cf__os_futex_wait(&will->dying, dying, cf__os_now() + CF__WILL_PATIENCE, CF__SCOPE_PRIVATE);
            cf__os_handle_no_more(signal_number); /* so that we don't come here again, should the next line not help */
            signal_number = CF__STATIC_CAST(int, dying >> 24); /* (M2) */
        }
    }
    cf__os_die_of(signal_number, context);
}

CF_API void
cf_postmortem(void *unused)
{
    (void)unused;
    cf__task_context *context = cf__task_current();
    if (context == NULL || context->host == NULL || cf__will_of(NULL) != NULL)
        return; /* not in a worker process, or done */
    cf__will *will = CF__STATIC_CAST(cf__will *, cf__os_own_fault_stack());
    if (will == NULL)
        return;
    will->record = cf__worker_of(context)->record;
    will->process = cf__os_pid();
    will->self = will;
    cf__os_prime_unwinder();
    cf__os_handle_faults(cf__postmortem_handler);
}

#else /* no process pools */

CF_API void
cf_postmortem(void *unused)
{
    (void)unused;
}

#endif

/* Adds to a text of which *length bytes are there already, or would be if there were room. */
CF__PRIVATE void CF_PRINTF(4, 5) cf__postmortem_add(char *text, size_t size, size_t *length, const char *format, ...)
{
    size_t at = CF__MIN(*length, size);
    va_list arguments;
    va_start(arguments, format);
    int more = vsnprintf(text == NULL ? NULL : text + at, size - at, format, arguments);
    va_end(arguments);
    *length += more > 0 ? CF__STATIC_CAST(size_t, more) : 0;
}

CF_API size_t
cf_postmortem_describe(const cf_account *account, char *text, size_t size)
{
    size_t length = 0;
    unsigned count = account == NULL ? 0 : CF__MIN(account->frame_count, CF__STATIC_CAST(unsigned, CF_FRAMES_MOST));
    if (size != 0)
        text[0] = 0;
    for (unsigned i = 0; i < count; i++) {
        unsigned long long address = account->frames[i];
        cf__mapping mapping;
        cf__symbol symbol;
        cf__postmortem_add(text, size, &length, "#%u 0x%016llx ", i, address);
        if (!cf__os_mapping_at(address, &mapping) || mapping.path[0] == 0) {
            cf__postmortem_add(text, size, &length, "(in no file)\n");
            continue;
        }
        uint64_t place = address - mapping.start + mapping.offset;
        if (!cf__symbol_find(mapping.path, place, &symbol)) {
            cf__postmortem_add(text, size, &length, "(%s, at byte 0x%llx)\n", mapping.path,
                               CF__STATIC_CAST(unsigned long long, place));
            continue;
        }
        if (symbol.name[0] != 0)
            cf__postmortem_add(text, size, &length, "%s+0x%llx ", symbol.name,
                               CF__STATIC_CAST(unsigned long long, symbol.offset));
        cf__postmortem_add(text, size, &length, "(%s+0x%llx)\n", mapping.path,
                           CF__STATIC_CAST(unsigned long long, symbol.address));
    }
    return length;
}

#endif /* CF__BODIES */

#endif
