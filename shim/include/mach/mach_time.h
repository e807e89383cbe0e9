/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _MACH_MACH_TIME_H
#define _MACH_MACH_TIME_H

#include <kextbridge/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The time that deadlines are in: nanoseconds since the machine was started, without the time it was suspended
 * (CLOCK_MONOTONIC). Never goes back. CONTEXT: any.
 */
uint64_t mach_absolute_time(void);

#ifdef __cplusplus
}
#endif

#endif
