// SPDX-License-Identifier: GPL-2.0-only
// The scenarios' functions, by topic; scenarios.cpp names them.
#pragma once

#include "kit.hpp"

namespace schedules {

enum Actor : unsigned int {
	kCancel = 1,
	kClock = 2,
	kDaemon = 4,
	kSecondReply = 8,
	kCrash = 16, // with a second daemon
	kUnload = 32,
	kRetain = 64,
	kCopyFails = 128,
	kDeath = 256, // kCrash without the second daemon
};
void request_scenario(unsigned int actors);

void two_cancel();
void two_inside();
void two_all();

void life_unload();
void life_scan();
void life_death();
void life_alone();
void life_force();
void life_plain();
void life_plain_unload();
void life_plain_release();
void life_plain_releases();
void life_plain_unload_at_once();
void life_load_death();
void life_request();
void life_start();

void scope_cancels();
void scope_reads();
void read_ends();
void read_unload();
void stop_load();
void stop_unload();
void stop_force();

void program_cancel();
void program_close();
void program_poll();

void wake_signal();
void wake_cancel();
void wake_next();
void wake_fault();
void wake_suspect();

void event_answer();
void event_signal();

} // namespace schedules
