// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: analyze
// says: clang-analyzer-core.CallAndMessage
#include "in_flight.hpp"
#include "shim/enforce.h"

namespace kextbridge {

u32 owner_of(u32 tag);
u32 owner_of(u32 tag)
{
	Guard guard(core.requests);
	Request *request = find_locked(tag);
	Owner *owner = request ? request->owner : nullptr;

	return owner->load_tag();
}

} // namespace kextbridge
