// SPDX-License-Identifier: GPL-2.0-only
#include "in_flight.hpp"

#include "base/new.hpp"
#include "daemon.hpp"
#include "load.hpp"
#include "payload.hpp"
#include "scope.hpp"
#include "submit.hpp"
#include "shim/enforce.h"

namespace kextbridge {

constexpr u32 kExpireBatch = 64; // deadlines handled per hold of the lock
// Beyond this the timer wheel rounds up by an eighth: a longer wait goes in steps, each of which ends in time.
constexpr u64 kExactDelayNs = 50 * kNanosecondsPerMs;

Ref<Request> Request::make(Kind kind, const char *identifier, u32 identifier_length, const char *name, u32 name_length,
			   unsigned int gfp, bool scoped)
{
	u32 strings = (identifier_length + 1 + name_length + 1 + 7u) & ~7u;
	void *memory = shim_kzalloc(sizeof(Request) + strings + (scoped ? sizeof(ScopeLink) : 0), gfp);

	if (!memory)
		return Ref<Request>();
	Request *request = new (Placement{memory}) Request;
	char *text = reinterpret_cast<char *>(request + 1);

	request->kind = kind;
	request->scoped = scoped;
	request->identifier_size = static_cast<u16>(identifier_length + 1);
	request->name_size = static_cast<u16>(name_length + 1);
	__builtin_memcpy(text, identifier, identifier_length);
	__builtin_memcpy(text + identifier_length + 1, name, name_length);
	return Ref<Request>::adopt(request);
}

void Request::destroy(Request *request)
{
	payload_free_later(request->data);
	if (request->owner)
		request->owner->put();
	shim_kfree(request);
}

// The tag is taken off the counter before the lock can be dropped: nobody else gets it meanwhile.
OSReturn allocate_tag_locked(Request &request)
{
	int err;

	do {
		if (core.tags_live == kOSKextRequestTagInvalid - 1)
			return kOSKextReturnNoResources;
		request.tag = core.next_tag;
		request.tag_wrap = core.tag_wraps;
		if (++core.next_tag == kOSKextRequestTagInvalid) {
			core.next_tag = 1;
			core.tag_wraps++;
		}
		err = core.requests.insert_locked(request.tag, &request);
	} while (err == -SHIM_EBUSY);
	if (err)
		return kOSKextReturnNoMemory;
	core.tags_live++;
	return kOSReturnSuccess;
}

void free_tag_locked(Request &request)
{
	core.requests.erase_locked(request.tag);
	core.tags_live--;
}

static void arm_deadline_locked(u64 expires_ns, u64 now_ns) KEXTBRIDGE_REQUIRES(core.requests)
{
	if (core.deadline_armed_ns && core.deadline_armed_ns <= expires_ns)
		return;
	u64 delay = expires_ns > now_ns ? expires_ns - now_ns : 0;

	core.deadline_armed_ns = expires_ns;
	core.deadline_work.arm(core.workqueue, delay > kExactDelayNs ? delay - delay / 8 : delay);
}

void set_deadline_locked(Request &request, u32 timeout_ms)
{
	if (!timeout_ms)
		return;
	u64 now = shim_ktime_get_ns();
	u64 expires = now + timeout_ms * kNanosecondsPerMs;

	shim_timerqueue_init(&request.deadline, expires);
	shim_timerqueue_add(&core.deadlines, &request.deadline);
	request.timed = true;
	arm_deadline_locked(expires, now);
}

void publish_locked(Request &request, Owner *owner, u32 timeout_ms, bool queue)
{
	request.issued_ns = shim_ktime_get_ns();
	request.owner = owner;
	request.state = State::Pending;
	if (owner && request.kind == Kind::Resource) {
		owner->live.push_back(request);
		owner->pending++;
		core.stats.submitted++;
	}
	core.stats.pending++;
	set_deadline_locked(request, timeout_ms);
	shim_trace_submit(request.tag, owner ? owner->load_tag() : 0, static_cast<u32>(request.kind),
			  request.identifier(), request.name());
	if (queue)
		queue_locked(request);
	changed_locked();
}

void queue_locked(Request &request)
{
	bool was_empty = core.pending.empty();

	core.pending.push_back(request);
	if (was_empty)
		wake_daemon_locked();
}

void fetch_locked(Request &request)
{
	Session &session = *core.session;

	request.queue_node.unlink();
	request.state = State::Fetched;
	session.in_hand.push_back(request);
	session.resources_in_hand += request.kind == Kind::Resource;
	session.suspects_in_hand += request.suspect;
	core.stats.pending--;
	core.stats.fetched++;
	changed_locked();
	shim_trace_fetch(request.tag, request.owner ? request.owner->load_tag() : 0, static_cast<u32>(request.kind));
}

static void leave_hand_locked(Request &request) KEXTBRIDGE_REQUIRES(core.requests)
{
	Session &session = *core.session;

	request.session_node.unlink();
	session.resources_in_hand -= request.kind == Kind::Resource;
	session.suspects_in_hand -= request.suspect;
	core.stats.fetched--;
}

void requeue_locked(Request &request)
{
	leave_hand_locked(request);
	request.state = State::Pending;
	core.pending.push_front(request);
	core.stats.pending++;
	wake_daemon_locked();
}

// Out of the state that the request is in, and off what belongs to that state.
static void leave_locked(Request &request, bool notice) KEXTBRIDGE_REQUIRES(core.requests)
{
	switch (request.state) {
	case State::Pending: {
		bool was_head = core.pending.front() == &request;

		request.queue_node.unlink();
		core.stats.pending--;
		// As a suspect it may have kept those behind it waiting.
		if (was_head && !core.pending.empty())
			wake_daemon_locked();
		break;
	}
	case State::Fetched: {
		// The state says that there is a daemon. NOLINTNEXTLINE(clang-analyzer-core.NullDereference)
		Session &session = *core.session;
		bool was_full = session.full_locked();

		leave_hand_locked(request);
		if (notice) {
			request.get(); // OWNERSHIP: the notice's, dropped when the daemon has read it
			session.notices.push_back(request);
			wake_daemon_locked();
		} else if ((was_full || !session.resources_in_hand) && !core.pending.empty()) {
			// The head of the queue may have waited for the daemon's hands to be empty, or not full.
			wake_daemon_locked();
		}
		break;
	}
	case State::Answered:
		request.queue_node.unlink();
		core.stats.answered--;
		break;
	case State::Finished:
		break;
	}
	if (request.timed) {
		shim_timerqueue_del(&core.deadlines, &request.deadline);
		request.timed = false;
	}
}

// The end of an unload answers the loads that waited for it, and a load's answer nothing more: two deep on the stack.
// NOLINTNEXTLINE(misc-no-recursion)
void answer_locked(Request &request, s32 result, Payload payload, bool by_daemon)
{
	leave_locked(request, !by_daemon);
	request.state = State::Answered;
	request.result = result;
	request.data = payload.data;
	request.length = payload.length;
	core.stats.answered++;
	changed_locked();
	switch (request.kind) {
	case Kind::Resource:
		if (Reader *reader = request.reader()) {
			reader->wake.wake_all();
			break;
		}
		// It has an owner, as an unload has. NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage)
		request.owner->answered.push_back(request);
		request.owner->answered_locked();
		break;
	case Kind::Load:
		load_answered_locked(request);
		break;
	case Kind::Unload:
		request.owner->kext()->unload_answered_locked(); // NOLINT(clang-analyzer-core.CallAndMessage)
		break;
	case Kind::Loaded:
	case Kind::Unloaded:
	case Kind::Exit:
		break; // nobody answers a notice
	}
}

bool take_locked(Request &request)
{
	if (request.state == State::Finished)
		return false;
	leave_locked(request, true);
	request.state = State::Finished;
	request.owner_node.unlink();
	if (ScopeLink *link = request.scope_link())
		link->node.unlink();
	if (Reader *reader = request.reader())
		reader->wake.wake_all();
	// A flush waits for the last one to leave.
	if (request.owner && request.kind == Kind::Resource && !--request.owner->pending && core.barrier.active())
		core.barrier.wake_all();
	changed_locked();
	return true;
}

Ref<Request> forget_locked(Request &request)
{
	free_tag_locked(request);
	return Ref<Request>::adopt(&request);
}

Request *find_locked(u32 tag)
{
	return static_cast<Request *>(core.requests.load_locked(tag));
}

void expire_deadlines()
{
	for (bool more = true; more;) {
		Guard guard(core.requests);
		u64 now = shim_ktime_get_ns();
		u32 handled = 0;

		core.deadline_armed_ns = 0;
		more = false;
		while (timerqueue_node *node = shim_timerqueue_getnext(&core.deadlines)) {
			// SAFETY: only Request::deadline is ever put on this queue.
			Request *request = container_of<&Request::deadline>(node);

			if (shim_timerqueue_expires(node) > now) {
				arm_deadline_locked(shim_timerqueue_expires(node), now);
				break;
			}
			if (handled++ == kExpireBatch) {
				more = true;
				break;
			}
			core.stats.timeouts++;
			shim_trace_timeout(request->tag, request->owner ? request->owner->load_tag() : 0);
			answer_locked(*request, kOSKextReturnTimeout, Payload(), false);
		}
	}
}

} // namespace kextbridge
