/* SPDX-License-Identifier: GPL-2.0-only */
/* Types of I/O Kit prototypes, with the widths they have on x86_64. */
#ifndef _IOKIT_IOTYPES_H
#define _IOKIT_IOTYPES_H

#include <IOKit/IOReturn.h>
#include <libkern/OSTypes.h>
#include <mach/mach_types.h>

typedef UInt32 IOOptionBits;
typedef SInt32 IOFixed;
typedef UInt32 IOVersion;
typedef UInt32 IOItemCount;

typedef UInt32 IOByteCount32;
typedef UInt64 IOByteCount64;
typedef IOByteCount64 IOByteCount;

typedef vm_address_t IOVirtualAddress;
typedef IOVirtualAddress IOLogicalAddress;
typedef UInt32 IOPhysicalAddress32;
typedef UInt64 IOPhysicalAddress64;
typedef UInt32 IOPhysicalLength32;
typedef UInt64 IOPhysicalLength64;
typedef IOPhysicalAddress64 IOPhysicalAddress;
typedef IOPhysicalLength64 IOPhysicalLength;

typedef struct {
	IOPhysicalAddress address;
	IOByteCount length;
} IOPhysicalRange;

typedef struct {
	IOVirtualAddress address;
	IOByteCount length;
} IOVirtualRange;

typedef IOVirtualRange IOAddressRange;

/* As mach_absolute_time() gives it: nanoseconds. */
typedef UInt64 AbsoluteTime;

#endif
