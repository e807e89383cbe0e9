// SPDX-License-Identifier: GPL-2.0-only
// The locks of IOKit/IOLocks.h, sleeping on an event, and what IOKit/IOLib.h has to it.
#include "kit.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "IOKit/IOLib.h"
#include "kextbridge/strings.h"
#include "mach/mach_time.h"

namespace {

class Iolock : public host::Core {
      protected:
	void SetUp() override
	{
		Core::SetUp();
		lock = IOLockAlloc();
		ASSERT_NE(lock, nullptr);
	}
	void TearDown() override
	{
		IOLockFree(lock);
		Core::TearDown();
	}

	IOLock *lock = nullptr;
	int event = 0;
};

// A thread that takes the lock and sleeps on the event.
class Sleeper {
	std::atomic<fake::Task *> task_{nullptr};
	std::atomic<int> result_{THREAD_WAITING};
	std::atomic<bool> joined_{false};

      public:
	std::atomic<int> place{0}; // the how manieth it was to come back

      private:
	std::thread thread_; // last: it uses the others

      public:
	Sleeper(IOLock *lock, void *event, UInt32 how = THREAD_UNINT, AbsoluteTime deadline = 0,
		std::atomic<int> *order = nullptr, bool wait = true)
		: thread_([=, this] {
			  fake::Task &task = fake::current();

			  IOLockLock(lock);
			  task_ = &task;
			  int result = deadline ? IOLockSleepDeadline(lock, event, deadline, how) :
						  IOLockSleep(lock, event, how);

			  place = order ? ++*order : 0;
			  result_ = result;
			  IOLockUnlock(lock); // a mistake, and a line, if it does not hold it
			  while (!joined_)
				  std::this_thread::yield();
		  })
	{
		while (!task_)
			std::this_thread::yield();
		if (wait)
			fake::wait_until_asleep(*task_);
	}
	~Sleeper() { result(); }

	fake::Task &task() { return *task_; }
	bool asleep() const { return result_ == THREAD_WAITING; }
	// As far as a thousand turns of the others can tell.
	bool stays_asleep() const
	{
		for (int i = 0; i < 1000 && asleep(); i++)
			std::this_thread::yield();
		return asleep();
	}
	int result()
	{
		while (asleep())
			std::this_thread::yield();
		joined_ = true;
		if (thread_.joinable())
			thread_.join();
		return result_;
	}
};

size_t lines()
{
	return fake::log().size();
}

TEST_F(Iolock, wakeup_wakes_the_sleeper_with_its_lock)
{
	Sleeper sleeper(lock, &event);

	// It is not held meanwhile.
	ASSERT_TRUE(IOLockTryLock(lock));
	IOLockWakeup(lock, &event, true);
	EXPECT_TRUE(sleeper.asleep()); // until it has the lock
	IOLockUnlock(lock);
	EXPECT_EQ(sleeper.result(), THREAD_AWAKENED);
	EXPECT_EQ(lines(), 0u);
}

TEST_F(Iolock, wakeup_of_one_is_in_the_order_of_sleeping)
{
	std::atomic<int> order{0};
	Sleeper first(lock, &event, THREAD_UNINT, 0, &order);
	Sleeper second(lock, &event, THREAD_INTERRUPTIBLE, 0, &order);
	Sleeper third(lock, &event, THREAD_ABORTSAFE, 0, &order);
	Sleeper *all[] = {&first, &second, &third};

	for (int i = 0; i < 3; i++) {
		IOLockWakeup(lock, &event, true);
		EXPECT_EQ(all[i]->result(), THREAD_AWAKENED);
		EXPECT_EQ(all[i]->place, i + 1);
		EXPECT_EQ(order, i + 1);
	}
}

TEST_F(Iolock, wakeup_of_all_wakes_all)
{
	IOLock *other = IOLockAlloc();
	{
		Sleeper first(lock, &event);
		Sleeper second(other, &event); // an event is an event, whatever the lock
		Sleeper third(lock, &event, THREAD_INTERRUPTIBLE);

		IOLockWakeup(nullptr, &event, false);
		EXPECT_EQ(first.result(), THREAD_AWAKENED);
		EXPECT_EQ(second.result(), THREAD_AWAKENED);
		EXPECT_EQ(third.result(), THREAD_AWAKENED);
	}
	IOLockFree(other);
}

TEST_F(Iolock, other_events_wake_nobody)
{
	Sleeper sleeper(lock, &event);
	static char others[4096];

	// More than there are buckets.
	for (char &other : others) {
		IOLockWakeup(lock, &other, false);
		IOLockWakeup(lock, &other, true);
	}
	EXPECT_TRUE(sleeper.stays_asleep());
	IOLockWakeup(lock, &event, true);
	EXPECT_EQ(sleeper.result(), THREAD_AWAKENED);
}

TEST_F(Iolock, wakeup_without_a_sleeper_is_lost)
{
	IOLockWakeup(lock, &event, true);
	IOLockWakeup(lock, &event, false);
	Sleeper sleeper(lock, &event, THREAD_UNINT, fake::now() + 1000000);

	EXPECT_TRUE(sleeper.asleep());
	fake::jump_ms(1);
	EXPECT_EQ(sleeper.result(), THREAD_TIMED_OUT);
}

TEST_F(Iolock, signals_end_an_interruptible_sleep_only)
{
	Sleeper interruptible(lock, &event, THREAD_INTERRUPTIBLE);
	Sleeper abortsafe(lock, &event, THREAD_ABORTSAFE);
	Sleeper uninterruptible(lock, &event, THREAD_UNINT);

	fake::interrupt(interruptible.task());
	EXPECT_EQ(interruptible.result(), THREAD_INTERRUPTED);
	fake::kill(abortsafe.task());
	EXPECT_EQ(abortsafe.result(), THREAD_INTERRUPTED);
	fake::kill(uninterruptible.task());
	fake::interrupt(uninterruptible.task());
	EXPECT_TRUE(uninterruptible.stays_asleep());
	IOLockWakeup(lock, &event, true);
	EXPECT_EQ(uninterruptible.result(), THREAD_AWAKENED);
}

TEST_F(Iolock, deadline_ends_a_sleep)
{
	{
		Sleeper late(lock, &event, THREAD_UNINT, fake::now() + 5000000);
		Sleeper woken(lock, &event, THREAD_INTERRUPTIBLE, fake::now() + 5000000);

		fake::jump_ms(4);
		EXPECT_TRUE(late.asleep());
		IOLockWakeup(lock, &event, false);
		EXPECT_EQ(late.result(), THREAD_AWAKENED);
		EXPECT_EQ(woken.result(), THREAD_AWAKENED);
	}
	Sleeper late(lock, &event, THREAD_INTERRUPTIBLE, fake::now() + 5000000);
	Sleeper past(lock, &event, THREAD_UNINT, fake::now() - 1, nullptr, false);
	Sleeper never(lock, &event, THREAD_UNINT, ~0ull);

	EXPECT_EQ(past.result(), THREAD_TIMED_OUT);
	fake::jump_ms(5);
	EXPECT_EQ(late.result(), THREAD_TIMED_OUT);
	EXPECT_TRUE(never.asleep());
	IOLockWakeup(lock, &event, true);
	EXPECT_EQ(never.result(), THREAD_AWAKENED);
}

TEST_F(Iolock, sleep_without_the_lock_sleeps)
{
	std::atomic<int> result{THREAD_WAITING};
	std::atomic<fake::Task *> task{nullptr};
	std::thread thread([&] {
		task = &fake::current();
		result = IOLockSleep(lock, &event, THREAD_UNINT);
	});

	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	EXPECT_EQ(lines(), 1u);
	EXPECT_EQ(result, THREAD_WAITING);
	IOLockWakeup(lock, &event, true);
	thread.join();
	EXPECT_EQ(result, THREAD_AWAKENED);
	EXPECT_TRUE(IOLockTryLock(lock));
	IOLockUnlock(lock);
}

// A requester and its callback, as drivers have them: no round may be lost, and no sleep may end before its time.
TEST_F(Iolock, sleep_and_wakeup_meet_in_every_order)
{
	u32 count = host::rounds(10000);
	std::atomic<int *> asked{nullptr};
	std::atomic<bool> stop{false};
	u32 early = 0;
	u32 late = 0;
	u64 seed = host::race_seed();

	fake::chaos(20, seed);
	std::thread callback([&] {
		while (!stop) {
			int *done = asked.exchange(nullptr);

			if (!done) {
				std::this_thread::yield();
				continue;
			}
			IOLockLock(lock);
			(*done)++;
			IOLockUnlock(lock);
			// On the requester's stack: it stays until it has been woken.
			IOLockWakeup(lock, done, true);
		}
	});

	for (u32 i = 0; host::one_more(i, count, early && late) && !HasFailure(); i++) {
		int done = 0;

		IOLockLock(lock);
		asked = &done;
		if (i & 1)
			std::this_thread::yield();
		(asked.load() ? late : early)++;
		EXPECT_EQ(IOLockSleep(lock, &done, THREAD_UNINT), THREAD_AWAKENED);
		EXPECT_EQ(done, 1);
		IOLockUnlock(lock);
	}
	stop = true;
	callback.join();
	printf("the callback had begun when the sleep did: %u, not yet: %u\n", early, late);
	EXPECT_GT(early, 0u);
	EXPECT_GT(late, 0u);
}

// A signal for the first of two sleepers and a wake-up of one: the wake-up is for one of them in any case.
TEST_F(Iolock, wakeup_is_not_lost_to_a_signal)
{
	u32 count = host::rounds(500);
	u32 woken = 0;
	u32 interrupted = 0;

	fake::chaos(100, host::race_seed());
	for (u32 i = 0; host::one_more(i, count, woken && interrupted); i++) {
		Sleeper first(lock, &event, THREAD_INTERRUPTIBLE);
		Sleeper second(lock, &event);

		// Each is the first one in turn, or one of them always wins on some machine.
		if (i & 2)
			fake::interrupt(first.task());
		std::thread waker([&] { IOLockWakeup(lock, &event, true); });

		if (i & 1)
			std::this_thread::yield();
		if (!(i & 2))
			fake::interrupt(first.task());
		waker.join();
		if (first.result() == THREAD_AWAKENED) {
			woken++;
			ASSERT_TRUE(second.asleep()); // both
			IOLockWakeup(lock, &event, true);
		} else {
			interrupted++;
			ASSERT_EQ(first.result(), THREAD_INTERRUPTED);
		}
		// Neither: it hangs here.
		ASSERT_EQ(second.result(), THREAD_AWAKENED);
	}
	printf("woken: %u, interrupted: %u\n", woken, interrupted);
	EXPECT_GT(woken, 0u);
	EXPECT_GT(interrupted, 0u);
}

// The wake-up comes between the last look of who was interrupted and its leaving.
TEST_F(Iolock, wakeup_behind_the_last_look_counts)
{
	Sleeper first(lock, &event, THREAD_INTERRUPTIBLE);
	Sleeper second(lock, &event);

	fake::at_next(fake::Moment::Unlock, [this] { IOLockWakeup(lock, &event, true); });
	fake::interrupt(first.task());
	EXPECT_EQ(first.result(), THREAD_AWAKENED);
	EXPECT_TRUE(second.stays_asleep());
	IOLockWakeup(lock, &event, true);
	EXPECT_EQ(second.result(), THREAD_AWAKENED);
}

TEST_F(Iolock, mistakes_change_nothing)
{
	IOLockLock(lock);
	EXPECT_FALSE(IOLockTryLock(lock));
	EXPECT_EQ(lines(), 0u);
	IOLockLock(lock); // recursive
	EXPECT_EQ(lines(), 1u);
	std::thread([this] { IOLockUnlock(lock); }).join(); // another's
	EXPECT_EQ(lines(), 2u);
	IOLockFree(lock); // held
	EXPECT_EQ(lines(), 3u);
	std::thread([this] { EXPECT_FALSE(IOLockTryLock(lock)); }).join();
	IOLockUnlock(lock);
	EXPECT_EQ(lines(), 3u);
	IOLockUnlock(lock); // not held
	EXPECT_EQ(lines(), 4u);
	IOLockFree(nullptr);
	IORecursiveLockFree(nullptr);
	IORWLockFree(nullptr);
	IOSimpleLockFree(nullptr);
	EXPECT_EQ(lines(), 4u);

	IOLockLock(nullptr);
	EXPECT_FALSE(IOLockTryLock(nullptr));
	IOLockUnlock(nullptr);
	IORecursiveLockLock(nullptr);
	EXPECT_FALSE(IORecursiveLockTryLock(nullptr));
	EXPECT_FALSE(IORecursiveLockHaveLock(nullptr));
	IORecursiveLockUnlock(nullptr);
	IORWLockRead(nullptr);
	IORWLockWrite(nullptr);
	IORWLockUnlock(nullptr);
	IOSimpleLockInit(nullptr);
	IOSimpleLockLock(nullptr);
	EXPECT_FALSE(IOSimpleLockTryLock(nullptr));
	IOSimpleLockUnlock(nullptr);
	IOSimpleLockUnlockEnableInterrupt(nullptr, IOSimpleLockLockDisableInterrupt(nullptr));
	EXPECT_EQ(lines(), 20u);
}

TEST_F(Iolock, recursive_lock_is_its_owners_until_the_last_unlock)
{
	IORecursiveLock *recursive = IORecursiveLockAlloc();
	auto others = [&] {
		bool taken = false;

		std::thread([&] {
			taken = IORecursiveLockTryLock(recursive);
			EXPECT_EQ(IORecursiveLockHaveLock(recursive), taken);
			if (taken)
				IORecursiveLockUnlock(recursive);
		}).join();
		return taken;
	};

	ASSERT_NE(recursive, nullptr);
	EXPECT_FALSE(IORecursiveLockHaveLock(recursive));
	IORecursiveLockLock(recursive);
	IORecursiveLockLock(recursive);
	EXPECT_TRUE(IORecursiveLockTryLock(recursive));
	EXPECT_TRUE(IORecursiveLockHaveLock(recursive));
	EXPECT_FALSE(others());
	IORecursiveLockUnlock(recursive);
	IORecursiveLockUnlock(recursive);
	EXPECT_FALSE(others());
	IORecursiveLockFree(recursive);
	EXPECT_EQ(lines(), 1u); // held
	IORecursiveLockUnlock(recursive);
	EXPECT_TRUE(others());
	IORecursiveLockUnlock(recursive);
	EXPECT_EQ(lines(), 2u); // not held
	IORecursiveLockFree(recursive);
}

TEST_F(Iolock, recursive_lock_is_dropped_altogether_while_its_owner_sleeps)
{
	IORecursiveLock *recursive = IORecursiveLockAlloc();
	std::atomic<fake::Task *> task{nullptr};
	std::thread thread([&] {
		IORecursiveLockLock(recursive);
		IORecursiveLockLock(recursive);
		task = &fake::current();
		EXPECT_EQ(IORecursiveLockSleep(recursive, &event, THREAD_UNINT), THREAD_AWAKENED);
		EXPECT_TRUE(IORecursiveLockHaveLock(recursive));
		IORecursiveLockUnlock(recursive);
		EXPECT_TRUE(IORecursiveLockHaveLock(recursive));
		EXPECT_EQ(IORecursiveLockSleepDeadline(recursive, &event, 1, THREAD_UNINT), THREAD_TIMED_OUT);
		IORecursiveLockUnlock(recursive);
		EXPECT_FALSE(IORecursiveLockHaveLock(recursive));
	});

	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	IORecursiveLockLock(recursive);
	IORecursiveLockWakeup(recursive, &event, true);
	IORecursiveLockUnlock(recursive);
	thread.join();
	EXPECT_EQ(lines(), 0u);
	IORecursiveLockFree(recursive);
}

TEST_F(Iolock, readers_share_and_a_writer_does_not)
{
	IORWLock *shared = IORWLockAlloc();
	int guarded = 0;
	std::atomic<int> reading{0};
	std::vector<std::thread> threads;
	u32 count = host::rounds(20000);

	ASSERT_NE(shared, nullptr);
	IORWLockRead(shared);
	std::thread([&] {
		IORWLockRead(shared);
		IORWLockUnlock(shared);
	}).join();
	IORWLockFree(shared); // held
	EXPECT_EQ(lines(), 1u);
	IORWLockUnlock(shared);
	IORWLockUnlock(shared); // not held
	EXPECT_EQ(lines(), 2u);
	IORWLockWrite(shared);
	IORWLockWrite(shared); // held already
	IORWLockRead(shared);
	IORWLockFree(shared);
	EXPECT_EQ(lines(), 5u);
	IORWLockUnlock(shared);

	for (int writer = 0; writer < 4; writer++)
		threads.emplace_back([&, writer] {
			for (u32 i = 0; i < count; i++) {
				if (writer < 2) {
					IORWLockWrite(shared);
					EXPECT_EQ(reading, 0);
					guarded++;
				} else {
					IORWLockRead(shared);
					reading++;
					EXPECT_GE(guarded, 0);
					reading--;
				}
				IORWLockUnlock(shared);
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_EQ(guarded, static_cast<int>(2 * count));
	EXPECT_EQ(lines(), 5u);
	IORWLockFree(shared);
}

TEST_F(Iolock, simple_lock_excludes)
{
	IOSimpleLock *simple = IOSimpleLockAlloc();
	int guarded = 0;
	u32 count = host::rounds(50000);
	std::vector<std::thread> threads;

	ASSERT_NE(simple, nullptr);
	IOSimpleLockInit(simple);
	EXPECT_TRUE(IOSimpleLockTryLock(simple));
	std::thread([&] { EXPECT_FALSE(IOSimpleLockTryLock(simple)); }).join();
	IOSimpleLockFree(simple); // held
	EXPECT_EQ(lines(), 1u);
	IOSimpleLockUnlock(simple);
	IOSimpleLockUnlock(simple); // not held
	EXPECT_EQ(lines(), 2u);
	for (int i = 0; i < 3; i++)
		threads.emplace_back([&, i] {
			for (u32 round = 0; round < count; round++) {
				IOInterruptState state = 0;

				if (i)
					state = IOSimpleLockLockDisableInterrupt(simple);
				else
					IOSimpleLockLock(simple);
				guarded++;
				if (i)
					IOSimpleLockUnlockEnableInterrupt(simple, state);
				else
					IOSimpleLockUnlock(simple);
			}
		});
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_EQ(guarded, static_cast<int>(3 * count));
	IOSimpleLockFree(simple);
}

TEST_F(Iolock, locks_are_not_made_without_memory)
{
	fake::fail_allocation(1);
	EXPECT_EQ(IOLockAlloc(), nullptr);
	fake::fail_allocation(1);
	EXPECT_EQ(IORecursiveLockAlloc(), nullptr);
	fake::fail_allocation(1);
	EXPECT_EQ(IORWLockAlloc(), nullptr);
	fake::fail_allocation(1);
	EXPECT_EQ(IOSimpleLockAlloc(), nullptr);
}

// ---- IOLib

TEST_F(Iolock, memory_is_what_was_asked_for)
{
	long before = fake::live().allocations;

	EXPECT_EQ(IOMalloc(0), nullptr);
	EXPECT_EQ(IOMallocZero(0), nullptr);
	EXPECT_EQ(IOMalloc(~0ul), nullptr);
	IOFree(nullptr, 10);
	for (vm_size_t size : {1ul, 100ul, 4096ul, 70105ul}) {
		char *plain = static_cast<char *>(IOMalloc(size));
		char *zero = static_cast<char *>(IOMallocZero(size));

		ASSERT_NE(plain, nullptr);
		ASSERT_NE(zero, nullptr);
		memset(plain, 1, size);
		for (vm_size_t i = 0; i < size; i++)
			ASSERT_EQ(zero[i], 0);
		IOFree(plain, size);
		IOFree(zero, size);
	}
	fake::fail_allocation(1);
	EXPECT_EQ(IOMalloc(1), nullptr);
	fake::fail_allocation(1);
	EXPECT_EQ(IOMallocAligned(1, 8), nullptr);
	EXPECT_EQ(fake::live().allocations, before);
}

TEST_F(Iolock, aligned_memory_is_aligned)
{
	long before = fake::live().allocations;

	for (vm_size_t alignment = 1; alignment <= 65536; alignment *= 2) {
		for (vm_size_t size : {1ul, 17ul, 4096ul, 10000ul}) {
			void *memory = IOMallocAligned(size, alignment);

			ASSERT_NE(memory, nullptr);
			EXPECT_EQ(reinterpret_cast<vm_size_t>(memory) % alignment, 0u);
			memset(memory, 0xff, size);
			IOFreeAligned(memory, size);
		}
	}
	void *pageable = IOMallocPageable(100, 4096);

	EXPECT_EQ(reinterpret_cast<vm_size_t>(pageable) % 4096, 0u);
	IOFreePageable(pageable, 100);
	IOFreeAligned(nullptr, 1);
	EXPECT_EQ(IOMallocAligned(0, 8), nullptr);
	EXPECT_EQ(IOMallocAligned(8, 0), nullptr);
	EXPECT_EQ(IOMallocAligned(8, 12), nullptr);
	EXPECT_EQ(IOMallocAligned(~0ul, 8), nullptr);
	EXPECT_EQ(IOMallocAligned(~0ul - 16, 8), nullptr);
	EXPECT_EQ(IOMallocAligned(8, 1ul << 63), nullptr);
	EXPECT_EQ(IOMallocAligned(~0ul, 1ul << 63), nullptr);
	EXPECT_EQ(fake::live().allocations, before);
}

TEST_F(Iolock, log_has_what_is_logged)
{
	IOLog("%s %d\n", "seven is", 7);
	ASSERT_EQ(lines(), 1u);
	EXPECT_EQ(fake::log()[0], "seven is 7\n");
}

TEST_F(Iolock, delays_end)
{
	std::atomic<bool> slept{false};
	std::thread thread([&] {
		IOSleep(2);
		slept = true;
	});

	fake::jump_ms(1);
	while (!slept) {
		fake::jump_ms(1);
		std::this_thread::yield();
	}
	thread.join();
	IODelay(0);
	IODelay(1000000);
	IOPause(4000000000u);
	EXPECT_EQ(mach_absolute_time(), fake::now());
}

TEST_F(Iolock, numbers_are_read_as_by_the_c_library)
{
	static const char *const texts[] = {"",
					    "0",
					    "7",
					    "-7",
					    "+7",
					    "  12x",
					    "\t\n\v\f\r 34",
					    "0x1f",
					    "0X1F",
					    "0x",
					    "0xg",
					    "x1",
					    "-0x10",
					    "017",
					    "08",
					    "zz",
					    "ZZ",
					    "10",
					    "- 5",
					    "--5",
					    "9223372036854775807",
					    "9223372036854775808",
					    "-9223372036854775808",
					    "-9223372036854775809",
					    "18446744073709551615",
					    "18446744073709551616",
					    "-18446744073709551615",
					    "99999999999999999999999",
					    "-99999999999999999999",
					    "@",
					    "[",
					    "`",
					    "{"};

	for (const char *text : texts) {
		for (int base : {0, 2, 8, 10, 16, 36}) {
			char *end;
			char *their_end;

			EXPECT_EQ(kextbridge_strtol(text, &end, base), strtol(text, &their_end, base))
				<< text << ' ' << base;
			EXPECT_EQ(end, their_end) << text << ' ' << base;
			EXPECT_EQ(kextbridge_strtoul(text, &end, base), strtoul(text, &their_end, base))
				<< text << ' ' << base;
			EXPECT_EQ(end, their_end) << text << ' ' << base;
			EXPECT_EQ(kextbridge_strtol(text, nullptr, base), strtol(text, nullptr, base));
		}
		char *end;

		for (int base : {1, -1, 37, -2147483647}) {
			EXPECT_EQ(kextbridge_strtol(text, &end, base), 0);
			EXPECT_EQ(end, text);
		}
	}
}

} // namespace
