// SPDX-License-Identifier: GPL-2.0-only
// Names drivers that sit on requests, if root wants that: each request once.
#pragma once

#include "common.hpp"

namespace kmdf {

// A request has been cancelled, or given to its driver. CONTEXT: any, under the lock.
void watch_cancelled_locked() KEXTBRIDGE_REQUIRES(core_lock());
void watch_owned_locked() KEXTBRIDGE_REQUIRES(core_lock());

// What the delayed work does, and its end at module exit.
void look_for_stuck_requests() KEXTBRIDGE_EXCLUDES(core_lock());

} // namespace kmdf
