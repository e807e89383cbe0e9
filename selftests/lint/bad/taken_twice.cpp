// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: threads
// says: cannot call function 'expire_deadlines' while xa_lock 'core.requests' is held
#include "in_flight.hpp"
#include "shim/enforce.h"

namespace kextbridge {

void expire();
void expire()
{
	Guard guard(core.requests);

	core.stats.generation++;
	expire_deadlines();
}

} // namespace kextbridge
