// SPDX-License-Identifier: GPL-2.0-only
// One request, its driver, and who cancels it: a program, its death, io_cancel().
#include "scenarios.hpp"

namespace schedules {

namespace {

bool in_callback; // of a queue that calls one at a time
kiocb iocb;
iov_iter iter;

void mark_at_once(int index)
{
	if (mark(index) == STATUS_CANCELLED)
		complete(index, STATUS_CANCELLED);
}

// The driver's own thread: the data are there.
void finisher(int)
{
	if (wait_for(0))
		unmark_and_complete(0);
}

// Only its EvtRequestCancel completes it.
void marker_that_waits(int)
{
	if (!wait_for(0))
		return;
	if (choose(2, "with Ex"))
		mark_plain(0);
	else if (mark(0) == STATUS_CANCELLED)
		complete(0, STATUS_CANCELLED);
	drop(0);
}

void late_canceller(int)
{
	step("waits until the driver has all", "",
	     [](const void *) { return asked[0].presented && asked[1].presented; });
	kmdf_cancel cancel = cancel_file(files[0]);

	if (cancel.finished)
		fake::bug("a cancel has ended what its driver has");
}

void marker(int)
{
	if (!wait_for(0))
		return;
	if (choose(2, "with Ex"))
		mark_plain(0);
	else if (mark(0) == STATUS_CANCELLED) {
		complete(0, STATUS_CANCELLED);
		return drop(0);
	}
	unmark_and_complete(0);
}

void completer(int)
{
	if (!wait_for(0))
		return;
	complete(0, STATUS_SUCCESS);
	drop(0);
}

// File 0 is closed when the killed reader has left: with close(2), or by its exit.
void killer(int)
{
	kill(1, 0);
	close_file(files[0]);
}

void enter(const char *what)
{
	if (in_callback)
		fake::bug("two callbacks of a synchronized queue at once");
	in_callback = true;
	step(what);
}

void mark_inside(int index)
{
	enter("in EvtIoRead");
	mark_plain(index);
	step("has marked it");
	in_callback = false;
}

void cancel_inside(int index)
{
	enter("has the lock");
	in_callback = false;
	complete(index, STATUS_CANCELLED);
}

// It keeps the lock: with it, what is marked is not being cancelled.
void finisher_with_lock(int)
{
	if (!wait_for(0))
		return;
	clear_dead_stack();
	WdfObjectAcquireLock(queues[0]);
	enter("has taken the lock");
	bool mine = !asked[0].canceled && unmark(0);

	if (mine)
		complete(0, STATUS_SUCCESS);
	in_callback = false;
	WdfObjectReleaseLock(queues[0]);
	drop(0);
}

// ---- asynchronous reads

void submit()
{
	iter = {fake::user(asked[0].buffer), kLength};
	iocb.aio = true;
	iocb.complete = [](s64 result) {
		Asked &a = asked[0];

		if (a.ended)
			fake::bug("an asynchronous read ended twice");
		a.ended = true;
		a.result = result;
		say("ki_complete: %lld", result);
		files[0].file.refs--;
	};
	asked[0].begun = true;
	files[0].file.refs++;
	clear_dead_stack();
	s64 result = kmdf_read_c(&iocb, &files[0].file, files[0].data, &iter, kLength, 0);

	if (result != -SHIM_EIOCBQUEUED)
		fake::bug("io_submit: %lld", result);
}

void submitter(int slot)
{
	fibers[slot].task.process = fibers[0].task.process;
	submit();
}

void io_canceller(int)
{
	step("io_cancel", "", [](const void *) { return iocb.active || iocb.completed; });
	fake::io_cancel(iocb);
}

void exiting(int slot)
{
	fibers[slot].task.process = fibers[0].task.process;
	step("exits", "", [](const void *) { return iocb.active || iocb.completed; });
	fibers[0].task.process->gone = true;
	asked[0].killed = true;
	fake::io_cancel(iocb);
	step("exit waits for its requests", "", [](const void *) { return asked[0].ended; });
}

} // namespace

void unmark_cancel()
{
	plan.on_read = mark_at_once;
	load_kmdf();
	spawn("reader", reader<0>);
	spawn("finisher", finisher);
	spawn("canceller", canceller);
	run_kmdf();
	unload_kmdf();
}

void unmark_kill()
{
	plan.on_read = mark_at_once;
	load_kmdf();
	spawn("reader", reader<0>);
	spawn("finisher", finisher);
	spawn("killer", killer);
	run_kmdf();
	unload_kmdf();
}

void mark_only()
{
	load_kmdf();
	spawn("reader", reader<0>);
	spawn("marker", marker_that_waits);
	spawn("canceller", [](int slot) {
		step("waits for the read", "", [](const void *) { return asked[0].presented > 0; });
		canceller(slot);
	});
	run_kmdf();
	unload_kmdf();
}

void two_cancel()
{
	plan.refers = false;
	plan.on_read = mark_at_once;
	load_kmdf();
	spawn("reader", reader<0>);
	spawn("reader 2", reader<1>);
	spawn("canceller", late_canceller);
	run_kmdf();
	unload_kmdf();
}

void unmark_passive()
{
	plan.level = WdfExecutionLevelPassive;
	unmark_cancel();
}

void mark_cancel()
{
	load_kmdf();
	spawn("reader", reader<0>);
	spawn("marker", marker);
	spawn("canceller", canceller);
	run_kmdf();
	unload_kmdf();
}

void mark_serialized()
{
	plan.scope = WdfSynchronizationScopeQueue;
	plan.on_read = mark_inside;
	plan.on_cancel = cancel_inside;
	load_kmdf();
	spawn("reader", reader<0>);
	spawn("finisher", finisher_with_lock);
	spawn("canceller", canceller);
	run_kmdf();
	unload_kmdf();
}

void complete_death()
{
	load_kmdf();
	spawn("reader", reader<0>);
	spawn("completer", completer);
	spawn("killer", killer);
	run_kmdf();
	unload_kmdf();
}

void aio_cancel()
{
	plan.on_read = mark_at_once;
	load_kmdf();
	spawn("submitter", submitter);
	spawn("finisher", finisher);
	spawn("io_cancel", io_canceller);
	run_kmdf();
	unload_kmdf();
}

// Its driver has not marked it: the program does not wait for it.
void aio_death()
{
	load_kmdf();
	submit();
	spawn("completer", completer);
	spawn("exiting", exiting);
	run_kmdf();
	unload_kmdf();
}

} // namespace schedules
