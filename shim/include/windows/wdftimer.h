/* SPDX-License-Identifier: GPL-2.0-only */
/* Timers. */
#ifndef _KMDF_WDFTIMER_H
#define _KMDF_WDFTIMER_H

#include "wdfobject.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * DISPATCH_LEVEL; PASSIVE_LEVEL if the timer's execution level is passive. Under its parent's lock if
 * AutomaticSerialization says so and there is one.
 */
typedef VOID EVT_WDF_TIMER(WDFTIMER Timer);
typedef EVT_WDF_TIMER *PFN_WDF_TIMER;

#define TolerableDelayUnlimited ((ULONG)-1)

typedef struct _WDF_TIMER_CONFIG {
	ULONG Size;
	PFN_WDF_TIMER EvtTimerFunc;
	ULONG Period; /* ms; 0: once */
	BOOLEAN AutomaticSerialization;
	ULONG TolerableDelay; /* ms */
	WDF_TRI_STATE UseHighResolutionTimer;
} WDF_TIMER_CONFIG, *PWDF_TIMER_CONFIG;

FORCEINLINE VOID WDF_TIMER_CONFIG_INIT(PWDF_TIMER_CONFIG Config, PFN_WDF_TIMER EvtTimerFunc)
{
	KMDF_INIT_STRUCT(Config);
	Config->EvtTimerFunc = EvtTimerFunc;
	Config->AutomaticSerialization = TRUE;
	Config->UseHighResolutionTimer = WdfUseDefault;
}

FORCEINLINE VOID WDF_TIMER_CONFIG_INIT_PERIODIC(PWDF_TIMER_CONFIG Config, PFN_WDF_TIMER EvtTimerFunc, LONG Period)
{
	WDF_TIMER_CONFIG_INIT(Config, EvtTimerFunc);
	Config->Period = (ULONG)Period;
}

/*
 * A timer that is not armed. Attributes must name a parent that is a device or descends from one; deleting that
 * stops the timer and waits, unless it is a request that is completed above PASSIVE_LEVEL or by the timer: a report, and
 * its device waits. STATUS_WDF_PARENT_NOT_SPECIFIED; STATUS_INVALID_DEVICE_REQUEST: such a parent it is
 * not; STATUS_WDF_INCOMPATIBLE_EXECUTION_LEVEL: the parent's lock is of another level; STATUS_NOT_SUPPORTED:
 * periodic and passive; STATUS_INVALID_PARAMETER: no function, or a Period above MAXLONG;
 * STATUS_INFO_LENGTH_MISMATCH; STATUS_INSUFFICIENT_RESOURCES. At most DISPATCH_LEVEL. The caller owns it.
 */
NTSTATUS WdfTimerCreate(PWDF_TIMER_CONFIG Config, PWDF_OBJECT_ATTRIBUTES Attributes, WDFTIMER *Timer);

/*
 * Arms it; DueTime in 100 ns, negative is relative, else system time. TRUE if it was armed before, which this
 * replaces. While a WdfTimerStop() waits it counts as before that, and is undone. At most DISPATCH_LEVEL.
 */
BOOLEAN WdfTimerStart(WDFTIMER Timer, LONGLONG DueTime);

/*
 * Disarms it: TRUE if it was armed, also if that was by its own function or by somebody else while this waits. With Wait
 * (PASSIVE_LEVEL) what was due has run, its function has returned and does not run any more; without, at most
 * DISPATCH_LEVEL. With Wait from its own function: FALSE and a report.
 */
BOOLEAN WdfTimerStop(WDFTIMER Timer, BOOLEAN Wait);

/* The one that it was created with, whatever has become of that. At most DISPATCH_LEVEL. */
WDFOBJECT WdfTimerGetParentObject(WDFTIMER Timer);

#ifdef __cplusplus
}
#endif

#endif
