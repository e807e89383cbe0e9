// SPDX-License-Identifier: GPL-2.0-only
// Asking: what is refused, what arrives, in which order, and on whose stack.
#include <algorithm>
#include <cstring>
#include <map>

#include "kit.hpp"

namespace {

void heap_callback(OSKextRequestTag, OSReturn, const void *, uint32_t, void *)
{
	fake::bug("a callback outside of every kext");
}

TEST_F(Oskext, T_020_no_identifier)
{
	Kext kext;
	OSKextRequestTag tag = 0;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(OSKextRequestResource(nullptr, "n", kext.callback(), X, &tag), kOSKextReturnInvalidArgument);
	EXPECT_EQ(tag, kOSKextRequestTagInvalid);
}

TEST_F(Oskext, T_021_no_name)
{
	Kext kext;
	OSKextRequestTag tag = 0;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(OSKextRequestResource("id", nullptr, kext.callback(), X, &tag), kOSKextReturnInvalidArgument);
	EXPECT_EQ(tag, kOSKextRequestTagInvalid);
}

TEST_F(Oskext, T_022_no_callback)
{
	Kext kext;
	OSKextRequestTag tag = 0;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(OSKextRequestResource("id", "n", nullptr, X, &tag), kOSKextReturnInvalidArgument);
	EXPECT_EQ(tag, kOSKextRequestTagInvalid);
}

TEST_F(Oskext, T_023_callback_outside_of_every_kext)
{
	Kext kext;
	Kext unloaded;
	OSKextRequestTag tag = 0;

	ASSERT_EQ(kext.insmod(), 0);
	auto at = [](unsigned long address) { return reinterpret_cast<OSKextRequestResourceCallback>(address); };
	unsigned long mine = reinterpret_cast<unsigned long>(kext.callback());
	for (auto callback : {heap_callback, at(reinterpret_cast<unsigned long>(&tag)), at(1), at(~0ul), at(mine - 1),
			      at(mine + 1), unloaded.callback()}) {
		tag = 0;
		EXPECT_EQ(OSKextRequestResource("id", "n", callback, X, &tag), kOSKextReturnInvalidArgument);
		EXPECT_EQ(tag, kOSKextRequestTagInvalid);
	}
}

// The text range is what shim_module_text() says, and nothing beyond it.
TEST_F(Oskext, T_024_callback_just_outside_the_text)
{
	Kext kexts[8];
	OSKextRequestTag tag = 0;

	for (Kext &kext : kexts)
		ASSERT_EQ(kext.insmod(), 0);
	for (Kext &kext : kexts) {
		auto beyond = reinterpret_cast<OSKextRequestResourceCallback>(kext.module.text + kext.module.text_size);

		EXPECT_EQ(OSKextRequestResource("id", "n", beyond, X, &tag), kOSKextReturnInvalidArgument);
		EXPECT_EQ(kext.cancel(kext.must_request()), kOSReturnSuccess);
	}
}

TEST_F(Oskext, T_026_tag_out_may_be_null)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(OSKextRequestResource("id", "n", kext.callback(), X, nullptr), kOSReturnSuccess);
	EXPECT_EQ(daemon.reply(daemon.fetch_one().id, 0, "x"), kOSReturnSuccess);
	EXPECT_EQ(kext.wait_for_calls(1)[0].data, "x");
}

TEST_F(Oskext, T_027_tags_grow_and_do_not_repeat)
{
	Kext kext;
	u32 last = kext.insmod() ? kOSKextRequestTagInvalid : 0;

	for (u32 i = 0; i < host::rounds(1000000); i++) {
		u32 tag = kext.must_request();

		ASSERT_NE(tag, kOSKextRequestTagInvalid);
		ASSERT_GT(tag, last);
		ASSERT_EQ(kext.cancel(tag), kOSReturnSuccess);
		last = tag;
	}
}

TEST_F(Oskext, T_028_tag_counter_wraps)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 first = kext.must_request("first");
	u32 second = kext.must_request("second");
	ASSERT_EQ(first, 1u);
	host_set_next_tag(0xfffffffd);
	EXPECT_EQ(kext.must_request("a"), 0xfffffffdu);
	EXPECT_EQ(kext.must_request("b"), 0xfffffffeu);
	u32 after = kext.must_request("c");
	EXPECT_EQ(after, second + 1);
	EXPECT_EQ(kext.must_request("d"), after + 1);
	// The wire's ids are still different, and the old one's does not fit the new request.
	std::vector<Record> records = daemon.fetch();
	ASSERT_EQ(records.size(), 6u);
	for (size_t i = 0; i < records.size(); i++)
		for (size_t j = 0; j < i; j++)
			EXPECT_NE(records[i].id, records[j].id);
	EXPECT_GT(records[4].id, 0xffffffffull);
	EXPECT_EQ(daemon.reply(records[4].tag(), 0), kOSKextReturnNotFound);
	EXPECT_EQ(daemon.reply(records[4].id, 0), kOSReturnSuccess);
	kext.wait_for_calls(1);
	EXPECT_EQ(kext.calls()[0].tag, after);
	kext.cancel_all();
}

TEST_F(Oskext, T_029_failed_requests_consume_no_tag)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 before = kext.must_request();
	OSKextRequestTag tag;
	OSKextRequestResource(nullptr, "n", kext.callback(), X, &tag);
	OSKextRequestResource("id", nullptr, kext.callback(), X, &tag);
	OSKextRequestResource("id", "n", nullptr, X, &tag);
	OSKextRequestResource("id", "n", heap_callback, X, &tag);
	EXPECT_EQ(kext.must_request(), before + 1);
	kext.cancel_all();
}

TEST_F(Oskext, T_030_strings_are_copied)
{
	Daemon daemon;
	Kext kext;
	char identifier[] = "com.example.original";
	char name[] = "original.bin";

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(OSKextRequestResource(identifier, name, kext.callback(), X, nullptr), kOSReturnSuccess);
	memset(identifier, 'x', sizeof(identifier) - 1);
	memset(name, 'x', sizeof(name) - 1);
	Record record = daemon.fetch_one();
	EXPECT_EQ(record.identifier, "com.example.original");
	EXPECT_EQ(record.name, "original.bin");
	EXPECT_EQ(record.load_tag, kext.tag());
	EXPECT_EQ(record.kind, static_cast<u32>(KEXTD_RESOURCE));
	EXPECT_EQ(record.attempt, 0u);
	EXPECT_EQ(record.max_length, kextbridge_params.max_reply_bytes);
	EXPECT_EQ(record.deadline_ns, fake::now() + 120000 * 1000000ull);
	kext.cancel_all();
}

// All record lengths around the padding.
TEST_F(Oskext, T_030_strings_of_all_lengths)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	for (size_t a = 0; a < 10; a++) {
		for (size_t b = 0; b < 10; b++) {
			std::string identifier(a, 'i');
			std::string name(b, 'n');

			ASSERT_EQ(OSKextRequestResource(identifier.c_str(), name.c_str(), kext.callback(), X, nullptr),
				  kOSReturnSuccess);
			Record record = daemon.fetch_one();
			EXPECT_EQ(record.identifier, identifier);
			EXPECT_EQ(record.name, name);
		}
	}
	kext.cancel_all();
}

TEST_F(Oskext, T_031_owner_is_stopped)
{
	Daemon daemon;
	Kext kext;
	Control control;
	std::atomic<bool> fetched{false};
	OSReturn result = 1;

	ASSERT_EQ(kext.insmod(), 0);
	std::thread unloader([&] { EXPECT_EQ(control.unload(kext.tag()).result, kOSKextReturnInUse); });
	// The daemon has the message: the kext is stopped and not deleted.
	std::vector<Record> records = daemon.wait();
	ASSERT_EQ(records.size(), 1u);
	fetched = true;
	result = kext.request();
	EXPECT_EQ(result, kOSKextReturnInvalidArgument);
	daemon.reply(records[0].id, kOSKextReturnInUse);
	unloader.join();
	EXPECT_EQ(kext.request(), kOSReturnSuccess);
	kext.cancel_all();
}

TEST_F(Oskext, T_032_request_from_the_stop_function)
{
	Daemon daemon;
	Kext kext;
	OSReturn result = 1;
	OSKextRequestTag tag = 0;

	kext.stop = [&] {
		result = kext.request("in.stop", &tag);
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	{
		Service service(daemon);
		Control control;

		EXPECT_EQ(control.unload(kext.tag()).result, kOSReturnSuccess);
	}
	EXPECT_EQ(result, kOSKextReturnStopping);
	EXPECT_EQ(tag, kOSKextRequestTagInvalid);
	EXPECT_FALSE(kext.is_loaded());
}

TEST_F(Oskext, T_032_request_from_the_stop_function_at_exit)
{
	Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
	OSReturn result = 1;

	kext.stop = [&] {
		result = kext.request();
		return KERN_SUCCESS;
	};
	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(kext.rmmod(), 0);
	EXPECT_EQ(result, kOSKextReturnStopping);
}

TEST_F(Oskext, T_033_request_after_a_veto)
{
	Daemon daemon;
	Kext kext;
	Control control;

	kext.stop = [] { return KERN_FAILURE; };
	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(control.unload(kext.tag()).result, kOSKextReturnStartStopError);
	u32 tag = kext.must_request();
	EXPECT_EQ(daemon.fetch_one().tag(), tag);
	EXPECT_EQ(kext.cancel(tag), kOSReturnSuccess);
}

TEST_F(Oskext, T_034_unknown_bundle)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(OSKextRequestResource("com.example.nobody", "n", kext.callback(), X, nullptr), kOSReturnSuccess);
	daemon.reply(daemon.fetch_one().id, kOSKextReturnNotFound);
	Call call = kext.wait_for_calls(1)[0];
	EXPECT_EQ(call.result, kOSKextReturnNotFound);
	EXPECT_EQ(call.data, std::nullopt);
	EXPECT_EQ(call.length, 0u);
}

TEST_F(Oskext, T_035_resource_of_another_bundle)
{
	Daemon daemon;
	Kext a;
	Kext b;
	Control control;

	ASSERT_EQ(a.insmod(), 0);
	ASSERT_EQ(b.insmod(), 0);
	EXPECT_EQ(OSKextRequestResource(b.info.name, "n", a.callback(), X, nullptr), kOSReturnSuccess);
	std::vector<kextbridge_kext> kexts = control.list();
	ASSERT_EQ(kexts.size(), 2u);
	EXPECT_EQ(kexts[0].pending, 1u);
	EXPECT_EQ(kexts[1].pending, 0u);
	Record record = daemon.fetch_one();
	EXPECT_EQ(record.load_tag, a.tag());
	EXPECT_EQ(record.identifier, b.info.name);
	daemon.reply(record.id, 0, "x");
	a.wait_for_calls(1);
	EXPECT_EQ(b.call_count(), 0u);
}

TEST_F(Oskext, T_036_over_long_names)
{
	Daemon daemon;
	Kext kext;
	OSKextRequestTag tag = 0;

	ASSERT_EQ(kext.insmod(), 0);
	std::string longest(kextbridge_params.max_name, 'n');
	std::string longer = longest + "n";
	EXPECT_EQ(OSKextRequestResource("id", longer.c_str(), kext.callback(), X, &tag), kOSKextReturnInvalidArgument);
	EXPECT_EQ(tag, kOSKextRequestTagInvalid);
	EXPECT_EQ(OSKextRequestResource(longer.c_str(), "n", kext.callback(), X, &tag), kOSKextReturnInvalidArgument);
	EXPECT_EQ(OSKextRequestResource(longest.c_str(), longest.c_str(), kext.callback(), X, &tag), kOSReturnSuccess);
	Record record = daemon.fetch_one();
	EXPECT_EQ(record.identifier, longest);
	EXPECT_EQ(record.name, longest);
	// The parameter cannot go beyond what a record's fields can hold.
	kextbridge_params.max_name = 1 << 20;
	longest.resize(KEXTBRIDGE_NAME_LIMIT, 'n');
	longer = longest + "n";
	EXPECT_EQ(OSKextRequestResource("id", longest.c_str(), kext.callback(), X, &tag), kOSReturnSuccess);
	EXPECT_EQ(OSKextRequestResource("id", longer.c_str(), kext.callback(), X, &tag), kOSKextReturnInvalidArgument);
	EXPECT_EQ(daemon.fetch_one().name, longest);
	kext.cancel_all();
}

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

// ---- limits

TEST_F(Oskext, max_pending_is_a_limit)
{
	Daemon daemon;
	Kext kext;
	Kext other;
	OSKextRequestTag tag = 0;

	kextbridge_params.max_pending = 3;
	ASSERT_EQ(kext.insmod(), 0);
	ASSERT_EQ(other.insmod(), 0);
	for (int i = 0; i < 3; i++)
		kext.must_request();
	EXPECT_EQ(kext.request("n", &tag), kOSKextReturnNoResources);
	EXPECT_EQ(tag, kOSKextRequestTagInvalid);
	EXPECT_EQ(host::stats().limited, 1u);
	EXPECT_EQ(other.request(), kOSReturnSuccess);
	// Whatever ends one makes room.
	daemon.reply(daemon.fetch_one().id, 0);
	kext.wait_for_calls(1);
	fake::settle();
	EXPECT_EQ(kext.request(), kOSReturnSuccess);
	EXPECT_EQ(kext.request(), kOSKextReturnNoResources);
	kext.cancel_all();
	other.cancel_all();
}

TEST_F(Oskext, max_length_of_the_request)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kextbridge_params.max_reply_bytes = 100;
	kext.request("n", nullptr, nullptr, 0, 10);
	kext.request("n", nullptr, nullptr, 0, 1000);
	kext.request("n", nullptr, nullptr, 0, 0);
	std::vector<Record> records = daemon.fetch();
	ASSERT_EQ(records.size(), 3u);
	EXPECT_EQ(records[0].max_length, 10u);
	EXPECT_EQ(records[1].max_length, 100u);
	EXPECT_EQ(records[2].max_length, 100u);
	std::string eleven(11, 'x');
	EXPECT_EQ(daemon.reply(records[0].id, 0, eleven), kOSKextReturnNoResources);
	EXPECT_EQ(daemon.reply(records[0].id, 0, eleven.substr(1)), kOSReturnSuccess);
	EXPECT_EQ(daemon.reply(records[1].id, 0, std::string(101, 'x')), kOSKextReturnNoResources);
	EXPECT_EQ(daemon.reply(records[1].id, 0, std::string(100, 'x')), kOSReturnSuccess);
	file big;
	big.contents.assign(101, 'x');
	int fd = fake::install_fd(big);
	EXPECT_EQ(daemon.reply(host::reply_with_fd(records[2].id, 0, fd)), kOSKextReturnNoResources);
	fake::close_fd(fd);
	EXPECT_EQ(daemon.reply(records[2].id, kOSKextReturnNoResources), kOSReturnSuccess);
	EXPECT_EQ(kext.wait_for_calls(3)[2].result, kOSKextReturnNoResources);
	EXPECT_EQ(host::stats().bad_replies, 3u);
}

TEST_F(Oskext, pending_request_is_at_most_192_bytes)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_LE(host_request_bytes(), 192u);
	u64 before = fake::allocated_bytes();
	for (int i = 0; i < 100; i++)
		kext.must_request("1234567");
	u64 names = (strlen(kext.info.name) + 1 + 8 + 7) & ~7ull;
	EXPECT_LE(fake::allocated_bytes() - before, 100 * (192 + names));
	kext.cancel_all();
}

// The allocation of a tag lets go of the lock: what was true before need not be true after.
TEST_F(Oskext, kext_leaves_while_the_tag_is_allocated)
{
	Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
	OSKextRequestTag tag = 0;

	ASSERT_EQ(kext.insmod(), 0);
	fake::xa_always_allocates(true);
	fake::at_next(fake::Moment::XaLockDropped, [&] { std::thread([&] { EXPECT_EQ(kext.rmmod(), 0); }).join(); });
	EXPECT_EQ(kext.request("n", &tag), kOSKextReturnInvalidArgument);
	EXPECT_EQ(tag, kOSKextRequestTagInvalid);
	EXPECT_FALSE(kext.is_loaded());
}

TEST_F(Oskext, limit_is_reached_while_the_tag_is_allocated)
{
	Kext kext;

	kextbridge_params.max_pending = 1;
	ASSERT_EQ(kext.insmod(), 0);
	fake::xa_always_allocates(true);
	fake::at_next(fake::Moment::XaLockDropped,
		      [&] { std::thread([&] { EXPECT_EQ(kext.request(), kOSReturnSuccess); }).join(); });
	EXPECT_EQ(kext.request(), kOSKextReturnNoResources);
	EXPECT_EQ(kext.cancel_all(), 1u);
}

} // namespace
