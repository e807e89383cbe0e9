// SPDX-License-Identifier: GPL-2.0-only
// What drivers get beyond macOS's calls: reads that wait, scopes, instances, the unload of another kext.
#include "kextbridge/instance.h"
#include "kit.hpp"

namespace {

class Client : public host::Core {};

// A read on a thread of its own, asleep once it is constructed.
class Read {
	void *data_ = nullptr;
	u32 length_ = 7;
	OSReturn result_ = 1;
	std::atomic<fake::Task *> task_{nullptr};
	std::atomic<bool> joined_{false};
	std::thread thread_;

      public:
	explicit Read(Kext &kext, const char *name = "resource", u32 timeout_ms = 0, kextbridge_scope *scope = nullptr)
		: thread_([this, &kext, name, timeout_ms, scope] {
			  task_ = &fake::current();
			  result_ = kext.read(&data_, &length_, name, timeout_ms, scope);
			  while (!joined_)
				  std::this_thread::yield();
		  })
	{
		while (!task_)
			std::this_thread::yield();
		fake::wait_until_asleep(*task_);
	}
	~Read() { result(); }
	fake::Task &task() { return *task_; }
	OSReturn result()
	{
		joined_ = true;
		if (thread_.joinable()) {
			thread_.join();
			if (data_)
				bytes_ = std::string(static_cast<char *>(data_), length_);
			kextbridge_free_resource(data_);
			if (result_ && (data_ || length_))
				ADD_FAILURE() << "a read that failed gives bytes";
		}
		return result_;
	}
	const std::optional<std::string> &bytes()
	{
		result();
		return bytes_;
	}

      private:
	std::optional<std::string> bytes_;
};

TEST_F(Client, read)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	{
		Read read(kext, "file");
		Record record = daemon.fetch_one();

		EXPECT_EQ(record.name, "file");
		EXPECT_EQ(record.load_tag, kext.tag());
		EXPECT_EQ(daemon.reply(record.id, 0, "bytes"), kOSReturnSuccess);
		EXPECT_EQ(read.result(), kOSReturnSuccess);
		EXPECT_EQ(read.bytes(), "bytes");
	}
	{
		Read empty(kext);

		EXPECT_EQ(daemon.reply(daemon.fetch_one().id, 0), kOSReturnSuccess);
		EXPECT_EQ(empty.result(), kOSReturnSuccess);
		EXPECT_EQ(empty.bytes(), std::nullopt);
	}
	Read failed(kext);

	EXPECT_EQ(daemon.reply(daemon.fetch_one().id, kOSKextReturnNotFound, "bytes"), kOSReturnSuccess);
	EXPECT_EQ(failed.result(), kOSKextReturnNotFound);
	EXPECT_EQ(kext.call_count(), 0u);
	EXPECT_EQ(host::stats().callbacks, 3u);
}

TEST_F(Client, read_arguments)
{
	Kext kext;
	Kext stranger;
	void *data = X;
	u32 length = 7;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(kextbridge_read(&kext.info, nullptr, "n", nullptr, &data, &length), kOSKextReturnInvalidArgument);
	EXPECT_EQ(data, nullptr);
	EXPECT_EQ(length, 0u);
	EXPECT_EQ(kextbridge_read(&kext.info, "i", nullptr, nullptr, &data, &length), kOSKextReturnInvalidArgument);
	EXPECT_EQ(kextbridge_read(&kext.info, "i", "n", nullptr, nullptr, &length), kOSKextReturnInvalidArgument);
	EXPECT_EQ(kextbridge_read(&kext.info, "i", "n", nullptr, &data, nullptr), kOSKextReturnInvalidArgument);
	// One that is not loaded, and one that says it is another.
	EXPECT_EQ(kextbridge_read(&stranger.info, "i", "n", nullptr, &data, &length), kOSKextReturnInvalidArgument);
	stranger.info.id = kext.tag();
	EXPECT_EQ(kextbridge_read(&stranger.info, "i", "n", nullptr, &data, &length), kOSKextReturnInvalidArgument);
}

TEST_F(Client, read_ends_by_deadline_kill_cancel_all_and_unload)
{
	Daemon daemon;
	Kext kext;

	ASSERT_EQ(kext.insmod(), 0);
	for (bool fetched : {false, true}) {
		auto fetch = [&] { return fetched ? daemon.fetch_one().id : 0; };
		auto is_late = [&](u64 id) {
			if (fetched) {
				EXPECT_EQ(daemon.reply(id, 0, "late"), kOSKextReturnNotFound);
			}
			for (const Record &record : daemon.fetch())
				EXPECT_EQ(record.kind, static_cast<u32>(KEXTD_CANCEL));
		};
		{
			Read read(kext, "n", 1000);
			u64 id = fetch();

			fake::advance_ms(1001);
			EXPECT_EQ(read.result(), kOSKextReturnTimeout);
			is_late(id);
		}
		{
			Read read(kext);
			u64 id = fetch();

			fake::interrupt(read.task()); // no signal but SIGKILL
			fake::kill(read.task());
			EXPECT_EQ(read.result(), kIOReturnAborted);
			is_late(id);
		}
		Read read(kext);
		u64 id = fetch();

		EXPECT_EQ(kext.cancel_all(), 1u);
		EXPECT_EQ(read.result(), kIOReturnAborted);
		is_late(id);
	}
	Read read(kext);
	Unload unload(kext);

	EXPECT_EQ(read.result(), kOSKextReturnTimeout);
	for (;;) {
		std::vector<Record> records = daemon.wait(1);

		ASSERT_EQ(records.size(), 1u);
		if (records[0].kind != KEXTD_UNLOAD)
			continue;
		EXPECT_EQ(daemon.reply(records[0].id, host::delete_for(records[0])), kOSReturnSuccess);
		break;
	}
	EXPECT_EQ(unload.result(), kOSReturnSuccess);
}

// Where a callback would wait for the end of the start function, and where it runs.
TEST_F(Client, read_in_the_start_function_and_in_a_callback)
{
	Daemon daemon;
	Service service(daemon);
	Kext kext;
	OSReturn results[2] = {1, 1};
	auto read = [&](int which) {
		void *data = nullptr;
		u32 length = 0;

		results[which] = kext.read(&data, &length, "inner");
		EXPECT_EQ(length, 5u);
		kextbridge_free_resource(data);
	};

	kext.start = [&] {
		read(0);
		return KERN_SUCCESS;
	};
	kext.on_callback = [&](const Call &) { read(1); };
	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	kext.wait_for_calls(1);
	EXPECT_EQ(results[0], kOSReturnSuccess);
	EXPECT_EQ(results[1], kOSReturnSuccess);
}

// The start function fails while another of its threads reads.
TEST_F(Client, read_of_a_start_function_that_fails)
{
	Daemon daemon;
	Kext kext;
	std::unique_ptr<Read> read;

	kext.start = [&] {
		read = std::make_unique<Read>(kext);
		return KERN_FAILURE;
	};
	EXPECT_EQ(kext.insmod(), -SHIM_EIO);
	EXPECT_EQ(read->result(), kIOReturnAborted);
	EXPECT_EQ(host::stats().discarded, 1u);
	EXPECT_TRUE(daemon.fetch().empty());
}

// ---- scopes

void count_one(OSKextRequestTag, void *context, void *arg)
{
	*static_cast<u64 *>(arg) += reinterpret_cast<u64>(context);
}

TEST_F(Client, scope)
{
	Daemon daemon;
	Kext kext;
	kextbridge_scope scope;
	u64 sum = 0;
	u32 other;

	ASSERT_EQ(kext.insmod(), 0);
	kextbridge_scope_init(&scope);
	EXPECT_EQ(kextbridge_scope_is_cancelled(&scope), 0u);
	for (u64 i = 1; i <= 5; i++)
		EXPECT_EQ(kext.request_under(&scope, reinterpret_cast<void *>(i)), kOSReturnSuccess);
	other = kext.must_request("other");
	// One is Fetched, one is Answered and called back, the rest is Pending.
	Record first = daemon.fetch_one();

	EXPECT_EQ(daemon.reply(first.id, 0), kOSReturnSuccess);
	kext.wait_for_calls(1);
	fake::settle();
	Record second = daemon.fetch_one();

	EXPECT_EQ(kextbridge_scope_cancel(&scope, count_one, &sum), 4u);
	EXPECT_EQ(sum, 2u + 3 + 4 + 5);
	EXPECT_EQ(daemon.reply(second.id, 0), kOSKextReturnNotFound);
	EXPECT_EQ(kextbridge_scope_cancel(&scope, count_one, &sum), 0u);
	EXPECT_EQ(kextbridge_scope_is_cancelled(&scope), 1u);
	EXPECT_EQ(kext.request_under(&scope), kIOReturnAborted);
	EXPECT_EQ(kext.cancel(other), kOSReturnSuccess);
	kextbridge_scope_init(&scope);
	EXPECT_EQ(kext.request_under(&scope), kOSReturnSuccess);
	EXPECT_EQ(kextbridge_scope_cancel(&scope, nullptr, nullptr), 1u);
	EXPECT_EQ(kext.call_count(), 1u);
}

TEST_F(Client, scope_that_is_none)
{
	Kext kext;
	Kext other;
	kextbridge_scope none = {};
	kextbridge_scope scope;

	ASSERT_EQ(kext.insmod(), 0);
	ASSERT_EQ(other.insmod(), 0);
	EXPECT_EQ(kext.request_under(&none), kOSKextReturnInvalidArgument);
	EXPECT_EQ(kextbridge_scope_cancel(&none, nullptr, nullptr), 0u);
	EXPECT_EQ(kextbridge_scope_cancel(nullptr, nullptr, nullptr), 0u);
	EXPECT_EQ(kextbridge_scope_is_cancelled(&none), 1u);
	EXPECT_EQ(kextbridge_scope_is_cancelled(nullptr), 1u);
	kextbridge_scope_init(nullptr);
	kextbridge_scope_init(&scope);
	EXPECT_EQ(kext.request_under(&scope), kOSReturnSuccess);
	EXPECT_EQ(other.request_under(&scope), kOSKextReturnInvalidArgument);
	EXPECT_EQ(kextbridge_scope_cancel(&scope, nullptr, nullptr), 1u);
}

TEST_F(Client, scope_cancel_is_a_barrier)
{
	Daemon daemon;
	Kext kext;
	kextbridge_scope scope;
	std::atomic<bool> go{false};
	std::atomic<bool> returned{false};

	kext.on_callback = [&](const Call &) {
		while (!go)
			std::this_thread::yield();
	};
	ASSERT_EQ(kext.insmod(), 0);
	kextbridge_scope_init(&scope);
	EXPECT_EQ(kext.request_under(&scope), kOSReturnSuccess);
	EXPECT_EQ(daemon.reply(daemon.fetch_one().id, 0), kOSReturnSuccess);
	while (!kext.in_callback)
		std::this_thread::yield();
	std::atomic<fake::Task *> task{nullptr};
	std::thread canceller([&] {
		task = &fake::current();
		EXPECT_EQ(kextbridge_scope_cancel(&scope, nullptr, nullptr), 0u);
		EXPECT_EQ(kext.in_callback, 0);
		returned = true;
	});

	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	EXPECT_FALSE(returned);
	go = true;
	canceller.join();
}

// Each cancel that returns has nothing running behind it, and each request has one end. The scope's memory is freed as soon
// as the cancels have returned: the sanitizers see who still looks at it.
TEST_F(Client, scope_races)
{
	host::Random random(host::race_seed());
	Daemon daemon;
	Service service(daemon);
	Kext kext;
	std::atomic<u32> calls{0};
	u32 cancelled = 0;
	u32 called = 0;
	u32 refused = 0;
	u32 aborted = 0;
	u32 read = 0;

	kext.keep_calls = false;
	kext.on_callback = [&](const Call &) { calls++; };
	ASSERT_EQ(kext.insmod(), 0);
	fake::chaos(50, random.next());
	for (u32 i = 0; host::one_more(i, host::rounds(4000), cancelled && called && aborted && read); i++) {
		auto scope = std::make_unique<kextbridge_scope>();
		host::StartingLine line(4);
		std::atomic<u32> accepted{0};
		std::atomic<u32> ended{0};
		u32 waits[4];

		kextbridge_scope_init(scope.get());
		calls = 0;
		for (u32 &wait : waits)
			wait = random.below(20000);
		auto cancel = [&](u32 wait) {
			line.wait();
			for (; wait; wait--)
				asm volatile("");
			ended += kextbridge_scope_cancel(scope.get(), nullptr, nullptr);
		};
		std::thread cancellers[2] = {std::thread(cancel, waits[0]), std::thread(cancel, waits[1])};
		std::thread reader([&] {
			void *data = nullptr;
			u32 length = 0;

			line.wait();
			OSReturn result = kext.read(&data, &length, "read", 0, scope.get());

			read += !result;
			aborted += result == kIOReturnAborted;
			if (result && result != kIOReturnAborted)
				ADD_FAILURE() << result;
			kextbridge_free_resource(data);
		});

		line.wait();
		for (int j = 0; j < 4; j++) {
			OSReturn result = kext.request_under(scope.get());

			accepted += !result;
			refused += result == kIOReturnAborted;
		}
		cancellers[0].join();
		cancellers[1].join();
		// The reader's request is among those that were cancelled, or it was refused, or it was answered.
		u32 seen = calls;

		reader.join();
		EXPECT_GE(seen + ended, accepted.load());
		EXPECT_LE(seen + ended, accepted.load() + 1);
		scope.reset();
		EXPECT_EQ(calls, seen) << "a callback after the cancel";
		cancelled += ended;
		called += seen;
	}
	fake::chaos(0, 0);
	printf("cancelled %u, called back %u, refused %u, reads %u, aborted %u\n", cancelled, called, refused, read,
	       aborted);
}

// Reply, deadline, kill and unload all want the same read: it returns once, with what one of them gave.
TEST_F(Client, read_races)
{
	host::Random random(host::race_seed());
	u32 bytes = 0;
	u32 timeouts = 0;
	u32 aborted = 0;

	for (u32 i = 0; host::one_more(i, host::rounds(1500), bytes && timeouts && aborted); i++) {
		Daemon daemon;
		Kext kext;
		Control control;

		ASSERT_EQ(kext.insmod(), 0);
		{
			Read read(kext, "n", 1000);
			u64 id = daemon.fetch_one().id;
			host::StartingLine line(3);
			u32 waits[3] = {random.below(3000), random.below(3000), random.below(3000)};
			u32 what = random.below(3);
			std::thread replier([&] {
				line.wait();
				for (u32 wait = waits[0]; wait; wait--)
					asm volatile("");
				daemon.reply(id, 0, "bytes");
			});
			std::thread killer([&] {
				line.wait();
				for (u32 wait = waits[1]; wait; wait--)
					asm volatile("");
				if (what == 0)
					fake::kill(read.task());
				else if (what == 1)
					kext.cancel_all();
				else
					control.stop(kext.tag());
			});

			line.wait();
			for (u32 wait = waits[2]; wait; wait--)
				asm volatile("");
			fake::jump_ms(1001);
			replier.join();
			killer.join();
			OSReturn result = read.result();

			bytes += !result;
			timeouts += result == kOSKextReturnTimeout;
			aborted += result == kIOReturnAborted;
			if (result && result != kOSKextReturnTimeout && result != kIOReturnAborted)
				ADD_FAILURE() << result;
		}
		fake::settle();
	}
	printf("bytes %u, timeouts %u, aborted %u\n", bytes, timeouts, aborted);
}

// ---- instances

TEST_F(Client, T_137_instances)
{
	Daemon daemon;
	Kext kext;
	Control control;
	kextbridge_class widget = {"Widget", 0, 0, nullptr};
	kextbridge_class gadget = {"Gadget", 0, 0, nullptr};
	auto create = [&](kextbridge_class &cls) {
		cls.instances++;
		kextbridge_class_register(&kext.info, &cls);
	};

	ASSERT_EQ(kext.insmod(), 0);
	create(widget);
	create(widget);
	create(gadget);
	EXPECT_EQ(control.list()[0].instances, 3u);
	EXPECT_EQ(control.unload(kext.tag()).result, kOSKextReturnInUse);
	EXPECT_EQ(control.stop(kext.tag()).result, kOSKextReturnInUse);
	EXPECT_NE(fake::log().back().find("Widget"), std::string::npos);
	widget.instances = 0;
	EXPECT_EQ(control.unload(kext.tag()).result, kOSKextReturnInUse);
	EXPECT_NE(fake::log().back().find("Gadget"), std::string::npos);
	// It does not leave by itself either.
	kextbridge_params.autounload_delay_ms = 1000;
	kext.retain();
	kext.release();
	fake::advance_ms(10000);
	EXPECT_EQ(kext.stops, 0);
	gadget.instances = 0;
	Service service(daemon);

	fake::advance_ms(1001);
	while (kext.is_loaded())
		std::this_thread::yield();
	fake::settle();
	EXPECT_EQ(kext.stops, 1);
	// One that is not loaded is nobody's.
	kextbridge_class lost = {"Lost", 1, 0, nullptr};

	kextbridge_class_register(&kext.info, &lost);
	EXPECT_EQ(lost.known, 0u);
}

// ---- the unload of another kext

TEST_F(Client, unload_of_another_kext)
{
	Daemon daemon;
	Kext kext;
	Kext other;

	ASSERT_EQ(kext.insmod(), 0);
	ASSERT_EQ(other.insmod(), 0);
	EXPECT_EQ(kextbridge_unload_kext(&kext.info, kOSKextInvalidLoadTag), kOSKextReturnInvalidArgument);
	EXPECT_EQ(kextbridge_unload_kext(&kext.info, 4711), kOSKextReturnNotFound);
	EXPECT_EQ(kextbridge_unload_kext(&kext.info, kext.tag()), kOSKextReturnInvalidArgument);
	other.retain();
	EXPECT_EQ(kextbridge_unload_kext(&kext.info, other.tag()), kOSKextReturnInUse);
	other.release();
	Service service(daemon);

	EXPECT_EQ(kextbridge_unload_kext(&kext.info, other.tag()), kOSReturnSuccess);
	EXPECT_FALSE(other.is_loaded());
}

// Two callbacks that unload each other's kext wait for nobody.
TEST_F(Client, callbacks_unload_each_others_kext)
{
	Daemon daemon;
	Kext kexts[2];
	std::atomic<int> deferred{0};
	std::atomic<int> inside{0};

	for (int i = 0; i < 2; i++) {
		kexts[i].on_callback = [&, i](const Call &) {
			inside++;
			while (inside < 2)
				std::this_thread::yield();
			deferred += kextbridge_unload_kext(&kexts[i].info, kexts[1 - i].tag()) == kOSKextReturnDeferred;
		};
		ASSERT_EQ(kexts[i].insmod(), 0);
	}
	Service service(daemon);

	for (Kext &kext : kexts)
		kext.must_request();
	for (Kext &kext : kexts)
		while (kext.is_loaded())
			std::this_thread::yield();
	EXPECT_EQ(deferred, 2);
}

} // namespace
