/* SPDX-License-Identifier: GPL-2.0-only */
/* The driver's own handle, and reports. */
#ifndef _KMDF_WDFCORE_H
#define _KMDF_WDFCORE_H

#include "wdftypes.h"
#include "kmdf_glue.h"

/* The driver that WdfDriverCreate() made; NULL before. any level. */
FORCEINLINE WDFDRIVER WdfGetDriver(void)
{
	return kmdf_driver_glue.driver;
}

#ifdef __cplusplus
extern "C" {
#endif

/* A report with a stack trace: there is no debugger to break into. any level. */
VOID WdfVerifierDbgBreakPoint(void);

/* The framework's bug check: a report, a warning or a panic, as kmdf.ko's parameter says. any level. */
VOID WdfVerifierKeBugCheck(ULONG BugCheckCode, ULONG_PTR BugCheckParameter1, ULONG_PTR BugCheckParameter2,
			   ULONG_PTR BugCheckParameter3, ULONG_PTR BugCheckParameter4);

#ifdef __cplusplus
}
#endif

#endif
