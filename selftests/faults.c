// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every allocation and every copy from or to user memory of every way into the module fails once, for the task that
 * comes in. What runs on workers is in the last tests: it allocates nothing. On a kernel with fault injection, with the
 * test build: selftests/run-program kasan faults
 */
#include "kselftest_harness.h"

#include <sys/epoll.h>
#include <sys/wait.h>

#include "lib/sweep.h"

FIXTURE(faults)
{
	struct sweep s;
};
FIXTURE_VARIANT(faults)
{
	bool wire32;
};
FIXTURE_VARIANT_ADD(faults, native){.wire32 = false};
FIXTURE_VARIANT_ADD(faults, compat){.wire32 = true};

FIXTURE_SETUP(faults)
{
	sweep_setup(_metadata, &self->s);
	self->s.wire32 = variant->wire32;
}

FIXTURE_TEARDOWN(faults)
{
	EXPECT_EQ(0, kb_teardown(&self->s.kb));
}

FIXTURE(files)
{
	struct sweep s;
};

FIXTURE_SETUP(files)
{
	sweep_setup(_metadata, &self->s);
}

FIXTURE_TEARDOWN(files)
{
	EXPECT_EQ(0, kb_teardown(&self->s.kb));
}

/* ---- what the rounds are made of */

static void issue(struct __test_metadata *_metadata, struct sweep *s, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++, s->issued++)
		ASSERT_EQ(0, kb_request(&s->kb, A, "resource", s->issued, &s->tags[s->issued]));
}

/* The next tag needs a node of the table's, which has 64 places. */
static void fill_node(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kbtest_call cycle = {.op = KBTEST_CYCLES, .load_tag = kb_tag(&s->kb, A), .count = 1};

	ASSERT_EQ(0, kb_call(&s->kb, &cycle));
	cycle.count = 63 - cycle.last_tag % 64;
	if (cycle.count)
		ASSERT_EQ(0, kb_call(&s->kb, &cycle));
}

/* The records that the call has filled in, behind those that are known. */
static void take_records(struct __test_metadata *_metadata, struct sweep *s)
{
	const char *at = (const char *)s->low->records;

	for (uint32_t i = 0; i < s->low->exchange.request_count; i++) {
		ASSERT_GT(MAX_ROUND, s->got_count);
		memcpy(&s->got[s->got_count], at, sizeof(s->got[0]));
		at += s->got[s->got_count++].size;
	}
	EXPECT_EQ(at, (const char *)s->low->records + s->low->exchange.requests_used);
}

/* What a call of ours has not got is there at once. */
static void fetch_rest(struct __test_metadata *_metadata, struct sweep *s)
{
	static struct kb_record record;
	int err;

	while (!(err = kb_fetch(s->kb.daemon, &record, 0))) {
		ASSERT_GT(MAX_ROUND, s->got_count);
		s->got[s->got_count++] = record.head;
	}
	EXPECT_EQ(EAGAIN, err);
}

static void fetch(struct __test_metadata *_metadata, struct sweep *s, uint32_t count)
{
	static struct kb_record record;

	while (count--) {
		ASSERT_EQ(0, kb_fetch(s->kb.daemon, &record, 10000));
		s->got[s->got_count++] = record.head;
	}
}

static void in_order(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_EQ(s->issued, s->got_count);
	for (uint32_t i = 0; i < s->got_count; i++) {
		EXPECT_EQ(KEXTD_RESOURCE, s->got[i].kind);
		EXPECT_EQ(s->tags[i], (uint32_t)s->got[i].id);
	}
}

static void expect_callback(struct __test_metadata *_metadata, struct sweep *s, uint32_t i, OSReturn result)
{
	struct kbtest_event event;

	ASSERT_TRUE(kb_callback(&s->kb, &event));
	EXPECT_EQ(s->tags[i], event.tag);
	EXPECT_EQ(i, event.context);
	EXPECT_EQ(result, event.result);
}

/* All that is in hand is answered, and called back in order. */
static void answer_all(struct __test_metadata *_metadata, struct sweep *s)
{
	for (uint32_t i = 0; i < s->got_count; i++)
		EXPECT_EQ(0, kb_reply(s->kb.daemon, s->got[i].id, kOSReturnSuccess));
	for (uint32_t i = 0; i < s->issued; i++)
		expect_callback(_metadata, s, i, kOSReturnSuccess);
}

/* ---- the daemon fetches */

static void exchange_args(struct sweep *s, uint32_t max, uint32_t room)
{
	memset(s->low->raw, 0, sizeof(s->low->raw));
	s->low->exchange = (struct kextd_exchange){
		.size = sizeof(s->low->exchange),
		.flags = KEXTD_EXCHANGE_NOWAIT,
		.max_requests = max,
		.requests = KB_STRING(s->low->records),
		.requests_size = room,
	};
}

static int exchange(struct sweep *s)
{
	return sweep_ioctl(s, s->kb.daemon, KEXTD_IOC_EXCHANGE, &s->low->exchange);
}

static void prepare_fetch_one(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 3);
	exchange_args(s, 1, sizeof(s->low->records));
}

/* More than one hold of the lock hands out. */
static void prepare_fetch_many(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 36);
	exchange_args(s, 40, sizeof(s->low->records));
}

static void prepare_fetch_little_room(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 2);
	exchange_args(s, 2, 40);
}

static void prepare_larger(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 1);
	exchange_args(s, 1, sizeof(s->low->records));
	s->low->exchange.size = 200;
}

static void prepare_too_large(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_larger(_metadata, s);
	s->low->raw[150] = 1;
}

static void prepare_smaller(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_larger(_metadata, s);
	s->low->exchange.size = sizeof(s->low->exchange) - 8;
}

static void prepare_fetch_nothing(__attribute__((unused)) struct __test_metadata *_metadata, struct sweep *s)
{
	exchange_args(s, 1, sizeof(s->low->records));
}

static void check_fetch(struct __test_metadata *_metadata, struct sweep *s)
{
	if (!s->err)
		take_records(_metadata, s);
	EXPECT_EQ(s->got_count, s->after.fetched);
	EXPECT_EQ(s->issued - s->got_count, s->after.pending);
	fetch_rest(_metadata, s);
	in_order(_metadata, s);
	answer_all(_metadata, s);
}

static void prepare_fetch_notice(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 1);
	fetch(_metadata, s, 1);
	ASSERT_EQ(0, kb_cancel(&s->kb, A, s->tags[0], NULL));
	exchange_args(s, 4, sizeof(s->low->records));
}

static void check_fetch_notice(struct __test_metadata *_metadata, struct sweep *s)
{
	if (!s->err)
		take_records(_metadata, s);
	fetch_rest(_metadata, s);
	EXPECT_EQ(2, s->got_count);
	EXPECT_EQ(KEXTD_CANCEL, s->got[1].kind);
	EXPECT_EQ(s->got[0].id, s->got[1].id);
}

static void prepare_fetch_load(struct __test_metadata *_metadata, struct sweep *s)
{
	ASSERT_EQ(kOSKextReturnDeferred, kb_kpi_load(&s->kb, "com.example.absent"));
	exchange_args(s, 4, sizeof(s->low->records));
}

static void check_fetch_load(struct __test_metadata *_metadata, struct sweep *s)
{
	if (!s->err)
		take_records(_metadata, s);
	fetch_rest(_metadata, s);
	EXPECT_EQ(1, s->got_count);
	EXPECT_EQ(KEXTD_LOAD, s->got[0].kind);
	EXPECT_EQ(0, kb_reply(s->kb.daemon, s->got[0].id, kOSKextReturnNotFound));
}

static void begin_unload(struct __test_metadata *_metadata, struct sweep *s)
{
	ASSERT_EQ(0, kb_unload_begin(&s->unload, &s->kb, A, 0));
	ASSERT_TRUE(kb_poll(s->kb.daemon, POLLIN, 20000));
}

static void prepare_fetch_unload(struct __test_metadata *_metadata, struct sweep *s)
{
	begin_unload(_metadata, s);
	exchange_args(s, 4, sizeof(s->low->records));
}

static void expect_started(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kextbridge_kext kext;

	ASSERT_TRUE(kb_kext(&s->kb, A, &kext)) TH_LOG("the kext is lost");
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
	EXPECT_EQ(1, kext.module_refcount);
}

static void check_fetch_unload(struct __test_metadata *_metadata, struct sweep *s)
{
	if (!s->err)
		take_records(_metadata, s);
	fetch_rest(_metadata, s);
	EXPECT_EQ(1, s->got_count);
	EXPECT_EQ(KEXTD_UNLOAD, s->got[0].kind);
	EXPECT_EQ(0, kb_reply(s->kb.daemon, s->got[0].id, kOSKextReturnInUse));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload_end(&s->unload));
	expect_started(_metadata, s);
}

TEST_F_TIMEOUT(faults, fetch, 600)
{
	static const struct entry entries[] = {
		{"fetch one", prepare_fetch_one, exchange, check_fetch, .least = 4},
		{"fetch many", prepare_fetch_many, exchange, check_fetch, .least = 70},
		{"fetch, a larger structure", prepare_larger, exchange, check_fetch, .least = 4},
		{"fetch, a larger structure that is not zero", prepare_too_large, exchange, check_fetch, .least = 1,
		 .expected = E2BIG},
		{"fetch, a smaller structure", prepare_smaller, exchange, check_fetch, .least = 1, .expected = EINVAL},
		{"fetch, too little room", prepare_fetch_little_room, exchange, check_fetch, .least = 3,
		 .expected = ENOBUFS},
		{"fetch, nothing", prepare_fetch_nothing, exchange, check_fetch, .least = 3, .expected = EAGAIN},
		{"fetch a notice", prepare_fetch_notice, exchange, check_fetch_notice, .least = 4},
		{"fetch a load message", prepare_fetch_load, exchange, check_fetch_load, .least = 4},
		{"fetch an unload message", prepare_fetch_unload, exchange, check_fetch_unload, .least = 4},
	};

	SWEEP_ALL(&self->s, entries);
}

/* ---- the daemon replies */

#define NOT_WRITTEN 0x7777

static void reply_args(struct sweep *s, uint32_t flags, uint32_t length, int fd)
{
	exchange_args(s, 0, 0);
	s->low->exchange.requests = 0;
	s->low->exchange.replies = KB_STRING(&s->low->reply);
	s->low->exchange.reply_count = 1;
	s->low->reply = (struct kextd_reply){
		.id = s->got[0].id,
		.result = kOSKextReturnInUse,
		.flags = KEXTD_REPLY_RESULT | flags,
		.data = length ? KB_STRING(s->low->data) : 0,
		.length = length,
		.fd = fd,
		.status = NOT_WRITTEN,
	};
	s->value = length;
}

static void prepare_reply(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 1);
	fetch(_metadata, s, 1);
	reply_args(s, 0, 0, 0);
}

static void prepare_reply_small(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_reply(_metadata, s);
	reply_args(s, KEXTD_REPLY_DATA, 100, 0);
}

static void prepare_reply_large(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_reply(_metadata, s);
	reply_args(s, KEXTD_REPLY_DATA, LARGE, 0);
}

/* A file of its own, so that what the kernel keeps of it is not there yet. */
static void prepare_reply_file(struct __test_metadata *_metadata, struct sweep *s)
{
	char path[] = "/tmp/faults-XXXXXX";
	int fd = mkstemp(path);

	prepare_reply(_metadata, s);
	ASSERT_LE(0, fd);
	ASSERT_EQ(20000, write(fd, s->low->data, 20000));
	close(fd);
	s->file = open(path, O_RDONLY | O_CLOEXEC);
	unlink(path);
	ASSERT_LE(0, s->file);
	reply_args(s, KEXTD_REPLY_FD, 0, s->file);
	s->value = 20000;
}

/* Once, with the bytes of the first reply or with those of the second, whichever the daemon was told was taken. */
static void check_reply(struct __test_metadata *_metadata, struct sweep *s)
{
	bool taken = !s->err && !s->low->reply.status;
	struct kbtest_event event;
	int again;

	if (!s->err) {
		EXPECT_EQ(1, s->low->exchange.reply_count);
		EXPECT_TRUE(taken || (s->hit && (s->low->reply.status == kOSKextReturnNoMemory ||
						 s->low->reply.status == kOSKextReturnInvalidArgument ||
						 s->low->reply.status == kOSKextReturnBadData)))
		{
			TH_LOG("status %#x", s->low->reply.status);
		}
	}
	again = kb_reply(s->kb.daemon, s->got[0].id, kOSReturnSuccess);
	EXPECT_TRUE(again == kOSKextReturnNotFound || (!taken && !again)) TH_LOG("then %#x", again);
	ASSERT_TRUE(kb_callback(&s->kb, &event)) TH_LOG("the request is lost");
	EXPECT_EQ(s->tags[0], event.tag);
	EXPECT_EQ(again ? kOSKextReturnInUse : kOSReturnSuccess, event.result);
	EXPECT_EQ(again ? s->value : 0, event.length);
	EXPECT_EQ(again && s->value ? kb_crc32(s->low->data, s->value) : 0, event.crc);
	close(s->file);
	s->file = -1;
}

static void prepare_bad_descriptor(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_reply(_metadata, s);
	reply_args(s, KEXTD_REPLY_FD, 0, -1);
}

static void prepare_malformed(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_reply(_metadata, s);
	s->low->reply.flags = 0x100;
}

static void prepare_too_long(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kbtest_request args = {.kext = A, .max_length = 4};

	ASSERT_EQ(0, kb_request_with(&s->kb, &args));
	s->tags[0] = args.tag;
	s->issued = 1;
	fetch(_metadata, s, 1);
	reply_args(s, KEXTD_REPLY_DATA, 5, 0);
}

static void check_refused(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_TRUE(s->err || (s->low->reply.status && s->low->reply.status != NOT_WRITTEN));
	EXPECT_EQ(1, s->after.fetched);
	answer_all(_metadata, s);
}

static void prepare_late(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_reply_small(_metadata, s);
	ASSERT_EQ(0, kb_reply(s->kb.daemon, s->got[0].id, kOSReturnSuccess));
}

static void check_late(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_TRUE(s->err || s->low->reply.status == kOSKextReturnNotFound);
	expect_callback(_metadata, s, 0, kOSReturnSuccess);
}

/* Answers one and fetches another with one call. */
static void prepare_combined(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 2);
	fetch(_metadata, s, 1);
	reply_args(s, KEXTD_REPLY_DATA, 100, 0);
	s->low->exchange.max_requests = 1;
	s->low->exchange.requests = KB_STRING(s->low->records);
	s->low->exchange.requests_size = sizeof(s->low->records);
}

static void check_combined(struct __test_metadata *_metadata, struct sweep *s)
{
	if (!s->err)
		take_records(_metadata, s);
	fetch_rest(_metadata, s);
	in_order(_metadata, s);
	check_reply(_metadata, s);
	EXPECT_EQ(0, kb_reply(s->kb.daemon, s->got[1].id, kOSReturnSuccess));
	expect_callback(_metadata, s, 1, kOSReturnSuccess);
}

static void prepare_reply_load(struct __test_metadata *_metadata, struct sweep *s)
{
	ASSERT_EQ(kOSKextReturnDeferred, kb_kpi_load(&s->kb, "com.example.absent"));
	fetch(_metadata, s, 1);
	reply_args(s, 0, 0, 0);
}

static void check_reply_message(struct __test_metadata *_metadata, struct sweep *s)
{
	int again = kb_reply(s->kb.daemon, s->got[0].id, kOSReturnSuccess);

	EXPECT_TRUE(again == kOSKextReturnNotFound || (s->err && !again)) TH_LOG("then %#x", again);
}

static void prepare_reply_unload(struct __test_metadata *_metadata, struct sweep *s)
{
	begin_unload(_metadata, s);
	fetch(_metadata, s, 1);
	reply_args(s, 0, 0, 0);
}

static void check_reply_unload(struct __test_metadata *_metadata, struct sweep *s)
{
	/* A daemon that says Success of a module that is there is told off by what the asker learns. */
	check_reply_message(_metadata, s);
	EXPECT_NE(0, kb_unload_end(&s->unload));
	expect_started(_metadata, s);
}

static void prepare_reply_unloaded(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_reply_unload(_metadata, s);
	s->low->reply.result = kOSReturnSuccess;
	ASSERT_EQ(0, kb_rmmod(A));
}

static void check_reply_unloaded(struct __test_metadata *_metadata, struct sweep *s)
{
	check_reply_message(_metadata, s);
	EXPECT_EQ(0, kb_unload_end(&s->unload));
	EXPECT_EQ(TAG_INVALID, kb_tag(&s->kb, A));
	ASSERT_EQ(0, kb_insmod(A));
}

TEST_F_TIMEOUT(faults, reply, 600)
{
	static const struct entry entries[] = {
		{"reply, result", prepare_reply, exchange, check_reply, .least = 4},
		{"reply, bytes", prepare_reply_small, exchange, check_reply, .least = 6},
		{"reply, descriptor", prepare_reply_file, exchange, check_reply, .least = 5},
		{"reply, refused: malformed", prepare_malformed, exchange, check_refused, .least = 4},
		{"reply, refused: no such descriptor", prepare_bad_descriptor, exchange, check_refused, .least = 4},
		{"reply, refused: too long", prepare_too_long, exchange, check_refused, .least = 4},
		{"reply, refused: too late", prepare_late, exchange, check_late, .least = 4},
		{"reply and fetch", prepare_combined, exchange, check_combined, .least = 8},
		{"reply to a load message", prepare_reply_load, exchange, check_reply_message, .least = 4},
		{"reply to an unload message, refused", prepare_reply_unload, exchange, check_reply_unload, .least = 4},
		{"reply to an unload message, done", prepare_reply_unloaded, exchange, check_reply_unloaded,
		 .least = 4},
	};

	SWEEP_ALL(&self->s, entries);
}

TEST_F_TIMEOUT(files, reply_of_many_pages, 600)
{
	static const struct entry entry = {
		"reply, bytes of many pages", prepare_reply_large, exchange, check_reply, .least = 8, .one_only = true};

	for (uint32_t i = 0; i < LARGE; i++)
		self->s.low->data[i] = i * 7;
	sweep(_metadata, &self->s, &entry);
}

/* ---- programs */

static void open_file(struct __test_metadata *_metadata, struct sweep *s)
{
	s->file = open("/dev/kextbridge", O_RDWR | O_CLOEXEC);
	ASSERT_LE(0, s->file);
	memset(s->low->raw, 0, sizeof(s->low->raw));
}

static void close_file(struct sweep *s)
{
	close(s->file);
	s->file = -1;
}

static void prepare_list(__attribute__((unused)) struct __test_metadata *_metadata, struct sweep *s)
{
	memset(s->low->raw, 0, sizeof(s->low->raw));
	s->low->list = (struct kextbridge_list){
		.size = sizeof(s->low->list),
		.kexts = KB_STRING(s->low->kexts),
		.count = 16,
	};
}

static int call_list(struct sweep *s)
{
	return sweep_ioctl(s, s->kb.control, KEXTBRIDGE_IOC_LIST, &s->low->list);
}

static void check_list(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_TRUE(s->err ||
		    (s->low->list.count == 2 && s->low->list.total == 2 && !strcmp(s->low->kexts[1].identifier, ID_A)));
	EXPECT_EQ(s->before.generation, s->after.generation);
}

static void prepare_status(__attribute__((unused)) struct __test_metadata *_metadata, struct sweep *s)
{
	memset(s->low->raw, 0, sizeof(s->low->raw));
	s->low->status.size = sizeof(s->low->status);
}

static int call_status(struct sweep *s)
{
	return sweep_ioctl(s, s->kb.control, KEXTBRIDGE_IOC_STATUS, &s->low->status);
}

static void check_status(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_TRUE(s->err || s->low->status.kexts == 2);
	EXPECT_EQ(s->before.generation, s->after.generation);
}

static void request_args(struct sweep *s, uint32_t flags)
{
	strcpy(s->low->identifier, "com.example.faults");
	strcpy(s->low->name, "resource");
	s->low->request = (struct kextbridge_request){
		.size = sizeof(s->low->request),
		.flags = flags,
		.identifier = KB_STRING(s->low->identifier),
		.name = KB_STRING(s->low->name),
		.identifier_size = strlen(s->low->identifier),
		.name_size = strlen(s->low->name),
		.result = NOT_WRITTEN,
	};
}

static void prepare_request(struct __test_metadata *_metadata, struct sweep *s)
{
	fill_node(_metadata, s);
	open_file(_metadata, s);
	request_args(s, 0);
}

static void prepare_request_hold(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_request(_metadata, s);
	s->low->request.flags = KEXTBRIDGE_REQUEST_HOLD;
}

static int call_request(struct sweep *s)
{
	return sweep_ioctl(s, s->file, KEXTBRIDGE_IOC_REQUEST, &s->low->request);
}

/* The program has it and knows its tag, or there is none. */
static void check_request(struct __test_metadata *_metadata, struct sweep *s)
{
	bool made = !s->err && !s->low->request.result;
	struct kextbridge_tag cancel = {.size = sizeof(cancel), .tag = s->low->request.tag, .result = NOT_WRITTEN};

	EXPECT_TRUE(s->hit || made);
	EXPECT_TRUE(s->err || made || s->low->request.result == kOSKextReturnNoMemory);
	EXPECT_EQ(made, s->after.pending) TH_LOG("a request that nobody knows");
	EXPECT_TRUE(s->err || made || s->low->request.tag == TAG_INVALID);
	if (made) {
		EXPECT_EQ(0, ioctl(s->file, KEXTBRIDGE_IOC_CANCEL, &cancel));
		EXPECT_EQ(0, cancel.result);
	}
	close_file(s);
}

/* One of the program's that is answered with bytes. */
static void prepare_result(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_request(_metadata, s);
	ASSERT_EQ(0, ioctl(s->file, KEXTBRIDGE_IOC_REQUEST, &s->low->request));
	ASSERT_EQ(0, s->low->request.result);
	s->tags[0] = s->low->request.tag;
	fetch(_metadata, s, 1);
	ASSERT_EQ(0, kb_reply_data(s->kb.daemon, s->got[0].id, kOSKextReturnInUse, "payload", 8));
	memset(s->low->data, 0, 16);
	s->low->result = (struct kextbridge_result){
		.size = sizeof(s->low->result),
		.flags = KEXTBRIDGE_RESULT_NOWAIT | KEXTBRIDGE_RESULT_RELEASE,
		.tag = TAG_INVALID,
		.data = KB_STRING(s->low->data),
		.count = 16,
		.status = NOT_WRITTEN,
	};
}

static void prepare_result_kept(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_result(_metadata, s);
	s->low->result.flags = KEXTBRIDGE_RESULT_NOWAIT;
	s->low->result.tag = s->tags[0];
}

/* The one that there is has been taken already. */
static void prepare_no_result(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kextbridge_result args;

	prepare_result(_metadata, s);
	args = s->low->result;
	ASSERT_EQ(0, ioctl(s->file, KEXTBRIDGE_IOC_RESULT, &args));
	ASSERT_EQ(0, args.status);
	memset(s->low->data, 0, 16);
}

static int call_result(struct sweep *s)
{
	return sweep_ioctl(s, s->file, KEXTBRIDGE_IOC_RESULT, &s->low->result);
}

static void expect_result(struct __test_metadata *_metadata, struct sweep *s, const struct kextbridge_result *result)
{
	EXPECT_EQ(0, result->status);
	EXPECT_EQ(s->tags[0], result->tag);
	EXPECT_EQ(kOSKextReturnInUse, result->outcome);
	EXPECT_EQ(8, result->length);
	EXPECT_EQ(8, result->count);
	EXPECT_STREQ("payload", s->low->data);
}

/* It stays until somebody has it. */
static void check_result(struct __test_metadata *_metadata, struct sweep *s)
{
	bool released = s->low->result.flags & KEXTBRIDGE_RESULT_RELEASE;
	struct kextbridge_result again = {
		.size = sizeof(again),
		.flags = KEXTBRIDGE_RESULT_NOWAIT | KEXTBRIDGE_RESULT_RELEASE,
		.tag = s->tags[0],
		.data = KB_STRING(s->low->data),
		.count = 16,
		.status = NOT_WRITTEN,
	};

	if (!s->err) {
		expect_result(_metadata, s, &s->low->result);
		memset(s->low->data, 0, 16);
	}
	EXPECT_EQ(0, ioctl(s->file, KEXTBRIDGE_IOC_RESULT, &again));
	if (s->err || !released) {
		expect_result(_metadata, s, &again);
	} else {
		EXPECT_EQ(kOSKextReturnNotFound, again.status);
	}
	close_file(s);
}

static void check_no_result(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_TRUE(s->err || s->low->result.status == kOSKextReturnNotFound);
	EXPECT_EQ(0, s->low->data[0]);
	close_file(s);
}

static void prepare_cancel(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_request(_metadata, s);
	ASSERT_EQ(0, ioctl(s->file, KEXTBRIDGE_IOC_REQUEST, &s->low->request));
	ASSERT_EQ(0, s->low->request.result);
	s->tags[0] = s->low->request.tag;
	s->low->tag = (struct kextbridge_tag){.size = sizeof(s->low->tag), .tag = s->tags[0], .result = NOT_WRITTEN};
}

static int call_cancel(struct sweep *s)
{
	return sweep_ioctl(s, s->file, KEXTBRIDGE_IOC_CANCEL, &s->low->tag);
}

static void check_cancel(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kextbridge_tag again = {.size = sizeof(again), .tag = s->tags[0], .result = NOT_WRITTEN};
	bool cancelled = s->after.cancelled != s->before.cancelled;

	EXPECT_TRUE(s->err || (cancelled && !s->low->tag.result));
	EXPECT_NE(cancelled, s->after.pending);
	EXPECT_EQ(0, ioctl(s->file, KEXTBRIDGE_IOC_CANCEL, &again));
	EXPECT_EQ(cancelled ? kOSKextReturnNotFound : 0, again.result);
	close_file(s);
}

TEST_F_TIMEOUT(faults, program, 600)
{
	static const struct entry entries[] = {
		{"list", prepare_list, call_list, check_list, .least = 4},
		{"status", prepare_status, call_status, check_status, .least = 3},
		{"request", prepare_request, call_request, check_request, .least = 7},
		{"request, held", prepare_request_hold, call_request, check_request, .least = 7},
		{"result, released", prepare_result, call_result, check_result, .least = 4},
		{"result, kept", prepare_result_kept, call_result, check_result, .least = 4},
		{"result, there is none", prepare_no_result, call_result, check_no_result, .least = 3},
		{"cancel", prepare_cancel, call_cancel, check_cancel, .least = 3},
	};

	SWEEP_ALL(&self->s, entries);
}

/* ---- kexts, by programs */

static void tag_args(struct sweep *s, uint32_t flags)
{
	memset(s->low->raw, 0, sizeof(s->low->raw));
	s->low->tag = (struct kextbridge_tag){
		.size = sizeof(s->low->tag),
		.flags = flags,
		.tag = kb_tag(&s->kb, A),
		.result = NOT_WRITTEN,
	};
}

static void prepare_retain(__attribute__((unused)) struct __test_metadata *_metadata, struct sweep *s)
{
	tag_args(s, 0);
}

static void prepare_release(struct __test_metadata *_metadata, struct sweep *s)
{
	tag_args(s, 0);
	ASSERT_EQ(0, kb_retain(s->kb.control, s->low->tag.tag));
}

static int call_retain(struct sweep *s)
{
	return sweep_ioctl(s, s->kb.control, KEXTBRIDGE_IOC_RETAIN, &s->low->tag);
}

static int call_release(struct sweep *s)
{
	return sweep_ioctl(s, s->kb.control, KEXTBRIDGE_IOC_RELEASE, &s->low->tag);
}

static void check_retains(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kextbridge_kext kext;

	ASSERT_TRUE(kb_kext(&s->kb, A, &kext));
	EXPECT_GE(1, kext.retains);
	EXPECT_EQ(kext.retains, s->after.retains - s->after.releases);
	/* Once it was retained, or once it was released. */
	EXPECT_TRUE(s->err || (!s->low->tag.result &&
			       s->after.retains + s->after.releases == s->before.retains + s->before.releases + 1));
	while (kext.retains--)
		EXPECT_EQ(0, kb_release(s->kb.control, kext.load_tag));
}

static struct kb_server server;

static void serve(struct __test_metadata *_metadata, struct sweep *s)
{
	server = (struct kb_server){};
	ASSERT_EQ(0, kb_serve(&server, s->kb.daemon));
}

static void prepare_unload(struct __test_metadata *_metadata, struct sweep *s)
{
	fill_node(_metadata, s);
	tag_args(s, 0);
	issue(_metadata, s, 1);
	serve(_metadata, s);
}

static int call_unload(struct sweep *s)
{
	return sweep_ioctl(s, s->kb.control, KEXTBRIDGE_IOC_UNLOAD, &s->low->tag);
}

static void check_unload(struct __test_metadata *_metadata, struct sweep *s)
{
	bool gone = kb_tag(&s->kb, A) == TAG_INVALID;
	struct kbtest_event event;

	EXPECT_TRUE(kb_callback(&s->kb, &event));
	kb_serve_end(&server);
	EXPECT_NE(gone, kb_is_loaded(A));
	EXPECT_TRUE(s->hit || gone);
	EXPECT_TRUE(s->err || gone == !s->low->tag.result);
	EXPECT_TRUE(s->err || gone || s->low->tag.result == kOSKextReturnNoMemory);
	if (gone) {
		ASSERT_EQ(0, kb_insmod(A));
	} else {
		expect_started(_metadata, s);
	}
}

static void prepare_load(struct __test_metadata *_metadata, struct sweep *s)
{
	fill_node(_metadata, s);
	memset(s->low->raw, 0, sizeof(s->low->raw));
	strcpy(s->low->identifier, "com.example.absent");
	s->low->load = (struct kextbridge_load){
		.size = sizeof(s->low->load),
		.identifier = KB_STRING(s->low->identifier),
		.identifier_size = strlen(s->low->identifier),
		.result = NOT_WRITTEN,
	};
}

static void prepare_load_wait(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_load(_metadata, s);
	s->low->load.flags = KEXTBRIDGE_LOAD_WAIT;
	serve(_metadata, s);
}

static int call_load(struct sweep *s)
{
	return sweep_ioctl(s, s->kb.control, KEXTBRIDGE_IOC_LOAD, &s->low->load);
}

static void check_load(struct __test_metadata *_metadata, struct sweep *s)
{
	bool queued = s->after.loads != s->before.loads;

	EXPECT_TRUE(s->err || s->low->load.result == (queued ? kOSKextReturnDeferred : kOSKextReturnNoMemory));
	EXPECT_TRUE(s->hit || queued);
	fetch_rest(_metadata, s);
	EXPECT_EQ(queued, s->got_count);
	if (queued) {
		EXPECT_EQ(KEXTD_LOAD, s->got[0].kind);
		EXPECT_EQ(0, kb_reply(s->kb.daemon, s->got[0].id, kOSKextReturnNotFound));
	}
}

static void check_load_wait(struct __test_metadata *_metadata, struct sweep *s)
{
	bool queued = s->after.loads != s->before.loads;

	kb_serve_end(&server);
	EXPECT_TRUE(s->err || s->low->load.result == (queued ? kOSKextReturnNotFound : kOSKextReturnNoMemory));
	EXPECT_TRUE(s->hit || queued);
	EXPECT_EQ(queued, server.loads);
}

TEST_F_TIMEOUT(faults, kext, 600)
{
	static const struct entry entries[] = {
		{"retain", prepare_retain, call_retain, check_retains, .least = 3},
		{"release", prepare_release, call_release, check_retains, .least = 3},
		{"unload", prepare_unload, call_unload, check_unload, .least = 5},
		{"load", prepare_load, call_load, check_load, .least = 6},
		{"load and wait", prepare_load_wait, call_load, check_load_wait, .least = 6},
	};

	SWEEP_ALL(&self->s, entries);
}

/* ---- drivers */

static struct kbtest_request kpi_request;
static struct kbtest_cancel kpi_cancel;
static struct kbtest_call kpi_call;

static void prepare_kpi_request(struct __test_metadata *_metadata, struct sweep *s)
{
	fill_node(_metadata, s);
	kpi_request = (struct kbtest_request){
		.kext = A,
		.identifier = KB_STRING("com.example.faults"),
		.name = KB_STRING("resource"),
		.result = NOT_WRITTEN,
	};
}

/* Names that do not fit the smallest of what kmalloc() has, a deadline and a limit. */
static void prepare_kpi_request_long(struct __test_metadata *_metadata, struct sweep *s)
{
	static char name[1000];

	prepare_kpi_request(_metadata, s);
	memset(name, 'n', sizeof(name) - 1);
	kpi_request.name = KB_STRING(name);
	kpi_request.timeout_ms = 600000;
	kpi_request.max_length = 100;
}

static int call_kpi_request(struct sweep *s)
{
	return ioctl(s->kb.bench, KBTEST_IOC_REQUEST, &kpi_request) ? errno : 0;
}

/* What was refused is not there. What was not is still pending, also where the bench could not say so. */
static void check_kpi_request(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kbtest_cancel all = {.kext = A, .flags = KBTEST_CANCEL_ALL};
	uint64_t made = s->after.submitted - s->before.submitted;
	struct kextbridge_status now;

	EXPECT_GE(1, made);
	EXPECT_EQ(made, s->after.pending);
	EXPECT_TRUE(s->hit || made);
	if (!s->err) {
		EXPECT_EQ(made ? 0 : kOSKextReturnNoMemory, kpi_request.result);
		EXPECT_EQ(!made, kpi_request.tag == TAG_INVALID);
	}
	EXPECT_EQ(0, kb_cancel_with(&s->kb, &all));
	EXPECT_EQ(made, all.tag);
	EXPECT_TRUE(kb_status(&s->kb, &now));
	EXPECT_EQ(s->before.callbacks, now.callbacks);
}

static void prepare_kpi_cancel(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 1);
	kpi_cancel = (struct kbtest_cancel){.kext = A, .tag = s->tags[0], .result = NOT_WRITTEN};
}

static void prepare_kpi_cancel_nowait(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_kpi_cancel(_metadata, s);
	kpi_cancel.flags = KBTEST_CANCEL_NOWAIT;
}

static void prepare_kpi_cancel_fetched(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_kpi_cancel(_metadata, s);
	fetch(_metadata, s, 1);
}

static int call_kpi_cancel(struct sweep *s)
{
	return ioctl(s->kb.bench, KBTEST_IOC_CANCEL, &kpi_cancel) ? errno : 0;
}

static void check_kpi_cancel(struct __test_metadata *_metadata, struct sweep *s)
{
	bool cancelled = s->after.cancelled != s->before.cancelled;
	uint64_t context = NOT_WRITTEN;

	EXPECT_TRUE(s->err || (cancelled && !kpi_cancel.result && !kpi_cancel.context));
	EXPECT_EQ(!cancelled, s->after.pending + s->after.fetched);
	EXPECT_EQ(cancelled ? kOSKextReturnNotFound : 0, kb_cancel(&s->kb, A, s->tags[0], &context));
	EXPECT_EQ(cancelled ? NOT_WRITTEN : 0, context);
	if (s->got_count) {
		fetch_rest(_metadata, s);
		EXPECT_EQ(2, s->got_count);
		EXPECT_EQ(KEXTD_CANCEL, s->got[1].kind);
	}
}

static void prepare_kpi_cancel_all(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 8);
	kpi_cancel = (struct kbtest_cancel){.kext = A, .flags = KBTEST_CANCEL_ALL};
}

static void check_kpi_cancel_all(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kbtest_cancel all = {.kext = A, .flags = KBTEST_CANCEL_ALL};

	EXPECT_TRUE(s->err || kpi_cancel.tag == 8);
	EXPECT_TRUE(s->after.pending == 0 || s->after.pending == 8);
	EXPECT_EQ(0, kb_cancel_with(&s->kb, &all));
	EXPECT_EQ(s->after.pending, all.tag);
}

static void prepare_kpi_call(struct sweep *s, uint32_t op)
{
	kpi_call = (struct kbtest_call){
		.op = op,
		.load_tag = kb_tag(&s->kb, A),
		.identifier = KB_STRING("com.example.absent"),
		.count = 1,
		.result = NOT_WRITTEN,
	};
}

static void prepare_kpi_retain(__attribute__((unused)) struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_kpi_call(s, KBTEST_RETAIN);
	s->low->tag.result = 0;
}

static void prepare_kpi_release(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_kpi_call(s, KBTEST_RELEASE);
	s->low->tag.result = 0;
	ASSERT_EQ(0, kb_retain(s->kb.control, kpi_call.load_tag));
}

static void prepare_kpi_load(struct __test_metadata *_metadata, struct sweep *s)
{
	fill_node(_metadata, s);
	prepare_kpi_call(s, KBTEST_LOAD);
}

static int call_kpi(struct sweep *s)
{
	int err = ioctl(s->kb.bench, KBTEST_IOC_CALL, &kpi_call) ? errno : 0;

	s->low->load.result = kpi_call.result;
	return err;
}

TEST_F_TIMEOUT(files, driver, 600)
{
	static const struct entry entries[] = {
		{"driver requests", prepare_kpi_request, call_kpi_request, check_kpi_request, .least = 8},
		{"driver requests with a deadline", prepare_kpi_request_long, call_kpi_request, check_kpi_request,
		 .least = 8},
		{"driver cancels", prepare_kpi_cancel, call_kpi_cancel, check_kpi_cancel, .least = 2},
		{"driver cancels, nowait", prepare_kpi_cancel_nowait, call_kpi_cancel, check_kpi_cancel, .least = 2},
		{"driver cancels what is fetched", prepare_kpi_cancel_fetched, call_kpi_cancel, check_kpi_cancel,
		 .least = 2},
		{"driver cancels all", prepare_kpi_cancel_all, call_kpi_cancel, check_kpi_cancel_all, .least = 2},
		{"driver retains", prepare_kpi_retain, call_kpi, check_retains, .least = 2},
		{"driver releases", prepare_kpi_release, call_kpi, check_retains, .least = 2},
		{"driver loads", prepare_kpi_load, call_kpi, check_load, .least = 5},
	};

	SWEEP_ALL(&self->s, entries);
}

/* ---- open, close, poll, exit */

static int call_open_control(struct sweep *s)
{
	s->file = open("/dev/kextbridge", O_RDWR | O_CLOEXEC);
	return s->file < 0 ? errno : 0;
}

static void check_open_control(struct __test_metadata *_metadata, struct sweep *s)
{
	if (!s->err)
		close_file(s);
	open_file(_metadata, s);
	close_file(s);
}

static void prepare_open_daemon(struct __test_metadata *_metadata, struct sweep *s)
{
	kb_daemon_leave(&s->kb);
	issue(_metadata, s, 2);
}

static int call_open_daemon(struct sweep *s)
{
	s->file = open("/dev/kextd", O_RDWR | O_CLOEXEC);
	return s->file < 0 ? errno : 0;
}

static void check_open_daemon(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_EQ(!s->err, s->after.flags & KEXTBRIDGE_STATUS_DAEMON);
	if (s->err)
		s->file = kb_open_daemon();
	s->kb.daemon = s->file;
	s->file = -1;
	ASSERT_LE(0, s->kb.daemon) TH_LOG("the role is not free");
	fetch_rest(_metadata, s);
	in_order(_metadata, s);
	answer_all(_metadata, s);
}

static void prepare_open_second(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 1);
}

static void check_open_second(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_NE(0, s->err);
	fetch_rest(_metadata, s);
	in_order(_metadata, s);
	answer_all(_metadata, s);
}

/* In its hands: two requests, a load, a notice. Not yet: one request. */
static void prepare_close_daemon(struct __test_metadata *_metadata, struct sweep *s)
{
	uint64_t dummy = 0;

	ASSERT_EQ(kOSKextReturnDeferred, kb_kpi_load(&s->kb, "com.example.absent"));
	issue(_metadata, s, 4);
	fetch(_metadata, s, 4);
	ASSERT_EQ(0, kb_cancel(&s->kb, A, s->tags[0], &dummy));
	s->got_count = 0;
}

static int call_close_daemon(struct sweep *s)
{
	int err = close(s->kb.daemon) ? errno : 0;

	s->kb.daemon = -1;
	return err;
}

/* The next one has all of it, without the notice, in order; what was in hand comes alone. */
static void check_close_daemon(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_FALSE(s->after.flags & KEXTBRIDGE_STATUS_DAEMON);
	EXPECT_EQ(4, s->after.pending);
	ASSERT_EQ(0, kb_daemon(&s->kb));
	for (uint32_t i = 0; i < 4; i++) {
		fetch(_metadata, s, 1);
		EXPECT_EQ(i ? KEXTD_RESOURCE : KEXTD_LOAD, s->got[i].kind);
		EXPECT_TRUE(!i || s->tags[i] == (uint32_t)s->got[i].id);
		EXPECT_EQ(0, kb_reply(s->kb.daemon, s->got[i].id, kOSReturnSuccess));
		if (i)
			expect_callback(_metadata, s, i, kOSReturnSuccess);
	}
}

/* The daemon's process ends instead. */
static int call_exit(struct sweep *s)
{
	char path[64], text[32] = {};
	siginfo_t info;
	pid_t child;
	int fd;

	kb_daemon_leave(&s->kb);
	child = fork();
	if (!child) {
		static struct kb_record record;

		s->kb.daemon = kb_open_daemon();
		if (s->kb.daemon < 0 || open("/dev/kextbridge", O_RDWR) < 0)
			_exit(1);
		for (int i = 0; i < 2; i++)
			if (kb_fetch(s->kb.daemon, &record, 10000))
				_exit(2);
		inject_begin_child();
		inject_arm(INJECT_ONE, s->point);
		_exit(0);
	}
	/* What is left of the count is seen while it is a zombie. */
	waitid(P_PID, child, &info, WEXITED | WNOWAIT);
	snprintf(path, sizeof(path), "/proc/%d/task/%d/fail-nth", child, child);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	s->hit = fd >= 0 && read(fd, text, sizeof(text) - 1) > 0 && !strtoul(text, NULL, 10);
	close(fd);
	waitid(P_PID, child, &info, WEXITED);
	return fd < 0 ? EBADF : info.si_code == CLD_EXITED ? info.si_status : EINTR;
}

static void prepare_exit(struct __test_metadata *_metadata, struct sweep *s)
{
	issue(_metadata, s, 3);
}

static void check_exit(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_FALSE(s->after.flags & KEXTBRIDGE_STATUS_DAEMON);
	EXPECT_EQ(3, s->after.pending);
	ASSERT_EQ(0, kb_daemon(&s->kb));
	for (uint32_t i = 0; i < 3; i++) {
		fetch(_metadata, s, 1);
		EXPECT_EQ(s->tags[i], (uint32_t)s->got[i].id);
		EXPECT_EQ(0, kb_reply(s->kb.daemon, s->got[i].id, kOSReturnSuccess));
		expect_callback(_metadata, s, i, kOSReturnSuccess);
	}
}

static void program_request(struct __test_metadata *_metadata, struct sweep *s)
{
	request_args(s, 0);
	ASSERT_EQ(0, ioctl(s->file, KEXTBRIDGE_IOC_REQUEST, &s->low->request));
	ASSERT_EQ(0, s->low->request.result);
	s->tags[s->issued++] = s->low->request.tag;
}

/* Requests in every state: collected, cancelled, answered, fetched, pending. */
static void prepare_close_control(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kextbridge_result result = {.size = sizeof(result), .tag = TAG_INVALID};

	open_file(_metadata, s);
	for (int i = 0; i < 5; i++)
		program_request(_metadata, s);
	fetch(_metadata, s, 4);
	ASSERT_EQ(0, kb_reply_data(s->kb.daemon, s->got[0].id, 0, "payload", 8));
	ASSERT_EQ(0, ioctl(s->file, KEXTBRIDGE_IOC_RESULT, &result));
	ASSERT_EQ(0, kb_tag_call(s->file, KEXTBRIDGE_IOC_CANCEL, s->tags[1], 0));
	ASSERT_EQ(0, kb_reply_data(s->kb.daemon, s->got[2].id, 0, "payload", 8));
	ASSERT_TRUE(kb_status(&s->kb, &s->after));
	EXPECT_EQ(1, s->after.pending);
	EXPECT_EQ(1, s->after.fetched);
	EXPECT_EQ(1, s->after.answered);
	s->got_count = 0;
}

static int call_close_control(struct sweep *s)
{
	int err = close(s->file) ? errno : 0;

	s->file = -1;
	return err;
}

static void check_close_control(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_EQ(s->before.discarded + 3, s->after.discarded);
	fetch_rest(_metadata, s);
	/* The notices of what was cancelled, and of what was in hand. */
	EXPECT_EQ(2, s->got_count);
	EXPECT_EQ(KEXTD_CANCEL, s->got[0].kind);
	EXPECT_EQ(KEXTD_CANCEL, s->got[1].kind);
}

static struct pollfd pollers[2];

static int call_poll(__attribute__((unused)) struct sweep *s)
{
	return poll(pollers, 2, 0) < 0 ? errno : 0;
}

static void prepare_poll(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_result(_metadata, s);
	issue(_metadata, s, 1);
	pollers[0] = (struct pollfd){.fd = s->kb.daemon, .events = POLLIN};
	pollers[1] = (struct pollfd){.fd = s->file, .events = POLLIN | POLLPRI};
}

static void check_poll(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_TRUE(s->err || (pollers[0].revents == POLLIN && pollers[1].revents == (POLLIN | POLLPRI)));
	close_file(s);
	kb_cancel(&s->kb, A, s->tags[0], NULL);
}

static void prepare_epoll(struct __test_metadata *_metadata, struct sweep *s)
{
	s->value = epoll_create1(EPOLL_CLOEXEC);
	ASSERT_LE(0, s->value);
	open_file(_metadata, s);
}

static int call_epoll(struct sweep *s)
{
	struct epoll_event daemon = {.events = EPOLLIN}, control = {.events = EPOLLIN | EPOLLPRI};

	return epoll_ctl(s->value, EPOLL_CTL_ADD, s->kb.daemon, &daemon) ||
			       epoll_ctl(s->value, EPOLL_CTL_ADD, s->file, &control) ?
		       errno :
		       0;
}

/* The file goes while epoll still has it, or after it. */
static void check_epoll(__attribute__((unused)) struct __test_metadata *_metadata, struct sweep *s)
{
	if (s->point % 2)
		close_file(s);
	close(s->value);
	if (s->file >= 0)
		close_file(s);
}

TEST_F_TIMEOUT(files, open_close_poll, 600)
{
	static const struct entry entries[] = {
		{"open /dev/kextbridge", NULL, call_open_control, check_open_control, .least = 3},
		{"open /dev/kextd", prepare_open_daemon, call_open_daemon, check_open_daemon, .least = 3},
		{"open /dev/kextd, it is taken", prepare_open_second, call_open_daemon, check_open_second, .least = 3,
		 .expected = EBUSY},
		{"close /dev/kextd", prepare_close_daemon, call_close_daemon, check_close_daemon},
		{"close /dev/kextbridge", prepare_close_control, call_close_control, check_close_control},
		{"exit of the daemon", prepare_exit, call_exit, check_exit, .arms_itself = true, .one_only = true},
		{"poll", prepare_poll, call_poll, check_poll, .least = 1},
		{"epoll", prepare_epoll, call_epoll, check_epoll, .least = 4},
	};

	SWEEP_ALL(&self->s, entries);
}

/* ---- sysfs */

static const char *const parameters[] = {"request_timeout_ms", "max_pending",   "max_reply_bytes",
					 "max_name",           "strict_cancel", "unload_result"};
enum { PARAMETERS = sizeof(parameters) / sizeof(parameters[0]) };
static char old_values[PARAMETERS][32];
static const char *const new_values[] = {"500000", "12345", "1234567", "1000", "Y", "stopping"};

static int read_file(const char *path, char *text, size_t room)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, text, room - 1);
	int err = length < 0 ? errno : 0;

	text[length < 0 ? 0 : length] = 0;
	if (fd >= 0)
		close(fd);
	return err;
}

static const char *parameter_path(int i)
{
	static char path[128];

	snprintf(path, sizeof(path), "/sys/module/kextbridge/parameters/%s", parameters[i]);
	return path;
}

static int call_read_stats(struct sweep *s)
{
	return read_file("/sys/class/misc/kextbridge/stats", s->low->data, 4096);
}

static void check_read_stats(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_TRUE(s->err || !strncmp(s->low->data, "kexts 2\n", 8));
}

static int call_read_parameters(struct sweep *s)
{
	int err = 0;

	for (int i = 0; i < PARAMETERS && !err; i++)
		err = read_file(parameter_path(i), old_values[i], sizeof(old_values[i]));
	return err ? err : read_file("/sys/module/kextbridge/parameters/live_allocations", s->low->data, 32);
}

static void check_read_parameters(struct __test_metadata *_metadata, struct sweep *s)
{
	for (int i = 0; i < PARAMETERS && !s->err; i++)
		EXPECT_NE(0, old_values[i][0]);
}

static int write_parameters(bool renew)
{
	for (int i = 0; i < PARAMETERS; i++) {
		const char *value = renew ? new_values[i] : old_values[i];
		int fd = open(parameter_path(i), O_WRONLY | O_CLOEXEC);
		int err = fd < 0 || write(fd, value, strlen(value)) < 0 ? errno : 0;

		if (fd >= 0)
			close(fd);
		if (err)
			return err;
	}
	return 0;
}

static void prepare_write_parameters(struct __test_metadata *_metadata, struct sweep *s)
{
	ASSERT_EQ(0, call_read_parameters(s));
}

static int call_write_parameters(__attribute__((unused)) struct sweep *s)
{
	return write_parameters(true);
}

/* Each is as it was or as it was to be. */
static void check_write_parameters(struct __test_metadata *_metadata, struct sweep *s)
{
	char value[32];

	for (int i = 0; i < PARAMETERS; i++) {
		ASSERT_EQ(0, read_file(parameter_path(i), value, sizeof(value)));
		EXPECT_TRUE(!strncmp(value, new_values[i], strlen(new_values[i])) ||
			    (s->err && !strcmp(value, old_values[i])))
		{
			TH_LOG("%s: %s", parameters[i], value);
		}
	}
	ASSERT_EQ(0, write_parameters(false));
}

TEST_F_TIMEOUT(files, sysfs, 600)
{
	static const struct entry entries[] = {
		{"stats, read", NULL, call_read_stats, check_read_stats, .least = 3, .one_only = true},
		{"parameters, read", NULL, call_read_parameters, check_read_parameters, .least = 20, .one_only = true},
		{"parameters, written", prepare_write_parameters, call_write_parameters, check_write_parameters,
		 .least = 20, .one_only = true},
	};

	SWEEP_ALL(&self->s, entries);
}

TEST_HARNESS_MAIN
