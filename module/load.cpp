// SPDX-License-Identifier: GPL-2.0-only
#include "load.hpp"

#include "in_flight.hpp"
#include "text.hpp"
#include "shim/enforce.h"

namespace kextbridge {

constexpr u32 kMaxLoads = 1024; // that the daemon has not answered yet

// load_kext() but for a kext that is Loaded: *loaded is that one then, to be started without the lock.
static OSReturn find_or_ask(const char *identifier, u32 length, Ref<Request> *message, Ref<Kext> *loaded)
	KEXTBRIDGE_EXCLUDES(core.requests)
{
	// Made first: the look-up and the queueing are then one step.
	Ref<Request> load = Request::make(Kind::Load, identifier, length, "", 0, SHIM_GFP_KERNEL_ACCOUNT);
	Ref<Request> unused;

	if (!load)
		return kOSKextReturnNoMemory;
	Guard guard(core.requests);
	OSReturn result = allocate_tag_locked(*load);

	if (result)
		return result;
	load->get(); // OWNERSHIP: the table's
	Kext *kext = find_kext_locked(load->identifier());
	Request *queued = nullptr;

	// One that the daemon has not fetched yet will do.
	for (Request *other = core.loads.front(); other && !queued; other = core.loads.next(*other))
		if (other->state == State::Pending && text_equal(other->identifier(), load->identifier()))
			queued = other;
	result = kOSKextReturnDeferred;
	if (kext && (kext->state == KextState::Started || kext->state == KextState::Starting))
		result = kOSReturnSuccess;
	else if (kext && kext->state == KextState::Loaded)
		*loaded = Ref<Kext>::retain(kext);
	else if (!queued && core.load_count >= kMaxLoads) {
		core.stats.limited++;
		result = kOSKextReturnNoResources;
	}
	if (result == kOSKextReturnDeferred && !*loaded && !queued) {
		core.loads.push_back(*load);
		core.load_count++;
		// While the kext is being unloaded, its module would only be found loaded.
		publish_locked(*load, nullptr, 0, !kext || !kext->unload);
		core.stats.loads++;
	} else {
		unused = forget_locked(*load);
		if (result == kOSKextReturnDeferred && queued)
			load = Ref<Request>::retain(queued);
	}
	if (!*loaded && message && result == kOSKextReturnDeferred)
		*message = static_cast<Ref<Request> &&>(load);
	return result;
}

OSReturn load_kext(const char *identifier, u32 length, Ref<Request> *message)
{
	if (!length || length > name_limit())
		return kOSKextReturnInvalidArgument;
	for (;;) {
		Ref<Kext> loaded;
		OSReturn result = find_or_ask(identifier, length, message, &loaded);

		if (!loaded)
			return result;
		result = loaded->restart_loaded();
		// Deferred: another load or an unload was quicker, and what there is to be done is another thing.
		if (result != kOSKextReturnDeferred)
			return result;
	}
}

// answer_locked() says how deep. NOLINTNEXTLINE(misc-no-recursion)
void release_loads_locked(const Kext &kext)
{
	Request *next;

	for (Request *load = core.loads.front(); load; load = next) {
		next = core.loads.next(*load);
		if (load->state != State::Pending || load->queue_node.linked() ||
		    !text_equal(load->identifier(), kext.identifier))
			continue;
		if (kext.state == KextState::Gone)
			queue_locked(*load);
		else
			answer_locked(*load,
				      kext.state == KextState::Started ? kOSReturnSuccess : kOSKextReturnStartStopError,
				      Payload(), false);
	}
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
