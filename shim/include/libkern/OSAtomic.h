/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Atomic operations on naturally aligned integers. Those that add or change bits return the value from before.
 *
 * CONTEXT: any.
 * ORDER: each is a full barrier.
 * The address may be that of any integer of the right size, signed or not.
 */
#ifndef _LIBKERN_OSATOMIC_H
#define _LIBKERN_OSATOMIC_H

#include <kextbridge/types.h>
#include <libkern/OSTypes.h>

#ifdef __cplusplus
template <typename To, typename From> static inline volatile To *kextbridge_atomic_at(volatile From *address)
{
	static_assert(sizeof(To) == sizeof(From), "an atomic operation on an integer of another size");
	return (volatile To *)address;
}
#define KEXTBRIDGE_ATOMIC_AT(type, address) kextbridge_atomic_at<type>(address)
#else
#define KEXTBRIDGE_ATOMIC_AT(type, address)                                          \
	({                                                                           \
		_Static_assert(sizeof(type) == sizeof(*(address)),                   \
			       "an atomic operation on an integer of another size"); \
		(type volatile *)(address);                                          \
	})
#endif

#define KEXTBRIDGE_ATOMIC(width, type)                                             \
	static inline type OSAddAtomic##width(type amount, type volatile *address) \
	{                                                                          \
		return __atomic_fetch_add(address, amount, __ATOMIC_SEQ_CST);      \
	}                                                                          \
	static inline type OSIncrementAtomic##width(type volatile *address)        \
	{                                                                          \
		return __atomic_fetch_add(address, 1, __ATOMIC_SEQ_CST);           \
	}                                                                          \
	static inline type OSDecrementAtomic##width(type volatile *address)        \
	{                                                                          \
		return __atomic_fetch_sub(address, 1, __ATOMIC_SEQ_CST);           \
	}
KEXTBRIDGE_ATOMIC(, SInt32)
KEXTBRIDGE_ATOMIC(8, SInt8)
KEXTBRIDGE_ATOMIC(16, SInt16)
KEXTBRIDGE_ATOMIC(64, SInt64)
KEXTBRIDGE_ATOMIC(Long, long)
#undef KEXTBRIDGE_ATOMIC

static inline UInt32 OSBitOrAtomic(UInt32 mask, UInt32 volatile *address)
{
	return __atomic_fetch_or(address, mask, __ATOMIC_SEQ_CST);
}

static inline UInt32 OSBitAndAtomic(UInt32 mask, UInt32 volatile *address)
{
	return __atomic_fetch_and(address, mask, __ATOMIC_SEQ_CST);
}

static inline UInt32 OSBitXorAtomic(UInt32 mask, UInt32 volatile *address)
{
	return __atomic_fetch_xor(address, mask, __ATOMIC_SEQ_CST);
}

/* Stores `to` if there is `from`. Whether it did. */
static inline bool OSCompareAndSwap(UInt32 from, UInt32 to, UInt32 volatile *address)
{
	return __atomic_compare_exchange_n(address, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline bool OSCompareAndSwap64(UInt64 from, UInt64 to, UInt64 volatile *address)
{
	return __atomic_compare_exchange_n(address, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

static inline bool OSCompareAndSwapPtr(void *from, void *to, void *volatile *address)
{
	return __atomic_compare_exchange_n(address, &from, to, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

/* Sets bit 7 - (bit & 7) of the byte at address + bit / 8. Whether it was set already. */
static inline bool OSTestAndSet(UInt32 bit, UInt8 volatile *address)
{
	UInt8 mask = (UInt8)(0x80 >> (bit & 7));

	return __atomic_fetch_or(address + bit / 8, mask, __ATOMIC_SEQ_CST) & mask;
}

/* Clears it. Whether it was clear already. */
static inline bool OSTestAndClear(UInt32 bit, UInt8 volatile *address)
{
	UInt8 mask = (UInt8)(0x80 >> (bit & 7));

	return !(__atomic_fetch_and(address + bit / 8, (UInt8)~mask, __ATOMIC_SEQ_CST) & mask);
}

#define OSAddAtomic(amount, address) OSAddAtomic(amount, KEXTBRIDGE_ATOMIC_AT(SInt32, address))
#define OSAddAtomic8(amount, address) OSAddAtomic8(amount, KEXTBRIDGE_ATOMIC_AT(SInt8, address))
#define OSAddAtomic16(amount, address) OSAddAtomic16(amount, KEXTBRIDGE_ATOMIC_AT(SInt16, address))
#define OSAddAtomic64(amount, address) OSAddAtomic64(amount, KEXTBRIDGE_ATOMIC_AT(SInt64, address))
#define OSAddAtomicLong(amount, address) OSAddAtomicLong(amount, KEXTBRIDGE_ATOMIC_AT(long, address))
#define OSIncrementAtomic(address) OSIncrementAtomic(KEXTBRIDGE_ATOMIC_AT(SInt32, address))
#define OSIncrementAtomic8(address) OSIncrementAtomic8(KEXTBRIDGE_ATOMIC_AT(SInt8, address))
#define OSIncrementAtomic16(address) OSIncrementAtomic16(KEXTBRIDGE_ATOMIC_AT(SInt16, address))
#define OSIncrementAtomic64(address) OSIncrementAtomic64(KEXTBRIDGE_ATOMIC_AT(SInt64, address))
#define OSIncrementAtomicLong(address) OSIncrementAtomicLong(KEXTBRIDGE_ATOMIC_AT(long, address))
#define OSDecrementAtomic(address) OSDecrementAtomic(KEXTBRIDGE_ATOMIC_AT(SInt32, address))
#define OSDecrementAtomic8(address) OSDecrementAtomic8(KEXTBRIDGE_ATOMIC_AT(SInt8, address))
#define OSDecrementAtomic16(address) OSDecrementAtomic16(KEXTBRIDGE_ATOMIC_AT(SInt16, address))
#define OSDecrementAtomic64(address) OSDecrementAtomic64(KEXTBRIDGE_ATOMIC_AT(SInt64, address))
#define OSDecrementAtomicLong(address) OSDecrementAtomicLong(KEXTBRIDGE_ATOMIC_AT(long, address))
#define OSBitOrAtomic(mask, address) OSBitOrAtomic(mask, KEXTBRIDGE_ATOMIC_AT(UInt32, address))
#define OSBitAndAtomic(mask, address) OSBitAndAtomic(mask, KEXTBRIDGE_ATOMIC_AT(UInt32, address))
#define OSBitXorAtomic(mask, address) OSBitXorAtomic(mask, KEXTBRIDGE_ATOMIC_AT(UInt32, address))
#define OSCompareAndSwap(from, to, address) OSCompareAndSwap(from, to, KEXTBRIDGE_ATOMIC_AT(UInt32, address))
#define OSCompareAndSwap64(from, to, address) OSCompareAndSwap64(from, to, KEXTBRIDGE_ATOMIC_AT(UInt64, address))
#define OSCompareAndSwapPtr(from, to, address) OSCompareAndSwapPtr(from, to, KEXTBRIDGE_ATOMIC_AT(void *, address))

/* ORDER: what this CPU has read and written before comes before what it reads and writes after it, for all others. */
static inline void OSMemoryBarrier(void)
{
	__asm__ __volatile__("mfence" ::: "memory");
}

/* The same, devices included. */
static inline void OSSynchronizeIO(void)
{
	OSMemoryBarrier();
}

#endif
