// SPDX-License-Identifier: GPL-2.0-only
// A daemon dies: what it had in hand, who waits for it, its children.
#include "kit.hpp"

namespace {

// Suspects are handed out alone, in the order in which they were in hand.
TEST_F(Oskext, death_suspects_are_handed_out_alone)
{
	Kext kext;
	std::vector<u32> tags;

	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 4; i++)
		tags.push_back(kext.must_request());
	{
		Daemon dies;
		EXPECT_EQ(dies.fetch(2).size(), 2u);
	}
	Daemon daemon;
	std::vector<Record> records = daemon.fetch();
	EXPECT_EQ(host::tags_of(records), std::vector<u32>{tags[0]});
	EXPECT_EQ(daemon.poll(), 0u);
	EXPECT_TRUE(daemon.fetch().empty());
	EXPECT_EQ(daemon.reply(records[0].id, 0), kOSReturnSuccess);
	records = daemon.fetch();
	EXPECT_EQ(host::tags_of(records), std::vector<u32>{tags[1]});
	// Whatever ends it lets the next one out, and the notice is not held back.
	EXPECT_EQ(kext.cancel(tags[1]), kOSReturnSuccess);
	records = daemon.fetch();
	ASSERT_EQ(records.size(), 3u);
	EXPECT_EQ(records[0].kind, static_cast<u32>(KEXTD_CANCEL));
	EXPECT_EQ(records[1].tag(), tags[2]);
	EXPECT_EQ(records[2].tag(), tags[3]);
	kext.wait_for_calls(1);
	kext.cancel_all();
}

// A worker that leaves something behind wakes the next: nobody else would.
TEST_F(Oskext, T_091_worker_that_leaves_work_behind_wakes_the_next)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request("suspect");
	{
		Daemon dies;
		dies.fetch_one();
	}
	Daemon daemon;
	u64 suspect = daemon.fetch_one().id;
	// Both sleep while three wait behind the suspect. When it is done, one is woken and takes one.
	kext.must_request();
	kext.must_request();
	kext.must_request();
	std::atomic<u32> fetched{0};
	std::atomic<fake::Task *> tasks[2] = {nullptr, nullptr};
	std::vector<std::thread> workers;
	for (auto &task : tasks) {
		workers.emplace_back([&] {
			task = &fake::current();
			fetched += static_cast<u32>(daemon.wait(1).size());
			// It is busy with it until the other one has its own.
			while (fetched < 2)
				std::this_thread::yield();
		});
	}
	for (auto &task : tasks) {
		while (!task)
			std::this_thread::yield();
		fake::wait_until_asleep(*task);
	}
	daemon.reply(suspect, 0);
	for (std::thread &worker : workers)
		worker.join();
	EXPECT_EQ(fetched, 2u);
	kext.wait_for_calls(1);
	kext.cancel_all();
}

// A load may hang for long: nobody waits for it, before or after a daemon's death.
TEST_F(Oskext, death_hanging_load_holds_up_nobody)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 first = kext.must_request("first");
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.hangs"), kOSKextReturnDeferred);
	u32 second = kext.must_request("second");
	{
		Daemon dies;
		EXPECT_EQ(dies.fetch().size(), 3u);
	}
	u32 third = kext.must_request("third");
	Daemon daemon;
	u64 load = 0;
	std::vector<u32> seen;
	// The load stays in hand, all others are answered one by one.
	for (int turns = 0; turns < 4; turns++) {
		for (const Record &record : daemon.fetch()) {
			if (record.kind == KEXTD_LOAD) {
				load = record.id;
				continue;
			}
			seen.push_back(record.tag());
			daemon.reply(record.id, 0);
		}
	}
	EXPECT_NE(load, 0u);
	EXPECT_EQ(seen, (std::vector<u32>{first, second, third}));
	kext.wait_for_calls(3);
	daemon.reply(load, kOSKextReturnNotFound);
}

TEST_F(Oskext, death_suspect_that_waited_is_cancelled)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request("first");
	u32 second = kext.must_request("second");
	{
		Daemon dies;
		EXPECT_EQ(dies.fetch().size(), 2u);
	}
	Daemon daemon;
	daemon.reply(daemon.fetch_one().id, 0);
	u64 suspect = daemon.fetch_one().id;
	EXPECT_EQ(static_cast<u32>(suspect), second);
	u32 third = kext.must_request("third");
	std::atomic<fake::Task *> task{nullptr};
	std::vector<Record> records;
	std::thread worker([&] {
		task = &fake::current();
		records = daemon.wait();
		if (records.size() == 1 && records[0].kind == KEXTD_CANCEL) {
			std::vector<Record> more = daemon.wait();

			records.insert(records.end(), more.begin(), more.end());
		}
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	EXPECT_EQ(kext.cancel(second), kOSReturnSuccess);
	worker.join();
	ASSERT_EQ(records.size(), 2u);
	EXPECT_EQ(records[1].tag(), third);
	kext.wait_for_calls(1);
	kext.cancel_all();
}

// A load over which three daemons died is given up, too; an innocent request in hand with it is not charged.
TEST_F(Oskext, death_poisoned_load)
{
	Kext kext;
	Control control;
	OSReturn result = 1;
	auto daemon = std::make_unique<Daemon>();
	std::atomic<fake::Task *> task{nullptr};

	ASSERT_EQ(kext.insmod(), 0);
	std::thread loader([&] {
		task = &fake::current();
		result = control.load("com.example.deadly", true).result;
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	u32 innocent = kext.must_request();
	for (int death = 0; death < 3; death++) {
		std::vector<Record> records = daemon->fetch();

		ASSERT_EQ(records.size(), 2u) << death;
		EXPECT_EQ(records[0].kind, static_cast<u32>(KEXTD_LOAD));
		EXPECT_EQ(records[1].tag(), innocent);
		EXPECT_EQ(records[1].attempt, 0u);
		daemon->close();
		daemon->open();
	}
	loader.join();
	EXPECT_EQ(result, kOSKextReturnInternalError);
	Record left = daemon->fetch_one();
	EXPECT_EQ(left.tag(), innocent);
	EXPECT_EQ(left.attempt, 0u);
	EXPECT_EQ(daemon->reply(left.id, 0), kOSReturnSuccess);
	EXPECT_EQ(kext.wait_for_calls(1)[0].result, kOSReturnSuccess);
}

// A sleeping worker is woken when the suspect in another worker's hands is done.
TEST_F(Oskext, death_worker_waits_for_the_suspect)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	{
		Daemon dies;
		dies.fetch_one();
	}
	Daemon daemon;
	u64 suspect = daemon.fetch_one().id;
	u32 next = kext.must_request();
	std::atomic<fake::Task *> task{nullptr};
	std::vector<Record> records;
	std::thread worker([&] {
		task = &fake::current();
		records = daemon.wait();
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	EXPECT_EQ(daemon.reply(suspect, 0), kOSReturnSuccess);
	worker.join();
	EXPECT_EQ(host::tags_of(records), std::vector<u32>{next});
	kext.wait_for_calls(1);
	kext.cancel_all();
}

TEST_F(Oskext, death_three_times_alone_is_poison)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 poison = kext.must_request("poison");
	u32 innocent = kext.must_request("innocent");
	{
		// In hand together: a suspicion, no count.
		Daemon dies;
		EXPECT_EQ(dies.fetch().size(), 2u);
	}
	for (u32 death = 0; death < 3; death++) {
		Daemon dies;
		std::vector<Record> records = dies.fetch();
		ASSERT_EQ(host::tags_of(records), std::vector<u32>{poison});
		EXPECT_EQ(records[0].attempt, death);
		EXPECT_EQ(kext.call_count(), 0u);
		dies.close();
	}
	Call call = kext.wait_for_calls(1)[0];
	EXPECT_EQ(call.tag, poison);
	EXPECT_EQ(call.result, kOSKextReturnInternalError);
	EXPECT_EQ(host::stats().poisoned, 1u);
	Daemon daemon;
	Record record = daemon.fetch_one();
	EXPECT_EQ(record.tag(), innocent);
	EXPECT_EQ(record.attempt, 0u);
	EXPECT_EQ(daemon.reply(record.id, 0), kOSReturnSuccess);
	EXPECT_EQ(kext.wait_for_calls(2)[1].result, kOSReturnSuccess);
}

TEST_F(Oskext, death_of_a_daemon_with_empty_hands_costs_nothing)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	for (int i = 0; i < 5; i++)
		Daemon dies;
	Daemon daemon;
	EXPECT_EQ(daemon.fetch_one().attempt, 0u);
	EXPECT_EQ(host::stats().requeued, 0u);
	kext.cancel_all();
}

TEST_F(Oskext, death_drops_the_notices)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	{
		Daemon dies;
		kext.must_request();
		dies.fetch_one();
		kext.cancel_all();
	}
	Daemon daemon;
	EXPECT_TRUE(daemon.fetch().empty());
}

TEST_F(Oskext, death_reply_from_the_wrong_file)
{
	Kext kext;
	pid &first_process = fake::process(100);

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request();
	Daemon first(true, &first_process);
	u64 id = first.fetch_one().id;
	first_process.gone = true;
	// A child still holds the descriptor; the next open takes over.
	Daemon second;
	std::vector<u64> buffer(64);
	kextd_reply reply = host::reply_with(id, 0);
	kextd_exchange args{};
	args.size = sizeof(args);
	args.replies = fake::user(&reply);
	args.reply_count = 1;
	EXPECT_EQ(first.ioctl(args), -SHIM_EOWNERDEAD);
	EXPECT_EQ(first.poll(), SHIM_EPOLLHUP);
	EXPECT_EQ(host_request_state(tag), host::pending);
	EXPECT_EQ(second.reply(id, 0), kOSKextReturnNotFound); // not fetched by it
	EXPECT_EQ(second.fetch_one().id, id);
	EXPECT_EQ(second.reply(id, 0), kOSReturnSuccess);
	kext.wait_for_calls(1);
	first.close();
	EXPECT_EQ(host::stats().flags, KEXTBRIDGE_STATUS_DAEMON);
	first_process.gone = false;
}

// The role is lost with the process, even when nobody has taken over yet.
TEST_F(Oskext, death_child_without_its_parent)
{
	Kext kext;
	pid &process = fake::process(101);
	long err;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	Daemon daemon(true, &process);
	process.gone = true;
	daemon.fetch(1, &err);
	EXPECT_EQ(err, -SHIM_EOWNERDEAD);
	process.gone = false;
	daemon.close();
	kext.cancel_all();
}

// Nor does its thread, woken later, fetch what it could not answer.
TEST_F(Oskext, death_sleeping_child_fetches_nothing)
{
	Kext kext;
	pid &process = fake::process(103);
	long err = 0;

	ASSERT_EQ(kext.insmod(), 0);
	Daemon daemon(true, &process);
	std::atomic<fake::Task *> task{nullptr};
	std::thread child([&] {
		task = &fake::current();
		daemon.wait(1, &err);
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	process.gone = true;
	u32 tag = kext.must_request();
	child.join();
	EXPECT_EQ(err, -SHIM_EOWNERDEAD);
	EXPECT_EQ(host_request_state(tag), host::pending);
	Daemon next;
	EXPECT_EQ(next.fetch_one().tag(), tag);
	kext.cancel_all();
	process.gone = false;
}

TEST_F(Oskext, death_wakes_sleepers_of_the_old_daemon)
{
	pid &process = fake::process(102);
	Daemon old(true, &process);
	std::atomic<fake::Task *> task{nullptr};
	long err = 0;
	std::thread child([&] {
		task = &fake::current();
		old.wait(1, &err);
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	process.gone = true;
	Daemon next;
	child.join();
	EXPECT_EQ(err, -SHIM_EOWNERDEAD);
	process.gone = false;
}

TEST_F(Oskext, death_requeued_requests_keep_their_deadline)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request("n", X, 1000);
	{
		Daemon dies;
		dies.fetch_one();
		fake::advance_ms(600);
	}
	Daemon daemon;
	EXPECT_EQ(daemon.fetch_one().deadline_ns, fake::now() + 400 * 1000000ull);
	fake::advance_ms(399);
	EXPECT_EQ(kext.call_count(), 0u);
	fake::advance_ms(1);
	EXPECT_EQ(kext.wait_for_calls(1)[0].result, kOSKextReturnTimeout);
}

} // namespace
