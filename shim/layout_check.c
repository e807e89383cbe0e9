// SPDX-License-Identifier: GPL-2.0-only
/* A stale layout.gen.h, or a wire structure that differs between C and its documentation, stops the build. */
#include <linux/build_bug.h>
#include <linux/module.h>
#include <linux/timer.h>

#include "layout.gen.h"
#include "shim/opaque.h"
#include "uapi/kextbridge.h"
#include "uapi/kmdf.h"

#define CHECK_LAYOUT(NAME, type)                           \
	static_assert(SHIM_SIZEOF_##NAME == sizeof(type)); \
	static_assert(SHIM_ALIGNOF_##NAME == __alignof__(type))

CHECK_LAYOUT(DELAYED_WORK, struct delayed_work);
CHECK_LAYOUT(KREF, struct kref);
CHECK_LAYOUT(LOCK_CLASS_KEY, struct lock_class_key);
CHECK_LAYOUT(MUTEX, struct mutex);
CHECK_LAYOUT(RW_SEMAPHORE, struct rw_semaphore);
CHECK_LAYOUT(SPINLOCK, struct spinlock);
CHECK_LAYOUT(TIMER_LIST, struct timer_list);
CHECK_LAYOUT(TIMERQUEUE_HEAD, struct timerqueue_head);
CHECK_LAYOUT(TIMERQUEUE_NODE, struct timerqueue_node);
CHECK_LAYOUT(WAIT_QUEUE_HEAD, struct wait_queue_head);
CHECK_LAYOUT(WORK_STRUCT, struct work_struct);
CHECK_LAYOUT(XARRAY, struct xarray);

static_assert(sizeof(struct kextd_request) == 48);
static_assert(sizeof(struct kextd_reply) == 40);
static_assert(sizeof(struct kextd_exchange) == 48);
static_assert(sizeof(struct kextbridge_kext) == 216);
static_assert(sizeof(struct kextbridge_list) == 32);
static_assert(sizeof(struct kextbridge_status) == 168);
static_assert(sizeof(struct kextbridge_request) == 48);
static_assert(sizeof(struct kextbridge_result) == 48);
static_assert(sizeof(struct kextbridge_tag) == 16);
static_assert(sizeof(struct kextbridge_load) == 24);
static_assert(sizeof(struct kmdf_device_control) == 56);
static_assert(sizeof(struct kmdf_cancel) == 32);
static_assert(sizeof(struct kmdf_last_status) == 16);
static_assert(sizeof(struct kmdf_device) == 160);
static_assert(sizeof(struct kmdf_queue) == 40);
static_assert(sizeof(struct kmdf_request) == 80);
static_assert(sizeof(struct kmdf_list) == 24);
static_assert(sizeof(struct kmdf_cancel_request) == 16);
static_assert(KEXTBRIDGE_MODULE_SIZE >= MODULE_NAME_LEN);
