// SPDX-License-Identifier: GPL-2.0-only
// IOKit/IOLocks.h: sleeping on the address of an event, and the locks that drivers bring along.
#pragma once

namespace kextbridge {

// CONTEXT: module init.
void init_events();

} // namespace kextbridge
