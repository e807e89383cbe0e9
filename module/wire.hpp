// SPDX-License-Identifier: GPL-2.0-only
// Structures to and from user space. CONTEXT: may sleep; no lock held.
#pragma once

#include "request.hpp"
#include "uapi/kextbridge.h"

namespace kextbridge {

// The number and the type are compared; the size is in the structure itself, so that it can grow.
constexpr bool same_ioctl(unsigned int cmd, unsigned int known)
{
	constexpr unsigned int size_mask = 0x3fffu << 16;

	return (cmd & ~size_mask) == (known & ~size_mask);
}

// copy_struct_from_user's rules, with the structure's own `size` as the caller's size. 0, -EINVAL: smaller than the
// first version; -E2BIG: more than we know, and not zero; -EFAULT.
int get_struct_bytes(void *to, u32 known, u64 from) KEXTBRIDGE_EXCLUDES(core_lock());
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

// The records that the daemon fetches. *at moves on behind what was written.
u32 request_record_size(const Request &request);
u32 notice_record_size(const Request &notice);
int write_request(const Request &request, u64 deadline_ns, u32 attempt, u64 *at) KEXTBRIDGE_EXCLUDES(core_lock());
// Of a cancelled request, or of one of the kinds that are nothing else.
int write_notice(const Request &notice, u64 *at) KEXTBRIDGE_EXCLUDES(core_lock());

} // namespace kextbridge
