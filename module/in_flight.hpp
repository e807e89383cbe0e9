// SPDX-License-Identifier: GPL-2.0-only
// Requests on their way: into the table, to the daemon, back, and out of it. All state changes of a request are
// in in_flight.cpp.
//
// CONTEXT: functions named _locked are called with the table's lock held and neither sleep nor allocate
// (publish_locked says otherwise).
#pragma once

#include "core.hpp"

namespace kextbridge {

// Gives the request a tag and a deadline (timeout_ms 0: none) and puts it into the table; with `queue` also into
// the daemon's queue. Success, NoResources (no tag is free) or NoMemory.
// LOCKING: may drop and take the lock again before it publishes; after it has returned Success the lock was held since.
// OWNERSHIP: takes over one reference to request and one to owner (may be null) on success.
OSReturn allocate_tag_locked(Request &request) KEXTBRIDGE_REQUIRES(core.requests);
// Undoes it for a request that is not published.
void free_tag_locked(Request &request) KEXTBRIDGE_REQUIRES(core.requests);
void publish_locked(Request &request, Owner *owner, u32 timeout_ms, bool queue) KEXTBRIDGE_REQUIRES(core.requests);

// Hands a published request that was not queued yet to the daemon's queue.
void queue_locked(Request &request) KEXTBRIDGE_REQUIRES(core.requests);

// From now on, in ms; 0: none. A request that is Pending or Fetched then is answered with Timeout.
void set_deadline_locked(Request &request, u32 timeout_ms) KEXTBRIDGE_REQUIRES(core.requests);

// Pending -> Fetched, into the hands of the active daemon.
void fetch_locked(Request &request) KEXTBRIDGE_REQUIRES(core.requests);

// Fetched -> Pending, at the head of the queue.
void requeue_locked(Request &request) KEXTBRIDGE_REQUIRES(core.requests);

// Pending or Fetched -> Answered, and whoever waits for it is told. by_daemon: no notice is owed.
// OWNERSHIP: takes over the payload.
void answer_locked(Request &request, s32 result, Payload payload, bool by_daemon) KEXTBRIDGE_REQUIRES(core.requests);

// The one way out: true for exactly one caller per request, who finishes it.
[[nodiscard]] bool take_locked(Request &request) KEXTBRIDGE_REQUIRES(core.requests);

// Takes a Finished request out of the table. The caller drops the reference after the lock.
[[nodiscard]] Ref<Request> forget_locked(Request &request) KEXTBRIDGE_REQUIRES(core.requests);

// Null when there is none with this tag.
Request *find_locked(u32 tag) KEXTBRIDGE_REQUIRES(core.requests);

// The deadline timer's work.
void expire_deadlines() KEXTBRIDGE_EXCLUDES(core.requests);

} // namespace kextbridge
