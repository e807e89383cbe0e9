// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Synchronized by the driver: timer and EvtRequestCancel may run at the same time, on the same request. Each request
 * counts who still looks at it. It begins with one holder, cancellation. The timer holds it while it unmarks it. Who
 * comes last completes it.
 */
#include "driver.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, EchoCreateQueue)
#endif

typedef struct _REQUEST_CONTEXT {
	LONG Holders;
} REQUEST_CONTEXT, *PREQUEST_CONTEXT;

WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(REQUEST_CONTEXT, EchoRequestGetContext)

VOID EchoSetRequestAttributes(PWDFDEVICE_INIT DeviceInit)
{
	WDF_OBJECT_ATTRIBUTES attributes;

	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, REQUEST_CONTEXT);
	WdfDeviceInitSetRequestAttributes(DeviceInit, &attributes);
}

NTSTATUS EchoCreateQueue(WDFDEVICE Device)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_IO_QUEUE_CONFIG config;
	WDF_TIMER_CONFIG timer;
	PQUEUE_CONTEXT context;
	WDFQUEUE queue;
	NTSTATUS status;

	PAGED_CODE();

	WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(&config, WdfIoQueueDispatchSequential);
	config.EvtIoRead = EchoEvtRead;
	config.EvtIoWrite = EchoEvtWrite;
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE_CONTEXT);
	attributes.EvtDestroyCallback = EchoEvtQueueDestroy;
	status = WdfIoQueueCreate(Device, &config, &attributes, &queue);
	if (!NT_SUCCESS(status)) {
		KdPrint(("kmecho: WdfIoQueueCreate failed: 0x%x\n", status));
		return status;
	}
	context = EchoQueueGetContext(queue);

	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = queue;
	status = WdfSpinLockCreate(&attributes, &context->Lock);
	if (!NT_SUCCESS(status))
		return status;

	/* AutomaticSerialization stays TRUE: with a parent that has no scope, it means nothing. */
	WDF_TIMER_CONFIG_INIT_PERIODIC(&timer, EchoEvtTimer, ECHO_PERIOD_MS);
	return WdfTimerCreate(&timer, &attributes, &context->Timer);
}

_Use_decl_annotations_ VOID EchoEvtQueueDestroy(WDFOBJECT Object)
{
	PQUEUE_CONTEXT context = EchoQueueGetContext((WDFQUEUE)Object);

	if (context->Block)
		ExFreePool(context->Block);
}

static VOID EchoKeep(PQUEUE_CONTEXT Context, WDFREQUEST Request)
{
	NTSTATUS status;

	WdfSpinLockAcquire(Context->Lock);
	EchoRequestGetContext(Request)->Holders = 1;
	Context->Current = Request;
	Context->CurrentStatus = STATUS_SUCCESS;
	/* Ex does not call EvtRequestCancel, which takes the lock. */
	status = WdfRequestMarkCancelableEx(Request, EchoEvtRequestCancel);
	if (!NT_SUCCESS(status))
		Context->Current = NULL;
	WdfSpinLockRelease(Context->Lock);

	if (!NT_SUCCESS(status))
		WdfRequestCompleteWithInformation(Request, status, 0);
}

_Use_decl_annotations_ VOID EchoEvtRead(WDFQUEUE Queue, WDFREQUEST Request, size_t Length)
{
	PQUEUE_CONTEXT context = EchoQueueGetContext(Queue);

	/* The queue is sequential: nobody else is at the block. */
	_Analysis_assume_(Length > 0);
	if (EchoFetch(context, Request, Length))
		EchoKeep(context, Request);
}

_Use_decl_annotations_ VOID EchoEvtWrite(WDFQUEUE Queue, WDFREQUEST Request, size_t Length)
{
	PQUEUE_CONTEXT context = EchoQueueGetContext(Queue);

	_Analysis_assume_(Length > 0);
	if (EchoStore(context, Request, Length))
		EchoKeep(context, Request);
}

/* Holders go; of the last one: the request is not the current one any more, and *Status is what to complete it with. */
static BOOLEAN EchoLeave(PQUEUE_CONTEXT Context, WDFREQUEST Request, LONG Holders, NTSTATUS *Status)
{
	BOOLEAN last;

	WdfSpinLockAcquire(Context->Lock);
	EchoRequestGetContext(Request)->Holders -= Holders;
	last = EchoRequestGetContext(Request)->Holders == 0;
	*Status = Context->CurrentStatus;
	if (last) {
		ASSERT(Context->Current == Request);
		Context->Current = NULL;
	}
	WdfSpinLockRelease(Context->Lock);
	return last;
}

_Use_decl_annotations_ VOID EchoEvtTimer(WDFTIMER Timer)
{
	PQUEUE_CONTEXT context = EchoQueueGetContext((WDFQUEUE)WdfTimerGetParentObject(Timer));
	WDFREQUEST request;
	NTSTATUS status;

	WdfSpinLockAcquire(context->Lock);
	request = context->Current;
	/* It is completed only after it has ceased to be the current one: its context is there. */
	if (request)
		EchoRequestGetContext(request)->Holders++;
	WdfSpinLockRelease(context->Lock);
	if (!request)
		return;

	status = WdfRequestUnmarkCancelable(request);
	/* Unmarked: cancellation does not come any more, and its share is the timer's. */
	if (EchoLeave(context, request, status != STATUS_CANCELLED ? 2 : 1, &status))
		WdfRequestComplete(request, status);
}

_Use_decl_annotations_ VOID EchoEvtRequestCancel(WDFREQUEST Request)
{
	PQUEUE_CONTEXT context = EchoQueueGetContext(WdfRequestGetIoQueue(Request));
	NTSTATUS ignored;

	/* What the timer will say if it is the last one: it asks after this. */
	WdfSpinLockAcquire(context->Lock);
	context->CurrentStatus = STATUS_CANCELLED;
	WdfSpinLockRelease(context->Lock);

	if (EchoLeave(context, Request, 1, &ignored))
		WdfRequestCompleteWithInformation(Request, STATUS_CANCELLED, 0);
}
