// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Breaks the rules, one at a time: selftests/lib/kmbad.h says which. Nothing here is an example. */
#include <ntddk.h>
#include <wdf.h>

#include "../../lib/kmbad.h"

DRIVER_INITIALIZE DriverEntry;
static EVT_WDF_DRIVER_DEVICE_ADD DeviceAdd;
static EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL DeviceControl;
static EVT_WDF_IO_QUEUE_IO_READ Read;
static EVT_WDF_IO_QUEUE_IO_STOP IoStop;
static EVT_WDF_IO_QUEUE_STATE QueueState;
static EVT_WDF_REQUEST_CANCEL Cancel;
static EVT_WDF_REQUEST_COMPLETION_ROUTINE Completion;

DECLARE_CONST_UNICODE_STRING(Sddl, L"D:P(A;;GA;;;SY)(A;;GA;;;BA)");
DECLARE_CONST_UNICODE_STRING(DeviceName, L"\\Device\\kmbad");
DECLARE_CONST_UNICODE_STRING(LinkName, L"\\DosDevices\\kmbad");
DECLARE_CONST_UNICODE_STRING(LowerName, L"\\Device\\kmbad_lower");
DECLARE_CONST_UNICODE_STRING(LowerLinkName, L"\\DosDevices\\kmbad_lower");

static struct {
	WDFDEVICE Device, Lower;
	WDFQUEUE Queue;  /* parallel: what programs ask for */
	WDFQUEUE Parked; /* manual */
	WDFQUEUE Other;  /* parallel: reads, also while the device sleeps */
	WDFSPINLOCK Lock;
	WDFREQUEST Kept;
	BOOLEAN KeptMarked;
} Bad;

/* ---- callbacks that behave */

_Use_decl_annotations_ static VOID Cancel(WDFREQUEST Request)
{
	if (Request == Bad.Kept)
		Bad.Kept = NULL;
	WdfRequestComplete(Request, STATUS_CANCELLED);
}

/* It only says that it has been called: what is kept is as it was. */
_Use_decl_annotations_ static VOID IoStop(WDFQUEUE Queue, WDFREQUEST Request, ULONG ActionFlags)
{
	UNREFERENCED_PARAMETER(Queue);
	UNREFERENCED_PARAMETER(Request);
	UNREFERENCED_PARAMETER(ActionFlags);
}

_Use_decl_annotations_ static VOID QueueState(WDFQUEUE Queue, WDFCONTEXT Context)
{
	UNREFERENCED_PARAMETER(Queue);
	UNREFERENCED_PARAMETER(Context);
}

_Use_decl_annotations_ static VOID Completion(WDFREQUEST Request, WDFIOTARGET Target,
					      PWDF_REQUEST_COMPLETION_PARAMS Params, WDFCONTEXT Context)
{
	UNREFERENCED_PARAMETER(Target);
	UNREFERENCED_PARAMETER(Params);

	if (Context)
		KeSetEvent((PKEVENT)Context, IO_NO_INCREMENT, FALSE);
	else
		WdfRequestComplete(Request, STATUS_SUCCESS);
}

/* ---- what completes its request itself */

static VOID CompleteMarked(WDFREQUEST Request)
{
	WdfRequestMarkCancelable(Request, Cancel);
	WdfRequestComplete(Request, STATUS_SUCCESS);
}

/* The purge makes EvtRequestCancel due, which does not come before this handler has returned. */
static VOID CompleteAfterVainUnmark(WDFREQUEST Request)
{
	WdfRequestMarkCancelable(Request, Cancel);
	WdfIoQueueStopAndPurge(Bad.Queue, NULL, NULL);
	if (WdfRequestUnmarkCancelable(Request) == STATUS_CANCELLED)
		WdfRequestComplete(Request, STATUS_SUCCESS);
	WdfIoQueueStart(Bad.Queue);
}

static VOID CompleteTwice(WDFREQUEST Request)
{
	WdfObjectReference(Request);
	WdfRequestComplete(Request, STATUS_SUCCESS);
	WdfRequestComplete(Request, STATUS_SUCCESS);
	WdfObjectDereference(Request);
}

static VOID CompleteQueued(WDFREQUEST Request)
{
	WDFREQUEST again;

	WdfRequestForwardToIoQueue(Request, Bad.Parked);
	WdfRequestComplete(Request, STATUS_SUCCESS);
	if (NT_SUCCESS(WdfIoQueueRetrieveNextRequest(Bad.Parked, &again)))
		WdfRequestComplete(again, STATUS_SUCCESS);
}

static VOID CompletePending(WDFREQUEST Request)
{
	WdfRequestComplete(Request, STATUS_PENDING);
}

static VOID CompleteTooLong(WDFREQUEST Request)
{
	WdfRequestCompleteWithInformation(Request, STATUS_SUCCESS, 100000);
}

static VOID CompleteWithMemory(WDFREQUEST Request)
{
	WDFMEMORY memory;

	if (!NT_SUCCESS(WdfRequestRetrieveOutputMemory(Request, &memory))) {
		WdfRequestComplete(Request, STATUS_UNSUCCESSFUL);
		return;
	}
	WdfObjectReference(memory);
	WdfRequestComplete(Request, STATUS_SUCCESS);
	WdfObjectDereference(memory);
}

static VOID MarkQueued(WDFREQUEST Request)
{
	WDFREQUEST again;

	WdfRequestForwardToIoQueue(Request, Bad.Parked);
	WdfRequestMarkCancelable(Request, Cancel);
	if (NT_SUCCESS(WdfIoQueueRetrieveNextRequest(Bad.Parked, &again)))
		WdfRequestComplete(again, STATUS_SUCCESS);
}

static VOID Keep(WDFREQUEST Request)
{
	Bad.KeptMarked = FALSE;
	Bad.Kept = Request;
}

static VOID KeepMarked(WDFREQUEST Request)
{
	Bad.KeptMarked = TRUE;
	Bad.Kept = Request;
	WdfRequestMarkCancelable(Request, Cancel);
}

static VOID ReturnRaised(WDFREQUEST Request)
{
	KIRQL irql;

	WdfRequestComplete(Request, STATUS_SUCCESS);
	KeRaiseIrql(DISPATCH_LEVEL, &irql);
}

/* ---- what leaves it to be completed */

static VOID MarkTwice(WDFREQUEST Request)
{
	WdfRequestMarkCancelable(Request, Cancel);
	WdfRequestMarkCancelable(Request, Cancel);
	WdfRequestUnmarkCancelable(Request);
}

static VOID MarkWithoutCallback(WDFREQUEST Request)
{
	WdfRequestMarkCancelable(Request, NULL);
}

static VOID UnmarkUnmarked(WDFREQUEST Request)
{
	WdfRequestUnmarkCancelable(Request);
}

static VOID IsCanceledMarked(WDFREQUEST Request)
{
	WdfRequestMarkCancelable(Request, Cancel);
	WdfRequestIsCanceled(Request);
	WdfRequestUnmarkCancelable(Request);
}

static VOID ForwardMarked(WDFREQUEST Request)
{
	WdfRequestMarkCancelable(Request, Cancel);
	WdfRequestForwardToIoQueue(Request, Bad.Parked);
	WdfRequestUnmarkCancelable(Request);
}

static WDFIOTARGET OpenLower(void)
{
	WDF_IO_TARGET_OPEN_PARAMS parameters;
	WDFIOTARGET target;

	if (!NT_SUCCESS(WdfIoTargetCreate(Bad.Device, WDF_NO_OBJECT_ATTRIBUTES, &target)))
		return NULL;
	WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(&parameters, &LowerLinkName, GENERIC_READ | GENERIC_WRITE);
	if (NT_SUCCESS(WdfIoTargetOpen(target, &parameters)))
		return target;
	WdfObjectDelete(target);
	return NULL;
}

static VOID SendMarked(WDFREQUEST Request)
{
	WDFIOTARGET target = OpenLower();

	if (!target)
		return;
	WdfRequestFormatRequestUsingCurrentType(Request);
	WdfRequestSetCompletionRoutine(Request, Completion, NULL);
	WdfRequestMarkCancelable(Request, Cancel);
	WdfRequestSend(Request, target, WDF_NO_SEND_OPTIONS);
	WdfRequestUnmarkCancelable(Request);
	WdfObjectDelete(target);
}

static VOID SendTwice(WDFREQUEST Request)
{
	WDFIOTARGET target = OpenLower();
	WDFREQUEST own;
	KEVENT back;

	UNREFERENCED_PARAMETER(Request);

	if (!target)
		return;
	KeInitializeEvent(&back, NotificationEvent, FALSE);
	if (NT_SUCCESS(WdfRequestCreate(WDF_NO_OBJECT_ATTRIBUTES, target, &own))) {
		WdfIoTargetFormatRequestForIoctl(target, own, KMBAD_NOTHING, NULL, NULL, NULL, NULL);
		WdfRequestSetCompletionRoutine(own, Completion, &back);
		/* Nobody takes it below: it waits there until it is cancelled. */
		WdfRequestSend(own, target, WDF_NO_SEND_OPTIONS);
		WdfRequestSend(own, target, WDF_NO_SEND_OPTIONS);
		WdfRequestCancelSentRequest(own);
		KeWaitForSingleObject(&back, Executive, KernelMode, FALSE, NULL);
		WdfObjectDelete(own);
	}
	WdfObjectDelete(target);
}

static VOID StopAck(WDFREQUEST Request)
{
	WdfRequestStopAcknowledge(Request, FALSE);
}

/* This request keeps the first one from ending. */
static VOID StopTwice(WDFREQUEST Request)
{
	UNREFERENCED_PARAMETER(Request);

	WdfIoQueueStop(Bad.Queue, QueueState, NULL);
	WdfIoQueueStop(Bad.Queue, QueueState, NULL);
	WdfIoQueueStart(Bad.Queue);
}

static VOID StopAbovePassive(WDFREQUEST Request)
{
	KIRQL irql;

	UNREFERENCED_PARAMETER(Request);

	KeRaiseIrql(DISPATCH_LEVEL, &irql);
	WdfIoQueueStopSynchronously(Bad.Other);
	KeLowerIrql(irql);
}

static VOID StopInHandler(WDFREQUEST Request)
{
	UNREFERENCED_PARAMETER(Request);

	WdfIoQueueStopSynchronously(Bad.Queue);
}

static VOID LockTwice(WDFREQUEST Request)
{
	UNREFERENCED_PARAMETER(Request);

	WdfSpinLockAcquire(Bad.Lock);
	WdfSpinLockAcquire(Bad.Lock);
	WdfSpinLockRelease(Bad.Lock);
	WdfSpinLockRelease(Bad.Lock);
}

static VOID LockReleased(WDFREQUEST Request)
{
	UNREFERENCED_PARAMETER(Request);

	WdfSpinLockRelease(Bad.Lock);
}

static VOID NoHandle(WDFREQUEST Request)
{
	UNREFERENCED_PARAMETER(Request);

	WdfRequestGetStatus(NULL);
}

static VOID WrongHandle(WDFREQUEST Request)
{
	WdfRequestGetStatus((WDFREQUEST)((ULONG_PTR)Request ^ 0x10));
}

static VOID ForeignHandle(WDFREQUEST Request)
{
	UNREFERENCED_PARAMETER(Request);

	WdfRequestGetStatus((WDFREQUEST)(PVOID)Bad.Queue);
}

static VOID Dereference(WDFREQUEST Request)
{
	UNREFERENCED_PARAMETER(Request);

	WdfObjectDereference(Bad.Lock);
}

static VOID DeleteQueues(WDFREQUEST Request)
{
	WdfObjectDelete(Request);
}

static VOID Nothing(WDFREQUEST Request)
{
	UNREFERENCED_PARAMETER(Request);
}

static const struct {
	ULONG Code;
	VOID (*Function)(WDFREQUEST Request);
	BOOLEAN Completes; /* or keeps it */
} Deeds[] = {
	{KMBAD_NOTHING, Nothing, FALSE},
	{KMBAD_COMPLETE_MARKED, CompleteMarked, TRUE},
	{KMBAD_COMPLETE_AFTER_VAIN_UNMARK, CompleteAfterVainUnmark, TRUE},
	{KMBAD_COMPLETE_TWICE, CompleteTwice, TRUE},
	{KMBAD_COMPLETE_QUEUED, CompleteQueued, TRUE},
	{KMBAD_COMPLETE_PENDING, CompletePending, TRUE},
	{KMBAD_COMPLETE_TOO_LONG, CompleteTooLong, TRUE},
	{KMBAD_COMPLETE_WITH_MEMORY, CompleteWithMemory, TRUE},
	{KMBAD_MARK_TWICE, MarkTwice, FALSE},
	{KMBAD_MARK_QUEUED, MarkQueued, TRUE},
	{KMBAD_MARK_WITHOUT_CALLBACK, MarkWithoutCallback, FALSE},
	{KMBAD_UNMARK_UNMARKED, UnmarkUnmarked, FALSE},
	{KMBAD_IS_CANCELED_MARKED, IsCanceledMarked, FALSE},
	{KMBAD_FORWARD_MARKED, ForwardMarked, FALSE},
	{KMBAD_SEND_MARKED, SendMarked, FALSE},
	{KMBAD_SEND_TWICE, SendTwice, FALSE},
	{KMBAD_STOP_ACK, StopAck, FALSE},
	{KMBAD_STOP_TWICE, StopTwice, FALSE},
	{KMBAD_STOP_ABOVE_PASSIVE, StopAbovePassive, FALSE},
	{KMBAD_STOP_IN_HANDLER, StopInHandler, FALSE},
	{KMBAD_LOCK_TWICE, LockTwice, FALSE},
	{KMBAD_LOCK_RELEASED, LockReleased, FALSE},
	{KMBAD_RETURN_RAISED, ReturnRaised, TRUE},
	{KMBAD_NO_HANDLE, NoHandle, FALSE},
	{KMBAD_WRONG_HANDLE, WrongHandle, FALSE},
	{KMBAD_FOREIGN_HANDLE, ForeignHandle, FALSE},
	{KMBAD_DEREFERENCE, Dereference, FALSE},
	{KMBAD_DELETE_QUEUES, DeleteQueues, FALSE},
	{KMBAD_KEEP, Keep, TRUE},
	{KMBAD_KEEP_MARKED, KeepMarked, TRUE},
};

_Use_decl_annotations_ static VOID DeviceControl(WDFQUEUE Queue, WDFREQUEST Request, size_t OutputBufferLength,
						 size_t InputBufferLength, ULONG IoControlCode)
{
	UNREFERENCED_PARAMETER(Queue);
	UNREFERENCED_PARAMETER(OutputBufferLength);
	UNREFERENCED_PARAMETER(InputBufferLength);

	for (ULONG i = 0; i < ARRAYSIZE(Deeds); i++) {
		if (Deeds[i].Code != IoControlCode)
			continue;
		Deeds[i].Function(Request);
		if (!Deeds[i].Completes)
			WdfRequestComplete(Request, STATUS_SUCCESS);
		return;
	}
	WdfRequestComplete(Request, STATUS_INVALID_DEVICE_REQUEST);
}

/* What is kept is completed. */
_Use_decl_annotations_ static VOID Read(WDFQUEUE Queue, WDFREQUEST Request, size_t Length)
{
	WDFREQUEST kept = Bad.Kept;

	UNREFERENCED_PARAMETER(Queue);
	UNREFERENCED_PARAMETER(Length);

	Bad.Kept = NULL;
	if (kept && (!Bad.KeptMarked || WdfRequestUnmarkCancelable(kept) != STATUS_CANCELLED))
		WdfRequestComplete(kept, STATUS_SUCCESS);
	WdfRequestComplete(Request, STATUS_SUCCESS);
}

/* ---- devices */

static NTSTATUS CreateQueue(WDFDEVICE Device, WDF_IO_QUEUE_DISPATCH_TYPE Type, BOOLEAN Default, WDFQUEUE *Queue)
{
	WDF_IO_QUEUE_CONFIG config;

	if (Default)
		WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(&config, Type);
	else
		WDF_IO_QUEUE_CONFIG_INIT(&config, Type);
	if (Type != WdfIoQueueDispatchManual && Default) {
		config.EvtIoDeviceControl = DeviceControl;
		config.EvtIoStop = IoStop;
	} else if (Type != WdfIoQueueDispatchManual) {
		config.EvtIoRead = Read;
		config.PowerManaged = WdfFalse;
	}
	return WdfIoQueueCreate(Device, &config, WDF_NO_OBJECT_ATTRIBUTES, Queue);
}

_Use_decl_annotations_ static NTSTATUS DeviceAdd(WDFDRIVER Driver, PWDFDEVICE_INIT DeviceInit)
{
	NTSTATUS status;

	UNREFERENCED_PARAMETER(Driver);

	status = WdfDeviceInitAssignName(DeviceInit, &DeviceName);
	if (NT_SUCCESS(status))
		status = WdfDeviceCreate(&DeviceInit, WDF_NO_OBJECT_ATTRIBUTES, &Bad.Device);
	if (NT_SUCCESS(status))
		status = WdfDeviceCreateSymbolicLink(Bad.Device, &LinkName);
	if (NT_SUCCESS(status))
		status = CreateQueue(Bad.Device, WdfIoQueueDispatchParallel, TRUE, &Bad.Queue);
	if (NT_SUCCESS(status))
		status = CreateQueue(Bad.Device, WdfIoQueueDispatchManual, FALSE, &Bad.Parked);
	if (NT_SUCCESS(status))
		status = CreateQueue(Bad.Device, WdfIoQueueDispatchParallel, FALSE, &Bad.Other);
	if (NT_SUCCESS(status))
		status = WdfDeviceConfigureRequestDispatching(Bad.Device, Bad.Other, WdfRequestTypeRead);
	if (NT_SUCCESS(status))
		status = WdfSpinLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &Bad.Lock);
	return status;
}

/* The device that the other one sends to: it keeps all that comes. */
static NTSTATUS CreateLower(void)
{
	PWDFDEVICE_INIT init = WdfControlDeviceInitAllocate(WdfGetDriver(), &Sddl);
	NTSTATUS status;
	WDFQUEUE queue;

	if (!init)
		return STATUS_INSUFFICIENT_RESOURCES;
	status = WdfDeviceInitAssignName(init, &LowerName);
	if (NT_SUCCESS(status))
		status = WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &Bad.Lower);
	if (!NT_SUCCESS(status)) {
		WdfDeviceInitFree(init);
		return status;
	}
	status = WdfDeviceCreateSymbolicLink(Bad.Lower, &LowerLinkName);
	if (NT_SUCCESS(status))
		status = CreateQueue(Bad.Lower, WdfIoQueueDispatchManual, TRUE, &queue);
	if (NT_SUCCESS(status))
		WdfControlFinishInitializing(Bad.Lower);
	return status;
}

_Use_decl_annotations_ NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
	WDF_DRIVER_CONFIG config;
	NTSTATUS status;

	WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
	status = WdfDriverCreate(DriverObject, RegistryPath, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
	return NT_SUCCESS(status) ? CreateLower() : status;
}
