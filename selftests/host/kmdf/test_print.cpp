// SPDX-License-Identifier: GPL-2.0-only
// The formats of Windows. selftests/fuzz/kmdf_print.cpp has all of them; here is what each was once wrong in.
#include "kit.hpp"

#define _KMDF_STDARG_H // the compiler's own
#include "windows/ntstrsafe.h"

namespace {

class Print : public Kmdf {};

template <typename... T> std::string narrow(const char *format, T... arguments)
{
	char text[64];

	EXPECT_EQ(RtlStringCbPrintfA(text, sizeof(text), format, arguments...), STATUS_SUCCESS) << format;
	return text;
}

template <typename... T> std::u16string wide(const WCHAR *format, T... arguments)
{
	WCHAR text[64];

	EXPECT_EQ(RtlStringCbPrintfW(text, sizeof(text), format, arguments...), STATUS_SUCCESS);
	return text;
}

} // namespace

TEST_F(Print, numbers_have_windows_sizes)
{
	EXPECT_EQ(narrow("%d %u %x", -1, 7u, 0xffu), "-1 7 ff");
	EXPECT_EQ(narrow("%ld %lu", -1, 0xffffffffu), "-1 4294967295");
	EXPECT_EQ(narrow("%I64d %lld %Iu", -1ll, -2ll, size_t{1} << 40), "-1 -2 1099511627776");
	EXPECT_EQ(narrow("%hd %hx", 0x18000, 0xfffff), "-32768 ffff");
	EXPECT_EQ(narrow("%08x|%-6d|%+d|%#x|%.3d|%*d", 0xabc, 12, 3, 0x1f, 5, 4, 9),
		  "00000abc|12    |+3|0x1f|005|   9");
}

TEST_F(Print, strings_are_of_the_formats_characters_and_no_longer_than_said)
{
	char unended[2] = {'a', 'b'};
	UNICODE_STRING counted = {4, 4, const_cast<WCHAR *>(u"xyz")};

	EXPECT_EQ(narrow("%s %ws %S %wZ", "a", u"b", u"c", &counted), "a b c xy");
	EXPECT_EQ(narrow("%.2s|%4s|%-3c|", unended, "ab", 'z'), "ab|  ab|z  |");
	EXPECT_EQ(narrow("%.2ws", u"abc"), "ab");
	EXPECT_EQ(wide(u"%s %hs %S %ws", u"a", "b", "c", u"d"), u"a b c d");
	EXPECT_EQ(wide(u"%wZ", &counted), u"xy");
}

TEST_F(Print, what_is_no_ascii_is_no_conversion)
{
	// Its low 8 bits are those of '%'.
	EXPECT_EQ(wide(u"\u0125d \u00e9 %s", u"\u0125"), u"\u0125d \u00e9 \u0125");
	EXPECT_EQ(narrow("%S", u"\u0125"), "?");
}

TEST_F(Print, what_just_fits_is_not_cut)
{
	char text[4];
	WCHAR units[3];
	UNICODE_STRING string = {0, sizeof(units), units};

	EXPECT_EQ(RtlStringCbPrintfA(text, sizeof(text), "%s", "abc"), STATUS_SUCCESS);
	EXPECT_EQ(RtlStringCbPrintfA(text, sizeof(text), "%s", "abcd"), STATUS_BUFFER_OVERFLOW);
	EXPECT_STREQ(text, "abc");
	EXPECT_EQ(RtlUnicodeStringPrintf(&string, u"%d", 123), STATUS_SUCCESS);
	EXPECT_EQ(string.Length, 6);
	EXPECT_EQ(RtlUnicodeStringPrintf(&string, u"%d", 1234), STATUS_BUFFER_OVERFLOW);
}
