/* SPDX-License-Identifier: GPL-2.0-only */
/* The Interlocked functions: at any level, atomic, full barriers. */
#ifndef _KMDF_INTERLOCKED_H
#define _KMDF_INTERLOCKED_H

#include "ntdef.h"

/* These return the new value. */
#define KMDF_INTERLOCKED_NEW(name, type, operation)            \
	FORCEINLINE type name(type volatile *Addend)           \
	{                                                      \
		return operation(Addend, 1, __ATOMIC_SEQ_CST); \
	}
KMDF_INTERLOCKED_NEW(InterlockedIncrement, LONG, __atomic_add_fetch)
KMDF_INTERLOCKED_NEW(InterlockedDecrement, LONG, __atomic_sub_fetch)
KMDF_INTERLOCKED_NEW(InterlockedIncrement16, SHORT, __atomic_add_fetch)
KMDF_INTERLOCKED_NEW(InterlockedDecrement16, SHORT, __atomic_sub_fetch)
KMDF_INTERLOCKED_NEW(InterlockedIncrement64, LONG64, __atomic_add_fetch)
KMDF_INTERLOCKED_NEW(InterlockedDecrement64, LONG64, __atomic_sub_fetch)

FORCEINLINE LONG InterlockedAdd(LONG volatile *Addend, LONG Value)
{
	return __atomic_add_fetch(Addend, Value, __ATOMIC_SEQ_CST);
}

FORCEINLINE LONG64 InterlockedAdd64(LONG64 volatile *Addend, LONG64 Value)
{
	return __atomic_add_fetch(Addend, Value, __ATOMIC_SEQ_CST);
}

/* These return the old value. */
#define KMDF_INTERLOCKED_OLD(name, type, operation)                \
	FORCEINLINE type name(type volatile *Target, type Value)   \
	{                                                          \
		return operation(Target, Value, __ATOMIC_SEQ_CST); \
	}
KMDF_INTERLOCKED_OLD(InterlockedExchange, LONG, __atomic_exchange_n)
KMDF_INTERLOCKED_OLD(InterlockedExchange8, CHAR, __atomic_exchange_n)
KMDF_INTERLOCKED_OLD(InterlockedExchange16, SHORT, __atomic_exchange_n)
KMDF_INTERLOCKED_OLD(InterlockedExchange64, LONG64, __atomic_exchange_n)
KMDF_INTERLOCKED_OLD(InterlockedExchangePointer, PVOID, __atomic_exchange_n)
KMDF_INTERLOCKED_OLD(InterlockedExchangeAdd, LONG, __atomic_fetch_add)
KMDF_INTERLOCKED_OLD(InterlockedExchangeAdd64, LONG64, __atomic_fetch_add)
KMDF_INTERLOCKED_OLD(InterlockedAnd, LONG, __atomic_fetch_and)
KMDF_INTERLOCKED_OLD(InterlockedAnd64, LONG64, __atomic_fetch_and)
KMDF_INTERLOCKED_OLD(InterlockedOr, LONG, __atomic_fetch_or)
KMDF_INTERLOCKED_OLD(InterlockedOr64, LONG64, __atomic_fetch_or)
KMDF_INTERLOCKED_OLD(InterlockedXor, LONG, __atomic_fetch_xor)
KMDF_INTERLOCKED_OLD(InterlockedXor64, LONG64, __atomic_fetch_xor)

/* Stores Exchange if *Destination is Comperand; returns what *Destination was. */
#define KMDF_INTERLOCKED_COMPARE(name, type)                                                                           \
	FORCEINLINE type name(type volatile *Destination, type Exchange, type Comperand)                               \
	{                                                                                                              \
		__atomic_compare_exchange_n(Destination, &Comperand, Exchange, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
		return Comperand;                                                                                      \
	}
KMDF_INTERLOCKED_COMPARE(InterlockedCompareExchange, LONG)
KMDF_INTERLOCKED_COMPARE(InterlockedCompareExchange16, SHORT)
KMDF_INTERLOCKED_COMPARE(InterlockedCompareExchange64, LONG64)
KMDF_INTERLOCKED_COMPARE(InterlockedCompareExchangePointer, PVOID)

FORCEINLINE UCHAR InterlockedBitTestAndSet(LONG volatile *Base, LONG Bit)
{
	return (UCHAR)(((ULONG)InterlockedOr(Base + Bit / 32, (LONG)(1u << (Bit & 31))) >> (Bit & 31)) & 1);
}

FORCEINLINE UCHAR InterlockedBitTestAndReset(LONG volatile *Base, LONG Bit)
{
	return (UCHAR)(((ULONG)InterlockedAnd(Base + Bit / 32, (LONG) ~(1u << (Bit & 31))) >> (Bit & 31)) & 1);
}

/* Weaker orders are not told apart. */
#define InterlockedIncrementAcquire InterlockedIncrement
#define InterlockedIncrementRelease InterlockedIncrement
#define InterlockedIncrementNoFence InterlockedIncrement
#define InterlockedDecrementAcquire InterlockedDecrement
#define InterlockedDecrementRelease InterlockedDecrement
#define InterlockedDecrementNoFence InterlockedDecrement
#define InterlockedExchangeNoFence InterlockedExchange
#define InterlockedExchangeAddNoFence InterlockedExchangeAdd
#define InterlockedCompareExchangeAcquire InterlockedCompareExchange
#define InterlockedCompareExchangeRelease InterlockedCompareExchange
#define InterlockedCompareExchangeNoFence InterlockedCompareExchange
#define InterlockedOrNoFence InterlockedOr
#define InterlockedAndNoFence InterlockedAnd
#define _InterlockedIncrement InterlockedIncrement
#define _InterlockedDecrement InterlockedDecrement
#define _InterlockedExchange InterlockedExchange
#define _InterlockedExchangeAdd InterlockedExchangeAdd
#define _InterlockedCompareExchange InterlockedCompareExchange
#define _InterlockedOr InterlockedOr
#define _InterlockedAnd InterlockedAnd
#define InterlockedExchangeAddSizeT(a, b) ((SIZE_T)InterlockedExchangeAdd64((LONG64 *)(a), (LONG64)(b)))
#define InterlockedIncrementSizeT(a) ((SIZE_T)InterlockedIncrement64((LONG64 *)(a)))
#define InterlockedDecrementSizeT(a) ((SIZE_T)InterlockedDecrement64((LONG64 *)(a)))

#define KMDF_READ_WRITE(suffix, type)                                                   \
	FORCEINLINE type Read##suffix##Acquire(type const volatile *Source)             \
	{                                                                               \
		return __atomic_load_n(Source, __ATOMIC_ACQUIRE);                       \
	}                                                                               \
	FORCEINLINE type Read##suffix##NoFence(type const volatile *Source)             \
	{                                                                               \
		return __atomic_load_n(Source, __ATOMIC_RELAXED);                       \
	}                                                                               \
	FORCEINLINE void Write##suffix##Release(type volatile *Destination, type Value) \
	{                                                                               \
		__atomic_store_n(Destination, Value, __ATOMIC_RELEASE);                 \
	}                                                                               \
	FORCEINLINE void Write##suffix##NoFence(type volatile *Destination, type Value) \
	{                                                                               \
		__atomic_store_n(Destination, Value, __ATOMIC_RELAXED);                 \
	}
KMDF_READ_WRITE(, LONG)
KMDF_READ_WRITE(64, LONG64)
KMDF_READ_WRITE(ULong, ULONG)
KMDF_READ_WRITE(Pointer, PVOID)

#define KeMemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define MemoryBarrier() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define KeMemoryBarrierWithoutFence() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define _ReadWriteBarrier() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#if defined(__x86_64__)
#define YieldProcessor() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define YieldProcessor() __asm__ volatile("yield" ::: "memory")
#else
#define YieldProcessor() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#endif

#endif
