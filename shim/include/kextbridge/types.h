/* SPDX-License-Identifier: GPL-2.0-only */
/* stdint's names for a driver, wherever it is compiled: kernel C, freestanding C++, the core, the host. */
#ifndef _KEXTBRIDGE_TYPES_H
#define _KEXTBRIDGE_TYPES_H

#if defined(__KERNEL__) && !defined(__cplusplus)
#include <linux/stddef.h>
#include <linux/types.h>
#elif defined(KEXTBRIDGE_CORE) || defined(KEXTBRIDGE_FREESTANDING)
typedef __INT8_TYPE__ int8_t;
typedef __UINT8_TYPE__ uint8_t;
typedef __INT16_TYPE__ int16_t;
typedef __UINT16_TYPE__ uint16_t;
typedef __INT32_TYPE__ int32_t;
typedef __UINT32_TYPE__ uint32_t;
#ifdef KEXTBRIDGE_FREESTANDING
/* As a driver's %llu wants them, here and where it comes from. */
typedef long long int64_t;
typedef unsigned long long uint64_t;
#else
typedef __INT64_TYPE__ int64_t;
typedef __UINT64_TYPE__ uint64_t;
#endif
typedef __INTPTR_TYPE__ intptr_t;
typedef __UINTPTR_TYPE__ uintptr_t;
typedef __PTRDIFF_TYPE__ ptrdiff_t;
typedef __SIZE_TYPE__ size_t;
#ifndef NULL
#define NULL __null
#endif
#else
#include <stddef.h>
#include <stdint.h>
#endif

#endif
