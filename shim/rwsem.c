// SPDX-License-Identifier: GPL-2.0-only
#include <linux/rwsem.h>

#include "shim/shim.h"

void shim_down_read(struct rw_semaphore *sem)
{
	down_read(sem);
}

void shim_down_write(struct rw_semaphore *sem)
{
	down_write(sem);
}

void shim_init_rwsem(struct rw_semaphore *sem, const char *name, struct lock_class_key *key)
{
	__init_rwsem(sem, name, key);
}

void shim_up_read(struct rw_semaphore *sem)
{
	up_read(sem);
}

void shim_up_write(struct rw_semaphore *sem)
{
	up_write(sem);
}
