// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver that does with its resources what drivers do, and says in the kernel log what it sees. A module
 * parameter makes it act, so that a shell can tell it when:
 *   echo get:NAME > /sys/module/kext_sample/parameters/do      ask for a resource of our own bundle
 *   echo cancel:NAME > .../do                                  ask, and cancel at once
 *   echo scope:NAME > .../do                                   ask three times under a scope, cancel the scope, ask again
 *   echo retain > .../do, echo release > .../do                keep us loaded, let us go
 * `log` holds what happened, one line per event.
 */
#include <linux/crc32.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/string.h>

#include <kextbridge/client.h>

#include "sample.h"

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

static void scope_cancelled(OSKextRequestTag tag, void *context, void *arg)
{
	note("scope cancelled tag=%u context=%lu\n", tag, (unsigned long)context);
}

static void use_scope(const char *name)
{
	struct kextbridge_scope scope;
	struct kextbridge_resource_options under = {.scope = &scope};
	OSKextRequestTag tag;
	unsigned long i;
	OSReturn result;
	uint32_t count;

	kextbridge_scope_init(&scope);
	for (i = 10; i < 13; i++) {
		result = kextbridge_request_resource(OSKextGetCurrentIdentifier(), name, got_resource, (void *)i, &tag,
						     &under);
		note("request %s tag=%u result=0x%08x\n", name, tag, result);
	}
	count = kextbridge_scope_cancel(&scope, scope_cancelled, NULL);
	note("scope of %u requests cancelled\n", count);
	result = kextbridge_request_resource(OSKextGetCurrentIdentifier(), name, got_resource, NULL, &tag, &under);
	note("request under the cancelled scope result=0x%08x\n", result);
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
	} else if (!strcmp(command, "scope") && name) {
		use_scope(name);
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
MODULE_PARM_DESC(do, "get:NAME, cancel:NAME, scope:NAME, retain, release");

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

OSKextLoadTag kext_sample_load_tag(void)
{
	return OSKextGetCurrentLoadTag();
}
EXPORT_SYMBOL_GPL(kext_sample_load_tag);

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
