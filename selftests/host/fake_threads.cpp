// SPDX-License-Identifier: GPL-2.0-only
// The fake kernel on threads: tasks, time, chaos, failures, the worst moments.
#include "fake_threads.hpp"

#include <cstdio>
#include <cstdlib>
#include <thread>

namespace {

thread_local fake::Task this_task;
thread_local int locks_held;
thread_local u64 chaos_state;

std::atomic<unsigned int> chaos_permille;
std::atomic<u64> chaos_seed;
std::atomic<u64> chaos_threads;

std::atomic<u64> clock_ns{fake::kBoot};

struct MomentHook {
	std::atomic<bool> set{false};
	std::atomic<int> skip{0};
	std::atomic<int> running{0};
	std::mutex mutex;
	std::function<void()> what;
};
MomentHook moment_hooks[static_cast<int>(fake::Moment::Moments)];

struct NthFailure {
	std::atomic<int> left{0};
	std::atomic<bool> failed{false};

	bool due()
	{
		if (left.load(std::memory_order_relaxed) <= 0 || left.fetch_sub(1) != 1)
			return false;
		failed = true;
		return true;
	}

	bool arm(unsigned int nth)
	{
		left = static_cast<int>(nth);
		return failed.exchange(false);
	}
};
NthFailure allocation_failure;
NthFailure copy_failure;

struct Log {
	std::mutex mutex;
	std::vector<std::string> lines;
};

} // namespace

namespace fake {

void yield_sometimes()
{
	unsigned int permille = chaos_permille.load(std::memory_order_relaxed);

	if (!permille)
		return;
	if (!chaos_state)
		chaos_state = (chaos_seed.load(std::memory_order_relaxed) + 1) * 0x9e3779b97f4a7c15ull +
			      chaos_threads.fetch_add(1, std::memory_order_relaxed) * 0xbf58476d1ce4e5b9ull + 1;
	chaos_state ^= chaos_state << 13;
	chaos_state ^= chaos_state >> 7;
	chaos_state ^= chaos_state << 17;
	if ((chaos_state >> 20) % 1000 < permille)
		sched_yield();
}

void moment(Moment which)
{
	MomentHook &hook = moment_hooks[static_cast<int>(which)];
	std::function<void()> what;

	if (!hook.set.load(std::memory_order_relaxed))
		return;
	hook.running++;
	if (hook.skip.fetch_sub(1) <= 0 && hook.set.exchange(false)) {
		{
			std::lock_guard lock(hook.mutex);

			what = std::move(hook.what);
			hook.what = nullptr;
		}
		if (what)
			what();
	}
	hook.running--;
}

static char test_name[256];

void set_test_name(const char *name)
{
	snprintf(test_name, sizeof(test_name), "%s", name);
}

void bug(const char *format, ...)
{
	va_list arguments;

	fprintf(stderr, "fake kernel, in %s: ", test_name);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	abort();
}

Task &current()
{
	return this_task;
}

int atomic_depth()
{
	return locks_held;
}

u64 now()
{
	return clock_ns.load(std::memory_order_relaxed);
}

void chaos(unsigned int permille, u64 seed)
{
	chaos_seed = seed;
	chaos_permille = permille;
}

void change_atomic_depth(int by)
{
	locks_held += by;
}

void set_clock(u64 ns)
{
	clock_ns = ns;
}

void may_sleep(const char *where)
{
	if (locks_held)
		bug("sleeping function called from invalid context: %s with %d locks held", where, locks_held);
}

void point(Point point, const void *)
{
	switch (point) {
	case Point::Allocation:
		moment(Moment::Allocation);
		break;
	case Point::KrefPut:
		yield_sometimes();
		break;
	case Point::ModulePut:
		yield_sometimes();
		moment(Moment::ModulePut);
		break;
	case Point::ModuleGet:
		moment(Moment::ModuleGet);
		break;
	case Point::UserCopy:
		break;
	}
}

void *obtain(size_t size)
{
	return aligned_alloc(16, size);
}

void give_back(void *p, size_t)
{
	free(p);
}

bool allocation_fails()
{
	return allocation_failure.due();
}

bool user_copy_fails()
{
	return copy_failure.due();
}

bool fail_allocation(unsigned int nth)
{
	return allocation_failure.arm(nth);
}

bool fail_user_copy(unsigned int nth)
{
	return copy_failure.arm(nth);
}

void at_next(Moment moment, std::function<void()> what, int skip)
{
	MomentHook &hook = moment_hooks[static_cast<int>(moment)];
	{
		std::lock_guard lock(hook.mutex);

		hook.what = std::move(what);
		hook.skip = skip;
		hook.set = static_cast<bool>(hook.what);
	}
	// Taken back: afterwards it does not run any more.
	while (!hook.set && hook.running)
		std::this_thread::yield();
}

void log_line(const char *format, va_list arguments)
{
	char line[512];
	Log &log = immortal<Log>();

	vsnprintf(line, sizeof(line), format, arguments);
	std::lock_guard lock(log.mutex);
	log.lines.emplace_back(line);
}

std::vector<std::string> log()
{
	Log &kept = immortal<Log>();
	std::lock_guard lock(kept.mutex);

	return kept.lines;
}

void reset()
{
	settle();
	clock_ns = kBoot;
	chaos(0, 0);
	fail_allocation(0);
	fail_user_copy(0);
	clear_bad_ranges();
	xa_always_allocates(false);
	for (int i = 0; i < static_cast<int>(Moment::Moments); i++)
		at_next(static_cast<Moment>(i), nullptr);
	clear_signal();
	this_task.uid = 0;
	this_task.sys_admin = this_task.sys_module = true;
	this_task.process = nullptr;
	this_task.refused = 0;
	reset_xarrays();
	{
		Log &kept = immortal<Log>();
		std::lock_guard lock(kept.mutex);

		kept.lines.clear();
	}
	reset_log();
	reset_params();
}

} // namespace fake

// ---- rcu, sched, time

extern "C" void shim_synchronize_rcu_tasks(void)
{
	fake::may_sleep("synchronize_rcu_tasks");
	fake::counters.grace_periods.fetch_add(1);
	fake::moment(fake::Moment::GracePeriod);
	sched_yield();
}

extern "C" void shim_cond_resched(void)
{
	fake::may_sleep("cond_resched");
	fake::yield_sometimes();
}

extern "C" void shim_might_sleep(void)
{
	fake::may_sleep("might_sleep");
}

extern "C" struct task_struct *shim_current(void)
{
	return reinterpret_cast<task_struct *>(&fake::current());
}

// Whoever moves the clock ends it.
extern "C" void shim_schedule_timeout_idle(u64 timeout_ns)
{
	u64 until = fake::now() + timeout_ns;

	fake::may_sleep("schedule_timeout");
	while (fake::now() < until)
		sched_yield();
}

extern "C" u64 shim_ktime_get_ns(void)
{
	return fake::now();
}
