// SPDX-License-Identifier: GPL-2.0-only
// Calls on the two nodes. What comes back is compared byte for byte: nothing changes but what the wire says is written.
#include <algorithm>

#include "library.hpp"
#include "machine.hpp"

namespace fuzz {

constexpr u32 kLargestStruct = 4096;

// A structure in user memory, and behind it what a newer program has there: zeros, or what this kernel cannot know.
template <typename T> class Argument {
	UserMemory &user_;
	unsigned char *place_;
	T before_;
	unsigned char tail_[kLargestStruct - sizeof(T)];

      public:
	u64 address;
	bool good; // the kernel finds it there

	Argument(UserMemory &user, Input &in, const T &value) : user_(user), before_(value)
	{
		u32 how = in.byte();

		place_ = user_.take(kLargestStruct);
		memcpy(place_, &value, sizeof(value));
		memset(tail_, how & 1 ? UserMemory::kFill : 0, sizeof(tail_));
		memcpy(place_ + sizeof(value), tail_, sizeof(tail_));
		good = how < 0xf0;
		address = good ? fake::user(place_) : user_.bad_address(how);
	}

	T after() const
	{
		T value;

		memcpy(&value, place_, sizeof(value));
		return value;
	}

	// Only what copy_out(to, from) copies may have changed.
	template <typename F> void check(F copy_out, const char *what) const
	{
		T expected = before_;
		T found = after();

		copy_out(expected, found);
		if (memcmp(&expected, &found, sizeof(found)))
			for (size_t at = 0; at < sizeof(found); at++)
				if (reinterpret_cast<const char *>(&expected)[at] !=
				    reinterpret_cast<const char *>(&found)[at])
					wrong("%s: byte %zu of the structure has changed", what, at);
		if (memcmp(place_ + sizeof(T), tail_, sizeof(tail_)))
			wrong("%s: the kernel wrote behind the structure", what);
		UserMemory::check_guard(place_, kLargestStruct);
	}
};

// Everybody has a signal pending: nothing sleeps for somebody else of this program.
struct Signalled {
	Signalled() { fake::kill(fake::current()); }
	~Signalled() { fake::clear_signal(); }
};

static void check_error(long error, std::initializer_list<int> known, bool injected, const char *what)
{
	if (!error || std::find(known.begin(), known.end(), static_cast<int>(-error)) != known.end())
		return;
	if (injected && error == -SHIM_ENOMEM)
		return;
	wrong("%s: %ld", what, error);
}

DaemonFile *Machine::open_daemon()
{
	u32 which = in_.byte();

	if (active_ && which < 192)
		return active_;
	DaemonFile &daemon = daemons_[which % kFiles];

	return daemon.is_open() ? &daemon : nullptr;
}

ControlFile *Machine::open_control()
{
	u32 which = in_.byte();
	ControlFile &control = controls_[which % kFiles];

	return control.is_open() ? &control : controls_[0].is_open() ? &controls_[0] : nullptr;
}

// ---- the daemon's node

void Machine::daemon_open()
{
	DaemonFile &daemon = daemons_[in_.below(kFiles)];
	fake::Task &task = fake::current();
	bool taken = active_ && !active_->process->gone;

	if (daemon.is_open())
		return;
	daemon.process->gone = false;
	daemon.file.opener_sys_module = task.sys_module;
	daemon.file.flags = in_.byte() >= 192 ? SHIM_O_NONBLOCK : 0;
	task.process = daemon.process;
	int err = kextbridge_daemon_open_c(&daemon.file, &daemon.data);

	task.process = nullptr;
	check_error(err, {SHIM_EPERM, SHIM_EBUSY, SHIM_ESHUTDOWN}, injected(), "open of /dev/kextd");
	if (shutdown_ != (err == -SHIM_ESHUTDOWN) && (err == -SHIM_ESHUTDOWN || !err))
		wrong("/dev/kextd was%s opened while the system %s", err ? " not" : "", err ? "is up" : "goes down");
	daemon.notify = daemon.told_exit = false;
	if (err) {
		daemon.data = nullptr;
		if (err == -SHIM_EBUSY && !taken)
			wrong("/dev/kextd is busy without a daemon");
		return;
	}
	if (!task.sys_module || taken)
		wrong("/dev/kextd was opened %s", taken ? "twice" : "without CAP_SYS_MODULE");
	if (active_)
		active_->hand.clear();
	active_ = &daemon;
}

void Machine::close(DaemonFile &daemon)
{
	if (!daemon.is_open())
		return;
	kextbridge_daemon_release_c(std::exchange(daemon.data, nullptr));
	daemon.hand.clear();
	if (active_ == &daemon)
		active_ = nullptr;
}

void Machine::daemon_close()
{
	if (DaemonFile *daemon = open_daemon())
		close(*daemon);
}

void Machine::daemon_dies()
{
	if (DaemonFile *daemon = open_daemon())
		daemon->process->gone = true;
}

kextd_reply Machine::make_reply()
{
	kextd_reply reply{};
	u32 how = in_.byte();
	u32 length = 0;

	reply.id = id();
	reply.result = os_return();
	reply.flags = KEXTD_REPLY_RESULT;
	reply.fd = -1;
	if (how & 1) {
		length = static_cast<u32>(in_.number() % 300);
		reply.flags |= KEXTD_REPLY_DATA;
	}
	if (how & 2) {
		u32 which = in_.byte();

		reply.flags |= KEXTD_REPLY_FD;
		reply.fd = which < 224 ? fds_[which % fds_.size()] : static_cast<s32>(in_.number());
	}
	reply.length = length;
	if (how & 4)
		in_.change(reply);
	// Bytes where the kernel finds as many as it is told, or none at all.
	if (reply.length <= 8192 && user_.has_room(reply.length) && (reply.length || how & 1) && how < 0xe0) {
		unsigned char *bytes = user_.take(reply.length);

		for (u32 at = 0; at < reply.length; at++)
			bytes[at] = pattern(at);
		reply.data = fake::user(bytes);
	} else if (reply.data || reply.length) {
		reply.data = user_.bad_address(reply.length > 4 ? how : how % 4);
	}
	reply.status = 0x5a5a5a5a;
	return reply;
}

// Whether the reply may have been taken, and whether it must have been.
void Machine::judge(DaemonFile &daemon, const kextd_reply &reply, s32 status, bool fetched)
{
	bool data = reply.flags & KEXTD_REPLY_DATA;
	bool by_fd = reply.flags & KEXTD_REPLY_FD;
	bool well_formed = reply.id && !reply.reserved && !(reply.flags & ~KEXTD_REPLY_FLAGS) &&
			   (reply.flags & KEXTD_REPLY_RESULT) && !(data && by_fd) &&
			   (data || (!reply.data && !reply.length));
	auto found = daemon.hand.find(reply.id);

	if (status == kOSReturnSuccess) {
		if (!well_formed)
			wrong("a malformed reply was taken");
		if (found == daemon.hand.end())
			wrong("a reply to 0x%llx was taken, which is not in hand", reply.id);
		if ((data || by_fd) && found->second.kind != KEXTD_RESOURCE)
			wrong("a payload was taken for kind %u", found->second.kind);
		if (data && reply.length > found->second.max_length)
			wrong("%u bytes were taken, of at most %u", reply.length, found->second.max_length);
		if (by_fd) {
			::file *file = shim_fget(reply.fd);

			if (!file)
				wrong("a payload was taken from no file");
			if (!file->regular || file->mode != SHIM_FMODE_READ)
				wrong("a payload was taken from a file that may change");
			if (file->contents.size() > found->second.max_length)
				wrong("a file of %zu bytes was taken, of at most %u", file->contents.size(),
				      found->second.max_length);
			shim_fput(file);
		}
		daemon.hand.erase(found);
		return;
	}
	if (well_formed && fetched && found != daemon.hand.end() && !data && !by_fd)
		wrong("a reply to 0x%llx was refused: 0x%08x", reply.id, static_cast<unsigned int>(status));
	if (!well_formed && status != kOSKextReturnInvalidArgument)
		wrong("a malformed reply: 0x%08x", static_cast<unsigned int>(status));
}

// Each of them once, and to nobody who has not asked.
void Machine::announced(DaemonFile &daemon, const host::Record &record)
{
	bool exit = record.kind == KEXTD_EXIT;

	if (!daemon.notify || record.id || record.deadline_ns || record.max_length || record.attempt)
		wrong("an announcement of kind %u, id 0x%llx", record.kind, record.id);
	if (exit ? !shutdown_ || record.load_tag || std::exchange(daemon.told_exit, true) :
		   !announced_.emplace(record.kind, record.load_tag).second)
		wrong("an announcement of kind %u, of load tag %u, that is none", record.kind, record.load_tag);
	if (exit != record.identifier.empty() || exit != record.name.empty())
		wrong("an announcement of kind %u of \"%s\"", record.kind, record.identifier.c_str());
	if (record.kind == KEXTD_LOADED && announced_.count({KEXTD_UNLOADED, record.load_tag}))
		wrong("a kext is announced after its end");
}

// The same bytes by the kit's reading and by the library's.
void Machine::take_records(DaemonFile &daemon, const unsigned char *buffer, u32 used, u32 count)
{
	std::vector<host::Record> records = host::parse(buffer, used);
	size_t offset = 0;
	LibraryRecord theirs;

	if (records.size() != count)
		wrong("%u records, and there are %zu", count, records.size());
	for (const host::Record &record : records) {
		if (!library_reads(buffer, used, &offset, &theirs) || theirs.id != record.id ||
		    record.identifier != theirs.identifier || record.name != theirs.name)
			wrong("the library reads another record");
		if (record.kind == KEXTD_CANCEL) {
			if (std::find(ids_.begin(), ids_.end(), record.id) == ids_.end())
				wrong("a notice about 0x%llx, which was never handed out", record.id);
			daemon.hand.erase(record.id);
			continue;
		}
		if (record.kind >= KEXTD_LOADED && record.kind <= KEXTD_EXIT) {
			announced(daemon, record);
			continue;
		}
		if (record.kind < KEXTD_RESOURCE || record.kind > KEXTD_UNLOAD)
			wrong("a record of kind %u", record.kind);
		for (const DaemonFile &other : daemons_)
			if (other.hand.count(record.id))
				wrong("0x%llx was handed out twice", record.id);
		daemon.hand[record.id] = {record.kind, record.max_length, record.name};
		ids_.push_back(record.id);
	}
}

// `args` is complete but for its address. exact: all that the kernel was told of is there.
long Machine::exchange(DaemonFile &daemon, kextd_exchange args, unsigned char *replies, u32 count,
		       unsigned char *buffer, u32 size, bool exact)
{
	std::vector<kextd_reply> given(count);
	std::vector<bool> fetched(count);
	std::set<u64> seen;
	daemon.notify |= args.flags & KEXTD_EXCHANGE_NOTIFY;
	Argument<kextd_exchange> argument(user_, in_, args);
	bool copies_fail = injected();
	// While these replies are taken, a callback may end what others of them are for.
	bool stable = std::none_of(std::begin(behaviours_), std::end(behaviours_),
				   [](const Behaviour &behaviour) { return behaviour.ends_others(); });

	if (count)
		memcpy(given.data(), replies, count * sizeof(kextd_reply));
	for (u32 i = 0; i < count; i++)
		fetched[i] = seen.insert(given[i].id).second &&
			     host_request_state(static_cast<u32>(given[i].id)) == host::fetched;
	long error;
	{
		Signalled signalled;

		error = kextbridge_daemon_ioctl_c(&daemon.file, daemon.data, KEXTD_IOC_EXCHANGE, argument.address);
	}
	check_error(error,
		    {SHIM_EAGAIN, SHIM_EINVAL, SHIM_E2BIG, SHIM_EFAULT, SHIM_ENOBUFS, SHIM_EPERM, SHIM_EOWNERDEAD,
		     SHIM_ERESTARTSYS},
		    false, "exchange");
	argument.check(
		[](kextd_exchange &to, const kextd_exchange &from) {
			to.reply_count = from.reply_count;
			to.requests_used = from.requests_used;
			to.request_count = from.request_count;
		},
		"exchange");
	kextd_exchange after = argument.after();

	if ((error == -SHIM_EINVAL || error == -SHIM_E2BIG || error == -SHIM_EPERM) &&
	    memcmp(&after, &args, sizeof(after)))
		wrong("exchange: %ld, and the structure has changed", error);
	if (after.reply_count > args.reply_count)
		wrong("exchange: %u of %u replies", after.reply_count, args.reply_count);
	for (u32 i = 0; i < count; i++) {
		kextd_reply now;

		memcpy(&now, replies + i * sizeof(now), sizeof(now));
		s32 status = std::exchange(now.status, given[i].status);

		if (memcmp(&now, &given[i], sizeof(now)))
			wrong("exchange: reply %u has changed", i);
		if (status != given[i].status) {
			judge(daemon, given[i], status, fetched[i] && exact && stable && !copies_fail);
		} else if (!error && args.reply_count <= count && !copies_fail && exact && i < args.reply_count) {
			wrong("exchange: reply %u has no status", i);
		}
	}
	if (!error && argument.good) {
		if (after.request_count > args.max_requests || after.requests_used > args.requests_size)
			wrong("exchange: %u records in %u bytes", after.request_count, after.requests_used);
		if (after.requests_used > size)
			wrong("exchange: %u bytes in a buffer of %u", after.requests_used, size);
		take_records(daemon, buffer, after.requests_used, after.request_count);
		if (!copies_fail && exact)
			UserMemory::check_untouched(buffer + after.requests_used, buffer + size, "behind the records");
	}
	return error;
}

void Machine::exchange()
{
	DaemonFile *daemon = open_daemon();

	if (!daemon)
		return;
	u32 how = in_.byte();
	u32 count = how & 3;
	bool exact = true;
	kextd_exchange args{};

	unsigned char *replies = user_.take(count * sizeof(kextd_reply));
	for (u32 i = 0; i < count; i++) {
		kextd_reply reply = make_reply();

		memcpy(replies + i * sizeof(reply), &reply, sizeof(reply));
	}
	// The whole rest of user memory: what the kernel writes too much into it meets its end.
	u32 size = how & 4 ? 1024 : static_cast<u32>(in_.number() % 2048 & ~7ull);
	unsigned char *buffer = user_.take_last(size);

	args.size = sizeof(args);
	args.flags = (how & 8 ? KEXTD_EXCHANGE_NOWAIT : 0) | (how & 64 ? KEXTD_EXCHANGE_NOTIFY : 0);
	args.reply_count = count;
	args.max_requests = in_.byte() % 20;
	args.requests_size = size;
	if (how & 16)
		in_.change(args);
	args.replies = fake::user(replies);
	args.requests = fake::user(buffer);
	if (args.reply_count > count && args.reply_count <= KEXTD_EXCHANGE_MAX) {
		args.replies = user_.bad_address(5);
		exact = false;
	}
	if (how >= 0xe0) {
		exact = false;
		(how & 32 ? args.replies : args.requests) = user_.bad_address(in_.byte());
		if (how >= 0xf8)
			args.requests = fake::user(buffer) + 4;
	}
	if (args.requests_size > size)
		exact = false;
	exchange(*daemon, args, replies, args.replies == fake::user(replies) ? count : 0, buffer, size, exact);
}

// As kextd does it: fetches what there is, and answers each.
void Machine::serve()
{
	DaemonFile *daemon = open_daemon();

	if (!daemon)
		return;
	u32 how = in_.byte();
	u32 length = how & 1 ? static_cast<u32>(in_.number() % 600) : 20;
	u32 size = 4096;
	unsigned char *buffer = user_.take_last(size);
	kextd_exchange args{};

	args.size = sizeof(args);
	args.flags = KEXTD_EXCHANGE_NOWAIT | (how & 16 ? KEXTD_EXCHANGE_NOTIFY : 0);
	args.max_requests = 1 + how / 2 % 4;
	args.requests = fake::user(buffer);
	args.requests_size = size;
	size_t before = ids_.size();

	exchange(*daemon, args, nullptr, 0, buffer, size, true);
	if (how >= 0xe0)
		return;
	std::vector<kextd_reply> replies;
	unsigned char *bytes = user_.take(length);

	for (u32 at = 0; at < length; at++)
		bytes[at] = pattern(at);
	for (size_t i = before; i < ids_.size(); i++) {
		kextd_reply reply{};

		reply.id = ids_[i];
		reply.flags = KEXTD_REPLY_RESULT;
		reply.status = 0x5a5a5a5a;
		auto found = daemon->hand.find(ids_[i]);

		if (found == daemon->hand.end())
			continue;
		if (found->second.kind == KEXTD_RESOURCE && length) {
			reply.flags |= KEXTD_REPLY_DATA;
			reply.data = fake::user(bytes);
			reply.length = length;
		} else if (found->second.kind == KEXTD_UNLOAD) {
			host::Kext *kext = host::Kext::by_module(found->second.name);

			reply.result = kext && kext->rmmod() ? kOSKextReturnInUse : kOSReturnSuccess;
		} else if (found->second.kind == KEXTD_LOAD) {
			reply.result = kOSKextReturnNotFound;
		}
		replies.push_back(reply);
	}
	u32 count = static_cast<u32>(replies.size());
	unsigned char *place = user_.take(count * sizeof(kextd_reply));

	if (count)
		memcpy(place, replies.data(), count * sizeof(kextd_reply));
	args.replies = fake::user(place);
	args.reply_count = count;
	args.max_requests = 0;
	exchange(*daemon, args, place, count, buffer, 0, true);
}

static unsigned int command(Input &in, unsigned int known)
{
	u32 how = in.byte();

	// Another number, another size, another direction or all of it.
	return how < 64  ? known ^ 1u << (how % 32) :
	       how < 128 ? known ^ (in.byte() << 16) :
			   static_cast<unsigned int>(in.number());
}

static bool is_known(unsigned int cmd, std::initializer_list<unsigned int> known)
{
	return std::any_of(known.begin(), known.end(),
			   [&](unsigned int one) { return !((cmd ^ one) & ~(0x3fffu << 16)); });
}

void Machine::daemon_ioctl()
{
	DaemonFile *daemon = open_daemon();

	if (!daemon)
		return;
	kextd_exchange args{};

	args.size = sizeof(args);
	args.flags = KEXTD_EXCHANGE_NOWAIT;
	unsigned int cmd = command(in_, KEXTD_IOC_EXCHANGE);
	Argument<kextd_exchange> argument(user_, in_, args);
	long error = kextbridge_daemon_ioctl_c(&daemon->file, daemon->data, cmd, argument.address);

	check_error(error, {SHIM_ENOTTY, SHIM_EPERM, SHIM_EOWNERDEAD, SHIM_EFAULT, SHIM_EINVAL, SHIM_E2BIG}, false,
		    "ioctl on /dev/kextd");
	if (!is_known(cmd, {KEXTD_IOC_EXCHANGE}) && error != -SHIM_ENOTTY && error != -SHIM_EPERM)
		wrong("ioctl 0x%08x on /dev/kextd: %ld", cmd, error);
	argument.check([](auto &, const auto &) {}, "ioctl on /dev/kextd");
}

void Machine::daemon_poll()
{
	DaemonFile *daemon = open_daemon();

	if (!daemon)
		return;
	unsigned int ready = kextbridge_daemon_poll_c(&daemon->file, daemon->data, nullptr);
	bool is_daemon = daemon == active_ && !daemon->process->gone;

	if (ready & ~(SHIM_EPOLLIN | SHIM_EPOLLHUP) || is_daemon == !!(ready & SHIM_EPOLLHUP))
		wrong("poll of /dev/kextd: 0x%x", ready);
}

// ---- everybody's node

void Machine::control_open()
{
	ControlFile &control = controls_[in_.below(kFiles)];

	if (control.is_open())
		return;
	control.file.opener_sys_module = fake::current().sys_module;
	control.file.flags = in_.byte() >= 192 ? SHIM_O_NONBLOCK : 0;
	control.uid = fake::current().uid;
	int err = kextbridge_control_open_c(&control.file, &control.data);

	if (err)
		control.data = nullptr;
	check_error(err, {}, injected(), "open of /dev/kextbridge");
}

void Machine::close(ControlFile &control)
{
	if (!control.is_open())
		return;
	kextbridge_control_release_c(std::exchange(control.data, nullptr));
	control.tags.clear();
}

void Machine::control_close()
{
	if (ControlFile *control = open_control())
		close(*control);
}

bool Machine::may_manage(const ControlFile &control) const
{
	return fake::current().sys_module && control.file.opener_sys_module;
}

// An ioctl, and what it may write: copy_out(to, from) copies the out fields. Without success nothing is written.
template <typename T, typename F> long Machine::call(ControlFile &control, unsigned int cmd, T args, F copy_out, T *out)
{
	Argument<T> argument(user_, in_, args);
	long error;
	{
		Signalled signalled;

		error = kextbridge_control_ioctl_c(&control.file, control.data, cmd, argument.address);
	}
	check_error(error,
		    {SHIM_EAGAIN, SHIM_EINVAL, SHIM_E2BIG, SHIM_EFAULT, SHIM_EPERM, SHIM_ERESTARTSYS, SHIM_ENOTTY},
		    false, "ioctl on /dev/kextbridge");
	if (error)
		argument.check([](T &, const T &) {}, "ioctl that failed on /dev/kextbridge");
	else
		argument.check(copy_out, "ioctl on /dev/kextbridge");
	if (!error && (args.size < sizeof(T) || args.size > kLargestStruct || !argument.good))
		wrong("a structure of %u bytes was taken", args.size);
	*out = argument.after();
	return error;
}

// A string in user memory, not terminated.
u64 Machine::user_text(u32 *size)
{
	u32 how = in_.byte();
	std::string text = how < 0xa0 ? "com.example." + std::string(1, static_cast<char>('a' + how % 4)) :
			   how < 0xd0 ? in_.text(in_.byte()) :
					std::string(in_.number() % 5000, 'n');
	unsigned char *place = user_.take(text.size());

	memcpy(place, text.data(), text.size());
	*size = static_cast<u32>(text.size());
	return how == 0xff ? user_.bad_address(in_.byte()) : fake::user(place);
}

void Machine::request()
{
	ControlFile *control = open_control();

	if (!control)
		return;
	kextbridge_request args{};
	kextbridge_request after;
	u32 identifier_size;
	u32 name_size;
	u64 identifier = user_text(&identifier_size);
	u64 name = user_text(&name_size);
	u32 how = in_.byte();

	args.size = sizeof(args);
	args.identifier_size = identifier_size;
	args.name_size = name_size;
	args.flags = how & 1 ? KEXTBRIDGE_REQUEST_HOLD : 0;
	args.timeout_ms = how & 2 ? static_cast<u32>(in_.number()) : 0;
	args.max_length = how & 4 ? static_cast<u32>(in_.number()) : 0;
	if (how & 8)
		in_.change(args);
	// More than is there: the kernel must not find it.
	args.identifier = args.identifier_size > identifier_size ? user_.bad_address(5) : identifier;
	args.name = args.name_size > name_size ? user_.bad_address(5) : name;
	long error = call(
		*control, KEXTBRIDGE_IOC_REQUEST, args,
		[](auto &to, const auto &from) {
			to.tag = from.tag;
			to.result = from.result;
		},
		&after);

	if (error)
		return;
	u32 limit = std::min(kextbridge_params.max_name, KEXTBRIDGE_NAME_LIMIT);

	if (after.result == kOSKextReturnNoMemory && !injected())
		wrong("a program's request: no memory");
	if (after.result) {
		if (after.tag != kOSKextRequestTagInvalid)
			wrong("a program's request was refused, and its tag is %u", after.tag);
		return;
	}
	if (!args.identifier_size || !args.name_size || args.identifier_size > limit || args.name_size > limit ||
	    (args.flags & ~KEXTBRIDGE_REQUEST_HOLD))
		wrong("a program's request with a bad argument was accepted");
	if (!control->tags.insert(after.tag).second)
		wrong("tag %u was given twice", after.tag);
	tags_.push_back(after.tag);
}

void Machine::result()
{
	ControlFile *control = open_control();

	if (!control)
		return;
	kextbridge_result args{};
	kextbridge_result after;
	u32 how = in_.byte();
	u32 size = how & 1 ? 512 : static_cast<u32>(in_.number() % 8192);
	unsigned char *data = user_.take_last(size);
	u32 room = size;

	args.size = sizeof(args);
	args.flags = (how & 2 ? KEXTBRIDGE_RESULT_NOWAIT : 0) | (how & 4 ? KEXTBRIDGE_RESULT_RELEASE : 0);
	args.tag = how & 8 ? kOSKextRequestTagInvalid : tag();
	args.offset = how & 16 ? static_cast<u32>(in_.number()) : 0;
	args.count = size;
	if (how & 32)
		in_.change(args);
	args.data = fake::user(data);
	if (how >= 0xf0) {
		args.data = user_.bad_address(in_.byte());
		room = 4;
	}
	long error = call(
		*control, KEXTBRIDGE_IOC_RESULT, args,
		[](auto &to, const auto &from) {
			to.tag = from.tag;
			to.status = from.status;
			to.outcome = from.outcome;
			to.out_flags = from.out_flags;
			to.count = from.count;
			to.length = from.length;
		},
		&after);

	if (error) {
		// What was to be copied may have been, before the structure could not be written.
		return;
	}
	if (after.status == kOSKextReturnNotFound) {
		if (after.count || after.tag != args.tag)
			wrong("no result, and %u bytes of tag %u", after.count, after.tag);
		if (control->tags.count(args.tag))
			wrong("the result of tag %u is lost", args.tag);
		UserMemory::check_untouched(data, data + size, "a result that is not there");
		return;
	}
	if (after.status || !control->tags.count(after.tag))
		wrong("a result of tag %u, which is not this file's: 0x%08x", after.tag,
		      static_cast<unsigned int>(after.status));
	if (args.tag != kOSKextRequestTagInvalid && after.tag != args.tag)
		wrong("a result of tag %u instead of %u", after.tag, args.tag);
	if (after.out_flags & ~KEXTBRIDGE_RESULT_CANCELLED)
		wrong("a result's out_flags: 0x%x", after.out_flags);
	u64 left = args.offset < after.length ? after.length - args.offset : 0;

	if (after.count != std::min<u64>(args.count, left))
		wrong("%u bytes from %u of %u, in room for %u", after.count, args.offset, after.length, args.count);
	if (after.count > room)
		wrong("%u bytes were written where there is no memory", after.count);
	if (args.data == fake::user(data)) {
		check_pattern(data, after.count, args.offset, "a result");
		UserMemory::check_untouched(data + after.count, data + size, "behind a result");
	}
	if (args.flags & KEXTBRIDGE_RESULT_RELEASE)
		control->tags.erase(after.tag);
}

void Machine::cancel()
{
	ControlFile *control = open_control();

	if (!control)
		return;
	kextbridge_tag args{};
	kextbridge_tag after;

	args.size = sizeof(args);
	args.tag = tag();
	if (in_.byte() >= 192)
		in_.change(args);
	long error = call(
		*control, KEXTBRIDGE_IOC_CANCEL, args, [](auto &to, const auto &from) { to.result = from.result; },
		&after);

	if (error || after.result)
		return;
	for (const ControlFile &owner : controls_) {
		if (!owner.tags.count(args.tag))
			continue;
		if (owner.uid != fake::current().uid && !fake::current().sys_admin)
			wrong("a request of user %u was cancelled by user %u", owner.uid, fake::current().uid);
		return;
	}
	wrong("a request was cancelled that no program has made");
}

void Machine::tag_call(unsigned int cmd)
{
	ControlFile *control = open_control();

	if (!control)
		return;
	kextbridge_tag args{};
	kextbridge_tag after;
	u32 how = in_.byte();

	args.size = sizeof(args);
	if (cmd == KEXTBRIDGE_IOC_UNLOAD)
		args.flags = (how & 1 ? KEXTBRIDGE_UNLOAD_IF_IDLE : 0) | (how & 2 ? KEXTBRIDGE_UNLOAD_STOP_ONLY : 0);
	args.tag = load_tag();
	if (how >= 192)
		in_.change(args);
	long error = call(
		*control, cmd, args, [](auto &to, const auto &from) { to.result = from.result; }, &after);

	if (!may_manage(*control) != (error == -SHIM_EPERM))
		wrong("ioctl 0x%08x: %ld, and the caller %s", cmd, error,
		      may_manage(*control) ? "has CAP_SYS_MODULE" : "has not CAP_SYS_MODULE");
}

void Machine::load()
{
	ControlFile *control = open_control();

	if (!control)
		return;
	kextbridge_load args{};
	kextbridge_load after;
	u32 size;
	u64 identifier = user_text(&size);
	u32 how = in_.byte();

	args.size = sizeof(args);
	args.identifier_size = size;
	args.flags = (how & 1 ? KEXTBRIDGE_LOAD_WAIT : 0) | (how & 2 ? KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD : 0);
	if (how >= 192)
		in_.change(args);
	args.identifier = args.identifier_size > size ? user_.bad_address(5) : identifier;
	long error = call(
		*control, KEXTBRIDGE_IOC_LOAD, args, [](auto &to, const auto &from) { to.result = from.result; },
		&after);

	if (!may_manage(*control) != (error == -SHIM_EPERM))
		wrong("a load: %ld", error);
	if (!error && (!after.result || after.result == kOSKextReturnDeferred) &&
	    (!args.identifier_size || args.identifier_size >= KEXTBRIDGE_IDENTIFIER_SIZE))
		wrong("a load of %u bytes was accepted", args.identifier_size);
}

static void check_text(const char *text, size_t size, const char *what)
{
	size_t length = strnlen(text, size);

	if (length == size)
		wrong("list: %s without end", what);
	for (size_t at = length; at < size; at++)
		if (text[at])
			wrong("list: %s, and something behind it", what);
}

void Machine::list()
{
	ControlFile *control = open_control();

	if (!control)
		return;
	kextbridge_list args{};
	kextbridge_list after;
	u32 how = in_.byte();
	u32 room = how % 5;
	unsigned char *place = user_.take_last(room * sizeof(kextbridge_kext));

	args.size = sizeof(args);
	args.flags = how & 32 ? KEXTBRIDGE_LIST_DELAY_AUTOUNLOAD : 0;
	args.count = room;
	args.from = how & 64 ? load_tag() : 0;
	if (how >= 128)
		in_.change(args);
	args.kexts = how >= 240 ? user_.bad_address(how) : fake::user(place);
	long error = call(
		*control, KEXTBRIDGE_IOC_LIST, args,
		[](auto &to, const auto &from) {
			to.count = from.count;
			to.total = from.total;
		},
		&after);

	if (error)
		return;
	if (after.count > args.count || after.count > kKexts || after.total > kKexts)
		wrong("list: %u of %u, in room for %u", after.count, after.total, args.count);
	if (args.kexts != fake::user(place)) {
		if (after.count)
			wrong("list: %u entries where there is no memory", after.count);
		return;
	}
	u32 last = 0;

	for (u32 i = 0; i < after.count; i++) {
		kextbridge_kext kext;

		memcpy(&kext, place + i * sizeof(kext), sizeof(kext));
		check_text(kext.identifier, sizeof(kext.identifier), "an identifier");
		check_text(kext.version, sizeof(kext.version), "a version");
		check_text(kext.module, sizeof(kext.module), "a module");
		if (kext.load_tag < args.from || (i && kext.load_tag <= last))
			wrong("list: tag %u behind %u, from %u", kext.load_tag, last, args.from);
		if (kext.state < KEXT_STATE_STARTING || kext.state > KEXT_STATE_LOADED ||
		    (kext.flags &
		     ~(KEXT_FLAG_AUTOUNLOAD | KEXT_FLAG_PLAIN_RMMOD | KEXT_FLAG_IN_CALLBACK | KEXT_FLAG_DELAYED)))
			wrong("list: state %u, flags 0x%x", kext.state, kext.flags);
		for (size_t at = 0; at < kKexts; at++)
			if (kexts_[at]->tag() == kext.load_tag &&
			    static_cast<u32>(classes_[at].instances) != kext.instances)
				wrong("list: %u instances", kext.instances);
		last = kext.load_tag;
	}
	UserMemory::check_untouched(place + after.count * sizeof(kextbridge_kext),
				    place + room * sizeof(kextbridge_kext), "behind the list");
}

void Machine::load_requests()
{
	ControlFile *control = open_control();

	if (!control)
		return;
	kextbridge_load_requests args{};
	kextbridge_load_requests after;
	u32 how = in_.byte();
	u32 room = how % 20;
	unsigned char *place = user_.take_last(room * KEXTBRIDGE_IDENTIFIER_SIZE);

	args.size = sizeof(args);
	args.count = room;
	args.from = how & 64 ? static_cast<u32>(in_.number()) : 0;
	if (how >= 128)
		in_.change(args);
	args.identifiers = how >= 240 ? user_.bad_address(how) : fake::user(place);
	long error = call(
		*control, KEXTBRIDGE_IOC_LOAD_REQUESTS, args,
		[](auto &to, const auto &from) {
			to.count = from.count;
			to.total = from.total;
		},
		&after);

	if (error)
		return;
	if (after.count != std::min(args.count, args.from < after.total ? after.total - args.from : 0))
		wrong("load requests: %u of %u from %u on, in room for %u", after.count, after.total, args.from,
		      args.count);
	if (args.identifiers != fake::user(place)) {
		if (after.count)
			wrong("load requests: %u entries where there is no memory", after.count);
		return;
	}
	std::set<std::string> seen;

	for (u32 i = 0; i < after.count; i++) {
		const char *identifier = reinterpret_cast<const char *>(place) + i * KEXTBRIDGE_IDENTIFIER_SIZE;

		check_text(identifier, KEXTBRIDGE_IDENTIFIER_SIZE, "an identifier that was asked for");
		if (!*identifier || !seen.insert(identifier).second)
			wrong("load requests: \"%s\"", identifier);
	}
	UserMemory::check_untouched(place + after.count * KEXTBRIDGE_IDENTIFIER_SIZE,
				    place + room * KEXTBRIDGE_IDENTIFIER_SIZE, "behind the load requests");
}

void Machine::status()
{
	ControlFile *control = open_control();

	if (!control)
		return;
	kextbridge_status args{};
	kextbridge_status after;

	memset(static_cast<void *>(&args), UserMemory::kFill, sizeof(args));
	args.size = sizeof(args);
	args.reserved = 0;
	if (in_.byte() >= 128)
		in_.change(args);
	long error = call(
		*control, KEXTBRIDGE_IOC_STATUS, args, [](auto &to, const auto &from) { to = from; }, &after);

	if (error)
		return;
	kextbridge_status expected = host::stats();

	expected.size = args.size;
	if (memcmp(&after, &expected, sizeof(after)))
		wrong("status says something else than the core");
}

void Machine::control_ioctl()
{
	static constexpr unsigned int known[] = {KEXTBRIDGE_IOC_LIST,   KEXTBRIDGE_IOC_STATUS, KEXTBRIDGE_IOC_REQUEST,
						 KEXTBRIDGE_IOC_RESULT, KEXTBRIDGE_IOC_CANCEL, KEXTBRIDGE_IOC_RETAIN,
						 KEXTBRIDGE_IOC_UNLOAD, KEXTBRIDGE_IOC_LOAD};
	ControlFile *control = open_control();

	if (!control)
		return;
	unsigned int cmd = command(in_, known[in_.below(std::size(known))]);

	// Those have operations of their own.
	if (is_known(cmd, {KEXTBRIDGE_IOC_LIST, KEXTBRIDGE_IOC_STATUS, KEXTBRIDGE_IOC_REQUEST, KEXTBRIDGE_IOC_RESULT,
			   KEXTBRIDGE_IOC_CANCEL, KEXTBRIDGE_IOC_RETAIN, KEXTBRIDGE_IOC_RELEASE, KEXTBRIDGE_IOC_UNLOAD,
			   KEXTBRIDGE_IOC_LOAD, KEXTBRIDGE_IOC_LOAD_REQUESTS}))
		return;
	kextbridge_tag args{};
	kextbridge_tag after;

	args.size = sizeof(args);
	if (call(
		    *control, cmd, args, [](auto &, const auto &) {}, &after) != -SHIM_ENOTTY)
		wrong("ioctl 0x%08x on /dev/kextbridge is not refused", cmd);
}

void Machine::control_poll()
{
	ControlFile *control = open_control();

	if (!control)
		return;
	unsigned int ready = kextbridge_control_poll_c(&control->file, control->data, nullptr);

	if (ready & ~(SHIM_EPOLLIN | SHIM_EPOLLPRI))
		wrong("poll of /dev/kextbridge: 0x%x", ready);
}

} // namespace fuzz
