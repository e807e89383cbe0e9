// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Calls with handles that are none, or at a level that they are not for: the verifier tells of each, and nothing happens. */
#include "kmapi.h"

typedef struct _MISUSED {
	ULONG Value;
} MISUSED, *PMISUSED;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(MISUSED, GetMisused)

VOID ApiOfEntry(PRESULT Result)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_DRIVER_CONFIG config;

	EQUAL(STATUS_INVALID_PARAMETER, ApiEntry.NoConfig);
	EQUAL(STATUS_INFO_LENGTH_MISMATCH, ApiEntry.BadSize);
	CHECK(!NT_SUCCESS(ApiEntry.BadAttributes));
	EQUAL(STATUS_DRIVER_UNABLE_TO_LOAD, ApiEntry.Again);
	EQUAL(WdfGetDriver(), ApiEntry.Driver);
	/* It is too late, and there is one. */
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	WDF_DRIVER_CONFIG_INIT(&config, NULL);
	EQUAL(STATUS_DRIVER_UNABLE_TO_LOAD,
	      BROKEN(WdfDriverCreate(ApiEntry.Object, NULL, &attributes, &config, WDF_NO_HANDLE)));
}

/* ---- handles */

/* Of an object that is gone. */
static WDFOBJECT Stale(PRESULT Result)
{
	WDFOBJECT object = NULL;

	EQUAL(STATUS_SUCCESS, WdfObjectCreate(WDF_NO_OBJECT_ATTRIBUTES, &object));
	WdfObjectDelete(object);
	return object;
}

/* Handle: of no object, or of one of another kind. */
static VOID OfAnyType(PRESULT Result, PVOID Handle)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFOBJECT object = NULL;
	PMISUSED context;

	BROKEN(WdfObjectAcquireLock(Handle));
	BROKEN(WdfObjectReleaseLock(Handle));
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, MISUSED);
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfObjectAllocateContext(Handle, &attributes, (PVOID *)&context)));
	CHECK(!BROKEN(GetMisused(Handle)));
	attributes.ParentObject = Handle;
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfObjectCreate(&attributes, &object)));
	BROKEN(WdfObjectReference(Handle));
	BROKEN(WdfObjectDereference(Handle));
	BROKEN(WdfObjectDelete(Handle));
}

static VOID OfLocks(PRESULT Result, PVOID Handle)
{
	BROKEN(WdfSpinLockAcquire(Handle));
	EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());
	BROKEN(WdfSpinLockRelease(Handle));
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfWaitLockAcquire(Handle, NULL)));
	BROKEN(WdfWaitLockRelease(Handle));
}

static VOID OfTimers(PRESULT Result, PVOID Handle)
{
	CHECK(!BROKEN(WdfTimerStart(Handle, WDF_REL_TIMEOUT_IN_MS(1))));
	CHECK(!BROKEN(WdfTimerStop(Handle, TRUE)));
	CHECK(!BROKEN(WdfTimerGetParentObject(Handle)));
	BROKEN(WdfWorkItemEnqueue(Handle));
	BROKEN(WdfWorkItemFlush(Handle));
	CHECK(!BROKEN(WdfWorkItemGetParentObject(Handle)));
}

static VOID OfMemory(PRESULT Result, PVOID Handle)
{
	WDFCOLLECTION collection = NULL;
	WDFSTRING string = NULL;
	UNICODE_STRING text;
	UCHAR bytes[4] = {};
	size_t size = 1;

	CHECK(!BROKEN(WdfMemoryGetBuffer(Handle, &size)));
	EQUAL(0, size);
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfMemoryAssignBuffer(Handle, bytes, 4)));
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfMemoryCopyToBuffer(Handle, 0, bytes, 4)));
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfMemoryCopyFromBuffer(Handle, 0, bytes, 4)));
	RtlZeroMemory(&text, sizeof(text));
	BROKEN(WdfStringGetUnicodeString(Handle, &text));
	EQUAL(0, text.Length);
	CHECK(!NT_SUCCESS(BROKEN(WdfDriverRetrieveVersionString(WdfGetDriver(), Handle))));
	EQUAL(STATUS_SUCCESS, WdfStringCreate(NULL, WDF_NO_OBJECT_ATTRIBUTES, &string));
	CHECK(!NT_SUCCESS(BROKEN(WdfDriverRetrieveVersionString(Handle, string))));
	WdfObjectDelete(string);
	EQUAL(0, BROKEN(WdfCollectionGetCount(Handle)));
	CHECK(!BROKEN(WdfCollectionGetItem(Handle, 0)));
	CHECK(!BROKEN(WdfCollectionGetFirstItem(Handle)));
	CHECK(!BROKEN(WdfCollectionGetLastItem(Handle)));
	BROKEN(WdfCollectionRemoveItem(Handle, 0));
	EQUAL(STATUS_SUCCESS, WdfCollectionCreate(WDF_NO_OBJECT_ATTRIBUTES, &collection));
	CHECK(!NT_SUCCESS(BROKEN(WdfCollectionAdd(Handle, collection))));
	EQUAL(0, WdfCollectionGetCount(collection));
	WdfObjectDelete(collection);
}

DECLARE_CONST_UNICODE_STRING(MisusedSddl, L"D:P(A;;GA;;;SY)");
DECLARE_CONST_UNICODE_STRING(MisusedLink, L"\\DosDevices\\kmapi_misused");
static const GUID Interface = {0x1d2c3b4a, 1, 2, {3, 4, 5, 6, 7, 8, 9, 10}};

static VOID OfDevices(PRESULT Result, PVOID Handle)
{
	WDFIOTARGET target = NULL;
	WDF_IO_QUEUE_CONFIG config;
	WDFQUEUE queue = NULL;

	CHECK(!BROKEN(WdfControlDeviceInitAllocate(Handle, &MisusedSddl)));
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfDeviceCreateSymbolicLink(Handle, &MisusedLink)));
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfDeviceCreateDeviceInterface(Handle, &Interface, NULL)));
	CHECK(!BROKEN(WdfDeviceGetDefaultQueue(Handle)));
	CHECK(!BROKEN(WdfDeviceGetIoTarget(Handle)));
	BROKEN(WdfControlFinishInitializing(Handle));
	WDF_IO_QUEUE_CONFIG_INIT(&config, WdfIoQueueDispatchManual);
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfIoQueueCreate(Handle, &config, WDF_NO_OBJECT_ATTRIBUTES, &queue)));
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfIoTargetCreate(Handle, WDF_NO_OBJECT_ATTRIBUTES, &target)));
	CHECK(!BROKEN(WdfFileObjectGetDevice(Handle)));
}

static VOID OfQueues(PRESULT Result, PVOID Handle)
{
	WDFREQUEST request = NULL;
	WDF_IO_QUEUE_CONFIG config;
	WDFQUEUE queue = NULL;
	ULONG queued = 1;

	EQUAL(0, BROKEN(WdfIoQueueGetState(Handle, &queued, NULL)));
	CHECK(!BROKEN(WdfIoQueueGetDevice(Handle)));
	BROKEN(WdfIoQueueStart(Handle));
	BROKEN(WdfIoQueueStop(Handle, NULL, NULL));
	BROKEN(WdfIoQueuePurgeSynchronously(Handle));
	CHECK(!NT_SUCCESS(BROKEN(WdfIoQueueReadyNotify(Handle, NULL, NULL))));
	CHECK(!NT_SUCCESS(BROKEN(WdfIoQueueRetrieveNextRequest(Handle, &request))));
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfIoQueueFindRequest(Handle, NULL, NULL, NULL, &request)));
	WDF_IO_QUEUE_CONFIG_INIT(&config, WdfIoQueueDispatchManual);
	EQUAL(STATUS_SUCCESS, WdfIoQueueCreate(ApiDevice, &config, WDF_NO_OBJECT_ATTRIBUTES, &queue));
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfIoQueueFindRequest(queue, Handle, NULL, NULL, &request)));
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfIoQueueFindRequest(queue, NULL, Handle, NULL, &request)));
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfIoQueueRetrieveRequestByFileObject(queue, Handle, &request)));
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfIoQueueRetrieveFoundRequest(queue, Handle, &request)));
	EQUAL(STATUS_NO_MORE_ENTRIES, WdfIoQueueFindRequest(queue, NULL, NULL, NULL, &request));
	WdfObjectDelete(queue);
}

static VOID OfRequests(PRESULT Result, PVOID Handle)
{
	WDF_IO_TARGET_OPEN_PARAMS params;
	WDFREQUEST request = NULL;
	PVOID buffer;

	BROKEN(WdfRequestComplete(Handle, STATUS_SUCCESS));
	CHECK(!NT_SUCCESS(BROKEN(WdfRequestMarkCancelableEx(Handle, NULL))));
	CHECK(!NT_SUCCESS(BROKEN(WdfRequestUnmarkCancelable(Handle))));
	CHECK(!BROKEN(WdfRequestIsCanceled(Handle)));
	CHECK(!NT_SUCCESS(BROKEN(WdfRequestRetrieveInputBuffer(Handle, 1, &buffer, NULL))));
	CHECK(!BROKEN(WdfRequestGetFileObject(Handle)));
	CHECK(!BROKEN(WdfRequestGetIoQueue(Handle)));
	BROKEN(WdfRequestStopAcknowledge(Handle, FALSE));
	CHECK(!NT_SUCCESS(BROKEN(WdfRequestRequeue(Handle))));
	CHECK(!BROKEN(WdfRequestCancelSentRequest(Handle)));
	BROKEN(WdfRequestWdmFormatUsingStackLocation(Handle, NULL));
	EQUAL(STATUS_SUCCESS, WdfRequestCreate(WDF_NO_OBJECT_ATTRIBUTES, NULL, &request));
	CHECK(!NT_SUCCESS(BROKEN(WdfRequestChangeTarget(request, Handle))));
	CHECK(!BROKEN(WdfRequestSend(request, Handle, NULL)));
	/* There is no such thing here. */
	BROKEN(WdfRequestWdmFormatUsingStackLocation(request, NULL));
	WdfObjectDelete(request);
	EQUAL(WdfIoTargetStateUndefined, BROKEN(WdfIoTargetGetState(Handle)));
	CHECK(!NT_SUCCESS(BROKEN(WdfIoTargetStart(Handle))));
	BROKEN(WdfIoTargetStop(Handle, WdfIoTargetCancelSentIo));
	BROKEN(WdfIoTargetClose(Handle));
	WDF_IO_TARGET_OPEN_PARAMS_INIT_REOPEN(&params);
	CHECK(!NT_SUCCESS(BROKEN(WdfIoTargetOpen(Handle, &params))));
	CHECK(!BROKEN(WdfIoTargetGetDevice(Handle)));
}

VOID ApiHandle(PRESULT Result, WDFREQUEST Request)
{
	WDFOBJECT stale = Stale(Result), other = NULL;

	OfAnyType(Result, stale);
	/* Of another kind: it stays what it is. */
	EQUAL(STATUS_SUCCESS, WdfObjectCreate(WDF_NO_OBJECT_ATTRIBUTES, &other));
	for (int i = 0; i < 2; i++) {
		PVOID handle = i ? other : stale;

		OfLocks(Result, handle);
		OfTimers(Result, handle);
		OfMemory(Result, handle);
		OfDevices(Result, handle);
		OfQueues(Result, handle);
		OfRequests(Result, handle);
	}
	BROKEN(WdfObjectAcquireLock(other));
	BROKEN(WdfObjectReleaseLock(other));
	WdfObjectDelete(other);
	CHECK(!WdfObjectContextGetObject(NULL));
	/* The client's own is as it was. */
	CHECK(!WdfRequestIsCanceled(Request));
}

/* ---- levels */

static VOID SentAbovePassive(PRESULT Result)
{
	WDF_MEMORY_DESCRIPTOR out;
	WDF_REQUEST_SEND_OPTIONS options;
	WDFREQUEST request = NULL;
	WDFIOTARGET target = WdfDeviceGetIoTarget(ApiDevice);
	UCHAR to[8];
	KIRQL level;

	EQUAL(STATUS_SUCCESS, WdfRequestCreate(WDF_NO_OBJECT_ATTRIBUTES, target, &request));
	EQUAL(STATUS_SUCCESS, WdfIoTargetFormatRequestForRead(target, request, NULL, NULL, NULL));
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_SYNCHRONOUS);
	WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(&out, to, 8);
	KeRaiseIrql(DISPATCH_LEVEL, &level);
	CHECK(!BROKEN(WdfRequestSend(request, target, &options)));
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, WdfRequestGetStatus(request));
	EQUAL(STATUS_INVALID_DEVICE_REQUEST,
	      BROKEN(WdfIoTargetSendReadSynchronously(target, NULL, &out, NULL, NULL, NULL)));
	KeLowerIrql(level);
	WdfObjectDelete(request);
}

static VOID TargetsAbovePassive(PRESULT Result)
{
	WDF_IO_TARGET_OPEN_PARAMS params;
	WDFIOTARGET target = NULL, other = NULL;
	KIRQL level;

	EQUAL(STATUS_SUCCESS, WdfIoTargetCreate(ApiDevice, WDF_NO_OBJECT_ATTRIBUTES, &target));
	WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(&params, &MisusedLink, GENERIC_READ);
	KeRaiseIrql(DISPATCH_LEVEL, &level);
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, BROKEN(WdfIoTargetCreate(ApiDevice, WDF_NO_OBJECT_ATTRIBUTES, &other)));
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, BROKEN(WdfIoTargetOpen(target, &params)));
	BROKEN(WdfIoTargetStop(target, WdfIoTargetWaitForSentIoToComplete));
	BROKEN(WdfIoTargetPurge(target, WdfIoTargetPurgeIoAndWait));
	BROKEN(WdfIoTargetClose(target));
	KeLowerIrql(level);
	WdfObjectDelete(target);
}

VOID ApiLevel(PRESULT Result)
{
	PWDFDEVICE_INIT init = WdfControlDeviceInitAllocate(WdfGetDriver(), &MisusedSddl);
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_WORKITEM_CONFIG itemConfig;
	WDF_TIMER_CONFIG timerConfig;
	WDF_IO_QUEUE_CONFIG config;
	WDFWORKITEM item = NULL;
	WDFDEVICE device = NULL;
	WDFTIMER timer = NULL;
	WDFQUEUE queue = NULL;
	WDFWAITLOCK lock = NULL;
	LARGE_INTEGER soon;
	KEVENT event;
	KIRQL level;

	CHECK(init);
	soon.QuadPart = -10000;
	KeInitializeEvent(&event, NotificationEvent, FALSE);
	EQUAL(STATUS_SUCCESS, WdfWaitLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &lock));
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = ApiDevice;
	WDF_TIMER_CONFIG_INIT(&timerConfig, ApiTimer);
	EQUAL(STATUS_SUCCESS, WdfTimerCreate(&timerConfig, &attributes, &timer));
	WDF_WORKITEM_CONFIG_INIT(&itemConfig, ApiItem);
	itemConfig.AutomaticSerialization = FALSE;
	EQUAL(STATUS_SUCCESS, WdfWorkItemCreate(&itemConfig, &attributes, &item));
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ExecutionLevel = WdfExecutionLevelPassive;
	attributes.SynchronizationScope = WdfSynchronizationScopeQueue;
	WDF_IO_QUEUE_CONFIG_INIT(&config, WdfIoQueueDispatchManual);
	EQUAL(STATUS_SUCCESS, WdfIoQueueCreate(ApiDevice, &config, &attributes, &queue));
	EQUAL(STATUS_SUCCESS, WdfWaitLockAcquire(lock, NULL));

	KeRaiseIrql(DISPATCH_LEVEL, &level);
	BROKEN(KeDelayExecutionThread(KernelMode, FALSE, &soon));
	EQUAL(STATUS_TIMEOUT, BROKEN(KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &soon)));
	EQUAL(STATUS_TIMEOUT, BROKEN(WdfWaitLockAcquire(lock, NULL)));
	EQUAL(STATUS_INVALID_PARAMETER, BROKEN(WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &device)));
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, BROKEN(WdfDeviceCreateSymbolicLink(ApiDevice, &MisusedLink)));
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, BROKEN(WdfDeviceCreateDeviceInterface(ApiDevice, &Interface, NULL)));
	BROKEN(WdfTimerStop(timer, TRUE));
	BROKEN(WdfWorkItemFlush(item));
	BROKEN(WdfObjectAcquireLock(queue));
	/* It has not got it. */
	BROKEN(WdfObjectReleaseLock(queue));
	BROKEN(WdfIoQueuePurgeSynchronously(queue));
	BROKEN(WdfIoQueueStopAndPurgeSynchronously(queue));
	BROKEN(WdfIoQueueDrainSynchronously(queue));
	EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
	KeLowerIrql(level);

	WdfWaitLockRelease(lock);
	WdfObjectAcquireLock(queue);
	WdfObjectReleaseLock(queue);
	WdfObjectDelete(queue);
	WdfObjectDelete(item);
	WdfObjectDelete(timer);
	WdfObjectDelete(lock);
	WdfDeviceInitFree(init);
	TargetsAbovePassive(Result);
	SentAbovePassive(Result);
}
