// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "shim/shim.h"

void shim_kfree(const void *p)
{
	kfree(p);
}

void shim_kvfree(const void *p)
{
	kvfree(p);
}

struct freed_later {
	struct rcu_head rcu;
};

void shim_kvfree_rcu(void *p)
{
	struct freed_later *memory = p;

	kvfree_rcu(memory, rcu);
}

void *shim_kvmalloc(size_t size, unsigned int gfp)
{
	return kvmalloc(size, (__force gfp_t)gfp);
}

void *shim_kvzalloc(size_t size, unsigned int gfp)
{
	return kvzalloc(size, (__force gfp_t)gfp);
}

void *shim_kzalloc(size_t size, unsigned int gfp)
{
	return kzalloc(size, (__force gfp_t)gfp);
}
