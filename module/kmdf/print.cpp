// SPDX-License-Identifier: GPL-2.0-only
// DbgPrint: Windows' formats in the kernel's log. Contract: wdm.h.
//
// A long is 32 bits there (%ld, %lu), %I64 and %ll are 64, %I and %z a pointer's size; %wZ and %Z are counted strings,
// %ws and %S strings of 16 bits.
#include "common.hpp"
#include "ntstrsafe.h"
#include "shim/enforce.h"

namespace kmdf {

class Printer final {
	char *const line_;
	const size_t size_;
	size_t used_ = 0;
	bool cut_ = false;

	void put(char c)
	{
		if (used_ + 1 < size_)
			line_[used_++] = c;
		else
			cut_ = true;
	}
	void put_wide(const WCHAR *text, size_t length)
	{
		for (size_t i = 0; text && i < length && text[i]; i++)
			put(text[i] >= 0x20 && text[i] < 0x7f ? static_cast<char>(text[i]) : '?');
	}
	template <typename T> void put_formatted(const char *flags, const char *conversion, T value)
	{
		char format[32];

		shim_scnprintf(format, sizeof(format), "%%%s%s", flags, conversion);
		size_t room = size_ - used_;
		size_t length = shim_print_one(line_ + used_, room, format, value);

		cut_ |= length + 1 >= room; // or just full
		used_ += length;
	}

      public:
	// size is not 0.
	Printer(char *line, size_t size) : line_(line), size_(size) {}
	bool cut() const { return cut_; }
	void print(const char *format, __builtin_va_list args);
	const char *text()
	{
		line_[used_] = 0;
		return line_;
	}
	// As one line of the log, which ends it by itself.
	const char *line()
	{
		while (used_ && line_[used_ - 1] == '\n')
			used_--;
		return text();
	}
};

static bool is_flag(char c)
{
	return c == '-' || c == '+' || c == ' ' || c == '#' || c == '.' || (c >= '0' && c <= '9');
}

void Printer::print(const char *format, __builtin_va_list args)
{
	while (*format) {
		char flags[12];
		size_t count = 0;
		bool wide = false;
		bool is64 = false;

		if (*format != '%') {
			put(*format++);
			continue;
		}
		format++;
		for (; is_flag(*format); format++) {
			if (count + 1 < sizeof(flags))
				flags[count++] = *format;
		}
		flags[count] = 0;
		for (bool more = true; more;) {
			switch (*format) {
			case 'l':
				wide = true;
				is64 |= format[1] == 'l';
				format += format[1] == 'l' ? 2 : 1;
				break;
			case 'w':
				wide = true;
				format++;
				break;
			case 'h':
				format++;
				break;
			case 'z':
				is64 = true;
				format++;
				break;
			case 'I':
				is64 = !(format[1] == '3' && format[2] == '2');
				format += (format[1] == '6' && format[2] == '4') || !is64 ? 3 : 1;
				break;
			default:
				more = false;
				break;
			}
		}
		switch (char conversion = *format ? *format++ : 0) {
		case 'd':
		case 'i':
		case 'u':
		case 'x':
		case 'X':
		case 'o': {
			char text[4] = {'l', 'l', conversion, 0};

			if (is64)
				put_formatted(flags, text, __builtin_va_arg(args, u64));
			else
				put_formatted(flags, text + 2, static_cast<u64>(__builtin_va_arg(args, u32)));
			break;
		}
		case 'p':
			put_formatted(flags, "p", reinterpret_cast<u64>(__builtin_va_arg(args, void *)));
			break;
		case 'c':
		case 'C':
			put(static_cast<char>(__builtin_va_arg(args, int)));
			break;
		case 's':
			if (wide)
				put_wide(__builtin_va_arg(args, const WCHAR *), size_);
			else
				put_formatted(flags, "s", reinterpret_cast<u64>(__builtin_va_arg(args, const char *)));
			break;
		case 'S':
			put_wide(__builtin_va_arg(args, const WCHAR *), size_);
			break;
		case 'Z':
			if (wide) {
				const UNICODE_STRING *string = __builtin_va_arg(args, const UNICODE_STRING *);

				put_wide(string ? string->Buffer : nullptr,
					 string ? string->Length / sizeof(WCHAR) : 0);
			} else {
				const ANSI_STRING *string = __builtin_va_arg(args, const ANSI_STRING *);

				for (size_t i = 0; string && i < string->Length; i++)
					put(string->Buffer[i]);
			}
			break;
		case '%':
			put('%');
			break;
		default:
			return; // what follows cannot be told from what it does not know
		}
	}
}

static ULONG print(const char *format, __builtin_va_list args)
{
	char line[512];
	Printer printer(line, sizeof(line));

	if (format)
		printer.print(format, args);
	shim_pr_info("%s", printer.line());
	return STATUS_SUCCESS;
}

static NTSTATUS print_to(char *to, size_t bytes, const char *format, __builtin_va_list args)
{
	if (!to || !format || !bytes || bytes > 0x7fffffff)
		return STATUS_INVALID_PARAMETER;
	Printer printer(to, bytes);

	printer.print(format, args);
	printer.text();
	return printer.cut() ? STATUS_BUFFER_OVERFLOW : STATUS_SUCCESS;
}

// By way of 8 bits: what is longer is cut off.
static NTSTATUS print_wide(WCHAR *to, size_t characters, const WCHAR *format, __builtin_va_list args)
{
	char narrow_format[256];
	char text[256];
	size_t length = 0;

	if (!to || !format || !characters)
		return STATUS_INVALID_PARAMETER;
	for (; format[length] && length + 1 < sizeof(narrow_format); length++)
		narrow_format[length] = static_cast<char>(format[length]);
	narrow_format[length] = 0;
	bool cut = format[length];
	NTSTATUS status = print_to(text, characters < sizeof(text) ? characters : sizeof(text), narrow_format, args);

	for (length = 0; text[length]; length++)
		to[length] = static_cast<WCHAR>(text[length]);
	to[length] = 0;
	return cut ? STATUS_BUFFER_OVERFLOW : status;
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
	return kmdf::print_wide(pszDest, cbDest / sizeof(WCHAR), pszFormat, argList);
}

extern "C" NTSTATUS RtlStringCbPrintfW(NTSTRSAFE_PWSTR pszDest, size_t cbDest, NTSTRSAFE_PCWSTR pszFormat, ...)
{
	__builtin_va_list args;

	__builtin_va_start(args, pszFormat);
	NTSTATUS status = kmdf::print_wide(pszDest, cbDest / sizeof(WCHAR), pszFormat, args);

	__builtin_va_end(args);
	return status;
}

extern "C" NTSTATUS RtlUnicodeStringPrintf(PUNICODE_STRING DestinationString, NTSTRSAFE_PCWSTR pszFormat, ...)
{
	__builtin_va_list args;
	WCHAR text[256];

	__builtin_va_start(args, pszFormat);
	NTSTATUS status = kmdf::print_wide(text, sizeof(text) / sizeof(text[0]), pszFormat, args);

	__builtin_va_end(args);
	if (!DestinationString || status == STATUS_INVALID_PARAMETER)
		return STATUS_INVALID_PARAMETER;
	size_t room = DestinationString->MaximumLength / sizeof(WCHAR);
	size_t length = 0;

	for (; text[length] && length < room; length++)
		DestinationString->Buffer[length] = text[length];
	DestinationString->Length = static_cast<USHORT>(length * sizeof(WCHAR));
	return text[length] ? STATUS_BUFFER_OVERFLOW : status;
}

extern "C" ULONG vDbgPrintEx(ULONG, ULONG, PCCH Format, __builtin_va_list arglist)
{
	return kmdf::print(Format, arglist);
}
