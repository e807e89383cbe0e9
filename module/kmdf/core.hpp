// SPDX-License-Identifier: GPL-2.0-only
// The one static object of kmdf.ko: what all its parts share. Each member says which file owns it.
#pragma once

#include "client.hpp"
#include "verifier.hpp"

namespace kmdf {

struct Core {
	SpinLock lock;
	xarray handles;                          // object.cpp; by slot
	u32 generation = 0;                      // object.cpp; atomic
	workqueue_struct *dispatcher = nullptr;  // queues; never blocked by a driver's work item
	workqueue_struct *driver_work = nullptr; // work items, passive timers, ends that wait for such
	kextbridge::DelayedWork watchdog;        // watchdog.cpp
	bool watching KEXTBRIDGE_GUARDED_BY(lock) = false;
	kextbridge::DelayedWork kept_work; // async.cpp; armed while there are:
	List<AsyncClient, &AsyncClient::kept_node> kept KEXTBRIDGE_GUARDED_BY(lock); // cancelled, not completed
	WaitQueue gone; // driver.cpp, object.cpp; a driver has no objects any more; an object has had its end
	u64 next_id KEXTBRIDGE_GUARDED_BY(lock) = 1;
	List<Driver, &Driver::node> drivers KEXTBRIDGE_GUARDED_BY(lock);
	List<Frame, &Frame::node> frames KEXTBRIDGE_GUARDED_BY(lock);               // sync.cpp; the newest first
	u64 broken[static_cast<int>(Rule::Rules)] KEXTBRIDGE_GUARDED_BY(lock) = {}; // verifier.cpp
};

extern Core core;

} // namespace kmdf

namespace kextbridge {
SpinLock &core_lock() KEXTBRIDGE_RETURN_CAPABILITY(kmdf::core.lock);
}
