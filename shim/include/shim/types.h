/* SPDX-License-Identifier: GPL-2.0-only */
/* Fixed-width types under the kernel's names, for C++ that sees no kernel header. */
#ifndef _SHIM_TYPES_H
#define _SHIM_TYPES_H

#if defined(__KERNEL__) && !defined(__cplusplus)
#include <linux/types.h>
#else
typedef __UINT8_TYPE__ __u8;
typedef __UINT16_TYPE__ __u16;
typedef __UINT32_TYPE__ __u32;
typedef __INT32_TYPE__ __s32;
/* As asm-generic/int-ll64.h has them, so that a C and a C++ prototype are the same. */
typedef unsigned long long __u64;
typedef long long __s64;
typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef __SIZE_TYPE__ size_t;
#endif

#endif
