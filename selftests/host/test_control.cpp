// SPDX-License-Identifier: GPL-2.0-only
// /dev/kextbridge: what programs see and ask.
#include <cstring>

#include "kit.hpp"

namespace {

constexpr u32 any_tag = kOSKextRequestTagInvalid;
constexpr u32 nowait = KEXTBRIDGE_RESULT_NOWAIT;
constexpr u32 drop = KEXTBRIDGE_RESULT_NOWAIT | KEXTBRIDGE_RESULT_RELEASE;

class ControlFile : public host::Core {};

TEST_F(ControlFile, request_and_result)
{
	Daemon daemon;
	Control control(1000);

	Control::Outcome made = control.request("com.example.bundle", "name.bin");
	EXPECT_EQ(made.error, 0);
	EXPECT_EQ(made.result, kOSReturnSuccess);
	EXPECT_EQ(control.result(made.tag).error, -SHIM_EAGAIN);
	Record record = daemon.fetch_one();
	EXPECT_EQ(record.identifier, "com.example.bundle");
	EXPECT_EQ(record.name, "name.bin");
	EXPECT_EQ(record.load_tag, 0u);
	EXPECT_EQ(control.poll(), SHIM_EPOLLPRI);
	EXPECT_EQ(daemon.reply(record.id, 0, "payload"), kOSReturnSuccess);
	EXPECT_EQ(control.poll() & SHIM_EPOLLIN, SHIM_EPOLLIN);
	Control::Result result = control.result(made.tag, drop);
	EXPECT_EQ(result.status, kOSReturnSuccess);
	EXPECT_EQ(result.outcome, kOSReturnSuccess);
	EXPECT_EQ(result.out_flags, 0u);
	EXPECT_EQ(result.length, 7u);
	EXPECT_EQ(result.data, "payload");
	EXPECT_EQ(control.result(made.tag).status, kOSKextReturnNotFound);
	EXPECT_EQ(host_request_state(made.tag), host::absent);
	EXPECT_EQ(control.poll() & SHIM_EPOLLIN, 0u);
}

TEST_F(ControlFile, result_in_chunks)
{
	Daemon daemon;
	Control control;
	std::string payload;

	for (int i = 0; i < 1000; i++)
		payload += std::to_string(i);
	u32 tag = control.must_request();
	daemon.reply(daemon.fetch_one().id, 0, payload);
	std::string collected;
	for (;;) {
		Control::Result part = control.result(tag, nowait, static_cast<u32>(collected.size()), 333);

		ASSERT_EQ(part.error, 0);
		EXPECT_EQ(part.length, payload.size());
		EXPECT_EQ(part.outcome, kOSReturnSuccess);
		if (part.data.empty())
			break;
		collected += part.data;
	}
	EXPECT_EQ(collected, payload);
	EXPECT_EQ(control.result(tag, nowait, 0xffffffff, 100).data, "");
	// With no room: just how long it is.
	EXPECT_EQ(control.result(tag, nowait, 0, 0).length, payload.size());
	EXPECT_EQ(control.result(tag, drop, 0, 0).length, payload.size());
	EXPECT_EQ(control.result(tag, nowait).status, kOSKextReturnNotFound);
}

TEST_F(ControlFile, result_of_whichever_is_first)
{
	Daemon daemon;
	Control control;

	EXPECT_EQ(control.result(any_tag).status, kOSKextReturnNotFound);
	u32 a = control.must_request("a");
	u32 b = control.must_request("b");
	EXPECT_EQ(control.result(any_tag).error, -SHIM_EAGAIN);
	std::vector<Record> records = daemon.fetch();
	daemon.reply(records[1].id, kOSKextReturnNotFound);
	daemon.reply(records[0].id, 0, "A");
	Control::Result first = control.result(any_tag, drop);
	EXPECT_EQ(first.tag, b);
	EXPECT_EQ(first.outcome, kOSKextReturnNotFound);
	Control::Result second = control.result(any_tag, drop);
	EXPECT_EQ(second.tag, a);
	EXPECT_EQ(second.data, "A");
	EXPECT_EQ(control.result(any_tag, drop).status, kOSKextReturnNotFound);
}

TEST_F(ControlFile, result_sleeps_until_there_is_one)
{
	Daemon daemon;
	Control control;
	std::atomic<fake::Task *> task{nullptr};

	u32 tag = control.must_request("n");
	std::thread reader([&] {
		task = &fake::current();
		EXPECT_EQ(control.result(tag, KEXTBRIDGE_RESULT_RELEASE).data, "late");
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	daemon.reply(daemon.fetch_one().id, 0, "late");
	reader.join();
}

TEST_F(ControlFile, result_is_interruptible)
{
	Control control;

	u32 tag = control.must_request();
	fake::interrupt(fake::current());
	EXPECT_EQ(control.result(tag, 0).error, -SHIM_ERESTARTSYS);
	fake::clear_signal();
	EXPECT_EQ(control.cancel(tag).result, kOSReturnSuccess);
}

TEST_F(ControlFile, result_efault_keeps_the_result)
{
	Daemon daemon;
	Control control;
	std::vector<char> buffer(100);

	u32 tag = control.must_request();
	daemon.reply(daemon.fetch_one().id, 0, "payload");
	kextbridge_result args{};
	args.size = sizeof(args);
	args.flags = drop;
	args.tag = tag;
	args.data = 0;
	args.count = 100;
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_RESULT, &args), -SHIM_EFAULT);
	EXPECT_EQ(control.result(tag, drop).data, "payload");
}

TEST_F(ControlFile, result_of_another_file)
{
	Daemon daemon;
	Control a;
	Control b;

	u32 tag = a.must_request();
	EXPECT_EQ(b.result(tag).status, kOSKextReturnNotFound);
	daemon.reply(daemon.fetch_one().id, 0, "secret");
	EXPECT_EQ(b.result(tag).status, kOSKextReturnNotFound);
	EXPECT_EQ(b.result(any_tag).status, kOSKextReturnNotFound);
	EXPECT_EQ(a.result(tag).data, "secret");
}

TEST_F(ControlFile, hold_never_reaches_the_daemon)
{
	Daemon daemon;
	Control control;

	u32 tag = control.must_request("n", KEXTBRIDGE_REQUEST_HOLD, 1000);
	u32 cancelled = control.must_request("n", KEXTBRIDGE_REQUEST_HOLD, 1000);
	control.must_request("n", KEXTBRIDGE_REQUEST_HOLD, 10000);
	EXPECT_TRUE(daemon.fetch().empty());
	EXPECT_EQ(control.cancel(cancelled).result, kOSReturnSuccess);
	fake::advance_ms(1000);
	Control::Result result = control.result(tag);
	EXPECT_EQ(result.outcome, kOSKextReturnTimeout);
	EXPECT_EQ(result.out_flags, 0u);
}

TEST_F(ControlFile, deadline)
{
	Control control;

	u32 tag = control.must_request("n", 0, 500);
	fake::advance_ms(499);
	EXPECT_EQ(control.result(tag).error, -SHIM_EAGAIN);
	fake::advance_ms(1);
	EXPECT_EQ(control.result(tag).outcome, kOSKextReturnTimeout);
}

TEST_F(ControlFile, cancel_by_another_file_of_the_same_user)
{
	Daemon daemon;
	Control mine(1000);
	Control second(1000);

	for (bool fetched : {false, true}) {
		u32 tag = mine.must_request();
		u64 id = fetched ? daemon.fetch_one().id : 0;

		fake::current().uid = 1000;
		fake::current().sys_admin = false;
		EXPECT_EQ(second.cancel(tag).result, kOSReturnSuccess);
		EXPECT_EQ(second.cancel(tag).result, kOSKextReturnNotFound);
		EXPECT_EQ(fake::current().refused, 0); // not asked where it does not decide
		EXPECT_EQ(mine.poll() & SHIM_EPOLLIN, SHIM_EPOLLIN);
		Control::Result result = mine.result(tag);
		EXPECT_EQ(result.status, kOSReturnSuccess);
		EXPECT_EQ(result.outcome, kOSKextReturnNotFound);
		EXPECT_EQ(result.out_flags, KEXTBRIDGE_RESULT_CANCELLED);
		EXPECT_EQ(result.length, 0u);
		if (fetched) {
			EXPECT_EQ(daemon.fetch_one().kind, static_cast<u32>(KEXTD_CANCEL));
			EXPECT_EQ(daemon.reply(id, 0), kOSKextReturnNotFound);
		}
	}
}

// An answer that nobody has collected can still be cancelled; its payload is dropped.
TEST_F(ControlFile, cancel_of_an_answered_request)
{
	Daemon daemon;
	Control control;

	u32 tag = control.must_request();
	u64 before = fake::allocated_bytes();
	daemon.reply(daemon.fetch_one().id, 0, std::string(10000, 'p'));
	EXPECT_EQ(control.cancel(tag).result, kOSReturnSuccess);
	EXPECT_EQ(fake::allocated_bytes(), before);
	Control::Result result = control.result(tag);
	EXPECT_EQ(result.out_flags, KEXTBRIDGE_RESULT_CANCELLED);
	EXPECT_EQ(result.length, 0u);
	EXPECT_EQ(result.data, "");
}

TEST_F(ControlFile, cancel_wakes_the_waiting_reader)
{
	Control control;
	std::atomic<fake::Task *> task{nullptr};

	u32 tag = control.must_request();
	std::thread reader([&] {
		task = &fake::current();
		EXPECT_EQ(control.result(any_tag, KEXTBRIDGE_RESULT_RELEASE).out_flags, KEXTBRIDGE_RESULT_CANCELLED);
	});
	while (!task)
		std::this_thread::yield();
	fake::wait_until_asleep(*task);
	EXPECT_EQ(control.cancel(tag).result, kOSReturnSuccess);
	reader.join();
}

TEST_F(ControlFile, cancel_of_another_users_request)
{
	Control theirs(1000);
	u32 tag = theirs.must_request();
	Control mine(1001);

	fake::current().uid = 1001;
	fake::current().sys_admin = false;
	EXPECT_EQ(mine.cancel(tag).error, -SHIM_EPERM);
	EXPECT_EQ(host_request_state(tag), host::pending);
	fake::current().sys_admin = true;
	EXPECT_EQ(mine.cancel(tag).result, kOSReturnSuccess);
	EXPECT_EQ(mine.cancel(4711).result, kOSKextReturnNotFound);
	EXPECT_EQ(mine.cancel(0xffffffff).result, kOSKextReturnNotFound);
}

TEST_F(ControlFile, cancel_of_a_drivers_request)
{
	Kext kext;
	Control control;

	ASSERT_EQ(kext.insmod(), 0);
	u32 tag = kext.must_request();
	EXPECT_EQ(control.cancel(tag).result, kOSKextReturnNotPrivileged);
	EXPECT_EQ(host_request_state(tag), host::pending);
	EXPECT_EQ(kext.cancel(tag), kOSReturnSuccess);
	// And the other way round.
	tag = control.must_request();
	EXPECT_EQ(kext.cancel(tag), kOSKextReturnNotFound);
}

// Neither a driver nor a program can cancel what is no resource request.
TEST_F(ControlFile, cancel_of_a_load_or_an_unload)
{
	Daemon daemon;
	Kext kext;
	Control control;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(OSKextLoadKextWithIdentifier("com.example.x"), kOSKextReturnDeferred);
	u32 tag = daemon.fetch_one().tag();
	EXPECT_EQ(control.cancel(tag).result, kOSKextReturnNotFound);
	EXPECT_EQ(kext.cancel(tag), kOSKextReturnNotFound);
	daemon.reply(tag, kOSKextReturnNotFound);
}

TEST_F(ControlFile, close_drops_everything)
{
	Daemon daemon;
	Control control;
	kextbridge_status before = host::stats();

	control.must_request("collected");
	control.must_request("answered");
	control.must_request("fetched");
	std::vector<Record> records = daemon.fetch();
	daemon.reply(records[0].id, 0, "one");
	daemon.reply(records[1].id, 0, "two");
	EXPECT_EQ(control.result(records[0].tag(), nowait).data, "one");
	u32 cancelled = control.must_request("cancelled");
	control.cancel(cancelled);
	control.must_request("pending");
	control.must_request("held", KEXTBRIDGE_REQUEST_HOLD);
	control.close();
	kextbridge_status after = host::stats();
	EXPECT_EQ(after.pending, before.pending);
	EXPECT_EQ(after.answered, 0u);
	EXPECT_EQ(after.fetched, 0u);
	EXPECT_EQ(after.discarded, 4u);
	// What the daemon has in hand is taken back.
	std::vector<Record> notices = daemon.fetch();
	ASSERT_EQ(notices.size(), 1u);
	EXPECT_EQ(notices[0].kind, static_cast<u32>(KEXTD_CANCEL));
	EXPECT_EQ(notices[0].id, records[2].id);
	EXPECT_EQ(daemon.reply(records[2].id, 0, "three"), kOSKextReturnNotFound);
}

// A file is freed when the daemon has read the last notice of its requests.
TEST_F(ControlFile, close_with_notices_owed)
{
	Daemon daemon;
	{
		Control control;

		for (int i = 0; i < 5; i++)
			control.must_request();
		daemon.fetch();
	}
	EXPECT_GT(fake::live().krefs, 0);
	daemon.close();
	EXPECT_EQ(fake::live().krefs, 0);
}

TEST_F(ControlFile, request_validation)
{
	Control control;
	kextbridge_request args{};
	std::string longest(kextbridge_params.max_name, 'n');

	EXPECT_EQ(control.request("", "n").result, kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.request("i", "").result, kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.request("i", longest + "n").result, kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.request(longest + "n", "n").result, kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.request(std::string("a\0b", 3), "n").result, kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.request("i", std::string("a\0b", 3)).result, kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.request("i", "n").result, kOSReturnSuccess);
	EXPECT_EQ(control.request(longest, longest).result, kOSReturnSuccess);
	EXPECT_EQ(control.request("i", "n", 2).error, -SHIM_EINVAL);
	args.size = sizeof(args);
	args.identifier_size = args.name_size = 3;
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_REQUEST, &args), -SHIM_EFAULT);
	args.identifier = fake::user("abc");
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_REQUEST, &args), -SHIM_EFAULT);
	EXPECT_EQ(host::stats().pending, 2u);
}

TEST_F(ControlFile, requests_per_file_are_limited)
{
	Daemon daemon;
	Control control;
	Control other;

	kextbridge_params.max_pending_per_file = 3;
	u32 tag = control.must_request();
	control.must_request();
	control.must_request();
	EXPECT_EQ(control.request("i", "n").result, kOSKextReturnNoResources);
	other.must_request();
	// A result that is not collected counts as well.
	daemon.reply(daemon.fetch(1)[0].id, 0, "x");
	EXPECT_EQ(control.request("i", "n").result, kOSKextReturnNoResources);
	EXPECT_EQ(control.result(tag, nowait).data, "x");
	EXPECT_EQ(control.request("i", "n").result, kOSKextReturnNoResources);
	EXPECT_EQ(control.result(tag, drop).data, "x");
	EXPECT_EQ(control.request("i", "n").result, kOSReturnSuccess);
	EXPECT_EQ(host::stats().limited, 3u);
}

// Threads that share a file cannot pass the limit together.
TEST_F(ControlFile, request_limit_is_reached_while_the_tag_is_allocated)
{
	Control control;

	kextbridge_params.max_pending_per_file = 1;
	fake::xa_always_allocates(true);
	fake::at_next(fake::Moment::XaLockDropped, [&] { control.must_request("quicker"); });
	EXPECT_EQ(control.request("i", "n").result, kOSKextReturnNoResources);
	EXPECT_EQ(host::stats().pending, 1u);
}

// What a program leaves with the kernel is limited in bytes, too; all that ends a result makes room.
TEST_F(ControlFile, bytes_per_file_are_limited)
{
	Daemon daemon;
	Control control;
	Control other;
	std::string payload(1000, 'p');

	kextbridge_params.max_bytes_per_file = 2500;
	auto ask = [&](Control &file) {
		u32 tag = file.must_request();

		EXPECT_EQ(daemon.reply(daemon.fetch_one().id, 0, payload), kOSReturnSuccess);
		return tag;
	};
	u32 first = ask(control);
	u32 second = ask(control);
	u64 limited = host::stats().limited;
	u32 refused = ask(control);
	Control::Result result = control.result(refused, drop);
	EXPECT_EQ(result.outcome, kOSKextReturnNoResources);
	EXPECT_EQ(result.length, 0u);
	EXPECT_EQ(host::stats().limited, limited + 1);
	EXPECT_EQ(other.result(ask(other), drop).length, 1000u);
	// Collected, cancelled: room again.
	EXPECT_EQ(control.result(first, nowait).length, 1000u);
	EXPECT_EQ(control.result(ask(control), drop).outcome, kOSKextReturnNoResources);
	EXPECT_EQ(control.result(first, drop).length, 1000u);
	u32 third = ask(control);
	EXPECT_EQ(control.cancel(second).result, kOSReturnSuccess);
	u32 fourth = ask(control);
	EXPECT_EQ(control.result(third, drop).length, 1000u);
	EXPECT_EQ(control.result(fourth, drop).length, 1000u);
	EXPECT_EQ(control.result(second, drop).out_flags, KEXTBRIDGE_RESULT_CANCELLED);
}

TEST_F(ControlFile, list)
{
	Daemon daemon;
	std::vector<std::unique_ptr<Kext>> kexts;
	Control control;
	kextbridge_list out;

	EXPECT_TRUE(control.list().empty());
	for (int i = 0; i < 20; i++) {
		kexts.push_back(std::make_unique<Kext>("com.example.n" + std::to_string(i),
						       i % 2 ? KEXTBRIDGE_KEXT_PLAIN_RMMOD : 0, "2.5b1"));
		ASSERT_EQ(kexts.back()->insmod(), 0);
	}
	kexts[3]->must_request();
	kexts[4]->retain();
	kexts[5]->retain();
	std::vector<kextbridge_kext> all = control.list(0, 64, &out);
	ASSERT_EQ(all.size(), 20u);
	EXPECT_EQ(out.total, 20u);
	for (size_t i = 0; i < all.size(); i++) {
		EXPECT_EQ(all[i].load_tag, kexts[i]->tag());
		EXPECT_STREQ(all[i].identifier, kexts[i]->info.name);
		EXPECT_STREQ(all[i].version, "2.5b1");
		EXPECT_STREQ(all[i].module, kexts[i]->module.name);
		EXPECT_EQ(all[i].state, static_cast<u32>(KEXT_STATE_STARTED));
		EXPECT_EQ(all[i].pending, i == 3 ? 1u : 0u);
		EXPECT_EQ(all[i].retains, i == 4 || i == 5 ? 1u : 0u);
		EXPECT_EQ(all[i].module_refcount, i % 2 == 0 || i == 5 ? 1 : 0);
		EXPECT_EQ(all[i].flags,
			  (i % 2 ? KEXT_FLAG_PLAIN_RMMOD : 0) | (i == 4 || i == 5 ? KEXT_FLAG_AUTOUNLOAD : 0));
		EXPECT_EQ(all[i].instances, 0u);
		EXPECT_EQ(all[i].refused, 0u);
	}
	// In pieces.
	std::vector<kextbridge_kext> pieces;
	for (u32 from = 0;;) {
		std::vector<kextbridge_kext> some = control.list(from, 7);

		if (some.empty())
			break;
		pieces.insert(pieces.end(), some.begin(), some.end());
		from = some.back().load_tag + 1;
	}
	ASSERT_EQ(pieces.size(), 20u);
	EXPECT_EQ(memcmp(pieces.data(), all.data(), 20 * sizeof(all[0])), 0);
	EXPECT_TRUE(control.list(0xffffffff, 7).empty());
	EXPECT_TRUE(control.list(0, 0, &out).empty());
	EXPECT_EQ(out.total, 20u);
	kexts[3]->cancel_all();
	kexts[4]->release();
	kexts[5]->release();
}

TEST_F(ControlFile, list_validation)
{
	Kext kext;
	Control control;

	ASSERT_EQ(kext.insmod(), 0);
	kextbridge_list args{};
	args.size = sizeof(args);
	args.count = 1;
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_LIST, &args), -SHIM_EFAULT);
	args.flags = 2;
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_LIST, &args), -SHIM_EINVAL);
	args.flags = 0;
	args.reserved = 1;
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_LIST, &args), -SHIM_EINVAL);
	kextbridge_status status{};
	status.size = sizeof(status);
	status.reserved = 1;
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_STATUS, &status), -SHIM_EINVAL);
	args.size = 3;
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_LIST, &args), -SHIM_EINVAL);
}

TEST_F(ControlFile, list_shows_a_running_callback)
{
	Daemon daemon;
	Kext kext;
	Control control;
	std::atomic<u32> flags{0};

	kext.on_callback = [&](const Call &) { flags = control.list().at(0).flags; };
	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	daemon.reply(daemon.fetch_one().id, 0);
	kext.wait_for_calls(1);
	fake::settle();
	EXPECT_EQ(flags, KEXT_FLAG_IN_CALLBACK);
	EXPECT_EQ(control.list().at(0).flags, 0u);
}

TEST_F(ControlFile, status)
{
	Control control;
	pid &process = fake::process(4242);

	EXPECT_EQ(control.status().daemon_pid, 0);
	EXPECT_EQ(control.status().flags, 0u);
	Daemon daemon(true, &process);
	Kext kext;
	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	kext.must_request();
	daemon.fetch(1);
	kextbridge_status status = control.status();
	EXPECT_EQ(status.size, sizeof(status));
	EXPECT_EQ(status.flags, KEXTBRIDGE_STATUS_DAEMON);
	EXPECT_EQ(status.daemon_pid, 4242);
	EXPECT_EQ(status.kexts, 1u);
	EXPECT_EQ(status.pending, 1u);
	EXPECT_EQ(status.fetched, 1u);
	EXPECT_EQ(status.answered, 0u);
	EXPECT_EQ(status.submitted, 2u);
	kext.cancel_all();
	EXPECT_EQ(control.status().cancelled, 2u);
}

TEST_F(ControlFile, status_generation_and_poll)
{
	Kext kext;
	Control control;
	u64 generation = control.status().generation;

	EXPECT_EQ(control.poll(), 0u);
	EXPECT_EQ(control.status().generation, generation);
	fake::Poll poll;
	control.poll(&poll);
	std::thread loader([&] { EXPECT_EQ(kext.insmod(), 0); });
	poll.wait();
	loader.join();
	EXPECT_EQ(control.poll(), SHIM_EPOLLPRI);
	EXPECT_GT(control.status().generation, generation);
	EXPECT_EQ(control.poll(), 0u);
	auto grows = [&](const char *what, auto change) {
		u64 before = control.status().generation;

		change();
		EXPECT_GT(control.status().generation, before) << what;
	};
	grows("request", [&] { kext.must_request(); });
	grows("cancel", [&] { kext.cancel_all(); });
	grows("retain", [&] { kext.retain(); });
	grows("release", [&] { kext.release(); });
	auto daemon = std::make_unique<Daemon>(false);
	grows("daemon", [&] { EXPECT_EQ(daemon->open(), 0); });
	grows("daemon leaves", [&] { daemon.reset(); });
	grows("unload", [&] { kext.rmmod_force(); });
}

// Fetched and answered are states that status shows, too.
TEST_F(ControlFile, status_generation_of_fetch_and_reply)
{
	Daemon daemon;
	Kext kext;
	Control control;
	std::atomic<bool> let_go{false};

	kext.on_callback = [&](const Call &) {
		while (!let_go)
			std::this_thread::yield();
	};
	ASSERT_EQ(kext.insmod(), 0);
	kext.must_request();
	kext.must_request();
	u64 before = control.status().generation;
	std::vector<Record> records = daemon.fetch();
	u64 fetched = control.status().generation;
	EXPECT_GT(fetched, before);
	daemon.reply(records[0].id, 0);
	EXPECT_GT(control.status().generation, fetched);
	while (!kext.in_callback)
		std::this_thread::yield();
	let_go = true;
	u64 replied = control.status().generation;
	daemon.reply(records[1].id, 0);
	kext.wait_for_calls(2);
	EXPECT_GT(control.status().generation, replied);
}

TEST_F(ControlFile, managing_needs_cap_sys_module)
{
	Daemon daemon;
	Kext kext;
	Control control;

	ASSERT_EQ(kext.insmod(), 0);
	auto all = [&](long expected) {
		EXPECT_EQ(control.retain(kext.tag()).error, expected);
		EXPECT_EQ(control.release(kext.tag()).error, expected);
		EXPECT_EQ(control.load("com.example.x").error, expected);
		EXPECT_EQ(control.unload(4711).error, expected);
	};
	fake::current().sys_module = false;
	all(-SHIM_EPERM);
	EXPECT_EQ(control.list().size(), 1u); // for everybody
	control.status();
	fake::current().sys_module = true;
	control.file.opener_sys_module = false;
	all(-SHIM_EPERM);
	control.file.opener_sys_module = true;
	EXPECT_EQ(host::stats().retains, 0u);
	all(0);
	daemon.reply(daemon.fetch_one().id, kOSKextReturnNotFound);
}

TEST_F(ControlFile, retain_and_release)
{
	Kext kext;
	Control control;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(control.retain(kext.tag()).result, kOSReturnSuccess);
	EXPECT_EQ(control.release(kext.tag()).result, kOSReturnSuccess);
	EXPECT_EQ(control.release(kext.tag()).result, kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.retain(4711).result, kOSKextReturnNotFound);
	EXPECT_EQ(control.retain(0xffffffff).result, kOSKextReturnInvalidArgument);
	for (unsigned int cmd :
	     {KEXTBRIDGE_IOC_RETAIN, KEXTBRIDGE_IOC_RELEASE, KEXTBRIDGE_IOC_CANCEL, KEXTBRIDGE_IOC_UNLOAD}) {
		kextbridge_tag args{sizeof(args), 0x8000, kext.tag(), 0};

		EXPECT_EQ(control.ioctl(cmd, &args), -SHIM_EINVAL);
	}
	EXPECT_EQ(control.list().at(0).retains, 0u); // a refused call changes nothing
}

TEST_F(ControlFile, load)
{
	Daemon daemon;
	Kext kext;
	Control control;

	ASSERT_EQ(kext.insmod(), 0);
	EXPECT_EQ(control.load(kext.info.name).result, kOSReturnSuccess);
	EXPECT_EQ(control.load(kext.info.name, true).result, kOSReturnSuccess);
	EXPECT_EQ(control.load("").result, kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.load(std::string(64, 'x')).result, kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.load(std::string("a\0b", 3)).result, kOSKextReturnInvalidArgument);
	EXPECT_EQ(control.load("com.example.x").result, kOSKextReturnDeferred);
	EXPECT_EQ(daemon.reply(daemon.fetch_one().id, kOSKextReturnNotFound), kOSReturnSuccess);
	kextbridge_load args{};
	args.size = sizeof(args);
	args.identifier_size = 5;
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_LOAD, &args), -SHIM_EFAULT);
	args.flags = 4;
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_LOAD, &args), -SHIM_EINVAL);
}

TEST_F(ControlFile, load_with_wait)
{
	Control control;
	Kext kext("com.example.loadme");

	EXPECT_EQ(control.load("com.example.loadme", true).result, kOSKextReturnDisabled);
	Daemon daemon;
	{
		Service service(daemon, 1, [&](const Record &record) {
			EXPECT_EQ(record.kind, static_cast<u32>(KEXTD_LOAD));
			return host::reply_with(
				record.id, record.identifier == kext.info.name ?
						   (kext.insmod() ? kOSKextReturnStartStopError : kOSReturnSuccess) :
						   kOSKextReturnNotFound);
		});
		EXPECT_EQ(control.load("com.example.loadme", true).result, kOSReturnSuccess);
		EXPECT_TRUE(kext.is_loaded());
		EXPECT_EQ(control.load("com.example.nobody", true).result, kOSKextReturnNotFound);
	}
}

// Two that wait for the same load both learn of its end; a daemon that dies meanwhile is replaced.
TEST_F(ControlFile, load_with_wait_is_shared)
{
	auto daemon = std::make_unique<Daemon>();
	std::vector<std::thread> waiters;
	std::atomic<fake::Task *> tasks[2] = {nullptr, nullptr};
	std::atomic<int> done{0};

	for (int i = 0; i < 2; i++) {
		waiters.emplace_back([&, i] {
			Control control;

			tasks[i] = &fake::current();
			EXPECT_EQ(control.load("com.example.x", true).result, kOSKextReturnNotFound);
			done++;
			while (done < 2)
				std::this_thread::yield();
		});
	}
	for (auto &task : tasks) {
		while (!task)
			std::this_thread::yield();
		fake::wait_until_asleep(*task);
	}
	EXPECT_EQ(daemon->fetch().size(), 1u);
	daemon.reset();
	Daemon next;
	std::vector<Record> records = next.fetch();
	ASSERT_EQ(records.size(), 1u);
	EXPECT_EQ(next.reply(records[0].id, kOSKextReturnNotFound), kOSReturnSuccess);
	for (std::thread &waiter : waiters)
		waiter.join();
}

TEST_F(ControlFile, unknown_calls)
{
	Control control;
	u32 args[64] = {sizeof(args)};

	EXPECT_EQ(control.ioctl(0, args), -SHIM_ENOTTY);
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_LOAD_REQUESTS + 1, args), -SHIM_ENOTTY);
	EXPECT_EQ(control.ioctl(KEXTD_IOC_EXCHANGE, args), -SHIM_ENOTTY);
	fake::current().sys_module = false;
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_LOAD_REQUESTS + 1, args), -SHIM_ENOTTY);
}

// Every structure: too short, too long, and with something unknown behind.
TEST_F(ControlFile, sizes_of_all_structures)
{
	Daemon daemon;
	Control control;
	unsigned int calls[] = {KEXTBRIDGE_IOC_LIST,    KEXTBRIDGE_IOC_STATUS, KEXTBRIDGE_IOC_REQUEST,
				KEXTBRIDGE_IOC_RESULT,  KEXTBRIDGE_IOC_CANCEL, KEXTBRIDGE_IOC_RETAIN,
				KEXTBRIDGE_IOC_RELEASE, KEXTBRIDGE_IOC_UNLOAD, KEXTBRIDGE_IOC_LOAD};

	for (unsigned int cmd : calls) {
		u32 size = cmd >> 16 & 0x3fff;
		std::vector<char> args(8192);
		auto call = [&](u32 given) {
			memcpy(args.data(), &given, sizeof(given));
			return control.ioctl(cmd, args.data());
		};

		EXPECT_EQ(call(0), -SHIM_EINVAL) << std::hex << cmd;
		EXPECT_EQ(call(size - 1), -SHIM_EINVAL) << std::hex << cmd;
		EXPECT_EQ(call(4097), -SHIM_EINVAL) << std::hex << cmd;
		EXPECT_EQ(call(size + 8), 0) << std::hex << cmd;
		args[size + 7] = 1;
		EXPECT_EQ(call(size + 8), -SHIM_E2BIG) << std::hex << cmd;
		EXPECT_EQ(control.ioctl(cmd, nullptr), -SHIM_EFAULT) << std::hex << cmd;
	}
}

TEST_F(ControlFile, two_readers_of_one_result)
{
	Daemon daemon;
	Control control;

	for (u32 i = 0; i < host::rounds(2000); i++) {
		u32 tag = control.must_request();
		std::atomic<int> got{0};
		std::atomic<int> none{0};
		host::StartingLine line(3);
		u64 id = daemon.fetch_one().id;
		std::vector<std::thread> readers;

		for (int r = 0; r < 2; r++) {
			readers.emplace_back([&] {
				line.wait();
				Control::Result result = control.result(tag, KEXTBRIDGE_RESULT_RELEASE, 0, 16);

				EXPECT_EQ(result.error, 0);
				(result.status ? none : got)++;
				if (!result.status) {
					EXPECT_EQ(result.data, "once");
				}
			});
		}
		line.wait();
		daemon.reply(id, 0, "once");
		for (std::thread &reader : readers)
			reader.join();
		ASSERT_GE(got, 1);
		ASSERT_EQ(got + none, 2);
		ASSERT_EQ(host_request_state(tag), host::absent);
	}
}

// What a driver has behind the end of its identifier is nobody's business.
TEST_F(ControlFile, list_shows_texts_only)
{
	Control control;
	Kext kext;

	memset(kext.info.name, 'x', sizeof(kext.info.name));
	memset(kext.info.version, 'x', sizeof(kext.info.version));
	strcpy(kext.info.name, "com.example.a");
	strcpy(kext.info.version, "1.0");
	ASSERT_EQ(kext.insmod(), 0);
	std::vector<kextbridge_kext> kexts = control.list();

	ASSERT_EQ(kexts.size(), 1u);
	for (const char *text : {kexts[0].identifier, kexts[0].version}) {
		size_t length = strlen(text);

		EXPECT_EQ(std::string(text + length, KEXTBRIDGE_IDENTIFIER_SIZE - length),
			  std::string(KEXTBRIDGE_IDENTIFIER_SIZE - length, '\0'));
	}
}

// Each copy of the call fails once: the program was not told a tag, so there is no request either.
TEST_F(ControlFile, a_request_without_its_tag_is_none)
{
	Control control;
	u32 failed = 0;

	for (;; failed++) {
		fake::fail_user_copy(failed + 1);
		Control::Outcome made = control.request("com.example.bundle", "resource");

		if (!fake::fail_user_copy(0))
			break;
		ASSERT_EQ(made.error, -SHIM_EFAULT);
		ASSERT_EQ(control.result(kOSKextRequestTagInvalid).status, kOSKextReturnNotFound)
			<< "copy " << failed + 1;
	}
	EXPECT_GE(failed, 5u);
	EXPECT_EQ(host::stats().submitted, host::stats().discarded + 1);
}

TEST_F(ControlFile, a_request_without_its_tag_ends_a_wait_for_any)
{
	Control other;
	Control control;
	u8 untold[sizeof(kextbridge_request)];
	std::atomic<fake::Task *> task{nullptr};
	std::thread waiter;

	other.must_request(); // so that the table has room, and is unlocked but once
	// The waiter sleeps before the answer cannot be written: there is one pending then.
	fake::at_next(fake::Moment::Unlock, [&] {
		waiter = std::thread([&] {
			task = &fake::current();
			EXPECT_EQ(control.result(kOSKextRequestTagInvalid, 0).status, kOSKextReturnNotFound);
		});
		while (!task)
			std::this_thread::yield();
		fake::wait_until_asleep(*task);
		fake::fail_user_copy(1);
	});
	kextbridge_request args{};
	std::string name = "resource";

	args.size = sizeof(args);
	args.identifier = args.name = fake::user(name.data());
	args.identifier_size = args.name_size = static_cast<u32>(name.size());
	memcpy(untold, &args, sizeof(args));
	EXPECT_EQ(control.ioctl(KEXTBRIDGE_IOC_REQUEST, untold), -SHIM_EFAULT);
	waiter.join();
}

// Released is what the program has seen all of.
TEST_F(ControlFile, a_result_that_was_not_copied_stays)
{
	Daemon daemon;
	Control control;
	u32 tag = control.must_request();
	u32 failed = 0;

	daemon.reply(daemon.fetch_one().id, 7, "payload");
	for (;; failed++) {
		fake::fail_user_copy(failed + 1);
		Control::Result result = control.result(tag);

		if (!fake::fail_user_copy(0)) {
			EXPECT_EQ(result.error, 0);
			EXPECT_EQ(result.outcome, 7);
			EXPECT_EQ(result.data, "payload");
			break;
		}
		ASSERT_EQ(result.error, -SHIM_EFAULT);
		ASSERT_NE(host_request_state(tag), host::absent) << "copy " << failed + 1;
	}
	EXPECT_GE(failed, 4u);
	EXPECT_EQ(host_request_state(tag), host::absent);
}

} // namespace
