// SPDX-License-Identifier: GPL-2.0-only OR MIT
#include "driver.h"

#ifdef ALLOC_PRAGMA
#pragma alloc_text(PAGE, EchoCreateDevice)
#pragma alloc_text(PAGE, EchoEvtSelfManagedIoSuspend)
#endif

/* Build time: so that a test's timer may race with all it does. */
#ifndef ECHO_FIRST_MS
#define ECHO_FIRST_MS 100
#endif

NTSTATUS EchoCreateDevice(PWDFDEVICE_INIT DeviceInit)
{
	WDF_PNPPOWER_EVENT_CALLBACKS power;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFDEVICE device;
	NTSTATUS status;

	PAGED_CODE();

	/* Timer and queue are to run exactly while the device is in its working state. */
	WDF_PNPPOWER_EVENT_CALLBACKS_INIT(&power);
	power.EvtDeviceSelfManagedIoInit = EchoEvtSelfManagedIoStart;
	power.EvtDeviceSelfManagedIoRestart = EchoEvtSelfManagedIoStart;
	power.EvtDeviceSelfManagedIoSuspend = EchoEvtSelfManagedIoSuspend;
	WdfDeviceInitSetPnpPowerEventCallbacks(DeviceInit, &power);

	EchoSetRequestAttributes(DeviceInit);

	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, DEVICE_CONTEXT);
	status = WdfDeviceCreate(&DeviceInit, &attributes, &device);
	if (!NT_SUCCESS(status))
		return status;

	/* A context starts zeroed. */
	ASSERT(WdfObjectGet_DEVICE_CONTEXT(device)->Starts == 0);

	status = WdfDeviceCreateDeviceInterface(device, &GUID_DEVINTERFACE_KMECHO, NULL);
	if (!NT_SUCCESS(status))
		return status;
	return EchoCreateQueue(device);
}

_Use_decl_annotations_ NTSTATUS EchoEvtSelfManagedIoStart(WDFDEVICE Device)
{
	WDFQUEUE queue = WdfDeviceGetDefaultQueue(Device);
	PQUEUE_CONTEXT context = EchoQueueGetContext(queue);

	KdPrint(("kmecho: start %u\n", ++WdfObjectGet_DEVICE_CONTEXT(Device)->Starts));
	WdfIoQueueStart(queue);
	WdfTimerStart(context->Timer, WDF_REL_TIMEOUT_IN_MS(ECHO_FIRST_MS));
	return STATUS_SUCCESS;
}

_Use_decl_annotations_ NTSTATUS EchoEvtSelfManagedIoSuspend(WDFDEVICE Device)
{
	WDFQUEUE queue = WdfDeviceGetDefaultQueue(Device);
	PQUEUE_CONTEXT context = EchoQueueGetContext(queue);

	PAGED_CODE();

	/* In this order: it is the timer that completes the request which the queue's stop waits for. */
	WdfIoQueueStopSynchronously(queue);
	WdfTimerStop(context->Timer, TRUE);
	return STATUS_SUCCESS;
}
