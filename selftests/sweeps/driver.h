/* SPDX-License-Identifier: GPL-2.0-only */
/* What drivers call. Part of faults.c. */

static struct kbtest_request kpi_request;
static struct kbtest_cancel kpi_cancel;
static struct kbtest_call kpi_call;
static struct kbtest_read kpi_read;

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
static const char *long_name(void)
{
	static char name[1000];

	memset(name, 'n', sizeof(name) - 1);
	return name;
}

static void prepare_kpi_request_long(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_kpi_request(_metadata, s);
	kpi_request.name = KB_STRING(long_name());
	kpi_request.timeout_ms = 600000;
	kpi_request.max_length = 100;
}

static void prepare_kpi_request_scoped(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_kpi_request(_metadata, s);
	EXPECT_EQ(0, kb_scope(&s->kb, KBTEST_SCOPE_INIT, 1, NULL));
	kpi_request.scope = 1;
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
	if (kpi_request.scope)
		EXPECT_EQ(made, kb_scope(&s->kb, KBTEST_SCOPE_CANCEL, 1, NULL));
	EXPECT_EQ(0, kb_cancel_with(&s->kb, &all));
	EXPECT_EQ(kpi_request.scope ? 0 : made, all.tag);
	EXPECT_TRUE(kb_status(&s->kb, &now));
	EXPECT_EQ(s->before.callbacks, now.callbacks);
}

static void prepare_kpi_read(struct __test_metadata *_metadata, struct sweep *s)
{
	fill_node(_metadata, s);
	kpi_read = (struct kbtest_read){
		.kext = A,
		.identifier = KB_STRING("com.example.faults"),
		.name = KB_STRING("resource"),
		.data = KB_STRING(s->low->data),
		.size = 2000,
		.result = NOT_WRITTEN,
	};
	serve(_metadata, s);
}

static void prepare_kpi_read_long(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_kpi_read(_metadata, s);
	EXPECT_EQ(0, kb_scope(&s->kb, KBTEST_SCOPE_INIT, 1, NULL));
	kpi_read.name = KB_STRING(long_name());
	kpi_read.timeout_ms = 600000;
	kpi_read.max_length = 2000;
	kpi_read.scope = 1;
}

static int call_kpi_read(struct sweep *s)
{
	return ioctl(s->kb.bench, KBTEST_IOC_READ, &kpi_read) ? errno : 0;
}

/* The server's answer is the name. */
static void check_kpi_read(struct __test_metadata *_metadata, struct sweep *s)
{
	const char *name = (const char *)(uintptr_t)kpi_read.name;
	uint64_t made = s->after.submitted - s->before.submitted;

	kb_serve_end(&server);
	EXPECT_GE(1, made);
	EXPECT_TRUE(s->hit || made);
	EXPECT_EQ(made, server.resources);
	EXPECT_EQ(made, s->after.callbacks - s->before.callbacks);
	if (s->err)
		return;
	EXPECT_EQ(made ? 0 : kOSKextReturnNoMemory, kpi_read.result);
	EXPECT_EQ(made, kpi_read.has_data);
	EXPECT_EQ(made ? strlen(name) : 0, kpi_read.length);
	EXPECT_EQ(0, memcmp(s->low->data, name, kpi_read.length));
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
	unasked(s, s->low->identifier);
	kpi_call.identifier = KB_STRING(s->low->identifier);
	s->value = kb_asked_loads(&s->kb);
}

/* By the bench. */
static void prepare_kpi_unload(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_kpi_call(s, KBTEST_UNLOAD);
	issue(_metadata, s, 1);
	fill_node(_metadata, s);
	serve(_metadata, s);
}

static struct kbtest_memory kpi_memory;

static void prepare_kpi_alloc(__attribute__((unused)) struct __test_metadata *_metadata,
			      __attribute__((unused)) struct sweep *s)
{
	kpi_memory = (struct kbtest_memory){.op = KBTEST_ALLOC, .addr = NOT_WRITTEN, .size = 10000, .result = -1};
}

static int call_kpi_memory(struct sweep *s)
{
	return ioctl(s->kb.bench, KBTEST_IOC_MEMORY, &kpi_memory) ? errno : 0;
}

/* All of it or nothing: the books say whether something is left. */
static void check_kpi_alloc(struct __test_metadata *_metadata, struct sweep *s)
{
	bool made = !s->err && !kpi_memory.result;

	EXPECT_TRUE(s->err || made || (s->hit && kpi_memory.result == KERN_RESOURCE_SHORTAGE));
	EXPECT_EQ(made, kpi_memory.addr != NOT_WRITTEN);
	if (made) {
		kpi_memory.op = KBTEST_FREE;
		EXPECT_EQ(0, call_kpi_memory(s));
	}
}

static void prepare_kpi_free(struct __test_metadata *_metadata, struct sweep *s)
{
	prepare_kpi_alloc(_metadata, s);
	ASSERT_EQ(0, call_kpi_memory(s));
	ASSERT_EQ(KERN_SUCCESS, kpi_memory.result);
	kpi_memory.op = KBTEST_FREE;
}

/* Freed by the call or, where the bench has not come so far, now. */
static void check_kpi_free(struct __test_metadata *_metadata, struct sweep *s)
{
	if (s->err)
		EXPECT_EQ(0, call_kpi_memory(s));
}

static int call_kpi(struct sweep *s)
{
	int err = ioctl(s->kb.bench, KBTEST_IOC_CALL, &kpi_call) ? errno : 0;

	s->low->load.result = kpi_call.result;
	return err;
}

static int call_kpi_unload(struct sweep *s)
{
	int err = call_kpi(s);

	s->low->tag.result = kpi_call.result;
	return err;
}

TEST_F_TIMEOUT(files, driver, 600)
{
	static const struct entry entries[] = {
		{"driver requests", prepare_kpi_request, call_kpi_request, check_kpi_request, .least = 8},
		{"driver requests with a deadline", prepare_kpi_request_long, call_kpi_request, check_kpi_request,
		 .least = 8},
		{"driver requests under a scope", prepare_kpi_request_scoped, call_kpi_request, check_kpi_request,
		 .least = 8},
		{"driver reads", prepare_kpi_read, call_kpi_read, check_kpi_read, .least = 8},
		{"driver reads under a scope", prepare_kpi_read_long, call_kpi_read, check_kpi_read, .least = 8},
		{"driver cancels", prepare_kpi_cancel, call_kpi_cancel, check_kpi_cancel, .least = 2},
		{"driver cancels, nowait", prepare_kpi_cancel_nowait, call_kpi_cancel, check_kpi_cancel, .least = 2},
		{"driver cancels what is fetched", prepare_kpi_cancel_fetched, call_kpi_cancel, check_kpi_cancel,
		 .least = 2},
		{"driver cancels all", prepare_kpi_cancel_all, call_kpi_cancel, check_kpi_cancel_all, .least = 2},
		{"driver retains", prepare_kpi_retain, call_kpi, check_retains, .least = 2},
		{"driver releases", prepare_kpi_release, call_kpi, check_retains, .least = 2},
		{"driver allocates pages", prepare_kpi_alloc, call_kpi_memory, check_kpi_alloc, .least = 5},
		{"driver frees pages", prepare_kpi_free, call_kpi_memory, check_kpi_free, .least = 2},
		{"driver loads", prepare_kpi_load, call_kpi, check_load, .least = 6},
		{"driver unloads", prepare_kpi_unload, call_kpi_unload, check_unload, .least = 5},
	};

	SWEEP_ALL(&self->s, entries);
}
