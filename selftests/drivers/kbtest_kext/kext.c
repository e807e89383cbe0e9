// SPDX-License-Identifier: GPL-2.0-only
/* A kext that does what the test bench is told to make it do. Its identity comes from the Makefile, or from insmod. */
#include <linux/compiler.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/moduleparam.h>
#include <linux/sched.h>

#include <kextbridge/instance.h>

#include "../../lib/constants.h"
#include "../kbtest/kbtest_kext.h"

static struct kbtest_kext self;
static uint32_t returns;

#ifdef CONFIG_FAULT_INJECTION
/* Given at insmod: the n-th allocation or copy of the rest of it fails, beginning after the kernel's own loader. */
static int fail_nth_set(const char *value, const struct kernel_param *kp)
{
	return kstrtouint(value, 0, &current->fail_nth);
}

static const struct kernel_param_ops fail_nth_ops = {.set = fail_nth_set};
module_param_cb(fail_nth, &fail_nth_ops, NULL, 0200);
#endif

/* Read before its init reads kmod_info: a kext can be made another one, or one that is refused. */
module_param_string(identifier, kmod_info.name, sizeof(kmod_info.name), 0);
module_param_string(version, kmod_info.version, sizeof(kmod_info.version), 0);
module_param_named(info_version, kmod_info.info_version, int, 0);

/* A version whose end is not in its array: right as far as it goes. */
static int set_version_without_end(const char *value, const struct kernel_param *param)
{
	memset(kmod_info.version, 'x', sizeof(kmod_info.version));
	memcpy(kmod_info.version, "1.0 ", 4);
	return 0;
}

static const struct kernel_param_ops without_end_ops = {.set = set_version_without_end};

module_param_cb(version_without_end, &without_end_ops, NULL, 0);

/* One of two kexts that depend on each other as modules do, or, KBTEST_WEAK, one that takes the other if it is there. */
#ifdef KBTEST_WEAK
uint32_t kbtest_base_load_tag(void) __attribute__((weak_import));
#else
uint32_t kbtest_base_load_tag(void);
#endif
#ifdef KBTEST_BASE
uint32_t kbtest_base_load_tag(void)
{
	return OSKextGetCurrentLoadTag();
}
EXPORT_SYMBOL_GPL(kbtest_base_load_tag);
#endif

static void log_callback(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context)
{
	kbtest_log(&self, tag, result, data, length, context);
}

static void count_callback(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context)
{
	kbtest_count(result, context);
}

/* Not the last call of a function: the way back leads through our text, which may be on its way out. */
static void release_callback(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context)
{
	OSReturn released;

	kbtest_begin(&self);
	released = OSKextReleaseKextWithLoadTag(OSKextGetCurrentLoadTag());
	kbtest_linger(&self);
	kbtest_count(released ? released : result, context);
	WRITE_ONCE(returns, returns + 1);
}

static struct kextbridge_class widget = {"widget"};

static void instance(bool lives)
{
	if (lives)
		kextbridge_instance_created(&widget);
	else
		kextbridge_instance_destroyed(&widget);
}

static void __init init_callback(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length,
				 void *context)
{
}

/* The bench uses init_text while start runs at load, and never later. */
static struct kbtest_kext self __refdata = {
	.name = KBUILD_MODNAME,
	.info = &kmod_info,
	.log = log_callback,
	.count = count_callback,
	.init_text = init_callback,
	.release = release_callback,
	.instance = instance,
};

kern_return_t kext_start(struct kmod_info *ki, void *data);
kern_return_t kext_stop(struct kmod_info *ki, void *data);

kern_return_t kext_start(struct kmod_info *ki, void *data)
{
	unsigned long flags;

	self.identifier = OSKextGetCurrentIdentifier();
	self.version = OSKextGetCurrentVersionString();
	self.load_tag = OSKextGetCurrentLoadTag();
	self.constants = kbtest_right_constants();
	local_irq_save(flags);
	self.atomic_load_tag = OSKextGetCurrentLoadTag();
	local_irq_restore(flags);
#ifdef KBTEST_WEAK
	self.asks_base = OSKextSymbolIsResolved(kbtest_base_load_tag);
	if (self.asks_base)
		self.base_load_tag = kbtest_base_load_tag();
#endif
#ifdef KBTEST_USER
	/* What a function finds is its own kext's, whoever calls it. */
	if (kbtest_base_load_tag() == self.load_tag)
		return KMOD_RETURN_FAILURE;
#endif
	return kbtest_start(&self, ki);
}

kern_return_t kext_stop(struct kmod_info *ki, void *data)
{
	return kbtest_stop(&self);
}
