// SPDX-License-Identifier: GPL-2.0-only OR MIT
/* What is sent to another device, and what a request says of itself. */
#include "kmapi.h"

DECLARE_CONST_UNICODE_STRING(Lower, L"\\Device\\kmapi_lower");
DECLARE_CONST_UNICODE_STRING(Nobody, L"\\Device\\kmapi_nobody");

#define TURN KMAPI_CODE(100)

static WDFIOTARGET OpenLower(PRESULT Result)
{
	WDF_IO_TARGET_OPEN_PARAMS params;
	WDFIOTARGET target = NULL;

	EQUAL(STATUS_SUCCESS, WdfIoTargetCreate(ApiDevice, WDF_NO_OBJECT_ATTRIBUTES, &target));
	EQUAL(ApiDevice, WdfIoTargetGetDevice(target));
	WDF_IO_TARGET_OPEN_PARAMS_INIT_REOPEN(&params);
	EQUAL(STATUS_NOT_SUPPORTED, WdfIoTargetOpen(target, &params));
	WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(&params, &Nobody, GENERIC_READ | GENERIC_WRITE);
	EQUAL(STATUS_OBJECT_NAME_NOT_FOUND, WdfIoTargetOpen(target, &params));
	WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(&params, &Lower, GENERIC_READ | GENERIC_WRITE);
	params.Size--;
	EQUAL(STATUS_INFO_LENGTH_MISMATCH, WdfIoTargetOpen(target, &params));
	params.Size++;
	params.Type = (WDF_IO_TARGET_OPEN_TYPE)77;
	EQUAL(STATUS_INVALID_PARAMETER, WdfIoTargetOpen(target, &params));
	params.Type = WdfIoTargetOpenByName;
	EQUAL(STATUS_SUCCESS, WdfIoTargetOpen(target, &params));
	EQUAL(STATUS_INVALID_DEVICE_STATE, WdfIoTargetOpen(target, &params));
	EQUAL(WdfIoTargetStarted, WdfIoTargetGetState(target));
	return target;
}

VOID ApiSynchronous(PRESULT Result)
{
	WDFIOTARGET target = OpenLower(Result);
	WDF_MEMORY_DESCRIPTOR in, out, none;
	WDF_REQUEST_SEND_OPTIONS options;
	WDF_REQUEST_REUSE_PARAMS reuse;
	WDFMEMORY memory = NULL;
	WDFMEMORY_OFFSET offset;
	WDFREQUEST request = NULL;
	UCHAR to[8], from[8] = "w234567";
	LARGE_INTEGER until;
	ULONG_PTR bytes = 0;
	LONGLONG at = 0;

	WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(&in, from, 8);
	WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(&out, to, 8);
	RtlZeroMemory(to, sizeof(to));
	EQUAL(STATUS_SUCCESS, WdfIoTargetSendReadSynchronously(target, NULL, &out, &at, NULL, &bytes));
	EQUAL(8, bytes);
	CHECK(to[0] == 'r' && to[7] == 'r');
	EQUAL(STATUS_SUCCESS, WdfIoTargetSendWriteSynchronously(target, NULL, &in, &at, NULL, &bytes));
	EQUAL(8, bytes);
	from[0] = 'x';
	EQUAL(STATUS_INVALID_PARAMETER, WdfIoTargetSendWriteSynchronously(target, NULL, &in, NULL, NULL, NULL));
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_TIMEOUT);
	WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(&options, WDF_REL_TIMEOUT_IN_SEC(10));
	EQUAL(STATUS_SUCCESS, WdfIoTargetSendIoctlSynchronously(target, NULL, TURN, &in, &out, &options, &bytes));
	EQUAL(8, bytes);
	CHECK(to[7] == 'x' && to[1] == '7');
	/* Until a time of day, which is far away. */
	KeQuerySystemTime(&until);
	WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(&options, until.QuadPart + 10 * 10000000ll);
	EQUAL(STATUS_SUCCESS, WdfIoTargetSendIoctlSynchronously(target, NULL, TURN, &in, &out, &options, &bytes));
	/* Without buffers, and with one that is empty. */
	EQUAL(STATUS_SUCCESS, WdfIoTargetSendIoctlSynchronously(target, NULL, TURN, NULL, NULL, NULL, &bytes));
	EQUAL(0, bytes);
	WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(&none, NULL, 0);
	EQUAL(STATUS_SUCCESS, WdfIoTargetSendIoctlSynchronously(target, NULL, TURN, &none, &none, NULL, NULL));
	none.Type = (WDF_MEMORY_DESCRIPTOR_TYPE)77;
	EQUAL(STATUS_NOT_SUPPORTED, WdfIoTargetSendIoctlSynchronously(target, NULL, TURN, &none, NULL, NULL, NULL));
	none.Type = WdfMemoryDescriptorTypeMdl;
	EQUAL(STATUS_NOT_SUPPORTED, WdfIoTargetSendIoctlSynchronously(target, NULL, TURN, &none, NULL, NULL, NULL));

	/* A request of the driver's, and memory that is an object. */
	EQUAL(STATUS_SUCCESS, WdfRequestCreate(WDF_NO_OBJECT_ATTRIBUTES, target, &request));
	EQUAL(STATUS_SUCCESS, WdfRequestAllocateTimer(request));
	EQUAL(STATUS_SUCCESS, WdfRequestChangeTarget(request, target));
	EQUAL(STATUS_SUCCESS, WdfMemoryCreatePreallocated(WDF_NO_OBJECT_ATTRIBUTES, from, 8, &memory));
	offset.BufferOffset = 4;
	offset.BufferLength = 4;
	WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(&in, memory, &offset);
	EQUAL(STATUS_SUCCESS, WdfIoTargetSendIoctlSynchronously(target, request, TURN, &in, &out, NULL, &bytes));
	EQUAL(4, bytes);
	CHECK(to[3] == '5' && to[1] == '7');
	WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(&in, memory, NULL);
	WDF_REQUEST_REUSE_PARAMS_INIT(&reuse, WDF_REQUEST_REUSE_NO_FLAGS, STATUS_SUCCESS);
	EQUAL(STATUS_SUCCESS, WdfRequestReuse(request, &reuse));
	EQUAL(STATUS_SUCCESS, WdfIoTargetSendIoctlSynchronously(target, request, TURN, &in, &out, NULL, &bytes));
	EQUAL(8, bytes);
	offset.BufferOffset = 7;
	offset.BufferLength = 2;
	WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(&in, memory, &offset);
	CHECK(!NT_SUCCESS(WdfIoTargetSendIoctlSynchronously(target, request, TURN, &in, &out, NULL, NULL)));
	reuse.Size--;
	EQUAL(STATUS_INFO_LENGTH_MISMATCH, WdfRequestReuse(request, &reuse));
	EQUAL(STATUS_INVALID_PARAMETER, WdfRequestReuse(request, NULL));
	WDF_REQUEST_REUSE_PARAMS_INIT(&reuse, WDF_REQUEST_REUSE_SET_NEW_IRP, STATUS_SUCCESS);
	EQUAL(STATUS_NOT_SUPPORTED, WdfRequestReuse(request, &reuse));
	WdfObjectDelete(request);
	WdfObjectDelete(memory);

	/* Stopped: it is refused, unless it is to wait, or not to care. */
	WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(&out, to, 8);
	WdfIoTargetStop(target, WdfIoTargetLeaveSentIoPending);
	EQUAL(WdfIoTargetStopped, WdfIoTargetGetState(target));
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_TIMEOUT);
	WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(&options, WDF_REL_TIMEOUT_IN_MS(20));
	CHECK(!NT_SUCCESS(WdfIoTargetSendReadSynchronously(target, NULL, &out, NULL, &options, NULL)));
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_IGNORE_TARGET_STATE);
	EQUAL(STATUS_SUCCESS, WdfIoTargetSendReadSynchronously(target, NULL, &out, NULL, &options, NULL));
	EQUAL(STATUS_SUCCESS, WdfIoTargetStart(target));
	WdfIoTargetPurge(target, WdfIoTargetPurgeIoAndWait);
	EQUAL(WdfIoTargetPurged, WdfIoTargetGetState(target));
	CHECK(!NT_SUCCESS(WdfIoTargetSendReadSynchronously(target, NULL, &out, NULL, NULL, NULL)));
	EQUAL(STATUS_SUCCESS, WdfIoTargetStart(target));
	EQUAL(STATUS_SUCCESS, WdfIoTargetSendReadSynchronously(target, NULL, &out, NULL, NULL, NULL));
	WdfIoTargetClose(target);
	CHECK(!NT_SUCCESS(WdfIoTargetSendReadSynchronously(target, NULL, &out, NULL, NULL, NULL)));
	WdfObjectDelete(target);
}

static VOID Completed(WDFREQUEST Request, WDFIOTARGET Target, PWDF_REQUEST_COMPLETION_PARAMS Params, WDFCONTEXT Context)
{
	UNREFERENCED_PARAMETER(Request);
	UNREFERENCED_PARAMETER(Target);

	*(NTSTATUS *)Context = Params->IoStatus.Status;
}

VOID ApiFormat(PRESULT Result)
{
	WDFIOTARGET target = OpenLower(Result);
	WDF_REQUEST_COMPLETION_PARAMS params;
	WDF_REQUEST_SEND_OPTIONS options;
	WDFMEMORY memory = NULL, other = NULL;
	WDFMEMORY_OFFSET offset = {4, 4}, outside = {4, 5}, far = {(size_t)-1, 2};
	NTSTATUS status = STATUS_PENDING;
	WDFREQUEST request = NULL;
	LONGLONG at = 12;
	PVOID buffer;

	EQUAL(STATUS_SUCCESS, WdfRequestCreate(WDF_NO_OBJECT_ATTRIBUTES, target, &request));
	EQUAL(STATUS_SUCCESS, WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, 0, 8, &memory, &buffer));
	EQUAL(STATUS_SUCCESS, WdfMemoryCreate(WDF_NO_OBJECT_ATTRIBUTES, NonPagedPoolNx, 0, 8, &other, NULL));
	RtlFillMemory(buffer, 8, 'w');
	WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_SYNCHRONOUS);

	EQUAL(STATUS_INVALID_BUFFER_SIZE, WdfIoTargetFormatRequestForRead(target, request, memory, &outside, &at));
	EQUAL(STATUS_INVALID_BUFFER_SIZE, WdfIoTargetFormatRequestForWrite(target, request, memory, &far, &at));
	EQUAL(STATUS_SUCCESS, WdfIoTargetFormatRequestForWrite(target, request, memory, &offset, &at));
	WdfRequestSetCompletionRoutine(request, Completed, &status);
	CHECK(WdfRequestSend(request, target, &options));
	EQUAL(STATUS_SUCCESS, WdfRequestGetStatus(request));
	WDF_REQUEST_COMPLETION_PARAMS_INIT(&params);
	WdfRequestGetCompletionParams(request, &params);
	EQUAL(WdfRequestTypeWrite, params.Type);
	EQUAL(4, params.IoStatus.Information);
	EQUAL(memory, params.Parameters.Write.Buffer);
	EQUAL(4, params.Parameters.Write.Length);
	EQUAL(STATUS_SUCCESS, WdfIoTargetFormatRequestForRead(target, request, memory, NULL, NULL));
	CHECK(WdfRequestSend(request, target, &options));
	WdfRequestGetCompletionParams(request, &params);
	EQUAL(WdfRequestTypeRead, params.Type);
	EQUAL(8, params.Parameters.Read.Length);
	EQUAL('r', *(PUCHAR)buffer);
	EQUAL(STATUS_SUCCESS, WdfIoTargetFormatRequestForIoctl(target, request, TURN, memory, NULL, other, &offset));
	CHECK(WdfRequestSend(request, target, &options));
	WdfRequestGetCompletionParams(request, &params);
	EQUAL(WdfRequestTypeDeviceControl, params.Type);
	EQUAL(TURN, params.Parameters.Ioctl.IoControlCode);
	EQUAL(STATUS_SUCCESS,
	      WdfIoTargetFormatRequestForInternalIoctl(target, request, TURN, memory, NULL, other, NULL));
	CHECK(WdfRequestSend(request, target, &options));
	EQUAL(STATUS_SUCCESS, WdfRequestGetStatus(request));
	EQUAL(8, WdfRequestGetInformation(request));
	/* A handle of something else: the verifier tells. */
	CHECK(!NT_SUCCESS(BROKEN(WdfIoTargetFormatRequestForRead(target, request, (WDFMEMORY)request, NULL, NULL))));
	WdfObjectDelete(request);
	WdfObjectDelete(other);
	WdfObjectDelete(memory);
	WdfObjectDelete(target);
	/* The device's own, which is always open. */
	target = WdfDeviceGetIoTarget(ApiDevice);
	CHECK(target);
	EQUAL(target, WdfDeviceGetIoTarget(ApiDevice));
	EQUAL(WdfIoTargetStarted, WdfIoTargetGetState(target));
}

VOID ApiRefused(PRESULT Result, WDFREQUEST Request)
{
	WDFREQUEST made = NULL;
	PMDL mdl = NULL;

	EQUAL(STATUS_NOT_SUPPORTED, WdfObjectQuery(ApiDevice, NULL, 0, NULL));
	EQUAL(STATUS_NOT_SUPPORTED, WdfRequestRetrieveInputWdmMdl(Request, &mdl));
	EQUAL(STATUS_NOT_SUPPORTED, WdfRequestRetrieveOutputWdmMdl(Request, &mdl));
	EQUAL(STATUS_NOT_SUPPORTED, WdfIoQueueAssignForwardProgressPolicy(WdfRequestGetIoQueue(Request), NULL));
	EQUAL(STATUS_NOT_SUPPORTED, WdfRequestCreateFromIrp(WDF_NO_OBJECT_ATTRIBUTES, NULL, FALSE, &made));
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, WdfRequestForwardToParentDeviceIoQueue(Request, NULL, NULL));
	CHECK(!WdfRequestWdmGetIrp(Request));
	CHECK(!WdfFileObjectWdmGetFileObject(WdfRequestGetFileObject(Request)));
}

/* Below a client's request, and below one that belongs to no device. */
static VOID TimersOfRequests(PRESULT Result, WDFREQUEST Request)
{
	WDF_OBJECT_ATTRIBUTES attributes;
	WDF_TIMER_CONFIG config;
	WDFREQUEST own = NULL;
	WDFTIMER timer = NULL;

	WDF_TIMER_CONFIG_INIT(&config, ApiTimer);
	config.AutomaticSerialization = FALSE;
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = Request;
	EQUAL(STATUS_SUCCESS, WdfTimerCreate(&config, &attributes, &timer));
	EQUAL((WDFOBJECT)Request, WdfTimerGetParentObject(timer));
	WdfObjectDelete(timer);
	EQUAL(STATUS_SUCCESS, WdfRequestCreate(WDF_NO_OBJECT_ATTRIBUTES, NULL, &own));
	attributes.ParentObject = own;
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, WdfTimerCreate(&config, &attributes, &timer));
	WdfObjectDelete(own);
}

VOID ApiRequest(PRESULT Result, WDFREQUEST Request)
{
	WDFFILEOBJECT file = WdfRequestGetFileObject(Request);
	WDF_REQUEST_PARAMETERS parameters;
	WDFMEMORY memory = NULL;
	PVOID buffer;
	size_t size;

	CHECK(file);
	EQUAL(ApiDevice, WdfFileObjectGetDevice(file));
	CHECK(GetOfFile(file));
	EQUAL(0, GetOfFile(file)->Opened++);
	CHECK(WdfFileObjectGetFileName(file));
	EQUAL(0, WdfFileObjectGetFileName(file)->Length);
	EQUAL(0, WdfFileObjectGetFlags(file));
	CHECK(WdfFileObjectGetInitiatorProcessId(file));
	EQUAL(WdfFileObjectGetInitiatorProcessId(file), WdfRequestGetRequestorProcessId(Request));
	EQUAL(UserMode, WdfRequestGetRequestorMode(Request));
	CHECK(!WdfRequestIsFrom32BitProcess(Request));
	CHECK(!WdfRequestIsReserved(Request));
	CHECK(!WdfRequestIsCanceled(Request));
	TimersOfRequests(Result, Request);
	EQUAL(ApiDevice, WdfIoQueueGetDevice(WdfRequestGetIoQueue(Request)));
	WDF_REQUEST_PARAMETERS_INIT(&parameters);
	WdfRequestGetParameters(Request, &parameters);
	EQUAL(WdfRequestTypeDeviceControl, parameters.Type);
	EQUAL(KMAPI_REQUEST, parameters.Parameters.DeviceIoControl.IoControlCode);
	EQUAL(sizeof(struct kmapi_result), parameters.Parameters.DeviceIoControl.OutputBufferLength);
	EQUAL(STATUS_SUCCESS, WdfRequestRetrieveOutputMemory(Request, &memory));
	buffer = WdfMemoryGetBuffer(memory, &size);
	EQUAL((PVOID)Result, buffer);
	EQUAL(sizeof(struct kmapi_result), size);
	EQUAL(STATUS_BUFFER_TOO_SMALL, WdfRequestRetrieveInputBuffer(Request, 1, &buffer, NULL));
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, WdfRequestRetrieveUnsafeUserInputBuffer(Request, 1, &buffer, NULL));
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, WdfRequestRetrieveUnsafeUserOutputBuffer(Request, 1, &buffer, NULL));
	EQUAL(STATUS_INVALID_DEVICE_REQUEST, WdfDeviceEnqueueRequest(ApiDevice, Request));
	WdfRequestSetInformation(Request, 5);
	EQUAL(5, WdfRequestGetInformation(Request));
}

DECLARE_CONST_UNICODE_STRING(OtherName, L"\\Device\\kmtest");

/* Another driver's device: its module cannot go while the target is open. */
VOID ApiOther(PRESULT Result)
{
	static WDFIOTARGET target;
	WDF_IO_TARGET_OPEN_PARAMS params;

	WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(&params, &OtherName, GENERIC_READ | GENERIC_WRITE);
	if (!target) {
		EQUAL(STATUS_SUCCESS, WdfIoTargetCreate(ApiDevice, WDF_NO_OBJECT_ATTRIBUTES, &target));
		EQUAL(STATUS_SUCCESS, WdfIoTargetOpen(target, &params));
		EQUAL(STATUS_INVALID_DEVICE_STATE, WdfIoTargetOpen(target, &params));
		EQUAL(WdfIoTargetStarted, WdfIoTargetGetState(target));
		return;
	}
	/* Called again: it is closed. */
	WdfIoTargetClose(target);
	EQUAL(WdfIoTargetClosed, WdfIoTargetGetState(target));
	WdfObjectDelete(target);
	target = NULL;
}
