// SPDX-License-Identifier: GPL-2.0-only
// The KPI that drivers call. Contracts: shim/include/libkern/OSKextLib.h.
#include "core.hpp"
#include "in_flight.hpp"
#include "load.hpp"
#include "text.hpp"
#include "unload.hpp"
#include "shim/enforce.h"

using namespace kextbridge;

namespace {

// Who may be called back at this address, if it may request anything now.
OSReturn find_owner_locked(OSKextRequestResourceCallback callback, Kext **owner) KEXTBRIDGE_REQUIRES(core.requests)
{
	Kext *kext = core.texts.find_locked(reinterpret_cast<unsigned long>(callback));

	*owner = kext;
	if (!kext)
		return kOSKextReturnInvalidArgument;
	if (kext->state == KextState::Flushing || kext->state == KextState::Stopping)
		return kOSKextReturnStopping;
	if (kext->state != KextState::Starting && kext->state != KextState::Started)
		return kOSKextReturnInvalidArgument;
	if (kext->pending >= read_once(kextbridge_params.max_pending)) {
		core.stats.limited++;
		return kOSKextReturnNoResources;
	}
	return kOSReturnSuccess;
}

OSReturn submit(const char *identifier, const char *name, OSKextRequestResourceCallback callback, void *context,
		OSKextRequestTag *tag_out, u32 timeout_ms, u32 max_length) KEXTBRIDGE_EXCLUDES(core.requests)
{
	if (!identifier || !name || !callback)
		return kOSKextReturnInvalidArgument;
	u32 limit = name_limit();
	u32 identifier_length = text_length(identifier, limit + 1);
	u32 name_length = text_length(name, limit + 1);

	if (identifier_length > limit || name_length > limit)
		return kOSKextReturnInvalidArgument;
	Ref<Request> request =
		Request::make(Kind::Resource, identifier, identifier_length, name, name_length, SHIM_GFP_KERNEL);

	if (!request)
		return kOSKextReturnNoMemory;
	u32 reply_limit = read_once(kextbridge_params.max_reply_bytes);

	request->callback = callback;
	request->context = context;
	request->max_length = max_length && max_length < reply_limit ? max_length : reply_limit;

	Guard guard(core.requests);
	Kext *owner;
	OSReturn result = find_owner_locked(callback, &owner);

	if (result)
		return result;
	result = allocate_tag_locked(*request);
	if (result)
		return result;
	// The allocation may have let go of the lock.
	result = find_owner_locked(callback, &owner);
	if (result) {
		free_tag_locked(*request);
		return result;
	}
	if (tag_out)
		write_once(*tag_out, request->tag);
	owner->get(); // OWNERSHIP: the request's
	publish_locked(*request, owner, timeout_ms ? timeout_ms : read_once(kextbridge_params.request_timeout_ms),
		       true);
	postpone_scan_locked(request->issued_ns);
	request.release(); // OWNERSHIP: the table's
	return kOSReturnSuccess;
}

// Refs outlive the guards of their callers: what is dropped here is dropped without the lock.
OSReturn cancel(const kmod_info_t *caller, OSKextRequestTag tag, void **context_out, bool wait)
	KEXTBRIDGE_EXCLUDES(core.requests)
{
	Ref<Request> request;
	Ref<Owner> owner;
	Kext *kext;
	{
		Guard guard(core.requests);
		Request *found = find_locked(tag);

		kext = found && found->kind == Kind::Resource ? found->owner->kext() : nullptr;
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

} // namespace

extern "C" OSReturn kextbridge_request_resource(const char *kextIdentifier, const char *resourceName,
						OSKextRequestResourceCallback callback, void *context,
						OSKextRequestTag *requestTagOut, uint32_t timeout_ms,
						uint32_t max_length)
{
	shim_might_sleep();
	if (requestTagOut)
		write_once(*requestTagOut, kOSKextRequestTagInvalid);
	return submit(kextIdentifier, resourceName, callback, context, requestTagOut, timeout_ms, max_length);
}

extern "C" OSReturn OSKextRequestResource(const char *kextIdentifier, const char *resourceName,
					  OSKextRequestResourceCallback callback, void *context,
					  OSKextRequestTag *requestTagOut)
{
	return kextbridge_request_resource(kextIdentifier, resourceName, callback, context, requestTagOut, 0, 0);
}

extern "C" OSReturn kextbridge_cancel_request(const kmod_info_t *caller, OSKextRequestTag requestTag, void **contextOut)
{
	shim_might_sleep();
	return cancel(caller, requestTag, contextOut, true);
}

extern "C" OSReturn kextbridge_cancel_request_nowait(const kmod_info_t *caller, OSKextRequestTag requestTag,
						     void **contextOut)
{
	return cancel(caller, requestTag, contextOut, false);
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
		if (cancelled)
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

extern "C" OSReturn OSKextRetainKextWithLoadTag(OSKextLoadTag loadTag)
{
	if (loadTag == kOSKextInvalidLoadTag)
		return kOSKextReturnInvalidArgument;
	char identifier[KMOD_MAX_NAME];
	OSReturn result = kOSKextReturnNotFound;
	bool known;
	{
		Guard guard(core.requests);
		Kext *kext = find_kext_locked(loadTag);

		if (kext)
			result = kext->retain_locked();
		known = kext && result;
		if (known)
			__builtin_memcpy(identifier, kext->identifier, sizeof(identifier));
		shim_trace_retain(loadTag, kext ? kext->retains : 0, result);
	}
	if (known)
		shim_pr_warn_ratelimited("%s: retain refused: %s", identifier,
					 result == kOSKextReturnNotFound ? "it is being stopped" : "too many");
	return result;
}

extern "C" OSReturn OSKextReleaseKextWithLoadTag(OSKextLoadTag loadTag)
{
	char identifier[KMOD_MAX_NAME];
	OSReturn result;

	if (loadTag == kOSKextInvalidLoadTag)
		return kOSKextReturnInvalidArgument;
	{
		Guard guard(core.requests);
		Kext *kext = find_kext_locked(loadTag);

		result = kext ? kext->release_locked() : kOSKextReturnNotFound;
		if (!result)
			arm_scan_locked(*kext);
		if (result == kOSKextReturnInvalidArgument)
			__builtin_memcpy(identifier, kext->identifier, sizeof(identifier));
		shim_trace_release(loadTag, kext ? kext->retains : 0, result);
	}
	if (result == kOSKextReturnInvalidArgument)
		shim_pr_warn_ratelimited("%s: released more often than retained", identifier);
	return result;
}

extern "C" OSReturn OSKextLoadKextWithIdentifier(const char *kextIdentifier)
{
	shim_might_sleep();
	if (!kextIdentifier)
		return kOSKextReturnInvalidArgument;
	return load_kext(kextIdentifier, text_length(kextIdentifier, KEXTBRIDGE_NAME_LIMIT + 1), nullptr);
}
