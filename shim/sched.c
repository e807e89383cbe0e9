// SPDX-License-Identifier: GPL-2.0-only
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/sched.h>

#include "shim/shim.h"

void shim_cond_resched(void)
{
	cond_resched();
}

struct task_struct *shim_current(void)
{
	return current;
}

void shim_might_sleep(void)
{
	might_sleep();
}

void shim_schedule_timeout_idle(u64 timeout_ns)
{
	schedule_timeout_idle(nsecs_to_jiffies(timeout_ns) + 1);
}
