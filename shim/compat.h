/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * All differences between the kernels we build for, and the bounds of what was tried. No other file looks
 * at LINUX_VERSION_CODE.
 */
#ifndef _SHIM_COMPAT_H
#define _SHIM_COMPAT_H

#include <linux/device.h>
#include <linux/module.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#error "kextbridge: kernels before 6.1 were never tried; see README.md, Limits"
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0) && LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#error "kextbridge: only 6.1 and 6.12 were tried; see README.md, Limits"
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
#error "kextbridge: kernels after 6.12 were never tried; see README.md, Limits"
#endif
#ifndef CONFIG_X86_64
#error "kextbridge: only amd64 was tried; see README.md, Limits"
#endif

/* 6.10, 2c92ca849fcc "tracing/treewide: Remove second parameter of __assign_str()" */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 10, 0)
#define compat_assign_str(dst, src) __assign_str(dst)
#else
#define compat_assign_str(dst, src) __assign_str(dst, src)
#endif

/* 6.2, ff62b8e6588f "driver core: make struct class.devnode() take a const *" */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
typedef const struct device compat_devnode_device;
#else
typedef struct device compat_devnode_device;
#endif

/* 6.4, 6e30a66433af "driver core: class: remove struct module owner out of struct class" */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define COMPAT_CLASS_OWNER
#else
#define COMPAT_CLASS_OWNER .owner = THIS_MODULE,
#endif

/* 6.3, 7d58fe731028 "iov_iter: Add a function to extract a page list from an iterator" */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define compat_extract_pages(iter, pages, size, count, offset) \
	iov_iter_extract_pages(iter, pages, size, count, 0, offset)
#define compat_extract_will_pin(iter) iov_iter_extract_will_pin(iter)
#else
/* With references instead of pins; as many as there are. */
#define compat_extract_pages(iter, pages, size, count, offset) iov_iter_get_pages_alloc2(iter, pages, size, offset)
#define compat_extract_will_pin(iter) false
#endif

static inline void compat_module_text(const struct module *module, unsigned long *start, unsigned long *size)
{
	/* 6.4, ac3b43283923 "module: replace module_layout with module_memory" */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
	*start = (unsigned long)module->mem[MOD_TEXT].base;
	*size = module->mem[MOD_TEXT].size;
#else
	*start = (unsigned long)module->core_layout.base;
	*size = module->core_layout.text_size;
#endif
}

#endif
