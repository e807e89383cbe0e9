// SPDX-License-Identifier: GPL-2.0-only
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/fs.h>
#include <linux/uidgid.h>

#include "shim/shim.h"

bool shim_capable(int cap)
{
	return capable(cap);
}

u32 shim_current_uid(void)
{
	return from_kuid(&init_user_ns, current_uid());
}

bool shim_file_capable(const struct file *file, int cap)
{
	return file_ns_capable(file, &init_user_ns, cap);
}
