// SPDX-License-Identifier: GPL-2.0-only
// How a kext leaves when somebody asks for it, and what happens when it does not get far: leases, rmmod -f.
#include "kextbridge/instance.h"
#include "kit.hpp"

namespace {

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
	while (!kext.in_stop)
		std::this_thread::yield();
	fake::wait_until_asleep(unload.task());
	// A signal that is not fatal does not end it. The time is for one that would.
	fake::interrupt(unload.task());
	std::this_thread::sleep_for(std::chrono::milliseconds(2));
	EXPECT_FALSE(unload.has_returned());
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

// As of a class with inline constructors, whose first object another kext makes.
TEST_F(Oskext, class_outlives_the_kext_that_used_it_first)
{
	kextbridge_class stream = {"Stream", 0, 0, nullptr};
	Daemon daemon;
	Service service(daemon);
	Control control;
	Kext owner;
	Kext user;
	auto create = [&](Kext &by) {
		stream.instances++;
		if (!stream.known)
			kextbridge_class_register(&by.info, &stream);
	};

	ASSERT_EQ(owner.insmod(), 0);
	ASSERT_EQ(user.insmod(), 0);
	create(user);
	EXPECT_EQ(control.unload(user.tag()).result, kOSKextReturnInUse);
	stream.instances--;
	EXPECT_EQ(control.unload(user.tag()).result, kOSReturnSuccess);
	create(owner);
	EXPECT_EQ(control.unload(owner.tag()).result, kOSKextReturnInUse);
	stream.instances--;
	EXPECT_EQ(control.unload(owner.tag()).result, kOSReturnSuccess);
}

} // namespace
