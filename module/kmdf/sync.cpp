// SPDX-License-Identifier: GPL-2.0-only
// Presentation locks, the callbacks that run, and the locks that drivers make: spin locks and wait locks.
#include "sync.hpp"

#include "core.hpp"
#include "shim/enforce.h"

namespace kmdf {

void PresentationLock::init(const char *name, bool passive)
{
	passive_ = passive;
	ready_ = true;
	shim_lockdep_register_key(&key_);
	if (passive)
		shim_mutex_init(&mutex_, name, &key_);
	else
		shim_spin_lock_init(&spin_, name, &key_);
}

void PresentationLock::destroy()
{
	if (!ready_)
		return;
	if (passive_)
		shim_mutex_destroy(&mutex_);
	shim_lockdep_unregister_key(&key_);
}

void PresentationLock::lock()
{
	if (passive_)
		shim_mutex_lock(&mutex_);
	else
		shim_spin_lock_bh(&spin_);
	owner_.store(shim_current());
}

void PresentationLock::unlock()
{
	owner_.store(nullptr);
	if (passive_)
		shim_mutex_unlock(&mutex_);
	else
		shim_spin_unlock_bh(&spin_);
}

void push_frame_locked(Frame &frame, Call call, Queue *queue, Request *request)
{
	frame.task = shim_current();
	frame.call = call;
	frame.queue = queue;
	frame.request = request;
	frame.acted = false;
	core.frames.push_front(frame);
}

void pop_frame_locked(Frame &frame)
{
	frame.node.unlink();
}

u32 frame_depth_locked()
{
	task_struct *task = shim_current();
	u32 depth = 0;

	for (Frame *frame = core.frames.front(); frame; frame = core.frames.next(*frame))
		depth += frame->task == task;
	return depth;
}

bool in_callback_locked(const Queue &queue)
{
	task_struct *task = shim_current();

	for (Frame *frame = core.frames.front(); frame; frame = core.frames.next(*frame)) {
		if (frame->task == task && frame->queue == &queue)
			return true;
	}
	return false;
}

Frame *stop_frame_locked(const Request &request)
{
	task_struct *task = shim_current();

	for (Frame *frame = core.frames.front(); frame; frame = core.frames.next(*frame)) {
		if (frame->task == task && frame->call == Call::Stop && frame->request == &request)
			return frame;
	}
	return nullptr;
}

CallbackGuard::~CallbackGuard()
{
	unsigned int now = shim_softirq_count();

	if (now == before_)
		return;
	report(Rule::CallbackIrql, object_, "%s returned at another IRQL than it was called at", what_);
	// By the step of local_bh_disable(): what it left raised is lowered, and the other way round.
	while (shim_softirq_count() > before_)
		shim_local_bh_enable();
	while (shim_softirq_count() < before_)
		shim_local_bh_disable();
}

// A lock of the driver's own. The holder is known, so that a mistake is an error and not a hang.
class DriverSpinLock final : public Object {
      public:
	static constexpr Type kType = Type::SpinLock;

	explicit DriverSpinLock(Driver *driver) : Object(Type::SpinLock, driver)
	{
		passive_release = true;
		lock.init("WdfSpinLock", false);
	}
	void release_parts() override { lock.destroy(); }
	PresentationLock lock;
};

class WaitLock final : public Object {
      public:
	static constexpr Type kType = Type::WaitLock;

	explicit WaitLock(Driver *driver) : Object(Type::WaitLock, driver)
	{
		static constinit lock_class_key key = {};

		released.init("kmdf_wait_lock", &key);
	}
	task_struct *owner KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;
	WaitQueue released;

	bool try_lock() KEXTBRIDGE_EXCLUDES(core_lock())
	{
		SpinGuard guard(core.lock);

		if (owner)
			return false;
		owner = shim_current();
		return true;
	}
};

// The lock that WdfObjectAcquireLock() means.
static PresentationLock *lock_of(Object &object)
{
	switch (object.type) {
	case Type::Device:
		return &static_cast<Device &>(object).presentation;
	case Type::Queue: {
		Queue &queue = static_cast<Queue &>(object);

		return queue.synchronized ? queue.synchronized : &queue.own_lock;
	}
	default:
		return nullptr;
	}
}

static void acquire(PresentationLock &lock, const Object &object)
{
	if (lock.mine()) {
		report(Rule::RecursiveLock, &object, "this thread has the lock already");
		lock.refuse();
		return;
	}
	if (lock.passive() && at_dispatch()) {
		report(Rule::KmdfIrql, &object, "a lock that may sleep is taken above PASSIVE_LEVEL");
		return;
	}
	lock.lock();
}

static void release(PresentationLock &lock, const Object &object)
{
	if (!lock.mine()) {
		report(Rule::LockOwner, &object, "released by who does not have it");
		return;
	}
	if (!lock.take_refused())
		lock.unlock();
}

} // namespace kmdf

using namespace kmdf;

extern "C" VOID WdfObjectAcquireLock(WDFOBJECT Object)
{
	Ref<kmdf::Object> object = find_object(Object);
	PresentationLock *lock = object ? lock_of(*object) : nullptr;

	if (!lock)
		return report_handle(Object, "WdfObjectAcquireLock", __builtin_return_address(0));
	acquire(*lock, *object);
}

extern "C" VOID WdfObjectReleaseLock(WDFOBJECT Object)
{
	Ref<kmdf::Object> object = find_object(Object);
	PresentationLock *lock = object ? lock_of(*object) : nullptr;

	if (!lock)
		return report_handle(Object, "WdfObjectReleaseLock", __builtin_return_address(0));
	release(*lock, *object);
}

extern "C" NTSTATUS WdfSpinLockCreate(PWDF_OBJECT_ATTRIBUTES SpinLockAttributes, WDFSPINLOCK *SpinLock)
{
	NTSTATUS status;
	Ref<Object> parent = find_parent(SpinLockAttributes, "WdfSpinLockCreate", __builtin_return_address(0), &status);

	if (!parent)
		return status;
	return hand_out(make<DriverSpinLock>(SpinLockAttributes, gfp_here(), driver_of(*parent)), *parent, SpinLock);
}

extern "C" VOID WdfSpinLockAcquire(WDFSPINLOCK SpinLock)
{
	if (Ref<DriverSpinLock> lock = find<DriverSpinLock>(SpinLock, "WdfSpinLockAcquire"))
		acquire(lock->lock, *lock);
}

extern "C" VOID WdfSpinLockRelease(WDFSPINLOCK SpinLock)
{
	if (Ref<DriverSpinLock> lock = find<DriverSpinLock>(SpinLock, "WdfSpinLockRelease"))
		release(lock->lock, *lock);
}

extern "C" NTSTATUS WdfWaitLockCreate(PWDF_OBJECT_ATTRIBUTES LockAttributes, WDFWAITLOCK *Lock)
{
	NTSTATUS status;
	Ref<Object> parent = find_parent(LockAttributes, "WdfWaitLockCreate", __builtin_return_address(0), &status);

	if (!parent)
		return status;
	return hand_out(make<WaitLock>(LockAttributes, gfp_here(), driver_of(*parent)), *parent, Lock);
}

extern "C" NTSTATUS WdfWaitLockAcquire(WDFWAITLOCK Lock, PLONGLONG Timeout)
{
	Ref<WaitLock> lock = find<WaitLock>(Lock, "WdfWaitLockAcquire");

	if (!lock)
		return STATUS_INVALID_PARAMETER;
	if (lock->try_lock())
		return STATUS_SUCCESS;
	if (Timeout && !*Timeout)
		return STATUS_TIMEOUT;
	if (at_dispatch()) {
		report(Rule::KmdfIrql, lock.get(), "WdfWaitLockAcquire waits above PASSIVE_LEVEL");
		return STATUS_TIMEOUT;
	}
	auto taken = [&] { return lock->try_lock(); };

	if (!Timeout) {
		lock->released.wait(taken);
		return STATUS_SUCCESS;
	}
	return lock->released.wait_hrtimeout(taken, relative_ns(*Timeout), SHIM_TASK_UNINTERRUPTIBLE) ? STATUS_TIMEOUT :
													STATUS_SUCCESS;
}

extern "C" VOID WdfWaitLockRelease(WDFWAITLOCK Lock)
{
	Ref<WaitLock> lock = find<WaitLock>(Lock, "WdfWaitLockRelease");
	bool mine;

	if (!lock)
		return;
	{
		SpinGuard guard(core.lock);

		mine = lock->owner == shim_current();
		if (mine)
			lock->owner = nullptr;
	}
	if (!mine)
		return report(Rule::LockOwner, lock.get(), "released by who does not have it");
	lock->released.wake_one();
}
