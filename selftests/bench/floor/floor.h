/* SPDX-License-Identifier: GPL-2.0-only */
/* /dev/kbfloor: the least that a driver needs to be answered by user space. See floor.c. */
#ifndef FLOOR_H
#define FLOOR_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define FLOOR_MAX 64 /* in flight */

struct floor_answer {
	__u32 id;
	__s32 result;
	__u64 data; /* user address of the payload */
	__u32 length;
	__u32 reserved;
};

struct floor_request {
	__u32 id;
	__u32 reserved;
};

/* Hands in the answers, then sleeps for and fetches requests. */
struct floor_exchange {
	__u64 answers;
	__u64 requests;
	__u32 answer_count;
	__u32 max_requests;
	__u32 request_count; /* out */
	__u32 reserved;
};

#define FLOOR_BLOCK 1    /* the asker posts `depth`, sleeps until all are answered, and again */
#define FLOOR_CALLBACK 2 /* the answer calls back in the daemon's system call; the callback posts the next */
#define FLOOR_WORKER 3   /* the same, but the callback runs in a worker thread */

struct floor_run {
	__u32 form; /* FLOOR_BLOCK... */
	__u32 depth;
	__u32 total;  /* requests, a multiple of depth */
	__u32 length; /* of every payload */
	__u32 bad;    /* out: answers that were not as expected */
	__u32 reserved;
	__u64 ns; /* out */
};

#define FLOOR_IOC_EXCHANGE _IOWR('f', 1, struct floor_exchange)
#define FLOOR_IOC_RUN _IOWR('f', 2, struct floor_run)

#endif
