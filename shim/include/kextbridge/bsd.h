/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a macOS driver has of BSD without asking, under <sys/types.h>, <sys/cdefs.h>, <sys/param.h>, <stdarg.h>, and
 * through <IOKit/IOLib.h>. For drivers only.
 *
 * In a C file that uses Linux headers too, those come first: they have fields named __unused, and a PATH_MAX of their
 * own, which then holds for the file.
 */
#ifndef _KEXTBRIDGE_BSD_H
#define _KEXTBRIDGE_BSD_H

#include <kextbridge/types.h>

#if defined(__KERNEL__) && !defined(__cplusplus)
#include <linux/stdarg.h>
/* <linux/types.h> has u_char and its kind, and bool. */
#else
typedef __builtin_va_list va_list;
#define va_start(list, last) __builtin_va_start(list, last)
#define va_arg(list, type) __builtin_va_arg(list, type)
#define va_end(list) __builtin_va_end(list)
#define va_copy(to, from) __builtin_va_copy(to, from)

typedef unsigned char u_char;
typedef unsigned short u_short;
typedef unsigned int u_int;
typedef unsigned long u_long;
typedef uint8_t u_int8_t;
typedef uint16_t u_int16_t;
typedef uint32_t u_int32_t;
typedef uint64_t u_int64_t;
typedef long ssize_t;
#endif

typedef int64_t quad_t;
typedef uint64_t u_quad_t;

#ifndef __unused
#define __unused __attribute__((__unused__))
#endif

#ifdef __cplusplus
#define __BEGIN_DECLS extern "C" {
#define __END_DECLS }
#else
#define __BEGIN_DECLS
#define __END_DECLS
#endif

/* Darwin's: two buffers of Linux's size do not fit on a kernel stack. */
#ifndef PATH_MAX
#define PATH_MAX 1024
#endif
#ifndef MAXPATHLEN
#define MAXPATHLEN PATH_MAX
#endif

#ifndef MIN
#define MIN(a, b) ((a) < (b) ? (a) : (b))
#endif
#ifndef MAX
#define MAX(a, b) ((a) > (b) ? (a) : (b))
#endif

#endif
