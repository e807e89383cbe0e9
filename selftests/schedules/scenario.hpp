// SPDX-License-Identifier: GPL-2.0-only
// What the explorer runs. A scenario sets up (in one order only), spawns its fibers, calls run_all(), clears away and
// checks the books.
#pragma once

#include "fiber_shim.hpp"

namespace schedules {

struct Scenario {
	const char *name;
	void (*run)();
	// Preemption bounds of `make test` and of the deep run; -1: not part of it.
	int quick;
	int deep;
	// Of the run under ASan and UBSan.
	int asan;
	const char *what;
};

// Null-terminated by name.
extern const Scenario scenarios[];

} // namespace schedules
