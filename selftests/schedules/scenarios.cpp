// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios.hpp"

namespace schedules {

namespace {

template <unsigned int Actors> void one_request()
{
	request_scenario(Actors);
}

} // namespace

const Scenario scenarios[] = {
	{"one-c", one_request<kDaemon | kCancel>, 2, 3, 1, "cancel"},
	{"one-ctk", one_request<kDaemon | kCancel | kClock | kCrash>, 2, 3, -1, "cancel, deadline, daemon death"},
	{"one-ctu", one_request<kDaemon | kCancel | kClock | kUnload>, 2, 3, 0, "cancel, deadline, unload"},
	{"one-cxu", one_request<kDaemon | kCancel | kDeath | kUnload>, 2, 3, 0,
	 "cancel, daemon death, no second, unload"},
	{"one-txu", one_request<kDaemon | kClock | kDeath | kUnload>, 2, 3, -1,
	 "deadline, daemon death, no second, unload"},
	{"one-cku", one_request<kDaemon | kCancel | kCrash | kUnload>, 2, 3, -1, "cancel, daemon death, unload"},
	{"one-tku", one_request<kDaemon | kClock | kCrash | kUnload>, 2, 3, -1, "deadline, daemon death, unload"},
	{"one-cun", one_request<kDaemon | kCancel | kUnload | kRetain>, 2, 3, -1, "cancel, unload, retain"},
	{"one-ctn", one_request<kDaemon | kCancel | kClock | kRetain>, 2, 3, -1, "cancel, deadline, retain"},
	{"one-ckn", one_request<kDaemon | kCancel | kCrash | kRetain>, 2, 3, -1, "cancel, daemon death, retain"},
	{"one-tkn", one_request<kDaemon | kClock | kCrash | kRetain>, 2, 3, -1, "deadline, daemon death, retain"},
	{"one-tun", one_request<kDaemon | kClock | kUnload | kRetain>, 2, 3, -1, "deadline, unload, retain"},
	{"one-kun", one_request<kDaemon | kCrash | kUnload | kRetain>, 2, 3, -1, "daemon death, unload, retain"},
	{"one-ctr", one_request<kDaemon | kCancel | kClock | kSecondReply>, 2, 3, 0, "cancel, deadline, second reply"},
	{"one-crk", one_request<kDaemon | kCancel | kSecondReply | kCrash>, 2, 3, -1,
	 "cancel, second reply, daemon death"},
	{"one-trk", one_request<kDaemon | kClock | kSecondReply | kCrash>, 2, 3, -1,
	 "deadline, second reply, daemon death"},
	{"one-cru", one_request<kDaemon | kCancel | kSecondReply | kUnload>, 2, 3, -1, "cancel, second reply, unload"},
	{"one-ctf", one_request<kDaemon | kCancel | kClock | kCopyFails>, 2, 3, 0, "cancel, deadline, failing copy"},
	{"one-ckf", one_request<kDaemon | kCancel | kCrash | kCopyFails>, 2, 3, -1,
	 "cancel, daemon death, failing copy"},
	{"one-cuf", one_request<kDaemon | kCancel | kUnload | kCopyFails>, 2, 3, -1, "cancel, unload, failing copy"},
	{"one-ctku", one_request<kDaemon | kCancel | kClock | kCrash | kUnload>, 1, 2, -1,
	 "cancel, deadline, daemon death, unload"},
	{"one-ctrkunf",
	 one_request<kDaemon | kCancel | kClock | kSecondReply | kCrash | kUnload | kRetain | kCopyFails>, 0, 0, -1,
	 "cancel, deadline, second reply, daemon death, unload, retain, failing copy"},
	{"two-cancel", two_cancel, 2, 3, 1, "cancel of the first while the second is answered"},
	{"two-inside", two_inside, 2, 3, 1, "cancel from inside a callback"},
	{"two-all", two_all, 2, 3, 1, "cancel_all"},
	{"life-unload", life_unload, 2, 3, 0, "unload and load at once; stop, delete and start may fail"},
	{"life-scan", life_scan, 2, 3, 0, "autounload against unload"},
	{"life-death", life_death, 2, 3, 0, "the daemon dies over an unload"},
	{"life-alone", life_alone, 2, 3, 0, "the daemon dies over an unload, and no other comes"},
	{"life-force", life_force, 2, 3, 0, "rmmod -f during an unload"},
	{"life-plain", life_plain, 2, 3, 0, "PLAIN_RMMOD: retains against rmmod"},
	{"life-plain-release", life_plain_release, 2, 3, 1, "PLAIN_RMMOD: the last reference goes from within"},
	{"life-plain-releases", life_plain_releases, 2, 3, 0, "PLAIN_RMMOD: the last two go from within"},
	{"life-plain-at-once", life_plain_unload_at_once, 2, 3, 0, "PLAIN_RMMOD: unload right after the last release"},
	{"life-plain-unload", life_plain_unload, 2, 3, 0, "PLAIN_RMMOD: unload against rmmod"},
	{"life-load-death", life_load_death, 2, 3, -1, "the daemon dies over an unload that a load waits for"},
	{"life-request", life_request, 2, 3, 0, "unload while a request is being made"},
	{"life-start", life_start, 2, 3, 1, "a request of the start function, which may fail"},
	{"scope-cancel", scope_cancels, 2, 3, 0, "requests under a scope that is cancelled"},
	{"scope-read", scope_reads, 2, 3, 0, "a read under a scope that is cancelled, SIGKILL"},
	{"read-ends", read_ends, 2, 3, 1, "a read, its deadline, SIGKILL"},
	{"read-unload", read_unload, 2, 3, 0, "a read of a kext that is unloaded"},
	{"stop-load", stop_load, 2, 3, 0, "stop without unload against a load"},
	{"stop-unload", stop_unload, 2, 2, -1, "the same, and an unload by another kext"},
	{"stop-force", stop_force, 2, 3, -1, "the same, and rmmod -f"},
	{"program-cancel", program_cancel, 2, 3, 0, "result, poll and cancel by another file"},
	{"program-close", program_close, 2, 3, 0, "close at any moment"},
	{"program-poll", program_poll, 2, 3, 0, "sleeps in poll"},
	{"wake-signal", wake_signal, 2, 3, 0, "two threads, a signal"},
	{"wake-cancel", wake_cancel, 2, 3, 0, "two threads, a cancel"},
	{"wake-next", wake_next, 2, 3, 1, "a thread that leaves something behind"},
	{"wake-fault", wake_fault, 2, 3, 1, "a thread that cannot take what it fetched"},
	{"wake-suspect", wake_suspect, 2, 3, 0, "after a daemon died with one in hand"},
	{"event-answer", event_answer, 2, 3, 1, "sleeping on an event against its wake-up"},
	{"event-signal", event_signal, 2, 3, 0, "two sleepers, a signal for the first, a wake-up of one"},
	{},
};

} // namespace schedules
