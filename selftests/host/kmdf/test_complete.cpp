// SPDX-License-Identifier: GPL-2.0-only
// W-31 to W-42: what a completion brings.
#include "kit.hpp"

namespace {

TEST_F(Kmdf, W_031_completed_while_it_is_marked)
{
	Simple d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 5);
	EXPECT_EQ(reports("CompleteCanceledReq"), 1u);
	EXPECT_EQ(call.result(), 5);
	EXPECT_EQ(d.file->cancel().found, 0u);
	fake::settle();
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
	EXPECT_EQ(d.queue.owned(), 0u);
}

// In between: cancelled, and its EvtRequestCancel not called yet.
TEST_F(Kmdf, W_032_completed_before_its_callback)
{
	Simple d;
	std::atomic<u32> inside{0};
	std::atomic<bool> go{false};
	std::atomic<u64> seen{0};
	std::atomic<u32> destroyed{0};

	d.driver.with_request_context = true;
	d.driver.on_request_destroy = [&](WDFREQUEST) { destroyed++; };
	d.queue.on_read = [&](WDFREQUEST request, size_t) { d.queue.arrived.push(request); };
	d.queue.on_write = [&](WDFREQUEST request, size_t) {
		inside++;
		until([&] { return go.load(); }, "the handler may go on");
		WdfRequestComplete(request, STATUS_SUCCESS);
	};
	d.queue.on_cancel = [&](WDFREQUEST request) {
		EXPECT_EQ(destroyed, 0u);
		seen = context_of(request)->value;
		WdfRequestComplete(request, STATUS_CANCELLED); // as it always does
	};
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	context_of(request)->value = 42;
	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	until([&] { return !host_kmdf_queue_inside(d.queue.handle); }, "nobody is in the dispatcher");
	Call blocked = Call::write(*d.file, "block");
	until([&] { return inside == 1; }, "the handler blocks");
	EXPECT_EQ(cancel_request(host_kmdf_request_id(request)), 0);
	EXPECT_EQ(host_kmdf_request_state(request), cancelled);
	WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 6);
	EXPECT_EQ(reports("CompleteCanceledReq"), 1u);
	EXPECT_EQ(call.result(), 6);
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
	go = true;
	EXPECT_EQ(blocked.result(), 0);
	fake::settle();
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
	EXPECT_EQ(seen, 42u);
	EXPECT_EQ(destroyed, 2u);
	EXPECT_EQ(reports("DoubleCompletion"), 0u);
}

// The same, by who was told CANCELLED by its unmark: the rule has another name.
TEST_F(Kmdf, W_032_completed_by_who_was_told_cancelled)
{
	Simple d;
	std::atomic<u32> inside{0};
	std::atomic<bool> go{false};

	d.queue.on_read = [&](WDFREQUEST request, size_t) { d.queue.arrived.push(request); };
	d.queue.on_write = [&](WDFREQUEST request, size_t) {
		inside++;
		until([&] { return go.load(); }, "the handler may go on");
		WdfRequestComplete(request, STATUS_SUCCESS);
	};
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	until([&] { return !host_kmdf_queue_inside(d.queue.handle); }, "nobody is in the dispatcher");
	Call blocked = Call::write(*d.file, "block");
	until([&] { return inside == 1; }, "the handler blocks");
	EXPECT_EQ(cancel_request(host_kmdf_request_id(request)), 0);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_CANCELLED);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(reports("ReqNotCanceled"), 1u);
	EXPECT_EQ(call.result(), 0);
	go = true;
	EXPECT_EQ(blocked.result(), 0);
	fake::settle();
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
}

TEST_F(Kmdf, W_033_information)
{
	Simple d;

	d.queue.on_io = [](WDFREQUEST request) {
		WDF_REQUEST_PARAMETERS parameters;

		WDF_REQUEST_PARAMETERS_INIT(&parameters);
		WdfRequestGetParameters(request, &parameters);
		EXPECT_EQ(WdfRequestGetInformation(request), 0u);
		WdfRequestSetInformation(request, 5);
		EXPECT_EQ(WdfRequestGetInformation(request), 5u);
		switch (parameters.Parameters.Read.DeviceOffset) {
		case 0:
			return WdfRequestComplete(request, STATUS_SUCCESS);
		case 1:
			return WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 3);
		default:
			return WdfRequestCompleteWithPriorityBoost(request, STATUS_SUCCESS, IO_NO_INCREMENT);
		}
	};
	d.start();
	EXPECT_EQ(d.file->read(16, nullptr, 0), 5);
	EXPECT_EQ(d.file->read(16, nullptr, 1), 3);
	EXPECT_EQ(d.file->read(16, nullptr, 2), 5);
	EXPECT_EQ(d.file->last_status().information, 5u);
	EXPECT_EQ(d.file->last_status().status, STATUS_SUCCESS);
}

TEST_F(Kmdf, W_033_information_of_a_write)
{
	Simple d;

	d.queue.on_io = [](WDFREQUEST request) { WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 4); };
	d.start();
	EXPECT_EQ(d.file->write("12345678"), 4);
}

struct Answer {
	NTSTATUS status;
	u64 information;
};

TEST_F(Kmdf, W_034_warnings_bring_data_and_errors_do_not)
{
	Simple d;
	Answer answer{};

	d.queue.on_io = [&](WDFREQUEST request) {
		void *buffer;
		size_t length;

		EXPECT_EQ(WdfRequestRetrieveOutputBuffer(request, 8, &buffer, &length), STATUS_SUCCESS);
		memcpy(buffer, "ABCDEFGH", 8);
		WdfRequestCompleteWithInformation(request, answer.status, answer.information);
	};
	d.start();
	std::string data;

	answer = {STATUS_BUFFER_OVERFLOW, 4};
	for (ULONG code : {kBuffered, kInDirect, kOutDirect}) {
		IoctlResult result = d.file->control(code, "in", 8);

		EXPECT_EQ(result.error, 0);
		EXPECT_EQ(result.status, STATUS_BUFFER_OVERFLOW);
		EXPECT_EQ(result.information, 4u);
		EXPECT_EQ(result.data, "ABCD####");
	}
	EXPECT_EQ(d.file->read(8, &data), 4);
	EXPECT_EQ(data, "ABCD");
	EXPECT_EQ(d.file->last_status().status, STATUS_BUFFER_OVERFLOW);
	// Without a byte it is an error after all.
	answer = {STATUS_BUFFER_OVERFLOW, 0};
	EXPECT_EQ(d.file->read(8, &data), -SHIM_EOVERFLOW);
	answer = {STATUS_UNSUCCESSFUL, 4};
	IoctlResult result = d.file->control(kBuffered, "in", 8);

	EXPECT_EQ(result.error, 0);
	EXPECT_EQ(result.status, STATUS_UNSUCCESSFUL);
	EXPECT_EQ(result.data, "########");
	EXPECT_EQ(d.file->read(8, &data), -SHIM_EIO);
	EXPECT_EQ(data, "");
	answer = {STATUS_SUCCESS, 8};
	EXPECT_EQ(d.file->control(kBuffered, "in", 8).data, "ABCDEFGH");
	EXPECT_EQ(d.file->read(8, &data), 8);
	EXPECT_EQ(data, "ABCDEFGH");
}

TEST_F(Kmdf, W_035_more_information_than_there_is_room)
{
	Simple d;
	NTSTATUS status = STATUS_SUCCESS;

	d.queue.on_io = [&](WDFREQUEST request) { WdfRequestCompleteWithInformation(request, status, 1000); };
	d.start();
	EXPECT_EQ(d.file->read(16), 16);
	EXPECT_EQ(reports("InformationTooLong"), 1u);
	EXPECT_EQ(d.file->write("12345678"), 8);
	EXPECT_EQ(reports("InformationTooLong"), 2u);
	IoctlResult result = d.file->control(kBuffered, "in", 8);

	EXPECT_EQ(result.information, 8u);
	EXPECT_EQ(result.data.size(), 8u);
	EXPECT_EQ(reports("InformationTooLong"), 3u);
	// Of warnings and errors it is not the length: nobody is told, and no more is copied than there is.
	status = STATUS_BUFFER_OVERFLOW;
	result = d.file->control(kBuffered, "in", 8);
	EXPECT_EQ(result.status, STATUS_BUFFER_OVERFLOW);
	EXPECT_EQ(result.information, 1000u);
	EXPECT_EQ(d.file->read(16), 16);
	EXPECT_EQ(reports("InformationTooLong"), 3u);
}

TEST_F(Kmdf, W_036_words_of_the_framework)
{
	Simple d;
	NTSTATUS status = STATUS_SUCCESS;
	struct {
		NTSTATUS driver;
		NTSTATUS client;
		int error;
	} rows[] = {
		{STATUS_WDF_PAUSED, STATUS_DEVICE_BUSY, SHIM_EBUSY},
		{STATUS_WDF_BUSY, STATUS_DEVICE_BUSY, SHIM_EBUSY},
		{STATUS_WDF_INTERNAL_ERROR, STATUS_INTERNAL_ERROR, SHIM_EIO},
		{STATUS_WDF_TOO_FRAGMENTED, STATUS_INVALID_DEVICE_REQUEST, SHIM_EOPNOTSUPP},
		{STATUS_WDF_TOO_MANY_TRANSFERS, STATUS_INVALID_DEVICE_REQUEST, SHIM_EOPNOTSUPP},
		{STATUS_WDF_NOT_ENOUGH_MAP_REGISTERS, STATUS_INSUFFICIENT_RESOURCES, SHIM_ENOMEM},
		{STATUS_WDF_REQUEST_INVALID_STATE, STATUS_INVALID_DEVICE_REQUEST, SHIM_EOPNOTSUPP},
		{STATUS_CANCELLED, STATUS_CANCELLED, SHIM_ECANCELED},
		{STATUS_UNSUCCESSFUL, STATUS_UNSUCCESSFUL, SHIM_EIO},
	};

	d.queue.on_io = [&](WDFREQUEST request) { WdfRequestComplete(request, status); };
	d.start();
	for (auto &row : rows) {
		SCOPED_TRACE(static_cast<u32>(row.driver));
		status = row.driver;
		EXPECT_EQ(d.file->read(8), -row.error);
		EXPECT_EQ(d.file->last_status().status, row.client);
		EXPECT_EQ(d.file->control(kBuffered).status, row.client);
	}
}

TEST_F(Kmdf, W_037_memory_that_is_still_referenced)
{
	Simple d;
	WDFMEMORY memory = nullptr;
	size_t size = 0;
	char bytes[8] = {};

	d.queue.on_io = [&](WDFREQUEST request) {
		WDFMEMORY again;

		EXPECT_EQ(WdfRequestRetrieveOutputMemory(request, &memory), STATUS_SUCCESS);
		EXPECT_EQ(WdfRequestRetrieveOutputMemory(request, &again), STATUS_SUCCESS);
		EXPECT_EQ(again, memory);
		WdfObjectReference(memory);
		WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 0);
	};
	d.start();
	EXPECT_EQ(d.file->read(16), 0);
	EXPECT_EQ(reports("MemoryReferenced"), 1u);
	// It is the driver's until it lets go of it.
	memset(WdfMemoryGetBuffer(memory, &size), 'x', 16);
	EXPECT_EQ(size, 16u);
	EXPECT_EQ(WdfMemoryCopyToBuffer(memory, 8, bytes, 8), STATUS_SUCCESS);
	EXPECT_EQ(bytes[0], 'x');
	WdfObjectDereference(memory);
	EXPECT_EQ(WdfMemoryGetBuffer(memory, &size), nullptr);
	EXPECT_EQ(reports("InvalidHandle"), 1u);
	d.queue.on_io = [&](WDFREQUEST request) {
		EXPECT_EQ(WdfRequestRetrieveOutputMemory(request, &memory), STATUS_SUCCESS);
		WdfRequestComplete(request, STATUS_SUCCESS);
	};
	EXPECT_EQ(d.file->read(16), 0);
	EXPECT_EQ(reports("MemoryReferenced"), 1u);
}

TEST_F(Kmdf, W_038_completed_twice)
{
	Simple d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	WdfObjectReference(request);
	WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 2);
	WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 9);
	EXPECT_EQ(reports("DoubleCompletion"), 1u);
	EXPECT_EQ(call.result(), 2);
	EXPECT_EQ(d.queue.owned(), 0u);
	WdfObjectDereference(request);
	EXPECT_EQ(host_kmdf_request_state(request), gone);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(reports("InvalidHandle"), 1u);
}

TEST_F(Kmdf, W_038_completed_with_pending)
{
	Simple d;

	d.queue.on_io = [](WDFREQUEST request) { WdfRequestComplete(request, STATUS_PENDING); };
	d.start();
	EXPECT_EQ(d.file->read(16), 0);
	EXPECT_EQ(reports("StatusPending"), 1u);
}

TEST_F(Kmdf, W_039_no_recursion_whatever_the_number)
{
	Simple d(WdfIoQueueDispatchSequential);
	u32 count = std::max(host::rounds(100000), 5000u);
	std::vector<std::unique_ptr<Aio>> clients;
	std::atomic<u32> served{0};
	std::atomic<int> depth{0};
	std::atomic<int> deepest{0};
	std::map<std::thread::id, std::pair<char *, char *>> stacks;
	std::mutex mutex;

	kmdf_params.max_pending_per_file = count;
	d.queue.on_io = [&](WDFREQUEST request) {
		char here;

		deepest = std::max(deepest.load(), ++depth);
		{
			std::lock_guard lock(mutex);
			auto [at, added] = stacks.insert({std::this_thread::get_id(), {&here, &here}});

			at->second.first = std::min(at->second.first, &here);
			at->second.second = std::max(at->second.second, &here);
		}
		served++;
		WdfRequestComplete(request, STATUS_SUCCESS);
		depth--;
	};
	d.start();
	WdfIoQueueStop(d.queue.handle, nullptr, nullptr);
	for (u32 i = 0; i < count; i++) {
		clients.push_back(std::make_unique<Aio>(*d.file));
		clients.back()->submit_read(1);
	}
	EXPECT_EQ(d.queue.queued(), count);
	WdfIoQueueStart(d.queue.handle);
	for (auto &client : clients)
		EXPECT_EQ(client->wait(), 0);
	EXPECT_EQ(served, count);
	EXPECT_EQ(deepest, 1);
#ifndef __SANITIZE_ADDRESS__ // its locals are elsewhere
	for (auto &[thread, stack] : stacks)
		EXPECT_LT(stack.second - stack.first, 16384);
#endif
}

TEST_F(Kmdf, W_039_the_next_comes_when_the_handler_has_returned)
{
	Simple d(WdfIoQueueDispatchSequential);
	std::atomic<bool> inside{false};
	std::atomic<u32> nested{0};

	d.queue.on_io = [&](WDFREQUEST request) {
		nested += inside;
		inside = true;
		WdfRequestComplete(request, STATUS_SUCCESS);
		for (int i = 0; i < 1000; i++)
			sched_yield();
		inside = false;
	};
	d.start();
	WdfIoQueueStop(d.queue.handle, nullptr, nullptr);
	Aio first(*d.file);
	Aio second(*d.file);

	first.submit_read(1);
	second.submit_read(1);
	WdfIoQueueStart(d.queue.handle);
	EXPECT_EQ(first.wait(), 0);
	EXPECT_EQ(second.wait(), 0);
	EXPECT_EQ(nested, 0u);
}

std::atomic<WDFREQUEST> of_timer;

TEST_F(Kmdf, W_040_a_timer_completes_the_first_and_the_second_is_presented)
{
	Simple d(WdfIoQueueDispatchSequential);
	WDF_TIMER_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFTIMER timer;

	d.start();
	WDF_TIMER_CONFIG_INIT(&config,
			      [](WDFTIMER) { WdfRequestComplete(of_timer.exchange(nullptr), STATUS_SUCCESS); });
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = d.queue.handle;
	ASSERT_EQ(WdfTimerCreate(&config, &attributes, &timer), STATUS_SUCCESS);
	Aio first(*d.file);
	Aio second(*d.file);

	first.submit_read(1);
	second.submit_read(1);
	of_timer = d.take();
	EXPECT_EQ(d.queue.arrived.waiting(), 0u);
	WdfTimerStart(timer, in_ms(10));
	fake::advance_ms(9);
	EXPECT_EQ(d.queue.arrived.waiting(), 0u);
	fake::advance_ms(2);
	EXPECT_EQ(first.wait(), 0);
	WdfRequestComplete(d.take(), STATUS_SUCCESS);
	EXPECT_EQ(second.wait(), 0);
}

TEST_F(Kmdf, W_041_success_of_a_cancelled_one)
{
	Simple d;

	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.file->cancel().flagged, 1u);
	WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 16);
	EXPECT_EQ(call.result(), 16);
	EXPECT_EQ(d.file->last_status().status, STATUS_SUCCESS);
}

TEST_F(Kmdf, W_042_a_handle_after_its_completion)
{
	Simple d;
	Queue other(WdfIoQueueDispatchManual, false);
	void *p;
	size_t length;
	WDFMEMORY memory;
	u64 expected = 0;

	d.driver.queues = {&d.queue, &other};
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();
	WDF_REQUEST_PARAMETERS parameters;

	WDF_REQUEST_PARAMETERS_INIT(&parameters);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
	until([&] { return host_kmdf_request_state(request) == gone; }, "it has gone");
	// A new request in its slot: the old handle is not the new one's.
	Aio more(*d.file);

	more.submit_read(16);
	WDFREQUEST newer = d.take();
	EXPECT_NE(newer, request);
#define EXPECT_REPORT(...)                                       \
	do {                                                     \
		__VA_ARGS__;                                     \
		EXPECT_EQ(reports("InvalidHandle"), ++expected); \
	} while (0)
	EXPECT_REPORT(EXPECT_EQ(d.queue.mark(request), STATUS_INVALID_PARAMETER));
	EXPECT_REPORT(d.queue.mark_plain(request));
	EXPECT_REPORT(EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_INVALID_DEVICE_REQUEST));
	EXPECT_REPORT(EXPECT_FALSE(WdfRequestIsCanceled(request)));
	EXPECT_REPORT(WdfRequestComplete(request, STATUS_SUCCESS));
	EXPECT_REPORT(WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 1));
	EXPECT_REPORT(WdfRequestSetInformation(request, 1));
	EXPECT_REPORT(EXPECT_EQ(WdfRequestGetInformation(request), 0u));
	EXPECT_REPORT(WdfRequestGetParameters(request, &parameters));
	EXPECT_REPORT(EXPECT_FALSE(NT_SUCCESS(WdfRequestRetrieveOutputBuffer(request, 1, &p, &length))));
	EXPECT_REPORT(EXPECT_FALSE(NT_SUCCESS(WdfRequestRetrieveOutputMemory(request, &memory))));
	EXPECT_REPORT(EXPECT_FALSE(NT_SUCCESS(WdfRequestForwardToIoQueue(request, other.handle))));
	EXPECT_REPORT(EXPECT_FALSE(NT_SUCCESS(WdfRequestRequeue(request))));
	EXPECT_REPORT(EXPECT_EQ(WdfRequestGetIoQueue(request), nullptr));
	EXPECT_REPORT(EXPECT_EQ(WdfRequestGetFileObject(request), nullptr));
	EXPECT_REPORT(WdfRequestStopAcknowledge(request, FALSE));
	EXPECT_REPORT(EXPECT_FALSE(WdfRequestCancelSentRequest(request)));
	EXPECT_REPORT(EXPECT_FALSE(WdfRequestSend(request, WdfDeviceGetIoTarget(d.driver.device), nullptr)));
	EXPECT_REPORT(WdfObjectReference(request));
	EXPECT_REPORT(WdfObjectDereference(request));
	EXPECT_REPORT(WdfObjectDelete(request));
	EXPECT_REPORT(EXPECT_EQ(context_of(request), nullptr));
	EXPECT_EQ(host_kmdf_request_state(newer), owned);
	WdfRequestComplete(newer, STATUS_SUCCESS);
	EXPECT_EQ(more.wait(), 0);
	// Other things that are no handle of a request.
	EXPECT_REPORT(WdfRequestComplete(reinterpret_cast<WDFREQUEST>(d.queue.handle), STATUS_SUCCESS));
	EXPECT_REPORT(WdfRequestComplete(reinterpret_cast<WDFREQUEST>(&call), STATUS_SUCCESS));
	WdfRequestComplete(nullptr, STATUS_SUCCESS);
	EXPECT_EQ(reports("NullParameter"), 1u);
}

// With a reference the handle is one; but the driver has lost the request.
TEST_F(Kmdf, W_042_a_reference_gives_no_rights)
{
	Simple d;
	Queue other(WdfIoQueueDispatchManual, false);

	d.driver.queues = {&d.queue, &other};
	d.driver.with_request_context = true;
	d.start();
	Call call = Call::read(*d.file, 16);
	WDFREQUEST request = d.take();
	void *p;
	size_t length;

	context_of(request)->value = 42;
	WdfObjectReference(request);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
	EXPECT_EQ(context_of(request)->value, 42u);
	EXPECT_EQ(d.queue.mark(request), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_FALSE(WdfRequestIsCanceled(request));
	EXPECT_FALSE(NT_SUCCESS(WdfRequestRetrieveOutputBuffer(request, 1, &p, &length)));
	EXPECT_EQ(WdfRequestForwardToIoQueue(request, other.handle), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_FALSE(WdfRequestCancelSentRequest(request));
	EXPECT_GE(reports("InvalidReqAccess"), 2u);
	EXPECT_EQ(reports("UnmarkNotCancelable"), 1u);
	WdfObjectDereference(request);
	EXPECT_EQ(host_kmdf_request_state(request), gone);
}

} // namespace
