// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* The device that is asked, and one below it that answers at once. */
#include "kmapi.h"

DRIVER_INITIALIZE DriverEntry;
static EVT_WDF_DRIVER_DEVICE_ADD DeviceAdd;
static EVT_WDF_IO_IN_CALLER_CONTEXT InCallerContext;
static EVT_WDF_IO_QUEUE_IO_DEVICE_CONTROL DeviceControl, LowerControl;
static EVT_WDF_IO_QUEUE_IO_INTERNAL_DEVICE_CONTROL LowerInternalControl;
static EVT_WDF_IO_QUEUE_IO_READ LowerRead;
static EVT_WDF_IO_QUEUE_IO_WRITE LowerWrite;

DECLARE_CONST_UNICODE_STRING(Sddl, L"D:P(A;;GA;;;SY)(A;;GA;;;BA)");
DECLARE_CONST_UNICODE_STRING(DeviceName, L"\\Device\\kmapi");
DECLARE_CONST_UNICODE_STRING(LinkName, L"\\DosDevices\\kmapi");
DECLARE_CONST_UNICODE_STRING(LowerName, L"\\Device\\kmapi_lower");

DECLARE_CONST_UNICODE_STRING(InterfaceReference, L"part 2");

WDFDEVICE ApiDevice, ApiLower;
const GUID ApiInterface = {0xc0ffee00, 0x1234, 0x5678, {0x9a, 0xbc, 1, 2, 3, 4, 5, 6}};

typedef struct _LOCKED {
	WDFMEMORY In, Out;
} LOCKED, *PLOCKED;
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(LOCKED, GetLocked)

/* ---- whoever brings addresses of its own */

static NTSTATUS LockBuffers(WDFREQUEST Request)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	PVOID in, out, buffer;
	size_t inLength, outLength;
	PLOCKED locked;
	NTSTATUS status;

	/* It has no buffers that the driver may see. */
	if (WdfRequestRetrieveInputBuffer(Request, 1, &buffer, NULL) != STATUS_INVALID_DEVICE_REQUEST ||
	    WdfRequestRetrieveUnsafeUserInputBuffer(Request, 5, &in, &inLength) != STATUS_BUFFER_TOO_SMALL)
		return STATUS_UNSUCCESSFUL;
	status = WdfRequestRetrieveUnsafeUserInputBuffer(Request, 4, &in, &inLength);
	if (NT_SUCCESS(status))
		status = WdfRequestRetrieveUnsafeUserOutputBuffer(Request, 8, &out, &outLength);
	if (!NT_SUCCESS(status))
		return status;
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, LOCKED);
	status = WdfObjectAllocateContext(Request, &attributes, (PVOID *)&locked);
	if (!NT_SUCCESS(status))
		return status;
	/* Nothing beyond what the client has said. */
	if (WdfRequestProbeAndLockUserBufferForRead(Request, in, inLength + 1, &locked->In) !=
		    STATUS_ACCESS_VIOLATION ||
	    WdfRequestProbeAndLockUserBufferForRead(Request, (PUCHAR)in - 1, 1, &locked->In) !=
		    STATUS_ACCESS_VIOLATION ||
	    WdfRequestProbeAndLockUserBufferForWrite(Request, (PUCHAR)out + 1, outLength, &locked->Out) !=
		    STATUS_ACCESS_VIOLATION)
		return STATUS_UNSUCCESSFUL;
	status = WdfRequestProbeAndLockUserBufferForRead(Request, in, inLength, &locked->In);
	if (NT_SUCCESS(status))
		status = WdfRequestProbeAndLockUserBufferForWrite(Request, out, outLength, &locked->Out);
	return status;
}

_Use_decl_annotations_ static VOID InCallerContext(WDFDEVICE Device, WDFREQUEST Request)
{
	WDF_REQUEST_PARAMETERS parameters;
	NTSTATUS status = STATUS_SUCCESS;

	WDF_REQUEST_PARAMETERS_INIT(&parameters);
	WdfRequestGetParameters(Request, &parameters);
	if (parameters.Type == WdfRequestTypeDeviceControl &&
	    parameters.Parameters.DeviceIoControl.IoControlCode == KMAPI_NEITHER)
		status = LockBuffers(Request);
	/* In the thread whose memory can be made to run out. */
	if (parameters.Type == WdfRequestTypeDeviceControl &&
	    parameters.Parameters.DeviceIoControl.IoControlCode == KMAPI_CREATE) {
		WdfRequestComplete(Request, ApiCreate());
		return;
	}
	if (NT_SUCCESS(status))
		status = WdfDeviceEnqueueRequest(Device, Request);
	if (!NT_SUCCESS(status))
		WdfRequestComplete(Request, status);
}

static VOID AnswerNeither(WDFREQUEST Request)
{
	PLOCKED locked = GetLocked(Request);
	NTSTATUS status = STATUS_UNSUCCESSFUL;
	size_t size;
	PVOID in;

	/* Here its addresses are nobody's. */
	if (WdfRequestRetrieveUnsafeUserInputBuffer(Request, 1, &in, NULL) == STATUS_INVALID_DEVICE_REQUEST) {
		in = WdfMemoryGetBuffer(locked->In, &size);
		status = WdfMemoryCopyFromBuffer(locked->Out, 4, in, size);
		if (NT_SUCCESS(status) && WdfMemoryCopyFromBuffer(locked->In, 0, in, 1) != STATUS_ACCESS_VIOLATION)
			status = STATUS_UNSUCCESSFUL;
	}
	WdfRequestCompleteWithInformation(Request, status, 8);
}

/* ---- whoever asks */

_Use_decl_annotations_ static VOID DeviceControl(WDFQUEUE Queue, WDFREQUEST Request, size_t OutputBufferLength,
						 size_t InputBufferLength, ULONG IoControlCode)
{
	PRESULT result;
	NTSTATUS status;

	UNREFERENCED_PARAMETER(Queue);
	UNREFERENCED_PARAMETER(OutputBufferLength);
	UNREFERENCED_PARAMETER(InputBufferLength);

	if (IoControlCode == KMAPI_NEITHER) {
		AnswerNeither(Request);
		return;
	}
	status = WdfRequestRetrieveOutputBuffer(Request, sizeof(*result), (PVOID *)&result, NULL);
	if (!NT_SUCCESS(status)) {
		WdfRequestComplete(Request, status);
		return;
	}
	RtlZeroMemory(result, sizeof(*result));
	switch (IoControlCode) {
	case KMAPI_PRINT:
		ApiPrint(result);
		break;
	case KMAPI_PRINT_WIDE:
		ApiPrintWide(result);
		break;
	case KMAPI_PRINT_CUT:
		ApiPrintCut(result);
		break;
	case KMAPI_HANDLE:
		ApiHandle(result, Request);
		break;
	case KMAPI_LEVEL:
		ApiLevel(result);
		break;
	case KMAPI_LATE:
		ApiLate(result);
		break;
	case KMAPI_OTHER:
		ApiOther(result);
		break;
	case KMAPI_ENTRY:
		ApiOfEntry(result);
		break;
	case KMAPI_COLLECTION:
		ApiCollection(result);
		break;
	case KMAPI_MEMORY:
		ApiMemory(result);
		break;
	case KMAPI_OBJECT:
		ApiObject(result);
		break;
	case KMAPI_KERNEL:
		ApiKernel(result);
		break;
	case KMAPI_LOCK:
		ApiLock(result);
		break;
	case KMAPI_REFUSED:
		ApiRefused(result, Request);
		break;
	case KMAPI_BAD_DEVICE:
		ApiBadDevice(result);
		break;
	case KMAPI_BAD_QUEUE:
		ApiBadQueue(result);
		break;
	case KMAPI_SYNCHRONOUS:
		ApiSynchronous(result);
		break;
	case KMAPI_FORMAT:
		ApiFormat(result);
		break;
	case KMAPI_REQUEST:
		ApiRequest(result, Request);
		break;
	default:
		WdfRequestComplete(Request, STATUS_INVALID_DEVICE_REQUEST);
		return;
	}
	WdfRequestCompleteWithInformation(Request, STATUS_SUCCESS, sizeof(*result));
}

/* ---- the one below: it reads as many 'r', takes what is written, and turns what a control brings round */

_Use_decl_annotations_ static VOID LowerRead(WDFQUEUE Queue, WDFREQUEST Request, size_t Length)
{
	PVOID buffer;
	NTSTATUS status = WdfRequestRetrieveOutputBuffer(Request, 1, &buffer, NULL);

	UNREFERENCED_PARAMETER(Queue);

	if (NT_SUCCESS(status))
		RtlFillMemory(buffer, Length, 'r');
	WdfRequestCompleteWithInformation(Request, status, NT_SUCCESS(status) ? Length : 0);
}

_Use_decl_annotations_ static VOID LowerWrite(WDFQUEUE Queue, WDFREQUEST Request, size_t Length)
{
	PUCHAR buffer;
	NTSTATUS status = WdfRequestRetrieveInputBuffer(Request, 1, (PVOID *)&buffer, NULL);

	UNREFERENCED_PARAMETER(Queue);

	if (NT_SUCCESS(status) && buffer[0] != 'w')
		status = STATUS_INVALID_PARAMETER;
	WdfRequestCompleteWithInformation(Request, status, NT_SUCCESS(status) ? Length : 0);
}

static VOID TurnRound(WDFREQUEST Request, size_t OutputBufferLength, size_t InputBufferLength)
{
	PUCHAR in, out;
	NTSTATUS status = STATUS_SUCCESS;
	size_t length = OutputBufferLength < InputBufferLength ? OutputBufferLength : InputBufferLength;
	UCHAR turned[16];

	if (!length || length > sizeof(turned)) {
		WdfRequestComplete(Request, STATUS_SUCCESS);
		return;
	}
	status = WdfRequestRetrieveInputBuffer(Request, length, (PVOID *)&in, NULL);
	if (NT_SUCCESS(status))
		status = WdfRequestRetrieveOutputBuffer(Request, length, (PVOID *)&out, NULL);
	if (NT_SUCCESS(status)) {
		for (size_t i = 0; i < length; i++)
			turned[i] = in[length - 1 - i];
		RtlCopyMemory(out, turned, length);
	}
	WdfRequestCompleteWithInformation(Request, status, NT_SUCCESS(status) ? length : 0);
}

_Use_decl_annotations_ static VOID LowerControl(WDFQUEUE Queue, WDFREQUEST Request, size_t OutputBufferLength,
						size_t InputBufferLength, ULONG IoControlCode)
{
	UNREFERENCED_PARAMETER(Queue);
	UNREFERENCED_PARAMETER(IoControlCode);

	TurnRound(Request, OutputBufferLength, InputBufferLength);
}

_Use_decl_annotations_ static VOID LowerInternalControl(WDFQUEUE Queue, WDFREQUEST Request, size_t OutputBufferLength,
							size_t InputBufferLength, ULONG IoControlCode)
{
	UNREFERENCED_PARAMETER(Queue);
	UNREFERENCED_PARAMETER(IoControlCode);

	TurnRound(Request, OutputBufferLength, InputBufferLength);
}

/* ---- devices */

/* The test of it sees that a rule was broken. */
static VOID Shutdown(WDFDEVICE Device)
{
	if (Device == ApiLower)
		WdfObjectDereference(NULL);
}

static NTSTATUS CreateLower(void)
{
	PWDFDEVICE_INIT init = WdfControlDeviceInitAllocate(WdfGetDriver(), &Sddl);
	WDF_IO_QUEUE_CONFIG config;
	NTSTATUS status;

	if (!init)
		return STATUS_INSUFFICIENT_RESOURCES;
	WdfControlDeviceInitSetShutdownNotification(init, Shutdown, WdfDeviceShutdown);
	WdfDeviceInitSetIoType(init, WdfDeviceIoBuffered);
	WdfDeviceInitSetDeviceType(init, FILE_DEVICE_UNKNOWN);
	status = WdfDeviceInitAssignName(init, &LowerName);
	if (NT_SUCCESS(status))
		status = WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &ApiLower);
	if (!NT_SUCCESS(status)) {
		WdfDeviceInitFree(init);
		return status;
	}
	WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(&config, WdfIoQueueDispatchParallel);
	config.EvtIoRead = LowerRead;
	config.EvtIoWrite = LowerWrite;
	config.EvtIoDeviceControl = LowerControl;
	config.EvtIoInternalDeviceControl = LowerInternalControl;
	status = WdfIoQueueCreate(ApiLower, &config, WDF_NO_OBJECT_ATTRIBUTES, WDF_NO_HANDLE);
	if (NT_SUCCESS(status))
		WdfControlFinishInitializing(ApiLower);
	return status;
}

_Use_decl_annotations_ static NTSTATUS DeviceAdd(WDFDRIVER Driver, PWDFDEVICE_INIT DeviceInit)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_FILEOBJECT_CONFIG files;
	WDF_IO_QUEUE_CONFIG config;
	NTSTATUS status;

	UNREFERENCED_PARAMETER(Driver);

	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, OFFILE);
	WDF_FILEOBJECT_CONFIG_INIT(&files, WDF_NO_EVENT_CALLBACK, WDF_NO_EVENT_CALLBACK, WDF_NO_EVENT_CALLBACK);
	WdfDeviceInitSetFileObjectConfig(DeviceInit, &files, &attributes);

	WdfDeviceInitSetIoInCallerContextCallback(DeviceInit, InCallerContext);
	status = WdfDeviceInitAssignName(DeviceInit, &DeviceName);
	if (NT_SUCCESS(status))
		status = WdfDeviceCreate(&DeviceInit, WDF_NO_OBJECT_ATTRIBUTES, &ApiDevice);
	if (NT_SUCCESS(status))
		status = WdfDeviceCreateSymbolicLink(ApiDevice, &LinkName);
	if (NT_SUCCESS(status))
		status = WdfDeviceCreateDeviceInterface(ApiDevice, &ApiInterface, &InterfaceReference);
	/* Most of what it calls may wait. */
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ExecutionLevel = WdfExecutionLevelPassive;
	WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(&config, WdfIoQueueDispatchSequential);
	config.EvtIoDeviceControl = DeviceControl;
	if (NT_SUCCESS(status))
		status = WdfIoQueueCreate(ApiDevice, &config, &attributes, WDF_NO_HANDLE);
	return status;
}

ENTRY ApiEntry;

_Use_decl_annotations_ NTSTATUS DriverEntry(PDRIVER_OBJECT DriverObject, PUNICODE_STRING RegistryPath)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_DRIVER_CONFIG config;
	NTSTATUS status;

	ApiEntry.Object = DriverObject;
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	WDF_DRIVER_CONFIG_INIT(&config, DeviceAdd);
	ApiEntry.NoConfig = WdfDriverCreate(DriverObject, RegistryPath, &attributes, NULL, WDF_NO_HANDLE);
	config.Size--;
	ApiEntry.BadSize = WdfDriverCreate(DriverObject, RegistryPath, &attributes, &config, WDF_NO_HANDLE);
	config.Size++;
	attributes.Size--;
	ApiEntry.BadAttributes = WdfDriverCreate(DriverObject, RegistryPath, &attributes, &config, WDF_NO_HANDLE);
	attributes.Size++;
	attributes.ExecutionLevel = WdfExecutionLevelDispatch;
	attributes.SynchronizationScope = WdfSynchronizationScopeNone;
	status = WdfDriverCreate(DriverObject, RegistryPath, &attributes, &config, &ApiEntry.Driver);
	/* There is one. */
	ApiEntry.Again = WdfDriverCreate(DriverObject, RegistryPath, &attributes, &config, WDF_NO_HANDLE);
	return NT_SUCCESS(status) ? CreateLower() : status;
}
