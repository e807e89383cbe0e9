/* SPDX-License-Identifier: GPL-2.0-only */
/* Between the files of the bench. */
#ifndef _BENCH_H
#define _BENCH_H

#include <linux/atomic.h>
#include <linux/rwsem.h>

#include "../../lib/kbtest.h"
#include "kbtest_kext.h"

#define BENCH_ENTRIES 32

/* A kext by its module's name. Made once, kept until the bench goes. */
struct kbtest_entry {
	char name[KBTEST_NAME_SIZE];
	struct rw_semaphore alive;
	struct kbtest_kext *kext; /* while it is started */
	struct kbtest_kext_info info;
	OSKextRequestResourceCallback log;
	OSKextRequestResourceCallback count;
	OSKextRequestResourceCallback release;
	struct kbtest_kext *data; /* an address, never followed */
	struct kbtest_plan plan;
	atomic_t running;
	atomic_t held; /* retains of the bench that it has not given back */
	bool in_start;
	bool in_stop;
};

extern struct kbtest_entry bench_entries[BENCH_ENTRIES];

struct bench_totals {
	atomic64_t accepted, called_back, cancelled, unexpected, stops, stops_retained, stops_in_callback;
};

extern struct bench_totals bench_totals;

/* A user's string: NULL for address 0, ERR_PTR. It is overwritten when it is freed. */
char *bench_get_string(u64 address);
void bench_free_string(char *string);

/* The ioctls of those names: 0 or a negative errno. */
long bench_call(struct kbtest_call *args);
long bench_version(struct kbtest_version *args);
long bench_memory(struct kbtest_memory *args);

#endif
