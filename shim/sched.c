// SPDX-License-Identifier: GPL-2.0-only
#include <linux/kernel.h>
#include <linux/sched.h>

#include "shim/shim.h"

void shim_cond_resched(void)
{
	cond_resched();
}

void shim_might_sleep(void)
{
	might_sleep();
}
