// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's mutexes, semaphores for readers and writers, and spin locks, on fibers.
#include "fiber_shim.hpp"

using namespace schedules;

namespace {

struct Lock {
	const char *name;
	u8 holder; // slot + 1; 0: nobody
	u8 readers;
};

template <typename Opaque> Lock *lock_of(Opaque *opaque)
{
	return fake::as<Lock>(opaque);
}

u8 me()
{
	return static_cast<u8>(running_slot() + 1);
}

bool is_free(const void *lock)
{
	return !static_cast<const Lock *>(lock)->holder;
}

bool is_free_to_write(const void *lock)
{
	return is_free(lock) && !static_cast<const Lock *>(lock)->readers;
}

void take(Lock *lock, Ready ready = is_free)
{
	if (lock->holder == me())
		fake::bug("deadlock: %s taken twice", lock->name);
	step("lock", lock->name, ready, lock);
	lock->holder = me();
}

bool try_to_take(Lock *lock)
{
	step("trylock", lock->name);
	if (lock->holder)
		return false;
	lock->holder = me();
	return true;
}

void drop(Lock *lock)
{
	if (lock->holder != me())
		fake::bug("%s is unlocked by one that does not hold it", lock->name);
	lock->holder = 0;
}

} // namespace

extern "C" void shim_mutex_init(struct mutex *lock, const char *name, struct lock_class_key *)
{
	*lock_of(lock) = {name, 0, 0};
}

extern "C" void shim_mutex_destroy(struct mutex *lock)
{
	if (lock_of(lock)->holder)
		fake::bug("mutex_destroy: %s is held", lock_of(lock)->name);
}

extern "C" void shim_mutex_lock(struct mutex *lock)
{
	fake::may_sleep("mutex_lock");
	take(lock_of(lock));
}

extern "C" bool shim_mutex_trylock(struct mutex *lock)
{
	return try_to_take(lock_of(lock));
}

extern "C" void shim_mutex_unlock(struct mutex *lock)
{
	drop(lock_of(lock));
	step("unlocked", lock_of(lock)->name);
}

extern "C" void shim_init_rwsem(struct rw_semaphore *sem, const char *name, struct lock_class_key *)
{
	*lock_of(sem) = {name, 0, 0};
}

extern "C" void shim_down_read(struct rw_semaphore *sem)
{
	fake::may_sleep("down_read");
	step("down_read", lock_of(sem)->name, is_free, lock_of(sem));
	lock_of(sem)->readers++;
}

extern "C" void shim_down_write(struct rw_semaphore *sem)
{
	fake::may_sleep("down_write");
	take(lock_of(sem), is_free_to_write);
}

extern "C" void shim_up_read(struct rw_semaphore *sem)
{
	if (!lock_of(sem)->readers--)
		fake::bug("up_read without a reader");
	step("up_read", lock_of(sem)->name);
}

extern "C" void shim_up_write(struct rw_semaphore *sem)
{
	drop(lock_of(sem));
	step("up_write", lock_of(sem)->name);
}

extern "C" void shim_spin_lock_init(struct spinlock *lock, const char *name, struct lock_class_key *)
{
	*lock_of(lock) = {name, 0, 0};
}

extern "C" void shim_spin_lock(struct spinlock *lock)
{
	take(lock_of(lock));
	running().locks++;
}

extern "C" bool shim_spin_trylock(struct spinlock *lock)
{
	bool taken = try_to_take(lock_of(lock));

	running().locks += taken;
	return taken;
}

extern "C" void shim_spin_unlock(struct spinlock *lock)
{
	drop(lock_of(lock));
	running().locks--;
	step("unlocked", lock_of(lock)->name);
}

extern "C" unsigned long shim_spin_lock_irqsave(struct spinlock *lock)
{
	shim_spin_lock(lock);
	running().irqs_off++;
	return 0;
}

extern "C" void shim_spin_unlock_irqrestore(struct spinlock *lock, unsigned long)
{
	running().irqs_off--;
	shim_spin_unlock(lock);
}
