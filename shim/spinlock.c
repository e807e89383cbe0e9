// SPDX-License-Identifier: GPL-2.0-only
#include <linux/lockdep.h>
#include <linux/spinlock.h>

#include "shim/shim.h"
#include "test.h"

void shim_spin_lock(struct spinlock *lock) __acquires(lock)
{
	kextbridge_test_point(TEST_LOCK);
	spin_lock(lock);
}

/* With the caller's lock class: the macro would give all locks of this file one class. */
void shim_spin_lock_init(struct spinlock *lock, const char *name, struct lock_class_key *key)
{
	spin_lock_init(lock);
	lockdep_set_class_and_name(lock, key, name);
}

unsigned long shim_spin_lock_irqsave(struct spinlock *lock) __acquires(lock)
{
	unsigned long flags;

	kextbridge_test_point(TEST_LOCK);
	spin_lock_irqsave(lock, flags);
	return flags;
}

bool shim_spin_trylock(struct spinlock *lock)
{
	return spin_trylock(lock);
}

void shim_spin_unlock(struct spinlock *lock) __releases(lock)
{
	spin_unlock(lock);
	kextbridge_test_point(TEST_UNLOCK);
}

void shim_spin_unlock_irqrestore(struct spinlock *lock, unsigned long flags) __releases(lock)
{
	spin_unlock_irqrestore(lock, flags);
	kextbridge_test_point(TEST_UNLOCK);
}
