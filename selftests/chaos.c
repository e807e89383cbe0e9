// SPDX-License-Identifier: GPL-2.0-only
/*
 * Races of one request, with the delays of the test build: cancel, reply and deadline at once; cancels and requests from
 * inside callbacks. KEXTBRIDGE_ROUNDS=0.1 is a tenth of each count; KEXTBRIDGE_SEED repeats a run as far as a race can be repeated.
 */
#include "kselftest_harness.h"

#include "lib/chaos_fixture.h"

/* ---- T-015: cancel, reply and deadline of one request, and exactly one of them wins */

#define RING KBTEST_COUNTS
#define GROUP 16
#define AHEAD 64 /* so many are in the daemon's hands before their race */

struct three {
	uint32_t tag;
	int cancelled, replied; /* results */
	uint64_t cancel_began, cancel_ended, reply_began, reply_ended;
};

/* Races are numbered from 0. The replier waits for the canceller, but not for ever: its CPU may not run at all. */
struct three_way {
	struct kb *kb;
	struct three races[RING];
	uint32_t issued, ready, begun, replied; /* so many */
	uint32_t count;                         /* after so many both stop */
	uint32_t timeout_ms;
};

static void *three_replier(void *arg)
{
	struct three_way *all = arg;

	chaos_pin(1);
	for (uint32_t number = 0; number < __atomic_load_n(&all->count, __ATOMIC_ACQUIRE); number++) {
		struct three *race = &all->races[number % RING];

		await(&all->issued, number + 1);
		await_for(&all->ready, number + 1, 20000000);
		advance(&all->begun, number + 1);
		linger(kb_random() % 4000);
		race->reply_began = __rdtsc();
		/* The wire's id is the tag until the tags wrap. */
		race->replied = kb_reply(all->kb->daemon, race->tag, 0);
		race->reply_ended = __rdtsc();
		advance(&all->replied, number + 1);
	}
	return NULL;
}

static int fetch_all(int daemon)
{
	static uint64_t buffer[AHEAD * 32];
	struct kextd_exchange fetch = {
		.flags = KEXTD_EXCHANGE_NOWAIT,
		.max_requests = AHEAD,
		.requests = KB_STRING(buffer),
		.requests_size = sizeof(buffer),
	};
	int err;

	do
		err = kb_exchange(daemon, &fetch);
	while (!err && fetch.request_count == AHEAD);
	return err == EAGAIN ? 0 : err;
}

/* The counts of so many races, which are to be over, are all 0 again: nobody was called back a second time. */
static bool untouched(struct kb *kb, uint32_t from, uint32_t count)
{
	static uint32_t counts[RING];
	struct kbtest_counts take = {.counts = KB_STRING(counts), .from = from, .count = count};

	if (ioctl(kb->bench, KBTEST_IOC_COUNTS, &take))
		return false;
	for (uint32_t i = 0; i < count; i++)
		if (counts[i])
			return false;
	return true;
}

static int three_issue(struct three_way *all)
{
	uint32_t tags[GROUP];
	struct kbtest_request request = {
		A,
		.callback = KBTEST_COUNT,
		.count = GROUP,
		.tags = KB_STRING(tags),
		.timeout_ms = all->timeout_ms,
		.context = KBTEST_BY_RESULT | (all->issued % RING),
	};
	int err = untouched(all->kb, all->issued % RING, GROUP) ? kb_request_with(all->kb, &request) : EBADE;

	for (uint32_t i = 0; i < GROUP; i++)
		all->races[(all->issued + i) % RING] = (struct three){.tag = tags[i]};
	/* Its notices too. */
	err = err ?: fetch_all(all->kb->daemon);
	advance(&all->issued, all->issued + GROUP);
	return err;
}

TEST_F_TIMEOUT(chaos, T_015_cancel_reply_and_deadline, 1800)
{
	static struct three_way all;
	unsigned int by_cancel = 0, by_reply = 0, by_deadline = 0, both = 0, neither = 0, wrong = 0;
	unsigned int overlaps = 0, strikes = 0, timed = 0;
	uint64_t began = kb_now_ns();
	struct steer steer = {20000};
	bool was_deadline = false;
	pthread_t thread;

	ASSERT_EQ(0, kb_insmod(A));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	chaos_pin(0);
	all.kb = &self->kb;
	all.count = (kb_rounds(200000) + RING - 1) / RING * RING;
	all.timeout_ms = 16;
	ASSERT_EQ(0, pthread_create(&thread, NULL, three_replier, &all));
	for (uint32_t number = 0; number < all.count; number++) {
		struct three *race = &all.races[number % RING];
		uint32_t got = 0;
		struct kbtest_counts take = {.counts = KB_STRING(&got), .from = number % RING, .count = 1};
		bool close, cancelled, deadline;

		if (number % RING == 0)
			ASSERT_EQ(0, chaos_delays());
		while (all.issued < all.count && all.issued < number + AHEAD)
			ASSERT_EQ(0, three_issue(&all));
		advance(&all.ready, number + 1);
		await(&all.begun, number + 1);
		close = __atomic_load_n(&all.begun, __ATOMIC_RELAXED) == number + 1;
		if (close)
			linger(steer_ticks(&steer));
		race->cancel_began = __rdtsc();
		race->cancelled = kb_cancel(&self->kb, A, race->tag, NULL);
		race->cancel_ended = __rdtsc();
		/* NotFound: the callback has returned, so its count is there now and not later. */
		if (race->cancelled)
			ASSERT_EQ(0, ioctl(self->kb.bench, KBTEST_IOC_COUNTS, &take));
		cancelled = !race->cancelled;
		deadline = got == 1u << (8 * KBTEST_BYTE_TIMEOUT);
		await(&all.replied, number + 1);

		both += cancelled && got;
		neither += !cancelled && !got;
		by_cancel += cancelled;
		by_deadline += deadline;
		by_reply += got == 1u << (8 * KBTEST_BYTE_SUCCESS);
		wrong += (!cancelled && race->cancelled != kOSKextReturnNotFound) ||
			 (race->replied && race->replied != kOSKextReturnNotFound) ||
			 (got && !deadline && got != 1u << (8 * KBTEST_BYTE_SUCCESS)) || (deadline && !race->replied) ||
			 (got && !deadline && race->replied);
		overlaps += race->cancel_began < race->reply_ended && race->reply_began < race->cancel_ended;
		strikes += deadline && !was_deadline;
		was_deadline = deadline;
		timed += deadline;
		if (number % GROUP == GROUP - 1) {
			/* A third of them, whatever the speed. */
			if (timed > GROUP / 2)
				all.timeout_ms += all.timeout_ms / 8 + 1;
			else if (timed < GROUP / 4 && all.timeout_ms > 1)
				all.timeout_ms -= all.timeout_ms / 16 + 1;
			timed = 0;
		}
		if (both || neither || wrong)
			advance(&all.count, number + 1);
		if (close && cancelled)
			steer_later(&steer);
		else if (close && !deadline)
			steer_sooner(&steer);
	}
	pthread_join(thread, NULL);
	if (!both && !neither && !wrong) {
		EXPECT_TRUE(untouched(&self->kb, 0, RING)) TH_LOG("called back after its race");
	}
	TH_LOG("%u races in %.1f s: cancel won %u, reply %u, deadline %u; cancel and reply overlapped %u times, the deadline "
	       "came between two races %u times; both %u, neither %u",
	       all.count, (kb_now_ns() - began) / 1e9, by_cancel, by_reply, by_deadline, overlaps, strikes, both,
	       neither);
	EXPECT_EQ(0, both);
	EXPECT_EQ(0, neither);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(all.count, by_cancel + by_reply + by_deadline);
	EXPECT_GE(by_cancel, all.count / 50);
	EXPECT_GE(by_reply, all.count / 50);
	EXPECT_GE(by_deadline, all.count / 50);
	EXPECT_GE(overlaps, all.count / 50);
	EXPECT_GE(strikes, all.count / 500);
}

/* ---- T-011, T-012, T-053: cancels and requests from inside callbacks, cancel_all against everything */

#define RECENT 64

struct storm {
	struct kb *kb;
	pthread_t thread;
	int cpu;
	uint32_t rounds;
	uint32_t *finished;
	uint32_t accepted, refused, cancelled, missed, running, all, by_all;
	int error;
};

/* Tags of both threads, the newest over the oldest. */
static uint32_t recent[RECENT];
static uint32_t recent_at;

static void storm_request(struct storm *storm)
{
	static const uint32_t acts[] = {
		0, 0, KBTEST_DO_CANCEL_OWN, KBTEST_DO_CANCEL, KBTEST_DO_REQUEST, KBTEST_DO_CANCEL | KBTEST_DO_REQUEST};
	uint32_t tags[4] = {}, act = acts[kb_random() % 6];
	struct kbtest_request request = {
		A,
		.callback = KBTEST_LOG,
		.flags = act,
		.chain = act & KBTEST_DO_REQUEST ? 1 + kb_random() % 3 : 0,
		.other = recent[kb_random() % RECENT],
		.count = 1 + kb_random() % 4,
		.tags = KB_STRING(tags),
		.timeout_ms = kb_random() % 3 ? 0 : 1 + kb_random() % 8,
		.name = KB_STRING(kb_random() % 4 ? "answer" : "keep"),
	};
	int result = kb_request_with(storm->kb, &request);

	if (result && result != kOSKextReturnNoResources)
		storm->error = result;
	for (uint32_t i = 0; i < request.count && tags[i] && tags[i] != TAG_INVALID; i++) {
		storm->accepted++;
		recent[__atomic_fetch_add(&recent_at, 1, __ATOMIC_RELAXED) % RECENT] = tags[i];
	}
	storm->refused += result != 0;
}

static void storm_cancel(struct storm *storm, uint32_t flags)
{
	struct kbtest_cancel cancel = {A, .tag = recent[kb_random() % RECENT], .flags = flags};
	int result = kb_cancel_with(storm->kb, &cancel);

	if (flags & KBTEST_CANCEL_ALL) {
		storm->all++;
		storm->by_all += cancel.tag;
	} else if (!result) {
		storm->cancelled++;
	} else if (result == kOSKextReturnNotFound) {
		storm->missed++;
	} else if (result == kOSKextReturnInUse && flags) {
		storm->running++;
	} else {
		storm->error = result;
	}
}

static void *storm(void *arg)
{
	struct storm *storm = arg;

	chaos_pin(storm->cpu);
	for (uint32_t round = 0; round < storm->rounds && !storm->error; round++) {
		uint32_t dice = kb_random() % 64;

		/* Chance would leave it out of a short storm now and then. */
		if (round % 64 == 63)
			storm_cancel(storm, KBTEST_CANCEL_ALL);
		else if (dice < 32)
			storm_request(storm);
		else
			storm_cancel(storm, dice % 4 ? 0 : KBTEST_CANCEL_NOWAIT);
		if (dice % 8 == 0)
			usleep(kb_random() % 800);
	}
	__atomic_add_fetch(storm->finished, 1, __ATOMIC_RELEASE);
	return NULL;
}

TEST_F_TIMEOUT(chaos, T_012_storm_from_inside_callbacks, 1800)
{
	static struct crew crew;
	uint32_t rounds = kb_rounds(40000), finished = 0;
	struct storm storms[2] = {};
	struct kbtest_cancel all = {A, .flags = KBTEST_CANCEL_ALL};
	uint64_t began = kb_now_ns(), submitted = chaos_stat("submitted");
	struct kbtest_totals totals;

	ASSERT_EQ(0, kb_insmod(A));
	/* What is too much at a time is refused, also to callbacks. */
	ASSERT_EQ(0, kb_param_ms("max_pending", 256));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, chaos_crew(&crew, self->kb.daemon, 2));
	for (int i = 0; i < 2; i++) {
		storms[i] = (struct storm){.kb = &self->kb, .cpu = i, .rounds = rounds / 2, .finished = &finished};
		ASSERT_EQ(0, pthread_create(&storms[i].thread, NULL, storm, &storms[i]));
	}
	while (__atomic_load_n(&finished, __ATOMIC_ACQUIRE) < 2) {
		EXPECT_EQ(0, chaos_delays());
		kb_sleep_ms(200);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(storms[i].thread, NULL);
		EXPECT_EQ(0, storms[i].error);
	}
	/* The chains of those that run now may still request. */
	for (uint64_t until = kb_now_ns() + CAP_MS * 1000000ull;
	     chaos_stat("pending") + chaos_stat("fetched") + chaos_stat("answered") && kb_now_ns() < until;) {
		ASSERT_EQ(0, kb_cancel_with(&self->kb, &all));
		kb_sleep_ms(1);
	}
	ASSERT_EQ(0, kb_cancel_with(&self->kb, &all));
	chaos_crew_end(&crew);
	ASSERT_TRUE(chaos_totals(&self->kb, &totals));
	TH_LOG("%u rounds in %.1f s: %llu requests, %u refused, %llu called back, %llu cancelled: %u by tag, %u by %u "
	       "cancel_all; not found %u, running %u; both %llu, neither %lld",
	       rounds, (kb_now_ns() - began) / 1e9, totals.accepted, storms[0].refused + storms[1].refused,
	       totals.called_back, totals.cancelled, storms[0].cancelled + storms[1].cancelled,
	       storms[0].by_all + storms[1].by_all, storms[0].all + storms[1].all, storms[0].missed + storms[1].missed,
	       storms[0].running + storms[1].running, totals.unexpected,
	       (long long)(totals.accepted - totals.called_back - totals.cancelled));
	EXPECT_EQ(totals.accepted, totals.called_back + totals.cancelled);
	EXPECT_EQ(0, totals.unexpected);
	EXPECT_EQ(totals.accepted, chaos_stat("submitted") - submitted);
	EXPECT_GE(totals.accepted, rounds / 2);
	/* Some by callbacks. */
	EXPECT_GT(totals.cancelled, storms[0].cancelled + storms[1].cancelled + storms[0].by_all + storms[1].by_all);
	EXPECT_GE(storms[0].cancelled + storms[1].cancelled, rounds / 100);
	EXPECT_GE(storms[0].missed + storms[1].missed, rounds / 100);
	EXPECT_GE(storms[0].all + storms[1].all, rounds / 100);
	EXPECT_GE(storms[0].by_all + storms[1].by_all, rounds / 200);
	EXPECT_GE(totals.called_back, rounds / 10);
}

TEST_HARNESS_MAIN
