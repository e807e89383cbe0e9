// SPDX-License-Identifier: GPL-2.0-only
#include <linux/delay.h>

#include "shim/shim.h"

void shim_ndelay(unsigned long nsecs)
{
	ndelay(nsecs);
}

void shim_udelay(unsigned long usecs)
{
	udelay(usecs);
}
