// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What queues call: the request's slot does what its script says. */
#include "driver.h"

PVOID KmContextSeenByIo(WDFOBJECT Object)
{
	return KmSlotContext(Object);
}

static VOID Presented(WDFQUEUE Queue, WDFREQUEST Request, size_t Length)
{
	BOOLEAN again = !!KmSlotOf(Request);
	PKM_SLOT slot = KmAdopt(Queue, Request);

	if (slot)
		KmCallback(slot, again ? KMTEST_AT_AGAIN : KMTEST_AT_IO, STATUS_SUCCESS, Length);
	else
		WdfRequestComplete(Request, STATUS_NOT_FOUND);
}

_Use_decl_annotations_ VOID KmEvtIoDefault(WDFQUEUE Queue, WDFREQUEST Request)
{
	Presented(Queue, Request, 0);
}

_Use_decl_annotations_ VOID KmEvtIoRead(WDFQUEUE Queue, WDFREQUEST Request, size_t Length)
{
	Presented(Queue, Request, Length);
}

_Use_decl_annotations_ VOID KmEvtIoWrite(WDFQUEUE Queue, WDFREQUEST Request, size_t Length)
{
	Presented(Queue, Request, Length);
}

_Use_decl_annotations_ VOID KmEvtIoDeviceControl(WDFQUEUE Queue, WDFREQUEST Request, size_t OutputBufferLength,
						 size_t InputBufferLength, ULONG IoControlCode)
{
	UNREFERENCED_PARAMETER(InputBufferLength);
	UNREFERENCED_PARAMETER(IoControlCode);

	Presented(Queue, Request, OutputBufferLength);
}

_Use_decl_annotations_ VOID KmEvtIoInternalDeviceControl(WDFQUEUE Queue, WDFREQUEST Request, size_t OutputBufferLength,
							 size_t InputBufferLength, ULONG IoControlCode)
{
	UNREFERENCED_PARAMETER(InputBufferLength);
	UNREFERENCED_PARAMETER(IoControlCode);

	Presented(Queue, Request, OutputBufferLength);
}

static VOID OfRequest(WDFREQUEST Request, ULONG At, NTSTATUS Status, ULONGLONG Value)
{
	PKM_SLOT slot = KmSlotOf(Request);

	/* Never: only what has a slot has been marked, kept or sent. */
	if (slot)
		KmCallback(slot, At, Status, Value);
}

_Use_decl_annotations_ VOID KmEvtCancel(WDFREQUEST Request)
{
	OfRequest(Request, KMTEST_AT_CANCEL, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_ VOID KmEvtOtherCancel(WDFREQUEST Request)
{
	OfRequest(Request, KMTEST_AT_OTHER_CANCEL, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_ VOID KmEvtIoStop(WDFQUEUE Queue, WDFREQUEST Request, ULONG ActionFlags)
{
	UNREFERENCED_PARAMETER(Queue);

	OfRequest(Request, KMTEST_AT_STOP, STATUS_SUCCESS, ActionFlags);
}

_Use_decl_annotations_ VOID KmEvtIoResume(WDFQUEUE Queue, WDFREQUEST Request)
{
	UNREFERENCED_PARAMETER(Queue);

	OfRequest(Request, KMTEST_AT_RESUME, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_ VOID KmEvtIoCanceledOnQueue(WDFQUEUE Queue, WDFREQUEST Request)
{
	UNREFERENCED_PARAMETER(Queue);

	OfRequest(Request, KMTEST_AT_ON_QUEUE, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_ VOID KmEvtCompletion(WDFREQUEST Request, WDFIOTARGET Target,
					    PWDF_REQUEST_COMPLETION_PARAMS Params, WDFCONTEXT Context)
{
	PKM_SLOT slot = (PKM_SLOT)Context;

	UNREFERENCED_PARAMETER(Request);
	UNREFERENCED_PARAMETER(Target);

	InterlockedExchange(&slot->Sent, FALSE);
	KmCallback(slot, KMTEST_AT_COMPLETION, Params->IoStatus.Status, Params->IoStatus.Information);
}

_Use_decl_annotations_ VOID KmEvtStopped(WDFQUEUE Queue, WDFCONTEXT Context)
{
	KmCallback(KmSlotOf(Queue), KMTEST_AT_STOPPED, STATUS_SUCCESS, (ULONG_PTR)Context);
}

_Use_decl_annotations_ VOID KmEvtPurged(WDFQUEUE Queue, WDFCONTEXT Context)
{
	KmCallback(KmSlotOf(Queue), KMTEST_AT_PURGED, STATUS_SUCCESS, (ULONG_PTR)Context);
}

_Use_decl_annotations_ VOID KmEvtReady(WDFQUEUE Queue, WDFCONTEXT Context)
{
	KmCallback(KmSlotOf(Queue), KMTEST_AT_READY, STATUS_SUCCESS, (ULONG_PTR)Context);
}
