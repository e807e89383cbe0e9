// SPDX-License-Identifier: GPL-2.0-only
#pragma once

namespace kextbridge {

// READ_ONCE, for what others may change at any moment: module parameters.
template <typename T> T read_once(const T &value)
{
	return *static_cast<const volatile T *>(&value);
}

// WRITE_ONCE, for what others may look at meanwhile: a driver's variables.
template <typename T> void write_once(T &to, T value)
{
	*static_cast<volatile T *>(&to) = value;
}

} // namespace kextbridge
