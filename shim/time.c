// SPDX-License-Identifier: GPL-2.0-only
#include <linux/ktime.h>

#include "shim/shim.h"

u64 shim_ktime_get_ns(void)
{
	return ktime_get_ns();
}
