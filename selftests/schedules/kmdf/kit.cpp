// SPDX-License-Identifier: GPL-2.0-only
#include "kit.hpp"

extern "C" char __executable_start;
extern "C" char etext;

namespace schedules {

Asked asked[kAsked];
Plan plan;
WDFDEVICE devices[2];
WDFQUEUE queues[2];
WDFQUEUE manual_queue;
File files[2];
u8 in_callbacks;

namespace {

pid program;
::module module;
bool loaded;
unsigned int made; // devices
struct kmdf_driver_glue glue;
// Of requests that the driver has never seen.
u8 unseen_cleanups;
u8 unseen_destroys;
u8 opens;
u8 file_cleanups;
u8 file_closes;

void must_be_loaded(const char *what)
{
	if (!loaded)
		fake::bug("%s of a driver that is gone", what);
}

// ---- callbacks

void evt_read(WDFQUEUE queue, WDFREQUEST request, size_t length)
{
	int index = static_cast<int>(length) - kLength + (queue == queues[1] ? kBelow : 0);

	must_be_loaded("EvtIoRead");
	if (index < 0 || index >= kAsked)
		fake::bug("EvtIoRead with a length of %zu", length);
	if (asked[index].handle && asked[index].handle != request)
		fake::bug("read %d has become another request", index);
	in_callbacks++;
	give(request, index);
	if (plan.on_read)
		plan.on_read(index);
	in_callbacks--;
}

void evt_cancel(WDFREQUEST request)
{
	int index = index_of(request);
	Asked &a = asked[index];

	must_be_loaded("EvtRequestCancel");
	if (a.canceled)
		fake::bug("EvtRequestCancel of read %d a second time", index);
	if (!a.marked)
		fake::bug("EvtRequestCancel of read %d, which is not marked", index);
	if (a.completions)
		fake::bug("EvtRequestCancel of read %d, which is completed", index);
	in_callbacks++;
	a.canceled = true;
	a.marked = false;
	step("in EvtRequestCancel");
	if (plan.on_cancel)
		plan.on_cancel(index);
	else
		complete(index, STATUS_CANCELLED);
	in_callbacks--;
}

void evt_canceled_on_queue(WDFQUEUE, WDFREQUEST request)
{
	int index = index_of(request);

	must_be_loaded("EvtIoCanceledOnQueue");
	if (asked[index].canceled_on_queue++ || asked[index].completions)
		fake::bug("EvtIoCanceledOnQueue of read %d twice, or after its end", index);
	complete(index, STATUS_CANCELLED);
}

void evt_cleanup(WDFOBJECT object)
{
	must_be_loaded("EvtCleanupCallback");
	for (Asked &a : asked) {
		if (a.handle != object)
			continue;
		if (a.cleanups++ || a.destroys)
			fake::bug("EvtCleanupCallback of a request twice, or after its EvtDestroyCallback");
		return;
	}
	unseen_cleanups++;
}

void evt_destroy(WDFOBJECT object)
{
	must_be_loaded("EvtDestroyCallback");
	for (Asked &a : asked) {
		if (a.handle != object)
			continue;
		if (!a.cleanups || a.destroys++)
			fake::bug("EvtDestroyCallback of a request twice, or before its EvtCleanupCallback");
		if (a.referenced)
			fake::bug("EvtDestroyCallback of a request that the driver refers to");
		return;
	}
	unseen_destroys++;
}

void evt_file_cleanup(WDFFILEOBJECT)
{
	must_be_loaded("EvtFileCleanup");
	if (++file_cleanups > opens)
		fake::bug("EvtFileCleanup of a file twice");
}

void evt_file_close(WDFFILEOBJECT)
{
	must_be_loaded("EvtFileClose");
	if (++file_closes > file_cleanups)
		fake::bug("EvtFileClose of a file twice, or before its EvtFileCleanup");
	for (const Asked &a : asked)
		if (a.presented && !a.cleanups)
			fake::bug("EvtFileClose of a file that has a request");
}

NTSTATUS make_queues(WDFDEVICE device, unsigned int number)
{
	WDF_IO_QUEUE_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;

	WDF_IO_QUEUE_CONFIG_INIT_DEFAULT_QUEUE(&config, plan.dispatch);
	if (plan.dispatch != WdfIoQueueDispatchManual)
		config.EvtIoRead = evt_read;
	config.EvtIoCanceledOnQueue = plan.tells_of_queued ? evt_canceled_on_queue : nullptr;
	config.EvtIoStop = plan.on_stop;
	config.EvtIoResume = plan.on_resume;
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.SynchronizationScope = plan.scope;
	attributes.ExecutionLevel = plan.level;
	NTSTATUS status = WdfIoQueueCreate(device, &config, &attributes, &queues[number]);

	if (!NT_SUCCESS(status) || !plan.manual || number)
		return status;
	WDF_IO_QUEUE_CONFIG_INIT(&config, WdfIoQueueDispatchManual);
	config.EvtIoCanceledOnQueue = plan.tells_of_queued ? evt_canceled_on_queue : nullptr;
	return WdfIoQueueCreate(device, &config, &attributes, &manual_queue);
}

NTSTATUS evt_add(WDFDRIVER, PWDFDEVICE_INIT init)
{
	WDF_FILEOBJECT_CONFIG on_files;
	WDF_OBJECT_ATTRIBUTES requests;
	unsigned int number = made++;

	WDF_OBJECT_ATTRIBUTES_INIT(&requests);
	requests.EvtCleanupCallback = evt_cleanup;
	requests.EvtDestroyCallback = evt_destroy;
	WdfDeviceInitSetRequestAttributes(init, &requests);
	WDF_FILEOBJECT_CONFIG_INIT(&on_files, nullptr, evt_file_close, evt_file_cleanup);
	WdfDeviceInitSetFileObjectConfig(init, &on_files, WDF_NO_OBJECT_ATTRIBUTES);
	NTSTATUS status = WdfDeviceCreate(&init, WDF_NO_OBJECT_ATTRIBUTES, &devices[number]);

	return NT_SUCCESS(status) ? make_queues(devices[number], number) : status;
}

NTSTATUS entry(DRIVER_OBJECT *object, UNICODE_STRING *path)
{
	WDF_DRIVER_CONFIG config;

	WDF_DRIVER_CONFIG_INIT(&config, evt_add);
	return WdfDriverCreate(object, path, WDF_NO_OBJECT_ATTRIBUTES, &config, WDF_NO_HANDLE);
}

} // namespace

// ---- the driver's calls

int index_of(WDFREQUEST request)
{
	for (int i = 0; i < kAsked; i++)
		if (asked[i].handle == request)
			return i;
	fake::bug("a callback with a request that the driver was not given");
}

void give(WDFREQUEST request, int index)
{
	Asked &a = asked[index];

	if (a.completions)
		fake::bug("read %d is presented after its completion", index);
	a.handle = request;
	if (!a.presented++ && plan.refers) {
		WdfObjectReference(request);
		a.referenced = true;
	}
}

static void note_mark(int index)
{
	// Before the call: EvtRequestCancel may run before it has returned.
	asked[index].marked = true;
}

NTSTATUS mark(int index)
{
	note_mark(index);
	clear_dead_stack();
	NTSTATUS status = WdfRequestMarkCancelableEx(asked[index].handle, evt_cancel);

	if (status != STATUS_SUCCESS && status != STATUS_CANCELLED)
		fake::bug("MarkCancelableEx: %08x", static_cast<u32>(status));
	if (status == STATUS_CANCELLED) {
		if (asked[index].canceled)
			fake::bug("MarkCancelableEx with STATUS_CANCELLED, and EvtRequestCancel");
		asked[index].marked = false;
	}
	asked[index].armed = status == STATUS_SUCCESS;
	return status;
}

void mark_plain(int index)
{
	note_mark(index);
	clear_dead_stack();
	WdfRequestMarkCancelable(asked[index].handle, evt_cancel);
	asked[index].armed = true;
}

bool unmark(int index)
{
	Asked &a = asked[index];

	clear_dead_stack();
	NTSTATUS status = WdfRequestUnmarkCancelable(a.handle);

	say("unmark: %08x", static_cast<u32>(status));
	if (status == STATUS_CANCELLED)
		return false;
	if (status != STATUS_SUCCESS)
		fake::bug("UnmarkCancelable: %08x", static_cast<u32>(status));
	if (a.canceled)
		fake::bug("UnmarkCancelable succeeded after EvtRequestCancel");
	a.marked = false;
	return true;
}

void complete(int index, NTSTATUS status)
{
	Asked &a = asked[index];

	if (a.completions++)
		fake::bug("read %d is the driver's to complete twice", index);
	a.said = NT_SUCCESS(status) ? kLength : status == STATUS_CANCELLED ? -SHIM_ECANCELED : -SHIM_ETIMEDOUT;
	clear_dead_stack();
	WdfRequestCompleteWithInformation(a.handle, status, NT_SUCCESS(status) ? kLength : 0);
}

void drop(int index)
{
	if (!asked[index].referenced)
		return;
	asked[index].referenced = false;
	clear_dead_stack();
	WdfObjectDereference(asked[index].handle);
}

bool presented(int index)
{
	return asked[index].referenced;
}

bool wait_for(int index)
{
	step(
		"waits for the read", "",
		[](const void *a) {
			const Asked &read = *static_cast<const Asked *>(a);

			return read.referenced || read.ended;
		},
		&asked[index]);
	return presented(index);
}

void unmark_and_complete(int index)
{
	step(
		"waits for the mark", "",
		[](const void *a) {
			const Asked &read = *static_cast<const Asked *>(a);

			return read.armed || read.canceled || read.completions;
		},
		&asked[index]);
	if (asked[index].completions && !asked[index].canceled)
		return drop(index); // it was cancelled before it was marked
	if (unmark(index))
		complete(index, STATUS_SUCCESS);
	drop(index);
}

bool rmmod()
{
	step("delete_module");
	int err = fake::delete_module(module, false, [] { kmdf_driver_exit(&glue); });

	if (err && err != -SHIM_EAGAIN)
		fake::bug("delete_module: %d", err);
	if (!err)
		loaded = false;
	return !err;
}

// ---- programs

[[gnu::noinline]] int open_file(File &file, const char *name)
{
	fake::current().process = &program;
	clear_dead_stack();
	int err = fake::open_node(name, &file.data);

	if (err)
		file.data = nullptr;
	else
		opens++;
	return err;
}

void close_file(File &file)
{
	void *data = file.data;

	step(
		"close", "", [](const void *f) { return !static_cast<const File *>(f)->calls; }, &file);
	file.data = nullptr;
	clear_dead_stack();
	kmdf_flush_c(&file.file, data);
	kmdf_release_c(data);
}

[[gnu::noinline]] void read_file(File &file, int index)
{
	Asked &a = asked[index];
	size_t bytes = static_cast<size_t>(kLength + index);
	iov_iter to = {fake::user(a.buffer), bytes};
	kiocb iocb;

	if (a.killed) { // before it could ask
		a.ended = true;
		a.result = -SHIM_EINTR;
		return;
	}
	fake::current().process = &program;
	file.calls++;
	a.begun = true;
	clear_dead_stack();
	a.result = kmdf_read_c(&iocb, &file.file, file.data, &to, bytes, 0);
	a.ended = true;
	say("read: %lld", a.result);
	file.calls--;
}

[[gnu::noinline]] kmdf_cancel cancel_file(File &file)
{
	kmdf_cancel arguments = {};

	fake::current().process = &program;
	arguments.size = sizeof(arguments);
	arguments.what = KMDF_CANCEL_FILE;
	file.calls++;
	clear_dead_stack();
	if (long err = kmdf_ioctl_c(&file.file, file.data, KMDF_IOC_CANCEL, fake::user(&arguments)))
		fake::bug("KMDF_IOC_CANCEL: %ld", err);
	file.calls--;
	return arguments;
}

void canceller(int)
{
	cancel_file(files[0]);
}

void clock(int)
{
	tick();
}

void kill(int slot, int index)
{
	step("SIGKILL");
	asked[index].killed = true;
	set_signal(fibers[slot], true);
}

// ---- all of it

void load_kmdf()
{
	unsigned long text = reinterpret_cast<unsigned long>(&__executable_start);

	reset_kernel();
	fake::clear_bad_ranges(); // whose memory is otherwise that of the first who copies
	fake::reset_kmdf();
	host_kmdf_reset();
	program.number = 100;
	for (Asked &a : asked)
		a.said = kNobody;
	for (File &file : files)
		file.file.mode = SHIM_FMODE_READ;
	fake::current().process = &program;
	if (kmdf_core_init_c())
		fake::bug("kmdf.ko does not start");
	fake::init_module(module, "k", text, reinterpret_cast<unsigned long>(&etext) - text);
	glue.module = &module;
	glue.name = module.name;
	glue.entry = entry;
	loaded = true;
	if (int err = kmdf_driver_init(&glue, plan.devices))
		fake::bug("insmod: %d", err);
	fake::module_is_live(module);
	if (plan.opened && open_file(files[0]))
		fake::bug("the device cannot be opened");
}

void run_kmdf()
{
	run_all();
	if (const char *broken = host_kmdf_check_invariants(true))
		fake::bug("broken: %s", broken);
}

static void check_read(int index)
{
	const Asked &a = asked[index];

	if (a.begun && !a.ended)
		fake::bug("read %d has no end", index);
	if (a.presented && (a.completions > 1 || a.cleanups != 1 || a.destroys != 1))
		fake::bug("read %d: %u completions, %u EvtCleanup, %u EvtDestroy", index, a.completions, a.cleanups,
			  a.destroys);
	if (!a.ended)
		return;
	bool as_said = a.completions ?
			       a.result == a.said :
			       a.result == -SHIM_ECANCELED || a.result == -SHIM_ENODEV || a.result == -SHIM_EBUSY;

	if (!as_said && !(a.killed && a.result == -SHIM_EINTR))
		fake::bug("read %d: %lld, and its driver has said %lld", index, a.result, a.said);
}

void unload_kmdf()
{
	for (File &file : files)
		if (file.data)
			close_file(file);
	if (loaded && !rmmod())
		fake::bug("the driver cannot be removed");
	step("works end", "", [](const void *) { return works_idle(); });
	if (const char *broken = host_kmdf_check_invariants(true))
		fake::bug("broken: %s", broken);
	u64 expires;

	if (host_kmdf_drivers() || fake::nodes() || fake::extension->next_timer(&expires))
		fake::bug("left over: a driver, a node or a timer");
	// Whoever looks for killed clients may be due once more, and finds none.
	if (timer_armed()) {
		tick();
		step("works end", "", [](const void *) { return works_idle(); });
		if (timer_armed())
			fake::bug("left over: a work that is armed again");
	}
	for (int i = 0; const char *rule = host_kmdf_rule(i); i++)
		if (host_kmdf_broken(rule) && (!plan.breaks || strcmp(plan.breaks, rule)))
			fake::bug("the verifier has seen a %s", rule);
	for (int i = 0; i < kAsked; i++)
		check_read(i);
	if (unseen_cleanups != unseen_destroys)
		fake::bug("%u EvtCleanup and %u EvtDestroy of requests that the driver never had", unseen_cleanups,
			  unseen_destroys);
	if (file_cleanups != opens || file_closes != opens)
		fake::bug("%u opens, %u EvtFileCleanup, %u EvtFileClose", opens, file_cleanups, file_closes);
	kmdf_core_exit_c();
	fake::Live left = fake::live();

	if (left.allocations || left.krefs || left.file_refs || left.pid_refs || left.sleepers)
		fake::bug("left over: %ld allocations, %ld references, %ld files, %ld processes, %ld sleepers",
			  left.allocations, left.krefs, left.file_refs, left.pid_refs, left.sleepers);
}

} // namespace schedules

// Nothing of kmdf.ko is a mere history.
extern "C" void host_forget_history() {}
