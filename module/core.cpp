// SPDX-License-Identifier: GPL-2.0-only
// Module init and exit, and where the kernel's works come in.
#include "core.hpp"

#include "daemon.hpp"
#include "in_flight.hpp"
#include "kext_alloc.hpp"
#include "iolock.hpp"
#include "load.hpp"
#include "unload.hpp"
#include "shim/enforce.h"

namespace kextbridge {

constinit Core core;

static constinit lock_class_key requests_key = {};
static constinit lock_class_key kexts_key = {};
static constinit lock_class_key ranges_key = {};
static constinit lock_class_key deadline_key = {};
static constinit lock_class_key scan_key = {};
static constinit lock_class_key done_key = {};
static constinit lock_class_key fetch_key = {};
static constinit lock_class_key barrier_key = {};
static constinit lock_class_key watchers_key = {};

void changed_locked()
{
	core.stats.generation++;
	if (core.watchers.active())
		core.watchers.wake_all();
}

// Nobody else can see the core yet.
static int init_core() KEXTBRIDGE_UNCHECKED
{
	core.requests.init("kextbridge_requests", &requests_key);
	core.kexts_by_tag.init("kextbridge_kexts", &kexts_key);
	core.ranges.init("kextbridge_ranges", &ranges_key);
	core.pending.init();
	core.kexts.init();
	core.loads.init();
	core.asked_loads.init();
	shim_timerqueue_init_head(&core.deadlines);
	core.deadline_work.init(expire_deadlines, "kextbridge_deadlines", &deadline_key);
	core.scan_work.init(scan_for_idle_kexts, "kextbridge_scan", &scan_key);
	core.done.init("kextbridge_done", &done_key);
	core.fetch.init("kextbridge_fetch", &fetch_key);
	core.barrier.init("kextbridge_barrier", &barrier_key);
	core.watchers.init("kextbridge_watchers", &watchers_key);
	init_events();
	// Unbound: a callback or a stop function may sleep for long, each in a worker of its own.
	core.workqueue = shim_alloc_workqueue("kextbridge", SHIM_WQ_UNBOUND, SHIM_WQ_MAX_ACTIVE);
	return core.workqueue ? 0 : -SHIM_ENOMEM;
}

// No kext is left (each refers to this module) and no file is open: only loads that nobody fetched may be.
static void exit_core() KEXTBRIDGE_UNCHECKED
{
	for (;;) {
		Ref<Request> dropped;
		Guard guard(core.requests);
		Request *load = core.loads.front();

		if (!load)
			break;
		if (take_locked(*load))
			dropped = forget_locked(*load);
	}
	while (AskedLoad *asked = core.asked_loads.front()) {
		asked->node.unlink();
		shim_kfree(asked);
	}
	core.deadline_work.cancel();
	core.scan_work.cancel();
	shim_destroy_workqueue(core.workqueue);
	core.texts.destroy();
	core.requests.destroy();
	core.kexts_by_tag.destroy();
	free_forgotten_ranges();
	core.ranges.destroy();
}

// The system goes down: the daemon is asked for nothing more, what it was not asked for yet ends, and it is told so.
static void shut_down() KEXTBRIDGE_EXCLUDES(core.requests)
{
	Guard guard(core.requests);

	if (core.shutdown)
		return;
	core.shutdown = true;
	core.scan_armed = core.scan_waiting = false;
	refuse_loads_locked();
	refuse_unloads_locked();
	announce_exit_locked();
	changed_locked();
}

} // namespace kextbridge

extern "C" int kextbridge_core_init_c(void)
{
	return kextbridge::init_core();
}

extern "C" void kextbridge_core_exit_c(void)
{
	kextbridge::exit_core();
}

extern "C" void kextbridge_shutdown_c(void)
{
	kextbridge::shut_down();
}

extern "C" void kextbridge_sleep_c(bool asleep)
{
	using namespace kextbridge;
	Guard guard(core.requests);

	if (asleep)
		sleep_locked();
	else
		wake_up_locked();
}

extern "C" void kextbridge_work_c(struct work_struct *work)
{
	kextbridge::Work::from(work)->run();
}

extern "C" void kextbridge_delayed_work_c(struct delayed_work *work)
{
	kextbridge::DelayedWork::from(work)->run();
}

#ifdef KEXTBRIDGE_TEST
extern "C" void kextbridge_test_tags_c(u32 next, s32 more)
{
	using namespace kextbridge;
	Guard guard(core.requests);

	if (next)
		core.next_tag = next;
	core.tags_live += static_cast<u32>(more);
}

extern "C" void kextbridge_test_no_shutdown_c(void)
{
	using namespace kextbridge;
	Guard guard(core.requests);

	core.shutdown = false;
}
#endif
