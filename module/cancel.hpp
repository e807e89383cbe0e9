// SPDX-License-Identifier: GPL-2.0-only
// The cancel of one driver's request by its tag.
#pragma once

#include "core.hpp"

namespace kextbridge {

// What OSKextCancelRequest() returns, or with wait false kextbridge_cancel_nowait().
OSReturn cancel_request(const kmod_info_t *caller, OSKextRequestTag tag, void **context_out, bool wait)
	KEXTBRIDGE_EXCLUDES(core.requests);

} // namespace kextbridge
