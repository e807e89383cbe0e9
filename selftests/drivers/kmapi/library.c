// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Objects, memory, locks and what the kernel is asked. */
#include "kmapi.h"

typedef struct _COUNTED {
	ULONG Value;
} COUNTED, *PCOUNTED;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(COUNTED, GetCounted)

typedef struct _OTHER {
	ULONG Values[100];
} OTHER, *POTHER;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(OTHER, GetOther)

VOID ApiCollection(PRESULT Result)
{
	WDFCOLLECTION collection = NULL;
	WDFOBJECT objects[3] = {NULL, NULL, NULL};

	EQUAL(STATUS_SUCCESS, WdfCollectionCreate(WDF_NO_OBJECT_ATTRIBUTES, &collection));
	EQUAL(0, WdfCollectionGetCount(collection));
	CHECK(!WdfCollectionGetFirstItem(collection));
	CHECK(!WdfCollectionGetLastItem(collection));
	for (int i = 0; i < 3; i++) {
		EQUAL(STATUS_SUCCESS, WdfObjectCreate(WDF_NO_OBJECT_ATTRIBUTES, &objects[i]));
		EQUAL(STATUS_SUCCESS, WdfCollectionAdd(collection, objects[i]));
	}
	EQUAL(STATUS_INVALID_PARAMETER, WdfCollectionAdd(collection, NULL));
	EQUAL(3, WdfCollectionGetCount(collection));
	EQUAL(objects[0], WdfCollectionGetFirstItem(collection));
	EQUAL(objects[1], WdfCollectionGetItem(collection, 1));
	EQUAL(objects[2], WdfCollectionGetLastItem(collection));
	CHECK(!WdfCollectionGetItem(collection, 3));
	WdfCollectionRemove(collection, objects[1]);
	EQUAL(2, WdfCollectionGetCount(collection));
	EQUAL(objects[2], WdfCollectionGetItem(collection, 1));
	/* Neither is there: the verifier tells. */
	BROKEN(WdfCollectionRemove(collection, objects[1]));
	BROKEN(WdfCollectionRemoveItem(collection, 7));
	EQUAL(2, WdfCollectionGetCount(collection));
	WdfCollectionRemoveItem(collection, 0);
	EQUAL(objects[2], WdfCollectionGetFirstItem(collection));
	/* It holds what is in it, which is deleted before it is. */
	for (int i = 0; i < 3; i++)
		WdfObjectDelete(objects[i]);
	WdfObjectDelete(collection);
}

VOID ApiMemory(PRESULT Result)
{
	WDFMEMORY own = NULL, given = NULL;
	UCHAR first[8] = "abcdefg", second[4] = "xyz", copy[8];
	WDFSTRING string = NULL;
	UNICODE_STRING text;
	size_t size;
	PVOID buffer;

	EQUAL(STATUS_INVALID_PARAMETER,
	      WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, 'kmap', 0, &own, NULL));
	EQUAL(STATUS_SUCCESS, WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, 'kmap', 8, &own, &buffer));
	EQUAL(buffer, WdfMemoryGetBuffer(own, &size));
	EQUAL(8, size);
	EQUAL(STATUS_SUCCESS, WdfMemoryCopyFromBuffer(own, 0, first, 8));
	EQUAL(STATUS_INVALID_BUFFER_SIZE, WdfMemoryCopyFromBuffer(own, 1, first, 8));
	EQUAL(STATUS_INVALID_PARAMETER, WdfMemoryCopyFromBuffer(own, 0, NULL, 8));
	EQUAL(STATUS_SUCCESS, WdfMemoryCopyToBuffer(own, 2, copy, 6));
	CHECK(!memcmp(copy, "cdefg", 6));
	EQUAL(STATUS_BUFFER_TOO_SMALL, WdfMemoryCopyToBuffer(own, 3, copy, 6));
	EQUAL(STATUS_INVALID_PARAMETER, WdfMemoryCopyToBuffer(own, 0, copy, 0));
	EQUAL(STATUS_INVALID_PARAMETER, WdfMemoryAssignBuffer(own, first, 8));

	EQUAL(STATUS_INVALID_PARAMETER, WdfMemoryCreatePreallocated(WDF_NO_OBJECT_ATTRIBUTES, NULL, 8, &given));
	EQUAL(STATUS_SUCCESS, WdfMemoryCreatePreallocated(WDF_NO_OBJECT_ATTRIBUTES, first, 8, &given));
	EQUAL(first, WdfMemoryGetBuffer(given, NULL));
	EQUAL(STATUS_INVALID_PARAMETER, WdfMemoryAssignBuffer(given, second, 0));
	EQUAL(STATUS_SUCCESS, WdfMemoryAssignBuffer(given, second, 4));
	EQUAL(second, WdfMemoryGetBuffer(given, &size));
	EQUAL(4, size);
	WdfObjectDelete(given);
	WdfObjectDelete(own);
	CHECK(!memcmp(first, "abcdefg", 8));

	RtlInitUnicodeString(&text, L"some text");
	EQUAL(STATUS_SUCCESS, WdfStringCreate(&text, WDF_NO_OBJECT_ATTRIBUTES, &string));
	RtlZeroMemory(&text, sizeof(text));
	WdfStringGetUnicodeString(string, &text);
	EQUAL(18, text.Length);
	CHECK(!memcmp(text.Buffer, L"some text", 18));
	EQUAL(STATUS_SUCCESS, WdfDriverRetrieveVersionString(WdfGetDriver(), string));
	WdfStringGetUnicodeString(string, &text);
	CHECK(text.Length > 20);
	WdfObjectDelete(string);
	EQUAL(STATUS_SUCCESS, WdfStringCreate(NULL, WDF_NO_OBJECT_ATTRIBUTES, &string));
	WdfStringGetUnicodeString(string, &text);
	EQUAL(0, text.Length);
	WdfObjectDelete(string);
}

_Use_decl_annotations_ VOID ApiTimer(WDFTIMER Timer)
{
	UNREFERENCED_PARAMETER(Timer);
}

_Use_decl_annotations_ VOID ApiItem(WDFWORKITEM Item)
{
	UNREFERENCED_PARAMETER(Item);
}

static VOID ParentsOfTimers(PRESULT Result)
{
	WDF_WORKITEM_CONFIG itemConfig;
	WDF_TIMER_CONFIG timerConfig;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFWORKITEM item = NULL;
	WDFTIMER timer = NULL;
	LARGE_INTEGER until;

	WDF_TIMER_CONFIG_INIT(&timerConfig, ApiTimer);
	WDF_WORKITEM_CONFIG_INIT(&itemConfig, ApiItem);
	EQUAL(STATUS_WDF_PARENT_NOT_SPECIFIED, WdfTimerCreate(&timerConfig, WDF_NO_OBJECT_ATTRIBUTES, &timer));
	EQUAL(STATUS_WDF_PARENT_NOT_SPECIFIED, WdfWorkItemCreate(&itemConfig, WDF_NO_OBJECT_ATTRIBUTES, &item));
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = WdfGetDriver();
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, WdfTimerCreate(&timerConfig, &attributes, &timer));
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, WdfWorkItemCreate(&itemConfig, &attributes, &item));
	attributes.ParentObject = ApiDevice;
	timerConfig.Size--;
	itemConfig.Size--;
	EQUAL(STATUS_INFO_LENGTH_MISMATCH, WdfTimerCreate(&timerConfig, &attributes, &timer));
	EQUAL(STATUS_INFO_LENGTH_MISMATCH, WdfWorkItemCreate(&itemConfig, &attributes, &item));
	WDF_TIMER_CONFIG_INIT(&timerConfig, NULL);
	WDF_WORKITEM_CONFIG_INIT(&itemConfig, NULL);
	EQUAL(STATUS_INVALID_PARAMETER, WdfTimerCreate(&timerConfig, &attributes, &timer));
	EQUAL(STATUS_INVALID_PARAMETER, WdfWorkItemCreate(&itemConfig, &attributes, &item));
	WDF_TIMER_CONFIG_INIT_PERIODIC(&timerConfig, ApiTimer, 100);
	attributes.ExecutionLevel = WdfExecutionLevelPassive;
	EQUAL(STATUS_NOT_SUPPORTED, WdfTimerCreate(&timerConfig, &attributes, &timer));
	attributes.ExecutionLevel = WdfExecutionLevelInheritFromParent;
	timerConfig.AutomaticSerialization = FALSE;
	EQUAL(STATUS_SUCCESS, WdfTimerCreate(&timerConfig, &attributes, &timer));
	EQUAL(ApiDevice, WdfTimerGetParentObject(timer));
	/* At a time of day, which is far away. */
	KeQuerySystemTime(&until);
	CHECK(!WdfTimerStart(timer, until.QuadPart + 100 * 10000000ll));
	CHECK(WdfTimerStop(timer, TRUE));
	CHECK(!WdfTimerStop(timer, TRUE));
	WDF_WORKITEM_CONFIG_INIT(&itemConfig, ApiItem);
	itemConfig.AutomaticSerialization = FALSE;
	EQUAL(STATUS_SUCCESS, WdfWorkItemCreate(&itemConfig, &attributes, &item));
	EQUAL(ApiDevice, WdfWorkItemGetParentObject(item));
	WdfWorkItemEnqueue(item);
	WdfWorkItemFlush(item);
	WdfObjectDelete(item);
	WdfObjectDelete(timer);
}

VOID ApiObject(PRESULT Result)
{
	WDF_OBJECT_ATTRIBUTES attributes, more;
	PCOUNTED counted;
	WDFOBJECT object = NULL;
	POTHER other = NULL;
	PVOID context;

	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, COUNTED);
	EQUAL(STATUS_SUCCESS, WdfObjectCreate(&attributes, &object));
	counted = GetCounted(object);
	CHECK(counted);
	EQUAL(0, counted->Value);
	EQUAL(object, WdfObjectContextGetObject(counted));
	CHECK(!BROKEN(GetOther(object)));
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&more, OTHER);
	EQUAL(STATUS_SUCCESS, WdfObjectAllocateContext(object, &more, (PVOID *)&other));
	EQUAL(other, GetOther(object));
	EQUAL(0, other->Values[99]);
	context = NULL;
	EQUAL(STATUS_OBJECT_NAME_EXISTS, WdfObjectAllocateContext(object, &more, &context));
	EQUAL(other, context);
	EQUAL(object, WdfObjectContextGetObject(other));
	EQUAL(counted, GetCounted(object));
	more.Size--;
	CHECK(!NT_SUCCESS(WdfObjectAllocateContext(object, &more, &context)));
	WDF_OBJECT_ATTRIBUTES_INIT(&more);
	CHECK(!NT_SUCCESS(WdfObjectAllocateContext(object, &more, &context)));
	/* A parent of another kind, a context that is as large as no other. */
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, COUNTED);
	attributes.ParentObject = object;
	attributes.ContextSizeOverride = 64;
	EQUAL(STATUS_SUCCESS, WdfObjectCreate(&attributes, &object));
	GetCounted(object)[15].Value = 1;
	attributes.ContextSizeOverride = 1;
	CHECK(!NT_SUCCESS(WdfObjectCreate(&attributes, &object)));
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.Size = 1;
	CHECK(!NT_SUCCESS(WdfObjectCreate(&attributes, &object)));
	WdfObjectDelete(WdfObjectContextGetObject(counted));
	ParentsOfTimers(Result);
}

VOID ApiKernel(PRESULT Result)
{
	LARGE_INTEGER before, after, later, none, soon, frequency;
	WDF_DRIVER_VERSION_AVAILABLE_PARAMS version;
	KSPIN_LOCK lock;
	KEVENT event;
	KIRQL level, again;
	PVOID pool;

	none.QuadPart = 0;
	soon.QuadPart = -10000; /* a millisecond */
	KeInitializeEvent(&event, NotificationEvent, FALSE);
	EQUAL(STATUS_TIMEOUT, KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &none));
	EQUAL(STATUS_TIMEOUT, KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &soon));
	EQUAL(0, KeSetEvent(&event, IO_NO_INCREMENT, FALSE));
	EQUAL(STATUS_SUCCESS, KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, NULL));
	EQUAL(STATUS_SUCCESS, KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &soon));
	EQUAL(1, KeResetEvent(&event));
	EQUAL(0, KeReadStateEvent(&event));
	KeInitializeEvent(&event, SynchronizationEvent, TRUE);
	EQUAL(STATUS_SUCCESS, KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &none));
	EQUAL(STATUS_TIMEOUT, KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &none));

	KeInitializeSpinLock(&lock);
	KeAcquireSpinLock(&lock, &level);
	EQUAL(PASSIVE_LEVEL, level);
	CHECK(!KeTryToAcquireSpinLockAtDpcLevel(&lock));
	KeReleaseSpinLock(&lock, level);
	KeRaiseIrql(DISPATCH_LEVEL, &level);
	EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
	KeRaiseIrql(DISPATCH_LEVEL, &again);
	EQUAL(DISPATCH_LEVEL, again);
	KeAcquireSpinLockAtDpcLevel(&lock);
	KeReleaseSpinLockFromDpcLevel(&lock);
	CHECK(KeTryToAcquireSpinLockAtDpcLevel(&lock));
	KeReleaseSpinLockFromDpcLevel(&lock);
	pool = ExAllocatePoolWithTag(NonPagedPoolNx, 10, 'kmap');
	CHECK(pool);
	ExFreePoolWithTag(pool, 'kmap');
	KeLowerIrql(level);
	EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());

	KeQuerySystemTime(&before);
	KeDelayExecutionThread(KernelMode, FALSE, &soon);
	KeQuerySystemTime(&after);
	/* Until a time of day. */
	soon.QuadPart = after.QuadPart + 10000;
	KeDelayExecutionThread(KernelMode, FALSE, &soon);
	KeQuerySystemTime(&later);
	CHECK(later.QuadPart >= soon.QuadPart);
	soon.QuadPart = later.QuadPart + 10000;
	EQUAL(STATUS_TIMEOUT, KeWaitForSingleObject(&event, Executive, KernelMode, FALSE, &soon));
	KeQuerySystemTime(&later);
	CHECK(later.QuadPart >= soon.QuadPart);
	CHECK(before.QuadPart > 132000000000000000ll); /* it is after 2019 */
	CHECK(after.QuadPart - before.QuadPart >= 10000);
	after = KeQueryPerformanceCounter(NULL);
	later = KeQueryPerformanceCounter(&frequency);
	CHECK(frequency.QuadPart > 1000000);
	CHECK(later.QuadPart >= after.QuadPart);
	CHECK(KeGetCurrentThread());
	CHECK(PsGetCurrentProcessId());
	CHECK(!ExAllocatePool2(POOL_FLAG_NON_PAGED, 0, 'kmap'));
	ExFreePool(NULL);
	WDF_DRIVER_VERSION_AVAILABLE_PARAMS_INIT(&version, 1, 9);
	CHECK(WdfDriverIsVersionAvailable(WdfGetDriver(), &version));
	WDF_DRIVER_VERSION_AVAILABLE_PARAMS_INIT(&version, 2, 0);
	CHECK(!WdfDriverIsVersionAvailable(WdfGetDriver(), &version));
	/* A driver that gives up is told of; the kernel goes on. */
	DbgBreakPoint();
	WdfVerifierDbgBreakPoint();
	KeBugCheckEx(0x10d, 1, 2, 3, 4);
	WdfVerifierKeBugCheck(0x10d, 1, 2, 3, 4);
}

VOID ApiLock(PRESULT Result)
{
	WDFWAITLOCK lock = NULL;
	WDFSPINLOCK spin = NULL;
	LONGLONG none = 0, soon = WDF_REL_TIMEOUT_IN_MS(1);
	LARGE_INTEGER until, now;

	EQUAL(STATUS_SUCCESS, WdfWaitLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &lock));
	EQUAL(STATUS_SUCCESS, WdfWaitLockAcquire(lock, NULL));
	WdfWaitLockRelease(lock);
	EQUAL(STATUS_SUCCESS, WdfWaitLockAcquire(lock, &none));
	WdfWaitLockRelease(lock);
	EQUAL(STATUS_SUCCESS, WdfWaitLockAcquire(lock, &soon));
	/* Somebody has it. */
	EQUAL(STATUS_TIMEOUT, WdfWaitLockAcquire(lock, &none));
	EQUAL(STATUS_TIMEOUT, WdfWaitLockAcquire(lock, &soon));
	KeQuerySystemTime(&until);
	until.QuadPart += 20000;
	EQUAL(STATUS_TIMEOUT, WdfWaitLockAcquire(lock, &until.QuadPart));
	KeQuerySystemTime(&now);
	CHECK(now.QuadPart >= until.QuadPart);
	WdfWaitLockRelease(lock);
	WdfObjectDelete(lock);
	EQUAL(STATUS_SUCCESS, WdfSpinLockCreate(WDF_NO_OBJECT_ATTRIBUTES, &spin));
	WdfSpinLockAcquire(spin);
	EQUAL(DISPATCH_LEVEL, KeGetCurrentIrql());
	WdfSpinLockRelease(spin);
	EQUAL(PASSIVE_LEVEL, KeGetCurrentIrql());
	WdfObjectDelete(spin);
}

DECLARE_CONST_UNICODE_STRING(Anybody, L"D:P(A;;GA;;;WD)");
DECLARE_CONST_UNICODE_STRING(TooLong,
			     L"\\Device\\0123456789012345678901234567890123456789012345678901234567890123456789");
DECLARE_CONST_UNICODE_STRING(Taken, L"\\Device\\kmapi_lower");

DECLARE_CONST_UNICODE_STRING(Reserved, L"\\DosDevices\\control");
DECLARE_CONST_UNICODE_STRING(Hidden, L"\\DosDevices\\.hidden");
DECLARE_CONST_UNICODE_STRING(Foreign, L"caf\x00e9");

VOID ApiBadDevice(PRESULT Result)
{
	PWDFDEVICE_INIT init = WdfControlDeviceInitAllocate(WdfGetDriver(), &Anybody);
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_FILEOBJECT_CONFIG files;
	WDFDEVICE device = NULL;

	CHECK(init);
	if (!init)
		return;
	WdfControlDeviceInitSetShutdownNotification(init, NULL, WdfDeviceShutdown);
	WdfDeviceInitSetExclusive(init, FALSE);
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.Size++;
	WdfDeviceInitSetRequestAttributes(init, &attributes);
	EQUAL(STATUS_INFO_LENGTH_MISMATCH, WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &device));
	WdfDeviceInitSetRequestAttributes(init, NULL);
	WDF_FILEOBJECT_CONFIG_INIT(&files, WDF_NO_EVENT_CALLBACK, WDF_NO_EVENT_CALLBACK, WDF_NO_EVENT_CALLBACK);
	WdfDeviceInitSetFileObjectConfig(init, &files, &attributes);
	EQUAL(STATUS_INFO_LENGTH_MISMATCH, WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &device));
	WdfDeviceInitSetFileObjectConfig(init, &files, NULL);
	EQUAL(STATUS_INVALID_PARAMETER, WdfDeviceInitAssignName(init, &TooLong));
	EQUAL(STATUS_SUCCESS, WdfDeviceInitAssignName(init, NULL));
	EQUAL(STATUS_INVALID_PARAMETER, WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, NULL));
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = WdfGetDriver();
	EQUAL(STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED, WdfDeviceCreate(&init, &attributes, &device));
	attributes.Size++;
	CHECK(!NT_SUCCESS(WdfDeviceCreate(&init, &attributes, &device)));
	EQUAL(STATUS_SUCCESS, WdfDeviceInitAssignName(init, &Taken));
	EQUAL(STATUS_OBJECT_NAME_COLLISION, WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &device));
	/* It is the driver's still. */
	CHECK(init);
	WdfDeviceInitFree(init);
	EQUAL(STATUS_INVALID_PARAMETER, WdfDeviceCreateSymbolicLink(ApiDevice, &TooLong));
	EQUAL(STATUS_INVALID_PARAMETER, WdfDeviceCreateSymbolicLink(ApiDevice, &Reserved));
	EQUAL(STATUS_INVALID_PARAMETER, WdfDeviceCreateSymbolicLink(ApiDevice, &Hidden));
	EQUAL(STATUS_INVALID_PARAMETER, WdfDeviceCreateDeviceInterface(ApiDevice, &ApiInterface, &Foreign));
	CHECK(!NT_SUCCESS(WdfDeviceCreateSymbolicLink(ApiDevice, NULL)));
}

static VOID Notice(WDFQUEUE Queue, WDFCONTEXT Context)
{
	UNREFERENCED_PARAMETER(Queue);
	UNREFERENCED_PARAMETER(Context);
}

static VOID Io(WDFQUEUE Queue, WDFREQUEST Request)
{
	UNREFERENCED_PARAMETER(Queue);

	WdfRequestComplete(Request, STATUS_SUCCESS);
}

VOID ApiBadQueue(PRESULT Result)
{
	WDF_REQUEST_PARAMETERS parameters;
	WDF_IO_QUEUE_CONFIG config;
	WDFQUEUE queue = NULL, other = NULL;
	WDFREQUEST request = NULL;
	ULONG queued = 7, owned = 7;

	WDF_IO_QUEUE_CONFIG_INIT(&config, WdfIoQueueDispatchParallel);
	/* Who would serve it? */
	EQUAL(STATUS_WDF_NO_CALLBACK, WdfIoQueueCreate(ApiDevice, &config, WDF_NO_OBJECT_ATTRIBUTES, &queue));
	config.EvtIoDefault = Io;
	EQUAL(STATUS_INVALID_PARAMETER, WdfIoQueueCreate(ApiDevice, NULL, WDF_NO_OBJECT_ATTRIBUTES, &queue));
	config.DispatchType = WdfIoQueueDispatchInvalid;
	CHECK(!NT_SUCCESS(WdfIoQueueCreate(ApiDevice, &config, WDF_NO_OBJECT_ATTRIBUTES, &queue)));
	config.DispatchType = (WDF_IO_QUEUE_DISPATCH_TYPE)77;
	EQUAL(STATUS_INVALID_PARAMETER, WdfIoQueueCreate(ApiDevice, &config, WDF_NO_OBJECT_ATTRIBUTES, &queue));
	config.DispatchType = WdfIoQueueDispatchParallel;
	config.PowerManaged = (WDF_TRI_STATE)77;
	EQUAL(STATUS_INVALID_PARAMETER, WdfIoQueueCreate(ApiDevice, &config, WDF_NO_OBJECT_ATTRIBUTES, &queue));
	config.PowerManaged = WdfUseDefault;
	config.Size--;
	EQUAL(STATUS_INFO_LENGTH_MISMATCH, WdfIoQueueCreate(ApiDevice, &config, WDF_NO_OBJECT_ATTRIBUTES, &queue));
	config.Size++;
	/* There is a default one. */
	config.DefaultQueue = TRUE;
	CHECK(!NT_SUCCESS(WdfIoQueueCreate(ApiDevice, &config, WDF_NO_OBJECT_ATTRIBUTES, &queue)));
	config.DefaultQueue = FALSE;
	EQUAL(STATUS_SUCCESS, WdfIoQueueCreate(ApiDevice, &config, WDF_NO_OBJECT_ATTRIBUTES, &queue));
	EQUAL(ApiDevice, WdfIoQueueGetDevice(queue));
	CHECK(WdfIoQueueGetState(queue, &queued, &owned) & WdfIoQueueNoRequests);
	EQUAL(0, queued);
	EQUAL(0, owned);
	CHECK(!NT_SUCCESS(WdfIoQueueRetrieveNextRequest(queue, &request)));
	EQUAL(STATUS_INVALID_PARAMETER, WdfDeviceConfigureRequestDispatching(ApiDevice, queue, (WDF_REQUEST_TYPE)77));
	/* A notice of a manual queue, once. */
	WDF_IO_QUEUE_CONFIG_INIT(&config, WdfIoQueueDispatchManual);
	EQUAL(STATUS_SUCCESS, WdfIoQueueCreate(ApiDevice, &config, WDF_NO_OBJECT_ATTRIBUTES, &other));
	EQUAL(STATUS_SUCCESS, WdfIoQueueReadyNotify(other, Notice, NULL));
	CHECK(!NT_SUCCESS(WdfIoQueueReadyNotify(other, Notice, NULL)));
	/* It is taken back while nothing can come. */
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, WdfIoQueueReadyNotify(other, NULL, NULL));
	WdfIoQueueStopSynchronously(other);
	EQUAL(STATUS_SUCCESS, WdfIoQueueReadyNotify(other, NULL, NULL));
	CHECK(!NT_SUCCESS(WdfIoQueueFindRequest(other, NULL, NULL, NULL, &request)));
	WdfIoQueueStart(other);
	WDF_REQUEST_PARAMETERS_INIT(&parameters);
	parameters.Type = (WDF_REQUEST_TYPE)77;
	EQUAL(STATUS_NO_MORE_ENTRIES, WdfIoQueueFindRequest(other, NULL, NULL, &parameters, &request));
	WdfObjectDelete(other);
	WdfObjectDelete(queue);
}
