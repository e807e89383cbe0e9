// SPDX-License-Identifier: GPL-2.0-only
// Waits for its resource: the request is made, and slept for, under the lock that the callback takes; the context is on
// the waiting thread's stack. As network and Bluetooth drivers load their firmware.
#include <IOKit/IOLib.h>
#include <libkern/OSKextLib.h>

#include "glue.h"

namespace {

class FirmwareStore {
	struct Context {
		FirmwareStore *store;
		OSReturn result;
		UInt8 *data;
		UInt32 length;
	};

	IOLock *completion_lock = nullptr;
	SInt32 cancelled = 0;

	static void arrived(OSKextRequestTag, OSReturn result, const void *data, uint32_t length, void *context_pointer)
	{
		Context *context = static_cast<Context *>(context_pointer);
		FirmwareStore *store = context->store;

		IOLockLock(store->completion_lock);
		context->result = result;
		if (result == kOSReturnSuccess && length) {
			context->data = IONew(UInt8, length);
			if (context->data) {
				memcpy(context->data, data, length);
				context->length = length;
			} else {
				context->result = kOSKextReturnNoMemory;
			}
		}
		IOLockUnlock(store->completion_lock);
		IOLockWakeup(store->completion_lock, context, true);
	}

      public:
	bool init()
	{
		completion_lock = IOLockAlloc();
		return completion_lock;
	}

	void free()
	{
		IOLockFree(completion_lock);
		completion_lock = nullptr;
	}

	// How a sleep ended that was not the answer's doing; the request is taken back.
	OSReturn take_back(OSKextRequestTag tag, Context *context)
	{
		void *mine = nullptr;

		// After either result nobody uses the context any more. Not under the lock: the callback may wait for it.
		if (OSKextCancelRequest(tag, &mine) != kOSReturnSuccess)
			return context->result;
		OSIncrementAtomic(&cancelled);
		return mine == context ? kIOReturnAborted : kIOReturnInternalError;
	}

	OSReturn load(const char *name, UInt32 how, kbpattern_call *call)
	{
		Context context = {this, kOSReturnError, nullptr, 0};
		OSKextRequestTag tag;

		IOLockLock(completion_lock);
		OSReturn result = OSKextRequestResource(OSKextGetCurrentIdentifier(), name, arrived, &context, &tag);
		int slept = THREAD_NOT_WAITING;

		if (result == kOSReturnSuccess)
			slept = IOLockSleep(completion_lock, &context, how);
		IOLockUnlock(completion_lock);
		if (slept == THREAD_AWAKENED)
			result = context.result;
		else if (slept != THREAD_NOT_WAITING)
			result = take_back(tag, &context);
		call->length = context.length;
		call->sum = kbpattern_sum(context.data, context.length);
		call->count = static_cast<uint32_t>(cancelled);
		if (context.data)
			IODelete(context.data, UInt8, context.length);
		return result;
	}
};

constinit FirmwareStore store;

bool run(kbpattern_call *call)
{
	if (kbpattern_is(call, "load")) {
		call->result = store.load(call->name, THREAD_UNINT, call);
	} else if (kbpattern_is(call, "load_or_signal")) {
		call->result = store.load(call->name, THREAD_INTERRUPTIBLE, call);
	} else if (kbpattern_is(call, "refused")) {
		call->result = store.load(nullptr, THREAD_UNINT, call);
	} else if (kbpattern_is(call, "rounds")) {
		uint32_t done = 0;

		while (done < call->argument && !(call->result = store.load(call->name, THREAD_UNINT, call)))
			done++;
		call->count = done;
	} else {
		return false;
	}
	return true;
}

kern_return_t start(kmod_info_t *, void *)
{
	if (!store.init())
		return KERN_RESOURCE_SHORTAGE;
	if (kbpattern_glue_open(run))
		return KERN_SUCCESS;
	store.free();
	return KERN_FAILURE;
}

kern_return_t stop(kmod_info_t *, void *)
{
	kbpattern_glue_close();
	store.free();
	return KERN_SUCCESS;
}

} // namespace

KMOD_EXPLICIT_DECL(com.example.kbpattern_wait, "1.0", start, stop);
