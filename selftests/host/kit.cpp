// SPDX-License-Identifier: GPL-2.0-only
#include "kit.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <unistd.h>
#include <utility>

namespace host {

// ---- drivers

namespace {

std::atomic<Kext *> kexts[Kext::max_kexts];

std::mutex modules_mutex;
std::map<std::string, Kext *> modules;

Kext &kext_at(int slot, const char *what)
{
	Kext *kext = kexts[slot].load();

	if (!kext || !kext->is_loaded())
		fake::bug("%s of a module that is gone", what);
	return *kext;
}

template <int N>
void callback_at(OSKextRequestTag tag, OSReturn result, const void *data, uint32_t length, void *context)
{
	kext_at(N, "callback").run_callback(tag, result, data, length, context);
}

template <int N> kern_return_t start_at(kmod_info_t *, void *)
{
	return kext_at(N, "start function").run_start();
}

template <int N> kern_return_t stop_at(kmod_info_t *, void *)
{
	return kext_at(N, "stop function").run_stop();
}

struct Routines {
	OSKextRequestResourceCallback callback;
	kmod_start_func_t *start;
	kmod_stop_func_t *stop;
};

template <int... N> Routines routines_at(int slot, std::integer_sequence<int, N...>)
{
	static const Routines all[] = {{callback_at<N>, start_at<N>, stop_at<N>}...};

	return all[slot];
}

Routines routines(int slot)
{
	return routines_at(slot, std::make_integer_sequence<int, Kext::max_kexts>());
}

} // namespace

Kext::Kext(const std::string &identifier, u32 kext_flags, const char *version) : flags(kext_flags), slot_(0)
{
	for (Kext *none = nullptr; !kexts[slot_].compare_exchange_strong(none, this); none = nullptr)
		if (++slot_ == max_kexts)
			fake::bug("more kexts than the kit has addresses for");
	std::string name = identifier.empty() ? "com.example.k" + std::to_string(slot_) : identifier;

	info.info_version = KMOD_INFO_VERSION;
	info.id = kOSKextInvalidLoadTag;
	// One of 64 bytes has no room for its NUL: the core has to refuse it.
	memcpy(info.name, name.data(), std::min(name.size(), sizeof(info.name)));
	memcpy(info.version, version, std::min(strlen(version), sizeof(info.version)));
	info.start = routines(slot_).start;
	info.stop = routines(slot_).stop;
}

Kext::~Kext()
{
	closing_ = true;
	if (loaded_)
		rmmod_force();
	wait_for_removal();
	kexts[slot_] = nullptr;
}

OSKextRequestResourceCallback Kext::callback() const
{
	return routines(slot_).callback;
}

// An insmod waits for a delete_module() of the same name that has run the exit function already.
void Kext::wait_for_removal()
{
	while (removers_)
		std::this_thread::yield();
}

int Kext::insmod()
{
	std::string name = "kext" + std::to_string(slot_);

	wait_for_removal();

	info.id = kOSKextInvalidLoadTag; // a fresh image
	fake::init_module(module, name.c_str(), reinterpret_cast<unsigned long>(callback()), 1);
	loaded_ = true;
	{
		std::lock_guard lock(modules_mutex);

		modules[name] = this;
	}
	int err = kextbridge_kext_init(&info, &module, flags);

	if (err) {
		load_tag = kOSKextInvalidLoadTag;
		std::lock_guard lock(modules_mutex);

		modules.erase(name);
		module.state = module::Unloaded;
		loaded_ = false;
	} else {
		fake::module_is_live(module);
	}
	return err;
}

int Kext::remove(bool force)
{
	removers_++;
	int err = fake::delete_module(module, force, [&] {
		kextbridge_kext_exit(&info);
		loaded_ = false;
	});

	if (!err) {
		std::lock_guard lock(modules_mutex);

		modules.erase(module.name);
	}
	removers_--;
	return err;
}

int Kext::rmmod()
{
	return remove(false);
}

int Kext::rmmod_force()
{
	return remove(true);
}

Kext *Kext::by_module(const std::string &name)
{
	std::lock_guard lock(modules_mutex);
	auto found = modules.find(name);

	return found == modules.end() ? nullptr : found->second;
}

OSReturn Kext::request(const char *name, OSKextRequestTag *tag, void *context, u32 timeout_ms, u32 max_length)
{
	kextbridge_resource_options options = {.timeout_ms = timeout_ms, .max_length = max_length, .scope = nullptr};

	return kextbridge_request_resource(info.name, name, callback(), context, tag, &options);
}

OSReturn Kext::request_under(kextbridge_scope *scope, void *context, OSKextRequestTag *tag, const char *name)
{
	kextbridge_resource_options options = {.timeout_ms = 0, .max_length = 0, .scope = scope};

	return kextbridge_request_resource(info.name, name, callback(), context, tag, &options);
}

OSReturn Kext::read(void **data, u32 *length, const char *name, u32 timeout_ms, kextbridge_scope *scope)
{
	kextbridge_resource_options options = {.timeout_ms = timeout_ms, .max_length = 0, .scope = scope};

	return kextbridge_read(&info, info.name, name, &options, data, length);
}

OSKextRequestTag Kext::must_request(const char *name, void *context, u32 timeout_ms)
{
	OSKextRequestTag tag = 0;
	OSReturn result = request(name, &tag, context, timeout_ms);

	EXPECT_EQ(result, kOSReturnSuccess);
	return tag;
}

OSReturn Kext::cancel(OSKextRequestTag tag, void **context)
{
	return kextbridge_cancel_request(&info, tag, context);
}

OSReturn Kext::cancel_nowait(OSKextRequestTag tag, void **context)
{
	return kextbridge_cancel_request_nowait(&info, tag, context);
}

u32 Kext::cancel_all(void (*cancelled)(OSKextRequestTag, void *, void *), void *arg)
{
	// A driver's threads are gone when its module is; the tests' may be late.
	kmod_info_t caller{};

	caller.id = load_tag;
	return kextbridge_cancel_requests(&caller, cancelled, arg);
}

void Kext::run_callback(OSKextRequestTag tag, OSReturn result, const void *data, u32 length, void *context)
{
	if (in_callback.fetch_add(1))
		fake::bug("two callbacks of %s at once", info.name);
	if (in_start || in_stop)
		fake::bug("a callback of %s while its %s function runs", info.name, in_start ? "start" : "stop");
	if (fake::atomic_depth())
		fake::bug("a callback with a lock held");
	if (!data != !length)
		fake::bug("a callback with data %p and length %u", data, length);
	Call call{tag, result, std::nullopt, length, context, std::this_thread::get_id()};

	if (data)
		call.data = std::string(static_cast<const char *>(data), length);
	if (on_callback && !closing_)
		on_callback(call);
	if (call.data && memcmp(data, call.data->data(), length) != 0)
		fake::bug("the payload changed during the callback");
	std::lock_guard lock(mutex_);

	if (keep_calls)
		calls_.push_back(std::move(call));
	in_callback--;
	finished_calls++;
	changed_.notify_all();
}

kern_return_t Kext::run_start()
{
	if (in_start.exchange(true) || in_stop || in_callback)
		fake::bug("start function of %s while something of it runs", info.name);
	if (fake::atomic_depth())
		fake::bug("a start function with a lock held");
	starts++;
	load_tag = info.id;
	kern_return_t result = start && !closing_ ? start() : KERN_SUCCESS;

	in_start = false;
	return result;
}

kern_return_t Kext::run_stop()
{
	if (in_stop.exchange(true) || in_start || in_callback)
		fake::bug("stop function of %s while something of it runs", info.name);
	if (fake::atomic_depth())
		fake::bug("a stop function with a lock held");
	stops++;
	kern_return_t result = stop && !closing_ ? stop() : KERN_SUCCESS;

	in_stop = false;
	return result;
}

std::vector<Call> Kext::calls()
{
	std::lock_guard lock(mutex_);

	return calls_;
}

std::vector<Call> Kext::wait_for_calls(size_t count)
{
	std::unique_lock lock(mutex_);

	while (finished_calls < count)
		changed_.wait(lock);
	EXPECT_EQ(finished_calls, count);
	return calls_;
}

// ---- daemons

std::vector<Record> parse(const void *buffer, u32 used)
{
	std::vector<Record> records;
	const char *at = static_cast<const char *>(buffer);
	const char *end = at + used;

	while (at < end) {
		kextd_request header;

		memcpy(&header, at, sizeof(header));
		if (header.size < sizeof(header) || header.size > static_cast<size_t>(end - at) || header.size % 8)
			fake::bug("a record of %u bytes", header.size);
		const char *strings = at + sizeof(header);

		if (sizeof(header) + header.identifier_size + header.name_size > header.size ||
		    !header.identifier_size || !header.name_size || strings[header.identifier_size - 1] ||
		    strings[header.identifier_size + header.name_size - 1] || header.reserved)
			fake::bug("a record with malformed strings");
		for (const char *pad = strings + header.identifier_size + header.name_size; pad < at + header.size;
		     pad++)
			if (*pad)
				fake::bug("a record with something behind its strings");
		records.push_back({header.kind, header.id, header.deadline_ns, header.max_length, header.load_tag,
				   header.attempt, std::string(strings, header.identifier_size - 1),
				   std::string(strings + header.identifier_size, header.name_size - 1)});
		at += header.size;
	}
	return records;
}

std::vector<u32> tags_of(const std::vector<Record> &records)
{
	std::vector<u32> tags;

	for (const Record &record : records)
		tags.push_back(record.tag());
	return tags;
}

kextd_reply reply_with(u64 id, s32 result)
{
	kextd_reply reply{};

	reply.id = id;
	reply.result = result;
	reply.flags = KEXTD_REPLY_RESULT;
	reply.status = 0x7777;
	return reply;
}

kextd_reply reply_with(u64 id, s32 result, std::string_view data)
{
	kextd_reply reply = reply_with(id, result);

	reply.flags |= KEXTD_REPLY_DATA;
	reply.data = fake::user(data.data());
	reply.length = static_cast<u32>(data.size());
	return reply;
}

kextd_reply reply_with_fd(u64 id, s32 result, int fd)
{
	kextd_reply reply = reply_with(id, result);

	reply.flags |= KEXTD_REPLY_FD;
	reply.fd = fd;
	return reply;
}

Daemon::Daemon(bool open_now, pid *process) : process_(process)
{
	if (open_now) {
		int err = open();

		EXPECT_EQ(err, 0);
	}
}

int Daemon::open()
{
	pid *before = fake::current().process;

	file.opener_sys_module = fake::current().sys_module;
	if (process_)
		fake::current().process = process_;
	int err = kextbridge_daemon_open_c(&file, &data_);

	fake::current().process = before;
	if (err)
		data_ = nullptr;
	return err;
}

void Daemon::close()
{
	if (data_)
		kextbridge_daemon_release_c(std::exchange(data_, nullptr));
}

long Daemon::ioctl(kextd_exchange &args, unsigned int cmd)
{
	return kextbridge_daemon_ioctl_c(&file, data_, cmd, fake::user(&args));
}

long Daemon::ioctl_at(u64 address, unsigned int cmd)
{
	return kextbridge_daemon_ioctl_c(&file, data_, cmd, address);
}

std::vector<Record> Daemon::exchange(u32 count, u32 flags, long *error)
{
	std::vector<u64> buffer(16384);
	kextd_exchange args{};

	args.size = sizeof(args);
	args.flags = flags | more_flags;
	args.max_requests = count;
	args.requests = fake::user(buffer.data());
	args.requests_size = static_cast<u32>(buffer.size() * sizeof(u64));
	long err = ioctl(args);

	if (error)
		*error = err;
	else if (err && err != -SHIM_EAGAIN)
		ADD_FAILURE() << "exchange: " << err;
	if (err)
		return {};
	std::vector<Record> records = parse(buffer.data(), args.requests_used);

	EXPECT_EQ(records.size(), args.request_count);
	return records;
}

std::vector<Record> Daemon::fetch(u32 count, long *error)
{
	return exchange(count, KEXTD_EXCHANGE_NOWAIT, error);
}

std::vector<Record> Daemon::wait(u32 count, long *error)
{
	return exchange(count, 0, error);
}

Record Daemon::fetch_one()
{
	std::vector<Record> records = fetch(1);

	if (records.size() != 1) {
		ADD_FAILURE() << "nothing to fetch";
		return {};
	}
	return records[0];
}

s32 Daemon::reply(const kextd_reply &reply)
{
	kextd_reply own = reply;
	kextd_exchange args{};

	args.size = sizeof(args);
	args.replies = fake::user(&own);
	args.reply_count = 1;
	long err = ioctl(args);

	EXPECT_EQ(err, 0);
	EXPECT_EQ(args.reply_count, 1u);
	EXPECT_EQ(args.request_count, 0u);
	return own.status;
}

s32 Daemon::reply(u64 id, s32 result)
{
	return reply(reply_with(id, result));
}

s32 Daemon::reply(u64 id, s32 result, std::string_view data)
{
	return reply(reply_with(id, result, data));
}

unsigned int Daemon::poll(fake::Poll *poll)
{
	return kextbridge_daemon_poll_c(&file, data_, poll ? poll->table() : nullptr);
}

s32 delete_for(const Record &record)
{
	Kext *kext = Kext::by_module(record.name);
	int err = kext ? kext->rmmod() : -2;

	return !err || err == -2 ? kOSReturnSuccess : kOSKextReturnInUse;
}

kextd_reply Service::usual(const Record &record)
{
	switch (record.kind) {
	case KEXTD_RESOURCE:
		return reply_with(record.id, kOSReturnSuccess, record.name);
	case KEXTD_UNLOAD:
		return reply_with(record.id, delete_for(record));
	default:
		return reply_with(record.id, kOSKextReturnNotFound);
	}
}

Service::Service(Daemon &daemon, int threads, Handler handler, u32 batch)
	: daemon_(daemon), handler_(handler ? std::move(handler) : usual), batch_(batch)
{
	tasks_.resize(static_cast<size_t>(threads));
	for (size_t i = 0; i < tasks_.size(); i++)
		threads_.emplace_back([this, i] { run(i); });
	while (ready_ < threads)
		std::this_thread::yield();
}

void Service::run(size_t index)
{
	std::vector<u64> buffer(2048);
	std::vector<Record> records; // the replies' bytes are their names
	std::vector<kextd_reply> replies;

	tasks_[index] = &fake::current();
	ready_++;
	while (!stop_) {
		kextd_exchange args{};

		args.size = sizeof(args);
		args.replies = fake::user(replies.data());
		args.reply_count = static_cast<u32>(replies.size());
		args.requests = fake::user(buffer.data());
		args.requests_size = static_cast<u32>(buffer.size() * sizeof(u64));
		args.max_requests = batch_;
		long err = daemon_.ioctl(args);

		// Which replies were taken may be unknown then; a second time they are not found.
		if (err == -SHIM_EFAULT)
			continue;
		for (u32 i = 0; i < args.reply_count && i < replies.size(); i++)
			refused += replies[i].status != 0;
		replies.clear();
		if (err == -SHIM_ERESTARTSYS)
			continue;
		if (err)
			break;
		records = parse(buffer.data(), args.requests_used);
		for (const Record &record : records) {
			if (record.kind == KEXTD_CANCEL) {
				notices++;
				continue;
			}
			this->records++;
			kextd_reply reply = handler_(record);

			if (reply.flags)
				replies.push_back(reply);
		}
	}
	// What the last call fetched is answered like the rest.
	if (!killed_) {
		for (const kextd_reply &reply : replies)
			refused += daemon_.reply(reply) != 0;
	}
	// The task must outlive whoever interrupts it.
	while (!interrupted_)
		std::this_thread::yield();
}

void Service::die()
{
	killed_ = true;
	finish();
}

void Service::finish()
{
	if (threads_.empty())
		return;
	stop_ = true;
	for (fake::Task *task : tasks_)
		fake::interrupt(*task);
	interrupted_ = true;
	for (std::thread &thread : threads_)
		thread.join();
	threads_.clear();
}

// ---- programs

Control::Control(u32 uid, bool may_fail)
{
	u32 before = fake::current().uid;

	fake::current().uid = uid;
	file.opener_sys_module = fake::current().sys_module;
	int err = kextbridge_control_open_c(&file, &data_);

	EXPECT_TRUE(!err || may_fail) << err;
	if (err)
		data_ = nullptr;
	fake::current().uid = before;
}

void Control::close()
{
	if (data_)
		kextbridge_control_release_c(std::exchange(data_, nullptr));
}

long Control::ioctl(unsigned int cmd, void *args)
{
	return kextbridge_control_ioctl_c(&file, data_, cmd, fake::user(args));
}

Control::Outcome Control::request(const std::string &identifier, const std::string &name, u32 flags, u32 timeout_ms,
				  u32 max_length)
{
	kextbridge_request args{};

	args.size = sizeof(args);
	args.flags = flags;
	args.identifier = fake::user(identifier.data());
	args.identifier_size = static_cast<u32>(identifier.size());
	args.name = fake::user(name.data());
	args.name_size = static_cast<u32>(name.size());
	args.timeout_ms = timeout_ms;
	args.max_length = max_length;
	long err = ioctl(KEXTBRIDGE_IOC_REQUEST, &args);

	return {err, args.result, args.tag};
}

u32 Control::must_request(const std::string &name, u32 flags, u32 timeout_ms)
{
	Outcome made = request("com.example.bundle", name, flags, timeout_ms);

	EXPECT_EQ(made.error, 0);
	EXPECT_EQ(made.result, kOSReturnSuccess);
	return made.tag;
}

Control::Result Control::result(u32 tag, u32 flags, u32 offset, u32 room)
{
	std::string buffer(room, '\xee');
	kextbridge_result args{};

	args.size = sizeof(args);
	args.flags = flags;
	args.tag = tag;
	args.data = room ? fake::user(buffer.data()) : 0;
	args.offset = offset;
	args.count = room;
	long err = ioctl(KEXTBRIDGE_IOC_RESULT, &args);

	if (err)
		return {err, 0, 0, tag, 0, 0, ""};
	return {0, args.status, args.outcome, args.tag, args.out_flags, args.length, buffer.substr(0, args.count)};
}

Control::Outcome Control::tag_call(unsigned int cmd, u32 tag, u32 flags)
{
	kextbridge_tag args{sizeof(args), flags, tag, 0x7777};
	long err = ioctl(cmd, &args);

	return {err, args.result, tag};
}

Control::Outcome Control::unload(u32 tag, bool if_idle)
{
	return tag_call(KEXTBRIDGE_IOC_UNLOAD, tag, if_idle ? KEXTBRIDGE_UNLOAD_IF_IDLE : 0);
}

std::vector<std::string> Control::asked_loads(u32 from, u32 room)
{
	std::vector<std::array<char, KEXTBRIDGE_IDENTIFIER_SIZE>> entries(room);
	std::vector<std::string> identifiers;
	kextbridge_load_requests args{};

	args.size = sizeof(args);
	args.identifiers = fake::user(entries.data());
	args.count = room;
	args.from = from;
	EXPECT_EQ(ioctl(KEXTBRIDGE_IOC_LOAD_REQUESTS, &args), 0);
	for (u32 i = 0; i < args.count; i++)
		identifiers.emplace_back(entries[i].data());
	return identifiers;
}

Control::Outcome Control::load(const std::string &identifier, bool wait, u32 more_flags)
{
	kextbridge_load args{};

	args.size = sizeof(args);
	args.flags = (wait ? KEXTBRIDGE_LOAD_WAIT : 0) | more_flags;
	args.identifier = fake::user(identifier.data());
	args.identifier_size = static_cast<u32>(identifier.size());
	long err = ioctl(KEXTBRIDGE_IOC_LOAD, &args);

	return {err, args.result, 0};
}

std::vector<kextbridge_kext> Control::list(u32 from, u32 room, kextbridge_list *out)
{
	std::vector<kextbridge_kext> entries(room);
	kextbridge_list args{};

	args.size = sizeof(args);
	args.kexts = fake::user(entries.data());
	args.count = room;
	args.from = from;
	long err = ioctl(KEXTBRIDGE_IOC_LIST, &args);

	EXPECT_EQ(err, 0);
	entries.resize(args.count);
	if (out)
		*out = args;
	return entries;
}

kextbridge_status Control::status()
{
	kextbridge_status args{};

	args.size = sizeof(args);
	long err = ioctl(KEXTBRIDGE_IOC_STATUS, &args);

	EXPECT_EQ(err, 0);
	return args;
}

unsigned int Control::poll(fake::Poll *poll)
{
	return kextbridge_control_poll_c(&file, data_, poll ? poll->table() : nullptr);
}

// ---- all of it

kextbridge_status stats()
{
	kextbridge_status status{};

	kextbridge_stats_c(&status);
	return status;
}

void check_invariants()
{
	const char *broken = host_check_invariants();

	EXPECT_STREQ(broken, nullptr);
}

void Core::SetUp()
{
	fake::reset();
	host_core_reset();
	int err = kextbridge_core_init_c();

	ASSERT_EQ(err, 0);
}

void Core::TearDown()
{
	fake::fail_allocation(0);
	fake::fail_user_copy(0);
	fake::settle();
	check_invariants();
	kextbridge_status end = stats();

	EXPECT_EQ(end.kexts, 0u);
	EXPECT_EQ(end.answered, 0u);
	EXPECT_EQ(end.submitted, end.callbacks + end.cancelled + end.discarded);
	kextbridge_core_exit_c();
	fake::Live left = fake::live();

	EXPECT_EQ(left.allocations, 0) << "memory leaked";
	EXPECT_EQ(left.krefs, 0) << "references leaked";
	EXPECT_EQ(left.file_refs, 0) << "files leaked";
	EXPECT_EQ(left.pid_refs, 0) << "pids leaked";
	EXPECT_EQ(left.sleepers, 0) << "threads still sleep";
}

} // namespace host
