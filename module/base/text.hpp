// SPDX-License-Identifier: GPL-2.0-only
#pragma once

namespace kextbridge {

inline bool text_equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

} // namespace kextbridge
