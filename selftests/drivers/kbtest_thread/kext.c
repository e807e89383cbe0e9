// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kext that lets itself go: a thread of its own releases the last retain and lingers in the kext's text. The stop
 * function, which may run before the release has returned, waits for the thread, as that of every kext with threads
 * must.
 */
#include <linux/delay.h>
#include <linux/kthread.h>

#include "../kbtest/kbtest_kext.h"

static struct task_struct *thread;
static struct kbtest_kext self;

static void log_callback(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context)
{
	kbtest_log(&self, tag, result, data, length, context);
}

static void count_callback(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context)
{
	kbtest_count(result, context);
}

static struct kbtest_kext self = {
	.name = KBUILD_MODNAME,
	.info = &kmod_info,
	.log = log_callback,
	.count = count_callback,
};

static int thread_function(void *unused)
{
	kbtest_thread_event(&self, OSKextReleaseKextWithLoadTag(OSKextGetCurrentLoadTag()));
	kbtest_thread_wait();
	kbtest_thread_event(&self, kOSReturnSuccess);
	while (!kthread_should_stop())
		msleep(10);
	return 0;
}

static kern_return_t kext_start(struct kmod_info *ki, void *data)
{
	kern_return_t result;

	self.identifier = OSKextGetCurrentIdentifier();
	self.version = OSKextGetCurrentVersionString();
	self.load_tag = OSKextGetCurrentLoadTag();
	result = kbtest_start(&self, ki);
	if (result)
		return result;
	result = OSKextRetainKextWithLoadTag(OSKextGetCurrentLoadTag());
	thread = kthread_run(thread_function, NULL, "kbtest_thread");
	if (result || IS_ERR(thread)) {
		kbtest_stop(&self);
		return KMOD_RETURN_FAILURE;
	}
	return KMOD_RETURN_SUCCESS;
}

static kern_return_t kext_stop(struct kmod_info *ki, void *data)
{
	kthread_stop(thread);
	return kbtest_stop(&self);
}

KMOD_EXPLICIT_DECL(com.example.kbtest_thread, "1.0", kext_start, kext_stop);
