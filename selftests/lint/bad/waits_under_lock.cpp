// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: threads
// says: cannot call function 'wait' while xa_lock 'core.requests' is held
#include "core.hpp"
#include "shim/enforce.h"

namespace kextbridge {

void wait_for_nothing();
void wait_for_nothing()
{
	Guard guard(core.requests);

	core.done.wait([] { return true; });
}

} // namespace kextbridge
