// SPDX-License-Identifier: GPL-2.0-only
#include "control.hpp"

#include "base/new.hpp"
#include "daemon.hpp"
#include "in_flight.hpp"
#include "load.hpp"
#include "payload.hpp"
#include "text.hpp"
#include "unload.hpp"
#include "view.hpp"
#include "wire.hpp"
#include "shim/enforce.h"

namespace kextbridge {

static constinit lock_class_key finished_key = {};

ControlFile::ControlFile(u32 opener) : uid(opener)
{
	finished.init("kextbridge_finished", &finished_key);
	results.init();
}

void ControlFile::dispose()
{
	shim_kfree(this);
}

// ---- open and close

static int open_control(void **data) KEXTBRIDGE_EXCLUDES(core.requests)
{
	void *memory = shim_kzalloc(sizeof(ControlFile), SHIM_GFP_KERNEL_ACCOUNT);

	if (!memory)
		return -SHIM_ENOMEM;
	*data = new (Placement{memory}) ControlFile(shim_current_uid());
	return 0;
}

// The request leaves the file, whatever its state. Null: the file has none left.
static Ref<Request> drop_one(ControlFile &file) KEXTBRIDGE_EXCLUDES(core.requests)
{
	Guard guard(core.requests);

	if (Request *request = file.live.front()) {
		if (take_locked(*request))
			core.stats.discarded++;
		return forget_locked(*request);
	}
	Request *request = file.results.front();

	if (!request)
		return Ref<Request>();
	request->queue_node.unlink();
	return forget_locked(*request);
}

static void close_control(ControlFile *file) KEXTBRIDGE_EXCLUDES(core.requests)
{
	while (Ref<Request> request = drop_one(*file))
		shim_cond_resched();
	file->put();
}

// ---- requests of a program

// Two user strings into one request. Success, or what the call's `result` is to be; *err: the transport's.
static Ref<Request> read_names(const kextbridge_request &args, OSReturn *result, int *err)
	KEXTBRIDGE_EXCLUDES(core.requests)
{
	char *names = static_cast<char *>(
		shim_kzalloc(static_cast<size_t>(args.identifier_size) + args.name_size, SHIM_GFP_KERNEL_ACCOUNT));
	Ref<Request> request;

	*result = kOSKextReturnNoMemory;
	*err = 0;
	if (!names)
		return request;
	char *name = names + args.identifier_size;

	*err = shim_copy_from_user(names, args.identifier, args.identifier_size);
	if (!*err)
		*err = shim_copy_from_user(name, args.name, args.name_size);
	if (!*err && (text_length(names, args.identifier_size) != args.identifier_size ||
		      text_length(name, args.name_size) != args.name_size))
		*result = kOSKextReturnInvalidArgument;
	else if (!*err)
		request = Request::make(Kind::Resource, names, args.identifier_size, name, args.name_size,
					SHIM_GFP_KERNEL_ACCOUNT);
	shim_kfree(names);
	return request;
}

static int request(ControlFile &file, kextbridge_request &args) KEXTBRIDGE_EXCLUDES(core.requests)
{
	u32 limit = name_limit();
	u32 reply_limit = read_once(kextbridge_params.max_reply_bytes);
	int err;

	if (args.flags & ~KEXTBRIDGE_REQUEST_HOLD)
		return -SHIM_EINVAL;
	args.tag = kOSKextRequestTagInvalid;
	args.result = kOSKextReturnInvalidArgument;
	if (!args.identifier_size || !args.name_size || args.identifier_size > limit || args.name_size > limit)
		return 0;
	Ref<Request> request = read_names(args, &args.result, &err);

	if (!request)
		return err;
	request->max_length = args.max_length && args.max_length < reply_limit ? args.max_length : reply_limit;
	Guard guard(core.requests);

	args.result = core.shutdown ? kOSKextReturnDisabled : allocate_tag_locked(*request);
	if (args.result)
		return 0;
	// After the allocation, which may have let go of the lock.
	if (file.pending + file.result_count >= read_once(kextbridge_params.max_pending_per_file)) {
		core.stats.limited++;
		free_tag_locked(*request);
		args.result = kOSKextReturnNoResources;
		return 0;
	}
	args.tag = request->tag;
	file.get(); // OWNERSHIP: the request's
	publish_locked(*request, &file,
		       args.timeout_ms ? args.timeout_ms : read_once(kextbridge_params.request_timeout_ms),
		       !(args.flags & KEXTBRIDGE_REQUEST_HOLD));
	request.release(); // OWNERSHIP: the table's
	return 0;
}

static void drop_payload_locked(ControlFile &file, Request &request) KEXTBRIDGE_REQUIRES(core.requests)
{
	Payload payload = request.take_payload_locked();

	file.held_bytes -= payload.length;
	payload_free_later(payload.data);
}

// The program was not told its tag.
static void withdraw(ControlFile &file, u32 tag) KEXTBRIDGE_EXCLUDES(core.requests)
{
	Ref<Request> withdrawn;
	Guard guard(core.requests);
	Request *request = find_locked(tag);

	if (!request || request->owner != &file || !take_locked(*request))
		return; // somebody else was quicker
	drop_payload_locked(file, *request);
	core.stats.discarded++;
	withdrawn = forget_locked(*request);
	file.finished.wake_all(); // who waits for any result may have none to wait for
}

// Finished requests stay with their file until they are released.
static void keep_result_locked(ControlFile &file, Request &request) KEXTBRIDGE_REQUIRES(core.requests)
{
	file.results.push_back(request);
	file.result_count++;
}

// The finished request that the call asks for: one whose answer waits is taken now, as a driver's is when its callback
// begins. *pending: there is one that may still finish.
static Request *find_result_locked(ControlFile &file, u32 tag, bool *pending) KEXTBRIDGE_REQUIRES(core.requests)
{
	Request *found;

	*pending = false;
	if (tag == kOSKextRequestTagInvalid) {
		found = file.results.front() ? file.results.front() : file.answered.front();
		*pending = !file.live.empty();
	} else {
		found = find_locked(tag);
		if (!found || found->owner != &file)
			return nullptr;
		*pending = true;
	}
	if (found && found->state == State::Answered && take_locked(*found)) {
		core.stats.callbacks++;
		keep_result_locked(file, *found);
	}
	return found && found->state == State::Finished ? found : nullptr;
}

// Of a Finished request; what is returned is its payload, which lives as long as the request does.
static const char *describe_result_locked(const Request &request, kextbridge_result &args)
	KEXTBRIDGE_REQUIRES(core.requests)
{
	args.tag = request.tag;
	args.outcome = request.cancelled ? kOSKextReturnNotFound : request.result;
	args.out_flags = request.cancelled ? KEXTBRIDGE_RESULT_CANCELLED : 0;
	args.length = request.length;
	return static_cast<const char *>(request.data);
}

static int copy_payload(const char *data, kextbridge_result &args) KEXTBRIDGE_EXCLUDES(core.requests)
{
	u32 left = args.offset < args.length ? args.length - args.offset : 0;

	args.count = args.count < left ? args.count : left;
	return args.count ? shim_copy_to_user(args.data, data + args.offset, args.count) : 0;
}

static int result(file *opened, ControlFile &file, kextbridge_result &args, Ref<Request> &request)
	KEXTBRIDGE_EXCLUDES(core.requests)
{
	bool nowait = (args.flags & KEXTBRIDGE_RESULT_NOWAIT) || (shim_file_flags(opened) & SHIM_O_NONBLOCK);
	const char *data = nullptr;

	if ((args.flags & ~(KEXTBRIDGE_RESULT_NOWAIT | KEXTBRIDGE_RESULT_RELEASE)) || args.reserved)
		return -SHIM_EINVAL;
	while (!request) {
		bool pending;
		{
			Guard guard(core.requests);

			request = Ref<Request>::retain(find_result_locked(file, args.tag, &pending));
			if (request)
				data = describe_result_locked(*request, args);
		}
		if (request)
			break;
		if (!pending) {
			args.status = kOSKextReturnNotFound;
			args.count = 0;
			return 0;
		}
		if (nowait)
			return -SHIM_EAGAIN;
		int err = file.finished.wait_interruptible([&] {
			Guard guard(core.requests);
			bool wait;

			return find_result_locked(file, args.tag, &wait) || !wait;
		});

		if (err)
			return err;
	}
	args.status = kOSReturnSuccess;
	return copy_payload(data, args);
}

// The program has all of it.
static void release_result(ControlFile &file, Request &request) KEXTBRIDGE_EXCLUDES(core.requests)
{
	Ref<Request> released;
	Guard guard(core.requests);

	// Unless another thread was quicker.
	if (find_locked(request.tag) != &request || !request.queue_node.linked())
		return;
	request.queue_node.unlink();
	file.result_count--;
	file.held_bytes -= request.length;
	released = forget_locked(request);
}

static int cancel(kextbridge_tag &args) KEXTBRIDGE_EXCLUDES(core.requests)
{
	bool admin = false;

	if (args.flags)
		return -SHIM_EINVAL;
	for (;;) {
		{
			Guard guard(core.requests);
			Request *found = find_locked(args.tag);

			if (!found || found->kind != Kind::Resource) {
				args.result = kOSKextReturnNotFound;
				return 0;
			}
			if (found->owner->kext()) {
				args.result = kOSKextReturnNotPrivileged;
				return 0;
			}
			ControlFile &file = *static_cast<ControlFile *>(found->owner);

			if (admin || file.uid == shim_current_uid()) {
				args.result = take_locked(*found) ? kOSReturnSuccess : kOSKextReturnNotFound;
				if (args.result)
					return 0;
				found->cancelled = true;
				drop_payload_locked(file, *found);
				core.stats.cancelled++;
				shim_trace_cancel(found->tag, 0, kOSReturnSuccess);
				keep_result_locked(file, *found);
				file.finished.wake_all();
				return 0;
			}
		}
		// Asked only where it decides: a failing check is written to the audit log.
		if (!shim_capable(SHIM_CAP_SYS_ADMIN))
			return -SHIM_EPERM;
		admin = true;
	}
}

// ---- kexts

static bool may_manage(const file *opened)
{
	return shim_capable(SHIM_CAP_SYS_MODULE) && shim_file_capable(opened, SHIM_CAP_SYS_MODULE);
}

static int retain(kextbridge_tag &args) KEXTBRIDGE_EXCLUDES(core.requests)
{
	if (args.flags)
		return -SHIM_EINVAL;
	args.result = OSKextRetainKextWithLoadTag(args.tag);
	return 0;
}

static int release(kextbridge_tag &args) KEXTBRIDGE_EXCLUDES(core.requests)
{
	if (args.flags)
		return -SHIM_EINVAL;
	args.result = OSKextReleaseKextWithLoadTag(args.tag);
	return 0;
}

static int unload(kextbridge_tag &args) KEXTBRIDGE_EXCLUDES(core.requests)
{
	Ref<Kext> kext;
	Ref<Request> message;

	if (args.flags & ~(KEXTBRIDGE_UNLOAD_IF_IDLE | KEXTBRIDGE_UNLOAD_STOP_ONLY))
		return -SHIM_EINVAL;
	{
		Guard guard(core.requests);

		kext = Ref<Kext>::retain(find_kext_locked(args.tag));
	}
	args.result = kext ? kext->begin_unload(args.flags, false, &message) : kOSKextReturnNotFound;
	if (!message)
		return 0;
	return wait_done(*message, &args.result);
}

static int load(kextbridge_load &args) KEXTBRIDGE_EXCLUDES(core.requests)
{
	if (args.flags & ~(KEXTBRIDGE_LOAD_WAIT | KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD))
		return -SHIM_EINVAL;
	args.result = kOSKextReturnInvalidArgument;
	if (!args.identifier_size || args.identifier_size >= KEXTBRIDGE_IDENTIFIER_SIZE)
		return 0;
	char identifier[KEXTBRIDGE_IDENTIFIER_SIZE] = {};
	int err = shim_copy_from_user(identifier, args.identifier, args.identifier_size);

	if (err)
		return err;
	if (text_length(identifier, sizeof(identifier)) != args.identifier_size)
		return 0;
	Ref<Request> message;

	args.result = load_kext(identifier, args.identifier_size, args.flags, &message);
	if (!message || !(args.flags & KEXTBRIDGE_LOAD_WAIT))
		return 0;
	return wait_done(*message, &args.result);
}

// ---- the call

// done(args, err): the call has succeeded, and its answer has reached the program or could not be written.
template <typename Args, typename F, typename G> static long run(u64 arg, F call, G done)
	KEXTBRIDGE_EXCLUDES(core.requests)
{
	Args args;
	int err = get_struct(&args, arg);

	if (err)
		return err;
	u32 size = args.size;

	err = call(args);
	if (err)
		return err;
	err = put_struct(arg, args, size);
	done(args, err);
	return err;
}

template <typename Args, typename F> static long run(u64 arg, F call) KEXTBRIDGE_EXCLUDES(core.requests)
{
	return run<Args>(arg, call, [](const Args &, int) {});
}

static long run_request(ControlFile &file, u64 arg) KEXTBRIDGE_EXCLUDES(core.requests)
{
	return run<kextbridge_request>(
		arg, [&](kextbridge_request &args) { return request(file, args); },
		[&](const kextbridge_request &args, int err) {
			if (err && !args.result)
				withdraw(file, args.tag);
		});
}

static long run_result(file *opened, ControlFile &file, u64 arg) KEXTBRIDGE_EXCLUDES(core.requests)
{
	Ref<Request> found;

	return run<kextbridge_result>(
		arg, [&](kextbridge_result &args) { return result(opened, file, args, found); },
		[&](const kextbridge_result &args, int err) {
			if (!err && found && (args.flags & KEXTBRIDGE_RESULT_RELEASE))
				release_result(file, *found);
		});
}

static long control_ioctl(file *opened, ControlFile &file, unsigned int cmd, u64 arg) KEXTBRIDGE_EXCLUDES(core.requests)
{
	if (same_ioctl(cmd, KEXTBRIDGE_IOC_LIST))
		return run<kextbridge_list>(arg, list_kexts);
	if (same_ioctl(cmd, KEXTBRIDGE_IOC_LOAD_REQUESTS))
		return run<kextbridge_load_requests>(arg, list_asked_loads);
	if (same_ioctl(cmd, KEXTBRIDGE_IOC_STATUS))
		return run<kextbridge_status>(arg, [&](kextbridge_status &args) { return read_status(file, args); });
	if (same_ioctl(cmd, KEXTBRIDGE_IOC_REQUEST))
		return run_request(file, arg);
	if (same_ioctl(cmd, KEXTBRIDGE_IOC_RESULT))
		return run_result(opened, file, arg);
	if (same_ioctl(cmd, KEXTBRIDGE_IOC_CANCEL))
		return run<kextbridge_tag>(arg, [](kextbridge_tag &args) { return cancel(args); });

	bool known = same_ioctl(cmd, KEXTBRIDGE_IOC_RETAIN) || same_ioctl(cmd, KEXTBRIDGE_IOC_RELEASE) ||
		     same_ioctl(cmd, KEXTBRIDGE_IOC_UNLOAD) || same_ioctl(cmd, KEXTBRIDGE_IOC_LOAD);

	if (!known)
		return -SHIM_ENOTTY;
	if (!may_manage(opened))
		return -SHIM_EPERM;
	if (same_ioctl(cmd, KEXTBRIDGE_IOC_RETAIN))
		return run<kextbridge_tag>(arg, [](kextbridge_tag &args) { return retain(args); });
	if (same_ioctl(cmd, KEXTBRIDGE_IOC_RELEASE))
		return run<kextbridge_tag>(arg, [](kextbridge_tag &args) { return release(args); });
	if (same_ioctl(cmd, KEXTBRIDGE_IOC_UNLOAD))
		return run<kextbridge_tag>(arg, [](kextbridge_tag &args) { return unload(args); });
	return run<kextbridge_load>(arg, [](kextbridge_load &args) { return load(args); });
}

} // namespace kextbridge

using namespace kextbridge;

extern "C" int kextbridge_control_open_c(struct file *, void **data)
{
	return open_control(data);
}

extern "C" void kextbridge_control_release_c(void *data)
{
	close_control(static_cast<ControlFile *>(data));
}

extern "C" long kextbridge_control_ioctl_c(struct file *file, void *data, unsigned int cmd, u64 arg)
{
	return control_ioctl(file, *static_cast<ControlFile *>(data), cmd, arg);
}

extern "C" unsigned int kextbridge_control_poll_c(struct file *file, void *data, struct poll_table_struct *table)
{
	ControlFile &control = *static_cast<ControlFile *>(data);
	unsigned int ready = 0;

	control.finished.poll(file, table);
	core.watchers.poll(file, table);
	Guard guard(core.requests);

	if (!control.answered.empty() || !control.results.empty())
		ready |= SHIM_EPOLLIN;
	if (control.seen_generation != core.stats.generation)
		ready |= SHIM_EPOLLPRI;
	return ready;
}
