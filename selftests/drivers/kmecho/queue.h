/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef _KMECHO_QUEUE_H
#define _KMECHO_QUEUE_H

#define ECHO_MAX_LENGTH 40960
#define ECHO_TAG 'hceE'

#ifndef ECHO_PERIOD_MS
#define ECHO_PERIOD_MS 2000
#endif

typedef struct _QUEUE_CONTEXT {
	PVOID Block; /* what was written last, or NULL */
	ULONG BlockLength;
	WDFTIMER Timer;

	WDFREQUEST Current; /* the one that the timer is to complete, or NULL */
	NTSTATUS CurrentStatus;
	WDFSPINLOCK Lock; /* queue_own.c: of the two above and of the requests' holders */
} QUEUE_CONTEXT, *PQUEUE_CONTEXT;

WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(QUEUE_CONTEXT, EchoQueueGetContext)

VOID EchoSetRequestAttributes(_Inout_ PWDFDEVICE_INIT DeviceInit);
NTSTATUS EchoCreateQueue(_In_ WDFDEVICE Device);

EVT_WDF_IO_QUEUE_CONTEXT_DESTROY_CALLBACK EchoEvtQueueDestroy;
EVT_WDF_IO_QUEUE_IO_READ EchoEvtRead;
EVT_WDF_IO_QUEUE_IO_WRITE EchoEvtWrite;
EVT_WDF_REQUEST_CANCEL EchoEvtRequestCancel;
EVT_WDF_TIMER EchoEvtTimer;

/*
 * The part that does not depend on who synchronizes: FALSE if the request has been completed, TRUE if it is to be kept
 * until the timer completes it, with STATUS_SUCCESS and the information that is set.
 */
FORCEINLINE BOOLEAN EchoStore(PQUEUE_CONTEXT Context, WDFREQUEST Request, size_t Length)
{
	WDFMEMORY memory;
	NTSTATUS status;
	PVOID block;

	if (Length > ECHO_MAX_LENGTH) {
		WdfRequestCompleteWithInformation(Request, STATUS_BUFFER_OVERFLOW, 0);
		return FALSE;
	}
	status = WdfRequestRetrieveInputMemory(Request, &memory);
	if (!NT_SUCCESS(status)) {
		WdfRequestComplete(Request, status);
		return FALSE;
	}
	/* The level may be DISPATCH_LEVEL. */
	block = ExAllocatePool2(POOL_FLAG_NON_PAGED, Length, ECHO_TAG);
	if (!block) {
		WdfRequestComplete(Request, STATUS_INSUFFICIENT_RESOURCES);
		return FALSE;
	}
	status = WdfMemoryCopyToBuffer(memory, 0, block, Length);
	if (!NT_SUCCESS(status)) {
		ExFreePool(block);
		WdfRequestComplete(Request, status);
		return FALSE;
	}
	if (Context->Block)
		ExFreePool(Context->Block);
	Context->Block = block;
	Context->BlockLength = (ULONG)Length;
	WdfRequestSetInformation(Request, (ULONG_PTR)Length);
	return TRUE;
}

FORCEINLINE BOOLEAN EchoFetch(PQUEUE_CONTEXT Context, WDFREQUEST Request, size_t Length)
{
	WDFMEMORY memory;
	NTSTATUS status;

	if (!Context->Block) {
		WdfRequestCompleteWithInformation(Request, STATUS_SUCCESS, 0);
		return FALSE;
	}
	if (Length > Context->BlockLength)
		Length = Context->BlockLength;
	status = WdfRequestRetrieveOutputMemory(Request, &memory);
	if (NT_SUCCESS(status))
		status = WdfMemoryCopyFromBuffer(memory, 0, Context->Block, Length);
	if (!NT_SUCCESS(status)) {
		WdfRequestComplete(Request, status);
		return FALSE;
	}
	WdfRequestSetInformation(Request, (ULONG_PTR)Length);
	return TRUE;
}

#endif
