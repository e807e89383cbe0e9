/* SPDX-License-Identifier: GPL-2.0-only */
/* Scalar types that KPI prototypes use, with the widths they have on x86_64. */
#ifndef _MACH_MACH_TYPES_H
#define _MACH_MACH_TYPES_H

#include <kextbridge/types.h>

typedef uintptr_t vm_address_t;
typedef uintptr_t vm_offset_t;
typedef uintptr_t vm_size_t;
typedef uint32_t natural_t;
typedef natural_t mach_msg_type_number_t;
typedef unsigned int boolean_t;

#endif /* _MACH_MACH_TYPES_H */
