// SPDX-License-Identifier: GPL-2.0-only
#include <linux/kernel.h>
#include <linux/panic.h>

#include "shim/kmdf.h"

size_t shim_scnprintf(char *to, size_t size, const char *format, ...)
{
	va_list args;
	size_t used;

	va_start(args, format);
	used = vscnprintf(to, size, format, args);
	va_end(args);
	return used;
}

size_t shim_vscnprintf(char *to, size_t size, const char *format, va_list args)
{
	return vscnprintf(to, size, format, args);
}

void shim_panic(const char *format, ...)
{
	struct va_format vaf;
	va_list args;

	va_start(args, format);
	vaf.fmt = format;
	vaf.va = &args;
	/* objtool knows the kernel's functions that do not return by name: this one must be able to. */
	if (!oops_in_progress)
		panic("%pV\n", &vaf);
	va_end(args);
}
