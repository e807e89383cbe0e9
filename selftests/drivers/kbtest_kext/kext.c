// SPDX-License-Identifier: GPL-2.0-only
/* A kext that does what the test bench is told to make it do. Its identity comes from the Makefile. */
#include <linux/init.h>
#include <linux/irqflags.h>

#include "../../lib/constants.h"
#include "../kbtest/kbtest_kext.h"

static struct kbtest_kext self;

static void log_callback(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context)
{
	kbtest_log(&self, tag, result, data, length, context);
}

static void count_callback(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context)
{
	kbtest_count(context);
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
	return kbtest_start(&self, ki);
}

kern_return_t kext_stop(struct kmod_info *ki, void *data)
{
	return kbtest_stop(&self);
}
