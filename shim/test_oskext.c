// SPDX-License-Identifier: GPL-2.0-only
/* The test build of kextbridge.ko: what happens to a system, and to tags, once in a long time. */
#include <linux/kernel.h>
#include <linux/module.h>

#include "shim/entry.h"

static int shutdown_set(const char *value, const struct kernel_param *kp)
{
	bool down;
	int err = kstrtobool(value, &down);

	if (!err && down)
		kextbridge_shutdown_c();
	else if (!err)
		kextbridge_test_no_shutdown_c();
	return err;
}

static const struct kernel_param_ops shutdown_ops = {.set = shutdown_set};
module_param_cb(shutdown, &shutdown_ops, NULL, 0200);
MODULE_PARM_DESC(shutdown, "test build: 1: what happens when the system goes down; 0: and it does not");

static int next_tag_set(const char *value, const struct kernel_param *kp)
{
	u32 next;
	int err = kstrtou32(value, 0, &next);

	if (!err)
		kextbridge_test_tags_c(next, 0);
	return err;
}

static const struct kernel_param_ops next_tag_ops = {.set = next_tag_set};
module_param_cb(next_tag, &next_tag_ops, NULL, 0200);
MODULE_PARM_DESC(next_tag, "test build: the tag that the next request gets, unless it is taken");

static int more_tags_set(const char *value, const struct kernel_param *kp)
{
	s32 more;
	int err = kstrtos32(value, 0, &more);

	if (!err)
		kextbridge_test_tags_c(0, more);
	return err;
}

static const struct kernel_param_ops more_tags_ops = {.set = more_tags_set};
module_param_cb(more_tags, &more_tags_ops, NULL, 0200);
MODULE_PARM_DESC(more_tags, "test build: so many more tags are taken, or less");
