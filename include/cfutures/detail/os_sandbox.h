/* cfutures/detail/os_sandbox.h - what a process gives up for good, as we ask the system for it.  Part of THE SEAM.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: os.h.  Included by: ../sandbox.h.
 *
 * THE FILTER is a program in classic BPF that the kernel runs at each system call (seccomp).  Ours is a list without jumps
 *   over more than one rule: `number equal? then allow`, and at its end what becomes of all others.  A few rules look at
 *   arguments; only at their lower 32 bits, which is all that the kernel uses of those (descriptors, process ids, flags).
 *   It can't follow pointers, so it can't tell one path from another: calls with paths aren't on the list.
 * NUMBERS of system calls differ between machines, so the filter first asks which machine the call is for; the 32-bit calls
 *   of x86-64 have another one, and those of x32 have numbers that are on no list.
 * WITHOUT <linux/seccomp.h>, which some C libraries are installed without: the few constants are written out. */
#ifndef CFUTURES_DETAIL_OS_SANDBOX_H
#define CFUTURES_DETAIL_OS_SANDBOX_H

#include "os.h"

#include <sys/mman.h>
#include <sys/resource.h>

#if CF__BODIES

#if defined(__x86_64__)
#define CF__AUDIT_ARCH 0xc000003eu
#elif defined(__aarch64__)
#define CF__AUDIT_ARCH 0xc00000b7u
#else
#define CF__AUDIT_ARCH 0u /* no sandbox here */
#endif

#define CF__FILTER_KILL 0x80000000u  /* the process, by SIGSYS; Linux 4.14 */
#define CF__FILTER_ERRNO 0x00050000u /* | errno: the call fails with it */
#define CF__FILTER_ALLOW 0x7fff0000u
#define CF__FILTER_LOAD 0x20u  /* BPF_LD | BPF_W | BPF_ABS */
#define CF__FILTER_EQUAL 0x15u /* BPF_JMP | BPF_JEQ | BPF_K */
#define CF__FILTER_BITS 0x45u  /* BPF_JMP | BPF_JSET | BPF_K */
#define CF__FILTER_RETURN 0x06u

#define CF__FILTER_NUMBER 0u /* offsets in what the kernel shows to the filter, struct seccomp_data */
#define CF__FILTER_MACHINE 4u
#define CF__FILTER_ARGUMENT(i) (16u + 8u * (i)) /* its lower half: both machines are little-endian */

#define CF__FILTER_MOST 1024

typedef struct cf__filter_step { /* struct sock_filter of <linux/filter.h> */
    uint16_t code;
    uint8_t if_true, if_false; /* how many steps to pass over */
    uint32_t value;
} cf__filter_step;

typedef struct cf__filter {
    uint32_t forbidden; /* what becomes of a call that isn't allowed */
    uint16_t count;
    cf__filter_step steps[CF__FILTER_MOST];
} cf__filter;

/* Adds a step; those that don't fit any more are dropped, and cf__filter_load() refuses. */
CF__PRIVATE void
cf__filter_add(cf__filter *filter, unsigned code, unsigned if_true, unsigned if_false, uint32_t value)
{
    if (filter->count < CF__FILTER_MOST) {
        cf__filter_step step = {CF__STATIC_CAST(uint16_t, code), CF__STATIC_CAST(uint8_t, if_true),
                                CF__STATIC_CAST(uint8_t, if_false), value};
        filter->steps[filter->count] = step;
    }
    filter->count++;
}

CF__PRIVATE void
cf__filter_init(cf__filter *filter, uint32_t forbidden)
{
    filter->forbidden = forbidden;
    filter->count = 0;
    cf__filter_add(filter, CF__FILTER_LOAD, 0, 0, CF__FILTER_MACHINE);
    cf__filter_add(filter, CF__FILTER_EQUAL, 1, 0, CF__AUDIT_ARCH);
    cf__filter_add(filter, CF__FILTER_RETURN, 0, 0, CF__FILTER_KILL);
    cf__filter_add(filter, CF__FILTER_LOAD, 0, 0, CF__FILTER_NUMBER);
}

/* System call `number` ends as `verdict`, whatever its arguments. */
CF__PRIVATE void
cf__filter_rule(cf__filter *filter, long number, uint32_t verdict)
{
    cf__filter_add(filter, CF__FILTER_EQUAL, 0, 1, CF__STATIC_CAST(uint32_t, number));
    cf__filter_add(filter, CF__FILTER_RETURN, 0, 0, verdict);
}

/* System call `number` is allowed if its argument `argument` is equal to `value`, or, of `bits`, has that bit; else it's
 * forbidden. */
CF__PRIVATE void
cf__filter_rule_if(cf__filter *filter, long number, unsigned argument, bool bits, uint32_t value)
{
    cf__filter_add(filter, CF__FILTER_EQUAL, 0, 4, CF__STATIC_CAST(uint32_t, number));
    cf__filter_add(filter, CF__FILTER_LOAD, 0, 0, CF__FILTER_ARGUMENT(argument));
    cf__filter_add(filter, bits ? CF__FILTER_BITS : CF__FILTER_EQUAL, 0, 1, value);
    cf__filter_add(filter, CF__FILTER_RETURN, 0, 0, CF__FILTER_ALLOW);
    cf__filter_add(filter, CF__FILTER_RETURN, 0, 0, filter->forbidden);
}

/* kill() is allowed to us ourselves, and to `parent` for one signal. */
CF__PRIVATE void
cf__filter_rule_kill(cf__filter *filter, int32_t self, int32_t parent, int signal_number)
{
    cf__filter_add(filter, CF__FILTER_EQUAL, 0, 7, CF__STATIC_CAST(uint32_t, SYS_kill));
    cf__filter_add(filter, CF__FILTER_LOAD, 0, 0, CF__FILTER_ARGUMENT(0));
    cf__filter_add(filter, CF__FILTER_EQUAL, 3, 0, CF__STATIC_CAST(uint32_t, self));
    cf__filter_add(filter, CF__FILTER_EQUAL, 0, 3, CF__STATIC_CAST(uint32_t, parent));
    cf__filter_add(filter, CF__FILTER_LOAD, 0, 0, CF__FILTER_ARGUMENT(1));
    cf__filter_add(filter, CF__FILTER_EQUAL, 0, 1, CF__STATIC_CAST(uint32_t, signal_number));
    cf__filter_add(filter, CF__FILTER_RETURN, 0, 0, CF__FILTER_ALLOW);
    cf__filter_add(filter, CF__FILTER_RETURN, 0, 0, filter->forbidden);
}

/* prctl() is allowed for a thread's name, and to ask (cf__os_die_with()). */
CF__PRIVATE void
cf__filter_rule_prctl(cf__filter *filter)
{
    cf__filter_add(filter, CF__FILTER_EQUAL, 0, 5, CF__STATIC_CAST(uint32_t, SYS_prctl));
    cf__filter_add(filter, CF__FILTER_LOAD, 0, 0, CF__FILTER_ARGUMENT(0));
    cf__filter_add(filter, CF__FILTER_EQUAL, 1, 0, PR_SET_NAME);
    cf__filter_add(filter, CF__FILTER_EQUAL, 0, 1, PR_GET_PDEATHSIG);
    cf__filter_add(filter, CF__FILTER_RETURN, 0, 0, CF__FILTER_ALLOW);
    cf__filter_add(filter, CF__FILTER_RETURN, 0, 0, filter->forbidden);
}

/* What a worker of a process pool needs for itself, and what a task may want that leads nowhere. */
CF__PRIVATE void
cf__filter_rules(cf__filter *filter)
{
    /* Memory, time, sleep, its own signals and threads' locks, its end; reading and writing what is open. */
    static const long allowed[] = {
        SYS_futex,
        SYS_getcpu,
        SYS_clock_gettime,
        SYS_clock_getres,
        SYS_gettimeofday,
        SYS_nanosleep,
        SYS_clock_nanosleep,
        SYS_sched_yield,
        SYS_exit,
        SYS_exit_group,
        SYS_munmap,
        SYS_mprotect,
        SYS_mremap,
        SYS_madvise,
        SYS_brk,
        SYS_rt_sigreturn,
        SYS_rt_sigaction,
        SYS_rt_sigprocmask,
        SYS_sigaltstack,
        SYS_restart_syscall,
        SYS_getpid,
        SYS_getppid,
        SYS_gettid,
        SYS_getuid,
        SYS_geteuid,
        SYS_getgid,
        SYS_getegid,
        SYS_getrusage,
        SYS_times,
        SYS_setitimer,
        SYS_getitimer,
        SYS_getrandom,
        SYS_sched_getaffinity,
        SYS_sysinfo,
        SYS_uname,
        SYS_read,
        SYS_readv,
        SYS_write,
        SYS_writev,
        SYS_pread64,
        SYS_pwrite64,
        SYS_lseek,
        SYS_fstat,
        SYS_close,
        SYS_ppoll,
        SYS_pselect6,
        SYS_set_robust_list,
#ifdef SYS_alarm /* older calls, which newer machines do without */
        SYS_alarm,
        SYS_pause,
        SYS_poll,
        SYS_select,
        SYS_time,
        SYS_getrlimit,
#endif
    };
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++)
        cf__filter_rule(filter, allowed[i], CF__FILTER_ALLOW);
    cf__filter_rule_if(filter, SYS_mmap, 3, true, 0x20);                                   /* MAP_ANONYMOUS */
    cf__filter_rule_if(filter, SYS_tgkill, 0, false, CF__STATIC_CAST(uint32_t, getpid())); /* abort() */
    cf__filter_rule_if(filter, SYS_prlimit64, 0, false, 0);
    cf__filter_rule_prctl(filter);
    cf__filter_rule_kill(filter, getpid(), getppid(), SIGUSR1); /* a worker may tell the template to look at it */
    /* C libraries ask these before they first write to a stream, and go on when told no. */
    cf__filter_rule(filter, SYS_ioctl, CF__FILTER_ERRNO | ENOTTY);
    cf__filter_rule(filter, SYS_newfstatat, CF__FILTER_ERRNO | EPERM);
}

/* Puts the filter into force, for all threads of this process, for good.  Returns 0 or an errno. */
CF__PRIVATE int
cf__filter_load(cf__filter *filter)
{
    struct { /* struct sock_fprog of <linux/filter.h> */
        unsigned short count;
        const cf__filter_step *steps;
    } program;
    int fault = CF__FAULT("seccomp"), keep = errno;
    if (fault)
        return fault;
    if (CF__AUDIT_ARCH == 0)
        return ENOSYS;
    cf__filter_add(filter, CF__FILTER_RETURN, 0, 0, filter->forbidden);
    if (filter->count > CF__FILTER_MOST)
        return E2BIG;
    program.count = filter->count;
    program.steps = filter->steps;
    /* SECCOMP_SET_MODE_FILTER with SECCOMP_FILTER_FLAG_TSYNC: threads that the program has made here, too. */
    long failed = syscall(SYS_seccomp, 1, 1, &program);
    int error = failed == 0 ? 0 : failed > 0 ? EBUSY : errno;
    errno = keep;
    return error;
}

/* No program that it executes may gain rights, and nobody may look into it or make it dump core.  Returns 0 or an errno. */
CF__PRIVATE int
cf__os_drop_privileges(void)
{
    int fault = CF__FAULT("prctl"), keep = errno;
    if (fault)
        return fault;
    int error = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0 ? errno : 0;
    errno = keep;
    return error;
}

/* Lowers limit `which` (RLIMIT_...) to `value`, for good; one that is lower already stays.  Returns 0 or an errno. */
CF__PRIVATE int
cf__os_limit(int which, uint64_t value)
{
    struct rlimit limit;
    int fault = CF__FAULT("setrlimit"), keep = errno, error = 0;
    if (fault)
        return fault;
    if (getrlimit(which, &limit) != 0) {
        error = errno;
    } else {
        limit.rlim_cur = CF__MIN(limit.rlim_cur, CF__STATIC_CAST(rlim_t, value));
        limit.rlim_max = CF__MIN(limit.rlim_max, CF__STATIC_CAST(rlim_t, value));
        error = setrlimit(which, &limit) != 0 ? errno : 0;
    }
    errno = keep;
    return error;
}

/* Closes the descriptors from `first` to `last`. */
CF__PRIVATE void
cf__os_close_range(unsigned first, unsigned last)
{
    struct rlimit limit;
    int keep = errno;
    if (CF__FAULT("close_range") || syscall(436 /* SYS_close_range, Linux 5.9 */, first, last, 0) != 0) {
        /* One by one, up to where the hard limit allows any. */
        unsigned end = getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_max < (1u << 20)
                           ? CF__STATIC_CAST(unsigned, limit.rlim_max)
                           : 1u << 20;
        for (unsigned descriptor = first; descriptor <= last && descriptor < end; descriptor++)
            (void)close(CF__STATIC_CAST(int, descriptor));
    }
    errno = keep;
}

/* Closes every descriptor above 2 but those in `keep`. */
CF__PRIVATE void
cf__os_close_others(const int *keep, size_t count)
{
    unsigned from = 3;
    for (;;) { /* the next one to keep, from `from` on */
        unsigned next = UINT_MAX;
        for (size_t i = 0; i < count; i++) {
            if (keep[i] >= 0 && CF__STATIC_CAST(unsigned, keep[i]) >= from)
                next = CF__MIN(next, CF__STATIC_CAST(unsigned, keep[i]));
        }
        if (next > from)
            cf__os_close_range(from, next - (next != UINT_MAX));
        if (next == UINT_MAX)
            return;
        from = next + 1;
    }
}

#endif /* CF__BODIES */

#endif
