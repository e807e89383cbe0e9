/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * An echo device: a read gives what was written last. Neither is completed at once: the driver keeps each request, marked
 * cancelable, until a periodic timer completes it, so that the timer and cancellation race for it.
 *
 * queue_auto.c lets the framework keep them apart (automatic synchronization), queue_own.c does it by itself.
 */
#ifndef _KMECHO_DRIVER_H
#define _KMECHO_DRIVER_H

#define INITGUID

#include <ntddk.h>
#include <wdf.h>

#include "public.h"
#include "device.h"
#include "queue.h"

DRIVER_INITIALIZE DriverEntry;
EVT_WDF_DRIVER_DEVICE_ADD EchoEvtDeviceAdd;

#endif
