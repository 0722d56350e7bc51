/* cfutures.h - thread pools, process pools, futures and blocking queues: Python's concurrent.futures
 * and queue for C.
 * SPDX-License-Identifier: MIT
 *
 * The core in one include: nothing to link but pthreads, nothing to initialize.  Each part's header says how it
 * works and documents every function; the README has programs to start from, and this list with all of detail/.
 * A header includes those of lower layers, and of its own, never in a circle:
 *
 *   6  sandbox.h  postmortem.h  prepare.h                 not in here: include them by name
 *   5  thread_pool.h  process_pool.h  inline_executor.h   what runs the tasks
 *   4  task.h  map.h  executor.h                          typed tasks; submit, map, shutdown over any executor
 *   4  child.h                                            fork and join inside a task
 *   3  future.h  promise.h  wait.h                        one result that arrives once; waiting for many
 *   2  queue.h                                            queues that block
 *   1  detail/park.h  detail/event.h                      the only code that sleeps
 *   0  errors.h  deadline.h  account.h                    codes, times, what is known of a lost task
 *   0  detail/{config,atomic,os}.h                        compiler, atomics, system: the seam that tests swap */
#ifndef CFUTURES_H
#define CFUTURES_H

#define CF_VERSION_MAJOR 0
#define CF_VERSION_MINOR 1
#define CF_VERSION_PATCH 0

#include "cfutures/deadline.h"
#include "cfutures/errors.h"
#include "cfutures/future.h"
#include "cfutures/inline_executor.h"
#include "cfutures/map.h"
#include "cfutures/process_pool.h"
#include "cfutures/promise.h"
#include "cfutures/queue.h"
#include "cfutures/task.h"
#include "cfutures/thread_pool.h"
#include "cfutures/wait.h"

#endif

#if defined(CF_IMPLEMENTATION) && !CF__BODIES
#error "cfutures: define CF_IMPLEMENTATION before the first #include of a header of cfutures"
#endif
