/* cfutures/account.h - what is known of a task that didn't end by itself.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: detail/config.h.  Included by: detail/limits.h, future.h.
 *
 * When a worker process dies in a task, or is killed for it, the future keeps an account of how that came: the dead
 *   process can't be asked any more.  cf_future_message() is this in a sentence. */
#ifndef CFUTURES_ACCOUNT_H
#define CFUTURES_ACCOUNT_H

#include "detail/config.h"

#define CF_NOTE_SIZE 48   /* bytes of a note, with its final 0; longer ones are cut */
#define CF_FRAMES_MOST 14 /* addresses of code that an account holds */

/** A limit that can end a task, see cf_submit_opts. */
typedef enum cf_limit {
    CF_LIMIT_NONE,
    CF_LIMIT_TIME, /* time_limit_ms */
    CF_LIMIT_CPU,  /* cpu_limit_ms */
    CF_LIMIT_STALL /* stall_limit_ms */
} cf_limit;

/** How a task was lost. */
typedef struct cf_account {
    cf_limit limit;                  /* what it was ended for; NONE: it, or something else, ended its worker */
    unsigned tries;                  /* how often it was run, with cf_submit_opts.retries */
    int signal, status;              /* how the worker ended: signal, or exit status */
    int64_t run_ns;                  /* time it had been running, the last time */
    int64_t cpu_ns;                  /* CPU time that it had taken, of all its threads; to a millisecond */
    uint64_t peak_memory;            /* bytes: the most that its worker ever had in memory, earlier tasks included */
    bool out_of_memory;              /* the kernel killed it for lack of memory, as it seems */
    char note[CF_NOTE_SIZE];         /* the last cf_note() of it; empty: none */
    bool fault_known;                /* with postmortem.h: the next one says something */
    uint64_t fault_address;          /* what it touched and mustn't; for SIGILL, SIGFPE, SIGTRAP: the instruction */
    unsigned frame_count;            /* with postmortem.h: how many frames there are */
    uint64_t frames[CF_FRAMES_MOST]; /* the instruction it was at, then the calls that led there, innermost first */
} cf_account;

#endif
