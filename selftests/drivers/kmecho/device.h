/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef _KMECHO_DEVICE_H
#define _KMECHO_DEVICE_H

typedef struct _DEVICE_CONTEXT {
	ULONG Starts; /* how often its I/O has been started: once, and after each suspend */
} DEVICE_CONTEXT, *PDEVICE_CONTEXT;

WDF_DECLARE_CONTEXT_TYPE(DEVICE_CONTEXT)

NTSTATUS EchoCreateDevice(_Inout_ PWDFDEVICE_INIT DeviceInit);

EVT_WDF_DEVICE_SELF_MANAGED_IO_INIT EchoEvtSelfManagedIoStart;
EVT_WDF_DEVICE_SELF_MANAGED_IO_SUSPEND EchoEvtSelfManagedIoSuspend;

#endif
