// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Slots, their scripts and gates, and the log. */
#include "driver.h"

#define EVENTS 4096

typedef struct _WAITER {
	LIST_ENTRY Entry;
	KEVENT Event;
} WAITER, *PWAITER;

volatile LONG KmFinishing;

static KM_SLOT Slots[KMTEST_SLOTS];

static struct {
	KSPIN_LOCK Lock;
	LIST_ENTRY Waiters;
	ULONGLONG Last; /* seq of the last event */
	struct kmtest_event Events[EVENTS];
} Log;

VOID KmInitSlots(void)
{
	for (ULONG i = 0; i < KMTEST_SLOTS; i++) {
		Slots[i].Number = i;
		KeInitializeEvent(&Slots[i].Gate, NotificationEvent, FALSE);
	}
	KeInitializeSpinLock(&Log.Lock);
	InitializeListHead(&Log.Waiters);
}

PKM_SLOT KmSlot(ULONG Number)
{
	return Number && Number < KMTEST_SLOTS ? &Slots[Number] : NULL;
}

PKM_SLOT KmSlotOf(WDFOBJECT Object)
{
	return KmSlotContext(Object)->Slot;
}

VOID KmInitAttributes(PWDF_OBJECT_ATTRIBUTES Attributes, WDFOBJECT Parent)
{
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(Attributes, SLOT_CONTEXT);
	Attributes->EvtCleanupCallback = KmEvtCleanup;
	Attributes->EvtDestroyCallback = KmEvtDestroy;
	Attributes->ParentObject = Parent;
}

VOID KmBind(PKM_SLOT Slot, WDFOBJECT Object, KM_KIND Kind)
{
	PSLOT_CONTEXT context = KmSlotContext(Object);

	context->Magic = KMTEST_MAGIC;
	context->Slot = Slot;
	Slot->Kind = Kind;
	Slot->Handle = Object;
	Slot->Sent = FALSE;
	Slot->Alive = TRUE;
}

/* ---- the log */

VOID KmLog(PKM_SLOT Slot, ULONG Type, ULONG Op, NTSTATUS Status, ULONGLONG Value, PVOID Stack)
{
	KIRQL irql = KeGetCurrentIrql();
	struct kmtest_event *event;
	KIRQL before;

	if (Slot && (Slot->Flags & KMTEST_QUIET))
		return;
	KeAcquireSpinLock(&Log.Lock, &before);
	event = &Log.Events[++Log.Last % EVENTS];
	event->seq = Log.Last;
	event->time_ns = KeQueryInterruptTime() * 100;
	event->handle = Slot ? (ULONG_PTR)Slot->Handle : 0;
	event->value = Value;
	event->stack = (ULONG_PTR)Stack;
	event->type = Type;
	event->slot = Slot ? Slot->Number : 0;
	event->op = Op;
	event->status = Status;
	event->thread = HandleToULong(PsGetCurrentThreadId());
	event->irql = irql;
	for (PLIST_ENTRY at = Log.Waiters.Flink; at != &Log.Waiters; at = at->Flink)
		KeSetEvent(&CONTAINING_RECORD(at, WAITER, Entry)->Event, IO_NO_INCREMENT, FALSE);
	KeReleaseSpinLock(&Log.Lock, before);
}

ULONGLONG KmLastEvent(void)
{
	ULONGLONG last;
	KIRQL before;

	KeAcquireSpinLock(&Log.Lock, &before);
	last = Log.Last;
	KeReleaseSpinLock(&Log.Lock, before);
	return last;
}

static BOOLEAN MatchesUnderLock(const struct kmtest_wait *Wait, ULONGLONG Seq)
{
	const struct kmtest_event *event = &Log.Events[Seq % EVENTS];

	return (!Wait->type || Wait->type == event->type) && (!Wait->slot || Wait->slot == event->slot) &&
	       (!Wait->op || Wait->op == event->op);
}

VOID KmWaitEvent(struct kmtest_wait *Wait)
{
	LONGLONG until = (LONGLONG)KeQueryInterruptTime() + (LONGLONG)Wait->timeout_ms * 10000;
	ULONGLONG next = Wait->from ? Wait->from : 1;
	LARGE_INTEGER timeout;
	WAITER waiter;
	KIRQL before;

	Wait->found = FALSE;
	KeInitializeEvent(&waiter.Event, SynchronizationEvent, FALSE);
	KeAcquireSpinLock(&Log.Lock, &before);
	InsertTailList(&Log.Waiters, &waiter.Entry);
	for (;;) {
		if (Log.Last >= EVENTS && next <= Log.Last - EVENTS)
			next = Log.Last - EVENTS + 1;
		for (; next <= Log.Last && !Wait->found; next++) {
			if (!MatchesUnderLock(Wait, next))
				continue;
			Wait->event = Log.Events[next % EVENTS];
			Wait->found = TRUE;
		}
		timeout.QuadPart = (LONGLONG)KeQueryInterruptTime() - until;
		if (Wait->found || timeout.QuadPart >= 0)
			break;
		KeReleaseSpinLock(&Log.Lock, before);
		KeWaitForSingleObject(&waiter.Event, Executive, KernelMode, FALSE, &timeout);
		KeAcquireSpinLock(&Log.Lock, &before);
	}
	RemoveEntryList(&waiter.Entry);
	KeReleaseSpinLock(&Log.Lock, before);
}

/* ---- scripts */

VOID KmSetScript(PKM_SLOT Slot, const struct kmtest_script *Script)
{
	Slot->Flags = Script->flags;
	Slot->First = Script->first;
	Slot->Count = Script->count;
	Slot->Next = 0;
	for (ULONG i = 0; i < KMTEST_ATS; i++)
		Slot->Counts[i] = 0;
	Slot->Done = 0;
	Slot->Flag = 0;
	RtlCopyMemory(Slot->Ops, Script->ops, sizeof(Slot->Ops));
	KeClearEvent(&Slot->Gate);
}

static PKM_SLOT AdoptAs(WDFREQUEST Request, ULONG Number, const struct kmtest_script *Script)
{
	PKM_SLOT slot = KmSlot(Number);

	if (!slot)
		return NULL;
	KmSetScript(slot, Script);
	KmBind(slot, Request, KmKindClient);
	return slot;
}

static const struct kmtest_script *ScriptOf(WDFREQUEST Request)
{
	WDF_REQUEST_PARAMETERS parameters;
	PVOID script;

	WDF_REQUEST_PARAMETERS_INIT(&parameters);
	WdfRequestGetParameters(Request, &parameters);
	if (parameters.Type != WdfRequestTypeDeviceControl && parameters.Type != WdfRequestTypeDeviceControlInternal)
		return NULL;
	if (parameters.Parameters.DeviceIoControl.IoControlCode != KMTEST_REQUEST)
		return NULL;
	if (!NT_SUCCESS(WdfRequestRetrieveInputBuffer(Request, sizeof(struct kmtest_script), &script, NULL)))
		return NULL;
	return (const struct kmtest_script *)script;
}

PKM_SLOT KmAdopt(WDFQUEUE Queue, WDFREQUEST Request)
{
	PKM_SLOT queue = KmSlotOf(Queue), slot = KmSlotOf(Request);
	const struct kmtest_script *script;
	struct kmtest_script common;

	if (slot) {
		slot->Alive = TRUE;
		return slot;
	}
	script = queue->Flags & KMTEST_OWN_SCRIPT ? NULL : ScriptOf(Request);
	if (script)
		return AdoptAs(Request, script->slot, script);
	if (!queue->Count)
		return NULL;
	RtlZeroMemory(&common, sizeof(common));
	common.flags = (km_u16)(queue->Flags & KMTEST_QUIET);
	RtlCopyMemory(common.ops, queue->Ops, sizeof(common.ops));
	return AdoptAs(Request, queue->First + (ULONG)(InterlockedIncrement(&queue->Next) - 1) % queue->Count, &common);
}

NTSTATUS KmWaitGate(PKM_SLOT Slot)
{
	LARGE_INTEGER timeout;
	ULONGLONG until;

	timeout.QuadPart = WDF_REL_TIMEOUT_IN_MS(KMTEST_PATIENCE_MS);
	if (KeGetCurrentIrql() == PASSIVE_LEVEL)
		return KeWaitForSingleObject(&Slot->Gate, Executive, KernelMode, FALSE, &timeout);
	until = KeQueryInterruptTime() - (ULONGLONG)timeout.QuadPart;
	while (!KeReadStateEvent(&Slot->Gate)) {
		if (KeQueryInterruptTime() > until)
			return STATUS_TIMEOUT;
		KeStallExecutionProcessor(5);
	}
	return STATUS_SUCCESS;
}

/* In place of a script, when the test is over. */
static BOOLEAN FinishInstead(PKM_SLOT Slot, ULONG At)
{
	if (!KmFinishing)
		return FALSE;
	switch (At) {
	case KMTEST_AT_IO:
	case KMTEST_AT_AGAIN:
	case KMTEST_AT_CANCEL:
	case KMTEST_AT_OTHER_CANCEL:
	case KMTEST_AT_ON_QUEUE:
	case KMTEST_AT_COMPLETION:
		if (Slot->Kind != KmKindClient)
			return FALSE;
		WdfRequestComplete((WDFREQUEST)Slot->Handle, STATUS_CANCELLED);
		return TRUE;
	case KMTEST_AT_STOP:
		WdfRequestStopAcknowledge((WDFREQUEST)Slot->Handle, FALSE);
		return TRUE;
	default:
		return FALSE;
	}
}

VOID KmCallback(PKM_SLOT Slot, ULONG At, NTSTATUS Status, ULONGLONG Value)
{
	struct kmtest_op ops[KMTEST_SCRIPT_OPS];
	ULONG count = 0;
	KM_RUN run;

	InterlockedIncrement(&Slot->Counts[At]);
	Slot->LastStatus = Status;
	KmLog(Slot, At, 0, Status, Value, &run);
	if (!FinishInstead(Slot, At)) {
		/* Once its request is completed, another one may get the slot. */
		for (ULONG i = 0; i < KMTEST_SCRIPT_OPS; i++)
			if (Slot->Ops[i].when == At && Slot->Ops[i].code)
				ops[count++] = Slot->Ops[i];
		KmBeginRun(&run, Slot);
		run.Status = Status;
		run.Value = Value;
		for (ULONG i = 0; i < count; i++)
			KmDo(&run, &ops[i]);
		KmEndRun(&run);
	}
	KmLog(Slot, At | KMTEST_END, 0, Status, Value, &run);
	InterlockedIncrement(&Slot->Done);
}

_Use_decl_annotations_ VOID KmEvtCleanup(WDFOBJECT Object)
{
	PKM_SLOT slot = KmSlotOf(Object);

	if (!slot)
		return;
	if (slot->Handle == Object)
		slot->Alive = FALSE;
	KmCallback(slot, KMTEST_AT_CLEANUP, STATUS_SUCCESS, (ULONG_PTR)Object);
}

_Use_decl_annotations_ VOID KmEvtDestroy(WDFOBJECT Object)
{
	PKM_SLOT slot = KmSlotOf(Object);

	if (slot)
		KmCallback(slot, KMTEST_AT_DESTROY, STATUS_SUCCESS, (ULONG_PTR)Object);
}

BOOLEAN KmContextUnits(WDFOBJECT Object)
{
	PVOID context = KmSlotContext(Object);

	return context && context == KmContextSeenByDevice(Object) && context == KmContextSeenByIo(Object);
}

/* Whatever a test has left: it may take more than one round. */
VOID KmFinish(void)
{
	InterlockedExchange(&KmFinishing, TRUE);
	for (ULONG i = 0; i < KMTEST_SLOTS; i++)
		KeSetEvent(&Slots[i].Gate, IO_NO_INCREMENT, FALSE);
	for (ULONG i = 0; i < KMTEST_SLOTS; i++) {
		PKM_SLOT slot = &Slots[i];

		if (!slot->Alive)
			continue;
		switch (slot->Kind) {
		case KmKindQueue:
			WdfIoQueuePurge((WDFQUEUE)slot->Handle, NULL, NULL);
			break;
		case KmKindTarget:
			KmCloseTarget(slot);
			break;
		case KmKindTimer:
			WdfTimerStop((WDFTIMER)slot->Handle, FALSE);
			break;
		case KmKindRequest:
			if (slot->Sent)
				KmCancelSent(slot);
			break;
		case KmKindClient:
			if (slot->Sent) {
				KmCancelSent(slot);
				break;
			}
			/* Its EvtRequestCancel completes it, unless it has run and has not. */
			if (WdfRequestUnmarkCancelable((WDFREQUEST)slot->Handle) != STATUS_CANCELLED ||
			    slot->Counts[KMTEST_AT_CANCEL] || slot->Counts[KMTEST_AT_OTHER_CANCEL])
				WdfRequestComplete((WDFREQUEST)slot->Handle, STATUS_CANCELLED);
			break;
		default:
			break;
		}
	}
}
