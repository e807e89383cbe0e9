// SPDX-License-Identifier: GPL-2.0-only
// What the system tells the core, and the core the daemon: shutdown, suspend, notices, delays, stop without unload.
#include "kit.hpp"

namespace {

constexpr u32 kNotify = KEXTD_EXCHANGE_NOTIFY;

TEST_F(Oskext, T_025_disabled_before_anything_else)
{
	Kext kext;
	OSKextRequestTag tag = 1;

	ASSERT_EQ(kext.insmod(), 0);
	kextbridge_shutdown_c();
	EXPECT_EQ(OSKextRequestResource(nullptr, "n", kext.callback(), nullptr, &tag), kOSKextReturnDisabled);
	EXPECT_EQ(tag, kOSKextRequestTagInvalid);
	EXPECT_EQ(OSKextRequestResource("i", nullptr, kext.callback(), nullptr, nullptr), kOSKextReturnDisabled);
	EXPECT_EQ(OSKextRequestResource("i", "n", nullptr, nullptr, nullptr), kOSKextReturnDisabled);
	EXPECT_EQ(kext.request(), kOSKextReturnDisabled);
}

TEST_F(Oskext, T_092_shutdown)
{
	Daemon daemon;
	Kext kext;
	Kext stopped;
	Control control;

	daemon.more_flags = kNotify;
	EXPECT_TRUE(daemon.fetch().empty());
	ASSERT_EQ(kext.insmod(), 0);
	ASSERT_EQ(stopped.insmod(), 0);
	EXPECT_EQ(control.stop(stopped.tag()).result, kOSReturnSuccess);
	EXPECT_EQ(daemon.fetch().size(), 2u);
	// A load in its hands, one that is not, an unload that is not.
	EXPECT_EQ(control.load("com.example.first").result, kOSKextReturnDeferred);
	daemon.fetch_one();
	EXPECT_EQ(control.load("com.example.second").result, kOSKextReturnDeferred);
	Unload unload(kext);

	while (kext.state() != host::stopped)
		std::this_thread::yield();
	kextbridge_shutdown_c();
	EXPECT_EQ(unload.result(), kOSKextReturnDisabled);
	fake::settle();
	EXPECT_EQ(kext.starts, 2);
	EXPECT_EQ(control.load("com.example.third").result, kOSKextReturnDisabled);
	EXPECT_EQ(control.load(stopped.info.name).result, kOSKextReturnDisabled);
	EXPECT_EQ(control.load(kext.info.name).result, kOSReturnSuccess);
	EXPECT_EQ(control.unload(kext.tag()).result, kOSKextReturnDisabled);
	EXPECT_EQ(control.request("i", "n").result, kOSKextReturnDisabled);
	EXPECT_EQ(control.status().flags, KEXTBRIDGE_STATUS_DAEMON | KEXTBRIDGE_STATUS_SHUTDOWN);
	std::vector<Record> records = daemon.fetch();

	ASSERT_FALSE(records.empty());
	EXPECT_EQ(records.back().kind, static_cast<u32>(KEXTD_EXIT));
	EXPECT_EQ(records.back().id, 0u);
	for (size_t i = 0; i + 1 < records.size(); i++)
		EXPECT_EQ(records[i].kind, static_cast<u32>(KEXTD_CANCEL));
	kextbridge_shutdown_c();
	EXPECT_TRUE(daemon.fetch().empty()) << "told twice";
	// What it had in hand ends with it: no other daemon comes.
	daemon.close();
	Daemon next(false);

	EXPECT_EQ(next.open(), -SHIM_ESHUTDOWN);
	EXPECT_EQ(host::stats().fetched + host::stats().pending, 0u);
}

TEST_F(Oskext, T_110_notices)
{
	Daemon daemon;
	Kext kext("com.example.told");
	Kext failing;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_TRUE(daemon.fetch().empty()) << "it has not asked";
	daemon.more_flags = kNotify;
	EXPECT_TRUE(daemon.fetch().empty()) << "it was before";
	EXPECT_EQ(kext.rmmod_force(), 0);
	Record gone = daemon.fetch_one();

	EXPECT_EQ(gone.kind, static_cast<u32>(KEXTD_UNLOADED));
	EXPECT_EQ(gone.identifier, "com.example.told");
	EXPECT_EQ(gone.name, kext.module.name);
	EXPECT_EQ(gone.load_tag, kext.tag());
	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(daemon.poll() & SHIM_EPOLLIN, SHIM_EPOLLIN);
	Record loaded = daemon.fetch_one();

	EXPECT_EQ(loaded.kind, static_cast<u32>(KEXTD_LOADED));
	EXPECT_EQ(loaded.id, 0u);
	EXPECT_EQ(loaded.load_tag, kext.tag());
	failing.start = [] { return KERN_FAILURE; };
	EXPECT_EQ(failing.insmod(), -SHIM_EIO);
	EXPECT_TRUE(daemon.fetch().empty());
	// A notice that did not get through comes again.
	EXPECT_EQ(kext.rmmod_force(), 0);
	fake::fail_user_copy(3);
	long error = 0;

	daemon.fetch(1, &error);
	EXPECT_EQ(error, -SHIM_EFAULT);
	fake::fail_user_copy(0);
	EXPECT_EQ(daemon.fetch_one().kind, static_cast<u32>(KEXTD_UNLOADED));
	EXPECT_TRUE(daemon.fetch().empty());
	// And what nobody fetched goes with the daemon.
	ASSERT_EQ(kext.insmod(), 0);
}

TEST_F(Oskext, T_110_notices_that_nobody_fetches_are_limited)
{
	Daemon daemon;
	Kext kext;
	size_t count = 0;

	daemon.more_flags = kNotify;
	EXPECT_TRUE(daemon.fetch().empty());
	for (int i = 0; i < 2100; i++) {
		ASSERT_EQ(kext.insmod(), 0);
		ASSERT_EQ(kext.rmmod_force(), 0);
	}
	EXPECT_EQ(host::stats().limited, 2u * 2100 - 4096);
	for (;;) {
		std::vector<Record> records = daemon.fetch();

		if (records.empty())
			break;
		count += records.size();
	}
	EXPECT_EQ(count, 4096u);
	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(daemon.fetch_one().kind, static_cast<u32>(KEXTD_LOADED));
}

TEST_F(Oskext, T_140_delayed)
{
	Daemon daemon;
	Kext kext;
	Control control;

	kextbridge_params.autounload_delay_ms = 1000;
	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(control.load(kext.info.name, false, KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD).result, kOSReturnSuccess);
	EXPECT_TRUE(control.list()[0].flags & KEXT_FLAG_DELAYED);
	kext.retain();
	kext.release();
	fake::advance_ms(1001);
	EXPECT_EQ(kext.stops, 0);
	EXPECT_FALSE(control.list()[0].flags & KEXT_FLAG_DELAYED);
	fake::advance_ms(1001);
	EXPECT_EQ(kext.stops, 1);
	Record unload = daemon.fetch_one();

	EXPECT_EQ(daemon.reply(unload.id, host::delete_for(unload)), kOSReturnSuccess);
	fake::settle();
	// One that is not loaded yet.
	EXPECT_EQ(control.load(kext.info.name, false, KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD).result, kOSKextReturnDeferred);
	Record load = daemon.fetch_one();

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(daemon.reply(load.id, 0), kOSReturnSuccess);
	EXPECT_TRUE(control.list()[0].flags & KEXT_FLAG_DELAYED);
}

TEST_F(Oskext, T_147_suspend)
{
	Daemon daemon;
	Service service(daemon);
	Kext kext;
	Kext later;

	kextbridge_params.autounload_delay_ms = 1000;
	ASSERT_EQ(kext.insmod(), 0);
	ASSERT_EQ(later.insmod(), 0);
	kext.retain();
	kext.release();
	fake::advance_ms(500);
	kextbridge_sleep_c(true);
	fake::advance_ms(10000);
	later.retain();
	later.release();
	fake::advance_ms(10000);
	EXPECT_EQ(kext.stops + later.stops, 0);
	kextbridge_sleep_c(false);
	fake::advance_ms(999);
	EXPECT_EQ(kext.stops, 0);
	kext.retain();
	kext.release();
	fake::advance_ms(1001);
	for (Kext *each : {&kext, &later})
		while (each->is_loaded())
			std::this_thread::yield();
	fake::settle();
}

// Also when the delay is not over yet.
TEST_F(Oskext, T_147_short_suspend)
{
	Daemon daemon;
	Service service(daemon);
	Kext kext;

	kextbridge_params.autounload_delay_ms = 1000;
	ASSERT_EQ(kext.insmod(), 0);
	kext.retain();
	kext.release();
	fake::advance_ms(500);
	kextbridge_sleep_c(true);
	fake::advance_ms(10);
	kextbridge_sleep_c(false);
	fake::advance_ms(999);
	fake::settle();
	EXPECT_EQ(kext.stops, 0);
	fake::advance_ms(1);
	while (kext.is_loaded())
		std::this_thread::yield();
	fake::settle();
}

TEST_F(Oskext, T_068_stop_without_unload)
{
	Kext kext;
	Control control;
	u32 tag;

	ASSERT_EQ(kext.insmod(), 0);
	tag = kext.tag();
	kext.must_request();
	// Without a daemon.
	EXPECT_EQ(control.stop(tag).result, kOSReturnSuccess);
	EXPECT_EQ(kext.wait_for_calls(1)[0].result, kOSKextReturnTimeout);
	EXPECT_EQ(kext.stops, 1);
	EXPECT_EQ(control.list()[0].state, static_cast<u32>(KEXT_STATE_LOADED));
	EXPECT_EQ(kext.module.refs, 2);
	EXPECT_EQ(kext.request(), kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.stop(tag).result, kOSReturnSuccess);
	EXPECT_EQ(kext.stops, 1);
	EXPECT_EQ(control.load(kext.info.name, true).result, kOSReturnSuccess);
	EXPECT_EQ(kext.starts, 2);
	EXPECT_EQ(kext.tag(), tag);
	// A start function that fails leaves it as it was.
	EXPECT_EQ(control.stop(tag).result, kOSReturnSuccess);
	kext.start = [] { return KERN_FAILURE; };
	EXPECT_EQ(control.load(kext.info.name, true).result, kOSKextReturnStartStopError);
	EXPECT_EQ(control.list()[0].state, static_cast<u32>(KEXT_STATE_LOADED));
	EXPECT_EQ(host::stats().unloads, 0u);
}

// Loads that come while it is being stopped: it is started again, or they hear that it could not be.
TEST_F(Oskext, T_068_load_during_the_stop)
{
	for (bool fails : {false, true}) {
		Kext kext;
		Control control;
		std::atomic<bool> go{false};
		s32 result = 1;

		kext.stop = [&] {
			while (!go)
				std::this_thread::yield();
			if (fails)
				kext.start = [] { return KERN_FAILURE; };
			return KERN_SUCCESS;
		};
		Daemon daemon;

		ASSERT_EQ(kext.insmod(), 0);
		std::thread stopper([&] { EXPECT_EQ(control.stop(kext.tag()).result, kOSReturnSuccess); });

		while (!kext.in_stop)
			std::this_thread::yield();
		std::atomic<fake::Task *> task{nullptr};
		std::thread loader([&] {
			Control own;

			task = &fake::current();
			result = own.load(kext.info.name, true).result;
		});

		while (!task)
			std::this_thread::yield();
		fake::wait_until_asleep(*task);
		EXPECT_TRUE(daemon.fetch().empty());
		go = true;
		stopper.join();
		loader.join();
		EXPECT_EQ(result, fails ? kOSKextReturnStartStopError : kOSReturnSuccess);
		EXPECT_EQ(kext.starts, 2);
		fake::settle();
		kext.stop = nullptr;
	}
}

// Stops, starts, unloads, removals by force and requests of one kext: it always comes to rest, and the books balance.
TEST_F(Oskext, T_068_stops_and_starts_race)
{
	host::Random random(host::race_seed());
	Daemon daemon;
	Service service(daemon);
	u32 stops = 0;
	u32 starts = 0;

	fake::chaos(50, random.next());
	for (u32 i = 0; i < host::rounds(1500); i++) {
		Kext kext;
		host::StartingLine line(4);
		u32 force = random.below(3);
		auto work = [&](auto what) {
			return std::thread([&, what] {
				Control control;

				line.wait();
				for (int j = 0; j < 3; j++)
					what(control);
			});
		};

		kext.keep_calls = false;
		ASSERT_EQ(kext.insmod(), 0);
		std::thread threads[] = {
			work([&](Control &control) { control.stop(kext.tag()); }),
			work([&](Control &control) { control.load(kext.info.name, true); }),
			work([&](Control &control) {
				if (force == 0)
					control.unload(kext.tag());
				else if (force == 1)
					kext.request();
				else
					kext.rmmod_force();
			}),
		};

		line.wait();
		for (std::thread &thread : threads)
			thread.join();
		fake::settle();
		stops += kext.stops;
		starts += kext.starts;
	}
	fake::chaos(0, 0);
	printf("starts %u, stops %u\n", starts, stops);
	EXPECT_GT(stops, 0u);
}

TEST_F(Oskext, asked_loads)
{
	Control control;
	std::string longest(63, 'x');

	EXPECT_TRUE(control.asked_loads().empty());
	for (const char *identifier : {"b", "a", "b", "c"})
		EXPECT_EQ(OSKextLoadKextWithIdentifier(identifier), kOSKextReturnDeferred);
	EXPECT_EQ(OSKextLoadKextWithIdentifier(longest.c_str()), kOSKextReturnDeferred);
	EXPECT_EQ(OSKextLoadKextWithIdentifier((longest + "y").c_str()), kOSKextReturnDeferred);
	EXPECT_EQ(control.asked_loads(), (std::vector<std::string>{"b", "a", "c", longest}));
	EXPECT_EQ(control.asked_loads(1, 2), (std::vector<std::string>{"a", "c"}));
	EXPECT_TRUE(control.asked_loads(4).empty());
}

} // namespace
