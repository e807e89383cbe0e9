// SPDX-License-Identifier: GPL-2.0-only
// One request and everybody who can have a hand in its end.
#include "scenarios.hpp"

namespace schedules {

namespace {

u8 ticks;

void submitter(int)
{
	request(0, 0);
}

bool known(const void *)
{
	return asked_tag_known(0);
}

void canceller(int)
{
	step("waits for the tag", "", known);
	if (!asked[0].refused)
		cancel(0, 0);
}

void clock(int)
{
	// An idle kext whose delete fails is tried again for ever: time has to end.
	for (int i = 0; i < ticks; i++)
		tick();
}

// Another thread of the daemon, which answers what the first one is answering.
void second_reply(int slot)
{
	fibers[slot].task.process = &daemons[0].process;
	step("waits for the tag", "", known);
	if (asked[0].refused || daemons[0].dead)
		return;
	kextd_reply reply = reply_for(asked[0].tag, kOSKextReturnValidation, false);

	exchange_with(daemons[0], &reply, nullptr, true);
}

void unloader(int)
{
	OSReturn result = program_tag_call(programs[0], KEXTBRIDGE_IOC_UNLOAD, kexts[0].load_tag);

	// Or about to go: when its daemon died over it, what counts is that the exit function forgot the kext.
	if (!result && kexts[0].module.state == module::Live)
		fake::bug("an unload succeeded, and the module is still there");
}

void retainer(int)
{
	if (program_tag_call(programs[1], KEXTBRIDGE_IOC_RETAIN, kexts[0].load_tag))
		return;
	if (program_tag_call(programs[1], KEXTBRIDGE_IOC_RELEASE, kexts[0].load_tag))
		fake::bug("a release after a retain was refused");
}

// Its own threads must have left its code when stop returns: the driver's part.
OSReturn stop_waits_for_threads()
{
	step("waits for its threads", "",
	     [](const void *) { return !fibers[1].live && !(fibers[2].live && fibers[2].body == canceller); });
	return kOSReturnSuccess;
}

} // namespace

void request_scenario(unsigned int actors)
{
	load_core();
	kexts[0].stop = stop_waits_for_threads;
	insmod(0);
	spawn("submitter", submitter);
	if (actors & kCancel)
		spawn("canceller", canceller);
	// One is enough for the request's deadline or the unload's; a scan comes after a release.
	ticks = actors & kRetain ? 2 : 1;
	daemons[0].delete_refused = daemons[1].delete_refused = true; // no: scenario_life.cpp
	if (actors & kClock)
		spawn("clock", clock, true);
	if (actors & kDaemon) {
		open_daemon(daemons[0]);
		spawn("daemon", server, true).copies_may_fail = actors & kCopyFails;
	}
	if (actors & kSecondReply)
		spawn("second reply", second_reply);
	if (actors & (kCrash | kDeath))
		spawn("killer", killer);
	if (actors & kCrash)
		spawn("daemon 2", second_server, true);
	if (actors & kUnload) {
		open_program(programs[0]);
		spawn("unloader", unloader);
	}
	if (actors & kRetain) {
		open_program(programs[1]);
		spawn("retainer", retainer);
	}
	run_all();
	unload_core();
}

} // namespace schedules
