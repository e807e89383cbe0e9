// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does not wait: the context is on the heap, and is freed by the callback, or where the request is refused. As drivers of
 * graphics cards get their packages.
 */
#include <IOKit/IOLib.h>
#include <libkern/OSKextLib.h>

#include "glue.h"

struct job {
	UInt64 number;
	UInt8 expects_data;
};

static volatile SInt32 jobs; /* that live */
static volatile SInt32 done, timed_out;
static OSReturn last_result;
static UInt32 last_length, last_sum;

static void arrived(OSKextRequestTag tag __unused, OSReturn result, const void *data, uint32_t length, void *context)
{
	struct job *job = context;

	/* From the buffer, without a copy. */
	last_sum = kbpattern_sum(data, length);
	last_length = length;
	last_result = result;
	if (result == kOSKextReturnTimeout)
		OSIncrementAtomic(&timed_out);
	OSIncrementAtomic(&done);
	IODelete(job, struct job, 1);
	OSDecrementAtomic(&jobs);
}

static OSReturn fetch(const char *name, UInt64 number)
{
	struct job *job = IONewZero(struct job, 1);
	OSKextRequestTag tag = kOSKextRequestTagInvalid;
	OSReturn result;

	if (!job)
		return kIOReturnNoMemory;
	OSIncrementAtomic(&jobs);
	job->number = number;
	result = OSKextRequestResource("com.example.kbpattern_async", name, arrived, job, &tag);
	if (result == kOSReturnSuccess)
		return result; /* the job is the callback's, and may be gone */
	IODelete(job, struct job, 1);
	OSDecrementAtomic(&jobs);
	return tag == kOSKextRequestTagInvalid ? result : kIOReturnInternalError;
}

static bool run(struct kbpattern_call *call)
{
	UInt64 number;

	if (kbpattern_is(call, "fetch")) {
		call->result = kOSReturnSuccess;
		for (number = 0; number < call->argument && call->result == kOSReturnSuccess; number++)
			call->result = fetch(call->name, number);
		call->count = (UInt32)jobs;
	} else if (kbpattern_is(call, "refused")) {
		call->result = fetch(NULL, 0);
		call->count = (UInt32)jobs;
	} else if (kbpattern_is(call, "jobs")) {
		call->count = (UInt32)jobs;
		call->length = (UInt32)done;
	} else if (kbpattern_is(call, "last")) {
		call->result = last_result;
		call->length = last_length;
		call->sum = last_sum;
		call->count = (UInt32)timed_out;
	} else {
		return false;
	}
	return true;
}

static kern_return_t start(kmod_info_t *ki __unused, void *data __unused)
{
	return kbpattern_glue_open(run) ? KERN_SUCCESS : KERN_FAILURE;
}

static kern_return_t stop(kmod_info_t *ki __unused, void *data __unused)
{
	/* Whatever was pending has been called back. */
	if (jobs) {
		IOLog("kbpattern_async: %d jobs are left\n", jobs);
		return KERN_FAILURE;
	}
	kbpattern_glue_close();
	return KERN_SUCCESS;
}

KMOD_EXPLICIT_DECL(com.example.kbpattern_async, "1.0", start, stop);
