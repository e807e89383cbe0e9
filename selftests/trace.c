// SPDX-License-Identifier: GPL-2.0-only
/* What can be watched: each change of state is an event, in the trace as text, for perf as a count, with its fields as filters. */
#include <linux/perf_event.h>
#include <sys/syscall.h>

#include "kselftest_harness.h"

#include "lib/fixture.h"

#define TRACING "/sys/kernel/tracing/"
#define EVENTS TRACING "events/kextbridge/"
#define MOST_CPUS 8

static const char *const events[] = {"submit", "fetch",  "reply",   "callback", "timeout",
				     "cancel", "retain", "release", "start",    "stop"};
#define EVENT_COUNT (sizeof(events) / sizeof(events[0]))

static int put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC), err = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		err = errno;
	close(fd);
	return err;
}

/* The whole file, terminated; NULL: it cannot be read. */
static char *get(const char *path)
{
	size_t room = 1 << 20, length = 0;
	char *text = malloc(room);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got = fd < 0 ? -1 : 1;

	while (text && got > 0 && length < room - 1) {
		got = read(fd, text + length, room - 1 - length);
		length += got > 0 ? got : 0;
	}
	if (fd >= 0)
		close(fd);
	if (!text || got < 0) {
		free(text);
		return NULL;
	}
	text[length] = 0;
	return text;
}

/* ---- what happens in each test: every event at least once */

struct story {
	uint32_t load_tag, other_tag; /* of kexts A and B */
	uint32_t answered, cancelled, late;
};

static int request(struct kb *kb, const char *name, uint32_t timeout_ms, uint32_t *tag)
{
	struct kbtest_request args = {
		.kext = A, .identifier = KB_STRING(ID_A), .name = KB_STRING(name), .timeout_ms = timeout_ms};
	int result = kb_request_with(kb, &args);

	*tag = args.tag;
	return result;
}

/* The line of the call that did not do what it should; 0: all did. */
static int tell(struct kb *kb, struct story *story)
{
	struct kbtest_event event;
	struct kb_record record;

	story->load_tag = kb_tag(kb, A);
	if (request(kb, "answered", 0, &story->answered) || kb_fetch(kb->daemon, &record, SOON_MS))
		return __LINE__;
	if (kb_reply_data(kb->daemon, record.head.id, 0, "bytes", 5) || !kb_callback(kb, &event))
		return __LINE__;
	if (request(kb, "cancelled", 0, &story->cancelled) || kb_cancel(kb, A, story->cancelled, NULL))
		return __LINE__;
	if (request(kb, "late", 1, &story->late) || !kb_callback(kb, &event) || event.result != kOSKextReturnTimeout)
		return __LINE__;
	if (kb_retain(kb->control, story->load_tag) || kb_release(kb->control, story->load_tag))
		return __LINE__;
	if (kb_insmod(B))
		return __LINE__;
	story->other_tag = kb_tag(kb, B);
	return kb_unload_served(kb, B) ? __LINE__ : 0;
}

FIXTURE(trace)
{
	struct kb kb;
	struct story story;
	char *text;
	int counters[EVENT_COUNT][MOST_CPUS];
	long cpus;
};

FIXTURE_SETUP(trace)
{
	memset(self->counters, 0xff, sizeof(self->counters));
	self->cpus = sysconf(_SC_NPROCESSORS_ONLN);
	ASSERT_LE(self->cpus, MOST_CPUS);
	ASSERT_EQ(0, kb_setup(&self->kb, A, NULL));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, put(TRACING "trace", ""));
	/* Names of tasks would need events of the scheduler, and QEMU without KVM runs the kernel's code while it is patched. */
	ASSERT_EQ(0, put(TRACING "options/record-cmd", "0"));
}

FIXTURE_TEARDOWN(trace)
{
	EXPECT_EQ(0, put(EVENTS "enable", "0"));
	EXPECT_EQ(0, put(TRACING "options/record-cmd", "1"));
	EXPECT_EQ(0, put(TRACING "trace", ""));
	for (size_t i = 0; i < EVENT_COUNT * MOST_CPUS; i++)
		if (self->counters[i / MOST_CPUS][i % MOST_CPUS] >= 0)
			close(self->counters[i / MOST_CPUS][i % MOST_CPUS]);
	free(self->text);
	EXPECT_EQ(0, kb_teardown(&self->kb));
}

/* ---- text */

/* "event: fields" is in the trace. */
#define EXPECT_LINE(...)                                                     \
	do {                                                                 \
		char line_[256];                                             \
		snprintf(line_, sizeof(line_), "kextbridge_" __VA_ARGS__);   \
		EXPECT_NE(NULL, strstr(self->text, line_))                   \
		{                                                            \
			TH_LOG("not in the trace: %s%s", line_, self->text); \
		}                                                            \
	} while (0)

#define EXPECT_STORY()                                                                                                 \
	do {                                                                                                           \
		const struct story *s_ = &self->story;                                                                 \
		EXPECT_LINE("submit: tag=%u load_tag=%u kind=1 identifier=" ID_A " name=answered\n", s_->answered,     \
			    s_->load_tag);                                                                             \
		EXPECT_LINE("fetch: tag=%u load_tag=%u kind=1\n", s_->answered, s_->load_tag);                         \
		EXPECT_LINE("reply: tag=%u load_tag=%u result=0x00000000 length=5 status=0x00000000\n", s_->answered,  \
			    s_->load_tag);                                                                             \
		EXPECT_LINE("callback: tag=%u load_tag=%u result=0x00000000 length=5 latency_ns=", s_->answered,       \
			    s_->load_tag);                                                                             \
		EXPECT_LINE("cancel: tag=%u load_tag=%u result=0x00000000\n", s_->cancelled, s_->load_tag);            \
		EXPECT_LINE("timeout: tag=%u load_tag=%u\n", s_->late, s_->load_tag);                                  \
		EXPECT_LINE("callback: tag=%u load_tag=%u result=0x%08x length=0 latency_ns=", s_->late, s_->load_tag, \
			    (uint32_t)kOSKextReturnTimeout);                                                           \
		EXPECT_LINE("retain: load_tag=%u retains=1 result=0x00000000\n", s_->load_tag);                        \
		EXPECT_LINE("release: load_tag=%u retains=0 result=0x00000000\n", s_->load_tag);                       \
		EXPECT_LINE("start: load_tag=%u identifier=" ID_B " result=0x00000000\n", s_->other_tag);              \
		EXPECT_LINE("stop: load_tag=%u identifier=" ID_B " result=0x00000000\n", s_->other_tag);               \
	} while (0)

TEST_F(trace, each_change_of_state_is_a_line)
{
	ASSERT_EQ(0, put(EVENTS "enable", "1"));
	ASSERT_EQ(0, tell(&self->kb, &self->story));
	self->text = get(TRACING "trace");
	ASSERT_NE(NULL, self->text);
	EXPECT_STORY();
}

TEST_F(trace, nothing_is_written_that_nobody_wants)
{
	ASSERT_EQ(0, tell(&self->kb, &self->story));
	self->text = get(TRACING "trace");
	ASSERT_NE(NULL, self->text);
	EXPECT_EQ(NULL, strstr(self->text, "kextbridge_"));
}

TEST_F(trace, fields_are_filters)
{
	ASSERT_EQ(0, put(EVENTS "kextbridge_submit/filter", "name == \"cancelled\""));
	ASSERT_EQ(0, put(EVENTS "kextbridge_submit/enable", "1"));
	EXPECT_EQ(0, tell(&self->kb, &self->story));
	EXPECT_EQ(0, put(EVENTS "kextbridge_submit/filter", "0"));
	self->text = get(TRACING "trace");
	ASSERT_NE(NULL, self->text);
	EXPECT_LINE("submit: tag=%u load_tag=%u kind=1 identifier=" ID_A " name=cancelled\n", self->story.cancelled,
		    self->story.load_tag);
	EXPECT_EQ(NULL, strstr(self->text, "name=answered"));
	EXPECT_EQ(NULL, strstr(self->text, "kextbridge_cancel"));
}

/* Whoever waits for something rare has the trace begin, or end, with it. */
static int set_triggers(const char *trigger)
{
	char path[96];
	int err = 0;

	for (size_t i = 0; i < EVENT_COUNT; i++) {
		snprintf(path, sizeof(path), EVENTS "kextbridge_%s/trigger", events[i]);
		err = put(path, trigger) ?: err;
	}
	return err;
}

TEST_F(trace, events_trigger)
{
	ASSERT_EQ(0, put(EVENTS "enable", "1"));
	ASSERT_EQ(0, put(EVENTS "kextbridge_cancel/trigger", "traceoff"));
	EXPECT_EQ(0, tell(&self->kb, &self->story));
	EXPECT_EQ(0, put(EVENTS "kextbridge_cancel/trigger", "!traceoff"));
	self->text = get(TRACING "trace");
	ASSERT_NE(NULL, self->text);
	EXPECT_NE(NULL, strstr(self->text, "kextbridge_callback"));
	EXPECT_EQ(NULL, strstr(self->text, "kextbridge_timeout"));

	EXPECT_EQ(0, put(TRACING "trace", ""));
	EXPECT_EQ(0, set_triggers("traceon"));
	EXPECT_EQ(0, tell(&self->kb, &self->story));
	EXPECT_EQ(0, set_triggers("!traceon"));
	free(self->text);
	self->text = get(TRACING "trace");
	ASSERT_NE(NULL, self->text);
	EXPECT_NE(NULL, strstr(self->text, "kextbridge_stop"));
	EXPECT_EQ(0, put(TRACING "tracing_on", "1"));
}

/* ---- counts */

/* On each CPU, whoever runs there; -1: not to be had. */
static int count_event(const char *event, int cpu)
{
	struct perf_event_attr attributes = {
		.type = PERF_TYPE_TRACEPOINT, .size = sizeof(attributes), .sample_period = 1};
	char path[96];
	char *id;

	snprintf(path, sizeof(path), EVENTS "kextbridge_%s/id", event);
	id = get(path);
	if (!id)
		return -1;
	attributes.config = strtoull(id, NULL, 10);
	free(id);
	return syscall(SYS_perf_event_open, &attributes, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

#define COUNT_EVENTS()                                                                \
	do {                                                                          \
		for (size_t i = 0; i < EVENT_COUNT; i++)                              \
			for (int cpu = 0; cpu < self->cpus; cpu++) {                  \
				self->counters[i][cpu] = count_event(events[i], cpu); \
				ASSERT_GE(self->counters[i][cpu], 0)                  \
				{                                                     \
					TH_LOG("%s: %s", events[i], strerror(errno)); \
				}                                                     \
			}                                                             \
	} while (0)

/* submit: three of A's; unloads and the like are requests too. */
#define EXPECT_COUNTS()                                                                                        \
	do {                                                                                                   \
		static const uint64_t least[EVENT_COUNT] = {3, 1, 1, 2, 1, 1, 1, 1, 1, 1};                     \
		for (size_t i = 0; i < EVENT_COUNT; i++) {                                                     \
			uint64_t sum = 0, count = 0;                                                           \
			for (int cpu = 0; cpu < self->cpus; cpu++) {                                           \
				ASSERT_EQ(sizeof(count), read(self->counters[i][cpu], &count, sizeof(count))); \
				sum += count;                                                                  \
			}                                                                                      \
			EXPECT_GE(sum, least[i])                                                               \
			{                                                                                      \
				TH_LOG("%s", events[i]);                                                       \
			}                                                                                      \
			EXPECT_LE(sum, least[i] + 4)                                                           \
			{                                                                                      \
				TH_LOG("%s", events[i]);                                                       \
			}                                                                                      \
		}                                                                                              \
	} while (0)

TEST_F(trace, perf_counts_each_change_of_state)
{
	COUNT_EVENTS();
	ASSERT_EQ(0, tell(&self->kb, &self->story));
	EXPECT_COUNTS();
}

TEST_F(trace, both_at_once)
{
	COUNT_EVENTS();
	ASSERT_EQ(0, put(EVENTS "enable", "1"));
	ASSERT_EQ(0, tell(&self->kb, &self->story));
	self->text = get(TRACING "trace");
	ASSERT_NE(NULL, self->text);
	EXPECT_STORY();
	EXPECT_COUNTS();
}

TEST_HARNESS_MAIN
