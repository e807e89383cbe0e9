// SPDX-License-Identifier: GPL-2.0-only
#include "cancel.hpp"

#include "in_flight.hpp"
#include "shim/enforce.h"

namespace kextbridge {

// Refs outlive the guards of their callers: what is dropped here is dropped without the lock.
OSReturn cancel_request(const kmod_info_t *caller, OSKextRequestTag tag, void **context_out, bool wait)
	KEXTBRIDGE_EXCLUDES(core.requests)
{
	Ref<Request> request;
	Ref<Owner> owner;
	Kext *kext;
	{
		Guard guard(core.requests);
		Request *found = find_locked(tag);

		// Nobody was told the tag of a read, and its context is no driver's.
		kext = found && found->kind == Kind::Resource && !found->reader() ? found->owner->kext() : nullptr;
		if (!kext || (read_once(kextbridge_params.strict_cancel) && kext->info != caller)) {
			shim_trace_cancel(tag, 0, kOSKextReturnNotFound);
			return kOSKextReturnNotFound;
		}
		if (take_locked(*found)) {
			if (context_out)
				*context_out = found->context;
			core.stats.cancelled++;
			shim_trace_cancel(tag, kext->tag, kOSReturnSuccess);
			request = forget_locked(*found);
			return kOSReturnSuccess;
		}
		shim_trace_cancel(tag, kext->tag, wait ? kOSKextReturnNotFound : kOSKextReturnInUse);
		if (!wait)
			return kOSKextReturnInUse;
		request = Ref<Request>::retain(found); // and with it its kext
	}
	kext->wait_for_callback(*request);
	return kOSKextReturnNotFound;
}

} // namespace kextbridge
