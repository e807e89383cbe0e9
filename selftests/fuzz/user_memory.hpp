// SPDX-License-Identifier: GPL-2.0-only
// User memory as the calls of one input see it: what is handed out is filled with 0x5a, has 0x5a on both sides, and
// ends where no memory is. So each byte that the kernel writes shows, and none can be read that is not user space's.
#pragma once

#include <cstddef>
#include <cstring>

#include "fake_shim.hpp"
#include "target.hpp"

namespace fuzz {

class UserMemory {
	static constexpr size_t kSize = 1 << 17;
	static constexpr size_t kGuard = 64;

	unsigned char *memory_ = new unsigned char[kSize];
	size_t used_ = 0;

      public:
	static constexpr unsigned char kFill = 0x5a;

	// For a new input, after fake::reset(): what lies before and behind is not mapped.
	void unmap_the_rest()
	{
		fake::add_bad_range(reinterpret_cast<void *>(1), 1 << 20);
		fake::add_bad_range(memory_ + kSize, size_t{1} << 40);
	}

	// For a new call.
	void forget_all()
	{
		memset(memory_, kFill, kGuard);
		used_ = kGuard;
	}

	bool has_room(size_t size) const { return used_ + size < kSize / 2; }

	unsigned char *take(size_t size)
	{
		unsigned char *given = memory_ + used_;

		size = (size + 7) & ~size_t{7};
		memset(given, kFill, size + kGuard);
		used_ += size + kGuard;
		return given;
	}

	// The same at the very end: a byte behind it is none.
	unsigned char *take_last(size_t size)
	{
		unsigned char *given = memory_ + kSize - size;

		memset(given - kGuard, kFill, size + kGuard);
		return given;
	}

	// The kernel has not touched [from, to).
	static void check_untouched(const unsigned char *from, const unsigned char *to, const char *what)
	{
		for (const unsigned char *at = from; at < to; at++)
			if (*at != kFill)
				wrong("the kernel wrote %s, at byte %td", what, at - from);
	}

	// Behind [given, given + size), and with it before what was taken next.
	static void check_guard(const unsigned char *given, size_t size)
	{
		const unsigned char *end = given + ((size + 7) & ~size_t{7});

		check_untouched(given + size, end + kGuard, "behind what it was given");
	}

	// An address at which the kernel finds nothing, or not enough.
	u64 bad_address(unsigned int which) const
	{
		switch (which % 6) {
		case 0:
			return 0;
		case 1:
			return 4096;
		case 2:
			return 0xffff888000000000;
		case 3:
			return ~0ull - 7;
		case 4:
			return fake::user(memory_ + kSize);
		default:
			return fake::user(memory_ + kSize - 4);
		}
	}
};

} // namespace fuzz
