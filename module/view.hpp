// SPDX-License-Identifier: GPL-2.0-only
// What any program may look at: kexts, loads that were asked for, counters.
#pragma once

#include "control.hpp"
#include "core.hpp"

namespace kextbridge {

// The calls of those names. 0 or negative errno.
int list_kexts(kextbridge_list &args) KEXTBRIDGE_EXCLUDES(core.requests);
int list_asked_loads(kextbridge_load_requests &args) KEXTBRIDGE_EXCLUDES(core.requests);
int read_status(ControlFile &file, kextbridge_status &args) KEXTBRIDGE_EXCLUDES(core.requests);

} // namespace kextbridge
