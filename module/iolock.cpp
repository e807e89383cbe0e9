// SPDX-License-Identifier: GPL-2.0-only
// LOCKING: a driver's own lock may be held when a bucket's is taken. Inside a bucket's lock: that of a sleeper's wait
// queue.
#include "iolock.hpp"

#include "IOKit/IOLocks.h"
#include "base/list.hpp"
#include "base/new.hpp"
#include "base/once.hpp"
#include "base/spinlock.hpp"
#include "base/wait.hpp"
#include "shim/enforce.h"

using namespace kextbridge;

namespace kextbridge {
namespace {

// Who sleeps, on its own stack. A waker is done with it when it has dropped the lock under which it has set `woken`, and
// the sleeper leaves only after it has seen that, or that it is still linked, under the same lock.
struct Sleeper {
	ListNode node;
	const void *const event;
	bool woken = false;
	WaitQueue wait;

	// From here on a wake-up finds it. What keeps wakers out is dropped before sleep(), which must follow.
	explicit Sleeper(const void *event_address);
	// A THREAD_* value.
	int sleep(AbsoluteTime deadline, UInt32 how);
};

struct Bucket {
	SpinLock lock;
	List<Sleeper, &Sleeper::node> sleepers KEXTBRIDGE_GUARDED_BY(lock); // in the order in which they came
};

constexpr unsigned int kBucketBits = 6;
constinit Bucket buckets[1u << kBucketBits];
constinit lock_class_key bucket_key = {};
constinit lock_class_key sleeper_key = {};

Bucket &bucket_of(const void *event)
{
	// As the kernel's hash_64(): the upper bits of the product depend on all of the address.
	return buckets[reinterpret_cast<u64>(event) * 0x61c8864680b583ebull >> (64 - kBucketBits)];
}

void mistake(const void *caller, const char *what)
{
	shim_pr_warn_ratelimited("%pS: %s", caller, what);
}

unsigned int task_state(UInt32 how)
{
	return how == THREAD_INTERRUPTIBLE || how == THREAD_ABORTSAFE ? SHIM_TASK_INTERRUPTIBLE : SHIM_TASK_IDLE;
}

// How long it is until the deadline; 0 means that there is none.
s64 time_until(AbsoluteTime deadline)
{
	u64 now = shim_ktime_get_ns();
	u64 left = deadline > now ? deadline - now : 0;

	return !deadline || left > SHIM_KTIME_MAX ? SHIM_KTIME_MAX : static_cast<s64>(left);
}

Sleeper::Sleeper(const void *event_address) : event(event_address)
{
	Bucket &bucket = bucket_of(event);

	wait.init("IOLockSleep", &sleeper_key);
	SpinGuard guard(bucket.lock);

	bucket.sleepers.push_back(*this);
}

int Sleeper::sleep(AbsoluteTime deadline, UInt32 how)
{
	Bucket &bucket = bucket_of(event);
	int err = wait.wait_hrtimeout(
		[&] {
			SpinGuard guard(bucket.lock);

			return woken;
		},
		time_until(deadline), task_state(how));
	SpinGuard guard(bucket.lock);

	// Who was chosen by a waker has been woken, whatever came as well: nobody else was.
	if (woken)
		return THREAD_AWAKENED;
	node.unlink();
	return err == -SHIM_ETIME ? THREAD_TIMED_OUT : THREAD_INTERRUPTED;
}

void wake_up(const void *event, bool one)
{
	Bucket &bucket = bucket_of(event);
	SpinGuard guard(bucket.lock);
	Sleeper *next;

	for (Sleeper *sleeper = bucket.sleepers.front(); sleeper; sleeper = next) {
		next = bucket.sleepers.next(*sleeper);
		if (sleeper->event != event)
			continue;
		sleeper->node.unlink();
		sleeper->woken = true;
		sleeper->wait.wake_one();
		if (one)
			return;
	}
}

} // namespace

// A mutex that knows its owner. Each lock has a lock class of its own: what is right between two locks of one driver is
// nobody else's matter.
class OwnedMutex final {
	mutex lock_;
	lock_class_key key_;
	Racy<task_struct *> owner_;

      public:
	void init(const char *name)
	{
		shim_lockdep_register_key(&key_);
		shim_mutex_init(&lock_, name, &key_);
	}
	void destroy()
	{
		shim_mutex_destroy(&lock_);
		shim_lockdep_unregister_key(&key_);
	}
	bool is_held() const { return owner_.load(); }
	bool is_mine() const { return owner_.load() == shim_current(); }
	void lock()
	{
		shim_mutex_lock(&lock_);
		owner_.store(shim_current());
	}
	bool try_lock()
	{
		if (!shim_mutex_trylock(&lock_))
			return false;
		owner_.store(shim_current());
		return true;
	}
	void unlock()
	{
		owner_.store(nullptr);
		shim_mutex_unlock(&lock_);
	}
};

void init_events() KEXTBRIDGE_UNCHECKED
{
	for (Bucket &bucket : buckets) {
		bucket.lock.init("kextbridge_events", &bucket_key);
		bucket.sleepers.init();
	}
}

} // namespace kextbridge

struct _IOLock {
	OwnedMutex mutex;
};

struct _IORecursiveLock {
	OwnedMutex mutex;
	u32 depth = 0; // guarded by the mutex
};

struct _IORWLock {
	rw_semaphore semaphore;
	lock_class_key key;
	Racy<task_struct *> writer;
	SpinLock count_lock;
	u32 readers KEXTBRIDGE_GUARDED_BY(count_lock) = 0;
};

struct _IOSimpleLock {
	spinlock lock;
	lock_class_key key;
	Racy<bool> held;
};

namespace kextbridge {
namespace {

constinit lock_class_key count_key = {};

template <typename Lock> Lock *make_lock()
{
	void *memory = shim_kzalloc(sizeof(Lock), SHIM_GFP_KERNEL);

	return memory ? new (Placement{memory}) Lock : nullptr;
}

#define CALLER __builtin_return_address(0)

template <typename Lock> bool is_lock(Lock *lock, const void *caller)
{
	if (!lock)
		mistake(caller, "a lock that is NULL");
	return lock;
}

template <typename Lock> bool is_mine(Lock *lock, const void *caller)
{
	if (!is_lock(lock, caller))
		return false;
	if (!lock->mutex.is_mine())
		mistake(caller, "a lock that this thread does not hold");
	return lock->mutex.is_mine();
}

template <typename Lock> void free_lock(Lock *lock, const void *caller)
{
	if (!lock)
		return;
	if (lock->mutex.is_held()) {
		mistake(caller, "a lock is not freed: somebody holds it");
		return;
	}
	lock->mutex.destroy();
	shim_kfree(lock);
}

int sleep_without(IOLock *lock, const void *event, AbsoluteTime deadline, UInt32 how, const void *caller)
{
	bool held = is_mine(lock, caller);
	Sleeper sleeper(event);

	if (held)
		lock->mutex.unlock();
	int result = sleeper.sleep(deadline, how);

	if (held)
		lock->mutex.lock();
	return result;
}

int sleep_without(IORecursiveLock *lock, const void *event, AbsoluteTime deadline, UInt32 how, const void *caller)
{
	if (!is_mine(lock, caller))
		return Sleeper(event).sleep(deadline, how);
	u32 depth = lock->depth;
	Sleeper sleeper(event);

	lock->depth = 0;
	lock->mutex.unlock();
	int result = sleeper.sleep(deadline, how);

	lock->mutex.lock();
	lock->depth = depth;
	return result;
}

void count_reader(IORWLock *lock)
{
	SpinGuard guard(lock->count_lock);

	lock->readers++;
}

bool uncount_reader(IORWLock *lock)
{
	SpinGuard guard(lock->count_lock);

	if (!lock->readers)
		return false;
	lock->readers--;
	return true;
}

bool has_readers(IORWLock *lock)
{
	SpinGuard guard(lock->count_lock);

	return lock->readers;
}

} // namespace
} // namespace kextbridge

// ---- IOLock

extern "C" IOLock *IOLockAlloc(void)
{
	IOLock *lock = make_lock<IOLock>();

	if (lock)
		lock->mutex.init("IOLock");
	return lock;
}

extern "C" void IOLockFree(IOLock *lock)
{
	free_lock(lock, CALLER);
}

extern "C" void IOLockLock(IOLock *lock)
{
	if (!is_lock(lock, CALLER))
		return;
	if (lock->mutex.is_mine())
		mistake(CALLER, "a lock that this thread holds already");
	else
		lock->mutex.lock();
}

extern "C" bool IOLockTryLock(IOLock *lock)
{
	return is_lock(lock, CALLER) && lock->mutex.try_lock();
}

extern "C" void IOLockUnlock(IOLock *lock)
{
	if (is_mine(lock, CALLER))
		lock->mutex.unlock();
}

extern "C" int IOLockSleep(IOLock *lock, void *event, UInt32 interType)
{
	return sleep_without(lock, event, 0, interType, CALLER);
}

extern "C" int IOLockSleepDeadline(IOLock *lock, void *event, AbsoluteTime deadline, UInt32 interType)
{
	return sleep_without(lock, event, deadline, interType, CALLER);
}

extern "C" void IOLockWakeup(IOLock *, void *event, bool oneThread)
{
	wake_up(event, oneThread);
}

// ---- IORecursiveLock

extern "C" IORecursiveLock *IORecursiveLockAlloc(void)
{
	IORecursiveLock *lock = make_lock<IORecursiveLock>();

	if (lock)
		lock->mutex.init("IORecursiveLock");
	return lock;
}

extern "C" void IORecursiveLockFree(IORecursiveLock *lock)
{
	free_lock(lock, CALLER);
}

extern "C" void IORecursiveLockLock(IORecursiveLock *lock)
{
	if (!is_lock(lock, CALLER))
		return;
	if (!lock->mutex.is_mine())
		lock->mutex.lock();
	lock->depth++;
}

extern "C" bool IORecursiveLockTryLock(IORecursiveLock *lock)
{
	if (!is_lock(lock, CALLER) || (!lock->mutex.is_mine() && !lock->mutex.try_lock()))
		return false;
	lock->depth++;
	return true;
}

extern "C" void IORecursiveLockUnlock(IORecursiveLock *lock)
{
	if (is_mine(lock, CALLER) && !--lock->depth)
		lock->mutex.unlock();
}

extern "C" bool IORecursiveLockHaveLock(const IORecursiveLock *lock)
{
	return is_lock(lock, CALLER) && lock->mutex.is_mine();
}

extern "C" int IORecursiveLockSleep(IORecursiveLock *lock, void *event, UInt32 interType)
{
	return sleep_without(lock, event, 0, interType, CALLER);
}

extern "C" int IORecursiveLockSleepDeadline(IORecursiveLock *lock, void *event, AbsoluteTime deadline, UInt32 interType)
{
	return sleep_without(lock, event, deadline, interType, CALLER);
}

extern "C" void IORecursiveLockWakeup(IORecursiveLock *, void *event, bool oneThread)
{
	wake_up(event, oneThread);
}

// ---- IORWLock

extern "C" IORWLock *IORWLockAlloc(void)
{
	IORWLock *lock = make_lock<IORWLock>();

	if (!lock)
		return nullptr;
	shim_lockdep_register_key(&lock->key);
	shim_init_rwsem(&lock->semaphore, "IORWLock", &lock->key);
	lock->count_lock.init("IORWLock readers", &count_key);
	return lock;
}

extern "C" void IORWLockFree(IORWLock *lock)
{
	if (!lock)
		return;
	if (lock->writer.load() || has_readers(lock)) {
		mistake(CALLER, "a lock is not freed: somebody holds it");
		return;
	}
	shim_lockdep_unregister_key(&lock->key);
	shim_kfree(lock);
}

extern "C" void IORWLockRead(IORWLock *lock)
{
	if (!is_lock(lock, CALLER))
		return;
	if (lock->writer.load() == shim_current()) {
		mistake(CALLER, "a lock that this thread holds already");
		return;
	}
	shim_down_read(&lock->semaphore);
	count_reader(lock);
}

extern "C" void IORWLockWrite(IORWLock *lock)
{
	if (!is_lock(lock, CALLER))
		return;
	if (lock->writer.load() == shim_current()) {
		mistake(CALLER, "a lock that this thread holds already");
		return;
	}
	shim_down_write(&lock->semaphore);
	lock->writer.store(shim_current());
}

extern "C" void IORWLockUnlock(IORWLock *lock)
{
	if (!is_lock(lock, CALLER))
		return;
	if (lock->writer.load() == shim_current()) {
		lock->writer.store(nullptr);
		shim_up_write(&lock->semaphore);
	} else if (uncount_reader(lock)) {
		shim_up_read(&lock->semaphore);
	} else {
		mistake(CALLER, "a lock that this thread does not hold");
	}
}

// ---- IOSimpleLock

extern "C" IOSimpleLock *IOSimpleLockAlloc(void)
{
	IOSimpleLock *lock = make_lock<IOSimpleLock>();

	if (!lock)
		return nullptr;
	shim_lockdep_register_key(&lock->key);
	shim_spin_lock_init(&lock->lock, "IOSimpleLock", &lock->key);
	return lock;
}

extern "C" void IOSimpleLockFree(IOSimpleLock *lock)
{
	if (!lock)
		return;
	if (lock->held.load()) {
		mistake(CALLER, "a lock is not freed: somebody holds it");
		return;
	}
	shim_lockdep_unregister_key(&lock->key);
	shim_kfree(lock);
}

extern "C" void IOSimpleLockInit(IOSimpleLock *lock)
{
	if (!is_lock(lock, CALLER))
		return;
	lock->held.store(false);
	shim_spin_lock_init(&lock->lock, "IOSimpleLock", &lock->key);
}

extern "C" void IOSimpleLockLock(IOSimpleLock *lock)
{
	if (!is_lock(lock, CALLER))
		return;
	shim_spin_lock(&lock->lock);
	lock->held.store(true);
}

extern "C" bool IOSimpleLockTryLock(IOSimpleLock *lock)
{
	if (!is_lock(lock, CALLER) || !shim_spin_trylock(&lock->lock))
		return false;
	lock->held.store(true);
	return true;
}

// Who holds it need not be a thread: that nobody does is all that can be told.
static bool drop(IOSimpleLock *lock, const void *caller)
{
	if (!is_lock(lock, caller))
		return false;
	if (!lock->held.load()) {
		mistake(caller, "a lock that nobody holds");
		return false;
	}
	lock->held.store(false);
	return true;
}

extern "C" void IOSimpleLockUnlock(IOSimpleLock *lock)
{
	if (drop(lock, CALLER))
		shim_spin_unlock(&lock->lock);
}

extern "C" IOInterruptState IOSimpleLockLockDisableInterrupt(IOSimpleLock *lock)
{
	if (!is_lock(lock, CALLER))
		return 0;
	unsigned long flags = shim_spin_lock_irqsave(&lock->lock);

	lock->held.store(true);
	return static_cast<IOInterruptState>(flags);
}

extern "C" void IOSimpleLockUnlockEnableInterrupt(IOSimpleLock *lock, IOInterruptState state)
{
	if (drop(lock, CALLER))
		shim_spin_unlock_irqrestore(&lock->lock, static_cast<unsigned long>(state));
}
