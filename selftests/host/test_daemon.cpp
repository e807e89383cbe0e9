// SPDX-License-Identifier: GPL-2.0-only
// /dev/kextd: who may be the daemon, what a daemon's absence, its slowness and its replies do.
#include <algorithm>
#include <cstring>

#include "kit.hpp"

namespace {

TEST_F(Oskext, T_080_request_waits_for_a_daemon)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request("early");
	fake::advance_ms(1000);
	EXPECT_EQ(kext.call_count(), 0u);
	Daemon daemon;
	Record record = daemon.fetch_one();
	EXPECT_EQ(record.tag(), tag);
	daemon.reply(record.id, 0, "x");
	kext.wait_for_calls(1);
}

TEST_F(Oskext, T_081_no_daemon_ever)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request("default");
	kext.must_request("short", X, 500);
	fake::advance_ms(499);
	EXPECT_EQ(kext.call_count(), 0u);
	fake::advance_ms(2);
	ASSERT_EQ(kext.wait_for_calls(1)[0].result, kOSKextReturnTimeout);
	fake::advance_ms(120000 - 502);
	EXPECT_EQ(kext.call_count(), 1u);
	fake::advance_ms(2);
	std::vector<Call> calls = kext.wait_for_calls(2);
	EXPECT_EQ(calls[0].context, X);
	EXPECT_EQ(calls[1].result, kOSKextReturnTimeout);
	EXPECT_EQ(calls[1].data, std::nullopt);
	EXPECT_EQ(host::stats().timeouts, 2u);
	EXPECT_EQ(fake::trace_count("timeout"), 2u);
}

TEST_F(Oskext, T_082_hanging_daemon)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request("n", X, 1000);
	Record record = daemon.fetch_one();
	EXPECT_EQ(record.deadline_ns, fake::now() + 1000 * 1000000ull);
	fake::advance_ms(999);
	EXPECT_EQ(kext.call_count(), 0u);
	fake::advance_ms(1);
	EXPECT_EQ(kext.wait_for_calls(1)[0].result, kOSKextReturnTimeout);
	// The daemon is told.
	Record notice = daemon.fetch_one();
	EXPECT_EQ(notice.kind, static_cast<u32>(KEXTD_CANCEL));
	EXPECT_EQ(notice.id, record.id);
	fake::advance_ms(100000);
	EXPECT_EQ(kext.call_count(), 1u);
}

// Deadlines that are not in the order of the requests, some moved out of the way before.
TEST_F(Oskext, T_082_deadlines_in_any_order)
{
	Kext kext;
	std::vector<u32> order;

	ASSERT_EQ(kext.insmod(), 0);
	for (u32 ms : {900, 100, 500, 300, 700})
		order.push_back(kext.must_request("n", nullptr, ms));
	kext.cancel(order[3]);
	fake::advance_ms(100);
	EXPECT_EQ(kext.wait_for_calls(1)[0].tag, order[1]);
	fake::advance_ms(399);
	EXPECT_EQ(kext.call_count(), 1u);
	fake::advance_ms(1);
	EXPECT_EQ(kext.wait_for_calls(2)[1].tag, order[2]);
	fake::advance_ms(1000);
	std::vector<Call> calls = kext.wait_for_calls(4);
	EXPECT_EQ(calls[2].tag, order[4]);
	EXPECT_EQ(calls[3].tag, order[0]);
}

// One that is due does not take along the next, half a millisecond later.
TEST_F(Oskext, T_082_no_deadline_comes_early)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request("first", nullptr, 100);
	fake::advance_ns(500000);
	kext.must_request("second", nullptr, 100);
	fake::advance_ns(99500000);
	kext.wait_for_calls(1);
	fake::advance_ns(499999);
	EXPECT_EQ(kext.call_count(), 1u);
	fake::advance_ns(1);
	kext.wait_for_calls(2);
}

// A later request with an earlier deadline moves the timer; many at once come in batches.
TEST_F(Oskext, T_082_many_deadlines_at_once)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request("late", nullptr, 10000);
	for (int i = 0; i < 300; i++)
		kext.must_request("n", nullptr, 100);
	fake::advance_ms(100);
	kext.wait_for_calls(300);
	fake::advance_ms(9899);
	EXPECT_EQ(kext.call_count(), 300u);
	fake::advance_ms(1);
	kext.wait_for_calls(301);
}

// The timer outlasts the requests that it was armed for, and the scan's the kext; neither outlasts the module.
TEST_F(Oskext, exit_with_both_timers_armed)
{
	Daemon daemon;
	{
		Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);

		ASSERT_EQ(kext.insmod(), 0);
		kext.cancel(kext.must_request("n", nullptr, 1000000));
		kext.retain();
		kext.release();
		EXPECT_EQ(kext.rmmod(), 0);
	}
	fake::advance_ms(1);
	EXPECT_EQ(fake::timers_armed(), 2u);
}

// Whatever ends a request takes it off the queue of deadlines: what it was is free memory when the time comes.
TEST_F(Oskext, T_082_no_deadline_of_what_has_ended)
{
	Daemon daemon;
	Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
	Control program;

	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 4; i++)
		kext.must_request("n", nullptr, 1000);
	std::vector<Record> records = daemon.fetch(2);
	ASSERT_EQ(records.size(), 2u);
	daemon.reply(records[0].id, 0);
	kext.cancel(records[1].tag());
	kext.wait_for_calls(1);
	fake::settle();
	{
		Control closed;

		closed.must_request("n", 0, 1000);
	}
	program.cancel(program.must_request("n", 0, 1000));
	EXPECT_EQ(kext.rmmod(), 0);
	EXPECT_EQ(kext.call_count(), 3u);
	fake::advance_ms(2000);
	EXPECT_EQ(host::stats().timeouts, 0u);
}

TEST_F(Oskext, T_083_killed_daemon_loses_nothing)
{
	Kext kext;
	std::vector<u32> tags;

	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 5; i++)
		tags.push_back(kext.must_request());
	{
		Daemon first;
		EXPECT_EQ(first.fetch(3).size(), 3u);
	}
	EXPECT_EQ(host::stats().requeued, 3u);
	EXPECT_EQ(host_request_state(tags[0]), host::pending);
	Daemon second;
	Service service(second);
	std::vector<Call> calls = kext.wait_for_calls(5);
	for (size_t i = 0; i < 5; i++) {
		EXPECT_EQ(calls[i].tag, tags[i]);
		EXPECT_EQ(calls[i].result, kOSReturnSuccess);
	}
}

TEST_F(Oskext, T_084_reply_after_the_timeout)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request("n", nullptr, 100);
	Record record = daemon.fetch_one();
	fake::advance_ms(100);
	kext.wait_for_calls(1);
	EXPECT_EQ(daemon.reply(record.id, 0, "late"), kOSKextReturnNotFound);
	fake::settle();
	EXPECT_EQ(kext.call_count(), 1u);
	EXPECT_EQ(host::stats().late_replies, 1u);
}

TEST_F(Oskext, T_085_reply_to_an_unknown_tag)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(daemon.reply(4711, 0), kOSKextReturnNotFound);
	EXPECT_EQ(daemon.reply(4711, 0, "data"), kOSKextReturnNotFound);
	// One that it has not fetched, and one whose wire id differs in its upper half.
	u32 tag = kext.must_request();
	EXPECT_EQ(daemon.reply(tag, 0), kOSKextReturnNotFound);
	EXPECT_EQ(host_request_state(tag), host::pending);
	Record record = daemon.fetch_one();
	EXPECT_EQ(daemon.reply(record.id | 1ull << 32, 0), kOSKextReturnNotFound);
	EXPECT_EQ(daemon.reply(record.id, 0), kOSReturnSuccess);
	kext.wait_for_calls(1);
}

TEST_F(Oskext, T_086_malformed_replies)
{
	Daemon daemon;
	Kext kext;
	const char bytes[] = "bytes";

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	u64 id = daemon.fetch_one().id;
	auto refused = [&](auto spoil) {
		kextd_reply reply = host::reply_with(id, 0);

		spoil(reply);
		EXPECT_EQ(daemon.reply(reply), kOSKextReturnInvalidArgument);
		EXPECT_EQ(host_request_state(static_cast<u32>(id)), host::fetched);
	};
	refused([](auto &reply) { reply.id = 0; });
	refused([](auto &reply) { reply.flags = 0; });
	refused([](auto &reply) { reply.flags |= 8; });
	refused([](auto &reply) { reply.flags |= 0x80000000; });
	refused([](auto &reply) { reply.reserved = 1; });
	refused([&](auto &reply) { reply.flags |= KEXTD_REPLY_DATA | KEXTD_REPLY_FD; });
	refused([&](auto &reply) { reply.data = fake::user(bytes); });
	refused([](auto &reply) { reply.length = 1; });
	refused([](auto &reply) { reply.flags |= KEXTD_REPLY_DATA, reply.data = 0, reply.length = 5; });
	refused([](auto &reply) { reply.flags |= KEXTD_REPLY_FD, reply.fd = -1; });
	refused([](auto &reply) { reply.flags |= KEXTD_REPLY_FD, reply.fd = 999; });
	EXPECT_EQ(host::stats().bad_replies, 11u);
	EXPECT_EQ(daemon.reply(id, 0, "good"), kOSReturnSuccess);
	EXPECT_EQ(kext.wait_for_calls(1)[0].data, "good");
}

TEST_F(Oskext, T_086_unsuitable_files)
{
	Daemon daemon;
	Kext kext;
	file payload;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	u64 id = daemon.fetch_one().id;
	int fd = fake::install_fd(payload);
	payload.contents.assign(20000, 'f');
	auto status = [&] {
		s32 result = daemon.reply(host::reply_with_fd(id, 0, fd));

		EXPECT_EQ(host_request_state(static_cast<u32>(id)), host::fetched);
		EXPECT_EQ(payload.refs, 2);
		return result;
	};

	payload.regular = false;
	EXPECT_EQ(status(), kOSKextReturnInvalidArgument);
	payload.regular = true;
	payload.mode = SHIM_FMODE_READ | SHIM_FMODE_WRITE;
	EXPECT_EQ(status(), kOSKextReturnInvalidArgument);
	payload.mode = SHIM_FMODE_WRITE;
	EXPECT_EQ(status(), kOSKextReturnInvalidArgument);
	payload.mode = 0;
	EXPECT_EQ(status(), kOSKextReturnInvalidArgument);
	payload.mode = SHIM_FMODE_READ;
	payload.while_read = [](file &file) { file.contents += "grown"; };
	EXPECT_EQ(status(), kOSKextReturnBadData);
	payload.while_read = [](file &file) { file.contents.resize(100); };
	EXPECT_EQ(status(), kOSKextReturnBadData);
	payload.contents.assign(20000, 'f');
	payload.fail_read_at = 8192;
	EXPECT_EQ(status(), kOSKextReturnBadData);
	payload.fail_read_at = -1;
	EXPECT_EQ(daemon.reply(host::reply_with_fd(id, 0, fd)), kOSReturnSuccess);
	fake::close_fd(fd);
	EXPECT_EQ(kext.wait_for_calls(1)[0].data, std::string(20000, 'f'));
}

TEST_F(Oskext, T_086_file_is_read_without_the_lock)
{
	Daemon daemon;
	Kext kext;
	file payload;

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request("n", X);
	u64 id = daemon.fetch_one().id;
	int fd = fake::install_fd(payload);
	payload.contents.assign(20000, 'f');
	payload.while_read = [&](file &) {
		void *out = nullptr;

		EXPECT_EQ(fake::atomic_depth(), 0);
		EXPECT_EQ(host_request_state(tag), host::fetched);
		EXPECT_EQ(kext.cancel(tag, &out), kOSReturnSuccess);
		EXPECT_EQ(out, X);
	};
	EXPECT_EQ(daemon.reply(host::reply_with_fd(id, 0, fd)), kOSKextReturnNotFound);
	fake::close_fd(fd);
	EXPECT_EQ(kext.call_count(), 0u);
}

// The lock is dropped for a tag's node while others take theirs: no id comes back, and a late reply meets nobody.
TEST_F(Oskext, T_085_wire_ids_never_come_back)
{
	Daemon daemon;
	Kext kext;
	std::vector<u64> ids;

	ASSERT_EQ(kext.insmod(), 0);
	fake::xa_always_allocates(true);
	auto collect = [&] {
		for (const Record &record : daemon.fetch())
			if (record.kind == KEXTD_RESOURCE)
				ids.push_back(record.id);
	};
	for (int round = 0; round < 10; round++) {
		fake::at_next(fake::Moment::XaLockDropped, [&] {
			for (int i = 0; i < 3; i++)
				kext.cancel(kext.must_request("meanwhile"));
			u32 fetched = kext.must_request("fetched");

			collect();
			kext.cancel(fetched);
		});
		kext.must_request("outer");
		collect();
		for (int i = 0; i < 3; i++)
			kext.must_request("after");
		collect();
	}
	std::vector<u64> sorted = ids;
	std::sort(sorted.begin(), sorted.end());
	EXPECT_TRUE(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
	EXPECT_EQ(ids.size(), 50u);
	EXPECT_EQ(kext.cancel_all(), 40u);
}

TEST_F(Oskext, T_087_duplicate_reply)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	u64 id = daemon.fetch_one().id;
	kextd_reply replies[] = {host::reply_with(id, 0, "first"), host::reply_with(id, 0, "second"),
				 host::reply_with(id, 0)};
	kextd_exchange args{};
	args.size = sizeof(args);
	args.replies = fake::user(replies);
	args.reply_count = 3;
	EXPECT_EQ(daemon.ioctl(args), 0);
	EXPECT_EQ(replies[0].status, kOSReturnSuccess);
	EXPECT_EQ(replies[1].status, kOSKextReturnNotFound);
	EXPECT_EQ(replies[2].status, kOSKextReturnNotFound);
	EXPECT_EQ(kext.wait_for_calls(1)[0].data, "first");
	EXPECT_EQ(daemon.reply(id, 0), kOSKextReturnNotFound);
}

TEST_F(Oskext, T_088_unprivileged)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request();
	{
		Daemon daemon(false);

		fake::current().sys_module = false;
		EXPECT_EQ(daemon.open(), -SHIM_EPERM);
	}
	fake::current().sys_module = true;
	Daemon daemon;
	long err;
	fake::current().sys_module = false;
	daemon.fetch(1, &err);
	EXPECT_EQ(err, -SHIM_EPERM);
	fake::current().sys_module = true;
	// The opener counts as well as the caller.
	daemon.file.opener_sys_module = false;
	daemon.fetch(1, &err);
	EXPECT_EQ(err, -SHIM_EPERM);
	daemon.file.opener_sys_module = true;
	EXPECT_EQ(host_request_state(tag), host::pending);
	EXPECT_EQ(daemon.fetch_one().tag(), tag);
	kext.cancel_all();
}

TEST_F(Oskext, T_089_nothing_is_fetched_twice)
{
	Daemon daemon;
	Kext kext;
	long err;

	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 40; i++)
		kext.must_request();
	EXPECT_EQ(daemon.fetch().size(), 40u);
	EXPECT_TRUE(daemon.fetch(1, &err).empty());
	EXPECT_EQ(err, -SHIM_EAGAIN);
	EXPECT_EQ(kext.cancel_all(), 40u);
}

TEST_F(Oskext, T_090_malformed_exchange)
{
	Daemon daemon;
	Kext kext;
	std::vector<u64> buffer(1024);

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request();
	struct Larger {
		kextd_exchange known;
		u64 more;
	};
	auto call = [&](auto spoil, unsigned int cmd = KEXTD_IOC_EXCHANGE) {
		Larger args{};

		args.known.size = sizeof(kextd_exchange);
		args.known.flags = KEXTD_EXCHANGE_NOWAIT;
		args.known.max_requests = 1;
		args.known.requests = fake::user(buffer.data());
		args.known.requests_size = 8192;
		spoil(args);
		long err = daemon.ioctl(args.known, cmd);

		if (err) {
			EXPECT_EQ(host_request_state(tag), host::pending) << err;
		}
		return err;
	};
	auto nothing = [](Larger &) {};

	EXPECT_EQ(call([](Larger &args) { args.known.size = 0; }), -SHIM_EINVAL);
	EXPECT_EQ(call([](Larger &args) { args.known.size = sizeof(kextd_exchange) - 1; }), -SHIM_EINVAL);
	EXPECT_EQ(call([](Larger &args) { args.known.size = 1 << 20; }), -SHIM_EINVAL);
	EXPECT_EQ(call([](Larger &args) { args.known.flags = 4; }), -SHIM_EINVAL);
	EXPECT_EQ(call([](Larger &args) { args.known.flags = 0x80000001; }), -SHIM_EINVAL);
	EXPECT_EQ(call([](Larger &args) { args.known.reserved = 1; }), -SHIM_EINVAL);
	EXPECT_EQ(call([](Larger &args) { args.known.max_requests = KEXTD_EXCHANGE_MAX + 1; }), -SHIM_EINVAL);
	EXPECT_EQ(call([](Larger &args) { args.known.reply_count = KEXTD_EXCHANGE_MAX + 1; }), -SHIM_EINVAL);
	EXPECT_EQ(call([](Larger &args) { args.known.requests += 4; }), -SHIM_EINVAL);
	EXPECT_EQ(call([](Larger &args) { args.known.size = sizeof(Larger), args.more = 1; }), -SHIM_E2BIG);
	EXPECT_EQ(call([](Larger &args) { args.known.requests = 0; }), -SHIM_EFAULT);
	EXPECT_EQ(call([](Larger &args) { args.known.reply_count = 1; }), -SHIM_EFAULT);
	EXPECT_EQ(call(nothing, 0xc030b602), -SHIM_ENOTTY);
	EXPECT_EQ(call(nothing, 0), -SHIM_ENOTTY);
	EXPECT_EQ(daemon.ioctl_at(0, KEXTD_IOC_EXCHANGE), -SHIM_EFAULT);
	EXPECT_EQ(daemon.ioctl_at(~0ull - 2, KEXTD_IOC_EXCHANGE), -SHIM_EFAULT);
	// A program of a later version, with zeros where we know nothing; its number has another size in it.
	EXPECT_EQ(call([](Larger &args) { args.known.size = sizeof(Larger); }, KEXTD_IOC_EXCHANGE + (8 << 16)), 0);
	EXPECT_EQ(host_request_state(tag), host::fetched);
	kext.cancel_all();
}

TEST_F(Oskext, T_093_second_daemon)
{
	Daemon first;
	Daemon second(false);

	EXPECT_EQ(second.open(), -SHIM_EBUSY);
	first.close();
	EXPECT_EQ(second.open(), 0);
	EXPECT_EQ(first.open(), -SHIM_EBUSY);
}

} // namespace
