// SPDX-License-Identifier: GPL-2.0-only
// A reply's bytes, from the daemon's memory or from a file it has opened.
// CONTEXT: the daemon's thread; sleeps; no lock held.
#pragma once

#include "request.hpp"

namespace kextbridge {

// A payload's memory holds at least the kernel's rcu_head, so that it can also be freed where one must not sleep. Both
// take null.
void payload_free(void *data) KEXTBRIDGE_EXCLUDES(core_lock()); // CONTEXT: process
void payload_free_later(void *data);                            // CONTEXT: any but hard interrupts

// OWNERSHIP: on Success the caller owns payload->data (payload_free); null for an empty payload.
// NoResources: longer than limit. NoMemory. InvalidArgument: bad address.
OSReturn payload_from_user(u64 data, u32 length, u32 limit, Payload *payload) KEXTBRIDGE_EXCLUDES(core_lock());
// Also InvalidArgument: no regular file opened for reading only. BadData: it could not be read whole, or its size has
// changed meanwhile.
OSReturn payload_from_file(int fd, u32 limit, Payload *payload) KEXTBRIDGE_EXCLUDES(core_lock());

} // namespace kextbridge
