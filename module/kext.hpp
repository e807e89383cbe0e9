// SPDX-License-Identifier: GPL-2.0-only
// A driver module: identity, state, retain count, callback queue.
#pragma once

#include "base/annotate.hpp"
#include "base/list.hpp"
#include "base/lock.hpp"
#include "base/work.hpp"
#include "kextbridge/instance.h"
#include "kextbridge/kext.h"
#include "request.hpp"
#include "uapi/kextbridge.h"

namespace kextbridge {

// Starting -> Started -> Flushing -> Stopping -> Stopped -> Gone
//   Starting -> Gone: start failed at load. Flushing, Stopping -> Started: stop refused.
//   Stopped -> Starting: the module could not be deleted. Stopping -> Loaded: stopped, and not to be unloaded.
//   Starting -> Failed -> Loaded: a start that failed, and was not the first; what it requested goes in between.
//   Loaded -> Starting | Stopped.
// Callbacks run in Started and Flushing only.
// selftests/model/kext.pml has all of this for a model checker: it follows a change.
enum class KextState : u8 { Starting, Started, Flushing, Stopping, Stopped, Loaded, Failed, Gone };

// LOCKING: the table's guards every field but the immutable ones.
// OWNERSHIP: core.kexts_by_tag holds one reference until the kext is Gone; each request and each call that works
// on it without the lock holds its own. Its works are flushed before it becomes Gone for good.
class Kext final : public Owner {
	void dispose() override;
	void answered_locked() override KEXTBRIDGE_REQUIRES(core_lock());
	Kext *kext() override { return this; }

	Work callback_work_;
	Work life_work_;

	bool callbacks_allowed_locked() const KEXTBRIDGE_REQUIRES(core_lock())
	{
		return state == KextState::Started || state == KextState::Flushing;
	}
	OSReturn register_kext() KEXTBRIDGE_EXCLUDES(core_lock());
	void list_by_tag_locked() KEXTBRIDGE_REQUIRES(core_lock());
	OSReturn start() KEXTBRIDGE_EXCLUDES(core_lock());
	void discard_requests() KEXTBRIDGE_EXCLUDES(core_lock());
	void leave_registry() KEXTBRIDGE_EXCLUDES(core_lock());

	// unload.cpp
	OSReturn may_unload_locked(u32 unload_flags, u32 *instances, char *cls) const KEXTBRIDGE_REQUIRES(core_lock());
	void begin_unload_locked(Request &message, u32 unload_flags, bool automatic) KEXTBRIDGE_REQUIRES(core_lock());
	void flush() KEXTBRIDGE_EXCLUDES(core_lock());
	void advance() KEXTBRIDGE_EXCLUDES(core_lock());
	bool stop() KEXTBRIDGE_EXCLUDES(core_lock());
	void start_for_loads() KEXTBRIDGE_EXCLUDES(core_lock());
	OSReturn flush_and_stop() KEXTBRIDGE_EXCLUDES(core_lock());
	OSReturn restart() KEXTBRIDGE_EXCLUDES(core_lock());
	KextState enter_exit() KEXTBRIDGE_EXCLUDES(core_lock());
	void hand_over() KEXTBRIDGE_EXCLUDES(core_lock());
	void conclude() KEXTBRIDGE_EXCLUDES(core_lock());
	void finish_unload_locked(OSReturn result) KEXTBRIDGE_REQUIRES(core_lock());
	void unload_gone_locked() KEXTBRIDGE_REQUIRES(core_lock());

	static void callback_fn(void *kext);
	static void life_fn(void *kext);
	void run_callbacks() KEXTBRIDGE_EXCLUDES(core_lock());

      public:
	Kext(kmod_info_t *ki, struct module *module, u32 flags);

	u32 load_tag() const override { return tag; }

	// CONTEXT: module init. 0 or negative errno.
	static int load(kmod_info_t *ki, struct module *module, u32 flags) KEXTBRIDGE_EXCLUDES(core_lock());
	// CONTEXT: module exit.
	static void unload_from_exit(kmod_info_t *ki) KEXTBRIDGE_EXCLUDES(core_lock());
	// Runs the start function of a Loaded kext on the caller's thread. Success, StartStopError, or Deferred when
	// it is not Loaded any more.
	OSReturn restart_loaded() KEXTBRIDGE_EXCLUDES(core_lock());
	// unload.cpp: starts an unload and returns the message whose end is the unload's; null with Success: there is
	// nothing to do. flags: KEXTBRIDGE_UNLOAD_*. automatic: by the scan.
	OSReturn begin_unload(u32 unload_flags, bool automatic, Ref<Request> *message) KEXTBRIDGE_EXCLUDES(core_lock());
	void set_state_locked(KextState next) KEXTBRIDGE_REQUIRES(core_lock());
	void unload_answered_locked() KEXTBRIDGE_REQUIRES(core_lock());

	// LOCKING: the table's, held.
	OSReturn retain_locked() KEXTBRIDGE_REQUIRES(core_lock());
	OSReturn release_locked() KEXTBRIDGE_REQUIRES(core_lock());
	// Objects of the kext's classes that live; *name (may be null): a class that has some.
	u32 instances_locked(const char **name) const KEXTBRIDGE_REQUIRES(core_lock());
	// Something that the kext should not do, or nobody to it.
	void note_misuse_locked() KEXTBRIDGE_REQUIRES(core_lock());

	// Waits until request's callback has returned. From inside any callback it does not wait.
	void wait_for_callback(const Request &request) KEXTBRIDGE_EXCLUDES(core_lock());
	static bool in_callback() { return Work::running(callback_fn); }

	// immutable
	kmod_info_t *const info;
	struct module *const module;
	const u32 flags;
	u32 tag = 0;
	unsigned long text_start = 0;
	unsigned long text_end = 0;
	char identifier[KMOD_MAX_NAME] = {};
	char version[KMOD_MAX_NAME] = {};
	char module_name[KEXTBRIDGE_MODULE_SIZE] = {};

	ListNode node KEXTBRIDGE_GUARDED_BY(core_lock()); // core.kexts
	KextState state KEXTBRIDGE_GUARDED_BY(core_lock()) = KextState::Starting;
	bool autounload KEXTBRIDGE_GUARDED_BY(core_lock()) = false;
	bool automatic KEXTBRIDGE_GUARDED_BY(core_lock()) = false; // the unload that runs was the scan's
	u8 failures KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;        // deletes that failed in a row
	bool stop_only KEXTBRIDGE_GUARDED_BY(core_lock()) = false; // the unload that runs ends when it is stopped
	bool delayed KEXTBRIDGE_GUARDED_BY(core_lock()) = false;   // the next scan that would take it does not
	u32 retains KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	// SAFETY: in the module's memory: null again before that goes.
	kextbridge_class *classes KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;
	u32 refused KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;            // calls that were misuse
	u64 not_before_ns KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;      // no scan takes it earlier
	Request *running KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr; // whose callback runs now
	Request *unload KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr; // the unload message while an unload is under way
	// OWNERSHIP: made at load, so that its unload needs no memory; announced when the kext is Gone.
	Request *unloaded_notice KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;

	bool plain_rmmod() const { return flags & KEXTBRIDGE_KEXT_PLAIN_RMMOD; }
	// The module's count when nobody but us refers to it.
	int own_references_locked() const KEXTBRIDGE_REQUIRES(core_lock())
	{
		return plain_rmmod() ? (retains ? 1 : 0) : 1;
	}
};

// Which kext an address in module text belongs to: a sorted array, replaced whole.
class TextMap final {
	struct Range {
		unsigned long start;
		unsigned long end;
		Kext *kext;
	};
	Range *ranges_ KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;
	u32 count_ KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	u32 capacity_ KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;

      public:
	// CONTEXT: may sleep; the lock is not held. Room for `capacity` ranges, or null.
	static void *allocate(u32 capacity) KEXTBRIDGE_EXCLUDES(core_lock());
	// Copies into the larger room and returns the old one, to be freed after the lock.
	void *grow_locked(void *room, u32 capacity) KEXTBRIDGE_REQUIRES(core_lock());
	bool full_locked() const KEXTBRIDGE_REQUIRES(core_lock()) { return count_ == capacity_; }
	u32 count_locked() const KEXTBRIDGE_REQUIRES(core_lock()) { return count_; }
	void insert_locked(Kext &kext) KEXTBRIDGE_REQUIRES(core_lock());
	void remove_locked(Kext &kext) KEXTBRIDGE_REQUIRES(core_lock());
	// O(log n). Null: no kext's text.
	Kext *find_locked(unsigned long address) const KEXTBRIDGE_REQUIRES(core_lock());
	void destroy() KEXTBRIDGE_UNCHECKED; // at module exit: nobody else can see it
};

// LOCKING: the table's, held. Null when there is none.
Kext *find_kext_locked(u32 load_tag) KEXTBRIDGE_REQUIRES(core_lock());
Kext *find_kext_locked(const char *identifier) KEXTBRIDGE_REQUIRES(core_lock());

} // namespace kextbridge
