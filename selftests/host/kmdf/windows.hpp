// SPDX-License-Identifier: GPL-2.0-only
// The headers of Windows drivers, in a program that has the C++ library: what that needs comes before, and WCHAR is a type
// of 16 bits although this is not compiled with -fshort-wchar.
#pragma once

#include <climits>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <cwchar>
#include <string>

inline size_t wcslen(const char16_t *text)
{
	return std::char_traits<char16_t>::length(text);
}

#pragma push_macro("LONG_MAX")
#pragma push_macro("ULONG_MAX")
#undef LONG_MAX
#undef ULONG_MAX
#define _KMDF_STRING_H // the C library's
#define wchar_t char16_t
#include "windows/wdf.h"
#undef wchar_t
#undef IN
#undef OUT
#undef OPTIONAL
#undef LONG_MAX
#undef ULONG_MAX
#pragma pop_macro("ULONG_MAX")
#pragma pop_macro("LONG_MAX")
