// SPDX-License-Identifier: GPL-2.0-only
#pragma once

#include "common.hpp"

namespace kmdf {

// What a program sees of a status that is not success: a positive errno. ioctl: of KMDF_IOC_DEVICE_CONTROL's kind.
int errno_of(NTSTATUS status);

} // namespace kmdf
