// SPDX-License-Identifier: GPL-2.0-only
// What a parser may ask for is in proportion to what it is given. Included by one file of a target.
#pragma once

#include "target.hpp"

extern "C" int __sanitizer_install_malloc_and_free_hooks(void (*allocated)(const volatile void *, size_t),
							 void (*freed)(const volatile void *));

namespace fuzz {

// As long as it lives, more memory than that for `what`, which has so many bytes, is a finding.
class MemoryLimit {
	static inline const MemoryLimit *now;
	static inline size_t asked;

	const size_t allowed_;
	const char *const what_;

	static void allocated(const volatile void *, size_t size)
	{
		const MemoryLimit *limit = now;

		if (!limit)
			return;
		asked += size;
		if (asked <= limit->allowed_)
			return;
		now = nullptr;
		wrong("more than %zu bytes of memory for %s", limit->allowed_, limit->what_);
	}
	static void freed(const volatile void *) {}

      public:
	MemoryLimit(size_t bytes, const char *what) : allowed_((8 << 20) + 1024 * bytes), what_(what)
	{
		static const int hooks = __sanitizer_install_malloc_and_free_hooks(allocated, freed);

		if (!hooks)
			wrong("no malloc hooks");
		asked = 0;
		now = this;
	}
	~MemoryLimit() { now = nullptr; }
	MemoryLimit(const MemoryLimit &) = delete;
};

} // namespace fuzz
