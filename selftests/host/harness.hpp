// SPDX-License-Identifier: GPL-2.0-only
// What the tests of both cores have in common: seeds, rounds, threads that meet on purpose.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "shim/types.h"

namespace host {

// Starts all its threads at the same moment, as nearly as two cores can.
class StartingLine {
	std::atomic<int> waiting_{0};
	std::atomic<bool> go_{false};
	int count_;

      public:
	explicit StartingLine(int count) : count_(count) {}
	void wait()
	{
		if (waiting_.fetch_add(1) + 1 == count_)
			go_ = true;
		while (!go_)
			std::this_thread::yield();
	}
};

// A reproducible sequence; the seed is printed by whoever makes one for a race.
class Random {
	u64 state_;

      public:
	explicit Random(u64 seed) : state_(seed * 0x9e3779b97f4a7c15ull + 1) {}
	u64 next()
	{
		state_ ^= state_ << 13;
		state_ ^= state_ >> 7;
		state_ ^= state_ << 17;
		return state_ >> 11;
	}
	u32 below(u32 limit) { return static_cast<u32>(next() % limit); }
	// Up to so many turns of nothing.
	void spin(u32 limit)
	{
		for (u32 left = below(limit + 1); left; left--)
			asm volatile("");
	}
};
// Two sides of a race: who wins too often waits longer, so that both outcomes are seen on any machine.
class Balance {
	static constexpr s64 kMost = 3000000;
	s64 offset_ = 0; // turns that the first side waits for the second

      public:
	u32 first(Random &random, u32 jitter) const
	{
		return static_cast<u32>(offset_ > 0 ? offset_ : 0) + random.below(jitter);
	}
	u32 second(Random &random, u32 jitter) const
	{
		return static_cast<u32>(offset_ < 0 ? -offset_ : 0) + random.below(jitter);
	}
	void first_won(bool won)
	{
		s64 size = offset_ < 0 ? -offset_ : offset_;
		s64 step = 64 + size / 4;

		offset_ += won ? step : -step;
		offset_ = offset_ > kMost ? kMost : offset_ < -kMost ? -kMost : offset_;
	}
};

// Threads that go through their rounds in step with the test.
class Contestants {
	std::vector<std::thread> threads_;
	std::atomic<u32> round_{0};
	std::atomic<u32> done_{0};
	std::atomic<bool> stop_{false};
	u32 count_ = 0;

      public:
	explicit Contestants(const std::vector<std::function<void()>> &what) : count_(static_cast<u32>(what.size()))
	{
		for (const auto &act : what) {
			threads_.emplace_back([this, act] {
				for (u32 seen = 0;;) {
					while (round_.load(std::memory_order_acquire) == seen && !stop_)
						std::this_thread::yield();
					if (stop_)
						return;
					seen++;
					act();
					done_.fetch_add(1, std::memory_order_acq_rel);
				}
			});
		}
	}
	void run()
	{
		done_ = 0;
		round_.fetch_add(1, std::memory_order_acq_rel);
		while (done_.load(std::memory_order_acquire) != count_)
			std::this_thread::yield();
	}
	~Contestants()
	{
		stop_ = true;
		for (std::thread &thread : threads_)
			thread.join();
	}
};

inline void wait_turns(u32 turns)
{
	// Who waits long leaves its CPU: on a busy machine the other side, or who works for it, may have none.
	for (; turns; turns--) {
		if (turns % 16384 == 0)
			std::this_thread::yield();
		asm volatile("");
	}
}

// KEXTBRIDGE_SEED or the clock's; printed.
u64 race_seed();
// Rounds of a race: fewer under a sanitizer. KEXTBRIDGE_ROUNDS, as 0.1 or 10, multiplies.
u32 rounds(u32 plain);
// One more round after `done` of `count`: on a machine where one side is slow, more of them until both outcomes were seen.
bool one_more(u32 done, u32 count, bool seen_both);
// ThreadSanitizer: large copies take seconds.
bool is_slow();

} // namespace host
