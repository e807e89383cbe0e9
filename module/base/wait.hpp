// SPDX-License-Identifier: GPL-2.0-only
// Wait queues with a condition given as a callable that takes its own locks.
// CONTEXT: waiting sleeps; waking is for any context.
#pragma once

#include "base/annotate.hpp"
#include "shim/shim.h"

namespace kextbridge {

class WaitQueue final {
	wait_queue_head wq_;

	template <typename F> static bool call(void *condition) { return (*static_cast<F *>(condition))(); }

      public:
	void init(const char *name, lock_class_key *key) { shim_init_waitqueue_head(&wq_, name, key); }
	void wake_one() { shim_wake_up(&wq_); }
	void wake_all() { shim_wake_up_all(&wq_); }
	// ORDER: exact when both the sleeper's condition and the caller of this look at the state under the
	// same lock: the sleeper is on the queue before it looks.
	bool active() { return shim_waitqueue_active(&wq_); }
	void poll(file *file, poll_table_struct *table) KEXTBRIDGE_EXCLUDES(core_lock())
	{
		shim_poll_wait(file, &wq_, table);
	}

	template <typename F> void wait(F condition) KEXTBRIDGE_EXCLUDES(core_lock())
	{
		shim_wait_event(&wq_, call<F>, &condition);
	}
	// 0 or -ERESTARTSYS.
	template <typename F> int wait_interruptible(F condition) KEXTBRIDGE_EXCLUDES(core_lock())
	{
		return shim_wait_event_interruptible(&wq_, call<F>, &condition);
	}
	template <typename F> int wait_interruptible_exclusive(F condition) KEXTBRIDGE_EXCLUDES(core_lock())
	{
		return shim_wait_event_interruptible_exclusive(&wq_, call<F>, &condition);
	}
	// Until the condition holds, for timeout_ns at most: 0, -ETIME, -ERESTARTSYS. SHIM_TASK_*, SHIM_KTIME_MAX.
	template <typename F> int wait_hrtimeout(F condition, s64 timeout_ns, unsigned int state)
		KEXTBRIDGE_EXCLUDES(core_lock())
	{
		return shim___wait_event_hrtimeout(&wq_, call<F>, &condition, timeout_ns, state);
	}
	template <typename F> int wait_killable(F condition) KEXTBRIDGE_EXCLUDES(core_lock())
	{
		return shim_wait_event_killable(&wq_, call<F>, &condition);
	}
};

} // namespace kextbridge
