// SPDX-License-Identifier: GPL-2.0-only
// What becomes of a request: marked, unmarked, cancelled, completed. Contracts: wdfrequest.h.
#include "request.hpp"

#include "core.hpp"
#include "memory.hpp"
#include "target.hpp"
#include "watchdog.hpp"
#include "shim/enforce.h"

namespace kmdf {

static constinit lock_class_key done_key = {};
static constinit lock_class_key handler_key = {};

Request::Request(Driver *driver) : Object(Type::Request, driver)
{
	done.init("kmdf_request", &done_key);
	handler_work.init(Queue::handler_function, this, "kmdf_handler", &handler_key);
}

void Request::release_parts()
{
	// May be vmalloc's, and this a softirq.
	if (buffer)
		shim_kvfree_rcu(buffer);
	file = Ref<File>();
	free_sending(*this);
}

// Of the request's lengths; out_data lies behind in_data unless the method is buffered. False: no memory.
static bool allocate_buffer(Request &request, unsigned int gfp)
{
	bool control = request.kind == WdfRequestTypeDeviceControl ||
		       request.kind == WdfRequestTypeDeviceControlInternal;
	bool shared = !control || (request.code & 3) == METHOD_BUFFERED;
	size_t in = (request.in_length + 15) & ~static_cast<size_t>(15);
	size_t longest = request.in_length > request.out_length ? request.in_length : request.out_length;
	size_t size = shared ? longest : in + request.out_length;

	// kvfree_rcu() takes two words of it.
	if (size < 16)
		size = 16;
	request.buffer = static_cast<u8 *>(at_dispatch() ? shim_kzalloc(size, gfp) : shim_kvzalloc(size, gfp));
	if (!request.buffer)
		return false;
	request.in_data = request.buffer;
	request.out_data = shared ? request.buffer : request.buffer + in;
	return true;
}

Ref<Request> make_incoming(Device &device, const Transfer &transfer, unsigned int gfp)
{
	Ref<Request> request = make<Request>(
		device.init.has_request_attributes ? &device.init.request_attributes : nullptr, gfp, device.driver);

	if (!request)
		return request;
	request->not_yet();
	{
		SpinGuard guard(core.lock);

		request->parent = &device;
	}
	request->device = &device;
	request->incoming = true;
	request->deletable = false;
	request->kind = transfer.kind;
	request->code = transfer.code;
	request->in_length = transfer.in_length;
	request->out_length = transfer.out_length;
	request->offset = transfer.offset;
	request->issued_ns = shim_ktime_get_ns();
	return allocate_buffer(*request, gfp) ? static_cast<Ref<Request> &&>(request) : Ref<Request>();
}

void Request::note_cancel_locked(Canceled by)
{
	if (canceled >= by)
		return;
	canceled = by;
	canceled_ns = shim_ktime_get_ns();
	watch_cancelled_locked();
}

bool Request::cancel_marked_locked()
{
	if (!state.take(State::Cancelable, State::Cancelled))
		return false;
	note_cancel_locked();
	get(); // OWNERSHIP: the list's, until EvtRequestCancel has returned
	queue->cancelled.push_back(*this);
	return true;
}

// What is left to do is done without the lock, by cancel_request().
static CancelOutcome cancel_locked(Request &request, Ref<Queue> &queue, bool &finish_it) KEXTBRIDGE_REQUIRES(core.lock)
{
	finish_it = false;
	if (request.state.is(State::Done))
		return CancelOutcome::TooLate;
	request.note_cancel_locked();
	queue = Ref<Queue>::retain(request.queue);
	if (request.state.is(State::Queued)) {
		if (queue->cancel_queued_locked(request))
			return CancelOutcome::Notified;
		finish_it = request.state.take(State::Queued, State::Done);
		return CancelOutcome::Finished;
	}
	if (request.cancel_marked_locked())
		return CancelOutcome::Notified;
	return request.state.is(State::Owned) ? CancelOutcome::Flagged : CancelOutcome::Notified;
}

CancelOutcome cancel_request(Request &request)
{
	Ref<Queue> queue;
	CancelOutcome outcome;
	bool finish_it;
	{
		SpinGuard guard(core.lock);

		outcome = cancel_locked(request, queue, finish_it);
	}
	// OWNERSHIP: Done: the reference that stands for its being alive is ours.
	if (finish_it)
		finish(Ref<Request>::adopt(&request), STATUS_CANCELLED, 0);
	else if (queue && outcome == CancelOutcome::Notified)
		queue->dispatch(Enter::Completion);
	if (outcome == CancelOutcome::Flagged)
		cancel_below(request);
	return outcome;
}

// What a driver says in WDF's own facility, a client is told in words that it knows.
static NTSTATUS client_status(NTSTATUS status)
{
	switch (static_cast<u32>(status)) {
	case static_cast<u32>(STATUS_WDF_PAUSED):
	case static_cast<u32>(STATUS_WDF_BUSY):
		return STATUS_DEVICE_BUSY;
	case static_cast<u32>(STATUS_WDF_INTERNAL_ERROR):
		return STATUS_INTERNAL_ERROR;
	case static_cast<u32>(STATUS_WDF_NOT_ENOUGH_MAP_REGISTERS):
		return STATUS_INSUFFICIENT_RESOURCES;
	default:
		// Facility 0x020 of any severity.
		return (static_cast<u32>(status) >> 16 & 0xfff) == 0x020 ? STATUS_INVALID_DEVICE_REQUEST : status;
	}
}

static void check_memory(Request &request)
{
	bool held = false;
	{
		SpinGuard guard(core.lock);

		held = (request.in_memory && request.in_memory->driver_refs) ||
		       (request.out_memory && request.out_memory->driver_refs);
	}
	if (held)
		report(Rule::MemoryReferenced, &request, "completed while the driver refers to its memory");
}

size_t Request::bytes_back() const
{
	bool is_error = static_cast<u32>(result) >> 30 == 3;

	if (is_error)
		return 0;
	return information < out_length ? information : out_length;
}

u64 Request::longest_information() const
{
	return kind == WdfRequestTypeWrite ? in_length : out_length;
}

void finish(Ref<Request> alive, NTSTATUS result, u64 information)
{
	Request &request = *alive.release(); // OWNERSHIP: doomed drops it, after all else
	Doomed doomed;
	Ref<Queue> queue;
	Ref<File> over;

	{
		SpinGuard guard(core.lock);

		request.deleting = true;
	}
	result = client_status(result);
	if (NT_SUCCESS(result) && information > request.longest_information()) {
		report(Rule::InformationTooLong, &request, "completed with %llu bytes of %llu", information,
		       request.longest_information());
		information = request.longest_information();
	}
	check_memory(request);
	forget_format(request); // nobody sends it any more
	request.result = result;
	request.information = information;
	doomed.dispose_of(request);
	{
		SpinGuard guard(core.lock);

		request.finished = true;
		request.file_node.unlink();
		if (request.file) {
			File &file = *request.file;

			file.pending--;
			file.last_status = result;
			file.last_information = information;
			if (file.take_end_locked())
				over = Ref<File>::retain(&file);
		}
		queue = Ref<Queue>::retain(request.queue);
		if (request.owned_node.linked())
			request.queue->leave_owned_locked(request);
	}
	request.done.wake_all();
	if (request.client)
		request.client->completed(request);
	if (queue)
		queue->dispatch(Enter::Completion);
	if (over)
		over->end_soon();
	if (request.device)
		request.device->left();
}

// ---- what a driver calls

static NTSTATUS mark(WDFREQUEST handle, PFN_WDF_REQUEST_CANCEL on_cancel, bool ex, const char *call, const void *caller)
{
	Ref<Request> request = find<Request>(handle, call, caller);
	Rule rule;
	bool sent;

	if (!request)
		return STATUS_INVALID_PARAMETER;
	if (!on_cancel) {
		report(Rule::NullParameter, request.get(), "%s without an EvtRequestCancel", call);
		return STATUS_INVALID_PARAMETER;
	}
	{
		SpinGuard guard(core.lock);

		sent = request->sent_locked();
		if (!request->queue && !sent && request->driver_has_locked())
			return STATUS_INVALID_DEVICE_REQUEST;
		// A purge takes what is marked while it runs.
		if (!sent && request->state.is(State::Owned) && request->queue->purging)
			request->note_cancel_locked();
		if (!sent && request->canceled && ex && request->state.is(State::Owned))
			return STATUS_CANCELLED;
		if (!sent && request->state.take(State::Owned, State::Cancelable)) {
			request->on_cancel = on_cancel;
			request->marked_at = caller;
			if (request->canceled && request->cancel_marked_locked())
				request->queue->hand_over_locked();
			return STATUS_SUCCESS;
		}
		rule = sent                         ? Rule::ReqMarkCancelableSend :
		       request->driver_has_locked() ? Rule::MarkCancOnCancReq :
						      Rule::InvalidReqAccess;
	}
	report(rule, request.get(), "%s of a request that %s", call,
	       sent                            ? "is sent" :
	       rule == Rule::MarkCancOnCancReq ? "is marked already" :
						 "the driver does not have");
	return STATUS_INVALID_DEVICE_REQUEST;
}

static void complete(WDFREQUEST handle, NTSTATUS status, const u64 *information, const char *call, const void *caller)
{
	Ref<Request> request = find<Request>(handle, call, caller);
	Rule rule = Rule::Rules;
	const char *what = nullptr;
	bool won = true;
	bool quiet = false;

	if (!request)
		return;
	if (status == STATUS_PENDING)
		report(Rule::StatusPending, request.get(), "%s with STATUS_PENDING, which is no end", call);
	{
		SpinGuard guard(core.lock);

		if (!request->incoming || request->sent_locked()) {
			rule = Rule::InvalidReqAccess;
			what = request->incoming ? "while it is sent" : "that the driver has created itself";
			won = false;
		} else if (request->state.take(State::Owned, State::Done) ||
			   request->state.take(State::Called, State::Done)) {
			// As it should be.
		} else if (request->state.take(State::Cancelable, State::Done)) {
			rule = Rule::CompleteCanceledReq;
			what = "without WdfRequestUnmarkCancelable";
		} else if (request->state.take(State::Cancelled, State::Done)) {
			// It stays on its queue's list: EvtRequestCancel is called all the same.
			request->early = true;
			rule = request->unmarked_in_vain == shim_current() ? Rule::ReqNotCanceled :
									     Rule::CompleteCanceledReq;
			what = "before its EvtRequestCancel, which will be called";
		} else {
			won = false;
			quiet = request->state.is(State::Done) && request->early;
			rule = request->state.is(State::Done) ? Rule::DoubleCompletion : Rule::NotInQueue;
			what = request->state.is(State::Done) ? "again" : "that is in a queue";
		}
		if (!information)
			information = &request->information;
	}
	if (what && !quiet)
		report(rule, request.get(), "completed %s, at %pS", what, caller);
	if (won)
		finish(Ref<Request>::adopt(request.get()), status, *information);
}

} // namespace kmdf

using namespace kmdf;

extern "C" VOID WdfRequestMarkCancelable(WDFREQUEST Request, PFN_WDF_REQUEST_CANCEL EvtRequestCancel)
{
	mark(Request, EvtRequestCancel, false, "WdfRequestMarkCancelable", __builtin_return_address(0));
}

extern "C" NTSTATUS WdfRequestMarkCancelableEx(WDFREQUEST Request, PFN_WDF_REQUEST_CANCEL EvtRequestCancel)
{
	return mark(Request, EvtRequestCancel, true, "WdfRequestMarkCancelableEx", __builtin_return_address(0));
}

extern "C" NTSTATUS WdfRequestUnmarkCancelable(WDFREQUEST Request)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestUnmarkCancelable");

	if (!request)
		return STATUS_INVALID_DEVICE_REQUEST;
	{
		SpinGuard guard(core.lock);

		if (request->state.take(State::Cancelable, State::Owned)) {
			request->on_cancel = nullptr;
			request->marked_at = nullptr;
			return STATUS_SUCCESS;
		}
		// Also when it is completed since: its EvtRequestCancel was called, so the caller has lost.
		if (request->state.is(State::Cancelled) || request->called) {
			request->unmarked_in_vain = shim_current();
			return STATUS_CANCELLED;
		}
	}
	report(Rule::UnmarkNotCancelable, request.get(), "unmarked, but it is not marked, at %pS",
	       __builtin_return_address(0));
	return STATUS_INVALID_DEVICE_REQUEST;
}

extern "C" BOOLEAN WdfRequestIsCanceled(WDFREQUEST Request)
{
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfRequestIsCanceled");
	bool marked;

	if (!request)
		return FALSE;
	{
		SpinGuard guard(core.lock);

		if (request->state.is(State::Owned) || request->state.is(State::Called))
			return request->canceled != kmdf::Request::kNotCanceled;
		marked = request->driver_has_locked();
	}
	report(marked ? Rule::ReqIsCancOnCancReq : Rule::InvalidReqAccess, request.get(),
	       "WdfRequestIsCanceled of a request that %s",
	       marked ? "is marked cancelable" : "the driver does not have");
	return FALSE;
}

extern "C" VOID WdfRequestComplete(WDFREQUEST Request, NTSTATUS Status)
{
	complete(Request, Status, nullptr, "WdfRequestComplete", __builtin_return_address(0));
}

extern "C" VOID WdfRequestCompleteWithPriorityBoost(WDFREQUEST Request, NTSTATUS Status, CCHAR)
{
	complete(Request, Status, nullptr, "WdfRequestCompleteWithPriorityBoost", __builtin_return_address(0));
}

extern "C" VOID WdfRequestCompleteWithInformation(WDFREQUEST Request, NTSTATUS Status, ULONG_PTR Information)
{
	u64 information = Information;

	complete(Request, Status, &information, "WdfRequestCompleteWithInformation", __builtin_return_address(0));
}
