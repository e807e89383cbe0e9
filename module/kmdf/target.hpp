// SPDX-License-Identifier: GPL-2.0-only
// I/O targets: where a driver sends requests to.
#pragma once

#include "request.hpp"

namespace kmdf {

// Whoever cancels a request that its driver has sent on cancels what is below.
void cancel_below(Request &request) KEXTBRIDGE_EXCLUDES(core_lock());

} // namespace kmdf
