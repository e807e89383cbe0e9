// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include "core.hpp"

namespace kextbridge {

// Takes a kext's request back, out of the table, counted. Null: somebody was quicker. The caller drops it after the lock.
[[nodiscard]] Ref<Request> cancel_locked(Request &request) KEXTBRIDGE_REQUIRES(core.requests);

} // namespace kextbridge
