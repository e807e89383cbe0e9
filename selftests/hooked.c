// SPDX-License-Identifier: GPL-2.0-only
/* What needs the test build of kextbridge.ko: a system that goes down and does not, tags that are nearly used up. */
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "lib/fixture.h"

/* ---- shutdown */

FIXTURE(down)
{
	struct kb kb;
};

FIXTURE_SETUP(down)
{
	ASSERT_EQ(0, kb_setup(&self->kb, A, NULL));
	ASSERT_EQ(0, kb_daemon(&self->kb));
}

FIXTURE_TEARDOWN(down)
{
	EXPECT_EQ(0, kb_hook("shutdown", "0"));
	EXPECT_EQ(0, kb_teardown(&self->kb));
}

static int go_down(void)
{
	return kb_hook("shutdown", "1");
}

TEST_F(down, T_025_disabled_comes_before_what_is_wrong_with_a_request)
{
	struct kbtest_request args = {
		.kext = A, .identifier = KB_STRING(ID_A), .name = KB_STRING("x"), .flags = KBTEST_NO_IDENTIFIER};
	struct kextbridge_kext kext;
	static char name[5001];

	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_request_with(&self->kb, &args));
	ASSERT_EQ(0, go_down());
	EXPECT_EQ(kOSKextReturnDisabled, kb_request_with(&self->kb, &args));
	EXPECT_EQ(TAG_INVALID, args.tag);
	args.flags = KBTEST_NO_NAME;
	EXPECT_EQ(kOSKextReturnDisabled, kb_request_with(&self->kb, &args));
	args.flags = 0;
	args.callback = KBTEST_NULL;
	EXPECT_EQ(kOSKextReturnDisabled, kb_request_with(&self->kb, &args));
	args.callback = KBTEST_HEAP;
	EXPECT_EQ(kOSKextReturnDisabled, kb_request_with(&self->kb, &args));
	memset(name, 'x', sizeof(name) - 1);
	args.name = KB_STRING(name);
	EXPECT_EQ(kOSKextReturnDisabled, kb_request_with(&self->kb, &args));
	EXPECT_EQ(TAG_INVALID, args.tag);
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(1, kext.refused);
}

TEST_F(down, T_092_requests_are_disabled)
{
	struct kextbridge_request request = {.size = sizeof(request),
					     .identifier = KB_STRING("a"),
					     .identifier_size = 1,
					     .name = KB_STRING("b"),
					     .name_size = 1};
	struct kextbridge_status status;
	struct kbtest_read read = {};
	struct kbtest_event event;
	struct kb_record record;
	uint32_t tag = 1;

	ASSERT_EQ(0, kb_request(&self->kb, A, "before", 3, NULL));
	ASSERT_EQ(0, go_down());
	EXPECT_EQ(kOSKextReturnDisabled, kb_request(&self->kb, A, "after", 4, &tag));
	EXPECT_EQ(TAG_INVALID, tag);
	EXPECT_EQ(kOSKextReturnDisabled, kb_read(&self->kb, A, "after", &read));
	ASSERT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_REQUEST, &request));
	EXPECT_EQ(kOSKextReturnDisabled, request.result);
	ASSERT_TRUE(kb_status(&self->kb, &status));
	EXPECT_EQ(KEXTBRIDGE_STATUS_SHUTDOWN, status.flags & KEXTBRIDGE_STATUS_SHUTDOWN);
	/* What was asked for before is served. */
	FETCH(&record, "before");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(3, event.context);
	EXPECT_EQ(0, event.result);
}

TEST_F(down, T_092_loads_and_unloads_are_disabled)
{
	uint32_t tag = kb_tag(&self->kb, A);
	struct kextbridge_kext kext;
	struct kbtest_event event;
	int status;
	pid_t pid;

	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, kb_unload(self->kb.control, kb_tag(&self->kb, B), KEXTBRIDGE_UNLOAD_STOP_ONLY));
	/* One that waits for the daemon, which has not fetched it. */
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(kb_load(self->kb.control, "com.example.waits", KEXTBRIDGE_LOAD_WAIT) == kOSKextReturnDisabled ?
			      0 :
			      1);
	ASSERT_TRUE(kb_poll(self->kb.daemon, POLLIN, SOON_MS));
	ASSERT_EQ(0, go_down());
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(kOSKextReturnDisabled, kb_kpi_load(&self->kb, "com.example.none"));
	EXPECT_EQ(kOSKextReturnDisabled, kb_kpi_load(&self->kb, ID_B));
	EXPECT_EQ(kOSKextReturnDisabled, kb_load(self->kb.control, "com.example.none", KEXTBRIDGE_LOAD_WAIT));
	EXPECT_EQ(0, kb_kpi_load(&self->kb, ID_A)) TH_LOG("it is started");
	EXPECT_EQ(kOSKextReturnDisabled, kb_unload(self->kb.control, tag, 0));
	/* Nor does anything leave by itself. */
	while (kb_event(&self->kb, 0, &event, 0))
		;
	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 50));
	EXPECT_EQ(0, kb_kpi_retain(&self->kb, tag));
	EXPECT_EQ(0, kb_kpi_release(&self->kb, tag));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_STOP, 300));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
}

TEST_F(down, T_092_the_daemon_is_told_to_exit)
{
	struct kb_record record;

	ASSERT_EQ(EAGAIN, kb_fetch_any(self->kb.daemon, &record, 0));
	ASSERT_EQ(0, go_down());
	ASSERT_EQ(0, go_down());
	EXPECT_TRUE(kb_poll(self->kb.daemon, POLLIN, 0));
	ASSERT_EQ(0, kb_fetch_any(self->kb.daemon, &record, SOON_MS));
	EXPECT_EQ(KEXTD_EXIT, record.head.kind);
	EXPECT_EQ(0, record.head.id);
	EXPECT_EQ(EAGAIN, kb_fetch_any(self->kb.daemon, &record, NEVER_MS)) TH_LOG("told twice");
	/* And no other comes. */
	kb_daemon_leave(&self->kb);
	EXPECT_EQ(-ESHUTDOWN, kb_open_daemon());
}

TEST_F(down, T_092_a_daemon_that_asks_late_is_told_to_exit)
{
	struct kb_record record;

	ASSERT_EQ(0, go_down());
	EXPECT_FALSE(kb_poll(self->kb.daemon, POLLIN, 0));
	ASSERT_EQ(0, kb_fetch_any(self->kb.daemon, &record, SOON_MS));
	EXPECT_EQ(KEXTD_EXIT, record.head.kind);
}

/* What the daemon has in hand, and what it was to be given next. */
TEST_F(down, T_092_unload_that_waits_for_the_daemon_is_undone)
{
	struct kb_unload unload;
	struct kbtest_event event;
	struct kb_record record;
	struct kextbridge_kext kext;

	while (kb_event(&self->kb, 0, &event, 0))
		;
	ASSERT_EQ(0, kb_unload_begin(&unload, &self->kb, A, 0));
	ASSERT_TRUE(kb_poll(self->kb.daemon, POLLIN, SOON_MS));
	ASSERT_EQ(0, go_down());
	EXPECT_EQ(kOSKextReturnDisabled, kb_unload_end(&unload));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, SOON_MS));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
	EXPECT_EQ(EAGAIN, kb_fetch(self->kb.daemon, &record, 0));
}

/* The real programs: kextd(8) and kextctl(1) have their exit statuses. */
TEST_F(down, T_092_kextd_ends_and_no_other_starts)
{
	struct kextbridge_status status;
	int how = -1;
	pid_t kextd;

	kb_daemon_leave(&self->kb);
	kextd = fork();
	ASSERT_GE(kextd, 0);
	if (!kextd) {
		execlp("kextd", "kextd", "-f", NULL);
		_exit(127);
	}
	for (int i = 0; i < 2000 && kb_status(&self->kb, &status) && status.daemon_pid != kextd; i++)
		kb_sleep_ms(10);
	ASSERT_EQ(kextd, status.daemon_pid);
	ASSERT_NE(0, WEXITSTATUS(system("kextctl status | grep 'shutting down'")));
	ASSERT_EQ(0, go_down());
	ASSERT_EQ(kextd, waitpid(kextd, &how, 0));
	EXPECT_EQ(0, how);
	EXPECT_EQ(0, WEXITSTATUS(system("kextd -f >/tmp/kextd.log 2>&1")));
	EXPECT_EQ(0, WEXITSTATUS(system("grep -q 'the system is shutting down' /tmp/kextd.log")));
	EXPECT_EQ(0, WEXITSTATUS(system("kextctl status | grep -q 'shutting down'")));
	EXPECT_EQ(0, WEXITSTATUS(system("kextctl --json status | grep -q '\"shutting_down\": true'")));
	EXPECT_EQ(6, WEXITSTATUS(system("kextctl load com.example.none")));
	EXPECT_EQ(6, WEXITSTATUS(system("kextctl unload " ID_A)));
	EXPECT_EQ(6, WEXITSTATUS(system("kextctl request " ID_A " x")));
}

/* ---- tags */

TEST_F(kext, T_028_tags_go_on_past_the_wrap)
{
	struct kb_record record;
	uint32_t kept, tag;
	uint64_t last = 0;

	ASSERT_EQ(0, kb_hook("next_tag", "2"));
	ASSERT_EQ(0, kb_request(&self->kb, A, "kept", 1, &kept));
	ASSERT_EQ(2, kept);
	FETCH(&record, "kept");
	ASSERT_EQ(0, kb_hook("next_tag", "0xfffffffd"));
	for (int i = 0; i < 4; i++) {
		static const uint32_t expected[] = {0xfffffffd, 0xfffffffe, 1, 3};

		ASSERT_EQ(0, kb_request(&self->kb, A, "next", 10 + i, &tag));
		EXPECT_EQ(expected[i], tag);
		FETCH(&record, "next");
		EXPECT_EQ(expected[i], (uint32_t)record.head.id);
		EXPECT_GT(record.head.id, last) TH_LOG("an id comes back");
		last = record.head.id;
		ASSERT_EQ(0, kb_cancel(&self->kb, A, tag, NULL));
		ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
		EXPECT_EQ(KEXTD_CANCEL, record.head.kind);
	}
	EXPECT_EQ(0, kb_cancel(&self->kb, A, kept, NULL));
}

TEST_F(kext, T_028_no_tag_is_free)
{
	struct kextbridge_kext kext;
	uint32_t tag = 1;

	/* None is taken: two less are all but one, which is as many as there are. */
	ASSERT_EQ(0, kb_hook("more_tags", "-2"));
	EXPECT_EQ(kOSKextReturnNoResources, kb_request(&self->kb, A, "none", 1, &tag));
	EXPECT_EQ(TAG_INVALID, tag);
	ASSERT_EQ(0, kb_hook("more_tags", "2"));
	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, &tag));
	EXPECT_NE(TAG_INVALID, tag);
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(0, kext.refused);
}

/* ---- the books */

static int rmmod_by_force(const char *module)
{
	return syscall(SYS_delete_module, module, O_NONBLOCK | O_TRUNC) ? errno : 0;
}

FIXTURE(books)
{
	struct kb kb;
};

FIXTURE_SETUP(books)
{
	ASSERT_EQ(0, kb_setup(&self->kb, A, B, NULL));
	ASSERT_EQ(0, kb_daemon(&self->kb));
}

FIXTURE_TEARDOWN(books)
{
	EXPECT_EQ(0, kb_teardown(&self->kb));
}

FIXTURE_VARIANT(books)
{
	const char *unload_result;
	const char *strict_cancel;
	OSReturn result;
};

FIXTURE_VARIANT_ADD(books, as_delivered){
	.unload_result = "timeout",
	.strict_cancel = "N",
	.result = kOSKextReturnTimeout,
};

FIXTURE_VARIANT_ADD(books, stopping){
	.unload_result = "stopping",
	.strict_cancel = "N",
	.result = kOSKextReturnStopping,
};

FIXTURE_VARIANT_ADD(books, strict){
	.unload_result = "timeout",
	.strict_cancel = "Y",
	.result = kOSKextReturnTimeout,
};

/*
 * A kext goes with requests in each state, some of them under a scope, and a thread that reads: each of them has one
 * end, whatever is set, and however it goes. By force comes last: it turns lockdep off.
 */
TEST_F(books, balance_when_a_kext_goes)
{
	struct kextbridge_status before, after;
	struct kbtest_totals totals;

	ASSERT_EQ(0, kb_param("unload_result", variant->unload_result));
	ASSERT_EQ(0, kb_param("strict_cancel", variant->strict_cancel));
	for (int forced = 0; forced < 2; forced++) {
		struct kbtest_request under = {.kext = A,
					       .identifier = KB_STRING(ID_A),
					       .name = KB_STRING("scoped"),
					       .context = 100,
					       .count = 5,
					       .scope = 1};
		struct kb_reader reader = {};
		struct kb_record record;
		uint32_t tag, foreign;

		ASSERT_TRUE(kb_status(&self->kb, &before));
		kb_scope(&self->kb, KBTEST_SCOPE_INIT, 1, NULL);
		for (int i = 0; i < 10; i++)
			ASSERT_EQ(0, kb_request(&self->kb, A, "some", i, &tag));
		ASSERT_EQ(0, kb_request_with(&self->kb, &under));
		ASSERT_EQ(0, kb_request(&self->kb, A, "foreign", 50, &foreign));
		for (int i = 0; i < 6; i++) {
			FETCH(&record, "some");
			if (i >= 3)
				continue;
			ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, "x", 1));
		}
		ASSERT_EQ(0, kb_read_begin(&reader, &self->kb, A, "read"));
		do {
			ASSERT_TRUE(kb_status(&self->kb, &after));
		} while (after.submitted < before.submitted + 17);
		EXPECT_EQ(0, kb_cancel(&self->kb, A, tag, NULL));
		EXPECT_EQ(variant->strict_cancel[0] == 'Y' ? kOSKextReturnNotFound : 0,
			  kb_cancel(&self->kb, B, foreign, NULL));
		EXPECT_EQ(0, forced ? rmmod_by_force(A) : kb_unload_served(&self->kb, A));
		/* Answered by who serves the unload, or ended by it. */
		(void)kb_read_end(&reader);
		EXPECT_FALSE(kb_is_loaded(A));
		EXPECT_EQ(0, kb_scope(&self->kb, KBTEST_SCOPE_CANCEL, 1, NULL));
		ASSERT_TRUE(kb_status(&self->kb, &after));
		EXPECT_EQ(0, after.pending + after.fetched + after.answered);
		EXPECT_EQ(before.submitted + 17, after.submitted);
		EXPECT_EQ(after.submitted, after.callbacks + after.cancelled + after.discarded);
		ASSERT_EQ(0, ioctl(self->kb.bench, KBTEST_IOC_TOTALS, &totals));
		EXPECT_EQ(totals.accepted, totals.called_back + totals.cancelled);
		EXPECT_EQ(0, totals.unexpected);
		ASSERT_EQ(0, kb_insmod(A));
	}
}

TEST_HARNESS_MAIN
