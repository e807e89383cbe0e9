// SPDX-License-Identifier: GPL-2.0-only
// What a driver is told of a request and of its file, and the request's buffers. Contracts: wdfrequest.h,
// wdffileobject.h.
#include "core.hpp"
#include "memory.hpp"
#include "shim/enforce.h"

namespace kmdf {

// The driver's request. Null, reported: no handle, or it is completed already.
static Ref<Request> access(WDFREQUEST handle, const char *call, const void *caller)
{
	Ref<Request> request = find<Request>(handle, call, caller);
	bool done;

	if (!request)
		return request;
	{
		SpinGuard guard(core.lock);

		done = request->state.is(State::Done);
	}
	if (!done)
		return request;
	report(Rule::InvalidReqAccess, request.get(), "%s of a request that is completed, at %pS", call, caller);
	return Ref<Request>();
}

// The driver has it, and it is of one of these kinds.
static bool may_retrieve(Request &request, bool input)
{
	SpinGuard guard(core.lock);

	if (!request.driver_has_locked())
		return false;
	switch (request.kind) {
	case WdfRequestTypeRead:
		return !input;
	case WdfRequestTypeWrite:
		return input;
	case WdfRequestTypeDeviceControl:
	case WdfRequestTypeDeviceControlInternal:
		return (request.code & 3) != METHOD_NEITHER;
	default:
		return false;
	}
}

struct Buffer {
	u8 *data;
	size_t size;
};

static NTSTATUS find_buffer(Request &request, bool input, size_t least, Buffer *buffer)
{
	if (!may_retrieve(request, input))
		return STATUS_INVALID_DEVICE_REQUEST;
	*buffer = input ? Buffer{request.in_data, request.in_length} : Buffer{request.out_data, request.out_length};
	return buffer->size && buffer->size >= least ? STATUS_SUCCESS : STATUS_BUFFER_TOO_SMALL;
}

static NTSTATUS retrieve_buffer(WDFREQUEST handle, bool input, size_t least, void **data, size_t *length,
				const char *call, const void *caller)
{
	Ref<Request> request = access(handle, call, caller);
	Buffer buffer;

	if (!request || !data)
		return STATUS_INVALID_PARAMETER;
	NTSTATUS status = find_buffer(*request, input, least, &buffer);

	*data = NT_SUCCESS(status) ? buffer.data : nullptr;
	if (length)
		*length = NT_SUCCESS(status) ? buffer.size : 0;
	return status;
}

static NTSTATUS make_memory(Request &request, const Buffer &buffer, bool writable, Memory **made, WDFMEMORY *out)
{
	Ref<Memory> memory = make<Memory>(nullptr, gfp_here(), request.driver);

	if (!memory)
		return STATUS_INSUFFICIENT_RESOURCES;
	*made = memory.get();
	memory->deletable = false;
	memory->buffer = buffer.data;
	memory->size = buffer.size;
	memory->backing = Backing::Request;
	memory->writable = writable;
	memory->request = Ref<Request>::retain(&request);
	return hand_out(static_cast<Ref<Memory> &&>(memory), request, out);
}

// The same object each time.
static NTSTATUS retrieve_memory(WDFREQUEST handle, bool input, WDFMEMORY *out, const char *call, const void *caller)
{
	Ref<Request> request = access(handle, call, caller);
	Buffer buffer;

	if (!request || !out)
		return STATUS_INVALID_PARAMETER;
	*out = nullptr;
	NTSTATUS status = find_buffer(*request, input, 0, &buffer);

	if (!NT_SUCCESS(status))
		return status;
	Memory *&slot = input ? request->in_memory : request->out_memory;
	{
		SpinGuard guard(core.lock);

		if (slot) {
			*out = static_cast<WDFMEMORY>(slot->handle());
			return STATUS_SUCCESS;
		}
	}
	Memory *made;

	status = make_memory(*request, buffer, !input, &made, out);
	if (!NT_SUCCESS(status))
		return status;
	SpinGuard guard(core.lock);

	slot = made;
	return STATUS_SUCCESS;
}

// METHOD_NEITHER, in EvtIoInCallerContext. What a driver takes for the client's memory is a copy all the same: it was made
// before, and goes back after the request is completed.
static Ref<Request> in_caller_context(WDFREQUEST handle, const char *call, const void *caller)
{
	Ref<Request> request = access(handle, call, caller);

	if (!request)
		return request;
	SpinGuard guard(core.lock);
	bool neither = request->kind == WdfRequestTypeDeviceControl && (request->code & 3) == METHOD_NEITHER;

	bool here = neither && request->state.is(State::Owned) && !request->queue && !request->sent_locked();

	return here ? static_cast<Ref<Request> &&>(request) : Ref<Request>();
}

static NTSTATUS retrieve_unsafe(WDFREQUEST handle, bool input, size_t least, void **data, size_t *length,
				const char *call, const void *caller)
{
	Ref<Request> request = in_caller_context(handle, call, caller);

	if (!request)
		return STATUS_INVALID_DEVICE_REQUEST;
	size_t size = input ? request->in_length : request->out_length;

	if (!size || size < least)
		return STATUS_BUFFER_TOO_SMALL;
	*data = reinterpret_cast<void *>(input ? request->user_in : request->user_out);
	if (length)
		*length = size;
	return STATUS_SUCCESS;
}

static NTSTATUS probe(WDFREQUEST handle, void *user, size_t length, bool write, WDFMEMORY *out, const char *call,
		      const void *caller)
{
	Ref<Request> request = in_caller_context(handle, call, caller);
	Memory *made;

	if (!request)
		return STATUS_INVALID_DEVICE_REQUEST;
	u64 begin = write ? request->user_out : request->user_in;
	size_t size = write ? request->out_length : request->in_length;
	u64 offset = reinterpret_cast<u64>(user) - begin;

	if (!length || offset > size || length > size - offset)
		return STATUS_ACCESS_VIOLATION;
	Buffer buffer = {(write ? request->out_data : request->in_data) + offset, length};

	return make_memory(*request, buffer, write, &made, out);
}

} // namespace kmdf

using namespace kmdf;

extern "C" NTSTATUS WdfRequestRetrieveInputBuffer(WDFREQUEST Request, size_t MinimumRequiredLength, PVOID *Buffer,
						  size_t *Length)
{
	return retrieve_buffer(Request, true, MinimumRequiredLength, Buffer, Length, "WdfRequestRetrieveInputBuffer",
			       __builtin_return_address(0));
}

extern "C" NTSTATUS WdfRequestRetrieveOutputBuffer(WDFREQUEST Request, size_t MinimumRequiredSize, PVOID *Buffer,
						   size_t *Length)
{
	return retrieve_buffer(Request, false, MinimumRequiredSize, Buffer, Length, "WdfRequestRetrieveOutputBuffer",
			       __builtin_return_address(0));
}

extern "C" NTSTATUS WdfRequestRetrieveInputMemory(WDFREQUEST Request, WDFMEMORY *Memory)
{
	return retrieve_memory(Request, true, Memory, "WdfRequestRetrieveInputMemory", __builtin_return_address(0));
}

extern "C" NTSTATUS WdfRequestRetrieveOutputMemory(WDFREQUEST Request, WDFMEMORY *Memory)
{
	return retrieve_memory(Request, false, Memory, "WdfRequestRetrieveOutputMemory", __builtin_return_address(0));
}

extern "C" NTSTATUS WdfRequestRetrieveUnsafeUserInputBuffer(WDFREQUEST Request, size_t MinimumRequiredLength,
							    PVOID *InputBuffer, size_t *Length)
{
	return retrieve_unsafe(Request, true, MinimumRequiredLength, InputBuffer, Length,
			       "WdfRequestRetrieveUnsafeUserInputBuffer", __builtin_return_address(0));
}

extern "C" NTSTATUS WdfRequestRetrieveUnsafeUserOutputBuffer(WDFREQUEST Request, size_t MinimumRequiredLength,
							     PVOID *OutputBuffer, size_t *Length)
{
	return retrieve_unsafe(Request, false, MinimumRequiredLength, OutputBuffer, Length,
			       "WdfRequestRetrieveUnsafeUserOutputBuffer", __builtin_return_address(0));
}

extern "C" NTSTATUS WdfRequestProbeAndLockUserBufferForRead(WDFREQUEST Request, PVOID Buffer, size_t Length,
							    WDFMEMORY *MemoryObject)
{
	return probe(Request, Buffer, Length, false, MemoryObject, "WdfRequestProbeAndLockUserBufferForRead",
		     __builtin_return_address(0));
}

extern "C" NTSTATUS WdfRequestProbeAndLockUserBufferForWrite(WDFREQUEST Request, PVOID Buffer, size_t Length,
							     WDFMEMORY *MemoryObject)
{
	return probe(Request, Buffer, Length, true, MemoryObject, "WdfRequestProbeAndLockUserBufferForWrite",
		     __builtin_return_address(0));
}

extern "C" NTSTATUS WdfRequestRetrieveInputWdmMdl(WDFREQUEST, PMDL *)
{
	return STATUS_NOT_SUPPORTED; // there are no MDLs
}

extern "C" NTSTATUS WdfRequestRetrieveOutputWdmMdl(WDFREQUEST, PMDL *)
{
	return STATUS_NOT_SUPPORTED; // there are no MDLs
}

extern "C" VOID WdfRequestGetParameters(WDFREQUEST Request, PWDF_REQUEST_PARAMETERS Parameters)
{
	Ref<kmdf::Request> request = access(Request, "WdfRequestGetParameters", __builtin_return_address(0));

	if (!request || !Parameters)
		return;
	Parameters->Type = request->kind;
	Parameters->MinorFunction = 0;
	switch (request->kind) {
	case WdfRequestTypeRead:
		Parameters->Parameters.Read.Length = request->out_length;
		Parameters->Parameters.Read.Key = 0;
		Parameters->Parameters.Read.DeviceOffset = request->offset;
		break;
	case WdfRequestTypeWrite:
		Parameters->Parameters.Write.Length = request->in_length;
		Parameters->Parameters.Write.Key = 0;
		Parameters->Parameters.Write.DeviceOffset = request->offset;
		break;
	case WdfRequestTypeDeviceControl:
	case WdfRequestTypeDeviceControlInternal:
		Parameters->Parameters.DeviceIoControl.OutputBufferLength = request->out_length;
		Parameters->Parameters.DeviceIoControl.InputBufferLength = request->in_length;
		Parameters->Parameters.DeviceIoControl.IoControlCode = request->code;
		Parameters->Parameters.DeviceIoControl.Type3InputBuffer = reinterpret_cast<PVOID>(request->user_in);
		break;
	default:
		break;
	}
}

extern "C" VOID WdfRequestSetInformation(WDFREQUEST Request, ULONG_PTR Information)
{
	if (Ref<kmdf::Request> request = access(Request, "WdfRequestSetInformation", __builtin_return_address(0)))
		request->information = Information;
}

extern "C" ULONG_PTR WdfRequestGetInformation(WDFREQUEST Request)
{
	Ref<kmdf::Request> request = access(Request, "WdfRequestGetInformation", __builtin_return_address(0));

	return request ? request->information : 0;
}

extern "C" NTSTATUS WdfRequestGetStatus(WDFREQUEST Request)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestGetStatus");

	return request ? request->result : STATUS_INVALID_PARAMETER;
}

extern "C" WDFFILEOBJECT WdfRequestGetFileObject(WDFREQUEST Request)
{
	Ref<kmdf::Request> request = access(Request, "WdfRequestGetFileObject", __builtin_return_address(0));

	return request && request->file ? static_cast<WDFFILEOBJECT>(request->file->handle()) : nullptr;
}

extern "C" KPROCESSOR_MODE WdfRequestGetRequestorMode(WDFREQUEST Request)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestGetRequestorMode");

	return request && request->file ? UserMode : KernelMode;
}

extern "C" ULONG WdfRequestGetRequestorProcessId(WDFREQUEST Request)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestGetRequestorProcessId");

	return request ? static_cast<ULONG>(request->pid) : 0;
}

extern "C" BOOLEAN WdfRequestIsFrom32BitProcess(WDFREQUEST)
{
	return FALSE; // the wire is the same for both
}

extern "C" BOOLEAN WdfRequestIsReserved(WDFREQUEST)
{
	return FALSE; // there is no forward progress policy
}

extern "C" PIRP WdfRequestWdmGetIrp(WDFREQUEST)
{
	return nullptr; // there are no IRPs
}

// ---- a file

extern "C" WDFDEVICE WdfFileObjectGetDevice(WDFFILEOBJECT FileObject)
{
	Ref<File> file = find<File>(FileObject, "WdfFileObjectGetDevice");

	return file ? static_cast<WDFDEVICE>(file->device->handle()) : nullptr;
}

extern "C" PUNICODE_STRING WdfFileObjectGetFileName(WDFFILEOBJECT FileObject)
{
	static UNICODE_STRING none = {};

	return find<File>(FileObject, "WdfFileObjectGetFileName") ? &none : nullptr;
}

extern "C" ULONG WdfFileObjectGetFlags(WDFFILEOBJECT)
{
	return 0;
}

extern "C" ULONG WdfFileObjectGetInitiatorProcessId(WDFFILEOBJECT FileObject)
{
	Ref<File> file = find<File>(FileObject, "WdfFileObjectGetInitiatorProcessId");

	return file ? static_cast<ULONG>(file->pid) : 0;
}

extern "C" PFILE_OBJECT WdfFileObjectWdmGetFileObject(WDFFILEOBJECT)
{
	return nullptr;
}
