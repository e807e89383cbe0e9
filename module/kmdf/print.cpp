// SPDX-License-Identifier: GPL-2.0-only
// DbgPrint: Windows' formats in the kernel's log. Contract: wdm.h.
//
// A long is 32 bits there (%ld, %lu), %I64 and %ll are 64, %I and %z a pointer's size; %wZ and %Z are counted strings,
// %ws and %S strings of 16 bits.
#include "common.hpp"
#include "shim/enforce.h"

namespace kmdf {

class Printer final {
	char line_[512];
	size_t used_ = 0;

	void put(char c)
	{
		if (used_ + 1 < sizeof(line_))
			line_[used_++] = c;
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
		used_ += shim_print_one(line_ + used_, sizeof(line_) - used_, format, value);
	}

      public:
	void print(const char *format, __builtin_va_list args);
	const char *text()
	{
		// The kernel ends the line by itself.
		while (used_ && line_[used_ - 1] == '\n')
			used_--;
		line_[used_] = 0;
		return line_;
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
				put_wide(__builtin_va_arg(args, const WCHAR *), sizeof(line_));
			else
				put_formatted(flags, "s", reinterpret_cast<u64>(__builtin_va_arg(args, const char *)));
			break;
		case 'S':
			put_wide(__builtin_va_arg(args, const WCHAR *), sizeof(line_));
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
	Printer printer;

	if (format)
		printer.print(format, args);
	shim_pr_info("%s", printer.text());
	return STATUS_SUCCESS;
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

extern "C" ULONG vDbgPrintEx(ULONG, ULONG, PCCH Format, __builtin_va_list arglist)
{
	return kmdf::print(Format, arglist);
}
