// SPDX-License-Identifier: GPL-2.0-only
// W-91 to W-99: objects, timers, work items, locks.
#include "kit.hpp"

namespace {

struct Life {
	u64 value;
	const char *name;
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(Life, life)

struct Other {
	u64 value;
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(Other, other)

struct Third {
	u64 value;
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(Third, third_context)

std::mutex order_mutex;
std::vector<std::string> order;

void note(const std::string &what)
{
	std::lock_guard lock(order_mutex);

	order.push_back(what);
}

void cleaned(WDFOBJECT object)
{
	note(std::string("cleanup ") + life(object)->name);
}

void destroyed(WDFOBJECT object)
{
	note(std::string("destroy ") + life(object)->name);
}

WDFOBJECT make_object(WDFOBJECT parent, const char *name)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFOBJECT object;

	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, Life);
	attributes.ParentObject = parent;
	attributes.EvtCleanupCallback = cleaned;
	attributes.EvtDestroyCallback = destroyed;
	if (WdfObjectCreate(&attributes, &object) != STATUS_SUCCESS)
		fake::bug("WdfObjectCreate");
	life(object)->name = name;
	return object;
}

size_t position(const std::string &what)
{
	return std::find(order.begin(), order.end(), what) - order.begin();
}

TEST_F(Kmdf, W_091_children_first)
{
	Simple d;

	order.clear();
	d.start();
	WDFOBJECT parent = make_object(d.driver.device, "parent");
	WDFOBJECT child = make_object(parent, "child");

	make_object(child, "grandchild");
	WdfObjectDelete(parent);
	ASSERT_EQ(order.size(), 6u);
	EXPECT_LT(position("cleanup grandchild"), position("cleanup child"));
	EXPECT_LT(position("cleanup child"), position("cleanup parent"));
	for (const char *name : {"child", "parent", "grandchild"})
		EXPECT_LT(position("cleanup parent"), position(std::string("destroy ") + name));
	WdfObjectDelete(child);
	EXPECT_EQ(reports("InvalidHandle"), 1u);
}

TEST_F(Kmdf, W_091_with_the_driver)
{
	Simple d;

	order.clear();
	d.start();
	make_object(d.driver.device, "of device");
	make_object(d.driver.handle, "of driver");
	d.file.reset();
	d.driver.unload();
	EXPECT_EQ(order, (std::vector<std::string>{"cleanup of device", "destroy of device", "cleanup of driver",
						   "destroy of driver"}));
}

NTSTATUS late_child;

TEST_F(Kmdf, W_091_no_child_for_what_is_being_deleted)
{
	Simple d;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFOBJECT parent;

	late_child = STATUS_SUCCESS;
	d.start();
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = d.driver.device;
	attributes.EvtCleanupCallback = [](WDFOBJECT self) {
		WDF_OBJECT_ATTRIBUTES child;
		WDFOBJECT made;

		WDF_OBJECT_ATTRIBUTES_INIT(&child);
		child.ParentObject = self;
		late_child = WdfObjectCreate(&child, &made);
	};
	ASSERT_EQ(WdfObjectCreate(&attributes, &parent), STATUS_SUCCESS);
	WdfObjectDelete(parent);
	EXPECT_EQ(late_child, STATUS_DELETE_PENDING);
}

TEST_F(Kmdf, W_092_a_reference_keeps_the_context)
{
	Simple d;

	order.clear();
	d.start();
	WDFOBJECT object = make_object(d.driver.device, "it");

	life(object)->value = 42;
	WdfObjectReference(object);
	WdfObjectReference(object);
	WdfObjectDelete(object);
	EXPECT_EQ(order, (std::vector<std::string>{"cleanup it"}));
	EXPECT_EQ(life(object)->value, 42u);
	WdfObjectDelete(object);
	EXPECT_EQ(reports("ObjectMisuse"), 1u);
	WdfObjectDereference(object);
	EXPECT_EQ(life(object)->value, 42u);
	EXPECT_EQ(order.size(), 1u);
	WdfObjectDereference(object);
	EXPECT_EQ(order, (std::vector<std::string>{"cleanup it", "destroy it"}));
}

TEST_F(Kmdf, W_093_dereferenced_too_often)
{
	Simple d;

	order.clear();
	d.start();
	WDFOBJECT object = make_object(d.driver.device, "it");

	WdfObjectReference(object);
	WdfObjectDereference(object);
	WdfObjectDereference(object);
	EXPECT_EQ(reports("ObjectMisuse"), 1u);
	EXPECT_EQ(order.size(), 0u);
	WdfObjectDelete(object);
	EXPECT_EQ(order.size(), 2u);
}

TEST_F(Kmdf, W_094_a_context_of_each_type)
{
	Simple d;
	WDF_OBJECT_ATTRIBUTES attributes;
	void *first;
	void *second;

	d.start();
	WDFOBJECT object = make_object(d.driver.device, "it");

	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, Other);
	EXPECT_EQ(other(object), nullptr);
	EXPECT_EQ(reports("ObjectMisuse"), 1u);
	EXPECT_EQ(WdfObjectAllocateContext(object, &attributes, &first), STATUS_SUCCESS);
	EXPECT_EQ(static_cast<Other *>(first)->value, 0u);
	EXPECT_EQ(WdfObjectAllocateContext(object, &attributes, &second), STATUS_OBJECT_NAME_EXISTS);
	EXPECT_EQ(first, second);
	EXPECT_EQ(other(object), first);
	EXPECT_EQ(WdfObjectContextGetObject(first), object);
	WdfObjectReference(object);
	WdfObjectDelete(object);
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, Third);
	EXPECT_EQ(WdfObjectAllocateContext(object, &attributes, &second), STATUS_DELETE_PENDING);
	WdfObjectDereference(object);
}

struct TimerProbe {
	std::atomic<u32> runs{0};
	std::atomic<int> level{-1};
	std::atomic<bool> inside{false};
	std::atomic<bool> hold{false};
	std::function<void(WDFTIMER)> then;
} probe;

void probe_timer(WDFTIMER timer)
{
	probe.level = KeGetCurrentIrql();
	probe.inside = true;
	while (probe.hold)
		sched_yield();
	if (probe.then)
		probe.then(timer);
	probe.inside = false;
	probe.runs++;
}

NTSTATUS make_timer(WDFOBJECT parent, WDFTIMER *timer, ULONG period = 0,
		    WDF_EXECUTION_LEVEL level = WdfExecutionLevelInheritFromParent, bool serialize = true)
{
	WDF_TIMER_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;

	probe.runs = 0;
	probe.hold = false;
	probe.then = nullptr;
	WDF_TIMER_CONFIG_INIT_PERIODIC(&config, probe_timer, static_cast<LONG>(period));
	config.AutomaticSerialization = serialize;
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = parent;
	attributes.ExecutionLevel = level;
	return WdfTimerCreate(&config, &attributes, timer);
}

TEST_F(Kmdf, W_096_timers_and_passive_locks)
{
	Simple d;
	WDFTIMER timer;

	d.queue.attributes.ExecutionLevel = WdfExecutionLevelPassive;
	d.queue.attributes.SynchronizationScope = WdfSynchronizationScopeQueue;
	d.start();
	EXPECT_EQ(make_timer(d.queue.handle, &timer, 10), STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL);
	EXPECT_EQ(make_timer(d.queue.handle, &timer, 10, WdfExecutionLevelPassive), STATUS_NOT_SUPPORTED);
	EXPECT_EQ(make_timer(d.queue.handle, &timer, 0x80000000u), STATUS_INVALID_PARAMETER);
	EXPECT_EQ(make_timer(nullptr, &timer), STATUS_WDF_PARENT_NOT_SPECIFIED);
	EXPECT_EQ(make_timer(d.driver.handle, &timer), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(make_timer(d.queue.handle, &timer, 0, WdfExecutionLevelPassive), STATUS_SUCCESS);
	EXPECT_EQ(WdfTimerGetParentObject(timer), static_cast<WDFOBJECT>(d.queue.handle));
	WdfTimerStart(timer, in_ms(5));
	fake::advance_ms(6);
	EXPECT_EQ(probe.runs, 1u);
	EXPECT_EQ(probe.level, PASSIVE_LEVEL);
	WdfObjectDelete(timer);
}

TEST_F(Kmdf, W_097_serialized_with_a_queue_without_a_lock)
{
	Simple d;
	WDFTIMER timer;

	d.queue.attributes.SynchronizationScope = WdfSynchronizationScopeNone;
	d.start();
	ASSERT_EQ(make_timer(d.queue.handle, &timer), STATUS_SUCCESS);
	WdfObjectAcquireLock(d.queue.handle);
	WdfTimerStart(timer, 0);
	until([] { return probe.runs == 1; }, "the timer runs in spite of the lock");
	WdfObjectReleaseLock(d.queue.handle);
}

TEST_F(Kmdf, W_022_a_timer_waits_for_the_lock)
{
	Simple d;
	WDFTIMER timer;

	d.queue.attributes.SynchronizationScope = WdfSynchronizationScopeQueue;
	d.start();
	ASSERT_EQ(make_timer(d.queue.handle, &timer), STATUS_SUCCESS);
	WdfObjectAcquireLock(d.queue.handle);
	WdfTimerStart(timer, 0);
	a_while();
	EXPECT_FALSE(probe.inside);
	EXPECT_EQ(probe.runs, 0u);
	WdfObjectReleaseLock(d.queue.handle);
	until([] { return probe.runs == 1; }, "the timer runs");
	EXPECT_EQ(probe.level, DISPATCH_LEVEL);
}

// One lock for all of them, and it is the device's, by whichever of their handles it is taken.
TEST_F(Kmdf, W_022_the_devices_lock_is_that_of_its_queues)
{
	Simple d;
	Queue writes(WdfIoQueueDispatchParallel, false);

	for (Queue *queue : {&d.queue, &writes})
		queue->attributes.SynchronizationScope = WdfSynchronizationScopeDevice;
	d.driver.queues = {&d.queue, &writes};
	d.driver.in_add = [&](WDFDEVICE device) {
		return WdfDeviceConfigureRequestDispatching(device, writes.handle, WdfRequestTypeWrite);
	};
	d.start();
	u32 seen = 0;

	for (WDFOBJECT object : {WDFOBJECT(d.driver.device), WDFOBJECT(writes.handle)}) {
		WdfObjectAcquireLock(object);
		Call read = Call::read(*d.file, 8);
		Call write = Call::write(*d.file, "x");

		for (Queue *queue : {&d.queue, &writes})
			until([&] { return host_kmdf_queue_inside(queue->handle) || queue->arrived.total() > seen; },
			      "it is on its way");
		a_while();
		EXPECT_EQ(d.queue.arrived.total() + writes.arrived.total(), 2 * seen);
		WdfObjectReleaseLock(object);
		complete(d.take());
		complete(writes.take());
		EXPECT_EQ(read.result(), 0);
		EXPECT_EQ(write.result(), 0);
		seen++;
	}
}

TEST_F(Kmdf, W_098_stop_waits_for_the_function)
{
	Simple d;
	WDFTIMER timer;

	d.start();
	ASSERT_EQ(make_timer(d.driver.device, &timer), STATUS_SUCCESS);
	EXPECT_FALSE(WdfTimerStart(timer, in_ms(10)));
	EXPECT_TRUE(WdfTimerStart(timer, in_ms(20)));
	EXPECT_TRUE(WdfTimerStop(timer, TRUE));
	EXPECT_FALSE(WdfTimerStop(timer, TRUE));
	fake::advance_ms(30);
	EXPECT_EQ(probe.runs, 0u);
	probe.hold = true;
	WdfTimerStart(timer, 0);
	until([] { return probe.inside.load(); }, "the timer runs");
	Call stop([&](Call &) { return WdfTimerStop(timer, TRUE); });
	a_while();
	EXPECT_FALSE(stop.finished());
	EXPECT_FALSE(WdfTimerStop(timer, FALSE));
	probe.hold = false;
	EXPECT_EQ(stop.result(), 0);
	EXPECT_EQ(probe.runs, 1u);
	probe.then = [](WDFTIMER self) { EXPECT_FALSE(WdfTimerStop(self, TRUE)); };
	WdfTimerStart(timer, 0);
	until([] { return probe.runs == 2; }, "the timer runs");
	EXPECT_EQ(reports("WaitOnSelf"), 1u);
	{
		fake::BhOff dispatch_level;

		WdfTimerStop(timer, TRUE);
	}
	EXPECT_EQ(reports("KmdfIrql"), 1u);
}

TEST_F(Kmdf, W_098_a_periodic_timer)
{
	Simple d;
	WDFTIMER timer;

	d.start();
	ASSERT_EQ(make_timer(d.driver.device, &timer, 10), STATUS_SUCCESS);
	WdfTimerStart(timer, in_ms(10));
	fake::advance_ms(45);
	EXPECT_GE(probe.runs, 3u);
	EXPECT_LE(probe.runs, 5u);
	EXPECT_TRUE(WdfTimerStop(timer, TRUE));
	u32 runs = probe.runs;
	fake::advance_ms(100);
	EXPECT_EQ(probe.runs, runs);
	// Its parent takes it along, armed.
	WdfTimerStart(timer, in_ms(10));
	d.file.reset();
	d.driver.unload();
	fake::advance_ms(100);
	EXPECT_EQ(probe.runs, runs);
}

struct WorkProbe {
	std::atomic<u32> runs{0};
	std::atomic<u32> more{0};
	std::atomic<bool> hold{false};
	std::atomic<bool> inside{false};
} work_probe;

void probe_work(WDFWORKITEM item)
{
	EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
	work_probe.inside = true;
	while (work_probe.hold)
		sched_yield();
	if (work_probe.more && work_probe.more--)
		WdfWorkItemEnqueue(item);
	work_probe.inside = false;
	work_probe.runs++;
}

TEST_F(Kmdf, W_099_work_items)
{
	Simple d;
	WDF_WORKITEM_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFWORKITEM blocker;
	WDFWORKITEM item;

	work_probe.runs = 0;
	work_probe.more = 0;
	d.start();
	WDF_WORKITEM_CONFIG_INIT(&config, probe_work);
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	EXPECT_EQ(WdfWorkItemCreate(&config, &attributes, &item), STATUS_WDF_PARENT_NOT_SPECIFIED);
	attributes.ParentObject = d.driver.device;
	ASSERT_EQ(WdfWorkItemCreate(&config, &attributes, &item), STATUS_SUCCESS);
	ASSERT_EQ(WdfWorkItemCreate(&config, &attributes, &blocker), STATUS_SUCCESS);
	// Its own run, during which it is enqueued three times: one more.
	work_probe.hold = true;
	WdfWorkItemEnqueue(item);
	until([] { return work_probe.inside.load(); }, "it runs");
	for (int i = 0; i < 3; i++)
		WdfWorkItemEnqueue(item);
	work_probe.hold = false;
	WdfWorkItemFlush(item);
	fake::settle();
	EXPECT_EQ(work_probe.runs, 2u);
	work_probe.more = 1;
	WdfWorkItemEnqueue(item);
	fake::settle();
	EXPECT_EQ(work_probe.runs, 4u);
	EXPECT_EQ(WdfWorkItemGetParentObject(item), static_cast<WDFOBJECT>(d.driver.device));
	// Who has a reference may come too late.
	WdfObjectReference(blocker);
	WdfObjectDelete(blocker);
	WdfWorkItemEnqueue(blocker);
	WdfWorkItemFlush(blocker);
	fake::settle();
	EXPECT_EQ(work_probe.runs, 4u);
	WdfObjectDereference(blocker);
}

TEST_F(Kmdf, W_099_flush_waits_for_the_run)
{
	Simple d;
	WDF_WORKITEM_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFWORKITEM item;

	work_probe.runs = 0;
	work_probe.more = 0;
	work_probe.hold = true;
	d.start();
	WDF_WORKITEM_CONFIG_INIT(&config, probe_work);
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = d.driver.device;
	ASSERT_EQ(WdfWorkItemCreate(&config, &attributes, &item), STATUS_SUCCESS);
	WdfWorkItemEnqueue(item);
	until([] { return work_probe.inside.load(); }, "it runs");
	Call flush([&](Call &) {
		WdfWorkItemFlush(item);
		return work_probe.runs.load();
	});
	a_while();
	EXPECT_FALSE(flush.finished());
	work_probe.hold = false;
	EXPECT_EQ(flush.result(), 1);
	{
		fake::BhOff dispatch_level;

		WdfWorkItemFlush(item);
	}
	EXPECT_EQ(reports("KmdfIrql"), 1u);
}

TEST_F(Kmdf, W_099_spin_locks_and_wait_locks)
{
	Simple d;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFSPINLOCK spin;
	WDFWAITLOCK wait;
	LONGLONG now = 0;
	LONGLONG soon = in_ms(10);

	d.start();
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = d.driver.device;
	ASSERT_EQ(WdfSpinLockCreate(&attributes, &spin), STATUS_SUCCESS);
	ASSERT_EQ(WdfWaitLockCreate(&attributes, &wait), STATUS_SUCCESS);
	WdfSpinLockAcquire(spin);
	EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
	WdfSpinLockAcquire(spin);
	EXPECT_EQ(reports("RecursiveLock"), 1u);
	WdfSpinLockRelease(spin);
	EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
	WdfSpinLockRelease(spin);
	EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
	WdfSpinLockRelease(spin);
	EXPECT_EQ(reports("LockOwner"), 1u);
	EXPECT_EQ(WdfWaitLockAcquire(wait, nullptr), STATUS_SUCCESS);
	Call second([&](Call &) {
		EXPECT_EQ(WdfWaitLockAcquire(wait, &now), STATUS_TIMEOUT);
		WdfWaitLockRelease(wait);
		return WdfWaitLockAcquire(wait, &soon);
	});
	second.wait_until_asleep();
	EXPECT_EQ(reports("LockOwner"), 2u);
	fake::jump_ms(20);
	EXPECT_EQ(second.result(), STATUS_TIMEOUT);
	Call third([&](Call &) {
		NTSTATUS status = WdfWaitLockAcquire(wait, nullptr);

		WdfWaitLockRelease(wait);
		return status;
	});
	third.wait_until_asleep();
	WdfWaitLockRelease(wait);
	EXPECT_EQ(third.result(), STATUS_SUCCESS);
}

} // namespace
