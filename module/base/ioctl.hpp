// SPDX-License-Identifier: GPL-2.0-only
// Structures that an ioctl brings and takes away. CONTEXT: may sleep; no lock held.
#pragma once

#include "base/annotate.hpp"
#include "shim/shim.h"

namespace kextbridge {

// The number and the type are compared; the size is in the structure itself, so that it can grow.
constexpr bool same_ioctl(unsigned int cmd, unsigned int known)
{
	constexpr unsigned int size_mask = 0x3fffu << 16;

	return (cmd & ~size_mask) == (known & ~size_mask);
}

inline constexpr u32 kLargestStruct = 4096; // a `size` beyond this is no structure of ours

// copy_struct_from_user's rules, with the structure's own `size` as the caller's size. 0, -EINVAL: smaller than the
// first version; -E2BIG: more than we know, and not zero; -EFAULT.
inline int get_struct_bytes(void *to, u32 known, u64 from) KEXTBRIDGE_EXCLUDES(core_lock())
{
	u32 size;
	int err = shim_copy_from_user(&size, from, sizeof(size));

	if (err)
		return err;
	if (size < known || size > kLargestStruct)
		return -SHIM_EINVAL;
	err = shim_copy_struct_from_user(to, known, from, size);
	// The caller may have changed it between the two copies.
	__builtin_memcpy(to, &size, sizeof(size));
	return err;
}
template <typename T> int get_struct(T *to, u64 from) KEXTBRIDGE_EXCLUDES(core_lock())
{
	static_assert(__builtin_offsetof(T, size) == 0);
	return get_struct_bytes(to, sizeof(T), from);
}

// As much as both sides know.
template <typename T> int put_struct(u64 to, const T &from, u32 size) KEXTBRIDGE_EXCLUDES(core_lock())
{
	return shim_copy_to_user(to, &from, size < sizeof(T) ? size : sizeof(T));
}

} // namespace kextbridge
