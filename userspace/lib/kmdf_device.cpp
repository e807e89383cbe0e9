/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices of kmdf.ko and their requests; /dev/kmdf/control. */
#include "kmdf.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>

#include "transport.hpp"

using kext::transport::OnSignal;

namespace {

template <typename T> T kmdf_sized()
{
	T argument{};
	argument.size = sizeof(T);
	return argument;
}

__u64 kmdf_address(const void *pointer)
{
	return reinterpret_cast<uintptr_t>(pointer);
}

} // namespace

extern "C" {

int kmdf_open_device(const char *name, int flags)
{
	if (!name || !*name || strlen(name) >= KMDF_NAME_SIZE || strchr(name, '/') || strcmp(name, ".") == 0 ||
	    strcmp(name, "..") == 0)
		return -EINVAL;
	char path[sizeof(KMDF_DEVICE_FOLDER) + KMDF_NAME_SIZE];
	(void)snprintf(path, sizeof(path), KMDF_DEVICE_FOLDER "/%s", name);
	return kext::transport::open_node(path, flags);
}

int kmdf_open_interface(const GUID *guid, const char *reference, int flags)
{
	char name[1][KMDF_NAME_SIZE] = {};
	const int found = kmdf_find_interface(guid, reference, name, 1);
	if (found <= 0)
		return found < 0 ? found : -ENODEV;
	return kmdf_open_device(name[0], flags);
}

int kmdf_device_io_control(int fd, uint32_t code, const void *in, uint32_t in_length, void *out, uint32_t out_length,
			   uint64_t tag, uint64_t *information, NTSTATUS *status)
{
	if (!status || (!in && in_length) || (!out && out_length))
		return -EINVAL;
	auto argument = kmdf_sized<struct kmdf_device_control>();
	argument.code = code;
	argument.in = kmdf_address(in);
	argument.out = kmdf_address(out);
	argument.in_length = in_length;
	argument.out_length = out_length;
	argument.tag = tag;
	/* Never a second time: the driver may have acted on it. */
	const int error = kext::transport::call(fd, KMDF_IOC_DEVICE_CONTROL, &argument, OnSignal::Return);
	if (error)
		return error;
	*status = argument.status;
	if (information)
		*information = argument.information;
	return 0;
}

int kmdf_get_last_status(int fd, NTSTATUS *status, uint64_t *information)
{
	if (!status)
		return -EINVAL;
	auto argument = kmdf_sized<struct kmdf_last_status>();
	const int error = kext::transport::call(fd, KMDF_IOC_LAST_STATUS, &argument, OnSignal::Repeat);
	if (error)
		return error;
	*status = argument.status;
	if (information)
		*information = argument.information;
	return 0;
}

int kmdf_cancel_io(int fd, uint32_t what, uint64_t tag, struct kmdf_cancelled *cancelled)
{
	/* A request without a tag has the tag 0, and so have all reads and writes. */
	if ((what == KMDF_CANCEL_FILE) != (tag == 0))
		return -EINVAL;
	auto argument = kmdf_sized<struct kmdf_cancel>();
	argument.what = what;
	argument.tag = tag;
	const int error = kext::transport::call(fd, KMDF_IOC_CANCEL, &argument, OnSignal::Repeat);
	if (!error && cancelled)
		*cancelled = {argument.found, argument.finished, argument.notified, argument.flagged};
	return error;
}

int kmdf_open_control(const char *path)
{
	return kext::transport::open_node(path ? path : KMDF_CONTROL_DEVICE);
}

int kmdf_snapshot(int control, void **records, size_t *used)
{
	if (!records || !used)
		return -EINVAL;
	uint32_t size = 16384;
	/* More may come from one call to the next, but not for ever. */
	for (int tries = 0; tries < 16; tries++) {
		void *buffer = malloc(size);
		if (!buffer)
			return -ENOMEM;
		auto argument = kmdf_sized<struct kmdf_list>();
		argument.buffer = kmdf_address(buffer);
		argument.buffer_size = size;
		int error = kext::transport::call(control, KMDF_IOC_LIST, &argument, OnSignal::Repeat);
		if (!error && argument.used > size)
			error = -EPROTO;
		if (!error) {
			*records = buffer;
			*used = argument.used;
			return 0;
		}
		free(buffer);
		if (error != -ENOBUFS)
			return error;
		/* A list that fits is no longer than the room it was given: then the kernel gives no more. */
		if (argument.used <= size)
			return -ENOBUFS;
		size = argument.used < UINT32_MAX / 2 ? argument.used + argument.used / 4 : argument.used;
	}
	return -ENOBUFS;
}

int kmdf_cancel_by_id(int control, uint64_t id, uint32_t *state)
{
	auto argument = kmdf_sized<struct kmdf_cancel_request>();
	argument.id = id;
	const int error = kext::transport::call(control, KMDF_IOC_CANCEL_REQUEST, &argument, OnSignal::Repeat);
	if (!error && state)
		*state = argument.state;
	return error;
}

} // extern "C"
