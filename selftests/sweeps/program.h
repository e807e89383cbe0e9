/* SPDX-License-Identifier: GPL-2.0-only */
/* What programs call. Part of faults.c. */

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

static void prepare_list_delaying(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_list(_metadata, s);
	s->low->list.flags = KEXTBRIDGE_LIST_DELAY_AUTOUNLOAD;
}

/* More than one hold of the lock gives, and less than there is room for. */
#define ASKED_LOADS 20

static void prepare_load_requests(struct __test_metadata *_metadata, struct sweep *s)
{
	uint32_t asked;
	char name[64];

	while ((asked = kb_asked_loads(&s->kb)) < ASKED_LOADS) {
		snprintf(name, sizeof(name), "com.example.asked-%u", asked);
		ASSERT_EQ(kOSKextReturnDeferred, kb_load(s->kb.control, name, 0));
		fetch(_metadata, s, 1);
		ASSERT_EQ(0, kb_reply(s->kb.daemon, s->got[--s->got_count].id, kOSKextReturnNotFound));
	}
	memset(s->low->raw, 0, sizeof(s->low->raw));
	memset(s->low->data, 0, (ASKED_LOADS + 1) * KEXTBRIDGE_IDENTIFIER_SIZE);
	s->low->asked = (struct kextbridge_load_requests){
		.size = sizeof(s->low->asked),
		.identifiers = KB_STRING(s->low->data),
		.count = ASKED_LOADS,
	};
}

static int call_load_requests(struct sweep *s)
{
	return sweep_ioctl(s, s->kb.control, KEXTBRIDGE_IOC_LOAD_REQUESTS, &s->low->asked);
}

static void check_load_requests(struct __test_metadata *_metadata, struct sweep *s)
{
	EXPECT_EQ(s->before.generation, s->after.generation);
	EXPECT_EQ(0, s->low->data[ASKED_LOADS * KEXTBRIDGE_IDENTIFIER_SIZE]);
	if (s->err)
		return;
	EXPECT_EQ(ASKED_LOADS, s->low->asked.count);
	EXPECT_EQ(kb_asked_loads(&s->kb), s->low->asked.total);
	for (int i = 0; i < ASKED_LOADS; i++)
		EXPECT_EQ(0, strncmp(s->low->data + i * KEXTBRIDGE_IDENTIFIER_SIZE, "com.example.", 12));
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
	if (s->err || !released)
		expect_result(_metadata, s, &again);
	EXPECT_TRUE(s->err || !released || again.status == kOSKextReturnNotFound);
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
		{"list, and a scan comes later", prepare_list_delaying, call_list, check_list, .least = 4},
		{"loads that were asked for", prepare_load_requests, call_load_requests, check_load_requests,
		 .least = 6},
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
	tag_args(s, 0);
	issue(_metadata, s, 1);
	fill_node(_metadata, s);
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
	if (gone)
		ASSERT_EQ(0, kb_insmod(A));
	expect_started(_metadata, s);
}

/* Nobody has asked for it yet. */
static void unasked(struct sweep *s, char *identifier)
{
	sprintf(identifier, "com.example.absent-%u", kb_asked_loads(&s->kb));
}

static void prepare_stop(struct __test_metadata *_metadata, struct sweep *s)
{
	tag_args(s, KEXTBRIDGE_UNLOAD_STOP_ONLY);
	issue(_metadata, s, 1);
	fill_node(_metadata, s);
}

/* Stopped, and what was pending called back; or nothing has happened to it. */
static void check_stop(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kextbridge_kext kext;
	bool stopped;

	ASSERT_TRUE(kb_kext(&s->kb, A, &kext));
	stopped = kext.state == KEXT_STATE_LOADED;
	EXPECT_EQ(!stopped, kext.pending);
	EXPECT_TRUE(s->hit || stopped);
	EXPECT_TRUE(s->err || s->low->tag.result == (stopped ? 0 : kOSKextReturnNoMemory));
	if (stopped)
		expect_callback(_metadata, s, 0, kOSKextReturnTimeout);
	else
		EXPECT_EQ(0, kb_cancel(&s->kb, A, s->tags[0], NULL));
	EXPECT_EQ(0, kb_load(s->kb.control, ID_A, 0));
	expect_started(_metadata, s);
}

static void prepare_load(struct __test_metadata *_metadata, struct sweep *s)
{
	fill_node(_metadata, s);
	memset(s->low->raw, 0, sizeof(s->low->raw));
	unasked(s, s->low->identifier);
	s->value = kb_asked_loads(&s->kb);
	s->low->load = (struct kextbridge_load){
		.size = sizeof(s->low->load),
		.identifier = KB_STRING(s->low->identifier),
		.identifier_size = strlen(s->low->identifier),
		.result = NOT_WRITTEN,
	};
}

/* Of the kext that is there: all that there is to be done is that a scan leaves it alone. */
static void prepare_load_delay(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_load(_metadata, s);
	strcpy(s->low->identifier, ID_A);
	s->low->load.identifier_size = strlen(ID_A);
	s->low->load.flags = KEXTBRIDGE_LOAD_DELAY_AUTOUNLOAD;
}

static void check_load_delay(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kextbridge_kext kext;

	ASSERT_TRUE(kb_kext(&s->kb, A, &kext));
	EXPECT_TRUE(s->hit || !s->low->load.result);
	EXPECT_TRUE(s->err || s->low->load.result == kOSKextReturnNoMemory ||
		    (!s->low->load.result && (kext.flags & KEXT_FLAG_DELAYED)));
	expect_started(_metadata, s);
}

static void prepare_load_stopped(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_load_delay(_metadata, s);
	s->low->load.flags = 0;
	ASSERT_EQ(0, kb_unload(s->kb.control, kb_tag(&s->kb, A), KEXTBRIDGE_UNLOAD_STOP_ONLY));
}

/* Its start function runs in the call. */
static void check_load_stopped(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kextbridge_kext kext;
	bool started;

	ASSERT_TRUE(kb_kext(&s->kb, A, &kext));
	started = kext.state == KEXT_STATE_STARTED;
	EXPECT_TRUE(started || kext.state == KEXT_STATE_LOADED);
	EXPECT_TRUE(s->hit || started);
	EXPECT_TRUE(s->err || s->low->load.result == (started ? 0 : kOSKextReturnNoMemory));
	EXPECT_EQ(0, kb_load(s->kb.control, ID_A, 0));
	expect_started(_metadata, s);
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
	EXPECT_EQ(s->value + queued, kb_asked_loads(&s->kb));
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
		{"unload, stop only", prepare_stop, call_unload, check_stop, .least = 5},
		{"load", prepare_load, call_load, check_load, .least = 7},
		{"load of what is loaded, delayed", prepare_load_delay, call_load, check_load_delay, .least = 7},
		{"load of what is stopped", prepare_load_stopped, call_load, check_load_stopped, .least = 7},
		{"load and wait", prepare_load_wait, call_load, check_load_wait, .least = 7},
	};

	SWEEP_ALL(&self->s, entries);
}
