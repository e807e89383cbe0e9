/* SPDX-License-Identifier: GPL-2.0-only */
/* /dev/kbbench: what the bench makes its driver do, and how long that took. See kbbench.c. */
#ifndef KBBENCH_H
#define KBBENCH_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define KBBENCH_MAX 100000u /* requests that FILL issues */

#define KBBENCH_RANDOM 0
#define KBBENCH_NEWEST 1
#define KBBENCH_OLDEST 2

struct kbbench {
	__u32 count;  /* requests, turns, pairs */
	__u32 depth;  /* FLIGHT: requests in flight; 0: the asker sleeps for each */
	__u32 order;  /* CHURN: KBBENCH_RANDOM... */
	__u32 length; /* FLIGHT: of every payload; FILL: bytes of the two strings, NULs included */
	__u32 bad;    /* out: results that were not as expected */
	__u32 reserved;
	__u64 ns; /* out: FLIGHT, FILL, DRAIN, PAIRS, RETAIN: all of it */
	/* out, of CHURN: */
	__u64 submit_ns;
	__u64 cancel_ns;
	__u64 empty_ns; /* of timing nothing, count times */
	__u64 later_ns; /* of what RCU frees later */
	__u64 empty_later_ns;
};

#define KBBENCH_FLIGHT _IOWR('k', 1, struct kbbench) /* count requests, each callback issues the next */
#define KBBENCH_FILL _IOWR('k', 2, struct kbbench)   /* issues count requests and leaves them */
#define KBBENCH_CHURN _IOWR('k', 3, struct kbbench)  /* count times: cancels one of them, issues another */
#define KBBENCH_DRAIN _IOWR('k', 4, struct kbbench)  /* cancels them all, in random order */
#define KBBENCH_PAIRS _IOWR('k', 5, struct kbbench)  /* count times: issues one and cancels it */
#define KBBENCH_RETAIN _IOWR('k', 6, struct kbbench) /* count times: retains and releases itself */

#endif
