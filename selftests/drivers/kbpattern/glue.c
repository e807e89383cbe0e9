// SPDX-License-Identifier: GPL-2.0-only
/* The node of a pattern driver; the only file of these drivers that knows Linux. */
#include <linux/fs.h>
#include <linux/ioctl.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "glue.h"

static kbpattern_run_t *runs;

static long glue_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct kbpattern_call call;

	if (cmd != KBPATTERN_RUN)
		return -ENOTTY;
	if (copy_from_user(&call, (void __user *)arg, sizeof(call)))
		return -EFAULT;
	call.command[sizeof(call.command) - 1] = 0;
	call.name[sizeof(call.name) - 1] = 0;
	if (!runs(&call))
		return -EINVAL;
	return copy_to_user((void __user *)arg, &call, sizeof(call)) ? -EFAULT : 0;
}

static const struct file_operations glue_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = glue_ioctl,
};

static struct miscdevice glue_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = KBUILD_MODNAME,
	.mode = 0600,
	.fops = &glue_fops,
};

bool kbpattern_glue_open(kbpattern_run_t *run)
{
	runs = run;
	return !misc_register(&glue_device);
}

void kbpattern_glue_close(void)
{
	misc_deregister(&glue_device);
}

bool kbpattern_is(const struct kbpattern_call *call, const char *command)
{
	return !strcmp(call->command, command);
}
