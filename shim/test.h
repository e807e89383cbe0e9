/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hooks of the test build (make modules HOOKS=1) of both modules: delays at the points where races are decided, coverage
 * (coverage.c), a count of what is allocated, allocations that fail. In the build that users get they are nothing;
 * scripts/check-ko looks.
 */
#ifndef _SHIM_TEST_H
#define _SHIM_TEST_H

#include <linux/types.h>

/* Where another thread may come in. A bit each of the parameter chaos_points. */
enum test_point {
	TEST_LOCK,     /* before xa_lock, spin_lock */
	TEST_UNLOCK,   /* after xa_unlock, spin_unlock */
	TEST_QUEUE,    /* before queue_work, mod_delayed_work */
	TEST_WORK,     /* a work has left the queue */
	TEST_WORK_END, /* our function has returned, the worker has not left the module's text */
	TEST_SYNC,     /* before flush_work, cancel_work_sync */
	TEST_WAKE,     /* before wake_up */
	TEST_WAIT,     /* a sleeper looks at its condition */
	TEST_PUT,      /* before kref_put */
	TEST_MODULE,   /* before try_module_get, module_put */
	TEST_COPY,     /* before a copy from or to user memory */
	TEST_POINTS,
};

#ifdef KEXTBRIDGE_TEST
/* Module init begins: what the kernel's loader did before is not ours. */
void kextbridge_test_init(void);
/* CONTEXT: any; where the core may sleep it may too. */
void kextbridge_test_point(enum test_point point);
/*
 * The core is about to allocate: on a worker that is one more of the parameter worker_allocations. True: that shall
 * fail (the parameter fail_mine).
 */
bool kextbridge_test_allocating(void);
/* Returns p, which has been allocated. Each that is not null is one more, or one less, of the parameter live_allocations. */
void *kextbridge_test_allocated(void *p);
void kextbridge_test_freed(const void *p);
/* The last thing that module exit, or an init that failed, does: warns of what the core has not freed. */
void kextbridge_test_exit(void);
/* Its part: adds to coverage_file. */
void kextbridge_coverage_exit(void);
#else
static inline void kextbridge_test_init(void) {}
static inline void kextbridge_test_point(enum test_point point) {}
static inline bool kextbridge_test_allocating(void)
{
	return false;
}
static inline void *kextbridge_test_allocated(void *p)
{
	return p;
}
static inline void kextbridge_test_freed(const void *p) {}
static inline void kextbridge_test_exit(void) {}
#endif

#endif
