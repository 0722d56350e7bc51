/* cfutures/detail/atomic.h - words that several threads or processes share.  Half of THE SEAM.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: config.h.  Included by: everything that shares a word.
 *
 * HOW IT WORKS  Macros over the compiler's __atomic builtins; they work alike in C and C++, on plain integers and
 *   pointers.  The name carries the order, so that a reader sees it at the call and a grep finds every seq_cst.  A
 *   compare-and-swap is strong; on failure it leaves what it found in *expected, read with the same order less its
 *   release half.
 * THE SEAM  Together with detail/os.h this is the only way to shared state.  The tests in tests/model/ define both
 *   include guards and bring macros and functions of the same names, which hand every access to a deterministic
 *   scheduler.  So an atomic builtin anywhere else is a hole in the proof; tests/lint/seam.sh rejects it.
 * NO FENCES  ThreadSanitizer doesn't see them.  Where a store must come before a load of another word (Dekker), the
 *   store is a seq_cst read-modify-write and the load is seq_cst.
 * PLAIN DATA  that an atomic publishes is marked where it is written and read: cf__data_write(p, n),
 *   cf__data_read(p, n).  Empty here; the model checks that each pair is ordered. */
#ifndef CFUTURES_DETAIL_ATOMIC_H
#define CFUTURES_DETAIL_ATOMIC_H

#include "config.h"

#define cf__load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define cf__load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define cf__load_seq_cst(p) __atomic_load_n((p), __ATOMIC_SEQ_CST)

#define cf__store_relaxed(p, value) __atomic_store_n((p), (value), __ATOMIC_RELAXED)
#define cf__store_release(p, value) __atomic_store_n((p), (value), __ATOMIC_RELEASE)
#define cf__store_seq_cst(p, value) __atomic_store_n((p), (value), __ATOMIC_SEQ_CST)

#define cf__exchange_acq_rel(p, value) __atomic_exchange_n((p), (value), __ATOMIC_ACQ_REL)
#define cf__exchange_seq_cst(p, value) __atomic_exchange_n((p), (value), __ATOMIC_SEQ_CST)

#define cf__cas_relaxed(p, expected, value)                                                                            \
    __atomic_compare_exchange_n((p), (expected), (value), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define cf__cas_acq_rel(p, expected, value)                                                                            \
    __atomic_compare_exchange_n((p), (expected), (value), false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
#define cf__cas_seq_cst(p, expected, value)                                                                            \
    __atomic_compare_exchange_n((p), (expected), (value), false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)

#define cf__fetch_add_relaxed(p, value) __atomic_fetch_add((p), (value), __ATOMIC_RELAXED)
#define cf__fetch_add_seq_cst(p, value) __atomic_fetch_add((p), (value), __ATOMIC_SEQ_CST)
#define cf__fetch_sub_acq_rel(p, value) __atomic_fetch_sub((p), (value), __ATOMIC_ACQ_REL)
#define cf__fetch_or_seq_cst(p, value) __atomic_fetch_or((p), (value), __ATOMIC_SEQ_CST)
#define cf__fetch_and_seq_cst(p, value) __atomic_fetch_and((p), (value), __ATOMIC_SEQ_CST)

/* Tell the CPU that we spin: 3 to 40 ns, so a budget for spinning is in time, not in turns. */
CF__PRIVATE void
cf__cpu_relax(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#else
    __asm__ volatile("" ::: "memory");
#endif
}

#define cf__data_write(p, size) ((void)0)
#define cf__data_read(p, size) ((void)0)

#endif
