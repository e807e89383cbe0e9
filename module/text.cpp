// SPDX-License-Identifier: GPL-2.0-only
#include "text.hpp"

#include "base/once.hpp"
#include "shim/entry.h"
#include "uapi/kextbridge.h"
#include "shim/enforce.h"

namespace kextbridge {

u32 name_limit()
{
	u32 limit = read_once(kextbridge_params.max_name);

	return limit < KEXTBRIDGE_NAME_LIMIT ? limit : KEXTBRIDGE_NAME_LIMIT;
}

u32 text_length(const char *text, u32 limit)
{
	u32 length = 0;

	while (length < limit && text[length])
		length++;
	return length;
}

bool text_equal(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return *a == *b;
}

bool identifier_is_valid(const char *text, u32 size)
{
	u32 length = text_length(text, size);

	if (!length || length == size)
		return false;
	for (u32 i = 0; i < length; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '/' || text[i] == '"' || text[i] == '\\')
			return false;
	return true;
}

// Reads 1 to `digits` digits at *at; false when there is none or one more.
static bool read_number(const char **at, u32 digits, u32 *value)
{
	u32 count = 0;

	*value = 0;
	while (**at >= '0' && **at <= '9') {
		if (count++ == digits)
			return false;
		*value = *value * 10 + static_cast<u32>(**at - '0');
		++*at;
	}
	return count > 0;
}

bool version_is_valid(const char *text, u32 size)
{
	const char *at = text;
	u32 value;

	if (text_length(text, size) == size)
		return false;
	for (u32 part = 0;; part++) {
		if (!read_number(&at, 4, &value))
			return false;
		if (*at != '.' || part == 2)
			break;
		at++;
	}
	bool final = *at == 'f';

	if (*at == 'd' || *at == 'a' || *at == 'b' || final) {
		at++;
		if (final && *at == 'c')
			at++;
		if (!read_number(&at, 3, &value) || value > 255 || (final && !value))
			return false;
	}
	return !*at || *at == ' ' || (*at >= '\t' && *at <= '\r');
}

} // namespace kextbridge
