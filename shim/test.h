/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Hooks of the test build (make modules HOOKS=1): delays at the points where races are decided, coverage of what runs
 * on workers, a count of what is allocated. In the build that users get they are nothing; scripts/check-ko looks.
 */
#ifndef _SHIM_TEST_H
#define _SHIM_TEST_H

#include <linux/types.h>

/* Where another thread may come in. A bit each of the parameter chaos_points. */
enum test_point {
	TEST_LOCK,     /* before xa_lock */
	TEST_UNLOCK,   /* after xa_unlock */
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
/* CONTEXT: any; where the core may sleep it may too. */
void kextbridge_test_point(enum test_point point);
/* What a worker runs between these is covered for who has enabled KCOV with the handle of the parameter kcov_handle. */
void kextbridge_test_work_begin(void);
void kextbridge_test_work_end(void);
/* Returns p. Each that is not null is one more, or one less, of the parameter live_allocations. */
void *kextbridge_test_allocated(void *p);
void kextbridge_test_freed(const void *p);
#else
static inline void kextbridge_test_point(enum test_point point) {}
static inline void kextbridge_test_work_begin(void) {}
static inline void kextbridge_test_work_end(void) {}
static inline void *kextbridge_test_allocated(void *p)
{
	return p;
}
static inline void kextbridge_test_freed(const void *p) {}
#endif

#endif
