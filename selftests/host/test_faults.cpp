// SPDX-License-Identifier: GPL-2.0-only
// Every allocation and every access to user memory fails once, in every scenario: nothing leaks, the counters fit, and
// the same again works.
#include <cstring>

#include "kit.hpp"

namespace {

// Runs with must_succeed false while something fails, and with true when nothing does.
using Scenario = void (*)(bool must_succeed);

class Faults : public host::Core {
      protected:
	// Returns how many points have failed.
	static u32 sweep(Scenario scenario, bool (*arm)(unsigned int))
	{
		for (u32 n = 1;; n++) {
			fake::reset();
			host_core_reset();
			EXPECT_EQ(kextbridge_core_init_c(), 0);
			fake::xa_always_allocates(true);
			arm(n);
			scenario(false);
			bool failed = arm(0);
			host::check_invariants();
			scenario(true);
			fake::settle();
			host::check_invariants();
			kextbridge_status end = host::stats();
			EXPECT_EQ(end.submitted, end.callbacks + end.cancelled + end.discarded);
			EXPECT_EQ(end.kexts, 0u);
			kextbridge_core_exit_c();
			fake::Live left = fake::live();
			EXPECT_EQ(left.allocations, 0) << "at " << n;
			EXPECT_EQ(left.krefs, 0) << "at " << n;
			EXPECT_EQ(left.file_refs, 0) << "at " << n;
			EXPECT_EQ(left.pid_refs, 0) << "at " << n;
			if (!failed)
				return n - 1;
			if (HasFailure()) {
				ADD_FAILURE() << "with failure point " << n;
				return n;
			}
		}
	}

	void SetUp() override {}
	void TearDown() override {}
};

void load_and_unload(bool must_succeed)
{
	Kext kexts[10]; // more than the text map's first allocation holds
	u32 last = 0;

	for (Kext &kext : kexts) {
		int err = kext.insmod();

		if (must_succeed) {
			ASSERT_EQ(err, 0);
		} else if (err) {
			ASSERT_EQ(err, -SHIM_ENOMEM);
		}
		if (!err) {
			ASSERT_GT(kext.tag(), last);
			last = kext.tag();
		}
	}
}

void request_and_reply(bool must_succeed)
{
	Daemon daemon(false);
	Kext kext;
	int err = kext.insmod();

	if (must_succeed) {
		ASSERT_EQ(err, 0);
	}
	if (err)
		return;
	err = daemon.open();
	if (must_succeed) {
		ASSERT_EQ(err, 0);
	}
	size_t calls = 0;
	u32 last = 0;
	for (int i = 0; i < 3; i++) {
		OSKextRequestTag tag = 0;
		OSReturn result = kext.request("name", &tag);

		if (must_succeed) {
			ASSERT_EQ(result, kOSReturnSuccess);
		}
		if (result) {
			ASSERT_EQ(result, kOSKextReturnNoMemory);
			ASSERT_EQ(tag, kOSKextRequestTagInvalid);
			continue;
		}
		ASSERT_GT(tag, last);
		last = tag;
		if (err) {
			ASSERT_EQ(kext.cancel(tag), kOSReturnSuccess);
			continue;
		}
		long fetch_error;
		std::vector<Record> records = daemon.fetch(1, &fetch_error);
		if (fetch_error) {
			ASSERT_FALSE(must_succeed);
			ASSERT_EQ(fetch_error, -SHIM_EFAULT);
			// Nothing of it is lost.
			records = daemon.fetch(1, &fetch_error);
		}
		ASSERT_EQ(records.size(), 1u);
		kextd_reply reply = host::reply_with(records[0].id, 0, "payload");
		kextd_exchange args{};
		args.size = sizeof(args);
		args.replies = fake::user(&reply);
		args.reply_count = 1;
		long reply_error = daemon.ioctl(args);
		if (must_succeed) {
			ASSERT_EQ(reply_error, 0);
		}
		if (reply_error || reply.status) {
			// Refused for want of memory, or of an address: still in hand. Or taken, and only the status is lost.
			ASSERT_FALSE(must_succeed);
			s32 again = daemon.reply(records[0].id, 0, "payload");

			ASSERT_TRUE(!again || again == kOSKextReturnNotFound) << again;
		}
		kext.wait_for_calls(++calls);
	}
	fake::settle();
	ASSERT_EQ(kext.call_count(), calls);
	for (const Call &call : kext.calls()) {
		ASSERT_EQ(call.result, kOSReturnSuccess);
		ASSERT_EQ(call.data, "payload");
	}
}

// More than one hold of the lock hands them out; then a notice.
void fetch_many(bool must_succeed)
{
	Daemon daemon(false);
	Kext kext;
	std::vector<u32> tags, got;

	if (kext.insmod() || daemon.open()) {
		ASSERT_FALSE(must_succeed);
		return;
	}
	for (int i = 0; i < 18; i++) {
		OSKextRequestTag tag = 0;

		if (!kext.request("name", &tag))
			tags.push_back(tag);
	}
	std::vector<Record> records;
	for (int tries = 0; tries < 3 && got.size() < tags.size(); tries++) {
		long err;

		for (const Record &record : daemon.fetch(40, &err)) {
			got.push_back(record.tag());
			records.push_back(record);
		}
		if (err) {
			ASSERT_FALSE(must_succeed);
			ASSERT_EQ(err, -SHIM_EFAULT);
		}
	}
	ASSERT_EQ(got, tags); // all of them, in order
	ASSERT_EQ(kext.cancel(tags[0]), kOSReturnSuccess);
	long err;
	std::vector<Record> notices = daemon.fetch(4, &err);
	if (err) {
		ASSERT_FALSE(must_succeed);
		notices = daemon.fetch(4, &err);
	}
	ASSERT_EQ(notices.size(), 1u);
	ASSERT_EQ(notices[0].kind, static_cast<u32>(KEXTD_CANCEL));
	ASSERT_EQ(notices[0].id, records[0].id);
	for (size_t i = 1; i < tags.size(); i++)
		ASSERT_EQ(kext.cancel(tags[i]), kOSReturnSuccess);
}

void reply_by_file(bool must_succeed)
{
	Daemon daemon(false);
	Kext kext;
	file payload;

	if (kext.insmod() || daemon.open() || kext.request()) {
		ASSERT_FALSE(must_succeed);
		return;
	}
	payload.contents.assign(100000, 'f');
	int fd = fake::install_fd(payload);
	long err;
	std::vector<Record> records = daemon.fetch(1, &err);
	if (err)
		records = daemon.fetch(1, &err);
	ASSERT_EQ(records.size(), 1u);
	kextd_reply reply = host::reply_with_fd(records[0].id, 0, fd);
	kextd_exchange args{};
	args.size = sizeof(args);
	args.replies = fake::user(&reply);
	args.reply_count = 1;
	err = daemon.ioctl(args);
	if (must_succeed) {
		ASSERT_EQ(err, 0);
		ASSERT_EQ(reply.status, kOSReturnSuccess);
	}
	if (err || reply.status) {
		s32 again = daemon.reply(host::reply_with_fd(records[0].id, 0, fd));

		ASSERT_TRUE(!again || again == kOSKextReturnNotFound);
	}
	fake::close_fd(fd);
	ASSERT_EQ(kext.wait_for_calls(1)[0].data, payload.contents);
}

void program_asks(bool must_succeed)
{
	Daemon daemon(false);
	file opened;
	void *data = nullptr;
	int err = kextbridge_control_open_c(&opened, &data);

	if (err) {
		ASSERT_FALSE(must_succeed);
		ASSERT_EQ(err, -SHIM_ENOMEM);
		return;
	}
	kextbridge_control_release_c(data);
	if (!must_succeed) {
		// It worked: the kit's may fail as well, and says so by an expectation. So the rest is for the second run.
		if (daemon.open())
			return;
	} else {
		ASSERT_EQ(daemon.open(), 0);
	}
	Control control;
	Control::Outcome made = control.request("com.example.bundle", "name");
	if (must_succeed) {
		ASSERT_EQ(made.error, 0);
		ASSERT_EQ(made.result, kOSReturnSuccess);
	}
	if (made.error) {
		// The program does not know a tag: there is nothing to know.
		ASSERT_EQ(made.error, -SHIM_EFAULT);
		ASSERT_EQ(host::stats().pending, 0u);
		return;
	}
	if (made.result) {
		ASSERT_EQ(made.result, kOSKextReturnNoMemory);
		return;
	}
	long fetch_error;
	std::vector<Record> records = daemon.fetch(1, &fetch_error);
	if (fetch_error)
		records = daemon.fetch(1, &fetch_error);
	ASSERT_EQ(records.size(), 1u);
	kextd_reply reply = host::reply_with(records[0].id, 0, "payload");
	kextd_exchange args{};
	args.size = sizeof(args);
	args.replies = fake::user(&reply);
	args.reply_count = 1;
	if (daemon.ioctl(args) || reply.status)
		daemon.reply(records[0].id, 0, "payload");
	Control::Result result = control.result(made.tag);
	if (result.error) {
		ASSERT_EQ(result.error, -SHIM_EFAULT);
		// It is still there.
		result = control.result(made.tag);
		ASSERT_EQ(result.error, 0);
		ASSERT_EQ(result.status, kOSReturnSuccess);
	}
	ASSERT_EQ(result.data, "payload");
}

// Each has its answer or has not been heard; what has happened is seen by the next call.
void program_manages(bool must_succeed)
{
	Kext kext;

	if (kext.insmod()) {
		ASSERT_FALSE(must_succeed);
		return;
	}
	Control control(0, true);
	if (!control.is_open()) {
		ASSERT_FALSE(must_succeed);
		return;
	}
	u64 cancels = host::stats().cancelled;
	Control::Outcome made = control.request("com.example.bundle", "name", KEXTBRIDGE_REQUEST_HOLD);
	if (!made.error && !made.result) {
		Control::Outcome cancelled = control.cancel(made.tag);

		if (cancelled.error) {
			cancelled = control.cancel(made.tag);
			ASSERT_TRUE(!cancelled.result || cancelled.result == kOSKextReturnNotFound);
		}
		ASSERT_EQ(host::stats().cancelled, cancels + 1);
	} else {
		ASSERT_FALSE(must_succeed);
		ASSERT_EQ(host::stats().pending, 0u);
	}
	u64 retains = host::stats().retains;
	Control::Outcome retained = control.retain(kext.tag());
	ASSERT_TRUE(!retained.error || !must_succeed);
	for (bool more = host::stats().retains > retains; more;) {
		Control::Outcome released = control.release(kext.tag());

		more = released.error && host::stats().releases < host::stats().retains;
	}
	ASSERT_EQ(host::stats().releases, host::stats().retains);
}

void load_call(bool must_succeed)
{
	Daemon daemon(false);
	OSReturn result = OSKextLoadKextWithIdentifier("com.example.x");

	if (result) {
		ASSERT_TRUE(result == kOSKextReturnDeferred || (!must_succeed && result == kOSKextReturnNoMemory));
	}
	if (daemon.open()) {
		ASSERT_FALSE(must_succeed);
		return;
	}
	for (int i = 0; i < 2; i++) {
		long err;

		for (const Record &record : daemon.fetch(8, &err))
			daemon.reply(record.id, kOSKextReturnNotFound);
	}
}

void controlled_unload(bool must_succeed)
{
	Daemon daemon(false);
	Kext kext;

	if (kext.insmod() || daemon.open()) {
		ASSERT_FALSE(must_succeed);
		return;
	}
	kext.request();
	file opened;
	void *data = nullptr;
	if (kextbridge_control_open_c(&opened, &data)) {
		ASSERT_FALSE(must_succeed);
		return;
	}
	{
		Service service(daemon);
		kextbridge_tag args{sizeof(args), 0, kext.tag(), 0x7777};
		long err = kextbridge_control_ioctl_c(&opened, data, KEXTBRIDGE_IOC_UNLOAD, fake::user(&args));

		if (must_succeed) {
			ASSERT_EQ(err, 0);
			ASSERT_EQ(args.result, kOSReturnSuccess);
			ASSERT_FALSE(kext.is_loaded());
		} else if (!err && args.result) {
			ASSERT_EQ(args.result, kOSKextReturnNoMemory);
			ASSERT_EQ(kext.state(), host::started);
		}
	}
	kextbridge_control_release_c(data);
}

void autounload(bool must_succeed)
{
	Daemon daemon(false);
	Kext kext;

	if (kext.insmod() || daemon.open()) {
		ASSERT_FALSE(must_succeed);
		return;
	}
	Service service(daemon);
	kext.retain();
	kext.release();
	fake::advance_ms(60000);
	// Without memory the decision is made again, one delay later.
	fake::advance_ms(60000);
	while (kext.is_loaded())
		std::this_thread::yield();
	service.finish();
	fake::settle();
}

TEST_F(Faults, allocations_load_and_unload)
{
	// Per kext: itself, the node of its tag; twice the text map.
	EXPECT_GE(sweep(load_and_unload, fake::fail_allocation), 22u);
}

TEST_F(Faults, allocations_request_and_reply)
{
	EXPECT_GE(sweep(request_and_reply, fake::fail_allocation), 13u);
}

TEST_F(Faults, allocations_program_manages)
{
	EXPECT_GE(sweep(program_manages, fake::fail_allocation), 5u);
}

TEST_F(Faults, allocations_reply_by_file)
{
	EXPECT_GE(sweep(reply_by_file, fake::fail_allocation), 7u);
}

TEST_F(Faults, allocations_load_call)
{
	EXPECT_GE(sweep(load_call, fake::fail_allocation), 3u);
}

TEST_F(Faults, allocations_controlled_unload)
{
	EXPECT_GE(sweep(controlled_unload, fake::fail_allocation), 9u);
}

TEST_F(Faults, allocations_autounload)
{
	EXPECT_GE(sweep(autounload, fake::fail_allocation), 6u);
}

TEST_F(Faults, allocations_core_init)
{
	fake::reset();
	host_core_reset();
	fake::fail_allocation(1);
	EXPECT_EQ(kextbridge_core_init_c(), -SHIM_ENOMEM);
	EXPECT_TRUE(fake::fail_allocation(0));
	EXPECT_EQ(fake::live().allocations, 0);
}

TEST_F(Faults, user_copies_request_and_reply)
{
	EXPECT_GE(sweep(request_and_reply, fake::fail_user_copy), 10u);
}

TEST_F(Faults, user_copies_fetch_many)
{
	// Two copies for each record, one for each batch.
	EXPECT_GE(sweep(fetch_many, fake::fail_user_copy), 42u);
}

TEST_F(Faults, user_copies_program_manages)
{
	EXPECT_GE(sweep(program_manages, fake::fail_user_copy), 13u);
}

TEST_F(Faults, user_copies_reply_by_file)
{
	EXPECT_GE(sweep(reply_by_file, fake::fail_user_copy), 6u);
}

TEST_F(Faults, user_copies_program_asks)
{
	EXPECT_GE(sweep(program_asks, fake::fail_user_copy), 10u);
}

TEST_F(Faults, user_copies_controlled_unload)
{
	EXPECT_GE(sweep(controlled_unload, fake::fail_user_copy), 3u);
}

// The program's calls allocate as well; the kit opens the file before anything fails.
TEST_F(Faults, allocations_program_asks)
{
	for (u32 n = 1;; n++) {
		Core::SetUp();
		fake::xa_always_allocates(true);
		bool failed;
		{
			Daemon daemon;
			Control control;

			for (bool must_succeed : {false, true}) {
				fake::fail_allocation(must_succeed ? 0 : n);
				Control::Outcome made = control.request("com.example.bundle", "name");
				ASSERT_EQ(made.error, 0);
				if (!must_succeed)
					failed = fake::fail_allocation(0);
				ASSERT_TRUE(!made.result ||
					    (!must_succeed && failed && made.result == kOSKextReturnNoMemory));
			}
			host::check_invariants();
		}
		// Files that are closed discard what they asked for.
		Core::TearDown();
		if (!failed) {
			EXPECT_GE(n, 4u); // names, request, tag
			return;
		}
	}
}

// What can fail is decided before a request is Pending: no end of one allocates.
TEST_F(Faults, finishing_allocates_nothing)
{
	Core::SetUp();
	{
		Daemon daemon;
		Kext kext("", KEXTBRIDGE_KEXT_PLAIN_RMMOD);

		ASSERT_EQ(kext.insmod(), 0);
		for (int i = 0; i < 100; i++)
			kext.must_request("n", nullptr, i < 50 ? 1000 : 100000);
		std::vector<Record> records = daemon.fetch(20);
		u64 before = fake::allocations_made();
		for (size_t i = 0; i < 10; i++)
			daemon.reply(records[i].id, kOSKextReturnNotFound);
		kext.cancel(records[10].tag());
		kext.cancel(records[10].tag() + 15);
		fake::advance_ms(1000);
		daemon.close();
		EXPECT_EQ(kext.rmmod(), 0);
		EXPECT_EQ(fake::allocations_made(), before);
		EXPECT_EQ(kext.call_count(), 98u);
	}
	Core::TearDown();
}

// Memory is short for a while: tags go on from where they were.
TEST_F(Faults, T_027_tags_grow_when_memory_is_short)
{
	Core::SetUp();
	{
		Kext kext;
		u32 last = 0;

		ASSERT_EQ(kext.insmod(), 0);
		fake::xa_always_allocates(true);
		for (int i = 0; i < 50; i++) {
			OSKextRequestTag tag;

			fake::fail_allocation(2);
			EXPECT_EQ(kext.request("n", &tag), kOSKextReturnNoMemory);
			fake::fail_allocation(0);
			EXPECT_EQ(kext.request("n", &tag), kOSReturnSuccess);
			EXPECT_GT(tag, last);
			last = tag;
			EXPECT_EQ(kext.cancel(tag), kOSReturnSuccess);
		}
	}
	Core::TearDown();
}

TEST_F(Faults, T_127_load_tags_grow_when_memory_is_short)
{
	Core::SetUp();
	u32 last = 0;

	fake::xa_always_allocates(true);
	for (int i = 0; i < 20; i++) {
		Kext kext;

		fake::fail_allocation(2);
		EXPECT_EQ(kext.insmod(), -SHIM_ENOMEM);
		fake::fail_allocation(0);
		EXPECT_EQ(kext.insmod(), 0);
		EXPECT_GT(kext.tag(), last);
		last = kext.tag();
	}
	Core::TearDown();
}

} // namespace
