/* SPDX-License-Identifier: GPL-2.0-only */
/* What the daemon calls. Part of faults.c. */

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
	issue(_metadata, s, 18);
	exchange_args(s, 20, sizeof(s->low->records));
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

/* A daemon of its own, which wants notices: one can be had of everything. */
static void prepare_fetch_notices(struct __test_metadata *_metadata, struct sweep *s)
{
	kb_daemon_leave(&s->kb);
	ASSERT_EQ(0, kb_daemon(&s->kb));
	exchange_args(s, 1, sizeof(s->low->records));
	s->low->exchange.flags |= KEXTD_EXCHANGE_NOTIFY;
	ASSERT_EQ(EAGAIN, exchange(s));
	ASSERT_EQ(0, kb_insmod("kbtest_plain"));
	s->value = kb_tag(&s->kb, "kbtest_plain");
	ASSERT_EQ(0, kb_rmmod("kbtest_plain"));
	ASSERT_EQ(0, kb_hook("shutdown", "1"));
	ASSERT_EQ(0, kb_hook("shutdown", "0"));
	issue(_metadata, s, 1);
	exchange_args(s, 6, sizeof(s->low->records));
	s->low->exchange.flags |= KEXTD_EXCHANGE_NOTIFY;
}

static void check_fetch_notices(struct __test_metadata *_metadata, struct sweep *s)
{
	static const uint32_t kinds[] = {KEXTD_LOADED, KEXTD_UNLOADED, KEXTD_EXIT, KEXTD_RESOURCE};

	if (!s->err)
		take_records(_metadata, s);
	fetch_rest(_metadata, s);
	ASSERT_EQ(4, s->got_count);
	for (int i = 0; i < 4; i++) {
		EXPECT_EQ(kinds[i], s->got[i].kind);
		EXPECT_EQ(i < 3, !s->got[i].id);
		EXPECT_TRUE(i > 1 || s->got[i].load_tag == s->value);
	}
	EXPECT_EQ(0, kb_reply(s->kb.daemon, s->got[3].id, kOSReturnSuccess));
	expect_callback(_metadata, s, 0, kOSReturnSuccess);
	kb_daemon_leave(&s->kb);
	ASSERT_EQ(0, kb_daemon(&s->kb));
}

TEST_F_TIMEOUT(faults, fetch, 600)
{
	static const struct entry entries[] = {
		{"fetch one", prepare_fetch_one, exchange, check_fetch, .least = 4},
		{"fetch many", prepare_fetch_many, exchange, check_fetch, .least = 38},
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
		{"fetch what is announced", prepare_fetch_notices, exchange, check_fetch_notices, .least = 10,
		 .one_only = true},
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
