/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The test driver: what its files share. What it does is said in selftests/lib/kmtest.h. */
#ifndef _KMTEST_DRIVER_H
#define _KMTEST_DRIVER_H

#include <ntddk.h>
#include <wdf.h>

#include "../../lib/kmtest.h"

#define KMTEST_TAG 'tsmK'
#define KMTEST_MAGIC 0x746d6b73

/* ---- slot.c */

typedef enum _KM_KIND {
	KmKindNone,
	KmKindDevice,
	KmKindQueue,
	KmKindClient,  /* a request that a queue has given us */
	KmKindRequest, /* one of our own */
	KmKindFile,
	KmKindTarget,
	KmKindTimer,
	KmKindWork,
	KmKindSpinLock,
	KmKindWaitLock,
	KmKindMemory,
	KmKindObject,
} KM_KIND;

typedef struct _KM_SLOT {
	ULONG Number;
	KM_KIND Kind;
	/* Volatile is what KMTEST_LOOK may look at while it changes. */
	WDFOBJECT volatile Handle; /* may be stale: tests ask for that, too */
	volatile LONG Alive;
	LONG Sent;
	ULONG Flags;
	ULONG Files;        /* of a device: KMTEST_REFUSES, KMTEST_DEFERS */
	ULONG First, Count; /* of a queue's script */
	LONG Next;
	KEVENT Gate;
	volatile LONG Counts[KMTEST_ATS];
	volatile LONG Done;
	volatile NTSTATUS LastStatus;
	LONG Flag;                   /* KMTEST_SWAP */
	LONG Listed;                 /* KMTEST_LIST */
	PVOID Extra;                 /* the context that KMTEST_CONTEXT_ADD has made */
	CHAR Name[KMTEST_NAME_SIZE]; /* of a device */
	struct kmtest_op Ops[KMTEST_SCRIPT_OPS];
} KM_SLOT, *PKM_SLOT;

/* Each object that is in a slot has one. */
typedef struct _SLOT_CONTEXT {
	PKM_SLOT Slot; /* NULL: a request that the driver has not been given yet */
	ULONG Magic;
} SLOT_CONTEXT, *PSLOT_CONTEXT;

WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(SLOT_CONTEXT, KmSlotContext)

typedef struct _EXTRA_CONTEXT {
	ULONG64 Zero[4];
} EXTRA_CONTEXT, *PEXTRA_CONTEXT;

WDF_DECLARE_CONTEXT_TYPE(EXTRA_CONTEXT)

/* Set by KMTEST_FINISH: scripts are over, what comes is completed. */
extern volatile LONG KmFinishing;

VOID KmInitSlots(void);

/* NULL: there is no such slot. */
PKM_SLOT KmSlot(_In_ ULONG Number);

/* The slot of an object that has one. */
PKM_SLOT KmSlotOf(_In_ WDFOBJECT Object);

/* For a new object of a slot. Parent may be NULL. */
VOID KmInitAttributes(_Out_ PWDF_OBJECT_ATTRIBUTES Attributes, _In_opt_ WDFOBJECT Parent);
VOID KmBind(_Inout_ PKM_SLOT Slot, _In_ WDFOBJECT Object, KM_KIND Kind);

VOID KmSetScript(_Inout_ PKM_SLOT Slot, _In_ const struct kmtest_script *Script);

/* Slot of a request that the driver has just been given; at the first time with its script. NULL: it has none. */
PKM_SLOT KmAdopt(_In_ WDFQUEUE Queue, _In_ WDFREQUEST Request);

/* At most DISPATCH_LEVEL. */
VOID KmLog(_In_opt_ PKM_SLOT Slot, ULONG Type, ULONG Op, NTSTATUS Status, ULONGLONG Value, PVOID Stack);
ULONGLONG KmLastEvent(void);
/* PASSIVE_LEVEL. */
VOID KmWaitEvent(_Inout_ struct kmtest_wait *Wait);

/* STATUS_TIMEOUT: it has stayed closed for KMTEST_PATIENCE_MS. */
NTSTATUS KmWaitGate(_In_ PKM_SLOT Slot);

/* A callback of the slot has begun: logs it, does what the script says, logs its end. */
VOID KmCallback(_In_ PKM_SLOT Slot, ULONG At, NTSTATUS Status, ULONGLONG Value);

/* As KMTEST_FINISH. */
VOID KmFinish(void);

/* Whether all files see the same context of Object. */
BOOLEAN KmContextUnits(_In_ WDFOBJECT Object);
PVOID KmContextSeenByDevice(_In_ WDFOBJECT Object);
PVOID KmContextSeenByIo(_In_ WDFOBJECT Object);

EVT_WDF_OBJECT_CONTEXT_CLEANUP KmEvtCleanup;
EVT_WDF_OBJECT_CONTEXT_DESTROY KmEvtDestroy;

/* ---- ops.c, object_ops.c, send_ops.c */

typedef struct _KM_RUN {
	PKM_SLOT Own;
	NTSTATUS Status; /* of the op before */
	ULONGLONG Value;
	KIRQL OldIrql;
	BOOLEAN Raised;
} KM_RUN, *PKM_RUN;

VOID KmBeginRun(_Out_ PKM_RUN Run, _In_opt_ PKM_SLOT Own);

/* Does it, and writes what came of it to *Op; logs it unless it was skipped. */
VOID KmDo(_Inout_ PKM_RUN Run, _Inout_ struct kmtest_op *Op);
VOID KmEndRun(_Inout_ PKM_RUN Run);

/* Those of timers, work items, locks, memory and other objects. FALSE: it is none of them. */
BOOLEAN KmDoObject(_In_ PKM_SLOT Slot, _In_opt_ PKM_SLOT Other, _Inout_ struct kmtest_op *Op);
/* Those of requests that are sent, and targets. */
BOOLEAN KmDoSend(_In_ PKM_SLOT Slot, _In_opt_ PKM_SLOT Other, _Inout_ struct kmtest_op *Op);

VOID KmCancelSent(_In_ PKM_SLOT Slot);
VOID KmCloseTarget(_In_ PKM_SLOT Slot);

/* ---- io.c: what queues call */

EVT_WDF_IO_QUEUE_IO_DEFAULT KmEvtIoDefault;
EVT_WDF_IO_QUEUE_IO_READ KmEvtIoRead;
EVT_WDF_IO_QUEUE_IO_WRITE KmEvtIoWrite;
EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL KmEvtIoDeviceControl;
EVT_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL KmEvtIoInternalDeviceControl;
EVT_WDF_IO_QUEUE_IO_STOP KmEvtIoStop;
EVT_WDF_IO_QUEUE_IO_RESUME KmEvtIoResume;
EVT_WDF_IO_QUEUE_IO_CANCELED_ON_QUEUE KmEvtIoCanceledOnQueue;
EVT_WDF_IO_QUEUE_STATE KmEvtStopped;
EVT_WDF_IO_QUEUE_STATE KmEvtPurged;
EVT_WDF_IO_QUEUE_STATE KmEvtReady;
EVT_WDF_REQUEST_CANCEL KmEvtCancel;
EVT_WDF_REQUEST_CANCEL KmEvtOtherCancel;
EVT_WDF_REQUEST_COMPLETION_ROUTINE KmEvtCompletion;

/* ---- device.c */

EVT_WDF_DRIVER_DEVICE_ADD KmEvtDeviceAdd;
NTSTATUS KmCreateControl(void);
NTSTATUS KmCreateDevice(_Inout_ struct kmtest_device *Device);
NTSTATUS KmCreateQueue(_Inout_ struct kmtest_queue *Queue);

#define KM_NAME_CHARS (12 + KMTEST_NAME_SIZE)

/* Prefix and name, in Buffer, which has KM_NAME_CHARS. */
VOID KmName(_Out_ PUNICODE_STRING String, _Out_writes_(KM_NAME_CHARS) PWCHAR Buffer, _In_ PCSTR Prefix,
	    _In_ PCSTR Name);

/* ---- control.c */

EVT_WDF_IO_IN_CALLER_CONTEXT KmEvtControl;

#endif
