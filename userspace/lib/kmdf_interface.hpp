/* SPDX-License-Identifier: GPL-2.0-only */
/* Which devices have an interface, by what the kernel says in sysfs. Not installed. */
#pragma once

#include "kmdf.h"

namespace kext::kmdf {

/* A line of a device's attribute `interfaces`: "{guid}", or "{guid}\reference"; without the newline. */
bool line_has_interface(const char *line, size_t length, const GUID &guid, const char *reference);

/* kmdf_find_interface() in another folder than /sys/class/kmdf. */
int find_interface(const char *folder, const GUID &guid, const char *reference, char (*names)[KMDF_NAME_SIZE],
		   uint32_t count);

} // namespace kext::kmdf
