// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: threads
// says: xa_lock 'core.requests' is not held on every path
#include "core.hpp"
#include "shim/enforce.h"

namespace kextbridge {

bool count(bool early);
bool count(bool early)
{
	core.requests.lock();
	core.stats.generation++;
	if (early)
		return false;
	core.requests.unlock();
	return true;
}

} // namespace kextbridge
