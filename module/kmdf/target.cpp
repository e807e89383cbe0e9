// SPDX-License-Identifier: GPL-2.0-only
// Requests that are sent, and come back. The calls about targets themselves are in target_api.cpp.
#include "target.hpp"

#include "core.hpp"
#include "memory.hpp"
#include "shim/enforce.h"

namespace kmdf {

static constinit lock_class_key send_timer_key = {};
static constinit lock_class_key back_key = {};
static constinit lock_class_key target_key = {};

Sending::Sending(Request *request) : request(request)
{
	shim_timer_setup(&timer, kmdf_send_timer_c, "kmdf_send", &send_timer_key);
	back.init("kmdf_send", &back_key);
}

Target::Target(Driver *driver, Device *owner) : Object(Type::Target, driver), owner(owner)
{
	passive_dispose = true;
	requests.init();
	idle.init("kmdf_target", &target_key);
}

bool Request::sent_locked() const
{
	return sending && !sending->state.is(SendState::Idle);
}

Sending *sending_of(Request &request)
{
	{
		SpinGuard guard(core.lock);

		if (request.sending)
			return request.sending;
	}
	void *memory = shim_kzalloc(sizeof(Sending), gfp_here());

	if (!memory)
		return nullptr;
	Sending *made = new (Placement{memory}) Sending(&request);
	{
		SpinGuard guard(core.lock);

		if (!request.sending) {
			request.sending = made;
			return made;
		}
	}
	shim_kfree(memory);
	return sending_there(request);
}

Sending *sending_there(Request &request)
{
	SpinGuard guard(core.lock);

	return request.sending;
}

// Not while it is sent. Memory of the request itself refers to the request.
void forget_format(Request &request)
{
	Sending *sending = sending_there(request);

	if (!sending)
		return;
	sending->format = Format::None;
	sending->in.memory = Ref<Object>();
	sending->out.memory = Ref<Object>();
}

// Nobody sees it any more, and it is Idle: what was sent holds a reference to the request.
void free_sending(Request &request)
{
	forget_format(request);
	if (Sending *sending = sending_there(request))
		shim_kvfree_rcu(sending);
}

// ---- the end

static WDFMEMORY memory_of(const Part &part, size_t *offset)
{
	Memory *memory = static_cast<Memory *>(part.memory.get());

	*offset = memory ? part.data - static_cast<u8 *>(memory->buffer) : 0;
	return memory ? static_cast<WDFMEMORY>(memory->handle()) : nullptr;
}

void completion_params(const Sending &sending, WDF_REQUEST_COMPLETION_PARAMS *params)
{
	auto &told = params->Parameters;

	params->Type = sending.kind;
	params->IoStatus.Status = sending.status;
	params->IoStatus.Information = sending.information;
	switch (sending.kind) {
	case WdfRequestTypeRead:
		told.Read.Buffer = memory_of(sending.out, &told.Read.Offset);
		told.Read.Length = sending.information;
		break;
	case WdfRequestTypeWrite:
		told.Write.Buffer = memory_of(sending.in, &told.Write.Offset);
		told.Write.Length = sending.information;
		break;
	case WdfRequestTypeDeviceControl:
	case WdfRequestTypeDeviceControlInternal:
		told.Ioctl.IoControlCode = sending.code;
		told.Ioctl.Input.Buffer = memory_of(sending.in, &told.Ioctl.Input.Offset);
		told.Ioctl.Output.Buffer = memory_of(sending.out, &told.Ioctl.Output.Offset);
		told.Ioctl.Output.Length = sending.information;
		break;
	default:
		break;
	}
}

// It is back: the driver has it again, or nobody if it was to be forgotten.
static void come_back(Sending &sending) KEXTBRIDGE_EXCLUDES(core.lock)
{
	Request &request = *sending.request;
	PFN_WDF_REQUEST_COMPLETION_ROUTINE routine = sending.on_completion;
	WDFCONTEXT context = sending.context;
	bool forget = sending.forget;
	Ref<Target> target;
	Ref<Request> lower;
	Ref<Request> held = Ref<Request>::adopt(&request); // the send's
	WDF_REQUEST_COMPLETION_PARAMS params;
	bool end = false;

	sending.on_completion = nullptr;
	sending.context = nullptr;
	WDF_REQUEST_COMPLETION_PARAMS_INIT(&params);
	{
		SpinGuard guard(core.lock);

		if (sending.timed_out && sending.status == STATUS_CANCELLED)
			sending.status = STATUS_IO_TIMEOUT;
		request.result = sending.status;
		// As an IRP brings it up: a driver that completes with the status alone passes it on.
		request.information = sending.information;
		completion_params(sending, &params);
		target = static_cast<Ref<Target> &&>(sending.target);
		lower = static_cast<Ref<Request> &&>(sending.lower);
		sending.node.unlink();
		if (forget)
			end = request.state.take(State::Owned, State::Done);
		if (!sending.state.take(SendState::Ending, SendState::Idle))
			return; // cannot be: the last share is ours
	}
	if (target)
		target->idle.wake_all();
	if (end)
		finish(Ref<Request>::adopt(&request), params.IoStatus.Status, params.IoStatus.Information);
	else if (sending.waited_for)
		sending.back.wake_all();
	else if (routine && !forget) {
		CallbackGuard check("completion routine", &request);

		routine(static_cast<WDFREQUEST>(request.handle()), static_cast<WDFIOTARGET>(target->handle()), &params,
			context);
	}
}

static void drop_share(Sending &sending) KEXTBRIDGE_EXCLUDES(core.lock)
{
	bool last;
	{
		SpinGuard guard(core.lock);

		last = --sending.shares == 0;
	}
	if (last)
		come_back(sending);
}

// The lower request is completed. The timer's share goes with it, unless the timer runs and drops its own.
void Sending::completed(Request &from)
{
	size_t bytes = from.bytes_back();

	if (bytes && out.data)
		__builtin_memcpy(out.data, from.out_data, bytes);
	{
		SpinGuard guard(core.lock);

		status = from.result;
		information = from.information;
		if (!state.take(SendState::Sent, SendState::Ending))
			return; // cannot be: it completes once
	}
	if (shim_del_timer(&timer))
		drop_share(*this);
	drop_share(*this);
}

bool cancel_sending(Sending &sending, NTSTATUS waiting_status)
{
	Ref<Request> held = Ref<Request>::retain(sending.request);
	Ref<Request> lower;
	bool ended;
	{
		SpinGuard guard(core.lock);

		ended = sending.state.take(SendState::Waiting, SendState::Ending);
		if (ended) {
			sending.status = waiting_status;
			sending.information = 0;
		} else if (sending.state.is(SendState::Sent)) {
			lower = Ref<Request>::retain(sending.lower.get());
			sending.shares++;
		}
	}
	if (ended) {
		if (shim_del_timer(&sending.timer))
			drop_share(sending);
		drop_share(sending);
		return true;
	}
	if (!lower)
		return false;
	CancelOutcome outcome = cancel_request(*lower);

	drop_share(sending);
	return outcome == CancelOutcome::Finished || outcome == CancelOutcome::Notified;
}

void cancel_below(Request &request)
{
	if (Sending *sending = sending_there(request))
		cancel_sending(*sending, STATUS_CANCELLED);
}

// Softirq: its timeout.
static void send_timer(timer_list *timer)
{
	Sending &sending = *kextbridge::container_of<&Sending::timer>(timer);
	{
		SpinGuard guard(core.lock);

		sending.timed_out = true;
	}
	cancel_sending(sending, STATUS_WDF_IO_TIMEOUT_NOT_SENT);
	drop_share(sending); // the timer's own
}

// ---- the beginning

// What the target's device gets. Null: no memory.
static Ref<Request> make_lower(Device &device, Sending &sending)
{
	Ref<Request> lower = make_incoming(device,
					   {.kind = sending.kind,
					    .code = sending.code,
					    .in_length = sending.in.size,
					    .out_length = sending.out.size,
					    .offset = sending.offset},
					   gfp_here());

	if (!lower)
		return lower;
	lower->client = &sending;
	if (sending.in.size)
		__builtin_memcpy(lower->in_data, sending.in.data, sending.in.size);
	return lower;
}

// To the device below. The share of its completion is used up, at once or later.
static void pass_down(Request &lower, Device &to) KEXTBRIDGE_EXCLUDES(core.lock)
{
	lower.get(); // OWNERSHIP: the one that finish() takes
	to.submit(lower);
}

// The driver does not have it any more, so that its queue may present the next one; nobody waits for it but its client.
static Ref<Queue> lose_locked(Request &request) KEXTBRIDGE_REQUIRES(core.lock)
{
	Ref<Queue> queue = Ref<Queue>::retain(request.queue);

	if (Frame *frame = stop_frame_locked(request))
		frame->acted = true;
	if (queue)
		queue->leave_owned_locked(request);
	request.queue = nullptr;
	return queue;
}

NTSTATUS start_sending(Sending &sending, Target &target, u64 timeout_ns)
{
	Request &request = *sending.request;
	Ref<Device> to;
	Ref<Request> lower;
	Ref<Queue> queue;
	bool ignore_state = sending.ignore_target_state;
	bool waits;
	{
		SpinGuard guard(core.lock);

		to = Ref<Device>::retain(target.to.get());
	}
	if (!to)
		return STATUS_INVALID_DEVICE_STATE;
	lower = make_lower(*to, sending);
	if (!lower)
		return STATUS_INSUFFICIENT_RESOURCES;
	{
		SpinGuard guard(core.lock);
		WDF_IO_TARGET_STATE state = target.state;

		if (request.canceled)
			return STATUS_CANCELLED;
		// Another thread of its driver has done something else with it.
		if (request.incoming && !request.state.is(State::Owned))
			return STATUS_INVALID_DEVICE_REQUEST;
		// Closed meanwhile, and perhaps opened anew: of the device that was there nobody holds the module any more.
		if (state == WdfIoTargetClosed || target.to.get() != to.get())
			return STATUS_INVALID_DEVICE_STATE;
		if (state != WdfIoTargetStarted && state != WdfIoTargetStopped && !ignore_state)
			return STATUS_INVALID_DEVICE_STATE;
		waits = state == WdfIoTargetStopped && !ignore_state;
		if (!sending.state.take(SendState::Idle, waits ? SendState::Waiting : SendState::Sent))
			return STATUS_INVALID_DEVICE_REQUEST;
		request.get(); // OWNERSHIP: the send's, dropped by come_back()
		sending.shares = timeout_ns ? 2 : 1;
		sending.timed_out = false;
		sending.target = Ref<Target>::retain(&target);
		sending.lower = Ref<Request>::retain(lower.get());
		target.requests.push_back(sending);
		// With the share that is its own: whoever ends the request takes both away, or leaves both.
		if (timeout_ns)
			shim_mod_timer(&sending.timer, timeout_ns);
		if (sending.forget)
			queue = lose_locked(request);
	}
	if (!waits)
		pass_down(*lower, *to);
	if (queue)
		queue->dispatch(Enter::Completion);
	return STATUS_SUCCESS;
}

NTSTATUS Target::start()
{
	{
		SpinGuard guard(core.lock);

		if (!to || state == WdfIoTargetClosed)
			return STATUS_INVALID_DEVICE_STATE;
		state = WdfIoTargetStarted;
	}
	for (;;) {
		Sending *next = nullptr;
		Ref<Request> held;
		Ref<Request> lower;
		Ref<Device> device;
		{
			SpinGuard guard(core.lock);

			// Stopped, purged or closed meanwhile, perhaps by the completion routine of the one before.
			if (state != WdfIoTargetStarted)
				return STATUS_SUCCESS;
			for (Sending *s = requests.front(); s && !next; s = requests.next(*s)) {
				if (s->state.take(SendState::Waiting, SendState::Sent))
					next = s;
			}
			if (!next)
				return STATUS_SUCCESS;
			held = Ref<Request>::retain(next->request);
			lower = Ref<Request>::retain(next->lower.get());
			device = Ref<Device>::retain(to.get());
		}
		pass_down(*lower, *device);
	}
}

// It is there, and nobody has asked for its end yet.
static bool to_be_ended(const Sending &sending, bool waiting, bool sent) KEXTBRIDGE_REQUIRES(core.lock)
{
	if (sending.state.is(SendState::Waiting))
		return waiting;
	return sent && sending.state.is(SendState::Sent) && sending.lower->canceled != Request::kByOthers &&
	       !sending.lower->state.is(State::Done);
}

// Cancels what is there, each once, whoever else is at it.
void Target::end_all(bool waiting, bool sent, NTSTATUS status)
{
	u32 budget = 0;
	{
		SpinGuard guard(core.lock);

		// What comes meanwhile is behind it, and no reason to go on.
		for (Sending *s = requests.front(); s; s = requests.next(*s))
			budget++;
	}
	for (; budget; budget--) {
		Sending *one = nullptr;
		Ref<Request> held;
		{
			SpinGuard guard(core.lock);

			for (Sending *s = requests.front(); s && !one; s = requests.next(*s)) {
				if (to_be_ended(*s, waiting, sent))
					one = s;
			}
			if (!one)
				return;
			held = Ref<Request>::retain(one->request);
		}
		cancel_sending(*one, status);
	}
}

void Target::wait()
{
	idle.wait([this] {
		SpinGuard guard(core.lock);

		for (Sending *s = requests.front(); s; s = requests.next(*s)) {
			if (!s->state.is(SendState::Waiting))
				return false;
		}
		return true;
	});
}

void Target::close()
{
	Ref<Device> device;
	{
		SpinGuard guard(core.lock);

		state = WdfIoTargetClosed;
	}
	end_all(true, true, STATUS_WDF_DEVICE_REMOVED_NOT_SENT);
	// Of several who close it the first one here lets the device go; none does once it is open anew.
	idle.wait([&] {
		SpinGuard guard(core.lock);

		if (state != WdfIoTargetClosed)
			return true;
		if (requests.front())
			return false;
		if (!device)
			device = static_cast<Ref<Device> &&>(to);
		return true;
	});
	// Its own device goes with it.
	if (device && device->driver != owner->driver)
		shim_module_put(device->driver->glue->module);
}

void Target::dispose()
{
	close();
	SpinGuard guard(core.lock);

	if (owner->target == this)
		owner->target = nullptr;
}

} // namespace kmdf

extern "C" void kmdf_send_timer_c(struct timer_list *timer)
{
	kmdf::send_timer(timer);
}
