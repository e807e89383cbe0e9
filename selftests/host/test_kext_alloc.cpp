// SPDX-License-Identifier: GPL-2.0-only
// Page ranges of drivers.
#include <algorithm>
#include <cstring>

#include "kern/kext_alloc.h"
#include "kit.hpp"

namespace {

constexpr vm_size_t kPage = 4096;
constexpr vm_offset_t kUntouched = 0x1234567;

vm_offset_t must_allocate(vm_size_t size)
{
	vm_offset_t addr = kUntouched;

	EXPECT_EQ(kext_alloc(&addr, size, 0), KERN_SUCCESS) << size;
	return addr;
}

// Not one byte of them is anything else.
bool all_are(vm_offset_t addr, vm_size_t size, unsigned char value)
{
	const unsigned char *bytes = reinterpret_cast<const unsigned char *>(addr);

	return std::all_of(bytes, bytes + size, [value](unsigned char byte) { return byte == value; });
}

size_t warnings()
{
	return fake::log().size();
}

TEST_F(Oskext, T_171_kext_alloc_gives_zeroed_pages)
{
	kext_alloc_init();
	for (int round = 0; round < 2; round++) // the second finds what the first has left
		for (vm_size_t size : {vm_size_t{1}, kPage - 1, kPage, kPage + 1, 17 * kPage, vm_size_t{1000000}}) {
			vm_size_t whole = (size + kPage - 1) / kPage * kPage;
			u64 before = fake::allocated_bytes();
			vm_offset_t addr = must_allocate(size);

			ASSERT_NE(addr, kUntouched);
			EXPECT_EQ(addr % kPage, 0u);
			EXPECT_EQ(fake::allocated_bytes(), before + whole);
			EXPECT_TRUE(all_are(addr, whole, 0)) << size;
			memset(reinterpret_cast<void *>(addr), 0xa5, whole);
			kext_free(addr, round ? whole : size);
			EXPECT_EQ(fake::allocated_bytes(), before);
		}
	kext_alloc_init();
	EXPECT_EQ(warnings(), 0u);
}

TEST_F(Oskext, T_171_nothing_is_no_range)
{
	for (boolean_t fixed : {0, 1}) {
		vm_offset_t addr = kUntouched;

		EXPECT_EQ(kext_alloc(&addr, 0, fixed), KERN_SUCCESS);
		EXPECT_EQ(addr, 0u);
		kext_free(addr, 0);
	}
	EXPECT_EQ(fake::live().allocations, 0);
	EXPECT_EQ(warnings(), 0u);
}

TEST_F(Oskext, T_171_kext_free_takes_only_what_was_given)
{
	vm_offset_t addr = must_allocate(3 * kPage);
	vm_offset_t other = must_allocate(kPage);
	const struct {
		vm_offset_t addr;
		vm_size_t size;
	} wrong[] = {
		{addr, 2 * kPage},              // a part, from the front
		{addr + kPage, 2 * kPage},      // from the end
		{addr, 3 * kPage + 1},          // too much
		{addr, 0},                      // nothing
		{addr, ~vm_size_t{0}},          // all
		{addr + 1, 3 * kPage},          // beside it
		{addr + 1, 3 * kPage - 1},      //
		{other, 3 * kPage},             // another's size
		{0, kPage},                     // nowhere
		{1, 1},                         //
		{~vm_offset_t{0}, 1},           //
		{0xfffffffffffff000, kPage},    //
		{0xffffffffc0000000, 3 * kPage} //
	};
	size_t count = 0;

	for (auto &range : wrong) {
		kext_free(range.addr, range.size);
		EXPECT_EQ(warnings(), ++count) << std::hex << range.addr << " " << range.size;
		EXPECT_EQ(fake::live().allocations, 2);
	}
	EXPECT_TRUE(all_are(addr, 3 * kPage, 0));
	kext_free(addr, 3 * kPage);
	EXPECT_EQ(fake::live().allocations, 1);
	EXPECT_EQ(warnings(), count);
	// Once more: it is not there any more, though it was the last one to come or not.
	kext_free(addr, 3 * kPage);
	EXPECT_EQ(warnings(), ++count);
	kext_free(other, kPage);
	EXPECT_EQ(warnings(), count);
	kext_free(other, kPage);
	EXPECT_EQ(warnings(), ++count);
	EXPECT_NE(fake::log().back().find("kext_free"), std::string::npos);
}

// The allocator likes to give what has just come back.
TEST_F(Oskext, T_171_an_address_comes_again)
{
	std::vector<vm_offset_t> seen;
	bool again = false;

	for (int i = 0; i < 1000; i++) {
		vm_offset_t addr = must_allocate(kPage);

		again = again || std::find(seen.begin(), seen.end(), addr) != seen.end();
		seen.push_back(addr);
		kext_free(addr, kPage);
		if (again)
			break;
	}
#ifndef __SANITIZE_ADDRESS__ // which keeps back what has been freed
	EXPECT_TRUE(again);
#endif
	EXPECT_EQ(warnings(), 0u);
	EXPECT_EQ(fake::live().allocations, 0);
}

TEST_F(Oskext, T_171_many_ranges_on_many_threads)
{
	std::vector<std::thread> threads;

	fake::chaos(20, 1);
	for (unsigned int t = 0; t < 4; t++)
		threads.emplace_back([t] {
			std::vector<std::pair<vm_offset_t, vm_size_t>> mine;
			unsigned int random = t + 1;

			for (u32 i = 0; i < host::rounds(2000); i++) {
				random = random * 1103515245 + 12345;
				if (random >> 16 & 1 || mine.empty()) {
					vm_size_t size = (random >> 20) % (4 * kPage) + 1;
					vm_offset_t addr = must_allocate(size);

					memset(reinterpret_cast<void *>(addr), static_cast<int>(t), size);
					mine.emplace_back(addr, size);
				} else {
					auto [addr, size] = mine[(random >> 17) % mine.size()];

					EXPECT_TRUE(all_are(addr, size, static_cast<unsigned char>(t)));
					kext_free(addr, size);
					mine.erase(std::find(mine.begin(), mine.end(), std::pair(addr, size)));
				}
			}
			for (auto [addr, size] : mine)
				kext_free(addr, size);
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_EQ(fake::live().allocations, 0);
	EXPECT_EQ(warnings(), 0u);
}

// One of them wins; the other one is told off.
TEST_F(Oskext, T_171_one_range_is_freed_once)
{
	fake::chaos(20, 2);
	for (u32 i = 0; i < host::rounds(500); i++) {
		vm_offset_t addr = must_allocate(kPage);
		size_t before = warnings();
		std::thread other([addr] { kext_free(addr, kPage); });

		kext_free(addr, kPage);
		other.join();
		ASSERT_EQ(warnings(), before + 1);
		ASSERT_EQ(fake::live().allocations, 0);
	}
}

TEST_F(Oskext, T_171_what_nobody_frees_goes_with_the_module)
{
	must_allocate(1);
	must_allocate(5 * kPage);
	kext_free(must_allocate(kPage), kPage);
	EXPECT_EQ(fake::live().allocations, 2);
	kextbridge_core_exit_c();
	EXPECT_EQ(fake::live().allocations, 0);
	ASSERT_EQ(warnings(), 1u);
	EXPECT_NE(fake::log()[0].find("2 ranges of kext_alloc, 6 pages"), std::string::npos) << fake::log()[0];
	host_core_reset();
	ASSERT_EQ(kextbridge_core_init_c(), 0);
}

TEST_F(Oskext, T_172_failure_leaves_the_address_alone)
{
	vm_offset_t addr = kUntouched;

	EXPECT_EQ(kext_alloc(nullptr, kPage, 0), KERN_INVALID_ARGUMENT);
	EXPECT_EQ(kext_alloc(nullptr, 0, 1), KERN_INVALID_ARGUMENT);
	// Rounded up it is nothing.
	for (vm_size_t size : {~vm_size_t{0}, ~vm_size_t{0} - kPage + 2})
		for (boolean_t fixed : {0, 1})
			EXPECT_EQ(kext_alloc(&addr, size, fixed), KERN_NO_SPACE) << size;
	// It is a size, but there is not so much.
	for (vm_size_t size : {~vm_size_t{0} - kPage + 1, vm_size_t{1} << 63, vm_size_t{1} << 40})
		EXPECT_EQ(kext_alloc(&addr, size, 0), KERN_RESOURCE_SHORTAGE) << size;
	EXPECT_EQ(addr, kUntouched);
	EXPECT_EQ(warnings(), 0u);
}

TEST_F(Oskext, T_172_no_memory)
{
	fake::xa_always_allocates(true);
	for (unsigned int nth = 1;; nth++) {
		vm_offset_t addr = kUntouched;

		fake::fail_allocation(nth);
		kern_return_t result = kext_alloc(&addr, kPage, 0);

		if (!fake::fail_allocation(0)) {
			EXPECT_EQ(result, KERN_SUCCESS);
			EXPECT_EQ(nth, 3u) << "the pages, and where they are kept";
			kext_free(addr, kPage);
			break;
		}
		EXPECT_EQ(result, KERN_RESOURCE_SHORTAGE) << nth;
		EXPECT_EQ(addr, kUntouched) << nth;
		EXPECT_EQ(fake::live().allocations, 0) << nth;
	}
}

TEST_F(Oskext, T_173_no_address_can_be_had_by_name)
{
	for (vm_offset_t wanted : {0xffffffffc0000000, 0xffff888000000000, 0xfffffffffffff000}) {
		vm_offset_t addr = wanted;

		EXPECT_EQ(kext_alloc(&addr, kPage, 1), KERN_NO_SPACE) << std::hex << wanted;
		EXPECT_EQ(addr, wanted);
	}
	// In the middle of a page, and in the user's half.
	for (vm_offset_t wanted : {0xffffffffc0000001, 0xffffffffffffffff, vm_offset_t{0}, vm_offset_t{0x400000},
				   vm_offset_t{0x7ffffffff000}}) {
		vm_offset_t addr = wanted;

		EXPECT_EQ(kext_alloc(&addr, kPage, 2), KERN_INVALID_ADDRESS) << std::hex << wanted;
		EXPECT_EQ(addr, wanted);
	}
	EXPECT_EQ(fake::live().allocations, 0);
}

} // namespace
