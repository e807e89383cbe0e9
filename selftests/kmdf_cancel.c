// SPDX-License-Identifier: GPL-2.0-only
/* KMDF: marking, unmarking, cancelling, and when EvtRequestCancel comes. The races are in kmdf_race.c. */
#include "kselftest_harness.h"

#include "lib/km_fixture.h"

#define CANCELLED .status = STATUS_CANCELLED

TEST_F(driver, W_001_mark_makes_cancelable)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX));
	EXPECT_EQ(STATUS_SUCCESS, FIRST_OP(MARK_EX, R).status);
	EXPECT_EQ(KMDF_REQUEST_CANCELABLE, km_state(&self->km, R, NULL));
	EXPECT_EQ(STATUS_SUCCESS, DO(UNMARK, R));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(driver, W_002_cancel_calls_back_once)
{
	struct km_client client;
	struct kmdf_cancel cancel;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	cancel = CANCEL(R);
	EXPECT_EQ(1, cancel.found);
	EXPECT_EQ(1, cancel.notified);
	EXPECT_EQ(0, cancel.finished + cancel.flagged);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(FIRST(IO, R).handle, FIRST(CANCEL, R).handle);
	EXPECT_EQ(0, CANCEL(R).found);
	EXPECT_EQ(1, COUNT(CANCEL, R));
}

/* Both: a second cancel does not call back a second time. */
TEST_F(driver, W_002_second_cancel_is_nothing)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX));
	EXPECT_EQ(1, CANCEL(R).notified);
	EXPECT_TRUE(SEEN(CANCEL | KMTEST_END, R));
	EXPECT_EQ(1, CANCEL(R).found);
	EXPECT_EQ(1, km_cancel_what(self->km.fd, KMDF_CANCEL_FILE, 0).found);
	DO(COMPLETE, R, CANCELLED);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, COUNT(CANCEL, R));
}

TEST_F(driver, W_003_unmarked_is_not_called_back)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX));
	EXPECT_EQ(STATUS_SUCCESS, DO(UNMARK, R));
	EXPECT_EQ(1, CANCEL(R).flagged);
	EXPECT_EQ(1, VALUE(IS_CANCELED, R));
	EXPECT_TRUE(NEVER(CANCEL, R));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(0, COUNT(CANCEL, R));
}

TEST_F(driver, W_003_marked_again_is_called_back_once)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	for (int i = 0; i < 100; i++) {
		ASSERT_EQ(STATUS_SUCCESS, DO(UNMARK, R));
		ASSERT_EQ(STATUS_SUCCESS, DO(MARK_EX, R));
	}
	EXPECT_EQ(1, CANCEL(R).notified);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, COUNT(CANCEL, R));
}

TEST_F(driver, W_004_ex_refuses_what_is_cancelled)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, NOTE));
	EXPECT_EQ(1, CANCEL(R).flagged);
	EXPECT_EQ(STATUS_CANCELLED, DO(MARK_EX, R));
	EXPECT_EQ(KMDF_REQUEST_OWNED, km_state(&self->km, R, NULL));
	EXPECT_EQ(STATUS_CANCELLED, DO(MARK_EX, R));
	EXPECT_TRUE(NEVER(CANCEL, R));
	EXPECT_FALSE(km_done(&client));
	DO(COMPLETE, R, CANCELLED);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(0, COUNT(CANCEL, R));
}

TEST_F(driver, W_005_mark_of_what_is_cancelled_calls_back)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, NOTE), AT(CANCEL, COMPLETE, CANCELLED));
	EXPECT_EQ(1, CANCEL(R).flagged);
	DO(MARK, R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, COUNT(CANCEL, R));
}

/* A driver that marks first and stores afterwards, as automatic synchronization lets it. */
TEST_F(driver, W_006_callback_comes_after_the_handler)
{
	struct kmtest_event io_end, cancel;
	struct km_client client;

	USE_QUEUE(.type = SEQUENTIAL, .scope = SCOPE_QUEUE);
	REQUEST(&client, R, AT(IO, WAIT), AT(IO, MARK), AT(IO, STALL, .value = 20000), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_TRUE(SEEN(IO, R));
	EXPECT_EQ(1, CANCEL(R).flagged);
	DO(OPEN, R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	io_end = FIRST(IO | KMTEST_END, R);
	cancel = FIRST(CANCEL, R);
	EXPECT_LT(FIRST_OP(MARK, R).seq, io_end.seq);
	EXPECT_LT(io_end.seq, cancel.seq);
	EXPECT_EQ(1, COUNT(CANCEL, R));
}

/* Without synchronization it is not inside the handler either, on the same stack. */
TEST_F(driver, W_006_callback_is_not_inside_a_free_handler)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL);
	REQUEST(&client, R, AT(IO, WAIT), AT(IO, MARK), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_TRUE(SEEN(IO, R));
	EXPECT_EQ(1, CANCEL(R).flagged);
	DO(OPEN, R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_LT(FIRST_OP(MARK, R).seq, FIRST(CANCEL, R).seq);
	if (FIRST(CANCEL, R).thread == FIRST(IO, R).thread)
		EXPECT_LT(FIRST(IO | KMTEST_END, R).seq, FIRST(CANCEL, R).seq);
}

TEST_F(driver, W_007_ex_under_the_lock_that_the_callback_takes)
{
	struct km_client client;

	ASSERT_EQ(STATUS_SUCCESS, DO(SPIN_CREATE, LOCK));
	DELIVERED(&client, R, AT(IO, NOTE), AT(CANCEL, SPIN_ACQUIRE, .slot = LOCK),
		  AT(CANCEL, SPIN_RELEASE, .slot = LOCK), AT(CANCEL, COMPLETE, CANCELLED));
	EXPECT_EQ(1, CANCEL(R).flagged);
	RUN(ops, OP(SPIN_ACQUIRE, .slot = LOCK), OP(MARK_EX, .slot = R), OP(SPIN_RELEASE, .slot = LOCK),
	    OP(COMPLETE, .slot = R, CANCELLED));
	EXPECT_EQ(STATUS_CANCELLED, ops[1].status);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(0, COUNT(CANCEL, R));
}

/* It is cancelled while the lock is held: the callback waits for the lock on another CPU. */
TEST_F(driver, W_007_cancel_between_ex_and_the_unlock)
{
	const struct kmtest_op ops[] = {OP(SPIN_ACQUIRE, .slot = LOCK), OP(MARK_EX, .slot = R),
					OP(STALL, .slot = R, .value = 50000), OP(SPIN_RELEASE, .slot = LOCK)};
	struct km_client client;
	struct km_runner runner;

	ASSERT_EQ(STATUS_SUCCESS, DO(SPIN_CREATE, LOCK));
	DELIVERED(&client, R, AT(IO, NOTE), AT(CANCEL, SPIN_ACQUIRE, .slot = LOCK),
		  AT(CANCEL, SPIN_RELEASE, .slot = LOCK), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_EQ(0, km_run_begin(&self->km, &runner, 0, ops, 4));
	EXPECT_EQ(STATUS_SUCCESS, FIRST_OP(MARK_EX, R).status);
	EXPECT_EQ(1, CANCEL(R).notified);
	EXPECT_EQ(0, km_run_end(&runner));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, COUNT(CANCEL, R));
}

/* X: its notice is due, but a handler of the queue runs. */
TEST_F(driver, W_008_unmark_before_the_callback_says_cancelled)
{
	struct km_client cancelled, busy;

	DELIVERED(&cancelled, R1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	REQUEST(&busy, R2, AT(IO, WAIT), AT(IO, COMPLETE));
	ASSERT_TRUE(SEEN(IO, R2));
	EXPECT_EQ(1, CANCEL(R1).notified);
	EXPECT_EQ(KMDF_REQUEST_CANCELLED, km_state(&self->km, R1, NULL));
	EXPECT_EQ(STATUS_CANCELLED, DO(UNMARK, R1));
	EXPECT_EQ(0, COUNT(CANCEL, R1));
	DO(OPEN, R2);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&cancelled));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&busy));
	EXPECT_EQ(1, COUNT(CANCEL, R1));
}

/* K: the callback runs, and unmarking does not wait for it. */
TEST_F(driver, W_008_unmark_during_the_callback_does_not_wait)
{
	struct km_canceller canceller;
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, WAIT), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_EQ(0, km_cancel_begin(&self->km, &canceller, R));
	ASSERT_TRUE(SEEN(CANCEL, R));
	EXPECT_EQ(KMDF_REQUEST_CALLED, km_state(&self->km, R, NULL));
	/* Would it wait, then for ever: what the callback waits for comes after it. */
	EXPECT_EQ(STATUS_CANCELLED, DO(UNMARK, R));
	EXPECT_FALSE(km_done(&client));
	DO(OPEN, R);
	EXPECT_EQ(0, km_cancel_end(&canceller));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
}

TEST_F(driver, W_008_unmark_inside_the_callback_says_cancelled)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, UNMARK), AT(CANCEL, COMPLETE, CANCELLED));
	CANCEL(R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(STATUS_CANCELLED, FIRST_OP(UNMARK, R).status);
}

TEST_F(driver, W_010_unmark_of_what_was_never_marked)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, NOTE));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(UNMARK, R));
	EXPECT_EQ(1, BROKEN(UnmarkNotCancelable));
	/* Nor of what is not marked any more. */
	EXPECT_EQ(STATUS_SUCCESS, DO(MARK_EX, R));
	EXPECT_EQ(STATUS_SUCCESS, DO(UNMARK, R));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(UNMARK, R));
	EXPECT_EQ(1, BROKEN(UnmarkNotCancelable));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(driver, W_011_unmark_of_what_is_in_a_queue)
{
	struct km_client client;

	USE_MANUAL();
	REQUEST(&client, R, AT(CANCEL, COMPLETE, CANCELLED));
	while (KMTEST_QUEUED(VALUE(QUEUE_STATE, QUEUE)) != 1)
		sched_yield();
	ASSERT_EQ(STATUS_SUCCESS, DO(FIND, QUEUE, .value = R));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(UNMARK, R));
	EXPECT_EQ(1, km_broken_any(&self->km));
	EXPECT_EQ(KMDF_REQUEST_QUEUED, km_state(&self->km, R, NULL));
	EXPECT_EQ(STATUS_SUCCESS, DO(RETRIEVE_FOUND, QUEUE, .other = R));
	DO(DEREFERENCE, R);
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

TEST_F(driver, W_012_second_mark_is_refused)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(MARK_EX, R, .flags = KMTEST_OTHER));
	EXPECT_EQ(1, BROKEN(MarkCancOnCancReq));
	DO(MARK, R, .flags = KMTEST_OTHER);
	EXPECT_EQ(1, BROKEN(MarkCancOnCancReq));
	CANCEL(R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, COUNT(CANCEL, R));
	EXPECT_EQ(0, COUNT(OTHER_CANCEL, R));
}

TEST_F(driver, W_013_mark_of_a_request_of_the_drivers_own)
{
	ASSERT_EQ(STATUS_SUCCESS, DO(REQUEST_CREATE, R));
	EXPECT_EQ(STATUS_INVALID_DEVICE_REQUEST, DO(MARK_EX, R));
	DO(MARK, R);
	DO(DELETE, R);
	EXPECT_TRUE(SEEN(DESTROY, R));
	EXPECT_EQ(0, COUNT(CANCEL, R));
	km_broken_any(&self->km); /* it may be told */
}

TEST_F(driver, W_014_cancel_of_what_is_not_marked_waits_for_the_driver)
{
	struct km_client client;
	struct kmdf_cancel cancel;

	DELIVERED(&client, R, AT(IO, NOTE));
	cancel = CANCEL(R);
	EXPECT_EQ(1, cancel.found);
	EXPECT_EQ(1, cancel.flagged);
	EXPECT_TRUE(km_waits(&client));
	EXPECT_EQ(0, COUNT(CANCEL, R));
	DO(COMPLETE, R, .status = STATUS_UNSUCCESSFUL);
	EXPECT_EQ(STATUS_UNSUCCESSFUL, km_end(&client));
}

TEST_F(driver, W_015_is_canceled_after_the_cancel_only)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, NOTE));
	EXPECT_EQ(0, VALUE(IS_CANCELED, R));
	CANCEL(R);
	EXPECT_EQ(1, VALUE(IS_CANCELED, R));
	EXPECT_EQ(1, VALUE(IS_CANCELED, R));
	DO(COMPLETE, R, CANCELLED);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
}

TEST_F(driver, W_016_is_canceled_of_what_is_marked)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX));
	EXPECT_EQ(0, VALUE(IS_CANCELED, R));
	EXPECT_EQ(1, BROKEN(ReqIsCancOnCancReq));
	EXPECT_EQ(STATUS_SUCCESS, DO(UNMARK, R));
	EXPECT_EQ(0, VALUE(IS_CANCELED, R));
	DO(COMPLETE, R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
}

/* Once its callback has been called, it is not marked any more. */
TEST_F(driver, W_016_is_canceled_in_the_callback)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, IS_CANCELED), AT(CANCEL, COMPLETE, CANCELLED));
	CANCEL(R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, FIRST_OP(IS_CANCELED, R).value);
}

TEST_F(driver, W_017_completed_in_the_callback)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	CANCEL(R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(0, client.information);
}

/* read() and write() have no field for the status. */
TEST_F(driver, W_017_cancelled_read_fails_with_ecanceled)
{
	struct kmdf_last_status last;
	struct km_client client;

	QUEUE_SCRIPT(KMTEST_SEQUENTIAL, R, 1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_EQ(0, km_read(&self->km, &client, 32));
	ASSERT_TRUE(SEEN(IO | KMTEST_END, R));
	EXPECT_EQ(1, km_cancel_what(self->km.fd, KMDF_CANCEL_THREAD, client.tid).notified);
	EXPECT_EQ(KM_ERRNO(ECANCELED), km_end(&client));
	ASSERT_EQ(0, km_last_status(self->km.fd, &last));
	EXPECT_EQ(STATUS_CANCELLED, last.status);
}

TEST_F(driver, W_018_late_success_in_the_callback)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, FILL, .value = 7), AT(CANCEL, COMPLETE_WITH, .value = 7));
	CANCEL(R);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_EQ(7, client.information);
	EXPECT_EQ(6, client.data[6]);
}

TEST_F(driver, W_019_callback_that_does_not_complete)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL);
	DELIVERED(&client, R, AT(IO, MARK_EX));
	CANCEL(R);
	ASSERT_TRUE(SEEN(CANCEL | KMTEST_END, R));
	EXPECT_TRUE(km_waits(&client));
	DO(QUEUE_DRAIN, QUEUE);
	EXPECT_TRUE(NEVER(PURGED, QUEUE));
	EXPECT_EQ(1, KMTEST_OWNED(VALUE(QUEUE_STATE, QUEUE)));
	DO(COMPLETE, R, CANCELLED);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_TRUE(SEEN(PURGED, QUEUE));
}

TEST_F(driver, W_020_context_lives_until_the_callback_returns)
{
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED), AT(CANCEL, CONTEXT),
		  AT(CANCEL, CONTEXT_UNITS));
	CANCEL(R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(1, FIRST_OP(CONTEXT, R).value);
	EXPECT_EQ(1, FIRST_OP(CONTEXT_UNITS, R).value);
	EXPECT_GT(FIRST(DESTROY, R).seq, FIRST_OP(CONTEXT_UNITS, R).seq);
	EXPECT_GT(FIRST(DESTROY, R).seq, FIRST(CANCEL | KMTEST_END, R).seq);
	EXPECT_EQ(1, COUNT(DESTROY, R));
}

TEST_F(driver, W_021_cleanup_before_the_client_and_before_complete_returns)
{
	struct kmtest_event cleanup_end;
	struct km_canceller canceller;
	struct km_client client;

	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED), AT(CLEANUP, WAIT));
	ASSERT_EQ(0, km_cancel_begin(&self->km, &canceller, R));
	ASSERT_TRUE(SEEN(CLEANUP, R));
	EXPECT_TRUE(km_waits(&client));
	DO(OPEN, R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(0, km_cancel_end(&canceller));
	cleanup_end = FIRST(CLEANUP | KMTEST_END, R);
	EXPECT_LT(cleanup_end.seq, FIRST_OP(COMPLETE, R).seq);
	EXPECT_EQ(1, COUNT(CLEANUP, R));
}

/* A marked request is cancelled while another one's handler runs, under the lock that both are under. */
TEST_F(driver, W_022_callback_never_overlaps_a_handler)
{
	struct km_client cancelled, busy;

	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_QUEUE);
	DELIVERED(&cancelled, R1, AT(IO, MARK), AT(CANCEL, COMPLETE, CANCELLED));
	REQUEST(&busy, R2, AT(IO, WAIT), AT(IO, COMPLETE));
	ASSERT_TRUE(SEEN(IO, R2));
	EXPECT_EQ(1, CANCEL(R1).notified);
	EXPECT_TRUE(NEVER(CANCEL, R1));
	DO(OPEN, R2);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&cancelled));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&busy));
	EXPECT_GT(FIRST(CANCEL, R1).seq, FIRST(IO | KMTEST_END, R2).seq);
}

TEST_F(driver, W_022_timer_never_overlaps_a_handler)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_QUEUE);
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = QUEUE));
	/* Whoever waits for the lock spins: the handler must not wait for somebody who needs a CPU. */
	REQUEST(&client, R, AT(IO, TIMER_START, .slot = TIMER, .value = 1000), AT(IO, STALL, .value = 100000),
		AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&client));
	EXPECT_TRUE(SEEN(TIMER, TIMER));
	EXPECT_GT(FIRST(TIMER, TIMER).seq, FIRST(IO | KMTEST_END, R).seq);
	EXPECT_EQ(IRQL_DISPATCH, FIRST(TIMER, TIMER).irql);
}

TEST_F(driver, W_022_callback_never_overlaps_the_timer)
{
	struct km_canceller canceller;
	struct km_client client;

	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_QUEUE);
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = QUEUE));
	SCRIPT(TIMER, AT(TIMER, STALL, .value = 100000));
	DELIVERED(&client, R, AT(IO, MARK), AT(CANCEL, COMPLETE, CANCELLED));
	DO(TIMER_START, TIMER, .value = 1000);
	ASSERT_TRUE(SEEN(TIMER, TIMER));
	ASSERT_EQ(0, km_cancel_begin(&self->km, &canceller, R));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(0, km_cancel_end(&canceller));
	EXPECT_GT(FIRST(CANCEL, R).seq, FIRST(TIMER | KMTEST_END, TIMER).seq);
}

/* Two queues of one device are one domain if the scope is the device. */
TEST_F(driver, W_022_device_scope_spans_its_queues)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.scope = SCOPE_DEVICE,
		.count = 2,
		.queues = {{QUEUE, .type = PARALLEL, .handlers = KMTEST_HANDLE_CONTROL, .flags = KMTEST_DEFAULT_QUEUE},
			   {OTHER_QUEUE, .type = PARALLEL, .handlers = KMTEST_HANDLE_READ,
			    .dispatched = KMTEST_HANDLE_READ}},
	};
	struct km_client cancelled, busy;

	ASSERT_EQ(0, km_use(&self->km, &device));
	QUEUE_SCRIPT(OTHER_QUEUE, R2, 1, AT(IO, STALL, .value = 200000), AT(IO, COMPLETE));
	DELIVERED(&cancelled, R1, AT(IO, MARK), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_EQ(0, km_read(&self->km, &busy, 8));
	ASSERT_TRUE(SEEN(IO, R2));
	EXPECT_EQ(1, CANCEL(R1).notified);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&cancelled));
	EXPECT_EQ(0, km_end(&busy));
	EXPECT_GT(FIRST(CANCEL, R1).seq, FIRST(IO | KMTEST_END, R2).seq);
}

/* The callback of one queue keeps nobody else out. */
TEST_F(driver, W_022_queue_scope_does_not_span_queues)
{
	struct kmtest_device device = {
		.name = "kmtest_own",
		.slot = KM_OWN_DEVICE,
		.count = 2,
		.queues = {{QUEUE, .type = PARALLEL, .scope = SCOPE_QUEUE, .handlers = KMTEST_HANDLE_CONTROL,
			    .flags = KMTEST_DEFAULT_QUEUE},
			   {OTHER_QUEUE, .type = PARALLEL, .scope = SCOPE_QUEUE, .handlers = KMTEST_HANDLE_READ,
			    .dispatched = KMTEST_HANDLE_READ}},
	};
	struct km_client cancelled, busy;

	ASSERT_EQ(0, km_use(&self->km, &device));
	QUEUE_SCRIPT(OTHER_QUEUE, R2, 1, AT(IO, WAIT), AT(IO, COMPLETE));
	DELIVERED(&cancelled, R1, AT(IO, MARK), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_EQ(0, km_read(&self->km, &busy, 8));
	ASSERT_TRUE(SEEN(IO, R2));
	CANCEL(R1);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&cancelled));
	EXPECT_FALSE(km_done(&busy));
	DO(OPEN, R2);
	EXPECT_EQ(0, km_end(&busy));
}

TEST_F(driver, W_023_callback_overlaps_the_timer_without_a_scope)
{
	struct km_canceller canceller;
	struct km_client client;

	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_NONE);
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = QUEUE));
	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, WAIT), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_EQ(0, km_cancel_begin(&self->km, &canceller, R));
	ASSERT_TRUE(SEEN(CANCEL, R));
	DO(TIMER_START, TIMER, .value = 1000);
	EXPECT_TRUE(SEEN(TIMER | KMTEST_END, TIMER));
	EXPECT_FALSE(km_done(&client));
	DO(OPEN, R);
	EXPECT_EQ(0, km_cancel_end(&canceller));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
}

TEST_F(driver, W_024_callback_waits_for_the_only_handler)
{
	struct km_client client;

	USE_QUEUE(.type = SEQUENTIAL, .scope = SCOPE_NONE);
	REQUEST(&client, R, AT(IO, MARK_EX), AT(IO, WAIT), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_TRUE(FIRST_OP(MARK_EX, R).seq);
	EXPECT_EQ(1, CANCEL(R).notified);
	EXPECT_TRUE(NEVER(CANCEL, R));
	DO(OPEN, R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_GT(FIRST(CANCEL, R).seq, FIRST_OP(WAIT, R).seq);
}

FIXTURE(prompt)
{
	struct km km;
};

FIXTURE_SETUP(prompt)
{
	ASSERT_EQ(0, km_setup(&self->km, "prompt_cancel=1"));
}

FIXTURE_TEARDOWN(prompt)
{
	EXPECT_EQ(0, km_teardown(&self->km));
}

TEST_F(prompt, W_024_prompt_callback_does_not_wait)
{
	struct km_client client;

	USE_QUEUE(.type = SEQUENTIAL, .scope = SCOPE_NONE);
	REQUEST(&client, R, AT(IO, MARK_EX), AT(IO, WAIT), AT(CANCEL, COMPLETE, CANCELLED));
	ASSERT_TRUE(FIRST_OP(MARK_EX, R).seq);
	EXPECT_EQ(1, CANCEL(R).notified);
	EXPECT_TRUE(SEEN(CANCEL, R));
	EXPECT_EQ(0, COUNT(IO, R) - 1);
	DO(OPEN, R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_LT(FIRST(CANCEL, R).seq, FIRST_OP(WAIT, R).seq);
}

/* Synchronization is stronger: no callback beside a handler. */
TEST_F(prompt, W_024_prompt_callback_respects_the_scope)
{
	struct km_client cancelled, busy;

	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_QUEUE);
	DELIVERED(&cancelled, R1, AT(IO, MARK), AT(CANCEL, COMPLETE, CANCELLED));
	REQUEST(&busy, R2, AT(IO, WAIT), AT(IO, COMPLETE));
	ASSERT_TRUE(SEEN(IO, R2));
	CANCEL(R1);
	EXPECT_TRUE(NEVER(CANCEL, R1));
	DO(OPEN, R2);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&cancelled));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&busy));
}

TEST_F(driver, W_025_next_arrival_delivers_the_callback_first)
{
	struct km_client cancelled, busy, next;

	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_NONE);
	DELIVERED(&cancelled, R1, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	REQUEST(&busy, R2, AT(IO, WAIT), AT(IO, COMPLETE));
	ASSERT_TRUE(SEEN(IO, R2));
	EXPECT_EQ(1, CANCEL(R1).notified);
	EXPECT_TRUE(NEVER(CANCEL, R1));
	REQUEST(&next, R3, AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&next));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&cancelled));
	EXPECT_LT(FIRST(CANCEL, R1).seq, FIRST(IO, R3).seq);
	EXPECT_FALSE(km_done(&busy));
	DO(OPEN, R2);
	EXPECT_EQ(STATUS_SUCCESS, km_end(&busy));
}

TEST_F(driver, W_026_callbacks_in_the_order_of_the_cancels)
{
	struct km_client clients[4];

	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_NONE);
	for (int i = 0; i < 3; i++)
		DELIVERED(&clients[i], R1 + i, AT(IO, MARK_EX), AT(CANCEL, COMPLETE, CANCELLED));
	REQUEST(&clients[3], R4, AT(IO, WAIT), AT(IO, COMPLETE));
	ASSERT_TRUE(SEEN(IO, R4));
	CANCEL(R3);
	CANCEL(R1);
	CANCEL(R2);
	EXPECT_TRUE(NEVER(CANCEL, R3));
	DO(OPEN, R4);
	for (int i = 0; i < 3; i++)
		EXPECT_EQ(STATUS_CANCELLED, km_end(&clients[i]));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&clients[3]));
	EXPECT_LT(FIRST(CANCEL, R3).seq, FIRST(CANCEL, R1).seq);
	EXPECT_LT(FIRST(CANCEL, R1).seq, FIRST(CANCEL, R2).seq);
}

/* Cancelled by a purge that a timer makes, in softirq. */
TEST_F(driver, W_027_passive_callback_may_sleep)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_QUEUE, .level = LEVEL_PASSIVE);
	ASSERT_EQ(STATUS_SUCCESS, DO(TIMER_CREATE, TIMER, .other = QUEUE, .flags = KMTEST_NOT_SERIALIZED));
	SCRIPT(TIMER, AT(TIMER, QUEUE_PURGE, .slot = QUEUE, .flags = KMTEST_NO_CALLBACK));
	DELIVERED(&client, R, AT(IO, MARK), AT(CANCEL, SLEEP, .value = 1), AT(CANCEL, COMPLETE, CANCELLED));
	EXPECT_EQ(IRQL_PASSIVE, FIRST(IO, R).irql);
	DO(TIMER_START, TIMER, .value = 1000);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(IRQL_DISPATCH, FIRST(TIMER, TIMER).irql);
	EXPECT_EQ(IRQL_PASSIVE, FIRST(CANCEL, R).irql);
	EXPECT_EQ(0, km_broken_any(&self->km));
}

TEST_F(driver, W_027_passive_callback_when_the_caller_is_raised)
{
	struct km_client client;

	USE_QUEUE(.type = PARALLEL, .level = LEVEL_PASSIVE);
	DELIVERED(&client, R, AT(IO, MARK_EX), AT(CANCEL, SLEEP, .value = 1), AT(CANCEL, COMPLETE, CANCELLED));
	RUN(ops, OP(RAISE, .slot = GATE), OP(QUEUE_PURGE, .slot = QUEUE, .flags = KMTEST_NO_CALLBACK),
	    OP(LOWER, .slot = GATE));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(IRQL_PASSIVE, FIRST(CANCEL, R).irql);
}

TEST_F(driver, W_028_synchronized_callback_may_not_sleep)
{
	struct km_client client;

	USE_QUEUE(.type = SEQUENTIAL, .scope = SCOPE_QUEUE);
	DELIVERED(&client, R, AT(IO, MARK), AT(CANCEL, COMPLETE, CANCELLED));
	CANCEL(R);
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_EQ(IRQL_DISPATCH, FIRST(IO, R).irql);
	EXPECT_EQ(IRQL_DISPATCH, FIRST(CANCEL, R).irql);
}

TEST_F(driver, W_029_canceller_that_holds_the_lock)
{
	struct km_client client;

	USE_QUEUE(.type = SEQUENTIAL, .scope = SCOPE_QUEUE);
	DELIVERED(&client, R, AT(IO, MARK), AT(CANCEL, COMPLETE, CANCELLED));
	RUN(ops, OP(LOCK, .slot = QUEUE), OP(QUEUE_PURGE, .slot = QUEUE, .flags = KMTEST_NO_CALLBACK),
	    OP(STALL, .slot = QUEUE, .value = 20000), OP(UNLOCK, .slot = QUEUE));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&client));
	EXPECT_GT(FIRST(CANCEL, R).seq, FIRST_OP(STALL, QUEUE).seq);
	EXPECT_EQ(1, COUNT(CANCEL, R));
	EXPECT_EQ(0, km_broken_any(&self->km));
}

/* Its callback is not on the stack of the one that cancels, if that one is a handler of the queue. */
TEST_F(driver, W_029_handler_that_cancels_another_request)
{
	struct km_client cancelled, canceller;

	USE_QUEUE(.type = PARALLEL, .scope = SCOPE_QUEUE);
	DELIVERED(&cancelled, R1, AT(IO, MARK), AT(CANCEL, COMPLETE, CANCELLED));
	DELIVERED(&canceller, R2, AT(IO, QUEUE_STOP_AND_PURGE, .slot = QUEUE, .flags = KMTEST_NO_CALLBACK),
		  AT(IO, COMPLETE));
	EXPECT_EQ(STATUS_CANCELLED, km_end(&cancelled));
	EXPECT_EQ(STATUS_SUCCESS, km_end(&canceller));
	EXPECT_GT(FIRST(CANCEL, R1).seq, FIRST(IO | KMTEST_END, R2).seq);
}

TEST_HARNESS_MAIN
