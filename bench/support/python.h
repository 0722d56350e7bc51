/* bench/support/python.h - contenders that are a Python script.
 * SPDX-License-Identifier: MIT
 *
 * A script times itself and prints one number: the interpreter's own start isn't part of any figure. */
#ifndef BENCH_PYTHON_H
#define BENCH_PYTHON_H

#include <stdbool.h>

/** Whether python3 is there, with its pools, and `script`, a path from the root of the tree, where bench/run.sh starts us;
 * if not, says which. */
bool python_available(const char *script);

/** The number that `script` prints when it's given the arguments of `format`; false after a message. */
bool python_ask(double *value, const char *script, const char *format, ...) __attribute__((format(printf, 3, 4)));

#endif
