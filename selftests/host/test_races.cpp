// SPDX-License-Identifier: GPL-2.0-only
// Threads that meet on purpose. Each test prints its seed; KEXTBRIDGE_SEED repeats it as far as a scheduler allows.
#include <algorithm>
#include <cstring>
#include <map>

#include "kit.hpp"

namespace {

using host::Contestants;
using host::Random;
using host::StartingLine;
using host::wait_turns;

class Races : public Oskext {
      protected:
	u64 seed_ = 0;

	void SetUp() override
	{
		Oskext::SetUp();
		seed_ = host::race_seed();
	}
};

// Both, neither, one, the other: of each request exactly one of {cancel Success, callback}.
struct Tally {
	u32 cancelled = 0;
	u32 called = 0;
	u32 both = 0;
	u32 neither = 0;

	void count(bool was_cancelled, size_t calls)
	{
		both += (was_cancelled && calls) || calls > 1;
		neither += !was_cancelled && !calls;
		cancelled += was_cancelled && !calls;
		called += !was_cancelled && calls == 1;
	}
	void expect_one_each() const
	{
		EXPECT_EQ(both, 0u);
		EXPECT_EQ(neither, 0u);
		printf("cancelled %u, called back %u, both %u, neither %u\n", cancelled, called, both, neither);
	}
};

// Several requests per round: one thread cancels them, one answers them, one lets time pass. What they wait before each
// is drawn before the round, so that one seed gives one list of rounds.
struct CancelRace {
	static constexpr u32 batch = 16;

	struct Entry {
		u32 tag = 0;
		u64 id = 0;
		u32 cancel_wait = 0;
		u32 reply_wait = 0;
		std::atomic<u32> calls{0};
		OSReturn cancel_result = 1;
		u32 calls_at_cancel = 0;
	};

	Daemon daemon;
	Kext kext;
	Entry entries[batch];
	u32 deadline_wait = 0;

	CancelRace()
	{
		kext.keep_calls = false;
		kext.on_callback = [](const Call &call) { static_cast<Entry *>(call.context)->calls++; };
	}
	void cancel()
	{
		for (Entry &entry : entries) {
			void *out = nullptr;

			wait_turns(entry.cancel_wait);
			entry.cancel_result = kext.cancel(entry.tag, &out);
			// After either result its callback does not run any more: the driver frees its context.
			entry.calls_at_cancel = entry.calls;
			if (!entry.cancel_result && out != &entry)
				fake::bug("cancel returned the wrong context");
		}
	}
	void reply()
	{
		for (Entry &entry : entries) {
			wait_turns(entry.reply_wait);
			daemon.reply(entry.id, 0, "payload");
		}
	}
	void deadline()
	{
		wait_turns(deadline_wait);
		fake::jump_ms(1000);
	}
};

Tally race(u64 seed, u32 count, bool with_reply, bool with_deadline, u32 chaos)
{
	CancelRace race;
	Random random(seed);
	host::Balance balance;
	Tally tally;
	std::vector<std::function<void()>> threads = {[&] { race.cancel(); }};

	if (with_reply)
		threads.push_back([&] { race.reply(); });
	if (with_deadline)
		threads.push_back([&] { race.deadline(); });
	if (race.kext.insmod()) {
		ADD_FAILURE();
		return tally;
	}
	fake::chaos(chaos, seed);
	Contestants contestants(threads);

	for (u32 i = 0; host::one_more(i, count, tally.cancelled >= 100 && tally.called >= 100);
	     i += CancelRace::batch) {
		if (tally.both || tally.neither)
			break;
		bool fetch = with_reply || random.below(2);
		// Mostly short: the interesting moment is the first microsecond.
		u32 jitter = 1u << random.below(11);

		for (auto &entry : race.entries) {
			entry.calls = 0;
			entry.cancel_wait = balance.first(random, jitter);
			entry.reply_wait = balance.second(random, jitter);
			entry.tag = race.kext.must_request("n", &entry, 1000);
		}
		std::vector<Record> records = fetch ? race.daemon.fetch() : std::vector<Record>();
		size_t next = 0;
		for (const Record &record : records)
			if (record.kind == KEXTD_RESOURCE && next < CancelRace::batch)
				race.entries[next++].id = record.id;
		race.deadline_wait = balance.second(random, jitter);
		contestants.run();
		fake::settle();
		u32 cancelled = 0;
		for (const auto &entry : race.entries) {
			tally.count(!entry.cancel_result, entry.calls);
			cancelled += !entry.cancel_result;
			if (entry.cancel_result && entry.cancel_result != kOSKextReturnNotFound)
				fake::bug("cancel gave 0x%x", static_cast<u32>(entry.cancel_result));
			// NotFound is a barrier: the callback had returned by then.
			if (entry.cancel_result && entry.calls_at_cancel != 1)
				fake::bug("cancel did not find it, and its callback had not returned");
		}
		balance.first_won(cancelled > CancelRace::batch / 2);
	}
	fake::chaos(0, 0);
	while (!race.daemon.fetch().empty())
		;
	return tally;
}

TEST_F(Races, T_015_cancel_against_reply)
{
	Tally tally = race(seed_, host::rounds(200000), true, false, 0);
	tally.expect_one_each();
	EXPECT_GE(tally.cancelled, 100u);
	EXPECT_GE(tally.called, 100u);
}

TEST_F(Races, T_015_cancel_against_reply_with_chaos)
{
	Tally tally = race(seed_, host::rounds(100000), true, false, 100);
	tally.expect_one_each();
	EXPECT_GE(tally.cancelled, 100u);
	EXPECT_GE(tally.called, 100u);
}

TEST_F(Races, T_015_cancel_against_deadline)
{
	Tally tally = race(seed_, host::rounds(100000), false, true, 0);
	tally.expect_one_each();
	EXPECT_GE(tally.cancelled, 100u);
	EXPECT_GE(tally.called, 100u);
}

TEST_F(Races, T_015_cancel_against_reply_against_deadline)
{
	Tally tally = race(seed_, host::rounds(100000), true, true, 50);
	tally.expect_one_each();
	EXPECT_GE(tally.cancelled, 100u);
	EXPECT_GE(tally.called, 100u);
}

// Many in flight, cancelled at random while a daemon answers all of them.
TEST_F(Races, T_015_cancel_among_many)
{
	Daemon daemon;
	Kext kext;
	constexpr u32 window = 64;
	struct Context {
		std::atomic<u32> calls{0};
	};
	u32 both = 0;
	u32 neither = 0;
	u32 cancelled = 0;
	u32 total = 0;

	kext.keep_calls = false;
	kext.on_callback = [](const Call &call) { static_cast<Context *>(call.context)->calls++; };
	ASSERT_EQ(kext.insmod(), 0);
	Service service(daemon, 2);
	Random random(seed_);
	for (u32 round = 0; host::one_more(round, host::rounds(2000), cancelled >= 100 && total - cancelled >= 100);
	     round++) {
		Context contexts[window];
		u32 tags[window];
		bool taken[window];

		for (u32 i = 0; i < window; i++)
			tags[i] = kext.must_request("n", &contexts[i]);
		random.spin(1 << random.below(15));
		for (u32 i = 0; i < window; i++) {
			void *out = nullptr;

			taken[i] = kext.cancel(tags[i], &out) == kOSReturnSuccess;
			if (taken[i] && out != &contexts[i])
				fake::bug("the wrong context");
		}
		// The barrier of each cancel: nothing runs any more, and the contexts go.
		for (u32 i = 0; i < window; i++) {
			both += taken[i] && contexts[i].calls;
			neither += !taken[i] && !contexts[i].calls;
			cancelled += taken[i];
			total++;
		}
	}
	EXPECT_EQ(both, 0u);
	EXPECT_EQ(neither, 0u);
	EXPECT_GE(cancelled, 100u);
	EXPECT_GE(total - cancelled, 100u);
}

// ---- fetching

TEST_F(Races, T_089_two_fetchers_no_duplicates)
{
	Daemon daemon;
	Kext kext;
	u32 count = host::rounds(20000);
	std::vector<std::atomic<u32>> seen(count + 1);

	kext.keep_calls = false;
	ASSERT_EQ(kext.insmod(), 0);
	Service service(daemon, 3, [&](const Record &record) {
		if (record.tag() > count || seen[record.tag()].fetch_add(1))
			fake::bug("fetched twice");
		return host::reply_with(record.id, 0);
	});
	fake::chaos(20, seed_);
	for (u32 i = 0; i < count; i++) {
		// More than max_pending would be refused, on a busy machine.
		while (kext.call_count() + 1000 < i)
			std::this_thread::yield();
		kext.must_request();
	}
	kext.wait_for_calls(count);
	fake::chaos(0, 0);
	EXPECT_EQ(service.records, count);
	EXPECT_EQ(service.refused, 0u);
}

// One request at a time: each must wake a worker that may just have gone to sleep.
TEST_F(Races, T_091_no_wake_up_is_lost)
{
	Daemon daemon;
	Kext kext;
	Random random(seed_);

	kext.keep_calls = false;
	ASSERT_EQ(kext.insmod(), 0);
	for (int threads : {1, 2}) {
		Service service(daemon, threads, nullptr, 1);
		u32 count = host::rounds(25000);
		size_t before = kext.call_count();

		for (u32 i = 0; i < count; i++) {
			kext.must_request();
			// Bursts of a few, then all must have arrived.
			if (random.below(3) == 0)
				kext.wait_for_calls(before + i + 1);
			else
				random.spin(200);
		}
		kext.wait_for_calls(before + count);
		EXPECT_EQ(service.records, count);
	}
}

// Workers are interrupted while they sleep: a wake-up that was meant for one of them finds another.
TEST_F(Races, T_091_wake_up_survives_a_signal)
{
	Daemon daemon;
	Kext kext;
	std::atomic<bool> stop{false};
	u32 count = host::rounds(5000);

	kext.keep_calls = false;
	ASSERT_EQ(kext.insmod(), 0);
	Service service(daemon, 1, nullptr, 1);
	std::atomic<fake::Task *> task{nullptr};
	std::atomic<bool> done{false};
	std::thread nervous([&] {
		task = &fake::current();
		while (!stop) {
			long err;

			for (const Record &record : daemon.wait(1, &err))
				daemon.reply(Service::usual(record));
			fake::clear_signal();
		}
		while (!done)
			std::this_thread::yield();
	});
	while (!task)
		std::this_thread::yield();
	std::thread interrupter([&] {
		while (!stop) {
			fake::interrupt(*task);
			std::this_thread::yield();
		}
	});
	for (u32 i = 1; i <= count; i++) {
		kext.must_request();
		kext.wait_for_calls(i);
	}
	stop = true;
	interrupter.join();
	fake::interrupt(*task);
	done = true;
	nervous.join();
}

// ---- a daemon's death

// The old daemon's file is revoked by the next open, while its replies and the driver's cancels are under way.
TEST_F(Races, T_083_death_against_reply_against_cancel)
{
	Kext kext;
	Random random(seed_);
	host::Balance balance; // whether the death or the replies come first
	u32 cancelled = 0;
	u32 called = 0;
	std::atomic<u32> late{0};

	kext.keep_calls = false;
	ASSERT_EQ(kext.insmod(), 0);
	fake::chaos(50, seed_);
	u32 count = host::rounds(2000);
	for (u32 i = 0; host::one_more(i, count, cancelled && called); i++) {
		pid &process = fake::process(200 + static_cast<int>(i % 100));
		size_t before = kext.call_count();
		u32 tags[4];

		process.gone = false;
		auto old = std::make_unique<Daemon>(true, &process);
		for (u32 &tag : tags)
			tag = kext.must_request();
		std::vector<Record> records = old->fetch();
		ASSERT_EQ(records.size(), 4u);
		StartingLine line(3);
		std::atomic<u32> taken{0};
		u32 spin = 1 << random.below(10);
		std::thread replier([&] {
			line.wait();
			for (const Record &record : records) {
				kextd_reply reply = host::reply_with(record.id, 0, "x");
				kextd_exchange args{};

				args.size = sizeof(args);
				args.replies = fake::user(&reply);
				args.reply_count = 1;
				long err = old->ioctl(args);
				if (err && err != -SHIM_EOWNERDEAD)
					fake::bug("reply: %ld", err);
				if (!err && !reply.status)
					taken++;
				else
					late++;
			}
		});
		std::atomic<u32> took_back{0};
		u32 cancel_spin = balance.first(random, spin);
		std::thread canceller([&] {
			line.wait();
			wait_turns(cancel_spin);
			for (int t = 0; t < 2; t++)
				took_back += kext.cancel(tags[t]) == kOSReturnSuccess;
		});
		line.wait();
		wait_turns(balance.second(random, spin));
		process.gone = true;
		Daemon next;
		replier.join();
		canceller.join();
		fake::settle();
		// What is left is the next daemon's.
		for (;;) {
			std::vector<Record> left = next.fetch();

			if (left.empty())
				break;
			for (const Record &record : left)
				if (record.kind == KEXTD_RESOURCE)
					next.reply(record.id, 0, "y");
		}
		fake::settle();
		size_t calls = kext.call_count() - before;
		ASSERT_EQ(calls + took_back, 4u) << i;
		balance.first_won(taken < 2);
		cancelled += took_back;
		called += static_cast<u32>(calls);
		if (i % 500 == 0)
			host::check_invariants();
	}
	fake::chaos(0, 0);
	printf("cancelled %u, called back %u, replies refused %u\n", cancelled, called, late.load());
	EXPECT_GT(cancelled, 0u);
	EXPECT_GT(called, 0u);
}

// kill -9 at any instant: daemons come and go, nothing is lost, nothing comes twice.
TEST_F(Races, T_083_daemons_come_and_go)
{
	Kext kext;
	std::atomic<bool> stop{false};
	u32 count = host::rounds(10000);

	kext.keep_calls = false;
	ASSERT_EQ(kext.insmod(), 0);
	std::atomic<size_t> poisoned{0};
	kext.on_callback = [&](const Call &call) { poisoned += call.result == kOSKextReturnInternalError; };
	std::thread daemons([&] {
		Random random(seed_);

		while (!stop) {
			Daemon daemon;
			Service service(daemon, 2);
			random.spin(1 << random.below(18));
			service.die();
		}
		Daemon daemon;
		Service service(daemon);
		kext.wait_for_calls(count);
	});
	for (u32 i = 0; i < count; i++) {
		kext.must_request();
		// At most so many under way, or everything happens at the end.
		while (kext.call_count() + 100 < i)
			std::this_thread::yield();
	}
	stop = true;
	daemons.join();
	EXPECT_EQ(kext.call_count(), count);
	printf("poisoned %zu, requeued %llu\n", poisoned.load(), host::stats().requeued);
}

// ---- unload

TEST_F(Races, T_063_exit_against_requests_and_cancel_all)
{
	Daemon daemon;
	u32 count = host::rounds(300);
	u64 submitted = 0;

	Service service(daemon, 2);
	fake::chaos(30, seed_);
	for (u32 i = 0; host::one_more(i, count, submitted > count / 2); i++) {
		Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
		std::atomic<u32> accepted{0};
		std::atomic<u32> taken_back{0};
		std::atomic<bool> stop{false};

		kext.keep_calls = false;
		ASSERT_EQ(kext.insmod(), 0);
		StartingLine line(3);
		std::thread requester([&] {
			line.wait();
			while (!stop) {
				OSReturn result = kext.request();

				accepted += !result;
				// NoResources: quicker than the others for max_pending requests.
				if (result && result != kOSKextReturnStopping &&
				    result != kOSKextReturnInvalidArgument && result != kOSKextReturnNoResources)
					fake::bug("request: 0x%x", static_cast<u32>(result));
			}
		});
		std::thread canceller([&] {
			line.wait();
			while (!stop)
				taken_back += kext.cancel_all();
		});
		line.wait();
		for (u32 spin = i % 50; spin; spin--)
			std::this_thread::yield();
		EXPECT_EQ(kext.rmmod(), 0);
		stop = true;
		requester.join();
		canceller.join();
		ASSERT_EQ(accepted, taken_back + kext.call_count());
		submitted += accepted;
	}
	fake::chaos(0, 0);
	service.finish();
	EXPECT_GT(submitted, count / 2);
}

// Exactly one run's worth of callbacks is flushed: its work queues itself again when the kext is about to go.
TEST_F(Races, T_070_exit_against_the_callback_work)
{
	u32 count = host::rounds(500);

	fake::chaos(200, seed_);
	for (u32 i = 0; i < count; i++) {
		Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);

		kext.keep_calls = false;
		ASSERT_EQ(kext.insmod(), 0);
		for (int r = 0; r < 64; r++)
			kext.must_request();
		EXPECT_EQ(kext.rmmod(), 0);
		EXPECT_EQ(kext.call_count(), 64u);
	}
}

TEST_F(Races, T_065_unload_against_requests)
{
	Daemon daemon;
	Control control;
	Service service(daemon, 2);
	u32 unloaded = 0;
	u32 count = host::rounds(600);

	fake::chaos(30, seed_);
	for (u32 i = 0; host::one_more(i, count, unloaded >= count / 2); i++) {
		Kext kext;
		std::atomic<u32> accepted{0};
		std::atomic<bool> stop{false};

		kext.keep_calls = false;
		ASSERT_EQ(kext.insmod(), 0);
		std::thread requester([&] {
			while (!stop)
				accepted += kext.request() == kOSReturnSuccess;
		});
		bool if_idle = i % 2;
		OSReturn result = control.unload(kext.tag(), if_idle).result;
		stop = true;
		requester.join();
		if (result == kOSReturnSuccess) {
			ASSERT_FALSE(kext.is_loaded());
			ASSERT_EQ(kext.call_count(), accepted);
			unloaded++;
		} else {
			ASSERT_TRUE(if_idle);
			ASSERT_EQ(result, kOSKextReturnInUse);
			ASSERT_EQ(kext.state(), host::started);
			ASSERT_EQ(kext.stops, 0);
		}
	}
	fake::chaos(0, 0);
	EXPECT_GE(unloaded, count / 2);
	service.finish();
}

// Retain Success and the kext stays, or NotFound and it goes.
TEST_F(Races, T_149_retain_against_unload)
{
	Daemon daemon;
	Control control;
	Service service(daemon);
	Random random(seed_);
	u32 stayed = 0;
	u32 went = 0;
	u32 count = host::rounds(3000);
	host::Balance balance;

	fake::chaos(50, seed_);
	auto kext = std::make_unique<Kext>();
	std::atomic<u32> tag{0};
	std::atomic<u32> retain_spin{0};
	std::atomic<u32> unload_spin{0};
	std::atomic<OSReturn> retained{1};
	std::atomic<OSReturn> unloaded{1};
	Contestants contestants({[&] {
					 wait_turns(retain_spin);
					 retained = OSKextRetainKextWithLoadTag(tag);
				 },
				 [&] {
					 wait_turns(unload_spin);
					 unloaded = control.unload(tag).result;
				 }});
	for (u32 i = 0; host::one_more(i, count, stayed && went); i++) {
		if (!kext->is_loaded()) {
			ASSERT_EQ(kext->insmod(), 0);
		}
		tag = kext->tag();
		u32 jitter = 1u << random.below(11);
		retain_spin = balance.first(random, jitter);
		unload_spin = balance.second(random, jitter);
		contestants.run();
		balance.first_won(!retained);
		if (!retained) {
			ASSERT_EQ(unloaded, kOSKextReturnInUse);
			ASSERT_EQ(kext->state(), host::started);
			ASSERT_TRUE(kext->is_loaded());
			ASSERT_EQ(kext->release(), kOSReturnSuccess);
			stayed++;
		} else {
			ASSERT_EQ(retained, kOSKextReturnNotFound);
			ASSERT_EQ(unloaded, kOSReturnSuccess);
			ASSERT_FALSE(kext->is_loaded());
			went++;
		}
	}
	fake::chaos(0, 0);
	printf("stayed %u, went %u\n", stayed, went);
	EXPECT_GT(stayed, 0u);
	EXPECT_GT(went, 0u);
}

TEST_F(Races, T_149_retain_against_autounload)
{
	Daemon daemon;
	Service service(daemon);
	u32 stayed = 0;
	u32 went = 0;

	auto kext = std::make_unique<Kext>();
	std::atomic<u32> tag{0};
	std::atomic<OSReturn> retained{1};
	Random random(seed_);
	host::Balance balance;
	std::atomic<u32> retain_spin{0};
	std::atomic<u32> scan_spin{0};
	Contestants contestants({[&] {
					 wait_turns(retain_spin);
					 retained = OSKextRetainKextWithLoadTag(tag);
				 },
				 [&] {
					 wait_turns(scan_spin);
					 fake::jump_ms(60000);
				 }});
	u32 count = host::rounds(2000);
	for (u32 i = 0; host::one_more(i, count, stayed && went); i++) {
		if (!kext->is_loaded()) {
			ASSERT_EQ(kext->insmod(), 0);
		}
		tag = kext->tag();
		kext->retain();
		kext->release();
		u32 jitter = 1u << random.below(11);
		retain_spin = balance.first(random, jitter);
		scan_spin = balance.second(random, jitter);
		contestants.run();
		balance.first_won(!retained);
		fake::settle();
		if (!retained) {
			ASSERT_EQ(kext->state(), host::started);
			ASSERT_EQ(kext->release(), kOSReturnSuccess);
			stayed++;
		} else {
			ASSERT_EQ(retained, kOSKextReturnNotFound);
			while (kext->is_loaded())
				std::this_thread::yield();
			fake::settle();
			went++;
		}
	}
	printf("stayed %u, went %u\n", stayed, went);
	EXPECT_GT(stayed, 0u);
	EXPECT_GT(went, 0u);
}

TEST_F(Races, T_146_retains_and_releases_balance)
{
	Daemon daemon;
	Kext kext;
	Control control;
	std::vector<std::thread> threads;
	u32 count = host::rounds(4000);
	StartingLine line(16);

	ASSERT_EQ(kext.insmod(), 0);
	for (int t = 0; t < 16; t++) {
		threads.emplace_back([&] {
			line.wait();
			for (u32 i = 0; i < count; i++) {
				if (kext.retain())
					fake::bug("retain failed");
				if (kext.release())
					fake::bug("release failed");
			}
		});
	}
	for (std::thread &thread : threads)
		thread.join();
	EXPECT_EQ(control.list().at(0).retains, 0u);
	EXPECT_EQ(host::stats().retains, 16ull * count);
	EXPECT_EQ(host::stats().releases, 16ull * count);
	// And the autounload of the last release is not lost.
	Service service(daemon);
	fake::advance_ms(60000);
	while (kext.is_loaded())
		std::this_thread::yield();
	service.finish();
	fake::settle();
}

// The lease: the daemon goes at any moment between the stop function and the delete.
TEST_F(Races, lease_death_against_delete)
{
	Random random(seed_);
	Control control;
	u32 deleted = 0;
	u32 restarted = 0;
	host::Balance balance;

	fake::chaos(50, seed_);
	auto kext = std::make_unique<Kext>();
	for (u32 i = 0; host::one_more(i, host::rounds(3000), deleted && restarted); i++) {
		pid &process = fake::process(300 + static_cast<int>(i % 100));
		OSReturn result = 1;

		process.gone = false;
		auto old = std::make_unique<Daemon>(true, &process);
		if (!kext->is_loaded()) {
			ASSERT_EQ(kext->insmod(), 0);
		}
		std::thread unloader([&] { result = control.unload(kext->tag()).result; });
		Record message = old->wait(1).at(0);
		StartingLine line(2);
		u32 delete_spin = balance.second(random, 1 << random.below(11));
		std::thread dying([&] {
			line.wait();
			wait_turns(delete_spin);
			s32 done = host::delete_for(message);
			kextd_reply reply = host::reply_with(message.id, done);
			kextd_exchange args{};

			args.size = sizeof(args);
			args.replies = fake::user(&reply);
			args.reply_count = 1;
			old->ioctl(args);
		});
		line.wait();
		wait_turns(balance.first(random, 1 << random.below(11)));
		process.gone = true;
		Daemon next;
		dying.join();
		unloader.join();
		fake::settle();
		if (kext->is_loaded()) {
			ASSERT_NE(result, kOSReturnSuccess);
			ASSERT_EQ(kext->state(), host::started);
			ASSERT_EQ(kext->module.refs, 2);
			restarted++;
			balance.first_won(true);
		} else {
			balance.first_won(false);
			ASSERT_EQ(result, kOSReturnSuccess);
			deleted++;
		}
		while (!next.fetch().empty())
			;
	}
	fake::chaos(0, 0);
	printf("deleted %u, started again %u\n", deleted, restarted);
	EXPECT_GT(deleted, 0u);
	EXPECT_GT(restarted, 0u);
}

// A tag can be guessed: nobody finds a request by it that is not ready, however soon, and its end is one and its own.
TEST_F(Races, T_085_guessed_ids_against_requests)
{
	struct Context {
		std::atomic<u32> ends{0};
		u32 tag = 0;
	};
	Daemon daemon;
	Control program;
	Kext kext;
	u32 count = host::rounds(20000);
	std::vector<Context> contexts(count);
	std::atomic<u32> newest{0};
	std::atomic<u32> cancelled{0};
	std::atomic<u32> called{0};
	std::atomic<bool> stop{false};
	auto is_one = [&](const void *context) { return context >= &contexts.front() && context <= &contexts.back(); };

	kext.keep_calls = false;
	kext.on_callback = [&](const Call &call) {
		if (!is_one(call.context))
			fake::bug("called back with a context that is none");
		static_cast<Context *>(call.context)->ends++;
		called++;
	};
	ASSERT_EQ(kext.insmod(), 0);
	Service service(daemon);
	fake::chaos(100, seed_);
	fake::xa_always_allocates(true);
	std::vector<std::thread> guessers;
	guessers.emplace_back([&] { // a driver
		while (!stop) {
			void *context = nullptr;
			u32 guess = newest + 1;

			if (kext.cancel(guess, &context))
				continue;
			if (!is_one(context))
				fake::bug("a request without its context");
			static_cast<Context *>(context)->ends++;
			cancelled++;
		}
	});
	guessers.emplace_back([&] { // the daemon, before it has fetched it
		while (!stop) {
			s32 status = daemon.reply(newest + 1, 0, "guessed");

			if (status && status != kOSKextReturnNotFound)
				fake::bug("a guessed reply: 0x%x", static_cast<u32>(status));
		}
	});
	guessers.emplace_back([&] { // a program
		while (!stop) {
			Control::Outcome outcome = program.cancel(newest + 1);

			if (outcome.error ||
			    (outcome.result != kOSKextReturnNotFound && outcome.result != kOSKextReturnNotPrivileged))
				fake::bug("a program's cancel: 0x%x", static_cast<u32>(outcome.result));
			if (program.result(newest + 1).status != kOSKextReturnNotFound)
				fake::bug("a program got a driver's result");
		}
	});
	for (u32 i = 0; host::one_more(i, count, cancelled && called) && i < count; i++) {
		ASSERT_EQ(kext.request("n", &contexts[i].tag, &contexts[i]), kOSReturnSuccess);
		newest = contexts[i].tag;
		while (contexts[i].ends == 0)
			std::this_thread::yield();
	}
	stop = true;
	for (std::thread &guesser : guessers)
		guesser.join();
	fake::chaos(0, 0);
	service.finish();
	for (const Context &context : contexts)
		ASSERT_EQ(context.ends, 1u);
	printf("cancelled %u, called back %u\n", cancelled.load(), called.load());
	EXPECT_GT(cancelled, 0u);
	EXPECT_GT(called, 0u);
}

// Loads that fail take a tag back while others read the list.
TEST_F(Races, list_against_failing_loads)
{
	Kext first("com.example.same");
	std::atomic<bool> stop{false};

	ASSERT_EQ(first.insmod(), 0);
	fake::chaos(300, seed_);
	std::thread lister([&] {
		Control control;

		while (!stop) {
			for (const kextbridge_kext &entry : control.list()) {
				if (strcmp(entry.identifier, "com.example.same") != 0)
					fake::bug("a kext that is none");
			}
		}
	});
	for (u32 i = 0; i < host::rounds(5000); i++) {
		Kext second("com.example.same");

		EXPECT_EQ(second.insmod(), -SHIM_EEXIST);
	}
	stop = true;
	lister.join();
	fake::chaos(0, 0);
}

// ---- programs

TEST_F(Races, control_cancel_against_result_against_reply)
{
	Daemon daemon;
	Control mine;
	Control other;
	Random random(seed_);
	u32 cancelled = 0;
	u32 collected = 0;
	std::atomic<u32> tag{0};
	std::atomic<u64> id{0};
	std::atomic<u32> spins[3] = {0, 0, 0};
	std::atomic<OSReturn> cancel_result{1};
	std::atomic<u32> out_flags{0};
	std::atomic<bool> data_ok{false};

	fake::chaos(30, seed_);
	Contestants contestants({[&] {
					 wait_turns(spins[0]);
					 cancel_result = other.cancel(tag).result;
				 },
				 [&] {
					 wait_turns(spins[1]);
					 daemon.reply(id, 0, "payload");
				 },
				 [&] {
					 wait_turns(spins[2]);
					 Control::Result result = mine.result(tag, KEXTBRIDGE_RESULT_RELEASE, 0, 64);

					 if (result.error || result.status)
						 fake::bug("result: %ld 0x%x", result.error,
							   static_cast<u32>(result.status));
					 out_flags = result.out_flags;
					 data_ok = result.out_flags ? result.data.empty() : result.data == "payload";
				 }});
	for (u32 i = 0; host::one_more(i, host::rounds(8000), cancelled && collected); i++) {
		tag = mine.must_request();
		std::vector<Record> records = daemon.fetch();
		id = records.back().id;
		u32 scale = 1u << random.below(12);
		for (auto &spin : spins)
			spin = random.below(scale);
		contestants.run();
		ASSERT_TRUE(data_ok);
		if (!cancel_result) {
			ASSERT_EQ(out_flags, KEXTBRIDGE_RESULT_CANCELLED);
			cancelled++;
		} else {
			ASSERT_EQ(cancel_result, kOSKextReturnNotFound);
			ASSERT_EQ(out_flags, 0u);
			collected++;
		}
		ASSERT_EQ(host_request_state(tag), host::absent);
	}
	fake::chaos(0, 0);
	printf("cancelled %u, collected %u\n", cancelled, collected);
	EXPECT_GT(cancelled, 0u);
	EXPECT_GT(collected, 0u);
	while (!daemon.fetch().empty())
		;
}

TEST_F(Races, control_files_come_and_go)
{
	Daemon daemon;
	std::vector<std::thread> threads;

	Service service(daemon, 2);
	fake::chaos(20, seed_);
	for (u64 t = 0; t < 3; t++) {
		threads.emplace_back([&, t] {
			Random random(seed_ + t);

			for (u32 i = 0; i < host::rounds(1500); i++) {
				Control control;
				u32 tags[8];

				for (u32 &tag : tags)
					tag = control.must_request();
				for (u32 left = random.below(9); left; left--) {
					Control::Result result = control.result(kOSKextRequestTagInvalid,
										KEXTBRIDGE_RESULT_RELEASE, 0, 64);

					if (result.error || result.status ||
					    (!result.out_flags && result.data != "resource"))
						fake::bug("result");
				}
				if (random.below(2))
					control.cancel(tags[random.below(8)]);
			}
		});
	}
	for (std::thread &thread : threads)
		thread.join();
	service.finish();
	fake::chaos(0, 0);
}

// ---- everything at once, memory short now and then

TEST_F(Races, everything_at_once)
{
	constexpr int kext_count = 4;
	std::vector<std::thread> threads;
	std::atomic<bool> stop{false};
	std::vector<std::unique_ptr<Kext>> kexts;
	std::atomic<u32> tags[kext_count];
	auto daemon = std::make_unique<Daemon>();

	fake::chaos(20, seed_);
	kextbridge_params.autounload_delay_ms = 5;
	kextbridge_params.request_timeout_ms = 50;
	for (int i = 0; i < kext_count; i++) {
		kexts.push_back(std::make_unique<Kext>());
		Kext &kext = *kexts.back();

		kext.keep_calls = false;
		kext.on_callback = [&kext](const Call &call) {
			if (call.tag % 7 == 0)
				kext.request();
			if (call.tag % 11 == 0)
				kext.cancel(call.tag + 1);
		};
		kext.stop = [&kext] { return kext.stops % 3 ? KERN_SUCCESS : KERN_FAILURE; };
		kext.start = [&kext] {
			kext.request();
			return kext.starts % 5 == 4 ? KERN_FAILURE : KERN_SUCCESS;
		};
		tags[i] = 0;
	}
	// Each kext's own threads: they may call in as long as the module is there, so they load and force it themselves.
	for (int i = 0; i < kext_count; i++) {
		threads.emplace_back([&, i] {
			Random random(seed_ * 31 + static_cast<u64>(i));
			Kext &kext = *kexts[static_cast<size_t>(i)];

			while (!stop) {
				if (!kext.is_loaded() && kext.module.state != module::Going)
					kext.insmod();
				tags[i] = kext.tag();
				for (u32 n = random.below(60); n; n--) {
					switch (random.below(8)) {
					case 0:
						kext.cancel(random.below(5000));
						break;
					case 1:
						kext.cancel_all();
						break;
					case 2:
						if (!kext.retain())
							kext.release();
						break;
					case 3:
						kext.cancel_nowait(random.below(5000));
						break;
					default:
						kext.request();
					}
				}
			}
		});
	}
	threads.emplace_back([&] { // somebody with kextctl
		Random random(seed_ * 37);

		while (!stop) {
			Control control(0, true);

			if (!control.is_open())
				continue;
			control.request("i", "n");
			control.request("i", "n", KEXTBRIDGE_REQUEST_HOLD);
			switch (random.below(4)) {
			case 0:
				control.load("com.example.k" + std::to_string(random.below(6)));
				break;
			case 1:
				control.list();
				control.status();
				break;
			default:
				control.result(kOSKextRequestTagInvalid);
			}
			OSKextRetainKextWithLoadTag(tags[random.below(kext_count)]);
			OSKextReleaseKextWithLoadTag(tags[random.below(kext_count)]);
		}
	});
	threads.emplace_back([&] { // time passes
		while (!stop) {
			fake::jump_ms(1);
			std::this_thread::yield();
		}
	});
	threads.emplace_back([&] { // memory is short
		Random random(seed_ * 41);

		while (!stop) {
			fake::fail_allocation(1 + random.below(200));
			std::this_thread::yield();
		}
		fake::fail_allocation(0);
	});
	std::thread unloader([&] {
		Random random(seed_ * 43);

		while (!stop) {
			kextbridge_tag args{sizeof(args), random.below(2), tags[random.below(kext_count)], 0};
			file opened;
			void *data = nullptr;

			if (kextbridge_control_open_c(&opened, &data))
				continue;
			kextbridge_control_ioctl_c(&opened, data, KEXTBRIDGE_IOC_UNLOAD, fake::user(&args));
			kextbridge_control_release_c(data);
		}
	});
	for (u32 i = 0; host::one_more(i, host::rounds(200), host::stats().callbacks && host::stats().unloads); i++) {
		{
			Service service(*daemon, 2);

			std::this_thread::sleep_for(std::chrono::milliseconds(5));
		}
		host::check_invariants();
		daemon->close();
		while (daemon->open())
			std::this_thread::yield();
	}
	stop = true;
	for (std::thread &thread : threads)
		thread.join();
	{
		Service service(*daemon, 2);

		unloader.join();
	}
	fake::chaos(0, 0);
	for (auto &kext : kexts)
		kext.reset();
	fake::settle();
	daemon.reset();
	kextbridge_status end = host::stats();
	printf("submitted %llu, callbacks %llu, cancelled %llu, discarded %llu, timeouts %llu, requeued %llu, poisoned %llu, "
	       "unloads %llu, autounloads %llu\n",
	       end.submitted, end.callbacks, end.cancelled, end.discarded, end.timeouts, end.requeued, end.poisoned,
	       end.unloads, end.autounloads);
	EXPECT_GT(end.callbacks, 0u);
	EXPECT_GT(end.unloads, 0u);
}

} // namespace
