// SPDX-License-Identifier: GPL-2.0-only
// W-70 to W-78: devices that sleep, wake up and go.
#include "kit.hpp"
#include "shim/entry.h"

namespace {

struct Event {
	std::string what;
	WDFREQUEST request;
	ULONG flags;

	bool operator==(const Event &) const = default;
};

std::ostream &operator<<(std::ostream &out, const Event &event)
{
	return out << event.what << ' ' << event.request << ' ' << event.flags;
}

// Notes what its queue is told.
struct Watched : Simple {
	std::mutex mutex;
	std::vector<Event> noted;
	std::function<void(WDFREQUEST, ULONG)> in_stop;

	explicit Watched(WDF_IO_QUEUE_DISPATCH_TYPE type = WdfIoQueueDispatchParallel) : Simple(type)
	{
		queue.on_stop = [this](WDFREQUEST request, ULONG flags) {
			note("stop", request, flags);
			if (in_stop)
				in_stop(request, flags);
		};
		queue.on_resume = [this](WDFREQUEST request) { note("resume", request); };
		queue.on_cancel = [this](WDFREQUEST request) {
			note("cancel", request);
			WdfRequestComplete(request, STATUS_CANCELLED);
		};
	}
	void note(const std::string &what, WDFREQUEST request, ULONG flags = 0)
	{
		std::lock_guard lock(mutex);

		noted.push_back({what, request, flags});
	}
	std::vector<Event> events()
	{
		std::lock_guard lock(mutex);

		return std::move(noted);
	}
	void power(const char *what) { EXPECT_EQ(kmdf_power_c(driver.node_name(), what), 0); }
};

TEST_F(Kmdf, W_070_evt_io_stop_of_what_the_driver_has)
{
	Watched d;

	d.queue.config.Settings.Parallel.NumberOfPresentedRequests = 3;
	d.in_stop = [](WDFREQUEST request, ULONG) { WdfRequestStopAcknowledge(request, FALSE); };
	d.start();
	Aio plain(*d.file);
	Aio marked(*d.file);
	Aio cancelled(*d.file);
	Aio queued(*d.file);

	plain.submit_read(1);
	WDFREQUEST first = d.take();
	marked.submit_read(1);
	WDFREQUEST second = d.take();
	cancelled.submit_read(1);
	WDFREQUEST third = d.take();
	queued.submit_read(1);
	EXPECT_EQ(d.queue.mark(second), STATUS_SUCCESS);
	EXPECT_EQ(cancel_request(host_kmdf_request_id(third)), 0);
	Call suspend([&](Call &) {
		d.power("suspend");
		return 0;
	});

	// The cancelled one is waited for, and not spoken of.
	suspend.wait_until_asleep();
	EXPECT_EQ(d.events(), (std::vector<Event>{{"stop", first, WdfRequestStopActionSuspend},
						  {"stop", second,
						   WdfRequestStopActionSuspend | WdfRequestStopRequestCancelable}}));
	EXPECT_FALSE(suspend.finished());
	WdfRequestComplete(third, STATUS_CANCELLED);
	EXPECT_EQ(suspend.result(), 0);
	EXPECT_EQ(cancelled.wait(), -SHIM_ECANCELED);
	EXPECT_TRUE(d.queue.bits() & WdfIoQueuePnpHeld);
	EXPECT_EQ(d.queue.arrived.waiting(), 0u);
	d.power("resume");
	EXPECT_EQ(d.events(), (std::vector<Event>{{"resume", first, 0}, {"resume", second, 0}}));
	WDFREQUEST fourth = d.take();
	EXPECT_EQ(WdfRequestUnmarkCancelable(second), STATUS_SUCCESS);
	for (WDFREQUEST request : {first, second, fourth})
		WdfRequestComplete(request, STATUS_SUCCESS);
}

TEST_F(Kmdf, W_071_kept)
{
	Watched d;

	d.in_stop = [](WDFREQUEST request, ULONG) { WdfRequestStopAcknowledge(request, FALSE); };
	d.start();
	Call call = Call::read(*d.file, 1);
	WDFREQUEST request = d.take();

	d.power("suspend");
	EXPECT_EQ(host_kmdf_request_state(request), owned);
	EXPECT_EQ(d.queue.owned(), 1u);
	EXPECT_EQ(d.events().size(), 1u);
	d.power("resume");
	EXPECT_EQ(d.events(), (std::vector<Event>{{"resume", request, 0}}));
	// Another round: it is asked again.
	d.power("suspend");
	d.power("resume");
	EXPECT_EQ(d.events(), (std::vector<Event>{{"stop", request, 1}, {"resume", request, 0}}));
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
}

// One that was kept may be completed while the device sleeps, and one that is cancelled then is not resumed.
TEST_F(Kmdf, W_071_what_becomes_of_it_while_the_device_sleeps)
{
	Watched d;

	d.in_stop = [](WDFREQUEST request, ULONG) { WdfRequestStopAcknowledge(request, FALSE); };
	d.start();
	Aio first(*d.file);
	Aio second(*d.file);

	first.submit_read(1);
	WDFREQUEST completed = d.take();
	second.submit_read(1);
	WDFREQUEST marked = d.take();
	EXPECT_EQ(d.queue.mark(marked), STATUS_SUCCESS);
	d.power("suspend");
	d.events();
	WdfRequestComplete(completed, STATUS_SUCCESS);
	EXPECT_EQ(first.wait(), 0);
	EXPECT_EQ(cancel_request(host_kmdf_request_id(marked)), 0);
	EXPECT_EQ(second.wait(), -SHIM_ECANCELED);
	d.power("resume");
	EXPECT_EQ(d.events(), (std::vector<Event>{{"cancel", marked, 0}}));
}

TEST_F(Kmdf, W_072_given_back)
{
	Watched d(WdfIoQueueDispatchSequential);

	d.in_stop = [](WDFREQUEST request, ULONG flags) {
		EXPECT_TRUE(flags & WdfRequestStopRequestCancelable);
		EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_SUCCESS);
		WdfRequestStopAcknowledge(request, TRUE);
	};
	d.start();
	Aio first(*d.file);
	Aio second(*d.file);

	first.submit_read(1);
	second.submit_read(1);
	WDFREQUEST request = d.take();
	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	d.power("suspend");
	EXPECT_EQ(host_kmdf_request_state(request), queued);
	EXPECT_EQ(d.queue.queued(), 2u);
	EXPECT_EQ(d.queue.owned(), 0u);
	d.power("resume");
	EXPECT_EQ(d.take(), request);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(first.wait(), 0);
	WdfRequestComplete(d.take(), STATUS_SUCCESS);
	EXPECT_EQ(second.wait(), 0);
	EXPECT_EQ(d.events().size(), 1u);
}

TEST_F(Kmdf, W_072_given_back_while_it_is_marked)
{
	Watched d;

	d.in_stop = [](WDFREQUEST request, ULONG) {
		WdfRequestStopAcknowledge(request, TRUE);
		EXPECT_EQ(host_kmdf_request_state(request), cancelable);
		WdfRequestStopAcknowledge(request, FALSE);
	};
	d.start();
	Call call = Call::read(*d.file, 1);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	d.power("suspend");
	EXPECT_EQ(reports("StopAckOutsideStop"), 1u);
	EXPECT_EQ(host_kmdf_request_state(request), cancelable);
	d.power("resume");
	EXPECT_EQ(d.file->cancel().notified, 1u);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
}

TEST_F(Kmdf, W_073_nothing_done_about_it)
{
	Watched d;

	d.start();
	Call call = Call::read(*d.file, 1);
	WDFREQUEST request = d.take();
	// Else the suspend sleeps for that, too.
	until([&] { return !host_kmdf_queue_inside(d.queue.handle); }, "nobody is in the dispatcher");
	Call suspend([&](Call &) {
		d.power("suspend");
		return 0;
	});

	suspend.wait_until_asleep();
	EXPECT_EQ(reports("EvtIoStopCancel") + reports("EvtIoStopCompleteOrStopAck"), 1u);
	EXPECT_EQ(reports("PowerTimeout"), 0u);
	EXPECT_FALSE(suspend.finished());
	fake::jump_ms(10001);
	until([&] { return reports("PowerTimeout") == 1; }, "the driver is named");
	EXPECT_FALSE(suspend.finished());
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
	EXPECT_EQ(suspend.result(), 0);
	d.power("resume");
}

TEST_F(Kmdf, W_073_completed_in_evt_io_stop)
{
	Watched d;

	d.in_stop = [](WDFREQUEST request, ULONG) { WdfRequestComplete(request, STATUS_CANCELLED); };
	d.start();
	Call call = Call::read(*d.file, 1);
	d.take();
	d.power("suspend");
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	d.power("resume");
}

TEST_F(Kmdf, W_074_acknowledged_where_nobody_asked)
{
	Watched d;

	d.in_stop = [](WDFREQUEST request, ULONG) { WdfRequestStopAcknowledge(request, FALSE); };
	d.start();
	Call call = Call::read(*d.file, 1);
	WDFREQUEST request = d.take();

	WdfRequestStopAcknowledge(request, TRUE);
	EXPECT_EQ(reports("StopAckOutsideStop"), 1u);
	EXPECT_EQ(host_kmdf_request_state(request), owned);
	d.power("suspend");
	d.power("resume");
	EXPECT_EQ(host_kmdf_request_state(request), owned);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
}

// Whoever calls EvtRequestCancel: the thread that removes the device, or, at passive level, a worker.
void remove_a_device(WDF_EXECUTION_LEVEL level)
{
	Watched d;

	d.queue.attributes.ExecutionLevel = level;
	d.in_stop = [](WDFREQUEST request, ULONG) { WdfRequestComplete(request, STATUS_CANCELLED); };
	d.start();
	Aio first(*d.file);
	Aio second(*d.file);

	first.submit_read(1);
	WDFREQUEST plain = d.take();
	second.submit_read(1);
	WDFREQUEST marked = d.take();
	EXPECT_EQ(d.queue.mark(marked), STATUS_SUCCESS);
	Call remove([&](Call &) {
		d.power("remove");
		return 0;
	});

	until(
		[&] {
			std::lock_guard lock(remove.task().mutex);

			return remove.finished() || remove.task().sleeping;
		},
		"the removal is over, or waits");
	a_while();
	EXPECT_EQ(d.events(), (std::vector<Event>{{"cancel", marked, 0}, {"stop", plain, WdfRequestStopActionPurge}}));
	if (testing::Test::HasFailure())
		WdfRequestComplete(plain, STATUS_CANCELLED); // the driver was not asked
	EXPECT_EQ(remove.result(), 0);
	EXPECT_EQ(first.wait(), -SHIM_ECANCELED);
	EXPECT_EQ(second.wait(), -SHIM_ECANCELED);
	EXPECT_FALSE(fake::node_exists(d.driver.node_name()));
	EXPECT_EQ(d.file->read(1), -SHIM_ENODEV);
	EXPECT_EQ(d.file->poll(), SHIM_EPOLLHUP);
}

TEST_F(Kmdf, W_075_removal)
{
	remove_a_device(WdfExecutionLevelDispatch);
}

TEST_F(Kmdf, W_075_removal_with_a_passive_queue)
{
	remove_a_device(WdfExecutionLevelPassive);
}

TEST_F(Kmdf, W_076_a_cancel_while_evt_io_stop_runs)
{
	Watched d;
	std::atomic<bool> in{false};
	std::atomic<bool> go{false};

	d.in_stop = [&](WDFREQUEST request, ULONG flags) {
		EXPECT_TRUE(flags & WdfRequestStopRequestCancelable);
		in = true;
		until([&] { return go.load(); }, "EvtIoStop may go on");
		EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_CANCELLED);
		d.note("stopped", request);
	};
	d.start();
	Call call = Call::read(*d.file, 1);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	Call suspend([&](Call &) {
		d.power("suspend");
		return 0;
	});

	until([&] { return in.load(); }, "EvtIoStop runs");
	EXPECT_EQ(d.file->cancel().notified, 1u);
	a_while();
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
	go = true;
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(suspend.result(), 0);
	EXPECT_EQ(d.events(),
		  (std::vector<Event>{{"stop", request, WdfRequestStopActionSuspend | WdfRequestStopRequestCancelable},
				      {"stopped", request, 0},
				      {"cancel", request, 0}}));
	d.power("resume");
}

TEST_F(Kmdf, W_077_a_queue_that_is_stopped_asks_nobody)
{
	Watched d;

	d.start();
	Call call = Call::read(*d.file, 1);
	WDFREQUEST request = d.take();

	WdfIoQueueStop(d.queue.handle, nullptr, nullptr);
	WdfIoQueuePurge(d.queue.handle, nullptr, nullptr);
	fake::settle();
	EXPECT_EQ(d.events().size(), 0u);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
	WdfIoQueueStart(d.queue.handle);
}

TEST_F(Kmdf, W_077_a_queue_that_is_not_power_managed)
{
	Watched d;

	d.queue.config.PowerManaged = WdfFalse;
	d.start();
	Call call = Call::read(*d.file, 1);
	WDFREQUEST request = d.take();

	d.power("suspend");
	EXPECT_EQ(d.events().size(), 0u);
	Call more = Call::read(*d.file, 1);
	WdfRequestComplete(d.take(), STATUS_SUCCESS);
	EXPECT_EQ(more.result(), 0);
	d.power("resume");
	EXPECT_EQ(d.events().size(), 0u);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
}

// What comes while the device sleeps waits for it.
TEST_F(Kmdf, W_070_requests_wait_for_the_device)
{
	Watched d;

	d.start();
	d.power("suspend");
	Call call = Call::read(*d.file, 1);
	until([&] { return d.queue.queued() == 1; }, "it is queued");
	EXPECT_EQ(list().devices.at(0).state, static_cast<u32>(KMDF_DEVICE_LOW_POWER));
	a_while();
	EXPECT_EQ(d.queue.arrived.total(), 0u);
	d.power("resume");
	WdfRequestComplete(d.take(), STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
	d.power("suspend");
	Call another = Call::read(*d.file, 1);
	until([&] { return d.queue.queued() == 1; }, "it is queued");
	EXPECT_EQ(d.file->cancel().finished, 1u);
	EXPECT_EQ(another.result(), -SHIM_ECANCELED);
	d.power("resume");
}

// What the driver has been called for, in its order; one of them may fail.
std::vector<std::string> steps;
std::string failing;

NTSTATUS step(const char *name)
{
	steps.emplace_back(name);
	return failing == name ? STATUS_DEVICE_BUSY : STATUS_SUCCESS;
}

void note_steps(Driver &driver)
{
	steps.clear();
	failing.clear();
	driver.pnp.EvtDevicePrepareHardware = [](WDFDEVICE, WDFCMRESLIST, WDFCMRESLIST) { return step("prepare"); };
	driver.pnp.EvtDeviceD0Entry = [](WDFDEVICE, WDF_POWER_DEVICE_STATE) { return step("entry"); };
	driver.pnp.EvtDeviceSelfManagedIoInit = [](WDFDEVICE) { return step("init"); };
	driver.pnp.EvtDeviceSelfManagedIoSuspend = [](WDFDEVICE) { return step("suspend"); };
	driver.pnp.EvtDeviceSelfManagedIoRestart = [](WDFDEVICE) { return step("restart"); };
	driver.pnp.EvtDeviceD0Exit = [](WDFDEVICE, WDF_POWER_DEVICE_STATE) { return step("exit"); };
	driver.pnp.EvtDeviceReleaseHardware = [](WDFDEVICE, WDFCMRESLIST) { return step("release"); };
	driver.pnp.EvtDeviceSelfManagedIoFlush = [](WDFDEVICE) { step("flush"); };
	driver.pnp.EvtDeviceSelfManagedIoCleanup = [](WDFDEVICE) { step("cleanup"); };
	driver.in_unload = [] { step("unload"); };
}

TEST_F(Kmdf, W_070_power_callbacks_in_their_order)
{
	Simple d;

	note_steps(d.driver);
	d.start();
	kextbridge_sleep_c(true);
	kextbridge_sleep_c(false);
	d.file.reset();
	d.driver.unload();
	EXPECT_EQ(steps, (std::vector<std::string>{"prepare", "entry", "init", "suspend", "exit", "entry", "restart",
						   "suspend", "exit", "flush", "release", "cleanup", "unload"}));
}

// Whose turn has not come is not told of the end: not of the device's, nor, if DriverEntry fails, of the driver's.
TEST_F(Kmdf, what_has_not_begun_does_not_end)
{
	const std::pair<std::string, std::vector<std::string>> cases[] = {
		{"DriverEntry", {}},
		{"add", {"unload"}},
		{"prepare", {"prepare", "release", "unload"}},
		{"entry", {"prepare", "entry", "release", "unload"}},
		{"init", {"prepare", "entry", "init", "exit", "flush", "release", "cleanup", "unload"}},
	};

	for (const auto &[place, wanted] : cases) {
		Simple d;

		note_steps(d.driver);
		failing = place;
		d.driver.in_entry = [](WDFDRIVER) {
			return failing == "DriverEntry" ? STATUS_DEVICE_BUSY : STATUS_SUCCESS;
		};
		d.driver.in_add = [](WDFDEVICE) { return failing == "add" ? STATUS_DEVICE_BUSY : STATUS_SUCCESS; };
		EXPECT_EQ(d.driver.load(), -SHIM_EBUSY) << place;
		EXPECT_EQ(steps, wanted) << place;
	}
}

TEST_F(Kmdf, a_device_that_does_not_resume_is_removed)
{
	Simple d;

	note_steps(d.driver);
	d.start();
	kextbridge_sleep_c(true);
	steps.clear();
	failing = "entry";
	kextbridge_sleep_c(false);
	EXPECT_EQ(steps, (std::vector<std::string>{"entry", "flush", "release", "cleanup"}));
	EXPECT_FALSE(fake::node_exists(d.driver.node_name()));
	d.file.reset();
	steps.clear();
	d.driver.unload();
	EXPECT_EQ(steps, std::vector<std::string>{"unload"});
}

// What has been begun, and does not go on, is not suspended again.
TEST_F(Kmdf, a_device_whose_io_does_not_restart_is_removed)
{
	Simple d;

	note_steps(d.driver);
	d.start();
	kextbridge_sleep_c(true);
	steps.clear();
	failing = "restart";
	kextbridge_sleep_c(false);
	EXPECT_EQ(steps, (std::vector<std::string>{"entry", "restart", "exit", "flush", "release", "cleanup"}));
	d.file.reset();
	d.driver.unload();
}

// Its system, its driver's unloading and the debugfs switch come at the same time: each waits for the others.
TEST_F(Kmdf, W_070_one_change_at_a_time)
{
	Simple d;

	note_steps(d.driver);
	d.start();
	Call call = Call::read(*d.file, 1);
	WDFREQUEST request = d.take();
	auto change = [&](const char *what) {
		return [&d, what](Call &) { return static_cast<s64>(kmdf_power_c(d.driver.node_name(), what)); };
	};
	Call first(change("suspend"));

	first.wait_until_asleep();
	Call second(change("suspend"));
	Call remove(change("remove"));

	a_while();
	EXPECT_FALSE(second.finished());
	EXPECT_FALSE(remove.finished());
	EXPECT_EQ(list().devices.at(0).state, static_cast<u32>(KMDF_DEVICE_LOW_POWER));
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
	EXPECT_EQ(first.result(), 0);
	EXPECT_EQ(second.result(), 0);
	EXPECT_EQ(remove.result(), 0);
	EXPECT_EQ(steps, (std::vector<std::string>{"prepare", "entry", "init", "suspend", "exit", "flush", "release",
						   "cleanup"}));
	EXPECT_EQ(list().devices.at(0).state, static_cast<u32>(KMDF_DEVICE_REMOVED));
	EXPECT_EQ(d.file->read(1), -SHIM_ENODEV);
}

// The code of a callback that runs must not go.
TEST_F(Kmdf, W_070_an_unload_waits_for_a_change)
{
	static std::atomic<bool> in;
	static std::atomic<bool> go;
	Simple d;

	note_steps(d.driver);
	in = go = false;
	d.driver.pnp.EvtDeviceD0Exit = [](WDFDEVICE, WDF_POWER_DEVICE_STATE) {
		in = true;
		until([] { return go.load(); }, "it may go on");
		return step("exit");
	};
	d.start();
	d.file.reset();
	Call sleep([](Call &) {
		kextbridge_sleep_c(true);
		return 0;
	});

	until([] { return in.load(); }, "EvtDeviceD0Exit runs");
	Call unload([&](Call &) {
		d.driver.unload();
		return 0;
	});

	a_while();
	EXPECT_FALSE(unload.finished());
	go = true;
	EXPECT_EQ(sleep.result(), 0);
	EXPECT_EQ(unload.result(), 0);
	EXPECT_EQ(steps, (std::vector<std::string>{"prepare", "entry", "init", "suspend", "exit", "flush", "release",
						   "cleanup", "unload"}));
}

TEST_F(Kmdf, W_070_the_queues_stop_before_the_device)
{
	static std::vector<std::string> order;
	Watched d;

	order.clear();
	d.in_stop = [](WDFREQUEST request, ULONG) {
		order.emplace_back("stop");
		WdfRequestStopAcknowledge(request, FALSE);
	};
	d.driver.pnp.EvtDeviceSelfManagedIoSuspend = [](WDFDEVICE) {
		order.emplace_back("suspend");
		return STATUS_SUCCESS;
	};
	d.driver.pnp.EvtDeviceD0Exit = [](WDFDEVICE, WDF_POWER_DEVICE_STATE) {
		order.emplace_back("exit");
		return STATUS_SUCCESS;
	};
	d.driver.pnp.EvtDeviceD0Entry = [](WDFDEVICE, WDF_POWER_DEVICE_STATE) {
		order.emplace_back("entry");
		return STATUS_SUCCESS;
	};
	d.queue.on_resume = [](WDFREQUEST) { order.emplace_back("resume"); };
	d.start();
	Call call = Call::read(*d.file, 1);
	WDFREQUEST request = d.take();

	d.power("suspend");
	d.power("resume");
	EXPECT_EQ(order, (std::vector<std::string>{"entry", "suspend", "stop", "exit", "entry", "resume"}));
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
}

// A control device is always there.
TEST_F(Kmdf, W_078_a_control_device_does_not_sleep)
{
	static std::atomic<u32> stops;
	Queue queue;
	Driver driver;

	stops = 0;
	driver.node = "function";
	driver.in_entry = [&](WDFDRIVER handle) {
		PWDFDEVICE_INIT init = WdfControlDeviceInitAllocate(handle, nullptr);
		WDF_OBJECT_ATTRIBUTES attributes;
		UNICODE_STRING name;
		WDFDEVICE device;

		WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
		EXPECT_EQ(WdfDeviceCreate(&init, &attributes, &device), STATUS_SUCCESS);
		RtlInitUnicodeString(&name, u"\\DosDevices\\ctl");
		EXPECT_EQ(WdfDeviceCreateSymbolicLink(device, &name), STATUS_SUCCESS);
		queue.config.PowerManaged = WdfTrue;
		queue.on_stop = [](WDFREQUEST, ULONG) { stops++; };
		EXPECT_EQ(queue.make(device), STATUS_SUCCESS);
		WdfControlFinishInitializing(device);
		return STATUS_SUCCESS;
	};
	driver.must_load();
	EXPECT_TRUE(fake::node_exists("ctl"));
	driver.node = "\\DosDevices\\ctl"; // what files are opened on
	{
		File file(driver);
		Call call = Call::read(file, 1);
		WDFREQUEST request = queue.take();

		kextbridge_sleep_c(true);
		EXPECT_EQ(stops, 0u);
		Call more = Call::read(file, 1);
		WdfRequestComplete(queue.take(), STATUS_SUCCESS);
		EXPECT_EQ(more.result(), 0);
		kextbridge_sleep_c(false);
		WdfRequestComplete(request, STATUS_SUCCESS);
		EXPECT_EQ(call.result(), 0);
	}
	driver.unload();
	EXPECT_EQ(stops, 0u);
}

TEST_F(Kmdf, W_078_a_control_device_is_deleted_by_a_callback_about_its_end)
{
	static std::atomic<u32> deleted;
	static WDFDEVICE device;
	Driver driver;

	deleted = 0;
	driver.in_entry = [](WDFDRIVER handle) {
		PWDFDEVICE_INIT init = WdfControlDeviceInitAllocate(handle, nullptr);
		WDF_PNPPOWER_EVENT_CALLBACKS pnp;
		UNICODE_STRING name;

		WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&pnp);
		pnp.EvtDeviceSelfManagedIoInit = [](WDFDEVICE itself) {
			WdfControlFinishInitializing(itself);
			return STATUS_SUCCESS;
		};
		pnp.EvtDeviceSelfManagedIoCleanup = [](WDFDEVICE) {
			deleted++;
			WdfObjectDelete(device);
		};
		WdfDeviceInitSetPnpPowerEventCallbacks(init, &pnp);
		EXPECT_EQ(WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &device), STATUS_SUCCESS);
		RtlInitUnicodeString(&name, u"\\DosDevices\\ctl");
		EXPECT_EQ(WdfDeviceCreateSymbolicLink(device, &name), STATUS_SUCCESS);
		WdfControlFinishInitializing(device);
		return STATUS_SUCCESS;
	};
	driver.must_load();
	EXPECT_EQ(reports("ObjectMisuse"), 1u);
	EXPECT_TRUE(fake::node_exists("ctl"));
	EXPECT_EQ(kmdf_power_c("ctl", "remove"), 0);
	EXPECT_EQ(deleted, 1u);
	EXPECT_FALSE(fake::node_exists("ctl"));
	driver.unload();
	EXPECT_EQ(deleted, 1u);
}

TEST_F(Kmdf, finished_twice_or_where_nothing_is_to_finish)
{
	Driver driver;
	WDFDEVICE control = nullptr;

	driver.in_entry = [&](WDFDRIVER handle) {
		PWDFDEVICE_INIT init = WdfControlDeviceInitAllocate(handle, nullptr);
		UNICODE_STRING name;

		EXPECT_EQ(WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &control), STATUS_SUCCESS);
		RtlInitUnicodeString(&name, u"\\DosDevices\\ctl");
		EXPECT_EQ(WdfDeviceCreateSymbolicLink(control, &name), STATUS_SUCCESS);
		WdfControlFinishInitializing(control);
		return STATUS_SUCCESS;
	};
	note_steps(driver);
	driver.must_load();
	EXPECT_EQ(reports("ObjectMisuse"), 0u);
	WdfControlFinishInitializing(control);
	EXPECT_EQ(reports("ObjectMisuse"), 1u);
	EXPECT_TRUE(fake::node_exists("ctl"));
	WdfControlFinishInitializing(driver.device);
	EXPECT_EQ(reports("ObjectMisuse"), 2u);
	KIRQL old;

	KeRaiseIrql(DISPATCH_LEVEL, &old);
	WdfControlFinishInitializing(control);
	KeLowerIrql(old);
	EXPECT_EQ(reports("KmdfIrql"), 1u);
	EXPECT_EQ(steps, (std::vector<std::string>{"prepare", "entry", "init"}));
	driver.unload();
	EXPECT_FALSE(fake::node_exists("ctl"));
}

// The driver has not answered an open: a removal goes on, and so does the open when it is answered.
TEST_F(Kmdf, W_107_removal_does_not_wait_for_an_open)
{
	Simple d;
	std::atomic<WDFREQUEST> asked{nullptr};

	d.driver.on_create = [&](WDFREQUEST request, WDFFILEOBJECT) { asked = request; };
	d.driver.must_load();
	Call open([&](Call &) {
		File file(d.driver, true);

		return static_cast<s64>(file.error());
	});

	until([&] { return asked.load() != nullptr; }, "the driver is asked");
	EXPECT_EQ(kmdf_power_c(d.driver.node_name(), "remove"), 0);
	EXPECT_FALSE(open.finished());
	WdfRequestComplete(asked, STATUS_ACCESS_DENIED);
	EXPECT_EQ(open.result(), -SHIM_EACCES);
}

EVT_WDF_DEVICE_SHUTDOWN_NOTIFICATION note_shutdown;
std::atomic<u32> shutdowns;

void note_shutdown(WDFDEVICE)
{
	shutdowns++;
}

TEST_F(Kmdf, shutdown_is_told_to_the_control_device_that_asked)
{
	Driver driver;

	shutdowns = 0;
	driver.in_entry = [](WDFDRIVER handle) {
		for (bool asks : {true, false}) {
			PWDFDEVICE_INIT init = WdfControlDeviceInitAllocate(handle, nullptr);
			WDF_PNPPOWER_EVENT_CALLBACKS pnp;
			WDFDEVICE device;

			if (asks)
				WdfControlDeviceInitSetShutdownNotification(init, note_shutdown, 0);
			WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&pnp);
			pnp.EvtDeviceSelfManagedIoCleanup = [](WDFDEVICE) { kextbridge_shutdown_c(); };
			WdfDeviceInitSetPnpPowerEventCallbacks(init, &pnp);
			NTSTATUS status = WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &device);

			if (!NT_SUCCESS(status))
				return status;
			WdfControlFinishInitializing(device);
		}
		return STATUS_SUCCESS;
	};
	driver.must_load();
	kextbridge_shutdown_c();
	EXPECT_EQ(shutdowns, 1u);
	driver.unload(); // which somebody's reboot comes in the middle of
	EXPECT_EQ(shutdowns, 1u);
}

// Two devices with one name: the second one is told so, and the first keeps its node.
TEST_F(Kmdf, a_name_is_given_once)
{
	Simple first;
	Driver second("other");
	NTSTATUS status = STATUS_SUCCESS;

	first.driver.node = "\\DosDevices\\twice";
	first.driver.in_add = [&](WDFDEVICE device) {
		UNICODE_STRING name;

		RtlInitUnicodeString(&name, u"\\Device\\twice");
		return WdfDeviceCreateSymbolicLink(device, &name); // its own
	};
	first.start();
	second.in_add = [&](WDFDEVICE device) {
		UNICODE_STRING name;

		RtlInitUnicodeString(&name, u"\\DosDevices\\twice");
		status = WdfDeviceCreateSymbolicLink(device, &name);
		return STATUS_SUCCESS;
	};
	second.must_load();
	EXPECT_EQ(status, STATUS_OBJECT_NAME_COLLISION);
	EXPECT_TRUE(fake::node_exists("other0"));
	second.unload();
	EXPECT_TRUE(fake::node_exists("twice"));
}

TEST_F(Kmdf, W_070_what_can_be_asked)
{
	Simple d;

	d.start();
	EXPECT_EQ(kmdf_power_c("nobody", "suspend"), -SHIM_ENOENT);
	EXPECT_EQ(kmdf_power_c(d.driver.node_name(), "explode"), -SHIM_EINVAL);
	EXPECT_EQ(kmdf_power_c(d.driver.node_name(), "resume"), 0);
	EXPECT_EQ(kmdf_power_c(d.driver.node_name(), "suspend"), 0);
	EXPECT_EQ(kmdf_power_c(d.driver.node_name(), "suspend"), 0);
	EXPECT_EQ(kmdf_power_c(d.driver.node_name(), "resume"), 0);
}

} // namespace
