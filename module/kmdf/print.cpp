// SPDX-License-Identifier: GPL-2.0-only
// DbgPrint, and the strings that drivers format: with the formats of Windows. Contracts: wdm.h, ntstrsafe.h.
//
// A long is 32 bits there (%ld, %lu), %I64 and %ll are 64, %I and %z a pointer's size; %wZ and %Z are counted strings.
// %s and %c are of the format's own characters, %S and %C of the others, of 16 bits with l or w, of 8 with h.
//
// Nothing of a format reaches the kernel's own printf, which warns of what it does not know.
#include "common.hpp"
#include "ntstrsafe.h"
#include "shim/enforce.h"

namespace kmdf {

enum class Width : u8 { Plain, Short, Long, Pointer };

struct Conversion {
	bool left = false;
	bool plus = false;
	bool space = false;
	bool alternate = false;
	bool zero = false;
	u32 width = 0;
	s32 precision = -1; // none
	Width size = Width::Plain;
	u32 type = 0;
};

// C: the characters of the format and of the result.
template <typename C> class Printer final {
	C *const line_;
	const size_t room_; // without a NUL
	size_t used_ = 0;
	bool cut_ = false;

	void put(u32 unit)
	{
		if (used_ < room_)
			line_[used_++] = static_cast<C>(unit);
		else
			cut_ = true;
	}
	void pad(u32 unit, u32 count)
	{
		for (; count && !cut_; count--)
			put(unit);
	}
	void put_text(const char *text) { put_string(Conversion(), text, ~size_t{0}); }
	template <typename T> void put_string(const Conversion &c, const T *text, size_t most);
	void put_number(const Conversion &c, u64 value);
	void put_pointer(const Conversion &c, const void *pointer);
	// SAFETY: a va_list is an array here: what one takes of it is gone for the next.
	const C *read_conversion(const C *format, Conversion &c, __builtin_va_list args);
	bool put_conversion(const Conversion &c, __builtin_va_list args);

      public:
	Printer(C *line, size_t room) : line_(line), room_(room) {}
	bool cut() const { return cut_; }
	size_t used() const { return used_; }
	void print(const C *format, __builtin_va_list args);
	// There is room for it behind the others.
	void end() { line_[used_] = 0; }
	// As one line of the log, which ends it by itself.
	void end_line()
	{
		while (used_ && line_[used_ - 1] == '\n')
			used_--;
		end();
	}
};

static u32 unit_of(char c)
{
	return static_cast<u8>(c);
}

static u32 unit_of(WCHAR c)
{
	return c;
}

// At most so many characters, or up to a NUL.
template <typename C> template <typename T> void Printer<C>::put_string(const Conversion &c, const T *text, size_t most)
{
	size_t limit = c.precision < 0 ? most : static_cast<size_t>(c.precision);
	size_t length = 0;

	if (!text)
		return put_string(c, "(null)", ~size_t{0});
	most = limit < most ? limit : most;
	while (length < most && text[length])
		length++;
	u32 padding = length < c.width ? c.width - static_cast<u32>(length) : 0;

	if (!c.left)
		pad(' ', padding);
	for (size_t i = 0; i < length && !cut_; i++) {
		u32 unit = unit_of(text[i]);

		put(sizeof(T) > sizeof(C) && unit >= 0x80 ? '?' : unit);
	}
	if (c.left)
		pad(' ', padding);
}

// As C has it.
template <typename C> void Printer<C>::put_number(const Conversion &c, u64 value)
{
	bool is_signed = c.type == 'd' || c.type == 'i';
	bool is_negative = is_signed && static_cast<s64>(value) < 0;
	u32 base = c.type == 'x' || c.type == 'X' ? 16 : c.type == 'o' ? 8 : 10;
	const char *all = c.type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	char digits[24];
	u32 count = 0;
	u32 zeros = 0;
	char prefix[3] = {};

	if (is_negative || (is_signed && (c.plus || c.space)))
		prefix[0] = is_negative ? '-' : c.plus ? '+' : ' ';
	if (base == 16 && c.alternate && value) {
		prefix[0] = '0';
		prefix[1] = static_cast<char>(c.type);
	}
	for (u64 left = is_negative ? -value : value; left; left /= base)
		digits[count++] = all[left % base];
	if (c.precision < 0)
		zeros = !count;
	else if (static_cast<u32>(c.precision) > count)
		zeros = static_cast<u32>(c.precision) - count;
	if (base == 8 && c.alternate && !zeros)
		zeros = 1;
	u32 used = (prefix[0] != 0) + (prefix[1] != 0) + zeros + count;
	u32 padding = used < c.width ? c.width - used : 0;

	if (c.zero && !c.left && c.precision < 0) {
		zeros += padding;
		padding = 0;
	}
	if (!c.left)
		pad(' ', padding);
	put_text(prefix);
	pad('0', zeros);
	while (count)
		put(unit_of(digits[--count]));
	if (c.left)
		pad(' ', padding);
}

// The kernel's word on it: what a log must not tell is hashed.
template <typename C> void Printer<C>::put_pointer(const Conversion &c, const void *pointer)
{
	char text[24];

	shim_scnprintf(text, sizeof(text), "%p", pointer);
	put_string(c, text, sizeof(text));
}

template <typename C> const C *Printer<C>::read_conversion(const C *format, Conversion &c, __builtin_va_list args)
{
	constexpr u32 kMost = 0xffffff; // more than any line has
	auto number = [&](bool *is_negative) {
		u32 value = 0;

		if (*format == '*') {
			s32 given = __builtin_va_arg(args, s32);

			format++;
			*is_negative = given < 0;
			value = given < 0 ? -static_cast<u32>(given) : static_cast<u32>(given);
			return value < kMost ? value : kMost;
		}
		for (; *format >= '0' && *format <= '9'; format++)
			value = value < kMost ? value * 10 + (*format - '0') : kMost;
		return value < kMost ? value : kMost;
	};
	bool is_negative = false;

	for (;; format++) {
		if (*format == '-')
			c.left = true;
		else if (*format == '+')
			c.plus = true;
		else if (*format == ' ')
			c.space = true;
		else if (*format == '#')
			c.alternate = true;
		else if (*format == '0')
			c.zero = true;
		else
			break;
	}
	c.width = number(&is_negative);
	c.left |= is_negative;
	if (*format == '.') {
		format++;
		is_negative = false;
		c.precision = static_cast<s32>(number(&is_negative));
		if (is_negative)
			c.precision = -1;
	}
	if (*format == 'h') {
		c.size = Width::Short;
		format++;
	} else if (*format == 'l' || *format == 'w') {
		bool twice = *format == 'l' && format[1] == 'l';

		c.size = twice ? Width::Pointer : Width::Long;
		format += twice ? 2 : 1;
	} else if (*format == 'z') {
		c.size = Width::Pointer;
		format++;
	} else if (*format == 'I') {
		bool is32 = format[1] == '3' && format[2] == '2';
		bool is64 = format[1] == '6' && format[2] == '4';

		c.size = is32 ? Width::Plain : Width::Pointer;
		format += is32 || is64 ? 3 : 1;
	}
	c.type = unit_of(*format);
	return *format ? format + 1 : format;
}

// False: it is not known, and what follows cannot be told from it.
template <typename C> bool Printer<C>::put_conversion(const Conversion &c, __builtin_va_list args)
{
	bool wide = (sizeof(C) == sizeof(WCHAR)) != (c.type == 'S' || c.type == 'C');
	Conversion one = c;
	u64 value;

	// Counted ones are of 8 bits in both families.
	if (c.size == Width::Short || c.size == Width::Long)
		wide = c.size == Width::Long;
	else if (c.type == 'Z')
		wide = false;
	switch (c.type) {
	case 'd':
	case 'i':
		value = c.size == Width::Pointer ? __builtin_va_arg(args, u64) :
						   static_cast<u64>(s64{__builtin_va_arg(args, s32)});
		put_number(c, c.size == Width::Short ? static_cast<u64>(s64{static_cast<short>(value)}) : value);
		return true;
	case 'u':
	case 'x':
	case 'X':
	case 'o':
		value = c.size == Width::Pointer ? __builtin_va_arg(args, u64) : __builtin_va_arg(args, u32);
		put_number(c, c.size == Width::Short ? static_cast<u16>(value) : value);
		return true;
	case 'p':
		put_pointer(c, __builtin_va_arg(args, const void *));
		return true;
	case 'c':
	case 'C': {
		WCHAR unit = static_cast<WCHAR>(__builtin_va_arg(args, int));
		char byte = static_cast<char>(unit);

		one.precision = -1;
		wide ? put_string(one, &unit, 1) : put_string(one, &byte, 1);
		return true;
	}
	case 's':
	case 'S':
		wide ? put_string(c, __builtin_va_arg(args, const WCHAR *), ~size_t{0}) :
		       put_string(c, __builtin_va_arg(args, const char *), ~size_t{0});
		return true;
	case 'Z':
		if (wide) {
			const UNICODE_STRING *string = __builtin_va_arg(args, const UNICODE_STRING *);

			put_string(c, string ? string->Buffer : nullptr, string ? string->Length / sizeof(WCHAR) : 0);
		} else {
			const ANSI_STRING *string = __builtin_va_arg(args, const ANSI_STRING *);

			put_string(c, string ? string->Buffer : nullptr, string ? string->Length : 0);
		}
		return true;
	case '%':
		put('%');
		return true;
	default:
		return false;
	}
}

template <typename C> void Printer<C>::print(const C *format, __builtin_va_list args)
{
	while (*format) {
		Conversion c;

		if (*format != '%') {
			put(unit_of(*format++));
			continue;
		}
		format = read_conversion(format + 1, c, args);
		if (!put_conversion(c, args))
			return;
	}
}

static ULONG print(const char *format, __builtin_va_list args)
{
	char line[512];
	Printer<char> printer(line, sizeof(line) - 1);

	if (format)
		printer.print(format, args);
	printer.end_line();
	shim_pr_info("%s", line);
	return STATUS_SUCCESS;
}

template <typename C> static NTSTATUS print_to(C *to, size_t characters, const C *format, __builtin_va_list args)
{
	if (!to || !format || !characters || characters > NTSTRSAFE_MAX_CCH)
		return STATUS_INVALID_PARAMETER;
	Printer<C> printer(to, characters - 1);

	printer.print(format, args);
	printer.end();
	return printer.cut() ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

} // namespace kmdf

extern "C" ULONG DbgPrint(PCSTR Format, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, Format);
	ULONG result = kmdf::print(Format, args);

	__builtin_va_end(args);
	return result;
}

extern "C" ULONG DbgPrintEx(ULONG, ULONG, PCSTR Format, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, Format);
	ULONG result = kmdf::print(Format, args);

	__builtin_va_end(args);
	return result;
}

extern "C" NTSTATUS RtlStringCbVPrintfA(NTSTRSAFE_PSTR pszDest, size_t cbDest, NTSTRSAFE_PCSTR pszFormat,
					__builtin_va_list argList)
{
	return kmdf::print_to(pszDest, cbDest, pszFormat, argList);
}

extern "C" NTSTATUS RtlStringCbPrintfA(NTSTRSAFE_PSTR pszDest, size_t cbDest, NTSTRSAFE_PCSTR pszFormat, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, pszFormat);
	NTSTATUS status = kmdf::print_to(pszDest, cbDest, pszFormat, args);

	__builtin_va_end(args);
	return status;
}

extern "C" NTSTATUS RtlStringCbVPrintfW(NTSTRSAFE_PWSTR pszDest, size_t cbDest, NTSTRSAFE_PCWSTR pszFormat,
					__builtin_va_list argList)
{
	return kmdf::print_to(pszDest, cbDest / sizeof(WCHAR), pszFormat, argList);
}

extern "C" NTSTATUS RtlStringCbPrintfW(NTSTRSAFE_PWSTR pszDest, size_t cbDest, NTSTRSAFE_PCWSTR pszFormat, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, pszFormat);
	NTSTATUS status = kmdf::print_to(pszDest, cbDest / sizeof(WCHAR), pszFormat, args);

	__builtin_va_end(args);
	return status;
}

extern "C" NTSTATUS RtlUnicodeStringPrintf(PUNICODE_STRING DestinationString, NTSTRSAFE_PCWSTR pszFormat, ...)
{
	__builtin_va_list args;

	if (!DestinationString || !pszFormat)
		return STATUS_INVALID_PARAMETER;
	kmdf::Printer<WCHAR> printer(DestinationString->Buffer, DestinationString->MaximumLength / sizeof(WCHAR));

	__builtin_va_start(args, pszFormat);
	printer.print(pszFormat, args);
	__builtin_va_end(args);
	DestinationString->Length = static_cast<USHORT>(printer.used() * sizeof(WCHAR));
	return printer.cut() ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

extern "C" ULONG vDbgPrintEx(ULONG, ULONG, PCCH Format, __builtin_va_list arglist)
{
	return kmdf::print(Format, arglist);
}
