// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: threads
// says: calling function 'take_locked' requires holding xa_lock 'core.requests' exclusively
#include "in_flight.hpp"
#include "shim/enforce.h"

namespace kextbridge {

bool end(Request &request);
bool end(Request &request)
{
	return take_locked(request);
}

} // namespace kextbridge
