// SPDX-License-Identifier: GPL-2.0-only
// /dev/kmdf/control: what there is, and a cancel from outside. Contracts: uapi/kmdf.h.
#include "base/ioctl.hpp"
#include "core.hpp"
#include "shim/enforce.h"

namespace kmdf {

using kextbridge::get_struct;
using kextbridge::put_struct;

// Records one behind the other; those that do not fit are counted only.
class Records final {
	u8 *const room_;
	const size_t size_;
	size_t used_ = 0;

      public:
	Records(u8 *room, size_t size) : room_(room), size_(size) {}
	template <typename T> void add(const T &record)
	{
		if (used_ + sizeof(T) <= size_)
			__builtin_memcpy(room_ + used_, &record, sizeof(T));
		used_ += sizeof(T);
	}
	size_t used() const { return used_; }
};

template <typename T> static T make_record(u32 kind)
{
	T record = {};

	record.record.size = sizeof(T);
	record.record.kind = kind;
	return record;
}

static void copy_name(char (&to)[KMDF_NAME_SIZE], const char *from)
{
	for (size_t i = 0; i + 1 < sizeof(to) && from[i]; i++)
		to[i] = from[i];
}

static void add_request_locked(Records &records, const Request &request, const Queue &queue, u64 now)
	KEXTBRIDGE_REQUIRES(core.lock)
{
	kmdf_request record = make_record<kmdf_request>(KMDF_RECORD_REQUEST);

	record.id = request.id;
	record.queue = queue.id;
	record.age_ns = now - request.issued_ns;
	record.owned_ns = request.driver_has_locked() && request.owned_ns ? now - request.owned_ns : 0;
	record.tag = request.tag;
	record.state = static_cast<u32>(request.state.get());
	record.flags = (request.canceled ? KMDF_REQUEST_CANCEL_ASKED : 0) |
		       (request.detached ? KMDF_REQUEST_DETACHED : 0) | (request.sent_locked() ? KMDF_REQUEST_SENT : 0);
	record.type = static_cast<u32>(request.kind);
	record.code = request.code;
	record.length = static_cast<u32>(request.kind == WdfRequestTypeWrite ? request.in_length : request.out_length);
	record.in_length = static_cast<u32>(request.in_length);
	record.pid = request.pid;
	record.uid = request.uid;
	records.add(record);
}

static void add_queue_locked(Records &records, Queue &queue, u64 now) KEXTBRIDGE_REQUIRES(core.lock)
{
	kmdf_queue record = make_record<kmdf_queue>(KMDF_RECORD_QUEUE);

	record.id = queue.id;
	record.device = queue.device->id;
	record.type = static_cast<u32>(queue.config.DispatchType);
	record.flags = (queue.accepts ? KMDF_QUEUE_ACCEPTS : 0) | (queue.dispatches ? KMDF_QUEUE_DISPATCHES : 0) |
		       (queue.power != Power::On ? KMDF_QUEUE_POWER_OFF : 0) |
		       (queue.device->default_queue == &queue ? KMDF_QUEUE_DEFAULT : 0) |
		       (queue.power_managed ? KMDF_QUEUE_POWER_MANAGED : 0);
	record.queued = queue.queued_count;
	record.driver_owned = queue.owned_count;
	records.add(record);
	for (Request *request = queue.owned.front(); request; request = queue.owned.next(*request))
		add_request_locked(records, *request, queue, now);
	for (Request *request = queue.queued.front(); request; request = queue.queued.next(*request))
		add_request_locked(records, *request, queue, now);
}

static void add_device_locked(Records &records, Device &device, u64 now) KEXTBRIDGE_REQUIRES(core.lock)
{
	kmdf_device record = make_record<kmdf_device>(KMDF_RECORD_DEVICE);

	record.id = device.id;
	record.state = !device.working_locked() ? KMDF_DEVICE_REMOVED :
		       device.in_d0             ? KMDF_DEVICE_WORKING :
						  KMDF_DEVICE_LOW_POWER;
	record.opens = device.opens;
	record.requests = device.requests;
	copy_name(record.name, device.name_locked());
	copy_name(record.driver, driver_name(*device.driver));
	records.add(record);
	for (Object *child = device.children.front(); child; child = device.children.next(*child)) {
		if (child->type == Type::Queue)
			add_queue_locked(records, *static_cast<Queue *>(child), now);
	}
}

static size_t list_all(u8 *room, size_t size)
{
	Records records(room, size);
	u64 now = shim_ktime_get_ns();
	SpinGuard guard(core.lock);

	for (Driver *driver = core.drivers.front(); driver; driver = core.drivers.next(*driver)) {
		for (Device *device = driver->devices.front(); device; device = driver->devices.next(*device))
			add_device_locked(records, *device, now);
	}
	return records.used();
}

constexpr u32 kLargestList = 4u << 20;

static long list(u64 arg)
{
	kmdf_list args;
	int err = get_struct(&args, arg);

	if (err)
		return err;
	if (args.reserved || (args.buffer_size && args.buffer % 8))
		return -SHIM_EINVAL;
	u32 size = args.buffer_size < kLargestList ? args.buffer_size : kLargestList;
	u8 *room = size ? static_cast<u8 *>(shim_kvzalloc(size, SHIM_GFP_KERNEL_ACCOUNT)) : nullptr;

	if (size && !room)
		return -SHIM_ENOMEM;
	args.used = static_cast<u32>(list_all(room, size));
	bool fits = args.used <= size;

	err = fits && args.used ? shim_copy_to_user(args.buffer, room, args.used) : 0;
	if (room)
		shim_kvfree(room);
	if (!err)
		err = put_struct(arg, args, args.size);
	return err ? err : fits ? 0 : -SHIM_ENOBUFS;
}

static Ref<Request> find_in_locked(Device &device, u64 id) KEXTBRIDGE_REQUIRES(core.lock)
{
	for (Object *child = device.children.front(); child; child = device.children.next(*child)) {
		if (child->type != Type::Queue)
			continue;
		Queue &queue = *static_cast<Queue *>(child);

		for (Request *r = queue.owned.front(); r; r = queue.owned.next(*r)) {
			if (r->id == id)
				return Ref<Request>::retain(r);
		}
		for (Request *r = queue.queued.front(); r; r = queue.queued.next(*r)) {
			if (r->id == id)
				return Ref<Request>::retain(r);
		}
	}
	return Ref<Request>();
}

static long cancel(u64 arg)
{
	kmdf_cancel_request args;
	Ref<Request> request;
	int err = get_struct(&args, arg);

	if (err)
		return err;
	{
		SpinGuard guard(core.lock);

		for (Driver *driver = core.drivers.front(); driver && !request; driver = core.drivers.next(*driver)) {
			for (Device *d = driver->devices.front(); d && !request; d = driver->devices.next(*d))
				request = find_in_locked(*d, args.id);
		}
		if (request)
			args.state = static_cast<u32>(request->state.get());
	}
	if (!request)
		return -SHIM_ENOENT;
	if (request->uid != shim_current_uid() && !shim_capable(SHIM_CAP_SYS_ADMIN))
		return -SHIM_EPERM;
	if (cancel_request(*request) == CancelOutcome::TooLate)
		args.state = KMDF_REQUEST_COMPLETED; // since it was looked at
	return put_struct(arg, args, args.size);
}

} // namespace kmdf

extern "C" long kmdf_control_ioctl_c(unsigned int cmd, u64 arg)
{
	if (kextbridge::same_ioctl(cmd, KMDF_IOC_LIST))
		return kmdf::list(arg);
	if (kextbridge::same_ioctl(cmd, KMDF_IOC_CANCEL_REQUEST))
		return kmdf::cancel(arg);
	return -SHIM_ENOTTY;
}
