/* tests/compile/two_tus.h - what two_tus_b.c offers to two_tus_a.c.
 * SPDX-License-Identifier: MIT */
#ifndef TWO_TUS_H
#define TWO_TUS_H

const char *two_tus_b_text(cf_err error);
int two_tus_b_version(void);
long two_tus_b_fail(int code);
cf_future *two_tus_b_submit(cf_executor *executor, int n);

#endif
