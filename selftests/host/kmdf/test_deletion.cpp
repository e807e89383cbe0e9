// SPDX-License-Identifier: GPL-2.0-only
// Timers and work items that are deleted from their own function, above PASSIVE_LEVEL, or while their parent is; and
// WdfTimerStop() against WdfTimerStart().
#include "kit.hpp"

namespace {

std::mutex order_mutex;
std::vector<std::string> order;

void note(const char *what)
{
	std::lock_guard lock(order_mutex);

	order.emplace_back(what);
}

std::vector<std::string> noted()
{
	std::lock_guard lock(order_mutex);

	return order;
}

void forget_all()
{
	std::lock_guard lock(order_mutex);

	order.clear();
}

bool is_noted(const std::string &what)
{
	std::vector<std::string> all = noted();

	return std::find(all.begin(), all.end(), what) != all.end();
}

using Order = std::vector<std::string>;

// A timer, a work item or a plain object: its function, where it stops, and what is noted.
struct Probe {
	const char *name;
	std::function<void(WDFOBJECT)> then;
	std::function<void()> at_cleanup;
	std::atomic<u32> runs{0};
	std::atomic<bool> inside{false};
	std::atomic<bool> hold{false};

	explicit Probe(const char *name) : name(name) {}
	void run(WDFOBJECT self)
	{
		inside = true;
		while (hold)
			sched_yield();
		if (then)
			then(self);
		note("function");
		inside = false;
		runs++;
	}
};

struct Room {
	Probe *probe;
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(Room, room)

void cleaned(WDFOBJECT object)
{
	Probe &probe = *room(object)->probe;

	if (probe.at_cleanup)
		probe.at_cleanup();
	note(probe.name);
}

void init(WDF_OBJECT_ATTRIBUTES *attributes, WDFOBJECT parent)
{
	forget_all();
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(attributes, Room);
	attributes->ParentObject = parent;
	attributes->EvtCleanupCallback = cleaned;
}

WDFTIMER make_timer(Probe &probe, WDFOBJECT parent, ULONG period = 0,
		    WDF_EXECUTION_LEVEL level = WdfExecutionLevelInheritFromParent)
{
	WDF_TIMER_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFTIMER timer;

	init(&attributes, parent);
	attributes.ExecutionLevel = level;
	WDF_TIMER_CONFIG_INIT_PERIODIC(
		&config, [](WDFTIMER self) { room(self)->probe->run(self); }, static_cast<LONG>(period));
	if (WdfTimerCreate(&config, &attributes, &timer) != STATUS_SUCCESS)
		fake::bug("WdfTimerCreate");
	room(timer)->probe = &probe;
	return timer;
}

WDFTIMER make_passive_timer(Probe &probe, WDFOBJECT parent)
{
	return make_timer(probe, parent, 0, WdfExecutionLevelPassive);
}

WDFWORKITEM make_item(Probe &probe, WDFOBJECT parent)
{
	WDF_WORKITEM_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFWORKITEM item;

	init(&attributes, parent);
	WDF_WORKITEM_CONFIG_INIT(&config, [](WDFWORKITEM self) { room(self)->probe->run(self); });
	if (WdfWorkItemCreate(&config, &attributes, &item) != STATUS_SUCCESS)
		fake::bug("WdfWorkItemCreate");
	room(item)->probe = &probe;
	return item;
}

WDFOBJECT make_object(Probe &probe, WDFOBJECT parent)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFOBJECT object;

	init(&attributes, parent);
	if (WdfObjectCreate(&attributes, &object) != STATUS_SUCCESS)
		fake::bug("WdfObjectCreate");
	room(object)->probe = &probe;
	return object;
}

void delete_at_dispatch(WDFOBJECT object)
{
	fake::BhOff dispatch_level;

	WdfObjectDelete(object);
}

// ---- from its own function

TEST_F(Kmdf, W_099_a_work_item_deletes_itself)
{
	Simple d;
	Probe probe("item");

	d.start();
	WDFWORKITEM item = make_item(probe, d.driver.device);

	probe.then = [&](WDFOBJECT self) {
		WdfWorkItemEnqueue(item);
		WdfObjectDelete(self);
		WdfWorkItemEnqueue(item);
		a_while();
	};
	WdfWorkItemEnqueue(item);
	until([] { return is_noted("item"); }, "it is deleted");
	fake::settle();
	// Its context is its own until its function has returned.
	EXPECT_EQ(noted(), (Order{"function", "item"}));
	WdfWorkItemEnqueue(item);
	EXPECT_EQ(reports("InvalidHandle"), 1u);
}

TEST_F(Kmdf, W_098_a_passive_timer_deletes_itself)
{
	Simple d;
	Probe probe("timer");

	d.start();
	WDFTIMER timer = make_passive_timer(probe, d.driver.device);

	probe.then = [&](WDFOBJECT self) {
		WdfTimerStart(timer, 0);
		WdfObjectDelete(self);
		WdfTimerStart(timer, 0);
		a_while();
	};
	WdfTimerStart(timer, 0);
	until([] { return is_noted("timer"); }, "it is deleted");
	fake::settle();
	EXPECT_EQ(noted(), (Order{"function", "timer"}));
	EXPECT_EQ(fake::kernel_timers(), 0u);
}

// Due once more when its own function deletes it: it does not begin, however late a worker comes to end it.
void deletes_itself_while_it_is_due(WDFOBJECT self, Probe &probe, const std::function<void()> &make_due)
{
	Probe child("child");

	probe.then = [&](WDFOBJECT object) {
		make_due();
		WdfObjectDelete(object);
	};
	child.at_cleanup = [&] {
		until([&] { return probe.runs == 1; }, "its function has returned");
		a_while();
	};
	make_object(child, self);
	make_due();
	until([&] { return is_noted(probe.name); }, "it is deleted");
	fake::settle();
	EXPECT_EQ(noted(), (Order{"function", "child", probe.name}));
}

TEST_F(Kmdf, W_098_a_passive_timer_deletes_itself_while_it_is_due)
{
	Simple d;
	Probe probe("timer");

	d.start();
	WDFTIMER timer = make_passive_timer(probe, d.driver.device);

	deletes_itself_while_it_is_due(timer, probe, [&] {
		WdfTimerStart(timer, 0);
		until([] { return fake::timers_are_quiet(); }, "it is due");
	});
}

TEST_F(Kmdf, W_098_a_work_item_deletes_itself_while_it_is_due)
{
	Simple d;
	Probe probe("item");

	d.start();
	WDFWORKITEM item = make_item(probe, d.driver.device);

	deletes_itself_while_it_is_due(item, probe, [&] { WdfWorkItemEnqueue(item); });
}

TEST_F(Kmdf, W_098_a_periodic_timer_deletes_itself)
{
	Simple d;
	Probe probe("timer");

	d.queue.attributes.SynchronizationScope = WdfSynchronizationScopeQueue;
	d.start();
	WDFTIMER timer = make_timer(probe, d.queue.handle, 10);

	probe.then = [](WDFOBJECT self) { WdfObjectDelete(self); };
	WdfTimerStart(timer, in_ms(10));
	fake::advance_ms(50);
	until([] { return is_noted("timer"); }, "it is deleted");
	EXPECT_EQ(noted(), (Order{"function", "timer"}));
}

TEST_F(Kmdf, W_099_a_work_item_deletes_itself_and_then_its_parent)
{
	Simple d;
	Probe parent("parent");
	Probe probe("item");

	d.start();
	WDFOBJECT above = make_object(parent, d.driver.device);
	WDFWORKITEM item = make_item(probe, above);

	probe.then = [&](WDFOBJECT self) {
		WdfObjectDelete(self);
		WdfObjectDelete(above);
	};
	WdfWorkItemEnqueue(item);
	until([] { return is_noted("parent"); }, "both are deleted");
	EXPECT_EQ(noted(), (Order{"function", "item", "parent"}));
	// The parent alone.
	above = make_object(parent, d.driver.device);
	item = make_item(probe, above);
	probe.then = [&](WDFOBJECT) { WdfObjectDelete(above); };
	WdfWorkItemEnqueue(item);
	until([] { return is_noted("parent"); }, "both are deleted");
	EXPECT_EQ(noted(), (Order{"function", "item", "parent"}));
}

WDFOBJECT parent_of_all;

TEST_F(Kmdf, W_091_a_childs_cleanup_deletes_the_parent)
{
	Simple d;
	Probe parent("parent");
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFOBJECT child;

	d.start();
	parent_of_all = make_object(parent, d.driver.device);
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = parent_of_all;
	attributes.EvtCleanupCallback = [](WDFOBJECT) {
		WdfObjectDelete(parent_of_all);
		note("child");
	};
	ASSERT_EQ(WdfObjectCreate(&attributes, &child), STATUS_SUCCESS);
	WdfObjectDelete(child);
	until([] { return is_noted("parent"); }, "both are deleted");
	EXPECT_EQ(noted(), (Order{"child", "parent"}));
}

// ---- with a request as their parent

TEST_F(Kmdf, W_021_a_timer_completes_the_request_that_it_belongs_to)
{
	Simple d;
	Probe probe("timer");

	d.start();
	Call read = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();
	WDFTIMER timer = make_timer(probe, request, 10);

	probe.then = [&](WDFOBJECT self) {
		WdfObjectReference(self);
		complete(request);
		EXPECT_EQ(WdfTimerGetParentObject(timer), static_cast<WDFOBJECT>(request));
		WdfObjectDereference(self);
	};
	WdfTimerStart(timer, 0);
	EXPECT_EQ(read.result(), 0);
	until([] { return is_noted("timer"); }, "it is deleted");
	fake::advance_ms(50);
	EXPECT_EQ(noted(), (Order{"function", "timer"}));
	EXPECT_EQ(reports("ObjectMisuse"), 1u);
}

TEST_F(Kmdf, W_021_a_work_item_completes_the_request_that_it_belongs_to)
{
	Simple d;
	Probe probe("item");

	d.start();
	Call read = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();
	WDFWORKITEM item = make_item(probe, request);

	std::atomic<bool> hold{true};

	d.driver.in_unload = [] { note("unload"); };
	probe.then = [&](WDFOBJECT) {
		complete(request);
		while (hold)
			sched_yield();
	};
	WdfWorkItemEnqueue(item);
	EXPECT_EQ(read.result(), 0);
	d.file.reset();
	Call unload([&](Call &) {
		d.driver.unload();
		return 0;
	});
	a_while();
	EXPECT_EQ(noted(), Order{});
	hold = false;
	unload.result();
	EXPECT_EQ(noted(), (Order{"function", "item", "unload"}));
	EXPECT_EQ(reports("ObjectMisuse"), 1u);
}

TEST_F(Kmdf, W_021_completed_above_passive_with_what_has_to_be_waited_for)
{
	Simple d;
	Probe timer_probe("timer");
	Probe item_probe("item");

	d.start();
	Call read = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();
	WDFWORKITEM item = make_item(item_probe, request);

	WdfTimerStart(make_passive_timer(timer_probe, request), in_ms(10));
	item_probe.hold = true;
	WdfWorkItemEnqueue(item);
	until([&] { return item_probe.inside.load(); }, "it runs");
	{
		fake::BhOff dispatch_level;

		complete(request);
	}
	EXPECT_EQ(read.result(), 0);
	until([] { return is_noted("timer"); }, "the timer is deleted");
	EXPECT_FALSE(is_noted("item"));
	item_probe.hold = false;
	until([] { return is_noted("item"); }, "the work item is deleted");
	fake::advance_ms(50);
	EXPECT_EQ(timer_probe.runs, 0u);
	EXPECT_EQ(reports("ObjectMisuse"), 2u);
}

// ---- above PASSIVE_LEVEL

// One driver's deletion that does not come to its end, and all that follows.
TEST_F(Kmdf, W_098_deleted_above_passive_it_is_over_whoever_else_waits)
{
	Simple stuck;
	Driver other("kother");
	Queue first;
	Queue slow(WdfIoQueueDispatchParallel, false);
	Queue second(WdfIoQueueDispatchParallel, false);
	Probe timer_probe("timer");
	Probe item_probe("item");

	stuck.driver.queues = {&stuck.queue, &slow};
	stuck.driver.in_add = [&](WDFDEVICE device) {
		return WdfDeviceConfigureRequestDispatching(device, slow.handle, WdfRequestTypeRead);
	};
	stuck.start();
	second.attributes.SynchronizationScope = WdfSynchronizationScopeQueue;
	other.queues = {&first, &second};
	other.must_load();
	Call read = Call::read(*stuck.file, 8);
	WDFREQUEST kept = slow.take();

	delete_at_dispatch(slow.handle);
	WDFTIMER timer = make_timer(timer_probe, second.handle, 10);
	WDFWORKITEM item = make_item(item_probe, other.device);

	WdfTimerStart(timer, in_ms(10));
	delete_at_dispatch(timer);
	delete_at_dispatch(item);
	WdfObjectDelete(second.handle);
	EXPECT_TRUE(is_noted("timer"));
	fake::jump_ms(100);
	a_while();
	EXPECT_EQ(timer_probe.runs, 0u);
	other.unload();
	EXPECT_TRUE(is_noted("item"));
	complete(kept);
	EXPECT_EQ(read.result(), 0);
}

TEST_F(Kmdf, W_098_deleted_above_passive_it_does_not_begin_any_more)
{
	Simple d;
	Probe probe("timer");

	d.start();
	WDFTIMER timer = make_timer(probe, d.driver.device, 10);

	std::atomic<bool> hold{true};

	WdfObjectReference(timer);
	WdfTimerStart(timer, in_ms(10));
	fake::at_next(fake::Moment::WorkBegins, [&] {
		while (hold)
			sched_yield();
	});
	delete_at_dispatch(timer);
	EXPECT_EQ(fake::kernel_timers(), 0u);
	WdfTimerStart(timer, 0);
	EXPECT_EQ(fake::kernel_timers(), 0u);
	hold = false;
	until([] { return is_noted("timer"); }, "it is deleted");
	EXPECT_EQ(WdfTimerGetParentObject(timer), static_cast<WDFOBJECT>(d.driver.device));
	WdfObjectDereference(timer);
	EXPECT_EQ(probe.runs, 0u);
}

// ---- while their parent is

void parent_waits(bool at_dispatch)
{
	Simple d;
	Probe parent("parent");
	Probe probe("item");

	d.start();
	WDFOBJECT above = make_object(parent, d.driver.device);
	WDFWORKITEM item = make_item(probe, above);

	probe.hold = true;
	WdfWorkItemEnqueue(item);
	until([&] { return probe.inside.load(); }, "it runs");
	Call first([&](Call &) {
		if (at_dispatch)
			delete_at_dispatch(item);
		else
			WdfObjectDelete(item);
		return 0;
	});
	if (at_dispatch)
		first.result();
	else
		a_while();
	Call second([&](Call &) {
		WdfObjectDelete(above);
		return 0;
	});
	a_while();
	EXPECT_FALSE(second.finished());
	EXPECT_EQ(noted(), Order{});
	probe.hold = false;
	second.result();
	EXPECT_EQ(noted(), (Order{"function", "item", "parent"}));
}

TEST_F(Kmdf, W_091_a_parent_waits_for_what_is_being_deleted)
{
	parent_waits(false);
}

TEST_F(Kmdf, W_091_a_parent_waits_for_what_was_deleted_above_passive)
{
	parent_waits(true);
}

TEST_F(Kmdf, W_091_above_passive_the_parent_comes_later_too)
{
	Simple d;
	Probe parent("parent");
	Probe probe("item");

	d.start();
	WDFOBJECT above = make_object(parent, d.driver.device);
	WDFWORKITEM item = make_item(probe, above);

	probe.hold = true;
	WdfWorkItemEnqueue(item);
	until([&] { return probe.inside.load(); }, "it runs");
	delete_at_dispatch(item);
	delete_at_dispatch(above);
	a_while();
	EXPECT_EQ(noted(), Order{});
	probe.hold = false;
	until([] { return is_noted("parent"); }, "both are deleted");
	EXPECT_EQ(noted(), (Order{"function", "item", "parent"}));
}

TEST_F(Kmdf, W_098_the_module_stays_until_the_function_has_returned)
{
	Simple d;
	Probe probe("timer");

	d.driver.in_unload = [] { note("unload"); };
	d.start();
	WDFTIMER timer = make_passive_timer(probe, d.driver.device);

	probe.hold = true;
	WdfTimerStart(timer, 0);
	until([&] { return probe.inside.load(); }, "it runs");
	delete_at_dispatch(timer);
	d.file.reset();
	Call unload([&](Call &) {
		d.driver.unload();
		return 0;
	});
	a_while();
	fake::jump_ms(kmdf_params.stop_ms * 2);
	a_while();
	EXPECT_FALSE(unload.finished());
	EXPECT_EQ(noted(), Order{});
	probe.hold = false;
	unload.result();
	EXPECT_EQ(noted(), (Order{"function", "timer", "unload"}));
}

TEST_F(Kmdf, W_098_the_module_stays_for_a_device_that_it_has_deleted)
{
	Simple d;
	Probe probe("item");
	WDFWORKITEM item = nullptr;
	WDFDEVICE control = nullptr;

	d.driver.in_entry = [&](WDFDRIVER handle) {
		PWDFDEVICE_INIT init = WdfControlDeviceInitAllocate(handle, nullptr);
		NTSTATUS status = WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &control);

		if (NT_SUCCESS(status))
			WdfControlFinishInitializing(control);
		return status;
	};
	d.driver.in_unload = [] { note("unload"); };
	d.start();
	item = make_item(probe, control);
	probe.hold = true;
	WdfWorkItemEnqueue(item);
	until([&] { return probe.inside.load(); }, "it runs");
	delete_at_dispatch(control);
	d.file.reset();
	Call unload([&](Call &) {
		d.driver.unload();
		return 0;
	});
	a_while();
	EXPECT_EQ(noted(), Order{});
	probe.hold = false;
	unload.result();
	EXPECT_EQ(noted(), (Order{"function", "item", "unload"}));
}

// Its end waits for its callbacks, one of which this thread is in.
TEST_F(Kmdf, W_098_a_queue_deleted_by_its_own_handler)
{
	Simple d;
	Queue reads(WdfIoQueueDispatchSequential, false);

	reads.attributes.ExecutionLevel = WdfExecutionLevelPassive;
	d.driver.queues = {&d.queue, &reads};
	d.driver.in_add = [&](WDFDEVICE device) {
		return WdfDeviceConfigureRequestDispatching(device, reads.handle, WdfRequestTypeRead);
	};
	// It presents nothing any more.
	reads.on_io = [&](WDFREQUEST request) {
		until([&] { return reads.queued() == 1; }, "there is a second one");
		WdfObjectDelete(reads.handle);
		complete(request, 1);
	};
	d.start();
	Probe child("child");
	std::atomic<bool> over{false};

	// A worker that comes late.
	child.at_cleanup = [&] {
		until([&] { return over.load(); }, "the handler's request is completed");
		a_while();
	};
	make_object(child, reads.handle);
	Readers readers(*d.file, 2);

	EXPECT_EQ(readers[0].wait(), 1);
	over = true;
	EXPECT_EQ(readers[1].wait(), -SHIM_ECANCELED);
	until([] { return list().queues.size() == 1; }, "the queue is gone");
	Call call = Call::read(*d.file, 8);
	complete(d.take(), 2);
	EXPECT_EQ(call.result(), 2);
}

// ---- start against stop

void stopped_while_it_is_started(WDF_EXECUTION_LEVEL level)
{
	Simple d;
	Probe probe("timer");

	d.start();
	WDFTIMER timer = make_timer(probe, d.driver.device, 0, level);

	probe.hold = true;
	WdfTimerStart(timer, 0);
	until([&] { return probe.inside.load(); }, "the timer runs");
	Call stop([&](Call &) { return WdfTimerStop(timer, TRUE); });
	until([] { return fake::timer_waiters() + fake::flushers() == 1; }, "the stop waits");
	EXPECT_FALSE(WdfTimerStart(timer, 0));
	EXPECT_TRUE(WdfTimerStart(timer, in_ms(5)));
	probe.hold = false;
	// Whoever has started it is told by nobody else.
	EXPECT_EQ(stop.result(), TRUE);
	fake::advance_ms(20);
	EXPECT_EQ(probe.runs, 1u);
	EXPECT_FALSE(WdfTimerStop(timer, TRUE));
	EXPECT_FALSE(WdfTimerStart(timer, in_ms(5)));
	fake::advance_ms(20);
	EXPECT_EQ(probe.runs, 2u);
}

TEST_F(Kmdf, W_098_started_while_a_stop_waits)
{
	stopped_while_it_is_started(WdfExecutionLevelDispatch);
}

TEST_F(Kmdf, W_098_a_passive_timer_started_while_a_stop_waits)
{
	stopped_while_it_is_started(WdfExecutionLevelPassive);
}

void stopped_while_it_starts_itself(WDF_EXECUTION_LEVEL level)
{
	Simple d;
	Probe probe("timer");

	d.start();
	WDFTIMER timer = make_timer(probe, d.driver.device, 0, level);

	probe.then = [&](WDFOBJECT) { EXPECT_FALSE(WdfTimerStart(timer, 0)); };
	probe.hold = true;
	WdfTimerStart(timer, 0);
	until([&] { return probe.inside.load(); }, "the timer runs");
	Call stop([&](Call &) { return WdfTimerStop(timer, TRUE); });
	a_while();
	EXPECT_FALSE(stop.finished());
	probe.hold = false;
	EXPECT_EQ(stop.result(), TRUE);
	u32 runs = probe.runs; // more than one if the stop came late
	fake::advance_ms(20);
	EXPECT_EQ(probe.runs, runs);
	EXPECT_FALSE(WdfTimerStop(timer, TRUE));
}

TEST_F(Kmdf, W_098_a_timer_that_starts_itself_is_stopped)
{
	stopped_while_it_starts_itself(WdfExecutionLevelDispatch);
}

TEST_F(Kmdf, W_098_a_passive_timer_that_starts_itself_is_stopped)
{
	stopped_while_it_starts_itself(WdfExecutionLevelPassive);
}

// It is not armed any more, so that the stop says FALSE: whoever has started it waits for the run.
TEST_F(Kmdf, W_098_what_is_due_runs_before_a_stop_returns)
{
	Simple d;
	Probe probe("timer");

	d.start();
	WDFTIMER timer = make_passive_timer(probe, d.driver.device);

	probe.hold = true;
	WdfTimerStart(timer, 0);
	until([&] { return probe.inside.load(); }, "the timer runs");
	EXPECT_FALSE(WdfTimerStart(timer, 0));
	until([] { return !fake::kernel_timers(); }, "it is due");
	Call stop([&](Call &) { return WdfTimerStop(timer, TRUE); });
	a_while();
	probe.hold = false;
	EXPECT_EQ(stop.result() + probe.runs, 2);
}

// Each start that replaces none is either a run or a stop that says so.
void started_against_stopped(u64 seed, bool wait)
{
	Simple d;
	Probe probe("timer");
	u32 started = 0;
	std::atomic<u32> stopped{0};

	d.start();
	fake::chaos(20, seed);
	WDFTIMER timer = make_timer(probe, d.driver.device);
	u32 count = host::rounds(4000);
	std::atomic<bool> over{false};
	std::thread starter([&] {
		for (u32 i = 0; host::one_more(i, count, probe.runs && stopped); i++) {
			// One that is not due yet only a stop ends.
			started += !WdfTimerStart(timer, i % 4 ? 0 : in_ms(1000));
			for (u32 k = 0; k < i % 16; k++)
				sched_yield();
		}
		over = true;
	});

	for (u32 i = 0; !over; i++) {
		stopped += WdfTimerStop(timer, wait);
		for (u32 k = 0; k < i % 16; k++)
			sched_yield();
	}
	starter.join();
	stopped += WdfTimerStop(timer, TRUE);
	EXPECT_EQ(started, stopped + probe.runs);
	EXPECT_GE(probe.runs, 1u);
	EXPECT_GE(stopped, 1u);
	printf("started %u, stopped %u, run %u\n", started, stopped.load(), probe.runs.load());
}

TEST_F(KmdfRaces, W_098_start_against_stop)
{
	started_against_stopped(seed_, true);
}

TEST_F(KmdfRaces, W_098_start_against_stop_that_does_not_wait)
{
	started_against_stopped(seed_, false);
}

// Whoever deletes first, and at whatever level: the child's end is before its parent's.
TEST_F(KmdfRaces, W_091_both_are_deleted_at_once)
{
	Simple d;
	Probe parent("parent");
	Probe probe("timer");
	u32 count = host::rounds(1500);

	d.start();
	fake::chaos(20, seed_);
	for (u32 i = 0; i < count; i++) {
		WDFOBJECT above = make_object(parent, d.driver.device);
		WDFTIMER timer = make_timer(probe, above, i & 8 ? 1 : 0,
					    i & 8 ? WdfExecutionLevelDispatch : WdfExecutionLevelPassive);

		WdfObjectReference(timer);
		if (i & 4)
			WdfTimerStart(timer, 0);
		std::thread first([&] { i & 1 ? delete_at_dispatch(timer) : WdfObjectDelete(timer); });

		for (u32 k = 0; k < i % 32; k++)
			sched_yield();
		i & 2 ? delete_at_dispatch(above) : WdfObjectDelete(above);
		first.join();
		fake::settle();
		Order all = noted();

		std::erase(all, "function");
		ASSERT_EQ(all, (Order{"timer", "parent"}));
		EXPECT_EQ(WdfTimerGetParentObject(timer), above);
		WdfObjectDereference(timer);
	}
	expect_any("ObjectMisuse"); // deleted twice: the parent was quicker
}

} // namespace
