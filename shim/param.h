/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Parameters that root may write at any moment, while the core reads them without a lock (READ_ONCE(), read_once()).
 * Follows <linux/moduleparam.h>, whose own setters store plainly, which is a data race.
 */
#ifndef _SHIM_PARAM_H
#define _SHIM_PARAM_H

#include <linux/moduleparam.h>

extern const struct kernel_param_ops param_ops_once_uint;
extern const struct kernel_param_ops param_ops_once_bool;

/* As module_param_named(name, variable, type, 0644); type: uint, bool. */
#define param_once(name, variable, type)                                  \
	param_check_##type(name, &(variable));                            \
	module_param_cb(name, &param_ops_once_##type, &(variable), 0644); \
	__MODULE_PARM_TYPE(name, #type)

#endif
