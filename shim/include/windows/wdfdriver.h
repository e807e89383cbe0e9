/* SPDX-License-Identifier: GPL-2.0-only */
/* The driver object. All calls and callbacks are for PASSIVE_LEVEL. */
#ifndef _KMDF_WDFDRIVER_H
#define _KMDF_WDFDRIVER_H

#include "wdfcore.h"
#include "wdfobject.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum _WDF_DRIVER_INIT_FLAGS {
	WdfDriverInitNonPnpDriver = 0x1, /* no EvtDriverDeviceAdd: control devices only */
	WdfDriverInitNoDispatchOverride = 0x2,
	WdfVerifyOn = 0x4,
	WdfVerifierOn = 0x8,
	WdfDriverInitCompanion = 0x10
} WDF_DRIVER_INIT_FLAGS;

/*
 * Called for each device (the module parameter `instances`), one after the other, after DriverEntry. It owns
 * DeviceInit until WdfDeviceCreate() takes it; without a device made, the framework frees it. If the status is not
 * NT_SUCCESS, that device does not come to be, and the module is not loaded.
 */
typedef NTSTATUS EVT_WDF_DRIVER_DEVICE_ADD(WDFDRIVER Driver, PWDFDEVICE_INIT DeviceInit);
typedef EVT_WDF_DRIVER_DEVICE_ADD *PFN_WDF_DRIVER_DEVICE_ADD;

/* The module is being unloaded and its devices have gone. Not called if DriverEntry failed. */
typedef VOID EVT_WDF_DRIVER_UNLOAD(WDFDRIVER Driver);
typedef EVT_WDF_DRIVER_UNLOAD *PFN_WDF_DRIVER_UNLOAD;

typedef struct _WDF_DRIVER_CONFIG {
	ULONG Size;
	PFN_WDF_DRIVER_DEVICE_ADD EvtDriverDeviceAdd;
	PFN_WDF_DRIVER_UNLOAD EvtDriverUnload;
	ULONG DriverInitFlags; /* WDF_DRIVER_INIT_FLAGS */
	ULONG DriverPoolTag;
} WDF_DRIVER_CONFIG, *PWDF_DRIVER_CONFIG;

FORCEINLINE VOID WDF_DRIVER_CONFIG_INIT(PWDF_DRIVER_CONFIG Config, PFN_WDF_DRIVER_DEVICE_ADD EvtDriverDeviceAdd)
{
	KMDF_INIT_STRUCT(Config);
	Config->EvtDriverDeviceAdd = EvtDriverDeviceAdd;
}

typedef struct _WDF_DRIVER_VERSION_AVAILABLE_PARAMS {
	ULONG Size;
	ULONG MajorVersion;
	ULONG MinorVersion;
} WDF_DRIVER_VERSION_AVAILABLE_PARAMS, *PWDF_DRIVER_VERSION_AVAILABLE_PARAMS;

FORCEINLINE VOID WDF_DRIVER_VERSION_AVAILABLE_PARAMS_INIT(PWDF_DRIVER_VERSION_AVAILABLE_PARAMS Params,
							  ULONG MajorVersion, ULONG MinorVersion)
{
	KMDF_INIT_STRUCT(Params);
	Params->MajorVersion = MajorVersion;
	Params->MinorVersion = MinorVersion;
}

/*
 * Makes the driver object: once, in DriverEntry, before any other call; DriverObject is the one it was given.
 * The framework owns the result, and deletes it at unload or when DriverEntry fails. STATUS_DRIVER_UNABLE_TO_LOAD:
 * there is one already; STATUS_INFO_LENGTH_MISMATCH: a wrong Size; STATUS_INVALID_PARAMETER;
 * STATUS_INSUFFICIENT_RESOURCES.
 */
NTSTATUS WdfDriverCreate(PDRIVER_OBJECT DriverObject, PCUNICODE_STRING RegistryPath,
			 PWDF_OBJECT_ATTRIBUTES DriverAttributes, PWDF_DRIVER_CONFIG DriverConfig, WDFDRIVER *Driver);

/* Sets String, the driver's own, to the framework's version. STATUS_INSUFFICIENT_RESOURCES. */
NTSTATUS WdfDriverRetrieveVersionString(WDFDRIVER Driver, WDFSTRING String);

/* TRUE if the framework is of that version or a later one of the same major version. FALSE for a wrong Size. */
BOOLEAN WdfDriverIsVersionAvailable(WDFDRIVER Driver, PWDF_DRIVER_VERSION_AVAILABLE_PARAMS VersionAvailableParams);

#ifdef __cplusplus
}
#endif

#endif
