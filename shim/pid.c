// SPDX-License-Identifier: GPL-2.0-only
#include <linux/pid.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/sched/task.h>

#include "shim/shim.h"

struct pid *shim_get_current_tgid(void)
{
	return get_task_pid(current, PIDTYPE_TGID);
}

int shim_pid_vnr(struct pid *pid)
{
	return pid_vnr(pid);
}

bool shim_process_gone(struct pid *pid)
{
	struct task_struct *leader;
	bool gone;

	rcu_read_lock();
	leader = pid_task(pid, PIDTYPE_TGID);
	gone = !leader || (leader->signal->flags & SIGNAL_GROUP_EXIT) || !atomic_read(&leader->signal->live);
	rcu_read_unlock();
	return gone;
}

void shim_put_pid(struct pid *pid)
{
	put_pid(pid);
}
