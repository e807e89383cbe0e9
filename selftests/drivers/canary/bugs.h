/* SPDX-License-Identifier: GPL-2.0-only */
/* What the C and the C++ half of the canary know of each other. */
#ifndef _BUGS_H
#define _BUGS_H

#ifdef __cplusplus
extern "C" {
#endif

void *canary_alloc(unsigned long size);
void canary_free(void *memory);

void cxx_use_after_free(void);
void cxx_heap_out_of_bounds(void);
void cxx_stack_out_of_bounds(void);
void cxx_bounds(void);
void cxx_shift(void);
void cxx_bool(void);
void cxx_bad_call(void);
void cxx_count(unsigned int times); /* two threads at once: a data race */

#ifdef __cplusplus
}
#endif

#endif
