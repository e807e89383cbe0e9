// SPDX-License-Identifier: GPL-2.0-only
// Module init and exit, and where the kernel's works come in.
#include "core.hpp"
#include "nt.hpp"
#include "watchdog.hpp"
#include "shim/enforce.h"

namespace kmdf {

constinit Core core;

static constinit lock_class_key lock_key = {};
static constinit lock_class_key handles_key = {};
static constinit lock_class_key watchdog_key = {};
static constinit lock_class_key kept_key = {};
static constinit lock_class_key gone_key = {};

// Nobody else can see the core yet.
static int init_core() KEXTBRIDGE_UNCHECKED
{
	core.lock.init("kmdf_core", &lock_key);
	shim_xa_init_flags(&core.handles, SHIM_XA_FLAGS_HANDLES, "kmdf_handles", &handles_key);
	core.drivers.init();
	core.frames.init();
	core.watchdog.init(look_for_stuck_requests, "kmdf_watchdog", &watchdog_key);
	core.kept_work.init(look_for_killed_clients, "kmdf_kept", &kept_key);
	core.kept.init();
	core.gone.init("kmdf_gone", &gone_key);
	init_events();
	// A driver's callback may sleep for long, each in a worker of its own; and what a queue owes does not wait behind a
	// driver's work items.
	core.dispatcher = shim_alloc_workqueue("kmdf", SHIM_WQ_UNBOUND | SHIM_WQ_HIGHPRI, SHIM_WQ_MAX_ACTIVE);
	if (!core.dispatcher)
		return -SHIM_ENOMEM;
	core.driver_work = shim_alloc_workqueue("kmdf_driver", SHIM_WQ_UNBOUND, SHIM_WQ_MAX_ACTIVE);
	if (core.driver_work)
		return 0;
	shim_destroy_workqueue(core.dispatcher);
	return -SHIM_ENOMEM;
}

// No driver is left: each refers to this module.
static void exit_core() KEXTBRIDGE_UNCHECKED
{
	core.watchdog.cancel();
	core.kept_work.cancel();
	shim_destroy_workqueue(core.driver_work);
	shim_destroy_workqueue(core.dispatcher);
	shim_xa_destroy(&core.handles);
}

} // namespace kmdf

extern "C" int kmdf_core_init_c(void)
{
	return kmdf::init_core();
}

extern "C" void kmdf_core_exit_c(void)
{
	kmdf::exit_core();
}

extern "C" void kextbridge_work_c(struct work_struct *work)
{
	kextbridge::Work::from(work)->run();
}

extern "C" void kextbridge_delayed_work_c(struct delayed_work *work)
{
	kextbridge::DelayedWork::from(work)->run();
}

extern "C" size_t kmdf_verifier_c(char *page, size_t size)
{
	return kmdf::verifier_counters(page, size);
}
