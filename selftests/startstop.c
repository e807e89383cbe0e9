// SPDX-License-Identifier: GPL-2.0-only
/* Start and stop functions, and the requests that are pending meanwhile. */
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "lib/fixture.h"

#define PLAIN "kbtest_plain"

TEST_F(bare, T_060_request_in_start_waits_for_its_end)
{
	struct kbtest_plan plan = {A, .flags = KBTEST_START_WAIT, .start_requests = 2};
	struct kbtest_event started, event;
	struct kb_insmod insmod;
	struct kb_record record;

	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	ASSERT_EQ(0, kb_insmod_begin(&insmod, A));
	for (int i = 0; i < 2; i++) {
		FETCH(&record, "start");
		EXPECT_STREQ(ID_A, record.identifier);
		ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, "early", 5));
	}
	EXPECT_TRUE(kb_event(&self->kb, KBTEST_START, &started, SOON_MS));
	EXPECT_TRUE(kb_quiet(&self->kb, 0, NEVER_MS)) TH_LOG("called back while start was running");
	EXPECT_EQ(0, kb_gates(&self->kb, KBTEST_GATE_START));
	EXPECT_EQ(0, kb_insmod_end(&insmod));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &started, SOON_MS));
	for (uint64_t i = 0; i < 2; i++) {
		ASSERT_TRUE(kb_callback(&self->kb, &event));
		EXPECT_EQ(i, event.context);
		EXPECT_EQ(0, event.flags & KBTEST_IN_START);
		EXPECT_GE(event.time_ns, started.time_ns);
		EXPECT_EQ(kb_crc32("early", 5), event.crc);
	}
}

TEST_F(bare, T_061_failed_start_drops_its_requests)
{
	struct kbtest_plan plan = {A, .flags = KBTEST_START_WAIT, .start_requests = 3, .start_result = 5};
	struct kextbridge_status before, after;
	struct kb_record fetched, answered;
	struct kb_insmod insmod;
	struct kb_record notice;

	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	ASSERT_TRUE(kb_status(&self->kb, &before));
	ASSERT_EQ(0, kb_insmod_begin(&insmod, A));
	/* One is answered, one in the daemon's hands, one in the queue. */
	FETCH(&answered, "start");
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, answered.head.id, 0, "x", 1));
	FETCH(&fetched, "start");
	ASSERT_EQ(0, kb_gates(&self->kb, KBTEST_GATE_START));
	EXPECT_EQ(EIO, kb_insmod_end(&insmod));
	EXPECT_FALSE(kb_is_loaded(A));
	EXPECT_EQ(TAG_INVALID, kb_tag(&self->kb, A));
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, fetched.head.id, 0));
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, answered.head.id, 0));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &notice, SOON_MS));
	EXPECT_EQ(KEXTD_CANCEL, notice.head.kind);
	EXPECT_EQ(fetched.head.id, notice.head.id);
	NOTHING_TO_FETCH();
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
	ASSERT_TRUE(kb_status(&self->kb, &after));
	EXPECT_EQ(before.discarded + 3, after.discarded);
	EXPECT_EQ(before.kexts, after.kexts);
	EXPECT_EQ(0, after.pending + after.fetched + after.answered);
}

/* Three requests, one of them fetched; what ends them is `result`, and the stop function comes after. */
#define EXPECT_FLUSHED(result_expected, driver)                                                           \
	do {                                                                                              \
		struct kbtest_event event_;                                                               \
		for (uint64_t i_ = 1; i_ <= 3; i_++) {                                                    \
			ASSERT_TRUE(kb_event(&self->kb, 0, &event_, SOON_MS));                            \
			ASSERT_EQ(KBTEST_CALLBACK, event_.type);                                          \
			EXPECT_EQ(i_, event_.context);                                                    \
			EXPECT_EQ(result_expected, event_.result);                                        \
			EXPECT_EQ(0, event_.flags &(KBTEST_HAS_DATA | KBTEST_IN_STOP | KBTEST_IN_START)); \
			EXPECT_EQ(0, event_.length);                                                      \
			ASSERT_TRUE(kb_event(&self->kb, 0, &event_, SOON_MS));                            \
			ASSERT_EQ(KBTEST_RETURN, event_.type);                                            \
		}                                                                                         \
		ASSERT_TRUE(kb_event(&self->kb, 0, &event_, SOON_MS));                                    \
		EXPECT_EQ(KBTEST_STOP, event_.type);                                                      \
		EXPECT_STREQ(driver, event_.kext);                                                        \
		ASSERT_TRUE(kb_event(&self->kb, 0, &event_, SOON_MS));                                    \
		EXPECT_EQ(KBTEST_STOPPED, event_.type);                                                   \
	} while (0)

TEST_F(bare, T_062_rmmod_calls_pending_requests_back_first)
{
	struct kbtest_request request = {PLAIN, .count = 3, .context = 1};
	struct kb_record fetched;
	struct kbtest_event event;

	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_insmod(PLAIN));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, SOON_MS));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&fetched, "resource");
	ASSERT_EQ(0, kb_rmmod(PLAIN));
	EXPECT_FLUSHED((OSReturn)0xdc008019, PLAIN);
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, fetched.head.id, 0));
	EXPECT_TRUE(kb_quiet(&self->kb, 0, NEVER_MS));
}

/* More than one hold of the lock answers. */
TEST_F(bare, T_062_rmmod_with_many_pending_requests)
{
	struct kbtest_request request = {PLAIN, .count = 200};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_insmod(PLAIN));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	ASSERT_EQ(0, kb_rmmod(PLAIN));
	for (uint64_t i = 0; i < 200; i++) {
		ASSERT_TRUE(kb_callback(&self->kb, &event));
		ASSERT_EQ(i, event.context);
		ASSERT_EQ(kOSKextReturnTimeout, event.result);
		ASSERT_EQ(0, event.flags & KBTEST_IN_STOP);
	}
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, 0));
	EXPECT_TRUE(kb_quiet(&self->kb, 0, NEVER_MS));
}

TEST_F(bare, T_062_unload_result_stopping)
{
	struct kbtest_request request = {PLAIN, .count = 3, .context = 1};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_param("unload_result", "stopping"));
	ASSERT_EQ(0, kb_insmod(PLAIN));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, SOON_MS));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	ASSERT_EQ(0, kb_rmmod(PLAIN));
	EXPECT_FLUSHED(kOSKextReturnStopping, PLAIN);
}

TEST_F(bare, T_063_no_callback_after_stop_has_begun)
{
	struct kbtest_plan plan = {PLAIN, .flags = KBTEST_STOP_WAIT};
	struct kbtest_request request = {PLAIN, .count = 50, .flags = KBTEST_DO_SLEEP, .ms = 2};
	struct kbtest_event event;
	struct kb_record record;
	int callbacks = 0;
	pid_t child;

	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	ASSERT_EQ(0, kb_insmod(PLAIN));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	child = fork();
	if (!child)
		_exit(kb_rmmod(PLAIN));
	while (kb_event(&self->kb, 0, &event, SOON_MS) && event.type != KBTEST_STOP)
		callbacks += event.type == KBTEST_CALLBACK;
	EXPECT_EQ(50, callbacks);
	ASSERT_EQ(KBTEST_STOP, event.type);
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_TRUE(kb_quiet(&self->kb, 0, NEVER_MS));
	ASSERT_EQ(0, kb_gates(&self->kb, KBTEST_GATE_STOP));
	ASSERT_EQ(child, waitpid(child, &callbacks, 0));
	EXPECT_EQ(0, callbacks);
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
	EXPECT_FALSE(kb_is_loaded(PLAIN));
}

TEST_F(bare, T_064_request_while_being_flushed)
{
	struct kbtest_request request = {PLAIN, .count = 3, .flags = KBTEST_DO_REQUEST, .chain = 1};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_insmod(PLAIN));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	ASSERT_EQ(0, kb_rmmod(PLAIN));
	for (int i = 0; i < 3; i++) {
		ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
		EXPECT_EQ(kOSKextReturnTimeout, event.result);
		EXPECT_EQ(kOSKextReturnStopping, event.inner_result);
		EXPECT_EQ(TAG_INVALID, event.inner_tag);
	}
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, 0));
}

TEST_F(kext, T_065_unload_calls_pending_requests_back)
{
	struct kbtest_request request = {A, .count = 3, .context = 1};
	struct kb_record record, unload_record;
	struct kb_unload unload;
	struct kbtest_event event;

	while (kb_event(&self->kb, 0, &event, 0))
		;
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	ASSERT_EQ(0, kb_unload_begin(&unload, &self->kb, A, 0));
	EXPECT_FLUSHED(kOSKextReturnTimeout, A);
	/* The notice of the one that was fetched, then the unload. */
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &unload_record, SOON_MS));
	EXPECT_EQ(KEXTD_CANCEL, unload_record.head.kind);
	EXPECT_EQ(record.head.id, unload_record.head.id);
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &unload_record, SOON_MS));
	EXPECT_EQ(KEXTD_UNLOAD, unload_record.head.kind);
	EXPECT_STREQ(A, unload_record.name);
	EXPECT_EQ(0, kb_rmmod(A));
	EXPECT_EQ(0, kb_reply(self->kb.daemon, unload_record.head.id, 0));
	EXPECT_EQ(0, kb_unload_end(&unload));
	EXPECT_FALSE(kb_is_loaded(A));
}

TEST_F(kext, T_065_if_idle_refuses_with_pending_requests)
{
	struct kbtest_request request = {A, .count = 3};
	struct kbtest_cancel all = {A, .flags = KBTEST_CANCEL_ALL};
	struct kextbridge_kext kext;

	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, kb_tag(&self->kb, A), KEXTBRIDGE_UNLOAD_IF_IDLE));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
	EXPECT_EQ(3, kext.pending);
	ASSERT_EQ(0, kb_cancel_with(&self->kb, &all));
	EXPECT_EQ(3, all.tag);
}

TEST_F(kext, T_065_without_a_daemon_nothing_is_unloaded)
{
	struct kextbridge_kext kext;

	kb_daemon_leave(&self->kb);
	EXPECT_EQ(kOSKextReturnDisabled, kb_unload(self->kb.control, kb_tag(&self->kb, A), 0));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
}

TEST_F(kext, T_066_autounload_waits_for_pending_requests)
{
	uint32_t tag = kb_tag(&self->kb, A);
	struct kb_record record, unload;
	struct kbtest_event event;
	uint64_t replied;

	ASSERT_EQ(0, kb_param("autounload_delay_ms", "500"));
	ASSERT_EQ(0, kb_request(&self->kb, A, "pending", 1, NULL));
	FETCH(&record, "pending");
	ASSERT_EQ(0, kb_kpi_retain(&self->kb, tag));
	ASSERT_EQ(0, kb_kpi_release(&self->kb, tag));
	EXPECT_EQ(EAGAIN, kb_fetch(self->kb.daemon, &unload, 1600));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_STOP, 0));
	replied = kb_now_ns();
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &unload, SOON_MS));
	EXPECT_EQ(KEXTD_UNLOAD, unload.head.kind);
	EXPECT_EQ(0, kb_rmmod(A));
	EXPECT_EQ(0, kb_reply(self->kb.daemon, unload.head.id, 0));
	self->kb.seen = 0;
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &event, SOON_MS));
	EXPECT_GE(event.time_ns, replied);
	EXPECT_EQ(TAG_INVALID, kb_tag(&self->kb, A));
}

TEST_F(kext, T_067_stop_refuses)
{
	struct kbtest_plan plan = {A, .stop_result = 5};
	struct kbtest_event event;
	struct kextbridge_kext kext;
	struct kb_record record;

	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	EXPECT_EQ(kOSKextReturnStartStopError, kb_unload(self->kb.control, kb_tag(&self->kb, A), 0));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, SOON_MS));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
	EXPECT_EQ(1, kext.module_refcount);
	EXPECT_EQ(0, kb_kpi_retain(&self->kb, kext.load_tag));
	EXPECT_EQ(0, kb_kpi_release(&self->kb, kext.load_tag));
	ASSERT_EQ(0, kb_request(&self->kb, A, "still here", 7, NULL));
	FETCH(&record, "still here");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(7, event.context);
	EXPECT_EQ(EWOULDBLOCK, kb_rmmod(A));
}

/* Module exit cannot be told no. */
TEST_F(bare, T_067_rmmod_takes_no_refusal)
{
	struct kbtest_plan plan = {PLAIN, .flags = KBTEST_STOP_GONE, .stop_result = 5};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	ASSERT_EQ(0, kb_insmod(PLAIN));
	ASSERT_EQ(0, kb_rmmod(PLAIN));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, 0));
	EXPECT_EQ(5, event.result);
	EXPECT_FALSE(kb_is_loaded(PLAIN));
	EXPECT_EQ(TAG_INVALID, kb_tag(&self->kb, PLAIN));
	plan.flags = plan.stop_result = 0;
	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	ASSERT_EQ(0, kb_insmod(PLAIN));
	EXPECT_EQ(0, kb_rmmod(PLAIN));
}

TEST_F(kext, T_032_request_in_stop)
{
	struct kbtest_plan plan = {A, .flags = KBTEST_STOP_REQUEST};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	ASSERT_EQ(0, kb_unload_served(&self->kb, A));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, SOON_MS));
	EXPECT_EQ(kOSKextReturnStopping, event.inner_result);
	EXPECT_EQ(TAG_INVALID, event.inner_tag);
}

TEST_F(kext, T_033_request_after_stop_refused)
{
	struct kbtest_plan plan = {A, .flags = KBTEST_STOP_REQUEST, .stop_result = 5};
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	EXPECT_EQ(kOSKextReturnStartStopError, kb_unload(self->kb.control, kb_tag(&self->kb, A), 0));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, SOON_MS));
	EXPECT_EQ(kOSKextReturnStopping, event.inner_result);
	ASSERT_EQ(0, kb_request(&self->kb, A, "after", 1, NULL));
	FETCH(&record, "after");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
}

TEST_F(kext, T_068_kext_that_could_not_be_deleted_starts_again)
{
	struct kextbridge_kext before, after;
	struct kb_unload unload;
	struct kb_record record;
	struct kbtest_event event;

	while (kb_event(&self->kb, 0, &event, 0))
		;
	ASSERT_TRUE(kb_kext(&self->kb, A, &before));
	ASSERT_EQ(0, kb_unload_begin(&unload, &self->kb, A, 0));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
	ASSERT_EQ(KEXTD_UNLOAD, record.head.kind);
	EXPECT_EQ(before.load_tag, record.head.load_tag);
	ASSERT_TRUE(kb_kext(&self->kb, A, &after));
	EXPECT_EQ(KEXT_STATE_STOPPED, after.state);
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnInUse));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload_end(&unload));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_START, &event, SOON_MS));
	EXPECT_EQ(before.load_tag, event.load_tag);
	EXPECT_EQ(before.load_tag, event.context);
	ASSERT_TRUE(kb_kext(&self->kb, A, &after));
	EXPECT_EQ(KEXT_STATE_STARTED, after.state);
	EXPECT_EQ(before.load_tag, after.load_tag);
	EXPECT_EQ(1, after.module_refcount);
}

/* Stopped and started as programs ask for it: loaded all the while, with its load tag. */
TEST_F(kext, T_068_stop_without_unload_then_start)
{
	struct kextbridge_kext before, after;
	struct kbtest_event event;
	uint32_t tag = kb_tag(&self->kb, A);

	while (kb_event(&self->kb, 0, &event, 0))
		;
	ASSERT_TRUE(kb_kext(&self->kb, A, &before));
	/* Neither needs a daemon. */
	kb_daemon_leave(&self->kb);
	ASSERT_EQ(0, kb_request(&self->kb, A, "pending", 5, NULL));
	EXPECT_EQ(kOSKextReturnInUse,
		  kb_unload(self->kb.control, tag, KEXTBRIDGE_UNLOAD_STOP_ONLY | KEXTBRIDGE_UNLOAD_IF_IDLE));
	EXPECT_EQ(0, kb_unload(self->kb.control, tag, KEXTBRIDGE_UNLOAD_STOP_ONLY));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_CALLBACK, &event, SOON_MS));
	EXPECT_EQ(kOSKextReturnTimeout, event.result);
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, SOON_MS));
	ASSERT_TRUE(kb_kext(&self->kb, A, &after));
	EXPECT_EQ(KEXT_STATE_LOADED, after.state);
	EXPECT_EQ(before.load_tag, after.load_tag);
	EXPECT_EQ(1, after.module_refcount);
	EXPECT_EQ(EWOULDBLOCK, kb_rmmod(A));
	EXPECT_EQ(0, kb_unload(self->kb.control, tag, KEXTBRIDGE_UNLOAD_STOP_ONLY)) TH_LOG("stopped already");
	EXPECT_EQ(0, kb_load(self->kb.control, ID_A, KEXTBRIDGE_LOAD_WAIT));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_START, &event, SOON_MS));
	EXPECT_EQ(before.load_tag, event.load_tag);
	ASSERT_TRUE(kb_kext(&self->kb, A, &after));
	EXPECT_EQ(KEXT_STATE_STARTED, after.state);
	EXPECT_EQ(before.load_tag, after.load_tag);
	EXPECT_EQ(0, kb_request(&self->kb, A, "again", 6, NULL));
	ASSERT_EQ(0, kb_daemon(&self->kb));
}

TEST_F(kext, T_068_stop_without_unload_is_refused_or_undone)
{
	struct kbtest_plan veto = {.kext = A, .stop_result = 5}, obey = {.kext = A};
	struct kextbridge_status before, after;
	struct kextbridge_kext kext;
	uint32_t tag = kb_tag(&self->kb, A);

	ASSERT_TRUE(kb_status(&self->kb, &before));
	ASSERT_EQ(0, kb_plan(&self->kb, &veto));
	EXPECT_EQ(kOSKextReturnStartStopError, kb_unload(self->kb.control, tag, KEXTBRIDGE_UNLOAD_STOP_ONLY));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
	ASSERT_EQ(0, kb_plan(&self->kb, &obey));
	ASSERT_EQ(0, kb_kpi_retain(&self->kb, tag));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, tag, KEXTBRIDGE_UNLOAD_STOP_ONLY));
	ASSERT_EQ(0, kb_kpi_release(&self->kb, tag));
	EXPECT_EQ(0, kb_unload(self->kb.control, tag, KEXTBRIDGE_UNLOAD_STOP_ONLY));
	ASSERT_TRUE(kb_status(&self->kb, &after));
	EXPECT_EQ(before.unloads, after.unloads);
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_request(&self->kb, A, "stopped", 1, NULL));
	/* It can be unloaded as it is. */
	EXPECT_EQ(0, kb_unload_served(&self->kb, A));
	EXPECT_FALSE(kb_is_loaded(A));
}

/* A load that comes while it is being stopped starts it again. */
TEST_F(kext, T_068_load_during_a_stop_without_unload)
{
	struct kbtest_plan slow = {.kext = A, .flags = KBTEST_STOP_WAIT};
	struct kb_unload stop;
	struct kextbridge_kext kext;
	struct kbtest_event event;
	pid_t pid;
	int status;

	ASSERT_EQ(0, kb_gates(&self->kb, 0));
	ASSERT_EQ(0, kb_plan(&self->kb, &slow));
	ASSERT_EQ(0, kb_unload_begin(&stop, &self->kb, A, KEXTBRIDGE_UNLOAD_STOP_ONLY));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOP, &event, SOON_MS));
	EXPECT_EQ(kOSKextReturnDeferred, kb_load(self->kb.control, ID_A, 0));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid)
		_exit(kb_load(self->kb.control, ID_A, KEXTBRIDGE_LOAD_WAIT) ? 1 : 0);
	NOTHING_TO_FETCH();
	ASSERT_EQ(0, kb_gates(&self->kb, KBTEST_GATE_STOP));
	EXPECT_EQ(0, kb_unload_end(&stop));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, SOON_MS));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
	NOTHING_TO_FETCH();
}

TEST_F(kext, T_069_callbacks_overlap_neither_start_nor_stop)
{
	struct kbtest_plan plan = {A, .start_requests = 3, .flags = KBTEST_START_WAIT};
	struct kbtest_request request = {A, .count = 5, .flags = KBTEST_DO_SLEEP, .ms = 1};
	struct kb_server server = {.unload_result = kOSKextReturnInUse};
	struct kbtest_event event;
	unsigned int callbacks = 0;

	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	ASSERT_EQ(0, kb_gates(&self->kb, KBTEST_GATE_START));
	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	for (int i = 0; i < 10; i++) {
		EXPECT_EQ(0, kb_request_with(&self->kb, &request));
		EXPECT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, kb_tag(&self->kb, A), 0));
	}
	while (callbacks < 10 * (5 + 3) && kb_event(&self->kb, 0, &event, SOON_MS)) {
		callbacks += event.type == KBTEST_CALLBACK;
		if (event.type == KBTEST_CALLBACK || event.type == KBTEST_RETURN)
			EXPECT_EQ(0, event.flags & (KBTEST_IN_START | KBTEST_IN_STOP));
	}
	EXPECT_EQ(80, callbacks);
	kb_serve_end(&server);
}

TEST_F(bare, T_070_rmmod_waits_for_a_running_callback)
{
	struct kbtest_request request = {PLAIN, .flags = KBTEST_DO_WAIT};
	struct kbtest_event event, returned;
	struct kb_record record;
	int status;
	pid_t child;

	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_insmod(PLAIN));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, "x", 1));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	child = fork();
	if (!child)
		_exit(kb_rmmod(PLAIN));
	kb_sleep_ms(200);
	EXPECT_EQ(0, waitpid(child, &status, WNOHANG)) TH_LOG("rmmod did not wait");
	EXPECT_TRUE(kb_is_loaded(PLAIN));
	ASSERT_EQ(0, kb_gates(&self->kb, KBTEST_GATE_CALLBACK));
	ASSERT_EQ(child, waitpid(child, &status, 0));
	EXPECT_EQ(0, status);
	ASSERT_TRUE(kb_event(&self->kb, 0, &returned, SOON_MS));
	EXPECT_EQ(KBTEST_RETURN, returned.type);
	EXPECT_EQ(event.crc, returned.crc);
	ASSERT_TRUE(kb_event(&self->kb, 0, &event, SOON_MS));
	EXPECT_EQ(KBTEST_STOP, event.type);
}

TEST_HARNESS_MAIN
