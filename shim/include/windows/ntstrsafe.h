/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bounded strings. What is NUL-terminated stays so. Cb counts bytes, Cch characters, of the whole destination.
 * STATUS_BUFFER_OVERFLOW, a warning: cut off to fit; STATUS_INVALID_PARAMETER: the destination has no room at all,
 * or is no string. At any level.
 */
#ifndef _KMDF_NTSTRSAFE_H
#define _KMDF_NTSTRSAFE_H

#include "kmdf_rtl.h"
#include "stdarg.h"

#define NTSTRSAFE_MAX_CCH 2147483647
#define NTSTRSAFE_UNICODE_STRING_MAX_CCH (0xffff / sizeof(WCHAR))

#ifdef __cplusplus
extern "C" {
#endif

/* In kmdf.ko, with the formats of DbgPrint(). */
NTSTATUS RtlStringCbPrintfA(NTSTRSAFE_PSTR pszDest, size_t cbDest, NTSTRSAFE_PCSTR pszFormat, ...);
NTSTATUS RtlStringCbPrintfW(NTSTRSAFE_PWSTR pszDest, size_t cbDest, NTSTRSAFE_PCWSTR pszFormat, ...);
NTSTATUS RtlStringCbVPrintfA(NTSTRSAFE_PSTR pszDest, size_t cbDest, NTSTRSAFE_PCSTR pszFormat,
			     __builtin_va_list argList);
NTSTATUS RtlStringCbVPrintfW(NTSTRSAFE_PWSTR pszDest, size_t cbDest, NTSTRSAFE_PCWSTR pszFormat,
			     __builtin_va_list argList);

/* Sets Length; no NUL. */
NTSTATUS RtlUnicodeStringPrintf(PUNICODE_STRING DestinationString, NTSTRSAFE_PCWSTR pszFormat, ...);

#ifdef __cplusplus
}
#endif

#define RtlStringCchPrintfA(to, count, ...) RtlStringCbPrintfA(to, count, __VA_ARGS__)
#define RtlStringCchPrintfW(to, count, ...) RtlStringCbPrintfW(to, (count) * sizeof(WCHAR), __VA_ARGS__)
#define RtlStringCchVPrintfA(to, count, format, list) RtlStringCbVPrintfA(to, count, format, list)
#define RtlStringCchVPrintfW(to, count, format, list) RtlStringCbVPrintfW(to, (count) * sizeof(WCHAR), format, list)

/* For characters of either kind. most: how many of the source at most. */
#define KMDF_STRSAFE(suffix, type, ptype, pctype)                                                                      \
	FORCEINLINE NTSTATUS kmdf_copy##suffix(ptype to, size_t count, pctype from, size_t most)                       \
	{                                                                                                              \
		size_t i = 0;                                                                                          \
		if (!count || count > NTSTRSAFE_MAX_CCH)                                                               \
			return STATUS_INVALID_PARAMETER;                                                               \
		while (i < most && i < count - 1 && from[i]) {                                                         \
			to[i] = from[i];                                                                               \
			i++;                                                                                           \
		}                                                                                                      \
		to[i] = 0;                                                                                             \
		return i < most && from[i] ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;                                  \
	}                                                                                                              \
	FORCEINLINE NTSTATUS RtlStringCchLength##suffix(pctype psz, size_t cchMax, size_t *pcchLength)                 \
	{                                                                                                              \
		size_t i = 0;                                                                                          \
		while (psz && i < cchMax && psz[i])                                                                    \
			i++;                                                                                           \
		if (pcchLength)                                                                                        \
			*pcchLength = psz && i < cchMax ? i : 0;                                                       \
		return psz && i < cchMax ? STATUS_SUCCESS : STATUS_INVALID_PARAMETER;                                  \
	}                                                                                                              \
	FORCEINLINE NTSTATUS RtlStringCbLength##suffix(pctype psz, size_t cbMax, size_t *pcbLength)                    \
	{                                                                                                              \
		NTSTATUS status = RtlStringCchLength##suffix(psz, cbMax / sizeof(type), pcbLength);                    \
		if (pcbLength)                                                                                         \
			*pcbLength *= sizeof(type);                                                                    \
		return status;                                                                                         \
	}                                                                                                              \
	FORCEINLINE NTSTATUS RtlStringCchCopy##suffix(ptype pszDest, size_t cchDest, pctype pszSrc)                    \
	{                                                                                                              \
		return kmdf_copy##suffix(pszDest, cchDest, pszSrc, MAXSIZE_T);                                         \
	}                                                                                                              \
	FORCEINLINE NTSTATUS RtlStringCbCopy##suffix(ptype pszDest, size_t cbDest, pctype pszSrc)                      \
	{                                                                                                              \
		return kmdf_copy##suffix(pszDest, cbDest / sizeof(type), pszSrc, MAXSIZE_T);                           \
	}                                                                                                              \
	FORCEINLINE NTSTATUS RtlStringCchCopyN##suffix(ptype pszDest, size_t cchDest, pctype pszSrc, size_t cchToCopy) \
	{                                                                                                              \
		return kmdf_copy##suffix(pszDest, cchDest, pszSrc, cchToCopy);                                         \
	}                                                                                                              \
	FORCEINLINE NTSTATUS RtlStringCbCopyN##suffix(ptype pszDest, size_t cbDest, pctype pszSrc, size_t cbToCopy)    \
	{                                                                                                              \
		return kmdf_copy##suffix(pszDest, cbDest / sizeof(type), pszSrc, cbToCopy / sizeof(type));             \
	}                                                                                                              \
	FORCEINLINE NTSTATUS RtlStringCchCatN##suffix(ptype pszDest, size_t cchDest, pctype pszSrc,                    \
						      size_t cchToAppend)                                              \
	{                                                                                                              \
		size_t length;                                                                                         \
		NTSTATUS status = RtlStringCchLength##suffix(pszDest, cchDest, &length);                               \
		if (!NT_SUCCESS(status))                                                                               \
			return status;                                                                                 \
		return kmdf_copy##suffix(pszDest + length, cchDest - length, pszSrc, cchToAppend);                     \
	}                                                                                                              \
	FORCEINLINE NTSTATUS RtlStringCbCatN##suffix(ptype pszDest, size_t cbDest, pctype pszSrc, size_t cbToAppend)   \
	{                                                                                                              \
		return RtlStringCchCatN##suffix(pszDest, cbDest / sizeof(type), pszSrc, cbToAppend / sizeof(type));    \
	}                                                                                                              \
	FORCEINLINE NTSTATUS RtlStringCchCat##suffix(ptype pszDest, size_t cchDest, pctype pszSrc)                     \
	{                                                                                                              \
		return RtlStringCchCatN##suffix(pszDest, cchDest, pszSrc, MAXSIZE_T);                                  \
	}                                                                                                              \
	FORCEINLINE NTSTATUS RtlStringCbCat##suffix(ptype pszDest, size_t cbDest, pctype pszSrc)                       \
	{                                                                                                              \
		return RtlStringCchCatN##suffix(pszDest, cbDest / sizeof(type), pszSrc, MAXSIZE_T);                    \
	}
KMDF_STRSAFE(A, CHAR, NTSTRSAFE_PSTR, NTSTRSAFE_PCSTR)
KMDF_STRSAFE(W, WCHAR, NTSTRSAFE_PWSTR, NTSTRSAFE_PCWSTR)

/* As much of the source as fits behind the first `at` bytes. No NUL. */
FORCEINLINE NTSTATUS kmdf_unicode_put(PUNICODE_STRING to, USHORT at, const WCHAR *from, size_t length)
{
	size_t room = to->MaximumLength - at, fits = length < room ? length : room & ~(size_t)1;

	if (fits)
		__builtin_memmove((PUCHAR)to->Buffer + at, from, fits);
	to->Length = (USHORT)(at + fits);
	return fits < length ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

FORCEINLINE NTSTATUS RtlUnicodeStringCopyString(PUNICODE_STRING DestinationString, NTSTRSAFE_PCWSTR pszSrc)
{
	return kmdf_unicode_put(DestinationString, 0, pszSrc, wcslen(pszSrc) * sizeof(WCHAR));
}

FORCEINLINE NTSTATUS RtlUnicodeStringCopy(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString)
{
	return kmdf_unicode_put(DestinationString, 0, SourceString->Buffer, SourceString->Length);
}

FORCEINLINE NTSTATUS RtlUnicodeStringCatString(PUNICODE_STRING DestinationString, NTSTRSAFE_PCWSTR pszSrc)
{
	return kmdf_unicode_put(DestinationString, DestinationString->Length, pszSrc, wcslen(pszSrc) * sizeof(WCHAR));
}

FORCEINLINE NTSTATUS RtlUnicodeStringCat(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString)
{
	return kmdf_unicode_put(DestinationString, DestinationString->Length, SourceString->Buffer,
				SourceString->Length);
}

#endif
