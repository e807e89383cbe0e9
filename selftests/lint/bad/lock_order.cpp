// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: threads
// says: xa_lock 'requests' must be acquired before 'kexts_by_tag'
#include "core.hpp"
#include "shim/enforce.h"

namespace kextbridge {

void count();
void count()
{
	Guard guard(core.kexts_by_tag);
	Guard nested(core.requests);

	core.stats.generation++;
}

} // namespace kextbridge
