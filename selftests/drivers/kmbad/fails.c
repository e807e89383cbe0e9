// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * A driver that does not want to, at the place that it is named after (KMBAD in Makefile). It breaks a rule when it is
 * called out of order: the framework's tests see that the verifier has counted it.
 */
#include <ntddk.h>
#include <wdf.h>

DRIVER_INITIALIZE DriverEntry;
static EVT_WDF_DRIVER_DEVICE_ADD DeviceAdd;
static EVT_WDF_DRIVER_UNLOAD Unload;
static EVT_WDF_DEVICE_PREPARE_HARDWARE PrepareHardware;
static EVT_WDF_DEVICE_RELEASE_HARDWARE ReleaseHardware;
static EVT_WDF_DEVICE_D0_ENTRY D0Entry;
static EVT_WDF_DEVICE_D0_ENTRY_POST_INTERRUPTS_ENABLED AfterD0Entry;
static EVT_WDF_DEVICE_D0_EXIT_PRE_INTERRUPTS_DISABLED BeforeD0Exit;
static EVT_WDF_DEVICE_D0_EXIT D0Exit;
static EVT_WDF_DEVICE_SELF_MANAGED_IO_INIT IoInit;
static EVT_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND IoSuspend;
static EVT_WDF_DEVICE_SELF_MANAGED_IO_RESTART IoRestart;
static EVT_WDF_DEVICE_SELF_MANAGED_IO_FLUSH IoFlush;
static EVT_WDF_DEVICE_SELF_MANAGED_IO_CLEANUP IoCleanup;

DECLARE_CONST_UNICODE_STRING(LinkName, L"\\DosDevices\\kmbad_fails");

enum {
	FailsIn_entry,
	FailsIn_add,
	FailsIn_nothing,
	FailsIn_prepare,
	FailsIn_start,
	FailsIn_started,
	FailsIn_init,
	FailsIn_resume
};
#define FAILS(where) (KMBAD_FAILS == FailsIn_##where)

static enum {
	Loaded,
	Added,
	Prepared,
	Entered,
	Working,
	Managed,
	Paused,
	Leaving,
	Asleep,
	Flushed,
	Released,
	Cleaned
} State;

/* It was one of two, and is another. */
static VOID Step(int Before, int OrBefore, int Now)
{
	if (State != Before && State != OrBefore)
		WdfObjectDereference(NULL);
	State = Now;
}

_Use_decl_annotations_ static NTSTATUS PrepareHardware(WDFDEVICE Device, WDFCMRESLIST Raw, WDFCMRESLIST Translated)
{
	UNREFERENCED_PARAMETER(Device);
	UNREFERENCED_PARAMETER(Raw);
	UNREFERENCED_PARAMETER(Translated);

	Step(Added, Added, Prepared);
	return FAILS(prepare) ? STATUS_UNSUCCESSFUL : STATUS_SUCCESS;
}

_Use_decl_annotations_ static NTSTATUS D0Entry(WDFDEVICE Device, WDF_POWER_DEVICE_STATE Previous)
{
	BOOLEAN first = Previous == WdfPowerDeviceD3Final;

	UNREFERENCED_PARAMETER(Device);

	Step(first ? Prepared : Asleep, first ? Prepared : Asleep, Entered);
	return FAILS(start) || (FAILS(resume) && !first) ? STATUS_DEVICE_BUSY : STATUS_SUCCESS;
}

_Use_decl_annotations_ static NTSTATUS AfterD0Entry(WDFDEVICE Device, WDF_POWER_DEVICE_STATE Previous)
{
	UNREFERENCED_PARAMETER(Device);
	UNREFERENCED_PARAMETER(Previous);

	Step(Entered, Entered, Working);
	return FAILS(started) ? STATUS_ACCESS_DENIED : STATUS_SUCCESS;
}

_Use_decl_annotations_ static NTSTATUS IoInit(WDFDEVICE Device)
{
	UNREFERENCED_PARAMETER(Device);

	Step(Working, Working, FAILS(init) ? Paused : Managed);
	return FAILS(init) ? STATUS_INVALID_PARAMETER : STATUS_SUCCESS;
}

_Use_decl_annotations_ static NTSTATUS IoRestart(WDFDEVICE Device)
{
	UNREFERENCED_PARAMETER(Device);

	Step(Working, Working, Managed);
	return STATUS_SUCCESS;
}

_Use_decl_annotations_ static NTSTATUS IoSuspend(WDFDEVICE Device)
{
	UNREFERENCED_PARAMETER(Device);

	Step(Managed, Managed, Paused);
	return STATUS_SUCCESS;
}

_Use_decl_annotations_ static NTSTATUS BeforeD0Exit(WDFDEVICE Device, WDF_POWER_DEVICE_STATE Target)
{
	UNREFERENCED_PARAMETER(Device);
	UNREFERENCED_PARAMETER(Target);

	Step(Paused, Paused, Leaving);
	return STATUS_SUCCESS;
}

_Use_decl_annotations_ static NTSTATUS D0Exit(WDFDEVICE Device, WDF_POWER_DEVICE_STATE Target)
{
	UNREFERENCED_PARAMETER(Device);
	UNREFERENCED_PARAMETER(Target);

	Step(Leaving, Leaving, Asleep);
	return STATUS_SUCCESS;
}

/* Only if IoInit's turn has come: it was asleep, or did not wake up. */
_Use_decl_annotations_ static VOID IoFlush(WDFDEVICE Device)
{
	UNREFERENCED_PARAMETER(Device);

	Step(Asleep, FAILS(resume) ? Entered : Asleep, Flushed);
}

_Use_decl_annotations_ static NTSTATUS ReleaseHardware(WDFDEVICE Device, WDFCMRESLIST Translated)
{
	UNREFERENCED_PARAMETER(Device);
	UNREFERENCED_PARAMETER(Translated);

	Step(Flushed,
	     FAILS(prepare) ? Prepared :
	     FAILS(start)   ? Entered :
	     FAILS(started) ? Working :
			      Flushed,
	     Released);
	return STATUS_SUCCESS;
}

_Use_decl_annotations_ static VOID IoCleanup(WDFDEVICE Device)
{
	UNREFERENCED_PARAMETER(Device);

	Step(Released, Released, Cleaned);
	if (FAILS(prepare) || FAILS(start) || FAILS(started))
		WdfObjectDereference(NULL);
}

_Use_decl_annotations_ static NTSTATUS DeviceAdd(WDFDRIVER Driver, PWDFDEVICE_INIT DeviceInit)
{
	WDF_PNPPOWER_EVENT_CALLBACKS callbacks;
	NTSTATUS status;
	WDFDEVICE device;

	UNREFERENCED_PARAMETER(Driver);

	/* Its hardware is not there. */
	if (FAILS(nothing)) {
		/* It is the framework's, as it always is here. */
		WdfDeviceInitFree(DeviceInit);
		return STATUS_SUCCESS;
	}
	WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&callbacks);
	callbacks.EvtDevicePrepareHardware = PrepareHardware;
	callbacks.EvtDeviceReleaseHardware = ReleaseHardware;
	callbacks.EvtDeviceD0Entry = D0Entry;
	callbacks.EvtDeviceD0EntryPostInterruptsEnabled = AfterD0Entry;
	callbacks.EvtDeviceD0ExitPreInterruptsDisabled = BeforeD0Exit;
	callbacks.EvtDeviceD0Exit = D0Exit;
	callbacks.EvtDeviceSelfManagedIoInit = IoInit;
	callbacks.EvtDeviceSelfManagedIoSuspend = IoSuspend;
	callbacks.EvtDeviceSelfManagedIoRestart = IoRestart;
	callbacks.EvtDeviceSelfManagedIoFlush = IoFlush;
	callbacks.EvtDeviceSelfManagedIoCleanup = IoCleanup;
	WdfDeviceInitSetPnpPowerEventCallbacks(DeviceInit, &callbacks);
	status = WdfDeviceCreate(&DeviceInit, WDF_NO_OBJECT_ATTRIBUTES, &device);
	if (NT_SUCCESS(status))
		status = WdfDeviceCreateSymbolicLink(device, &LinkName);
	Step(Loaded, Loaded, Added);
	return FAILS(add) ? STATUS_INSUFFICIENT_RESOURCES : status;
}

/* It is not for whoever's DriverEntry has failed. */
_Use_decl_annotations_ static VOID Unload(WDFDRIVER Driver)
{
	UNREFERENCED_PARAMETER(Driver);

	if (FAILS(entry))
		WdfObjectDereference(NULL);
}

_Use_decl_annotations_ NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
	WDF_DRIVER_CONFIG config;
	NTSTATUS status;

	WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
	config.EvtDriverUnload = Unload;
	status = WdfDriverCreate(DriverObject, RegistryPath, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
	return FAILS(entry) ? STATUS_NOT_SUPPORTED : status;
}
