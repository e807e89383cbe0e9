// SPDX-License-Identifier: GPL-2.0-only
/*
 * The test build's record of which code has run: the compiler calls __sanitizer_cov_trace_pc() at each branch, and
 * here it is ours and not the kernel's, so that every task, worker and softirq counts, for whoever caused it, and no
 * program has to ask for it. selftests/coverage makes a report of the files.
 */
#include <linux/atomic.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/vmalloc.h>

#include "compat.h"
#include "test.h"

#define ROOM BIT(20) /* more than there is text */

static u8 reached[ROOM]; /* by distance from the start of the text: 1 where a call has returned to */
static atomic_t points;

static char file_name[128];
static DEFINE_MUTEX(file_lock);

void __sanitizer_cov_trace_pc(void);

notrace void __sanitizer_cov_trace_pc(void)
{
	unsigned long start, size, at;

	compat_module_text(THIS_MODULE, &start, &size);
	at = _RET_IP_ - start;
	if (at >= size || at >= ROOM || READ_ONCE(reached[at]))
		return;
	WRITE_ONCE(reached[at], 1);
	atomic_inc(&points);
}

/* Adds what this load of the module has reached to what the file holds of others. */
static int add_to_file(struct file *file, unsigned long size)
{
	u8 *all = vzalloc(size);
	loff_t at = 0;
	ssize_t err;

	if (!all)
		return -ENOMEM;
	err = kernel_read(file, all, size, &at);
	if (err >= 0) {
		for (at = 0; at < size; at++)
			all[at] |= READ_ONCE(reached[at]);
		at = 0;
		err = kernel_write(file, all, size, &at);
	}
	vfree(all);
	return err < 0 ? err : err == size ? 0 : -ENOSPC;
}

/* Failures of memory that a test wants are not for us. */
static unsigned int set_fail_nth(unsigned int nth)
{
#ifdef CONFIG_FAULT_INJECTION
	swap(current->fail_nth, nth);
#endif
	return nth;
}

static int save_to_file(void)
{
	unsigned long start, size;
	struct file *file;
	int err;

	compat_module_text(THIS_MODULE, &start, &size);
	if (size > ROOM)
		return -E2BIG;
	file = filp_open(file_name, O_RDWR | O_CREAT | O_LARGEFILE, 0644);
	if (IS_ERR(file))
		return PTR_ERR(file);
	err = add_to_file(file, size);
	filp_close(file, NULL);
	return err;
}

static int save(void)
{
	unsigned int nth;
	int err;

	if (!file_name[0])
		return 0;
	nth = set_fail_nth(0);
	err = save_to_file();
	set_fail_nth(nth);
	return err;
}

static int file_set(const char *val, const struct kernel_param *kp)
{
	int err;

	mutex_lock(&file_lock);
	strscpy(file_name, val, sizeof(file_name));
	strim(file_name);
	err = save();
	mutex_unlock(&file_lock);
	return err;
}

static const struct kernel_param_ops file_ops = {.set = file_set};
module_param_cb(coverage_file, &file_ops, NULL, 0200);
MODULE_PARM_DESC(coverage_file, "test build: adds to this file what has been reached, now and again at module exit");

static int points_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%d\n", atomic_read(&points));
}

static const struct kernel_param_ops points_ops = {.get = points_get};
module_param_cb(coverage_points, &points_ops, NULL, 0444);
MODULE_PARM_DESC(coverage_points, "test build: how many points have been reached");

void kextbridge_coverage_exit(void)
{
	int err = save();

	if (err)
		pr_warn(KBUILD_MODNAME ": %s: %d\n", file_name, err);
}
