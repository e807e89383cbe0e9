// SPDX-License-Identifier: GPL-2.0-only
// What a driver does with requests that it sends. Contracts: wdfrequest.h, wdfiotarget.h.
#include "core.hpp"
#include "memory.hpp"
#include "target.hpp"
#include "shim/enforce.h"

namespace kmdf {

static NTSTATUS check_send(Request &request, const Sending *sending, const WDF_REQUEST_SEND_OPTIONS *options)
{
	u32 flags = options ? options->Flags : 0;
	constexpr u32 kKnown = WDF_REQUEST_SEND_OPTION_TIMEOUT | WDF_REQUEST_SEND_OPTION_SYNCHRONOUS |
			       WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE | WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET;
	bool forget = flags & WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET;
	bool sync = flags & WDF_REQUEST_SEND_OPTION_SYNCHRONOUS;

	if (options && options->Size != sizeof(*options))
		return STATUS_INFO_LENGTH_MISMATCH;
	if (flags & ~kKnown)
		return STATUS_INVALID_PARAMETER;
	if (options && options->Timeout && !(flags & WDF_REQUEST_SEND_OPTION_TIMEOUT))
		return STATUS_INVALID_PARAMETER;
	if (forget && (flags & (WDF_REQUEST_SEND_OPTION_TIMEOUT | WDF_REQUEST_SEND_OPTION_SYNCHRONOUS)))
		return STATUS_INVALID_PARAMETER;
	// What comes back is its client's at once: nobody copies it from memory of another format.
	if (forget && (!request.incoming || (sending && sending->format == Format::Anew)))
		return STATUS_INVALID_DEVICE_REQUEST;
	if (!sync && !forget && request.incoming && !(sending && sending->on_completion))
		return STATUS_INVALID_DEVICE_REQUEST;
	return forget || (sending && sending->format != Format::None) ? STATUS_SUCCESS : STATUS_REQUEST_NOT_ACCEPTED;
}

static void format_as_it_came(const Request &request, Sending &sending)
{
	sending.in.memory = Ref<Object>();
	sending.out.memory = Ref<Object>();
	sending.in.data = request.in_data;
	sending.in.size = request.in_length;
	sending.out.data = request.out_data;
	sending.out.size = request.out_length;
	sending.kind = request.kind;
	sending.code = request.code;
	sending.offset = request.offset;
	sending.format = request.incoming ? Format::AsItCame : Format::None;
}

// In which state it cannot be sent.
static bool report_unfit(Request &request, const void *caller)
{
	Rule rule = Rule::Rules;
	const char *what = nullptr;
	{
		SpinGuard guard(core.lock);

		if (request.sent_locked()) {
			rule = Rule::AlreadySent;
			what = "sent while it is sent";
		} else if (request.state.is(State::Cancelable) || request.state.is(State::Cancelled)) {
			rule = Rule::ReqMarkCancelableSend;
			what = "sent while it is marked cancelable";
			// Of these the one that the driver has, and will ask.
			request.result = STATUS_INVALID_DEVICE_REQUEST;
		} else if (request.incoming && !request.driver_has_locked()) {
			rule = Rule::InvalidReqAccess;
			what = "sent, but the driver does not have it";
		}
	}
	if (what)
		report(rule, &request, "%s, at %pS", what, caller);
	return what;
}

NTSTATUS send(WDFREQUEST handle, WDFIOTARGET target_handle, const WDF_REQUEST_SEND_OPTIONS *options, const void *caller)
{
	Ref<Request> request = find<Request>(handle, "WdfRequestSend", caller);
	Ref<Target> target = find<Target>(target_handle, "WdfRequestSend", caller);

	if (!request || !target)
		return STATUS_INVALID_PARAMETER;
	if (report_unfit(*request, caller))
		return STATUS_INVALID_DEVICE_REQUEST;
	u32 flags = options ? options->Flags : 0;
	bool sync = flags & WDF_REQUEST_SEND_OPTION_SYNCHRONOUS;
	bool forget = flags & WDF_REQUEST_SEND_OPTION_SEND_AND_FORGET;
	u64 timeout = flags & WDF_REQUEST_SEND_OPTION_TIMEOUT ? relative_ns(options->Timeout) : 0;
	Sending *there = sending_there(*request);
	NTSTATUS status = check_send(*request, there, options);

	if (sync && at_dispatch()) {
		report(Rule::KmdfIrql, request.get(), "sent synchronously above PASSIVE_LEVEL, at %pS", caller);
		status = STATUS_INVALID_DEVICE_REQUEST;
	}
	if (NT_SUCCESS(status) && forget) {
		there = sending_of(*request);
		if (there)
			format_as_it_came(*request, *there);
		else
			status = STATUS_INSUFFICIENT_RESOURCES;
	}
	if (!NT_SUCCESS(status)) {
		request->result = status;
		return status;
	}
	Sending &sending = *there;

	sending.forget = forget;
	sending.ignore_target_state = flags & WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE;
	sending.waited_for = sync;
	status = start_sending(sending, *target, timeout);
	if (!NT_SUCCESS(status)) {
		// Since it was looked at, perhaps.
		if (!report_unfit(*request, caller))
			request->result = status;
		return status;
	}
	if (sync)
		sending.back.wait([&] {
			SpinGuard guard(core.lock);

			return sending.state.is(SendState::Idle);
		});
	return STATUS_SUCCESS;
}

// Its own buffers, or a part of a memory object.
static NTSTATUS take_part(Part &part, WDFMEMORY handle, const WDFMEMORY_OFFSET *offset, const void *caller)
{
	part.memory = Ref<Object>();
	part.data = nullptr;
	part.size = 0;
	if (!handle)
		return STATUS_SUCCESS;
	Ref<Memory> memory = find<Memory>(handle, "WdfIoTargetFormatRequest", caller);

	if (!memory)
		return STATUS_INVALID_PARAMETER;
	size_t from = offset ? offset->BufferOffset : 0;
	size_t bytes = offset && offset->BufferLength ? offset->BufferLength : memory->size - from;

	if (from > memory->size || bytes > memory->size - from)
		return STATUS_INVALID_BUFFER_SIZE;
	part.data = static_cast<u8 *>(memory->buffer) + from;
	part.size = bytes;
	part.memory = Ref<Object>::adopt(memory.release());
	return STATUS_SUCCESS;
}

// It is its driver's, and here.
static bool may_prepare(Request &request, const char *what, const void *caller)
{
	bool sent;
	bool had;
	{
		SpinGuard guard(core.lock);

		sent = request.sent_locked();
		had = !request.incoming || request.driver_has_locked();
	}
	if (sent)
		report(Rule::AlreadySent, &request, "%s while it is sent, at %pS", what, caller);
	else if (!had)
		report(Rule::InvalidReqAccess, &request, "%s, but the driver does not have it, at %pS", what, caller);
	return had && !sent;
}

static NTSTATUS format(WDFIOTARGET target_handle, WDFREQUEST handle, WDF_REQUEST_TYPE kind, u32 code, WDFMEMORY in,
		       const WDFMEMORY_OFFSET *in_offset, WDFMEMORY out, const WDFMEMORY_OFFSET *out_offset, s64 offset,
		       const void *caller)
{
	Ref<Request> request = find<Request>(handle, "WdfIoTargetFormatRequest", caller);
	Ref<Target> target = find<Target>(target_handle, "WdfIoTargetFormatRequest", caller);

	if (!request || !target)
		return STATUS_INVALID_PARAMETER;
	if (!may_prepare(*request, "formatted", caller))
		return STATUS_INVALID_DEVICE_REQUEST;
	Sending *sending = sending_of(*request);

	if (!sending)
		return STATUS_INSUFFICIENT_RESOURCES;
	NTSTATUS status = take_part(sending->in, in, in_offset, caller);

	if (NT_SUCCESS(status))
		status = take_part(sending->out, out, out_offset, caller);
	sending->format = NT_SUCCESS(status) ? Format::Anew : Format::None;
	sending->kind = kind;
	sending->code = code;
	sending->offset = offset;
	return status;
}

} // namespace kmdf

using namespace kmdf;

extern "C" BOOLEAN WdfRequestSend(WDFREQUEST Request, WDFIOTARGET Target, PWDF_REQUEST_SEND_OPTIONS Options)
{
	return NT_SUCCESS(send(Request, Target, Options, __builtin_return_address(0)));
}

extern "C" BOOLEAN WdfRequestCancelSentRequest(WDFREQUEST Request)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestCancelSentRequest");

	if (!request)
		return FALSE;
	{
		SpinGuard guard(core.lock);

		request->note_cancel_locked(kmdf::Request::kByItsDriver);
		if (Frame *frame = stop_frame_locked(*request))
			frame->acted = true;
	}
	Sending *sending = sending_there(*request);

	return sending && cancel_sending(*sending, STATUS_CANCELLED);
}

extern "C" VOID WdfRequestSetCompletionRoutine(WDFREQUEST Request, PFN_WDF_REQUEST_COMPLETION_ROUTINE CompletionRoutine,
					       WDFCONTEXT CompletionContext)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestSetCompletionRoutine");
	if (!request || !may_prepare(*request, "given a completion routine", __builtin_return_address(0)))
		return;
	if (Sending *sending = sending_of(*request)) {
		sending->on_completion = CompletionRoutine;
		sending->context = CompletionContext;
	}
}

extern "C" VOID WdfRequestGetCompletionParams(WDFREQUEST Request, PWDF_REQUEST_COMPLETION_PARAMS Params)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestGetCompletionParams");

	if (!request || !Params)
		return;
	SpinGuard guard(core.lock);

	if (request->sending)
		completion_params(*request->sending, Params);
}

extern "C" VOID WdfRequestFormatRequestUsingCurrentType(WDFREQUEST Request)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestFormatRequestUsingCurrentType");
	if (!request || !may_prepare(*request, "formatted", __builtin_return_address(0)))
		return;
	if (Sending *sending = sending_of(*request))
		format_as_it_came(*request, *sending);
}

extern "C" VOID WdfRequestWdmFormatUsingStackLocation(WDFREQUEST Request, PIO_STACK_LOCATION)
{
	if (Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestWdmFormatUsingStackLocation"))
		report(Rule::InvalidReqAccess, request.get(), "formatted with a stack location: there are no IRPs");
}

extern "C" NTSTATUS WdfRequestAllocateTimer(WDFREQUEST Request)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestAllocateTimer");

	return request && sending_of(*request) ? STATUS_SUCCESS : STATUS_INSUFFICIENT_RESOURCES;
}

extern "C" NTSTATUS WdfRequestCreate(PWDF_OBJECT_ATTRIBUTES RequestAttributes, WDFIOTARGET, WDFREQUEST *Request)
{
	NTSTATUS status;
	Ref<Object> parent = find_parent(RequestAttributes, "WdfRequestCreate", __builtin_return_address(0), &status);

	if (!parent)
		return status;
	return hand_out(make<kmdf::Request>(RequestAttributes, gfp_here(), driver_of(*parent)), *parent, Request);
}

extern "C" NTSTATUS WdfRequestCreateFromIrp(PWDF_OBJECT_ATTRIBUTES, PIRP, BOOLEAN, WDFREQUEST *)
{
	return STATUS_NOT_SUPPORTED; // there are no IRPs
}

extern "C" NTSTATUS WdfRequestReuse(WDFREQUEST Request, PWDF_REQUEST_REUSE_PARAMS ReuseParams)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestReuse");

	if (!request || !ReuseParams)
		return STATUS_INVALID_PARAMETER;
	if (ReuseParams->Size != sizeof(*ReuseParams))
		return STATUS_INFO_LENGTH_MISMATCH;
	if (ReuseParams->Flags & WDF_REQUEST_REUSE_SET_NEW_IRP)
		return request->incoming ? STATUS_WDF_REQUEST_INVALID_STATE : STATUS_NOT_SUPPORTED;
	if (!may_prepare(*request, "reused", __builtin_return_address(0)))
		return STATUS_INVALID_DEVICE_REQUEST;
	{
		SpinGuard guard(core.lock);

		if (request->canceled == kmdf::Request::kByItsDriver)
			request->canceled = kmdf::Request::kNotCanceled;
	}
	request->result = ReuseParams->Status;
	request->information = 0;
	if (Sending *sending = sending_there(*request)) {
		sending->on_completion = nullptr;
		sending->context = nullptr;
		forget_format(*request);
	}
	return STATUS_SUCCESS;
}

extern "C" NTSTATUS WdfRequestChangeTarget(WDFREQUEST Request, WDFIOTARGET IoTarget)
{
	return find<kmdf::Request>(Request, "WdfRequestChangeTarget") &&
			       find<Target>(IoTarget, "WdfRequestChangeTarget") ?
		       STATUS_SUCCESS :
		       STATUS_REQUEST_NOT_ACCEPTED;
}

extern "C" NTSTATUS WdfRequestForwardToParentDeviceIoQueue(WDFREQUEST, WDFQUEUE, PWDF_REQUEST_FORWARD_OPTIONS)
{
	return STATUS_INVALID_DEVICE_REQUEST; // there are no parent devices
}

extern "C" NTSTATUS WdfIoTargetFormatRequestForRead(WDFIOTARGET IoTarget, WDFREQUEST Request, WDFMEMORY OutputBuffer,
						    PWDFMEMORY_OFFSET OutputBufferOffset, PLONGLONG DeviceOffset)
{
	return format(IoTarget, Request, WdfRequestTypeRead, 0, nullptr, nullptr, OutputBuffer, OutputBufferOffset,
		      DeviceOffset ? *DeviceOffset : 0, __builtin_return_address(0));
}

extern "C" NTSTATUS WdfIoTargetFormatRequestForWrite(WDFIOTARGET IoTarget, WDFREQUEST Request, WDFMEMORY InputBuffer,
						     PWDFMEMORY_OFFSET InputBufferOffset, PLONGLONG DeviceOffset)
{
	return format(IoTarget, Request, WdfRequestTypeWrite, 0, InputBuffer, InputBufferOffset, nullptr, nullptr,
		      DeviceOffset ? *DeviceOffset : 0, __builtin_return_address(0));
}

extern "C" NTSTATUS WdfIoTargetFormatRequestForIoctl(WDFIOTARGET IoTarget, WDFREQUEST Request, ULONG IoctlCode,
						     WDFMEMORY InputBuffer, PWDFMEMORY_OFFSET InputBufferOffset,
						     WDFMEMORY OutputBuffer, PWDFMEMORY_OFFSET OutputBufferOffset)
{
	return format(IoTarget, Request, WdfRequestTypeDeviceControl, IoctlCode, InputBuffer, InputBufferOffset,
		      OutputBuffer, OutputBufferOffset, 0, __builtin_return_address(0));
}

extern "C" NTSTATUS WdfIoTargetFormatRequestForInternalIoctl(WDFIOTARGET IoTarget, WDFREQUEST Request, ULONG IoctlCode,
							     WDFMEMORY InputBuffer, PWDFMEMORY_OFFSET InputBufferOffset,
							     WDFMEMORY OutputBuffer,
							     PWDFMEMORY_OFFSET OutputBufferOffset)
{
	return format(IoTarget, Request, WdfRequestTypeDeviceControlInternal, IoctlCode, InputBuffer, InputBufferOffset,
		      OutputBuffer, OutputBufferOffset, 0, __builtin_return_address(0));
}
