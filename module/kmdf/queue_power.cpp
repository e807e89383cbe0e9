// SPDX-License-Identifier: GPL-2.0-only
// A queue leaves D0 and comes back: EvtIoStop, StopAcknowledge, EvtIoResume.
#include "queue.hpp"

#include "core.hpp"
#include "shim/enforce.h"

namespace kmdf {

// EvtIoStop of each request that is the driver's and not cancelled.
void Queue::power_tell(u32 action)
{
	// A removal has cancelled before it asks.
	if (action == WdfRequestStopActionPurge)
		wait_for(
			[](Queue &queue) KEXTBRIDGE_REQUIRES(core.lock) {
				return queue.cancelled.empty() && queue.canceled_on_queue.empty() && !queue.inside;
			},
			"being told of its cancels");
	{
		SpinGuard guard(core.lock);

		power = Power::Notifying;
	}
	wait_for([](Queue &queue) KEXTBRIDGE_REQUIRES(core.lock) { return !queue.inside; }, "leaving D0");
	{
		SpinGuard guard(core.lock);

		inside++; // whoever comes leaves it to this thread
		for (Request *request = owned.front(); request; request = owned.next(*request))
			request->stop_told = false;
	}
	if (config.EvtIoStop) {
		PresentationGuard presentation(synchronized);

		while (stop_one(action))
			continue;
	}
	{
		SpinGuard guard(core.lock);

		inside--;
		power = Power::Waiting;
	}
	dispatch(Enter::Event); // cancels that had to wait
}

void Queue::power_wait()
{
	wait_for([](Queue &queue) KEXTBRIDGE_REQUIRES(core.lock) { return queue.all_kept_locked(); }, "leaving D0");
	{
		SpinGuard guard(core.lock);

		power = Power::Off;
	}
}

bool Queue::all_kept_locked() const
{
	List<Request, &Request::owned_node> &requests = const_cast<Queue *>(this)->owned;

	for (Request *request = requests.front(); request; request = requests.next(*request)) {
		if (request->ack != StopAck::Keep)
			return false;
	}
	return true;
}

bool Queue::stop_one(u32 action)
{
	Frame frame;
	Ref<Request> request;
	bool cancelable;
	bool answered;
	{
		SpinGuard guard(core.lock);

		for (Request *r = owned.front(); r && !request; r = owned.next(*r)) {
			if (r->stop_told || r->canceled || !r->driver_has_locked())
				continue;
			request = Ref<Request>::retain(r);
		}
		if (!request)
			return false;
		request->stop_told = true;
		request->ack = StopAck::None;
		cancelable = request->state.is(State::Cancelable);
		push_frame_locked(frame, Call::Stop, this, request.get());
	}
	{
		CallbackGuard check("EvtIoStop", this);

		config.EvtIoStop(static_cast<WDFQUEUE>(handle()), static_cast<WDFREQUEST>(request->handle()),
				 action | (cancelable ? static_cast<u32>(WdfRequestStopRequestCancelable) : 0u));
	}
	bool give_back = false;
	bool end = false;
	{
		SpinGuard guard(core.lock);

		pop_frame_locked(frame);
		answered = frame.acted || request->state.is(State::Done) || request->canceled;
		if (request->ack == StopAck::Requeue && !request->sent_locked()) {
			// Cancelled meanwhile, or on the way out: nobody presents it again.
			if (request->canceled || purging) {
				end = request->state.take(State::Owned, State::Done);
			} else if (request->state.take(State::Owned, State::Queued)) {
				give_back = true;
				leave_owned_locked(*request);
				put_in_locked(*request, true);
			}
		}
	}
	if (end)
		finish(Ref<Request>::adopt(request.get()), STATUS_CANCELLED, 0);
	else if (!answered && !give_back)
		report(cancelable ? Rule::EvtIoStopCompleteOrStopAck : Rule::EvtIoStopCancel, request.get(),
		       "EvtIoStop has neither completed nor acknowledged it");
	return true;
}

bool Queue::resume_one()
{
	Frame frame;
	Ref<Request> request;
	{
		SpinGuard guard(core.lock);

		for (Request *r = owned.front(); r && !request; r = owned.next(*r)) {
			if (r->ack != StopAck::Keep)
				continue;
			r->ack = StopAck::None;
			if (!r->canceled)
				request = Ref<Request>::retain(r);
		}
		if (!request)
			return false;
		push_frame_locked(frame, Call::Resume, this, request.get());
	}
	if (config.EvtIoResume) {
		CallbackGuard check("EvtIoResume", this);

		config.EvtIoResume(static_cast<WDFQUEUE>(handle()), static_cast<WDFREQUEST>(request->handle()));
	}
	SpinGuard guard(core.lock);

	pop_frame_locked(frame);
	return true;
}

void Queue::power_start()
{
	{
		SpinGuard guard(core.lock);

		inside++;
	}
	{
		PresentationGuard presentation(synchronized);

		while (resume_one())
			continue;
	}
	{
		SpinGuard guard(core.lock);

		inside--;
		power = Power::On;
		idle.wake_all();
	}
	dispatch(Enter::Event);
}

} // namespace kmdf
