// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel's timers on fibers: one that is due is a fiber of its own, in softirq. Until that begins the timer is
// pending; from then on it runs.
#include "fiber_kmdf.hpp"

#include <algorithm>

using namespace schedules;

namespace {

struct SoftTimer {
	timer_list *timer; // null: free, once it does not run
	void (*function)(timer_list *timer);
	const char *name;
	u64 expires;
	bool pending;
	bool running;
	u8 slot; // of its fiber, while it is due or runs
};

// In the kernel's timer_list.
struct TimerState {
	u32 magic;
	u32 number;
};

constexpr u32 kTimer = 0x713e1157;
constexpr u16 kSoftirq = 0x100; // as the kernel's preempt_count has it

SoftTimer timers[4];

SoftTimer &timer_of(timer_list *timer)
{
	const TimerState *state = fake::as<TimerState>(timer);

	if (state->magic != kTimer || state->number >= std::size(timers) || timers[state->number].timer != timer)
		fake::bug("a timer that was not set up, or is freed");
	return timers[state->number];
}

bool is_due(const SoftTimer &timer)
{
	return timer.pending && timer.expires <= fake::now();
}

void call(SoftTimer &timer)
{
	Fiber &self = running();

	timer.pending = false;
	timer.running = true;
	timer.expires = 0;
	self.softirq += kSoftirq;
	self.locks++;
	say("fires");
	clear_dead_stack();
	timer.function(timer.timer);
	self.locks--;
	self.softirq -= kSoftirq;
	if (self.locks || self.softirq)
		fake::bug("a timer's function returned with a lock held");
	timer.running = false;
}

void timer_body(int slot)
{
	SoftTimer &timer =
		*std::find_if(std::begin(timers), std::end(timers), [slot](SoftTimer &t) { return t.slot == slot; });

	for (;;) {
		call(timer);
		// It may have gone, or have been armed again.
		if (!timer.timer || !is_due(timer))
			break;
		step("fires again", timer.name);
		if (!timer.timer || !is_due(timer))
			break;
	}
	timer.slot = 0;
	if (!timer.timer)
		timer = {};
}

// True: it was pending.
bool take_off(SoftTimer &timer)
{
	bool was = timer.pending;

	timer.pending = false;
	timer.expires = 0;
	if (timer.slot && !timer.running && was) {
		forget(fibers[timer.slot]); // it has not begun
		timer.slot = 0;
	}
	return was;
}

} // namespace

extern "C" void shim_timer_setup(struct timer_list *timer, void (*function)(struct timer_list *timer), const char *name,
				 struct lock_class_key *)
{
	SoftTimer *room = std::find_if(std::begin(timers), std::end(timers),
				       [](const SoftTimer &t) { return !t.timer && !t.slot; });

	if (room == std::end(timers))
		fake::bug("more timers than there is room for");
	*room = {};
	room->timer = timer;
	room->function = function;
	room->name = name;
	*fake::as<TimerState>(timer) = {kTimer, static_cast<u32>(room - timers)};
}

extern "C" bool shim_mod_timer(struct timer_list *list, u64 delay_ns)
{
	step("mod_timer", timer_of(list).name);
	SoftTimer &timer = timer_of(list);
	bool was = take_off(timer);

	timer.pending = true;
	timer.expires = fake::now() + delay_ns;
	run_timers(false);
	return was;
}

extern "C" bool shim_timer_pending(const struct timer_list *list)
{
	return timer_of(const_cast<timer_list *>(list)).pending;
}

extern "C" bool shim_del_timer(struct timer_list *list)
{
	step("del_timer", timer_of(list).name);
	return take_off(timer_of(list));
}

extern "C" bool shim_del_timer_sync(struct timer_list *list)
{
	fake::may_sleep("del_timer_sync");
	step("del_timer_sync", timer_of(list).name);
	bool was = false;

	for (;;) {
		SoftTimer &timer = timer_of(list);

		if (timer.running && timer.slot == running_slot())
			fake::bug("del_timer_sync from the timer itself");
		was |= take_off(timer);
		if (!timer.running)
			return was;
		step(
			"waits for the timer", timer.name,
			[](const void *t) { return !static_cast<const SoftTimer *>(t)->running; }, &timer);
	}
}

namespace schedules {

// A running timer's memory may go: its function holds a reference until its last line, and whoever then drops the last one
// may be another fiber. A function that touches it later is found out.
void check_timers(const void *start, size_t size)
{
	const char *from = static_cast<const char *>(start);

	for (SoftTimer &timer : timers) {
		const char *at = reinterpret_cast<const char *>(timer.timer);

		if (!at || at < from || at >= from + size)
			continue;
		if (timer.pending)
			fake::bug("freeing memory that holds a pending timer");
		timer.timer = nullptr;
		if (!timer.slot)
			timer = {};
	}
}

bool next_timer(u64 *expires)
{
	bool any = false;

	for (const SoftTimer &timer : timers) {
		// One that is due already waits for its fiber.
		if (!timer.pending || is_due(timer) || (any && timer.expires >= *expires))
			continue;
		*expires = timer.expires;
		any = true;
	}
	return any;
}

void run_timers(bool)
{
	for (SoftTimer &timer : timers) {
		if (!is_due(timer) || timer.slot)
			continue;
		timer.slot = static_cast<u8>(background_slot(static_cast<int>(&timer - timers)));
		spawn(timer.slot, timer.name, timer_body);
	}
}

} // namespace schedules
