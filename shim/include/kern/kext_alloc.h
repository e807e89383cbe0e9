/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Memory in whole pages, for what kmalloc() is too small for. T-171 to T-173 of selftests/assertions.txt prove what is
 * said here.
 *
 * CONTEXT: may sleep.
 */
#ifndef _KERN_KEXT_ALLOC_H
#define _KERN_KEXT_ALLOC_H

#include <mach/kern_return.h>
#include <mach/mach_types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Does nothing: all is ready before a driver runs. May be called at any time, as often as one likes. */
void kext_alloc_init(void);

/*
 * Memory of size bytes, rounded up to whole pages, at *addr: zeroed, for reading and writing, contiguous in the kernel's
 * address space but not in physical memory. It is never executable, and cannot be made so: for code there is the
 * module loader.
 *
 * fixed: not 0 asks for the address *addr. Nothing is reserved for that, so no address can be had by name and this
 *   always fails; it tells only why. 0: *addr is not looked at.
 * OWNERSHIP: the caller's, until kext_free(). A kext that leaves takes its ranges with it, or they stay until
 *   kextbridge.ko goes, which says so in the log.
 * Returns KERN_SUCCESS; on anything else *addr is left alone:
 *   KERN_INVALID_ARGUMENT   addr is NULL;
 *   KERN_NO_SPACE           no address space has so many bytes; fixed, and *addr is a page of the kernel's half;
 *   KERN_INVALID_ADDRESS    fixed, and *addr is not the beginning of a page, or not in the kernel's half;
 *   KERN_RESOURCE_SHORTAGE  there is not so much memory. Nobody is killed to get it.
 * A size of 0 is KERN_SUCCESS with the address 0, fixed or not: there is nothing to free.
 */
kern_return_t kext_alloc(vm_offset_t *addr, vm_size_t size, boolean_t fixed);

/*
 * Takes back one whole range: addr as kext_alloc() gave it, size as it was asked for, or rounded up to pages. Whatever
 * else (another address, another size, a part, the same once more) frees nothing and is one rate-limited line in the
 * log. Address 0 with size 0 is nothing.
 */
void kext_free(vm_offset_t addr, vm_size_t size);

#ifdef __cplusplus
}
#endif

#endif
