// SPDX-License-Identifier: GPL-2.0-only
// A kext's life: start, stop, unload, exit, retain, release, autounload, load.
#include <cstring>

#include "kit.hpp"

namespace {

// An unload that somebody waits for, on a thread of its own.
class Unload {
	Control control_;
	s32 result_ = 0x7777;
	long error_ = 0;
	std::atomic<fake::Task *> task_{nullptr};
	std::atomic<bool> joined_{false};
	std::thread thread_;

      public:
	explicit Unload(const Kext &kext, bool if_idle = false)
		: thread_([this, tag = kext.tag(), if_idle] {
			  task_ = &fake::current();
			  Control::Outcome outcome = control_.unload(tag, if_idle);

			  result_ = outcome.result;
			  error_ = outcome.error;
			  while (!joined_)
				  std::this_thread::yield();
		  })
	{
		while (!task_)
			std::this_thread::yield();
	}
	~Unload() { result(); }
	fake::Task &task() { return *task_; }
	s32 result()
	{
		joined_ = true;
		if (thread_.joinable())
			thread_.join();
		return result_;
	}
	long error()
	{
		result();
		return error_;
	}
};

// ---- start and stop

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

// ---- registration

TEST_F(Oskext, T_160_load_tags)
{
	Kext a;
	Kext b;
	u32 in_start = 0;

	a.start = [&] {
		in_start = a.info.id;
		EXPECT_EQ(OSKextRetainKextWithLoadTag(in_start), kOSReturnSuccess);
		EXPECT_EQ(OSKextReleaseKextWithLoadTag(in_start), kOSReturnSuccess);
		return KERN_SUCCESS;
	};
	ASSERT_EQ(a.insmod(), 0);
	ASSERT_EQ(b.insmod(), 0);
	EXPECT_EQ(in_start, a.tag());
	EXPECT_EQ(a.tag(), 1u);
	EXPECT_EQ(b.tag(), 2u);
}

TEST_F(Oskext, T_162_identifiers)
{
	std::string longest(63, 'i');
	{
		Kext kext(longest);
		Control control;

		EXPECT_EQ(kext.insmod(), 0);
		EXPECT_EQ(control.list().at(0).identifier, longest);
	}
	for (const char *bad :
	     {"with blank", "with/slash", "with\"quote", "with\\backslash", "with\001control", "with\xc3\xa4umlaut"}) {
		Kext kext(bad);

		EXPECT_EQ(kext.insmod(), -SHIM_EINVAL) << bad;
		EXPECT_EQ(kext.starts, 0);
	}
	Kext unterminated(longest + "i");
	EXPECT_EQ(unterminated.insmod(), -SHIM_EINVAL);
	Kext empty("x");
	empty.info.name[0] = 0;
	EXPECT_EQ(empty.insmod(), -SHIM_EINVAL);
	EXPECT_FALSE(fake::log().empty());
}

TEST_F(Oskext, T_163_versions)
{
	for (const char *good : {"1", "1.0", "1.0.0", "9999.9999.9999", "1.0d1", "1.0a255", "1.2.3b4", "10.0f1",
				 "1.0fc1", "1.0 beta", "0"}) {
		Kext kext("com.example.v", 0, good);

		EXPECT_EQ(kext.insmod(), 0) << good;
	}
	for (const char *bad : {"", "x", ".", "1.", "1..0", "1.0.0.0", "12345", "1.0x1", "1.0d", "1.0d256", "1.0f0",
				"1.0fc0", "1.0d1x", "-1", "1.0dc1", "1,0"}) {
		Kext kext("com.example.v", 0, bad);

		EXPECT_EQ(kext.insmod(), -SHIM_EINVAL) << bad;
	}
	std::string unterminated(64, '1');
	Kext kext("com.example.v", 0, unterminated.c_str());
	EXPECT_EQ(kext.insmod(), -SHIM_EINVAL);
}

TEST_F(Oskext, registration_refuses_what_is_no_kmod_info)
{
	Kext kext;

	kext.info.info_version = 2;
	EXPECT_EQ(kext.insmod(), -SHIM_EINVAL);
	kext.info.info_version = KMOD_INFO_VERSION;
	kmod_start_func_t *start = kext.info.start;
	kext.info.start = nullptr;
	EXPECT_EQ(kext.insmod(), -SHIM_EINVAL);
	kext.info.start = start;
	kext.info.stop = nullptr;
	EXPECT_EQ(kext.insmod(), -SHIM_EINVAL);
	EXPECT_EQ(kext.starts, 0);
	// Its exit is never called; if it were, nothing would happen.
	kextbridge_kext_exit(&kext.info);
}

TEST_F(Oskext, registration_of_the_same_identifier_twice)
{
	Kext a("com.example.same");
	Kext b("com.example.same");

	ASSERT_EQ(a.insmod(), 0);
	EXPECT_EQ(b.insmod(), -SHIM_EEXIST);
	EXPECT_EQ(b.starts, 0);
	EXPECT_EQ(b.info.id, kOSKextInvalidLoadTag);
	EXPECT_EQ(host::stats().kexts, 1u);
	EXPECT_EQ(a.rmmod_force(), 0);
	EXPECT_EQ(b.insmod(), 0);
	EXPECT_GT(b.tag(), a.load_tag);
}

TEST_F(Oskext, registration_of_many_at_once)
{
	std::vector<std::unique_ptr<Kext>> kexts;
	std::vector<std::thread> threads;

	for (int i = 0; i < 36; i++)
		kexts.push_back(std::make_unique<Kext>());
	host::StartingLine line(4);
	for (size_t t = 0; t < 4; t++) {
		threads.emplace_back([&, t] {
			line.wait();
			for (size_t i = t; i < kexts.size(); i += 4)
				EXPECT_EQ(kexts[i]->insmod(), 0);
		});
	}
	for (std::thread &thread : threads)
		thread.join();
	Control control;
	u32 last = 0;
	for (const kextbridge_kext &entry : control.list()) {
		EXPECT_GT(entry.load_tag, last);
		last = entry.load_tag;
	}
	// Each is found by its text.
	for (auto &kext : kexts) {
		kext->must_request();
		EXPECT_EQ(kext->cancel_all(), 1u);
	}
}

TEST_F(Oskext, registration_when_load_tags_are_used_up)
{
	Kext a;
	Kext b;

	host_set_next_load_tag(kOSKextInvalidLoadTag - 1);
	EXPECT_EQ(a.insmod(), 0);
	EXPECT_EQ(a.tag(), kOSKextInvalidLoadTag - 1);
	EXPECT_EQ(b.insmod(), -SHIM_ENOSPC);
}

// ---- load

TEST_F(Oskext, T_100_load_of_a_started_kext)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(OSKextLoadKextWithIdentifier(kext.info.name), kOSReturnSuccess);
	EXPECT_EQ(kext.starts, 1);
	EXPECT_TRUE(daemon.fetch().empty());
}

TEST_F(Oskext, T_101_load_of_an_unknown_kext)
{
	Daemon daemon;
	Kext kext("com.example.loadme");

	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.loadme"), kOSKextReturnDeferred);
	Record record = daemon.fetch_one();
	EXPECT_EQ(record.kind, static_cast<u32>(KEXTD_LOAD));
	EXPECT_EQ(record.identifier, "com.example.loadme");
	EXPECT_EQ(record.name, "");
	EXPECT_EQ(record.load_tag, 0u);
	EXPECT_EQ(record.deadline_ns, 0u);
	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(daemon.reply(record.id, 0, "data is for resources"), kOSKextReturnInvalidArgument);
	EXPECT_EQ(daemon.reply(record.id, 0), kOSReturnSuccess);
	EXPECT_EQ(daemon.reply(record.id, 0), kOSKextReturnNotFound);
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.loadme"), kOSReturnSuccess);
	EXPECT_EQ(host::stats().loads, 1u);
}

TEST_F(Oskext, T_102_two_loads_before_the_fetch)
{
	Daemon daemon;

	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.x"), kOSKextReturnDeferred);
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.x"), kOSKextReturnDeferred);
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.y"), kOSKextReturnDeferred);
	std::vector<Record> records = daemon.fetch();
	ASSERT_EQ(records.size(), 2u);
	EXPECT_EQ(records[0].identifier, "com.example.x");
	EXPECT_EQ(records[1].identifier, "com.example.y");
	for (const Record &record : records)
		EXPECT_EQ(daemon.reply(record.id, kOSKextReturnNotFound), kOSReturnSuccess);
}

TEST_F(Oskext, T_103_second_load_after_the_fetch)
{
	Daemon daemon;

	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.x"), kOSKextReturnDeferred);
	Record first = daemon.fetch_one();
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.x"), kOSKextReturnDeferred);
	Record second = daemon.fetch_one();
	EXPECT_NE(first.id, second.id);
	EXPECT_EQ(daemon.reply(second.id, kOSKextReturnNotFound), kOSReturnSuccess);
	EXPECT_EQ(daemon.reply(first.id, kOSKextReturnNotFound), kOSReturnSuccess);
}

// What nobody fetched goes with the module.
TEST_F(Oskext, T_104_load_without_a_daemon)
{
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.x"), kOSKextReturnDeferred);
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.y"), kOSKextReturnDeferred);
	{
		Daemon daemon;
		EXPECT_EQ(daemon.fetch_one().identifier, "com.example.x");
	}
	EXPECT_EQ(host::stats().pending, 2u);
}

TEST_F(Oskext, T_105_load_of_nothing)
{
	EXPECT_EQ(OSKextLoadKextWithIdentifier(nullptr), kOSKextReturnInvalidArgument);
	EXPECT_EQ(OSKextLoadKextWithIdentifier(""), kOSKextReturnInvalidArgument);
	EXPECT_EQ(OSKextLoadKextWithIdentifier(std::string(5000, 'x').c_str()), kOSKextReturnInvalidArgument);
	EXPECT_EQ(host::stats().pending, 0u);
}

// A kext whose start function failed after a failed delete.
class LoadedKext : public Oskext {
      protected:
	void make_loaded(Daemon &daemon, Kext &kext)
	{
		ASSERT_EQ(kext.insmod(), 0);
		kext.start = [] { return KERN_FAILURE; };
		Unload unload(kext);
		daemon.reply(daemon.wait(1).at(0).id, kOSKextReturnInUse);
		EXPECT_EQ(unload.result(), kOSKextReturnInUse);
		ASSERT_EQ(kext.state(), host::loaded);
	}
};

TEST_F(LoadedKext, T_106_load_starts_it_on_the_callers_thread)
{
	Daemon daemon;
	Kext kext;
	std::thread::id thread;

	make_loaded(daemon, kext);
	EXPECT_EQ(kext.module.refs, 2); // its reference is held all the same
	EXPECT_EQ(OSKextLoadKextWithIdentifier(kext.info.name), kOSKextReturnStartStopError);
	EXPECT_EQ(kext.state(), host::loaded);
	EXPECT_EQ(kext.starts, 3);
	EXPECT_EQ(kext.request(), kOSKextReturnInvalidArgument);
	kext.start = [&] {
		thread = std::this_thread::get_id();
		kext.must_request("in.start");
		return KERN_SUCCESS;
	};
	EXPECT_EQ(OSKextLoadKextWithIdentifier(kext.info.name), kOSReturnSuccess);
	EXPECT_EQ(thread, std::this_thread::get_id());
	EXPECT_EQ(kext.state(), host::started);
	daemon.reply(daemon.fetch_one().id, 0);
	kext.wait_for_calls(1);
	EXPECT_TRUE(daemon.fetch().empty());
}

TEST_F(LoadedKext, discards_what_the_failing_start_requested)
{
	Daemon daemon;
	Kext kext;

	make_loaded(daemon, kext);
	kext.start = [&] {
		kext.must_request();
		return KERN_FAILURE;
	};
	EXPECT_EQ(OSKextLoadKextWithIdentifier(kext.info.name), kOSKextReturnStartStopError);
	EXPECT_TRUE(daemon.fetch().empty());
	EXPECT_EQ(host::stats().discarded, 1u);
}

TEST_F(LoadedKext, can_be_unloaded)
{
	Daemon daemon;
	Kext kext;
	Control control;

	make_loaded(daemon, kext);
	Service service(daemon);
	EXPECT_EQ(control.unload(kext.tag()).result, kOSReturnSuccess);
	EXPECT_FALSE(kext.is_loaded());
	EXPECT_EQ(kext.stops, 1); // the first time
}

TEST_F(LoadedKext, failed_delete_starts_it)
{
	Daemon daemon;
	Kext kext;

	make_loaded(daemon, kext);
	kext.start = nullptr;
	Unload unload(kext);
	daemon.reply(daemon.wait(1).at(0).id, kOSKextReturnInUse);
	EXPECT_EQ(unload.result(), kOSKextReturnInUse);
	EXPECT_EQ(kext.state(), host::started);
}

TEST_F(Oskext, T_108_load_of_itself_in_start)
{
	Daemon daemon;
	Kext kext;
	OSReturn result = 1;

	kext.start = [&] {
		result = OSKextLoadKextWithIdentifier(kext.info.name);
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(result, kOSReturnSuccess);
	EXPECT_EQ(kext.starts, 1);
	EXPECT_TRUE(daemon.fetch().empty());
}

TEST_F(Oskext, T_109_load_does_not_retain)
{
	Kext kext;
	Control control;

	ASSERT_EQ(kext.insmod(), 0);
	OSKextLoadKextWithIdentifier(kext.info.name);
	kextbridge_kext entry = control.list().at(0);
	EXPECT_EQ(entry.retains, 0u);
	EXPECT_EQ(entry.flags, 0u);
	EXPECT_EQ(kext.release(), kOSKextReturnInvalidArgument);
}

// While its unload runs the module would only be found loaded: the daemon hears of the load afterwards.
TEST_F(Oskext, load_waits_for_an_unload)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	Unload unload(kext);
	Record message = daemon.wait(1).at(0);
	EXPECT_EQ(OSKextLoadKextWithIdentifier(kext.info.name), kOSKextReturnDeferred);
	EXPECT_EQ(OSKextLoadKextWithIdentifier(kext.info.name), kOSKextReturnDeferred);
	EXPECT_TRUE(daemon.fetch().empty());
	daemon.reply(message.id, host::delete_for(message));
	EXPECT_EQ(unload.result(), kOSReturnSuccess);
	std::vector<Record> records = daemon.fetch();
	ASSERT_EQ(records.size(), 1u);
	EXPECT_EQ(records[0].kind, static_cast<u32>(KEXTD_LOAD));
	daemon.reply(records[0].id, kOSKextReturnNotFound);
}

// And not at all when the kext stays.
TEST_F(Oskext, load_during_an_unload_that_fails)
{
	Daemon daemon;
	Kext kext;
	Control control;
	std::atomic<fake::Task *> task{nullptr};
	std::atomic<bool> done{false};

	ASSERT_EQ(kext.insmod(), 0);
	Unload unload(kext);
	Record message = daemon.wait(1).at(0);
	std::thread loader([&] {
		task = &fake::current();
		EXPECT_EQ(control.load(kext.info.name, true).result, kOSReturnSuccess);
		while (!done)
			std::this_thread::yield();
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	daemon.reply(message.id, kOSKextReturnInUse);
	EXPECT_EQ(unload.result(), kOSKextReturnInUse);
	done = true;
	loader.join();
	EXPECT_TRUE(daemon.fetch().empty());
	EXPECT_EQ(kext.state(), host::started);
}

TEST_F(Oskext, load_of_an_over_long_name_whatever_the_parameter)
{
	kextbridge_params.max_name = 1 << 20;
	EXPECT_EQ(OSKextLoadKextWithIdentifier(std::string(KEXTBRIDGE_NAME_LIMIT + 1, 'x').c_str()),
		  kOSKextReturnInvalidArgument);
	EXPECT_EQ(host::stats().pending, 0u);
}

TEST_F(Oskext, load_limit)
{
	Daemon daemon;

	for (int i = 0; i < 1024; i++)
		ASSERT_EQ(OSKextLoadKextWithIdentifier(("com.example.n" + std::to_string(i)).c_str()),
			  kOSKextReturnDeferred);
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.more"), kOSKextReturnNoResources);
	EXPECT_EQ(host::stats().limited, 1u);
	daemon.reply(daemon.fetch(1)[0].id, kOSKextReturnNotFound);
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.more"), kOSKextReturnDeferred);
}

// ---- retain and release

TEST_F(Oskext, T_120_retain)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(kext.retain(), kOSReturnSuccess);
	EXPECT_EQ(kext.release(), kOSReturnSuccess);
}

TEST_F(Oskext, T_121_retain_of_the_invalid_tag)
{
	EXPECT_EQ(OSKextRetainKextWithLoadTag(0xffffffff), kOSKextReturnInvalidArgument);
}

TEST_F(Oskext, T_122_retain_of_an_unknown_tag)
{
	EXPECT_EQ(OSKextRetainKextWithLoadTag(4711), kOSKextReturnNotFound);
	EXPECT_EQ(OSKextRetainKextWithLoadTag(0), kOSKextReturnNotFound);
}

TEST_F(Oskext, T_123_release)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.retain();
	EXPECT_EQ(kext.release(), kOSReturnSuccess);
}

TEST_F(Oskext, T_124_release_of_the_invalid_tag)
{
	EXPECT_EQ(OSKextReleaseKextWithLoadTag(0xffffffff), kOSKextReturnInvalidArgument);
}

TEST_F(Oskext, T_125_release_of_an_unknown_tag)
{
	EXPECT_EQ(OSKextReleaseKextWithLoadTag(4711), kOSKextReturnNotFound);
}

TEST_F(Oskext, T_126_tag_of_an_unloaded_kext)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(kext.rmmod_force(), 0);
	EXPECT_EQ(OSKextRetainKextWithLoadTag(kext.load_tag), kOSKextReturnNotFound);
	EXPECT_EQ(OSKextReleaseKextWithLoadTag(kext.load_tag), kOSKextReturnNotFound);
}

TEST_F(Oskext, T_127_reloaded_kext_has_a_new_tag)
{
	Kext kext;
	u32 last = 0;

	for (int i = 0; i < 5; i++) {
		ASSERT_EQ(kext.insmod(), 0);
		EXPECT_GT(kext.tag(), last);
		last = kext.tag();
		EXPECT_EQ(kext.rmmod_force(), 0);
		EXPECT_EQ(OSKextRetainKextWithLoadTag(last), kOSKextReturnNotFound);
	}
}

TEST_F(Oskext, T_128_retained_kext)
{
	Daemon daemon;
	Kext kext;
	Kext plain("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
	Control control;

	ASSERT_EQ(kext.insmod(), 0);
	ASSERT_EQ(plain.insmod(), 0);
	EXPECT_EQ(kext.rmmod(), -SHIM_EAGAIN); // by its base reference alone
	for (Kext *each : {&kext, &plain}) {
		EXPECT_EQ(each->retain(), kOSReturnSuccess);
		EXPECT_EQ(control.unload(each->tag()).result, kOSKextReturnInUse);
		EXPECT_EQ(each->rmmod(), -SHIM_EAGAIN);
		EXPECT_EQ(each->release(), kOSReturnSuccess);
		fake::settle();
	}
	// Released, its reference is gone: rmmod is not refused any more.
	EXPECT_EQ(plain.module.refs, 1);
	EXPECT_EQ(plain.rmmod(), 0);
	EXPECT_EQ(plain.stops, 1);
}

TEST_F(Oskext, retain_and_release_of_a_plain_rmmod_kext)
{
	Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(kext.module.refs, 1);
	kext.retain();
	kext.retain();
	EXPECT_EQ(kext.module.refs, 2);
	kext.release();
	EXPECT_EQ(kext.module.refs, 2);
	for (int i = 0; i < 1000; i++) {
		EXPECT_EQ(kext.release(), kOSReturnSuccess);
		EXPECT_EQ(kext.retain(), kOSReturnSuccess);
		EXPECT_EQ(kext.rmmod(), -SHIM_EAGAIN);
	}
	kext.release();
	EXPECT_EQ(kext.module.refs, 1);
	// Whoever gave it back may be on the way out of the text.
	u64 before = fake::rcu_tasks_grace_periods();
	EXPECT_EQ(kext.rmmod(), 0);
	EXPECT_GT(fake::rcu_tasks_grace_periods(), before);
}

// Nothing keeps the module any more when the release has returned.
TEST_F(Oskext, unload_of_a_plain_rmmod_kext_right_after_its_release)
{
	Daemon daemon;
	Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);

	ASSERT_EQ(kext.insmod(), 0);
	kext.retain();
	EXPECT_EQ(kext.module.refs, 2);
	kext.release();
	EXPECT_EQ(kext.module.refs, 1);
	Unload unload(kext);
	Record message = daemon.wait(1).at(0);
	EXPECT_EQ(daemon.reply(message.id, host::delete_for(message)), kOSReturnSuccess);
	EXPECT_EQ(unload.result(), kOSReturnSuccess);
	EXPECT_EQ(kext.starts, 1);
	EXPECT_EQ(kext.stops, 1);
}

TEST_F(Oskext, T_129_autounload)
{
	Daemon daemon;
	Kext kext;
	Service service(daemon);

	ASSERT_EQ(kext.insmod(), 0);
	kext.retain();
	kext.release();
	fake::advance_ms(60000);
	while (kext.is_loaded())
		std::this_thread::yield();
	EXPECT_EQ(kext.stops, 1);
	service.finish();
	fake::settle();
	EXPECT_EQ(host::stats().autounloads, 1u);
	EXPECT_EQ(host::stats().unloads, 1u);
}

TEST_F(Oskext, T_130_not_before_the_delay)
{
	Daemon daemon;
	Kext kext;
	Service service(daemon);

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(kextbridge_params.autounload_delay_ms, 60000u);
	fake::advance_ms(1000000);
	kext.retain();
	fake::advance_ms(1000000);
	kext.release();
	fake::advance_ms(59999);
	EXPECT_EQ(kext.state(), host::started);
	EXPECT_EQ(kext.stops, 0);
	fake::advance_ms(1);
	EXPECT_EQ(kext.stops, 1);
}

// A scan that finds it busy comes again, but not at once: this would not end.
TEST_F(Oskext, T_130_no_delay_is_a_millisecond)
{
	Daemon daemon;
	Kext kext;

	kextbridge_params.autounload_delay_ms = 0;
	ASSERT_EQ(kext.insmod(), 0);
	OSKextRequestTag tag = kext.must_request();

	kext.retain();
	kext.release();
	fake::advance_ms(10);
	EXPECT_EQ(kext.state(), host::started);
	EXPECT_EQ(kext.cancel(tag), kOSReturnSuccess);
	fake::advance_ms(2);
	EXPECT_EQ(kext.stops, 1);
}

TEST_F(Oskext, T_131_three_retains)
{
	Daemon daemon;
	Kext kext;
	Service service(daemon);

	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 3; i++)
		kext.retain();
	kext.release();
	kext.release();
	fake::advance_ms(180000);
	EXPECT_EQ(kext.stops, 0);
	kext.release();
	fake::advance_ms(60000);
	EXPECT_EQ(kext.stops, 1);
}

TEST_F(Oskext, T_132_never_retained)
{
	Daemon daemon;
	Kext kext;
	Kext other;

	other.stop = [] { return KERN_FAILURE; };
	ASSERT_EQ(kext.insmod(), 0);
	ASSERT_EQ(other.insmod(), 0);
	for (int i = 0; i < 10; i++) {
		other.retain();
		other.release();
		fake::advance_ms(60000);
	}
	EXPECT_EQ(other.stops, 10);
	EXPECT_EQ(kext.stops, 0);
	EXPECT_EQ(kext.state(), host::started);
}

TEST_F(Oskext, T_133_autounload_flag_survives_a_veto)
{
	Daemon daemon;
	Kext kext;
	Kext other;

	kext.stop = [] { return KERN_FAILURE; };
	other.stop = [] { return KERN_FAILURE; };
	ASSERT_EQ(kext.insmod(), 0);
	ASSERT_EQ(other.insmod(), 0);
	kext.retain();
	kext.release();
	fake::advance_ms(60000);
	int stops = kext.stops;
	EXPECT_EQ(stops, 1);
	other.retain();
	other.release();
	fake::advance_ms(60000);
	EXPECT_GT(kext.stops, stops);
}

// Whoever comes back to Started is scanned again, without anybody's help.
TEST_F(Oskext, T_133_veto_arms_the_next_scan)
{
	Daemon daemon;
	Kext kext;

	kext.stop = [&] { return kext.stops < 3 ? KERN_FAILURE : KERN_SUCCESS; };
	ASSERT_EQ(kext.insmod(), 0);
	kext.retain();
	kext.release();
	fake::advance_ms(60000);
	EXPECT_EQ(kext.stops, 1);
	fake::advance_ms(59000);
	EXPECT_EQ(kext.stops, 1);
	fake::advance_ms(1000);
	EXPECT_EQ(kext.stops, 2);
	fake::advance_ms(60000);
	EXPECT_EQ(kext.stops, 3);
	daemon.reply(daemon.fetch_one().id, kOSKextReturnInUse);
	fake::settle();
	EXPECT_EQ(kext.state(), host::started);
}

// Released in a start function that takes longer than the delay.
TEST_F(Oskext, T_133_release_in_a_long_start)
{
	Daemon daemon;
	Kext kext;

	kext.start = [&] {
		if (kext.starts == 1) {
			kext.retain();
			kext.release();
			fake::advance_ms(200000);
		}
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	fake::advance_ms(60000);
	EXPECT_EQ(kext.stops, 1);
	daemon.reply(daemon.fetch_one().id, kOSKextReturnInUse);
	fake::settle();
}

// Loaded at the same time, the older tag is listed later: the scan takes both, the newest first.
TEST_F(Oskext, T_136_kexts_are_listed_by_tag)
{
	Daemon daemon;
	std::mutex mutex;
	std::vector<u32> stopped;
	Kext older;
	Kext newer;
	Control control;

	fake::xa_always_allocates(true);
	fake::at_next(fake::Moment::XaLockDropped, [&] { EXPECT_EQ(newer.insmod(), 0); });
	ASSERT_EQ(older.insmod(), 0);
	EXPECT_EQ(older.tag(), 1u);
	EXPECT_EQ(newer.tag(), 2u);
	EXPECT_EQ(control.list().at(0).load_tag, 1u);
	for (Kext *kext : {&older, &newer}) {
		kext->stop = [&, tag = kext->tag()] {
			std::lock_guard lock(mutex);

			stopped.push_back(tag);
			return KERN_FAILURE;
		};
		kext->retain();
		kext->release();
	}
	fake::advance_ms(60000);
	std::lock_guard lock(mutex);
	EXPECT_EQ(stopped.size(), 2u);
}

TEST_F(Oskext, T_134_releases_postpone_but_not_for_ever)
{
	Daemon daemon;
	Kext a;
	Kext b;

	a.stop = b.stop = [] { return KERN_FAILURE; };
	ASSERT_EQ(a.insmod(), 0);
	ASSERT_EQ(b.insmod(), 0);
	a.retain();
	a.release();
	b.retain();
	for (int i = 1; i <= 9; i++) {
		fake::advance_ms(30000);
		EXPECT_EQ(a.stops, 0) << i;
		b.retain();
		b.release();
	}
	fake::advance_ms(30000); // five delays
	EXPECT_EQ(a.stops, 1);
	b.release();
}

TEST_F(Oskext, T_135_request_postpones_a_scan)
{
	Daemon daemon;
	Kext a;
	Kext b;

	a.stop = [] { return KERN_FAILURE; };
	ASSERT_EQ(a.insmod(), 0);
	ASSERT_EQ(b.insmod(), 0);
	a.retain();
	a.release();
	fake::advance_ms(50000);
	b.must_request();
	fake::advance_ms(59999);
	EXPECT_EQ(a.stops, 0);
	fake::advance_ms(1);
	EXPECT_EQ(a.stops, 1);
	b.cancel_all();
}

TEST_F(Oskext, T_136_scan_covers_all_kexts)
{
	Daemon daemon;
	Kext kexts[4];

	for (Kext &kext : kexts) {
		kext.stop = [] { return KERN_FAILURE; };
		ASSERT_EQ(kext.insmod(), 0);
		kext.retain();
		kext.release();
	}
	kexts[0].retain();
	fake::advance_ms(60000);
	EXPECT_EQ(kexts[0].stops, 0);
	for (int i = 1; i < 4; i++)
		EXPECT_EQ(kexts[i].stops, 1);
	kexts[0].release();
}

// B uses A: the module count keeps A until B is gone, and then A follows at once.
TEST_F(Oskext, T_138_dependent_kexts_leave_in_one_scan)
{
	Daemon daemon;
	Kext a;
	Kext b;
	std::vector<int> order;

	ASSERT_EQ(a.insmod(), 0);
	ASSERT_EQ(b.insmod(), 0);
	ASSERT_TRUE(shim_try_module_get(&a.module)); // the symbol use
	a.stop = [&] {
		order.push_back(1);
		return KERN_SUCCESS;
	};
	b.stop = [&] {
		order.push_back(2);
		return KERN_SUCCESS;
	};
	for (Kext *kext : {&a, &b}) {
		kext->retain();
		kext->release();
	}
	Service service(daemon, 1, [&](const Record &record) {
		kextd_reply reply = Service::usual(record);

		if (!reply.result && !b.is_loaded() && a.module.refs == 3)
			shim_module_put(&a.module);
		return reply;
	});
	fake::advance_ms(60000);
	while (b.is_loaded())
		std::this_thread::yield();
	// Without a new delay.
	while (a.is_loaded()) {
		fake::advance_ms(1);
		std::this_thread::yield();
	}
	EXPECT_LT(fake::now(), (1000 + 60000 + 30000) * 1000000ull);
	EXPECT_EQ(order, (std::vector<int>{2, 1}));
	service.finish();
	fake::settle();
}

TEST_F(Oskext, T_139_used_kext_stays)
{
	Daemon daemon;
	Kext a;
	Control control;

	ASSERT_EQ(a.insmod(), 0);
	a.retain();
	a.release();
	ASSERT_TRUE(shim_try_module_get(&a.module));
	fake::advance_ms(1000000);
	EXPECT_EQ(a.stops, 0);
	EXPECT_EQ(control.unload(a.tag()).result, kOSKextReturnInUse);
	EXPECT_EQ(a.stops, 0);
	shim_module_put(&a.module);
}

TEST_F(Oskext, T_141_release_without_retain)
{
	Kext kext;
	Control control;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(kext.release(), kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.list().at(0).retains, 0u);
	EXPECT_EQ(control.list().at(0).flags, 0u);
	ASSERT_EQ(fake::log().size(), 1u);
	EXPECT_NE(fake::log()[0].find(kext.info.name), std::string::npos);
	kext.retain();
	kext.release();
	EXPECT_EQ(kext.release(), kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.list().at(0).retains, 0u);
	EXPECT_EQ(host::stats().releases, 1u);
}

TEST_F(Oskext, T_142_retain_count_overflow)
{
	Kext kext;
	Control control;
	u32 count = host::rounds(1 << 20);

	ASSERT_EQ(kext.insmod(), 0);
	for (u32 i = 0; i < count; i++)
		ASSERT_EQ(kext.retain(), kOSReturnSuccess);
	EXPECT_EQ(control.list().at(0).retains, count);
	for (u32 i = 0; i < count; i++)
		ASSERT_EQ(kext.release(), kOSReturnSuccess);
	EXPECT_EQ(kext.release(), kOSKextReturnInvalidArgument);
	host_set_retains(kext.tag(), 0x7ffffffe);
	EXPECT_EQ(kext.retain(), kOSReturnSuccess);
	EXPECT_EQ(kext.retain(), kOSKextReturnNoResources);
	EXPECT_NE(fake::log().back().find(kext.info.name), std::string::npos);
	EXPECT_EQ(control.list().at(0).retains, 0x7fffffffu);
	EXPECT_EQ(kext.release(), kOSReturnSuccess);
	host_set_retains(kext.tag(), 0);
}

TEST_F(Oskext, T_143_retain_in_start)
{
	Kext kext;
	OSReturn result = 1;

	kext.start = [&] {
		result = kext.retain();
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(result, kOSReturnSuccess);
	EXPECT_EQ(kext.release(), kOSReturnSuccess);
}

TEST_F(Oskext, T_144_retain_in_stop)
{
	Daemon daemon;
	Kext kext;
	Control control;
	OSReturn result = 1;

	kext.stop = [&] {
		result = kext.retain();
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	Service service(daemon);
	EXPECT_EQ(control.unload(kext.tag()).result, kOSReturnSuccess);
	EXPECT_EQ(result, kOSKextReturnNotFound);
	EXPECT_NE(fake::log().at(0).find(kext.info.name), std::string::npos);
}

// The thread that released is still in the kext's text when its stop function runs, which waits for it.
TEST_F(Oskext, T_145_release_returns_after_stop_has_begun)
{
	Daemon daemon;
	Kext kext;
	std::atomic<bool> in_stop{false};
	std::atomic<bool> thread_is_out{false};

	kext.stop = [&] {
		in_stop = true;
		while (!thread_is_out)
			std::this_thread::yield();
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	kext.retain();
	Service service(daemon);
	std::thread releaser([&] {
		kext.release();
		while (!in_stop)
			std::this_thread::yield();
		EXPECT_TRUE(kext.is_loaded());
		thread_is_out = true;
	});
	u64 before = fake::rcu_tasks_grace_periods();
	fake::advance_ms(1);
	while (!in_stop)
		fake::jump_ms(60000);
	releaser.join();
	while (kext.is_loaded())
		std::this_thread::yield();
	EXPECT_GT(fake::rcu_tasks_grace_periods(), before);
}

TEST_F(Oskext, T_148_no_daemon_no_autounload)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.retain();
	kext.release();
	fake::advance_ms(10000000);
	EXPECT_EQ(kext.stops, 0);
	EXPECT_EQ(kext.state(), host::started);
	// Nothing is lost: the scan's decision waited.
	Daemon daemon;
	Service service(daemon);
	while (kext.is_loaded()) {
		fake::advance_ms(1);
		std::this_thread::yield();
	}
	EXPECT_EQ(kext.stops, 1);
}

// ---- unload: what refuses it, and what becomes of it

TEST_F(Oskext, unload_refusals)
{
	Kext kext;
	Control control;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(control.unload(4711).result, kOSKextReturnNotFound);
	EXPECT_EQ(control.unload(kext.tag()).result, kOSKextReturnDisabled);
	Daemon daemon;
	ASSERT_TRUE(shim_try_module_get(&kext.module));
	EXPECT_EQ(control.unload(kext.tag()).result, kOSKextReturnInUse);
	shim_module_put(&kext.module);
	EXPECT_EQ(kext.stops, 0);
	Unload unload(kext);
	Record message = daemon.wait(1).at(0);
	EXPECT_EQ(control.unload(kext.tag()).result, kOSKextReturnInUse);
	EXPECT_EQ(kext.retain(), kOSKextReturnNotFound);
	EXPECT_EQ(kext.request(), kOSKextReturnInvalidArgument);
	EXPECT_EQ(daemon.reply(message.id, host::delete_for(message)), kOSReturnSuccess);
	EXPECT_EQ(unload.result(), kOSReturnSuccess);
	EXPECT_EQ(control.unload(kext.load_tag).result, kOSKextReturnNotFound);
}

// Somebody found the kext and let go of the lock; meanwhile it leaves, and its struct module with it.
TEST_F(Oskext, unload_of_a_kext_that_goes_meanwhile)
{
	Daemon daemon;
	Kext kext;
	Control control;

	ASSERT_EQ(kext.insmod(), 0);
	fake::at_next(fake::Moment::Allocation, [&] { std::thread([&] { EXPECT_EQ(kext.rmmod_force(), 0); }).join(); });
	EXPECT_EQ(control.unload(kext.tag()).result, kOSKextReturnNotFound);
	EXPECT_FALSE(kext.is_loaded());
}

// A default deadline of 0 means none, for an unload too.
TEST_F(Oskext, unload_without_a_deadline)
{
	Daemon daemon;
	Kext kext;

	kextbridge_params.request_timeout_ms = 0;
	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	EXPECT_EQ(daemon.fetch_one().deadline_ns, 0u);
	kext.cancel_all();
	daemon.fetch_one();
	Unload unload(kext);
	Record message = daemon.wait(1).at(0);
	fake::advance_ms(1000000);
	EXPECT_EQ(kext.state(), host::stopped);
	daemon.reply(message.id, host::delete_for(message));
	EXPECT_EQ(unload.result(), kOSReturnSuccess);
	EXPECT_EQ(kext.starts, 1);
}

// The daemon says that it could not delete it, its start function fails, and an rmmod waits for the outcome.
TEST_F(Oskext, unload_fails_start_fails_and_exit_waits)
{
	for (u32 round = 0; round < host::rounds(100); round++) {
		Daemon daemon;
		Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
		std::atomic<bool> starting{false};
		std::atomic<bool> let_go{false};
		std::atomic<fake::Task *> task{nullptr};

		ASSERT_EQ(kext.insmod(), 0);
		Unload unload(kext);
		Record message = daemon.wait(1).at(0);
		kext.start = [&] {
			starting = true;
			while (!let_go)
				std::this_thread::yield();
			for (int i = 0; i < 100; i++)
				kext.request();
			return KERN_FAILURE;
		};
		EXPECT_EQ(daemon.reply(message.id, kOSKextReturnInUse), kOSReturnSuccess);
		while (!starting)
			std::this_thread::yield();
		std::thread remover([&] {
			task = &fake::current();
			EXPECT_EQ(kext.rmmod(), 0);
		});
		while (!task)
			std::this_thread::yield();
		fake::wait_until_asleep(*task);
		let_go = true;
		remover.join();
		unload.result();
		EXPECT_EQ(kext.stops, 1);
	}
}

// In its start function a kext cannot be unloaded.
TEST_F(Oskext, unload_while_starting)
{
	Daemon daemon;
	Kext kext;
	Control control;

	kext.start = [&] {
		EXPECT_EQ(control.unload(kext.tag()).result, kOSKextReturnInUse);
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
}

TEST_F(Oskext, lease_daemon_dies_between_stop_and_delete)
{
	Kext kext;
	auto daemon = std::make_unique<Daemon>();

	ASSERT_EQ(kext.insmod(), 0);
	Unload unload(kext);
	Record message = daemon->wait(1).at(0);
	EXPECT_EQ(kext.state(), host::stopped);
	daemon.reset();
	EXPECT_EQ(unload.result(), kOSKextReturnDisabled);
	EXPECT_EQ(kext.state(), host::started);
	EXPECT_EQ(kext.starts, 2);
	EXPECT_EQ(kext.module.refs, 2);
	EXPECT_EQ(kext.rmmod(), -SHIM_EAGAIN);
}

TEST_F(Oskext, lease_daemon_dies_before_it_fetches_the_message)
{
	Kext kext;
	auto daemon = std::make_unique<Daemon>();

	ASSERT_EQ(kext.insmod(), 0);
	Unload unload(kext);
	while (kext.state() != host::stopped)
		std::this_thread::yield();
	fake::settle();
	daemon.reset();
	EXPECT_EQ(unload.result(), kOSKextReturnDisabled);
	EXPECT_EQ(kext.starts, 2);
	EXPECT_EQ(kext.state(), host::started);
	Daemon next;
	EXPECT_TRUE(next.fetch().empty());
}

TEST_F(Oskext, lease_daemon_dies_during_the_stop_function)
{
	Kext kext;
	auto daemon = std::make_unique<Daemon>();

	kext.stop = [&] {
		daemon.reset();
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	Unload unload(kext);
	EXPECT_EQ(unload.result(), kOSKextReturnDisabled);
	EXPECT_EQ(kext.starts, 2);
	EXPECT_EQ(kext.module.refs, 2);
}

// The module is deleted and the daemon dies before it says so: done is done.
TEST_F(Oskext, lease_daemon_dies_after_the_delete)
{
	Kext kext;
	auto daemon = std::make_unique<Daemon>();

	ASSERT_EQ(kext.insmod(), 0);
	Unload unload(kext);
	Record message = daemon->wait(1).at(0);
	EXPECT_EQ(host::delete_for(message), kOSReturnSuccess);
	daemon.reset();
	EXPECT_EQ(unload.result(), kOSReturnSuccess);
	EXPECT_EQ(kext.starts, 1);
}

TEST_F(Oskext, lease_daemon_says_done_and_it_is_not)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	Unload unload(kext);
	daemon.reply(daemon.wait(1).at(0).id, kOSReturnSuccess);
	EXPECT_EQ(unload.result(), kOSKextReturnInternalError);
	EXPECT_EQ(kext.state(), host::started);
	EXPECT_EQ(kext.starts, 2);
}

// Somebody else was quicker than the daemon.
TEST_F(Oskext, lease_module_is_removed_by_hand)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	Unload unload(kext);
	while (kext.state() != host::stopped || kext.module.refs != 1)
		std::this_thread::yield();
	EXPECT_EQ(kext.rmmod(), 0);
	EXPECT_EQ(unload.result(), kOSReturnSuccess);
	EXPECT_EQ(kext.stops, 1);
	for (const Record &record : daemon.fetch())
		EXPECT_EQ(record.kind, static_cast<u32>(KEXTD_CANCEL));
}

TEST_F(Oskext, lease_deadline_of_a_hanging_daemon)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	Unload unload(kext);
	Record message = daemon.wait(1).at(0);
	EXPECT_EQ(message.deadline_ns, fake::now() + 120000 * 1000000ull);
	fake::advance_ms(120000);
	EXPECT_EQ(unload.result(), kOSKextReturnTimeout);
	EXPECT_EQ(kext.state(), host::started);
	EXPECT_EQ(daemon.reply(message.id, 0), kOSKextReturnNotFound);
}

TEST_F(Oskext, lease_wait_is_killable)
{
	Daemon daemon;
	Kext kext;
	std::atomic<bool> let_go{false};

	kext.stop = [&] {
		while (!let_go)
			std::this_thread::yield();
		return KERN_FAILURE;
	};
	ASSERT_EQ(kext.insmod(), 0);
	Unload unload(kext);
	fake::wait_until_asleep(unload.task());
	// A signal that is not fatal does not end it.
	fake::interrupt(unload.task());
	std::this_thread::sleep_for(std::chrono::milliseconds(2));
	EXPECT_EQ(kext.state(), host::stopping);
	fake::kill(unload.task());
	EXPECT_EQ(unload.error(), -SHIM_ERESTARTSYS);
	let_go = true;
	fake::settle();
	EXPECT_EQ(kext.state(), host::started);
}

// A hung stop function blocks nobody else.
TEST_F(Oskext, lease_hung_stop_function)
{
	Daemon daemon;
	Kext hung;
	Kext other;
	Control control;
	std::atomic<bool> let_go{false};

	hung.stop = [&] {
		while (!let_go)
			std::this_thread::yield();
		return KERN_SUCCESS;
	};
	ASSERT_EQ(hung.insmod(), 0);
	ASSERT_EQ(other.insmod(), 0);
	Service service(daemon);
	Unload unload(hung);
	while (!hung.in_stop)
		std::this_thread::yield();
	other.must_request();
	other.wait_for_calls(1);
	EXPECT_EQ(control.unload(other.tag()).result, kOSReturnSuccess);
	EXPECT_EQ(control.list().at(0).state, static_cast<u32>(KEXT_STATE_STOPPING));
	let_go = true;
	EXPECT_EQ(unload.result(), kOSReturnSuccess);
}

// Failed deletes are tried again ever more rarely, and do not hold back others.
TEST_F(Oskext, lease_repeated_failures_back_off)
{
	Daemon daemon;
	Kext kext;
	Kext other;

	other.stop = [] { return KERN_FAILURE; };
	ASSERT_EQ(kext.insmod(), 0);
	ASSERT_EQ(other.insmod(), 0);
	Service service(daemon, 1,
			[](const Record &record) { return host::reply_with(record.id, kOSKextReturnInUse); });
	auto wait_started = [&] {
		while (kext.state() != host::started)
			std::this_thread::yield();
		fake::settle();
	};
	kext.retain();
	kext.release();
	fake::advance_ms(60000);
	wait_started();
	EXPECT_EQ(kext.stops, 1);
	int stops = 1;
	for (u32 delays : {2, 4, 8}) {
		fake::advance_ms(60000 * delays - 1000);
		wait_started();
		EXPECT_EQ(kext.stops, stops) << delays;
		fake::advance_ms(1000);
		while (kext.stops == stops)
			std::this_thread::yield();
		wait_started();
		EXPECT_EQ(kext.stops, ++stops) << delays;
	}
	// The next scan is 16 delays away; another kext's release is served after one.
	other.retain();
	other.release();
	fake::advance_ms(60000);
	EXPECT_EQ(other.stops, 1);
	EXPECT_EQ(kext.stops, stops);
}

// rmmod -f gets past the base reference; the exit wrapper copes with every state.
TEST_F(Oskext, forced_rmmod_in_every_state)
{
	Daemon daemon;
	{
		Kext kext;

		ASSERT_EQ(kext.insmod(), 0);
		kext.must_request();
		kext.retain();
		EXPECT_EQ(kext.rmmod_force(), 0);
		EXPECT_EQ(kext.calls().at(0).result, kOSKextReturnTimeout);
		EXPECT_EQ(kext.stops, 1);
	}
	{
		Kext kext;

		ASSERT_EQ(kext.insmod(), 0);
		Unload unload(kext);
		Record message = daemon.wait(1).at(0);
		EXPECT_EQ(kext.rmmod_force(), 0);
		EXPECT_EQ(kext.stops, 1);
		daemon.reply(message.id, kOSReturnSuccess);
		EXPECT_EQ(unload.result(), kOSReturnSuccess);
	}
	{
		Kext kext;
		std::atomic<bool> in_stop{false};
		std::atomic<bool> let_go{false};

		kext.stop = [&] {
			in_stop = true;
			while (!let_go)
				std::this_thread::yield();
			return KERN_SUCCESS;
		};
		ASSERT_EQ(kext.insmod(), 0);
		Unload unload(kext);
		while (!in_stop)
			std::this_thread::yield();
		std::thread rmmod([&] { EXPECT_EQ(kext.rmmod_force(), 0); });
		std::this_thread::sleep_for(std::chrono::milliseconds(1));
		let_go = true;
		rmmod.join();
		EXPECT_EQ(kext.stops, 1);
		EXPECT_EQ(unload.result(), kOSReturnSuccess);
	}
	{
		Kext kext;

		kext.stop = [] { return KERN_FAILURE; };
		ASSERT_EQ(kext.insmod(), 0);
		EXPECT_EQ(kext.rmmod_force(), 0); // refused, but gone
		EXPECT_FALSE(kext.is_loaded());
	}
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
