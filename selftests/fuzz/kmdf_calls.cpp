// SPDX-License-Identifier: GPL-2.0-only
// A driver that keeps to no rule: each call with handles that are good, stale, foreign, of another type or none at all, in
// any callback. What it may not do is to give pointers that are none.
#include "kmdf_machine.hpp"

namespace fuzz {

namespace {

struct Extra {
	u64 value;
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(Extra, extra_context)

struct Other {
	u64 value;
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(Other, other_context)

void evt_cleanup(WDFOBJECT object)
{
	kmdf_machine->act(At::Cleanup, object);
}

void evt_destroy(WDFOBJECT object)
{
	kmdf_machine->act(At::Destroy, object);
}

void evt_timer(WDFTIMER timer)
{
	kmdf_machine->act(At::Timer, timer);
}

void evt_work(WDFWORKITEM item)
{
	kmdf_machine->act(At::Work, item);
}

void evt_state(WDFQUEUE queue, WDFCONTEXT)
{
	kmdf_machine->act(At::QueueState, queue);
}

void evt_completion(WDFREQUEST request, WDFIOTARGET, PWDF_REQUEST_COMPLETION_PARAMS, WDFCONTEXT)
{
	kmdf_machine->act(At::Completion, request);
}

void evt_other_cancel(WDFREQUEST request)
{
	kmdf_machine->act(At::Cancel, request);
}

// Attributes as a careless driver fills them in. Null: it gives none.
struct Attributes {
	WDF_OBJECT_ATTRIBUTES value;
	PWDF_OBJECT_ATTRIBUTES pointer = &value;

	Attributes(Input &in, WDFOBJECT parent)
	{
		u32 how = in.byte();

		WDF_OBJECT_ATTRIBUTES_INIT(&value);
		value.ParentObject = how & 1 ? parent : nullptr;
		if (how & 2)
			WDF_OBJECT_ATTRIBUTES_SET_CONTEXT_TYPE(&value, Extra);
		if (how & 4)
			value.EvtCleanupCallback = evt_cleanup;
		if (how & 8)
			value.EvtDestroyCallback = evt_destroy;
		if (how & 16) {
			value.ExecutionLevel = static_cast<WDF_EXECUTION_LEVEL>(in.below(5));
			value.SynchronizationScope = static_cast<WDF_SYNCHRONIZATION_SCOPE>(in.below(6));
		}
		if (how & 32)
			value.ContextSizeOverride = in.below(64);
		if (how >= 240)
			value.Size = static_cast<ULONG>(in.number());
		if (how >= 192 && how < 200)
			pointer = nullptr;
	}
};

s64 some_time(Input &in)
{
	return in.byte() >= 224 ? static_cast<s64>(in.number()) : -static_cast<s64>(in.below(200)) * 10000;
}

NTSTATUS some_status(Input &in)
{
	static constexpr u32 statuses[] = {0, 0, 0xc0000120, 0xc0000001, 0x80000005, 0x103, 0xc0200203, 0xc0000010};

	return static_cast<NTSTATUS>(in.byte() >= 240 ? static_cast<u32>(in.number()) :
							statuses[in.below(std::size(statuses))]);
}

ULONG_PTR some_size(Input &in)
{
	return in.byte() >= 208 ? in.number() : in.below(100);
}

} // namespace

// ---- handles

void KmdfMachine::add_handle(WDFOBJECT value, Kind kind)
{
	std::lock_guard lock(mutex_);

	if (!value)
		return;
	for (Handle &handle : handles_)
		if (handle.value == value)
			return;
	// The oldest are forgotten; requests are not, for somebody has to complete them.
	if (handles_.size() >= kHandles) {
		auto old = std::find_if(handles_.begin(), handles_.end(), [](const Handle &handle) {
			return host_kmdf_request_state(handle.value) == gone && handle.kind == Kind::Request;
		});

		if (old == handles_.end())
			old = std::find_if(handles_.begin(), handles_.end(),
					   [](const Handle &handle) { return handle.kind == Kind::General; });
		if (old != handles_.end())
			handles_.erase(old);
	}
	handles_.push_back({value, kind});
}

// Mostly one of the kind that is asked for, mostly a young one; of a callback, its own.
WDFOBJECT KmdfMachine::handle(Input &in, Kind kind, WDFOBJECT own)
{
	u32 how = in.byte();
	std::lock_guard lock(mutex_);
	std::vector<WDFOBJECT> fit;

	if (own && how < 96)
		return own;
	for (const Handle &handle : handles_)
		if (how >= 232 || handle.kind == kind)
			fit.push_back(handle.value);
	if (how >= 248 || fit.empty()) {
		u64 value = fit.empty() ? 0 : reinterpret_cast<u64>(fit.back());

		// None, another generation, another slot, anything.
		switch (how % 4) {
		case 0:
			return nullptr;
		case 1:
			return reinterpret_cast<WDFOBJECT>(value + (1ull << 24));
		case 2:
			return reinterpret_cast<WDFOBJECT>(value ^ 1);
		default:
			return reinterpret_cast<WDFOBJECT>(in.number());
		}
	}
	return fit[fit.size() - 1 - how % std::min<size_t>(fit.size(), 6)];
}

#define OF(type, kind) static_cast<type>(handle(in, Kind::kind, own))
// Only what the call itself is about may be the callback's own.
#define ANY(type, kind) static_cast<type>(handle(in, Kind::kind, nullptr))

// ---- calls, by topic. False: there are no more in it

bool KmdfMachine::call_request(Input &in, u32 which, WDFOBJECT own)
{
	WDF_REQUEST_PARAMETERS parameters;
	WDFMEMORY memory = nullptr;
	void *buffer;
	size_t length;

	switch (which) {
	case 0:
		WdfRequestMarkCancelable(OF(WDFREQUEST, Request), in.byte() >= 8 ? evt_other_cancel : nullptr);
		return true;
	case 1:
		WdfRequestMarkCancelableEx(OF(WDFREQUEST, Request), evt_other_cancel);
		return true;
	case 2:
		WdfRequestUnmarkCancelable(OF(WDFREQUEST, Request));
		return true;
	case 3:
		WdfRequestIsCanceled(OF(WDFREQUEST, Request));
		return true;
	case 4:
		WdfRequestComplete(OF(WDFREQUEST, Request), some_status(in));
		return true;
	case 5:
		WdfRequestCompleteWithInformation(OF(WDFREQUEST, Request), some_status(in), some_size(in));
		return true;
	case 6:
		WdfRequestCompleteWithPriorityBoost(OF(WDFREQUEST, Request), some_status(in), 1);
		return true;
	case 7:
		WdfRequestForwardToIoQueue(OF(WDFREQUEST, Request), ANY(WDFQUEUE, Queue));
		return true;
	case 8:
		WdfRequestRequeue(OF(WDFREQUEST, Request));
		return true;
	case 9:
		WdfRequestStopAcknowledge(OF(WDFREQUEST, Request), in.flag());
		return true;
	case 10:
		WdfRequestSetInformation(OF(WDFREQUEST, Request), some_size(in));
		return true;
	case 11:
		WdfRequestGetInformation(OF(WDFREQUEST, Request));
		return true;
	case 12:
		add_handle(WdfRequestGetIoQueue(OF(WDFREQUEST, Request)), Kind::Queue);
		return true;
	case 13:
		add_handle(WdfRequestGetFileObject(OF(WDFREQUEST, Request)), Kind::File);
		return true;
	case 14:
		WDF_REQUEST_PARAMETERS_INIT(&parameters);
		if (in.byte() >= 224)
			parameters.Size = static_cast<USHORT>(in.number());
		WdfRequestGetParameters(OF(WDFREQUEST, Request), &parameters);
		return true;
	case 15:
		if (NT_SUCCESS(WdfRequestRetrieveInputBuffer(OF(WDFREQUEST, Request), some_size(in), &buffer, &length)))
			memset(buffer, 'i', length);
		return true;
	case 16:
		if (NT_SUCCESS(
			    WdfRequestRetrieveOutputBuffer(OF(WDFREQUEST, Request), some_size(in), &buffer, &length)))
			memset(buffer, 'o', length);
		return true;
	case 17:
		if (NT_SUCCESS(WdfRequestRetrieveInputMemory(OF(WDFREQUEST, Request), &memory)))
			add_handle(memory, Kind::Memory);
		return true;
	case 18:
		if (NT_SUCCESS(WdfRequestRetrieveOutputMemory(OF(WDFREQUEST, Request), &memory)))
			add_handle(memory, Kind::Memory);
		return true;
	case 19:
		WdfRequestGetRequestorProcessId(OF(WDFREQUEST, Request));
		WdfRequestGetRequestorMode(OF(WDFREQUEST, Request));
		WdfRequestIsFrom32BitProcess(OF(WDFREQUEST, Request));
		return true;
	case 20:
		WdfRequestRetrieveUnsafeUserInputBuffer(OF(WDFREQUEST, Request), some_size(in), &buffer, &length);
		return true;
	case 21:
		WdfRequestRetrieveUnsafeUserOutputBuffer(OF(WDFREQUEST, Request), some_size(in), &buffer, &length);
		return true;
	case 22:
		WdfDeviceEnqueueRequest(ANY(WDFDEVICE, Device), OF(WDFREQUEST, Request));
		return true;
	default:
		return false;
	}
}

bool KmdfMachine::call_queue(Input &in, u32 which, WDFOBJECT own)
{
	WDFREQUEST request = nullptr;
	WDF_IO_QUEUE_CONFIG config;
	WDFQUEUE queue;
	ULONG count;

	switch (which) {
	case 0:
		WdfIoQueueStart(OF(WDFQUEUE, Queue));
		return true;
	case 1:
		WdfIoQueueStop(OF(WDFQUEUE, Queue), in.flag() ? evt_state : nullptr, nullptr);
		return true;
	case 2:
		WdfIoQueuePurge(OF(WDFQUEUE, Queue), in.flag() ? evt_state : nullptr, nullptr);
		return true;
	case 3:
		WdfIoQueueDrain(OF(WDFQUEUE, Queue), in.flag() ? evt_state : nullptr, nullptr);
		return true;
	case 4:
		WdfIoQueueStopAndPurge(OF(WDFQUEUE, Queue), in.flag() ? evt_state : nullptr, nullptr);
		return true;
	case 5:
		WdfIoQueueGetState(OF(WDFQUEUE, Queue), &count, in.flag() ? &count : nullptr);
		return true;
	case 6:
		if (NT_SUCCESS(WdfIoQueueRetrieveNextRequest(OF(WDFQUEUE, Queue), &request)))
			note_request(request);
		return true;
	case 7:
		if (NT_SUCCESS(WdfIoQueueRetrieveRequestByFileObject(OF(WDFQUEUE, Queue), ANY(WDFFILEOBJECT, File),
								     &request)))
			note_request(request);
		return true;
	case 8:
		// The handle is all that is kept: its reference is given back at the end, or never taken.
		if (NT_SUCCESS(
			    WdfIoQueueFindRequest(OF(WDFQUEUE, Queue), in.flag() ? ANY(WDFREQUEST, Request) : nullptr,
						  in.flag() ? ANY(WDFFILEOBJECT, File) : nullptr, nullptr, &request)))
			add_handle(request, Kind::Request);
		return true;
	case 9:
		if (NT_SUCCESS(WdfIoQueueRetrieveFoundRequest(OF(WDFQUEUE, Queue), ANY(WDFREQUEST, Request), &request)))
			note_request(request);
		return true;
	case 10:
		WdfIoQueueReadyNotify(OF(WDFQUEUE, Queue), in.flag() ? evt_state : nullptr, nullptr);
		return true;
	case 11:
		add_handle(WdfIoQueueGetDevice(OF(WDFQUEUE, Queue)), Kind::Device);
		return true;
	case 12: {
		WDF_IO_QUEUE_CONFIG_INIT(&config, static_cast<WDF_IO_QUEUE_DISPATCH_TYPE>(in.below(5)));
		Attributes attributes(in, handle(in, Kind::Device, nullptr));

		if (in.byte() >= 224)
			in.change(config);
		// Functions that are none are pointers that are none.
		config.EvtIoRead = nullptr;
		config.EvtIoWrite = nullptr;
		config.EvtIoDeviceControl = nullptr;
		config.EvtIoInternalDeviceControl = nullptr;
		config.EvtIoStop = nullptr;
		config.EvtIoResume = nullptr;
		config.EvtIoCanceledOnQueue = nullptr;
		// The kit finds the queue of a callback by its context.
		config.EvtIoDefault = nullptr;
		if (NT_SUCCESS(WdfIoQueueCreate(ANY(WDFDEVICE, Device), &config, attributes.pointer, &queue)))
			add_handle(queue, Kind::Queue);
		return true;
	}
	case 13:
		add_handle(WdfDeviceGetDefaultQueue(ANY(WDFDEVICE, Device)), Kind::Queue);
		return true;
	case 14:
		WdfDeviceConfigureRequestDispatching(ANY(WDFDEVICE, Device), OF(WDFQUEUE, Queue),
						     static_cast<WDF_REQUEST_TYPE>(in.below(20)));
		return true;
	default:
		return false;
	}
}

bool KmdfMachine::call_send(Input &in, u32 which, WDFOBJECT own)
{
	WDF_REQUEST_COMPLETION_PARAMS completion;
	WDF_REQUEST_SEND_OPTIONS options;
	WDF_REQUEST_REUSE_PARAMS reuse;
	WDF_IO_TARGET_OPEN_PARAMS open;
	UNICODE_STRING name;
	WDFREQUEST request;
	WDFIOTARGET target;
	LONGLONG offset = 0;

	switch (which) {
	case 0: {
		Attributes attributes(in, handle(in, Kind::General, nullptr));

		if (NT_SUCCESS(WdfRequestCreate(attributes.pointer, ANY(WDFIOTARGET, Target), &request)))
			add_handle(request, Kind::OwnRequest);
		return true;
	}
	case 1:
		WdfRequestFormatRequestUsingCurrentType(OF(WDFREQUEST, Request));
		return true;
	case 2:
		WdfRequestSetCompletionRoutine(in.flag() ? ANY(WDFREQUEST, OwnRequest) : OF(WDFREQUEST, Request),
					       in.byte() >= 16 ? evt_completion : nullptr, nullptr);
		return true;
	case 3:
	case 4:
		WDF_REQUEST_SEND_OPTIONS_INIT(&options, in.byte() & 0xcu);
		if (in.byte() >= 128)
			WDF_REQUEST_SEND_OPTIONS_SET_TIMEOUT(&options, some_time(in));
		if (in.byte() >= 240)
			options.Size = static_cast<ULONG>(in.number());
		WdfRequestSend(in.flag() ? ANY(WDFREQUEST, OwnRequest) : OF(WDFREQUEST, Request),
			       ANY(WDFIOTARGET, Target), in.flag() ? &options : nullptr);
		return true;
	case 5:
		WdfRequestCancelSentRequest(in.flag() ? ANY(WDFREQUEST, OwnRequest) : OF(WDFREQUEST, Request));
		return true;
	case 6:
		WdfRequestGetStatus(OF(WDFREQUEST, Request));
		WDF_REQUEST_COMPLETION_PARAMS_INIT(&completion);
		WdfRequestGetCompletionParams(OF(WDFREQUEST, Request), &completion);
		return true;
	case 7:
		WDF_REQUEST_REUSE_PARAMS_INIT(&reuse, in.below(3), some_status(in));
		WdfRequestReuse(in.flag() ? ANY(WDFREQUEST, OwnRequest) : OF(WDFREQUEST, Request), &reuse);
		return true;
	case 8: {
		Attributes attributes(in, handle(in, Kind::Device, nullptr));

		if (NT_SUCCESS(WdfIoTargetCreate(ANY(WDFDEVICE, Device), attributes.pointer, &target)))
			add_handle(target, Kind::Target);
		return true;
	}
	case 9: {
		static const char16_t *const names[] = {u"\\Device\\fuzzed0", u"\\DosDevices\\foreign0", u"fuzzed0",
							u"", u"\\Device\\"};

		RtlInitUnicodeString(&name, names[in.below(std::size(names))]);
		WDF_IO_TARGET_OPEN_PARAMS_INIT_OPEN_BY_NAME(&open, &name, 0);
		open.Type = in.byte() >= 224 ? static_cast<WDF_IO_TARGET_OPEN_TYPE>(in.below(6)) : open.Type;
		WdfIoTargetOpen(OF(WDFIOTARGET, Target), &open);
		return true;
	}
	case 10:
		add_handle(WdfDeviceGetIoTarget(ANY(WDFDEVICE, Device)), Kind::Target);
		return true;
	case 11:
		WdfIoTargetStart(OF(WDFIOTARGET, Target));
		return true;
	case 12:
		WdfIoTargetStop(OF(WDFIOTARGET, Target), WdfIoTargetLeaveSentIoPending);
		return true;
	case 13:
		WdfIoTargetPurge(OF(WDFIOTARGET, Target), WdfIoTargetPurgeIo);
		return true;
	case 14:
		WdfIoTargetGetState(OF(WDFIOTARGET, Target));
		add_handle(WdfIoTargetGetDevice(OF(WDFIOTARGET, Target)), Kind::Device);
		return true;
	case 15:
	case 16:
	case 17:
	case 18: {
		WDFMEMORY_OFFSET part = {in.flag() ? some_size(in) : 0, in.flag() ? some_size(in) : 0};
		WDFMEMORY memory = in.byte() >= 32 ? ANY(WDFMEMORY, Memory) : nullptr;
		WDFIOTARGET to = ANY(WDFIOTARGET, Target);

		request = in.flag() ? ANY(WDFREQUEST, OwnRequest) : OF(WDFREQUEST, Request);
		if (which == 15)
			WdfIoTargetFormatRequestForRead(to, request, memory, in.flag() ? &part : nullptr, &offset);
		else if (which == 16)
			WdfIoTargetFormatRequestForWrite(to, request, memory, in.flag() ? &part : nullptr, nullptr);
		else if (which == 17)
			WdfIoTargetFormatRequestForIoctl(to, request, kBuffered, memory, &part, memory, nullptr);
		else
			WdfIoTargetFormatRequestForInternalIoctl(to, request, kNeither, memory, nullptr,
								 ANY(WDFMEMORY, Memory), &part);
		return true;
	}
	case 19:
		WdfRequestChangeTarget(OF(WDFREQUEST, Request), ANY(WDFIOTARGET, Target));
		WdfRequestAllocateTimer(OF(WDFREQUEST, Request));
		return true;
	default:
		return false;
	}
}

bool KmdfMachine::call_object(Input &in, u32 which, WDFOBJECT own)
{
	static char preallocated[128];
	WDF_TIMER_CONFIG timer_config;
	WDF_WORKITEM_CONFIG work_config;
	WDFCOLLECTION collection;
	WDFWORKITEM work;
	WDFWAITLOCK wait;
	WDFSPINLOCK spin;
	WDFMEMORY memory;
	WDFSTRING string;
	WDFOBJECT object;
	WDFTIMER timer;
	LONGLONG now = 0;
	size_t size;
	char bytes[64];

	switch (which) {
	case 0: {
		Attributes attributes(in, handle(in, static_cast<Kind>(in.below(15)), own));

		if (NT_SUCCESS(WdfObjectCreate(attributes.pointer, &object)))
			add_handle(object, Kind::General);
		return true;
	}
	case 1: {
		object = handle(in, static_cast<Kind>(in.below(15)), own);
		WdfObjectReference(object);
		std::lock_guard lock(mutex_);

		referenced_.insert(object);
		return true;
	}
	case 2:
		WdfObjectDereference(handle(in, static_cast<Kind>(in.below(15)), own));
		return true;
	case 3:
		// Of what waits for nobody.
		WdfObjectDelete(in.flag() ? ANY(WDFOBJECT, Memory) : ANY(WDFOBJECT, OwnRequest));
		return true;
	case 4:
		object = handle(in, static_cast<Kind>(in.below(15)), own);
		if (Extra *extra = extra_context(object))
			extra->value++;
		other_context(object);
		return true;
	case 5: {
		Attributes attributes(in, nullptr);
		void *context;

		WdfObjectAllocateContext(handle(in, static_cast<Kind>(in.below(15)), own), attributes.pointer,
					 in.flag() ? &context : nullptr);
		return true;
	}
	case 6: {
		Attributes attributes(in, handle(in, Kind::Queue, nullptr));

		WDF_TIMER_CONFIG_INIT_PERIODIC(&timer_config, evt_timer,
					       in.flag() ? static_cast<LONG>(in.below(100)) : 0);
		timer_config.AutomaticSerialization = in.flag();
		if (NT_SUCCESS(WdfTimerCreate(&timer_config, attributes.pointer, &timer)))
			add_handle(timer, Kind::Timer);
		return true;
	}
	case 7:
		WdfTimerStart(OF(WDFTIMER, Timer), some_time(in));
		return true;
	case 8:
		WdfTimerStop(OF(WDFTIMER, Timer), FALSE);
		add_handle(WdfTimerGetParentObject(OF(WDFTIMER, Timer)), Kind::General);
		return true;
	case 9: {
		Attributes attributes(in, handle(in, Kind::Device, nullptr));

		WDF_WORKITEM_CONFIG_INIT(&work_config, evt_work);
		work_config.AutomaticSerialization = in.flag();
		if (NT_SUCCESS(WdfWorkItemCreate(&work_config, attributes.pointer, &work)))
			add_handle(work, Kind::Work);
		return true;
	}
	case 10:
		WdfWorkItemEnqueue(OF(WDFWORKITEM, Work));
		return true;
	case 11: {
		Attributes attributes(in, handle(in, Kind::Request, own));

		if (NT_SUCCESS(WdfMemoryCreate(attributes.pointer, NonPagedPoolNx, 0, some_size(in) % 4096, &memory,
					       nullptr)))
			add_handle(memory, Kind::Memory);
		return true;
	}
	case 12: {
		Attributes attributes(in, handle(in, Kind::Device, nullptr));

		if (NT_SUCCESS(WdfMemoryCreatePreallocated(attributes.pointer, preallocated, in.below(130) % 129,
							   &memory)))
			add_handle(memory, Kind::Memory);
		return true;
	}
	case 13:
		if (void *buffer = WdfMemoryGetBuffer(OF(WDFMEMORY, Memory), &size); buffer && size)
			memset(buffer, 'm', size);
		return true;
	case 14:
		WdfMemoryCopyToBuffer(OF(WDFMEMORY, Memory), some_size(in), bytes, in.below(64));
		return true;
	case 15:
		memset(bytes, 'b', sizeof(bytes));
		WdfMemoryCopyFromBuffer(OF(WDFMEMORY, Memory), some_size(in), bytes, in.below(64));
		return true;
	case 16: {
		Attributes attributes(in, handle(in, Kind::General, nullptr));

		if (NT_SUCCESS(WdfSpinLockCreate(attributes.pointer, &spin)))
			add_handle(spin, Kind::SpinLock);
		return true;
	}
	case 17: {
		Attributes attributes(in, handle(in, Kind::General, nullptr));

		if (NT_SUCCESS(WdfWaitLockCreate(attributes.pointer, &wait)))
			add_handle(wait, Kind::WaitLock);
		return true;
	}
	case 18:
		WdfWaitLockAcquire(OF(WDFWAITLOCK, WaitLock), &now);
		return true;
	case 19:
		WdfWaitLockRelease(OF(WDFWAITLOCK, WaitLock));
		return true;
	case 20: {
		Attributes attributes(in, handle(in, Kind::General, nullptr));

		if (NT_SUCCESS(WdfCollectionCreate(attributes.pointer, &collection)))
			add_handle(collection, Kind::Collection);
		return true;
	}
	case 21:
		WdfCollectionAdd(OF(WDFCOLLECTION, Collection), handle(in, static_cast<Kind>(in.below(15)), nullptr));
		return true;
	case 22:
		WdfCollectionRemove(OF(WDFCOLLECTION, Collection),
				    handle(in, static_cast<Kind>(in.below(15)), nullptr));
		return true;
	case 23:
		WdfCollectionRemoveItem(OF(WDFCOLLECTION, Collection), in.below(4));
		return true;
	case 24:
		WdfCollectionGetItem(OF(WDFCOLLECTION, Collection), in.below(4));
		WdfCollectionGetCount(OF(WDFCOLLECTION, Collection));
		WdfCollectionGetLastItem(OF(WDFCOLLECTION, Collection));
		return true;
	case 25: {
		Attributes attributes(in, handle(in, Kind::General, nullptr));
		UNICODE_STRING text;

		RtlInitUnicodeString(&text, u"text");
		if (NT_SUCCESS(WdfStringCreate(in.flag() ? &text : nullptr, attributes.pointer, &string)))
			add_handle(string, Kind::String);
		return true;
	}
	case 26: {
		UNICODE_STRING text;

		WdfStringGetUnicodeString(OF(WDFSTRING, String), &text);
		return true;
	}
	case 27: {
		static const char16_t *const links[] = {u"\\DosDevices\\link", u"control", u"..",
							u"\\Device\\fuzzed0",  u"a/b\\",   u"foreign0"};
		UNICODE_STRING text;

		RtlInitUnicodeString(&text, links[in.below(std::size(links))]);
		WdfDeviceCreateSymbolicLink(ANY(WDFDEVICE, Device), &text);
		return true;
	}
	case 28:
		WdfFileObjectGetFlags(OF(WDFFILEOBJECT, File));
		WdfFileObjectGetInitiatorProcessId(OF(WDFFILEOBJECT, File));
		WdfFileObjectGetFileName(OF(WDFFILEOBJECT, File));
		add_handle(WdfFileObjectGetDevice(OF(WDFFILEOBJECT, File)), Kind::Device);
		return true;
	default:
		return false;
	}
}

// A call at DISPATCH_LEVEL, or with a lock: what it does there is its business, but it ends.
void KmdfMachine::locked_calls(Input &in, WDFOBJECT own)
{
	u32 how = in.below(3);
	WDFOBJECT of = how == 1 ? handle(in, Kind::SpinLock, nullptr) :
				  handle(in, in.flag() ? Kind::Queue : Kind::Device, nullptr);
	bool is_twice = in.byte() >= 224;
	KIRQL before = KeGetCurrentIrql();

	if (before != PASSIVE_LEVEL)
		return;
	if (how == 0)
		KeRaiseIrql(DISPATCH_LEVEL, &before);
	for (int i = 0; how && i <= is_twice; i++)
		how == 1 ? WdfSpinLockAcquire(static_cast<WDFSPINLOCK>(of)) : WdfObjectAcquireLock(of);
	call(in, own, false);
	for (int i = 0; how && i <= is_twice; i++)
		how == 1 ? WdfSpinLockRelease(static_cast<WDFSPINLOCK>(of)) : WdfObjectReleaseLock(of);
	if (how == 0)
		KeLowerIrql(before);
}

void KmdfMachine::call(Input &in, WDFOBJECT own, bool may_lock)
{
	u32 which = in.byte();

	if (may_lock && which >= 240)
		return locked_calls(in, own);
	switch (which % 8) {
	case 0:
	case 1:
	case 2:
		call_request(in, which / 8 % 23, own);
		break;
	case 3:
	case 4:
		call_queue(in, which / 8 % 15, own);
		break;
	case 5:
		call_send(in, which / 8 % 20, own);
		break;
	case 6:
		call_object(in, which / 8 % 29, own);
		break;
	case 7:
		// Those of the two larger topics that 32 numbers do not reach, and sends again.
		in.flag() ? call_send(in, in.below(20), own) : call_object(in, in.below(29), own);
		break;
	}
}

// What waits for others, on a thread of its own: they come when the machine ends, at the latest.
void KmdfMachine::waiting_call(Input &in, WDFOBJECT own)
{
	WDF_REQUEST_SEND_OPTIONS options;
	WDF_MEMORY_DESCRIPTOR memory;
	ULONG_PTR bytes;
	char buffer[32] = {};
	WDFREQUEST request;

	switch (in.below(16)) {
	case 0:
		return WdfIoQueueStopSynchronously(OF(WDFQUEUE, Queue));
	case 1:
		return WdfIoQueuePurgeSynchronously(OF(WDFQUEUE, Queue));
	case 2:
		return WdfIoQueueDrainSynchronously(OF(WDFQUEUE, Queue));
	case 3:
		return WdfIoQueueStopAndPurgeSynchronously(OF(WDFQUEUE, Queue));
	case 4:
		return WdfIoTargetStop(OF(WDFIOTARGET, Target), static_cast<WDF_IO_TARGET_SENT_IO_ACTION>(in.below(4)));
	case 5:
		return WdfIoTargetPurge(OF(WDFIOTARGET, Target),
					static_cast<WDF_IO_TARGET_PURGE_IO_ACTION>(in.below(3)));
	case 6:
		return WdfIoTargetClose(OF(WDFIOTARGET, Target));
	case 7:
		return WdfWorkItemFlush(OF(WDFWORKITEM, Work));
	case 8:
		WdfTimerStop(OF(WDFTIMER, Timer), TRUE);
		return;
	case 9:
		return WdfObjectDelete(handle(in, static_cast<Kind>(2 + in.below(13)), nullptr));
	case 10:
		WDF_REQUEST_SEND_OPTIONS_INIT(&options, WDF_REQUEST_SEND_OPTION_SYNCHRONOUS | (in.byte() & 4u));
		request = ANY(WDFREQUEST, OwnRequest);
		WdfRequestSend(request, ANY(WDFIOTARGET, Target), &options);
		return;
	case 11:
	case 12:
	case 13:
		WDF_MEMORY_DESCRIPTOR_INIT_BUFFER(&memory, buffer, in.below(33));
		if (in.byte() >= 192)
			WDF_MEMORY_DESCRIPTOR_INIT_HANDLE(&memory, ANY(WDFMEMORY, Memory), nullptr);
		if (in.byte() >= 240)
			memory.Type = static_cast<WDF_MEMORY_DESCRIPTOR_TYPE>(in.below(5));
		request = in.flag() ? ANY(WDFREQUEST, OwnRequest) : nullptr;
		in.flag() ? WdfIoTargetSendReadSynchronously(ANY(WDFIOTARGET, Target), request, &memory, nullptr,
							     nullptr, &bytes) :
			    WdfIoTargetSendIoctlSynchronously(ANY(WDFIOTARGET, Target), request, kBuffered, &memory,
							      in.flag() ? &memory : nullptr, nullptr, nullptr);
		return;
	default: {
		WDFWAITLOCK lock = ANY(WDFWAITLOCK, WaitLock);

		if (WdfWaitLockAcquire(lock, nullptr) == STATUS_SUCCESS)
			WdfWaitLockRelease(lock);
		return;
	}
	}
}

} // namespace fuzz
