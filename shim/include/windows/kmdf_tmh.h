/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * WPP tracing, compiled away: what a driver's NAME.tmh is here. scripts/driver.mk generates it, with the trace
 * functions that the driver's own WPP configuration names.
 */
#ifndef _KMDF_TMH_H
#define _KMDF_TMH_H

#include "evntrace.h"

#define WPP_INIT_TRACING(...) ((void)0)
#define WPP_CLEANUP(...) ((void)0)
#define WPP_DEFINE_CONTROL_GUID(...)
#define WPP_DEFINE_BIT(...)
#define WPP_LEVEL_ENABLED(...) 0
#define WPP_FLAG_LEVEL_ENABLED(...) 0
#define WPP_RECORDER_INITIALIZE(...) ((void)0)

#ifndef TraceEvents
#define TraceEvents(...) ((void)0)
#endif
#ifndef DoTraceMessage
#define DoTraceMessage(...) ((void)0)
#endif
#ifndef DoTraceLevelMessage
#define DoTraceLevelMessage(...) ((void)0)
#endif

#endif
