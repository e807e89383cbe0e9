// SPDX-License-Identifier: GPL-2.0-only
// How a driver's request comes to be, whichever call it was made with.
#pragma once

#include "core.hpp"
#include "kextbridge/client.h"

namespace kextbridge {

// A thread that waits for its request, on its stack. LOCKING: woken under the table's lock, and it takes that lock after
// the last wake-up: whoever wakes it is done with it then.
struct Reader {
	WaitQueue wake;
};

struct Submission {
	const char *identifier = nullptr;
	const char *name = nullptr;
	OSKextRequestResourceCallback callback = nullptr; // its code says whose request it is
	void *context = nullptr;
	OSKextRequestTag *tag_out = nullptr;
	const kextbridge_resource_options *options = nullptr; // null: the defaults
	const void *called_from = nullptr;                    // for the log, when nothing else says who it was
	// A thread of this kext waits instead of a callback.
	const kmod_info_t *caller = nullptr;
	Reader *reader = nullptr;
};

// What OSKextRequestResource() does and returns. *waited (for a reader): the request.
// CONTEXT: may sleep.
OSReturn submit(const Submission &submission, Ref<Request> *waited) KEXTBRIDGE_EXCLUDES(core.requests);

} // namespace kextbridge
