// SPDX-License-Identifier: GPL-2.0-only
// W-56 to W-63, W-109, W-110: queues that are stopped, purged, drained and started again.
#include "kit.hpp"

namespace {

TEST_F(Kmdf, W_056_stop)
{
	Simple d;
	std::atomic<u32> stopped{0};

	d.start();
	Readers before(*d.file, 1);
	WDFREQUEST request = d.take();

	WdfIoQueueStop(d.queue.handle, count_state, &stopped);
	Readers later(*d.file, 2);
	fake::settle();
	a_while();
	EXPECT_EQ(stopped, 0u);
	EXPECT_EQ(d.queue.arrived.total(), 1u);
	EXPECT_EQ(d.queue.queued(), 2u);
	EXPECT_EQ(d.queue.bits(), static_cast<ULONG>(WdfIoQueueAcceptRequests));
	complete(request);
	until([&] { return stopped == 1; }, "the stop is over");
	EXPECT_EQ(d.queue.bits(), static_cast<ULONG>(WdfIoQueueAcceptRequests | WdfIoQueueDriverNoRequests));
	a_while();
	EXPECT_EQ(d.queue.arrived.total(), 1u);
	WdfIoQueueStart(d.queue.handle);
	complete(d.take());
	complete(d.take());
	EXPECT_EQ(before[0].wait(), 0);
	EXPECT_EQ(later[0].wait(), 0);
	EXPECT_EQ(later[1].wait(), 0);
	EXPECT_EQ(stopped, 1u);
}

TEST_F(Kmdf, W_056_stop_and_wait)
{
	Simple d;

	d.start();
	Readers readers(*d.file, 1);
	WDFREQUEST request = d.take();
	Call stopper([&](Call &) {
		WdfIoQueueStopSynchronously(d.queue.handle);
		return 0;
	});

	stopper.wait_until_asleep();
	EXPECT_FALSE(stopper.finished());
	complete(request);
	EXPECT_EQ(stopper.result(), 0);
	EXPECT_EQ(readers[0].wait(), 0);
	// Nothing to wait for, and again: the slot is free.
	WdfIoQueueStopSynchronously(d.queue.handle);
	WdfIoQueueStopAndPurgeSynchronously(d.queue.handle);
	WdfIoQueueDrainSynchronously(d.queue.handle);
	WdfIoQueuePurgeSynchronously(d.queue.handle);
	WdfIoQueueStart(d.queue.handle);
	EXPECT_EQ(d.queue.bits() & (WdfIoQueueAcceptRequests | WdfIoQueueDispatchRequests), 3u);
}

TEST_F(Kmdf, W_057_purge)
{
	Simple d(WdfIoQueueDispatchSequential);
	std::atomic<u32> purged{0};

	d.start();
	Readers readers(*d.file, 3);
	WDFREQUEST plain = d.take();

	WdfIoQueuePurge(d.queue.handle, count_state, &purged);
	EXPECT_EQ(readers[1].wait(), -SHIM_ECANCELED);
	EXPECT_EQ(readers[2].wait(), -SHIM_ECANCELED);
	EXPECT_EQ(d.file->read(8), -SHIM_EBUSY);
	EXPECT_EQ(d.file->last_status().status, STATUS_INVALID_DEVICE_STATE);
	fake::settle();
	EXPECT_EQ(purged, 0u);
	EXPECT_FALSE(readers[0].finished());
	EXPECT_EQ(d.queue.owned(), 1u);
	complete(plain, 1);
	EXPECT_EQ(readers[0].wait(), 1);
	until([&] { return purged == 1; }, "the purge is over");
	EXPECT_EQ(d.queue.arrived.total(), 1u);
	// It stays so until it is started.
	EXPECT_EQ(d.file->read(8), -SHIM_EBUSY);
	WdfIoQueueStart(d.queue.handle);
	Call call = Call::read(*d.file, 8);
	complete(d.take());
	EXPECT_EQ(call.result(), 0);
	EXPECT_EQ(purged, 1u);
}

TEST_F(Kmdf, W_057_purge_of_what_is_marked)
{
	Simple d;
	std::atomic<u32> purged{0};

	d.start();
	Readers readers(*d.file, 2);
	WDFREQUEST marked = d.take();
	WDFREQUEST plain = d.take();

	EXPECT_EQ(d.queue.mark(marked), STATUS_SUCCESS);
	WdfIoQueuePurge(d.queue.handle, count_state, &purged);
	EXPECT_EQ(readers[0].wait(), -SHIM_ECANCELED);
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
	fake::settle();
	EXPECT_EQ(purged, 0u);
	complete(plain, 1);
	EXPECT_EQ(readers[1].wait(), 1);
	until([&] { return purged == 1; }, "the purge is over");
}

TEST_F(Kmdf, W_057_purge_and_wait)
{
	Simple d(WdfIoQueueDispatchSequential);

	d.start();
	Readers readers(*d.file, 2);
	WDFREQUEST plain = d.take();
	Call purger([&](Call &) {
		WdfIoQueuePurgeSynchronously(d.queue.handle);
		return 0;
	});

	EXPECT_EQ(readers[1].wait(), -SHIM_ECANCELED);
	purger.wait_until_asleep();
	EXPECT_FALSE(purger.finished());
	complete(plain);
	EXPECT_EQ(purger.result(), 0);
	EXPECT_EQ(readers[0].wait(), 0);
}

TEST_F(Kmdf, W_058_drain)
{
	Simple d(WdfIoQueueDispatchSequential);
	std::atomic<u32> drained{0};

	d.start();
	Readers readers(*d.file, 3);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	WdfIoQueueDrain(d.queue.handle, count_state, &drained);
	EXPECT_EQ(d.file->read(8), -SHIM_EBUSY);
	EXPECT_EQ(d.file->last_status().status, STATUS_INVALID_DEVICE_STATE);
	fake::settle();
	EXPECT_EQ(host_kmdf_request_state(request), cancelable);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_SUCCESS);
	complete(request, 1);
	complete(d.take(), 2);
	request = d.take();
	EXPECT_EQ(drained, 0u);
	complete(request, 3);
	until([&] { return drained == 1; }, "the drain is over");
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(readers[i].wait(), i + 1);
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
}

TEST_F(Kmdf, W_059_stop_and_purge)
{
	Simple d;
	std::atomic<u32> stopped{0};

	d.queue.config.Settings.Parallel.NumberOfPresentedRequests = 2;
	d.start();
	Readers readers(*d.file, 3);
	WDFREQUEST marked = d.take();
	WDFREQUEST plain = d.take();

	EXPECT_EQ(d.queue.mark(marked), STATUS_SUCCESS);
	WdfIoQueueStopAndPurge(d.queue.handle, count_state, &stopped);
	EXPECT_EQ(readers[0].wait(), -SHIM_ECANCELED);
	EXPECT_EQ(readers[2].wait(), -SHIM_ECANCELED);
	Readers later(*d.file, 1);
	fake::settle();
	EXPECT_EQ(d.queue.queued(), 1u);
	EXPECT_EQ(stopped, 0u);
	complete(plain, 1);
	EXPECT_EQ(readers[1].wait(), 1);
	until([&] { return stopped == 1; }, "the stop is over");
	a_while();
	EXPECT_EQ(d.queue.arrived.total(), 2u);
	WdfIoQueueStart(d.queue.handle);
	WDFREQUEST request = d.take();
	// The purge is over: it is as any.
	EXPECT_FALSE(WdfRequestIsCanceled(request));
	EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_SUCCESS);
	complete(request, 2);
	EXPECT_EQ(later[0].wait(), 2);
}

TEST_F(Kmdf, W_060_marked_while_a_purge_runs)
{
	Simple d;
	std::atomic<u32> purged{0};

	d.start();
	Readers readers(*d.file, 2);
	WDFREQUEST one = d.take();
	WDFREQUEST two = d.take();

	WdfIoQueuePurge(d.queue.handle, count_state, &purged);
	EXPECT_EQ(d.queue.mark(one), STATUS_CANCELLED);
	EXPECT_EQ(d.queue.cancelled.total(), 0u);
	complete(one, 1);
	EXPECT_EQ(purged, 0u);
	d.queue.mark_plain(two);
	EXPECT_EQ(readers[1].wait(), -SHIM_ECANCELED);
	EXPECT_EQ(readers[0].wait(), 1);
	EXPECT_EQ(d.queue.cancelled.total(), 1u);
	until([&] { return purged == 1; }, "the purge is over");
}

TEST_F(Kmdf, W_060_marked_after_the_purge_was_ended_by_start)
{
	Simple d;
	std::atomic<u32> purged{0};

	d.start();
	Readers readers(*d.file, 1);
	WDFREQUEST request = d.take();

	WdfIoQueuePurge(d.queue.handle, count_state, &purged);
	WdfIoQueueStart(d.queue.handle);
	Readers later(*d.file, 1);
	WDFREQUEST second = d.take();
	EXPECT_EQ(d.queue.mark(second), STATUS_SUCCESS);
	EXPECT_EQ(WdfRequestUnmarkCancelable(second), STATUS_SUCCESS);
	complete(second, 2);
	EXPECT_EQ(later[0].wait(), 2);
	complete(request, 1);
	EXPECT_EQ(readers[0].wait(), 1);
	until([&] { return purged == 1; }, "the purge is over");
}

TEST_F(Kmdf, W_061_two_slots_for_state_callbacks)
{
	Simple d;
	std::atomic<u32> first{0};
	std::atomic<u32> second{0};
	std::atomic<u32> drained{0};

	d.start();
	Readers readers(*d.file, 1);
	WDFREQUEST request = d.take();

	WdfIoQueueStop(d.queue.handle, count_state, &first);
	WdfIoQueueStopAndPurge(d.queue.handle, count_state, &second);
	EXPECT_EQ(reports("StateCallback"), 1u);
	WdfIoQueueDrain(d.queue.handle, count_state, &drained);
	EXPECT_EQ(reports("StateCallback"), 1u);
	WdfIoQueuePurge(d.queue.handle, count_state, &second);
	EXPECT_EQ(reports("StateCallback"), 2u);
	WdfIoQueueStopSynchronously(d.queue.handle);
	EXPECT_EQ(reports("StateCallback"), 3u);
	EXPECT_FALSE(WdfRequestIsCanceled(request));
	complete(request);
	EXPECT_EQ(readers[0].wait(), 0);
	until([&] { return first == 1 && drained == 1; }, "both are over");
	EXPECT_EQ(second, 0u);
	WdfIoQueueStart(d.queue.handle);
}

// A call without a callback takes no slot, and takes nobody's away.
TEST_F(Kmdf, W_061_without_a_callback_the_pending_one_stays)
{
	Simple d;
	std::atomic<u32> stopped{0};
	std::atomic<u32> drained{0};

	d.start();
	Readers readers(*d.file, 1);
	WDFREQUEST request = d.take();

	WdfIoQueueStop(d.queue.handle, count_state, &stopped);
	WdfIoQueueStop(d.queue.handle, nullptr, nullptr);
	WdfIoQueueDrain(d.queue.handle, count_state, &drained);
	WdfIoQueueDrain(d.queue.handle, nullptr, nullptr);
	EXPECT_EQ(reports("StateCallback"), 0u);
	complete(request);
	EXPECT_EQ(readers[0].wait(), 0);
	fake::settle();
	EXPECT_EQ(stopped, 1u);
	EXPECT_EQ(drained, 1u);
	WdfIoQueueStart(d.queue.handle);
}

// Nor does it let a thread wait for ever.
TEST_F(Kmdf, W_061_without_a_callback_while_a_thread_waits)
{
	Simple d;

	d.start();
	Readers readers(*d.file, 1);
	WDFREQUEST request = d.take();
	Call purger([&](Call &) {
		WdfIoQueuePurgeSynchronously(d.queue.handle);
		return 0;
	});

	purger.wait_until_asleep();
	WdfIoQueueDrain(d.queue.handle, nullptr, nullptr);
	// The purge goes on, too.
	EXPECT_EQ(d.queue.mark(request), STATUS_CANCELLED);
	complete(request);
	EXPECT_EQ(purger.result(), 0);
	EXPECT_EQ(readers[0].wait(), 0);
	WdfIoQueueStart(d.queue.handle);
}

TEST_F(Kmdf, W_062_a_handler_cannot_wait_for_its_own_queue)
{
	Simple d;

	d.queue.attributes.ExecutionLevel = WdfExecutionLevelPassive;
	d.queue.on_io = [&](WDFREQUEST request) {
		WdfIoQueuePurgeSynchronously(d.queue.handle);
		WdfIoQueueDrainSynchronously(d.queue.handle);
		WdfIoQueueStopSynchronously(d.queue.handle);
		WdfIoQueueStopAndPurgeSynchronously(d.queue.handle);
		complete(request);
	};
	d.start();
	EXPECT_EQ(d.file->read(8), 0);
	EXPECT_EQ(reports("WaitOnSelf"), 4u);
	EXPECT_EQ(d.queue.bits() & (WdfIoQueueAcceptRequests | WdfIoQueueDispatchRequests), 3u);
}

TEST_F(Kmdf, W_063_nobody_waits_above_passive_level)
{
	Simple d;

	d.start();
	Readers readers(*d.file, 1);
	WDFREQUEST request = d.take();
	{
		fake::BhOff dispatch_level;

		WdfIoQueuePurgeSynchronously(d.queue.handle);
		WdfIoQueueDrainSynchronously(d.queue.handle);
		WdfIoQueueStopSynchronously(d.queue.handle);
		WdfIoQueueStopAndPurgeSynchronously(d.queue.handle);
	}
	EXPECT_EQ(reports("KmdfIrql"), 4u);
	EXPECT_EQ(d.queue.bits() & (WdfIoQueueAcceptRequests | WdfIoQueueDispatchRequests), 3u);
	EXPECT_FALSE(WdfRequestIsCanceled(request));
	complete(request);
	EXPECT_EQ(readers[0].wait(), 0);
}

// A handler that has completed its request, and goes on until it is let go.
struct Lingering : Simple {
	std::atomic<bool> inside{false};
	std::atomic<bool> go{false};

	Lingering()
	{
		queue.on_io = [this](WDFREQUEST request) {
			complete(request);
			inside = true;
			until([this] { return go.load(); }, "the handler may return");
			inside = false;
		};
	}
};

TEST_F(Kmdf, W_057_who_waits_waits_for_the_handler_too)
{
	for (auto end : {WdfIoQueuePurgeSynchronously, WdfIoQueueDrainSynchronously, WdfIoQueueStopSynchronously,
			 WdfIoQueueStopAndPurgeSynchronously}) {
		Lingering d;
		std::atomic<bool> inside_at_return{true};

		d.start();
		Call call = Call::read(*d.file, 8);
		until([&] { return d.inside.load(); }, "the handler runs");
		Call waiter([&](Call &) {
			end(d.queue.handle);
			inside_at_return = d.inside.load();
			return 0;
		});

		a_while();
		EXPECT_FALSE(waiter.finished());
		d.go = true;
		EXPECT_EQ(waiter.result(), 0);
		EXPECT_FALSE(inside_at_return);
		EXPECT_EQ(call.result(), 0);
	}
}

TEST_F(Kmdf, W_056_the_callback_comes_after_the_handler)
{
	Lingering d;
	std::atomic<u32> stopped{0};
	std::atomic<u32> drained{0};

	d.start();
	Call call = Call::read(*d.file, 8);
	until([&] { return d.inside.load(); }, "the handler runs");
	WdfIoQueueStop(d.queue.handle, count_state, &stopped);
	WdfIoQueueDrain(d.queue.handle, count_state, &drained);
	fake::settle();
	a_while();
	EXPECT_EQ(stopped + drained, 0u);
	d.go = true;
	EXPECT_EQ(call.result(), 0);
	until([&] { return stopped == 1 && drained == 1; }, "both are over");
}

TEST_F(Kmdf, W_068_a_deleted_queue_waits_for_its_handler)
{
	Lingering d;
	Queue second(WdfIoQueueDispatchSequential, false);

	second.on_io = d.queue.on_io;
	d.queue.on_io = nullptr;
	d.driver.queues = {&d.queue, &second};
	d.start();
	Aio client(*d.file);

	client.submit_read(8);
	Call forward([&](Call &) { return WdfRequestForwardToIoQueue(d.take(), second.handle); });
	until([&] { return d.inside.load(); }, "the handler runs");
	Call remove([&](Call &) {
		WdfObjectDelete(second.handle);
		return d.inside.load();
	});

	a_while();
	EXPECT_FALSE(remove.finished());
	d.go = true;
	EXPECT_EQ(remove.result(), 0);
	EXPECT_EQ(forward.result(), STATUS_SUCCESS);
}

TEST_F(Kmdf, W_109_a_drain_of_a_stopped_queue)
{
	Simple d;
	std::atomic<u32> drained{0};

	d.start();
	WdfIoQueueStop(d.queue.handle, nullptr, nullptr);
	Readers readers(*d.file, 1);

	WdfIoQueueDrain(d.queue.handle, count_state, &drained);
	fake::settle();
	a_while();
	EXPECT_EQ(drained, 0u);
	EXPECT_EQ(d.queue.arrived.total(), 0u);
	WdfIoQueueStart(d.queue.handle);
	WDFREQUEST request = d.take();
	EXPECT_EQ(drained, 0u);
	complete(request);
	EXPECT_EQ(readers[0].wait(), 0);
	until([&] { return drained == 1; }, "the drain is over");
}

TEST_F(Kmdf, W_110_a_purge_is_a_cancel_that_the_driver_sees)
{
	for (bool stop : {false, true}) {
		Simple d;
		std::atomic<u32> over{0};
		std::atomic<bool> canceled{false};

		d.queue.on_cancel = [&](WDFREQUEST request) {
			canceled = WdfRequestIsCanceled(request) || host_kmdf_request_canceled(request);
			WdfRequestCompleteWithInformation(request, STATUS_SUCCESS, 5);
		};
		d.start();
		Readers readers(*d.file, 1);
		WDFREQUEST request = d.take();

		EXPECT_FALSE(host_kmdf_request_canceled(request));
		EXPECT_EQ(d.queue.mark(request), STATUS_SUCCESS);
		if (stop)
			WdfIoQueueStopAndPurge(d.queue.handle, count_state, &over);
		else
			WdfIoQueuePurge(d.queue.handle, count_state, &over);
		EXPECT_EQ(readers[0].wait(), 5);
		EXPECT_TRUE(canceled);
		until([&] { return over == 1; }, "it is over");
		expect_any("ReqIsCancOnCancReq");
	}
}

// In the state K: called back, and not marked any more.
TEST_F(Kmdf, W_110_is_canceled_in_the_callback)
{
	Simple d;
	std::atomic<int> canceled{-1};

	d.queue.on_cancel = [&](WDFREQUEST request) {
		canceled = WdfRequestIsCanceled(request);
		WdfRequestComplete(request, STATUS_CANCELLED);
	};
	d.start();
	Readers readers(*d.file, 1);

	EXPECT_EQ(d.queue.mark(d.take()), STATUS_SUCCESS);
	WdfIoQueuePurge(d.queue.handle, nullptr, nullptr);
	EXPECT_EQ(readers[0].wait(), -SHIM_ECANCELED);
	EXPECT_EQ(canceled, 1);
}

} // namespace
