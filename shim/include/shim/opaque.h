/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernel objects that C++ stores but cannot look into: the size and the alignment are the kernel's
 * (layout.gen.h, checked again by layout_check.c). C sees the real ones.
 */
#ifndef _SHIM_OPAQUE_H
#define _SHIM_OPAQUE_H

#include "shim/types.h"

#ifdef __cplusplus
#include "layout.gen.h"

/* An empty C struct has size 0 (lock_class_key without lockdep); an array of 0 is no C++. */
#define SHIM_OPAQUE(name, size, align)                         \
	struct alignas(align) name {                           \
		unsigned char bytes[(size) ? (size) : 1] = {}; \
	}

SHIM_OPAQUE(delayed_work, SHIM_SIZEOF_DELAYED_WORK, SHIM_ALIGNOF_DELAYED_WORK);
SHIM_OPAQUE(kref, SHIM_SIZEOF_KREF, SHIM_ALIGNOF_KREF);
SHIM_OPAQUE(lock_class_key, SHIM_SIZEOF_LOCK_CLASS_KEY, SHIM_ALIGNOF_LOCK_CLASS_KEY);
SHIM_OPAQUE(mutex, SHIM_SIZEOF_MUTEX, SHIM_ALIGNOF_MUTEX);
SHIM_OPAQUE(rw_semaphore, SHIM_SIZEOF_RW_SEMAPHORE, SHIM_ALIGNOF_RW_SEMAPHORE);
SHIM_OPAQUE(spinlock, SHIM_SIZEOF_SPINLOCK, SHIM_ALIGNOF_SPINLOCK);
SHIM_OPAQUE(timerqueue_head, SHIM_SIZEOF_TIMERQUEUE_HEAD, SHIM_ALIGNOF_TIMERQUEUE_HEAD);
SHIM_OPAQUE(timerqueue_node, SHIM_SIZEOF_TIMERQUEUE_NODE, SHIM_ALIGNOF_TIMERQUEUE_NODE);
SHIM_OPAQUE(wait_queue_head, SHIM_SIZEOF_WAIT_QUEUE_HEAD, SHIM_ALIGNOF_WAIT_QUEUE_HEAD);
SHIM_OPAQUE(work_struct, SHIM_SIZEOF_WORK_STRUCT, SHIM_ALIGNOF_WORK_STRUCT);
SHIM_OPAQUE(xarray, SHIM_SIZEOF_XARRAY, SHIM_ALIGNOF_XARRAY);
#else
#include <linux/kref.h>
#include <linux/lockdep.h>
#include <linux/mutex.h>
#include <linux/rwsem.h>
#include <linux/spinlock.h>
#include <linux/timerqueue.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#endif

struct file;
struct module;
struct pid;
struct poll_table_struct;
struct task_struct;
struct workqueue_struct;

#endif
