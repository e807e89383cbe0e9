// SPDX-License-Identifier: GPL-2.0-only
// What goes beyond macOS's calls: scopes, and reads that wait.
#include "scenarios.hpp"

namespace schedules {

namespace {

kextbridge_scope scope;
bool scope_over; // a cancel has returned
int reader_slot;
OSReturn read_result;

OSReturn request_under_scope(int index)
{
	kextbridge_resource_options options = {.timeout_ms = 0, .max_length = 0, .scope = &scope};

	return request_with(0, index, options);
}

void submitter(int)
{
	for (int i = 0; i < 2; i++) {
		OSReturn result = request_under_scope(i);

		if (result && result != kIOReturnAborted)
			fake::bug("a request under a scope was refused with 0x%08x", result);
	}
}

void cancelled_one(OSKextRequestTag tag, void *context, void *)
{
	Asked &request = *static_cast<Asked *>(context);

	if (request.tag != tag || request.callbacks || request.cancels++)
		fake::bug("a scope gave back what had ended");
	request.context_gone = true;
}

void cancel_scope(int)
{
	enter_text(0);
	(void)kextbridge_scope_cancel(&scope, cancelled_one, nullptr);
	scope_over = true;
	for (Asked &request : asked) {
		if (request.running)
			fake::bug("a scope's cancel returned during a callback");
		if (request.accepted && !request.callbacks && !request.cancels)
			// Another cancel has taken it, and is about to say so.
			request.context_gone = true;
	}
	leave_text();
}

void callback_of_scope(Asked &)
{
	if (scope_over)
		fake::bug("a callback after the cancel of its scope");
}

void reader(int slot)
{
	kextbridge_resource_options options = {.timeout_ms = 0, .max_length = 0, .scope = &scope};
	void *data = nullptr;
	u32 length = 0;

	reader_slot = slot;
	enter_text(0);
	read_result = kextbridge_read(&kexts[0].info, "com.example.k0", "read", &options, &data, &length);
	kextbridge_free_resource(data);
	say("read: 0x%08x, %u bytes", read_result, length);
	if (read_result ? data || length : !data)
		fake::bug("a read with 0x%08x and %u bytes", read_result, length);
	if (read_result && read_result != kIOReturnAborted && read_result != kOSKextReturnTimeout &&
	    read_result != kOSKextReturnStopping && read_result != kOSKextReturnInvalidArgument)
		fake::bug("a read with 0x%08x", read_result);
	leave_text();
}

void kill_reader(int)
{
	if (choose(2, "SIGKILL"))
		set_signal(fibers[1], true);
}

void one_tick(int)
{
	tick();
}

OSReturn stop_waits_for_the_reader()
{
	step("waits for its threads", "", [](const void *) { return !fibers[1].live; });
	return kOSReturnSuccess;
}

void unloader(int)
{
	program_tag_call(programs[0], KEXTBRIDGE_IOC_UNLOAD, kexts[0].load_tag);
}

void start_scope()
{
	load_core();
	kexts[0].callback = callback_of_scope;
	insmod(0);
	kextbridge_scope_init(&scope);
}

} // namespace

void scope_cancels()
{
	start_scope();
	open_daemon(daemons[0]);
	spawn("submitter", submitter);
	spawn("daemon", server, true);
	spawn("canceller", cancel_scope);
	run_all();
	unload_core();
}

void scope_reads()
{
	start_scope();
	open_daemon(daemons[0]);
	spawn("reader", reader);
	spawn("daemon", server, true);
	spawn("canceller", cancel_scope);
	spawn("SIGKILL", kill_reader);
	run_all();
	unload_core();
}

void read_ends()
{
	start_scope();
	open_daemon(daemons[0]);
	spawn("reader", reader);
	spawn("daemon", server, true);
	spawn("clock", one_tick, true);
	spawn("SIGKILL", kill_reader);
	run_all();
	unload_core();
}

void read_unload()
{
	start_scope();
	kexts[0].stop = stop_waits_for_the_reader;
	daemons[0].delete_refused = true; // no
	open_daemon(daemons[0]);
	open_program(programs[0]);
	spawn("reader", reader);
	spawn("daemon", server, true);
	spawn("unloader", unloader);
	run_all();
	unload_core();
}

} // namespace schedules
