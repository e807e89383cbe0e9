// SPDX-License-Identifier: GPL-2.0-only
// The daemon's threads at the queue: none sleeps while there is something that it could fetch (kit.cpp: stop_daemon looks).
#include "scenarios.hpp"

namespace schedules {

namespace {

void submit_first(int)
{
	request(0, 0);
}

void submit_second(int)
{
	request(0, 1);
}

void cancel_first(int)
{
	step("waits for the tag", "", [](const void *) { return asked_tag_known(0); });
	cancel(0, 0);
}

bool given; // one to the idle thread

// Fetches one and never answers it: its hands are full.
void idle_server(int slot)
{
	Record record;

	fibers[slot].task.process = &daemons[0].process;
	if (!daemons[0].dead)
		given = exchange_with(daemons[0], nullptr, &record, false) > 0;
}

void next_server(int slot)
{
	fibers[slot].task.process = &daemons[1].process;
	step("waits for the open file", "", [](const void *) { return daemons[1].data != nullptr; });
	serve(daemons[1]);
}

// Answers one and leaves.
void short_server(int slot)
{
	Record record;

	fibers[slot].task.process = &daemons[1].process;
	step("waits for the open file", "", [](const void *) { return daemons[1].data != nullptr; });
	if (exchange_with(daemons[1], nullptr, &record, false) > 0 && record.kind == KEXTD_RESOURCE) {
		kextd_reply reply = reply_for(record.id, kOSReturnSuccess, false);

		exchange_with(daemons[1], &reply, nullptr, true);
	}
}

void interrupter(int)
{
	step("a signal for the first thread");
	set_signal(fibers[1], false);
}

void replacer(int)
{
	kill_daemon(daemons[0]);
	if (open_daemon(daemons[1]))
		fake::bug("the second daemon cannot open");
}

void start_daemon()
{
	load_core();
	insmod(0);
	open_daemon(daemons[0]);
}

} // namespace

void wake_signal()
{
	start_daemon();
	spawn("thread 1", server, true);
	spawn("thread 2", server, true);
	spawn("interrupter", interrupter);
	spawn("submitter 1", submit_first);
	spawn("submitter 2", submit_second);
	run_all();
	unload_core();
}

void wake_cancel()
{
	start_daemon();
	spawn("thread 1", server, true);
	spawn("thread 2", server, true);
	spawn("submitter 1", submit_first);
	spawn("submitter 2", submit_second);
	spawn("canceller", cancel_first);
	run_all();
	unload_core();
}

// A thread takes the first and is busy with it for ever: the second is for the other thread.
void wake_next()
{
	start_daemon();
	spawn("busy thread", idle_server, true);
	spawn("thread 2", server, true);
	spawn("submitter 1", submit_first);
	spawn("submitter 2", submit_second);
	run_all();
	unload_core();
}

// One thread's memory is bad: what it could not take is for the other.
void wake_fault()
{
	start_daemon();
	spawn("thread 1", idle_server, true).copies_may_fail = true;
	spawn("thread 2", server, true);
	spawn("submitter 1", submit_first);
	run_all();
	if (!given && !asked[0].callbacks)
		fake::bug("a request that could not be handed out is lost");
	unload_core();
}

// A daemon died with one in hand: it is handed out alone, and what waited behind it must not be forgotten.
void wake_suspect()
{
	start_daemon();
	spawn("old thread", idle_server, true);
	spawn("killer", replacer);
	spawn("short thread", short_server, true);
	spawn("thread 2", next_server, true);
	spawn("submitter 1", submit_first);
	spawn("submitter 2", submit_second);
	run_all();
	unload_core();
}

} // namespace schedules
