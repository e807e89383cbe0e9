// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: clients that are killed, and drivers that are unloaded, while there are requests. */
#include <sys/wait.h>

#include "kselftest_harness.h"

#include "lib/km_fixture.h"

#define CANCELLED .status = STATUS_CANCELLED

TEST_F(driver, W_030_killed_client_is_a_cancel)
{
	pid_t pid = km_fork("kmtest", &(struct kmtest_script){.slot = R,
							      .ops = {AT(IO, MARK_EX), AT(CANCEL, REQUESTOR),
								      AT(CANCEL, COMPLETE, CANCELLED)}});

	ASSERT_LT(0, pid);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	ASSERT_LE(0, km_kill(pid));
	EXPECT_TRUE(SEEN(CANCEL | KMTEST_END, R));
	EXPECT_TRUE(SEEN(DESTROY, R));
	/* Whoever it runs in, the request's client is the one that has died. */
	EXPECT_EQ((uint64_t)pid, FIRST_OP(REQUESTOR, R).value);
	EXPECT_EQ(1, COUNT(CANCEL, R));
}

/* While it is in a queue, the driver does not hear of it. */
TEST_F(driver, W_030_killed_client_of_a_queued_request)
{
	pid_t pid;

	USE_QUEUE(.type = MANUAL);
	pid = km_fork("kmtest_own", &(struct kmtest_script){.slot = R});
	ASSERT_LT(0, pid);
	while (KMTEST_QUEUED(VALUE(QUEUE_STATE, QUEUE)) != 1)
		sched_yield();
	ASSERT_LE(0, km_kill(pid));
	while (KMTEST_QUEUED(VALUE(QUEUE_STATE, QUEUE)) != 0)
		sched_yield();
	EXPECT_EQ(STATUS_NO_MORE_ENTRIES, DO(RETRIEVE_NEXT, QUEUE));
}

TEST_F(driver, W_105_one_callback_and_a_hundred_silent_cancels)
{
	enum { WRITES = 101, FIRST_OF = 200 };
	struct kmtest_script scripts[WRITES];
	unsigned int callbacks = 0, handled = 0, completed = 0;
	pid_t pid;

	USE_QUEUE(.type = SEQUENTIAL, .scope = SCOPE_QUEUE);
	for (int i = 0; i < WRITES; i++)
		scripts[i] = (struct kmtest_script){.slot = FIRST_OF + i,
						    .ops = {AT(IO, MARK), AT(CANCEL, COMPLETE, CANCELLED)}};
	pid = km_fork_many("kmtest_own", scripts, WRITES);
	ASSERT_LT(0, pid);
	while (KMTEST_QUEUED(VALUE(QUEUE_STATE, QUEUE)) != WRITES - 1)
		sched_yield();
	EXPECT_EQ(1, KMTEST_OWNED(VALUE(QUEUE_STATE, QUEUE)));
	ASSERT_LE(0, km_kill(pid));
	while (DO(QUEUE_STATE, QUEUE) !=
	       (STATE_ACCEPTS | STATE_DISPATCHES | STATE_NO_REQUESTS | STATE_DRIVER_NO_REQUESTS))
		sched_yield();
	for (int i = 0; i < WRITES; i++) {
		handled += COUNT(IO, FIRST_OF + i);
		callbacks += COUNT(CANCEL, FIRST_OF + i);
		completed += COUNT(CLEANUP, FIRST_OF + i);
	}
	/* As the first goes, the next may be presented before its own thread has died. */
	EXPECT_EQ(handled, callbacks);
	EXPECT_EQ(handled, completed);
	TH_LOG("%u handled, %u EvtRequestCancel, %u silent", handled, callbacks, WRITES - callbacks);
}

/* The same, where nothing can be presented in between: exactly one. */
TEST_F(driver, W_105_exactly_one_callback)
{
	enum { WRITES = 101, FIRST_OF = 200 };
	struct kmtest_script scripts[WRITES];
	unsigned int callbacks = 0;
	pid_t pid;

	USE_QUEUE(.type = SEQUENTIAL, .scope = SCOPE_QUEUE);
	for (int i = 0; i < WRITES; i++)
		scripts[i] = (struct kmtest_script){.slot = FIRST_OF + i, .ops = {AT(IO, MARK)}};
	pid = km_fork_many("kmtest_own", scripts, WRITES);
	ASSERT_LT(0, pid);
	while (KMTEST_QUEUED(VALUE(QUEUE_STATE, QUEUE)) != WRITES - 1)
		sched_yield();
	ASSERT_LE(0, km_kill(pid));
	while (KMTEST_QUEUED(VALUE(QUEUE_STATE, QUEUE)) != 0)
		sched_yield();
	for (int i = 0; i < WRITES; i++) {
		callbacks += COUNT(CANCEL, FIRST_OF + i);
		if (COUNT(IO, FIRST_OF + i))
			DO(COMPLETE, FIRST_OF + i, CANCELLED);
	}
	EXPECT_EQ(1, callbacks);
	EXPECT_EQ(0, KMTEST_OWNED(VALUE(QUEUE_STATE, QUEUE)));
}

TEST_F(driver, W_106_killed_client_does_not_wait_for_the_driver)
{
	struct kmdf_request request = {};
	pid_t pid = km_fork("kmtest", &(struct kmtest_script){.slot = R, .ops = {AT(IO, OUTPUT), AT(IO, NOTE)}});
	int ms;

	ASSERT_LT(0, pid);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	ms = km_kill(pid);
	ASSERT_LE(0, ms);
	EXPECT_GT(KM_GONE_MS, ms);
	EXPECT_EQ(KMDF_REQUEST_OWNED, km_state(&self->km, R, &request));
	EXPECT_EQ(KMDF_REQUEST_DETACHED | KMDF_REQUEST_CANCEL_ASKED, request.flags);
	EXPECT_EQ(pid, request.pid);
	EXPECT_EQ(1, VALUE(IS_CANCELED, R));
	/* Its buffers are still there, and nobody gets what the driver writes to them. */
	EXPECT_EQ(STATUS_SUCCESS, DO(FILL, R, .value = 64));
	EXPECT_EQ(STATUS_SUCCESS, DO(INPUT, R, .value = sizeof(struct kmtest_script)));
	DO(COMPLETE_WITH, R, .value = 64);
	EXPECT_TRUE(SEEN(DESTROY, R));
	EXPECT_EQ(0, km_state(&self->km, R, NULL));
}

TEST_F(driver, W_106_killed_client_whose_callback_does_not_complete)
{
	pid_t pid = km_fork("kmtest", &(struct kmtest_script){.slot = R, .ops = {AT(IO, MARK_EX)}});

	ASSERT_LT(0, pid);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	ASSERT_LE(0, km_kill(pid));
	EXPECT_TRUE(SEEN(CANCEL | KMTEST_END, R));
	EXPECT_EQ(KMDF_REQUEST_CALLED, km_state(&self->km, R, NULL));
	DO(COMPLETE, R, CANCELLED);
	EXPECT_TRUE(SEEN(DESTROY, R));
}

FIXTURE(graceful)
{
	struct km km;
};

FIXTURE_SETUP(graceful)
{
	ASSERT_EQ(0, km_setup(&self->km, "kill_grace_ms=300"));
}

FIXTURE_TEARDOWN(graceful)
{
	EXPECT_EQ(0, km_teardown(&self->km));
}

TEST_F(graceful, W_106_grace_is_bounded)
{
	pid_t pid = km_fork("kmtest", &(struct kmtest_script){.slot = R, .ops = {AT(IO, NOTE)}});
	int ms;

	ASSERT_LT(0, pid);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	ms = km_kill(pid);
	EXPECT_LE(300, ms);
	EXPECT_GT(KM_GONE_MS, ms);
	DO(COMPLETE, R);
	EXPECT_TRUE(SEEN(DESTROY, R));
}

TEST_F(driver, W_107_unload_with_an_open_file)
{
	EXPECT_EQ(EAGAIN, kb_rmmod("kmtest"));
	EXPECT_EQ(EAGAIN, kb_rmmod("kmdf"));
	close(self->km.fd);
	EXPECT_EQ(EAGAIN, kb_rmmod("kmtest"));
	close(self->km.ctl);
	EXPECT_EQ(0, km_unload("kmtest", KM_SOON_MS));
	self->km.ctl = self->km.fd = -1;
	ASSERT_EQ(0, kb_insmod("kmtest"));
	self->km.ctl = km_open("kmtest_ctl");
	self->km.fd = km_open("kmtest");
	ASSERT_LE(0, self->km.ctl);
	ASSERT_LE(0, self->km.fd);
}

TEST_F(driver, W_107_unload_with_a_request_under_way)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, NOTE));
	EXPECT_EQ(EAGAIN, kb_rmmod("kmtest"));
	EXPECT_FALSE(km_done(&client));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

/* Left behind by a killed client: the driver goes only when it is done with it. */
TEST_F(driver, W_107_unload_with_a_request_left_behind)
{
	struct km_powerer remove;
	pid_t pid;

	pid = km_fork("kmtest", &(struct kmtest_script){.slot = R, .ops = {AT(IO, NOTE), AT(STOP, NOTE)}});
	ASSERT_LT(0, pid);
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	ASSERT_LE(0, km_kill(pid));
	ASSERT_EQ(0, km_power_begin(&remove, "kmtest", "remove"));
	kb_sleep_ms(KM_NEVER_MS);
	EXPECT_FALSE(km_power_done(&remove));
	DO(COMPLETE, R);
	EXPECT_EQ(0, km_power_end(&remove));
	EXPECT_TRUE(SEEN(DESTROY, R));
	/* It was waited for: nothing is left that could be reported but that EvtIoStop has done nothing about it. */
	EXPECT_EQ(0, BROKEN(DeferredRequestCompleted));
	km_broken_any(&self->km);
}

/* A target of the driver's own does not keep the driver. */
TEST_F(driver, W_107_unload_with_a_target_open)
{
	USE_QUEUE(.type = MANUAL);
	ASSERT_EQ(STATUS_SUCCESS, DO(TARGET_CREATE, 130, .other = KMTEST_DEVICE));
	ASSERT_EQ(STATUS_SUCCESS, DO(TARGET_OPEN, 130, .other = KM_OWN_DEVICE));
	close(self->km.fd);
	close(self->km.ctl);
	EXPECT_EQ(0, km_unload("kmtest", KM_SOON_MS));
	if (!kb_is_loaded("kmtest"))
		ASSERT_EQ(0, kb_insmod("kmtest"));
	self->km.ctl = km_open("kmtest_ctl");
	self->km.fd = km_open("kmtest");
	ASSERT_LE(0, self->km.ctl);
	ASSERT_LE(0, self->km.fd);
}

/* Loaded and unloaded while programs open, ask and are killed. */
TEST_F_TIMEOUT(driver, W_107_unload_among_clients_that_die, 120)
{
	const uint32_t rounds = kb_rounds_from(5, 60);
	uint64_t until = kb_now_ns() + 60 * 1000000000ull;
	unsigned int unloaded = 0, longest_us = 2000;
	uint32_t round;

	close(self->km.fd);
	close(self->km.ctl);
	for (round = 0; round < rounds || ((!unloaded || unloaded == round) && kb_now_ns() < until); round++) {
		pid_t pids[4];

		for (int i = 0; i < 4; i++) {
			struct kmtest_script script = {
				.slot = 30 + i,
				/* Whom the kill comes before, completes it. */
				.ops = {AT(IO, MARK_EX), AT(IO, COMPLETE, CANCELLED, .only_if = KMTEST_IF_CANCELLED),
					AT(CANCEL, COMPLETE, CANCELLED)}};

			pids[i] = km_fork("kmtest", &script);
			ASSERT_LT(0, pids[i]);
		}
		usleep(kb_random() % 20000);
		/* While they live, while they die, and when the kernel may have let go of them. */
		for (int i = 0; i < 4 && round % 3; i++)
			kill(pids[i], SIGKILL);
		if (round % 3 == 2)
			usleep(kb_random() % longest_us);
		if (!kb_rmmod("kmtest")) {
			unloaded++;
			longest_us = longest_us / 2 + 1000;
		} else if (round % 3 == 2 && longest_us < 1000000) {
			longest_us *= 2;
		}
		for (int i = 0; i < 4; i++)
			ASSERT_LE(0, km_kill(pids[i]));
		/* The kernel lets go of a dead client's file in its own time. */
		if (kb_is_loaded("kmtest")) {
			ASSERT_EQ(0, km_unload("kmtest", KM_SOON_MS));
		}
		ASSERT_EQ(0, kb_insmod("kmtest"));
	}
	TH_LOG("%u rounds, %u unloaded at once", round, unloaded);
	EXPECT_LT(0, unloaded);
	EXPECT_LT(unloaded, round);
	self->km.ctl = km_open("kmtest_ctl");
	self->km.fd = km_open("kmtest");
	ASSERT_LE(0, self->km.ctl);
	ASSERT_LE(0, self->km.fd);
}

TEST_HARNESS_MAIN
