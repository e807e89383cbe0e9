// SPDX-License-Identifier: GPL-2.0-only
// What a scenario can do to the fake kernel on fibers, besides fake_shim.hpp.
#pragma once

#include "fibers.hpp"

namespace schedules {

// Before a scenario: what fake::reset() does on threads.
void reset_kernel();
// Waits until a timer is armed, moves the clock to it, starts what is due. One scheduling point: any moment.
void tick();
bool timer_armed();
// For a work or a timer: `wanted` counts from the first such slot, the next free one is taken.
int background_slot(int wanted);
// No work is queued or runs.
bool works_idle();
// It has slept, or left the code of a kext: a grace period need not wait for it.
void quiet_point();
void set_signal(Fiber &fiber, bool fatal);
// Around the code of a kext's own thread or callback.
void enter_text(int kext);
void leave_text();
// Somebody is in its code: where its module must not be freed.
const char *who_is_in_text(int kext);

} // namespace schedules
