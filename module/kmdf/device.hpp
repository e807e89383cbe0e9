// SPDX-License-Identifier: GPL-2.0-only
// Drivers, devices, and the files that programs have open on them.
#pragma once

#include "queue.hpp"
#include "kmdf_glue.h"

namespace kmdf {

struct Name {
	ListNode node;
	char text[KMDF_NAME_SIZE];
};

struct Interface {
	ListNode node;
	GUID guid;
	char reference[KMDF_NAME_SIZE];
};

const char *driver_name(const Driver &driver);

} // namespace kmdf

// What EvtDriverDeviceAdd fills in until WdfDeviceCreate() takes it.
struct WDFDEVICE_INIT {
	kmdf::Driver *driver;
	bool control;
	bool exclusive;
	WDF_PNPPOWER_EVENT_CALLBACKS pnp;
	WDF_FILEOBJECT_CONFIG file;
	WDF_OBJECT_ATTRIBUTES file_attributes;
	WDF_OBJECT_ATTRIBUTES request_attributes;
	bool has_file_attributes;
	bool has_request_attributes;
	PFN_WDF_IO_IN_CALLER_CONTEXT in_caller_context;
	PFN_WDF_DEVICE_SHUTDOWN_NOTIFICATION shutdown;
	char name[KMDF_NAME_SIZE]; // WdfDeviceInitAssignName()'s
	kmdf::Device **made;       // where WdfDeviceCreate() says so; null: nobody asks
};

namespace kmdf {

enum class Pnp : u8 { Adding, Started, Removing, Removed };

// How far the driver's callbacks have come: what has not begun is not told of the end, either. Prepared:
// EvtDevicePrepareHardware's turn has come. Managed: EvtDeviceSelfManagedIoInit's or ...Restart's. Running: which succeeded.
enum class Begun : u8 { Nothing, Prepared, Managed, Running };

class Target;

class Device final : public Object {
      public:
	static constexpr Type kType = Type::Device;

	Device(Driver *driver, const WDFDEVICE_INIT &init);
	void dispose() override;
	void release_parts() override;

	const WDFDEVICE_INIT init;
	u64 id = 0;
	u32 number = 0; // of the driver's
	bool passive = false;
	WDF_SYNCHRONIZATION_SCOPE scope = WdfSynchronizationScopeNone;
	PresentationLock presentation;
	Target *target = nullptr; // the local default one; a child
	ListNode driver_node KEXTBRIDGE_GUARDED_BY(core_lock());

	// LOCKING: held while it starts, sleeps, wakes up or goes, and so around the driver's callbacks about that: the
	// system's suspend, the unloading of its driver and the debugfs switch come from threads of their own.
	PresentationLock transition;
	Pnp pnp KEXTBRIDGE_GUARDED_BY(core_lock()) = Pnp::Adding;
	bool in_d0 KEXTBRIDGE_GUARDED_BY(core_lock()) = false; // its power-managed queues work
	Begun begun KEXTBRIDGE_GUARDED_BY(core_lock()) = Begun::Nothing;
	Queue *default_queue KEXTBRIDGE_GUARDED_BY(core_lock()) = nullptr;
	Queue *by_type[16] KEXTBRIDGE_GUARDED_BY(core_lock()) = {}; // by WDF_REQUEST_TYPE
	u32 opens KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	u32 requests KEXTBRIDGE_GUARDED_BY(core_lock()) = 0; // that are not finished
	WaitQueue drained;

	// The first is its node's. A node is only made, and unmade, by who starts and removes the device.
	List<Name, &Name::node> names KEXTBRIDGE_GUARDED_BY(core_lock());
	List<Interface, &Interface::node> interfaces KEXTBRIDGE_GUARDED_BY(core_lock());
	::device *node = nullptr;
	u32 minor = 0;

	// -EEXIST: it has been started before.
	int start() KEXTBRIDGE_EXCLUDES(core_lock());
	void suspend() KEXTBRIDGE_EXCLUDES(core_lock());
	void resume() KEXTBRIDGE_EXCLUDES(core_lock());
	void retire() KEXTBRIDGE_EXCLUDES(core_lock()); // removal

	// A name stays as long as the device.
	const char *name_locked() KEXTBRIDGE_REQUIRES(core_lock()) { return names.empty() ? "" : names.front()->text; }
	// One more; where it is taken, or there is no memory, the status says so.
	NTSTATUS add_name(const char *name) KEXTBRIDGE_EXCLUDES(core_lock());
	// Around the callbacks about files; null: nothing.
	PresentationLock *file_lock() { return scope == WdfSynchronizationScopeDevice ? &presentation : nullptr; }
	bool asks_before_open() KEXTBRIDGE_EXCLUDES(core_lock());
	bool working_locked() const KEXTBRIDGE_REQUIRES(core_lock()) { return pnp == Pnp::Started; }

	// The request's way in: EvtIoInCallerContext, or a queue. Refused ones are completed.
	void submit(Request &request) KEXTBRIDGE_EXCLUDES(core_lock());
	// Success, or why the driver still has it.
	NTSTATUS enqueue(Request &request) KEXTBRIDGE_EXCLUDES(core_lock());
	// The last thing of a request.
	void left() KEXTBRIDGE_EXCLUDES(core_lock());
	void forget_queue(Queue &queue) KEXTBRIDGE_EXCLUDES(core_lock());
	// Until no request is left.
	void drain() KEXTBRIDGE_EXCLUDES(core_lock());

      private:
	template <typename F> void each_queue(F function) KEXTBRIDGE_EXCLUDES(core_lock());
	NTSTATUS power_up(bool first) KEXTBRIDGE_EXCLUDES(core_lock());
	void power_down(WDF_POWER_DEVICE_STATE to) KEXTBRIDGE_EXCLUDES(core_lock());
	void suspend_self_managed() KEXTBRIDGE_EXCLUDES(core_lock());
	void stop_queues(u32 action) KEXTBRIDGE_EXCLUDES(core_lock());
	void retire_in_transition() KEXTBRIDGE_EXCLUDES(core_lock());
	void report_left() KEXTBRIDGE_EXCLUDES(core_lock());
	NTSTATUS make_node() KEXTBRIDGE_EXCLUDES(core_lock());
};

// The name of the structure is that of a variable, too.
using Glue = struct kmdf_driver_glue;

class Driver final : public Object {
	u32 objects_ = 0; // atomic; all of its objects whose EvtDestroy is not over

      public:
	static constexpr Type kType = Type::Driver;

	explicit Driver(Glue *glue) : Object(Type::Driver, nullptr), glue(glue)
	{
		deletable = false;
		devices.init();
	}

	Glue *const glue;
	unsigned long text = 0; // its module's
	unsigned long text_size = 0;
	WDF_DRIVER_CONFIG config = {};
	bool passive = false;
	WDF_SYNCHRONIZATION_SCOPE scope = WdfSynchronizationScopeNone;
	u32 made KEXTBRIDGE_GUARDED_BY(core_lock()) = 0; // devices, ever
	bool loaded KEXTBRIDGE_GUARDED_BY(core_lock()) = false;
	ListNode node KEXTBRIDGE_GUARDED_BY(core_lock());
	List<Device, &Device::driver_node> devices KEXTBRIDGE_GUARDED_BY(core_lock());

	void object_made() { __atomic_add_fetch(&objects_, 1, __ATOMIC_RELAXED); }
	void object_gone();
	// Its module stays until shim_module_put(): for a program's file, for another driver's target. -EBUSY while it is
	// being loaded: the kernel frees one whose loading fails, whatever its count. -ENODEV: it goes.
	int hold_module() KEXTBRIDGE_EXCLUDES(core_lock());
	u32 objects() const { return __atomic_load_n(&objects_, __ATOMIC_ACQUIRE); }
};

// CleanedUp: its last descriptor is gone, EvtFileCleanup has been called. Closed: nothing refers to it but requests. Over:
// EvtFileClose is called.
enum class FileState : u8 { Open, CleanedUp, Closed, Over };

// Of all drivers, by any of its names. Null: there is none.
Ref<Device> find_device(const char *name) KEXTBRIDGE_EXCLUDES(core_lock());

class File final : public Object {
      public:
	static constexpr Type kType = Type::File;

	File(Driver *driver, Device *device);
	void release_parts() override { device = Ref<Device>(); }

	Ref<Device> device;
	List<Request, &Request::file_node> requests KEXTBRIDGE_GUARDED_BY(core_lock());
	u32 pending KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	int pid = 0;                                      // who has opened it
	u32 async KEXTBRIDGE_GUARDED_BY(core_lock()) = 0; // asynchronous requests, which hold the file open
	StateWord<FileState> state KEXTBRIDGE_GUARDED_BY(core_lock()){FileState::Open};
	NTSTATUS last_status KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;
	u64 last_information KEXTBRIDGE_GUARDED_BY(core_lock()) = 0;

	// True once: it is closed, and its last request is finished.
	bool take_end_locked() KEXTBRIDGE_REQUIRES(core_lock())
	{
		return requests.empty() && state.take(FileState::Closed, FileState::Over);
	}
	// Its last request is done and it is closed: EvtFileClose, and it goes.
	// CONTEXT: may sleep, none of a driver's locks held.
	void end() KEXTBRIDGE_EXCLUDES(core_lock());
	// The same, soon, from anywhere: whoever completes a request may be in a callback that its device serializes.
	void end_soon() KEXTBRIDGE_EXCLUDES(core_lock());

      private:
	Work end_work;
	static void end_function(void *file);
};

} // namespace kmdf
