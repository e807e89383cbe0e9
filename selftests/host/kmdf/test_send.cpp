// SPDX-License-Identifier: GPL-2.0-only
// W-79 to W-89: requests that a driver sends to another.
#include "pair.hpp"

namespace {

TEST_F(Kmdf, completion_params_name_the_memory)
{
	Pair p;

	p.start();
	Own own(p);
	WDFMEMORY_OFFSET part = {4, 8};
	WDF_REQUEST_COMPLETION_PARAMS params;

	EXPECT_EQ(WdfIoTargetFormatRequestForRead(p.target, own.request, own.memory, &part, nullptr), STATUS_SUCCESS);
	WdfRequestSetCompletionRoutine(own.request, completion, &own.sent);
	EXPECT_TRUE(own.send());
	answer(p.below.take(), "five!");
	own.wait();
	EXPECT_STREQ(own.bytes + 4, "five!");
	WDF_REQUEST_COMPLETION_PARAMS_INIT(&params);
	WdfRequestGetCompletionParams(own.request, &params);
	EXPECT_EQ(params.Type, WdfRequestTypeRead);
	EXPECT_EQ(params.IoStatus.Information, 5u);
	EXPECT_EQ(params.Parameters.Read.Buffer, own.memory);
	EXPECT_EQ(params.Parameters.Read.Offset, 4u);
	EXPECT_EQ(params.Parameters.Read.Length, 5u);
	own.reuse();
	EXPECT_EQ(WdfIoTargetFormatRequestForIoctl(
			  p.target, own.request, CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS),
			  own.memory, nullptr, own.memory, &part),
		  STATUS_SUCCESS);
	WdfRequestSetCompletionRoutine(own.request, completion, &own.sent);
	EXPECT_TRUE(own.send());
	answer(p.below.take(), "4444");
	own.wait();
	WdfRequestGetCompletionParams(own.request, &params);
	EXPECT_EQ(params.Type, WdfRequestTypeDeviceControl);
	EXPECT_EQ(params.Parameters.Ioctl.IoControlCode,
		  CTL_CODE(FILE_DEVICE_UNKNOWN, 0x801, METHOD_BUFFERED, FILE_ANY_ACCESS));
	EXPECT_EQ(params.Parameters.Ioctl.Input.Buffer, own.memory);
	EXPECT_EQ(params.Parameters.Ioctl.Input.Offset, 0u);
	EXPECT_EQ(params.Parameters.Ioctl.Output.Buffer, own.memory);
	EXPECT_EQ(params.Parameters.Ioctl.Output.Offset, 4u);
	EXPECT_EQ(params.Parameters.Ioctl.Output.Length, 4u);
}

TEST_F(Kmdf, W_079_it_comes_back_once)
{
	Pair p;

	p.start();
	Own own(p);

	own.format_read();
	EXPECT_TRUE(own.send());
	EXPECT_EQ(own.sent.calls, 0u);
	WDFREQUEST lower = p.below.take();
	EXPECT_NE(lower, own.request);
	answer(lower, "from below");
	own.wait();
	EXPECT_EQ(own.sent.status, STATUS_SUCCESS);
	EXPECT_EQ(own.sent.information, 10u);
	EXPECT_EQ(own.status(), STATUS_SUCCESS);
	EXPECT_STREQ(own.bytes, "from below");
	fake::settle();
	EXPECT_EQ(own.sent.calls, 1u);
}

// Before the send returns.
TEST_F(Kmdf, W_079_it_comes_back_at_once)
{
	Pair p;

	p.below.on_io = [](WDFREQUEST request) { answer(request, "quick"); };
	p.start();
	Own own(p);

	for (int i = 0; i < 3; i++) {
		own.format_read();
		EXPECT_TRUE(own.send());
		EXPECT_EQ(own.sent.calls, 1u);
		EXPECT_STREQ(own.bytes, "quick");
		own.reuse();
	}
}

TEST_F(Kmdf, W_079_what_a_lower_driver_gets)
{
	Pair p;

	p.start();
	Own own(p);
	void *buffer;
	size_t length;

	memcpy(own.bytes, "0123456789", 10);
	own.format_write(10);
	EXPECT_TRUE(own.send());
	WDFREQUEST lower = p.below.take();
	EXPECT_EQ(WdfRequestRetrieveInputBuffer(lower, 1, &buffer, &length), STATUS_SUCCESS);
	EXPECT_EQ(std::string(static_cast<char *>(buffer), length), "0123456789");
	EXPECT_EQ(WdfRequestGetRequestorMode(lower), KernelMode);
	EXPECT_EQ(WdfRequestGetFileObject(lower), nullptr);
	WdfRequestCompleteWithInformation(lower, STATUS_SUCCESS, 10);
	own.wait();
	EXPECT_EQ(own.sent.information, 10u);
	own.reuse();
	WDFMEMORY_OFFSET in = {2, 4};
	WDFMEMORY_OFFSET out = {8, 8};
	EXPECT_EQ(
		WdfIoTargetFormatRequestForIoctl(p.target, own.request, kOutDirect, own.memory, &in, own.memory, &out),
		STATUS_SUCCESS);
	WdfRequestSetCompletionRoutine(own.request, completion, &own.sent);
	EXPECT_TRUE(own.send());
	lower = p.below.take();
	WDF_REQUEST_PARAMETERS parameters;
	WDF_REQUEST_PARAMETERS_INIT(&parameters);
	WdfRequestGetParameters(lower, &parameters);
	EXPECT_EQ(parameters.Type, WdfRequestTypeDeviceControl);
	EXPECT_EQ(parameters.Parameters.DeviceIoControl.IoControlCode, kOutDirect);
	EXPECT_EQ(parameters.Parameters.DeviceIoControl.InputBufferLength, 4u);
	EXPECT_EQ(parameters.Parameters.DeviceIoControl.OutputBufferLength, 8u);
	answer(lower, "abcd");
	own.wait();
	EXPECT_EQ(std::string(own.bytes, 12), "01234567abcd");
}

TEST_F(Kmdf, W_080_why_it_was_not_sent)
{
	Pair p;
	WDF_REQUEST_SEND_OPTIONS options;

	p.start();
	Own own(p);

	WdfRequestSetCompletionRoutine(own.request, completion, &own.sent);
	EXPECT_FALSE(own.send());
	EXPECT_EQ(own.status(), STATUS_REQUEST_NOT_ACCEPTED);
	own.format_read();
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, 0x10);
	EXPECT_FALSE(own.send(&options));
	EXPECT_EQ(own.status(), STATUS_INVALID_PARAMETER);
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, 0);
	options.Timeout = in_ms(1);
	EXPECT_FALSE(own.send(&options));
	EXPECT_EQ(own.status(), STATUS_INVALID_PARAMETER);
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET);
	EXPECT_FALSE(own.send(&options));
	EXPECT_EQ(own.status(), STATUS_INVALID_DEVICE_REQUEST);
	WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(&options, in_ms(1));
	EXPECT_FALSE(own.send(&options));
	EXPECT_EQ(own.status(), STATUS_INVALID_PARAMETER);
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, 0);
	options.Size--;
	EXPECT_FALSE(own.send(&options));
	EXPECT_EQ(own.status(), STATUS_INFO_LENGTH_MISMATCH);
	WdfIoTargetClose(p.target);
	EXPECT_FALSE(own.send());
	EXPECT_EQ(own.status(), STATUS_INVALID_DEVICE_STATE);
	fake::settle();
	EXPECT_EQ(own.sent.calls, 0u);
	EXPECT_EQ(p.below.arrived.total(), 0u);
	// And all that is no obstacle afterwards.
	EXPECT_EQ(p.open(), STATUS_SUCCESS);
	EXPECT_TRUE(own.send());
	answer(p.below.take(), "x");
	own.wait();
}

TEST_F(Kmdf, W_081_a_clients_request_without_a_completion_routine)
{
	Pair p;

	p.start();
	Call call = Call::read(*p.file, 8);
	WDFREQUEST request = p.queue.take();

	WdfRequestFormatRequestUsingCurrentType(request);
	EXPECT_FALSE(WdfRequestSend(request, p.target, nullptr));
	EXPECT_EQ(WdfRequestGetStatus(request), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(host_kmdf_request_state(request), owned);
	WdfRequestComplete(request, STATUS_UNSUCCESSFUL);
	EXPECT_EQ(call.result(), -SHIM_EIO);
	EXPECT_EQ(p.below.arrived.total(), 0u);
}

TEST_F(Kmdf, W_081_a_clients_request_with_one)
{
	Pair p;
	Sent sent;

	// How many bytes there are comes up with it.
	sent.then = [&](WDFREQUEST request) { WdfRequestComplete(request, sent.status); };
	p.start();
	Call call = Call::read(*p.file, 8);
	WDFREQUEST request = p.queue.take();

	WdfRequestFormatRequestUsingCurrentType(request);
	WdfRequestSetCompletionRoutine(request, completion, &sent);
	EXPECT_TRUE(WdfRequestSend(request, p.target, nullptr));
	EXPECT_EQ(p.queue.owned(), 1u);
	answer(p.below.take(), "through");
	EXPECT_EQ(call.result(), 7);
	EXPECT_EQ(call.data(), "through");
}

TEST_F(Kmdf, W_081_send_and_forget)
{
	Pair p;
	WDF_REQUEST_SEND_OPTIONS options;

	p.start();
	Call call = Call::read(*p.file, 8);
	WDFREQUEST request = p.queue.take();

	WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET);
	WdfRequestFormatRequestUsingCurrentType(request);
	EXPECT_TRUE(WdfRequestSend(request, p.target, &options));
	answer(p.below.take(), "forgot");
	EXPECT_EQ(call.result(), 6);
	EXPECT_EQ(call.data(), "forgot");
	EXPECT_EQ(p.queue.owned(), 0u);
}

// The driver does not have it any more: a queue that presents one at a time presents the next, and nobody waits for it.
TEST_F(Kmdf, W_081_what_is_forgotten_makes_room)
{
	Pair p;

	WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(&p.queue.config, WdfIoQueueDispatchSequential);
	p.start();
	Readers readers(*p.file, 2);
	WDFREQUEST first = p.queue.take();

	EXPECT_TRUE(p.forget(first));
	EXPECT_EQ(WdfRequestGetIoQueue(first), nullptr);
	WdfRequestMarkCancelable(first, evt_cancel);
	EXPECT_EQ(reports("ReqMarkCancelableSend"), 1u);
	EXPECT_EQ(WdfRequestRequeue(first), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("InvalidReqAccess"), 1u);
	complete(p.queue.take(), 1);
	EXPECT_EQ(readers[1].wait(), 1);
	WdfIoQueuePurgeSynchronously(p.queue.handle);
	EXPECT_FALSE(readers[0].finished());
	answer(p.below.take(), "forgot");
	EXPECT_EQ(readers[0].wait(), 6);
}

TEST_F(Kmdf, W_081_what_is_forgotten_while_the_target_is_stopped)
{
	Pair p;

	p.start();
	WdfIoTargetStop(p.target, WdfIoTargetLeaveSentIoPending);
	Readers readers(*p.file, 1);

	EXPECT_TRUE(p.forget(p.queue.take()));
	EXPECT_EQ(p.queue.owned(), 0u);
	EXPECT_EQ(WdfIoTargetStart(p.target), STATUS_SUCCESS);
	answer(p.below.take(), "late");
	EXPECT_EQ(readers[0].wait(), 4);
}

TEST_F(Kmdf, W_083_what_is_forgotten_is_cancelled_below)
{
	Pair p;

	p.start();
	Readers readers(*p.file, 2);

	for (int i = 0; i < 2; i++) {
		EXPECT_TRUE(p.forget(p.queue.take()));
		EXPECT_EQ(p.below.mark(p.below.take()), STATUS_SUCCESS);
	}
	EXPECT_TRUE(readers[0].cancel());
	EXPECT_EQ(readers[0].wait(), -SHIM_ECANCELED);
	EXPECT_FALSE(readers[1].finished());
	EXPECT_EQ(p.file->cancel().found, 1u);
	EXPECT_EQ(readers[1].wait(), -SHIM_ECANCELED);
	EXPECT_EQ(p.below.cancelled.total(), 2u);
}

// Its queue has ended before: what is forgotten ends with the target.
TEST_F(Kmdf, W_087_removed_while_what_is_forgotten_is_below)
{
	Pair p;

	p.start();
	Aio client(*p.file);

	client.submit_read(8);
	EXPECT_TRUE(p.forget(p.queue.take()));
	EXPECT_EQ(p.below.mark(p.below.take()), STATUS_SUCCESS);
	EXPECT_EQ(kmdf_power_c("upper0", "remove"), 0);
	EXPECT_FALSE(client.finished());
	WdfIoTargetClose(p.target);
	EXPECT_EQ(client.wait(), -SHIM_ECANCELED);
}

// EvtDeviceFileCreate of a filter: below there is no file.
TEST_F(Kmdf, W_081_an_open_that_is_forgotten)
{
	Pair p;
	std::atomic<u32> below{0};

	p.upper.on_create = [&](WDFREQUEST request, WDFFILEOBJECT) { EXPECT_TRUE(p.forget(request)); };
	p.lower.on_create = [&](WDFREQUEST request, WDFFILEOBJECT file) {
		EXPECT_EQ(file, nullptr);
		below++;
		complete(request);
	};
	p.start();
	EXPECT_TRUE(p.file->is_open());
	EXPECT_EQ(below, 1u);
}

// Its driver's other thread does something else with it, at each unlock of the send: one of them is refused.
TEST_F(Kmdf, W_089_sent_while_another_thread_has_it)
{
	enum { Mark, Complete, Forward, Forget, Last };
	Pair p;
	Queue parked(WdfIoQueueDispatchManual, false);
	u32 sends = 0;
	u32 refused = 0;

	p.upper.queues = {&p.queue, &parked};
	p.start();
	for (int what = 0; what < Last; what++) {
		for (int at = 0; at < 40; at++) {
			Readers readers(*p.file, 1);
			WDFREQUEST request = p.queue.take();
			bool other = false;

			fake::at_next(
				fake::Moment::Unlock,
				[&, what] {
					if (what == Mark)
						other = NT_SUCCESS(p.queue.mark(request));
					else if (what == Complete)
						WdfRequestComplete(request, STATUS_UNSUCCESSFUL);
					else if (what == Forward)
						other = NT_SUCCESS(WdfRequestForwardToIoQueue(request, parked.handle));
					else
						other = p.forget(request);
				},
				at);
			bool sent = p.forget(request);

			fake::at_next(fake::Moment::Unlock, nullptr);
			EXPECT_FALSE(sent && other) << what << " at " << at;
			(sent ? sends : refused)++;
			if (sent || (other && what == Forget)) {
				answer(p.below.take(), "x");
				EXPECT_EQ(readers[0].wait(), 1);
				continue;
			}
			if (what == Mark) {
				EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_SUCCESS);
				complete(request);
			} else if (what == Forward) {
				complete(parked.retrieve());
			}
			readers[0].wait();
		}
		EXPECT_EQ(p.queue.owned() + parked.owned(), 0u);
	}
	EXPECT_GE(sends, 4u);
	EXPECT_GE(refused, 4u);
	for (const char *rule :
	     {"AlreadySent", "InvalidReqAccess", "ReqMarkCancelableSend", "DoubleCompletion", "InvalidHandle"})
		expect_any(rule);
}

TEST_F(Kmdf, W_070_forgotten_in_EvtIoStop)
{
	Pair p;

	p.queue.on_stop = [&](WDFREQUEST request, ULONG) { EXPECT_TRUE(p.forget(request)); };
	p.start();
	Readers readers(*p.file, 1);

	p.queue.take();
	EXPECT_EQ(kmdf_power_c("upper0", "suspend"), 0);
	EXPECT_EQ(kmdf_power_c("upper0", "resume"), 0);
	answer(p.below.take(), "on");
	EXPECT_EQ(readers[0].wait(), 2);
}

TEST_F(Kmdf, W_070_what_is_sent_is_not_given_back)
{
	Pair p;
	Sent sent;

	sent.then = [&](WDFREQUEST request) { WdfRequestComplete(request, sent.status); };
	p.queue.on_stop = [&](WDFREQUEST request, ULONG) {
		WdfRequestStopAcknowledge(request, TRUE);
		EXPECT_EQ(reports("StopAckOutsideStop"), 1u);
		WdfRequestStopAcknowledge(request, FALSE);
	};
	p.start();
	Readers readers(*p.file, 1);
	WDFREQUEST request = p.queue.take();

	WdfRequestFormatRequestUsingCurrentType(request);
	WdfRequestSetCompletionRoutine(request, completion, &sent);
	EXPECT_TRUE(WdfRequestSend(request, p.target, nullptr));
	EXPECT_EQ(kmdf_power_c("upper0", "suspend"), 0);
	answer(p.below.take(), "on");
	EXPECT_EQ(kmdf_power_c("upper0", "resume"), 0);
	EXPECT_EQ(readers[0].wait(), 2);
	EXPECT_EQ(p.queue.arrived.total(), 1u);
}

// Acknowledged first, and then sent all the same.
TEST_F(Kmdf, W_070_sent_after_it_was_given_back)
{
	Pair p;

	p.queue.on_stop = [&](WDFREQUEST request, ULONG) {
		WdfRequestStopAcknowledge(request, TRUE);
		EXPECT_TRUE(p.forget(request));
	};
	p.start();
	Readers readers(*p.file, 1);

	p.queue.take();
	EXPECT_EQ(kmdf_power_c("upper0", "suspend"), 0);
	EXPECT_EQ(p.queue.queued(), 0u);
	EXPECT_EQ(kmdf_power_c("upper0", "resume"), 0);
	answer(p.below.take(), "on");
	EXPECT_EQ(readers[0].wait(), 2);
	EXPECT_EQ(p.queue.arrived.total(), 1u);
}

// EvtIoInCallerContext: what it has sent it does not have any more.
TEST_F(Kmdf, W_081_what_is_forgotten_is_not_enqueued)
{
	Pair p;
	std::atomic<NTSTATUS> enqueued{STATUS_SUCCESS};

	p.upper.in_caller_context = [&](WDFREQUEST request) {
		EXPECT_TRUE(p.forget(request));
		enqueued = WdfDeviceEnqueueRequest(p.upper.device, request);
	};
	p.start();
	Readers readers(*p.file, 1);

	EXPECT_EQ(enqueued, STATUS_INVALID_DEVICE_REQUEST);
	answer(p.below.take(), "on");
	EXPECT_EQ(readers[0].wait(), 2);
	EXPECT_EQ(p.queue.arrived.total(), 0u);
}

// As filters do it: what nobody has given a format goes on as it came.
TEST_F(Kmdf, W_081_send_and_forget_without_a_format)
{
	Pair p;
	WDF_REQUEST_SEND_OPTIONS options;
	void *buffer;
	size_t length;

	p.start();
	Call call = Call::control(*p.file, kBuffered, "in", 8);

	WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET);
	EXPECT_TRUE(WdfRequestSend(p.queue.take(), p.target, &options));
	WDFREQUEST lower = p.below.take();
	EXPECT_EQ(WdfRequestRetrieveInputBuffer(lower, 1, &buffer, &length), STATUS_SUCCESS);
	EXPECT_EQ(std::string(static_cast<char *>(buffer), length), "in");
	answer(lower, "forgot");
	EXPECT_EQ(call.outcome().status, STATUS_SUCCESS);
	EXPECT_EQ(call.outcome().information, 6u);
	EXPECT_EQ(call.outcome().data.substr(0, 6), "forgot");
}

// With a format of its own it would answer in memory that its client does not see.
TEST_F(Kmdf, W_081_send_and_forget_with_another_format)
{
	Pair p;
	WDF_REQUEST_SEND_OPTIONS options;

	p.start();
	Own own(p);
	Call call = Call::read(*p.file, 8);
	WDFREQUEST request = p.queue.take();

	WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET);
	EXPECT_EQ(WdfIoTargetFormatRequestForRead(p.target, request, own.memory, nullptr, nullptr), STATUS_SUCCESS);
	EXPECT_FALSE(WdfRequestSend(request, p.target, &options));
	EXPECT_EQ(WdfRequestGetStatus(request), STATUS_INVALID_DEVICE_REQUEST);
	WdfRequestFormatRequestUsingCurrentType(request);
	EXPECT_TRUE(WdfRequestSend(request, p.target, &options));
	answer(p.below.take(), "forgot");
	EXPECT_EQ(call.data(), "forgot");
}

TEST_F(Kmdf, W_081_sent_synchronously)
{
	Pair p;
	WDF_REQUEST_SEND_OPTIONS options;
	WDF_MEMORY_DESCRIPTOR descriptor;
	ULONG_PTR bytes = 0;
	char buffer[8] = {};

	p.below.on_io = [&](WDFREQUEST request) { answer(request, "sync"); };
	p.start();
	Own own(p);

	own.format_read();
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_SYNCHRONOUS);
	EXPECT_TRUE(own.send(&options));
	EXPECT_EQ(own.status(), STATUS_SUCCESS);
	EXPECT_STREQ(own.bytes, "sync");
	// Its completion routine is not for this.
	EXPECT_EQ(own.sent.calls, 0u);
	WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(&descriptor, buffer, sizeof(buffer));
	EXPECT_EQ(WdfIoTargetSendReadSynchronously(p.target, nullptr, &descriptor, nullptr, nullptr, &bytes),
		  STATUS_SUCCESS);
	EXPECT_EQ(bytes, 4u);
	EXPECT_STREQ(buffer, "sync");
	fake::BhOff dispatch_level;
	own.reuse();
	own.format_read();
	EXPECT_FALSE(own.send(&options));
	EXPECT_EQ(reports("KmdfIrql"), 1u);
}

TEST_F(Kmdf, W_082_cancelled_before_it_is_sent)
{
	Pair p;

	p.start();
	Own own(p);

	own.format_read();
	EXPECT_FALSE(WdfRequestCancelSentRequest(own.request));
	EXPECT_FALSE(own.send());
	EXPECT_EQ(own.status(), STATUS_CANCELLED);
	EXPECT_EQ(own.sent.calls, 0u);
	own.reuse();
	EXPECT_EQ(own.status(), STATUS_NOT_SUPPORTED);
	own.format_read();
	EXPECT_TRUE(own.send());
	answer(p.below.take(), "now");
	own.wait();
	EXPECT_EQ(own.sent.status, STATUS_SUCCESS);
	EXPECT_EQ(p.below.arrived.total(), 1u);
}

// Of a client's request, too: that its driver has cancelled what it has sent is taken back by a reuse.
TEST_F(Kmdf, W_082_a_clients_request_is_sent_again)
{
	Pair p;
	Sent sent;

	sent.then = [&](WDFREQUEST request) { WdfRequestComplete(request, sent.status); };
	p.start();
	Call call = Call::read(*p.file, 8);
	WDFREQUEST request = p.queue.take();
	WDF_REQUEST_REUSE_PARAMS parameters;

	WDF_REQUEST_REUSE_PARAMS_INIT(&parameters, WDF_REQUEST_REUSE_NO_FLAGS, STATUS_NOT_SUPPORTED);
	EXPECT_FALSE(WdfRequestCancelSentRequest(request));
	EXPECT_TRUE(WdfRequestIsCanceled(request));
	EXPECT_EQ(WdfRequestReuse(request, &parameters), STATUS_SUCCESS);
	EXPECT_FALSE(WdfRequestIsCanceled(request));
	WdfRequestFormatRequestUsingCurrentType(request);
	WdfRequestSetCompletionRoutine(request, completion, &sent);
	EXPECT_TRUE(WdfRequestSend(request, p.target, nullptr));
	answer(p.below.take(), "again");
	EXPECT_EQ(call.data(), "again");
}

// But not that its client has cancelled it, in whichever order.
TEST_F(Kmdf, W_004_cancelled_and_reused)
{
	Pair p;
	WDF_REQUEST_REUSE_PARAMS parameters;

	p.start();
	WDF_REQUEST_REUSE_PARAMS_INIT(&parameters, WDF_REQUEST_REUSE_NO_FLAGS, STATUS_NOT_SUPPORTED);
	for (int order = 0; order < 3; order++) {
		Sent sent;

		Call call = Call::read(*p.file, 8);
		WDFREQUEST request = p.queue.take();
		WdfRequestFormatRequestUsingCurrentType(request);
		WdfRequestSetCompletionRoutine(request, completion, &sent);
		EXPECT_TRUE(WdfRequestSend(request, p.target, nullptr));
		WDFREQUEST lower = p.below.take();
		if (order == 1)
			WdfRequestCancelSentRequest(request);
		p.file->cancel();
		if (order == 2)
			WdfRequestCancelSentRequest(request);
		WdfRequestComplete(lower, STATUS_CANCELLED);
		until([&] { return sent.calls == 1; }, "the completion routine was called");
		EXPECT_EQ(WdfRequestReuse(request, &parameters), STATUS_SUCCESS);
		EXPECT_TRUE(WdfRequestIsCanceled(request));
		WdfRequestFormatRequestUsingCurrentType(request);
		WdfRequestSetCompletionRoutine(request, completion, &sent);
		EXPECT_FALSE(WdfRequestSend(request, p.target, nullptr));
		EXPECT_EQ(WdfRequestGetStatus(request), STATUS_CANCELLED);
		EXPECT_EQ(p.queue.mark(request), STATUS_CANCELLED);
		WdfRequestComplete(request, STATUS_CANCELLED);
		EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	}
	EXPECT_EQ(p.queue.cancelled.total(), 0u);
}

TEST_F(Kmdf, W_083_cancelled_while_it_is_below)
{
	Pair p;

	p.start();
	{
		Own own(p);

		own.format_read();
		EXPECT_TRUE(own.send());
		EXPECT_EQ(p.below.mark(p.below.take()), STATUS_SUCCESS);
		EXPECT_TRUE(WdfRequestCancelSentRequest(own.request));
		own.wait();
		EXPECT_EQ(own.sent.status, STATUS_CANCELLED);
		EXPECT_EQ(p.below.cancelled.total(), 1u);
	}
	Own own(p);

	own.format_read();
	EXPECT_TRUE(own.send());
	WDFREQUEST lower = p.below.take();
	EXPECT_FALSE(WdfRequestCancelSentRequest(own.request));
	EXPECT_EQ(own.sent.calls, 0u);
	EXPECT_TRUE(WdfRequestIsCanceled(lower));
	answer(lower, "went on");
	own.wait();
	EXPECT_EQ(own.sent.status, STATUS_SUCCESS);
	EXPECT_STREQ(own.bytes, "went on");
}

// Its client's cancel gets to the driver below by itself.
TEST_F(Kmdf, W_083_the_client_cancels)
{
	Pair p;
	Sent sent;

	sent.then = [&](WDFREQUEST request) { WdfRequestComplete(request, sent.status); };
	p.start();
	Call call = Call::read(*p.file, 8);
	WDFREQUEST request = p.queue.take();

	WdfRequestFormatRequestUsingCurrentType(request);
	WdfRequestSetCompletionRoutine(request, completion, &sent);
	EXPECT_TRUE(WdfRequestSend(request, p.target, nullptr));
	EXPECT_EQ(p.below.mark(p.below.take()), STATUS_SUCCESS);
	p.file->cancel();
	EXPECT_EQ(call.result(), -SHIM_ECANCELED);
	EXPECT_EQ(p.below.cancelled.total(), 1u);
	EXPECT_EQ(sent.calls, 1u);
}

// In a queue below.
TEST_F(Kmdf, W_083_cancelled_while_nobody_below_has_it)
{
	Pair p;

	p.start();
	WdfIoQueueStop(p.below.handle, nullptr, nullptr);
	Own own(p);

	own.format_read();
	EXPECT_TRUE(own.send());
	EXPECT_EQ(p.below.queued(), 1u);
	EXPECT_TRUE(WdfRequestCancelSentRequest(own.request));
	own.wait();
	EXPECT_EQ(own.sent.status, STATUS_CANCELLED);
	EXPECT_EQ(p.below.queued(), 0u);
}

TEST_F(Kmdf, W_084_the_completion_routine_on_the_cancellers_stack)
{
	Pair p;
	WDFSPINLOCK lock;
	WDF_OBJECT_ATTRIBUTES attributes;

	p.start();
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = p.upper.device;
	ASSERT_EQ(WdfSpinLockCreate(&attributes, &lock), STATUS_SUCCESS);
	Own own(p);

	own.sent.then = [&](WDFREQUEST) {
		WdfSpinLockAcquire(lock);
		WdfSpinLockRelease(lock);
	};
	own.format_read();
	EXPECT_TRUE(own.send());
	EXPECT_EQ(p.below.mark(p.below.take()), STATUS_SUCCESS);
	WdfSpinLockAcquire(lock);
	EXPECT_TRUE(WdfRequestCancelSentRequest(own.request));
	EXPECT_EQ(own.sent.calls, 1u);
	EXPECT_EQ(own.sent.thread, fake::tid());
	EXPECT_EQ(reports("RecursiveLock"), 1u);
	EXPECT_EQ(KeGetCurrentIrql(), DISPATCH_LEVEL);
	WdfSpinLockRelease(lock);
	EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
}

// Not inside the callback below, whose driver may hold its locks: the canceller has a share in what was sent.
TEST_F(Kmdf, W_084_the_completion_routine_after_the_callback_below)
{
	Pair p;
	std::atomic<u32> inside{99};

	p.start();
	Own own(p);

	p.below.on_cancel = [&](WDFREQUEST request) {
		WdfRequestComplete(request, STATUS_CANCELLED);
		inside = own.sent.calls.load();
	};
	own.format_read();
	EXPECT_TRUE(own.send());
	EXPECT_EQ(p.below.mark(p.below.take()), STATUS_SUCCESS);
	EXPECT_TRUE(WdfRequestCancelSentRequest(own.request));
	EXPECT_EQ(own.sent.calls, 1u);
	EXPECT_EQ(inside, 0u);
}

TEST_F(Kmdf, W_085_cancelled_when_it_is_back)
{
	Pair p;

	p.below.on_io = [](WDFREQUEST request) { answer(request, "x"); };
	p.start();
	Own own(p);

	own.format_read();
	EXPECT_TRUE(own.send());
	EXPECT_EQ(own.sent.calls, 1u);
	EXPECT_FALSE(WdfRequestCancelSentRequest(own.request));
	EXPECT_EQ(own.sent.calls, 1u);
	// A client's, that is completed and that the driver has a reference to.
	Sent sent;
	WDFREQUEST kept = nullptr;

	sent.then = [&](WDFREQUEST request) {
		WdfObjectReference(request);
		kept = request;
		WdfRequestCompleteWithInformation(request, sent.status, sent.information);
	};
	Call call = Call::read(*p.file, 8);
	WDFREQUEST request = p.queue.take();

	WdfRequestFormatRequestUsingCurrentType(request);
	WdfRequestSetCompletionRoutine(request, completion, &sent);
	EXPECT_TRUE(WdfRequestSend(request, p.target, nullptr));
	EXPECT_EQ(call.result(), 1);
	EXPECT_FALSE(WdfRequestCancelSentRequest(kept));
	WdfObjectDereference(kept);
	EXPECT_EQ(sent.calls, 1u);
}

TEST_F(Kmdf, W_086_a_timeout)
{
	Pair p;

	p.start();
	Own own(p);

	own.format_read();
	EXPECT_TRUE(own.send_with_timeout(100));
	EXPECT_EQ(p.below.mark(p.below.take()), STATUS_SUCCESS);
	fake::advance_ms(99);
	EXPECT_EQ(own.sent.calls, 0u);
	fake::advance_ms(2);
	own.wait();
	EXPECT_EQ(own.sent.status, STATUS_IO_TIMEOUT);
	EXPECT_EQ(p.below.cancelled.total(), 1u);
	EXPECT_EQ(fake::kernel_timers(), 0u);
}

TEST_F(Kmdf, W_086_a_timeout_that_nobody_hears)
{
	Pair p;

	p.start();
	Own own(p);

	own.format_read();
	EXPECT_TRUE(own.send_with_timeout(100));
	WDFREQUEST lower = p.below.take();
	fake::advance_ms(200);
	EXPECT_EQ(own.sent.calls, 0u);
	EXPECT_TRUE(WdfRequestIsCanceled(lower));
	answer(lower, "late");
	own.wait();
	EXPECT_EQ(own.sent.status, STATUS_SUCCESS);
}

TEST_F(Kmdf, W_086_it_comes_back_in_time)
{
	Pair p;

	p.start();
	Own own(p);

	own.format_read();
	EXPECT_TRUE(own.send_with_timeout(100));
	EXPECT_EQ(fake::kernel_timers(), 1u);
	answer(p.below.take(), "x");
	own.wait();
	EXPECT_EQ(own.sent.status, STATUS_SUCCESS);
	EXPECT_EQ(fake::kernel_timers(), 0u);
}

TEST_F(Kmdf, W_086_it_comes_back_before_the_send_returns)
{
	Pair p;

	p.below.on_io = [](WDFREQUEST request) { answer(request, "x"); };
	p.start();
	Own own(p);

	own.format_read();
	EXPECT_TRUE(own.send_with_timeout(100));
	EXPECT_EQ(own.sent.calls, 1u);
	EXPECT_EQ(own.sent.status, STATUS_SUCCESS);
	EXPECT_EQ(fake::kernel_timers(), 0u);
}

TEST_F(Kmdf, W_086_a_timeout_of_a_synchronous_send)
{
	Pair p;
	WDF_REQUEST_SEND_OPTIONS options;

	p.start();
	Own own(p);

	own.format_read();
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_SYNCHRONOUS);
	WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(&options, in_ms(10));
	Call call([&](Call &) { return own.send(&options); });
	EXPECT_EQ(p.below.mark(p.below.take()), STATUS_SUCCESS);
	call.wait_until_asleep();
	fake::advance_ms(11);
	EXPECT_EQ(call.result(), 1);
	EXPECT_EQ(own.status(), STATUS_IO_TIMEOUT);
}

TEST_F(Kmdf, W_088_sent_twice)
{
	Pair p;

	p.start();
	Own own(p);

	own.format_read();
	EXPECT_TRUE(own.send());
	EXPECT_FALSE(own.send());
	EXPECT_EQ(reports("AlreadySent"), 1u);
	EXPECT_EQ(WdfIoTargetFormatRequestForRead(p.target, own.request, own.memory, nullptr, nullptr),
		  STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("AlreadySent"), 2u);
	WDF_REQUEST_REUSE_PARAMS parameters;
	WDF_REQUEST_REUSE_PARAMS_INIT(&parameters, WDF_REQUEST_REUSE_NO_FLAGS, STATUS_SUCCESS);
	EXPECT_FALSE(NT_SUCCESS(WdfRequestReuse(own.request, &parameters)));
	EXPECT_EQ(reports("AlreadySent"), 3u);
	WdfRequestSetCompletionRoutine(own.request, nullptr, nullptr);
	EXPECT_EQ(reports("AlreadySent"), 4u);
	answer(p.below.take(), "once");
	own.wait();
	fake::settle();
	EXPECT_EQ(own.sent.calls, 1u);
	EXPECT_EQ(p.below.arrived.total(), 1u);
}

TEST_F(Kmdf, W_088_prepared_by_who_does_not_have_it)
{
	Pair p;
	WDF_REQUEST_REUSE_PARAMS parameters;

	p.start();
	Own own(p);
	Call call = Call::read(*p.file, 8);
	WDFREQUEST request = p.queue.take();

	WdfObjectReference(request);
	complete(request);
	EXPECT_EQ(call.result(), 0);
	WdfRequestFormatRequestUsingCurrentType(request);
	EXPECT_EQ(reports("InvalidReqAccess"), 1u);
	EXPECT_EQ(WdfIoTargetFormatRequestForRead(p.target, request, own.memory, nullptr, nullptr),
		  STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("InvalidReqAccess"), 2u);
	WDF_REQUEST_REUSE_PARAMS_INIT(&parameters, WDF_REQUEST_REUSE_NO_FLAGS, STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestReuse(request, &parameters), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("InvalidReqAccess"), 3u);
	WdfRequestSetCompletionRoutine(request, nullptr, nullptr);
	EXPECT_EQ(reports("InvalidReqAccess"), 4u);
	WdfObjectDereference(request);
}

TEST_F(Kmdf, W_088_completed_while_it_is_sent)
{
	Pair p;
	Sent sent;

	sent.then = [&](WDFREQUEST request) { WdfRequestComplete(request, sent.status); };
	p.start();
	Call call = Call::read(*p.file, 8);
	WDFREQUEST request = p.queue.take();

	WdfRequestFormatRequestUsingCurrentType(request);
	WdfRequestSetCompletionRoutine(request, completion, &sent);
	EXPECT_TRUE(WdfRequestSend(request, p.target, nullptr));
	WdfRequestComplete(request, STATUS_UNSUCCESSFUL);
	EXPECT_EQ(reports("InvalidReqAccess"), 1u);
	EXPECT_FALSE(call.finished());
	EXPECT_EQ(p.queue.mark(request), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("ReqMarkCancelableSend"), 1u);
	answer(p.below.take(), "x");
	EXPECT_EQ(call.result(), 1); // what came back from below
}

TEST_F(Kmdf, W_089_sent_while_it_is_marked)
{
	Pair p;
	Sent sent;

	p.start();
	Call call = Call::read(*p.file, 8);
	WDFREQUEST request = p.queue.take();

	EXPECT_EQ(p.queue.mark(request), STATUS_SUCCESS);
	WdfRequestFormatRequestUsingCurrentType(request);
	WdfRequestSetCompletionRoutine(request, completion, &sent);
	EXPECT_FALSE(WdfRequestSend(request, p.target, nullptr));
	EXPECT_EQ(reports("ReqMarkCancelableSend"), 1u);
	EXPECT_EQ(host_kmdf_request_state(request), cancelable);
	EXPECT_EQ(WdfRequestGetStatus(request), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_SUCCESS);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(call.result(), 0);
	EXPECT_EQ(sent.calls, 0u);
	EXPECT_EQ(p.below.arrived.total(), 0u);
}

// Neither what is marked nor what the driver does not have: and that is no success of no bytes.
TEST_F(Kmdf, W_089_sent_and_waited_for_while_it_is_marked)
{
	Pair p;
	WDF_MEMORY_DESCRIPTOR descriptor;
	ULONG_PTR bytes = 7;
	char buffer[8] = {};

	p.below.on_io = [](WDFREQUEST request) { answer(request, "four"); };
	p.start();
	Call call = Call::read(*p.file, 8);
	WDFREQUEST request = p.queue.take();

	WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(&descriptor, buffer, sizeof(buffer));
	EXPECT_EQ(WdfIoTargetSendReadSynchronously(p.target, request, &descriptor, nullptr, nullptr, &bytes),
		  STATUS_SUCCESS);
	EXPECT_EQ(bytes, 4u);
	EXPECT_EQ(p.queue.mark(request), STATUS_SUCCESS);
	EXPECT_EQ(WdfIoTargetSendReadSynchronously(p.target, request, &descriptor, nullptr, nullptr, &bytes),
		  STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(bytes, 0u);
	EXPECT_EQ(reports("ReqMarkCancelableSend"), 1u);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_SUCCESS);
	WdfObjectReference(request);
	WdfRequestComplete(request, STATUS_SUCCESS);
	EXPECT_EQ(WdfIoTargetSendReadSynchronously(p.target, request, &descriptor, nullptr, nullptr, &bytes),
		  STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(reports("InvalidReqAccess"), 1u);
	WdfObjectDereference(request);
	EXPECT_EQ(call.result(), 4);
}

} // namespace
