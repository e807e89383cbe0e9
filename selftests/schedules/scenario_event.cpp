// SPDX-License-Identifier: GPL-2.0-only
// Sleeping on an event against who wakes, with the sleeper's own stack as the event.
#include "IOKit/IOLocks.h"
#include "scenarios.hpp"

namespace schedules {

namespace {

struct Context {
	int answers;
};

IOLock *lock;
Context *asked; // under the lock until it is taken
u8 woken;
u8 interrupted;

void requester(int)
{
	Context context = {};

	IOLockLock(lock);
	asked = &context;
	int result = IOLockSleep(lock, &context, THREAD_UNINT);

	if (result != THREAD_AWAKENED || context.answers != 1)
		fake::bug("a sleep ended with %d after %d answers", result, context.answers);
	IOLockUnlock(lock);
}

void callback(int)
{
	step("waits for a request", "", [](const void *) { return asked != nullptr; });
	Context *context = asked;

	IOLockLock(lock);
	context->answers++;
	IOLockUnlock(lock);
	IOLockWakeup(lock, context, true);
}

void sleeper(int slot)
{
	// In the order of their slots: the signal is for the one that is chosen.
	if (slot == 2)
		step("waits for the other", "", [](const void *) { return fibers[1].sleeps_on != nullptr; });
	IOLockLock(lock);
	int result = IOLockSleep(lock, lock, slot == 1 ? THREAD_INTERRUPTIBLE : THREAD_UNINT);

	IOLockUnlock(lock);
	woken += result == THREAD_AWAKENED;
	interrupted += result == THREAD_INTERRUPTED;
}

void waker(int)
{
	step("waits for the sleepers", "", [](const void *) { return fibers[2].sleeps_on != nullptr; });
	IOLockWakeup(lock, lock, true);
}

void signaller(int)
{
	step("waits for the sleepers", "", [](const void *) { return fibers[2].sleeps_on != nullptr; });
	step("signal");
	set_signal(fibers[1], true);
	// Whoever is left: a wake-up that is lost leaves two.
	step("waits for one to end", "", [](const void *) { return woken + interrupted > 0; });
	if (interrupted)
		step("waits for the other to end", "", [](const void *) { return woken == 1; });
	else
		IOLockWakeup(lock, lock, true);
}

void begin()
{
	load_core();
	lock = IOLockAlloc();
	asked = nullptr;
	woken = interrupted = 0;
}

void finish()
{
	run_all();
	IOLockFree(lock);
	unload_core();
}

} // namespace

void event_answer()
{
	begin();
	spawn("requester", requester);
	spawn("callback", callback);
	finish();
}

void event_signal()
{
	begin();
	spawn("first", sleeper);
	spawn("second", sleeper);
	spawn("waker", waker);
	spawn("signaller", signaller);
	run_all();
	if (woken + interrupted != 2 || !woken)
		fake::bug("of two sleepers %d were woken and %d interrupted", woken, interrupted);
	IOLockFree(lock);
	unload_core();
}

} // namespace schedules
