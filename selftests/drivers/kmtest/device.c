// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Devices and their queues: those that are always there, and those that tests make. */
#include "driver.h"

DECLARE_CONST_UNICODE_STRING(KmSddl, L"D:P(A;;GA;;;SY)(A;;GA;;;BA)");

static EVT_WDF_DEVICE_FILE_CREATE FileCreate;
static EVT_WDF_FILE_CLEANUP FileCleanup;
static EVT_WDF_FILE_CLOSE FileClose;
static EVT_WDF_DEVICE_D0_ENTRY D0Entry;
static EVT_WDF_DEVICE_D0_EXIT D0Exit;
static EVT_WDF_DEVICE_SELF_MANAGED_IO_INIT IoInit;
static EVT_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND IoSuspend;
static EVT_WDF_DEVICE_SELF_MANAGED_IO_RESTART IoRestart;
static EVT_WDF_DEVICE_SELF_MANAGED_IO_FLUSH IoFlush;
static EVT_WDF_DEVICE_SELF_MANAGED_IO_CLEANUP IoCleanup;

PVOID KmContextSeenByDevice(WDFOBJECT Object)
{
	return KmSlotContext(Object);
}

VOID KmName(PUNICODE_STRING String, PWCHAR Buffer, PCSTR Prefix, PCSTR Name)
{
	USHORT chars = 0;

	while (*Prefix)
		Buffer[chars++] = *Prefix++;
	for (USHORT i = 0; i < KMTEST_NAME_SIZE && Name[i]; i++)
		Buffer[chars++] = Name[i];
	String->Buffer = Buffer;
	String->Length = chars * sizeof(WCHAR);
	String->MaximumLength = String->Length;
}

/* ---- callbacks */

_Use_decl_annotations_ static VOID FileCreate(WDFDEVICE Device, WDFREQUEST Request, WDFFILEOBJECT FileObject)
{
	PKM_SLOT slot = KmSlotOf(Device);

	KmCallback(slot, KMTEST_AT_FILE_CREATE, STATUS_SUCCESS, (ULONG_PTR)FileObject);
	if (slot->Files & KMTEST_REFUSES)
		WdfRequestComplete(Request, STATUS_UNSUCCESSFUL);
	else if (!(slot->Files & KMTEST_DEFERS) ||
		 !NT_SUCCESS(WdfRequestForwardToIoQueue(Request, WdfDeviceGetDefaultQueue(Device))))
		WdfRequestComplete(Request, STATUS_SUCCESS);
}

_Use_decl_annotations_ static VOID FileCleanup(WDFFILEOBJECT FileObject)
{
	KmCallback(KmSlotOf(WdfFileObjectGetDevice(FileObject)), KMTEST_AT_FILE_CLEANUP, STATUS_SUCCESS,
		   (ULONG_PTR)FileObject);
}

_Use_decl_annotations_ static VOID FileClose(WDFFILEOBJECT FileObject)
{
	KmCallback(KmSlotOf(WdfFileObjectGetDevice(FileObject)), KMTEST_AT_FILE_CLOSE, STATUS_SUCCESS,
		   (ULONG_PTR)FileObject);
}

_Use_decl_annotations_ static NTSTATUS D0Entry(WDFDEVICE Device, WDF_POWER_DEVICE_STATE PreviousState)
{
	UNREFERENCED_PARAMETER(PreviousState);

	KmCallback(KmSlotOf(Device), KMTEST_AT_D0_ENTRY, STATUS_SUCCESS, 0);
	return STATUS_SUCCESS;
}

_Use_decl_annotations_ static NTSTATUS D0Exit(WDFDEVICE Device, WDF_POWER_DEVICE_STATE TargetState)
{
	UNREFERENCED_PARAMETER(TargetState);

	KmCallback(KmSlotOf(Device), KMTEST_AT_D0_EXIT, STATUS_SUCCESS, 0);
	return STATUS_SUCCESS;
}

_Use_decl_annotations_ static NTSTATUS IoInit(WDFDEVICE Device)
{
	KmCallback(KmSlotOf(Device), KMTEST_AT_IO_INIT, STATUS_SUCCESS, 0);
	return STATUS_SUCCESS;
}

_Use_decl_annotations_ static NTSTATUS IoSuspend(WDFDEVICE Device)
{
	KmCallback(KmSlotOf(Device), KMTEST_AT_IO_SUSPEND, STATUS_SUCCESS, 0);
	return STATUS_SUCCESS;
}

_Use_decl_annotations_ static NTSTATUS IoRestart(WDFDEVICE Device)
{
	KmCallback(KmSlotOf(Device), KMTEST_AT_IO_RESTART, STATUS_SUCCESS, 0);
	return STATUS_SUCCESS;
}

_Use_decl_annotations_ static VOID IoFlush(WDFDEVICE Device)
{
	KmCallback(KmSlotOf(Device), KMTEST_AT_IO_FLUSH, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_ static VOID IoCleanup(WDFDEVICE Device)
{
	KmCallback(KmSlotOf(Device), KMTEST_AT_IO_CLEANUP, STATUS_SUCCESS, 0);
}

/* ---- queues */

static NTSTATUS Dispatch(WDFDEVICE Device, WDFQUEUE Queue, ULONG Kinds)
{
	static const struct {
		ULONG Kind;
		WDF_REQUEST_TYPE Type;
	} types[] = {
		{KMTEST_HANDLE_READ, WdfRequestTypeRead},
		{KMTEST_HANDLE_WRITE, WdfRequestTypeWrite},
		{KMTEST_HANDLE_CONTROL, WdfRequestTypeDeviceControl},
		{KMTEST_HANDLE_INTERNAL, WdfRequestTypeDeviceControlInternal},
	};
	NTSTATUS status = STATUS_SUCCESS;

	for (ULONG i = 0; i < ARRAYSIZE(types) && NT_SUCCESS(status); i++)
		if (Kinds & types[i].Kind)
			status = WdfDeviceConfigureRequestDispatching(Device, Queue, types[i].Type);
	return status;
}

static VOID FillConfig(PWDF_IO_QUEUE_CONFIG Config, const struct kmtest_queue *Queue)
{
	if (Queue->flags & KMTEST_DEFAULT_QUEUE)
		WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(Config, (WDF_IO_QUEUE_DISPATCH_TYPE)Queue->type);
	else
		WDF_IO_QUEUE_CONFIG_INIT(Config, (WDF_IO_QUEUE_DISPATCH_TYPE)Queue->type);
	if (Queue->handlers & KMTEST_HANDLE_READ)
		Config->EvtIoRead = KmEvtIoRead;
	if (Queue->handlers & KMTEST_HANDLE_WRITE)
		Config->EvtIoWrite = KmEvtIoWrite;
	if (Queue->handlers & KMTEST_HANDLE_CONTROL)
		Config->EvtIoDeviceControl = KmEvtIoDeviceControl;
	if (Queue->handlers & KMTEST_HANDLE_INTERNAL)
		Config->EvtIoInternalDeviceControl = KmEvtIoInternalDeviceControl;
	if (Queue->handlers & KMTEST_HANDLE_DEFAULT)
		Config->EvtIoDefault = KmEvtIoDefault;
	Config->AllowZeroLengthRequests = (Queue->flags & KMTEST_ZERO_LENGTH) != 0;
	if (Queue->flags & KMTEST_ON_QUEUE)
		Config->EvtIoCanceledOnQueue = KmEvtIoCanceledOnQueue;
	if (Queue->flags & KMTEST_STOPS) {
		Config->EvtIoStop = KmEvtIoStop;
		Config->EvtIoResume = KmEvtIoResume;
	}
	if (Queue->flags & KMTEST_POWER_MANAGED)
		Config->PowerManaged = WdfTrue;
	if (Queue->flags & KMTEST_NOT_POWER_MANAGED)
		Config->PowerManaged = WdfFalse;
	if (Queue->limit)
		Config->Settings.Parallel.NumberOfPresentedRequests = Queue->limit;
	if (Queue->flags & KMTEST_LIMIT_0)
		Config->Settings.Parallel.NumberOfPresentedRequests = 0;
	if (Queue->flags & KMTEST_BAD_SIZE)
		Config->Size--;
}

static NTSTATUS CreateQueue(PKM_SLOT Device, PKM_SLOT Slot, const struct kmtest_queue *Queue)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_IO_QUEUE_CONFIG config;
	WDFQUEUE queue = NULL;
	NTSTATUS status;

	FillConfig(&config, Queue);
	KmInitAttributes(&attributes, NULL);
	if (Queue->level)
		attributes.ExecutionLevel = (WDF_EXECUTION_LEVEL)Queue->level;
	if (Queue->scope)
		attributes.SynchronizationScope = (WDF_SYNCHRONIZATION_SCOPE)Queue->scope;
	status = WdfIoQueueCreate((WDFDEVICE)Device->Handle, &config, &attributes,
				  Queue->flags & KMTEST_NO_HANDLE ? NULL : &queue);
	if (!NT_SUCCESS(status))
		return status;
	if (Queue->flags & KMTEST_NO_HANDLE)
		queue = WdfDeviceGetDefaultQueue((WDFDEVICE)Device->Handle);
	KmBind(Slot, queue, KmKindQueue);
	return Dispatch((WDFDEVICE)Device->Handle, queue, Queue->dispatched);
}

NTSTATUS KmCreateQueue(struct kmtest_queue *Queue)
{
	PKM_SLOT device = KmSlot(Queue->device), slot = KmSlot(Queue->slot);

	if (!device || !slot || device->Kind != KmKindDevice)
		Queue->status = KMTEST_NO_SLOT;
	else
		Queue->status = CreateQueue(device, slot, Queue);
	return Queue->status;
}

/* ---- devices */

static VOID SetFileCallbacks(PWDFDEVICE_INIT Init)
{
	WDF_FILEOBJECT_CONFIG files;

	WDF_FILEOBJECT_CONFIG_INIT(&files, FileCreate, FileClose, FileCleanup);
	WdfDeviceInitSetFileObjectConfig(Init, &files, WDF_NO_OBJECT_ATTRIBUTES);
}

/* Takes *Init when it succeeds. */
static NTSTATUS CreateDevice(PWDFDEVICE_INIT *Init, PKM_SLOT Slot, PCSTR Name, const struct kmtest_device *Config)
{
	WDF_OBJECT_ATTRIBUTES attributes, requests;
	WCHAR buffer[KM_NAME_CHARS];
	UNICODE_STRING name;
	WDFDEVICE device;
	NTSTATUS status;

	KmInitAttributes(&requests, NULL);
	WdfDeviceInitSetRequestAttributes(*Init, &requests);
	KmName(&name, buffer, "\\Device\\", Name);
	status = WdfDeviceInitAssignName(*Init, &name);
	if (!NT_SUCCESS(status))
		return status;
	KmInitAttributes(&attributes, NULL);
	if (Config && Config->level)
		attributes.ExecutionLevel = (WDF_EXECUTION_LEVEL)Config->level;
	if (Config && Config->scope)
		attributes.SynchronizationScope = (WDF_SYNCHRONIZATION_SCOPE)Config->scope;
	status = WdfDeviceCreate(Init, &attributes, &device);
	if (!NT_SUCCESS(status))
		return status;
	KmBind(Slot, device, KmKindDevice);
	Slot->Files = Config ? Config->flags : 0;
	RtlCopyMemory(Slot->Name, Name, strlen(Name) + 1);
	KmName(&name, buffer, "\\DosDevices\\", Name);
	return WdfDeviceCreateSymbolicLink(device, &name);
}

_Use_decl_annotations_ NTSTATUS KmEvtDeviceAdd(WDFDRIVER Driver, PWDFDEVICE_INIT DeviceInit)
{
	static const struct kmtest_queue queues[] = {
		{KMTEST_DEFAULT, .type = WdfIoQueueDispatchParallel, .handlers = KMTEST_HANDLE_CONTROL,
		 .flags = KMTEST_DEFAULT_QUEUE | KMTEST_STOPS | KMTEST_ON_QUEUE},
		{KMTEST_SEQUENTIAL, .type = WdfIoQueueDispatchSequential,
		 .handlers = KMTEST_HANDLE_READ | KMTEST_HANDLE_CONTROL, .dispatched = KMTEST_HANDLE_READ,
		 .flags = KMTEST_STOPS | KMTEST_ON_QUEUE},
		{KMTEST_PARALLEL, .type = WdfIoQueueDispatchParallel, .limit = 2,
		 .handlers = KMTEST_HANDLE_WRITE | KMTEST_HANDLE_CONTROL, .dispatched = KMTEST_HANDLE_WRITE,
		 .flags = KMTEST_STOPS | KMTEST_ON_QUEUE},
		{KMTEST_MANUAL, .type = WdfIoQueueDispatchManual, .flags = KMTEST_STOPS | KMTEST_ON_QUEUE},
	};
	WDF_PNPPOWER_EVENT_CALLBACKS power;
	NTSTATUS status;

	UNREFERENCED_PARAMETER(Driver);

	WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&power);
	power.EvtDeviceD0Entry = D0Entry;
	power.EvtDeviceD0Exit = D0Exit;
	power.EvtDeviceSelfManagedIoInit = IoInit;
	power.EvtDeviceSelfManagedIoSuspend = IoSuspend;
	power.EvtDeviceSelfManagedIoRestart = IoRestart;
	power.EvtDeviceSelfManagedIoFlush = IoFlush;
	power.EvtDeviceSelfManagedIoCleanup = IoCleanup;
	WdfDeviceInitSetPnpPowerEventCallbacks(DeviceInit, &power);
	SetFileCallbacks(DeviceInit);
	status = CreateDevice(&DeviceInit, KmSlot(KMTEST_DEVICE), "kmtest", NULL);
	for (ULONG i = 0; i < ARRAYSIZE(queues) && NT_SUCCESS(status); i++)
		status = CreateQueue(KmSlot(KMTEST_DEVICE), KmSlot(queues[i].slot), &queues[i]);
	return status;
}

/* The device that tests command the driver by: in the caller's own thread, so that a command may wait for another. */
NTSTATUS KmCreateControl(void)
{
	PWDFDEVICE_INIT init;
	NTSTATUS status;

	init = WdfControlDeviceInitAllocate(WdfGetDriver(), &KmSddl);
	if (!init)
		return STATUS_INSUFFICIENT_RESOURCES;
	WdfDeviceInitSetIoInCallerContextCallback(init, KmEvtControl);
	status = CreateDevice(&init, KmSlot(KMTEST_CONTROL), "kmtest_ctl", NULL);
	if (init)
		WdfDeviceInitFree(init);
	if (NT_SUCCESS(status))
		WdfControlFinishInitializing((WDFDEVICE)KmSlot(KMTEST_CONTROL)->Handle);
	return status;
}

NTSTATUS KmCreateDevice(struct kmtest_device *Device)
{
	PKM_SLOT slot = KmSlot(Device->slot);
	PWDFDEVICE_INIT init;

	if (!slot || Device->count > KMTEST_DEVICE_QUEUES)
		return Device->status = KMTEST_NO_SLOT;
	Device->name[KMTEST_NAME_SIZE - 1] = 0;
	init = WdfControlDeviceInitAllocate(WdfGetDriver(), &KmSddl);
	if (!init)
		return Device->status = STATUS_INSUFFICIENT_RESOURCES;
	if (Device->flags & KMTEST_EXCLUSIVE)
		WdfDeviceInitSetExclusive(init, TRUE);
	if (Device->flags & KMTEST_FILES)
		SetFileCallbacks(init);
	Device->status = CreateDevice(&init, slot, Device->name, Device);
	if (init)
		WdfDeviceInitFree(init);
	if (!NT_SUCCESS(Device->status))
		return Device->status;
	for (ULONG i = 0; i < Device->count; i++) {
		Device->queues[i].device = Device->slot;
		KmCreateQueue(&Device->queues[i]);
		if (!NT_SUCCESS(Device->queues[i].status) && NT_SUCCESS(Device->status))
			Device->status = Device->queues[i].status;
	}
	/* Also without a queue: it refuses all requests then. */
	WdfControlFinishInitializing((WDFDEVICE)slot->Handle);
	return Device->status;
}
