/* SPDX-License-Identifier: GPL-2.0-only */
/* String objects. PASSIVE_LEVEL. */
#ifndef _KMDF_WDFSTRING_H
#define _KMDF_WDFSTRING_H

#include "wdfobject.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * A copy of UnicodeString, or an empty string; its parent is the driver unless given. The caller owns it.
 * STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_PARAMETER, STATUS_INFO_LENGTH_MISMATCH.
 */
NTSTATUS WdfStringCreate(PCUNICODE_STRING UnicodeString, PWDF_OBJECT_ATTRIBUTES StringAttributes, WDFSTRING *String);

/* What it holds: *UnicodeString points into the object and is valid as long as that. */
VOID WdfStringGetUnicodeString(WDFSTRING String, PUNICODE_STRING UnicodeString);

#ifdef __cplusplus
}
#endif

#endif
