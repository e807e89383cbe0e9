// SPDX-License-Identifier: GPL-2.0-only
#include "load.hpp"

#include "in_flight.hpp"
#include "text.hpp"
#include "shim/enforce.h"

namespace kextbridge {

constexpr u32 kMaxLoads = 1024;      // that the daemon has not answered yet
constexpr u32 kMaxAskedLoads = 4096; // identifiers that are remembered

// OWNERSHIP: takes over *asked, or leaves it when the identifier is known, or too many are.
static void remember_locked(AskedLoad **asked) KEXTBRIDGE_REQUIRES(core.requests)
{
	if (!*asked || core.asked_load_count >= kMaxAskedLoads)
		return;
	for (AskedLoad *other = core.asked_loads.front(); other; other = core.asked_loads.next(*other))
		if (text_equal(other->identifier, (*asked)->identifier))
			return;
	core.asked_loads.push_back(**asked);
	core.asked_load_count++;
	*asked = nullptr;
}

// load_kext() but for a kext that is Loaded: *loaded is that one then, to be started without the lock.
static OSReturn find_or_ask(const char *identifier, u32 length, u32 flags, AskedLoad **asked, Ref<Request> *message,
			    Ref<Kext> *loaded) KEXTBRIDGE_EXCLUDES(core.requests)
{
	// Made first: the look-up and the queueing are then one step.
	Ref<Request> load = Request::make(Kind::Load, identifier, length, "", 0, SHIM_GFP_KERNEL_ACCOUNT);
	Ref<Request> unused;
	bool delay = flags & KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD;

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
	remember_locked(asked);
	if (kext && (kext->state == KextState::Started || kext->state == KextState::Starting)) {
		result = kOSReturnSuccess;
		if (delay)
			kext->delayed = true;
	} else if (core.shutdown)
		result = kOSKextReturnDisabled;
	else if (kext && kext->state == KextState::Failed)
		result = kOSKextReturnStartStopError;
	else if (kext && kext->state == KextState::Loaded && !kext->unload)
		*loaded = Ref<Kext>::retain(kext);
	else if ((flags & KEXTBRIDGE_LOAD_WAIT) && !core.session && !(kext && kext->unload))
		result = kOSKextReturnDisabled; // nobody to wait for: neither a daemon nor the end of an unload
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
	if (delay && result == kOSKextReturnDeferred && !*loaded)
		load->delaying = true;
	if (!*loaded && message && result == kOSKextReturnDeferred)
		*message = static_cast<Ref<Request> &&>(load);
	return result;
}

static OSReturn load_or_ask(const char *identifier, u32 length, u32 flags, AskedLoad **asked, Ref<Request> *message)
	KEXTBRIDGE_EXCLUDES(core.requests)
{
	for (;;) {
		Ref<Kext> loaded;
		OSReturn result = find_or_ask(identifier, length, flags, asked, message, &loaded);

		if (!loaded)
			return result;
		result = loaded->restart_loaded();
		// Deferred: another load or an unload was quicker, and what there is to be done is another thing.
		if (result == kOSKextReturnDeferred)
			continue;
		Guard guard(core.requests);

		if ((flags & KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD) && !result)
			loaded->delayed = true;
		return result;
	}
}

OSReturn load_kext(const char *identifier, u32 length, u32 flags, Ref<Request> *message)
{
	AskedLoad *asked = nullptr;

	if (!length || length > name_limit())
		return kOSKextReturnInvalidArgument;
	// A longer one is no kext's, and is not remembered.
	if (length < KEXTBRIDGE_IDENTIFIER_SIZE) {
		asked = static_cast<AskedLoad *>(shim_kzalloc(sizeof(AskedLoad), SHIM_GFP_KERNEL_ACCOUNT));
		if (!asked)
			return kOSKextReturnNoMemory;
		__builtin_memcpy(asked->identifier, identifier, length);
	}
	OSReturn result = load_or_ask(identifier, length, flags, &asked, message);

	shim_kfree(asked);
	return result;
}

// Waits for the end of its kext's unload, not for the daemon.
static bool waits_for_locked(const Request &load, const Kext &kext) KEXTBRIDGE_REQUIRES(core.requests)
{
	return load.state == State::Pending && !load.queue_node.linked() &&
	       text_equal(load.identifier(), kext.identifier);
}

bool load_waits_locked(const Kext &kext)
{
	for (Request *load = core.loads.front(); load; load = core.loads.next(*load))
		if (waits_for_locked(*load, kext))
			return true;
	return false;
}

void refuse_loads_locked()
{
	Request *next;

	for (Request *load = core.loads.front(); load; load = next) {
		next = core.loads.next(*load);
		if (load->state == State::Pending)
			answer_locked(*load, kOSKextReturnDisabled, Payload(), false);
	}
}

// answer_locked() says how deep. NOLINTNEXTLINE(misc-no-recursion)
void release_loads_locked(const Kext &kext)
{
	Request *next;

	for (Request *load = core.loads.front(); load; load = next) {
		next = core.loads.next(*load);
		if (!waits_for_locked(*load, kext))
			continue;
		bool started = kext.state == KextState::Started || kext.state == KextState::Starting;

		if (kext.state == KextState::Gone)
			queue_locked(*load);
		else
			answer_locked(*load, started ? kOSReturnSuccess : kOSKextReturnStartStopError, Payload(),
				      false);
	}
}

void load_answered_locked(Request &load)
{
	if (!take_locked(load))
		return;
	core.load_count--;
	if (load.delaying && !load.result)
		if (Kext *kext = find_kext_locked(load.identifier()))
			kext->delayed = true;
	Ref<Request> table = forget_locked(load);

	core.done.wake_all();
}

} // namespace kextbridge
