/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Arithmetic and conversions that notice when the result does not fit: STATUS_INTEGER_OVERFLOW, and the result is
 * -1, or the largest value of an unsigned type. At any level.
 */
#ifndef _KMDF_NTINTSAFE_H
#define _KMDF_NTINTSAFE_H

#include "ntdef.h"
#include "ntstatus.h"

#define KMDF_INTSAFE_OPERATION(name, type, operation)           \
	FORCEINLINE NTSTATUS name(type a, type b, type *result) \
	{                                                       \
		if (!operation(a, b, result))                   \
			return STATUS_SUCCESS;                  \
		*result = (type)-1;                             \
		return STATUS_INTEGER_OVERFLOW;                 \
	}
#define KMDF_INTSAFE(name, type)                                             \
	KMDF_INTSAFE_OPERATION(Rtl##name##Add, type, __builtin_add_overflow) \
	KMDF_INTSAFE_OPERATION(Rtl##name##Sub, type, __builtin_sub_overflow) \
	KMDF_INTSAFE_OPERATION(Rtl##name##Mult, type, __builtin_mul_overflow)
KMDF_INTSAFE(UInt8, UINT8)
KMDF_INTSAFE(Short, SHORT)
KMDF_INTSAFE(UShort, USHORT)
KMDF_INTSAFE(Int, INT)
KMDF_INTSAFE(UInt, UINT)
KMDF_INTSAFE(Long, LONG)
KMDF_INTSAFE(ULong, ULONG)
KMDF_INTSAFE(LongLong, LONGLONG)
KMDF_INTSAFE(ULongLong, ULONGLONG)
KMDF_INTSAFE(LongPtr, LONG_PTR)
KMDF_INTSAFE(ULongPtr, ULONG_PTR)
KMDF_INTSAFE(UIntPtr, UINT_PTR)
KMDF_INTSAFE(DWordPtr, DWORD_PTR)
KMDF_INTSAFE(SizeT, SIZE_T)
KMDF_INTSAFE(SSIZET, SSIZE_T)

#define KMDF_INTSAFE_CONVERT(from_name, from, to_name, to)                       \
	FORCEINLINE NTSTATUS Rtl##from_name##To##to_name(from value, to *result) \
	{                                                                        \
		if (!__builtin_add_overflow(value, 0, result))                   \
			return STATUS_SUCCESS;                                   \
		*result = (to)-1;                                                \
		return STATUS_INTEGER_OVERFLOW;                                  \
	}
#define KMDF_INTSAFE_CONVERT_ALL(name, type)                   \
	KMDF_INTSAFE_CONVERT(name, type, UChar, UCHAR)         \
	KMDF_INTSAFE_CONVERT(name, type, UInt8, UINT8)         \
	KMDF_INTSAFE_CONVERT(name, type, Short, SHORT)         \
	KMDF_INTSAFE_CONVERT(name, type, UShort, USHORT)       \
	KMDF_INTSAFE_CONVERT(name, type, Int, INT)             \
	KMDF_INTSAFE_CONVERT(name, type, UInt, UINT)           \
	KMDF_INTSAFE_CONVERT(name, type, Long, LONG)           \
	KMDF_INTSAFE_CONVERT(name, type, ULong, ULONG)         \
	KMDF_INTSAFE_CONVERT(name, type, LongLong, LONGLONG)   \
	KMDF_INTSAFE_CONVERT(name, type, ULongLong, ULONGLONG) \
	KMDF_INTSAFE_CONVERT(name, type, ULongPtr, ULONG_PTR)  \
	KMDF_INTSAFE_CONVERT(name, type, SizeT, SIZE_T)
KMDF_INTSAFE_CONVERT_ALL(Int, INT)
KMDF_INTSAFE_CONVERT_ALL(UInt, UINT)
KMDF_INTSAFE_CONVERT_ALL(Long, LONG)
KMDF_INTSAFE_CONVERT_ALL(ULong, ULONG)
KMDF_INTSAFE_CONVERT_ALL(LongLong, LONGLONG)
KMDF_INTSAFE_CONVERT_ALL(ULongLong, ULONGLONG)
KMDF_INTSAFE_CONVERT_ALL(LongPtr, LONG_PTR)
KMDF_INTSAFE_CONVERT_ALL(ULongPtr, ULONG_PTR)
KMDF_INTSAFE_CONVERT_ALL(SizeT, SIZE_T)

#endif
