// SPDX-License-Identifier: GPL-2.0-only
#pragma once

namespace kextbridge {

// READ_ONCE, for what others may change at any moment: module parameters.
template <typename T> T read_once(const T &value)
{
	return *static_cast<const volatile T *>(&value);
}

} // namespace kextbridge
