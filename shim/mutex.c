// SPDX-License-Identifier: GPL-2.0-only
#include <linux/mutex.h>

#include "shim/shim.h"

void shim_mutex_destroy(struct mutex *lock)
{
	mutex_destroy(lock);
}

void shim_mutex_init(struct mutex *lock, const char *name, struct lock_class_key *key)
{
	__mutex_init(lock, name, key);
}

void shim_mutex_lock(struct mutex *lock)
{
	mutex_lock(lock);
}

bool shim_mutex_trylock(struct mutex *lock)
{
	return mutex_trylock(lock);
}

void shim_mutex_unlock(struct mutex *lock)
{
	mutex_unlock(lock);
}
