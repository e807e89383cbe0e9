// SPDX-License-Identifier: GPL-2.0-only
// Rules that a driver breaks: each is named, and the driver goes on. What the other files break on their way is not here.
#include "kit.hpp"

namespace {

// Time passes for the watchdog.
void pass_ms(u32 ms)
{
	fake::advance_ms(ms);
	fake::settle();
}

TEST_F(Kmdf, W_014_ignored_cancel)
{
	Simple d;

	kmdf_params.stuck_ms = 1000;
	d.start();
	Call call = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();

	EXPECT_EQ(d.file->cancel().flagged, 1u);
	pass_ms(900);
	EXPECT_EQ(reports("IgnoredCancel"), 0u);
	pass_ms(200);
	EXPECT_EQ(reports("IgnoredCancel"), 1u);
	// Once.
	pass_ms(5000);
	EXPECT_EQ(reports("IgnoredCancel"), 1u);
	EXPECT_EQ(reports("DeferredRequestCompleted"), 0u);
	complete(request);
	EXPECT_EQ(call.result(), 0);
}

TEST_F(Kmdf, W_014_forgotten_request)
{
	Simple d;

	kmdf_params.forgotten_ms = 1000;
	d.start();
	Readers readers(*d.file, 2);
	WDFREQUEST forgotten = d.take();
	WDFREQUEST marked = d.take();

	EXPECT_EQ(d.queue.mark(marked), STATUS_SUCCESS);
	pass_ms(900);
	EXPECT_EQ(reports("DeferredRequestCompleted"), 0u);
	pass_ms(200);
	EXPECT_EQ(reports("DeferredRequestCompleted"), 1u);
	pass_ms(5000);
	EXPECT_EQ(reports("DeferredRequestCompleted"), 1u);
	complete(forgotten);
	EXPECT_EQ(WdfRequestUnmarkCancelable(marked), STATUS_SUCCESS);
	complete(marked);
}

TEST_F(Kmdf, W_028_level_is_restored)
{
	Simple d;

	d.queue.on_io = [](WDFREQUEST request) {
		complete(request);
		shim_local_bh_disable();
	};
	d.start();
	for (u32 i = 1; i <= 3; i++) {
		EXPECT_EQ(d.file->read(8), 0);
		EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
		EXPECT_EQ(reports("CallbackIrql"), i);
	}
}

TEST_F(Kmdf, W_028_level_is_restored_under_a_lock)
{
	Simple d;

	d.queue.attributes.SynchronizationScope = WdfSynchronizationScopeQueue;
	d.queue.on_io = [](WDFREQUEST request) {
		complete(request);
		shim_local_bh_enable();
	};
	d.start();
	EXPECT_EQ(d.file->read(8), 0);
	EXPECT_EQ(KeGetCurrentIrql(), PASSIVE_LEVEL);
	EXPECT_EQ(reports("CallbackIrql"), 1u);
}

TEST_F(Kmdf, W_084_a_passive_lock_taken_twice)
{
	Simple d;

	d.queue.attributes.ExecutionLevel = WdfExecutionLevelPassive;
	d.start();
	WdfObjectAcquireLock(d.queue.handle);
	WdfObjectAcquireLock(d.queue.handle);
	EXPECT_EQ(reports("RecursiveLock"), 1u);
	WdfObjectReleaseLock(d.queue.handle);
	// The first one is still held.
	Call other([&](Call &) {
		WdfObjectReleaseLock(d.queue.handle);
		return 0;
	});
	EXPECT_EQ(other.result(), 0);
	EXPECT_EQ(reports("LockOwner"), 1u);
	WdfObjectReleaseLock(d.queue.handle);
	EXPECT_EQ(reports("LockOwner"), 1u);
	WdfObjectReleaseLock(d.queue.handle);
	EXPECT_EQ(reports("LockOwner"), 2u);
	fake::BhOff dispatch_level;

	WdfObjectAcquireLock(d.queue.handle);
	EXPECT_EQ(reports("KmdfIrql"), 1u);
}

TEST_F(Kmdf, W_107_not_completed_when_its_device_is_removed)
{
	Simple d;

	d.queue.config.PowerManaged = WdfFalse; // nobody asks for it
	d.start();
	Readers readers(*d.file, 1);
	WDFREQUEST request = d.take();

	EXPECT_EQ(kmdf_power_c(d.driver.node_name(), "remove"), 0);
	EXPECT_EQ(reports("DeferredRequestCompleted"), 1u);
	complete(request);
	EXPECT_EQ(readers[0].wait(), 0);
}

TEST_F(Kmdf, W_042_completed_while_it_is_queued)
{
	Simple d(WdfIoQueueDispatchManual);
	WDFREQUEST found;

	d.start();
	Readers readers(*d.file, 1);

	ASSERT_EQ(WdfIoQueueFindRequest(d.queue.handle, nullptr, nullptr, nullptr, &found), STATUS_SUCCESS);
	complete(found, 1);
	EXPECT_EQ(reports("NotInQueue"), 1u);
	EXPECT_EQ(host_kmdf_request_state(found), queued);
	EXPECT_FALSE(readers[0].finished());
	WdfObjectDereference(found);
	complete(d.queue.retrieve(), 2);
	EXPECT_EQ(readers[0].wait(), 2);
}

TEST_F(Kmdf, W_010_verifier_that_is_off)
{
	Simple d;

	kmdf_params.verifier = KMDF_VERIFIER_OFF;
	kmdf_params.stuck_ms = 1000;
	d.start();
	Call call = Call::read(*d.file, 8);
	WDFREQUEST request = d.take();

	EXPECT_EQ(WdfRequestUnmarkCancelable(request), STATUS_INVALID_DEVICE_REQUEST);
	EXPECT_EQ(d.file->cancel().flagged, 1u);
	pass_ms(5000);
	WdfObjectReference(request);
	complete(request);
	complete(request);
	WdfObjectDereference(request);
	EXPECT_EQ(call.result(), 0);
	EXPECT_EQ(reports("UnmarkNotCancelable") + reports("IgnoredCancel") + reports("DoubleCompletion"), 0u);
}

} // namespace
