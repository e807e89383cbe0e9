// SPDX-License-Identifier: GPL-2.0-only
// Queues: what is in them, and the dispatcher. The calls of drivers are in queue_api.cpp.
#include "queue.hpp"

#include "core.hpp"
#include "watchdog.hpp"
#include "shim/enforce.h"

namespace kmdf {

constexpr u32 kTurns = 64;   // of the loop, before a worker goes on: whoever began has a life of its own
constexpr u32 kMaxDepth = 4; // callbacks of one thread inside each other

static constinit lock_class_key idle_key = {};
static constinit lock_class_key work_key = {};

Queue::Queue(Driver *driver, Device *device, const WDF_IO_QUEUE_CONFIG &config)
	: Object(Type::Queue, driver), device(device), config(config)
{
	device->get(); // OWNERSHIP: whoever is in the dispatcher needs its lock
	passive_dispose = true;
	passive_release = true;
	queued.init();
	cancelled.init();
	canceled_on_queue.init();
	owned.init();
	idle.init("kmdf_queue", &idle_key);
	work.init(work_function, this, "kmdf_queue", &work_key);
}

void Queue::release_parts()
{
	own_lock.destroy();
	device->put();
}

// ---- what is in it

void Queue::put_in_locked(Request &request, bool at_head)
{
	request.queue = this;
	if (queued.empty() && ready)
		ready_due = true;
	if (at_head)
		queued.push_front(request);
	else
		queued.push_back(request);
	queued_count++;
}

bool Queue::cancel_queued_locked(Request &request)
{
	unqueue_locked(request);
	if (!request.presented || !config.EvtIoCanceledOnQueue || !request.state.take(State::Queued, State::Cancelled))
		return false;
	own_locked(request);
	request.get(); // OWNERSHIP: the list's, until the callback has returned
	canceled_on_queue.push_back(request);
	return true;
}

void Queue::unqueue_locked(Request &request)
{
	request.queue_node.unlink();
	queued_count--;
	if (idle.active())
		idle.wake_all();
}

void Queue::own_locked(Request &request)
{
	request.presented = true;
	request.owned_ns = shim_ktime_get_ns();
	request.ack = StopAck::None;
	request.stop_told = false;
	owned.push_back(request);
	owned_count++;
	watch_owned_locked();
}

void Queue::leave_owned_locked(Request &request)
{
	request.owned_node.unlink();
	owned_count--;
	if (idle.active())
		idle.wake_all();
}

void Queue::present_locked(Request &request)
{
	unqueue_locked(request);
	// What is in `queued` is Queued: nobody else has taken it.
	if (request.state.take(State::Queued, State::Owned))
		own_locked(request);
}

bool Queue::drained_locked() const
{
	return !queued_count && !owned_count;
}

bool Queue::may_present_locked() const
{
	if (deleting || !dispatches || power != Power::On || queued_count == 0)
		return false;
	switch (config.DispatchType) {
	case WdfIoQueueDispatchSequential:
		return owned_count == 0;
	case WdfIoQueueDispatchParallel:
		return owned_count < config.Settings.Parallel.NumberOfPresentedRequests;
	default:
		return false;
	}
}

WDF_IO_QUEUE_STATE Queue::bits_locked() const
{
	u32 bits = 0;

	if (accepts)
		bits |= WdfIoQueueAcceptRequests;
	if (dispatches)
		bits |= WdfIoQueueDispatchRequests;
	if (!queued_count)
		bits |= WdfIoQueueNoRequests;
	if (!owned_count)
		bits |= WdfIoQueueDriverNoRequests;
	if (power != Power::On)
		bits |= WdfIoQueuePnpHeld;
	return static_cast<WDF_IO_QUEUE_STATE>(bits);
}

// ---- the dispatcher

// With a reference that the work drops.
void Queue::defer_locked()
{
	if (work.queue(core.dispatcher))
		get();
}

void Queue::hand_over_locked()
{
	if (!inside)
		defer_locked();
}

void Queue::work_function(void *queue)
{
	Ref<Queue> self = Ref<Queue>::adopt(static_cast<Queue *>(queue));

	self->enter(Enter::Event, true);
}

bool Queue::cancel_due_locked() const
{
	return power != Power::Notifying && (!cancelled.empty() || !canceled_on_queue.empty());
}

bool Queue::ready_due_locked() const
{
	return ready_due && !deleting;
}

bool Queue::something_due_locked() const
{
	return cancel_due_locked() || ready_due_locked() || may_present_locked() ||
	       (stopped.function && !owned_count) || (purged.function && drained_locked());
}

void Queue::dispatch(Enter enter_as)
{
	enter(enter_as, false);
}

void Queue::enter(Enter enter_as, bool on_worker)
{
	bool mine = synchronized && synchronized->mine();
	{
		SpinGuard guard(core.lock);

		if (!something_due_locked())
			return;
		if (inside) {
			bool prompt = enter_as == Enter::Event ||
				      (read_once(kmdf_params.prompt_cancel) && cancel_due_locked());

			// Who is inside looks again before it leaves.
			if (synchronized || !prompt || in_callback_locked(*this))
				return;
		}
		if (mine || (passive && !on_worker) || frame_depth_locked() >= kMaxDepth) {
			defer_locked();
			return;
		}
		inside++;
	}
	PresentationGuard presentation(synchronized);

	run();
}

// As a thread that is inside, until it has left.
void Queue::run()
{
	for (u32 turns = 0; turn(turns); turns++)
		continue;
}

// Once nobody else is inside, who may be in a callback of the queue.
bool Queue::take_end_locked(StateCallback &slot, bool ended, Due &due)
{
	if (!slot.function || !ended || inside != 1)
		return false;
	due = {.call = Call::QueueState, .function = slot.function, .context = slot.context};
	purging &= !slot.purges;
	slot = {};
	return true;
}

// The first thing that is due, taken. False: there is none.
bool Queue::take_due_locked(Due &due)
{
	if (cancel_due_locked() && !cancelled.empty()) {
		due = {.call = Call::Cancel, .request = cancelled.front()};
		due.request->queue_node.unlink();
		due.on_cancel = due.request->on_cancel;
		due.request->on_cancel = nullptr;
		due.request->called = true;
		// Else the driver has completed it early, and is told all the same.
		return due.request->state.take(State::Cancelled, State::Called) || due.request->early;
	}
	if (cancel_due_locked()) {
		due = {.call = Call::CanceledOnQueue, .request = canceled_on_queue.front()};
		due.request->queue_node.unlink();
		return due.request->state.take(State::Cancelled, State::Owned) || due.request->early;
	}
	if (take_end_locked(stopped, !owned_count, due)) {
		due.unsynchronized = true;
		return true;
	}
	if (take_end_locked(purged, drained_locked(), due))
		return true;
	if (ready_due_locked()) {
		ready_due = false;
		due = {.call = Call::QueueState, .function = ready, .context = ready_context};
		return true;
	}
	if (!may_present_locked())
		return false;
	due = {.call = Call::Io, .request = queued.front()};
	present_locked(*due.request);
	return true;
}

// One callback. False: this thread has left, since there is nothing more to do, or since a worker does it.
bool Queue::turn(u32 turns)
{
	Frame frame;
	Due due;
	{
		SpinGuard guard(core.lock);

		if (turns >= kTurns && something_due_locked()) {
			inside--;
			defer_locked();
			return false;
		}
		if (!take_due_locked(due)) {
			inside--;
			if (idle.active())
				idle.wake_all();
			return false;
		}
		if (due.call == Call::Io && side_by_side()) {
			inside++;
			get(); // OWNERSHIP: the work's
			due.request->handler_queue = this;
			// OWNERSHIP: the work's, too: as long as it runs, nobody else gets its address.
			due.request->get();
			due.request->handler_work.queue(core.dispatcher);
			return true;
		}
		push_frame_locked(frame, due.call, this, due.request);
	}
	deliver(due);
	{
		SpinGuard guard(core.lock);

		pop_frame_locked(frame);
	}
	if (due.call == Call::Cancel || due.call == Call::CanceledOnQueue)
		due.request->put(); // the list's
	return true;
}

void Queue::deliver(const Due &due)
{
	WDFQUEUE queue = static_cast<WDFQUEUE>(handle());
	WDFREQUEST request = due.request ? static_cast<WDFREQUEST>(due.request->handle()) : nullptr;
	CallbackGuard check("a callback of its queue", this);

	switch (due.call) {
	case Call::Cancel:
		return due.on_cancel(request);
	case Call::CanceledOnQueue:
		return config.EvtIoCanceledOnQueue(queue, request);
	case Call::QueueState:
		if (due.unsynchronized && synchronized)
			synchronized->unlock();
		due.function(queue, due.context);
		if (due.unsynchronized && synchronized)
			synchronized->lock();
		return;
	default:
		return present(*due.request);
	}
}

// A passive handler may wait for what another one of the queue does: each has a worker of its own, which then goes on as
// any thread that is inside.
void Queue::handler_function(void *r)
{
	Request &request = *static_cast<Request *>(r);
	Ref<Queue> queue;
	Frame frame;
	{
		SpinGuard guard(core.lock);

		queue = Ref<Queue>::adopt(request.handler_queue);
		push_frame_locked(frame, Call::Io, queue.get(), &request);
	}
	queue->deliver({.call = Call::Io, .request = &request});
	{
		SpinGuard guard(core.lock);

		pop_frame_locked(frame);
	}
	queue->run();
	request.put();
}

// Zero bytes to read or to write are none of the driver's business, unless it wants them.
bool Queue::trivial(const Request &request) const
{
	if (config.AllowZeroLengthRequests)
		return false;
	return (request.kind == WdfRequestTypeRead && !request.out_length) ||
	       (request.kind == WdfRequestTypeWrite && !request.in_length);
}

void Queue::end_presented(Request &request, NTSTATUS result)
{
	{
		SpinGuard guard(core.lock);

		if (!request.state.take(State::Owned, State::Done))
			return; // cannot be: the driver does not have its handle
	}
	finish(Ref<Request>::adopt(&request), result, 0);
}

void Queue::present(Request &request)
{
	WDFQUEUE queue = static_cast<WDFQUEUE>(handle());
	WDFREQUEST r = static_cast<WDFREQUEST>(request.handle());

	if (trivial(request))
		return end_presented(request, STATUS_SUCCESS);
	switch (request.kind) {
	case WdfRequestTypeRead:
		if (config.EvtIoRead)
			return config.EvtIoRead(queue, r, request.out_length);
		break;
	case WdfRequestTypeWrite:
		if (config.EvtIoWrite)
			return config.EvtIoWrite(queue, r, request.in_length);
		break;
	case WdfRequestTypeDeviceControl:
		if (config.EvtIoDeviceControl)
			return config.EvtIoDeviceControl(queue, r, request.out_length, request.in_length, request.code);
		break;
	case WdfRequestTypeDeviceControlInternal:
		if (config.EvtIoInternalDeviceControl)
			return config.EvtIoInternalDeviceControl(queue, r, request.out_length, request.in_length,
								 request.code);
		break;
	default:
		break;
	}
	if (config.EvtIoDefault)
		return config.EvtIoDefault(queue, r);
	end_presented(request, STATUS_INVALID_DEVICE_REQUEST);
}

// ---- purge, and the end

void Queue::cancel_all()
{
	u32 budget;
	{
		SpinGuard guard(core.lock);

		// What comes meanwhile is not part of it.
		budget = queued_count;
		for (Request *request = owned.front(); request; request = owned.next(*request)) {
			request->cancel_marked_locked();
		}
	}
	for (; budget; budget--) {
		Ref<Request> request;
		{
			SpinGuard guard(core.lock);

			request = Ref<Request>::retain(queued.front());
		}
		if (!request)
			break;
		cancel_request(*request);
	}
	dispatch(Enter::Event);
}

void Queue::report_keeper(const char *what, u32 waited_ms)
{
	Ref<Request> oldest;
	{
		SpinGuard guard(core.lock);

		oldest = Ref<Request>::retain(owned.front());
	}
	report(Rule::PowerTimeout, oldest ? static_cast<Object *>(oldest.get()) : this,
	       "keeps its queue from %s for %u ms", what, waited_ms);
}

void Queue::wait_for(bool (*condition)(Queue &queue), const char *what)
{
	u32 grace = read_once(kmdf_params.stop_ms);
	auto holds = [this, condition] {
		SpinGuard guard(core.lock);

		return condition(*this);
	};

	while (idle.wait_hrtimeout(holds, grace ? static_cast<s64>(grace * kNanosecondsPerMs) : SHIM_KTIME_MAX,
				   SHIM_TASK_UNINTERRUPTIBLE)) {
		report_keeper(what, grace);
		grace = 60000;
	}
}

void Queue::begin_purge()
{
	{
		SpinGuard guard(core.lock);

		accepts = false;
		purging = true;
	}
	cancel_all();
}

void Queue::purge_and_wait()
{
	begin_purge();
	wait_for([](Queue &queue) KEXTBRIDGE_REQUIRES(
			 core.lock) { return queue.drained_locked() && queue.cancelled.empty() && !queue.inside; },
		 "ending");
}

void Queue::dispose()
{
	purge_and_wait();
	device->forget_queue(*this);
}

} // namespace kmdf
