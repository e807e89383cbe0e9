// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* /dev/kmdf/kmtest_ctl: tests' commands, each done in the thread that gives it. */
#include "driver.h"

static NTSTATUS RunOps(struct kmtest_run *Run, size_t Length)
{
	KM_RUN run;

	if (Run->count > KMTEST_RUN_OPS ||
	    Length < FIELD_OFFSET(struct kmtest_run, ops) + Run->count * sizeof(Run->ops[0]))
		return STATUS_INVALID_PARAMETER;
	KmBeginRun(&run, KmSlot(Run->slot));
	for (ULONG i = 0; i < Run->count; i++)
		KmDo(&run, &Run->ops[i]);
	KmEndRun(&run);
	return STATUS_SUCCESS;
}

static NTSTATUS Look(struct kmtest_look *Look, size_t Length)
{
	if (Look->count > KMTEST_LOOK_SLOTS ||
	    Length < FIELD_OFFSET(struct kmtest_look, slots) + Look->count * sizeof(Look->slots[0]))
		return STATUS_INVALID_PARAMETER;
	Look->seq = KmLastEvent();
	for (ULONG i = 0; i < Look->count; i++) {
		PKM_SLOT slot = KmSlot(Look->slots[i].slot);

		if (!slot)
			return STATUS_INVALID_PARAMETER;
		Look->slots[i].alive = (km_u32)slot->Alive;
		Look->slots[i].handle = (ULONG_PTR)slot->Handle;
		Look->slots[i].status = slot->LastStatus;
		Look->slots[i].done = (km_u32)slot->Done;
		for (ULONG at = 0; at < KMTEST_ATS; at++)
			Look->slots[i].counts[at] = (km_u32)slot->Counts[at];
	}
	return STATUS_SUCCESS;
}

/* Buffer is both, what has come in and what goes out. */
static NTSTATUS Command(ULONG Code, PVOID Buffer, size_t Length)
{
	switch (Code) {
	case KMTEST_RUN:
		return RunOps((struct kmtest_run *)Buffer, Length);
	case KMTEST_SCRIPT:
		if (!KmSlot(((struct kmtest_script *)Buffer)->slot))
			return STATUS_INVALID_PARAMETER;
		KmSetScript(KmSlot(((struct kmtest_script *)Buffer)->slot), (struct kmtest_script *)Buffer);
		return STATUS_SUCCESS;
	case KMTEST_WAIT_EVENT:
		KmWaitEvent((struct kmtest_wait *)Buffer);
		return STATUS_SUCCESS;
	case KMTEST_CREATE_DEVICE:
		KmCreateDevice((struct kmtest_device *)Buffer);
		return STATUS_SUCCESS;
	case KMTEST_CREATE_QUEUE:
		KmCreateQueue((struct kmtest_queue *)Buffer);
		return STATUS_SUCCESS;
	case KMTEST_LOOK:
		return Look((struct kmtest_look *)Buffer, Length);
	default:
		return STATUS_INVALID_DEVICE_REQUEST;
	}
}

static size_t LeastLength(ULONG Code)
{
	switch (Code) {
	case KMTEST_RUN:
		return FIELD_OFFSET(struct kmtest_run, ops);
	case KMTEST_SCRIPT:
		return sizeof(struct kmtest_script);
	case KMTEST_WAIT_EVENT:
		return sizeof(struct kmtest_wait);
	case KMTEST_CREATE_DEVICE:
		return sizeof(struct kmtest_device);
	case KMTEST_CREATE_QUEUE:
		return sizeof(struct kmtest_queue);
	default:
		return FIELD_OFFSET(struct kmtest_look, slots);
	}
}

_Use_decl_annotations_ VOID KmEvtControl(WDFDEVICE Device, WDFREQUEST Request)
{
	WDF_REQUEST_PARAMETERS parameters;
	size_t in_length = 0, out_length = 0;
	NTSTATUS status;
	PVOID buffer;
	ULONG code;

	WDF_REQUEST_PARAMETERS_INIT(&parameters);
	WdfRequestGetParameters(Request, &parameters);
	if (parameters.Type != WdfRequestTypeDeviceControl) {
		/* There is no queue for it either. */
		status = WdfDeviceEnqueueRequest(Device, Request);
		if (!NT_SUCCESS(status))
			WdfRequestComplete(Request, status);
		return;
	}
	code = parameters.Parameters.DeviceIoControl.IoControlCode;
	status = WdfRequestRetrieveInputBuffer(Request, LeastLength(code), &buffer, &in_length);
	if (NT_SUCCESS(status))
		status = WdfRequestRetrieveOutputBuffer(Request, LeastLength(code), &buffer, &out_length);
	if (NT_SUCCESS(status))
		status = Command(code, buffer, min(in_length, out_length));
	WdfRequestCompleteWithInformation(Request, status, NT_SUCCESS(status) ? min(in_length, out_length) : 0);
}
