/* cfutures/sandbox.h - workers that can compute, and nothing else: for tasks that aren't trusted.  Include it by name.
 * SPDX-License-Identifier: MIT
 * LAYER 6.  Includes: task.h, detail/os_process.h, detail/os_sandbox.h.  Included by: nobody.
 *
 *     cf_auto(cf_executor) pool = cf_process_pool(.on_start = cf_sandbox_on_start);
 *
 * WHAT A WORKER GIVES UP, for good, as it starts
 *   descriptors     all but 0 (empty, in a pool's worker), 1, 2 and those in `keep` are closed
 *   rights          no program that it might run gains any; it can't be traced, and dumps no core
 *   limits          no new descriptors, no new processes; CPU time, memory and file size as asked for
 *   system calls    all but what is needed to compute, allocate, sleep, read and write what is open, and end
 * WHAT IT KEEPS  the pool's shared memory, to which it may do whatever it likes, and its private copy of the program's memory as
 *   it was when the pool was made: keys and passwords in it can be read by the task.  README.md, "Security", says what the rest
 *   of the program is to make of that.
 * WHEN A TASK TRIES MORE  its process is killed by SIGSYS, and its future says so; or, with `refuse`, the call fails with EPERM.
 * WHAT LIBRARIES NEED  Most that a function of the C library asks for by itself is allowed, or refused such that it goes on.
 *   What opens files later (a time zone, a locale, a module) has to be done before, in an on_start of your own that then calls
 *   cf_sandbox_enter(); or its calls go into `allow`.
 * NOT TOGETHER WITH  memory_limit and max_memory_per_worker, for which a worker must open a file: `memory` is for that.
 * ON THREADS  it would bind the whole program.  Only processes have something to gain. */
#ifndef CFUTURES_SANDBOX_H
#define CFUTURES_SANDBOX_H

#include "detail/os_process.h"
#include "detail/os_sandbox.h"
#include "task.h"

/** Options of a sandbox.  Zero in any field means its default. */
typedef struct cf_sandbox_opts {
    size_t struct_size CF__DEFAULT(sizeof(cf_sandbox_opts));
    /* Descriptors that stay open, beside 0, 1 and 2; borrowed for the call. */
    const int *keep CF__DEFAULT(NULL);
    size_t keep_count CF__DEFAULT(0);
    /* System calls (SYS_...) that are allowed beside the usual ones, with any arguments; borrowed for the call; at most 256. */
    const long *allow CF__DEFAULT(NULL);
    size_t allow_count CF__DEFAULT(0);
    /* A forbidden call fails with EPERM; false: it kills the process. */
    bool refuse CF__DEFAULT(false);
    /* New descriptors up to this number, for where `allow` has calls that make some; 0: none. */
    unsigned max_files CF__DEFAULT(0);
    /* How many processes and threads the user may have, in all, for this process to start one; 0: none.  Not for root. */
    unsigned max_processes CF__DEFAULT(0);
    /* Of CPU time, of all its tasks together; then the worker is killed by SIGXCPU.  0: no limit. */
    unsigned cpu_seconds CF__DEFAULT(0);
    /* Bytes of private memory, with what the program had when the pool was made; then malloc() fails.  0: no limit. */
    uint64_t memory CF__DEFAULT(0);
    /* Bytes to which it may extend a file that is open; then it's killed by SIGXFSZ.  0: no limit. */
    uint64_t file_size CF__DEFAULT(0);
} cf_sandbox_opts;

/** Lock the calling process in.
 *
 * options:  NULL: defaults.
 * Threads:  the system calls are forbidden to all threads of the process; call it before there are others.
 * Returns:  CF_OK; CF_ERR_UNSUPPORTED (a kernel without seccomp, or a machine other than x86-64 and aarch64),
 *           CF_ERR_INVALID (too many in `allow`), CF_ERR_SYSTEM.  After an error part of it may be in force: end the process. */
CF_API CF_NODISCARD cf_err cf_sandbox_enter(const cf_sandbox_opts *options);

/** The same as a pool's .on_start; .on_start_context: the options, or NULL.  If it can't, the worker doesn't start, and the pool
 *  is broken with that reason. */
CF_API void cf_sandbox_on_start(void *options);

#if CF__BODIES

CF__PRIVATE int
cf__sandbox_limits(const cf_sandbox_opts *options)
{
    int error = cf__os_limit(RLIMIT_CORE, 0);
    if (error == 0)
        error = cf__os_limit(RLIMIT_NOFILE, options->max_files);
    if (error == 0)
        error = cf__os_limit(RLIMIT_NPROC, options->max_processes);
    if (error == 0 && options->cpu_seconds != 0)
        error = cf__os_limit(RLIMIT_CPU, options->cpu_seconds);
    if (error == 0 && options->memory != 0)
        error = cf__os_limit(RLIMIT_DATA, options->memory);
    if (error == 0 && options->file_size != 0)
        error = cf__os_limit(RLIMIT_FSIZE, options->file_size);
    return error;
}

CF_API cf_err
cf_sandbox_enter(const cf_sandbox_opts *options)
{
    cf_sandbox_opts ours;
    cf__filter filter;
    cf__options_copy(&ours, sizeof ours, options);
    if (ours.allow_count > 256)
        return CF_ERR_INVALID;
    cf__filter_init(&filter, ours.refuse ? CF__FILTER_ERRNO | EPERM : CF__FILTER_KILL);
    for (size_t i = 0; i < ours.allow_count; i++) /* first: they come before a rule of ours for the same call */
        cf__filter_rule(&filter, ours.allow[i], CF__FILTER_ALLOW);
    cf__filter_rules(&filter);

    cf__task_context *current = cf__task_current();
    if (current != NULL && current->host != NULL)
        cf__os_die_with(getppid()); /* again, should the user have been changed: later it's forbidden */
    cf__os_close_others(ours.keep, ours.keep_count);
    int error = cf__sandbox_limits(&ours);
    if (error == 0)
        error = cf__os_drop_privileges();
    if (error == 0)
        error = cf__filter_load(&filter);
    return error == 0 ? CF_OK : error == ENOSYS || error == EINVAL ? CF_ERR_UNSUPPORTED : CF_ERR_SYSTEM;
}

CF_API void
cf_sandbox_on_start(void *options)
{
    cf_err error = cf_sandbox_enter(CF__STATIC_CAST(const cf_sandbox_opts *, options));
    if (error != CF_OK)
        (void)cf_fail(CF__STATIC_CAST(int, error), "sandbox: %s", cf_strerror(error));
}

#endif /* CF__BODIES */

#endif
