/* SPDX-License-Identifier: GPL-2.0-only */
/* What a driver written for macOS has not: a way for the tests to tell it what to do. */
#ifndef _KBPATTERN_GLUE_H
#define _KBPATTERN_GLUE_H

#include <kextbridge/types.h>

#include "../../lib/kbpattern.h"

#ifdef __cplusplus
extern "C" {
#endif

/* False: there is no such command. CONTEXT: the thread of the program that calls. */
typedef bool kbpattern_run_t(struct kbpattern_call *call);

/* From the start function, as the last thing in it; false: no. And from the stop function. */
bool kbpattern_glue_open(kbpattern_run_t *run);
void kbpattern_glue_close(void);
/* Whether the command is this one. */
bool kbpattern_is(const struct kbpattern_call *call, const char *command);

#ifdef __cplusplus
}
#endif

#endif
