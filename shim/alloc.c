// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "shim/shim.h"
#include "test.h"

void shim_kfree(const void *p)
{
	kextbridge_test_freed(p);
	kfree(p);
}

void shim_kvfree(const void *p)
{
	kextbridge_test_freed(p);
	kvfree(p);
}

struct freed_later {
	struct rcu_head rcu;
};

void shim_kvfree_rcu(void *p)
{
	struct freed_later *memory = p;

	kextbridge_test_freed(p);
	kvfree_rcu(memory, rcu);
}

void *shim_kvmalloc(size_t size, unsigned int gfp)
{
	return kextbridge_test_allocating() ? NULL : kextbridge_test_allocated(kvmalloc(size, (__force gfp_t)gfp));
}

void *shim_kvzalloc(size_t size, unsigned int gfp)
{
	return kextbridge_test_allocating() ? NULL : kextbridge_test_allocated(kvzalloc(size, (__force gfp_t)gfp));
}

void *shim_kzalloc(size_t size, unsigned int gfp)
{
	return kextbridge_test_allocating() ? NULL : kextbridge_test_allocated(kzalloc(size, (__force gfp_t)gfp));
}

void shim_vfree(const void *p)
{
	kextbridge_test_freed(p);
	vfree(p);
}

void *shim___vmalloc(size_t size, unsigned int gfp)
{
	return kextbridge_test_allocating() ? NULL : kextbridge_test_allocated(__vmalloc(size, (__force gfp_t)gfp));
}
