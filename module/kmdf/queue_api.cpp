// SPDX-License-Identifier: GPL-2.0-only
// What a driver does with its queues. Contracts: wdfio.h, and of forward and requeue wdfrequest.h.
#include "core.hpp"
#include "shim/enforce.h"

namespace kmdf {

static WDFREQUEST handle_of(Request &request)
{
	return static_cast<WDFREQUEST>(request.handle());
}

static NTSTATUS check_config(const WDF_IO_QUEUE_CONFIG &config)
{
	bool handlers = config.EvtIoDefault || config.EvtIoRead || config.EvtIoWrite || config.EvtIoDeviceControl ||
			config.EvtIoInternalDeviceControl;

	if (config.Size != sizeof(config))
		return STATUS_INFO_LENGTH_MISMATCH;
	if (number_of(config.PowerManaged) > WdfUseDefault)
		return STATUS_INVALID_PARAMETER;
	switch (number_of(config.DispatchType)) {
	case WdfIoQueueDispatchSequential:
	case WdfIoQueueDispatchParallel:
		if (!handlers)
			return STATUS_WDF_NO_CALLBACK;
		break;
	case WdfIoQueueDispatchManual:
		if (handlers)
			return STATUS_INVALID_PARAMETER;
		break;
	default:
		return STATUS_INVALID_PARAMETER;
	}
	// Zero of a parallel queue would present nothing, ever.
	bool parallel = config.DispatchType == WdfIoQueueDispatchParallel;

	return parallel == (config.Settings.Parallel.NumberOfPresentedRequests != 0) ? STATUS_SUCCESS :
										       STATUS_INVALID_PARAMETER;
}

// The queue's own level and scope, or those of its device.
static NTSTATUS init_synchronization(Queue &queue, const WDF_OBJECT_ATTRIBUTES *attributes)
{
	Device &device = *queue.device;
	WDF_EXECUTION_LEVEL level = attributes ? attributes->ExecutionLevel : WdfExecutionLevelInheritFromParent;
	WDF_SYNCHRONIZATION_SCOPE scope = attributes ? attributes->SynchronizationScope :
						       WdfSynchronizationScopeInheritFromParent;

	queue.passive = level == WdfExecutionLevelInheritFromParent ? device.passive :
								      level == WdfExecutionLevelPassive;
	queue.own_lock.init("WDFQUEUE", queue.passive);
	if (scope == WdfSynchronizationScopeInheritFromParent)
		scope = device.scope;
	if (scope == WdfSynchronizationScopeDevice) {
		if (queue.passive != device.passive)
			return STATUS_INVALID_PARAMETER;
		queue.synchronized = &device.presentation;
	} else if (scope == WdfSynchronizationScopeQueue) {
		queue.synchronized = &queue.own_lock;
	}
	return STATUS_SUCCESS;
}

static NTSTATUS create(Device &device, const WDF_IO_QUEUE_CONFIG &config, const WDF_OBJECT_ATTRIBUTES *attributes,
		       WDFQUEUE *out)
{
	NTSTATUS status = check_config(config);

	if (NT_SUCCESS(status))
		status = check_attributes(attributes);
	if (!NT_SUCCESS(status))
		return status;
	if (!out && !config.DefaultQueue)
		return STATUS_INVALID_PARAMETER_4;
	Ref<Queue> queue = make<Queue>(attributes, gfp_here(), device.driver, &device, config);

	if (!queue)
		return STATUS_INSUFFICIENT_RESOURCES;
	Queue &made = *queue;

	made.power_managed = config.PowerManaged == WdfUseDefault ?
				     !device.init.control :
				     config.PowerManaged == WdfTrue && !device.init.control;
	status = init_synchronization(made, attributes);
	if (!NT_SUCCESS(status)) {
		queue.release()->discard();
		return status;
	}
	{
		SpinGuard guard(core.lock);

		made.id = core.next_id++;
		if (config.DefaultQueue) {
			if (device.default_queue)
				status = STATUS_UNSUCCESSFUL;
			else if (device.pnp != Pnp::Adding)
				status = STATUS_INVALID_DEVICE_STATE;
			else
				device.default_queue = &made;
			made.deletable = false;
		}
		// Created while the device is not in D0: it is started with it.
		if (made.power_managed && !device.in_d0)
			made.power = Power::Off;
	}
	if (!NT_SUCCESS(status)) {
		queue.release()->discard();
		return status;
	}
	Ref<Queue> held = Ref<Queue>::retain(&made);

	status = hand_out(static_cast<Ref<Queue> &&>(queue), device, out);
	if (!NT_SUCCESS(status))
		device.forget_queue(made);
	return status;
}

// ---- retrieving

// Null, and why not. What needs no driver is completed on the way.
static Ref<Request> retrieve(Queue &queue, const File *file, Request *wanted, NTSTATUS *status)
{
	for (;;) {
		Ref<Request> request;
		{
			SpinGuard guard(core.lock);

			if (!queue.dispatches || queue.power != Power::On) {
				*status = STATUS_WDF_PAUSED;
				return Ref<Request>();
			}
			for (Request *r = queue.queued.front(); r && !request; r = queue.queued.next(*r)) {
				if ((!file || r->file.get() == file) && (!wanted || r == wanted))
					request = Ref<Request>::retain(r);
			}
			if (!request) {
				*status = wanted ? STATUS_NOT_FOUND : STATUS_NO_MORE_ENTRIES;
				return Ref<Request>();
			}
			queue.present_locked(*request);
		}
		if (!queue.trivial(*request)) {
			*status = STATUS_SUCCESS;
			return request;
		}
		queue.end_presented(*request, STATUS_SUCCESS);
	}
}

static NTSTATUS retrieve_for(WDFQUEUE handle, const File *file, Request *wanted, WDFREQUEST *out, const char *call,
			     const void *caller)
{
	Ref<Queue> queue = find<Queue>(handle, call, caller);
	NTSTATUS status;

	*out = nullptr;
	if (!queue)
		return STATUS_INVALID_PARAMETER;
	if (queue->config.DispatchType == WdfIoQueueDispatchParallel)
		return STATUS_INVALID_DEVICE_STATE;
	Ref<Request> request = retrieve(*queue, file, wanted, &status);

	if (request)
		*out = handle_of(*request);
	return status;
}

static bool matches_locked(const Request &request, const File *file, const WDF_REQUEST_PARAMETERS *parameters)
	KEXTBRIDGE_REQUIRES(core.lock)
{
	if (file && request.file.get() != file)
		return false;
	return !parameters || (number_of(parameters->Type) == static_cast<u32>(request.kind) &&
			       (request.kind != WdfRequestTypeDeviceControl ||
				parameters->Parameters.DeviceIoControl.IoControlCode == request.code));
}

// ---- start, stop, purge, drain

enum class Wait : u8 { Callback, Here };

struct Change {
	bool accept;   // go on to accept
	bool dispatch; // to dispatch
	bool cancel;   // what is there
	bool whole;    // the end is an empty queue, not only nothing with the driver
};

constexpr Change kStop = {true, false, false, false};
constexpr Change kStopAndPurge = {true, false, true, false};
constexpr Change kPurge = {false, true, true, true};
constexpr Change kDrain = {false, true, false, true};

// Of one that waits for it itself: the callbacks have returned, too.
static bool drained_and_left(Queue &queue) KEXTBRIDGE_REQUIRES(core.lock)
{
	return queue.drained_locked() && !queue.inside;
}

static bool stopped_and_left(Queue &queue) KEXTBRIDGE_REQUIRES(core.lock)
{
	return !queue.owned_count && !queue.inside;
}

static void change(WDFQUEUE handle, const Change &change, Wait wait, PFN_WDF_IO_QUEUE_STATE function,
		   WDFCONTEXT context, const char *call, const void *caller)
{
	Ref<Queue> queue = find<Queue>(handle, call, caller);
	bool here = wait == Wait::Here;
	bool occupied = false;
	bool own = false;

	if (!queue)
		return;
	if (here && at_dispatch())
		return report(Rule::KmdfIrql, queue.get(), "%s above PASSIVE_LEVEL, at %pS", call, caller);
	StateCallback &slot = change.whole ? queue->purged : queue->stopped;
	{
		SpinGuard guard(core.lock);

		own = here && in_callback_locked(*queue);
		occupied = (function || here) && slot.taken();
		if (!own && !occupied) {
			if (!change.accept)
				queue->accepts = false;
			if (!change.dispatch)
				queue->dispatches = false;
			if (change.cancel)
				queue->purging = true;
			// Without somebody to tell, what is pending stays as it is.
			if (function || here) {
				slot.function = function;
				slot.context = context;
				slot.waited_for = here;
				slot.purges = false;
			}
			slot.purges |= change.cancel;
		}
	}
	if (own)
		return report(Rule::WaitOnSelf, queue.get(), "%s in a callback of the queue would never return, at %pS",
			      call, caller);
	if (occupied)
		return report(Rule::StateCallback, queue.get(), "%s while another one is under way, at %pS", call,
			      caller);
	if (change.cancel)
		queue->cancel_all();
	if (!here)
		return queue->dispatch(Enter::Event);
	queue->wait_for(change.whole ? drained_and_left : stopped_and_left, call);
	SpinGuard guard(core.lock);

	queue->purging &= !slot.purges;
	slot = {};
}

// ---- from one queue to another

// Owned -> Queued of `to`; false: the driver keeps it, *status says why.
static bool move(Request &request, Queue &to, bool at_head, Ref<Queue> &from, bool &end, NTSTATUS *status)
	KEXTBRIDGE_EXCLUDES(core.lock)
{
	SpinGuard guard(core.lock);

	*status = STATUS_INVALID_DEVICE_REQUEST;
	if (!request.incoming || request.sent_locked() || !request.state.is(State::Owned))
		return false;
	// Of those that come from no queue, an open may be put into one (EvtDeviceFileCreate).
	if (!request.queue && request.kind != WdfRequestTypeCreate)
		return false;
	if (at_head ? request.queue != &to : request.queue == &to || request.device != to.device)
		return false;
	if (!at_head && (!to.accepts || to.deleting)) {
		*status = STATUS_WDF_BUSY;
		return false;
	}
	*status = STATUS_SUCCESS;
	from = Ref<Queue>::retain(request.queue);
	// Cancelled before: it is finished on the way, unless the queue tells the driver of such, which an open is not that comes
	// from EvtDeviceFileCreate.
	end = (request.canceled || (at_head && to.purging)) && !(to.config.EvtIoCanceledOnQueue && request.presented);
	if (end)
		return request.state.take(State::Owned, State::Done);
	bool canceled = request.canceled;

	if (!request.state.take(State::Owned, State::Queued))
		return false;
	if (request.queue)
		request.queue->leave_owned_locked(request);
	to.put_in_locked(request, at_head);
	if (canceled)
		to.cancel_queued_locked(request);
	return true;
}

// What the driver must not do to it now.
static void report_unmovable(Request &request, const char *call, const void *caller)
{
	Rule rule = Rule::Rules;
	const char *what = nullptr;
	{
		SpinGuard guard(core.lock);

		if (request.sent_locked()) {
			rule = Rule::InvalidReqAccess;
			what = "while it is sent";
		} else if (request.state.is(State::Done) || request.state.is(State::Queued)) {
			rule = Rule::InvalidReqAccess;
			what = "that the driver does not have";
		} else if (!request.state.is(State::Owned)) {
			rule = Rule::ReqMarkCancelableSend;
			what = "while it is marked cancelable, or its cancel is under way";
		}
	}
	if (what)
		report(rule, &request, "%s of a request %s, at %pS", call, what, caller);
}

static NTSTATUS pass(Request &request, Queue &to, bool at_head, const char *call, const void *caller)
{
	Ref<Queue> from;
	bool end = false;
	NTSTATUS status;

	if (!move(request, to, at_head, from, end, &status)) {
		report_unmovable(request, call, caller);
		return status;
	}
	if (end) {
		finish(Ref<Request>::adopt(&request), STATUS_CANCELLED, 0);
	} else {
		to.dispatch(Enter::Event);
		if (from && from.get() != &to)
			from->dispatch(Enter::Completion);
	}
	return status;
}

} // namespace kmdf

using namespace kmdf;

extern "C" NTSTATUS WdfIoQueueCreate(WDFDEVICE Device, PWDF_IO_QUEUE_CONFIG Config,
				     PWDF_OBJECT_ATTRIBUTES QueueAttributes, WDFQUEUE *Queue)
{
	Ref<kmdf::Device> device = find<kmdf::Device>(Device, "WdfIoQueueCreate");

	return device && Config ? create(*device, *Config, QueueAttributes, Queue) : STATUS_INVALID_PARAMETER;
}

extern "C" WDF_IO_QUEUE_STATE WdfIoQueueGetState(WDFQUEUE Queue, PULONG QueueRequests, PULONG DriverRequests)
{
	Ref<kmdf::Queue> queue = find<kmdf::Queue>(Queue, "WdfIoQueueGetState");

	if (!queue)
		return static_cast<WDF_IO_QUEUE_STATE>(0);
	SpinGuard guard(core.lock);

	if (QueueRequests)
		*QueueRequests = queue->queued_count;
	if (DriverRequests)
		*DriverRequests = queue->owned_count;
	return queue->bits_locked();
}

extern "C" WDFDEVICE WdfIoQueueGetDevice(WDFQUEUE Queue)
{
	Ref<kmdf::Queue> queue = find<kmdf::Queue>(Queue, "WdfIoQueueGetDevice");

	return queue ? static_cast<WDFDEVICE>(queue->device->handle()) : nullptr;
}

extern "C" VOID WdfIoQueueStart(WDFQUEUE Queue)
{
	Ref<kmdf::Queue> queue = find<kmdf::Queue>(Queue, "WdfIoQueueStart");

	if (!queue)
		return;
	{
		SpinGuard guard(core.lock);

		queue->accepts = queue->dispatches = true;
		queue->purging = false;
	}
	queue->dispatch(Enter::Event);
}

extern "C" VOID WdfIoQueueStop(WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE StopComplete, WDFCONTEXT Context)
{
	change(Queue, kStop, Wait::Callback, StopComplete, Context, "WdfIoQueueStop", __builtin_return_address(0));
}

extern "C" VOID WdfIoQueueStopSynchronously(WDFQUEUE Queue)
{
	change(Queue, kStop, Wait::Here, nullptr, nullptr, "WdfIoQueueStopSynchronously", __builtin_return_address(0));
}

extern "C" VOID WdfIoQueueStopAndPurge(WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE StopAndPurgeComplete, WDFCONTEXT Context)
{
	change(Queue, kStopAndPurge, Wait::Callback, StopAndPurgeComplete, Context, "WdfIoQueueStopAndPurge",
	       __builtin_return_address(0));
}

extern "C" VOID WdfIoQueueStopAndPurgeSynchronously(WDFQUEUE Queue)
{
	change(Queue, kStopAndPurge, Wait::Here, nullptr, nullptr, "WdfIoQueueStopAndPurgeSynchronously",
	       __builtin_return_address(0));
}

extern "C" VOID WdfIoQueuePurge(WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE PurgeComplete, WDFCONTEXT Context)
{
	change(Queue, kPurge, Wait::Callback, PurgeComplete, Context, "WdfIoQueuePurge", __builtin_return_address(0));
}

extern "C" VOID WdfIoQueuePurgeSynchronously(WDFQUEUE Queue)
{
	change(Queue, kPurge, Wait::Here, nullptr, nullptr, "WdfIoQueuePurgeSynchronously",
	       __builtin_return_address(0));
}

extern "C" VOID WdfIoQueueDrain(WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE DrainComplete, WDFCONTEXT Context)
{
	change(Queue, kDrain, Wait::Callback, DrainComplete, Context, "WdfIoQueueDrain", __builtin_return_address(0));
}

extern "C" VOID WdfIoQueueDrainSynchronously(WDFQUEUE Queue)
{
	change(Queue, kDrain, Wait::Here, nullptr, nullptr, "WdfIoQueueDrainSynchronously",
	       __builtin_return_address(0));
}

extern "C" NTSTATUS WdfIoQueueRetrieveNextRequest(WDFQUEUE Queue, WDFREQUEST *OutRequest)
{
	return retrieve_for(Queue, nullptr, nullptr, OutRequest, "WdfIoQueueRetrieveNextRequest",
			    __builtin_return_address(0));
}

extern "C" NTSTATUS WdfIoQueueRetrieveRequestByFileObject(WDFQUEUE Queue, WDFFILEOBJECT FileObject,
							  WDFREQUEST *OutRequest)
{
	Ref<File> file = find<File>(FileObject, "WdfIoQueueRetrieveRequestByFileObject");

	if (!file)
		return STATUS_INVALID_PARAMETER;
	return retrieve_for(Queue, file.get(), nullptr, OutRequest, "WdfIoQueueRetrieveRequestByFileObject",
			    __builtin_return_address(0));
}

extern "C" NTSTATUS WdfIoQueueRetrieveFoundRequest(WDFQUEUE Queue, WDFREQUEST FoundRequest, WDFREQUEST *OutRequest)
{
	Ref<Request> found = find<Request>(FoundRequest, "WdfIoQueueRetrieveFoundRequest");

	if (!found)
		return STATUS_INVALID_PARAMETER;
	return retrieve_for(Queue, nullptr, found.get(), OutRequest, "WdfIoQueueRetrieveFoundRequest",
			    __builtin_return_address(0));
}

extern "C" NTSTATUS WdfIoQueueFindRequest(WDFQUEUE Queue, WDFREQUEST FoundRequest, WDFFILEOBJECT FileObject,
					  PWDF_REQUEST_PARAMETERS Parameters, WDFREQUEST *OutRequest)
{
	Ref<kmdf::Queue> queue = find<kmdf::Queue>(Queue, "WdfIoQueueFindRequest");
	Ref<File> file;
	Ref<Request> after;
	Ref<Request> request;

	*OutRequest = nullptr;
	if (!queue)
		return STATUS_INVALID_PARAMETER;
	if (queue->config.DispatchType != WdfIoQueueDispatchManual)
		return STATUS_INVALID_DEVICE_STATE;
	if (FileObject && !(file = find<File>(FileObject, "WdfIoQueueFindRequest")))
		return STATUS_INVALID_PARAMETER;
	if (FoundRequest && !(after = find<Request>(FoundRequest, "WdfIoQueueFindRequest")))
		return STATUS_INVALID_PARAMETER;
	SpinGuard guard(core.lock);

	if (!queue->dispatches || queue->power != Power::On)
		return STATUS_WDF_PAUSED;
	if (after && !(after->state.is(State::Queued) && after->queue == queue.get()))
		return STATUS_NOT_FOUND;
	Request *r = after ? queue->queued.next(*after) : queue->queued.front();

	while (r && !matches_locked(*r, file.get(), Parameters))
		r = queue->queued.next(*r);
	if (!r)
		return STATUS_NO_MORE_ENTRIES;
	r->get(); // OWNERSHIP: the driver's, until WdfObjectDereference()
	r->driver_refs++;
	*OutRequest = handle_of(*r);
	return STATUS_SUCCESS;
}

extern "C" NTSTATUS WdfIoQueueReadyNotify(WDFQUEUE Queue, PFN_WDF_IO_QUEUE_STATE QueueReady, WDFCONTEXT Context)
{
	Ref<kmdf::Queue> queue = find<kmdf::Queue>(Queue, "WdfIoQueueReadyNotify");

	if (!queue)
		return STATUS_INVALID_PARAMETER;
	if (queue->config.DispatchType != WdfIoQueueDispatchManual)
		return STATUS_INVALID_DEVICE_REQUEST;
	{
		SpinGuard guard(core.lock);

		// Taken back only where it cannot be called meanwhile; and there is one.
		if (QueueReady ? queue->ready != nullptr : queue->dispatches)
			return STATUS_INVALID_DEVICE_REQUEST;
		queue->ready = QueueReady;
		queue->ready_context = Context;
		queue->ready_due = QueueReady && queue->queued_count;
	}
	queue->dispatch(Enter::Event);
	return STATUS_SUCCESS;
}

extern "C" NTSTATUS WdfIoQueueAssignForwardProgressPolicy(WDFQUEUE, PWDF_IO_QUEUE_FORWARD_PROGRESS_POLICY)
{
	return STATUS_NOT_SUPPORTED; // memory for requests is the kernel's
}

extern "C" NTSTATUS WdfRequestForwardToIoQueue(WDFREQUEST Request, WDFQUEUE DestinationQueue)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestForwardToIoQueue");
	Ref<Queue> to = find<Queue>(DestinationQueue, "WdfRequestForwardToIoQueue");

	return request && to ? pass(*request, *to, false, "WdfRequestForwardToIoQueue", __builtin_return_address(0)) :
			       STATUS_INVALID_DEVICE_REQUEST;
}

extern "C" NTSTATUS WdfRequestRequeue(WDFREQUEST Request)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestRequeue");
	Ref<Queue> to;

	if (!request)
		return STATUS_INVALID_DEVICE_REQUEST;
	{
		SpinGuard guard(core.lock);

		to = Ref<Queue>::retain(request->queue);
	}
	if (!to)
		report_unmovable(*request, "WdfRequestRequeue", __builtin_return_address(0));
	if (!to || to->config.DispatchType != WdfIoQueueDispatchManual)
		return STATUS_INVALID_DEVICE_REQUEST;
	return pass(*request, *to, true, "WdfRequestRequeue", __builtin_return_address(0));
}

extern "C" WDFQUEUE WdfRequestGetIoQueue(WDFREQUEST Request)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestGetIoQueue");

	if (!request)
		return nullptr;
	SpinGuard guard(core.lock);

	return request->queue ? static_cast<WDFQUEUE>(request->queue->handle()) : nullptr;
}

// It does not call the dispatcher: EvtIoStop, in which it is called, looks when it has returned.
extern "C" VOID WdfRequestStopAcknowledge(WDFREQUEST Request, BOOLEAN Requeue)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestStopAcknowledge");
	const char *wrong = nullptr;

	if (!request)
		return;
	{
		SpinGuard guard(core.lock);
		Frame *frame = stop_frame_locked(*request);

		if (!frame) {
			wrong = "acknowledged outside its EvtIoStop";
		} else if (Requeue && request->sent_locked()) {
			wrong = "given back while it is sent";
		} else if (Requeue && !request->state.is(State::Owned)) {
			wrong = "given back while it is marked cancelable";
		} else {
			frame->acted = true;
			request->ack = Requeue ? StopAck::Requeue : StopAck::Keep;
		}
	}
	if (wrong)
		report(Rule::StopAckOutsideStop, request.get(), "%s", wrong);
}
