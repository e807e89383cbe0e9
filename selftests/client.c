// SPDX-License-Identifier: GPL-2.0-only
/* What drivers get beyond macOS's calls: reads that wait, scopes, an unload of another kext. */
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "lib/fixture.h"

/* ---- reads */

TEST_F(kext, read_gives_the_bytes)
{
	static char data[70105], got[sizeof(data)];
	struct kb_reader reader = {.args = {.data = KB_STRING(got), .size = sizeof(got)}};
	struct kb_record record;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 7 + i / 255);
	ASSERT_EQ(0, kb_read_begin(&reader, &self->kb, A, "large"));
	FETCH(&record, "large");
	EXPECT_EQ(kb_tag(&self->kb, A), record.head.load_tag);
	EXPECT_STREQ("com.example.resources", record.identifier);
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, data, sizeof(data)));
	EXPECT_EQ(0, kb_read_end(&reader));
	EXPECT_EQ(sizeof(data), reader.args.length);
	EXPECT_EQ(0, memcmp(data, got, sizeof(data)));
}

TEST_F(kext, read_of_nothing)
{
	struct kb_reader reader = {};
	struct kb_record record;

	ASSERT_EQ(0, kb_read_begin(&reader, &self->kb, A, "empty"));
	FETCH(&record, "empty");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_EQ(0, kb_read_end(&reader));
	EXPECT_EQ(0, reader.args.length);
	EXPECT_EQ(0, reader.args.has_data);
}

/* Also when the daemon says that it failed and gives bytes all the same: they are nobody's. */
TEST_F(kext, read_gives_what_the_daemon_says)
{
	struct kb_reader reader = {};
	struct kb_record record;

	ASSERT_EQ(0, kb_read_begin(&reader, &self->kb, A, "bad"));
	FETCH(&record, "bad");
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, kOSKextReturnValidation, "bytes", 5));
	EXPECT_EQ(kOSKextReturnValidation, kb_read_end(&reader));
	EXPECT_EQ(0, reader.args.length);
	EXPECT_EQ(0, reader.args.has_data);
}

TEST_F(kext, read_ends_by_its_deadline)
{
	struct kbtest_read args = {.timeout_ms = 50};
	struct kb_record record;
	uint64_t began = kb_now_ns();

	EXPECT_EQ(kOSKextReturnTimeout, kb_read(&self->kb, A, "late", &args));
	EXPECT_GE(kb_now_ns() - began, 50 * 1000000ull);
	EXPECT_EQ(EAGAIN, kb_fetch(self->kb.daemon, &record, 0));
}

TEST_F(kext, read_of_too_much)
{
	struct kb_reader reader = {.args = {.max_length = 4}};
	struct kb_record record;

	ASSERT_EQ(0, kb_read_begin(&reader, &self->kb, A, "five"));
	FETCH(&record, "five");
	EXPECT_EQ(4, record.head.max_length);
	EXPECT_EQ(kOSKextReturnNoResources, kb_reply_data(self->kb.daemon, record.head.id, 0, "12345", 5));
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, "1234", 4));
	EXPECT_EQ(0, kb_read_end(&reader));
	EXPECT_EQ(4, reader.args.length);
}

TEST_F(kext, read_refuses_what_a_request_refuses)
{
	static char name[5001];
	struct kbtest_read args = {.flags = KBTEST_NO_IDENTIFIER};

	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_read(&self->kb, A, "x", &args));
	args = (struct kbtest_read){.flags = KBTEST_NO_NAME};
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_read(&self->kb, A, "x", &args));
	memset(name, 'x', sizeof(name) - 1);
	args = (struct kbtest_read){};
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_read(&self->kb, A, name, &args));
	ASSERT_EQ(0, kb_param("max_pending", "0"));
	args = (struct kbtest_read){};
	EXPECT_EQ(kOSKextReturnNoResources, kb_read(&self->kb, A, "x", &args));
	NOTHING_TO_FETCH();
}

/* Where a callback would have to wait for the start function's end. */
TEST_F(bare, read_in_the_start_function)
{
	struct kbtest_plan plan = {.kext = A, .flags = KBTEST_START_READ};
	struct kb_insmod insmod;
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, kb_plan(&self->kb, &plan));
	ASSERT_EQ(0, kb_insmod_begin(&insmod, A));
	FETCH(&record, "start");
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, "abc", 3));
	EXPECT_EQ(0, kb_insmod_end(&insmod));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STARTED, &event, SOON_MS));
	EXPECT_EQ(0, event.inner_result);
	EXPECT_EQ(3, event.inner_tag);
}

TEST_F(kext, read_in_a_callback)
{
	struct kbtest_request args = {.kext = A,
				      .identifier = KB_STRING(ID_A),
				      .name = KB_STRING("outer"),
				      .flags = KBTEST_DO_READ,
				      .context = 1};
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_request_with(&self->kb, &args));
	FETCH(&record, "outer");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	FETCH(&record, "inner");
	ASSERT_EQ(0, kb_reply_data(self->kb.daemon, record.head.id, 0, "abcd", 4));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
	EXPECT_EQ(0, event.inner_result);
	EXPECT_EQ(4, event.inner_tag);
}

TEST_F(kext, read_ends_when_its_process_is_killed)
{
	struct kextbridge_status before, after;
	struct kb_record record;
	int status;
	pid_t pid;

	ASSERT_TRUE(kb_status(&self->kb, &before));
	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		struct kbtest_read args = {};

		kb_read(&self->kb, A, "killed", &args);
		_exit(0);
	}
	FETCH(&record, "killed");
	ASSERT_EQ(0, kill(pid, SIGKILL));
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_TRUE(WIFSIGNALED(status));
	/* The daemon is told, and is too late. */
	EXPECT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
	EXPECT_EQ(KEXTD_CANCEL, record.head.kind);
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply_data(self->kb.daemon, record.head.id, 0, "x", 1));
	ASSERT_TRUE(kb_status(&self->kb, &after));
	EXPECT_EQ(before.cancelled + 1, after.cancelled);
	EXPECT_EQ(0, after.fetched);
}

TEST_F(kext, read_ends_with_an_unload)
{
	struct kb_reader reader = {};
	struct kb_unload unload;
	struct kb_record record;

	ASSERT_EQ(0, kb_read_begin(&reader, &self->kb, A, "unloaded"));
	FETCH(&record, "unloaded");
	ASSERT_EQ(0, kb_unload_begin(&unload, &self->kb, A, 0));
	EXPECT_EQ(kOSKextReturnTimeout, kb_read_end(&reader));
	do {
		ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
	} while (record.head.kind == KEXTD_CANCEL);
	ASSERT_EQ(KEXTD_UNLOAD, record.head.kind);
	EXPECT_EQ(0, kb_rmmod(A));
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_EQ(0, kb_unload_end(&unload));
}

TEST_F(kext, read_is_not_autounloaded_under)
{
	struct kb_reader reader = {};
	struct kb_record record;
	uint32_t tag = kb_tag(&self->kb, A);

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 50));
	ASSERT_EQ(0, kb_read_begin(&reader, &self->kb, A, "busy"));
	FETCH(&record, "busy");
	ASSERT_EQ(0, kb_kpi_retain(&self->kb, tag));
	ASSERT_EQ(0, kb_kpi_release(&self->kb, tag));
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_STOP, 400));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload(self->kb.control, tag, KEXTBRIDGE_UNLOAD_IF_IDLE));
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_EQ(0, kb_read_end(&reader));
}

TEST_F(kext, read_is_aborted_by_cancel_all)
{
	struct kbtest_cancel all = {.kext = A, .flags = KBTEST_CANCEL_ALL};
	struct kb_reader reader = {};
	struct kb_record record;
	uint32_t tag;

	ASSERT_EQ(0, kb_request(&self->kb, A, "beside", 1000, &tag));
	FETCH(&record, "beside");
	ASSERT_EQ(0, kb_read_begin(&reader, &self->kb, A, "all"));
	FETCH(&record, "all");
	ASSERT_EQ(0, kb_cancel_with(&self->kb, &all));
	EXPECT_EQ(2, all.tag);
	EXPECT_EQ(1000, all.context);
	EXPECT_EQ(kIOReturnAborted, kb_read_end(&reader));
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, record.head.id, 0));
}

/* Nobody was told its tag, and its context would be another thread's stack. */
TEST_F(kext, read_is_not_cancelled_by_its_tag)
{
	struct kb_reader reader = {};
	struct kb_record record;
	uint64_t context = 77;

	ASSERT_EQ(0, kb_read_begin(&reader, &self->kb, A, "mine"));
	FETCH(&record, "mine");
	EXPECT_EQ(kOSKextReturnNotFound, kb_cancel(&self->kb, A, (uint32_t)record.head.id, &context));
	EXPECT_EQ(77, context);
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	EXPECT_EQ(0, kb_read_end(&reader));
}

/* ---- scopes */

static int request_under(struct kb *kb, uint32_t scope, uint64_t context, uint32_t count)
{
	struct kbtest_request args = {.kext = A,
				      .identifier = KB_STRING(ID_A),
				      .name = KB_STRING("scoped"),
				      .context = context,
				      .count = count,
				      .scope = scope};

	return kb_request_with(kb, &args);
}

/* All of its requests, in each of their states, and no other. */
TEST_F(kext, scope_cancels_its_requests)
{
	struct kbtest_scope scope;
	struct kbtest_event event;
	struct kb_record fetched, other;
	uint32_t tag;

	kb_scope(&self->kb, KBTEST_SCOPE_INIT, 1, NULL);
	ASSERT_EQ(0, request_under(&self->kb, 1, 1, 1));
	FETCH(&fetched, "scoped");
	ASSERT_EQ(0, request_under(&self->kb, 1, 20, 3));
	ASSERT_EQ(0, kb_request(&self->kb, A, "other", 7, &tag));
	EXPECT_EQ(0, kb_scope(&self->kb, KBTEST_SCOPE_ASK, 1, NULL));
	EXPECT_EQ(4, kb_scope(&self->kb, KBTEST_SCOPE_CANCEL, 1, &scope));
	EXPECT_EQ(4, scope.called);
	EXPECT_EQ(1 + 20 + 21 + 22, scope.contexts);
	EXPECT_EQ(1, kb_scope(&self->kb, KBTEST_SCOPE_ASK, 1, NULL));
	EXPECT_EQ(kOSKextReturnNotFound, kb_reply(self->kb.daemon, fetched.head.id, 0));
	EXPECT_EQ(0, kb_fetch(self->kb.daemon, &other, SOON_MS));
	EXPECT_EQ(KEXTD_CANCEL, other.head.kind);
	FETCH(&other, "other");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, other.head.id, 0));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(tag, event.tag);
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
}

TEST_F(kext, scope_cancels_once_and_for_good)
{
	struct kbtest_read args = {.scope = 1};
	struct kextbridge_kext kext;

	kb_scope(&self->kb, KBTEST_SCOPE_INIT, 1, NULL);
	ASSERT_EQ(0, request_under(&self->kb, 1, 1, 2));
	EXPECT_EQ(2, kb_scope(&self->kb, KBTEST_SCOPE_CANCEL, 1, NULL));
	EXPECT_EQ(0, kb_scope(&self->kb, KBTEST_SCOPE_CANCEL, 1, NULL));
	EXPECT_EQ(kIOReturnAborted, request_under(&self->kb, 1, 1, 1));
	EXPECT_EQ(kIOReturnAborted, kb_read(&self->kb, A, "x", &args));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(0, kext.pending);
	EXPECT_EQ(0, kext.refused) TH_LOG("that is no misuse");
	/* And anew. */
	kb_scope(&self->kb, KBTEST_SCOPE_INIT, 1, NULL);
	ASSERT_EQ(0, request_under(&self->kb, 1, 1, 1));
	EXPECT_EQ(1, kb_scope(&self->kb, KBTEST_SCOPE_CANCEL, 1, NULL));
}

/* What was answered, and is not called back yet, is cancelled; what runs is waited for. */
TEST_F(kext, scope_cancel_waits_for_a_callback_that_runs)
{
	struct kbtest_request args = {.kext = A,
				      .identifier = KB_STRING(ID_A),
				      .name = KB_STRING("scoped"),
				      .context = 1,
				      .flags = KBTEST_DO_SLEEP,
				      .ms = 200,
				      .scope = 1};
	struct kbtest_event event;
	struct kb_record record;
	uint64_t returned;

	kb_scope(&self->kb, KBTEST_SCOPE_INIT, 1, NULL);
	ASSERT_EQ(0, kb_request_with(&self->kb, &args));
	ASSERT_EQ(0, request_under(&self->kb, 1, 2, 1));
	for (int i = 0; i < 2; i++) {
		FETCH(&record, "scoped");
		ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	}
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_CALLBACK, &event, SOON_MS));
	EXPECT_EQ(1, kb_scope(&self->kb, KBTEST_SCOPE_CANCEL, 1, NULL));
	returned = kb_now_ns();
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
	EXPECT_LE(event.time_ns, returned);
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
}

TEST_F(kext, scope_is_cancelled_in_its_own_callback)
{
	struct kbtest_request args = {.kext = A,
				      .identifier = KB_STRING(ID_A),
				      .name = KB_STRING("scoped"),
				      .context = 1,
				      .flags = KBTEST_DO_CANCEL_SCOPE,
				      .other = 1,
				      .scope = 1};
	struct kbtest_event event;
	struct kb_record record;

	kb_scope(&self->kb, KBTEST_SCOPE_INIT, 1, NULL);
	ASSERT_EQ(0, kb_request_with(&self->kb, &args));
	ASSERT_EQ(0, request_under(&self->kb, 1, 2, 2));
	FETCH(&record, "scoped");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
	EXPECT_EQ(2, event.inner_tag);
	EXPECT_TRUE(kb_quiet(&self->kb, KBTEST_CALLBACK, NEVER_MS));
}

TEST_F(kext, scope_of_another_kext_or_of_nobody)
{
	struct kbtest_request args = {.kext = B, .identifier = KB_STRING(ID_B), .name = KB_STRING("b"), .scope = 1};
	struct kextbridge_kext kext;

	ASSERT_EQ(0, kb_insmod(B));
	kb_scope(&self->kb, KBTEST_SCOPE_INIT, 1, NULL);
	ASSERT_EQ(0, request_under(&self->kb, 1, 1, 1));
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_request_with(&self->kb, &args));
	args.scope = KBTEST_SCOPES; /* which is all zero */
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_request_with(&self->kb, &args));
	EXPECT_EQ(0, kb_scope(&self->kb, KBTEST_SCOPE_CANCEL, KBTEST_SCOPES, NULL));
	EXPECT_EQ(1, kb_scope(&self->kb, KBTEST_SCOPE_ASK, KBTEST_SCOPES, NULL));
	ASSERT_TRUE(kb_kext(&self->kb, B, &kext));
	EXPECT_EQ(2, kext.refused);
	EXPECT_EQ(1, kb_scope(&self->kb, KBTEST_SCOPE_CANCEL, 1, NULL));
}

TEST_F(kext, scope_aborts_a_read)
{
	struct kb_reader reader = {.args = {.scope = 1}};
	struct kbtest_scope scope;
	struct kb_record record;

	kb_scope(&self->kb, KBTEST_SCOPE_INIT, 1, NULL);
	ASSERT_EQ(0, kb_read_begin(&reader, &self->kb, A, "read"));
	FETCH(&record, "read");
	EXPECT_EQ(1, kb_scope(&self->kb, KBTEST_SCOPE_CANCEL, 1, &scope));
	EXPECT_EQ(0, scope.called);
	EXPECT_EQ(kIOReturnAborted, kb_read_end(&reader));
}

/* An unload calls back what is under a scope as anything else, and leaves nothing in it. */
TEST_F(kext, scope_of_a_kext_that_is_unloaded)
{
	struct kbtest_event event;
	struct kb_record record;

	kb_scope(&self->kb, KBTEST_SCOPE_INIT, 1, NULL);
	ASSERT_EQ(0, request_under(&self->kb, 1, 1, 1));
	FETCH(&record, "scoped");
	ASSERT_EQ(0, kb_unload_served(&self->kb, A));
	ASSERT_TRUE(kb_callback(&self->kb, &event));
	EXPECT_EQ(kOSKextReturnTimeout, event.result);
	EXPECT_EQ(0, kb_scope(&self->kb, KBTEST_SCOPE_CANCEL, 1, NULL));
}

/* Cancels race each other, answers, and new requests: each request has one end, and the sum of all is right. */
static void *cancel_scope(void *arg)
{
	return (void *)(uintptr_t)kb_scope(arg, KBTEST_SCOPE_CANCEL, 1, NULL);
}

TEST_F_TIMEOUT(kext, scope_cancels_race, 300)
{
	uint32_t rounds = kb_rounds_from(50, 5000), cancelled = 0, called_back = 0, refused = 0;
	struct kb_server server = {};

	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	for (uint32_t i = 0; i < rounds; i++) {
		struct kbtest_request args = {.kext = A,
					      .identifier = KB_STRING(ID_A),
					      .name = KB_STRING("race"),
					      .callback = KBTEST_COUNT,
					      .context = 0,
					      .scope = 1};
		struct kbtest_counts counts = {.from = 0, .count = 1};
		uint32_t accepted = 0, here = 0, there = 0, calls;
		pthread_t threads[2];

		kb_scope(&self->kb, KBTEST_SCOPE_INIT, 1, NULL);
		for (int j = 0; j < 4; j++)
			accepted += !kb_request_with(&self->kb, &args);
		for (int j = 0; j < 2; j++)
			ASSERT_EQ(0, pthread_create(&threads[j], NULL, cancel_scope, &self->kb));
		for (int j = 0; j < 4; j++) {
			int result = kb_request_with(&self->kb, &args);

			ASSERT_TRUE(!result || result == kIOReturnAborted);
			accepted += !result;
			refused += !!result;
		}
		for (int j = 0; j < 2; j++) {
			void *count;

			ASSERT_EQ(0, pthread_join(threads[j], &count));
			there += (uint32_t)(uintptr_t)count;
		}
		/* Both have returned: nothing runs, and nothing comes. */
		counts.counts = KB_STRING(&here);
		ASSERT_EQ(0, ioctl(self->kb.bench, KBTEST_IOC_COUNTS, &counts));
		calls = here;
		ASSERT_EQ(accepted, calls + there) TH_LOG("round %u: %u called back, %u cancelled", i, calls, there);
		cancelled += there;
		called_back += calls;
	}
	kb_serve_end(&server);
	TH_LOG("%u rounds: cancelled %u, called back %u, refused %u", rounds, cancelled, called_back, refused);
	EXPECT_GT(cancelled, 0);
}

/* ---- a kext unloads another */

static int unload_by(struct kb *kb, const char *caller, uint32_t load_tag)
{
	struct kbtest_call call = {.op = KBTEST_UNLOAD, .load_tag = load_tag, .first_tag = kb_tag(kb, caller)};

	return kb_call(kb, &call);
}

TEST_F(kext, unload_of_another_kext)
{
	struct kb_server server = {};
	struct kbtest_event event;
	uint32_t tag;

	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	server.resource_result = 0;
	tag = kb_tag(&self->kb, B);
	EXPECT_EQ(0, unload_by(&self->kb, A, tag));
	EXPECT_FALSE(kb_is_loaded(B));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_STOPPED, &event, SOON_MS));
	EXPECT_STREQ(B, event.kext);
	EXPECT_EQ(kOSKextReturnNotFound, unload_by(&self->kb, A, tag));
	EXPECT_EQ(kOSKextReturnInvalidArgument, unload_by(&self->kb, A, TAG_INVALID));
	kb_serve_end(&server);
}

TEST_F(kext, unload_of_itself_is_refused)
{
	struct kextbridge_kext kext;

	EXPECT_EQ(kOSKextReturnInvalidArgument, unload_by(&self->kb, A, kb_tag(&self->kb, A)));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
	EXPECT_EQ(1, kext.refused);
}

TEST_F(kext, unload_of_a_kext_in_use)
{
	uint32_t tag;

	ASSERT_EQ(0, kb_insmod(B));
	tag = kb_tag(&self->kb, B);
	ASSERT_EQ(0, kb_kpi_retain(&self->kb, tag));
	EXPECT_EQ(kOSKextReturnInUse, unload_by(&self->kb, A, tag));
	ASSERT_EQ(0, kb_kpi_release(&self->kb, tag));
	kb_daemon_leave(&self->kb);
	EXPECT_EQ(kOSKextReturnDisabled, unload_by(&self->kb, A, tag));
}

/* Two kexts whose callbacks unload each other would wait for ever. */
TEST_F(kext, unload_in_a_callback_does_not_wait)
{
	struct kbtest_request args = {.kext = A,
				      .identifier = KB_STRING(ID_A),
				      .name = KB_STRING("outer"),
				      .flags = KBTEST_DO_UNLOAD,
				      .context = 1};
	struct kbtest_event event;
	struct kb_record record;

	ASSERT_EQ(0, kb_insmod(B));
	args.other = kb_tag(&self->kb, B);
	ASSERT_EQ(0, kb_request_with(&self->kb, &args));
	FETCH(&record, "outer");
	ASSERT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
	ASSERT_TRUE(kb_event(&self->kb, KBTEST_RETURN, &event, SOON_MS));
	EXPECT_EQ(kOSKextReturnDeferred, event.inner_result);
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, SOON_MS));
	ASSERT_EQ(KEXTD_UNLOAD, record.head.kind);
	EXPECT_EQ(0, kb_rmmod(B));
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
}

/* ---- misuse */

/* What a kext does wrong is counted at it, and changes nothing else. */
TEST_F(kext, misuse_is_counted_at_its_kext)
{
	struct kbtest_request request = {.kext = A, .identifier = KB_STRING(ID_A), .name = KB_STRING("x")};
	uint32_t tag = kb_tag(&self->kb, A);
	struct kextbridge_kext kext;

	request.flags = KBTEST_NO_IDENTIFIER;
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_request_with(&self->kb, &request));
	request.flags = KBTEST_NO_NAME;
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_request_with(&self->kb, &request));
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_kpi_release(&self->kb, tag));
	ASSERT_EQ(0, kb_param("max_pending", "0"));
	request.flags = 0;
	EXPECT_EQ(kOSKextReturnNoResources, kb_request_with(&self->kb, &request));
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(4, kext.refused);
	EXPECT_EQ(0, kext.pending);
	EXPECT_EQ(0, kext.retains);
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
	/* Without a callback it is known by who called, which is the bench. */
	request.callback = KBTEST_NULL;
	EXPECT_EQ(kOSKextReturnInvalidArgument, kb_request_with(&self->kb, &request));
	ASSERT_TRUE(kb_kext(&self->kb, "kbtest", &kext));
	EXPECT_GE(kext.refused, 1);
}

TEST_HARNESS_MAIN
