// SPDX-License-Identifier: GPL-2.0-only
/* Refuses to stop while it is in use. As file systems and patchers do. */
#include <IOKit/IOLib.h>
#include <libkern/OSKextLib.h>

#include "glue.h"

static volatile UInt32 active;
static volatile SInt32 refused, requested;

static void arrived(OSKextRequestTag tag __unused, OSReturn result __unused, const void *data __unused,
		    uint32_t length __unused, void *context __unused)
{
	OSIncrementAtomic(&requested);
}

static bool run(struct kbpattern_call *call)
{
	if (kbpattern_is(call, "activate"))
		call->result = OSCompareAndSwap(0, 1, &active) ? kIOReturnSuccess : kIOReturnBusy;
	else if (kbpattern_is(call, "deactivate"))
		call->result = OSCompareAndSwap(1, 0, &active) ? kIOReturnSuccess : kIOReturnNotOpen;
	else if (kbpattern_is(call, "request"))
		call->result = OSKextRequestResource(OSKextGetCurrentIdentifier(), call->name, arrived, NULL, NULL);
	else
		return false;
	call->count = (UInt32)refused;
	call->length = (UInt32)requested;
	return true;
}

static kern_return_t start(kmod_info_t *ki __unused, void *data __unused)
{
	return kbpattern_glue_open(run) ? KERN_SUCCESS : KERN_FAILURE;
}

static kern_return_t stop(kmod_info_t *ki __unused, void *data __unused)
{
	if (active) {
		OSIncrementAtomic(&refused);
		return KERN_FAILURE;
	}
	kbpattern_glue_close();
	return KERN_SUCCESS;
}

KMOD_EXPLICIT_DECL(com.example.kbpattern_veto, "1.0", start, stop);
