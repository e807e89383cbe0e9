// SPDX-License-Identifier: GPL-2.0-only
// Replies and fetches of the daemon in one call.
#include <cstring>

#include "kit.hpp"

namespace {

kextd_exchange room_for(std::vector<u64> &buffer, u32 size, u32 max_requests)
{
	kextd_exchange args{};

	args.size = sizeof(args);
	args.requests = fake::user(buffer.data());
	args.requests_size = size;
	args.max_requests = max_requests;
	return args;
}

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
	EXPECT_EQ(host::tags_of(records), std::vector<u32>{tag});
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
	kextd_exchange args = room_for(buffer, 8192, 1);
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
	kextd_exchange args = room_for(buffer, 64, 10);
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
	kextd_exchange args = room_for(buffer, 8192, 100);
	EXPECT_EQ(daemon.ioctl(args), -SHIM_EFAULT);
	EXPECT_EQ(args.request_count, 0u);
	for (u32 tag : tags)
		EXPECT_EQ(host_request_state(tag), host::pending);
	fake::clear_bad_ranges();
	EXPECT_EQ(host::tags_of(daemon.fetch()), tags);
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
	kextd_exchange args = room_for(buffer, 8192, 100);
	long err = daemon.ioctl(args);
	fake::clear_bad_ranges();
	EXPECT_EQ(args.request_count, err ? 0u : 16u);
	std::vector<u32> all = host::tags_of(host::parse(buffer.data(), err ? 0 : args.requests_used));
	for (u32 tag : host::tags_of(daemon.fetch()))
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
	kextd_exchange args = room_for(buffer, 8192, 100);
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

} // namespace
