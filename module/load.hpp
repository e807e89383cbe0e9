// SPDX-License-Identifier: GPL-2.0-only
// Loads that the daemon is asked for (Kind::Load). They have no deadline and no owner; a driver hears nothing of
// their end, a program may wait for it (wait_done() in unload.hpp).
#pragma once

#include "core.hpp"

namespace kextbridge {

// CONTEXT: may sleep. Success: started already (or its start function has just run). Deferred: the daemon has been
// asked; *message (may be null) is then the load's. StartStopError, InvalidArgument, NoResources, NoMemory; Disabled: the
// system goes down, or there is no daemon and the caller wants to wait. flags: KEXTBRIDGE_LOAD_*.
OSReturn load_kext(const char *identifier, u32 length, u32 flags, Ref<Request> *message)
	KEXTBRIDGE_EXCLUDES(core.requests);

// The unload of this kext has ended: loads of it that waited go on.
void release_loads_locked(const Kext &kext) KEXTBRIDGE_REQUIRES(core.requests);

// There is such a load.
bool load_waits_locked(const Kext &kext) KEXTBRIDGE_REQUIRES(core.requests);
// The system goes down: those that the daemon has not fetched end now.
void refuse_loads_locked() KEXTBRIDGE_REQUIRES(core.requests);

void load_answered_locked(Request &load) KEXTBRIDGE_REQUIRES(core.requests);

} // namespace kextbridge
