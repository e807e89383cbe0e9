// SPDX-License-Identifier: GPL-2.0-only
// Structures to and from user space. CONTEXT: may sleep; no lock held.
#pragma once

#include "base/ioctl.hpp"
#include "request.hpp"
#include "uapi/kextbridge.h"

namespace kextbridge {

// The records that the daemon fetches. *at moves on behind what was written.
u32 request_record_size(const Request &request);
u32 notice_record_size(const Request &notice);
int write_request(const Request &request, u64 deadline_ns, u32 attempt, u64 *at) KEXTBRIDGE_EXCLUDES(core_lock());
// Of a cancelled request, or of one of the kinds that are nothing else.
int write_notice(const Request &notice, u64 *at) KEXTBRIDGE_EXCLUDES(core_lock());

} // namespace kextbridge
