/* cfutures/detail/config.h - what the compiler and the language give us, under one set of names.
 * SPDX-License-Identifier: MIT
 * LAYER 0.  Includes: nothing of ours.  Included by: everything.
 *
 * LINKAGE  By default every function is `static inline`, so that including a header is all a program does.  A big
 *   program may have one compiled copy instead, of the same source: define CF_DECLARE_ONLY for all files (they then
 *   get declarations and macros) and CF_IMPLEMENTATION before the first #include in exactly one, C or C++.  Files of
 *   either kind and of the default mix in one program.
 *     CF_API        a public function, or one that our macros call in the user's code: declared in every mode
 *     CF__PRIVATE   the others: static, and there only with the bodies
 *     CF__BODIES    whether this file gets the bodies; one #if in each header
 * LANGUAGE  C11 and later, and C++11 and later, by gcc or clang.  Where the two languages differ (casts, zero
 *   initializers), the CF__ macros below hide it; shared words are plain integers reached through detail/atomic.h,
 *   because C11's _Atomic isn't C++.
 * PARKING  is done with futexes (CF__FUTEX), or with mutexes and condition variables where CF_USE_CONDVAR is defined, for
 *   all files of a program alike: the way for a system without futexes, at two to three times their price for a sleep,
 *   and without process pools (CF_ERR_UNSUPPORTED).  See detail/park.h.
 * FEATURE MACROS are the program's: a header that defines _GNU_SOURCE comes too late as soon as a
 *   system header stands before it.  We ask for what plain `cc` shows and stop with a sentence where
 *   -std=c11 hides it. */
#ifndef CFUTURES_DETAIL_CONFIG_H
#define CFUTURES_DETAIL_CONFIG_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#if !defined(__GNUC__)
#error "cfutures needs gcc or clang"
#endif
#if !defined(__cplusplus) && (!defined(__STDC_VERSION__) || __STDC_VERSION__ < 201112L)
#error "cfutures needs C11 or later: compile with -std=gnu11"
#endif
#if defined(__cplusplus) && __cplusplus < 201103L
#error "cfutures needs C++11 or later: compile with -std=gnu++11"
#endif
#if !defined(__linux__)
#error "cfutures needs Linux for now: the layer that sleeps is written for futexes"
#endif
#if !defined(__LP64__)
#error "cfutures needs a 64-bit target: its shared words are 64 bits wide"
#endif
#if !defined(MAP_ANONYMOUS)
#error                                                                                                                 \
    "cfutures: -std=c11 hides what it needs: compile with -std=gnu11, or add -D_DEFAULT_SOURCE before the first #include"
#endif

#ifdef __cplusplus
#define CF__STATIC_CAST(T, x) static_cast<T>(x)
#define CF__POINTER_CAST(T, x) reinterpret_cast<T>(x)
#define CF__INLINE inline
#define CF__EXTERN extern "C"
#define CF__STATIC_ASSERT(condition, message) static_assert(condition, message)
#define CF__ALIGNOF(T) alignof(T)
#define CF__DEFAULT(value) = value /* of a field of an options struct; in C it is zero anyway */
#else
#define CF__STATIC_CAST(T, x) ((T)(x))
#define CF__POINTER_CAST(T, x) ((T)(x))
#define CF__INLINE static inline
#define CF__EXTERN extern
#define CF__STATIC_ASSERT(condition, message) _Static_assert(condition, message)
#define CF__ALIGNOF(T) _Alignof(T)
#define CF__DEFAULT(value)
#endif

#define CF__UNUSED __attribute__((unused))
#define CF__PRIVATE CF__INLINE CF__UNUSED
#if defined(CF_DECLARE_ONLY) || defined(CF_IMPLEMENTATION)
#define CF_API CF__EXTERN
#else
#define CF_API CF__PRIVATE
#endif
#if defined(CF_DECLARE_ONLY) && !defined(CF_IMPLEMENTATION)
#define CF__BODIES 0
#else
#define CF__BODIES 1
#endif
/* A slow or rare path, kept away from the path beside it. */
#define CF__SLOW CF__PRIVATE __attribute__((cold))
#define CF_NODISCARD __attribute__((warn_unused_result))
#define CF_PRINTF(format_index, first) __attribute__((format(printf, format_index, first)))

/* Misuse (a NULL handle, destroy while in use) is an assertion; nothing else aborts.  Define it
 * before the first #include to have your own. */
#ifndef CF_ASSERT
#define CF_ASSERT(condition) assert(condition)
#endif

#ifdef CF_USE_CONDVAR
#define CF__FUTEX 0
#else
#define CF__FUTEX 1
#endif

/* Two words that different CPUs write stand at least this far apart. */
#define CF__CACHE_LINE 64

#if defined(__SANITIZE_THREAD__)
#define CF__THREAD_SANITIZER 1
#elif defined(__has_feature)
#define CF__THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define CF__THREAD_SANITIZER 0
#endif

/* The same pointer, of which the compiler knows nothing: for addresses of static objects that take part as
 * allocated ones. */
CF__PRIVATE void *
cf__opaque(const void *p)
{
    void *same = CF__POINTER_CAST(void *, CF__POINTER_CAST(uintptr_t, p));
    __asm__("" : "+r"(same));
    return same;
}

/* Each argument once: a clock, or a word that others write, says something else the second time.  Each macro has its own names,
 * lest one within the other hides what is outside; one within its like would. */
#define CF__CHOOSE(a, sign, b, first, second)                                                                          \
    __extension__({                                                                                                    \
        __typeof__(a) first = (a);                                                                                     \
        __typeof__(b) second = (b);                                                                                    \
        first sign second ? first : second;                                                                            \
    })
#define CF__MIN(a, b) CF__CHOOSE(a, <, b, cf__min_a, cf__min_b)
#define CF__MAX(a, b) CF__CHOOSE(a, >, b, cf__max_a, cf__max_b)
#define CF__ROUND_UP(n, to) (((n) + ((to)-1)) / (to) * (to))

#if CF__BODIES

/* An options struct as the library knows it, from one of a caller that may have been compiled against an older,
 * shorter one. */
CF__PRIVATE void
cf__options_copy(void *ours, size_t our_size, const void *theirs)
{
    size_t size = 0;
    memset(ours, 0, our_size);
    if (theirs != NULL)
        memcpy(&size, theirs, sizeof size);
    if (theirs != NULL)
        memcpy(ours, theirs, size != 0 ? CF__MIN(size, our_size) : our_size); /* 0: filled by hand, without it */
}

#endif /* CF__BODIES */

#endif
