// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* One of each, where it can be made, and where it cannot: its parent is being deleted, or its attributes are none. */
#include "kmapi.h"

typedef struct _CREATED {
	ULONG Value;
} CREATED, *PCREATED;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(CREATED, GetCreated)

DECLARE_CONST_UNICODE_STRING(CreatedSddl, L"D:P(A;;GA;;;SY)");
DECLARE_CONST_UNICODE_STRING(CreatedName, L"\\Device\\kmapi_created");
DECLARE_CONST_UNICODE_STRING(CreatedLink, L"\\DosDevices\\kmapi_created_too");

static UCHAR Buffer[8];

/* Makes one, by number, of those that there are; STATUS_NO_MORE_ENTRIES: no more of them. */
typedef NTSTATUS CREATE(int Number, WDFDEVICE Device, PWDF_OBJECT_ATTRIBUTES Attributes, WDFOBJECT *Made);

/* What any object can be the parent of. */
static NTSTATUS CreateAny(int Number, WDFDEVICE Device, PWDF_OBJECT_ATTRIBUTES Attributes, WDFOBJECT *Made)
{
	UNICODE_STRING text = RTL_CONSTANT_STRING(L"text");

	UNREFERENCED_PARAMETER(Device);

	*Made = NULL;
	switch (Number) {
	case 0:
		return WdfObjectCreate(Attributes, Made);
	case 1:
		return WdfSpinLockCreate(Attributes, (WDFSPINLOCK *)Made);
	case 2:
		return WdfWaitLockCreate(Attributes, (WDFWAITLOCK *)Made);
	case 3:
		return WdfCollectionCreate(Attributes, (WDFCOLLECTION *)Made);
	case 4:
		return WdfMemoryCreate(Attributes, NonPagedPoolNx, 'kmap', 8, (WDFMEMORY *)Made, NULL);
	case 5:
		return WdfMemoryCreatePreallocated(Attributes, Buffer, sizeof(Buffer), (WDFMEMORY *)Made);
	case 6:
		return WdfStringCreate(&text, Attributes, (WDFSTRING *)Made);
	case 7:
		return WdfRequestCreate(Attributes, NULL, (WDFREQUEST *)Made);
	}
	return STATUS_NO_MORE_ENTRIES;
}

/* What only a device or what belongs to one can be the parent of. */
static NTSTATUS CreateOfDevice(int Number, WDFDEVICE Device, PWDF_OBJECT_ATTRIBUTES Attributes, WDFOBJECT *Made)
{
	WDF_TIMER_CONFIG timerConfig;
	WDF_WORKITEM_CONFIG itemConfig;

	UNREFERENCED_PARAMETER(Device);

	*Made = NULL;
	switch (Number) {
	case 0:
		WDF_TIMER_CONFIG_INIT(&timerConfig, ApiTimer);
		return WdfTimerCreate(&timerConfig, Attributes, (WDFTIMER *)Made);
	case 1:
		WDF_WORKITEM_CONFIG_INIT(&itemConfig, ApiItem);
		itemConfig.AutomaticSerialization = FALSE;
		return WdfWorkItemCreate(&itemConfig, Attributes, (WDFWORKITEM *)Made);
	}
	return STATUS_NO_MORE_ENTRIES;
}

/* What only a device is asked for. */
static NTSTATUS CreateBelow(int Number, WDFDEVICE Device, PWDF_OBJECT_ATTRIBUTES Attributes, WDFOBJECT *Made)
{
	WDF_IO_QUEUE_CONFIG config;

	*Made = NULL;
	switch (Number) {
	case 0:
		WDF_IO_QUEUE_CONFIG_INIT(&config, WdfIoQueueDispatchManual);
		return WdfIoQueueCreate(Device, &config, Attributes, (WDFQUEUE *)Made);
	case 1:
		return WdfIoTargetCreate(Device, Attributes, (WDFIOTARGET *)Made);
	}
	return STATUS_NO_MORE_ENTRIES;
}

/* ---- all of them, deleted at once: what fails is whoever's memory it is that there is not */

static NTSTATUS CreateAll(CREATE *Create, WDFDEVICE Device, PWDF_OBJECT_ATTRIBUTES Attributes)
{
	NTSTATUS status;
	WDFOBJECT made;

	for (int i = 0; NT_SUCCESS(status = Create(i, Device, Attributes, &made)); i++)
		WdfObjectDelete(made);
	return status == STATUS_NO_MORE_ENTRIES ? STATUS_SUCCESS : status;
}

static NTSTATUS CreateDevice(void)
{
	PWDFDEVICE_INIT init = WdfControlDeviceInitAllocate(WdfGetDriver(), &CreatedSddl);
	WDFDEVICE device = NULL;
	NTSTATUS status;

	if (!init)
		return STATUS_INSUFFICIENT_RESOURCES;
	status = WdfDeviceInitAssignName(init, &CreatedName);
	if (NT_SUCCESS(status))
		status = WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &device);
	if (!NT_SUCCESS(status)) {
		WdfDeviceInitFree(init);
		return status;
	}
	status = WdfDeviceCreateSymbolicLink(device, &CreatedLink);
	if (NT_SUCCESS(status))
		status = WdfDeviceCreateDeviceInterface(device, &ApiInterface, &CreatedLink);
	if (NT_SUCCESS(status))
		status = CreateAll(CreateBelow, device, WDF_NO_OBJECT_ATTRIBUTES);
	if (NT_SUCCESS(status) && !WdfDeviceGetIoTarget(device))
		status = STATUS_INSUFFICIENT_RESOURCES;
	WdfObjectDelete(device);
	return status;
}

NTSTATUS ApiCreate(void)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFOBJECT parent;
	NTSTATUS status;
	PVOID context;

	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, CREATED);
	status = WdfObjectCreate(WDF_NO_OBJECT_ATTRIBUTES, &parent);
	if (!NT_SUCCESS(status))
		return status;
	status = WdfObjectAllocateContext(parent, &attributes, &context);
	attributes.ParentObject = parent;
	if (NT_SUCCESS(status))
		status = CreateAll(CreateAny, ApiDevice, &attributes);
	WdfObjectDelete(parent);
	attributes.ParentObject = ApiDevice;
	if (NT_SUCCESS(status))
		status = CreateAll(CreateOfDevice, ApiDevice, &attributes);
	return NT_SUCCESS(status) ? CreateDevice() : status;
}

/* ---- too late, or never */

static VOID NoneCanBe(PRESULT Result, CREATE *Create, WDFDEVICE Device, PWDF_OBJECT_ATTRIBUTES Attributes, NTSTATUS Why)
{
	NTSTATUS status;
	WDFOBJECT made;
	int i;

	for (i = 0; (status = Create(i, Device, Attributes, &made)) != STATUS_NO_MORE_ENTRIES; i++)
		EQUAL(Why, status);
	CHECK(i);
}

static PRESULT Late;

static VOID LateChildren(WDFOBJECT Object)
{
	PRESULT Result = Late;
	WDF_OBJECT_ATTRIBUTES attributes;
	PVOID context;

	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, CREATED);
	EQUAL(STATUS_DELETE_PENDING, WdfObjectAllocateContext(Object, &attributes, &context));
	attributes.ParentObject = Object;
	NoneCanBe(Result, CreateAny, ApiDevice, &attributes, STATUS_DELETE_PENDING);
}

static VOID LateOfQueue(WDFOBJECT Object)
{
	WDF_OBJECT_ATTRIBUTES attributes;

	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = Object;
	NoneCanBe(Late, CreateOfDevice, ApiDevice, &attributes, STATUS_DELETE_PENDING);
}

static VOID LateOfDevice(WDFOBJECT Object)
{
	PRESULT Result = Late;

	NoneCanBe(Result, CreateBelow, Object, WDF_NO_OBJECT_ATTRIBUTES, STATUS_DELETE_PENDING);
	CHECK(!WdfDeviceGetIoTarget(Object));
}

/* Attributes that are wrong; a driver as the parent. */
static VOID Attributes(PRESULT Result)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFOBJECT made;

	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.Size--;
	NoneCanBe(Result, CreateAny, ApiDevice, &attributes, STATUS_INFO_LENGTH_MISMATCH);
	attributes.Size++;
	attributes.ParentObject = ApiDevice;
	attributes.ExecutionLevel = (WDF_EXECUTION_LEVEL)17;
	NoneCanBe(Result, CreateOfDevice, ApiDevice, &attributes, STATUS_WDF_EXECUTION_LEVEL_INVALID);
	attributes.ExecutionLevel = WdfExecutionLevelInheritFromParent;
	attributes.SynchronizationScope = (WDF_SYNCHRONIZATION_SCOPE)17;
	attributes.ParentObject = NULL;
	NoneCanBe(Result, CreateBelow, ApiDevice, &attributes, STATUS_WDF_SYNCHRONIZATION_SCOPE_INVALID);
	attributes.SynchronizationScope = WdfSynchronizationScopeInheritFromParent;
	attributes.ParentObject = WdfGetDriver();
	EQUAL(STATUS_SUCCESS, CreateAll(CreateAny, ApiDevice, &attributes));
	attributes.ContextSizeOverride = 8;
	CHECK(!NT_SUCCESS(WdfObjectCreate(&attributes, &made)));
}

VOID ApiLate(PRESULT Result)
{
	PWDFDEVICE_INIT init = WdfControlDeviceInitAllocate(WdfGetDriver(), &CreatedSddl);
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_IO_QUEUE_CONFIG config;
	WDFOBJECT object = NULL, child = NULL;
	WDFQUEUE queue = NULL;
	WDFDEVICE device = NULL;
	KIRQL level;

	Late = Result;
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.EvtCleanupCallback = LateChildren;
	EQUAL(STATUS_SUCCESS, WdfObjectCreate(&attributes, &object));
	WdfObjectDelete(object);
	attributes.EvtCleanupCallback = LateOfQueue;
	WDF_IO_QUEUE_CONFIG_INIT(&config, WdfIoQueueDispatchManual);
	EQUAL(STATUS_SUCCESS, WdfIoQueueCreate(ApiDevice, &config, &attributes, &queue));
	WdfObjectDelete(queue);
	attributes.EvtCleanupCallback = LateOfDevice;
	EQUAL(STATUS_SUCCESS, WdfDeviceInitAssignName(init, &CreatedName));
	EQUAL(STATUS_SUCCESS, WdfDeviceCreate(&init, &attributes, &device));
	WdfObjectDelete(device);
	Attributes(Result);
	/* Above PASSIVE_LEVEL: with children that do not mind. */
	EQUAL(STATUS_SUCCESS, WdfObjectCreate(WDF_NO_OBJECT_ATTRIBUTES, &object));
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = object;
	for (int i = 0; i < 3; i++)
		EQUAL(STATUS_SUCCESS, WdfObjectCreate(&attributes, &child));
	KeRaiseIrql(DISPATCH_LEVEL, &level);
	WdfObjectDelete(object);
	KeLowerIrql(level);
}
