// SPDX-License-Identifier: GPL-2.0-only
// as: userspace/lib/bad.cpp
// step: analyze
// says: Potential leak of memory
#include <cstdlib>
#include <cstring>

int first_of(const char *text);
int first_of(const char *text)
{
	char *copy = static_cast<char *>(malloc(strlen(text) + 1));

	if (!copy)
		return -1;
	strcpy(copy, text);
	if (!*copy)
		return 0;
	int first = *copy;

	free(copy);
	return first;
}
