// SPDX-License-Identifier: GPL-2.0-only
// The KPI that drivers call. Contracts: shim/include/libkern/OSKextLib.h.
#include "core.hpp"
#include "load.hpp"
#include "submit.hpp"
#include "text.hpp"
#include "unload.hpp"
#include "shim/enforce.h"

using namespace kextbridge;

extern "C" OSReturn OSKextRequestResource(const char *kextIdentifier, const char *resourceName,
					  OSKextRequestResourceCallback callback, void *context,
					  OSKextRequestTag *requestTagOut)
{
	return submit({.identifier = kextIdentifier,
		       .name = resourceName,
		       .callback = callback,
		       .context = context,
		       .tag_out = requestTagOut,
		       .called_from = __builtin_return_address(0)},
		      nullptr);
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
		if (known) {
			kext->note_misuse_locked();
			__builtin_memcpy(identifier, kext->identifier, sizeof(identifier));
		}
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
		if (result == kOSKextReturnInvalidArgument) {
			kext->note_misuse_locked();
			__builtin_memcpy(identifier, kext->identifier, sizeof(identifier));
		}
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
	return load_kext(kextIdentifier, text_length(kextIdentifier, KEXTBRIDGE_NAME_LIMIT + 1), false, nullptr);
}

extern "C" OSReturn kextbridge_unload_kext(const kmod_info_t *caller, OSKextLoadTag loadTag)
{
	Ref<Kext> kext;
	Ref<Request> message;
	bool own = false;

	shim_might_sleep();
	if (loadTag == kOSKextInvalidLoadTag)
		return kOSKextReturnInvalidArgument;
	{
		Guard guard(core.requests);

		kext = Ref<Kext>::retain(find_kext_locked(loadTag));
		own = kext && kext->info == caller;
		if (own)
			kext->note_misuse_locked();
	}
	if (own)
		shim_pr_warn_ratelimited("%s: cannot wait for its own unload", kext->identifier);
	if (!kext || own)
		return kext ? kOSKextReturnInvalidArgument : kOSKextReturnNotFound;
	OSReturn result = kext->begin_unload(0, false, &message);

	if (!message)
		return result;
	// The other one may do the same to a kext whose callback this is.
	if (Kext::in_callback() || wait_done(*message, &result))
		return kOSKextReturnDeferred;
	return result;
}

extern "C" OSKextLoadTag OSKextGetLoadTagForIdentifier(const char *kextIdentifier)
{
	if (!kextIdentifier)
		return kOSKextInvalidLoadTag;
	if (text_equal(kextIdentifier, kOSKextKernelIdentifier))
		return 0;
	Guard guard(core.requests);
	const Kext *kext = find_kext_locked(kextIdentifier);

	return kext ? kext->tag : kOSKextInvalidLoadTag;
}
