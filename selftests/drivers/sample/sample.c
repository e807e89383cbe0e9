// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver that does with its resources what drivers do, and says in the kernel log what it sees. A module
 * parameter makes it act, so that a shell can tell it when:
 *   echo get:NAME > /sys/module/kext_sample/parameters/do      ask for a resource of our own bundle
 *   echo cancel:NAME > .../do                                  ask, and cancel at once
 *   echo retain > .../do, echo release > .../do                keep us loaded, let us go
 * `log` holds what happened, one line per event.
 */
#include <linux/crc32.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/string.h>

#include <libkern/OSKextLib.h>

static DEFINE_MUTEX(log_lock);
static char log_text[3000];

static __printf(1, 2) void note(const char *fmt, ...)
{
	va_list args;
	size_t used;

	mutex_lock(&log_lock);
	used = strlen(log_text);
	va_start(args, fmt);
	vscnprintf(log_text + used, sizeof(log_text) - used, fmt, args);
	va_end(args);
	mutex_unlock(&log_lock);
}

static void got_resource(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context)
{
	note("callback tag=%u result=0x%08x length=%u crc32=%08x context=%lu\n", tag, result, length,
	     ~crc32_le(~0u, data, length), (unsigned long)context);
}

static int sample_do(const char *val, const struct kernel_param *kp)
{
	char command[80], *name;
	OSKextRequestTag tag;
	OSReturn result;
	void *context = NULL;

	strscpy(command, val, sizeof(command));
	name = strim(command);
	strsep(&name, ":");
	if (!strcmp(command, "get") && name) {
		result = OSKextRequestResource(OSKextGetCurrentIdentifier(), name, got_resource, (void *)1ul, &tag);
		note("request %s tag=%u result=0x%08x\n", name, tag, result);
	} else if (!strcmp(command, "cancel") && name) {
		result = OSKextRequestResource(OSKextGetCurrentIdentifier(), name, got_resource, (void *)2ul, &tag);
		note("request %s tag=%u result=0x%08x\n", name, tag, result);
		result = OSKextCancelRequest(tag, &context);
		note("cancel tag=%u result=0x%08x context=%lu\n", tag, result, (unsigned long)context);
	} else if (!strcmp(command, "retain")) {
		note("retain result=0x%08x\n", OSKextRetainKextWithLoadTag(OSKextGetCurrentLoadTag()));
	} else if (!strcmp(command, "release")) {
		note("release result=0x%08x\n", OSKextReleaseKextWithLoadTag(OSKextGetCurrentLoadTag()));
	} else {
		return -EINVAL;
	}
	return 0;
}

static const struct kernel_param_ops do_ops = {.set = sample_do};
module_param_cb(do, &do_ops, NULL, 0200);
MODULE_PARM_DESC(do, "get:NAME, cancel:NAME, retain, release");

static int sample_log(char *buffer, const struct kernel_param *kp)
{
	int length;

	mutex_lock(&log_lock);
	length = scnprintf(buffer, PAGE_SIZE, "%s", log_text);
	mutex_unlock(&log_lock);
	return length;
}

static const struct kernel_param_ops log_ops = {.get = sample_log};
module_param_cb(log, &log_ops, NULL, 0400);
MODULE_PARM_DESC(log, "what happened, a line per event");

static kern_return_t sample_start(struct kmod_info *ki, void *data)
{
	pr_info("%s %s started, load tag %u\n", OSKextGetCurrentIdentifier(), OSKextGetCurrentVersionString(),
		OSKextGetCurrentLoadTag());
	return KMOD_RETURN_SUCCESS;
}

static kern_return_t sample_stop(struct kmod_info *ki, void *data)
{
	pr_info("%s stopped\n", OSKextGetCurrentIdentifier());
	return KMOD_RETURN_SUCCESS;
}

KMOD_EXPLICIT_DECL(com.example.sample, "1.0", sample_start, sample_stop);
