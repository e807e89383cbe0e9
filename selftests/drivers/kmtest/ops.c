// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What scripts are made of: calls about requests and queues, and what a script does by itself. */
#include "driver.h"

VOID KmBeginRun(PKM_RUN Run, PKM_SLOT Own)
{
	RtlZeroMemory(Run, sizeof(*Run));
	Run->Own = Own;
}

VOID KmEndRun(PKM_RUN Run)
{
	if (Run->Raised)
		KeLowerIrql(Run->OldIrql);
	Run->Raised = FALSE;
}

static BOOLEAN IsDue(const KM_RUN *Run, const struct kmtest_op *Op)
{
	switch (Op->only_if) {
	case KMTEST_IF_SUCCESS:
		return NT_SUCCESS(Run->Status);
	case KMTEST_IF_FAILED:
		return !NT_SUCCESS(Run->Status);
	case KMTEST_IF_CANCELLED:
		return Run->Status == STATUS_CANCELLED;
	case KMTEST_UNLESS_CANCELLED:
		return Run->Status != STATUS_CANCELLED;
	case KMTEST_IF_VALUE:
		return Run->Value != 0;
	case KMTEST_UNLESS_VALUE:
		return Run->Value == 0;
	default:
		return TRUE;
	}
}

static BOOLEAN IsKind(PKM_SLOT Slot, KM_KIND Kind)
{
	return Slot && Slot->Kind == Kind;
}

/* The first bytes of what the client reads. */
static NTSTATUS Fill(WDFREQUEST Request, ULONGLONG Bytes)
{
	NTSTATUS status;
	PVOID buffer;

	status = WdfRequestRetrieveOutputBuffer(Request, (size_t)Bytes, &buffer, NULL);
	for (ULONGLONG i = 0; NT_SUCCESS(status) && i < Bytes; i++)
		((PUCHAR)buffer)[i] = (UCHAR)i;
	return status;
}

static NTSTATUS GetMemory(WDFREQUEST Request, PKM_SLOT Slot, BOOLEAN Output)
{
	WDFMEMORY memory;
	NTSTATUS status;

	if (!Slot)
		return KMTEST_NO_SLOT;
	status = Output ? WdfRequestRetrieveOutputMemory(Request, &memory) :
			  WdfRequestRetrieveInputMemory(Request, &memory);
	if (NT_SUCCESS(status)) {
		/* The request's: no context of ours. */
		Slot->Kind = KmKindMemory;
		Slot->Handle = memory;
	}
	return status;
}

static BOOLEAN DoRequest(const KM_RUN *Run, PKM_SLOT Slot, PKM_SLOT Other, struct kmtest_op *Op)
{
	WDFREQUEST request = (WDFREQUEST)Slot->Handle;
	PFN_WDF_REQUEST_CANCEL cancel = Op->flags & KMTEST_OTHER ? KmEvtOtherCancel : KmEvtCancel;
	WDF_REQUEST_PARAMETERS parameters;
	NTSTATUS result = Op->status;
	WDFFILEOBJECT file;
	size_t length = 0;
	PVOID buffer;

	Op->status = STATUS_SUCCESS;
	switch (Op->code) {
	case KMTEST_MARK:
		WdfRequestMarkCancelable(request, cancel);
		break;
	case KMTEST_MARK_EX:
		Op->status = WdfRequestMarkCancelableEx(request, cancel);
		break;
	case KMTEST_UNMARK:
		Op->status = WdfRequestUnmarkCancelable(request);
		break;
	case KMTEST_IS_CANCELED:
		Op->value = WdfRequestIsCanceled(request);
		break;
	case KMTEST_COMPLETE:
		WdfRequestComplete(request, result);
		Op->status = result;
		break;
	case KMTEST_COMPLETE_WITH:
		WdfRequestCompleteWithInformation(request, result, (ULONG_PTR)Op->value);
		Op->status = result;
		break;
	case KMTEST_COMPLETE_BOOST:
		WdfRequestCompleteWithPriorityBoost(request, result, IO_SOUND_INCREMENT);
		Op->status = result;
		break;
	case KMTEST_COMPLETE_AS:
		WdfRequestCompleteWithInformation(request, Run->Status, (ULONG_PTR)Run->Value);
		Op->status = Run->Status;
		break;
	case KMTEST_SET_INFORMATION:
		WdfRequestSetInformation(request, (ULONG_PTR)Op->value);
		break;
	case KMTEST_GET_INFORMATION:
		Op->value = WdfRequestGetInformation(request);
		break;
	case KMTEST_FORWARD:
		Op->status = Other ? WdfRequestForwardToIoQueue(request, (WDFQUEUE)Other->Handle) : KMTEST_NO_SLOT;
		break;
	case KMTEST_REQUEUE:
		Op->status = WdfRequestRequeue(request);
		break;
	case KMTEST_STOP_ACK:
		WdfRequestStopAcknowledge(request, Op->value != 0);
		break;
	case KMTEST_GET_QUEUE:
		Op->value = KmSlotOf(WdfRequestGetIoQueue(request))->Number;
		break;
	case KMTEST_PARAMETERS:
		WDF_REQUEST_PARAMETERS_INIT(&parameters);
		WdfRequestGetParameters(request, &parameters);
		Op->value = parameters.Type;
		if (parameters.Type == WdfRequestTypeDeviceControl)
			Op->status = (NTSTATUS)parameters.Parameters.DeviceIoControl.IoControlCode;
		break;
	case KMTEST_INPUT:
		Op->status = WdfRequestRetrieveInputBuffer(request, (size_t)Op->value, &buffer, &length);
		Op->value = length;
		break;
	case KMTEST_OUTPUT:
		Op->status = WdfRequestRetrieveOutputBuffer(request, (size_t)Op->value, &buffer, &length);
		Op->value = length;
		break;
	case KMTEST_FILL:
		Op->status = Fill(request, Op->value);
		break;
	case KMTEST_IN_MEMORY:
		Op->status = GetMemory(request, Other, FALSE);
		break;
	case KMTEST_OUT_MEMORY:
		Op->status = GetMemory(request, Other, TRUE);
		break;
	case KMTEST_FILE:
		file = WdfRequestGetFileObject(request);
		Op->value = (ULONG_PTR)file;
		if (Other) {
			Other->Kind = KmKindFile;
			Other->Handle = file;
		}
		break;
	case KMTEST_REQUESTOR:
		Op->value = WdfRequestGetRequestorProcessId(request);
		break;
	case KMTEST_IN_FILE_CLEANUP:
		Op->value = WdfFileObjectGetFlags(WdfRequestGetFileObject(request));
		break;
	default:
		return FALSE;
	}
	return TRUE;
}

static NTSTATUS Retrieve(WDFQUEUE Queue, PKM_SLOT Other, struct kmtest_op *Op)
{
	WDFREQUEST request = NULL;
	NTSTATUS status;
	PKM_SLOT slot;

	switch (Op->code) {
	case KMTEST_RETRIEVE_NEXT:
		status = WdfIoQueueRetrieveNextRequest(Queue, &request);
		break;
	case KMTEST_RETRIEVE_BY_FILE:
		status = Other ? WdfIoQueueRetrieveRequestByFileObject(Queue, (WDFFILEOBJECT)Other->Handle, &request) :
				 KMTEST_NO_SLOT;
		break;
	default:
		status = Other ? WdfIoQueueRetrieveFoundRequest(Queue, (WDFREQUEST)Other->Handle, &request) :
				 KMTEST_NO_SLOT;
		break;
	}
	Op->value = 0;
	if (!NT_SUCCESS(status))
		return status;
	slot = KmAdopt(Queue, request);
	if (slot)
		Op->value = slot->Number;
	else
		WdfRequestComplete(request, STATUS_NOT_FOUND);
	return status;
}

/* What is found is still the queue's: all that is kept is its handle. */
static NTSTATUS Find(WDFQUEUE Queue, PKM_SLOT After, PKM_SLOT Into, ULONG Flags)
{
	PKM_SLOT file = KmSlot(Flags >> 16);
	WDF_REQUEST_PARAMETERS wanted;
	WDFREQUEST request;
	NTSTATUS status;

	WDF_REQUEST_PARAMETERS_INIT(&wanted);
	wanted.Type = Flags & KMTEST_FIND_READ ? WdfRequestTypeRead : WdfRequestTypeDeviceControl;
	wanted.Parameters.DeviceIoControl.IoControlCode = KMTEST_REQUEST + (Flags & KMTEST_FIND_OTHER ? 4 : 0);
	status = WdfIoQueueFindRequest(Queue, After ? (WDFREQUEST)After->Handle : NULL,
				       file ? (WDFFILEOBJECT)file->Handle : NULL, Flags & 0xffff ? &wanted : NULL,
				       &request);
	if (NT_SUCCESS(status) && Into) {
		Into->Kind = KmKindClient;
		Into->Handle = request;
	}
	return status;
}

static BOOLEAN DoQueue(PKM_SLOT Slot, PKM_SLOT Other, struct kmtest_op *Op)
{
	static const struct {
		VOID (*Call)(WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE Done, WDFCONTEXT Context);
		VOID (*Synchronous)(WDFQUEUE Queue);
		PFN_WDF_IO_QUEUE_STATE Done;
	} ends[] = {
		[KMTEST_QUEUE_STOP - KMTEST_QUEUE_STOP] = {WdfIoQueueStop, WdfIoQueueStopSynchronously, KmEvtStopped},
		[KMTEST_QUEUE_PURGE - KMTEST_QUEUE_STOP] = {WdfIoQueuePurge, WdfIoQueuePurgeSynchronously, KmEvtPurged},
		[KMTEST_QUEUE_DRAIN - KMTEST_QUEUE_STOP] = {WdfIoQueueDrain, WdfIoQueueDrainSynchronously, KmEvtPurged},
		[KMTEST_QUEUE_STOP_AND_PURGE - KMTEST_QUEUE_STOP] = {WdfIoQueueStopAndPurge,
								     WdfIoQueueStopAndPurgeSynchronously, KmEvtStopped},
	};
	WDFQUEUE queue = (WDFQUEUE)Slot->Handle;
	WDFCONTEXT context = (WDFCONTEXT)(ULONG_PTR)Op->value;
	ULONG queued, owned;

	Op->status = STATUS_SUCCESS;
	switch (Op->code) {
	case KMTEST_QUEUE_START:
		WdfIoQueueStart(queue);
		break;
	case KMTEST_QUEUE_STOP:
	case KMTEST_QUEUE_PURGE:
	case KMTEST_QUEUE_DRAIN:
	case KMTEST_QUEUE_STOP_AND_PURGE:
		if (Op->flags & KMTEST_SYNC)
			ends[Op->code - KMTEST_QUEUE_STOP].Synchronous(queue);
		else if (Op->flags & KMTEST_NO_CALLBACK)
			ends[Op->code - KMTEST_QUEUE_STOP].Call(queue, NULL, NULL);
		else
			ends[Op->code - KMTEST_QUEUE_STOP].Call(queue, ends[Op->code - KMTEST_QUEUE_STOP].Done,
								context);
		break;
	case KMTEST_QUEUE_STATE:
		Op->status = (NTSTATUS)WdfIoQueueGetState(queue, &queued, &owned);
		Op->value = (ULONGLONG)queued << 32 | owned;
		break;
	case KMTEST_RETRIEVE_NEXT:
	case KMTEST_RETRIEVE_BY_FILE:
	case KMTEST_RETRIEVE_FOUND:
		Op->status = Retrieve(queue, Other, Op);
		break;
	case KMTEST_FIND:
		Op->status = Find(queue, Other, KmSlot((ULONG)Op->value), Op->flags);
		break;
	case KMTEST_READY_NOTIFY:
		Op->status = WdfIoQueueReadyNotify(queue, Op->value ? KmEvtReady : NULL, context);
		break;
	default:
		return FALSE;
	}
	return TRUE;
}

/* What needs no object. Slot is for its gate or its script. */
static BOOLEAN DoFlow(PKM_RUN Run, PKM_SLOT Slot, struct kmtest_op *Op)
{
	LARGE_INTEGER interval;

	switch (Op->code) {
	case KMTEST_NOTE:
		break;
	case KMTEST_RAISE:
		if (!Run->Raised)
			KeRaiseIrql(DISPATCH_LEVEL, &Run->OldIrql);
		Run->Raised = TRUE;
		break;
	case KMTEST_LOWER:
		KmEndRun(Run);
		break;
	case KMTEST_WAIT:
		Op->status = KmWaitGate(Slot);
		break;
	case KMTEST_OPEN:
		KeSetEvent(&Slot->Gate, IO_NO_INCREMENT, FALSE);
		break;
	case KMTEST_CLOSE:
		KeClearEvent(&Slot->Gate);
		break;
	case KMTEST_LIST:
		Slot->Listed = TRUE;
		break;
	case KMTEST_UNLIST:
		Op->status = InterlockedExchange(&Slot->Listed, FALSE) ? STATUS_SUCCESS : STATUS_NOT_FOUND;
		break;
	case KMTEST_REFERENCE_LISTED:
		if (Slot->Listed)
			WdfObjectReference(Slot->Handle);
		else
			Op->status = STATUS_NOT_FOUND;
		break;
	case KMTEST_SWAP:
		Op->value = (km_u64)InterlockedExchange(&Slot->Flag, TRUE);
		break;
	case KMTEST_STALL:
		KeStallExecutionProcessor((ULONG)Op->value);
		break;
	case KMTEST_SLEEP:
		interval.QuadPart = WDF_REL_TIMEOUT_IN_MS(Op->value);
		KeDelayExecutionThread(KernelMode, FALSE, &interval);
		break;
	case KMTEST_DO:
		/* A level is enough: what it does may not do that again. */
		for (ULONG i = 0; i < KMTEST_SCRIPT_OPS; i++) {
			struct kmtest_op inner = Slot->Ops[i];

			if (inner.when == Op->other && inner.code && inner.code != KMTEST_DO)
				KmDo(Run, &inner);
		}
		break;
	case KMTEST_FORGET:
		Slot->Kind = KmKindNone;
		Slot->Alive = FALSE;
		break;
	case KMTEST_FINISH:
		KmFinish();
		break;
	default:
		return FALSE;
	}
	return TRUE;
}

VOID KmDo(PKM_RUN Run, struct kmtest_op *Op)
{
	PKM_SLOT slot = Op->slot ? KmSlot(Op->slot) : Run->Own, other = KmSlot(Op->other);
	ULONG code = Op->code;
	BOOLEAN done = FALSE;

	if (!IsDue(Run, Op)) {
		Op->status = KMTEST_SKIPPED;
		return;
	}
	if (!slot) {
		Op->status = code == KMTEST_FINISH ? STATUS_SUCCESS : KMTEST_NO_SLOT;
		if (code == KMTEST_FINISH)
			KmFinish();
		return;
	}
	if (IsKind(slot, KmKindClient) || IsKind(slot, KmKindRequest))
		done = DoRequest(Run, slot, other, Op);
	else if (IsKind(slot, KmKindQueue))
		done = DoQueue(slot, other, Op);
	if (!done && code >= KMTEST_REQUEST_CREATE && code <= KMTEST_TARGET_STATE)
		done = KmDoSend(slot, other, Op);
	if (!done && code >= KMTEST_TIMER_CREATE && code <= KMTEST_MEMORY_SIZE)
		done = KmDoObject(slot, other, Op);
	if (!done) {
		Op->status = STATUS_SUCCESS;
		done = DoFlow(Run, slot, Op);
	}
	if (!done)
		Op->status = KMTEST_NO_SLOT;
	if (code != KMTEST_SPIN_ACQUIRE && code != KMTEST_SPIN_RELEASE && code != KMTEST_WAIT && code != KMTEST_OPEN) {
		Run->Status = Op->status;
		Run->Value = Op->value;
	}
	KmLog(slot, KMTEST_OP, code, Op->status, Op->value, &slot);
}
