// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's xarray and its lock, on fibers.
#include "fiber_shim.hpp"

#include <algorithm>

using namespace schedules;

namespace {

struct Xarray {
	struct Entry {
		unsigned long index;
		void *entry;
	};
	bool used;
	u8 holder; // slot + 1; 0: nobody
	const char *name;
	int count;
	Entry entries[16]; // in the order of their indices
};

Xarray arrays[3];
bool allocates_always;
char zero_entry; // XA_ZERO_ENTRY: reserved, not there for a look-up

// In the kernel's xarray.
struct XarrayState {
	u32 number; // in arrays, + 1
};

Xarray &array(struct xarray *xa)
{
	u32 number = fake::as<XarrayState>(xa)->number;

	if (!number)
		fake::bug("xarray: not initialized, or destroyed");
	return arrays[number - 1];
}

bool held(const Xarray &xa)
{
	return xa.holder == running_slot() + 1;
}

void need_lock(const Xarray &xa, const char *what)
{
	if (!held(xa))
		fake::bug("%s without the lock", what);
}

bool is_free(const void *xa)
{
	return !static_cast<const Xarray *>(xa)->holder;
}

void *visible(void *entry)
{
	return entry == &zero_entry ? nullptr : entry;
}

// The first entry at or behind index.
Xarray::Entry *at_or_after(Xarray &xa, unsigned long index)
{
	Xarray::Entry *entry = xa.entries;

	while (entry < xa.entries + xa.count && entry->index < index)
		entry++;
	return entry;
}

Xarray::Entry *entry_at(Xarray &xa, unsigned long index)
{
	Xarray::Entry *found = at_or_after(xa, index);

	return found < xa.entries + xa.count && found->index == index ? found : nullptr;
}

} // namespace

extern "C" void shim_xa_init_flags(struct xarray *xa, unsigned int, const char *name, struct lock_class_key *)
{
	Xarray *free = std::find_if(std::begin(arrays), std::end(arrays), [](Xarray &a) { return !a.used; });

	if (free == std::end(arrays))
		fake::bug("more xarrays than there are slots");
	*free = {};
	free->used = true;
	free->name = name;
	fake::as<XarrayState>(xa)->number = static_cast<u32>(free - arrays) + 1;
}

extern "C" void shim_xa_destroy(struct xarray *xa)
{
	Xarray &found = array(xa);

	// The core may leave a mark of its own in it: the array's address.
	for (int i = 0; i < found.count; i++)
		if (found.entries[i].entry != xa)
			fake::bug("xa_destroy: %d entries are left, one at %lu", found.count, found.entries[i].index);
	found.used = false;
	fake::as<XarrayState>(xa)->number = 0;
}

extern "C" void shim_xa_lock_bh(struct xarray *xa)
{
	Xarray &found = array(xa);

	if (held(found))
		fake::bug("deadlock: %s taken twice", found.name);
	step("lock", found.name, is_free, &found);
	found.holder = static_cast<u8>(running_slot() + 1);
	running().locks++;
}

extern "C" void shim_xa_unlock_bh(struct xarray *xa)
{
	Xarray &found = array(xa);

	if (!held(found))
		fake::bug("xa_unlock by one that does not hold it");
	found.holder = 0;
	running().locks--;
	step("unlocked", found.name);
}

extern "C" void *shim_xa_load(struct xarray *xa, unsigned long index)
{
	bool alone = running().rcu && running().locks == 1;

	if (!running().locks)
		step("xa_load", array(xa).name);
	Xarray::Entry *at = entry_at(array(xa), index);
	void *found = at ? visible(at->entry) : nullptr;

	// What it has found may be erased before it is looked at.
	if (alone)
		step("xa_load has found", array(xa).name);
	return found;
}

extern "C" void *shim_xa_find(struct xarray *xa, unsigned long *index, unsigned long max)
{
	if (!running().locks)
		step("xa_find", array(xa).name);
	Xarray &found = array(xa);

	for (Xarray::Entry *at = at_or_after(found, *index); at < found.entries + found.count && at->index <= max;
	     at++) {
		if (visible(at->entry)) {
			*index = at->index;
			return at->entry;
		}
	}
	return nullptr;
}

extern "C" int shim___xa_insert(struct xarray *xa, unsigned long index, void *entry, unsigned int gfp)
{
	Xarray &found = array(xa);

	need_lock(found, "__xa_insert");
	if (entry_at(found, index))
		return -SHIM_EBUSY;
	// A node for it: the lock is dropped for the allocation.
	if (allocates_always && (gfp & fake::kGfpDirectReclaim)) {
		shim_xa_unlock_bh(xa);
		fake::may_sleep("xarray node allocation");
		shim_xa_lock_bh(xa);
		if (entry_at(found, index))
			return -SHIM_EBUSY;
	}
	if (found.count == static_cast<int>(std::size(found.entries)))
		fake::bug("more entries in %s than there is room for", found.name);
	Xarray::Entry *at = at_or_after(found, index);

	std::move_backward(at, found.entries + found.count, found.entries + found.count + 1);
	found.count++;
	*at = {index, entry ? entry : &zero_entry};
	return 0;
}

extern "C" void *shim___xa_store(struct xarray *xa, unsigned long index, void *entry, unsigned int)
{
	need_lock(array(xa), "__xa_store");
	Xarray::Entry *found = entry_at(array(xa), index);

	if (!found)
		fake::bug("__xa_store into an index that is not reserved would allocate");
	void *old = visible(found->entry);

	found->entry = entry;
	return old;
}

extern "C" void *shim___xa_erase(struct xarray *xa, unsigned long index)
{
	Xarray &found = array(xa);

	need_lock(found, "__xa_erase");
	Xarray::Entry *at = entry_at(found, index);

	if (!at)
		return nullptr;
	void *old = visible(at->entry);

	std::move(at + 1, found.entries + found.count, at);
	found.entries[--found.count] = {};
	return old;
}

extern "C" int shim_xa_alloc_bh(struct xarray *xa, u32 *id, void *entry, u32 max, unsigned int gfp)
{
	unsigned long index = 1;

	if (gfp & fake::kGfpDirectReclaim)
		fake::may_sleep("xa_alloc");
	shim_xa_lock_bh(xa);
	while (entry_at(array(xa), index))
		index++;
	int err = index > max ? -SHIM_EBUSY : shim___xa_insert(xa, index, entry, 0);

	shim_xa_unlock_bh(xa);
	*id = static_cast<u32>(index);
	return err;
}

extern "C" void *shim_xa_erase_bh(struct xarray *xa, unsigned long index)
{
	shim_xa_lock_bh(xa);
	void *old = shim___xa_erase(xa, index);

	shim_xa_unlock_bh(xa);
	return old;
}

namespace fake {

void xa_always_allocates(bool on)
{
	allocates_always = on;
}

} // namespace fake
