// SPDX-License-Identifier: GPL-2.0-only
#include "status.hpp"

#include "shim/enforce.h"

namespace kmdf {

struct StatusErrno {
	u32 status;
	int error;
};

constexpr StatusErrno kErrors[] = {
	{static_cast<u32>(STATUS_CANCELLED), SHIM_ECANCELED},
	{static_cast<u32>(STATUS_INVALID_DEVICE_REQUEST), SHIM_EOPNOTSUPP},
	{static_cast<u32>(STATUS_NOT_SUPPORTED), SHIM_EOPNOTSUPP},
	{static_cast<u32>(STATUS_INSUFFICIENT_RESOURCES), SHIM_ENOMEM},
	{static_cast<u32>(STATUS_BUFFER_OVERFLOW), SHIM_EOVERFLOW},
	{static_cast<u32>(STATUS_DEVICE_BUSY), SHIM_EBUSY},
	{static_cast<u32>(STATUS_INVALID_DEVICE_STATE), SHIM_EBUSY},
	{static_cast<u32>(STATUS_NO_MORE_ENTRIES), SHIM_ENOENT},
	{static_cast<u32>(STATUS_NOT_FOUND), SHIM_ENOENT},
	{static_cast<u32>(STATUS_INVALID_PARAMETER), SHIM_EINVAL},
	{static_cast<u32>(STATUS_BUFFER_TOO_SMALL), SHIM_EINVAL},
	{static_cast<u32>(STATUS_INVALID_BUFFER_SIZE), SHIM_EMSGSIZE},
	{static_cast<u32>(STATUS_IO_TIMEOUT), SHIM_ETIMEDOUT},
	{static_cast<u32>(STATUS_ACCESS_DENIED), SHIM_EACCES},
	{static_cast<u32>(STATUS_DELETE_PENDING), SHIM_ESHUTDOWN},
};

int errno_of(NTSTATUS status)
{
	for (const StatusErrno &row : kErrors) {
		if (row.status == static_cast<u32>(status))
			return row.error;
	}
	return SHIM_EIO;
}

} // namespace kmdf
