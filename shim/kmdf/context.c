// SPDX-License-Identifier: GPL-2.0-only
/* Where the caller is, and the little calls that only kmdf.ko makes. */
#include <linux/bottom_half.h>
#include <linux/pid.h>
#include <linux/preempt.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/spinlock.h>
#include <linux/timekeeping.h>
#include <linux/uio.h>
#include <linux/xarray.h>

#include "../test.h"
#include "shim/kmdf.h"

void shim_local_bh_disable(void)
{
	local_bh_disable();
}

void shim_local_bh_enable(void)
{
	local_bh_enable();
}

unsigned int shim_softirq_count(void)
{
	return softirq_count();
}

bool shim_irqs_disabled(void)
{
	return irqs_disabled();
}

void shim_spin_lock_bh(struct spinlock *lock) __acquires(lock)
{
	spin_lock_bh(lock);
}

void shim_spin_unlock_bh(struct spinlock *lock) __releases(lock)
{
	spin_unlock_bh(lock);
}

void shim_spin_backoff(unsigned int tries)
{
	/* The holder may have been preempted by who waits for it, on PREEMPT_RT alone. */
	if (IS_ENABLED(CONFIG_PREEMPT_RT) && tries > 64)
		schedule_timeout_uninterruptible(1);
	else
		cpu_relax();
}

void shim_rcu_read_lock(void) __acquires(RCU)
{
	rcu_read_lock();
}

void shim_rcu_read_unlock(void) __releases(RCU)
{
	rcu_read_unlock();
}

bool shim_fatal_signal_pending(void)
{
	return fatal_signal_pending(current);
}

int shim_current_tgid(void)
{
	return task_tgid_nr(current);
}

int shim_current_tid(void)
{
	return task_pid_nr(current);
}

int shim_find_tid(u64 id)
{
	int tid;

	rcu_read_lock();
	tid = id <= INT_MAX ? pid_nr(find_vpid(id)) : 0;
	rcu_read_unlock();
	return tid;
}

u64 shim_ktime_get_real_ns(void)
{
	return ktime_get_real_ns();
}

int shim_xa_alloc_bh(struct xarray *xa, u32 *id, void *entry, u32 max, unsigned int gfp)
{
	if (kextbridge_test_allocating())
		return -ENOMEM;
	return xa_alloc_bh(xa, id, entry, XA_LIMIT(1, max), (__force gfp_t)gfp);
}

void *shim_xa_erase_bh(struct xarray *xa, unsigned long index)
{
	return xa_erase_bh(xa, index);
}

size_t shim_copy_from_iter(void *to, size_t bytes, struct iov_iter *from)
{
	return copy_from_iter(to, bytes, from);
}

size_t shim_copy_to_iter(const void *from, size_t bytes, struct iov_iter *to)
{
	return copy_to_iter(from, bytes, to);
}
