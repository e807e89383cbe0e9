/* SPDX-License-Identifier: GPL-2.0-only */
/* Scalar types that KPI prototypes use, with the widths they have on x86_64. */
#ifndef _MACH_MACH_TYPES_H
#define _MACH_MACH_TYPES_H

#include <mach/boolean.h>
#include <mach/vm_types.h>

typedef natural_t mach_msg_type_number_t;

#endif /* _MACH_MACH_TYPES_H */
