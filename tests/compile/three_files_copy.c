/* tests/compile/three_files_copy.c - the one compiled copy, for the files that only have declarations.
 * SPDX-License-Identifier: MIT */
#define CF_IMPLEMENTATION
#include <cfutures.h>
