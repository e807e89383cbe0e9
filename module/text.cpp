// SPDX-License-Identifier: GPL-2.0-only
#include "text.hpp"

#include "base/once.hpp"
#include "libkern/OSKextLib.h"
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

bool version_is_valid(const char *text, u32 size)
{
	return text_length(text, size) < size && OSKextParseVersionString(text) >= 0;
}

} // namespace kextbridge
