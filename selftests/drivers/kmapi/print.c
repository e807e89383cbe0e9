// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The formats of Windows, as the kernel's compiler passes their arguments. */
#include "kmapi.h"

static BOOLEAN IsText(NTSTATUS Status, PCSTR Text, PCSTR Wanted)
{
	return NT_SUCCESS(Status) && !strcmp(Text, Wanted);
}

#define TEXT(wanted, ...) CHECK(IsText(RtlStringCbPrintfA(text, sizeof(text), __VA_ARGS__), text, wanted))

static NTSTATUS ListA(PSTR To, size_t Room, PCSTR Format, ...)
{
	NTSTATUS status;
	va_list list;

	va_start(list, Format);
	status = RtlStringCbVPrintfA(To, Room, Format, list);
	va_end(list);
	return status;
}

static NTSTATUS ListW(PWSTR To, size_t Room, PCWSTR Format, ...)
{
	NTSTATUS status;
	va_list list;

	va_start(list, Format);
	status = RtlStringCbVPrintfW(To, Room, Format, list);
	va_end(list);
	return status;
}

static VOID Log(PCSTR Format, ...)
{
	va_list list;

	va_start(list, Format);
	vDbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, Format, list);
	va_end(list);
}

VOID ApiPrint(PRESULT Result)
{
	UNICODE_STRING counted = RTL_CONSTANT_STRING(L"xyz"), nothing = {0, 0, NULL};
	static const CHAR unended[2] = {'a', 'b'};
	ANSI_STRING bytes = {2, 2, (PCHAR)unended};
	CHAR text[80];

	counted.Length = 4;
	TEXT("", "");
	TEXT("-1 7 ff 17 %", "%d %u %x %o %%", -1, 7u, 0xffu, 15);
	TEXT("-1 4294967295", "%ld %lu", (LONG)-1, (ULONG)~0u);
	TEXT("-1 -2 1099511627776", "%I64d %lld %Iu", (LONGLONG)-1, (LONGLONG)-2, (SIZE_T)1 << 40);
	TEXT("5 6 7 8", "%I32d %zu %i %Ii", 5, (SIZE_T)6, 7, (LONG_PTR)8);
	TEXT("-32768 ffff", "%hd %hx", 0x18000, 0xfffff);
	TEXT("00000abc|12    |+3| 3|0x1f|0XAB|005|   9|", "%08x|%-6d|%+d|% d|%#x|%#X|%.3d|%*d|", 0xabc, 12, 3, 3, 0x1f,
	     0xab, 5, 4, 9);
	TEXT("9   |01|017|  007||0x0000001f", "%-*d|%.*d|%#o|%5.3d|%.0d|%#010x", 4, 9, 2, 1, 15, 7, 0, 0x1f);
	TEXT("4   |9", "%*d|%.*d", -4, 4, -1, 9);
	TEXT("a b c xy", "%s %ws %S %wZ", "a", L"b", L"c", &counted);
	TEXT("ab|  xy|x|(null)", "%Z|%4wZ|%.1wZ|%wZ", &bytes, &counted, &counted, &nothing);
	TEXT("ab|  ab|z  |ab  |", "%.2s|%4s|%-3c|%-4s|", unended, "ab", 'z', "ab");
	TEXT("(null) (null)", "%s %ws", (PCSTR)NULL, (PCWSTR)NULL);
	TEXT("x y ?", "%C %wc %S", L'x', L'y', L"\x125");
	TEXT("a b", "%hs %hc", "a", 'b');
	TEXT("w", "%lc", L'w');
	/* What the kernel's log would show of it: as long, but another number. */
	EQUAL(STATUS_SUCCESS, RtlStringCbPrintfA(text, sizeof(text), "%p", Result));
	EQUAL(16, strlen(text));
	/* What cannot be known ends the line. */
	TEXT("a ", "a %y b");
	TEXT("18446744073709551615 8000000000000000", "%llu %llx", ~0ull, 1ull << 63);
	TEXT("-9223372036854775808", "%I64d", (LONGLONG)(1ull << 63));
	/* What just fits is not cut; what does not, says so. */
	EQUAL(STATUS_SUCCESS, RtlStringCbPrintfA(text, 4, "%s", "abc"));
	EQUAL(STATUS_BUFFER_OVERFLOW, RtlStringCbPrintfA(text, 4, "%s", "abcd"));
	CHECK(!strcmp(text, "abc"));
	EQUAL(STATUS_BUFFER_OVERFLOW, RtlStringCbPrintfA(text, 4, "%d", 12345));
	CHECK(!strcmp(text, "123"));
	EQUAL(STATUS_BUFFER_OVERFLOW, RtlStringCbPrintfA(text, 4, "%9d", 1));
	EQUAL(STATUS_BUFFER_OVERFLOW, RtlStringCbPrintfA(text, 4, "%-9d|", 1));
	EQUAL(STATUS_INVALID_PARAMETER, RtlStringCbPrintfA(text, 0, "x"));
	EQUAL(STATUS_INVALID_PARAMETER, RtlStringCbPrintfA(text, (size_t)NTSTRSAFE_MAX_CCH + 1, "x"));
	EQUAL(STATUS_INVALID_PARAMETER, RtlStringCbPrintfA(NULL, 4, "x"));
	EQUAL(STATUS_INVALID_PARAMETER, RtlStringCbPrintfA(text, 4, NULL));
	EQUAL(STATUS_SUCCESS, ListA(text, sizeof(text), "%d-%s", 12, "x"));
	CHECK(!strcmp(text, "12-x"));
	EQUAL(STATUS_BUFFER_OVERFLOW, ListA(text, 3, "%d-%s", 12, "x"));
	EQUAL(STATUS_INVALID_PARAMETER, ListA(NULL, 3, "%d", 1));
	EQUAL(STATUS_INVALID_PARAMETER, ListA(text, 0, "%d", 1));
	EQUAL(STATUS_INVALID_PARAMETER, ListA(text, 3, NULL));
	EQUAL(STATUS_INVALID_PARAMETER, ListA(text, (size_t)NTSTRSAFE_MAX_CCH + 1, "x"));
	Log("kmapi: %s\n\n", "from a list");
	Log("\n");
	DbgPrint("kmapi: %s has %d words\n", "this line", 5);
	DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_INFO_LEVEL, "kmapi: and %wZ\n\n", &counted);
}

static BOOLEAN IsWide(NTSTATUS Status, PCWSTR Text, PCWSTR Wanted)
{
	while (*Text && *Text == *Wanted) {
		Text++;
		Wanted++;
	}
	return NT_SUCCESS(Status) && *Text == *Wanted;
}

#define WIDE(wanted, ...) CHECK(IsWide(RtlStringCbPrintfW(text, sizeof(text), __VA_ARGS__), text, wanted))

VOID ApiPrintWide(PRESULT Result)
{
	UNICODE_STRING counted = RTL_CONSTANT_STRING(L"xyz"), string, nothing = {0, 0, NULL};
	static const WCHAR unended[2] = {'a', 'b'};
	ANSI_STRING bytes = RTL_CONSTANT_STRING("ab");
	WCHAR text[80];

	counted.Length = 4;
	WIDE(L"", L"");
	WIDE(L"-1 7 ff 17 %", L"%d %u %x %o %%", -1, 7u, 0xffu, 15);
	WIDE(L"-1 4294967295", L"%ld %lu", (LONG)-1, (ULONG)~0u);
	WIDE(L"-1 -2 1099511627776", L"%I64d %lld %Iu", (LONGLONG)-1, (LONGLONG)-2, (SIZE_T)1 << 40);
	WIDE(L"5 6 7 8", L"%I32d %zu %i %Ii", 5, (SIZE_T)6, 7, (LONG_PTR)8);
	WIDE(L"-32768 ffff", L"%hd %hx", 0x18000, 0xfffff);
	WIDE(L"00000abc|12    |+3| 3|0x1f|0XAB|005|   9|", L"%08x|%-6d|%+d|% d|%#x|%#X|%.3d|%*d|", 0xabc, 12, 3, 3,
	     0x1f, 0xab, 5, 4, 9);
	WIDE(L"9   |01|017|  007||0x0000001f", L"%-*d|%.*d|%#o|%5.3d|%.0d|%#010x", 4, 9, 2, 1, 15, 7, 0, 0x1f);
	WIDE(L"4   |9", L"%*d|%.*d", -4, 4, -1, 9);
	WIDE(L"a b c d xy", L"%s %hs %S %ws %wZ", L"a", "b", "c", L"d", &counted);
	WIDE(L"ab|  xy|x|(null)", L"%Z|%4wZ|%.1wZ|%wZ", &bytes, &counted, &counted, &nothing);
	WIDE(L"ab|  ab|z  |ab  |", L"%.2s|%4s|%-3c|%-4s|", unended, L"ab", L'z', L"ab");
	WIDE(L"(null) (null)", L"%s %hs", (PCWSTR)NULL, (PCSTR)NULL);
	WIDE(L"x y z", L"%C %wc %hc", 'x', L'y', 'z');
	WIDE(L"ab|  ab|", L"%.2hs|%4hs|", "abc", "ab");
	EQUAL(STATUS_SUCCESS, RtlStringCbPrintfW(text, sizeof(text), L"%p", Result));
	CHECK(text[15] && !text[16]);
	WIDE(L"a ", L"a %y b");
	WIDE(L"\x125\x64 \xe9 \x125", L"\x125\x64 \xe9 %s", L"\x125");
	WIDE(L"18446744073709551615 8000000000000000", L"%llu %llx", ~0ull, 1ull << 63);
	EQUAL(STATUS_SUCCESS, RtlStringCbPrintfW(text, 8, L"%s", L"abc"));
	EQUAL(STATUS_BUFFER_OVERFLOW, RtlStringCbPrintfW(text, 8, L"%s", L"abcd"));
	EQUAL(STATUS_BUFFER_OVERFLOW, RtlStringCbPrintfW(text, 8, L"%hs", "abcd"));
	EQUAL(STATUS_BUFFER_OVERFLOW, RtlStringCbPrintfW(text, 8, L"%9d", 1));
	EQUAL(STATUS_BUFFER_OVERFLOW, RtlStringCbPrintfW(text, 8, L"%-9d|", 1));
	EQUAL(STATUS_INVALID_PARAMETER, RtlStringCbPrintfW(text, 1, L"x"));
	EQUAL(STATUS_INVALID_PARAMETER,
	      RtlStringCbPrintfW(text, ((size_t)NTSTRSAFE_MAX_CCH + 1) * sizeof(WCHAR), L"x"));
	EQUAL(STATUS_INVALID_PARAMETER, RtlStringCbPrintfW(NULL, 8, L"x"));
	EQUAL(STATUS_INVALID_PARAMETER, RtlStringCbPrintfW(text, 8, NULL));
	EQUAL(STATUS_SUCCESS, ListW(text, sizeof(text), L"%d-%s", 12, L"x"));
	CHECK(IsWide(STATUS_SUCCESS, text, L"12-x"));
	EQUAL(STATUS_BUFFER_OVERFLOW, ListW(text, 6, L"%d-%s", 12, L"x"));
	EQUAL(STATUS_INVALID_PARAMETER, ListW(NULL, 6, L"%d", 1));
	EQUAL(STATUS_INVALID_PARAMETER, ListW(text, 1, L"%d", 1));
	EQUAL(STATUS_INVALID_PARAMETER, ListW(text, 6, NULL));
	EQUAL(STATUS_INVALID_PARAMETER, ListW(text, ((size_t)NTSTRSAFE_MAX_CCH + 1) * sizeof(WCHAR), L"x"));
	string.Buffer = text;
	string.Length = 0;
	string.MaximumLength = 6;
	EQUAL(STATUS_SUCCESS, RtlUnicodeStringPrintf(&string, L"%d", 123));
	EQUAL(6, string.Length);
	EQUAL(STATUS_BUFFER_OVERFLOW, RtlUnicodeStringPrintf(&string, L"%d", 1234));
	EQUAL(6, string.Length);
}

/* ---- all that can be combined, and cut at each place */

enum { Number, Letter, WideLetter, Text, WideText, Counted, WideCounted };

/* The same in both kinds of string. */
static const struct {
	PCSTR Conversion;
	int Takes;
} Conversions[] = {
	{"d", Number},      {"u", Number},   {"x", Number},    {"X", Number},  {"o", Number},       {"i", Number},
	{"I64d", Number},   {"llx", Number}, {"hd", Number},   {"hx", Number}, {"p", Number},       {"hc", Letter},
	{"wc", WideLetter}, {"hs", Text},    {"ws", WideText}, {"Z", Counted}, {"wZ", WideCounted},
};
static const CHAR *const Flags[] = {"", "-", "+", " ", "#", "0", "-#", "+0", "#0"};
static const CHAR *const Widths[] = {"", "7", "19"};
static const CHAR *const Precisions[] = {"", ".0", ".2", ".9"};
static const ULONGLONG Numbers[] = {0, 5, 0xfedc, (ULONGLONG)-3};

static NTSTATUS Narrow(PSTR To, size_t Room, PCSTR Format, int Takes, ULONGLONG Number)
{
	static UNICODE_STRING wide = RTL_CONSTANT_STRING(L"wide");
	static ANSI_STRING narrow = RTL_CONSTANT_STRING("narrow");

	switch (Takes) {
	case Letter:
	case WideLetter:
		return RtlStringCbPrintfA(To, Room, Format, 'l');
	case Text:
		return RtlStringCbPrintfA(To, Room, Format, "text");
	case WideText:
		return RtlStringCbPrintfA(To, Room, Format, L"texts");
	case Counted:
		return RtlStringCbPrintfA(To, Room, Format, &narrow);
	case WideCounted:
		return RtlStringCbPrintfA(To, Room, Format, &wide);
	}
	return RtlStringCbPrintfA(To, Room, Format, Number);
}

static NTSTATUS Wide(PWSTR To, size_t Room, PCWSTR Format, int Takes, ULONGLONG Number)
{
	static UNICODE_STRING wide = RTL_CONSTANT_STRING(L"wide");
	static ANSI_STRING narrow = RTL_CONSTANT_STRING("narrow");

	Room *= sizeof(WCHAR);
	switch (Takes) {
	case Letter:
	case WideLetter:
		return RtlStringCbPrintfW(To, Room, Format, 'l');
	case Text:
		return RtlStringCbPrintfW(To, Room, Format, "text");
	case WideText:
		return RtlStringCbPrintfW(To, Room, Format, L"texts");
	case Counted:
		return RtlStringCbPrintfW(To, Room, Format, &narrow);
	case WideCounted:
		return RtlStringCbPrintfW(To, Room, Format, &wide);
	}
	return RtlStringCbPrintfW(To, Room, Format, Number);
}

/* The first Length are the same, and then it ends. */
static BOOLEAN Begins(PCSTR Text, PCWSTR WideText, PCSTR Whole, size_t Length)
{
	for (size_t i = 0; i < Length; i++) {
		if (Text[i] != Whole[i] || WideText[i] != (WCHAR)Whole[i])
			return FALSE;
	}
	return !Text[Length] && !WideText[Length];
}

static VOID CutOne(PRESULT Result, PCSTR Format, int Takes, ULONGLONG Number)
{
	WCHAR wideFormat[20], wideText[40];
	CHAR whole[40], text[40];
	size_t length, i = 0;

	do
		wideFormat[i] = (WCHAR)Format[i];
	while (Format[i++]);
	EQUAL(STATUS_SUCCESS, Narrow(whole, sizeof(whole), Format, Takes, Number));
	length = strlen(whole);
	for (size_t room = 1; room <= length + 1; room++) {
		NTSTATUS wanted = room > length ? STATUS_SUCCESS : STATUS_BUFFER_OVERFLOW;

		EQUAL(wanted, Narrow(text, room, Format, Takes, Number));
		EQUAL(wanted, Wide(wideText, room, wideFormat, Takes, Number));
		CHECK(Begins(text, wideText, whole, room - 1));
	}
}

VOID ApiPrintCut(PRESULT Result)
{
	CHAR format[20];

	for (size_t conversion = 0; conversion < ARRAYSIZE(Conversions); conversion++) {
		for (size_t i = 0; i < ARRAYSIZE(Flags) * ARRAYSIZE(Widths) * ARRAYSIZE(Precisions); i++) {
			size_t flags = i % ARRAYSIZE(Flags), rest = i / ARRAYSIZE(Flags);

			EQUAL(STATUS_SUCCESS,
			      RtlStringCbPrintfA(format, sizeof(format), "<%%%s%s%s%s>", Flags[flags],
						 Widths[rest % ARRAYSIZE(Widths)], Precisions[rest / ARRAYSIZE(Widths)],
						 Conversions[conversion].Conversion));
			for (size_t n = 0; n < ARRAYSIZE(Numbers); n++) {
				if (!n || Conversions[conversion].Takes == Number)
					CutOne(Result, format, Conversions[conversion].Takes, Numbers[n]);
			}
		}
	}
}
