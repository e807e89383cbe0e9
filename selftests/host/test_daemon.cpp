// SPDX-License-Identifier: GPL-2.0-only
// /dev/kextd: who may be the daemon, what it fetches, what its replies do, what its death does.
#include <algorithm>
#include <cstring>

#include "kit.hpp"

namespace {

void *const X = reinterpret_cast<void *>(0x1234567);

std::vector<u32> tags_of(const std::vector<Record> &records)
{
	std::vector<u32> tags;

	for (const Record &record : records)
		tags.push_back(record.tag());
	return tags;
}

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
	EXPECT_EQ(call([](Larger &args) { args.known.flags = 2; }), -SHIM_EINVAL);
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

// ---- exchange: replies and fetches in one call

TEST_F(Oskext, exchange_replies_and_fetches_in_one_call)
{
	Daemon daemon;
	Kext kext;
	std::vector<u64> buffer(8192);

	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 50; i++)
		kext.must_request();
	std::vector<Record> records = daemon.fetch(20);
	ASSERT_EQ(records.size(), 20u);
	std::vector<kextd_reply> replies;
	for (const Record &record : records)
		replies.push_back(host::reply_with(record.id, 0, record.name));
	kextd_exchange args{};
	args.size = sizeof(args);
	args.replies = fake::user(replies.data());
	args.reply_count = 20;
	args.requests = fake::user(buffer.data());
	args.requests_size = 65536;
	args.max_requests = 25;
	EXPECT_EQ(daemon.ioctl(args), 0);
	EXPECT_EQ(args.reply_count, 20u);
	EXPECT_EQ(args.request_count, 25u);
	for (const kextd_reply &reply : replies)
		EXPECT_EQ(reply.status, kOSReturnSuccess);
	std::vector<Record> more = host::parse(buffer.data(), args.requests_used);
	ASSERT_EQ(more.size(), 25u);
	EXPECT_EQ(more[0].tag(), records[19].tag() + 1);
	EXPECT_EQ(daemon.fetch().size(), 5u);
	kext.wait_for_calls(20);
	EXPECT_EQ(kext.cancel_all(), 30u);
}

TEST_F(Oskext, exchange_without_max_requests_never_sleeps)
{
	Daemon daemon;
	kextd_exchange args{};

	args.size = sizeof(args);
	EXPECT_EQ(daemon.ioctl(args), 0);
	EXPECT_EQ(args.request_count, 0u);
}

// Replies were handed in: that there is nothing to fetch is no error.
TEST_F(Oskext, exchange_nowait_with_replies_only)
{
	Daemon daemon;
	Kext kext;
	std::vector<u64> buffer(1024);

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	kextd_reply reply = host::reply_with(daemon.fetch_one().id, 0);
	kextd_exchange args{};
	args.size = sizeof(args);
	args.flags = KEXTD_EXCHANGE_NOWAIT;
	args.replies = fake::user(&reply);
	args.reply_count = 1;
	args.requests = fake::user(buffer.data());
	args.requests_size = 8192;
	args.max_requests = 1;
	EXPECT_EQ(daemon.ioctl(args), 0);
	EXPECT_EQ(args.reply_count, 1u);
	EXPECT_EQ(args.request_count, 0u);
	// O_NONBLOCK is the same as the flag.
	args.flags = args.reply_count = 0;
	args.max_requests = 1;
	daemon.file.flags = SHIM_O_NONBLOCK;
	EXPECT_EQ(daemon.ioctl(args), -SHIM_EAGAIN);
	kext.wait_for_calls(1);
}

TEST_F(Oskext, exchange_sleeps_until_there_is_something)
{
	Daemon daemon;
	Kext kext;
	std::atomic<fake::Task *> task{nullptr};
	std::vector<Record> records;

	ASSERT_EQ(kext.insmod(), 0);
	std::thread sleeper([&] {
		task = &fake::current();
		records = daemon.wait();
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	u32 tag = kext.must_request();
	sleeper.join();
	EXPECT_EQ(tags_of(records), std::vector<u32>{tag});
	kext.cancel_all();
}

TEST_F(Oskext, exchange_is_interruptible)
{
	Daemon daemon;
	Kext kext;
	std::vector<u64> buffer(1024);

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	kextd_reply reply = host::reply_with(daemon.fetch_one().id, 0);
	kextd_exchange args{};
	args.size = sizeof(args);
	args.requests = fake::user(buffer.data());
	args.requests_size = 8192;
	args.max_requests = 1;
	fake::interrupt(fake::current());
	EXPECT_EQ(daemon.ioctl(args), -SHIM_ERESTARTSYS);
	args.replies = fake::user(&reply);
	args.reply_count = 1;
	EXPECT_EQ(daemon.ioctl(args), 0);
	EXPECT_EQ(args.reply_count, 1u);
	EXPECT_EQ(reply.status, kOSReturnSuccess);
	fake::clear_signal();
	kext.wait_for_calls(1);
}

TEST_F(Oskext, exchange_enobufs_tells_the_size)
{
	Daemon daemon;
	Kext kext;
	std::vector<u64> buffer(1024);

	ASSERT_EQ(kext.insmod(), 0);
	std::string name(500, 'n');
	u32 tag = kext.must_request(name.c_str());
	kextd_exchange args{};
	args.size = sizeof(args);
	args.requests = fake::user(buffer.data());
	args.requests_size = 64;
	args.max_requests = 10;
	EXPECT_EQ(daemon.ioctl(args), -SHIM_ENOBUFS);
	EXPECT_EQ(args.request_count, 0u);
	EXPECT_GT(args.requests_used, 500u);
	EXPECT_EQ(host_request_state(tag), host::pending);
	u32 needed = args.requests_used;
	args.requests_size = needed - 1;
	EXPECT_EQ(daemon.ioctl(args), -SHIM_ENOBUFS);
	args.requests_size = needed;
	EXPECT_EQ(daemon.ioctl(args), 0);
	EXPECT_EQ(args.request_count, 1u);
	EXPECT_EQ(args.requests_used, needed);
	// What does not fit behind another stays for the next call.
	kext.must_request(name.c_str());
	u32 second = kext.must_request(name.c_str());
	args.requests_size = needed + 100;
	args.max_requests = 10;
	EXPECT_EQ(daemon.ioctl(args), 0);
	EXPECT_EQ(args.request_count, 1u);
	EXPECT_EQ(host_request_state(second), host::pending);
	kext.cancel_all();
}

TEST_F(Oskext, exchange_efault_puts_back_in_order)
{
	Daemon daemon;
	Kext kext;
	std::vector<u64> buffer(1024);
	std::vector<u32> tags;

	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 5; i++)
		tags.push_back(kext.must_request("0123456"));
	size_t record = sizeof(kextd_request) + ((strlen(kext.info.name) + 1 + 8 + 7) & ~7u);
	fake::add_bad_range(reinterpret_cast<char *>(buffer.data()) + 3 * record, 8);
	kextd_exchange args{};
	args.size = sizeof(args);
	args.requests = fake::user(buffer.data());
	args.requests_size = 8192;
	args.max_requests = 100;
	EXPECT_EQ(daemon.ioctl(args), -SHIM_EFAULT);
	EXPECT_EQ(args.request_count, 0u);
	for (u32 tag : tags)
		EXPECT_EQ(host_request_state(tag), host::pending);
	fake::clear_bad_ranges();
	EXPECT_EQ(tags_of(daemon.fetch()), tags);
	kext.cancel_all();
}

// The 17th of 20: either all go back, or those that the out fields tell of stay in hand.
TEST_F(Oskext, exchange_efault_in_a_later_batch)
{
	Daemon daemon;
	Kext kext;
	std::vector<u64> buffer(1024);
	std::vector<u32> tags;

	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 20; i++)
		tags.push_back(kext.must_request("0123456"));
	size_t record = sizeof(kextd_request) + ((strlen(kext.info.name) + 1 + 8 + 7) & ~7u);
	fake::add_bad_range(reinterpret_cast<char *>(buffer.data()) + 17 * record, 8);
	kextd_exchange args{};
	args.size = sizeof(args);
	args.requests = fake::user(buffer.data());
	args.requests_size = 8192;
	args.max_requests = 100;
	long err = daemon.ioctl(args);
	fake::clear_bad_ranges();
	EXPECT_EQ(args.request_count, err ? 0u : 16u);
	std::vector<u32> all = tags_of(host::parse(buffer.data(), err ? 0 : args.requests_used));
	for (u32 tag : tags_of(daemon.fetch()))
		all.push_back(tag);
	EXPECT_EQ(all, tags);
	kext.cancel_all();
}

TEST_F(Oskext, exchange_efault_puts_a_notice_back)
{
	Daemon daemon;
	Kext kext;
	std::vector<u64> buffer(1024);

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request();
	u64 id = daemon.fetch_one().id;
	EXPECT_EQ(kext.cancel(tag), kOSReturnSuccess);
	u32 second = kext.must_request();
	kextd_exchange args{};
	args.size = sizeof(args);
	args.requests = fake::user(buffer.data());
	args.requests_size = 8192;
	args.max_requests = 100;
	fake::add_bad_range(buffer.data(), 8192);
	EXPECT_EQ(daemon.ioctl(args), -SHIM_EFAULT);
	fake::clear_bad_ranges();
	std::vector<Record> records = daemon.fetch();
	ASSERT_EQ(records.size(), 2u);
	EXPECT_EQ(records[0].kind, static_cast<u32>(KEXTD_CANCEL));
	EXPECT_EQ(records[0].id, id);
	EXPECT_EQ(records[1].tag(), second);
	kext.cancel_all();
}

TEST_F(Oskext, exchange_efault_in_the_replies_tells_how_many)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 3; i++)
		kext.must_request();
	std::vector<kextd_reply> replies;
	for (const Record &record : daemon.fetch())
		replies.push_back(host::reply_with(record.id, 0));
	fake::add_bad_range(&replies[2], sizeof(replies[2]));
	kextd_exchange args{};
	args.size = sizeof(args);
	args.replies = fake::user(replies.data());
	args.reply_count = 3;
	EXPECT_EQ(daemon.ioctl(args), -SHIM_EFAULT);
	EXPECT_EQ(args.reply_count, 2u);
	kext.wait_for_calls(2);
	fake::clear_bad_ranges();
	EXPECT_EQ(daemon.reply(replies[2]), kOSReturnSuccess);
	kext.wait_for_calls(3);
}

// A refused reply has to be given again: the call does not sleep on it.
TEST_F(Oskext, exchange_does_not_sleep_on_a_refused_reply)
{
	Daemon daemon;
	Kext kext;
	std::vector<u64> buffer(1024);

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	u64 id = daemon.fetch_one().id;
	kextd_reply reply = host::reply_with_fd(id, 0, 999);
	kextd_exchange args{};
	args.size = sizeof(args);
	args.replies = fake::user(&reply);
	args.reply_count = 1;
	args.requests = fake::user(buffer.data());
	args.requests_size = 8192;
	args.max_requests = 1;
	EXPECT_EQ(daemon.ioctl(args), 0);
	EXPECT_EQ(args.request_count, 0u);
	EXPECT_EQ(reply.status, kOSKextReturnInvalidArgument);
	EXPECT_EQ(daemon.reply(id, kOSKextReturnNotFound), kOSReturnSuccess);
	kext.wait_for_calls(1);
}

// What a daemon can hold is bounded; each answer makes room, and wakes whoever waits for it.
TEST_F(Oskext, exchange_hands_are_bounded)
{
	Daemon daemon;
	Kext kext;
	std::vector<Record> records;
	constexpr size_t most = 4096;

	ASSERT_EQ(kext.insmod(), 0);
	for (size_t i = 0; i < most + 10; i++)
		kext.must_request();
	for (;;) {
		std::vector<Record> more = daemon.fetch(1000);

		if (more.empty())
			break;
		records.insert(records.end(), more.begin(), more.end());
	}
	EXPECT_EQ(records.size(), most);
	EXPECT_EQ(daemon.poll(), 0u);
	std::atomic<fake::Task *> task{nullptr};
	std::thread worker([&] {
		task = &fake::current();
		EXPECT_EQ(daemon.wait().size(), 1u);
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	EXPECT_EQ(daemon.reply(records[7].id, 0), kOSReturnSuccess);
	worker.join();
	EXPECT_TRUE(daemon.fetch().empty());
	kext.wait_for_calls(1);
	EXPECT_EQ(kext.cancel_all(), most + 9);
}

TEST_F(Oskext, exchange_poll)
{
	Daemon daemon;
	Kext kext;
	fake::Poll poll;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(daemon.poll(&poll), 0u);
	std::thread requester([&] { kext.must_request(); });
	poll.wait();
	requester.join();
	EXPECT_EQ(daemon.poll(), SHIM_EPOLLIN);
	daemon.fetch_one();
	EXPECT_EQ(daemon.poll(), 0u);
	kext.cancel_all();
	EXPECT_EQ(daemon.poll(), SHIM_EPOLLIN); // the notice
	daemon.fetch_one();
	EXPECT_EQ(daemon.poll(), 0u);
}

// ---- death

// Suspects are handed out alone, in the order in which they were in hand.
TEST_F(Oskext, death_suspects_are_handed_out_alone)
{
	Kext kext;
	std::vector<u32> tags;

	ASSERT_EQ(kext.insmod(), 0);
	for (int i = 0; i < 4; i++)
		tags.push_back(kext.must_request());
	{
		Daemon dies;
		EXPECT_EQ(dies.fetch(2).size(), 2u);
	}
	Daemon daemon;
	std::vector<Record> records = daemon.fetch();
	EXPECT_EQ(tags_of(records), std::vector<u32>{tags[0]});
	EXPECT_EQ(daemon.poll(), 0u);
	EXPECT_TRUE(daemon.fetch().empty());
	EXPECT_EQ(daemon.reply(records[0].id, 0), kOSReturnSuccess);
	records = daemon.fetch();
	EXPECT_EQ(tags_of(records), std::vector<u32>{tags[1]});
	// Whatever ends it lets the next one out, and the notice is not held back.
	EXPECT_EQ(kext.cancel(tags[1]), kOSReturnSuccess);
	records = daemon.fetch();
	ASSERT_EQ(records.size(), 3u);
	EXPECT_EQ(records[0].kind, static_cast<u32>(KEXTD_CANCEL));
	EXPECT_EQ(records[1].tag(), tags[2]);
	EXPECT_EQ(records[2].tag(), tags[3]);
	kext.wait_for_calls(1);
	kext.cancel_all();
}

// A worker that leaves something behind wakes the next: nobody else would.
TEST_F(Oskext, T_091_worker_that_leaves_work_behind_wakes_the_next)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request("suspect");
	{
		Daemon dies;
		dies.fetch_one();
	}
	Daemon daemon;
	u64 suspect = daemon.fetch_one().id;
	// Both sleep while three wait behind the suspect. When it is done, one is woken and takes one.
	kext.must_request();
	kext.must_request();
	kext.must_request();
	std::atomic<u32> fetched{0};
	std::atomic<fake::Task *> tasks[2] = {nullptr, nullptr};
	std::vector<std::thread> workers;
	for (auto &task : tasks) {
		workers.emplace_back([&] {
			task = &fake::current();
			fetched += static_cast<u32>(daemon.wait(1).size());
			// It is busy with it until the other one has its own.
			while (fetched < 2)
				std::this_thread::yield();
		});
	}
	for (auto &task : tasks) {
		while (!task)
			std::this_thread::yield();
		fake::wait_until_asleep(*task);
	}
	daemon.reply(suspect, 0);
	for (std::thread &worker : workers)
		worker.join();
	EXPECT_EQ(fetched, 2u);
	kext.wait_for_calls(1);
	kext.cancel_all();
}

// A load may hang for long: nobody waits for it, before or after a daemon's death.
TEST_F(Oskext, death_hanging_load_holds_up_nobody)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 first = kext.must_request("first");
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.hangs"), kOSKextReturnDeferred);
	u32 second = kext.must_request("second");
	{
		Daemon dies;
		EXPECT_EQ(dies.fetch().size(), 3u);
	}
	u32 third = kext.must_request("third");
	Daemon daemon;
	u64 load = 0;
	std::vector<u32> seen;
	// The load stays in hand, all others are answered one by one.
	for (int turns = 0; turns < 4; turns++) {
		for (const Record &record : daemon.fetch()) {
			if (record.kind == KEXTD_LOAD) {
				load = record.id;
				continue;
			}
			seen.push_back(record.tag());
			daemon.reply(record.id, 0);
		}
	}
	EXPECT_NE(load, 0u);
	EXPECT_EQ(seen, (std::vector<u32>{first, second, third}));
	kext.wait_for_calls(3);
	daemon.reply(load, kOSKextReturnNotFound);
}

TEST_F(Oskext, death_suspect_that_waited_is_cancelled)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request("first");
	u32 second = kext.must_request("second");
	{
		Daemon dies;
		EXPECT_EQ(dies.fetch().size(), 2u);
	}
	Daemon daemon;
	daemon.reply(daemon.fetch_one().id, 0);
	u64 suspect = daemon.fetch_one().id;
	EXPECT_EQ(static_cast<u32>(suspect), second);
	u32 third = kext.must_request("third");
	std::atomic<fake::Task *> task{nullptr};
	std::vector<Record> records;
	std::thread worker([&] {
		task = &fake::current();
		records = daemon.wait();
		if (records.size() == 1 && records[0].kind == KEXTD_CANCEL) {
			std::vector<Record> more = daemon.wait();

			records.insert(records.end(), more.begin(), more.end());
		}
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	EXPECT_EQ(kext.cancel(second), kOSReturnSuccess);
	worker.join();
	ASSERT_EQ(records.size(), 2u);
	EXPECT_EQ(records[1].tag(), third);
	kext.wait_for_calls(1);
	kext.cancel_all();
}

// A load over which three daemons died is given up, too; an innocent request in hand with it is not charged.
TEST_F(Oskext, death_poisoned_load)
{
	Kext kext;
	Control control;
	OSReturn result = 1;
	auto daemon = std::make_unique<Daemon>();
	std::atomic<fake::Task *> task{nullptr};

	ASSERT_EQ(kext.insmod(), 0);
	std::thread loader([&] {
		task = &fake::current();
		result = control.load("com.example.deadly", true).result;
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	u32 innocent = kext.must_request();
	for (int death = 0; death < 3; death++) {
		std::vector<Record> records = daemon->fetch();

		ASSERT_EQ(records.size(), 2u) << death;
		EXPECT_EQ(records[0].kind, static_cast<u32>(KEXTD_LOAD));
		EXPECT_EQ(records[1].tag(), innocent);
		EXPECT_EQ(records[1].attempt, 0u);
		daemon->close();
		daemon->open();
	}
	loader.join();
	EXPECT_EQ(result, kOSKextReturnInternalError);
	Record left = daemon->fetch_one();
	EXPECT_EQ(left.tag(), innocent);
	EXPECT_EQ(left.attempt, 0u);
	EXPECT_EQ(daemon->reply(left.id, 0), kOSReturnSuccess);
	EXPECT_EQ(kext.wait_for_calls(1)[0].result, kOSReturnSuccess);
}

// A sleeping worker is woken when the suspect in another worker's hands is done.
TEST_F(Oskext, death_worker_waits_for_the_suspect)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	{
		Daemon dies;
		dies.fetch_one();
	}
	Daemon daemon;
	u64 suspect = daemon.fetch_one().id;
	u32 next = kext.must_request();
	std::atomic<fake::Task *> task{nullptr};
	std::vector<Record> records;
	std::thread worker([&] {
		task = &fake::current();
		records = daemon.wait();
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	EXPECT_EQ(daemon.reply(suspect, 0), kOSReturnSuccess);
	worker.join();
	EXPECT_EQ(tags_of(records), std::vector<u32>{next});
	kext.wait_for_calls(1);
	kext.cancel_all();
}

TEST_F(Oskext, death_three_times_alone_is_poison)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	u32 poison = kext.must_request("poison");
	u32 innocent = kext.must_request("innocent");
	{
		// In hand together: a suspicion, no count.
		Daemon dies;
		EXPECT_EQ(dies.fetch().size(), 2u);
	}
	for (u32 death = 0; death < 3; death++) {
		Daemon dies;
		std::vector<Record> records = dies.fetch();
		ASSERT_EQ(tags_of(records), std::vector<u32>{poison});
		EXPECT_EQ(records[0].attempt, death);
		EXPECT_EQ(kext.call_count(), 0u);
		dies.close();
	}
	Call call = kext.wait_for_calls(1)[0];
	EXPECT_EQ(call.tag, poison);
	EXPECT_EQ(call.result, kOSKextReturnInternalError);
	EXPECT_EQ(host::stats().poisoned, 1u);
	Daemon daemon;
	Record record = daemon.fetch_one();
	EXPECT_EQ(record.tag(), innocent);
	EXPECT_EQ(record.attempt, 0u);
	EXPECT_EQ(daemon.reply(record.id, 0), kOSReturnSuccess);
	EXPECT_EQ(kext.wait_for_calls(2)[1].result, kOSReturnSuccess);
}

TEST_F(Oskext, death_of_a_daemon_with_empty_hands_costs_nothing)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	for (int i = 0; i < 5; i++)
		Daemon dies;
	Daemon daemon;
	EXPECT_EQ(daemon.fetch_one().attempt, 0u);
	EXPECT_EQ(host::stats().requeued, 0u);
	kext.cancel_all();
}

TEST_F(Oskext, death_drops_the_notices)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	{
		Daemon dies;
		kext.must_request();
		dies.fetch_one();
		kext.cancel_all();
	}
	Daemon daemon;
	EXPECT_TRUE(daemon.fetch().empty());
}

TEST_F(Oskext, death_reply_from_the_wrong_file)
{
	Kext kext;
	pid &first_process = fake::process(100);

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request();
	Daemon first(true, &first_process);
	u64 id = first.fetch_one().id;
	first_process.gone = true;
	// A child still holds the descriptor; the next open takes over.
	Daemon second;
	std::vector<u64> buffer(64);
	kextd_reply reply = host::reply_with(id, 0);
	kextd_exchange args{};
	args.size = sizeof(args);
	args.replies = fake::user(&reply);
	args.reply_count = 1;
	EXPECT_EQ(first.ioctl(args), -SHIM_EOWNERDEAD);
	EXPECT_EQ(first.poll(), SHIM_EPOLLHUP);
	EXPECT_EQ(host_request_state(tag), host::pending);
	EXPECT_EQ(second.reply(id, 0), kOSKextReturnNotFound); // not fetched by it
	EXPECT_EQ(second.fetch_one().id, id);
	EXPECT_EQ(second.reply(id, 0), kOSReturnSuccess);
	kext.wait_for_calls(1);
	first.close();
	EXPECT_EQ(host::stats().flags, KEXTBRIDGE_STATUS_DAEMON);
	first_process.gone = false;
}

// The role is lost with the process, even when nobody has taken over yet.
TEST_F(Oskext, death_child_without_its_parent)
{
	Kext kext;
	pid &process = fake::process(101);
	long err;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	Daemon daemon(true, &process);
	process.gone = true;
	daemon.fetch(1, &err);
	EXPECT_EQ(err, -SHIM_EOWNERDEAD);
	process.gone = false;
	daemon.close();
	kext.cancel_all();
}

// Nor does its thread, woken later, fetch what it could not answer.
TEST_F(Oskext, death_sleeping_child_fetches_nothing)
{
	Kext kext;
	pid &process = fake::process(103);
	long err = 0;

	ASSERT_EQ(kext.insmod(), 0);
	Daemon daemon(true, &process);
	std::atomic<fake::Task *> task{nullptr};
	std::thread child([&] {
		task = &fake::current();
		daemon.wait(1, &err);
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	process.gone = true;
	u32 tag = kext.must_request();
	child.join();
	EXPECT_EQ(err, -SHIM_EOWNERDEAD);
	EXPECT_EQ(host_request_state(tag), host::pending);
	Daemon next;
	EXPECT_EQ(next.fetch_one().tag(), tag);
	kext.cancel_all();
	process.gone = false;
}

TEST_F(Oskext, death_wakes_sleepers_of_the_old_daemon)
{
	pid &process = fake::process(102);
	Daemon old(true, &process);
	std::atomic<fake::Task *> task{nullptr};
	long err = 0;
	std::thread child([&] {
		task = &fake::current();
		old.wait(1, &err);
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	process.gone = true;
	Daemon next;
	child.join();
	EXPECT_EQ(err, -SHIM_EOWNERDEAD);
	process.gone = false;
}

TEST_F(Oskext, death_requeued_requests_keep_their_deadline)
{
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request("n", X, 1000);
	{
		Daemon dies;
		dies.fetch_one();
		fake::advance_ms(600);
	}
	Daemon daemon;
	EXPECT_EQ(daemon.fetch_one().deadline_ns, fake::now() + 400 * 1000000ull);
	fake::advance_ms(399);
	EXPECT_EQ(kext.call_count(), 0u);
	fake::advance_ms(1);
	EXPECT_EQ(kext.wait_for_calls(1)[0].result, kOSKextReturnTimeout);
}

} // namespace
