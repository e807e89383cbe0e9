// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: tidy
// says: function 'depth' is within a recursive call chain
#include "core.hpp"
#include "shim/enforce.h"

namespace kextbridge {

u32 depth(u32 left);
u32 depth(u32 left)
{
	return left ? depth(left - 1) + 1 : 0;
}

} // namespace kextbridge
