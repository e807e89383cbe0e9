/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Strings and memory as libkern has them. Those that Linux has too are Linux's own, under its own prototypes; the rest
 * is here. In a C file that uses Linux headers too, those come first, and min() and max() are theirs.
 *
 * CONTEXT: any. No pointer may be null, unless said so.
 */
#ifndef _LIBKERN_LIBKERN_H
#define _LIBKERN_LIBKERN_H

#include <kextbridge/bsd.h>
#include <kextbridge/strings.h>
#include <libkern/OSByteOrder.h>
#include <libkern/OSTypes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Linux's: with <linux/string.h> they may be macros */
#ifndef _LINUX_STRING_H_
void *memcpy(void *to, const void *from, size_t size);
void *memmove(void *to, const void *from, size_t size); /* may overlap */
void *memset(void *to, int byte, size_t size);
int memcmp(const void *a, const void *b, size_t size); /* negative, 0, positive */
int bcmp(const void *a, const void *b, size_t size);   /* 0: equal */
size_t strlen(const char *text);
size_t strnlen(const char *text, size_t size); /* at most size */
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t size);
int strcasecmp(const char *a, const char *b);
int strncasecmp(const char *a, const char *b, size_t size);
char *strchr(const char *text, int byte); /* or NULL, as the next three */
char *strrchr(const char *text, int byte);
char *strstr(const char *text, const char *part);
char *strnstr(const char *text, const char *part, size_t size);
/* Cuts *text at the first of these bytes, and returns what was before; *text is what comes after, or NULL. */
char *strsep(char **text, const char *bytes);
/* Appends to what is in `to`, which has room for size bytes. Returns the length that it would have been. */
size_t strlcat(char *to, const char *from, size_t size);
#endif

/*
 * At most size bytes, NUL included, if size is not 0. Returns the length that the text would have had without a limit.
 * %p prints a hash of the address, and letters and digits directly behind it are taken for a form of Linux's: write a
 * blank there.
 */
__attribute__((__format__(__printf__, 3, 4))) int snprintf(char *to, size_t size, const char *format, ...);
__attribute__((__format__(__printf__, 3, 0))) int vsnprintf(char *to, size_t size, const char *format,
							    va_list arguments);

/* ---- not Linux's */

/* Copies at most size - 1 bytes, and a NUL if size is not 0. Returns the length of `from`. */
static inline size_t kextbridge_strlcpy(char *to, const char *from, size_t size)
{
	size_t length = strlen(from);
	size_t copied = length < size ? length : size - 1;

	if (size) {
		memcpy(to, from, copied);
		to[copied] = 0;
	}
	return length;
}
/* 6.1 has one too. */
#define strlcpy kextbridge_strlcpy

static inline void bzero(void *to, size_t size)
{
	memset(to, 0, size);
}

/* May overlap. */
static inline void bcopy(const void *from, void *to, size_t size)
{
	memmove(to, from, size);
}

/* kextbridge/strings.h has their contract. */
#define strtol kextbridge_strtol
#define strtoul kextbridge_strtoul
static inline quad_t strtoq(const char *text, char **end, int base)
{
	return strtol(text, end, base);
}

static inline u_quad_t strtouq(const char *text, char **end, int base)
{
	return strtoul(text, end, base);
}

static inline int imin(int a, int b)
{
	return a < b ? a : b;
}

static inline int imax(int a, int b)
{
	return a > b ? a : b;
}

static inline long lmin(long a, long b)
{
	return a < b ? a : b;
}

static inline long lmax(long a, long b)
{
	return a > b ? a : b;
}

static inline u_long ulmin(u_long a, u_long b)
{
	return a < b ? a : b;
}

static inline u_long ulmax(u_long a, u_long b)
{
	return a > b ? a : b;
}

#ifndef min
static inline u_int min(u_int a, u_int b)
{
	return a < b ? a : b;
}

static inline u_int max(u_int a, u_int b)
{
	return a > b ? a : b;
}
#endif

/* A driver's mistake does not stop the machine: an error is what its caller gets, and a line in the log. */
void panic(const char *format, ...)
	__attribute__((__error__("kextbridge has no panic(): return an error, and log it")));

#ifdef __cplusplus
}
#endif

#endif
