// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "driver.h"

static NTSTATUS EchoPrintVersion(void);

#ifdef ALLOC_PRAGMA
#pragma alloc_text(INIT, DriverEntry)
#pragma alloc_text(PAGE, EchoEvtDeviceAdd)
#pragma alloc_text(PAGE, EchoPrintVersion)
#endif

_Use_decl_annotations_ NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
	WDF_DRIVER_CONFIG config;
	NTSTATUS status;

	WDF_DRIVER_CONFIG_INIT(&config, EchoEvtDeviceAdd);
	status = WdfDriverCreate(DriverObject, RegistryPath, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
	if (!NT_SUCCESS(status)) {
		KdPrint(("kmecho: WdfDriverCreate failed: 0x%x\n", status));
		return status;
	}
	return EchoPrintVersion();
}

static NTSTATUS EchoPrintVersion(void)
{
	WDF_DRIVER_VERSION_AVAILABLE_PARAMS wanted;
	UNICODE_STRING text;
	WDFSTRING string;
	NTSTATUS status;

	PAGED_CODE();

	status = WdfStringCreate(NULL, WDF_NO_OBJECT_ATTRIBUTES, &string);
	if (!NT_SUCCESS(status))
		return status;
	status = WdfDriverRetrieveVersionString(WdfGetDriver(), string);
	if (NT_SUCCESS(status)) {
		WdfStringGetUnicodeString(string, &text);
		KdPrint(("kmecho: framework %wZ\n", &text));
	}
	WdfObjectDelete(string);
	if (!NT_SUCCESS(status))
		return status;

	/* WdfRequestMarkCancelableEx() came with 1.9. */
	WDF_DRIVER_VERSION_AVAILABLE_PARAMS_INIT(&wanted, 1, 9);
	if (!WdfDriverIsVersionAvailable(WdfGetDriver(), &wanted)) {
		KdPrint(("kmecho: the framework is older than 1.9\n"));
		return STATUS_NOT_SUPPORTED;
	}
	return STATUS_SUCCESS;
}

_Use_decl_annotations_ NTSTATUS EchoEvtDeviceAdd(WDFDRIVER Driver, PWDFDEVICE_INIT DeviceInit)
{
	PAGED_CODE();
	UNREFERENCED_PARAMETER(Driver);

	return EchoCreateDevice(DeviceInit);
}
