// SPDX-License-Identifier: GPL-2.0-only
// Requests of programs through /dev/kextbridge.
#include "scenarios.hpp"

namespace schedules {

namespace {

u32 tag;
bool closing;
u8 results; // programs that were told the end
u8 cancelled;

// A program's thread; 0: done, else the call's error.
long make_request()
{
	static const char names[] = "bundle";
	kextbridge_request args{};

	args.size = sizeof(args);
	args.identifier = args.name = fake::user(names);
	args.identifier_size = args.name_size = sizeof(names) - 1;
	long err = program_call(programs[0], KEXTBRIDGE_IOC_REQUEST, &args);

	if (!err && args.result)
		fake::bug("a program's request was refused with 0x%08x", args.result);
	tag = args.tag;
	return err;
}

long take_result(bool nowait)
{
	char data[8] = {};
	kextbridge_result args{};

	args.size = sizeof(args);
	args.flags = KEXTBRIDGE_RESULT_RELEASE | (nowait ? KEXTBRIDGE_RESULT_NOWAIT : 0);
	args.tag = tag;
	args.data = fake::user(data);
	args.count = sizeof(data);
	long err = program_call(programs[0], KEXTBRIDGE_IOC_RESULT, &args);

	if (err)
		return err;
	if (args.status == kOSReturnSuccess) {
		bool taken_back = args.out_flags & KEXTBRIDGE_RESULT_CANCELLED;

		// Two threads of the program may be given it, before one of them has released it.
		results++;
		if (taken_back != (args.outcome == kOSKextReturnNotFound) || (taken_back && args.length))
			fake::bug("a result that is cancelled and not");
		if (!args.outcome && (args.count != 4 || memcmp(data, "data", 4)))
			fake::bug("a result without its payload");
	}
	return 0;
}

void requester(int)
{
	// A program that is killed makes no more calls.
	long err = closing ? 0 : make_request();

	if (!err && !closing)
		err = take_result(false);
	if (err && !(err == -SHIM_ERESTARTSYS && closing))
		fake::bug("a program's call failed with %ld", err);
}

void poller(int)
{
	step("waits for the tag", "", [](const void *) { return tag != 0; });
	if (!(kextbridge_control_poll_c(&programs[0].file, programs[0].data, nullptr) & SHIM_EPOLLIN))
		return;
	long err = take_result(true);

	// The other thread may have been quicker.
	if (err && err != -SHIM_EAGAIN)
		fake::bug("a result failed with %ld", err);
}

// Sleeps in poll until the request has ended.
void sleeper(int)
{
	if (make_request())
		fake::bug("a program's request failed");
	{
		fake::Poll poll;
		unsigned int ready = kextbridge_control_poll_c(&programs[0].file, programs[0].data, poll.table());

		while (!(ready & SHIM_EPOLLIN)) {
			poll.wait();
			fake::Poll again;

			ready = kextbridge_control_poll_c(&programs[0].file, programs[0].data, again.table());
			if (!(ready & SHIM_EPOLLIN))
				again.wait();
			ready = kextbridge_control_poll_c(&programs[0].file, programs[0].data, nullptr);
		}
	}
	if (take_result(true))
		fake::bug("poll said that there is a result");
}

void canceller(int)
{
	step("waits for the tag", "", [](const void *) { return tag || closing; });
	if (!tag)
		return;
	cancelled += !program_tag_call(programs[1], KEXTBRIDGE_IOC_CANCEL, tag);
}

// The program is killed; its file is closed when its calls have ended.
void closer(int)
{
	step("the program is killed");
	closing = true;
	set_signal(fibers[1], true);
	step("its threads leave", "", [](const void *) { return !programs[0].calls; });
	close_program(programs[0]);
}

void clock(int)
{
	tick();
}

void start_programs()
{
	load_core();
	open_daemon(daemons[0]);
	open_program(programs[0]);
	open_program(programs[1]);
}

} // namespace

void program_cancel()
{
	start_programs();
	spawn("requester", requester);
	spawn("canceller", canceller);
	spawn("daemon", server, true);
	spawn("poller", poller);
	run_all();
	if (!results)
		fake::bug("nobody was told the end of the request");
	unload_core();
}

void program_close()
{
	start_programs();
	spawn("requester", requester);
	spawn("closer", closer);
	spawn("daemon", server, true);
	spawn("canceller", canceller);
	spawn("clock", clock, true);
	run_all();
	unload_core();
}

void program_poll()
{
	start_programs();
	spawn("sleeper", sleeper);
	spawn("canceller", canceller);
	spawn("daemon", server, true);
	spawn("clock", clock, true);
	run_all();
	if (!results)
		fake::bug("nobody was told the end of the request");
	unload_core();
}

} // namespace schedules
