// SPDX-License-Identifier: GPL-2.0-only
// Queues: what is forwarded, retrieved, purged, stopped, while it is cancelled or completed.
#include "scenarios.hpp"

namespace schedules {

namespace {

bool ready;     // the manual queue has something
bool over;      // what ends a queue has returned
bool stopped;   // nothing is presented
bool asleep;    // the device has left D0
u8 in_handlers; // that run, and have not completed theirs

void queue_is_ready(WDFQUEUE, WDFCONTEXT)
{
	ready = true;
}

void mark_at_once(int index)
{
	if (mark(index) == STATUS_CANCELLED)
		complete(index, STATUS_CANCELLED);
}

// Takes what comes out of the queue, which may be nothing any more.
bool retrieve(WDFQUEUE queue)
{
	WDFREQUEST request;

	clear_dead_stack();
	NTSTATUS status = WdfIoQueueRetrieveNextRequest(queue, &request);

	if (status != STATUS_SUCCESS && status != STATUS_NO_MORE_ENTRIES)
		fake::bug("RetrieveNextRequest: %08x", static_cast<u32>(status));
	if (status != STATUS_SUCCESS)
		return false;
	if (asked[0].canceled_on_queue)
		fake::bug("a request is retrieved after its EvtIoCanceledOnQueue");
	give(request, 0);
	return true;
}

void forwarder(int)
{
	if (!wait_for(0))
		return;
	clear_dead_stack();
	NTSTATUS status = WdfRequestForwardToIoQueue(asked[0].handle, manual_queue);

	if (status != STATUS_SUCCESS)
		fake::bug("ForwardToIoQueue: %08x", static_cast<u32>(status));
	// Else the cancel has to end it.
	if (choose(2, "retrieves it") && retrieve(manual_queue))
		complete(0, STATUS_SUCCESS);
	drop(0);
}

void late_canceller(int)
{
	step("waits for the read", "", [](const void *) { return asked[0].presented || asked[0].ended; });
	cancel_file(files[0]);
}

// Of a queue that is all manual.
void retriever(int)
{
	step("waits for the queue", "", [](const void *) { return ready || asked[0].ended; });
	if (!retrieve(queues[0]))
		return;
	if (mark(0) == STATUS_CANCELLED) {
		complete(0, STATUS_CANCELLED);
		return drop(0);
	}
	unmark_and_complete(0);
}

void finisher(int)
{
	if (wait_for(0))
		unmark_and_complete(0);
}

// When it has returned the driver has nothing of this queue any more.
void purger(int)
{
	clear_dead_stack();
	WdfIoQueuePurgeSynchronously(queues[0]);
	over = true;
	if (in_callbacks)
		fake::bug("a purge has returned during a callback");
	for (const Asked &a : asked)
		if (a.presented && !a.cleanups)
			fake::bug("a purge has returned, and the driver has a request");
}

void handle(int index)
{
	if (stopped)
		fake::bug("EvtIoRead of a stopped queue");
	if (in_handlers++)
		fake::bug("EvtIoRead while the driver has a request of a sequential queue");
	step("in EvtIoRead");
	in_handlers--;
	complete(index, STATUS_SUCCESS);
	step("returns from EvtIoRead");
}

void stopper(int)
{
	clear_dead_stack();
	WdfIoQueueStopSynchronously(queues[0]);
	stopped = true;
	if (in_callbacks)
		fake::bug("a stop has returned during a callback");
	step("has stopped it");
	stopped = false;
	clear_dead_stack();
	WdfIoQueueStart(queues[0]);
}

// It is kept while the device sleeps.
void keep(WDFQUEUE, WDFREQUEST request, ULONG)
{
	if (asleep)
		fake::bug("EvtIoStop of a device that sleeps");
	step("in EvtIoStop");
	clear_dead_stack();
	WdfRequestStopAcknowledge(request, FALSE);
}

void mark_awake(int index)
{
	if (asleep)
		fake::bug("EvtIoRead of a device that sleeps");
	mark_at_once(index);
}

void suspender(int)
{
	clear_dead_stack();
	kmdf_power_c("k0", "suspend");
	asleep = true;
	if (in_callbacks)
		fake::bug("a device sleeps during a callback");
	step("sleeps");
	asleep = false;
	clear_dead_stack();
	kmdf_power_c("k0", "resume");
}

void start_forward()
{
	plan.manual = true;
	load_kmdf();
	spawn("reader", reader<0>);
	spawn("forwarder", forwarder);
	spawn("canceller", late_canceller);
	run_kmdf();
	unload_kmdf();
}

} // namespace

void forward_cancel()
{
	start_forward();
}

void forward_told()
{
	plan.tells_of_queued = true;
	start_forward();
}

void retrieve_cancel()
{
	plan.dispatch = WdfIoQueueDispatchManual;
	load_kmdf();
	if (WdfIoQueueReadyNotify(queues[0], queue_is_ready, nullptr))
		fake::bug("ReadyNotify is refused");
	spawn("reader", reader<0>);
	spawn("retriever", retriever);
	spawn("canceller", canceller);
	run_kmdf();
	unload_kmdf();
}

void purge_complete()
{
	plan.on_read = mark_at_once;
	load_kmdf();
	spawn("reader", reader<0>);
	spawn("finisher", finisher);
	spawn("purger", purger);
	run_kmdf();
	if (!over)
		fake::bug("a purge has no end");
	unload_kmdf();
}

void stop_dispatch()
{
	plan.dispatch = WdfIoQueueDispatchSequential;
	plan.refers = false;
	plan.on_read = handle;
	load_kmdf();
	spawn("reader", reader<0>);
	spawn("reader 2", reader<1>);
	spawn("stopper", stopper);
	run_kmdf();
	for (int i = 0; i < 2; i++)
		if (!asked[i].completions)
			fake::bug("what came to a stopped queue is lost");
	unload_kmdf();
}

void suspend_complete()
{
	plan.on_read = mark_awake;
	plan.on_stop = keep;
	load_kmdf();
	spawn("reader", reader<0>);
	spawn("finisher", finisher);
	spawn("suspender", suspender);
	run_kmdf();
	unload_kmdf();
}

} // namespace schedules
