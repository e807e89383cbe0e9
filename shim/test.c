// SPDX-License-Identifier: GPL-2.0-only
/* The test build's hooks; see test.h. */
#include <linux/atomic.h>
#include <linux/delay.h>
#include <linux/module.h>
#include <linux/preempt.h>
#include <linux/sched.h>

#include "param.h"
#include "test.h"

static unsigned int chaos_permille;
param_once(chaos_permille, chaos_permille, uint);
MODULE_PARM_DESC(chaos_permille, "test build: how many of 1000 passes of a point are delayed (default 0)");
static unsigned int chaos_us = 200;
param_once(chaos_us, chaos_us, uint);
MODULE_PARM_DESC(chaos_us,
		 "test build: the longest delay in us; a tenth of it where nothing may preempt it (default 200)");
static unsigned int chaos_points = (1u << TEST_POINTS) - 1;
param_once(chaos_points, chaos_points, uint);
MODULE_PARM_DESC(chaos_points, "test build: which points, a bit each in the order of enum test_point (default all)");
static unsigned int chaos_seed = 1;
param_once(chaos_seed, chaos_seed, uint);
MODULE_PARM_DESC(chaos_seed, "test build: of the delays (default 1)");

static unsigned int fail_nth;
module_param(fail_nth, uint, 0);
MODULE_PARM_DESC(fail_nth, "test build: the n-th allocation of module init fails; 0: none does (default 0)");

/* Compared only: a task that comes later at the same address would fail in its place, once. */
static struct task_struct *failing;
static atomic_t fails_in;

static int fail_mine_set(const char *value, const struct kernel_param *kp)
{
	unsigned int nth;
	int err = kstrtouint(value, 0, &nth);

	if (!err) {
		WRITE_ONCE(failing, NULL);
		atomic_set(&fails_in, nth);
		WRITE_ONCE(failing, nth ? current : NULL);
	}
	return err;
}

static int fail_mine_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%d\n", max(atomic_read(&fails_in), 0));
}

static const struct kernel_param_ops fail_mine_ops = {.set = fail_mine_set, .get = fail_mine_get};
module_param_cb(fail_mine, &fail_mine_ops, NULL, 0600);
MODULE_PARM_DESC(fail_mine,
		 "test build: the n-th allocation of the core for the task that writes it fails; reads 0 after it");

static atomic_long_t passes;
static atomic_long_t live_allocations;
static atomic_long_t worker_allocations;
static atomic_long_t delays[TEST_POINTS];

static int count_get(char *buffer, const struct kernel_param *kp)
{
	return sysfs_emit(buffer, "%ld\n", atomic_long_read((atomic_long_t *)kp->arg));
}

static const struct kernel_param_ops count_ops = {.get = count_get};
module_param_cb(live_allocations, &count_ops, &live_allocations, 0444);
MODULE_PARM_DESC(live_allocations, "test build: allocations of the core that are not freed");
module_param_cb(worker_allocations, &count_ops, &worker_allocations, 0444);
MODULE_PARM_DESC(worker_allocations, "test build: allocations of the core on workers, those that failed included");

static int delays_get(char *buffer, const struct kernel_param *kp)
{
	int i, length = 0;

	for (i = 0; i < TEST_POINTS; i++)
		length += sysfs_emit_at(buffer, length, "%ld%c", atomic_long_read(&delays[i]),
					i + 1 < TEST_POINTS ? ' ' : '\n');
	return length;
}

static const struct kernel_param_ops delays_ops = {.get = delays_get};
module_param_cb(chaos_delays, &delays_ops, NULL, 0444);
MODULE_PARM_DESC(chaos_delays, "test build: delays so far at each point");

/* splitmix64 of the seed and a running number. */
static u64 next_random(void)
{
	u64 x = READ_ONCE(chaos_seed) + (u64)atomic_long_inc_return(&passes) * 0x9e3779b97f4a7c15ull;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

/*
 * Sleeps only where the core may sleep: elsewhere an RCU-tasks grace period must go on waiting for the driver that
 * called us, as it would without the delay.
 */
static void delay(enum test_point point, u64 random, unsigned int longest)
{
	bool sleeps = point == TEST_WORK || point == TEST_WORK_END || point == TEST_SYNC || point == TEST_COPY;

	if (sleeps)
		usleep_range(1, 1 + random % longest);
	else
		udelay(1 + random % (preemptible() ? longest : longest / 10 + 1));
}

void kextbridge_test_init(void)
{
#ifdef CONFIG_FAULT_INJECTION
	if (fail_nth)
		WRITE_ONCE(current->fail_nth, fail_nth);
#endif
}

void kextbridge_test_point(enum test_point point)
{
	unsigned int permille = READ_ONCE(chaos_permille);
	unsigned int longest = READ_ONCE(chaos_us);
	u64 random;

	if (likely(!permille) || !longest || !(READ_ONCE(chaos_points) & (1u << point)))
		return;
	random = next_random();
	if ((random & 0xffff) % 1000 >= permille)
		return;
	atomic_long_inc(&delays[point]);
	delay(point, random >> 16, longest);
}

bool kextbridge_test_allocating(void)
{
	if (current->flags & PF_WQ_WORKER)
		atomic_long_inc(&worker_allocations);
	return READ_ONCE(failing) == current && atomic_dec_return(&fails_in) == 0;
}

void *kextbridge_test_allocated(void *p)
{
	if (p)
		atomic_long_inc(&live_allocations);
	return p;
}

void kextbridge_test_freed(const void *p)
{
	if (p)
		atomic_long_dec(&live_allocations);
}

void kextbridge_test_exit(void)
{
	long left = atomic_long_read(&live_allocations);

	/* Everywhere, as kmemleak is slow, and looks for pointers that may be there by chance. */
	WARN(left, KBUILD_MODNAME ": %ld allocations are not freed\n", left);
	kextbridge_coverage_exit();
}
