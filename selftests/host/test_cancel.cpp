// SPDX-License-Identifier: GPL-2.0-only
// Taking requests back.
#include "kit.hpp"

namespace {

void *const kSentinel = reinterpret_cast<void *>(0x5e9717e1);

TEST_F(Oskext, T_001_cancelled_request_never_calls_back)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 unfetched = kext.must_request("a");
	EXPECT_EQ(kext.cancel(unfetched), kOSReturnSuccess);

	u32 fetched = kext.must_request("b");
	Record record = daemon.fetch_one();
	EXPECT_EQ(record.tag(), fetched);
	EXPECT_EQ(kext.cancel(fetched), kOSReturnSuccess);
	EXPECT_EQ(daemon.reply(record.id, kOSReturnSuccess, "late"), kOSKextReturnNotFound);
	fake::advance_ms(200000);
	EXPECT_EQ(kext.call_count(), 0u);
	EXPECT_EQ(host::stats().late_replies, 1u);
}

TEST_F(Oskext, T_002_cancel_gives_the_context_back)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	void *out = kSentinel;
	EXPECT_EQ(kext.cancel(kext.must_request("a", X), &out), kOSReturnSuccess);
	EXPECT_EQ(out, X);
}

TEST_F(Oskext, T_003_never_issued_tag)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(kext.cancel(4711), kOSKextReturnNotFound);
	EXPECT_EQ(static_cast<u32>(kOSKextReturnNotFound), 0xdc008006u);
	EXPECT_EQ(kext.cancel(0), kOSKextReturnNotFound);
}

TEST_F(Oskext, T_004_second_cancel)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request();
	EXPECT_EQ(kext.cancel(tag), kOSReturnSuccess);
	EXPECT_EQ(kext.cancel(tag), kOSKextReturnNotFound);
	EXPECT_EQ(kext.cancel_nowait(tag), kOSKextReturnNotFound);
}

TEST_F(Oskext, T_005_cancel_after_the_callback)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request();
	EXPECT_EQ(daemon.reply(daemon.fetch_one().id, kOSReturnSuccess, "x"), kOSReturnSuccess);
	kext.wait_for_calls(1);
	fake::settle();
	EXPECT_EQ(kext.cancel(tag), kOSKextReturnNotFound);
}

TEST_F(Oskext, T_006_context_out_may_be_null)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(kext.cancel(kext.must_request("a", X), nullptr), kOSReturnSuccess);
}

TEST_F(Oskext, T_007_null_context_is_given_back)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	void *out = kSentinel;
	EXPECT_EQ(kext.cancel(kext.must_request("a", nullptr), &out), kOSReturnSuccess);
	EXPECT_EQ(out, nullptr);
}

TEST_F(Oskext, T_008_unknown_tag_leaves_the_context_alone)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	void *out = kSentinel;
	EXPECT_EQ(kext.cancel(4711, &out), kOSKextReturnNotFound);
	EXPECT_EQ(out, kSentinel);
}

TEST_F(Oskext, T_009_invalid_tag)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(kext.cancel(0xffffffff), kOSKextReturnNotFound);
}

// A callback that another thread can hold in the middle.
struct Held {
	std::atomic<bool> entered{false};
	std::atomic<bool> let_go{false};

	void operator()()
	{
		entered = true;
		while (!let_go)
			std::this_thread::yield();
	}
	void wait_entered()
	{
		while (!entered)
			std::this_thread::yield();
	}
};

TEST_F(Oskext, T_010_cancel_waits_for_a_running_callback)
{
	Daemon daemon;
	Kext kext;
	Held held;
	std::atomic<bool> returned{false};

	kext.on_callback = [&](const Call &) {
		held();
		std::this_thread::sleep_for(std::chrono::milliseconds(20));
		returned = true;
	};
	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request();
	daemon.reply(daemon.fetch_one().id, kOSReturnSuccess);
	held.wait_entered();

	EXPECT_EQ(kext.cancel_nowait(tag), kOSKextReturnInUse);
	std::atomic<fake::Task *> task{nullptr};
	std::thread canceller([&] {
		void *out = kSentinel;

		task = &fake::current();
		EXPECT_EQ(kext.cancel(tag, &out), kOSKextReturnNotFound);
		EXPECT_TRUE(returned);
		EXPECT_EQ(out, kSentinel);
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	EXPECT_FALSE(returned);
	held.let_go = true;
	canceller.join();
	kext.wait_for_calls(1);
	EXPECT_EQ(host::stats().cancelled, 0u);
}

TEST_F(Oskext, T_010_cancel_waits_for_its_own_callback_only)
{
	Daemon daemon;
	Kext a;
	Kext b;
	Held held;

	a.on_callback = [&](const Call &) { held(); };
	ASSERT_EQ(a.insmod(), 0);
	ASSERT_EQ(b.insmod(), 0);
	a.must_request();
	u32 other = a.must_request();
	u32 foreign = b.must_request();
	daemon.reply(daemon.fetch(1)[0].id, kOSReturnSuccess);
	held.wait_entered();
	// Neither an unknown tag nor a waiting request has anything to wait for.
	EXPECT_EQ(a.cancel(4711), kOSKextReturnNotFound);
	EXPECT_EQ(a.cancel(other), kOSReturnSuccess);
	EXPECT_EQ(b.cancel(foreign), kOSReturnSuccess);
	held.let_go = true;
	a.wait_for_calls(1);
}

TEST_F(Oskext, T_011_callback_cancels_its_own_tag)
{
	Daemon daemon;
	Kext kext;
	std::atomic<OSReturn> result{1};

	kext.on_callback = [&](const Call &call) { result = kext.cancel(call.tag); };
	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	daemon.reply(daemon.fetch_one().id, kOSReturnSuccess);
	kext.wait_for_calls(1);
	EXPECT_EQ(result, kOSKextReturnNotFound);
}

TEST_F(Oskext, T_012_callback_cancels_another)
{
	Daemon daemon;
	Kext kext;
	u32 pending = 0;
	u32 fetched = 0;
	u32 answered = 0;

	kext.on_callback = [&](const Call &) {
		void *out = nullptr;

		EXPECT_EQ(kext.cancel(pending), kOSReturnSuccess);
		EXPECT_EQ(kext.cancel(fetched), kOSReturnSuccess);
		EXPECT_EQ(kext.cancel(answered, &out), kOSReturnSuccess);
		EXPECT_EQ(out, X);
	};
	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request("first");
	answered = kext.must_request("answered", X);
	fetched = kext.must_request("fetched");
	std::vector<Record> records = daemon.fetch(3);
	ASSERT_EQ(records.size(), 3u);
	pending = kext.must_request("pending");
	// Both answers in one call: the second is there before the first callback can have run to its end.
	kextd_reply replies[] = {host::reply_with(records[0].id, 0), host::reply_with(records[1].id, 0, "data")};
	kextd_exchange args{};
	args.size = sizeof(args);
	args.replies = fake::user(replies);
	args.reply_count = 2;
	Held both;
	auto cancel_others = kext.on_callback;
	kext.on_callback = [&](const Call &call) {
		both();
		cancel_others(call);
	};
	EXPECT_EQ(daemon.ioctl(args), 0);
	both.let_go = true;
	kext.wait_for_calls(1);
	fake::advance_ms(200000);
	EXPECT_EQ(kext.call_count(), 1u);
}

TEST_F(Oskext, T_013_fetched_request_is_cancelled)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request("a", X);
	Record record = daemon.fetch_one();
	void *out = nullptr;
	EXPECT_EQ(kext.cancel(tag, &out), kOSReturnSuccess);
	EXPECT_EQ(out, X);
	// The daemon is told, once.
	Record notice = daemon.fetch_one();
	EXPECT_EQ(notice.kind, static_cast<u32>(KEXTD_CANCEL));
	EXPECT_EQ(notice.id, record.id);
	EXPECT_TRUE(daemon.fetch().empty());
	EXPECT_EQ(daemon.reply(record.id, kOSReturnSuccess, "data"), kOSKextReturnNotFound);
	EXPECT_EQ(daemon.reply(record.id, kOSReturnSuccess), kOSKextReturnNotFound);
}

TEST_F(Oskext, T_014_unfetched_request_leaves_the_queue)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.cancel(kext.must_request());
	EXPECT_TRUE(daemon.fetch().empty());
	EXPECT_EQ(daemon.poll(), 0u);
}

TEST_F(Oskext, T_016_other_kext_cancels)
{
	Kext a;
	Kext b;

	ASSERT_EQ(a.insmod(), 0);
	ASSERT_EQ(b.insmod(), 0);
	u32 tag = a.must_request("a", X);
	void *out = nullptr;
	EXPECT_EQ(b.cancel(tag, &out), kOSReturnSuccess);
	EXPECT_EQ(out, X);
	tag = a.must_request("a", X);
	kextbridge_params.strict_cancel = true;
	out = kSentinel;
	EXPECT_EQ(b.cancel(tag, &out), kOSKextReturnNotFound);
	EXPECT_EQ(b.cancel_nowait(tag, &out), kOSKextReturnNotFound);
	EXPECT_EQ(out, kSentinel);
	EXPECT_EQ(a.cancel(tag, &out), kOSReturnSuccess);
	EXPECT_EQ(out, X);
}

// ---- the calls that macOS does not have

TEST_F(Oskext, cancel_nowait_under_a_spin_lock)
{
	Kext kext;
	Daemon daemon;
	Held held;
	xarray drivers_lock;
	lock_class_key key;

	kext.on_callback = [&](const Call &) { held(); };
	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request("a", X);
	shim_xa_init_flags(&drivers_lock, 0, "driver", &key);
	shim_xa_lock_bh(&drivers_lock);
	void *out = nullptr;
	EXPECT_EQ(kext.cancel_nowait(tag, &out), kOSReturnSuccess);
	EXPECT_EQ(kext.cancel_nowait(tag, &out), kOSKextReturnNotFound);
	EXPECT_EQ(out, X);
	shim_xa_unlock_bh(&drivers_lock);
	// One that is answered, with a payload that vfree() would sleep over.
	kext.must_request("runs");
	tag = kext.must_request("answered", X);
	for (const Record &record : daemon.fetch())
		daemon.reply(record.id, 0, std::string(1 << 20, 'p'));
	held.wait_entered();
	shim_xa_lock_bh(&drivers_lock);
	EXPECT_EQ(kext.cancel_nowait(tag, &out), kOSReturnSuccess);
	shim_xa_unlock_bh(&drivers_lock);
	held.let_go = true;
	kext.wait_for_calls(1);
	shim_xa_destroy(&drivers_lock);
}

TEST_F(Oskext, cancel_all_takes_every_state)
{
	Daemon daemon;
	Kext kext;
	Kext other;
	Held held;

	kext.on_callback = [&](const Call &) { held(); };
	ASSERT_EQ(kext.insmod(), 0);
	ASSERT_EQ(other.insmod(), 0);
	static std::vector<u32> cancelled;
	cancelled.clear();

	kext.must_request("running");
	daemon.reply(daemon.fetch_one().id, 0);
	held.wait_entered();
	u32 answered = kext.must_request("answered", X);
	daemon.reply(daemon.fetch_one().id, 0, "payload");
	u32 fetched = kext.must_request("fetched", X);
	daemon.fetch_one();
	u32 pending = kext.must_request("pending", X);
	u32 theirs = other.must_request();

	std::atomic<fake::Task *> task{nullptr};
	std::thread canceller([&] {
		task = &fake::current();
		u32 count = kext.cancel_all(
			[](OSKextRequestTag tag, void *context, void *arg) {
				EXPECT_EQ(fake::atomic_depth(), 0);
				EXPECT_EQ(context, X);
				EXPECT_EQ(arg, kSentinel);
				cancelled.push_back(tag);
			},
			kSentinel);
		EXPECT_EQ(count, 3u);
		// The barrier: what was running has returned.
		EXPECT_TRUE(held.let_go);
		EXPECT_EQ(kext.in_callback, 0);
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	held.let_go = true;
	canceller.join();
	EXPECT_EQ(cancelled, (std::vector<u32>{answered, fetched, pending}));
	EXPECT_EQ(kext.wait_for_calls(1).size(), 1u);
	EXPECT_EQ(host_request_state(theirs), host::pending);
	EXPECT_EQ(other.cancel_all(), 1u);
	EXPECT_EQ(other.cancel_all(), 0u);
}

TEST_F(Oskext, cancel_all_from_a_callback_does_not_wait)
{
	Daemon daemon;
	Kext kext;
	std::atomic<u32> count{99};

	kext.on_callback = [&](const Call &) { count = kext.cancel_all(); };
	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	kext.must_request();
	daemon.reply(daemon.fetch(1)[0].id, 0);
	kext.wait_for_calls(1);
	EXPECT_EQ(count, 1u);
}

// What others keep requesting does not hold the caller for ever.
TEST_F(Oskext, cancel_all_ends_although_others_request)
{
	Kext kext;
	std::atomic<bool> stop{false};

	ASSERT_EQ(kext.insmod(), 0);
	std::thread requester([&] {
		while (!stop)
			kext.request();
	});
	for (int i = 0; i < 50; i++)
		kext.cancel_all();
	stop = true;
	requester.join();
	kext.cancel_all();
	EXPECT_EQ(host::stats().pending, 0u);
}

// Nobody was told its tag, and its context would be another thread's stack.
TEST_F(Oskext, cancel_of_a_read_by_its_tag)
{
	Daemon daemon;
	Kext kext;
	void *context = X;
	OSReturn result = 1;

	ASSERT_EQ(kext.insmod(), 0);
	std::thread reader([&] {
		void *data;
		u32 length;

		result = kextbridge_read(&kext.info, kext.info.name, "read", nullptr, &data, &length);
		kextbridge_free_resource(data);
	});
	Record record = daemon.wait(1).at(0);
	EXPECT_EQ(kext.cancel(record.tag(), &context), kOSKextReturnNotFound);
	EXPECT_EQ(kext.cancel_nowait(record.tag(), &context), kOSKextReturnNotFound);
	EXPECT_EQ(context, X);
	EXPECT_EQ(daemon.reply(record.id, 0, "bytes"), kOSReturnSuccess);
	reader.join();
	EXPECT_EQ(result, kOSReturnSuccess);
}

} // namespace
