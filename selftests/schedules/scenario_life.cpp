// SPDX-License-Identifier: GPL-2.0-only
// A kext's life: unload, load, autounload, removal by hand, and what can go wrong with each. A request is under way, so
// that there is something to flush.
#include "scenarios.hpp"

namespace schedules {

namespace {

bool vetoed; // once
bool start_failed;

OSReturn stop_may_refuse()
{
	if (!vetoed && choose(2, "stop refuses"))
		vetoed = true;
	else
		return kOSReturnSuccess;
	return kOSKextReturnInUse;
}

// The first start is insmod's.
OSReturn start_may_fail()
{
	if (!start_failed && kexts[0].starts && choose(2, "start fails"))
		start_failed = true;
	else
		return kOSReturnSuccess;
	return kOSKextReturnInternalError;
}

void unloader(int)
{
	OSReturn result = program_tag_call(programs[0], KEXTBRIDGE_IOC_UNLOAD, kexts[0].load_tag);

	if (!result && kexts[0].module.state == module::Live && !kexts[0].starts)
		fake::bug("an unload succeeded, and the module is still there");
}

void loader(int)
{
	static const char name[] = "com.example.k0";
	kextbridge_load args{};

	args.size = sizeof(args);
	args.flags = KEXTBRIDGE_LOAD_WAIT;
	args.identifier = fake::user(name);
	args.identifier_size = sizeof(name) - 1;
	long err = program_call(programs[1], KEXTBRIDGE_IOC_LOAD, &args);

	if (err)
		fake::bug("a load failed with %ld", err);
	say("load: 0x%08x", args.result);
}

void retainer(int)
{
	u32 tag = kexts[0].load_tag;

	if (program_tag_call(programs[1], KEXTBRIDGE_IOC_RETAIN, tag))
		return;
	if (program_tag_call(programs[1], KEXTBRIDGE_IOC_RELEASE, tag))
		fake::bug("a release after a retain was refused");
}

// Retained again right after the release that let the module go.
void retainer_again(int slot)
{
	u32 tag = kexts[0].load_tag;

	retainer(slot);
	if (program_tag_call(programs[1], KEXTBRIDGE_IOC_RETAIN, tag))
		return;
	step("has retained it");
	if (!kexts[0].loaded || kexts[0].module.state != module::Live)
		fake::bug("a kext goes although it is retained");
	program_tag_call(programs[1], KEXTBRIDGE_IOC_RELEASE, tag);
}

void clock(int)
{
	for (int i = 0; i < 2; i++)
		tick();
}

void remover(int)
{
	rmmod(0, false);
}

void remover_by_force(int)
{
	rmmod(0, true);
}

void remover_when_unused(int)
{
	step("waits until it is not used", "", [](const void *) { return kexts[0].module.refs == 1; });
	rmmod(0, false);
}

void releaser(int)
{
	enter_text(0);
	if (OSKextReleaseKextWithLoadTag(kexts[0].load_tag))
		fake::bug("a release after a retain was refused");
	step("is on its way out");
	if (!kexts[0].loaded)
		fake::bug("runs code of a module that is gone");
	leave_text();
}

void start_retained()
{
	load_core();
	insmod(0, KEXTBRIDGE_KEXT_PLAIN_RMMOD);
	if (OSKextRetainKextWithLoadTag(kexts[0].load_tag))
		fake::bug("a retain was refused");
}

void start_life(u32 flags, bool with_request)
{
	load_core();
	kexts[0].stop = stop_may_refuse;
	kexts[0].start = start_may_fail;
	insmod(0, flags);
	if (with_request)
		request(0, 0);
	open_daemon(daemons[0]);
	open_program(programs[0]);
	open_program(programs[1]);
	spawn("daemon", server, true);
}

void stopper(int)
{
	OSReturn result =
		program_tag_call(programs[0], KEXTBRIDGE_IOC_UNLOAD, kexts[0].load_tag, KEXTBRIDGE_UNLOAD_STOP_ONLY);

	if (result && result != kOSKextReturnInUse && result != kOSKextReturnStartStopError &&
	    result != kOSKextReturnNotFound)
		fake::bug("a stop with 0x%08x", result);
}

// By another kext, of which nothing more has to be there.
void other_unloader(int)
{
	say("unload: 0x%08x", kextbridge_unload_kext(&kexts[1].info, kexts[0].load_tag));
}

// Stopped and not unloaded.
void start_stops()
{
	start_life(0, false);
	spawn("stopper", stopper);
}

} // namespace

void life_unload()
{
	start_life(0, true);
	spawn("unloader", unloader);
	spawn("loader", loader);
	run_all();
	unload_core();
}

void life_scan()
{
	start_life(0, false);
	spawn("retainer", retainer);
	spawn("clock", clock, true);
	spawn("unloader", unloader);
	run_all();
	unload_core();
}

void life_death()
{
	start_life(0, true);
	spawn("unloader", unloader);
	spawn("killer", killer);
	spawn("daemon 2", second_server, true);
	run_all();
	unload_core();
}

// Nobody comes after it: the unload must end all the same.
void life_alone()
{
	start_life(0, true);
	spawn("unloader", unloader);
	spawn("killer", killer);
	run_all();
	unload_core();
}

void life_force()
{
	start_life(0, true);
	spawn("unloader", unloader);
	spawn("rmmod -f", remover_by_force);
	run_all();
	unload_core();
}

void life_plain()
{
	start_life(KEXTBRIDGE_KEXT_PLAIN_RMMOD, true);
	spawn("retainer", retainer_again);
	spawn("rmmod", remover);
	run_all();
	unload_core();
}

// A thread of the kext gives the last reference back, and is still in the kext's code then.
void life_plain_release()
{
	start_retained();
	spawn("own thread", releaser);
	spawn("rmmod", remover_when_unused);
	run_all();
	unload_core();
}

// Two threads of the kext do, in turns: the module becomes removable twice, with a thread in its code each time.
void life_plain_releases()
{
	static constexpr auto again = [](int slot) {
		if (!OSKextRetainKextWithLoadTag(kexts[0].load_tag))
			releaser(slot);
	};

	start_retained();
	spawn("own thread", releaser);
	spawn("own thread 2", again);
	spawn("rmmod", remover_when_unused);
	run_all();
	unload_core();
}

// Unloaded right after its last release: started once, stopped once.
void life_plain_unload_at_once()
{
	static constexpr auto unload = [](int) {
		if (OSKextReleaseKextWithLoadTag(kexts[0].load_tag))
			fake::bug("a release after a retain was refused");
		unloader(0);
		if (kexts[0].starts > 1 && !daemons[0].delete_refused)
			fake::bug("was started again");
	};

	start_life(KEXTBRIDGE_KEXT_PLAIN_RMMOD, true);
	if (OSKextRetainKextWithLoadTag(kexts[0].load_tag))
		fake::bug("a retain was refused");
	spawn("unloader", unload);
	run_all();
	unload_core();
}

void life_plain_unload()
{
	start_life(KEXTBRIDGE_KEXT_PLAIN_RMMOD, true);
	spawn("unloader", unloader);
	spawn("rmmod", remover);
	run_all();
	unload_core();
}

// A program waits for a load while the kext that it names leaves, and the daemon dies over it.
void life_load_death()
{
	start_life(0, false);
	spawn("unloader", unloader);
	spawn("loader", loader);
	spawn("killer", killer);
	spawn("daemon 2", second_server, true);
	run_all();
	unload_core();
}

// The start function makes the request, and may fail: then nobody is called back.
void life_start()
{
	static constexpr auto load = [](int) {
		if (insmod(0))
			asked[0].accepted = false; // the context is the driver's again
	};
	static constexpr auto start = [] {
		request(0, 0);
		step("has made its request");
		return choose(2, "start fails") ? kOSKextReturnInternalError : kOSReturnSuccess;
	};

	load_core();
	kexts[0].start = start;
	open_daemon(daemons[0]);
	open_program(programs[0]);
	spawn("insmod", load);
	spawn("daemon", server, true);
	spawn("clock", clock, true);
	run_all();
	unload_core();
}

// The owner is unloaded while its request is being made, with the lock dropped for the table's memory.
void life_request()
{
	static constexpr auto submit = [](int) { request(0, 0); };

	start_life(0, false);
	kexts[0].stop = [] {
		step("waits for its threads", "", [](const void *) { return !fibers[3].live; });
		return kOSReturnSuccess;
	};
	fake::xa_always_allocates(true);
	spawn("unloader", unloader);
	spawn("submitter", submit);
	run_all();
	fake::xa_always_allocates(false);
	unload_core();
}

void stop_load()
{
	start_stops();
	spawn("loader", loader);
	run_all();
	unload_core();
}

void stop_unload()
{
	start_stops();
	spawn("unloader", other_unloader);
	spawn("loader", loader);
	run_all();
	unload_core();
}

void stop_force()
{
	start_stops();
	spawn("loader", loader);
	spawn("rmmod -f", remover_by_force);
	run_all();
	unload_core();
}

} // namespace schedules
