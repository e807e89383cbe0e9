/* SPDX-License-Identifier: GPL-2.0-only */
/* Those of C's functions that a driver may call: the kernel has them, or the compiler. At any level. */
#ifndef _KMDF_STRING_H
#define _KMDF_STRING_H

#include "ntdef.h"

#ifdef __cplusplus
extern "C" {
#endif

void *memcpy(void *to, const void *from, size_t length);
void *memmove(void *to, const void *from, size_t length);
void *memset(void *to, int value, size_t length);
int memcmp(const void *a, const void *b, size_t length);
size_t strlen(const char *string);
size_t strnlen(const char *string, size_t length);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t length);

#ifdef __cplusplus
}
#endif

FORCEINLINE size_t wcslen(const wchar_t *string)
{
	size_t i = 0;

	while (string[i])
		i++;
	return i;
}

FORCEINLINE int wcscmp(const wchar_t *a, const wchar_t *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (int)*a - (int)*b;
}

#endif
