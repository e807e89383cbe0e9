// SPDX-License-Identifier: GPL-2.0-only
/* The hooks of kmdf.ko's test build: it has its own counts, its own coverage and its own end of the system. */
#include "../test.c"

#include "../coverage.c"
#include "shim/entry.h"

static int shutdown_set(const char *value, const struct kernel_param *kp)
{
	kextbridge_shutdown_c();
	return 0;
}

static const struct kernel_param_ops shutdown_ops = {.set = shutdown_set};
module_param_cb(shutdown, &shutdown_ops, NULL, 0200);
MODULE_PARM_DESC(shutdown, "test build: what happens when the system goes down");
