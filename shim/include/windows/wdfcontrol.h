/* SPDX-License-Identifier: GPL-2.0-only */
/* Control devices: those that a driver makes without EvtDriverDeviceAdd. */
#ifndef _KMDF_WDFCONTROL_H
#define _KMDF_WDFCONTROL_H

#include "wdfdevice.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum _WDF_DEVICE_SHUTDOWN_FLAGS {
	WdfDeviceShutdown = 0x1,
	WdfDeviceLastChanceShutdown = 0x2,
	WdfDeviceShutdownMaximum
} WDF_DEVICE_SHUTDOWN_FLAGS;

/* The system is being shut down. PASSIVE_LEVEL. */
typedef VOID EVT_WDF_DEVICE_SHUTDOWN_NOTIFICATION(WDFDEVICE Device);
typedef EVT_WDF_DEVICE_SHUTDOWN_NOTIFICATION *PFN_WDF_DEVICE_SHUTDOWN_NOTIFICATION;

/*
 * What WdfDeviceCreate() makes a control device of; NULL if there is no memory. The caller frees it with
 * WdfDeviceInitFree() if it does not come to that. SDDLString is not looked at. PASSIVE_LEVEL.
 */
PWDFDEVICE_INIT WdfControlDeviceInitAllocate(WDFDRIVER Driver, const UNICODE_STRING *SDDLString);

/* PASSIVE_LEVEL. */
VOID WdfControlDeviceInitSetShutdownNotification(PWDFDEVICE_INIT DeviceInit,
						 PFN_WDF_DEVICE_SHUTDOWN_NOTIFICATION Notification, UCHAR Flags);

/*
 * The device may be opened now. Once, after its queues were made, and of no other device: else a report, and nothing.
 * PASSIVE_LEVEL, which is stricter than Windows: a node in /dev is made.
 */
VOID WdfControlFinishInitializing(WDFDEVICE Device);

#ifdef __cplusplus
}
#endif

#endif
