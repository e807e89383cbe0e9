// SPDX-License-Identifier: GPL-2.0-only
// What g++ finds with optimisation only.
// as: module/bad.cpp
// step: warnings
// says: may be used uninitialized \[-Werror=maybe-uninitialized\]
#include "text.hpp"
#include "shim/enforce.h"

namespace kextbridge {

u32 length_of(const char *text, u32 limit);
u32 length_of(const char *text, u32 limit)
{
	u32 length;

	if (text_equal(text, "x"))
		length = text_length(text, limit);
	return length;
}

} // namespace kextbridge
