/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/* The wire between patterns.c and the drivers of drivers/kbpattern: /dev/<module>, one ioctl. */
#ifndef _KBPATTERN_H
#define _KBPATTERN_H

#include <kextbridge/types.h>

struct kbpattern_call {
	char command[16]; /* each driver has its own */
	char name[48];    /* of a resource */
	uint64_t argument;
	int32_t result;  /* out: what the call gave that it is about */
	uint32_t length; /* out */
	uint32_t sum;    /* out: kbpattern_sum() of the data */
	uint32_t count;  /* out */
};

/* For those who have <linux/ioctl.h>. EINVAL: the driver has no such command. */
#define KBPATTERN_RUN _IOWR(0xb7, 0x40, struct kbpattern_call)

static inline uint32_t kbpattern_sum(const void *data, uint32_t length)
{
	const unsigned char *at = (const unsigned char *)data;
	uint32_t sum = length;

	while (length--)
		sum = sum * 31 + *at++;
	return sum;
}

/* The argument of "sleep" and "wakeup" of kbpattern_locks. */
#define KBPATTERN_EVENT(number) ((uint64_t)(number))     /* 0 to 15 */
#define KBPATTERN_HOW(how) ((uint64_t)(how) << 8)        /* THREAD_UNINT... */
#define KBPATTERN_ONE ((uint64_t)1 << 8)                 /* wakes one */
#define KBPATTERN_DEADLINE_MS(ms) ((uint64_t)(ms) << 16) /* from now; 0: none */

#endif
