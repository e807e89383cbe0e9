// SPDX-License-Identifier: GPL-2.0-only
// Between the parts of the fake kernel. What does not depend on who runs when (memory, files and user memory, timerqueue,
// log, modules and processes) is there once; what does is there twice: on threads (fake_threads, fake_wait, fake_work,
// fake_xarray) and on fibers (selftests/schedules).
#pragma once

#include <cstdarg>
#include <cstring>

#include "fake_shim.hpp"

namespace fake {

// ---- what each of the two forms has of its own

// Where the shared parts let others come in.
enum class Point { Allocation, KrefPut, ModulePut, ModuleGet, UserCopy };
void point(Point point, const void *object);

// A bug when the running task holds a lock.
void may_sleep(const char *where);
void *obtain(size_t size); // aligned to 16; null: there is none
void give_back(void *p, size_t size);
// As CONFIG_DEBUG_OBJECTS_FREE: freed memory holds no queued work, running timer or sleeper.
void check_nothing_active(const void *start, size_t size);
bool allocation_fails();
bool user_copy_fails();
void log_line(const char *format, va_list arguments);

// ---- what the shared parts have for the forms

inline constexpr unsigned int kGfpDirectReclaim = 0x400;
inline constexpr u64 kBoot = 1000000000;

struct Counters {
	std::atomic<long> allocations;
	std::atomic<long> krefs;
	std::atomic<long> file_refs;
	std::atomic<long> pid_refs;
	std::atomic<long> sleepers;
	std::atomic<long> bytes;
	std::atomic<long> vmalloced; // of these, those of __vmalloc()
	std::atomic<u64> made;       // allocations, since the program started
	std::atomic<u64> grace_periods;
};
extern Counters counters;

// What the fake of another core adds (kmdf/fake_kmdf.cpp).
struct Extension {
	void (*before_free_rcu)(); // until nobody is in the RCU section any more that may see it
	void (*check_free)(const void *start, size_t size);
	void (*lock_key)(const void *key, bool registered);
	bool (*next_timer)(u64 *expires); // false: none is armed
	void (*run_timers)(bool wait);    // those that are due
	void (*unlocked)();               // a thread holds no lock any more
};
extern const Extension *extension; // null: there is none

void reset_log();
// shim/entry.c's defaults.
void reset_params();

// Kept for ever: detached workers use them until the program has ended.
template <typename T> T &immortal()
{
	static T *object = new T;

	return *object;
}

// An inaccessible thing of the kernel's type, as what it is here.
template <typename Fake, typename Opaque> Fake *as(Opaque *opaque)
{
	static_assert(sizeof(Fake) <= sizeof(Opaque) && alignof(Fake) <= alignof(Opaque));
	return reinterpret_cast<Fake *>(opaque);
}

template <typename Fake, typename Opaque> const Fake *as(const Opaque *opaque)
{
	return reinterpret_cast<const Fake *>(opaque);
}

} // namespace fake
