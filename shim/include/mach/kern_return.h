/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/* kern_return_t and the values of it that reach a driver. */
#ifndef _MACH_KERN_RETURN_H
#define _MACH_KERN_RETURN_H

typedef int kern_return_t;

#define KERN_SUCCESS 0
#define KERN_INVALID_ADDRESS 1
#define KERN_NO_SPACE 3
#define KERN_INVALID_ARGUMENT 4
#define KERN_FAILURE 5
#define KERN_RESOURCE_SHORTAGE 6
#define KERN_NOT_SUPPORTED 46

#endif /* _MACH_KERN_RETURN_H */
