/* SPDX-License-Identifier: GPL-2.0-only */
/* What libkern/libkern.h has from kextbridge.ko, under names that a C library does not have. */
#ifndef _KEXTBRIDGE_STRINGS_H
#define _KEXTBRIDGE_STRINGS_H

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The number that text begins with, after white space and a sign. base: 2 to 36; 0 takes 0x for 16, 0 for 8, else 10.
 * *end, unless end is NULL: behind the last digit; text itself if there is no number, which gives 0. What does not fit
 * gives the largest or, for a negative one, the smallest value.
 * CONTEXT: any.
 */
long kextbridge_strtol(const char *text, char **end, int base);
unsigned long kextbridge_strtoul(const char *text, char **end, int base);

#ifdef __cplusplus
}
#endif

#endif
