// SPDX-License-Identifier: GPL-2.0-only
// A spin lock that also interrupt handlers may take. CONTEXT: any; with PREEMPT_RT not a hard interrupt.
#pragma once

#include "base/annotate.hpp"
#include "shim/shim.h"

namespace kextbridge {

class KEXTBRIDGE_CAPABILITY("spinlock") SpinLock final {
	spinlock lock_;

      public:
	void init(const char *name, lock_class_key *key) { shim_spin_lock_init(&lock_, name, key); }
	unsigned long lock() KEXTBRIDGE_ACQUIRE() { return shim_spin_lock_irqsave(&lock_); }
	void unlock(unsigned long flags) KEXTBRIDGE_RELEASE() { shim_spin_unlock_irqrestore(&lock_, flags); }
};

class KEXTBRIDGE_SCOPED_CAPABILITY SpinGuard final {
	SpinLock &lock_;
	const unsigned long flags_;

      public:
	explicit SpinGuard(SpinLock &lock) KEXTBRIDGE_ACQUIRE(lock) : lock_(lock), flags_(lock.lock()) {}
	~SpinGuard() KEXTBRIDGE_RELEASE() { lock_.unlock(flags_); }
	SpinGuard(const SpinGuard &) = delete;
	SpinGuard &operator=(const SpinGuard &) = delete;
};

} // namespace kextbridge
