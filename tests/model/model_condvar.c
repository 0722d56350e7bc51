/* tests/model/model_condvar.c - what sleeps, on condition variables in place of futexes (CF_USE_CONDVAR).
 * SPDX-License-Identifier: MIT */
#define CF_USE_CONDVAR
#include "model_park.c"
