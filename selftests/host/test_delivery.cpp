// SPDX-License-Identifier: GPL-2.0-only
// Delivery: what arrives, in which order, on whose stack, and what a callback may do.
#include <algorithm>
#include <map>

#include "kit.hpp"

namespace {

TEST_F(Oskext, T_040_bytes_arrive_as_they_are)
{
	Daemon daemon;
	Kext kext;
	size_t number = 0;

	ASSERT_EQ(kext.insmod(), 0);
	for (size_t length :
	     {size_t{1}, size_t{4096}, size_t{70105}, host::is_slow() ? size_t{4} << 20 : size_t{64} << 20}) {
		std::string data(length, 0);
		for (size_t i = 0; i < length; i += 251)
			data[i] = static_cast<char>(i * 7);
		data.back() = 'e';
		for (bool by_file : {false, true}) {
			kext.must_request();
			Record record = daemon.fetch_one();
			file payload;
			int fd = -1;
			if (by_file) {
				payload.contents = data;
				fd = fake::install_fd(payload);
				EXPECT_EQ(daemon.reply(host::reply_with_fd(record.id, 0, fd)), kOSReturnSuccess);
				fake::close_fd(fd);
			} else {
				EXPECT_EQ(daemon.reply(record.id, 0, data), kOSReturnSuccess);
			}
			Call call = kext.wait_for_calls(++number).back();
			EXPECT_EQ(call.result, kOSReturnSuccess);
			EXPECT_EQ(call.length, length);
			EXPECT_TRUE(call.data == data);
			if (length > 1 << 20) {
				kext.keep_calls = false;
				break;
			}
		}
	}
}

TEST_F(Oskext, T_041_empty_resource)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	EXPECT_EQ(daemon.reply(daemon.fetch_one().id, 0, std::string_view("")), kOSReturnSuccess);
	kext.must_request();
	file empty;
	int fd = fake::install_fd(empty);
	EXPECT_EQ(daemon.reply(host::reply_with_fd(daemon.fetch_one().id, 0, fd)), kOSReturnSuccess);
	fake::close_fd(fd);
	for (const Call &call : kext.wait_for_calls(2)) {
		EXPECT_EQ(call.result, kOSReturnSuccess);
		EXPECT_EQ(call.data, std::nullopt);
		EXPECT_EQ(call.length, 0u);
	}
}

TEST_F(Oskext, T_046_identical_requests)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 first = kext.must_request("same");
	u32 second = kext.must_request("same");
	EXPECT_NE(first, second);
	for (const Record &record : daemon.fetch())
		daemon.reply(record.id, 0, "x");
	std::vector<Call> calls = kext.wait_for_calls(2);
	EXPECT_EQ(calls[0].tag, first);
	EXPECT_EQ(calls[1].tag, second);
}

TEST_F(Oskext, T_047_thousand_in_order_one_at_a_time)
{
	Daemon daemon;
	Kext kext;
	std::vector<u32> tags;

	ASSERT_EQ(kext.insmod(), 0);
	Service service(daemon);
	for (int i = 0; i < 1000; i++)
		tags.push_back(kext.must_request("n"));
	std::vector<Call> calls = kext.wait_for_calls(1000);
	for (size_t i = 0; i < calls.size(); i++)
		ASSERT_EQ(calls[i].tag, tags[i]);
}

// In the order of the answers, whatever the order of the requests.
TEST_F(Oskext, T_047_order_of_the_answers)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 100; i++)
		kext.must_request();
	std::vector<Record> records = daemon.fetch();
	ASSERT_EQ(records.size(), 100u);
	for (size_t i = records.size(); i-- > 0;)
		daemon.reply(records[i].id, 0);
	std::vector<Call> calls = kext.wait_for_calls(100);
	for (size_t i = 0; i < 100; i++)
		EXPECT_EQ(calls[i].tag, records[99 - i].tag());
}

TEST_F(Oskext, T_048_sleeping_callback_delays_its_own_kext_only)
{
	Daemon daemon;
	Kext a;
	Kext b;
	std::atomic<bool> let_go{false};

	a.on_callback = [&](const Call &) {
		while (!let_go)
			std::this_thread::yield();
	};
	ASSERT_EQ(a.insmod(), 0);
	ASSERT_EQ(b.insmod(), 0);
	a.must_request();
	a.must_request();
	b.must_request();
	for (const Record &record : daemon.fetch())
		daemon.reply(record.id, 0);
	b.wait_for_calls(1);
	EXPECT_EQ(a.call_count(), 0u);
	let_go = true;
	a.wait_for_calls(2);
}

TEST_F(Oskext, T_050_never_on_the_requesters_stack)
{
	Daemon daemon;
	Kext kext;
	std::mutex drivers;

	kext.on_callback = [&](const Call &) { std::lock_guard lock(drivers); };
	ASSERT_EQ(kext.insmod(), 0);
	Service service(daemon);
	for (size_t i = 1; i <= 100; i++) {
		{
			std::lock_guard lock(drivers);

			kext.must_request();
			std::this_thread::yield();
		}
		EXPECT_NE(kext.wait_for_calls(i).back().thread, std::this_thread::get_id());
	}
}

// Nor on the daemon's: kextd's next request does not wait for a driver.
TEST_F(Oskext, T_050_never_on_the_daemons_stack)
{
	Daemon daemon;
	Kext kext;
	std::atomic<bool> let_go{false};

	kext.on_callback = [&](const Call &) {
		while (!let_go)
			std::this_thread::yield();
	};
	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	EXPECT_EQ(daemon.reply(daemon.fetch_one().id, 0), kOSReturnSuccess);
	let_go = true;
	EXPECT_NE(kext.wait_for_calls(1)[0].thread, std::this_thread::get_id());
}

TEST_F(Oskext, T_051_tag_is_stored_before_the_callback)
{
	Daemon daemon;
	Kext kext;
	// Written by the requester and read by the callback with nothing between them but the core.
	struct Slot {
		OSKextRequestTag tag;
	};
	std::vector<Slot> slots(500);

	kext.on_callback = [](const Call &call) { EXPECT_EQ(static_cast<Slot *>(call.context)->tag, call.tag); };
	ASSERT_EQ(kext.insmod(), 0);
	Service service(daemon, 2);
	for (Slot &slot : slots)
		EXPECT_EQ(kext.request("n", &slot.tag, &slot), kOSReturnSuccess);
	kext.wait_for_calls(slots.size());
}

TEST_F(Oskext, T_052_payload_lives_as_long_as_the_callback)
{
	Daemon daemon;
	Kext kext;
	std::atomic<u64> during{0};

	kext.on_callback = [&](const Call &) { during = fake::allocated_bytes(); };
	ASSERT_EQ(kext.insmod(), 0);
	u64 before = fake::allocated_bytes();
	kext.must_request();
	daemon.reply(daemon.fetch_one().id, 0, std::string(100000, 'p'));
	kext.wait_for_calls(1);
	fake::settle();
	EXPECT_GE(during, before + 100000);
	EXPECT_EQ(fake::allocated_bytes(), before);
}

TEST_F(Oskext, T_053_request_from_a_callback)
{
	Daemon daemon;
	Kext kext;
	OSKextRequestTag first = 0;
	std::atomic<OSKextRequestTag> second{0};

	kext.on_callback = [&](const Call &call) {
		OSKextRequestTag tag;

		if (call.context != X) {
			EXPECT_EQ(kext.request("again", &tag, X), kOSReturnSuccess);
			second = tag;
		}
	};
	ASSERT_EQ(kext.insmod(), 0);
	first = kext.must_request("once");
	Service service(daemon);
	std::vector<Call> calls = kext.wait_for_calls(2);
	EXPECT_EQ(calls[0].tag, first);
	EXPECT_EQ(calls[1].tag, second);
	EXPECT_GT(second, first);
	EXPECT_EQ(calls[1].data, "again");
}

// Each callback asks for the next: none is called by another, however many there are.
TEST_F(Oskext, T_053_ten_thousand_one_from_the_other)
{
	constexpr u32 count = 10000;
	Daemon daemon;
	Kext kext;
	std::mutex mutex;
	std::map<std::thread::id, std::pair<uintptr_t, uintptr_t>> frames; // of each worker: the lowest, the highest

	kext.keep_calls = false;
	kext.on_callback = [&](const Call &call) {
		uintptr_t frame = reinterpret_cast<uintptr_t>(__builtin_frame_address(0));
		uintptr_t left = reinterpret_cast<uintptr_t>(call.context);
		{
			std::lock_guard lock(mutex);
			auto &[low, high] = frames.try_emplace(call.thread, frame, frame).first->second;

			low = std::min(low, frame);
			high = std::max(high, frame);
		}
		if (left) {
			EXPECT_EQ(kext.request("next", nullptr, reinterpret_cast<void *>(left - 1)), kOSReturnSuccess);
		}
	};
	ASSERT_EQ(kext.insmod(), 0);
	Service service(daemon);
	kext.must_request("first", reinterpret_cast<void *>(uintptr_t{count - 1}));
	while (kext.call_count() < count)
		std::this_thread::yield();
	fake::settle();
	EXPECT_EQ(kext.call_count(), count);
	for (const auto &[thread, stack] : frames)
		EXPECT_LT(stack.second - stack.first, 4096u);
}

// Every call of the KPI, and of a program's that does not wait, from where a lock or a wait of ours would be deadly.
TEST_F(Oskext, every_call_from_inside_a_callback)
{
	Daemon daemon;
	Control program;
	Kext kext;
	Kext other;
	u32 pending = 0;
	u32 fetched = 0;
	u32 theirs = 0;

	auto call_all = [&](OSKextRequestTag own) {
		OSKextRequestTag tag = 0;
		void *out = nullptr;

		EXPECT_EQ(kext.cancel(own), kOSKextReturnNotFound);
		EXPECT_EQ(kext.cancel_nowait(own), kOSKextReturnInUse);
		EXPECT_EQ(kext.cancel(pending, &out), kOSReturnSuccess);
		EXPECT_EQ(out, X);
		EXPECT_EQ(kext.cancel_nowait(fetched, &out), kOSReturnSuccess);
		EXPECT_EQ(kext.cancel(theirs), kOSReturnSuccess);
		EXPECT_EQ(kext.request("again", &tag), kOSReturnSuccess);
		EXPECT_EQ(kext.cancel_all(), 1u);
		EXPECT_EQ(kext.retain(), kOSReturnSuccess);
		EXPECT_EQ(kext.release(), kOSReturnSuccess);
		EXPECT_EQ(OSKextRetainKextWithLoadTag(other.tag()), kOSReturnSuccess);
		EXPECT_EQ(OSKextReleaseKextWithLoadTag(other.tag()), kOSReturnSuccess);
		EXPECT_EQ(OSKextLoadKextWithIdentifier(kext.info.name), kOSReturnSuccess);
		EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.x"), kOSKextReturnDeferred);
		EXPECT_EQ(program.list().size(), 2u);
		EXPECT_EQ(program.unload(kext.tag(), true).result, kOSKextReturnInUse);
		EXPECT_EQ(program.cancel(own).result, kOSKextReturnNotPrivileged);
		EXPECT_EQ(fake::atomic_depth(), 0);
	};
	kext.on_callback = [&](const Call &call) { call_all(call.tag); };
	ASSERT_EQ(kext.insmod(), 0);
	ASSERT_EQ(other.insmod(), 0);
	kext.must_request("first");
	fetched = kext.must_request("fetched", X);
	std::vector<Record> records = daemon.fetch(2);
	ASSERT_EQ(records.size(), 2u);
	pending = kext.must_request("pending", X);
	theirs = other.must_request("theirs", X);
	// IF_IDLE, and this one keeps it from being so.
	program.retain(kext.tag());
	EXPECT_EQ(daemon.reply(records[0].id, 0), kOSReturnSuccess);
	kext.wait_for_calls(1);
	program.release(kext.tag());
	for (const Record &record : daemon.fetch())
		if (record.kind == KEXTD_LOAD)
			daemon.reply(record.id, kOSKextReturnNotFound);
}

TEST_F(Oskext, T_054_context_is_passed_through)
{
	Daemon daemon;
	Kext kext;
	std::vector<void *> contexts = {nullptr, X, reinterpret_cast<void *>(1), reinterpret_cast<void *>(~0ul)};

	ASSERT_EQ(kext.insmod(), 0);
	for (void *context : contexts)
		kext.must_request("n", context);
	for (const Record &record : daemon.fetch())
		daemon.reply(record.id, 0);
	std::vector<Call> calls = kext.wait_for_calls(contexts.size());
	for (size_t i = 0; i < contexts.size(); i++)
		EXPECT_EQ(calls[i].context, contexts[i]);
}

TEST_F(Oskext, T_055_error_with_data)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	daemon.reply(daemon.fetch_one().id, kOSKextReturnInternalError, "why");
	Call call = kext.wait_for_calls(1)[0];
	EXPECT_EQ(call.result, kOSKextReturnInternalError);
	EXPECT_EQ(call.data, "why");
}

TEST_F(Oskext, T_056_success_without_data)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	daemon.reply(daemon.fetch_one().id, kOSReturnSuccess);
	Call call = kext.wait_for_calls(1)[0];
	EXPECT_EQ(call.result, kOSReturnSuccess);
	EXPECT_EQ(call.data, std::nullopt);
	EXPECT_EQ(call.length, 0u);
}

} // namespace
