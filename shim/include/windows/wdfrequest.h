/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Requests. Calls are for at most DISPATCH_LEVEL unless they say otherwise, and for a request that the driver owns.
 * An invalid handle is reported.
 */
#ifndef _KMDF_WDFREQUEST_H
#define _KMDF_WDFREQUEST_H

#include "wdfobject.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum _WDF_REQUEST_SEND_OPTIONS_FLAGS {
	WDF_REQUEST_SEND_OPTION_TIMEOUT = 0x1,
	WDF_REQUEST_SEND_OPTION_SYNCHRONOUS = 0x2,
	WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE = 0x4,
	WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET = 0x8
} WDF_REQUEST_SEND_OPTIONS_FLAGS;

typedef enum _WDF_REQUEST_REUSE_FLAGS {
	WDF_REQUEST_REUSE_NO_FLAGS = 0,
	WDF_REQUEST_REUSE_SET_NEW_IRP = 1
} WDF_REQUEST_REUSE_FLAGS;

typedef enum _WDF_REQUEST_FORWARD_OPTIONS_FLAGS {
	WDF_REQUEST_FORWARD_OPTION_SEND_AND_FORGET = 1
} WDF_REQUEST_FORWARD_OPTIONS_FLAGS;

typedef struct _WDF_REQUEST_PARAMETERS {
	USHORT Size;
	UCHAR MinorFunction;
	WDF_REQUEST_TYPE Type;
	union {
		struct {
			PIO_SECURITY_CONTEXT SecurityContext;
			ULONG Options;
			USHORT FileAttributes;
			USHORT ShareAccess;
			ULONG EaLength;
		} Create;
		struct {
			size_t Length;
			ULONG Key;
			LONGLONG DeviceOffset;
		} Read;
		struct {
			size_t Length;
			ULONG Key;
			LONGLONG DeviceOffset;
		} Write;
		struct {
			size_t OutputBufferLength;
			size_t InputBufferLength;
			ULONG IoControlCode;
			PVOID Type3InputBuffer;
		} DeviceIoControl;
		struct {
			PVOID Arg1;
			PVOID Arg2;
			ULONG IoControlCode;
			PVOID Arg4;
		} Others;
	} Parameters;
} WDF_REQUEST_PARAMETERS, *PWDF_REQUEST_PARAMETERS;

FORCEINLINE VOID WDF_REQUEST_PARAMETERS_INIT(PWDF_REQUEST_PARAMETERS Parameters)
{
	KMDF_INIT_STRUCT(Parameters);
}

typedef struct _WDF_USB_REQUEST_COMPLETION_PARAMS *PWDF_USB_REQUEST_COMPLETION_PARAMS;

typedef struct _WDF_REQUEST_COMPLETION_PARAMS {
	ULONG Size;
	WDF_REQUEST_TYPE Type;
	IO_STATUS_BLOCK IoStatus;
	union {
		struct {
			WDFMEMORY Buffer;
			size_t Length;
			size_t Offset;
		} Write;
		struct {
			WDFMEMORY Buffer;
			size_t Length;
			size_t Offset;
		} Read;
		struct {
			ULONG IoControlCode;
			struct {
				WDFMEMORY Buffer;
				size_t Offset;
			} Input;
			struct {
				WDFMEMORY Buffer;
				size_t Offset;
				size_t Length;
			} Output;
		} Ioctl;
		struct {
			union {
				PVOID Ptr;
				ULONG_PTR Value;
			} Argument1, Argument2, Argument3, Argument4;
		} Others;
		struct {
			PWDF_USB_REQUEST_COMPLETION_PARAMS Completion;
		} Usb;
	} Parameters;
} WDF_REQUEST_COMPLETION_PARAMS, *PWDF_REQUEST_COMPLETION_PARAMS;

FORCEINLINE VOID WDF_REQUEST_COMPLETION_PARAMS_INIT(PWDF_REQUEST_COMPLETION_PARAMS Params)
{
	KMDF_INIT_STRUCT(Params);
	Params->Type = WdfRequestTypeNoFormat;
}

typedef struct _WDF_REQUEST_SEND_OPTIONS {
	ULONG Size;
	ULONG Flags;      /* WDF_REQUEST_SEND_OPTIONS_FLAGS */
	LONGLONG Timeout; /* 100 ns, negative is relative; 0: none */
} WDF_REQUEST_SEND_OPTIONS, *PWDF_REQUEST_SEND_OPTIONS;

FORCEINLINE VOID WDF_REQUEST_SEND_OPTIONS_INIT(PWDF_REQUEST_SEND_OPTIONS Options, ULONG Flags)
{
	KMDF_INIT_STRUCT(Options);
	Options->Flags = Flags;
}

FORCEINLINE VOID WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(PWDF_REQUEST_SEND_OPTIONS Options, LONGLONG Timeout)
{
	Options->Flags |= WDF_REQUEST_SEND_OPTION_TIMEOUT;
	Options->Timeout = Timeout;
}

typedef struct _WDF_REQUEST_REUSE_PARAMS {
	ULONG Size;
	ULONG Flags; /* WDF_REQUEST_REUSE_FLAGS */
	NTSTATUS Status;
	PIRP NewIrp;
} WDF_REQUEST_REUSE_PARAMS, *PWDF_REQUEST_REUSE_PARAMS;

FORCEINLINE VOID WDF_REQUEST_REUSE_PARAMS_INIT(PWDF_REQUEST_REUSE_PARAMS Params, ULONG Flags, NTSTATUS Status)
{
	KMDF_INIT_STRUCT(Params);
	Params->Flags = Flags;
	Params->Status = Status;
}

FORCEINLINE VOID WDF_REQUEST_REUSE_PARAMS_SET_NEW_IRP(PWDF_REQUEST_REUSE_PARAMS Params, PIRP NewIrp)
{
	Params->Flags |= WDF_REQUEST_REUSE_SET_NEW_IRP;
	Params->NewIrp = NewIrp;
}

typedef struct _WDF_REQUEST_FORWARD_OPTIONS {
	ULONG Size;
	ULONG Flags; /* WDF_REQUEST_FORWARD_OPTIONS_FLAGS */
} WDF_REQUEST_FORWARD_OPTIONS, *PWDF_REQUEST_FORWARD_OPTIONS;

FORCEINLINE VOID WDF_REQUEST_FORWARD_OPTIONS_INIT(PWDF_REQUEST_FORWARD_OPTIONS ForwardOptions)
{
	KMDF_INIT_STRUCT(ForwardOptions);
	ForwardOptions->Flags = WDF_REQUEST_FORWARD_OPTION_SEND_AND_FORGET;
}

/*
 * A request marked cancelable was cancelled, by its client or by a purge. The driver still owns it and completes
 * it, here or later. Once for each mark, never after an unmark that succeeded; handle and contexts are valid until
 * it returns, even if it is completed here. Called by the queue's dispatcher, in whatever thread, never inside a
 * handler of the same queue on the same stack; at most DISPATCH_LEVEL, at PASSIVE_LEVEL if the queue's execution
 * level is passive; under the queue's lock if the scope is the queue or the device.
 */
typedef VOID EVT_WDF_REQUEST_CANCEL(WDFREQUEST Request);
typedef EVT_WDF_REQUEST_CANCEL *PFN_WDF_REQUEST_CANCEL;

/*
 * A request that was sent has come back: the driver owns it again. Once for each send that returned TRUE, perhaps
 * before the send, or WdfRequestCancelSentRequest(), returns. Any thread, at most DISPATCH_LEVEL, under no lock of
 * the framework.
 */
typedef VOID EVT_WDF_REQUEST_COMPLETION_ROUTINE(WDFREQUEST Request, WDFIOTARGET Target,
						PWDF_REQUEST_COMPLETION_PARAMS Params, WDFCONTEXT Context);
typedef EVT_WDF_REQUEST_COMPLETION_ROUTINE *PFN_WDF_REQUEST_COMPLETION_ROUTINE;

/*
 * A request of the driver's own, to be sent; its parent is the driver unless given. The caller owns it and deletes
 * it. STATUS_INSUFFICIENT_RESOURCES, STATUS_INFO_LENGTH_MISMATCH.
 */
NTSTATUS WdfRequestCreate(PWDF_OBJECT_ATTRIBUTES RequestAttributes, WDFIOTARGET IoTarget, WDFREQUEST *Request);

/* The client's process (Linux's thread group id); 0 for a driver's own. */
ULONG WdfRequestGetRequestorProcessId(WDFREQUEST Request);

/* STATUS_NOT_SUPPORTED: there are no IRPs. */
NTSTATUS WdfRequestCreateFromIrp(PWDF_OBJECT_ATTRIBUTES RequestAttributes, PIRP Irp, BOOLEAN RequestFreesIrp,
				 WDFREQUEST *Request);

/*
 * Makes a request as new, to be sent again, with Status as its status: no format, no completion routine, and what
 * WdfRequestCancelSentRequest() has done is taken back; a client's cancel, or a purge, is not.
 * STATUS_INVALID_DEVICE_REQUEST, with a report: it is sent at the time, or the driver does not have it.
 * STATUS_WDF_REQUEST_INVALID_STATE: a new IRP for a client's request.
 */
NTSTATUS WdfRequestReuse(WDFREQUEST Request, PWDF_REQUEST_REUSE_PARAMS ReuseParams);

/* Request can be sent to that target. STATUS_REQUEST_NOT_ACCEPTED: it cannot. */
NTSTATUS WdfRequestChangeTarget(WDFREQUEST Request, WDFIOTARGET IoTarget);

/*
 * To send a client's request on as it came; a send-and-forget does so by itself. Reported and ignored: it is sent at the
 * time, or the driver does not have it.
 */
VOID WdfRequestFormatRequestUsingCurrentType(WDFREQUEST Request);

/* Reported and ignored: there are no IRPs. */
VOID WdfRequestWdmFormatUsingStackLocation(WDFREQUEST Request, PIO_STACK_LOCATION Stack);

/*
 * TRUE if it was sent, or waits in a stopped target; the completion routine runs or has run. A synchronous send
 * (PASSIVE_LEVEL) has come back, without a routine; a send-and-forget is gone: its queue does not count it any more, and
 * the driver never hears of it.
 * FALSE if it was not; the driver still owns it, no routine runs, and WdfRequestGetStatus() tells why:
 * STATUS_INVALID_PARAMETER: bad options; STATUS_INVALID_DEVICE_REQUEST: a client's request without a completion
 * routine, not fit to forget (the driver's own, or formatted for a target), or marked cancelable, which is reported:
 * unmark first; STATUS_REQUEST_NOT_ACCEPTED: not formatted, which only a send-and-forget need not be;
 * STATUS_INVALID_DEVICE_STATE: the target is purged or closed; STATUS_CANCELLED: cancelled before. The status it comes
 * back with after its timeout is STATUS_IO_TIMEOUT. Sending what is sent already is reported and ignored.
 */
BOOLEAN WdfRequestSend(WDFREQUEST Request, WDFIOTARGET Target, PWDF_REQUEST_SEND_OPTIONS Options);

/* Of the last send. */
NTSTATUS WdfRequestGetStatus(WDFREQUEST Request);

/*
 * From now on EvtRequestCancel hears of a cancel. If it was cancelled before, the callback follows; never on this
 * stack in a handler. For drivers with automatic synchronization; the others use Ex. Ignored, with a report, for
 * what the driver does not own, is marked already, or did not come from a queue.
 */
VOID WdfRequestMarkCancelable(WDFREQUEST Request, PFN_WDF_REQUEST_CANCEL EvtRequestCancel);

/*
 * As that, but STATUS_CANCELLED: it was cancelled before, the callback does not run, and the driver completes it.
 * STATUS_SUCCESS: marked; the callback may already run on another CPU, never on this stack.
 * STATUS_INVALID_DEVICE_REQUEST: as ignored above.
 */
NTSTATUS WdfRequestMarkCancelableEx(WDFREQUEST Request, PFN_WDF_REQUEST_CANCEL EvtRequestCancel);

/*
 * STATUS_SUCCESS: the callback does not run, and the request may be completed. STATUS_CANCELLED: it runs, has run
 * or will run, and it is the callback's to complete it; this does not wait for it.
 * STATUS_INVALID_DEVICE_REQUEST: not the driver's, or not marked. Not for a request that was completed: without
 * automatic synchronization the driver has to know that itself.
 */
NTSTATUS WdfRequestUnmarkCancelable(WDFREQUEST Request);

/*
 * TRUE if it was cancelled; that never changes back, unless only its driver has done it, who then reuses it. For a
 * request that is not marked; else FALSE and a report.
 */
BOOLEAN WdfRequestIsCanceled(WDFREQUEST Request);

/*
 * Asks for what was sent to be cancelled: TRUE if somebody was there to be asked, FALSE if not, or if it had come
 * back. It completes nothing: the completion routine runs all the same, perhaps on this stack. The caller needs a
 * reference of its own. Sends of it are refused from then on, until WdfRequestReuse().
 */
BOOLEAN WdfRequestCancelSentRequest(WDFREQUEST Request);

/* TRUE if the client is a 32-bit program. PASSIVE_LEVEL or APC_LEVEL. */
BOOLEAN WdfRequestIsFrom32BitProcess(WDFREQUEST Request);

/*
 * For the next send only: both are forgotten when the routine is called. NULL: none. Reported and ignored: it is sent at
 * the time, or the driver does not have it.
 */
VOID WdfRequestSetCompletionRoutine(WDFREQUEST Request, PFN_WDF_REQUEST_COMPLETION_ROUTINE CompletionRoutine,
				    WDFCONTEXT CompletionContext);

/*
 * What its last send came back with: Length is what was transferred, Offset is in Buffer. The memory objects are valid
 * as long as it is not formatted anew; none: it was sent with the request's own buffer.
 */
VOID WdfRequestGetCompletionParams(WDFREQUEST Request, PWDF_REQUEST_COMPLETION_PARAMS Params);

/* STATUS_SUCCESS: a send with a timeout does not fail for want of memory. STATUS_INSUFFICIENT_RESOURCES. */
NTSTATUS WdfRequestAllocateTimer(WDFREQUEST Request);

/*
 * Ends the driver's ownership: children are deleted, EvtCleanupCallback runs, then the client gets Status and the
 * information; the handle is not valid after it. The next request of the queue may be presented inside this call.
 * Only for what is not marked, or was cancelled. Completing twice, or with STATUS_PENDING, is reported. The
 * information stays as set before, 0 at first, or is given here; more than the client's buffer is reported and
 * clamped.
 */
VOID WdfRequestComplete(WDFREQUEST Request, NTSTATUS Status);
VOID WdfRequestCompleteWithPriorityBoost(WDFREQUEST Request, NTSTATUS Status, CCHAR PriorityBoost);
VOID WdfRequestCompleteWithInformation(WDFREQUEST Request, NTSTATUS Status, ULONG_PTR Information);

VOID WdfRequestGetParameters(WDFREQUEST Request, PWDF_REQUEST_PARAMETERS Parameters);

/*
 * The client's data (write, device control) or the place for the answer (read, device control); both are one
 * buffer for a METHOD_BUFFERED code. It is the request's and goes with it. STATUS_BUFFER_TOO_SMALL: it is empty, or
 * less than the minimum; STATUS_INVALID_DEVICE_REQUEST: not for this type of request, or METHOD_NEITHER;
 * STATUS_INSUFFICIENT_RESOURCES.
 */
NTSTATUS WdfRequestRetrieveInputMemory(WDFREQUEST Request, WDFMEMORY *Memory);
NTSTATUS WdfRequestRetrieveOutputMemory(WDFREQUEST Request, WDFMEMORY *Memory);
NTSTATUS WdfRequestRetrieveInputBuffer(WDFREQUEST Request, size_t MinimumRequiredLength, PVOID *Buffer, size_t *Length);
NTSTATUS WdfRequestRetrieveOutputBuffer(WDFREQUEST Request, size_t MinimumRequiredSize, PVOID *Buffer, size_t *Length);

/* STATUS_NOT_SUPPORTED: there are no MDLs. */
NTSTATUS WdfRequestRetrieveInputWdmMdl(WDFREQUEST Request, PMDL *Mdl);
NTSTATUS WdfRequestRetrieveOutputWdmMdl(WDFREQUEST Request, PMDL *Mdl);

/*
 * The client's own address, for METHOD_NEITHER, from EvtIoInCallerContext. STATUS_BUFFER_TOO_SMALL;
 * STATUS_INVALID_DEVICE_REQUEST: not in that callback, or another kind of request. PASSIVE_LEVEL. Not to be
 * touched directly: ProbeAndLock below copies it.
 */
NTSTATUS WdfRequestRetrieveUnsafeUserInputBuffer(WDFREQUEST Request, size_t MinimumRequiredLength, PVOID *InputBuffer,
						 size_t *Length);
NTSTATUS WdfRequestRetrieveUnsafeUserOutputBuffer(WDFREQUEST Request, size_t MinimumRequiredLength, PVOID *OutputBuffer,
						  size_t *Length);

VOID WdfRequestSetInformation(WDFREQUEST Request, ULONG_PTR Information);
ULONG_PTR WdfRequestGetInformation(WDFREQUEST Request);

/* NULL if it has none. */
WDFFILEOBJECT WdfRequestGetFileObject(WDFREQUEST Request);

/*
 * Memory for the client's own buffer, from EvtIoInCallerContext; the request's. STATUS_ACCESS_VIOLATION: a bad
 * address; STATUS_INVALID_USER_BUFFER: length 0; STATUS_INVALID_DEVICE_REQUEST: not in the client's context;
 * STATUS_INSUFFICIENT_RESOURCES. PASSIVE_LEVEL.
 */
NTSTATUS WdfRequestProbeAndLockUserBufferForRead(WDFREQUEST Request, PVOID Buffer, size_t Length,
						 WDFMEMORY *MemoryObject);
NTSTATUS WdfRequestProbeAndLockUserBufferForWrite(WDFREQUEST Request, PVOID Buffer, size_t Length,
						  WDFMEMORY *MemoryObject);

/* UserMode for a client's, KernelMode for a driver's own. */
KPROCESSOR_MODE WdfRequestGetRequestorMode(WDFREQUEST Request);

/*
 * STATUS_SUCCESS: it is in that queue and the driver has lost it. Otherwise the driver still owns it:
 * STATUS_INVALID_DEVICE_REQUEST: not the driver's, marked cancelable, the same queue, or one of another device;
 * STATUS_WDF_BUSY: the queue does not accept.
 */
NTSTATUS WdfRequestForwardToIoQueue(WDFREQUEST Request, WDFQUEUE DestinationQueue);

/* The queue that presented it; NULL for a driver's own. */
WDFQUEUE WdfRequestGetIoQueue(WDFREQUEST Request);

/*
 * Puts it back at the head of its manual queue; cancelled or not, the driver has lost it.
 * STATUS_INVALID_DEVICE_REQUEST: not manual, not the driver's, or marked.
 */
NTSTATUS WdfRequestRequeue(WDFREQUEST Request);

/*
 * In EvtIoStop: Requeue puts it back, to be presented as new (unmark it first); without, the driver keeps it, and
 * EvtIoResume follows.
 */
VOID WdfRequestStopAcknowledge(WDFREQUEST Request, BOOLEAN Requeue);

/* NULL, for there are no IRPs. */
PIRP WdfRequestWdmGetIrp(WDFREQUEST Request);

/* FALSE. */
BOOLEAN WdfRequestIsReserved(WDFREQUEST Request);

/* STATUS_INVALID_DEVICE_REQUEST: there are no parent devices. */
NTSTATUS WdfRequestForwardToParentDeviceIoQueue(WDFREQUEST Request, WDFQUEUE ParentDeviceQueue,
						PWDF_REQUEST_FORWARD_OPTIONS ForwardOptions);

#ifdef __cplusplus
}
#endif

#endif
