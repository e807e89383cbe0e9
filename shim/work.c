// SPDX-License-Identifier: GPL-2.0-only
#include <linux/jiffies.h>
#include <linux/workqueue.h>

#include "shim/entry.h"
#include "shim/shim.h"
#include "test.h"

static void shim_work_fn(struct work_struct *work)
{
	kextbridge_test_point(TEST_WORK);
	kextbridge_work_c(work);
	kextbridge_test_point(TEST_WORK_END);
}

static void shim_delayed_work_fn(struct work_struct *work)
{
	kextbridge_test_point(TEST_WORK);
	kextbridge_delayed_work_c(to_delayed_work(work));
	kextbridge_test_point(TEST_WORK_END);
}

/* INIT_WORK() with the caller's lock class: the macro would give all works of this file one class. */
static void init_work(struct work_struct *work, work_func_t fn, const char *name, struct lock_class_key *key)
{
	__init_work(work, 0);
	work->data = (atomic_long_t)WORK_DATA_INIT();
#ifdef CONFIG_LOCKDEP
	lockdep_init_map(&work->lockdep_map, name, key, 0);
#endif
	INIT_LIST_HEAD(&work->entry);
	work->func = fn;
}

struct workqueue_struct *shim_alloc_workqueue(const char *name, unsigned int flags, int max_active)
{
	return alloc_workqueue("%s", flags, max_active, name);
}

bool shim_cancel_delayed_work_sync(struct delayed_work *work)
{
	kextbridge_test_point(TEST_SYNC);
	return cancel_delayed_work_sync(work);
}

bool shim_cancel_work_sync(struct work_struct *work)
{
	kextbridge_test_point(TEST_SYNC);
	return cancel_work_sync(work);
}

struct work_struct *shim_current_work(void)
{
	struct work_struct *work = current_work();

	return work && work->func == shim_work_fn ? work : NULL;
}

void shim_destroy_workqueue(struct workqueue_struct *wq)
{
	destroy_workqueue(wq);
}

bool shim_flush_work(struct work_struct *work)
{
	kextbridge_test_point(TEST_SYNC);
	return flush_work(work);
}

void shim_init_delayed_work(struct delayed_work *work, const char *name, struct lock_class_key *key)
{
	init_work(&work->work, shim_delayed_work_fn, name, key);
	timer_setup(&work->timer, delayed_work_timer_fn, TIMER_IRQSAFE);
}

void shim_init_work(struct work_struct *work, const char *name, struct lock_class_key *key)
{
	init_work(work, shim_work_fn, name, key);
}

bool shim_mod_delayed_work(struct workqueue_struct *wq, struct delayed_work *work, u64 delay_ns)
{
	/* Rounds up and adds the tick that is running: never early. */
	u64 ticks = nsecs_to_jiffies64(delay_ns) + (delay_ns ? 1 : 0);

	kextbridge_test_point(TEST_QUEUE);
	return mod_delayed_work(wq, work, min_t(u64, ticks, MAX_JIFFY_OFFSET));
}

bool shim_queue_work(struct workqueue_struct *wq, struct work_struct *work)
{
	kextbridge_test_point(TEST_QUEUE);
	return queue_work(wq, work);
}
