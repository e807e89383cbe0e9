// SPDX-License-Identifier: GPL-2.0-only
/* bench.c replaces kbfill_000, here and in the module's own name, by kbfill_001 and so on. */
#include <libkern/OSKextLib.h>

static kern_return_t fill_start(struct kmod_info *ki, void *data)
{
	return KMOD_RETURN_SUCCESS;
}

static kern_return_t fill_stop(struct kmod_info *ki, void *data)
{
	return KMOD_RETURN_SUCCESS;
}

KMOD_EXPLICIT_DECL(org.kextbridge.kbfill_000, "1", fill_start, fill_stop);
