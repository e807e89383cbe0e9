// SPDX-License-Identifier: GPL-2.0-only
/* A driver that needs another one. It is retained when it starts, and lets go of itself when it is told to. */
#include <linux/module.h>
#include <linux/moduleparam.h>

#include <libkern/OSKextLib.h>

#include "../sample/sample.h"

static int user_release(const char *value, const struct kernel_param *kp)
{
	return OSKextReleaseKextWithLoadTag(OSKextGetCurrentLoadTag()) ? -EIO : 0;
}

static const struct kernel_param_ops release_ops = {.set = user_release};
module_param_cb(release, &release_ops, NULL, 0200);
MODULE_PARM_DESC(release, "whatever is written: lets the kext go");

static kern_return_t user_start(struct kmod_info *ki, void *data)
{
	pr_info("%s started on kext_sample, load tag %u\n", OSKextGetCurrentIdentifier(), kext_sample_load_tag());
	return OSKextRetainKextWithLoadTag(OSKextGetCurrentLoadTag());
}

static kern_return_t user_stop(struct kmod_info *ki, void *data)
{
	pr_info("%s stopped\n", OSKextGetCurrentIdentifier());
	return KMOD_RETURN_SUCCESS;
}

KMOD_EXPLICIT_DECL(com.example.sample.user, "1.0", user_start, user_stop);
