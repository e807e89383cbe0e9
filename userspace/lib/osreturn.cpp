/* SPDX-License-Identifier: GPL-2.0-only */
/* Names and phrases of OSReturn values. */
#include "kextbridge.h"

namespace {

struct Entry {
	OSReturn value;
	const char *name;
	const char *text;
};

#define ENTRY(constant, text)             \
	{                                 \
		constant, #constant, text \
	}

constexpr Entry entries[] = {
	ENTRY(kOSReturnSuccess, "success"),
	ENTRY(kOSReturnError, "general error"),
	ENTRY(kOSMetaClassHasInstances, "objects of the driver are still alive"),
	ENTRY(kOSKextReturnInternalError, "internal error"),
	ENTRY(kOSKextReturnNoMemory, "out of memory"),
	ENTRY(kOSKextReturnNoResources, "a limit was reached"),
	ENTRY(kOSKextReturnNotPrivileged, "not privileged"),
	ENTRY(kOSKextReturnInvalidArgument, "invalid argument"),
	ENTRY(kOSKextReturnNotFound, "not found"),
	ENTRY(kOSKextReturnBadData, "malformed or changing data"),
	ENTRY(kOSKextReturnSerialization, "cannot be serialized"),
	ENTRY(kOSKextReturnUnsupported, "not supported"),
	ENTRY(kOSKextReturnDisabled, "disabled: no daemon, or shutting down"),
	ENTRY(kOSKextReturnNotAKext, "not a kext"),
	ENTRY(kOSKextReturnValidation, "the bundle is invalid"),
	ENTRY(kOSKextReturnAuthentication, "owner, mode or signature is not trusted"),
	ENTRY(kOSKextReturnDependencies, "a dependency is missing"),
	ENTRY(kOSKextReturnArchNotFound, "no code for this machine"),
	ENTRY(kOSKextReturnCache, "cache error"),
	ENTRY(kOSKextReturnDeferred, "queued for the daemon"),
	ENTRY(kOSKextReturnBootLevel, "not allowed at this boot level"),
	ENTRY(kOSKextReturnNotLoadable, "not loadable"),
	ENTRY(kOSKextReturnLoadedVersionDiffers, "another version is loaded"),
	ENTRY(kOSKextReturnDependencyLoadError, "a dependency could not be loaded"),
	ENTRY(kOSKextReturnLinkError, "the module does not link against this kernel"),
	ENTRY(kOSKextReturnStartStopError, "the start or stop function failed"),
	ENTRY(kOSKextReturnInUse, "in use"),
	ENTRY(kOSKextReturnTimeout, "timed out"),
	ENTRY(kOSKextReturnStopping, "the kext is stopping"),
	ENTRY(kOSKextReturnSystemPolicy, "refused by the system's policy"),
	ENTRY(kOSKextReturnKCLoadFailure, "kernel collection cannot be loaded"),
	ENTRY(kOSKextReturnKCLoadFailureSystemKC, "system kernel collection cannot be loaded"),
	ENTRY(kOSKextReturnKCLoadFailureAuxKC, "auxiliary kernel collection cannot be loaded"),
	ENTRY(kIOReturnNotReady, "not ready"),
	ENTRY(KERN_INVALID_ADDRESS, "invalid address"),
	ENTRY(KERN_NO_SPACE, "no room at this address"),
	ENTRY(KERN_INVALID_ARGUMENT, "invalid argument"),
	ENTRY(KERN_FAILURE, "failed"),
	ENTRY(KERN_RESOURCE_SHORTAGE, "a resource has run out"),
	ENTRY(KERN_NOT_SUPPORTED, "not supported"),
};

const Entry *find(OSReturn result)
{
	for (const Entry &entry : entries) {
		if (entry.value == result)
			return &entry;
	}
	return nullptr;
}

} // namespace

extern "C" {

const char *kextbridge_return_name(OSReturn result)
{
	const Entry *entry = find(result);
	return entry ? entry->name : nullptr;
}

const char *kextbridge_return_text(OSReturn result)
{
	const Entry *entry = find(result);
	return entry ? entry->text : "unknown result";
}

} // extern "C"
