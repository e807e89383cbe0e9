/* SPDX-License-Identifier: GPL-2.0-only */
/* Collections of objects, in the order they were added. At most DISPATCH_LEVEL. The driver does the locking. */
#ifndef _KMDF_WDFCOLLECTION_H
#define _KMDF_WDFCOLLECTION_H

#include "wdfobject.h"

#ifdef __cplusplus
extern "C" {
#endif

/* An empty one; its parent is the driver unless given. The caller owns it. STATUS_INSUFFICIENT_RESOURCES. */
NTSTATUS WdfCollectionCreate(PWDF_OBJECT_ATTRIBUTES CollectionAttributes, WDFCOLLECTION *Collection);

ULONG WdfCollectionGetCount(WDFCOLLECTION Collection);

/* Adds it at the end, with a reference that goes when it is removed. STATUS_INSUFFICIENT_RESOURCES. */
NTSTATUS WdfCollectionAdd(WDFCOLLECTION Collection, WDFOBJECT Object);

/* Removes it where it occurs first, or the one at Index, with the collection's reference. Without it, reported. */
VOID WdfCollectionRemove(WDFCOLLECTION Collection, WDFOBJECT Item);
VOID WdfCollectionRemoveItem(WDFCOLLECTION Collection, ULONG Index);

/* NULL if there is none. No reference for the caller. */
WDFOBJECT WdfCollectionGetItem(WDFCOLLECTION Collection, ULONG Index);
WDFOBJECT WdfCollectionGetFirstItem(WDFCOLLECTION Collection);
WDFOBJECT WdfCollectionGetLastItem(WDFCOLLECTION Collection);

#ifdef __cplusplus
}
#endif

#endif
