// SPDX-License-Identifier: GPL-2.0-only
/*
 * Races of kexts that come and go, with the delays of the test build: retain, release and scan; unload with requests in
 * flight; a kext that lets go of itself; open against rmmod. Several kexts at a time, because a load and an unload
 * mostly wait. KEXTBRIDGE_ROUNDS and KEXTBRIDGE_SEED as for chaos.c.
 */
#include <inttypes.h>

#include "kselftest_harness.h"

#include "lib/chaos_fixture.h"

#define LANES 4
static const char *const modules[LANES] = {A, B, "kbtest_base", "kbtest_id63"};

static struct crew crew;

/* A kext of its own for each thread, and a part of the counts. */
struct lane {
	struct kb *kb;
	pthread_t thread;
	const char *module;
	uint32_t first; /* of its counts */
	uint32_t rounds, done;
	int control;
	const char *failed; /* the first thing that went wrong */
	int error;
	uint32_t outcomes[4];
};

#define LANE_COUNTS (KBTEST_COUNTS / LANES)

static int lane_fails(struct lane *lane, const char *what, int error)
{
	if (!lane->failed) {
		lane->failed = what;
		lane->error = error;
	}
	return error;
}

/* Every count of the lane is as expected (0 afterwards). */
static bool lane_counts(struct lane *lane, uint32_t *counts, uint32_t count)
{
	struct kbtest_counts take = {.counts = KB_STRING(counts), .from = lane->first, .count = count};

	return !ioctl(lane->kb->bench, KBTEST_IOC_COUNTS, &take);
}

static int lanes_run(struct kb *kb, struct lane *lanes, unsigned int count, void *(*function)(void *), uint32_t rounds)
{
	int err = 0;

	for (unsigned int i = 0; i < count && !err; i++) {
		lanes[i] = (struct lane){
			.kb = kb,
			.module = lanes[i].module ?: modules[i],
			.first = i * LANE_COUNTS,
			.rounds = (rounds + count - 1) / count,
			.control = open("/dev/kextbridge", O_RDWR | O_CLOEXEC),
		};
		err = pthread_create(&lanes[i].thread, NULL, function, &lanes[i]);
	}
	return err;
}

static uint32_t lanes_done(struct lane *lanes, unsigned int count)
{
	uint32_t done = 0;

	for (unsigned int i = 0; i < count; i++)
		done += __atomic_load_n(&lanes[i].done, __ATOMIC_ACQUIRE);
	return done;
}

static void lanes_join(struct lane *lanes, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		pthread_join(lanes[i].thread, NULL);
		close(lanes[i].control);
	}
}

static uint32_t outcome(struct lane *lanes, unsigned int count, unsigned int which)
{
	uint32_t sum = 0;

	for (unsigned int i = 0; i < count; i++)
		sum += lanes[i].outcomes[which];
	return sum;
}

/* ---- T-149: retains, releases and the scan */

#define BURST 50

/*
 * The two that retain and release the same kext. After a burst they pause for about as long as the scan needs: it finds
 * the kext idle, or they are quicker.
 */
struct holders {
	struct kb *kb;
	pthread_t thread;
	int cpu;
	uint32_t *finished;
	uint32_t operations;
	uint32_t limit;
	uint32_t stayed, went;
	const char *failed;
	int error;
};

static int hold_burst(struct holders *holders, uint32_t tag)
{
	struct kbtest_call pairs = {.op = KBTEST_PAIRS, .load_tag = tag, .count = 1 + kb_random() % BURST};
	int result = kb_kpi_retain(holders->kb, tag);

	if (result)
		return result;
	/* Whoever has decided to unload meanwhile must not come through. */
	usleep(kb_random() % 2000);
	result = kb_kpi_release(holders->kb, tag) ?: kb_call(holders->kb, &pairs);
	__atomic_add_fetch(&holders->operations, 2 + 2 * pairs.done, __ATOMIC_RELAXED);
	return result;
}

static void *hold_and_release(void *arg)
{
	struct holders *holders = arg;
	struct steer steer = {8000000};
	int control = open("/dev/kextbridge", O_RDWR | O_CLOEXEC);

	chaos_pin(holders->cpu);
	while (__atomic_load_n(&holders->operations, __ATOMIC_RELAXED) < holders->limit && !holders->failed) {
		uint32_t tag = kb_tag(holders->kb, A);
		int result = tag == TAG_INVALID ? kOSKextReturnNotFound : hold_burst(holders, tag);

		if (!result) {
			holders->stayed++;
			steer_later(&steer);
			/* 10 ms at most. */
			usleep(steer_ticks(&steer) / 1000);
			continue;
		}
		/* It is going, or gone: this waits for the end of the unload and gets the next one. */
		holders->went++;
		steer_sooner(&steer);
		if (result != kOSKextReturnNotFound) {
			holders->failed = "retain";
			holders->error = result;
			break;
		}
		result = kb_load(control, ID_A, KEXTBRIDGE_LOAD_WAIT);
		if (result) {
			holders->failed = "load";
			holders->error = result;
		}
	}
	close(control);
	__atomic_add_fetch(holders->finished, 1, __ATOMIC_RELEASE);
	return NULL;
}

TEST_F_TIMEOUT(chaos, T_149_retain_release_and_scan, 1800)
{
	uint32_t limit = kb_rounds(100000) / 2;
	struct holders holders[2] = {};
	uint64_t began = kb_now_ns(), autounloads = chaos_stat("autounloads");
	struct kbtest_totals totals;
	uint32_t wanted = kb_rounds(100), finished = 0, asked = 0, unloaded = 0, in_use = 0;
	int result;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 1));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, chaos_crew(&crew, self->kb.daemon, 2));
	ASSERT_EQ(0, kb_load(self->kb.control, ID_A, KEXTBRIDGE_LOAD_WAIT));
	for (int i = 0; i < 2; i++) {
		holders[i] = (struct holders){.kb = &self->kb, .cpu = i, .limit = limit, .finished = &finished};
		ASSERT_EQ(0, pthread_create(&holders[i].thread, NULL, hold_and_release, &holders[i]));
	}
	while (__atomic_load_n(&finished, __ATOMIC_ACQUIRE) < 2) {
		uint32_t tag = kb_tag(&self->kb, A);

		if (asked % 8 == 0)
			EXPECT_EQ(0, chaos_delays());
		/* Somebody who cannot wait for the scan. */
		result = kb_unload(self->kb.control, tag, 0);
		asked++;
		unloaded += !result;
		in_use += result == kOSKextReturnInUse;
		EXPECT_TRUE(!result || result == kOSKextReturnInUse || result == kOSKextReturnNotFound);
		usleep(kb_random() % 60000);
	}
	for (int i = 0; i < 2; i++) {
		pthread_join(holders[i].thread, NULL);
		EXPECT_EQ(NULL, holders[i].failed) TH_LOG("%s: 0x%08x", holders[i].failed, holders[i].error);
	}
	autounloads = chaos_stat("autounloads") - autounloads;
	ASSERT_TRUE(chaos_totals(&self->kb, &totals));
	TH_LOG("%u operations in %.1f s: the scan was quicker %u times, a retain %u times; %" PRIu64
	       " unloads by the scan, %u by a call, which was refused %u times; %u loads; stopped while retained %" PRIu64,
	       holders[0].operations + holders[1].operations, (kb_now_ns() - began) / 1e9,
	       holders[0].went + holders[1].went, holders[0].stayed + holders[1].stayed, autounloads, unloaded, in_use,
	       crew.loads, (uint64_t)totals.stops_retained);
	EXPECT_GE(holders[0].operations + holders[1].operations, 2 * limit);
	EXPECT_EQ(0, totals.stops_retained);
	EXPECT_GE(autounloads, wanted);
	EXPECT_GE(in_use, wanted);
	EXPECT_GE(holders[0].stayed + holders[1].stayed, wanted);
	/* It is idle now, or gone already: at last it goes. */
	for (uint64_t until = kb_now_ns() + CAP_MS * 1000000ull; kb_is_loaded(A) && kb_now_ns() < until;)
		kb_sleep_ms(5);
	EXPECT_FALSE(kb_is_loaded(A)) TH_LOG("the scan was lost");
	chaos_crew_end(&crew);
}

/* ---- T-062: unload with requests in flight */

enum { WAS_PENDING, WAS_FETCHED, WAS_ANSWERED };
#define IN_FLIGHT 12

/*
 * The daemon keeps some and answers some, which may wait for their callbacks; the last are made right before the
 * unload. Whatever state they are in then, each is called back once, and the kext is gone.
 */
static int unload_in_flight(struct lane *lane)
{
	uint32_t tags[IN_FLIGHT], counts[IN_FLIGHT];
	struct kbtest_request request = {.callback = KBTEST_COUNT, .count = IN_FLIGHT / 3};
	uint32_t tag;
	int err = chaos_insmod(lane->module);

	if (err)
		return lane_fails(lane, "insmod", err);
	tag = kb_tag(lane->kb, lane->module);
	snprintf(request.kext, sizeof(request.kext), "%s", lane->module);
	for (int third = 0; third < 3 && !err; third++) {
		request.context = KBTEST_BY_RESULT | (lane->first + third * (IN_FLIGHT / 3));
		request.tags = KB_STRING(tags + third * (IN_FLIGHT / 3));
		request.name = KB_STRING(third == 1 ? "answer" : "keep");
		err = kb_request_with(lane->kb, &request);
		if (third < 2)
			usleep(kb_random() % 1200);
	}
	if (err)
		return lane_fails(lane, "request", err);
	err = kb_unload(lane->control, tag, 0);
	if (err)
		return lane_fails(lane, "unload", err);
	if (!lane_counts(lane, counts, IN_FLIGHT))
		return lane_fails(lane, "counts", errno);
	for (int i = 0; i < IN_FLIGHT; i++) {
		uint8_t *mark = &crew.marks[tags[i] % CREW_MARKS];
		uint8_t seen = __atomic_exchange_n(mark, 0, __ATOMIC_RELAXED);
		bool answered = counts[i] == 1u << (8 * KBTEST_BYTE_SUCCESS);

		lane->outcomes[answered ? WAS_ANSWERED : seen ? WAS_FETCHED : WAS_PENDING]++;
		if (!answered && counts[i] != 1u << (8 * KBTEST_BYTE_TIMEOUT))
			return lane_fails(lane, "calls", counts[i]);
	}
	return 0;
}

static void *unloads_in_flight(void *arg)
{
	struct lane *lane = arg;

	while (lane->done < lane->rounds && !unload_in_flight(lane))
		__atomic_add_fetch(&lane->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

static bool lanes_busy(struct lane *lanes, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (!__atomic_load_n(&lanes[i].failed, __ATOMIC_ACQUIRE) &&
		    __atomic_load_n(&lanes[i].done, __ATOMIC_ACQUIRE) < lanes[i].rounds)
			return true;
	return false;
}

TEST_F_TIMEOUT(chaos, T_062_unload_with_requests_in_flight, 1800)
{
	uint32_t rounds = kb_rounds(1000), next_leaks = 250;
	struct lane lanes[LANES] = {};
	uint64_t began = kb_now_ns();
	struct kbtest_totals totals;

	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, chaos_crew(&crew, self->kb.daemon, 3));
	chaos_leaks_clear();
	ASSERT_EQ(0, lanes_run(&self->kb, lanes, LANES, unloads_in_flight, rounds));
	while (lanes_busy(lanes, LANES)) {
		EXPECT_EQ(0, chaos_delays());
		kb_sleep_ms(200);
		if (lanes_done(lanes, LANES) >= next_leaks) {
			next_leaks += 250;
			EXPECT_TRUE(chaos_no_leaks());
		}
	}
	lanes_join(lanes, LANES);
	chaos_crew_end(&crew);
	for (int i = 0; i < LANES; i++) {
		EXPECT_EQ(NULL, lanes[i].failed)
		TH_LOG("%s: %s: 0x%08x", lanes[i].module, lanes[i].failed, lanes[i].error);
	}
	ASSERT_TRUE(chaos_totals(&self->kb, &totals));
	TH_LOG("%u unloads in %.1f s; of %u requests %u were answered, %u in the daemon's hands, %u pending; accepted %" PRIu64
	       ", called back %" PRIu64,
	       lanes_done(lanes, LANES), (kb_now_ns() - began) / 1e9, lanes_done(lanes, LANES) * IN_FLIGHT,
	       outcome(lanes, LANES, WAS_ANSWERED), outcome(lanes, LANES, WAS_FETCHED),
	       outcome(lanes, LANES, WAS_PENDING), (uint64_t)totals.accepted, (uint64_t)totals.called_back);
	EXPECT_GE(lanes_done(lanes, LANES), rounds);
	EXPECT_EQ(totals.accepted, totals.called_back);
	EXPECT_EQ(crew.answered, outcome(lanes, LANES, WAS_ANSWERED));
	for (int i = 0; i < 3; i++)
		EXPECT_GE(outcome(lanes, LANES, i), rounds / 4);
	EXPECT_TRUE(chaos_no_leaks());
	/* The books of all these unloads; then all of it can leave. */
	ASSERT_EQ(0, kb_teardown(&self->kb));
	EXPECT_TRUE(chaos_balanced(self->live));
	ASSERT_EQ(0, kb_setup(&self->kb, NULL));
	EXPECT_EQ(0, chaos_rmmod_all(&self->kb));
	ASSERT_EQ(0, kb_setup(&self->kb, NULL));
}

/* ---- T-070: a kext that lets go of itself in its callback, and is unloaded */

enum { BY_SCAN, BY_CALL, BY_RMMOD };

/* Until the module is gone: by the scan, or by whoever asks for it again and again. */
static int wait_gone(struct lane *lane, uint32_t tag, int how)
{
	uint64_t until = kb_now_ns() + CAP_MS * 1000000ull;
	int err;

	while (kb_is_loaded(lane->module) && kb_now_ns() < until) {
		switch (how) {
		case BY_CALL:
			err = kb_unload(lane->control, tag, 0);
			if (err && err != kOSKextReturnInUse && err != kOSKextReturnNotFound)
				return lane_fails(lane, "unload", err);
			break;
		case BY_RMMOD:
			err = kb_rmmod(lane->module);
			if (err && err != EAGAIN && err != EBUSY && err != ENOENT)
				return lane_fails(lane, "rmmod", err);
			break;
		}
		if (how == BY_SCAN)
			kb_sleep_ms(1);
		else
			usleep(kb_random() % 80);
	}
	return kb_is_loaded(lane->module) ? lane_fails(lane, "it stayed", how) : 0;
}

static int release_oneself(struct lane *lane)
{
	bool plain = !strcmp(lane->module, "kbtest_plain");
	struct kbtest_request request = {.callback = KBTEST_RELEASE_SELF, .context = KBTEST_BY_RESULT | lane->first};
	struct kbtest_call retain = {.op = KBTEST_RETAIN, .count = 1};
	uint32_t count = 0;
	int how = plain ? BY_RMMOD : kb_random() % 2 ? BY_CALL : BY_SCAN;
	int err = chaos_insmod(lane->module);

	if (err)
		return lane_fails(lane, "insmod", err);
	retain.load_tag = kb_tag(lane->kb, lane->module);
	err = kb_retain(lane->control, retain.load_tag);
	if (err)
		return lane_fails(lane, "retain", err);
	snprintf(request.kext, sizeof(request.kext), "%s", lane->module);
	err = kb_request_with(lane->kb, &request);
	if (err)
		return lane_fails(lane, "request", err);
	err = wait_gone(lane, retain.load_tag, how);
	if (err)
		return err;
	lane->outcomes[how]++;
	if (!lane_counts(lane, &count, 1) || count != 1u << (8 * KBTEST_BYTE_SUCCESS))
		return lane_fails(lane, "calls", count);
	return 0;
}

static void *releases_of_oneself(void *arg)
{
	struct lane *lane = arg;

	while (lane->done < lane->rounds && !release_oneself(lane))
		__atomic_add_fetch(&lane->done, 1, __ATOMIC_RELEASE);
	return NULL;
}

TEST_F_TIMEOUT(chaos, T_070_release_in_its_own_callback, 1800)
{
	uint32_t rounds = kb_rounds_from(60, 2000);
	struct lane lanes[LANES] = {
		{.module = A}, {.module = B}, {.module = "kbtest_base"}, {.module = "kbtest_plain"}};
	uint64_t began = kb_now_ns();
	struct kbtest_totals totals;

	ASSERT_EQ(0, kb_param_ms("autounload_delay_ms", 1));
	ASSERT_EQ(0, kb_daemon(&self->kb));
	ASSERT_EQ(0, chaos_crew(&crew, self->kb.daemon, 3));
	ASSERT_EQ(0, lanes_run(&self->kb, lanes, LANES, releases_of_oneself, rounds));
	while (lanes_busy(lanes, LANES)) {
		EXPECT_EQ(0, chaos_delays());
		kb_sleep_ms(200);
	}
	lanes_join(lanes, LANES);
	chaos_crew_end(&crew);
	for (int i = 0; i < LANES; i++) {
		EXPECT_EQ(NULL, lanes[i].failed)
		TH_LOG("%s: %s: 0x%08x", lanes[i].module, lanes[i].failed, lanes[i].error);
	}
	ASSERT_TRUE(chaos_totals(&self->kb, &totals));
	EXPECT_EQ(0, totals.stops_in_callback);
	TH_LOG("%u unloads in %.1f s: %u by the scan, %u by a call, %u by rmmod", lanes_done(lanes, LANES),
	       (kb_now_ns() - began) / 1e9, outcome(lanes, LANES, BY_SCAN), outcome(lanes, LANES, BY_CALL),
	       outcome(lanes, LANES, BY_RMMOD));
	EXPECT_GE(lanes_done(lanes, LANES), rounds);
	for (int i = 0; i < 3; i++)
		EXPECT_GE(outcome(lanes, LANES, i), rounds / 10);
}

/* ---- open against rmmod of the core */

struct opener {
	pthread_t thread;
	const bool *stop;
	uint32_t opened, absent, busy, read;
	int error;
};

/* Both nodes, and calls on them. */
static void *open_and_close(void *arg)
{
	struct opener *opener = arg;
	struct kb kb = {};
	struct kextbridge_status status;

	while (!__atomic_load_n(opener->stop, __ATOMIC_RELAXED)) {
		int daemon = kb_open_daemon();

		kb.control = open("/dev/kextbridge", O_RDWR | O_CLOEXEC);
		if (kb.control >= 0) {
			opener->opened++;
			if (!kb_status(&kb, &status))
				opener->error = errno;
			close(kb.control);
		} else if (errno == ENOENT || errno == ENODEV || errno == ENXIO) {
			opener->absent++;
		} else {
			opener->error = errno;
		}
		if (daemon >= 0) {
			struct kb_record record;
			int err = kb_fetch(daemon, &record, 0);

			if (err && err != EAGAIN)
				opener->error = err;
			close(daemon);
		} else if (daemon != -ENOENT && daemon != -ENODEV && daemon != -ENXIO && daemon != -EBUSY) {
			opener->error = -daemon;
		}
		/* Mostly away, so that rmmod comes through. */
		usleep(kb_random() % 1600);
	}
	return NULL;
}

static void *read_attributes(void *arg)
{
	static const char *const files[] = {
		"/sys/class/misc/kextbridge/stats", "/sys/module/kextbridge/parameters/live_allocations",
		"/sys/module/kextbridge/parameters/unload_result", "/sys/module/kextbridge/parameters/max_pending",
		"/sys/module/kextbridge/parameters/chaos_delays"};
	struct opener *opener = arg;

	for (unsigned int i = 0; !__atomic_load_n(opener->stop, __ATOMIC_RELAXED); i++) {
		char text[4096];
		int fd = open(files[i % 5], O_RDONLY | O_CLOEXEC);
		ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text));

		if (length > 0)
			opener->read++;
		else if (errno == ENOENT || errno == ENODEV)
			opener->absent++;
		else
			opener->error = errno;
		if (fd >= 0)
			close(fd);
		usleep(kb_random() % 400);
	}
	return NULL;
}

TEST_F_TIMEOUT(chaos, open_against_rmmod, 1800)
{
	uint32_t rounds = kb_rounds(300), went = 0, busy = 0;
	struct opener openers[2] = {}, readers[1] = {};
	uint64_t began = kb_now_ns();
	bool stop = false;
	long fresh;

	ASSERT_EQ(0, chaos_rmmod_all(&self->kb));
	ASSERT_EQ(0, kb_insmod("kextbridge"));
	fresh = chaos_live();
	for (int i = 0; i < 2; i++) {
		openers[i].stop = &stop;
		ASSERT_EQ(0, pthread_create(&openers[i].thread, NULL, open_and_close, &openers[i]));
	}
	readers[0].stop = &stop;
	ASSERT_EQ(0, pthread_create(&readers[0].thread, NULL, read_attributes, &readers[0]));
	while (went < rounds && kb_now_ns() - began < 1200 * 1000000000ull) {
		int err = kb_rmmod("kextbridge");

		if (err == EAGAIN || err == EBUSY) {
			busy++;
			usleep(kb_random() % 40);
			continue;
		}
		ASSERT_EQ(0, err);
		went++;
		err = kb_insmod_with("kextbridge", kb_random() % 2 ? "chaos_permille=100 chaos_us=300" : "");
		ASSERT_EQ(0, err);
		usleep(kb_random() % 400);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++) {
		pthread_join(openers[i].thread, NULL);
		EXPECT_EQ(0, openers[i].error);
		EXPECT_GE(openers[i].opened, rounds);
		EXPECT_GE(openers[i].absent, rounds / 10);
	}
	pthread_join(readers[0].thread, NULL);
	TH_LOG("%u times removed in %.1f s, refused %u times; opened %u times, not there %u times; %u attributes read, %u not "
	       "there",
	       went, (kb_now_ns() - began) / 1e9, busy, openers[0].opened + openers[1].opened,
	       openers[0].absent + openers[1].absent, readers[0].read, readers[0].absent);
	EXPECT_EQ(rounds, went);
	EXPECT_GE(busy, rounds / 10);
	EXPECT_EQ(0, readers[0].error);
	EXPECT_GE(readers[0].read, rounds);
	EXPECT_EQ(fresh, chaos_live());
	ASSERT_EQ(0, kb_setup(&self->kb, NULL));
	ASSERT_EQ(0, chaos_calm());
}

TEST_HARNESS_MAIN
