// SPDX-License-Identifier: GPL-2.0-only
// A request that its driver has sent to another device: the lower one is completed, its sender or a program cancels, the
// time is up; the last one out calls the completion routine.
#include "scenarios.hpp"

namespace schedules {

namespace {

WDFIOTARGET target;
u8 routines;   // completion routines that were called
bool sent;     // or about to be
bool accepted; // WdfRequestSend() has said so
bool target_goes;
u64 send_timeout_ms;

void completion(WDFREQUEST request, WDFIOTARGET, PWDF_REQUEST_COMPLETION_PARAMS parameters, WDFCONTEXT)
{
	int index = index_of(request);
	NTSTATUS status = parameters->IoStatus.Status;

	if (routines++)
		fake::bug("a completion routine was called twice");
	step("in the completion routine");
	if (status != STATUS_SUCCESS && status != STATUS_CANCELLED && status != STATUS_IO_TIMEOUT && !target_goes)
		fake::bug("it comes back with %08x", static_cast<u32>(status));
	if (status == STATUS_IO_TIMEOUT && !send_timeout_ms)
		fake::bug("it has timed out, and nobody has asked for that");
	// STATUS_IO_TIMEOUT becomes what complete() tells the program.
	complete(index, status == STATUS_SUCCESS || status == STATUS_IO_TIMEOUT ? status : STATUS_CANCELLED);
}

void below(int index)
{
	if (mark(index) == STATUS_CANCELLED)
		complete(index, STATUS_CANCELLED);
}

void send(int index)
{
	WDF_REQUEST_SEND_OPTIONS options;

	if (index >= kBelow)
		return below(index);
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, 0);
	if (send_timeout_ms)
		WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(&options, WDF_REL_TIMEOUT_IN_MS(send_timeout_ms));
	WdfRequestFormatRequestUsingCurrentType(asked[index].handle);
	WdfRequestSetCompletionRoutine(asked[index].handle, completion, nullptr);
	sent = true; // before it is: the routine may be called at once
	clear_dead_stack();
	accepted = WdfRequestSend(asked[index].handle, target, &options);
	if (accepted)
		return;
	if (WdfRequestGetStatus(asked[index].handle) != STATUS_CANCELLED && !target_goes)
		fake::bug("a send is refused");
	complete(index, STATUS_CANCELLED);
}

// The lower device has done its work.
void finisher(int)
{
	step("waits for the read below", "", [](const void *) { return asked[kBelow].referenced || asked[0].ended; });
	if (presented(kBelow))
		unmark_and_complete(kBelow);
}

// The sender cancels what it has sent. It keeps a reference, as the docs want.
void sender_cancels(int)
{
	step("waits for the send", "", [](const void *) { return sent || asked[0].ended; });
	if (!sent)
		return drop(0);
	clear_dead_stack();
	WdfRequestCancelSentRequest(asked[0].handle);
	drop(0);
}

// Only a cancel ends it: of the program, which comes when the driver has it.
void late_canceller(int)
{
	step("waits for the read", "", [](const void *) { return asked[0].presented > 0; });
	cancel_file(files[0]);
}

// What is sent meanwhile waits for the start.
void stopper(int)
{
	clear_dead_stack();
	WdfIoTargetStop(target, WdfIoTargetCancelSentIo);
	step("has stopped the target");
	clear_dead_stack();
	if (WdfIoTargetStart(target))
		fake::bug("a target cannot be started again");
}

void closer(int)
{
	clear_dead_stack();
	WdfIoTargetClose(target);
}

void remover(int)
{
	clear_dead_stack();
	if (kmdf_power_c("k1", "remove"))
		fake::bug("there is no such device");
	drop(kBelow);
}

void load_two()
{
	UNICODE_STRING name;
	WDF_IO_TARGET_OPEN_PARAMS parameters;

	plan.devices = 2;
	plan.on_read = send;
	load_kmdf();
	RtlInitUnicodeString(&name, u"\\DosDevices\\k1");
	WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(&parameters, &name, GENERIC_READ);
	if (WdfIoTargetCreate(devices[0], WDF_NO_OBJECT_ATTRIBUTES, &target) || WdfIoTargetOpen(target, &parameters))
		fake::bug("the target cannot be opened");
}

void unload_two()
{
	run_kmdf();
	if (routines != accepted)
		fake::bug("what was sent has not come back, or what was not has");
	unload_kmdf();
}

} // namespace

void send_cancel()
{
	load_two();
	spawn("reader", reader<0>);
	spawn("finisher", finisher);
	spawn("sender", sender_cancels);
	spawn("canceller", canceller);
	unload_two();
}

void send_only()
{
	plan.refers = false;
	load_two();
	spawn("reader", reader<0>);
	spawn("canceller", late_canceller);
	unload_two();
}

void send_stop()
{
	load_two();
	spawn("reader", reader<0>);
	spawn("finisher", finisher);
	spawn("sender", sender_cancels);
	spawn("stopper", stopper);
	unload_two();
}

void send_close()
{
	target_goes = true;
	plan.refers = false;
	load_two();
	spawn("reader", reader<0>);
	spawn("closer", closer);
	unload_two();
}

void send_remove()
{
	target_goes = true;
	load_two();
	spawn("reader", reader<0>);
	spawn("sender", sender_cancels);
	spawn("remover", remover);
	unload_two();
}

void send_timeout()
{
	send_timeout_ms = kTimeoutMs;
	load_two();
	spawn("reader", reader<0>);
	spawn("finisher", finisher);
	spawn("sender", sender_cancels);
	spawn("clock", clock, true);
	unload_two();
}

} // namespace schedules
