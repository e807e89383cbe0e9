// SPDX-License-Identifier: GPL-2.0-only
// The kernel's own word on what a kext can be called.
#include "text.cpp"
#include "version.cpp"

struct kextbridge_params kextbridge_params;

extern "C" bool kernel_takes_identifier(const char *text, u32 size)
{
	return kextbridge::identifier_is_valid(text, size);
}

extern "C" bool kernel_takes_version(const char *text, u32 size)
{
	return kextbridge::version_is_valid(text, size);
}
