// SPDX-License-Identifier: GPL-2.0-only
// as: shim/bad.c
// step: checkpatch
// says: ASSIGN_IN_IF
#include <linux/slab.h>

void *shim_bad(size_t size)
{
	void *p;

	if (!(p = kmalloc(size, GFP_KERNEL)))
		return NULL;
	return p;
}
