// SPDX-License-Identifier: GPL-2.0-only
/*
 * The numbers that C++ needs of the kernel: compiled to assembly, never linked; Kbuild makes layout.gen.h
 * of it as it does of kernel/bounds.c.
 */
#include <linux/capability.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/kbuild.h>
#include <linux/ktime.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/timer.h>

#include "shim/opaque.h"

#define DEFINE_LAYOUT(NAME, type)                 \
	DEFINE(SHIM_SIZEOF_##NAME, sizeof(type)); \
	DEFINE(SHIM_ALIGNOF_##NAME, __alignof__(type))
#define DEFINE_CONSTANT(name) DEFINE(SHIM_##name, (unsigned long)(name))

int main(void)
{
	DEFINE_LAYOUT(DELAYED_WORK, struct delayed_work);
	DEFINE_LAYOUT(KREF, struct kref);
	DEFINE_LAYOUT(LOCK_CLASS_KEY, struct lock_class_key);
	DEFINE_LAYOUT(MUTEX, struct mutex);
	DEFINE_LAYOUT(RW_SEMAPHORE, struct rw_semaphore);
	DEFINE_LAYOUT(SPINLOCK, struct spinlock);
	DEFINE_LAYOUT(TIMER_LIST, struct timer_list);
	DEFINE_LAYOUT(TIMERQUEUE_HEAD, struct timerqueue_head);
	DEFINE_LAYOUT(TIMERQUEUE_NODE, struct timerqueue_node);
	DEFINE_LAYOUT(WAIT_QUEUE_HEAD, struct wait_queue_head);
	DEFINE_LAYOUT(WORK_STRUCT, struct work_struct);
	DEFINE_LAYOUT(XARRAY, struct xarray);
	BLANK();
	DEFINE_CONSTANT(CAP_SYS_ADMIN);
	DEFINE_CONSTANT(CAP_SYS_MODULE);
	DEFINE(SHIM_EPOLLHUP, (__force unsigned int)EPOLLHUP);
	DEFINE(SHIM_EPOLLIN, (__force unsigned int)(EPOLLIN | EPOLLRDNORM));
	DEFINE(SHIM_EPOLLOUT, (__force unsigned int)(EPOLLOUT | EPOLLWRNORM));
	DEFINE(SHIM_EPOLLPRI, (__force unsigned int)EPOLLPRI);
	DEFINE(SHIM_FMODE_READ, (__force unsigned int)FMODE_READ);
	DEFINE(SHIM_FMODE_WRITE, (__force unsigned int)FMODE_WRITE);
	DEFINE(SHIM_GFP_ATOMIC, (__force unsigned int)GFP_ATOMIC);
	DEFINE(SHIM_GFP_KERNEL, (__force unsigned int)GFP_KERNEL);
	DEFINE(SHIM_GFP_KERNEL_ACCOUNT, (__force unsigned int)GFP_KERNEL_ACCOUNT);
	DEFINE(SHIM_GFP_NOWARN, (__force unsigned int)__GFP_NOWARN);
	DEFINE(SHIM_GFP_RETRY_MAYFAIL, (__force unsigned int)__GFP_RETRY_MAYFAIL);
	DEFINE(SHIM_GFP_ZERO, (__force unsigned int)__GFP_ZERO);
	DEFINE(SHIM_RCU_HEAD_SIZE, sizeof(struct rcu_head));
	DEFINE_CONSTANT(KTIME_MAX);
	DEFINE_CONSTANT(LOGLEVEL_INFO);
	DEFINE_CONSTANT(O_NONBLOCK);
	DEFINE_CONSTANT(PAGE_SHIFT);
	/*
	 * Freezable: who waits for user space, which is frozen too, must not keep the system from suspending. The driver
	 * may hold other locks of its own.
	 */
	DEFINE(SHIM_TASK_IDLE, TASK_IDLE | TASK_FREEZABLE_UNSAFE);
	DEFINE(SHIM_TASK_INTERRUPTIBLE, TASK_INTERRUPTIBLE | TASK_FREEZABLE_UNSAFE);
	DEFINE_CONSTANT(TASK_UNINTERRUPTIBLE);
	DEFINE_CONSTANT(WQ_UNBOUND);
	DEFINE_CONSTANT(WQ_MAX_ACTIVE);
	DEFINE_CONSTANT(WQ_HIGHPRI);
	DEFINE(SHIM_XA_FLAGS_HANDLES, (__force unsigned int)(XA_FLAGS_LOCK_BH | XA_FLAGS_ALLOC1));
	DEFINE(SHIM_XA_FLAGS_REQUESTS, (__force unsigned int)XA_FLAGS_LOCK_BH);
	DEFINE_CONSTANT(MODULE_NAME_LEN);
	BLANK();
	DEFINE_CONSTANT(E2BIG);
	DEFINE_CONSTANT(EACCES);
	DEFINE_CONSTANT(EAGAIN);
	DEFINE_CONSTANT(EBUSY);
	DEFINE_CONSTANT(EEXIST);
	DEFINE_CONSTANT(EFAULT);
	DEFINE_CONSTANT(ECANCELED);
	DEFINE_CONSTANT(EINVAL);
	DEFINE_CONSTANT(EIOCBQUEUED);
	DEFINE_CONSTANT(EIO);
	DEFINE_CONSTANT(EINTR);
	DEFINE_CONSTANT(ENOBUFS);
	DEFINE_CONSTANT(EMSGSIZE);
	DEFINE_CONSTANT(ENOMEM);
	DEFINE_CONSTANT(ENODEV);
	DEFINE_CONSTANT(ENOSPC);
	DEFINE_CONSTANT(ENOTTY);
	DEFINE_CONSTANT(EOPNOTSUPP);
	DEFINE_CONSTANT(ENOENT);
	DEFINE_CONSTANT(EOWNERDEAD);
	DEFINE_CONSTANT(EPERM);
	DEFINE_CONSTANT(ERESTARTSYS);
	DEFINE_CONSTANT(ESHUTDOWN);
	DEFINE_CONSTANT(EOVERFLOW);
	DEFINE_CONSTANT(ETIME);
	DEFINE_CONSTANT(ETIMEDOUT);
	return 0;
}
