// SPDX-License-Identifier: GPL-2.0-only
// The table in module/request.hpp, cell by cell: state_event.
#include "kit.hpp"

namespace {

// A request in one state, and all events that can meet it.
class StateTable : public host::Core {
      protected:
	std::unique_ptr<Daemon> daemon_;
	std::unique_ptr<Kext> kext_;
	u32 tag_ = 0;
	u64 id_ = 0;
	u64 bytes_before_payload_ = 0;
	std::atomic<bool> hold_{false};
	std::atomic<bool> holding_{false};
	static constexpr u32 timeout_ms = 1000;

	void SetUp() override
	{
		Core::SetUp();
		daemon_ = std::make_unique<Daemon>();
		kext_ = std::make_unique<Kext>("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);
		kext_->on_callback = [this](const Call &) {
			while (hold_) {
				holding_ = true;
				std::this_thread::yield();
			}
		};
		ASSERT_EQ(kext_->insmod(), 0);
	}

	void TearDown() override
	{
		hold_ = false;
		fake::settle();
		kext_.reset();
		daemon_.reset();
		Core::TearDown();
	}

	void make_pending() { tag_ = kext_->must_request("n", X, timeout_ms); }
	void make_fetched()
	{
		make_pending();
		id_ = daemon_->fetch_one().id;
	}
	// Another callback of the same kext runs: this one's cannot begin.
	void make_answered()
	{
		hold_ = true;
		kext_->must_request("runs");
		daemon_->reply(daemon_->fetch_one().id, 0);
		while (!holding_)
			std::this_thread::yield();
		make_fetched();
		bytes_before_payload_ = fake::allocated_bytes();
		EXPECT_EQ(daemon_->reply(id_, kOSReturnSuccess, std::string(5000, 'p')), kOSReturnSuccess);
		EXPECT_EQ(state(), host::answered);
	}
	// Its callback runs.
	void make_finished()
	{
		hold_ = true;
		make_fetched();
		EXPECT_EQ(daemon_->reply(id_, kOSReturnSuccess, "payload"), kOSReturnSuccess);
		while (!holding_)
			std::this_thread::yield();
		EXPECT_EQ(state(), host::finished);
	}

	int state() { return host_request_state(tag_); }
	void let_go()
	{
		hold_ = false;
		fake::settle();
	}
	void expect_cancelled()
	{
		void *out = nullptr;

		EXPECT_EQ(kext_->cancel(tag_, &out), kOSReturnSuccess);
		EXPECT_EQ(out, X);
		EXPECT_EQ(state(), host::absent);
	}
	void expect_notice()
	{
		Record record = daemon_->fetch_one();

		EXPECT_EQ(record.kind, static_cast<u32>(KEXTD_CANCEL));
		EXPECT_EQ(record.id, id_);
		EXPECT_EQ(record.identifier, "");
		EXPECT_EQ(record.name, "");
	}
	void expect_nothing_to_fetch() { EXPECT_TRUE(daemon_->fetch().empty()); }
	void expect_one_call(OSReturn result, std::optional<std::string> data = std::nullopt)
	{
		for (const Call &call : kext_->calls()) {
			if (call.tag != tag_)
				continue;
			EXPECT_EQ(call.result, result);
			EXPECT_EQ(call.data, data);
			EXPECT_EQ(call.context, X);
			return;
		}
		ADD_FAILURE() << "no callback";
	}
	void expect_no_call()
	{
		for (const Call &call : kext_->calls())
			EXPECT_NE(call.tag, tag_);
	}
};

TEST_F(StateTable, pending_fetch)
{
	make_pending();
	EXPECT_EQ(state(), host::pending);
	EXPECT_EQ(daemon_->fetch_one().tag(), tag_);
	EXPECT_EQ(state(), host::fetched);
}

TEST_F(StateTable, pending_reply)
{
	make_pending();
	EXPECT_EQ(daemon_->reply(tag_, 0), kOSKextReturnNotFound);
	EXPECT_EQ(daemon_->reply(tag_, 0, "data"), kOSKextReturnNotFound);
	EXPECT_EQ(state(), host::pending);
	EXPECT_EQ(host::stats().late_replies, 2u);
}

TEST_F(StateTable, pending_cancel)
{
	make_pending();
	expect_cancelled();
	expect_nothing_to_fetch();
	expect_no_call();
}

TEST_F(StateTable, pending_deadline)
{
	make_pending();
	fake::advance_ms(timeout_ms);
	expect_one_call(kOSKextReturnTimeout);
	expect_nothing_to_fetch();
}

TEST_F(StateTable, pending_daemon_closes)
{
	make_pending();
	daemon_->close();
	EXPECT_EQ(state(), host::pending);
	EXPECT_EQ(host::stats().requeued, 0u);
	EXPECT_EQ(daemon_->open(), 0);
	EXPECT_EQ(daemon_->fetch_one().tag(), tag_);
}

TEST_F(StateTable, pending_owner_stops)
{
	make_pending();
	EXPECT_EQ(kext_->rmmod(), 0);
	expect_one_call(kOSKextReturnTimeout);
	expect_nothing_to_fetch();
}

// The refusals of the begin that has no answer yet.
TEST_F(StateTable, pending_callback_begins)
{
	make_pending();
	fake::settle();
	expect_no_call();
	EXPECT_EQ(state(), host::pending);
}

TEST_F(StateTable, fetched_fetch)
{
	make_fetched();
	expect_nothing_to_fetch();
	EXPECT_EQ(state(), host::fetched);
}

TEST_F(StateTable, fetched_reply)
{
	make_answered();
	EXPECT_EQ(state(), host::answered);
	EXPECT_EQ(host::stats().answered, 1u);
	EXPECT_GE(fake::allocated_bytes(), bytes_before_payload_ + 5000);
}

TEST_F(StateTable, fetched_cancel)
{
	make_fetched();
	expect_cancelled();
	expect_notice();
	expect_nothing_to_fetch();
	expect_no_call();
}

TEST_F(StateTable, fetched_deadline)
{
	make_fetched();
	fake::advance_ms(timeout_ms);
	expect_one_call(kOSKextReturnTimeout);
	expect_notice();
	expect_nothing_to_fetch();
}

TEST_F(StateTable, fetched_daemon_closes)
{
	make_fetched();
	u32 behind = kext_->must_request();
	daemon_->close();
	EXPECT_EQ(state(), host::pending);
	EXPECT_EQ(daemon_->open(), 0);
	EXPECT_EQ(daemon_->fetch_one().tag(), tag_); // the head
	EXPECT_EQ(daemon_->reply(id_, 0), kOSReturnSuccess);
	EXPECT_EQ(daemon_->fetch_one().tag(), behind);
	fake::settle();
	expect_one_call(kOSReturnSuccess);
}

TEST_F(StateTable, fetched_owner_stops)
{
	make_fetched();
	EXPECT_EQ(kext_->rmmod(), 0);
	expect_one_call(kOSKextReturnTimeout);
	expect_notice();
}

TEST_F(StateTable, fetched_callback_begins)
{
	make_fetched();
	fake::settle();
	expect_no_call();
	EXPECT_EQ(state(), host::fetched);
}

TEST_F(StateTable, answered_fetch)
{
	make_answered();
	expect_nothing_to_fetch();
}

TEST_F(StateTable, answered_reply)
{
	make_answered();
	EXPECT_EQ(daemon_->reply(id_, kOSKextReturnInternalError), kOSKextReturnNotFound);
	EXPECT_EQ(daemon_->reply(id_, kOSKextReturnInternalError, "other"), kOSKextReturnNotFound);
	let_go();
	expect_one_call(kOSReturnSuccess, std::string(5000, 'p'));
}

TEST_F(StateTable, answered_cancel)
{
	make_answered();
	expect_cancelled();
	EXPECT_LE(fake::allocated_bytes(), bytes_before_payload_); // the payload is dropped
	expect_nothing_to_fetch();                                 // no notice: the daemon has answered
	let_go();
	expect_no_call();
}

TEST_F(StateTable, answered_deadline)
{
	make_answered();
	fake::jump_ms(u64{timeout_ms} * 2);
	EXPECT_EQ(state(), host::answered);
	let_go();
	expect_one_call(kOSReturnSuccess, std::string(5000, 'p'));
	EXPECT_EQ(host::stats().timeouts, 0u);
}

TEST_F(StateTable, answered_daemon_closes)
{
	make_answered();
	daemon_->close();
	EXPECT_EQ(state(), host::answered);
	let_go();
	expect_one_call(kOSReturnSuccess, std::string(5000, 'p'));
}

TEST_F(StateTable, answered_owner_stops)
{
	make_answered();
	bool delivered = false;
	kext_->stop = [&] {
		delivered = kext_->call_count() == 2;
		return KERN_SUCCESS;
	};
	std::thread rmmod([&] { EXPECT_EQ(kext_->rmmod(), 0); });
	std::this_thread::sleep_for(std::chrono::milliseconds(2));
	EXPECT_EQ(kext_->stops, 0);
	EXPECT_EQ(state(), host::answered);
	hold_ = false;
	rmmod.join();
	EXPECT_TRUE(delivered);
	expect_one_call(kOSReturnSuccess, std::string(5000, 'p'));
}

TEST_F(StateTable, answered_callback_begins)
{
	make_answered();
	let_go();
	expect_one_call(kOSReturnSuccess, std::string(5000, 'p'));
	EXPECT_EQ(state(), host::absent);
}

TEST_F(StateTable, finished_fetch)
{
	make_finished();
	expect_nothing_to_fetch();
}

TEST_F(StateTable, finished_reply)
{
	make_finished();
	EXPECT_EQ(daemon_->reply(id_, 0), kOSKextReturnNotFound);
	EXPECT_EQ(daemon_->reply(id_, 0, "x"), kOSKextReturnNotFound);
	let_go();
	EXPECT_EQ(kext_->call_count(), 1u);
}

TEST_F(StateTable, finished_cancel)
{
	make_finished();
	EXPECT_EQ(kext_->cancel_nowait(tag_), kOSKextReturnInUse);
	std::atomic<fake::Task *> task{nullptr};
	std::thread canceller([&] {
		task = &fake::current();
		EXPECT_EQ(kext_->cancel(tag_), kOSKextReturnNotFound);
		EXPECT_FALSE(hold_);
		EXPECT_EQ(kext_->in_callback, 0);
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	hold_ = false;
	canceller.join();
}

TEST_F(StateTable, finished_deadline)
{
	make_finished();
	fake::jump_ms(u64{timeout_ms} * 2);
	EXPECT_EQ(state(), host::finished);
	let_go();
	EXPECT_EQ(kext_->call_count(), 1u);
	EXPECT_EQ(host::stats().timeouts, 0u);
}

TEST_F(StateTable, finished_daemon_closes)
{
	make_finished();
	daemon_->close();
	EXPECT_EQ(state(), host::finished);
	let_go();
	EXPECT_EQ(kext_->call_count(), 1u);
}

TEST_F(StateTable, finished_owner_stops)
{
	make_finished();
	std::atomic<fake::Task *> task{nullptr};
	std::thread rmmod([&] {
		task = &fake::current();
		EXPECT_EQ(kext_->rmmod(), 0);
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	EXPECT_EQ(kext_->stops, 0);
	hold_ = false;
	rmmod.join();
	EXPECT_EQ(kext_->stops, 1);
}

TEST_F(StateTable, finished_callback_begins)
{
	make_finished();
	let_go();
	EXPECT_EQ(kext_->call_count(), 1u);
	EXPECT_EQ(state(), host::absent);
}

// A start that fails takes its requests in any state, without calling back.
TEST_F(StateTable, every_state_failed_start)
{
	Kext failing;
	std::vector<u32> tags;

	failing.start = [&] {
		for (int i = 0; i < 3; i++)
			tags.push_back(failing.must_request());
		std::vector<Record> records = daemon_->fetch(2);
		daemon_->reply(records[0].id, 0, "x");
		EXPECT_EQ(host_request_state(tags[0]), host::answered);
		EXPECT_EQ(host_request_state(tags[1]), host::fetched);
		EXPECT_EQ(host_request_state(tags[2]), host::pending);
		id_ = records[1].id;
		return KERN_FAILURE;
	};
	EXPECT_NE(failing.insmod(), 0);
	for (u32 tag : tags)
		EXPECT_EQ(host_request_state(tag), host::absent);
	expect_notice();
	expect_nothing_to_fetch();
}

} // namespace
