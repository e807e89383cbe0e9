/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * I/O queues. What a queue calls is called under its lock if the effective synchronization scope is the queue or
 * the device (at DISPATCH_LEVEL unless the execution level is passive), under none if it is none.
 */
#ifndef _KMDF_WDFIO_H
#define _KMDF_WDFIO_H

#include "wdfrequest.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum _WDF_IO_QUEUE_DISPATCH_TYPE {
	WdfIoQueueDispatchInvalid = 0,
	WdfIoQueueDispatchSequential = 1, /* the next when the driver owns none */
	WdfIoQueueDispatchParallel = 2,   /* NumberOfPresentedRequests at a time */
	WdfIoQueueDispatchManual = 3,     /* as the driver asks for them */
	WdfIoQueueDispatchMax
} WDF_IO_QUEUE_DISPATCH_TYPE;

typedef enum _WDF_IO_QUEUE_STATE {
	WdfIoQueueAcceptRequests = 0x01,
	WdfIoQueueDispatchRequests = 0x02,
	WdfIoQueueNoRequests = 0x04,       /* none waits in it */
	WdfIoQueueDriverNoRequests = 0x08, /* the driver owns none of it */
	WdfIoQueuePnpHeld = 0x10
} WDF_IO_QUEUE_STATE;

typedef enum _WDF_REQUEST_STOP_ACTION_FLAGS {
	WdfRequestStopActionInvalid = 0,
	WdfRequestStopActionSuspend = 0x1,
	WdfRequestStopActionPurge = 0x2,
	WdfRequestStopRequestCancelable = 0x10000000
} WDF_REQUEST_STOP_ACTION_FLAGS;

typedef EVT_WDF_OBJECT_CONTEXT_CLEANUP EVT_WDF_IO_QUEUE_CONTEXT_CLEANUP_CALLBACK;
typedef EVT_WDF_OBJECT_CONTEXT_DESTROY EVT_WDF_IO_QUEUE_CONTEXT_DESTROY_CALLBACK;

/*
 * A request is the driver's now, until it completes, forwards, requeues or sends it away; it need not do so before
 * it returns. Not cancelable until marked. EvtIoDefault is for the types that have no handler of their own. At
 * most DISPATCH_LEVEL, in whatever thread.
 */
typedef VOID EVT_WDF_IO_QUEUE_IO_DEFAULT(WDFQUEUE Queue, WDFREQUEST Request);
typedef EVT_WDF_IO_QUEUE_IO_DEFAULT *PFN_WDF_IO_QUEUE_IO_DEFAULT;
typedef VOID EVT_WDF_IO_QUEUE_IO_READ(WDFQUEUE Queue, WDFREQUEST Request, size_t Length);
typedef EVT_WDF_IO_QUEUE_IO_READ *PFN_WDF_IO_QUEUE_IO_READ;
typedef VOID EVT_WDF_IO_QUEUE_IO_WRITE(WDFQUEUE Queue, WDFREQUEST Request, size_t Length);
typedef EVT_WDF_IO_QUEUE_IO_WRITE *PFN_WDF_IO_QUEUE_IO_WRITE;
typedef VOID EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL(WDFQUEUE Queue, WDFREQUEST Request, size_t OutputBufferLength,
						size_t InputBufferLength, ULONG IoControlCode);
typedef EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL *PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL;
typedef VOID EVT_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL(WDFQUEUE Queue, WDFREQUEST Request, size_t OutputBufferLength,
							 size_t InputBufferLength, ULONG IoControlCode);
typedef EVT_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL *PFN_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL;

/*
 * The device sleeps (Suspend) or goes (Purge), and the driver owns Request: it completes it, acknowledges it with
 * WdfRequestStopAcknowledge(), cancels it if it was sent, or finishes it soon. The device waits for that.
 */
typedef VOID EVT_WDF_IO_QUEUE_IO_STOP(WDFQUEUE Queue, WDFREQUEST Request, ULONG ActionFlags);
typedef EVT_WDF_IO_QUEUE_IO_STOP *PFN_WDF_IO_QUEUE_IO_STOP;

/* The device is back, and Request was acknowledged without Requeue: go on with it. */
typedef VOID EVT_WDF_IO_QUEUE_IO_RESUME(WDFQUEUE Queue, WDFREQUEST Request);
typedef EVT_WDF_IO_QUEUE_IO_RESUME *PFN_WDF_IO_QUEUE_IO_RESUME;

/* A request that the driver had owned, and put back into this queue, was cancelled there. The driver completes it. */
typedef VOID EVT_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE(WDFQUEUE Queue, WDFREQUEST Request);
typedef EVT_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE *PFN_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE;

/* What WdfIoQueueStop(), Drain(), Purge() or ReadyNotify() waited for has come. At most DISPATCH_LEVEL. */
typedef VOID EVT_WDF_IO_QUEUE_STATE(WDFQUEUE Queue, WDFCONTEXT Context);
typedef EVT_WDF_IO_QUEUE_STATE *PFN_WDF_IO_QUEUE_STATE;

typedef struct _WDF_IO_QUEUE_CONFIG {
	ULONG Size;
	WDF_IO_QUEUE_DISPATCH_TYPE DispatchType;
	WDF_TRI_STATE PowerManaged;
	BOOLEAN AllowZeroLengthRequests; /* else they are completed with success and without the driver */
	BOOLEAN DefaultQueue;
	PFN_WDF_IO_QUEUE_IO_DEFAULT EvtIoDefault;
	PFN_WDF_IO_QUEUE_IO_READ EvtIoRead;
	PFN_WDF_IO_QUEUE_IO_WRITE EvtIoWrite;
	PFN_WDF_IO_QUEUE_IO_DEVICE_CONTROL EvtIoDeviceControl;
	PFN_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL EvtIoInternalDeviceControl;
	PFN_WDF_IO_QUEUE_IO_STOP EvtIoStop;
	PFN_WDF_IO_QUEUE_IO_RESUME EvtIoResume;
	PFN_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE EvtIoCanceledOnQueue;
	union {
		struct {
			ULONG NumberOfPresentedRequests; /* (ULONG)-1: no limit */
		} Parallel;
	} Settings;
	WDFDRIVER Driver;
} WDF_IO_QUEUE_CONFIG, *PWDF_IO_QUEUE_CONFIG;

FORCEINLINE VOID WDF_IO_QUEUE_CONFIG_INIT(PWDF_IO_QUEUE_CONFIG Config, WDF_IO_QUEUE_DISPATCH_TYPE DispatchType)
{
	KMDF_INIT_STRUCT(Config);
	Config->PowerManaged = WdfUseDefault;
	Config->DispatchType = DispatchType;
	if (DispatchType == WdfIoQueueDispatchParallel)
		Config->Settings.Parallel.NumberOfPresentedRequests = (ULONG)-1;
}

FORCEINLINE VOID WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(PWDF_IO_QUEUE_CONFIG Config,
							WDF_IO_QUEUE_DISPATCH_TYPE DispatchType)
{
	WDF_IO_QUEUE_CONFIG_INIT(Config, DispatchType);
	Config->DefaultQueue = TRUE;
}

FORCEINLINE BOOLEAN WDF_IO_QUEUE_IDLE(WDF_IO_QUEUE_STATE State)
{
	return (State & WdfIoQueueNoRequests) && (State & WdfIoQueueDriverNoRequests);
}

FORCEINLINE BOOLEAN WDF_IO_QUEUE_READY(WDF_IO_QUEUE_STATE State)
{
	return (State & WdfIoQueueDispatchRequests) && (State & WdfIoQueueAcceptRequests);
}

FORCEINLINE BOOLEAN WDF_IO_QUEUE_STOPPED(WDF_IO_QUEUE_STATE State)
{
	return !(State & WdfIoQueueDispatchRequests) && (State & WdfIoQueueDriverNoRequests);
}

FORCEINLINE BOOLEAN WDF_IO_QUEUE_DRAINED(WDF_IO_QUEUE_STATE State)
{
	return !(State & WdfIoQueueAcceptRequests) && WDF_IO_QUEUE_IDLE(State);
}

FORCEINLINE BOOLEAN WDF_IO_QUEUE_PURGED(WDF_IO_QUEUE_STATE State)
{
	return !(State & WdfIoQueueAcceptRequests) && WDF_IO_QUEUE_IDLE(State);
}

typedef enum _WDF_IO_FORWARD_PROGRESS_ACTION {
	WdfIoForwardProgressActionInvalid = 0,
	WdfIoForwardProgressActionFailRequest,
	WdfIoForwardProgressActionUseReservedRequest
} WDF_IO_FORWARD_PROGRESS_ACTION;

typedef enum _WDF_IO_FORWARD_PROGRESS_RESERVED_POLICY {
	WdfIoForwardProgressInvalidPolicy = 0,
	WdfIoForwardProgressReservedPolicyAlwaysUseReservedRequest,
	WdfIoForwardProgressReservedPolicyUseExamine,
	WdfIoForwardProgressReservedPolicyPagingIO
} WDF_IO_FORWARD_PROGRESS_RESERVED_POLICY;

typedef WDF_IO_FORWARD_PROGRESS_ACTION EVT_WDF_IO_WDM_IRP_FOR_FORWARD_PROGRESS(WDFQUEUE Queue, PIRP Irp);
typedef EVT_WDF_IO_WDM_IRP_FOR_FORWARD_PROGRESS *PFN_WDF_IO_WDM_IRP_FOR_FORWARD_PROGRESS;
typedef NTSTATUS EVT_WDF_IO_ALLOCATE_RESOURCES_FOR_RESERVED_REQUEST(WDFQUEUE Queue, WDFREQUEST Request);
typedef EVT_WDF_IO_ALLOCATE_RESOURCES_FOR_RESERVED_REQUEST *PFN_WDF_IO_ALLOCATE_RESOURCES_FOR_RESERVED_REQUEST;
typedef NTSTATUS EVT_WDF_IO_ALLOCATE_REQUEST_RESOURCES(WDFQUEUE Queue, WDFREQUEST Request);
typedef EVT_WDF_IO_ALLOCATE_REQUEST_RESOURCES *PFN_WDF_IO_ALLOCATE_REQUEST_RESOURCES;

typedef struct _WDF_IO_QUEUE_FORWARD_PROGRESS_POLICY {
	ULONG Size;
	ULONG TotalForwardProgressRequests;
	WDF_IO_FORWARD_PROGRESS_RESERVED_POLICY ForwardProgressReservedPolicy;
	union {
		struct {
			PFN_WDF_IO_WDM_IRP_FOR_FORWARD_PROGRESS EvtIoWdmIrpForForwardProgress;
		} ExaminePolicy;
	} ForwardProgressReservePolicySettings;
	PFN_WDF_IO_ALLOCATE_RESOURCES_FOR_RESERVED_REQUEST EvtIoAllocateResourcesForReservedRequest;
	PFN_WDF_IO_ALLOCATE_REQUEST_RESOURCES EvtIoAllocateRequestResources;
} WDF_IO_QUEUE_FORWARD_PROGRESS_POLICY, *PWDF_IO_QUEUE_FORWARD_PROGRESS_POLICY;

FORCEINLINE VOID WDF_IO_QUEUE_FORWARD_PROGRESS_POLICY_DEFAULT_INIT(PWDF_IO_QUEUE_FORWARD_PROGRESS_POLICY Policy,
								   ULONG TotalForwardProgressRequests)
{
	KMDF_INIT_STRUCT(Policy);
	Policy->TotalForwardProgressRequests = TotalForwardProgressRequests;
	Policy->ForwardProgressReservedPolicy = WdfIoForwardProgressReservedPolicyAlwaysUseReservedRequest;
}

FORCEINLINE VOID WDF_IO_QUEUE_FORWARD_PROGRESS_POLICY_EXAMINE_INIT(
	PWDF_IO_QUEUE_FORWARD_PROGRESS_POLICY Policy, ULONG TotalForwardProgressRequests,
	PFN_WDF_IO_WDM_IRP_FOR_FORWARD_PROGRESS EvtIoWdmIrpForForwardProgress)
{
	KMDF_INIT_STRUCT(Policy);
	Policy->TotalForwardProgressRequests = TotalForwardProgressRequests;
	Policy->ForwardProgressReservedPolicy = WdfIoForwardProgressReservedPolicyUseExamine;
	Policy->ForwardProgressReservePolicySettings.ExaminePolicy.EvtIoWdmIrpForForwardProgress =
		EvtIoWdmIrpForForwardProgress;
}

FORCEINLINE VOID WDF_IO_QUEUE_FORWARD_PROGRESS_POLICY_PAGINGIO_INIT(PWDF_IO_QUEUE_FORWARD_PROGRESS_POLICY Policy,
								    ULONG TotalForwardProgressRequests)
{
	KMDF_INIT_STRUCT(Policy);
	Policy->TotalForwardProgressRequests = TotalForwardProgressRequests;
	Policy->ForwardProgressReservedPolicy = WdfIoForwardProgressReservedPolicyPagingIO;
}

/*
 * The calls below are for at most DISPATCH_LEVEL, those with Synchronously in their name for PASSIVE_LEVEL.
 */

/*
 * Makes a queue of Device, which is its parent. Queue may be NULL for a default queue only. It takes requests
 * once the device has started. STATUS_INFO_LENGTH_MISMATCH: a wrong Size; STATUS_WDF_NO_CALLBACK: not manual, and
 * no handler; STATUS_INVALID_PARAMETER: a bad dispatch type, a manual queue with handlers, a bad
 * NumberOfPresentedRequests, or a scope and level that do not fit the device's; STATUS_INVALID_PARAMETER_4: no
 * place for the handle; STATUS_INVALID_DEVICE_STATE: a default queue for a started device; STATUS_UNSUCCESSFUL: a
 * second default queue; STATUS_INSUFFICIENT_RESOURCES.
 */
NTSTATUS WdfIoQueueCreate(WDFDEVICE Device, PWDF_IO_QUEUE_CONFIG Config, PWDF_OBJECT_ATTRIBUTES QueueAttributes,
			  WDFQUEUE *Queue);

/* WDF_IO_QUEUE_STATE bits, and how many requests wait in it and are the driver's. True for that instant only. */
WDF_IO_QUEUE_STATE WdfIoQueueGetState(WDFQUEUE Queue, PULONG QueueRequests, PULONG DriverRequests);

/* Accepts and dispatches again; also after a purge or drain. A handler may run before it returns. */
VOID WdfIoQueueStart(WDFQUEUE Queue);

/*
 * Dispatches no more and goes on accepting. StopComplete, or the return, comes when the driver owns no request of
 * the queue; so never wait in a callback of the queue, nor with such a request in hand. A second call of the kind
 * before the first has finished is refused with a report. Stop and StopAndPurge are of one kind, Drain and Purge of
 * the other.
 */
VOID WdfIoQueueStop(WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE StopComplete, WDFCONTEXT Context);
VOID WdfIoQueueStopSynchronously(WDFQUEUE Queue);

/* As Stop; and cancels what waits and what the driver has marked cancelable. */
VOID WdfIoQueueStopAndPurge(WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE StopAndPurgeComplete, WDFCONTEXT Context);
VOID WdfIoQueueStopAndPurgeSynchronously(WDFQUEUE Queue);

/*
 * Accepts no more until Start (STATUS_INVALID_DEVICE_STATE for clients), and delivers what waits. Done when all is
 * finished: never, if stopped.
 */
VOID WdfIoQueueDrain(WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE DrainComplete, WDFCONTEXT Context);
VOID WdfIoQueueDrainSynchronously(WDFQUEUE Queue);

/*
 * Accepts no more until Start, and cancels what waits and what the driver has marked cancelable. Done when all is
 * finished.
 */
VOID WdfIoQueuePurge(WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE PurgeComplete, WDFCONTEXT Context);
VOID WdfIoQueuePurgeSynchronously(WDFQUEUE Queue);

WDFDEVICE WdfIoQueueGetDevice(WDFQUEUE Queue);

/*
 * The first request that waits (of that file object), now the driver's. For manual and sequential queues.
 * STATUS_NO_MORE_ENTRIES, a warning: none; STATUS_WDF_PAUSED: stopped; STATUS_INVALID_DEVICE_STATE: parallel.
 */
NTSTATUS WdfIoQueueRetrieveNextRequest(WDFQUEUE Queue, WDFREQUEST *OutRequest);
NTSTATUS WdfIoQueueRetrieveRequestByFileObject(WDFQUEUE Queue, WDFFILEOBJECT FileObject, WDFREQUEST *OutRequest);

/*
 * Looks at a manual queue, from the start or after FoundRequest. *OutRequest stays the queue's, may be cancelled
 * any time, and has a reference for the caller to drop. STATUS_NO_MORE_ENTRIES; STATUS_NOT_FOUND: FoundRequest is
 * not in the queue any more; STATUS_WDF_PAUSED; STATUS_INVALID_DEVICE_STATE: not manual.
 */
NTSTATUS WdfIoQueueFindRequest(WDFQUEUE Queue, WDFREQUEST FoundRequest, WDFFILEOBJECT FileObject,
			       PWDF_REQUEST_PARAMETERS Parameters, WDFREQUEST *OutRequest);

/*
 * Makes a found request the driver's. STATUS_NOT_FOUND: it has gone; else as RetrieveNextRequest. The reference
 * stays.
 */
NTSTATUS WdfIoQueueRetrieveFoundRequest(WDFQUEUE Queue, WDFREQUEST FoundRequest, WDFREQUEST *OutRequest);

/*
 * QueueReady is called whenever the empty queue gets a request; NULL ends that. STATUS_INVALID_DEVICE_REQUEST: not
 * manual, set already, or (to end it) not stopped.
 */
NTSTATUS WdfIoQueueReadyNotify(WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE QueueReady, WDFCONTEXT Context);

/* STATUS_NOT_SUPPORTED. PASSIVE_LEVEL. */
NTSTATUS WdfIoQueueAssignForwardProgressPolicy(WDFQUEUE Queue,
					       PWDF_IO_QUEUE_FORWARD_PROGRESS_POLICY ForwardProgressPolicy);

#ifdef __cplusplus
}
#endif

#endif
