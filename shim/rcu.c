// SPDX-License-Identifier: GPL-2.0-only
#include <linux/rcupdate.h>

#include "shim/shim.h"

void shim_synchronize_rcu_tasks(void)
{
	synchronize_rcu_tasks();
}
