// SPDX-License-Identifier: GPL-2.0-only
// Timers and work items: their callbacks, and the lock around them if they are serialized with their parent. Contracts:
// wdftimer.h, wdfworkitem.h.
#include "core.hpp"
#include "shim/enforce.h"

namespace kmdf {

// The queue's or device's lock that a child's callbacks take; null: none. *incompatible: it is of the other level.
static PresentationLock *serializing_lock(Object &parent, bool automatic, bool passive, bool *incompatible)
{
	PresentationLock *lock = nullptr;

	*incompatible = false;
	if (!automatic)
		return nullptr;
	if (parent.type == Type::Queue) {
		lock = static_cast<Queue &>(parent).synchronized;
	} else if (parent.type == Type::Device) {
		Device &device = static_cast<Device &>(parent);

		lock = device.scope == WdfSynchronizationScopeNone ? nullptr : &device.presentation;
	}
	*incompatible = lock && lock->passive() != passive;
	return lock;
}

// Timers and work items belong to a device, or to what does.
static bool below_device(Object &object)
{
	SpinGuard guard(core.lock);

	for (Object *o = &object; o; o = o->parent) {
		if (o->type == Type::Device)
			return true;
	}
	return false;
}

static Ref<Object> parent_of(const WDF_OBJECT_ATTRIBUTES *attributes, const char *call, const void *caller,
			     NTSTATUS *status)
{
	if (attributes && attributes->Size == sizeof(*attributes) && !attributes->ParentObject)
		attributes = nullptr;
	if (!attributes) {
		*status = STATUS_WDF_PARENT_NOT_SPECIFIED;
		return Ref<Object>();
	}
	Ref<Object> parent = find_parent(attributes, call, caller, status);

	if (parent && !below_device(*parent)) {
		*status = STATUS_INVALID_DEVICE_REQUEST;
		return Ref<Object>();
	}
	return parent;
}

static constinit lock_class_key timer_lock_key = {};
static constinit lock_class_key timer_key = {};
static constinit lock_class_key item_lock_key = {};

class Timer final : public Object {
	timer_list timer_;
	Work work_;               // of a passive one
	lock_class_key work_key_; // whoever waits in one's function for another waits for another class
	kextbridge::Racy<task_struct *> running_;

	static void work_function(void *pointer)
	{
		Timer &timer = *static_cast<Timer *>(pointer);

		if (!timer.over())
			timer.call();
	}

	bool over()
	{
		SpinGuard hold(guard);

		return dead;
	}

	// Not due any more, however often it is started.
	void hold_off()
	{
		SpinGuard hold(guard);

		stops++;
		shim_del_timer(&timer_);
	}

      public:
	static constexpr Type kType = Type::Timer;

	Timer(Object *owner, const WDF_TIMER_CONFIG &config, bool passive, PresentationLock *lock)
		: Object(Type::Timer, driver_of(*owner)), owner(Ref<Object>::retain(owner)), config(config),
		  passive(passive), lock(lock)
	{
		passive_dispose = true;
		guard.init("kmdf_timer", &timer_lock_key);
		shim_timer_setup(&timer_, kmdf_timer_c, "WDFTIMER", &timer_key);
		passive_release = true;
		shim_lockdep_register_key(&work_key_);
		work_.init(work_function, this, "WDFTIMER", &work_key_);
	}

	Ref<Object> owner; // whose lock it takes
	const WDF_TIMER_CONFIG config;
	const bool passive;
	PresentationLock *const lock;
	SpinLock guard;
	bool armed KEXTBRIDGE_GUARDED_BY(guard) = false; // or, periodic, goes on
	u32 stops KEXTBRIDGE_GUARDED_BY(guard) = 0;      // those that wait, and its end: meanwhile it is not due
	bool dead KEXTBRIDGE_GUARDED_BY(guard) = false;  // its function does not begin any more

	static Timer *from(timer_list *timer) { return kextbridge::container_of<&Timer::timer_>(timer); }
	bool runs_here() const override { return running_.load() == shim_current(); }
	void release_parts() override
	{
		shim_lockdep_unregister_key(&work_key_);
		owner = Ref<Object>();
	}

	bool start(u64 delay_ns)
	{
		SpinGuard hold(guard);
		bool was = armed;

		armed = true;
		if (!stops)
			shim_mod_timer(&timer_, delay_ns);
		return was;
	}

	bool stop()
	{
		SpinGuard hold(guard);
		bool was = armed;

		armed = false;
		shim_del_timer(&timer_);
		return was;
	}

	// It is disarmed when nothing of it runs any more: a start meanwhile, of its function or of others, came before.
	bool stop_and_wait()
	{
		hold_off();
		shim_del_timer_sync(&timer_);
		if (passive)
			work_.flush(); // what was due is no longer armed
		SpinGuard hold(guard);
		bool was = armed;

		armed = false;
		stops--;
		return was;
	}

	void condemn() override
	{
		hold_off();
		SpinGuard hold(guard);

		dead = true;
	}
	void dispose() override
	{
		condemn();
		shim_del_timer_sync(&timer_);
		if (passive)
			work_.cancel();
	}

	// Softirq: due.
	void fire()
	{
		{
			SpinGuard hold(guard);

			// Pending: started anew since this expiry was on its way, for another time.
			if (!armed || stops || shim_timer_pending(&timer_))
				return;
			armed = config.Period;
			if (armed)
				shim_mod_timer(&timer_, config.Period * kNanosecondsPerMs);
		}
		if (passive)
			work_.queue(core.driver_work);
		else
			call();
	}

	void call()
	{
		CallbackGuard check("EvtTimerFunc", this);
		PresentationGuard presentation(lock);

		running_.store(shim_current());
		config.EvtTimerFunc(static_cast<WDFTIMER>(handle()));
		running_.store(nullptr);
	}
};

class WorkItem final : public Object {
	Work work_;
	lock_class_key work_key_;
	kextbridge::Racy<task_struct *> running_;

	static void work_function(void *pointer)
	{
		WorkItem &item = *static_cast<WorkItem *>(pointer);

		if (!item.over())
			item.call();
	}

	bool over()
	{
		SpinGuard hold(guard);

		return dead;
	}

      public:
	static constexpr Type kType = Type::WorkItem;

	WorkItem(Object *owner, PFN_WDF_WORKITEM function, PresentationLock *lock)
		: Object(Type::WorkItem, driver_of(*owner)), owner(Ref<Object>::retain(owner)), function(function),
		  lock(lock)
	{
		passive_dispose = true;
		guard.init("kmdf_item", &item_lock_key);
		passive_release = true;
		shim_lockdep_register_key(&work_key_);
		work_.init(work_function, this, "WDFWORKITEM", &work_key_);
	}

	Ref<Object> owner; // whose lock it takes
	const PFN_WDF_WORKITEM function;
	PresentationLock *const lock;
	SpinLock guard;
	bool dead KEXTBRIDGE_GUARDED_BY(guard) = false;

	bool runs_here() const override { return running_.load() == shim_current(); }
	void release_parts() override
	{
		shim_lockdep_unregister_key(&work_key_);
		owner = Ref<Object>();
	}
	// Who still has a reference may come after its end.
	void enqueue()
	{
		SpinGuard hold(guard);

		if (!dead)
			work_.queue(core.driver_work);
	}
	void flush() { work_.flush(); }
	void condemn() override
	{
		SpinGuard hold(guard);

		dead = true;
	}
	void dispose() override
	{
		condemn();
		work_.cancel();
	}

	void call()
	{
		CallbackGuard check("EvtWorkItem", this);
		PresentationGuard presentation(lock);

		running_.store(shim_current());
		function(static_cast<WDFWORKITEM>(handle()));
		running_.store(nullptr);
	}
};

} // namespace kmdf

using namespace kmdf;

extern "C" void kmdf_timer_c(struct timer_list *timer)
{
	Timer::from(timer)->fire();
}

extern "C" NTSTATUS WdfTimerCreate(PWDF_TIMER_CONFIG Config, PWDF_OBJECT_ATTRIBUTES Attributes, WDFTIMER *Timer)
{
	NTSTATUS status;
	bool incompatible;
	Ref<Object> parent = parent_of(Attributes, "WdfTimerCreate", __builtin_return_address(0), &status);

	if (!Config || !Timer)
		return STATUS_INVALID_PARAMETER;
	if (Config->Size != sizeof(*Config))
		return STATUS_INFO_LENGTH_MISMATCH;
	if (!parent)
		return status;
	if (!Config->EvtTimerFunc || Config->Period > MAXLONG)
		return STATUS_INVALID_PARAMETER;
	bool passive = Attributes->ExecutionLevel == WdfExecutionLevelPassive;

	if (passive && Config->Period)
		return STATUS_NOT_SUPPORTED;
	PresentationLock *lock = serializing_lock(*parent, Config->AutomaticSerialization, passive, &incompatible);

	if (incompatible)
		return STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL;
	return hand_out(make<kmdf::Timer>(Attributes, gfp_here(), parent.get(), *Config, passive, lock), *parent,
			Timer);
}

extern "C" BOOLEAN WdfTimerStart(WDFTIMER Timer, LONGLONG DueTime)
{
	Ref<kmdf::Timer> timer = find<kmdf::Timer>(Timer, "WdfTimerStart");

	return timer && timer->start(relative_ns(DueTime));
}

extern "C" BOOLEAN WdfTimerStop(WDFTIMER Timer, BOOLEAN Wait)
{
	Ref<kmdf::Timer> timer = find<kmdf::Timer>(Timer, "WdfTimerStop");

	if (!timer)
		return FALSE;
	if (Wait && timer->runs_here()) {
		report(Rule::WaitOnSelf, timer.get(), "WdfTimerStop in its own callback would never return");
		return FALSE;
	}
	if (Wait && at_dispatch()) {
		report(Rule::KmdfIrql, timer.get(), "WdfTimerStop waits above PASSIVE_LEVEL");
		Wait = FALSE;
	}
	return Wait ? timer->stop_and_wait() : timer->stop();
}

extern "C" WDFOBJECT WdfTimerGetParentObject(WDFTIMER Timer)
{
	Ref<kmdf::Timer> timer = find<kmdf::Timer>(Timer, "WdfTimerGetParentObject");

	return timer ? timer->owner->handle() : nullptr;
}

extern "C" NTSTATUS WdfWorkItemCreate(PWDF_WORKITEM_CONFIG Config, PWDF_OBJECT_ATTRIBUTES Attributes,
				      WDFWORKITEM *WorkItem)
{
	NTSTATUS status;
	bool incompatible;
	Ref<Object> parent = parent_of(Attributes, "WdfWorkItemCreate", __builtin_return_address(0), &status);

	if (!Config || !WorkItem)
		return STATUS_INVALID_PARAMETER;
	if (Config->Size != sizeof(*Config))
		return STATUS_INFO_LENGTH_MISMATCH;
	if (!parent)
		return status;
	if (!Config->EvtWorkItemFunc)
		return STATUS_INVALID_PARAMETER;
	PresentationLock *lock = serializing_lock(*parent, Config->AutomaticSerialization, true, &incompatible);

	if (incompatible)
		return STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL;
	return hand_out(make<kmdf::WorkItem>(Attributes, gfp_here(), parent.get(), Config->EvtWorkItemFunc, lock),
			*parent, WorkItem);
}

extern "C" VOID WdfWorkItemEnqueue(WDFWORKITEM WorkItem)
{
	if (Ref<kmdf::WorkItem> item = find<kmdf::WorkItem>(WorkItem, "WdfWorkItemEnqueue"))
		item->enqueue();
}

extern "C" VOID WdfWorkItemFlush(WDFWORKITEM WorkItem)
{
	Ref<kmdf::WorkItem> item = find<kmdf::WorkItem>(WorkItem, "WdfWorkItemFlush");

	if (!item)
		return;
	if (item->runs_here())
		return report(Rule::WaitOnSelf, item.get(), "WdfWorkItemFlush in its own callback would never return");
	if (at_dispatch())
		return report(Rule::KmdfIrql, item.get(), "WdfWorkItemFlush above PASSIVE_LEVEL");
	item->flush();
}

extern "C" WDFOBJECT WdfWorkItemGetParentObject(WDFWORKITEM WorkItem)
{
	Ref<kmdf::WorkItem> item = find<kmdf::WorkItem>(WorkItem, "WdfWorkItemGetParentObject");

	return item ? item->owner->handle() : nullptr;
}
