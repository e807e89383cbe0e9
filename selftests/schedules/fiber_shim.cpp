// SPDX-License-Identifier: GPL-2.0-only
// shim/include/shim/shim.h on fibers, with fiber_work, fiber_wait and fiber_xarray: what depends on who runs when. Each call
// that can block, publish or drop is a scheduling point before it acts; the table's lock also after it is dropped. The
// rest is the host ring's own.
#include "fiber_shim.hpp"

#include <cstdarg>
#include <cstdio>

using namespace schedules;

namespace {

int grace_periods; // that run

struct Grace {
	u8 slots[kSlots]; // their quiet points when it began; those that need not be waited for: 0xff
};

bool passed(const void *arg)
{
	const Grace &grace = *static_cast<const Grace *>(arg);

	for (int slot = 0; slot < kSlots; slot++) {
		const Fiber &fiber = fibers[slot];

		if (grace.slots[slot] != 0xff && fiber.live && fiber.in_text &&
		    grace.slots[slot] == (fiber.quiet_points & 0x7f))
			return false;
	}
	return true;
}

} // namespace

// Until each that was preempted in a kext's code has left it, or slept.
extern "C" void shim_synchronize_rcu_tasks(void)
{
	Grace grace;

	fake::may_sleep("synchronize_rcu_tasks");
	step("synchronize_rcu_tasks");
	for (int slot = 0; slot < kSlots; slot++) {
		const Fiber &fiber = fibers[slot];
		bool waits = slot != running_slot() && fiber.live && fiber.in_text && !fiber.task.sleeping;

		grace.slots[slot] = waits ? fiber.quiet_points & 0x7f : 0xff;
	}
	if (passed(&grace))
		return;
	grace_periods++;
	step("waits for the grace period", "", passed, &grace);
	if (!--grace_periods)
		for (Fiber &fiber : fibers)
			fiber.quiet_points = 0;
}

extern "C" void shim_cond_resched(void)
{
	fake::may_sleep("cond_resched");
	step("cond_resched");
}

extern "C" void shim_might_sleep(void)
{
	fake::may_sleep("might_sleep");
}

extern "C" struct task_struct *shim_current(void)
{
	return reinterpret_cast<task_struct *>(&running());
}

extern "C" void shim_schedule_timeout_idle(u64 timeout_ns)
{
	u64 until = fake::now() + timeout_ns;

	fake::may_sleep("schedule_timeout");
	step(
		"sleeps", "", [](const void *at) { return fake::now() >= *static_cast<const u64 *>(at); }, &until);
}

// ---- the seam

namespace fake {

void point(Point point, const void *)
{
	static constexpr const char *names[] = {"allocation", "kref_put", "module_put", "try_module_get", "user copy"};

	if (point != Point::Allocation)
		step(names[static_cast<int>(point)]);
}

bool allocation_fails()
{
	return false;
}

bool user_copy_fails()
{
	if (!running().copies_may_fail || !choose(2, "the copy fails"))
		return false;
	running().copies_may_fail = false; // once
	return true;
}

void log_line(const char *format, va_list arguments)
{
	char line[256];

	if (!tracing())
		return;
	vsnprintf(line, sizeof(line), format, arguments);
	say("log: %s", line);
}

} // namespace fake

namespace schedules {

// It has slept, or left a kext's code. Counted only where it makes a difference.
void quiet_point()
{
	if (grace_periods)
		running().quiet_points++;
}

void enter_text(int kext)
{
	running().in_text = static_cast<u8>(kext + 1);
}

void leave_text()
{
	running().in_text = 0;
	quiet_point();
}

const char *who_is_in_text(int kext)
{
	for (const Fiber &fiber : fibers)
		if (fiber.live && fiber.in_text == kext + 1)
			return fiber.name;
	return nullptr;
}

} // namespace schedules
