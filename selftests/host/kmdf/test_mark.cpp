// SPDX-License-Identifier: GPL-2.0-only
// W-01 to W-30 (kmdf.md part 4): marked, unmarked, cancelled.
#include "kit.hpp"

namespace {

std::atomic<u32> other_calls;

void other_cancel(WDFREQUEST)
{
	other_calls++;
}

// A queue without synchronization whose handler of writes blocks: who cancels meanwhile leaves it to that thread.
struct Blocked : Simple {
	std::atomic<u32> inside{0};
	std::atomic<bool> go{false};
	std::optional<Call> call;

	Blocked()
	{
		queue.on_read = [this](WDFREQUEST request, size_t) { queue.arrived.push(request); };
		queue.on_write = [this](WDFREQUEST request, size_t length) {
			inside++;
			until([this] { return go.load(); }, "the handler may go on");
			inside--;
			WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, length);
		};
	}
	void block()
	{
		go = false;
		// Who has presented a request may not have left yet, and would find what is due.
		until([this] { return !host_kmdf_queue_inside(queue.handle); }, "nobody is in the dispatcher");
		call.emplace([this](Call &) { return file->write("block"); });
		until([this] { return inside.load() == 1; }, "the handler blocks");
	}
	void unblock()
	{
		go = true;
		EXPECT_EQ(call->result(), 5);
	}
};

TEST_F(Kmdf, W_001_ex_marks_what_the_driver_owns)
{
	Simple d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(host_kmdf_request_state(request), owned);
	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	EXPECT_EQ(host_kmdf_request_state(request), cancelable);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_SUCCESS);
	WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 7);
	EXPECT_EQ(call.result(), 7);
}

TEST_F(Kmdf, W_002_a_cancel_calls_back_once)
{
	Simple d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	kmdf_cancel cancel = d.file->cancel();
	EXPECT_EQ(cancel.found, 1u);
	EXPECT_EQ(cancel.notified, 1u);
	EXPECT_EQ(cancel.finished + cancel.flagged, 0u);
	EXPECT_EQ(d.queue.cancelled.take(), request);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(d.file->cancel().found, 0u);
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
}

// Cancelled again while EvtRequestCancel runs, and after it.
TEST_F(Kmdf, W_002_a_second_cancel_calls_nobody)
{
	Simple d;
	std::atomic<bool> go{false};

	d.queue.on_cancel = [&](WDFREQUEST) { until([&] { return go.load(); }, "the callback may return"); };
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	Call canceller([&](Call &) { return d.file->cancel().notified; });
	EXPECT_EQ(d.queue.cancelled.take(), request);
	EXPECT_EQ(host_kmdf_request_state(request), called);
	EXPECT_EQ(d.file->cancel().notified, 1u);
	go = true;
	EXPECT_EQ(canceller.result(), 1);
	EXPECT_EQ(d.file->cancel().notified, 1u);
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
	WdfRequestComplete(request, STATUS_CANCELLED);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
}

TEST_F(Kmdf, W_003_unmarked_and_then_cancelled)
{
	Simple d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_SUCCESS);
	EXPECT_FALSE(WdfRequestIsCanceled(request));
	EXPECT_EQ(d.file->cancel().flagged, 1u);
	EXPECT_TRUE(WdfRequestIsCanceled(request));
	a_while();
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
	WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 3);
	EXPECT_EQ(call.result(), 3);
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
}

TEST_F(Kmdf, W_004_ex_refuses_what_was_cancelled)
{
	Simple d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.file->cancel().flagged, 1u);
	EXPECT_EQ(d.queue.mark(request), STATUS_CANCELLED);
	EXPECT_EQ(host_kmdf_request_state(request), owned);
	// Sticky: a second time, too.
	EXPECT_EQ(d.queue.mark(request), STATUS_CANCELLED);
	a_while();
	EXPECT_FALSE(call.finished());
	WdfRequestComplete(request, STATUS_CANCELLED);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
}

TEST_F(Kmdf, W_005_what_was_cancelled_is_marked_and_called_back)
{
	Simple d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.file->cancel().flagged, 1u);
	d.queue.mark_plain(request);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(d.queue.cancelled.take(), request);
	fake::settle();
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
}

// Marks in its handler what was cancelled meanwhile.
void marks_in_handler(WDF_SYNCHRONIZATION_SCOPE scope)
{
	Simple d;
	std::atomic<WDFREQUEST> presented{nullptr};
	std::atomic<bool> flagged{false};
	std::atomic<bool> inside{true};
	std::atomic<u32> inside_when_called{0};

	d.queue.attributes.SynchronizationScope = scope;
	d.queue.on_read = [&](WDFREQUEST request, size_t) {
		presented = request;
		while (!flagged)
			sched_yield();
		d.queue.mark_plain(request);
		for (int i = 0; i < 1000; i++)
			sched_yield();
		inside = false;
	};
	d.queue.on_cancel = [&](WDFREQUEST request) {
		inside_when_called += inside;
		WdfRequestComplete(request, STATUS_CANCELLED);
	};
	d.start();
	Call call = Call::read(*d.file, 16);
	until([&] { return presented.load() != nullptr; }, "it is presented");
	EXPECT_EQ(d.file->cancel().flagged, 1u);
	flagged = true;
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
	EXPECT_EQ(inside_when_called, 0u);
}

TEST_F(Kmdf, W_006_the_callback_waits_for_the_handler_to_return)
{
	marks_in_handler(WdfSynchronizationScopeQueue);
}

TEST_F(Kmdf, W_006_with_the_devices_lock)
{
	marks_in_handler(WdfSynchronizationScopeDevice);
}

TEST_F(Kmdf, W_006_without_synchronization)
{
	marks_in_handler(WdfSynchronizationScopeNone);
}

TEST_F(Kmdf, W_007_ex_under_a_lock_that_the_callback_takes)
{
	Simple d;
	WDFSPINLOCK lock;
	WDF_OBJECT_ATTRIBUTES attributes;
	std::atomic<u32> order{0};
	u32 released_at = 0;
	u32 called_at = 0;

	d.queue.on_cancel = [&](WDFREQUEST request) {
		WdfSpinLockAcquire(lock);
		called_at = ++order;
		WdfSpinLockRelease(lock);
		WdfRequestComplete(request, STATUS_CANCELLED);
	};
	d.start();
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = d.driver.device;
	ASSERT_EQ(WdfSpinLockCreate(&attributes, &lock), STATUS_SUCCESS);
	{
		Call call = Call::read(*d.file, 16);
		WDFREQUEST request = d.take();

		EXPECT_EQ(d.file->cancel().flagged, 1u);
		WdfSpinLockAcquire(lock);
		EXPECT_EQ(d.queue.mark(request), STATUS_CANCELLED);
		WdfSpinLockRelease(lock);
		WdfRequestComplete(request, STATUS_CANCELLED);
		EXPECT_EQ(call.result(), -SHIM_ECANCELED);
		EXPECT_EQ(d.queue.cancelled.total(), 0u);
	}
	// Cancelled while it is still held: the callback comes on the canceller's CPU, and waits.
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	WdfSpinLockAcquire(lock);
	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	Call canceller([&](Call &) { return d.file->cancel().notified; });
	until([&] { return d.queue.cancelled.total() == 1; }, "it is called back");
	released_at = ++order;
	WdfSpinLockRelease(lock);
	EXPECT_EQ(canceller.result(), 1);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(released_at, 1u);
	EXPECT_EQ(called_at, 2u);
}

TEST_F(Kmdf, W_008_unmark_says_cancelled_and_does_not_wait)
{
	Simple d;
	std::atomic<bool> go{false};

	d.queue.on_cancel = [&](WDFREQUEST request) {
		until([&] { return go.load(); }, "the callback may return");
		EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_CANCELLED);
		WdfRequestComplete(request, STATUS_CANCELLED);
		// And in the callback, which has a reference, even afterwards.
		EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_CANCELLED);
	};
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	Call canceller([&](Call &) { return d.file->cancel().notified; });
	EXPECT_EQ(d.queue.cancelled.take(), request);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_CANCELLED);
	EXPECT_EQ(host_kmdf_request_state(request), called);
	EXPECT_FALSE(call.finished());
	go = true;
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
}

TEST_F(Kmdf, W_008_when_the_callback_is_only_due)
{
	Blocked d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	d.block();
	EXPECT_EQ(cancel_request(host_kmdf_request_id(request)), 0);
	EXPECT_EQ(host_kmdf_request_state(request), cancelled);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_CANCELLED);
	EXPECT_EQ(host_kmdf_request_state(request), cancelled);
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
	d.unblock();
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
}

TEST_F(Kmdf, W_010_unmark_of_what_was_never_marked)
{
	Simple d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("UnmarkNotCancelable"), 1u);
	EXPECT_EQ(host_kmdf_request_state(request), owned);
	// Cancelled, but not marked: the driver must not be told that somebody else ends it.
	EXPECT_EQ(d.file->cancel().flagged, 1u);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("UnmarkNotCancelable"), 2u);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
}

TEST_F(Kmdf, W_011_unmark_of_what_is_in_a_queue)
{
	Simple d(WdfIoQueueDispatchManual);
	WDFREQUEST found;

	d.start();
	Call call = Call::read(*d.file, 16);
	until([&] { return d.queue.queued() == 1; }, "it is queued");
	ASSERT_EQ(WdfIoQueueFindRequest(d.queue.handle, nullptr, nullptr, nullptr, &found), STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestUnmarkCancelable(found), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("UnmarkNotCancelable"), 1u);
	EXPECT_EQ(d.queue.mark(found), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("InvalidReqAccess"), 1u);
	EXPECT_EQ(host_kmdf_request_state(found), queued);
	EXPECT_EQ(d.queue.queued(), 1u);
	WdfObjectDereference(found);
	WDFREQUEST request = d.queue.retrieve();
	EXPECT_EQ(request, found);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
}

TEST_F(Kmdf, W_012_marked_twice)
{
	Simple d;

	other_calls = 0;
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestMarkCancelableEx(request, other_cancel), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("MarkCancOnCancReq"), 1u);
	WdfRequestMarkCancelable(request, other_cancel);
	EXPECT_EQ(reports("MarkCancOnCancReq"), 2u);
	EXPECT_EQ(host_kmdf_request_state(request), cancelable);
	EXPECT_EQ(d.file->cancel().notified, 1u);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
	EXPECT_EQ(other_calls, 0u);
}

// Also what was unmarked may be marked again, with another callback.
TEST_F(Kmdf, W_012_marked_anew)
{
	Simple d;

	other_calls = 0;
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(WdfRequestMarkCancelableEx(request, other_cancel), STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_SUCCESS);
	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	EXPECT_EQ(d.file->cancel().notified, 1u);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(other_calls, 0u);
}

TEST_F(Kmdf, W_013_a_request_of_the_drivers_own)
{
	Simple d;
	WDFREQUEST request;
	WDF_OBJECT_ATTRIBUTES attributes;

	d.start();
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = d.driver.device;
	ASSERT_EQ(WdfRequestCreate(&attributes, nullptr, &request), STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestMarkCancelableEx(request, other_cancel), STATUS_INVALID_DEVICE_REQUEST);
	WdfRequestMarkCancelable(request, other_cancel);
	EXPECT_EQ(host_kmdf_request_state(request), owned);
	WdfObjectDelete(request);
}

TEST_F(Kmdf, W_014_a_cancel_of_what_is_not_marked_ends_nothing)
{
	Simple d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.file->cancel().flagged, 1u);
	a_while();
	EXPECT_FALSE(call.finished());
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
	EXPECT_EQ(host_kmdf_request_state(request), owned);
	WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 16);
	EXPECT_EQ(call.result(), 16);
}

TEST_F(Kmdf, W_015_is_canceled)
{
	Simple d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_FALSE(WdfRequestIsCanceled(request));
	EXPECT_EQ(d.file->cancel().flagged, 1u);
	EXPECT_TRUE(WdfRequestIsCanceled(request));
	EXPECT_TRUE(WdfRequestIsCanceled(request));
	WdfRequestComplete(request, STATUS_CANCELLED);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
}

TEST_F(Kmdf, W_016_is_canceled_of_what_is_marked)
{
	Simple d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	EXPECT_FALSE(WdfRequestIsCanceled(request));
	EXPECT_EQ(reports("ReqIsCancOnCancReq"), 1u);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_SUCCESS);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
}

TEST_F(Kmdf, W_017_the_callback_completes_it)
{
	Simple d;

	d.queue.on_cancel = [](WDFREQUEST request) { WdfRequestComplete(request, STATUS_CANCELLED); };
	d.start();
	Call call = Call::control(*d.file, kBuffered, "in", 8);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	EXPECT_EQ(d.file->cancel().notified, 1u);
	EXPECT_EQ(call.outcome().error, 0);
	EXPECT_EQ(call.outcome().status, STATUS_CANCELLED);
	EXPECT_EQ(call.outcome().information, 0u);
}

TEST_F(Kmdf, W_018_late_success)
{
	Simple d;

	d.queue.on_cancel = [](WDFREQUEST request) {
		void *buffer;

		EXPECT_EQ(WdfRequestRetrieveOutputBuffer(request, 4, &buffer, nullptr), STATUS_SUCCESS);
		memcpy(buffer, "late", 4);
		WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 4);
	};
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	EXPECT_EQ(d.file->cancel().notified, 1u);
	EXPECT_EQ(call.result(), 4);
	EXPECT_EQ(call.data(), "late");
}

TEST_F(Kmdf, W_019_the_callback_leaves_it_to_somebody_else)
{
	Simple d;
	std::atomic<bool> purged{false};

	d.queue.on_cancel = [](WDFREQUEST) {};
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	EXPECT_EQ(d.file->cancel().notified, 1u);
	EXPECT_EQ(d.queue.cancelled.take(), request);
	WdfIoQueuePurge(
		d.queue.handle, [](WDFQUEUE, WDFCONTEXT context) { *static_cast<std::atomic<bool> *>(context) = true; },
		&purged);
	fake::settle();
	a_while();
	EXPECT_FALSE(call.finished());
	EXPECT_FALSE(purged);
	EXPECT_EQ(host_kmdf_request_state(request), called);
	WdfRequestComplete(request, STATUS_CANCELLED);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	until([&] { return purged.load(); }, "the queue is purged");
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
}

TEST_F(Kmdf, W_020_handle_and_context_live_until_the_callback_returns)
{
	Simple d;
	std::atomic<u32> destroyed{0};
	std::atomic<u32> early{0};
	std::atomic<u64> seen{0};
	std::optional<Call> call;

	d.driver.with_request_context = true;
	d.driver.on_request_destroy = [&](WDFREQUEST) { destroyed++; };
	d.queue.on_cancel = [&](WDFREQUEST request) {
		WdfRequestComplete(request, STATUS_CANCELLED);
		// The client has gone meanwhile, unless this is its thread.
		for (int i = 0; i < 2000 && !call->finished(); i++)
			sched_yield();
		early += destroyed;
		seen = context_of(request)->value;
	};
	d.start();
	call.emplace([&](Call &) { return d.file->read(16); });
	WDFREQUEST request = d.take();

	context_of(request)->value = 42;
	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	EXPECT_EQ(d.file->cancel().notified, 1u);
	EXPECT_EQ(call->result(), -SHIM_ECANCELED);
	EXPECT_EQ(seen, 42u);
	EXPECT_EQ(early, 0u);
	EXPECT_EQ(destroyed, 1u);
	EXPECT_EQ(host_kmdf_request_state(request), gone);
}

TEST_F(Kmdf, W_021_cleanup_comes_before_the_client_knows)
{
	Simple d;
	std::atomic<u32> cleaned{0};
	std::atomic<u32> late{0};
	std::atomic<u32> cleaned_at_return{0};
	std::optional<Call> call;

	d.driver.with_request_context = true;
	d.driver.on_request_cleanup = [&](WDFREQUEST) {
		for (int i = 0; i < 50 && !call->finished(); i++)
			a_while();
		late += call->finished();
		cleaned++;
	};
	d.queue.on_cancel = [&](WDFREQUEST request) {
		WdfRequestComplete(request, STATUS_CANCELLED);
		cleaned_at_return = cleaned.load();
	};
	d.start();
	call.emplace([&](Call &) { return d.file->read(16); });
	EXPECT_EQ(d.queue.mark(d.take()), STATUS_SUCCESS);
	// Not by the client's own thread.
	until([&] { return !host_kmdf_queue_inside(d.queue.handle); }, "nobody is in the dispatcher");
	EXPECT_EQ(d.file->cancel().notified, 1u);
	EXPECT_EQ(call->result(), -SHIM_ECANCELED);
	EXPECT_EQ(cleaned, 1u);
	EXPECT_EQ(cleaned_at_return, 1u);
	EXPECT_EQ(late, 0u);
}

// The timer and the callback are in there at the same time.
TEST_F(Kmdf, W_023_without_synchronization_callbacks_overlap)
{
	static std::atomic<bool> timer_in;
	static std::atomic<bool> cancel_in;
	Simple d;
	WDF_TIMER_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFTIMER timer;

	timer_in = cancel_in = false;
	d.queue.attributes.SynchronizationScope = WdfSynchronizationScopeNone;
	d.queue.on_cancel = [&](WDFREQUEST request) {
		cancel_in = true;
		until([] { return timer_in.load(); }, "the timer runs meanwhile");
		WdfRequestComplete(request, STATUS_CANCELLED);
	};
	d.start();
	WDF_TIMER_CONFIG_INIT(&config, [](WDFTIMER) {
		timer_in = true;
		while (!cancel_in)
			sched_yield();
	});
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = d.queue.handle;
	ASSERT_EQ(WdfTimerCreate(&config, &attributes, &timer), STATUS_SUCCESS);
	Call call = Call::read(*d.file, 16);
	EXPECT_EQ(d.queue.mark(d.take()), STATUS_SUCCESS);
	WdfTimerStart(timer, 0);
	EXPECT_EQ(d.file->cancel().notified, 1u);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	WdfTimerStop(timer, TRUE);
}

TEST_F(Kmdf, W_024_a_blocked_handler_delays_the_callback)
{
	Blocked d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	d.block();
	EXPECT_EQ(cancel_request(host_kmdf_request_id(request)), 0);
	fake::settle();
	a_while();
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
	d.unblock();
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
}

TEST_F(Kmdf, W_024_unless_prompt_cancel_is_on)
{
	Blocked d;

	kmdf_params.prompt_cancel = true;
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	d.block();
	EXPECT_EQ(cancel_request(host_kmdf_request_id(request)), 0);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(d.inside, 1u);
	d.unblock();
}

TEST_F(Kmdf, W_025_a_callback_that_is_due_overtakes_a_new_request)
{
	Blocked d;
	std::mutex mutex;
	std::vector<std::string> order;
	auto note = [&](const char *what) {
		std::lock_guard lock(mutex);

		order.emplace_back(what);
	};

	d.queue.on_cancel = [&](WDFREQUEST request) {
		note("cancel");
		WdfRequestComplete(request, STATUS_CANCELLED);
	};
	d.queue.on_control = [&](WDFREQUEST request, size_t, size_t, ULONG) {
		note("new");
		WdfRequestComplete(request, STATUS_SUCCESS);
	};
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	d.block();
	EXPECT_EQ(cancel_request(host_kmdf_request_id(request)), 0);
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
	EXPECT_EQ(d.file->control(kBuffered).status, STATUS_SUCCESS);
	EXPECT_EQ(order, (std::vector<std::string>{"cancel", "new"}));
	EXPECT_EQ(d.inside, 1u);
	d.unblock();
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
}

TEST_F(Kmdf, W_026_callbacks_come_in_the_order_of_the_cancels)
{
	Blocked d;
	constexpr u32 count = 5;
	std::vector<std::unique_ptr<Aio>> clients;
	std::vector<WDFREQUEST> requests;
	u32 order[count] = {3, 1, 4, 0, 2};

	d.start();
	for (u32 i = 0; i < count; i++) {
		clients.push_back(std::make_unique<Aio>(*d.file));
		clients[i]->submit_read(4);
		requests.push_back(d.take());
		EXPECT_EQ(d.queue.mark(requests[i]), STATUS_SUCCESS);
	}
	d.block();
	for (u32 i : order)
		EXPECT_EQ(cancel_request(host_kmdf_request_id(requests[i])), 0);
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
	d.unblock();
	for (auto &client : clients)
		EXPECT_EQ(client->wait(), -SHIM_ECANCELED);
	for (u32 i : order)
		EXPECT_EQ(d.queue.cancelled.take(), requests[i]);
}

TEST_F(Kmdf, W_027_a_passive_queue_calls_back_where_sleeping_is_allowed)
{
	Simple d;
	std::atomic<int> level{-1};
	std::atomic<int> thread{0};

	d.queue.attributes.ExecutionLevel = WdfExecutionLevelPassive;
	d.queue.attributes.SynchronizationScope = WdfSynchronizationScopeQueue;
	d.queue.on_cancel = [&](WDFREQUEST request) {
		level = KeGetCurrentIrql();
		thread = fake::tid();
		shim_might_sleep();
		WdfRequestComplete(request, STATUS_CANCELLED);
	};
	d.start();
	Call call = Call::read(*d.file, 16);
	EXPECT_EQ(d.queue.mark(d.take()), STATUS_SUCCESS);
	{
		fake::BhOff dispatch_level;

		WdfIoQueuePurge(d.queue.handle, nullptr, nullptr);
	}
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(level, PASSIVE_LEVEL);
	EXPECT_NE(thread, fake::tid());
}

TEST_F(Kmdf, W_027_handlers_of_a_passive_queue_may_sleep)
{
	Simple d;
	std::atomic<int> level{-1};

	d.queue.attributes.ExecutionLevel = WdfExecutionLevelPassive;
	d.queue.attributes.SynchronizationScope = WdfSynchronizationScopeQueue;
	d.queue.on_io = [&](WDFREQUEST request) {
		level = KeGetCurrentIrql();
		shim_might_sleep();
		WdfRequestComplete(request, STATUS_SUCCESS);
	};
	d.start();
	EXPECT_EQ(d.file->read(16), 0);
	EXPECT_EQ(level, PASSIVE_LEVEL);
}

TEST_F(Kmdf, W_028_a_dispatch_queue_calls_back_at_dispatch_level)
{
	for (WDF_SYNCHRONIZATION_SCOPE scope : {WdfSynchronizationScopeQueue, WdfSynchronizationScopeDevice}) {
		Simple d;
		std::atomic<int> level{-1};
		std::atomic<int> handler{-1};

		d.queue.attributes.SynchronizationScope = scope;
		d.queue.on_io = [&](WDFREQUEST request) {
			handler = KeGetCurrentIrql();
			d.queue.arrived.push(request);
		};
		d.queue.on_cancel = [&](WDFREQUEST request) {
			level = KeGetCurrentIrql();
			WdfRequestComplete(request, STATUS_CANCELLED);
		};
		d.start();
		Call call = Call::read(*d.file, 16);
		EXPECT_EQ(d.queue.mark(d.take()), STATUS_SUCCESS);
		EXPECT_EQ(d.file->cancel().notified, 1u);
		EXPECT_EQ(call.result(), -SHIM_ECANCELED);
		EXPECT_EQ(level, DISPATCH_LEVEL);
		EXPECT_EQ(handler, DISPATCH_LEVEL);
	}
}

TEST_F(Kmdf, W_029_who_holds_the_lock_is_not_called_back)
{
	for (WDF_EXECUTION_LEVEL level : {WdfExecutionLevelDispatch, WdfExecutionLevelPassive}) {
		Simple d;
		std::atomic<bool> held{false};
		std::atomic<u32> recursive{0};

		d.queue.attributes.SynchronizationScope = WdfSynchronizationScopeQueue;
		d.queue.attributes.ExecutionLevel = level;
		d.queue.on_cancel = [&](WDFREQUEST request) {
			recursive += held;
			WdfRequestComplete(request, STATUS_CANCELLED);
		};
		d.start();
		Call call = Call::read(*d.file, 16);
		EXPECT_EQ(d.queue.mark(d.take()), STATUS_SUCCESS);
		WdfObjectAcquireLock(d.queue.handle);
		held = true;
		WdfIoQueuePurge(d.queue.handle, nullptr, nullptr);
		a_while();
		EXPECT_EQ(d.queue.cancelled.total(), 0u);
		held = false;
		WdfObjectReleaseLock(d.queue.handle);
		EXPECT_EQ(call.result(), -SHIM_ECANCELED);
		EXPECT_EQ(recursive, 0u);
	}
}

TEST_F(Kmdf, W_030_a_killed_client_is_a_cancel)
{
	Simple d;
	std::atomic<u32> calls{0};

	d.driver.with_request_context = true;
	d.queue.on_cancel = [&](WDFREQUEST request) {
		calls++;
		EXPECT_EQ(context_of(request)->value, 42u);
		WdfRequestComplete(request, STATUS_CANCELLED);
	};
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	context_of(request)->value = 42;
	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	call.wait_until_asleep();
	call.kill();
	EXPECT_EQ(call.result(), -SHIM_EINTR);
	until([&] { return calls == 1; }, "it is called back");
}

} // namespace
