// SPDX-License-Identifier: GPL-2.0-only
// W-43 to W-55, W-64 to W-68: queues, what they present, and requests that go from one to another.
#include "kit.hpp"

namespace {

TEST_F(Kmdf, W_043_a_sequential_queue_presents_one)
{
	Simple d(WdfIoQueueDispatchSequential);
	Queue parking(WdfIoQueueDispatchManual, false);

	d.driver.queues = {&d.queue, &parking};
	d.start();
	Readers readers(*d.file, 3);
	WDFREQUEST first = d.take();

	a_while();
	EXPECT_EQ(d.queue.arrived.total(), 1u);
	EXPECT_EQ(d.queue.queued(), 2u);
	complete(first);
	WDFREQUEST second = d.take();
	a_while();
	EXPECT_EQ(d.queue.arrived.total(), 2u);
	// It leaves by being forwarded, too.
	EXPECT_EQ(WdfRequestForwardToIoQueue(second, parking.handle), STATUS_SUCCESS);
	complete(d.take());
	complete(parking.retrieve());
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(readers[i].wait(), 0);
}

// Not when its handler returns.
TEST_F(Kmdf, W_043_marked_is_still_owned)
{
	Simple d(WdfIoQueueDispatchSequential);

	d.start();
	Readers readers(*d.file, 2);
	WDFREQUEST first = d.take();

	EXPECT_EQ(d.queue.mark(first), STATUS_SUCCESS);
	a_while();
	EXPECT_EQ(d.queue.arrived.total(), 1u);
	EXPECT_EQ(readers[0].cancel(), true);
	EXPECT_EQ(readers[0].wait(), -SHIM_ECANCELED);
	complete(d.take());
	EXPECT_EQ(readers[1].wait(), 0);
}

TEST_F(Kmdf, W_044_a_parallel_queue_presents_so_many)
{
	Simple d;
	constexpr u32 limit = 3;
	std::vector<WDFREQUEST> requests;

	d.queue.config.Settings.Parallel.NumberOfPresentedRequests = limit;
	d.start();
	Readers readers(*d.file, limit + 2);

	for (u32 i = 0; i < limit; i++)
		requests.push_back(d.take());
	a_while();
	EXPECT_EQ(d.queue.arrived.total(), limit);
	EXPECT_EQ(d.queue.owned(), limit);
	EXPECT_EQ(d.queue.queued(), 2u);
	complete(requests[1]);
	requests[1] = d.take();
	a_while();
	EXPECT_EQ(d.queue.arrived.total(), limit + 1);
	for (WDFREQUEST request : requests)
		complete(request);
	complete(d.take());
	for (u32 i = 0; i < limit + 2; i++)
		EXPECT_EQ(readers[i].wait(), 0);
}

// Handlers of a parallel queue without synchronization run at the same time: one of them may wait for the other.
void handlers_meet(WDF_EXECUTION_LEVEL level)
{
	Simple d;
	std::atomic<u32> inside{0};
	std::atomic<bool> met{false};

	d.queue.attributes.ExecutionLevel = level;
	d.queue.attributes.SynchronizationScope = WdfSynchronizationScopeNone;
	d.queue.on_io = [&](WDFREQUEST request) {
		auto end = std::chrono::steady_clock::now() + std::chrono::seconds(2);

		inside++;
		while (!met && std::chrono::steady_clock::now() < end) {
			if (inside == 2)
				met = true;
			sched_yield();
		}
		inside--;
		complete(request);
	};
	d.start();
	Call first = Call::read(*d.file, 1);
	Call second = Call::read(*d.file, 1);

	EXPECT_EQ(first.result(), 0);
	EXPECT_EQ(second.result(), 0);
	EXPECT_TRUE(met);
}

TEST_F(Kmdf, W_044_handlers_of_a_parallel_queue_overlap)
{
	handlers_meet(WdfExecutionLevelDispatch);
}

TEST_F(Kmdf, W_044_those_of_a_passive_one_too)
{
	handlers_meet(WdfExecutionLevelPassive);
}

TEST_F(Kmdf, W_045_a_manual_queue_is_asked)
{
	Simple d(WdfIoQueueDispatchManual);
	WDFREQUEST request = reinterpret_cast<WDFREQUEST>(1);

	d.start();
	EXPECT_EQ(WdfIoQueueRetrieveNextRequest(d.queue.handle, &request), STATUS_NO_MORE_ENTRIES);
	EXPECT_EQ(request, nullptr);
	Readers readers(*d.file, 3);
	EXPECT_EQ(d.queue.queued(), 3u);
	for (int i = 0; i < 3; i++) {
		WDF_REQUEST_PARAMETERS parameters;

		request = d.queue.retrieve();
		WDF_REQUEST_PARAMETERS_INIT(&parameters);
		WdfRequestGetParameters(request, &parameters);
		EXPECT_EQ(parameters.Parameters.Read.Length, 8u + i);
		EXPECT_EQ(host_kmdf_request_state(request), owned);
		complete(request, i);
	}
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(readers[i].wait(), i);
	EXPECT_EQ(WdfIoQueueRetrieveNextRequest(d.queue.handle, &request), STATUS_NO_MORE_ENTRIES);
}

TEST_F(Kmdf, W_045_by_file)
{
	Simple d(WdfIoQueueDispatchManual);
	WDFREQUEST request;

	d.start();
	File other(d.driver);
	Readers one(*d.file, 1);
	Readers two(other, 1);
	WDFREQUEST found;

	ASSERT_EQ(WdfIoQueueFindRequest(d.queue.handle, nullptr, nullptr, nullptr, &found), STATUS_SUCCESS);
	WDFREQUEST next;
	ASSERT_EQ(WdfIoQueueFindRequest(d.queue.handle, found, nullptr, nullptr, &next), STATUS_SUCCESS);
	WDFFILEOBJECT second = WdfRequestGetFileObject(next);
	EXPECT_NE(second, WdfRequestGetFileObject(found));
	WdfObjectDereference(found);
	WdfObjectDereference(next);
	EXPECT_EQ(WdfIoQueueRetrieveRequestByFileObject(d.queue.handle, second, &request), STATUS_SUCCESS);
	EXPECT_EQ(request, next);
	complete(request, 2);
	EXPECT_EQ(two[0].wait(), 2);
	EXPECT_EQ(WdfIoQueueRetrieveRequestByFileObject(d.queue.handle, second, &request), STATUS_NO_MORE_ENTRIES);
	complete(d.queue.retrieve(), 1);
	EXPECT_EQ(one[0].wait(), 1);
}

TEST_F(Kmdf, W_046_who_may_not_be_asked)
{
	Simple d;
	Queue manual(WdfIoQueueDispatchManual, false);
	Queue sequential(WdfIoQueueDispatchSequential, false);
	WDFREQUEST request;

	d.driver.queues = {&d.queue, &manual, &sequential};
	d.start();
	EXPECT_EQ(WdfIoQueueRetrieveNextRequest(d.queue.handle, &request), STATUS_INVALID_DEVICE_STATE);
	WdfIoQueueStop(manual.handle, nullptr, nullptr);
	EXPECT_EQ(WdfIoQueueRetrieveNextRequest(manual.handle, &request), STATUS_WDF_PAUSED);
	EXPECT_EQ(WdfIoQueueFindRequest(manual.handle, nullptr, nullptr, nullptr, &request), STATUS_WDF_PAUSED);
	WdfIoQueueStart(manual.handle);
	EXPECT_EQ(WdfIoQueueRetrieveNextRequest(manual.handle, &request), STATUS_NO_MORE_ENTRIES);
	EXPECT_EQ(WdfIoQueueRetrieveNextRequest(sequential.handle, &request), STATUS_NO_MORE_ENTRIES);
	EXPECT_EQ(WdfIoQueueFindRequest(sequential.handle, nullptr, nullptr, nullptr, &request),
		  STATUS_INVALID_DEVICE_STATE);
}

TEST_F(Kmdf, W_047_cancelled_in_a_queue)
{
	Simple d(WdfIoQueueDispatchSequential);

	d.driver.with_request_context = true;
	d.start();
	Call first = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();
	Call second = Call::control(*d.file, kBuffered, "in", 8, 77);

	until([&] { return d.queue.queued() == 1; }, "the second is queued");
	kmdf_cancel cancel = d.file->cancel(KMDF_CANCEL_TAG, 77);
	EXPECT_EQ(cancel.found, 1u);
	EXPECT_EQ(cancel.finished, 1u);
	EXPECT_EQ(second.outcome().error, 0);
	EXPECT_EQ(second.outcome().status, STATUS_CANCELLED);
	EXPECT_EQ(second.outcome().information, 0u);
	EXPECT_EQ(d.queue.queued(), 0u);
	complete(request);
	EXPECT_EQ(first.result(), 0);
	fake::settle();
	EXPECT_EQ(d.queue.arrived.total(), 1u);
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
}

TEST_F(Kmdf, W_048_cancelled_where_it_was_forwarded_to)
{
	Simple d;
	Queue parking(WdfIoQueueDispatchManual, false);
	Mail mail;

	parking.on_canceled_on_queue = [&](WDFREQUEST request) {
		EXPECT_EQ(host_kmdf_request_state(request), owned);
		EXPECT_TRUE(WdfRequestIsCanceled(request));
		EXPECT_EQ(WdfRequestGetIoQueue(request), parking.handle);
		mail.push(request);
	};
	d.driver.queues = {&d.queue, &parking};
	d.start();
	Call call = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();

	EXPECT_EQ(WdfRequestForwardToIoQueue(request, parking.handle), STATUS_SUCCESS);
	EXPECT_EQ(parking.queued(), 1u);
	EXPECT_EQ(d.file->cancel().notified, 1u);
	EXPECT_EQ(mail.take(), request);
	EXPECT_EQ(parking.queued(), 0u);
	EXPECT_EQ(parking.owned(), 1u);
	a_while();
	EXPECT_FALSE(call.finished());
	EXPECT_EQ(d.file->cancel().flagged, 1u);
	EXPECT_EQ(mail.total(), 1u);
	WdfRequestComplete(request, STATUS_CANCELLED);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
}

// Until then it is not the driver's, although the driver still knows its handle.
TEST_F(Kmdf, W_048_nothing_moves_it_before_the_callback)
{
	Simple d;
	Queue parking(WdfIoQueueDispatchManual, false);
	std::atomic<bool> asked{false};
	std::atomic<bool> go{false};
	Mail mail;

	parking.on_stop = [&](WDFREQUEST request, ULONG) {
		asked = true;
		until([&] { return go.load(); }, "EvtIoStop may go on");
		WdfRequestStopAcknowledge(request, FALSE);
	};
	parking.on_canceled_on_queue = [&](WDFREQUEST request) { mail.push(request); };
	d.driver.queues = {&d.queue, &parking};
	d.start();
	Call kept = Call::read(*d.file, 8);
	WDFREQUEST stopped = d.take();

	EXPECT_EQ(WdfRequestForwardToIoQueue(stopped, parking.handle), STATUS_SUCCESS);
	EXPECT_EQ(parking.retrieve(), stopped);
	Call call = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();

	EXPECT_EQ(WdfRequestForwardToIoQueue(request, parking.handle), STATUS_SUCCESS);
	Call suspend([&](Call &) { return static_cast<s64>(kmdf_power_c(d.driver.node_name(), "suspend")); });

	until([&] { return asked.load(); }, "EvtIoStop runs");
	EXPECT_EQ(cancel_request(host_kmdf_request_id(request)), 0);
	EXPECT_EQ(host_kmdf_request_state(request), cancelled);
	EXPECT_EQ(cancel_request(host_kmdf_request_id(request)), 0);
	EXPECT_FALSE(NT_SUCCESS(WdfRequestRequeue(request)));
	EXPECT_FALSE(NT_SUCCESS(WdfRequestForwardToIoQueue(request, d.queue.handle)));
	EXPECT_EQ(parking.mark(request), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("ReqMarkCancelableSend"), 2u);
	EXPECT_EQ(reports("MarkCancOnCancReq"), 1u);
	EXPECT_EQ(mail.total(), 0u);
	go = true;
	EXPECT_EQ(mail.take(), request);
	EXPECT_EQ(host_kmdf_request_state(request), owned);
	WdfRequestComplete(request, STATUS_CANCELLED);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(suspend.result(), 0);
	EXPECT_EQ(kmdf_power_c(d.driver.node_name(), "resume"), 0);
	WdfRequestComplete(stopped, STATUS_SUCCESS);
	EXPECT_EQ(kept.result(), 0);
}

TEST_F(Kmdf, W_049_cancelled_before_it_was_ever_presented)
{
	Simple d(WdfIoQueueDispatchManual);
	Mail mail;

	d.queue.on_canceled_on_queue = [&](WDFREQUEST request) { mail.push(request); };
	d.start();
	Call call = Call::read(*d.file, 8);
	until([&] { return d.queue.queued() == 1; }, "it is queued");
	EXPECT_EQ(d.file->cancel().finished, 1u);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(mail.total(), 0u);
	// Requeued it has been presented.
	Call again = Call::read(*d.file, 8);
	until([&] { return d.queue.queued() == 1; }, "it is queued");
	WDFREQUEST request = d.queue.retrieve();
	EXPECT_EQ(WdfRequestRequeue(request), STATUS_SUCCESS);
	EXPECT_EQ(d.file->cancel().notified, 1u);
	EXPECT_EQ(mail.take(), request);
	WdfRequestComplete(request, STATUS_CANCELLED);
	EXPECT_EQ(again.result(), -SHIM_ECANCELED);
}

TEST_F(Kmdf, W_050_forward_of_what_is_marked)
{
	Simple d;
	Queue parking(WdfIoQueueDispatchManual, false);

	d.driver.queues = {&d.queue, &parking};
	d.start();
	Call call = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestForwardToIoQueue(request, parking.handle), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("ReqMarkCancelableSend"), 1u);
	EXPECT_EQ(host_kmdf_request_state(request), cancelable);
	EXPECT_EQ(d.queue.owned(), 1u);
	EXPECT_EQ(parking.queued(), 0u);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestForwardToIoQueue(request, parking.handle), STATUS_SUCCESS);
	complete(parking.retrieve());
	EXPECT_EQ(call.result(), 0);
}

TEST_F(Kmdf, W_051_where_it_cannot_be_forwarded_to)
{
	Simple d;
	Queue purged(WdfIoQueueDispatchManual, false);
	Queue foreign(WdfIoQueueDispatchManual);
	Driver other("other");
	Queue parking(WdfIoQueueDispatchManual, false);
	WDFREQUEST own;
	WDF_OBJECT_ATTRIBUTES attributes;

	d.driver.queues = {&d.queue, &purged, &parking};
	d.start();
	other.queues = {&foreign};
	other.must_load();
	Call call = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();

	EXPECT_EQ(WdfRequestForwardToIoQueue(request, d.queue.handle), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(WdfRequestForwardToIoQueue(request, foreign.handle), STATUS_INVALID_DEVICE_REQUEST);
	WdfIoQueuePurge(purged.handle, nullptr, nullptr);
	EXPECT_EQ(WdfRequestForwardToIoQueue(request, purged.handle), STATUS_WDF_BUSY);
	EXPECT_EQ(host_kmdf_request_state(request), owned);
	EXPECT_EQ(d.queue.owned(), 1u);
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = d.driver.device;
	ASSERT_EQ(WdfRequestCreate(&attributes, nullptr, &own), STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestForwardToIoQueue(own, parking.handle), STATUS_INVALID_DEVICE_REQUEST);
	WdfObjectDelete(own);
	complete(request);
	EXPECT_EQ(call.result(), 0);
	EXPECT_EQ(parking.queued(), 0u);
}

// It has not been in a queue yet: WdfDeviceEnqueueRequest() is for that.
TEST_F(Kmdf, W_051_from_the_callers_context)
{
	Simple d;
	NTSTATUS forwarded = 0;
	NTSTATUS requeued = 0;

	d.driver.in_caller_context = [&](WDFREQUEST request) {
		forwarded = WdfRequestForwardToIoQueue(request, d.queue.handle);
		requeued = WdfRequestRequeue(request);
		if (!NT_SUCCESS(forwarded)) {
			EXPECT_EQ(WdfDeviceEnqueueRequest(d.driver.device, request), STATUS_SUCCESS);
		}
	};
	d.queue.on_io = [](WDFREQUEST request) { complete(request, 3); };
	d.start();
	EXPECT_EQ(d.file->read(8), 3);
	EXPECT_EQ(forwarded, STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(requeued, STATUS_INVALID_DEVICE_REQUEST);
}

TEST_F(Kmdf, W_053_requeued_at_the_head)
{
	Simple d(WdfIoQueueDispatchManual);
	Queue sequential(WdfIoQueueDispatchSequential, false);
	Queue parallel(WdfIoQueueDispatchParallel, false);

	d.driver.queues = {&d.queue, &sequential, &parallel};
	d.start();
	Readers readers(*d.file, 3);
	WDFREQUEST first = d.queue.retrieve();
	WDFREQUEST second = d.queue.retrieve();

	EXPECT_EQ(WdfRequestRequeue(first), STATUS_SUCCESS);
	EXPECT_EQ(host_kmdf_request_state(first), queued);
	EXPECT_EQ(d.queue.retrieve(), first);
	complete(first);
	EXPECT_EQ(d.queue.mark(second), STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestRequeue(second), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("ReqMarkCancelableSend"), 1u);
	EXPECT_EQ(WdfRequestUnmarkCancelable(second), STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestForwardToIoQueue(second, sequential.handle), STATUS_SUCCESS);
	EXPECT_EQ(sequential.take(), second);
	EXPECT_EQ(WdfRequestRequeue(second), STATUS_INVALID_DEVICE_REQUEST);
	complete(second);
	WDFREQUEST third = d.queue.retrieve();
	EXPECT_EQ(WdfRequestForwardToIoQueue(third, parallel.handle), STATUS_SUCCESS);
	EXPECT_EQ(parallel.take(), third);
	EXPECT_EQ(WdfRequestRequeue(third), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(host_kmdf_request_state(third), owned);
	complete(third);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(readers[i].wait(), 0);
}

TEST_F(Kmdf, W_054_requeue_of_a_cancelled_one)
{
	Simple d(WdfIoQueueDispatchManual);

	d.start();
	Call call = Call::read(*d.file, 8);
	until([&] { return d.queue.queued() == 1; }, "it is queued");
	WDFREQUEST request = d.queue.retrieve();
	EXPECT_EQ(d.file->cancel().flagged, 1u);
	EXPECT_EQ(WdfRequestRequeue(request), STATUS_SUCCESS);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(d.queue.queued(), 0u);
	EXPECT_EQ(d.queue.owned(), 0u);
}

TEST_F(Kmdf, W_054_forward_of_a_cancelled_one)
{
	Simple d;
	Queue parking(WdfIoQueueDispatchManual, false);
	Queue telling(WdfIoQueueDispatchManual, false);
	Mail mail;

	telling.on_canceled_on_queue = [&](WDFREQUEST request) { mail.push(request); };
	d.driver.queues = {&d.queue, &parking, &telling};
	d.start();
	{
		Call call = Call::read(*d.file, 8);
		WDFREQUEST request = d.take();

		EXPECT_EQ(d.file->cancel().flagged, 1u);
		EXPECT_EQ(WdfRequestForwardToIoQueue(request, parking.handle), STATUS_SUCCESS);
		EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	}
	Call call = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.file->cancel().flagged, 1u);
	EXPECT_EQ(WdfRequestForwardToIoQueue(request, telling.handle), STATUS_SUCCESS);
	EXPECT_EQ(mail.take(), request);
	WdfRequestComplete(request, STATUS_CANCELLED);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
}

TEST_F(Kmdf, W_055_found_and_gone)
{
	Simple d(WdfIoQueueDispatchManual);
	WDFREQUEST found;
	WDFREQUEST next;
	WDFREQUEST request;

	d.driver.with_request_context = true;
	d.start();
	Call call = Call::read(*d.file, 8);
	until([&] { return d.queue.queued() == 1; }, "it is queued");
	ASSERT_EQ(WdfIoQueueFindRequest(d.queue.handle, nullptr, nullptr, nullptr, &found), STATUS_SUCCESS);
	context_of(found)->value = 42;
	EXPECT_EQ(host_kmdf_request_state(found), queued);
	EXPECT_EQ(d.file->cancel().finished, 1u);
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(WdfIoQueueRetrieveFoundRequest(d.queue.handle, found, &request), STATUS_NOT_FOUND);
	EXPECT_EQ(request, nullptr);
	EXPECT_EQ(WdfIoQueueFindRequest(d.queue.handle, found, nullptr, nullptr, &next), STATUS_NOT_FOUND);
	EXPECT_EQ(context_of(found)->value, 42u);
	WdfObjectDereference(found);
	EXPECT_EQ(host_kmdf_request_state(found), gone);
}

TEST_F(Kmdf, W_055_found_and_retrieved)
{
	Simple d(WdfIoQueueDispatchManual);
	WDF_REQUEST_PARAMETERS wanted;
	WDFREQUEST found;
	WDFREQUEST request;

	d.start();
	Readers readers(*d.file, 2);
	Call call = Call::control(*d.file, kBuffered, "in", 8);
	until([&] { return d.queue.queued() == 3; }, "all are queued");
	WDF_REQUEST_PARAMETERS_INIT(&wanted);
	wanted.Type = WdfRequestTypeDeviceControl;
	wanted.Parameters.DeviceIoControl.IoControlCode = kBuffered + 4;
	EXPECT_EQ(WdfIoQueueFindRequest(d.queue.handle, nullptr, nullptr, &wanted, &found), STATUS_NO_MORE_ENTRIES);
	wanted.Parameters.DeviceIoControl.IoControlCode = kBuffered;
	ASSERT_EQ(WdfIoQueueFindRequest(d.queue.handle, nullptr, nullptr, &wanted, &found), STATUS_SUCCESS);
	EXPECT_EQ(WdfIoQueueRetrieveFoundRequest(d.queue.handle, found, &request), STATUS_SUCCESS);
	EXPECT_EQ(request, found);
	EXPECT_EQ(WdfIoQueueRetrieveFoundRequest(d.queue.handle, found, &request), STATUS_NOT_FOUND);
	WdfObjectDereference(found);
	complete(found);
	EXPECT_EQ(call.outcome().status, STATUS_SUCCESS);
	complete(d.queue.retrieve(), 1);
	complete(d.queue.retrieve(), 2);
	EXPECT_EQ(readers[0].wait(), 1);
	EXPECT_EQ(readers[1].wait(), 2);
}

TEST_F(Kmdf, W_064_zero_bytes)
{
	for (bool allowed : {false, true}) {
		Simple d;
		std::atomic<u32> calls{0};
		std::atomic<u64> length{99};

		d.queue.config.AllowZeroLengthRequests = allowed;
		d.queue.on_read = [&](WDFREQUEST request, size_t bytes) {
			calls++;
			length = bytes;
			complete(request);
		};
		d.queue.on_write = [&](WDFREQUEST request, size_t bytes) {
			calls++;
			length = bytes;
			complete(request);
		};
		d.start();
		EXPECT_EQ(d.file->read(0), 0);
		EXPECT_EQ(d.file->write(""), 0);
		EXPECT_EQ(calls, allowed ? 2u : 0u);
		EXPECT_EQ(length, allowed ? 0u : 99u);
	}
}

TEST_F(Kmdf, W_064_zero_bytes_in_a_manual_queue)
{
	Simple d(WdfIoQueueDispatchManual);
	WDFREQUEST request;

	d.start();
	Aio empty(*d.file);
	Aio full(*d.file);

	empty.submit_read(0);
	full.submit_read(8);
	EXPECT_EQ(WdfIoQueueRetrieveNextRequest(d.queue.handle, &request), STATUS_SUCCESS);
	EXPECT_EQ(empty.wait(), 0);
	complete(request, 8);
	EXPECT_EQ(full.wait(), 8);
}

TEST_F(Kmdf, W_065_no_handler_for_it)
{
	Simple d;

	d.queue.on_read = [](WDFREQUEST request, size_t) { complete(request, 1); };
	d.start();
	IoctlResult result = d.file->control(kBuffered, "in", 8);

	EXPECT_EQ(result.error, 0);
	EXPECT_EQ(result.status, STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(d.file->write("x"), -SHIM_EOPNOTSUPP);
	EXPECT_EQ(d.file->read(4), 1);
}

TEST_F(Kmdf, W_066_ready_notify)
{
	Simple d(WdfIoQueueDispatchManual);
	std::atomic<u32> ready{0};

	d.start();
	EXPECT_EQ(WdfIoQueueReadyNotify(d.queue.handle, count_state, &ready), STATUS_SUCCESS);
	EXPECT_EQ(WdfIoQueueReadyNotify(d.queue.handle, count_state, &ready), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(ready, 0u);
	{
		Readers readers(*d.file, 3);

		fake::settle();
		EXPECT_EQ(ready, 1u);
		complete(d.queue.retrieve());
		complete(d.queue.retrieve());
		complete(d.queue.retrieve());
	}
	fake::settle();
	EXPECT_EQ(ready, 1u);
	{
		Readers readers(*d.file, 1);

		fake::settle();
		EXPECT_EQ(ready, 2u);
		complete(d.queue.retrieve());
	}
	// Taken back only while the queue is stopped.
	EXPECT_EQ(WdfIoQueueReadyNotify(d.queue.handle, nullptr, nullptr), STATUS_INVALID_DEVICE_REQUEST);
	WdfIoQueueStop(d.queue.handle, nullptr, nullptr);
	EXPECT_EQ(WdfIoQueueReadyNotify(d.queue.handle, nullptr, nullptr), STATUS_SUCCESS);
	WdfIoQueueStart(d.queue.handle);
	{
		Readers readers(*d.file, 1);

		fake::settle();
		EXPECT_EQ(ready, 2u);
		complete(d.queue.retrieve());
	}
}

TEST_F(Kmdf, W_066_of_a_queue_that_is_not_manual)
{
	Simple d;
	std::atomic<u32> ready{0};

	d.start();
	EXPECT_EQ(WdfIoQueueReadyNotify(d.queue.handle, count_state, &ready), STATUS_INVALID_DEVICE_REQUEST);
}

TEST_F(Kmdf, W_067_no_queue_for_it)
{
	Driver driver;
	Queue reads(WdfIoQueueDispatchParallel, false);

	reads.on_io = [](WDFREQUEST request) { complete(request, 2); };
	driver.queues = {&reads};
	driver.in_add = [&](WDFDEVICE device) {
		EXPECT_EQ(WdfDeviceConfigureRequestDispatching(device, reads.handle, WdfRequestTypeRead),
			  STATUS_SUCCESS);
		EXPECT_EQ(WdfDeviceConfigureRequestDispatching(device, reads.handle, WdfRequestTypeRead),
			  STATUS_WDF_BUSY);
		EXPECT_EQ(WdfDeviceConfigureRequestDispatching(device, reads.handle, WdfRequestTypePnp),
			  STATUS_INVALID_PARAMETER);
		return STATUS_SUCCESS;
	};
	driver.must_load();
	File file(driver);
	EXPECT_EQ(file.read(4), 2);
	EXPECT_EQ(file.write("x"), -SHIM_EOPNOTSUPP);
	EXPECT_EQ(file.control(kBuffered).status, STATUS_INVALID_DEVICE_REQUEST);
}

std::atomic<u32> cleaned_queues;

NTSTATUS try_queue(WDFDEVICE device, const std::function<void(Queue &)> &change, bool is_default = false,
		   WDF_IO_QUEUE_DISPATCH_TYPE type = WdfIoQueueDispatchParallel)
{
	Queue queue(type, is_default);
	WDFQUEUE made;

	queue.config.EvtIoDefault = [](WDFQUEUE, WDFREQUEST request) { complete(request); };
	queue.attributes.ContextTypeInfo = nullptr;
	queue.attributes.EvtCleanupCallback = [](WDFOBJECT) { cleaned_queues++; };
	queue.attributes.EvtDestroyCallback = [](WDFOBJECT) { cleaned_queues++; };
	change(queue);
	NTSTATUS status = WdfIoQueueCreate(device, &queue.config, &queue.attributes, &made);

	if (NT_SUCCESS(status))
		WdfObjectDelete(made);
	return status;
}

TEST_F(Kmdf, W_068_queues_that_cannot_be)
{
	Simple d;

	cleaned_queues = 0;
	d.start();
	WDFDEVICE device = d.driver.device;

	EXPECT_EQ(try_queue(device, [](Queue &q) { q.config.Size--; }), STATUS_INFO_LENGTH_MISMATCH);
	EXPECT_EQ(try_queue(device, [](Queue &q) { q.attributes.Size--; }), STATUS_INFO_LENGTH_MISMATCH);
	EXPECT_EQ(try_queue(device, [](Queue &q) { q.config.EvtIoDefault = nullptr; }), STATUS_WDF_NO_CALLBACK);
	EXPECT_EQ(
		try_queue(
			device, [](Queue &q) { q.config.EvtIoDefault = nullptr; }, false, WdfIoQueueDispatchSequential),
		STATUS_WDF_NO_CALLBACK);
	EXPECT_EQ(try_queue(device, [](Queue &q) { q.config.DispatchType = WdfIoQueueDispatchInvalid; }),
		  STATUS_INVALID_PARAMETER);
	EXPECT_EQ(try_queue(device, [](Queue &q) { q.config.DispatchType = WdfIoQueueDispatchMax; }),
		  STATUS_INVALID_PARAMETER);
	EXPECT_EQ(try_queue(
			  device, [](Queue &) {}, false, WdfIoQueueDispatchManual),
		  STATUS_INVALID_PARAMETER);
	EXPECT_EQ(try_queue(
			  device, [](Queue &q) { q.config.Settings.Parallel.NumberOfPresentedRequests = 1; }, false,
			  WdfIoQueueDispatchSequential),
		  STATUS_INVALID_PARAMETER);
	// Windows accepts it, and never dispatches anything.
	EXPECT_EQ(try_queue(device, [](Queue &q) { q.config.Settings.Parallel.NumberOfPresentedRequests = 0; }),
		  STATUS_INVALID_PARAMETER);
	EXPECT_EQ(cleaned_queues, 0u);
	EXPECT_EQ(try_queue(
			  device, [](Queue &) {}, true),
		  STATUS_UNSUCCESSFUL);
	EXPECT_EQ(try_queue(device,
			    [](Queue &q) {
				    q.attributes.SynchronizationScope = WdfSynchronizationScopeDevice;
				    q.attributes.ExecutionLevel = WdfExecutionLevelPassive;
			    }),
		  STATUS_INVALID_PARAMETER);
	EXPECT_EQ(
		try_queue(device, [](Queue &q) { q.attributes.SynchronizationScope = WdfSynchronizationScopeInvalid; }),
		STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID);
	EXPECT_EQ(try_queue(device, [](Queue &q) { q.attributes.ExecutionLevel = WdfExecutionLevelInvalid; }),
		  STATUS_WDF_EXECUTION_LEVEL_INVALID);
	// None of them was the driver's: no callback about them.
	EXPECT_EQ(cleaned_queues, 0u);
	WDF_IO_QUEUE_CONFIG config = d.queue.config;

	config.DefaultQueue = FALSE;
	EXPECT_EQ(WdfIoQueueCreate(device, &config, nullptr, nullptr), STATUS_INVALID_PARAMETER_4);
	EXPECT_EQ(try_queue(device, [](Queue &) {}), STATUS_SUCCESS);
	fake::settle();
	EXPECT_EQ(cleaned_queues, 2u);
	WdfObjectDelete(d.queue.handle);
	EXPECT_EQ(reports("ObjectMisuse"), 1u);
	EXPECT_EQ(WdfDeviceGetDefaultQueue(device), d.queue.handle);
}

TEST_F(Kmdf, W_068_a_default_queue_when_the_device_has_started)
{
	Driver driver;
	Queue reads(WdfIoQueueDispatchParallel, false);

	driver.queues = {&reads};
	driver.must_load();
	EXPECT_EQ(try_queue(
			  driver.device, [](Queue &) {}, true),
		  STATUS_INVALID_DEVICE_STATE);
	EXPECT_EQ(WdfDeviceGetDefaultQueue(driver.device), nullptr);
}

TEST_F(Kmdf, W_068_a_queue_that_is_made_later_works)
{
	Simple d;
	Queue later(WdfIoQueueDispatchSequential, false);

	d.start();
	ASSERT_EQ(later.make(d.driver.device), STATUS_SUCCESS);
	Call call = Call::read(*d.file, 8);
	EXPECT_EQ(WdfRequestForwardToIoQueue(d.take(), later.handle), STATUS_SUCCESS);
	WDFREQUEST request = later.take();
	EXPECT_EQ(WdfRequestGetIoQueue(request), later.handle);
	complete(request, 4);
	EXPECT_EQ(call.result(), 4);
	// Its disposal ends what is in it, and waits for what the driver has.
	WdfIoQueueStop(later.handle, nullptr, nullptr);
	Call second = Call::read(*d.file, 8);
	EXPECT_EQ(WdfRequestForwardToIoQueue(d.take(), later.handle), STATUS_SUCCESS);
	WdfObjectDelete(later.handle);
	EXPECT_EQ(second.result(), -SHIM_ECANCELED);
}

} // namespace
