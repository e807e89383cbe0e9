// SPDX-License-Identifier: GPL-2.0-only
/* /dev/kextd and /dev/kextbridge: the file operations, and nothing of what they mean. */
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/sysfs.h>

#include "chardev.h"
#include "shim/entry.h"
#include "uapi/kextbridge.h"

static int daemon_open(struct inode *inode, struct file *file)
{
	stream_open(inode, file);
	return kextbridge_daemon_open_c(file, &file->private_data);
}

static int daemon_release(struct inode *inode, struct file *file)
{
	kextbridge_daemon_release_c(file->private_data);
	return 0;
}

static long daemon_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return kextbridge_daemon_ioctl_c(file, file->private_data, cmd, arg);
}

static __poll_t daemon_poll(struct file *file, poll_table *table)
{
	return (__force __poll_t)kextbridge_daemon_poll_c(file, file->private_data, table);
}

static const struct file_operations daemon_fops = {
	.owner = THIS_MODULE,
	.open = daemon_open,
	.release = daemon_release,
	.unlocked_ioctl = daemon_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = daemon_poll,
};

static int control_open(struct inode *inode, struct file *file)
{
	stream_open(inode, file);
	return kextbridge_control_open_c(file, &file->private_data);
}

static int control_release(struct inode *inode, struct file *file)
{
	kextbridge_control_release_c(file->private_data);
	return 0;
}

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return kextbridge_control_ioctl_c(file, file->private_data, cmd, arg);
}

static __poll_t control_poll(struct file *file, poll_table *table)
{
	return (__force __poll_t)kextbridge_control_poll_c(file, file->private_data, table);
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.release = control_release,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = control_poll,
};

static ssize_t stats_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	struct kextbridge_status s;

	kextbridge_stats_c(&s);
	return sysfs_emit(buf,
			  "kexts %u\npending %u\nfetched %u\nanswered %u\nsubmitted %llu\ncallbacks %llu\n"
			  "cancelled %llu\ndiscarded %llu\ntimeouts %llu\nreplies %llu\nlate_replies %llu\n"
			  "bad_replies %llu\nrequeued %llu\npoisoned %llu\nlimited %llu\nretains %llu\n"
			  "releases %llu\nloads %llu\nunloads %llu\nautounloads %llu\n",
			  s.kexts, s.pending, s.fetched, s.answered, s.submitted, s.callbacks, s.cancelled, s.discarded,
			  s.timeouts, s.replies, s.late_replies, s.bad_replies, s.requeued, s.poisoned, s.limited,
			  s.retains, s.releases, s.loads, s.unloads, s.autounloads);
}
static DEVICE_ATTR_RO(stats);

static struct attribute *control_attrs[] = {
	&dev_attr_stats.attr,
	NULL,
};
ATTRIBUTE_GROUPS(control);

static struct miscdevice daemon_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kextd",
	.mode = 0600,
	.fops = &daemon_fops,
};

static struct miscdevice control_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kextbridge",
	.mode = 0660,
	.fops = &control_fops,
	.groups = control_groups,
};

int chardev_init(void)
{
	int err = misc_register(&daemon_device);

	if (err)
		return err;
	err = misc_register(&control_device);
	if (err)
		misc_deregister(&daemon_device);
	return err;
}

void chardev_exit(void)
{
	misc_deregister(&control_device);
	misc_deregister(&daemon_device);
}
