// SPDX-License-Identifier: GPL-2.0-only
// Programs: /dev/kmdf/NAME opened, read, written, controlled and closed. Contracts: uapi/kmdf.h.
//
// A program's memory is copied in before a request is presented and out after it is completed, both by the thread that
// asked: a driver never sees it, and a client that was killed leaves nothing behind that refers to it.
#include "base/ioctl.hpp"
#include "client.hpp"
#include "core.hpp"
#include "status.hpp"
#include "shim/enforce.h"

namespace kmdf {

using kextbridge::get_struct;
using kextbridge::put_struct;

constexpr u32 kMethodMask = 3;

Ref<Request> make_request(File &file, const Transfer &transfer, int *err)
{
	Device &device = *file.device;
	u32 limit = read_once(kmdf_params.max_buffer_bytes);
	u32 most = read_once(kmdf_params.max_pending_per_file);

	*err = 0;
	if (transfer.in_length > limit || transfer.out_length > limit)
		*err = -SHIM_EMSGSIZE;
	{
		SpinGuard guard(core.lock);

		if (!device.working_locked())
			*err = -SHIM_ENODEV;
		else if (file.pending >= most)
			*err = -SHIM_ENOSPC;
	}
	if (*err)
		return Ref<Request>();
	Ref<Request> request = make_incoming(device, transfer, SHIM_GFP_KERNEL_ACCOUNT);

	if (!request) {
		*err = -SHIM_ENOMEM;
		return request;
	}
	request->file = Ref<File>::retain(&file);
	request->pid = shim_current_tgid();
	request->tid = shim_current_tid();
	request->uid = shim_current_uid();
	return request;
}

// Presented, and waited for. 0: it is completed. -EINTR: the caller was killed, -EAGAIN: it would have had to wait.
static int serve(Request &request, bool nonblock)
{
	auto finished = [&] {
		SpinGuard guard(core.lock);

		return request.finished;
	};

	request.get(); // OWNERSHIP: the caller's is its own; this is the one that finish() takes
	request.device->submit(request);
	if (nonblock && !finished())
		cancel_request(request); // if the driver has it, its end is waited for: it may have acted on it
	// io_uring's own cancel is no fatal signal.
	if (shim_current_is_io_worker() && request.done.wait_interruptible(finished))
		cancel_request(request);
	if (!request.done.wait_killable(finished)) {
		SpinGuard guard(core.lock);

		return nonblock && request.canceled && request.result == STATUS_CANCELLED ? -SHIM_EAGAIN : 0;
	}
	cancel_request(request);
	u32 grace = read_once(kmdf_params.kill_grace_ms);

	if (grace)
		request.done.wait_hrtimeout(finished, static_cast<s64>(grace * kNanosecondsPerMs),
					    SHIM_TASK_UNINTERRUPTIBLE);
	SpinGuard guard(core.lock);

	request.detached = !request.finished;
	return -SHIM_EINTR;
}

static bool is_nonblock(file *file)
{
	return shim_file_flags(file) & SHIM_O_NONBLOCK;
}

s64 outcome(const Request &request)
{
	size_t bytes = request.bytes_back();

	if (NT_SUCCESS(request.result))
		return static_cast<s64>(request.information);
	return bytes ? static_cast<s64>(bytes) : -errno_of(request.result);
}

static s64 read_file(kiocb *iocb, file *file, File &of, iov_iter *to, size_t bytes, s64 pos)
{
	u32 limit = read_once(kmdf_params.max_buffer_bytes);
	Transfer transfer = {.kind = WdfRequestTypeRead, .out_length = bytes < limit ? bytes : limit, .offset = pos};
	int err;
	Ref<Request> request = make_request(of, transfer, &err);

	if (!err && shim_kiocb_is_aio(iocb))
		return submit_async(static_cast<Ref<Request> &&>(request), iocb, to);
	if (!err)
		err = serve(*request, is_nonblock(file));
	if (err)
		return err;
	size_t copy = request->bytes_back();

	if (copy && shim_copy_to_iter(request->out_data, copy, to) != copy)
		return -SHIM_EFAULT;
	return outcome(*request);
}

static s64 write_file(kiocb *iocb, file *file, File &of, iov_iter *from, size_t bytes, s64 pos)
{
	Transfer transfer = {.kind = WdfRequestTypeWrite, .in_length = bytes, .offset = pos};
	int err;
	Ref<Request> request = make_request(of, transfer, &err);

	if (!err && shim_copy_from_iter(request->in_data, bytes, from) != bytes)
		err = -SHIM_EFAULT;
	if (!err && shim_kiocb_is_aio(iocb))
		return submit_async(static_cast<Ref<Request> &&>(request), iocb, nullptr);
	if (!err)
		err = serve(*request, is_nonblock(file));
	return err ? err : outcome(*request);
}

static long device_control(file *file, File &of, u64 arg)
{
	kmdf_device_control control;
	int err = get_struct(&control, arg);

	if (err)
		return err;
	if (control.reserved)
		return -SHIM_EINVAL;
	u32 size = control.size;
	u32 method = control.code & kMethodMask;
	Transfer transfer = {.kind = WdfRequestTypeDeviceControl,
			     .code = control.code,
			     .in_length = control.in_length,
			     .out_length = control.out_length};
	Ref<Request> request;

	if (method == METHOD_NEITHER && !of.device->init.in_caller_context) {
		control.status = STATUS_INVALID_DEVICE_REQUEST;
		return put_struct(arg, control, size);
	}
	request = make_request(of, transfer, &err);
	if (err)
		return err;
	request->tag = control.tag;
	if (method == METHOD_NEITHER) {
		request->user_in = control.in;
		request->user_out = control.out;
	}
	if (control.in_length)
		err = shim_copy_from_user(request->in_data, control.in, control.in_length);
	if (!err && method == METHOD_IN_DIRECT && control.out_length)
		err = shim_copy_from_user(request->out_data, control.out, control.out_length);
	if (!err)
		err = serve(*request, is_nonblock(file));
	if (err)
		return err;
	size_t copy = request->bytes_back();

	control.status = request->result;
	control.information = request->information;
	if (copy)
		err = shim_copy_to_user(control.out, request->out_data, copy);
	return err ? err : put_struct(arg, control, size);
}

// ---- cancel

static bool wanted(const Request &request, const kmdf_cancel &cancel, int tid)
{
	switch (cancel.what) {
	case KMDF_CANCEL_TAG:
		return request.tag == cancel.tag;
	case KMDF_CANCEL_THREAD:
		return request.tid == tid;
	default:
		return true;
	}
}

static void count(kmdf_cancel &cancel, CancelOutcome outcome)
{
	cancel.found += outcome != CancelOutcome::TooLate;
	cancel.finished += outcome == CancelOutcome::Finished;
	cancel.notified += outcome == CancelOutcome::Notified;
	cancel.flagged += outcome == CancelOutcome::Flagged;
}

// Each of the file's requests that are there, the oldest first.
template <typename F> static void each_request(File &file, F function)
{
	u64 last = 0;
	u64 end;
	{
		SpinGuard guard(core.lock);

		end = core.next_id;
	}
	for (;;) {
		Ref<Request> request;
		{
			SpinGuard guard(core.lock);

			for (Request *r = file.requests.front(); r && !request; r = file.requests.next(*r)) {
				if (r->id > last && r->id < end)
					request = Ref<Request>::retain(r);
			}
		}
		if (!request)
			return;
		last = request->id;
		function(*request);
	}
}

static long cancel_requests(File &file, u64 arg)
{
	kmdf_cancel cancel;
	int err = get_struct(&cancel, arg);

	if (err)
		return err;
	if (cancel.what < KMDF_CANCEL_TAG || cancel.what > KMDF_CANCEL_THREAD)
		return -SHIM_EINVAL;
	// 0 names none: most requests have no tag.
	if (cancel.what == KMDF_CANCEL_TAG && !cancel.tag)
		return -SHIM_EINVAL;
	int tid = cancel.what == KMDF_CANCEL_THREAD ? shim_find_tid(cancel.tag) : 0;

	cancel.found = cancel.finished = cancel.notified = cancel.flagged = 0;
	each_request(file, [&](Request &request) {
		if (wanted(request, cancel, tid))
			count(cancel, cancel_request(request));
	});
	return put_struct(arg, cancel, cancel.size);
}

static long last_status(File &file, u64 arg)
{
	kmdf_last_status last;
	int err = get_struct(&last, arg);

	if (err)
		return err;
	{
		SpinGuard guard(core.lock);

		last.status = file.last_status;
		last.information = file.last_information;
	}
	return put_struct(arg, last, last.size);
}

// ---- open and close

static constinit lock_class_key end_key = {};

File::File(Driver *driver, Device *device) : Object(Type::File, driver), device(Ref<Device>::retain(device))
{
	deletable = false;
	requests.init();
	pid = shim_current_tgid();
	end_work.init(end_function, this, "kmdf_file", &end_key);
}

// EvtDeviceFileCreate, or the queue for such; 0, or what the open was completed with.
static int ask_driver(File &file)
{
	int err;
	Ref<Request> request = make_request(file, {.kind = WdfRequestTypeCreate}, &err);

	if (!err)
		err = serve(*request, false);
	return err ? err : NT_SUCCESS(request->result) ? 0 : -errno_of(request->result);
}

static int open_file(Device &device, void **data)
{
	Ref<File> file = make<File>(device.init.has_file_attributes ? &device.init.file_attributes : nullptr,
				    SHIM_GFP_KERNEL_ACCOUNT, device.driver, &device);
	int err = 0;

	if (!file)
		return -SHIM_ENOMEM;
	{
		SpinGuard guard(core.lock);

		if (!device.working_locked())
			err = -SHIM_ENODEV;
		else if (device.init.exclusive && device.opens)
			err = -SHIM_EACCES;
		else
			device.opens++;
	}
	if (err) {
		file.release()->discard();
		return err;
	}
	if (device.asks_before_open())
		err = ask_driver(*file);
	if (err) {
		file.release()->remove();
		SpinGuard guard(core.lock);

		device.opens--;
		return err;
	}
	*data = file.release(); // OWNERSHIP: creation's, until File::end()
	return 0;
}

void File::end_soon()
{
	get(); // OWNERSHIP: the work's
	end_work.queue(core.dispatcher);
}

void File::end_function(void *file)
{
	Ref<File>::adopt(static_cast<File *>(file))->end();
}

void File::end()
{
	if (device->init.file.EvtFileClose) {
		CallbackGuard check("EvtFileClose", this);
		PresentationGuard presentation(device->file_lock());

		device->init.file.EvtFileClose(static_cast<WDFFILEOBJECT>(handle()));
	}
	remove();
}

// The last descriptor is gone. What the driver has of the file's requests it keeps, unless root has said otherwise.
static void clean_up(File &file)
{
	Device &device = *file.device;
	bool all = read_once(kmdf_params.cancel_on_close);
	{
		SpinGuard guard(core.lock);

		if (!file.state.take(FileState::Open, FileState::CleanedUp))
			return;
	}
	if (device.init.file.EvtFileCleanup) {
		CallbackGuard check("EvtFileCleanup", &device);
		PresentationGuard presentation(device.file_lock());

		device.init.file.EvtFileCleanup(static_cast<WDFFILEOBJECT>(file.handle()));
	}
	each_request(file, [all](Request &request) {
		bool queued;
		{
			SpinGuard guard(core.lock);

			queued = request.state.is(State::Queued);
		}
		if (all || queued)
			cancel_request(request);
	});
}

static void close_file(File &file)
{
	bool over;

	clean_up(file);
	{
		SpinGuard guard(core.lock);

		file.device->opens--;
		over = file.state.take(FileState::CleanedUp, FileState::Closed) && file.take_end_locked();
	}
	if (over)
		Ref<File>::retain(&file)->end();
}

} // namespace kmdf

using namespace kmdf;

// The driver's module stays while a file is open; what was left behind is waited for when it goes.
extern "C" int kmdf_hold_c(void *owner)
{
	Device &device = *static_cast<Device *>(owner);
	int err = device.driver->hold_module();

	if (!err)
		device.get(); // OWNERSHIP: kmdf_open_c()'s
	return err;
}

extern "C" int kmdf_open_c(void *owner, void **data)
{
	Ref<Device> device = Ref<Device>::adopt(static_cast<Device *>(owner));
	module *of = device->driver->glue->module;
	int err = open_file(*device, data);

	if (err)
		shim_module_put(of);
	return err;
}

extern "C" void kmdf_release_c(void *data)
{
	File &file = *static_cast<File *>(data);
	module *of = file.device->driver->glue->module;

	close_file(file);
	shim_module_put(of);
}

// Each close(2) comes here; asynchronous requests hold the file open beyond the last. cancel_on_close is about what the
// process has asked for that closes.
extern "C" void kmdf_flush_c(struct file *file, void *data)
{
	File &of = *static_cast<File *>(data);
	u32 async;
	{
		SpinGuard guard(core.lock);

		async = of.async;
	}
	if (shim_file_count(file) == 1 + async)
		return clean_up(of);
	if (!read_once(kmdf_params.cancel_on_close))
		return;
	int pid = shim_current_tgid();

	each_request(of, [pid](Request &request) {
		if (request.pid == pid)
			cancel_request(request);
	});
}

extern "C" s64 kmdf_read_c(struct kiocb *iocb, struct file *file, void *data, struct iov_iter *to, size_t bytes,
			   s64 pos)
{
	return read_file(iocb, file, *static_cast<File *>(data), to, bytes, pos);
}

extern "C" s64 kmdf_write_c(struct kiocb *iocb, struct file *file, void *data, struct iov_iter *from, size_t bytes,
			    s64 pos)
{
	return write_file(iocb, file, *static_cast<File *>(data), from, bytes, pos);
}

extern "C" long kmdf_ioctl_c(struct file *file, void *data, unsigned int cmd, u64 arg)
{
	File &of = *static_cast<File *>(data);

	if (kextbridge::same_ioctl(cmd, KMDF_IOC_DEVICE_CONTROL))
		return device_control(file, of, arg);
	if (kextbridge::same_ioctl(cmd, KMDF_IOC_CANCEL))
		return cancel_requests(of, arg);
	if (kextbridge::same_ioctl(cmd, KMDF_IOC_LAST_STATUS))
		return last_status(of, arg);
	return -SHIM_ENOTTY;
}

extern "C" unsigned int kmdf_poll_c(struct file *, void *data, struct poll_table_struct *)
{
	File &file = *static_cast<File *>(data);
	SpinGuard guard(core.lock);

	// A driver says nothing of what it could be asked for without waiting.
	return file.device->working_locked() ? SHIM_EPOLLIN | SHIM_EPOLLOUT : SHIM_EPOLLHUP;
}
