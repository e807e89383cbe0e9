// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: warnings
// says: unused parameter
#include "core.hpp"
#include "shim/enforce.h"

namespace kextbridge {

u32 nothing(u32 count);
u32 nothing(u32 count)
{
	return 0;
}

} // namespace kextbridge
