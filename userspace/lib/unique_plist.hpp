/* SPDX-License-Identifier: GPL-2.0-only */
/* A property list, and bytes of malloc(), with one owner. For our own programs; not installed. */
#pragma once

#include <cstdlib>
#include <memory>
#include <plist/plist.h>

namespace kext {

struct FreePlist {
	void operator()(void *node) const { plist_free(node); }
};
using UniquePlist = std::unique_ptr<void, FreePlist>;

struct FreeBytes {
	void operator()(void *bytes) const { free(bytes); }
};
using UniqueBytes = std::unique_ptr<void, FreeBytes>;

} // namespace kext
