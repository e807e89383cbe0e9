// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: queues that are stopped, purged, drained and started again. */
#include "kselftest_harness.h"

#include "lib/km_fixture.h"

#define CANCELLED .status = STATUS_CANCELLED

TEST_F(driver, W_056_stop_keeps_what_waits)
{
	struct km_client owned, waiting;

	USE_QUEUE(.type = SEQUENTIAL);
	DELIVERED(&owned, R1, AT(IO, MARK_EX));
	DO(QUEUE_STOP, QUEUE, .value = 7);
	WAITING(&waiting, R2, 1, AT(IO, COMPLETE));
	EXPECT_TRUE(NEVER(STOPPED, QUEUE));
	EXPECT_EQ(0, COUNT(CANCEL, R1));
	EXPECT_EQ(STATUS_SUCCESS, DO(UNMARK, R1));
	DO(COMPLETE, R1);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&owned));
	EXPECT_EQ(7, FIRST(STOPPED, QUEUE).value);
	EXPECT_TRUE(NEVER(IO, R2));
	EXPECT_EQ(STATE_ACCEPTS | STATE_DRIVER_NO_REQUESTS, DO(QUEUE_STATE, QUEUE));
	DO(QUEUE_START, QUEUE);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&waiting));
	EXPECT_EQ(1, COUNT(STOPPED, QUEUE));
}

TEST_F(driver, W_056_synchronous_stop_waits_for_the_driver)
{
	const struct kmtest_op stop = OP(QUEUE_STOP, .slot = QUEUE, .flags = KMTEST_SYNC);
	struct km_runner runner;
	struct km_client client;

	USE_QUEUE(.type = PARALLEL);
	DELIVERED(&client, R, AT(IO, NOTE));
	ASSERT_EQ(0, km_run_begin(&self->km, &runner, 0, &stop, 1));
	kb_sleep_ms(KM_NEVER_MS);
	EXPECT_FALSE(km_run_done(&runner));
	DO(COMPLETE, R);
	EXPECT_EQ(0, km_run_end(&runner));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(driver, W_057_purge)
{
	struct km_client marked, plain, waiting, refused;

	USE_QUEUE(.type = PARALLEL, .limit = 2);
	DELIVERED(&marked, R1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	DELIVERED(&plain, R2, AT(IO, NOTE));
	WAITING(&waiting, R3, 1, AT(IO, COMPLETE));
	/* Stopped, so that nothing is presented in the middle of it. */
	DO(QUEUE_STOP, QUEUE, .flags = KMTEST_NO_CALLBACK);
	DO(QUEUE_PURGE, QUEUE, .value = 3);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&marked));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&waiting));
	EXPECT_EQ(1, COUNT(CANCEL, R1));
	EXPECT_EQ(0, COUNT(IO, R3));
	REQUEST(&refused, R4, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_INVALID_DEVICE_STATE, km_end(&refused));
	EXPECT_TRUE(km_waits(&plain));
	EXPECT_EQ(0, COUNT(PURGED, QUEUE));
	DO(COMPLETE, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&plain));
	EXPECT_EQ(3, FIRST(PURGED, QUEUE).value);
	/* It stays closed. */
	REQUEST(&refused, R5, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_INVALID_DEVICE_STATE, km_end(&refused));
	DO(QUEUE_START, QUEUE);
	REQUEST(&refused, R5, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&refused));
	EXPECT_EQ(1, COUNT(PURGED, QUEUE));
}

TEST_F(driver, W_057_synchronous_purge_waits)
{
	const struct kmtest_op purge = OP(QUEUE_PURGE, .slot = QUEUE, .flags = KMTEST_SYNC);
	struct km_runner runner;
	struct km_client client;

	USE_QUEUE(.type = PARALLEL);
	DELIVERED(&client, R, AT(IO, MARK_EX));
	ASSERT_EQ(0, km_run_begin(&self->km, &runner, 0, &purge, 1));
	EXPECT_TRUE(SEEN(CANCEL | KMTEST_END, R));
	kb_sleep_ms(KM_NEVER_MS);
	EXPECT_FALSE(km_run_done(&runner));
	DO(COMPLETE, R, CANCELLED);
	EXPECT_EQ(0, km_run_end(&runner));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
}

TEST_F(driver, W_057_purge_of_an_idle_queue)
{
	USE_QUEUE(.type = PARALLEL);
	DO(QUEUE_PURGE, QUEUE, .value = 1);
	EXPECT_TRUE(SEEN(PURGED, QUEUE));
	DO(QUEUE_PURGE, QUEUE, .flags = KMTEST_SYNC);
	EXPECT_EQ(STATE_DISPATCHES | STATE_NO_REQUESTS | STATE_DRIVER_NO_REQUESTS, DO(QUEUE_STATE, QUEUE));
}

TEST_F(driver, W_057_purge_of_a_forwarded_request)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, FORWARD, .other = KMTEST_MANUAL), AT(ON_QUEUE, COMPLETE, CANCELLED));
	DO(QUEUE_PURGE, KMTEST_MANUAL);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, COUNT(ON_QUEUE, R));
	EXPECT_TRUE(SEEN(PURGED, KMTEST_MANUAL));
}

TEST_F(driver, W_058_drain)
{
	struct km_client marked, waiting, refused;

	USE_QUEUE(.type = SEQUENTIAL);
	DELIVERED(&marked, R1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	WAITING(&waiting, R2, 1, AT(IO, NOTE));
	DO(QUEUE_DRAIN, QUEUE, .value = 5);
	REQUEST(&refused, R3, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_INVALID_DEVICE_STATE, km_end(&refused));
	EXPECT_TRUE(km_waits(&marked));
	EXPECT_EQ(0, COUNT(CANCEL, R1));
	EXPECT_EQ(STATUS_SUCCESS, DO(UNMARK, R1));
	DO(COMPLETE, R1);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&marked));
	EXPECT_TRUE(SEEN(IO, R2));
	EXPECT_EQ(0, COUNT(PURGED, QUEUE));
	DO(COMPLETE, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&waiting));
	EXPECT_EQ(5, FIRST(PURGED, QUEUE).value);
	DO(QUEUE_DRAIN, QUEUE, .flags = KMTEST_SYNC);
	DO(QUEUE_START, QUEUE);
	EXPECT_EQ(STATE_ACCEPTS | STATE_DISPATCHES | STATE_NO_REQUESTS | STATE_DRIVER_NO_REQUESTS,
		  DO(QUEUE_STATE, QUEUE));
}

TEST_F(driver, W_059_stop_and_purge)
{
	struct km_client marked, waiting, later;

	USE_QUEUE(.type = SEQUENTIAL);
	DELIVERED(&marked, R1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	WAITING(&waiting, R2, 1, AT(IO, COMPLETE));
	DO(QUEUE_STOP_AND_PURGE, QUEUE, .value = 4);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&marked));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&waiting));
	EXPECT_EQ(0, COUNT(IO, R2));
	EXPECT_EQ(4, FIRST(STOPPED, QUEUE).value);
	WAITING(&later, R3, 1, AT(IO, COMPLETE));
	EXPECT_TRUE(NEVER(IO, R3));
	DO(QUEUE_START, QUEUE);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&later));
}

TEST_F(driver, W_060_mark_while_a_purge_runs)
{
	struct km_client plain, marked;

	USE_QUEUE(.type = PARALLEL);
	DELIVERED(&plain, R1, AT(IO, NOTE));
	DELIVERED(&marked, R2, AT(IO, NOTE), AT(CANCEL, COMPLETE, CANCELLED));
	DO(QUEUE_PURGE, QUEUE);
	EXPECT_EQ(STATUS_CANCELLED, DO(MARK_EX, R1));
	DO(MARK, R2);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&marked));
	EXPECT_EQ(1, COUNT(CANCEL, R2));
	EXPECT_EQ(0, COUNT(CANCEL, R1));
	EXPECT_TRUE(km_waits(&plain));
	DO(COMPLETE, R1, CANCELLED);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&plain));
	EXPECT_TRUE(SEEN(PURGED, QUEUE));
}

TEST_F(driver, W_060_start_ends_the_purge)
{
	struct km_client owned, fresh;

	USE_QUEUE(.type = PARALLEL);
	DELIVERED(&owned, R1, AT(IO, NOTE));
	DO(QUEUE_PURGE, QUEUE);
	DO(QUEUE_START, QUEUE);
	DELIVERED(&fresh, R2, AT(IO, MARK_EX));
	EXPECT_EQ(STATUS_SUCCESS, FIRST_OP(MARK_EX, R2).status);
	EXPECT_EQ(STATUS_SUCCESS, DO(UNMARK, R2));
	DO(COMPLETE, R1);
	DO(COMPLETE, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&owned));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&fresh));
}

TEST_F(driver, W_061_second_callback_of_a_kind)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL);
	DELIVERED(&client, R, AT(IO, NOTE));
	DO(QUEUE_STOP, QUEUE, .value = 1);
	DO(QUEUE_STOP_AND_PURGE, QUEUE, .value = 2);
	EXPECT_EQ(1, BROKEN(StateCallback));
	DO(QUEUE_DRAIN, QUEUE, .value = 3);
	EXPECT_EQ(0, BROKEN(StateCallback));
	DO(QUEUE_PURGE, QUEUE, .value = 4);
	EXPECT_EQ(1, BROKEN(StateCallback));
	DO(COMPLETE, R);
	km_end(&client);
	EXPECT_EQ(1, FIRST(STOPPED, QUEUE).value);
	EXPECT_EQ(3, FIRST(PURGED, QUEUE).value);
	EXPECT_EQ(1, COUNT(STOPPED, QUEUE));
	EXPECT_EQ(1, COUNT(PURGED, QUEUE));
}

TEST_F(driver, W_062_synchronous_purge_in_the_queues_own_handler)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL);
	DELIVERED(&client, R, AT(IO, QUEUE_PURGE, .slot = QUEUE, .flags = KMTEST_SYNC), AT(IO, COMPLETE));
	km_end(&client);
	EXPECT_EQ(1, BROKEN(WaitOnSelf));
}

TEST_F(driver, W_062_synchronous_stop_in_a_callback)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL);
	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, QUEUE_STOP, .slot = QUEUE, .flags = KMTEST_SYNC),
		  AT(CANCEL, COMPLETE, CANCELLED));
	CANCEL(R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, BROKEN(WaitOnSelf));
}

TEST_F(driver, W_063_synchronous_purge_above_passive)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL);
	DELIVERED(&client, R, AT(IO, NOTE));
	RUN(ops, OP(RAISE, .slot = GATE), OP(QUEUE_PURGE, .slot = QUEUE, .flags = KMTEST_SYNC),
	    OP(LOWER, .slot = GATE));
	EXPECT_EQ(1, BROKEN(KmdfIrql));
	/* It has not done anything. */
	EXPECT_EQ(0, VALUE(IS_CANCELED, R));
	EXPECT_EQ(STATE_ACCEPTS | STATE_DISPATCHES | STATE_NO_REQUESTS, DO(QUEUE_STATE, QUEUE));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(driver, W_109_drain_of_a_stopped_queue)
{
	struct km_client client;

	USE_QUEUE(.type = SEQUENTIAL);
	DO(QUEUE_STOP, QUEUE, .flags = KMTEST_SYNC);
	WAITING(&client, R, 1, AT(IO, COMPLETE));
	DO(QUEUE_DRAIN, QUEUE);
	EXPECT_TRUE(NEVER(PURGED, QUEUE));
	EXPECT_EQ(0, COUNT(IO, R));
	DO(QUEUE_START, QUEUE);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_TRUE(SEEN(PURGED, QUEUE));
}

TEST_F(driver, W_110_purged_request_says_that_it_is_cancelled)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL);
	DELIVERED(&client, R, AT(IO, IS_CANCELED), AT(IO, MARK_EX), AT(CANCEL, IS_CANCELED),
		  AT(CANCEL, COMPLETE_WITH, .value = 2));
	DO(QUEUE_STOP_AND_PURGE, QUEUE);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(2, client.information);
	EXPECT_EQ(0, FIRST_OP(IS_CANCELED, R).value);
	{
		struct kmtest_event first = FIRST_OP(IS_CANCELED, R), second;

		ASSERT_TRUE(km_event(&self->km, first.seq + 1, KMTEST_OP, R, KMTEST_IS_CANCELED, KM_SOON_MS, &second));
		EXPECT_EQ(1, second.value);
	}
}

TEST_HARNESS_MAIN
