// SPDX-License-Identifier: GPL-2.0-only
#include "submit.hpp"

#include "in_flight.hpp"
#include "scope.hpp"
#include "text.hpp"
#include "unload.hpp"
#include "shim/enforce.h"

namespace kextbridge {

static Kext *owner_locked(const Submission &from) KEXTBRIDGE_REQUIRES(core.requests)
{
	if (!from.reader)
		return core.texts.find_locked(reinterpret_cast<unsigned long>(from.callback));
	Kext *kext = find_kext_locked(from.caller->id);

	return kext && kext->info == from.caller ? kext : nullptr;
}

// Whether this kext may request anything under this scope (may be null) now. *why: null, or what the driver did wrong.
static OSReturn may_submit_locked(const Kext *owner, const Scope *scope, const char **why)
	KEXTBRIDGE_REQUIRES(core.requests)
{
	*why = nullptr;
	if (core.shutdown)
		return kOSKextReturnDisabled;
	if (owner && (owner->state == KextState::Flushing || owner->state == KextState::Stopping))
		return kOSKextReturnStopping;
	if (!owner)
		*why = "neither its callback nor its caller is a kext's";
	else if (owner->state != KextState::Started && owner->state != KextState::Starting)
		*why = "the kext is not started";
	else if (scope && scope->load_tag != kOSKextInvalidLoadTag && scope->load_tag != owner->tag)
		*why = "its scope is another kext's";
	if (*why)
		return kOSKextReturnInvalidArgument;
	if (scope && scope->cancelled)
		return kIOReturnAborted;
	if (owner->pending >= read_once(kextbridge_params.max_pending)) {
		core.stats.limited++;
		*why = "max_pending is reached";
		return kOSKextReturnNoResources;
	}
	return kOSReturnSuccess;
}

// One line, and a mark at the kext that is to blame, if that can be told.
static OSReturn refuse(const Submission &from, OSReturn result, const char *why) KEXTBRIDGE_EXCLUDES(core.requests)
{
	char identifier[KMOD_MAX_NAME] = "a kext";
	{
		Guard guard(core.requests);

		// Before any other reason.
		if (core.shutdown)
			return kOSKextReturnDisabled;
		Kext *kext = owner_locked(from);

		if (!kext)
			kext = core.texts.find_locked(reinterpret_cast<unsigned long>(from.called_from));
		if (kext) {
			kext->note_misuse_locked();
			__builtin_memcpy(identifier, kext->identifier, sizeof(identifier));
		}
	}
	shim_pr_warn_ratelimited("%s: request refused: %s", identifier, why);
	return result;
}

static void join_locked(Request &request, Scope *scope) KEXTBRIDGE_REQUIRES(core.requests)
{
	if (!scope)
		return;
	ScopeLink *link = request.scope_link();

	link->request = &request;
	link->scope = scope;
	scope->load_tag = request.owner->load_tag();
	scope->requests.push_back(*link);
}

// Into the table, if it may. *why: null, or what the driver did wrong.
static OSReturn enter_locked(const Submission &from, const kextbridge_resource_options &options, Request &request,
			     Scope *scope, const char **why) KEXTBRIDGE_REQUIRES(core.requests)
{
	OSReturn result = may_submit_locked(owner_locked(from), scope, why);

	if (result)
		return result;
	result = allocate_tag_locked(request);
	if (result)
		return result;
	// The allocation may have let go of the lock.
	Kext *owner = owner_locked(from);

	result = may_submit_locked(owner, scope, why);
	if (result) {
		free_tag_locked(request);
		return result;
	}
	if (from.tag_out)
		write_once(*from.tag_out, request.tag);
	owner->get(); // OWNERSHIP: the request's
	publish_locked(request, owner,
		       options.timeout_ms ? options.timeout_ms : read_once(kextbridge_params.request_timeout_ms), true);
	join_locked(request, scope);
	postpone_scan_locked(request.issued_ns);
	return kOSReturnSuccess;
}

OSReturn submit(const Submission &from, Ref<Request> *waited)
{
	static const kextbridge_resource_options defaults = {};
	const kextbridge_resource_options &options = from.options ? *from.options : defaults;
	Scope *scope = Scope::from(options.scope);

	shim_might_sleep();
	if (from.tag_out)
		write_once(*from.tag_out, kOSKextRequestTagInvalid);
	if (!from.identifier || !from.name || (!from.callback && !from.reader))
		return refuse(from, kOSKextReturnInvalidArgument, "no identifier, no name or no callback");
	if (options.scope && !scope)
		return refuse(from, kOSKextReturnInvalidArgument, "its scope is not initialized");
	u32 limit = name_limit();
	u32 identifier_length = text_length(from.identifier, limit + 1);
	u32 name_length = text_length(from.name, limit + 1);

	if (identifier_length > limit || name_length > limit)
		return refuse(from, kOSKextReturnInvalidArgument, "its identifier or name is longer than max_name");
	Ref<Request> request = Request::make(Kind::Resource, from.identifier, identifier_length, from.name, name_length,
					     SHIM_GFP_KERNEL, scope);

	if (!request)
		return kOSKextReturnNoMemory;
	u32 reply_limit = read_once(kextbridge_params.max_reply_bytes);

	request->callback = from.callback;
	request->context = from.reader ? from.reader : from.context;
	request->max_length = options.max_length && options.max_length < reply_limit ? options.max_length : reply_limit;
	const char *why = nullptr;
	OSReturn result;
	{
		Guard guard(core.requests);

		result = enter_locked(from, options, *request, scope, &why);
		if (!result) {
			if (waited)
				*waited = Ref<Request>::retain(request.get());
			request.release(); // OWNERSHIP: the table's
		}
	}
	return why ? refuse(from, result, why) : result;
}

} // namespace kextbridge
