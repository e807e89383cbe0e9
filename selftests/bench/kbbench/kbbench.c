// SPDX-License-Identifier: GPL-2.0-only
/*
 * The driver that the bench measures with: it issues requests, cancels them, retains itself, and times that with
 * ktime_get_ns(). Under scripts/vm --icount a nanosecond is an instruction.
 */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/string.h>
#include <linux/tick.h>
#include <linux/uaccess.h>

#include <libkern/OSKextLib.h>

#include "kbbench.h"

#define PATIENCE (60 * HZ)
#define CHUNK 500

static DEFINE_MUTEX(lock); /* one ioctl at a time; guards all below but the atomics */
static struct kbbench args;
static char name[128];

/* ---- requests on their way to the daemon and back */

static atomic_t issued;
static atomic_t done;
static DECLARE_COMPLETION(all_done);

static void issue(void);

static void flight_callback(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context)
{
	const u8 *bytes = data;

	if (result || length != args.length || (length && (bytes[0] != 0x5a || bytes[length - 1] != 0x5a)))
		args.bad++;
	if (args.depth && atomic_inc_return(&issued) <= args.count)
		issue();
	if (atomic_inc_return(&done) == (args.depth ? args.count : 1))
		complete(&all_done);
}

static void issue(void)
{
	if (OSKextRequestResource(OSKextGetCurrentIdentifier(), "resource", flight_callback, NULL, NULL))
		args.bad++;
}

static int wait_all(void)
{
	long left = wait_for_completion_killable_timeout(&all_done, PATIENCE);

	return left > 0 ? 0 : left ? left : -ETIME;
}

static int flight(void)
{
	u64 start;
	u32 i;
	int err = 0;

	reinit_completion(&all_done);
	atomic_set(&issued, args.depth);
	atomic_set(&done, 0);
	start = ktime_get_ns();
	if (args.depth) {
		for (i = 0; i < args.depth; i++)
			issue();
		err = wait_all();
	} else {
		for (i = 0; i < args.count && !err; i++) {
			atomic_set(&done, 0);
			issue();
			err = wait_all();
		}
	}
	args.ns = ktime_get_ns() - start;
	return err;
}

/* ---- requests that nobody fetches */

static u32 tags[KBBENCH_MAX];
static u32 filled;

static void never_called(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context)
{
	args.bad++;
}

static void submit(u32 at)
{
	if (OSKextRequestResource(OSKextGetCurrentIdentifier(), name, never_called, (void *)(unsigned long)at,
				  &tags[at]))
		args.bad++;
}

static void cancel(u32 at)
{
	void *context = NULL;

	if (OSKextCancelRequest(tags[at], &context) || context != (void *)(unsigned long)at)
		args.bad++;
}

/* A generator of our own, so that all runs are alike. */
static u32 random_below(u32 end)
{
	static u32 state = 1;

	state = state * 1664525u + 1013904223u;
	return (u64)state * end >> 32;
}

static int fill(void)
{
	u32 identifier = strlen(OSKextGetCurrentIdentifier()) + 1;
	u64 start;
	u32 i;

	if (filled || args.count > KBBENCH_MAX || args.length < identifier + 2 ||
	    args.length - identifier > sizeof(name))
		return -EINVAL;
	memset(name, 'n', args.length - identifier - 1);
	name[args.length - identifier - 1] = '\0';
	start = ktime_get_ns();
	for (i = 0; i < args.count; i++)
		submit(i);
	args.ns = ktime_get_ns() - start;
	filled = args.count;
	return 0;
}

static u32 victim(u32 turn)
{
	switch (args.order) {
	case KBBENCH_NEWEST:
		return filled - 1;
	case KBBENCH_OLDEST:
		return turn % filled; /* the new one takes its place, so the next is the oldest then */
	default:
		return random_below(filled);
	}
}

/* The instructions of rcu_barrier(), without the time in which the CPU was idle. */
static u64 barrier_busy_ns(void)
{
	u64 start = ktime_get_ns();
	u64 idle = get_cpu_idle_time_us(0, NULL);

	rcu_barrier();
	idle = get_cpu_idle_time_us(0, NULL) - idle;
	return ktime_get_ns() - start - idle * NSEC_PER_USEC;
}

static void churn_chunk(u32 first)
{
	u64 start;
	u32 i;

	for (i = 0; i < CHUNK; i++) {
		start = ktime_get_ns();
		barrier();
		args.empty_ns += ktime_get_ns() - start;
	}
	for (i = first; i < first + CHUNK; i++) {
		u32 at = victim(i);

		start = ktime_get_ns();
		cancel(at);
		args.cancel_ns += ktime_get_ns() - start;
		start = ktime_get_ns();
		submit(at);
		args.submit_ns += ktime_get_ns() - start;
	}
}

/* What a cancel leaves for RCU to free is waited for and timed after every chunk: else it would come at random. */
static int churn(void)
{
	u32 i;

	if (!filled || args.count % CHUNK)
		return -EINVAL;
	args.cancel_ns = args.submit_ns = args.empty_ns = args.later_ns = args.empty_later_ns = 0;
	for (i = 0; i < args.count; i += CHUNK) {
		args.empty_later_ns += barrier_busy_ns();
		churn_chunk(i);
		args.later_ns += barrier_busy_ns();
	}
	return 0;
}

static int drain(void)
{
	u64 start;
	u32 i;

	args.count = filled;
	for (i = filled; i > 1; i--) {
		u32 at = random_below(i);

		swap(tags[i - 1], tags[at]);
	}
	start = ktime_get_ns();
	for (i = 0; i < filled; i++)
		if (OSKextCancelRequest(tags[i], NULL))
			args.bad++;
	args.ns = ktime_get_ns() - start;
	filled = 0;
	return 0;
}

static int pairs(void)
{
	u64 start;
	u32 i;

	if (filled)
		return -EINVAL;
	strscpy(name, "resource", sizeof(name));
	start = ktime_get_ns();
	for (i = 0; i < args.count; i++) {
		submit(0);
		cancel(0);
	}
	args.ns = ktime_get_ns() - start;
	return 0;
}

static int retain(void)
{
	u64 start = ktime_get_ns();
	u32 i;

	for (i = 0; i < args.count; i++)
		if (OSKextRetainKextWithLoadTag(OSKextGetCurrentLoadTag()) ||
		    OSKextReleaseKextWithLoadTag(OSKextGetCurrentLoadTag()))
			args.bad++;
	args.ns = ktime_get_ns() - start;
	return 0;
}

/* ---- the node */

static int run(unsigned int cmd)
{
	switch (cmd) {
	case KBBENCH_FLIGHT:
		return flight();
	case KBBENCH_FILL:
		return fill();
	case KBBENCH_CHURN:
		return churn();
	case KBBENCH_DRAIN:
		return drain();
	case KBBENCH_PAIRS:
		return pairs();
	case KBBENCH_RETAIN:
		return retain();
	default:
		return -ENOTTY;
	}
}

static long bench_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	int err;

	mutex_lock(&lock);
	err = copy_from_user(&args, argp, sizeof(args)) ? -EFAULT : 0;
	args.bad = 0;
	if (!err)
		err = run(cmd);
	if (!err && copy_to_user(argp, &args, sizeof(args)))
		err = -EFAULT;
	mutex_unlock(&lock);
	return err;
}

static const struct file_operations bench_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = bench_ioctl,
};

static struct miscdevice bench_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kbbench",
	.fops = &bench_fops,
	.mode = 0600,
};

static kern_return_t bench_start(struct kmod_info *ki, void *data)
{
	return misc_register(&bench_device) ? KMOD_RETURN_FAILURE : KMOD_RETURN_SUCCESS;
}

static kern_return_t bench_stop(struct kmod_info *ki, void *data)
{
	misc_deregister(&bench_device);
	return KMOD_RETURN_SUCCESS;
}

KMOD_EXPLICIT_DECL(org.kextbridge.kbbench, "1", bench_start, bench_stop);
