// SPDX-License-Identifier: GPL-2.0-only
// How a kext leaves: the unload that somebody asked for, the autounload scan, module exit.
//
//   begin_unload()   the asker's thread   checks; Started -> Flushing; pending requests are answered Timeout
//   advance          a worker             waits for the callbacks; stop function; Stopped, base reference dropped, the
//                                         message goes to the daemon
//   module exit      the daemon's delete_module()   Stopped -> Gone; the works are waited for, and a grace period for who
//                                         is still on the way out of the kext's text
//   reply            the daemon           the message is answered
//   advance          a worker             not Gone: base reference again, start function; the asker learns the result
//
// The message (Kind::Unload) stands for the whole unload: it is Finished when the unload is.
#pragma once

#include "core.hpp"

namespace kextbridge {

// Waits, killably, for the end of an unload or a load, and says what its result was. 0 or -ERESTARTSYS.
int wait_done(Request &message, OSReturn *result) KEXTBRIDGE_EXCLUDES(core.requests);

// A release has happened: a scan in autounload_delay_ms.
void arm_scan_locked(Kext &released) KEXTBRIDGE_REQUIRES(core.requests);
// A request was made: an armed scan comes later.
void postpone_scan_locked(u64 now_ns) KEXTBRIDGE_REQUIRES(core.requests);
// Another scan, if none is armed, for those that were busy, refused or too young.
void arm_next_scan_locked(u64 now_ns) KEXTBRIDGE_REQUIRES(core.requests);
// A scan that waited for a daemon need not wait any more.
void daemon_came_locked() KEXTBRIDGE_REQUIRES(core.requests);
// A daemon's file is gone, or the system goes down: what was to be deleted and is not in its hands is started again.
void refuse_unloads_locked() KEXTBRIDGE_REQUIRES(core.requests);
// The system is being suspended: no scan. It is back: another scan.
void sleep_locked() KEXTBRIDGE_REQUIRES(core.requests);
void wake_up_locked() KEXTBRIDGE_REQUIRES(core.requests);
// scan_work
void scan_for_idle_kexts() KEXTBRIDGE_EXCLUDES(core.requests);

} // namespace kextbridge
