/* cfutures/detail/os_fault.h - the moment in which a process dies of a fault, as the system shows it.  Part of THE SEAM.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: atomic.h, os_process.h.  Included by: ../postmortem.h.
 *
 * All here but cf__os_own_fault_stack(), cf__os_handle_faults() and cf__os_prime_unwinder() is called in the handler of a
 *   fatal signal: anything may be half done or destroyed, so nothing here takes a lock, allocates, or trusts the interrupted
 *   stack.
 * UNWINDING  The compiler's own unwinder walks from the handler through the kernel's frame to what was interrupted, by the
 *   tables that gcc and clang write for every function by default.  It is called once beforehand, so that what the loader
 *   does for a first call is done.  Should it run into a stack that isn't one, it faults: what it has found by then is kept,
 *   and the process dies of the first signal all the same.
 *   REJECTED  Frame pointers: optimized code has none.  glibc's backtrace(): loads a library by dlopen(), doesn't say which
 *   frames were interrupted and which have called, and is the same unwinder in the end.
 * WHERE THE CODE WAS is known on x86-64 and aarch64; with musl that alone, for its compilers' unwinders don't link everywhere. */
#ifndef CFUTURES_DETAIL_OS_FAULT_H
#define CFUTURES_DETAIL_OS_FAULT_H

#include "atomic.h"
#include "os_process.h"

#include <sys/auxv.h>
#include <ucontext.h>
#ifdef __GLIBC__
#include <unwind.h>
#endif

#if CF__BODIES

typedef void cf__fault_handler(int signal_number, siginfo_t *info, void *context);

/* ---- beforehand ---- */

/* The low end of the stack that handlers run on in the thread that was interrupted in `context`, or, NULL, in this one; NULL
 * if that's its own. */
CF__PRIVATE void *
cf__os_fault_stack(const void *context)
{
    stack_t stack;
    if (context != NULL)
        return CF__STATIC_CAST(const ucontext_t *, context)->uc_stack.ss_sp;
    return sigaltstack(NULL, &stack) == 0 && (stack.ss_flags & SS_DISABLE) == 0 ? stack.ss_sp : NULL;
}

/* Gives the calling thread a stack of its own for handlers, so that they can run when its own has overflown.  Its low end is
 * free for the caller's use; NULL if there is no memory. */
CF__PRIVATE void *
cf__os_own_fault_stack(void)
{
    stack_t stack;
    size_t mapped;
    /* What the kernel puts there (not constant: more with each generation of vector registers), and the unwinder. */
    size_t size = CF__STATIC_CAST(size_t, getauxval(51 /* AT_MINSIGSTKSZ */)) + CF__STATIC_CAST(size_t, 128) * 1024;
    int keep = errno;
    unsigned char *memory = CF__FAULT("fault_stack") ? NULL : cf__os_stack_new(size, &mapped);
    memset(&stack, 0, sizeof stack);
    if (memory != NULL) {
        stack.ss_sp = memory + CF__STACK_GUARD;
        stack.ss_size = mapped - CF__STACK_GUARD;
        if (sigaltstack(&stack, NULL) != 0) {
            (void)munmap(memory, mapped);
            stack.ss_sp = NULL;
        }
    }
    errno = keep;
    return stack.ss_sp;
}

/* Has `handler` called for each signal by which a program's own mistake ends it, but for those that the program handles, or
 * ignores, itself. */
CF__PRIVATE void
cf__os_handle_faults(cf__fault_handler *handler)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP};
    enum { COUNT = sizeof faults / sizeof *faults };
    struct sigaction action, before;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = handler;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART;
    /* Nothing else comes in between; but for another fault, which the handler then hears of. */
    (void)sigfillset(&action.sa_mask);
    for (size_t i = 0; i < COUNT; i++)
        (void)sigdelset(&action.sa_mask, faults[i]);
    for (size_t i = 0; i < COUNT; i++) {
        if (sigaction(faults[i], NULL, &before) == 0 && (before.sa_flags & SA_SIGINFO) == 0 &&
            before.sa_handler == SIG_DFL)
            (void)sigaction(faults[i], &action, NULL);
    }
}

/* ---- what happened ---- */

/* The address that the kernel names with this signal: what was touched, or the instruction; false if it names none. */
CF__PRIVATE bool
cf__os_fault_address(int signal_number, const siginfo_t *info, uint64_t *address)
{
    if (info->si_code <= 0 || info->si_code == 0x80 /* SI_KERNEL: it doesn't know */ || signal_number == SIGABRT ||
        signal_number == SIGSYS)
        return false;
    *address = CF__POINTER_CAST(uintptr_t, info->si_addr);
    return true;
}

/* By the kernel's layout, which is the same for all C libraries, while names of registers need _GNU_SOURCE. */
#if defined(__x86_64__)
#define CF__FAULT_PC 16
#define CF__FAULT_SP 15
#elif defined(__aarch64__)
#define CF__FAULT_PC 33
#define CF__FAULT_LINK 31
#endif

#if defined(CF__FAULT_PC)

typedef struct cf__unwinding {
    uint64_t from; /* the interrupted instruction, from where on frames count */
    uint64_t *frames;
    uint32_t *count; /* A: frames before that are written; should we fault, the others are the result */
    uint32_t most, passed;
    bool found; /* we are past `from` */
} cf__unwinding;

CF__PRIVATE void
cf__os_add_frame(const cf__unwinding *unwinding, uint64_t address)
{
    uint32_t count = cf__load_relaxed(unwinding->count);
    if (count < unwinding->most) {
        unwinding->frames[count] = address;
        cf__store_release(unwinding->count, count + 1); /* release: the compiler mustn't write it first */
    }
}

#ifdef __GLIBC__

CF__PRIVATE _Unwind_Reason_Code
cf__os_unwind_step(struct _Unwind_Context *frame, void *argument)
{
    cf__unwinding *unwinding = CF__STATIC_CAST(cf__unwinding *, argument);
    int interrupted = 0;
    uint64_t address = _Unwind_GetIPInfo(frame, &interrupted);
    if (address == 0)
        return _URC_END_OF_STACK; /* nobody has called this one */
    if (unwinding->found)
        cf__os_add_frame(unwinding, interrupted ? address : address - 1); /* the call, not what comes after it */
    else
        unwinding->found = address == unwinding->from;
    /* Bounded, for a broken stack may lead in a circle. */
    bool full = cf__load_relaxed(unwinding->count) == unwinding->most || ++unwinding->passed == 64;
    return full ? _URC_END_OF_STACK : _URC_NO_REASON;
}

CF__PRIVATE void
cf__os_unwind_callers(cf__unwinding *unwinding)
{
    (void)_Unwind_Backtrace(cf__os_unwind_step, unwinding);
}

#else

CF__PRIVATE void
cf__os_unwind_callers(cf__unwinding *unwinding)
{
    (void)unwinding;
}

#endif

/* Where the thread was that was interrupted in `context`, then the calls that led there, innermost first: up to `most`
 * addresses at `frames`, each in the instruction that was interrupted, or that called; *count is how many there are. */
CF__PRIVATE void
cf__os_unwind(const siginfo_t *info, void *context, uint64_t *frames, uint32_t *count, uint32_t most)
{
    uint64_t *registers = CF__POINTER_CAST(uint64_t *, &CF__STATIC_CAST(ucontext_t *, context)->uc_mcontext);
    uint64_t pc = registers[CF__FAULT_PC], address = 0;
    cf__unwinding unwinding = {pc, frames, count, most, 0, false};

    cf__store_relaxed(count, 0u);
    cf__os_add_frame(&unwinding, pc);
    bool lost = (info->si_signo == SIGSEGV || info->si_signo == SIGBUS) &&
                cf__os_fault_address(info->si_signo, info, &address) && address == pc;
    if (!lost) {
        cf__os_unwind_callers(&unwinding);
        return;
    }
    /* A call of what is no function, NULL above all: no table tells of its caller.  But it has done nothing yet, so its
     * caller is what it would return to; we return there for as long as it takes. */
#if defined(CF__FAULT_LINK)
    registers[CF__FAULT_PC] = registers[CF__FAULT_LINK];
#else
    memcpy(&registers[CF__FAULT_PC], CF__POINTER_CAST(const void *, registers[CF__FAULT_SP]), sizeof(uint64_t));
    registers[CF__FAULT_SP] += sizeof(uint64_t);
#endif
    unwinding.from = registers[CF__FAULT_PC];
    cf__os_add_frame(&unwinding, unwinding.from - 1);
    cf__os_unwind_callers(&unwinding);
    registers[CF__FAULT_PC] = pc;
#if !defined(CF__FAULT_LINK)
    registers[CF__FAULT_SP] -= sizeof(uint64_t);
#endif
}

/* Does now what is done at the first use only: binding of symbols, a search for the tables. */
CF__PRIVATE void
cf__os_prime_unwinder(void)
{
    uint64_t frame;
    uint32_t count = 0;
    cf__unwinding unwinding = {0, &frame, &count, 1, 0, true};
    cf__os_unwind_callers(&unwinding);
}

#else /* an architecture whose registers we don't know */

CF__PRIVATE void
cf__os_unwind(const siginfo_t *info, void *context, uint64_t *frames, uint32_t *count, uint32_t most)
{
    (void)info;
    (void)context;
    (void)frames;
    (void)most;
    cf__store_relaxed(count, 0u);
}

CF__PRIVATE void
cf__os_prime_unwinder(void)
{
}

#endif

/* ---- threads ---- */

CF__PRIVATE int32_t
cf__os_thread_id(void)
{
    return CF__STATIC_CAST(int32_t, syscall(SYS_gettid));
}

#define CF__QUESTION_CODE (-0x6366) /* a si_code that nobody else has: below 0, as a process may send only to itself */

/* What the kernel carries with a signal, as siginfo_t has it, which doesn't name `value` in the same way everywhere. */
typedef struct cf__question_info {
    int32_t signal_number, error, code, padding;
    int32_t process;
    uint32_t user;
    void *question;
    unsigned char rest[128 - 32];
} cf__question_info;
CF__STATIC_ASSERT(sizeof(cf__question_info) == sizeof(siginfo_t), "the kernel's layout");

/* Sends `signal_number` to the main thread of this process, whose handler gets `question` from cf__os_question(). */
CF__PRIVATE bool
cf__os_ask_main_thread(int signal_number, void *question)
{
    cf__question_info info;
    memset(&info, 0, sizeof info);
    info.signal_number = signal_number;
    info.code = CF__QUESTION_CODE;
    info.process = cf__os_pid();
    info.question = question;
    return syscall(SYS_rt_tgsigqueueinfo, info.process, info.process, signal_number, &info) == 0;
}

/* NULL: this signal is no question. */
CF__PRIVATE void *
cf__os_question(const siginfo_t *info)
{
    cf__question_info copy;
    if (info->si_code != CF__QUESTION_CODE)
        return NULL;
    memcpy(&copy, info, sizeof copy);
    return copy.question;
}

/* ---- the end ---- */

CF__PRIVATE void
cf__os_handle_no_more(int signal_number)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    (void)sigaction(signal_number, &action, NULL);
}

/* Has this process die of `signal_number` as soon as the handler returns: with what was interrupted as the last that a core
 * dump sees. */
CF__PRIVATE void
cf__os_die_of(int signal_number, void *context)
{
    cf__os_handle_no_more(signal_number);
    (void)syscall(SYS_tgkill, cf__os_pid(), cf__os_thread_id(), signal_number);
    (void)sigdelset(&CF__STATIC_CAST(ucontext_t *, context)->uc_sigmask, signal_number);
}

#endif /* CF__BODIES */

#endif
