/* SPDX-License-Identifier: GPL-2.0-only */
/* From intervals to deadlines. A unit of absolute time is a nanosecond here. CONTEXT: any. */
#ifndef _KERN_CLOCK_H
#define _KERN_CLOCK_H

#include <mach/mach_time.h>

/* How many nanoseconds a unit of an interval has. */
enum {
	kNanosecondScale = 1,
	kMicrosecondScale = 1000,
	kMillisecondScale = 1000 * 1000,
	kSecondScale = 1000 * 1000 * 1000,
};

#ifndef NSEC_PER_SEC
#define NSEC_PER_USEC 1000ull
#define NSEC_PER_MSEC 1000000ull
#define NSEC_PER_SEC 1000000000ull
#define USEC_PER_SEC 1000000ull
#endif

/* *result: `interval` units of `scale` nanoseconds, as absolute time. */
static inline void clock_interval_to_absolutetime_interval(uint32_t interval, uint32_t scale, uint64_t *result)
{
	*result = (uint64_t)interval * scale;
}

/* *result: the absolute time when they have passed from now. */
static inline void clock_interval_to_deadline(uint32_t interval, uint32_t scale, uint64_t *result)
{
	*result = mach_absolute_time() + (uint64_t)interval * scale;
}

static inline void clock_absolutetime_interval_to_deadline(uint64_t interval, uint64_t *result)
{
	*result = mach_absolute_time() + interval;
}

static inline void clock_get_uptime(uint64_t *result)
{
	*result = mach_absolute_time();
}

static inline void absolutetime_to_nanoseconds(uint64_t absolute, uint64_t *result)
{
	*result = absolute;
}

static inline void nanoseconds_to_absolutetime(uint64_t nanoseconds, uint64_t *result)
{
	*result = nanoseconds;
}

#endif
