// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's mutexes, semaphores for readers and writers, and spin locks, on threads; with the checks of lockdep.
#include "fake_threads.hpp"

#include <pthread.h>

namespace {

struct Mutex {
	pthread_mutex_t mutex;
};

struct Rwsem {
	pthread_rwlock_t lock;
};

struct Spinlock {
	pthread_mutex_t mutex;
};

void init(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(mutex, &attributes);
	pthread_mutexattr_destroy(&attributes);
}

void check(int err, const char *what)
{
	if (err)
		fake::bug("%s: %s", what, strerror(err));
}

void unlocked_spin()
{
	fake::change_atomic_depth(-1);
	fake::yield_sometimes();
	if (fake::atomic_depth())
		return;
	fake::moment(fake::Moment::Unlock);
	if (fake::extension)
		fake::extension->unlocked();
}

thread_local int interrupts_off;

} // namespace

namespace fake {

bool irqs_off()
{
	return interrupts_off;
}

void change_irqs_off(int by)
{
	interrupts_off += by;
}

} // namespace fake

extern "C" void shim_mutex_init(struct mutex *lock, const char *, struct lock_class_key *)
{
	init(&fake::as<Mutex>(lock)->mutex);
}

extern "C" void shim_mutex_destroy(struct mutex *lock)
{
	check(pthread_mutex_destroy(&fake::as<Mutex>(lock)->mutex), "mutex_destroy");
}

extern "C" void shim_mutex_lock(struct mutex *lock)
{
	fake::may_sleep("mutex_lock");
	fake::yield_sometimes();
	check(pthread_mutex_lock(&fake::as<Mutex>(lock)->mutex), "mutex_lock");
}

extern "C" bool shim_mutex_trylock(struct mutex *lock)
{
	return !pthread_mutex_trylock(&fake::as<Mutex>(lock)->mutex);
}

extern "C" void shim_mutex_unlock(struct mutex *lock)
{
	check(pthread_mutex_unlock(&fake::as<Mutex>(lock)->mutex), "mutex_unlock");
	fake::yield_sometimes();
}

extern "C" void shim_init_rwsem(struct rw_semaphore *sem, const char *, struct lock_class_key *)
{
	pthread_rwlock_init(&fake::as<Rwsem>(sem)->lock, nullptr);
}

extern "C" void shim_down_read(struct rw_semaphore *sem)
{
	fake::may_sleep("down_read");
	fake::yield_sometimes();
	check(pthread_rwlock_rdlock(&fake::as<Rwsem>(sem)->lock), "down_read");
}

extern "C" void shim_down_write(struct rw_semaphore *sem)
{
	fake::may_sleep("down_write");
	fake::yield_sometimes();
	check(pthread_rwlock_wrlock(&fake::as<Rwsem>(sem)->lock), "down_write");
}

extern "C" void shim_up_read(struct rw_semaphore *sem)
{
	check(pthread_rwlock_unlock(&fake::as<Rwsem>(sem)->lock), "up_read");
}

extern "C" void shim_up_write(struct rw_semaphore *sem)
{
	check(pthread_rwlock_unlock(&fake::as<Rwsem>(sem)->lock), "up_write");
}

extern "C" void shim_spin_lock_init(struct spinlock *lock, const char *, struct lock_class_key *)
{
	init(&fake::as<Spinlock>(lock)->mutex);
}

extern "C" void shim_spin_lock(struct spinlock *lock)
{
	fake::yield_sometimes();
	check(pthread_mutex_lock(&fake::as<Spinlock>(lock)->mutex), "spin_lock");
	fake::change_atomic_depth(1);
}

extern "C" bool shim_spin_trylock(struct spinlock *lock)
{
	if (pthread_mutex_trylock(&fake::as<Spinlock>(lock)->mutex))
		return false;
	fake::change_atomic_depth(1);
	return true;
}

extern "C" void shim_spin_unlock(struct spinlock *lock)
{
	check(pthread_mutex_unlock(&fake::as<Spinlock>(lock)->mutex), "spin_unlock");
	unlocked_spin();
}

extern "C" unsigned long shim_spin_lock_irqsave(struct spinlock *lock)
{
	shim_spin_lock(lock);
	fake::change_irqs_off(1);
	return 0x246;
}

extern "C" void shim_spin_unlock_irqrestore(struct spinlock *lock, unsigned long flags)
{
	if (flags != 0x246)
		fake::bug("spin_unlock_irqrestore with other flags");
	fake::change_irqs_off(-1);
	shim_spin_unlock(lock);
}
