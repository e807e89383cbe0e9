// SPDX-License-Identifier: GPL-2.0-only
#include <linux/xarray.h>

#include "shim/shim.h"
#include "test.h"

int shim___xa_insert(struct xarray *xa, unsigned long index, void *entry, unsigned int gfp)
{
	if (kextbridge_test_allocating())
		return -ENOMEM;
	return __xa_insert(xa, index, entry, (__force gfp_t)gfp);
}

void *shim___xa_erase(struct xarray *xa, unsigned long index)
{
	return __xa_erase(xa, index);
}

void *shim___xa_store(struct xarray *xa, unsigned long index, void *entry, unsigned int gfp)
{
	return __xa_store(xa, index, entry, (__force gfp_t)gfp);
}

void shim_xa_destroy(struct xarray *xa)
{
	xa_destroy(xa);
}

void *shim_xa_find(struct xarray *xa, unsigned long *index, unsigned long max)
{
	return xa_find(xa, index, max, XA_PRESENT);
}

void shim_xa_init_flags(struct xarray *xa, unsigned int flags, const char *name, struct lock_class_key *key)
{
	xa_init_flags(xa, (__force gfp_t)flags);
	lockdep_set_class_and_name(&xa->xa_lock, key, name);
}

void *shim_xa_load(struct xarray *xa, unsigned long index)
{
	return xa_load(xa, index);
}

void shim_xa_lock_bh(struct xarray *xa) __acquires(&xa->xa_lock)
{
	kextbridge_test_point(TEST_LOCK);
	xa_lock_bh(xa);
}

void *shim_xa_mk_value(unsigned long v)
{
	return xa_mk_value(v);
}

unsigned long shim_xa_to_value(const void *entry)
{
	return xa_to_value(entry);
}

void shim_xa_unlock_bh(struct xarray *xa) __releases(&xa->xa_lock)
{
	xa_unlock_bh(xa);
	kextbridge_test_point(TEST_UNLOCK);
}
