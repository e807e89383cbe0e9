// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* Requests that are sent on, and their targets. */
#include "driver.h"

static NTSTATUS CreateRequest(PKM_SLOT Slot, PKM_SLOT Parent)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFREQUEST request;
	NTSTATUS status;

	KmInitAttributes(&attributes, Parent ? Parent->Handle : NULL);
	status = WdfRequestCreate(&attributes, NULL, &request);
	if (NT_SUCCESS(status))
		KmBind(Slot, request, KmKindRequest);
	return status;
}

static NTSTATUS CreateTarget(PKM_SLOT Slot, PKM_SLOT Device)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFIOTARGET target;
	NTSTATUS status;

	KmInitAttributes(&attributes, Device->Handle);
	status = WdfIoTargetCreate((WDFDEVICE)Device->Handle, &attributes, &target);
	if (NT_SUCCESS(status))
		KmBind(Slot, target, KmKindTarget);
	return status;
}

static NTSTATUS OpenTarget(WDFIOTARGET Target, PKM_SLOT Device)
{
	WDF_IO_TARGET_OPEN_PARAMS parameters;
	WCHAR buffer[KM_NAME_CHARS];
	UNICODE_STRING name;

	KmName(&name, buffer, "\\DosDevices\\", Device->Name);
	WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(&parameters, &name, GENERIC_READ | GENERIC_WRITE);
	return WdfIoTargetOpen(Target, &parameters);
}

static NTSTATUS Format(WDFREQUEST Request, WDFIOTARGET Target, ULONG How, PKM_SLOT Memory)
{
	WDFMEMORY memory = Memory ? (WDFMEMORY)Memory->Handle : NULL;
	LONGLONG offset = 0;

	switch (How) {
	case KMTEST_FORMAT_CURRENT:
		WdfRequestFormatRequestUsingCurrentType(Request);
		return STATUS_SUCCESS;
	case KMTEST_FORMAT_READ:
		return WdfIoTargetFormatRequestForRead(Target, Request, memory, NULL, &offset);
	case KMTEST_FORMAT_WRITE:
		return WdfIoTargetFormatRequestForWrite(Target, Request, memory, NULL, &offset);
	case KMTEST_FORMAT_IOCTL:
		return WdfIoTargetFormatRequestForIoctl(Target, Request, KMTEST_REQUEST, NULL, NULL, memory, NULL);
	default:
		return WdfIoTargetFormatRequestForInternalIoctl(Target, Request, KMTEST_REQUEST, NULL, NULL, memory,
								NULL);
	}
}

static VOID Send(PKM_SLOT Slot, WDFIOTARGET Target, struct kmtest_op *Op)
{
	WDFREQUEST request = (WDFREQUEST)Slot->Handle;
	WDF_REQUEST_SEND_OPTIONS options;
	LONG sent_before;
	BOOLEAN sent;

	WDF_REQUEST_SEND_OPTIONS_INIT(&options, Op->flags);
	if (Op->value)
		WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(&options, WDF_REL_TIMEOUT_IN_MS(Op->value));
	/* The completion routine may run before the call returns. */
	sent_before = InterlockedExchange(&Slot->Sent, !(Op->flags & WDF_REQUEST_SEND_OPTION_SYNCHRONOUS));
	sent = WdfRequestSend(request, Target, Op->flags || Op->value ? &options : WDF_NO_SEND_OPTIONS);
	Op->value = sent;
	if (!sent)
		InterlockedExchange(&Slot->Sent, sent_before);
	/* After TRUE it may be anybody's, unless the call has waited for it. */
	Op->status = sent && !(Op->flags & WDF_REQUEST_SEND_OPTION_SYNCHRONOUS) ? STATUS_SUCCESS :
										  WdfRequestGetStatus(request);
}

VOID KmCancelSent(PKM_SLOT Slot)
{
	WdfRequestCancelSentRequest((WDFREQUEST)Slot->Handle);
}

VOID KmCloseTarget(PKM_SLOT Slot)
{
	WdfIoTargetClose((WDFIOTARGET)Slot->Handle);
}

BOOLEAN KmDoSend(PKM_SLOT Slot, PKM_SLOT Other, struct kmtest_op *Op)
{
	BOOLEAN is_request = Slot->Kind == KmKindClient || Slot->Kind == KmKindRequest;
	BOOLEAN is_target = Slot->Kind == KmKindTarget;
	WDFIOTARGET target = (WDFIOTARGET)Slot->Handle;
	WDFREQUEST request = (WDFREQUEST)Slot->Handle;
	WDF_REQUEST_REUSE_PARAMS reuse;

	switch (Op->code) {
	case KMTEST_REQUEST_CREATE:
		Op->status = CreateRequest(Slot, KmSlot((ULONG)Op->value));
		return TRUE;
	case KMTEST_TARGET_CREATE:
		if (!Other)
			return FALSE;
		Op->status = CreateTarget(Slot, Other);
		return TRUE;
	case KMTEST_TARGET_LOCAL:
		if (!Other)
			return FALSE;
		Slot->Handle = WdfDeviceGetIoTarget((WDFDEVICE)Other->Handle);
		Slot->Kind = KmKindTarget;
		Op->status = Slot->Handle ? STATUS_SUCCESS : STATUS_UNSUCCESSFUL;
		return TRUE;
	default:
		break;
	}

	if (is_request) {
		Op->status = STATUS_SUCCESS;
		switch (Op->code) {
		case KMTEST_FORMAT:
			Op->status = Other ? Format(request, (WDFIOTARGET)Other->Handle, Op->flags,
						    KmSlot((ULONG)Op->value)) :
					     KMTEST_NO_SLOT;
			return TRUE;
		case KMTEST_SET_COMPLETION:
			WdfRequestSetCompletionRoutine(request, KmEvtCompletion, Slot);
			return TRUE;
		case KMTEST_SEND:
			if (Other)
				Send(Slot, (WDFIOTARGET)Other->Handle, Op);
			else
				Op->status = KMTEST_NO_SLOT;
			return TRUE;
		case KMTEST_CANCEL_SENT:
			Op->value = WdfRequestCancelSentRequest(request);
			return TRUE;
		case KMTEST_GET_STATUS:
			Op->status = WdfRequestGetStatus(request);
			return TRUE;
		case KMTEST_REUSE:
			WDF_REQUEST_REUSE_PARAMS_INIT(&reuse, WDF_REQUEST_REUSE_NO_FLAGS, STATUS_SUCCESS);
			Op->status = WdfRequestReuse(request, &reuse);
			return TRUE;
		default:
			return FALSE;
		}
	}
	if (!is_target)
		return FALSE;

	Op->status = STATUS_SUCCESS;
	switch (Op->code) {
	case KMTEST_TARGET_OPEN:
		Op->status = Other ? OpenTarget(target, Other) : KMTEST_NO_SLOT;
		return TRUE;
	case KMTEST_TARGET_CLOSE:
		WdfIoTargetClose(target);
		return TRUE;
	case KMTEST_TARGET_START:
		Op->status = WdfIoTargetStart(target);
		return TRUE;
	case KMTEST_TARGET_STOP:
		WdfIoTargetStop(target, (WDF_IO_TARGET_SENT_IO_ACTION)Op->value);
		return TRUE;
	case KMTEST_TARGET_PURGE:
		WdfIoTargetPurge(target, (WDF_IO_TARGET_PURGE_IO_ACTION)Op->value);
		return TRUE;
	case KMTEST_TARGET_STATE:
		Op->value = WdfIoTargetGetState(target);
		return TRUE;
	default:
		return FALSE;
	}
}
