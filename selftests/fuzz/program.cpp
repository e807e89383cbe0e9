// SPDX-License-Identifier: GPL-2.0-only
#include "program.hpp"

#include <algorithm>

#include "machine.hpp"

namespace fuzz {

namespace {

constexpr u32 kMostOperations = 120;

// Payloads by descriptor: good ones of several sizes, and each that must be refused.
struct Files {
	static constexpr size_t kCount = 7;
	::file all[kCount];

	void renew()
	{
		static constexpr size_t sizes[kCount] = {100, 100, 100, 100, 5000, 200, 0};

		for (size_t i = 0; i < kCount; i++) {
			::file &file = all[i];

			file.mode = SHIM_FMODE_READ;
			file.while_read = nullptr;
			if (file.contents.size() == sizes[i])
				continue;
			file.contents.resize(sizes[i]);
			for (size_t at = 0; at < sizes[i]; at++)
				file.contents[at] = static_cast<char>(pattern(at));
		}
		all[1].mode |= SHIM_FMODE_WRITE;
		all[2].regular = false;
		all[3].fail_read_at = 0;
		all[4].fail_read_at = -1;
		all[5].while_read = [](::file &file) {
			file.contents.push_back(static_cast<char>(pattern(file.contents.size())));
		};
	}
};

Files &files()
{
	static Files *all = new Files;

	return *all;
}

UserMemory &user_memory()
{
	static UserMemory *memory = new UserMemory;

	return *memory;
}

} // namespace

void check_pattern(const void *data, u64 length, u64 offset, const char *what)
{
	for (u64 at = 0; at < length; at++)
		if (static_cast<const unsigned char *>(data)[at] != pattern(offset + at))
			wrong("%s: byte %llu of a payload is not what was replied", what, offset + at);
}

void *Contexts::add(const host::Kext &kext)
{
	std::lock_guard lock(mutex_);

	pending_[next_] = &kext;
	return reinterpret_cast<void *>(next_++);
}

void Contexts::remove(void *context)
{
	std::lock_guard lock(mutex_);

	if (!pending_.erase(reinterpret_cast<u64>(context)))
		wrong("a request that was refused has ended");
}

void Contexts::end(void *context, const host::Kext *kext, const char *how)
{
	std::lock_guard lock(mutex_);
	auto found = pending_.find(reinterpret_cast<u64>(context));

	if (found == pending_.end())
		wrong("%s of a request that has ended or never was", how);
	if (kext && found->second != kext)
		wrong("%s at another kext than the one that asked", how);
	pending_.erase(found);
}

size_t Contexts::size()
{
	std::lock_guard lock(mutex_);

	return pending_.size();
}

// ---- the machine

Machine::Machine(Input &input) : in_(input), user_(user_memory())
{
	static const bool ready = [] {
		fake::set_test_name("fuzz");
		GTEST_FLAG_SET(throw_on_failure, true);
		return true;
	}();
	static const char *const identifiers[kKexts] = {"com.example.a", "com.example.b", "com.example.c"};

	(void)ready;
	fake::reset();
	user_.unmap_the_rest();
	host_core_reset();
	if (kextbridge_core_init_c())
		wrong("the core does not start");
	kextbridge_params.max_reply_bytes = 65536; // more is only slower
	kextbridge_params.max_bytes_per_file = 131072;
	for (size_t i = 0; i < kFiles; i++) {
		daemons_[i].process = &fake::process(static_cast<int>(i) + 2);
		daemons_[i].process->gone = false;
	}
	files().renew();
	for (::file &file : files().all)
		fds_.push_back(fake::install_fd(file));
	for (size_t i = 0; i < kKexts; i++) {
		kexts_[i] = std::make_unique<host::Kext>(identifiers[i], i == 2 ? KEXTBRIDGE_KEXT_PLAIN_RMMOD : 0);
		host::Kext &kext = *kexts_[i];
		Behaviour &behaviour = behaviours_[i];

		kext.keep_calls = false;
		kext.start = [&] { return start(kext, behaviour); };
		kext.stop = [&, i]() -> kern_return_t {
			if (behaviour.stop == InStop::Request && !request_of(kext))
				wrong("a request was accepted from a stop function");
			if (!forced_ && classes_[i].instances > 0)
				wrong("a kext is stopped with %d objects", classes_[i].instances);
			return behaviour.stop == InStop::Fail ? KERN_FAILURE : KERN_SUCCESS;
		};
		kext.on_callback = [&](const host::Call &call) { act(kext, behaviour, call); };
	}
	// The ends of the counters.
	switch (in_.below(4)) {
	case 1:
		host_set_next_tag(0xfffffffb);
		break;
	case 2:
		host_set_next_load_tag(0xfffffffd);
		break;
	case 3:
		fake::xa_always_allocates(true);
		break;
	}
}

Machine::~Machine()
{
	for (int fd : fds_)
		fake::close_fd(fd);
}

// Between two operations nothing runs.
void Machine::check()
{
	do
		fake::settle();
	while (fuzz_answered_reads());
	end_reads(false);
	if (const char *broken = host_check_invariants())
		wrong("the core's books: %s", broken);
	for (ControlFile &control : controls_)
		if (control.is_open())
			if (const char *broken = fuzz_check_file(control.data))
				wrong("the core's books: %s", broken);
	if (fake::atomic_depth())
		wrong("a call returned with a lock held");
}

// Everything is closed and unloaded, and then nothing may be left.
void Machine::finish()
{
	fake::fail_allocation(0);
	fake::fail_user_copy(0);
	fake::clear_signal();
	end_reads(true);
	forced_ = true;
	for (DaemonFile &daemon : daemons_)
		close(daemon);
	for (ControlFile &control : controls_)
		close(control);
	check();
	for (auto &kext : kexts_)
		if (kext->is_loaded() && kext->rmmod_force())
			wrong("a module cannot be removed");
	check();
	for (auto &kext : kexts_)
		kext.reset();
	if (contexts_.size())
		wrong("%zu requests never ended", contexts_.size());
	kextbridge_status end = host::stats();

	if (end.kexts || end.answered || end.fetched || end.submitted != end.callbacks + end.cancelled + end.discarded)
		wrong("%llu submitted, %llu callbacks, %llu cancelled, %llu discarded, %u kexts", end.submitted,
		      end.callbacks, end.cancelled, end.discarded, end.kexts);
	kextbridge_core_exit_c();
	fake::Live left = fake::live();

	if (left.allocations || left.krefs || left.file_refs || left.pid_refs || left.sleepers)
		wrong("left: %ld allocations, %ld references, %ld files, %ld pids, %ld sleepers", left.allocations,
		      left.krefs, left.file_refs, left.pid_refs, left.sleepers);
}

// ---- operands

u32 Machine::tag()
{
	std::lock_guard lock(tags_mutex_);
	u32 which = in_.byte();

	if (which < 160 && !tags_.empty())
		return tags_[tags_.size() - 1 - which % std::min<size_t>(tags_.size(), 8)];
	if (which < 192 && !ids_.empty())
		return static_cast<u32>(ids_.back());
	return which < 200 ? kOSKextRequestTagInvalid : static_cast<u32>(in_.number());
}

// Mostly of a request in hand; sometimes nearly so.
u64 Machine::id()
{
	u32 which = in_.byte();

	if (ids_.empty() || which >= 224)
		return in_.number();
	u64 id = ids_[ids_.size() - 1 - which % std::min<size_t>(ids_.size(), 8)];

	if (which < 176)
		return id;
	return which < 200 ? id ^ (1ull << (32 + which % 32)) : id + which % 4;
}

u32 Machine::load_tag()
{
	u32 which = in_.byte();

	return which < 224 ? kexts_[which % kKexts]->tag() : static_cast<u32>(in_.number());
}

s32 Machine::os_return()
{
	u32 which = in_.byte();

	if (which < 128)
		return kOSReturnSuccess;
	return which < 240 ? kOSKextReturnInternalError + static_cast<s32>(which % 32) : static_cast<s32>(in_.number());
}

// ---- the environment

void Machine::fail_allocation()
{
	injected_ = true;
	fake::fail_allocation(1 + in_.below(8));
}

void Machine::fail_copy()
{
	injected_ = true;
	fake::fail_user_copy(1 + in_.below(8));
}

void Machine::clock()
{
	static constexpr u64 steps[] = {0, 1, 49, 1000, 59999, 60000, 120000, 301000};

	fake::advance_ms(steps[in_.below(std::size(steps))]);
}

void Machine::parameter()
{
	static constexpr unsigned int few[] = {0, 1, 2, 3};
	static constexpr unsigned int bytes[] = {0, 1, 16, 100, 4096, 65536};
	static constexpr unsigned int names[] = {0, 5, 63, 1023, 3072, 4000};

	switch (in_.below(9)) {
	case 0:
		kextbridge_params.max_pending = few[in_.below(4)];
		break;
	case 1:
		kextbridge_params.max_pending_per_file = few[in_.below(4)];
		break;
	case 2:
		kextbridge_params.max_reply_bytes = bytes[in_.below(std::size(bytes))];
		break;
	case 3:
		kextbridge_params.max_bytes_per_file = bytes[in_.below(std::size(bytes))];
		break;
	case 4:
		kextbridge_params.max_name = names[in_.below(std::size(names))];
		break;
	case 5:
		kextbridge_params.strict_cancel = in_.flag();
		break;
	case 6:
		kextbridge_params.unload_stopping = in_.flag();
		break;
	case 7:
		kextbridge_params.request_timeout_ms = few[in_.below(4)] * 1000;
		break;
	case 8:
		kextbridge_params.autounload_delay_ms = 1000 + in_.below(2) * 59000;
		break;
	}
}

void Machine::caller()
{
	fake::Task &task = fake::current();
	u32 who = in_.byte();

	task.uid = who & 1 ? 1000 : 0;
	task.sys_admin = !(who & 2);
	task.sys_module = !(who & 4);
}

void Machine::shutdown()
{
	kextbridge_shutdown_c();
	shutdown_ = true;
}

void Machine::sleep()
{
	kextbridge_sleep_c(in_.flag());
}

// ---- the program

static void step(Machine &machine, Op op)
{
	switch (op) {
	case Op::DaemonOpen:
		return machine.daemon_open();
	case Op::DaemonClose:
		return machine.daemon_close();
	case Op::DaemonDies:
		return machine.daemon_dies();
	case Op::Exchange:
		return machine.exchange();
	case Op::Serve:
		return machine.serve();
	case Op::DaemonIoctl:
		return machine.daemon_ioctl();
	case Op::DaemonPoll:
		return machine.daemon_poll();
	case Op::ControlOpen:
		return machine.control_open();
	case Op::ControlClose:
		return machine.control_close();
	case Op::Request:
		return machine.request();
	case Op::Result:
		return machine.result();
	case Op::Cancel:
		return machine.cancel();
	case Op::Retain:
		return machine.tag_call(KEXTBRIDGE_IOC_RETAIN);
	case Op::Release:
		return machine.tag_call(KEXTBRIDGE_IOC_RELEASE);
	case Op::Unload:
		return machine.tag_call(KEXTBRIDGE_IOC_UNLOAD);
	case Op::Load:
		return machine.load();
	case Op::List:
		return machine.list();
	case Op::Status:
		return machine.status();
	case Op::ControlIoctl:
		return machine.control_ioctl();
	case Op::ControlPoll:
		return machine.control_poll();
	case Op::KextLoad:
		return machine.kext_load();
	case Op::KextRemove:
		return machine.kext_remove();
	case Op::KextRequest:
		return machine.kext_request();
	case Op::KextCancel:
		return machine.kext_cancel();
	case Op::KextCancelAll:
		return machine.kext_cancel_all();
	case Op::KextRetain:
		return machine.kext_retain();
	case Op::KextRelease:
		return machine.kext_release();
	case Op::KextLoadOther:
		return machine.kext_load_other();
	case Op::KextBehave:
		return machine.kext_behave();
	case Op::KextAsk:
		return machine.kext_ask();
	case Op::KextAllocate:
		return machine.kext_allocate();
	case Op::FailAllocation:
		return machine.fail_allocation();
	case Op::FailCopy:
		return machine.fail_copy();
	case Op::Clock:
		return machine.clock();
	case Op::Parameter:
		return machine.parameter();
	case Op::Caller:
		return machine.caller();
	case Op::LoadRequests:
		return machine.load_requests();
	case Op::KextRead:
		return machine.kext_read();
	case Op::KextScope:
		return machine.kext_scope();
	case Op::KextUnloadOther:
		return machine.kext_unload_other();
	case Op::KextInstance:
		return machine.kext_instance();
	case Op::Shutdown:
		return machine.shutdown();
	case Op::Sleep:
		return machine.sleep();
	case Op::Ops:
		return;
	}
}

void run_program(Table table, const uint8_t *data, size_t size)
{
	Input input(data, size);
	Machine machine(input);

	for (u32 left = kMostOperations; left && !input.empty(); left--) {
		user_memory().forget_all();
		step(machine, table[input.byte() % table.size()]);
		machine.check();
	}
	machine.finish();
}

int code(Table table, Op op)
{
	auto found = std::find(table.begin(), table.end(), op);

	return found == table.end() ? -1 : static_cast<int>(found - table.begin());
}

} // namespace fuzz
