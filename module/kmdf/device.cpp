// SPDX-License-Identifier: GPL-2.0-only
// A device's life: made, started, suspended, resumed, removed; and a request's way into it.
#include "core.hpp"
#include "status.hpp"
#include "shim/enforce.h"

namespace kmdf {

static constinit lock_class_key drained_key = {};

Device::Device(Driver *driver, const WDFDEVICE_INIT &init) : Object(Type::Device, driver), init(init)
{
	deletable = init.control;
	passive_dispose = true;
	passive_release = true;
	names.init();
	interfaces.init();
	drained.init("kmdf_device", &drained_key);
}

void Device::release_parts() KEXTBRIDGE_UNCHECKED // nobody else can see it any more
{
	while (Name *name = names.front()) {
		name->node.unlink();
		shim_kfree(name);
	}
	while (Interface *interface = interfaces.front()) {
		interface->node.unlink();
		shim_kfree(interface);
	}
	presentation.destroy();
	transition.destroy();
}

void Device::dispose()
{
	// A callback about its end may delete it.
	if (!transition.mine())
		retire();
	drain();
	SpinGuard guard(core.lock);

	driver_node.unlink();
}

// The queues, one after the other; what is created meanwhile comes too.
template <typename F> void Device::each_queue(F function)
{
	u64 last = 0;

	for (;;) {
		Ref<Queue> queue;
		{
			SpinGuard guard(core.lock);

			for (Object *child = children.front(); child && !queue; child = children.next(*child)) {
				if (child->type == Type::Queue && static_cast<Queue *>(child)->id > last)
					queue = Ref<Queue>::retain(static_cast<Queue *>(child));
			}
		}
		if (!queue)
			return;
		last = queue->id;
		function(*queue);
	}
}

void Device::forget_queue(Queue &queue)
{
	SpinGuard guard(core.lock);

	if (default_queue == &queue)
		default_queue = nullptr;
	for (Queue *&entry : by_type) {
		if (entry == &queue)
			entry = nullptr;
	}
}

// ---- power

static WDFDEVICE handle_of(Device &device)
{
	return static_cast<WDFDEVICE>(device.handle());
}

NTSTATUS Device::power_up(bool first)
{
	const WDF_PNPPOWER_EVENT_CALLBACKS &pnp_calls = init.pnp;
	WDFDEVICE self = handle_of(*this);
	NTSTATUS status = STATUS_SUCCESS;

	if (first) {
		SpinGuard guard(core.lock);

		begun = Begun::Prepared;
	}
	if (first && pnp_calls.EvtDevicePrepareHardware)
		status = pnp_calls.EvtDevicePrepareHardware(self, nullptr, nullptr);
	if (NT_SUCCESS(status) && pnp_calls.EvtDeviceD0Entry)
		status = pnp_calls.EvtDeviceD0Entry(self, first ? WdfPowerDeviceD3Final : WdfPowerDeviceD3);
	if (NT_SUCCESS(status) && pnp_calls.EvtDeviceD0EntryPostInterruptsEnabled)
		status = pnp_calls.EvtDeviceD0EntryPostInterruptsEnabled(self, first ? WdfPowerDeviceD3Final :
										       WdfPowerDeviceD3);
	if (!NT_SUCCESS(status))
		return status;
	{
		SpinGuard guard(core.lock);

		pnp = Pnp::Started;
		in_d0 = true;
		begun = Begun::Managed;
	}
	each_queue([](Queue &queue) { queue.power_managed ? queue.power_start() : queue.dispatch(Enter::Event); });
	if (first && pnp_calls.EvtDeviceSelfManagedIoInit)
		status = pnp_calls.EvtDeviceSelfManagedIoInit(self);
	else if (!first && pnp_calls.EvtDeviceSelfManagedIoRestart)
		status = pnp_calls.EvtDeviceSelfManagedIoRestart(self);
	if (NT_SUCCESS(status)) {
		SpinGuard guard(core.lock);

		begun = Begun::Running;
	}
	return status;
}

void Device::power_down(WDF_POWER_DEVICE_STATE to)
{
	const WDF_PNPPOWER_EVENT_CALLBACKS &pnp_calls = init.pnp;
	WDFDEVICE self = handle_of(*this);

	if (pnp_calls.EvtDeviceD0ExitPreInterruptsDisabled)
		pnp_calls.EvtDeviceD0ExitPreInterruptsDisabled(self, to);
	if (pnp_calls.EvtDeviceD0Exit)
		pnp_calls.EvtDeviceD0Exit(self, to);
}

static bool has_name_locked(Device &device, const char *name) KEXTBRIDGE_REQUIRES(core.lock)
{
	for (Name *n = device.names.front(); n; n = device.names.next(*n)) {
		if (text_equal(n->text, name))
			return true;
	}
	return false;
}

static Device *find_device_locked(const char *name) KEXTBRIDGE_REQUIRES(core.lock)
{
	for (Driver *driver = core.drivers.front(); driver; driver = core.drivers.next(*driver)) {
		for (Device *device = driver->devices.front(); device; device = driver->devices.next(*device)) {
			if (has_name_locked(*device, name))
				return device;
		}
	}
	return nullptr;
}

Ref<Device> find_device(const char *name)
{
	SpinGuard guard(core.lock);

	return Ref<Device>::retain(find_device_locked(name));
}

NTSTATUS Device::add_name(const char *name)
{
	Name *added = static_cast<Name *>(shim_kzalloc(sizeof(*added), SHIM_GFP_KERNEL));
	Device *owner;

	if (!added)
		return STATUS_INSUFFICIENT_RESOURCES;
	new (Placement{added}) Name;
	shim_scnprintf(added->text, sizeof(added->text), "%s", name);
	{
		SpinGuard guard(core.lock);

		owner = find_device_locked(name);
		if (!owner) {
			names.push_back(*added);
			return STATUS_SUCCESS;
		}
	}
	shim_kfree(added);
	// A link often has the last part of its device's own name: here they are one.
	return owner == this ? STATUS_SUCCESS : STATUS_OBJECT_NAME_COLLISION;
}

NTSTATUS Device::make_node()
{
	char name[KMDF_NAME_SIZE];
	NTSTATUS status;
	bool named;
	{
		SpinGuard guard(core.lock);

		named = !names.empty();
	}
	if (!named) {
		shim_scnprintf(name, sizeof(name), "%s%u", driver_name(*driver), number);
		status = add_name(name);
		if (!NT_SUCCESS(status))
			return status;
	}
	{
		SpinGuard guard(core.lock);

		shim_scnprintf(name, sizeof(name), "%s", name_locked());
	}
	if (!shim_kmdf_node_create(name, this, &minor, &node))
		return STATUS_SUCCESS;
	node = nullptr;
	return STATUS_INSUFFICIENT_RESOURCES;
}

int Device::start()
{
	if (transition.mine())
		return -SHIM_EEXIST;
	PresentationGuard guard(&transition);
	NTSTATUS status;
	{
		SpinGuard locked(core.lock);

		if (pnp != Pnp::Adding)
			return -SHIM_EEXIST;
	}
	status = power_up(true);
	if (NT_SUCCESS(status))
		status = make_node();
	if (NT_SUCCESS(status))
		return 0;
	shim_pr_warn("%s: device %u does not start: status 0x%08x", driver_name(*driver), number,
		     static_cast<u32>(status));
	return -errno_of(status);
}

void Device::suspend_self_managed()
{
	{
		SpinGuard guard(core.lock);

		if (!in_d0 || begun != Begun::Running)
			return;
	}
	if (init.pnp.EvtDeviceSelfManagedIoSuspend)
		init.pnp.EvtDeviceSelfManagedIoSuspend(handle_of(*this));
}

// All are told before any is waited for.
void Device::stop_queues(u32 action)
{
	{
		SpinGuard guard(core.lock);

		in_d0 = false;
	}
	each_queue([action](Queue &queue) {
		if (queue.power_managed)
			queue.power_tell(action);
	});
	each_queue([](Queue &queue) {
		if (queue.power_managed)
			queue.power_wait();
	});
}

void Device::suspend()
{
	PresentationGuard guard(&transition);
	{
		SpinGuard locked(core.lock);

		if (pnp != Pnp::Started || !in_d0 || init.control)
			return;
	}
	suspend_self_managed();
	stop_queues(WdfRequestStopActionSuspend);
	power_down(WdfPowerDeviceD3);
}

void Device::resume()
{
	PresentationGuard guard(&transition);
	{
		SpinGuard locked(core.lock);

		if (pnp != Pnp::Started || in_d0)
			return;
	}
	NTSTATUS status = power_up(false);

	if (!NT_SUCCESS(status)) {
		shim_pr_warn("%s: device %u does not resume, and is removed: status 0x%08x", driver_name(*driver),
			     number, static_cast<u32>(status));
		retire_in_transition();
	}
}

// Whoever else removes it, or has it asleep, is done when this returns: its driver's code may go.
void Device::retire()
{
	PresentationGuard guard(&transition);

	retire_in_transition();
}

// Nobody opens it any more, what is under way ends.
void Device::retire_in_transition()
{
	Begun reached;
	bool up;
	::device *old = node;
	{
		SpinGuard guard(core.lock);

		if (pnp == Pnp::Removed)
			return;
		pnp = Pnp::Removing;
		up = in_d0;
		reached = begun;
	}
	if (old)
		shim_kmdf_node_destroy(minor, old);
	node = nullptr;
	suspend_self_managed();
	each_queue([](Queue &queue) { queue.begin_purge(); });
	stop_queues(WdfRequestStopActionPurge);
	if (up)
		power_down(WdfPowerDeviceD3Final);
	if (reached >= Begun::Managed && init.pnp.EvtDeviceSelfManagedIoFlush)
		init.pnp.EvtDeviceSelfManagedIoFlush(handle_of(*this));
	if (reached >= Begun::Prepared && init.pnp.EvtDeviceReleaseHardware)
		init.pnp.EvtDeviceReleaseHardware(handle_of(*this), nullptr);
	if (reached >= Begun::Managed && init.pnp.EvtDeviceSelfManagedIoCleanup)
		init.pnp.EvtDeviceSelfManagedIoCleanup(handle_of(*this));
	report_left();
	SpinGuard guard(core.lock);

	pnp = Pnp::Removed;
}

// What the driver has not completed when all of its callbacks about the end have returned.
void Device::report_left()
{
	each_queue([](Queue &queue) {
		Ref<Request> left;
		{
			SpinGuard guard(core.lock);

			for (Request *r = queue.owned.front(); r && !left; r = queue.owned.next(*r)) {
				if (r->driver_has_locked())
					left = Ref<Request>::retain(r);
			}
		}
		if (left)
			report(Rule::DeferredRequestCompleted, left.get(), "not completed when its device is removed");
	});
}

void Device::drain()
{
	drained.wait([this] {
		SpinGuard guard(core.lock);

		return !requests;
	});
}

// ---- requests

// OWNERSHIP: its creation's reference is the one that finish() takes.
void Device::submit(Request &request)
{
	bool refused;

	request.from_now_on();
	{
		SpinGuard guard(core.lock);

		request.id = core.next_id++;
		requests++;
		if (request.file) {
			request.file->requests.push_back(request);
			request.file->pending++;
		}
		refused = !working_locked();
		if (refused)
			refused = request.state.take(State::Owned, State::Done);
	}
	if (refused)
		return finish(Ref<Request>::adopt(&request), STATUS_INVALID_DEVICE_STATE, 0);
	if (request.kind == WdfRequestTypeCreate && init.file.EvtDeviceFileCreate) {
		CallbackGuard check("EvtDeviceFileCreate", this);
		PresentationGuard presentation(file_lock());

		init.file.EvtDeviceFileCreate(handle_of(*this), static_cast<WDFREQUEST>(request.handle()),
					      request.file ? static_cast<WDFFILEOBJECT>(request.file->handle()) :
							     nullptr);
		return;
	}
	if (init.in_caller_context) {
		CallbackGuard check("EvtIoInCallerContext", this);

		init.in_caller_context(handle_of(*this), static_cast<WDFREQUEST>(request.handle()));
		return;
	}
	NTSTATUS status = enqueue(request);

	if (NT_SUCCESS(status))
		return;
	{
		SpinGuard guard(core.lock);

		if (!request.state.take(State::Owned, State::Done))
			return; // cannot be: nobody else has its handle
	}
	finish(Ref<Request>::adopt(&request), status, 0);
}

bool Device::asks_before_open()
{
	SpinGuard guard(core.lock);

	return init.file.EvtDeviceFileCreate || by_type[WdfRequestTypeCreate];
}

NTSTATUS Device::enqueue(Request &request)
{
	Ref<Queue> queue;
	{
		SpinGuard guard(core.lock);
		u32 type = static_cast<u32>(request.kind);
		Queue *to = type < sizeof(by_type) / sizeof(by_type[0]) && by_type[type] ? by_type[type] :
											   default_queue;

		if (!to)
			return STATUS_INVALID_DEVICE_REQUEST;
		if (!to->accepts || to->deleting)
			return STATUS_INVALID_DEVICE_STATE;
		if (request.canceled)
			return STATUS_CANCELLED;
		if (!request.state.take(State::Owned, State::Queued))
			return STATUS_INVALID_DEVICE_REQUEST;
		queue = Ref<Queue>::retain(to);
		to->put_in_locked(request, false);
	}
	queue->dispatch(Enter::Event);
	return STATUS_SUCCESS;
}

void Device::left()
{
	SpinGuard guard(core.lock);

	requests--;
	if (!requests && drained.active())
		drained.wake_all();
}

} // namespace kmdf
