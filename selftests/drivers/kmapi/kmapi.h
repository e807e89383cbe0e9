/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
#ifndef _KMAPI_DRIVER_H
#define _KMAPI_DRIVER_H

#include <ntddk.h>
#include <wdf.h>
#include <ntstrsafe.h>

#include "../../lib/kmapi.h"

#define CHECK(condition) Check(Result, (condition) != 0, __LINE__)
#define EQUAL(wanted, got) CHECK((wanted) == (got))
/* The verifier tells of it, once. */
#define BROKEN(call) (Result->broken++, (call))

typedef struct kmapi_result *PRESULT;

FORCEINLINE VOID Check(PRESULT Result, BOOLEAN Good, ULONG Line)
{
	Result->checks++;
	if (!Good && Result->failed++ < ARRAYSIZE(Result->lines))
		Result->lines[Result->failed - 1] = Line;
}

extern WDFDEVICE ApiDevice, ApiLower;
extern const GUID ApiInterface;

/* They do nothing. */
EVT_WDF_TIMER ApiTimer;
EVT_WDF_WORKITEM ApiItem;

/* Each file has one. */
typedef struct _OFFILE {
	ULONG Opened;
} OFFILE, *POFFILE;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(OFFILE, GetOfFile)

/* What the calls in DriverEntry have returned that are none. */
typedef struct _ENTRY {
	PDRIVER_OBJECT Object;
	WDFDRIVER Driver;
	NTSTATUS NoConfig, BadSize, BadAttributes, Again;
} ENTRY;
extern ENTRY ApiEntry;

VOID ApiPrint(PRESULT Result);
VOID ApiPrintWide(PRESULT Result);
VOID ApiPrintCut(PRESULT Result);
VOID ApiCollection(PRESULT Result);
VOID ApiMemory(PRESULT Result);
VOID ApiObject(PRESULT Result);
VOID ApiKernel(PRESULT Result);
VOID ApiLock(PRESULT Result);
VOID ApiBadDevice(PRESULT Result);
VOID ApiBadQueue(PRESULT Result);
VOID ApiSynchronous(PRESULT Result);
VOID ApiFormat(PRESULT Result);
VOID ApiHandle(PRESULT Result, WDFREQUEST Request);
VOID ApiLevel(PRESULT Result);
VOID ApiOfEntry(PRESULT Result);
VOID ApiLate(PRESULT Result);
VOID ApiOther(PRESULT Result);
NTSTATUS ApiCreate(void);
VOID ApiRefused(PRESULT Result, WDFREQUEST Request);
VOID ApiRequest(PRESULT Result, WDFREQUEST Request);

#endif
