/* SPDX-License-Identifier: GPL-2.0-only */
/* Addresses and sizes, with the widths they have on x86_64. */
#ifndef _MACH_VM_TYPES_H
#define _MACH_VM_TYPES_H

#include <kextbridge/types.h>

typedef uint32_t natural_t;
typedef int32_t integer_t;
typedef uintptr_t vm_address_t;
typedef uintptr_t vm_offset_t;
typedef uintptr_t vm_size_t;
typedef uint64_t mach_vm_address_t;
typedef uint64_t mach_vm_offset_t;
typedef uint64_t mach_vm_size_t;

#endif
