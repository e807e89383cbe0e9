// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: threads
// says: reading variable 'resources_in_hand' requires holding xa_lock
#include "daemon.hpp"
#include "shim/enforce.h"

namespace kextbridge {

u32 in_hand(const Session &session);
u32 in_hand(const Session &session)
{
	return session.resources_in_hand;
}

} // namespace kextbridge
