// SPDX-License-Identifier: GPL-2.0-only
#include "daemon.hpp"

#include "base/new.hpp"
#include "in_flight.hpp"
#include "payload.hpp"
#include "unload.hpp"
#include "wire.hpp"
#include "shim/enforce.h"

namespace kextbridge {

constexpr u8 kMaxDeaths = 3;    // daemons that may die over one request
constexpr u32 kFetchBatch = 16; // requests taken per hold of the lock

void wake_daemon_locked()
{
	if (core.fetch.active())
		core.fetch.wake_one();
}

// ---- announcements

void announce_locked(Ref<Request> &notice, Kext &kext)
{
	Session *session = core.session;

	if (!session || !session->notify)
		return;
	if (session->announcements >= kMaxAnnouncements) {
		core.stats.limited++;
		return;
	}
	kext.get(); // OWNERSHIP: the notice's
	notice->owner = &kext;
	session->notices.push_back(*notice.release());
	session->announcements++;
	wake_daemon_locked();
}

void announce_exit_locked()
{
	Session *session = core.session;

	if (!session || !session->notify || !session->exit)
		return;
	session->notices.push_back(*session->exit);
	session->exit = nullptr;
	session->announcements++;
	wake_daemon_locked();
}

// ---- open and close

// The session is not the daemon any more: what it had goes back.
static void revoke_locked(Session &session) KEXTBRIDGE_REQUIRES(core.requests)
{
	bool alone = session.alone_locked() && session.in_hand.front() == session.in_hand.back();

	while (Request *request = session.in_hand.back()) {
		if (request->kind == Kind::Unload) {
			answer_locked(*request, kOSKextReturnDisabled, Payload(), true);
			continue;
		}
		bool resource = request->kind == Kind::Resource;

		// No other daemon comes any more.
		if (core.shutdown && !resource) {
			answer_locked(*request, kOSKextReturnDisabled, Payload(), true);
			continue;
		}
		// A load is counted each time and never handed out alone: it may hang, and hold up nobody.
		if ((alone || !resource) && ++request->deaths >= kMaxDeaths) {
			core.stats.poisoned++;
			answer_locked(*request, kOSKextReturnInternalError, Payload(), true);
			continue;
		}
		core.stats.requeued++;
		requeue_locked(*request);
		request->suspect = resource;
	}
	while (Request *request = session.notices.front()) {
		request->session_node.unlink();
		request->put();
	}
	core.session = nullptr;
	refuse_unloads_locked();
	changed_locked();
	core.fetch.wake_all(); // its own threads, to learn that they are out
}

static int open_session(void **data) KEXTBRIDGE_EXCLUDES(core.requests)
{
	if (!shim_capable(SHIM_CAP_SYS_MODULE))
		return -SHIM_EPERM;
	Ref<Request> exit = Request::make(Kind::Exit, "", 0, "", 0, SHIM_GFP_KERNEL);
	void *memory = exit ? shim_kzalloc(sizeof(Session), SHIM_GFP_KERNEL) : nullptr;

	if (!memory)
		return -SHIM_ENOMEM;
	Session *session = new (Placement{memory}) Session(shim_get_current_tgid());
	int err = 0;
	{
		Guard guard(core.requests);

		if (core.shutdown)
			err = -SHIM_ESHUTDOWN;
		else if (core.session && !shim_process_gone(core.session->process))
			err = -SHIM_EBUSY;
		if (!err) {
			session->exit = exit.release();
			if (core.session)
				revoke_locked(*core.session);
			core.session = session;
			daemon_came_locked();
			changed_locked();
		}
	}
	if (err) {
		shim_put_pid(session->process);
		shim_kfree(session);
		return err;
	}
	*data = session;
	return 0;
}

static void close_session(Session *session) KEXTBRIDGE_EXCLUDES(core.requests)
{
	Ref<Request> exit;
	{
		Guard guard(core.requests);

		if (core.session == session)
			revoke_locked(*session);
		exit = Ref<Request>::adopt(session->exit);
	}
	shim_put_pid(session->process);
	shim_kfree(session);
}

// The file belongs to the process that opened it: what a child of a dead daemon still holds is worth nothing.
static bool is_daemon_locked(Session &session) KEXTBRIDGE_REQUIRES(core.requests)
{
	return core.session == &session && !shim_process_gone(session.process);
}

// ---- fetching

static bool fetchable_locked(Session &session) KEXTBRIDGE_REQUIRES(core.requests)
{
	Request *head = core.pending.front();

	if (!session.notices.empty())
		return true;
	return head && !session.full_locked() && !session.alone_locked() &&
	       (!head->suspect || !session.resources_in_hand);
}

// The next record that may be handed out, taken off its queue with a reference; null when there is none or it is
// longer than room. A notice is told from a request by its state.
static Request *fetch_next_locked(Session &session, u32 room, u32 *needed) KEXTBRIDGE_REQUIRES(core.requests)
{
	if (!fetchable_locked(session))
		return nullptr;
	Request *notice = session.notices.front();
	Request *request = notice ? notice : core.pending.front();

	*needed = notice ? notice_record_size(*notice) : request_record_size(*request);
	if (*needed > room)
		return nullptr;
	if (notice) {
		notice->session_node.unlink(); // OWNERSHIP: its reference moves to the caller
		session.announcements -= notice->kind >= Kind::Loaded;
	} else {
		fetch_locked(*request);
		request->get();
	}
	return request;
}

struct Batch {
	struct Item {
		Request *request;
		u64 deadline_ns;
		u32 attempt;
		bool notice;
	};
	Item items[kFetchBatch];
	u32 count = 0;
	u32 used = 0; // bytes of their records
};

// Back in the same order, except what a cancel, a deadline or a revoke has taken meanwhile.
static void put_back(Session &session, Batch &batch) KEXTBRIDGE_EXCLUDES(core.requests)
{
	Guard guard(core.requests);

	for (u32 i = batch.count; i-- > 0;) {
		Request &request = *batch.items[i].request;

		if (batch.items[i].notice) {
			if (core.session == &session) {
				request.get();
				session.notices.push_front(request);
				session.announcements += request.kind >= Kind::Loaded;
				wake_daemon_locked();
			}
		} else if (request.state == State::Fetched && core.session == &session) {
			requeue_locked(request);
		}
	}
}

static void fill_batch_locked(Session &session, kextd_exchange &args, Batch &batch, u32 *needed)
	KEXTBRIDGE_REQUIRES(core.requests)
{
	while (batch.count < kFetchBatch && args.request_count + batch.count < args.max_requests) {
		u32 size = 0;
		u32 room = args.requests_size - args.requests_used - batch.used;
		bool notice = !session.notices.empty();
		Request *request = fetch_next_locked(session, room, &size);

		if (!request) {
			*needed = size;
			break;
		}
		u64 deadline = request->timed ? shim_timerqueue_expires(&request->deadline) : 0;

		batch.items[batch.count++] = {request, deadline, request->deaths, notice};
		batch.used += size;
	}
	// What is left is for the next thread.
	if (fetchable_locked(session))
		wake_daemon_locked();
}

static int write_item(const Batch::Item &item, u64 *at) KEXTBRIDGE_EXCLUDES(core.requests)
{
	return item.notice ? write_notice(*item.request, at) :
			     write_request(*item.request, item.deadline_ns, item.attempt, at);
}

// Fetches what is there. 0, also when nothing was; -ENOBUFS, -EFAULT, -EOWNERDEAD.
static int fetch(Session &session, kextd_exchange &args, u64 arg) KEXTBRIDGE_EXCLUDES(core.requests)
{
	while (args.request_count < args.max_requests) {
		Batch batch;
		u32 needed = 0;
		int err = 0;
		{
			Guard guard(core.requests);

			if (!is_daemon_locked(session)) {
				wake_daemon_locked(); // the wake-up that brought us here was another's
				return args.request_count ? 0 : -SHIM_EOWNERDEAD;
			}
			fill_batch_locked(session, args, batch, &needed);
		}
		if (!batch.count) {
			if (!needed || args.request_count)
				return 0;
			args.requests_used = needed;
			return -SHIM_ENOBUFS;
		}
		u64 at = args.requests + args.requests_used;

		for (u32 i = 0; i < batch.count && !err; i++)
			err = write_item(batch.items[i], &at);
		args.request_count += batch.count;
		args.requests_used += batch.used;
		if (!err)
			err = put_struct(arg, args, args.size);
		if (err) {
			args.request_count -= batch.count;
			args.requests_used -= batch.used;
			put_back(session, batch);
		}
		for (u32 i = 0; i < batch.count; i++)
			batch.items[i].request->put();
		if (err)
			return args.request_count ? 0 : err; // earlier batches are with the caller already
		if (batch.count < kFetchBatch)
			return 0;
	}
	return 0;
}

// ---- replying

// A request in this session's hands, by the whole wire id.
static Request *in_hand_locked(Session &session, u64 id) KEXTBRIDGE_REQUIRES(core.requests)
{
	Request *request = find_locked(static_cast<u32>(id));

	return request && request->wire_id() == id && request->state == State::Fetched && core.session == &session ?
		       request :
		       nullptr;
}

static bool well_formed(const kextd_reply &reply)
{
	bool data = reply.flags & KEXTD_REPLY_DATA;
	bool file = reply.flags & KEXTD_REPLY_FD;

	return reply.id && !reply.reserved && !(reply.flags & ~KEXTD_REPLY_FLAGS) &&
	       (reply.flags & KEXTD_REPLY_RESULT) && !(data && file) && (data || (!reply.data && !reply.length));
}

// A driver takes its payload at once; a program may leave it with us, so there is a limit to what it can pile up.
static bool accept_payload_locked(Request &request, const Payload &payload) KEXTBRIDGE_REQUIRES(core.requests)
{
	// Only a Resource, which has an owner, is answered with bytes.
	if (!payload.length || request.owner->kext()) // NOLINT(clang-analyzer-core.CallAndMessage)
		return true;
	if (request.owner->held_bytes + payload.length > read_once(kextbridge_params.max_bytes_per_file)) {
		core.stats.limited++;
		return false;
	}
	request.owner->held_bytes += payload.length;
	return true;
}

// What became of the reply: kextd_reply.status. *load_tag: whose request it answers, when it answers one.
static s32 take_reply(Session &session, const kextd_reply &reply, u32 *load_tag) KEXTBRIDGE_EXCLUDES(core.requests)
{
	Payload payload;
	s32 result = kOSKextReturnNotFound;

	*load_tag = 0;
	if (!well_formed(reply))
		return kOSKextReturnInvalidArgument;
	if (reply.flags & (KEXTD_REPLY_DATA | KEXTD_REPLY_FD)) {
		u32 limit;
		{
			Guard guard(core.requests);
			Request *request = in_hand_locked(session, reply.id);

			if (!request)
				return kOSKextReturnNotFound;
			if (request->kind != Kind::Resource)
				return kOSKextReturnInvalidArgument;
			limit = request->max_length;
		}
		// Without the lock: cancel, deadline and another reply may win meanwhile.
		OSReturn copied = reply.flags & KEXTD_REPLY_DATA ?
					  payload_from_user(reply.data, reply.length, limit, &payload) :
					  payload_from_file(reply.fd, limit, &payload);

		if (copied)
			return copied;
	}
	{
		Guard guard(core.requests);
		Request *request = in_hand_locked(session, reply.id);

		if (request) {
			core.stats.replies++;
			*load_tag = request->owner ? request->owner->load_tag() : 0;
			if (accept_payload_locked(*request, payload)) {
				answer_locked(*request, reply.result, payload, true);
				return kOSReturnSuccess;
			}
			answer_locked(*request, kOSKextReturnNoResources, Payload(), true);
			result = kOSReturnSuccess;
		}
	}
	payload_free(payload.data);
	return result;
}

// *refused: one of them must be answered again.
static int take_replies(Session &session, kextd_exchange &args, bool *refused) KEXTBRIDGE_EXCLUDES(core.requests)
{
	u32 count = args.reply_count;

	args.reply_count = 0;
	for (u32 i = 0; i < count; i++) {
		u64 at = args.replies + i * sizeof(kextd_reply);
		kextd_reply reply;
		int err = shim_copy_from_user(&reply, at, sizeof(reply));

		if (err)
			return err;
		u32 load_tag;

		reply.status = take_reply(session, reply, &load_tag);
		shim_trace_reply(static_cast<u32>(reply.id), load_tag, reply.result, reply.length, reply.status);
		if (reply.status) {
			Guard guard(core.requests);

			if (reply.status == kOSKextReturnNotFound) {
				core.stats.late_replies++;
			} else {
				core.stats.bad_replies++;
				*refused = true;
			}
		}
		args.reply_count++;
		err = shim_copy_to_user(at + __builtin_offsetof(kextd_reply, status), &reply.status,
					sizeof(reply.status));
		if (err)
			return err;
	}
	return 0;
}

// ---- the call

static int wait_for_requests(Session &session) KEXTBRIDGE_EXCLUDES(core.requests)
{
	return core.fetch.wait_interruptible_exclusive([&] {
		Guard guard(core.requests);

		return !is_daemon_locked(session) || fetchable_locked(session);
	});
}

static int exchange(Session &session, kextd_exchange &args, u64 arg, bool nowait) KEXTBRIDGE_EXCLUDES(core.requests)
{
	bool refused = false;
	int err = take_replies(session, args, &refused);
	u32 replied = args.reply_count;

	while (!err && args.max_requests && !args.request_count) {
		err = fetch(session, args, arg);
		if (err || args.request_count)
			break;
		if (nowait || refused)
			return replied ? 0 : -SHIM_EAGAIN;
		err = wait_for_requests(session);
		if (err && replied)
			return 0; // the replies are in: the signal is the caller's own business
	}
	return err;
}

static void want_announcements(Session &session) KEXTBRIDGE_EXCLUDES(core.requests)
{
	Guard guard(core.requests);

	session.notify = true;
	if (core.shutdown && core.session == &session)
		announce_exit_locked();
}

static long daemon_ioctl(file *file, Session &session, unsigned int cmd, u64 arg) KEXTBRIDGE_EXCLUDES(core.requests)
{
	kextd_exchange args;
	int err;

	if (!shim_capable(SHIM_CAP_SYS_MODULE) || !shim_file_capable(file, SHIM_CAP_SYS_MODULE))
		return -SHIM_EPERM;
	if (!same_ioctl(cmd, KEXTD_IOC_EXCHANGE))
		return -SHIM_ENOTTY;
	{
		Guard guard(core.requests);

		if (!is_daemon_locked(session))
			return -SHIM_EOWNERDEAD;
	}
	err = get_struct(&args, arg);
	if (err)
		return err;
	if ((args.flags & ~(KEXTD_EXCHANGE_NOWAIT | KEXTD_EXCHANGE_NOTIFY)) || args.reserved ||
	    args.reply_count > KEXTD_EXCHANGE_MAX || args.max_requests > KEXTD_EXCHANGE_MAX || (args.requests & 7))
		return -SHIM_EINVAL;
	if (args.flags & KEXTD_EXCHANGE_NOTIFY)
		want_announcements(session);
	args.requests_used = args.request_count = 0;
	bool nowait = (args.flags & KEXTD_EXCHANGE_NOWAIT) || (shim_file_flags(file) & SHIM_O_NONBLOCK);

	err = exchange(session, args, arg, nowait);
	// With requests in it, fetch() has written it already; a second copy could fail and hide them.
	int put = args.request_count ? 0 : put_struct(arg, args, args.size);

	return err ? err : put;
}

} // namespace kextbridge

using namespace kextbridge;

extern "C" int kextbridge_daemon_open_c(struct file *, void **data)
{
	return open_session(data);
}

extern "C" void kextbridge_daemon_release_c(void *data)
{
	close_session(static_cast<Session *>(data));
}

extern "C" long kextbridge_daemon_ioctl_c(struct file *file, void *data, unsigned int cmd, u64 arg)
{
	return daemon_ioctl(file, *static_cast<Session *>(data), cmd, arg);
}

extern "C" unsigned int kextbridge_daemon_poll_c(struct file *file, void *data, struct poll_table_struct *table)
{
	Session &session = *static_cast<Session *>(data);

	core.fetch.poll(file, table);
	Guard guard(core.requests);

	if (!is_daemon_locked(session))
		return SHIM_EPOLLHUP;
	return fetchable_locked(session) ? SHIM_EPOLLIN : 0;
}
