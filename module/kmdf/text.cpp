// SPDX-License-Identifier: GPL-2.0-only
#include "text.hpp"

#include "shim/enforce.h"

namespace kmdf {

bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

bool narrow(char *to, size_t size, const UNICODE_STRING &from)
{
	size_t length = from.Length / sizeof(WCHAR);

	if (length >= size)
		return false;
	for (size_t i = 0; i < length; i++) {
		if (from.Buffer[i] < 0x20 || from.Buffer[i] > 0x7e)
			return false;
		to[i] = static_cast<char>(from.Buffer[i]);
	}
	to[length] = 0;
	return true;
}

void widen(WCHAR *to, size_t room, const char *prefix, const char *text, UNICODE_STRING &string)
{
	size_t used = 0;

	for (; *prefix && used + 1 < room; prefix++)
		to[used++] = static_cast<WCHAR>(*prefix);
	for (; *text && used + 1 < room; text++)
		to[used++] = static_cast<WCHAR>(*text);
	to[used] = 0;
	string.Buffer = to;
	string.Length = static_cast<USHORT>(used * sizeof(WCHAR));
	string.MaximumLength = static_cast<USHORT>((used + 1) * sizeof(WCHAR));
}

} // namespace kmdf
