// SPDX-License-Identifier: GPL-2.0-only
/*
 * KMDF: races between the driver and cancellation, over and over: one of the two goes when the other is about to, after a
 * delay that is steered so that both outcomes come up. KEXTBRIDGE_SEED repeats a run as far as a race can be repeated.
 */
#include <semaphore.h>
#include <time.h>

#include "kselftest_harness.h"

#include "lib/km_fixture.h"
#include "lib/race.h"

#define CANCELLED .status = STATUS_CANCELLED

enum { BATCH = 16, FIRST_OF = 200, LOWER_FIRST = 240 };
enum { LOWER = 130, LOWER_QUEUE = 131, TARGET = 132 };

/* ---- clients that ask again and again */

struct asker {
	pthread_t thread;
	struct km *km;
	struct kmtest_script script;
	sem_t go, done;
	int32_t status;
	bool quit;
};

static void *ask(void *arg)
{
	struct asker *asker = arg;

	for (;;) {
		struct kmdf_device_control args = {
			.size = sizeof(args),
			.code = KMTEST_REQUEST,
			.in = (uintptr_t)&asker->script,
			.in_length = sizeof(asker->script),
			.tag = asker->script.slot,
		};

		while (sem_wait(&asker->go))
			;
		if (asker->quit)
			return NULL;
		asker->status = ioctl(asker->km->fd, KMDF_IOC_DEVICE_CONTROL, &args) ? KM_ERRNO(errno) : args.status;
		sem_post(&asker->done);
	}
}

static int start_askers(struct asker askers[BATCH], struct km *km, const struct kmtest_script *script)
{
	int err = 0;

	for (int i = 0; i < BATCH && !err; i++) {
		askers[i] = (struct asker){.km = km, .script = *script};
		askers[i].script.slot = FIRST_OF + i;
		askers[i].script.flags |= KMTEST_QUIET;
		sem_init(&askers[i].go, 0, 0);
		sem_init(&askers[i].done, 0, 0);
		err = pthread_create(&askers[i].thread, NULL, ask, &askers[i]);
	}
	return err;
}

static void stop_askers(struct asker askers[BATCH])
{
	for (int i = 0; i < BATCH; i++) {
		askers[i].quit = true;
		sem_post(&askers[i].go);
		pthread_join(askers[i].thread, NULL);
	}
}

static bool answered(struct asker *asker)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += KM_SOON_MS / 1000;
	while (sem_timedwait(&asker->done, &until))
		if (errno != EINTR)
			return false;
	return true;
}

/* All requests are the driver's, and it has done with them what it does when it gets them. */
static bool all_delivered(struct km *km, uint32_t first, uint64_t handles[BATCH])
{
	uint64_t until = kb_now_ns() + KM_SOON_MS * 1000000ull;
	struct kmtest_look look = {.count = BATCH};
	int ready;

	do {
		ready = 0;
		for (int i = 0; i < BATCH; i++)
			look.slots[i].slot = first + i;
		if (km_look(km, &look))
			return false;
		for (int i = 0; i < BATCH; i++)
			ready += look.slots[i].handle != handles[i] && look.slots[i].done;
		if (ready < BATCH)
			sched_yield();
	} while (ready < BATCH && kb_now_ns() < until);
	for (int i = 0; i < BATCH; i++)
		handles[i] = look.slots[i].handle;
	return ready == BATCH;
}

/* ---- the race itself: `other` on a thread, `own` on the test's */

struct contest {
	struct km *km;
	void (*other)(struct contest *contest, unsigned int which);
	bool (*own)(struct contest *contest, unsigned int which); /* it has won */
	struct kmtest_op ops[BATCH][8];                           /* what other did, or own */
	struct kmdf_cancel cancels[BATCH];
	uint32_t issued, ready, begun, ended, count; /* as in race.c */
	struct steer steer;
	uint64_t lead; /* what `other` lingers at least: longer when `own` is too late without any delay of its own */
	uint32_t won, overlaps;
	uint64_t other_began[BATCH], other_ended[BATCH];
};

static void *other_side(void *arg)
{
	struct contest *contest = arg;

	for (uint32_t number = 1; number <= contest->count; number++) {
		unsigned int which = (number - 1) % BATCH;

		await(&contest->issued, number);
		await_for(&contest->ready, number, 200000);
		advance(&contest->begun, number);
		/* So long that the own side, which begins to linger now, can be the first. */
		linger(__atomic_load_n(&contest->lead, __ATOMIC_RELAXED) + kb_random() % 20000);
		contest->other_began[which] = __rdtsc();
		contest->other(contest, which);
		contest->other_ended[which] = __rdtsc();
		advance(&contest->ended, number);
	}
	return NULL;
}

enum { LEAST_LEAD = 40000, MOST_LEAD = 1000000 };

static void steer_both(struct contest *contest, bool won)
{
	uint64_t lead = contest->lead;

	if (won && lead > LEAST_LEAD)
		lead -= lead / 16;
	else if (won)
		steer_later(&contest->steer);
	else if (contest->steer.ticks)
		steer_sooner(&contest->steer);
	else if (lead < MOST_LEAD)
		lead += lead / 16;
	__atomic_store_n(&contest->lead, lead, __ATOMIC_RELAXED);
}

/* `batch` counts from 0; both sides are done with it on return. */
static void race_batch(struct contest *contest, uint32_t batch)
{
	uint64_t own_began[BATCH], own_ended[BATCH];
	uint32_t first = batch * BATCH + 1;

	advance(&contest->issued, first + BATCH - 1);
	for (uint32_t number = first; number < first + BATCH; number++) {
		unsigned int which = (number - 1) % BATCH;
		bool close, won;

		advance(&contest->ready, number);
		await(&contest->begun, number);
		close = __atomic_load_n(&contest->begun, __ATOMIC_RELAXED) == number;
		if (close)
			linger(steer_ticks(&contest->steer));
		own_began[which] = __rdtsc();
		won = contest->own(contest, which);
		own_ended[which] = __rdtsc();
		contest->won += won;
		if (close)
			steer_both(contest, won);
	}
	await(&contest->ended, first + BATCH - 1);
	for (int i = 0; i < BATCH; i++)
		contest->overlaps += own_began[i] < contest->other_ended[i] && contest->other_began[i] < own_ended[i];
}

/* ops of contest->ops[which] are done, those of the pattern with the slots of this one. */
static void do_ops(struct contest *contest, unsigned int which, const struct kmtest_op *pattern, unsigned int count)
{
	memcpy(contest->ops[which], pattern, count * sizeof(*pattern));
	for (unsigned int i = 0; i < count; i++)
		if (!contest->ops[which][i].slot)
			contest->ops[which][i].slot = FIRST_OF + which;
	if (km_run(contest->km, FIRST_OF + which, contest->ops[which], count))
		contest->ops[which][0].status = KM_ERRNO(EIO);
}

static bool cancel_it(struct contest *contest, unsigned int which)
{
	contest->cancels[which] = km_cancel(contest->km, FIRST_OF + which);
	return contest->cancels[which].notified || contest->cancels[which].finished;
}

static int look_at(struct km *km, struct kmtest_look *look, uint32_t first)
{
	*look = (struct kmtest_look){.count = BATCH};
	for (int i = 0; i < BATCH; i++)
		look->slots[i].slot = first + i;
	return km_look(km, look);
}

/* An eighth of them by itself; KEXTBRIDGE_ROUNDS=8, as scripts/test --deep has it, is all. */
#define BEGIN_CONTEST(contest, other_, own_, full)                                    \
	(contest) = (struct contest){.km = &self->km,                                 \
				     .other = (other_),                               \
				     .own = (own_),                                   \
				     .steer = {20000},                                \
				     .lead = LEAST_LEAD,                              \
				     .count = kb_rounds((full) / 8 / BATCH) * BATCH}; \
	ASSERT_LE(2, sysconf(_SC_NPROCESSORS_ONLN));                                  \
	ASSERT_EQ(0, pthread_create(&thread, NULL, other_side, &(contest)))

/* ---- W-09: unmark against cancel */

static void unmark_and_complete(struct contest *contest, unsigned int which)
{
	static const struct kmtest_op pattern[] = {
		OP(UNMARK),
		OP(COMPLETE, .only_if = KMTEST_UNLESS_CANCELLED),
		OP(DEREFERENCE),
	};

	do_ops(contest, which, pattern, 3);
}

static void unmark_against_cancel(struct __test_metadata *_metadata, FIXTURE_DATA(driver) * self, uint32_t full,
				  const struct kmtest_script *script)
{
	unsigned int by_driver = 0, by_callback = 0, both = 0, neither = 0, wrong = 0;
	static struct asker askers[BATCH];
	uint64_t began = kb_now_ns(), handles[BATCH] = {};
	static struct contest contest;
	struct kmtest_look look;
	pthread_t thread;

	ASSERT_EQ(0, start_askers(askers, &self->km, script));
	BEGIN_CONTEST(contest, unmark_and_complete, cancel_it, full);
	for (uint32_t batch = 0; batch < contest.count / BATCH; batch++) {
		for (int i = 0; i < BATCH; i++)
			sem_post(&askers[i].go);
		ASSERT_TRUE(all_delivered(&self->km, FIRST_OF, handles)) TH_LOG("batch %u", batch);
		race_batch(&contest, batch);
		for (int i = 0; i < BATCH; i++) {
			ASSERT_TRUE(answered(&askers[i]))
			TH_LOG("batch %u: unmark says %#x", batch, contest.ops[i][0].status);
		}
		ASSERT_EQ(0, look_at(&self->km, &look, FIRST_OF));
		for (int i = 0; i < BATCH; i++) {
			uint32_t callbacks = look.slots[i].counts[KMTEST_AT_CANCEL];
			int32_t unmarked = contest.ops[i][0].status;

			by_driver += unmarked == STATUS_SUCCESS;
			by_callback += callbacks;
			both += unmarked == STATUS_SUCCESS && callbacks;
			neither += unmarked == STATUS_CANCELLED && !callbacks;
			wrong += callbacks > 1 || (unmarked != STATUS_SUCCESS && unmarked != STATUS_CANCELLED) ||
				 askers[i].status != unmarked ||
				 (unmarked == STATUS_SUCCESS) == (contest.cancels[i].notified == 1);
		}
	}
	pthread_join(thread, NULL);
	stop_askers(askers);
	TH_LOG("%u races in %.1f s: %u by the driver, %u by EvtRequestCancel, %u overlaps, both %u, neither %u",
	       contest.count, (kb_now_ns() - began) / 1e9, by_driver, by_callback, contest.overlaps, both, neither);
	EXPECT_EQ(0, both);
	EXPECT_EQ(0, neither);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(contest.count, by_driver + by_callback);
	EXPECT_GE(by_driver, contest.count / 128);
	EXPECT_GE(by_callback, contest.count / 128);
	EXPECT_GE(contest.overlaps, contest.count / 128);
}

/* The reference is that of who unmarks it, perhaps after it was completed. */
static const struct kmtest_script marks = {
	.ops = {AT(IO, REFERENCE), AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED)},
};

TEST_F_TIMEOUT(driver, W_009_unmark_against_cancel, 600)
{
	USE_QUEUE(.type = PARALLEL);
	unmark_against_cancel(_metadata, self, 102400, &marks);
}

TEST_F_TIMEOUT(driver, W_009_unmark_against_cancel_synchronized, 600)
{
	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_QUEUE);
	unmark_against_cancel(_metadata, self, 12800, &marks);
}

TEST_F_TIMEOUT(driver, W_009_unmark_against_cancel_passive, 600)
{
	USE_QUEUE(.type = PARALLEL, .level = LEVEL_PASSIVE);
	unmark_against_cancel(_metadata, self, 12800, &marks);
}

/* ---- W-52: forward against cancel */

static void forward_it(struct contest *contest, unsigned int which)
{
	static const struct kmtest_op pattern[] = {OP(FORWARD, .other = OTHER_QUEUE)};

	do_ops(contest, which, pattern, 1);
}

/* The cancel finds it with the driver: it came first. */
static bool cancel_before(struct contest *contest, unsigned int which)
{
	cancel_it(contest, which);
	return contest->cancels[which].flagged;
}

TEST_F_TIMEOUT(driver, W_052_forward_against_cancel, 600)
{
	unsigned int before = 0, after = 0, wrong = 0, seen_again = 0;
	static const struct kmtest_script script = {.ops = {AT(IO, NOTE)}};
	static struct asker askers[BATCH];
	uint64_t began = kb_now_ns(), handles[BATCH] = {};
	static struct contest contest;
	struct kmtest_look look;
	pthread_t thread;

	USE_QUEUE(.type = PARALLEL);
	ASSERT_EQ(STATUS_SUCCESS, km_queue(&self->km, &(struct kmtest_queue){OTHER_QUEUE, KM_OWN_DEVICE, MANUAL}));
	ASSERT_EQ(0, start_askers(askers, &self->km, &script));
	BEGIN_CONTEST(contest, forward_it, cancel_before, 102400);
	for (uint32_t batch = 0; batch < contest.count / BATCH; batch++) {
		for (int i = 0; i < BATCH; i++)
			sem_post(&askers[i].go);
		ASSERT_TRUE(all_delivered(&self->km, FIRST_OF, handles)) TH_LOG("batch %u", batch);
		race_batch(&contest, batch);
		for (int i = 0; i < BATCH; i++) {
			ASSERT_TRUE(answered(&askers[i]))
			TH_LOG("batch %u: forward says %#x", batch, contest.ops[i][0].status);
		}
		ASSERT_EQ(0, look_at(&self->km, &look, FIRST_OF));
		for (int i = 0; i < BATCH; i++) {
			before += contest.cancels[i].flagged;
			after += contest.cancels[i].finished;
			seen_again += look.slots[i].counts[KMTEST_AT_CANCEL] + look.slots[i].counts[KMTEST_AT_AGAIN] +
				      look.slots[i].counts[KMTEST_AT_ON_QUEUE];
			wrong += contest.ops[i][0].status != STATUS_SUCCESS || askers[i].status != STATUS_CANCELLED ||
				 contest.cancels[i].found != 1 || contest.cancels[i].notified;
		}
	}
	pthread_join(thread, NULL);
	stop_askers(askers);
	TH_LOG("%u races in %.1f s: %u cancelled before, %u in the queue, %u overlaps, %u seen again", contest.count,
	       (kb_now_ns() - began) / 1e9, before, after, contest.overlaps, seen_again);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(0, seen_again);
	EXPECT_GE(before, contest.count / 128);
	EXPECT_GE(after, contest.count / 128);
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(RETRIEVE_NEXT, OTHER_QUEUE));
}

/* ---- W-47, W-45: retrieve against cancel */

static void retrieve_one(struct contest *contest, unsigned int which)
{
	static const struct kmtest_op pattern[] = {OP(RETRIEVE_NEXT, .slot = QUEUE)};

	do_ops(contest, which, pattern, 1);
}

/* The one that the driver would get: each that was cancelled brings it a place further on. */
static unsigned int cancelled_so_far;

static bool cancel_the_first(struct contest *contest, unsigned int which)
{
	unsigned int first;
	bool won;

	if (!which)
		cancelled_so_far = 0;
	first = which + cancelled_so_far;
	/* None is left; the delays stay what they are. */
	if (first >= BATCH)
		return which & 1;
	won = cancel_it(contest, first);
	cancelled_so_far += won;
	return won;
}

/* Of those that wait, the driver takes the first, while a client cancels it. */
TEST_F_TIMEOUT(driver, W_047_retrieve_against_cancel, 600)
{
	unsigned int cancelled = 0, retrieved = 0, empty = 0, wrong = 0;
	static const struct kmtest_script script = {};
	static struct asker askers[BATCH];
	static struct contest contest;
	uint64_t began = kb_now_ns();
	pthread_t thread;

	USE_MANUAL();
	ASSERT_EQ(0, start_askers(askers, &self->km, &script));
	BEGIN_CONTEST(contest, retrieve_one, cancel_the_first, 25600);
	for (uint32_t batch = 0; batch < contest.count / BATCH; batch++) {
		bool owned[BATCH] = {};

		/* One after the other, so that both sides come to each of them in turn. */
		for (int i = 0; i < BATCH; i++) {
			sem_post(&askers[i].go);
			while (KMTEST_QUEUED(VALUE(QUEUE_STATE, QUEUE)) != (uint32_t)i + 1)
				sched_yield();
		}
		memset(contest.cancels, 0, sizeof(contest.cancels));
		race_batch(&contest, batch);
		for (int i = 0; i < BATCH; i++) {
			uint64_t slot = contest.ops[i][0].value;

			empty += contest.ops[i][0].status == STATUS_NO_MORE_ENTRIES;
			if (contest.ops[i][0].status)
				continue;
			ASSERT_LE(FIRST_OF, slot);
			ASSERT_GT(FIRST_OF + BATCH, slot);
			wrong += owned[slot - FIRST_OF];
			owned[slot - FIRST_OF] = true;
		}
		for (int i = 0; i < BATCH; i++) {
			if (owned[i])
				DO(COMPLETE, FIRST_OF + i);
			ASSERT_TRUE(answered(&askers[i])) TH_LOG("batch %u", batch);
			retrieved += owned[i];
			cancelled += contest.cancels[i].finished;
			wrong += owned[i] == (contest.cancels[i].finished == 1) ||
				 askers[i].status != (owned[i] ? STATUS_SUCCESS : STATUS_CANCELLED);
		}
	}
	pthread_join(thread, NULL);
	stop_askers(askers);
	TH_LOG("%u races in %.1f s: %u retrieved, %u cancelled, %u found nothing, %u overlaps", contest.count,
	       (kb_now_ns() - began) / 1e9, retrieved, cancelled, empty, contest.overlaps);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(contest.count, retrieved + cancelled);
	EXPECT_GE(retrieved, contest.count / 128);
	EXPECT_GE(cancelled, contest.count / 128);
}

/* ---- the two ways to synchronize by hand (kmdf.md part 5) */

static void complete_by_exchange(struct contest *contest, unsigned int which)
{
	static const struct kmtest_op pattern[] = {
		OP(UNMARK),
		OP(COMPLETE, .only_if = KMTEST_UNLESS_CANCELLED),
		OP(SWAP, .only_if = KMTEST_IF_CANCELLED),
		OP(COMPLETE, .only_if = KMTEST_IF_VALUE, CANCELLED),
	};

	do_ops(contest, which, pattern, 4);
}

static void complete_from_the_list(struct contest *contest, unsigned int which)
{
	static const struct kmtest_op pattern[] = {
		OP(SPIN_ACQUIRE, .slot = LOCK),
		OP(UNLIST),
		OP(UNMARK, .only_if = KMTEST_IF_SUCCESS),
		OP(SPIN_RELEASE, .slot = LOCK),
		OP(COMPLETE, .only_if = KMTEST_IF_SUCCESS),
	};

	do_ops(contest, which, pattern, 5);
}

static void by_hand(struct __test_metadata *_metadata, FIXTURE_DATA(driver) * self, const struct kmtest_script *script,
		    void (*other)(struct contest *contest, unsigned int which))
{
	unsigned int succeeded = 0, cancelled = 0, wrong = 0;
	static struct asker askers[BATCH];
	uint64_t began = kb_now_ns(), handles[BATCH] = {};
	static struct contest contest;
	struct kmtest_look look;
	pthread_t thread;

	USE_QUEUE(.type = PARALLEL);
	ASSERT_EQ(STATUS_SUCCESS, DO(SPIN_CREATE, LOCK));
	ASSERT_EQ(0, start_askers(askers, &self->km, script));
	BEGIN_CONTEST(contest, other, cancel_it, 25600);
	for (uint32_t batch = 0; batch < contest.count / BATCH; batch++) {
		for (int i = 0; i < BATCH; i++)
			sem_post(&askers[i].go);
		ASSERT_TRUE(all_delivered(&self->km, FIRST_OF, handles)) TH_LOG("batch %u", batch);
		race_batch(&contest, batch);
		for (int i = 0; i < BATCH; i++) {
			ASSERT_TRUE(answered(&askers[i])) TH_LOG("batch %u", batch);
		}
		ASSERT_EQ(0, look_at(&self->km, &look, FIRST_OF));
		for (int i = 0; i < BATCH; i++) {
			succeeded += askers[i].status == STATUS_SUCCESS;
			cancelled += askers[i].status == STATUS_CANCELLED;
			wrong += look.slots[i].counts[KMTEST_AT_CLEANUP] != 1;
		}
	}
	pthread_join(thread, NULL);
	stop_askers(askers);
	TH_LOG("%u races in %.1f s: %u completed, %u cancelled, %u overlaps", contest.count,
	       (kb_now_ns() - began) / 1e9, succeeded, cancelled, contest.overlaps);
	EXPECT_EQ(0, wrong);
	EXPECT_EQ(contest.count, succeeded + cancelled);
	EXPECT_GE(succeeded, contest.count / 128);
	EXPECT_GE(cancelled, contest.count / 128);
	/* Neither completes what the other has completed. */
	EXPECT_EQ(0, km_broken_any(&self->km));
}

/* Who comes last completes it; the flag says who that is. */
TEST_F_TIMEOUT(driver, W_009_last_one_out_completes, 600)
{
	static const struct kmtest_script script = {
		.ops = {AT(IO, MARK_EX), AT(CANCEL, SWAP), AT(CANCEL, COMPLETE, .only_if = KMTEST_IF_VALUE, CANCELLED)},
	};

	by_hand(_metadata, self, &script, complete_by_exchange);
}

/* What is on the list is unmarked under its lock; EvtRequestCancel always completes. */
TEST_F_TIMEOUT(driver, W_009_list_under_a_lock, 600)
{
	static const struct kmtest_script script = {
		.ops = {AT(IO, SPIN_ACQUIRE, .slot = LOCK), AT(IO, LIST), AT(IO, MARK_EX),
			AT(IO, SPIN_RELEASE, .slot = LOCK), AT(CANCEL, SPIN_ACQUIRE, .slot = LOCK), AT(CANCEL, UNLIST),
			AT(CANCEL, SPIN_RELEASE, .slot = LOCK), AT(CANCEL, COMPLETE, CANCELLED)},
	};

	by_hand(_metadata, self, &script, complete_from_the_list);
}

/* ---- W-79, W-90: cancelling what is sent, against its completion and its timeout */

static int make_lower(struct km *km, const struct kmtest_script *script)
{
	struct kmtest_device device = {
		.name = "kmtest_lower",
		.slot = LOWER,
		.count = 1,
		.queues = {{LOWER_QUEUE, .type = PARALLEL, .flags = KMTEST_DEFAULT_QUEUE,
			    .handlers = KMTEST_HANDLE_CONTROL}},
	};
	struct kmtest_op ops[] = {OP(TARGET_CREATE, .slot = TARGET, .other = KMTEST_DEVICE),
				  OP(TARGET_OPEN, .slot = TARGET, .other = LOWER)};
	int fd = km_device(km, &device), err;

	if (fd < 0)
		return -fd;
	close(fd);
	err = km_run(km, 0, ops, 2) ?: ops[0].status || ops[1].status ? EIO : 0;
	return err ?: km_script(km, script);
}

static uint16_t slots_below[BATCH]; /* of what is sent; 0: it has not come there */

static void complete_below(struct contest *contest, unsigned int which)
{
	uint16_t slot = slots_below[which];
	struct kmtest_op pattern[] = {
		OP(UNMARK, .slot = slot),
		OP(COMPLETE, .slot = slot, .only_if = KMTEST_UNLESS_CANCELLED),
	};

	contest->ops[which][0].status = KMTEST_SKIPPED;
	if (slot)
		do_ops(contest, which, pattern, 2);
}

/*
 * What was sent from `slot` has come to the `next` slot below, or is back already: the timer may be faster than the
 * delivery is on a machine that stands still.
 */
static bool sent_is_below(struct km *km, uint16_t slot, uint16_t next, uint64_t *handle, bool *below)
{
	uint64_t until = kb_now_ns() + KM_SOON_MS * 1000000ull;
	struct kmtest_look look = {.count = 2, .slots = {{.slot = slot}, {.slot = next}}};
	bool ready = false;

	do {
		if (km_look(km, &look))
			return false;
		/* ORDER: what is back came there before, if it did; the upper slot is looked at first. */
		*below = look.slots[1].handle != *handle;
		ready = look.slots[0].counts[KMTEST_AT_COMPLETION] || (*below && look.slots[1].done);
		if (!ready)
			sched_yield();
	} while (!ready && kb_now_ns() < until);
	*handle = look.slots[1].handle;
	return ready;
}

static uint32_t cancelled_there[BATCH];

static bool cancel_sent(struct contest *contest, unsigned int which)
{
	struct kmtest_op ops[] = {
		OP(SPIN_ACQUIRE, .slot = LOCK),
		OP(REFERENCE_LISTED, .slot = FIRST_OF + which),
		OP(SPIN_RELEASE, .slot = LOCK),
		OP(CANCEL_SENT, .slot = FIRST_OF + which, .only_if = KMTEST_IF_SUCCESS),
		OP(DEREFERENCE, .slot = FIRST_OF + which, .only_if = KMTEST_IF_SUCCESS),
	};

	if (km_run(contest->km, 0, ops, 5))
		return false;
	cancelled_there[which] = ops[3].status == STATUS_SUCCESS && ops[3].value;
	return cancelled_there[which];
}

/*
 * The driver's own requests are sent, completed below and cancelled. `delete`: the completion routine deletes them; else
 * they are used again.
 */
static void cancel_against_completion(struct __test_metadata *_metadata, FIXTURE_DATA(driver) * self, uint32_t full,
				      bool delete, unsigned int timeout_ms)
{
	static const struct kmtest_script lower = {
		.slot = LOWER_QUEUE,
		.flags = KMTEST_OWN_SCRIPT | KMTEST_QUIET,
		.first = LOWER_FIRST,
		.count = BATCH,
		.ops = {AT(IO, MARK_EX), AT(IO, COMPLETE, .only_if = KMTEST_IF_FAILED, CANCELLED),
			AT(CANCEL, COMPLETE, CANCELLED)},
	};
	unsigned int succeeded = 0, cancelled = 0, timed_out = 0, both = 0, neither = 0, wrong = 0, delivered = 0;
	uint64_t began = kb_now_ns(), handles[BATCH] = {};
	static struct contest contest;
	struct kmtest_look look;
	pthread_t thread;

	ASSERT_EQ(0, make_lower(&self->km, &lower));
	ASSERT_EQ(STATUS_SUCCESS, DO(SPIN_CREATE, LOCK));
	BEGIN_CONTEST(contest, complete_below, cancel_sent, full);
	for (uint32_t batch = 0; batch < contest.count / BATCH; batch++) {
		uint64_t until = kb_now_ns() + KM_SOON_MS * 1000000ull;
		uint32_t late = timed_out;
		int back;

		for (int i = 0; i < BATCH; i++) {
			uint16_t next = delivered % BATCH;
			bool below;
			uint16_t slot = FIRST_OF + i;
			struct kmtest_script script = {
				.slot = slot,
				.flags = KMTEST_QUIET,
				.ops = {AT(COMPLETION, SPIN_ACQUIRE, .slot = LOCK), AT(COMPLETION, UNLIST),
					AT(COMPLETION, SPIN_RELEASE, .slot = LOCK)},
			};
			struct kmtest_op ops[] = {
				OP(REQUEST_CREATE, .slot = slot),
				OP(REUSE, .slot = slot),
				OP(FORMAT, .slot = slot, .other = TARGET, .flags = KMTEST_FORMAT_IOCTL),
				OP(SET_COMPLETION, .slot = slot),
				OP(LIST, .slot = slot),
				OP(SEND, .slot = slot, .other = TARGET,
				   .value = timeout_ms ? 1 + kb_random() % timeout_ms : 0),
			};
			bool create = delete || !batch;

			if (delete)
				script.ops[3] = (struct kmtest_op)AT(COMPLETION, DELETE);
			ASSERT_EQ(0, km_script(&self->km, &script));
			ASSERT_EQ(0, km_run(&self->km, 0, ops + !create, 6 - !create));
			ASSERT_EQ(1, ops[5].value) TH_LOG("send: %#x", ops[5].status);
			ASSERT_TRUE(sent_is_below(&self->km, slot, LOWER_FIRST + next, &handles[next], &below))
			TH_LOG("batch %u", batch);
			slots_below[i] = below ? LOWER_FIRST + next : 0;
			delivered += below;
		}
		race_batch(&contest, batch);
		do {
			ASSERT_EQ(0, look_at(&self->km, &look, FIRST_OF));
			back = 0;
			for (int i = 0; i < BATCH; i++)
				back += look.slots[i].counts[delete ? KMTEST_AT_DESTROY : KMTEST_AT_COMPLETION] != 0 &&
					look.slots[i].done >= (delete ? 3 : 1);
		} while (back < BATCH && kb_now_ns() < until);
		neither += BATCH - back;
		for (int i = 0; i < BATCH; i++) {
			both += look.slots[i].counts[KMTEST_AT_COMPLETION] > 1 ||
				look.slots[i].counts[KMTEST_AT_DESTROY] > 1;
			wrong += look.slots[i].counts[KMTEST_AT_COMPLETION] != 1;
			if (delete)
				continue;
			succeeded += look.slots[i].status == STATUS_SUCCESS;
			cancelled += look.slots[i].status == STATUS_CANCELLED;
			timed_out += look.slots[i].status == STATUS_IO_TIMEOUT;
			/* Whoever has unmarked it has its way. */
			wrong += contest.ops[i][0].status == STATUS_SUCCESS && look.slots[i].status != STATUS_SUCCESS;
		}
		ASSERT_EQ(0, neither) TH_LOG("batch %u", batch);
		/* Timers, cancels and completions are to meet, as fast as the machine may be. */
		if (timeout_ms && timed_out == late && timeout_ms > 2)
			timeout_ms -= (timeout_ms + 3) / 4;
		else if (timeout_ms && timed_out - late > BATCH / 4)
			timeout_ms *= 2;
	}
	pthread_join(thread, NULL);
	TH_LOG("%u races in %.1f s: %u completed, %u cancelled, %u timed out, %u not delivered, %u cancels found it, %u overlaps, both %u, neither %u",
	       contest.count, (kb_now_ns() - began) / 1e9, succeeded, cancelled, timed_out, contest.count - delivered,
	       contest.won, contest.overlaps, both, neither);
	EXPECT_EQ(0, both);
	EXPECT_EQ(0, neither);
	EXPECT_EQ(0, wrong);
	EXPECT_GE(contest.won, contest.count / 128);
	EXPECT_GE(contest.count - contest.won, contest.count / 128);
	if (timeout_ms) {
		EXPECT_GE(timed_out, contest.count / 256);
	} else {
		EXPECT_EQ(contest.count, delivered);
	}
	if (!delete) {
		EXPECT_EQ(contest.count, succeeded + cancelled + timed_out);
	}
	/* What a completed request is asked below, the driver may be told of. */
	km_broken_any(&self->km);
}

TEST_F_TIMEOUT(driver, W_079_completion_against_cancel, 600)
{
	cancel_against_completion(_metadata, self, 102400, false, 0);
}

TEST_F_TIMEOUT(driver, W_079_completion_against_cancel_and_timeout, 600)
{
	cancel_against_completion(_metadata, self, 25600, false, 40);
}

TEST_F_TIMEOUT(driver, W_090_completion_that_deletes_against_cancel, 600)
{
	cancel_against_completion(_metadata, self, 102400, true, 0);
}

TEST_HARNESS_MAIN
