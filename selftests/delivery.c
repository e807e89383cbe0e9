// SPDX-License-Identifier: GPL-2.0-only
/* How an answer reaches its callback. The files of bundles are in kextd.c. */
#include <sys/mman.h>

#include "kselftest_harness.h"

#include "lib/fixture.h"

static void fill(unsigned char *data, uint32_t length)
{
	uint32_t value = length;

	for (uint32_t i = 0; i < length; i++)
		data[i] = (value = value * 1664525 + 1013904223) >> 24;
}

/* A file opened for reading only that nobody else has. */
static int file_of(const void *data, size_t length)
{
	char path[64];
	int memfd = memfd_create("payload", MFD_CLOEXEC), fd;

	if (memfd < 0 || write(memfd, data, length) != (ssize_t)length)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	close(memfd);
	return fd;
}

FIXTURE(payload)
{
	struct kb kb;
	unsigned char *data;
};

FIXTURE_VARIANT(payload)
{
	uint32_t length;
	bool file;
};

#define PAYLOAD(name, bytes)                                                        \
	FIXTURE_VARIANT_ADD(payload, name##_bytes){.length = bytes, .file = false}; \
	FIXTURE_VARIANT_ADD(payload, name##_file)                                   \
	{                                                                           \
		.length = bytes, .file = true                                       \
	}
PAYLOAD(one, 1);
PAYLOAD(page, 4096);
PAYLOAD(firmware, 70105);
PAYLOAD(large, 4 << 20);

FIXTURE_SETUP(payload)
{
	ASSERT_EQ(0, kb_setup(&self->kb, A, NULL));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	self->data = malloc(variant->length);
	ASSERT_NE(NULL, self->data);
	fill(self->data, variant->length);
}

FIXTURE_TEARDOWN(payload)
{
	free(self->data);
	EXPECT_EQ(0, kb_teardown(&self->kb));
}

TEST_F(payload, T_040_bytes_arrive_as_they_were)
{
	uint32_t crc = kb_crc32(self->data, variant->length);
	struct kbtest_event event;
	struct kb_record record;
	int fd;

	ASSERT_EQ(0, kb_request(&self->kb, A, "payload", 1, NULL));
	FETCH(&record, "payload");
	if (variant->file) {
		fd = file_of(self->data, variant->length);
		ASSERT_GE(fd, 0);
		ASSERT_EQ(0, kb_reply_fd(self->kb.daemon, record.head.id, fd));
		close(fd);
	} else {
		ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, self->data, variant->length));
		memset(self->data, 0, variant->length); /* it is a copy already */
	}
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(0, event.result);
	EXPECT_EQ(KBTEST_HAS_DATA, event.flags & KBTEST_HAS_DATA);
	EXPECT_EQ(variant->length, event.length);
	EXPECT_EQ(crc, event.crc);
}

TEST_F(kext, T_041_empty_payload_is_null)
{
	struct kbtest_event event;
	struct kb_record record;
	int fd = file_of("", 0);

	ASSERT_GE(fd, 0);
	for (int i = 0; i < 2; i++) {
		ASSERT_EQ(0, kb_request(&self->kb, A, "empty", 1, NULL));
		FETCH(&record, "empty");
		ASSERT_EQ(0, i ? kb_reply_fd(self->kb.daemon, record.head.id, fd) :
				 kb_reply_data(self->kb.daemon, record.head.id, 0, "", 0));
		ASSERT_TRUE(kb_callback(&self->kb, &event));
		EXPECT_EQ(0, event.result);
		EXPECT_EQ(0, event.flags & KBTEST_HAS_DATA);
		EXPECT_EQ(0, event.length);
	}
	close(fd);
}

TEST_F(kext, T_042_miss_comes_at_once)
{
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_request(&self->kb, A, "missing", 1, NULL));
	FETCH(&record, "missing");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, kOSKextReturnNotFound));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kOSKextReturnNotFound, event.result);
	EXPECT_EQ(0, event.flags & KBTEST_HAS_DATA);
	EXPECT_EQ(0, event.length);
	EXPECT_LT(event.time_ns, record.head.deadline_ns);
}

TEST_F(kext, T_046_identical_requests_are_two)
{
	struct kb_record first, second;
	struct kbtest_event event;
	uint32_t tags[2];

	ASSERT_EQ(0, kb_request(&self->kb, A, "same", 1, &tags[0]));
	ASSERT_EQ(0, kb_request(&self->kb, A, "same", 1, &tags[1]));
	EXPECT_NE(tags[0], tags[1]);
	FETCH(&first, "same");
	FETCH(&second, "same");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, first.head.id, 0));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, second.head.id, 0));
	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(kb_callback(&self->kb, &event));
		EXPECT_EQ(tags[i], event.tag);
	}
}

/* Fetches and answers everything that is there, many at a time. Returns how many requests that were. */
static int answer_batch(int daemon)
{
	static uint64_t buffer[8192];
	struct kextd_reply replies[256] = {};
	struct kextd_exchange fetch = {
		.flags = KEXTD_EXCHANGE_NOWAIT,
		.max_requests = 256,
		.requests = KB_STRING(buffer),
		.requests_size = sizeof(buffer),
	};
	struct kextd_exchange hand_in = {.replies = KB_STRING(replies)};
	const char *at = (const char *)buffer;
	uint32_t i;

	if (kb_exchange(daemon, &fetch))
		return 0;
	for (i = 0; i < fetch.request_count; i++) {
		const struct kextd_request *head = (const void *)at;

		replies[i] = (struct kextd_reply){.id = head->id, .flags = KEXTD_REPLY_RESULT};
		at += head->size;
	}
	hand_in.reply_count = fetch.request_count;
	return kb_exchange(daemon, &hand_in) ? 0 : hand_in.reply_count;
}

TEST_F(kext, T_047_a_thousand_callbacks_come_in_order)
{
	uint32_t tags[1000];
	struct kbtest_request request = {A, .context = 1, .count = 1000, .tags = KB_STRING(tags)};
	struct kbtest_event event;
	int served = 0, batch;

	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	while ((batch = answer_batch(self->kb.daemon)))
		served += batch;
	ASSERT_EQ(1000, served);
	for (unsigned int i = 0; i < 1000; i++) {
		ASSERT_TRUE(kb_event(&self->kb, 0, &event, SOON_MS));
		ASSERT_EQ(KBTEST_CALLBACK, event.type) TH_LOG("they overlap");
		ASSERT_EQ(i + 1, event.context);
		ASSERT_EQ(tags[i], event.tag);
		ASSERT_EQ(1, event.concurrent);
		ASSERT_TRUE(kb_event(&self->kb, 0, &event, SOON_MS));
		ASSERT_EQ(KBTEST_RETURN, event.type);
		ASSERT_EQ(tags[i], event.tag);
	}
}

/* In the order of the answers, that is: here another one. */
TEST_F(kext, T_047_order_of_the_answers)
{
	struct kb_record first, second;
	struct kbtest_event event;

	ASSERT_EQ(0, kb_request(&self->kb, A, "first", 1, NULL));
	ASSERT_EQ(0, kb_request(&self->kb, A, "second", 2, NULL));
	FETCH(&first, "first");
	FETCH(&second, "second");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, second.head.id, 0));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, first.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(2, event.context);
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(1, event.context);
}

TEST_F(kext, T_048_sleeping_callback_delays_its_own_kext_only)
{
	struct kbtest_request request = {A, .flags = KBTEST_DO_WAIT, .context = 1};
	struct kb_record of_a, second_of_a, of_b;
	struct kbtest_event event;

	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&of_a, "resource");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, of_a.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	ASSERT_STREQ(A, event.kext);
	ASSERT_EQ(0, kb_request(&self->kb, A, "second of a", 2, NULL));
	ASSERT_EQ(0, kb_request(&self->kb, B, "of b", 3, NULL));
	FETCH(&second_of_a, "second of a");
	FETCH(&of_b, "of b");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, second_of_a.head.id, 0));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, of_b.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_STREQ(B, event.kext);
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
	ASSERT_EQ(0, kb_gates(&self->kb, KBTEST_GATE_CALLBACK));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(2, event.context);
	EXPECT_EQ(1, event.concurrent);
}

TEST_F(kext, T_049_callback_may_sleep)
{
	struct kbtest_request request = {A, .flags = KBTEST_DO_ALLOC};
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
	EXPECT_EQ(0, event.flags & KBTEST_ATOMIC);
}

TEST_F(kext, T_050_callback_is_not_on_the_requesters_stack)
{
	struct kbtest_request request = {A, .flags = KBTEST_HOLD_MUTEX | KBTEST_DO_MUTEX, .ms = 500};
	struct kbtest_event began, returned;
	struct kb_server server = {};

	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	/* Holds the mutex from before the request until 500 ms after: the callback begins meanwhile, and waits. */
	EXPECT_EQ(0, kb_request_with(&self->kb, &request));
	ASSERT_TRUE(kb_callback(&self->kb, &began));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &returned, SOON_MS));
	kb_serve_end(&server);
	EXPECT_EQ(0, began.flags & KBTEST_ON_REQUESTER);
	EXPECT_GE(returned.time_ns - began.time_ns, 20 * 1000000ull) TH_LOG("it did not have to wait");
}

TEST_F(kext, T_051_tag_is_written_before_the_callback)
{
	struct kbtest_request request = {A, .context = 1};
	struct kb_server server = {};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	for (int i = 0; i < 300; i++) {
		ASSERT_EQ(0, kb_request_with(&self->kb, &request));
		ASSERT_TRUE(kb_callback(&self->kb, &event));
		ASSERT_EQ(KBTEST_TAG_KNOWN, event.flags & KBTEST_TAG_KNOWN);
		ASSERT_EQ(request.tag, event.tag);
	}
	kb_serve_end(&server);
}

TEST_F(kext, T_052_data_stays_for_the_whole_callback)
{
	struct kbtest_request request = {A, .flags = KBTEST_DO_WAIT};
	static unsigned char data[100000];
	struct kbtest_event event;
	struct kb_record record;

	fill(data, sizeof(data));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	FETCH(&record, "resource");
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, data, sizeof(data)));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kb_crc32(data, sizeof(data)), event.crc);
	/* Not even the daemon's end takes it away. */
	kb_daemon_leave(&self->kb);
	ASSERT_EQ(0, kb_gates(&self->kb, KBTEST_GATE_CALLBACK));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
	EXPECT_EQ(kb_crc32(data, sizeof(data)), event.crc);
}

TEST_F(kext, T_053_callback_requests_again)
{
	struct kbtest_request request = {A, .flags = KBTEST_DO_REQUEST, .chain = 20, .context = 100};
	struct kb_server server = {};
	struct kbtest_event event;
	uint32_t next;

	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	ASSERT_EQ(0, kb_request_with(&self->kb, &request));
	next = request.tag;
	for (unsigned int i = 0; i <= 20; i++) {
		ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
		ASSERT_EQ(0, event.result);
		ASSERT_EQ(100 + i, event.context);
		ASSERT_EQ(next, event.tag);
		ASSERT_EQ(0, event.inner_result);
		next = event.inner_tag;
	}
	kb_serve_end(&server);
}

TEST_F(kext, T_054_context_is_passed_through)
{
	static const uint64_t contexts[] = {0, 1, 3, ~0ull, 0x8000000000000001, 0xffffffff, 0xdead000000000100};
	struct kb_server server = {};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	for (unsigned int i = 0; i < ARRAY_SIZE(contexts); i++) {
		ASSERT_EQ(0, kb_request(&self->kb, A, "x", contexts[i], NULL));
		ASSERT_TRUE(kb_callback(&self->kb, &event));
		EXPECT_EQ(contexts[i], event.context);
	}
	kb_serve_end(&server);
}

TEST_F(kext, T_055_error_with_data)
{
	static const OSReturn results[] = {
		kOSKextReturnInternalError, kOSKextReturnValidation, kOSReturnError, 1, -1, 0x7fffffff};
	struct kbtest_event event;
	struct kb_record record;

	for (unsigned int i = 0; i < ARRAY_SIZE(results); i++) {
		ASSERT_EQ(0, kb_request(&self->kb, A, "x", 1, NULL));
		FETCH(&record, "x");
		ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, results[i], "data", 4));
		ASSERT_TRUE(kb_callback(&self->kb, &event));
		EXPECT_EQ(results[i], event.result);
		EXPECT_EQ(4, event.length);
		EXPECT_EQ(kb_crc32("data", 4), event.crc);
	}
}

TEST_F(kext, T_056_success_without_data)
{
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_request(&self->kb, A, "x", 1, NULL));
	FETCH(&record, "x");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(0, event.result);
	EXPECT_EQ(0, event.flags & KBTEST_HAS_DATA);
	EXPECT_EQ(0, event.length);
}

TEST_HARNESS_MAIN
