// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: threads
// says: cannot call function 'shim_copy_to_user' while xa_lock 'core.requests' is held
#include "core.hpp"
#include "shim/enforce.h"

namespace kextbridge {

int report(u64 to);
int report(u64 to)
{
	Guard guard(core.requests);

	return shim_copy_to_user(to, &core.stats, sizeof(core.stats));
}

} // namespace kextbridge
