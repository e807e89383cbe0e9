// SPDX-License-Identifier: GPL-2.0-only
// The only placement new of the module. noexcept, and the caller has checked the memory: there is no
// allocating operator new, so that no allocation hides its gfp.
#pragma once

#include "shim/types.h"

namespace kextbridge {
struct Placement {
	void *memory;
};
} // namespace kextbridge

inline void *operator new(size_t, kextbridge::Placement at) noexcept
{
	return at.memory;
}
