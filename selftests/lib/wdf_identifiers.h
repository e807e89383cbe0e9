/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Each name that the two echo samples of Windows' driver samples use and that a framework has to give: a function is
 * called or its address taken, a type names a variable, a macro is used or is there. selftests/headers compiles this.
 */
#ifndef _WDF_IDENTIFIERS_H
#define _WDF_IDENTIFIERS_H

typedef struct _DEVICE_CONTEXT {
	LONG unused;
} DEVICE_CONTEXT, *PDEVICE_CONTEXT;
WDF_DECLARE_CONTEXT_TYPE(DEVICE_CONTEXT)

typedef struct _QUEUE_CONTEXT {
	PVOID buffer;
} QUEUE_CONTEXT, *PQUEUE_CONTEXT;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(QUEUE_CONTEXT, QueueGetContext)

DEFINE_GUID(GUID_DEVINTERFACE_IDENTIFIERS, 0x9a2b6f10, 0x1c5d, 0x4e0e, 0x8b, 0x77, 0x31, 0xd0, 0x5a, 0xc4, 0x62, 0x19);

#if !defined(IN) || !defined(OUT) || !defined(PAGED_CODE) || !defined(_Analysis_assume_) || !defined(TRUE) || \
	!defined(NULL)
#error a macro is missing
#endif
#if DBG
#error DBG is 0 unless the driver says otherwise
#endif

DRIVER_INITIALIZE IdentifiersEntry;
EVT_WDF_DRIVER_DEVICE_ADD IdentifiersDeviceAdd;
EVT_WDF_DEVICE_SELF_MANAGED_IO_INIT IdentifiersInit;
EVT_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND IdentifiersSuspend;
EVT_WDF_IO_QUEUE_CONTEXT_DESTROY_CALLBACK IdentifiersDestroy;
EVT_WDF_IO_QUEUE_IO_READ IdentifiersRead;
EVT_WDF_IO_QUEUE_IO_WRITE IdentifiersWrite;
EVT_WDF_REQUEST_CANCEL IdentifiersCancel;
EVT_WDF_TIMER IdentifiersTimer;

static FORCEINLINE VOID IdentifiersUse(IN PDRIVER_OBJECT DriverObject, IN PUNICODE_STRING RegistryPath,
				       OUT PLARGE_INTEGER Due, PWDFDEVICE_INIT DeviceInit)
{
	WDF_DRIVER_CONFIG config;
	WDF_DRIVER_VERSION_AVAILABLE_PARAMS version;
	WDF_PNPPOWER_EVENT_CALLBACKS pnp;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_IO_QUEUE_CONFIG queueConfig;
	WDF_TIMER_CONFIG timerConfig;
	WDFDEVICE device;
	WDFDRIVER driver = WdfGetDriver();
	WDFQUEUE queue = WDF_NO_HANDLE;
	WDFREQUEST request = WDF_NO_HANDLE;
	WDFMEMORY memory = WDF_NO_HANDLE;
	WDFSTRING string = WDF_NO_HANDLE;
	WDFTIMER timer = WDF_NO_HANDLE;
	WDFSPINLOCK lock = WDF_NO_HANDLE;
	WDFOBJECT object = queue;
	UNICODE_STRING text;
	ULONG length = 0;
	ULONG_PTR information = 0;
	size_t size = 0;
	LONG count = 1;
	BOOLEAN done = TRUE;
	NTSTATUS status = STATUS_SUCCESS;
	PVOID pool = ExAllocatePool2(POOL_FLAG_NON_PAGED, 1, 'sam1');

	PAGED_CODE();
	WDF_DRIVER_CONFIG_INIT(&config, IdentifiersDeviceAdd);
	status = WdfDriverCreate(DriverObject, RegistryPath, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
	if (!NT_SUCCESS(status)) {
		KdPrint(("status 0x%x, %Iu bytes of %wZ\n", status, size, RegistryPath));
		return;
	}
	WDF_DRIVER_VERSION_AVAILABLE_PARAMS_INIT(&version, 1, 0);
	WdfDriverIsVersionAvailable(driver, &version);
	WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&pnp);
	pnp.EvtDeviceSelfManagedIoInit = IdentifiersInit;
	pnp.EvtDeviceSelfManagedIoRestart = IdentifiersInit;
	pnp.EvtDeviceSelfManagedIoSuspend = IdentifiersSuspend;
	WdfDeviceInitSetPnpPowerEventCallbacks(DeviceInit, &pnp);
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.SynchronizationScope = WdfSynchronizationScopeQueue;
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, DEVICE_CONTEXT);
	WdfDeviceInitSetRequestAttributes(DeviceInit, &attributes);
	status = WdfDeviceCreate(&DeviceInit, &attributes, &device);
	status = WdfDeviceCreateDeviceInterface(device, &GUID_DEVINTERFACE_IDENTIFIERS, NULL);
	WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(&queueConfig, WdfIoQueueDispatchSequential);
	queueConfig.EvtIoRead = IdentifiersRead;
	queueConfig.EvtIoWrite = IdentifiersWrite;
	attributes.EvtDestroyCallback = IdentifiersDestroy;
	status = WdfIoQueueCreate(device, &queueConfig, &attributes, &queue);
	WDF_TIMER_CONFIG_INIT_PERIODIC(&timerConfig, IdentifiersTimer, 10000);
	status = WdfTimerCreate(&timerConfig, &attributes, &timer);
	WdfTimerStart(timer, WDF_REL_TIMEOUT_IN_MS(100));
	WdfTimerStop(timer, TRUE);
	object = WdfTimerGetParentObject(timer);
	queue = WdfDeviceGetDefaultQueue(device);
	WdfIoQueueStart(queue);
	WdfIoQueueStopSynchronously(queue);
	status = WdfSpinLockCreate(&attributes, &lock);
	WdfSpinLockAcquire(lock);
	WdfSpinLockRelease(lock);
	status = WdfStringCreate(NULL, WDF_NO_OBJECT_ATTRIBUTES, &string);
	status = WdfDriverRetrieveVersionString(driver, string);
	WdfStringGetUnicodeString(string, &text);
	WdfObjectDelete(string);
	WdfRequestMarkCancelable(request, IdentifiersCancel);
	status = WdfRequestMarkCancelableEx(request, IdentifiersCancel);
	status = WdfRequestUnmarkCancelable(request);
	queue = WdfRequestGetIoQueue(request);
	status = WdfRequestRetrieveInputMemory(request, &memory);
	status = WdfRequestRetrieveOutputMemory(request, &memory);
	status = WdfMemoryCopyToBuffer(memory, 0, QueueGetContext(queue)->buffer, size);
	status = WdfMemoryCopyFromBuffer(memory, 0, pool, size);
	WdfRequestSetInformation(request, information);
	WdfRequestComplete(request, STATUS_INVALID_DEVICE_REQUEST);
	WdfRequestCompleteWithInformation(request, STATUS_BUFFER_OVERFLOW, 0L);
	WdfObjectGet_DEVICE_CONTEXT(device)->unused = (LONG)length;
	ASSERT(done);
	InterlockedDecrement(&count);
	if (InterlockedCompareExchange(&count, 0, 1) == 1)
		status = STATUS_CANCELLED;
	if (status == STATUS_UNSUCCESSFUL || status == STATUS_INSUFFICIENT_RESOURCES)
		WdfVerifierDbgBreakPoint();
	ExFreePool(pool);
	_Analysis_assume_(length > 0);
	Due->QuadPart = 0;
	UNREFERENCED_PARAMETER(object);
	UNREFERENCED_PARAMETER(done);
}

#endif
