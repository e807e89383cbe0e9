// SPDX-License-Identifier: GPL-2.0-only
// The calls that go beyond macOS's. Contracts: shim/include/kextbridge/client.h.
#include "base/new.hpp"
#include "cancel.hpp"
#include "core.hpp"
#include "in_flight.hpp"
#include "payload.hpp"
#include "scope.hpp"
#include "submit.hpp"
#include "shim/enforce.h"

using namespace kextbridge;

static constinit lock_class_key reader_key = {};

extern "C" OSReturn kextbridge_request_resource(const char *kextIdentifier, const char *resourceName,
						OSKextRequestResourceCallback callback, void *context,
						OSKextRequestTag *requestTagOut,
						const struct kextbridge_resource_options *options)
{
	shim_might_sleep();
	if (requestTagOut)
		write_once(*requestTagOut, kOSKextRequestTagInvalid);
	return submit({.identifier = kextIdentifier,
		       .name = resourceName,
		       .callback = callback,
		       .context = context,
		       .tag_out = requestTagOut,
		       .options = options,
		       .called_from = __builtin_return_address(0)},
		      nullptr);
}

// The request is this thread's until it is taken: here, or by a cancel.
static OSReturn take_answer(Request &request, bool killed, Payload *payload) KEXTBRIDGE_EXCLUDES(core.requests)
{
	Ref<Request> finished;
	Guard guard(core.requests);
	bool answered = request.state == State::Answered;

	if (!take_locked(request))
		return kIOReturnAborted;
	finished = forget_locked(request);
	if (killed || !answered) {
		core.stats.cancelled++;
		shim_trace_cancel(request.tag, request.owner->load_tag(), kOSReturnSuccess);
		return kIOReturnAborted;
	}
	*payload = request.take_payload_locked();
	core.stats.callbacks++;
	shim_trace_callback(request.tag, request.owner->load_tag(), request.result, payload->length,
			    shim_ktime_get_ns() - request.issued_ns);
	return request.result;
}

extern "C" OSReturn kextbridge_read(const kmod_info_t *caller, const char *kextIdentifier, const char *resourceName,
				    const struct kextbridge_resource_options *options, void **dataOut,
				    uint32_t *lengthOut)
{
	Ref<Request> request;
	Reader reader;

	shim_might_sleep();
	if (!dataOut || !lengthOut)
		return kOSKextReturnInvalidArgument;
	*dataOut = nullptr;
	*lengthOut = 0;
	reader.wake.init("kextbridge_reader", &reader_key);
	OSReturn result = submit({.identifier = kextIdentifier,
				  .name = resourceName,
				  .options = options,
				  .called_from = __builtin_return_address(0),
				  .caller = caller,
				  .reader = &reader},
				 &request);

	if (result)
		return result;
	int err = reader.wake.wait_killable([&] {
		Guard guard(core.requests);

		return request->state == State::Answered || request->state == State::Finished;
	});
	Payload payload;

	result = take_answer(*request, err, &payload);
	if (result) {
		payload_free(payload.data);
		return result;
	}
	*dataOut = payload.data;
	*lengthOut = payload.length;
	return kOSReturnSuccess;
}

extern "C" void kextbridge_free_resource(void *data)
{
	shim_might_sleep();
	payload_free(data);
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

			if (!first || !take_locked(*first))
				break;
			core.stats.cancelled++;
			shim_trace_cancel(first->tag, kext->tag, kOSReturnSuccess);
			request = forget_locked(*first);
		}
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

	if (!first || !take_locked(*first->request))
		return Ref<Request>();
	core.stats.cancelled++;
	shim_trace_cancel(first->request->tag, scope.load_tag, kOSReturnSuccess);
	return forget_locked(*first->request);
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
