/* SPDX-License-Identifier: GPL-2.0-only */
/* File objects: one for each open file of a device. The framework's; not the driver's to delete. */
#ifndef _KMDF_WDFFILEOBJECT_H
#define _KMDF_WDFFILEOBJECT_H

#include "wdfobject.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef EVT_WDF_OBJECT_CONTEXT_CLEANUP EVT_WDF_FILE_CONTEXT_CLEANUP_CALLBACK;
typedef EVT_WDF_OBJECT_CONTEXT_DESTROY EVT_WDF_FILE_CONTEXT_DESTROY_CALLBACK;

/* The name that was opened behind the device's, empty if none; the file object's own. PASSIVE_LEVEL. */
PUNICODE_STRING WdfFileObjectGetFileName(WDFFILEOBJECT FileObject);

/* 0, or FO_CLEANUP_COMPLETE after the last handle was closed. At most DISPATCH_LEVEL. */
ULONG WdfFileObjectGetFlags(WDFFILEOBJECT FileObject);

/* Its device. At most DISPATCH_LEVEL. */
WDFDEVICE WdfFileObjectGetDevice(WDFFILEOBJECT FileObject);

/* The process that opened it (Linux's thread group id). At most DISPATCH_LEVEL. */
ULONG WdfFileObjectGetInitiatorProcessId(WDFFILEOBJECT FileObject);

/* NULL, for there is no such object on Linux. */
PFILE_OBJECT WdfFileObjectWdmGetFileObject(WDFFILEOBJECT FileObject);

#ifdef __cplusplus
}
#endif

#endif
