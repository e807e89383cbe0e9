/* SPDX-License-Identifier: GPL-2.0-only */
/* What kextd does with messages that ask for nothing, on a made-up /dev/kextd. */
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <deque>
#include <gtest/gtest.h>
#include <mutex>
#include <vector>

#include "fake_node.hpp"
#include "kextbridge.h"
#include "server.hpp"

namespace {

class Daemon : public FakeNode {
      public:
	Daemon()
	{
		EXPECT_EQ(kextbridge_daemon_open("/dev/null", &daemon_), 0);
		answer_calls(kextbridge_daemon_fd(daemon_), this);
	}

	~Daemon() override
	{
		answer_calls(kextbridge_daemon_fd(daemon_), nullptr);
		kextbridge_daemon_close(daemon_);
	}

	void add(uint32_t kind, uint64_t id, const std::string &identifier = "", const std::string &name = "")
	{
		kextd_request header{};
		header.kind = kind;
		header.id = id;
		header.max_length = 4096;
		header.identifier_size = static_cast<uint32_t>(identifier.size()) + 1;
		header.name_size = static_cast<uint32_t>(name.size()) + 1;
		header.size =
			static_cast<uint32_t>((sizeof(header) + header.identifier_size + header.name_size + 7) / 8 * 8);
		std::string record(header.size, '\0');
		memcpy(record.data(), &header, sizeof(header));
		memcpy(record.data() + sizeof(header), identifier.data(), identifier.size());
		memcpy(record.data() + sizeof(header) + header.identifier_size, name.data(), name.size());
		records_ += record;
		count_++;
	}

	/* Serves until it ends: what was added is all there ever is. */
	int serve()
	{
		kext::Options options;
		options.roots = {"/nonexistent"};
		options.workers = 1;
		kext::Server server(options, daemon_);
		const int error = server.run();
		EXPECT_TRUE(server.drain(std::chrono::seconds(10)));
		std::sort(answered_.begin(), answered_.end());
		return error;
	}

	int call(unsigned long request, void *argument) override
	{
		const std::lock_guard lock(mutex_);
		if (request != KEXTD_IOC_EXCHANGE)
			return -ENOTTY;
		auto &args = *static_cast<kextd_exchange *>(argument);
		for (uint32_t i = 0; i < args.reply_count; i++) {
			auto &reply = reinterpret_cast<kextd_reply *>(args.replies)[i];
			answered_.push_back(reply.id);
			reply.status = reply.id ? kOSReturnSuccess : kOSKextReturnInvalidArgument;
		}
		args.requests_used = args.request_count = 0;
		if (!args.max_requests)
			return 0;
		if (!count_)
			return args.reply_count ? 0 : -EOWNERDEAD; /* instead of sleeping for ever */
		memcpy(reinterpret_cast<void *>(args.requests), records_.data(), records_.size());
		args.requests_used = static_cast<uint32_t>(records_.size());
		args.request_count = std::exchange(count_, 0);
		records_.clear();
		return 0;
	}

	std::vector<uint64_t> answered_;

      private:
	kextbridge_daemon *daemon_ = nullptr;
	std::mutex mutex_;
	std::string records_;
	uint32_t count_ = 0;
};

} // namespace

TEST(Server, T_092_EndsWhenTheSystemGoesDownWithAllAnswered)
{
	Daemon daemon;
	daemon.add(KEXTD_RESOURCE, 1, "com.example.none", "x");
	daemon.add(KEXTD_EXIT, 0);
	daemon.add(KEXTD_RESOURCE, 2, "com.example.none", "x");
	EXPECT_EQ(daemon.serve(), 0);
	EXPECT_EQ(daemon.answered_, (std::vector<uint64_t>{1, 2}));
}

TEST(Server, T_110_NoticesWantNoAnswer)
{
	Daemon daemon;
	daemon.add(KEXTD_LOADED, 0, "com.example.a", "a_module");
	daemon.add(KEXTD_UNLOADED, 0, "com.example.a", "a_module");
	daemon.add(KEXTD_CANCEL, 7);
	daemon.add(77, 0);
	EXPECT_EQ(daemon.serve(), -EOWNERDEAD) << "none of them ends it";
	EXPECT_TRUE(daemon.answered_.empty());
}

TEST(Server, KindsThatNobodyKnowsAreAnswered)
{
	Daemon daemon;
	daemon.add(77, 5);
	EXPECT_EQ(daemon.serve(), -EOWNERDEAD);
	EXPECT_EQ(daemon.answered_, std::vector<uint64_t>{5});
}
