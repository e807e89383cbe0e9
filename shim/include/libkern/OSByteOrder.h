/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Byte order: swapping, reading and writing integers at base + offset in bytes, which need not be aligned. This host is
 * little endian. CONTEXT: any.
 */
#ifndef _LIBKERN_OSBYTEORDER_H
#define _LIBKERN_OSBYTEORDER_H

#include <kextbridge/types.h>

enum { OSUnknownByteOrder, OSLittleEndian, OSBigEndian };

static inline int OSHostByteOrder(void)
{
	return OSLittleEndian;
}

#define OSSwapInt16(x) ((uint16_t)__builtin_bswap16((uint16_t)(x)))
#define OSSwapInt32(x) ((uint32_t)__builtin_bswap32((uint32_t)(x)))
#define OSSwapInt64(x) ((uint64_t)__builtin_bswap64((uint64_t)(x)))
/* Each of these is a constant when x is. */
#define OSSwapConstInt16(x) OSSwapInt16(x)
#define OSSwapConstInt32(x) OSSwapInt32(x)
#define OSSwapConstInt64(x) OSSwapInt64(x)

#define KEXTBRIDGE_BYTE_ORDER(bits)                                                                             \
	struct kextbridge_unaligned##bits {                                                                     \
		uint##bits##_t value;                                                                           \
	} __attribute__((packed, may_alias));                                                                   \
	static inline uint##bits##_t OSReadLittleInt##bits(const volatile void *base, uintptr_t offset)         \
	{                                                                                                       \
		return ((const volatile struct kextbridge_unaligned##bits *)((uintptr_t)base + offset))->value; \
	}                                                                                                       \
	static inline uint##bits##_t OSReadBigInt##bits(const volatile void *base, uintptr_t offset)            \
	{                                                                                                       \
		return OSSwapInt##bits(OSReadLittleInt##bits(base, offset));                                    \
	}                                                                                                       \
	static inline void OSWriteLittleInt##bits(volatile void *base, uintptr_t offset, uint##bits##_t data)   \
	{                                                                                                       \
		((volatile struct kextbridge_unaligned##bits *)((uintptr_t)base + offset))->value = data;       \
	}                                                                                                       \
	static inline void OSWriteBigInt##bits(volatile void *base, uintptr_t offset, uint##bits##_t data)      \
	{                                                                                                       \
		OSWriteLittleInt##bits(base, offset, OSSwapInt##bits(data));                                    \
	}                                                                                                       \
	static inline uint##bits##_t OSReadSwapInt##bits(const volatile void *base, uintptr_t offset)           \
	{                                                                                                       \
		return OSReadBigInt##bits(base, offset);                                                        \
	}                                                                                                       \
	static inline void OSWriteSwapInt##bits(volatile void *base, uintptr_t offset, uint##bits##_t data)     \
	{                                                                                                       \
		OSWriteBigInt##bits(base, offset, data);                                                        \
	}
KEXTBRIDGE_BYTE_ORDER(16)
KEXTBRIDGE_BYTE_ORDER(32)
KEXTBRIDGE_BYTE_ORDER(64)
#undef KEXTBRIDGE_BYTE_ORDER

#define OSSwapHostToLittleInt16(x) ((uint16_t)(x))
#define OSSwapHostToLittleInt32(x) ((uint32_t)(x))
#define OSSwapHostToLittleInt64(x) ((uint64_t)(x))
#define OSSwapLittleToHostInt16(x) ((uint16_t)(x))
#define OSSwapLittleToHostInt32(x) ((uint32_t)(x))
#define OSSwapLittleToHostInt64(x) ((uint64_t)(x))
#define OSSwapHostToBigInt16(x) OSSwapInt16(x)
#define OSSwapHostToBigInt32(x) OSSwapInt32(x)
#define OSSwapHostToBigInt64(x) OSSwapInt64(x)
#define OSSwapBigToHostInt16(x) OSSwapInt16(x)
#define OSSwapBigToHostInt32(x) OSSwapInt32(x)
#define OSSwapBigToHostInt64(x) OSSwapInt64(x)

#define OSSwapHostToLittleConstInt16(x) ((uint16_t)(x))
#define OSSwapHostToLittleConstInt32(x) ((uint32_t)(x))
#define OSSwapHostToLittleConstInt64(x) ((uint64_t)(x))
#define OSSwapLittleToHostConstInt16(x) ((uint16_t)(x))
#define OSSwapLittleToHostConstInt32(x) ((uint32_t)(x))
#define OSSwapLittleToHostConstInt64(x) ((uint64_t)(x))
#define OSSwapHostToBigConstInt16(x) OSSwapInt16(x)
#define OSSwapHostToBigConstInt32(x) OSSwapInt32(x)
#define OSSwapHostToBigConstInt64(x) OSSwapInt64(x)
#define OSSwapBigToHostConstInt16(x) OSSwapInt16(x)
#define OSSwapBigToHostConstInt32(x) OSSwapInt32(x)
#define OSSwapBigToHostConstInt64(x) OSSwapInt64(x)

#endif
