// SPDX-License-Identifier: GPL-2.0-only
#include "watchdog.hpp"

#include "core.hpp"
#include "shim/enforce.h"

namespace kmdf {

static void arm_locked(u32 delay_ms) KEXTBRIDGE_REQUIRES(core.lock)
{
	if (!delay_ms || core.watching || !verifying())
		return;
	core.watching = true;
	core.watchdog.arm(core.dispatcher, delay_ms * kNanosecondsPerMs);
}

void watch_cancelled_locked()
{
	arm_locked(read_once(kmdf_params.stuck_ms));
}

void watch_owned_locked()
{
	arm_locked(read_once(kmdf_params.forgotten_ms));
}

// Since when it is stuck, by what its state and the parameters say; 0: it is not, and will not be.
static u64 stuck_since_locked(const Request &request, u64 *limit_ns) KEXTBRIDGE_REQUIRES(core.lock)
{
	u32 stuck = read_once(kmdf_params.stuck_ms);
	u32 forgotten = read_once(kmdf_params.forgotten_ms);

	if (request.named || request.sent_locked())
		return 0;
	if (request.canceled && stuck) {
		*limit_ns = stuck * kNanosecondsPerMs;
		return request.canceled_ns;
	}
	if (request.state.is(State::Owned) && !request.canceled && forgotten) {
		*limit_ns = forgotten * kNanosecondsPerMs;
		return request.owned_ns;
	}
	return 0;
}

// The first one that has to be named. *again: another one may have to be, later.
static Ref<Request> find_in_locked(Queue &queue, u64 now, bool *again, bool *cancelled) KEXTBRIDGE_REQUIRES(core.lock)
{
	for (Request *r = queue.owned.front(); r; r = queue.owned.next(*r)) {
		u64 limit = 0;
		u64 since = stuck_since_locked(*r, &limit);

		if (!since)
			continue;
		if (now - since < limit) {
			*again = true;
			continue;
		}
		r->named = true;
		*cancelled = r->canceled;
		return Ref<Request>::retain(r);
	}
	return Ref<Request>();
}

static Ref<Request> find_stuck_locked(u64 now, bool *again, bool *cancelled) KEXTBRIDGE_REQUIRES(core.lock)
{
	for (Driver *driver = core.drivers.front(); driver; driver = core.drivers.next(*driver)) {
		for (Device *device = driver->devices.front(); device; device = driver->devices.next(*device)) {
			for (Object *o = device->children.front(); o; o = device->children.next(*o)) {
				if (o->type != Type::Queue)
					continue;
				if (Ref<Request> found =
					    find_in_locked(*static_cast<Queue *>(o), now, again, cancelled))
					return found;
			}
		}
	}
	return Ref<Request>();
}

void look_for_stuck_requests()
{
	bool again = false;
	bool cancelled = false;

	for (;;) {
		Ref<Request> request;
		{
			SpinGuard guard(core.lock);

			request = find_stuck_locked(shim_ktime_get_ns(), &again, &cancelled);
			if (!request) {
				core.watching = false;
				if (again) {
					watch_cancelled_locked();
					watch_owned_locked();
				}
				return;
			}
		}
		if (cancelled)
			report(Rule::IgnoredCancel, request.get(), "cancelled, and its driver does not complete it");
		else
			report(Rule::DeferredRequestCompleted, request.get(),
			       "neither completed nor marked cancelable: has its handler forgotten it?");
	}
}

} // namespace kmdf
