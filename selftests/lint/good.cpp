// SPDX-License-Identifier: GPL-2.0-only
#include "in_flight.hpp"
#include "shim/enforce.h"

namespace kextbridge {

// What bad/ does wrong, done right.
s32 result_of(u32 tag, u64 to);
s32 result_of(u32 tag, u64 to)
{
	s32 result = 0;
	{
		Guard guard(core.requests);
		Request *request = find_locked(tag);

		if (request)
			result = request->result;
	}
	return shim_copy_to_user(to, &result, sizeof(result)) ? 0 : result;
}

} // namespace kextbridge
