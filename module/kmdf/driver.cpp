// SPDX-License-Identifier: GPL-2.0-only
// Drivers from insmod to rmmod, and what they say of their devices before these are made. Contracts: kmdf_glue.h,
// wdfdriver.h, wdfdevice.h, wdfcontrol.h.
#include "core.hpp"
#include "status.hpp"
#include "unicode.hpp"
#include "shim/enforce.h"

namespace kmdf {

// What DriverEntry is given.
struct DriverState {
	DRIVER_OBJECT object;
	WCHAR path[KMDF_NAME_SIZE * 2];
	UNICODE_STRING registry_path;
	bool in_entry;
	Driver *driver;
};

const char *driver_name(const Driver &driver)
{
	return shim_module_name(driver.glue->module);
}

void Driver::object_gone()
{
	if (!__atomic_sub_fetch(&objects_, 1, __ATOMIC_ACQ_REL))
		core.gone.wake_all();
}

// ---- DeviceInit

static WDFDEVICE_INIT *allocate_init(Driver &driver, bool control)
{
	WDFDEVICE_INIT *init = static_cast<WDFDEVICE_INIT *>(shim_kzalloc(sizeof(*init), SHIM_GFP_KERNEL));

	if (init) {
		init->driver = &driver;
		init->control = control;
	}
	return init;
}

// ---- from insmod to rmmod

static int add_device(Driver &driver)
{
	WDFDEVICE_INIT *init = allocate_init(driver, false);

	if (!init)
		return -SHIM_ENOMEM;
	Device *made = nullptr;

	init->made = &made;
	NTSTATUS status = driver.config.EvtDriverDeviceAdd(static_cast<WDFDRIVER>(driver.handle()), init);

	if (!made) {
		shim_kfree(init);
		// A driver may look at its hardware and say no: that is an error, but to say nothing of a device is not.
		return NT_SUCCESS(status) ? 0 : -errno_of(status);
	}
	Ref<Device> device = Ref<Device>::adopt(made);

	if (!NT_SUCCESS(status)) {
		shim_pr_warn("%s: EvtDriverDeviceAdd: status 0x%08x", driver_name(driver), static_cast<u32>(status));
		return -errno_of(status);
	}
	return device->start();
}

// entered: its DriverEntry has succeeded; only then it is told that it is unloaded.
static void end_driver(DriverState *state, bool entered) KEXTBRIDGE_EXCLUDES(core.lock)
{
	Ref<Driver> driver = Ref<Driver>::retain(state->driver);

	if (driver) {
		// The devices first, the youngest first; then what else belongs to the driver.
		for (;;) {
			Ref<Device> device;
			{
				SpinGuard guard(core.lock);

				device = Ref<Device>::retain(driver->devices.back());
			}
			if (!device)
				break;
			device->retire();
			device->remove();
			device->drain();
			SpinGuard guard(core.lock);

			device->driver_node.unlink();
		}
		driver->await_children(); // that it has deleted itself
		if (entered && driver->config.EvtDriverUnload)
			driver->config.EvtDriverUnload(static_cast<WDFDRIVER>(driver->handle()));
		driver->remove();
		core.gone.wait_hrtimeout([&] { return driver->objects() == 0; },
					 static_cast<s64>(read_once(kmdf_params.stop_ms) * kNanosecondsPerMs),
					 SHIM_TASK_UNINTERRUPTIBLE);
		if (u32 left = driver->objects())
			report(Rule::ObjectMisuse, nullptr, "%s leaves %u objects that it has referenced",
			       shim_module_name(driver->glue->module), left);
		SpinGuard guard(core.lock);

		driver->node.unlink();
	} else if (entered && state->object.DriverUnload) {
		state->object.DriverUnload(&state->object);
	}
	shim_kfree(state);
}

int kmdf::Driver::hold_module()
{
	{
		SpinGuard guard(core.lock);

		if (!loaded)
			return -SHIM_EBUSY;
	}
	return shim_try_module_get(glue->module) ? 0 : -SHIM_ENODEV;
}

static int start_driver(Glue *glue, u32 instances)
{
	DriverState *state = static_cast<DriverState *>(shim_kzalloc(sizeof(*state), SHIM_GFP_KERNEL));
	int err = 0;

	if (!state)
		return -SHIM_ENOMEM;
	glue->state = state;
	state->object.KmdfGlue = glue;
	state->object.Size = sizeof(state->object);
	widen(state->path, sizeof(state->path) / sizeof(state->path[0]),
	      "\\Registry\\Machine\\System\\CurrentControlSet\\Services\\", shim_module_name(glue->module),
	      state->registry_path);
	state->object.DriverName = state->registry_path;
	state->in_entry = true;
	NTSTATUS status = glue->entry(&state->object, &state->registry_path);

	state->in_entry = false;
	if (!NT_SUCCESS(status)) {
		shim_pr_warn("%s: DriverEntry: status 0x%08x", shim_module_name(glue->module),
			     static_cast<u32>(status));
		err = -errno_of(status);
	} else if (!state->driver) {
		report(Rule::DriverCreate, nullptr, "%s: DriverEntry has not called WdfDriverCreate",
		       shim_module_name(glue->module));
		err = -SHIM_EINVAL;
	} else if (state->driver->config.EvtDriverDeviceAdd) {
		for (u32 i = 0; i < instances && !err; i++)
			err = add_device(*state->driver);
	}
	if (err) {
		end_driver(state, NT_SUCCESS(status));
		return err;
	}
	SpinGuard guard(core.lock);

	state->driver->loaded = true;
	return 0;
}

// All devices that there are, one after the other.
template <typename F> static void each_device(F function)
{
	u64 last = 0;

	for (;;) {
		Ref<Device> next;
		{
			SpinGuard guard(core.lock);

			for (Driver *driver = core.drivers.front(); driver; driver = core.drivers.next(*driver)) {
				for (Device *d = driver->devices.front(); d; d = driver->devices.next(*d)) {
					if (d->id > last && (!next || d->id < next->id) && !d->deleting)
						next = Ref<Device>::retain(d);
				}
			}
		}
		if (!next)
			return;
		last = next->id;
		function(*next);
	}
}

} // namespace kmdf

using namespace kmdf;

extern "C" int kmdf_driver_init(struct kmdf_driver_glue *glue, unsigned int instances)
{
	return start_driver(glue, instances);
}

extern "C" void kmdf_driver_exit(struct kmdf_driver_glue *glue)
{
	end_driver(static_cast<DriverState *>(glue->state), true);
}

// shim/power.c, which kextbridge.ko has too, calls these.
extern "C" void kextbridge_sleep_c(bool asleep)
{
	each_device([asleep](Device &device) { asleep ? device.suspend() : device.resume(); });
}

extern "C" void kextbridge_shutdown_c(void)
{
	each_device([](Device &device) {
		// Whose driver is being unloaded has no notification left: nobody waits for it to return.
		if (!device.init.shutdown || device.driver->hold_module())
			return;
		device.init.shutdown(static_cast<WDFDEVICE>(device.handle()));
		shim_module_put(device.driver->glue->module);
	});
}

extern "C" int kmdf_power_c(const char *name, const char *what)
{
	Ref<Device> device = find_device(name);

	if (!device)
		return -SHIM_ENOENT;
	if (text_equal(what, "suspend"))
		device->suspend();
	else if (text_equal(what, "resume"))
		device->resume();
	else if (text_equal(what, "remove"))
		device->retire();
	else
		return -SHIM_EINVAL;
	return 0;
}

extern "C" NTSTATUS WdfDriverCreate(PDRIVER_OBJECT DriverObject, PCUNICODE_STRING,
				    PWDF_OBJECT_ATTRIBUTES DriverAttributes, PWDF_DRIVER_CONFIG DriverConfig,
				    WDFDRIVER *Driver)
{
	Glue *glue = DriverObject ? static_cast<Glue *>(DriverObject->KmdfGlue) : nullptr;
	DriverState *state = glue ? static_cast<DriverState *>(glue->state) : nullptr;
	NTSTATUS status = check_attributes(DriverAttributes);

	if (!state || !DriverConfig)
		return STATUS_INVALID_PARAMETER;
	if (!state->in_entry || state->driver) {
		report(Rule::DriverCreate, nullptr, "%s calls WdfDriverCreate %s", shim_module_name(glue->module),
		       state->driver ? "twice" : "outside DriverEntry");
		return STATUS_DRIVER_UNABLE_TO_LOAD;
	}
	if (DriverConfig->Size != sizeof(*DriverConfig))
		return STATUS_INFO_LENGTH_MISMATCH;
	if (!NT_SUCCESS(status))
		return status;
	Ref<kmdf::Driver> driver = make<kmdf::Driver>(DriverAttributes, SHIM_GFP_KERNEL, glue);

	if (!driver)
		return STATUS_INSUFFICIENT_RESOURCES;
	driver->config = *DriverConfig;
	if (DriverAttributes) {
		driver->passive = DriverAttributes->ExecutionLevel == WdfExecutionLevelPassive;
		if (DriverAttributes->SynchronizationScope != WdfSynchronizationScopeInheritFromParent)
			driver->scope = DriverAttributes->SynchronizationScope;
	}
	shim_module_text(glue->module, &driver->text, &driver->text_size);
	state->driver = driver.release(); // OWNERSHIP: creation's, until end_driver() removes it
	glue->driver = static_cast<WDFDRIVER>(state->driver->handle());
	if (Driver)
		*Driver = glue->driver;
	SpinGuard guard(core.lock);

	core.drivers.push_back(*state->driver);
	return STATUS_SUCCESS;
}

extern "C" BOOLEAN WdfDriverIsVersionAvailable(WDFDRIVER, PWDF_DRIVER_VERSION_AVAILABLE_PARAMS VersionAvailableParams)
{
	// The framework whose calls these are: 1.33.
	return VersionAvailableParams && VersionAvailableParams->Size == sizeof(*VersionAvailableParams) &&
	       VersionAvailableParams->MajorVersion == 1 && VersionAvailableParams->MinorVersion <= 33;
}

// ---- WdfDeviceInit...

extern "C" PWDFDEVICE_INIT WdfControlDeviceInitAllocate(WDFDRIVER Driver, const UNICODE_STRING *)
{
	Ref<kmdf::Driver> driver = find<kmdf::Driver>(Driver, "WdfControlDeviceInitAllocate");

	return driver ? allocate_init(*driver, true) : nullptr;
}

extern "C" VOID WdfControlDeviceInitSetShutdownNotification(PWDFDEVICE_INIT DeviceInit,
							    PFN_WDF_DEVICE_SHUTDOWN_NOTIFICATION Notification, UCHAR)
{
	DeviceInit->shutdown = Notification;
}

extern "C" VOID WdfDeviceInitFree(PWDFDEVICE_INIT DeviceInit)
{
	// What EvtDriverDeviceAdd was given is the framework's.
	if (DeviceInit && DeviceInit->control)
		shim_kfree(DeviceInit);
}

extern "C" VOID WdfDeviceInitSetPnpPowerEventCallbacks(PWDFDEVICE_INIT DeviceInit,
						       PWDF_PNPPOWER_EVENT_CALLBACKS PnpPowerEventCallbacks)
{
	DeviceInit->pnp = *PnpPowerEventCallbacks;
}

extern "C" VOID WdfDeviceInitSetExclusive(PWDFDEVICE_INIT DeviceInit, BOOLEAN IsExclusive)
{
	DeviceInit->exclusive = IsExclusive;
}

// All of them are served buffered.
extern "C" VOID WdfDeviceInitSetIoType(PWDFDEVICE_INIT, WDF_DEVICE_IO_TYPE) {}

extern "C" VOID WdfDeviceInitSetDeviceType(PWDFDEVICE_INIT, DEVICE_TYPE) {}

extern "C" NTSTATUS WdfDeviceInitAssignName(PWDFDEVICE_INIT DeviceInit, PCUNICODE_STRING DeviceName)
{
	DeviceInit->name[0] = 0;
	return !DeviceName || last_part(DeviceInit->name, sizeof(DeviceInit->name), *DeviceName) ?
		       STATUS_SUCCESS :
		       STATUS_INVALID_PARAMETER;
}

extern "C" VOID WdfDeviceInitSetFileObjectConfig(PWDFDEVICE_INIT DeviceInit, PWDF_FILEOBJECT_CONFIG FileObjectConfig,
						 PWDF_OBJECT_ATTRIBUTES FileObjectAttributes)
{
	DeviceInit->file = *FileObjectConfig;
	DeviceInit->has_file_attributes = FileObjectAttributes;
	if (FileObjectAttributes)
		DeviceInit->file_attributes = *FileObjectAttributes;
}

extern "C" VOID WdfDeviceInitSetRequestAttributes(PWDFDEVICE_INIT DeviceInit, PWDF_OBJECT_ATTRIBUTES RequestAttributes)
{
	DeviceInit->has_request_attributes = RequestAttributes;
	if (RequestAttributes)
		DeviceInit->request_attributes = *RequestAttributes;
}

extern "C" VOID WdfDeviceInitSetIoInCallerContextCallback(PWDFDEVICE_INIT DeviceInit,
							  PFN_WDF_IO_IN_CALLER_CONTEXT EvtIoInCallerContext)
{
	DeviceInit->in_caller_context = EvtIoInCallerContext;
}

// ---- WdfDevice...

static NTSTATUS check_device(const WDFDEVICE_INIT &init, const WDF_OBJECT_ATTRIBUTES *attributes)
{
	NTSTATUS status = check_attributes(attributes);

	if (!NT_SUCCESS(status))
		return status;
	if (attributes && attributes->ParentObject)
		return STATUS_WDF_PARENT_ASSIGNMENT_NOT_ALLOWED;
	if (init.has_request_attributes)
		status = check_attributes(&init.request_attributes);
	if (NT_SUCCESS(status) && init.has_file_attributes)
		status = check_attributes(&init.file_attributes);
	return status;
}

extern "C" NTSTATUS WdfDeviceCreate(PWDFDEVICE_INIT *DeviceInit, PWDF_OBJECT_ATTRIBUTES DeviceAttributes,
				    WDFDEVICE *Device)
{
	WDFDEVICE_INIT *init = DeviceInit ? *DeviceInit : nullptr;

	if (!init || !Device || !at_passive("WdfDeviceCreate", __builtin_return_address(0)))
		return STATUS_INVALID_PARAMETER;
	NTSTATUS status = check_device(*init, DeviceAttributes);

	if (!NT_SUCCESS(status))
		return status;
	kmdf::Driver *driver = init->driver;
	Ref<kmdf::Device> device = make<kmdf::Device>(DeviceAttributes, SHIM_GFP_KERNEL, driver, *init);

	if (!device)
		return STATUS_INSUFFICIENT_RESOURCES;
	kmdf::Device &made = *device;
	WDF_EXECUTION_LEVEL level = DeviceAttributes ? DeviceAttributes->ExecutionLevel :
						       WdfExecutionLevelInheritFromParent;

	made.passive = level == WdfExecutionLevelInheritFromParent ? driver->passive :
								     level == WdfExecutionLevelPassive;
	made.scope = DeviceAttributes && DeviceAttributes->SynchronizationScope !=
						 WdfSynchronizationScopeInheritFromParent ?
			     DeviceAttributes->SynchronizationScope :
			     driver->scope;
	made.presentation.init("WDFDEVICE", made.passive);
	made.transition.init("kmdf_transition", true);
	status = hand_out(static_cast<Ref<kmdf::Device> &&>(device), *driver, Device);
	if (!NT_SUCCESS(status))
		return status;
	{
		SpinGuard guard(core.lock);

		made.id = core.next_id++;
		made.number = driver->made++;
		driver->devices.push_back(made);
	}
	// The caller keeps the DeviceInit, and has no device.
	if (init->name[0])
		status = made.add_name(init->name);
	if (!NT_SUCCESS(status)) {
		made.remove();
		return status;
	}
	if (init->made) {
		made.get(); // OWNERSHIP: add_device()'s
		*init->made = &made;
	}
	shim_kfree(init);
	*DeviceInit = nullptr;
	return STATUS_SUCCESS;
}

extern "C" VOID WdfControlFinishInitializing(WDFDEVICE Device)
{
	Ref<kmdf::Device> device = find<kmdf::Device>(Device, "WdfControlFinishInitializing");

	if (!device || !at_passive("WdfControlFinishInitializing", __builtin_return_address(0)))
		return;
	if (!device->init.control)
		report(Rule::ObjectMisuse, device.get(),
		       "WdfControlFinishInitializing of a device that is no control device");
	else if (device->start() == -SHIM_EEXIST)
		report(Rule::ObjectMisuse, device.get(),
		       "WdfControlFinishInitializing of a device that has been started");
}

// As its last part: "\DosDevices\echo" is /dev/kmdf/echo.
static NTSTATUS add_name(kmdf::Device &device, const UNICODE_STRING &link)
{
	char name[KMDF_NAME_SIZE];

	if (!last_part(name, sizeof(name), link))
		return STATUS_INVALID_PARAMETER;
	// What else is in that folder.
	if (name[0] == '.' || text_equal(name, "control") || text_equal(name, "by-interface"))
		return STATUS_INVALID_PARAMETER;
	return device.add_name(name);
}

extern "C" NTSTATUS WdfDeviceCreateSymbolicLink(WDFDEVICE Device, PCUNICODE_STRING SymbolicLinkName)
{
	Ref<kmdf::Device> device = find<kmdf::Device>(Device, "WdfDeviceCreateSymbolicLink");

	if (!at_passive("WdfDeviceCreateSymbolicLink", __builtin_return_address(0)))
		return STATUS_INVALID_DEVICE_REQUEST;
	return device && SymbolicLinkName ? add_name(*device, *SymbolicLinkName) : STATUS_INVALID_PARAMETER;
}

extern "C" NTSTATUS WdfDeviceCreateDeviceInterface(WDFDEVICE Device, const GUID *InterfaceClassGUID,
						   PCUNICODE_STRING ReferenceString)
{
	Ref<kmdf::Device> device = find<kmdf::Device>(Device, "WdfDeviceCreateDeviceInterface");

	if (!device || !InterfaceClassGUID)
		return STATUS_INVALID_PARAMETER;
	if (!at_passive("WdfDeviceCreateDeviceInterface", __builtin_return_address(0)))
		return STATUS_INVALID_DEVICE_REQUEST;
	Interface *added = static_cast<Interface *>(shim_kzalloc(sizeof(*added), SHIM_GFP_KERNEL));

	if (!added)
		return STATUS_INSUFFICIENT_RESOURCES;
	new (Placement{added}) Interface;
	added->guid = *InterfaceClassGUID;
	if (ReferenceString && !narrow(added->reference, sizeof(added->reference), *ReferenceString)) {
		shim_kfree(added);
		return STATUS_INVALID_PARAMETER;
	}
	SpinGuard guard(core.lock);

	device->interfaces.push_back(*added);
	return STATUS_SUCCESS;
}

extern "C" size_t kmdf_attribute_c(void *owner, enum kmdf_attribute which, char *page, size_t size)
{
	kmdf::Device &device = *static_cast<kmdf::Device *>(owner);
	size_t used = 0;

	if (which == KMDF_ATTRIBUTE_DRIVER)
		return shim_scnprintf(page, size, "%s\n", driver_name(*device.driver));
	SpinGuard guard(core.lock);

	for (Interface *i = device.interfaces.front(); i; i = device.interfaces.next(*i)) {
		const GUID &g = i->guid;

		used += shim_scnprintf(page + used, size - used,
				       "{%08x-%04x-%04x-%02x%02x-%02x%02x%02x%02x%02x%02x}%s%s\n", g.Data1, g.Data2,
				       g.Data3, g.Data4[0], g.Data4[1], g.Data4[2], g.Data4[3], g.Data4[4], g.Data4[5],
				       g.Data4[6], g.Data4[7], i->reference[0] ? "\\" : "", i->reference);
	}
	return used;
}

extern "C" WDFQUEUE WdfDeviceGetDefaultQueue(WDFDEVICE Device)
{
	Ref<kmdf::Device> device = find<kmdf::Device>(Device, "WdfDeviceGetDefaultQueue");

	if (!device)
		return nullptr;
	SpinGuard guard(core.lock);

	return device->default_queue ? static_cast<WDFQUEUE>(device->default_queue->handle()) : nullptr;
}

extern "C" NTSTATUS WdfDeviceConfigureRequestDispatching(WDFDEVICE Device, WDFQUEUE Queue, WDF_REQUEST_TYPE RequestType)
{
	Ref<kmdf::Device> device = find<kmdf::Device>(Device, "WdfDeviceConfigureRequestDispatching");
	Ref<kmdf::Queue> queue = find<kmdf::Queue>(Queue, "WdfDeviceConfigureRequestDispatching");

	if (!device || !queue)
		return STATUS_INVALID_PARAMETER;
	switch (RequestType) {
	case WdfRequestTypeCreate:
	case WdfRequestTypeRead:
	case WdfRequestTypeWrite:
	case WdfRequestTypeDeviceControl:
	case WdfRequestTypeDeviceControlInternal:
		break;
	default:
		return STATUS_INVALID_PARAMETER;
	}
	if (queue->device != device.get())
		return STATUS_INVALID_DEVICE_REQUEST;
	SpinGuard guard(core.lock);

	if (device->by_type[RequestType])
		return STATUS_WDF_BUSY;
	device->by_type[RequestType] = queue.get();
	return STATUS_SUCCESS;
}

extern "C" NTSTATUS WdfDeviceEnqueueRequest(WDFDEVICE Device, WDFREQUEST Request)
{
	Ref<kmdf::Device> device = find<kmdf::Device>(Device, "WdfDeviceEnqueueRequest");
	Ref<kmdf::Request> request = find<kmdf::Request>(Request, "WdfDeviceEnqueueRequest");

	if (!device || !request)
		return STATUS_INVALID_PARAMETER;
	{
		SpinGuard guard(core.lock);

		if (request->queue || !request->incoming || request->sent_locked() || request->device != device.get())
			return STATUS_INVALID_DEVICE_REQUEST;
	}
	return device->enqueue(*request);
}
