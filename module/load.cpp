// SPDX-License-Identifier: GPL-2.0-only
#include "load.hpp"

#include "in_flight.hpp"
#include "text.hpp"
#include "shim/enforce.h"

namespace kextbridge {

constexpr u32 kMaxLoads = 1024; // that the daemon has not answered yet

OSReturn load_kext(const char *identifier, u32 length, Ref<Request> *message)
{
	if (!length || length > kextbridge_params.max_name)
		return kOSKextReturnInvalidArgument;
	// Made first: the look-up and the queueing are then one step.
	Ref<Request> load = Request::make(Kind::Load, identifier, length, "", 0, SHIM_GFP_KERNEL_ACCOUNT);
	Ref<Request> unused;
	Ref<Kext> loaded;

	if (!load)
		return kOSKextReturnNoMemory;
	{
		Guard guard(core.requests);
		OSReturn result = allocate_tag_locked(*load);

		if (result)
			return result;
		load->get(); // OWNERSHIP: the table's
		Kext *kext = find_kext_locked(load->identifier());

		result = kOSKextReturnDeferred;
		if (kext && (kext->state == KextState::Started || kext->state == KextState::Starting))
			result = kOSReturnSuccess;
		else if (kext && kext->state == KextState::Loaded)
			loaded = Ref<Kext>::retain(kext);
		else if (core.load_count >= kMaxLoads)
			result = kOSKextReturnNoResources;
		Request *queued = nullptr;

		// One that the daemon has not fetched yet will do.
		for (Request *other = core.loads.front(); other && !queued; other = core.loads.next(*other))
			if (other->state == State::Pending && text_equal(other->identifier(), load->identifier()))
				queued = other;
		if (result == kOSKextReturnDeferred && !loaded && !queued) {
			core.loads.push_back(*load);
			core.load_count++;
			publish_locked(*load, nullptr, 0, true);
			core.stats.loads++;
		} else {
			unused = forget_locked(*load);
			if (result == kOSKextReturnDeferred && queued)
				load = Ref<Request>::retain(queued);
		}
		if (!loaded && message && result == kOSKextReturnDeferred)
			*message = static_cast<Ref<Request> &&>(load);
		if (!loaded)
			return result;
	}
	return loaded->restart_loaded();
}

void load_answered_locked(Request &load)
{
	if (!take_locked(load))
		return;
	core.load_count--;
	Ref<Request> table = forget_locked(load);

	core.done.wake_all();
}

} // namespace kextbridge
