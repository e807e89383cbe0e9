// SPDX-License-Identifier: GPL-2.0-only
// The one unit of kmdf.ko, as it goes into the module, and behind it the few looks inside that the tests need.
#include "unit.cpp"

using namespace kmdf;

// What a fresh insmod finds: all of .data and .bss as it was linked.
extern "C" void host_kmdf_reset()
{
	new (Placement{&core}) Core;
}

// -1: no request (any more).
extern "C" int host_kmdf_request_state(void *handle)
{
	Ref<Object> object = find_object(handle);

	if (!object || object->type != Type::Request)
		return -1;
	SpinGuard guard(core.lock);

	return static_cast<int>(static_cast<Request *>(object.get())->state.get());
}

extern "C" u64 host_kmdf_request_id(void *handle)
{
	Ref<Object> object = find_object(handle);

	return object && object->type == Type::Request ? static_cast<Request *>(object.get())->id : 0;
}

// Whether somebody has cancelled it; what WdfRequestIsCanceled() does not say of one that is marked.
extern "C" bool host_kmdf_request_canceled(void *handle)
{
	Ref<Object> object = find_object(handle);

	if (!object || object->type != Type::Request)
		return false;
	SpinGuard guard(core.lock);

	return static_cast<Request *>(object.get())->canceled;
}

extern "C" u32 host_kmdf_queue_inside(void *handle)
{
	Ref<Object> object = find_object(handle);

	if (!object || object->type != Type::Queue)
		return 0;
	SpinGuard guard(core.lock);

	return static_cast<Queue *>(object.get())->inside;
}

extern "C" u64 host_kmdf_broken(const char *rule)
{
	for (int i = 0; i < static_cast<int>(Rule::Rules); i++) {
		if (text_equal(kRuleNames[i], rule)) {
			SpinGuard guard(core.lock);

			return core.broken[i];
		}
	}
	return ~0ull;
}

// The i-th rule's name; null: there are fewer.
extern "C" const char *host_kmdf_rule(int i)
{
	return i < static_cast<int>(Rule::Rules) ? kRuleNames[i] : nullptr;
}

static const char *check_queue_locked(Queue &queue, u32 *held) KEXTBRIDGE_REQUIRES(core.lock)
{
	u32 queued = 0;
	u32 owned = 0;

	for (Request *r = queue.queued.front(); r; r = queue.queued.next(*r)) {
		queued++;
		if (!r->state.is(State::Queued) || r->queue != &queue)
			return "what is in a queue's list is Queued, and there";
	}
	for (Request *r = queue.owned.front(); r; r = queue.owned.next(*r)) {
		owned++;
		if (r->state.is(State::Queued) || r->queue != &queue || !r->presented)
			return "what the driver has is not Queued, and was presented";
	}
	for (Request *r = queue.cancelled.front(); r; r = queue.cancelled.next(*r)) {
		if (!r->state.is(State::Cancelled) && !(r->state.is(State::Done) && r->early))
			return "whose EvtRequestCancel is due is Cancelled, or completed early";
	}
	for (Request *r = queue.canceled_on_queue.front(); r; r = queue.canceled_on_queue.next(*r)) {
		if (!r->canceled || !r->presented)
			return "whose EvtIoCanceledOnQueue is due was presented and cancelled";
	}
	if (queued != queue.queued_count)
		return "a queue's queued_count is the length of its list";
	if (owned != queue.owned_count)
		return "a queue's owned_count is the length of its list";
	if (queue.config.DispatchType == WdfIoQueueDispatchParallel &&
	    owned > queue.config.Settings.Parallel.NumberOfPresentedRequests)
		return "a parallel queue presents no more than its limit";
	*held += queued + owned;
	return nullptr;
}

// Null, or what does not fit together. quiet: nobody is in the middle of anything.
extern "C" const char *host_kmdf_check_invariants(bool quiet)
{
	SpinGuard guard(core.lock);

	for (Driver *driver = core.drivers.front(); driver; driver = core.drivers.next(*driver)) {
		for (Device *d = driver->devices.front(); d; d = driver->devices.next(*d)) {
			u32 held = 0;

			for (Object *child = d->children.front(); child; child = d->children.next(*child)) {
				if (quiet && child->deleting)
					return "nothing is being deleted";
				if (child->type != Type::Queue)
					continue;
				Queue &queue = *static_cast<Queue *>(child);
				const char *broken = check_queue_locked(queue, &held);

				if (broken)
					return broken;
				if (quiet && queue.inside)
					return "nobody is in a dispatcher";
				if (quiet && (!queue.cancelled.empty() || !queue.canceled_on_queue.empty()))
					return "no notification is due";
			}
			if (held > d->requests)
				return "what queues hold are the device's requests";
			if (quiet && held != d->requests)
				return "a device's requests are those of its queues";
		}
	}
	if (quiet && !core.frames.empty())
		return "no callback runs";
	return nullptr;
}

// Objects of all drivers that are in the table.
extern "C" u32 host_kmdf_objects()
{
	SpinGuard guard(core.lock);
	u32 count = 0;

	for (Driver *driver = core.drivers.front(); driver; driver = core.drivers.next(*driver))
		count += driver->objects();
	return count;
}

extern "C" u32 host_kmdf_drivers()
{
	SpinGuard guard(core.lock);
	u32 count = 0;

	for (Driver *driver = core.drivers.front(); driver; driver = core.drivers.next(*driver))
		count++;
	return count;
}
