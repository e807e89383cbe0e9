// SPDX-License-Identifier: GPL-2.0-only
/* LOCKING: the kernel calls these under its lock of parameters: a getter never meets a setter. */
#include <linux/kernel.h>
#include <linux/kstrtox.h>

#include "param.h"

static int set_uint(const char *val, const struct kernel_param *kp)
{
	unsigned int value;
	int err = kstrtouint(val, 0, &value);

	if (!err)
		WRITE_ONCE(*(unsigned int *)kp->arg, value);
	return err;
}

static int set_bool(const char *val, const struct kernel_param *kp)
{
	bool value = true;
	int err = val ? kstrtobool(val, &value) : 0;

	if (!err)
		WRITE_ONCE(*(bool *)kp->arg, value);
	return err;
}

const struct kernel_param_ops param_ops_once_uint = {.set = set_uint, .get = param_get_uint};
const struct kernel_param_ops param_ops_once_bool = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = set_bool,
	.get = param_get_bool,
};
