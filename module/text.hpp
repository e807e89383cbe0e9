// SPDX-License-Identifier: GPL-2.0-only
// Strings from drivers and programs: lengths, identifiers, versions. CONTEXT: any.
#pragma once

#include "base/text.hpp"
#include "shim/types.h"

namespace kextbridge {

// The longest identifier or resource name that is taken now: max_name, within what a Request can hold.
u32 name_limit();
// Bytes before the NUL, or limit when there is none before it.
u32 text_length(const char *text, u32 limit);
// An array of `size` bytes that holds 1 to size - 1 printable characters without blanks, quotes or slashes, and a NUL.
bool identifier_is_valid(const char *text, u32 size);
// A text that OSKextParseVersionString() takes, in an array of `size` bytes that has its NUL, too.
bool version_is_valid(const char *text, u32 size);

} // namespace kextbridge
