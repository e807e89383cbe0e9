// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Synchronized by the framework: the queue's handlers, its EvtRequestCancel and its timer exclude each other, so the
 * context needs no lock.
 */
#include "driver.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, EchoCreateQueue)
#endif

VOID EchoSetRequestAttributes(PWDFDEVICE_INIT DeviceInit)
{
	UNREFERENCED_PARAMETER(DeviceInit);
}

NTSTATUS EchoCreateQueue(WDFDEVICE Device)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_IO_QUEUE_CONFIG config;
	WDF_TIMER_CONFIG timer;
	WDFQUEUE queue;
	NTSTATUS status;

	PAGED_CODE();

	WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(&config, WdfIoQueueDispatchSequential);
	config.EvtIoRead = EchoEvtRead;
	config.EvtIoWrite = EchoEvtWrite;
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, QUEUE_CONTEXT);
	attributes.SynchronizationScope = WdfSynchronizationScopeQueue;
	attributes.EvtDestroyCallback = EchoEvtQueueDestroy;
	status = WdfIoQueueCreate(Device, &config, &attributes, &queue);
	if (!NT_SUCCESS(status)) {
		KdPrint(("kmecho: WdfIoQueueCreate failed: 0x%x\n", status));
		return status;
	}

	/* AutomaticSerialization is TRUE, and the parent has a scope: the timer runs under the queue's lock. */
	WDF_TIMER_CONFIG_INIT_PERIODIC(&timer, EchoEvtTimer, ECHO_PERIOD_MS);
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = queue;
	return WdfTimerCreate(&timer, &attributes, &EchoQueueGetContext(queue)->Timer);
}

_Use_decl_annotations_ VOID EchoEvtQueueDestroy(WDFOBJECT Object)
{
	PQUEUE_CONTEXT context = EchoQueueGetContext((WDFQUEUE)Object);

	if (context->Block)
		ExFreePool(context->Block);
}

static VOID EchoKeep(PQUEUE_CONTEXT Context, WDFREQUEST Request)
{
	/*
	 * Marked first and stored afterwards. If it has been cancelled already, its EvtRequestCancel comes after the handler
	 * that this is in, and finds it stored.
	 */
	WdfRequestMarkCancelable(Request, EchoEvtRequestCancel);
	Context->Current = Request;
	Context->CurrentStatus = STATUS_SUCCESS;
}

_Use_decl_annotations_ VOID EchoEvtRead(WDFQUEUE Queue, WDFREQUEST Request, size_t Length)
{
	PQUEUE_CONTEXT context = EchoQueueGetContext(Queue);

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

_Use_decl_annotations_ VOID EchoEvtTimer(WDFTIMER Timer)
{
	PQUEUE_CONTEXT context = EchoQueueGetContext((WDFQUEUE)WdfTimerGetParentObject(Timer));
	WDFREQUEST request = context->Current;

	/* STATUS_CANCELLED: EvtRequestCancel comes, and it is the one that completes it. */
	if (request && WdfRequestUnmarkCancelable(request) != STATUS_CANCELLED) {
		context->Current = NULL;
		WdfRequestComplete(request, context->CurrentStatus);
	}
}

_Use_decl_annotations_ VOID EchoEvtRequestCancel(WDFREQUEST Request)
{
	PQUEUE_CONTEXT context = EchoQueueGetContext(WdfRequestGetIoQueue(Request));

	WdfRequestCompleteWithInformation(Request, STATUS_CANCELLED, 0);

	/* The handle is only compared: until this function returns, no other request has its value. */
	ASSERT(context->Current == Request);
	context->Current = NULL;
}
