// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's xarray and its lock, on threads.
#include "fake_threads.hpp"

#include "shim/kmdf.h"

#include <map>
#include <set>
#include <shared_mutex>
#include <thread>

namespace {

struct Xarray {
	std::mutex lock; // xa_lock
	std::atomic<std::thread::id> owner{};
	// Stands for RCU: look-ups without xa_lock.
	std::shared_mutex tree;
	std::map<unsigned long, void *> entries;
	unsigned long lowest_free = 1; // at least

	bool held() const { return owner.load(std::memory_order_relaxed) == std::this_thread::get_id(); }
};

// An empty xarray that is not destroyed is no leak in the kernel, and none here.
struct AllXarrays {
	std::mutex mutex;
	std::set<Xarray *> arrays;
};

// XA_ZERO_ENTRY: reserved, not there for a look-up.
char zero_entry;

std::atomic<bool> always_allocates;

Xarray *array(struct xarray *xa)
{
	Xarray *found;

	memcpy(&found, xa->bytes, sizeof(found));
	if (!found)
		fake::bug("xarray: not initialized, or destroyed");
	return found;
}

void *visible(void *entry)
{
	return entry == &zero_entry ? nullptr : entry;
}

template <typename F> auto look(Xarray *xa, F f)
{
	if (xa->held())
		return f();
	std::shared_lock lock(xa->tree);

	return f();
}

// Before an entry is stored at a new index: room for it. A node holds 64 entries; without one the lock is dropped for an
// allocation. 1: it was dropped, look again. 0: there is room. -ENOMEM.
int make_room(struct xarray *opaque, unsigned long index, unsigned int gfp, bool *allocated)
{
	Xarray *xa = array(opaque);
	auto neighbour = xa->entries.lower_bound(index & ~63ul);
	bool needs_node = always_allocates || neighbour == xa->entries.end() || neighbour->first > (index | 63);

	if (!needs_node || *allocated)
		return 0;
	*allocated = true;
	fake::counters.made.fetch_add(1, std::memory_order_relaxed);
	if (gfp & fake::kGfpDirectReclaim) {
		shim_xa_unlock_bh(opaque);
		fake::may_sleep("xarray node allocation");
		fake::moment(fake::Moment::XaLockDropped);
		sched_yield();
		shim_xa_lock_bh(opaque);
	}
	return fake::allocation_fails() ? -SHIM_ENOMEM : 1;
}

} // namespace

extern "C" void shim_xa_init_flags(struct xarray *xa, unsigned int, const char *, struct lock_class_key *)
{
	Xarray *made = new Xarray;
	AllXarrays &all = fake::immortal<AllXarrays>();
	std::lock_guard lock(all.mutex);

	all.arrays.insert(made);
	memcpy(xa->bytes, &made, sizeof(made));
}

extern "C" void shim_xa_destroy(struct xarray *xa)
{
	Xarray *found = array(xa);

	// The core may leave a mark of its own in it: the array's address.
	for (auto &[index, entry] : found->entries)
		if (entry != xa)
			fake::bug("xa_destroy: %zu entries are left, one at %lu", found->entries.size(), index);
	AllXarrays &all = fake::immortal<AllXarrays>();
	std::lock_guard lock(all.mutex);

	all.arrays.erase(found);
	delete found;
	memset(xa->bytes, 0, sizeof(xa->bytes));
}

extern "C" void shim_xa_lock_bh(struct xarray *xa)
{
	Xarray *found = array(xa);

	if (found->held())
		fake::bug("deadlock: xa_lock taken twice");
	fake::yield_sometimes();
	found->lock.lock();
	found->owner.store(std::this_thread::get_id(), std::memory_order_relaxed);
	fake::change_atomic_depth(1);
}

extern "C" void shim_xa_unlock_bh(struct xarray *xa)
{
	Xarray *found = array(xa);

	if (!found->held())
		fake::bug("xa_unlock by a thread that does not hold it");
	found->owner.store(std::thread::id(), std::memory_order_relaxed);
	fake::change_atomic_depth(-1);
	found->lock.unlock();
	fake::yield_sometimes();
	if (!fake::atomic_depth())
		fake::moment(fake::Moment::Unlock);
}

extern "C" void *shim_xa_load(struct xarray *opaque, unsigned long index)
{
	Xarray *xa = array(opaque);

	return look(xa, [&] {
		auto found = xa->entries.find(index);

		return found == xa->entries.end() ? nullptr : visible(found->second);
	});
}

extern "C" void *shim_xa_find(struct xarray *opaque, unsigned long *index, unsigned long max)
{
	Xarray *xa = array(opaque);

	return look(xa, [&]() -> void * {
		for (auto at = xa->entries.lower_bound(*index); at != xa->entries.end() && at->first <= max; ++at) {
			if (visible(at->second)) {
				*index = at->first;
				return at->second;
			}
		}
		return nullptr;
	});
}

extern "C" int shim___xa_insert(struct xarray *opaque, unsigned long index, void *entry, unsigned int gfp)
{
	Xarray *xa = array(opaque);
	bool allocated = false;
	int err;

	if (!xa->held())
		fake::bug("__xa_insert without the lock");
	do {
		if (xa->entries.count(index))
			return -SHIM_EBUSY;
		err = make_room(opaque, index, gfp, &allocated);
	} while (err > 0);
	if (err)
		return err;
	std::unique_lock tree(xa->tree);

	xa->entries[index] = entry ? entry : &zero_entry;
	return 0;
}

extern "C" void *shim___xa_store(struct xarray *opaque, unsigned long index, void *entry, unsigned int)
{
	Xarray *xa = array(opaque);

	if (!xa->held())
		fake::bug("__xa_store without the lock");
	std::unique_lock tree(xa->tree);
	auto found = xa->entries.find(index);

	if (found == xa->entries.end())
		fake::bug("__xa_store into an index that is not reserved would allocate");
	void *old = visible(found->second);

	found->second = entry;
	tree.unlock();
	fake::yield_sometimes();
	return old;
}

extern "C" void *shim___xa_erase(struct xarray *opaque, unsigned long index)
{
	Xarray *xa = array(opaque);

	if (!xa->held())
		fake::bug("__xa_erase without the lock");
	std::unique_lock tree(xa->tree);
	auto found = xa->entries.find(index);

	if (found == xa->entries.end())
		return nullptr;
	void *old = visible(found->second);

	xa->entries.erase(found);
	return old;
}

// The lowest index that is free, as the kernel's.
extern "C" int shim_xa_alloc_bh(struct xarray *opaque, u32 *id, void *entry, u32 max, unsigned int gfp)
{
	Xarray *xa = array(opaque);
	bool allocated = false;
	unsigned long index;
	int err;

	if (gfp & fake::kGfpDirectReclaim)
		fake::may_sleep("xa_alloc");
	shim_xa_lock_bh(opaque);
	do {
		index = xa->lowest_free;
		for (auto at = xa->entries.lower_bound(index); at != xa->entries.end() && at->first == index; ++at)
			index++;
		err = index > max ? -SHIM_EBUSY : make_room(opaque, index, gfp, &allocated);
	} while (err > 0);
	if (!err) {
		std::unique_lock tree(xa->tree);

		xa->entries[index] = entry;
		xa->lowest_free = index + 1;
		*id = static_cast<u32>(index);
	}
	shim_xa_unlock_bh(opaque);
	return err;
}

extern "C" void *shim_xa_erase_bh(struct xarray *opaque, unsigned long index)
{
	Xarray *xa = array(opaque);

	shim_xa_lock_bh(opaque);
	void *old = shim___xa_erase(opaque, index);

	xa->lowest_free = index && index < xa->lowest_free ? index : xa->lowest_free;
	shim_xa_unlock_bh(opaque);
	return old;
}

namespace fake {

void xa_always_allocates(bool on)
{
	always_allocates = on;
}

void reset_xarrays()
{
	AllXarrays &all = immortal<AllXarrays>();
	std::lock_guard lock(all.mutex);

	for (Xarray *array : all.arrays)
		delete array;
	all.arrays.clear();
}

} // namespace fake
