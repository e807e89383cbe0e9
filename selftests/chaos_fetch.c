// SPDX-License-Identifier: GPL-2.0-only
/*
 * A fetch that stands still in the middle of its copy, with the delays of the test build, while its requests are
 * cancelled or time out and the daemon's file is closed. KEXTBRIDGE_ROUNDS and KEXTBRIDGE_SEED as for chaos.c.
 */
#include <sys/syscall.h>

#include "kselftest_harness.h"

#include "lib/chaos_fixture.h"

/* ---- T-089, T-014: a fetch that stands still in the middle of its copy */

#define STALLED 12

enum ending { COPIED, FAILED, FAILED_ASLEEP, CLOSED, ENDINGS };

struct stall {
	struct kb *kb;
	struct chaos_hole hole;
	char *buffer; /* crosses into it */
	pthread_t thread, sleeper;
	int result;
	uint32_t fetched;
	uint32_t sleeper_tid;
	uint32_t live; /* that the sleeper is to answer */
};

static void *stalled_fetch(void *arg)
{
	struct stall *stall = arg;
	struct kextd_exchange args = {
		.max_requests = STALLED,
		.requests = KB_STRING(stall->buffer),
		.requests_size = stall->hole.at + CHAOS_PAGE - stall->buffer,
	};

	stall->result = kb_exchange(stall->kb->daemon, &args);
	stall->fetched = args.request_count;
	return NULL;
}

/* Sleeps in the call until something is put back for it. */
static void *asleep(void *arg)
{
	static uint64_t buffer[STALLED * 32];
	struct stall *stall = arg;
	uint32_t answered = 0;

	advance(&stall->sleeper_tid, syscall(SYS_gettid));
	while (answered < stall->live) {
		struct kextd_exchange args = {
			.max_requests = STALLED, .requests = KB_STRING(buffer), .requests_size = sizeof(buffer)};
		const char *at = (const char *)buffer;

		if (kb_exchange(stall->kb->daemon, &args))
			continue;
		for (uint32_t i = 0; i < args.request_count; i++) {
			const struct kextd_request *head = (const void *)at;

			at += head->size;
			if (head->kind == KEXTD_RESOURCE)
				answered += !kb_reply(stall->kb->daemon, head->id, 0);
		}
	}
	return NULL;
}

static bool sleeps(uint32_t tid)
{
	char path[64], text[512] = "";
	FILE *file;
	char *at;

	snprintf(path, sizeof(path), "/proc/self/task/%u/stat", tid);
	file = fopen(path, "re");
	if (!file)
		return false;
	at = fgets(text, sizeof(text), file) ? strrchr(text, ')') : NULL;
	fclose(file);
	return at && at[2] == 'S';
}

/* Adds what has been called back since; false: the bench does not answer. */
static bool add_counts(struct kb *kb, uint32_t *got)
{
	uint32_t counts[STALLED];
	struct kbtest_counts take = {.counts = KB_STRING(counts), .count = STALLED};

	if (ioctl(kb->bench, KBTEST_IOC_COUNTS, &take))
		return false;
	for (int i = 0; i < STALLED; i++)
		got[i] += counts[i];
	return true;
}

static bool await_counts(struct kb *kb, uint32_t *got, uint32_t from, uint32_t to, unsigned int cap_ms)
{
	uint64_t until = kb_now_ns() + cap_ms * 1000000ull;
	uint32_t there;

	do {
		if (!add_counts(kb, got))
			return false;
		there = 0;
		for (uint32_t i = from; i < to; i++)
			there += got[i] != 0;
		sched_yield();
	} while (there < to - from && kb_now_ns() < until);
	return there == to - from;
}

/* Answers all that there is to fetch; its ids grow. */
static int answer_rest(int daemon, uint32_t want)
{
	uint64_t last = 0;

	while (want) {
		struct kb_record record;
		int err = kb_fetch(daemon, &record, CAP_REQUEUE_MS);

		if (err)
			return err;
		if (record.head.kind != KEXTD_RESOURCE)
			continue;
		if (record.head.id < last)
			return ERANGE;
		last = record.head.id;
		err = kb_reply(daemon, record.head.id, 0);
		if (err)
			return err;
		want--;
	}
	return 0;
}

/* Contexts [0, timed) have a deadline that comes meanwhile, [timed, timed + cancelled) are cancelled meanwhile. */
static int stall_round(struct stall *stall, enum ending ending, uint32_t *timed_out, uint32_t *cancelled_too,
		       uint32_t *slept)
{
	uint32_t count = 2 + kb_random() % (STALLED - 1), timed = kb_random() % 3 ? 0 : kb_random() % (count / 2 + 1);
	uint32_t cancelled = kb_random() % (count - timed + 1), live = count - timed - cancelled;
	uint32_t tags[STALLED], got[STALLED] = {};
	struct kbtest_request request = {A,
					 .callback = KBTEST_COUNT,
					 .count = timed,
					 .tags = KB_STRING(tags),
					 .timeout_ms = 30,
					 .context = KBTEST_BY_RESULT};
	uint32_t record = sizeof(struct kextd_request) + sizeof("com.example.kbtest") + sizeof("resource");
	bool fails = ending == FAILED || ending == FAILED_ASLEEP || (ending == CLOSED && kb_random() % 2);
	/* Cancelled while the copy goes on; not when somebody else would answer at once what is put back. */
	bool late = ending != FAILED_ASLEEP && kb_random() % 2;
	int err = 0;

	record = (record + 7) & ~7u;
	stall->buffer = stall->hole.at - kb_random() % (count * record / 8) * 8;
	stall->sleeper_tid = 0;
	stall->live = live;
	if (timed)
		err = kb_request_with(stall->kb, &request);
	request.context += timed;
	request.count = count - timed;
	request.tags += timed * sizeof(tags[0]);
	request.timeout_ms = 0;
	if (request.count && !err)
		err = kb_request_with(stall->kb, &request);
	err = err ?: pthread_create(&stall->thread, NULL, stalled_fetch, stall);
	if (err)
		return err;
	/* It has them in hand and stands still. */
	if (!chaos_hole_hit(&stall->hole))
		return ETIME;
	if (ending == FAILED_ASLEEP && live) {
		err = pthread_create(&stall->sleeper, NULL, asleep, stall);
		for (int i = 0; i < 200 && (!stall->sleeper_tid || !sleeps(stall->sleeper_tid)); i++)
			usleep(100);
		*slept += sleeps(stall->sleeper_tid);
	}
	if (ending == CLOSED)
		kb_daemon_leave(stall->kb);
	if (timed && !await_counts(stall->kb, got, 0, timed, CAP_MS))
		return ETIMEDOUT;
	if (late)
		err = err ?: (fails ? chaos_hole_fail(&stall->hole) : chaos_hole_fill(&stall->hole));
	for (uint32_t i = timed; i < timed + cancelled && !err; i++)
		err = kb_cancel(stall->kb, A, tags[i], NULL);
	if (!late)
		err = err ?: (fails ? chaos_hole_fail(&stall->hole) : chaos_hole_fill(&stall->hole));
	if (err)
		return err;
	pthread_join(stall->thread, NULL);
	*timed_out += timed;
	*cancelled_too += cancelled;
	if (ending == CLOSED) {
		err = kb_daemon(stall->kb) ?: answer_rest(stall->kb->daemon, live);
	} else if (fails) {
		if (stall->result != EFAULT)
			return stall->result ?: EDOM;
		if (ending == FAILED)
			err = answer_rest(stall->kb->daemon, live);
		else if (live && await_counts(stall->kb, got, timed + cancelled, count, CAP_REQUEUE_MS))
			pthread_join(stall->sleeper, NULL);
		else if (live)
			return ENOMSG; /* nobody told the one that sleeps */
	} else {
		const char *at = stall->buffer;

		if (stall->result || stall->fetched != count)
			return stall->result ?: ERANGE;
		for (uint32_t i = 0; i < count; i++) {
			const struct kextd_request *head = (const void *)at;
			int status = kb_reply(stall->kb->daemon, head->id, 0);

			at += head->size;
			if (head->id != tags[i] || status != (i < timed + cancelled ? kOSKextReturnNotFound : 0))
				return EBADMSG;
		}
	}
	if (!err && !await_counts(stall->kb, got, timed + cancelled, count, CAP_MS))
		err = ETIMEDOUT;
	if (!err && ending != CLOSED) {
		struct kb_record notice;

		while (!(err = kb_fetch(stall->kb->daemon, &notice, 0)))
			if (notice.head.kind != KEXTD_CANCEL)
				return EEXIST;
		err = err == EAGAIN ? 0 : err;
	}
	for (uint32_t i = 0; i < count; i++)
		if (got[i] != (i < timed             ? 1u << (8 * KBTEST_BYTE_TIMEOUT) :
			       i < timed + cancelled ? 0 :
						       1u << (8 * KBTEST_BYTE_SUCCESS)))
			return EBADE;
	return err ?: chaos_hole_again(&stall->hole);
}

TEST_F_TIMEOUT(chaos, T_089_fetch_stands_still, 900)
{
	uint32_t rounds = kb_rounds_from(200, 1000), endings[ENDINGS] = {}, timed_out = 0, cancelled = 0, slept = 0;
	uint64_t began = kb_now_ns();
	struct stall stall = {};

	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	stall.kb = &self->kb;
	ASSERT_EQ(0, chaos_hole(&stall.hole)) TH_LOG("this needs userfaultfd");
	for (uint32_t round = 0; round < rounds; round++) {
		enum ending ending = kb_random() % ENDINGS;

		if (round % 16 == 0)
			ASSERT_EQ(0, chaos_delays());
		ASSERT_EQ(0, stall_round(&stall, ending, &timed_out, &cancelled, &slept))
		TH_LOG("round %u, ending %u", round, ending);
		endings[ending]++;
	}
	TH_LOG("%u fetches stood still in %.1f s: %u went on, %u failed, %u failed while another thread slept (asleep for sure "
	       "%u times), %u were closed; meanwhile %u timed out, %u were cancelled; both 0, neither 0",
	       rounds, (kb_now_ns() - began) / 1e9, endings[COPIED], endings[FAILED], endings[FAILED_ASLEEP], slept,
	       endings[CLOSED], timed_out, cancelled);
	for (int i = 0; i < ENDINGS; i++)
		EXPECT_GE(endings[i], rounds / 10);
	EXPECT_GE(slept, rounds / 20);
	EXPECT_GE(timed_out, rounds / 10);
	EXPECT_GE(cancelled, rounds / 10);
	chaos_hole_end(&stall.hole);
}

TEST_HARNESS_MAIN
