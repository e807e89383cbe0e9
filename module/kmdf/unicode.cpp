// SPDX-License-Identifier: GPL-2.0-only
#include "unicode.hpp"

#include "shim/enforce.h"

namespace kmdf {

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

bool last_part(char *to, size_t size, const UNICODE_STRING &path)
{
	UNICODE_STRING last = path;

	for (size_t i = 0; i < path.Length / sizeof(WCHAR); i++) {
		if (path.Buffer[i] == '\\' || path.Buffer[i] == '/') {
			last.Buffer = path.Buffer + i + 1;
			last.Length = static_cast<USHORT>(path.Length - (i + 1) * sizeof(WCHAR));
		}
	}
	return last.Length && narrow(to, size, last);
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
