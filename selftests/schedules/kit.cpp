// SPDX-License-Identifier: GPL-2.0-only
#include "kit.hpp"

namespace schedules {

Asked asked[kAsked];
Kext kexts[kKexts];
Daemon daemons[2];
Program programs[2];

namespace {

constexpr char kPayload[4] = {'d', 'a', 't', 'a'};

// ---- drivers: each has routines at addresses of its own

Kext &kext_at(int number, const char *what)
{
	Kext &kext = kexts[number];

	if (!kext.loaded)
		fake::bug("%s of a module that is gone", what);
	if (running().locks)
		fake::bug("%s with a lock held", what);
	return kext;
}

void run_callback(int number, u32 tag, s32 result, const void *data, u32 length, void *context)
{
	Kext &kext = kext_at(number, "a callback");
	Asked &request = *static_cast<Asked *>(context);

	if (kext.in_callback)
		fake::bug("two callbacks of a kext at once");
	if (kext.in_start || kext.in_stop || !kext.starts)
		fake::bug("a callback while its %s function runs", kext.in_stop ? "stop" : "start");
	if (kext.stops)
		fake::bug("a callback after stop");
	if (request.tag != tag)
		fake::bug("a callback before its tag was written");
	if (request.context_gone)
		fake::bug("a callback whose context a cancel has given back");
	if (!data != !length || (data && memcmp(data, kPayload, sizeof(kPayload))))
		fake::bug("a callback with data that is not the payload");
	if (request.callbacks++)
		fake::bug("a second callback of a request");
	kext.in_callback = request.running = true;
	request.result = result;
	enter_text(number);
	step("in its callback", request.name);
	if (kext.callback)
		kext.callback(request);
	if (data && memcmp(data, kPayload, sizeof(kPayload)))
		fake::bug("the payload changed during its callback");
	if (kext.in_start || kext.in_stop || !kext.loaded)
		fake::bug("start, stop or exit during a callback");
	kext.in_callback = request.running = false;
	leave_text();
}

OSReturn run_start(int number)
{
	Kext &kext = kext_at(number, "the start function");

	if (kext.in_start || kext.in_stop || kext.in_callback)
		fake::bug("start function while something of its kext runs");
	kext.in_start = true;
	kext.stops = 0;
	kext.load_tag = kext.info.id;
	enter_text(number);
	step("in its start function");
	OSReturn result = kext.start ? kext.start() : kOSReturnSuccess;

	kext.starts++;
	kext.in_start = false;
	leave_text();
	return result;
}

OSReturn run_stop(int number)
{
	Kext &kext = kext_at(number, "the stop function");

	if (kext.in_start || kext.in_stop || kext.in_callback)
		fake::bug("stop function while something of its kext runs");
	if (kext.stops)
		fake::bug("stop function a second time");
	kext.in_stop = true;
	enter_text(number);
	step("in its stop function");
	OSReturn result = kext.stop ? kext.stop() : kOSReturnSuccess;

	if (!result)
		kext.stops++;
	kext.in_stop = false;
	leave_text();
	return result;
}

template <int N> void callback_of(u32 tag, s32 result, const void *data, u32 length, void *context)
{
	run_callback(N, tag, result, data, length, context);
}
template <int N> kern_return_t start_of(kmod_info_t *, void *)
{
	return run_start(N);
}
template <int N> kern_return_t stop_of(kmod_info_t *, void *)
{
	return run_stop(N);
}

constexpr OSKextRequestResourceCallback kCallbacks[] = {callback_of<0>, callback_of<1>};
constexpr decltype(&start_of<0>) kStarts[] = {start_of<0>, start_of<1>};
constexpr decltype(&stop_of<0>) kStops[] = {stop_of<0>, stop_of<1>};

} // namespace

int insmod(int number, u32 flags)
{
	Kext &kext = kexts[number];
	char name[] = {'k', static_cast<char>('0' + number), 0};

	if (kext.loaded)
		return -SHIM_EEXIST;
	kext.info = {};
	kext.info.info_version = KMOD_INFO_VERSION;
	kext.info.id = kOSKextInvalidLoadTag;
	memcpy(kext.info.name, "com.example.k", 13);
	kext.info.name[13] = name[1];
	memcpy(kext.info.version, "1.0", 3);
	kext.info.start = kStarts[number];
	kext.info.stop = kStops[number];
	kext.flags = flags;
	kext.starts = kext.stops = 0;
	fake::init_module(kext.module, name, reinterpret_cast<unsigned long>(kCallbacks[number]), 1);
	kext.loaded = true;
	int err = kextbridge_kext_init(&kext.info, &kext.module, flags);

	if (err) {
		kext.loaded = false;
		kext.module.state = module::Unloaded;
	} else {
		fake::module_is_live(kext.module);
	}
	return err;
}

int rmmod(int number, bool force)
{
	Kext &kext = kexts[number];

	step("delete_module", force ? "by force" : "");
	int err = fake::delete_module(kext.module, force, [&] {
		kextbridge_kext_exit(&kext.info);
		step("frees the module", kext.module.name);
		// rmmod -f does not wait for those that hold references.
		const char *who = force ? nullptr : who_is_in_text(number);

		if (who || kext.in_callback || kext.in_start || kext.in_stop)
			fake::bug("the module is freed while %s runs its code", who ? who : "somebody");
		kext.loaded = false;
	});
	return err;
}

bool asked_tag_known(int index)
{
	return asked[index].refused || (asked[index].tag && asked[index].tag != kOSKextRequestTagInvalid);
}

OSReturn request(int number, int index, u32 timeout_ms)
{
	return request_with(number, index, {.timeout_ms = timeout_ms, .max_length = 0, .scope = nullptr});
}

OSReturn request_with(int number, int index, const kextbridge_resource_options &options)
{
	Asked &request = asked[index];
	static const char *const names[kAsked] = {"r0", "r1", "r2", "r3"};

	request.name = names[index];
	enter_text(number);
	clear_dead_stack();
	OSReturn result = kextbridge_request_resource(kexts[number].info.name, request.name, kCallbacks[number],
						      &request, &request.tag, &options);

	request.accepted = !result;
	request.refused = result;
	if (result && (request.callbacks || request.cancels))
		fake::bug("a request was refused with 0x%08x and answered", result);
	leave_text();
	return result;
}

OSReturn cancel(int number, int index, bool wait)
{
	Asked &request = asked[index];
	void *context = nullptr;

	enter_text(number);
	clear_dead_stack();
	OSReturn result = wait ? kextbridge_cancel_request(&kexts[number].info, request.tag, &context) :
				 kextbridge_cancel_request_nowait(&kexts[number].info, request.tag, &context);
	bool inside = running_slot() >= kFirstWorker; // a callback: it never waits

	if (!result) {
		if (context != &request)
			fake::bug("a cancel that gave back another context");
		if (request.callbacks || request.cancels)
			fake::bug("a cancel with Success of a request that was called back or cancelled");
		request.cancels++;
		request.context_gone = true;
	} else if (result == kOSKextReturnNotFound && !inside) {
		if (request.running)
			fake::bug("a cancel with NotFound while the callback runs");
		request.context_gone = true;
	} else if (!inside && result != kOSKextReturnInUse) {
		fake::bug("a cancel with 0x%08x", result);
	}
	say("cancel: 0x%08x", result);
	leave_text();
	return result;
}

// ---- daemons

int open_daemon(Daemon &daemon)
{
	pid *before = fake::current().process;

	fake::current().process = &daemon.process;
	int err = kextbridge_daemon_open_c(&daemon.file, &daemon.data);

	fake::current().process = before;
	if (err)
		daemon.data = nullptr;
	return err;
}

void close_daemon(Daemon &daemon)
{
	void *data = daemon.data;

	daemon.data = nullptr;
	if (data)
		kextbridge_daemon_release_c(data);
}

kextd_reply reply_for(u64 id, s32 result, bool payload)
{
	kextd_reply reply{};

	reply.id = id;
	reply.result = result;
	reply.flags = KEXTD_REPLY_RESULT;
	reply.status = 0x7777;
	if (payload) {
		reply.flags |= KEXTD_REPLY_DATA;
		reply.data = fake::user(kPayload);
		reply.length = sizeof(kPayload);
	}
	return reply;
}

[[gnu::noinline]] int exchange_with(Daemon &daemon, kextd_reply *reply, Record *record, bool nowait)
{
	u64 buffer[16] = {};
	kextd_exchange args{};
	kextd_request header{};

	args.size = sizeof(args);
	args.flags = nowait ? KEXTD_EXCHANGE_NOWAIT : 0;
	args.replies = fake::user(reply);
	args.reply_count = reply ? 1 : 0;
	args.max_requests = record ? 1 : 0;
	args.requests = fake::user(buffer);
	args.requests_size = sizeof(buffer);
	daemon.calls++;
	clear_dead_stack();
	long err = kextbridge_daemon_ioctl_c(&daemon.file, daemon.data, KEXTD_IOC_EXCHANGE, fake::user(&args));

	daemon.calls--;
	if (err)
		return static_cast<int>(err);
	if (reply && (args.reply_count != 1 || reply->status == 0x7777))
		fake::bug("a reply without a status");
	if (!args.request_count)
		return 0;
	const char *strings = reinterpret_cast<const char *>(buffer) + sizeof(header);

	memcpy(&header, buffer, sizeof(header));
	if (header.size != args.requests_used || header.size > sizeof(buffer) || header.size % 8 ||
	    sizeof(header) + header.identifier_size + header.name_size > header.size || !header.identifier_size ||
	    !header.name_size || strings[header.identifier_size + header.name_size - 1])
		fake::bug("a malformed record");
	*record = {header.kind, header.id, -1};
	if (header.kind == KEXTD_LOAD || header.kind == KEXTD_UNLOAD)
		record->kext = strings[header.identifier_size - 2] - '0';
	return 1;
}

[[gnu::noinline]] static kextd_reply answer(Daemon &daemon, const Record &record)
{
	int err;

	switch (record.kind) {
	case KEXTD_RESOURCE:
		return reply_for(record.id, kOSReturnSuccess, true);
	case KEXTD_UNLOAD:
		if (!daemon.delete_refused && choose(2, "somebody holds the module")) {
			daemon.delete_refused = true;
			return reply_for(record.id, kOSKextReturnInUse, false);
		}
		err = rmmod(record.kext, false);
		return reply_for(record.id, !err || err == -2 ? kOSReturnSuccess : kOSKextReturnInUse, false);
	default:
		err = insmod(record.kext, kexts[record.kext].flags);
		return reply_for(record.id, err ? kOSKextReturnStartStopError : kOSReturnSuccess, false);
	}
}

void serve(Daemon &daemon)
{
	kextd_reply reply{};

	while (!daemon.dead) {
		Record record{};
		bool again = reply.flags;
		int got = exchange_with(daemon, again ? &reply : nullptr, &record, false);

		if (got == -SHIM_EFAULT)
			continue; // whatever was not taken is handed in again; a second time it is not found
		if (got == -SHIM_ERESTARTSYS && !daemon.dead) {
			fake::clear_signal(); // its handler has run
			continue;
		}
		if (got < 0)
			break;
		reply = {};
		if (got && !daemon.dead && record.kind != KEXTD_CANCEL)
			reply = answer(daemon, record);
	}
}

static void end_daemon(Daemon &daemon)
{
	daemon.dead = true;
	for (Fiber &fiber : fibers)
		if (fiber.live && fiber.task.process == &daemon.process)
			set_signal(fiber, true);
	step(
		"its threads leave", "", [](const void *d) { return !static_cast<const Daemon *>(d)->calls; }, &daemon);
	close_daemon(daemon);
}

void kill_daemon(Daemon &daemon)
{
	step("the daemon is killed");
	daemon.process.gone = true;
	end_daemon(daemon);
}

void server(int slot)
{
	fibers[slot].task.process = &daemons[0].process;
	serve(daemons[0]);
}

void second_server(int slot)
{
	fibers[slot].task.process = &daemons[1].process;
	step("waits for the other daemon's death", "", [](const void *) { return daemons[0].process.gone.load(); });
	if (open_daemon(daemons[1]))
		fake::bug("the second daemon cannot open");
	serve(daemons[1]);
}

void killer(int)
{
	kill_daemon(daemons[0]);
}

// ---- programs

void open_program(Program &program)
{
	if (kextbridge_control_open_c(&program.file, &program.data))
		fake::bug("open of the control node failed");
}

void close_program(Program &program)
{
	void *data = program.data;

	program.data = nullptr;
	if (data)
		kextbridge_control_release_c(data);
}

long program_call(Program &program, unsigned int cmd, void *args)
{
	program.calls++;
	clear_dead_stack();
	long err = kextbridge_control_ioctl_c(&program.file, program.data, cmd, fake::user(args));

	program.calls--;
	return err;
}

OSReturn program_tag_call(Program &program, unsigned int cmd, u32 tag, u32 flags, long *error)
{
	kextbridge_tag args{};

	args.size = sizeof(args);
	args.tag = tag;
	args.flags = flags;
	args.result = 0x7777;
	long err = program_call(program, cmd, &args);

	if (error)
		*error = err;
	else if (err)
		fake::bug("a call of a program failed with %ld", err);
	say("result 0x%08x", args.result);
	return args.result;
}

// ---- all of it

void load_core()
{
	reset_kernel();
	fake::clear_bad_ranges(); // whose memory is otherwise that of the first who copies
	kextbridge_params.request_timeout_ms = kTimeoutMs;
	kextbridge_params.autounload_delay_ms = kAutounloadMs;
	host_core_reset();
	if (kextbridge_core_init_c())
		fake::bug("the core does not start");
	daemons[0].process.number = 100;
	daemons[1].process.number = 101;
}

static void stop_daemon(Daemon &daemon)
{
	if (!daemon.data)
		return;
	bool sleeps = false;

	for (Fiber &fiber : fibers)
		sleeps |= fiber.live && fiber.task.process == &daemon.process && fiber.task.sleeping;
	if (sleeps && !daemon.dead && (kextbridge_daemon_poll_c(&daemon.file, daemon.data, nullptr) & SHIM_EPOLLIN))
		fake::bug("the daemon sleeps, and there is something to fetch");
	end_daemon(daemon);
}

void unload_core()
{
	for (Daemon &daemon : daemons)
		stop_daemon(daemon);
	for (Program &program : programs)
		close_program(program);
	for (int number = 0; number < kKexts; number++) {
		Kext &kext = kexts[number];

		if (!kext.loaded)
			continue;
		if (kext.module.state == module::Live && kext.module.refs < 2 &&
		    !(kext.flags & KEXTBRIDGE_KEXT_PLAIN_RMMOD))
			fake::bug("a kext without its base reference");
		if (rmmod(number, true))
			fake::bug("a module cannot be removed by force");
	}
	step("works end", "", [](const void *) { return works_idle(); });
	const char *broken = host_check_invariants();

	if (broken)
		fake::bug("broken: %s", broken);
	kextbridge_status stats{};

	kextbridge_stats_c(&stats);
	if (stats.kexts || stats.answered || stats.submitted != stats.callbacks + stats.cancelled + stats.discarded)
		fake::bug("the counters do not add up");
	for (const Asked &request : asked) {
		if (request.accepted && request.callbacks + request.cancels != 1)
			fake::bug("%s: %u callbacks and %u cancels", request.name, request.callbacks, request.cancels);
		if (!request.accepted && (request.callbacks || request.cancels))
			fake::bug("a request that was not accepted has ended");
	}
	kextbridge_core_exit_c();
	fake::Live left = fake::live();

	if (left.allocations || left.krefs || left.file_refs || left.pid_refs || left.sleepers)
		fake::bug("left over: %ld allocations, %ld references, %ld files, %ld processes, %ld sleepers",
			  left.allocations, left.krefs, left.file_refs, left.pid_refs, left.sleepers);
}

} // namespace schedules
