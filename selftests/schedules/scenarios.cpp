// SPDX-License-Identifier: GPL-2.0-only
#include "scenarios.hpp"

namespace schedules {

namespace {

template <unsigned int Actors> void one_request()
{
	request_scenario(Actors);
}

} // namespace

const Scenario scenarios[] = {
	{"one-cancel", one_request<kCancel | kDaemon>, 2, 2, 1, ""},
	{"one-cdt", one_request<kCancel | kDaemon | kClock>, 2, 2, 1, ""},
	{"one-cdtr", one_request<kCancel | kDaemon | kClock | kSecondReply>, 2, 2, 1, ""},
	{"one-cdk", one_request<kCancel | kDaemon | kCrash>, 2, 2, 1, ""},
	{"one-cdu", one_request<kCancel | kDaemon | kUnload>, 2, 2, 1, ""},
	{"one-cdun", one_request<kCancel | kDaemon | kUnload | kRetain>, 2, 2, 1, ""},
	{"one-cdtkun", one_request<kCancel | kDaemon | kClock | kCrash | kUnload | kRetain>, 2, 2, 1, ""},
	{"two-cancel", two_cancel, 1, 2, 0, ""},
	{"two-inside", two_inside, 1, 2, 0, ""},
	{"two-all", two_all, 1, 2, 0, ""},
	{"life-unload", life_unload, 1, 2, 0, ""},
	{"life-scan", life_scan, 1, 2, 0, ""},
	{"life-death", life_death, 1, 2, 0, ""},
	{"life-force", life_force, 1, 2, 0, ""},
	{"life-plain", life_plain, 1, 2, 0, ""},
	{"life-plain-unload", life_plain_unload, 1, 2, 0, ""},
	{"life-load-death", life_load_death, 1, 2, 0, ""},
	{"life-request", life_request, 1, 2, 0, ""},
	{"program-cancel", program_cancel, 1, 2, 0, ""},
	{"program-close", program_close, 1, 2, 0, ""},
	{"program-poll", program_poll, 1, 2, 0, ""},
	{"wake-signal", wake_signal, 1, 2, 0, ""},
	{"wake-cancel", wake_cancel, 1, 2, 0, ""},
	{"wake-fault", wake_fault, 1, 2, 0, ""},
	{"wake-suspect", wake_suspect, 1, 2, 0, ""},
	{},
};

} // namespace schedules
