// SPDX-License-Identifier: GPL-2.0-only
// The one static object: what all parts share. Each member says which file owns it.
//
// LOCKING: core.requests' lock (the table's) guards all requests, kexts, sessions, program files and counters.
// Taken inside it: kexts_by_tag's lock, the locks of wait queues and workqueues.
#pragma once

#include "base/list.hpp"
#include "base/lock.hpp"
#include "base/once.hpp"
#include "base/wait.hpp"
#include "base/work.hpp"
#include "kext.hpp"
#include "request.hpp"
#include "uapi/kextbridge.h"

namespace kextbridge {

class Session;

// An identifier that somebody has asked to load. OWNERSHIP: core.asked_loads', until module exit.
struct AskedLoad {
	ListNode node;
	char identifier[KEXTBRIDGE_IDENTIFIER_SIZE];
};

inline constexpr u64 kNanosecondsPerMs = 1000000;

struct Core {
	Table requests; // by tag
	workqueue_struct *workqueue = nullptr;

	// in_flight.cpp
	u32 next_tag KEXTBRIDGE_GUARDED_BY(requests) = 1;
	u32 tag_wraps KEXTBRIDGE_GUARDED_BY(requests) = 0;
	u32 tags_live KEXTBRIDGE_GUARDED_BY(requests) = 0;
	bool shutdown KEXTBRIDGE_GUARDED_BY(requests) = false; // the system goes down: nothing new for the daemon
	List<Request, &Request::queue_node> pending KEXTBRIDGE_GUARDED_BY(requests);
	timerqueue_head deadlines KEXTBRIDGE_GUARDED_BY(requests);
	u64 deadline_armed_ns KEXTBRIDGE_GUARDED_BY(requests) = 0; // 0: not armed
	DelayedWork deadline_work;
	WaitQueue done; // an unload or a load has finished

	// daemon.cpp
	Session *session KEXTBRIDGE_GUARDED_BY(requests) = nullptr; // the active daemon
	WaitQueue fetch;                                            // its sleeping threads

	// kext.cpp
	// LOCKING: entries are erased under requests' lock, with this one inside it; so under requests' lock a
	// look-up needs no other.
	Table kexts_by_tag KEXTBRIDGE_ACQUIRED_AFTER(requests);
	u32 next_load_tag KEXTBRIDGE_GUARDED_BY(kexts_by_tag) = 1;
	List<Kext, &Kext::node> kexts KEXTBRIDGE_GUARDED_BY(requests); // in the order of load tags
	TextMap texts KEXTBRIDGE_GUARDED_BY(requests);
	WaitQueue barrier; // a callback has returned

	// kext_alloc.cpp
	// LOCKING: its lock is taken alone.
	Table ranges; // pages in each, by the number of the first

	// unload.cpp
	DelayedWork scan_work;
	bool scan_armed KEXTBRIDGE_GUARDED_BY(requests) = false;
	bool scan_waiting KEXTBRIDGE_GUARDED_BY(requests) = false; // due, but there is no daemon
	bool asleep KEXTBRIDGE_GUARDED_BY(requests) = false;       // the system is suspended, or about to be: no scan
	u64 scan_due_ns KEXTBRIDGE_GUARDED_BY(requests) = 0;
	u64 scan_limit_ns KEXTBRIDGE_GUARDED_BY(requests) = 0; // no postponing beyond this

	// load.cpp
	List<Request, &Request::owner_node> loads KEXTBRIDGE_GUARDED_BY(requests);
	u32 load_count KEXTBRIDGE_GUARDED_BY(requests) = 0;
	u32 asked_load_count KEXTBRIDGE_GUARDED_BY(requests) = 0;
	List<AskedLoad, &AskedLoad::node> asked_loads KEXTBRIDGE_GUARDED_BY(requests); // the oldest first

	// view.cpp
	kextbridge_status stats KEXTBRIDGE_GUARDED_BY(requests) = {};
	WaitQueue watchers;
};

extern Core core;

Table &core_lock() KEXTBRIDGE_RETURN_CAPABILITY(core.requests);

// LOCKING: the table's. Something that `kextctl list` or `status` shows has changed.
void changed_locked() KEXTBRIDGE_REQUIRES(core.requests);

} // namespace kextbridge
