// SPDX-License-Identifier: GPL-2.0-only
/* /dev/kmdf/NAME and /dev/kmdf/control: nodes and file operations, and nothing of what they mean. */
#include <linux/cdev.h>
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/rwsem.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <linux/uio.h>
#include <linux/xarray.h>

#include "../compat.h"
#include "../power.h"
#include "device.h"
#include "shim/kmdf.h"

#define MINORS 4096

static dev_t first;
static struct cdev nodes;
static struct dentry *debug;
/* Owners by minor. Read-held by whoever uses an owner, so that a node that is destroyed has no such user left. */
static DECLARE_RWSEM(owners_lock);
static DEFINE_XARRAY_ALLOC(owners);

long shim_file_count(struct file *file)
{
	return file_count(file);
}

static int node_open(struct inode *inode, struct file *file)
{
	void *owner;
	int err = -ENXIO;

	down_read(&owners_lock);
	owner = xa_load(&owners, iminor(inode));
	if (owner)
		err = kmdf_hold_c(owner);
	up_read(&owners_lock);
	/* A driver may take its time to answer: a node that is being destroyed does not wait for that. */
	return err ? err : kmdf_open_c(owner, &file->private_data);
}

static int node_release(struct inode *inode, struct file *file)
{
	kmdf_release_c(file->private_data);
	return 0;
}

static int node_flush(struct file *file, fl_owner_t id)
{
	kmdf_flush_c(file, file->private_data);
	return 0;
}

/*
 * io_uring asks so when poll says that there is something: nobody can know that of a driver. It then comes again in a
 * worker of its own, which may block.
 */
static bool must_not_wait(const struct kiocb *iocb)
{
	return iocb->ki_flags & IOCB_NOWAIT;
}

static ssize_t node_read(struct kiocb *iocb, struct iov_iter *to)
{
	s64 done = must_not_wait(iocb) ? -EAGAIN :
					 kmdf_read_c(iocb, iocb->ki_filp, iocb->ki_filp->private_data, to,
						     iov_iter_count(to), iocb->ki_pos);

	if (done > 0)
		iocb->ki_pos += done;
	return done;
}

static ssize_t node_write(struct kiocb *iocb, struct iov_iter *from)
{
	s64 done = must_not_wait(iocb) ? -EAGAIN :
					 kmdf_write_c(iocb, iocb->ki_filp, iocb->ki_filp->private_data, from,
						      iov_iter_count(from), iocb->ki_pos);

	if (done > 0)
		iocb->ki_pos += done;
	return done;
}

static long node_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return kmdf_ioctl_c(file, file->private_data, cmd, arg);
}

static __poll_t node_poll(struct file *file, poll_table *table)
{
	return (__force __poll_t)kmdf_poll_c(file, file->private_data, table);
}

static const struct file_operations node_fops = {
	.owner = THIS_MODULE,
	.open = node_open,
	.release = node_release,
	.flush = node_flush,
	.read_iter = node_read,
	.write_iter = node_write,
	.unlocked_ioctl = node_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = node_poll,
	.llseek = default_llseek,
};

static ssize_t show(struct device *dev, enum kmdf_attribute which, char *page)
{
	void *owner;
	ssize_t size = -ENODEV;

	down_read(&owners_lock);
	owner = xa_load(&owners, MINOR(dev->devt));
	if (owner)
		size = kmdf_attribute_c(owner, which, page, PAGE_SIZE);
	up_read(&owners_lock);
	return size;
}

static ssize_t interfaces_show(struct device *dev, struct device_attribute *attr, char *page)
{
	return show(dev, KMDF_ATTRIBUTE_INTERFACES, page);
}
static DEVICE_ATTR_RO(interfaces);

static ssize_t driver_module_show(struct device *dev, struct device_attribute *attr, char *page)
{
	return show(dev, KMDF_ATTRIBUTE_DRIVER, page);
}
static DEVICE_ATTR_RO(driver_module);

static struct attribute *node_attrs[] = {
	&dev_attr_interfaces.attr,
	&dev_attr_driver_module.attr,
	NULL,
};
ATTRIBUTE_GROUPS(node);

static char *node_name(compat_devnode_device *dev, umode_t *mode)
{
	if (mode)
		*mode = 0660;
	return kasprintf(GFP_KERNEL, "kmdf/%s", dev_name(dev));
}

static struct class node_class = {
	COMPAT_CLASS_OWNER.name = "kmdf",
	.devnode = node_name,
	.dev_groups = node_groups,
};

int shim_kmdf_node_create(const char *name, void *owner, u32 *minor, struct device **node)
{
	struct device *dev;
	int err;

	err = xa_alloc(&owners, minor, owner, XA_LIMIT(0, MINORS - 1), GFP_KERNEL);
	if (err)
		return err;
	dev = device_create(&node_class, NULL, first + *minor, NULL, "%s", name);
	if (IS_ERR(dev)) {
		xa_erase(&owners, *minor);
		return PTR_ERR(dev);
	}
	*node = dev;
	return 0;
}

void shim_kmdf_node_destroy(u32 minor, struct device *node)
{
	down_write(&owners_lock);
	xa_store(&owners, minor, XA_ZERO_ENTRY, GFP_KERNEL);
	up_write(&owners_lock);
	device_destroy(&node_class, node->devt);
	xa_erase(&owners, minor);
}

static long control_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	return kmdf_control_ioctl_c(cmd, arg);
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.unlocked_ioctl = control_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static struct miscdevice control = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kmdf!control",
	.nodename = "kmdf/control",
	.mode = 0660,
	.fops = &control_fops,
};

/* A line NAME suspend, as if the system were: tests have no other way. */
static ssize_t power_write(struct file *file, const char __user *user, size_t size, loff_t *pos)
{
	char line[128];
	char *what;
	char *name;
	int err;

	if (size >= sizeof(line))
		return -EINVAL;
	if (copy_from_user(line, user, size))
		return -EFAULT;
	line[size] = 0;
	what = strim(line);
	name = strsep(&what, " ");
	err = what ? kmdf_power_c(name, what) : -EINVAL;
	return err ? err : size;
}

static const struct file_operations power_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.write = power_write,
};

static ssize_t verifier_read(struct file *file, char __user *user, size_t size, loff_t *pos)
{
	char *page = (char *)get_zeroed_page(GFP_KERNEL);
	ssize_t done;

	if (!page)
		return -ENOMEM;
	done = simple_read_from_buffer(user, size, pos, page, kmdf_verifier_c(page, PAGE_SIZE));
	free_page((unsigned long)page);
	return done;
}

static const struct file_operations verifier_fops = {
	.owner = THIS_MODULE,
	.open = simple_open,
	.read = verifier_read,
};

int kmdf_device_init(void)
{
	int err;

	err = alloc_chrdev_region(&first, 0, MINORS, "kmdf");
	if (err)
		return err;
	err = class_register(&node_class);
	if (err)
		goto no_class;
	cdev_init(&nodes, &node_fops);
	nodes.owner = THIS_MODULE;
	err = cdev_add(&nodes, first, MINORS);
	if (err)
		goto no_cdev;
	err = misc_register(&control);
	if (err)
		goto no_control;
	err = power_init();
	if (err)
		goto no_power;
	debug = debugfs_create_dir("kmdf", NULL);
	debugfs_create_file("power", 0200, debug, NULL, &power_fops);
	debugfs_create_file("verifier", 0400, debug, NULL, &verifier_fops);
	return 0;

no_power:
	misc_deregister(&control);
no_control:
	cdev_del(&nodes);
no_cdev:
	class_unregister(&node_class);
no_class:
	unregister_chrdev_region(first, MINORS);
	return err;
}

void kmdf_device_exit(void)
{
	debugfs_remove(debug);
	power_exit();
	misc_deregister(&control);
	cdev_del(&nodes);
	class_unregister(&node_class);
	unregister_chrdev_region(first, MINORS);
	xa_destroy(&owners);
}
