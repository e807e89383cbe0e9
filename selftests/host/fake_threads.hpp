// SPDX-License-Identifier: GPL-2.0-only
// Between the parts of the fake kernel that run on threads.
#pragma once

#include <sched.h>

#include "fake_inside.hpp"

namespace fake {

void yield_sometimes();
void moment(Moment which);
// A lock taken or dropped by this thread.
void change_atomic_depth(int by);
// Interrupts of this thread's CPU.
bool irqs_off();
void change_irqs_off(int by);
void set_clock(u64 ns);
bool xa_allocates_always();
void reset_xarrays();

} // namespace fake
