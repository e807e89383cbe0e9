// SPDX-License-Identifier: GPL-2.0-only
// Clients of kmdf.ko: what comes back to a program is compared byte for byte with what its driver was told to say.
#include "kmdf_machine.hpp"

namespace fuzz {

namespace {

constexpr unsigned char kFill = 0x5a;
constexpr size_t kLargestBuffer = 96;

u64 bad_address(u32 which)
{
	static constexpr u64 addresses[] = {0, 4096, 0xffff888000000000, ~0ull - 7};

	return addresses[which % std::size(addresses)];
}

char pattern(size_t at)
{
	return static_cast<char>(at * 7 + 1);
}

// A structure of the wire in memory that is as long as its own `size`, and not a byte longer.
template <typename T> class Argument {
	std::vector<unsigned char> place_;
	T before_;

      public:
	u64 address;

	Argument(Input &in, const T &value) : before_(value)
	{
		u32 how = in.byte();
		size_t size = value.size < sizeof(T) ? sizeof(T) : value.size > 4096 ? 4096 : value.size;

		place_.assign(size, how & 1 ? kFill : 0);
		memcpy(place_.data(), &value, sizeof(value));
		address = how < 0xf0 ? fake::user(place_.data()) : bad_address(how);
	}
	T after() const
	{
		T value;

		memcpy(&value, place_.data(), sizeof(value));
		return value;
	}
	// Only what copy_out(to, from) copies may have changed.
	template <typename F> void check(F copy_out, const char *what) const
	{
		T expected = before_;
		T found = after();

		copy_out(expected, found);
		if (memcmp(&expected, &found, sizeof(found)))
			wrong("%s: what only goes in has changed", what);
	}
};

template <typename T> T sized(Input &in)
{
	T value = {};

	value.size = sizeof(T);
	(void)in;
	return value;
}

bool is_known(s64 error, std::initializer_list<int> known)
{
	return std::find(known.begin(), known.end(), static_cast<int>(-error)) != known.end();
}

} // namespace

struct ControlCall {
	kmdf_device_control args;
	std::unique_ptr<Argument<kmdf_device_control>> argument;
	std::unique_ptr<unsigned char[]> in;
	std::unique_ptr<unsigned char[]> out;
	std::string given;
	std::string before; // of out
	Plan plan = {};
	bool is_planned = false;
	bool is_good = true; // its addresses are its own
};

File *KmdfMachine::open_file()
{
	File *file = files_[in_.byte() % kFiles].get();

	return file ? file : files_[0].get();
}

void KmdfMachine::judge_error(s64 error, const char *what) const
{
	static const auto known = {SHIM_EINVAL, SHIM_E2BIG,  SHIM_EFAULT,   SHIM_EINTR,
				   SHIM_EAGAIN, SHIM_ENOSPC, SHIM_EMSGSIZE, SHIM_ENODEV};

	if (error >= 0 || is_known(error, known) || (injected_ && error == -SHIM_ENOMEM))
		return;
	wrong("%s: %lld", what, error);
}

void KmdfMachine::open()
{
	std::unique_ptr<File> &file = files_[in_.below(kFiles)];
	u32 how = in_.byte();

	if (file)
		return;
	// Its EvtDeviceFileCreate may keep it: a killed client leaves.
	fake::kill(fake::current());
	auto made = std::make_unique<File>(driver_, true);

	fake::clear_signal();
	if (made->is_open())
		file = std::move(made);
	else if (!hostile_ && !injected_)
		wrong("open: %d", made->error());
	if (file)
		file->file.flags = how >= 224 ? SHIM_O_NONBLOCK : 0;
}

void KmdfMachine::close()
{
	std::unique_ptr<File> &file = files_[in_.below(kFiles)];

	if (!file)
		return;
	file->close();
	// Threads in a call and asynchronous requests have it open beyond this; nobody else can ask it for anything.
	closed_.push_back(std::move(file));
}

// ---- reads and writes, which wait in the kernel or on a thread

static std::string planned(Input &in, size_t size)
{
	std::string data(size, static_cast<char>(kFill));
	Plan plan = {static_cast<uint8_t>(in.byte() % Ways), in.byte(), static_cast<uint16_t>(in.byte())};

	memcpy(data.data(), &plan, std::min(size, sizeof(plan)));
	return data;
}

void KmdfMachine::read_or_write(bool is_read)
{
	File *file = open_file();
	size_t size = in_.byte() >= 240 ? static_cast<size_t>(in_.number() % 70000) : in_.below(kLargestBuffer);
	u32 how = in_.byte();
	std::string data = is_read ? std::string() : planned(in_, size);

	if (!file || !file->is_open())
		return;
	forget_finished();
	if (how < 160 && aios_.size() < kAios) {
		aios_.push_back(std::make_unique<Aio>(*file));
		s64 result = is_read ? aios_.back()->read(size) : aios_.back()->write(data);

		if (result != kQueued)
			judge_error(result == -5 || result == -125 ? 0 : result, "an asynchronous request");
		return;
	}
	if (waiters_.size() >= kWaiters || (file->file.flags & SHIM_O_NONBLOCK))
		return;
	file->hold();
	on_thread(false, [file, size, data, is_read] {
		std::string got;
		s64 result = is_read ? file->read(size, &got) : file->write(data);

		if (result > static_cast<s64>(is_read ? size : data.size()))
			wrong("%lld bytes of %zu", result, is_read ? size : data.size());
		file->drop();
	});
}

// ---- device control

void KmdfMachine::control_on(File &file, const std::shared_ptr<ControlCall> &call)
{
	s64 error = kmdf_ioctl_c(&file.file, file.data(), KMDF_IOC_DEVICE_CONTROL, call->argument->address);
	kmdf_device_control after = call->argument->after();
	u32 out_length = call->args.out_length;

	judge_error(error, "KMDF_IOC_DEVICE_CONTROL");
	call->argument->check(
		[&](kmdf_device_control &to, const kmdf_device_control &from) {
			if (error)
				return;
			to.status = from.status;
			to.information = from.information;
		},
		"KMDF_IOC_DEVICE_CONTROL");
	if (!call->is_good)
		return;
	if (std::string(call->in.get(), call->in.get() + call->args.in_length) != call->given)
		wrong("what goes in has changed");
	std::string out(call->out.get(), call->out.get() + out_length);
	bool is_error = error || static_cast<u32>(after.status) >> 30 == 3;
	size_t back = is_error ? 0 : static_cast<size_t>(std::min<u64>(after.information, out_length));

	// Only so much has come out.
	if (error != -SHIM_EFAULT && out.substr(back) != call->before.substr(back))
		wrong("%llu bytes are said to come back, and more do", after.information);
	if (hostile_ || error || !call->is_planned)
		return;
	if (after.status == result_of(call->plan) && !is_error) {
		if (after.information != std::min<u64>(call->plan.information, out_length))
			wrong("information %llu, and not %u of %u", after.information, call->plan.information,
			      out_length);
		for (size_t at = 0; at < back; at++)
			if (out[at] != pattern(at))
				wrong("byte %zu is not what the driver has written", at);
	} else if (after.status != result_of(call->plan) && after.status != STATUS_CANCELLED &&
		   after.status != STATUS_INVALID_DEVICE_STATE && after.status != STATUS_INVALID_DEVICE_REQUEST &&
		   after.status != STATUS_DEVICE_BUSY) {
		wrong("status %08x, and not %08x", static_cast<u32>(after.status),
		      static_cast<u32>(result_of(call->plan)));
	}
}

void KmdfMachine::control()
{
	static constexpr ULONG codes[] = {kBuffered, kInDirect, kOutDirect, kNeither};
	auto call = std::make_shared<ControlCall>();
	File *file = open_file();
	u32 how = in_.byte();
	u32 in_length = in_.below(kLargestBuffer);
	u32 out_length = in_.below(kLargestBuffer);
	kmdf_device_control &args = call->args;

	args = sized<kmdf_device_control>(in_);
	args.code = codes[how % 4] | (in_.byte() & 3u) << 14;
	call->given = planned(in_, in_length);
	call->is_planned = in_length >= sizeof(Plan) && how % 4 != 3;
	if (call->is_planned)
		memcpy(&call->plan, call->given.data(), sizeof(Plan));
	call->in.reset(new unsigned char[in_length]);
	memcpy(call->in.get(), call->given.data(), in_length);
	call->before.assign(out_length, static_cast<char>(kFill));
	call->out.reset(new unsigned char[out_length]);
	memset(call->out.get(), kFill, out_length);
	args.in = fake::user(call->in.get());
	args.out = fake::user(call->out.get());
	args.in_length = in_length;
	args.out_length = out_length;
	args.tag = in_.below(4);
	if (in_.byte() >= 208) {
		kmdf_device_control meant = args;

		in_.change(args);
		// Lengths beyond what is there are addresses that are not the program's.
		if (args.in_length > in_length)
			args.in = bad_address(how);
		if (args.out_length > out_length)
			args.out = bad_address(how);
		if (args.in != meant.in && args.in_length)
			args.in = bad_address(how);
		if (args.out != meant.out && args.out_length)
			args.out = bad_address(how);
		call->is_planned = false;
		call->is_good = !memcmp(&args.in, &meant.in, sizeof(args.in)) && args.out == meant.out &&
				args.in_length == in_length && args.out_length == out_length;
	}
	call->argument = std::make_unique<Argument<kmdf_device_control>>(in_, args);
	if (!file || !file->is_open())
		return;
	forget_finished();
	// A client that is dead already waits for nothing.
	if (how >= 192 || waiters_.size() >= kWaiters) {
		fake::kill(fake::current());
		control_on(*file, call);
		fake::clear_signal();
		return;
	}
	if (file->file.flags & SHIM_O_NONBLOCK)
		return;
	file->hold();
	on_thread(false, [this, file, call] {
		control_on(*file, call);
		file->drop();
	});
}

// ---- cancels

void KmdfMachine::cancel()
{
	File *file = open_file();
	kmdf_cancel args = sized<kmdf_cancel>(in_);

	args.what = 1 + in_.below(3);
	args.tag = in_.below(4);
	forget_finished();
	if (args.what == KMDF_CANCEL_THREAD && !waiters_.empty())
		args.tag = static_cast<u64>(waiters_[args.tag % waiters_.size()]->tid());
	if (in_.byte() >= 224)
		in_.change(args);
	Argument<kmdf_cancel> argument(in_, args);

	if (!file || !file->is_open())
		return;
	long error = file->ioctl(KMDF_IOC_CANCEL, reinterpret_cast<void *>(argument.address));
	kmdf_cancel after = argument.after();

	if (error && !is_known(error, {SHIM_EINVAL, SHIM_E2BIG, SHIM_EFAULT}))
		wrong("KMDF_IOC_CANCEL: %ld", error);
	if (!error && after.found != after.finished + after.notified + after.flagged)
		wrong("KMDF_IOC_CANCEL: %u of %u, %u and %u", after.found, after.finished, after.notified,
		      after.flagged);
	argument.check(
		[&](kmdf_cancel &to, const kmdf_cancel &from) {
			if (error)
				return;
			to.found = from.found;
			to.finished = from.finished;
			to.notified = from.notified;
			to.flagged = from.flagged;
		},
		"KMDF_IOC_CANCEL");
}

void KmdfMachine::kill()
{
	forget_finished();
	for (auto &waiter : waiters_) {
		if (waiter->ours || in_.flag())
			continue;
		fake::kill(waiter->task());
		until([&] { return waiter->finished(); }, "a killed client leaves");
		return;
	}
}

void KmdfMachine::bad_ioctl()
{
	static constexpr unsigned int commands[] = {KMDF_IOC_DEVICE_CONTROL, KMDF_IOC_CANCEL, KMDF_IOC_LAST_STATUS,
						    KMDF_IOC_LIST, KMDF_IOC_CANCEL_REQUEST};
	File *file = open_file();
	unsigned int command = commands[in_.below(std::size(commands))] ^ (in_.flag() ? 0 : in_.value<u32>());
	std::vector<unsigned char> garbage(8192);
	bool to_control = in_.flag();
	s64 error;

	// A list that is asked for by chance has no memory of ours.
	in_.bytes(garbage.data(), 4);
	fake::kill(fake::current());
	if (to_control)
		error = kmdf_control_ioctl_c(command, fake::user(garbage.data()));
	else
		error = file && file->is_open() ? file->ioctl(command, garbage.data()) : 0;
	fake::clear_signal();
	if (error > 0)
		wrong("ioctl %x: %lld", command, error);
}

// ---- /dev/kmdf/control

void KmdfMachine::list()
{
	kmdf_list args = sized<kmdf_list>(in_);
	u32 room = in_.byte() >= 128 ? 8192 : in_.below(255) * 8;
	std::unique_ptr<u64[]> buffer(new u64[room / 8]);
	bool is_changed = in_.byte() >= 224;

	memset(buffer.get(), kFill, room);
	args.buffer = fake::user(buffer.get());
	args.buffer_size = room;
	if (is_changed) {
		in_.change(args);
		if (args.buffer != fake::user(buffer.get()) || args.buffer_size > room)
			args.buffer = bad_address(args.buffer_size);
	}
	Argument<kmdf_list> argument(in_, args);
	long error = kmdf_control_ioctl_c(KMDF_IOC_LIST, argument.address);
	u32 used = argument.after().used;

	if (error && !is_known(error, {SHIM_EINVAL, SHIM_E2BIG, SHIM_EFAULT, SHIM_ENOBUFS}) &&
	    !(injected_ && error == -SHIM_ENOMEM))
		wrong("KMDF_IOC_LIST: %ld", error);
	argument.check(
		[&](kmdf_list &to, const kmdf_list &from) {
			if (!error || error == -SHIM_ENOBUFS)
				to.used = from.used;
		},
		"KMDF_IOC_LIST");
	if (error || is_changed)
		return;
	u32 left = 0; // of the last queue's requests

	for (u32 at = 0; at < used;) {
		kmdf_record record;
		kmdf_queue queue;
		kmdf_request request;
		const char *place = reinterpret_cast<const char *>(buffer.get()) + at;

		memcpy(&record, place, sizeof(record));
		if (record.size % 8 || record.size > used - at)
			wrong("KMDF_IOC_LIST: a record of %u bytes at %u of %u", record.size, at, used);
		if (record.kind == KMDF_RECORD_REQUEST) {
			memcpy(&request, place, sizeof(request));
			if (!left--)
				wrong("KMDF_IOC_LIST: more requests than their queue has");
			if (request.state < KMDF_REQUEST_QUEUED || request.state > KMDF_REQUEST_COMPLETED)
				wrong("KMDF_IOC_LIST: state %u", request.state);
		} else if (left) {
			wrong("KMDF_IOC_LIST: less requests than their queue has");
		} else if (record.kind == KMDF_RECORD_QUEUE) {
			memcpy(&queue, place, sizeof(queue));
			left = queue.queued + queue.driver_owned;
		}
		at += record.size;
	}
}

u64 KmdfMachine::some_id()
{
	Listing all = ::list();

	if (all.requests.empty() || in_.byte() >= 224)
		return in_.number();
	return all.requests[in_.byte() % all.requests.size()].id;
}

void KmdfMachine::cancel_one()
{
	kmdf_cancel_request args = sized<kmdf_cancel_request>(in_);

	fake::fail_allocation(0);
	fake::fail_user_copy(0);
	args.id = some_id();
	if (in_.byte() >= 224)
		in_.change(args);
	Argument<kmdf_cancel_request> argument(in_, args);

	fake::current().uid = in_.flag() ? 1000 : 0;
	fake::current().sys_admin = in_.flag();
	long error = kmdf_control_ioctl_c(KMDF_IOC_CANCEL_REQUEST, argument.address);

	fake::current().uid = 0;
	fake::current().sys_admin = true;
	if (error && !is_known(error, {SHIM_EINVAL, SHIM_E2BIG, SHIM_EFAULT, SHIM_ENOENT, SHIM_EPERM}))
		wrong("KMDF_IOC_CANCEL_REQUEST: %ld", error);
	argument.check(
		[&](kmdf_cancel_request &to, const kmdf_cancel_request &from) {
			if (!error)
				to.state = from.state;
		},
		"KMDF_IOC_CANCEL_REQUEST");
}

void KmdfMachine::last_status()
{
	File *file = open_file();
	kmdf_last_status args = sized<kmdf_last_status>(in_);

	if (in_.byte() >= 192)
		in_.change(args);
	Argument<kmdf_last_status> argument(in_, args);

	if (!file || !file->is_open())
		return;
	long error = file->ioctl(KMDF_IOC_LAST_STATUS, reinterpret_cast<void *>(argument.address));

	if (error && !is_known(error, {SHIM_EINVAL, SHIM_E2BIG, SHIM_EFAULT}))
		wrong("KMDF_IOC_LAST_STATUS: %ld", error);
	argument.check(
		[&](kmdf_last_status &to, const kmdf_last_status &from) {
			if (error)
				return;
			to.status = from.status;
			to.information = from.information;
		},
		"KMDF_IOC_LAST_STATUS");
}

// ---- the driver that keeps to the rules

// False: its client has said nothing.
bool KmdfMachine::plan_of(WDFREQUEST request, Plan *plan)
{
	void *buffer;

	*plan = {Mark, 0, 8};
	if (!NT_SUCCESS(WdfRequestRetrieveInputBuffer(request, sizeof(*plan), &buffer, nullptr)))
		return false;
	memcpy(plan, buffer, sizeof(*plan));
	return true;
}

// As it was told to.
void KmdfMachine::end(WDFREQUEST request)
{
	WDF_REQUEST_PARAMETERS parameters;
	void *buffer;
	size_t room = 0;
	Plan plan;

	plan_of(request, &plan);
	WDF_REQUEST_PARAMETERS_INIT(&parameters);
	WdfRequestGetParameters(request, &parameters);
	if (parameters.Type == WdfRequestTypeWrite)
		room = parameters.Parameters.Write.Length;
	else if (NT_SUCCESS(WdfRequestRetrieveOutputBuffer(request, 1, &buffer, &room)))
		for (size_t at = 0; at < std::min<size_t>(room, plan.information); at++)
			static_cast<char *>(buffer)[at] = pattern(at);
	else
		room = 0;
	WdfRequestCompleteWithInformation(request, result_of(plan), std::min<size_t>(room, plan.information));
}

void KmdfMachine::present(WDFREQUEST request)
{
	Plan plan;

	plan_of(request, &plan);
	if (finishing_ || plan.way % Ways == AtOnce)
		return end(request);
	if (plan.way % Ways == Forward && NT_SUCCESS(WdfRequestForwardToIoQueue(request, manual_.handle)))
		return;
	if ((plan.way % Ways == Mark || plan.way % Ways == MarkAndKeepCancelled) &&
	    WdfRequestMarkCancelableEx(request, evt_cancel) == STATUS_CANCELLED)
		return WdfRequestComplete(request, STATUS_CANCELLED);
	std::lock_guard lock(mutex_);

	kept_.push_back(request);
}

void KmdfMachine::cancelled(WDFREQUEST request)
{
	Plan plan;

	plan_of(request, &plan);
	{
		std::lock_guard lock(mutex_);

		kept_.erase(std::remove(kept_.begin(), kept_.end(), request), kept_.end());
		if (plan.way % Ways == MarkAndKeepCancelled && !finishing_) {
			called_.push_back(request);
			return;
		}
	}
	WdfRequestComplete(request, STATUS_CANCELLED);
}

// One that it has kept, or one of its manual queue.
void KmdfMachine::serve()
{
	WDFREQUEST request = nullptr;
	u32 which = in_.byte();
	bool is_called = false;
	Plan plan;
	{
		std::lock_guard lock(mutex_);

		is_called = !called_.empty() && (which >= 128 || kept_.empty());
		std::vector<WDFREQUEST> &from = is_called ? called_ : kept_;

		if (!from.empty()) {
			request = from[which % from.size()];
			from.erase(from.begin() + which % from.size());
		}
	}
	if (!request) {
		if (NT_SUCCESS(WdfIoQueueRetrieveNextRequest(manual_.handle, &request)))
			end(request);
		return;
	}
	if (is_called)
		return WdfRequestComplete(request, STATUS_CANCELLED);
	plan_of(request, &plan);
	if ((plan.way % Ways == Mark || plan.way % Ways == MarkAndKeepCancelled) &&
	    WdfRequestUnmarkCancelable(request) == STATUS_CANCELLED)
		wrong("it is cancelled, and nobody has been told");
	end(request);
}

} // namespace fuzz
