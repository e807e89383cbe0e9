// SPDX-License-Identifier: GPL-2.0-only
// W-79, W-87: where a driver sends to: targets that are opened, stopped, purged, closed.
#include "pair.hpp"

namespace {

using host::Balance;
using host::Contestants;
using host::Random;
using host::wait_turns;

TEST_F(Kmdf, W_087_a_target_that_is_stopped)
{
	Pair p;

	p.start();
	Own own(p);

	WdfIoTargetStop(p.target, WdfIoTargetLeaveSentIoPending);
	EXPECT_EQ(WdfIoTargetGetState(p.target), WdfIoTargetStopped);
	own.format_read();
	EXPECT_TRUE(own.send());
	fake::settle();
	EXPECT_EQ(p.below.arrived.total(), 0u);
	EXPECT_EQ(own.sent.calls, 0u);
	EXPECT_EQ(WdfIoTargetStart(p.target), STATUS_SUCCESS);
	answer(p.below.take(), "started");
	own.wait();
	EXPECT_STREQ(own.bytes, "started");
	own.reuse();
	// One that does not care.
	WdfIoTargetStop(p.target, WdfIoTargetLeaveSentIoPending);
	WDF_REQUEST_SEND_OPTIONS options;
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE);
	own.format_read();
	EXPECT_TRUE(own.send(&options));
	answer(p.below.take(), "anyway");
	own.wait();
	own.reuse();
	own.format_read();
	WdfIoTargetPurge(p.target, WdfIoTargetPurgeIoAndWait);
	EXPECT_EQ(WdfIoTargetGetState(p.target), WdfIoTargetPurged);
	EXPECT_FALSE(own.send());
	EXPECT_EQ(own.status(), STATUS_INVALID_DEVICE_STATE);
	EXPECT_EQ(own.sent.calls, 0u);
	EXPECT_EQ(WdfIoTargetStart(p.target), STATUS_SUCCESS);
	EXPECT_TRUE(own.send());
	answer(p.below.take(), "again");
	own.wait();
}

// By the completion routine of the first that Start has sent: what waits behind it goes on waiting.
TEST_F(Kmdf, W_087_stopped_again_while_it_starts)
{
	Pair p;

	p.below.on_io = [](WDFREQUEST request) { answer(request, "quick"); };
	p.start();
	Own first(p);
	Own second(p);

	WdfIoTargetStop(p.target, WdfIoTargetLeaveSentIoPending);
	first.sent.then = [&](WDFREQUEST) { WdfIoTargetStop(p.target, WdfIoTargetLeaveSentIoPending); };
	for (Own *own : {&first, &second}) {
		own->format_read();
		EXPECT_TRUE(own->send());
	}
	EXPECT_EQ(WdfIoTargetStart(p.target), STATUS_SUCCESS);
	EXPECT_EQ(first.sent.calls, 1u);
	EXPECT_EQ(WdfIoTargetGetState(p.target), WdfIoTargetStopped);
	EXPECT_EQ(second.sent.calls, 0u);
	EXPECT_EQ(WdfIoTargetStart(p.target), STATUS_SUCCESS);
	EXPECT_EQ(second.sent.calls, 1u);
}

TEST_F(Kmdf, W_087_purged_while_it_starts)
{
	Pair p;

	p.below.on_io = [](WDFREQUEST request) { answer(request, "quick"); };
	p.start();
	Own first(p);
	Own second(p);

	WdfIoTargetStop(p.target, WdfIoTargetLeaveSentIoPending);
	first.sent.then = [&](WDFREQUEST) { WdfIoTargetPurge(p.target, WdfIoTargetPurgeIo); };
	for (Own *own : {&first, &second}) {
		own->format_read();
		EXPECT_TRUE(own->send());
	}
	EXPECT_EQ(WdfIoTargetStart(p.target), STATUS_SUCCESS);
	EXPECT_EQ(WdfIoTargetGetState(p.target), WdfIoTargetPurged);
	EXPECT_EQ(second.sent.status, STATUS_WDF_DEVICE_REMOVED_NOT_SENT);
	first.reuse();
	first.format_read();
	EXPECT_FALSE(first.send());
	EXPECT_EQ(first.status(), STATUS_INVALID_DEVICE_STATE);
}

// At whichever point of Start: the close is over before it goes on.
TEST_F(Kmdf, W_087_closed_while_it_starts)
{
	Pair p;
	bool closed = true;

	p.start();
	for (int point = 0; closed; point++) {
		closed = false;
		WdfIoTargetStop(p.target, WdfIoTargetLeaveSentIoPending);
		fake::at_next(
			fake::Moment::Unlock,
			[&] {
				closed = true;
				WdfIoTargetClose(p.target);
			},
			point);
		WdfIoTargetStart(p.target);
		fake::at_next(fake::Moment::Unlock, nullptr);
		EXPECT_EQ(WdfIoTargetGetState(p.target), closed ? WdfIoTargetClosed : WdfIoTargetStarted);
		EXPECT_EQ(p.open(), closed ? STATUS_SUCCESS : STATUS_INVALID_DEVICE_STATE);
	}
}

TEST_F(Kmdf, W_087_what_waits_in_a_stopped_target)
{
	Pair p;

	p.start();
	{
		Own own(p);

		WdfIoTargetStop(p.target, WdfIoTargetLeaveSentIoPending);
		own.format_read();
		EXPECT_TRUE(own.send_with_timeout(1000));
		EXPECT_TRUE(WdfRequestCancelSentRequest(own.request));
		own.wait();
		EXPECT_EQ(own.sent.status, STATUS_CANCELLED);
		EXPECT_EQ(fake::kernel_timers(), 0u);
	}
	{
		Own own(p);

		own.format_read();
		EXPECT_TRUE(own.send_with_timeout(1000));
		fake::advance_ms(1001);
		own.wait();
		EXPECT_EQ(own.sent.status, STATUS_WDF_IO_TIMEOUT_NOT_SENT);
	}
	{
		Own own(p);

		own.format_read();
		EXPECT_TRUE(own.send());
		WdfIoTargetPurge(p.target, WdfIoTargetPurgeIo);
		own.wait();
		EXPECT_EQ(own.sent.status, STATUS_WDF_DEVICE_REMOVED_NOT_SENT);
	}
	fake::settle();
	EXPECT_EQ(p.below.arrived.total(), 0u);
}

// A stop that comes in while the purge is in a completion routine, and a send that comes in while the stop cancels.
TEST_F(Kmdf, W_087_purged_while_it_is_stopped)
{
	Pair p;
	std::optional<Call> stop;
	WDF_REQUEST_SEND_OPTIONS anyway;

	p.start();
	Own first(p);
	Own marked(p);
	Own last(p);
	Own extra(p);

	for (Own *own : {&first, &marked, &last, &extra})
		own->format_read();
	WDF_REQUEST_SEND_OPTIONS_INIT(&anyway, WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE);
	WdfIoTargetStop(p.target, WdfIoTargetLeaveSentIoPending);
	EXPECT_TRUE(first.send());
	EXPECT_TRUE(marked.send(&anyway));
	EXPECT_TRUE(last.send());
	WDFREQUEST lower = p.below.take();
	p.below.on_cancel = [&](WDFREQUEST) { EXPECT_TRUE(extra.send()); };
	EXPECT_EQ(p.below.mark(lower), STATUS_SUCCESS);
	first.sent.then = [&](WDFREQUEST) {
		stop.emplace([&](Call &) {
			WdfIoTargetStop(p.target, WdfIoTargetCancelSentIo);
			return 0;
		});
		stop->wait_until_asleep();
	};
	WdfIoTargetPurge(p.target, WdfIoTargetPurgeIo);
	EXPECT_EQ(first.sent.calls, 1u);
	EXPECT_EQ(last.sent.calls, 1u);
	EXPECT_EQ(last.sent.status, STATUS_WDF_DEVICE_REMOVED_NOT_SENT);
	WdfRequestComplete(lower, STATUS_CANCELLED);
	EXPECT_EQ(stop->result(), 0);
	WdfIoTargetClose(p.target);
	for (Own *own : {&first, &marked, &last, &extra})
		EXPECT_EQ(own->sent.calls, 1u);
}

TEST_F(Kmdf, W_087_stop_and_close_wait_for_what_is_below)
{
	Pair p;

	p.start();
	Own marked(p);
	Own plain(p);

	marked.format_read();
	EXPECT_TRUE(marked.send());
	EXPECT_EQ(p.below.mark(p.below.take()), STATUS_SUCCESS);
	plain.format_read();
	EXPECT_TRUE(plain.send());
	WDFREQUEST lower = p.below.take();
	Call stop([&](Call &) {
		WdfIoTargetStop(p.target, WdfIoTargetWaitForSentIoToComplete);
		return 0;
	});

	stop.wait_until_asleep();
	EXPECT_FALSE(stop.finished());
	EXPECT_EQ(marked.sent.calls, 0u);
	Call close([&](Call &) {
		WdfIoTargetClose(p.target);
		return 0;
	});
	marked.wait();
	EXPECT_EQ(marked.sent.status, STATUS_CANCELLED);
	close.wait_until_asleep();
	EXPECT_FALSE(close.finished());
	answer(lower, "x");
	plain.wait();
	EXPECT_EQ(stop.result(), 0);
	EXPECT_EQ(close.result(), 0);
	EXPECT_EQ(WdfIoTargetGetState(p.target), WdfIoTargetClosed);
}

// A target that leads to the driver's own queues.
TEST_F(Kmdf, W_079_the_devices_own_target)
{
	Simple d;
	Queue inner(WdfIoQueueDispatchParallel, false);
	Sent sent;

	sent.then = [&](WDFREQUEST request) {
		WdfRequestCompleteWithInformation(request, sent.status, sent.information);
	};
	d.driver.queues = {&d.queue, &inner};
	d.driver.in_add = [&](WDFDEVICE device) {
		return WdfDeviceConfigureRequestDispatching(device, inner.handle, WdfRequestTypeDeviceControlInternal);
	};
	inner.on_io = nullptr;
	d.start();
	WDFIOTARGET target = WdfDeviceGetIoTarget(d.driver.device);
	EXPECT_EQ(WdfDeviceGetIoTarget(d.driver.device), target);
	EXPECT_EQ(WdfIoTargetGetDevice(target), d.driver.device);
	Call call = Call::control(*d.file, kBuffered, "in", 8);
	WDFREQUEST request = d.take();
	WDFMEMORY memory;

	EXPECT_EQ(WdfRequestRetrieveOutputMemory(request, &memory), STATUS_SUCCESS);
	EXPECT_EQ(
		WdfIoTargetFormatRequestForInternalIoctl(target, request, kBuffered, memory, nullptr, memory, nullptr),
		STATUS_SUCCESS);
	WdfRequestSetCompletionRoutine(request, completion, &sent);
	EXPECT_TRUE(WdfRequestSend(request, target, nullptr));
	answer(inner.take(), "inner");
	EXPECT_EQ(call.outcome().status, STATUS_SUCCESS);
	EXPECT_EQ(call.outcome().data, "inner###");
	WdfObjectDelete(target);
	EXPECT_EQ(reports("ObjectMisuse"), 1u);
}

TEST_F(Kmdf, W_079_targets_that_cannot_be_opened)
{
	Pair p;

	p.start();
	EXPECT_EQ(p.open(), STATUS_INVALID_DEVICE_STATE);
	WdfIoTargetClose(p.target);
	EXPECT_EQ(p.open(u"\\DosDevices\\nobody"), STATUS_OBJECT_NAME_NOT_FOUND);
	EXPECT_EQ(WdfIoTargetStart(p.target), STATUS_INVALID_DEVICE_STATE);
	EXPECT_EQ(p.open(), STATUS_SUCCESS);
	// The driver below stays as long as somebody may send to it.
	EXPECT_EQ(fake::delete_module(p.lower.module, false, [] { fake::bug("rmmod of a target's driver"); }),
		  -SHIM_EAGAIN);
}

// Its device goes while a request is below.
TEST_F(Kmdf, W_087_the_device_below_is_removed)
{
	Pair p;

	p.start();
	Own marked(p);
	Own later(p);

	marked.format_read();
	EXPECT_TRUE(marked.send());
	EXPECT_EQ(p.below.mark(p.below.take()), STATUS_SUCCESS);
	EXPECT_EQ(kmdf_power_c("lower0", "remove"), 0);
	marked.wait();
	EXPECT_EQ(marked.sent.status, STATUS_CANCELLED);
	later.format_read();
	if (later.send()) {
		later.wait();
		EXPECT_FALSE(NT_SUCCESS(later.sent.status));
	}
}

// Two that wait until its requests are back: one lets the device go, and neither takes that of an open in between.
TEST_F(KmdfRaces, W_087_closed_by_two_and_opened_anew)
{
	Pair p;
	u32 count = host::rounds(2000);

	p.start();
	Own own(p);

	fake::chaos(100, seed_);
	for (u32 i = 0; i < count; i++) {
		own.format_read();
		EXPECT_TRUE(own.send());
		WDFREQUEST lower = p.below.take();
		auto close = [&](Call &) {
			WdfIoTargetClose(p.target);
			return 0;
		};
		Call first(close);
		Call second(close);

		first.wait_until_asleep();
		second.wait_until_asleep();
		complete(lower);
		until([&] { return p.open() == STATUS_SUCCESS; }, "it is open anew");
		first.result();
		second.result();
		own.wait();
		own.reuse();
		if (WdfIoTargetGetState(p.target) != WdfIoTargetStarted)
			fake::bug("who has closed it before has closed it anew");
		own.format_read();
		if (!own.send())
			fake::bug("it is started, and leads nowhere");
		complete(p.below.take());
		own.wait();
		own.reuse();
	}
}

// What is sent goes to the device that the target is open to, never to one that it was open to before.
TEST_F(KmdfRaces, W_087_sent_while_it_is_closed_and_opened)
{
	Pair p;
	Queue there;
	Driver other{"other"};
	Random random(seed_);
	std::atomic<WDFQUEUE> current;
	std::atomic<WDFQUEUE> last;
	u32 count = host::rounds(3000);
	u32 before = 0;
	u32 after = 0;
	u32 waits[2] = {};
	u32 refused = 0;
	Balance balance;

	other.queues = {&there};
	for (Queue *queue : {&p.below, &there}) {
		queue->on_io = [&, queue](WDFREQUEST request) {
			if (current != queue->handle)
				fake::bug("sent to a device whose driver nobody holds");
			last = queue->handle;
			complete(request);
		};
	}
	other.must_load();
	p.start();
	Own own(p);
	bool sent = false;
	Contestants contestants({[&] {
					 wait_turns(waits[0]);
					 sent = own.send();
				 },
				 [&] {
					 wait_turns(waits[1]);
					 WdfIoTargetClose(p.target);
					 bool to_other = current == p.below.handle;

					 current = to_other ? there.handle : p.below.handle;
					 p.open(to_other ? u"\\DosDevices\\other0" : u"\\DosDevices\\lower0");
				 }});

	current = p.below.handle;
	fake::chaos(100, seed_);
	for (u32 i = 0; host::one_more(i, count, before >= 20 && after >= 20); i++) {
		own.format_read();
		waits[0] = balance.first(random, 1 << random.below(8));
		waits[1] = balance.second(random, 1 << random.below(8));
		WDFQUEUE first = current;
		contestants.run();
		if (sent)
			own.wait();
		(!sent ? refused : last == first ? before : after)++;
		balance.first_won(sent && last == first);
		own.reuse();
	}
	WdfIoTargetClose(p.target); // the other driver goes before this one
	EXPECT_GE(before, 20u);
	EXPECT_GE(after, 20u);
	printf("sent before %u, after %u, refused %u\n", before, after, refused);
}

} // namespace
