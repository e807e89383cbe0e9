/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What runs on the kernel's workers cannot be given a fault of its own, so they get all of them: every allocation that
 * a worker makes fails while requests are completed, time out, and kexts are unloaded. Part of faults.c.
 *
 * Two things show it: all of that works, and the core has not even tried (the test build's worker_allocations). Freeing
 * may allocate all the same, inside the kernel: kvfree_rcu() gathers pointers in a page, and does without when there
 * is none.
 */

#define B "kbtest_b"
#define PLAIN "kbtest_plain"
#define MANY 40

static void workers_request(struct __test_metadata *_metadata, struct sweep *s, struct kbtest_request *args)
{
	if (!args->kext[0])
		strcpy(args->kext, A);
	args->context = s->issued;
	ASSERT_EQ(0, kb_request_with(&s->kb, args));
	s->tags[s->issued++] = args->tag;
}

static void workers_forget(struct sweep *s)
{
	s->issued = s->got_count = 0;
}

/* Three callbacks at once: afterwards there are idle workers enough, for a new one would need memory. */
static void make_idle_workers(struct __test_metadata *_metadata, struct sweep *s)
{
	static const char *const kexts[] = {A, B, PLAIN};
	struct kbtest_event event;

	ASSERT_EQ(0, kb_gates(&s->kb, 0));
	for (int i = 0; i < 3; i++) {
		struct kbtest_request args = {.flags = KBTEST_DO_WAIT};

		strcpy(args.kext, kexts[i]);
		workers_request(_metadata, s, &args);
	}
	fetch(_metadata, s, 3);
	for (int i = 0; i < 3; i++)
		ASSERT_EQ(0, kb_reply(s->kb.daemon, s->got[i].id, 0));
	for (int i = 0; i < 3; i++)
		ASSERT_TRUE(kb_callback(&s->kb, &event));
	ASSERT_EQ(0, kb_gates(&s->kb, ~0u));
	for (int i = 0; i < 3; i++)
		ASSERT_TRUE(kb_event(&s->kb, KBTEST_RETURN, &event, 10000));
	workers_forget(s);
}

/* A callback that asks again is a worker that allocates: it finds no memory, and is counted. */
static void workers_have_no_memory(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kbtest_request args = {.flags = KBTEST_DO_REQUEST, .chain = 1};
	long before = sweep_parameter("worker_allocations");
	struct kbtest_event event;

	workers_request(_metadata, s, &args);
	fetch(_metadata, s, 1);
	ASSERT_EQ(0, kb_reply(s->kb.daemon, s->got[0].id, 0));
	ASSERT_TRUE(kb_event(&s->kb, KBTEST_RETURN, &event, 10000));
	ASSERT_EQ(kOSKextReturnNoMemory, event.inner_result);
	ASSERT_EQ(before + 1, sweep_parameter("worker_allocations"));
	workers_forget(s);
}

/* Of every length, up to one that the kernel has in pages here and there. */
static void complete(struct __test_metadata *_metadata, struct sweep *s)
{
	static const uint32_t lengths[] = {0, 1, 100, 5000, 100000, LARGE};
	struct kbtest_event event;
	struct kbtest_request args = {};

	for (int i = 0; i < MANY; i++)
		workers_request(_metadata, s, &args);
	fetch(_metadata, s, MANY);
	for (int i = 0; i < MANY; i++)
		EXPECT_EQ(0, kb_reply_data(s->kb.daemon, s->got[i].id, 0, s->low->data, lengths[i % 6]));
	for (int i = 0; i < MANY; i++) {
		ASSERT_TRUE(kb_callback(&s->kb, &event));
		EXPECT_EQ((uint64_t)i, event.context);
		EXPECT_EQ(0, event.result);
		EXPECT_EQ(lengths[i % 6], event.length);
	}
	workers_forget(s);
}

/* Some of them in the daemon's hands, and a program's, for which it waits. */
static void time_out(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kextbridge_result result = {.size = sizeof(result), .tag = TAG_INVALID};
	struct kbtest_request args = {.timeout_ms = 300};
	static struct kb_record record;
	struct kbtest_event event;

	for (int i = 0; i < MANY; i++)
		workers_request(_metadata, s, &args);
	for (int i = 0; i < MANY / 2; i++)
		kb_fetch(s->kb.daemon, &record, 0); /* if it is still there */
	open_file(_metadata, s);
	request_args(s, 0);
	s->low->request.timeout_ms = 50;
	ASSERT_EQ(0, ioctl(s->file, KEXTBRIDGE_IOC_REQUEST, &s->low->request));
	ASSERT_EQ(0, s->low->request.result);
	EXPECT_EQ(0, ioctl(s->file, KEXTBRIDGE_IOC_RESULT, &result));
	EXPECT_EQ(kOSKextReturnTimeout, result.outcome);
	close_file(s);
	for (int i = 0; i < MANY; i++) {
		ASSERT_TRUE(kb_callback(&s->kb, &event));
		EXPECT_EQ((uint64_t)i, event.context);
		EXPECT_EQ(kOSKextReturnTimeout, event.result);
	}
	while (!kb_fetch(s->kb.daemon, &record, 0))
		EXPECT_EQ(KEXTD_CANCEL, record.head.kind);
	workers_forget(s);
}

/* What is in hand is taken away: notices come first. */
static uint64_t fetch_unload(struct __test_metadata *_metadata, struct sweep *s)
{
	static struct kb_record record;

	do {
		ASSERT_EQ(0, kb_fetch(s->kb.daemon, &record, 20000));
		ASSERT_NE(KEXTD_RESOURCE, record.head.kind);
	} while (record.head.kind != KEXTD_UNLOAD);
	return record.head.id;
}

static void unload_busy(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kbtest_request args = {};
	struct kbtest_event event;
	uint64_t id;

	for (int i = 0; i < MANY; i++)
		workers_request(_metadata, s, &args);
	fetch(_metadata, s, MANY);
	ASSERT_EQ(0, kb_unload_begin(&s->unload, &s->kb, A, 0));
	id = fetch_unload(_metadata, s);
	EXPECT_EQ(0, kb_rmmod(A));
	EXPECT_EQ(0, kb_reply(s->kb.daemon, id, 0));
	EXPECT_EQ(0, kb_unload_end(&s->unload));
	EXPECT_FALSE(kb_is_loaded(A));
	for (int i = 0; i < MANY; i++) {
		ASSERT_TRUE(kb_callback(&s->kb, &event));
		EXPECT_EQ(kOSKextReturnTimeout, event.result);
	}
	workers_forget(s);
}

/* Stopped, and, as it could not be deleted, started again. */
static void unload_fails(struct __test_metadata *_metadata, struct sweep *s)
{
	struct kextbridge_kext kext;
	uint64_t id;

	ASSERT_EQ(0, kb_unload_begin(&s->unload, &s->kb, B, 0));
	id = fetch_unload(_metadata, s);
	EXPECT_EQ(0, kb_reply(s->kb.daemon, id, kOSKextReturnInUse));
	EXPECT_EQ(kOSKextReturnInUse, kb_unload_end(&s->unload));
	ASSERT_TRUE(kb_kext(&s->kb, B, &kext));
	EXPECT_EQ(KEXT_STATE_STARTED, kext.state);
}

static void release_plain(struct __test_metadata *_metadata, struct sweep *s)
{
	uint32_t tag = kb_tag(&s->kb, PLAIN);
	uint64_t until = kb_now_ns() + 20000000000ull;

	ASSERT_EQ(0, kb_retain(s->kb.control, tag));
	EXPECT_EQ(EWOULDBLOCK, kb_rmmod(PLAIN));
	ASSERT_EQ(0, kb_release(s->kb.control, tag));
	/* A worker drops its module's reference. */
	while (kb_rmmod(PLAIN) && kb_now_ns() < until)
		kb_sleep_ms(1);
	EXPECT_FALSE(kb_is_loaded(PLAIN));
}

/* An autounload begins with its message, which a worker allocates: it is put off, and comes when there is memory. */
static void autounload_waits(struct __test_metadata *_metadata, struct sweep *s)
{
	long before = sweep_parameter("worker_allocations");
	uint64_t until = kb_now_ns() + 20000000000ull;
	uint32_t tag = kb_tag(&s->kb, B);
	uint64_t id;

	ASSERT_EQ(0, kb_param("autounload_delay_ms", "100"));
	ASSERT_EQ(0, kb_retain(s->kb.control, tag));
	ASSERT_EQ(0, kb_release(s->kb.control, tag));
	while (sweep_parameter("worker_allocations") < before + 2 && kb_now_ns() < until)
		kb_sleep_ms(1);
	EXPECT_LE(before + 2, sweep_parameter("worker_allocations")) TH_LOG("no scan came");
	EXPECT_EQ(tag, kb_tag(&s->kb, B));
	inject_workers(false);
	id = fetch_unload(_metadata, s);
	EXPECT_EQ(0, kb_rmmod(B));
	EXPECT_EQ(0, kb_reply(s->kb.daemon, id, 0));
}

FIXTURE(workers)
{
	struct sweep s;
};

FIXTURE_SETUP(workers)
{
	sweep_setup(_metadata, &self->s);
	ASSERT_EQ(0, kb_insmod(B));
	ASSERT_EQ(0, kb_insmod(PLAIN));
}

FIXTURE_TEARDOWN(workers)
{
	inject_workers(false);
	EXPECT_EQ(0, kb_teardown(&self->s.kb));
}

TEST_F_TIMEOUT(workers, allocate_nothing, 300)
{
	long live = sweep_live(&self->s) - 2 * 3; /* of the three kexts, each with what its unload will announce */
	long before;

	make_idle_workers(_metadata, &self->s);
	inject_workers(true);
	workers_have_no_memory(_metadata, &self->s);
	before = sweep_parameter("worker_allocations");
	complete(_metadata, &self->s);
	time_out(_metadata, &self->s);
	unload_busy(_metadata, &self->s);
	unload_fails(_metadata, &self->s);
	release_plain(_metadata, &self->s);
	EXPECT_EQ(before, sweep_parameter("worker_allocations")) TH_LOG("a worker of the core allocates");
	autounload_waits(_metadata, &self->s);
	sweep_settle(_metadata, &self->s, live);
}
