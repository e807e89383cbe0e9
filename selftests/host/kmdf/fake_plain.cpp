// SPDX-License-Identifier: GPL-2.0-only
// Of what only kmdf.ko calls, the part that does not depend on who runs when: fake_kmdf.cpp includes it, and the schedule
// explorer (selftests/schedules/kmdf) compiles it beside a form of its own of the rest.
#include "fake_kmdf.hpp"

#include "../fake_inside.hpp"

#include <algorithm>
#include <cstdio>

extern "C" int shim_current_tgid(void)
{
	return fake::current().process ? fake::current().process->number : fake::init_process().number;
}

extern "C" int shim_find_tid(u64 id)
{
	return static_cast<int>(id); // one pid namespace
}

extern "C" u64 shim_ktime_get_real_ns(void)
{
	return 1700000000ull * 1000000000 + fake::now();
}

// ---- text

extern "C" size_t shim_vscnprintf(char *to, size_t size, const char *format, va_list arguments)
{
	int length = size ? vsnprintf(to, size, format, arguments) : 0;

	if (length < 0)
		fake::bug("printf of %s", format);
	return size ? std::min(static_cast<size_t>(length), size - 1) : 0;
}

extern "C" size_t shim_scnprintf(char *to, size_t size, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	size_t used = shim_vscnprintf(to, size, format, arguments);

	va_end(arguments);
	return used;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
extern "C" void shim_panic(const char *format, ...)
{
	char line[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	fake::bug("panic: %s", line);
}
#pragma GCC diagnostic pop

// ---- a program's memory

extern "C" size_t shim_copy_from_iter(void *to, size_t bytes, struct iov_iter *from)
{
	bytes = std::min(bytes, from->left);
	if (shim_copy_from_user(to, from->address, bytes))
		return 0;
	from->address += bytes;
	from->left -= bytes;
	return bytes;
}

extern "C" size_t shim_copy_to_iter(const void *from, size_t bytes, struct iov_iter *to)
{
	bytes = std::min(bytes, to->left);
	if (shim_copy_to_user(to->address, from, bytes))
		return 0;
	to->address += bytes;
	to->left -= bytes;
	return bytes;
}

struct kmdf_pages {
	u64 address;
	size_t bytes;
};

extern "C" bool shim_kiocb_is_aio(struct kiocb *iocb)
{
	return iocb->aio;
}

extern "C" long shim_file_count(struct file *file)
{
	return file->refs.load();
}

extern "C" struct kmdf_pages *shim_kmdf_pin_pages(struct iov_iter *to, size_t bytes)
{
	char probe = 0;

	// A page that is not there, or may not be written.
	if (shim_copy_from_user(&probe, to->address, 1) || shim_copy_to_user(to->address, &probe, 1))
		return nullptr;
	kmdf_pages *pages = static_cast<kmdf_pages *>(shim_kvzalloc(sizeof(*pages), SHIM_GFP_KERNEL_ACCOUNT));

	if (pages)
		*pages = {to->address, std::min(bytes, to->left)};
	return pages;
}

extern "C" size_t shim_kmdf_copy_to_pages(struct kmdf_pages *pages, const void *from, size_t bytes)
{
	fake::may_sleep("copy_to_iter");
	bytes = std::min(bytes, pages->bytes);
	memcpy(reinterpret_cast<void *>(pages->address), from, bytes);
	return bytes;
}

extern "C" void shim_kmdf_unpin_pages(struct kmdf_pages *pages)
{
	fake::may_sleep("unpin_user_pages");
	shim_kvfree(pages);
}
