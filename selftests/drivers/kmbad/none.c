// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Says that all is well, and has no driver object. */
#include <ntddk.h>
#include <wdf.h>

DRIVER_INITIALIZE DriverEntry;
static DRIVER_UNLOAD Unload;

/* As a driver without the framework has it. The test sees that a rule was broken. */
_Use_decl_annotations_ static VOID Unload(PDRIVER_OBJECT DriverObject)
{
	UNREFERENCED_PARAMETER(DriverObject);

	WdfObjectDereference(NULL);
}

_Use_decl_annotations_ NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
	UNREFERENCED_PARAMETER(RegistryPath);

	DriverObject->DriverUnload = Unload;
	return STATUS_SUCCESS;
}
