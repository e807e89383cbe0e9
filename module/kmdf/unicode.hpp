// SPDX-License-Identifier: GPL-2.0-only
// Names between 16 bits and 8.
#pragma once

#include "common.hpp"

namespace kmdf {

// False: not ASCII, or too long.
bool narrow(char *to, size_t size, const UNICODE_STRING &from);
// What is behind the last backslash: "echo" of "\DosDevices\echo". False: nothing, or as above.
bool last_part(char *to, size_t size, const UNICODE_STRING &path);
// prefix and text, of ASCII, into a string that points to them; what does not fit is cut off.
void widen(WCHAR *to, size_t room, const char *prefix, const char *text, UNICODE_STRING &string);

} // namespace kmdf
