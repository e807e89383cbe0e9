// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's memory and reference counts, with the checks of a debug kernel.
#include "fake_inside.hpp"

#include <new>

namespace fake {

Counters counters;
const Extension *extension;

Live live()
{
	return {counters.allocations, counters.krefs, counters.file_refs, counters.pid_refs, counters.sleepers};
}

u64 allocated_bytes()
{
	return static_cast<u64>(counters.bytes.load());
}

u64 vmalloced_bytes()
{
	return static_cast<u64>(counters.vmalloced.load());
}

u64 allocations_made()
{
	return counters.made;
}

} // namespace fake

// ---- memory

namespace {

struct alignas(16) Header {
	size_t size;
	unsigned int magic;
	bool vmalloc;
};
constexpr unsigned int kAllocated = 0xa110ca7e;
constexpr unsigned int kFreed = 0xdeadbeef;
constexpr size_t kVmallocAbove = 4 << 12;

void *allocate(size_t size, unsigned int gfp, bool zero, bool vmalloc)
{
	if (gfp & fake::kGfpDirectReclaim) {
		fake::may_sleep("memory allocation");
		fake::point(fake::Point::Allocation, nullptr);
	}
	fake::counters.made.fetch_add(1, std::memory_order_relaxed);
	if (fake::allocation_fails())
		return nullptr;
	if (size > (1ull << 32))
		return nullptr;
	Header *header = static_cast<Header *>(fake::obtain((sizeof(Header) + size + 15) & ~size_t{15}));

	if (!header)
		return nullptr;
	header->size = size;
	header->magic = kAllocated;
	header->vmalloc = vmalloc && size > kVmallocAbove;
	memset(static_cast<void *>(header + 1), zero ? 0 : 0x5a, size);
	fake::counters.allocations.fetch_add(1, std::memory_order_relaxed);
	fake::counters.bytes.fetch_add(static_cast<long>(size), std::memory_order_relaxed);
	return header + 1;
}

// In front of the pages of __vmalloc().
struct Area {
	void *memory;
	size_t memory_size;
	size_t size;
	unsigned int magic;
};
constexpr size_t kPage = 1ul << SHIM_PAGE_SHIFT;

void *allocate_pages(size_t size, unsigned int gfp)
{
	if (!size)
		fake::bug("WARNING: __vmalloc of 0 bytes");
	size = (size + kPage - 1) & ~(kPage - 1);
	fake::may_sleep("__vmalloc");
	fake::point(fake::Point::Allocation, nullptr);
	fake::counters.made.fetch_add(1, std::memory_order_relaxed);
	if (fake::allocation_fails())
		return nullptr;
	if (size > (1ull << 32)) {
		if (!(gfp & SHIM_GFP_NOWARN))
			fake::bug("vmalloc error: size %zu, exceeds total pages", size);
		return nullptr;
	}
	size_t memory_size = size + 2 * kPage;
	char *memory = static_cast<char *>(fake::obtain(memory_size));

	if (!memory)
		return nullptr;
	char *pages = memory + 2 * kPage - reinterpret_cast<unsigned long>(memory) % kPage;
	Area *area = reinterpret_cast<Area *>(pages) - 1;

	*area = {memory, memory_size, size, kAllocated};
	memset(pages, gfp & SHIM_GFP_ZERO ? 0 : 0x5a, size);
	fake::counters.allocations.fetch_add(1, std::memory_order_relaxed);
	fake::counters.bytes.fetch_add(static_cast<long>(size), std::memory_order_relaxed);
	fake::counters.vmalloced.fetch_add(static_cast<long>(size), std::memory_order_relaxed);
	return pages;
}

void release_pages(const void *p)
{
	if (!p)
		return;
	fake::may_sleep("vfree");
	if (reinterpret_cast<unsigned long>(p) % kPage)
		fake::bug("WARNING: vfree of a bad address, %p", p);
	Area *area = const_cast<Area *>(static_cast<const Area *>(p) - 1);

	if (area->magic != kAllocated)
		fake::bug("WARNING: vfree of a nonexistent vm area, %p", p);
	fake::check_nothing_active(p, area->size);
	area->magic = kFreed;
	fake::counters.allocations.fetch_sub(1, std::memory_order_relaxed);
	fake::counters.bytes.fetch_sub(static_cast<long>(area->size), std::memory_order_relaxed);
	fake::counters.vmalloced.fetch_sub(static_cast<long>(area->size), std::memory_order_relaxed);
	fake::give_back(area->memory, area->memory_size);
}

void release(const void *p, bool vfree, bool rcu = false)
{
	if (!p)
		return;
	Header *header = const_cast<Header *>(static_cast<const Header *>(p) - 1);

	if (header->magic != kAllocated)
		fake::bug("kfree of something that is not allocated");
	if (header->vmalloc && !vfree)
		fake::bug("kfree of memory that came from vmalloc");
	if (header->vmalloc && vfree && !rcu)
		fake::may_sleep("vfree");
	fake::check_nothing_active(p, header->size);
	header->magic = kFreed;
	fake::counters.allocations.fetch_sub(1, std::memory_order_relaxed);
	fake::counters.bytes.fetch_sub(static_cast<long>(header->size), std::memory_order_relaxed);
	fake::give_back(header, (sizeof(Header) + header->size + 15) & ~size_t{15});
}

} // namespace

extern "C" void *shim_kzalloc(size_t size, unsigned int gfp)
{
	return allocate(size, gfp, true, false);
}

extern "C" void *shim_kvzalloc(size_t size, unsigned int gfp)
{
	return allocate(size, gfp, true, true);
}

extern "C" void *shim_kvmalloc(size_t size, unsigned int gfp)
{
	return allocate(size, gfp, false, true);
}

extern "C" void *shim___vmalloc(size_t size, unsigned int gfp)
{
	return allocate_pages(size, gfp);
}

extern "C" void shim_vfree(const void *p)
{
	release_pages(p);
}

extern "C" void shim_kfree(const void *p)
{
	release(p, false);
}

extern "C" void shim_kvfree(const void *p)
{
	release(p, true);
}

// At once, unless somebody is in an RCU section: whoever still uses it is found out.
extern "C" void shim_kvfree_rcu(void *p)
{
	memset(p, 0x6b, SHIM_RCU_HEAD_SIZE);
	if (fake::extension)
		fake::extension->before_free_rcu();
	release(p, true, true);
}

// ---- kref

namespace {

struct Kref {
	std::atomic<int> count;
};

} // namespace

extern "C" void shim_kref_init(struct kref *kref)
{
	new (static_cast<void *>(kref)) Kref{1};
	fake::counters.krefs.fetch_add(1, std::memory_order_relaxed);
}

extern "C" void shim_kref_get(struct kref *kref)
{
	int old = fake::as<Kref>(kref)->count.fetch_add(1, std::memory_order_relaxed);

	if (old <= 0)
		fake::bug("refcount_t: addition on %d; use-after-free", old);
	if (old > (1 << 30))
		fake::bug("refcount_t: saturated; leaking memory");
}

extern "C" bool shim_kref_get_unless_zero(struct kref *kref)
{
	std::atomic<int> &count = fake::as<Kref>(kref)->count;
	int old = count.load(std::memory_order_relaxed);

	do {
		if (!old)
			return false;
		if (old < 0 || old > (1 << 30))
			fake::bug("refcount_t: saturated; use-after-free");
	} while (!count.compare_exchange_weak(old, old + 1, std::memory_order_relaxed));
	return true;
}

extern "C" bool shim_kref_put(struct kref *kref, void (*last)(struct kref *kref))
{
	fake::point(fake::Point::KrefPut, kref);
	int old = fake::as<Kref>(kref)->count.fetch_sub(1, std::memory_order_acq_rel);

	if (old <= 0)
		fake::bug("refcount_t: underflow (%d); use-after-free", old);
	if (old > 1)
		return false;
	fake::counters.krefs.fetch_sub(1, std::memory_order_relaxed);
	last(kref);
	return true;
}

// ---- numbers as entries of an xarray

// Shifted, with the lowest bit set: no pointer.
extern "C" void *shim_xa_mk_value(unsigned long v)
{
	if (static_cast<long>(v) < 0)
		fake::bug("xa_mk_value of %lu", v);
	return reinterpret_cast<void *>(v << 1 | 1);
}

extern "C" unsigned long shim_xa_to_value(const void *entry)
{
	if (!(reinterpret_cast<unsigned long>(entry) & 1))
		fake::bug("xa_to_value of %p, which is none", entry);
	return reinterpret_cast<unsigned long>(entry) >> 1;
}
