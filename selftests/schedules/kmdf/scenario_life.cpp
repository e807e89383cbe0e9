// SPDX-License-Identifier: GPL-2.0-only
// Objects that go: a device while it is opened and asked, a timer while it fires, an object while somebody lets go of it.
#include "scenarios.hpp"

namespace schedules {

namespace {

void mark_at_once(int index)
{
	if (mark(index) == STATUS_CANCELLED)
		complete(index, STATUS_CANCELLED);
}

// ---- a device

void opener(int)
{
	int err = open_file(files[0]);

	say("open: %d", err);
	if (err && err != -6 && err != -SHIM_ENODEV)
		fake::bug("open: %d", err);
	if (err)
		return;
	read_file(files[0], 0);
	close_file(files[0]);
}

void remover(int)
{
	if (kmdf_power_c("k0", "remove"))
		fake::bug("there is no such device");
	if (asked[0].presented && !asked[0].cleanups)
		fake::bug("a device is removed, and its driver has a request");
}

// Nobody else ends what the driver has: else the opener may keep it from leaving.
void unloader(int)
{
	rmmod();
}

void complete_at_once(int index)
{
	step("in EvtIoRead");
	complete(index, STATUS_SUCCESS);
}

// ---- a timer

WDFTIMER timer;
u8 fired;
bool in_function;
bool restarts; // it starts itself once more
bool deleting;
bool timer_over; // it is deleted
u8 timer_destroys;
bool anew; // it is started for another time, before it was due
u64 anew_due;

void timer_function(WDFTIMER self)
{
	if (timer_over || timer_destroys)
		fake::bug("a timer fires after its end");
	if (self != timer)
		fake::bug("another timer fires");
	if (anew && fake::now() < anew_due)
		fake::bug("a timer fires before the time that it was started anew for");
	in_function = true;
	fired++;
	step("in the timer's function");
	if (restarts && fired == 1) {
		clear_dead_stack();
		WdfTimerStart(self, WDF_REL_TIMEOUT_IN_MS(kTimeoutMs));
	}
	in_function = false;
}

void timer_destroyed(WDFOBJECT)
{
	if (timer_destroys++ || in_function)
		fake::bug("EvtDestroyCallback of a timer twice, or while it fires");
}

void timer_stopper(int)
{
	clear_dead_stack();
	WdfTimerStop(timer, TRUE);
	if (in_function)
		fake::bug("a stop that waits has returned during the timer's function");
	clear_dead_stack();
	WdfTimerStart(timer, WDF_REL_TIMEOUT_IN_MS(kTimeoutMs));
	clear_dead_stack();
	WdfObjectDereference(timer);
}

void timer_deleter(int)
{
	clear_dead_stack();
	WdfObjectDelete(timer);
	timer_over = true;
	if (in_function)
		fake::bug("a delete has returned during the timer's function");
}

void timer_starter(int)
{
	anew_due = fake::now() + 1000ull * kTimeoutMs * 1000000;
	clear_dead_stack();
	anew = WdfTimerStart(timer, WDF_REL_TIMEOUT_IN_MS(1000 * kTimeoutMs));
	if (anew && fired && fake::now() < anew_due)
		fake::bug("a timer that was started anew has fired for the time before");
}

void two_ticks(int)
{
	tick();
	tick();
}

// ---- a work item

WDFWORKITEM item;
u8 worked;
u8 enqueued;

void item_function(WDFWORKITEM)
{
	if (timer_over)
		fake::bug("a work item runs after its end");
	if (in_function)
		fake::bug("a work item runs twice at once");
	in_function = true;
	step("in the work item");
	worked++;
	in_function = false;
}

void enqueuer(int)
{
	for (int i = 0; i < 2; i++) {
		u8 before = worked;

		enqueued++;
		clear_dead_stack();
		WdfWorkItemEnqueue(item);
		clear_dead_stack();
		WdfWorkItemFlush(item);
		if (worked == before && !timer_over && !deleting)
			fake::bug("a flush has returned before the work item ran");
	}
	clear_dead_stack();
	WdfObjectDereference(item);
}

void item_deleter(int)
{
	deleting = true;
	clear_dead_stack();
	WdfObjectDelete(item);
	timer_over = true;
	if (in_function)
		fake::bug("a delete has returned during the work item");
}

// ---- an object with a child

struct Watched {
	WDFOBJECT handle;
	u8 cleanups;
	u8 destroys;
	u8 references;
};
Watched watched[2]; // the parent, its child

Watched &watched_of(WDFOBJECT object)
{
	return object == watched[0].handle ? watched[0] : watched[1];
}

void object_cleanup(WDFOBJECT object)
{
	Watched &w = watched_of(object);

	if (w.cleanups++ || w.destroys)
		fake::bug("EvtCleanupCallback twice, or after EvtDestroyCallback");
	if (&w == &watched[0] && !watched[1].cleanups)
		fake::bug("EvtCleanupCallback of a parent before that of its child");
	step("in EvtCleanupCallback");
}

void object_destroy(WDFOBJECT object)
{
	Watched &w = watched_of(object);

	if (w.destroys++ || !w.cleanups)
		fake::bug("EvtDestroyCallback twice, or before EvtCleanupCallback");
	if (w.references)
		fake::bug("EvtDestroyCallback of what is referenced");
}

void make_object(int which, WDFOBJECT parent)
{
	WDF_OBJECT_ATTRIBUTES attributes;

	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = parent;
	attributes.EvtCleanupCallback = object_cleanup;
	attributes.EvtDestroyCallback = object_destroy;
	if (WdfObjectCreate(&attributes, &watched[which].handle))
		fake::bug("ObjectCreate is refused");
	WdfObjectReference(watched[which].handle);
	watched[which].references++;
}

template <int Which> void dereferencer(int)
{
	step("lets go");
	watched[Which].references--;
	clear_dead_stack();
	WdfObjectDereference(watched[Which].handle);
}

// The parent, or, as it may be gone by then, with a reference, the child.
void deleter(int)
{
	clear_dead_stack();
	WdfObjectDelete(watched[0].handle);
	if (!watched[0].cleanups || !watched[1].cleanups)
		fake::bug("a delete has returned before EvtCleanupCallback");
}

struct Payload {
	u32 value;
};
WDF_DECLARE_CONTEXT_TYPE_WITH_NAME(Payload, payload_of)

// Its handle may be stale by then.
void looker(int)
{
	clear_dead_stack();
	Payload *payload = payload_of(watched[0].handle);

	if (payload && watched[0].destroys > 1)
		fake::bug("a handle is valid after EvtDestroyCallback");
}

void plain_deleter(int)
{
	clear_dead_stack();
	WdfObjectDelete(watched[0].handle);
}

// The other one has begun, and goes on with it.
void rash_deleter(int slot)
{
	plain_deleter(slot);
	dereferencer<0>(slot);
}

} // namespace

void handle_lookup()
{
	WDF_OBJECT_ATTRIBUTES attributes;

	plan.breaks = "InvalidHandle";
	load_kmdf();
	WDF_OBJECT_ATTRIBUTES_INIT_CONTEXT_TYPE(&attributes, Payload);
	attributes.ParentObject = devices[0];
	if (WdfObjectCreate(&attributes, &watched[0].handle))
		fake::bug("ObjectCreate is refused");
	spawn("looker", looker);
	spawn("looker 2", looker);
	spawn("deleter", plain_deleter);
	run_kmdf();
	unload_kmdf();
}

// A mistake of the driver, which the verifier names.
void object_delete_twice()
{
	plan.breaks = "ObjectMisuse";
	load_kmdf();
	make_object(0, devices[0]);
	WdfObjectReference(watched[0].handle);
	watched[0].references++;
	watched[1].cleanups++; // it has no child
	spawn("deleter", rash_deleter);
	spawn("deleter 2", rash_deleter);
	run_kmdf();
	if (watched[0].cleanups != 1 || watched[0].destroys != 1)
		fake::bug("a deleted object is still there");
	if (host_kmdf_broken("ObjectMisuse") != 1)
		fake::bug("the second delete is not reported");
	unload_kmdf();
}

void workitem_flush()
{
	WDF_WORKITEM_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;

	load_kmdf();
	WDF_WORKITEM_CONFIG_INIT(&config, item_function);
	config.AutomaticSerialization = FALSE;
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = devices[0];
	if (WdfWorkItemCreate(&config, &attributes, &item))
		fake::bug("WorkItemCreate is refused");
	WdfObjectReference(item);
	spawn("enqueuer", enqueuer);
	spawn("deleter", item_deleter);
	run_kmdf();
	unload_kmdf();
}

void remove_open()
{
	plan.opened = false;
	plan.refers = false;
	plan.on_read = mark_at_once;
	load_kmdf();
	spawn("opener", opener);
	spawn("remover", remover);
	run_kmdf();
	unload_kmdf();
}

void rmmod_open()
{
	plan.opened = false;
	plan.refers = false;
	plan.on_read = complete_at_once;
	load_kmdf();
	spawn("opener", opener);
	spawn("rmmod", unloader);
	run_kmdf();
	unload_kmdf();
}

static void start_timer()
{
	WDF_TIMER_CONFIG config;
	WDF_OBJECT_ATTRIBUTES attributes;

	load_kmdf();
	WDF_TIMER_CONFIG_INIT(&config, timer_function);
	config.AutomaticSerialization = FALSE;
	WDF_OBJECT_ATTRIBUTES_INIT(&attributes);
	attributes.ParentObject = devices[0];
	attributes.EvtDestroyCallback = timer_destroyed;
	if (WdfTimerCreate(&config, &attributes, &timer))
		fake::bug("TimerCreate is refused");
	WdfTimerStart(timer, WDF_REL_TIMEOUT_IN_MS(kTimeoutMs));
}

void timer_anew()
{
	start_timer();
	spawn("clock", two_ticks, true);
	spawn("starter", timer_starter);
	run_kmdf();
	if (!fired && !anew)
		fake::bug("a start has neither fired nor been replaced");
	WdfObjectDelete(timer);
	unload_kmdf();
}

void timer_stop()
{
	restarts = true;
	start_timer();
	WdfObjectReference(timer);
	spawn("clock", two_ticks, true);
	spawn("stopper", timer_stopper);
	spawn("deleter", timer_deleter);
	run_kmdf();
	if (timer_destroys != 1)
		fake::bug("a deleted timer is still there");
	unload_kmdf();
}

void object_delete()
{
	load_kmdf();
	make_object(0, devices[0]);
	make_object(1, watched[0].handle);
	spawn("dereference", dereferencer<0>);
	spawn("of its child", dereferencer<1>);
	spawn("deleter", deleter);
	run_kmdf();
	for (const Watched &w : watched)
		if (w.cleanups != 1 || w.destroys != 1)
			fake::bug("a deleted object is still there");
	unload_kmdf();
}

} // namespace schedules
