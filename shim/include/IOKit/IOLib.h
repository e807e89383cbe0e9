/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory, the log, delays, locks. With it come libkern's strings and BSD's types, as on macOS. Not offered: classes,
 * threads, timers, contiguous memory.
 */
#ifndef _IOKIT_IOLIB_H
#define _IOKIT_IOLIB_H

#include <IOKit/IOLocks.h>
#include <IOKit/IOTypes.h>
#ifndef KEXTBRIDGE_CORE
#include <kern/clock.h>
#include <libkern/OSAtomic.h>
#include <libkern/libkern.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/*
 * size bytes that are not cleared. NULL: there is no memory, or size is 0. Any size that there is memory for; aligned for
 * any scalar type; not contiguous for a device.
 * OWNERSHIP: the caller's, until IOFree() with the same size.
 * CONTEXT: process; may sleep.
 */
void *IOMalloc(vm_size_t size) __attribute__((__malloc__));
/* The same, cleared. */
void *IOMallocZero(vm_size_t size) __attribute__((__malloc__));
/* address may be NULL. CONTEXT: process; may sleep. */
void IOFree(void *address, vm_size_t size);

/* The same at a multiple of alignment, a power of two (anything else: NULL). IOFreeAligned() gives it back. */
void *IOMallocAligned(vm_size_t size, vm_size_t alignment) __attribute__((__malloc__));
void IOFreeAligned(void *address, vm_size_t size);
/* The same. Kernel memory is never paged out here. */
void *IOMallocPageable(vm_size_t size, vm_size_t alignment) __attribute__((__malloc__));
void IOFreePageable(void *address, vm_size_t size);

/* For what has no pointers in it: no difference here. */
#define IOMallocData(size) IOMalloc(size)
#define IOMallocZeroData(size) IOMallocZero(size)
#define IOFreeData(address, size) IOFree(address, size)

/* count * size bytes, or what no memory has when that is more than a size_t can say. */
static inline vm_size_t kextbridge_array_size(vm_size_t size, vm_size_t count)
{
	vm_size_t bytes;

	return __builtin_mul_overflow(size, count, &bytes) ? ~(vm_size_t)0 : bytes;
}

/* An array of `count` objects of a type, NULL without memory; nothing is constructed or destroyed. */
#define IONew(type, count) ((type *)IOMalloc(kextbridge_array_size(sizeof(type), count)))
#define IONewZero(type, count) ((type *)IOMallocZero(kextbridge_array_size(sizeof(type), count)))
#define IODelete(pointer, type, count) IOFree(pointer, kextbridge_array_size(sizeof(type), count))
/* pointer, a variable, becomes NULL. */
#define IOSafeDeleteNULL(pointer, type, count)          \
	do {                                            \
		if (pointer)                            \
			IODelete(pointer, type, count); \
		(pointer) = NULL;                       \
	} while (0)
/* One object, cleared. NULL without memory, which macOS never gives: look. */
#define IOMallocType(type) ((type *)IOMallocZero(sizeof(type)))
#define IOFreeType(pointer, type) IOFree(pointer, sizeof(type))

/* ---- the log --------------------------------------------------------------------------------------------------- */

/*
 * A line of the kernel's log, of the level "info", with nothing in front; what follows a text without a newline begins
 * a new line all the same. About %p: snprintf() in libkern/libkern.h.
 * CONTEXT: any.
 */
__attribute__((__format__(__printf__, 1, 2))) void IOLog(const char *format, ...);
__attribute__((__format__(__printf__, 1, 0))) void IOLogv(const char *format, __builtin_va_list arguments);

/* ---- delays ---------------------------------------------------------------------------------------------------- */

/* Sleeps so long at least; signals do not end it. CONTEXT: process. */
void IOSleep(unsigned int milliseconds);
/* Keeps the CPU busy for about so long, as the kernel's delay loop is calibrated. CONTEXT: any. */
void IODelay(unsigned int microseconds);
void IOPause(unsigned int nanoseconds);

#ifdef __cplusplus
}
#endif

#endif
