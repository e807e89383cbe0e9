// SPDX-License-Identifier: GPL-2.0-only
// How a kext comes: registration, and loads that somebody asks for.
#include <cstring>

#include "../lib/versions.h"
#include "kit.hpp"

namespace {

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

TEST_F(Oskext, T_160_load_tag_for_identifier)
{
	Daemon daemon;
	Kext a("com.example.a");
	Kext b("com.example.b", KEXTBRIDGE_KEXT_PLAIN_RMMOD);

	EXPECT_EQ(OSKextGetLoadTagForIdentifier("com.example.a"), kOSKextInvalidLoadTag);
	a.start = [&] {
		EXPECT_EQ(OSKextGetLoadTagForIdentifier("com.example.a"), a.info.id);
		return KERN_SUCCESS;
	};
	ASSERT_EQ(a.insmod(), 0);
	ASSERT_EQ(b.insmod(), 0);
	EXPECT_EQ(OSKextGetLoadTagForIdentifier("com.example.a"), a.tag());
	EXPECT_EQ(OSKextGetLoadTagForIdentifier("com.example.b"), b.tag());
	EXPECT_EQ(OSKextGetLoadTagForIdentifier("__kernel__"), 0u);
	for (const char *other :
	     {"com.example", "com.example.", "com.example.aa", "com.example.A", "", "__kernel", "0"})
		EXPECT_EQ(OSKextGetLoadTagForIdentifier(other), kOSKextInvalidLoadTag) << other;
	EXPECT_EQ(OSKextGetLoadTagForIdentifier(std::string(5000, 'a').c_str()), kOSKextInvalidLoadTag);
	EXPECT_EQ(OSKextGetLoadTagForIdentifier(nullptr), kOSKextInvalidLoadTag);
	// Not loaded any more; the next time it is another one.
	u32 before = b.tag();
	ASSERT_EQ(b.rmmod(), 0);
	EXPECT_EQ(OSKextGetLoadTagForIdentifier("com.example.b"), kOSKextInvalidLoadTag);
	ASSERT_EQ(b.insmod(), 0);
	EXPECT_EQ(OSKextGetLoadTagForIdentifier("com.example.b"), b.tag());
	EXPECT_NE(b.tag(), before);
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
	for (const char *good : {VERSIONS}) {
		Kext kext("com.example.v", 0, good);

		EXPECT_EQ(kext.insmod(), 0) << good;
	}
	for (const char *bad : {NO_VERSIONS}) {
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
	// That one is wanted already, so nothing more is queued for it.
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.n1023"), kOSKextReturnDeferred);
	EXPECT_EQ(host::stats().limited, 1u);
	daemon.reply(daemon.fetch(1)[0].id, kOSKextReturnNotFound);
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.more"), kOSKextReturnDeferred);
}

} // namespace
