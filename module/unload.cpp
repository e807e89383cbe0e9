// SPDX-License-Identifier: GPL-2.0-only
#include "unload.hpp"

#include "in_flight.hpp"
#include "load.hpp"
#include "text.hpp"
#include "shim/enforce.h"

namespace kextbridge {

constexpr u32 kScanPostponements = 5; // delays after which a scan comes, whatever happens
constexpr u32 kFlushBatch = 64;       // requests answered per hold of the lock
constexpr u8 kMaxBackoff = 6;         // failed deletes delay the next by at most 2^6 scans

static void scan_now_locked() KEXTBRIDGE_REQUIRES(core.requests);

static u64 autounload_delay_ns()
{
	u32 delay = read_once(kextbridge_params.autounload_delay_ms);

	// With 0 a scan that finds a busy kext would be due again at once, for ever.
	return (delay ? delay : 1) * kNanosecondsPerMs;
}

int wait_done(Request &message, OSReturn *result)
{
	return core.done.wait_killable([&] {
		Guard guard(core.requests);

		*result = message.result;
		return message.state == State::Finished;
	});
}

// ---- the unload of one kext

// *instances: how many of its objects are against it, and *cls, of KMOD_MAX_NAME bytes, the class of some of them.
OSReturn Kext::may_unload_locked(u32 unload_flags, u32 *instances, char *cls) const
{
	bool if_idle = unload_flags & KEXTBRIDGE_UNLOAD_IF_IDLE;
	bool only_stop = unload_flags & KEXTBRIDGE_UNLOAD_STOP_ONLY;
	const char *name = nullptr;

	if (state == KextState::Gone)
		return kOSKextReturnNotFound;
	if (unload || (state != KextState::Started && state != KextState::Loaded))
		return kOSKextReturnInUse;
	if (core.shutdown && !only_stop)
		return kOSKextReturnDisabled;
	if (retains || (if_idle && pending) || shim_module_refcount(module) != own_references_locked())
		return kOSKextReturnInUse;
	*instances = instances_locked(&name);
	if (*instances) {
		// SAFETY: the name is in the module's memory, which may go after the lock.
		if (name)
			__builtin_memcpy(cls, name, text_length(name, KMOD_MAX_NAME - 1));
		return kOSKextReturnInUse;
	}
	return core.session || only_stop ? kOSReturnSuccess : kOSKextReturnDisabled;
}

OSReturn Kext::begin_unload(u32 unload_flags, bool automatically, Ref<Request> *message_out)
{
	Ref<Request> message = Request::make(Kind::Unload, identifier, text_length(identifier, sizeof(identifier)),
					     module_name, text_length(module_name, sizeof(module_name)),
					     SHIM_GFP_KERNEL);
	char cls[KMOD_MAX_NAME] = {};
	u32 instances = 0;
	OSReturn result;

	if (!message)
		return kOSKextReturnNoMemory;
	{
		Guard guard(core.requests);

		result = allocate_tag_locked(*message);
		if (result)
			return result;
		result = may_unload_locked(unload_flags, &instances, cls);
		if (result || ((unload_flags & KEXTBRIDGE_UNLOAD_STOP_ONLY) && state == KextState::Loaded)) {
			free_tag_locked(*message);
		} else {
			begin_unload_locked(*message, unload_flags, automatically);
			*message_out = Ref<Request>::retain(message.get());
		}
	}
	if (instances)
		shim_pr_warn_ratelimited("%s: cannot be unloaded: %u of its objects live, among them of class %s",
					 identifier, instances, cls);
	return result;
}

void Kext::begin_unload_locked(Request &message, u32 unload_flags, bool automatically)
{
	message.get(); // OWNERSHIP: the table's
	get();         // OWNERSHIP: the message's
	publish_locked(message, this, 0, false);
	message.get(); // OWNERSHIP: unload's, dropped by finish_unload_locked()
	unload = &message;
	automatic = automatically;
	stop_only = unload_flags & KEXTBRIDGE_UNLOAD_STOP_ONLY;
	// Flushing: no new requests; the worker flushes the old ones.
	set_state_locked(state == KextState::Started ? KextState::Flushing : KextState::Stopped);
	life_work_.queue(core.workqueue);
}

// In state Flushing: every request that still waits for the daemon is called back now, and the last callback has
// returned when this does.
void Kext::flush()
{
	OSReturn result = read_once(kextbridge_params.unload_stopping) ? kOSKextReturnStopping : kOSKextReturnTimeout;
	u32 left;
	{
		Guard guard(core.requests);

		left = pending;
	}
	while (left) {
		Guard guard(core.requests);

		for (u32 i = 0; i < kFlushBatch && left; i++, left--) {
			Request *request = live.front();

			if (!request) {
				left = 0;
				break;
			}
			// To the back: each is looked at once, in the order of their issue.
			request->owner_node.unlink();
			live.push_back(*request);
			if (request->state == State::Pending || request->state == State::Fetched)
				answer_locked(*request, result, Payload(), false);
		}
	}
	core.barrier.wait([&] {
		Guard guard(core.requests);

		return live.empty() && !running;
	});
}

void Kext::life_fn(void *kext)
{
	static_cast<Kext *>(kext)->advance();
}

void Kext::advance()
{
	bool flushing;
	bool wanted;
	bool answered_already;
	bool handed_over;
	{
		Guard guard(core.requests);

		flushing = state == KextState::Flushing;
		wanted = state == KextState::Loaded && !unload && load_waits_locked(*this);
	}
	if (wanted) {
		start_for_loads();
		return;
	}
	if (flushing && !stop())
		return;
	{
		Guard guard(core.requests);

		if (!unload || state != KextState::Stopped)
			return;
		answered_already = unload->state == State::Answered;
		// Another unload may have begun between the queueing of this work and its run.
		handed_over = unload->state == State::Fetched || unload->queue_node.linked();
	}
	if (answered_already)
		conclude();
	else if (!handed_over)
		hand_over();
}

// Flushing -> Stopped, or back to Started when the stop function refuses. False: nothing more is to be done.
bool Kext::stop()
{
	OSReturn result = flush_and_stop();
	Guard guard(core.requests);

	if (!result && stop_only) {
		set_state_locked(KextState::Loaded);
		finish_unload_locked(kOSReturnSuccess);
		return false;
	}
	if (!result) {
		set_state_locked(KextState::Stopped);
		return true;
	}
	set_state_locked(KextState::Started);
	finish_unload_locked(kOSKextReturnStartStopError);
	if (autounload) {
		not_before_ns = shim_ktime_get_ns() + autounload_delay_ns();
		arm_next_scan_locked(shim_ktime_get_ns());
	}
	return false;
}

// Of a kext that was stopped and stays loaded: loads that came meanwhile want it started.
void Kext::start_for_loads()
{
	(void)restart_loaded();
	Guard guard(core.requests);

	// Another unload has begun: its end looks after them.
	if (!unload)
		release_loads_locked(*this);
}

OSReturn Kext::flush_and_stop()
{
	flush();
	{
		Guard guard(core.requests);

		set_state_locked(KextState::Stopping);
	}
	OSReturn result = info->stop(info, nullptr);

	shim_trace_stop(tag, identifier, result);
	return result;
}

// The base reference first: the daemon may be quick.
void Kext::hand_over()
{
	if (!plain_rmmod())
		shim_module_put(module);
	Guard guard(core.requests);

	if (!unload || state != KextState::Stopped)
		return; // module exit was quicker, and has finished the unload
	if (core.session && !core.shutdown) {
		// A daemon that hangs over it does not keep the kext stopped for ever.
		set_deadline_locked(*unload, read_once(kextbridge_params.request_timeout_ms));
		queue_locked(*unload);
	} else {
		answer_locked(*unload, kOSKextReturnDisabled, Payload(), false);
	}
}

// answer_locked() says how deep. NOLINTNEXTLINE(misc-no-recursion)
void Kext::unload_answered_locked()
{
	if (state != KextState::Gone) {
		life_work_.queue(core.workqueue);
		return;
	}
	finish_unload_locked(kOSReturnSuccess);
	// The module is deleted: what it depended on may be idle now.
	scan_now_locked();
}

// The daemon has answered and the kext is still here.
// SAFETY: its module is, too: module exit waits for this work.
void Kext::conclude()
{
	OSReturn result;

	if (!plain_rmmod() && !shim_try_module_get(module))
		return; // it is being deleted: module exit finishes the unload
	{
		Guard guard(core.requests);

		// Module exit of a KEXT_PLAIN_RMMOD kext may be quicker, and finishes the unload.
		if (!unload || state != KextState::Stopped)
			return;
		result = unload->result ? unload->result : kOSKextReturnInternalError;
		set_state_locked(KextState::Starting);
		if (failures < kMaxBackoff)
			failures++;
		not_before_ns = shim_ktime_get_ns() + (autounload_delay_ns() << failures);
	}
	shim_pr_info("%s: could not be deleted (0x%08x), starting it again", identifier, result);
	(void)restart();
	Guard guard(core.requests);

	finish_unload_locked(result);
}

// In state Starting, of a kext that was stopped: Started, or Loaded.
OSReturn Kext::restart()
{
	OSReturn result = start();

	if (!result)
		return kOSReturnSuccess;
	shim_pr_warn_ratelimited("%s: start function failed: 0x%08x; it stays loaded, not started", identifier, result);
	{
		Guard guard(core.requests);

		set_state_locked(KextState::Failed);
	}
	discard_requests();
	Guard guard(core.requests);

	// ORDER: from here on it may be started again, and what it requests then is not to be discarded.
	set_state_locked(KextState::Loaded);
	return kOSKextReturnStartStopError;
}

// answer_locked() says how deep. NOLINTNEXTLINE(misc-no-recursion)
void Kext::finish_unload_locked(OSReturn result)
{
	Request *message = unload;

	// Module exit, which waits for the state only, may have finished it meanwhile.
	if (!message)
		return;
	unload = nullptr;
	if (!take_locked(*message))
		return;
	message->result = result;
	if (!result && !stop_only) {
		core.stats.unloads++;
		if (automatic)
			core.stats.autounloads++;
	}
	Ref<Request> table = forget_locked(*message);
	Ref<Request> own = Ref<Request>::adopt(message);

	core.done.wake_all();
	if (stop_only && state == KextState::Loaded && load_waits_locked(*this))
		life_work_.queue(core.workqueue);
	else
		release_loads_locked(*this);
}

// Module exit has taken the kext off the registry.
void Kext::unload_gone_locked()
{
	// With the message in the daemon's hands its reply is still to come.
	if (unload && unload->state != State::Fetched)
		finish_unload_locked(kOSReturnSuccess);
}

OSReturn Kext::restart_loaded()
{
	{
		Guard guard(core.requests);

		if (state != KextState::Loaded)
			return kOSKextReturnDeferred;
		set_state_locked(KextState::Starting);
	}
	return restart();
}

// Module exit: Gone when nobody has to stop it any more, else Flushing. An unload or a start that runs (rmmod -f gets
// past references) decides first.
KextState Kext::enter_exit()
{
	KextState next = KextState::Gone;

	core.done.wait([&] {
		Guard guard(core.requests);

		if (state != KextState::Started && state != KextState::Stopped && state != KextState::Loaded)
			return false;
		next = state == KextState::Started ? KextState::Flushing : KextState::Gone;
		set_state_locked(next);
		return true;
	});
	return next;
}

void Kext::unload_from_exit(kmod_info_t *ki)
{
	Ref<Kext> kext;
	{
		Guard guard(core.requests);

		kext = Ref<Kext>::retain(find_kext_locked(ki->id));
	}
	if (!kext)
		return;
	if (kext->enter_exit() == KextState::Flushing) {
		OSReturn result = kext->flush_and_stop();

		if (result)
			shim_pr_warn_ratelimited("%s: stop function refused (0x%08x), but its module is being removed",
						 kext->identifier, result);
	}
	kext->leave_registry();
}

// ---- autounload

static void arm_scan_work_locked(u64 now_ns) KEXTBRIDGE_REQUIRES(core.requests)
{
	core.scan_work.arm(core.workqueue, core.scan_due_ns > now_ns ? core.scan_due_ns - now_ns : 0);
}

void arm_scan_locked(Kext &released)
{
	u64 now = shim_ktime_get_ns();

	released.not_before_ns = now + autounload_delay_ns();
	if (core.asleep || core.shutdown)
		return;

	// Also when the one that is armed is for a kext that waits much longer.
	if (!core.scan_armed || core.scan_due_ns > released.not_before_ns) {
		core.scan_armed = true;
		core.scan_limit_ns = now + kScanPostponements * autounload_delay_ns();
		core.scan_due_ns = released.not_before_ns;
		arm_scan_work_locked(now);
		return;
	}
	postpone_scan_locked(now);
}

// Only the time is moved: the work looks at it when it comes, and sleeps on.
void postpone_scan_locked(u64 now_ns)
{
	if (!core.scan_armed)
		return;
	u64 due = now_ns + autounload_delay_ns();

	due = due < core.scan_limit_ns ? due : core.scan_limit_ns;
	if (due > core.scan_due_ns)
		core.scan_due_ns = due;
}

static void scan_now_locked()
{
	if (core.asleep || core.shutdown)
		return;
	core.scan_armed = true;
	core.scan_due_ns = core.scan_limit_ns = shim_ktime_get_ns();
	arm_scan_work_locked(core.scan_due_ns);
}

void daemon_came_locked()
{
	if (!core.scan_waiting)
		return;
	core.scan_waiting = false;
	scan_now_locked();
}

void refuse_unloads_locked()
{
	for (Kext *kext = core.kexts.front(); kext; kext = core.kexts.next(*kext))
		if (kext->state == KextState::Stopped && kext->unload && kext->unload->state == State::Pending &&
		    kext->unload->queue_node.linked())
			answer_locked(*kext->unload, kOSKextReturnDisabled, Payload(), false);
}

// Wants to leave by itself, and nothing but time is against it.
static bool candidate_locked(const Kext &kext) KEXTBRIDGE_REQUIRES(core.requests)
{
	return kext.autounload && kext.state == KextState::Started && !kext.retains;
}

static bool idle_locked(const Kext &kext, u64 now_ns) KEXTBRIDGE_REQUIRES(core.requests)
{
	return candidate_locked(kext) && !kext.pending && !kext.running && kext.not_before_ns <= now_ns &&
	       !kext.instances_locked(nullptr) && shim_module_refcount(kext.module) == kext.own_references_locked();
}

// The newest idle kext below a tag: it may depend on older ones.
static Kext *newest_idle_locked(u32 below, u64 now_ns) KEXTBRIDGE_REQUIRES(core.requests)
{
	Kext *newest = nullptr;

	for (Kext *kext = core.kexts.front(); kext && kext->tag < below; kext = core.kexts.next(*kext))
		if (idle_locked(*kext, now_ns))
			newest = kext;
	return newest;
}

// A kext that was to leave goes on waiting, and a full delay from when the system is back, however short it slept.
void sleep_locked()
{
	core.asleep = true;
	core.scan_armed = core.scan_waiting = false;
}

void wake_up_locked()
{
	u64 now = shim_ktime_get_ns();

	core.asleep = false;
	for (Kext *kext = core.kexts.front(); kext; kext = core.kexts.next(*kext))
		if (candidate_locked(*kext))
			kext->not_before_ns = now + autounload_delay_ns();
	arm_next_scan_locked(now);
}

void arm_next_scan_locked(u64 now_ns)
{
	u64 due = 0;

	if (core.scan_armed || core.asleep || core.shutdown)
		return;
	for (Kext *kext = core.kexts.front(); kext; kext = core.kexts.next(*kext)) {
		if (!candidate_locked(*kext))
			continue;
		u64 at = kext->not_before_ns > now_ns ? kext->not_before_ns : now_ns + autounload_delay_ns();

		if (!due || at < due)
			due = at;
	}
	if (!due)
		return;
	core.scan_armed = true;
	core.scan_due_ns = due;
	core.scan_limit_ns = due + kScanPostponements * autounload_delay_ns();
	arm_scan_work_locked(now_ns);
}

void scan_for_idle_kexts()
{
	{
		Guard guard(core.requests);
		u64 now = shim_ktime_get_ns();

		if (!core.scan_armed)
			return;
		if (core.scan_due_ns > now) {
			arm_scan_work_locked(now);
			return;
		}
		core.scan_armed = false;
		if (!core.session) {
			core.scan_waiting = true;
			return;
		}
	}
	for (u32 below = kOSKextInvalidLoadTag;;) {
		Ref<Kext> idle;
		Ref<Request> message;
		{
			Guard guard(core.requests);
			u64 now = shim_ktime_get_ns();

			idle = Ref<Kext>::retain(newest_idle_locked(below, now));
			if (!idle) {
				arm_next_scan_locked(now);
				return;
			}
			below = idle->tag;
			if (idle->delayed) {
				idle->delayed = false;
				changed_locked();
				continue;
			}
		}
		// InUse is an answer too: somebody was quicker.
		(void)idle->begin_unload(KEXTBRIDGE_UNLOAD_IF_IDLE, true, &message);
	}
}

} // namespace kextbridge
