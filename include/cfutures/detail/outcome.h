/* cfutures/detail/outcome.h - what became of a process pool's task, from its slot to its future.
 * SPDX-License-Identifier: MIT
 * LAYER 5.  Includes: slot.h, ../future.h.  Included by: nested.h, process_slots.h.
 *
 * The parent reads it for its own tasks, a worker for those that its task has submitted: once the slot is settled, copied once,
 *   bounded, never followed, for a faulty task may write there at any time. */
#ifndef CFUTURES_DETAIL_OUTCOME_H
#define CFUTURES_DETAIL_OUTCOME_H

#include "../future.h"
#include "slot.h"

#include <stdarg.h>
#include <stdio.h>

#if CF__BODIES && CF__FUTEX

/* Adds to a message that is cut at `size` bytes. */
CF__PRIVATE void CF_PRINTF(3, 4) cf__append(char *message, size_t size, const char *format, ...)
{
    size_t length = strlen(message);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(message + length, size - length, format, arguments);
    va_end(arguments);
}

/* What a lost task's future says: what happened, what the task had taken by then, what it last said. */
CF__SLOW void
cf__outcome_describe_loss(cf_future *future, const cf__limits *limits, const cf_account *account)
{
    char message[3 * CF__MESSAGE_SIZE];
    static const char *const passed[] = {"", "its time limit", "its limit of CPU time",
                                         "its limit for the time between two notes"};
    const uint32_t limit[] = {0, limits->time_ms, limits->cpu_ms, limits->stall_ms};
    double run_ms = CF__STATIC_CAST(double, account->run_ns) / 1e6,
           cpu_ms = CF__STATIC_CAST(double, account->cpu_ns) / 1e6;

    (void)snprintf(message, sizeof message, "%.60s: ", future->type->name);
    if (account->limit != CF_LIMIT_NONE)
        cf__append(message, sizeof message, "the task passed %s, %u ms, and its worker process was ended",
                   passed[account->limit], limit[account->limit]);
    else if (account->signal != 0)
        cf__append(message, sizeof message,
                   "the worker process was killed by signal %d (%.40s)%s while it ran the task", account->signal,
                   strsignal(account->signal), // NOLINT(concurrency-mt-unsafe): safe in glibc since 2.32, and in musl
                   account->out_of_memory ? ", probably for lack of memory," : "");
    else
        cf__append(message, sizeof message, "the task ended its worker process, with exit status %d", account->status);
    if (account->tries > 1)
        cf__append(message, sizeof message, ", as in each of the %u tries before", account->tries - 1);
    cf__append(message, sizeof message, "; it had run for %.3g ms, with %.3g ms of CPU time", run_ms, cpu_ms);
    if (account->peak_memory != 0)
        cf__append(message, sizeof message, " and at most %.3g MiB",
                   CF__STATIC_CAST(double, account->peak_memory) / 1048576);
    if (account->fault_known)
        cf__append(message, sizeof message, ", and %s address 0x%llx",
                   account->signal == SIGSEGV || account->signal == SIGBUS ? "touched" : "was at",
                   CF__STATIC_CAST(unsigned long long, account->fault_address));
    if (account->note[0] != 0)
        cf__append(message, sizeof message, "; its last note: %s", account->note);
    cf__future_set_message(future, message);
}

/* A bool from where a worker could write: any byte may stand there. */
CF__PRIVATE bool
cf__is_true(const void *written)
{
    unsigned char byte;
    memcpy(&byte, written, 1);
    return byte != 0;
}

/* Takes over the account of a lost task from where its worker could write; `killed`: it says nothing, but we know.  Returns a
 * copy of it, or NULL. */
CF__SLOW cf_account *
cf__outcome_take_account(cf_future *future, const cf__slot *slot, bool killed)
{
    const cf_account *theirs = CF__POINTER_CAST(const cf_account *, slot->payload);
    cf_account account;
    if (killed) {
        memset(&account, 0, sizeof account);
        account.signal = SIGKILL;
        account.tries = 1;
    } else {
        memcpy(&account, theirs, sizeof account);
        account.out_of_memory = cf__is_true(&theirs->out_of_memory);
        account.fault_known = cf__is_true(&theirs->fault_known);
        account.note[sizeof account.note - 1] = 0;
        account.frame_count = CF__MIN(account.frame_count, CF__STATIC_CAST(unsigned, CF_FRAMES_MOST));
        if (CF__STATIC_CAST(unsigned, account.limit) > CF_LIMIT_STALL)
            account.limit = CF_LIMIT_NONE;
        if (account.signal < 0 || account.signal > 64)
            account.signal = 0;
        if (account.status < 0 || account.status > 255)
            account.status = 0;
    }
    future->error = account.limit != CF_LIMIT_NONE ? CF_ERR_TIME_LIMIT : CF_ERR_WORKER_LOST;
    future->signal = CF__STATIC_CAST(int16_t, account.signal);
    future->status = CF__STATIC_CAST(int16_t, account.status);
    cf__outcome_describe_loss(future, &slot->limits, &account);
    cf_account *copy = CF__STATIC_CAST(cf_account *, cf__os_alloc(sizeof account));
    if (copy != NULL)
        *copy = account;
    return copy;
}

/* Takes the outcome of a task that has come to its end in `state`, DONE to CORRUPT; a result lies in the slot.  *account gets
 * a lost one's.  Returns what its future's state is to be. */
CF__PRIVATE uint32_t
cf__outcome_take(cf_future *future, const cf__slot *slot, uint32_t state, bool killed, cf_account **account)
{
    char message[CF__MESSAGE_SIZE];
    if (!killed)
        cf__data_read(slot->payload, sizeof slot->payload);
    switch (state) {
    case CF__SLOT_DONE:
        /* The place is worked out anew, not read from the slot, where a task may have written. */
        if (future->result_size != 0)
            memcpy(future->result, slot->payload + cf__slot_place(future->type).result_offset, future->result_size);
        return CF__DONE;
    case CF__SLOT_FAILED:
        memcpy(message, slot->payload, sizeof message);
        message[sizeof message - 1] = 0;
        future->error = CF_ERR_FAILED;
        future->code = slot->code;
        break;
    case CF__SLOT_LOST:
        *account = cf__outcome_take_account(future, slot, killed);
        return CF__FAILED;
    case CF__SLOT_LATE:
        future->error = CF_ERR_TIME_LIMIT;
        (void)snprintf(message, sizeof message, "the task wasn't started in time");
        break;
    default: /* CORRUPT */
        future->error = CF_ERR_CORRUPT;
        (void)snprintf(message, sizeof message, "%.40s: %s", future->type->name, cf_strerror(CF_ERR_CORRUPT));
    }
    cf__future_set_message(future, message);
    return CF__FAILED;
}

#endif /* CF__BODIES && CF__FUTEX */

#endif
