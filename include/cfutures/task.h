/* cfutures/task.h - typed tasks: CF_TASK makes a function one that can be submitted, with its types checked.
 * SPDX-License-Identifier: MIT
 * LAYER 4.  Includes: map.h, child.h.  Included by: cfutures.h.
 *
 *     static long fib(int n) { ... }
 *     CF_TASK(long, fib, int);                  at file scope: result, function, types of up to 8 arguments
 *     CF_TASK_VOID(log_line, const char *);     a function without result
 *
 *     cf_future *f = cf_submit(pool, fib, 38);          the object first, the task second, arguments last
 *     cf_result(f, fib, &value, CF_FOREVER);
 *     cf_spawn(pool, log_line, "started");              nobody waits for it
 *     cf_map(pool, fib, count, values, ns);             an array for the results, one for each argument
 *     cf_submit_all(pool, fib, count, futures, ns);     a future for each item
 *     cf_for(pool, scale_row, 0, rows, m, columns);     scale_row(size_t row, double *m, size_t columns)
 *
 * HOW IT WORKS  CF_TASK(R, fn, A1, ...) writes: a struct of the arguments; a thunk that calls fn with them; the
 *   static description (cf_task_type) that names thunk, sizes and types; and a function for each of the calls
 *   above.  The calls are macros only to paste fn's name to theirs: cf_submit(pool, fib, 38) is
 *   fib_CF_TASK_submit(pool, 38, no options). So the compiler checks the arguments as it does for any function, and
 *   an error names the cure: "fib_CF_TASK undeclared" means that CF_TASK is missing.  Arguments are copied, as in a
 *   call; what a pointer points to isn't. The options come last, always there, which spares a task without
 *   arguments a trailing comma.
 * C++  has functions in place of literals: cf_options() takes a designated list from C++20 on; before it, fill a
 *   struct.  A task must not let an exception out; arguments and result must be trivially copyable (asserted).
 * REJECTED  _Generic dispatch (typedefs collide, errors mislead); GCC's nested functions (an executable stack). */
#ifndef CFUTURES_TASK_H
#define CFUTURES_TASK_H

#include "child.h"
#include "map.h"

/* ---- inside a task ---- */

/** Fail the current task's future with CF_ERR_FAILED, the caller's `code` and a message.
 *
 * The task goes on and returns by itself; its result is dropped.  The last call counts.  The message is cut to 159
 * bytes.
 * Returns: true; false outside a task (nothing happens then), also in a plugin that has its own copy of
 *          cf__current. */
CF_API bool cf_fail(int code, const char *format, ...) CF_PRINTF(2, 3);

/** Whether somebody has asked the current task to stop, or one that waits for it and runs it meanwhile, by
 *  cf_future_cancel() or a shutdown; or whether a limit of it has passed.  False outside a task. */
CF_API bool cf_cancelled(void);

/** The address of a pointer of this worker's own, for what on_start prepares, tasks use and on_stop ends: NULL at first,
 *  the same for all that runs on one worker.  NULL outside of a worker. */
CF_API void **cf_worker_local(void);

/** Note how far the current task has come: the last note stands in its account should it be lost (cf_future_account()), and
 *  sets back the clock of its stall limit.  Cut to 47 bytes.  False outside a task. */
CF_API bool cf_note(const char *format, ...) CF_PRINTF(1, 2);

/** Begin a section in which a limit, or a shutdown that kills, doesn't end the current task: for `milliseconds` at most,
 *  and never for more than a minute.  Another call sets another end.
 *
 * Doesn't return if the task is being killed already.  On threads, and outside a task, nothing. */
CF_API void cf_shield_begin(unsigned milliseconds);

/** End that section: what has been put off follows at once. */
CF_API void cf_shield_end(void);

/** Have `signal_number` (1 to 64) sent to the current task's process before it's killed for a limit, signal_grace_ms before;
 *  it reaches this task or none.  For a handler that ends the work in a way that cf_cancelled() can't.  0: none any more.  On
 *  threads, and outside a task, nothing.  Returns false if there is no such signal. */
CF_API bool cf_stop_signal(int signal_number);

/* ---- calls.  pool: cf_executor *; fn: a function with a CF_TASK; options: cf_options(...), cf_map_options(...)
 * ---- */

/** Submit fn(arguments...): cf_submit(pool, fn, arguments...).  As cf_submit_bytes(). */
#define cf_submit(pool, ...) CF__SUBMIT(pool, __VA_ARGS__, CF__NO_OPTIONS(cf_submit_opts))
/** The same with options: cf_submit_with(pool, cf_options(.deadline = d), fn, arguments...). */
#define cf_submit_with(pool, options, ...) CF__SUBMIT(pool, __VA_ARGS__, options)
/** Submit without a future: cf_spawn(pool, fn, arguments...).  As cf_spawn_bytes(). */
#define cf_spawn(pool, ...) CF__SPAWN(pool, __VA_ARGS__, CF__NO_OPTIONS(cf_submit_opts))
/** The same with options. */
#define cf_spawn_with(pool, options, ...) CF__SPAWN(pool, __VA_ARGS__, options)
/** Wait for a future of fn and get its result: cf_result(future, fn, &value, deadline).  As cf_future_result(). */
#define cf_result(future, fn, result, deadline) CF__RESULT(future, fn, result, deadline)
/** fn for each item: cf_map(pool, fn, count, results, array of 1st arguments, array of 2nd, ...); without `results`
 *  for a function without result.  As cf_map_bytes(). */
#define cf_map(pool, ...) CF__MAP(pool, __VA_ARGS__, CF__NO_OPTIONS(cf_map_opts))
/** The same with options: cf_map_with(pool, cf_map_options(.status = status), fn, count, results, arrays...). */
#define cf_map_with(pool, options, ...) CF__MAP(pool, __VA_ARGS__, options)

/** fn for each index in [first, last): cf_for(pool, fn, first, last, fn's arguments after the index...).  The first
 *  argument of fn is a size_t.  As cf_for_bytes(). */
#define cf_for(pool, ...) CF__FOR(pool, __VA_ARGS__, CF__NO_OPTIONS(cf_map_opts))
/** The same with options: cf_for_with(pool, cf_map_options(.deadline = d), fn, first, last, arguments...). */
#define cf_for_with(pool, options, ...) CF__FOR(pool, __VA_ARGS__, options)
/** A future for each item: cf_submit_all(pool, fn, count, futures, array of 1st arguments, ...).  As
 *  cf_submit_all_bytes(). */
#define cf_submit_all(pool, ...) CF__SUBMIT_ALL(pool, __VA_ARGS__, CF__NO_OPTIONS(cf_submit_opts))
/** The same with options. */
#define cf_submit_all_with(pool, options, ...) CF__SUBMIT_ALL(pool, __VA_ARGS__, options)
/** fn for input of any length, `in_flight` items at a time (0: two for each worker, and 16 at least):
 *
 *      static bool next_number(void *file, long *n) { return fscanf(file, "%ld", n) == 1; }
 *      static bool print(void *file, size_t i, cf_future *f)
 *      {
 *          long value;
 *          return cf_result(f, collatz, &value, CF_NOW) == CF_OK && printf("%ld\n", value) > 0;
 *      }
 *      cf_err error = cf_map_lazy(pool, collatz, 0, next_number, print, stdin);
 *
 *  next(context, address of 1st argument, ...) fills in the arguments; both are called here, in this thread.  As
 *  cf_map_lazy_bytes().  C++: an overloaded `next` is picked by its types. */
#define cf_map_lazy(pool, fn, in_flight, next, done, context)                                                          \
    cf_map_lazy_with(pool, CF__NO_OPTIONS(cf_map_opts), fn, in_flight, next, done, context)
/** The same with options, of which only the deadline matters. */
#define cf_map_lazy_with(pool, options, ...) CF__MAP_LAZY(pool, options, __VA_ARGS__)

#define CF__END 0 /* after the last argument, where others have their options */

/* Options by name: an address in C, a value in C++. */
#ifdef __cplusplus
#define cf_options(...) (cf_submit_opts{__VA_ARGS__})
#define cf_map_options(...) (cf_map_opts{__VA_ARGS__})
#define CF__NO_OPTIONS(type) type()
#define CF__OPTIONS(type) const type &
#define CF__OPTIONS_ADDRESS(options) (&(options))
#else
#define cf_options(...) (&(cf_submit_opts){.struct_size = sizeof(cf_submit_opts), __VA_ARGS__})
#define cf_map_options(...) (&(cf_map_opts){.struct_size = sizeof(cf_map_opts), __VA_ARGS__})
#define CF__NO_OPTIONS(type) ((const type *)0)
#define CF__OPTIONS(type) const type *
#define CF__OPTIONS_ADDRESS(options) (options)
#endif

/* The void conversion makes a missing CF_TASK an error that names it. */
#define CF__SUBMIT(pool, fn, ...) (CF__COUNT(fn, __VA_ARGS__), fn##_CF_TASK_submit(pool, __VA_ARGS__))
#define CF__SPAWN(pool, fn, ...) (CF__COUNT(fn, __VA_ARGS__), fn##_CF_TASK_spawn(pool, __VA_ARGS__))
#define CF__CHILD_START(child, fn, ...) (CF__COUNT(fn, __VA_ARGS__), fn##_CF_TASK_child_start(child, __VA_ARGS__))
#define CF__CHILD_JOIN(child, fn) (CF__STATIC_CAST(void, fn##_CF_TASK), fn##_CF_TASK_child_join(child))
#define CF__MAP(pool, fn, ...) (CF__STATIC_CAST(void, fn##_CF_TASK), fn##_CF_TASK_map(pool, __VA_ARGS__))
#define CF__MAP_LAZY(pool, options, fn, in_flight, next, done, context)                                                \
    (CF__STATIC_CAST(void, fn##_CF_TASK), fn##_CF_TASK_map_lazy(pool, in_flight, next, done, context, options))
#define CF__SUBMIT_ALL(pool, fn, ...) (CF__STATIC_CAST(void, fn##_CF_TASK), fn##_CF_TASK_submit_all(pool, __VA_ARGS__))
#define CF__FOR(pool, fn, first, last, ...)                                                                            \
    (CF__FOR_CHECK(fn), CF__COUNT(fn, first, __VA_ARGS__), fn##_CF_TASK_for(pool, last, first, __VA_ARGS__))
#ifdef __cplusplus
#define CF__COUNT(fn, ...) static_cast<void>(fn##_CF_TASK)
#define CF__FOR_CHECK(fn) cf__for_check<fn##_CF_TASK_counts != 0>()
#define CF__RESULT(future, fn, result, deadline)                                                                       \
    (static_cast<void>(fn##_CF_TASK), fn##_CF_TASK_result(future, result, deadline))
#else
/* C lets a wrong pointer type pass with a warning, and too few arguments shift the options: so assert both. */
#define CF__COUNT(fn, ...) CF__COUNT_(fn, CF__ARITY(__VA_ARGS__))
#define CF__COUNT_(fn, n)                                                                                              \
    ((void)sizeof(struct {                                                                                             \
        _Static_assert(fn##_CF_TASK == (n), #fn " takes another number of arguments");                                 \
        char c;                                                                                                        \
    }))
#define CF__FOR_CHECK(fn)                                                                                              \
    ((void)sizeof(struct {                                                                                             \
        _Static_assert(fn##_CF_TASK_counts, "cf_for: the first argument of " #fn " must be a size_t");                 \
        char c;                                                                                                        \
    }))
#define CF__RESULT(future, fn, result, deadline)                                                                       \
    ((void)sizeof(struct {                                                                                             \
         _Static_assert(__builtin_types_compatible_p(fn##_CF_TASK_result_type, __typeof__(*(result))),                 \
                        "cf_result: " #fn " returns another type");                                                    \
         char c;                                                                                                       \
     }),                                                                                                               \
     fn##_CF_TASK_result(future, result, deadline))
#endif

/** Make fn(A1, ...) returning R a task.
 *
 * Two tasks have one type of result for cf_result() if R is spelled alike, once its macros are expanded: unsigned and
 * unsigned int are two, a typedef is another than what it stands for, and bool of <stdbool.h> is _Bool in C. */
#define CF_TASK(R, ...) CF__TASK_1(CF__ARITY(__VA_ARGS__), R, __VA_ARGS__)
/** Make fn(A1, ...) without result a task. */
#define CF_TASK_VOID(...) CF__TASK_VOID_1(CF__ARITY(__VA_ARGS__), __VA_ARGS__)

/* ---- implementation: what is written for n arguments.  L is the parenthesized list (fn, A1, ..., An) ---- */

/* How many arguments follow fn, in (fn, A1, ...), or (A1, ..., options). */
#define CF__ARITY(...) CF__ARITY_(__VA_ARGS__, 8, 7, 6, 5, 4, 3, 2, 1, 0, ~)
#define CF__ARITY_(fn, a1, a2, a3, a4, a5, a6, a7, a8, n, ...) n

#define CF__TASK_1(n, R, ...) CF__TASK_2(n, R, __VA_ARGS__, ~)
#define CF__TASK_2(n, R, fn, ...) CF__TASK_3(n, R, fn, CF__LIST_##n(fn, __VA_ARGS__))
#define CF__TASK_VOID_1(n, ...) CF__TASK_VOID_2(n, __VA_ARGS__, ~)
#define CF__TASK_VOID_2(n, fn, ...) CF__TASK_VOID_3(n, fn, CF__LIST_##n(fn, __VA_ARGS__))

#define CF__LIST_0(fn, ...) (fn)
#define CF__LIST_1(fn, a, ...) (fn, a)
#define CF__LIST_2(fn, a, b, ...) (fn, a, b)
#define CF__LIST_3(fn, a, b, c, ...) (fn, a, b, c)
#define CF__LIST_4(fn, a, b, c, d, ...) (fn, a, b, c, d)
#define CF__LIST_5(fn, a, b, c, d, e, ...) (fn, a, b, c, d, e)
#define CF__LIST_6(fn, a, b, c, d, e, f, ...) (fn, a, b, c, d, e, f)
#define CF__LIST_7(fn, a, b, c, d, e, f, g, ...) (fn, a, b, c, d, e, f, g)
#define CF__LIST_8(fn, a, b, c, d, e, f, g, h, ...) (fn, a, b, c, d, e, f, g, h)
#define CF__APPLY(macro, list) macro list

/* Each family for n is that for n - 1 and one more. */
#define CF__T(A) __typeof__(A)
#define CF__TYPES_0(fn) void
#define CF__TYPES_1(fn, a) CF__T(a)
#define CF__TYPES_2(fn, a, b) CF__TYPES_1(fn, a), CF__T(b)
#define CF__TYPES_3(fn, a, b, c) CF__TYPES_2(fn, a, b), CF__T(c)
#define CF__TYPES_4(fn, a, b, c, d) CF__TYPES_3(fn, a, b, c), CF__T(d)
#define CF__TYPES_5(fn, a, b, c, d, e) CF__TYPES_4(fn, a, b, c, d), CF__T(e)
#define CF__TYPES_6(fn, a, b, c, d, e, f) CF__TYPES_5(fn, a, b, c, d, e), CF__T(f)
#define CF__TYPES_7(fn, a, b, c, d, e, f, g) CF__TYPES_6(fn, a, b, c, d, e, f), CF__T(g)
#define CF__TYPES_8(fn, a, b, c, d, e, f, g, h) CF__TYPES_7(fn, a, b, c, d, e, f, g), CF__T(h)

#define CF__FIELDS_0(fn) char cf_a1;
#define CF__FIELDS_1(fn, a) CF__T(a) cf_a1;
#define CF__FIELDS_2(fn, a, b) CF__FIELDS_1(fn, a) CF__T(b) cf_a2;
#define CF__FIELDS_3(fn, a, b, c) CF__FIELDS_2(fn, a, b) CF__T(c) cf_a3;
#define CF__FIELDS_4(fn, a, b, c, d) CF__FIELDS_3(fn, a, b, c) CF__T(d) cf_a4;
#define CF__FIELDS_5(fn, a, b, c, d, e) CF__FIELDS_4(fn, a, b, c, d) CF__T(e) cf_a5;
#define CF__FIELDS_6(fn, a, b, c, d, e, f) CF__FIELDS_5(fn, a, b, c, d, e) CF__T(f) cf_a6;
#define CF__FIELDS_7(fn, a, b, c, d, e, f, g) CF__FIELDS_6(fn, a, b, c, d, e, f) CF__T(g) cf_a7;
#define CF__FIELDS_8(fn, a, b, c, d, e, f, g, h) CF__FIELDS_7(fn, a, b, c, d, e, f, g) CF__T(h) cf_a8;

#define CF__PARAMETERS_0(fn)
#define CF__PARAMETERS_1(fn, a) CF__T(a) cf_a1,
#define CF__PARAMETERS_2(fn, a, b) CF__PARAMETERS_1(fn, a) CF__T(b) cf_a2,
#define CF__PARAMETERS_3(fn, a, b, c) CF__PARAMETERS_2(fn, a, b) CF__T(c) cf_a3,
#define CF__PARAMETERS_4(fn, a, b, c, d) CF__PARAMETERS_3(fn, a, b, c) CF__T(d) cf_a4,
#define CF__PARAMETERS_5(fn, a, b, c, d, e) CF__PARAMETERS_4(fn, a, b, c, d) CF__T(e) cf_a5,
#define CF__PARAMETERS_6(fn, a, b, c, d, e, f) CF__PARAMETERS_5(fn, a, b, c, d, e) CF__T(f) cf_a6,
#define CF__PARAMETERS_7(fn, a, b, c, d, e, f, g) CF__PARAMETERS_6(fn, a, b, c, d, e, f) CF__T(g) cf_a7,
#define CF__PARAMETERS_8(fn, a, b, c, d, e, f, g, h) CF__PARAMETERS_7(fn, a, b, c, d, e, f, g) CF__T(h) cf_a8,

#define CF__ARRAYS_0(fn)
#define CF__ARRAYS_1(fn, a) CF__T(a) const *cf_x1,
#define CF__ARRAYS_2(fn, a, b) CF__ARRAYS_1(fn, a) CF__T(b) const *cf_x2,
#define CF__ARRAYS_3(fn, a, b, c) CF__ARRAYS_2(fn, a, b) CF__T(c) const *cf_x3,
#define CF__ARRAYS_4(fn, a, b, c, d) CF__ARRAYS_3(fn, a, b, c) CF__T(d) const *cf_x4,
#define CF__ARRAYS_5(fn, a, b, c, d, e) CF__ARRAYS_4(fn, a, b, c, d) CF__T(e) const *cf_x5,
#define CF__ARRAYS_6(fn, a, b, c, d, e, f) CF__ARRAYS_5(fn, a, b, c, d, e) CF__T(f) const *cf_x6,
#define CF__ARRAYS_7(fn, a, b, c, d, e, f, g) CF__ARRAYS_6(fn, a, b, c, d, e, f) CF__T(g) const *cf_x7,
#define CF__ARRAYS_8(fn, a, b, c, d, e, f, g, h) CF__ARRAYS_7(fn, a, b, c, d, e, f, g) CF__T(h) const *cf_x8,

#define CF__TARGETS_0(fn)
#define CF__TARGETS_1(fn, a) CF__TARGETS_0(fn), CF__T(a) *
#define CF__TARGETS_2(fn, a, b) CF__TARGETS_1(fn, a), CF__T(b) *
#define CF__TARGETS_3(fn, a, b, c) CF__TARGETS_2(fn, a, b), CF__T(c) *
#define CF__TARGETS_4(fn, a, b, c, d) CF__TARGETS_3(fn, a, b, c), CF__T(d) *
#define CF__TARGETS_5(fn, a, b, c, d, e) CF__TARGETS_4(fn, a, b, c, d), CF__T(e) *
#define CF__TARGETS_6(fn, a, b, c, d, e, f) CF__TARGETS_5(fn, a, b, c, d, e), CF__T(f) *
#define CF__TARGETS_7(fn, a, b, c, d, e, f, g) CF__TARGETS_6(fn, a, b, c, d, e, f), CF__T(g) *
#define CF__TARGETS_8(fn, a, b, c, d, e, f, g, h) CF__TARGETS_7(fn, a, b, c, d, e, f, g), CF__T(h) *

/* Element cf_i of the k-th array, whose type is A. */
#define CF__ELEMENT(k, A) CF__STATIC_CAST(CF__T(A) const *, cf_arrays[k])[cf_i]
#define CF__ELEMENTS_0(fn) 0
#define CF__ELEMENTS_1(fn, a) CF__ELEMENT(0, a)
#define CF__ELEMENTS_2(fn, a, b) CF__ELEMENTS_1(fn, a), CF__ELEMENT(1, b)
#define CF__ELEMENTS_3(fn, a, b, c) CF__ELEMENTS_2(fn, a, b), CF__ELEMENT(2, c)
#define CF__ELEMENTS_4(fn, a, b, c, d) CF__ELEMENTS_3(fn, a, b, c), CF__ELEMENT(3, d)
#define CF__ELEMENTS_5(fn, a, b, c, d, e) CF__ELEMENTS_4(fn, a, b, c, d), CF__ELEMENT(4, e)
#define CF__ELEMENTS_6(fn, a, b, c, d, e, f) CF__ELEMENTS_5(fn, a, b, c, d, e), CF__ELEMENT(5, f)
#define CF__ELEMENTS_7(fn, a, b, c, d, e, f, g) CF__ELEMENTS_6(fn, a, b, c, d, e, f), CF__ELEMENT(6, g)
#define CF__ELEMENTS_8(fn, a, b, c, d, e, f, g, h) CF__ELEMENTS_7(fn, a, b, c, d, e, f, g), CF__ELEMENT(7, h)

/* 5 is the class of pointers; the operand isn't evaluated. */
#define CF__IS_POINTER(A)                                                                                              \
    CF__STATIC_CAST(uint32_t, __builtin_classify_type(*CF__STATIC_CAST(CF__T(A) *, CF__STATIC_CAST(void *, 0))) == 5)
#define CF__POINTERS_0(fn) 0
#define CF__POINTERS_1(fn, a) (CF__IS_POINTER(a) << 1)
#define CF__POINTERS_2(fn, a, b) CF__POINTERS_1(fn, a) | (CF__IS_POINTER(b) << 2)
#define CF__POINTERS_3(fn, a, b, c) CF__POINTERS_2(fn, a, b) | (CF__IS_POINTER(c) << 3)
#define CF__POINTERS_4(fn, a, b, c, d) CF__POINTERS_3(fn, a, b, c) | (CF__IS_POINTER(d) << 4)
#define CF__POINTERS_5(fn, a, b, c, d, e) CF__POINTERS_4(fn, a, b, c, d) | (CF__IS_POINTER(e) << 5)
#define CF__POINTERS_6(fn, a, b, c, d, e, f) CF__POINTERS_5(fn, a, b, c, d, e) | (CF__IS_POINTER(f) << 6)
#define CF__POINTERS_7(fn, a, b, c, d, e, f, g) CF__POINTERS_6(fn, a, b, c, d, e, f) | (CF__IS_POINTER(g) << 7)
#define CF__POINTERS_8(fn, a, b, c, d, e, f, g, h) CF__POINTERS_7(fn, a, b, c, d, e, f, g) | (CF__IS_POINTER(h) << 8)

/* These need no types. */
#define CF__VALUES_0 0
#define CF__VALUES_1 cf_a1
#define CF__VALUES_2 CF__VALUES_1, cf_a2
#define CF__VALUES_3 CF__VALUES_2, cf_a3
#define CF__VALUES_4 CF__VALUES_3, cf_a4
#define CF__VALUES_5 CF__VALUES_4, cf_a5
#define CF__VALUES_6 CF__VALUES_5, cf_a6
#define CF__VALUES_7 CF__VALUES_6, cf_a7
#define CF__VALUES_8 CF__VALUES_7, cf_a8

#define CF__PASS_0
#define CF__PASS_1 cf_p->cf_a1
#define CF__PASS_2 CF__PASS_1, cf_p->cf_a2
#define CF__PASS_3 CF__PASS_2, cf_p->cf_a3
#define CF__PASS_4 CF__PASS_3, cf_p->cf_a4
#define CF__PASS_5 CF__PASS_4, cf_p->cf_a5
#define CF__PASS_6 CF__PASS_5, cf_p->cf_a6
#define CF__PASS_7 CF__PASS_6, cf_p->cf_a7
#define CF__PASS_8 CF__PASS_7, cf_p->cf_a8

#define CF__PASS_TO_0
#define CF__PASS_TO_1 CF__PASS_TO_0, &cf_p->cf_a1
#define CF__PASS_TO_2 CF__PASS_TO_1, &cf_p->cf_a2
#define CF__PASS_TO_3 CF__PASS_TO_2, &cf_p->cf_a3
#define CF__PASS_TO_4 CF__PASS_TO_3, &cf_p->cf_a4
#define CF__PASS_TO_5 CF__PASS_TO_4, &cf_p->cf_a5
#define CF__PASS_TO_6 CF__PASS_TO_5, &cf_p->cf_a6
#define CF__PASS_TO_7 CF__PASS_TO_6, &cf_p->cf_a7
#define CF__PASS_TO_8 CF__PASS_TO_7, &cf_p->cf_a8

#define CF__ADDRESSES_0 NULL
#define CF__ADDRESSES_1 cf_x1
#define CF__ADDRESSES_2 CF__ADDRESSES_1, cf_x2
#define CF__ADDRESSES_3 CF__ADDRESSES_2, cf_x3
#define CF__ADDRESSES_4 CF__ADDRESSES_3, cf_x4
#define CF__ADDRESSES_5 CF__ADDRESSES_4, cf_x5
#define CF__ADDRESSES_6 CF__ADDRESSES_5, cf_x6
#define CF__ADDRESSES_7 CF__ADDRESSES_6, cf_x7
#define CF__ADDRESSES_8 CF__ADDRESSES_7, cf_x8

/* In C++ a struct of a local kind is in an anonymous namespace, so that two files may have a task of one name; and
 * an overloaded function is picked by its types.  In C, CF_TASK asserts that these are the function's types. */
#ifdef __cplusplus
#define CF__LOCAL(...)                                                                                                 \
    namespace {                                                                                                        \
    __VA_ARGS__                                                                                                        \
    }
#define CF__CHECK_COPY(T, fn)                                                                                          \
    static_assert(__is_trivially_copyable(T),                                                                          \
                  "CF_TASK: " #fn " has an argument or result that can't be copied as bytes")
#define CF__CHECK_TYPES(R, fn, ...) static_assert(true, "")
#define CF__FUNCTION(R, fn, ...) static_cast<__typeof__(R) (*)(__VA_ARGS__)>(fn)
#define CF__IS_INDEX(A) cf__is_index<A>::value
template <typename T> struct cf__is_index {
    enum { value = false };
};
template <> struct cf__is_index<size_t> {
    enum { value = true };
};
template <> struct cf__is_index<const size_t> {
    enum { value = true };
};
template <bool is_index>
inline void
cf__for_check()
{
    static_assert(is_index, "cf_for: the first argument of the function must be a size_t");
}
#else
#define CF__LOCAL(...) __VA_ARGS__
#define CF__CHECK_COPY(T, fn) _Static_assert(1, "")
#define CF__CHECK_TYPES(R, fn, ...)                                                                                    \
    _Static_assert(__builtin_types_compatible_p(__typeof__(fn), __typeof__(R)(__VA_ARGS__)),                           \
                   "CF_TASK: these are not the types of " #fn)
#define CF__FUNCTION(R, fn, ...) fn
#define CF__IS_INDEX(A) __builtin_types_compatible_p(A, size_t)
#endif

/* Before the thunk: how many arguments, their struct, and the checks. */
#define CF__TASK_HEAD(n, R, fn, L)                                                                                     \
    enum { fn##_CF_TASK = n };                                                                                         \
    CF__LOCAL(struct fn##_CF_TASK_args{CF__APPLY(CF__FIELDS_##n, L)};)                                                 \
    enum { fn##_CF_TASK_counts = CF__IS_INDEX(__typeof__(CF__STATIC_CAST(struct fn##_CF_TASK_args *, NULL)->cf_a1)) }; \
    CF__CHECK_COPY(struct fn##_CF_TASK_args, fn);                                                                      \
    CF__CHECK_TYPES(R, fn, CF__APPLY(CF__TYPES_##n, L));

/* The thunk that runs it: cf__current is set around the call. */
#define CF__TASK_RUN(n, fn, call)                                                                                      \
    CF__UNUSED static inline void fn##_CF_TASK_run(const void *cf_args, void *cf_out, void *cf_context)                \
    {                                                                                                                  \
        const struct fn##_CF_TASK_args *cf_p = CF__STATIC_CAST(const struct fn##_CF_TASK_args *, cf_args);             \
        void *cf_saved = cf__current;                                                                                  \
        (void)cf_p;                                                                                                    \
        (void)cf_out;                                                                                                  \
        cf__current = cf_context;                                                                                      \
        call;                                                                                                          \
        cf__current = cf_saved;                                                                                        \
    }

/* The loop that runs it for the items of a map: `call` with the arguments in *cf_p, `store` what it returned. */
#define CF__TASK_RUN_RANGE(n, fn, L, call, store)                                                                      \
    CF__UNUSED static inline size_t fn##_CF_TASK_run_range(const void *const *cf_arrays, void *cf_out, size_t cf_i,    \
                                                           size_t cf_end, void *cf_context)                            \
    {                                                                                                                  \
        const cf__task_context *cf_c = CF__STATIC_CAST(const cf__task_context *, cf_context);                          \
        void *cf_saved = cf__current;                                                                                  \
        bool cf_goes_on = true;                                                                                        \
        (void)cf_arrays;                                                                                               \
        (void)cf_out;                                                                                                  \
        cf__current = cf_context;                                                                                      \
        for (; cf_goes_on && cf_i < cf_end; cf_i++) {                                                                  \
            const struct fn##_CF_TASK_args cf_item = {CF__APPLY(CF__ELEMENTS_##n, L)}, *cf_p = &cf_item;               \
            (void)cf_p;                                                                                                \
            call;                                                                                                      \
            if (!cf_c->failed) {                                                                                       \
                store;                                                                                                 \
            }                                                                                                          \
            cf_goes_on = !cf_c->failed && !cf__task_asked_to_stop(cf_c);                                               \
        }                                                                                                              \
        cf__current = cf_saved;                                                                                        \
        return cf_i;                                                                                                   \
    }

/* After the thunk: the description, and the calls that don't depend on the result. */
#define CF__TASK_TAIL(n, fn, L, result_name, result_size, result_align, result_pointer)                                \
    CF__UNUSED static inline void fn##_CF_TASK_pack(void *cf_args, const void *const *cf_arrays, size_t cf_i)          \
    {                                                                                                                  \
        const struct fn##_CF_TASK_args cf_item = {CF__APPLY(CF__ELEMENTS_##n, L)};                                     \
        (void)cf_arrays;                                                                                               \
        (void)cf_i;                                                                                                    \
        memcpy(cf_args, &cf_item, sizeof cf_item);                                                                     \
    }                                                                                                                  \
    CF__UNUSED static inline const cf_task_type *fn##_CF_TASK_type(void)                                               \
    {                                                                                                                  \
        static const cf_task_type cf_t = {                                                                             \
            #fn,                                                                                                       \
            result_name,                                                                                               \
            fn##_CF_TASK_run,                                                                                          \
            fn##_CF_TASK_pack,                                                                                         \
            sizeof(struct fn##_CF_TASK_args),                                                                          \
            CF__ALIGNOF(struct fn##_CF_TASK_args),                                                                     \
            result_size,                                                                                               \
            result_align,                                                                                              \
            n,                                                                                                         \
            CF__STATIC_CAST(uint32_t, (CF__APPLY(CF__POINTERS_##n, L)) | (result_pointer)),                            \
            fn##_CF_TASK_run_range};                                                                                   \
        return &cf_t;                                                                                                  \
    }                                                                                                                  \
    CF__UNUSED CF_NODISCARD static inline cf_future *fn##_CF_TASK_submit(                                              \
        cf_executor *cf_e, CF__APPLY(CF__PARAMETERS_##n, L) CF__OPTIONS(cf_submit_opts) cf_o)                          \
    {                                                                                                                  \
        const struct fn##_CF_TASK_args cf_args = {CF__VALUES_##n};                                                     \
        return cf_submit_bytes(cf_e, fn##_CF_TASK_type(), &cf_args, CF__OPTIONS_ADDRESS(cf_o));                        \
    }                                                                                                                  \
    CF__UNUSED static inline cf_err fn##_CF_TASK_spawn(cf_executor *cf_e, CF__APPLY(CF__PARAMETERS_##n, L)             \
                                                                              CF__OPTIONS(cf_submit_opts) cf_o)        \
    {                                                                                                                  \
        const struct fn##_CF_TASK_args cf_args = {CF__VALUES_##n};                                                     \
        return cf_spawn_bytes(cf_e, fn##_CF_TASK_type(), &cf_args, CF__OPTIONS_ADDRESS(cf_o));                         \
    }                                                                                                                  \
    CF__UNUSED static inline cf_err fn##_CF_TASK_submit_all(                                                           \
        cf_executor *cf_e, size_t cf_count, cf_future **cf_futures,                                                    \
        CF__APPLY(CF__ARRAYS_##n, L) CF__OPTIONS(cf_submit_opts) cf_o)                                                 \
    {                                                                                                                  \
        const void *const cf_arrays[] = {CF__ADDRESSES_##n};                                                           \
        return cf_submit_all_bytes(cf_e, fn##_CF_TASK_type(), cf_count, cf_futures, cf_arrays,                         \
                                   CF__OPTIONS_ADDRESS(cf_o));                                                         \
    }                                                                                                                  \
    CF__UNUSED static inline cf_err fn##_CF_TASK_for(cf_executor *cf_e, size_t cf_last,                                \
                                                     CF__APPLY(CF__PARAMETERS_##n, L) CF__OPTIONS(cf_map_opts) cf_o)   \
    {                                                                                                                  \
        const struct fn##_CF_TASK_args cf_args = {CF__VALUES_##n};                                                     \
        size_t cf_first = 0;                                                                                           \
        memcpy(&cf_first, &cf_args, CF__MIN(sizeof cf_first, sizeof cf_args));                                         \
        return cf_for_bytes(cf_e, fn##_CF_TASK_type(), cf_first, cf_last, &cf_args, CF__OPTIONS_ADDRESS(cf_o));        \
    }                                                                                                                  \
    CF__LOCAL(struct fn##_CF_TASK_lazy {                                                                               \
        bool (*next)(void *CF__APPLY(CF__TARGETS_##n, L));                                                             \
        void *context;                                                                                                 \
    };)                                                                                                                \
    CF__UNUSED static inline bool fn##_CF_TASK_lazy_next(void *cf_context, void *cf_args)                              \
    {                                                                                                                  \
        const struct fn##_CF_TASK_lazy *cf_l = CF__STATIC_CAST(const struct fn##_CF_TASK_lazy *, cf_context);          \
        struct fn##_CF_TASK_args *cf_p = CF__STATIC_CAST(struct fn##_CF_TASK_args *, cf_args);                         \
        (void)cf_p;                                                                                                    \
        return cf_l->next(cf_l->context CF__PASS_TO_##n);                                                              \
    }                                                                                                                  \
    CF__UNUSED static inline cf_err fn##_CF_TASK_map_lazy(                                                             \
        cf_executor *cf_e, size_t cf_n, bool (*cf_next)(void *CF__APPLY(CF__TARGETS_##n, L)), cf_map_done *cf_done,    \
        void *cf_context, CF__OPTIONS(cf_map_opts) cf_o)                                                               \
    {                                                                                                                  \
        struct fn##_CF_TASK_lazy cf_l = {cf_next, cf_context};                                                         \
        return cf_map_lazy_bytes(cf_e, fn##_CF_TASK_type(), cf_n, fn##_CF_TASK_lazy_next, &cf_l, cf_done, cf_context,  \
                                 CF__OPTIONS_ADDRESS(cf_o));                                                           \
    }

/* Its children: the record, and the calls; `member` is the result's, with its semicolon, `offset` where it is. */
#define CF__TASK_CHILD(n, R, fn, L, member, offset, keep, give)                                                        \
    CF__LOCAL(struct fn##_CF_TASK_child {                                                                              \
        cf__child cf_record;                                                                                           \
        struct fn##_CF_TASK_args cf_args;                                                                              \
        member                                                                                                         \
    };)                                                                                                                \
    CF__UNUSED static inline void fn##_CF_TASK_child_start(struct fn##_CF_TASK_child *cf_c,                            \
                                                           CF__APPLY(CF__PARAMETERS_##n, L) int cf_end)                \
    {                                                                                                                  \
        static const cf__child_type cf_t = {fn##_CF_TASK_run, offsetof(struct fn##_CF_TASK_child, cf_args), offset};   \
        const struct fn##_CF_TASK_args cf_args = {CF__VALUES_##n};                                                     \
        (void)cf_end;                                                                                                  \
        memcpy(CF__STATIC_CAST(void *, &cf_c->cf_args), &cf_args, sizeof cf_args);                                     \
        cf__child_start(&cf_c->cf_record, &cf_t);                                                                      \
    }                                                                                                                  \
    CF__UNUSED static inline R fn##_CF_TASK_child_join(struct fn##_CF_TASK_child *cf_c)                                \
    {                                                                                                                  \
        const struct fn##_CF_TASK_args *cf_p = &cf_c->cf_args;                                                         \
        (void)cf_p;                                                                                                    \
        if (cf__child_take(&cf_c->cf_record))                                                                          \
            keep CF__FUNCTION(R, fn, CF__APPLY(CF__TYPES_##n, L))(CF__PASS_##n);                                       \
        give                                                                                                           \
    }

#define CF__TASK_3(n, R, fn, L)                                                                                        \
    CF__TASK_HEAD(n, R, fn, L)                                                                                         \
    CF__CHECK_COPY(__typeof__(R), fn);                                                                                 \
    CF__TASK_RUN(n, fn,                                                                                                \
                 *CF__STATIC_CAST(__typeof__(R) *, cf_out) =                                                           \
                     CF__FUNCTION(R, fn, CF__APPLY(CF__TYPES_##n, L))(CF__PASS_##n))                                   \
    CF__TASK_RUN_RANGE(                                                                                                \
        n, fn, L, __typeof__(R) *cf_r = CF__STATIC_CAST(__typeof__(R) *, cf_out);                                      \
        __typeof__(R) cf_value = CF__FUNCTION(R, fn, CF__APPLY(CF__TYPES_##n, L))(CF__PASS_##n), if (cf_r != NULL) {   \
            *cf_r = cf_value;                                                                                          \
            cf_out = cf_r + 1;                                                                                         \
        })                                                                                                             \
    typedef __typeof__(R) fn##_CF_TASK_result_type CF__UNUSED;                                                         \
    CF__TASK_TAIL(n, fn, L, #R, sizeof(__typeof__(R)), CF__ALIGNOF(__typeof__(R)), CF__IS_POINTER(R))                  \
    CF__TASK_CHILD(n, __typeof__(R), fn, L, __typeof__(R) cf_result;                                                   \
                   , offsetof(struct fn##_CF_TASK_child, cf_result), cf_c->cf_result =, return cf_c->cf_result;)       \
    CF__UNUSED CF_NODISCARD static inline cf_err fn##_CF_TASK_result(cf_future *cf_f, __typeof__(R) *cf_out,           \
                                                                     cf_time cf_deadline)                              \
    {                                                                                                                  \
        return cf_future_result(cf_f, fn##_CF_TASK_type(), cf_out, cf_deadline);                                       \
    }                                                                                                                  \
    CF__UNUSED static inline cf_err fn##_CF_TASK_map(cf_executor *cf_e, size_t cf_count, __typeof__(R) *cf_out,        \
                                                     CF__APPLY(CF__ARRAYS_##n, L) CF__OPTIONS(cf_map_opts) cf_o)       \
    {                                                                                                                  \
        const void *const cf_arrays[] = {CF__ADDRESSES_##n};                                                           \
        return cf_map_bytes(cf_e, fn##_CF_TASK_type(), cf_count, cf_out, cf_arrays, CF__OPTIONS_ADDRESS(cf_o));        \
    }                                                                                                                  \
    struct cf__semicolon

#define CF__TASK_VOID_3(n, fn, L)                                                                                      \
    CF__TASK_HEAD(n, void, fn, L)                                                                                      \
    CF__TASK_RUN(n, fn, CF__FUNCTION(void, fn, CF__APPLY(CF__TYPES_##n, L))(CF__PASS_##n))                             \
    CF__TASK_RUN_RANGE(n, fn, L, CF__FUNCTION(void, fn, CF__APPLY(CF__TYPES_##n, L))(CF__PASS_##n), (void)0)           \
    CF__TASK_TAIL(n, fn, L, "void", 0, 1, 0u)                                                                          \
    CF__TASK_CHILD(n, void, fn, L, , 0, , )                                                                            \
    CF__UNUSED static inline cf_err fn##_CF_TASK_map(cf_executor *cf_e, size_t cf_count,                               \
                                                     CF__APPLY(CF__ARRAYS_##n, L) CF__OPTIONS(cf_map_opts) cf_o)       \
    {                                                                                                                  \
        const void *const cf_arrays[] = {CF__ADDRESSES_##n};                                                           \
        return cf_map_bytes(cf_e, fn##_CF_TASK_type(), cf_count, NULL, cf_arrays, CF__OPTIONS_ADDRESS(cf_o));          \
    }                                                                                                                  \
    struct cf__semicolon

#if CF__BODIES

CF_API bool
cf_fail(int code, const char *format, ...)
{
    va_list arguments;
    cf__task_context *context = cf__task_current();
    if (context == NULL || !context->can_fail)
        return false;
    context->failed = true;
    context->code = code;
    va_start(arguments, format);
    (void)vsnprintf(context->message, sizeof context->message, format, arguments);
    va_end(arguments);
    return true;
}

/* The clock of the stall limit of the task that `context` belongs to: a stolen child's is its starter's. */
CF__PRIVATE void
cf__note_time(cf__task_context *context)
{
    while (context->is_child)
        context = context->outer;
    if (context->limits == NULL)
        return;
    int64_t now = cf__os_now(), before = cf__load_relaxed(&context->noted);
    /* relaxed: a clock; a CAS, for a child that others run may note as well, and it mustn't go back. */
    while (before < now && !cf__cas_relaxed(&context->noted, &before, now)) {
    }
}

CF_API bool
cf_note(const char *format, ...)
{
    char text[CF_NOTE_SIZE];
    va_list arguments;
    cf__task_context *context = cf__task_current();
    if (context == NULL)
        return false;
    cf__note_time(context);
    if (context->host != NULL) {
        va_start(arguments, format);
        (void)vsnprintf(text, sizeof text, format, arguments);
        va_end(arguments);
        context->host->note(context, text);
    }
    return true;
}

CF_API void
cf_shield_begin(unsigned milliseconds)
{
    cf__task_context *context = cf__task_current();
    if (context != NULL && context->host != NULL && milliseconds != 0)
        context->host->shield(context, cf_after_ms(milliseconds));
}

CF_API void
cf_shield_end(void)
{
    cf__task_context *context = cf__task_current();
    if (context != NULL && context->host != NULL)
        context->host->shield(context, 0);
}

CF_API bool
cf_stop_signal(int signal_number)
{
    cf__task_context *context = cf__task_current();
    if (signal_number < 0 || signal_number > 64)
        return false;
    if (context != NULL && context->host != NULL)
        context->host->stop_signal(context, signal_number);
    return true;
}

CF_API void **
cf_worker_local(void)
{
    cf__task_context *context = cf__task_current();
    return context != NULL ? context->local : NULL;
}

CF_API bool
cf_cancelled(void)
{
    return cf__task_asked_to_stop(cf__task_current());
}

#endif /* CF__BODIES */

#endif
