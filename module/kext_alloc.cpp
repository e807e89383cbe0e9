// SPDX-License-Identifier: GPL-2.0-only
// Page ranges of drivers. Contracts: shim/include/kern/kext_alloc.h.
//
// core.ranges has an entry for each, by the number of its first page: how many pages it has. So what is freed is what was
// given, and a driver's mistake does not reach vfree().
#include "kext_alloc.hpp"

#include "core.hpp"
#include "kern/kext_alloc.h"
#include "shim/enforce.h"

using namespace kextbridge;

namespace {

constexpr unsigned long kPageSize = 1ul << SHIM_PAGE_SHIFT;
// Fails rather than kill somebody for the memory, and without a report of the kernel's.
constexpr u32 kGfp = SHIM_GFP_KERNEL | SHIM_GFP_ZERO | SHIM_GFP_RETRY_MAYFAIL | SHIM_GFP_NOWARN;
// Where the kernel's half begins with five levels of page tables. With four it is further up, and nothing is here.
constexpr unsigned long kKernelHalf = 0xff00000000000000;

// 0 when so many bytes are more pages than can be counted.
unsigned long pages_for(unsigned long size)
{
	return (size + kPageSize - 1) >> SHIM_PAGE_SHIFT;
}

void *address_of(unsigned long page)
{
	return reinterpret_cast<void *>(page << SHIM_PAGE_SHIFT);
}

} // namespace

void kextbridge::free_forgotten_ranges()
{
	unsigned long count = 0;
	unsigned long pages = 0;

	for (unsigned long page = 1;;) {
		{
			Guard guard(core.ranges);
			void *entry = core.ranges.find(&page);

			if (!entry)
				break;
			pages += shim_xa_to_value(entry);
			core.ranges.erase_locked(page);
		}
		shim_vfree(address_of(page));
		count++;
	}
	if (count)
		shim_pr_warn("%lu ranges of kext_alloc, %lu pages, were never freed", count, pages);
}

extern "C" void kext_alloc_init(void) {}

extern "C" kern_return_t kext_alloc(vm_offset_t *addr, vm_size_t size, boolean_t fixed)
{
	unsigned long pages = pages_for(size);

	shim_might_sleep();
	if (!addr)
		return KERN_INVALID_ARGUMENT;
	if (!size) {
		*addr = 0;
		return KERN_SUCCESS;
	}
	if (!pages)
		return KERN_NO_SPACE;
	if (fixed)
		return *addr % kPageSize || *addr < kKernelHalf ? KERN_INVALID_ADDRESS : KERN_NO_SPACE;
	void *memory = shim___vmalloc(pages << SHIM_PAGE_SHIFT, kGfp);

	if (!memory)
		return KERN_RESOURCE_SHORTAGE;
	vm_offset_t start = reinterpret_cast<vm_offset_t>(memory);
	int err;
	{
		Guard guard(core.ranges);

		err = core.ranges.insert_locked(start >> SHIM_PAGE_SHIFT, shim_xa_mk_value(pages));
	}
	if (err) {
		shim_vfree(memory);
		return KERN_RESOURCE_SHORTAGE;
	}
	*addr = start;
	return KERN_SUCCESS;
}

extern "C" void kext_free(vm_offset_t addr, vm_size_t size)
{
	unsigned long page = addr >> SHIM_PAGE_SHIFT;
	bool known;

	shim_might_sleep();
	if (!addr && !size)
		return;
	{
		Guard guard(core.ranges);
		void *entry = addr % kPageSize ? nullptr : core.ranges.load_locked(page);

		known = entry && shim_xa_to_value(entry) == pages_for(size);
		if (known)
			core.ranges.erase_locked(page);
	}
	// Erased first: the next range may get this address at once.
	if (known)
		shim_vfree(address_of(page));
	else
		shim_pr_warn_ratelimited("kext_free of 0x%lx, %lu bytes, which kext_alloc has not given", addr, size);
}
