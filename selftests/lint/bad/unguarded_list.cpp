// SPDX-License-Identifier: GPL-2.0-only
// as: module/bad.cpp
// step: threads
// says: reading variable 'queue_node' requires holding xa_lock
#include "core.hpp"
#include "shim/enforce.h"

namespace kextbridge {

void leave(Request &request);
void leave(Request &request)
{
	request.queue_node.unlink();
}

} // namespace kextbridge
