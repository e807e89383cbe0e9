// SPDX-License-Identifier: GPL-2.0-only
// What stands behind shim/include/shim/kmdf.h on the host, and the handles to steer it. Timers run in softirq: on threads
// of its own as soon as they are due, or, if that is wanted, on any thread that lets go of its last lock.
#pragma once

#include <functional>
#include <string>

#include "../fake_shim.hpp"
#include "shim/kmdf.h"

struct device {
	std::string name;
};

// One segment of a program's memory.
struct iov_iter {
	u64 address;
	size_t left;
};

struct kiocb {
	file *filp = nullptr;
	bool aio = false;
	std::function<void(s64)> complete; // ki_complete
	// guarded by the lock of the asynchronous context
	void *owner = nullptr; // of the cancel function
	bool active = false;   // io_cancel() finds it
	bool completed = false;
};

namespace fake {

// Before each test: parameters, nodes, timers.
void reset_kmdf();

// open(2) of /dev/kmdf/NAME.
int open_node(const char *name, void **data);
bool node_exists(const char *name);
size_t nodes();
std::string node_attribute(const char *name, kmdf_attribute which);

// io_cancel(2), or the end of the context. False: it is not there any more.
bool io_cancel(kiocb &iocb);

int tid();                 // of this thread
void be_io_worker(bool);   // this thread is one of io_uring's
size_t kernel_timers();    // that are pending
bool timers_are_quiet();   // none is pending, and none fires
size_t timer_waiters();    // threads in del_timer_sync()
void let_softirq_in(bool); // also on the threads that unlock

// This thread has bottom halves off, or interrupts.
class BhOff {
      public:
	BhOff() { shim_local_bh_disable(); }
	~BhOff() { shim_local_bh_enable(); }
	BhOff(const BhOff &) = delete;
};

} // namespace fake
