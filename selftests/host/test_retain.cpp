// SPDX-License-Identifier: GPL-2.0-only
// Retain, release, autounload.
#include "kit.hpp"

namespace {

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

} // namespace
