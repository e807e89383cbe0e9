// SPDX-License-Identifier: GPL-2.0-only
/*
 * Races between two threads, over and over: one of them goes when the other is about to, after a delay that is steered
 * so that both outcomes come up, with some noise on top. KEXTBRIDGE_SEED repeats a run as far as a race can be
 * repeated.
 */
#include <sys/epoll.h>

#include "kselftest_harness.h"

#include "lib/fixture.h"
#include "lib/race.h"

#define BATCH 64

/* ---- T-015: cancel against reply */

struct pair {
	uint64_t id;
	uint32_t tag;
	int cancelled, replied; /* results */
	uint64_t cancel_began, cancel_ended, reply_began, reply_ended;
};

/*
 * Races are numbered from 1. The two wait for each other, but the replier not for long: on a busy host the canceller's
 * CPU may not run at all.
 */
struct cancel_race {
	struct kb *kb;
	struct pair pairs[BATCH];
	uint32_t issued;  /* the last race whose request is in the daemon's hands */
	uint32_t ready;   /* the race that the canceller has come to */
	uint32_t begun;   /* the last race whose reply is about to be made */
	uint32_t replied; /* the last race whose reply has been made */
	uint32_t count;
};

static void *replier(void *arg)
{
	struct cancel_race *race = arg;

	for (uint32_t number = 1; number <= race->count; number++) {
		struct pair *pair = &race->pairs[number % BATCH];

		await(&race->issued, number);
		await_for(&race->ready, number, 200000);
		advance(&race->begun, number);
		linger(kb_random() % 4000);
		pair->reply_began = __rdtsc();
		pair->replied = kb_reply(race->kb->daemon, pair->id, 0);
		pair->reply_ended = __rdtsc();
		advance(&race->replied, number);
	}
	return NULL;
}

static void canceller(struct cancel_race *race, uint32_t number, struct steer *steer)
{
	struct pair *pair = &race->pairs[number % BATCH];
	bool close;

	advance(&race->ready, number);
	await(&race->begun, number);
	close = __atomic_load_n(&race->begun, __ATOMIC_RELAXED) == number;
	if (close)
		linger(steer_ticks(steer));
	pair->cancel_began = __rdtsc();
	pair->cancelled = kb_cancel(race->kb, A, pair->tag, NULL);
	pair->cancel_ended = __rdtsc();
	if (!close)
		return;
	if (pair->cancelled)
		steer_sooner(steer);
	else
		steer_later(steer);
}

/* BATCH requests, all of them in the daemon's hands; the first is this number. */
static int issue_batch(struct cancel_race *race, uint32_t number)
{
	static uint64_t buffer[BATCH * 32];
	uint32_t tags[BATCH];
	struct kbtest_request request = {A, .callback = KBTEST_COUNT, .count = BATCH, .tags = KB_STRING(tags)};
	struct kextd_exchange fetch = {
		.flags = KEXTD_EXCHANGE_NOWAIT,
		.max_requests = KEXTD_EXCHANGE_MAX,
		.requests = KB_STRING(buffer),
		.requests_size = sizeof(buffer),
	};
	const char *at;
	int err = kb_request_with(race->kb, &request), fetched = 0;

	/* The notices of the batch before come first. */
	while (!err && fetched < BATCH) {
		err = kb_exchange(race->kb->daemon, &fetch);
		at = (const char *)buffer;
		for (uint32_t i = 0; !err && i < fetch.request_count; i++) {
			const struct kextd_request *head = (const void *)at;

			if (head->kind == KEXTD_RESOURCE) {
				race->pairs[(number + fetched) % BATCH] =
					(struct pair){.tag = tags[fetched], .id = head->id};
				fetched++;
			}
			at += head->size;
		}
	}
	return err;
}

TEST_F_TIMEOUT(kext, T_015_cancel_against_reply, 500)
{
	const uint32_t races = kb_rounds(102400 / BATCH) * BATCH;
	static struct cancel_race race;
	static uint32_t counts[BATCH];
	struct kbtest_counts take = {.counts = KB_STRING(counts), .count = BATCH};
	unsigned int by_cancel = 0, by_callback = 0, both = 0, neither = 0, wrong = 0, overlaps = 0;
	uint64_t began = kb_now_ns();
	struct steer steer = {20000};
	struct kextbridge_status status;
	pthread_t thread;

	ASSERT_EQ(2, sysconf(_SC_NPROCESSORS_ONLN));
	race.kb = &self->kb;
	race.count = races;
	ASSERT_EQ(0, pthread_create(&thread, NULL, replier, &race));
	for (uint32_t first = 1; first <= races; first += BATCH) {
		ASSERT_EQ(0, issue_batch(&race, first));
		advance(&race.issued, first + BATCH - 1);
		for (uint32_t number = first; number < first + BATCH; number++)
			canceller(&race, number, &steer);
		await(&race.replied, first + BATCH - 1);
		/* A cancel that found nothing has waited for the callback: all is decided. */
		ASSERT_EQ(0, ioctl(self->kb.bench, KBTEST_IOC_COUNTS, &take));
		for (int i = 0; i < BATCH; i++) {
			struct pair *pair = &race.pairs[(first + i) % BATCH];
			bool cancelled = pair->cancelled == 0;

			by_cancel += cancelled;
			by_callback += counts[i];
			both += cancelled && counts[i];
			neither += !cancelled && !counts[i];
			wrong += (pair->cancelled && pair->cancelled != kOSKextReturnNotFound) || counts[i] > 1 ||
				 (pair->replied && pair->replied != kOSKextReturnNotFound) ||
				 (pair->replied && counts[i]);
			overlaps += pair->cancel_began < pair->reply_ended && pair->reply_began < pair->cancel_ended;
		}
	}
	pthread_join(thread, NULL);
	TH_LOG("%u races in %.1f s: %u cancelled, %u called back, %u overlaps, both won %u, nobody won %u", races,
	       (kb_now_ns() - began) / 1e9, by_cancel, by_callback, overlaps, both, neither);
	EXPECT_EQ(0, both);
	EXPECT_EQ(0, neither);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(races, by_cancel + by_callback);
	EXPECT_GE(by_cancel, races / 128);
	EXPECT_GE(by_callback, races / 128);
	EXPECT_GE(overlaps, races / 128);
	ASSERT_TRUE(kb_status(&self->kb, &status));
	EXPECT_EQ(0, status.pending + status.fetched + status.answered);
}

/* ---- T-091: no wake-up is lost */

#define LOST_MS 5000

struct fetching {
	pthread_t thread;
	int daemon;
	bool polls; /* asks poll() before it fetches, else sleeps in the call */
	uint32_t *seen;
	const bool *stop;
};

/* Answers what it fetched last and fetches more, in one call, as a daemon's worker does. */
static void *fetcher(void *arg)
{
	struct fetching *fetching = arg;
	struct kextd_reply replies[8];
	uint64_t buffer[8 * 32];
	uint32_t count = 0;

	while (!*fetching->stop || count) {
		struct kextd_exchange args = {
			.flags = fetching->polls || *fetching->stop ? KEXTD_EXCHANGE_NOWAIT : 0,
			.replies = KB_STRING(replies),
			.reply_count = count,
			.max_requests = 8,
			.requests = KB_STRING(buffer),
			.requests_size = sizeof(buffer),
		};
		const char *at = (const char *)buffer;

		if (fetching->polls && !count)
			kb_poll(fetching->daemon, POLLIN,
				2 * LOST_MS); /* it must not find by chance what it was not told of */
		count = 0;
		if (kb_exchange(fetching->daemon, &args))
			continue;
		for (uint32_t i = 0; i < args.request_count; i++) {
			const struct kextd_request *head = (const void *)at;

			replies[count++] = (struct kextd_reply){.id = head->id, .flags = KEXTD_REPLY_RESULT};
			at += head->size;
		}
		__atomic_add_fetch(fetching->seen, count, __ATOMIC_RELEASE);
	}
	return NULL;
}

TEST_F_TIMEOUT(kext, T_091_no_wake_up_is_lost, 500)
{
	const uint32_t requests = kb_rounds(100000);
	uint32_t issued = 0, seen = 0;
	bool stop = false, lost = false, joined[2] = {};
	struct fetching fetchers[2] = {{.daemon = self->kb.daemon, .polls = false, .seen = &seen, .stop = &stop},
				       {.daemon = self->kb.daemon, .polls = true, .seen = &seen, .stop = &stop}};
	uint64_t began = kb_now_ns();
	struct kbtest_request request = {A, .callback = KBTEST_COUNT};
	struct kextbridge_status status;

	for (int i = 0; i < 2; i++)
		ASSERT_EQ(0, pthread_create(&fetchers[i].thread, NULL, fetcher, &fetchers[i]));
	while (issued < requests && !lost) {
		uint64_t waited = kb_now_ns();

		request.count = 1 + kb_random() % 4;
		issued += request.count;
		EXPECT_EQ(0, kb_request_with(&self->kb, &request));
		if (kb_random() % 2)
			continue;
		/* All of them asleep again, or about to be. */
		while (__atomic_load_n(&seen, __ATOMIC_ACQUIRE) != issued && !lost) {
			sched_yield();
			lost = kb_now_ns() - waited > LOST_MS * 1000000ull;
		}
	}
	EXPECT_FALSE(lost) TH_LOG("%u of %u were fetched", seen, issued);
	kb_sleep_ms(50);
	EXPECT_EQ(issued, seen);
	stop = true;
	/* One more, for each that sleeps. */
	for (int i = 0; i < 200 && !(joined[0] && joined[1]); i++) {
		kb_request_with(&self->kb, &request);
		kb_sleep_ms(20);
		for (int j = 0; j < 2; j++)
			joined[j] = joined[j] || !pthread_tryjoin_np(fetchers[j].thread, NULL);
	}
	ASSERT_TRUE(joined[0] && joined[1]);
	TH_LOG("%u requests in %.1f s", issued, (kb_now_ns() - began) / 1e9);
	ASSERT_TRUE(kb_status(&self->kb, &status));
	EXPECT_EQ(0, status.fetched);
}

/* ---- T-091: nor one of epoll, of either node, level- or edge-triggered */

/* Two threads that wait in epoll and nowhere else: the daemon's, and the program's. Without an end to their patience. */
struct watching {
	pthread_t thread;
	int node, stop; /* stop: to be told by */
	uint32_t events;
	uint32_t *done;
	int (*work)(struct watching *watching); /* all that there is now; -1: an error */
	int err;
};

static void *watch(void *arg)
{
	struct watching *watching = arg;
	struct epoll_event node = {.events = watching->events, .data.u32 = 1}, stop = {.events = EPOLLIN}, event;
	int epoll = epoll_create1(EPOLL_CLOEXEC), count = 0;

	if (epoll_ctl(epoll, EPOLL_CTL_ADD, watching->node, &node) ||
	    epoll_ctl(epoll, EPOLL_CTL_ADD, watching->stop, &stop))
		watching->err = errno;
	while (!watching->err && epoll_wait(epoll, &event, 1, -1) == 1 && event.data.u32 && count >= 0) {
		count = watching->work(watching);
		if (count > 0)
			__atomic_add_fetch(watching->done, count, __ATOMIC_RELEASE);
	}
	if (count < 0)
		watching->err = errno;
	close(epoll);
	return NULL;
}

static int answer_what_is_there(struct watching *watching)
{
	int count = 0, err;
	struct kb_record record;

	/* Until there is nothing: an edge is told once. */
	while (!(err = kb_fetch(watching->node, &record, 0))) {
		if (kb_reply(watching->node, record.head.id, 0))
			return -1;
		count++;
	}
	errno = err;
	return err == EAGAIN ? count : -1;
}

static int collect_what_is_there(struct watching *watching)
{
	struct kextbridge_result result = {.size = sizeof(result)};
	int count = 0;

	for (;; count++) {
		result.flags = KEXTBRIDGE_RESULT_NOWAIT | KEXTBRIDGE_RESULT_RELEASE;
		result.tag = TAG_INVALID;
		if (ioctl(watching->node, KEXTBRIDGE_IOC_RESULT, &result))
			return errno == EAGAIN ? count : -1;
		if (result.status)
			return count; /* none is left, none is pending */
	}
}

TEST_F_TIMEOUT(kext, T_091_no_wake_up_of_epoll_is_lost, 500)
{
	const uint32_t requests = kb_rounds(5000);
	struct kextbridge_request request = {.size = sizeof(request),
					     .identifier = KB_STRING("a"),
					     .identifier_size = 1,
					     .name = KB_STRING("b"),
					     .name_size = 1};

	for (int edge = 0; edge < 2; edge++) {
		uint64_t began = kb_now_ns();
		uint32_t events = EPOLLIN | (edge ? EPOLLET : 0), answered = 0, collected = 0, issued = 0, slept = 0;
		int stop[2];
		struct watching watching[2];
		bool lost = false;

		ASSERT_EQ(0, pipe(stop));
		watching[0] = (struct watching){.node = self->kb.daemon,
						.stop = stop[0],
						.events = events,
						.done = &answered,
						.work = answer_what_is_there};
		watching[1] = (struct watching){.node = self->kb.control,
						.stop = stop[0],
						.events = events,
						.done = &collected,
						.work = collect_what_is_there};
		for (int i = 0; i < 2; i++)
			ASSERT_EQ(0, pthread_create(&watching[i].thread, NULL, watch, &watching[i]));
		while (issued < requests && !lost) {
			uint64_t waited = kb_now_ns();

			for (uint32_t more = 1 + kb_random() % 4; more; more--, issued++) {
				request.tag = request.result = 0;
				ASSERT_EQ(0, ioctl(self->kb.control, KEXTBRIDGE_IOC_REQUEST, &request));
				ASSERT_EQ(0, request.result);
			}
			if (kb_random() % 2)
				continue;
			/* Both asleep again, or about to be: nothing else would wake them. */
			while (__atomic_load_n(&collected, __ATOMIC_ACQUIRE) != issued && !lost) {
				sched_yield();
				lost = kb_now_ns() - waited > LOST_MS * 1000000ull;
			}
			slept++;
		}
		/* The last ones. */
		for (uint64_t waited = kb_now_ns(); !lost && kb_now_ns() - waited < LOST_MS * 1000000ull;)
			if (__atomic_load_n(&collected, __ATOMIC_ACQUIRE) == issued)
				break;
		close(stop[1]);
		for (int i = 0; i < 2; i++) {
			pthread_join(watching[i].thread, NULL);
			EXPECT_EQ(0, watching[i].err);
		}
		close(stop[0]);
		ASSERT_FALSE(lost)
		TH_LOG("%s-triggered: of %u requests %u were answered, %u collected", edge ? "edge" : "level", issued,
		       answered, collected);
		EXPECT_EQ(issued, answered);
		EXPECT_EQ(issued, collected);
		EXPECT_GE(slept, requests / 20);
		TH_LOG("%s-triggered: %u requests in %.1f s, all waited for %u times", edge ? "edge" : "level", issued,
		       (kb_now_ns() - began) / 1e9, slept);
	}
}

/* ---- T-146: many threads retain and release */

struct pairs {
	pthread_t thread;
	struct kb *kb;
	struct kbtest_call call;
	int result;
};

static void *make_pairs(void *arg)
{
	struct pairs *pairs = arg;

	pairs->result = kb_call(pairs->kb, &pairs->call);
	return NULL;
}

TEST_F_TIMEOUT(kext, T_146_retains_of_64_threads_balance, 500)
{
	enum { THREADS = 64 };
	const uint32_t count = kb_rounds(100000);
	static struct pairs pairs[THREADS];
	uint32_t tag = kb_tag(&self->kb, A);
	uint64_t began = kb_now_ns();
	struct kextbridge_kext kext;
	struct kb_record record;

	ASSERT_EQ(0, kb_param("autounload_delay_ms", "1000"));
	ASSERT_EQ(0, kb_kpi_retain(&self->kb, tag));
	for (int i = 0; i < THREADS; i++) {
		pairs[i].kb = &self->kb;
		pairs[i].call = (struct kbtest_call){.op = KBTEST_PAIRS, .load_tag = tag, .count = count};
		ASSERT_EQ(0, pthread_create(&pairs[i].thread, NULL, make_pairs, &pairs[i]));
	}
	for (int i = 0; i < THREADS; i++) {
		pthread_join(pairs[i].thread, NULL);
		EXPECT_EQ(0, pairs[i].result);
		EXPECT_EQ(count, pairs[i].call.done);
	}
	TH_LOG("%u pairs in %.1f s", THREADS * count, (kb_now_ns() - began) / 1e9);
	ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
	EXPECT_EQ(1, kext.retains);
	EXPECT_EQ(EAGAIN, kb_fetch(self->kb.daemon, &record, 0)) TH_LOG("unloaded although retained");
	ASSERT_EQ(0, kb_kpi_release(&self->kb, tag));
	ASSERT_EQ(0, kb_fetch(self->kb.daemon, &record, 10000)) TH_LOG("the autounload was lost");
	EXPECT_EQ(KEXTD_UNLOAD, record.head.kind);
	EXPECT_EQ(0, kb_rmmod(A));
	EXPECT_EQ(0, kb_reply(self->kb.daemon, record.head.id, 0));
}

/* ---- T-149: retain against the decision to unload */

struct unload_race {
	int control;
	uint32_t tag;
	uint32_t begun;
	int result;
};

static void *unloader(void *arg)
{
	struct unload_race *race = arg;

	advance(&race->begun, 1);
	linger(100000 + kb_random() % 100000);
	race->result = kb_unload(race->control, race->tag, 0);
	return NULL;
}

TEST_F_TIMEOUT(kext, T_149_retain_against_unload, 500)
{
	unsigned int stayed = 0, went = 0;
	uint64_t began = kb_now_ns();
	struct kb_server server = {};
	struct steer steer = {100000};

	ASSERT_EQ(0, kb_serve(&server, self->kb.daemon));
	while ((stayed + went < 30 || stayed < 10 || went < 10) && kb_now_ns() - began < 60 * 1000000000ull) {
		struct unload_race race = {.control = self->kb.control, .tag = kb_tag(&self->kb, A)};
		struct kextbridge_kext kext;
		pthread_t thread;
		int retained;

		ASSERT_EQ(0, pthread_create(&thread, NULL, unloader, &race));
		await(&race.begun, 1);
		linger(steer_ticks(&steer));
		retained = kb_retain(self->kb.control, race.tag);
		pthread_join(thread, NULL);
		if (!retained) {
			/* Success: it is still there, and stays until it is released. */
			ASSERT_EQ(kOSKextReturnInUse, race.result);
			ASSERT_TRUE(kb_kext(&self->kb, A, &kext));
			ASSERT_EQ(KEXT_STATE_STARTED, kext.state);
			ASSERT_EQ(1, kext.retains);
			ASSERT_EQ(0, kb_release(self->kb.control, race.tag));
			stayed++;
			steer_later(&steer);
		} else {
			ASSERT_EQ(kOSKextReturnNotFound, retained);
			ASSERT_EQ(0, race.result);
			ASSERT_FALSE(kb_is_loaded(A));
			ASSERT_EQ(0, kb_insmod(A));
			went++;
			steer_sooner(&steer);
		}
	}
	kb_serve_end(&server);
	TH_LOG("stayed %u times, went %u times, in %.1f s", stayed, went, (kb_now_ns() - began) / 1e9);
	EXPECT_GE(stayed, 10);
	EXPECT_GE(went, 10);
}

/* ---- parameters change while requests read them: of 60000, KCSAN sees one or two when they are stored plainly */

struct writing {
	pthread_t thread;
	uint32_t stop, writes;
	int err;
};

static void *write_params(void *arg)
{
	static const char *const names[] = {"max_pending", "max_reply_bytes", "max_name", "request_timeout_ms"};
	struct writing *writing = arg;

	for (; !writing->err && !__atomic_load_n(&writing->stop, __ATOMIC_ACQUIRE); writing->writes++)
		writing->err = kb_param(names[writing->writes % 4], writing->writes / 4 % 2 ? "3000" : "3001");
	return NULL;
}

TEST_F_TIMEOUT(kext, parameters_change_under_requests, 500)
{
	const uint32_t count = kb_rounds(30000);
	struct writing writing = {};

	ASSERT_EQ(0, pthread_create(&writing.thread, NULL, write_params, &writing));
	for (uint32_t i = 0; i < count; i++) {
		uint64_t context = 0;
		uint32_t tag;

		ASSERT_EQ(0, kb_request(&self->kb, A, "x", i, &tag));
		ASSERT_EQ(0, kb_cancel(&self->kb, A, tag, &context));
		ASSERT_EQ(i, context);
	}
	advance(&writing.stop, 1);
	pthread_join(writing.thread, NULL);
	EXPECT_EQ(0, writing.err);
	EXPECT_GE(writing.writes, count / 20);
	TH_LOG("%u requests, %u parameters written", count, writing.writes);
}

TEST_HARNESS_MAIN
