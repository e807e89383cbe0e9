// SPDX-License-Identifier: GPL-2.0-only
// Asking: what is refused, which tags are given, how much there may be.
#include <cstring>

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
