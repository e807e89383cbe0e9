// SPDX-License-Identifier: GPL-2.0-only
// as: shim/bad.c
// step: sparse
// says: dereference of noderef expression
#include <linux/compiler.h>
#include <linux/types.h>

u32 shim_bad(const u32 __user *from);
u32 shim_bad(const u32 __user *from)
{
	return *from;
}
