// SPDX-License-Identifier: GPL-2.0-only
#include <linux/hrtimer.h>
#include <linux/poll.h>
#include <linux/sched/signal.h>
#include <linux/wait.h>

#include "shim/shim.h"
#include "test.h"

static bool looked(bool (*condition)(void *arg), void *arg)
{
	kextbridge_test_point(TEST_WAIT);
	return condition(arg);
}

void shim_init_waitqueue_head(struct wait_queue_head *wq, const char *name, struct lock_class_key *key)
{
	__init_waitqueue_head(wq, name, key);
}

void shim_poll_wait(struct file *file, struct wait_queue_head *wq, struct poll_table_struct *table)
{
	poll_wait(file, wq, table);
}

void shim_wait_event(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg)
{
	wait_event(*wq, looked(condition, arg));
}

int shim_wait_event_interruptible(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg)
{
	return wait_event_interruptible(*wq, looked(condition, arg));
}

int shim_wait_event_interruptible_exclusive(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg)
{
	return wait_event_interruptible_exclusive(*wq, looked(condition, arg));
}

int shim_wait_event_killable(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg)
{
	/* Freezable: who waits for user space, which is frozen too, must not keep the system from suspending. */
	return wait_event_state(*wq, looked(condition, arg), (TASK_KILLABLE | TASK_FREEZABLE));
}

int shim___wait_event_hrtimeout(struct wait_queue_head *wq, bool (*condition)(void *arg), void *arg, s64 timeout_ns,
				unsigned int state)
{
	return __wait_event_hrtimeout(*wq, looked(condition, arg), timeout_ns, state);
}

bool shim_waitqueue_active(struct wait_queue_head *wq)
{
	/* ORDER: the lock that the caller and the sleeper's condition share; module/base/wait.hpp. */
	return waitqueue_active(wq);
}

void shim_wake_up(struct wait_queue_head *wq)
{
	kextbridge_test_point(TEST_WAKE);
	wake_up(wq);
}

void shim_wake_up_all(struct wait_queue_head *wq)
{
	kextbridge_test_point(TEST_WAKE);
	wake_up_all(wq);
}
