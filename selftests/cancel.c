// SPDX-License-Identifier: GPL-2.0-only
/* Cancelling a request. The races are in race.c. */
#include "kselftest_harness.h"

#include "lib/fixture.h"

TEST_F(kext, T_001_cancelled_request_is_never_called_back)
{
	struct kb_record record;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, &tag));
	FETCH(&record, "one");
	ASSERT_EQ(0, kb_cancel(&self->kb, A, tag, NULL));
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply_data(self->kb.daemon, record.head.id, 0, "x", 1));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
}

TEST_F(kext, T_002_cancel_returns_the_context)
{
	uint64_t context = 0x5555;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 0x123456789abcdef1, &tag));
	ASSERT_EQ(0, kb_cancel(&self->kb, A, tag, &context));
	EXPECT_EQ(0x123456789abcdef1, context);
}

TEST_F(kext, T_003_tag_never_issued_is_not_found)
{
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, &tag));
	EXPECT_EQ((OSReturn)0xdc008006, kb_cancel(&self->kb, A, tag + 1000, NULL));
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, A, 0, NULL));
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, A, 0xfffffffe, NULL));
	EXPECT_EQ(0, kb_cancel(&self->kb, A, tag, NULL));
}

TEST_F(kext, T_004_second_cancel_is_not_found)
{
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, &tag));
	ASSERT_EQ(0, kb_cancel(&self->kb, A, tag, NULL));
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, A, tag, NULL));
}

TEST_F(kext, T_005_cancel_after_the_callback_is_not_found)
{
	struct kbtest_event event;
	struct kb_record record;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, &tag));
	FETCH(&record, "one");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, A, tag, NULL));
}

TEST_F(kext, T_006_cancel_without_context_out)
{
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, &tag));
	EXPECT_EQ(0, kb_cancel(&self->kb, A, tag, NULL));
}

TEST_F(kext, T_007_context_null_is_written)
{
	uint64_t context = 0xdeadbeef;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 0, &tag));
	ASSERT_EQ(0, kb_cancel(&self->kb, A, tag, &context));
	EXPECT_EQ(0, context);
}

TEST_F(kext, T_008_context_out_is_untouched_when_not_found)
{
	uint64_t context = 0xdeadbeef;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, &tag));
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, A, tag + 1, &context));
	EXPECT_EQ(0xdeadbeef, context);
	ASSERT_EQ(0, kb_cancel(&self->kb, A, tag, NULL));
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, A, tag, &context));
	EXPECT_EQ(0xdeadbeef, context);
}

TEST_F(kext, T_009_invalid_tag_is_not_found)
{
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, A, TAG_INVALID, NULL));
}

TEST_F(kext, T_010_cancel_waits_for_the_running_callback)
{
	struct kbtest_request request = {A, .flags = KBTEST_DO_SLEEP, .ms = 200};
	struct kbtest_event began, returned;
	struct kb_record record;
	uint64_t done;

	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &began));
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, A, request.tag, NULL));
	done = kb_now_ns();
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &returned, 0)) TH_LOG("the callback was still running");
	EXPECT_LE(returned.time_ns, done);
	EXPECT_GE(returned.time_ns - began.time_ns, 190 * 1000000ull);
}

TEST_F(kext, T_010_nowait_cancel_says_that_the_callback_runs)
{
	struct kbtest_request request = {A, .flags = KBTEST_DO_WAIT};
	struct kbtest_cancel cancel = {A, .flags = KBTEST_CANCEL_NOWAIT, .context = 77};
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	cancel.tag = request.tag;
	EXPECT_EQ(kOSKextReturnInUse, kb_cancel_with(&self->kb, &cancel));
	EXPECT_EQ(77, cancel.context);
	ASSERT_EQ(0, kb_gates(&self->kb, KBTEST_GATE_CALLBACK));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
	/* The waiting call is the way to learn that it has returned. */
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, A, request.tag, NULL));
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel_with(&self->kb, &cancel));
}

TEST_F(kext, T_010_cancel_all_waits_for_the_running_callback)
{
	struct kbtest_request request = {A, .context = 1, .flags = KBTEST_DO_SLEEP, .ms = 200};
	struct kbtest_cancel all = {A, .flags = KBTEST_CANCEL_ALL};
	struct kbtest_event returned;
	struct kb_record record;
	uint64_t done;

	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	ASSERT_EQ(0, kb_request(&self->kb, A, "other", 5, NULL));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &returned));
	ASSERT_EQ(0, kb_cancel_with(&self->kb, &all));
	done = kb_now_ns();
	EXPECT_EQ(1, all.tag);
	EXPECT_EQ(5, all.context);
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &returned, 0)) TH_LOG("it was still running");
	EXPECT_GE(done, returned.time_ns);
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
}

TEST_F(kext, T_011_callback_cancels_its_own_tag)
{
	struct kbtest_request request = {A, .flags = KBTEST_DO_CANCEL_OWN};
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
	EXPECT_EQ(kOSKextReturnNotFound, event.inner_result);
}

/* The others, that is: its own is over, and nobody waits for himself. */
TEST_F(kext, T_011_callback_cancels_all_of_its_kext)
{
	struct kbtest_request first = {A, .flags = KBTEST_DO_CANCEL_ALL}, others = {A, .count = 3};
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_request_with(&self->kb, &first));
	FETCH(&record, "resource");
	ASSERT_EQ(0, kb_request_with(&self->kb, &others));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
	EXPECT_EQ(first.tag, event.tag);
	EXPECT_EQ(3, event.inner_tag);
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, A, others.tag, NULL));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
}

TEST_F(kext, T_012_callback_cancels_another_request)
{
	struct kbtest_request first = {A, .name = KB_STRING("first"), .flags = KBTEST_DO_CANCEL};
	struct kb_record record_first, record_other;
	struct kbtest_event event;

	ASSERT_EQ(0, kb_request(&self->kb, A, "other", 2, &first.other));
	FETCH(&record_other, "other");
	ASSERT_EQ(0, kb_request_with(&self->kb, &first));
	FETCH(&record_first, "first");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record_first.head.id, 0));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
	EXPECT_EQ(first.tag, event.tag);
	EXPECT_EQ(0, event.inner_result);
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, record_other.head.id, 0));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
}

/* An answer that has arrived can still be taken back while its callback has not begun. */
TEST_F(kext, T_012_callback_cancels_an_answered_request)
{
	struct kbtest_request first = {A, .name = KB_STRING("first"), .flags = KBTEST_DO_WAIT | KBTEST_DO_CANCEL};
	struct kb_record record_first, record_other;
	struct kbtest_event event;

	ASSERT_EQ(0, kb_request(&self->kb, A, "other", 2, &first.other));
	FETCH(&record_other, "other");
	ASSERT_EQ(0, kb_request_with(&self->kb, &first));
	FETCH(&record_first, "first");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record_first.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record_other.head.id, 0, "late", 4));
	ASSERT_EQ(0, kb_gates(&self->kb, KBTEST_GATE_CALLBACK));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
	EXPECT_EQ(0, event.inner_result);
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
}

TEST_F(kext, T_013_fetched_request_is_cancelled_with_a_notice)
{
	struct kb_record record, notice;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, &tag));
	FETCH(&record, "one");
	ASSERT_EQ(0, kb_cancel(&self->kb, A, tag, NULL));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &notice, SOON_MS));
	EXPECT_EQ(KEXTD_CANCEL, notice.head.kind);
	EXPECT_EQ(record.head.id, notice.head.id);
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
}

TEST_F(kext, T_014_unfetched_request_leaves_the_queue)
{
	struct kb_record record;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 1, &tag));
	ASSERT_EQ(0, kb_request(&self->kb, A, "two", 2, NULL));
	ASSERT_EQ(0, kb_cancel(&self->kb, A, tag, NULL));
	FETCH(&record, "two");
	NOTHING_TO_FETCH();
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
}

TEST_F(kext, T_016_another_kext_cancels)
{
	uint64_t context = 0;
	uint32_t tag;

	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 42, &tag));
	EXPECT_EQ(0, kb_cancel(&self->kb, B, tag, &context));
	EXPECT_EQ(42, context);
}

TEST_F(kext, T_016_strict_cancel_refuses_another_kext)
{
	uint64_t context = 7;
	uint32_t tag;

	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, kb_param("strict_cancel", "Y"));
	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 42, &tag));
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, B, tag, &context));
	EXPECT_EQ(7, context);
	EXPECT_EQ(0, kb_cancel(&self->kb, A, tag, &context));
	EXPECT_EQ(42, context);
}

TEST_F(kext, T_001_cancel_all_takes_those_of_the_calling_kext)
{
	struct kbtest_request of_a = {A, .context = 1, .count = 100};
	struct kbtest_cancel all = {A, .flags = KBTEST_CANCEL_ALL};
	struct kb_record record;

	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, kb_request_with(&self->kb, &of_a));
	ASSERT_EQ(0, kb_request(&self->kb, B, "of b", 5, NULL));
	for (int i = 0; i < 10; i++)
		FETCH(&record, "resource");
	ASSERT_EQ(0, kb_cancel_with(&self->kb, &all));
	EXPECT_EQ(100, all.tag);
	EXPECT_EQ(5050, all.context);
	for (int i = 0; i < 10; i++) {
		ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
		EXPECT_EQ(KEXTD_CANCEL, record.head.kind);
	}
	FETCH(&record, "of b");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_TRUE(kb_quiet(&self->kb, 0, 0) == false);
}

TEST_F(kext, T_001_cancel_all_of_no_kext)
{
	struct kbtest_cancel forged = {A, .flags = KBTEST_CANCEL_ALL | KBTEST_CANCEL_FORGED};
	uint64_t context;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "one", 42, &tag));
	ASSERT_EQ(0, kb_cancel_with(&self->kb, &forged));
	EXPECT_EQ(0, forged.tag);
	EXPECT_EQ(0, kb_cancel(&self->kb, A, tag, &context));
	EXPECT_EQ(42, context);
}

TEST_HARNESS_MAIN
