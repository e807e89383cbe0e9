// SPDX-License-Identifier: GPL-2.0-only
// The xarray with its lock: the lock of the table is the lock of everything that hangs on its entries, so
// that no second lock has to be ordered against it.
// CONTEXT: taken with bottom halves off, from process context and softirq; never from hard interrupts.
#pragma once

#include "base/annotate.hpp"
#include "shim/shim.h"

namespace kextbridge {

class KEXTBRIDGE_CAPABILITY("xa_lock") Table final {
	xarray xa_;
	// The index that was inserted last keeps an entry when it is erased, this Table's address, until the next insert:
	// with few entries the array would otherwise free its last node at each erase and allocate it again. 0: none.
	unsigned long newest_ KEXTBRIDGE_GUARDED_BY(this) = 0;
	bool lingering_ KEXTBRIDGE_GUARDED_BY(this) = false; // it has been erased

	void *visible(void *entry) { return entry == this ? nullptr : entry; }

      public:
	void init(const char *name, lock_class_key *key)
	{
		shim_xa_init_flags(&xa_, SHIM_XA_FLAGS_REQUESTS, name, key);
	}
	void destroy() { shim_xa_destroy(&xa_); }

	void lock() KEXTBRIDGE_ACQUIRE() { shim_xa_lock_bh(&xa_); }
	void unlock() KEXTBRIDGE_RELEASE() { shim_xa_unlock_bh(&xa_); }

	// Without the lock: whoever erases entries must hold a lock of the caller's. (Which one that is, no attribute of
	// a Table can say; find_kext_locked() does.)
	void *load(unsigned long index) { return visible(shim_xa_load(&xa_, index)); }
	void *load_locked(unsigned long index) KEXTBRIDGE_REQUIRES(this) { return load(index); }
	// Into an index that insert_locked() reserved. Cannot fail.
	void store_reserved_locked(unsigned long index, void *entry) KEXTBRIDGE_REQUIRES(this)
	{
		shim___xa_store(&xa_, index, entry, 0);
	}
	// The index must not be 0 and have an entry, or be reserved.
	void erase_locked(unsigned long index) KEXTBRIDGE_REQUIRES(this)
	{
		if (index == newest_) {
			shim___xa_store(&xa_, index, this, 0); // over an entry: allocates nothing
			lingering_ = true;
		} else {
			shim___xa_erase(&xa_, index);
		}
	}

	// First entry at or after *index, which becomes its own, or null. As load().
	void *find(unsigned long *index)
	{
		void *entry = shim_xa_find(&xa_, index, ~0ul);

		// More than one, when others insert and erase meanwhile.
		while (entry == this) {
			++*index;
			entry = shim_xa_find(&xa_, index, ~0ul);
		}
		return entry;
	}
	void *find(unsigned long index) { return find(&index); }

	// LOCKING: drops the lock for an allocation when it has to, and takes it again before it stores.
	// 0, -EBUSY when the index is taken (for a null entry: or lingers), -ENOMEM. A null entry reserves the index. (The
	// kernel's cyclic allocation is not used: it reads its counter before it drops the lock and writes it afterwards.)
	int insert_locked(unsigned long index, void *entry) KEXTBRIDGE_REQUIRES(this)
	{
		int err = shim___xa_insert(&xa_, index, entry, SHIM_GFP_KERNEL);

		if (err == -SHIM_EBUSY && lingering_ && index == newest_ && entry) {
			store_reserved_locked(index, entry); // taken by what lingers there
			lingering_ = false;
			return 0;
		}
		if (err)
			return err;
		if (lingering_)
			shim___xa_erase(&xa_, newest_);
		newest_ = index;
		lingering_ = false;
		return 0;
	}
};

class KEXTBRIDGE_SCOPED_CAPABILITY Guard final {
	Table &table_;

      public:
	explicit Guard(Table &table) KEXTBRIDGE_ACQUIRE(table) : table_(table) { table_.lock(); }
	~Guard() KEXTBRIDGE_RELEASE() { table_.unlock(); }
	Guard(const Guard &) = delete;
	Guard &operator=(const Guard &) = delete;
};

} // namespace kextbridge
