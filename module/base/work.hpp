// SPDX-License-Identifier: GPL-2.0-only
// Work items that call a function with their owner. Queueing holds no reference: the owner flushes or
// cancels its works before it goes.
#pragma once

#include "base/annotate.hpp"
#include "shim/entry.h"
#include "shim/shim.h"

namespace kextbridge {

class Work final {
	// First, so that the work_struct's address is the Work's.
	work_struct work_;
	void (*function_)(void *owner) = nullptr;
	void *owner_ = nullptr;

      public:
	void init(void (*function)(void *), void *owner, const char *name, lock_class_key *key)
	{
		shim_init_work(&work_, name, key);
		function_ = function;
		owner_ = owner;
	}

	// SAFETY: shim_init_work() is called by init() only, so each work_struct of ours is a Work's first member.
	static Work *from(work_struct *work) { return reinterpret_cast<Work *>(work); }

	void run() { function_(owner_); }
	bool queue(workqueue_struct *wq) { return shim_queue_work(wq, &work_); }
	void flush() KEXTBRIDGE_EXCLUDES(core_lock()) { shim_flush_work(&work_); }
	void cancel() KEXTBRIDGE_EXCLUDES(core_lock()) { shim_cancel_work_sync(&work_); }

	// This thread runs a work of ours whose function is `function`.
	static bool running(void (*function)(void *))
	{
		work_struct *work = shim_current_work();

		return work && from(work)->function_ == function;
	}
};

class DelayedWork final {
	delayed_work work_;
	void (*function_)() = nullptr;

      public:
	void init(void (*function)(), const char *name, lock_class_key *key)
	{
		shim_init_delayed_work(&work_, name, key);
		function_ = function;
	}

	static DelayedWork *from(delayed_work *work) { return reinterpret_cast<DelayedWork *>(work); }

	void run() { function_(); }
	void arm(workqueue_struct *wq, u64 delay_ns) { shim_mod_delayed_work(wq, &work_, delay_ns); }
	void cancel() KEXTBRIDGE_EXCLUDES(core_lock()) { shim_cancel_delayed_work_sync(&work_); }
};

} // namespace kextbridge
