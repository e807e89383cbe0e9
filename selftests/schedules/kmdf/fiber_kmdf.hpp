// SPDX-License-Identifier: GPL-2.0-only
// Between the parts of the fake kernel on fibers that only kmdf.ko needs.
#pragma once

#include "../fiber_shim.hpp"
#include "kmdf/fake_kmdf.hpp"

namespace schedules {

// What fake::Extension wants of timers.
void check_timers(const void *start, size_t size);
bool next_timer(u64 *expires);
void run_timers(bool wait);

} // namespace schedules
