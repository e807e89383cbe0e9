/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Handles of the framework and what several of its headers need. A handle is opaque, and valid until its object
 * is deleted, or for a request completed, and for as long after as somebody holds a reference.
 */
#ifndef _KMDF_WDFTYPES_H
#define _KMDF_WDFTYPES_H

#include "ntddk.h"

typedef HANDLE WDFOBJECT, *PWDFOBJECT;
typedef PVOID WDFCONTEXT;

#define KMDF_DECLARE_HANDLE(name) typedef struct name##__ *name, *P##name
KMDF_DECLARE_HANDLE(WDFDRIVER);
KMDF_DECLARE_HANDLE(WDFDEVICE);
KMDF_DECLARE_HANDLE(WDFQUEUE);
KMDF_DECLARE_HANDLE(WDFREQUEST);
KMDF_DECLARE_HANDLE(WDFFILEOBJECT);
KMDF_DECLARE_HANDLE(WDFTIMER);
KMDF_DECLARE_HANDLE(WDFWORKITEM);
KMDF_DECLARE_HANDLE(WDFSPINLOCK);
KMDF_DECLARE_HANDLE(WDFWAITLOCK);
KMDF_DECLARE_HANDLE(WDFMEMORY);
KMDF_DECLARE_HANDLE(WDFIOTARGET);
KMDF_DECLARE_HANDLE(WDFSTRING);
KMDF_DECLARE_HANDLE(WDFCOLLECTION);
KMDF_DECLARE_HANDLE(WDFKEY);
/* Hardware is not for this kextbridge: these exist for the callbacks that name them. */
KMDF_DECLARE_HANDLE(WDFCMRESLIST);
KMDF_DECLARE_HANDLE(WDFINTERRUPT);
KMDF_DECLARE_HANDLE(WDFCHILDLIST);
KMDF_DECLARE_HANDLE(WDFLOOKASIDE);
KMDF_DECLARE_HANDLE(WDFDPC);

typedef struct WDFDEVICE_INIT *PWDFDEVICE_INIT;

#define WDF_NO_HANDLE NULL
#define WDF_NO_OBJECT_ATTRIBUTES NULL
#define WDF_NO_EVENT_CALLBACK NULL
#define WDF_NO_CONTEXT NULL
#define WDF_NO_SEND_OPTIONS NULL

#ifdef __cplusplus
#define WDF_EXTERN_C extern "C"
#define WDF_EXTERN_C_START extern "C" {
#define WDF_EXTERN_C_END }
#else
#define WDF_EXTERN_C
#define WDF_EXTERN_C_START
#define WDF_EXTERN_C_END
#endif

typedef enum _WDF_TRI_STATE { WdfFalse = FALSE, WdfTrue = TRUE, WdfUseDefault = 2 } WDF_TRI_STATE, *PWDF_TRI_STATE;

typedef enum _WDF_EXECUTION_LEVEL {
	WdfExecutionLevelInvalid = 0,
	WdfExecutionLevelInheritFromParent = 1,
	WdfExecutionLevelPassive = 2,
	WdfExecutionLevelDispatch = 3
} WDF_EXECUTION_LEVEL;

typedef enum _WDF_SYNCHRONIZATION_SCOPE {
	WdfSynchronizationScopeInvalid = 0,
	WdfSynchronizationScopeInheritFromParent = 1,
	WdfSynchronizationScopeDevice = 2,
	WdfSynchronizationScopeQueue = 3,
	WdfSynchronizationScopeNone = 4
} WDF_SYNCHRONIZATION_SCOPE;

typedef enum _WDF_REQUEST_TYPE {
	WdfRequestTypeCreate = 0x0,
	WdfRequestTypeCreateNamedPipe = 0x1,
	WdfRequestTypeClose = 0x2,
	WdfRequestTypeRead = 0x3,
	WdfRequestTypeWrite = 0x4,
	WdfRequestTypeQueryInformation = 0x5,
	WdfRequestTypeSetInformation = 0x6,
	WdfRequestTypeQueryEA = 0x7,
	WdfRequestTypeSetEA = 0x8,
	WdfRequestTypeFlushBuffers = 0x9,
	WdfRequestTypeQueryVolumeInformation = 0xA,
	WdfRequestTypeSetVolumeInformation = 0xB,
	WdfRequestTypeDirectoryControl = 0xC,
	WdfRequestTypeFileSystemControl = 0xD,
	WdfRequestTypeDeviceControl = 0xE,
	WdfRequestTypeDeviceControlInternal = 0xF,
	WdfRequestTypeShutdown = 0x10,
	WdfRequestTypeLockControl = 0x11,
	WdfRequestTypeCleanup = 0x12,
	WdfRequestTypeCreateMailSlot = 0x13,
	WdfRequestTypeQuerySecurity = 0x14,
	WdfRequestTypeSetSecurity = 0x15,
	WdfRequestTypePower = 0x16,
	WdfRequestTypeSystemControl = 0x17,
	WdfRequestTypeDeviceChange = 0x18,
	WdfRequestTypeQueryQuota = 0x19,
	WdfRequestTypeSetQuota = 0x1A,
	WdfRequestTypePnp = 0x1B,
	WdfRequestTypeOther = 0x1C,
	WdfRequestTypeUsb = 0x40,
	WdfRequestTypeNoFormat = 0xFF,
	WdfRequestTypeMax
} WDF_REQUEST_TYPE;

/* A part of a memory object; both 0: all of it. */
typedef struct _WDFMEMORY_OFFSET {
	size_t BufferOffset;
	size_t BufferLength;
} WDFMEMORY_OFFSET, *PWDFMEMORY_OFFSET;

/* Due times and timeouts in 100 ns: relative ones are negative. */
FORCEINLINE LONGLONG WDF_REL_TIMEOUT_IN_SEC(ULONGLONG Time)
{
	return (LONGLONG)Time * -10000000;
}

FORCEINLINE LONGLONG WDF_REL_TIMEOUT_IN_MS(ULONGLONG Time)
{
	return (LONGLONG)Time * -10000;
}

FORCEINLINE LONGLONG WDF_REL_TIMEOUT_IN_US(ULONGLONG Time)
{
	return (LONGLONG)Time * -10;
}

FORCEINLINE LONGLONG WDF_ABS_TIMEOUT_IN_SEC(ULONGLONG Time)
{
	return (LONGLONG)Time * 10000000;
}

FORCEINLINE LONGLONG WDF_ABS_TIMEOUT_IN_MS(ULONGLONG Time)
{
	return (LONGLONG)Time * 10000;
}

FORCEINLINE LONGLONG WDF_ABS_TIMEOUT_IN_US(ULONGLONG Time)
{
	return (LONGLONG)Time * 10;
}

/* What all *_INIT helpers begin with. */
#define KMDF_INIT_STRUCT(pointer) \
	(RtlZeroMemory((pointer), sizeof(*(pointer))), (void)((pointer)->Size = sizeof(*(pointer))))

#endif
