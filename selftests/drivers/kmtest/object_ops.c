// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Timers, work items, locks, memory, and what all objects have. */
#include "driver.h"

static EVT_WDF_TIMER TimerFunction;
static EVT_WDF_WORKITEM WorkFunction;

_Use_decl_annotations_ static VOID TimerFunction(WDFTIMER Timer)
{
	KmCallback(KmSlotOf(Timer), KMTEST_AT_TIMER, STATUS_SUCCESS, 0);
}

_Use_decl_annotations_ static VOID WorkFunction(WDFWORKITEM WorkItem)
{
	KmCallback(KmSlotOf(WorkItem), KMTEST_AT_WORK, STATUS_SUCCESS, 0);
}

static NTSTATUS CreateTimer(PKM_SLOT Slot, WDFOBJECT Parent, const struct kmtest_op *Op)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_TIMER_CONFIG config;
	NTSTATUS status;
	WDFTIMER timer;

	WDF_TIMER_CONFIG_INIT_PERIODIC(&config, TimerFunction, (LONG)Op->value);
	config.AutomaticSerialization = !(Op->flags & KMTEST_NOT_SERIALIZED);
	KmInitAttributes(&attributes, Parent);
	if (Op->flags & KMTEST_PASSIVE)
		attributes.ExecutionLevel = WdfExecutionLevelPassive;
	status = WdfTimerCreate(&config, &attributes, &timer);
	if (NT_SUCCESS(status))
		KmBind(Slot, timer, KmKindTimer);
	return status;
}

static NTSTATUS CreateWork(PKM_SLOT Slot, WDFOBJECT Parent, const struct kmtest_op *Op)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_WORKITEM_CONFIG config;
	WDFWORKITEM work;
	NTSTATUS status;

	WDF_WORKITEM_CONFIG_INIT(&config, WorkFunction);
	config.AutomaticSerialization = !(Op->flags & KMTEST_NOT_SERIALIZED);
	KmInitAttributes(&attributes, Parent);
	status = WdfWorkItemCreate(&config, &attributes, &work);
	if (NT_SUCCESS(status))
		KmBind(Slot, work, KmKindWork);
	return status;
}

static NTSTATUS CreateOther(PKM_SLOT Slot, WDFOBJECT Parent, const struct kmtest_op *Op)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	KM_KIND kind = KmKindObject;
	WDFOBJECT object = NULL;
	NTSTATUS status;

	KmInitAttributes(&attributes, Parent);
	switch (Op->code) {
	case KMTEST_SPIN_CREATE:
		kind = KmKindSpinLock;
		status = WdfSpinLockCreate(&attributes, (WDFSPINLOCK *)&object);
		break;
	case KMTEST_WAIT_CREATE:
		kind = KmKindWaitLock;
		status = WdfWaitLockCreate(&attributes, (WDFWAITLOCK *)&object);
		break;
	case KMTEST_MEMORY_CREATE:
		kind = KmKindMemory;
		status = WdfMemoryCreate(&attributes, NonPagedPoolNx, KMTEST_TAG, (size_t)Op->value,
					 (WDFMEMORY *)&object, NULL);
		break;
	default:
		status = WdfObjectCreate(&attributes, &object);
		break;
	}
	if (NT_SUCCESS(status))
		KmBind(Slot, object, kind);
	return status;
}

static BOOLEAN Create(PKM_SLOT Slot, WDFOBJECT Parent, struct kmtest_op *Op)
{
	switch (Op->code) {
	case KMTEST_TIMER_CREATE:
		Op->status = CreateTimer(Slot, Parent, Op);
		return TRUE;
	case KMTEST_WORK_CREATE:
		Op->status = CreateWork(Slot, Parent, Op);
		return TRUE;
	case KMTEST_SPIN_CREATE:
	case KMTEST_WAIT_CREATE:
	case KMTEST_MEMORY_CREATE:
	case KMTEST_OBJECT_CREATE:
		Op->status = CreateOther(Slot, Parent, Op);
		return TRUE;
	default:
		return FALSE;
	}
}

static BOOLEAN DoTimer(PKM_SLOT Slot, PKM_SLOT Other, struct kmtest_op *Op)
{
	WDFTIMER timer = (WDFTIMER)Slot->Handle;

	switch (Op->code) {
	case KMTEST_TIMER_START:
		Op->value = WdfTimerStart(timer, WDF_REL_TIMEOUT_IN_US(Op->value));
		return TRUE;
	case KMTEST_TIMER_STOP:
		Op->value = WdfTimerStop(timer, (Op->flags & KMTEST_SYNC) != 0);
		return TRUE;
	case KMTEST_TIMER_PARENT:
		Op->value = Other && WdfTimerGetParentObject(timer) == Other->Handle;
		return TRUE;
	default:
		return FALSE;
	}
}

static BOOLEAN DoWork(PKM_SLOT Slot, struct kmtest_op *Op)
{
	WDFWORKITEM work = (WDFWORKITEM)Slot->Handle;

	switch (Op->code) {
	case KMTEST_WORK_ENQUEUE:
		WdfWorkItemEnqueue(work);
		return TRUE;
	case KMTEST_WORK_FLUSH:
		WdfWorkItemFlush(work);
		return TRUE;
	default:
		return FALSE;
	}
}

static BOOLEAN DoLock(PKM_SLOT Slot, struct kmtest_op *Op)
{
	LONGLONG timeout = WDF_REL_TIMEOUT_IN_MS(Op->value);

	switch (Op->code) {
	case KMTEST_SPIN_ACQUIRE:
		WdfSpinLockAcquire((WDFSPINLOCK)Slot->Handle);
		return TRUE;
	case KMTEST_SPIN_RELEASE:
		WdfSpinLockRelease((WDFSPINLOCK)Slot->Handle);
		return TRUE;
	case KMTEST_WAIT_ACQUIRE:
		Op->status =
			WdfWaitLockAcquire((WDFWAITLOCK)Slot->Handle, Op->flags & KMTEST_NO_TIMEOUT ? NULL : &timeout);
		return TRUE;
	case KMTEST_WAIT_RELEASE:
		WdfWaitLockRelease((WDFWAITLOCK)Slot->Handle);
		return TRUE;
	default:
		return FALSE;
	}
}

static BOOLEAN DoMemory(PKM_SLOT Slot, struct kmtest_op *Op)
{
	size_t offset = (size_t)(Op->value >> 32), bytes = (ULONG)Op->value, size = 0;
	WDFMEMORY memory = (WDFMEMORY)Slot->Handle;
	UCHAR buffer[64];

	switch (Op->code) {
	case KMTEST_MEMORY_READ:
		buffer[0] = 0;
		Op->status = bytes <= sizeof(buffer) ? WdfMemoryCopyToBuffer(memory, offset, buffer, bytes) :
						       STATUS_INVALID_PARAMETER;
		Op->value = buffer[0];
		return TRUE;
	case KMTEST_MEMORY_WRITE:
		RtlFillMemory(buffer, sizeof(buffer), (UCHAR)Op->flags);
		Op->status = bytes <= sizeof(buffer) ? WdfMemoryCopyFromBuffer(memory, offset, buffer, bytes) :
						       STATUS_INVALID_PARAMETER;
		return TRUE;
	case KMTEST_MEMORY_SIZE:
		Op->value = WdfMemoryGetBuffer(memory, &size) ? size : 0;
		Op->value = size;
		return TRUE;
	default:
		return FALSE;
	}
}

static NTSTATUS AddContext(PKM_SLOT Slot, km_u64 *Same)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	PVOID context = NULL;
	NTSTATUS status;

	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, EXTRA_CONTEXT);
	status = WdfObjectAllocateContext(Slot->Handle, &attributes, &context);
	*Same = context && context == Slot->Extra && context == WdfObjectGet_EXTRA_CONTEXT(Slot->Handle);
	if (NT_SUCCESS(status))
		Slot->Extra = context;
	return status;
}

static BOOLEAN DoAny(PKM_SLOT Slot, struct kmtest_op *Op)
{
	PSLOT_CONTEXT context;

	switch (Op->code) {
	case KMTEST_LOCK:
		WdfObjectAcquireLock(Slot->Handle);
		return TRUE;
	case KMTEST_UNLOCK:
		WdfObjectReleaseLock(Slot->Handle);
		return TRUE;
	case KMTEST_REFERENCE:
		WdfObjectReference(Slot->Handle);
		return TRUE;
	case KMTEST_DEREFERENCE:
		WdfObjectDereference(Slot->Handle);
		return TRUE;
	case KMTEST_DELETE:
		WdfObjectDelete(Slot->Handle);
		return TRUE;
	case KMTEST_CONTEXT:
		context = KmSlotContext(Slot->Handle);
		Op->value = context && (!context->Slot || (context->Slot == Slot && context->Magic == KMTEST_MAGIC));
		return TRUE;
	case KMTEST_CONTEXT_ADD:
		Op->status = AddContext(Slot, &Op->value);
		return TRUE;
	case KMTEST_CONTEXT_UNITS:
		Op->value = KmContextUnits(Slot->Handle);
		return TRUE;
	default:
		return FALSE;
	}
}

BOOLEAN KmDoObject(PKM_SLOT Slot, PKM_SLOT Other, struct kmtest_op *Op)
{
	if (Create(Slot, Other ? Other->Handle : NULL, Op))
		return TRUE;
	if (Slot->Kind == KmKindNone)
		return FALSE;
	Op->status = STATUS_SUCCESS;
	if (DoAny(Slot, Op))
		return TRUE;
	switch (Slot->Kind) {
	case KmKindTimer:
		return DoTimer(Slot, Other, Op);
	case KmKindWork:
		return DoWork(Slot, Op);
	case KmKindSpinLock:
	case KmKindWaitLock:
		return DoLock(Slot, Op);
	case KmKindMemory:
		return DoMemory(Slot, Op);
	default:
		return FALSE;
	}
}
