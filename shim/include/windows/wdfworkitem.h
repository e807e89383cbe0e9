/* SPDX-License-Identifier: GPL-2.0-only */
/* Work items. */
#ifndef _KMDF_WDFWORKITEM_H
#define _KMDF_WDFWORKITEM_H

#include "wdfobject.h"

#ifdef __cplusplus
extern "C" {
#endif

/* PASSIVE_LEVEL, in a worker; under its parent's lock if AutomaticSerialization says so and there is one. */
typedef VOID EVT_WDF_WORKITEM(WDFWORKITEM WorkItem);
typedef EVT_WDF_WORKITEM *PFN_WDF_WORKITEM;

typedef struct _WDF_WORKITEM_CONFIG {
	ULONG Size;
	PFN_WDF_WORKITEM EvtWorkItemFunc;
	BOOLEAN AutomaticSerialization;
} WDF_WORKITEM_CONFIG, *PWDF_WORKITEM_CONFIG;

FORCEINLINE VOID WDF_WORKITEM_CONFIG_INIT(PWDF_WORKITEM_CONFIG Config, PFN_WDF_WORKITEM EvtWorkItemFunc)
{
	KMDF_INIT_STRUCT(Config);
	Config->EvtWorkItemFunc = EvtWorkItemFunc;
	Config->AutomaticSerialization = TRUE;
}

/*
 * Parent and errors as WdfTimerCreate(). At most DISPATCH_LEVEL. The caller owns it; deleting it waits for its
 * function.
 */
NTSTATUS WdfWorkItemCreate(PWDF_WORKITEM_CONFIG Config, PWDF_OBJECT_ATTRIBUTES Attributes, WDFWORKITEM *WorkItem);

/*
 * Runs it once more, unless it waits to run already, or is deleted. From its own function too. At most DISPATCH_LEVEL.
 */
VOID WdfWorkItemEnqueue(WDFWORKITEM WorkItem);

/* The one that it was created with, whatever has become of that. At most DISPATCH_LEVEL. */
WDFOBJECT WdfWorkItemGetParentObject(WDFWORKITEM WorkItem);

/* Waits until all that was enqueued before has run. From its own function: a report, and no wait. PASSIVE_LEVEL. */
VOID WdfWorkItemFlush(WDFWORKITEM WorkItem);

#ifdef __cplusplus
}
#endif

#endif
