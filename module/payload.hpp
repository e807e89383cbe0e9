// SPDX-License-Identifier: GPL-2.0-only
// A reply's bytes, from the daemon's memory or from a file it has opened.
// CONTEXT: the daemon's thread; sleeps; no lock held.
#pragma once

#include "request.hpp"

namespace kextbridge {

// Freed at the end of its block: declared before a guard, after the lock.
struct OwnedPayload final : Payload {
	OwnedPayload() = default;
	OwnedPayload(const OwnedPayload &) = delete;
	OwnedPayload &operator=(const OwnedPayload &) = delete;
	~OwnedPayload() { shim_kvfree(data); }
};

// OWNERSHIP: on Success the caller owns payload->data (shim_kvfree); null for an empty payload.
// NoResources: longer than limit. NoMemory. InvalidArgument: bad address.
OSReturn payload_from_user(u64 data, u32 length, u32 limit, Payload *payload);
// Also InvalidArgument: no regular file opened for reading only. BadData: it could not be read whole, or its size has
// changed meanwhile.
OSReturn payload_from_file(int fd, u32 limit, Payload *payload);

} // namespace kextbridge
