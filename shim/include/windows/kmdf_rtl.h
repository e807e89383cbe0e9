/* SPDX-License-Identifier: GPL-2.0-only */
/* Run-time library of Windows drivers: memory, lists and counted strings. All of it is inline, at any level. */
#ifndef _KMDF_RTL_H
#define _KMDF_RTL_H

#include "ntdef.h"
#include "ntstatus.h"
#include "string.h"

#define RtlCopyMemory(to, from, length) __builtin_memcpy((to), (from), (length))
#define RtlMoveMemory(to, from, length) __builtin_memmove((to), (from), (length))
#define RtlZeroMemory(to, length) __builtin_memset((to), 0, (length))
#define RtlFillMemory(to, length, value) __builtin_memset((to), (value), (length))
#define RtlEqualMemory(a, b, length) (!__builtin_memcmp((a), (b), (length)))
#define RtlCopyBytes RtlCopyMemory
#define RtlZeroBytes RtlZeroMemory
#define RtlFillBytes RtlFillMemory

/* How many bytes are equal from the start on. */
FORCEINLINE SIZE_T RtlCompareMemory(const void *Source1, const void *Source2, SIZE_T Length)
{
	const UCHAR *a = (const UCHAR *)Source1, *b = (const UCHAR *)Source2;
	SIZE_T i = 0;

	while (i < Length && a[i] == b[i])
		i++;
	return i;
}

/* Is not optimized away. */
FORCEINLINE PVOID RtlSecureZeroMemory(PVOID ptr, SIZE_T cnt)
{
	__builtin_memset(ptr, 0, cnt);
	__asm__ volatile("" : : "r"(ptr) : "memory");
	return ptr;
}

FORCEINLINE VOID InitializeListHead(PLIST_ENTRY ListHead)
{
	ListHead->Flink = ListHead->Blink = ListHead;
}

FORCEINLINE BOOLEAN IsListEmpty(const LIST_ENTRY *ListHead)
{
	return ListHead->Flink == ListHead;
}

/* TRUE if the list is empty now. */
FORCEINLINE BOOLEAN RemoveEntryList(PLIST_ENTRY Entry)
{
	PLIST_ENTRY next = Entry->Flink, previous = Entry->Blink;

	previous->Flink = next;
	next->Blink = previous;
	return next == previous;
}

/* The head itself if the list is empty. */
FORCEINLINE PLIST_ENTRY RemoveHeadList(PLIST_ENTRY ListHead)
{
	PLIST_ENTRY entry = ListHead->Flink;

	RemoveEntryList(entry);
	return entry;
}

FORCEINLINE PLIST_ENTRY RemoveTailList(PLIST_ENTRY ListHead)
{
	PLIST_ENTRY entry = ListHead->Blink;

	RemoveEntryList(entry);
	return entry;
}

FORCEINLINE VOID InsertTailList(PLIST_ENTRY ListHead, PLIST_ENTRY Entry)
{
	Entry->Flink = ListHead;
	Entry->Blink = ListHead->Blink;
	ListHead->Blink->Flink = Entry;
	ListHead->Blink = Entry;
}

FORCEINLINE VOID InsertHeadList(PLIST_ENTRY ListHead, PLIST_ENTRY Entry)
{
	InsertTailList(ListHead->Flink, Entry);
}

FORCEINLINE VOID AppendTailList(PLIST_ENTRY ListHead, PLIST_ENTRY ListToAppend)
{
	PLIST_ENTRY end = ListHead->Blink;

	end->Flink = ListToAppend;
	ListHead->Blink = ListToAppend->Blink;
	ListToAppend->Blink->Flink = ListHead;
	ListToAppend->Blink = end;
}

FORCEINLINE PSINGLE_LIST_ENTRY PopEntryList(PSINGLE_LIST_ENTRY ListHead)
{
	PSINGLE_LIST_ENTRY entry = ListHead->Next;

	if (entry)
		ListHead->Next = entry->Next;
	return entry;
}

FORCEINLINE VOID PushEntryList(PSINGLE_LIST_ENTRY ListHead, PSINGLE_LIST_ENTRY Entry)
{
	Entry->Next = ListHead->Next;
	ListHead->Next = Entry;
}

/* Counted strings. */
#ifdef __cplusplus
constexpr PWCH kmdf_string(const WCHAR *string)
{
	return const_cast<PWCH>(string);
}

constexpr PCHAR kmdf_string(const CHAR *string)
{
	return const_cast<PCHAR>(string);
}
#else
#define kmdf_string(string) (string)
#endif
#define RTL_CONSTANT_STRING(s)                                        \
	{                                                             \
		sizeof(s) - sizeof((s)[0]), sizeof(s), kmdf_string(s) \
	}
#define DECLARE_CONST_UNICODE_STRING(name, string) \
	const WCHAR name##_buffer[] = string;      \
	const UNICODE_STRING name = {sizeof(string) - sizeof(WCHAR), sizeof(string), (PWCH)name##_buffer}
#define DECLARE_GLOBAL_CONST_UNICODE_STRING(name, string)              \
	KMDF_EXTERN_C const UNICODE_STRING name __attribute__((weak)); \
	const UNICODE_STRING name = {sizeof(string) - sizeof(WCHAR), sizeof(string), (PWCH)(string)}
#define DECLARE_UNICODE_STRING_SIZE(name, size) \
	WCHAR name##_buffer[size];              \
	UNICODE_STRING name = {0, (size) * sizeof(WCHAR), name##_buffer}

/* The string is not copied, and its first 32766 characters are all that is seen. NULL makes an empty one. */
FORCEINLINE VOID RtlInitUnicodeString(PUNICODE_STRING DestinationString, PCWSTR SourceString)
{
	size_t length = SourceString ? wcslen(SourceString) * sizeof(WCHAR) : 0;

	if (length > UNICODE_STRING_MAX_BYTES - sizeof(WCHAR))
		length = UNICODE_STRING_MAX_BYTES - sizeof(WCHAR);
	DestinationString->Length = (USHORT)length;
	DestinationString->MaximumLength = SourceString ? (USHORT)(length + sizeof(WCHAR)) : 0;
	DestinationString->Buffer = (PWCH)SourceString;
}

FORCEINLINE VOID RtlInitEmptyUnicodeString(PUNICODE_STRING UnicodeString, PWCHAR Buffer, USHORT BufferSize)
{
	UnicodeString->Length = 0;
	UnicodeString->MaximumLength = BufferSize;
	UnicodeString->Buffer = Buffer;
}

/* As RtlInitUnicodeString(), with STATUS_INVALID_PARAMETER for what is too long. */
FORCEINLINE NTSTATUS RtlUnicodeStringInit(PUNICODE_STRING DestinationString, PCWSTR SourceString)
{
	if (SourceString && wcslen(SourceString) >= UNICODE_STRING_MAX_CHARS)
		return STATUS_INVALID_PARAMETER;
	RtlInitUnicodeString(DestinationString, SourceString);
	return STATUS_SUCCESS;
}

FORCEINLINE VOID RtlInitAnsiString(PANSI_STRING DestinationString, PCSZ SourceString)
{
	size_t length = SourceString ? __builtin_strlen(SourceString) : 0;

	if (length > MAXUSHORT - 1)
		length = MAXUSHORT - 1;
	DestinationString->Length = (USHORT)length;
	DestinationString->MaximumLength = SourceString ? (USHORT)(length + 1) : 0;
	DestinationString->Buffer = (PCHAR)SourceString;
}
#define RtlInitString RtlInitAnsiString

/* As much as fits; a NUL after it if that fits too. A NULL source empties the string. */
FORCEINLINE VOID RtlCopyUnicodeString(PUNICODE_STRING DestinationString, PCUNICODE_STRING SourceString)
{
	USHORT length = SourceString ? SourceString->Length : 0;

	if (length > DestinationString->MaximumLength)
		length = DestinationString->MaximumLength;
	if (length)
		__builtin_memmove(DestinationString->Buffer, SourceString->Buffer, length);
	DestinationString->Length = length;
	if (length + sizeof(WCHAR) <= DestinationString->MaximumLength)
		DestinationString->Buffer[length / sizeof(WCHAR)] = UNICODE_NULL;
}

/* STATUS_BUFFER_TOO_SMALL, and nothing appended, if it does not fit. */
FORCEINLINE NTSTATUS RtlAppendUnicodeStringToString(PUNICODE_STRING Destination, PCUNICODE_STRING Source)
{
	ULONG length = (ULONG)Destination->Length + Source->Length;

	if (length > Destination->MaximumLength)
		return STATUS_BUFFER_TOO_SMALL;
	__builtin_memmove((PUCHAR)Destination->Buffer + Destination->Length, Source->Buffer, Source->Length);
	Destination->Length = (USHORT)length;
	if (length + sizeof(WCHAR) <= Destination->MaximumLength)
		Destination->Buffer[length / sizeof(WCHAR)] = UNICODE_NULL;
	return STATUS_SUCCESS;
}

FORCEINLINE NTSTATUS RtlAppendUnicodeToString(PUNICODE_STRING Destination, PCWSTR Source)
{
	UNICODE_STRING source;
	NTSTATUS status = RtlUnicodeStringInit(&source, Source);

	return NT_SUCCESS(status) ? RtlAppendUnicodeStringToString(Destination, &source) : STATUS_BUFFER_TOO_SMALL;
}

/* Of ASCII only. */
FORCEINLINE WCHAR RtlUpcaseUnicodeChar(WCHAR SourceCharacter)
{
	return (WCHAR)(SourceCharacter >= 'a' && SourceCharacter <= 'z' ? SourceCharacter - 'a' + 'A' :
									  SourceCharacter);
}

FORCEINLINE WCHAR RtlDowncaseUnicodeChar(WCHAR SourceCharacter)
{
	return (WCHAR)(SourceCharacter >= 'A' && SourceCharacter <= 'Z' ? SourceCharacter - 'A' + 'a' :
									  SourceCharacter);
}

/* Negative, 0 or positive. CaseInSensitive looks at ASCII letters. */
FORCEINLINE LONG RtlCompareUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive)
{
	USHORT n1 = String1->Length / sizeof(WCHAR), n2 = String2->Length / sizeof(WCHAR), i;

	for (i = 0; i < n1 && i < n2; i++) {
		WCHAR a = String1->Buffer[i], b = String2->Buffer[i];

		if (CaseInSensitive) {
			a = RtlUpcaseUnicodeChar(a);
			b = RtlUpcaseUnicodeChar(b);
		}
		if (a != b)
			return (LONG)a - (LONG)b;
	}
	return (LONG)n1 - (LONG)n2;
}

FORCEINLINE BOOLEAN RtlEqualUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive)
{
	return String1->Length == String2->Length && RtlCompareUnicodeString(String1, String2, CaseInSensitive) == 0;
}

FORCEINLINE BOOLEAN RtlPrefixUnicodeString(PCUNICODE_STRING String1, PCUNICODE_STRING String2, BOOLEAN CaseInSensitive)
{
	UNICODE_STRING start = *String2;

	if (start.Length < String1->Length)
		return FALSE;
	start.Length = String1->Length;
	return RtlEqualUnicodeString(String1, &start, CaseInSensitive);
}

FORCEINLINE USHORT RtlUshortByteSwap(USHORT Source)
{
	return __builtin_bswap16(Source);
}

FORCEINLINE ULONG RtlUlongByteSwap(ULONG Source)
{
	return __builtin_bswap32(Source);
}

FORCEINLINE ULONGLONG RtlUlonglongByteSwap(ULONGLONG Source)
{
	return __builtin_bswap64(Source);
}

#endif
