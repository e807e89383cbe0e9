// SPDX-License-Identifier: GPL-2.0-only
// The module's one unit, as it goes into kextbridge.ko, and behind it the few looks inside that the tests need.
#include "unit.cpp"

using namespace kextbridge;

// What a fresh insmod finds: all of .data and .bss as it was linked.
extern "C" void host_core_reset()
{
	new (Placement{&core}) Core;
}

// State of the request with this tag; -1: not in the table.
extern "C" int host_request_state(u32 tag)
{
	Guard guard(core.requests);
	Request *request = find_locked(tag);

	return request ? static_cast<int>(request->state) : -1;
}

// -1: no such kext.
extern "C" int host_kext_state(u32 load_tag)
{
	Guard guard(core.requests);
	Kext *kext = find_kext_locked(load_tag);

	return kext ? static_cast<int>(kext->state) : -1;
}

extern "C" void host_set_next_tag(u32 next)
{
	Guard guard(core.requests);

	core.next_tag = next;
}

extern "C" void host_set_next_load_tag(u32 next)
{
	Guard guard(core.kexts_by_tag);

	core.next_load_tag = next;
}

extern "C" void host_set_retains(u32 load_tag, u32 retains)
{
	Guard guard(core.requests);

	find_kext_locked(load_tag)->retains = retains;
}

extern "C" unsigned long host_request_bytes()
{
	return sizeof(Request);
}

// Counters that only say what has been: as if it had not. What they have to add up to stays.
extern "C" void host_forget_history()
{
	kextbridge_status &stats = core.stats;

	stats.submitted -= stats.callbacks + stats.cancelled + stats.discarded;
	stats.callbacks = stats.cancelled = stats.discarded = stats.timeouts = 0;
	stats.replies = stats.late_replies = stats.bad_replies = stats.requeued = stats.poisoned = stats.limited = 0;
	stats.retains = stats.releases = stats.loads = stats.unloads = stats.autounloads = 0;
	stats.generation = 0;
}

// Null, or which counter does not fit what is in the lists.
extern "C" const char *host_check_invariants()
{
	Guard guard(core.requests);
	u32 pending = 0;
	u32 fetched = 0;
	u32 answered = 0;
	u32 live = 0;
	u32 resources = 0;

	for (u32 tag = 1; Request *request = static_cast<Request *>(core.requests.find(tag)); tag = request->tag + 1) {
		pending += request->state == State::Pending;
		fetched += request->state == State::Fetched;
		answered += request->state == State::Answered;
		if (request->state == State::Fetched && (!core.session || !request->session_node.linked()))
			return "a fetched request is in the active daemon's hands";
		if (request->timed && request->state != State::Pending && request->state != State::Fetched)
			return "only waiting requests are on the deadline queue";
		if (request->kind == Kind::Resource && request->state != State::Finished)
			resources++;
	}
	for (Kext *kext = core.kexts.front(); kext; kext = core.kexts.next(*kext)) {
		u32 count = 0;

		for (Request *request = kext->live.front(); request; request = kext->live.next(*request))
			count++;
		if (count != kext->pending)
			return "a kext's pending is the length of its live list";
		live += count;
	}
	if (live > resources)
		return "live requests are in the table";
	if (pending != core.stats.pending)
		return "stats.pending";
	if (fetched != core.stats.fetched)
		return "stats.fetched";
	if (answered != core.stats.answered)
		return "stats.answered";
	if (core.stats.submitted != core.stats.callbacks + core.stats.cancelled + core.stats.discarded + resources)
		return "submitted == callbacks + cancelled + discarded + unfinished";
	return nullptr;
}
