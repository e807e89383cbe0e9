// SPDX-License-Identifier: GPL-2.0-only
// Two requests of one kext: the order of the callbacks, and cancels from everywhere.
#include "scenarios.hpp"

namespace schedules {

namespace {

u8 called_first; // index + 1

void submitter(int)
{
	request(0, 0);
	request(0, 1);
}

void cancel_first(int)
{
	step("waits for the tag", "", [](const void *) { return asked_tag_known(0); });
	cancel(0, 0);
}

void cancelled_one(OSKextRequestTag tag, void *context, void *)
{
	Asked &request = *static_cast<Asked *>(context);

	if (request.tag != tag || request.callbacks || request.cancels++)
		fake::bug("cancel_all gave back what had ended");
	request.context_gone = true;
}

// Afterwards no callback runs.
void cancel_all(int)
{
	enter_text(0);
	kextbridge_cancel_requests(&kexts[0].info, cancelled_one, nullptr);
	if (kexts[0].in_callback && asked[0].accepted && asked[1].accepted &&
	    asked[0].context_gone + asked[1].context_gone == 2)
		fake::bug("cancel_all returned during a callback");
	leave_text();
}

void note_order(Asked &request)
{
	int index = static_cast<int>(&request - asked);

	if (!called_first)
		called_first = static_cast<u8>(index + 1);
	else if (called_first == 2)
		fake::bug("the second request was answered second and called back first");
}

// The callback of one takes the other back: it may not wait, whatever the answer is.
void cancel_the_other(Asked &request)
{
	int other = &request == &asked[0];

	note_order(request);
	cancel(0, !other); // itself: waiting would be for ever
	if (asked_tag_known(other) && !asked[other].cancels && !asked[other].callbacks)
		cancel(0, other);
}

void start_two(void (*callback)(Asked &))
{
	load_core();
	kexts[0].callback = callback;
	insmod(0);
	open_daemon(daemons[0]);
	spawn("submitter", submitter);
	spawn("daemon", server, true);
}

} // namespace

void two_cancel()
{
	start_two(note_order);
	spawn("canceller", cancel_first);
	run_all();
	unload_core();
}

void two_inside()
{
	start_two(cancel_the_other);
	spawn("canceller", cancel_first);
	run_all();
	unload_core();
}

void two_all()
{
	start_two(note_order);
	spawn("cancel all", cancel_all);
	run_all();
	unload_core();
}

} // namespace schedules
