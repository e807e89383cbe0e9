/* SPDX-License-Identifier: GPL-2.0-only */
/* I/O targets: where a driver sends requests. */
#ifndef _KMDF_WDFIOTARGET_H
#define _KMDF_WDFIOTARGET_H

#include "wdfmemory.h"
#include "wdfrequest.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum _WDF_IO_TARGET_STATE {
	WdfIoTargetStateUndefined = 0,
	WdfIoTargetStarted = 1,
	WdfIoTargetStopped = 2,
	WdfIoTargetClosedForQueryRemove = 3,
	WdfIoTargetClosed = 4,
	WdfIoTargetDeleted = 5,
	WdfIoTargetPurged = 6
} WDF_IO_TARGET_STATE,
	*PWDF_IO_TARGET_STATE;

typedef enum _WDF_IO_TARGET_OPEN_TYPE {
	WdfIoTargetOpenUndefined = 0,
	WdfIoTargetOpenUseExistingDevice = 1,
	WdfIoTargetOpenByName = 2,
	WdfIoTargetOpenReopen = 3,
	WdfIoTargetOpenLocalTargetByFile = 4
} WDF_IO_TARGET_OPEN_TYPE;

typedef enum _WDF_IO_TARGET_SENT_IO_ACTION {
	WdfIoTargetSentIoUndefined = 0,
	WdfIoTargetCancelSentIo = 1,
	WdfIoTargetWaitForSentIoToComplete = 2,
	WdfIoTargetLeaveSentIoPending = 3
} WDF_IO_TARGET_SENT_IO_ACTION;

typedef enum _WDF_IO_TARGET_PURGE_IO_ACTION {
	WdfIoTargetPurgeIoUndefined = 0,
	WdfIoTargetPurgeIoAndWait = 1,
	WdfIoTargetPurgeIo = 2
} WDF_IO_TARGET_PURGE_IO_ACTION;

/* The target's device is asked to go, stays after all, or has gone. PASSIVE_LEVEL. */
typedef NTSTATUS EVT_WDF_IO_TARGET_QUERY_REMOVE(WDFIOTARGET IoTarget);
typedef EVT_WDF_IO_TARGET_QUERY_REMOVE *PFN_WDF_IO_TARGET_QUERY_REMOVE;
typedef VOID EVT_WDF_IO_TARGET_REMOVE_CANCELED(WDFIOTARGET IoTarget);
typedef EVT_WDF_IO_TARGET_REMOVE_CANCELED *PFN_WDF_IO_TARGET_REMOVE_CANCELED;
typedef VOID EVT_WDF_IO_TARGET_REMOVE_COMPLETE(WDFIOTARGET IoTarget);
typedef EVT_WDF_IO_TARGET_REMOVE_COMPLETE *PFN_WDF_IO_TARGET_REMOVE_COMPLETE;

typedef struct _WDF_IO_TARGET_OPEN_PARAMS {
	ULONG Size;
	WDF_IO_TARGET_OPEN_TYPE Type;
	PFN_WDF_IO_TARGET_QUERY_REMOVE EvtIoTargetQueryRemove;
	PFN_WDF_IO_TARGET_REMOVE_CANCELED EvtIoTargetRemoveCanceled;
	PFN_WDF_IO_TARGET_REMOVE_COMPLETE EvtIoTargetRemoveComplete;
	PDEVICE_OBJECT TargetDeviceObject;
	PFILE_OBJECT TargetFileObject;
	UNICODE_STRING TargetDeviceName;
	ACCESS_MASK DesiredAccess;
	ULONG ShareAccess;
	ULONG FileAttributes;
	ULONG CreateDisposition;
	ULONG CreateOptions;
	PVOID EaBuffer;
	ULONG EaBufferLength;
	PLONGLONG AllocationSize;
	ULONG FileInformation;
	UNICODE_STRING FileName;
} WDF_IO_TARGET_OPEN_PARAMS, *PWDF_IO_TARGET_OPEN_PARAMS;

FORCEINLINE VOID WDF_IO_TARGET_OPEN_PARAMS_INIT_EXISTING_DEVICE(PWDF_IO_TARGET_OPEN_PARAMS Params,
								PDEVICE_OBJECT DeviceObject)
{
	KMDF_INIT_STRUCT(Params);
	Params->Type = WdfIoTargetOpenUseExistingDevice;
	Params->TargetDeviceObject = DeviceObject;
}

FORCEINLINE VOID WDF_IO_TARGET_OPEN_PARAMS_INIT_CREATE_BY_NAME(PWDF_IO_TARGET_OPEN_PARAMS Params,
							       PCUNICODE_STRING TargetDeviceName,
							       ACCESS_MASK DesiredAccess)
{
	KMDF_INIT_STRUCT(Params);
	Params->Type = WdfIoTargetOpenByName;
	Params->TargetDeviceName = *TargetDeviceName;
	Params->DesiredAccess = DesiredAccess;
	Params->FileAttributes = FILE_ATTRIBUTE_NORMAL;
	Params->CreateDisposition = FILE_OPEN;
	Params->CreateOptions = FILE_NON_DIRECTORY_FILE;
}

FORCEINLINE VOID WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(PWDF_IO_TARGET_OPEN_PARAMS Params,
							     PCUNICODE_STRING TargetDeviceName,
							     ACCESS_MASK DesiredAccess)
{
	WDF_IO_TARGET_OPEN_PARAMS_INIT_CREATE_BY_NAME(Params, TargetDeviceName, DesiredAccess);
}

FORCEINLINE VOID WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_FILE(PWDF_IO_TARGET_OPEN_PARAMS Params,
							     PCUNICODE_STRING FileName)
{
	KMDF_INIT_STRUCT(Params);
	Params->Type = WdfIoTargetOpenLocalTargetByFile;
	if (FileName)
		Params->FileName = *FileName;
}

FORCEINLINE VOID WDF_IO_TARGET_OPEN_PARAMS_INIT_REOPEN(PWDF_IO_TARGET_OPEN_PARAMS Params)
{
	KMDF_INIT_STRUCT(Params);
	Params->Type = WdfIoTargetOpenReopen;
}

/* A closed target of Device, its parent. The caller owns it. STATUS_INSUFFICIENT_RESOURCES. PASSIVE_LEVEL. */
NTSTATUS WdfIoTargetCreate(WDFDEVICE Device, PWDF_OBJECT_ATTRIBUTES IoTargetAttributes, WDFIOTARGET *IoTarget);

/*
 * Opens and starts it: a device of kmdf.ko by the name or the symbolic link a driver gave it.
 * STATUS_OBJECT_NAME_NOT_FOUND: no such device; STATUS_INVALID_DEVICE_STATE: it is open; STATUS_INVALID_PARAMETER;
 * STATUS_NOT_SUPPORTED: such a device cannot be opened; STATUS_INFO_LENGTH_MISMATCH; STATUS_INSUFFICIENT_RESOURCES;
 * or the device's own answer. PASSIVE_LEVEL.
 */
NTSTATUS WdfIoTargetOpen(WDFIOTARGET IoTarget, PWDF_IO_TARGET_OPEN_PARAMS OpenParams);

/* Cancels what was sent, waits for it, and closes. PASSIVE_LEVEL, not from a completion routine. */
VOID WdfIoTargetClose(WDFIOTARGET IoTarget);

/*
 * Sends what has waited, until it is stopped, purged or closed meanwhile, which a completion routine may do inside
 * this call. STATUS_INVALID_DEVICE_STATE: closed. At most DISPATCH_LEVEL.
 */
NTSTATUS WdfIoTargetStart(WDFIOTARGET IoTarget);

/*
 * Sends no more: what is sent from now on waits for Start. CancelSentIo cancels what was sent and waits for it,
 * WaitForSentIoToComplete waits (both PASSIVE_LEVEL, not from a completion routine), LeaveSentIoPending does
 * neither (at most DISPATCH_LEVEL).
 */
VOID WdfIoTargetStop(WDFIOTARGET IoTarget, WDF_IO_TARGET_SENT_IO_ACTION Action);

/*
 * Cancels what was sent and what waits (STATUS_WDF_DEVICE_REMOVED_NOT_SENT), and refuses more until Start.
 * PurgeIoAndWait waits for it: PASSIVE_LEVEL, not from a completion routine. PurgeIo: at most DISPATCH_LEVEL.
 */
VOID WdfIoTargetPurge(WDFIOTARGET IoTarget, WDF_IO_TARGET_PURGE_IO_ACTION Action);

/* At most DISPATCH_LEVEL. */
WDF_IO_TARGET_STATE WdfIoTargetGetState(WDFIOTARGET IoTarget);
WDFDEVICE WdfIoTargetGetDevice(WDFIOTARGET IoTarget);

/*
 * Sends and waits for the answer: its status, or why it was not sent, as WdfRequestSend() would; with a timeout
 * STATUS_IO_TIMEOUT. Request may be NULL, else it is the caller's, before and after. Buffers are the caller's. The
 * count of bytes is 0 if it was not sent.
 * PASSIVE_LEVEL.
 */
NTSTATUS WdfIoTargetSendReadSynchronously(WDFIOTARGET IoTarget, WDFREQUEST Request, PWDF_MEMORY_DESCRIPTOR OutputBuffer,
					  PLONGLONG DeviceOffset, PWDF_REQUEST_SEND_OPTIONS RequestOptions,
					  PULONG_PTR BytesRead);
NTSTATUS WdfIoTargetSendWriteSynchronously(WDFIOTARGET IoTarget, WDFREQUEST Request, PWDF_MEMORY_DESCRIPTOR InputBuffer,
					   PLONGLONG DeviceOffset, PWDF_REQUEST_SEND_OPTIONS RequestOptions,
					   PULONG_PTR BytesWritten);
NTSTATUS WdfIoTargetSendIoctlSynchronously(WDFIOTARGET IoTarget, WDFREQUEST Request, ULONG IoctlCode,
					   PWDF_MEMORY_DESCRIPTOR InputBuffer, PWDF_MEMORY_DESCRIPTOR OutputBuffer,
					   PWDF_REQUEST_SEND_OPTIONS RequestOptions, PULONG_PTR BytesReturned);

/*
 * Says what Request is when it is sent to IoTarget. The memory objects are referenced until it has come back and is
 * reused, formatted anew or deleted. STATUS_INVALID_DEVICE_REQUEST, with a report: it is sent at the time, or the driver
 * does not have it;
 * STATUS_INVALID_BUFFER_SIZE: an offset outside the memory; STATUS_INVALID_PARAMETER: a handle of something else;
 * STATUS_INSUFFICIENT_RESOURCES.
 * At most DISPATCH_LEVEL.
 */
NTSTATUS WdfIoTargetFormatRequestForRead(WDFIOTARGET IoTarget, WDFREQUEST Request, WDFMEMORY OutputBuffer,
					 PWDFMEMORY_OFFSET OutputBufferOffset, PLONGLONG DeviceOffset);
NTSTATUS WdfIoTargetFormatRequestForWrite(WDFIOTARGET IoTarget, WDFREQUEST Request, WDFMEMORY InputBuffer,
					  PWDFMEMORY_OFFSET InputBufferOffset, PLONGLONG DeviceOffset);
NTSTATUS WdfIoTargetFormatRequestForIoctl(WDFIOTARGET IoTarget, WDFREQUEST Request, ULONG IoctlCode,
					  WDFMEMORY InputBuffer, PWDFMEMORY_OFFSET InputBufferOffset,
					  WDFMEMORY OutputBuffer, PWDFMEMORY_OFFSET OutputBufferOffset);
NTSTATUS WdfIoTargetFormatRequestForInternalIoctl(WDFIOTARGET IoTarget, WDFREQUEST Request, ULONG IoctlCode,
						  WDFMEMORY InputBuffer, PWDFMEMORY_OFFSET InputBufferOffset,
						  WDFMEMORY OutputBuffer, PWDFMEMORY_OFFSET OutputBufferOffset);

#ifdef __cplusplus
}
#endif

#endif
