// SPDX-License-Identifier: GPL-2.0-only
// The formats of Windows (DbgPrint, RtlStringCbPrintf...) and its counted strings, as a driver gives them to kmdf.ko. What
// must come out is made beside it; what goes in is as long as it is, so that a byte too many is not there.
#include "../host/kmdf/wdf.hpp"

#define _KMDF_STDARG_H // the compiler's own
#include "windows/ntstrsafe.h"

#include "input.hpp"
#include "target.hpp"

namespace fuzz {

namespace {

constexpr size_t kArguments = 8;
constexpr size_t kLongest = 2048; // of what is compared

// Strings that end where no memory is.
class Heap {
	std::vector<std::unique_ptr<char[]>> narrow_;
	std::vector<std::unique_ptr<WCHAR[]>> wide_;

      public:
	char *keep(const std::string &text, bool ends)
	{
		narrow_.emplace_back(new char[text.size() + ends]);
		memcpy(narrow_.back().get(), text.data(), text.size());
		if (ends)
			narrow_.back()[text.size()] = 0;
		return narrow_.back().get();
	}
	WCHAR *keep(const std::u16string &text, bool ends)
	{
		wide_.emplace_back(new WCHAR[text.size() + ends]);
		memcpy(wide_.back().get(), text.data(), text.size() * sizeof(WCHAR));
		if (ends)
			wide_.back()[text.size()] = 0;
		return wide_.back().get();
	}
};

// One call: its format, its arguments, and what it must make of them, all in characters of 16 bits.
struct Format {
	bool wide;     // the call is one of the W family
	bool is_exact; // what comes out is compared: not with %p, which is the kernel's
	std::u16string format;
	std::u16string expected;
	std::vector<u64> arguments;
};

std::u16string widened(const std::string &text)
{
	return {reinterpret_cast<const unsigned char *>(text.data()),
		reinterpret_cast<const unsigned char *>(text.data()) + text.size()};
}

std::string narrowed(const std::u16string &text)
{
	return {text.begin(), text.end()};
}

struct Conversion {
	std::string flags;
	bool starred = false;
	int width = -1; // none
	int precision = -1;
	std::string size;
	char type = 'd';

	std::string text() const
	{
		std::string text = "%" + flags;

		if (width >= 0)
			text += starred ? "*" : std::to_string(width);
		if (precision >= 0)
			text += "." + std::to_string(precision);
		return text + size + type;
	}
	bool has(char flag) const { return flags.find(flag) != std::string::npos; }
};

Conversion read_conversion(Input &in)
{
	static const char *const sizes[] = {"", "", "", "l", "h", "ll", "I64", "I32", "I", "z", "w"};
	static const char types[] = "diuxXopcCsSZ%ssZx";
	Conversion c;

	for (u32 left = in.below(4); left; left--)
		c.flags += "-+ #0"[in.below(5)];
	switch (in.below(8)) {
	case 0:
	case 1:
		c.width = static_cast<int>(in.below(24));
		break;
	case 2:
		c.starred = true;
		c.width = static_cast<int>(in.below(24));
		break;
	case 3:
		c.width = static_cast<int>(in.number() & 0x7fffffff);
		break;
	}
	switch (in.below(6)) {
	case 0:
	case 1:
		c.precision = static_cast<int>(in.below(24));
		break;
	case 2:
		c.precision = static_cast<int>(in.number() & 0x7fffffff);
		break;
	}
	c.size = sizes[in.below(std::size(sizes))];
	c.type = types[in.below(sizeof(types) - 1)];
	// A width does not begin with 0: that is a flag.
	if (!c.width && !c.starred)
		c.width = -1;
	return c;
}

std::string number_text(const Conversion &c, u64 value)
{
	bool is64 = c.size == "ll" || c.size == "I64" || c.size == "I" || c.size == "z";
	bool is_signed = c.type == 'd' || c.type == 'i';
	Conversion as = c;
	char text[kLongest];

	if (!is64)
		value = is_signed ? static_cast<u64>(static_cast<s64>(static_cast<s32>(value))) :
				    static_cast<u32>(value);
	if (c.size == "h")
		value = is_signed ? static_cast<u64>(static_cast<s64>(static_cast<short>(value))) :
				    static_cast<u16>(value);
	as.starred = false;
	as.size = "ll";
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(text, sizeof(text), as.text().c_str(), value);
#pragma GCC diagnostic pop
	return text;
}

std::u16string padded(const Conversion &c, std::u16string text)
{
	size_t width = c.width > 0 && c.width < static_cast<int>(kLongest) ? static_cast<size_t>(c.width) : 0;

	if (c.precision >= 0 && c.type != 'c' && c.type != 'C' && text.size() > static_cast<size_t>(c.precision))
		text.resize(static_cast<size_t>(c.precision));
	if (text.size() < width)
		text.insert(c.has('-') ? text.size() : 0, width - text.size(), u' ');
	return text;
}

std::u16string read_text(Input &in, bool wide)
{
	std::u16string text;

	for (u32 left = in.below(20); left; left--) {
		char16_t unit = wide ? in.value<char16_t>() : in.byte();

		text += unit ? unit : u'0';
	}
	return text;
}

// An argument that is a string, and what it says.
std::u16string string_argument(Input &in, Heap &heap, Format &call, const Conversion &c)
{
	bool wide = c.type == 'S' ? !call.wide : c.type == 's' && call.wide;

	if (c.size == "h")
		wide = false;
	if (c.size == "l" || c.size == "w")
		wide = true;
	std::u16string text = read_text(in, wide);
	std::u16string said = text;

	// Where 8 bits are all there is, a '?' stands for more than ASCII.
	for (char16_t &unit : said)
		if (wide && !call.wide && unit >= 0x80)
			unit = u'?';
	if (in.byte() >= 240) {
		call.arguments.push_back(0);
		return u"(null)";
	}
	if (c.type == 'Z') {
		// Counted; what is behind it is not there.
		if (wide) {
			static std::vector<UNICODE_STRING> strings(kArguments);
			UNICODE_STRING &string = strings[call.arguments.size()];

			string.Buffer = heap.keep(text, false);
			string.Length = string.MaximumLength = static_cast<USHORT>(text.size() * sizeof(WCHAR));
			call.arguments.push_back(reinterpret_cast<u64>(&string));
		} else {
			static std::vector<ANSI_STRING> strings(kArguments);
			ANSI_STRING &string = strings[call.arguments.size()];

			string.Buffer = heap.keep(narrowed(text), false);
			string.Length = string.MaximumLength = static_cast<USHORT>(text.size());
			call.arguments.push_back(reinterpret_cast<u64>(&string));
		}
		return said;
	}
	// A precision is a promise that so much is enough.
	bool ends = c.precision < 0 || text.size() < static_cast<size_t>(c.precision);

	call.arguments.push_back(wide ? reinterpret_cast<u64>(heap.keep(text, ends)) :
					reinterpret_cast<u64>(heap.keep(narrowed(text), ends)));
	return said;
}

// False: what follows has no meaning any more.
bool add_conversion(Input &in, Heap &heap, Format &call)
{
	static const char *const unknown[] = {"%y", "%", "%l", "%#", "%08.", "%n", "%f", "%I6", "%1.2.3d", "%5-d"};
	Conversion c = read_conversion(in);
	u32 kind = in.byte();

	if (call.arguments.size() + 2 > kArguments)
		return false;
	if (kind >= 248) {
		call.format += widened(unknown[kind % std::size(unknown)]);
		return false;
	}
	if (c.type == '%') {
		call.format += u"%%";
		call.expected += u'%';
		return true;
	}
	call.format += widened(c.text());
	if (c.starred)
		call.arguments.push_back(static_cast<u64>(c.width));
	if (c.width > 500 || c.precision > 500)
		call.is_exact = false;
	switch (c.type) {
	case 'c':
	case 'C': {
		bool wide = c.type == 'C' ? !call.wide : call.wide;

		if (c.size == "h")
			wide = false;
		if (c.size == "l" || c.size == "w")
			wide = true;
		char16_t unit = wide ? in.value<char16_t>() : in.byte();

		unit = unit ? unit : u'0';
		call.arguments.push_back(unit);
		call.expected += padded(c, {wide && !call.wide && unit >= 0x80 ? u'?' : unit});
		break;
	}
	case 's':
	case 'S':
	case 'Z':
		call.expected += padded(c, string_argument(in, heap, call, c));
		break;
	case 'p':
		call.arguments.push_back(in.number());
		call.is_exact = false; // hashed
		break;
	default: {
		u64 value = in.number();

		call.arguments.push_back(value);
		if (c.size == "w") // of a number it says nothing
			c.size = "";
		if (call.is_exact)
			call.expected += widened(number_text(c, value));
		break;
	}
	}
	return true;
}

Format read_format(Input &in, Heap &heap, bool wide)
{
	Format call = {wide, true, {}, {}, {}};

	for (u32 left = in.below(12); left && call.expected.size() < kLongest / 2; left--) {
		if (in.byte() >= 96) {
			if (!add_conversion(in, heap, call))
				break;
			continue;
		}
		char16_t unit = wide ? in.value<char16_t>() : in.byte();

		if (!unit || unit == u'%')
			unit = u'.';
		call.format += unit;
		call.expected += unit;
	}
	call.arguments.resize(kArguments);
	return call;
}

template <typename C>
void check_output(const Format &call, const std::basic_string<C> &expected, const C *to, size_t size, NTSTATUS status)
{
	size_t length = 0;

	while (length < size && to[length])
		length++;
	if (length == size)
		wrong("a string without an end");
	if (status != STATUS_SUCCESS && status != STATUS_BUFFER_OVERFLOW)
		wrong("status %08x", static_cast<u32>(status));
	if (!call.is_exact)
		return;
	size_t fits = expected.size() < size ? expected.size() : size - 1;

	if (length != fits || memcmp(to, expected.data(), fits * sizeof(C)))
		wrong("format \"%s\": %zu characters of %zu, \"%s\", and not \"%s\"", narrowed(call.format).c_str(),
		      length, size, std::string(to, to + length).c_str(),
		      std::string(expected.begin(), expected.end()).c_str());
	if ((status == STATUS_BUFFER_OVERFLOW) != (fits < expected.size()))
		wrong("%zu characters in room for %zu: status %08x", expected.size(), size, static_cast<u32>(status));
}

NTSTATUS by_list(char *to, size_t bytes, const char *format, ...)
{
	__builtin_va_list list;

	__builtin_va_start(list, format);
	NTSTATUS status = RtlStringCbVPrintfA(to, bytes, format, list);

	__builtin_va_end(list);
	return status;
}

NTSTATUS by_list(WCHAR *to, size_t bytes, const WCHAR *format, ...)
{
	__builtin_va_list list;

	__builtin_va_start(list, format);
	NTSTATUS status = RtlStringCbVPrintfW(to, bytes, format, list);

	__builtin_va_end(list);
	return status;
}

#define ALL(a) (a)[0], (a)[1], (a)[2], (a)[3], (a)[4], (a)[5], (a)[6], (a)[7]

size_t read_room(Input &in)
{
	size_t room = 1 + in.byte();

	return room > 200 ? kLongest : room;
}

void print_narrow(Input &in)
{
	Heap heap;
	size_t room = read_room(in);
	u32 how = in.below(3);
	Format call = read_format(in, heap, false);
	const char *format = heap.keep(narrowed(call.format), true);
	const std::vector<u64> &a = call.arguments;
	std::unique_ptr<char[]> to(new char[room]);

	if (how == 2) {
		DbgPrint(format, ALL(a));
		DbgPrintEx(DPFLTR_IHVDRIVER_ID, DPFLTR_ERROR_LEVEL, format, ALL(a));
		return;
	}
	NTSTATUS status = how ? by_list(to.get(), room, format, ALL(a)) :
				RtlStringCbPrintfA(to.get(), room, format, ALL(a));

	check_output(call, narrowed(call.expected), to.get(), room, status);
}

void print_wide(Input &in)
{
	Heap heap;
	size_t room = read_room(in);
	u32 how = in.below(3);
	Format call = read_format(in, heap, true);
	const WCHAR *format = heap.keep(call.format, true);
	const std::vector<u64> &a = call.arguments;
	std::unique_ptr<WCHAR[]> to(new WCHAR[room]);

	if (how == 2) {
		// Without a NUL.
		UNICODE_STRING string = {0, static_cast<USHORT>(room * sizeof(WCHAR)), to.get()};
		NTSTATUS status = RtlUnicodeStringPrintf(&string, format, ALL(a));
		std::u16string got(string.Buffer, string.Length / sizeof(WCHAR));
		size_t fits = std::min(call.expected.size(), room);

		if (string.Length > string.MaximumLength)
			wrong("a string of %u bytes in %u", string.Length, string.MaximumLength);
		if (call.is_exact && got != call.expected.substr(0, fits))
			wrong("RtlUnicodeStringPrintf of \"%s\"", narrowed(call.format).c_str());
		if (call.is_exact && (status == STATUS_SUCCESS) != (fits == call.expected.size()))
			wrong("RtlUnicodeStringPrintf: status %08x", static_cast<u32>(status));
		return;
	}
	NTSTATUS status = how ? by_list(to.get(), room * sizeof(WCHAR), format, ALL(a)) :
				RtlStringCbPrintfW(to.get(), room * sizeof(WCHAR), format, ALL(a));

	check_output(call, call.expected, to.get(), room, status);
}

// ---- strings that are copied

void copy_string(Input &in)
{
	Heap heap;
	size_t room = 1 + in.below(32);
	std::u16string before = read_text(in, true).substr(0, room - 1);
	std::u16string from = read_text(in, true);
	size_t most = in.below(24);
	u32 how = in.below(4);
	const WCHAR *source = heap.keep(from, how < 2 || from.size() < most);
	std::unique_ptr<WCHAR[]> to(new WCHAR[room]);
	std::u16string expected = how < 2 ? from : from.substr(0, most);
	NTSTATUS status = STATUS_SUCCESS;

	memcpy(to.get(), before.c_str(), (before.size() + 1) * sizeof(WCHAR));
	switch (how) {
	case 0:
		status = RtlStringCbCopyW(to.get(), room * sizeof(WCHAR), source);
		break;
	case 1:
		status = RtlStringCchCatW(to.get(), room, source);
		break;
	case 2:
		status = RtlStringCchCopyNW(to.get(), room, source, most);
		break;
	case 3:
		status = RtlStringCbCatNW(to.get(), room * sizeof(WCHAR), source, most * sizeof(WCHAR));
		break;
	}
	if (how % 2)
		expected = before + expected;
	check_output({true, true, u"a copy", expected, {}}, expected, to.get(), room, status);
}

struct Counted {
	std::unique_ptr<WCHAR[]> buffer;
	UNICODE_STRING string;

	Counted(Input &in, size_t room)
	{
		std::u16string text = read_text(in, true).substr(0, room);

		buffer.reset(new WCHAR[room]);
		memcpy(buffer.get(), text.data(), text.size() * sizeof(WCHAR));
		string = {static_cast<USHORT>(text.size() * sizeof(WCHAR)), static_cast<USHORT>(room * sizeof(WCHAR)),
			  buffer.get()};
	}
	std::u16string text() const { return {string.Buffer, string.Length / sizeof(WCHAR)}; }
};

std::u16string upper(std::u16string text)
{
	for (char16_t &unit : text)
		if (unit >= u'a' && unit <= u'z')
			unit = static_cast<char16_t>(unit - u'a' + u'A');
	return text;
}

void count_string(Input &in)
{
	size_t room = 1 + in.below(32);
	Counted to(in, room);
	Counted from(in, 32);
	std::u16string before = to.text();
	std::u16string other = from.text();
	std::u16string expected;
	NTSTATUS status = STATUS_SUCCESS;
	bool cuts = true;

	switch (in.below(5)) {
	case 0:
		RtlCopyUnicodeString(&to.string, &from.string);
		expected = other;
		if (expected.size() > room)
			expected.resize(room);
		break;
	case 1:
		status = RtlAppendUnicodeStringToString(&to.string, &from.string);
		expected = before + other;
		cuts = false;
		break;
	case 2:
		status = RtlUnicodeStringCat(&to.string, &from.string);
		expected = before + other;
		break;
	case 3:
		status = RtlUnicodeStringCopy(&to.string, &from.string);
		expected = other;
		break;
	case 4: {
		BOOLEAN insensitive = in.flag();
		std::u16string a = insensitive ? upper(before) : before;
		std::u16string b = insensitive ? upper(other) : other;

		if (RtlEqualUnicodeString(&to.string, &from.string, insensitive) != (a == b))
			wrong("RtlEqualUnicodeString");
		if (RtlPrefixUnicodeString(&to.string, &from.string, insensitive) != (b.rfind(a, 0) == 0))
			wrong("RtlPrefixUnicodeString");
		LONG order = RtlCompareUnicodeString(&to.string, &from.string, insensitive);

		if ((order < 0) != (a < b) || (order > 0) != (a > b))
			wrong("RtlCompareUnicodeString");
		return;
	}
	}
	bool fits = expected.size() <= room;

	if (!fits && cuts)
		expected.resize(room);
	if (!fits && !cuts)
		expected = before;
	if (to.text() != expected || NT_SUCCESS(status) != fits)
		wrong("a counted string of %zu characters in room for %zu: status %08x", expected.size(), room,
		      static_cast<u32>(status));
}

} // namespace

void run(const uint8_t *data, size_t size)
{
	Input in(data, size);
	static const bool ready = [] {
		fake::set_test_name("fuzz");
		return true;
	}();

	(void)ready;
	fake::reset_kmdf();
	fake::reset();
	for (u32 left = 4; left && !in.empty(); left--) {
		switch (in.below(8)) {
		case 0:
		case 1:
		case 2:
			print_narrow(in);
			break;
		case 3:
		case 4:
		case 5:
			print_wide(in);
			break;
		case 6:
			copy_string(in);
			break;
		case 7:
			count_string(in);
			break;
		}
	}
}

// A conversion of each type, in both families.
std::vector<std::string> seeds()
{
	std::vector<std::string> seeds;

	for (u32 family : {0u, 3u}) {
		for (u8 type = 0; type < 17; type++) {
			Seed seed;

			seed.byte(static_cast<u8>(family)).byte(255).byte(0).byte(2);
			seed.byte(96).byte(0).byte(7).byte(5).byte(0).byte(type).byte(0);
			seeds.push_back(seed.byte(5).text("abcdefghijklm").bytes());
		}
	}
	seeds.push_back(
		Seed().byte(6).byte(20).byte(3).text("abcdef").byte(4).text("ghijklmn").byte(9).byte(1).bytes());
	seeds.push_back(Seed().byte(7).byte(20).byte(3).text("abcdef").byte(4).text("ghijklmn").byte(1).bytes());
	return seeds;
}

} // namespace fuzz
