// SPDX-License-Identifier: GPL-2.0-only
/*
 * Retains itself for each mount: first thing in it, released on each way out and at the end of unmount. A mount that is
 * updated keeps one retain too many. As file systems do; nobody looks at the results.
 */
#include <IOKit/IOLib.h>
#include <libkern/OSKextLib.h>

#include "glue.h"

static IOLock *mounts_lock;
static UInt32 mounts;

static IOReturn mount(bool update, bool broken)
{
	IOReturn result = kIOReturnSuccess;

	OSKextRetainKextWithLoadTag(OSKextGetCurrentLoadTag());
	if (update)
		return result; /* and not released */
	IOLockLock(mounts_lock);
	if (broken)
		result = kIOReturnBadMedia;
	else
		mounts++;
	IOLockUnlock(mounts_lock);
	if (result)
		OSKextReleaseKextWithLoadTag(OSKextGetCurrentLoadTag());
	return result;
}

static IOReturn unmount(void)
{
	IOReturn result = kIOReturnNotFound;

	IOLockLock(mounts_lock);
	if (mounts) {
		mounts--;
		result = kIOReturnSuccess;
	}
	IOLockUnlock(mounts_lock);
	if (result == kIOReturnSuccess)
		OSKextReleaseKextWithLoadTag(OSKextGetCurrentLoadTag());
	return result;
}

static bool run(struct kbpattern_call *call)
{
	if (kbpattern_is(call, "mount"))
		call->result = mount(false, false);
	else if (kbpattern_is(call, "update"))
		call->result = mount(true, false);
	else if (kbpattern_is(call, "broken"))
		call->result = mount(false, true);
	else if (kbpattern_is(call, "unmount"))
		call->result = unmount();
	else
		return false;
	call->count = mounts;
	return true;
}

static kern_return_t start(kmod_info_t *ki __unused, void *data __unused)
{
	mounts_lock = IOLockAlloc();
	if (!mounts_lock)
		return KERN_RESOURCE_SHORTAGE;
	if (kbpattern_glue_open(run))
		return KERN_SUCCESS;
	IOLockFree(mounts_lock);
	return KERN_FAILURE;
}

static kern_return_t stop(kmod_info_t *ki __unused, void *data __unused)
{
	if (mounts)
		return KERN_FAILURE;
	kbpattern_glue_close();
	IOLockFree(mounts_lock);
	return KERN_SUCCESS;
}

KMOD_EXPLICIT_DECL(com.example.kbpattern_mount, "1.0", start, stop);
