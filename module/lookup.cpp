// SPDX-License-Identifier: GPL-2.0-only
// Kexts by their identifier, for drivers. Contracts: shim/include/libkern/OSKextLib.h.
#include "core.hpp"
#include "text.hpp"
#include "shim/enforce.h"

using namespace kextbridge;

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
