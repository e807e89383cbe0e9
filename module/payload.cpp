// SPDX-License-Identifier: GPL-2.0-only
#include "payload.hpp"

#include "shim/enforce.h"

namespace kextbridge {

void payload_free(void *data)
{
	shim_kvfree(data);
}

void payload_free_later(void *data)
{
	if (data)
		shim_kvfree_rcu(data);
}

static OSReturn allocate(s64 length, u32 limit, Payload *payload) KEXTBRIDGE_EXCLUDES(core_lock())
{
	if (length > limit)
		return kOSKextReturnNoResources;
	if (!length)
		return kOSReturnSuccess;
	size_t size = static_cast<size_t>(length);

	// The kernel's rcu_head goes over the bytes once they are dead.
	payload->data =
		shim_kvmalloc(size < SHIM_RCU_HEAD_SIZE ? SHIM_RCU_HEAD_SIZE : size, SHIM_GFP_KERNEL | SHIM_GFP_NOWARN);
	if (!payload->data)
		return kOSKextReturnNoMemory;
	payload->length = static_cast<u32>(length);
	return kOSReturnSuccess;
}

static OSReturn refuse(Payload *payload, OSReturn result) KEXTBRIDGE_EXCLUDES(core_lock())
{
	payload_free(payload->data);
	*payload = Payload();
	return result;
}

OSReturn payload_from_user(u64 data, u32 length, u32 limit, Payload *payload)
{
	OSReturn result = allocate(length, limit, payload);

	if (result || !length)
		return result;
	return shim_copy_from_user(payload->data, data, length) ? refuse(payload, kOSKextReturnInvalidArgument) :
								  kOSReturnSuccess;
}

static OSReturn read_file(file *file, u32 limit, Payload *payload) KEXTBRIDGE_EXCLUDES(core_lock())
{
	unsigned int mode = shim_file_mode(file);

	if (!(mode & SHIM_FMODE_READ) || (mode & SHIM_FMODE_WRITE) || !shim_file_is_regular(file))
		return kOSKextReturnInvalidArgument;
	s64 size = shim_i_size_read(file);
	OSReturn result = allocate(size, limit, payload);

	if (result)
		return result;
	for (s64 at = 0; at < size;) {
		s64 count = shim_kernel_read(file, static_cast<char *>(payload->data) + at,
					     static_cast<size_t>(size - at), &at);

		if (count <= 0)
			return refuse(payload, kOSKextReturnBadData);
	}
	return shim_i_size_read(file) == size ? kOSReturnSuccess : refuse(payload, kOSKextReturnBadData);
}

OSReturn payload_from_file(int fd, u32 limit, Payload *payload)
{
	file *file = shim_fget(fd);

	if (!file)
		return kOSKextReturnInvalidArgument;
	OSReturn result = read_file(file, limit, payload);

	shim_fput(file);
	return result;
}

} // namespace kextbridge
