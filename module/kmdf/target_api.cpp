// SPDX-License-Identifier: GPL-2.0-only
// Targets: opened, started, stopped, purged, closed; and what is sent and waited for in one call. Contract:
// wdfiotarget.h.
#include "core.hpp"
#include "target.hpp"
#include "unicode.hpp"
#include "shim/enforce.h"

namespace kmdf {

static NTSTATUS create_target(Device &device, const WDF_OBJECT_ATTRIBUTES *attributes, WDFIOTARGET *out)
{
	NTSTATUS status = check_attributes(attributes);

	if (!NT_SUCCESS(status))
		return status;
	return hand_out(make<Target>(attributes, SHIM_GFP_KERNEL, device.driver, &device), device, out);
}

static NTSTATUS open_target(Target &target, const WDF_IO_TARGET_OPEN_PARAMS &params)
{
	char name[KMDF_NAME_SIZE];
	Ref<Device> to;

	if (params.Size != sizeof(params))
		return STATUS_INFO_LENGTH_MISMATCH;
	switch (number_of(params.Type)) {
	case WdfIoTargetOpenByName:
		if (last_part(name, sizeof(name), params.TargetDeviceName))
			to = find_device(name);
		break;
	case WdfIoTargetOpenUseExistingDevice:
	case WdfIoTargetOpenReopen:
	case WdfIoTargetOpenLocalTargetByFile:
		return STATUS_NOT_SUPPORTED;
	default:
		return STATUS_INVALID_PARAMETER;
	}
	if (!to)
		return STATUS_OBJECT_NAME_NOT_FOUND;
	module *of = to->driver->glue->module;

	// Its own module cannot go before the target.
	bool other = to->driver != target.driver;

	if (other && to->driver->hold_module())
		return STATUS_OBJECT_NAME_NOT_FOUND;
	bool open;
	bool gone;
	{
		SpinGuard guard(core.lock);

		gone = !to->working_locked() || target.deleting;
		open = target.to.get();
		if (!open && !gone) {
			target.to = Ref<Device>::retain(to.get());
			target.state = WdfIoTargetStarted;
		}
	}
	if ((open || gone) && other)
		shim_module_put(of);
	return open ? STATUS_INVALID_DEVICE_STATE : gone ? STATUS_OBJECT_NAME_NOT_FOUND : STATUS_SUCCESS;
}

// The target that leads to the device's own queues.
static WDFIOTARGET self_target(Device &device)
{
	{
		SpinGuard guard(core.lock);

		if (device.target)
			return static_cast<WDFIOTARGET>(device.target->handle());
	}
	Ref<Target> target = make<Target>(nullptr, gfp_here(), device.driver, &device);
	WDFIOTARGET handle = nullptr;

	if (!target)
		return nullptr;
	Target &made = *target;

	made.deletable = false;
	{
		SpinGuard guard(core.lock);

		made.to = Ref<Device>::retain(&device);
		made.state = WdfIoTargetStarted;
	}
	if (!NT_SUCCESS(hand_out(static_cast<Ref<Target> &&>(target), device, &handle)))
		return nullptr;
	Target *first = &made;
	{
		SpinGuard guard(core.lock);

		if (device.target)
			first = device.target;
		else
			device.target = first;
	}
	if (first == &made)
		return handle;
	made.remove(); // somebody else was quicker
	return static_cast<WDFIOTARGET>(first->handle());
}

static bool may_wait(Target &target, const char *call, const void *caller)
{
	if (!at_dispatch())
		return true;
	report(Rule::KmdfIrql, &target, "%s waits above PASSIVE_LEVEL, at %pS", call, caller);
	return false;
}

// ---- in one call

static NTSTATUS describe(const WDF_MEMORY_DESCRIPTOR *descriptor, Ref<Object> &parent, WDFMEMORY *memory,
			 WDFMEMORY_OFFSET *offset, bool *made)
{
	*memory = nullptr;
	*made = false;
	if (!descriptor)
		return STATUS_SUCCESS;
	switch (number_of(descriptor->Type)) {
	case WdfMemoryDescriptorTypeBuffer: {
		if (!descriptor->u.BufferType.Length)
			return STATUS_SUCCESS;
		WDF_OBJECT_ATTRIBUTES attributes;

		WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
		attributes.ParentObject = parent->handle();
		*made = true;
		return WdfMemoryCreatePreallocated(&attributes, descriptor->u.BufferType.Buffer,
						   descriptor->u.BufferType.Length, memory);
	}
	case WdfMemoryDescriptorTypeHandle:
		*memory = descriptor->u.HandleType.Memory;
		if (descriptor->u.HandleType.Offsets)
			*offset = *descriptor->u.HandleType.Offsets;
		return STATUS_SUCCESS;
	default:
		return STATUS_NOT_SUPPORTED; // there are no MDLs
	}
}

struct Exchange {
	WDF_REQUEST_TYPE kind;
	u32 code;
	const WDF_MEMORY_DESCRIPTOR *in;
	const WDF_MEMORY_DESCRIPTOR *out;
	s64 offset;
};

static NTSTATUS format_exchange(WDFIOTARGET target, WDFREQUEST request, const Exchange &what, WDFMEMORY in,
				WDFMEMORY_OFFSET *in_offset, WDFMEMORY out, WDFMEMORY_OFFSET *out_offset)
{
	LONGLONG offset = what.offset;

	switch (what.kind) {
	case WdfRequestTypeRead:
		return WdfIoTargetFormatRequestForRead(target, request, out, out_offset, &offset);
	case WdfRequestTypeWrite:
		return WdfIoTargetFormatRequestForWrite(target, request, in, in_offset, &offset);
	default:
		return WdfIoTargetFormatRequestForIoctl(target, request, what.code, in, in_offset, out, out_offset);
	}
}

static NTSTATUS exchange(WDFIOTARGET handle, WDFREQUEST given, const Exchange &what,
			 const WDF_REQUEST_SEND_OPTIONS *options, PULONG_PTR bytes, const char *call,
			 const void *caller)
{
	Ref<Target> target = find<Target>(handle, call, caller);
	WDF_REQUEST_SEND_OPTIONS with;
	WDF_OBJECT_ATTRIBUTES attributes;
	WDFREQUEST request = given;
	WDFMEMORY in;
	WDFMEMORY out = nullptr;
	WDFMEMORY_OFFSET in_offset = {};
	WDFMEMORY_OFFSET out_offset = {};
	bool made_in;
	bool made_out = false;

	if (!target || !may_wait(*target, call, caller))
		return STATUS_INVALID_DEVICE_REQUEST;
	Ref<Object> parent = Ref<Object>::retain(target.get());
	NTSTATUS status = describe(what.in, parent, &in, &in_offset, &made_in);

	if (NT_SUCCESS(status))
		status = describe(what.out, parent, &out, &out_offset, &made_out);
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = target->handle();
	if (NT_SUCCESS(status) && !request)
		status = WdfRequestCreate(&attributes, handle, &request);
	if (NT_SUCCESS(status))
		status = format_exchange(handle, request, what, in, &in_offset, out, &out_offset);
	if (NT_SUCCESS(status)) {
		WDF_REQUEST_SEND_OPTIONS_INIT(&with,
					      WDF_REQUEST_SEND_OPTION_SYNCHRONOUS | (options ? options->Flags : 0u));
		with.Timeout = options ? options->Timeout : 0;
		status = send(request, handle, &with, caller);
	}
	if (bytes)
		*bytes = 0;
	if (NT_SUCCESS(status)) {
		WDF_REQUEST_COMPLETION_PARAMS params;

		WDF_REQUEST_COMPLETION_PARAMS_INIT(&params);
		WdfRequestGetCompletionParams(request, &params);
		status = params.IoStatus.Status;
		if (bytes)
			*bytes = params.IoStatus.Information;
	}
	if (request && request != given)
		WdfObjectDelete(request);
	if (in && made_in)
		WdfObjectDelete(in);
	if (out && made_out)
		WdfObjectDelete(out);
	return status;
}

} // namespace kmdf

using namespace kmdf;

extern "C" WDFIOTARGET WdfDeviceGetIoTarget(WDFDEVICE Device)
{
	Ref<kmdf::Device> device = find<kmdf::Device>(Device, "WdfDeviceGetIoTarget");

	return device ? self_target(*device) : nullptr;
}

extern "C" NTSTATUS WdfIoTargetCreate(WDFDEVICE Device, PWDF_OBJECT_ATTRIBUTES IoTargetAttributes,
				      WDFIOTARGET *IoTarget)
{
	Ref<kmdf::Device> device = find<kmdf::Device>(Device, "WdfIoTargetCreate");

	if (!at_passive("WdfIoTargetCreate", __builtin_return_address(0)))
		return STATUS_INVALID_DEVICE_REQUEST;
	return device && IoTarget ? create_target(*device, IoTargetAttributes, IoTarget) : STATUS_INVALID_PARAMETER;
}

extern "C" NTSTATUS WdfIoTargetOpen(WDFIOTARGET IoTarget, PWDF_IO_TARGET_OPEN_PARAMS OpenParams)
{
	Ref<Target> target = find<Target>(IoTarget, "WdfIoTargetOpen");

	if (!at_passive("WdfIoTargetOpen", __builtin_return_address(0)))
		return STATUS_INVALID_DEVICE_REQUEST;
	return target && OpenParams ? open_target(*target, *OpenParams) : STATUS_INVALID_PARAMETER;
}

extern "C" VOID WdfIoTargetClose(WDFIOTARGET IoTarget)
{
	Ref<Target> target = find<Target>(IoTarget, "WdfIoTargetClose");

	if (target && may_wait(*target, "WdfIoTargetClose", __builtin_return_address(0)))
		target->close();
}

extern "C" NTSTATUS WdfIoTargetStart(WDFIOTARGET IoTarget)
{
	Ref<Target> target = find<Target>(IoTarget, "WdfIoTargetStart");

	return target ? target->start() : STATUS_INVALID_PARAMETER;
}

extern "C" VOID WdfIoTargetStop(WDFIOTARGET IoTarget, WDF_IO_TARGET_SENT_IO_ACTION Action)
{
	Ref<Target> target = find<Target>(IoTarget, "WdfIoTargetStop");
	bool waits = Action != WdfIoTargetLeaveSentIoPending;

	if (!target || (waits && !may_wait(*target, "WdfIoTargetStop", __builtin_return_address(0))))
		return;
	{
		SpinGuard guard(core.lock);

		if (target->state == WdfIoTargetStarted || target->state == WdfIoTargetPurged)
			target->state = WdfIoTargetStopped;
	}
	if (Action == WdfIoTargetCancelSentIo)
		target->end_all(false, true, STATUS_CANCELLED);
	if (waits)
		target->wait();
}

extern "C" VOID WdfIoTargetPurge(WDFIOTARGET IoTarget, WDF_IO_TARGET_PURGE_IO_ACTION Action)
{
	Ref<Target> target = find<Target>(IoTarget, "WdfIoTargetPurge");
	bool waits = Action == WdfIoTargetPurgeIoAndWait;

	if (!target || (waits && !may_wait(*target, "WdfIoTargetPurge", __builtin_return_address(0))))
		return;
	{
		SpinGuard guard(core.lock);

		if (target->state != WdfIoTargetClosed)
			target->state = WdfIoTargetPurged;
	}
	target->end_all(true, true, STATUS_WDF_DEVICE_REMOVED_NOT_SENT);
	if (waits)
		target->wait();
}

extern "C" WDF_IO_TARGET_STATE WdfIoTargetGetState(WDFIOTARGET IoTarget)
{
	Ref<Target> target = find<Target>(IoTarget, "WdfIoTargetGetState");

	if (!target)
		return WdfIoTargetStateUndefined;
	SpinGuard guard(core.lock);

	return target->state;
}

extern "C" WDFDEVICE WdfIoTargetGetDevice(WDFIOTARGET IoTarget)
{
	Ref<Target> target = find<Target>(IoTarget, "WdfIoTargetGetDevice");

	return target ? static_cast<WDFDEVICE>(target->owner->handle()) : nullptr;
}

extern "C" NTSTATUS WdfIoTargetSendReadSynchronously(WDFIOTARGET IoTarget, WDFREQUEST Request,
						     PWDF_MEMORY_DESCRIPTOR OutputBuffer, PLONGLONG DeviceOffset,
						     PWDF_REQUEST_SEND_OPTIONS RequestOptions, PULONG_PTR BytesRead)
{
	Exchange what = {WdfRequestTypeRead, 0, nullptr, OutputBuffer, DeviceOffset ? *DeviceOffset : 0};

	return exchange(IoTarget, Request, what, RequestOptions, BytesRead, "WdfIoTargetSendReadSynchronously",
			__builtin_return_address(0));
}

extern "C" NTSTATUS WdfIoTargetSendWriteSynchronously(WDFIOTARGET IoTarget, WDFREQUEST Request,
						      PWDF_MEMORY_DESCRIPTOR InputBuffer, PLONGLONG DeviceOffset,
						      PWDF_REQUEST_SEND_OPTIONS RequestOptions, PULONG_PTR BytesWritten)
{
	Exchange what = {WdfRequestTypeWrite, 0, InputBuffer, nullptr, DeviceOffset ? *DeviceOffset : 0};

	return exchange(IoTarget, Request, what, RequestOptions, BytesWritten, "WdfIoTargetSendWriteSynchronously",
			__builtin_return_address(0));
}

extern "C" NTSTATUS WdfIoTargetSendIoctlSynchronously(WDFIOTARGET IoTarget, WDFREQUEST Request, ULONG IoctlCode,
						      PWDF_MEMORY_DESCRIPTOR InputBuffer,
						      PWDF_MEMORY_DESCRIPTOR OutputBuffer,
						      PWDF_REQUEST_SEND_OPTIONS RequestOptions,
						      PULONG_PTR BytesReturned)
{
	Exchange what = {WdfRequestTypeDeviceControl, IoctlCode, InputBuffer, OutputBuffer, 0};

	return exchange(IoTarget, Request, what, RequestOptions, BytesReturned, "WdfIoTargetSendIoctlSynchronously",
			__builtin_return_address(0));
}
