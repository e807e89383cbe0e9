/* SPDX-License-Identifier: GPL-2.0-only */
/* What the rounds are made of. Part of faults.c. */

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
