// SPDX-License-Identifier: GPL-2.0-only
// Start, stop, and the exit of a module.
#include "kit.hpp"

namespace {

TEST_F(Oskext, T_060_callbacks_wait_for_the_start_function)
{
	Daemon daemon;
	Kext kext;

	kext.start = [&] {
		kext.must_request("in.start");
		EXPECT_EQ(daemon.reply(daemon.fetch_one().id, 0, "early"), kOSReturnSuccess);
		fake::settle();
		EXPECT_EQ(kext.call_count(), 0u);
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(kext.wait_for_calls(1)[0].data, "early");
}

TEST_F(Oskext, T_061_failed_start_discards_its_requests)
{
	Daemon daemon;
	Kext kext;
	std::vector<Record> records;

	kext.start = [&] {
		for (int i = 0; i < 4; i++)
			kext.must_request();
		records = daemon.fetch(3);
		EXPECT_EQ(daemon.reply(records[0].id, 0, "answered"), kOSReturnSuccess);
		return KERN_FAILURE;
	};
	EXPECT_EQ(kext.insmod(), -SHIM_EIO);
	EXPECT_EQ(kext.info.id, kOSKextInvalidLoadTag);
	EXPECT_EQ(kext.module.refs, 2); // as init found it
	EXPECT_EQ(host::stats().discarded, 4u);
	EXPECT_EQ(host::stats().kexts, 0u);
	EXPECT_EQ(daemon.reply(records[1].id, 0), kOSKextReturnNotFound);
	fake::advance_ms(200000);
	EXPECT_EQ(kext.call_count(), 0u);
	EXPECT_EQ(kext.stops, 0);
	// It can be loaded again.
	kext.start = nullptr;
	EXPECT_EQ(kext.insmod(), 0);
}

TEST_F(Oskext, T_062_exit_flushes_with_timeout)
{
	Daemon daemon;
	Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
	std::vector<u32> tags;

	kext.stop = [&] {
		EXPECT_EQ(kext.call_count(), 3u);
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 3; i++)
		tags.push_back(kext.must_request());
	Record fetched = daemon.fetch(1)[0];
	EXPECT_EQ(kext.rmmod(), 0);
	std::vector<Call> calls = kext.calls();
	ASSERT_EQ(calls.size(), 3u);
	for (size_t i = 0; i < 3; i++) {
		EXPECT_EQ(calls[i].tag, tags[i]);
		EXPECT_EQ(static_cast<u32>(calls[i].result), 0xdc008019u);
		EXPECT_EQ(calls[i].data, std::nullopt);
	}
	EXPECT_EQ(kext.stops, 1);
	EXPECT_EQ(daemon.fetch_one().kind, static_cast<u32>(KEXTD_CANCEL));
	EXPECT_EQ(daemon.reply(fetched.id, 0), kOSKextReturnNotFound);
}

TEST_F(Oskext, T_062_unload_result_stopping)
{
	Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);

	kextbridge_params.unload_stopping = true;
	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	EXPECT_EQ(kext.rmmod(), 0);
	EXPECT_EQ(kext.calls().at(0).result, kOSKextReturnStopping);
}

// More than the core flushes, or calls back, in one go.
TEST_F(Oskext, T_062_exit_flushes_many)
{
	Daemon daemon;

	for (size_t count : {64, 128, 1000}) {
		Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);

		ASSERT_EQ(kext.insmod(), 0);
		for (size_t i = 0; i < count; i++)
			kext.must_request();
		daemon.fetch(static_cast<u32>(count / 2));
		EXPECT_EQ(kext.rmmod(), 0);
		EXPECT_EQ(kext.call_count(), count);
		std::vector<Call> calls = kext.calls();
		for (size_t i = 1; i < count; i++)
			ASSERT_EQ(calls[i].tag, calls[i - 1].tag + 1);
		while (!daemon.fetch().empty())
			;
	}
}

TEST_F(Oskext, T_063_no_callback_from_stop_on)
{
	Daemon daemon;
	Kext kext;
	size_t at_stop = 0;

	kext.stop = [&] {
		at_stop = kext.call_count();
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 10; i++)
		kext.must_request();
	std::vector<Record> records = daemon.fetch(5);
	daemon.reply(records[0].id, 0, "x");
	Unload unload(kext);
	// Late replies meet nobody.
	for (size_t i = 1; i < records.size(); i++)
		daemon.reply(records[i].id, 0, "x");
	Service service(daemon);
	EXPECT_EQ(unload.result(), kOSReturnSuccess);
	EXPECT_FALSE(kext.is_loaded());
	EXPECT_EQ(at_stop, 10u);
	EXPECT_EQ(kext.call_count(), 10u);
}

TEST_F(Oskext, T_064_request_from_a_flushed_callback)
{
	Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
	std::vector<OSReturn> results;

	kext.on_callback = [&](const Call &) { results.push_back(kext.request()); };
	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 3; i++)
		kext.must_request();
	EXPECT_EQ(kext.rmmod(), 0);
	EXPECT_EQ(results, std::vector<OSReturn>(3, kOSKextReturnStopping));
}

TEST_F(Oskext, T_065_controlled_unload_with_pending_requests)
{
	Daemon daemon;
	Kext kext;
	Control control;

	kext.stop = [&] {
		EXPECT_EQ(kext.call_count(), 2u);
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	kext.must_request();
	Control::Outcome idle = control.unload(kext.tag(), true);
	EXPECT_EQ(idle.result, kOSKextReturnInUse);
	EXPECT_EQ(kext.call_count(), 0u);
	EXPECT_EQ(kext.state(), host::started);
	Service service(daemon, 1, [](const Record &record) {
		return record.kind == KEXTD_UNLOAD ? Service::usual(record) : kextd_reply{};
	});
	EXPECT_EQ(control.unload(kext.tag()).result, kOSReturnSuccess);
	EXPECT_EQ(kext.calls().at(1).result, kOSKextReturnTimeout);
	EXPECT_EQ(kext.stops, 1);
	EXPECT_FALSE(kext.is_loaded());
	EXPECT_EQ(host::stats().unloads, 1u);
	EXPECT_EQ(host::stats().autounloads, 0u);
}

TEST_F(Oskext, T_066_autounload_spares_a_kext_with_requests)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request("n", nullptr, 100000000);
	kext.retain();
	kext.release();
	fake::advance_ms(300000);
	EXPECT_EQ(kext.state(), host::started);
	EXPECT_EQ(kext.call_count(), 0u);
	Record record = daemon.fetch_one();
	EXPECT_EQ(record.tag(), tag);
	daemon.reply(record.id, 0);
	kext.wait_for_calls(1);
	Service service(daemon);
	fake::advance_ms(60000);
	fake::advance_ms(60000);
	while (kext.is_loaded())
		std::this_thread::yield();
	service.finish();
	fake::settle();
	EXPECT_EQ(host::stats().autounloads, 1u);
}

TEST_F(Oskext, T_067_veto)
{
	Daemon daemon;
	Kext kext;
	Control control;

	kext.stop = [] { return KERN_FAILURE; };
	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.tag();
	EXPECT_EQ(control.unload(tag).result, kOSKextReturnStartStopError);
	EXPECT_EQ(kext.stops, 1);
	EXPECT_EQ(kext.starts, 1);
	EXPECT_EQ(kext.state(), host::started);
	EXPECT_EQ(kext.module.refs, 2); // the base reference
	EXPECT_EQ(kext.retain(), kOSReturnSuccess);
	EXPECT_EQ(kext.release(), kOSReturnSuccess);
	kext.must_request();
	daemon.reply(daemon.fetch_one().id, 0);
	kext.wait_for_calls(1);
	EXPECT_EQ(host::stats().unloads, 0u);
}

TEST_F(Oskext, T_068_stop_and_start_again_keeps_the_tag)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.tag();
	Unload unload(kext);
	Record message = daemon.wait(1).at(0);
	EXPECT_EQ(message.kind, static_cast<u32>(KEXTD_UNLOAD));
	EXPECT_EQ(message.load_tag, tag);
	EXPECT_EQ(message.identifier, kext.info.name);
	EXPECT_EQ(message.name, kext.module.name);
	EXPECT_EQ(kext.state(), host::stopped);
	EXPECT_EQ(kext.module.refs, 1); // the base reference is dropped before the daemon hears of it
	daemon.reply(message.id, kOSKextReturnInUse);
	EXPECT_EQ(unload.result(), kOSKextReturnInUse);
	EXPECT_EQ(kext.starts, 2);
	EXPECT_EQ(kext.tag(), tag);
	EXPECT_EQ(kext.state(), host::started);
	EXPECT_EQ(kext.module.refs, 2);
}

TEST_F(Oskext, T_069_start_stop_and_callbacks_never_overlap)
{
	Daemon daemon;
	Kext kext;
	Control control;
	std::atomic<bool> stop{false};
	std::atomic<u32> refused{0};

	// The kit ends the program when two of them run at once.
	kext.start = [] {
		std::this_thread::yield();
		return KERN_SUCCESS;
	};
	kext.stop = [] {
		std::this_thread::yield();
		return KERN_FAILURE;
	};
	kext.on_callback = [](const Call &) { std::this_thread::yield(); };
	kext.keep_calls = false;
	ASSERT_EQ(kext.insmod(), 0);
	Service service(daemon);
	std::thread requester([&] {
		while (!stop)
			refused += kext.request() != 0;
	});
	for (u32 i = 0; i < host::rounds(400); i++)
		EXPECT_EQ(control.unload(kext.tag()).result, kOSKextReturnStartStopError);
	stop = true;
	requester.join();
	kext.cancel_all();
	EXPECT_EQ(kext.stops, static_cast<int>(host::rounds(400)));
}

TEST_F(Oskext, T_070_exit_waits_for_a_running_callback)
{
	Daemon daemon;
	Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
	std::atomic<bool> entered{false};
	std::atomic<bool> let_go{false};

	kext.on_callback = [&](const Call &) {
		entered = true;
		while (!let_go)
			std::this_thread::yield();
	};
	kext.stop = [&] {
		EXPECT_TRUE(let_go);
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	daemon.reply(daemon.fetch_one().id, 0);
	while (!entered)
		std::this_thread::yield();
	std::atomic<fake::Task *> task{nullptr};
	std::thread rmmod([&] {
		task = &fake::current();
		EXPECT_EQ(kext.rmmod(), 0);
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	let_go = true;
	rmmod.join();
	EXPECT_EQ(kext.call_count(), 1u);
}

// A run of callbacks ends at its 64th and queues the next one, while module exit waits for the run.
TEST_F(Oskext, T_070_exit_waits_for_the_next_run_too)
{
	constexpr u32 count = 64;
	Daemon daemon;
	Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
	std::atomic<bool> go{false};
	std::atomic<bool> gone{false};
	std::thread leaver;

	kext.on_callback = [&](const Call &) {
		while (!go)
			std::this_thread::yield();
	};
	ASSERT_EQ(kext.insmod(), 0);
	for (u32 i = 0; i < count; i++)
		kext.must_request();
	for (const Record &record : daemon.fetch())
		daemon.reply(record.id, 0);
	while (!kext.in_callback)
		std::this_thread::yield();
	fake::at_next(fake::Moment::QueueWork, [&] {
		leaver = std::thread([&] {
			EXPECT_EQ(kext.rmmod(), 0);
			gone = true;
		});
		while (!fake::this_run_is_awaited())
			std::this_thread::yield();
	});
	// It has left the queue and has not looked at its kext.
	fake::at_next(fake::Moment::WorkBegins, [&] {
		while (!gone && !fake::this_run_is_awaited())
			std::this_thread::yield();
	});
	go = true;
	while (!gone)
		std::this_thread::yield();
	leaver.join();
	fake::settle();
	fake::at_next(fake::Moment::WorkBegins, nullptr);
	EXPECT_EQ(kext.call_count(), count);
}

// Of a driver that retains itself in start, and then fails.
TEST_F(Oskext, failed_start_with_a_retain)
{
	for (u32 flags : {0u, KEXTBRIDGE_KEXT_PLAIN_RMMOD}) {
		Kext kext("", flags);

		kext.start = [&] {
			kext.retain();
			return KERN_FAILURE;
		};
		EXPECT_EQ(kext.insmod(), -SHIM_EIO);
		EXPECT_EQ(kext.module.refs, 2);
	}
}

// A thread of its own may have released it, and be on its way out of the text that the kernel frees next.
TEST_F(Oskext, failed_start_waits_for_who_is_on_the_way_out)
{
	Kext kext;
	bool waited = false;

	kext.start = [&] {
		fake::at_next(fake::Moment::GracePeriod, [&] { waited = host::stats().kexts == 0; });
		return KERN_FAILURE;
	};
	EXPECT_EQ(kext.insmod(), -SHIM_EIO);
	EXPECT_TRUE(waited);
}

} // namespace
