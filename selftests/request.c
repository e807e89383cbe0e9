// SPDX-License-Identifier: GPL-2.0-only
/* What OSKextRequestResource() accepts, and what it says of the rest. */
#include "kselftest_harness.h"

#include "lib/fixture.h"

#define EXPECT_REFUSED(expected, ...)                                       \
	do {                                                                \
		struct kbtest_request refused_ = {A, __VA_ARGS__};          \
		EXPECT_EQ(expected, kb_request_with(&self->kb, &refused_)); \
		EXPECT_EQ(TAG_INVALID, refused_.tag);                       \
	} while (0)

TEST_F(kext, T_020_no_identifier)
{
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .flags = KBTEST_NO_IDENTIFIER);
}

TEST_F(kext, T_021_no_name)
{
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .flags = KBTEST_NO_NAME);
}

TEST_F(kext, T_022_no_callback)
{
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .callback = KBTEST_NULL);
}

TEST_F(kext, T_023_callback_outside_of_every_kext)
{
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .callback = KBTEST_HEAP);
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .callback = KBTEST_STACK);
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .callback = KBTEST_USER);
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .callback = KBTEST_KERNEL);
}

TEST_F(kext, T_023_callback_of_a_kext_that_is_gone)
{
	ASSERT_EQ(0, kb_unload_served(&self->kb, A));
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .callback = KBTEST_LOG);
}

TEST_F(kext, T_024_callback_in_data)
{
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .callback = KBTEST_DATA);
}

TEST_F(bare, T_024_callback_in_init_text)
{
	struct kbtest_plan plan = {A, .flags = KBTEST_START_INIT_TEXT};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, SOON_MS));
	EXPECT_EQ(kOSKextReturnInvalidArgument, event.inner_result);
	EXPECT_EQ(TAG_INVALID, event.inner_tag);
}

TEST_F(kext, T_026_tag_is_not_wanted)
{
	struct kbtest_request request = {A, .flags = KBTEST_NO_TAG, .context = 9};
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(9, event.context);
}

TEST_F(kext, T_027_tags_increase)
{
	uint32_t tags[200];
	struct kbtest_request request = {A, .count = 200, .tags = KB_STRING(tags)};
	struct kbtest_cancel all = {A, .flags = KBTEST_CANCEL_ALL};

	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	EXPECT_NE(TAG_INVALID, tags[0]);
	for (int i = 1; i < 200; i++)
		EXPECT_GT(tags[i], tags[i - 1]);
	ASSERT_EQ(0, kb_cancel_with(&self->kb, &all));
}

TEST_F_TIMEOUT(kext, T_027_a_million_cycles_repeat_no_tag, 500)
{
	const uint32_t count = kb_rounds(1000000);
	struct kbtest_call call = {.op = KBTEST_CYCLES, .load_tag = kb_tag(&self->kb, A), .count = count};
	uint64_t began = kb_now_ns();

	EXPECT_EQ(0, kb_call(&self->kb, &call));
	EXPECT_EQ(count, call.done);
	EXPECT_EQ(count - 1, call.last_tag - call.first_tag) TH_LOG("nobody else took tags meanwhile");
	TH_LOG("%u cycles in %.1f s", call.done, (kb_now_ns() - began) / 1e9);
}

TEST_F(kext, T_029_refused_requests_consume_no_tag)
{
	uint32_t first, second;

	ASSERT_EQ(0, kb_request(&self->kb, A, "first", 1, &first));
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .flags = KBTEST_NO_IDENTIFIER);
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .flags = KBTEST_NO_NAME);
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .callback = KBTEST_NULL);
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .callback = KBTEST_HEAP);
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .callback = KBTEST_DATA);
	ASSERT_EQ(0, kb_request(&self->kb, A, "second", 2, &second));
	EXPECT_EQ(first + 1, second);
	ASSERT_EQ(0, kb_cancel(&self->kb, A, first, NULL));
	ASSERT_EQ(0, kb_cancel(&self->kb, A, second, NULL));
}

/* The bench overwrites and frees both strings when the call has returned. */
TEST_F(kext, T_030_strings_are_copied)
{
	struct kbtest_request request = {A, .identifier = KB_STRING("org.other.bundle"),
					 .name = KB_STRING("folder/a name with spaces.bin")};
	struct kb_record record;

	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "folder/a name with spaces.bin");
	EXPECT_STREQ("org.other.bundle", record.identifier);
	EXPECT_EQ(kb_tag(&self->kb, A), record.head.load_tag);
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
}

TEST_F(kext, T_031_owner_is_stopped)
{
	struct kb_unload unload;
	struct kb_record record;

	ASSERT_EQ(0, kb_unload_begin(&unload, &self->kb, A, 0));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
	ASSERT_EQ(KEXTD_UNLOAD, record.head.kind);
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .callback = KBTEST_LOG);
	EXPECT_EQ(0, kb_rmmod(A));
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_EQ(0, kb_unload_end(&unload));
}

TEST_F(kext, T_034_unknown_bundle_is_the_daemons_business)
{
	struct kbtest_request request = {A, .identifier = KB_STRING("org.nobody.knows")};
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnNotFound));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kOSKextReturnNotFound, event.result);
	EXPECT_EQ(0, event.flags & KBTEST_HAS_DATA);
	EXPECT_EQ(0, event.length);
}

TEST_F(kext, T_035_request_belongs_to_the_kext_of_the_callback)
{
	struct kbtest_request request = {A, .identifier = KB_STRING(ID_B)};
	struct kextbridge_kext a, b;
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	ASSERT_TRUE(kb_kext(&self->kb, A, &a));
	ASSERT_TRUE(kb_kext(&self->kb, B, &b));
	EXPECT_EQ(1, a.pending);
	EXPECT_EQ(0, b.pending);
	FETCH(&record, "resource");
	EXPECT_STREQ(ID_B, record.identifier);
	EXPECT_EQ(a.load_tag, record.head.load_tag);
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_STREQ(A, event.kext);
}

static char *name_of(char *buffer, size_t length)
{
	memset(buffer, 'n', length);
	buffer[length] = 0;
	return buffer;
}

TEST_F(kext, T_036_long_names)
{
	static char text[300001];
	struct kbtest_request longest = {A, .name = KB_STRING(name_of(text, 1023))};
	struct kb_record record;

	ASSERT_EQ(0, kb_request_with(&self->kb, &longest));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
	EXPECT_STREQ(text, record.name);
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .name = KB_STRING(name_of(text, 1024)));
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .name = KB_STRING(name_of(text, 4096)));
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .name = KB_STRING(name_of(text, 300000)));
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .identifier = KB_STRING(name_of(text, 1024)));
	NOTHING_TO_FETCH();
}

TEST_F(kext, T_036_longest_names_of_all)
{
	static char text[4097];
	struct kbtest_request longest = {.kext = A};
	struct kb_record record;

	ASSERT_EQ(0, kb_param("max_name", "100000"));
	longest.identifier = longest.name = KB_STRING(name_of(text, KEXTBRIDGE_NAME_LIMIT));
	ASSERT_EQ(0, kb_request_with(&self->kb, &longest));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
	EXPECT_STREQ(text, record.name);
	EXPECT_STREQ(text, record.identifier);
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_REFUSED(kOSKextReturnInvalidArgument, .name = KB_STRING(name_of(text, KEXTBRIDGE_NAME_LIMIT + 1)));
}

TEST_F(kext, T_020_limit_of_pending_requests)
{
	struct kbtest_request request = {A, .context = 1, .count = 11};
	struct kbtest_cancel all = {A, .flags = KBTEST_CANCEL_ALL};
	struct kextbridge_status before, after;

	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, kb_param("max_pending", "10"));
	ASSERT_TRUE(kb_status(&self->kb, &before));
	EXPECT_EQ(kOSKextReturnNoResources, kb_request_with(&self->kb, &request));
	EXPECT_EQ(TAG_INVALID, request.tag);
	ASSERT_TRUE(kb_status(&self->kb, &after));
	EXPECT_EQ(before.limited + 1, after.limited);
	EXPECT_EQ(0, kb_request(&self->kb, B, "another kext has its own", 1, NULL));
	ASSERT_EQ(0, kb_cancel_with(&self->kb, &all));
	EXPECT_EQ(10, all.tag);
	EXPECT_EQ(0, kb_request(&self->kb, A, "again", 1, NULL));
	all.tag = 0;
	ASSERT_EQ(0, kb_cancel_with(&self->kb, &all));
	strcpy(all.kext, B);
	ASSERT_EQ(0, kb_cancel_with(&self->kb, &all));
}

TEST_HARNESS_MAIN
