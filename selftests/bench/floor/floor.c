// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the bench compares with: requests to user space without names, limits, deadlines, cancel, owners and daemon
 * deaths. A slab object and a slot with a sequence number per request, one list, one wait queue, one ioctl that
 * answers and fetches, and a payload that is copied into a buffer which is kept. One asker at a time.
 */
#include <linux/completion.h>
#include <linux/fs.h>
#include <linux/ktime.h>
#include <linux/list.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "floor.h"

#define KEPT_BYTES (16u << 20)
#define PATIENCE (60 * HZ)

struct item {
	struct list_head node; /* pending, then answered */
	u32 id;
	s32 result;
	u32 length;
};

static DEFINE_SPINLOCK(lock); /* guards the lists and the slots */
static LIST_HEAD(pending);
static LIST_HEAD(answered);
static struct {
	struct item *item;
	u32 sequence;
} slots[FLOOR_MAX];
static u8 free_slots[FLOOR_MAX];
static u32 free_count;

static DECLARE_WAIT_QUEUE_HEAD(daemon_wait);
static struct kmem_cache *items;
static struct workqueue_struct *workqueue;
static void *kept;

static DEFINE_MUTEX(asker); /* guards the run that is under way, together with its completion */
static struct floor_run run;
static atomic_t issued;
static atomic_t done;
static DECLARE_COMPLETION(all_done);

static void post(void)
{
	struct item *item = kmem_cache_zalloc(items, GFP_KERNEL);
	bool was_empty;
	u32 slot;

	if (!item) {
		run.bad++;
		return;
	}
	spin_lock_bh(&lock);
	if (!free_count) {
		spin_unlock_bh(&lock);
		kmem_cache_free(items, item);
		run.bad++;
		return;
	}
	slot = free_slots[--free_count];
	slots[slot].item = item;
	item->id = slots[slot].sequence * FLOOR_MAX + slot;
	was_empty = list_empty(&pending);
	list_add_tail(&item->node, &pending);
	if (was_empty)
		wake_up(&daemon_wait);
	spin_unlock_bh(&lock);
}

static void called_back(struct item *item)
{
	if (item->result || item->length != run.length)
		run.bad++;
	kmem_cache_free(items, item);
	if (run.form != FLOOR_BLOCK && atomic_inc_return(&issued) <= run.total)
		post();
	if (atomic_inc_return(&done) == (run.form == FLOOR_BLOCK ? run.depth : run.total))
		complete(&all_done);
}

static void work_fn(struct work_struct *work)
{
	for (;;) {
		struct item *item;

		spin_lock_bh(&lock);
		item = list_first_entry_or_null(&answered, struct item, node);
		if (item)
			list_del(&item->node);
		spin_unlock_bh(&lock);
		if (!item)
			return;
		called_back(item);
	}
}

static DECLARE_WORK(work, work_fn);

static int take_answer(const struct floor_answer *answer)
{
	u32 slot = answer->id % FLOOR_MAX;
	struct item *item;

	if (answer->length > KEPT_BYTES)
		return -EINVAL;
	if (answer->length && copy_from_user(kept, u64_to_user_ptr(answer->data), answer->length))
		return -EFAULT;
	spin_lock_bh(&lock);
	item = slots[slot].item;
	if (!item || item->id != answer->id) {
		spin_unlock_bh(&lock);
		return -ENOENT;
	}
	slots[slot].item = NULL;
	slots[slot].sequence++;
	free_slots[free_count++] = slot;
	item->result = answer->result;
	item->length = answer->length;
	if (run.form == FLOOR_WORKER) {
		list_add_tail(&item->node, &answered);
		queue_work(workqueue, &work);
	}
	spin_unlock_bh(&lock);
	if (run.form != FLOOR_WORKER)
		called_back(item);
	return 0;
}

static int exchange(void __user *argp)
{
	struct floor_exchange args;
	u32 i;
	int err;

	if (copy_from_user(&args, argp, sizeof(args)))
		return -EFAULT;
	for (i = 0; i < args.answer_count; i++) {
		struct floor_answer answer;

		if (copy_from_user(&answer, u64_to_user_ptr(args.answers) + i * sizeof(answer), sizeof(answer)))
			return -EFAULT;
		err = take_answer(&answer);
		if (err)
			return err;
	}
	err = wait_event_interruptible_exclusive(daemon_wait, !list_empty_careful(&pending));
	if (err)
		return err;
	for (args.request_count = 0; args.request_count < args.max_requests; args.request_count++) {
		struct floor_request request = {};
		struct item *item;

		spin_lock_bh(&lock);
		item = list_first_entry_or_null(&pending, struct item, node);
		if (item) {
			list_del(&item->node);
			request.id = item->id;
		}
		spin_unlock_bh(&lock);
		if (!item)
			break;
		if (copy_to_user(u64_to_user_ptr(args.requests) + args.request_count * sizeof(request), &request,
				 sizeof(request)))
			return -EFAULT;
	}
	return copy_to_user(argp, &args, sizeof(args)) ? -EFAULT : 0;
}

static int wait_all(void)
{
	long left = wait_for_completion_killable_timeout(&all_done, PATIENCE);

	return left > 0 ? 0 : left ? left : -ETIME;
}

static int start_run(void __user *argp)
{
	u64 start;
	u32 i, posted;
	int err = 0;

	if (copy_from_user(&run, argp, sizeof(run)))
		return -EFAULT;
	if (!run.depth || run.depth > FLOOR_MAX || run.total % run.depth || run.form < FLOOR_BLOCK ||
	    run.form > FLOOR_WORKER)
		return -EINVAL;
	run.bad = 0;
	reinit_completion(&all_done);
	atomic_set(&done, 0);
	atomic_set(&issued, run.depth);
	start = ktime_get_ns();
	if (run.form == FLOOR_BLOCK) {
		for (posted = 0; posted < run.total && !err; posted += run.depth) {
			atomic_set(&done, 0);
			for (i = 0; i < run.depth; i++)
				post();
			err = wait_all();
		}
	} else {
		for (i = 0; i < run.depth; i++)
			post();
		err = wait_all();
	}
	run.ns = ktime_get_ns() - start;
	if (err)
		return err;
	return copy_to_user(argp, &run, sizeof(run)) ? -EFAULT : 0;
}

static long floor_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	int err;

	if (cmd == FLOOR_IOC_EXCHANGE)
		return exchange((void __user *)arg);
	if (cmd != FLOOR_IOC_RUN)
		return -ENOTTY;
	mutex_lock(&asker);
	err = start_run((void __user *)arg);
	mutex_unlock(&asker);
	return err;
}

static const struct file_operations floor_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = floor_ioctl,
};

static struct miscdevice floor_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "kbfloor",
	.fops = &floor_fops,
	.mode = 0600,
};

static void free_all(void)
{
	if (workqueue)
		destroy_workqueue(workqueue);
	kmem_cache_destroy(items);
	vfree(kept);
}

static int __init floor_init(void)
{
	int err = -ENOMEM;

	for (free_count = 0; free_count < FLOOR_MAX; free_count++)
		free_slots[free_count] = free_count;
	kept = vmalloc(KEPT_BYTES);
	items = KMEM_CACHE(item, 0);
	workqueue = alloc_workqueue("kbfloor", WQ_UNBOUND, 0);
	if (kept && items && workqueue)
		err = misc_register(&floor_device);
	if (err)
		free_all();
	return err;
}

static void __exit floor_exit(void)
{
	misc_deregister(&floor_device);
	free_all();
}

module_init(floor_init);
module_exit(floor_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("The floor that kextbridge's bench compares with");
