// SPDX-License-Identifier: GPL-2.0-only
/*
 * A bug for each detector, one at a time: insmod canary.ko bug=NAME. selftests/canaries says which detector has to
 * report it on which kernel, and fails when one stays silent.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/refcount.h>
#include <linux/sched/clock.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>

#include <libkern/OSKextLib.h>

#include "bugs.h"

static char *bug = "";
module_param(bug, charp, 0444);

static volatile unsigned int seven = 7; /* what the compiler must not see through */
static int table[4];
static unsigned int counter;
static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spinlock);

void *canary_alloc(unsigned long size)
{
	return kmalloc(size, GFP_KERNEL);
}

void canary_free(void *memory)
{
	kfree(memory);
}

static void leak(void)
{
	kmalloc(128, GFP_KERNEL);
}

static void use_after_free(void)
{
	char *bytes = kmalloc(32, GFP_KERNEL);

	kfree(bytes);
	bytes[seven] = 1;
}

static void heap_out_of_bounds(void)
{
	char *bytes = kmalloc(32, GFP_KERNEL);

	bytes[25 + seven] = 1;
	kfree(bytes);
}

static void stack_out_of_bounds(void)
{
	volatile char bytes[16];
	volatile char *volatile at = bytes;

	at[9 + seven] = 1;
}

static void user_copy_under_a_lock(void)
{
	char byte = 0;

	spin_lock(&spinlock);
	if (copy_from_user(&byte, (void __user *)current->mm->arg_start, 1))
		table[0] = 1;
	spin_unlock(&spinlock);
}

static void lock_order(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

static void lock_kept(void)
{
	mutex_lock(&first);
}

static void refcount(void)
{
	refcount_t count = REFCOUNT_INIT(1);

	refcount_dec(&count);
}

static void list(void)
{
	LIST_HEAD(head);
	struct list_head node;

	list_add(&node, &head);
	node.next = NULL;
	list_del(&node);
}

static void nothing(struct work_struct *work) {}

static void free_of_a_timer(void)
{
	struct delayed_work *work = kmalloc(sizeof(*work), GFP_KERNEL);

	INIT_DELAYED_WORK(work, nothing);
	schedule_delayed_work(work, HZ * 1000);
	kfree(work);
}

static struct work_struct on_no_stack;

static void work_on_no_stack(void)
{
	INIT_WORK_ONSTACK(&on_no_stack, nothing);
}

static void bounds(void)
{
	table[seven] = 1;
}

static void shift(void)
{
	table[0] = 1 << (seven + 54);
}

static int count(void *unused)
{
	for (unsigned int times = 2000000; times; times--) {
		counter++;
		barrier();
	}
	return 0;
}

static int count_in_cxx(void *unused)
{
	cxx_count(2000000);
	return 0;
}

/* Two threads at once, until both have ended. */
static void race(int (*function)(void *))
{
	struct task_struct *threads[2];

	for (int i = 0; i < 2; i++) {
		threads[i] = kthread_create(function, NULL, "canary/%d", i);
		if (IS_ERR(threads[i]))
			return;
		get_task_struct(threads[i]);
		kthread_bind(threads[i], i);
		wake_up_process(threads[i]);
	}
	for (int i = 0; i < 2; i++) {
		kthread_stop(threads[i]);
		put_task_struct(threads[i]);
	}
}

static int sleep_for_ever(void *unused)
{
	for (;;) {
		set_current_state(TASK_UNINTERRUPTIBLE);
		schedule();
	}
	return 0;
}

/* By the clock of the kernel's watchdog: on a busy host that of udelay() may have been measured wrong. */
static int spin_for_long(void *unused)
{
	u64 end = local_clock() + 100 * NSEC_PER_SEC;

	preempt_disable();
	while (local_clock() < end)
		cpu_relax();
	preempt_enable();
	return 0;
}

/* However slow rmmod is, the work is still there when its text has gone. */
static void outlive(struct work_struct *work)
{
	while (module_is_live(THIS_MODULE))
		msleep(10);
	msleep(3000);
}

static DECLARE_WORK(work_of_text_that_goes, outlive);

static void unlocked_count(void)
{
	race(count);
}

static void cxx_unlocked_count(void)
{
	race(count_in_cxx);
}

static void hung_task(void)
{
	kthread_run(sleep_for_ever, NULL, "canary");
}

static void soft_lockup(void)
{
	kthread_run(spin_for_long, NULL, "canary");
}

/* Needs an rmmod at once: nobody waits for the work. */
static void text_gone(void)
{
	schedule_work(&work_of_text_that_goes);
}

static void warn(void)
{
	WARN(1, "canary");
}

static void oops(void)
{
	*(volatile int *)(unsigned long)(seven * 8) = 1;
}

static const struct {
	const char *name;
	void (*commit)(void);
} bugs[] = {
	{"leak", leak},
	{"use_after_free", use_after_free},
	{"heap_out_of_bounds", heap_out_of_bounds},
	{"stack_out_of_bounds", stack_out_of_bounds},
	{"user_copy_under_a_lock", user_copy_under_a_lock},
	{"lock_order", lock_order},
	{"lock_kept", lock_kept},
	{"refcount", refcount},
	{"list", list},
	{"free_of_a_timer", free_of_a_timer},
	{"work_on_no_stack", work_on_no_stack},
	{"bounds", bounds},
	{"shift", shift},
	{"unlocked_count", unlocked_count},
	{"hung_task", hung_task},
	{"soft_lockup", soft_lockup},
	{"text_gone", text_gone},
	{"warn", warn},
	{"oops", oops},
	{"cxx_use_after_free", cxx_use_after_free},
	{"cxx_heap_out_of_bounds", cxx_heap_out_of_bounds},
	{"cxx_stack_out_of_bounds", cxx_stack_out_of_bounds},
	{"cxx_bounds", cxx_bounds},
	{"cxx_shift", cxx_shift},
	{"cxx_bool", cxx_bool},
	{"cxx_bad_call", cxx_bad_call},
	{"cxx_unlocked_count", cxx_unlocked_count},
};

static kern_return_t canary_start(struct kmod_info *ki, void *data)
{
	for (size_t i = 0; i < ARRAY_SIZE(bugs); i++) {
		if (!strcmp(bugs[i].name, bug)) {
			bugs[i].commit();
			return KMOD_RETURN_SUCCESS;
		}
	}
	return KMOD_RETURN_FAILURE;
}

static kern_return_t canary_stop(struct kmod_info *ki, void *data)
{
	return KMOD_RETURN_SUCCESS;
}

KMOD_EXPLICIT_DECL(com.example.canary, "1.0", canary_start, canary_stop);
