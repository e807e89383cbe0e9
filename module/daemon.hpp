// SPDX-License-Identifier: GPL-2.0-only
// /dev/kextd: one open file is one session; at most one is the active daemon.
#pragma once

#include "core.hpp"

namespace kextbridge {

inline constexpr u32 kMaxInHand = 4096;
inline constexpr u32 kMaxAnnouncements = 4096;

// LOCKING: the table's guards all but the immutable field.
// OWNERSHIP: freed by release of its file; nothing else holds it: requests point to it only while it is active.
class Session final {
      public:
	explicit Session(pid *opener) : process(opener)
	{
		in_hand.init();
		notices.init();
	}

	pid *const process; // holds a reference
	List<Request, &Request::session_node> in_hand
		KEXTBRIDGE_GUARDED_BY(core_lock()); // Fetched, in the order of the fetches
	// Of these, without loads and unloads, which may take long and hold up nobody.
	u32 resources_in_hand KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	u32 suspects_in_hand KEXTBRIDGE_GUARDED_BY(core_lock()) = 0; // a daemon died over it: 0 or 1
	// Cancelled or timed out while in hand, and announcements: each holds a reference.
	List<Request, &Request::session_node> notices KEXTBRIDGE_GUARDED_BY(core_lock());
	// Of these, those that are not about a request.
	u32 announcements KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	bool notify KEXTBRIDGE_GUARDED_BY(core_lock()) = false; // it wants announcements
	// OWNERSHIP: this one's until it is announced: at shutdown nothing has to be allocated. Null: it has been.
	Request *exit KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;

	// Bounds what a daemon can take and never answer, and with it the work of its death.
	bool full_locked() const KEXTBRIDGE_REQUIRES(core_lock()) { return resources_in_hand >= kMaxInHand; }
	// A request over which a daemon died is in hand, alone.
	bool alone_locked() const KEXTBRIDGE_REQUIRES(core_lock()) { return suspects_in_hand > 0; }
};

// There is something to fetch for the active daemon now: wakes one of its threads.
void wake_daemon_locked() KEXTBRIDGE_REQUIRES(core.requests);

// Announces a kext's load or unload to the daemon, if there is one that wants to know.
// OWNERSHIP: moves the notice to it, or leaves it with the caller, who drops it after the lock.
void announce_locked(Ref<Request> &notice, Kext &kext) KEXTBRIDGE_REQUIRES(core.requests);
// The system goes down.
void announce_exit_locked() KEXTBRIDGE_REQUIRES(core.requests);

} // namespace kextbridge
