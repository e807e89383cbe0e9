// SPDX-License-Identifier: GPL-2.0-only
// How a driver cancels: one request by its tag, all of its own, a scope. Contracts: libkern/OSKextLib.h and
// kextbridge/client.h in shim/include.
#include "cancel.hpp"

#include "base/new.hpp"
#include "in_flight.hpp"
#include "scope.hpp"
#include "shim/enforce.h"

namespace kextbridge {

Ref<Request> cancel_locked(Request &request)
{
	if (!take_locked(request))
		return Ref<Request>();
	core.stats.cancelled++;
	shim_trace_cancel(request.tag, request.owner->load_tag(), kOSReturnSuccess);
	return forget_locked(request);
}

// Refs outlive the guards of their callers: what is dropped here is dropped without the lock.
static OSReturn cancel_request(const kmod_info_t *caller, OSKextRequestTag tag, void **context_out, bool wait)
	KEXTBRIDGE_EXCLUDES(core.requests)
{
	Ref<Request> request;
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
		request = cancel_locked(*found);
		if (request) {
			if (context_out)
				*context_out = request->context;
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

using namespace kextbridge;

extern "C" OSReturn kextbridge_cancel_request(const kmod_info_t *caller, OSKextRequestTag requestTag, void **contextOut)
{
	shim_might_sleep();
	return cancel_request(caller, requestTag, contextOut, true);
}

extern "C" OSReturn kextbridge_cancel_request_nowait(const kmod_info_t *caller, OSKextRequestTag requestTag,
						     void **contextOut)
{
	return cancel_request(caller, requestTag, contextOut, false);
}

extern "C" uint32_t kextbridge_cancel_requests(const kmod_info_t *caller,
					       void (*cancelled)(OSKextRequestTag requestTag, void *context, void *arg),
					       void *arg)
{
	Ref<Kext> kext;
	Ref<Request> running;
	u32 budget;
	u32 count = 0;

	shim_might_sleep();
	{
		Guard guard(core.requests);

		kext = Ref<Kext>::retain(find_kext_locked(caller->id));
		if (!kext)
			return 0;
		// What is requested meanwhile does not keep us here for ever.
		budget = kext->pending;
	}
	while (count < budget) {
		Ref<Request> request;
		{
			Guard guard(core.requests);
			Request *first = kext->live.front();

			if (first)
				request = cancel_locked(*first);
		}
		if (!request)
			break;
		count++;
		if (cancelled && !request->reader())
			cancelled(request->tag, request->context, arg);
	}
	{
		Guard guard(core.requests);

		running = Ref<Request>::retain(kext->running);
	}
	if (running)
		kext->wait_for_callback(*running);
	return count;
}

// ---- scopes

extern "C" void kextbridge_scope_init(struct kextbridge_scope *scope)
{
	if (scope)
		new (Placement{scope}) Scope;
}

extern "C" uint32_t kextbridge_scope_is_cancelled(struct kextbridge_scope *scope)
{
	Scope *made = Scope::from(scope);
	Guard guard(core.requests);

	return !made || made->cancelled;
}

// The callback of a request of this scope runs now.
static bool runs_locked(const Kext &kext, const Scope &scope) KEXTBRIDGE_REQUIRES(core.requests)
{
	const ScopeLink *link = kext.running ? kext.running->scope_link() : nullptr;

	return link && link->scope == &scope;
}

// One request less. Null: the scope has none left.
static Ref<Request> cancel_one(Scope &scope) KEXTBRIDGE_EXCLUDES(core.requests)
{
	Guard guard(core.requests);
	ScopeLink *first = scope.requests.front();

	return first ? cancel_locked(*first->request) : Ref<Request>();
}

extern "C" uint32_t kextbridge_scope_cancel(struct kextbridge_scope *driver_scope,
					    void (*cancelled)(OSKextRequestTag requestTag, void *context, void *arg),
					    void *arg)
{
	Scope *scope = Scope::from(driver_scope);
	Ref<Kext> kext;
	u32 count = 0;

	shim_might_sleep();
	if (!scope)
		return 0;
	{
		Guard guard(core.requests);

		// From now on it gets no new ones: what follows comes to an end.
		scope->cancelled = true;
		kext = Ref<Kext>::retain(find_kext_locked(scope->load_tag));
	}
	while (Ref<Request> request = cancel_one(*scope)) {
		count++;
		if (cancelled && !request->reader())
			cancelled(request->tag, request->context, arg);
	}
	if (kext && !Kext::in_callback())
		core.barrier.wait([&] {
			Guard guard(core.requests);

			return !runs_locked(*kext, *scope);
		});
	return count;
}
